// SPDX-License-Identifier: MIT OR Apache-2.0
//! B14: key compromise impersonation, possible as far as PQXDH allows it (§4.6) and no further. B18, as far as the caller
//! expects an identity.

use crate::forger::{self, Forger};
use crate::recording::Party;
use crate::support::{self, LATER, NOW};
use noescrow::error::{AcceptError, InitiateError};
use noescrow::hazmat::AcceptFromAnyone;
use noescrow::primitives::{DhPublicKey, Primitives, RustCrypto};
use noescrow::{Bundle, Device, Identity, InitiateOptions, Prekey, Secret};

/// The documented limit: DH1 can be computed from either side. A thief of Bob's signed prekey can therefore impersonate
/// anybody to Bob until Bob has deleted it. No other key of Bob's allows that.
#[test]
fn b14_only_the_signed_prekey_allows_impersonation_until_it_is_deleted() {
    // Alice has never heard of Bob. The thief has only her public identity.
    let alice = *Party::new(41).device.identity();
    for one_time in [true, false] {
        let mut bob = Party::new(42);
        let bundle = Bundle::from_bytes(&RustCrypto, &bob.bundle(one_time)).unwrap();
        let secret_of = |key: &DhPublicKey| bob.primitives.secret_of(key.as_bytes());
        let signed_prekey = secret_of(bundle.signed_prekey().dh_key());
        let identity_key = secret_of(bundle.identity().dh_key());
        let one_time_prekey = bundle.one_time_prekey().map(Prekey::dh_key).map(secret_of);
        let as_alice = |stolen: [u8; 32]| {
            let thief = Forger { identity: alice.to_bytes(), ..Forger::new([1; 32], [2; 32], [3; 32]) };
            Forger { signed_prekey_secret: Some(stolen), ..thief }.first_message(&bundle).0
        };

        for other in [Some(identity_key), one_time_prekey].into_iter().flatten() {
            assert_eq!(bob.refuses(&as_alice(other)), AcceptError::Refused);
        }
        let before = bob.state();
        let is_alice_to = |mut bob: Party| {
            let (session, text) = bob.device.accept(&as_alice(signed_prekey)).unwrap();
            session.remote_identity() == Some(&alice) && text == b"forged"
        };
        assert!(is_alice_to(Party::restored(&before, 42)));
        // Replacing the key is not enough: it is kept for messages in transit.
        bob.device.rotate(NOW, &mut bob.rng);
        assert!(is_alice_to(Party::restored(&bob.state(), 42)));
        assert!(bob.device.delete_previous_signed_prekeys());
        assert_eq!(bob.refuses(&as_alice(signed_prekey)), AcceptError::PrekeyGone);
    }
}

/// HS-I1: an identity of which only one key is the expected one is another identity.
#[test]
fn b18_the_expected_identity_is_both_of_its_keys() {
    let mut rng = support::rng(5);
    let [alice, bob] = [(); 2].map(|()| Device::generate(NOW, &mut rng));
    let begun = |bundle: &[u8], expected: Option<&Identity>| {
        let bundle = Bundle::from_bytes(&RustCrypto, bundle).unwrap();
        let options =
            expected.map_or_else(|| InitiateOptions::unverified(NOW), |it| InitiateOptions::expecting(it, NOW));
        alice.initiate(bundle, b"hi", options, &mut support::rng(6)).map(|_| ()).map_err(|failed| failed.error)
    };
    // The server certifies Bob's DH key with its own signing key, and signs prekeys with it.
    let kem_key = RustCrypto.kem_public(&Secret::new([3; 64]));
    let prekey = forger::prekey(&SEED, 1, 1, LATER, &forger::dh_public(&[2; 32]), &kem_key);
    let forged = forger::bundle(&forger::identity(&SEED, bob.identity().dh_key().as_bytes()), &prekey, None);
    assert_eq!(begun(&forged, Some(bob.identity())), Err(InitiateError::UnexpectedIdentity));
    // The same signing key, with another DH key.
    let own = Identity::from_bytes(&RustCrypto, &forger::identity(&SEED, &forger::dh_public(&[4; 32]))).unwrap();
    assert_eq!(begun(&forged, Some(&own)), Err(InitiateError::UnexpectedIdentity));
    // Controls: who expects nobody takes it, and Bob's own bundle is Bob's.
    assert_eq!(begun(&forged, None), Ok(()));
    let genuine = Bundle::new(*bob.identity(), bob.signed_prekey(), None).unwrap().to_bytes();
    assert_eq!(begun(&genuine, Some(bob.identity())), Ok(()));
}

const SEED: [u8; 32] = [0x51; 32];
