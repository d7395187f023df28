// SPDX-License-Identifier: MIT OR Apache-2.0
//! Transfers of attachments that continue after a cut: sealed files on the disk, and the parts of them that a server has
//! or lacks. How a part gets there is not a concern of this module.

use super::stream::{StreamError, open_stream, seal_stream};
use super::{AttachmentKey, sealed_len};
use crate::error::AttachmentError;
use alloc::vec::Vec;
use rand_core::CryptoRng;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// A sealed file that is being uploaded. It is sealed once, so that a transfer that was cut continues with the same bytes.
#[derive(Debug)]
pub struct Upload {
    file: File,
    len: u64,
}

impl Upload {
    /// Seals the file `content` to the new file `sealed` under a new key, drawn from `rng`, and returns the key. The file
    /// has its name when all of it is on the disk; until then it is `sealed` with `.part` appended, which is overwritten, and
    /// deleted after an error.
    ///
    /// # Errors
    /// [`StreamError`]. `TooLong` if the sealed file would have more than `max_len` bytes, before anything is written.
    pub fn prepare(
        content: &Path,
        sealed: &Path,
        max_len: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<AttachmentKey, StreamError> {
        let reader = File::open(content).map_err(StreamError::Read)?;
        let content_len = reader.metadata().map_err(StreamError::Read)?.len();
        sealed_len(content_len).filter(|len| *len <= max_len).ok_or(AttachmentError::TooLong)?;
        let part = with_suffix(sealed, ".part");
        let writer = File::create(&part).map_err(StreamError::Write)?;
        let key = seal_stream(content_len, reader, &writer, rng).and_then(|key| {
            let named = writer.sync_all().and_then(|()| rename(&part, sealed));
            named.map(|()| key).map_err(StreamError::Write)
        });
        key.inspect_err(|_| drop(fs::remove_file(&part)))
    }

    /// Opens a file that [`prepare`](Self::prepare) has sealed.
    ///
    /// # Errors
    /// [`StreamError::Read`].
    pub fn open(sealed: &Path) -> Result<Self, StreamError> {
        let file = File::open(sealed).map_err(StreamError::Read)?;
        let len = file.metadata().map_err(StreamError::Read)?.len();
        Ok(Self { file, len })
    }

    /// Returns the part that a server lacks that has the first `held` bytes: `max_len` bytes, or what is left. `None` if it
    /// has everything.
    ///
    /// # Errors
    /// [`StreamError::Read`]; [`AttachmentError::WrongLength`] if the server has more than there is.
    pub fn part_after(&mut self, held: u64, max_len: usize) -> Result<Option<Vec<u8>>, StreamError> {
        let rest = self.len.checked_sub(held).ok_or(AttachmentError::WrongLength)?;
        if rest == 0 {
            return Ok(None);
        }
        let mut part = Vec::new();
        let max_len = u64::try_from(max_len).unwrap_or(u64::MAX);
        let read = self.file.seek(SeekFrom::Start(held)).and_then(|_| {
            let mut limited = (&mut self.file).take(max_len);
            limited.read_to_end(&mut part)
        });
        read.map_err(StreamError::Read)?;
        Ok(Some(part))
    }
}

/// A sealed file that is being downloaded. What has arrived of it stays on the disk after a cut.
#[derive(Debug)]
pub struct Download {
    path: PathBuf,
    file: File,
    held: u64,
    len: u64,
}

impl Download {
    /// Begins or continues the download of an attachment whose content has `content_len` bytes, to the file `sealed`, which
    /// is the download's own.
    ///
    /// # Errors
    /// [`StreamError`].
    pub fn open(sealed: &Path, content_len: u64) -> Result<Self, StreamError> {
        let len = sealed_len(content_len).ok_or(AttachmentError::TooLong)?;
        let file = OpenOptions::new().create(true).append(true).open(sealed).map_err(StreamError::Write)?;
        let held = file.metadata().map_err(StreamError::Write)?.len();
        Ok(Self { path: sealed.into(), file, held, len })
    }

    /// Returns the place in bytes from which the next part is to be fetched, or `None` if everything has arrived.
    #[must_use]
    pub fn next_offset(&self) -> Option<u64> {
        (self.held < self.len).then_some(self.held)
    }

    /// Appends the part that begins at [`next_offset`](Self::next_offset).
    ///
    /// # Errors
    /// [`StreamError`]; [`AttachmentError::Truncated`] for an empty part: the server does not have the whole file. Bytes
    /// beyond the end are an error of [`finish`](Self::finish).
    pub fn put(&mut self, part: &[u8]) -> Result<(), StreamError> {
        if part.is_empty() {
            return Err(AttachmentError::Truncated.into());
        }
        self.file.write_all(part).map_err(StreamError::Write)?;
        self.held = self.held.saturating_add(u64::try_from(part.len()).unwrap_or(u64::MAX));
        Ok(())
    }

    /// Opens what has arrived to the file `content`, which has its name when it is whole and on the disk; until then it is
    /// `content` with `suffix` appended. Deletes the sealed file, also if it does not open: then it is to be fetched again.
    /// Returns the length of the content in bytes.
    ///
    /// # Errors
    /// [`StreamError`].
    ///
    /// # Security
    /// A file with `suffix` that a crash has left is a prefix of the content.
    pub fn finish(self, key: &AttachmentKey, content: &Path, suffix: &str) -> Result<u64, StreamError> {
        let part = with_suffix(content, suffix);
        let opened = self.open_to(key, &part);
        let finished = match opened {
            Ok(len) => rename(&part, content).map(|()| len).map_err(StreamError::Write),
            Err(error) => {
                let _ = fs::remove_file(&part);
                Err(error)
            }
        };
        // A reader or writer that fails leaves what has arrived.
        if matches!(finished, Ok(_) | Err(StreamError::Attachment(_))) {
            fs::remove_file(&self.path).map_err(StreamError::Write)?;
        }
        finished
    }

    fn open_to(&self, key: &AttachmentKey, part: &Path) -> Result<u64, StreamError> {
        let reader = File::open(&self.path).map_err(StreamError::Read)?;
        let writer = File::create(part).map_err(StreamError::Write)?;
        let len = open_stream(key, reader, &writer)?;
        writer.sync_all().map_err(StreamError::Write)?;
        Ok(len)
    }
}

/// The path of a file in the same folder.
fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// Gives a file its name, which a power cut does not take away afterwards.
fn rename(part: &Path, path: &Path) -> io::Result<()> {
    fs::rename(part, path)?;
    #[cfg(test)]
    tests::note_sync(path);
    sync_folder(path)
}

/// Has the names in the folder of `path` reach the disk, where the system can do that with a folder.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(folder) = File::open(folder) else { return Ok(()) };
    match folder.sync_all() {
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
        synced => synced,
    }
}

#[cfg(test)]
mod tests;
