// SPDX-License-Identifier: MIT OR Apache-2.0
//! All schedules of two devices and a hostile relay up to a bound, from before the handshake, with the audit and a
//! theft of each device at each state. The bounds are small by default. To explore as many states of a larger bound:
//!
//! ```text
//! NOESCROW_STATES=1000000 cargo test --release --test audit_exhaustive -- --nocapture
//! ```
//!
//! `NOESCROW_BOUNDS=2,2,1,1,1,1,0` gives the larger bound.
#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

#[path = "../audit/recorder_fault.rs"]
mod recorder_fault;

use noescrow::hazmat::Intercepted;
use noescrow_sim::explore::{Bounds, Exploration, explore, explore_with};
use recorder_fault::RecorderFault;

/// Messages of each end, handshakes by Alice and by the relay, publications, replacements, losses, duplicates.
type Steps = [u8; 7];

/// Bounds that are explored in seconds: each kind of event occurs within one of them.
const SMALL: [Steps; 4] = [[2, 1, 0, 1, 1, 0, 0], [1, 1, 1, 1, 1, 0, 1], [1, 1, 0, 1, 1, 1, 0], [1, 2, 0, 1, 0, 0, 0]];
/// Bounds within which there are more than a million states.
const LARGE: Steps = [2, 2, 1, 1, 1, 1, 0];

fn bounds(steps: Steps, states: usize) -> Bounds {
    let mut bounds = Bounds::default();
    bounds.threads = std::thread::available_parallelism().map_or(1, usize::from);
    [bounds.messages, bounds.handshakes, bounds.approaches, bounds.publications, ..] = steps;
    [.., bounds.replacements, bounds.losses, bounds.duplicates] = steps;
    bounds.states = states;
    bounds
}

fn explored(bounds: Bounds) -> Exploration {
    let explored = explore(bounds).unwrap();
    println!("{bounds}: {explored}");
    // One theft of each device, at each state except the first.
    assert_eq!(Some(explored.thefts), explored.states.checked_sub(1).and_then(|states| states.checked_mul(2)));
    explored
}

#[test]
fn no_schedule_within_bounds_exposes_secrets_or_past_messages() {
    let small = SMALL.map(|steps| explored(bounds(steps, usize::MAX)));
    assert!(small.iter().all(|explored| explored.is_complete));
    // Every kind of move of the relay occurred.
    for kind in KINDS {
        assert!(small.iter().any(|explored| explored.kinds.get(kind).is_some_and(|count| *count > 0)), "{kind}");
    }
    if let Ok(states) = std::env::var("NOESCROW_STATES") {
        let steps = std::env::var("NOESCROW_BOUNDS").map_or(LARGE, |steps| {
            steps.split(',').map(|step| step.parse().unwrap()).collect::<Vec<u8>>().try_into().unwrap()
        });
        let states = states.parse().unwrap();
        let large = explored(bounds(steps, states));
        assert!(large.states >= states, "the bound has no more than {} states", large.states);
    }
}

/// Every kind of event, and of attempts that must be refused.
const KINDS: [&str; 29] = [
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
    "message delivered, and kept in transit",
    "message lost",
    "message reflected",
    "message replayed",
    "message sent",
    "prekeys published",
    "signed prekey replaced, previous one deleted",
    "bundle: repeated",
    "handshake begun by the relay under its own identity",
    "message of another conversation",
];

#[test]
fn control_each_faulty_device_is_flagged() {
    for (fault, claim) in [
        (RecorderFault::KeyFromConstants, "the relay knows the key of a message that is not its own"),
        (RecorderFault::ConstantChainKeys, "memory exposes a past message"),
        (RecorderFault::MaskedKey, "UnknownOrigin"),
        (RecorderFault::ChecksNoTag, "a first message that must be refused was accepted"),
        (RecorderFault::AcceptsSignatures, "a bundle that must be refused was accepted"),
    ] {
        let counterexample =
            explore_with(Bounds::default(), |_, recorder| Intercepted::over(recorder, fault)).unwrap_err();
        println!("{fault:?}: {counterexample}");
        assert!(counterexample.claim.contains(claim), "{fault:?}: {counterexample}");
        assert!(!counterexample.schedule.is_empty());
    }
    // Controls of the controls: no fault, and a fault in one of the two halves, for which the other half compensates.
    for fault in [RecorderFault::None, RecorderFault::ConstantClassicalChainKey] {
        assert!(explore_with(Bounds::default(), |_, recorder| Intercepted::over(recorder, fault)).is_ok(), "{fault:?}");
    }
}
