// SPDX-License-Identifier: MIT OR Apache-2.0
//! Two devices with a trace each; the traces are read in either order.

use super::{Device, Session};
use noescrow::hazmat::AcceptFromAnyone;
use noescrow::{Bundle, InitiateOptions, StorageKey, UnixSeconds};
use noescrow_audit::{Audit, Healing, SecrecyMatrix, Tape, Thief};
use noescrow_recorder::{Recorder, profile};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

/// Messages in turns; Alice's memory is stolen between two of them.
fn conversation(a: Recorder, b: Recorder) -> Vec<u8> {
    let mut rng = ChaCha20Rng::seed_from_u64(21);
    let mut bob = Device::generate_with(b, UnixSeconds(1), &mut rng);
    let alice = Device::generate_with(a, UnixSeconds(1), &mut rng);
    let mut published = bob.publish(1, UnixSeconds(1), &mut rng).unwrap();
    let one_time = published.one_time_prekeys.pop();
    let bundle = Bundle::new(published.identity, published.signed_prekey, one_time).unwrap();
    let mut wire = bundle.to_bytes();
    let (mut alice, hello): (Session, _) =
        alice.initiate(bundle, b"the first of all", InitiateOptions::unverified(UnixSeconds(0)), &mut rng).unwrap();
    let (mut bob, _): (Session, _) = bob.accept(&hello).unwrap();
    wire.extend(hello);
    for turn in 0..8 {
        if turn == 2 {
            let snapshot = alice.snapshot(&StorageKey::new([9; 32]), 1);
            assert!(!snapshot.is_empty());
            let message = alice.encrypt(b"under the chain that was stolen", &mut rng).unwrap();
            bob.decrypt(&message).unwrap();
            wire.extend(&message);
        }
        let (from, to) = if turn % 2 == 0 { (&mut bob, &mut alice) } else { (&mut alice, &mut bob) };
        let message = from.encrypt(b"what is said in turn", &mut rng).unwrap();
        to.decrypt(&message).unwrap();
        wire.extend(&message);
    }
    wire
}

fn matrix_and_healing(audit: Audit<'_>) -> (SecrecyMatrix, Healing) {
    let examination = audit.examine();
    let thefts = examination.thefts();
    assert_eq!(thefts.len(), 1);
    let matrix = examination.secrecy_matrix(&thefts, &Thief::default());
    let healing = matrix.healing(0).unwrap();
    (matrix, healing)
}

#[test]
fn traces_of_two_devices_give_the_same_matrix_in_either_order() {
    let one = Tape::in_memory();
    let wire = conversation(Recorder::device(&one, "Alice").unwrap(), Recorder::device(&one, "Bob").unwrap());
    let (expected, healing) = matrix_and_healing(Audit::of(profile(), &one).unwrap().server_saw("wire", &wire));
    assert!(healing.messages > 0 && healing.turns > 0 && healing.healed, "{healing:?}");
    let separate = [Tape::in_memory(), Tape::in_memory()];
    let again =
        conversation(Recorder::device(&separate[0], "Alice").unwrap(), Recorder::device(&separate[1], "Bob").unwrap());
    assert_eq!(again, wire);
    for [first, second] in [[0, 1], [1, 0]] {
        let audit = Audit::of(profile(), &separate[first]).unwrap().and_trace(&separate[second].bytes()[..]).unwrap();
        let (matrix, healed) = matrix_and_healing(audit.server_saw("wire", &wire));
        let senders = |matrix: &SecrecyMatrix| matrix.messages.iter().map(|row| row.sender.clone()).collect::<Vec<_>>();
        assert_eq!(senders(&matrix), senders(&expected), "{first}");
        assert!(matrix.messages.iter().all(|row| row.opened_at.is_some()), "{first}");
        assert_eq!(matrix.cells, expected.cells, "{first}");
        assert_eq!(healed, healing, "{first}");
    }
}
