// SPDX-License-Identifier: MIT OR Apache-2.0
//! Evidence: what a server holds, as bytes, searched for values and for parts of them in the encodings in which servers
//! leak.
//!
//! ```text
//! encoding.rs     the encodings                       source.rs   bytes, files, directories, readers
//! needles.rs      what is searched for, the index     memory.rs   the memory of a process
//! windows.rs      windows of six bytes                pcap.rs     captures of traffic, flows.rs their streams
//! probe.rs        where bytes meet the index          pages.rs    its tables, in huge pages and fetched ahead
//! filter.rs, waiting.rs  what is looked up at all     vectors.rs  the processor's vector units
//! scan.rs         blocks, layer by layer              signs.rs    where decoders have something to look at
//! hits.rs         what was found                      text.rs, escaped.rs, decode/   text that may be within them
//! runs.rs         decoded runs, examined together     formats.rs, compressed.rs      streams that may be
//! chance.rs       what is neither, though it begins so
//! ```
//!
//! # What is found
//! Every fragment of 16 bytes of a secret's first 4096, and every one of 512 bytes behind them; of a public value its first
//! 16 bytes and what follows; whatever its place, in every source, in each [`Encoding`] and each nesting of up to
//! [`MAX_DEPTH`]. A fragment with fewer than five distinct values (zero padding) is not searched for and is no hit.
//!
//! # What is found by chance
//! A hit is 16 bytes that are the same: no hash, no filter decides. In `n` random bytes, some fragment of `s` secrets of 32
//! bytes is met with a probability of `n * s * 17 * 2 / 2^128` (17 fragments, in two directions): for a terabyte and a
//! million secrets 1.1e-19. Decoders multiply `n` by no more than 8.
//!
//! # What is not
//! Values split by other bytes (database pages, a hexdump's columns), masked by an operation, encrypted, or in an encoding
//! that is not listed. [`Statistics`] names what could not be read and where a bound was reached.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should"))]

mod chance;
mod compressed;
#[doc(hidden)]
pub mod decode;
pub mod encoders;
mod encoding;
mod escaped;
mod filter;
mod flows;
mod formats;
mod hits;
#[cfg(target_os = "linux")]
mod memory;
mod needles;
mod pages;
mod pcap;
mod probe;
mod runs;
mod scan;
mod signs;
mod source;
mod text;
mod vectors;
mod waiting;
mod windows;

pub use encoding::{Encoding, Encodings};
pub use hits::{Findings, HITS_PER_VALUE, Hit, MAX_DEPTH, NAMED_OMISSIONS, Statistics};
pub use needles::{DENSE, FRAGMENT, Index, LONG_FRAGMENT, Needles, TooManyNeedles};
pub use scan::Limits;
pub use source::{Evidence, EvidenceError};
pub use windows::is_strong;
