// SPDX-License-Identifier: MIT OR Apache-2.0
//! Nothing fails: two people, two who write first at once, eight who write to one, and two processes of one client.

use crate::oracle::{Kind, Verdict};
use crate::world::{How, Run, World};
use crate::{Control, ONCE, RACE, Scenario, Setup, When, Without};
use anyhow::{Context, Result};
use std::thread;

/// Number of one-time prekeys that a device keeps at the server.
pub(crate) const AT_SERVER: usize = 100;
/// Events that report a failure.
const FAILURES: &[&str] = &["error", "refused", "deferred", "receipt", "undelivered", "identity_changed", "suspect"];

pub(crate) const NORMAL: Scenario = Scenario {
    name: "normal",
    when: When::Always,
    run: normal,
    controls: &[Control {
        says: "sends again what the server has",
        without: Without::Client("acknowledge"),
        expects: Kind::Repeated,
        tries: ONCE,
    }],
};

fn normal(world: &mut World, _: &Setup) -> Verdict {
    world.forbidden = FAILURES;
    world.register_all(&["alice", "bob"])?;
    world.greet("alice", "bob", "hello")?;
    for round in 0..3 {
        for (from, to) in [("alice", "bob"), ("bob", "alice")] {
            world.send_many(from, to, &format!("round {round}"), 10, &How::default())?;
            world.receive(to)?;
        }
        if world.is_caught() {
            break;
        }
    }
    world.settle(&["alice", "bob"])?;
    // Both see the same safety number.
    let (one, other) = (world.safety("alice", "bob")?, world.safety("bob", "alice")?);
    world.demand(one.number.is_some() && one.number == other.number, Kind::Foreign, "the safety numbers differ");
    world.check_stock("alice")?;
    world.check_stock("bob")?;
    world.judge(62)
}

pub(crate) const CROSSING: Scenario = Scenario {
    name: "crossing initiations",
    when: When::Always,
    run: crossing,
    controls: &[Control {
        says: "begins another session",
        without: Without::Scenario("one session"),
        expects: Kind::Repeated,
        tries: ONCE,
    }],
};

fn crossing(world: &mut World, _: &Setup) -> Verdict {
    world.register_all(&["alice", "bob"])?;
    world.send("alice", "bob", "first")?;
    world.send("bob", "alice", "first")?;
    let first = [world.receive("alice")?, world.receive("bob")?];
    if world.lacks("one session") {
        // As a client that does not choose one of the two.
        world.run("alice", &["restore-backup"])?.succeeded("restore-backup")?;
    }
    world.send("alice", "bob", "second")?;
    world.send("bob", "alice", "second")?;
    let second = [world.receive("alice")?, world.receive("bob")?];
    world.settle(&["alice", "bob"])?;
    // Without another round trip, both have chosen the same session.
    let begun = first.iter().chain(&second).flat_map(|run| run.received());
    let begun = begun.filter(|message| message.new_session).count();
    let session = |run: &Run| run.received().last().and_then(|message| message.session.clone());
    let [at_alice, at_bob] = second.each_ref().map(session);
    let what = format!("{begun} sessions begun, in the end {at_alice:?} and {at_bob:?}");
    world.demand(begun == 2 && at_alice.is_some() && at_alice == at_bob, Kind::Repeated, what);
    world.judge(4)
}

const STALE: Control = Control {
    says: "continues with a stale state",
    without: Without::Client("stale"),
    expects: Kind::Lost,
    tries: RACE,
};

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
                world.send_many(sender, "bob", &format!("part {part}"), 12, &How::default())?;
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
        world.say("bob", sender, &format!("thank you, {sender}"))?;
    }
    world.check_stock("bob")?;
    world.judge(200)
}

pub(crate) const TWO_PROCESSES: Scenario =
    Scenario { name: "two processes of one client", when: When::Always, run: two_processes, controls: &[STALE] };

fn two_processes(world: &mut World, _: &Setup) -> Verdict {
    let world = &*world;
    world.register_all(&["alice", "bob"])?;
    // Both begin the first session, or one sees that the other has.
    let how = How { is_concurrent: true, ..How::default() };
    in_parallel(&["first", "second"], |text| world.send_as("alice", "bob", text, &how).map(drop))?;
    world.receive("bob")?;
    world.say("bob", "alice", "answer")?;
    in_parallel(&["third", "fourth"], |text| world.send_many("alice", "bob", text, 15, &how).map(drop))?;
    in_parallel(&["sends", "receives"], |what| match *what {
        "sends" => world.send_many("bob", "alice", "fifth", 15, &how).map(drop),
        _ => two_at_once(|| receive_beside(world, "bob"), 1),
    })?;
    two_at_once(|| receive_beside(world, "alice"), 2)?;
    world.settle(&["alice", "bob"])?;
    world.judge(48)
}

fn receive_beside(world: &World, client: &str) -> Result<()> {
    let how = How { is_concurrent: true, ..How::default() };
    let run = world.run_as(client, &["receive"], &how)?;
    world.demand(run.code == Some(0), Kind::Silent, format!("{client}, beside another: {:?}", run.events.last()));
    Ok(())
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
