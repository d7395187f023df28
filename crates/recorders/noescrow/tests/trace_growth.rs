// SPDX-License-Identifier: MIT OR Apache-2.0
//! How much of a trace is the associated data of headers, which covers up to 4,112 bytes of each message.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test states what it expects"
)]

use noescrow::primitives::Primitives;
use noescrow::session::Session;
use noescrow::{Secret, hazmat};
use noescrow_audit::{Field, Operation, Role, Tape, TraceReader};
use noescrow_recorder::Recorder;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

const MESSAGES: usize = 8;

/// Messages of this length, taking turns, with the trace of each device; both record on one tape, or each on its own.
fn conversation(text_len: usize, on_one_tape: bool) -> Vec<Tape> {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let tapes = if on_one_tape { vec![Tape::in_memory()] } else { vec![Tape::in_memory(), Tape::in_memory()] };
    let alice = Recorder::device(&tapes[0], "Alice").unwrap();
    let bob = Recorder::device(tapes.last().unwrap(), "Bob").unwrap();
    let public = bob.dh_public(&Secret::new([2; 32]));
    let mut alice: Session<Recorder> = hazmat::initiator(alice, &Secret::new([1; 32]), &public, b"").unwrap();
    let mut bob: Session<Recorder> = hazmat::responder(bob, &Secret::new([1; 32]), Secret::new([2; 32]), b"");
    let text = vec![7; text_len];
    for turn in 0..MESSAGES {
        let (from, to) = if turn % 2 == 0 { (&mut alice, &mut bob) } else { (&mut bob, &mut alice) };
        let message = from.encrypt(&text, &mut rng).unwrap();
        assert_eq!(to.decrypt(&message).unwrap().plaintext, text);
    }
    tapes
}

/// Bytes of a trace.
#[derive(Debug, PartialEq)]
struct Sizes {
    trace: usize,
    /// Of its long associated data, as it is written.
    written: usize,
    /// Of its long associated data, if none were a reference.
    whole: usize,
}

impl Sizes {
    fn per_message(&self) -> Self {
        let Self { trace, written, whole } = self;
        Self { trace: trace / MESSAGES, written: written / MESSAGES, whole: whole / MESSAGES }
    }
}

fn sizes(tapes: &[Tape]) -> Sizes {
    let mut sizes = Sizes { trace: 0, written: 0, whole: 0 };
    for tape in tapes {
        let is_long = |field: &&Field<'_>| match field.role {
            Role::AssociatedData => field.bytes.len() > 512,
            role => role == Role::AssociatedDataReference,
        };
        let sum = |operation: &Operation<'_>| -> usize {
            operation.fields.iter().filter(is_long).map(|field| field.bytes.len()).sum()
        };
        let reader = || TraceReader::new(std::io::Cursor::new(tape.bytes())).unwrap();
        reader().for_each_as_written(|operation| sizes.written += sum(operation)).unwrap();
        reader().for_each(|operation| sizes.whole += sum(operation)).unwrap();
        sizes.trace += tape.bytes().len();
    }
    sizes
}

#[test]
fn message_adds_two_references_to_a_trace_not_its_covered_bytes() {
    for (text_len, padded_len) in [(1 << 10, 1_088), (1 << 16, 67_584)] {
        let sizes = sizes(&conversation(text_len, true)).per_message();
        let covered = 16 + 4_096.min(padded_len);
        println!("{text_len} bytes of text: {sizes:?}");
        // One for the sealing and one for the opening.
        assert_eq!((sizes.written, sizes.whole), (2 * 36, 2 * covered));
        // Control: the text is written twice, and everything else has at most 5 KiB.
        assert!((2 * padded_len..2 * padded_len + 5 * 1024).contains(&sizes.trace), "{sizes:?}");
    }
}

/// The receiver's tape does not have what it has not opened yet.
#[test]
fn message_between_two_tapes_adds_its_covered_bytes_once() {
    for (text_len, padded_len) in [(1 << 10, 1_088), (1 << 16, 67_584)] {
        let sizes = sizes(&conversation(text_len, false)).per_message();
        let covered = 16 + 4_096.min(padded_len);
        println!("{text_len} bytes of text: {sizes:?}");
        assert_eq!((sizes.written, sizes.whole), (36 + covered, 2 * covered));
    }
}

#[test]
fn short_message_has_no_reference() {
    let sizes = sizes(&conversation(32, true)).per_message();
    println!("32 bytes of text: {sizes:?}");
    assert_eq!((sizes.written, sizes.whole), (0, 0));
}
