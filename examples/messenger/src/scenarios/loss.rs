// SPDX-License-Identifier: MIT OR Apache-2.0
//! A relay that acknowledges messages and loses them, a great many in sequence.

use crate::oracle::{Kind, Verdict};
use crate::proxy::Action;
use crate::world::{How, World};
use crate::{Control, Scenario, Setup, When, Without};
use anyhow::Result;

pub(crate) const ELEVEN_HUNDRED: Scenario = Scenario {
    name: "1,100 messages lost",
    when: When::Always,
    run: eleven_hundred,
    controls: &[Control {
        says: "the loss is not excused",
        without: Without::Relay("loses in silence"),
        expects: Kind::Lost,
    }],
};

/// Talks, and then loses `count` messages to Bob.
fn lose(world: &World, count: usize) -> Result<usize> {
    for client in ["alice", "bob"] {
        world.register(client)?;
    }
    world.send("alice", "bob", "hello")?;
    world.receive("bob")?;
    world.send("bob", "alice", "hello, too")?;
    world.receive("alice")?;
    world.proxy.always("POST", "/accounts/bob/messages", Action::Answer(201, Vec::new()));
    world.send_many("alice", "bob", "lost", count, &How::default())?;
    world.proxy.clear();
    if world.relay_fault("loses in silence") { Ok(0) } else { Ok(world.oracle().excuse_missing("bob")) }
}

fn eleven_hundred(world: &mut World, _: &Setup) -> Verdict {
    let lost = lose(world, 1_100)?;
    world.send("alice", "bob", "after the loss")?;
    let run = world.receive("bob")?;
    world.oracle().demand(!run.has(&["refused"]), Kind::Silent, "a message after the loss was refused");
    world.send("bob", "alice", "an answer")?;
    world.receive("alice")?;
    world.send("alice", "bob", "and another")?;
    world.settle(&["alice", "bob"])?;
    let figures = world.judge()?;
    Ok(format!("{lost} lost, the next one opened; {figures}"))
}

pub(crate) const THIRTY_THOUSAND: Scenario = Scenario {
    name: "30,000 messages lost",
    when: When::Campaign,
    run: thirty_thousand,
    controls: &[Control {
        says: "no bundle for the new session",
        without: Without::Relay("has no bundle"),
        expects: Kind::Lost,
    }],
};

fn thirty_thousand(world: &mut World, _: &Setup) -> Verdict {
    let lost = lose(world, 30_000)?;
    world.send("alice", "bob", "after the loss")?;
    let run = world.receive("bob")?;
    let is_shown = run.says("refused", "reason", "TooManySkipped") && run.says("refused", "remedy", "NewSession");
    world.oracle().demand(is_shown, Kind::Silent, format!("the refusal was not shown: {:?}", run.events));
    world.oracle().excuse_missing("bob");
    if world.relay_fault("has no bundle") {
        world.proxy.always("GET", "/accounts/alice/bundle", Action::Answer(503, Vec::new()));
    }
    world.send_as("bob", "alice", "on a new session", &How::default())?;
    world.receive("alice")?;
    world.send("alice", "bob", "here I am again")?;
    world.settle(&["alice", "bob"])?;
    let figures = world.judge()?;
    Ok(format!("{lost} lost, the next one refused, then a new session; {figures}"))
}
