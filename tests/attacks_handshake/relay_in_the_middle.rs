// SPDX-License-Identifier: MIT OR Apache-2.0
//! B18, B20: values from the relay that enter a key. In Telegram's secret chats of 2013 a server nonce did, with which
//! the server could make both users' fingerprints equal over unequal keys; and the server's random bytes went into the
//! clients' generators.

use crate::forger::{self, CT, EK, Forger, IDENTITY, SIGNED, raw_dh};
use crate::recording::{Faults, NoAd, Operation, Party, RecordedDevice, RecordedSession, RecordingRng, SUITE};
use crate::support::generators::Stuck;
use crate::support::{LATER, NOW};
use noescrow::error::{AcceptError, DecryptError};
use noescrow::hazmat::AcceptFromAnyone;
use noescrow::primitives::{Primitives, RustCrypto};
use noescrow::{Bundle, ChunkSize, InitiateOptions, Opened, Sealed, Secret, StorageKey};
use rand_chacha::rand_core::{Rng, TryCryptoRng, TryRng};
use std::collections::{BTreeMap, HashSet};
use std::convert::Infallible;
use std::path::Path;

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

/// The server's secrets.
const SERVER: [[u8; 32]; 3] = [[0x51; 32], [0x52; 32], [0x53; 32]];
const SERVER_KEM: [u8; 64] = [0x54; 64];

/// Prekeys of the server's under the owner's identity.
fn own_prekeys(bundle: &[u8]) -> Vec<u8> {
    let kem_key = RustCrypto.kem_public(&Secret::new(SERVER_KEM));
    let signed = forger::prekey(&SERVER[0], 1, 1, LATER, &forger::dh_public(&SERVER[1]), &kem_key);
    forger::bundle(&bundle[IDENTITY], &signed, None)
}

