// SPDX-License-Identifier: MIT OR Apache-2.0
//! Compressed streams and other containers: how they are recognised, and their decoders.
//!
//! ```text
//! formats.rs   the formats by their first bytes, and the lengths of their headers
//! stream.rs    the decoders, which hand the content of a stream to a sink
//! ```

pub(crate) mod formats;
pub(crate) mod stream;
