// SPDX-License-Identifier: MIT OR Apache-2.0
//! A relay that acknowledges messages and loses them, a great many in sequence.

use crate::oracle::{Kind, Message, Verdict};
use crate::proxy::Action;
use crate::world::{How, World, numbered};
use crate::{Control, ONCE, Scenario, Setup, When, Without};
use anyhow::Result;

pub(crate) const ELEVEN_HUNDRED: Scenario = Scenario {
    name: "1,100 messages lost",
    when: When::Always,
    run: eleven_hundred,
    controls: &[Control {
        says: "the receiver has no key after the loss",
        without: Without::Scenario("the session"),
        expects: Kind::Lost,
        tries: ONCE,
    }],
};

/// Talks, and then loses `count` messages to Bob.
fn lose(world: &World, count: usize) -> Result<()> {
    world.register_all(&["alice", "bob"])?;
    world.greet("alice", "bob", "hello")?;
    world.proxy.always("POST", "/accounts/bob/messages", Action::Answer(201, Vec::new()));
    world.send_many("alice", "bob", "lost", count, &How::default())?;
    world.proxy.clear();
    world.oracle().destroyed(numbered("lost", count).iter().map(|text| Message::new("alice", "bob", text)));
    Ok(())
}

fn eleven_hundred(world: &mut World, _: &Setup) -> Verdict {
    if world.lacks("the session") {
        // As a device whose session does not skip what was lost.
        lose(world, 1)?;
        world.run("bob", &["forget", "alice"])?.succeeded("forget")?;
    } else {
        lose(world, 1_100)?;
    }
    let run = world.say("alice", "bob", "after the loss")?;
    world.demand(!run.has(&["refused"]), Kind::Silent, "a message after the loss was refused");
    world.say("bob", "alice", "an answer")?;
    world.send("alice", "bob", "and another")?;
    world.settle(&["alice", "bob"])?;
    let figures = world.judge(5)?;
    Ok(format!("the next one opened; {figures}"))
}

pub(crate) const THIRTY_THOUSAND: Scenario = Scenario {
    name: "30,000 messages lost",
    when: When::Campaign,
    run: thirty_thousand,
    controls: &[Control {
        says: "the refusal is not saved",
        without: Without::Client("refusal"),
        expects: Kind::Lost,
        tries: ONCE,
    }],
};

fn thirty_thousand(world: &mut World, _: &Setup) -> Verdict {
    world.is_whole = true;
    lose(world, 30_000)?;
    world.is_whole = false;
    let run = world.say("alice", "bob", "after the loss")?;
    let is_shown = run.refused("TooManySkipped").contains(&"NewSession");
    world.demand(is_shown, Kind::Silent, format!("the refusal was not shown: {:?}", run.events));
    world.oracle().destroyed([Message::new("alice", "bob", "after the loss")]);
    let run = world.send("bob", "alice", "on a new session")?;
    let is_new = !run.recoveries().is_empty();
    world.demand(is_new, Kind::Silent, format!("no new session was begun: {:?}", run.events));
    world.receive("alice")?;
    world.send("alice", "bob", "here I am again")?;
    world.settle(&["alice", "bob"])?;
    let figures = world.judge(4)?;
    Ok(format!("the next one refused, then a new session; {figures}"))
}