/// What the server does to a bundle in transit to Alice, or to the first message in transit to Bob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BundleMove {
    Honest,
    /// Without the one-time prekey.
    Withhold,
    /// An older bundle of Bob's.
    Older,
    /// The server's own identity and prekeys.
    Replace,
    OwnPrekeys,
    /// Bob's prekeys under the server's identity.
    OwnIdentity,
    Flip(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MessageMove {
    Honest,
    /// A message of the server's own in place of Alice's, under its own identity.
    Replace,
    /// The same under Alice's identity.
    Impersonate,
    Flip(usize),
}

#[derive(Debug, Default)]
struct Search {
    refused: usize,
    /// Both have a session, with one safety number and one key.
    equal: usize,
    /// Both have a session and see different safety numbers.
    different: usize,
    /// One safety number over two keys, or over a key that the server can compute.
    violations: Vec<(BundleMove, MessageMove)>,
}

/// The part of Alice's SK that the server can compute if SPK and PQPK are its own.
fn computed_sk(alice: &Party, hello: &[u8], faults: Faults) -> [u8; 32] {
    let ephemeral_key = hello[EK].try_into().unwrap();
    let with_spk = |key| raw_dh(&SERVER[1], key);
    let (dh1, dh3) = (with_spk(alice.device.identity().dh_key().as_bytes()), with_spk(ephemeral_key));
    // DH2 takes the secret of the identity that Alice believes she talks to.
    let dh2 = raw_dh(&SERVER[2], ephemeral_key);
    let (dh1, dh2) = if faults.no_identity_dh { ([0; 32], [0; 32]) } else { (dh1, dh2) };
    let ss = RustCrypto.decapsulate(&Secret::new(SERVER_KEM), hello[CT].try_into().unwrap());
    let mut sk = [0; 32];
    RustCrypto.hkdf(&[0; 32], &[&[0xFF; 32], &dh1, &dh2, &dh3, ss.expose()], &[SUITE], &mut sk);
    sk
}

/// Combines every move on the bundle with every move on the first message. `nonces`: a build whose server may add its
/// own bytes to each side's keys once the sessions exist.
fn search(faults: Faults, nonces: bool, stride: usize) -> Search {
    let mut found = Search::default();
    let mut bob = Party::faulty(1, faults);
    let older = bob.bundle(true);
    bob.device.rotate(NOW, &mut bob.rng);
    let genuine = bob.bundle(true);
    let bobs = bob.state();
    let server_identity = forger::identity(&SERVER[0], &forger::dh_public(&SERVER[2]));
    let flips = (0..genuine.len()).step_by(stride).map(BundleMove::Flip);
    let moves = [
        BundleMove::Honest,
        BundleMove::Withhold,
        BundleMove::Older,
        BundleMove::Replace,
        BundleMove::OwnPrekeys,
        BundleMove::OwnIdentity,
    ];
    let mut alice = Party::faulty(2, faults);
    for bundle_move in moves.into_iter().chain(flips) {
        let served = match bundle_move {
            BundleMove::Honest => genuine.clone(),
            BundleMove::Withhold => forger::bundle(&genuine[IDENTITY], &genuine[SIGNED], None),
            BundleMove::Older => older.clone(),
            BundleMove::OwnPrekeys => own_prekeys(&genuine),
            BundleMove::Replace => [&server_identity, &own_prekeys(&genuine)[128..]].concat(),
            BundleMove::OwnIdentity => [&server_identity, &genuine[128..]].concat(),
            BundleMove::Flip(at) => {
                let mut bytes = genuine.clone();
                bytes[at] ^= 1 << (at % 8);
                bytes
            }
        };
        alice.primitives.clear();
        let Some((from_alice, hello)) = alice.initiate(&served) else {
            found.refused += 1;
            continue;
        };
        let is_flipped = matches!(bundle_move, BundleMove::Flip(_));
        assert!(faults != Faults::default() || !is_flipped, "{bundle_move:?} was accepted");
        let alice_sk = alice.primitives.key_agreement().1;
        let alice_known = alice_sk == computed_sk(&alice, &hello, faults);
        let (saved, subject) = (from_alice.snapshot(&StorageKey::new([1; 32]), 0), from_alice.subject());
        let message_stride = if bundle_move == BundleMove::Honest { stride } else { 53 * stride };
        let flips = (0..hello.len()).step_by(message_stride).map(MessageMove::Flip);
        bob = Party::restored(&bobs, 3);
        bob.primitives.set_faults(faults);
        for message_move in
            [MessageMove::Honest, MessageMove::Replace, MessageMove::Impersonate].into_iter().chain(flips)
        {
            let to_bob = Bundle::from_bytes(&RustCrypto, &genuine).unwrap();
            let own = Forger { identity_dh: !faults.no_identity_dh, ..Forger::new(SERVER[0], SERVER[1], SERVER[2]) };
            let message = match message_move {
                MessageMove::Honest => hello.clone(),
                MessageMove::Replace => own.first_message(&to_bob).0,
                MessageMove::Impersonate => {
                    let identity = alice.device.identity().to_bytes();
                    Forger { identity, dh_secret: None, ..own }.first_message(&to_bob).0
                }
                MessageMove::Flip(at) => {
                    let mut bytes = hello.clone();
                    bytes[at] ^= 1 << (at % 8);
                    bytes
                }
            };
            bob.primitives.clear();
            let Ok((mut from_bob, _)) = bob.device.accept(&message) else {
                found.refused += 1;
                continue;
            };
            let bob_known = matches!(message_move, MessageMove::Replace | MessageMove::Impersonate);
            let key = StorageKey::new([1; 32]);
            let mut from_alice =
                RecordedSession::restore_in_place(alice.primitives.clone(), &mut saved.clone(), &key, &subject, 0)
                    .unwrap();
            if nonces {
                alice.primitives.set_faults(Faults { server_nonce: Some([1; 32]), ..faults });
                bob.primitives.set_faults(Faults { server_nonce: Some([2; 32]), ..faults });
            }
            let reply = from_bob.encrypt(b"reply", &mut bob.rng).unwrap();
            let agree = alice_sk == bob.primitives.key_agreement().1 || nonces;
            let agree = agree && from_alice.decrypt(&reply).is_ok();
            let numbers_equal = from_alice.safety_number() == from_bob.safety_number();
            match (numbers_equal, agree && !alice_known && !bob_known) {
                (true, true) => found.equal += 1,
                (true, false) => found.violations.push((bundle_move, message_move)),
                (false, _) => found.different += 1,
            }
            alice.primitives.set_faults(faults);
            bob = Party::restored(&bobs, 3);
            bob.primitives.set_faults(faults);
        }
    }
    found
}

#[test]
fn b18_no_relay_gets_equal_safety_numbers_over_bad_keys() {
    let found = search(Faults::default(), false, 1);
    assert_eq!(found.violations, []);
    // Bob's own three bundles end in equal numbers; the server in the middle shows; every flipped byte is refused.
    assert_eq!(found.equal, 3, "{found:?}");
    assert!(found.different >= 4, "{found:?}");
    assert!(found.refused > 3485 + 1800, "{found:?}");
}

#[test]
fn control_b18_server_nonces_and_missing_identity_dhs_are_found() {
    let nonces = search(Faults::default(), true, 97);
    assert!(nonces.violations.contains(&(BundleMove::Honest, MessageMove::Honest)), "{nonces:?}");
    let no_verify = Faults { no_verify: true, ..Faults::default() };
    let neither = search(Faults { no_identity_dh: true, ..no_verify }, false, 401);
    assert!(neither.violations.contains(&(BundleMove::OwnPrekeys, MessageMove::Impersonate)), "{neither:?}");
    // Each defence suffices alone if the attacker has no identity's secret: DH2 against planted prekeys, signatures
    // without DH2.
    assert_eq!(search(no_verify, false, 401).violations, []);
    let no_identity_dh = search(Faults { no_identity_dh: true, ..Faults::default() }, false, 401);
    let planted = |one: &&(BundleMove, MessageMove)| one.0 == BundleMove::OwnPrekeys;
    assert_eq!(no_identity_dh.violations.iter().filter(planted).count(), 0);
}

/// A generator that mixes in the server's bytes, as Telegram's clients did.
struct Mixed(RecordingRng, [u8; 32]);

impl TryRng for Mixed {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.0.next_u32())
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.next_u64())
    }
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill_bytes(bytes);
        bytes.iter_mut().zip(self.1.iter().cycle()).for_each(|(byte, theirs)| *byte ^= theirs);
        Ok(())
    }
}

