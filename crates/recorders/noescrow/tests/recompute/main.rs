// SPDX-License-Identifier: MIT OR Apache-2.0
//! Recomputing confirms every operation of the default primitives, and none with a changed bit.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test states what it expects"
)]

mod references;

use noescrow::Bundle;
use noescrow::Secret;
use noescrow::device::Device;
use noescrow::hazmat::AcceptFromAnyone;
use noescrow::primitives::Primitives;
use noescrow::{Capacity, InitiateOptions, UnixSeconds};
use noescrow_audit::engine::{Recomputed, recompute};
use noescrow_audit::{Field, Kind, Operation, Role, Tape, TraceReader};
use noescrow_recorder::Recorder;
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};

/// The longest output of HKDF-Expand, in bytes (RFC 5869 §2.3).
const MAX_EXPAND_LEN: usize = 255 * 32;

type Owned = (Kind, Vec<(Role, bool, Vec<u8>)>);

/// The operations on a tape.
fn recorded(tape: &Tape) -> Vec<Owned> {
    let mut all = Vec::new();
    let own = |field: &Field<'_>| (field.role, field.is_output, field.bytes.to_vec());
    TraceReader::new(&tape.bytes()[..])
        .unwrap()
        .for_each(|operation| all.push((operation.kind, operation.fields.iter().map(own).collect())))
        .unwrap();
    all
}

fn recomputed((kind, fields): &Owned) -> Recomputed {
    let fields: Vec<_> =
        fields.iter().map(|(role, is_output, bytes)| Field { role: *role, is_output: *is_output, bytes }).collect();
    recompute(&Operation { participant: 0, step: "", kind: *kind, fields: &fields })
}

fn agrees(operation: &Owned) -> bool {
    matches!(recomputed(operation), Recomputed::Agrees(_))
}

fn bytes(rng: &mut ChaCha20Rng, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    rng.fill_bytes(&mut bytes);
    bytes
}

fn array<const N: usize>(rng: &mut ChaCha20Rng) -> [u8; N] {
    let mut bytes = [0; N];
    rng.fill_bytes(&mut bytes);
    bytes
}

/// Every kind of operation, with random inputs of random lengths. No part is empty, so that every field has bits.
fn every_kind(device: &Recorder, rng: &mut ChaCha20Rng) {
    let [a, b, seed, coins, key] = core::array::from_fn(|_| Secret::new(array(rng)));
    let kem_seed = Secret::new(array(rng));
    let len = |rng: &mut ChaCha20Rng| 1 + usize::try_from(rng.next_u32() % 150).unwrap();
    let [one, two, three] = core::array::from_fn(|_| {
        let len = len(rng);
        bytes(rng, len)
    });
    let salt = [0, 1, 32, 64, 65][usize::try_from(rng.next_u32() % 5).unwrap()];
    let salt = bytes(rng, salt);
    let output = [1, 31, 32, 33, 64, 96, 100][usize::try_from(rng.next_u32() % 7).unwrap()];
    let (parts, infos): ([&[u8]; 2], [&[u8]; 3]) = ([&one, &two], [&three, &one, &two]);

    device.fresh(&one);
    device.given(&two);
    let public = device.dh_public(&a);
    device.dh(&b, &public).unwrap();
    let signing_public = device.signing_public(&seed);
    let signature = device.sign(&seed, &one);
    device.verify(&signing_public, &one, &signature).unwrap();
    device.verify(&signing_public, &two, &signature).unwrap_err();
    let kem_public = device.kem_public(&kem_seed);
    let (ciphertext, _) = device.encapsulate(&kem_public, &coins);
    device.decapsulate(&kem_seed, &ciphertext);
    let (header, ek_vector) = device.incremental_public(&kem_seed);
    let (ct1, _) = device.encaps1(&header, &coins);
    let ct2 = device.encaps2(&header, &ek_vector, &coins).unwrap();
    device.incremental_decapsulate(&kem_seed, &ct1, &ct2);
    device.hmac(&one, &parts);
    device.hmac_pair(&key, 1, 2);
    device.hkdf(&salt, &parts, &infos, &mut vec![0; output]);
    device.hkdf_expand(&key, &infos, &mut vec![0; output]);
    device.sha256(&infos);
    device.sha512(&parts);
    let mut buffer = three.clone();
    let nonce = array(rng);
    let tag = device.seal(&key, &nonce, &one, &mut buffer).unwrap();
    device.open(&key, &nonce, &one, &mut buffer, &tag).unwrap();
}

