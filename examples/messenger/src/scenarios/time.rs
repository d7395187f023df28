// SPDX-License-Identifier: MIT OR Apache-2.0
//! Thirty days offline, and what a server deletes of what is older.

use crate::oracle::{Kind, Message, Verdict};
use crate::world::{DAY, World};
use crate::{Control, ONCE, Scenario, Setup, When, Without};

const DOES_NOT_MAINTAIN: Control = Control {
    says: "does not maintain after the return",
    without: Without::Client("maintain"),
    expects: Kind::Lost,
    tries: ONCE,
};

pub(crate) const THIRTY_DAYS: Scenario =
    Scenario { name: "30 days offline", when: When::Always, run: thirty_days, controls: &[DOES_NOT_MAINTAIN] };

fn thirty_days(world: &mut World, _: &Setup) -> Verdict {
    world.register_all(&["bob", "alice", "carol"])?;
    world.say("alice", "bob", "hello")?;
    world.say("bob", "alice", "I am off for a month")?;
    let mut new_sessions = 0_usize;
    for day in 1..=30 {
        world.pass(DAY)?;
        world.receive("alice")?;
        if day % 2 == 0 {
            let run = world.send("alice", "bob", &format!("day {day}"))?;
            new_sessions = new_sessions.saturating_add(run.recoveries().len());
        }
    }
    // The server deletes what it has held for longer than 30 days: nothing of this.
    world.restart_relay()?;
    // Deferred messages come an hour later.
    for _ in 0..3 {
        world.receive("bob")?;
        world.pass(3_601)?;
    }
    world.say("bob", "alice", "back again")?;
    world.say("alice", "bob", "welcome back")?;
    // What waits for more than 30 days is deleted, and no more than that.
    world.send("alice", "carol", "carol never comes")?;
    world.oracle().destroyed([Message::new("alice", "carol", "carol never comes")]);
    // Bob's old prekeys expire; strangers can write to him all the same.
    world.each_day(32, |world| world.receive("bob").map(drop))?;
    world.restart_relay()?;
    world.run("alice", &["maintain"])?;
    world.say("carol", "bob", "a stranger after sixty days")?;
    world.settle(&["alice", "bob", "carol"])?;
    world.check_stock("bob")?;
    let figures = world.judge(20)?;
    Ok(format!("{new_sessions} new sessions after silence; {figures}"))
}
