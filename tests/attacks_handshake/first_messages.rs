// SPDX-License-Identifier: MIT OR Apache-2.0
//! B16, B17, B24, B25, B34: reflection, one key in two roles, versions, optional fields, ids.

use crate::forger::{self, CHUNK_SIZE, CT, EK, Forger, HIDDEN, IDENTITY};
use crate::kem::Repeats;
use crate::recording::{Faults, NoAd, Party, RecordingRng};
use crate::support::generators::Ids;
use crate::support::{LATER, Mock, MockDevice, NOW, rng};
use noescrow::error::{AcceptError, DecryptError, InitiateError};
use noescrow::hazmat::AcceptFromAnyone;
use noescrow::primitives::{Primitives, RustCrypto};
use noescrow::{Bundle, ChunkSize, Identity, InitiateOptions, Secret, UnixSeconds};
use std::collections::HashSet;
use std::iter;

const HONEST: [[u8; 32]; 3] = [[1; 32], [2; 32], [3; 32]];

fn honest() -> Forger {
    Forger::new(HONEST[0], HONEST[1], HONEST[2])
}

/// The forger shares no protocol code with the crate: the responder accepts its message, and both compute one AD, which
/// is in every expansion of SK and so in the session's id.
/// HS-I7, HS-R6.
#[test]
fn b24_ad_contains_every_field_that_the_document_lists() {
    for one_time in [true, false] {
        let mut bob = Party::new(1);
        let bytes = bob.bundle(one_time);
        let bundle = Bundle::from_bytes(&RustCrypto, &bytes).unwrap();
        let (message, id) = honest().first_message(&bundle);
        let (session, text) = bob.device.accept(&message).unwrap();
        assert_eq!((text.as_slice(), session.id()), (&b"forged"[..], id));
        let forged = Identity::from_bytes(&RustCrypto, &honest().identity).unwrap();
        assert_eq!(session.remote_identity(), Some(&forged));

        let mut alice = Party::new(2);
        let (session, hello) = alice.initiate(&bytes).unwrap_or_else(|| panic!("refused"));
        let expected = forger::associated_data(&alice.device.identity().to_bytes(), &bundle, &hello[..HIDDEN.start]);
        let sk = alice.primitives.key_agreement().1.try_into().unwrap();
        assert_eq!(session.id(), forger::session_id(&sk, &expected));
        // Control: another suite, version or presence gives another AD.
        let mut versioned = hello[..HIDDEN.start].to_vec();
        versioned[0] ^= 0x30;
        assert_ne!(expected, forger::associated_data(&alice.device.identity().to_bytes(), &bundle, &versioned));
        let absent = Bundle::new(*bundle.identity(), bundle.signed_prekey().clone(), None).unwrap();
        let clear = &hello[..HIDDEN.start];
        let without = forger::associated_data(&alice.device.identity().to_bytes(), &absent, clear);
        assert_eq!(expected == without, !one_time);
    }
}

#[test]
fn b24_other_versions_and_missing_fields_are_refused() {
    for one_time in [true, false] {
        let mut bob = Party::new(3);
        let (mut from_alice, hello) = Party::new(4).initiate(&bob.bundle(one_time)).unwrap();
        for version in (0..=255).filter(|version| *version != hello[0]) {
            let mut other = hello.clone();
            other[0] = version;
            bob.primitives.clear();
            assert_eq!(bob.refuses(&other), AcceptError::Refused, "{version}");
            // Before any key is used, not only because of associated data.
            assert_eq!(bob.primitives.count("dh"), 0, "{version}");
        }
        // Each field cut out: one-time id, EK, ciphertext, chunk size, hidden identity, its tag, header, body.
        let (chunk_size, header) = (CHUNK_SIZE..HIDDEN.start, HIDDEN.end..HIDDEN.end + 132);
        let fields = [0..1, 1..5, 5..6, 6..10, 5..10, EK, CT, chunk_size, HIDDEN, HIDDEN.end - 16..HIDDEN.end, header];
        for field in fields {
            let mut cut = hello.clone();
            cut.drain(field);
            assert_eq!(bob.refuses(&cut), AcceptError::Refused);
        }
        // The post-quantum part overwritten with zeros, as if there were none.
        let mut classical = hello.clone();
        classical[CT].fill(0);
        assert_eq!(bob.refuses(&classical), AcceptError::Refused);
        assert_eq!(bob.refuses(&[]), AcceptError::Refused);
        // Control.
        let (mut from_bob, _) = bob.device.accept(&hello).unwrap();
        let reply = from_bob.encrypt(b"reply", &mut bob.rng).unwrap();
        for version in (0..=255).filter(|version| *version != reply[0]) {
            let mut other = reply.clone();
            other[0] = version;
            assert_eq!(from_alice.decrypt(&other), Err(DecryptError::Refused), "{version}");
        }
        assert_eq!(from_alice.decrypt(&reply).unwrap().plaintext, b"reply");
    }
}

