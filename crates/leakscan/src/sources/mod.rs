// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Evidence`]: named sources, read one after the other.
//!
//! ```text
//! error.rs      why a source cannot be searched
//! progress.rs   what all sources share: bytes that have been read are searched, counted and reported
//! files.rs      bytes in memory, and readers
//! open.rs       files, up to their size; what is not a file
//! directory.rs  the files of a directory and of those below it, and its links
//! names.rs      names of files, targets of links, extended attributes
//! pieces.rs     what was read, with its digest
//! memory.rs     the memory of a process
//! capture/      captures of traffic, their packets, and the streams of their flows
//! ```

mod capture;
mod directory;
mod error;
mod files;
#[cfg(target_os = "linux")]
mod memory;
mod names;
mod open;
mod pieces;
mod progress;

use super::coverage::Coverage;
use super::encoding::Encodings;
use super::findings::{Findings, Report, Statistics};
use super::index::needles::Index;
use super::scan::{Search, SearchLimits, Stop};
use core::fmt;
use core::ops::Range;
pub use error::EvidenceError;
use pieces::Pieces;
pub use pieces::{LISTED_PIECES, Piece};
use progress::Progress;
use std::fs;
use std::io::Read;
use std::path::PathBuf;

enum Source<'a> {
    Bytes(&'a [u8]),
    File(PathBuf),
    Directory(PathBuf),
    Reader(Box<dyn Read + 'a>),
    #[cfg(target_os = "linux")]
    Process(u32),
    Capture(Box<dyn Read + 'a>),
}

/// The bytes that are searched: any number of sources.
#[derive(Default)]
pub struct Evidence<'a> {
    sources: Vec<(String, Source<'a>)>,
    encodings: Encodings,
    limits: SearchLimits,
    lists_pieces: bool,
    tokens: Vec<(u32, Vec<u8>)>,
    stop: Option<Stop<'a>>,
}

impl fmt::Debug for Evidence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.sources.iter().map(|(name, _)| name)).finish()
    }
}

impl<'a> Evidence<'a> {
    /// No sources yet; all encodings, default limits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Restricts the search to these encodings.
    #[must_use]
    pub const fn with_encodings(mut self, encodings: Encodings) -> Self {
        self.encodings = encodings;
        self
    }

