// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bad input of every kind: truncated, extended, flipped, empty, huge, of another version, from another session, for
//! another recipient, repeated, reflected to its sender, with counters at their end; snapshots under another key,
//! older, damaged. Each gives one clear error, opaque for network input; nothing is lost, and the state is the same
//! byte for byte.
//!
//! `properties/invariants/bounds.rs` covers random bytes and the messages of a session; that is not repeated here.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_debug_implementations,
    unreachable_pub,
    reason = "a test states its expectations"
)]

#[path = "bad_input/spelling.rs"]
mod spelling;
#[path = "bad_input/stored.rs"]
mod stored_states;
mod support;

use noescrow::error::{AcceptError, DecodeError, DecryptError, SafetyNumberError};
use noescrow::hazmat::AcceptFromAnyone;
use noescrow::primitives::RustCrypto;
use noescrow::{Bundle, Identity, InitiateOptions, PREKEY_LEN, Prekey, SafetyNumber, is_first_message};
use support::{MockDevice, MockSession, NOW, Talk, bundle, device_state, mock_device, rng, state};

/// All damage to bytes themselves: cut at every length below `edge` and then at some, extended by a little and by a
/// lot, one bit of every byte flipped (of every fifth within long keys), empty, zeros.
fn damaged(genuine: &[u8], edge: usize) -> Vec<Vec<u8>> {
    let cuts = (0..genuine.len()).filter(|len| *len < edge || len % 61 == 0 || *len + 40 > genuine.len());
    let mut all: Vec<Vec<u8>> = cuts.map(|len| genuine[..len].to_vec()).collect();
    for more in [&[0][..], &[0x80], &[0; 16], &[7; 1000], genuine] {
        all.push([genuine, more].concat());
    }
    for at in (0..genuine.len()).filter(|at| *at < 250 || *at + 300 > genuine.len() || at % 5 == 0) {
        let mut flipped = genuine.to_vec();
        flipped[at] ^= 1 << (at % 8);
        all.push(flipped);
    }
    all.push(vec![0; genuine.len()]);
    all.push(vec![0xFF; genuine.len()]);
    all.push(genuine.iter().rev().copied().collect());
    all.retain(|bytes| bytes != genuine);
    all
}

/// With every other first byte.
fn other_versions(genuine: &[u8]) -> Vec<Vec<u8>> {
    let of = |first: u8| [&[first][..], &genuine[1..]].concat();
    (0..=255).filter(|first| *first != genuine[0]).map(of).collect()
}

fn refused_by_session(end: &mut MockSession, bad: &[Vec<u8>]) {
    fail_in_session(end, bad, DecryptError::Refused);
}

fn fail_in_session(end: &mut MockSession, bad: &[Vec<u8>], error: DecryptError) {
    let before = state(end);
    for bytes in bad {
        assert_eq!(end.decrypt(bytes), Err(error), "{}", bytes.len());
        let mut buffer = bytes.clone();
        assert_eq!(end.decrypt_in_place(&mut buffer, b"").unwrap_err(), error);
        assert!(!buffer.windows(7).any(|window| window == b"genuine"), "the buffer contains no plaintext");
    }
    assert_eq!(before, state(end));
}

fn refused_by_device(device: &mut MockDevice, bad: &[Vec<u8>], error: AcceptError) {
    let before = device_state(device);
    for bytes in bad {
        assert_eq!(device.accept(bytes).unwrap_err(), error, "{}", bytes.len());
    }
    assert_eq!(before, device_state(device));
}

/// DR-D1.
#[test]
fn a_damaged_message_or_another_version_is_refused() {
    let mut talk = Talk::after(1, 2);
    let message = talk.from_alice(b"genuine");
    refused_by_session(&mut talk.bob, &damaged(&message, message.len()));
    refused_by_session(&mut talk.bob, &other_versions(&message));
    // Control: nothing was lost.
    assert_eq!(talk.bob.decrypt(&message).unwrap().plaintext, b"genuine");
}

#[test]
fn foreign_repeated_and_reflected_messages_are_refused() {
    let mut talk = Talk::after(2, 2);
    let mut others = Talk::after(3, 2);
    let message = talk.from_alice(b"genuine");
    let seen = talk.from_alice(b"genuine");
    talk.bob.decrypt(&seen).unwrap();
    let foreign = others.from_alice(b"genuine");
    refused_by_session(&mut talk.bob, std::slice::from_ref(&foreign));
    // Its header is authentic, and its key is used up.
    fail_in_session(&mut talk.bob, &[seen], DecryptError::KeyGone);
    refused_by_session(&mut others.bob, std::slice::from_ref(&message));
    refused_by_session(&mut talk.alice, std::slice::from_ref(&message));
    assert_eq!(talk.bob.decrypt(&message).unwrap().plaintext, b"genuine");
    assert_eq!(others.bob.decrypt(&foreign).unwrap().plaintext, b"genuine");
}

