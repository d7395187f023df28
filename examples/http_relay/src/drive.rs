// SPDX-License-Identifier: MIT OR Apache-2.0
//! Audits a real server process. An honest server must be clean. A server faulty in one of five ways must be flagged
//! for that fault.
//!
//! ```text
//! two devices that record ── HTTP ── proxy that keeps everything ── relay ── SQLite
//!                                         traffic/                 memory    relay.db, its WAL, relay.log
//! ```
//!
//! The devices run in this process, whose memory is not evidence: only the relay's memory is.

mod client;
mod proxy;

use client::{Client, Device, Outcome, Session};
use data_encoding::{BASE64, HEXLOWER};
use noescrow::{AccessKey, InitiateOptions, UnixSeconds};
use noescrow_audit::{Audit, Finding, FindingKind, Kind, Role, Tape, TraceReader, Verdict};
use noescrow_recorder::{Recorder, profile};
use proxy::Proxy;
use rand_core::UnwrapErr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

/// Messages that each device sends.
const MESSAGES: usize = 6;

/// A server, its client's part in the leak, and what the audit must find.
struct Case {
    name: &'static str,
    broken: Option<&'static str>,
    helps: Helps,
    expected: &'static [Expected],
}

/// What a client that is too helpful hands over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Helps {
    Not,
    /// Both ratchets' keys of a message, "to debug".
    MessageKeys,
    /// Half a chain key, "as a fingerprint".
    HalfChainKey,
    /// The root key, "for recovery".
    RootKey,
    /// The text itself, "as a preview".
    Text,
}

