// SPDX-License-Identifier: MIT OR Apache-2.0
//! Output of `Debug` shows no key, no identity and no session's id; an outcome that is not saved has no plaintext.

use super::session::received;
use super::*;
use crate::hazmat::AcceptFromAnyone;
use crate::primitives::RustCrypto;
use crate::session::Session;
use crate::snapshot::StorageKey;
use crate::wire::Writer;
use crate::{Bundle, Capacity, ChunkSize, Device, InitiateOptions, Opened, Payload, Sealed, UnixSeconds};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

type Owner = Device<RustCrypto, Capacity<2, 2>>;

/// Returns whether four bytes in sequence of `state`, not all of them alike, can be read from `output`: in decimal
/// or hexadecimal, on one line or on one line each.
fn shows(output: &str, state: &[u8]) -> bool {
    let compact: String = output.chars().filter(|character| !character.is_whitespace()).collect();
    let compact = compact.to_lowercase().replace("0x", "");
    state.windows(4).any(|bytes| {
        let [a, b, c, d] = bytes else { return false };
        // Small counters and filler are not secret.
        if bytes.iter().filter(|byte| *byte != a).count() < 2 {
            return false;
        }
        let mut forms = [
            format!("{a},{b},{c},{d}"),
            format!("{a:x},{b:x},{c:x},{d:x}"),
            format!("{a:02x},{b:02x},{c:02x},{d:02x}"),
            format!("{a:02x}{b:02x}{c:02x}{d:02x}"),
        ]
        .into_iter();
        forms.any(|form| compact.contains(&form))
    })
}

fn outputs(value: &impl fmt::Debug) -> [String; 4] {
    [format!("{value:?}"), format!("{value:#?}"), format!("{value:x?}"), format!("{value:#X?}")]
}

/// The whole state: identities, ids and keys.
fn state_of<T: Stored<RustCrypto>>(value: &T) -> Vec<u8> {
    let mut bytes = alloc::vec![0; value.stored_len()];
    value.store(&mut Writer::new(&mut bytes)).unwrap();
    bytes
}

/// The outcome, as after a save.
fn released<T>(unsaved: Unsaved<'_, T>) -> T {
    unsaved.settle(Ok::<(), CommitError<core::convert::Infallible>>(())).unwrap()
}

#[test]
fn debug_output_shows_no_id_no_identity_and_no_key() {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let mut owner = || Owner::generate_with(RustCrypto, NOW, &mut rng);
    let (alice, mut bob) = (owner(), owner());
    let mut published = bob.publish(2, NOW, &mut rng).unwrap();
    bob.rotate(NOW, &mut rng);
    let bundle = Bundle::new(published.identity, published.signed_prekey, published.one_time_prekeys.pop()).unwrap();
    let payload = Payload { plaintext: b"a secret text", associated_data: b"with context", ..Payload::default() };
    let options = InitiateOptions::expecting(bob.identity(), UnixSeconds(5)).chunk_size(ChunkSize::Bytes64);
    let (initiator, hello) = alice.initiate(bundle, payload, options, &mut rng).unwrap();
    let sealed = Sealed { message: &hello, associated_data: payload.associated_data };
    let (mut responder, _) = bob.accept(sealed).unwrap();
    // Skipped keys, a retired chain, and a reply in flight.
    let late = [0; 3].map(|_| responder.encrypt(b"late", &mut rng).unwrap());
    let (id, identity) = (initiator.id(), *bob.identity());
    let states = [state_of(&alice), state_of(&bob), state_of(&initiator), state_of(&responder)];
    let known = [&states.concat()[..], &id, &identity.to_bytes(), payload.plaintext, &hello, &late.concat()].concat();

    let storage_key: [u8; 32] = core::array::from_fn(|i| 0x80 + i as u8);
    let key = StorageKey::new(storage_key);
    let mut shown = Vec::new();
    shown.extend([outputs(&alice), outputs(&bob), outputs(&initiator), outputs(&responder)]);
    shown.extend([
        outputs(&payload),
        outputs(&sealed),
        outputs(&options),
        outputs(&initiator.subject()),
        outputs(&key),
    ]);
    let durables = (Durable::<Owner>::new(alice, &key, &mut rng), Durable::<Owner>::new(bob, &key, &mut rng));
    shown.extend([outputs(&durables.0.batch()), outputs(&durables.1.batch())]);
    shown.extend([outputs(&durables.0), outputs(&durables.1)]);
    let mut durable = released(Durable::<Session<_>>::new(responder, &key, &mut rng));
    shown.push(outputs(&durable));
    let unsaved = durable.encrypt(b"unsaved", &mut rng).unwrap();
    shown.extend([outputs(&unsaved), outputs(&unsaved.batch())]);
    let received = received(
        &initiator,
        &hello,
        &mut Opened { plaintext: payload.plaintext.to_vec(), number: 0, is_control: false },
    );
    shown.push(outputs(&Batch { received: Some(received), ..Batch::default() }));
    shown.push(outputs(&released(Durable::<Session<_>>::new(initiator, &key, &mut rng))));
    for output in shown.iter().flatten() {
        assert!(!output.is_empty() && !shows(output, &known) && !shows(output, &storage_key), "{output}");
    }

    // Controls: the public values' own outputs show them, in each format, and so does hexadecimal text.
    for output in outputs(&id).iter().chain(&outputs(&Some(identity))).chain(&outputs(&payload.plaintext)) {
        assert!(shows(output, &known), "{output}");
    }
    let hex: String = id.iter().map(|byte| format!("{byte:02X}")).collect();
    assert!(shows(&hex, &id) && !shows(&hex, &identity.to_bytes()));
    assert!(shown[2][0].contains("unanswered") && shown[2][0].contains("Bytes64"), "{}", shown[2][0]);
}

/// The batch has the one copy, and wipes it on drop: an outcome that is dropped leaves none in freed memory.
#[test]
fn an_outcome_that_is_not_saved_has_no_plaintext() {
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let key = StorageKey::new([7; 32]);
    let [alice, mut bob] = [(); 2].map(|()| Owner::generate_with(RustCrypto, NOW, &mut rng));
    let bundle = Bundle::new(*bob.identity(), bob.signed_prekey(), None).unwrap();
    bob.upload_succeeded();
    let (mut alice, hello) = alice.initiate(bundle, b"first", InitiateOptions::unverified(NOW), &mut rng).unwrap();
    let next = alice.encrypt(b"next", &mut rng).unwrap();
    let mut bob = released(Durable::<Owner>::new(bob, &key, &mut rng));
    let in_batch =
        |batch: Option<Batch>| batch.and_then(|batch| batch.received).map(|received| received.plaintext.clone());
    let accepted = bob.open(&hello).unwrap().accept(b"").unwrap();
    assert_eq!((&accepted.kept().1.plaintext[..], in_batch(accepted.batch())), (&b""[..], Some(b"first".to_vec())));
    let (mut session, first) = released(accepted);
    let opened = session.decrypt(&next).unwrap();
    assert_eq!((&opened.kept().plaintext[..], in_batch(opened.batch())), (&b""[..], Some(b"next".to_vec())));
    // Control: saving releases it, whole.
    assert_eq!((&first.plaintext[..], &released(opened).plaintext[..]), (&b"first"[..], &b"next"[..]));
}