#[test]
fn counters_at_their_end_are_refused_and_nothing_is_lost() {
    for (previous, number) in [(u32::MAX, 0), (0, u32::MAX), (u32::MAX, u32::MAX), (0, u32::MAX - 1)] {
        for new_chain in [false, true] {
            let mut talk = Talk::after(4, 2);
            if new_chain {
                let ping = talk.from_bob(b"ping");
                talk.alice.decrypt(&ping).unwrap();
            }
            talk.alice_mock.rewrite_headers(move |header| {
                header[32..36].copy_from_slice(&previous.to_be_bytes());
                header[36..40].copy_from_slice(&number.to_be_bytes());
            });
            let message = talk.from_alice(b"lies");
            talk.alice_mock.stop_rewriting();
            let before = state(&talk.bob);
            let outcome = talk.bob.decrypt(&message).map(|opened| opened.plaintext);
            let case = format!("{previous} {number} {new_chain}");
            // The header is authentic: only the peer can cause these outcomes.
            match (number, new_chain) {
                // The right number. The old chain, of which more is said to be missing than a jump, is given up.
                (0, true) => assert_eq!(outcome, Ok(b"lies".to_vec()), "{case}"),
                (0, false) => assert_eq!(outcome, Err(DecryptError::KeyGone), "{case}"),
                // After it there could be no other number.
                (u32::MAX, true) => assert_eq!(outcome, Err(DecryptError::Refused), "{case}"),
                _ => assert_eq!(outcome, Err(DecryptError::TooManySkipped), "{case}"),
            }
            assert_eq!(outcome.is_err(), before == state(&talk.bob));
            let message = talk.from_alice(b"genuine");
            assert_eq!(talk.bob.decrypt(&message).unwrap().plaintext, b"genuine");
        }
    }
}

/// An authentic body with invalid padding, from a peer that pads as it likes. Opened in place, none of it stays
/// readable.
#[test]
fn a_body_with_invalid_padding_is_refused_and_wiped() {
    // 7 bytes and a marker are 8, a Padmé length; 9 bytes are not.
    for padding in [0x00, 0x01, 0x40, 0x81, 0xFF] {
        let mut talk = Talk::after(11, 1);
        talk.alice_mock.rewrite(move |plaintext| {
            if plaintext.len() == 8 {
                plaintext[7] = padding;
            }
        });
        let other = talk.from_alice(b"genuine");
        talk.alice_mock.stop_rewriting();
        refused_by_session(&mut talk.bob, &[other]);
        let message = talk.from_alice(b"genuine");
        assert_eq!(talk.bob.decrypt(&message).unwrap().plaintext, b"genuine");
    }
    // Control: a marker further back is the padding of a shorter text, and opens.
    let mut talk = Talk::after(11, 1);
    talk.alice_mock.rewrite(|plaintext| {
        if plaintext.len() == 40 {
            plaintext[38..].copy_from_slice(&[0x80, 0]);
        }
    });
    let shorter = talk.from_alice(&[1; 39]);
    assert_eq!(talk.bob.decrypt(&shorter).unwrap().plaintext, [1; 38]);
}

/// A post-quantum part that this version does not know, or in a non-canonical encoding, in an authentic header: kinds
/// of the Braid's messages, epochs, flags, n; and a chunk in a message that has none.
#[test]
fn a_header_of_another_kind_is_refused() {
    const NUMBERS: [&[u8]; 3] = [&[0; 4], &[0xFF; 4], &[0, 0, 0, 9]];
    let kinds = [6, 7, 0x80, 0xFF].map(|kind| (40, vec![kind]));
    let epochs = NUMBERS.map(|epoch| (41, epoch.to_vec()));
    // n of the first message is 1, and this is Alice's fourth: n = 0, and one that she has sent before.
    let numbers = [0u32, 1, 3].map(|number| (79, number.to_be_bytes().to_vec()));
    // Age 1 of the mixed root in the first epoch, with and without the flag of control messages; and unknown flags.
    let flags = [1, 3, 4, 8, 0x80, 0xFC, 0xFF].map(|flags| (83, vec![flags]));
    let no_chunk = [(40, vec![0])];
    for (at, bytes) in kinds.into_iter().chain(epochs).chain(numbers).chain(flags).chain(no_chunk) {
        let mut talk = Talk::after(5, 2);
        talk.alice_mock.rewrite_headers(move |header| header[at..at + bytes.len()].copy_from_slice(&bytes));
        let other = talk.from_alice(b"genuine");
        talk.alice_mock.stop_rewriting();
        refused_by_session(&mut talk.bob, &[other]);
        let message = talk.from_alice(b"genuine");
        assert_eq!(talk.bob.decrypt(&message).unwrap().plaintext, b"genuine");
    }
    // Control: the flag of a control message is known.
    let mut talk = Talk::after(5, 2);
    talk.alice_mock.rewrite_headers(|header| header[83] = 2);
    let message = talk.from_alice(b"genuine");
    assert!(talk.bob.decrypt(&message).unwrap().is_control);
}

