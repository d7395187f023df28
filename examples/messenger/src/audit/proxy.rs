// SPDX-License-Identifier: MIT OR Apache-2.0
//! A TCP proxy on loopback that keeps every byte of both directions, in one file for each direction of each connection:
//! the traffic as a wiretap in front of the server records it, already reassembled.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// Most connections of a run, one for each request.
const MAX_CONNECTIONS: usize = 1_000;

pub struct Proxy {
    pub address: SocketAddr,
    connections: Arc<Mutex<Vec<JoinHandle<io::Result<()>>>>>,
}

impl Proxy {
    /// Forwards to `server` while this process runs.
    pub fn start(server: SocketAddr, folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let connections: Arc<Mutex<Vec<JoinHandle<_>>>> = Arc::default();
        let (folder, kept) = (folder.to_path_buf(), connections.clone());
        thread::spawn(move || {
            for (number, client) in listener.incoming().enumerate().take(MAX_CONNECTIONS) {
                let Ok(client) = client else { continue };
                let folder = folder.clone();
                let connection = thread::spawn(move || forward(client, server, &folder, number));
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            }
        });
        Ok(Self { address, connections })
    }

    /// Waits until every connection so far is closed and its files are complete.
    pub fn settle(&self) -> Result<(), String> {
        let connections = std::mem::take(&mut *self.connections.lock().unwrap_or_else(PoisonError::into_inner));
        for connection in connections {
            connection.join().map_err(|_| "the proxy failed")?.map_err(|error| format!("the proxy: {error}"))?;
        }
        Ok(())
    }
}

fn forward(client: TcpStream, server: SocketAddr, folder: &Path, number: usize) -> io::Result<()> {
    let server = TcpStream::connect(server)?;
    let file = |direction: &str| folder.join(format!("{number:04}-{direction}"));
    let up = copy(client.try_clone()?, server.try_clone()?, file("to-server"));
    let down = copy(server, client, file("to-client"));
    let joined = |copy: JoinHandle<io::Result<()>>| copy.join().unwrap_or_else(|_| Err(io::Error::other("panicked")));
    joined(up).and(joined(down))
}

fn copy(mut from: TcpStream, mut to: TcpStream, keep: PathBuf) -> JoinHandle<io::Result<()>> {
    thread::spawn(move || {
        let mut file = File::create(keep)?;
        let mut buffer = [0; 1 << 14];
        loop {
            let read = from.read(&mut buffer)?;
            if read == 0 {
                // The other end may already be closed.
                let _ = to.shutdown(Shutdown::Write);
                return Ok(());
            }
            file.write_all(&buffer[..read])?;
            to.write_all(&buffer[..read])?;
        }
    })
}
