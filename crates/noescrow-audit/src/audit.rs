// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Audit`]: takes a profile, traces and evidence.

use super::examination::Examination;
use super::ledger::Ledger;
use super::manifest::{Hashing, Manifest};
use super::options::Options;
use super::profile::Profile;
use super::search::search;
use super::tape::Tape;
use super::trace::TraceError;
use super::verdict::Verdict;
use core::cell::Cell;
use core::fmt;
use leakscan::{Evidence, printable};
use std::io::Read;
use std::path::Path;

/// A run of devices, and the evidence of what a server held of it, to be examined.
pub struct Audit<'a> {
    ledger: Ledger,
    evidence: Evidence<'a>,
    known: Option<Vec<Evidence<'a>>>,
    options: Options,
    progress: Box<dyn FnMut(u64, u64) + 'a>,
    stop: Box<dyn Fn() -> bool + 'a>,
    manifest: Manifest,
}

impl fmt::Debug for Audit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audit").field("operations", &self.ledger.operation_count()).finish_non_exhaustive()
    }
}

impl<'a> Audit<'a> {
    /// An audit of the trace on a tape in memory.
    ///
    /// # Errors
    /// [`TraceError`] for a tape with a writer: pass what it wrote to [`Audit::read`].
    pub fn of(profile: Profile, tape: &Tape) -> Result<Self, TraceError> {
        if tape.has_writer() {
            return Err(TraceError::WrittenElsewhere);
        }
        Self::read(profile, tape.bytes().as_slice())
    }

    /// An audit of a trace. The reader should be buffered.
    ///
    /// # Errors
    /// [`TraceError`] if it is not a trace.
    pub fn read(profile: Profile, trace: impl Read) -> Result<Self, TraceError> {
        let progress = Box::new(|_, _| {});
        let (known, manifest, options) = (None, Manifest::new(), Options::default());
        let ledger = Ledger::new(profile);
        let stop = Box::new(|| false);
        Self { ledger, evidence: Evidence::new(), known, options, progress, stop, manifest }.and_trace(trace)
    }

    /// Adds the trace of another run, or of another device of the same run: the evidence of one may leak secrets of the
    /// other.
    ///
    /// # Errors
    /// [`TraceError`] if it is not a trace.
    pub fn and_trace(mut self, trace: impl Read) -> Result<Self, TraceError> {
        let mut trace = Hashing::new(trace);
        self.ledger.ingest_trace(&mut trace)?;
        let name = format!("trace {}", self.manifest.traces.len().saturating_add(1));
        self.manifest.traces.push(trace.into_piece(name));
        Ok(self)
    }

    /// States in the manifest when, where and with which options the audit runs: the library asks neither the clock nor
    /// the host.
    #[must_use]
    pub fn run_at(mut self, time: &str, host: &str, options: &[String]) -> Self {
        self.manifest.time = Some(time.into());
        self.manifest.host = Some(printable(host).to_string());
        self.manifest.options = options.iter().map(|option| printable(option).to_string()).collect();
        self
    }

    /// Adds evidence: these bytes, under a name for people.
    #[must_use]
    pub fn server_saw(self, name: &str, bytes: &'a [u8]) -> Self {
        self.with(|evidence| evidence.bytes(name, bytes))
    }

    /// Adds evidence: a file, or all files below a directory.
    #[must_use]
    pub fn server_files(self, path: &Path) -> Self {
        let name = path.to_string_lossy();
        self.with(|evidence| match path.is_dir() {
            true => evidence.directory(&name, path),
            false => evidence.file(&name, path),
        })
    }

