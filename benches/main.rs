// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo bench`: every operation for which a user waits, compared in one run with the primitives that it requires
//! ([`kernel`]) and with vodozemac. README.md describes what is measured and how.

mod cycle;
mod kernel;
mod processor_time;
mod table;

use criterion::measurement::Measurement;
use criterion::{BatchSize, BenchmarkGroup, BenchmarkId, Criterion};
use kernel::Owner;
use noescrow::hazmat::AcceptFromAnyone;
use noescrow::{Bundle, ChunkSize, Device, FixedSession, InitiateOptions, Session, StorageKey, UnixSeconds};
use processor_time::ProcessorTime;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use std::cell::RefCell;
use std::time::{Duration, SystemTime};
use table::{OURS, PEER, RAW};
use vodozemac::olm::{self, Account, OlmMessage, SessionConfig};

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
const LATER: UnixSeconds = UnixSeconds(NOW.0 + 30 * 86_400);
/// The length of a short message.
const TEXT: [u8; 32] = [0x6E; 32];
const SIZES: [(usize, &str); 4] = [(32, "32 B"), (1 << 10, "1 KiB"), (64 << 10, "64 KiB"), (1 << 20, "1 MiB")];

fn main() {
    kernel::check(NOW, LATER);
    let started = SystemTime::now();
    let folder = table::folder();
    // Short by default; criterion's options make it longer.
    let mut criterion = Criterion::default()
        .with_measurement(ProcessorTime)
        .output_directory(&folder)
        .without_plots()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(150))
        .measurement_time(Duration::from_millis(600))
        .configure_from_args();
    handshake(&mut criterion);
    encrypt(&mut criterion);
    decrypt(&mut criterion);
    ping_pong(&mut criterion);
    epochs(&mut criterion);
    out_of_order(&mut criterion);
    snapshots(&mut criterion);
    cycle::cycles(&mut criterion);
    cycle::routing(&mut criterion);
    prekeys(&mut criterion);
    criterion.final_summary();
    table::print(&folder, started);
    sizes();
}

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// Messages made at a time, outside the clock, for measurements that consume them: few large ones, so that they stay in
/// the cache, many small ones, so that reading the clock does not count.
fn batch(len: usize) -> BatchSize {
    BatchSize::NumIterations(((256 << 10) / len.max(1) as u64).clamp(4, 256))
}

fn each<M: Measurement, I, O>(
    group: &mut BenchmarkGroup<'_, M>,
    who: &str,
    size: BatchSize,
    mut input: impl FnMut() -> I,
    mut routine: impl FnMut(I) -> O,
) {
    group.bench_function(BenchmarkId::from_parameter(who), |bencher| {
        bencher.iter_batched(&mut input, &mut routine, size);
    });
}

/// Two sessions after the handshake, the second of which sent last.
fn pair() -> (Session, Session) {
    pair_with(ChunkSize::default())
}

fn pair_with(chunk_size: ChunkSize) -> (Session, Session) {
    let mut rng = rng(1);
    let alice = Device::generate(NOW, &mut rng);
    let mut bob = Device::generate(NOW, &mut rng);
    let (mut alice, hello) = alice
        .initiate(bundle(&mut bob, &mut rng), &TEXT, InitiateOptions::unverified(NOW).chunk_size(chunk_size), &mut rng)
        .unwrap();
    let (mut bob, _) = bob.accept(&hello).unwrap();
    let reply = bob.encrypt(&TEXT, &mut rng).unwrap();
    alice.decrypt(&reply).unwrap();
    (alice, bob)
}

fn bundle(device: &mut Device, rng: &mut ChaCha20Rng) -> Bundle {
    let mut published = device.publish(1, NOW, rng).unwrap();
    Bundle::new(published.identity, published.signed_prekey, published.one_time_prekeys.pop()).unwrap()
}

