// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names: of files and directories, the targets of links, extended attributes. A server that names a file by a key
//! holds the key, whatever the file contains.
//!
//! Each name is a source of its own (`name of disk/sessions/3f5a…`), so that a hit shows the path. Names are not counted
//! as sources; most are shorter than a fragment and are not searched at all.

use super::super::blocks::SMALL_BLOCK;
use super::super::index::needles::FRAGMENT;
use super::super::scan::{Layer, Search};
use std::path::Path;

/// Bytes of a component of a path that may be the beginning of the name below it: stores of objects name the
/// directories by the first two bytes of a digest, in hexadecimal, and the files by the rest.
const MAX_SHARD: usize = 4;

/// Searches the name of a file or directory, the last component of its path; also joined with the short names of the
/// directories right above it.
pub(super) fn name(search: &mut Search<'_>, shards: &[u8], name: &[u8], shown: &str) {
    text(search, || format!("name of {shown}"), name);
    if !shards.is_empty() {
        text(search, || format!("name of {shown}"), &[shards, name].concat());
    }
}

/// The short names right above an entry of a directory with this name, which itself has `above` above it.
pub(super) fn shards(above: &[u8], name: &[u8]) -> Vec<u8> {
    if name.len() > MAX_SHARD { Vec::new() } else { [above, name].concat() }
}

/// Searches the target of a link.
pub(super) fn target(search: &mut Search<'_>, target: &Path, shown: &str) {
    text(search, || format!("target of the link {shown}"), target.as_os_str().as_encoded_bytes());
}

/// Searches one name, as a source that exists only if it has a hit.
fn text(search: &mut Search<'_>, source: impl FnOnce() -> String, bytes: &[u8]) {
    if bytes.len() < FRAGMENT {
        return;
    }
    let source = search.begin(source());
    let mut layer = Layer::source(0, SMALL_BLOCK);
    layer.push(search, bytes);
    layer.finish(search);
    search.end_name(source);
}

/// Searches the extended attributes of a file, a directory or a link, their names and their values.
#[cfg(target_os = "linux")]
pub(super) fn attributes(search: &mut Search<'_>, path: &Path, shown: &str) {
    use rustix::fs::{lgetxattr, llistxattr, llistxattr_query};
    use rustix::io::Errno;

    /// The longest list and the longest value, in bytes: the kernel's limits (xattr(7)).
    const MAX: usize = 1 << 16;

    let unreadable = |search: &mut Search<'_>, error: Errno| {
        search.statistics.omit(|| format!("{shown}: extended attributes cannot be read: {error}"));
    };
    // Most files have none: the buffer is allocated for those that have.
    match llistxattr_query(path) {
        Ok(0) | Err(Errno::NOTSUP | Errno::NOSYS) => return,
        Ok(_) => {}
        Err(error) => return unreadable(search, error),
    }
    let mut list = vec![0; MAX];
    let len = match llistxattr(path, &mut list[..]) {
        Ok(len) => len,
        Err(error) => return unreadable(search, error),
    };
    let mut value = vec![0; MAX];
    for attribute in list.get(..len).unwrap_or_default().split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
        let source = || format!("attribute {} of {shown}", String::from_utf8_lossy(attribute));
        text(search, source, attribute);
        match lgetxattr(path, attribute, &mut value[..]) {
            Ok(len) => text(search, source, value.get(..len).unwrap_or_default()),
            // It was removed meanwhile.
            Err(Errno::NODATA) => {}
            Err(error) => unreadable(search, error),
        }
    }
}

/// Other systems have no interface for extended attributes here.
#[cfg(not(target_os = "linux"))]
pub(super) const fn attributes(_: &mut Search<'_>, _: &Path, _: &str) {}
