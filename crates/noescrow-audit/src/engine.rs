// SPDX-License-Identifier: MIT OR Apache-2.0
//! The parts of an audit, for programs that judge many runs step by step, such as an exhaustive exploration.
//!
//! A [`Ledger`] ingests operations, each with the result of [recomputing](Recomputer) it, and is then
//! [finished](Ledger::finish). A [`Closure`] has everything that follows from some of its values. [`Substrings`] finds
//! its secrets within longer bytes.
//!
//! [`Audit`](crate::Audit) does all this for one run. Most users need nothing from this module.

pub use super::class::Class;
pub use super::clauses::{Clauses, Rule, Watches};
pub use super::closure::{Closure, Known};
pub use super::ledger::{Flaw, Ledger, Memory, Message};
pub use super::recompute::{Recomputed, Recomputer, recompute};
pub use super::substring::Substrings;
pub use super::value::{Id, NameInProfile, ParticipantId, Value, What};
