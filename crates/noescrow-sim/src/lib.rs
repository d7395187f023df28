// SPDX-License-Identifier: MIT OR Apache-2.0
//! The event language: two devices under any schedule of handshakes, sending, delivery, loss, tampering and storing, and
//! every move of a hostile relay between them; and an oracle that says what must become of every message.
//!
//! Property tests, fuzz targets, exhaustive exploration and the audit share it. A schedule is a list of [`Event`]s, and
//! every byte string is one. [`Simulation`] holds two [`Endpoint`]s, what is under way between them, and a [`Party`] for
//! each: the specification's bookkeeping without a key; and a [`HandshakeSim`] with the two devices, where further handshakes
//! are, and a relay that does with them what it likes. [`run`] checks after every event that
//! - what must open opened, with exactly the bytes that were sent, and once;
//! - what must not was refused, with the error that is due, and left the state as it was, byte for byte;
//! - as many skipped keys are kept as must be;
//! - a device took what it must of bundles and first messages, and refused what it must; and every conversation that came
//!   of them goes both ways;
//! - a snapshot restores to the same state, and an older or damaged one to none.
//!
//! ```
//! use noescrow_sim::{Event, Opening, Simulation, run};
//! use noescrow::{Session, primitives::RustCrypto};
//! # use rand_chacha::rand_core::SeedableRng;
//! # let rng = rand_chacha::ChaCha20Rng::seed_from_u64(0);
//! let mut simulation = Simulation::<Session, _>::new(RustCrypto, RustCrypto, RustCrypto, Opening::PLAIN, rng)?;
//! let report = run(&mut simulation, Event::decode_all(b"any bytes are a schedule"))?;
//! assert_eq!(report.events, 4);
//! # Ok::<(), noescrow_sim::Violation>(())
//! ```
//!
//! # Security
//! For tests only: it keeps every plaintext and every message.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should"))]

mod endpoint;
mod event;
pub mod explore;
mod handshake_sim;
mod hostile;
mod model;
mod prekey_model;
mod schedule;
mod served_bundle;
mod setup;
mod side;
mod simulation;
mod violation;

pub use endpoint::Endpoint;
pub use event::{Event, FROM_BACK, Opening, Tampering, pick};
pub use handshake_sim::{Answer, HandshakeSim, MAX_CONVERSATIONS, Outcome};
pub use model::{Expectation, Label, ModelLimits, Party};
pub use schedule::{run, run_bytes};
pub use served_bundle::{Parts, ServedBundle, ServedDirectory, with_low_order_ephemeral};
pub use side::{PerSide, Side, Who};
pub use simulation::{MAX_BURST, MAX_LENGTH, MAX_MESSAGES, Report, Sent, Simulation};
pub use violation::{Claim, Violation};