#[test]
fn a_damaged_first_message_is_refused_and_the_prekey_kept() {
    for one_time in [true, false] {
        let mut rng = rng(6);
        let (alice, _) = mock_device(&mut rng);
        let (mut bob, _) = mock_device(&mut rng);
        let bundle = bundle(&mut bob, one_time, &mut rng);
        let (_, hello) = alice.initiate(bundle, b"genuine", InitiateOptions::unverified(NOW), &mut rng).unwrap();
        let mut bad = damaged(&hello, 12);
        bad.extend(other_versions(&hello));
        // A flipped bit in a prekey's id names another prekey, which the device does not have. Without a one-time prekey
        // its id must be 0.
        let (ids, rest): (Vec<_>, Vec<_>) = bad.into_iter().partition(|bytes| {
            let names_another = bytes.len() == hello.len()
                && (bytes[1..5] != hello[1..5] || (one_time && bytes[6..10] != hello[6..10]));
            names_another && bytes[0] == hello[0] && bytes[10..] == hello[10..]
        });
        refused_by_device(&mut bob, &rest, AcceptError::Refused);
        refused_by_device(&mut bob, &ids, AcceptError::PrekeyGone);
        assert_eq!(ids.len(), if one_time { 8 } else { 4 });
        // Control: nothing was lost.
        assert_eq!(bob.accept(&hello).unwrap().1, b"genuine");
    }
}

#[test]
fn foreign_repeated_and_reflected_first_messages_are_refused() {
    for one_time in [true, false] {
        let mut rng = rng(7);
        let (mut alice, _) = mock_device(&mut rng);
        let (mut bob, _) = mock_device(&mut rng);
        let (mut carol, _) = mock_device(&mut rng);
        let bundle = bundle(&mut bob, one_time, &mut rng);
        let (mut session, hello) =
            alice.initiate(bundle, b"genuine", InitiateOptions::unverified(NOW), &mut rng).unwrap();
        let copies = [hello.clone()];
        for device in [&mut alice, &mut carol] {
            // As it is, and naming prekeys of this device.
            refused_by_device(device, &copies, AcceptError::PrekeyGone);
            let theirs = device.publish(1, support::NOW, &mut rng).unwrap();
            let mut renamed = hello.clone();
            renamed[1..5].copy_from_slice(&theirs.signed_prekey.id().to_be_bytes());
            if one_time {
                renamed[6..10].copy_from_slice(&theirs.one_time_prekeys[0].id().to_be_bytes());
            }
            refused_by_device(device, &[renamed], AcceptError::Refused);
        }
        refused_by_session(&mut session, &copies);
        // A later message of an established session is a first message to nobody.
        let later = [Talk::after(8, 1).from_alice(b"genuine")];
        refused_by_device(&mut bob, &later, AcceptError::Refused);
        let (mut accepted, text) = bob.accept(&hello).unwrap();
        assert_eq!(text, b"genuine");
        let known = if one_time { AcceptError::PrekeyGone } else { AcceptError::Repeated };
        refused_by_device(&mut bob, &copies, known);
        fail_in_session(&mut accepted, &copies, DecryptError::KeyGone);
        // A huge message costs as much as a small one: nothing of it is read. Zeros that are never touched use no
        // memory.
        let mut huge = vec![0; 1 << 30];
        huge[..2_000.min(hello.len())].copy_from_slice(&hello[..2_000.min(hello.len())]);
        huge[11] ^= 1;
        let refused = bob.accept_in_place::<noescrow::skipped::Heap>(&mut huge, b"").map(|_| ()).unwrap_err();
        assert!(matches!(refused, AcceptError::Refused | AcceptError::PrekeyGone));
    }
}

