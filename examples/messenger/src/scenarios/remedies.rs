// SPDX-License-Identifier: MIT OR Apache-2.0
//! After a failure the client prints a remedy. The scenario checks the text, does what it says, and checks that this helps.

use crate::oracle::{Kind, Message, Verdict};
use crate::proxy::Action;
use crate::stranger::get;
use crate::world::{How, Run, World, copy_folder};
use crate::{Control, ONCE, Scenario, Setup, When, Without};
use anyhow::Result;

pub(crate) const REMEDIES: Scenario = Scenario {
    name: "remedies that are followed",
    when: When::Always,
    run: remedies,
    controls: &[Control {
        says: "remedies that are not followed",
        without: Without::Scenario("following"),
        expects: Kind::Lost,
        tries: ONCE,
    }],
};

/// Demands that a run has failed, and that an error or a remedy that it has printed contains `wanted`.
fn advises(world: &World, run: &Run, wanted: &str) {
    let said: Vec<_> = run.events.iter().flat_map(|event| [event.error(), event.remedy()]).flatten().collect();
    let is_advised = run.code == Some(1) && said.iter().any(|said| said.contains(wanted));
    world.demand(is_advised, Kind::Silent, format!("not \"{wanted}\", but {said:?} with {:?}", run.code));
}

/// Sends a message from Alice to Bob, which the server answers once with `status`. Returns how her client ends.
fn answered(world: &World, status: u16, text: &str) -> Result<Run> {
    world.proxy.once("POST", "/accounts/bob/messages", Action::Answer(status, Vec::new()));
    let run = world.send("alice", "bob", text)?;
    world.proxy.clear();
    Ok(run)
}

/// The user does what the remedy says.
fn follow(world: &World, client: &str, command: &[&str]) -> Result<()> {
    if !world.lacks("following") {
        let run = world.run(client, command)?;
        world.demand(run.code == Some(0), Kind::Silent, format!("{command:?} does not help: {:?}", run.events));
    }
    Ok(())
}

fn remedies(world: &mut World, _: &Setup) -> Verdict {
    let code = world.register_with_code("bob")?;
    world.register("alice")?;
    world.greet("alice", "bob", "hello")?;

    // The name is taken.
    let run = world.run("eve", &["register", "alice"])?;
    advises(world, &run, NAME_TAKEN);
    follow(world, "another-eve", &["register", "eve"])?;
    // There is no such account.
    let run = world.refuses("alice", "bbo", "to a name that is mistyped", 1, "error", Kind::Silent)?;
    advises(world, &run, NO_ACCOUNT);
    // The server cannot be reached: nothing was sealed.
    world.relay.stop();
    let run = world.refuses("alice", "bob", "without a server", 1, "error", Kind::Silent)?;
    advises(world, &run, UNREACHABLE);
    world.restart_relay()?;
    world.send("alice", "bob", "with a server")?;
    // The connection is cut while the message is delivered, before the server has it or after.
    for (action, text) in [(Action::CutBefore, "cut before"), (Action::CutAfter, "cut after")] {
        world.proxy.once("POST", "/accounts/bob/messages", action);
        let run = world.send("alice", "bob", text)?;
        world.proxy.clear();
        advises(world, &run, WAITS);
        follow(world, "alice", &["maintain"])?;
        world.oracle().due(Message::new("alice", "bob", text));
        world.receive("bob")?;
    }
    world.say("alice", "bob", "after the cuts")?;
    // The mailbox is full; the access key is another; the server has failed: the message waits in the outbox.
    for (status, remedy, command) in [(429, LATER, "maintain"), (403, ACCESS_KEY, "receive"), (500, FAILED, "maintain")]
    {
        let text = format!("answered with {status}");
        let run = answered(world, status, &text)?;
        advises(world, &run, remedy);
        follow(world, "alice", &[command])?;
        world.oracle().due(Message::new("alice", "bob", &text));
        world.receive("bob")?;
    }
    // The server never takes it, and takes the others.
    let run = answered(world, 413, "answered with 413")?;
    advises(world, &run, NEVER);
    world.oracle().refused(Message::new("alice", "bob", "answered with 413"));
    world.say("alice", "bob", "in another way")?;
    // There is no space on the disk.
    let how = How { max_file_len: Some(0), ..How::default() };
    let run = world.send_as("alice", "bob", "without space", &how)?;
    advises(world, &run, NO_SPACE);
    world.oracle().refused(Message::new("alice", "bob", "without space"));
    world.say("alice", "bob", "with space")?;
    // The account has another device.
    let old = world.home("old-bob");
    copy_folder(&world.home("bob"), &old)?;
    std::fs::remove_dir_all(world.home("bob"))?;
    world.run("bob", &["recover", "bob", "<", &code])?.succeeded("recover")?;
    let run = world.run("old-bob", &["receive"])?;
    advises(world, &run, OTHER_DEVICE);
    // What the old one has is deleted there, and the account stays.
    follow(world, "old-bob", &["delete-account"])?;
    let is_right = world.lacks("following") || !old.exists() && get(world, "bob", "bundle").is_ok();
    world.demand(is_right, Kind::Kept, format!("the old device is there: {}", old.exists()));
    world.settle(&["alice"])?;
    world.judge(11)
}

const NAME_TAKEN: &str = "the account exists";
const NO_ACCOUNT: &str = "choose another peer or another name";
const UNREACHABLE: &str = "run it again";
const LATER: &str = "waits here: try again later";
const ACCESS_KEY: &str = "waits here: receive";
const FAILED: &str = LATER;
const WAITS: &str = "run `maintain`, and do not send it again";
const NEVER: &str = "send it in another way";
const NO_SPACE: &str = "run it again";
const OTHER_DEVICE: &str = "the account has another device now";
