// SPDX-License-Identifier: MIT OR Apache-2.0
//! The speed of a search of evidence: `cargo bench --bench evidence`.
//!
//! For comparison, the same run measures a plain read of the memory (a sum), and `aho-corasick` with the fragments of
//! [`PEER_SECRETS`] secrets, which it finds only as they are.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a benchmark that panics fails, as it should"
)]

mod processor_time;

use aho_corasick::AhoCorasick;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use data_encoding::{BASE64_NOPAD, HEXLOWER};
use leakscan::{Encoding, Encodings, Evidence, Index, Needles};
use processor_time::ProcessorTime;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::fmt::Write as _;
use std::hint::black_box;

/// Bytes of evidence: more than any cache.
const LEN: usize = 64 << 20;
/// Secrets whose 17 fragments of 16 bytes the peer searches for: for ten times as many, its automaton takes gigabytes.
const PEER_SECRETS: u64 = 10_000;

fn random(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    ChaCha8Rng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

fn secrets(count: u64) -> Vec<u8> {
    random(1, usize::try_from(count).unwrap() * 32)
}

fn index(count: u64) -> Index {
    let mut needles = Needles::new();
    for (id, secret) in (0..).zip(secrets(count).chunks_exact(32)) {
        needles.add_secret(id, secret);
    }
    needles.build().unwrap()
}

/// Lines of a log with a key in hex and a body in base64.
fn log() -> Vec<u8> {
    let source = random(3, 1 << 20);
    let mut text = String::new();
    for (number, part) in source.chunks_exact(332).cycle().enumerate() {
        if text.len() >= LEN {
            break;
        }
        let (key, body) = (HEXLOWER.encode(&part[..32]), BASE64_NOPAD.encode(&part[32..]));
        writeln!(
            text,
            "10:00:{:02} INFO stored envelope mailbox={key} size=1312 body=\"{body}\" in 13 ms",
            number % 60
        )
        .unwrap();
    }
    text.truncate(LEN);
    text.into_bytes()
}

fn evidence(c: &mut Criterion<ProcessorTime>) {
    let random = random(2, LEN);
    let kinds = [
        ("random", random.clone()),
        ("zeros", vec![0; LEN]),
        ("log of hex and base64", log()),
        ("base64", BASE64_NOPAD.encode(&random[..LEN / 4 * 3]).into_bytes()),
        ("hex", HEXLOWER.encode(&random[..LEN / 2]).into_bytes()),
    ];
    let mut group = c.benchmark_group("evidence");
    group.sample_size(10).throughput(Throughput::Bytes(LEN as u64));
    group.bench_function("plain read", |b| {
        b.iter(|| {
            black_box(&random)
                .chunks_exact(8)
                .fold(0u64, |sum, word| sum.wrapping_add(u64::from_le_bytes(word.try_into().unwrap())))
        });
    });
    for count in [10_000, 1_000_000] {
        let index = index(count);
        println!("{count} secrets of 32 bytes: {} bytes of memory each", index.memory() as u64 / count);
        for (name, bytes) in &kinds {
            group.bench_function(format!("{name}, {count} secrets"), |b| {
                b.iter(|| Evidence::new().bytes(name, bytes).search(&index, |_, _| {}).unwrap());
            });
        }
        let raw = Encoding::ALL.into_iter().skip(2).fold(Encodings::ALL, Encodings::without);
        group.bench_function(format!("random, {count} secrets, raw only"), |b| {
            b.iter(|| Evidence::new().with_encodings(raw).bytes("random", &random).search(&index, |_, _| {}).unwrap());
        });
    }
    let peer = AhoCorasick::new(secrets(PEER_SECRETS).chunks_exact(32).flat_map(|secret| secret.windows(16))).unwrap();
    println!(
        "aho-corasick: {} bytes of memory for each of {PEER_SECRETS} secrets",
        peer.memory_usage() as u64 / PEER_SECRETS
    );
    group.bench_function(format!("aho-corasick, random, {PEER_SECRETS} secrets, raw only"), |b| {
        b.iter(|| peer.find_iter(black_box(&random)).count());
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(ProcessorTime);
    targets = evidence
}
criterion_main!(benches);
