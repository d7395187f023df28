// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tests of the Braid between two parties: `transitions`, each by its number; `schedules`, random ones; `attacks`, E1
//! to E12; `bytes`, the encodings of messages and of stored states; `restored`, states after a restart.

mod attacks;
mod bytes;
mod restored;
mod schedules;
mod transitions;

extern crate std;

use super::erasure::Codeword;
use super::message::{Message, Payload};
use super::states::{Braid, Incoming, State};
use super::{Abandoned, Epoch, EpochKey};
use crate::error::DecodeError;
use crate::primitives::{Failed, Primitives, RustCrypto};
use crate::secret::Secret;
use crate::test_support::hex;
use crate::wire::ChunkSize::{self, Bytes32, Bytes64, Bytes128, Bytes256};
use crate::wire::{Reader, Writer};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::vec;
use std::vec::Vec;

const SECRET: [u8; 32] = [0x5C; 32];
const LAST: u32 = u32::MAX - 1;

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn name(braid: &Braid) -> &'static str {
    match &braid.state {
        State::KeysUnsampled(_) => "KeysUnsampled",
        State::KeysSampled(_) => "KeysSampled",
        State::HeaderSent(_) => "HeaderSent",
        State::Ct1Received(_) => "Ct1Received",
        State::EkSentCt1Received(_) => "EkSentCt1Received",
        State::NoHeaderReceived(_) => "NoHeaderReceived",
        State::HeaderReceived(_) => "HeaderReceived",
        State::Ct1Sampled(_) => "Ct1Sampled",
        State::EkReceivedCt1Sampled(_) => "EkReceivedCt1Sampled",
        State::Ct1Acknowledged(_) => "Ct1Acknowledged",
        State::Ct2Sampled(_) => "Ct2Sampled",
        State::Dead => "Dead",
    }
}

const STATES: [&str; 12] = [
    "Dead",
    "KeysUnsampled",
    "KeysSampled",
    "HeaderSent",
    "Ct1Received",
    "EkSentCt1Received",
    "NoHeaderReceived",
    "HeaderReceived",
    "Ct1Sampled",
    "EkReceivedCt1Sampled",
    "Ct1Acknowledged",
    "Ct2Sampled",
];

fn stored(braid: &Braid) -> Vec<u8> {
    let mut bytes = vec![0; braid.stored_len()];
    let mut writer = Writer::new(&mut bytes);
    braid.store(&mut writer).unwrap();
    assert_eq!(writer.written(), braid.stored_len());
    bytes
}

fn loaded(chunk_size: ChunkSize, bytes: &[u8]) -> Result<Braid, DecodeError> {
    let mut reader = Reader::new(bytes);
    let braid = Braid::load(chunk_size, &mut reader)?;
    reader.finish()?;
    Ok(braid)
}

fn written(chunk_size: ChunkSize, message: &Message) -> Vec<u8> {
    let mut bytes = vec![0; 7 + chunk_size.bytes()];
    let mut writer = Writer::new(&mut bytes);
    message.write(chunk_size, &mut writer).unwrap();
    assert_eq!(writer.written(), 7 + chunk_size.bytes());
    bytes
}

fn parsed(chunk_size: ChunkSize, bytes: &[u8]) -> Result<Message, DecodeError> {
    let mut reader = Reader::new(bytes);
    let message = Message::parse(chunk_size, &mut reader)?;
    reader.finish()?;
    Ok(message)
}

/// One party, and the keys that it has output.
struct Party {
    braid: Braid,
    keys: Vec<(u32, [u8; 32])>,
    rng: ChaCha20Rng,
}

impl Party {
    fn new(braid: Braid, seed: u64) -> Self {
        Self { braid, keys: Vec::new(), rng: rng(seed) }
    }

    fn record_key(&mut self, key: Option<EpochKey>) {
        self.keys.extend(key.map(|key| (key.epoch.number(), *key.key.expose())));
    }

    fn send(&mut self) -> Message {
        let outgoing = self.braid.send(&RustCrypto, &mut self.rng).unwrap();
        assert_eq!(outgoing.sending_epoch, outgoing.message.epoch.before());
        self.record_key(outgoing.key);
        let size = self.braid.chunk_size;
        parsed(size, &written(size, &outgoing.message)).unwrap()
    }

