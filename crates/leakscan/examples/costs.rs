// SPDX-License-Identifier: MIT OR Apache-2.0
//! What each group of decoders costs: `cargo run --release -p leakscan --example costs`.
//!
//! Prints nanoseconds a byte of one thread, with 10,000 secrets of 32 bytes: of a search in all encodings, and how much
//! less it takes without each group. The costs do not add up to the whole, which also has the look-ups and the pass that
//! finds what decoders have to look at; and without a group, what was encoded in what it decodes is not read either.
//! On a busy machine, differences below a tenth of the whole are noise.
#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "an example that panics says why"
)]

use leakscan::Encoding::*;
use leakscan::{Encoding, Encodings, Evidence, Index, Needles};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// Bytes of each kind of evidence.
const LEN: usize = 8 << 20;
const SECRETS: usize = 10_000;
/// Of several measurements, the shortest counts.
const ROUNDS: u32 = 5;

/// Groups of encodings that are decoded together.
const GROUPS: [(&str, &[Encoding]); 12] = [
    ("Base64", &[Base64]),
    ("hexadecimal", &[Hex]),
    ("lists of integers, dumps", &[Integers, HexIntegers, WideIntegers, Dump]),
    ("base85, base45, uuencode", &[Base85, Base45, Uuencode]),
    ("base32, whole numbers", &[Base32, Base36, Base58, Base62, Decimal]),
    ("escapes, Latin-1", &[Escapes, Latin1]),
    ("entities, percent-encoding", &[Entities, Percent]),
    ("quoted-printable, carets, forms", &[QuotedPrintable, HashEscapes, CaretNotation, Form]),
    ("UTF-16", &[Utf16Le, Utf16Be]),
    ("arrays in binary data", &[BinaryArray, Strided]),
    ("compressed streams", &[Gzip, Zlib, Zstd, Zip, Bzip2, Lzma, Lz4, Snappy, Png]),
    ("connections, pages", &[Chunked, HttpBody, Http2, WebSocket, Varlena, Toast, SqliteOverflow, Lzf, PgLog]),
];

fn random(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    ChaCha8Rng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn base64(bytes: &[u8]) -> String {
    const SYMBOLS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |group: &[u8; 3]| {
        let bits = group.iter().fold(0usize, |bits, &byte| bits << 8 | usize::from(byte));
        [18, 12, 6, 0].map(|shift| char::from(SYMBOLS[bits >> shift & 63]))
    };
    bytes.as_chunks::<3>().0.iter().flat_map(group).collect()
}

/// Repeats lines until there are enough; each is written from random numbers.
fn lines(seed: u64, mut line: impl FnMut(&mut String, &[u64; 8])) -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut text = String::new();
    while text.len() < LEN {
        line(&mut text, &core::array::from_fn(|_| rng.next_u64()));
    }
    text.truncate(LEN);
    text.into_bytes()
}

fn evidence() -> Vec<(&'static str, Vec<u8>)> {
    let log = lines(3, |text, numbers| {
        let key = hex(&numbers.map(u64::to_le_bytes).concat()[..32]);
        let body = base64(&random(numbers[0], 300));
        let second = numbers[1] % 60;
        writeln!(text, "10:00:{second:02} INFO stored mailbox={key} size=1312 body=\"{body}\" in 13 ms").unwrap();
    });
    let csv = lines(4, |text, [id, day, cents, code, ..]| {
        let (id, day, cents, code) = (id % 100_000, day % 28 + 1, cents % 100_000, code % 256);
        writeln!(text, "{id},2026-11-{day:02},{}.{:02},\"user {id}\",{code}", cents / 100, cents % 100).unwrap();
    });
    let json = lines(5, |text, [id, time, size, address, ..]| {
        let (time, size, port) = (1_700_000_000 + time % 100_000, size % 4096, address % 65_536);
        writeln!(
            text,
            r#"{{"level":"info","ts":{time},"msg":"stored","mailbox":"{id:016x}","size":{size},"port":{port},"ok":true}}"#
        )
        .unwrap();
    });
    vec![
        ("random", random(2, LEN)),
        ("log", log),
        ("Base64", base64(&random(6, LEN / 4 * 3)).into_bytes()),
        ("hex", hex(&random(7, LEN / 2)).into_bytes()),
        ("CSV", csv),
        ("JSON", json),
    ]
}

/// The time that this thread has run, which other programs do not lengthen; where there is none, the time of the clock.
fn running(started: Instant) -> Duration {
    let schedule = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = schedule.and_then(|text| text.split_whitespace().next()?.parse().ok());
    nanoseconds.map_or_else(|| started.elapsed(), Duration::from_nanos)
}

/// Nanoseconds a byte.
fn cost(index: &Index, bytes: &[u8], encodings: Encodings) -> f64 {
    let round = |_| {
        let clock = Instant::now();
        let started = running(clock);
        Evidence::new().with_encodings(encodings).bytes("evidence", bytes).search(index, |_, _| {}).unwrap();
        running(clock).saturating_sub(started).as_secs_f64()
    };
    (0..ROUNDS).map(round).fold(f64::INFINITY, f64::min) / bytes.len() as f64 * 1e9
}

fn main() {
    let mut needles = Needles::new();
    for (id, secret) in (0..).zip(random(1, SECRETS * 32).chunks_exact(32)) {
        needles.add_secret(id, secret);
    }
    let (index, evidence) = (needles.build().unwrap(), evidence());
    let row = |name: &str, encodings: Encodings, whole: &[f64]| -> Vec<f64> {
        let costs: Vec<f64> = evidence.iter().map(|(_, bytes)| cost(&index, bytes, encodings)).collect();
        let shown = costs.iter().enumerate().map(|(at, cost)| whole.get(at).map_or(*cost, |whole| whole - cost));
        let cells = shown.fold(String::new(), |cells, cost| format!("{cells}{cost:9.2}"));
        println!("{name:34}{cells}");
        costs
    };
    println!("{:34}{}", "ns a byte", evidence.iter().fold(String::new(), |all, (name, _)| format!("{all}{name:>9}")));
    let whole = row("all", Encodings::ALL, &[]);
    for (name, group) in GROUPS {
        let encodings = group.iter().copied().fold(Encodings::ALL, Encodings::without);
        row(name, encodings, &whole);
    }
    let raw = Encoding::ALL.into_iter().skip(1).fold(Encodings::ALL, Encodings::without);
    row("none of these: as they are only", raw, &[]);
}
