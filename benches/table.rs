// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ratios, from criterion's results of this run.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

pub const OURS: &str = "noescrow";
pub const RAW: &str = "raw primitives";
pub const PEER: &str = "vodozemac";

/// The folder of criterion's results.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("../criterion")
}

/// Prints one line for each group that was measured since `started`.
pub fn print(folder: &Path, started: SystemTime) {
    let mut rows: Vec<_> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|group| {
            let median = |who| median(&group.path().join(who).join("new/estimates.json"), started);
            let (written, ours) = median(OURS)?;
            let ratio = |other: Option<(SystemTime, f64)>| match other {
                Some((_, other)) => (time(other), format!("{:.2}", ours / other)),
                None => ("-".into(), "-".into()),
            };
            let name = group.file_name().to_string_lossy().into_owned();
            Some((written, name, time(ours), ratio(median(RAW)), ratio(median(PEER))))
        })
        .collect();
    if rows.is_empty() {
        return;
    }
    rows.sort();
    println!("\nMedians of the processor time; ratio: ours divided by theirs.");
    println!("{:<34}{:>12}{:>12}{:>7}{:>12}{:>7}", "", OURS, "raw", "ratio", PEER, "ratio");
    for (_, name, ours, (raw, to_raw), (peer, to_peer)) in rows {
        println!("{name:<34}{ours:>12}{raw:>12}{to_raw:>7}{peer:>12}{to_peer:>7}");
    }
}

/// The time of writing, and nanoseconds; `None` if it is from an earlier run.
fn median(path: &Path, started: SystemTime) -> Option<(SystemTime, f64)> {
    let written = fs::metadata(path).ok()?.modified().ok()?;
    let estimates: serde_json::Value = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    let nanoseconds = estimates["median"]["point_estimate"].as_f64()?;
    (written >= started).then_some((written, nanoseconds))
}

fn time(nanoseconds: f64) -> String {
    match nanoseconds {
        ns if ns < 1e4 => format!("{ns:.0} ns"),
        ns if ns < 1e6 => format!("{:.1} us", ns / 1e3),
        ns => format!("{:.2} ms", ns / 1e6),
    }
}