fn kernel_pair() -> (kernel::Party, kernel::Party) {
    let bob = Owner::new(2, LATER);
    let (mut alice, hello) = Owner::new(1, LATER).initiate(&bob.bundle(), &TEXT);
    let (mut bob, _) = bob.accept(&hello);
    alice.open_step(&bob.seal_step(&TEXT, b""), b"", 1);
    (alice, bob)
}

fn peer_pair() -> (olm::Session, olm::Session) {
    let (alice, mut bob) = (Account::new(), Account::new());
    let mut session = peer_outbound(&alice, &mut bob);
    let OlmMessage::PreKey(hello) = session.encrypt(TEXT).unwrap() else { unreachable!() };
    let mut theirs =
        bob.create_inbound_session(SessionConfig::version_1(), alice.curve25519_key(), &hello).unwrap().session;
    session.decrypt(&theirs.encrypt(TEXT).unwrap()).unwrap();
    (session, theirs)
}

fn peer_outbound(alice: &Account, bob: &mut Account) -> olm::Session {
    bob.generate_one_time_keys(1);
    let key = *bob.one_time_keys().values().next().unwrap();
    bob.mark_keys_as_published();
    alice.create_outbound_session(SessionConfig::version_1(), bob.curve25519_key(), key).unwrap()
}

/// Initiator: parses and checks a bundle, creates a session and seals a first message of 32 bytes. Responder: opens it.
fn handshake(criterion: &mut Criterion<ProcessorTime>) {
    let mut group = criterion.benchmark_group("handshake, initiator");
    let mut random = rng(3);
    let alice = Device::generate(NOW, &mut random);
    let mut bob = Device::generate(NOW, &mut random);
    let bytes = bundle(&mut bob, &mut random).to_bytes();
    group.bench_function(OURS, |bencher| {
        bencher.iter(|| {
            let bundle = Bundle::from_bytes(&noescrow::primitives::RustCrypto, &bytes).unwrap();
            alice.initiate(bundle, &TEXT, InitiateOptions::unverified(NOW), &mut random).unwrap()
        });
    });
    let mut owner = Owner::new(4, LATER);
    let raw_bytes = Owner::new(5, LATER).bundle();
    group.bench_function(RAW, |bencher| bencher.iter(|| owner.initiate(&raw_bytes, &TEXT)));
    let (peer_alice, peer_bob) = (Account::new(), RefCell::new(Account::new()));
    let key = {
        let mut bob = peer_bob.borrow_mut();
        bob.generate_one_time_keys(1);
        *bob.one_time_keys().values().next().unwrap()
    };
    // Olm leaves the check of the bundle's two signatures to the caller: one of the identity, one of the one-time key.
    let (peer_key, signature) = {
        let bob = peer_bob.borrow();
        (bob.ed25519_key(), bob.sign(key.to_base64()))
    };
    let signed = key.to_base64();
    let remote = peer_bob.borrow().curve25519_key();
    group.bench_function(PEER, |bencher| {
        bencher.iter(|| {
            peer_key.verify(signed.as_bytes(), &signature).unwrap();
            peer_key.verify(signed.as_bytes(), &signature).unwrap();
            let mut session = peer_alice.create_outbound_session(SessionConfig::version_1(), remote, key).unwrap();
            session.encrypt(TEXT).unwrap()
        });
    });
    group.finish();

    let mut group = criterion.benchmark_group("handshake, responder");
    let bob = RefCell::new(bob);
    let first = || {
        let bundle = bundle(&mut bob.borrow_mut(), &mut random);
        alice.initiate(bundle, &TEXT, InitiateOptions::unverified(NOW), &mut random).unwrap().1
    };
    let few = BatchSize::NumIterations(16);
    each(&mut group, OURS, few, first, |hello| bob.borrow_mut().accept(&hello).unwrap());
    let bob = Owner::new(5, LATER);
    let (_, hello) = owner.initiate(&bob.bundle(), &TEXT);
    group.bench_function(RAW, |bencher| bencher.iter(|| bob.accept(&hello)));
    let first = || match peer_outbound(&peer_alice, &mut peer_bob.borrow_mut()).encrypt(TEXT).unwrap() {
        OlmMessage::PreKey(hello) => hello,
        OlmMessage::Normal(_) => unreachable!(),
    };
    each(&mut group, PEER, few, first, |hello| {
        let config = SessionConfig::version_1();
        peer_bob.borrow_mut().create_inbound_session(config, peer_alice.curve25519_key(), &hello).unwrap()
    });
    group.finish();
}

