// SPDX-License-Identifier: MIT OR Apache-2.0
//! Decoders of text. Each reads the run at the beginning of some bytes and returns its length. A value may begin
//! anywhere in a run, so that every alignment is decoded. Output is never longer than input.

pub mod base32;
pub mod base64;
pub mod characters;
mod entity_names;
pub mod escapes;
pub mod groups;
pub mod hex;
pub mod latin1;
pub mod marks;
pub mod numerals;
pub mod percent;
pub mod radix;
pub mod symbols;
pub mod utf16;
pub mod wide;
