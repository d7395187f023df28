// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Witness`]: what is known of the database outside its file, so that a restored backup is noticed.

use crate::error::Error;
use noescrow::primitives::{Primitives, RustCrypto};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Length in bytes of an encoded [`Mark`].
pub const MARK_LEN: usize = ID_LEN + 8 + HISTORY_LEN;
pub(crate) const ID_LEN: usize = 16;
pub(crate) const HISTORY_LEN: usize = 16;

/// Which state of which database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// 16 random bytes, drawn when the database was made.
    pub database: [u8; ID_LEN],
    /// The number of commits that changed a device or a session.
    pub generation: u64,
    /// A hash of those commits, which tells copies of a database apart after they went different ways.
    pub history: [u8; HISTORY_LEN],
}

/// A place for one [`Mark`] that restoring the database from a backup does not turn back: the platform's key store, a
/// folder without backup, a TPM, or the side file of [`SideFile`].
///
/// The store reads it when it is opened and at each commit, and advances it when it is opened and after each commit. If
/// the database is ahead of the witness, the process was stopped between the two; if it is older, it was rolled back.
///
/// # Security
/// It notices backups that are restored, not an attacker who can write to the database's file and raise its generation.
pub trait Witness: Send {
    /// Returns the newest mark, or `None` if there has been none.
    ///
    /// # Errors
    /// The place's own error. The store then refuses to open or to commit.
    fn read(&mut self) -> io::Result<Option<Mark>>;

    /// Keeps `mark` in place of an older one. An earlier mark of a higher generation stays, whichever process kept it.
    ///
    /// # Errors
    /// The place's own error. The store then reports the commit as
    /// [`Unknown`](noescrow::durable::CommitError::Unknown); saving it again advances the witness.
    fn advance(&mut self, mark: &Mark) -> io::Result<()>;
}

/// A witness in a file, by default beside the database under its name with `-witness` added.
///
/// It has two records, which are written in turn, so that a torn write leaves the other one. It is synced when it is
/// made, and not at each commit: after a power cut it may lack the last seconds.
///
/// # Security
/// It notices a database file that was put back alone. An image of the whole disk, or a backup of the folder, puts back
/// both files and is not noticed: exclude the side file from backups, give it a folder without backup, or implement
/// [`Witness`] for the platform's key store.
#[derive(Debug)]
pub struct SideFile {
    path: PathBuf,
    file: Option<File>,
}

impl Mark {
    /// Returns the encoding, 40 bytes: database (16), generation (8, big-endian), history (16).
    #[must_use]
    pub fn to_bytes(&self) -> [u8; MARK_LEN] {
        let mut bytes = [0; MARK_LEN];
        let (database, rest) = bytes.split_at_mut(ID_LEN);
        let (generation, history) = rest.split_at_mut(8);
        database.copy_from_slice(&self.database);
        generation.copy_from_slice(&self.generation.to_be_bytes());
        history.copy_from_slice(&self.history);
        bytes
    }

    /// Parses what [`to_bytes`](Self::to_bytes) returned.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; MARK_LEN]) -> Option<Self> {
        let (database, rest) = bytes.split_first_chunk()?;
        let (generation, history) = rest.split_first_chunk()?;
        let history = *history.first_chunk()?;
        Some(Self { database: *database, generation: u64::from_be_bytes(*generation), history })
    }

    /// Compares the database's mark with the newest that the witness knows.
    pub(crate) fn check(&self, newest: Option<&Self>) -> Result<(), Error> {
        let Some(newest) = newest else {
            return if self.generation == 0 { Ok(()) } else { Err(Error::WitnessMissing) };
        };
        let Self { database, generation, history } = *self;
        match generation.cmp(&newest.generation) {
            _ if database != newest.database => Err(Error::OtherDatabase),
            std::cmp::Ordering::Less => Err(Error::Rollback { database: generation, witness: newest.generation }),
            std::cmp::Ordering::Equal if history != newest.history => Err(Error::Diverged { generation }),
            _ => Ok(()),
        }
    }
}

/// Length in bytes of a checksum.
const CHECKSUM_LEN: usize = 8;
/// Length in bytes of a record: the mark and its checksum, filled up so that no record crosses a disk's sector.
const RECORD_LEN: usize = 64;
const RECORDS: usize = 2;