fn tape_of_every_kind(rng: &mut ChaCha20Rng) -> Tape {
    let tape = Tape::in_memory();
    every_kind(&Recorder::device(&tape, "Alice").unwrap(), rng);
    tape
}

#[test]
fn every_kind_of_operation_is_confirmed() {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    for _ in 0..20 {
        let operations = recorded(&tape_of_every_kind(&mut rng));
        let kinds: BTreeSet<_> = operations.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds.into_iter().collect::<Vec<_>>(), Kind::ALL);
        for operation in &operations {
            assert!(agrees(operation), "{:?}", operation.0);
        }
    }
}

/// Input bits on which no output depends: X25519 clamps the scalar and masks the top bit of a coordinate (RFC 7748
/// §5); z is used by implicit rejection only (FIPS 203, algorithms 16 and 18).
fn is_without_effect(kind: Kind, role: Role, bit: usize) -> bool {
    match (kind, role) {
        (Kind::DhPublic | Kind::Dh, Role::DhPrivate) => matches!(bit, 0 | 1 | 2 | 254 | 255),
        (Kind::Dh, Role::DhPublic) => bit == 255,
        (
            Kind::KemPublic | Kind::Decapsulate | Kind::IncrementalPublic | Kind::IncrementalDecapsulate,
            Role::KemSeed,
        ) => bit >= 256,
        // K depends on the key's hash, not on rho.
        (Kind::Encaps1, Role::EkHeader) => bit < 256,
        _ => false,
    }
}

/// All bits of a short field; one bit of every seventh byte of a long one.
fn bits(len: usize) -> impl Iterator<Item = usize> {
    (0..8 * len).filter(move |bit| len <= 160 || (bit / 8) % 7 == 0 && bit % 8 == (bit / 56) % 8)
}

#[test]
fn operation_with_one_flipped_bit_is_not_confirmed() {
    let operations = recorded(&tape_of_every_kind(&mut ChaCha20Rng::seed_from_u64(2)));
    let mut flips: BTreeMap<Kind, usize> = BTreeMap::new();
    for operation in &operations {
        if matches!(operation.0, Kind::Fresh | Kind::Given | Kind::Refused) {
            continue;
        }
        for (at, (role, is_output, value)) in operation.1.iter().enumerate() {
            for bit in bits(value.len()) {
                let mut changed = operation.clone();
                changed.1[at].2[bit / 8] ^= 1 << (bit % 8);
                let has_no_effect = !is_output && is_without_effect(operation.0, *role, bit);
                assert_eq!(agrees(&changed), has_no_effect, "{:?} {role:?} bit {bit}", operation.0);
                *flips.entry(operation.0).or_default() += 1;
            }
        }
        assert!(agrees(operation), "the operation itself");
    }
    assert_eq!(flips.len(), Kind::ALL.len() - 3);
    assert!(flips.values().all(|flips| *flips > 200), "{flips:?}");
}

