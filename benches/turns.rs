// SPDX-License-Identifier: MIT OR Apache-2.0
//! The overhead of a message over the kernel's same message, averaged over an epoch. It is about a twentieth of the
//! message's cost, so that the two must be measured under the same conditions. Messages of noescrow and of the kernel
//! therefore alternate, and so does the order of the two. The difference is taken for each pair of epochs, and the
//! quartiles over the differences. README.md describes what is measured.
#![allow(missing_docs, dead_code, clippy::unwrap_used, reason = "a benchmark that panics fails, as it should")]

mod kernel;
mod processor_time;

use noescrow::hazmat::AcceptFromAnyone;
use noescrow::{Bundle, ChunkSize, Device, InitiateOptions, Session, UnixSeconds};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use std::hint::black_box;
use std::mem::swap;

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
const LATER: UnixSeconds = UnixSeconds(NOW.0 + 30 * 86_400);
const TEXT: [u8; 32] = [0x6E; 32];
/// Number of epochs of each kind.
const EPOCHS: usize = 300;

fn main() {
    kernel::check(NOW, LATER);
    // `cargo bench -- --test` runs each once without measuring.
    let epochs = if std::env::args().any(|argument| argument == "--test") { 1 } else { EPOCHS };
    println!("in turns, 32 B            noescrow      kernel   overhead per message: median (quartiles)");
    for (chunk_size, messages) in
        [(ChunkSize::Bytes32, 87), (ChunkSize::Bytes64, 45), (ChunkSize::Bytes128, 23), (ChunkSize::Bytes256, 13)]
    {
        let (ours, raw): (Vec<f64>, Vec<f64>) = epochs_of(chunk_size, messages, epochs).into_iter().unzip();
        let differences = ours.iter().zip(&raw).map(|(ours, raw)| (ours - raw) / f64::from(messages)).collect();
        let ([_, ours, _], [_, raw, _]) = (quartiles(ours), quartiles(raw));
        let [low, median, high] = quartiles(differences);
        let what = format!("an epoch of {} B, {messages}", chunk_size.bytes());
        println!("{what:<22}{ours:>9.0} us{raw:>9.0} us{median:>20.2} us ({low:.2} to {high:.2})");
    }
}

/// Microseconds of each epoch: of noescrow, and of the kernel with the KEM operations of one epoch.
fn epochs_of(chunk_size: ChunkSize, messages: u32, epochs: usize) -> Vec<(f64, f64)> {
    let (mut alice, mut bob) = pair(chunk_size);
    let (mut raw_alice, mut raw_bob) = kernel_pair();
    let (mut rng, mut kem) = (ChaCha20Rng::seed_from_u64(13), ChaCha20Rng::seed_from_u64(14));
    let times = (0..epochs)
        .map(|_| {
            let (mut ours, mut raw) = (0.0, time(|| _ = black_box(kernel::braid_kem(&mut kem))));
            for number in 0..messages {
                let mut message = || {
                    ours += time(|| {
                        let message = alice.encrypt(&TEXT, &mut rng).unwrap();
                        black_box(bob.decrypt(&message).unwrap().plaintext);
                    });
                };
                let mut kernels = || {
                    raw += time(|| _ = black_box(raw_bob.open_step(&raw_alice.seal_step(&TEXT, b""), b"", 1)));
                };
                if number % 2 == 0 {
                    message();
                    kernels();
                } else {
                    kernels();
                    message();
                }
                swap(&mut alice, &mut bob);
                swap(&mut raw_alice, &mut raw_bob);
            }
            (ours, raw)
        })
        .collect();
    assert!(alice.post_quantum_epoch() > 0, "so many messages agree on a key");
    times
}

/// Processor time in microseconds.
fn time(routine: impl FnOnce()) -> f64 {
    let started = processor_time::now();
    routine();
    (processor_time::now() - started).as_secs_f64() * 1e6
}

fn quartiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| values[values.len() * quarter / 4])
}

/// Two sessions after the handshake, the second of which sent last.
fn pair(chunk_size: ChunkSize) -> (Session, Session) {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let (alice, mut bob) = (Device::generate(NOW, &mut rng), Device::generate(NOW, &mut rng));
    let mut published = bob.publish(1, NOW, &mut rng).unwrap();
    let bundle = Bundle::new(published.identity, published.signed_prekey, published.one_time_prekeys.pop()).unwrap();
    let (mut alice, hello) =
        alice.initiate(bundle, &TEXT, InitiateOptions::unverified(NOW).chunk_size(chunk_size), &mut rng).unwrap();
    let (mut bob, _) = bob.accept(&hello).unwrap();
    let reply = bob.encrypt(&TEXT, &mut rng).unwrap();
    alice.decrypt(&reply).unwrap();
    (alice, bob)
}

fn kernel_pair() -> (kernel::Party, kernel::Party) {
    let bob = kernel::Owner::new(2, LATER);
    let (mut alice, hello) = kernel::Owner::new(1, LATER).initiate(&bob.bundle(), &TEXT);
    let (mut bob, _) = bob.accept(&hello);
    alice.open_step(&bob.seal_step(&TEXT, b""), b"", 1);
    (alice, bob)
}
