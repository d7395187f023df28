// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`EvidenceError`]: a source cannot be searched.

use super::super::printable::printable;
use core::fmt;
use std::io;

/// A source cannot be searched. A part of a source that cannot be read (a file of a directory) is no error but an
/// omission.
#[derive(Debug)]
#[non_exhaustive]
pub enum EvidenceError {
    /// A source cannot be read.
    Io {
        /// The name of the source.
        source: String,
        /// The reason.
        error: io::Error,
    },
    /// A process ended, or was replaced, before its memory had been read.
    ProcessEnded {
        /// The name of the source.
        source: String,
    },
    /// A source is not a capture, or a damaged one.
    Capture {
        /// The name of the source.
        source: String,
        /// What is wrong with it.
        what: &'static str,
    },
}

impl fmt::Display for EvidenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { source, error } => write!(f, "cannot read {}: {error}", printable(source)),
            Self::ProcessEnded { source } => write!(f, "{} ended while its memory was read", printable(source)),
            Self::Capture { source, what } => write!(f, "{} is not a capture, or damaged: {what}", printable(source)),
        }
    }
}

impl core::error::Error for EvidenceError {}
