// SPDX-License-Identifier: MIT OR Apache-2.0
//! Looks for 16-byte fragments of secrets and of plaintext in files, at every offset.
//!
//! Raw bytes only. The encodings in which servers leak, and what follows from what, are the audit's task.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Bytes of a fragment. By chance one of a million fragments turns up in a gigabyte with probability 2^-78.
pub(crate) const FRAGMENT: usize = 16;
/// Every so many bytes of plaintext one fragment is searched for.
const PLAINTEXT_STRIDE: usize = 1024;
/// Bits of the filter: first three bytes of a fragment.
const FILTER_BITS: usize = 1 << 24;

/// A fragment that was found.
pub(crate) struct Hit {
    pub(crate) file: PathBuf,
    pub(crate) offset: u64,
    pub(crate) what: &'static str,
}

/// The fragments that are searched for.
pub(crate) struct Fragments {
    filter: Vec<u64>,
    known: HashMap<[u8; FRAGMENT], &'static str>,
    /// Plaintext fragments left out because they are too regular to mean anything.
    pub(crate) left_out: usize,
}

impl Fragments {
    pub(crate) fn new() -> Self {
        Self { filter: vec![0; FILTER_BITS / 64], known: HashMap::new(), left_out: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    /// Both halves of a 32-byte secret.
    pub(crate) fn add_secret(&mut self, secret: &[u8; 32]) {
        for half in secret.chunks_exact(FRAGMENT) {
            self.add(half, "device secret");
        }
    }

    /// A fragment of every stretch of plaintext.
    pub(crate) fn add_plaintext(&mut self, plaintext: &[u8]) {
        for stretch in plaintext.chunks(PLAINTEXT_STRIDE) {
            let Some(fragment) = stretch.get(..FRAGMENT) else { continue };
            // Runs of one byte stand in any file format and in a relay's own counters.
            let mut values = fragment.to_vec();
            values.sort_unstable();
            values.dedup();
            if values.len() < 5 {
                self.left_out += 1;
            } else {
                self.add(fragment, "plaintext");
            }
        }
    }

    fn add(&mut self, fragment: &[u8], what: &'static str) {
        if let Ok(fragment) = <[u8; FRAGMENT]>::try_from(fragment) {
            let at = filter_at(&fragment);
            self.filter[at / 64] |= 1 << (at % 64);
            self.known.entry(fragment).or_insert(what);
        }
    }

    /// Searches every file below `folder`; returns the hits and the number of bytes examined.
    pub(crate) fn search(&self, folder: &Path) -> io::Result<(Vec<Hit>, u64)> {
        let (mut hits, mut examined) = (Vec::new(), 0);
        let mut folders = vec![folder.to_path_buf()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    examined += self.search_file(&path, &mut hits)?;
                }
            }
        }
        Ok((hits, examined))
    }

    fn search_file(&self, path: &Path, hits: &mut Vec<Hit>) -> io::Result<u64> {
        let mut file = File::open(path)?;
        let mut buffer = vec![0; 4 << 20];
        let (mut kept, mut base) = (0, 0u64);
        loop {
            let read = file.read(&mut buffer[kept..])?;
            let filled = kept + read;
            self.search_bytes(&buffer[..filled], |offset, what| {
                hits.push(Hit { file: path.to_path_buf(), offset: base + offset as u64, what });
            });
            if read == 0 {
                return Ok(base + filled as u64);
            }
            // The last 15 bytes may begin a fragment that ends in the next block.
            kept = filled.min(FRAGMENT - 1);
            buffer.copy_within(filled - kept..filled, 0);
            base += (filled - kept) as u64;
        }
    }

    /// Calls `found` for every fragment in `bytes`.
    pub(crate) fn search_bytes(&self, bytes: &[u8], mut found: impl FnMut(usize, &'static str)) {
        for (offset, window) in bytes.windows(FRAGMENT).enumerate() {
            let at = filter_at(window);
            if self.filter[at / 64] >> (at % 64) & 1 == 1
                && let Some(what) = <&[u8; FRAGMENT]>::try_from(window).ok().and_then(|w| self.known.get(w))
            {
                found(offset, what);
            }
        }
    }
}

fn filter_at(window: &[u8]) -> usize {
    usize::from(window[0]) << 16 | usize::from(window[1]) << 8 | usize::from(window[2])
}
