// SPDX-License-Identifier: MIT OR Apache-2.0
//! B1, B2, B3, B5, B10, B11, B12, B19: attacks that a server can mount with bundles.

use crate::forger::{self, DESCRIPTION_LEN, FLAG, IDENTITY, ONE_TIME, SIGNED, raw_dh};
use crate::recording::{Faults, Party};
use crate::support::{LATER, NOW};
use noescrow::device::policy::LIFETIME;
use noescrow::error::{AcceptError, InitiateError};
use noescrow::hazmat::{AcceptFromAnyone, duplicate_bundle};
use noescrow::primitives::{Primitives, RustCrypto};
use noescrow::relay::{AccountName, ONE_TIME_BURST, ONE_TIME_INTERVAL, Relay};
use noescrow::{
    AccessKey, Bundle, Device, Identity, InitiateOptions, Prekey, PrekeyKind, Secret, UnixSeconds, is_first_message,
};
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;

/// The server's own keys.
const SERVER_SEED: [u8; 32] = [0x51; 32];
const SERVER_DH: [u8; 32] = [0x52; 32];
const SERVER_KEM: [u8; 64] = [0x53; 64];

const VERIFIES_NOTHING: Faults = Faults {
    no_verify: true,
    no_torsion_check: false,
    no_modulus_check: false,
    no_ad: crate::recording::NoAd::Nowhere,
    no_type: false,
    weak_kem: false,
    no_identity_dh: false,
    server_nonce: None,
};

/// A prekey signed by the server, which has its private halves.
fn servers_prekey(kind: u8, id: u32) -> Vec<u8> {
    let kem_key = RustCrypto.kem_public(&Secret::new(SERVER_KEM));
    forger::prekey(&SERVER_SEED, kind, id, LATER, &forger::dh_public(&SERVER_DH), &kem_key)
}

/// The bundle is refused before anything is drawn or derived; a device that accepts every signature takes it.
fn assert_refused_for_its_signature(bundle: &[u8]) {
    let mut alice = Party::new(99);
    let drawn = alice.rng.drawn.len();
    alice.primitives.clear();
    assert!(alice.initiate(bundle).is_none());
    assert_eq!((alice.primitives.count("hkdf"), alice.primitives.count("dh"), alice.rng.drawn.len()), (0, 0, drawn));
    alice.primitives.set_faults(VERIFIES_NOTHING);
    assert!(alice.initiate(bundle).is_some(), "refused for another reason");
}

