// SPDX-License-Identifier: MIT OR Apache-2.0
//! A tape writes the whole trace in order and in bounded memory, and reports an error of its writer.

use super::*;
use crate::{TraceError, TraceReader, fuzz};
use sha2::Digest;
use std::sync::mpsc;

/// Sends every chunk that is written.
struct Chunks(mpsc::Sender<Vec<u8>>);

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn record(track: &Track, step: &str, kind: Kind, fields: &[(Role, bool, &[u8])]) {
    let fields = fields.iter().map(|&(role, is_output, bytes)| Field { role, is_output, bytes });
    track.record(step, kind, fields);
}

/// Records operations of two devices and a server, the same on every tape.
fn work(tape: &Tape, rounds: u8) {
    let (alice, bob) = (tape.device("Alice").unwrap(), tape.device("Bob").unwrap());
    let relay = tape.server("relay").unwrap();
    for round in 0..rounds {
        let hashed = [(Role::Context, false, &[round; 100][..]), (Role::Digest, true, &[round; 64])];
        record(&alice, "HS-I1", Kind::Sha512, &hashed);
        let derived = [
            (Role::KdfKey, false, &b""[..]),
            (Role::KdfInput, false, &[round]),
            (Role::Context, false, b"a"),
            (Role::Context, false, b"b"),
            (Role::KdfOutput, true, &[round; 64]),
        ];
        record(&bob.clone(), "HS-R1", Kind::Hkdf, &derived);
        record(&alice, "HS-I1", Kind::Fresh, &[(Role::Value, true, &[round; 32])]);
        record(&relay, "", Kind::Hmac, &[(Role::KdfKey, false, b"key"), (Role::KdfOutput, true, &[round; 32])]);
    }
}

#[test]
fn tape_to_a_writer_gives_the_same_bytes_in_bounded_chunks() {
    let in_memory = Tape::in_memory();
    (0..4).for_each(|_| work(&in_memory, 255));
    let (sender, receiver) = mpsc::channel();
    let tape = Tape::to_writer(Chunks(sender));
    (0..4).for_each(|_| work(&tape, 255));
    let longest_operation = 256;
    assert!(tape.lock().trace.buffer.capacity() <= 2 * BUFFER);
    assert!(tape.bytes().is_empty());
    assert_eq!(tape.operations(), 4 * 4 * 255);
    tape.finish().unwrap();
    let chunks: Vec<_> = receiver.try_iter().collect();
    assert_eq!(chunks.concat(), in_memory.bytes());
    tape.finish().unwrap();
    drop(tape);
    assert_eq!(receiver.iter().count(), 0, "one end");
    assert!(chunks.len() > 2 && chunks.iter().all(|chunk| chunk.len() <= BUFFER + longest_operation));
    assert_eq!(fuzz::trace_reader(&in_memory.bytes()).unwrap(), 4 * 4 * 255);
}

#[test]
fn large_operation_leaves_no_large_buffer() {
    let (sender, receiver) = mpsc::channel();
    let tape = Tape::to_writer(Chunks(sender));
    let device = tape.device("Alice").unwrap();
    device.given("", &vec![1; 40 * BUFFER]);
    assert!(tape.lock().trace.buffer.capacity() <= 2 * BUFFER);
    assert!(receiver.try_iter().map(|chunk| chunk.len()).sum::<usize>() > 40 * BUFFER);
}

#[test]
fn operations_are_read_back_in_order() {
    let tape = Tape::in_memory();
    work(&tape, 2);
    let mut seen = Vec::new();
    let participants = TraceReader::new(&tape.bytes()[..])
        .unwrap()
        .for_each(|operation| seen.push((operation.participant, String::from(operation.step), operation.kind)))
        .unwrap();
    let names: Vec<_> = participants.iter().map(|one| (one.name.as_str(), one.is_server)).collect();
    assert_eq!(names, [("Alice", false), ("Bob", false), ("relay", true)]);
    let round = [(0, "HS-I1", Kind::Sha512), (1, "HS-R1", Kind::Hkdf), (0, "HS-I1", Kind::Fresh), (2, "", Kind::Hmac)];
    let expected: Vec<_> = round.iter().chain(&round).map(|&(who, step, kind)| (who, step.into(), kind)).collect();
    assert_eq!(seen, expected);
}

