// SPDX-License-Identifier: MIT OR Apache-2.0
//! A reinstallation: the same account, another device.

use crate::oracle::{Kind, Verdict};
use crate::world::{Run, World};
use crate::{Control, ONCE, Scenario, Setup, When, Without};
use anyhow::{Context, Result};
use std::fs;

pub(crate) const REINSTALL: Scenario = Scenario {
    name: "reinstall",
    when: When::Always,
    run: reinstall,
    controls: &[Control {
        says: "accepts a changed identity in silence",
        without: Without::Client("accept"),
        expects: Kind::Unasked,
        tries: ONCE,
    }],
};

fn reinstall(world: &mut World, _: &Setup) -> Verdict {
    let code = world.register_with_code("bob")?;
    world.register_all(&["alice", "carol"])?;
    for peer in ["alice", "carol"] {
        world.greet(peer, "bob", "hello")?;
    }
    // It waits while Carol accepts his next device.
    world.send("bob", "carol", "from the old phone")?;
    fs::remove_dir_all(world.home("bob"))?;
    world.run("bob", &["recover", "bob", "<", &code])?.succeeded("recover")?;

    // Alice hears from the new device first.
    world.say("bob", "alice", "I have a new phone")?;
    let run = world.refuses("alice", "bob", "is it you?", 3, "identity_changed", Kind::Unasked)?;
    accept(world, "alice", &run)?;
    world.greet("alice", "bob", "welcome back")?;

    // Carol writes before she has heard from it.
    let run = world.refuses("carol", "bob", "are you there?", 3, "identity_changed", Kind::Unasked)?;
    accept(world, "carol", &run)?;
    let run = world.receive("carol")?;
    let is_marked = run.received().any(|message| message.former_identity);
    world.demand(is_marked, Kind::Foreign, format!("the old phone's message looks like a new one: {:?}", run.events));
    world.greet("carol", "bob", "are you there now?")?;
    world.settle(&["alice", "bob", "carol"])?;
    world.check_stock("bob")?;
    world.judge(10)
}

/// Accepts the identity that was shown.
fn accept(world: &World, client: &str, run: &Run) -> Result<()> {
    if run.code == Some(3) {
        let run = world.decide(client, "accept", "bob")?;
        world.demand(run.code == Some(0), Kind::Unasked, format!("{client} cannot accept: {:?}", run.events));
    }
    Ok(())
}

impl World {
    /// Registers an account. Returns its recovery code.
    pub(crate) fn register_with_code(&self, client: &str) -> Result<String> {
        let run = self.run(client, &["register", client])?;
        run.succeeded(client)?;
        Ok(run.recovery_code().context("no recovery code")?.to_owned())
    }

    /// The user decides about the identity that claims to be a peer, after comparing its safety number.
    pub(crate) fn decide(&self, client: &str, verb: &str, peer: &str) -> Result<Run> {
        let claimed = self.safety(client, peer)?.claimed;
        self.demand(claimed.is_some(), Kind::Unasked, format!("{client} has nothing to decide about {peer}"));
        self.run(client, &[verb, peer, &claimed.unwrap_or_default()])
    }
}