/// Weak forward secrecy (PQXDH §4.5): the server forges prekeys now and steals IKB's private half later.
#[test]
fn b1_forged_signed_prekeys_are_refused_before_anything_is_drawn() {
    let mut bob = Party::new(1);
    let genuine = bob.bundle(false);
    let signature = SIGNED.end - 64..SIGNED.end;
    for bit in 0..512 {
        let mut flipped = genuine.clone();
        flipped[signature.start + bit / 8] ^= 1 << (bit % 8);
        assert!(Bundle::from_bytes(&RustCrypto, &flipped).is_err(), "{bit}");
    }
    let with = |prekey: &[u8]| forger::bundle(&genuine[IDENTITY], prekey, None);
    let resigned = |by: &[u8]| with(&[&genuine[SIGNED][..DESCRIPTION_LEN], by].concat());
    let zero = resigned(&[0; 64]);
    let by_another_identity = with(&forger::sign_prekey(&SERVER_SEED, genuine[SIGNED][..DESCRIPTION_LEN].to_vec()));
    // The signature from before the rotation, on the key from after it.
    bob.device.rotate(NOW, &mut bob.rng);
    let rotated = bob.bundle(false);
    let old = with(&[&rotated[SIGNED][..DESCRIPTION_LEN], &genuine[signature.clone()]].concat());
    let own = with(&servers_prekey(1, 1));
    for forged in [&zero, &by_another_identity, &old, &own] {
        assert_refused_for_its_signature(forged);
    }
    let mut empty = genuine.clone();
    empty.drain(signature);
    assert!(Bundle::from_bytes(&RustCrypto, &empty).is_err());

    // Control: an initiator that verifies nothing uses the server's prekey. Once IKB's private half is stolen, the
    // server has SK.
    let mut alice = Party::faulty(2, VERIFIES_NOTHING);
    let (_, hello) = alice.initiate(&own).unwrap();
    let stolen = bob.primitives.secret_of(&genuine[32..64].try_into().unwrap());
    let key = |bytes: &[u8]| -> [u8; 32] { bytes.try_into().unwrap() };
    let ephemeral_key = key(&hello[forger::EK]);
    let alice_key = alice.device.identity().dh_key().as_bytes();
    let ss = RustCrypto.decapsulate(&Secret::new(SERVER_KEM), hello[forger::CT].try_into().unwrap());
    let computed = [
        raw_dh(&SERVER_DH, alice_key),
        raw_dh(&stolen, &ephemeral_key),
        raw_dh(&SERVER_DH, &ephemeral_key),
        *ss.expose(),
    ];
    let ([_, dh1, dh2, dh3, _, ss], _) = alice.primitives.key_agreement();
    assert_eq!(computed.map(|part| part.to_vec()), [dh1, dh2, dh3, ss]);

    alice.primitives.clear_faults();
    assert!(alice.initiate(&genuine).is_some());
}

/// A caller fetches the parts of a bundle separately and takes the identity from elsewhere, say from a pinned contact.
#[test]
fn b1_a_prekey_verified_under_another_identity_cannot_enter_a_bundle() {
    let (mut bob, mut server) = (Party::new(3), Party::new(4));
    let (bobs, servers) = (bob.bundle(true), server.bundle(true));
    let parse = |bytes: &[u8]| Bundle::from_bytes(&RustCrypto, bytes).unwrap();
    let (bobs, servers) = (parse(&bobs), parse(&servers));
    let put = |identity: &Bundle, signed: &Bundle, one_time: Option<&Bundle>| {
        let one_time = one_time.map(|bundle| bundle.one_time_prekey().unwrap().clone());
        Bundle::new(*identity.identity(), signed.signed_prekey().clone(), one_time)
    };
    assert!(put(&bobs, &servers, None).is_err());
    assert!(put(&bobs, &servers, Some(&servers)).is_err());
    assert!(put(&bobs, &bobs, Some(&servers)).is_err());
    assert!(put(&bobs, &servers, Some(&bobs)).is_err());
    // The prekeys that the device itself hands out are bound to their identity as parsed ones are.
    assert!(Bundle::new(*server.device.identity(), bob.device.signed_prekey(), None).is_err());
    // The right combinations pass. Tests b1 and b11 refuse the wrong ones as bytes.
    assert_eq!(put(&bobs, &bobs, Some(&bobs)).unwrap(), bobs);
    assert!(put(&servers, &servers, None).is_ok());
}

