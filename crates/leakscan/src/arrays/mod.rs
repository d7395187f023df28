// SPDX-License-Identifier: MIT OR Apache-2.0
//! Arrays of integers in binary data, one integer for each byte of a value.
//!
//! ```text
//! elements.rs  arrays in CBOR, MessagePack, BSON, pickle, Protocol Buffers, of V8 and Ruby, AMF
//! strided.rs   arrays in memory: integers of 32 and 64 bits, tagged or not, floating-point numbers, pointers
//! ```

mod elements;
mod strided;

pub(crate) use elements::MARKERS;

use super::encoding::Encoding;
use super::prefilter::Prefilter;
use super::sink::Sink;

/// Finds and decodes the arrays in `bytes`.
pub(crate) fn decode(sink: &mut impl Sink, bytes: &[u8], prefilter: &Prefilter) {
    if sink.wants(Encoding::BinaryArray) {
        elements::decode(sink, bytes, prefilter);
    }
    if sink.wants(Encoding::Strided) {
        strided::decode(sink, bytes, prefilter);
    }
}
