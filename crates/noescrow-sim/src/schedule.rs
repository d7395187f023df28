// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs a schedule: a list of events, or the bytes of a fuzz target.

use super::endpoint::Endpoint;
use super::event::{Event, Opening};
use super::side::Side;
use super::simulation::{Report, Simulation};
use super::violation::Violation;
use noescrow::primitives::Primitives;
use noescrow::session::Session;
use noescrow::skipped::SkippedKeyStore;
use rand_core::CryptoRng;

/// Applies the events in order, then delivers everything still in transit.
///
/// # Errors
/// The first [`Violation`].
pub fn run<E: Endpoint, R: CryptoRng>(
    simulation: &mut Simulation<E, R>,
    events: impl IntoIterator<Item = Event>,
) -> Result<Report, Violation> {
    let rest = [Side::Alice, Side::Bob].map(|to| Event::DeliverAll { to });
    events.into_iter().try_for_each(|event| simulation.step(event))?;
    rest.into_iter().try_for_each(|event| simulation.apply(event))?;
    Ok(simulation.report())
}

/// The body of a fuzz target: `bytes` contain an opening and a schedule.
///
/// # Errors
/// The first [`Violation`].
pub fn run_bytes<P: Primitives, S: SkippedKeyStore, R: CryptoRng>(
    alice: P,
    bob: P,
    relay: P,
    bytes: &[u8],
    rng: R,
) -> Result<Report, Violation> {
    let (opening, schedule) = match bytes.split_first_chunk() {
        Some((opening, schedule)) => (Opening::decode(*opening), schedule),
        None => (Opening::PLAIN, bytes),
    };
    run(&mut Simulation::<Session<P, S>, R>::new(alice, bob, relay, opening, rng)?, Event::decode_all(schedule))
}
