// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Double Ratchet with header encryption (Double Ratchet rev 4, §3 and §4), one layer a file.

#[cfg_attr(not(test), expect(dead_code, reason = "driven by the Sparse Post-Quantum Ratchet, which comes next"))]
mod braid;
pub(crate) mod chain;
pub(crate) mod double;
pub(crate) mod header;
pub(crate) mod root;
pub(crate) mod skipped;
mod stored;
