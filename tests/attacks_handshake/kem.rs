// SPDX-License-Identifier: MIT OR Apache-2.0
//! B4, B27, B28, B31: re-encapsulation, malformed keys and ciphertexts, implicit rejection, private keys in storage.

use crate::forger::{self, CT, HIDDEN};
use crate::recording::{Faults, NoAd, Party, RecordedDevice, Recording, RecordingRng};
use crate::support::{NOW, stored};
use libcrux_ml_kem::mlkem1024;
use noescrow::error::AcceptError;
use noescrow::hazmat::AcceptFromAnyone;
use noescrow::primitives::{Primitives, RustCrypto};
use noescrow::{Bundle, Secret};
use rand_chacha::rand_core::{Rng, TryCryptoRng, TryRng};
use std::convert::Infallible;

/// A KEM that is as good as ML-KEM against a passive attacker, but whose secret depends only on a random value and not
/// on the key that carried it: `ct = E || m xor H(DH(e, pk))`, `K = H(m)`. PQXDH §4.12 warns of such KEMs.
pub mod weak {
    use super::{Primitives, RustCrypto, Secret, forger};

    pub fn public(seed: &Secret<64>) -> [u8; 1568] {
        let mut public = [0; 1568];
        public[..32].copy_from_slice(&forger::dh_public(seed.expose().first_chunk().unwrap()));
        public
    }

    fn mask(secret: &[u8; 32], public: &[u8], value: &[u8]) -> [u8; 32] {
        let mask = RustCrypto.sha256(&[&forger::raw_dh(secret, public[..32].try_into().unwrap())]);
        std::array::from_fn(|at| mask[at] ^ value[at])
    }

    fn shared(value: &[u8; 32]) -> Secret<32> {
        Secret::new(RustCrypto.sha256(&[b"shared", value]))
    }

    /// Carries `value` to the owner of `public`.
    pub fn carry(public: &[u8; 1568], value: &[u8; 32], ephemeral: &[u8; 32]) -> [u8; 1568] {
        let mut ciphertext = [0; 1568];
        ciphertext[..32].copy_from_slice(&forger::dh_public(ephemeral));
        ciphertext[32..64].copy_from_slice(&mask(ephemeral, public, value));
        ciphertext
    }

    pub fn value(seed: &[u8; 64], ciphertext: &[u8; 1568]) -> [u8; 32] {
        mask(seed.first_chunk().unwrap(), ciphertext, &ciphertext[32..64])
    }

    pub fn encapsulate(public: &[u8; 1568], coins: &[u8; 32]) -> ([u8; 1568], Secret<32>) {
        let value = RustCrypto.sha256(&[b"value", coins]);
        (carry(public, &value, coins), shared(&value))
    }

    pub fn decapsulate(seed: &[u8; 64], ciphertext: &[u8; 1568]) -> Secret<32> {
        shared(&value(seed, ciphertext))
    }
}

/// A faulty generator: repeats the 32 bytes from which curve keys are made, and nothing else.
pub struct Repeats(pub RecordingRng);

impl TryRng for Repeats {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.0.next_u32())
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.next_u64())
    }
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        match bytes.len() {
            32 => bytes.fill(0x66),
            _ => self.0.fill_bytes(bytes),
        }
        Ok(())
    }
}

impl TryCryptoRng for Repeats {}

