// SPDX-License-Identifier: MIT OR Apache-2.0
//! Public types as keys of maps, and from slices.

use super::{NOW, bundle_of, published};
use noescrow::durable::Subject;
use noescrow::error::DecodeError;
use noescrow::messenger::PeerId;
use noescrow::primitives::{DhPublicKey, RustCrypto};
use noescrow::relay::{AccountName, RelayError};
use noescrow::{
    AccessKey, AccessKeyHash, Bundle, Identity, Prekey, PrekeyKind, Publication, SafetyNumber, UnixSeconds,
};
use static_assertions::assert_impl_all;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

assert_impl_all!(AccessKeyHash: Hash, Ord, TryFrom<&'static [u8]>);
assert_impl_all!(AccountName: Hash, Ord, TryFrom<&'static [u8]>, TryFrom<&'static str>);
assert_impl_all!(Bundle: Hash, Ord, TryFrom<&'static [u8]>);
assert_impl_all!(DhPublicKey: Hash, Ord, TryFrom<&'static [u8]>);
assert_impl_all!(Identity: Hash, Ord, TryFrom<&'static [u8]>);
assert_impl_all!(PeerId: Hash, Ord, TryFrom<&'static [u8]>);
assert_impl_all!(Prekey: Hash, Ord, TryFrom<(&'static Identity, &'static [u8])>);
assert_impl_all!(PrekeyKind: Hash, Ord);
assert_impl_all!(Publication: Hash, Ord, TryFrom<&'static [u8]>);
assert_impl_all!(SafetyNumber: Hash, Ord, TryFrom<&'static [u8]>);
assert_impl_all!(Subject: Hash, Ord, TryFrom<&'static [u8]>);
assert_impl_all!(UnixSeconds: Hash, Ord, TryFrom<&'static [u8]>);

/// Looks values up in both kinds of map by an equal one, and by another.
fn is_key<T: Hash + Ord>(key: T, equal: &T, other: &T) {
    assert!(key == *equal && key != *other);
    let (hashed, sorted) = (HashMap::from([(&key, 1)]), BTreeMap::from([(&key, 1)]));
    assert_eq!((hashed.get(equal), sorted.get(equal)), (Some(&1), Some(&1)));
    assert_eq!((hashed.get(other), sorted.get(other)), (None, None));
}

#[test]
fn equal_public_values_are_one_key_of_a_map() {
    let ((_, one), (_, same), (_, other)) = (published(1, 2), published(1, 2), published(2, 2));
    is_key(one.identity, &same.identity, &other.identity);
    is_key(*one.identity.dh_key(), same.identity.dh_key(), other.identity.dh_key());
    is_key(one.signed_prekey.clone(), &same.signed_prekey, &other.signed_prekey);
    is_key(bundle_of(&one, true), &bundle_of(&same, true), &bundle_of(&one, false));
    let hash = |byte| AccessKey::from_bytes([byte; 32]).hash();
    is_key(hash(1), &hash(1), &hash(2));
    is_key(one.clone(), &same, &other);
    is_key(PrekeyKind::Signed, &PrekeyKind::Signed, &PrekeyKind::OneTime);
    let name = |text| AccountName::new(text).unwrap();
    is_key(name("bob"), &name("bob"), &name("alice"));
}

/// The numbers of both sides are equal, and so have one hash and one place in an order.
#[test]
fn the_safety_numbers_of_both_sides_are_one_key() {
    let [a, b, c] = [1, 2, 3].map(|seed| published(seed, 0).1.identity);
    let number = |local: &Identity, remote: &Identity| SafetyNumber::new(&RustCrypto, (local, b""), (remote, b""));
    let (ours, theirs) = (number(&a, &b), number(&b, &a));
    assert_ne!(ours.to_bytes(), theirs.to_bytes());
    is_key(ours, &theirs, &number(&a, &c));
}

/// What a slice is parsed to, and its damage: another length, and a changed byte where every byte is checked.
fn parses<T: for<'a> TryFrom<&'a [u8], Error = DecodeError> + PartialEq>(bytes: &[u8], value: &T, checked: &[usize]) {
    assert!(T::try_from(bytes).unwrap() == *value);
    for bad in [&[][..], &bytes[1..], &bytes[..bytes.len() - 1], &[bytes, &[0]].concat()] {
        assert_eq!(T::try_from(bad).err(), Some(DecodeError::Refused), "{} bytes", bad.len());
    }
    for at in checked {
        let mut bad = bytes.to_vec();
        bad[*at] ^= 0x80;
        assert_eq!(T::try_from(&bad[..]).err(), Some(DecodeError::Refused), "{at}");
    }
}

#[test]
fn a_slice_is_parsed_with_every_check() {
    let (device, publication) = published(1, 1);
    let identity = publication.identity;
    parses(&identity.to_bytes(), &identity, &[0, 40, 127]);
    parses(identity.dh_key().as_bytes(), identity.dh_key(), &[31]);
    parses(&bundle_of(&publication, true).to_bytes(), &bundle_of(&publication, true), &[0, 130, 1_700, 2_000]);
    parses(&publication.to_bytes(), &publication, &[0, 130, 1_700, 1_806, 2_000]);
    let number = SafetyNumber::new(&RustCrypto, (&identity, b""), (&identity, b""));
    parses(&number.to_bytes(), &number, &[0]);
    parses(&device.subject().to_bytes(), &device.subject(), &[0, 70]);
    let hash = AccessKey::from_bytes([7; 32]).hash();
    parses(&hash.to_bytes(), &hash, &[]);
    parses(&[7; 16], &PeerId::from_bytes([7; 16]), &[]);
    parses(&NOW.0.to_be_bytes(), &NOW, &[]);
}

#[test]
fn a_prekey_is_parsed_under_its_identity_only() {
    let ((_, publication), (_, other)) = (published(1, 0), published(2, 0));
    let bytes = publication.signed_prekey.to_bytes();
    assert_eq!(Prekey::try_from((&other.identity, &bytes[..])), Err(DecodeError::Refused));
    assert_eq!(Prekey::try_from((&publication.identity, &bytes[1..])), Err(DecodeError::Refused));
    // Control.
    assert_eq!(Prekey::try_from((&publication.identity, &bytes[..])), Ok(publication.signed_prekey));
}

#[test]
fn an_account_name_from_bytes_is_checked_as_from_text() {
    let parsed = |bytes: &[u8]| AccountName::try_from(bytes);
    for bad in [&b""[..], b"\xff", b"a\nb", &[b'a'; 65]] {
        assert_eq!(parsed(bad), Err(RelayError::BadAccountName));
    }
    // Control.
    assert_eq!(parsed("+14152222222".as_bytes()), AccountName::new("+14152222222"));
    assert_eq!(AccountName::try_from("bob"), AccountName::new("bob"));
}