/// One signature covers both keys of a pair, so an implementation cannot forget a separate signature of the KEM key.
/// PK-1, PK-2.
#[test]
fn b2_every_part_of_every_prekey_is_covered_by_its_signature() {
    let mut bob = Party::new(5);
    let (genuine, another) = (bob.bundle(true), bob.bundle(true));
    let dh_key = |prekey: &Range<usize>| prekey.start + 14..prekey.start + 46;
    let kem_key = |prekey: &Range<usize>| prekey.start + 46..prekey.start + 46 + 1568;
    let signature = |prekey: &Range<usize>| prekey.end - 64..prekey.end;
    let servers = forger::bundle(&genuine[IDENTITY], &servers_prekey(1, 1), Some(&servers_prekey(2, 2)));
    for (prekey, other) in [(&SIGNED, &ONE_TIME), (&ONE_TIME, &SIGNED)] {
        for part in [dh_key(prekey), kem_key(prekey)] {
            let servers_part = || {
                let mut bytes = genuine.clone();
                bytes[part.clone()].copy_from_slice(&servers[part.clone()]);
                bytes
            };
            // Missing: no signature next to the server's part.
            let mut bytes = servers_part();
            bytes[signature(prekey)].fill(0);
            assert_refused_for_its_signature(&bytes);
            // Wrong: the signature of the original part, the server's own, and that of the other prekey.
            assert_refused_for_its_signature(&servers_part());
            let mut bytes = servers_part();
            bytes[signature(prekey)].copy_from_slice(&servers[signature(prekey)]);
            assert_refused_for_its_signature(&bytes);
            let mut bytes = servers_part();
            bytes[signature(prekey)].copy_from_slice(&genuine[signature(other)]);
            assert_refused_for_its_signature(&bytes);
        }
    }
    // Swapped between the two prekeys: curve keys, KEM keys, both.
    for parts in [&[dh_key as fn(&Range<usize>) -> _][..], &[kem_key], &[dh_key, kem_key]] {
        let mut bytes = genuine.clone();
        for part in parts {
            bytes[part(&SIGNED)].copy_from_slice(&genuine[part(&ONE_TIME)]);
            bytes[part(&ONE_TIME)].copy_from_slice(&genuine[part(&SIGNED)]);
        }
        assert_refused_for_its_signature(&bytes);
    }
    // Halves of two one-time prekeys, both of them Bob's.
    let mut mixed = genuine.clone();
    mixed[kem_key(&ONE_TIME)].copy_from_slice(&another[kem_key(&ONE_TIME)]);
    assert_refused_for_its_signature(&mixed);
    assert!(Party::new(98).initiate(&genuine).is_some());
    assert!(Party::new(98).initiate(&another).is_some());
}

#[test]
fn b3_no_bytes_and_no_signatures_are_valid_for_two_kinds() {
    let mut bob = Party::new(6);
    let (bytes, short) = (bob.bundle(true), bob.bundle(false));
    let (session, hello) = Party::new(7).initiate(&bytes).unwrap();
    drop(session);
    let identity = *bob.device.identity();
    // The device accepts every signature, so that only the form can distinguish them.
    let (primitives, mut device) = (&bob.primitives, Party::new(8));
    let takers = |bytes: &[u8], device: &mut Party| {
        let identity_taker = bytes.try_into().is_ok_and(|bytes| Identity::from_bytes(primitives, bytes).is_ok());
        let prekey_taker = bytes.try_into().is_ok_and(|bytes| Prekey::from_bytes(primitives, &identity, bytes).is_ok());
        let bundle_taker = Bundle::from_bytes(primitives, bytes).is_ok();
        // Bytes of a length that no decoder takes must not look like a message either.
        let message_taker = is_first_message(bytes) == Ok(true) && bytes.len() > noescrow::FIRST_MESSAGE_OVERHEAD;
        assert!(device.device.accept(bytes).is_err());
        [identity_taker, prekey_taker, bundle_taker, message_taker]
    };
    primitives.set_faults(VERIFIES_NOTHING);
    let genuine: [&[u8]; 5] = [&bytes[IDENTITY], &bytes[SIGNED], &bytes[ONE_TIME], &bytes, &hello];
    for (thing, taken_by) in genuine.into_iter().zip([0, 1, 1, 2, 3]) {
        let takers = takers(thing, &mut device);
        assert_eq!(takers, std::array::from_fn(|at| at == taken_by));
    }
    // Each thing is cut or filled to the length of each other, and moved to the place of the other's key.
    let places = [&genuine[..], &[&short[..]]].concat();
    for (one, two) in genuine.iter().flat_map(|one| places.iter().map(move |two| (one, two))) {
        for offset in [0, 14, 32, 46] {
            let mut moved = two.to_vec();
            let (place, len) = (offset.min(two.len()), one.len().min(two.len() - offset.min(two.len())));
            moved[place..place + len].copy_from_slice(&one[..len]);
            let taken = takers(&moved, &mut device).iter().filter(|taken| **taken).count();
            assert!(taken <= 1, "{} bytes in {}", one.len(), two.len());
        }
    }
    primitives.clear_faults();

    // The certificate in place of a prekey's signature and the reverse; a curve key in place of the KEM key and the
    // reverse.
    let (certificate, signature) = (IDENTITY.end - 64..IDENTITY.end, SIGNED.end - 64..SIGNED.end);
    let mut crossed = bytes.clone();
    crossed[certificate.clone()].copy_from_slice(&bytes[signature.clone()]);
    assert_refused_for_its_signature(&crossed);
    let mut crossed = bytes.clone();
    crossed[signature].copy_from_slice(&bytes[certificate]);
    assert_refused_for_its_signature(&crossed);
    let mut crossed = bytes.clone();
    crossed.copy_within(SIGNED.start + 14..SIGNED.start + 46, SIGNED.start + 46);
    assert!(Bundle::from_bytes(&RustCrypto, &crossed).is_err());
    let mut crossed = bytes.clone();
    crossed.copy_within(SIGNED.start + 46..SIGNED.start + 78, SIGNED.start + 14);
    assert!(Bundle::from_bytes(&RustCrypto, &crossed).is_err());
    assert!(Bundle::from_bytes(&RustCrypto, &bytes).is_ok());
}

