// SPDX-License-Identifier: MIT OR Apache-2.0
//! A bundle without its one-time prekey.

use super::{NOW, bundle_of, published, rng};
use noescrow::error::AcceptError;
use noescrow::hazmat::AcceptFromAnyone;
use noescrow::{Bundle, Device, InitiateOptions};

/// The flag of a handshake that says whether there is a one-time prekey.
const FLAG: usize = 5;

#[test]
fn a_bundle_without_its_one_time_prekey_begins_a_session() {
    let (mut bob, publication) = published(1, 1);
    let alice = Device::generate(NOW, &mut rng(2));
    let begin = |bundle: Bundle| {
        let options = InitiateOptions::expecting(&publication.identity, NOW);
        alice.initiate(bundle, b"hi", options, &mut rng(3)).unwrap().1
    };
    // The first attempt, whose answer is lost, uses the one-time prekey up.
    let first = begin(bundle_of(&publication, true));
    assert_eq!(first[FLAG], 1);
    drop(bob.accept(&first).unwrap());
    // A retry without it.
    let bundle = bundle_of(&publication, true).without_one_time();
    assert_eq!(bundle, bundle_of(&publication, false));
    let again = begin(bundle);
    assert_eq!(again[FLAG], 0);
    assert_eq!(bob.accept(&again).unwrap().1, b"hi");
    // Control: with it, the retry is lost.
    let other = |bundle| {
        let options = InitiateOptions::expecting(&publication.identity, NOW);
        alice.initiate(bundle, b"hi", options, &mut rng(4)).unwrap().1
    };
    let lost = other(bundle_of(&publication, true));
    assert_eq!(bob.accept(&lost).map(drop).unwrap_err(), AcceptError::PrekeyGone);
}

#[test]
fn removing_a_missing_one_time_prekey_changes_nothing() {
    let (_, publication) = published(1, 1);
    assert_eq!(bundle_of(&publication, false).without_one_time(), bundle_of(&publication, false));
    // Control: of a bundle that has one, it does.
    assert_ne!(bundle_of(&publication, true).without_one_time(), bundle_of(&publication, true));
}
