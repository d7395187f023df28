// SPDX-License-Identifier: MIT OR Apache-2.0
//! Processes of their own: this test program starts itself. A kill leaves what the operating system has; that the disk
//! has it, too, is SQLite's `synchronous=FULL`, which no test here shows.

use super::backend::{Blocking, run};
use super::concurrency::send_all;
use super::party::{Pair, database, load, pair, rng, texts};
use noescrow_sqlite::SqliteStore;
use rand_chacha::rand_core::Rng;
use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const FOLDER: &str = "NOESCROW_SQLITE_TEST_FOLDER";
const ARGUMENT: &str = "NOESCROW_SQLITE_TEST_ARGUMENT";
pub const KILLS: usize = 36;
/// A slow machine kills less often.
pub const LIMIT: Duration = Duration::from_secs(10);
pub const MESSAGES: usize = 400;
const RECEIVES: &str = "kill::child_receives";

/// Starts a test that is ignored otherwise. Its standard error is read.
pub fn start(test: &str, folder: &Path, argument: &str) -> Child {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args([test, "--exact", "--ignored", "--nocapture"]).env(FOLDER, folder).env(ARGUMENT, argument);
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

pub fn given() -> (PathBuf, String) {
    (env::var(FOLDER).unwrap().into(), env::var(ARGUMENT).unwrap())
}

/// One write, so that a kill does not divide it.
pub fn report(line: &str) {
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}

pub fn message_path(folder: &Path, number: usize) -> PathBuf {
    folder.join("mail").join(number.to_string())
}

/// Writes Alice's messages into files, which stand for the server's mailbox.
pub fn mail(pair: &mut Pair<Blocking>) {
    let folder = pair.folder.path().to_owned();
    fs::create_dir(folder.join("mail")).unwrap();
    for number in 0..MESSAGES {
        fs::write(message_path(&folder, number), pair.seal_as_alice(&number.to_be_bytes())).unwrap();
    }
}

/// Opens messages in order and reports each after it is saved, for the server to delete it. Every third is answered.
#[test]
#[ignore = "a process of another test"]
fn child_receives() {
    let (folder, argument) = given();
    let (first, reports_before_it_saves) = match argument.strip_prefix("early ") {
        Some(first) => (first.parse().unwrap(), true),
        None => (argument.parse::<usize>().unwrap(), false),
    };
    let mut store = Blocking(SqliteStore::open(database(&folder)).unwrap());
    let mut rng = rng(first as u64);
    let mut bob = run(load(&mut store, &mut rng));
    for number in first..MESSAGES {
        let message = fs::read(message_path(&folder, number)).unwrap();
        if reports_before_it_saves {
            report(&format!("saved {number}"));
            sleep(Duration::from_secs(60));
        }
        match bob.session.decrypt(&message) {
            Ok(unsaved) => drop(unsaved.save(&mut store.0).unwrap()),
            Err(_) => assert!(store.0.opened_at(&message).unwrap().is_some(), "lost"),
        }
        report(&format!("saved {number}"));
        if number % 3 == 0 {
            bob.session.encrypt(&number.to_be_bytes()[..], &mut rng).unwrap().save(&mut store.0).unwrap();
        }
    }
}

/// Runs a child until it has reported so many messages, waits, and kills it. Returns the first message that the server
/// still has.
pub fn killed(test: &str, folder: &Path, argument: &str, first: usize, reports: usize, wait: Duration) -> usize {
    let mut child = start(test, folder, argument);
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let mut next = first;
    let mut read = |line: String| match line.strip_prefix("saved ") {
        Some(number) => {
            assert_eq!(number.parse::<usize>().unwrap(), next);
            next += 1;
        }
        None => panic!("{line}"),
    };
    lines.by_ref().take(reports).for_each(&mut read);
    sleep(wait);
    child.kill().unwrap();
    child.wait().unwrap();
    // A report that was on its way arrived.
    lines.filter(|line| line.starts_with("saved")).for_each(read);
    next
}

#[test]
fn a_killed_process_loses_nothing_and_opens_nothing_twice() {
    let mut pair = run(pair::<Blocking>());
    mail(&mut pair);
    let mut closed = run(pair.closed());
    let (started, mut random, mut next, mut kills) = (Instant::now(), rng(7), 0, 0);
    while kills < KILLS && started.elapsed() < LIMIT && next + 10 < MESSAGES {
        let (reports, wait) = (random.next_u64() % 8, Duration::from_micros(random.next_u64() % 4_000));
        next = killed(RECEIVES, closed.folder.path(), &next.to_string(), next, reports as usize, wait);
        kills += 1;
    }
    let mut store = Blocking(SqliteStore::open(closed.path()).unwrap());
    let opened: Vec<_> = run(texts(&mut store));
    // The first is that of the handshake. One that was saved and not reported may follow the others.
    let expected: Vec<_> = (0..opened.len() - 1).map(|number: usize| number.to_be_bytes().to_vec()).collect();
    assert_eq!(opened[1..], expected);
    assert!((next..=next + 1).contains(&expected.len()) && next > 0 && kills >= 5, "{next} in {kills} kills");
    // The peer opens everything in the outbox: no two messages are from one state.
    for sent in store.0.outbox(usize::MAX).unwrap().iter().skip(1) {
        assert!(closed.alice.decrypt(&sent.message).is_ok());
    }
    println!("{kills} kills in {:?}", started.elapsed());
}

#[test]
fn control_a_message_that_is_reported_before_it_is_saved_is_lost() {
    let mut pair = run(pair::<Blocking>());
    mail(&mut pair);
    let closed = run(pair.closed());
    let next = killed(RECEIVES, closed.folder.path(), "early 0", 0, 1, Duration::ZERO);
    assert_eq!(next, 1, "the server has deleted it");
    let mut store = Blocking(SqliteStore::open(closed.path()).unwrap());
    assert_eq!(run(texts(&mut store)), [b"hello"]);
}

#[test]
#[ignore = "a process of another test"]
fn child_sends() {
    let (folder, seed) = given();
    let all_loaded = || {
        fs::write(folder.join(format!("loaded {seed}")), b"").unwrap();
        while !["1", "2"].iter().all(|seed| folder.join(format!("loaded {seed}")).exists()) {
            sleep(Duration::from_millis(1));
        }
    };
    let reloads = send_all(&database(&folder), seed.parse().unwrap(), 25, all_loaded);
    report(&format!("reloads {reloads}"));
}

#[test]
fn two_processes_that_send_at_once_lose_no_message() {
    let pair = run(pair::<Blocking>());
    let mut closed = run(pair.closed());
    let children = ["1", "2"].map(|seed| start("kill::child_sends", closed.folder.path(), seed));
    let reloads = children.map(|child| {
        let output = String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap();
        output.trim().strip_prefix("reloads ").unwrap_or_else(|| panic!("{output}")).parse::<usize>().unwrap()
    });
    let mut store = SqliteStore::open(closed.path()).unwrap();
    let mut texts = Vec::new();
    for sent in store.outbox(usize::MAX).unwrap().iter().skip(1) {
        texts.push(closed.alice.decrypt(&sent.message).unwrap().plaintext);
    }
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), 50);
    // Control: they met.
    assert!(reloads[0] + reloads[1] > 0);
}

