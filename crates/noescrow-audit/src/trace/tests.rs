// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every trace is read as it was written and has one encoding. The reader refuses everything else.

use super::*;
use crate::fuzz;
use proptest::prelude::*;
use sha2::Digest;

type OwnedField = (Role, bool, Vec<u8>);
type Owned = (u8, String, Kind, Vec<OwnedField>);

fn write(writer: &mut TraceWriter, (participant, step, kind, fields): &Owned) {
    let fields = fields.iter().map(|(role, is_output, bytes)| Field { role: *role, is_output: *is_output, bytes });
    writer.operation(*participant, step, *kind, fields);
}

fn read(bytes: &[u8]) -> Result<(Vec<Participant>, Vec<Owned>), TraceError> {
    let mut all = Vec::new();
    let own = |field: &Field<'_>| (field.role, field.is_output, field.bytes.to_vec());
    let participants = TraceReader::new(bytes)?.for_each(|operation| {
        let fields = operation.fields.iter().map(own).collect();
        all.push((operation.participant, operation.step.to_owned(), operation.kind, fields));
    })?;
    Ok((participants, all))
}

/// What was written so far, as a complete trace.
fn complete(writer: &TraceWriter) -> Vec<u8> {
    [&writer.buffer[..], &writer.end()].concat()
}

/// These records, which are `operations` operations, with the end that is right for them.
fn ended(records: &[u8], operations: u64) -> Vec<u8> {
    let head = [&[END][..], &operations.to_be_bytes()].concat();
    let digest = sha2::Sha256::digest([records, &head].concat());
    [records, &head, &digest].concat()
}

fn operation(participant: u8, step: &str, kind: Kind, fields: &[(Role, bool, &[u8])]) -> Owned {
    let own = |&(role, is_output, bytes): &(Role, bool, &[u8])| (role, is_output, bytes.to_vec());
    (participant, step.to_owned(), kind, fields.iter().map(own).collect())
}

/// A short trace with every kind of record.
fn sample() -> (Vec<u8>, Vec<Owned>) {
    let mut writer = TraceWriter::new();
    writer.participant("Alice", false).unwrap();
    let operations = [
        operation(0, "", Kind::Fresh, &[(Role::Value, true, b"value")]),
        operation(0, "HS-I1", Kind::Sha256, &[(Role::Context, false, b""), (Role::Digest, true, &[9; 130])]),
        operation(1, "HS-I1", Kind::Refused, &[]),
        operation(1, "DR-E0", Kind::Given, &[(Role::Value, true, b"x")]),
        operation(0, "HS-I1", Kind::Refused, &[]),
    ];
    for (at, operation) in operations.iter().enumerate() {
        if at == 2 {
            writer.participant("relay", true).unwrap();
        }
        write(&mut writer, operation);
    }
    (complete(&writer), operations.to_vec())
}

/// Where the records of [`sample`] end, without the last, computed from the format's description.
fn boundaries() -> Vec<usize> {
    let (head, label, name) = (5, 3 + 6, 3 + 6);
    let records = [name, head + 2 + 5, label + head + 2 + 3 + 130, name, head, label + head + 3, head];
    let mut end = MAGIC.len();
    core::iter::once(end)
        .chain(records.map(|len| {
            end += len;
            end
        }))
        .collect()
}

#[test]
fn trace_is_read_as_it_was_written() {
    let (bytes, operations) = sample();
    let (participants, read) = read(&bytes).unwrap();
    assert_eq!(read, operations);
    let alice = Participant { name: "Alice".to_owned(), is_server: false };
    let relay = Participant { name: "relay".to_owned(), is_server: true };
    assert_eq!(participants, [alice, relay]);
    assert_eq!(fuzz::trace_reader(&bytes).unwrap(), 5);
}

/// Follows the module's description of the format, byte by byte.
#[test]
fn bytes_are_those_of_the_described_format() {
    let mut writer = TraceWriter::new();
    writer.participant("A", false).unwrap();
    writer.participant("é", true).unwrap();
    write(
        &mut writer,
        &operation(0, "S", Kind::Sha256, &[(Role::Context, false, &[7; 300]), (Role::Digest, true, b"d")]),
    );
    write(&mut writer, &operation(1, "S", Kind::Refused, &[]));
    write(&mut writer, &operation(1, "", Kind::Refused, &[]));
    let expected: &[&[u8]] = &[
        b"noescrow trace",
        &[3],
        &[0x80, 0, 0, 1, b'A'],
        &[0x80, 1, 1, 2, 0xC3, 0xA9],
        &[0x81, 0, 1, 1, b'S'],
        &[14, 0, 0, 1, 2],
        &[16, 0xAC, 0x02],
        &[7; 300],
        &[0x80 | 18, 1, b'd'],
        &[18, 1, 0, 1, 0],
        &[18, 1, 0, 0, 0],
    ];
    assert_eq!(complete(&writer), ended(&expected.concat(), 3));
}

