// SPDX-License-Identifier: MIT OR Apache-2.0
//! The content codings that are not recognised by their first bytes: Brotli (RFC 7932), and `deflate`, which is zlib by
//! the standard and raw deflate by what some servers send (RFC 9110, 8.4.1.2).

use super::super::sink::ConnectionSink;
use super::deflate::{Inflated, Inflater};
use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};

/// Bytes that are decompressed before they are handed on.
const OUTPUT: usize = 1 << 15;

type Brotli = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

/// A decoder of one body.
pub(super) enum Decoder {
    /// The body as it is: only what it is cut into hides it.
    Plain,
    /// What has been read, less than the header of zlib has.
    Deflate(Vec<u8>),
    Inflate(Inflater),
    Brotli(Box<Brotli>),
}

/// The codings of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// None, or those that are recognised by their first bytes.
    Plain,
    Deflate,
    Brotli,
    /// One that is not decoded, or several of which one is not recognised by its first bytes.
    Unknown,
}

impl Coding {
    /// The coding of a body to which these were applied in this order.
    pub(super) fn of<'a>(applied: impl Iterator<Item = &'a [u8]>) -> Self {
        applied.fold(Self::Plain, |before, name| {
            let is = |known: &[&str]| known.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()));
            match before {
                _ if name.is_empty() || is(&["identity", "chunked"]) => before,
                Self::Plain if is(&["gzip", "x-gzip", "zstd"]) => Self::Plain,
                Self::Plain if is(&["br"]) => Self::Brotli,
                Self::Plain if is(&["deflate"]) => Self::Deflate,
                _ => Self::Unknown,
            }
        })
    }

    /// `None` for a coding that is not decoded.
    pub(super) fn decoder(self) -> Option<Decoder> {
        match self {
            Self::Plain => Some(Decoder::Plain),
            Self::Deflate => Some(Decoder::Deflate(Vec::new())),
            Self::Brotli => {
                let alloc = StandardAlloc::default;
                Some(Decoder::Brotli(Box::new(BrotliState::new(alloc(), alloc(), alloc()))))
            }
            Self::Unknown => None,
        }
    }
}

impl Decoder {
    /// Decodes more of the body into a value.
    pub(super) fn decode<S: ConnectionSink>(&mut self, sink: &mut S, value: &mut S::Value, bytes: &[u8]) -> Inflated {
        match self {
            Self::Plain if sink.push(value, bytes) => Inflated::Open,
            Self::Plain => Inflated::Limited,
            Self::Brotli(state) => brotli(state, sink, value, bytes),
            Self::Inflate(inflater) => inflater.inflate(sink, value, bytes),
            Self::Deflate(beginning) => {
                beginning.extend_from_slice(bytes);
                let &[first, second, ..] = beginning.as_slice() else { return Inflated::Open };
                // RFC 1950, 2.2: the method, the window, and a checksum of both bytes.
                let is_zlib = first & 0x0F == 8 && first >> 4 <= 7 && u16::from_be_bytes([first, second]) % 31 == 0;
                let mut inflater = Inflater::new(sink.pool(), is_zlib);
                let result = inflater.inflate(sink, value, beginning);
                *self = Self::Inflate(inflater);
                result
            }
        }
    }

    pub(super) fn end<S: ConnectionSink>(self, sink: &mut S) {
        if let Self::Inflate(inflater) = self {
            inflater.end(sink.pool());
        }
    }
}

fn brotli<S: ConnectionSink>(state: &mut Brotli, sink: &mut S, value: &mut S::Value, bytes: &[u8]) -> Inflated {
    let mut output = sink.pool().take_output();
    output.resize(OUTPUT, 0);
    let (mut left, mut at) = (bytes.len(), 0usize);
    let result = loop {
        let (mut space, mut written, mut total) = (output.len(), 0usize, 0usize);
        let result =
            BrotliDecompressStream(&mut left, &mut at, bytes, &mut space, &mut written, &mut output, &mut total, state);
        if !sink.push(value, output.get(..written).unwrap_or_default()) {
            break Inflated::Limited;
        }
        match result {
            BrotliResult::NeedsMoreOutput => {}
            BrotliResult::NeedsMoreInput => break Inflated::Open,
            BrotliResult::ResultSuccess => break Inflated::Ended,
            BrotliResult::ResultFailure => break Inflated::Broken,
        }
    };
    sink.pool().return_output(output);
    result
}