/// One message of a chain, into a new `Vec`.
fn encrypt(criterion: &mut Criterion<ProcessorTime>) {
    let (mut ours, mut raw, mut peer) = (pair().1, kernel_pair().1, peer_pair().1);
    let mut rng = rng(6);
    for (len, name) in SIZES {
        let mut group = criterion.benchmark_group(format!("encrypt {name}"));
        let text = vec![0x6E; len];
        group.bench_function(OURS, |bencher| bencher.iter(|| ours.encrypt(&text, &mut rng).unwrap()));
        group.bench_function(RAW, |bencher| bencher.iter(|| raw.seal(&text, b"")));
        group.bench_function(PEER, |bencher| bencher.iter(|| peer.encrypt(&text).unwrap()));
        group.finish();
    }
}

/// One message of a chain, the next in order, into a new `Vec`.
fn decrypt(criterion: &mut Criterion<ProcessorTime>) {
    let ((mut to, mut from), (mut raw_to, mut raw_from)) = (pair(), kernel_pair());
    let (mut peer_to, mut peer_from) = peer_pair();
    let mut rng = rng(7);
    for (len, name) in SIZES {
        let mut group = criterion.benchmark_group(format!("decrypt {name}"));
        let text = vec![0x6E; len];
        let message = || from.encrypt(&text, &mut rng).unwrap();
        each(&mut group, OURS, batch(len), message, |message| to.decrypt(&message).unwrap().plaintext);
        let message = || raw_from.seal(&text, b"");
        each(&mut group, RAW, batch(len), message, |message| raw_to.open(&message, b"", 0));
        let message = || peer_from.encrypt(&text).unwrap();
        each(&mut group, PEER, batch(len), message, |message| peer_to.decrypt(&message).unwrap());
        group.finish();
    }
}

/// A message there and one back, each with its ratchet step: two encryptions and two decryptions of 32 bytes.
fn ping_pong(criterion: &mut Criterion<ProcessorTime>) {
    let ((mut alice, mut bob), (mut raw_alice, mut raw_bob)) = (pair(), kernel_pair());
    let (mut peer_alice, mut peer_bob) = peer_pair();
    let mut rng = rng(8);
    let mut group = criterion.benchmark_group("ping-pong 32 B, there and back");
    group.bench_function(OURS, |bencher| {
        bencher.iter(|| {
            let there = alice.encrypt(&TEXT, &mut rng).unwrap();
            bob.decrypt(&there).unwrap();
            let back = bob.encrypt(&TEXT, &mut rng).unwrap();
            alice.decrypt(&back).unwrap().plaintext
        });
    });
    group.bench_function(RAW, |bencher| {
        bencher.iter(|| {
            raw_bob.open_step(&raw_alice.seal_step(&TEXT, b""), b"", 1);
            raw_alice.open_step(&raw_bob.seal_step(&TEXT, b""), b"", 1)
        });
    });
    group.bench_function(PEER, |bencher| {
        bencher.iter(|| {
            peer_bob.decrypt(&peer_alice.encrypt(TEXT).unwrap()).unwrap();
            peer_alice.decrypt(&peer_bob.encrypt(TEXT).unwrap()).unwrap()
        });
    });
    group.finish();
}

