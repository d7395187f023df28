// SPDX-License-Identifier: MIT OR Apache-2.0
//! A thief of a device whose state is stored in rows takes all rows that the store has, and none that it had.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test states what it expects"
)]

use noescrow::durable::{CommitError, Durable, Unsaved};
use noescrow::primitives::Primitives;
use noescrow::session::Session;
use noescrow::{Secret, StorageKey, hazmat};
use noescrow_audit::{Audit, Cell, Kind, Profile, Role, Tape, Thief, TraceReader};
use noescrow_recorder::{PROFILE, Recorder, profile};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use std::convert::Infallible;

fn saved<T>(unsaved: Unsaved<'_, T>) -> T {
    unsaved.settle(Ok::<(), CommitError<Infallible>>(())).unwrap()
}

/// Alice sends messages 0 to 3, and Bob, whose state is stored in rows, opens 3, 1, 0 and 2. His answer changes no row
/// but the core.
fn late_messages(with_answer: bool) -> Tape {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let tape = Tape::in_memory();
    let [alice, bob] = ["Alice", "Bob"].map(|name| Recorder::device(&tape, name).unwrap());
    alice.given(&[1; 32]);
    bob.given(&[2; 32]);
    let public = bob.dh_public(&Secret::new([2; 32]));
    let mut alice: Session<Recorder> = hazmat::initiator(alice, &Secret::new([1; 32]), &public, b"").unwrap();
    let bob = hazmat::responder(bob, &Secret::new([1; 32]), Secret::new([2; 32]), b"");
    let mut bob = saved(Durable::<Session<Recorder>>::new(bob, &StorageKey::new([9; 32]), &mut rng));
    let sent: Vec<Vec<u8>> = (0..4).map(|_| alice.encrypt(b"text", &mut rng).unwrap()).collect();
    for message in [3, 1, 0, 2] {
        saved(bob.decrypt(&sent[message]).unwrap());
    }
    if with_answer {
        alice.decrypt(&saved(bob.encrypt(b"answer", &mut rng).unwrap())).unwrap();
    }
    tape
}

/// For each theft, what it does to each of the four messages: `.` secret, `x` exposed, `!` though it was opened before.
fn matrix(profile: Profile) -> Vec<String> {
    let examination = Audit::of(profile, &late_messages(false)).unwrap().examine();
    let matrix = examination.secrecy_matrix(&examination.thefts(), &Thief::default());
    let cell = |theft: usize| {
        let cells = matrix.cells.iter().map(move |row| row[theft]);
        cells.map(|cell| match cell {
            Cell::Secret => '.',
            Cell::Exposed => 'x',
            _ => '!',
        })
    };
    (0..matrix.thefts.len()).map(|theft| cell(theft).collect()).collect()
}

#[test]
fn theft_takes_the_rows_that_the_store_has() {
    // At the beginning; after message 3, 1, 0, 2.
    assert_eq!(matrix(profile()), ["xxxx", "xxx.", "x.x.", "..x.", "...."]);
}

/// Sealing in rows shows nobody anything: neither the state, of which salts are computed, nor the ids in its scope.
#[test]
fn audit_of_a_state_in_rows_holds() {
    let verdict = |held: &[u8]| Audit::of(profile(), &late_messages(true)).unwrap().server_saw("disk", held).verdict();
    assert_eq!(verdict(b"nothing").findings, []);
    // Control: a row's content in the clear.
    let mut content = Vec::new();
    TraceReader::new(&*late_messages(true).bytes())
        .unwrap()
        .for_each(|operation| {
            if operation.kind == Kind::Seal && operation.step == "SN-1" {
                content = operation.input(Role::Plaintext).unwrap().to_vec();
            }
        })
        .unwrap();
    assert!(!verdict(&content).findings.is_empty());
}

/// Control: if each row is a state of its own, no row exposes a late message, whose key needs two.
#[test]
fn rows_one_by_one_would_hide_what_they_expose_together() {
    let mut document: serde_json::Value = serde_json::from_str(PROFILE).unwrap();
    document["stored"].as_object_mut().unwrap().remove("rows").unwrap();
    let rows = matrix(Profile::from_json(document.to_string().as_bytes()).unwrap());
    assert!(rows.len() > 5, "{rows:?}");
    assert!(rows[1..].iter().all(|row| row == "...."), "{rows:?}");
}
