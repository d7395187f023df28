// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a trace could not be read.

use core::fmt;
use std::io;

/// Why a trace could not be read.
#[derive(Debug)]
#[non_exhaustive]
pub enum TraceError {
    /// The reader failed.
    Io(io::Error),
    /// The tape does not hold its trace: it has a writer.
    WrittenElsewhere,
    /// The trace has no end: it lacks what came last. Everything before has been read.
    EndsEarly {
        /// The number of operations that it has whole.
        operations: u64,
        /// The byte at which the last whole record ends.
        offset: u64,
    },
    /// The bytes are not a trace of this version, or damaged.
    Malformed {
        /// What is wrong.
        what: &'static str,
        /// The byte at which the record begins.
        offset: u64,
    },
}

impl fmt::Display for TraceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "cannot read the trace: {error}"),
            Self::WrittenElsewhere => f.write_str("this tape has a writer: read what it wrote with Audit::read"),
            Self::EndsEarly { operations, offset } => {
                write!(
                    f,
                    "the trace ends early, after {operations} operations and {offset} bytes: it has no end record"
                )
            }
            Self::Malformed { what, offset } => write!(f, "not a trace, or damaged: {what} at byte {offset}"),
        }
    }
}

impl core::error::Error for TraceError {}

impl From<io::Error> for TraceError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
