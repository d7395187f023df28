// SPDX-License-Identifier: MIT OR Apache-2.0
//! The cost of the audit: a session on the recorder compared with one without (at most three times), and the closure
//! over a million operations (at most two seconds).
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark that panics fails, as it should")]

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use noescrow::primitives::{Primitives, RustCrypto};
use noescrow::{Secret, hazmat, session};
use noescrow_audit::{Tape, closure_of_chain};
use noescrow_recorder::Recorder;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::hint::black_box;

/// Operations in the closure.
const OPERATIONS: u32 = 1_000_000;
/// Messages in one measurement: the tape grows with them, as in a real run.
const MESSAGES: usize = 200;

/// The two ends of a conversation.
type Ends<P> = (session::Session<P>, session::Session<P>);

fn ends<P: Primitives>(alice: P, bob: P) -> Ends<P> {
    let public = bob.dh_public(&Secret::new([2; 32]));
    let alice = hazmat::initiator(alice, &Secret::new([1; 32]), &public, b"").unwrap();
    (alice, hazmat::responder(bob, &Secret::new([1; 32]), Secret::new([2; 32]), b""))
}

fn recorders(tape: &Tape) -> [Recorder; 2] {
    ["Alice", "Bob"].map(|name| Recorder::device(tape, name).unwrap())
}

fn stream<P: Primitives>((mut alice, mut bob): Ends<P>, mut rng: ChaCha8Rng) {
    for _ in 0..MESSAGES {
        let message = alice.encrypt(&[7; 32], &mut rng).unwrap();
        black_box(bob.decrypt(&message).unwrap().plaintext);
    }
}

fn ping_pong<P: Primitives>((mut alice, mut bob): Ends<P>, mut rng: ChaCha8Rng) {
    for _ in 0..MESSAGES / 2 {
        let message = alice.encrypt(&[7; 32], &mut rng).unwrap();
        black_box(bob.decrypt(&message).unwrap().plaintext);
        let message = bob.encrypt(&[7; 32], &mut rng).unwrap();
        black_box(alice.decrypt(&message).unwrap().plaintext);
    }
}

fn recorder(criterion: &mut Criterion) {
    let rng = || ChaCha8Rng::seed_from_u64(1);
    let mut group = criterion.benchmark_group(format!("{MESSAGES} messages of 32 B, sealed and opened"));
    let without = || ends(RustCrypto, RustCrypto);
    let in_memory = || {
        let [alice, bob] = recorders(&Tape::in_memory());
        ends(alice, bob)
    };
    let to_writer = || {
        let [alice, bob] = recorders(&Tape::to_writer(std::io::sink()));
        ends(alice, bob)
    };
    let size = BatchSize::SmallInput;
    group.bench_function("one way, without", |b| b.iter_batched(without, |ends| stream(ends, rng()), size));
    group
        .bench_function("one way, recorded in memory", |b| b.iter_batched(in_memory, |ends| stream(ends, rng()), size));
    group.bench_function("one way, recorded to a writer", |b| {
        b.iter_batched(to_writer, |ends| stream(ends, rng()), size)
    });
    group.bench_function("ping-pong, without", |b| b.iter_batched(without, |ends| ping_pong(ends, rng()), size));
    group.bench_function("ping-pong, recorded in memory", |b| {
        b.iter_batched(in_memory, |ends| ping_pong(ends, rng()), size);
    });
    group.finish();
}

fn closure(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("closure");
    group.sample_size(10);
    for operations in [OPERATIONS / 10, OPERATIONS] {
        group.bench_function(BenchmarkId::new("operations", operations), |b| {
            b.iter(|| assert_eq!(closure_of_chain(operations), operations));
        });
    }
    group.finish();
}

criterion_group!(benches, recorder, closure);
criterion_main!(benches);
