// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Triple Ratchet through the public API, under random schedules: messages in both directions over three epochs,
//! any subset lost, some repeated or out of order, with restarts. 20,000 messages in an ordinary run;
//! `NOESCROW_MESSAGES=1000000 cargo test --release --test triple_ratchet -- --nocapture` runs longer.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test states its expectations"
)]

use noescrow::error::DecryptError;
use noescrow::hazmat::AcceptFromAnyone;
use noescrow::{Bundle, ChunkSize, Device, FixedSession, InitiateOptions, Session, StorageKey, UnixSeconds};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Most messages of a side in transit: too few for the Double Ratchet to discard one (32 steps).
const IN_TRANSIT: usize = 40;
/// The same where an epoch takes 13 messages, so that the sparse ratchet discards some first.
const IN_TRANSIT_FOR_LONG: usize = 160;

fn messages() -> usize {
    std::env::var("NOESCROW_MESSAGES").map_or(20_000, |messages| messages.parse().unwrap())
}

fn pick(rng: &mut ChaCha20Rng, below: usize) -> usize {
    rng.next_u32() as usize % below
}

/// A message in transit, and its sender's epoch.
struct InTransit {
    bytes: Vec<u8>,
    text: [u8; 8],
    epoch: u32,
    opened: bool,
}

/// The counts of a conversation's results.
#[derive(Debug, Default)]
struct Outcome {
    sent: usize,
    lost: usize,
    opened: usize,
    /// Copies of messages that were opened.
    repeated: usize,
    /// Without a key, because their epoch was over.
    late: usize,
    epochs: u32,
    restarts: usize,
}

struct Talk {
    sessions: [Session; 2],
    in_transit: [Vec<InTransit>; 2],
    rng: ChaCha20Rng,
    /// Most messages of a side in transit.
    most: usize,
    /// A deliberate fault.
    fault: Fault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// A device returns to an older state now and then, and thus uses keys twice.
    Rollback,
}

impl Talk {
    fn begin(chunk_size: ChunkSize, seed: u64, fault: Fault) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let alice = Device::generate(UnixSeconds(1), &mut rng);
        let mut bob = Device::generate(UnixSeconds(1), &mut rng);
        let mut published = bob.publish(1, UnixSeconds(1), &mut rng).unwrap();
        let one_time = published.one_time_prekeys.pop();
        let bundle = Bundle::new(published.identity, published.signed_prekey, one_time).unwrap();
        let (alice, hello) = alice
            .initiate(bundle, b"hello", InitiateOptions::unverified(UnixSeconds(0)).chunk_size(chunk_size), &mut rng)
            .unwrap();
        let (bob, _) = bob.accept(&hello).unwrap();
        assert_eq!((alice.chunk_size(), bob.chunk_size()), (chunk_size, chunk_size));
        Self { sessions: [alice, bob], in_transit: [Vec::new(), Vec::new()], rng, most: IN_TRANSIT, fault }
    }

    /// Sends and delivers at random until `count` messages have been sent. An error describes the violation.
    fn run(&mut self, count: usize) -> Result<Outcome, String> {
        let mut outcome = Outcome::default();
        let key = StorageKey::new([3; 32]);
        let mut saved = self.sessions.each_ref().map(|session| session.snapshot(&key, 0));
        // Some stretches lose many messages, some none; some are one side's.
        let (mut loss, mut leaning) = (0, 50);
        while outcome.sent < count {
            if pick(&mut self.rng, 200) == 0 {
                (loss, leaning) = (pick(&mut self.rng, 50), [5, 95, 50, 50, 50, 50, 50, 50][pick(&mut self.rng, 8)]);
            }
            let who = usize::from(pick(&mut self.rng, 100) < leaning);
            match pick(&mut self.rng, 100) {
                0 => {
                    if self.fault == Fault::None {
                        saved[who] = self.sessions[who].snapshot(&key, 0);
                    }
                    let subject = self.sessions[who].subject();
                    self.sessions[who] = Session::restore(&saved[who], &key, &subject, 0).unwrap();
                    outcome.restarts += 1;
                }
                1..50 => {
                    outcome.sent += 1;
                    let text = (outcome.sent as u64).to_be_bytes();
                    let session = &mut self.sessions[who];
                    let bytes = session.encrypt(&text, &mut self.rng).map_err(|error| error.to_string())?;
                    let message = InTransit { bytes, text, epoch: session.post_quantum_epoch(), opened: false };
                    let queue = &mut self.in_transit[who];
                    queue.push(message);
                    if queue.len() > self.most {
                        queue.remove(0);
                    }
                }
                dice => self.deliver(who ^ 1, dice, loss, &mut outcome)?,
            }
        }
        outcome.epochs = self.sessions[0].post_quantum_epoch();
        Ok(outcome)
    }

    fn deliver(&mut self, to: usize, dice: usize, loss: usize, outcome: &mut Outcome) -> Result<(), String> {
        let queue = &mut self.in_transit[to ^ 1];
        if queue.is_empty() {
            return Ok(());
        }
        // Mostly the oldest.
        let at = if pick(&mut self.rng, 4) == 0 { pick(&mut self.rng, queue.len()) } else { 0 };
        if pick(&mut self.rng, 100) < loss {
            queue.remove(at);
            outcome.lost += 1;
            return Ok(());
        }
        let (session, message) = (&mut self.sessions[to], &mut queue[at]);
        let epoch = session.post_quantum_epoch();
        let opens = session.decrypt(&message.bytes);
        match (&opens, message.opened) {
            (Ok(opened), false) if opened.plaintext == message.text => outcome.opened += 1,
            (Ok(_), false) => return Err("another text".to_owned()),
            (Ok(_), true) => return Err("opened twice".to_owned()),
            // The header opens while a key of its chain is kept.
            (Err(DecryptError::KeyGone | DecryptError::Refused), true) => outcome.repeated += 1,
            // A message's epoch is its sender's newest or the one before. The receiver keeps keys of its newest epoch
            // and of the two before.
            (Err(DecryptError::KeyGone), false) if message.epoch < epoch => outcome.late += 1,
            (Err(error), false) => return Err(format!("{error}: of epoch {} in epoch {epoch}", message.epoch)),
            (Err(error), true) => return Err(format!("{error}, of a copy")),
        }
        if opens.is_ok() && message.epoch + 3 <= epoch {
            return Err(format!("of epoch {} in epoch {epoch}", message.epoch));
        }
        message.opened |= opens.is_ok();
        // Some arrive once more.
        if dice < 90 {
            queue.remove(at);
        }
        Ok(())
    }
}

