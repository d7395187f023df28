// SPDX-License-Identifier: MIT OR Apache-2.0
//! Audits a server from a shell: the trace of the devices that talked through it, against all that it holds.
//!
//! ```sh
//! cargo run --release --features audit --example audit -- --trace run.trace --evidence dump.sql logs/ wire.pcap --pid 4711
//! ```
//!
//! How to get a trace, and what is evidence, is in `examples/audit_your_server.md`.
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "an example may stop")]

use noescrow::audit::{Audit, Examination, Outcome, SecrecyMatrix, Thief};
use std::error::Error;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufReader, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
usage: audit --trace FILE... --evidence PATH... [--pid N...] [options]

  --trace FILE...     what devices did, as noescrow's Recorder wrote it
  --evidence PATH...  what the server holds: files, directories with all that is in them, captures of traffic
                      (pcap and pcapng are recognised)
  --pid N...          the memory of a process that runs on this machine (the user may have to be root)

  --html FILE         writes the verdict as a page, with derivations and secrecy matrix drawn
  --matrix FILE       writes the secrecy matrix, as SVG or PNG by the name's ending
  --json              prints the verdict as JSON
  --help              prints this

Exit code: 0 the claim holds, 1 something was found, whatever else could not be examined, 2 could not examine (bad trace or
evidence, evidence of another run).";

/// Rows and columns of a drawn matrix; of longer runs each cell stands for several.
const DRAWN: (usize, usize) = (200, 64);
/// Bytes of the trace that are read at once.
const READ: usize = 1 << 20;
/// Bytes from which on a search takes longer than a moment.
const LONG: u64 = 8 << 20;

const HOLDS: u8 = 0;
const FINDING: u8 = 1;
const COULD_NOT_EXAMINE: u8 = 2;

fn main() -> ExitCode {
    let code = match Options::parse(std::env::args_os().skip(1)) {
        Ok(Some(options)) => run(&options),
        Ok(None) => {
            say(USAGE);
            Ok(HOLDS)
        }
        Err(error) => Err(format!("{error}\n\n{USAGE}").into()),
    };
    ExitCode::from(code.unwrap_or_else(|error| {
        eprintln!("audit: {error}");
        COULD_NOT_EXAMINE
    }))
}

#[derive(Default)]
struct Options {
    traces: Vec<PathBuf>,
    evidence: Vec<PathBuf>,
    processes: Vec<u32>,
    html: Option<PathBuf>,
    matrix: Option<PathBuf>,
    json: bool,
}

impl Options {
    /// `None` if help is asked for.
    fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Option<Self>, Box<dyn Error>> {
        let mut options = Self::default();
        let mut list = String::new();
        let mut arguments = arguments.peekable();
        while let Some(argument) = arguments.next() {
            let text = argument.to_string_lossy().into_owned();
            match text.as_str() {
                "--help" | "-h" => return Ok(None),
                "--json" => options.json = true,
                "--html" | "--matrix" => {
                    let file = arguments.next().ok_or(format!("{text} needs a file"))?;
                    let place = if text == "--html" { &mut options.html } else { &mut options.matrix };
                    if place.replace(file.into()).is_some() {
                        return Err(format!("{text} is given twice").into());
                    }
                }
                "--trace" | "--evidence" | "--pid" => {
                    if arguments.peek().is_none_or(|next| next.to_string_lossy().starts_with("--")) {
                        return Err(format!("{text} needs a value").into());
                    }
                    list = text;
                }
                option if option.starts_with("--") => return Err(format!("unknown option {option}").into()),
                value => match list.as_str() {
                    "--trace" => options.traces.push(argument.into()),
                    "--evidence" => options.evidence.push(argument.into()),
                    "--pid" => options.processes.push(value.parse().map_err(|_| format!("{value} is no process"))?),
                    _ => return Err(format!("{value}: is it a trace or evidence?").into()),
                },
            }
        }
        options.check()?;
        Ok(Some(options))
    }

    fn check(&self) -> Result<(), Box<dyn Error>> {
        if self.traces.is_empty() {
            return Err("no trace".into());
        }
        if self.evidence.is_empty() && self.processes.is_empty() {
            return Err("no evidence: nothing examined shows nothing".into());
        }
        match &self.matrix {
            Some(path) if Format::of(path).is_none() => Err(format!("{}: .svg or .png?", path.display()).into()),
            _ => Ok(()),
        }
    }
}

enum Format {
    Svg,
    Png,
}

impl Format {
    fn of(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_string_lossy().to_lowercase();
        match ending.as_str() {
            "svg" => Some(Self::Svg),
            "png" => Some(Self::Png),
            _ => None,
        }
    }
}

fn run(options: &Options) -> Result<u8, Box<dyn Error>> {
    once_each(&options.traces)?;
    let mut audit: Option<Audit<'_>> = None;
    for path in &options.traces {
        let recorded = BufReader::with_capacity(READ, File::open(path).map_err(|error| named(path, &error))?);
        let read = match audit.take() {
            Some(audit) => audit.and_trace(recorded),
            None => Audit::read(recorded),
        };
        audit = Some(read.map_err(|error| named(path, &error))?);
    }
    let mut audit = audit.ok_or("no trace")?;
    for path in &options.evidence {
        apart(path, &options.traces)?;
        audit = gather(audit, path)?;
    }
    for &pid in &options.processes {
        audit = process(audit, pid)?;
    }
    let mut bar = Bar::new();
    let examination = audit.on_progress(move |done, all| bar.show(done, all)).examine();
    answer(options, &examination)
}