/// FIPS 203, algorithm 18: J(z || c), which depends on every bit of z and c, and not on d.
#[test]
fn implicit_rejection_depends_on_z_and_ciphertext() {
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let tape = Tape::in_memory();
    Recorder::device(&tape, "").unwrap().decapsulate(&Secret::new(array(&mut rng)), &array(&mut rng));
    let operation = recorded(&tape).remove(0);
    assert!(agrees(&operation));
    for (field, bit) in bits(64).map(|bit| (0, bit)).chain(bits(1568).map(|bit| (1, bit))) {
        let mut changed = operation.clone();
        changed.1[field].2[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(agrees(&changed), field == 0 && bit < 256, "{field} {bit}");
    }
}

#[test]
fn operation_of_another_shape_is_not_confirmed() {
    let operations = recorded(&tape_of_every_kind(&mut ChaCha20Rng::seed_from_u64(4)));
    for operation in &operations {
        let extra = Role::ALL.map(|role| [(role, false, vec![1; 32]), (role, true, vec![1; 32])]).concat();
        for field in extra {
            for at in 0..=operation.1.len() {
                let mut changed = operation.clone();
                changed.1.insert(at, field.clone());
                assert!(!agrees(&changed), "{:?} with another {field:?} at {at}", operation.0);
            }
        }
        for at in 0..operation.1.len() {
            let mut changed = operation.clone();
            let (role, is_output, _) = changed.1.remove(at);
            assert!(!agrees(&changed), "{:?} without {role:?}", operation.0);
            let mut changed = operation.clone();
            changed.1[at].1 = !is_output;
            assert!(matches!(recomputed(&changed), Recomputed::Malformed(_)), "{:?} {role:?} turned", operation.0);
        }
        for kind in Kind::ALL {
            let same_shape = |a, b| matches!((a, b), (Kind::Fresh | Kind::Given, Kind::Fresh | Kind::Given));
            if kind != operation.0 && !same_shape(kind, operation.0) {
                assert!(!agrees(&(kind, operation.1.clone())), "{:?} as {kind:?}", operation.0);
            }
        }
    }
}

#[test]
fn fixed_field_of_another_length_is_malformed() {
    let operations = recorded(&tape_of_every_kind(&mut ChaCha20Rng::seed_from_u64(5)));
    let mut tried = BTreeSet::new();
    for operation in &operations {
        for (at, (role, _, value)) in operation.1.iter().enumerate() {
            let is_free = match operation.0 {
                Kind::HkdfExpand => *role != Role::KdfKey,
                Kind::Hmac => *role != Role::KdfOutput,
                _ => matches!(
                    role,
                    Role::Value
                        | Role::Message
                        | Role::KdfKey
                        | Role::KdfInput
                        | Role::KdfOutput
                        | Role::Context
                        | Role::AssociatedData
                        | Role::Plaintext
                ),
            };
            for len in [0, value.len() - 1, value.len() + 1] {
                let mut changed = operation.clone();
                changed.1[at].2.resize(len, 0);
                match is_free {
                    true => assert!(len > 0 || !agrees(&changed) || matches!(role, Role::Value | Role::KdfOutput)),
                    false => {
                        assert!(matches!(recomputed(&changed), Recomputed::Malformed(_)), "{:?} {role:?}", operation.0)
                    }
                }
            }
            tried.extend((!is_free).then_some((operation.0, *role)));
        }
    }
    assert_eq!(tried.len(), 46, "{tried:?}");
}

fn hkdf_operation(salt: &[u8], ikm: &[&[u8]], info: &[&[u8]], len: usize) -> (Owned, Vec<u8>) {
    let tape = Tape::in_memory();
    let mut out = vec![0; len];
    Recorder::device(&tape, "").unwrap().hkdf(salt, ikm, info, &mut out);
    (recorded(&tape).remove(0), out)
}

#[test]
fn hkdf_is_confirmed_up_to_its_longest_output() {
    let (ikm, info): ([&[u8]; 3], [&[u8]; 2]) = ([b"a", b"", b"bc"], [b"", b"info"]);
    let lengths = (0..=130).chain([MAX_EXPAND_LEN - 1, MAX_EXPAND_LEN]);
    for len in lengths {
        let (mut operation, _) = hkdf_operation(b"salt", &ikm, &info, len);
        assert!(agrees(&operation), "{len}");
        if let Some(last) = operation.1.last_mut().unwrap().2.last_mut() {
            *last ^= 1;
            assert_eq!(recomputed(&operation), Recomputed::Differs, "{len}");
        }
    }
    let (operation, zeros) = hkdf_operation(b"salt", &ikm, &info, MAX_EXPAND_LEN + 1);
    assert!(zeros.iter().all(|byte| *byte == 0));
    assert_eq!(recomputed(&operation), Recomputed::Malformed("more than HKDF outputs"));
}

#[test]
fn empty_salt_equals_zeros_and_parts_are_joined() {
    let (none, a) = hkdf_operation(b"", &[b"ikm"], &[b"in", b"fo"], 40);
    let (zeros, b) = hkdf_operation(&[0; 32], &[b"i", b"km"], &[b"info"], 40);
    let (longer, c) = hkdf_operation(&[0; 65], &[b"ikm"], &[b"info"], 40);
    assert!(a == b && agrees(&none) && agrees(&zeros));
    // A salt longer than a block is hashed first, even if it is all zeros.
    assert!(a != c && agrees(&longer));
    let (no_parts, _) = hkdf_operation(&[1; 200], &[], &[], 40);
    assert!(agrees(&no_parts));
}

#[test]
fn sealing_and_opening_give_the_sent_ciphertext() {
    let tape = Tape::in_memory();
    let device = Recorder::device(&tape, "").unwrap();
    for len in [0, 1, 15, 16, 17, 1000] {
        let mut buffer = vec![7; len];
        let tag = device.seal(&Secret::new([1; 32]), &[2; 12], b"ad", &mut buffer).unwrap();
        let sent = buffer.clone();
        device.open(&Secret::new([1; 32]), &[2; 12], b"ad", &mut buffer, &tag).unwrap();
        for operation in recorded(&tape).iter().rev().take(2) {
            assert_eq!(recomputed(operation), Recomputed::Agrees(Some(sent.clone())));
        }
    }
}

#[test]
fn inputs_that_a_primitive_refuses_are_malformed() {
    let field = |role, is_output, bytes: &[u8]| (role, is_output, bytes.to_vec());
    let low_order = [field(Role::DhPrivate, false, &[1; 32]), field(Role::DhPublic, false, &[0; 32])];
    let dh = [&low_order[..], &[field(Role::DhShared, true, &[0; 32])]].concat();
    assert_eq!(recomputed(&(Kind::Dh, dh)), Recomputed::Malformed("an all-zero shared secret"));

    // 12-bit coefficients beyond q = 3329.
    let public = [field(Role::KemPublic, false, &[0xFF; 1568]), field(Role::KemCoins, false, &[1; 32])];
    let outputs = [field(Role::KemCiphertext, true, &[0; 1568]), field(Role::KemShared, true, &[0; 32])];
    let encapsulation = (Kind::Encapsulate, [public, outputs].concat());
    let modulus = "an encapsulation key that fails the modulus check";
    assert_eq!(recomputed(&encapsulation), Recomputed::Malformed(modulus));
}

#[test]
fn every_operation_of_a_conversation_is_confirmed() {
    const NOW: UnixSeconds = UnixSeconds(2_000_000_000);
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    let tape = Tape::in_memory();
    let [alice, bob] = ["Alice", "Bob"].map(|name| Recorder::device(&tape, name).unwrap());
    let alice: Device<Recorder, Capacity<100, 4>> = Device::generate_with(alice, NOW, &mut rng);
    let mut bob: Device<Recorder, Capacity<100, 4>> = Device::generate_with(bob, NOW, &mut rng);
    let mut published = bob.publish(1, NOW, &mut rng).unwrap();
    let one_time = published.one_time_prekeys.pop();
    let bundle = Bundle::new(published.identity, published.signed_prekey, one_time).unwrap();
    let (mut ours, hello) =
        alice.initiate(bundle, b"hi Bob", InitiateOptions::unverified(UnixSeconds(0)), &mut rng).unwrap();
    let (mut theirs, _) = bob.accept(&hello).unwrap();
    for _ in 0..3 {
        let reply = theirs.encrypt(b"hi Alice", &mut rng).unwrap();
        ours.decrypt(&reply).unwrap();
        let message = ours.encrypt(b"how are you?", &mut rng).unwrap();
        theirs.decrypt(&message).unwrap();
    }
    let operations = recorded(&tape);
    assert!(operations.len() > 100);
    for operation in &operations {
        assert!(agrees(operation), "{:?}", operation.0);
    }
}

fn any_operation() -> impl Strategy<Value = Owned> {
    let len = prop_oneof![Just(0usize), Just(12), Just(16), Just(32), Just(64), Just(1568), 0..100usize];
    let value = len.prop_flat_map(|len| prop::collection::vec(any::<u8>(), len));
    let field = (prop::sample::select(&Role::ALL[..]), any::<bool>(), value);
    (prop::sample::select(&Kind::ALL[..]), prop::collection::vec(field, 0..6))
}

/// An operation with the right fields and random bytes in them, which passes the check of the shape.
fn random_bytes_in_shape() -> impl Strategy<Value = Owned> {
    let shapes = recorded(&tape_of_every_kind(&mut ChaCha20Rng::seed_from_u64(6)));
    (prop::sample::select(shapes), any::<u64>()).prop_map(|((kind, mut fields), seed)| {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        fields.iter_mut().for_each(|(_, _, value)| rng.fill_bytes(value));
        (kind, fields)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn made_up_operation_is_not_confirmed(operation in prop_oneof![any_operation(), random_bytes_in_shape()]) {
        // An empty output proves nothing. HKDF may give one.
        let has_output = operation.1.iter().any(|(_, is_output, value)| *is_output && value.len() > 3);
        let is_computed = !matches!(operation.0, Kind::Fresh | Kind::Given | Kind::Refused);
        prop_assert!(!agrees(&operation) || !has_output || !is_computed);
    }
}
