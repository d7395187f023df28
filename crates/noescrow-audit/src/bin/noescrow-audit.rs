// SPDX-License-Identifier: MIT OR Apache-2.0
//! `noescrow-audit`: audits a server from a shell. It reads the trace of the devices that talked through the server,
//! searches everything that the server holds, and prints the verdict.
//!
//! ```sh
//! noescrow-audit --trace run.trace --profile profile.json --known image/ \
//!     --evidence dump.sql logs/ wire.pcap --pid 4711
//! ```
#![allow(clippy::arithmetic_side_effects, reason = "a program may panic")]

use clap::{Parser, ValueHint};
use indicatif::{ProgressBar, ProgressStyle};
use leakscan::printable;
use noescrow_audit::{Audit, Evidence, Examination, Outcome, Profile, Thief, Verdict};
use std::env;
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

/// Rows and columns of a drawn matrix. In longer runs each cell stands for several.
const DRAWN: (usize, usize) = (200, 64);
/// Bytes of the trace's read buffer.
const READ: usize = 1 << 20;
/// Bytes of evidence from which on a progress bar is drawn. Less is searched in a moment.
const LONG: u64 = 8 << 20;

const HOLDS: u8 = 0;
const FINDING: u8 = 1;
const COULD_NOT_EXAMINE: u8 = 2;
const HOLDS_IN_PART: u8 = 3;

fn main() -> ExitCode {
    let code = run(&Options::parse()).unwrap_or_else(|error| {
        complain(&error.to_string());
        COULD_NOT_EXAMINE
    });
    ExitCode::from(code)
}

/// Prints to standard error what may have names of files in it.
fn complain(error: &str) {
    eprintln!("noescrow-audit: {}", printable(error));
}

/// Audits a server: does it hold a key or a plaintext of the devices that talked through it, or anything from which one
/// follows?
///
/// Exit code: 0 no server-held key exists in what was examined, 1 there are findings, 2 not everything could be
/// examined (bad options, trace or evidence, evidence of another run), 3 as 0, but some secrets were not searched for
/// because they are too short or too plain.
#[derive(Parser)]
#[command(version)]
struct Options {
    /// The traces that the devices' recorders wrote
    #[arg(long, value_name = "FILE", required = true, num_args = 1.., value_hint = ValueHint::FilePath)]
    trace: Vec<PathBuf>,

    /// The profile of the devices' protocol; noescrow's is `noescrow_recorder::PROFILE`, as a file
    #[arg(long, required_unless_present = "no_profile", value_name = "FILE", value_hint = ValueHint::FilePath)]
    profile: Option<PathBuf>,

    /// Audits without a profile: every plaintext and every derived value counts as secret, and the exit code is 1 or 2
    #[arg(long, conflicts_with = "profile")]
    no_profile: bool,

    /// What the server holds: files, directories with all their files, traffic captures (pcap and pcapng are
    /// recognised)
    #[arg(long, value_name = "PATH", required_unless_present = "pid", num_args = 1..)]
    evidence: Vec<PathBuf>,

    /// What was there before the run, for texts: the server's image, its system's files (files, directories with all
    /// their files). `none` states that the evidence contains no software and no text of others. Without this option,
    /// texts in the evidence alone are exit code 2
    #[arg(long, value_name = "PATH", num_args = 1..)]
    known: Vec<PathBuf>,

    /// Does not search for digests of secrets and texts, which take memory in long runs; the exit code is 1 or 2
    #[arg(long)]
    no_digests: bool,

    /// The memory of running processes, by process id (Linux; may need root)
    #[arg(long, value_name = "N", num_args = 1..)]
    pid: Vec<u32>,

    /// Searches for texts in upper and in lower case as well
    #[arg(long)]
    ignore_case: bool,

    /// Searches for short texts too, such as a PIN: as whole tokens, between characters that are no letters or digits, of
    /// 4 to 256 bytes
    #[arg(long)]
    short_texts: bool,

    /// Stops the search after this time. What was found until then is reported. If it is reached and there is no
    /// finding, the exit code is 2
    #[arg(long, value_name = "SECONDS")]
    time_limit: Option<u64>,

    /// How many per cent of the run's public values the evidence must have; less is evidence of another run or of a
    /// part of the server
    #[arg(long, value_name = "PER CENT", value_parser = clap::value_parser!(u8).range(..=100))]
    min_share: Option<u8>,

    /// Writes the verdict as an HTML page, with drawings of derivations and of the secrecy matrix
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// Writes the secrecy matrix as a picture; the extension, .svg or .png, decides the format
    #[arg(long, value_name = "FILE")]
    matrix: Option<PathBuf>,

    /// Prints the verdict as JSON
    #[arg(long)]
    json: bool,
}

enum Format {
    Svg,
    Png,
}

