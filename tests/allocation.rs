// SPDX-License-Identifier: MIT OR Apache-2.0
//! How much memory a message can make a receiver allocate before its header has opened: none.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test states its expectations")]

use allocation_counter::measure;
use noescrow::error::DecryptError;
use noescrow::hazmat;
use noescrow::primitives::{Primitives, RustCrypto};
use noescrow::{Secret, Session};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

fn ends() -> [Session; 2] {
    let (secret, ratchet) = (Secret::new([1; 32]), [6; 32]);
    let ratchet_key = RustCrypto.dh_public(&Secret::new(ratchet));
    let initiator = hazmat::initiator(RustCrypto, &secret, &ratchet_key, b"").unwrap();
    [initiator, hazmat::responder(RustCrypto, &secret, Secret::new(ratchet), b"")]
}

/// DR-D1, DR-D2: a client with many sessions tries each; 16 MiB of junk must not be copied for each of them.
#[test]
fn junk_is_refused_before_its_body_is_copied() {
    let [mut alice, mut bob] = ends();
    let large = vec![0; 16 << 20];
    let message = alice.encrypt(&large, &mut ChaCha20Rng::seed_from_u64(1)).unwrap();
    let mut junk = message.clone();
    junk[40] ^= 1;
    let refused = measure(|| assert_eq!(bob.decrypt(&junk).unwrap_err(), DecryptError::Refused));
    assert_eq!((refused.count_total, refused.bytes_total), (0, 0));
    // Control: the genuine message is copied once.
    let opened = measure(|| drop(bob.decrypt(&message).unwrap()));
    assert!(opened.bytes_total >= 16 << 20, "{}", opened.bytes_total);
}
