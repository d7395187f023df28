// SPDX-License-Identifier: MIT OR Apache-2.0
//! A simulator of two devices with a hostile relay between them, and a reference model that predicts what must happen
//! to every message.
//!
//! Property tests, fuzz targets, exhaustive exploration and the audit share one language of events: handshakes,
//! sending, delivery, loss, tampering, storing, and every move of a hostile relay. A schedule is a list of [`Event`]s,
//! and every byte string is a schedule. [`Simulation`] holds two [`Endpoint`]s, the messages in transit between them,
//! and a [`Party`] for each endpoint, which does the specification's bookkeeping without keys. It also holds a
//! [`HandshakeSim`]: the two devices, a relay that may do anything with their messages, and further handshakes. [`run`]
//! checks after every event that
//! - each message that must open opened once, with exactly the bytes that were sent;
//! - each message that must be refused was refused with the expected error, and left the state as it was, byte for
//!   byte;
//! - the number of skipped keys is the expected one;
//! - each device accepted the bundles and first messages that it must accept and refused all others, and every
//!   resulting conversation works in both directions;
//! - the newest snapshot restores to the same state, and an older or damaged one is refused.
//!
//! # Modules
//! From the leaves up; a module imports only from modules above it.
//! - `side`: the two sides of a conversation, and the three parties
//! - `served_bundle`: the bundles that a relay serves, honest or not
//! - `event`: [`Event`] and [`Opening`], with their encodings
//! - `violation`: the claims, and which one failed
//! - `endpoint`: what a simulation needs of a session
//! - `model`, `prekey_model`: the reference models of a conversation and of a device's prekeys
//! - `handshake_sim`: devices, relay, and their handshakes
//! - `simulation`: a conversation in an honest network; `hostile`: the events of an attacker; `setup`: its beginning
//! - `schedule`: runs a schedule
//! - [`explore`]: every schedule up to a bound, with the audit as the oracle
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