/// HS-I1, PK-2.
#[test]
fn b5_last_resort_and_one_time_keys_cannot_replace_each_other() {
    let mut bob = Party::new(9);
    let genuine = bob.bundle(true);
    let (signed, one_time) = (&genuine[SIGNED], &genuine[ONE_TIME]);
    let put = |signed: &[u8], one_time| forger::bundle(&genuine[IDENTITY], signed, one_time);
    // Unchanged: both prekeys are genuine, but their kinds are wrong.
    assert!(Bundle::from_bytes(&RustCrypto, &put(signed, Some(signed))).is_err());
    assert!(Bundle::from_bytes(&RustCrypto, &put(one_time, None)).is_err());
    assert!(Bundle::from_bytes(&RustCrypto, &put(one_time, Some(signed))).is_err());
    let parsed = Bundle::from_bytes(&RustCrypto, &genuine).unwrap();
    let (spk, opk) = (parsed.signed_prekey().clone(), parsed.one_time_prekey().unwrap().clone());
    assert!(Bundle::new(*parsed.identity(), spk.clone(), Some(spk.clone())).is_err());
    assert!(Bundle::new(*parsed.identity(), opk.clone(), None).is_err());
    // With the kind rewritten: the signature covers it. Control: a device that verifies nothing accepts both, since
    // their kinds are then unsigned, and the initiator believes that it has one-time secrecy.
    let relabelled = |prekey: &[u8], kind: u8| [&[kind], &prekey[1..]].concat();
    assert_refused_for_its_signature(&put(&relabelled(one_time, 1), None));
    let mut server = Party::new(10);
    let last_resort = server.bundle(false);
    let passed_off = put(signed, Some(&relabelled(&last_resort[SIGNED], 2)));
    assert_refused_for_its_signature(&passed_off);
    let mut unverifying = Party::faulty(11, VERIFIES_NOTHING);
    let believed = Bundle::from_bytes(&unverifying.primitives, &passed_off).unwrap();
    assert_eq!(believed.one_time_prekey().unwrap().kind(), PrekeyKind::OneTime);
    assert!(unverifying.initiate(&passed_off).is_some());
    // The caller reads from a genuine bundle which kinds it has.
    assert_eq!((spk.kind(), opk.kind()), (PrekeyKind::Signed, PrekeyKind::OneTime));
    assert!(Bundle::new(*parsed.identity(), spk, Some(opk)).is_ok());
}

