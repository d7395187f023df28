// SPDX-License-Identifier: MIT OR Apache-2.0
//! Publications as bytes: PK-3.

use super::{NOW, parse, published, rng};
use allocation_counter::measure;
use noescrow::error::DecodeError;
use noescrow::primitives::RustCrypto;
use noescrow::relay::{AccountName, Relay, RelayError};
use noescrow::{
    AccessKey, Capacity, Device, IDENTITY_LEN, MAX_PUBLISHED_PREKEYS, PREKEY_LEN, PUBLICATION_LEN, Publication,
};
use std::net::{IpAddr, Ipv4Addr};

const COUNT: usize = IDENTITY_LEN + PREKEY_LEN;
const FIRST: usize = COUNT + 4;
const SECOND: usize = FIRST + PREKEY_LEN;

fn refused(bytes: &[u8]) -> bool {
    parse(bytes) == Err(DecodeError::Refused)
}

/// PK-3.
#[test]
fn a_publication_parses_back_with_any_number_of_prekeys() {
    for count in [0, 1, 7] {
        let (device, publication) = published(1, count);
        let bytes = publication.to_bytes();
        assert_eq!(bytes.len(), FIRST + count * PREKEY_LEN);
        assert_eq!(parse(&bytes).as_ref(), Ok(&publication));
        assert_eq!(Publication::try_from(&bytes[..]).as_ref(), Ok(&publication));
        // The layout of the specification.
        assert_eq!(bytes[..IDENTITY_LEN], device.identity().to_bytes());
        assert_eq!(bytes[IDENTITY_LEN..COUNT], publication.signed_prekey.to_bytes());
        assert_eq!(bytes[COUNT..FIRST], u32::try_from(count).unwrap().to_be_bytes());
        let one_time = bytes[FIRST..].chunks(PREKEY_LEN);
        assert!(one_time.eq(publication.one_time_prekeys.iter().map(noescrow::Prekey::to_bytes)));
    }
    assert_eq!(PUBLICATION_LEN, FIRST + 1_000 * PREKEY_LEN);
}

/// PK-3.1: truncated, and trailing bytes.
#[test]
fn a_publication_of_another_length_is_refused() {
    let bytes = published(1, 2).1.to_bytes();
    for len in (0..bytes.len()).filter(|len| len % 97 == 0 || (COUNT - 2..FIRST + 2).contains(len) || len + 2 > SECOND)
    {
        assert!(refused(&bytes[..len]), "{len}");
    }
    for more in [1, 64, PREKEY_LEN] {
        assert!(refused(&[&bytes[..], &vec![0; more]].concat()), "{more}");
    }
    for count in [0, 1, 3, 0x0100_0002, u32::MAX] {
        let mut bytes = bytes.clone();
        bytes[COUNT..FIRST].copy_from_slice(&count.to_be_bytes());
        assert!(refused(&bytes), "{count}");
    }
    // Control.
    assert!(!refused(&bytes));
}

/// PK-3.2: a flipped bit is in a key, in what a signature covers, in the count or in a signature.
#[test]
fn every_damaged_byte_of_a_publication_is_refused() {
    let bytes = published(1, 1).1.to_bytes();
    let edges = [0, IDENTITY_LEN, COUNT, FIRST, bytes.len()];
    let near = |at: usize| edges.iter().any(|edge| at.abs_diff(*edge) < 70);
    for at in (0..bytes.len()).filter(|at| near(*at) || at % 41 == 0) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        assert!(refused(&damaged), "{at}");
    }
    // Control.
    assert!(!refused(&bytes));
}

