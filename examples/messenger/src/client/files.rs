// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files: sealed beside the database, so that a transfer that was cut continues with the same bytes.

use super::show::{emit, hex};
use super::talk::{App, content, send};
use super::{Failure, now, rng};
use data_encoding::HEXLOWER;
use getrandom::rand_core::Rng as _;
use noescrow::attachment::{AttachmentKey, Download, Upload};
use noescrow::durable::Mailboxes as _;
use noescrow_messenger::content::Attached;
use noescrow_messenger::tables::{self, File, Of, follow};
use noescrow_messenger::{FILE_ID_LEN, MAX_FILE_LEN};
use serde_json::json;
use std::fs;
use std::path::Path;

impl App {
    /// Sends a file: seals it, uploads it, and sends the message that names it. A command that was cut is continued.
    pub fn send_file(&mut self, to: &str, path: &Path) -> Result<(), Failure> {
        let _lock = self.messenger.store().exclusively("files")?;
        let (folder, metadata) = (self.home.files()?, fs::metadata(path)?);
        let mut link = self.messenger.connect(&mut self.server, now(), &mut rng())?;
        let peer = link.peer_of_account(to.as_bytes(), now(), &mut rng())?;
        let source = format!("{path:?} {} {:?}", metadata.len(), metadata.modified()?);
        let begun = link.stored().store().transact(|sql| tables::file(sql, Of::Source(&peer, &source)))?;
        let File { id, key, size } = match begun {
            Some(file) => file,
            None => {
                let (mut id, size) = ([0; FILE_ID_LEN], u32::try_from(metadata.len())?);
                rng().fill_bytes(&mut id);
                let key = Upload::prepare(path, &folder.join(hex(&id)), MAX_FILE_LEN, &mut rng())?.to_bytes();
                let file = File { id, key, size };
                link.stored().store().transact(|sql| tables::begin(sql, &file, &peer, &source))?;
                file
            }
        };
        let sealed = folder.join(hex(&id));
        link.server().upload(&id, &mut Upload::open(&sealed)?)?;
        // The message is saved and the file forgotten in one transaction, so that the message is sent once.
        link.stored().store().with_next(move |sql, batch| {
            follow(sql, batch)?;
            Ok(batch.sent.as_ref().is_some_and(|sent| !sent.is_control) && tables::end(sql, &id)?)
        });
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let content = content(&self.home, None, Some(Attached { id, key, name, size }));
        send(&mut link, &mut self.show, &peer, &content)?;
        Ok(fs::remove_file(sealed)?)
    }

    /// Downloads the rest of a file that was received, and opens it.
    pub fn fetch_file(&mut self, id: &str, path: &Path) -> Result<(), Failure> {
        let file = HEXLOWER.decode(id.as_bytes())?[..].try_into()?;
        let known = self.messenger.store().transact(|sql| tables::file(sql, Of::Received(&file)))?;
        let File { key, size, .. } = known.ok_or("no such file was received, or it was fetched before")?;
        let mut download = Download::open(&self.home.files()?.join(id), size.into())?;
        self.server.download(&file, &mut download)?;
        download.finish(&AttachmentKey::from_bytes(key), path, &format!(".{id}.part"))?;
        self.messenger.store().transact(|sql| tables::end(sql, &file))?;
        emit(&json!({"event": "fetched", "id": id, "path": path, "size": size}));
        Ok(())
    }

    /// Deletes sealed files of which nothing is known any more.
    pub fn sweep(&mut self) -> Result<(), Failure> {
        let _lock = self.messenger.store().exclusively("files")?;
        for path in fs::read_dir(self.home.files()?)? {
            let (path, id) = path.map(|of| (of.path(), of.file_name().to_string_lossy().into_owned()))?;
            if !self.messenger.store().transact(|sql| tables::is_known(sql, &id))? {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}