/// Attack E16, with everything that a network may do.
/// DR-D7, DR-D9, SP-R2, SP-R3.
#[test]
fn e16_any_subset_in_any_order_opens_once_over_many_epochs() {
    for (part, chunk_size) in ChunkSize::ALL.into_iter().enumerate() {
        // With small chunks an epoch takes long: most messages for the largest chunks, where epochs are short.
        let count = messages() * [10, 15, 25, 50][part] / 100;
        let outcome = Talk::begin(chunk_size, part as u64, Fault::None).run(count).unwrap();
        println!("chunks of {} bytes: {outcome:?}", chunk_size.bytes());
        assert!(outcome.opened > count / 3 && outcome.repeated > 20 && outcome.lost > 20 && outcome.restarts > 5);
        assert!(outcome.epochs as usize > count / (25 * chunk_size_epoch(chunk_size)), "{outcome:?}");
    }
}

/// Messages of an epoch if the sides alternate.
fn chunk_size_epoch(chunk_size: ChunkSize) -> usize {
    let mut epochs = ChunkSize::ALL.into_iter().zip([87, 45, 23, 13]);
    epochs.find_map(|(size, messages)| (size == chunk_size).then_some(messages)).unwrap()
}

#[test]
fn some_messages_arrive_too_late_over_three_epochs() {
    let mut late = 0;
    for seed in 10..14 {
        let mut talk = Talk::begin(ChunkSize::Bytes256, seed, Fault::None);
        talk.most = IN_TRANSIT_FOR_LONG;
        late += talk.run(3_000).unwrap().late;
    }
    assert!(late > 0);
}

/// The oracle notices a device that continues from an older state.
#[test]
fn control_a_rollback_is_noticed() {
    for seed in 0..4 {
        let error = Talk::begin(ChunkSize::Bytes256, seed, Fault::Rollback).run(20_000).unwrap_err();
        assert!(!error.is_empty());
    }
}

/// Memory and stored bytes are within the limits that the README states.
#[test]
fn sizes_are_within_their_limits() {
    // Without skipped keys, which have a separate bound.
    let (fixed, heap) = (size_of::<FixedSession<0>>(), size_of::<Session>());
    println!("a session without skipped keys: {fixed} bytes; on a heap: {heap}");
    assert!(fixed <= 16 << 10 && heap <= 16 << 10);
    assert_eq!(noescrow::MESSAGE_OVERHEAD, 149);
    // And the stored bytes, at every point of two epochs.
    let mut talk = Talk::begin(ChunkSize::Bytes32, 1, Fault::None);
    let (key, mut longest) = (StorageKey::new([1; 32]), 0);
    for number in 0..2 * 87 {
        let message = talk.sessions[number % 2].encrypt(b"text", &mut talk.rng).unwrap();
        assert_eq!(message.len(), if number == 0 { 1904 + 5 } else { 149 + 5 });
        talk.sessions[(number % 2) ^ 1].decrypt(&message).unwrap();
        longest = talk.sessions.iter().map(|session| session.snapshot(&key, 0).len()).fold(longest, usize::max);
    }
    println!("stored: at most {longest} bytes");
    assert!(longest <= 16 << 10);
}
