// SPDX-License-Identifier: MIT OR Apache-2.0
//! Compressed streams and other containers: how they are recognised, and their decoders.
//!
//! ```text
//! formats.rs     the formats by their first bytes, and the lengths of their headers
//! stream.rs      the decoder of one stream, which hands its content to a sink: gzip, zlib, Zstandard, HTTP chunks
//! zip.rs         headers and checks of the entries of ZIP archives
//! unpack.rs      the interface of the decoders of other formats; xz, lzip, LZMA, bzip2
//! lz4.rs         LZ4 frames
//! snappy.rs      Snappy streams
//! png.rs         PNG images
//! checksums.rs   those of LZ4 and Snappy
//! ```

mod checksums;
pub(crate) mod formats;
mod lz4;
mod png;
mod snappy;
pub(crate) mod stream;
mod unpack;
mod zip;
