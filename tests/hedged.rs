// SPDX-License-Identifier: MIT OR Apache-2.0
//! The hedged generator: what it adds to a predictable generator, and what it does not.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test states its expectations"
)]

#[path = "support/generators.rs"]
mod generators;

use generators::Stuck;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use noescrow::hazmat::{self, Call, Intercept, Intercepted};
use noescrow::primitives::{Primitives, RustCrypto};
use noescrow::skipped::Inline;
use noescrow::{HedgeSecret, HedgedRng, Secret, session};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{CryptoRng, Rng, SeedableRng, TryCryptoRng, TryRng};
use sha2::Sha256;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

const SECRET: [u8; 32] = [0x5E; 32];

fn hedged<R>(inner: R, tag: &[u8]) -> HedgedRng<R> {
    HedgedRng::new(inner, &HedgeSecret::new(SECRET), tag)
}

fn known(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn draw(mut rng: impl CryptoRng) -> [u8; 96] {
    let mut bytes = [0; 96];
    rng.fill_bytes(&mut bytes);
    bytes
}

/// The definition, computed with the crates `hmac` and `hkdf`.
fn definition(secret: &[u8; 32], tag: &[u8], mut inner: impl CryptoRng, out: &mut [u8]) {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
    mac.update(b"noescrow-v1 hedged secret");
    mac.update(tag);
    let salt = mac.finalize().into_bytes();
    for (number, chunk) in (0u64..).zip(out.chunks_mut(32)) {
        let (mut fresh, mut block) = ([0; 32], [0; 32]);
        inner.fill_bytes(&mut fresh);
        let info = [&b"noescrow-v1 hedged output"[..], &number.to_be_bytes()].concat();
        Hkdf::<Sha256>::new(Some(&salt), &fresh).expand(&info, &mut block).unwrap();
        chunk.copy_from_slice(&block[..chunk.len()]);
    }
}

#[test]
fn output_is_that_of_the_definition() {
    for len in [0, 1, 31, 32, 33, 64, 100, 255 * 32, 255 * 32 + 1, 20_000] {
        for tag in [&b""[..], b"boot 7", &[9; 300]] {
            let (mut ours, mut expected) = (vec![0; len], vec![0; len]);
            hedged(known(1), tag).fill_bytes(&mut ours);
            definition(&SECRET, tag, known(1), &mut expected);
            assert_eq!(ours, expected, "{len}");
            if len > 0 {
                // Control: any other secret, tag or inner generator is noticed.
                for (secret, tag, seed) in [([0x5F; 32], tag, 1), (SECRET, b"boot 8", 1), (SECRET, tag, 2)] {
                    definition(&secret, tag, known(seed), &mut expected);
                    assert!(len < 8 || ours != expected, "{len}");
                }
            }
        }
    }
    // The first two blocks, computed by a script in another language.
    let blocks = hex_literal::hex!("a894c665aea6843bf8ef86219a90308643c374ebee9e481a0011eb9718159b36" "1d277490c3c691208a25a4cd1eecc54cc18d275f97a8d6a1df50e90f10918b3c");
    let mut ours = [0; 64];
    hedged(Stuck(0x42), b"boot 7").fill_bytes(&mut ours);
    assert_eq!(ours, blocks);
}

#[test]
fn each_draw_takes_a_block_of_its_own() {
    let (mut rng, mut blocks) = (hedged(Stuck(0x42), b"1"), [0; 4 * 32]);
    definition(&SECRET, b"1", Stuck(0x42), &mut blocks);
    assert_eq!(rng.next_u32().to_le_bytes(), blocks[..4]);
    assert_eq!(rng.next_u64().to_le_bytes(), blocks[32..40]);
    let mut bytes = [0; 33];
    rng.fill_bytes(&mut bytes);
    assert_eq!(bytes, blocks[64..97]);
}

#[test]
fn a_stuck_generator_repeats_no_block_under_any_tag() {
    let mut seen = BTreeSet::new();
    for boot in 0u32..50 {
        let mut rng = hedged(Stuck(0x42), &boot.to_be_bytes());
        for _ in 0..50 {
            let mut block = [0; 32];
            rng.fill_bytes(&mut block);
            seen.insert(block);
        }
    }
    assert_eq!(seen.len(), 50 * 50);
    // Control: the stuck generator alone.
    assert_eq!(draw(Stuck(0x42)), [0x42; 96]);
}

/// The keys with which a session seals.
#[derive(Clone, Default)]
struct Keys(Rc<RefCell<Vec<[u8; 32]>>>);

impl Intercept for Keys {
    fn intercept(&self, primitives: &RustCrypto, call: &mut Call<'_>) {
        if let Call::Seal { key, .. } = call {
            self.0.borrow_mut().push(*key.expose());
        }
        call.perform(primitives);
    }
}

/// The salt and the AEAD keys of the first message that a session seals, always from the same state.
fn first_message(rng: &mut impl CryptoRng) -> ([u8; 16], Vec<[u8; 32]>) {
    let keys = Keys::default();
    let public = RustCrypto.dh_public(&Secret::new([2; 32]));
    let mut session: session::Session<_, Inline<8>> =
        hazmat::initiator(Intercepted::new(keys.clone()), &Secret::new([1; 32]), &public, b"hedged").unwrap();
    let message = session.encrypt(b"text", rng).unwrap();
    let keys = keys.0.borrow().clone();
    assert_eq!(keys.len(), 2, "header and body");
    (*message[1..].first_chunk().unwrap(), keys)
}

#[test]
fn a_stuck_generator_gives_sessions_other_salts_and_keys() {
    let (salt, keys) = first_message(&mut hedged(Stuck(0x42), b"boot 1"));
    let (other_salt, other_keys) = first_message(&mut hedged(Stuck(0x42), b"boot 2"));
    assert_ne!(salt, other_salt);
    assert!(keys.iter().all(|key| !other_keys.contains(key)));
    // Control: without hedging both repeat.
    assert_eq!(first_message(&mut Stuck(0x42)), first_message(&mut Stuck(0x42)));
}

#[test]
fn a_known_inner_generator_does_not_determine_the_output() {
    // The attacker knows the inner generator's seed and the tag, and does not know the secret.
    let observed = draw(hedged(known(7), b"boot 1"));
    for guess in 0u8..=255 {
        let mut predicted = [0; 96];
        definition(&[guess; 32], b"boot 1", known(7), &mut predicted);
        let secret_is_guessed = [guess; 32] == SECRET;
        assert_eq!(predicted == observed, secret_is_guessed, "control: the prediction is right with the secret");
    }
    assert_ne!(observed, draw(known(7)));
    // Control: a generator that passes the inner output through is predicted.
    struct Passthrough<R>(R);
    impl<R: TryCryptoRng> TryRng for Passthrough<R> {
        type Error = R::Error;
        fn try_next_u32(&mut self) -> Result<u32, R::Error> {
            self.0.try_next_u32()
        }
        fn try_next_u64(&mut self) -> Result<u64, R::Error> {
            self.0.try_next_u64()
        }
        fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), R::Error> {
            self.0.try_fill_bytes(dst)
        }
    }
    impl<R: TryCryptoRng> TryCryptoRng for Passthrough<R> {}
    assert_eq!(draw(Passthrough(known(7))), draw(known(7)));
}

