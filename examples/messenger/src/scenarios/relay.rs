// SPDX-License-Identifier: MIT OR Apache-2.0
//! Relay processes on one folder or one PostgreSQL database.

use crate::world::program;
use anyhow::{Context, Result, ensure};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A relay: one process, or several that share a database.
pub(crate) struct Relay {
    pub(crate) folder: PathBuf,
    /// The origin under which clients reach it, besides its address.
    name: String,
    database: Option<Postgres>,
    processes: Vec<Process>,
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
        let mut relay = Self { folder: folder.join("relay"), name, database, processes: Vec::new() };
        relay.start_again()?;
        Ok(relay)
    }

    /// Starts one more process.
    pub(crate) fn start_again(&mut self) -> Result<()> {
        let mut command = Command::new(program("relay")?);
        command.arg("--folder").arg(&self.folder).args(["--name", &self.name]);
        if let Some(database) = &self.database {
            command.args(["--postgres", &database.url()]);
        }
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.folder.join("stderr"))?;
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).spawn()?;
        let output = child.stdout.take().context("no output")?;
        // Pushed first: what does not start is ended when this value is dropped.
        self.processes.push(Process { child, address: SocketAddr::from(([127, 0, 0, 1], 0)) });
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let process = self.processes.last_mut().context("no process")?;
        let address = line.trim().trim_start_matches("http://");
        process.address = address.parse().with_context(|| format!("the relay did not start: {line:?}"))?;
        Ok(())
    }

    /// The address of the process that was started first.
    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses().next().unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    pub(crate) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.processes.iter().map(|process| process.address)
    }

    /// Kills every process.
    pub(crate) fn stop(&mut self) {
        self.processes.clear();
    }

    /// Copies what the relay has saved. It must be stopped.
    pub(crate) fn back_up(&self) -> Result<()> {
        ensure!(self.processes.is_empty(), "a relay is backed up while it runs");
        match &self.database {
            Some(database) => database.copy(&database.name, &format!("{}_backup", database.name)),
            None => crate::world::copy_folder(&self.folder, &self.backup()),
        }
    }

    /// Puts back what was copied. The relay must be stopped.
    pub(crate) fn put_back(&self) -> Result<()> {
        ensure!(self.processes.is_empty(), "a relay is put back while it runs");
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