/// The reader says how much it read: all records that are whole.
#[test]
fn truncated_trace_is_detected_at_every_byte() {
    let (bytes, operations) = sample();
    let boundaries = boundaries();
    for end in 0..bytes.len() {
        let cut = &bytes[..end];
        let Err(TraceError::EndsEarly { operations: count, offset }) = read(cut) else { panic!("{end}") };
        let whole = boundaries.iter().rev().find(|boundary| **boundary <= end).copied().unwrap_or_default();
        assert_eq!(offset, whole as u64, "{end}");
        // What was read before is that of the complete trace.
        let mut visited = 0;
        let visit = |operation: &Operation<'_>| {
            assert_eq!(operation.kind, operations[visited].2);
            visited += 1;
        };
        if let Ok(reader) = TraceReader::new(cut) {
            reader.for_each(visit).unwrap_err();
        }
        assert_eq!(visited as u64, count);
        assert_eq!(fuzz::trace_reader(cut).is_ok(), boundaries.contains(&end), "{end}");
    }
    assert_eq!(read(&bytes).unwrap().1, operations);
    assert_eq!(bytes.len(), boundaries.last().unwrap() + 41);
}

#[test]
fn changed_byte_is_refused() {
    let (bytes, _) = sample();
    for at in 0..bytes.len() {
        for mask in 1..=u8::MAX {
            let mut changed = bytes.clone();
            changed[at] ^= mask;
            assert!(read(&changed).is_err(), "{at} {mask}");
        }
    }
}

/// Each altered trace consists of records that a reader without the digest would accept.
#[test]
fn removed_repeated_moved_or_appended_records_are_refused() {
    let (bytes, _) = sample();
    let boundaries = boundaries();
    let records = *boundaries.last().unwrap();
    let (before, end) = bytes.split_at(records);
    let [a, b, c] = *boundaries.last_chunk().unwrap();
    let (second_last, last) = (&before[a..b], &before[b..c]);
    let other = {
        let mut writer = TraceWriter::new();
        writer.participant("Alice", false).unwrap();
        write(&mut writer, &operation(0, "", Kind::Refused, &[]));
        complete(&writer)
    };
    let with_end = |records: &[&[u8]]| [&records.concat(), end].concat();
    for (what, altered, reason) in [
        ("removed", with_end(&[&before[..b]]), "an end that does not match what comes before it"),
        ("repeated", with_end(&[before, last]), "an end that does not match what comes before it"),
        ("moved", with_end(&[&before[..a], last, second_last]), ""),
        ("two traces", [&bytes[..], &other].concat(), "bytes after the end"),
        ("a record after the end", [&bytes[..], last].concat(), "bytes after the end"),
        ("two ends", [&bytes[..], end].concat(), "bytes after the end"),
        (
            "the end of another trace",
            [before, &other[other.len() - 41..]].concat(),
            "an end that does not match what comes before it",
        ),
        ("another count", ended(before, 4), "an end that does not match what comes before it"),
        ("no records", with_end(&[&before[..boundaries[0]]]), "an end that does not match what comes before it"),
    ] {
        match read(&altered) {
            Err(TraceError::Malformed { what: found, .. }) => {
                assert!(reason.is_empty() || found == reason, "{what}: {found}")
            }
            read => panic!("{what}: {read:?}"),
        }
    }
    // Control: the end that is right for what was removed and repeated, computed from the format's description.
    read(&ended(&before[..b], 4)).unwrap();
    read(&ended(&[before, last].concat(), 6)).unwrap();
    read(&ended(before, 5)).unwrap();
}

/// The beginning of a trace, one participant, then `records`.
fn trace(records: &[&[u8]]) -> Vec<u8> {
    [MAGIC, &[PARTICIPANT, 0, 0, 1, b'A'], &records.concat()].concat()
}

const REFUSED: &[u8] = &[18, 0, 0, 0, 0];

fn label(number: u16, name: &[u8]) -> Vec<u8> {
    [&[LABEL][..], &number.to_be_bytes(), &[u8::try_from(name.len()).unwrap()], name].concat()
}

