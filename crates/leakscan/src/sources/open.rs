// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files that are opened as evidence: what they are, and how much of them is read.
//!
//! A log may grow faster than it is searched, and a special file may have no end. A file is therefore read up to the
//! size that it has when it is opened, and what is neither a file nor a disk is refused.

use super::super::scan::Search;
use super::files::stream;
use super::progress::Progress;
use std::fs::{self, File, FileType, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// Bytes that are read of a file without a size, such as those of `/proc`: more than any of them has.
const MAX_WITHOUT_SIZE: u64 = 1 << 26;

/// What a special file is; `None` for files, directories and disks.
pub(super) fn special(kind: FileType) -> Option<&'static str> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return Some("a FIFO");
        }
        if kind.is_socket() {
            return Some("a socket");
        }
        if kind.is_char_device() {
            return Some("a character device");
        }
    }
    let is_known = kind.is_file() || kind.is_dir() || kind.is_symlink() || is_disk(kind);
    (!is_known).then_some("a special file")
}

#[cfg(unix)]
pub(super) fn is_disk(kind: FileType) -> bool {
    std::os::unix::fs::FileTypeExt::is_block_device(&kind)
}

#[cfg(not(unix))]
pub(super) const fn is_disk(_: FileType) -> bool {
    false
}

/// Refuses what has no content at rest.
fn check(metadata: &Metadata) -> io::Result<()> {
    match special(metadata.file_type()) {
        Some(what) => Err(io::Error::other(format!("{what} is no evidence: copy what it delivers to a file"))),
        None if metadata.is_dir() => Err(io::Error::other("a directory, not a file")),
        None => Ok(()),
    }
}

/// Opens a file for reading, without waiting for the other end of a FIFO that has replaced it meanwhile.
fn open(path: &Path) -> io::Result<File> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{Mode, OFlags};
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
    }
    #[cfg(not(target_os = "linux"))]
    File::open(path)
}

/// Searches a file or a disk, up to the size that it has at the beginning.
pub(super) fn file(search: &mut Search<'_>, progress: &mut Progress<'_>, name: &str, path: &Path) -> io::Result<()> {
    // Before it is opened: opening a device may have an effect.
    check(&fs::metadata(path)?)?;
    let mut file = open(path)?;
    let metadata = file.metadata()?;
    check(&metadata)?;
    let len = if is_disk(metadata.file_type()) { file.seek(SeekFrom::End(0))? } else { metadata.len() };
    file.rewind()?;
    let limit = if len == 0 { MAX_WITHOUT_SIZE } else { len };
    let read = stream(search, progress, String::from(name), Read::by_ref(&mut file).take(limit))?;
    if is_disk(metadata.file_type()) || search.is_stopped() {
        return Ok(());
    }
    let now = file.metadata()?.len();
    if len == 0 && read == limit {
        search.statistics.omit(|| format!("{name}: a file without a size, after its first {limit} bytes"));
    } else if read < len && now != len {
        search.statistics.omit(|| format!("{name}: it had {len} bytes, and shrank to {read} while it was read"));
    } else if len > 0 && now > len {
        search.statistics.note(|| format!("{name}: it grew while it was read: its first {len} bytes were searched"));
    }
    Ok(())
}