fn parse(bytes: &[u8]) -> Result<Bundle, DecodeError> {
    Bundle::from_bytes(&RustCrypto, bytes)
}

#[test]
fn damaged_bundles_prekeys_and_identities_are_refused() {
    let mut rng = rng(9);
    let (mut bob, _) = mock_device(&mut rng);
    let (mut eve, _) = mock_device(&mut rng);
    let [ours, theirs] = [&mut bob, &mut eve].map(|device| bundle(device, true, &mut rng));
    let genuine = ours.to_bytes();
    for bytes in damaged(&genuine, 10) {
        assert_eq!(parse(&bytes), Err(DecodeError::Refused), "{}", bytes.len());
    }
    let mut huge = vec![0; 1 << 30];
    huge[..genuine.len()].copy_from_slice(&genuine);
    assert_eq!(parse(&huge), Err(DecodeError::Refused), "nothing may follow");
    drop(huge);
    assert!(parse(&genuine).is_ok());

    // Parts of another identity's bundle, in every place.
    let other = theirs.to_bytes();
    let signed = 128..128 + PREKEY_LEN;
    let one_time = signed.end + 1..genuine.len();
    for part in [0..128, signed.clone(), one_time.clone()] {
        let mut mixed = genuine.clone();
        mixed[part.clone()].copy_from_slice(&other[part]);
        assert_eq!(parse(&mixed), Err(DecodeError::Refused));
    }
    // Each prekey in the other's place, and every value of kind and flag.
    let mut swapped = genuine.clone();
    swapped[signed.clone()].copy_from_slice(&genuine[one_time.clone()]);
    assert_eq!(parse(&swapped), Err(DecodeError::Refused));
    for at in [signed.start, signed.end, one_time.start] {
        for value in (0..=255).filter(|value| *value != genuine[at]) {
            let mut bad = genuine.clone();
            bad[at] = value;
            assert_eq!(parse(&bad), Err(DecodeError::Refused), "{at} {value}");
        }
    }
    // Control: without its one-time prekey and with the matching flag, it is a bundle.
    let mut without = genuine[..=signed.end].to_vec();
    without[signed.end] = 0;
    assert!(parse(&without).is_ok());

    let bytes = ours.signed_prekey().to_bytes();
    for at in 0..bytes.len() {
        let mut flipped = bytes;
        flipped[at] ^= 1 << (at % 8);
        assert!(Prekey::from_bytes(&RustCrypto, bob.identity(), &flipped).is_err(), "{at}");
    }
    assert!(Prekey::from_bytes(&RustCrypto, eve.identity(), &bytes).is_err(), "of another identity");
    assert_eq!(&Prekey::from_bytes(&RustCrypto, bob.identity(), &bytes).unwrap(), ours.signed_prekey());
    // `identity.rs` flips every byte of an identity; here, one is combined from two.
    let mut mixed = bob.identity().to_bytes();
    mixed[32..64].copy_from_slice(&eve.identity().to_bytes()[32..64]);
    assert!(Identity::from_bytes(&RustCrypto, &mixed).is_err());
}

#[test]
fn a_damaged_safety_number_is_malformed_or_differs() {
    let mut rng = rng(10);
    let (alice, _) = mock_device(&mut rng);
    let (bob, _) = mock_device(&mut rng);
    let ours = alice.safety_number(bob.identity());
    let genuine = SafetyNumber::new(&RustCrypto, (bob.identity(), b""), (alice.identity(), b"")).to_bytes();
    for bytes in damaged(&genuine, genuine.len()) {
        let whole = bytes.len() == genuine.len() && bytes[0] == genuine[0];
        let due = if whole { SafetyNumberError::Mismatch } else { SafetyNumberError::Malformed };
        assert_eq!(ours.verify_scanned(&bytes), Err(due));
    }
    for bytes in other_versions(&genuine) {
        assert_eq!(ours.verify_scanned(&bytes), Err(SafetyNumberError::Malformed));
    }
    assert_eq!(ours.verify_scanned(&genuine), Ok(()));
}

#[test]
fn the_first_byte_distinguishes_three_kinds() {
    let of = |first: u8| is_first_message(&[first, 1, 2]);
    assert_eq!((of(0x11), of(0x12)), (Ok(true), Ok(false)));
    assert!(
        (0..=255).filter(|first| !matches!(first, 0x11 | 0x12)).all(|first| of(first) == Err(DecodeError::Refused))
    );
    assert_eq!(is_first_message(&[]), Err(DecodeError::Refused));
}
