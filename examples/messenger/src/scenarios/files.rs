// SPDX-License-Identifier: MIT OR Apache-2.0
//! A file of 50 MB, whose transfer is cut in both directions.

use crate::oracle::{Kind, Message, Verdict};
use crate::proxy::{Action, Rule};
use crate::world::{Run, World};
use crate::{Control, ONCE, Scenario, Setup, When, Without};
use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use std::fs;

pub(crate) const FILE: Scenario = Scenario {
    name: "50 MB file with a resumed transfer",
    when: When::Always,
    run: file,
    controls: &[Control {
        says: "begins each transfer again",
        without: Without::Client("resume"),
        expects: Kind::Repeated,
        tries: ONCE,
    }],
};

const LEN: usize = 50_000_000;
/// Number of requests that pass before each cut: a piece has 1 MiB.
const PASS: usize = 11;
/// Where files are uploaded, and from where they are fetched.
const UP: &str = "/accounts/alice/files/";
const DOWN: &str = "/files/";

fn file(world: &mut World, _: &Setup) -> Verdict {
    world.register_all(&["alice", "bob"])?;
    world.say("alice", "bob", "a file follows")?;
    let path = world.folder.join("film");
    let mut bytes = vec![0; LEN];
    world.rng.fill(&mut bytes);
    fs::write(&path, &bytes)?;
    let path = path.to_str().context("a path")?;
    let message = Message::new("alice", "bob", "file film");
    world.oracle().ask(message.clone());

    let up = transfer(world, "alice", &["file", "bob", path], "PUT", UP, |cut| match cut {
        0 => Action::CutBefore,
        1 => Action::CutBody(300_000),
        _ => Action::CutAfter,
    })?;
    world.oracle().due(message);
    let uploaded = world.proxy.bytes_sent("PUT", UP);
    let run = world.receive("bob")?;
    let id = run.of("received").find_map(file_id).context("no file was received")?;
    let copy = world.folder.join("copy");
    let copy_path = copy.to_str().context("a path")?;
    let down = transfer(world, "bob", &["fetch", &id, copy_path], "GET", DOWN, |cut| match cut {
        0 => Action::CutBefore,
        1 => Action::CutAnswer(300_000),
        _ => Action::CutAfter,
    })?;
    let downloaded = world.proxy.count("GET", DOWN);

    let is_same = Sha256::digest(fs::read(&copy).unwrap_or_default()) == Sha256::digest(&bytes);
    world.demand(is_same, Kind::Lost, "the file has not arrived as it was sent");
    // Each cut costs one piece, and the last one may be empty.
    let pieces = LEN.div_ceil(1 << 20);
    let limit = pieces.saturating_add(4).saturating_mul(1 << 20);
    world.demand(uploaded <= limit, Kind::Repeated, format!("{uploaded} bytes uploaded"));
    let limit = pieces.saturating_add(6);
    world.demand(downloaded <= limit, Kind::Repeated, format!("{downloaded} pieces downloaded"));
    let figures = world.judge(2)?;
    Ok(format!("{up} cuts up, {down} down, {} MB uploaded; {figures}", uploaded / 1_000_000))
}

/// Runs a command whose connection is cut three times, each time in another way, and then once more without. Returns the
/// number of cuts.
fn transfer(
    world: &World,
    client: &str,
    command: &[&str],
    method: &'static str,
    path: &str,
    cut: impl Fn(usize) -> Action,
) -> Result<usize> {
    let mut cuts = 0_usize;
    for number in 0..3 {
        let rule = Rule { method, path: path.to_owned(), skip: PASS, times: 1, action: cut(number) };
        world.proxy.add(rule);
        let run = world.run(client, command)?;
        cuts = cuts.saturating_add(usize::from(world.proxy.clear()));
        world.demand(run.code != Some(0), Kind::Silent, "a cut transfer was reported as done");
    }
    let run: Run = world.run(client, command)?;
    run.succeeded("the transfer")?;
    ensure!(cuts == 3, "{cuts} of 3 transfers were cut");
    Ok(cuts)
}

/// The id of a file that was received.
pub(crate) fn file_id(event: &serde_json::Value) -> Option<String> {
    Some(event.get("file")?.get("id")?.as_str()?.to_owned())
}
