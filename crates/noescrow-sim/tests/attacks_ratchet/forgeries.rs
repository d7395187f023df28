// SPDX-License-Identifier: MIT OR Apache-2.0
//! Messages that differ from what was sent: forged, cut, spliced, reflected.

use crate::support::stored::Places;
use crate::support::{MockSession, NOW, Talk, bundle, mock_device, rng, state};
use crate::{
    HEAD_LEN, HEADER_PARTS, NONCE, aead_key, classical_keys, concat_ad, cost, keys_of, open_with, opened,
    post_quantum_keys, refuses, talk_with_a_gap, unchecked,
};
use noescrow::error::DecryptError;
use noescrow::hazmat::AcceptFromAnyone;
use noescrow::primitives::{Primitives, RustCrypto};
use noescrow::{FIRST_MESSAGE_OVERHEAD, InitiateOptions, MESSAGE_OVERHEAD, Payload, Sealed, Secret};
use rand_chacha::rand_core::Rng;

/// Sharpens `invariant_4_no_step_is_taken_for_a_message_that_has_not_been_authenticated`: the forger has the header
/// key.
#[test]
fn c1_a_forged_ratchet_key_desynchronises_nobody() {
    for genuine_header in [false, true] {
        let mut talk = Talk::after(60, 2);
        let ping = talk.from_bob(b"ping");
        talk.alice.decrypt(&ping).unwrap();
        // A thief of the header key puts a ratchet key of its own into a header, and has no message key.
        let forge = |talk: &mut Talk, text: &[u8]| {
            let key = RustCrypto.dh_public(&Secret::new([4; 32]));
            let mut thief = crate::copy_with(&talk.alice, talk.alice_mock.clone());
            talk.alice_mock.rewrite_headers(move |header| header[..32].copy_from_slice(&key));
            let forged = thief.encrypt(text, &mut talk.rng).unwrap();
            talk.alice_mock.stop_rewriting();
            forged
        };
        let forged = if genuine_header {
            forge(&mut talk, b"forged")
        } else {
            let mut noise = vec![0; MESSAGE_OVERHEAD + 8];
            talk.rng.fill_bytes(&mut noise);
            noise[0] = 0x12;
            noise
        };
        // Control: a ratchet that commits before it has authenticated takes the step, and loses the genuine message.
        let mut hasty = unchecked(&talk.bob);
        let genuine = talk.from_alice(b"genuine");
        if genuine_header {
            let marked = (0..=u16::MAX).any(|guess| {
                // The plaintext is garbage; the forger tries until its padding parses.
                let forged = forge(&mut talk, &guess.to_be_bytes());
                hasty.decrypt(&forged).is_ok()
            });
            assert!(marked);
            assert_eq!(hasty.decrypt(&genuine).unwrap_err(), DecryptError::Refused);
        }
        refuses(&mut talk.bob, &forged);
        assert_eq!(talk.bob.decrypt(&genuine).unwrap().plaintext, b"genuine");
    }
}

#[test]
fn c13_every_flipped_bit_is_refused_without_change() {
    let (mut talk, late) = talk_with_a_gap(61);
    let next = talk.from_alice(b"next");
    // Alice has no answer yet: her message has the handshake before its header.
    let mut early = Talk::new(62);
    let repeated = early.from_alice(b"first again");
    for message in [&late, &next, &repeated] {
        let bob = if *message == repeated { &mut early.bob } else { &mut talk.bob };
        let before = state(bob);
        for bit in 0..8 * message.len() {
            let mut forged = message.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(bob.decrypt(&forged), Err(DecryptError::Refused), "{bit}");
        }
        assert_eq!(before, state(bob));
        bob.decrypt(message).unwrap();
    }
    // Control: without a check of the body's tag, a flipped bit passes where the header's AEAD does not cover the body.
    let message = talk.from_alice(&[7; 5_000]);
    let taken = |byte: usize| {
        let mut forged = message.clone();
        forged[byte] ^= 1;
        unchecked(&talk.bob).decrypt(&forged).is_ok()
    };
    let uncovered = MESSAGE_OVERHEAD + 4_096;
    assert!(taken(uncovered) && !taken(uncovered - 1) && !taken(HEAD_LEN) && !taken(HEAD_LEN - 1));
}