/// Two one-time prekeys have one curve key, so that only the KEM could distinguish them, and this KEM does not. The
/// seed of the first was stolen. The server serves only that one to Alice, and re-encapsulates her secret to the
/// second.
#[test]
fn b4_a_re_encapsulated_secret_is_refused_even_with_a_weak_kem() {
    let attack = |no_ad: NoAd| {
        let faults = Faults { weak_kem: true, no_ad, ..Faults::default() };
        let (mut alice, mut bob) = (Party::faulty(1, faults), Party::faulty(2, faults));
        let mut repeats = Repeats(RecordingRng::new(3));
        let published = bob.device.publish(2, NOW, &mut repeats).unwrap();
        let [first, second] = [0, 1].map(|at| published.one_time_prekeys[at].clone());
        assert_eq!(first.dh_key(), second.dh_key());
        let bundle = Bundle::new(published.identity, published.signed_prekey, Some(first.clone())).unwrap();
        let (_, hello) = alice.initiate(&bundle.to_bytes()).unwrap();

        let stolen = bob.primitives.seed_of(first.kem_key());
        let value = weak::value(&stolen, hello[CT].try_into().unwrap());
        let mut carried = hello.clone();
        carried[6..10].copy_from_slice(&second.id().to_be_bytes());
        carried[CT].copy_from_slice(&weak::carry(second.kem_key(), &value, &[4; 32]));

        let before = bob.state();
        bob.primitives.clear();
        let outcome = bob.device.accept(&carried).map(|(_, text)| text);
        let last_step = *bob.primitives.steps().last().unwrap();
        let same_key =
            bob.primitives.count("hkdf") > 1 && bob.primitives.key_agreement() == alice.primitives.key_agreement();
        if outcome.is_err() {
            assert_eq!(before, bob.state());
            assert_eq!(bob.device.accept(&hello).unwrap().1, b"hello");
        }
        (outcome, last_step, same_key)
    };
    let refused = Err(AcceptError::Refused);
    // The ids and the ciphertext are associated data of the encrypted identity.
    assert_eq!(attack(NoAd::Nowhere), (refused.clone(), "HS-R4", false));
    // Without that, both sides have one SK, and only AD shows that they mean different keys: no header key is shared.
    assert_eq!(attack(NoAd::OfIdentity), (refused, "DR-D2", true));
    // Control: without AD the attack of Bhargavan, Jacomme, Kiefer and Schmidt succeeds.
    let (outcome, _, same_key) = attack(NoAd::Everywhere);
    assert_eq!((outcome.unwrap(), same_key), (b"hello".to_vec(), true));
}

/// `wycheproof.rs` tests invalid keys from Wycheproof; here one stands in a bundle whose signatures are right.
#[test]
fn b27_a_kem_key_failing_the_modulus_check_is_never_used() {
    let mut bob = Party::new(5);
    let genuine = Bundle::from_bytes(&RustCrypto, &bob.bundle(true)).unwrap();
    let seed = [6; 32];
    let of = |kem_keys: [&[u8; 1568]; 2]| {
        let prekey = |kind: u8, key| {
            forger::prekey(&seed, kind, kind.into(), crate::support::LATER, &forger::dh_public(&[kind; 32]), key)
        };
        let identity = forger::identity(&seed, &forger::dh_public(&[9; 32]));
        forger::bundle(&identity, &prekey(1, kem_keys[0]), Some(&prekey(2, kem_keys[1])))
    };
    let good = genuine.signed_prekey().kem_key();
    // 3,329 = q and 4,095 as the first, a middle and the last coefficient, 12 bits little-endian, two in three bytes.
    for (at, odd) in [(0, false), (765, true), (1533, true)] {
        for coefficient in [3329u16, 4095] {
            let mut bad = *good;
            let [low, high] = (if odd { coefficient << 4 } else { coefficient }).to_le_bytes();
            let at = if odd { at + 1 } else { at };
            (bad[at], bad[at + 1]) = if odd { (bad[at] & 0x0F | low, high) } else { (low, bad[at + 1] & 0xF0 | high) };
            for keys in [[&bad, good], [good, &bad]] {
                let mut alice = Party::new(7);
                assert!(alice.initiate(&of(keys)).is_none());
                assert_eq!(alice.primitives.count("encapsulate"), 0);
                // Control: without the check, the initiator encapsulates to the key.
                alice.primitives.set_faults(Faults { no_modulus_check: true, ..Faults::default() });
                assert!(alice.initiate(&of(keys)).is_some());
                assert_eq!(alice.primitives.count("encapsulate"), 1);
            }
        }
    }
    assert!(Party::new(7).initiate(&of([good, good])).is_some());
}