/// PK-3.2.
#[test]
fn a_prekey_of_another_kind_or_identity_is_refused() {
    let (_, publication) = published(1, 2);
    let bytes = publication.to_bytes();
    let put = |at: usize, prekey: &noescrow::Prekey| {
        let mut changed = bytes.clone();
        changed[at..at + PREKEY_LEN].copy_from_slice(&prekey.to_bytes());
        changed
    };
    let (_, foreign) = published(2, 1);
    assert!(refused(&put(FIRST, &publication.signed_prekey)));
    assert!(refused(&put(IDENTITY_LEN, &published(1, 3).1.one_time_prekeys[2])));
    assert!(refused(&put(SECOND, &foreign.one_time_prekeys[0])));
    assert!(refused(&put(IDENTITY_LEN, &foreign.signed_prekey)));
    // A signed prekey with an id of its own: only its kind is wrong.
    let mut same = Device::generate(NOW, &mut rng(1));
    let later = same.rotate(NOW, &mut rng(9));
    assert_ne!(later.id(), publication.signed_prekey.id());
    assert!(refused(&put(FIRST, &later)));
    // Controls: the same prekeys where they belong.
    assert!(!refused(&put(FIRST, &publication.one_time_prekeys[0])));
    assert!(!refused(&put(IDENTITY_LEN, &later)));
}

/// PK-3.3.
#[test]
fn two_prekeys_with_one_id_are_refused_as_the_relay_does() {
    let (_, publication) = published(1, 2);
    let mut twice = publication.clone();
    twice.one_time_prekeys[1] = twice.one_time_prekeys[0].clone();
    assert!(refused(&twice.to_bytes()));
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let (bob, hash) = (AccountName::new("bob").unwrap(), AccessKey::from_bytes([7; 32]).hash());
    let opened = Relay::default().open(&bob, twice, hash, address, NOW);
    assert_eq!(opened, Err(RelayError::BadPublication));
    // The signed prekey's id counts, too: from the same draws, another prekey of this identity has the id of a one-time one.
    let rng = &mut rng(1);
    let signed_prekey = Device::generate(NOW, rng).rotate(NOW, rng);
    assert_eq!(signed_prekey.id(), publication.one_time_prekeys[0].id());
    let same_id = Publication { signed_prekey, ..publication.clone() };
    assert!(refused(&same_id.to_bytes()));
    assert_eq!(Relay::default().open(&bob, same_id, hash, address, NOW), Err(RelayError::BadPublication));
    // Control.
    assert!(!refused(&publication.to_bytes()));
    assert_eq!(Relay::default().open(&bob, publication, hash, address, NOW), Ok(()));
}

/// PK-3.1.
#[test]
fn a_hostile_count_allocates_nothing() {
    let mut bytes = published(1, 2).1.to_bytes();
    let genuine = measure(|| drop(parse(&bytes).unwrap()));
    for count in [0, 3, 1_000, 1_001, u32::MAX] {
        bytes[COUNT..FIRST].copy_from_slice(&count.to_be_bytes());
        let hostile = measure(|| assert!(refused(&bytes)));
        assert_eq!((hostile.count_total, hostile.bytes_total), (0, 0), "{count}");
    }
    // Control: what is parsed needs memory.
    assert!(genuine.bytes_total > 2 * PREKEY_LEN as u64, "{}", genuine.bytes_total);
}

/// PK-3.1.
#[test]
fn a_publication_has_at_most_a_thousand_one_time_prekeys() {
    type Large = noescrow::device::Device<RustCrypto, Capacity<1_001, 1, 1>>;
    let mut rng = rng(3);
    let mut device = Box::new(Large::generate_with(RustCrypto, NOW, &mut rng));
    let mut publication = device.publish(MAX_PUBLISHED_PREKEYS + 1, NOW, &mut rng).unwrap();
    let bytes = publication.to_bytes();
    assert_eq!(bytes.len(), PUBLICATION_LEN + PREKEY_LEN);
    assert!(refused(&bytes));
    // Control: one fewer.
    publication.one_time_prekeys.pop();
    assert_eq!(publication.to_bytes().len(), PUBLICATION_LEN);
    assert_eq!(parse(&publication.to_bytes()), Ok(publication));
}
