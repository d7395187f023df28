// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Triple Ratchet (Double Ratchet rev 4), one layer per file: `chain`, `root`, `header`, `skipped` and `double` are
//! the Double Ratchet with header encryption (§3, §4), `braid` and `sparse` are the Sparse Post-Quantum Ratchet (§5),
//! and `triple` joins them (§6).

pub(crate) mod braid;
pub(crate) mod chain;
pub(crate) mod double;
pub(crate) mod header;
pub(crate) mod key_pair;
pub(crate) mod root;
pub(crate) mod skipped;
pub(crate) mod sparse;
mod stored;
pub(crate) mod triple;
