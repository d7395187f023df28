// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes in memory, and readers.

use super::super::blocks::BLOCK;
use super::super::layers::Layer;
use super::super::scan::Search;
use super::progress::{Progress, examine};
use std::io::{self, ErrorKind, Read};

/// Bytes in memory that are searched between two reports of progress.
const REPORT_INTERVAL: usize = 1 << 22;
/// Bytes that are read at once.
const READ: usize = 1 << 18;

/// Searches bytes in memory, as one source.
pub(super) fn bytes(search: &mut Search<'_>, progress: &mut Progress<'_>, name: String, bytes: &[u8]) {
    if !progress.begin(search, &name, true) {
        return;
    }
    search.begin(name);
    let mut layer = Layer::source(0, BLOCK);
    for bytes in bytes.chunks(REPORT_INTERVAL) {
        if progress.stops(search) {
            break;
        }
        examine(search, progress, &mut layer, bytes);
    }
    layer.finish(search);
}

/// Searches one source from its first byte to its last. Returns how many these are.
pub(super) fn stream(
    search: &mut Search<'_>,
    progress: &mut Progress<'_>,
    name: String,
    mut from: impl Read,
) -> io::Result<u64> {
    if !progress.begin(search, &name, true) {
        return Ok(0);
    }
    search.begin(name);
    let mut len = 0u64;
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
        if progress.stops(search) {
            break;
        }
        len = len.saturating_add(read as u64);
        examine(search, progress, &mut layer, buffer.get(..read).unwrap_or_default());
    }
    layer.finish(search);
    Ok(len)
}
