// SPDX-License-Identifier: MIT OR Apache-2.0
//! Audits the server of an end-to-end encrypted product: does it hold a key of the devices that talk through it, a
//! plaintext, or anything from which one follows?
//!
//! The devices of a test run record their operations on a [`Tape`]. What the server then holds (files, database, logs,
//! traffic, memory) is [`Evidence`]. [`Audit::verdict`] reports whether the evidence contains a secret of the devices
//! or a plaintext, in any encoding in which servers leak, and whether one follows from what the evidence contains. It
//! reports secrets found in the evidence with their location, and derivable secrets with their derivation.
//!
//! ```
//! use noescrow_audit::{Audit, Profile, Tape};
//!
//! let tape = Tape::in_memory();
//! let alice = tape.device("Alice")?;
//! alice.given("", b"a key of thirty-two bytes, Alice");
//!
//! let log = b"session restored with key a key of thirty-two bytes, Alice";
//! let verdict = Audit::of(Profile::empty(), &tape)?.server_saw("log", log).verdict();
//! assert!(!verdict.holds());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`docs::guide`] shows how to audit your own server, [`docs::audit`] defines what is computed, and [`docs::profile`]
//! describes the profile of a protocol.
//!
//! # Modules, in the order in which data flows
//!
//! | | module | |
//! |---|---|---|
//! | trace | `operation`, `trace`, `tape` | what a device did, as bytes: written by a [`Track`], read by a [`TraceReader`] |
//! | | `recent` | long associated data, which a trace holds once and then refers to |
//! | | `recompute` | recomputes each operation with other implementations |
//! | profile | `profile` | what the audit must know about one protocol, as data |
//! | ledger | `class`, `well_known`, `value`, `ledger` | every value once, with its class and origin |
//! | clauses | `clauses`, `expanded`, `ingest` | what each operation adds: values, and which value follows from which |
//! | | `substring`, `finish` | what is added once all operations are known |
//! | texts | `rarity`, `idioms`, `texts` | whether a part of a text is a leak, or ordinary language |
//! | search | `options`, `finding`, `examined`, `control`, `control_texts`, `public_values`, `digests`, `baseline`, `short_texts`, `search` | finds the values in the evidence |
//! | closure | `closure`, `guessable`, `derivation` | everything that follows from what was found, with the reasons |
//! | verdict | `manifest`, `verdict`, `examination`, `audit` | puts it together |
//! | | `secrecy_matrix`, `compromise` | what is exposed if a device is stolen as well |
//! | report | `report` | HTML, SVG, PNG and text |
//!
//! No module imports one that imports it, directly or through others. [`engine`] exports the parts for programs that
//! judge many runs.
//!
//! # What the audit trusts
//! It trusts that the devices performed no operation on their secrets except the recorded ones, and that the evidence
//! is everything that the server holds. It does not trust the recorded outputs: it recomputes each with other
//! implementations. A secret without an origin is a finding, so that an operation that was not recorded shows where its
//! result is used.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should"))]

mod operation;
mod recent;
mod tape;
mod trace;

mod recompute;

mod class;
mod profile;
mod well_known;

mod ledger;
mod value;

mod clauses;
mod expanded;
mod finish;
mod ingest;
mod substring;

mod idioms;
mod rarity;
mod texts;

mod baseline;
mod control;
mod control_texts;
mod digests;
mod examined;
mod finding;
mod options;
mod public_values;
mod search;
mod short_texts;

mod closure;
mod derivation;
mod guessable;

mod audit;
mod examination;
mod manifest;
mod verdict;

mod compromise;
mod secrecy_matrix;

mod report;

pub mod docs;
pub mod engine;
#[doc(hidden)]
pub mod fuzz;

pub use audit::Audit;
#[doc(hidden)]
pub use closure::closure_of_chain;
pub use compromise::Thief;
pub use examination::Examination;
pub use examined::Examined;
pub use finding::{DerivationStep, EvidencePlace, Finding, FindingKind};
#[doc(hidden)]
pub use leakscan::decode;
pub use leakscan::{
    DENSE, Encoding, Encodings, Evidence, EvidenceError, FRAGMENT, Findings, Form, HITS_PER_VALUE, Hit, Index,
    LONG_FRAGMENT, MAX_DEPTH, NAMED_OMISSIONS, Needles, SearchLimits, Statistics, TooManyNeedles,
};
pub use manifest::{Manifest, Piece};
pub use operation::{Field, Kind, Operation, Role};
pub use profile::{Profile, ProfileError};
pub use secrecy_matrix::{Cell, Healing, MatrixRow, SecrecyMatrix, Theft};
pub use tape::{Sealed, Tape, TooManyParticipants, Track};
pub use trace::{Participant, TraceError, TraceReader};
pub use verdict::{MAX_FINDINGS, NOT_SHOWN, Outcome, Verdict};