/// A finding: its kind, the beginning of its name, and one of its places with the encoding there.
struct Expected(FindingKind, &'static str, Option<(&'static str, &'static str)>);

const CASES: [Case; 6] = [
    Case { name: "honest", broken: None, helps: Helps::Not, expected: &[] },
    Case {
        name: "logs a debug header",
        broken: Some("log"),
        helps: Helps::MessageKeys,
        expected: &[
            Expected(FindingKind::SecretInEvidence, "message key", Some(("relay.log", "base64"))),
            Expected(FindingKind::SecretInEvidence, "post-quantum message key", Some(("relay.log", "base64"))),
            Expected(FindingKind::Derivable, "plaintext", None),
        ],
    },
    Case {
        name: "logs half a key",
        broken: Some("log"),
        helps: Helps::HalfChainKey,
        expected: &[Expected(FindingKind::FragmentInEvidence, "chain key", Some(("relay.log", "hex")))],
    },
    Case {
        name: "keeps an escrowed root key",
        broken: Some("escrow"),
        helps: Helps::RootKey,
        expected: &[Expected(FindingKind::SecretInEvidence, "root key", Some(("relay.db", "hex")))],
    },
    Case {
        name: "has deleted an escrowed root key",
        broken: Some("deleted"),
        helps: Helps::RootKey,
        expected: &[Expected(FindingKind::SecretInEvidence, "root key", Some(("relay.db", "hex")))],
    },
    Case {
        name: "remembers previews",
        broken: Some("preview"),
        helps: Helps::Text,
        expected: &[
            Expected(FindingKind::PlaintextInEvidence, "plaintext", Some(("memory of the relay", "raw"))),
            Expected(FindingKind::PlaintextInEvidence, "plaintext", Some(("traffic", "raw"))),
        ],
    },
];

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: drive FOLDER");
        return ExitCode::from(2);
    };
    let mut deviations = 0;
    for case in &CASES {
        match case.run(&folder.join(case.name.replace(' ', "-"))) {
            Ok(said) => println!("{:<34} {said}", case.name),
            Err(error) => {
                deviations += 1;
                println!("{:<34} DEVIATES: {error}", case.name);
            }
        }
    }
    println!(
        "\n{} servers audited, {deviations} deviations; evidence and traces are in {}",
        CASES.len(),
        folder.display()
    );
    if deviations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Case {
    fn run(&self, folder: &Path) -> Outcome<String> {
        let evidence = folder.join("evidence");
        fs::create_dir_all(&evidence)?;
        let relay = Relay::start(&evidence, self.broken)?;
        let proxy = Proxy::start(relay.address, &evidence.join("traffic"))?;
        let tape = Tape::in_memory();
        self.talk(&tape, proxy.address)?;
        proxy.settle()?;
        // Next to the evidence, not in it: the trace has every secret.
        fs::write(folder.join("run.trace"), tape.bytes())?;

        let verdict = Audit::of(profile(), &tape)?
            .server_files(&evidence)
            .with(|evidence| evidence.process("memory of the relay", relay.process.id()))
            .verdict();
        fs::write(folder.join("report.html"), verdict.to_html(None))?;
        self.judge(&verdict)
    }

    /// Two devices set up a session and exchange messages.
    fn talk(&self, tape: &Tape, server: SocketAddr) -> Outcome<()> {
        let mut rng = UnwrapErr(getrandom::SysRng);
        let now = UnixSeconds::from(SystemTime::now().duration_since(UNIX_EPOCH)?);
        let recorder = |name| Recorder::device(tape, name);
        let alice = Device::generate_with(recorder("Alice")?, now, &mut rng);
        let mut bob = Device::generate_with(recorder("Bob")?, now, &mut rng);
        let mut alices = Client { server, account: "+14153333333", extra: None };
        let mut bobs = Client { server, account: "+14152222222", extra: None };

        // Each sends the own access key to the other; an app does so inside the session.
        let [alices_key, bobs_key, old_key] = [(); 3].map(|()| AccessKey::generate(&mut rng));
        bobs.publish(&bob.publish(5, now, &mut rng)?, old_key.hash())?;
        let mut copy = Device::generate_with(recorder("a third")?, now, &mut rng);
        alices.publish(&copy.publish(1, now, &mut rng)?, alices_key.hash())?;
        let (mut session, hello): (Session, _) = alice.initiate(
            alices.fetch(bobs.account)?,
            b"hello Bob, shall we talk?",
            InitiateOptions::unverified(now),
            &mut rng,
        )?;
        alices.send(bobs.account, &hello, None)?;
        let hello = bobs.receive()?.pop().ok_or("the first message did not come")?;
        let accepted = bob.open(&hello)?.accept(b"").map_err(|failed| failed.error)?;
        let (mut theirs, first): (Session, _) = accepted;
        same(&first.plaintext, b"hello Bob, shall we talk?")?;
        // Bob has blocked somebody. Whoever lacks the new key, or has none, cannot send messages of a session.
        bobs.rotate_access_key(bobs_key.hash())?;
        let refused = theirs.encrypt(b"to myself", &mut rng)?;
        for key in [None, Some(&old_key)] {
            if bobs.send(bobs.account, &refused, key).is_ok() {
                return Err("a message without the access key was accepted".into());
            }
        }
        for number in 0..MESSAGES {
            let text = format!("number {number} from Bob, for Alice's eyes only");
            bobs.send(alices.account, &theirs.encrypt(text.as_bytes(), &mut rng)?, Some(&alices_key))?;
            let message = alices.receive()?.pop().ok_or("a message did not come")?;
            same(&session.decrypt(&message)?.plaintext, text.as_bytes())?;

            let text = format!("number {number} from Alice, for Bob's eyes only");
            let message = session.encrypt(text.as_bytes(), &mut rng)?;
            self.help(&mut alices, tape, &text)?;
            alices.send(bobs.account, &message, Some(&bobs_key))?;
            let message = bobs.receive()?.pop().ok_or("a message did not come")?;
            same(&theirs.decrypt(&message)?.plaintext, text.as_bytes())?;
        }
        // A message that stays waiting, for the database to contain.
        alices.send(bobs.account, &session.encrypt(b"are you still there, Bob?", &mut rng)?, Some(&bobs_key))?;
        // This request overwrites what the last one left in the server's buffers.
        alices.idle()
    }

    fn help(&self, client: &mut Client, tape: &Tape, text: &str) -> Outcome<()> {
        match self.helps {
            Helps::Not => {}
            Helps::MessageKeys => {
                let keys = [latest(tape, Wanted::Message)?, latest(tape, Wanted::PostQuantumMessage)?];
                client.extra = Some(("x-debug", BASE64.encode(&keys.concat())));
            }
            Helps::HalfChainKey => {
                client.extra = Some(("x-debug", HEXLOWER.encode(&latest(tape, Wanted::Chain)?[..16])));
            }
            Helps::RootKey => client.keep_for_recovery(&HEXLOWER.encode(&latest(tape, Wanted::Root)?))?,
            Helps::Text => client.extra = Some(("x-preview", text.to_owned())),
        }
        Ok(())
    }

    /// Whether the audit reported what it must: nothing for the honest server, and the fault of a faulty one.
    fn judge(&self, verdict: &Verdict) -> Outcome<String> {
        let examined = &verdict.examined;
        if self.expected.is_empty() {
            return match verdict.holds() {
                true => Ok(format!(
                    "clean: nothing in {} MB; {} of {} public values seen",
                    examined.bytes / 1_000_000,
                    examined.public_values_seen,
                    examined.public_values
                )),
                false => Err(format!("not clean\n{verdict}").into()),
            };
        }
        for Expected(kind, what, place) in self.expected {
            let fits = |finding: &&Finding| {
                let there = |(source, encoding): &(&str, &str)| {
                    finding.places.iter().any(|at| at.source.contains(source) && at.encoding.contains(encoding))
                };
                finding.what.starts_with(what) && place.as_ref().is_none_or(there)
            };
            if verdict.of_kind(*kind).find(fits).is_none() {
                return Err(format!("not flagged for {kind}: {what}, {place:?}\n{verdict}").into());
            }
        }
        let count = verdict.findings.len() + verdict.findings_not_listed;
        Ok(format!("flagged: {} ({count} findings)", self.expected[0].0))
    }
}

