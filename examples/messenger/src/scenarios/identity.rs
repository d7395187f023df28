// SPDX-License-Identifier: MIT OR Apache-2.0
//! A reinstallation: the same account, another device.

use crate::oracle::{Kind, Verdict};
use crate::ordinary::AT_SERVER;
use crate::world::{How, World};
use crate::{Control, Scenario, Setup, When, Without};
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
    }],
};

fn reinstall(world: &mut World, _: &Setup) -> Verdict {
    for client in ["bob", "alice", "carol"] {
        world.register(client)?;
    }
    for peer in ["alice", "carol"] {
        world.send(peer, "bob", &format!("hello from {peer}"))?;
        world.receive("bob")?;
        world.send("bob", peer, &format!("hello {peer}"))?;
        world.receive(peer)?;
    }
    let code = recovery_code(world)?;
    fs::remove_dir_all(world.home("bob"))?;
    world.run("bob", &["recover", "bob", &code])?.succeeded("recover")?;

    // Alice hears from the new device first.
    world.send("bob", "alice", "I have a new phone")?;
    world.receive("alice")?;
    let run = world.send_as("alice", "bob", "is it you?", &How::default())?;
    ask(world, "alice", &run)?;
    world.send("alice", "bob", "welcome back")?;
    world.receive("bob")?;
    world.send("bob", "alice", "thank you")?;
    world.receive("alice")?;

    // Carol writes before she has heard from it.
    let run = world.send_as("carol", "bob", "are you there?", &How::default())?;
    ask(world, "carol", &run)?;
    world.send("carol", "bob", "are you there now?")?;
    world.receive("bob")?;
    world.send("bob", "carol", "yes")?;
    world.settle(&["alice", "bob", "carol"])?;
    world.check_stock("bob", AT_SERVER)?;
    world.judge()
}

/// Demands that the user was asked, and accepts the new identity.
fn ask(world: &World, client: &str, run: &crate::world::Run) -> Result<()> {
    let was_asked = run.code == Some(3) && run.has(&["identity_changed"]);
    world.oracle().demand(was_asked, Kind::Unasked, format!("{client} was not asked: {:?}", run.events));
    if was_asked {
        world.run(client, &["accept", "bob"])?.succeeded("accept")?;
    }
    Ok(())
}

fn recovery_code(world: &World) -> Result<String> {
    let account: serde_json::Value = serde_json::from_slice(&fs::read(world.home("bob").join("account.json"))?)?;
    let code = account.as_object().and_then(|members| {
        members.iter().find(|(name, _)| name.contains("recovery")).and_then(|(_, code)| code.as_str())
    });
    Ok(code.context("account.json has no recovery code")?.to_owned())
}