#[test]
fn a_known_secret_does_not_determine_the_output() {
    // The attacker knows secret and tag, and does not know the inner generator's seed.
    let observed = draw(hedged(known(7), b"boot 1"));
    for seed in 0..100 {
        let mut predicted = [0; 96];
        definition(&SECRET, b"boot 1", known(seed), &mut predicted);
        assert_eq!(predicted == observed, seed == 7, "control: the prediction is right with the seed");
    }
}

/// W6: the limit. A clone of the machine has the same secret and, if nothing distinguishes the starts, the same tag.
#[test]
fn clones_with_equal_tags_draw_equal_bytes() {
    assert_eq!(draw(hedged(Stuck(0x42), b"boot 1")), draw(hedged(Stuck(0x42), b"boot 1")));
    assert_eq!(draw(hedged(known(7), b"boot 1")), draw(hedged(known(7), b"boot 1")));
    assert_eq!(first_message(&mut hedged(Stuck(0x42), b"boot 1")), first_message(&mut hedged(Stuck(0x42), b"boot 1")));
    // Control: a tag of their own, or a generator that works, tells them apart.
    assert_ne!(draw(hedged(Stuck(0x42), b"clone 1")), draw(hedged(Stuck(0x42), b"clone 2")));
    assert_ne!(draw(hedged(known(7), b"boot 1")), draw(hedged(known(8), b"boot 1")));
}

#[test]
fn an_error_of_the_inner_generator_is_passed_on() {
    /// Works for some calls, then fails.
    struct Failing(usize);
    impl TryRng for Failing {
        type Error = std::fmt::Error;
        fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
            Err(std::fmt::Error)
        }
        fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
            Err(std::fmt::Error)
        }
        fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Self::Error> {
            self.0 = self.0.checked_sub(1).ok_or(std::fmt::Error)?;
            dst.fill(0x42);
            Ok(())
        }
    }
    impl TryCryptoRng for Failing {}

    let mut bytes = [0; 64];
    let mut rng = hedged(Failing(1), b"");
    assert_eq!(rng.try_fill_bytes(&mut bytes), Err(std::fmt::Error));
    assert_eq!(bytes[32..], [0; 32], "nothing was written for the block that failed");
    assert_eq!((rng.try_next_u32(), rng.try_next_u64()), (Err(std::fmt::Error), Err(std::fmt::Error)));
    // Control: the same draw from a generator that does not fail.
    let mut expected = [0; 64];
    assert_eq!(hedged(Failing(2), b"").try_fill_bytes(&mut expected), Ok(()));
    assert_eq!(expected, draw(hedged(Stuck(0x42), b""))[..64]);
    assert_eq!(bytes[..32], expected[..32]);
}

#[test]
fn debug_output_and_copies_reveal_no_state() {
    static_assertions::assert_not_impl_any!(HedgedRng<ChaCha20Rng>: Clone);
    static_assertions::assert_not_impl_any!(HedgeSecret: Clone);
    // Control: the inner generator can be copied.
    static_assertions::assert_impl_all!(ChaCha20Rng: Clone);
    // Both are wiped on drop; bytes are not.
    assert!(std::mem::needs_drop::<HedgedRng<Stuck>>() && std::mem::needs_drop::<HedgeSecret>());
    assert!(!std::mem::needs_drop::<(Stuck, [u8; 32])>());

    let mut rng = hedged(Stuck(0x42), b"");
    let _ = rng.next_u64();
    assert_eq!(format!("{rng:?}"), "HedgedRng { blocks: 1, .. }");
    assert_eq!(format!("{:?}", HedgeSecret::new(SECRET)), "HedgeSecret(redacted)");
    assert_eq!(HedgeSecret::new(SECRET).expose(), &SECRET);
    assert_eq!(HedgeSecret::generate(&mut Stuck(0x42)).expose(), &[0x42; 32]);
}
