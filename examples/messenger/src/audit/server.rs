// SPDX-License-Identifier: MIT OR Apache-2.0
//! The servers that are audited: the relay's process, and a PostgreSQL of its own.

use crate::client::Outcome;
use postgres::{Client, NoTls};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Settings for a short life: less to start and to search, and no port. Without a process that removes what was deleted,
/// whatever was deleted is searched.
const SETTINGS: &str =
    "-c listen_addresses='' -c shared_buffers=8MB -c max_wal_size=32MB -c fsync=off -c autovacuum=off";

/// The relay's process, killed when this value is dropped.
pub struct Relay {
    process: Child,
    pub address: SocketAddr,
}

impl Relay {
    pub fn start(folder: &Path, database: Option<&Cluster>, broken: Option<&str>) -> Outcome<Self> {
        let program = std::env::current_exe()?.with_file_name("relay");
        let mut command = Command::new(program);
        command.arg("--folder").arg(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
        if let Some(cluster) = database {
            command.args(["--postgres", &cluster.url()]);
        }
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

    pub fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A running PostgreSQL in a temporary folder, stopped when this value is dropped. Its path is short: that of a socket
/// must be.
pub struct Cluster {
    folder: tempfile::TempDir,
}

impl Cluster {
    /// Starts a server with an empty database.
    pub fn start() -> Outcome<Self> {
        let folder = tempfile::Builder::new().prefix("noescrow").tempdir()?;
        if is_root() {
            // PostgreSQL refuses to run as root.
            let changed = Command::new("chown").arg("nobody:nogroup").arg(folder.path()).status()?;
            changed.success().then_some(()).ok_or("the cluster's folder cannot be given away")?;
        }
        let cluster = Self { folder };
        let data = cluster.data();
        cluster.program("initdb", &["--username=relay", "--auth=trust", "--no-sync", "--wal-segsize=1"])?;
        let settings = format!("{SETTINGS} -c unix_socket_directories='{}'", cluster.folder.path().display());
        let log = data.join("server.log");
        cluster.program("pg_ctl", &["--wait", "--log", &log.to_string_lossy(), "--options", &settings, "start"])?;
        Ok(cluster)
    }

    /// Runs a program of PostgreSQL on the data, as a user who may.
    fn program(&self, name: &str, arguments: &[&str]) -> Outcome<()> {
        let program = program(name).ok_or("PostgreSQL is missing: .ci/tools postgres")?;
        let mut command = match is_root() {
            true => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]).arg(program);
                command
            }
            false => Command::new(program),
        };
        command.arg("--pgdata").arg(self.data()).args(arguments).current_dir(self.folder.path());
        // Into files, and not into pipes: the server inherits them.
        let said = self.folder.path().join(format!("{name}.out"));
        let file = fs::File::create(&said)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        match command.status()?.success() {
            true => Ok(()),
            false => Err(format!("{name} failed: {}", fs::read_to_string(&said)?).into()),
        }
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn url(&self) -> String {
        format!("host={} user=relay dbname=postgres", self.folder.path().display())
    }

    /// Has everything written that the server holds in memory. As long as the connection exists, so does its process.
    pub fn checkpoint(&self) -> Outcome<Client> {
        let mut client = Client::connect(&self.url(), NoTls)?;
        client.batch_execute("CHECKPOINT")?;
        Ok(client)
    }

    /// Writes the memory of each of the server's processes to a file: the regions to which a process can write. The
    /// others are programs and libraries, in which the server can keep nothing. What all processes share is written once.
    pub fn dump_memory(&self, folder: &Path) -> Outcome<()> {
        fs::create_dir_all(folder)?;
        let main = fs::read_to_string(self.data().join("postmaster.pid"))?;
        let main = main.lines().next().ok_or("PostgreSQL has no process")?;
        let children = fs::read_to_string(format!("/proc/{main}/task/{main}/children"))?;
        for pid in children.split_whitespace().chain([main]) {
            let mut dump = fs::File::create(folder.join(pid))?;
            let memory = fs::File::open(format!("/proc/{pid}/mem"))?;
            for region in fs::read_to_string(format!("/proc/{pid}/maps"))?.lines() {
                let (range, rest) = region.split_once(' ').ok_or("a region without an end")?;
                if rest.starts_with("rw-p") || (rest.starts_with("rw-s") && pid == main) {
                    let (start, end) = range.split_once('-').ok_or("a region without an end")?;
                    let (start, end) = (u64::from_str_radix(start, 16)?, u64::from_str_radix(end, 16)?);
                    let mut bytes = vec![0; usize::try_from(end.saturating_sub(start))?];
                    memory.read_exact_at(&mut bytes, start)?;
                    dump.write_all(&bytes)?;
                }
            }
        }
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self.program("pg_ctl", &["--mode=immediate", "stop"]);
    }
}

/// Where a program of PostgreSQL is. Debian keeps them outside the path.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let folders = std::env::split_paths(&path).chain(versions.map(|version| version.path().join("bin")));
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().any(|line| line.starts_with("Uid:") && line.split_whitespace().nth(2) == Some("0"))
}

/// Whether there is a PostgreSQL on this machine.
pub fn has_postgres() -> bool {
    program("initdb").is_some() && program("pg_ctl").is_some()
}
