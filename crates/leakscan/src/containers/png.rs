// SPDX-License-Identifier: MIT OR Apache-2.0
//! PNG images (third edition, 2025), animated ones included: one zlib stream lies in several chunks, and its rows are
//! filtered. The content is the bytes of the pixels, row after row, without the filters.

use super::unpack::{Output, Progress, Unpack};
use flate2::{Crc, Decompress, FlushDecompress, Status};

/// The signature (5.2), and the beginning of the chunk that follows it.
pub(super) const BEGINNING: [u8; 16] = *b"\x89PNG\r\n\x1A\n\0\0\0\x0DIHDR";

/// Whether these bytes begin an image: the signature, and a header (11.2.1) of which at most one field is damaged, unless
/// it is cut. Tables of formats have the signature alone.
pub(super) fn begins(bytes: &[u8]) -> bool {
    let Some(rest) = bytes.strip_prefix(&BEGINNING) else { return false };
    let Some(&[w0, w1, w2, w3, h0, h1, h2, h3, depth, colour, compression, filter, interlace]) = rest.first_chunk()
    else {
        return true;
    };
    let is_size = |bytes: [u8; 4]| (1..1 << 24).contains(&u32::from_be_bytes(bytes));
    let damaged = [
        !is_size([w0, w1, w2, w3]),
        !is_size([h0, h1, h2, h3]),
        !matches!(depth, 1 | 2 | 4 | 8 | 16),
        !matches!(colour, 0 | 2 | 3 | 4 | 6),
        compression != 0,
        filter != 0,
        interlace > 1,
    ];
    damaged.iter().filter(|is_damaged| **is_damaged).count() <= 1
}

/// Bytes of a chunk before its data.
const HEAD: usize = 8;
/// Bytes of the data of the chunks that are read whole: IHDR and fcTL.
const MAX_FIELDS: usize = 26;
/// Bytes of a row, up to which filters are undone: more than a million pixels of 8 bytes.
const MAX_ROW: u64 = 1 << 24;

enum State {
    /// The signature, or the head of a chunk.
    Head,
    /// Bytes of the data of a chunk that are still to come.
    Data(u32),
    /// The checksum of a chunk.
    Sum,
}

/// The decoder of an image.
pub(super) struct Png {
    state: State,
    pending: Vec<u8>,
    kind: [u8; 4],
    /// The first bytes of the data of the chunk.
    fields: Vec<u8>,
    /// Bytes of the data of the chunk that have been read.
    read: usize,
    crc: Crc,
    is_damaged: bool,
    inflater: Decompress,
    is_inflated: bool,
    rows: Rows,
}

impl Png {
    pub(super) fn new() -> Self {
        Self {
            state: State::Head,
            pending: Vec::new(),
            kind: [0; 4],
            fields: Vec::new(),
            read: 0,
            crc: Crc::new(),
            is_damaged: false,
            inflater: Decompress::new(true),
            is_inflated: true,
            rows: Rows::default(),
        }
    }

    /// Takes bytes until `len` are pending.
    fn collect(&mut self, bytes: &mut &[u8], len: usize) -> bool {
        let missing = len.saturating_sub(self.pending.len()).min(bytes.len());
        let (now, rest) = bytes.split_at_checked(missing).unwrap_or((bytes, &[]));
        self.pending.extend_from_slice(now);
        *bytes = rest;
        self.pending.len() >= len
    }

    fn begin_chunk(&mut self) -> Option<()> {
        // The first one follows the signature.
        let head = self.pending.get(self.pending.len().checked_sub(HEAD)?..)?;
        let (len, kind) = head.split_first_chunk()?;
        self.kind = *kind.first_chunk()?;
        self.crc = Crc::new();
        self.crc.update(&self.kind);
        self.state = State::Data(u32::from_be_bytes(*len));
        self.fields.clear();
        self.read = 0;
        self.pending.clear();
        Some(())
    }

