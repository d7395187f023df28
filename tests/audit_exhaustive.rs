// SPDX-License-Identifier: MIT OR Apache-2.0
//! All schedules of two devices and a hostile relay to a bound, from before the handshake, with the audit and a theft of each
//! device at each state. Small by default;
//! `NOESCROW_STATES=1000000 cargo test --release --test audit_exhaustive -- --nocapture` goes on for longer, and
//! `NOESCROW_BOUNDS=2,2,1,1,1,1,0` says how far: messages of each end, handshakes of Alice's and of the relay's, publications,
//! replacements, losses, duplicates.
#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

#[path = "audit/bent.rs"]
mod bent;

use bent::{Bend, Bent};
use noescrow::audit::{Bounds, Exploration, explore, explore_with};

/// A bound within which there are more than a million states.
const LARGE: [u8; 7] = [2, 2, 1, 1, 1, 1, 0];
/// A bound that is searched in seconds.
const SMALL: [u8; 7] = [1, 2, 1, 1, 1, 0, 0];

/// How far to go, and how many states there must be at the least.
fn bounds() -> (Bounds, usize) {
    let states = std::env::var("NOESCROW_STATES").ok().map(|states| states.parse().unwrap());
    let mut steps = if states.is_some() { LARGE } else { SMALL };
    if let Ok(given) = std::env::var("NOESCROW_BOUNDS") {
        steps = given.split(',').map(|step| step.parse().unwrap()).collect::<Vec<u8>>().try_into().unwrap();
    }
    let mut bounds = Bounds::default();
    bounds.threads = std::thread::available_parallelism().map_or(1, usize::from);
    [bounds.messages, bounds.handshakes, bounds.approaches, bounds.publications, ..] = steps;
    [.., bounds.replacements, bounds.losses, bounds.duplicates] = steps;
    bounds.states = states.unwrap_or(bounds.states);
    (bounds, states.unwrap_or(1_000))
}

#[test]
fn under_every_schedule_to_the_bound_nothing_secret_follows_and_no_message_of_the_past_falls() {
    let (bounds, states) = bounds();
    let explored: Exploration = explore(bounds).unwrap();
    println!("{bounds}: {explored}");
    assert!(explored.states >= states && explored.refused > 0 && explored.thefts == 2 * (explored.states - 1));
    // Nothing that a relay can do was left out.
    for kind in KINDS {
        assert!(explored.kinds.get(kind).is_some_and(|count| *count > 0), "{kind}");
    }
}

/// What is explored at every bound.
const KINDS: [&str; 28] = [
    "body forged",
    "bundle fetched",
    "bundle: expired",
    "bundle: identity of low order",
    "bundle: identity substituted",
    "bundle: kinds of prekeys confused",
    "bundle: one-time prekey of low order",
    "bundle: one-time prekey planted",
    "bundle: one-time prekey withheld",
    "bundle: prekeys under another identity",
    "bundle: signed prekey of low order",
    "bundle: signed prekey planted",
    "first message accepted",
    "first message forged",
    "first message replayed",
    "first message: ephemeral key of low order",
    "handshake begun",
    "header forged",
    "message delivered",
    "message lost",
    "message reflected",
    "message replayed",
    "message sent",
    "prekeys published",
    "signed prekey replaced, the one before deleted",
    "bundle: repeated",
    "handshake begun by the relay under its own identity",
    "message of another conversation",
];

#[test]
fn control_each_bent_device_is_convicted() {
    for (bend, claim) in [
        (Bend::KeyFromNothing, "the relay knows the key of a message that is not its own"),
        (Bend::ChainThatStands, "memory gives a message of the past"),
        (Bend::MaskedKey, "UnknownOrigin"),
        (Bend::NoTag, "opened"),
        (Bend::Believes, "a bundle was taken that must be refused"),
    ] {
        let counterexample = explore_with(Bounds::default(), |_, recorder| Bent { bend, recorder }).unwrap_err();
        println!("{bend:?}: {counterexample}");
        assert!(counterexample.claim.contains(claim), "{bend:?}: {counterexample}");
        assert!(!counterexample.schedule.is_empty());
    }
    assert!(explore_with(Bounds::default(), |_, recorder| Bent { bend: Bend::Straight, recorder }).is_ok());
}
