// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files: sealed beside the database, so that a transfer that was cut continues with the same bytes.

use super::app::{App, Failure, emit, rng};
use super::faults::without;
use super::payload::Attached;
use data_encoding::HEXLOWER;
use getrandom::rand_core::Rng as _;
use noescrow::attachment::{AttachmentKey, open_stream, seal_stream, sealed_len};
use noescrow_messenger::{PART_LEN, sha256};
use noescrow_sqlite::rusqlite::OptionalExtension;
use serde_json::json;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

impl App {
    /// Seals a file beside the database, and sends it with its message. If an earlier command has begun with it, that is
    /// continued.
    pub fn send_file(&mut self, name: &str, path: &Path) -> Result<(), Failure> {
        let metadata = fs::metadata(path)?;
        let what = format!("{name} {} {} {:?}", path.display(), metadata.len(), metadata.modified()?);
        let suffix = format!(".{}", HEXLOWER.encode(&sha256(what.as_bytes())));
        let uploads = self.home.join("uploads");
        fs::create_dir_all(&uploads)?;
        if self.uploads()?.iter().any(|upload| upload.to_string_lossy().ends_with(&suffix)) {
            self.connect()?;
            return self.flush();
        }
        let peer = self.begin(name)?;
        let mut id = [0; 16];
        rng().fill_bytes(&mut id);
        let id = HEXLOWER.encode(&id);
        let part = uploads.join("part");
        let key = seal_stream(metadata.len(), File::open(path)?, File::create(&part)?, &mut rng())?;
        File::open(&part)?.sync_all()?;
        let (key, name) = (HEXLOWER.encode(&key.to_bytes()), path.file_name().unwrap_or_default().to_string_lossy());
        let attached = Attached { id: id.clone(), key, name: name.into_owned(), size: metadata.len() };
        let content = self.content(None, Some(attached))?;
        self.seal(peer, &content)?;
        fs::rename(part, uploads.join(id + &suffix))?;
        self.flush()
    }

    /// The sealed files that are to be uploaded, by the names `ID.WHAT`.
    fn uploads(&self) -> Result<Vec<PathBuf>, Failure> {
        let Ok(entries) = fs::read_dir(self.home.join("uploads")) else { return Ok(Vec::new()) };
        let paths: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_, Failure>>()?;
        Ok(paths.into_iter().filter(|path| path.extension().is_some()).collect())
    }

    /// Uploads the rest of each file, before the messages that name them are sent.
    pub fn upload_all(&mut self) -> Result<(), Failure> {
        for path in self.uploads()? {
            let id = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let (file, len) = (File::open(&path)?, fs::metadata(&path)?.len());
            let mut offset = self.server.uploaded(&id)?;
            if without("resume") {
                offset = 0;
            }
            while offset < len {
                let mut part = vec![0; PART_LEN.min(usize::try_from(len - offset)?)];
                file.read_exact_at(&mut part, offset)?;
                match self.server.append(&id, offset, &part)? {
                    Some(held) if !without("resume") => offset = held,
                    _ => offset += u64::try_from(part.len())?,
                }
            }
            fs::remove_file(path)?;
        }
        Ok(())
    }

    /// Downloads the rest of a file that was received, and opens it.
    pub fn fetch_file(&mut self, id: &str, path: &Path) -> Result<(), Failure> {
        let attached = self.tables.query_row("SELECT key, size FROM attached WHERE id = ?1", [id], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))
        });
        let (key, size) = attached.optional()?.ok_or("no such file was received, or it was fetched before")?;
        let key = HEXLOWER.decode(key.as_bytes())?.try_into().map_err(|_| "not a key of a file")?;
        let sealed_len = sealed_len(u64::try_from(size)?).ok_or("the file is too long")?;
        let (sealed, opened) = (path.with_extension("sealed"), path.with_extension("part"));
        if without("resume") {
            let _ = fs::remove_file(&sealed);
        }
        let mut file = OpenOptions::new().create(true).append(true).open(&sealed)?;
        while file.metadata()?.len() < sealed_len {
            let part = self.server.part(id, file.metadata()?.len())?;
            if part.is_empty() {
                return Err("the file is not there as a whole yet".into());
            }
            file.write_all(&part)?;
        }
        // What it has written before it succeeds is not the file.
        open_stream(&AttachmentKey::from_bytes(key), File::open(&sealed)?, File::create(&opened)?).inspect_err(
            |_| {
                let _ = fs::remove_file(&sealed);
            },
        )?;
        File::open(&opened)?.sync_all()?;
        fs::rename(opened, path)?;
        fs::remove_file(sealed)?;
        self.tables.execute("DELETE FROM attached WHERE id = ?1", [id])?;
        emit(&json!({"event": "fetched", "id": id, "path": path, "size": size}));
        Ok(())
    }
}