    /// Takes data of the chunk. Returns false if the sink takes no more.
    fn data(&mut self, data: &[u8], buffer: &mut [u8], output: Output<'_>) -> bool {
        self.crc.update(data);
        let missing = MAX_FIELDS.saturating_sub(self.fields.len());
        self.fields.extend(data.iter().take(missing));
        // The data of an animation's frame begin with a sequence number (11.3.4.3).
        let skipped = if self.kind == *b"fdAT" { 4usize.saturating_sub(self.read).min(data.len()) } else { 0 };
        self.read = self.read.saturating_add(data.len());
        let is_image = matches!(&self.kind, b"IDAT" | b"fdAT");
        !is_image || self.inflate(data.get(skipped..).unwrap_or_default(), buffer, output)
    }

    fn inflate(&mut self, mut bytes: &[u8], buffer: &mut [u8], output: Output<'_>) -> bool {
        while !self.is_inflated && !self.is_damaged {
            let (read, written) = (self.inflater.total_in(), self.inflater.total_out());
            let status = self.inflater.decompress(bytes, buffer, FlushDecompress::None);
            let read = usize::try_from(self.inflater.total_in().saturating_sub(read)).unwrap_or_default();
            let written = usize::try_from(self.inflater.total_out().saturating_sub(written)).unwrap_or_default();
            bytes = bytes.get(read..).unwrap_or_default();
            if !self.rows.take(buffer.get(..written).unwrap_or_default(), &mut *output) {
                return false;
            }
            match status {
                Ok(Status::StreamEnd) => self.is_inflated = true,
                Ok(_) if read == 0 && written == 0 => break,
                Ok(_) => {}
                Err(_) => self.is_damaged = true,
            }
        }
        true
    }

    /// The data of a chunk are complete.
    fn end_chunk(&mut self, sum: u32) {
        self.is_damaged |= sum != self.crc.sum();
        match &self.kind {
            b"IHDR" => self.rows.begin_image(&self.fields),
            b"fcTL" => self.rows.begin_frame(self.fields.get(4..).unwrap_or_default()),
            _ => return,
        }
        self.is_damaged |= !self.is_inflated && self.inflater.total_in() > 0;
        self.inflater.reset(true);
        self.is_inflated = false;
    }
}

impl Unpack for Png {
    fn feed(&mut self, mut bytes: &[u8], _last: bool, buffer: &mut [u8], output: Output<'_>) -> Progress {
        loop {
            match self.state {
                State::Head => {
                    let len = if self.kind == [0; 4] { BEGINNING.len() } else { HEAD };
                    if !self.collect(&mut bytes, len) {
                        return Progress::More;
                    }
                    _ = self.begin_chunk();
                }
                State::Data(0) => self.state = State::Sum,
                State::Data(left) => {
                    let now = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    let (data, rest) = bytes.split_at_checked(now).unwrap_or((bytes, &[]));
                    bytes = rest;
                    if data.is_empty() {
                        return Progress::More;
                    }
                    self.state = State::Data(left.saturating_sub(u32::try_from(now).unwrap_or(u32::MAX)));
                    if !self.data(data, buffer, &mut *output) {
                        return Progress::Stopped;
                    }
                }
                State::Sum => {
                    if !self.collect(&mut bytes, 4) {
                        return Progress::More;
                    }
                    let sum = self.pending.first_chunk().map_or(0, |sum| u32::from_be_bytes(*sum));
                    self.pending.clear();
                    self.end_chunk(sum);
                    self.state = State::Head;
                    if self.kind == *b"IEND" {
                        let is_whole = !self.is_damaged && self.is_inflated;
                        return if is_whole { Progress::End(bytes.len()) } else { Progress::Broken };
                    }
                }
            }
        }
    }
}

/// The rows of an image, whose filters are undone (9.2).
#[derive(Default)]
struct Rows {
    bits_per_pixel: u64,
    is_interlaced: bool,
    /// The passes that are still to come, the last first: their rows, and the bytes of each.
    passes: Vec<(u64, u64)>,
    /// The row before, and the current one with its filter.
    before: Vec<u8>,
    row: Vec<u8>,
}

