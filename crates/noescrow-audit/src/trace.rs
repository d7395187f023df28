// SPDX-License-Identifier: MIT OR Apache-2.0
//! A trace: the operations of devices, as a stream of bytes that one process writes and another reads.
//!
//! ```text
//! trace       = "noescrow trace" || version (u8, 3) || record* || end
//! record      = participant | operation
//! participant = 0x80 || number (u8: 0, 1, ... in this order) || side (u8: 0 device, 1 server) || name
//! operation   = label? || kind (u8) || participant (u8) || step (u16) || count (varint) || field*count
//! label       = 0x81 || step (u16) || name
//! field       = role (u8; bit 7: output) || length (varint) || bytes
//! name        = length (u8) || UTF-8
//! end         = 0x82 || number of operations (u64) || SHA-256 of the trace up to here (32)
//! ```
//!
//! Integers are big-endian. Varints are LEB128 of at most five bytes and at most [`MAX_FIELD_LEN`]; a count is at most
//! [`MAX_FIELDS`]. Steps are numbered 1, 2, ... in the order of their first operation, at most [`MAX_STEPS`]; step 0
//! means none. The first operation of a step, and no other, has the step's label, which is neither empty nor that of
//! another step. Every trace therefore has exactly one encoding, and the reader refuses any other.
//!
//! Long associated data may stand as a reference to an earlier operation, `length (u32) || SHA-256 (32)`; `recent.rs`
//! says to what. [`TraceReader::for_each`] resolves it.
//!
//! Nothing follows the end, and a trace without one ends early ([`TraceError::EndsEarly`]): the process ended before it
//! wrote the rest, or the disk was full. An audit reads such a trace, but its verdict is at best "could not examine".
//! With the end, the reader refuses a trace of which any byte was changed, removed, repeated or moved, and two traces
//! one after the other. [`Tape::finish`](super::Tape::finish) writes the end.
//!
//! A trace holds every secret of the run: it is for tests. Writer and reader stream it, so that neither holds more than
//! one record.

mod end;
mod error;

use super::operation::{Field, Kind, Operation, Role};
use super::recompute::Recomputer;
use core::fmt;
pub(crate) use end::END_LEN;
use end::{END, Sum};
pub use error::TraceError;
use std::io::{self, Read};

/// The beginning of a trace: name and version.
const MAGIC: &[u8] = b"noescrow trace\x03";
const PARTICIPANT: u8 = 0x80;
const LABEL: u8 = 0x81;
/// Bytes of the longest field: the longest padded plaintext, 12.5 % above 2^30, with room.
const MAX_FIELD_LEN: u64 = (1 << 30) + (1 << 28);
/// Steps with a number. noescrow's protocol has fewer than a hundred.
const MAX_STEPS: usize = 1 << 10;
/// Fields of an operation. Those of noescrow have about a dozen; each part of the input of an application's key
/// derivation is one. Without the bound a few megabytes of trace could take many times their size in memory.
const MAX_FIELDS: u64 = 1 << 12;
/// Bytes that are allocated before they have been read: the reader does not trust a claimed length.
const READ_AHEAD: u64 = 1 << 16;

/// A device or server that takes part in a run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Participant {
    /// A name for people: "Alice's telephone".
    pub name: String,
    /// Whether it is a server: it knows all inputs and outputs of its operations.
    pub is_server: bool,
}

/// Writes a trace into a buffer, which its owner may drain between records.
#[derive(Debug)]
pub(crate) struct TraceWriter {
    pub(crate) buffer: Vec<u8>,
    /// What was taken out of the buffer, and the operations of all.
    taken: Sum,
    participants: usize,
    /// Labels with a number, which is index + 1.
    steps: Vec<String>,
    /// The index of the last operation's step, which is likely to be the next one's too.
    latest: usize,
}

impl TraceWriter {
    pub(crate) fn new() -> Self {
        Self { buffer: MAGIC.to_owned(), taken: Sum::default(), participants: 0, steps: Vec::new(), latest: 0 }
    }

