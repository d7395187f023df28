// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the user decides about identities, by their safety numbers.

use crate::oracle::{Kind, Message, Verdict};
use crate::proxy::Action;
use crate::stranger::{get, id_of};
use crate::world::World;
use crate::{Control, ONCE, Scenario, Setup, When, Without};
use anyhow::{Context, Result};
use std::fs;

pub(crate) const FIRST_USE: Scenario = Scenario {
    name: "another identity at first use",
    when: When::Always,
    run: first_use,
    controls: &[Control {
        says: "verifies without comparing",
        without: Without::Scenario("comparing"),
        expects: Kind::Unasked,
        tries: ONCE,
    }],
};

/// The server hands out Mallory's bundle for Bob's, the first time. Comparing the numbers shows that.
fn first_use(world: &mut World, _: &Setup) -> Verdict {
    world.register_all(&["alice", "bob", "mallory"])?;
    for what in ["bundle", "identity"] {
        world.proxy.always("GET", format!("/accounts/bob/{what}"), Action::Answer(200, get(world, "mallory", what)?));
    }
    world.send("alice", "bob", "a secret")?;
    let run = world.receive("bob")?;
    world.demand(run.has(&["refused"]), Kind::Silent, "Bob was not shown that a message for him does not open");
    world.oracle().destroyed([Message::new("alice", "bob", "a secret")]);
    world.proxy.clear();
    let run = world.say("bob", "alice", "it does not open")?;
    let bob = id_of(run.received())?;
    // Bob reads his number to Alice.
    let at_bob = world.safety("bob", "alice")?.number.context("Bob has no number")?;
    let at_alice = world.safety("alice", "bob")?.number.context("Alice has no number")?;
    world.demand(at_bob != at_alice, Kind::Foreign, "the numbers of different identities are the same");
    let read = if world.lacks("comparing") { &at_alice } else { &at_bob };
    let run = world.run("alice", &["verify", "bob", read])?;
    let trust = world.trust("alice", "bob")?;
    let what = format!("Mallory is {trust}, after {:?}", run.code);
    world.demand(run.code == Some(1) && trust == "FirstUse", Kind::Unasked, what);
    // The stranger has it.
    world.run("alice", &["verify", &bob, &at_bob])?.succeeded("verify")?;
    world.run("alice", &["forget", "bob"])?.succeeded("forget")?;
    world.greet("alice", "bob", "it is you")?;
    let trust = world.trust("alice", "bob")?;
    world.demand(trust == "Verified", Kind::Unasked, format!("Bob is {trust}"));
    world.settle(&["alice", "bob", "mallory"])?;
    world.judge(3)
}

pub(crate) const DECISIONS: Scenario = Scenario {
    name: "verify, accept and reject",
    when: When::Always,
    run: decisions,
    controls: &[Control {
        says: "accepts what was not compared",
        without: Without::Scenario("the number"),
        expects: Kind::Unasked,
        tries: ONCE,
    }],
};

fn decisions(world: &mut World, _: &Setup) -> Verdict {
    let code = world.register_with_code("bob")?;
    world.register("alice")?;
    world.greet("alice", "bob", "hello")?;
    let number = world.safety("alice", "bob")?.number.context("no number")?;
    let decide = |world: &World, verb: &str, number: &str| -> Result<bool> {
        Ok(world.run("alice", &[verb, "bob", number])?.code == Some(0))
    };
    let is_verified = decide(world, "verify", &another(&number))?;
    let trust = world.trust("alice", "bob")?;
    world.demand(!is_verified && trust == "FirstUse", Kind::Unasked, format!("{trust} by a wrong number"));
    let is_verified = decide(world, "verify", &number)?;
    let trust = world.trust("alice", "bob")?;
    world.demand(is_verified && trust == "Verified", Kind::Unasked, format!("{trust} by the right number"));

    // Somebody else has Bob's account now.
    fs::rename(world.home("bob"), world.home("old-bob"))?;
    world.run("bob", &["recover", "bob", "<", &code])?.succeeded("recover")?;
    world.refuses("alice", "bob", "is it you?", 3, "identity_changed", Kind::Unasked)?;
    let shown = world.safety("alice", "bob")?;
    let claimed = shown.claimed.context("no number of the new identity")?;
    world.demand(shown.number.as_ref() == Some(&number), Kind::Foreign, "the pinned identity has another number");
    // What the number of the old device says of the new one: nothing.
    let compared = if world.lacks("the number") { &claimed } else { &number };
    let is_accepted = decide(world, "accept", compared)?;
    world.demand(!is_accepted, Kind::Unasked, "accepted by the number of another identity");
    let is_rejected = decide(world, "reject", &claimed)?;
    world.demand(is_rejected, Kind::Unasked, "the new identity cannot be rejected");
    let (trust, shown) = (world.trust("alice", "bob")?, world.safety("alice", "bob")?);
    let is_as_before = trust == "Verified" && shown.number.as_ref() == Some(&number) && shown.claimed.is_none();
    world.demand(is_as_before, Kind::Unasked, format!("after the rejection: {trust}, {shown:?}"));
    // It stays rejected: it writes, and the server says again that it is Bob.
    world.say("bob", "alice", "it is me")?;
    let run = world.refuses("alice", "bob", "to the old phone", 1, "error", Kind::Unasked)?;
    world.demand(!run.has(&["identity_changed"]), Kind::Unasked, "a rejected identity claims again");
    world.settle(&["bob"])?;
    world.judge(3)
}

/// A safety number that differs in its last digit.
fn another(number: &str) -> String {
    let (rest, last) = number.split_at(number.len().saturating_sub(1));
    format!("{rest}{}", if last == "0" { "1" } else { "0" })
}
