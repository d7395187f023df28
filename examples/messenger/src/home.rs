// SPDX-License-Identifier: MIT OR Apache-2.0
//! The folder of a device: its key, its account and its database.

use crate::requests::{Failure, encrypted_origin};
use getrandom::SysRng;
use getrandom::rand_core::{Rng as _, UnwrapErr};
use noescrow::messenger::Stored;
use noescrow::snapshot::Subject;
use noescrow::{ACCESS_KEY_LEN, AccessKey, Device, StorageKey, UnixSeconds};
use noescrow_sqlite::{Options, SideFile};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// The database's file. The names of others that belong to it begin with it.
const DATABASE: &str = "messenger.db";
const ACCOUNT: &str = "account.json";
const KEY: &str = "storage.key";
/// The folder of sealed files.
const FILES: &str = "files";

/// What is in `account.json`.
#[derive(Clone, Serialize, Deserialize)]
pub struct Account {
    /// Its name at the server.
    pub name: String,
    /// The server's URL.
    pub server: String,
    /// Which messenger of the database is its own.
    subject: Vec<u8>,
    /// The access key of its mailbox.
    pub access: [u8; ACCESS_KEY_LEN],
}

/// A device that was made.
pub struct Home {
    folder: PathBuf,
    /// The account.
    pub account: Account,
    /// The key of everything in the database. It would be in the platform's key store.
    pub key: StorageKey,
    /// Which messenger of the database is the device's.
    pub subject: Subject,
}

impl Home {
    /// Makes a device for an account `name`, in a folder that is none yet, unless an earlier attempt has made it. The
    /// folder has its name when it is whole.
    ///
    /// # Errors
    /// The folder, or the witness, is something else's.
    pub fn create(
        folder: &Path,
        name: &str,
        server: Option<&str>,
        witness: Option<&Path>,
        now: UnixSeconds,
    ) -> Result<(), Failure> {
        if folder.join(ACCOUNT).exists() {
            let is_it = Self::open(folder)?.account.name == name;
            return if is_it { Ok(()) } else { Err("the folder has another account".into()) };
        }
        let server = server.ok_or("--server is missing")?;
        encrypted_origin(server)?;
        let (new, rng) = (folder.with_added_extension("new"), &mut UnwrapErr(SysRng));
        let left = witness.filter(|witness| witness.exists());
        if left.is_some() && !new.exists() {
            return Err("the witness is another account's".into());
        }
        // What an earlier attempt has left.
        erase(&new, left)?;
        fs::create_dir_all(&new)?;
        let mut key = [0; 32];
        rng.fill_bytes(&mut key);
        write_private(&new.join(KEY), &key)?;
        let options = Options::new();
        let options = match witness {
            Some(witness) => options.witness(SideFile::new(witness)),
            None => options,
        };
        let store = options.open(new.join(DATABASE))?;
        let stored = Stored::create(Device::generate(now, rng), store, &StorageKey::new(key), rng)?;
        let subject = stored.messenger().subject().to_bytes().to_vec();
        drop(stored);
        let account =
            Account { name: name.into(), server: server.into(), subject, access: *AccessKey::generate(rng).expose() };
        write_private(&new.join(ACCOUNT), &serde_json::to_vec(&account)?)?;
        Ok(fs::rename(new, folder)?)
    }

    /// Reads what [`create`](Self::create) has made.
    ///
    /// # Errors
    /// It is not there, or damaged.
    pub fn open(folder: &Path) -> Result<Self, Failure> {
        let account: Account = serde_json::from_slice(&fs::read(folder.join(ACCOUNT))?)?;
        let key = fs::read(folder.join(KEY))?.try_into().map_err(|_| "storage.key is damaged")?;
        let subject = Subject::from_bytes(&account.subject)?;
        Ok(Self { folder: folder.into(), account, key: StorageKey::new(key), subject })
    }

    /// The database.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.folder.join(DATABASE)
    }

    /// The folder of files that are being transferred.
    ///
    /// # Errors
    /// It is not there, and cannot be made.
    pub fn files(&self) -> Result<PathBuf, Failure> {
        let files = self.folder.join(FILES);
        fs::create_dir_all(&files)?;
        Ok(files)
    }
}

/// Deletes a device: the witness, and what this program has made in the folder, the key last. The folder stays if something
/// else is in it.
///
/// # Errors
/// Something was not deleted.
pub fn erase(folder: &Path, witness: Option<&Path>) -> Result<(), Failure> {
    if let Some(witness) = witness.filter(|witness| witness.exists()) {
        fs::remove_file(witness)?;
    }
    if !folder.exists() {
        return Ok(());
    }
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, Failure>>()?;
    paths.retain(|path| name(path).starts_with(DATABASE) || [ACCOUNT, FILES, KEY].contains(&&*name(path)));
    paths.sort_by_key(|path| name(path) == KEY);
    for path in paths {
        if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
    }
    // It fails if the folder has something else.
    let _ = fs::remove_dir(folder);
    Ok(())
}

/// Writes a new file that only its owner can read.
fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    Ok(file.sync_all()?)
}

/// Shows no key.
impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name: _, server, subject: _, access: _ } = self;
        f.debug_struct("Account").field("server", server).finish_non_exhaustive()
    }
}

/// Shows the folder.
impl fmt::Debug for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { folder, account: _, key: _, subject: _ } = self;
        f.debug_struct("Home").field("folder", folder).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

    #[test]
    fn a_device_is_made_in_a_new_folder_only() {
        let temporary = tempfile::tempdir().unwrap();
        let (folder, witness) = (temporary.path().join("home"), temporary.path().join("witness"));
        let create = |name| Home::create(&folder, name, Some("https://a.example"), Some(&witness), NOW);
        // Of something else, nothing is touched.
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("storage.key"), b"another program's").unwrap();
        fs::write(&witness, b"another account's").unwrap();
        assert!(create("bob").is_err());
        assert_eq!(fs::read(&witness).unwrap(), b"another account's");
        fs::remove_file(&witness).unwrap();
        assert!(create("bob").is_err());
        assert_eq!(fs::read(folder.join("storage.key")).unwrap(), b"another program's");
        // Control: in a folder that is empty, it is, and not a second time.
        fs::remove_file(folder.join("storage.key")).unwrap();
        create("bob").unwrap();
        let key = fs::read(folder.join("storage.key")).unwrap();
        create("bob").unwrap();
        assert!(create("eve").is_err());
        assert_eq!(fs::read(folder.join("storage.key")).unwrap(), key);
    }

    #[test]
    fn only_what_the_program_has_made_is_erased() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().join("home");
        Home::create(&folder, "bob", Some("https://a.example"), None, NOW).unwrap();
        fs::write(folder.join("a letter"), b"of the user").unwrap();
        erase(&folder, None).unwrap();
        let left: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["a letter"]);
        // Control: without it, nothing is left.
        fs::remove_file(folder.join("a letter")).unwrap();
        erase(&folder, None).unwrap();
        assert!(!folder.exists());
    }
}
