// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Folder`]: the files of one device.

use crate::attachments::{FETCHING, SENDING};
use crate::blocking::SqliteStore;
use crate::database::Database;
use crate::error::Error;
use crate::kept::{self, Direction};
use crate::options::Options;
use crate::witness::{SideFile, open_private, sync_folder};
use noescrow::durable::{CommitError, LoadError, Mailboxes};
use noescrow::messenger::Stored;
use noescrow::{Device, StorageKey};
use rand_core::CryptoRng;
use rusqlite::{Connection, OpenFlags};
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The storage key, 32 bytes.
const KEY: &str = "storage.key";
/// The database. The names of the files that belong to it begin with it.
const DATABASE: &str = "messenger.db";
/// What the application keeps of the account.
const DOCUMENT: &str = "account";
/// The folder of the application's files.
const FILES: &str = "files";
/// While it is there, the folder is being erased: what else is in it does not count.
const ERASING: &str = "messenger.erasing";

/// The folder of a device with a messenger: its storage key, its database, the application's document about the account,
/// and the application's files, as attachments that are being transferred. On Unix only their owner can read them.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let home = tempfile::tempdir()?.keep();
/// use noescrow::{Device, UnixSeconds};
/// use noescrow_sqlite::{Folder, Options};
///
/// let mut rng = rand::rng();
/// let folder = Folder::new(home.join("bob"), None);
/// let device = Device::generate(UnixSeconds(1_800_000_000), &mut rng);
/// assert!(folder.create(b"bob at chat.example.org", device, &mut rng)?);
/// let stored = folder.open(Options::new(), &mut rng)?;
/// assert_eq!(folder.document()?, b"bob at chat.example.org");
/// drop(stored);
/// folder.erase()?;
/// # std::fs::remove_dir_all(home)?;
/// # Ok(())
/// # }
/// ```
///
/// # Security
/// The key is in a file beside what it seals. Where the platform has a key store, keep the key there, and use
/// [`Options::open`] and [`Stored::load`].
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
    witness: Option<PathBuf>,
}