/// DR-E4, DR-D8.
#[test]
fn c14_the_ad_of_a_body_has_parts_of_fixed_width() {
    let (mut talk, _) = talk_with_a_gap(63);
    let megabyte = vec![0x12; 1 << 20];
    for associated_data in [&b""[..], b"a", b"ab", &megabyte] {
        let message = talk
            .alice
            .encrypt(Payload { plaintext: b"text", associated_data, ..Payload::default() }, &mut talk.rng)
            .unwrap();
        // The message opens as the specification describes. The message keys are the next ones of the chains, CKr in
        // both halves of Bob's state.
        let key = keys_of(&talk, &message);
        let stored = opened(state(&talk.bob));
        let places = Places::of(&stored);
        let chain_key = |at: usize| stored[at..].first_chunk().unwrap();
        let (_, _, sparse) = places.epochs[0];
        let number = u32::from_be_bytes(*stored[sparse + 32..].first_chunk().unwrap());
        assert_eq!(classical_keys(chain_key(places.receiving_chain_key.unwrap()), 1)[1], key.classical);
        assert_eq!(post_quantum_keys(chain_key(sparse), number, 1)[1], key.post_quantum);
        let ad = concat_ad(&talk, &message);
        let digest = RustCrypto.sha256(&[associated_data]);
        // Session, digest, type with salt and commitment, the header in the clear.
        let [session, header] = [&ad[..32], &ad[97..]];
        let head = &message[..33];
        assert_eq!((header.len(), ad.len()), (84, 32 + 32 + 1 + 32 + 84));
        assert!(open_with(&key, &[session, &digest, head, header], &message).is_some());
        // Controls: if a part is left out, or used itself instead of its digest, the tag is another one.
        for wrong in [
            vec![&digest[..], head, header],
            vec![session, head, header],
            vec![session, &digest, header],
            vec![session, &digest, &head[1..], header],
            vec![session, &digest, head],
            vec![session, associated_data, head, header],
        ] {
            assert_eq!(open_with(&key, &wrong, &message), None);
        }
        // Any other associated data belongs to another message, shifted and doubled data too.
        let shifted = [associated_data, &message[..1]].concat();
        let doubled = [associated_data, associated_data, b"x"].concat();
        for other in [&shifted[..], &doubled, &associated_data[associated_data.len().min(1)..], head] {
            if other != associated_data {
                let before = state(&talk.bob);
                assert_eq!(
                    talk.bob.decrypt(Sealed { message: &message, associated_data: other }),
                    Err(DecryptError::Refused)
                );
                assert_eq!(before, state(&talk.bob));
            }
        }
        assert_eq!(talk.bob.decrypt(Sealed { message: &message, associated_data }).unwrap().plaintext, b"text");
    }
    // Control: plain concatenation is ambiguous.
    let plain = |associated_data: &[u8], head: &[u8]| [associated_data, head].concat();
    assert_eq!(plain(b"a", b"bc"), plain(b"ab", b"c"));
}

#[test]
fn c15_a_tag_of_fewer_than_sixteen_bytes_is_refused() {
    let mut talk = Talk::after(64, 1);
    let message = talk.from_alice(b"");
    assert_eq!(message.len(), MESSAGE_OVERHEAD + 1);
    let key = aead_key(&keys_of(&talk, &message), &message);
    let ad = concat_ad(&talk, &message);
    let Talk { bob, bob_mock, .. } = &mut talk;
    for len in 0..message.len() {
        refuses(bob, &message[..len]);
        let [_, _, headers, _] = cost(bob_mock, || {
            let _ = bob.decrypt(&message[..len]);
        });
        // Too short to contain a tag: no key is used.
        assert_eq!(headers > 0, len >= MESSAGE_OVERHEAD, "{len}");
    }
    // All first bytes of the tag of a forged body.
    let at = HEAD_LEN;
    let forged = |guess: u8| {
        let mut forged = message.clone();
        *forged.last_mut().unwrap() ^= 1;
        forged[at] = guess;
        forged
    };
    (0..=255).for_each(|guess| refuses(bob, &forged(guess)));
    // Control: a verifier of the tag's first byte alone accepts one of them. Sealing the sealed text gives the right
    // tag.
    let mut body = forged(0)[MESSAGE_OVERHEAD..].to_vec();
    RustCrypto.seal(&key, &NONCE, &ad, &mut body).unwrap();
    let tag = RustCrypto.seal(&key, &NONCE, &ad, &mut body).unwrap();
    let taken = |len: usize| (0..=255).filter(|guess| forged(*guess)[at..at + len] == tag[..len]).count();
    assert_eq!((taken(1), taken(16)), (1, 0));
    assert_eq!(bob.decrypt(&message).unwrap().plaintext, b"");
}

