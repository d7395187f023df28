// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files: sealed beside the database, so that a transfer that was cut continues with the same bytes.

use super::account::{App, follow};
use super::show::{emit, hex};
use super::{Failure, rng};
use data_encoding::HEXLOWER;
use getrandom::rand_core::Rng as _;
use noescrow::attachment::{AttachmentKey, Download, Upload};
use noescrow_messenger::content::Attached;
use noescrow_messenger::{FILE_ID_LEN, MAX_FILE_LEN};
use noescrow_sqlite::rusqlite::OptionalExtension as _;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

impl App {
    /// Sends a file: seals it, uploads it, and sends the message that names it. A command that was cut is continued.
    pub fn send_file(&mut self, to: &str, path: &Path) -> Result<(), Failure> {
        let _lock = self.messenger.store().exclusively("files")?;
        let (peer, metadata) = (self.connect(to)?, fs::metadata(path)?);
        let source = format!("{path:?} {} {:?}", metadata.len(), metadata.modified()?);
        let begun = "SELECT id, key FROM files WHERE peer = ?1 AND source = ?2";
        let begun = self.messenger.store().transact(|tables| {
            let row = tables.query_row(begun, (peer.as_bytes(), &source), |row| Ok((row.get(0)?, row.get(1)?)));
            row.optional()
        })?;
        let size = u32::try_from(metadata.len())?;
        let (id, key) = match begun {
            Some(begun) => begun,
            None => {
                let mut id = [0; FILE_ID_LEN];
                rng().fill_bytes(&mut id);
                let key = Upload::prepare(path, &self.sealed("uploads", &id)?, MAX_FILE_LEN, &mut rng())?.to_bytes();
                let row = (id, peer.as_bytes(), key, size, &source);
                let insert = "INSERT INTO files VALUES (?1, ?2, ?3, ?4, ?5)";
                self.messenger.store().transact(|tables| tables.execute(insert, row))?;
                (id, key)
            }
        };
        let sealed = self.sealed("uploads", &id)?;
        self.server.upload(&id, &mut Upload::open(&sealed)?)?;
        // The message is saved, and the file is forgotten here, in one transaction.
        self.messenger.store().with_next(move |tables, batch| {
            let is_it = batch.sent.as_ref().is_some_and(|sent| !sent.is_control);
            follow(tables, batch)?;
            Ok(is_it && tables.execute("DELETE FROM files WHERE id = ?1", [id])? == 1)
        });
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.send(to, &[self.content(None, Some(Attached { id, key, name, size }))])?;
        Ok(fs::remove_file(sealed)?)
    }

    /// Downloads the rest of a file that was received, and opens it.
    pub fn fetch_file(&mut self, name: &str, path: &Path) -> Result<(), Failure> {
        let id = HEXLOWER.decode(name.as_bytes())?.try_into().map_err(|_| "not the id of a file")?;
        let received = self.messenger.store().transact(|tables| {
            let received = "SELECT key, size FROM files WHERE id = ?1 AND source IS NULL";
            tables.query_row(received, [id], |row| Ok((row.get(0)?, row.get(1)?))).optional()
        })?;
        let (key, size) = received.ok_or("no such file was received, or it was fetched before")?;
        let mut download = Download::open(&self.sealed("downloads", &id)?, u64::from::<u32>(size))?;
        self.server.download(&id, &mut download)?;
        download.finish(&AttachmentKey::from_bytes(key), path, &format!(".{name}.part"))?;
        self.messenger.store().transact(|tables| tables.execute("DELETE FROM files WHERE id = ?1", [id]))?;
        emit(&json!({"event": "fetched", "id": name, "path": path, "size": size}));
        Ok(())
    }

    /// Deletes sealed files of which nothing is known any more.
    pub fn sweep(&mut self) -> Result<(), Failure> {
        let _lock = self.messenger.store().exclusively("files")?;
        let known = self.messenger.store().transact(|tables| {
            tables.prepare("SELECT id FROM files")?.query_map([], |row| row.get(0))?.collect::<Result<Vec<[u8; 16]>, _>>()
        })?;
        for folder in ["uploads", "downloads"] {
            for path in fs::read_dir(self.sealed(folder, &[])?)?.map(|entry| Ok(entry?.path()))  ...
        }
        Ok(())
    }

    /// The path of a sealed file.
    fn sealed(&self, folder: &str, id: &[u8]) -> Result<PathBuf, Failure> {
        let folder = self.home.join(folder);
        fs::create_dir_all(&folder)?;
        Ok(folder.join(hex(id)))
    }
}
