// SPDX-License-Identifier: MIT OR Apache-2.0
//! Two devices send each other files in chunks, reliably, over an unreliable network.
//!
//! Each side numbers its chunks, keeps the sealed messages until they are acknowledged and otherwise sends the same
//! bytes again: nothing is encrypted twice. The session refuses a copy that arrives late as a replay. No two plaintexts
//! are equal, even if both sides send the same file: a thief of one message's text must not thereby have another's.

use noescrow::{Payload, Sealed, StorageKey, session};
use noescrow_recorder::Recorder;
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// Bytes of file content in a message. With the fields before it, and padded, it is just below 256 KiB, above which the
/// audit keeps a text in pieces.
pub(crate) const CHUNK: usize = 240 << 10;
/// Chunks in transit at a time, in each direction: 4 MiB.
const WINDOW: usize = 17;
/// Associated data of every message, besides the session's.
pub(crate) const ASSOCIATED_DATA: &[u8] = b"court order example";

pub(crate) type Conversation = session::Session<Recorder>;

/// A plaintext begins with its kind and its sender; a tag follows.
const ACKNOWLEDGEMENT: u8 = 0;
const CONTENT: u8 = 1;

/// Random bytes after these. An acknowledgement, or a small file, is too regular for an audit to search for; with them,
/// it searches for every plaintext.
const TAG: usize = 16;

/// The content of the first message: nothing has been received yet.
pub(crate) const NOTHING_YET: [u8; 2 + TAG + 16] = *b"\0\0nothing received\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// One side: the files that it has to send, and those that it has received.
pub(crate) struct Peer {
    side: u8,
    session: Conversation,
    acknowledgements: u64,
    memory: Memory,
    outbox: Outbox,
    inbox: Inbox,
    /// Messages refused because they had been opened before.
    pub(crate) replays_refused: u64,
}

/// When this device saves itself, and thus when it could be stolen.
struct Memory {
    key: StorageKey,
    every: u64,
    messages: u64,
    generation: u64,
}

struct Outbox {
    side: u8,
    files: Vec<PathBuf>,
    reading: Option<(u32, File)>,
    next_file: u32,
    next_chunk: u64,
    unacknowledged: BTreeMap<u64, Vec<u8>>,
}

struct Inbox {
    folder: PathBuf,
    writing: Option<(u32, BufWriter<File>)>,
    /// All chunks below this one have arrived.
    contiguous: u64,
    /// Chunks that arrived early, kept until it is their turn.
    early: BTreeMap<u64, Vec<u8>>,
    received: Vec<PathBuf>,
}

impl Peer {
    /// `side` distinguishes the two. A snapshot under `key` is taken every so many messages.
    pub(crate) fn new(
        side: u8,
        session: Conversation,
        (key, every): (StorageKey, u64),
        files: &[PathBuf],
        folder: &Path,
    ) -> Result<Self, Box<dyn Error>> {
        std::fs::create_dir_all(folder)?;
        Ok(Self {
            side,
            session,
            acknowledgements: 0,
            memory: Memory { key, every, messages: 0, generation: 0 },
            outbox: Outbox {
                side,
                files: files.to_vec(),
                reading: None,
                next_file: 0,
                next_chunk: 0,
                unacknowledged: BTreeMap::new(),
            },
            inbox: Inbox {
                folder: folder.to_path_buf(),
                writing: None,
                contiguous: 0,
                early: BTreeMap::new(),
                received: Vec::new(),
            },
            replays_refused: 0,
        })
    }

    /// Whether all files were sent and acknowledged.
    pub(crate) fn is_done(&self) -> bool {
        self.outbox.is_read() && self.outbox.unacknowledged.is_empty()
    }

    /// The files received, in the order in which they were sent.
    pub(crate) fn received(&self) -> &[PathBuf] {
        &self.inbox.received
    }

    /// Chunks received in order so far.
    pub(crate) fn chunks_received(&self) -> u64 {
        self.inbox.contiguous
    }

