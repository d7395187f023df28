// SPDX-License-Identifier: MIT OR Apache-2.0
//! The interface of the decoders of formats that other crates decompress, and those of xz, lzip, LZMA and bzip2. LZ4 and
//! Snappy frames, whose crates decompress blocks only or read from a file, are in files of their own.

use super::formats::Format;
use super::lz4::Lz4;
use super::png::Png;
use super::snappy::Snappy;
use bzip2::{Decompress, Status as BzipStatus};
use lzma_rust2::{Action, LzipStream, LzmaStream, Status as LzmaStatus, StreamResult, XzStream};

/// Memory of a decoder in KiB: a dictionary of 64 MiB, the largest of the presets of xz, and what decoders need besides.
const MAX_MEMORY: u32 = 80 << 10;

/// How far a decoder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It takes more.
    More,
    /// The stream is complete, and as many of the last bytes are no part of it.
    End(usize),
    Broken,
    /// It needs more memory than [`MAX_MEMORY`].
    TooLarge,
    /// The sink takes no more.
    Stopped,
}

/// Gets the output of a decoder. Returns false if it takes no more.
pub(crate) type Output<'a> = &'a mut dyn FnMut(&[u8]) -> bool;

/// The decoder of one stream, which is fed piece by piece.
pub(crate) trait Unpack {
    /// Decodes all of the next bytes of the stream; `last` is whether it has no more. `buffer` is for the output.
    fn feed(&mut self, bytes: &[u8], last: bool, buffer: &mut [u8], output: Output<'_>) -> Progress;
}

/// The decoder of a format, if it is one of those.
pub(crate) fn decoder(format: Format) -> Option<Box<dyn Unpack>> {
    Some(match format {
        Format::Xz => Box::new(Xz(XzStream::new_mem_limit(false, MAX_MEMORY))),
        Format::Lzip => Box::new(Lzip(LzipStream::new_mem_limit(false, MAX_MEMORY))),
        Format::Lzma => Box::new(Lzma(LzmaStream::new_mem_limit(MAX_MEMORY, None))),
        Format::Bzip2 => Box::new(Bzip(Decompress::new(false))),
        Format::Lz4 => Box::new(Lz4::frame()),
        Format::Lz4Legacy => Box::new(Lz4::legacy()),
        Format::Snappy => Box::new(Snappy::default()),
        Format::Png => Box::new(Png::new()),
        Format::Gzip | Format::Zlib | Format::Zstd | Format::Zip | Format::Chunked | Format::Undecoded(_) => {
            return None;
        }
    })
}

struct Xz(XzStream);
struct Lzip(LzipStream);
struct Lzma(LzmaStream);
struct Bzip(Decompress);

impl Unpack for Xz {
    fn feed(&mut self, bytes: &[u8], last: bool, buffer: &mut [u8], output: Output<'_>) -> Progress {
        let progress = process(bytes, last, buffer, output, |bytes, out, action| self.0.process(bytes, out, action));
        or_too_large(progress, self.0.memory_usage())
    }
}

impl Unpack for Lzip {
    fn feed(&mut self, bytes: &[u8], last: bool, buffer: &mut [u8], output: Output<'_>) -> Progress {
        let progress = process(bytes, last, buffer, output, |bytes, out, action| self.0.process(bytes, out, action));
        match progress {
            // It takes some bytes more than it needs.
            Progress::End(unread) => Progress::End(unread.saturating_add(self.0.unused_input().len())),
            progress => or_too_large(progress, self.0.memory_usage()),
        }
    }
}

impl Unpack for Lzma {
    fn feed(&mut self, bytes: &[u8], last: bool, buffer: &mut [u8], output: Output<'_>) -> Progress {
        let progress = process(bytes, last, buffer, output, |bytes, out, action| self.0.process(bytes, out, action));
        match progress {
            // It takes some bytes more than it needs.
            Progress::End(unread) => Progress::End(unread.saturating_add(self.0.unused_input().len())),
            progress => or_too_large(progress, self.0.memory_usage()),
        }
    }
}

fn or_too_large(progress: Progress, memory: Option<u32>) -> Progress {
    let is_too_large = progress == Progress::Broken && memory.is_some_and(|memory| memory > MAX_MEMORY);
    if is_too_large { Progress::TooLarge } else { progress }
}

/// Runs one of the decoders of LZMA, which have the same interface.
fn process<E>(
    mut bytes: &[u8],
    last: bool,
    buffer: &mut [u8],
    output: Output<'_>,
    mut step: impl FnMut(&[u8], &mut [u8], Action) -> Result<StreamResult, E>,
) -> Progress {
    let mut action = Action::Run;
    loop {
        let Ok(StreamResult { bytes_consumed, bytes_produced, status }) = step(bytes, buffer, action) else {
            // That the input ends is reported as an error as well.
            return if action == Action::Finish { Progress::More } else { Progress::Broken };
        };
        bytes = bytes.get(bytes_consumed..).unwrap_or_default();
        if !output(buffer.get(..bytes_produced).unwrap_or_default()) {
            return Progress::Stopped;
        }
        if status == LzmaStatus::StreamEnd {
            return Progress::End(bytes.len());
        }
        if bytes_consumed == 0 && bytes_produced == 0 {
            // The decoders keep back the last bytes until they know that no more follow.
            if !last || action == Action::Finish {
                return Progress::More;
            }
            action = Action::Finish;
        }
    }
}

impl Unpack for Bzip {
    fn feed(&mut self, mut bytes: &[u8], _last: bool, buffer: &mut [u8], output: Output<'_>) -> Progress {
        loop {
            let (read, written) = (self.0.total_in(), self.0.total_out());
            let Ok(status) = self.0.decompress(bytes, buffer) else { return Progress::Broken };
            let read = usize::try_from(self.0.total_in().saturating_sub(read)).unwrap_or_default();
            let written = usize::try_from(self.0.total_out().saturating_sub(written)).unwrap_or_default();
            bytes = bytes.get(read..).unwrap_or_default();
            if !output(buffer.get(..written).unwrap_or_default()) {
                return Progress::Stopped;
            }
            match status {
                BzipStatus::StreamEnd => return Progress::End(bytes.len()),
                BzipStatus::MemNeeded => return Progress::TooLarge,
                _ if read == 0 && written == 0 => return Progress::More,
                _ => {}
            }
        }
    }
}