impl Rows {
    fn begin_image(&mut self, header: &[u8]) {
        let channels = match header.get(9) {
            Some(2) => 3,
            Some(4) => 2,
            Some(6) => 4,
            _ => 1,
        };
        self.bits_per_pixel = header.get(8).map_or(8, |depth| u64::from(*depth).clamp(1, 16)).saturating_mul(channels);
        self.is_interlaced = header.get(12) == Some(&1);
        self.begin_frame(header);
    }

    /// Begins an image, or a frame of an animation, whose width and height these bytes are.
    fn begin_frame(&mut self, size: &[u8]) {
        let field = |at: usize| size.get(at..)?.first_chunk().map(|field| u64::from(u32::from_be_bytes(*field)));
        let (width, height) = (field(0).unwrap_or(0), field(4).unwrap_or(0));
        // The first column and row, and the distances of columns and rows, of each pass of Adam7 (8.1).
        const ADAM7: [[u64; 4]; 7] =
            [[0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [1, 0, 2, 2], [0, 1, 1, 2]];
        let passes = if self.is_interlaced { &ADAM7[..] } else { &[[0, 0, 1, 1]] };
        let pass = |&[column, row, columns, rows]: &[u64; 4]| {
            let count = |size: u64, first: u64, step: u64| size.saturating_sub(first).div_ceil(step);
            let bits = count(width, column, columns).saturating_mul(self.bits_per_pixel);
            (count(height, row, rows), bits.div_ceil(8))
        };
        self.passes = passes.iter().rev().map(pass).filter(|(rows, len)| *rows > 0 && *len > 0).collect();
        self.before.clear();
        self.row.clear();
    }

    /// Takes filtered bytes, and hands on the rows that are complete. Bytes after the last row are handed on as they
    /// are, and so are those of an image whose rows are too long.
    fn take(&mut self, mut bytes: &[u8], output: Output<'_>) -> bool {
        while !bytes.is_empty() {
            let Some(&(_, len)) = self.passes.last().filter(|pass| pass.1 <= MAX_ROW) else {
                return output(bytes);
            };
            let missing = usize::try_from(len).unwrap_or(usize::MAX).saturating_add(1).saturating_sub(self.row.len());
            let (now, rest) = bytes.split_at_checked(missing).unwrap_or((bytes, &[]));
            self.row.extend_from_slice(now);
            bytes = rest;
            if now.len() < missing {
                break;
            }
            self.unfilter();
            let is_taken = output(self.row.get(1..).unwrap_or_default());
            core::mem::swap(&mut self.before, &mut self.row);
            self.row.clear();
            if let Some((rows, _)) = self.passes.last_mut() {
                *rows = rows.saturating_sub(1);
                if *rows == 0 {
                    self.passes.pop();
                    self.before.clear();
                }
            }
            if !is_taken {
                return false;
            }
        }
        true
    }

    fn unfilter(&mut self) {
        let left = usize::try_from(self.bits_per_pixel / 8).unwrap_or(1).max(1);
        let Some(&filter) = self.row.first() else { return };
        for at in 1..self.row.len() {
            let earlier = at.checked_sub(left).filter(|at| *at > 0);
            let of = |row: &[u8], at: Option<usize>| at.and_then(|at| row.get(at)).copied().unwrap_or(0);
            let (a, b, c) = (of(&self.row, earlier), of(&self.before, Some(at)), of(&self.before, earlier));
            let predicted = match filter {
                1 => a,
                2 => b,
                3 => (u16::from(a).wrapping_add(u16::from(b)) / 2) as u8,
                4 => paeth(a, b, c),
                _ => 0,
            };
            if let Some(byte) = self.row.get_mut(at) {
                *byte = byte.wrapping_add(predicted);
            }
        }
    }
}

/// The neighbour that is nearest to `a + b - c` (9.4).
fn paeth(a: u8, b: u8, c: u8) -> u8 {
    let (one, other, corner) = (i16::from(a), i16::from(b), i16::from(c));
    let estimate = one.saturating_add(other).saturating_sub(corner);
    let [from_a, from_b, from_c] = [one, other, corner].map(|value| estimate.saturating_sub(value).unsigned_abs());
    if from_a <= from_b && from_a <= from_c {
        a
    } else if from_b <= from_c {
        b
    } else {
        c
    }
}
