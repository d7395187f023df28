// SPDX-License-Identifier: MIT OR Apache-2.0
//! A1, A3, A4: curve keys of low order, in other encodings, or with a torsion component, at every place in a handshake.

use crate::forger::{self, EK, Forger, raw_dh};
use crate::recording::{Faults, NoAd, Party};
use crate::support::LATER;
use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::montgomery::MontgomeryPoint;
use noescrow::error::AcceptError;
use noescrow::hazmat::AcceptFromAnyone;
use noescrow::primitives::{Primitives, RustCrypto};
use noescrow::{Bundle, Identity, Secret};
use proptest::prelude::*;

const SEED: [u8; 32] = [1; 32];
const KEYS: [[u8; 32]; 4] = [[2; 32], [3; 32], [4; 32], [5; 32]];

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

/// All fourteen encodings with which RFC 7748, §6.1 gives zero for every scalar: seven, and the same with bit 255 set.
/// Two of the canonical ones have order 8: the u-coordinates of the torsion points that are neither 0, 1 nor p - 1.
fn low_order() -> Vec<[u8; 32]> {
    let one = std::array::from_fn(|i| u8::from(i == 0));
    let order_8: Vec<[u8; 32]> = [1, 3].map(|at: usize| EIGHT_TORSION[at].to_montgomery().0).to_vec();
    let seven = [vec![[0; 32], one, p_plus(-1), p_plus(0), p_plus(1)], order_8].concat();
    let high: Vec<_> = seven.iter().map(|bytes| with_high_bit(*bytes)).collect();
    [seven, high].concat()
}

/// Every non-canonical encoding: the 19 values from p to 2^255 - 1 and, of four good keys, the one with bit 255 set.
fn non_canonical() -> Vec<[u8; 32]> {
    (0..19).map(p_plus).chain(KEYS.map(|secret| with_high_bit(forger::dh_public(&secret)))).collect()
}

/// The seven other points that differ from a key by a point of small order.
fn with_torsion(key: &[u8; 32]) -> Vec<[u8; 32]> {
    let point = MontgomeryPoint(*key).to_edwards(0).unwrap();
    EIGHT_TORSION.iter().skip(1).map(|torsion| (point + torsion).to_montgomery().0).collect()
}

/// A bundle with these keys as IKB, SPKB and OPKB, in which every signature is right.
fn bundle_of([identity, signed, one_time]: [&[u8; 32]; 3]) -> Vec<u8> {
    let kem_key = RustCrypto.kem_public(&Secret::new([9; 64]));
    let prekey = |kind, key| forger::prekey(&SEED, kind, u32::from(kind), LATER, key, &kem_key);
    forger::bundle(&forger::identity(&SEED, identity), &prekey(1, signed), Some(&prekey(2, one_time)))
}

/// Whether an initiator takes `key` as IKB, as SPKB and as OPKB. If it refuses, it draws nothing and runs no KDF.
fn initiator_takes(key: &[u8; 32], faults: Faults) -> [bool; 3] {
    let mut alice = Party::faulty(1, faults);
    let good = KEYS.map(|secret| forger::dh_public(&secret));
    [0, 1, 2].map(|place| {
        let mut keys = [&good[0], &good[1], &good[2]];
        keys[place] = key;
        alice.primitives.clear();
        let drawn = alice.rng.drawn.len();
        let taken = alice.initiate(&bundle_of(keys)).is_some();
        if !taken {
            assert_eq!(
                (alice.primitives.count("hkdf"), alice.primitives.count("dh"), alice.rng.drawn.len()),
                (0, 0, drawn)
            );
        }
        taken
    })
}

