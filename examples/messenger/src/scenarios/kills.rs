// SPDX-License-Identifier: MIT OR Apache-2.0
//! `kill -9` of clients and of the relay at random moments.

use crate::oracle::{Kind, Verdict};
use crate::world::{How, World};
use crate::{Control, Scenario, Setup, When, Without};
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
        },
        Control { says: "does not resend", without: Without::Client("resend"), expects: Kind::Lost },
        Control { says: "sends before saving", without: Without::Client("save-before-send"), expects: Kind::Lost },
    ],
};

/// Number of messages in a batch that is killed.
const BATCH: usize = 4;
/// A control continues for this many times as many kills if nothing has been lost before.
const PATIENCE: u32 = 4;

fn kills(world: &mut World, setup: &Setup) -> Verdict {
    for client in ["alice", "bob"] {
        world.register(client)?;
    }
    world.send("alice", "bob", "before the first kill")?;
    world.receive("bob")?;
    world.send("bob", "alice", "an answer before the first kill")?;
    world.receive("alice")?;
    let typical = [measure(world, "send")?, measure(world, "receive")?];
    let (mut killed, mut relay_killed) = (0_u32, 0_u32);
    let is_control = world.is_control();
    let rounds = if is_control { setup.kills.saturating_mul(PATIENCE) } else { setup.kills };
    for round in 0..rounds {
        let (from, to) = if world.rng.bool() { ("alice", "bob") } else { ("bob", "alice") };
        let is_send = world.rng.bool();
        // What is received is worth a kill only if there is something.
        world.send_many(from, to, &format!("round {round} whole"), BATCH, &How::default())?;
        let [send, receive] = typical;
        let limit = if is_send { send } else { receive };
        let moment = world.rng.u64(..micros(limit).max(1));
        let how = How { kill_after: Some(Duration::from_micros(moment)), ..How::default() };
        let run = match is_send {
            true => world.send_many(from, to, &format!("round {round} killed"), BATCH, &how)?,
            false => world.run_as(to, &["receive"], &how)?,
        };
        killed = killed.saturating_add(u32::from(run.code.is_none()));
        world.note_outbox(from, to)?;
        if world.rng.u32(..10) == 0 {
            world.restart_relay()?;
            relay_killed = relay_killed.saturating_add(1);
        }
        if is_control && round % 25 == 24 {
            world.settle(&["alice", "bob"])?;
            if world.is_caught() {
                break;
            }
        }
    }
    world.settle(&["alice", "bob"])?;
    let figures = world.judge()?;
    Ok(format!("{killed} of {rounds} runs killed, relay {relay_killed} times; {figures}"))
}

/// How long a run takes that nobody kills.
fn measure(world: &World, command: &str) -> anyhow::Result<Duration> {
    let text = format!("measured before {command}");
    world.send_many("alice", "bob", &text, BATCH, &How::default())?;
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