#[test]
fn other_encodings_are_refused_each_with_its_reason() {
    let (first, again) = (label(1, b"S"), [18, 0, 0, 1, 0]);
    let other = label(2, b"T");
    let second = label(2, b"S");
    let cases: &[(&[&[u8]], &str)] = &[
        (&[&[PARTICIPANT, 0, 0, 0]], "a participant out of order"),
        (&[&[PARTICIPANT, 2, 0, 0]], "a participant out of order"),
        (&[&[PARTICIPANT, 1, 2, 0]], "a participant out of order"),
        (&[&[PARTICIPANT, 1, 0, 1, 0xFF]], "a name that is not text"),
        (&[&[0, 0, 0, 0, 0]], "an unknown kind"),
        (&[&[23, 0, 0, 0, 0]], "an unknown kind"),
        (&[&[0x83]], "an unknown kind"),
        (&[&[END], &[0; 40]], "an end that does not match what comes before it"),
        (&[&[18, 1, 0, 0, 0]], "an unknown participant"),
        (&[&[18, 0, 0, 1, 0]], "an unknown step"),
        (&[&first, &again, &first, &again], "a label out of order, empty or known"),
        (&[&first, &again, &second, &[18, 0, 0, 2, 0]], "a label out of order, empty or known"),
        (&[&other, &[18, 0, 0, 2, 0]], "a label out of order, empty or known"),
        (&[&label(1, b""), &again], "a label out of order, empty or known"),
        // A label that is not that of the next operation.
        (&[&first, REFUSED], "a label of another step"),
        (&[&first, &other, &[18, 0, 0, 2, 0]], "an unknown kind"),
        (&[&first, &[PARTICIPANT, 1, 0, 0], &again], "an unknown kind"),
        (&[&[1, 0, 0, 0, 1, 0, 0]], "an unknown role"),
        (&[&[1, 0, 0, 0, 1, 29, 0]], "an unknown role"),
        // Lengths: a superfluous zero, one too large, six bytes.
        (&[&[1, 0, 0, 0, 1, 0x81, 0x80, 0]], "a length beyond its bound"),
        (&[&[18, 0, 0, 0, 0x80, 0]], "a length beyond its bound"),
        (&[&[1, 0, 0, 0, 1, 0x81, 0x81, 0x80, 0x80, 0x80, 5]], "a length beyond its bound"),
        (&[&[1, 0, 0, 0, 1, 0x81, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F]], "a length beyond its bound"),
        (&[&[1, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 4]], "more fields than an operation has"),
    ];
    for (records, reason) in cases {
        let bytes = trace(records);
        match read(&bytes) {
            Err(TraceError::Malformed { what, offset }) => {
                assert_eq!(what, *reason, "{records:?}");
                // The offset is that of a record: everything before it can be read.
                fuzz::trace_reader(&bytes[..usize::try_from(offset).unwrap()]).unwrap();
            }
            other => panic!("{records:?}: {other:?}"),
        }
    }
    // Control: the correct encoding of each is read.
    let right: &[&[u8]] = &[&[PARTICIPANT, 1, 1, 0], &first, &again, &other, &[18, 1, 0, 2, 0], &again, REFUSED];
    assert_eq!(read(&ended(&trace(right), 4)).unwrap().1.len(), 4);
    for beginning in [&b""[..], b"noescrow trac", b"noescrow trace\x02", b"noescrow trace\x04", b"noescrow_trace\x03"] {
        assert!(TraceReader::new(beginning).is_err(), "{beginning:?}");
    }
}

#[test]
fn number_of_fields_is_bounded() {
    let of = |fields: usize| {
        let mut writer = TraceWriter::new();
        writer.participant("A", false).unwrap();
        let parts: Vec<(Role, bool, &[u8])> = vec![(Role::Context, false, b"part"); fields];
        write(&mut writer, &operation(0, "", Kind::Sha256, &parts));
        read(&complete(&writer)).map(|(_, operations)| operations[0].3.len())
    };
    let most = usize::try_from(MAX_FIELDS).unwrap();
    assert_eq!(of(most).unwrap(), most);
    assert!(matches!(of(most + 1), Err(TraceError::Malformed { what: "more fields than an operation has", .. })));
}

#[test]
fn steps_beyond_the_bound_have_no_number() {
    let mut writer = TraceWriter::new();
    writer.participant("A", false).unwrap();
    let labels: Vec<_> = (0..=MAX_STEPS).map(|at| std::format!("step {at}")).collect();
    for label in &labels {
        write(&mut writer, &operation(0, label, Kind::Refused, &[]));
    }
    let (_, operations) = read(&complete(&writer)).unwrap();
    let known = operations.iter().filter(|(_, step, ..)| !step.is_empty()).count();
    assert_eq!((known, operations.len()), (MAX_STEPS, MAX_STEPS + 1));
    let number = u16::try_from(MAX_STEPS + 1).unwrap();
    let [high, low] = number.to_be_bytes();
    let beyond = [&writer.buffer[..], &label(number, b"beyond"), &[18, 0, high, low, 0]].concat();
    assert!(matches!(read(&beyond), Err(TraceError::Malformed { .. })));
}