    /// Messages to send now: an acknowledgement, unacknowledged chunks, and new chunks.
    pub(crate) fn outgoing(&mut self, rng: &mut impl rand_core::CryptoRng) -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
        self.acknowledgements += 1;
        let acknowledgement = tagged(self.inbox.acknowledgement(self.side, self.acknowledgements), rng);
        let mut batch = vec![self.session.encrypt(
            Payload { plaintext: &acknowledgement, associated_data: ASSOCIATED_DATA, ..Payload::default() },
            rng,
        )?];
        self.memory.after_message(&self.session);
        batch.extend(self.outbox.unacknowledged.values().cloned());
        while self.outbox.unacknowledged.len() < WINDOW {
            let Some(chunk) = self.outbox.next()? else { break };
            let chunk = tagged(chunk, rng);
            let message = self
                .session
                .encrypt(Payload { plaintext: &chunk, associated_data: ASSOCIATED_DATA, ..Payload::default() }, rng)?;
            self.memory.after_message(&self.session);
            batch.push(message.clone());
            self.outbox.unacknowledged.insert(self.outbox.next_chunk, message);
            self.outbox.next_chunk += 1;
        }
        Ok(batch)
    }

    /// Takes one message from the network.
    pub(crate) fn incoming(&mut self, message: &[u8]) -> Result<(), Box<dyn Error>> {
        match self.session.decrypt(Sealed { message, associated_data: ASSOCIATED_DATA }) {
            Ok(opened) => {
                self.memory.after_message(&self.session);
                self.take(&opened.plaintext)
            }
            Err(noescrow::error::DecryptError::KeyGone) => {
                self.replays_refused += 1;
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Takes an opened plaintext: an acknowledgement, or a chunk.
    pub(crate) fn take(&mut self, plaintext: &[u8]) -> Result<(), Box<dyn Error>> {
        match plaintext.split_first() {
            Some((&ACKNOWLEDGEMENT, rest)) => self.outbox.acknowledged(rest.get(1 + TAG + 8..).unwrap_or_default()),
            Some((&CONTENT, rest)) => self.inbox.chunk(rest.get(1 + TAG..).unwrap_or_default()),
            _ => Err("a message of an unknown kind".into()),
        }
    }
}

/// A plaintext with its tag after its kind and its sender.
fn tagged(mut plaintext: Vec<u8>, rng: &mut impl rand_core::CryptoRng) -> Vec<u8> {
    let mut tag = [0; TAG];
    rng.fill_bytes(&mut tag);
    let at = plaintext.len().min(2);
    plaintext.splice(at..at, tag);
    plaintext
}

impl Memory {
    /// The snapshot is not stored: the trace has the state that it seals.
    fn after_message(&mut self, session: &Conversation) {
        self.messages += 1;
        if self.messages.is_multiple_of(self.every) {
            self.generation += 1;
            drop(session.snapshot(&self.key, self.generation));
        }
    }
}

impl Outbox {
    fn is_read(&self) -> bool {
        self.reading.is_none() && self.next_file as usize == self.files.len()
    }

    /// `1 || side || tag (16) || chunk number (8) || file (4) || last (1) || content`; an empty file is one empty chunk.
    fn next(&mut self) -> Result<Option<Vec<u8>>, Box<dyn Error>> {
        if self.reading.is_none() {
            let Some(path) = self.files.get(self.next_file as usize) else { return Ok(None) };
            self.reading = Some((self.next_file, File::open(path)?));
            self.next_file += 1;
        }
        let Some((number, file)) = &mut self.reading else { return Ok(None) };
        let mut content = Vec::with_capacity(CHUNK);
        file.take(CHUNK as u64).read_to_end(&mut content)?;
        let last = content.len() < CHUNK;
        let mut chunk = vec![CONTENT, self.side];
        chunk.extend(self.next_chunk.to_be_bytes());
        chunk.extend(number.to_be_bytes());
        chunk.push(u8::from(last));
        chunk.append(&mut content);
        if last {
            self.reading = None;
        }
        Ok(Some(chunk))
    }

    /// `0 || side || tag (16) || number (8) || contiguous (8) || {early chunk (8)}`: everything received so far, so that losing one
    /// does no harm.
    fn acknowledged(&mut self, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
        let mut numbers = bytes.chunks_exact(8).map(|number| number.try_into().map(u64::from_be_bytes));
        let contiguous = numbers.next().ok_or("an empty acknowledgement")??;
        self.unacknowledged.retain(|number, _| *number >= contiguous);
        for number in numbers {
            self.unacknowledged.remove(&number?);
        }
        Ok(())
    }
}

impl Inbox {
    fn acknowledgement(&self, side: u8, number: u64) -> Vec<u8> {
        let numbers = [number, self.contiguous].into_iter().chain(self.early.keys().copied());
        [ACKNOWLEDGEMENT, side].into_iter().chain(numbers.flat_map(u64::to_be_bytes)).collect()
    }

    fn chunk(&mut self, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
        let (number, rest) = bytes.split_first_chunk().ok_or("a short chunk")?;
        self.early.insert(u64::from_be_bytes(*number), rest.to_vec());
        while let Some(chunk) = self.early.remove(&self.contiguous) {
            self.contiguous += 1;
            self.write(&chunk)?;
        }
        Ok(())
    }

    fn write(&mut self, chunk: &[u8]) -> Result<(), Box<dyn Error>> {
        let (file, rest) = chunk.split_first_chunk().ok_or("a short chunk")?;
        let (last, content) = rest.split_first().ok_or("a short chunk")?;
        let number = u32::from_be_bytes(*file);
        if self.writing.as_ref().is_none_or(|(open, _)| *open != number) {
            let path = self.folder.join(format!("file-{number}"));
            self.writing = Some((number, BufWriter::new(File::create(&path)?)));
            self.received.push(path);
        }
        if let Some((_, file)) = &mut self.writing {
            file.write_all(content)?;
            if *last == 1 {
                file.flush()?;
            }
        }
        Ok(())
    }
}

/// The numbers of a batch that survive, some of them twice, in an order that the network chooses.
pub(crate) fn deliver<T: Clone>(batch: Vec<T>, network: &mut impl rand_core::CryptoRng, losses: &mut Losses) -> Vec<T> {
    let mut delivered = Vec::with_capacity(batch.len());
    for item in batch {
        match network.next_u32() % 100 {
            0..5 => losses.lost += 1,
            5..8 => {
                losses.duplicated += 1;
                delivered.push(item.clone());
                delivered.push(item);
            }
            _ => delivered.push(item),
        }
    }
    let mut moved = BTreeSet::new();
    for at in (1..delivered.len()).rev() {
        let other = network.next_u32() as usize % (at + 1);
        delivered.swap(at, other);
        moved.extend((at != other).then_some(at));
    }
    losses.reordered += moved.len() as u64;
    delivered
}

/// What the network did to messages.
#[derive(Default)]
pub(crate) struct Losses {
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    pub(crate) reordered: u64,
}