#[test]
fn c16_other_versions_and_tag_lengths_are_refused() {
    let mut talk = Talk::after(65, 1);
    let message = talk.from_alice(b"text");
    let end = message.len() - 16;
    for first in (0..=255u8).filter(|first| !matches!(first, 0x11 | 0x12)) {
        // As if a tag at the end were left out, of 8 bytes, of 16, and of a MAC's 32.
        for tag_len in [0, 8, 16, 32] {
            let mut other = message.clone();
            other.truncate(end + tag_len);
            other.resize(end + tag_len, 0);
            other[0] = first;
            let Talk { bob, bob_mock, .. } = &mut talk;
            bob_mock.reset();
            assert_eq!(bob.decrypt(&other), Err(DecryptError::Refused));
            assert_eq!(bob_mock.work(), 0, "{first:#x}");
        }
    }
    for tag_len in [0, 8, 12, 15, 17, 32] {
        let mut other = message.clone();
        other.truncate(end + tag_len);
        other.resize(end + tag_len, 0);
        refuses(&mut talk.bob, &other);
    }
    // Control: the message's own version with its own tag.
    talk.bob_mock.reset();
    assert_eq!(talk.bob.decrypt(&message).unwrap().plaintext, b"text");
    assert!(talk.bob_mock.work() > 0);
}

#[test]
fn c17_a_reflected_message_opens_under_no_key_of_its_sender() {
    let mut talk = Talk::new(66);
    // Unanswered, answered, with a step due, within a chain, with a gap: own messages of every state in every later
    // one.
    let mut own: [Vec<Vec<u8>>; 2] = [Vec::new(), Vec::new()];
    for round in 0..4 {
        for from_alice in [true, false, true, true] {
            let (sender, receiver, sent) = match from_alice {
                true => (&mut talk.alice, &mut talk.bob, &mut own[0]),
                false => (&mut talk.bob, &mut talk.alice, &mut own[1]),
            };
            let message = sender.encrypt(b"mine", &mut talk.rng).unwrap();
            let mut opened_here = 0;
            sent.push(message.clone());
            for mock in [&talk.alice_mock, &talk.bob_mock] {
                mock.reset();
            }
            let mock = if from_alice { &talk.alice_mock } else { &talk.bob_mock };
            for reflected in sent.iter() {
                let [_, _, _, openings] = cost(mock, || {
                    assert_eq!(sender.decrypt(reflected), Err(DecryptError::Refused));
                });
                opened_here += openings;
                refuses(sender, reflected);
            }
            // Not even a header key fits its commitment.
            assert_eq!(opened_here, 0);
            // Control: the other side's keys do.
            let mock = if from_alice { &talk.bob_mock } else { &talk.alice_mock };
            if round % 2 == 0 || !from_alice {
                let [_, _, _, openings] =
                    cost(mock, || assert_eq!(receiver.decrypt(&message).unwrap().plaintext, b"mine"));
                assert_eq!(openings, 2);
            }
        }
    }
}