impl Folder {
    /// The folder at `path`, whether it is there or not. Its [`SideFile`] is at `witness`, or beside the database.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, witness: Option<&Path>) -> Self {
        // Without a slash at the end: names are appended.
        Self { path: path.into().components().collect(), witness: witness.map(Path::to_path_buf) }
    }

    /// Makes the folder, with a new storage key, a messenger of `device` and the application's document about it. Returns
    /// false if the folder is there already. It is built as `PATH.new`, so that it has its name when it is whole; what an
    /// earlier call has left of that is deleted, and so is a folder whose erasure was begun. Of several processes that call it
    /// at once, one makes the folder: meanwhile the others wait, at the file `PATH.lock`. Draws 48 bytes from `rng`.
    ///
    /// # Errors
    /// [`Error::FolderTaken`] if there is a witness or a folder which no earlier call has made; nothing of it is changed.
    pub fn create(&self, document: &[u8], device: Device, rng: &mut impl CryptoRng) -> Result<bool, Error> {
        if let Some(parent) = self.path.parent() {
            make_private(parent).map_err(Error::Folder)?;
        }
        let _lock = Lock::of(&self.path).map_err(Error::Folder)?;
        if self.is_being_erased() {
            self.erase_files(&mut remove)?;
        }
        if self.path.join(DOCUMENT).exists() {
            return Ok(false);
        }
        let new = self.unfinished();
        let has_witness = self.witness.as_ref().is_some_and(|witness| witness.exists());
        if (has_witness && !new.is_made()) || !is_free(&self.path)? || !(new.is_made() || is_free(&new.path)?) {
            return Err(Error::FolderTaken);
        }
        new.erase_files(&mut remove)?;
        if !is_free(&new.path)? {
            return Err(Error::FolderTaken);
        }
        make_private(&new.path).and_then(|()| sync_folder(&new.path)).map_err(Error::Folder)?;
        let mut key = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *key);
        write_private(&new.path.join(KEY), &*key).map_err(Error::Folder)?;
        let store = new.options(Options::new()).open(new.path.join(DATABASE))?;
        let stored = Stored::create(device, store, &StorageKey::new(*key), rng).map_err(|error| match error {
            CommitError::Stale => Error::FolderTaken,
            CommitError::NotCommitted(error) | CommitError::Unknown(error) => error,
        })?;
        drop(stored);
        let document_path = new.path.join(DOCUMENT);
        write_private(&document_path, document).and_then(|()| sync_folder(&document_path)).map_err(Error::Folder)?;
        fs::rename(&new.path, &self.path).and_then(|()| sync_folder(&self.path)).map_err(Error::Folder)?;
        Ok(true)
    }

    /// The folder while it is made.
    fn unfinished(&self) -> Self {
        Self { path: suffixed(&self.path, ".new"), witness: self.witness.clone() }
    }

    /// Whether this crate has made the folder, as a whole or in part.
    fn is_made(&self) -> bool {
        self.path.join(KEY).exists() || self.is_being_erased()
    }

    fn is_being_erased(&self) -> bool {
        self.path.join(ERASING).exists()
    }

    /// Reads the application's document.
    ///
    /// # Errors
    /// [`Error::Folder`] if there is none, also if the folder is [deleted](Self::is_deleted) in part.
    pub fn document(&self) -> Result<Vec<u8>, Error> {
        if self.is_being_erased() {
            return Err(Error::Folder(io::ErrorKind::NotFound.into()));
        }
        fs::read(self.path.join(DOCUMENT)).map_err(Error::Folder)
    }

    /// Opens the database and loads its messenger. The witness of `options` is the folder's, unless it was turned off. Removes
    /// [attachments](crate::Attachment) that have expired, and what a crash has left of others, unless that fails.
    ///
    /// # Errors
    /// [`LoadError::Missing`] if the messenger was deleted; [`LoadError::Store`] with [`Error`], as [`Options::open`].
    pub fn open(&self, options: Options, rng: &mut impl CryptoRng) -> Result<Stored<SqliteStore>, LoadError<Error>> {
        self.open_as(options, rng)
    }

    /// Does the same with a store that the application has around this one.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_as<S: Mailboxes<Error = Error> + From<SqliteStore>>(
        &self,
        options: Options,
        rng: &mut impl CryptoRng,
    ) -> Result<Stored<S>, LoadError<Error>> {
        if self.is_being_erased() {
            return Err(LoadError::Missing);
        }
        let store = |error| LoadError::Store(Error::Folder(error));
        let bytes = Zeroizing::new(fs::read(self.path.join(KEY)).map_err(store)?);
        let key = bytes[..].try_into().map_err(|_| LoadError::Store(Error::Damaged("the storage key")))?;
        let key = StorageKey::new(key);
        let mut store = self.options(options).open(self.path.join(DATABASE)).map_err(LoadError::Store)?;
        let subjects = store.subjects().map_err(LoadError::Store)?;
        let messenger = subjects.iter().find(|subject| subject.is_messenger()).ok_or(LoadError::Missing)?;
        // What cannot be removed now is removed the next time.
        for (name, direction) in [(SENDING, Direction::Sent), (FETCHING, Direction::Received)] {
            if let Ok(Some(_lock)) = store.try_exclusively(name) {
                let _ = self.remove_unfinished(&mut store, direction);
            }
        }
        Stored::load(S::from(store), &key, messenger, rng)
    }

    /// The witness that the folder has elsewhere.
    fn options(&self, options: Options) -> Options {
        match &self.witness {
            Some(witness) => options.default_witness(SideFile::new(witness)),
            None => options,
        }
    }

    /// Returns the path of a file of the application's, and makes the folder in which it is. It is a peer's while the
    /// peer has [data](crate::PeerData) of the same name.
    ///
    /// # Errors
    /// [`Error::Folder`], also if `name` is not the name of a file.
    pub fn file(&self, name: &str) -> Result<PathBuf, Error> {
        if Path::new(name).file_name().is_none_or(|file| file != name) {
            return Err(Error::Folder(io::Error::new(io::ErrorKind::InvalidInput, "not the name of a file")));
        }
        let files = self.path.join(FILES);
        if !files.exists() {
            make_private(&files).and_then(|()| sync_folder(&files)).map_err(Error::Folder)?;
        }
        Ok(files.join(name))
    }

    /// Deletes attachments that have expired, and sealed files whose key is not kept. The caller has the lock of these
    /// attachments.
    pub(crate) fn remove_unfinished(&self, store: &mut SqliteStore, direction: Direction) -> Result<(), Error> {
        kept::expire(&store.connection, direction, (store.database.clock)())?;
        for path in entries(&self.path.join(FILES))? {
            if name_of(&path).starts_with(direction.prefix()) && !kept::needs_file(&store.connection, name_of(&path))? {
                remove_if_there(&path)?;
            }
        }
        Ok(())
    }

    /// Erases what was deleted: the application's files that are no peer's, as those of a peer that was forgotten, and then
    /// [what is in the database](SqliteStore::erase_deleted).
    ///
    /// # Errors
    /// [`Error`]: call again.
    pub fn erase_deleted(&self, store: &mut SqliteStore) -> Result<(), Error> {
        // Not while a file is sealed whose key is not yet kept.
        let _lock = store.exclusively(SENDING)?;
        for direction in [Direction::Sent, Direction::Received] {
            kept::expire(&store.connection, direction, (store.database.clock)())?;
        }
        for path in entries(&self.path.join(FILES))? {
            if store.data_of_peers(name_of(&path))?.is_empty() {
                remove_if_there(&path)?;
            }
        }
        store.erase_deleted()
    }

    /// Returns whether everything of the device was deleted, and at most [`erase`](Self::erase) is left to do: it was begun,
    /// the database has no messenger any more, or nothing that the other functions have made is in the folder. False if there
    /// is no folder. The witness does not matter.
    ///
    /// # Errors
    /// [`Error`].
    pub fn is_deleted(&self) -> Result<bool, Error> {
        let (is_new, is_free) = (self.unfinished().is_made(), self.own_entries()?.is_empty());
        if self.is_being_erased() || is_free {
            return Ok(is_new || self.path.exists());
        }
        let database = self.path.join(DATABASE);
        if !database.exists() {
            return Ok(self.is_made());
        }
        let connection = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        Ok(!Database::subjects(&connection)?.iter().any(|subject| subject.is_messenger()))
    }

    /// Deletes the witness, and what the other functions have made in the folder, the key first. If something else is in it,
    /// that and the folder stay. If nothing that they have made is there, it was deleted already, or the path is a wrong one:
    /// the witness stays, too.
    ///
    /// The decision is written down first, as the file `messenger.erasing`: after a crash the folder counts as
    /// [deleted](Self::is_deleted), whatever is left, and this function or [`create`](Self::create) deletes the rest.
    ///
    /// # Errors
    /// [`Error::Folder`] if something was not deleted: call again. [`Error::FolderTaken`] if the folder has a document or
    /// files of these names, and neither a key nor a database; nothing has changed.
    ///
    /// # Security
    /// The files are overwritten with zeros, if that does not fail, and removed, except those of the application, which are
    /// removed. Copies that the file system or the disk has made are out of reach.
    pub fn erase(&self) -> Result<(), Error> {
        self.erase_by(&mut remove)
    }

    fn erase_by(&self, remove: &mut dyn FnMut(&Path) -> io::Result<()>) -> Result<(), Error> {
        let _lock = match Lock::of(&self.path) {
            // Without its file there is no lock. Nor can another process of this user make a folder there.
            Err(error) if [io::ErrorKind::NotFound, io::ErrorKind::PermissionDenied].contains(&error.kind()) => None,
            lock => Some(lock.map_err(Error::Folder)?),
        };
        let (new, is_free) = (self.unfinished(), self.own_entries()?.is_empty());
        if !self.is_made() && !self.path.join(DATABASE).exists() && !is_free {
            return Err(Error::FolderTaken);
        }
        if new.is_made() {
            new.erase_files(remove)?;
        } else if is_free && !self.is_being_erased() {
            // The witness was erased already, or it is another device's.
            let _ = fs::remove_dir(&self.path);
            return Ok(());
        }
        self.erase_files(remove)
    }

    /// Everything that the other functions have made in the folder.
    fn own_entries(&self) -> Result<Vec<PathBuf>, Error> {
        let mut paths = entries(&self.path)?;
        paths.retain(|path| is_own(name_of(path)));
        Ok(paths)
    }

    /// Deletes the files by `remove`, under the lock.
    fn erase_files(&self, remove: &mut dyn FnMut(&Path) -> io::Result<()>) -> Result<(), Error> {
        let mut remove = |path: &Path| match remove(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::Folder(error)),
            _ => Ok(()),
        };
        let (mark, mut paths) = (self.path.join(ERASING), self.own_entries()?);
        if !paths.is_empty() {
            write_private(&mark, b"").and_then(|()| sync_folder(&mark)).map_err(Error::Folder)?;
        }
        // Without the key, nobody opens what a crash leaves of the rest.
        paths.sort_by_key(|path| name_of(path) != KEY);
        for path in paths.iter().chain(&self.witness) {
            remove(path)?;
        }
        if mark.exists() {
            // Before the mark, also on the disk. A witness that never was has perhaps no folder.
            for path in self.witness.iter().filter(|path| path.parent().is_some_and(Path::exists)).chain([&mark]) {
                sync_folder(path).map_err(Error::Folder)?;
            }
            remove(&mark)?;
        }
        // It fails if the folder has something else.
        let _ = fs::remove_dir(&self.path);
        Ok(())
    }
}

