// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ML-KEM Braid (rev 1) with ML-KEM-768: two parties repeatedly agree on a fresh key, in chunks that are sent with
//! their messages (spec/protocol.md §7).
//!
//! Both parties hold the same secret at the start. In each epoch one party generates a KEM key pair and the other
//! encapsulates to it; then the roles swap. The key is sent in two parts, and so is the ciphertext. `ct1` needs only
//! the first, short part of the key, so the long part and `ct1` travel at the same time, braided.
//!
//! [`Braid`] processes every message sent and received and outputs each epoch's key once on each side. It does not hide
//! or authenticate its messages: they are sent inside sealed headers, and a message's changes are committed after the
//! message has opened. It does not turn output keys into message keys: the Sparse Post-Quantum Ratchet does. It does
//! not notice silence: without an answer there is no new epoch.
//!
//! Reading order: [`states`] has the diagram; `decapsulator` and `encapsulator` are its two halves; `erasure` divides
//! values into chunks; `authenticator` has the KDFs and MACs; `message` has the encoding.

mod authenticator;
mod decapsulator;
mod encapsulator;
mod epoch;
mod erasure;
pub(crate) mod message;
mod states;
mod stored;
#[cfg(test)]
mod tests;
mod values;

pub(crate) use epoch::{Abandoned, Epoch, EpochKey};
pub(crate) use states::{Braid, Incoming};
