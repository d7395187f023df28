// SPDX-License-Identifier: MIT OR Apache-2.0
//! Yesterday's backup: of a client's database, of the whole device, and of the server.

use crate::oracle::{Kind, Message, Verdict};
use crate::proxy::Action;
use crate::world::{DAY, How, Run, World, copy_folder, put_back, require};
use crate::{Control, ONCE, Scenario, Setup, When, Without};
use anyhow::Result;
use noescrow_messenger::events::Printed;

pub(crate) const CLIENT: Scenario = Scenario {
    name: "yesterday's backup of the client",
    when: When::Always,
    run: client,
    controls: &[Control {
        says: "without witness and login nonce",
        without: Without::Client("witness,nonce"),
        expects: Kind::Lost,
        tries: ONCE,
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
    controls: &[Control {
        says: "without the login nonce",
        without: Without::Client("nonce"),
        expects: Kind::Lost,
        tries: ONCE,
    }],
};

/// The witness is in the backup, too.
fn device(world: &mut World, _: &Setup) -> Verdict {
    restored(world)
}

fn restored(world: &mut World) -> Verdict {
    put_back_alice(world)?;
    let run = world.receive("alice")?;
    if is_suspect(world, "alice", &run) {
        // Nothing is done before the user has decided.
        world.refuses("alice", "bob", "not yet", 3, "suspect", Kind::Unasked)?;
        world.run("alice", &["restore-backup"])?.succeeded("restore-backup")?;
        // Bob does not know yet. What he sends on the old session is refused, and shown.
        let run = world.say("bob", "alice", "on the old session")?;
        world.demand(run.has(&["refused"]), Kind::Silent, "a lost message was not shown");
        world.oracle().destroyed([Message::new("bob", "alice", "on the old session")]);
    }
    let run = world.send("alice", "bob", "I was restored")?;
    let is_new = run.recoveries().contains(&"Restored");
    world.demand(is_new, Kind::Silent, format!("the new session was not shown: {:?}", run.events));
    world.receive("bob")?;
    world.say("bob", "alice", "I see")?;
    talk(world, "in the end")?;
    world.settle(&["alice", "bob"])?;
    // A device makes so many prekeys a day.
    world.pass(DAY)?;
    world.check_stock("alice")?;
    world.judge(26)
}

/// Alice's device has the state of yesterday.
fn put_back_alice(world: &World) -> Result<()> {
    world.register_all(&["alice", "bob"])?;
    talk(world, "before the backup")?;
    let (home, backup) = (world.home("alice"), world.folder.join("alice.backup"));
    copy_folder(&home, &backup)?;
    talk(world, "after the backup")?;
    talk(world, "and once more")?;
    put_back(&home, &backup)
}

fn talk(world: &World, text: &str) -> Result<()> {
    for (from, to) in [("alice", "bob"), ("bob", "alice")] {
        world.send_many(from, to, text, 3, &How::default())?;
        world.receive(to)?;
    }
    Ok(())
}

/// Whether the client shows that its store, or the server, was put back. That is demanded.
fn is_suspect(world: &World, client: &str, run: &Run) -> bool {
    let is_suspect = run.code == Some(3) && run.has(&["suspect"]);
    world.demand(is_suspect, Kind::Silent, format!("{client}: the restored state was not shown"));
    is_suspect
}

pub(crate) const CUT_LOGIN: Scenario = Scenario {
    name: "backup of the device, login cut",
    when: When::Always,
    run: cut_login,
    controls: &[Control {
        says: "seals without a login",
        without: Without::Client("login"),
        expects: Kind::Unasked,
        tries: ONCE,
    }],
};

/// A server that cuts logins, and takes messages, does not keep a restored device from noticing.
fn cut_login(world: &mut World, _: &Setup) -> Verdict {
    put_back_alice(world)?;
    let posted = |world: &World| world.proxy.count("POST", "/accounts/bob/messages");
    let before = posted(world);
    world.proxy.always("POST", "/accounts/alice/login", Action::CutBefore);
    for text in ["with the keys of yesterday", "and again"] {
        world.refuses("alice", "bob", text, 1, "error", Kind::Unasked)?;
    }
    world.run("alice", &["receive"])?;
    world.proxy.clear();
    let sent = posted(world).saturating_sub(before);
    world.demand(sent == 0, Kind::Unasked, format!("{sent} messages sent without a login"));
    let run = world.receive("alice")?;
    if is_suspect(world, "alice", &run) {
        // The next process knows it, whatever the server says.
        let run = world.run("alice", &["status"])?;
        let is_shown = run.events.iter().any(|event| matches!(event, Printed::Status { suspicion: Some(_), .. }));
        world.demand(is_shown, Kind::Silent, format!("the suspicion was forgotten: {:?}", run.events));
        world.run("alice", &["restore-backup"])?.succeeded("restore-backup")?;
    }
    talk(world, "in the end")?;
    world.settle(&["alice", "bob"])?;
    world.judge(24)
}

pub(crate) const SERVER: Scenario = Scenario {
    name: "yesterday's backup of the server",
    when: When::Always,
    run: server,
    controls: &[Control {
        says: "leaves prekeys at the server that it does not have",
        without: Without::Client("withdraw"),
        expects: Kind::Lost,
        tries: ONCE,
    }],
};

/// Number of login nonces that a device has offered, and knows.
const KNOWN_NONCES: usize = 8;

fn server(world: &mut World, _: &Setup) -> Verdict {
    world.register_all(&["alice", "bob", "carol", "dave"])?;
    talk(world, "before the backup")?;
    world.send_many("alice", "bob", "waiting at the time of the backup", 3, &How::default())?;
    world.relay.stop();
    world.relay.back_up()?;
    world.restart_relay()?;

    world.receive("bob")?;
    talk(world, "after the backup")?;
    world.say("carol", "bob", "a prekey is used")?;
    world.say("bob", "carol", "hello carol")?;
    // A device knows the last nonces that it has offered.
    for client in ["alice", "bob", "carol"] {
        for _ in 0..=KNOWN_NONCES {
            world.run(client, &["maintain"])?;
        }
    }
    world.send("alice", "bob", "lost with the server")?;
    world.oracle().destroyed([Message::new("alice", "bob", "lost with the server")]);
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
            let count = run.refused("AlreadyOpened").len();
            world.demand(count == 3, Kind::Silent, format!("{count} of 3 messages shown as opened before"));
        }
    }
    world.demand(asked > 0, Kind::Silent, "nobody has noticed");
    world.say("dave", "bob", "a stranger after all that")?;
    world.say("bob", "alice", "bob after all that")?;
    talk(world, "in the end")?;
    world.settle(&["alice", "bob", "carol", "dave"])?;
    world.pass(DAY)?;
    world.check_stock("bob")?;
    let figures = world.judge(25)?;
    Ok(format!("{asked} users asked; {figures}"))
}