#[test]
fn records_of_several_threads_stay_whole() {
    let tape = Tape::in_memory();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| work(&tape, 50));
        }
    });
    assert_eq!(fuzz::trace_reader(&tape.bytes()).unwrap(), 4 * 50 * 4);
}

/// Fails at the chunks in `fails`, and accepts those before and after.
struct Failing {
    chunks: usize,
    fails: core::ops::Range<usize>,
    kept: mpsc::Sender<Vec<u8>>,
}

impl Write for Failing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.chunks += 1;
        if self.fails.contains(&self.chunks) {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "disk full"));
        }
        self.kept.send(bytes.to_vec()).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn failed_writer_is_reported_at_every_flush_and_not_used_again() {
    let (kept, receiver) = mpsc::channel();
    let tape = Tape::to_writer(Failing { chunks: 0, fails: 2..3, kept });
    work(&tape, 1);
    tape.flush().unwrap();
    work(&tape, 1);
    for _ in 0..2 {
        let error = tape.flush().unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (io::ErrorKind::StorageFull, "disk full"));
        work(&tape, 1);
    }
    drop(tape);
    let written: Vec<_> = receiver.iter().collect();
    assert_eq!(written.len(), 1, "a trace with a gap is worse than one that ends");
    let read = TraceReader::new(&*written.concat()).unwrap().for_each(|_| {});
    assert!(matches!(read, Err(TraceError::EndsEarly { operations: 4, .. })), "{read:?}");
    // Control: the same writer without the failure.
    let (kept, receiver) = mpsc::channel();
    let tape = Tape::to_writer(Failing { chunks: 0, fails: 0..0, kept });
    for _ in 0..3 {
        work(&tape, 1);
        tape.flush().unwrap();
    }
    assert_eq!(receiver.try_iter().count(), 3);
}

/// Panics at the second chunk.
struct Panicking(usize);