impl TryCryptoRng for Mixed {}

#[test]
fn b20_draws_do_not_depend_on_what_the_server_sent() {
    let bundles = |served: u64| {
        let mut bob = Party::new(10 + served);
        bob.bundle(served.is_multiple_of(2))
    };
    let drawn = |served: u64| {
        let mut alice = Party::new(20);
        let (_, hello) = alice.initiate(&bundles(served)).unwrap();
        (alice.rng.drawn.clone(), hello[EK].to_vec())
    };
    let first = drawn(0);
    assert!((1..6).all(|served| drawn(served) == first));
    // No function that receives takes a generator: decryption and acceptance cannot draw.
    type Accept = fn(&mut RecordedDevice, Sealed<'static>) -> Result<(RecordedSession, Vec<u8>), AcceptError>;
    type Decrypt = fn(&mut RecordedSession, Sealed<'static>) -> Result<Opened<Vec<u8>>, DecryptError>;
    let (_, _): (Accept, Decrypt) = (AcceptFromAnyone::accept, RecordedSession::decrypt);
    // Control: if the server's bytes are mixed in, EK changes with them.
    let mixed = |served: u64| {
        let bytes = bundles(served);
        let alice = Party::new(20);
        let bundle = Bundle::from_bytes(&alice.primitives, &bytes).unwrap();
        let mut rng = Mixed(RecordingRng::new(20), RustCrypto.sha256(&[&bytes]));
        alice.device.initiate(bundle, b"hello", InitiateOptions::unverified(NOW), &mut rng).unwrap().1[EK].to_vec()
    };
    assert_ne!(mixed(0), mixed(1));
}

/// With a stuck generator, EK and coins repeat, and with them all messages to one prekey. Messages to different peers
/// have only EK in common: every key depends on the peer's keys.
#[test]
fn b20_a_stuck_generator_repeats_no_key_across_peers() {
    let alice = Party::new(30);
    let to = |seed: u64| {
        let bundle = Bundle::from_bytes(&RustCrypto, &Party::new(seed).bundle(true)).unwrap();
        alice.primitives.clear();
        let (_, hello) =
            alice.device.initiate(bundle, b"hello", InitiateOptions::unverified(NOW), &mut Stuck(7)).unwrap();
        let operations = alice.primitives.operations.borrow();
        let keys: HashSet<_> =
            operations.iter().filter(|one| one.name == "seal").map(|one| one.inputs[0].clone()).collect();
        (hello, keys)
    };
    let ((one, keys), (other, other_keys)) = (to(31), to(32));
    assert_eq!(one[EK], other[EK]);
    assert_eq!(keys.len(), 3);
    assert!(keys.is_disjoint(&other_keys));
    assert_ne!(one[CT], other[CT]);
    // Control, and the limit: to the same prekeys again, all of it repeats.
    assert_eq!(to(31), (one, keys));
}

/// Names of generators, clocks and environments, through which a value that nobody passed in could enter a key.
const SOURCES: [&str; 9] =
    ["getrandom", "OsRng", "SysRng", "thread_rng", "from_os_rng", "ThreadRng", "SystemTime", "Instant", "std::env"];

fn sources_in(text: &str) -> Vec<&'static str> {
    SOURCES.into_iter().filter(|source| text.contains(source)).collect()
}

#[test]
fn b20_the_crate_contains_no_generator_and_no_clock() {
    fn walk(folder: &Path, texts: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            // Tests may ask for the time.
            if path.ends_with("tests") || path.ends_with("tests.rs") {
                continue;
            }
            if path.is_dir() {
                walk(&path, texts);
            } else {
                texts.push(std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut texts = Vec::new();
    walk(&root.join("src"), &mut texts);
    assert!(texts.len() > 20);
    assert!(texts.iter().all(|text| sources_in(text).is_empty()));
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let linked = manifest.split("[dev-dependencies]").next().unwrap();
    assert!(sources_in(linked).is_empty());
    // Controls: a clock is found; the development dependencies have a generator.
    assert_eq!(sources_in("let now = std::time::Instant::now();"), ["Instant"]);
    assert_eq!(sources_in(&manifest), ["getrandom"]);
}