/// A drained account: the handshake continues with the last-resort key, and both sides can find out.
#[test]
fn b10_messages_to_a_drained_account_are_exposed_until_prekey_deletion() {
    let mut rng = crate::support::rng(12);
    let mut bob = Device::generate(NOW, &mut rng);
    let (account, address) = (AccountName::new("bob").unwrap(), IpAddr::V4(Ipv4Addr::LOCALHOST));
    let mut relay = Relay::default();
    let publication = bob.publish(100, NOW, &mut rng).unwrap();
    relay.open(&account, publication, AccessKey::generate(&mut rng).hash(), address, NOW).unwrap();
    // Anybody may ask. The relay serves a burst and then one each ten minutes, so that draining takes time.
    let drained = (0..200).filter(|_| relay.fetch(&account, NOW).unwrap().one_time_prekey().is_some()).count();
    assert_eq!(drained as u64, ONE_TIME_BURST);
    assert!(relay.fetch(&account, NOW.saturating_add(ONE_TIME_INTERVAL)).unwrap().one_time_prekey().is_some());
    // Control: a relay without this limit has nothing left after as many requests as there are keys.
    let patient = (1..200)
        .filter(|i| relay.fetch(&account, UnixSeconds(NOW.0 + (i + 2) * 3600)).unwrap().one_time_prekey().is_some());
    assert_eq!(patient.count() as u64, 100 - ONE_TIME_BURST - 1);
    assert_eq!(relay.one_time_prekeys_left(&account, NOW).unwrap(), 0);
    // The device makes new keys when its owner asks, not when the server does.
    assert_eq!(bob.one_time_prekeys_left(), 100);

    let bundle = relay.fetch(&account, NOW).unwrap();
    assert!(bundle.one_time_prekey().is_none(), "the initiator can read that there is none");
    let alice = Device::generate(NOW, &mut rng);
    let (_, hello) = alice.initiate(bundle, b"hi", InitiateOptions::unverified(NOW), &mut rng).unwrap();
    let key = noescrow::StorageKey::new([1; 32]);
    let thief = |device: &Device| Device::restore(&device.snapshot(&key, 0), &key, &device.subject(), 0).unwrap();
    // The documented limit: a thief who steals the device before the signed prekey is deleted reads the first message.
    assert_eq!(thief(&bob).accept(&hello).unwrap().1, b"hi");
    assert_eq!(bob.accept(&hello).unwrap().1, b"hi");
    bob.rotate(NOW, &mut rng);
    assert!(bob.delete_previous_signed_prekeys());
    assert_eq!(thief(&bob).accept(&hello).unwrap_err(), AcceptError::PrekeyGone);
}

#[test]
fn b11_a_one_time_key_planted_by_the_server_is_refused() {
    let mut bob = Party::new(13);
    let genuine = bob.bundle(true);
    let plant = |one_time: &[u8]| forger::bundle(&genuine[IDENTITY], &genuine[SIGNED], Some(one_time));
    let opk_id = u32::from_be_bytes(genuine[ONE_TIME][2..6].try_into().unwrap());
    let by_server = |id| plant(&servers_prekey(2, id));
    let unsigned = plant(&[&servers_prekey(2, opk_id)[..DESCRIPTION_LEN], &[0; 64]].concat());
    for planted in [&by_server(opk_id), &by_server(999), &unsigned] {
        assert_refused_for_its_signature(planted);
    }
    // 0 stands for "none".
    assert!(Party::faulty(14, VERIFIES_NOTHING).initiate(&by_server(0)).is_none());
    let spk_id = u32::from_be_bytes(genuine[SIGNED][2..6].try_into().unwrap());
    for id in [opk_id, 999, spk_id] {
        // Control: an initiator that verifies nothing accepts the key, as plain PQXDH would, and SK contains a key of
        // the server's.
        let mut alice = Party::faulty(14, VERIFIES_NOTHING);
        let (_, hello) = alice.initiate(&by_server(id)).unwrap();
        let ([_, _, _, _, dh4, ss], _) = alice.primitives.key_agreement();
        assert_eq!(dh4, raw_dh(&SERVER_DH, hello[forger::EK].try_into().unwrap()));
        let known = RustCrypto.decapsulate(&Secret::new(SERVER_KEM), hello[forger::CT].try_into().unwrap());
        assert_eq!(ss, known.expose());
        // The owner has no such key, or another one with that id: it accepts nothing and uses nothing up.
        let error = bob.refuses(&hello);
        // An id that was never issued, or to a key of another kind, cannot be distinguished from a used one.
        assert_eq!(error, if id == opk_id { AcceptError::Refused } else { AcceptError::PrekeyGone }, "{id}");
    }
    assert_eq!(bob.device.one_time_prekeys_left(), 1);
    let (_, hello) = Party::new(15).initiate(&genuine).unwrap();
    assert!(bob.device.accept(&hello).is_ok());
}

