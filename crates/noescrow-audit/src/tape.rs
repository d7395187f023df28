// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Tape`]: takes the operations of a run. [`Track`]: one participant's part of it.

use super::operation::{Field, Kind, Role};
use super::recent::{Recent, reference};
use super::trace::TraceWriter;
use core::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard};

/// Bytes that a tape with a writer gathers before it writes them.
const BUFFER: usize = 1 << 16;

/// Takes the operations of all participants of a run, in one order.
#[derive(Clone)]
pub struct Tape(Arc<Mutex<Inner>>);

struct Inner {
    trace: TraceWriter,
    writer: Option<Box<dyn Write + Send>>,
    /// Why the trace is incomplete. Nothing is written after the error: a trace with a gap could be read as another
    /// run.
    failed: Option<io::Error>,
    /// Whether the end was written. What is recorded after it is written too: a reader then refuses the trace, which is
    /// better than one that looks complete and is not.
    is_finished: bool,
    recent: Recent<()>,
}

impl fmt::Debug for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tape")
    }
}

impl Default for Tape {
    fn default() -> Self {
        Self::in_memory()
    }
}

impl Tape {
    /// Keeps the trace in memory, for [`Tape::bytes`].
    #[must_use]
    pub fn in_memory() -> Self {
        Self::with(None)
    }

    /// Streams the trace to `writer` and holds at most 64 KiB and one operation of it, and 44 bytes for each long value
    /// among the last 8,192 operations to which the trace may refer.
    ///
    /// Call [`finish`](Self::finish) after the run: it writes the rest and the record that marks a trace as complete.
    /// The same happens when the last of the tape's clones and tracks is dropped, but then nobody learns of an error,
    /// and a tape in a `static`, or in a process that ends by `process::exit` or a signal, is never dropped. No verdict
    /// on a trace without that record holds.
    #[must_use]
    pub fn to_writer(writer: impl Write + Send + 'static) -> Self {
        Self::with(Some(Box::new(writer)))
    }

    fn with(writer: Option<Box<dyn Write + Send>>) -> Self {
        let inner =
            Inner { trace: TraceWriter::new(), writer, failed: None, is_finished: false, recent: Recent::default() };
        Self(Arc::new(Mutex::new(inner)))
    }

    /// Adds a device called `name`.
    ///
    /// # Errors
    /// [`TooManyParticipants`] if there are 256 already.
    pub fn device(&self, name: &str) -> Result<Track, TooManyParticipants> {
        self.participant(name, false)
    }

    /// Adds a server called `name`. A server knows all inputs and outputs of its operations.
    ///
    /// # Errors
    /// [`TooManyParticipants`] if there are 256 already.
    pub fn server(&self, name: &str) -> Result<Track, TooManyParticipants> {
        self.participant(name, true)
    }

    fn participant(&self, name: &str, is_server: bool) -> Result<Track, TooManyParticipants> {
        let participant = self.lock().trace.participant(name, is_server).ok_or(TooManyParticipants)?;
        Ok(Track { tape: self.clone(), participant })
    }

    /// The number of operations so far.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.lock().trace.operations()
    }

    /// The trace so far, complete as it is; empty for a tape with a writer.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let inner = self.lock();
        match inner.writer {
            Some(_) => Vec::new(),
            None => inner.trace.buffer.iter().copied().chain(inner.trace.end()).collect(),
        }
    }

    /// Whether the trace goes to a writer, so that [`bytes`](Self::bytes) is empty.
    #[must_use]
    pub fn has_writer(&self) -> bool {
        self.lock().writer.is_some()
    }

    /// Writes what is still in memory to the writer. The trace stays incomplete until [`finish`](Self::finish).
    ///
    /// # Errors
    /// The writer's first error, on this and every later call: the trace is incomplete and stays so.
    pub fn flush(&self) -> io::Result<()> {
        let mut inner = self.lock();
        inner.flush();
        inner.result()
    }

    /// Completes the trace: writes what is still in memory, and the end, which has the number of operations and a
    /// digest of the trace. Call it when the devices have done everything. A tape in memory needs no end.
    ///
    /// # Errors
    /// The writer's first error, on this and every later call, or that an operation was recorded after the tape was
    /// finished: no verdict on such a trace holds.
    pub fn finish(&self) -> io::Result<()> {
        let mut inner = self.lock();
        inner.finish();
        inner.result()
    }

    /// If a writer panicked, it is unknown how much it wrote: the trace counts as failed.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(|poisoned| {
            let mut inner = poisoned.into_inner();
            inner.failed.get_or_insert_with(|| io::Error::other("a writer panicked"));
            inner
        })
    }
}

/// What one call of AES-256-GCM sealed or opened.
#[derive(Clone, Copy)]
pub struct Sealed<'a> {
    /// The key.
    pub key: &'a [u8; 32],
    /// The nonce.
    pub nonce: &'a [u8; 12],
    /// The associated data.
    pub associated_data: &'a [u8],
    /// The plaintext, which is as long as the ciphertext.
    pub plaintext: &'a [u8],
    /// The ciphertext, or its first 4,096 bytes, without the tag. It is not written: later operations can refer to it.
    pub ciphertext: &'a [u8],
    /// The tag.
    pub tag: &'a [u8; 16],
}

