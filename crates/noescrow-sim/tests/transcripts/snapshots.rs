// SPDX-License-Identifier: MIT OR Apache-2.0
//! A session stored in every state of the Braid, and a device with everything that it can have; each is restored and
//! continues.

use super::forge::Forgery;
use super::handshake::at;
use super::json::{Event, Transcript, hex};
use super::stage::Stage;
use super::stored::Places;
use super::{Making, NOW, accept, bundle, deliver, initiate, send, text_of, transcript, two_devices};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::json;
use std::collections::BTreeSet;

const STORAGE_KEY: [u8; 32] = [0xA5; 32];
const NAMES: [&str; 2] = ["Alice", "Bob"];
/// The Braid's states except the failed one, by their number in a stored session.
const STATES: std::ops::RangeInclusive<u8> = 1..=11;
/// Messages after which all of them have occurred.
const ENOUGH: usize = 400;
/// Offsets in a header of the Braid's message, which begins with its type, and of its chunk.
const KIND: usize = 40;
const CHUNK: usize = 47;

/// A conversation whose states are stored as they occur.
struct StoredStates {
    stage: Making,
    generation: u64,
    stored: BTreeSet<u8>,
}

pub fn snapshots() -> Transcript {
    let mut stage = Stage::seeded(20);
    let [_, bob] = two_devices(&mut stage);
    let (identity, prekey) = (text_of(&bob, "identity"), text_of(&bob, "signed_prekey"));
    stage.play(json!({"do": "publish", "device": "Bob", "count": 2, "now": NOW}));
    stage.play(json!({"do": "rotate", "device": "Bob", "now": NOW + 1}));
    let mut conversation = StoredStates { stage, generation: 0, stored: BTreeSet::new() };

    // On the last-resort key before the rotation, so that the device has a replay record and a previous prekey.
    let first = initiate(&mut conversation.stage, &bundle(&identity, &prekey, None), 128, b"hello Bob", b"");
    conversation.store_new_state("Alice");
    accept(&mut conversation.stage, &first, b"");
    conversation.store_new_state("Bob");
    conversation.store("device", "Bob");

    conversation.talk();
    conversation.fail();
    conversation.stage.want_steps(&["BR-12"]);
    let comment = "Sessions stored in every state of the Braid, devices, and each restored; storage keys and generations are \
                   given. Chunks of 128 bytes.";
    transcript("snapshots", comment, conversation.stage)
}

impl StoredStates {
    /// Stores a session whose Braid is in a state that has not been stored yet.
    fn store_new_state(&mut self, name: &str) {
        let state = self.stage.state(name);
        let braid = state[Places::of(&state).braid];
        if self.stored.insert(braid) {
            self.store("session", name);
        }
    }

    /// Stores, and restores under the same name.
    fn store(&mut self, kind: &str, name: &str) -> Event {
        self.generation += 1;
        let stored = self.stage.play(json!({
            "do": "store", "kind": kind, "name": name, "storage_key": hex(&STORAGE_KEY), "generation": self.generation,
            "values": {},
        }));
        self.stage.play(json!({
            "do": "restore", "kind": kind, "name": name, "storage_key": hex(&STORAGE_KEY), "newest": self.generation,
            "subject": stored["subject"], "of": stored["at"],
        }));
        stored
    }

    /// Runs until every state of the Braid has been stored. Bursts of either side and delayed messages lead to the
    /// rarer states; delayed messages use skipped keys.
    fn talk(&mut self) {
        let mut chance = ChaCha20Rng::seed_from_u64(21);
        let mut waiting: [Vec<Event>; 2] = Default::default();
        for number in 0..ENOUGH {
            if STATES.into_iter().all(|state| self.stored.contains(&state)) {
                return;
            }
            let from = usize::from(chance.next_u32() % 2 == 0);
            let sent = self.stage.play(send(NAMES[from], format!("{number}").as_bytes(), b""));
            self.store_new_state(NAMES[from]);
            waiting[1 - from].push(sent);
            if chance.next_u32() % 3 == 0 {
                continue;
            }
            for (to, waiting) in waiting.iter_mut().enumerate() {
                let late = waiting.len() > 1 && chance.next_u32() % 4 == 0;
                let arrive = if late { waiting.drain(1..) } else { waiting.drain(..) };
                for message in arrive {
                    let delivered = self.stage.play(deliver(NAMES[to], &message, b""));
                    assert!(delivered.contains_key("plaintext"));
                    self.store_new_state(NAMES[to]);
                }
            }
        }
        panic!("only {:?} were stored", self.stored);
    }

    /// A dishonest peer: the Braid fails, and the stored state keeps that for ever.
    fn fail(&mut self) {
        for _ in 0..ENOUGH {
            for [from, to] in [NAMES, [NAMES[1], NAMES[0]]] {
                let sent = self.stage.play(send(from, b"ping", b""));
                let genuine = Forgery::of(&self.stage, &sent);
                if genuine.header[KIND] == 0 {
                    self.stage.play(deliver(to, &sent, b""));
                    continue;
                }
                let forged = genuine.with(|forgery| forgery.header[CHUNK] ^= 1);
                let delivered = self.stage.play(json!({
                    "do": "deliver", "session": to, "bytes": hex(&forged), "associated_data": "",
                    "why": "the first byte of the chunk is another one: a hostile peer's",
                }));
                assert!(delivered.contains_key("plaintext"));
                if delivered.contains_key("abandoned") {
                    self.stage.want_values(at(&delivered));
                    self.store_new_state(to);
                    for mut event in [send(to, b"ping", b""), deliver(to, &sent, b"")] {
                        event["why"] = json!("FL-3.2: abandoned, also after it was restored");
                        self.stage.play(event);
                    }
                    return;
                }
            }
        }
        panic!("nothing failed");
    }
}