/// An epoch of the post-quantum ratchet with alternating messages: as many as agree on a key, each with its ratchet
/// step. For comparison, the same messages of the kernel, and the KEM operations of one epoch. The difference, divided
/// by the number of messages, is the Braid's cost in addition to its KEM.
fn epochs(criterion: &mut Criterion<ProcessorTime>) {
    for (chunk_size, messages) in
        [(ChunkSize::Bytes32, 87), (ChunkSize::Bytes64, 45), (ChunkSize::Bytes128, 23), (ChunkSize::Bytes256, 13)]
    {
        let ((mut alice, mut bob), (mut raw_alice, mut raw_bob)) = (pair_with(chunk_size), kernel_pair());
        let mut rng = rng(13);
        let mut group = criterion.benchmark_group(format!("{messages} in turns: an epoch of {} B", chunk_size.bytes()));
        group.bench_function(OURS, |bencher| {
            bencher.iter(|| {
                for _ in 0..messages {
                    let message = alice.encrypt(&TEXT, &mut rng).unwrap();
                    bob.decrypt(&message).unwrap();
                    std::mem::swap(&mut alice, &mut bob);
                }
            });
            assert!(alice.post_quantum_epoch() > 0, "so many messages agree on a key");
        });
        let mut kem = self::rng(14);
        group.bench_function(RAW, |bencher| {
            bencher.iter(|| {
                for _ in 0..messages {
                    raw_bob.open_step(&raw_alice.seal_step(&TEXT, b""), b"", 1);
                    std::mem::swap(&mut raw_alice, &mut raw_bob);
                }
                kernel::braid_kem(&mut kem)
            });
        });
        group.finish();
    }
}

/// The message after a gap, and then the first message of the gap. Sessions are in boxes, so that moving them does not
/// count.
fn out_of_order(criterion: &mut Criterion<ProcessorTime>) {
    let key = StorageKey::new([9; 32]);
    let mut rng = rng(9);
    for gap in [1usize, 100, 1_000] {
        let ((to, mut from), (raw_to, mut raw_from)) = (pair(), kernel_pair());
        let (peer_to, mut peer_from) = peer_pair();
        let subject = to.subject();
        let (to, peer_to) = (to.snapshot(&key, 0), serde_json::to_vec(&peer_to.pickle()).unwrap());
        // Few, so that the sessions of a batch stay in the cache and the allocator keeps their memory.
        let size = BatchSize::NumIterations(8);

        let mut group = criterion.benchmark_group(format!("out of order, {gap} skipped"));
        let late = from.encrypt(&TEXT, &mut rng).unwrap();
        (1..gap).for_each(|_| drop(from.encrypt(&TEXT, &mut rng).unwrap()));
        let early = from.encrypt(&TEXT, &mut rng).unwrap();
        let restored = || Box::new(Session::restore(&to, &key, &subject, 0).unwrap());
        each(&mut group, OURS, size, restored, |mut session| {
            session.decrypt(&early).unwrap();
            session
        });
        let raw_early = (0..=gap).map(|_| raw_from.seal(&TEXT, b"")).last().unwrap();
        each(
            &mut group,
            RAW,
            size,
            || raw_to.fork(),
            |mut party| {
                party.open(&raw_early, b"", gap);
                party
            },
        );
        let peer_late = peer_from.encrypt(TEXT).unwrap();
        (1..gap).for_each(|_| drop(peer_from.encrypt(TEXT).unwrap()));
        let peer_early = peer_from.encrypt(TEXT).unwrap();
        let peer_restored = || Box::new(olm::Session::from_pickle(serde_json::from_slice(&peer_to).unwrap()));
        each(&mut group, PEER, size, peer_restored, |mut session| {
            session.decrypt(&peer_early).unwrap();
            session
        });
        group.finish();

        let mut group = criterion.benchmark_group(format!("the late one of {gap} skipped"));
        let behind_the_gap = || {
            let mut session = restored();
            session.decrypt(&early).unwrap();
            session
        };
        each(&mut group, OURS, size, behind_the_gap, |mut session| {
            session.decrypt(&late).unwrap();
            session
        });
        // vodozemac keeps 40 keys of a chain: after a larger gap the first message can no longer be opened.
        if gap < 40 {
            let behind_the_gap = || {
                let mut session = peer_restored();
                session.decrypt(&peer_early).unwrap();
                session
            };
            each(&mut group, PEER, size, behind_the_gap, |mut session| {
                session.decrypt(&peer_late).unwrap();
                session
            });
        }
        group.finish();
    }
}

