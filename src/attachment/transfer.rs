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
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// A sealed file that is being uploaded. It is sealed once, so that a transfer that was cut continues with the same bytes.
#[derive(Debug)]
pub struct Upload {
    file: File,
    len: u64,
}

impl Upload {
    /// Seals the file `content` to the new file `sealed` under a new key, drawn from `rng`, and returns the key. The file
    /// has its name when all of it is on the disk; until then it is `sealed` with `.part` appended, which is overwritten.
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
        let key = seal_stream(content_len, reader, &writer, rng)?;
        writer.sync_all().and_then(|()| fs::rename(&part, sealed)).map_err(StreamError::Write)?;
        Ok(key)
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
            Ok(len) => fs::rename(&part, content).map(|()| len).map_err(StreamError::Write),
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

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{format, vec};
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng as _;

    /// A folder of one test, deleted on drop.
    struct Folder(PathBuf);

    impl Folder {
        fn new(test: &str) -> Self {
            let path = std::env::temp_dir().join(format!("noescrow-{test}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn at(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    const PART_LEN: usize = 10_000;
    const CONTENT_LEN: u64 = 150_000;

    /// Seals a file, and uploads it in parts. Returns the key, and what the server has.
    fn uploaded(folder: &Folder) -> (AttachmentKey, Vec<u8>) {
        fs::write(folder.at("content"), vec![7; 150_000]).unwrap();
        let (content, sealed) = (folder.at("content"), folder.at("sealed"));
        let key = Upload::prepare(&content, &sealed, u64::MAX, &mut ChaCha20Rng::seed_from_u64(1)).unwrap();
        let mut server = Vec::new();
        // Each part goes over a connection of its own.
        while let Some(part) = Upload::open(&sealed).unwrap().part_after(server.len() as u64, PART_LEN).unwrap() {
            assert!(part.len() == PART_LEN || server.len() + part.len() == fs::read(&sealed).unwrap().len());
            server.extend(part);
        }
        assert_eq!(server, fs::read(&sealed).unwrap());
        (key, server)
    }

    #[test]
    fn a_cut_transfer_continues_with_the_same_bytes() {
        let folder = Folder::new("continues");
        let (key, server) = uploaded(&folder);
        let mut fetched = 0;
        while let Some(offset) = Download::open(&folder.at("down"), CONTENT_LEN).unwrap().next_offset() {
            let part = server.get(usize::try_from(offset).unwrap()..).unwrap();
            let part = part.get(..PART_LEN).unwrap_or(part);
            fetched += part.len();
            Download::open(&folder.at("down"), CONTENT_LEN).unwrap().put(part).unwrap();
        }
        assert_eq!(fetched, server.len());
        let download = Download::open(&folder.at("down"), CONTENT_LEN).unwrap();
        assert_eq!(download.finish(&key, &folder.at("copy"), ".part").unwrap(), CONTENT_LEN);
        assert_eq!(fs::read(folder.at("copy")).unwrap(), vec![7; 150_000]);
        assert!(!folder.at("down").exists() && !folder.at("copy.part").exists());
    }

    #[test]
    fn a_download_that_does_not_open_is_fetched_again() {
        let folder = Folder::new("again");
        let (key, mut server) = uploaded(&folder);
        let end = server.len() - 1;
        server[end] ^= 1;
        fs::write(folder.at("copy"), b"of the user").unwrap();
        let mut download = Download::open(&folder.at("down"), CONTENT_LEN).unwrap();
        assert!(matches!(download.put(b""), Err(StreamError::Attachment(AttachmentError::Truncated))));
        download.put(&server).unwrap();
        assert!(download.finish(&key, &folder.at("copy"), ".part").is_err());
        assert_eq!(fs::read(folder.at("copy")).unwrap(), b"of the user");
        assert!(!folder.at("copy.part").exists());
        // Control: whole, it opens, from the first byte.
        let mut download = Download::open(&folder.at("down"), CONTENT_LEN).unwrap();
        assert_eq!(download.next_offset(), Some(0));
        server[end] ^= 1;
        download.put(&server).unwrap();
        download.finish(&key, &folder.at("copy"), ".part").unwrap();
        assert_eq!(fs::read(folder.at("copy")).unwrap().len(), 150_000);
    }

    #[test]
    fn a_file_that_is_too_long_is_not_sealed() {
        let folder = Folder::new("long");
        let (_, server) = uploaded(&folder);
        let (content, sealed) = (folder.at("content"), folder.at("second"));
        let prepare = |max_len| Upload::prepare(&content, &sealed, max_len, &mut ChaCha20Rng::seed_from_u64(2));
        let len = server.len() as u64;
        assert!(matches!(prepare(len - 1), Err(StreamError::Attachment(AttachmentError::TooLong))));
        assert!(!sealed.exists() && !folder.at("second.part").exists());
        // Control.
        prepare(len).unwrap();
        assert!(Upload::open(&sealed).unwrap().part_after(len + 1, PART_LEN).is_err());
    }
}