#[test]
fn b27_a_wrong_ciphertext_fails_like_any_other_flaw() {
    let mut bob = Party::new(8);
    let bundle = bob.bundle(true);
    let (_, hello) = Party::new(9).initiate(&bundle).unwrap();
    let mut answers = |place: std::ops::Range<usize>, bytes: &[u8]| {
        let mut message = hello.clone();
        message[place].copy_from_slice(bytes);
        bob.primitives.clear();
        let before = bob.state();
        bob.primitives.clear();
        let error = bob.device.accept(&message).unwrap_err();
        let work: Vec<_> =
            bob.primitives.operations.borrow().iter().map(|one| (one.name, one.step, one.succeeded)).collect();
        assert_eq!(before, bob.state());
        (error, work)
    };
    let forged_tag = answers(HIDDEN.end - 16..HIDDEN.end, &[0; 16]);
    assert_eq!(forged_tag.0, AcceptError::Refused);
    let mut rng = crate::support::rng(10);
    for fill in [0, 0xFF] {
        assert_eq!(answers(CT, &[fill; 1568]), forged_tag);
    }
    for _ in 0..20 {
        let mut random = [0; 1568];
        rng.fill_bytes(&mut random);
        assert_eq!(answers(CT, &random), forged_tag);
        let at = CT.start + (rng.next_u32() as usize) % 1568;
        assert_eq!(answers(at..at + 1, &[hello[at] ^ 1]), forged_tag);
    }
    for len in [CT.start, CT.end - 1, CT.end, HIDDEN.end] {
        assert_eq!(bob.refuses(&hello[..len]), AcceptError::Refused);
    }
    assert!(bob.device.accept(&hello).is_ok());
}

/// SHAKE256 to 32 bytes, written from FIPS 202: the oracle for J.
fn shake_256(input: &[u8]) -> [u8; 32] {
    const ROUNDS: [u64; 24] = [
        0x0000000000000001,
        0x0000000000008082,
        0x800000000000808a,
        0x8000000080008000,
        0x000000000000808b,
        0x0000000080000001,
        0x8000000080008081,
        0x8000000000008009,
        0x000000000000008a,
        0x0000000000000088,
        0x0000000080008009,
        0x000000008000000a,
        0x000000008000808b,
        0x800000000000008b,
        0x8000000000008089,
        0x8000000000008003,
        0x8000000000008002,
        0x8000000000000080,
        0x000000000000800a,
        0x800000008000000a,
        0x8000000080008081,
        0x8000000000008080,
        0x0000000080000001,
        0x8000000080008008,
    ];
    const RATE: usize = 136;
    let mut padded = input.to_vec();
    padded.push(0x1F);
    padded.resize(padded.len().next_multiple_of(RATE), 0);
    *padded.last_mut().unwrap() ^= 0x80;
    let mut lanes = [0u64; 25];
    for block in padded.chunks(RATE) {
        for (lane, bytes) in lanes.iter_mut().zip(block.chunks(8)) {
            *lane ^= u64::from_le_bytes(bytes.try_into().unwrap());
        }
        for round in ROUNDS {
            let columns: [u64; 5] = std::array::from_fn(|x| (0..5).fold(0, |sum, y| sum ^ lanes[x + 5 * y]));
            for (at, lane) in lanes.iter_mut().enumerate() {
                *lane ^= columns[(at + 4) % 5] ^ columns[(at % 5 + 1) % 5].rotate_left(1);
            }
            // Rho and pi along the one cycle of the other 24 lanes; the rotation of the t-th is t (t + 1) / 2.
            let (mut x, mut y, mut moving) = (1, 0, lanes[1]);
            for t in 1..=24u32 {
                (x, y) = (y, (2 * x + 3 * y) % 5);
                let rotated = moving.rotate_left(t * (t + 1) / 2 % 64);
                moving = std::mem::replace(&mut lanes[x + 5 * y], rotated);
            }
            for row in lanes.chunks_mut(5) {
                let old: [u64; 5] = (&*row).try_into().unwrap();
                row.iter_mut().enumerate().for_each(|(x, lane)| *lane ^= !old[(x + 1) % 5] & old[(x + 2) % 5]);
            }
            lanes[0] ^= round;
        }
    }
    let mut out = [0; 32];
    out.chunks_mut(8).zip(lanes).for_each(|(bytes, lane)| bytes.copy_from_slice(&lane.to_le_bytes()));
    out
}

/// The number of wrong ciphertexts that are not rejected to J(z || c).
fn not_rejected(primitives: &Recording) -> usize {
    let seed = Secret::new(std::array::from_fn(|at| at as u8));
    let (genuine, secret) = primitives.encapsulate(&primitives.kem_public(&seed), &Secret::new([7; 32]));
    assert_eq!(primitives.decapsulate(&seed, &genuine).expose(), secret.expose());
    let mut rng = crate::support::rng(11);
    let wrong = (0..40).map(|case| {
        let mut wrong = genuine;
        match case {
            0..20 => wrong[rng.next_u32() as usize % 1568] ^= 1 << (case % 8),
            _ => rng.fill_bytes(&mut wrong),
        }
        wrong
    });
    wrong
        .filter(|wrong| {
            let rejected = *primitives.decapsulate(&seed, wrong).expose();
            let again = *primitives.decapsulate(&seed, wrong).expose();
            let j = shake_256(&[&seed.expose()[32..], &wrong[..]].concat());
            rejected != j || again != j || &rejected == secret.expose()
        })
        .count()
}

