// SPDX-License-Identifier: MIT OR Apache-2.0
//! The client's program, as its user runs it, against servers that answer everything in one way.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test states its expectations")]

use noescrow::{Device, Identity};
use noescrow_messenger::{now, rng};
use noescrow_sqlite::{Folder, Options};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use tempfile::TempDir;

/// Starts a server that answers each request with this status. Returns its URL. It ends with the test.
fn server(status: u16) -> String {
    server_of(status, None)
}

/// The same, which knows the identity of each account if one is given.
fn server_of(status: u16, identity: Option<Identity>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || listener.incoming().for_each(|stream| drop(answer(&stream.unwrap(), status, identity))));
    url
}

fn answer(mut stream: &TcpStream, status: u16, identity: Option<Identity>) -> std::io::Result<()> {
    let (mut request, mut len, mut known) = (BufReader::new(stream), 0, None);
    loop {
        let mut line = String::new();
        request.read_line(&mut line)?;
        known = known.or(identity.filter(|_| line.contains("/identity ")));
        match line.trim().to_lowercase().split_once(": ") {
            Some(("content-length", value)) => len = value.parse().unwrap_or_default(),
            None if line.trim().is_empty() => break,
            _ => {}
        }
    }
    request.take(len).read_to_end(&mut Vec::new())?;
    let (status, body) = known.map_or((status, Vec::new()), |identity| (200, identity.to_bytes().to_vec()));
    write!(stream, "HTTP/1.1 {status} Mock\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len())?;
    stream.write_all(&body)
}

/// Where nothing listens.
const NOWHERE: &str = "http://127.0.0.1:1";

struct User(TempDir);

impl User {
    /// A device whose account the server has not opened.
    fn new() -> Self {
        let user = Self(tempfile::tempdir().unwrap());
        assert_eq!(user.run(NOWHERE, &["register", "bob"], "").status.code(), Some(1));
        assert!(user.home().join("account").exists() && user.witness().exists());
        user
    }

    fn home(&self) -> PathBuf {
        self.0.path().join("home")
    }

    fn witness(&self) -> PathBuf {
        self.0.path().join("witness")
    }

    fn run(&self, server: &str, arguments: &[&str], input: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_messenger"));
        command.arg("--home").arg(self.home()).arg("--witness").arg(self.witness());
        command.args(["--server", server]).args(arguments);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let _ = process.stdin.take().unwrap().write_all(input.as_bytes());
        process.wait_with_output().unwrap()
    }

    /// Deletes the account. Returns whether the client says that it is done.
    fn deletes(&self, server: &str, arguments: &[&str]) -> bool {
        let code = self.run(server, &[&["delete-account"], arguments].concat(), "").status.code();
        // 3 if the store says that it was put back.
        assert!(matches!(code, Some(0 | 1 | 3)), "{code:?}");
        code == Some(0)
    }

    /// Whether nothing is left.
    fn is_gone(&self) -> bool {
        fs::read_dir(self.0.path()).unwrap().next().is_none()
    }
}

#[test]
fn a_device_whose_account_was_recovered_elsewhere_deletes_what_it_has() {
    let other = server_of(401, Some(*Device::generate(now(), &mut rng()).identity()));
    for url in [&other, &server(404)] {
        let user = User::new();
        assert!(user.deletes(url, &[]) && user.is_gone(), "{url}");
    }
    // Control: while it is not known whether the account is there, everything stays here.
    let user = User::new();
    for url in [&server(500), &server(401), NOWHERE] {
        assert!(!user.deletes(url, &[]) && user.home().join("storage.key").exists());
    }
    assert!(user.deletes(&other, &[]) && user.is_gone());
}

#[test]
fn a_refused_login_of_this_devices_account_deletes_nothing() {
    let user = User::new();
    let folder = Folder::new(user.home(), Some(&user.witness()));
    let identity = *folder.open(Options::new(), &mut rng()).unwrap().messenger().identity();
    // The server is not reached under a name of its own.
    let run = user.run(&server_of(401, Some(identity)), &["delete-account"], "");
    assert_eq!(run.status.code(), Some(1));
    assert!(String::from_utf8(run.stdout).unwrap().contains("`--local`"));
    assert!(user.home().join("storage.key").exists() && user.witness().exists());
    assert!(folder.open(Options::new(), &mut rng()).is_ok());
    // Control: what the message names deletes it.
    assert!(user.deletes(NOWHERE, &["--local"]) && user.is_gone());
}

#[test]
fn a_device_deletes_what_it_has_without_a_server() {
    // Nor does it matter what the store says of itself.
    let damage: [(&str, &[u8]); 4] = [
        ("home/storage.key", b"no key"),
        ("home/account", b"{"),
        ("home/messenger.db", b"no database"),
        ("witness", b""),
    ];
    for (name, bytes) in damage {
        let user = User::new();
        fs::write(user.0.path().join(name), bytes).unwrap();
        // Control.
        assert!(!user.deletes(NOWHERE, &[]) && user.home().exists(), "{name}");
        assert!(user.deletes(NOWHERE, &["--local"]) && user.is_gone(), "{name}");
    }
    // Of a folder that is none of the client's, nothing is deleted.
    let user = User(tempfile::tempdir().unwrap());
    fs::create_dir_all(user.home().join("files")).unwrap();
    assert!(!user.deletes(NOWHERE, &["--local"]) && user.home().join("files").exists());
}

#[test]
fn delete_account_is_repeatable_after_a_kill_before_each_removal() {
    let begun = || {
        let user = User::new();
        fs::write(user.home().join("messenger.erasing"), b"").unwrap();
        user
    };
    let own = |path: &Path| fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let count = own(&begun().home()).len();
    assert!(count > 3);
    for removed in 0..count {
        for command in ["delete-account", "register"] {
            let user = begun();
            own(&user.home()).iter().filter(|path| !path.ends_with("messenger.erasing")).take(removed).for_each(
                |path| {
                    fs::remove_file(path).unwrap();
                },
            );
            match command {
                "register" => {
                    assert_eq!(user.run(NOWHERE, &["register", "eve"], "").status.code(), Some(1));
                    assert!(fs::read_to_string(user.home().join("account")).unwrap().contains("eve"));
                }
                _ => assert!(user.deletes(NOWHERE, &[]) && user.is_gone(), "{removed}"),
            }
        }
    }
    // Control: what nobody has begun to erase is no other account's, and stays.
    let user = User::new();
    let run = user.run(NOWHERE, &["register", "eve"], "");
    assert!(String::from_utf8(run.stdout).unwrap().contains("the folder has another account"));
    assert!(!user.deletes(NOWHERE, &[]) && user.home().exists());
}

#[test]
fn the_recovery_code_is_no_argument() {
    let code = "00112233445566778899aabbccddeeff";
    let user = User(tempfile::tempdir().unwrap());
    // It is wrong usage, and nothing is made.
    assert_eq!(user.run(&server(401), &["recover", "bob", code], "").status.code(), Some(2));
    assert!(user.is_gone());
    let says = |input: &str| {
        let run = user.run(&server(401), &["recover", "bob"], input);
        assert_eq!(run.status.code(), Some(1));
        String::from_utf8(run.stdout).unwrap()
    };
    assert!(says("").contains("no recovery code"));
    // Control: from the standard input it gets to the server, which refuses it.
    for input in [format!("{code}\n"), code.to_owned(), format!(" {code} \r\nmore\n")] {
        assert!(says(&input).contains("the recovery code is another one (status 401)"), "{input:?}");
    }
    // What is none does not.
    assert!(!says("no code\n").contains("status"));
}