/// Who reads may have stopped to: `| head`. The exit code is the answer then.
fn say(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

fn named(path: &Path, error: &dyn Error) -> String {
    format!("{}: {error}", path.display())
}

/// The same trace twice is a run whose fresh values all repeat.
fn once_each(traces: &[PathBuf]) -> Result<(), Box<dyn Error>> {
    let mut seen = Vec::new();
    for trace in traces {
        let path = fs::canonicalize(trace).map_err(|error| named(trace, &error))?;
        if seen.contains(&path) {
            return Err(format!("{} is given twice", trace.display()).into());
        }
        seen.push(path);
    }
    Ok(())
}

/// The trace has every secret: within the evidence it would be found, of course.
fn apart(evidence: &Path, traces: &[PathBuf]) -> Result<(), Box<dyn Error>> {
    let evidence = fs::canonicalize(evidence).map_err(|error| named(evidence, &error))?;
    for trace in traces {
        if fs::canonicalize(trace)?.starts_with(&evidence) {
            return Err(format!("{} lies within the evidence, and holds every secret", trace.display()).into());
        }
    }
    Ok(())
}

/// A file, or a directory with all that is in it; captures of traffic also by what their flows carry.
fn gather<'a>(mut audit: Audit<'a>, path: &Path) -> Result<Audit<'a>, Box<dyn Error>> {
    // What cannot be read is the search's to tell: it hides nothing that lies elsewhere.
    if !path.is_dir() && is_capture(path).unwrap_or(false) {
        return capture(audit, path);
    }
    audit = audit.server_files(path);
    let mut folders: Vec<PathBuf> = path.is_dir().then(|| path.to_path_buf()).into_iter().collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() && is_capture(&entry.path()).unwrap_or(false) {
                audit = capture(audit, &entry.path())?;
            }
        }
    }
    Ok(audit)
}

fn capture<'a>(audit: Audit<'a>, path: &Path) -> Result<Audit<'a>, Box<dyn Error>> {
    let file = BufReader::new(File::open(path).map_err(|error| named(path, &error))?);
    let name = path.to_string_lossy().into_owned();
    Ok(audit.with(|evidence| evidence.capture(&name, file)))
}

/// pcap in either byte order and with either clock, or pcapng.
fn is_capture(path: &Path) -> io::Result<bool> {
    let mut start = Vec::new();
    File::open(path)?.take(4).read_to_end(&mut start)?;
    let magics = [0xA1B2_C3D4u32, 0xD4C3_B2A1, 0xA1B2_3C4D, 0x4D3C_B2A1, 0x0A0D_0D0A];
    Ok(<[u8; 4]>::try_from(start).is_ok_and(|start| magics.contains(&u32::from_be_bytes(start))))
}

#[cfg(target_os = "linux")]
fn process(audit: Audit<'_>, pid: u32) -> Result<Audit<'_>, Box<dyn Error>> {
    Ok(audit.with(|evidence| evidence.process(&format!("process {pid}"), pid)))
}

#[cfg(not(target_os = "linux"))]
fn process(_: Audit<'_>, _: u32) -> Result<Audit<'_>, Box<dyn Error>> {
    Err("--pid needs Linux: hand over a core dump as evidence".into())
}

fn answer(options: &Options, examination: &Examination) -> Result<u8, Box<dyn Error>> {
    let verdict = examination.verdict();
    let matrix = if options.html.is_some() || options.matrix.is_some() { matrix(examination) } else { None };
    if let Some(path) = &options.html {
        fs::write(path, verdict.to_html(matrix.as_ref())).map_err(|error| named(path, &error))?;
    }
    if let Some(path) = &options.matrix {
        let matrix = matrix.ok_or("no matrix: no device took a snapshot in the trace, and so none can be stolen")?;
        let picture = match Format::of(path) {
            Some(Format::Png) => matrix.to_png(),
            _ => matrix.to_svg().into_bytes(),
        };
        fs::write(path, picture).map_err(|error| named(path, &error))?;
    }
    say(&if options.json { verdict.to_json() } else { verdict.to_string() });
    Ok(match verdict.outcome {
        Outcome::Holds => HOLDS,
        Outcome::Finding => FINDING,
        _ => COULD_NOT_EXAMINE,
    })
}

fn matrix(examination: &Examination) -> Option<SecrecyMatrix> {
    let thefts = examination.thefts();
    let whole = (!thefts.is_empty()).then(|| examination.secrecy_matrix(&thefts, &Thief::default()))?;
    Some(whole.condensed(DRAWN.0, DRAWN.1))
}

/// A bar on a terminal.
struct Bar {
    shown: bool,
    percent: u64,
}

impl Bar {
    const WIDTH: u64 = 40;

    fn new() -> Self {
        Self { shown: io::stderr().is_terminal(), percent: u64::MAX }
    }

    fn show(&mut self, done: u64, all: u64) {
        let percent = done.min(all) * 100 / all.max(1);
        if !self.shown || all < LONG || percent == self.percent {
            return;
        }
        self.percent = percent;
        let filled = (percent * Self::WIDTH / 100) as usize;
        let bar = format!("{}{}", "#".repeat(filled), " ".repeat(Self::WIDTH as usize - filled));
        eprint!("\r[{bar}] {percent:>3} % of {} MB", all / 1_000_000);
        if done >= all {
            eprint!("\r{:70}\r", "");
        }
    }
}