    /// Sets the limits of the search.
    #[must_use]
    pub const fn with_limits(mut self, limits: SearchLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Lists what was read of each source, with its SHA-256, in [`Findings::pieces`]. That takes about half a second for
    /// a gigabyte.
    #[must_use]
    pub const fn with_pieces(mut self) -> Self {
        self.lists_pieces = true;
        self
    }

    /// Stops the search when `stop` returns true. It is asked between blocks, often, and should be fast. What has been
    /// read until then is searched, and its hits are listed; the first source that was not read to its end is an omission.
    #[must_use]
    pub fn stopping(mut self, stop: impl Fn() -> bool + 'a) -> Self {
        self.stop = Some(Box::new(stop));
        self
    }

    /// Searches for these short texts too, each with a number: for whole tokens, between two characters that are no
    /// letters or digits. [`Findings::tokens`] has the hits. A text of fewer than [`MIN_TOKEN`](crate::MIN_TOKEN) or more
    /// than [`MAX_TOKEN`](crate::MAX_TOKEN) bytes is not found.
    ///
    /// Tokens are found as they are, in UTF-16, and in what escapes, percent-encoding, entities, quoted-printable,
    /// compression, connections and database pages decode to; not in Base64, in numerals, or in lists and arrays of
    /// numbers, where so short a text occurs by chance. Of what is decoded from text, runs of at least 16 bytes are read.
    /// The place of a token in UTF-16 may be a byte off.
    #[must_use]
    pub fn with_tokens(mut self, tokens: Vec<(u32, Vec<u8>)>) -> Self {
        self.tokens = tokens;
        self
    }

    /// Adds bytes in memory.
    #[must_use]
    pub fn bytes(self, name: &str, bytes: &'a [u8]) -> Self {
        self.with(name, Source::Bytes(bytes))
    }

    /// Adds a file: its content up to the size that it has when it is opened, its name and its extended attributes. A
    /// FIFO, a socket or a character device is an error, since it may have no end.
    #[must_use]
    pub fn file(self, name: &str, path: impl Into<PathBuf>) -> Self {
        self.with(name, Source::File(path.into()))
    }

    /// Adds all regular files in a directory and in its subdirectories, and the names of all that is in them. Symbolic
    /// links are not followed, but their targets are searched as names; links out of the evidence and special files are
    /// noted in [`Statistics::notes`](super::Statistics::notes).
    #[must_use]
    pub fn directory(self, name: &str, path: impl Into<PathBuf>) -> Self {
        self.with(name, Source::Directory(path.into()))
    }

    /// Adds everything that can be read from a reader.
    #[must_use]
    pub fn reader(self, name: &str, reader: impl Read + 'a) -> Self {
        self.with(name, Source::Reader(Box::new(reader)))
    }

    /// Adds the memory of a process of the same system, which the caller must be permitted to trace. The process is not
    /// stopped. Memory that cannot be read is an omission; a process that ends is an error.
    #[cfg(target_os = "linux")]
    #[must_use]
    pub fn process(self, name: &str, pid: u32) -> Self {
        self.with(name, Source::Process(pid))
    }

    /// Adds a capture of traffic, pcap or pcapng: its bytes as they are, and the payload of each direction of each TCP
    /// and UDP flow, in order.
    #[must_use]
    pub fn capture(self, name: &str, reader: impl Read + 'a) -> Self {
        self.with(name, Source::Capture(Box::new(reader)))
    }

    fn with(mut self, name: &str, source: Source<'a>) -> Self {
        self.sources.push((name.to_owned(), source));
        self
    }

    /// Searches all sources, in order. `progress` gets the number of bytes that have been searched, and the number of
    /// all bytes as far as it is known: it grows.
    ///
    /// # Errors
    /// [`EvidenceError`] if a source cannot be searched: a partial search shows nothing.
    pub fn search(self, index: &Index, progress: impl FnMut(u64, u64)) -> Result<Findings, EvidenceError> {
        let (findings, failed) = self.search_all(index, progress);
        failed.into_iter().next().map_or(Ok(findings), Err)
    }

    /// As [`search`](Self::search), but returns the errors beside the findings: those in the other sources, and in the
    /// part of a source that was read before it failed.
    pub fn search_all(mut self, index: &Index, progress: impl FnMut(u64, u64)) -> (Findings, Vec<EvidenceError>) {
        let mut search = self.begin(index, Report::First);
        let (failed, (pieces, unlisted)) = self.examine(&mut search, progress);
        (search.finish().with_pieces(pieces, unlisted), failed)
    }

    /// As [`search_all`](Self::search_all), but `rank` decides which hits are listed: it gets the value's number and
    /// the part of it that was found. A hit of rank zero is counted and not listed; of a value with more than
    /// [`HITS_PER_VALUE`](crate::HITS_PER_VALUE) others, those with the highest rank are.
    pub fn search_ranked(
        mut self,
        index: &Index,
        rank: &dyn Fn(u32, Range<usize>) -> u64,
        progress: impl FnMut(u64, u64),
    ) -> (Findings, Vec<EvidenceError>) {
        let mut search = self.begin(index, Report::Ranked(rank));
        let (failed, (pieces, unlisted)) = self.examine(&mut search, progress);
        (search.finish().with_pieces(pieces, unlisted), failed)
    }

    /// Searches all sources as [`search_all`](Self::search_all) does, and records which fragments of the values occur,
    /// rather than where. `sample` gets the bytes of all sources as they are read.
    pub fn cover(
        mut self,
        index: &Index,
        sample: &mut dyn FnMut(&[u8]),
        progress: impl FnMut(u64, u64),
    ) -> (Coverage, Statistics, Vec<EvidenceError>) {
        let mut search = self.begin(index, Report::Cover(Coverage::default())).with_sample(sample);
        let (failed, _) = self.examine(&mut search, progress);
        let (coverage, statistics) = search.into_coverage();
        (coverage, statistics, failed)
    }

    fn begin<'i>(&mut self, index: &'i Index, report: Report<'i>) -> Search<'i>
    where
        'a: 'i,
    {
        let search = Search::new(index, self.encodings, self.limits, report);
        search.with_tokens(core::mem::take(&mut self.tokens)).stopping(self.stop.take().map(|stop| stop as Stop<'i>))
    }

    /// Searches all sources; returns those that failed, and what was read.
    fn examine(
        self,
        search: &mut Search<'_>,
        mut progress: impl FnMut(u64, u64),
    ) -> (Vec<EvidenceError>, (Vec<Piece>, u64)) {
        let total = self.sources.iter().map(|(_, source)| source.len()).fold(0, u64::saturating_add);
        let mut progress = Progress::new(&mut progress, total);
        progress.pieces = self.lists_pieces.then(Pieces::default);
        let roots: Vec<PathBuf> = self.sources.iter().filter_map(|(_, source)| source.root()).collect();
        let sources = self.sources.into_iter();
        let failed = sources.filter_map(|(name, source)| source.examine(search, &mut progress, name, &roots).err());
        let failed = failed.collect();
        progress.report_stop(search);
        (failed, progress.pieces.map(Pieces::finish).unwrap_or_default())
    }
}

impl Source<'_> {
    fn examine(
        self,
        search: &mut Search<'_>,
        progress: &mut Progress<'_>,
        name: String,
        roots: &[PathBuf],
    ) -> Result<(), EvidenceError> {
        // The first source that is not read is named.
        if search.is_stopped() && !progress.begin(search, &name, true) {
            return Ok(());
        }
        let examined = match self {
            Self::Bytes(bytes) => {
                files::bytes(search, progress, name, bytes);
                return Ok(());
            }
            Self::Reader(reader) => files::stream(search, progress, name.clone(), reader).map(|_| ()),
            Self::File(path) => {
                names::name(search, &[], path.file_name().unwrap_or_default().as_encoded_bytes(), &name);
                names::attributes(search, &path, &name);
                open::file(search, progress, &name, &path)
            }
            Self::Directory(path) => directory::directory(search, progress, &name, &path, roots),
            #[cfg(target_os = "linux")]
            Self::Process(pid) => return memory::process(search, progress, &name, pid),
            Self::Capture(reader) => return capture::capture(search, progress, &name, reader),
        };
        examined.map_err(|error| EvidenceError::Io { source: name, error })
    }

    /// The path of a file or directory, without links.
    fn root(&self) -> Option<PathBuf> {
        match self {
            Self::File(path) | Self::Directory(path) => fs::canonicalize(path).ok(),
            _ => None,
        }
    }

    fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(path) => fs::metadata(path).map_or(0, |metadata| metadata.len()),
            _ => 0,
        }
    }
}
