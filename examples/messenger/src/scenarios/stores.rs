// SPDX-License-Identifier: MIT OR Apache-2.0
//! A store that fails, lies, loses, or ends the process, at each commit of a send and of a receive.

use crate::oracle::{Kind, Verdict};
use crate::world::{How, World};
use crate::{Control, Scenario, Setup, When, Without};
use anyhow::Result;

pub(crate) const STORES: Scenario = Scenario {
    name: "store failing or lying at every commit",
    when: When::Always,
    run: stores,
    controls: &[
        Control {
            says: "takes an unknown outcome for success",
            without: Without::Client("settle"),
            expects: Kind::Lost,
        },
        Control { says: "sends before saving", without: Without::Client("save-before-send"), expects: Kind::Lost },
    ],
};

/// The k-th commit fails; reports that its outcome is unknown, after it was done or without; the process ends after it,
/// or before it.
const FAULTS: [&str; 5] = ["fail", "lie", "lost", "abort", "abort-before"];

fn stores(world: &mut World, _: &Setup) -> Verdict {
    world.register("bob")?;
    let mut runs = 0_usize;
    // A first message, which begins a session.
    let commits = first(world, "carol", None)?;
    for fault in FAULTS {
        for k in 1..=commits.0.max(commits.1) {
            if world.is_caught() {
                return world.judge();
            }
            first(world, &format!("carol-{fault}-{k}"), Some((fault, k)))?;
            runs = runs.saturating_add(1);
        }
    }
    // Messages of a session.
    world.register("alice")?;
    first_of(world, "alice", "hello")?;
    let commits = later(world, "counted", None)?;
    for fault in FAULTS {
        for k in 1..=commits.0.max(commits.1) {
            if world.is_caught() {
                return world.judge();
            }
            later(world, &format!("{fault} {k}"), Some((fault, k)))?;
            runs = runs.saturating_add(1);
        }
    }
    world.settle(&["alice", "bob"])?;
    let figures = world.judge()?;
    Ok(format!("{runs} faults in a send and a receive each; {figures}"))
}

fn first_of(world: &World, from: &str, text: &str) -> Result<()> {
    world.send(from, "bob", text)?;
    world.receive("bob")?;
    world.send("bob", from, &format!("{text}, too"))?;
    world.receive(from)?;
    Ok(())
}

/// A stranger writes, with a fault, and Bob receives it, with the same fault. Returns the number of commits of each.
fn first(world: &World, from: &str, fault: Option<(&str, i64)>) -> Result<(i64, i64)> {
    world.register(from)?;
    let commits = exchange(world, from, &format!("first of {from}"), fault)?;
    Ok(commits)
}

fn later(world: &World, text: &str, fault: Option<(&str, i64)>) -> Result<(i64, i64)> {
    exchange(world, "alice", &format!("later, {text}"), fault)
}

fn exchange(world: &World, from: &str, text: &str, fault: Option<(&str, i64)>) -> Result<(i64, i64)> {
    let fault = fault.map(|(fault, k)| format!("{fault}:{k}"));
    let how = How { fault: fault.as_deref(), ..How::default() };
    let before = world.saved(from)?.generation;
    world.send_as(from, "bob", text, &how)?;
    let sending = world.saved(from)?.generation.saturating_sub(before);
    world.note_outbox(from, "bob")?;
    // The user tries again, with another message.
    world.send(from, "bob", &format!("{text}, again"))?;
    let before = world.saved("bob")?.generation;
    world.run_as("bob", &["receive"], &how)?;
    let receiving = world.saved("bob")?.generation.saturating_sub(before);
    world.receive("bob")?;
    Ok((sending, receiving))
}
