// SPDX-License-Identifier: MIT OR Apache-2.0
//! Decoders of text. Each reads the run at the beginning of some bytes and says how long it is; none needs to know where
//! a value begins, so that all alignments are read. Output is never longer than input.

pub mod base64;
pub mod escapes;
pub mod hex;
pub mod integers;
pub mod latin1;
pub mod percent;
pub mod symbols;
pub mod utf16;
pub mod wide;
