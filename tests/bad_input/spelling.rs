// SPDX-License-Identifier: MIT OR Apache-2.0
//! One encoding for one value (attack F5): decoded values encode to the bytes that they were decoded from.
//!
//! Signature checks would refuse almost every changed byte before its encoding matters. These tests therefore parse
//! with primitives that accept every signature and every key, so that only the parsers are tested.

use crate::support::{Mock, MockDevice, NOW, bundle, mock_device, rng};
use noescrow::error::AcceptError;
use noescrow::hazmat::AcceptFromAnyone;
use noescrow::primitives::DhPublicKey;
use noescrow::{Bundle, Identity, InitiateOptions, Prekey};
use proptest::prelude::*;
use std::sync::OnceLock;

fn gullible() -> Mock {
    let mock = Mock::default();
    mock.gullible.set(true);
    mock
}

fn genuine(one_time: bool) -> Vec<u8> {
    static BUNDLES: OnceLock<[Vec<u8>; 2]> = OnceLock::new();
    let of = |one_time| {
        let mut rng = rng(20);
        bundle(&mut mock_device(&mut rng).0, one_time, &mut rng).to_bytes()
    };
    BUNDLES.get_or_init(|| [of(false), of(true)])[usize::from(one_time)].clone()
}

/// Bytes of a genuine bundle, a few of them replaced.
fn non_canonical() -> impl Strategy<Value = Vec<u8>> {
    let edits = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    let fields = prop_oneof![Just(31usize), Just(63), Just(128), Just(128 + 45), Just(128 + 1678), Just(128 + 1679)];
    let edge = prop::option::of((fields, any::<u8>()));
    (any::<bool>(), edits, edge, 0usize..3).prop_map(|(one_time, edits, edge, more)| {
        let mut bytes = genuine(one_time);
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some((at, byte)) = edge.filter(|(at, _)| *at < bytes.len()) {
            bytes[at] = byte;
        }
        // Sometimes longer, sometimes shorter than a bundle.
        match more {
            1 => bytes.push(0),
            2 => bytes.truncate(bytes.len() - 1),
            _ => {}
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn f5_decoded_bundles_encode_to_the_same_bytes(bytes in non_canonical()) {
        if let Ok(bundle) = Bundle::from_bytes(&gullible(), &bytes) {
            prop_assert_eq!(bundle.to_bytes(), &bytes[..]);
        }
        let identity = bytes.first_chunk().unwrap();
        if let Ok(decoded) = Identity::from_bytes(&gullible(), identity) {
            prop_assert_eq!(&decoded.to_bytes(), identity);
        }
        let prekey = bytes[128..].first_chunk().unwrap();
        let (owner, _) = mock_device(&mut rng(20));
        if let Ok(decoded) = Prekey::from_bytes(&gullible(), owner.identity(), prekey) {
            prop_assert_eq!(&decoded.to_bytes(), prekey);
        }
    }

    #[test]
    fn f5_decoded_curve_keys_encode_to_the_same_bytes(mut key: [u8; 32], high in any::<bool>()) {
        // Half of them close to p.
        if high {
            key[1..].fill(0xFF);
            key[31] = 0x7F;
        }
        let decoded = DhPublicKey::from_bytes(key);
        prop_assert!(decoded.is_err() || decoded.unwrap().as_bytes() == &key);
        // Control: a parser that only masks bit 255, as RFC 7748 does, accepts a second encoding of each key.
        let masked = |mut key: [u8; 32]| { key[31] &= 0x7F; key };
        let non_canonical = { let mut key = key; key[31] ^= 0x80; key };
        prop_assert_eq!(masked(non_canonical), masked(key));
        prop_assert!(DhPublicKey::from_bytes(non_canonical).is_err() || DhPublicKey::from_bytes(key).is_err());
    }
}

/// The generator reaches both cases: changed bytes that decode, and changed bytes that do not.
#[test]
fn control_some_changed_bundles_decode_and_some_do_not() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let outcomes: Vec<bool> = (0..100)
        .map(|_| Bundle::from_bytes(&gullible(), &non_canonical().new_tree(&mut runner).unwrap().current()).is_ok())
        .collect();
    let decoded = outcomes.iter().filter(|decoded| **decoded).count();
    assert!(decoded > 10 && decoded < 90, "{decoded}");
}

/// The fields of a handshake before its first secret: flag and one-time id. "None" and "this one" have one encoding
/// each.
#[test]
fn f5_a_first_message_has_one_encoding() {
    for one_time in [true, false] {
        let mut rng = rng(21);
        let (alice, _) = mock_device(&mut rng);
        let (mut bob, mock): (MockDevice, Mock) = mock_device(&mut rng);
        let bundle = bundle(&mut bob, one_time, &mut rng);
        let (_, hello) = alice.initiate(bundle, b"hello", InitiateOptions::unverified(NOW), &mut rng).unwrap();
        let mut parsed = 0;
        for flag in 0..=255u8 {
            for id in [0, 1, 2, 3, u32::MAX] {
                let mut other = hello.clone();
                other[5] = flag;
                other[6..10].copy_from_slice(&id.to_be_bytes());
                if other == hello {
                    continue;
                }
                mock.reset();
                let error = bob.accept(&other).map(|_| ()).unwrap_err();
                assert!(matches!(error, AcceptError::Refused | AcceptError::PrekeyGone));
                parsed += usize::from(mock.work() > 0);
            }
        }
        // Control: bytes that parse as another handshake, one without the one-time prekey, are processed further, and
        // give another AD.
        assert_eq!(parsed, usize::from(one_time));
        assert_eq!(bob.accept(&hello).unwrap().1, b"hello");
    }
}
