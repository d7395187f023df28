// SPDX-License-Identifier: MIT OR Apache-2.0
//! PostgreSQL: values that are compressed or stored in chunks, in the files of tables and in the log.

use super::{Scratch, gzip, hex, index_of, is_absent, random, run, search, whole, words};
use leakscan::Encoding;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) struct Server {
    programs: PathBuf,
    folder: Scratch,
}

impl Server {
    /// `None` if it is not installed.
    pub(crate) fn start(name: &str, options: &str) -> Option<Self> {
        let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let mut programs: Vec<PathBuf> = versions.map(|entry| entry.path().join("bin")).collect();
        programs.sort();
        let Some(programs) = programs.pop() else {
            is_absent("PostgreSQL");
            return None;
        };
        let folder = Scratch::new(name);
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(&folder.0));
        }
        let server = Self { programs, folder };
        run(server.command("initdb").arg("-D").arg(server.data()).args(["-A", "trust", "--no-sync"]));
        let options = format!("-k {} -h '' -c fsync=off {options}", server.folder.0.display());
        // Its output would be read until it ends.
        let log = server.folder.0.join("log");
        run(server
            .command("pg_ctl")
            .arg("-D")
            .arg(server.data())
            .arg("-l")
            .arg(log)
            .args(["-o", &options, "-w", "start"]));
        Some(server)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.0.join("data")
    }

    /// A program of the server, which refuses to run as root.
    fn command(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        if !is_root() {
            return Command::new(program);
        }
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]).arg(program);
        command
    }

    pub(crate) fn sql(&self, statements: &str) -> String {
        let mut psql = self.command("psql");
        let psql = psql.arg("-h").arg(&self.folder.0).args(["-d", "postgres", "-qAtX", "-v", "ON_ERROR_STOP=1", "-f"]);
        // A command line is too short for large values.
        let file = self.folder.0.join("statements");
        std::fs::write(&file, statements).unwrap();
        run(psql.arg(file))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.command("pg_ctl").arg("-D").arg(self.data()).args(["-m", "immediate", "stop"]).output();
    }
}

fn is_root() -> bool {
    run(Command::new("id").arg("-u")).trim() == "0"
}

/// Values with a secret each: how PostgreSQL gets them, and the decoders that are needed to find it in a table.
fn values() -> Vec<(&'static str, String, Vec<u8>)> {
    let literal = |bytes: &[u8]| format!("'\\x{}'", hex(bytes));
    let text = |bytes: Vec<u8>| format!("'{}'", String::from_utf8(bytes).unwrap());
    let secret = |number| random(number, 32);
    // Between repetitions, so that the secret is one literal after another.
    let json = |number, len: usize| {
        let rows = (0..len / 100).map(|row| format!("{{\"id\":{row},\"kind\":\"message\",\"state\":\"delivered\"}},"));
        let mut rows: Vec<String> = rows.collect();
        // The part of the key that was there before is not written again.
        let key = hex(&secret(number));
        rows.insert(rows.len() / 3, format!("{{\"part\":\"{}\"}},", &key[20..44]));
        rows.insert(rows.len() / 2, format!("{{\"root_key\":\"{key}\"}},"));
        rows.concat().into_bytes()
    };
    // Without Base64, an inflater recovers after the header of each chunk.
    let packed = |inner: Vec<u8>| text(data_encoding::BASE64.encode(&gzip(&inner)).into_bytes());
    let around = |before: &[u8], number, after: &[u8]| [before, &secret(number), after].concat();
    let numbered = |number: u64, kind, value| (kind, value, secret(number));
    vec![
        numbered(0, "pglz", text(json(0, 5_000))),
        numbered(1, "pglz", literal(&around(&words(100, 1_500), 1, &words(101, 1_500)))),
        // Compressed, and still longer than a row may be.
        numbered(2, "pglz", literal(&around(&words(102, 30_000), 2, &words(103, 30_000)))),
        numbered(3, "lz4", text(json(3, 5_000))),
        numbered(4, "lz4", packed(around(&words(104, 40_000), 4, &words(105, 9_000)))),
        // Not words: in chunks as it is.
        numbered(5, "pglz", packed(around(&words(106, 15_000), 5, &words(107, 5_000)))),
        numbered(6, "external", packed(around(&words(108, 40_000), 6, &words(109, 10_000)))),
        // The first two chunks.
        numbered(7, "external", literal(&around(&random(110, 1_980), 7, &random(111, 1_000)))),
        numbered(8, "main", literal(&around(&words(112, 5_000), 8, &words(113, 5_000)))),
    ]
}

/// Puts all values into tables, and returns the secrets.
fn fill(server: &Server) -> Vec<Vec<u8>> {
    let mut secrets = Vec::new();
    for (number, (kind, value, secret)) in values().into_iter().enumerate() {
        let kind_of = if value.starts_with("'\\x") { "bytea" } else { "text" };
        let set = match kind {
            "external" => "set storage external",
            "main" => "set storage main",
            "lz4" => "set compression lz4",
            _ => "set compression pglz",
        };
        server.sql(&format!(
            "create table t{number}(id int, v {kind_of}); alter table t{number} alter v {set};
             insert into t{number} values (1, {value});"
        ));
        secrets.push(secret);
    }
    // A large object that is compressed page by page, with a gzip member over several pages.
    let secret = random(50, 32);
    let plain = [words(120, 9_000), random(51, 32), words(121, 9_000)].concat();
    let object = gzip(&[words(122, 40_000), secret.clone(), words(123, 10_000)].concat());
    let object = data_encoding::BASE64.encode(&object).into_bytes();
    server.sql(&format!(
        "select lo_from_bytea(0, '\\x{}'); select lo_from_bytea(0, '\\x{}');",
        hex(&plain),
        hex(&object)
    ));
    secrets.extend([random(51, 32), secret]);
    server.sql("checkpoint");
    secrets
}

fn assert_all_are_found(folder: &Path, secrets: &[Vec<u8>]) {
    let index = index_of(secrets);
    let findings = search(folder, &index, &[]);
    let all: Vec<u32> = (0..).take(secrets.len()).collect();
    assert_eq!(whole(&findings), all, "{:#?}", findings.hits);
    assert_eq!(findings.statistics.omissions, Vec::<String>::new());
    // Controls: without one decoder, some are missed; without both, all are.
    let without = |encodings: &[Encoding]| whole(&search(folder, &index, encodings)).len();
    assert!((1..all.len()).contains(&without(&[Encoding::Varlena])));
    assert!((1..all.len()).contains(&without(&[Encoding::Toast])));
    let blind = search(folder, &index, &[Encoding::Varlena, Encoding::Toast]);
    assert_eq!(whole(&blind), Vec::<u32>::new(), "{:#?}", blind.hits);
}

#[test]
fn values_of_postgresql_are_found_in_the_files_of_tables() {
    let Some(server) = Server::start("tables", "") else { return };
    let secrets = fill(&server);
    assert_all_are_found(&server.data().join("base"), &secrets);
}

/// The log holds pages and rows, whatever the checkpoint wrote.
#[test]
fn values_of_postgresql_are_found_in_the_log() {
    let Some(server) = Server::start("log", "") else { return };
    let secrets = fill(&server);
    let index = index_of(&secrets);
    let log = server.data().join("pg_wal");
    let findings = search(&log, &index, &[]);
    assert_eq!(whole(&findings), (0..).take(secrets.len()).collect::<Vec<u32>>(), "{:#?}", findings.hits);
    // What the headers of pages break is whole in the records.
    assert_eq!(findings.statistics.omissions, Vec::<String>::new());
}
