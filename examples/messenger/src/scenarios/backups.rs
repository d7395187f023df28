// SPDX-License-Identifier: MIT OR Apache-2.0
//! Yesterday's backup: of a client's database, of the whole device, and of the server.

use crate::oracle::{Kind, Verdict};
use crate::ordinary::AT_SERVER;
use crate::world::{DAY, How, Run, World, copy_folder, put_back, require};
use crate::{Control, Scenario, Setup, When, Without};
use anyhow::Result;

pub(crate) const CLIENT: Scenario = Scenario {
    name: "yesterday's backup of the client",
    when: When::Always,
    run: client,
    controls: &[Control {
        says: "without witness and login nonce",
        without: Without::Client("witness,nonce"),
        expects: Kind::Lost,
    }],
};

/// The witness is kept elsewhere.
fn client(world: &mut World, _: &Setup) -> Verdict {
    world.witness_elsewhere = true;
    restored(world)
}

pub(crate) const DEVICE: Scenario = Scenario {
    name: "yesterday's backup of the device",
    when: When::Always,
    run: device,
    controls: &[Control { says: "without the login nonce", without: Without::Client("nonce"), expects: Kind::Lost }],
};

/// The witness is in the backup, too.
fn device(world: &mut World, _: &Setup) -> Verdict {
    restored(world)
}

fn restored(world: &mut World) -> Verdict {
    for client in ["alice", "bob"] {
        world.register(client)?;
    }
    talk(world, "before the backup")?;
    let (home, backup) = (world.home("alice"), world.folder.join("alice.backup"));
    copy_folder(&home, &backup)?;
    talk(world, "after the backup")?;
    talk(world, "and once more")?;
    put_back(&home, &backup)?;

    let run = world.receive("alice")?;
    if is_suspect(world, "alice", &run) {
        // Nothing is done before the user has decided.
        let run = world.send_as("alice", "bob", "not yet", &How::default())?;
        world.oracle().demand(run.code == Some(3), Kind::Unasked, "a suspect store was used");
        world.run("alice", &["restore-backup"])?.succeeded("restore-backup")?;
        // Bob does not know yet. What he sends on the old session is refused, and shown.
        world.send("bob", "alice", "on the old session")?;
        let run = world.receive("alice")?;
        world.oracle().demand(run.has(&["refused"]), Kind::Silent, "a lost message was not shown");
        world.oracle().excuse_missing("alice");
    }
    let run = world.send("alice", "bob", "I was restored")?;
    let is_new = run.says("sent", "recovers_from", "Restored");
    world.oracle().demand(is_new, Kind::Silent, format!("the new session was not shown: {:?}", run.events));
    world.receive("bob")?;
    world.send("bob", "alice", "I see")?;
    world.receive("alice")?;
    talk(world, "in the end")?;
    world.settle(&["alice", "bob"])?;
    // A device makes so many prekeys a day.
    world.ahead = world.ahead.saturating_add(DAY);
    world.check_stock("alice", AT_SERVER)?;
    world.judge()
}

fn talk(world: &World, text: &str) -> Result<()> {
    for (from, to) in [("alice", "bob"), ("bob", "alice")] {
        let run = world.send_many(from, to, text, 3, &How::default())?;
        world.oracle().demand(run.code == Some(0), Kind::Lost, format!("{from} cannot send \"{text}\" to {to}"));
        world.receive(to)?;
    }
    Ok(())
}

/// Whether the client shows that its store, or the server, was put back. That is demanded.
fn is_suspect(world: &World, client: &str, run: &Run) -> bool {
    let is_suspect = run.code == Some(3) && run.has(&["suspect"]);
    world.oracle().demand(is_suspect, Kind::Silent, format!("{client}: the restored state was not shown"));
    is_suspect
}

pub(crate) const SERVER: Scenario = Scenario {
    name: "yesterday's backup of the server",
    when: When::Always,
    run: server,
    controls: &[Control {
        says: "leaves prekeys at the server that it does not have",
        without: Without::Client("withdraw"),
        expects: Kind::Lost,
    }],
};

fn server(world: &mut World, _: &Setup) -> Verdict {
    for client in ["alice", "bob", "carol", "dave"] {
        world.register(client)?;
    }
    talk(world, "before the backup")?;
    world.send_many("alice", "bob", "waiting at the time of the backup", 3, &How::default())?;
    world.relay.stop();
    world.relay.back_up()?;
    world.restart_relay()?;

    world.receive("bob")?;
    talk(world, "after the backup")?;
    world.send("carol", "bob", "a prekey is used")?;
    world.receive("bob")?;
    world.send("bob", "carol", "hello carol")?;
    world.receive("carol")?;
    world.send("alice", "bob", "lost with the server")?;
    world.relay.stop();
    world.relay.put_back()?;
    world.restart_relay()?;

    let mut asked = 0_usize;
    for client in ["bob", "alice", "carol"] {
        let run = world.receive(client)?;
        // A client whose login nonce the backup has does not notice.
        if run.code == Some(3) {
            require(run.has(&["suspect"]), "a user is asked without a reason")?;
            world.run(client, &["restore-backup"])?.succeeded("restore-backup")?;
            asked = asked.saturating_add(1);
        }
        let run = world.receive(client)?;
        if client == "bob" {
            let repeated = run.of("refused").filter(|event| event.get("reason") == Some(&"AlreadyOpened".into()));
            let count = repeated.count();
            world.oracle().demand(count == 3, Kind::Silent, format!("{count} of 3 messages shown as opened before"));
        }
    }
    world.oracle().demand(asked > 0, Kind::Silent, "nobody has noticed");
    let lost = world.oracle().excuse_missing("bob");
    world.send("dave", "bob", "a stranger after all that")?;
    world.receive("bob")?;
    world.send("bob", "alice", "bob after all that")?;
    world.receive("alice")?;
    talk(world, "in the end")?;
    world.settle(&["alice", "bob", "carol", "dave"])?;
    world.ahead = world.ahead.saturating_add(DAY);
    world.check_stock("bob", AT_SERVER)?;
    let figures = world.judge()?;
    Ok(format!("{lost} lost with the server, {asked} users asked; {figures}"))
}