impl fmt::Debug for Sealed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key: _, nonce: _, associated_data, plaintext, ciphertext: _, tag: _ } = self;
        write!(f, "Sealed: {} bytes with {} of associated data", plaintext.len(), associated_data.len())
    }
}

impl Inner {
    fn record<'a>(&mut self, participant: u8, step: &str, kind: Kind, fields: impl Iterator<Item = Field<'a>> + Clone) {
        self.trace.operation(participant, step, kind, fields);
        if self.is_finished {
            // At once, because the process may end at any moment, and the trace would stay complete.
            self.flush();
            self.failed.get_or_insert_with(|| io::Error::other("an operation was recorded after the end"));
        } else if self.trace.buffer.len() >= BUFFER {
            self.drain();
        }
    }

    /// Writes what is in memory, if there is a writer.
    fn drain(&mut self) {
        if self.writer.is_none() {
            return;
        }
        let mut bytes = self.trace.take();
        self.fallible(|writer| writer.write_all(&bytes));
        bytes.clear();
        // Frees the large buffer that the operations on a large attachment needed.
        bytes.shrink_to(2 * BUFFER);
        self.trace.buffer = bytes;
    }

    fn flush(&mut self) {
        self.drain();
        self.fallible(|writer| writer.flush());
    }

    /// Writes the end, once. The sum is that of the bytes that were to be written, so that the end does not match what
    /// a writer lost.
    fn finish(&mut self) {
        self.drain();
        if self.writer.is_some() && !self.is_finished {
            let end = self.trace.end();
            self.fallible(|writer| writer.write_all(&end));
            self.is_finished = true;
        }
        self.fallible(|writer| writer.flush());
    }

    fn result(&self) -> io::Result<()> {
        self.failed.as_ref().map_or(Ok(()), |error| Err(io::Error::new(error.kind(), error.to_string())))
    }

    /// Calls `act` with the writer, if there is one and it has not failed.
    fn fallible(&mut self, act: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
        if let (Some(writer), None) = (&mut self.writer, &self.failed) {
            self.failed = act(writer).err();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.finish();
    }
}

/// The tape has 256 participants already. A trace numbers them with one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyParticipants;

impl fmt::Display for TooManyParticipants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a trace has at most 256 participants")
    }
}

impl core::error::Error for TooManyParticipants {}

/// One participant's part of a tape. Clones record as the same participant.
#[derive(Clone, Debug)]
pub struct Track {
    tape: Tape,
    participant: u8,
}

impl Track {
    /// The participant's number on the tape.
    #[must_use]
    pub const fn number(&self) -> u8 {
        self.participant
    }

    /// Records an operation: the protocol's step, the primitive, and each input and output in the order of
    /// [`Operation::fields`](super::Operation::fields).
    ///
    /// For AES-256-GCM, [`sealed`](Self::sealed) and [`opened`](Self::opened) give shorter traces.
    pub fn record<'a>(&self, step: &str, kind: Kind, fields: impl Iterator<Item = Field<'a>> + Clone) {
        let mut inner = self.tape.lock();
        inner.recent.begin_operation();
        inner.record(self.participant, step, kind, fields);
    }

    /// Records a sealing. Associated data that the trace had recently is written as a reference to it.
    pub fn sealed(&self, step: &str, sealed: &Sealed<'_>) {
        let fields = [(Role::Plaintext, false, sealed.plaintext), (Role::Tag, true, &sealed.tag[..])];
        self.aead(step, Kind::Seal, sealed, fields);
    }

    /// Records an opening that succeeded. Associated data that the trace had recently is written as a reference to it.
    pub fn opened(&self, step: &str, sealed: &Sealed<'_>) {
        let fields = [(Role::Tag, false, &sealed.tag[..]), (Role::Plaintext, true, sealed.plaintext)];
        self.aead(step, Kind::Open, sealed, fields);
    }

    fn aead(&self, step: &str, kind: Kind, sealed: &Sealed<'_>, last: [(Role, bool, &[u8]); 2]) {
        let mut inner = self.tape.lock();
        let recent = &mut inner.recent;
        recent.begin_operation();
        let reference = reference(sealed.associated_data).filter(|reference| recent.get(reference).is_some());
        let associated_data = match &reference {
            Some(reference) => (Role::AssociatedDataReference, false, &reference[..]),
            None => {
                recent.remember(sealed.associated_data, |_| ());
                (Role::AssociatedData, false, sealed.associated_data)
            }
        };
        recent.remember_sealed(sealed.tag, sealed.ciphertext, |_| ());
        let first = [(Role::AeadKey, false, &sealed.key[..]), (Role::Nonce, false, sealed.nonce), associated_data];
        let fields = first.into_iter().chain(last).map(|(role, is_output, bytes)| Field { role, is_output, bytes });
        inner.record(self.participant, step, kind, fields);
    }

    /// Records a secret that comes from outside the protocol: a storage key, the secret of another handshake. A secret
    /// that is used without a known origin is a finding.
    pub fn given(&self, step: &str, secret: &[u8]) {
        self.record(step, Kind::Given, core::iter::once(Field { role: Role::Value, is_output: true, bytes: secret }));
    }
}

#[cfg(test)]
mod tests;
