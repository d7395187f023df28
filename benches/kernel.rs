// SPDX-License-Identifier: MIT OR Apache-2.0
//! The raw primitives that spec/protocol.md requires, without anything else: the baseline for noescrow's measurements.
//!
//! The same crates, used optimally: HMAC keyed once for both outputs of a chain step, once per chain for its header key
//! and once in total for the all-zero salt; X25519 through the Edwards form; one allocation per message. Everything
//! else is omitted: there is no store of skipped keys, no trial of a second header key, no check of lengths and roles,
//! no removal of padding, no wiping except by the crates, and no failure except by a panic.
//!
//! It is nevertheless the protocol, and not merely the same amount of work: [`check`] makes it communicate with
//! noescrow in both roles. It computes the post-quantum half's message keys but never sends a Braid message, which its
//! peer cannot distinguish from having nothing to send yet; [`braid_kem`] has the operations that an epoch of the Braid
//! requires.

mod handshake;
mod party;
mod primitives;

pub use handshake::Owner;
pub use party::Party;

use libcrux_ml_kem::mlkem768;
use noescrow::hazmat::AcceptFromAnyone;
use noescrow::{Bundle, Device, InitiateOptions, Payload, Sealed, UnixSeconds};
use primitives::random;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

/// The KEM operations of one epoch of the Braid: a key pair, an encapsulation, a decapsulation.
pub fn braid_kem(rng: &mut ChaCha20Rng) -> [u8; 32] {
    let (private, public) = mlkem768::generate_key_pair(random(rng)).into_parts();
    assert!(mlkem768::validate_public_key(&public));
    let (ciphertext, ss) = mlkem768::encapsulate(&public, random(rng));
    assert_eq!(mlkem768::decapsulate(&private, &ciphertext), ss);
    ss
}

/// Shows that the kernel is the protocol: it starts a conversation with noescrow and accepts one, and both read what
/// the other sealed, step after step, in a chain, and after a gap.
pub fn check(now: UnixSeconds, later: UnixSeconds) {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let mut bob = Device::generate(now, &mut rng);
    let mut published = bob.publish(1, now, &mut rng).unwrap();
    let bundle = Bundle::new(published.identity, published.signed_prekey, published.one_time_prekeys.pop()).unwrap();
    let (mut alice, hello) = Owner::new(2, later).initiate(&bundle.to_bytes(), b"hello");
    let (mut bob, text) = bob.accept(&hello).unwrap();
    assert_eq!(text, b"hello");

    let owner = Owner::new(3, later);
    let bundle = Bundle::from_bytes(&noescrow::primitives::RustCrypto, &owner.bundle()).unwrap();
    let carol = Device::generate(now, &mut rng);
    let (mut carol, hello) = carol.initiate(bundle, b"hello", InitiateOptions::unverified(now), &mut rng).unwrap();
    let (mut dave, text) = owner.accept(&hello);
    assert!(text.starts_with(b"hello\x80"));

    assert_eq!(
        carol.decrypt(Sealed { message: &dave.seal_step(b"answer", b"ad"), associated_data: b"ad" }).unwrap().plaintext,
        b"answer"
    );
    for (session, kernel) in [(&mut bob, &mut alice), (&mut carol, &mut dave)] {
        for _ in 0..3 {
            let message = session
                .encrypt(Payload { plaintext: b"step", associated_data: b"ad", ..Payload::default() }, &mut rng)
                .unwrap();
            assert!(kernel.open_step(&message, b"ad", 1).starts_with(b"step\x80"));
            let messages = [1, 2, 3].map(|_| {
                session
                    .encrypt(Payload { plaintext: b"chain", associated_data: b"ad", ..Payload::default() }, &mut rng)
                    .unwrap()
            });
            assert!(kernel.open(&messages[2], b"ad", 2).starts_with(b"chain\x80"));
            assert_eq!(
                session
                    .decrypt(Sealed { message: &kernel.seal_step(b"answer", b"ad"), associated_data: b"ad" })
                    .unwrap()
                    .plaintext,
                b"answer"
            );
            assert_eq!(
                session
                    .decrypt(Sealed { message: &kernel.seal(b"chain", b"ad"), associated_data: b"ad" })
                    .unwrap()
                    .plaintext,
                b"chain"
            );
        }
    }
}
