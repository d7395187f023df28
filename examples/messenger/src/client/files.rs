// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files: sealed beside the database, so that a transfer that was cut continues with the same bytes.

use super::account::{App, follow};
use super::show::{emit, hex};
use super::talk::send;
use super::{Failure, now, rng};
use data_encoding::HEXLOWER;
use getrandom::rand_core::Rng as _;
use noescrow::attachment::{AttachmentKey, Download, Upload};
use noescrow::durable::Mailboxes as _;
use noescrow_messenger::content::{Attached, Content};
use noescrow_messenger::{FILE_ID_LEN, MAX_FILE_LEN};
use noescrow_sqlite::rusqlite::{OptionalExtension as _, Row};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

impl App {
    /// Sends a file: seals it, uploads it, and sends the message that names it. A command that was cut is continued.
    pub fn send_file(&mut self, to: &str, path: &Path) -> Result<(), Failure> {
        let Self { home, account, messenger, server, show } = self;
        let _lock = messenger.store().exclusively("files")?;
        let mut link = messenger.connect(server, now(), &mut rng())?;
        let peer = link.peer_of_account(to.as_bytes(), now(), &mut rng())?;
        let metadata = fs::metadata(path)?;
        let (size, source) =
            (u32::try_from(metadata.len())?, format!("{path:?} {} {:?}", metadata.len(), metadata.modified()?));
        let begun = "SELECT id, key FROM files WHERE peer = ?1 AND source = ?2";
        let begun = link.stored().store().transact(|tables| {
            let pair = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
            tables.query_row(begun, (peer.as_bytes(), &source), pair).optional()
        })?;
        let (id, key) = match begun {
            Some(begun) => begun,
            None => {
                let mut id = [0; FILE_ID_LEN];
                rng().fill_bytes(&mut id);
                let key = Upload::prepare(path, &sealed(home, &id)?, MAX_FILE_LEN, &mut rng())?.to_bytes();
                let row = (id, peer.as_bytes(), key, size, &source);
                let insert = "INSERT INTO files VALUES (?1, ?2, ?3, ?4, ?5)";
                link.stored().store().transact(|tables| tables.execute(insert, row))?;
                (id, key)
            }
        };
        link.server().upload(&id, &mut Upload::open(&sealed(home, &id)?)?)?;
        // In the transaction that saves the message, so that there is one.
        link.stored().store().with_next(move |tables, batch| {
            follow(tables, batch)?;
            let is_it = batch.sent.as_ref().is_some_and(|sent| !sent.is_control);
            Ok(is_it && tables.execute("DELETE FROM files WHERE id = ?1", [id])? > 0)
        });
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let content = Content { file: Some(Attached { id, key, name, size }), ..account.content() };
        send(&mut link, show, &peer, &content)?;
        Ok(fs::remove_file(sealed(home, &id)?)?)
    }

    /// Downloads the rest of a file that was received, and opens it.
    pub fn fetch_file(&mut self, name: &str, path: &Path) -> Result<(), Failure> {
        let id: [u8; FILE_ID_LEN] = HEXLOWER.decode(name.as_bytes())?.try_into().map_err(|_| "not the id of a file")?;
        let received = self.messenger.store().transact(|tables| {
            let received = "SELECT key, size FROM files WHERE id = ?1 AND source IS NULL";
            tables.query_row(received, [id], |row| Ok((row.get(0)?, row.get(1)?))).optional()
        })?;
        let (key, size): (_, u32) = received.ok_or("no such file was received, or it was fetched before")?;
        let mut download = Download::open(&sealed(&self.home, &id)?, u64::from(size))?;
        self.server.download(&id, &mut download)?;
        download.finish(&AttachmentKey::from_bytes(key), path, &format!(".{name}.part"))?;
        self.messenger.store().transact(|tables| tables.execute("DELETE FROM files WHERE id = ?1", [id]))?;
        emit(&json!({"event": "fetched", "id": name, "path": path, "size": size}));
        Ok(())
    }

    /// Deletes sealed files of which nothing is known any more.
    pub fn sweep(&mut self) -> Result<(), Failure> {
        let _lock = self.messenger.store().exclusively("files")?;
        for entry in fs::read_dir(sealed(&self.home, b"")?)? {
            let path = entry?.path();
            let id = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let known = "SELECT count(*) FROM files WHERE lower(hex(id)) = ?1";
            let known =
                self.messenger.store().transact(|tables| tables.query_row(known, [id], |row| row.get::<_, u32>(0)))?;
            if known == 0 {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

/// The path of a file as it is sent or received.
fn sealed(home: &Path, id: &[u8]) -> Result<PathBuf, Failure> {
    let folder = home.join("files");
    fs::create_dir_all(&folder)?;
    Ok(folder.join(hex(id)))
}
