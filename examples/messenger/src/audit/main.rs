// SPDX-License-Identifier: MIT OR Apache-2.0
//! Audits a real server process in both of its forms. An honest server must be clean. A server faulty in one of five ways
//! must be flagged for that fault.
//!
//! ```text
//! two devices that record ── HTTP ── proxy that keeps everything ── relay ── SQLite or PostgreSQL
//!                                         traffic/                 memory    files, WAL, relay.log, memory
//! ```
//!
//! The devices run in this process, whose memory is not evidence: only the servers' memory is.

mod client;
mod conversation;
mod proxy;
mod server;

use client::Outcome;
use conversation::Helps;
use noescrow_audit::{Audit, Evidence, Finding, FindingKind, Tape, Verdict};
use noescrow_recorder::profile;
use proxy::Proxy;
use server::{Cluster, Relay};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A server, its client's part in the leak, and what the audit must find.
struct Case {
    name: &'static str,
    broken: Option<&'static str>,
    helps: Helps,
    expected: &'static [Expected],
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
        expected: &[Expected(FindingKind::SecretInEvidence, "root key", Some((DATABASE, "hex")))],
    },
    Case {
        name: "has deleted an escrowed root key",
        broken: Some("deleted"),
        helps: Helps::RootKey,
        expected: &[Expected(FindingKind::SecretInEvidence, "root key", Some((DATABASE, "hex")))],
    },
    Case {
        name: "remembers previews",
        broken: Some("preview"),
        helps: Helps::Text,
        expected: &[
            // The text is a part of what was sealed.
            Expected(FindingKind::FragmentInEvidence, "plaintext", Some(("memory of the relay", "raw"))),
            Expected(FindingKind::FragmentInEvidence, "plaintext", Some(("traffic", "raw"))),
        ],
    },
];

/// The form's database among the places of a finding.
const DATABASE: &str = "database";

/// Where the relay keeps its state.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Sqlite,
    Postgres,
}

impl Form {
    fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }

    /// The part of a path by which the database's files are known: of PostgreSQL those of tables, not its log.
    fn database(self) -> &'static str {
        match self {
            Self::Sqlite => "relay.db",
            Self::Postgres => "data/base/",
        }
    }
}

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: audit FOLDER");
        return ExitCode::from(2);
    };
    let (mut audited, mut deviations) = (0, 0);
    for form in [Form::Sqlite, Form::Postgres] {
        if form == Form::Postgres && !server::has_postgres() {
            println!("\nPostgreSQL is missing, and was NOT AUDITED: .ci/tools postgres");
            deviations += 1;
            continue;
        }
        for case in &CASES {
            audited += 1;
            let name = format!("{}, {}", form.name(), case.name);
            match case.run(form, &folder.join(name.replace(", ", "-").replace(' ', "-"))) {
                Ok(said) => println!("{name:<45} {said}"),
                Err(error) => {
                    deviations += 1;
                    println!("{name:<45} DEVIATES: {error}");
                }
            }
        }
    }
    println!("\n{audited} servers audited, {deviations} deviations; evidence and traces are in {}", folder.display());
    if deviations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Case {
    fn run(&self, form: Form, folder: &Path) -> Outcome<String> {
        let evidence = folder.join("evidence");
        fs::create_dir_all(&evidence)?;
        let cluster = match form {
            Form::Sqlite => None,
            Form::Postgres => Some(Cluster::start()?),
        };
        let relay = Relay::start(&evidence, cluster.as_ref(), self.broken)?;
        let proxy = Proxy::start(relay.address, &evidence.join("traffic"))?;
        let tape = Tape::in_memory();
        let devices = tempfile::tempdir()?;
        self.helps.talk(&tape, proxy.address, &format!("http://{}", relay.address), devices.path())?;
        proxy.settle()?;
        // Next to the evidence, not in it: the trace has every secret.
        fs::write(folder.join("run.trace"), tape.bytes())?;

        // Until its memory was read, the process that serves it exists.
        let connection = cluster.as_ref().map(Cluster::checkpoint).transpose()?;
        if let Some(cluster) = &cluster {
            cluster.dump_memory(&evidence.join("memory of PostgreSQL"))?;
        }
        drop(connection);
        let mut audit = Audit::of(profile(), &tape)?
            .server_files(&evidence)
            .with(|evidence| evidence.process("memory of the relay", relay.pid()))
            // The texts of this run are like no other software's: any part of one that is found has leaked.
            .known(Evidence::new());
        if let Some(cluster) = &cluster {
            audit = audit.server_files(&cluster.data());
        }
        let verdict = audit.verdict();
        fs::write(folder.join("report.html"), verdict.to_html(&[]))?;
        self.judge(form, &verdict)
    }

    /// Whether the audit reported what it must: nothing for the honest server, and the fault of a faulty one.
    fn judge(&self, form: Form, verdict: &Verdict) -> Outcome<String> {
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
                    let source = if *source == DATABASE { form.database() } else { source };
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
