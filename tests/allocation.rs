// SPDX-License-Identifier: MIT OR Apache-2.0
//! How much memory a message can make a receiver allocate before its header has opened: none.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test states its expectations"
)]

use allocation_counter::measure;
use noescrow::durable::{Durable, StepError};
use noescrow::error::{AcceptError, DecryptError};
use noescrow::hazmat;
use noescrow::primitives::{Primitives, RustCrypto};
use noescrow::{Bundle, Device, InitiateOptions, Secret, Session, StorageKey, UnixSeconds};
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

/// A message of 16 MiB, whole but for one bit, or truncated: nothing of it is copied.
fn junk_of(message: &[u8], header_at: usize) -> [Vec<u8>; 4] {
    let flipped = |at: usize| {
        let mut junk = message.to_vec();
        junk[at] ^= 1;
        junk
    };
    // The header, the body's tag, one of the bytes that the header covers, and the last byte, which shortens the length.
    let truncated = message[..message.len() - 1].to_vec();
    [flipped(header_at), flipped(header_at + 84 + 16), flipped(header_at + 84 + 16 + 16 + 4_095), truncated]
}

/// DR-D1: by everything that looks at a message, and for messages that are not text.
#[test]
fn nothing_that_looks_at_junk_copies_its_body() {
    let [mut alice, mut bob] = ends();
    let large = vec![0; 16 << 20];
    let message = alice.encrypt_control(&large, &mut ChaCha20Rng::seed_from_u64(1)).unwrap();
    for junk in junk_of(&message, 33) {
        let looked = measure(|| {
            assert_eq!(bob.decrypt(&junk).unwrap_err(), DecryptError::Refused);
            assert_eq!(bob.peek(&junk), Err(DecryptError::Refused));
            let _ = (bob.recognizes(&junk), noescrow::routing_tag(&junk), noescrow::opening_id(&junk));
        });
        assert_eq!(looked.bytes_total, 0);
    }
    let (key, mut rng) = (StorageKey::new([1; 32]), ChaCha20Rng::seed_from_u64(2));
    let mut store = Forgetful;
    let mut durable = Durable::<Session>::new(bob, &key, &mut rng).save(&mut store).unwrap();
    for junk in junk_of(&message, 33) {
        let looked = measure(|| assert!(durable.decrypt(&junk).is_err_and(|error| error == REFUSED)));
        assert_eq!(looked.bytes_total, 0);
    }
    // Control: the genuine message is copied.
    let opened = measure(|| drop(durable.decrypt(&message).unwrap()));
    assert!(opened.bytes_total >= 16 << 20, "{}", opened.bytes_total);
}

const REFUSED: StepError<DecryptError> = StepError::Failed(DecryptError::Refused);

/// HS-R1 to HS-R7: a device that meets a stranger's 16 MiB.
#[test]
fn a_first_message_is_copied_only_when_it_is_accepted() {
    let (now, mut rng) = (UnixSeconds(1), ChaCha20Rng::seed_from_u64(3));
    let (alice, bob) = (Device::generate(now, &mut rng), Device::generate(now, &mut rng));
    let bundle = Bundle::new(*bob.identity(), bob.signed_prekey(), None).unwrap();
    let large = vec![0; 16 << 20];
    let (_, hello) = alice.initiate(bundle, &large, InitiateOptions::unverified(now), &mut rng).unwrap();
    let mut durable = Durable::<Device>::new(bob, &StorageKey::new([1; 32]), &mut rng).save(&mut Forgetful).unwrap();
    let refused = StepError::Failed(AcceptError::Refused);
    for junk in junk_of(&hello, 1_756 + 32) {
        let looked = measure(|| assert!(durable.open(&junk).is_err_and(|error| error == refused)));
        assert!(looked.bytes_total < 1 << 12, "{}", looked.bytes_total);
    }
    // An undecided message is not copied either, and a refused one never.
    let looked = measure(|| drop(durable.open(&hello).unwrap()));
    assert!(looked.bytes_total < 1 << 12, "{}", looked.bytes_total);
    // Control: what is accepted is copied once.
    let accepted = measure(|| drop(durable.open(&hello).unwrap().accept(b"").unwrap()));
    assert!((16 << 20..33 << 20).contains(&accepted.bytes_total), "{}", accepted.bytes_total);
}

/// A store that reports success and keeps nothing.
struct Forgetful;

impl noescrow::durable::Store for Forgetful {
    type Error = std::convert::Infallible;

    fn load(&mut self, _: &noescrow::durable::Subject) -> Result<Vec<noescrow::durable::Row>, Self::Error> {
        Ok(Vec::new())
    }

    fn commit(&mut self, _: noescrow::durable::Batch) -> Result<(), noescrow::durable::CommitError<Self::Error>> {
        Ok(())
    }
}