/// Two sessions between the same two devices.
#[test]
fn c18_messages_of_two_sessions_of_one_pair_are_refused_crosswise() {
    let mut rng = rng(67);
    let (alice, alice_mock) = mock_device(&mut rng);
    let (mut bob, bob_mock) = mock_device(&mut rng);
    let mut talks: Vec<Talk> = (0..2)
        .map(|_| {
            let bundle = bundle(&mut bob, true, &mut rng);
            let (first, hello) = alice.initiate(bundle, b"hello", InitiateOptions::unverified(NOW), &mut rng).unwrap();
            let (second, _) = bob.accept(&hello).unwrap();
            Talk {
                alice: first,
                alice_mock: alice_mock.clone(),
                bob: second,
                bob_mock: bob_mock.clone(),
                rng: rng.clone(),
            }
        })
        .collect();
    assert_eq!(talks[0].bob.remote_identity(), talks[1].bob.remote_identity());
    assert_ne!(talks[0].bob.id(), talks[1].bob.id());
    for answered in [false, true] {
        if answered {
            for talk in &mut talks {
                let reply = talk.from_bob(b"reply");
                talk.alice.decrypt(&reply).unwrap();
            }
        }
        let messages = [talks[0].from_alice(b"to one"), talks[1].from_alice(b"to two")];
        let head = if answered { HEAD_LEN } else { FIRST_MESSAGE_OVERHEAD - 16 };
        let splice = |a: &[u8], b: &[u8]| [&a[..head], &b[head..]].concat();
        for (at, talk) in talks.iter_mut().enumerate() {
            refuses(&mut talk.bob, &messages[1 - at]);
            refuses(&mut talk.bob, &splice(&messages[at], &messages[1 - at]));
            refuses(&mut talk.bob, &splice(&messages[1 - at], &messages[at]));
        }
        // Control: each opens in its own session.
        assert_eq!(talks[0].bob.decrypt(&messages[0]).unwrap().plaintext, b"to one");
        assert_eq!(talks[1].bob.decrypt(&messages[1]).unwrap().plaintext, b"to two");
    }
}

#[test]
fn c18_a_head_with_another_messages_body_is_refused() {
    let mut talk = Talk::after(68, 1);
    let messages: Vec<_> = (0..3).map(|_| talk.from_alice(b"text")).collect();
    for (head, body) in [(0, 1), (1, 0), (2, 0), (0, 2)] {
        let spliced = [&messages[head][..HEAD_LEN], &messages[body][HEAD_LEN..]].concat();
        refuses(&mut talk.bob, &spliced);
    }
    // Control: each opens with its own body. D4 has two messages of one state.
    assert!(messages.iter().all(|message| talk.bob.decrypt(message).is_ok()));
}

/// Two sealings of one header and one text by a sender that was rolled back: the numbers are the same, and so are the
/// ratchets' message keys. The salts' random halves give them different keys.
#[test]
fn d4_a_body_opens_only_with_its_own_sealed_header() {
    let mut talk = Talk::after(69, 1);
    let mut backup = crate::copy(&talk.alice);
    let one = talk.from_alice(b"text");
    let two = backup.encrypt(b"text", &mut talk.rng).unwrap();
    assert_eq!(keys_of(&talk, &one), *talk.alice_mock.message_keys().last().unwrap());
    assert_eq!(one[..9], two[..9], "the same tag of the number");
    assert!(HEADER_PARTS.iter().all(|part| one[part.clone()] != two[part.clone()]));
    assert_ne!(one[HEAD_LEN..], two[HEAD_LEN..], "another body");
    let spliced = [&one[..HEAD_LEN], &two[HEAD_LEN..]].concat();
    // Without a check of the body's tag, the header's notices, too.
    refuses(&mut unchecked(&talk.bob), &spliced);
    refuses(&mut talk.bob, &spliced);
    for part in HEADER_PARTS {
        let mut mixed = one.clone();
        mixed[part.clone()].copy_from_slice(&two[part]);
        refuses(&mut talk.bob, &mixed);
    }
    let genuine: fn(&mut MockSession, &[u8]) =
        |bob, message| assert_eq!(bob.decrypt(message).unwrap().plaintext, b"text");
    genuine(&mut unchecked(&talk.bob), &two);
    genuine(&mut talk.bob, &one);
}