    /// Adds evidence of any kind.
    #[must_use]
    pub fn with(mut self, add: impl FnOnce(Evidence<'a>) -> Evidence<'a>) -> Self {
        self.evidence = add(self.evidence);
        self
    }

    /// Adds a baseline: software and files that were there before the run, such as the server's image and its system's
    /// libraries. People write what others wrote, and send files that begin as others do, so that parts of a text are
    /// in most systems. What the baseline contains is no leak of a *text*; it explains no key.
    ///
    /// Without any baseline, texts in the evidence alone are not a finding: the verdict lists them, and is
    /// [`Outcome::CouldNotExamine`](crate::Outcome::CouldNotExamine). With an empty one, `Evidence::new()`, the caller
    /// states that the evidence contains no software and no text of others: every part of a text is a finding.
    ///
    /// # Security
    /// A baseline that was taken after the run hides leaked texts. One that contains a key of the run, or a public value
    /// that the run computed, is not used, and the verdict says so.
    #[must_use]
    pub fn known(mut self, baseline: Evidence<'a>) -> Self {
        self.known.get_or_insert_default().push(baseline);
        self
    }

    /// Searches for texts in upper and in lower case as well, character by character, as indexes of full text keep them.
    #[must_use]
    pub const fn ignoring_case(mut self) -> Self {
        self.ledger.ignoring_case = true;
        self
    }

    /// The evidence must have this many per cent of the run's public values, or the verdict is "could not examine". By
    /// default 20: evidence with fewer is of another run, or of a part of what the server holds. Give less for evidence
    /// that is a part on purpose, such as a database without delivered messages; it must always have one.
    #[must_use]
    pub const fn min_share(mut self, per_cent: u8) -> Self {
        self.options.min_share = per_cent;
        self
    }

    /// Leaves out digests of secrets and texts, for runs with so many values that their index takes too much memory: up
    /// to 150 bytes for each of 18 digests of a key, and of 90 of a text. The verdict is then no better than
    /// [`Outcome::CouldNotExamine`](crate::Outcome::CouldNotExamine).
    #[must_use]
    pub const fn without_digests(mut self) -> Self {
        self.options.digests = false;
        self
    }

    /// Searches for short texts too, such as a PIN or "ha ha ha": as whole tokens, between characters that are no letters
    /// or digits, of 4 to 256 bytes. Without this, they are counted as not searched for. What the baseline has as well is
    /// no finding, and counts as not searched for.
    #[must_use]
    pub const fn short_texts(mut self) -> Self {
        self.options.short_texts = true;
        self
    }

    /// Stops the search when `stop` returns true, such as after a time: the library does not ask the clock. It is asked
    /// between blocks of evidence, often. What was found until then is reported. If the search is stopped and there is no
    /// finding, the verdict is [`Outcome::CouldNotExamine`](crate::Outcome::CouldNotExamine), and names the first source
    /// that was not read to its end.
    #[must_use]
    pub fn stopping(mut self, stop: impl Fn() -> bool + 'a) -> Self {
        self.stop = Box::new(stop);
        self
    }

    /// Calls `progress` during the search with the number of bytes done and the total, as far as it is known.
    #[must_use]
    pub fn on_progress(mut self, progress: impl FnMut(u64, u64) + 'a) -> Self {
        self.progress = Box::new(progress);
        self
    }

    /// Searches the evidence and gives the verdict. [`examine`](Self::examine) answers more questions than this one.
    pub fn verdict(self) -> Verdict {
        self.examine().verdict()
    }

    /// Searches the evidence.
    #[must_use]
    pub fn examine(mut self) -> Examination {
        self.ledger.finish();
        self.ledger.find_leaking_draws();
        // Once it has returned true it is not asked again, so that no later part is searched as if nothing had happened.
        let (is_stopped, stop) = (Cell::new(false), self.stop);
        let stop = || {
            is_stopped.set(is_stopped.get() || stop());
            is_stopped.get()
        };
        let searched = search(&self.ledger, self.evidence, self.known, &self.options, &stop, self.progress);
        self.manifest.add_evidence(&searched.pieces.0, searched.pieces.1);
        Examination::new(self.ledger, searched, self.manifest)
    }
}
