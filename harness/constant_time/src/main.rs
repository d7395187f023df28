// SPDX-License-Identifier: MIT OR Apache-2.0
//! The protocol under valgrind's memcheck, with every secret marked as undefined: no branch and no address may depend
//! on one, except as `spec/leakage.md` lists. `run` builds and starts it.

mod conversation;
mod generator;
mod leaky;
mod mark;
mod marks;
mod tainted;

use conversation::{CASES, Case, Pair};
use leaky::Leak;
use marks::{Mark, Marks};
use noescrow::primitives::Declassified;
use std::process::ExitCode;
use tainted::Tainted;

/// The code path that the primitives took: `run` builds both.
const PATHS: &str = if cfg!(aes_backend = "soft") { "portable" } else { "of valgrind's processor" };

/// Cases in which everything is marked: both ratchets over epochs, and snapshots of devices.
const MARKING: [usize; 2] = [7, 11];

/// Reports of one case.
fn reports_of((_, case): &Case, primitives: &Tainted) -> usize {
    let before = mark::reports();
    case(&mut Pair::new(primitives));
    mark::reports() - before
}

fn main() -> ExitCode {
    if !mark::is_checked() {
        eprintln!("nothing is checked without valgrind: use `run`");
        return ExitCode::FAILURE;
    }
    // One case by its number, with all reports, to locate a leak.
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
    println!("\nmarks, after each of which a branch must be reported:");
    let marked = Tainted { marks: Marks::control(), ..Tainted::default() };
    MARKING.iter().for_each(|number| CASES[*number].1(&mut Pair::new(&marked)));
    for mark in Mark::ALL {
        let seen = marked.marks.seen(mark);
        println!("{:44} {} of {} times", format!("{mark:?}"), seen.reported, seen.marked);
        failed |= seen.marked == 0 || seen.reported < seen.marked;
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
