// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes in memory, readers, files and directories.

use super::super::blocks::BLOCK;
use super::super::scan::{Layer, Search};
use super::progress::{Progress, examine};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// Bytes in memory that are searched between two reports of progress.
const REPORT_INTERVAL: usize = 1 << 24;
/// Bytes that are read at once.
const READ: usize = 1 << 18;

/// Searches bytes in memory, as one source.
pub(super) fn bytes(search: &mut Search<'_>, progress: &mut Progress<'_>, name: String, bytes: &[u8]) {
    search.begin(name);
    let mut layer = Layer::source(0, BLOCK);
    bytes.chunks(REPORT_INTERVAL).for_each(|bytes| examine(search, progress, &mut layer, bytes));
    layer.finish(search);
}

/// Searches one source from its first byte to its last.
pub(super) fn stream(
    search: &mut Search<'_>,
    progress: &mut Progress<'_>,
    name: String,
    mut from: impl Read,
) -> io::Result<()> {
    search.begin(name);
    let mut layer = Layer::source(0, BLOCK);
    let mut buffer = vec![0; READ];
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => {
                layer.finish(search);
                return Err(error);
            }
        };
        examine(search, progress, &mut layer, buffer.get(..read).unwrap_or_default());
    }
    layer.finish(search);
    Ok(())
}

/// Searches the files of a directory in the order of their names, then its directories.
pub(super) fn directory(
    search: &mut Search<'_>,
    progress: &mut Progress<'_>,
    name: &str,
    path: &Path,
) -> io::Result<()> {
    let mut left = vec![(String::from(name), path.to_owned())];
    let mut is_first = true;
    while let Some((name, path)) = left.pop() {
        let entries = fs::read_dir(&path).and_then(|entries| entries.collect::<io::Result<Vec<_>>>());
        let mut entries = match entries {
            Ok(entries) => entries,
            // The directory itself is a source.
            Err(error) if is_first => return Err(error),
            Err(error) => {
                search.statistics.omit(|| format!("{name}: {error}"));
                continue;
            }
        };
        is_first = false;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let name = format!("{name}/{}", entry.file_name().to_string_lossy());
            let examined = entry.file_type().and_then(|kind| {
                if kind.is_dir() {
                    left.push((name.clone(), entry.path()));
                    Ok(())
                } else if kind.is_file() {
                    File::open(entry.path()).and_then(|file| {
                        progress.expect(file.metadata().map_or(0, |metadata| metadata.len()));
                        stream(search, progress, name.clone(), file)
                    })
                } else {
                    Err(io::Error::other("neither a file nor a directory"))
                }
            });
            if let Err(error) = examined {
                let why = error.to_string();
                search.statistics.omit(|| format!("{name}: {why}"));
            }
        }
    }
    Ok(())
}
