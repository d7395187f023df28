// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Evidence`]: named sources, read one after the other.

use super::encoding::Encodings;
use super::hits::Findings;
use super::needles::Index;
use super::scan::{BLOCK, Layer, Limits, Search};
use core::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::string::{String, ToString};

/// Bytes in memory that are examined between two tellings of how far a search is.
const TOLD: usize = 1 << 24;
/// Bytes that are read at once.
const READ: usize = 1 << 18;

/// A source that was named cannot be examined. What cannot be read within one (a file of a directory) is no error but an
/// omission.
#[derive(Debug)]
#[non_exhaustive]
pub enum EvidenceError {
    /// A source cannot be read.
    Io {
        /// Its name.
        source: String,
        /// Why.
        error: io::Error,
    },
    /// A process ended, or was replaced, before its memory had been read.
    ProcessEnded {
        /// Its name.
        source: String,
    },
    /// This is no capture, or it is damaged.
    Capture {
        /// Its name.
        source: String,
        /// What is wrong.
        what: &'static str,
    },
}

impl fmt::Display for EvidenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { source, error } => write!(f, "cannot read {source}: {error}"),
            Self::ProcessEnded { source } => write!(f, "{source} ended while its memory was read"),
            Self::Capture { source, what } => write!(f, "{source} is no capture, or damaged: {what}"),
        }
    }
}

impl core::error::Error for EvidenceError {}

enum Source<'a> {
    Bytes(&'a [u8]),
    File(PathBuf),
    Directory(PathBuf),
    Reader(Box<dyn Read + 'a>),
    #[cfg(target_os = "linux")]
    Process(u32),
    Capture(Box<dyn Read + 'a>),
}

/// What a server holds: any number of sources.
#[derive(Default)]
pub struct Evidence<'a> {
    sources: Vec<(String, Source<'a>)>,
    encodings: Encodings,
    limits: Limits,
}

impl fmt::Debug for Evidence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.sources.iter().map(|(name, _)| name)).finish()
    }
}

/// Tells how far a search is.
pub(super) struct Progress<'p> {
    tell: &'p mut dyn FnMut(u64, u64),
    done: u64,
    total: u64,
}

impl Progress<'_> {
    /// There are more bytes than was known.
    pub(super) const fn expect(&mut self, bytes: u64) {
        self.total = self.total.saturating_add(bytes);
    }

    pub(super) fn advance(&mut self, bytes: usize) {
        self.done = self.done.saturating_add(bytes as u64);
        (self.tell)(self.done, self.total.max(self.done));
    }
}

impl<'a> Evidence<'a> {
    /// None yet; all encodings, the usual bounds.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks for these encodings only.
    #[must_use]
    pub const fn with_encodings(mut self, encodings: Encodings) -> Self {
        self.encodings = encodings;
        self
    }

    /// Keeps to these bounds.
    #[must_use]
    pub const fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Bytes in memory.
    #[must_use]
    pub fn bytes(self, name: &str, bytes: &'a [u8]) -> Self {
        self.with(name, Source::Bytes(bytes))
    }

    /// A file.
    #[must_use]
    pub fn file(self, name: &str, path: impl Into<PathBuf>) -> Self {
        self.with(name, Source::File(path.into()))
    }

    /// All regular files in a directory and in those within it. Symbolic links are not followed; they and special files
    /// are omissions.
    #[must_use]
    pub fn directory(self, name: &str, path: impl Into<PathBuf>) -> Self {
        self.with(name, Source::Directory(path.into()))
    }

    /// Whatever can be read.
    #[must_use]
    pub fn reader(self, name: &str, reader: impl Read + 'a) -> Self {
        self.with(name, Source::Reader(Box::new(reader)))
    }

    /// The memory of a process that runs on this machine, and that may be traced. It is not stopped. What cannot be read
    /// is an omission; that it ends is an error.
    #[cfg(target_os = "linux")]
    #[must_use]
    pub fn process(self, name: &str, pid: u32) -> Self {
        self.with(name, Source::Process(pid))
    }

    /// A capture of traffic, pcap or pcapng: its bytes as they are, and what each direction of each TCP and UDP flow
    /// carries, in order.
    #[must_use]
    pub fn capture(self, name: &str, reader: impl Read + 'a) -> Self {
        self.with(name, Source::Capture(Box::new(reader)))
    }

    fn with(mut self, name: &str, source: Source<'a>) -> Self {
        self.sources.push((name.to_owned(), source));
        self
    }

    /// Searches all sources, in order. `progress` gets the bytes that have been examined and those that there are, as far
    /// as that is known: it grows.
    ///
    /// # Errors
    /// [`EvidenceError`] if a source cannot be examined: a search of less than all is none.
    pub fn search(self, index: &Index, progress: impl FnMut(u64, u64)) -> Result<Findings, EvidenceError> {
        let (findings, failed) = self.search_what_can_be(index, progress);
        failed.into_iter().next().map_or(Ok(findings), Err)
    }

    /// As [`search`](Self::search), but a source that cannot be examined hides nothing in the others, nor what came before
    /// it failed.
    pub fn search_what_can_be(
        self,
        index: &Index,
        mut progress: impl FnMut(u64, u64),
    ) -> (Findings, Vec<EvidenceError>) {
        let total = self.sources.iter().map(|(_, source)| source.len()).fold(0, u64::saturating_add);
        let mut progress = Progress { tell: &mut progress, done: 0, total };
        let mut search = Search::new(index, self.encodings, self.limits);
        let sources = self.sources.into_iter();
        let failed = sources.filter_map(|(name, source)| source.examine(&mut search, &mut progress, name).err());
        let failed = failed.collect();
        (search.finish(), failed)
    }
}

impl Source<'_> {
    fn examine(self, search: &mut Search<'_>, progress: &mut Progress<'_>, name: String) -> Result<(), EvidenceError> {
        let examined = match self {
            Self::Bytes(bytes) => {
                search.begin(name);
                let mut layer = Layer::source(0, BLOCK);
                bytes.chunks(TOLD).for_each(|bytes| examine(search, progress, &mut layer, bytes));
                layer.finish(search);
                return Ok(());
            }
            Self::Reader(reader) => stream(search, progress, name.clone(), reader),
            Self::File(path) => File::open(path).and_then(|file| stream(search, progress, name.clone(), file)),
            Self::Directory(path) => directory(search, progress, &name, &path),
            #[cfg(target_os = "linux")]
            Self::Process(pid) => return super::memory::process(search, progress, &name, pid),
            Self::Capture(reader) => return super::pcap::capture(search, progress, &name, reader),
        };
        examined.map_err(|error| EvidenceError::Io { source: name, error })
    }

    fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(path) => fs::metadata(path).map_or(0, |metadata| metadata.len()),
            _ => 0,
        }
    }
}

/// One source from its first byte to its last.
fn stream(search: &mut Search<'_>, progress: &mut Progress<'_>, name: String, mut from: impl Read) -> io::Result<()> {
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

/// Bytes of a source, as they are read.
pub(super) fn examine(search: &mut Search<'_>, progress: &mut Progress<'_>, layer: &mut Layer, bytes: &[u8]) {
    search.statistics.bytes = search.statistics.bytes.saturating_add(bytes.len() as u64);
    layer.push(search, bytes);
    progress.advance(bytes.len());
}

/// The files of a directory in the order of their names, then its directories.
fn directory(search: &mut Search<'_>, progress: &mut Progress<'_>, name: &str, path: &Path) -> io::Result<()> {
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
