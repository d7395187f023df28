// SPDX-License-Identifier: MIT OR Apache-2.0
//! B18: no combination of a server's moves ends in one safety number over two keys, or over one that the server knows.

use crate::forger::{self, CT, EK, Forger, IDENTITY, SIGNED, raw_dh};
use crate::recording::{Faults, Party, RecordedSession, SUITE};
use crate::support::{LATER, NOW};
use noescrow::hazmat::AcceptFromAnyone;
use noescrow::primitives::{Primitives, RustCrypto};
use noescrow::{Bundle, Secret, StorageKey};

/// The server's secrets.
const SERVER: [[u8; 32]; 3] = [[0x51; 32], [0x52; 32], [0x53; 32]];
const SERVER_KEM: [u8; 64] = [0x54; 64];

/// Prekeys of the server's under the owner's identity.
pub fn own_prekeys(bundle: &[u8]) -> Vec<u8> {
    let kem_key = RustCrypto.kem_public(&Secret::new(SERVER_KEM));
    let signed = forger::prekey(&SERVER[0], 1, 1, LATER, &forger::dh_public(&SERVER[1]), &kem_key);
    forger::bundle(&bundle[IDENTITY], &signed, None)
}

/// What the server does to a bundle in transit to Alice, or to the first message in transit to Bob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BundleMove {
    Honest,
    /// Without the one-time prekey.
    Withhold,
    /// An older bundle of Bob's.
    Older,
    /// The server's own identity and prekeys.
    Replace,
    OwnPrekeys,
    /// Bob's prekeys under the server's identity.
    OwnIdentity,
    Flip(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MessageMove {
    Honest,
    /// A message of the server's own in place of Alice's, under its own identity.
    Replace,
    /// The same under Alice's identity.
    Impersonate,
    Flip(usize),
}

#[derive(Debug, Default)]
struct Search {
    refused: usize,
    /// Both have a session, with one safety number and one key.
    equal: usize,
    /// Both have a session and see different safety numbers.
    different: usize,
    /// One safety number over two keys, or over a key that the server can compute.
    violations: Vec<(BundleMove, MessageMove)>,
}

/// The part of Alice's SK that the server can compute if SPK and PQPK are its own.
fn computed_sk(alice: &Party, hello: &[u8], faults: Faults) -> [u8; 32] {
    let ephemeral_key = hello[EK].try_into().unwrap();
    let with_spk = |key| raw_dh(&SERVER[1], key);
    let (dh1, dh3) = (with_spk(alice.device.identity().dh_key().as_bytes()), with_spk(ephemeral_key));
    // DH2 takes the secret of the identity that Alice believes she talks to.
    let dh2 = raw_dh(&SERVER[2], ephemeral_key);
    let (dh1, dh2) = if faults.no_identity_dh { ([0; 32], [0; 32]) } else { (dh1, dh2) };
    let ss = RustCrypto.decapsulate(&Secret::new(SERVER_KEM), hello[CT].try_into().unwrap());
    let mut sk = [0; 32];
    RustCrypto.hkdf(&[0; 32], &[&[0xFF; 32], &dh1, &dh2, &dh3, ss.expose()], &[SUITE], &mut sk);
    sk
}

/// Combines every move on the bundle with every move on the first message. `nonces`: a build whose server may add its
/// own bytes to each side's keys once the sessions exist.
fn search(faults: Faults, nonces: bool, stride: usize) -> Search {
    let mut found = Search::default();
    let mut bob = Party::faulty(1, faults);
    let older = bob.bundle(true);
    bob.device.rotate(NOW, &mut bob.rng);
    let genuine = bob.bundle(true);
    let bobs = bob.state();
    let server_identity = forger::identity(&SERVER[0], &forger::dh_public(&SERVER[2]));
    let flips = (0..genuine.len()).step_by(stride).map(BundleMove::Flip);
    let moves = [
        BundleMove::Honest,
        BundleMove::Withhold,
        BundleMove::Older,
        BundleMove::Replace,
        BundleMove::OwnPrekeys,
        BundleMove::OwnIdentity,
    ];
    let mut alice = Party::faulty(2, faults);
    for bundle_move in moves.into_iter().chain(flips) {
        let served = match bundle_move {
            BundleMove::Honest => genuine.clone(),
            BundleMove::Withhold => forger::bundle(&genuine[IDENTITY], &genuine[SIGNED], None),
            BundleMove::Older => older.clone(),
            BundleMove::OwnPrekeys => own_prekeys(&genuine),
            BundleMove::Replace => [&server_identity, &own_prekeys(&genuine)[128..]].concat(),
            BundleMove::OwnIdentity => [&server_identity, &genuine[128..]].concat(),
            BundleMove::Flip(at) => {
                let mut bytes = genuine.clone();
                bytes[at] ^= 1 << (at % 8);
                bytes
            }
        };
        alice.primitives.clear();
        let Some((from_alice, hello)) = alice.initiate(&served) else {
            found.refused += 1;
            continue;
        };
        let is_flipped = matches!(bundle_move, BundleMove::Flip(_));
        assert!(faults != Faults::default() || !is_flipped, "{bundle_move:?} was accepted");
        let alice_sk = alice.primitives.key_agreement().1;
        let alice_known = alice_sk == computed_sk(&alice, &hello, faults);
        let (saved, subject) = (from_alice.snapshot(&StorageKey::new([1; 32]), 0), from_alice.subject());
        let message_stride = if bundle_move == BundleMove::Honest { stride } else { 53 * stride };
        let flips = (0..hello.len()).step_by(message_stride).map(MessageMove::Flip);
        bob = Party::restored(&bobs, 3);
        bob.primitives.set_faults(faults);
        for message_move in
            [MessageMove::Honest, MessageMove::Replace, MessageMove::Impersonate].into_iter().chain(flips)
        {
            let to_bob = Bundle::from_bytes(&RustCrypto, &genuine).unwrap();
            let own = Forger { identity_dh: !faults.no_identity_dh, ..Forger::new(SERVER[0], SERVER[1], SERVER[2]) };
            let message = match message_move {
                MessageMove::Honest => hello.clone(),
                MessageMove::Replace => own.first_message(&to_bob).0,
                MessageMove::Impersonate => {
                    let identity = alice.device.identity().to_bytes();
                    Forger { identity, dh_secret: None, ..own }.first_message(&to_bob).0
                }
                MessageMove::Flip(at) => {
                    let mut bytes = hello.clone();
                    bytes[at] ^= 1 << (at % 8);
                    bytes
                }
            };
            bob.primitives.clear();
            let Ok((mut from_bob, _)) = bob.device.accept(&message) else {
                found.refused += 1;
                continue;
            };
            let bob_known = matches!(message_move, MessageMove::Replace | MessageMove::Impersonate);
            let key = StorageKey::new([1; 32]);
            let mut from_alice =
                RecordedSession::restore_in_place(alice.primitives.clone(), &mut saved.clone(), &key, &subject, 0)
                    .unwrap();
            if nonces {
                alice.primitives.set_faults(Faults { server_nonce: Some([1; 32]), ..faults });
                bob.primitives.set_faults(Faults { server_nonce: Some([2; 32]), ..faults });
            }
            let reply = from_bob.encrypt(b"reply", &mut bob.rng).unwrap();
            let agree = alice_sk == bob.primitives.key_agreement().1 || nonces;
            let agree = agree && from_alice.decrypt(&reply).is_ok();
            let numbers_equal = from_alice.safety_number() == from_bob.safety_number();
            match (numbers_equal, agree && !alice_known && !bob_known) {
                (true, true) => found.equal += 1,
                (true, false) => found.violations.push((bundle_move, message_move)),
                (false, _) => found.different += 1,
            }
            alice.primitives.set_faults(faults);
            bob = Party::restored(&bobs, 3);
            bob.primitives.set_faults(faults);
        }
    }
    found
}

#[test]
fn b18_no_relay_gets_equal_safety_numbers_over_bad_keys() {
    let found = search(Faults::default(), false, 1);
    assert_eq!(found.violations, []);
    // Bob's own three bundles end in equal numbers; the server in the middle shows; every flipped byte is refused.
    assert_eq!(found.equal, 3, "{found:?}");
    assert!(found.different >= 4, "{found:?}");
    assert!(found.refused > 3485 + 1800, "{found:?}");
}

#[test]
fn control_b18_server_nonces_and_missing_identity_dhs_are_found() {
    let nonces = search(Faults::default(), true, 97);
    assert!(nonces.violations.contains(&(BundleMove::Honest, MessageMove::Honest)), "{nonces:?}");
    let no_verify = Faults { no_verify: true, ..Faults::default() };
    let neither = search(Faults { no_identity_dh: true, ..no_verify }, false, 401);
    assert!(neither.violations.contains(&(BundleMove::OwnPrekeys, MessageMove::Impersonate)), "{neither:?}");
    // Each defence suffices alone if the attacker has no identity's secret: DH2 against planted prekeys, signatures
    // without DH2.
    assert_eq!(search(no_verify, false, 401).violations, []);
    let no_identity_dh = search(Faults { no_identity_dh: true, ..Faults::default() }, false, 401);
    let planted = |one: &&(BundleMove, MessageMove)| one.0 == BundleMove::OwnPrekeys;
    assert_eq!(no_identity_dh.violations.iter().filter(planted).count(), 0);
}
