// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is deleted: a peer, and an account.

use crate::oracle::{Kind, Message, Verdict};
use crate::proxy::Action;
use crate::stranger::get;
use crate::world::World;
use crate::{Control, ONCE, Scenario, Setup, When, Without};
use anyhow::{Context, Result};
use std::fs;

/// Between two sessions that are begun to recover, in seconds.
const RECOVERY: u64 = 3_601;

pub(crate) const FORGOTTEN: Scenario = Scenario {
    name: "forgotten peer",
    when: When::Always,
    run: forgotten,
    controls: &[Control {
        says: "the peer is not forgotten",
        without: Without::Scenario("forget"),
        expects: Kind::Kept,
        tries: ONCE,
    }],
};

/// Number of rows that a client has of its peers: of the messenger, and of the application.
fn rows(world: &World, client: &str) -> Result<usize> {
    let database = world.open_copy(client)?;
    let tables = "SELECT name FROM sqlite_master WHERE type = 'table'
        AND (name = 'noescrow_peer_data' OR name LIKE 'noescrow%box')";
    let tables: Vec<String> = database.prepare(tables)?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    tables.iter().try_fold(0_usize, |sum, table| {
        let count: i64 = database.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?;
        Ok(sum.saturating_add(usize::try_from(count)?))
    })
}

fn forgotten(world: &mut World, _: &Setup) -> Verdict {
    world.register_all(&["alice", "bob"])?;
    world.greet("alice", "bob", "hello")?;
    let picture = world.folder.join("picture");
    fs::write(&picture, vec![7; 100_000])?;
    let picture = picture.to_str().context("a path")?;
    world.send_file("bob", "alice", picture)?;
    let run = world.receive("alice")?;
    let id = run.received().find_map(crate::files::file_id).context("no file was received")?;
    if !world.lacks("forget") {
        world.run("alice", &["forget", "bob"])?.succeeded("forget")?;
    }
    let (left, trust) = (rows(world, "alice")?, world.trust("alice", "bob")?);
    world.demand(left == 0 && trust == "none", Kind::Kept, format!("{left} rows of Bob, who is {trust}"));
    let run = world.run("alice", &["fetch", &id, world.folder.join("copy").to_str().context("a path")?])?;
    world.demand(run.code == Some(1), Kind::Kept, "the key of a forgotten peer's file is there");
    // A second time there is nobody to forget.
    let run = world.run("alice", &["forget", "bob"])?;
    world.demand(run.code == Some(1), Kind::Silent, "nobody was forgotten, in silence");
    // They can meet again. He forgets her, too.
    world.run("bob", &["forget", "alice"])?.succeeded("forget")?;
    world.greet("alice", "bob", "have we met?")?;
    world.settle(&["alice", "bob"])?;
    world.judge(5)
}

pub(crate) const FORGOTTEN_BY_ONE: Scenario = Scenario {
    name: "peer forgotten by one side",
    when: When::Always,
    run: forgotten_by_one,
    controls: &[Control {
        says: "a refused access key begins no session",
        without: Without::Client("access"),
        expects: Kind::Lost,
        tries: ONCE,
    }],
};

/// Alice forgets Bob, and with him the access key of his mailbox. He keeps the session that she no longer has, and probes
/// her new one: the server refuses her answer, which has no key and is no first message.
fn forgotten_by_one(world: &mut World, _: &Setup) -> Verdict {
    world.register_all(&["alice", "bob"])?;
    world.greet("alice", "bob", "hello")?;
    world.run("alice", &["forget", "bob"])?.succeeded("forget")?;
    world.say("alice", "bob", "have we met?")?;
    let run = world.say("bob", "alice", "on the old session")?;
    world.demand(
        !run.refused("NoSuchSession").is_empty(),
        Kind::Silent,
        "a message of the old session was not refused",
    );
    world.oracle().destroyed([Message::new("bob", "alice", "on the old session")]);
    // Because of the refusal her next message begins a session that he sends on. His answer has the access key.
    world.pass(RECOVERY)?;
    let run = world.send("alice", "bob", "once more")?;
    let reasons = run.recoveries();
    world.demand(reasons == ["AccessRefused"], Kind::Silent, format!("a new session because of {reasons:?}"));
    world.receive("bob")?;
    world.say("bob", "alice", "on the new session")?;
    world.say("alice", "bob", "with the access key")?;
    world.settle(&["alice", "bob"])?;
    world.judge(6)
}

pub(crate) const DELETED: Scenario = Scenario {
    name: "deleted account",
    when: When::Always,
    run: deleted,
    controls: &[Control {
        says: "not run again after a cut",
        without: Without::Scenario("running it again"),
        expects: Kind::Kept,
        tries: ONCE,
    }],
};

fn deleted(world: &mut World, _: &Setup) -> Verdict {
    world.witness_elsewhere = true;
    world.register_all(&["alice", "bob"])?;
    world.greet("alice", "bob", "hello")?;
    let (home, witness) = (world.home("alice"), world.folder.join("alice.witness"));
    let notes = home.join("notes.txt");
    fs::write(&notes, "not the messenger's")?;
    // The server has deleted it, and the client does not hear of that.
    world.proxy.once("DELETE", "/accounts/alice", Action::CutAfter);
    let run = world.run("alice", &["delete-account"])?;
    world.demand(run.code == Some(1), Kind::Silent, format!("a cut deletion ended with {:?}", run.code));
    world.proxy.clear();
    if !world.lacks("running it again") {
        let run = world.run("alice", &["delete-account"])?;
        world.demand(run.code == Some(0), Kind::Kept, format!("it cannot be repeated: {:?}", run.events));
    }
    let left: Vec<_> = fs::read_dir(&home)?.map(|entry| Ok(entry?.file_name())).collect::<Result<_>>()?;
    let is_gone = left == ["notes.txt"] && fs::read(&notes)? == b"not the messenger's";
    world.demand(is_gone && !witness.exists(), Kind::Kept, format!("left: {left:?}, witness: {}", witness.exists()));
    world.demand(get(world, "alice", "bundle").is_err(), Kind::Kept, "the server has the account");
    if world.is_caught() {
        return world.judge(0);
    }
    // Somebody else may have the name.
    fs::remove_dir_all(&home)?;
    world.register("alice")?;
    world.refuses("bob", "alice", "are you the same?", 3, "identity_changed", Kind::Unasked)?;
    world.say("alice", "bob", "I am another Alice")?;
    world.settle(&["alice"])?;
    world.judge(3)
}