/// A responder's answers to `key` as IKA and as EKA, in messages that are otherwise complete. If all DHs with a key are
/// known to be zero, or equal those of another encoding, anybody can complete the messages.
fn responder_answers(key: &[u8; 32], secret: Option<[u8; 32]>, faults: Faults) -> [Result<(), AcceptError>; 2] {
    let honest = Forger::new(SEED, KEYS[0], KEYS[1]);
    let as_identity = Forger { identity: forger::identity(&SEED, key), dh_secret: secret, ..honest.clone() };
    let as_ephemeral = Forger { ephemeral_key: *key, ephemeral_secret: secret, ..honest.clone() };
    [as_identity, as_ephemeral].map(|forger| {
        let mut bob = Party::new(2);
        let bytes = bob.bundle(true);
        let bundle = Bundle::from_bytes(&RustCrypto, &bytes).unwrap();
        let (message, _) = forger.first_message(&bundle);
        bob.primitives.set_faults(faults);
        bob.primitives.clear();
        let before = bob.state();
        let outcome = bob.device.accept(&message).map(|_| ());
        if outcome.is_err() {
            // The identity is encrypted under one DH and one KDF; SK is never computed.
            assert!(bob.primitives.count("dh") <= 1 && bob.primitives.count("hkdf") <= 1);
            assert_eq!(before, bob.state());
            assert_eq!(bob.device.one_time_prekeys_left(), 1);
            bob.primitives.clear_faults();
            assert!(bob.device.accept(&honest.first_message(&bundle).0).is_ok(), "the right one passes");
        }
        outcome
    })
}

const REFUSED: [Result<(), AcceptError>; 2] = [Err(AcceptError::Refused); 2];

#[test]
fn a1_all_fourteen_low_order_encodings_are_refused_in_all_five_positions() {
    assert_eq!(low_order().len(), 14);
    for key in low_order() {
        // Control: X25519 accepts each of them as a key, and the shared secret is zero.
        assert_eq!(raw_dh(&KEYS[3], &key), [0; 32]);
        assert_eq!(initiator_takes(&key, Faults::default()), [false; 3]);
        assert_eq!(responder_answers(&key, None, Faults::default()), REFUSED);
    }
    // Control: the same bundles and messages with an honest key.
    let honest = forger::dh_public(&KEYS[3]);
    assert_eq!(initiator_takes(&honest, Faults::default()), [true; 3]);
    assert_eq!(responder_answers(&honest, Some(KEYS[3]), Faults::default()), [Ok(()); 2]);
}

/// Parsing alone can refuse a second encoding; no faulty device accepts one. Control: X25519 treats two encodings of a
/// key as one key.
#[test]
fn a3_every_non_canonical_encoding_is_refused_in_all_five_positions() {
    for key in non_canonical() {
        assert_eq!(initiator_takes(&key, Faults::default()), [false; 3]);
        assert_eq!(responder_answers(&key, None, Faults::default()), REFUSED);
    }
    for secret in KEYS {
        let key = forger::dh_public(&secret);
        assert_eq!(raw_dh(&[7; 32], &key), raw_dh(&[7; 32], &with_high_bit(key)));
        assert_eq!(responder_answers(&with_high_bit(key), Some(secret), Faults::default()), REFUSED);
    }
    // u = p - 2, the largest canonical value that is not of low order, is on the curve's twist.
    let largest = p_plus(-2);
    assert_eq!(initiator_takes(&largest, Faults::default()), [false; 3]);
    assert_eq!(initiator_takes(&largest, Faults { no_torsion_check: true, ..Faults::default() }), [true; 3]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// The device accepts every signature: otherwise almost nothing would be decoded.
    #[test]
    fn a3_what_is_decoded_encodes_to_the_same_bytes(
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), one_time: bool,
    ) {
        let mut unverifying = Party::faulty(3, Faults { no_verify: true, no_torsion_check: true, ..Faults::default() });
        let mut bytes = unverifying.bundle(one_time);
        for (at, byte) in edits {
            // Half of the edits hit what is not a KEM key or a signature.
            let places = [0..64, 128..173, 1805..1851, 0..bytes.len()];
            let place = places[usize::from(byte) % 4].clone();
            let at = place.start + at.index(place.len());
            if let Some(byte_there) = bytes.get_mut(at) {
                *byte_there = byte;
            }
        }
        if let Ok(bundle) = Bundle::from_bytes(&unverifying.primitives, &bytes) {
            prop_assert_eq!(bundle.to_bytes(), &bytes[..]);
        }
        if let Ok(identity) = Identity::from_bytes(&unverifying.primitives, bytes.first_chunk().unwrap()) {
            prop_assert_eq!(&identity.to_bytes()[..], &bytes[..128]);
        }
    }
}

