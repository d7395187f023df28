// SPDX-License-Identifier: MIT OR Apache-2.0
//! A file of 50 MB, whose transfer is cut in both directions, and files that are not taken, or do not come as they were.

use crate::oracle::{Kind, Message, Verdict};
use crate::ordinary::in_parallel;
use crate::proxy::{Action, Rule};
use crate::world::{Run, World};
use crate::{Control, ONCE, Scenario, Setup, When, Without};
use anyhow::{Context, Result, ensure};
use noescrow_messenger::MAX_FILE_LEN;
use noescrow_messenger::events::{File, Received};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::Path;

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
    let [from, id] = run.received().find_map(named_file).context("no file was received")?;
    let copy = world.folder.join("copy");
    let copy_path = copy.to_str().context("a path")?;
    let down = transfer(world, "bob", &["fetch", &from, &id, copy_path], "GET", DOWN, |cut| match cut {
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

/// Peer and id of a file that was received, as `fetch` has them.
pub(crate) fn named_file(message: &Received) -> Option<[String; 2]> {
    Some([format!("#{}", message.peer), message.file.as_ref()?.id.clone()])
}

pub(crate) const FILES: Scenario = Scenario {
    name: "files refused, at once, and damaged",
    when: When::Always,
    run: files,
    controls: &[
        Control {
            says: "a damaged file is not fetched again",
            without: Without::Scenario("fetching it again"),
            expects: Kind::Lost,
            tries: ONCE,
        },
        Control {
            says: "a file that was cut is saved anew and sent again",
            without: Without::Scenario("the same file"),
            expects: Kind::Twice,
            tries: ONCE,
        },
    ],
};

fn files(world: &mut World, _: &Setup) -> Verdict {
    world.register_all(&["alice", "bob"])?;
    world.greet("alice", "bob", "hello")?;
    let path = |name: &str| world.folder.join(name);
    let as_text = |path: &Path| path.to_str().map(str::to_owned).context("a path");

    // Too long: nothing of it is uploaded, and it keeps nothing back.
    fs::File::create(path("long"))?.set_len(MAX_FILE_LEN.saturating_add(1))?;
    let run = world.run("alice", &["file", "bob", &as_text(&path("long"))?])?;
    let uploaded = world.proxy.bytes_sent("PUT", UP);
    let what = format!("a file that is too long: {uploaded} bytes uploaded, ended with {:?}", run.code);
    world.demand(run.code == Some(1) && uploaded == 0, Kind::Repeated, what);
    world.say("alice", "bob", "it is too long")?;

    // The server does not take it now. Texts pass it, and it is sent when the command is run again.
    let (refused, content) = (path("refused"), vec![3; 70_000]);
    fs::write(&refused, &content)?;
    let command = ["file", "bob", &as_text(&refused)?];
    let message = Message::new("alice", "bob", "file refused");
    world.oracle().ask(message.clone());
    world.proxy.once("PUT", UP, Action::Answer(429, Vec::new()));
    let run = world.run("alice", &command)?;
    world.proxy.clear();
    world.demand(run.code == Some(1), Kind::Silent, format!("a refused file ended with {:?}", run.code));
    world.say("alice", "bob", "it is not taken yet")?;
    world.run("alice", &command)?.succeeded("file")?;
    world.oracle().due(message);

    // What comes is damaged, or ends too early. Nothing of it is left, and the user's own files are.
    let run = world.receive("bob")?;
    let [from, id] = run.received().find_map(named_file).context("no file was received")?;
    let copy = path("copy");
    let own = ["copy.part", "copy.sealed"].map(path);
    own.iter().try_for_each(|own| fs::write(own, "the user's own"))?;
    let fetch = ["fetch", &from, &id, &as_text(&copy)?];
    let whole = get_file(world, &id)?;
    let mut damaged = whole.clone();
    *damaged.get_mut(1_000).context("a short file")? ^= 1;
    for part in [damaged, whole.get(..40_000).context("a short file")?.to_vec()] {
        // The rest of a short one does not come either.
        world.proxy.once("GET", DOWN, Action::Answer(200, part));
        world.proxy.once("GET", DOWN, Action::Answer(200, Vec::new()));
        let run = world.run("bob", &fetch)?;
        world.proxy.clear();
        let is_refused = run.code == Some(1) && !copy.exists();
        world.demand(is_refused, Kind::Foreign, format!("a damaged file ended with {:?}", run.code));
    }
    if !world.lacks("fetching it again") {
        world.run("bob", &fetch)?.succeeded("fetch")?;
    }
    world.demand(fs::read(&copy).is_ok_and(|copy| copy == content), Kind::Lost, "the file has not arrived");
    let are_kept = own.iter().all(|own| fs::read(own).is_ok_and(|own| own == b"the user's own"));
    world.demand(are_kept, Kind::Kept, "the user's own files were changed");

    a_file_whose_delivery_was_cut_is_sent_once(world)?;

    // Two at once.
    let names = ["one", "two"];
    for (number, name) in (1..).zip(names) {
        fs::write(path(name), vec![number; 2_500_000])?;
    }
    in_parallel(&names, |name| world.send_file("alice", "bob", &as_text(&path(name))?).map(drop))?;
    let run = world.receive("bob")?;
    for received in run.received() {
        let [from, id] = named_file(received).context("no file")?;
        let File { name, .. } = received.file.as_ref().context("no file")?;
        let copy = path(&format!("{name}.copy"));
        world.run("bob", &["fetch", &from, &id, &as_text(&copy)?])?.succeeded("fetch")?;
        world.demand(fs::read(&copy)? == fs::read(path(name))?, Kind::Lost, format!("{name} is another file"));
    }
    world.settle(&["alice", "bob"])?;
    world.judge(9)
}

/// The delivery of a file's message is cut, before the server has it or after, and the user runs the command again: at once,
/// or when another command has sent the outbox.
fn a_file_whose_delivery_was_cut_is_sent_once(world: &World) -> Result<()> {
    for (action, name, is_sent) in [(Action::CutBefore, "cut", false), (Action::CutAfter, "cut late", true)] {
        let (path, content) = (world.folder.join(name), vec![5; 70_000]);
        fs::write(&path, &content)?;
        let command = ["file", "bob", path.to_str().context("a path")?];
        let message = Message::new("alice", "bob", &format!("file {name}"));
        world.oracle().ask(message.clone());
        world.proxy.once("POST", "/accounts/bob/messages", action);
        let run = world.run("alice", &command)?;
        world.proxy.clear();
        world.demand(run.code == Some(1), Kind::Silent, format!("a file that was cut ended with {:?}", run.code));
        if is_sent {
            world.run("alice", &["maintain"])?.succeeded("maintain")?;
        }
        if world.lacks("the same file") {
            fs::write(&path, &content)?;
        }
        let uploaded = world.proxy.bytes_sent("PUT", UP);
        let run = world.run("alice", &command)?;
        run.succeeded("file")?;
        let again = world.proxy.bytes_sent("PUT", UP).saturating_sub(uploaded);
        let is_once = again == 0 && run.has(&["already_sealed"]);
        world.demand(is_once, Kind::Repeated, format!("{again} bytes uploaded again, {:?}", run.events));
        world.oracle().due(message);
    }
    world.receive("bob").map(drop)
}

/// A sealed file that has one part.
fn get_file(world: &World, id: &str) -> Result<Vec<u8>> {
    crate::stranger::get_url(format!("http://{}/files/{id}?offset=0", world.relay.address()))
}