fn same(one: &[u8], other: &[u8]) -> Outcome<()> {
    if one == other { Ok(()) } else { Err("another text came than was sent".into()) }
}

/// The relay's process, killed when this value is dropped.
struct Relay {
    process: Child,
    address: SocketAddr,
}

impl Relay {
    fn start(folder: &Path, broken: Option<&str>) -> Outcome<Self> {
        let program = std::env::current_exe()?.with_file_name("relay");
        let mut command = Command::new(program);
        command.arg("--folder").arg(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
        if let Some(leak) = broken {
            command.args(["--broken", leak]);
        }
        let mut process = command.spawn()?;
        let mut line = String::new();
        let output = process.stdout.take().ok_or("no output")?;
        BufReader::new(output).read_line(&mut line)?;
        // Construct the value first: it ends a relay that printed nothing useful.
        let mut relay = Self { process, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        relay.address = line.trim().parse().map_err(|_| "the relay did not start")?;
        Ok(relay)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The key that the driver takes from the tape to leak it.
enum Wanted {
    Message,
    PostQuantumMessage,
    Chain,
    Root,
}

/// The latest such key of Alice's.
fn latest(tape: &Tape, wanted: Wanted) -> Outcome<Vec<u8>> {
    let mut found = None;
    TraceReader::new(tape.bytes().as_slice())?.for_each(|operation| {
        let Some(output) = operation.output(Role::KdfOutput).filter(|_| operation.participant == 0) else { return };
        let constant = operation.input(Role::Context).unwrap_or_default();
        // KDF_CK's constants (spec/protocol.md §9), and the root key before KDF_RK_HE's three keys.
        let key = match (&wanted, operation.kind, constant) {
            (Wanted::Message, Kind::Hmac, [1]) | (Wanted::Chain, Kind::Hmac, [2]) => Some(output),
            // KDF_SCKA_CK's 64 bytes (§8): the next chain key, and the message key.
            (Wanted::PostQuantumMessage, Kind::HkdfExpand, b"noescrow-v1 pq ck") => output.get(32..),
            (Wanted::Root, Kind::Hkdf, _) if output.len() == 96 => output.get(..32),
            _ => None,
        };
        found = key.map(<[u8]>::to_vec).or(found.take());
    })?;
    found.ok_or_else(|| "no such key on the tape".into())
}