/// Every chunk size code that the server can write over the genuine one.
#[test]
fn b24_a_server_cannot_change_the_chunk_size() {
    for (code, chunk_size) in ChunkSize::ALL.into_iter().enumerate() {
        let mut steps = [0, 0];
        for (no_ad, steps) in [NoAd::Nowhere, NoAd::OfIdentity].into_iter().zip(&mut steps) {
            let faults = Faults { no_ad, ..Faults::default() };
            let (mut bob, mut alice) = (Party::faulty(3, faults), Party::faulty(4, faults));
            let bundle = Bundle::from_bytes(&RustCrypto, &bob.bundle(true)).unwrap();
            let initiated = alice.device.initiate(
                bundle,
                b"hello",
                InitiateOptions::unverified(NOW).chunk_size(chunk_size),
                &mut alice.rng,
            );
            let (_, hello) = initiated.unwrap();
            assert_eq!(usize::from(hello[CHUNK_SIZE]), code);
            for other in (0..=255).filter(|other| *other != hello[CHUNK_SIZE]) {
                let mut altered = hello.clone();
                altered[CHUNK_SIZE] = other;
                bob.primitives.clear();
                assert_eq!(bob.refuses(&altered), AcceptError::Refused);
                // An invalid code is refused before any key is used, a valid one because it is associated data of the
                // identity.
                assert_eq!(bob.primitives.count("dh") > 0, other < 4, "{other}");
                *steps += usize::from(bob.primitives.steps().contains(&"HS-R5"));
            }
            // Control.
            let (session, _) = bob.device.accept(&hello).unwrap();
            assert_eq!(session.chunk_size(), chunk_size);
        }
        // Control: without that associated data the other three codes reach SK and fail because of its transcript.
        assert_eq!(steps, [0, 3]);
    }
}

/// Every presence flag and id that the server can write over the genuine one.
#[test]
fn b25_both_sides_agree_on_whether_a_one_time_key_is_used() {
    for one_time in [true, false] {
        let mut bob = Party::new(5);
        let bundle = bob.bundle(one_time);
        // Bob holds another one-time key, so that its id finds a key.
        bob.bundle(true);
        let (session, hello) = Party::new(6).initiate(&bundle).unwrap();
        let genuine: [u8; 5] = hello[5..10].try_into().unwrap();
        let with_dh4 = session.id();
        for (flag, id) in
            [0, 1, 2, 0x7F, 0xFF].into_iter().flat_map(|flag| (0..6).chain([u32::MAX]).map(move |id| (flag, id)))
        {
            let mut altered = hello.clone();
            altered[5] = flag;
            altered[6..10].copy_from_slice(&id.to_be_bytes());
            if altered[5..10] == genuine {
                continue;
            }
            bob.primitives.clear();
            let error = bob.refuses(&altered);
            let is_absent_and_named = flag == 0 && id != 0;
            if flag > 1 || is_absent_and_named {
                // Two encodings of one thing: refused before any key is used.
                assert_eq!((error, bob.primitives.count("dh")), (AcceptError::Refused, 0));
            }
        }
        let (accepted, _) = bob.device.accept(&hello).unwrap();
        assert_eq!(accepted.id(), with_dh4);
        assert_eq!(bob.device.one_time_prekeys_left(), 1);
    }
    // Control: for DHs and KEM alone, presence is only 32 more bytes of key material; SK shows the difference.
    let sk = |one_time| {
        let mut alice = Party::new(7);
        assert!(alice.initiate(&Party::new(8).bundle(one_time)).is_some());
        alice.primitives.key_agreement().0.concat().len()
    };
    assert_eq!(sk(true), sk(false) + 32);
}

