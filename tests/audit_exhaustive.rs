// SPDX-License-Identifier: MIT OR Apache-2.0
//! All schedules of two devices to a bound, with the audit and a theft at each state. Small by default;
//! `NOESCROW_STATES=1000000 cargo test --release --test audit_exhaustive -- --nocapture` goes on for longer.
#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

#[path = "audit/bent.rs"]
mod bent;

use bent::{Bend, Bent};
use noescrow::audit::{Bounds, Exploration, explore, explore_with};

fn bounds() -> (Bounds, usize) {
    let mut bounds = Bounds::default();
    bounds.threads = std::thread::available_parallelism().map_or(1, usize::from);
    match std::env::var("NOESCROW_STATES").map(|states| states.parse().unwrap()) {
        Ok(states) => {
            (bounds.messages, bounds.losses, bounds.duplicates, bounds.states) = (6, 2, 2, states);
            (bounds, states)
        }
        Err(_) => (bounds, 100),
    }
}

#[test]
fn under_every_schedule_to_the_bound_nothing_secret_follows_and_no_message_of_the_past_falls() {
    let (bounds, states) = bounds();
    let explored: Exploration = explore(bounds).unwrap();
    println!(
        "up to {} messages a side, {} losses, {} duplicates: {explored}",
        bounds.messages, bounds.losses, bounds.duplicates
    );
    assert!(explored.states >= states && explored.refused > 0 && explored.thefts == 2 * (explored.states - 1));
}

#[test]
fn control_each_bent_device_is_convicted() {
    for (bend, claim) in [
        (Bend::KeyFromNothing, "a secret follows"),
        (Bend::ChainThatStands, "memory gives a message of the past"),
        (Bend::MaskedKey, "UnknownOrigin"),
        (Bend::NoTag, "opened"),
    ] {
        let counterexample = explore_with(Bounds::default(), |_, recorder| Bent { bend, recorder }).unwrap_err();
        println!("{bend:?}: {counterexample}");
        assert!(counterexample.claim.contains(claim), "{bend:?}: {counterexample}");
        assert!(!counterexample.schedule.is_empty());
    }
    assert!(explore_with(Bounds::default(), |_, recorder| Bent { bend: Bend::Straight, recorder }).is_ok());
}
