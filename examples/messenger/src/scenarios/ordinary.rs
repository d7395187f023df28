// SPDX-License-Identifier: MIT OR Apache-2.0
//! Nothing fails: two people, two who write first at once, eight who write to one, and two processes of one client.

use crate::oracle::{Kind, Verdict};
use crate::proxy::{Action, Rule};
use crate::world::{How, Run, World};
use crate::{Control, Scenario, Setup, When, Without};
use anyhow::{Context, Result};
use std::thread;

/// Number of one-time prekeys that a device keeps at the server.
pub(crate) const AT_SERVER: usize = 100;

/// A relay that acknowledges one message and loses it.
const DROPS_ONE: Control =
    Control { says: "relay loses an acknowledged message", without: Without::Relay("drops one"), expects: Kind::Lost };

pub(crate) const NORMAL: Scenario =
    Scenario { name: "normal", when: When::Always, run: normal, controls: &[DROPS_ONE] };

/// Lets the relay of the control lose the message after `skip` others to `to`.
fn lose_one(world: &World, to: &str, skip: usize) {
    if world.relay_fault("drops one") {
        let path = format!("/accounts/{to}/messages");
        world.proxy.add(Rule { method: "POST", path, skip, times: 1, action: Action::Answer(201, Vec::new()) });
    }
}

fn normal(world: &mut World, _: &Setup) -> Verdict {
    for client in ["alice", "bob"] {
        world.register(client)?;
    }
    lose_one(world, "bob", 3);
    world.send("alice", "bob", "hello bob")?;
    world.receive("bob")?;
    world.send("bob", "alice", "hello alice")?;
    world.receive("alice")?;
    for round in 0..3 {
        world.send_many("alice", "bob", &format!("round {round} to bob"), 10, &How::default())?;
        world.receive("bob")?;
        world.send_many("bob", "alice", &format!("round {round} to alice"), 10, &How::default())?;
        world.receive("alice")?;
    }
    world.settle(&["alice", "bob"])?;
    // Both see the same safety number.
    let number = |client, peer| -> Result<_> {
        let run = world.run(client, &["safety", peer])?;
        run.succeeded("safety")?;
        Ok(run.events.first().and_then(|event| event.get("number")).cloned())
    };
    let (one, other) = (number("alice", "bob")?, number("bob", "alice")?);
    world.oracle().demand(one.is_some() && one == other, Kind::Foreign, "the safety numbers differ");
    world.check_stock("alice", AT_SERVER)?;
    world.check_stock("bob", AT_SERVER)?;
    world.judge()
}

pub(crate) const CROSSING: Scenario =
    Scenario { name: "crossing initiations", when: When::Always, run: crossing, controls: &[DROPS_ONE] };

fn crossing(world: &mut World, _: &Setup) -> Verdict {
    for client in ["alice", "bob"] {
        world.register(client)?;
    }
    lose_one(world, "bob", 0);
    world.send("alice", "bob", "alice first")?;
    world.send("bob", "alice", "bob first")?;
    let first = [world.receive("alice")?, world.receive("bob")?];
    world.send("alice", "bob", "alice second")?;
    world.send("bob", "alice", "bob second")?;
    let second = [world.receive("alice")?, world.receive("bob")?];
    world.settle(&["alice", "bob"])?;
    // Without another round trip, both have chosen the same session.
    let begun = first.iter().chain(&second).flat_map(|run| run.of("received"));
    let begun = begun.filter(|event| event.get("new_session") == Some(&true.into())).count();
    let session = |run: &Run| run.of("received").last().and_then(|event| event.get("session")).cloned();
    let [at_alice, at_bob] = second.each_ref().map(session);
    if !world.relay_fault("drops one") {
        let what = format!("{begun} sessions begun, in the end {at_alice:?} and {at_bob:?}");
        world.oracle().demand(begun == 2 && at_alice.is_some() && at_alice == at_bob, Kind::Repeated, what);
    }
    world.judge()
}

const STALE: Control =
    Control { says: "continues with a stale state", without: Without::Client("stale"), expects: Kind::Lost };

pub(crate) const EIGHT_SENDERS: Scenario =
    Scenario { name: "eight senders at once", when: When::Always, run: eight_senders, controls: &[STALE] };

const SENDERS: [&str; 8] = ["s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8"];

fn eight_senders(world: &mut World, _: &Setup) -> Verdict {
    let world = &*world;
    world.register("bob")?;
    in_parallel(&SENDERS, |sender| world.register(sender))?;
    thread::scope(|scope| {
        let receiving = scope.spawn(|| two_at_once(|| receive_beside(world, "bob"), 6));
        in_parallel(&SENDERS, |sender| {
            for part in 0..2 {
                world.send_many(sender, "bob", &format!("{sender} part {part}"), 12, &How::default())?;
            }
            Ok(())
        })?;
        receiving.join().ok().context("a thread failed")?
    })?;
    for _ in 0..4 {
        world.receive("bob")?;
    }
    // The answers go to the right people.
    for sender in SENDERS {
        world.send("bob", sender, &format!("thank you, {sender}"))?;
        world.receive(sender)?;
    }
    world.check_stock("bob", AT_SERVER)?;
    world.judge()
}

pub(crate) const TWO_PROCESSES: Scenario =
    Scenario { name: "two processes of one client", when: When::Always, run: two_processes, controls: &[STALE] };

fn two_processes(world: &mut World, _: &Setup) -> Verdict {
    let world = &*world;
    for client in ["alice", "bob"] {
        world.register(client)?;
    }
    // Both begin the first session, or one sees that the other has.
    let how = How { is_concurrent: true, ..How::default() };
    in_parallel(&["first", "second"], |text| world.send_as("alice", "bob", text, &how).map(drop))?;
    world.receive("bob")?;
    world.send("bob", "alice", "answer")?;
    in_parallel(&["third", "fourth"], |text| world.send_many("alice", "bob", text, 15, &how).map(drop))?;
    in_parallel(&["sends", "receives"], |what| match *what {
        "sends" => world.send_many("bob", "alice", "fifth", 15, &how).map(drop),
        _ => two_at_once(|| receive_beside(world, "bob"), 1),
    })?;
    two_at_once(|| receive_beside(world, "alice"), 2)?;
    world.settle(&["alice", "bob"])?;
    world.judge()
}

fn receive_beside(world: &World, client: &str) -> Result<()> {
    let how = How { is_concurrent: true, ..How::default() };
    world.run_as(client, &["receive"], &how).map(drop)
}

/// Does the same for each item in a thread of its own.
pub(crate) fn in_parallel<T: Sync>(items: &[T], work: impl Fn(&T) -> Result<()> + Sync) -> Result<()> {
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = items.iter().map(|item| scope.spawn(move || work(item))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().ok().context("a thread failed")?)
    })
}

/// Does something in two threads, `times` times in each.
fn two_at_once(work: impl Fn() -> Result<()> + Sync, times: usize) -> Result<()> {
    in_parallel(&[(), ()], |()| (0..times).try_for_each(|_| work()))
}
