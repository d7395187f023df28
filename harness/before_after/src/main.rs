// SPDX-License-Identifier: MIT OR Apache-2.0
//! The processor time of an operation in two versions of noescrow, in one process.
//!
//! Both versions perform the same operation in turns, and in each round the other one begins. The difference is taken for
//! each pair, and the quartiles over the differences, so that what disturbs both does not count.

mod before;
mod now;

use before::Before;
use now::Now;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::hint::black_box;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
/// How far ahead a glued header is in its chain: as far as the version before permits.
const AHEAD: usize = 999;

/// One version of the crate.
trait Version {
    type Session;

    /// Two sessions that have both sent and received.
    fn pair(rng: &mut ChaCha20Rng) -> (Self::Session, Self::Session);
    fn encrypt(session: &mut Self::Session, plaintext: &[u8], rng: &mut ChaCha20Rng) -> Vec<u8>;
    /// Returns the plaintext's length, if the message opens.
    fn decrypt(session: &mut Self::Session, message: &[u8]) -> Option<usize>;
}

/// One conversation of a version, with its own generator.
struct Talk<V: Version> {
    alice: V::Session,
    bob: V::Session,
    rng: ChaCha20Rng,
}

impl<V: Version> Talk<V> {
    fn new() -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let (alice, bob) = V::pair(&mut rng);
        Self { alice, bob, rng }
    }

    /// Nanoseconds of a message's encryption and decryption, each averaged over `count` messages of one chain. A reply
    /// follows, outside the measurement.
    fn messages(&mut self, plaintext: &[u8], count: usize) -> [f64; 2] {
        let Self { alice, bob, rng } = self;
        let mut messages = Vec::with_capacity(count);
        let encrypt = time(|| messages.extend((0..count).map(|_| V::encrypt(alice, plaintext, rng))));
        let decrypt = time(|| {
            for message in &messages {
                assert_eq!(black_box(V::decrypt(bob, message)), Some(plaintext.len()));
            }
        });
        let reply = V::encrypt(bob, b"reply", rng);
        assert!(V::decrypt(alice, &reply).is_some());
        [encrypt, decrypt].map(|time| time / count as f64)
    }

    /// Nanoseconds of refusing `message`, averaged over `count` attempts.
    fn refusal(&mut self, message: &[u8], count: usize) -> f64 {
        let time = time(|| {
            for _ in 0..count {
                assert_eq!(black_box(V::decrypt(&mut self.bob, message)), None);
            }
        });
        time / count as f64
    }

    /// Random bytes of the length of a message of `len` bytes of text, with a message's first byte.
    fn junk(&mut self, len: usize) -> Vec<u8> {
        let mut message = V::encrypt(&mut self.alice, &vec![0; len], &mut self.rng);
        if let Some((_, rest)) = message.split_first_mut() {
            self.rng.fill_bytes(rest);
        }
        message
    }

    /// The genuine header of a message that is [`AHEAD`] messages ahead, with another body. `head` is the length in
    /// bytes of what precedes the body's ciphertext.
    fn glued(&mut self, len: usize, head: usize) -> Vec<u8> {
        let Self { alice, bob: _, rng } = self;
        let mut message = Vec::new();
        for _ in 0..=AHEAD {
            message = V::encrypt(alice, &vec![0; len], rng);
        }
        rng.fill_bytes(message.get_mut(head..).unwrap_or_default());
        message
    }
}

/// Processor time of this thread in nanoseconds.
fn time(routine: impl FnOnce()) -> f64 {
    let now = || {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
    };
    let started = now();
    routine();
    now() - started
}

/// Measures both in turns, `rounds` times.
fn in_turns<T>(rounds: usize, mut before: impl FnMut() -> T, mut now: impl FnMut() -> T) -> Vec<(T, T)> {
    // Not counted: caches, and the processor's clock.
    (before(), now());
    (0..rounds)
        .map(|round| {
            if round % 2 == 0 {
                let first = before();
                (first, now())
            } else {
                let first = now();
                (before(), first)
            }
        })
        .collect()
}

fn quartiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| values.get(values.len() * quarter / 4).copied().unwrap_or(f64::NAN))
}

fn print(what: &str, pairs: Vec<(f64, f64)>) {
    let differences = pairs.iter().map(|(before, now)| now - before).collect();
    let (before, now): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
    let ([_, before, _], [_, now, _], [low, median, high]) =
        (quartiles(before), quartiles(now), quartiles(differences));
    // The ratio that the paired differences give.
    let ratio = (before + median) / before;
    let [before, now, low, median, high] = [before, now, low, median, high].map(|nanoseconds| nanoseconds / 1e3);
    println!("{what:<28}{before:>11.2} us{now:>11.2} us{ratio:>8.3}{median:>+11.3} us ({low:+.3} to {high:+.3})");
}

fn main() {
    // One round each, without a result that means anything.
    let quick = std::env::args().any(|argument| argument == "--quick");
    let rounds = |rounds| if quick { 1 } else { rounds };
    println!("{:<28}{:>14}{:>14}{:>8}   difference: median (quartiles)", "", "before", "now", "ratio");

    for (name, len, count, repeats) in
        [("32 B", 32, 16, 2_000), ("1 KiB", KIB, 16, 2_000), ("64 KiB", 64 * KIB, 4, 1_000), ("1 MiB", MIB, 1, 1_000)]
    {
        let (mut before, mut now) = (Talk::<Before>::new(), Talk::<Now>::new());
        let text = vec![0x6E; len];
        let pairs = in_turns(rounds(repeats), || before.messages(&text, count), || now.messages(&text, count));
        print(&format!("encrypt {name}"), pairs.iter().map(|(before, now)| (before[0], now[0])).collect());
        print(&format!("decrypt {name}"), pairs.iter().map(|(before, now)| (before[1], now[1])).collect());
    }

    for (name, len, count, repeats) in [("1 KiB", KIB, 200, 300), ("16 MiB", 16 * MIB, 1, 40)] {
        let (mut before, mut now) = (Talk::<Before>::new(), Talk::<Now>::new());
        let (old, new) = (before.junk(len), now.junk(len));
        let pairs = in_turns(rounds(repeats), || before.refusal(&old, count), || now.refusal(&new, count));
        print(&format!("junk {name}, a session"), pairs);
    }

    for (name, len) in [("32 B", 32), ("64 KiB", 64 * KIB)] {
        let (mut before, mut now) = (Talk::<Before>::new(), Talk::<Now>::new());
        let (old, new) = (before.glued(len, before::HEAD_LEN), now.glued(len, now::HEAD_LEN));
        let pairs = in_turns(rounds(100), || before.refusal(&old, 1), || now.refusal(&new, 1));
        print(&format!("glued header, {name}"), pairs);
    }
}
