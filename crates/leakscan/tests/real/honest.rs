// SPDX-License-Identifier: MIT OR Apache-2.0
//! Honest evidence is clean: the memory of idle programs, and the files of the system on which the test runs. Nothing of
//! the run is found in it, and all of it is examined. A key in the same evidence is found.
//!
//! It is examined if `NOESCROW_REAL` is set, since it takes a minute, and since a system may have a file that is damaged.
//! The files are a part of `/etc` and `/usr`; `NOESCROW_HONEST` has other paths, separated by colons, of which all files
//! are searched. What is not clean is printed at once.

use super::postgres::Server;
use super::{Scratch, hex, index_of, is_absent, random};
use leakscan::{Evidence, Findings};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The environment variable of a program that holds a key.
const KEY: &str = "LEAKSCAN_TEST_KEY";
/// Time in which a program starts. One that needs longer has fewer pages to examine.
const START: Duration = Duration::from_millis(1500);
/// Files of a folder, and bytes of each, that are a part of it.
const FILES: usize = 40;
const LARGEST: u64 = 4 << 20;
/// One file in so many of a part is also searched with a key in it, and every file of all, up to the same length.
const PLANTED: usize = 8;

/// Files whose content really cannot be examined, each with the reason, which holds on any system.
const UNREADABLE: [(&str, &str); 3] = [
    ("vim90/doc/usr_23.txt", "shows the first 48 bytes of a gzip member as a hexadecimal dump"),
    ("requests-logo.ai", "has a zlib stream in which bytes are missing"),
    ("chardet/tests", "has entities of HTML that were escaped seven times"),
];

struct Idle(Child);

impl Drop for Idle {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

fn secret() -> Vec<u8> {
    random(4_900, 32)
}

/// Searches the memory of a process, which holds the key or is clean. Returns false if it cannot be read.
fn check(program: &str, pid: u32, holds: bool) -> bool {
    let searched = Evidence::new().process(program, pid).search(&index_of(&[secret()]), |_, _| {});
    let Ok(Findings { hits, statistics, .. }) = searched else {
        return !is_absent(&format!("the right to read the memory of {program}"));
    };
    assert_eq!(statistics.omissions, [""; 0], "{program}");
    assert!(statistics.bytes > 1 << 20, "{program}: {} bytes", statistics.bytes);
    assert_eq!(hits.iter().any(|hit| hit.whole), holds, "{program}: {hits:?}");
    println!("{program}: {} bytes examined, the key is in them: {holds}", statistics.bytes);
    true
}

/// Whether the evidence is examined in this run.
fn is_wanted() -> bool {
    let is_wanted = std::env::var_os("NOESCROW_REAL").is_some();
    if !is_wanted {
        println!("NOT TESTED: NOESCROW_REAL is not set");
    }
    is_wanted
}

/// Examines the memory of a program that holds no key, and of the same one that holds one.
fn assert_clean(program: &str, command: impl Fn() -> Command) {
    for holds in [false, true] {
        let mut command = command();
        if holds {
            command.env(KEY, hex(&secret()));
        }
        let started = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let Ok(child) = started else {
            is_absent(program);
            return;
        };
        let mut child = Idle(child);
        std::thread::sleep(START);
        assert!(child.0.try_wait().unwrap().is_none(), "{program} ended");
        check(program, child.0.id(), holds);
    }
}

#[test]
fn the_memory_of_python_and_node_is_clean() {
    if !is_wanted() {
        return;
    }
    let python = "import asyncio, json, ssl, sqlite3, http.server, zlib, sys; sys.stdin.read()";
    let node = "const h = require('http'), z = require('zlib'), c = require('crypto'); h.createServer(); \
                z.gzipSync('x'); process.stdin.on('data', () => {});";
    let with = |program: &'static str, option: &'static str, script: &'static str| {
        move || {
            let mut command = Command::new(program);
            command.args([option, script]);
            command
        }
    };
    assert_clean("python3", with("python3", "-c", python));
    assert_clean("node", with("node", "-e", node));
}

#[test]
fn the_memory_of_java_is_clean() {
    if !is_wanted() {
        return;
    }
    let folder = Scratch::new("java");
    let source = folder.0.join("Hold.java");
    std::fs::write(
        &source,
        "class Hold { public static void main(String[] a) throws Exception { System.in.read(); } }",
    )
    .unwrap();
    assert_clean("java", || {
        let mut command = Command::new("java");
        command.args(["-Xmx64m", "-Xshare:auto"]).arg(&source);
        command
    });
}