#[test]
fn b16_a_device_refuses_its_own_bundle_and_its_own_messages() {
    let mut alice = Party::new(9);
    let mut bob = Party::new(10);
    for one_time in [true, false] {
        // The server serves Alice's own bundle as Bob's.
        let own = alice.bundle(one_time);
        let parsed = Bundle::from_bytes(&alice.primitives, &own).unwrap();
        let refused =
            alice.device.initiate(parsed, b"me", InitiateOptions::unverified(NOW), &mut alice.rng).map(|_| ());
        assert_eq!(refused.unwrap_err().error, InitiateError::Refused);
        // The server echoes her message to her device and to her session.
        let (mut session, hello) = alice.initiate(&bob.bundle(one_time)).unwrap();
        assert!(matches!(alice.refuses(&hello), AcceptError::Refused | AcceptError::PrekeyGone));
        assert_eq!(session.decrypt(&hello), Err(DecryptError::Refused));
        // Echoed later messages are refused, too, and no key seals in both directions.
        let (mut from_bob, _) = bob.device.accept(&hello).unwrap();
        alice.primitives.clear();
        bob.primitives.clear();
        for _ in 0..4 {
            let pong = from_bob.encrypt(b"pong", &mut bob.rng).unwrap();
            assert_eq!(from_bob.decrypt(&pong), Err(DecryptError::Refused));
            assert_eq!(session.decrypt(&pong).unwrap().plaintext, b"pong");
            let ping = session.encrypt(b"ping", &mut alice.rng).unwrap();
            assert_eq!(session.decrypt(&ping), Err(DecryptError::Refused));
            assert_eq!(from_bob.decrypt(&ping).unwrap().plaintext, b"ping");
        }
        let keys = |party: &Party, name| -> HashSet<Vec<u8>> {
            let operations = party.primitives.operations.borrow();
            operations.iter().filter(|one| one.name == name && one.succeeded).map(|one| one.inputs[0].clone()).collect()
        };
        assert!(keys(&alice, "seal").is_disjoint(&keys(&bob, "seal")));
        // Control: the comparison finds equal keys.
        assert_eq!(keys(&alice, "seal"), keys(&bob, "open"));
        assert_eq!(keys(&bob, "seal"), keys(&alice, "open"));
    }
    // A message from Bob's own identity, right in every other respect; its secrets were his first draws.
    let secrets = [0, 1].map(|at: usize| -> [u8; 32] { bob.rng.drawn[at].as_slice().try_into().unwrap() });
    let bytes = bob.bundle(true);
    let bundle = Bundle::from_bytes(&RustCrypto, &bytes).unwrap();
    let identity: [u8; 128] = bytes[IDENTITY].try_into().unwrap();
    let from_himself = Forger { identity, dh_secret: Some(secrets[1]), ..honest() };
    assert_eq!(bob.refuses(&from_himself.first_message(&bundle).0), AcceptError::Refused);
    // The same under his signing key with another DH key, which he certified himself.
    let half = Forger { identity: forger::identity(&secrets[0], &forger::dh_public(&HONEST[1])), ..honest() };
    assert_eq!(half.identity[..32], identity[..32]);
    assert_eq!(bob.refuses(&half.first_message(&bundle).0), AcceptError::Refused);
    // Control: the same message from anybody else is accepted.
    assert!(bob.device.accept(&honest().first_message(&bundle).0).is_ok());
}

/// Threema's flaw of 2023: an ephemeral key was somebody's long-term key. Every message here is complete, made with the
/// secret of the key in question; its only flaw is that the key has two roles.
#[test]
fn b17_a_responder_refuses_a_key_in_two_roles() {
    let mut bob = Party::new(11);
    let bundle = Bundle::from_bytes(&RustCrypto, &bob.bundle(true)).unwrap();
    let keys =
        [bundle.identity().dh_key(), bundle.signed_prekey().dh_key(), bundle.one_time_prekey().unwrap().dh_key()];
    let [identity_secret, signed_secret, one_time_secret] = keys.map(|key| bob.primitives.secret_of(key.as_bytes()));
    let as_identity = |secret| Forger::new(HONEST[0], secret, HONEST[2]);
    let as_ephemeral = |secret| Forger::new(HONEST[0], HONEST[1], secret);
    let equal = [
        as_ephemeral(identity_secret),
        as_ephemeral(signed_secret),
        as_ephemeral(one_time_secret),
        as_identity(identity_secret),
        as_identity(signed_secret),
        as_identity(one_time_secret),
        // IKA = EKA.
        as_identity(HONEST[2]),
    ];
    for forger in equal {
        bob.primitives.clear();
        let before = bob.state();
        bob.primitives.clear();
        assert_eq!(bob.device.accept(&forger.first_message(&bundle).0).unwrap_err(), AcceptError::Refused);
        // The identity was opened, so that the message is complete up to there; no other DH was computed.
        assert_eq!((bob.primitives.steps().last(), bob.primitives.count("dh")), (Some(&"ID-1"), 1));
        assert_eq!(before, bob.state());
    }
    assert_eq!(bob.device.one_time_prekeys_left(), 1);
    // Control: the same messages with separate keys are accepted.
    let snapshot = bob.state();
    for forger in [as_ephemeral([7; 32]), as_identity([7; 32])] {
        assert!(Party::restored(&snapshot, 11).device.accept(&forger.first_message(&bundle).0).is_ok());
    }

    // Bob's own prekeys are equal: a device with a faulty generator.
    let mut repeats = Repeats(RecordingRng::new(12));
    bob.device.rotate(NOW, &mut repeats);
    let published = bob.device.publish(1, NOW, &mut repeats).unwrap();
    let one_time = published.one_time_prekeys.first().cloned();
    let bundle = Bundle::new(published.identity, published.signed_prekey, one_time).unwrap();
    assert_eq!(bundle.signed_prekey().dh_key(), bundle.one_time_prekey().unwrap().dh_key());
    assert_eq!(bob.refuses(&honest().first_message(&bundle).0), AcceptError::Refused);
}

