// SPDX-License-Identifier: MIT OR Apache-2.0
//! A store that fails, lies, loses, or ends the process, at each commit of a send and of a receive.

use crate::oracle::{Kind, Verdict};
use crate::world::{How, Run, World};
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

/// Counts of faults.
#[derive(Clone, Copy, Default)]
struct Faults {
    /// Those of a commit that a run without faults has.
    due: usize,
    come: usize,
}

impl Faults {
    fn count(&mut self, is_due: bool, run: &Run) {
        self.due = self.due.saturating_add(usize::from(is_due));
        self.come = self.come.saturating_add(usize::from(is_due && run.has_failed_on_demand()));
    }
}

fn stores(world: &mut World, _: &Setup) -> Verdict {
    let mut faults = Faults::default();
    world.register_all(&["bob", "carol", "alice"])?;
    world.greet("alice", "bob", "hello")?;
    // A first message, which begins a session, and then messages of a session.
    for (who, text) in [("carol", "first"), ("alice", "later")] {
        let (sending, receiving) = exchange(world, who, text, None)?;
        for fault in FAULTS {
            for k in 1..=sending.max(receiving) {
                if world.is_caught() {
                    return world.judge(0);
                }
                let who = if who == "carol" { format!("{who}-{fault}-{k}") } else { who.to_owned() };
                if who != "alice" {
                    world.register(&who)?;
                }
                let one = Fault { name: format!("{fault}:{k}"), in_send: k <= sending, in_receive: k <= receiving };
                exchange(world, &who, &format!("{text}, {fault} {k}"), Some((one, &mut faults)))?;
            }
        }
    }
    world.settle(&["alice", "bob"])?;
    let Faults { due, come } = faults;
    // Some runs have a commit less: what a message is answered with, or which prekeys are due, depends on the time.
    world.demand(come >= due - due / 10, Kind::Silent, format!("only {come} of {due} faults have come"));
    let sent = world.oracle().due_count();
    world.demand(sent >= come / 2, Kind::Lost, format!("{sent} messages with {come} faults"));
    let figures = world.judge(sent)?;
    Ok(format!("{come} faults; {figures}"))
}

/// A fault of a commit, and whether a send and a receive usually have that commit.
struct Fault {
    name: String,
    in_send: bool,
    in_receive: bool,
}

/// One writes, with a fault, and Bob receives it, with the same fault. Returns the number of commits of each.
fn exchange(world: &World, from: &str, text: &str, fault: Option<(Fault, &mut Faults)>) -> Result<(i64, i64)> {
    let how = How { fault: fault.as_ref().map(|(fault, _)| fault.name.as_str()), ..How::default() };
    let before = world.saved(from)?.generation;
    let send = world.send_as(from, "bob", text, &how)?;
    let sending = world.saved(from)?.generation.saturating_sub(before);
    world.note_outbox(from, "bob")?;
    // The user tries again, with another message.
    world.send(from, "bob", &format!("{text}, again"))?;
    let before = world.saved("bob")?.generation;
    let receive = world.run_as("bob", &["receive"], &how)?;
    let receiving = world.saved("bob")?.generation.saturating_sub(before);
    world.receive("bob")?;
    if let Some((fault, faults)) = fault {
        faults.count(fault.in_send, &send);
        faults.count(fault.in_receive, &receive);
    }
    Ok((sending, receiving))
}
