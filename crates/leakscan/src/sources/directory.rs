// SPDX-License-Identifier: MIT OR Apache-2.0
//! Directories: their files, and all names in them.
//!
//! Links are not followed: a target inside the evidence is read at its own place, once; one outside is no evidence, and
//! a note says so. FIFOs, sockets and devices have no content at rest, and are passed over with a note.

use super::super::scan::Search;
use super::progress::Progress;
use super::{names, open};
use std::fs::{self, DirEntry};
use std::io;
use std::path::{Path, PathBuf};

/// A directory that is still to be searched.
struct Left {
    shown: String,
    path: PathBuf,
    /// The short names at the end of its path.
    shards: Vec<u8>,
}

/// The links of a directory that lead to other places in the evidence.
#[derive(Default)]
struct InnerLinks {
    count: u64,
    first: String,
}

/// Searches the files of a directory in the order of their names, then its directories. `roots` are the paths of all
/// evidence, without links.
pub(super) fn directory(
    search: &mut Search<'_>,
    progress: &mut Progress<'_>,
    name: &str,
    path: &Path,
    roots: &[PathBuf],
) -> io::Result<()> {
    let own = path.file_name().unwrap_or_default().as_encoded_bytes();
    names::name(search, &[], own, name);
    names::attributes(search, path, name);
    let shards = names::shards(&[], own);
    let mut left = vec![Left { shown: String::from(name), path: path.to_owned(), shards }];
    let mut links = InnerLinks::default();
    let mut is_first = true;
    while let Some(Left { shown, path, shards }) = left.pop() {
        let entries = fs::read_dir(&path).and_then(|entries| entries.collect::<io::Result<Vec<_>>>());
        let mut entries = match entries {
            Ok(entries) => entries,
            // The directory itself is a source.
            Err(error) if is_first => return Err(error),
            Err(error) => {
                search.statistics.omit(|| format!("{shown}: {error}"));
                continue;
            }
        };
        is_first = false;
        entries.sort_by_key(DirEntry::file_name);
        for entry in entries {
            if search.is_stopped() && progress.stops(search) {
                return Ok(());
            }
            let (file_name, path) = (entry.file_name(), entry.path());
            let shown = format!("{shown}/{}", file_name.to_string_lossy());
            let own = file_name.as_encoded_bytes();
            names::name(search, &shards, own, &shown);
            names::attributes(search, &path, &shown);
            let examined = entry.file_type().and_then(|kind| {
                if kind.is_dir() {
                    left.push(Left { shown: shown.clone(), path, shards: names::shards(&shards, own) });
                } else if kind.is_symlink() {
                    link(search, &path, &shown, roots, &mut links)?;
                } else if let Some(what) = open::special(kind) {
                    search.statistics.note(|| format!("{shown}: {what}, without content at rest"));
                } else if open::is_disk(kind) {
                    search.statistics.note(|| format!("{shown}: a block device, whose content is not read here"));
                } else {
                    progress.expect(entry.metadata().map_or(0, |metadata| metadata.len()));
                    open::file(search, progress, &shown, &path)?;
                }
                Ok(())
            });
            if let Err(error) = examined {
                search.statistics.omit(|| format!("{shown}: {error}"));
            }
        }
    }
    let InnerLinks { count, first } = links;
    if count > 0 {
        search.statistics.note(|| {
            format!(
                "{name}: links to other places of the evidence, which are searched there: {count}, the first {first}"
            )
        });
    }
    Ok(())
}

/// Searches the target of a link as a name, and notes where it leads.
fn link(
    search: &mut Search<'_>,
    path: &Path,
    shown: &str,
    roots: &[PathBuf],
    inner: &mut InnerLinks,
) -> io::Result<()> {
    let target = fs::read_link(path)?;
    names::target(search, &target, shown);
    let target = target.to_string_lossy();
    match fs::canonicalize(path) {
        Ok(real) if roots.iter().any(|root| real.starts_with(root)) => {
            if inner.count == 0 {
                inner.first = String::from(shown);
            }
            inner.count = inner.count.saturating_add(1);
        }
        Ok(_) => {
            search.statistics.note(|| format!("{shown}: a link out of the evidence, not followed: to {target}"));
        }
        Err(error) => search.statistics.note(|| format!("{shown}: a link to {target}, which cannot be read: {error}")),
    }
    Ok(())
}
