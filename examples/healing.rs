// SPDX-License-Identifier: MIT OR Apache-2.0
//! After how many messages does secrecy return when a device was stolen? Read from the secrecy matrix of recorded
//! conversations, for a thief with today's computers and for one who also has a quantum computer, which computes every
//! X25519 private key from the public one.
//!
//! ```sh
//! cargo run --release --example healing -- [RUNS]
//! ```
//!
//! Each figure is from RUNS conversations (default 12), in which Alice's memory is stolen at as many points of an
//! epoch. The thief is passive. A figure counts the messages sent after the theft, lost ones too, up to and including
//! the last exposed one.
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "an example may stop")]

use noescrow::error::AcceptError;
use noescrow::{Bundle, Capacity, ChunkSize, InitiateOptions, StorageKey, UnixSeconds, device, session};
use noescrow_audit::{Audit, Tape, Thief};
use noescrow_recorder::{Recorder, profile};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use std::error::Error;

type Device = device::Device<Recorder, Capacity<1, 1>>;
type Session = session::Session<Recorder>;

const NOW: UnixSeconds = UnixSeconds(1);
/// Messages of a burst by one side, before the other one sends one.
const BURST: usize = 10;
/// Messages without an answer.
const SILENCE: usize = 200;
/// Epochs for which a conversation continues after the theft.
const EPOCHS: usize = 5;

/// How the two take turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Schedule {
    Turns,
    Bursts,
    Silence,
    Losses,
}

impl Schedule {
    const ALL: [Self; 4] = [Self::Turns, Self::Bursts, Self::Silence, Self::Losses];

    const fn name(self) -> &'static str {
        match self {
            Self::Turns => "in turns",
            Self::Bursts => "10 of one side, 1 of the other",
            Self::Silence => "200 without an answer, then in turns",
            Self::Losses => "in turns, 30 % lost",
        }
    }

    /// Whether Alice sends message `number` after the theft.
    const fn is_alices(self, number: usize) -> bool {
        match self {
            Self::Turns | Self::Losses => number.is_multiple_of(2),
            Self::Bursts => !(number + 1).is_multiple_of(BURST + 1),
            Self::Silence => number < SILENCE || number.is_multiple_of(2),
        }
    }

    /// How many messages such a conversation needs to match `turns` messages in turns.
    const fn messages(self, turns: usize) -> usize {
        match self {
            Self::Turns => turns,
            // The side with fewer messages determines the progress.
            Self::Bursts => turns * (BURST + 1) / 2,
            Self::Silence => SILENCE + turns,
            Self::Losses => 2 * turns,
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let runs = std::env::args().nth(1).map_or(Ok(12), |runs| runs.parse())?;
    if runs == 0 {
        return Err("RUNS is at least 1".into());
    }
    println!("Messages after a theft until secrecy returns: median and maximum of {runs} thefts.\n");
    println!("| chunk | conversation | today's thief | with a quantum computer |");
    println!("|---|---|---|---|");
    for chunk_size in ChunkSize::ALL {
        for schedule in Schedule::ALL {
            let healed = (0..runs).map(|run| heal(chunk_size, schedule, run, runs)).collect::<Result<Vec<_>, _>>()?;
            let [today, quantum] = [0, 1].map(|thief| {
                let mut messages: Vec<Option<usize>> = healed.iter().map(|run| run[thief]).collect();
                // A conversation that did not recover counts as the worst.
                messages.sort_by_key(|messages| messages.unwrap_or(usize::MAX));
                let shown = |messages: Option<usize>| messages.map_or("never".to_owned(), |count| count.to_string());
                format!("{}, {}", shown(messages[messages.len() / 2]), shown(messages[messages.len() - 1]))
            });
            println!("| {} | {} | {today} | {quantum} |", chunk_size.bytes(), schedule.name());
        }
    }
    Ok(())
}

/// The messages exposed to each thief after the theft; `None` if no secret message follows them.
fn heal(
    chunk_size: ChunkSize,
    schedule: Schedule,
    run: usize,
    runs: usize,
) -> Result<[Option<usize>; 2], Box<dyn Error>> {
    let mut talk = Talk::begin(chunk_size, run as u64)?;
    let epoch = match chunk_size {
        ChunkSize::Bytes32 => 87,
        ChunkSize::Bytes64 => 45,
        ChunkSize::Bytes128 => 23,
        ChunkSize::Bytes256 => 13,
        other => return Err(format!("the length of an epoch with {other:?} is not known").into()),
    };
    // Two epochs, in which the roles change, and part of two more.
    for number in 0..2 * epoch + 2 * epoch * run / runs {
        talk.send(number.is_multiple_of(2), false)?;
    }
    // For the audit alone: the memory of Alice's device at this moment.
    let _ = talk.alice.snapshot(&StorageKey::new([7; 32]), 1);
    for number in 0..schedule.messages(EPOCHS * epoch) {
        let lost = schedule == Schedule::Losses && talk.rng.next_u32() % 10 < 3;
        talk.send(schedule.is_alices(number), lost)?;
    }
    let examination = Audit::of(profile(), &talk.tape)?.examine();
    let thefts = examination.thefts();
    Ok([false, true].map(|quantum| {
        let matrix = examination.secrecy_matrix(&thefts, &Thief { quantum, ..Thief::default() });
        matrix.healing(0).filter(|healing| healing.healed).map(|healing| healing.messages)
    }))
}

/// A conversation between devices that record.
struct Talk {
    tape: Tape,
    alice: Session,
    bob: Session,
    rng: ChaCha20Rng,
}

impl Talk {
    fn begin(chunk_size: ChunkSize, seed: u64) -> Result<Self, Box<dyn Error>> {
        let (tape, mut rng) = (Tape::in_memory(), ChaCha20Rng::seed_from_u64(seed));
        let recorder = |name| Recorder::device(&tape, name);
        let alice = Device::generate_with(recorder("Alice")?, NOW, &mut rng);
        let mut bob = Device::generate_with(recorder("Bob")?, NOW, &mut rng);
        let mut published = bob.publish(1, NOW, &mut rng)?;
        let bundle = Bundle::new(published.identity, published.signed_prekey, published.one_time_prekeys.pop())?;
        let (alice, hello) = alice.initiate(
            bundle,
            b"hello",
            InitiateOptions::unverified(UnixSeconds(0)).chunk_size(chunk_size),
            &mut rng,
        )?;
        let (bob, _) = bob.open(&hello)?.accept(b"").map_err(AcceptError::from)?;
        Ok(Self { tape, alice, bob, rng })
    }

    fn send(&mut self, is_alices: bool, is_lost: bool) -> Result<(), Box<dyn Error>> {
        let (from, to) = if is_alices { (&mut self.alice, &mut self.bob) } else { (&mut self.bob, &mut self.alice) };
        let message = from.encrypt(b"a message", &mut self.rng)?;
        if !is_lost {
            to.decrypt(&message)?;
        }
        Ok(())
    }
}