impl Format {
    fn of(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_string_lossy().to_lowercase();
        match extension.as_str() {
            "svg" => Some(Self::Svg),
            "png" => Some(Self::Png),
            _ => None,
        }
    }
}

fn run(options: &Options) -> Result<u8, Box<dyn Error>> {
    let begun = Instant::now();
    if let Some(path) = &options.matrix
        && Format::of(path).is_none()
    {
        return Err(format!("{}: the extension of a matrix must be .svg or .png", path.display()).into());
    }
    check_distinct(&options.trace)?;
    let profile = match &options.profile {
        Some(path) => {
            let json = fs::read(path).map_err(|error| named(path, &error))?;
            Profile::from_json(&json).map_err(|error| named(path, &error))?
        }
        None => Profile::empty(),
    };
    let mut audit: Option<Audit<'_>> = None;
    for path in &options.trace {
        let recorded = BufReader::with_capacity(READ, File::open(path).map_err(|error| named(path, &error))?);
        let read = match audit.take() {
            Some(audit) => audit.and_trace(recorded),
            None => Audit::read(profile.clone(), recorded),
        };
        audit = Some(read.map_err(|error| named(path, &error))?);
    }
    let mut audit = audit.ok_or("no trace")?;
    for path in &options.evidence {
        check_separate(path, &options.trace)?;
        audit = add_evidence(audit, path)?;
    }
    audit = add_baseline(audit, options)?;
    if options.ignore_case {
        audit = audit.ignoring_case();
    }
    if options.no_digests {
        audit = audit.without_digests();
    }
    if options.short_texts {
        audit = audit.short_texts();
    }
    if let Some(limit) = options.time_limit.map(Duration::from_secs) {
        audit = audit.stopping(move || begun.elapsed() >= limit);
    }
    for &pid in &options.pid {
        audit = add_process(audit, pid)?;
    }
    if let Some(per_cent) = options.min_share {
        audit = audit.min_share(per_cent);
    }
    let bar = Bar::new();
    let time = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let host = gethostname::gethostname().to_string_lossy().into_owned();
    let arguments: Vec<String> = env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let examination = audit.run_at(&time, &host, &arguments).on_progress(|done, all| bar.show(done, all)).examine();
    bar.0.finish_and_clear();
    Ok(report(options, &examination))
}

/// Prints to standard output. A reader such as `| head` may have closed it; the exit code is the answer then.
fn print(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

fn named(path: &Path, error: &dyn Error) -> String {
    format!("{}: {error}", path.display())
}

/// Refuses a trace that is given twice: all fresh values of the run would repeat.
fn check_distinct(traces: &[PathBuf]) -> Result<(), Box<dyn Error>> {
    let mut seen = Vec::new();
    for trace in traces {
        let path = fs::canonicalize(trace).map_err(|error| named(trace, &error))?;
        if seen.contains(&path) {
            return Err(format!("the trace {} is given twice", trace.display()).into());
        }
        seen.push(path);
    }
    Ok(())
}

/// Refuses a trace within the evidence: it contains every secret, and the search would find them.
fn check_separate(evidence: &Path, traces: &[PathBuf]) -> Result<(), Box<dyn Error>> {
    let evidence = fs::canonicalize(evidence).map_err(|error| named(evidence, &error))?;
    for trace in traces {
        if fs::canonicalize(trace)?.starts_with(&evidence) {
            return Err(
                format!("the trace {} is part of the evidence, but it contains every secret", trace.display()).into()
            );
        }
    }
    Ok(())
}

/// Adds what was there before the run. A path that is evidence as well is refused: what has leaked there would explain
/// itself.
fn add_baseline<'a>(mut audit: Audit<'a>, options: &Options) -> Result<Audit<'a>, Box<dyn Error>> {
    if options.known == [Path::new("none")] {
        return Ok(audit.known(Evidence::new()));
    }
    for path in &options.known {
        check_separate(path, &options.trace)?;
        let known = fs::canonicalize(path).map_err(|error| named(path, &error))?;
        for evidence in &options.evidence {
            let other = fs::canonicalize(evidence).map_err(|error| named(evidence, &error))?;
            if known.starts_with(&other) || other.starts_with(&known) {
                let (known, other) = (path.display(), evidence.display());
                return Err(format!(
                    "{known} is known from before the run, but is, contains or lies in the evidence {other}"
                )
                .into());
            }
        }
        let name = path.to_string_lossy();
        audit = audit.known(match path.is_dir() {
            true => Evidence::new().directory(&name, path),
            false => Evidence::new().file(&name, path),
        });
    }
    Ok(audit)
}

