// SPDX-License-Identifier: MIT OR Apache-2.0
//! What strangers write: as somebody else, and what is not well formed.

use crate::oracle::{Kind, Verdict};
use crate::stranger::{Stranger, id_of};
use crate::world::{World, require};
use crate::{Control, ONCE, Scenario, Setup, When, Without};
use noescrow_messenger::events::Printed;

pub(crate) const CLAIMED_NAME: Scenario = Scenario {
    name: "stranger who claims a name",
    when: When::Always,
    run: claimed_name,
    controls: &[Control {
        says: "takes the claim for the name",
        without: Without::Client("claims"),
        expects: Kind::Foreign,
        tries: ONCE,
    }],
};

fn claimed_name(world: &mut World, _: &Setup) -> Verdict {
    world.forbidden = &["identity_changed"];
    world.register_all(&["bob", "alice", "carol"])?;
    world.greet("alice", "bob", "hello")?;
    let before = world.safety("alice", "bob")?;
    // Alice knows Bob. Carol does not yet.
    for (client, text) in [("alice", "send it to my new address"), ("carol", "hello, it is me")] {
        let mut mallory = Stranger::new(world)?;
        mallory.claim(world, "bob", client, text)?;
        let run = world.receive(client)?;
        // Nothing that Bob is told goes to Mallory, and nothing is held back.
        world.say(client, "bob", "is that your address?")?;
        if let Ok(id) = id_of(run.received()) {
            world.run(client, &["forget", &id])?.succeeded("forget")?;
        }
        let run = world.run(client, &["status"])?;
        let strangers = run.events.iter().filter(|event| matches!(event, Printed::Peer { name: None, .. })).count();
        world.demand(strangers == 0, Kind::Kept, format!("{client} keeps {strangers} strangers"));
    }
    let after = world.safety("alice", "bob")?;
    world.demand(before == after, Kind::Foreign, format!("Bob's safety numbers were {before:?}, and are {after:?}"));
    world.say("bob", "alice", "no, my address is the old one")?;
    world.settle(&["alice", "bob", "carol"])?;
    world.judge(7)
}

pub(crate) const MALFORMED: Scenario = Scenario {
    name: "malformed content",
    when: When::Always,
    run: malformed,
    controls: &[Control {
        says: "fails at content that does not parse",
        without: Without::Client("content"),
        expects: Kind::Lost,
        tries: ONCE,
    }],
};

/// Contents, each of which has failed in a client that reads them field by field.
fn contents() -> Vec<String> {
    let [access, id, key] = [32, 16, 32].map(|len| "0".repeat(2 * len));
    let file = |id: &str, key: &str, size: &str| {
        format!(r#"{{"from":"eve","access":"{access}","file":{{"id":"{id}","key":"{key}","name":"a","size":{size}}}}}"#)
    };
    vec![
        String::new(),
        "no JSON".into(),
        "null".into(),
        r#"{"from":"eve"}"#.into(),
        r#"{"from":"eve","access":"\n","text":"a"}"#.into(),
        r#"{"from":7,"access":"","text":"a"}"#.into(),
        format!(r#"{{"from":"eve","access":"{access}00","text":"a"}}"#),
        file("../../etc/passwd", &key, "1"),
        file(&id, "00", "1"),
        file(&id, &key, "10000000000000000000"),
        file(&id, &key, "-1"),
        "[".repeat(5_000),
    ]
}

fn malformed(world: &mut World, _: &Setup) -> Verdict {
    world.register_all(&["alice", "bob"])?;
    world.greet("alice", "bob", "hello")?;
    let contents = contents();
    for content in &contents {
        // Each by another device: Alice knows none of them.
        let status = Stranger::new(world)?.write(world, "alice", content.as_bytes())?;
        require(status == 201, "the relay refused the message")?;
    }
    // Behind all of them.
    world.say("bob", "alice", "are you still there?")?;
    let run = world.receive("alice")?;
    world.demand(run.code == Some(0), Kind::Silent, format!("malformed content: {:?}", run.events.last()));
    world.greet("alice", "bob", "what was that?")?;
    let refused = world.refused("Content");
    let what = format!("{refused} of {} shown", contents.len());
    world.demand(refused == contents.len(), Kind::Silent, what);
    world.settle(&["alice", "bob"])?;
    let figures = world.judge(5)?;
    Ok(format!("{refused} contents refused; {figures}"))
}
