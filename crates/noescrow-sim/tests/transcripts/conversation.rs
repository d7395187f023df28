// SPDX-License-Identifier: MIT OR Apache-2.0
//! Long conversations over an unreliable network, through several post-quantum epochs.

use super::handshake::at;
use super::json::{Event, Transcript, hex};
use super::stage::Stage;
use super::{Making, begin, deliver, send, transcript};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::json;

/// Chunk size and number of messages sent: enough for [`EPOCHS`]. The smallest size and the largest;
/// handshakes and snapshots have the other two.
const CONVERSATIONS: [(u64, usize); 2] = [(32, 300), (256, 90)];
/// Epochs that both sides reach at least; the values at the beginning of each are recorded.
const EPOCHS: u64 = 3;
/// One event in so many has its values recorded, too.
const CHECKPOINT: usize = 60;
/// Steps of the Braid whose values are also recorded, when they are first taken.
const BRAID: [&str; 5] = ["BR-1", "BR-5", "BR-7", "BR-9", "BR-11"];
const NAMES: [&str; 2] = ["Alice", "Bob"];

pub fn transcripts() -> Vec<Transcript> {
    CONVERSATIONS.map(|(chunk_size, messages)| conversation(chunk_size, messages)).to_vec()
}

/// A message in transit.
struct Flying {
    to: usize,
    sent: Event,
    associated: Vec<u8>,
}

struct Network {
    stage: Making,
    /// Decides what happens; no byte of it is in a message.
    chance: ChaCha20Rng,
    flying: Vec<Flying>,
    epochs: [u64; 2],
}

fn conversation(chunk_size: u64, messages: usize) -> Transcript {
    let mut stage = Stage::seeded(100 + chunk_size);
    begin(&mut stage, chunk_size);
    let chance = ChaCha20Rng::seed_from_u64(200 + chunk_size);
    let mut network = Network { stage, chance, flying: vec![], epochs: [0; 2] };
    let mut speaker = 1;
    for number in 0..messages {
        network.send(speaker, number);
        network.happen();
        // Mostly alternating: an epoch takes messages of both.
        if network.below(5) < 4 {
            speaker = 1 - speaker;
        }
    }
    while !network.flying.is_empty() {
        network.arrive(0);
    }
    assert!(network.epochs.iter().all(|epoch| *epoch >= EPOCHS), "{chunk_size}: {:?}", network.epochs);
    network.stage.want_steps(&BRAID);
    let comment = format!(
        "{messages} messages over a network that loses, reorders, repeats and alters; chunks of {chunk_size} bytes."
    );
    transcript(&format!("conversation_{chunk_size}"), &comment, network.stage)
}

impl Network {
    /// A number below `of`.
    fn below(&mut self, of: u32) -> u32 {
        self.chance.next_u32() % of
    }

    fn send(&mut self, from: usize, number: usize) {
        let text = match self.below(12) {
            0 => vec![],
            1 => vec![b'.'; 60],
            _ => format!("{} {number}", NAMES[from]).into_bytes(),
        };
        let associated = if self.below(4) == 0 { b"room 1".to_vec() } else { vec![] };
        let sent = self.stage.play(send(NAMES[from], &text, &associated));
        self.note(&sent, from);
        self.flying.push(Flying { to: 1 - from, sent, associated });
    }

    /// Messages arrive until few are left, mostly in order.
    fn happen(&mut self) {
        while self.flying.len() > 6 || (!self.flying.is_empty() && self.below(8) > 0) {
            let last = u32::try_from(self.flying.len()).unwrap();
            let at = if self.below(4) == 0 { self.below(last) } else { 0 };
            self.arrive(usize::try_from(at).unwrap());
        }
    }

    /// Decides a message's fate.
    fn arrive(&mut self, which: usize) {
        match self.below(24) {
            0 | 1 => {
                let lost = self.flying.remove(which);
                self.stage.play(json!({"do": "drop", "of": lost.sent["at"]}));
            }
            2 => {
                self.deliver(which);
                self.repeat(which);
                self.flying.remove(which);
            }
            3 => {
                let altered = self.altered(which);
                let Flying { to, associated, .. } = &self.flying[which];
                let (to, associated) = (*to, hex(associated));
                let event = json!({
                    "do": "deliver", "session": NAMES[to], "bytes": altered, "associated_data": associated,
                    "why": "DR-D1 to DR-D8: one bit was altered on the way",
                });
                let delivered = self.stage.play(event);
                assert_eq!(delivered["refused"], "refused");
            }
            _ => {
                self.deliver(which);
                self.flying.remove(which);
            }
        }
    }

    fn altered(&mut self, which: usize) -> String {
        let mut bytes = super::json::hex_of(&self.flying[which].sent["message"]).unwrap();
        let len = u32::try_from(bytes.len()).unwrap();
        let at = usize::try_from(self.below(len)).unwrap();
        bytes[at] ^= 1 << self.below(8);
        hex(&bytes)
    }

    /// Delivers what has been delivered before.
    fn repeat(&mut self, which: usize) {
        let Flying { to, sent, associated } = &self.flying[which];
        let mut event = deliver(NAMES[*to], sent, associated);
        event["why"] = json!("SP-R1, DR-D4: opened before");
        let delivered = self.stage.play(event);
        assert!(["refused", "key gone"].contains(&delivered["refused"].as_str().unwrap()));
    }

    fn deliver(&mut self, which: usize) {
        let Flying { to, sent, associated } = &self.flying[which];
        let to = *to;
        let delivered = self.stage.play(deliver(NAMES[to], sent, associated));
        self.note(&delivered, to);
    }

    /// Values are recorded now and then, and where an epoch begins.
    fn note(&mut self, event: &Event, who: usize) {
        let epoch = event["epoch"].as_u64().unwrap();
        let begins = epoch > self.epochs[who] && epoch <= EPOCHS;
        if begins || at(event).is_multiple_of(CHECKPOINT) || at(event) < 8 {
            self.stage.want_values(at(event));
        }
        self.epochs[who] = epoch;
    }
}
