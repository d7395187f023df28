// SPDX-License-Identifier: MIT OR Apache-2.0
//! The bodies of fuzz targets. Tests run them too.

use super::operation::Role;
use super::recompute::{Recomputed, Recomputer};
use super::trace::{Record, TraceError, TraceReader, TraceWriter};

/// Reads `bytes` as a trace, recomputes every operation, writes the trace again, and compares. Returns the number of
/// operations.
///
/// # Errors
/// [`TraceError`] if `bytes` are not a trace.
///
/// # Panics
/// If a trace has a second encoding, or a ciphertext differs from its plaintext in length.
pub fn trace_reader(bytes: &[u8]) -> Result<u64, TraceError> {
    let mut operations = 0u64;
    let (mut writer, mut recomputer) = (TraceWriter::new(), Recomputer::new());
    TraceReader::new(bytes)?.for_each_record(|record| match record {
        Record::Participant(participant) => drop(writer.participant(&participant.name, participant.is_server)),
        Record::Operation(operation) => {
            operations = operations.saturating_add(1);
            if let Recomputed::Agrees(Some(ciphertext)) = recomputer.recompute(&operation) {
                let plaintext = operation.fields.iter().find(|field| field.role == Role::Plaintext);
                assert_eq!(plaintext.map(|field| field.bytes.len()), Some(ciphertext.len()));
            }
            writer.operation(operation.participant, operation.step, operation.kind, operation.fields.iter().copied());
        }
    })?;
    assert!(writer.buffer == bytes, "a trace with a second encoding");
    Ok(operations)
}
