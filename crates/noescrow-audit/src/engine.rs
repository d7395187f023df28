// SPDX-License-Identifier: MIT OR Apache-2.0
//! The audit's parts, for programs that judge many runs step by step, such as an exhaustive exploration.
//!
//! A [`Ledger`] takes operations, each [recomputed](recompute), and [finishes](Ledger::finish); a [`Closure`] has all that follows
//! from some of its values; [`Substrings`] finds its secrets within longer bytes.
//!
//! [`Audit`](crate::Audit) does all this for one run. Most users need nothing from here.

pub use super::classes::Class;
pub use super::clauses::{Clauses, Closure, Known, Rule, Watches};
pub use super::ledger::{Flaw, Id, Ledger, Memory, Message, NameInProfile, Value, What, Who};
pub use super::recompute::{Recomputed, recompute};
pub use super::substring::Substrings;