fn checksum(mark: &[u8]) -> [u8; CHECKSUM_LEN] {
    let digest = RustCrypto.sha256(&[b"noescrow-sqlite witness", mark]);
    digest.first_chunk().copied().unwrap_or_default()
}

/// The mark in a record, or `None` if none is written there or the write was torn.
fn parse(record: &[u8]) -> Option<Mark> {
    let (mark, rest) = record.split_first_chunk::<MARK_LEN>()?;
    let claimed = rest.first_chunk::<CHECKSUM_LEN>()?;
    if checksum(mark) == *claimed { Mark::from_bytes(mark) } else { None }
}

/// Opens a file that other users of the machine cannot read.
pub(crate) fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Has the names in the folder of `path` reach the disk, so that a power cut does not take them away.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    #[cfg(test)]
    SYNCED.with_borrow_mut(|synced| synced.push(folder.into()));
    // Not every system can open a folder.
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
std::thread_local! {
    /// The folders that were synced.
    pub(crate) static SYNCED: std::cell::RefCell<Vec<PathBuf>> = const { std::cell::RefCell::new(Vec::new()) };
}

impl SideFile {
    /// The witness in the file at `path`, which is made when a new database is.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), file: None }
    }

    /// The side file of the database at `path`.
    pub(crate) fn beside(path: &Path) -> Self {
        let mut name = path.as_os_str().to_owned();
        name.push("-witness");
        Self::new(PathBuf::from(name))
    }

    /// Both records. `None` in one that is torn or was never written.
    fn records(file: &mut File) -> io::Result<Vec<Option<Mark>>> {
        let mut bytes = Vec::with_capacity(RECORD_LEN * RECORDS);
        file.seek(SeekFrom::Start(0))?;
        file.take((RECORD_LEN * RECORDS) as u64).read_to_end(&mut bytes)?;
        Ok(bytes.chunks(RECORD_LEN).map(parse).collect())
    }

    /// Makes the file, so that a power cut does not take it away.
    fn create(&self) -> io::Result<File> {
        let file = open_private(&self.path)?;
        file.sync_all()?;
        sync_folder(&self.path)?;
        Ok(file)
    }

    fn write(file: &mut File, mark: &Mark) -> io::Result<()> {
        let mut record = [0; RECORD_LEN];
        let (body, rest) = record.split_at_mut(MARK_LEN);
        body.copy_from_slice(&mark.to_bytes());
        if let Some(place) = rest.first_chunk_mut() {
            *place = checksum(body);
        }
        let generation = |record: &Option<Mark>| record.map(|mark| mark.generation);
        match &Self::records(file)?[..] {
            [first, second] if first.is_some() || second.is_some() => {
                let (first, second) = (generation(first), generation(second));
                if first.max(second) >= Some(mark.generation) {
                    return Ok(());
                }
                let older = if first > second { RECORD_LEN as u64 } else { 0 };
                file.seek(SeekFrom::Start(older))?;
                file.write_all(&record)
            }
            // Both, so that the file has its length from the beginning.
            _ => {
                file.seek(SeekFrom::Start(0))?;
                file.write_all(&[record; RECORDS].concat())?;
                file.sync_all()
            }
        }
    }
}

impl Witness for SideFile {
    fn read(&mut self) -> io::Result<Option<Mark>> {
        if self.file.is_none() {
            match OpenOptions::new().read(true).write(true).open(&self.path) {
                Ok(file) => self.file = Some(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        let Some(file) = &mut self.file else { return Ok(None) };
        file.lock_shared()?;
        let records = Self::records(file);
        file.unlock()?;
        let records = records?;
        let newest = records.iter().flatten().max_by_key(|mark| mark.generation).copied();
        if newest.is_none() && !records.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "both records are damaged"));
        }
        Ok(newest)
    }

    fn advance(&mut self, mark: &Mark) -> io::Result<()> {
        let mut file = match self.file.take() {
            Some(file) => file,
            None => self.create()?,
        };
        // Two processes that commit one after the other may arrive here in the other order.
        file.lock()?;
        let written = Self::write(&mut file, mark);
        let unlocked = file.unlock();
        self.file = Some(file);
        written.and(unlocked)
    }
}
