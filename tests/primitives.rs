// SPDX-License-Identifier: MIT OR Apache-2.0
//! At the level of the primitives: curve keys and signatures that must be refused (attacks A1 to A7), and MACs.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test states its expectations"
)]

use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::montgomery::MontgomeryPoint;
use curve25519_dalek::scalar::Scalar;
use hex_literal::hex;
use noescrow::Secret;
use noescrow::hazmat::{Call, Intercept, Intercepted};
use noescrow::primitives::{DhPublicKey, Failed, Primitives, RustCrypto};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// p + `offset`, for small offsets, little-endian: p = 2^255 - 19.
fn p_plus(offset: i16) -> [u8; 32] {
    let mut bytes = [0xFF; 32];
    bytes[0] = u8::try_from(0xED + offset).unwrap();
    bytes[31] = 0x7F;
    bytes
}

fn with_high_bit(mut bytes: [u8; 32]) -> [u8; 32] {
    bytes[31] |= 0x80;
    bytes
}

/// The 14 encodings that give zero with every scalar (RFC 7748, §6.1): seven, and the same with bit 255 set.
fn low_order() -> Vec<[u8; 32]> {
    let mut one = [0; 32];
    one[0] = 1;
    let seven = [
        [0; 32],
        one,
        hex!("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
        hex!("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
        p_plus(-1),
        p_plus(0),
        p_plus(1),
    ];
    seven.into_iter().chain(seven.map(with_high_bit)).collect()
}

#[test]
fn a1_all_fourteen_low_order_encodings_and_zero_results_are_refused() {
    for bytes in low_order() {
        assert!(DhPublicKey::from_bytes(bytes).is_err());
        assert!(!RustCrypto.dh_is_torsion_free(&bytes));
        for scalar in [[1; 32], [0xFF; 32], [0x42; 32]] {
            assert_eq!(RustCrypto.dh(&Secret::new(scalar), &bytes).map(drop), Err(Failed));
            // Control: the plain function gives zeros, without an error.
            assert_eq!(MontgomeryPoint(bytes).mul_clamped(scalar).0, [0; 32]);
        }
    }
    assert_eq!(low_order().len(), 14);
}

#[test]
fn a3_every_non_canonical_encoding_of_a_key_is_refused() {
    // 19 values from p to 2^255 - 1.
    for offset in 0..19 {
        assert!(DhPublicKey::from_bytes(p_plus(offset)).is_err(), "p + {offset}");
    }
    for seed in 1..=50 {
        let key = RustCrypto.dh_public(&Secret::new([seed; 32]));
        assert_eq!(DhPublicKey::from_bytes(key).unwrap().as_bytes(), &key);
        assert!(DhPublicKey::from_bytes(with_high_bit(key)).is_err());
        // Control: X25519 treats both encodings as one key.
        let secret = Secret::new([77; 32]);
        let shared = |key| *RustCrypto.dh(&secret, &key).unwrap().expose();
        assert_eq!(shared(key), shared(with_high_bit(key)));
    }
    // p - 2, the largest canonical value that is not of low order.
    assert!(DhPublicKey::from_bytes(p_plus(-2)).is_ok());
}

/// Older lists call these low-order; with masking they are not. They are refused because bit 255 is set.
#[test]
fn a3_five_values_of_older_lists_are_refused_as_non_canonical() {
    let mut high = [0xFF; 32];
    let five = [
        hex!("cdeb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b880"),
        hex!("4c9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f11d7"),
    ];
    let rest = [0xD9, 0xDA, 0xDB].map(|low| {
        high[0] = low;
        high
    });
    for bytes in five.into_iter().chain(rest) {
        assert!(DhPublicKey::from_bytes(bytes).is_err());
        assert!(RustCrypto.dh(&Secret::new([9; 32]), &bytes).is_ok());
    }
}

/// The seven other points that differ from a key by a point of small order.
fn with_torsion(key: &[u8; 32]) -> Vec<[u8; 32]> {
    let point = MontgomeryPoint(*key).to_edwards(0).unwrap();
    EIGHT_TORSION.iter().skip(1).map(|torsion| (point + torsion).to_montgomery().0).collect()
}

#[test]
fn a4_a_torsion_variant_of_a_key_is_refused() {
    let key = RustCrypto.dh_public(&Secret::new([5; 32]));
    let secret = Secret::new([6; 32]);
    let shared = |key: &[u8; 32]| *RustCrypto.dh(&secret, key).unwrap().expose();
    let variants = with_torsion(&key);
    assert_eq!(variants.len(), 7);
    for variant in variants {
        // Control: canonical, different, and with the same shared secret.
        assert!(DhPublicKey::from_bytes(variant).is_ok());
        assert_ne!(variant, key);
        assert_eq!(shared(&variant), shared(&key));
        assert!(!RustCrypto.dh_is_torsion_free(&variant));
    }
    assert!(RustCrypto.dh_is_torsion_free(&key));
}

#[test]
fn a4_a_key_on_the_twist_is_refused() {
    let twist = (2..50u8).map(|low| {
        let mut key = [0; 32];
        key[0] = low;
        key
    });
    let on_twist: Vec<_> = twist.filter(|key| MontgomeryPoint(*key).to_edwards(0).is_none()).collect();
    assert!(on_twist.len() > 10);
    assert!(on_twist.iter().all(|key| !RustCrypto.dh_is_torsion_free(key)));
}

/// Scalars and u-coordinates: 10,000 random ones, half of which are on the twist, and every kind of edge case.
fn x25519_inputs() -> Vec<Case> {
    let mut rng = ChaCha20Rng::seed_from_u64(25_519);
    let mut random = || {
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        bytes
    };
    let keys: Vec<_> = (1..=4).map(|seed| RustCrypto.dh_public(&Secret::new([seed; 32]))).collect();
    let small = (0..=255).map(|low| {
        let mut u = [0; 32];
        u[0] = low;
        u
    });
    let edges = (-20..19).map(p_plus).chain(low_order()).chain(keys.iter().flat_map(with_torsion)).chain(small);
    let edges: Vec<_> = edges.flat_map(|u| [u, with_high_bit(u)]).collect();
    let scalars = [[0; 32], [0xFF; 32], [0x55; 32], Q, p_plus(0), random(), random()];
    let on_edges = edges.iter().flat_map(|u| scalars.map(|scalar| (scalar, *u)));
    on_edges.chain((0..10_000).map(|_| (random(), random()))).collect()
}

type Case = ([u8; 32], [u8; 32]);

/// The number of inputs on which `x25519` differs from x25519-dalek's Montgomery ladder.
fn disagreements(inputs: &[Case], x25519: impl Fn([u8; 32], [u8; 32]) -> [u8; 32]) -> usize {
    inputs.iter().filter(|(scalar, u)| x25519(*scalar, *u) != x25519_dalek::x25519(*scalar, *u)).count()
}

#[test]
fn x25519_matches_the_ladder_on_curve_and_twist() {
    let edwards = |u| MontgomeryPoint(u).to_edwards(0);
    let inputs = x25519_inputs();
    let on_twist = inputs.iter().filter(|(_, u)| edwards(*u).is_none()).count();
    assert!((4_000..inputs.len() - 4_000).contains(&on_twist));

    let ours = |scalar, u| RustCrypto.dh(&Secret::new(scalar), &u).map_or([0; 32], |shared| *shared.expose());
    assert_eq!(disagreements(&inputs, ours), 0);
    let public = |scalar| RustCrypto.dh_public(&Secret::new(scalar));
    let base = x25519_dalek::X25519_BASEPOINT_BYTES;
    assert!(inputs.iter().step_by(8).all(|(scalar, _)| public(*scalar) == x25519_dalek::x25519(*scalar, base)));

    // Controls: no ladder for the twist; the clamped scalar taken modulo q, which only torsion reveals; no clamping.
    let some: Vec<_> = inputs.into_iter().step_by(8).collect();
    let multiply = |u, scalar: Scalar, otherwise: [u8; 32]| {
        edwards(u).map_or(otherwise, |point| (point * scalar).to_montgomery().0)
    };
    let reduced = Scalar::from_bytes_mod_order;
    let clamp = curve25519_dalek::scalar::clamp_integer;
    assert!(disagreements(&some, |scalar, u| edwards(u).map_or([0; 32], |_| ours(scalar, u))) > 400);
    assert!(disagreements(&some, |scalar, u| multiply(u, reduced(clamp(scalar)), ours(scalar, u))) > 400);
    assert!(disagreements(&some, |scalar, u| multiply(u, reduced(scalar), ours(scalar, u))) > 400);
}

/// The group order q, little-endian (RFC 8032, §5.1: there L).
const Q: [u8; 32] = hex!("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");

#[test]
fn a5_a_signature_with_s_plus_q_is_refused() {
    let seed = Secret::new([3; 32]);
    let key = RustCrypto.signing_public(&seed);
    let genuine = RustCrypto.sign(&seed, b"message");
    let mut malleated = genuine;
    let mut carry = 0u16;
    for (byte, q) in malleated[32..].iter_mut().zip(Q) {
        let sum = u16::from(*byte) + u16::from(q) + carry;
        *byte = sum as u8;
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
    assert_eq!(RustCrypto.verify(&key, b"message", &malleated), Err(Failed));
    assert_eq!(RustCrypto.verify(&key, b"message", &genuine), Ok(()));
    // Control: as scalars the two are equal.
    let scalar = |bytes: &[u8]| Scalar::from_bytes_mod_order(bytes.try_into().unwrap());
    assert_eq!(scalar(&malleated[32..]), scalar(&genuine[32..]));
}

#[test]
fn a6_signing_keys_and_nonce_points_of_small_order_are_refused() {
    for torsion in EIGHT_TORSION {
        let key = torsion.compress().0;
        assert!(!RustCrypto.signing_is_torsion_free(&key));
        // s = 0 and R of small order: valid for many messages if the verifier does not check.
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&key);
        for message in [b"one", b"two"] {
            assert_eq!(RustCrypto.verify(&key, message, &signature), Err(Failed));
        }
    }
    let genuine = RustCrypto.signing_public(&Secret::new([3; 32]));
    assert!(RustCrypto.signing_is_torsion_free(&genuine));
    // A key with a torsion component, and one that is not canonical: y = p + 1.
    let point = curve25519_dalek::edwards::CompressedEdwardsY(genuine).decompress().unwrap();
    assert!(!RustCrypto.signing_is_torsion_free(&(point + EIGHT_TORSION[1]).compress().0));
    assert!(!RustCrypto.signing_is_torsion_free(&p_plus(1)));
}

/// There is no second public key that could mismatch: the type excludes it.
#[test]
fn a7_signing_takes_no_public_key() {
    let sign: fn(&RustCrypto, &Secret<32>, &[u8]) -> [u8; 64] = RustCrypto::sign;
    let seed = Secret::new([4; 32]);
    assert_eq!(sign(&RustCrypto, &seed, b"m"), RustCrypto.sign(&seed, b"m"));
}

/// HMAC-SHA-256 as RFC 2104 §2 defines it.
fn rfc_2104(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0; 64];
    let hashed = RustCrypto.sha256(&[key]);
    let key = if key.len() > block.len() { &hashed[..] } else { key };
    block[..key.len()].copy_from_slice(key);
    let inner = RustCrypto.sha256(&[&block.map(|byte| byte ^ 0x36), message]);
    RustCrypto.sha256(&[&block.map(|byte| byte ^ 0x5C), &inner])
}

/// The number of MACs that are not RFC 2104's: of keys and messages shorter and longer than a block, of messages in
/// parts, and of several under one scheduled key.
fn wrong_macs(primitives: &impl Primitives) -> usize {
    let bytes: [u8; 200] = std::array::from_fn(|at| at as u8);
    let secret = Secret::new([7; 32]);
    let mut wrong = 0;
    let mut check = |mac: Secret<32>, key: &[u8], message: &[u8]| {
        wrong += usize::from(*mac.expose() != rfc_2104(key, message));
    };
    for len in 0..=bytes.len() {
        let message = &bytes[..len];
        let (head, tail) = message.split_at(len / 3);
        for key_len in [0, 1, 32, 63, 64, 65, 130] {
            let key = &bytes[..key_len];
            check(primitives.hmac(key, &[head, tail]), key, message);
        }
        primitives.with_hmac(&secret, |hmac| {
            check(hmac(&[head, &[], tail]), &[7; 32], message);
            check(hmac(&[tail]), &[7; 32], tail);
            check(hmac(&[message]), &[7; 32], message);
        });
    }
    let (one, two) = primitives.hmac_pair(&secret, 1, 2);
    check(one, &[7; 32], &[1]);
    check(two, &[7; 32], &[2]);
    wrong
}

/// Leaves out the last part of a message.
#[derive(Clone, Default)]
struct WithoutLastPart;

impl Intercept for WithoutLastPart {
    fn intercept(&self, primitives: &RustCrypto, call: &mut Call<'_>) {
        if let Call::Hmac { parts: parts @ [_, _, ..], .. } = call {
            *parts = &parts[..parts.len() - 1];
        }
        call.perform(primitives);
    }
}

#[test]
fn every_mac_is_that_of_rfc_2104() {
    assert_eq!(wrong_macs(&RustCrypto), 0);
    // Control: without the last part of a message. Of the empty message it is empty.
    assert_eq!(wrong_macs(&Intercepted::<WithoutLastPart>::default()), 200 * 8);
}
