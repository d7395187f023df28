// SPDX-License-Identifier: MIT OR Apache-2.0
//! The protocol under valgrind's memcheck, with every secret marked as undefined: no branch and no address may depend on
//! one, but for what `spec/leakage.md` lists. `run` builds and starts it.

mod conversation;
mod generator;
mod leaky;
mod mark;
mod tainted;

use conversation::{CASES, Case, Pair};
use leaky::Leak;
use noescrow::primitives::Declassified;
use std::process::ExitCode;
use tainted::Tainted;

/// Which code the primitives took: `run` builds both.
const PATHS: &str = if cfg!(aes_backend = "soft") { "portable" } else { "of valgrind's processor" };

/// Reports of one case.
fn reports_of((_, case): &Case, primitives: &Tainted) -> usize {
    let before = mark::reports();
    case(&mut Pair::new(primitives));
    mark::reports() - before
}

fn main() -> ExitCode {
    if !mark::is_checked() {
        eprintln!("nothing is checked without valgrind: start it by `run`");
        return ExitCode::FAILURE;
    }
    // One case by its number, with all reports: to find a leak.
    if let Some(number) = std::env::args().nth(1).and_then(|number| number.parse::<usize>().ok()) {
        return ExitCode::from(u8::from(reports_of(&CASES[number], &Tainted::default()) > 0));
    }

    println!("primitives: {PATHS}\n");
    let mut failed = false;
    let honest = Tainted::default();
    for case in CASES {
        let reports = reports_of(case, &honest);
        println!("{:44} {reports} reports", case.0);
        failed |= reports > 0;
    }
    println!("\ndeclassified, by name:");
    for place in Declassified::ALL {
        let times = honest.declassified.borrow().get(&place).copied().unwrap_or(0);
        println!("{:44} {times} times", format!("{place:?}"));
        failed |= times == 0;
    }

    println!("\ncontrols, each of which must be reported:");
    for leak in Leak::ALL {
        let leaky = Tainted { leak, ..Tainted::default() };
        let reports: usize = CASES[1..3].iter().chain(&CASES[4..6]).map(|case| reports_of(case, &leaky)).sum();
        println!("{:44} {reports} reports", format!("{leak:?}"));
        failed |= reports == 0;
    }
    println!("\nneeded: without it there are reports, first in:");
    for place in Declassified::ALL {
        let kept = Tainted { kept: Some(place), ..Tainted::default() };
        let reported = CASES.iter().find(|case| reports_of(case, &kept) > 0);
        println!("{:44} {}", format!("{place:?}"), reported.map_or("no reports", |(name, _)| name));
        failed |= reported.is_none();
    }
    ExitCode::from(u8::from(failed))
}
