// SPDX-License-Identifier: MIT OR Apache-2.0
//! B18: every input of every key has an origin that the party can answer for: itself, or its authenticated peer.

use super::equal_fingerprints::own_prekeys;
use crate::recording::{Faults, NoAd, Operation, Party, RecordedSession, SUITE};
use crate::support::NOW;
use noescrow::hazmat::AcceptFromAnyone;
use noescrow::{Bundle, ChunkSize, InitiateOptions};
use std::collections::{BTreeMap, HashSet};

const HEADER: &[u8] = b"noescrow-v1 header";
const NUMBER_TAG: &[u8] = b"noescrow-v1 tag";
const CHAIN_NEXT: &[u8] = b"noescrow-v1 pq ck";

/// spec/protocol.md §3, and the constants of its formulas. Numbers that both sides count are handled by [`is_counted`].
const CONSTANTS: &[&[u8]] = &[
    SUITE,
    b"noescrow-v1 hidden identity",
    b"noescrow-v1 sk: root key",
    b"noescrow-v1 sk: shared_hka",
    b"noescrow-v1 sk: shared_nhkb",
    b"noescrow-v1 sk: sparse ratchet",
    b"noescrow-v1 sk: braid",
    b"noescrow-v1 KDF_RK_HE",
    b"noescrow-v1 next header key",
    b"noescrow-v1 KDF_SCKA_INIT",
    b"noescrow-v1 KDF_SCKA_RK",
    CHAIN_NEXT,
    b"noescrow-v1_ML-KEM-768_SHA-256",
    b":Authenticator Update",
    b":SCKA Key",
    b":ekheader",
    b":ciphertext",
    b"noescrow-v1 message",
    b"noescrow-v1 sk: session id",
    b"noescrow-v1 sk: exporter",
    NUMBER_TAG,
    b"noescrow-v1 commitment",
    HEADER,
    // The nonce of headers and bodies, and the types of messages.
    &[0; 12],
    &[0x11],
    &[0x12],
    &[0xFF; 32],
    &[0; 32],
    &[1],
    &[2],
    &[],
];

/// The origins of inputs of keys, and the inputs whose origin is unknown.
#[derive(Debug, Default)]
struct Origins {
    constants: usize,
    own: usize,
    peer: usize,
    unexplained: Vec<(&'static str, &'static str)>,
}

fn substring(blobs: &[&[u8]], value: &[u8]) -> bool {
    blobs.iter().any(|blob| blob.windows(value.len()).any(|window| window == value))
}

fn made_by(party: &Party) -> Vec<Vec<u8>> {
    let operations = party.primitives.operations.borrow();
    // The sealer made what was opened.
    let outputs = operations.iter().filter(|one| one.name != "open").flat_map(|one| one.outputs.clone());
    party.rng.drawn.iter().cloned().chain(outputs).collect()
}

/// What a signature or a seal authenticates to `party`: messages whose signature verified, plaintexts and associated
/// data that opened, and whatever was hashed into them.
fn authenticated(party: &Party) -> Vec<Vec<u8>> {
    let operations = party.primitives.operations.borrow();
    let mut authenticated_values: Vec<Vec<u8>> = Vec::new();
    for one in operations.iter().filter(|one| one.succeeded) {
        match one.name {
            "verify" => authenticated_values.push(one.inputs[1].clone()),
            "open" => authenticated_values.extend([one.inputs[2].clone(), one.outputs[0].clone()]),
            _ => {}
        }
    }
    authenticated_values.extend(reassembled(&authenticated_values));
    for hash in operations.iter().filter(|one| one.name == "sha256") {
        if substring(&authenticated_values.iter().map(Vec::as_slice).collect::<Vec<_>>(), &hash.outputs[0]) {
            authenticated_values.extend(hash.inputs.clone());
        }
    }
    authenticated_values
}

/// Chunks of the Braid from headers that opened, reassembled: all of those headers together authenticate them.
fn reassembled(opened: &[Vec<u8>]) -> Vec<Vec<u8>> {
    // By kind and epoch, by index.
    let mut values = BTreeMap::<_, BTreeMap<u16, &[u8]>>::new();
    for header in opened.iter().filter(|plaintext| plaintext.len() == HEADER_LEN) {
        let index = u16::from_be_bytes([header[45], header[46]]);
        // A chunk of ek_vector is the same with and without the acknowledgement.
        let kind = if header[40] == 3 { 2 } else { header[40] };
        values.entry((kind, &header[41..45])).or_default().insert(index, &header[47..HEADER_LEN - 5]);
    }
    values.into_values().map(|chunks| chunks.into_values().collect::<Vec<_>>().concat()).collect()
}

/// Numbers that both sides count: of a message in either ratchet's chain, of an epoch, and of a body's bytes; at most as
/// many as there are.
fn is_counted(one: &Operation, input: &[u8]) -> bool {
    let number = input.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    let in_chain = one.inputs.iter().any(|part| part == CHAIN_NEXT) && input.len() == 4;
    let epoch = one.step.starts_with("BR-") || one.step.starts_with("SP-I") || one.step == "SP-R3";
    let has = |label: &[u8]| one.inputs.iter().any(|part| part == label);
    let in_tag = has(NUMBER_TAG) && input.len() == 4 && number < MESSAGES;
    let body_len = has(HEADER) && input.len() == 8 && number < 16;
    in_tag
        || body_len
        || (in_chain && (1..=MESSAGES).contains(&number))
        || (epoch && input.len() == 8 && (1..=EPOCHS + 1).contains(&number))
}