/// Writing beyond a limit on the length of files fails at COMMIT, and SQLite cannot tell what the file has.
#[cfg(unix)]
mod file_limit {
    use super::*;
    use noescrow::durable::CommitError;
    use noescrow_sqlite::{Error, Options};

    /// Of the shell, 512 or 1,024 bytes. The database is smaller, and the log grows beyond it.
    const BLOCKS: u32 = 256;

    #[test]
    #[ignore = "a process of another test"]
    fn child_fills() {
        let (folder, _) = given();
        let mut store = Blocking(Options::new().open(database(&folder)).unwrap());
        store.0.opened_at(b"").unwrap();
        let mut rng = rng(5);
        let mut bob = run(load(&mut store, &mut rng));
        for _ in 0..1_000 {
            let Err(failed) = bob.session.encrypt(b"text", &mut rng).unwrap().save(&mut store.0) else { continue };
            assert!(matches!(failed.error, CommitError::Unknown(Error::Sqlite(_))), "{failed:?}");
            report("unknown");
            return;
        }
    }

    #[test]
    fn a_commit_with_an_input_output_error_is_unknown_and_repeatable() {
        let mut closed = run(run(pair::<Blocking>()).closed());
        // A signal that the shell ignores is ignored by the program, too.
        let mut command = Command::new("sh");
        command.args(["-c", &format!("trap '' XFSZ; ulimit -f {BLOCKS}; exec \"$0\" \"$@\"")]);
        command.arg(env::current_exe().unwrap());
        command.args(["kill::file_limit::child_fills", "--exact", "--ignored", "--nocapture"]);
        let output = command.env(FOLDER, closed.folder.path()).env(ARGUMENT, "").output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(stderr.trim(), "unknown", "{stderr}");
        // Control: without the limit the next process continues; the peer opens whatever is in the outbox.
        let mut store = Blocking(SqliteStore::open(closed.path()).unwrap());
        let mut bob = run(load(&mut store, &mut closed.rng));
        bob.session.encrypt(b"last", &mut closed.rng).unwrap().save(&mut store.0).unwrap();
        let outbox = store.0.outbox(usize::MAX).unwrap();
        assert!(outbox.len() > 2);
        for sent in outbox.iter().skip(1) {
            assert!(closed.alice.decrypt(&sent.message).is_ok());
        }
    }
}
