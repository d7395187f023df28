// SPDX-License-Identifier: MIT OR Apache-2.0
//! `kill -9` of clients and of the relay at random moments.

use crate::oracle::{Kind, Verdict};
use crate::world::{How, World};
use crate::{Control, RACE, Scenario, Setup, When, Without};
use anyhow::{Context, Result};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) const KILLS: Scenario = Scenario {
    name: "kill -9 at random moments",
    when: When::Always,
    run: kills,
    controls: &[
        Control {
            says: "acknowledges before saving",
            without: Without::Client("save-before-ack"),
            expects: Kind::Lost,
            tries: RACE,
        },
        Control { says: "does not resend", without: Without::Client("resend"), expects: Kind::Lost, tries: RACE },
        Control {
            says: "sends before saving",
            without: Without::Client("save-before-send"),
            expects: Kind::Lost,
            tries: RACE,
        },
    ],
};

/// Number of messages in a batch that is killed.
const BATCH: usize = 4;
/// A control continues for this many times as many kills if nothing has been lost before.
const PATIENCE: u32 = 4;
/// In every so many rounds the relay is killed, while a client talks to it.
const RELAY_EVERY: u32 = 6;

fn kills(world: &mut World, setup: &Setup) -> Verdict {
    world.register_all(&["alice", "bob"])?;
    world.greet("alice", "bob", "before the first kill")?;
    let typical = [measure(world, "send")?, measure(world, "receive")?];
    let (mut killed, mut relay_killed, mut noticed, mut due) = (0_u32, 0_u32, 0_u32, 2 + 3 * BATCH);
    let is_control = world.is_control();
    let rounds = if is_control { setup.kills.saturating_mul(PATIENCE) } else { setup.kills };
    for round in 0..rounds {
        let (from, to) = if world.rng.bool() { ("alice", "bob") } else { ("bob", "alice") };
        let is_send = world.rng.bool();
        // What is received is worth a kill only if there is something.
        world.send_many(from, to, &format!("round {round} whole"), BATCH, &How::default())?;
        due = due.saturating_add(BATCH);
        let [send, receive] = typical;
        let limit = if is_send { send } else { receive };
        let moment = Duration::from_micros(world.rng.u64(..micros(limit).max(1)));
        let kills_relay = round % RELAY_EVERY == RELAY_EVERY - 1;
        let how = match kills_relay {
            true => How { relay_dies: true, ..How::default() },
            false => How { kill_after: Some(moment), ..How::default() },
        };
        let work = |world: &World| match is_send {
            true => world.send_many(from, to, &format!("round {round} killed"), BATCH, &how),
            false => world.run_as(to, &["receive"], &how),
        };
        let run = match kills_relay {
            true => beside_killed_relay(world, moment, work)?,
            false => work(world)?,
        };
        if is_send && run.code == Some(0) {
            due = due.saturating_add(BATCH);
        }
        relay_killed = relay_killed.saturating_add(u32::from(kills_relay));
        noticed = noticed.saturating_add(u32::from(kills_relay && run.code == Some(1)));
        killed = killed.saturating_add(u32::from(run.code.is_none()));
        world.note_outbox(from, to)?;
        if is_control && round % 25 == 24 {
            world.settle(&["alice", "bob"])?;
            if world.is_caught() {
                break;
            }
        }
    }
    world.settle(&["alice", "bob"])?;
    let aimed = rounds.saturating_sub(relay_killed);
    world.demand(is_control || killed > aimed / 2, Kind::Silent, format!("only {killed} of {aimed} runs killed"));
    let figures = world.judge(due)?;
    Ok(format!("{killed} of {aimed} runs killed, the relay {relay_killed} times, seen by {noticed} clients; {figures}"))
}

/// Lets a client work, and kills the relay at a moment of that. It is started again at once.
pub(crate) fn beside_killed_relay<T>(world: &World, moment: Duration, work: impl Fn(&World) -> Result<T>) -> Result<T> {
    thread::scope(|scope| {
        let killing = scope.spawn(|| {
            thread::sleep(moment);
            world.restart_relay()
        });
        let worked = work(world);
        killing.join().ok().context("a thread failed")??;
        worked
    })
}

/// How long a run takes that nobody kills.
fn measure(world: &World, command: &str) -> Result<Duration> {
    world.send_many("alice", "bob", &format!("measured before {command}"), BATCH, &How::default())?;
    let started = Instant::now();
    match command {
        "send" => drop(world.send_many("alice", "bob", "measured", BATCH, &How::default())?),
        _ => drop(world.receive("bob")?),
    }
    Ok(started.elapsed())
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
