// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a faulty device, its generator or the relay does in a run, and what a control puts in the evidence.

use crate::encodings::base64;
use crate::faulty_device::Name;
use crate::generators::Source;
use crate::leaks::rng;
use crate::run::{ALICE, BOB, Device, NOW, Run, Session, Setup};
use noescrow::{Bundle, ChunkSize, Payload, StorageKey};
use noescrow_recorder::Recorder;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

pub fn without_one_time_prekeys(_: u64) -> Setup {
    Setup { one_time_prekeys: 0, ..Setup::default() }
}

/// Chunks of 256 bytes, so that an epoch is agreed on within the run.
pub fn long(_: u64) -> Setup {
    Setup { chunk_size: ChunkSize::Bytes256, steps: 90, ..Setup::default() }
}

pub fn nothing(_: &mut Run) -> Vec<u8> {
    Vec::new()
}

pub fn first_of(run: &Run, who: usize, name: Name, step: &str) -> Vec<u8> {
    run.tap(who).all(name, step).swap_remove(0)
}

pub fn sealed_backup(run: &mut Run, who: usize, key: &[u8]) -> Vec<u8> {
    run.save_device(who);
    let backup = run.snapshots.pop().unwrap();
    [format!("storage_key = \"{}\"\n", base64(key)).as_bytes(), &backup].concat()
}

pub fn sealed_session(run: &mut Run) -> Vec<u8> {
    run.save(ALICE);
    run.snapshots.pop().unwrap()
}

/// Saves, sends, restores what was saved, and sends something else; returns the first of the two texts.
pub fn sends_twice_from_one_state(run: &mut Run) -> Vec<u8> {
    run.send(ALICE);
    let mut saved = sealed_session(run);
    run.send(ALICE);
    let text = run.texts.last().unwrap().clone();
    let key = StorageKey::new(run.storage_keys[ALICE]);
    let subject = run.sessions[ALICE].as_ref().unwrap().subject();
    let restored = Session::restore_in_place(run.prims[ALICE].clone(), &mut saved, &key, &subject, 0);
    run.sessions[ALICE] = Some(restored.unwrap());
    run.send(ALICE);
    text
}

/// The same, with a generator that draws for the second message what it drew for the first: the machine was cloned.
pub fn sends_twice_from_one_machine(run: &mut Run) -> Vec<u8> {
    run.send(ALICE);
    let (mut saved, generator) = (sealed_session(run), run.source.clone());
    run.send(ALICE);
    let text = run.texts.last().unwrap().clone();
    let key = StorageKey::new(run.storage_keys[ALICE]);
    let subject = run.sessions[ALICE].as_ref().unwrap().subject();
    let restored = Session::restore_in_place(run.prims[ALICE].clone(), &mut saved, &key, &subject, 0);
    run.sessions[ALICE] = Some(restored.unwrap());
    run.source = generator;
    run.send(ALICE);
    text
}

/// Sends the same text twice from a cloned machine, with different associated data.
pub fn sends_again_from_one_machine(run: &mut Run) -> Vec<u8> {
    run.send(ALICE);
    let (saved, generator) = (sealed_session(run), run.source.clone());
    for associated_data in [b"one", b"two"] {
        run.source = generator.clone();
        let key = StorageKey::new(run.storage_keys[ALICE]);
        let subject = run.sessions[ALICE].as_ref().unwrap().subject();
        let restored = Session::restore_in_place(run.prims[ALICE].clone(), &mut saved.clone(), &key, &subject, 0);
        let mut session = restored.unwrap();
        let payload = Payload { plaintext: b"the same text twice", associated_data, ..Payload::default() };
        let message = session.encrypt(payload, &mut run.source).unwrap();
        run.sessions[ALICE] = Some(session);
        run.post(BOB, message);
    }
    Vec::new()
}

pub fn begins_twice_with_one_generator(run: &mut Run) -> Vec<u8> {
    let (generator, bundle) = (run.source.clone(), run.fetch(BOB));
    run.initiate(&bundle);
    let bundle = run.fetch(BOB);
    run.source = generator;
    run.initiate(&bundle);
    Vec::new()
}

/// Turns of a conversation. The probability that 1,600 draws from 2^16 contain no repetition is e^-19.
const TURNS: usize = 1_600;

pub fn draws_from_sixteen_bits(run: &mut Run) -> Vec<u8> {
    run.source = Source::SixteenBits(rng(run));
    let mut sent = Vec::new();
    for turn in 0..TURNS {
        let from = turn % 2;
        let message = run.sessions[from].as_mut().unwrap().encrypt(b"", &mut run.source).unwrap();
        let opened = run.open(from ^ 1, &message);
        sent.extend(message);
        if opened.is_none() {
            // The same ratchet key twice in a row, which the other side refuses.
            break;
        }
    }
    sent
}

/// The relay adds a prekey of its own to a bundle of Bob's.
pub fn plants_a_prekey(run: &mut Run) -> Vec<u8> {
    let server = Recorder::server(&run.tape, "relay").unwrap();
    let mut own = Device::<Recorder>::generate_with(server, NOW, &mut run.source);
    let planted = own.publish(1, NOW, &mut run.source).unwrap().one_time_prekeys.remove(0);
    let genuine = run.fetch(BOB);
    let head = [&genuine.identity().to_bytes()[..], &genuine.signed_prekey().to_bytes(), &[1]].concat();
    let bundle = Bundle::from_bytes(&run.prims[ALICE], &[head, planted.to_bytes().to_vec()].concat()).unwrap();
    run.wire.extend(bundle.to_bytes());
    run.initiate(&bundle);
    Vec::new()
}

pub fn nonce(seed: u64) -> [u8; 32] {
    let mut nonce = [0; 32];
    ChaCha20Rng::seed_from_u64(seed).fill_bytes(&mut nonce);
    nonce
}

/// Everything that Alice drew for her handshake and her first chain, and her identity's private key.
pub fn first_draws(run: &Run) -> Vec<u8> {
    let tap = run.tap(ALICE);
    let identity = tap.all(Name::DhPrivate, "").swap_remove(0);
    let ephemeral = tap.all(Name::DhPrivate, "HS-I3").swap_remove(0);
    let coins = tap.all(Name::KemCoins, "").swap_remove(0);
    let ratchet = tap.all(Name::DhPrivate, "DR-E1").swap_remove(0);
    [identity, ephemeral, coins, ratchet].concat()
}
