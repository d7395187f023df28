// SPDX-License-Identifier: MIT OR Apache-2.0
//! The memory of a process, from `/proc/PID/maps` and `/proc/PID/mem`, readable by whoever may trace the process
//! (ptrace(2)).
//!
//! Pages that the process itself may not read, such as a guarded heap or pages protected by `mprotect`, are read too:
//! reads of that file ignore a page's protection. Address space to which no page was ever assigned, such as guards
//! between stacks and reserved ranges, is empty and skipped. Memory that cannot be read is an omission with its size.
//!
//! The process continues to run while it is read. A value that moves from memory that has not been read to memory that
//! has is missed: stop the process first (`SIGSTOP`) where that matters.

use super::super::blocks::BLOCK;
use super::super::layers::Layer;
use super::super::scan::Search;
use super::error::EvidenceError;
use super::progress::{Progress, examine};
use core::ops::Range;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};

/// Bytes that are read at once. Unreadable memory is skipped page by page.
const READ: usize = 1 << 18;
/// The smallest size of a page; after a failed read, the next one begins this many bytes later.
const PAGE: u64 = 4096;

/// ESRCH: the error of a read after the process has ended.
const NO_SUCH_PROCESS: i32 = 3;

/// Pages that the kernel maps into every process and no process writes: clocks, and the stub of an old system call. The
/// first cannot be read through `/proc/PID/mem`. Skipping them is no omission.
const KERNEL_REGIONS: [&str; 4] = ["[vvar]", "[vvar_vclock]", "[vsyscall]", "[vectors]"];

struct Region {
    range: Range<u64>,
    /// `7f00-7fff rw-p ... [heap]`
    name: String,
    /// The process itself may not read it, and does not share it.
    is_protected: bool,
}

