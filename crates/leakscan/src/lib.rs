// SPDX-License-Identifier: MIT OR Apache-2.0
#![doc = include_str!("../README.md")]
//!
//! # Modules
//! In the order in which data flows:
//!
//! ```text
//! encoding.rs         the encodings
//! forms/              the charsets and other forms in which a text is searched for
//! index/              the values that are searched for, the index over them, and look-ups in it
//! sources/            evidence: bytes, files, directories, readers, the memory of a process, captures of traffic
//! blocks.rs           cuts a source into blocks
//! scan.rs             searches bytes and, recursively, what is decoded from them
//! layers.rs           the bytes of a source and the content of each compressed stream, searched block by block
//! prefilter.rs        the places in a block that decoders have to look at (simd.rs, byte_class.rs)
//! false_positives.rs  random matches, rejected before they cost work
//! text/, decode/      text: finds the encoded runs, decodes them
//! arrays/             arrays of integers in binary data (collected.rs: decoded runs, handed on together)
//! containers/         compressed streams and HTTP chunks: recognises them, decodes them
//! network/            connections of HTTP and WebSocket: puts their messages together (messages.rs: searches these)
//! pages/              pages of databases: puts their values together, decompresses them (values.rs: their sink)
//! sink.rs             where decoders report what they decoded, to be searched by scan.rs (pool.rs: their buffers)
//! omissions.rs        what was not searched, kept back until it is known whether another copy of it was
//! records.rs          the hits of one value, merged
//! findings.rs         hits and statistics (chain.rs: the nested encodings of a hit)
//! printable.rs        names from the evidence, as text that is safe to show
//! coverage.rs         the fragments of values that occur somewhere
//! digests.rs          digests of values, for servers that keep those
//! encoders.rs         writes the encodings, for controls of a search
//! ```

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should"))]

mod arrays;
mod blocks;
mod byte_class;
mod chain;
mod collected;
mod containers;
mod coverage;
#[doc(hidden)]
pub mod decode;
pub mod digests;
pub mod encoders;
mod encoding;
mod false_positives;
mod findings;
mod forms;
mod index;
mod layers;
mod messages;
mod network;
mod omissions;
mod pages;
mod pool;
mod prefilter;
mod printable;
mod records;
mod scan;
mod simd;
mod sink;
mod sources;
mod text;
mod tokens;
mod values;

pub use chain::MAX_DEPTH;
pub use coverage::Coverage;
pub use encoding::{Encoding, Encodings};
pub use findings::{Findings, HITS_PER_VALUE, Hit, NAMED_OMISSIONS, Statistics};
pub use forms::Form;
pub use index::needles::{DENSE, FRAGMENT, Index, LONG_FRAGMENT, Needles, TooManyNeedles};
pub use index::windows::is_distinctive;
pub use printable::printable;
pub use scan::SearchLimits;
pub use sources::{Evidence, EvidenceError, LISTED_PIECES, Piece};
pub use tokens::{MAX_TOKEN, MIN_TOKEN};