/// HS-R3.
#[test]
fn b28_a_wrong_ciphertext_gives_the_implicit_rejection_secret() {
    // FIPS 202's example: SHAKE256 of the empty string.
    assert_eq!(shake_256(b"")[..8], [0x46, 0xb9, 0xdd, 0x2b, 0x0b, 0xa8, 0x8d, 0x13]);
    assert_eq!(not_rejected(&Recording::default()), 0);
    // Control: a KEM without implicit rejection.
    let without = Recording::default();
    without.set_faults(Faults { weak_kem: true, ..Faults::default() });
    assert_eq!(not_rejected(&without), 40);
}

/// An expanded private key holds ek, H(ek) and z next to the secret. An attacker who can write to storage can make them
/// inconsistent.
#[test]
fn b31_private_kem_keys_are_stored_as_seeds_only() {
    let decapsulate: fn(&RustCrypto, &Secret<64>, &[u8; 1568]) -> Secret<32> = RustCrypto::decapsulate;
    let seed = [8; 64];
    let (expanded, public) = mlkem1024::generate_key_pair(seed).into_parts();
    let public: [u8; 1568] = public.into();
    let (ciphertext, secret) = RustCrypto.encapsulate(&public, &Secret::new([9; 32]));
    assert_eq!(decapsulate(&RustCrypto, &Secret::new(seed), &ciphertext).expose(), secret.expose());
    // Control: an expanded key with H(ek) altered is still a key of the same size, and silently another one.
    let mut expanded: [u8; 3168] = expanded.into();
    assert_eq!(&expanded[1536..1536 + 1568], &public);
    expanded[1536 + 1568] ^= 1;
    let altered = mlkem1024::decapsulate(&expanded.into(), &(&ciphertext).into());
    assert_ne!(&altered, secret.expose());

    // A stored device holds the seed, and nothing of the expanded key.
    let mut bob = Party::new(12);
    let without = bob.state().len();
    let bytes = bob.bundle(true);
    let bundle = Bundle::from_bytes(&RustCrypto, &bytes).unwrap();
    // After its name.
    assert_eq!(bob.state().len() - without, 9 + 4 + 1 + 8 + 32 + 64 + 32 + 1 + 8);
    let state = opened(bob.state());
    let seed = bob.primitives.seed_of(bundle.one_time_prekey().unwrap().kem_key());
    let find = |needle: &[u8]| state.windows(needle.len()).position(|window| window == needle);
    let at = find(&seed).unwrap();
    assert_eq!(find(&bundle.one_time_prekey().unwrap().kem_key()[..32]), None);

    // Whatever an attacker with the storage key writes over a seed, the key is consistent: another d is another key, which
    // is not the one that was described, and another z is the same key.
    let (_, hello) = Party::new(13).initiate(&bytes).unwrap();
    let subject = bob.device.subject();
    for (byte, is_same) in [(0, false), (31, false), (32, true), (63, true)] {
        let mut forged = state.clone();
        forged[at + byte] ^= 0x10;
        let forged = sealed(forged);
        if is_same {
            assert!(Party::restored(&forged, 14).device.accept(&hello).is_ok(), "{byte}");
        } else {
            let key = noescrow::StorageKey::new([0x5A; 32]);
            let restored =
                RecordedDevice::restore_in_place(Recording::default(), &mut forged.clone(), &key, &subject, 0);
            assert_eq!(restored.map(|_| ()).unwrap_err(), noescrow::error::RestoreError::Refused, "{byte}");
        }
    }
    assert!(bob.device.accept(&hello).is_ok());
}

pub use crate::support::stored::opened;

/// A snapshot of any device state, as a holder of the storage key can forge it.
pub fn sealed(state: Vec<u8>) -> Vec<u8> {
    stored::sealed(stored::DEVICE, state)
}