/// Bundles of a peer that certifies and signs anything.
#[test]
fn b17_an_initiator_refuses_a_key_in_two_roles() {
    let mut alice = Party::new(13);
    let own = *alice.device.identity().dh_key().as_bytes();
    let [a, b, c] = [7, 8, 9].map(|secret| forger::dh_public(&[secret; 32]));
    let kem_key = RustCrypto.kem_public(&Secret::new([9; 64]));
    let bundle_of = |identity: &[u8; 32], signed: &[u8; 32], one_time: Option<&[u8; 32]>| {
        let prekey = |kind: u8, key| forger::prekey(&HONEST[0], kind, kind.into(), LATER, key, &kem_key);
        let one_time = one_time.map(|key| prekey(2, key));
        let bytes = forger::bundle(&forger::identity(&HONEST[0], identity), &prekey(1, signed), one_time.as_deref());
        Bundle::from_bytes(&RustCrypto, &bytes).unwrap()
    };
    let equal = [
        bundle_of(&a, &a, None),
        bundle_of(&a, &a, Some(&c)),
        bundle_of(&a, &b, Some(&a)),
        bundle_of(&a, &b, Some(&b)),
        bundle_of(&own, &b, Some(&c)),
        bundle_of(&a, &own, Some(&c)),
        bundle_of(&a, &b, Some(&own)),
    ];
    for bundle in equal {
        alice.primitives.clear();
        let outcome =
            alice.device.initiate(bundle, b"hi", InitiateOptions::unverified(NOW), &mut alice.rng).map(|_| ());
        assert_eq!(outcome.unwrap_err().error, InitiateError::Refused);
        assert_eq!((alice.primitives.count("dh"), alice.primitives.count("encapsulate")), (0, 0));
    }
    // Control: separate keys.
    for one_time in [None, Some(&c)] {
        assert!(
            alice
                .device
                .initiate(bundle_of(&a, &b, one_time), b"hi", InitiateOptions::unverified(NOW), &mut alice.rng)
                .is_ok()
        );
    }
}

#[test]
fn b34_an_id_names_one_key_and_is_never_issued_twice() {
    let mut bob = Party::new(14);
    let bundle = bob.bundle(true);
    let parsed = Bundle::from_bytes(&RustCrypto, &bundle).unwrap();
    let (signed_id, one_time_id) = (parsed.signed_prekey().id(), parsed.one_time_prekey().unwrap().id());
    // An id of the other kind in each place: it is looked up among its own kind only.
    let (_, hello) = Party::new(15).initiate(&bundle).unwrap();
    for (place, id) in [(1..5, one_time_id), (6..10, signed_id)] {
        let mut crossed = hello.clone();
        crossed[place].copy_from_slice(&id.to_be_bytes());
        bob.primitives.clear();
        bob.refuses(&crossed);
        assert_eq!((bob.primitives.count("dh"), bob.primitives.count("decapsulate")), (0, 0));
    }
    assert!(bob.device.accept(&hello).is_ok());

    // After use, deletion, expiry, rotation and restoring, the next id is always a new one.
    let mut seen = HashSet::from([signed_id, one_time_id]);
    for round in 0..4 {
        let published = bob.device.publish(3, NOW, &mut bob.rng).unwrap();
        let ids: Vec<_> = published.one_time_prekeys.iter().map(noescrow::Prekey::id).collect();
        assert!(bob.device.delete_one_time_prekey(ids[1]));
        let rotated = bob.device.rotate(NOW, &mut bob.rng).id();
        assert!(ids.into_iter().chain([rotated]).all(|id| seen.insert(id)), "{round}");
        bob.device.delete_expired(UnixSeconds(LATER.0 + 1));
        bob = Party::restored(&bob.state(), 16 + round);
    }

    // They show neither how many there were nor how fast they were made: a counter's would be neighbours.
    let neighbours = seen.iter().filter(|id| seen.contains(&id.wrapping_add(1))).count();
    assert_eq!((neighbours, seen.contains(&0)), (0, false));
    // A device that would draw an id twice in a row draws again.
    let mut draws = Ids::new([0, 7, 7].into_iter().chain(iter::repeat(9)), rng(22));
    let mut twice = MockDevice::generate_with(Mock::default(), NOW, &mut draws);
    let first = twice.signed_prekey().id();
    assert_eq!((first, twice.rotate(NOW, &mut draws).id()), (7, 9));
    // A generator that is stuck at an id that is taken, or at 0, gets the next free one.
    let mut after = || twice.rotate(NOW, &mut draws).id();
    assert_eq!([after(), after()], [10, 11]);
}
