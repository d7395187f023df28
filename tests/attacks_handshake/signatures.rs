// SPDX-License-Identifier: MIT OR Apache-2.0
//! A5, A6, A7: malleable signatures, signatures valid for many messages, and signing under another's public key.

use crate::forger::{self, DESCRIPTION_LEN, Forger, IDENTITY, ONE_TIME, SIGNED};
use crate::recording::{Faults, Party, SUITE};
use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use noescrow::error::AcceptError;
use noescrow::hazmat::AcceptFromAnyone;
use noescrow::primitives::{Primitives, RustCrypto};
use noescrow::{Bundle, Identity, Secret};

/// The group order q, little-endian (RFC 8032, §5.1: there L).
const Q: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

fn challenge(r: &[u8], public: &[u8], message: &[u8]) -> Scalar {
    Scalar::from_bytes_mod_order_wide(&RustCrypto.sha512(&[r, public, message]))
}

/// The equation sB = R + hA alone, with s taken mod q: the check of a verifier that is not strict.
fn lax_verify(public: &[u8; 32], message: &[u8], signature: &[u8]) -> bool {
    let point = |bytes: &[u8]| CompressedEdwardsY(bytes.try_into().unwrap()).decompress();
    let (r, s) = signature.split_at(32);
    let (Some(a), Some(nonce_point)) = (point(public), point(r)) else { return false };
    let s = Scalar::from_bytes_mod_order(s.try_into().unwrap());
    EdwardsPoint::mul_base(&s) == nonce_point + challenge(r, public, message) * a
}