#[test]
fn a4_keys_with_torsion_are_refused_in_all_five_positions() {
    let unchecked = Faults { no_torsion_check: true, ..Faults::default() };
    let torsion_keys = with_torsion(&forger::dh_public(&KEYS[3]));
    assert_eq!(torsion_keys.len(), 7);
    for torsion_key in torsion_keys {
        assert_eq!(initiator_takes(&torsion_key, Faults::default()), [false; 3]);
        assert_eq!(responder_answers(&torsion_key, Some(KEYS[3]), Faults::default()), REFUSED);
        // Control: without the check one secret has eight public keys, and one person has eight identities.
        assert_eq!(initiator_takes(&torsion_key, unchecked), [true; 3]);
        assert_eq!(responder_answers(&torsion_key, Some(KEYS[3]), unchecked), [Ok(()); 2]);
    }
}

/// The server's attack: a recorded message becomes a new one, because the replay record identifies EK by its bytes. Two
/// defences stop it, each of them alone: the torsion check, and EK's bytes in the associated data, of the hidden identity
/// and in the key schedule.
#[test]
fn a4_torsion_variants_of_an_accepted_ephemeral_key_are_refused() {
    let torsion_keys_of = |message: &[u8]| {
        let key: [u8; 32] = message[EK].try_into().unwrap();
        let secret = [8; 32];
        with_torsion(&key).into_iter().inspect(move |torsion_key| {
            assert_eq!(raw_dh(&secret, torsion_key), raw_dh(&secret, &key), "both are one key for the responder");
        })
    };
    let replay = |message: &[u8], torsion_key: [u8; 32]| {
        let mut replayed = message.to_vec();
        replayed[EK].copy_from_slice(&torsion_key);
        replayed
    };
    let no_torsion_check = Faults { no_torsion_check: true, ..Faults::default() };
    let no_ad = Faults { no_ad: NoAd::Everywhere, ..Faults::default() };
    let neither = Faults { no_torsion_check: true, ..no_ad };
    for (faults, refused_in) in
        [(Faults::default(), Some("HS-R2")), (no_torsion_check, Some("HS-R4")), (no_ad, Some("HS-R2")), (neither, None)]
    {
        let mut bob = Party::faulty(5, faults);
        let mut alice = Party::faulty(4, Faults { no_ad: faults.no_ad, ..Faults::default() });
        let (_, message) = alice.initiate(&bob.bundle(false)).unwrap();
        assert_eq!(bob.device.accept(&message).unwrap().1, b"hello");
        assert_eq!(bob.refuses(&message), AcceptError::Repeated);
        let mut accepted = 0;
        // Only two if they are accepted: the record holds four.
        for torsion_key in torsion_keys_of(&message).take(if refused_in.is_some() { 7 } else { 2 }) {
            let replayed = replay(&message, torsion_key);
            match refused_in {
                Some(step) => {
                    let before = bob.state();
                    bob.primitives.clear();
                    assert_eq!(bob.device.accept(&replayed).unwrap_err(), AcceptError::Refused);
                    assert_eq!(bob.primitives.steps().last(), Some(&step));
                    assert_eq!(before, bob.state());
                }
                None => {
                    // Control: accepted as new; the user gets the same text a second time.
                    assert_eq!(bob.device.accept(&replayed).unwrap().1, b"hello");
                    accepted += 1;
                }
            }
        }
        assert_eq!(accepted, if refused_in.is_some() { 0 } else { 2 });
    }
}