#[test]
fn the_memory_of_servers_is_clean() {
    if !is_wanted() {
        return;
    }
    let folder = Scratch::new("servers");
    assert_clean("redis-server", || {
        let mut command = Command::new("redis-server");
        command.args(["--port", "0", "--save", "", "--unixsocket"]).arg(folder.0.join("redis"));
        command
    });
    let path = folder.0.display();
    let lines = [
        "daemon off; master_process off;".into(),
        format!("pid {path}/pid; error_log {path}/error;"),
        format!("events {{}} http {{ access_log {path}/access; server {{ listen unix:{path}/nginx; }} }}"),
        format!("env {KEY};"),
    ];
    std::fs::write(folder.0.join("nginx.conf"), lines.join("\n")).unwrap();
    assert_clean("nginx", || {
        let mut command = Command::new("nginx");
        command.arg("-p").arg(&folder.0).arg("-c").arg(folder.0.join("nginx.conf"));
        command
    });
}

#[test]
fn the_memory_of_postgresql_is_clean() {
    if !is_wanted() {
        return;
    }
    let Some(server) = Server::start("honest", "") else { return };
    let pid = std::fs::read_to_string(server.data().join("postmaster.pid")).unwrap();
    let pid: u32 = pid.lines().next().unwrap().parse().unwrap();
    if check("postgres", pid, false) {
        // In a page that all processes share.
        server.sql(&format!("CREATE TABLE keys (key bytea); INSERT INTO keys VALUES ('\\x{}');", hex(&secret())));
        check("postgres", pid, true);
    }
}

/// The files below a path, in a fixed order; of a folder, at most `most`, and none longer than `largest`.
fn files(path: &Path, most: usize, largest: u64, files_found: &mut Vec<PathBuf>) {
    let Ok(kind) = path.symlink_metadata() else { return };
    if kind.is_file() && kind.len() <= largest {
        files_found.push(path.to_path_buf());
    } else if kind.is_dir() {
        let mut entries: Vec<PathBuf> =
            std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        entries.sort();
        entries.iter().take(most).for_each(|entry| files(entry, most, largest, files_found));
    }
}

#[test]
fn the_files_of_a_system_are_clean() {
    if !is_wanted() {
        return;
    }
    let (paths, most, largest, every) = match std::env::var("NOESCROW_HONEST") {
        Ok(paths) => (paths, usize::MAX, u64::MAX, 1),
        Err(_) => ("/etc:/usr/bin:/usr/lib/x86_64-linux-gnu:/usr/share/doc".into(), FILES, LARGEST, PLANTED),
    };
    let mut all = Vec::new();
    paths.split(':').for_each(|path| files(Path::new(path), most, largest, &mut all));
    let index = index_of(&[secret()]);
    let (mut bytes, mut decoded, mut streams, mut planted, mut unopened) = (0, 0, 0, 0, 0);
    let (mut unreadable, mut unclean, mut printed) = (Vec::new(), Vec::new(), 0);
    for (number, file) in all.iter().enumerate() {
        let name = file.display().to_string();
        let Ok(found) = Evidence::new().file(&name, file).search(&index, |_, _| {}) else {
            unopened += 1;
            continue;
        };
        let reason = UNREADABLE.iter().find(|(of, _)| name.contains(of));
        if !found.statistics.omissions.is_empty() {
            match reason {
                Some((_, reason)) => unreadable.push(format!("{name}: {reason}")),
                None => unclean.push(format!("{name}: {:?}", found.statistics.omissions)),
            }
        }
        if !found.hits.is_empty() {
            unclean.push(format!("{name}: {:?}", found.hits));
        }
        (bytes, decoded) = (bytes + found.statistics.bytes, decoded + found.statistics.decoded);
        streams += found.statistics.streams;
        if number % every == 0 && found.statistics.bytes <= LARGEST {
            let mut held = Vec::new();
            std::fs::File::open(file).unwrap().read_to_end(&mut held).unwrap();
            let middle = held.len() / 2;
            held.splice(middle..middle, secret());
            let found = Evidence::new().bytes(&name, &held).search(&index, |_, _| {}).unwrap();
            if !found.hits.iter().any(|hit| hit.whole) {
                unclean.push(format!("{name}: the key in its middle was not found"));
            }
            planted += 1;
        }
        unclean[printed..].iter().for_each(|line| println!("{line}"));
        printed = unclean.len();
    }
    println!(
        "{} files, {bytes} bytes, {decoded} decoded, {streams} streams: none left out; {planted} of {planted} keys found; \
         {unopened} files that cannot be opened; {} that cannot be examined: {unreadable:?}",
        all.len(),
        unreadable.len()
    );
    assert!(unclean.is_empty(), "{} of {} are not clean: {unclean:#?}", unclean.len(), all.len());
    assert!(
        unopened < all.len() / 10 + 1 && planted > 10 || all.len() < 10 * PLANTED,
        "{} files in {paths}",
        all.len()
    );
}
