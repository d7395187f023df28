// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Folder`]: the files of one device.

use crate::attachments::SENDING;
use crate::blocking::SqliteStore;
use crate::error::Error;
use crate::options::Options;
use crate::witness::{SideFile, open_private};
use noescrow::durable::{CommitError, LoadError, Mailboxes};
use noescrow::messenger::Stored;
use noescrow::{Device, StorageKey};
use rand_core::CryptoRng;
use std::fs;
use std::io::{self, Write};
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
        Self { path: path.into(), witness: witness.map(Path::to_path_buf) }
    }

    /// Makes the folder, with a new storage key, a messenger of `device` and the application's document about it. Returns
    /// false if the folder is there already. It is built as `PATH.new`, so that it has its name when it is whole; what an
    /// earlier call has left of that is deleted. Draws 48 bytes from `rng`.
    ///
    /// # Errors
    /// [`Error::FolderTaken`] if there is a witness or a folder which no earlier call has made; nothing of it is changed.
    pub fn create(&self, document: &[u8], device: Device, rng: &mut impl CryptoRng) -> Result<bool, Error> {
        if self.path.join(DOCUMENT).exists() {
            return Ok(false);
        }
        let new = Self { path: suffixed(&self.path, ".new"), witness: self.witness.clone() };
        let is_left = new.path.exists();
        let has_witness = self.witness.as_ref().is_some_and(|witness| witness.exists());
        if (has_witness && !is_left) || !is_free(&self.path)? {
            return Err(Error::FolderTaken);
        }
        new.erase()?;
        make_private(&new.path).map_err(Error::Folder)?;
        let mut key = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *key);
        write_private(&new.path.join(KEY), &*key).map_err(Error::Folder)?;
        let store = new.options(Options::new()).open(new.path.join(DATABASE))?;
        let stored = Stored::create(device, store, &StorageKey::new(*key), rng).map_err(|error| match error {
            CommitError::Stale => Error::FolderTaken,
            CommitError::NotCommitted(error) | CommitError::Unknown(error) => error,
        })?;
        drop(stored);
        write_private(&new.path.join(DOCUMENT), document).map_err(Error::Folder)?;
        fs::rename(&new.path, &self.path).map_err(Error::Folder)?;
        Ok(true)
    }

    /// Reads the application's document.
    ///
    /// # Errors
    /// [`Error::Folder`] if there is none.
    pub fn document(&self) -> Result<Vec<u8>, Error> {
        fs::read(self.path.join(DOCUMENT)).map_err(Error::Folder)
    }

    /// Opens the database and loads its messenger. The witness of `options` is the folder's, unless it was turned off.
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
        let store = |error| LoadError::Store(Error::Folder(error));
        let bytes = Zeroizing::new(fs::read(self.path.join(KEY)).map_err(store)?);
        let key = bytes[..].try_into().map_err(|_| LoadError::Store(Error::Damaged("the storage key")))?;
        let key = StorageKey::new(key);
        let mut store = self.options(options).open(self.path.join(DATABASE)).map_err(LoadError::Store)?;
        let subjects = store.subjects().map_err(LoadError::Store)?;
        let messenger = subjects.iter().find(|subject| subject.is_messenger()).ok_or(LoadError::Missing)?;
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
        make_private(&files).map_err(Error::Folder)?;
        Ok(files.join(name))
    }

    /// Erases what was deleted: the application's files that are no peer's, as those of a peer that was forgotten, and then
    /// [what is in the database](SqliteStore::erase_deleted).
    ///
    /// # Errors
    /// [`Error`]: call again.
    pub fn erase_deleted(&self, store: &mut SqliteStore) -> Result<(), Error> {
        // Not while a file is sealed whose key is not yet kept.
        let _lock = store.exclusively(SENDING)?;
        for path in entries(&self.path.join(FILES))? {
            if store.data_of_peers(name_of(&path))?.is_empty() {
                fs::remove_file(path).map_err(Error::Folder)?;
            }
        }
        store.erase_deleted()
    }

    /// Deletes the witness, and what the other functions have made in the folder, the key last. If something else is in
    /// it, that and the folder stay. What is not there is deleted already.
    ///
    /// # Errors
    /// [`Error::Folder`] if something was not deleted: call again.
    ///
    /// # Security
    /// The files are removed, not overwritten. Delete the account and [erase](SqliteStore::erase_deleted) it before.
    pub fn erase(&self) -> Result<(), Error> {
        if let Some(witness) = self.witness.as_ref().filter(|witness| witness.exists()) {
            fs::remove_file(witness).map_err(Error::Folder)?;
        }
        let mut paths = entries(&self.path)?;
        paths.retain(|path| is_own(name_of(path)));
        paths.sort_by_key(|path| name_of(path) == KEY);
        for path in paths {
            if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.map_err(Error::Folder)?;
        }
        // It fails if the folder has something else.
        let _ = fs::remove_dir(&self.path);
        Ok(())
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
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use noescrow::UnixSeconds;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

    fn rng() -> ChaCha20Rng {
        ChaCha20Rng::seed_from_u64(1)
    }

    fn create(folder: &Folder, document: &[u8]) -> Result<bool, Error> {
        folder.create(document, Device::generate(NOW, &mut rng()), &mut rng())
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = entries(folder).unwrap().iter().map(|path| name_of(path).to_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_device_is_made_in_a_new_folder_only() {
        let temporary = tempfile::tempdir().unwrap();
        let (path, witness) = (temporary.path().join("home"), temporary.path().join("witness"));
        let folder = Folder::new(&path, Some(&witness));
        // Of something else, nothing is touched.
        fs::create_dir(&path).unwrap();
        fs::write(path.join(KEY), b"another program's").unwrap();
        assert!(matches!(create(&folder, b"bob"), Err(Error::FolderTaken)));
        assert_eq!(
            (names(&path), fs::read(path.join(KEY)).unwrap()),
            (vec![KEY.into()], b"another program's".to_vec())
        );
        fs::remove_file(path.join(KEY)).unwrap();
        fs::write(&witness, b"another account's").unwrap();
        assert!(matches!(create(&folder, b"bob"), Err(Error::FolderTaken)));
        assert_eq!(fs::read(&witness).unwrap(), b"another account's");
        fs::remove_file(&witness).unwrap();
        assert!(!suffixed(&path, ".new").exists());
        // Control: in a folder that is empty, it is, and not a second time.
        assert!(create(&folder, b"bob").unwrap());
        let key = fs::read(path.join(KEY)).unwrap();
        assert!(!create(&folder, b"eve").unwrap());
        assert_eq!((fs::read(path.join(KEY)).unwrap(), &folder.document().unwrap()[..]), (key, &b"bob"[..]));
        assert!(folder.open(Options::new(), &mut rng()).is_ok() && witness.exists());
    }

    #[test]
    fn what_a_crash_has_left_is_replaced() {
        let temporary = tempfile::tempdir().unwrap();
        let (path, witness) = (temporary.path().join("home"), temporary.path().join("witness"));
        let folder = Folder::new(&path, Some(&witness));
        assert!(create(&folder, b"bob").unwrap());
        // A crash before the last step: no folder has its name. Before that, no document is there.
        let new = suffixed(&path, ".new");
        fs::rename(&path, &new).unwrap();
        fs::remove_file(new.join(DOCUMENT)).unwrap();
        let key = fs::read(new.join(KEY)).unwrap();
        let other = Device::generate(NOW, &mut ChaCha20Rng::seed_from_u64(2));
        assert!(folder.create(b"eve", other, &mut ChaCha20Rng::seed_from_u64(2)).unwrap());
        assert!(!new.exists() && fs::read(path.join(KEY)).unwrap() != key);
        assert!(folder.open(Options::new(), &mut rng()).is_ok());
        // Control: without what is left, the witness is another account's.
        folder.erase().unwrap();
        fs::write(&witness, b"another account's").unwrap();
        assert!(matches!(create(&folder, b"bob"), Err(Error::FolderTaken)));
    }

    #[test]
    fn only_what_the_folder_has_made_is_erased() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path().join("home"), None);
        assert!(create(&folder, b"bob").unwrap());
        fs::write(folder.file("photo").unwrap(), b"sealed").unwrap();
        fs::write(folder.path.join("a letter"), b"of the user").unwrap();
        folder.erase().unwrap();
        assert_eq!(names(&folder.path), ["a letter"]);
        // Control: without it, nothing is left, and a second time nothing is to be done.
        fs::remove_file(folder.path.join("a letter")).unwrap();
        folder.erase().unwrap();
        assert!(!folder.path.exists());
        folder.erase().unwrap();
    }

    #[test]
    fn a_file_has_the_name_of_a_file() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path(), None);
        for name in ["", "..", ".", "/etc/passwd", "../storage.key", "a/b"] {
            assert!(matches!(folder.file(name), Err(Error::Folder(_))), "{name}");
        }
        // Control: other names are.
        assert_eq!(folder.file("..a").unwrap(), temporary.path().join(FILES).join("..a"));
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_reads_the_folder() {
        use std::os::unix::fs::PermissionsExt;
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path().join("home"), None);
        assert!(create(&folder, b"bob").unwrap());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o77;
        assert_eq!(mode(&folder.path), 0);
        for path in entries(&folder.path).unwrap() {
            assert_eq!(mode(&path), 0, "{path:?}");
        }
        // Control: a file that the standard library makes is for others, too, unless the process forbids that.
        let other = temporary.path().join("other");
        fs::write(&other, b"").unwrap();
        fs::set_permissions(&other, fs::Permissions::from_mode(0o644)).unwrap();
        assert_ne!(mode(&other), 0);
    }
}