/// Searches all memory of a process that can be read. Offsets are addresses; adjacent mappings are one source.
pub(super) fn process(
    search: &mut Search<'_>,
    progress: &mut Progress<'_>,
    name: &str,
    pid: u32,
) -> Result<(), EvidenceError> {
    if !progress.begin(search, name, false) {
        return Ok(());
    }
    let ended = || EvidenceError::ProcessEnded { source: String::from(name) };
    let failed = |error: io::Error| match error.kind() {
        ErrorKind::NotFound => ended(),
        _ if error.raw_os_error() == Some(NO_SUCH_PROCESS) => ended(),
        _ => EvidenceError::Io { source: String::from(name), error },
    };
    let started = start_time(pid).ok_or_else(ended)?;
    let maps = fs::read(format!("/proc/{pid}/maps")).map_err(failed)?;
    let mut memory = File::open(format!("/proc/{pid}/mem")).map_err(failed)?;
    let regions: Vec<Region> = String::from_utf8_lossy(&maps).lines().filter_map(region).collect();
    // If it is unknown which regions have pages, all are read.
    let smaps = if regions.iter().any(|region| region.is_protected) {
        fs::read(format!("/proc/{pid}/smaps")).ok()
    } else {
        None
    };
    let untouched = smaps.map(|smaps| untouched(&String::from_utf8_lossy(&smaps))).unwrap_or_default();
    let is_empty = |region: &Region| region.is_protected && untouched.contains(&region.range.start);
    let regions: Vec<Region> = regions.into_iter().filter(|region| !is_empty(region)).collect();
    if regions.is_empty() {
        // A zombie process, or a kernel thread.
        return Err(ended());
    }
    progress.expect(regions.iter().map(|region| len(&region.range)).fold(0, u64::saturating_add));
    let mut buffer = vec![0; READ];
    let mut open: Option<(Layer, u64)> = None;
    'regions: for Region { range, name: region, is_protected: _ } in regions {
        let mut unreadable: Option<(u64, io::Error)> = None;
        let mut at = range.start;
        while at < range.end {
            if progress.stops(search) {
                break 'regions;
            }
            let wanted = len(&(at..range.end));
            let read = match read_at(&mut memory, at, wanted, &mut buffer) {
                // The address space no longer exists.
                Ok(0) => return Err(abandon(search, open, ended())),
                Ok(read) => read,
                Err(_) if start_time(pid) != Some(started) => return Err(abandon(search, open, ended())),
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

/// Searches what was read to its end before a search fails.
fn abandon(search: &mut Search<'_>, open: Option<(Layer, u64)>, error: EvidenceError) -> EvidenceError {
    if let Some((mut layer, _)) = open {
        layer.finish(search);
    }
    error
}

fn len(range: &Range<u64>) -> u64 {
    range.end.saturating_sub(range.start)
}

/// Reads as much as can be read at once, or at least the first page.
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

/// The region of a line of `maps` (proc_pid_maps(5)), except the kernel's.
fn region(line: &str) -> Option<Region> {
    if KERNEL_REGIONS.iter().any(|name| line.ends_with(name)) {
        return None;
    }
    let mut fields = line.split_ascii_whitespace();
    let range = addresses(fields.next()?)?;
    // `rwxp`, or `s` for a shared region, whose content may come from another process.
    let may = fields.next()?;
    let is_protected = !may.starts_with('r') && may.ends_with('p');
    // The fields are padded with white space.
    let name = line.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    Some(Region { range, name, is_protected })
}

fn addresses(field: &str) -> Option<Range<u64>> {
    let (from, to) = field.split_once('-')?;
    Some(u64::from_str_radix(from, 16).ok()?..u64::from_str_radix(to, 16).ok()?)
}

/// The first addresses of regions of which no page is in memory or swapped out (proc_pid_smaps(5)).
fn untouched(smaps: &str) -> BTreeSet<u64> {
    let mut empty = BTreeSet::new();
    let (mut start, mut seen) = (None, 0u8);
    for line in smaps.lines() {
        let mut fields = line.split_ascii_whitespace();
        let (first, second) = (fields.next().unwrap_or_default(), fields.next());
        match (first, second) {
            // Both must be present and zero.
            ("Rss:" | "Swap:", Some("0")) => seen = seen.saturating_add(1),
            ("Rss:" | "Swap:", _) => seen = 0,
            _ => {
                if let Some(range) = addresses(first) {
                    (start, seen) = (Some(range.start), 0);
                }
            }
        }
        if let Some(start) = start.filter(|_| seen == 2) {
            empty.insert(start);
        }
    }
    empty
}

/// The time at which the process started (proc_pid_stat(5), field 22): its number may be reused by another process.
/// `None` if it has ended.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protected_memory_is_skipped_only_if_it_never_had_pages() {
        let smaps = "7f0000000000-7f0000001000 ---p 00000000 00:00 0 \nSize: 4 kB\nRss: 0 kB\nPss: 0 kB\nSwap: 0 kB\n\
                     7f0000002000-7f0000004000 ---p 00000000 00:00 0 \nSize: 8 kB\nRss: 4 kB\nSwap: 0 kB\n\
                     7f0000005000-7f0000006000 ---p 00000000 00:00 0 \nRss: 0 kB\nSwap: 4 kB\nVmFlags: mr mw\n\
                     7f0000007000-7f0000008000 ---p 00000000 00:00 0 \nRss: 0 kB\n\
                     7f0000009000-7f000000a000 ---p 00000000 00:00 0 \nSwap: 0 kB\nRss: 0 kB\n";
        assert_eq!(Vec::from_iter(untouched(smaps)), [0x7f00_0000_0000, 0x7f00_0000_9000]);
        assert_eq!(untouched("Rss: 0 kB\nSwap: 0 kB\n").len(), 0);
    }

    #[test]
    fn all_regions_except_the_kernels_are_read_whatever_their_protection() {
        let protection = |line: &str| region(line).map(|region| region.is_protected);
        assert_eq!(protection("7ffc0000-7ffc2000 r--p 00000000 00:00 0    [vvar]"), None);
        assert_eq!(protection("ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0    [vsyscall]"), None);
        assert_eq!(protection("7f00-7f10 rw-p 00000000 00:00 0    [heap]"), Some(false));
        assert_eq!(protection("7f00-7f10 -w-p 00000000 00:00 0"), Some(true));
        assert_eq!(protection("7f00-7f10 ---p 00000000 00:00 0"), Some(true));
        assert_eq!(protection("7f00-7f10 ---s 00000000 00:01 7    /memfd:keys (deleted)"), Some(false));
        let found = region("7f00-7f10 ---p 00000000 00:00 0");
        assert_eq!(
            found.map(|region| (region.range, region.name)).unwrap(),
            (0x7f00..0x7f10, "7f00-7f10 ---p 00000000 00:00 0".into())
        );
    }
}
