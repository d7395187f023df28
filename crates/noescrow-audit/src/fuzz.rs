// SPDX-License-Identifier: MIT OR Apache-2.0
//! The bodies of fuzz targets. Tests run them too.

use super::operation::Role;
use super::recompute::{Recomputed, Recomputer};
use super::trace::{END_LEN as END_RECORD_LEN, Record, TraceError, TraceReader, TraceWriter};

/// Bytes of the record that ends a complete trace.
pub const END_LEN: usize = END_RECORD_LEN;

/// Reads `bytes` as a trace, recomputes every operation, writes the trace again, and compares. Returns the number of
/// operations. A trace may lack its end here, because no edit of a complete one is a trace, but it must not end within
/// a record.
///
/// # Errors
/// [`TraceError`] if `bytes` are not a trace.
///
/// # Panics
/// If a trace has a second encoding, or a ciphertext differs from its plaintext in length.
pub fn trace_reader(bytes: &[u8]) -> Result<u64, TraceError> {
    let mut operations = 0u64;
    let (mut writer, mut recomputer) = (TraceWriter::new(), Recomputer::new());
    let mut end = None;
    let read = TraceReader::new(bytes)?.for_each_record(|record| match record {
        Record::Participant(participant) => drop(writer.participant(&participant.name, participant.is_server)),
        Record::Operation(operation) => {
            operations = operations.saturating_add(1);
            if let Recomputed::Agrees(Some(ciphertext)) = recomputer.recompute(&operation) {
                let plaintext = operation.fields.iter().find(|field| field.role == Role::Plaintext);
                assert_eq!(plaintext.map(|field| field.bytes.len()), Some(ciphertext.len()));
            }
            writer.operation(operation.participant, operation.step, operation.kind, operation.fields.iter().copied());
        }
        Record::End => end = Some(writer.end()),
    });
    match read {
        Err(TraceError::EndsEarly { offset, .. }) if usize::try_from(offset) == Ok(bytes.len()) => {}
        read => drop(read?),
    }
    assert!(
        writer.buffer.into_iter().chain(end.into_iter().flatten()).eq(bytes.iter().copied()),
        "a trace with a second encoding"
    );
    Ok(operations)
}
