// SPDX-License-Identifier: MIT OR Apache-2.0
//! Relay processes on one folder or one PostgreSQL database.

use crate::world::program;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Names the file with the seconds by which the relay's clock is ahead of the system's.
const AHEAD: &str = "NOESCROW_AHEAD";

/// A relay: one process, or several that share a database.
pub(crate) struct Relay {
    pub(crate) folder: PathBuf,
    /// The origin under which clients reach it, besides its address.
    name: String,
    database: Option<Postgres>,
    processes: Mutex<Vec<Process>>,
}

struct Process {
    child: Child,
    address: SocketAddr,
}

/// A database in a cluster that somebody else has started.
struct Postgres {
    /// The cluster: `host=/folder/of/its/socket user=postgres`.
    cluster: String,
    name: String,
}

impl Relay {
    /// Starts a relay in `folder`/relay. With a cluster of PostgreSQL it gets a new database there.
    pub(crate) fn start(folder: &Path, name: String, cluster: Option<&str>) -> Result<Self> {
        let database = cluster.map(|cluster| Postgres::create(cluster, folder)).transpose()?;
        let relay = Self { folder: folder.join("relay"), name, database, processes: Mutex::default() };
        relay.set_ahead(0)?;
        relay.start_again()?;
        Ok(relay)
    }

    /// Sets the clock of its processes, in seconds ahead of the system's. What is old is deleted when one is started.
    pub(crate) fn set_ahead(&self, seconds: u64) -> Result<()> {
        let (file, part) = (self.folder.with_extension("ahead"), self.folder.with_extension("ahead-part"));
        fs::write(&part, seconds.to_string())?;
        Ok(fs::rename(part, file)?)
    }

    /// Starts one more process.
    pub(crate) fn start_again(&self) -> Result<()> {
        self.start_on(self.database.as_ref().map(Postgres::url).as_deref())
    }

    /// Starts one more process, on a database of its own.
    pub(crate) fn start_apart(&self) -> Result<()> {
        let database = self.database.as_ref().context("one relay has one folder")?;
        let apart = Postgres { cluster: database.cluster.clone(), name: format!("{}_apart", database.name) };
        apart.run("dropdb", &["--if-exists", "--force", &apart.name])?;
        apart.run("createdb", &[&apart.name])?;
        self.start_on(Some(&apart.url()))
    }

    fn start_on(&self, database: Option<&str>) -> Result<()> {
        let mut command = Command::new(program("relay")?);
        command.arg("--folder").arg(&self.folder).args(["--name", &self.name]);
        if let Some(database) = database {
            command.args(["--postgres", database]);
        }
        command.env(AHEAD, self.folder.with_extension("ahead"));
        let log = fs::OpenOptions::new().create(true).append(true).open(self.folder.join("stderr"))?;
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).spawn()?;
        // What does not start is ended when this value is dropped.
        let mut process = Process { child, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let output = process.child.stdout.take().context("no output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let address = line.trim().trim_start_matches("http://");
        process.address = address.parse().with_context(|| format!("the relay did not start: {line:?}"))?;
        self.processes().push(process);
        Ok(())
    }

    fn processes(&self) -> MutexGuard<'_, Vec<Process>> {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The address of the process that was started first.
    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses().first().copied().unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.processes().iter().map(|process| process.address).collect()
    }

    /// Kills every process.
    pub(crate) fn stop(&self) {
        self.processes().clear();
    }

    /// Copies what the relay has saved. It must be stopped.
    pub(crate) fn back_up(&self) -> Result<()> {
        ensure!(self.processes().is_empty(), "a relay is backed up while it runs");
        match &self.database {
            Some(database) => database.copy(&database.name, &format!("{}_backup", database.name)),
            None => crate::world::copy_folder(&self.folder, &self.backup()),
        }
    }

    /// Puts back what was copied. The relay must be stopped.
    pub(crate) fn put_back(&self) -> Result<()> {
        ensure!(self.processes().is_empty(), "a relay is put back while it runs");
        match &self.database {
            Some(database) => {
                database.run("dropdb", &["--force", &database.name])?;
                database.copy(&format!("{}_backup", database.name), &database.name)
            }
            None => crate::world::put_back(&self.folder, &self.backup()),
        }
    }

    fn backup(&self) -> PathBuf {
        self.folder.with_extension("backup")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Postgres {
    fn create(cluster: &str, folder: &Path) -> Result<Self> {
        // Names of databases have 63 bytes at most.
        let name = folder.file_name().context("no name")?.to_string_lossy().to_lowercase().replace('-', "_");
        // Its end tells controls apart.
        let name: String = name.chars().skip(name.len().saturating_sub(50)).collect();
        let database = Self { cluster: cluster.to_owned(), name };
        database.run("dropdb", &["--if-exists", "--force", &database.name])?;
        database.run("dropdb", &["--if-exists", "--force", &format!("{}_backup", database.name)])?;
        database.run("createdb", &[&database.name])?;
        Ok(database)
    }

    fn url(&self) -> String {
        format!("{} dbname={}", self.cluster, self.name)
    }

    fn copy(&self, from: &str, to: &str) -> Result<()> {
        self.run("createdb", &["--template", from, to])
    }

    /// Runs a tool of PostgreSQL on the cluster.
    fn run(&self, tool: &str, arguments: &[&str]) -> Result<()> {
        let part = |name: &str| self.cluster.split(' ').find_map(|part| part.strip_prefix(name));
        let host = part("host=").context("the cluster has no host=")?;
        let user = part("user=").context("the cluster has no user=")?;
        let mut command = Command::new(tool);
        command.args(["--host", host, "--username", user]).args(arguments).stderr(Stdio::piped());
        let output = command.output().with_context(|| format!("{tool} is missing"))?;
        ensure!(output.status.success(), "{tool} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(())
    }
}