impl Write for Panicking {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += 1;
        assert!(self.0 != 2, "on purpose");
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn panicked_writer_is_reported_at_every_flush() {
    let tape = Tape::to_writer(Panicking(0));
    work(&tape, 1);
    tape.flush().unwrap();
    work(&tape, 1);
    let flush = std::panic::AssertUnwindSafe(|| tape.flush());
    std::panic::catch_unwind(flush).unwrap_err();
    work(&tape, 1);
    assert_eq!(tape.flush().unwrap_err().to_string(), "a writer panicked");
    assert_eq!(tape.flush().unwrap_err().to_string(), "a writer panicked");
}

#[test]
fn rest_is_written_when_the_last_track_is_dropped() {
    let (sender, receiver) = mpsc::channel();
    let tape = Tape::to_writer(Chunks(sender));
    let device = tape.device("Alice").unwrap();
    drop(tape);
    record(&device, "", Kind::Fresh, &[(Role::Value, true, b"value")]);
    assert_eq!(receiver.try_iter().count(), 0);
    drop(device);
    let trace = receiver.iter().collect::<Vec<_>>().concat();
    TraceReader::new(&*trace).unwrap().for_each(|_| {}).unwrap();
    assert_eq!(fuzz::trace_reader(&trace).unwrap(), 1);
}

/// A tape in a `static`, and one in a process that ends by `process::exit`, is never dropped.
#[test]
fn trace_that_was_flushed_but_not_finished_ends_early() {
    let (sender, receiver) = mpsc::channel();
    let tape = Tape::to_writer(Chunks(sender));
    work(&tape, 2);
    tape.flush().unwrap();
    let mut trace = receiver.try_iter().collect::<Vec<_>>().concat();
    let read = |trace: &[u8]| TraceReader::new(trace).unwrap().for_each(|_| {}).map(drop);
    assert!(matches!(read(&trace), Err(TraceError::EndsEarly { operations: 8, .. })));
    // Control: the same trace, finished.
    tape.finish().unwrap();
    trace.extend(receiver.try_iter().flatten());
    read(&trace).unwrap();
}

#[test]
fn operation_after_the_end_is_an_error_and_makes_the_trace_unreadable() {
    let (sender, receiver) = mpsc::channel();
    let tape = Tape::to_writer(Chunks(sender));
    let device = tape.device("Alice").unwrap();
    device.given("", b"before");
    tape.finish().unwrap();
    device.given("", b"after");
    // Without a flush: the process may end now.
    let trace = receiver.try_iter().collect::<Vec<_>>().concat();
    let read = TraceReader::new(&*trace).unwrap().for_each(|_| {});
    assert!(matches!(read, Err(TraceError::Malformed { what: "bytes after the end", .. })), "{read:?}");
    assert_eq!(tape.finish().unwrap_err().to_string(), "an operation was recorded after the end");
    assert_eq!(tape.flush().unwrap_err().to_string(), "an operation was recorded after the end");
}

#[test]
fn more_parts_than_a_byte_counts_are_recorded() {
    let tape = Tape::in_memory();
    let part: &[u8] = b"part";
    let fields = vec![(Role::Context, false, part); 1000];
    record(&tape.device("Alice").unwrap(), "", Kind::Sha256, &fields);
    let mut parts = 0;
    TraceReader::new(&tape.bytes()[..])
        .unwrap()
        .for_each(|operation| parts += operation.inputs(Role::Context).count())
        .unwrap();
    assert_eq!(parts, 1000);
}

/// Synthetic values: a tape does not compute.
#[test]
fn covered_bytes_of_an_earlier_sealing_are_written_as_a_reference() {
    let (ciphertext, tag) = ([5; 5000], [6; 16]);
    let covered = [&tag[..], &ciphertext[..4096]].concat();
    let [body, header] = [(&b"short"[..], &ciphertext[..], [6; 16]), (&covered, b"c", [7; 16])];
    let tape = Tape::in_memory();
    let (alice, bob) = (tape.device("Alice").unwrap(), tape.device("Bob").unwrap());
    let call = |track: &Track, (associated_data, ciphertext, tag): (&[u8], &[u8], [u8; 16]), is_opening: bool| {
        let plaintext = b"p";
        let sealed = Sealed { key: &[1; 32], nonce: &[2; 12], associated_data, plaintext, ciphertext, tag: &tag };
        if is_opening { track.opened("S", &sealed) } else { track.sealed("S", &sealed) }
    };
    for (track, of, is_opening) in
        [(&bob, header, true), (&alice, body, false), (&alice, header, false), (&bob, header, true)]
    {
        call(track, of, is_opening);
    }
    let mut written = Vec::new();
    TraceReader::new(&*tape.bytes())
        .unwrap()
        .for_each(|operation| {
            let roles: Vec<_> = operation.fields.iter().map(|field| (field.role, field.is_output)).collect();
            written.push((operation.kind, roles, operation.fields[2].bytes.to_vec()));
        })
        .unwrap();
    let reference = [&[0, 0, 16, 16][..], &sha2::Sha256::digest(&covered)].concat();
    let expected = [
        // Before the trace has the bytes they are written whole, after that never.
        (Kind::Open, Role::AssociatedData, covered.clone()),
        (Kind::Seal, Role::AssociatedData, b"short".to_vec()),
        (Kind::Seal, Role::AssociatedDataReference, reference.clone()),
        (Kind::Open, Role::AssociatedDataReference, reference),
    ];
    for (at, ((kind, roles, bytes), (expected_kind, role, expected_bytes))) in written.iter().zip(expected).enumerate()
    {
        let last = match kind {
            Kind::Seal => [(Role::Plaintext, false), (Role::Tag, true)],
            _ => [(Role::Tag, false), (Role::Plaintext, true)],
        };
        assert_eq!((*kind, bytes), (expected_kind, &expected_bytes), "{at}");
        assert_eq!(
            *roles,
            [&[(Role::AeadKey, false), (Role::Nonce, false), (role, false)][..], &last].concat(),
            "{at}"
        );
    }
    assert_eq!((written.len(), tape.operations()), (4, 4));
    fuzz::trace_reader(&tape.bytes()).unwrap();
}