    fn receive(&mut self, message: &Message) {
        let mut incoming = self.stage(message);
        let receiving_epoch = incoming.receiving_epoch;
        self.record_key(incoming.key.take());
        self.braid.commit(incoming).unwrap();
        // The guarantee of `sending_epoch`.
        assert!(self.keys.len() as u32 >= receiving_epoch);
    }

    fn stage(&self, message: &Message) -> Incoming {
        self.braid.receive(&RustCrypto, message).unwrap()
    }

    /// Commits a message that may make the Braid fail.
    fn commit(&mut self, message: &Message) -> Result<(), Abandoned> {
        let incoming = self.braid.receive(&RustCrypto, message)?;
        self.braid.commit(incoming)
    }

    fn restart(&mut self) {
        let bytes = stored(&self.braid);
        self.braid = loaded(self.braid.chunk_size, &bytes).unwrap();
        assert_eq!(stored(&self.braid), bytes);
    }
}

struct Pair {
    a: Party,
    b: Party,
    /// Number of messages sent in turns.
    turns: usize,
}

impl Pair {
    fn new(chunk_size: ChunkSize, seed: u64) -> Self {
        let secret = Secret::new(SECRET);
        Self {
            a: Party::new(Braid::initiator(&RustCrypto, &secret, chunk_size), 2 * seed),
            b: Party::new(Braid::responder(&RustCrypto, &secret, chunk_size), 2 * seed + 1),
            turns: 0,
        }
    }

    /// Sends one message, from each party in turn. The other party receives it unless `lost` returns true.
    fn turn(&mut self, lost: impl Fn(&Payload) -> bool) {
        let (from, to) =
            if self.turns.is_multiple_of(2) { (&mut self.a, &mut self.b) } else { (&mut self.b, &mut self.a) };
        let message = from.send();
        if !lost(&message.payload) {
            to.receive(&message);
        }
        self.turns += 1;
    }

    /// Takes turns until the parties are in these states.
    fn until(mut self, a: &str, b: &str, lost: impl Fn(&Payload) -> bool) -> Self {
        for _ in 0..400 {
            if self.names() == (a, b) {
                return self;
            }
            self.turn(&lost);
        }
        panic!("{a} and {b} never came together")
    }

    fn names(&self) -> (&'static str, &'static str) {
        (name(&self.a.braid), name(&self.b.braid))
    }
}

fn none(_: &Payload) -> bool {
    false
}

/// Loses all chunks of ct1 except the first, until ek_vector has arrived.
fn ct1_lost(payload: &Payload) -> bool {
    matches!(payload, Payload::Ct1(codeword) if (1..50).contains(&codeword.index))
}

/// Returns both parties in the middle of epoch 1: A is in HeaderSent with one chunk of ct1, B in Ct1Sampled.
fn pair_in_mid_epoch(chunk_size: ChunkSize, seed: u64) -> Pair {
    Pair::new(chunk_size, seed).until("HeaderSent", "Ct1Sampled", none)
}

/// Calls `look` once for each of the eleven states, with the party that is in it. Chunks have 128 bytes.
fn for_every_state(mut look: impl FnMut(&Pair, char)) {
    let mut seen = std::collections::BTreeSet::new();
    let mut visit = |pair: &Pair| {
        for (party, name) in [('a', name(&pair.a.braid)), ('b', name(&pair.b.braid))] {
            if seen.insert(name) {
                look(pair, party);
            }
        }
    };
    for lost in [none, ct1_lost] {
        let mut pair = Pair::new(Bytes128, 77);
        for _ in 0..60 {
            pair.turn(lost);
            visit(&pair);
        }
    }
    assert_eq!(seen.len(), 11, "{seen:?}");
}

/// Attack E6: there is no fallback, not even after a restart.
fn assert_is_dead(party: &mut Party) {
    for _ in 0..2 {
        assert_eq!(name(&party.braid), "Dead");
        assert_eq!(party.braid.epoch(), None);
        assert_eq!(party.braid.send(&RustCrypto, &mut party.rng).map(drop), Err(Abandoned));
        let message = Message { epoch: Epoch::FIRST, payload: Payload::None };
        assert_eq!(party.braid.receive(&RustCrypto, &message).map(drop), Err(Abandoned));
        assert_eq!(stored(&party.braid), [0]);
        party.restart();
    }
}