/// Whether a value is part of what was made. A salt is made of two parts: a tag and random bytes.
fn made(blobs: &[&[u8]], value: &[u8]) -> bool {
    substring(blobs, value) || (value.len() == 16 && value.chunks(8).all(|half| substring(blobs, half)))
}

/// Every input of every operation that makes or uses a key is a constant, or was made earlier by the party itself, or
/// was made by its peer and authenticated.
fn origins(party: &Party, peer: &Party) -> Origins {
    let (peers, authenticated_values) = (made_by(peer), authenticated(party));
    let (peers, authenticated_values): (Vec<_>, Vec<_>) =
        (peers.iter().map(Vec::as_slice).collect(), authenticated_values.iter().map(Vec::as_slice).collect());
    let operations = party.primitives.operations.borrow();
    let mut own: Vec<&[u8]> = party.rng.drawn.iter().map(Vec::as_slice).collect();
    let mut origins = Origins::default();
    for one in operations.iter() {
        let inputs = match one.name {
            "dh" | "dh_public" | "encapsulate" | "decapsulate" | "hmac" | "hkdf" | "hkdf_expand" => &one.inputs[..],
            "incremental_public" | "encaps1" | "encaps2" | "incremental_decapsulate" => &one.inputs[..],
            "seal" | "open" => &one.inputs[..2],
            _ => &[],
        };
        for input in inputs {
            if CONSTANTS.contains(&input.as_slice()) || is_counted(one, input) {
                origins.constants += 1;
            } else if made(&own, input) {
                origins.own += 1;
            } else if made(&peers, input) && substring(&authenticated_values, input) {
                origins.peer += 1;
            } else {
                origins.unexplained.push((one.name, one.step));
            }
        }
        if one.name != "open" {
            own.extend(one.outputs.iter().map(Vec::as_slice));
        }
    }
    origins
}

const CHUNK_SIZE: ChunkSize = ChunkSize::Bytes256;
/// Bytes of a header in the clear, with a chunk of that size.
const HEADER_LEN: usize = 308;
const ROUNDS: usize = 12;
/// What one side sends in that many rounds, at the most.
const MESSAGES: u64 = 2 * ROUNDS as u64;
/// The epochs completed in them; one more is being agreed on.
const EPOCHS: u64 = 2;

fn rounds(alice: (&mut Party, &mut RecordedSession), bob: (&mut Party, &mut RecordedSession), count: usize) {
    for _ in 0..count {
        let lost = bob.1.encrypt(b"lost", &mut bob.0.rng).unwrap();
        let pong = bob.1.encrypt(b"pong", &mut bob.0.rng).unwrap();
        assert_eq!(alice.1.decrypt(&pong).unwrap().plaintext, b"pong");
        assert_eq!(alice.1.decrypt(&lost).unwrap().plaintext, b"lost");
        let ping = alice.1.encrypt(b"ping", &mut alice.0.rng).unwrap();
        assert_eq!(bob.1.decrypt(&ping).unwrap().plaintext, b"ping");
    }
}

/// The origins on both sides of a handshake and a conversation.
fn audit(faults: Faults, one_time: bool) -> [Origins; 2] {
    let (mut alice, mut bob) = (Party::faulty(1, faults), Party::faulty(2, faults));
    // Chunks of the largest size, so that there are epochs.
    let bundle = Bundle::from_bytes(&alice.primitives, &bob.bundle(one_time)).unwrap();
    let initiated = alice.device.initiate(
        bundle,
        b"hello",
        InitiateOptions::unverified(NOW).chunk_size(CHUNK_SIZE),
        &mut alice.rng,
    );
    let (mut from_alice, hello) = initiated.unwrap();
    let (mut from_bob, _) = bob.device.accept(&hello).unwrap();
    rounds((&mut alice, &mut from_alice), (&mut bob, &mut from_bob), ROUNDS);
    assert_eq!(u64::from(from_alice.post_quantum_epoch()), EPOCHS);
    [origins(&alice, &bob), origins(&bob, &alice)]
}

#[test]
fn b18_every_input_of_every_key_has_an_authenticated_origin() {
    for one_time in [true, false] {
        for side in audit(Faults::default(), one_time) {
            assert_eq!(side.unexplained, []);
            assert!(side.constants > 50 && side.own > 50 && side.peer > 10, "{side:?}");
        }
    }
}

#[test]
fn control_b18_unauthenticated_inputs_of_keys_are_named() {
    let nonce = Faults { server_nonce: Some([0x5E; 32]), ..Faults::default() };
    for side in audit(nonce, true) {
        // Into every HKDF: of the hidden identity, of SK, of each root step, of each message.
        let steps: HashSet<_> = side.unexplained.iter().map(|(name, _)| *name).collect();
        assert_eq!(steps, HashSet::from(["hkdf"]), "{:?}", side.unexplained);
        assert!(side.unexplained.len() > 10);
    }
    // EK and ciphertext, which only associated data authenticates.
    let [alice, bob] = audit(Faults { no_ad: NoAd::Everywhere, ..Faults::default() }, true);
    assert!(bob.unexplained.contains(&("decapsulate", "HS-R3")) && bob.unexplained.contains(&("dh", "HS-R3")));
    assert_eq!(alice.unexplained.iter().filter(|(_, step)| step.starts_with("HS")).count(), 0);
    // An initiator that verifies nothing, with the server's prekeys.
    let (mut alice, mut bob) = (Party::faulty(3, Faults { no_verify: true, ..Faults::default() }), Party::new(4));
    assert!(alice.initiate(&own_prekeys(&bob.bundle(true))).is_some());
    let planted = origins(&alice, &bob).unexplained;
    assert!(planted.contains(&("dh", "HS-I4")) && planted.contains(&("encapsulate", "HS-I3")), "{planted:?}");
}