    /// Takes the bytes that are in the buffer, which are those after the ones that were taken before.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        self.taken.add(&self.buffer);
        core::mem::take(&mut self.buffer)
    }

    /// The record that makes what was written so far a complete trace.
    pub(crate) fn end(&self) -> [u8; END_LEN] {
        let mut sum = self.taken.clone();
        sum.add(&self.buffer);
        sum.record()
    }

    /// The number of operations so far.
    pub(crate) const fn operations(&self) -> u64 {
        self.taken.operations
    }

    /// Adds a participant and returns its number. `None` if there are 256 already, because a number is one byte.
    pub(crate) fn participant(&mut self, name: &str, is_server: bool) -> Option<u8> {
        let number = u8::try_from(self.participants).ok()?;
        self.participants = self.participants.saturating_add(1);
        self.buffer.extend([PARTICIPANT, number, u8::from(is_server)]);
        self.name(cut(name));
        Some(number)
    }

    /// Writes an operation of a participant that was added.
    pub(crate) fn operation<'a>(
        &mut self,
        participant: u8,
        step: &str,
        kind: Kind,
        fields: impl Iterator<Item = Field<'a>> + Clone,
    ) {
        self.taken.count_operation();
        let [high, low] = self.step(cut(step)).to_be_bytes();
        self.buffer.extend([kind as u8, participant, high, low]);
        self.varint(fields.clone().count());
        for field in fields {
            self.buffer.push(field.role as u8 | if field.is_output { Role::OUTPUT } else { 0 });
            self.varint(field.bytes.len());
            self.buffer.extend_from_slice(field.bytes);
        }
    }

    /// The number of a step; writes the label of a new one. 0 for an empty label, and for labels beyond [`MAX_STEPS`].
    fn step(&mut self, label: &str) -> u16 {
        if label.is_empty() {
            return 0;
        }
        let again = self.steps.get(self.latest).is_some_and(|latest| latest == label);
        let known = if again { Some(self.latest) } else { self.steps.iter().position(|known| known == label) };
        let at = known.unwrap_or(self.steps.len());
        if at >= MAX_STEPS {
            return 0;
        }
        self.latest = at;
        let number = u16::try_from(at).unwrap_or_default().saturating_add(1);
        if known.is_none() {
            self.steps.push(label.to_owned());
            self.buffer.push(LABEL);
            self.buffer.extend(number.to_be_bytes());
            self.name(label);
        }
        number
    }

    /// Writes a name that has been [`cut`].
    fn name(&mut self, name: &str) {
        self.buffer.push(u8::try_from(name.len()).unwrap_or_default());
        self.buffer.extend_from_slice(name.as_bytes());
    }

    fn varint(&mut self, mut rest: usize) {
        loop {
            let low = u8::try_from(rest & 0x7F).unwrap_or_default();
            rest >>= 7;
            if rest == 0 {
                return self.buffer.push(low);
            }
            self.buffer.push(low | 0x80);
        }
    }
}

/// Truncates a name to 255 bytes, between characters.
fn cut(name: &str) -> &str {
    let longest = usize::from(u8::MAX);
    if name.len() <= longest {
        return name;
    }
    (0..=longest).rev().find_map(|end| name.get(..end)).unwrap_or_default()
}

/// Reads a trace, one operation at a time.
///
/// # Errors
/// Every method fails with [`TraceError`] on bytes that no recorder wrote. Memory is bounded by the longest record that
/// is present.
pub struct TraceReader<R> {
    from: R,
    /// What was read so far.
    sum: Sum,
    offset: u64,
    /// The byte at which the current record begins.
    start: u64,
    participants: Vec<Participant>,
    /// The labels of steps; a step's number is index + 1.
    steps: Vec<String>,
    body: Vec<u8>,
    layout: Vec<(Role, bool, usize, usize)>,
}

impl<R> fmt::Debug for TraceReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TraceReader").field("offset", &self.offset).finish_non_exhaustive()
    }
}

