// SPDX-License-Identifier: MIT OR Apache-2.0
//! Public types in JSON, which has no byte strings, and in CBOR, which has.

use super::{NOW, bundle_of, published};
use allocation_counter::measure;
use ciborium::Value;
use noescrow::durable::Subject;
use noescrow::messenger::PeerId;
use noescrow::primitives::RustCrypto;
use noescrow::{AccessKey, AccessKeyHash, Bundle, Identity, PUBLICATION_LEN, Publication, SafetyNumber, UnixSeconds};
use serde::de::DeserializeOwned;
use serde::ser::Serialize;

fn to_cbor(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).unwrap();
    bytes
}

fn of_cbor<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    ciborium::from_reader(bytes).map_err(|error| error.to_string())
}

/// A CBOR array of these bytes, each a number.
fn sequence(bytes: &[u8]) -> Vec<u8> {
    to_cbor(&Value::Array(bytes.iter().map(|byte| Value::from(*byte)).collect()))
}

fn both_ways<T: Serialize + DeserializeOwned + PartialEq>(value: &T, bytes: &[u8]) {
    // A byte string in CBOR, an array of numbers in JSON.
    let (cbor, json) = (to_cbor(value), serde_json::to_string(value).unwrap());
    assert_eq!(cbor, to_cbor(&Value::Bytes(bytes.to_vec())));
    assert_eq!(json, serde_json::to_string(bytes).unwrap());
    // From a byte string, and from a sequence.
    assert!(of_cbor::<T>(&cbor).unwrap() == *value);
    assert!(of_cbor::<T>(&sequence(bytes)).unwrap() == *value);
    assert!(serde_json::from_str::<T>(&json).unwrap() == *value);
    // Too long and too short, as either.
    for bad in [&bytes[1..], &[bytes, &[0]].concat()] {
        assert!(of_cbor::<T>(&to_cbor(&Value::Bytes(bad.to_vec()))).is_err());
        assert!(of_cbor::<T>(&sequence(bad)).is_err());
        assert!(serde_json::from_str::<T>(&serde_json::to_string(bad).unwrap()).is_err());
    }
    // Numbers that are no bytes, and other things.
    for bad in ["[256]", "[-1]", "[1.5]", "7", "null", "{}", "\"text\""] {
        assert!(serde_json::from_str::<T>(bad).is_err(), "{bad}");
    }
}

#[test]
fn public_types_are_byte_strings_in_every_format() {
    let (device, publication) = published(1, 2);
    let identity = publication.identity;
    let number = SafetyNumber::new(&RustCrypto, (&identity, b"a"), (&identity, b"b"));
    let hash = AccessKey::from_bytes([7; 32]).hash();
    both_ways::<AccessKeyHash>(&hash, &hash.to_bytes());
    both_ways::<Bundle>(&bundle_of(&publication, true), &bundle_of(&publication, true).to_bytes());
    both_ways::<Bundle>(&bundle_of(&publication, false), &bundle_of(&publication, false).to_bytes());
    both_ways::<Identity>(&identity, &identity.to_bytes());
    both_ways::<PeerId>(&PeerId::from_bytes([9; 16]), &[9; 16]);
    both_ways::<Publication>(&publication, &publication.to_bytes());
    both_ways::<SafetyNumber>(&number, &number.to_bytes());
    both_ways::<Subject>(&device.subject(), &device.subject().to_bytes());
    let signed = &publication.signed_prekey;
    assert_eq!(to_cbor(signed), to_cbor(&Value::Bytes(signed.to_bytes().to_vec())));
}

#[test]
fn a_time_is_a_number() {
    assert_eq!(serde_json::to_string(&NOW).unwrap(), "1800000000");
    assert_eq!(serde_json::from_str::<UnixSeconds>("1800000000").unwrap(), NOW);
    assert_eq!(of_cbor::<UnixSeconds>(&to_cbor(&NOW)), Ok(NOW));
    assert!(serde_json::from_str::<UnixSeconds>("-1").is_err());
}

#[test]
fn deserializing_verifies_signatures() {
    let (_, publication) = published(1, 1);
    let flipped = |mut bytes: Vec<u8>, at: usize| {
        bytes[at] ^= 1;
        to_cbor(&Value::Bytes(bytes))
    };
    assert!(of_cbor::<Identity>(&flipped(publication.identity.to_bytes().to_vec(), 127)).is_err());
    let bundle = bundle_of(&publication, true).to_bytes();
    for at in [127, 128 + 1_677, bundle.len() - 1] {
        assert!(of_cbor::<Bundle>(&flipped(bundle.clone(), at)).is_err(), "{at}");
    }
    let bytes = publication.to_bytes();
    for at in [127, 128 + 1_677, bytes.len() - 1] {
        assert!(of_cbor::<Publication>(&flipped(bytes.clone(), at)).is_err(), "{at}");
    }
    // Control: unchanged, they are what they were.
    assert_eq!(of_cbor(&to_cbor(&Value::Bytes(bytes))), Ok(publication));
}

#[test]
fn errors_of_formats_say_what_was_expected() {
    let error = |json: &str| serde_json::from_str::<Identity>(json).unwrap_err().to_string();
    assert!(error("[1, 2]").starts_with("an identity: refused"), "{}", error("[1, 2]"));
    assert!(error("null").contains("expected an identity of at most 128 bytes"), "{}", error("null"));
}

/// The head of a CBOR item: its major type, and a length of 8 bytes.
fn head(major: u8, len: u64) -> Vec<u8> {
    [&[major << 5 | 27][..], &len.to_be_bytes()].concat()
}

#[test]
fn a_hostile_length_of_a_format_allocates_little() {
    const BYTES: u8 = 2;
    const ARRAY: u8 = 4;
    for len in [u64::from(u32::MAX), 1 << 40, i64::MAX as u64, u64::MAX] {
        for major in [BYTES, ARRAY] {
            let hostile = [head(major, len), vec![1; 100]].concat();
            let used = measure(|| assert!(of_cbor::<Publication>(&hostile).is_err()));
            assert!(used.bytes_max < 64 << 10, "{major} {len}: {} bytes", used.bytes_max);
        }
    }
    // A sequence that goes on is read to the longest encoding and no further.
    let long = sequence(&vec![1; 1 << 20]);
    let used = measure(|| assert!(of_cbor::<Identity>(&long).is_err()));
    assert!(used.bytes_max < 64 << 10, "{} bytes", used.bytes_max);
    // Control: a publication, which may be long, needs as much as is there.
    let used = measure(|| assert!(of_cbor::<Publication>(&long).is_err()));
    assert!(used.bytes_max > 1 << 20 && used.bytes_max < 2 * PUBLICATION_LEN as u64, "{} bytes", used.bytes_max);
}