/// HS-I2.
#[test]
fn b12_expired_and_deleted_prekeys_are_refused() {
    let mut bob = Party::new(16);
    let mut alice = Party::new(17);
    let stale = bob.bundle(true);
    let parsed = Bundle::from_bytes(&alice.primitives, &stale).unwrap();
    let drawn = alice.rng.drawn.len();
    let at = |now, alice: &mut Party| {
        let (bundle, options) = (duplicate_bundle(&parsed), InitiateOptions::unverified(now));
        alice.device.initiate(bundle, b"hi", options, &mut alice.rng).map(|_| ()).map_err(InitiateError::from)
    };
    let expired = |prekey: &Prekey| {
        let (id, expiry) = (prekey.id(), prekey.expiry());
        InitiateError::Expired { id, expiry }
    };
    let expiry = parsed.signed_prekey().expiry();
    assert_eq!(expiry, NOW.saturating_add(LIFETIME));
    for now in [UnixSeconds(expiry.0 + 1), UnixSeconds(expiry.0 + 365 * 86_400), UnixSeconds::MAX] {
        assert_eq!(at(now, &mut alice), Err(expired(parsed.signed_prekey())));
    }
    assert_eq!(alice.rng.drawn.len(), drawn, "no ephemeral key was made");
    assert_eq!(at(expiry, &mut alice), Ok(()));
    // A one-time prekey's expiry counts too: it is not used.
    let sooner = |kind: usize| {
        let mut bytes = stale.clone();
        bytes[[SIGNED, ONE_TIME][kind].start + 6..][..8].copy_from_slice(&(NOW.0 - 1).to_be_bytes());
        Bundle::from_bytes(&Party::faulty(18, VERIFIES_NOTHING).primitives, &bytes).unwrap()
    };
    let outcome = alice.device.initiate(sooner(0), b"hi", InitiateOptions::unverified(NOW), &mut alice.rng);
    assert_eq!(outcome.map(|_| ()).unwrap_err().error, expired(sooner(0).signed_prekey()));
    let mut flag = |bundle, now| {
        alice.device.initiate(bundle, b"hi", InitiateOptions::unverified(now), &mut alice.rng).unwrap().1[5]
    };
    assert_eq!([flag(sooner(1), NOW), flag(sooner(1), UnixSeconds(NOW.0 - 1))], [0, 1]);
    // The server cannot prolong the expiry. Control: a reader that verifies nothing accepts the longer life.
    let mut prolonged = stale.clone();
    prolonged[SIGNED.start + 6..SIGNED.start + 14].fill(0xFF);
    assert_refused_for_its_signature(&prolonged);
    // For a caller without a clock: the owner deletes the private half after more rotations than it has space for.
    let (_, hello) = alice.initiate(&stale).unwrap();
    bob.device.rotate(NOW, &mut bob.rng);
    bob.device.rotate(NOW, &mut bob.rng);
    let kept = bob.state();
    bob.device.rotate(NOW, &mut bob.rng);
    assert_eq!(bob.refuses(&hello), AcceptError::PrekeyGone);
    // Control: before the last one the message still opens.
    assert!(Party::restored(&kept, 16).device.accept(&hello).is_ok());
}