/// A record of a trace.
pub(crate) enum Record<'a> {
    Participant(&'a Participant),
    Operation(Operation<'a>),
    /// The trace is complete, and nothing follows.
    End,
}

struct Head {
    kind: Kind,
    participant: u8,
    step: u16,
}

impl<R: Read> TraceReader<R> {
    /// Reads the beginning of a trace. The reader should be buffered.
    ///
    /// # Errors
    /// [`TraceError`] if this is not a trace of this version.
    pub fn new(from: R) -> Result<Self, TraceError> {
        let mut reader = Self {
            from,
            sum: Sum::default(),
            offset: 0,
            start: 0,
            participants: Vec::new(),
            steps: Vec::new(),
            body: Vec::new(),
            layout: Vec::new(),
        };
        reader.append(u64::try_from(MAGIC.len()).unwrap_or_default())?;
        if reader.body == MAGIC {
            Ok(reader)
        } else {
            Err(reader.malformed("the beginning is not that of a trace of this version"))
        }
    }

    /// The participants so far; an operation refers to them by index.
    #[must_use]
    pub fn participants(&self) -> &[Participant] {
        &self.participants
    }

    /// Calls `visit` with every operation, in order, and returns the participants. Associated data that the trace has
    /// at an earlier operation is whole; a reference that resolves to nothing stays as it is.
    ///
    /// # Errors
    /// [`TraceError`]; [`TraceError::EndsEarly`] after the last operation of a trace that is incomplete.
    pub fn for_each(self, mut visit: impl FnMut(&Operation<'_>)) -> Result<Vec<Participant>, TraceError> {
        let mut recomputer = Recomputer::new();
        self.for_each_as_written(|operation| recomputer.resolve(operation, &mut visit))
    }

    /// As [`for_each`](Self::for_each), with the references as they are written, for a [`Recomputer`].
    ///
    /// # Errors
    /// [`TraceError`].
    pub fn for_each_as_written(self, mut visit: impl FnMut(&Operation<'_>)) -> Result<Vec<Participant>, TraceError> {
        self.for_each_record(|record| {
            if let Record::Operation(operation) = record {
                visit(&operation);
            }
        })
    }

    /// As [`for_each_as_written`](Self::for_each_as_written), with the records of participants in their places.
    pub(crate) fn for_each_record(mut self, mut visit: impl FnMut(Record<'_>)) -> Result<Vec<Participant>, TraceError> {
        loop {
            match self.first()? {
                PARTICIPANT => {
                    visit(Record::Participant(self.read_participant()?));
                    continue;
                }
                END => {
                    self.read_end()?;
                    visit(Record::End);
                    return Ok(self.participants);
                }
                first => self.visit_operation(first, &mut visit)?,
            }
        }
    }

    fn visit_operation(&mut self, first: u8, visit: &mut impl FnMut(Record<'_>)) -> Result<(), TraceError> {
        let Head { kind, participant, step } = self.read_operation(first)?;
        self.sum.count_operation();
        let fields: Vec<Field<'_>> = self
            .layout
            .iter()
            .map(|&(role, is_output, from, to)| Field {
                role,
                is_output,
                bytes: self.body.get(from..to).unwrap_or_default(),
            })
            .collect();
        let label = usize::from(step).checked_sub(1).and_then(|at| self.steps.get(at));
        let step = label.map_or("", String::as_str);
        visit(Record::Operation(Operation { participant, step, kind, fields: &fields }));
        Ok(())
    }

    /// The first byte of the next record.
    fn first(&mut self) -> Result<u8, TraceError> {
        self.start = self.offset;
        self.body.clear();
        self.layout.clear();
        let first = self.unsummed_byte()?;
        // The end's digest is of what comes before the end, so that the reader sums that alone.
        if first != END {
            self.sum.add(&[first]);
        }
        Ok(first)
    }

    /// Reads the rest of the end, whose first byte has been read, and checks that nothing follows it.
    fn read_end(&mut self) -> Result<(), TraceError> {
        let expected = self.sum.record();
        self.append(u64::try_from(expected.len().saturating_sub(1)).unwrap_or_default())?;
        if expected.get(1..) != Some(&self.body[..]) {
            return Err(self.malformed("an end that does not match what comes before it"));
        }
        match self.first() {
            Err(TraceError::EndsEarly { .. }) => Ok(()),
            Ok(_) => Err(self.malformed("bytes after the end")),
            Err(error) => Err(error),
        }
    }

    fn read_participant(&mut self) -> Result<&Participant, TraceError> {
        let (number, side) = (self.byte()?, self.byte()?);
        let name = self.name()?;
        if usize::from(number) != self.participants.len() || side > 1 {
            return Err(self.malformed("a participant out of order"));
        }
        self.participants.push(Participant { name, is_server: side == 1 });
        self.participants.last().ok_or_else(|| self.malformed("no participant"))
    }

    fn read_operation(&mut self, first: u8) -> Result<Head, TraceError> {
        let (new_step, kind) = match first {
            LABEL => (Some(self.read_label()?), self.byte()?),
            kind => (None, kind),
        };
        let kind = Kind::from_byte(kind).ok_or_else(|| self.malformed("an unknown kind"))?;
        let (participant, step) = (self.byte()?, self.u16()?);
        if usize::from(participant) >= self.participants.len() {
            return Err(self.malformed("an unknown participant"));
        }
        if usize::from(step) > self.steps.len() {
            return Err(self.malformed("an unknown step"));
        }
        if new_step.is_some_and(|new| new != step) {
            return Err(self.malformed("a label of another step"));
        }
        let fields = self.varint()?;
        if fields > MAX_FIELDS {
            return Err(self.malformed("more fields than an operation has"));
        }
        for _ in 0..fields {
            self.read_field()?;
        }
        Ok(Head { kind, participant, step })
    }

    /// Reads the label of a new step and returns its number.
    fn read_label(&mut self) -> Result<u16, TraceError> {
        let number = self.u16()?;
        let label = self.name()?;
        let next = self.steps.len().saturating_add(1);
        if usize::from(number) != next || next > MAX_STEPS || label.is_empty() || self.steps.contains(&label) {
            return Err(self.malformed("a label out of order, empty or known"));
        }
        self.steps.push(label);
        Ok(number)
    }

    fn read_field(&mut self) -> Result<(), TraceError> {
        let first = self.byte()?;
        let role = Role::from_byte(first & !Role::OUTPUT).ok_or_else(|| self.malformed("an unknown role"))?;
        let len = self.varint()?;
        let from = self.body.len();
        self.append(len)?;
        self.layout.push((role, first & Role::OUTPUT != 0, from, self.body.len()));
        Ok(())
    }

    /// Reads a varint in its shortest encoding, at most [`MAX_FIELD_LEN`].
    fn varint(&mut self) -> Result<u64, TraceError> {
        let mut value = 0u64;
        for shift in (0..35u32).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                let is_shortest = byte != 0 || shift == 0;
                return match is_shortest && value <= MAX_FIELD_LEN {
                    true => Ok(value),
                    false => Err(self.malformed("a length beyond its bound")),
                };
            }
        }
        Err(self.malformed("a length beyond its bound"))
    }

    fn name(&mut self) -> Result<String, TraceError> {
        let len = self.byte()?;
        let from = self.body.len();
        self.append(u64::from(len))?;
        let name = self.body.split_off(from);
        String::from_utf8(name).map_err(|_| self.malformed("a name that is not text"))
    }

    fn byte(&mut self) -> Result<u8, TraceError> {
        let byte = self.unsummed_byte()?;
        self.sum.add(&[byte]);
        Ok(byte)
    }

    fn unsummed_byte(&mut self) -> Result<u8, TraceError> {
        let mut byte = [0];
        self.from.read_exact(&mut byte).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => self.ends_early(),
            _ => TraceError::Io(error),
        })?;
        self.offset = self.offset.saturating_add(1);
        let [byte] = byte;
        Ok(byte)
    }

    fn u16(&mut self) -> Result<u16, TraceError> {
        Ok(u16::from_be_bytes([self.byte()?, self.byte()?]))
    }

    /// Reads `len` more bytes of this record. The buffer grows with the bytes that are present, not with the claimed
    /// length.
    fn append(&mut self, len: u64) -> Result<(), TraceError> {
        self.body.reserve(usize::try_from(len.min(READ_AHEAD)).unwrap_or_default());
        let from = self.body.len();
        let read = self.from.by_ref().take(len).read_to_end(&mut self.body)?;
        self.sum.add(self.body.get(from..).unwrap_or_default());
        self.offset = self.offset.saturating_add(len);
        match u64::try_from(read) == Ok(len) {
            true => Ok(()),
            false => Err(self.ends_early()),
        }
    }

    const fn ends_early(&self) -> TraceError {
        TraceError::EndsEarly { operations: self.sum.operations, offset: self.start }
    }

    const fn malformed(&self, what: &'static str) -> TraceError {
        TraceError::Malformed { what, offset: self.start }
    }
}

#[cfg(test)]
mod tests;