/// Keeps other processes from making and erasing a folder.
struct Lock {
    _file: File,
    path: PathBuf,
}

impl Lock {
    /// Waits until no other process has the lock of the folder `path`.
    fn of(path: &Path) -> io::Result<Self> {
        let path = suffixed(path, ".lock");
        loop {
            let file = open_private(&path)?;
            file.lock()?;
            // The process that had the lock has removed its file.
            if is_at(&file, &path)? {
                return Ok(Self { _file: file, path });
            }
        }
    }
}

/// Removes the file while it is locked. Where it cannot be told from another one, it stays.
impl Drop for Lock {
    fn drop(&mut self) {
        if cfg!(unix) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether the file at `path` is this one.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let number = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        there => Ok(number(there?) == number(file.metadata()?)),
    }
}

#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> io::Result<bool> {
    Ok(true)
}

/// Removes a file or a folder. What is in a file is overwritten before, unless that fails.
fn remove(path: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_dir() {
        return fs::remove_dir_all(path);
    }
    if metadata.is_file() {
        let _ = overwrite(path, metadata.len());
    }
    fs::remove_file(path)
}

fn overwrite(path: &Path, len: u64) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).open(path)?;
    io::copy(&mut io::repeat(0).take(len), &mut file)?;
    file.sync_data()
}

/// Removes a file, unless that was done.
pub(crate) fn remove_if_there(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::Folder(error)),
        _ => Ok(()),
    }
}

fn is_own(name: &str) -> bool {
    name.starts_with(DATABASE) || [DOCUMENT, FILES, KEY].contains(&name)
}

/// The name of a file of this crate, or of an application that has chosen it as text.
fn name_of(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// What is in a folder; nothing if it is not there.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(Error::Folder)?,
    };
    entries.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>().map_err(Error::Folder)
}

/// Whether there is no folder at `path`, or an empty one.
fn is_free(path: &Path) -> Result<bool, Error> {
    Ok(entries(path)?.is_empty())
}

fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = open_private(path)?;
    file.set_len(0)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests;
