// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tests statistically that time reveals nothing beyond spec/leakage.md: two classes of inputs in random order, and
//! Welch's t of the times that they take. Each case has a leaky variant, whose leak the same code must detect.
//! README.md describes what is measured and how.
//!
//! The verdicts on the cases are printed and not asserted, because machines are noisy. The program fails if it does not
//! detect the leak of a control.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark that panics fails, as it should"
)]

#[path = "dudect/cases.rs"]
mod cases;
#[path = "dudect/leaky.rs"]
mod leaky;
#[path = "dudect/welch.rs"]
mod welch;

use cases::{Against, Case, ENTRIES, Entry};
use leaky::Leaking;
use noescrow::primitives::RustCrypto;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Instant, SystemTime};
use welch::{CONTROL, LEAK, LOOK_AGAIN, Sample, Test};

/// Inputs prepared at a time, so that the effects of preparation on caches and predictors are not measured.
const BATCH: usize = 64;
/// `cargo bench -- --test` runs this many inputs of each case without measuring them.
const UNMEASURED: usize = 2 * BATCH;

struct Arguments {
    is_test: bool,
    /// As in criterion: only cases whose name contains it are measured.
    filter: Option<String>,
    /// Multiplies the number of samples.
    times: f64,
    seed: u64,
}

impl Arguments {
    /// Ignores criterion's other options and their values.
    fn parse() -> Self {
        let since = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_micros());
        // 53 bits: short enough to type.
        let mut parsed = Self { is_test: false, filter: None, times: 1.0, seed: (since % (1 << 53)) as u64 };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match &*argument {
                "--test" => parsed.is_test = true,
                "--bench" | "--discard-baseline" | "--exact" | "--noplot" | "--quick" | "--quiet" | "--verbose" => {}
                "-n" | "-v" => {}
                "--times" => parsed.times = arguments.next().and_then(|times| times.parse().ok()).unwrap(),
                "--seed" => parsed.seed = arguments.next().and_then(|seed| seed.parse().ok()).unwrap(),
                option if option.starts_with('-') => drop(arguments.next()),
                _ => parsed.filter = Some(argument),
            }
        }
        if parsed.is_test {
            parsed.seed = 1;
        }
        parsed
    }

    fn samples(&self, entry: &Entry) -> usize {
        if self.is_test { UNMEASURED } else { (entry.samples as f64 * self.times) as usize }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    welch::check();
    if !arguments.is_test {
        println!("dudect, seed {}: samples of both classes; nanoseconds; the largest |t| of all crops", arguments.seed);
        println!("{:<52}{:>15} {:>6} {:>9} {:>18} {:>8}  verdict", "", "samples", "kept", "time", "difference", "|t|");
    }
    let mut is_seen = true;
    for entry in ENTRIES {
        if arguments.filter.as_ref().is_some_and(|filter| !entry.name.contains(&**filter)) {
            continue;
        }
        let samples = arguments.samples(entry);
        let honest = measure((entry.honest)(RustCrypto, arguments.seed), samples, arguments.seed);
        let faulty = match entry.against {
            Against::LeakyVariant(leak, case) => {
                let faulty = measure(case(Leaking::primitives(leak), arguments.seed), samples, arguments.seed);
                Some((format!("  leaky variant, {leak:?}"), faulty))
            }
            Against::Permitted => None,
        };
        if arguments.is_test {
            println!("{}: runs", entry.name);
            continue;
        }
        match faulty {
            Some((name, faulty)) => {
                report(entry.name, &honest, verdict);
                is_seen &= report(&name, &faulty, control) > CONTROL;
            }
            None => is_seen &= report(entry.name, &honest, control) > CONTROL,
        }
    }
    if !is_seen {
        println!("The leak of a control was not detected: this run shows nothing about the cases.");
    }
    ExitCode::from(u8::from(!is_seen))
}

/// Measures samples of both classes in random order.
fn measure(mut case: Case, samples: usize, seed: u64) -> Vec<Sample> {
    let mut order = ChaCha20Rng::seed_from_u64(seed ^ 1);
    let mut batch: Vec<(usize, Vec<u8>)> = (0..BATCH).map(|_| Default::default()).collect();
    let mut work = Vec::new();
    let mut taken = Vec::with_capacity(samples + BATCH);
    while taken.len() < samples {
        for (class, input) in &mut batch {
            *class = (order.next_u32() & 1) as usize;
            input.clear();
            (case.prepare)(*class, input);
        }
        for (class, input) in &batch {
            // All inputs are copied to the same place, which is in the cache.
            work.clear();
            work.extend_from_slice(input);
            let started = Instant::now();
            let opened = (case.operation)(black_box(&mut work));
            let time = started.elapsed();
            assert_eq!(opened, case.opens, "an input of class {class}");
            taken.push((*class, time.as_nanos() as f64));
        }
    }
    taken
}

/// Prints a line and returns |t|.
fn report(name: &str, samples: &[Sample], verdict: fn(f64) -> &'static str) -> f64 {
    let Some(test) = welch::largest(samples) else {
        println!("{name:<52}  too few samples");
        return 0.0;
    };
    let Test { classes: [first, second], kept } = test;
    let t = test.t().abs();
    let sizes = format!("{} + {}", first.count, second.count);
    let difference = format!("{:.2} +- {:.2}", test.difference(), test.error());
    println!(
        "{name:<52}{sizes:>15} {:>5.1}% {:>9.0} {difference:>18} {t:>8.1}  {}",
        100.0 * kept,
        first.mean,
        verdict(t)
    );
    t
}

fn verdict(t: f64) -> &'static str {
    match t {
        t if t > LEAK => "LEAK",
        t if t > LOOK_AGAIN => "look again",
        _ => "nothing detected",
    }
}

fn control(t: f64) -> &'static str {
    if t > CONTROL { "detected, as required" } else { "NOT DETECTED" }
}