/// Adds a file, or a directory with all its files. Traffic captures are also searched flow by flow.
fn add_evidence<'a>(mut audit: Audit<'a>, path: &Path) -> Result<Audit<'a>, Box<dyn Error>> {
    // The search reports what cannot be read, and continues with the rest.
    if !path.is_dir() && is_capture(path).unwrap_or(false) {
        return add_capture(audit, path);
    }
    audit = audit.server_files(path);
    let mut folders: Vec<PathBuf> = path.is_dir().then(|| path.to_path_buf()).into_iter().collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() && is_capture(&entry.path()).unwrap_or(false) {
                audit = add_capture(audit, &entry.path())?;
            }
        }
    }
    Ok(audit)
}

fn add_capture<'a>(audit: Audit<'a>, path: &Path) -> Result<Audit<'a>, Box<dyn Error>> {
    let file = File::open(path).map_err(|error| named(path, &error))?;
    // A capture may grow while it is read.
    let len = file.metadata().map_err(|error| named(path, &error))?.len();
    let name = path.to_string_lossy().into_owned();
    Ok(audit.with(|evidence| evidence.capture(&name, BufReader::new(file.take(len)))))
}

/// Whether a file begins like pcap, in either byte order and with either clock, or like pcapng.
fn is_capture(path: &Path) -> io::Result<bool> {
    // Opening a FIFO would wait for somebody who writes to it.
    if !fs::metadata(path)?.is_file() {
        return Ok(false);
    }
    let mut start = Vec::new();
    File::open(path)?.take(4).read_to_end(&mut start)?;
    let magics = [0xA1B2_C3D4u32, 0xD4C3_B2A1, 0xA1B2_3C4D, 0x4D3C_B2A1, 0x0A0D_0D0A];
    Ok(<[u8; 4]>::try_from(start).is_ok_and(|start| magics.contains(&u32::from_be_bytes(start))))
}

#[cfg(target_os = "linux")]
fn add_process(audit: Audit<'_>, pid: u32) -> Result<Audit<'_>, Box<dyn Error>> {
    Ok(audit.with(|evidence| evidence.process(&format!("process {pid}"), pid)))
}

#[cfg(not(target_os = "linux"))]
fn add_process(_: Audit<'_>, _: u32) -> Result<Audit<'_>, Box<dyn Error>> {
    Err("--pid needs Linux; use a core dump as evidence instead".into())
}

/// Prints the verdict, and then writes the files: a file that cannot be written hides no finding.
fn report(options: &Options, examination: &Examination) -> u8 {
    let verdict = examination.verdict();
    print(&if options.json { verdict.to_json() } else { verdict.to_string() });
    let code = match verdict.outcome {
        Outcome::Holds => HOLDS,
        Outcome::HoldsInPart => HOLDS_IN_PART,
        Outcome::Finding => FINDING,
        _ => COULD_NOT_EXAMINE,
    };
    match write_files(options, examination, &verdict) {
        Ok(()) => code,
        Err(error) => {
            complain(&error.to_string());
            if code == FINDING { FINDING } else { COULD_NOT_EXAMINE }
        }
    }
}

fn write_files(options: &Options, examination: &Examination, verdict: &Verdict) -> Result<(), Box<dyn Error>> {
    let wanted = options.html.is_some() || options.matrix.is_some();
    let thefts = if wanted { examination.thefts() } else { Vec::new() };
    let matrix = |quantum| examination.secrecy_matrix(&thefts, &Thief { quantum, ..Thief::default() });
    let today = (!thefts.is_empty()).then(|| matrix(false));
    if let Some(path) = &options.html {
        let quantum = (!thefts.is_empty()).then(|| matrix(true));
        let both = [("A thief of today", &today), ("A thief with a quantum computer", &quantum)];
        let drawn: Vec<_> = both.iter().filter_map(|(caption, matrix)| Some((*caption, matrix.as_ref()?))).collect();
        fs::write(path, verdict.to_html(&drawn)).map_err(|error| named(path, &error))?;
    }
    let Some(path) = &options.matrix else { return Ok(()) };
    let Some(today) = today else {
        eprintln!(
            "noescrow-audit: no secrecy matrix: no device took a snapshot in the trace, so that no theft is possible"
        );
        return Ok(());
    };
    let matrix = today.condensed(DRAWN.0, DRAWN.1);
    let picture = match Format::of(path) {
        Some(Format::Png) => matrix.to_png(),
        _ => matrix.to_svg().into_bytes(),
    };
    fs::write(path, picture).map_err(|error| named(path, &error).into())
}

/// A progress bar on standard error, if that is a terminal.
struct Bar(ProgressBar);

impl Bar {
    fn new() -> Self {
        let style = ProgressStyle::with_template("[{bar:40}] {percent:>3} % of {total_bytes}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("## ");
        Self(ProgressBar::no_length().with_style(style))
    }

    fn show(&self, done: u64, all: u64) {
        if all >= LONG {
            self.0.set_length(all);
            self.0.set_position(done.min(all));
        }
    }
}