/// Stores a session without skipped keys as sealed bytes, and restores it.
fn snapshots(criterion: &mut Criterion<ProcessorTime>) {
    let key = StorageKey::new([9; 32]);
    let ((session, _), (peer, _)) = (pair(), peer_pair());
    let mut group = criterion.benchmark_group("snapshot");
    group.bench_function(OURS, |bencher| bencher.iter(|| session.snapshot(&key, 1)));
    group.bench_function(PEER, |bencher| bencher.iter(|| peer.pickle().encrypt(&[9; 32])));
    group.finish();
    let mut group = criterion.benchmark_group("restore");
    let bytes = session.snapshot(&key, 1);
    group.bench_function(OURS, |bencher| {
        bencher.iter(|| Session::restore(&bytes, &key, &session.subject(), 1).unwrap())
    });
    let text = peer.pickle().encrypt(&[9; 32]);
    group.bench_function(PEER, |bencher| {
        bencher.iter(|| olm::Session::from_pickle(olm::SessionPickle::from_encrypted(&text, &[9; 32]).unwrap()));
    });
    group.finish();
}

/// One-time prekeys to publish: a curve key, an ML-KEM key and a signature each; vodozemac's are curve keys alone.
fn prekeys(criterion: &mut Criterion<ProcessorTime>) {
    let mut random = rng(10);
    for count in [1, 100] {
        let mut group = criterion.benchmark_group(format!("prekeys, {count}"));
        let size = BatchSize::NumIterations(2);
        let device = RefCell::new(Device::generate(NOW, &mut random));
        let mut rng = rng(11);
        // The store is full after 400 prekeys: the device is replaced outside the clock.
        let emptied = || *device.borrow_mut() = Device::generate(NOW, &mut random);
        each(&mut group, OURS, BatchSize::PerIteration, emptied, |()| {
            let mut device = device.borrow_mut();
            (0..count).map(|_| device.generate_one_time_prekey(NOW, &mut rng).unwrap().to_bytes()).collect::<Vec<_>>()
        });
        let mut owner = Owner::new(12, LATER);
        group.bench_function(RAW, |bencher| {
            bencher.iter(|| (0..count).map(|_| owner.make_prekey(LATER)).collect::<Vec<_>>());
        });
        each(&mut group, PEER, size, Account::new, |mut account| {
            account.generate_one_time_keys(count);
            account
        });
        group.finish();
    }
}

/// The bytes that a message adds, and a conversation's size in memory and in a database.
fn sizes() {
    let key = StorageKey::new([9; 32]);
    let alice = Device::generate(NOW, &mut rng(1));
    let mut bob = Device::generate(NOW, &mut rng(2));
    let (opening, _) =
        alice.initiate(bundle(&mut bob, &mut rng(3)), &TEXT, InitiateOptions::unverified(NOW), &mut rng(4)).unwrap();
    println!("\n{:<58}{:>10}", "bytes", "noescrow");
    for chunk_size in ChunkSize::ALL {
        let what = format!("a message adds, with chunks of {} bytes", chunk_size.bytes());
        println!("{what:<58}{:>10}", chunk_size.message_overhead());
    }
    for (what, bytes) in [
        ("a first message adds to its padded plaintext", noescrow::FIRST_MESSAGE_OVERHEAD),
        ("bundle with a one-time prekey", noescrow::BUNDLE_LEN),
        ("Session in memory (skipped keys on the heap)", size_of::<Session>()),
        ("FixedSession<128> in memory", size_of::<FixedSession>()),
        ("FixedSession<0> in memory: without skipped keys", size_of::<FixedSession<0>>()),
        ("Device in memory", size_of::<Device>()),
        ("stored: session, unanswered", opening.snapshot_len()),
        ("stored: session, answered", pair().0.snapshot_len()),
        ("stored: device with one one-time prekey", bob.snapshot(&key, 0).len()),
    ] {
        println!("{what:<58}{bytes:>10}");
    }
}