/// The signature with q added to s.
fn malleate(signature: &mut [u8]) {
    let mut carry = 0u16;
    for (byte, q) in signature[32..].iter_mut().zip(Q) {
        let sum = u16::from(*byte) + u16::from(q) + carry;
        *byte = sum as u8;
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
}

fn certified(dh_key: &[u8]) -> Vec<u8> {
    [b"noescrow-v1 identity certificate", SUITE, dh_key].concat()
}

#[test]
fn a5_signatures_with_s_plus_q_are_refused_wherever_they_are_read() {
    let mut bob = Party::new(1);
    let genuine = bob.bundle(true);
    let mut alice = Party::new(2);
    for signature in [IDENTITY.end - 64..IDENTITY.end, SIGNED.end - 64..SIGNED.end, ONE_TIME.end - 64..ONE_TIME.end] {
        let mut bytes = genuine.clone();
        malleate(&mut bytes[signature.clone()]);
        assert!(alice.initiate(&bytes).is_none());
        // Control: the equation holds for the altered signature as for the genuine one, so that a lax reader accepts
        // both.
        let signed = match signature.end {
            128 => certified(&bytes[32..64]),
            end => {
                let description = &bytes[end - 64 - DESCRIPTION_LEN..end - 64];
                [b"noescrow-v1 prekey", SUITE, description].concat()
            }
        };
        assert_ne!(bytes, genuine);
        assert!(lax_verify(&bytes[..32].try_into().unwrap(), &signed, &bytes[signature]));
        alice.primitives.set_faults(Faults { no_verify: true, ..Faults::default() });
        assert!(alice.initiate(&bytes).is_some());
        alice.primitives.clear_faults();
    }
    let bundle = Bundle::from_bytes(&RustCrypto, &genuine).unwrap();
    let mut forger = Forger::new([1; 32], [2; 32], [3; 32]);
    let (right, _) = forger.first_message(&bundle);
    malleate(&mut forger.identity[64..]);
    assert_eq!(bob.refuses(&forger.first_message(&bundle).0), AcceptError::Refused);
    assert!(bob.device.accept(&right).is_ok());
    assert!(alice.initiate(&genuine).is_some());
}

/// s = 0 and R of small order: this needs no secret, and the signature is valid for every message or for every eighth.
#[test]
fn a6_signing_keys_and_nonces_of_small_order_are_refused() {
    let dh_keys: Vec<_> = (1..=16).map(|secret| forger::dh_public(&[secret; 32])).collect();
    let mut valid_for_the_lax = 0;
    for (a, r) in EIGHT_TORSION.iter().flat_map(|a| EIGHT_TORSION.iter().map(move |r| (a, r))) {
        let (a, r) = (a.compress().0, r.compress().0);
        for dh_key in &dh_keys {
            let bytes: [u8; 128] = [&a[..], dh_key, &r, &[0; 32]].concat().try_into().unwrap();
            assert!(Identity::from_bytes(&RustCrypto, &bytes).is_err());
            // Strict verification alone refuses them, too.
            assert!(RustCrypto.verify(&a, &certified(dh_key), &bytes[64..].try_into().unwrap()).is_err());
            valid_for_the_lax += usize::from(lax_verify(&a, &certified(dh_key), &bytes[64..]));
        }
    }
    // Control: for a lax verifier, a certificate made without any secret is valid for many keys.
    assert!(valid_for_the_lax > 64, "{valid_for_the_lax}");

    // The same in a message that is otherwise complete.
    let mut bob = Party::new(3);
    let bundle = Bundle::from_bytes(&RustCrypto, &bob.bundle(true)).unwrap();
    let honest = Forger::new([1; 32], [2; 32], [3; 32]);
    let mut forged = honest.clone();
    let identity_point = EIGHT_TORSION[0].compress().0;
    forged.identity[..32].copy_from_slice(&identity_point);
    forged.identity[64..96].copy_from_slice(&identity_point);
    forged.identity[96..].fill(0);
    assert!(lax_verify(&identity_point, &certified(&forged.identity[32..64]), &forged.identity[64..]));
    assert_eq!(bob.refuses(&forged.first_message(&bundle).0), AcceptError::Refused);
    // Control: a device that checks neither accepts a session whose signing key nobody holds.
    let snapshot = bob.state();
    let mut unverifying = Party::restored(&snapshot, 3);
    unverifying.primitives.set_faults(Faults { no_torsion_check: true, no_verify: true, ..Faults::default() });
    assert!(unverifying.device.accept(&forged.first_message(&bundle).0).is_ok());
    assert!(bob.device.accept(&honest.first_message(&bundle).0).is_ok());
}

/// A point of full order with a torsion component: one secret, eight signing keys, and so eight safety numbers.
#[test]
fn a6_a_signing_key_with_a_torsion_component_is_refused() {
    let genuine = forger::identity(&[1; 32], &forger::dh_public(&[2; 32]));
    assert!(Identity::from_bytes(&RustCrypto, &genuine).is_ok());
    let point = CompressedEdwardsY(genuine[..32].try_into().unwrap()).decompress().unwrap();
    let hash = RustCrypto.sha512(&[&[1; 32]]);
    let a = Scalar::from_bytes_mod_order(clamped(&hash));
    for torsion in &EIGHT_TORSION[1..] {
        let public = (point + torsion).compress().0;
        // Its owner signs until the challenge is a multiple of eight, which then hides the torsion.
        let certificate = (0u64..).find_map(|nonce| {
            let r = Scalar::from(nonce + 12_345);
            let nonce_point = EdwardsPoint::mul_base(&r).compress().0;
            let h = challenge(&nonce_point, &public, &certified(&genuine[32..64]));
            let hidden = h.to_bytes()[0].is_multiple_of(8);
            hidden.then(|| [nonce_point, (r + h * a).to_bytes()].concat())
        });
        let certificate = certificate.unwrap();
        let bytes: [u8; 128] = [&public[..], &genuine[32..64], &certificate].concat().try_into().unwrap();
        assert!(Identity::from_bytes(&RustCrypto, &bytes).is_err());
        // Control: strict verification accepts it, and so would a device that does not check torsion.
        assert!(RustCrypto.verify(&public, &certified(&genuine[32..64]), &certificate.try_into().unwrap()).is_ok());
        let unchecked = Party::faulty(4, Faults { no_torsion_check: true, ..Faults::default() });
        assert!(Identity::from_bytes(&unchecked.primitives, &bytes).is_ok());
    }
}

fn clamped(hash: &[u8; 64]) -> [u8; 32] {
    let mut scalar: [u8; 32] = hash[..32].try_into().unwrap();
    scalar[0] &= 248;
    scalar[31] &= 127;
    scalar[31] |= 64;
    scalar
}

/// The oracle of RUSTSEC-2022-0093: an Ed25519 function that takes the public key as an argument next to the secret
/// one.
fn sign_under(seed: &[u8; 32], public: &[u8; 32], message: &[u8]) -> ([u8; 32], Scalar) {
    let hash = RustCrypto.sha512(&[seed]);
    let a = Scalar::from_bytes_mod_order(clamped(&hash));
    let r = Scalar::from_bytes_mod_order_wide(&RustCrypto.sha512(&[&hash[32..], message]));
    let nonce_point = EdwardsPoint::mul_base(&r).compress().0;
    (nonce_point, r + challenge(&nonce_point, public, message) * a)
}

#[test]
fn a7_signing_takes_no_public_key_and_repeats_no_nonce() {
    // The types leave no room for a second key, and no function of a device signs given bytes.
    let sign: fn(&RustCrypto, &Secret<32>, &[u8]) -> [u8; 64] = RustCrypto::sign;
    let seed = [5; 32];
    let public = RustCrypto.signing_public(&Secret::new(seed));

    // Control: with a second key, two signatures with one nonce reveal the secret.
    let other = RustCrypto.signing_public(&Secret::new([6; 32]));
    let ((r1, s1), (r2, s2)) = (sign_under(&seed, &public, b"m"), sign_under(&seed, &other, b"m"));
    assert_eq!(sign(&RustCrypto, &Secret::new(seed), b"m"), *[r1, s1.to_bytes()].concat(), "the oracle is Ed25519");
    assert_eq!(r1, r2);
    let difference = challenge(&r1, &public, b"m") - challenge(&r2, &other, b"m");
    let stolen = (s1 - s2) * difference.invert();
    assert_eq!(EdwardsPoint::mul_base(&stolen).compress().0, public);

    // All that a device signs in its lifetime: a nonce repeats only if the whole signature does.
    let mut bob = Party::new(5);
    let mut alice = Party::new(6);
    for round in 0..3 {
        let bundle = bob.bundle(round % 2 == 0);
        let (_, hello) = alice.initiate(&bundle).unwrap();
        assert!(bob.device.accept(&hello).is_ok());
        bob.device.rotate(noescrow::UnixSeconds(crate::support::NOW.0 + round), &mut bob.rng);
    }
    let operations = bob.primitives.operations.borrow();
    let signed: Vec<_> = operations.iter().filter(|operation| operation.name == "sign").collect();
    assert!(signed.len() > 6);
    for (one, two) in signed.iter().flat_map(|one| signed.iter().map(move |two| (one, two))) {
        assert_eq!(one.inputs[0], two.inputs[0], "one key signs");
        let same_nonce = one.outputs[0][..32] == two.outputs[0][..32];
        assert_eq!(same_nonce, one.inputs[1] == two.inputs[1]);
        assert_eq!(same_nonce, one.outputs == two.outputs);
    }
    // Everything signed begins with a label and the suite: the server chose none of it.
    let labels: [&[u8]; 2] = [b"noescrow-v1 identity certificate", b"noescrow-v1 prekey"];
    let labelled = |message: &[u8]| labels.iter().any(|label| message.starts_with(&[label, SUITE].concat()));
    assert!(signed.iter().all(|operation| labelled(&operation.inputs[1])));
}
