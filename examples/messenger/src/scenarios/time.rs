// SPDX-License-Identifier: MIT OR Apache-2.0
//! Thirty days offline.

use crate::oracle::{Kind, Verdict};
use crate::ordinary::AT_SERVER;
use crate::world::{DAY, How, World};
use crate::{Control, Scenario, Setup, When, Without};
use anyhow::Result;

pub(crate) const THIRTY_DAYS: Scenario = Scenario {
    name: "30 days offline",
    when: When::Always,
    run: thirty_days,
    controls: &[Control {
        says: "does not maintain after the return",
        without: Without::Client("maintain"),
        expects: Kind::Lost,
    }],
};

fn thirty_days(world: &mut World, _: &Setup) -> Verdict {
    for client in ["bob", "alice", "carol"] {
        world.register(client)?;
    }
    world.send("alice", "bob", "hello")?;
    world.receive("bob")?;
    world.send("bob", "alice", "I am off for a month")?;
    world.receive("alice")?;
    let mut new_sessions = 0_usize;
    for day in 1..=30 {
        world.ahead = world.ahead.saturating_add(DAY);
        world.receive("alice")?;
        if day % 2 == 0 {
            let run = world.send("alice", "bob", &format!("day {day}"))?;
            new_sessions = new_sessions.saturating_add(run.of("sent").filter(|sent| is_recovery(sent)).count());
        }
    }
    // Deferred messages come an hour later.
    for _ in 0..3 {
        world.receive("bob")?;
        world.ahead = world.ahead.saturating_add(3_601);
    }
    world.send("bob", "alice", "back again")?;
    world.receive("alice")?;
    world.send("alice", "bob", "welcome back")?;
    world.receive("bob")?;
    // Bob's old prekeys expire; strangers can write to him all the same.
    for _ in 31..=40 {
        world.ahead = world.ahead.saturating_add(DAY);
        world.receive("bob")?;
    }
    world.receive("alice")?;
    let can_write = can_write(world)?;
    world.oracle().demand(can_write, Kind::Lost, "a stranger cannot write to Bob any more");
    world.settle(&["alice", "bob", "carol"])?;
    world.check_stock("bob", AT_SERVER)?;
    let figures = world.judge()?;
    Ok(format!("{new_sessions} new sessions after silence; {figures}"))
}

fn can_write(world: &World) -> Result<bool> {
    let run = world.send_as("carol", "bob", "a stranger after forty days", &How::default())?;
    Ok(run.code == Some(0))
}

fn is_recovery(sent: &serde_json::Value) -> bool {
    sent.get("recovers_from").is_some_and(|reason| !reason.is_null())
}
