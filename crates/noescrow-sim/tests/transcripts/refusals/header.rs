// SPDX-License-Identifier: MIT OR Apache-2.0
//! Offsets of the parts of a header in the clear; after the chunk, for chunks of 32 bytes.

pub(super) const N: usize = 36;
pub(super) const TYPE: usize = 40;
pub(super) const EPOCH: usize = 41;
pub(super) const CHUNK: usize = 47;
pub(super) const NUMBER: usize = 79;
/// The same after a chunk of 256 bytes.
pub(super) const NUMBER_256: usize = NUMBER - 32 + 256;
pub(super) const AGE: usize = 83;
