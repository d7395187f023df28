// SPDX-License-Identifier: MIT OR Apache-2.0
//! A store that fails, lies, loses, or ends the process, at each commit of a send and of a receive.

use crate::oracle::{Kind, Verdict};
use crate::world::{How, World};
use crate::{Control, ONCE, Scenario, Setup, When, Without};
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
            tries: ONCE,
        },
        Control {
            says: "sends before saving",
            without: Without::Client("save-before-send"),
            expects: Kind::Lost,
            tries: ONCE,
        },
    ],
};

/// The k-th commit fails; reports that its outcome is unknown, after it was done or without; the process ends after it,
/// or before it.
const FAULTS: [&str; 5] = ["fail", "lie", "lost", "abort", "abort-before"];

fn stores(world: &mut World, _: &Setup) -> Verdict {
    world.register("bob")?;
    let mut fired = 0_usize;
    // A first message, which begins a session, and then messages of a session.
    world.register_all(&["carol", "alice"])?;
    world.greet("alice", "bob", "hello")?;
    for (who, text) in [("carol", "first"), ("alice", "later")] {
        let commits = exchange(world, who, text, None)?;
        for fault in FAULTS {
            for k in 1..=commits.0.max(commits.1) {
                if world.is_caught() {
                    return world.judge(0);
                }
                let who = if who == "carol" { format!("{who}-{fault}-{k}") } else { who.to_owned() };
                if who != "alice" {
                    world.register(&who)?;
                }
                let how = (fault, k, commits);
                fired = fired.saturating_add(exchange(world, &who, &format!("{text}, {fault} {k}"), Some(how))?.2);
            }
        }
    }
    world.settle(&["alice", "bob"])?;
    let due = world.oracle().due_count();
    // Each fault has a message after it.
    world.demand(due >= fired / 2, Kind::Lost, format!("{due} messages with {fired} faults"));
    let figures = world.judge(due)?;
    Ok(format!("{fired} faults; {figures}"))
}

/// One writes, with a fault, and Bob receives it, with the same fault. Returns the number of commits of each, and how
/// many faults have come.
fn exchange(
    world: &World,
    from: &str,
    text: &str,
    fault: Option<(&str, i64, (i64, i64, usize))>,
) -> Result<(i64, i64, usize)> {
    let name = fault.map(|(fault, k, _)| format!("{fault}:{k}"));
    let how = How { fault: name.as_deref(), ..How::default() };
    let before = world.saved(from)?.generation;
    let run = world.send_as(from, "bob", text, &how)?;
    let sending = world.saved(from)?.generation.saturating_sub(before);
    let mut fired = usize::from(run.has_failed_as_told());
    // A run has so many commits, or more, because one was repeated.
    let must_come = |commits: i64, run: &crate::world::Run, is_receipt: bool| {
        let is_due = fault.is_some_and(|(_, k, _)| k <= commits);
        let what = format!("\"{text}\": the fault has not come, receiving: {is_receipt}");
        world.demand(!is_due || run.has_failed_as_told() || world.is_control(), Kind::Silent, what);
    };
    let usual = fault.map(|(.., usual)| usual).unwrap_or_default();
    must_come(usual.0, &run, false);
    world.note_outbox(from, "bob")?;
    // The user tries again, with another message.
    world.send(from, "bob", &format!("{text}, again"))?;
    let before = world.saved("bob")?.generation;
    let run = world.run_as("bob", &["receive"], &how)?;
    let receiving = world.saved("bob")?.generation.saturating_sub(before);
    must_come(usual.1, &run, true);
    fired = fired.saturating_add(usize::from(run.has_failed_as_told()));
    world.receive("bob")?;
    Ok((sending, receiving, fired))
}