#[test]
fn participants_are_bounded_and_names_cut_between_characters() {
    let mut writer = TraceWriter::new();
    let name = "é".repeat(200);
    for number in 0..=u8::MAX {
        assert_eq!(writer.participant(&name, false), Some(number));
    }
    assert_eq!(writer.participant(&name, false), None);
    let steps = [name.clone(), std::format!("{name}, another with the same beginning")];
    for step in &steps {
        write(&mut writer, &operation(255, step, Kind::Refused, &[]));
    }
    let (participants, operations) = read(&complete(&writer)).unwrap();
    assert_eq!(participants.len(), 256);
    assert_eq!(participants[0].name, "é".repeat(127));
    assert!(operations.iter().all(|(_, step, ..)| *step == participants[0].name));
    fuzz::trace_reader(&writer.buffer).unwrap();
}

#[test]
fn claimed_length_of_a_gibibyte_is_not_allocated() {
    let gibibyte = [0x80, 0x80, 0x80, 0x80, 0x04];
    for there in [0, 1, 1000] {
        let head = [&[1, 0, 0, 0, 1, 0x81][..], &gibibyte, &vec![7; there]].concat();
        let bytes = trace(&[&head]);
        let mut reader = TraceReader::new(&bytes[..]).unwrap();
        assert_eq!(reader.first().unwrap(), PARTICIPANT);
        reader.read_participant().unwrap();
        let first = reader.first().unwrap();
        let error = reader.read_operation(first).map(drop).unwrap_err();
        assert!(matches!(error, TraceError::EndsEarly { .. }));
        assert!(reader.body.capacity() <= 4 * usize::try_from(READ_AHEAD).unwrap(), "{}", reader.body.capacity());
    }
    // The same for a count of fields that are missing.
    let head = [&[1, 0, 0, 0][..], &gibibyte].concat();
    let bytes = trace(&[&head]);
    let mut reader = TraceReader::new(&bytes[..]).unwrap();
    reader.first().unwrap();
    reader.read_participant().unwrap();
    let first = reader.first().unwrap();
    reader.read_operation(first).map(drop).unwrap_err();
    assert!(reader.layout.capacity() < 1000 && reader.body.capacity() <= 1 << 18);
}

/// Returns one byte at a time and is interrupted before each, as sockets and pipes are.
struct Interrupted<'a>(&'a [u8], bool);

impl Read for Interrupted<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.1 = !self.1;
        if self.1 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        match (self.0.split_first(), out.first_mut()) {
            (Some((byte, rest)), Some(out)) => {
                (*out, self.0) = (*byte, rest);
                Ok(1)
            }
            _ => Ok(0),
        }
    }
}

#[test]
fn interrupted_reader_gives_the_same_trace() {
    let (bytes, operations) = sample();
    let mut count = 0;
    let participants = TraceReader::new(Interrupted(&bytes, false)).unwrap().for_each(|_| count += 1).unwrap();
    assert_eq!((count, participants.len()), (operations.len(), 2));
}

fn any_trace() -> impl Strategy<Value = (Vec<u8>, Vec<Owned>)> {
    let value = prop_oneof![8 => 0..40usize, 1 => 120..140usize, 1 => 16_380..16_390usize]
        .prop_flat_map(|len| (any::<u8>(), Just(len)).prop_map(|(byte, len)| vec![byte; len]));
    let field = (prop::sample::select(&Role::ALL[..]), any::<bool>(), value);
    let step = prop::sample::select(vec!["", "HS-I1", "HS-I2", "DR-D8"]).prop_map(str::to_owned);
    let fields =
        prop_oneof![9 => prop::collection::vec(field.clone(), 0..8), 1 => prop::collection::vec(field, 250..260)];
    let operation = (0..4u8, step, prop::sample::select(&Kind::ALL[..]), fields);
    prop::collection::vec(operation, 0..12).prop_map(|operations| {
        let mut writer = TraceWriter::new();
        for (name, is_server) in [("Alice", false), ("Bob", false), ("relay", true), ("", false)] {
            writer.participant(name, is_server).unwrap();
        }
        operations.iter().for_each(|operation| write(&mut writer, operation));
        (complete(&writer), operations)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_operations_are_read_as_they_were_written((bytes, operations) in any_trace()) {
        prop_assert_eq!(read(&bytes).unwrap().1, operations);
        fuzz::trace_reader(&bytes).unwrap();
    }

    #[test]
    fn readable_bytes_have_one_encoding(
        (complete, _) in any_trace(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        tail in prop::collection::vec(any::<u8>(), 0..12),
    ) {
        // Without the end, which no edited trace has.
        let mut bytes = complete[..complete.len() - END_LEN].to_vec();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.extend(tail);
        // Panics if writing what was read gives other bytes.
        let _ = fuzz::trace_reader(&bytes);
    }
}
