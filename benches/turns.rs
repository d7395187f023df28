// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a message costs beside the kernel's same message, in turns, averaged over an epoch. The difference of two numbers
//! that are twenty times as large: so an epoch of ours and one of the kernel's take turns, and the medians of many are
//! compared. README.md says what is measured.
#![allow(missing_docs, dead_code, clippy::unwrap_used, reason = "a benchmark that panics fails, as it should")]

mod kernel;
mod processor_time;

use noescrow::{Bundle, ChunkSize, Device, Session};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use std::hint::black_box;
use std::mem::swap;
use std::time::Duration;

const NOW: u64 = 1_800_000_000;
const LATER: u64 = NOW + 30 * 86_400;
const TEXT: [u8; 32] = [0x6E; 32];
/// Of each, in turns.
const EPOCHS: usize = 300;

fn main() {
    kernel::check(NOW, LATER);
    // `cargo bench -- --test`: once, unmeasured.
    let epochs = if std::env::args().any(|argument| argument == "--test") { 1 } else { EPOCHS };
    println!("in turns, 32 B            noescrow      kernel   beside it, a message");
    for (chunk_size, messages) in
        [(ChunkSize::Bytes32, 87), (ChunkSize::Bytes64, 45), (ChunkSize::Bytes128, 23), (ChunkSize::Bytes256, 13)]
    {
        let (ours, raw) = medians(chunk_size, messages, epochs);
        let beside = (ours.as_secs_f64() - raw.as_secs_f64()) * 1e6 / f64::from(messages);
        let what = format!("an epoch of {} B, {messages}", chunk_size.bytes());
        println!("{what:<22}{:>9} us{:>9} us{beside:>20.2} us", ours.as_micros(), raw.as_micros());
    }
}

fn medians(chunk_size: ChunkSize, messages: u32, epochs: usize) -> (Duration, Duration) {
    let (mut alice, mut bob) = pair(chunk_size);
    let (mut raw_alice, mut raw_bob) = kernel_pair();
    let (mut rng, mut kem) = (ChaCha20Rng::seed_from_u64(13), ChaCha20Rng::seed_from_u64(14));
    let (mut ours, mut raw) = (Vec::new(), Vec::new());
    for _ in 0..epochs {
        ours.push(time(|| {
            for _ in 0..messages {
                let message = alice.encrypt(&TEXT, b"", &mut rng).unwrap();
                black_box(bob.decrypt(&message, b"").unwrap());
                swap(&mut alice, &mut bob);
            }
        }));
        raw.push(time(|| {
            for _ in 0..messages {
                black_box(raw_bob.open_step(&raw_alice.seal_step(&TEXT, b""), b"", 1));
                swap(&mut raw_alice, &mut raw_bob);
            }
            black_box(kernel::braid_kem(&mut kem));
        }));
    }
    assert!(alice.post_quantum_epoch() > 0, "that many messages agree on a key");
    (median(ours), median(raw))
}

fn time(routine: impl FnOnce()) -> Duration {
    let started = processor_time::now();
    routine();
    processor_time::now() - started
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Two sessions past the handshake, the second of which has sent last.
fn pair(chunk_size: ChunkSize) -> (Session, Session) {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let (alice, mut bob) = (Device::generate(LATER, &mut rng), Device::generate(LATER, &mut rng));
    let mut published = bob.publish(1, LATER, &mut rng).unwrap();
    let bundle = Bundle::new(published.identity, published.signed_prekey, published.one_time_prekeys.pop()).unwrap();
    let (mut alice, hello) = alice.initiate_with(chunk_size, &bundle, &TEXT, b"", NOW, &mut rng).unwrap();
    let (mut bob, _) = bob.accept(&hello, b"").unwrap();
    let reply = bob.encrypt(&TEXT, b"", &mut rng).unwrap();
    alice.decrypt(&reply, b"").unwrap();
    (alice, bob)
}

fn kernel_pair() -> (kernel::Party, kernel::Party) {
    let bob = kernel::Owner::new(2, LATER);
    let (mut alice, hello) = kernel::Owner::new(1, LATER).initiate(&bob.bundle(), &TEXT);
    let (mut bob, _) = bob.accept(&hello);
    alice.open_step(&bob.seal_step(&TEXT, b""), b"", 1);
    (alice, bob)
}