/// Telegram's clients got p and g from the server. Here no byte of a bundle or message is a parameter: groups, KEM and
/// hash are types, and each byte is part of a version, a kind, a flag, an id, an expiry, a key or a signature.
#[test]
fn b19_no_byte_chooses_a_group_a_kem_or_a_hash() {
    let mut bob = Party::new(19);
    let (long, short) = (bob.bundle(true), bob.bundle(false));
    let mut unverifying = Party::faulty(20, VERIFIES_NOTHING);
    assert_eq!((long.len(), short.len()), (128 + 1678 + 1 + 1678, 128 + 1678 + 1));
    // Bytes that are not part of a key, a signature or a number have exactly one valid value, with or without
    // signatures.
    for (at, right) in [(SIGNED.start, 1), (FLAG, 1), (ONE_TIME.start, 2)] {
        let taken = (0..=255).filter(|byte| {
            let mut bytes = long.clone();
            bytes[at] = *byte;
            unverifying.initiate(&bytes).is_some()
        });
        assert_eq!(taken.collect::<Vec<_>>(), [right]);
    }
    // The highest version that the owner can do is one of them, and chooses nothing yet: 1 is the highest common one.
    for at in [SIGNED.start + 1, ONE_TIME.start + 1] {
        let refused = (0..=255).filter(|version| {
            let mut bytes = long.clone();
            bytes[at] = *version;
            unverifying.initiate(&bytes).is_none()
        });
        assert_eq!(refused.collect::<Vec<_>>(), [0]);
    }
    // No byte may follow, and none may be missing.
    for len in [0, 1, 128, 1806, long.len() - 1] {
        assert!(unverifying.initiate(&long[..len]).is_none());
    }
    assert!(unverifying.initiate(&[&long[..], &[0]].concat()).is_none());
    // Whatever the versions, ids and expiries are, the same functions are called on inputs of the same sizes.
    let shape = |bytes: &[u8]| {
        let mut alice = Party::faulty(21, VERIFIES_NOTHING);
        assert!(alice.initiate(bytes).is_some());
        let operations = alice.primitives.operations.borrow();
        let sizes = |parts: &[Vec<u8>]| parts.iter().map(Vec::len).collect::<Vec<_>>();
        operations.iter().map(|one| (one.name, sizes(&one.inputs), sizes(&one.outputs))).collect::<Vec<_>>()
    };
    let usual = shape(&long);
    for (at, len) in [(SIGNED.start + 1, 5), (SIGNED.start + 6, 8), (ONE_TIME.start + 1, 5), (ONE_TIME.start + 6, 8)] {
        let mut bytes = long.clone();
        bytes[at..at + len].fill(0xFF);
        assert_eq!(shape(&bytes), usual);
    }
    // Control: a byte that does choose something shows; a one-time prekey adds one DH.
    assert_ne!(shape(&short), usual);
    // PK-2: version 0 and id 0 are none, with or without a valid signature.
    for (at, len) in [(SIGNED.start + 1, 1), (SIGNED.start + 2, 4), (ONE_TIME.start + 1, 1), (ONE_TIME.start + 2, 4)] {
        let mut none = long.clone();
        none[at..at + len].fill(0);
        assert!(unverifying.initiate(&none).is_none(), "{at}");
        none[at..at + len].fill(7);
        assert!(unverifying.initiate(&none).is_some(), "{at}");
    }
    assert!(Party::new(22).initiate(&long).is_some());
}
