// SPDX-License-Identifier: MIT OR Apache-2.0
//! The memory of a process, by `/proc/PID/maps` and `/proc/PID/mem`: who may trace a process may read it (ptrace(2)).
//!
//! The process runs on while it is read. A value that moves from a part that has not been read to one that has is missed:
//! stop the process first (`SIGSTOP`) where that matters.

use super::scan::{BLOCK, Layer, Search};
use super::source::{EvidenceError, Progress, examine};
use core::ops::Range;
use std::format;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::string::String;
use std::vec;
use std::vec::Vec;

/// Bytes that are read at once. What cannot be read is left out page by page.
const READ: usize = 1 << 18;
/// The smallest page there is; a failed read goes on behind it.
const PAGE: u64 = 4096;

/// ESRCH: what reading gives when the process is gone.
const NO_SUCH_PROCESS: i32 = 3;

/// Pages that the kernel maps into every process and no process writes: clocks, and the stub of an old system call. The
/// first cannot be read through `/proc/PID/mem`.
const OF_THE_KERNEL: [&str; 4] = ["[vvar]", "[vvar_vclock]", "[vsyscall]", "[vectors]"];

struct Region {
    range: Range<u64>,
    /// `7f00-7fff rw-p ... [heap]`
    name: String,
}

/// Searches all that can be read of a process. Addresses are offsets; mappings that touch are one source.
pub(super) fn process(
    search: &mut Search<'_>,
    progress: &mut Progress<'_>,
    name: &str,
    pid: u32,
) -> Result<(), EvidenceError> {
    let ended = || EvidenceError::ProcessEnded { source: String::from(name) };
    let failed = |error: io::Error| match error.kind() {
        ErrorKind::NotFound => ended(),
        _ if error.raw_os_error() == Some(NO_SUCH_PROCESS) => ended(),
        _ => EvidenceError::Io { source: String::from(name), error },
    };
    let started = start_time(pid).ok_or_else(ended)?;
    let maps = fs::read(format!("/proc/{pid}/maps")).map_err(failed)?;
    let mut memory = File::open(format!("/proc/{pid}/mem")).map_err(failed)?;
    let regions: Vec<Region> = String::from_utf8_lossy(&maps)
        .lines()
        .filter(|line| !OF_THE_KERNEL.iter().any(|name| line.ends_with(name)))
        .filter_map(region)
        .collect();
    if regions.is_empty() {
        // A process that waits to be buried, or a kernel thread.
        return Err(ended());
    }
    progress.expect(regions.iter().map(|region| len(&region.range)).fold(0, u64::saturating_add));
    let mut buffer = vec![0; READ];
    let mut open: Option<(Layer, u64)> = None;
    for Region { range, name: region } in regions {
        let mut unreadable: Option<(u64, io::Error)> = None;
        let mut at = range.start;
        while at < range.end {
            let wanted = len(&(at..range.end));
            let read = match read_at(&mut memory, at, wanted, &mut buffer) {
                // The address space is gone.
                Ok(0) => return Err(ended()),
                Ok(read) => read,
                Err(_) if start_time(pid) != Some(started) => return Err(ended()),
                Err(error) => {
                    let left_out = wanted.min(PAGE);
                    let sum = unreadable.map_or(0, |(sum, _)| sum).saturating_add(left_out);
                    unreadable = Some((sum, error));
                    at = at.saturating_add(left_out);
                    continue;
                }
            };
            let mut layer = match open.take() {
                Some((layer, end)) if end == at => layer,
                other => {
                    if let Some((mut layer, _)) = other {
                        layer.finish(search);
                    }
                    search.begin(format!("{name}, {region}"));
                    Layer::source(at, BLOCK)
                }
            };
            examine(search, progress, &mut layer, buffer.get(..read).unwrap_or_default());
            at = at.saturating_add(read as u64);
            open = Some((layer, at));
        }
        if let Some((bytes, error)) = unreadable {
            search.statistics.omit(|| format!("{name}, {region}: {bytes} bytes: {error}"));
        }
    }
    if let Some((mut layer, _)) = open {
        layer.finish(search);
    }
    if start_time(pid) == Some(started) { Ok(()) } else { Err(ended()) }
}

fn len(range: &Range<u64>) -> u64 {
    range.end.saturating_sub(range.start)
}

/// As much as can be read at once, or at least the first page.
fn read_at(memory: &mut File, at: u64, wanted: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut read = |most: u64| {
        let len = usize::try_from(wanted.min(most)).unwrap_or(usize::MAX).min(buffer.len());
        memory.seek(SeekFrom::Start(at))?;
        loop {
            match memory.read(buffer.get_mut(..len).unwrap_or_default()) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    };
    read(u64::MAX).or_else(|_| read(PAGE))
}

/// A line of `maps` (proc_pid_maps(5)) whose memory may be read.
fn region(line: &str) -> Option<Region> {
    let mut fields = line.split_ascii_whitespace();
    let (from, to) = fields.next()?.split_once('-')?;
    let range = u64::from_str_radix(from, 16).ok()?..u64::from_str_radix(to, 16).ok()?;
    let may_read = fields.next()?.starts_with('r');
    // White space between the fields is for the eyes.
    let name = line.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    may_read.then_some(Region { range, name })
}

/// When the process began (proc_pid_stat(5), field 22): the same number later may be another process. `None` if it has
/// ended.
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat).into_owned();
    // The name, in parentheses, may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}
