// SPDX-License-Identifier: MIT OR Apache-2.0
//! Forward secrecy, measured in memory: a device in a process of its own performs every operation of a device, and
//! after each operation the whole memory of that process is searched for every secret that must be erased by then.
//!
//! `observer honest CHILD` fails if a secret is found that is not allowed, if an allowance is not used, or if a planted
//! secret is not found. `observer unwiped CHILD` fails unless a build that does not wipe is flagged.

mod allowed;
mod child_process;
mod expanded;
mod protocol;
mod recorder;
mod scenario;
mod search;
mod secrets;

use allowed::ALLOWED;
use child_process::{Memory, Place, Played};
use protocol::Verb;
use scenario::Party;
use search::Index;
use secrets::Secrets;
use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

/// Seed of the run: any works. Every run is the same, so that a finding can be reproduced.
const SEED: u64 = 18;
/// Findings of an operation that are printed.
const PRINTED: usize = 6;

/// What was found after an operation, over all times that the device performed it.
#[derive(Default)]
struct Row {
    times: usize,
    dead: usize,
    pieces: usize,
    bytes: usize,
    /// Secrets that should be erased, with their places, and their least distance below the stack pointer.
    found: BTreeMap<(Place, String), i64>,
    allowed: BTreeMap<(Place, String), i64>,
}

fn main() -> ExitCode {
    expanded::check();
    let arguments: Vec<String> = std::env::args().collect();
    let [_, mode, child] = &arguments[..] else { panic!("observer honest|unwiped CHILD") };
    let parties = scenario::run(SEED);
    let mut used = BTreeSet::new();
    let tables = parties.each_ref().map(|party| look(child, party, &mut used));
    for (party, table) in parties.iter().zip(&tables) {
        print(party, table);
    }
    let holds = match mode.as_str() {
        "honest" => {
            is_clean(&tables, &used)
                & parties.iter().fold(true, |holds, party| moves_no_stale_bytes(child, party) & holds)
                & finds_what_is_planted(child, &parties[0])
        }
        "unwiped" => is_flagged(&tables),
        other => panic!("{other}: neither honest nor unwiped"),
    };
    if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

type Table = Vec<(&'static str, Row)>;

/// Makes a child perform a party's script, and searches its memory after every step.
fn look(child: &str, party: &Party, used: &mut BTreeSet<usize>) -> Table {
    let secrets = Secrets::of(party);
    let mut child = Played::start(child);
    let mut table = Table::new();
    for (number, step) in party.script.iter().enumerate() {
        child.perform(step);
        let memory = child.memory();
        let dead = secrets.dead(number);
        let at = table.iter().position(|(name, _)| *name == step.name).unwrap_or_else(|| {
            table.push((step.name, Row::default()));
            table.len() - 1
        });
        let row = &mut table[at].1;
        row.times += 1;
        row.dead = dead.iter().map(|piece| secrets.of[*piece]).collect::<BTreeSet<_>>().len();
        row.pieces = dead.len();
        row.bytes = memory.len();
        each_find(&memory, &secrets.index, |piece, place, below| {
            if !dead.contains(&piece) {
                return;
            }
            let secret = &secrets.secrets[secrets.of[piece]];
            let allowance = ALLOWED.iter().position(|allowed| allowed.covers(place, &secret.name, step.name));
            let rows = if allowance.is_some() { &mut row.allowed } else { &mut row.found };
            used.extend(allowance);
            let least = rows.entry((place, secret.name.clone())).or_insert(below);
            *least = below.min(*least);
        });
    }
    table
}

fn each_find(memory: &Memory, index: &Index, mut found: impl FnMut(usize, Place, i64)) {
    for region in &memory.regions {
        index.search(&region.bytes, |piece, offset| {
            let (place, below) = memory.place(region, offset);
            found(piece, place, below);
        });
    }
}

fn print(party: &Party, table: &Table) {
    println!("{:5}                              times       secrets  pieces  KiB read  found  allowed", party.name);
    for (name, row) in table {
        let Row { times, dead, pieces, bytes, found, allowed } = row;
        let (found_len, allowed_len, kib) = (found.len(), allowed.len(), bytes / 1024);
        println!("  {name:32} {times:5} {dead:13} {pieces:7} {kib:9} {found_len:6} {allowed_len:8}");
        for ((place, secret), below) in found.iter().take(PRINTED) {
            println!("      {}: {secret}", place.name(*below));
        }
        if found.len() > PRINTED {
            println!("      and {} more", found.len() - PRINTED);
        }
    }
}

fn is_clean(tables: &[Table], used: &BTreeSet<usize>) -> bool {
    let rows = || tables.iter().flatten();
    let found: usize = rows().map(|(_, row)| row.found.len()).sum();
    let searched = rows().all(|(_, row)| row.dead > 0 && row.pieces >= row.dead);
    println!("\nallowed:");
    for (number, allowed) in ALLOWED.iter().enumerate() {
        println!("  {:?}, {}: {}", allowed.place, allowed.what(), allowed.reason);
        if !used.contains(&number) {
            println!("    NOT USED: remove it");
        }
    }
    if found > 0 {
        println!("FAILED: {found} secrets that must be erased are in memory and not allowed");
    }
    if !searched {
        println!("FAILED: an operation without a search after it");
    }
    found == 0 && searched && used.len() == ALLOWED.len()
}

/// A secret that is not the library's, for controls.
fn planted() -> (Vec<u8>, Index) {
    let planted: Vec<u8> = (1..=32).map(|byte: u8| byte.wrapping_mul(151)).collect();
    let index = Index::new(planted.chunks_exact(search::PIECE_LEN).map(<[u8]>::to_vec).collect());
    (planted, index)
}

/// The stale bytes of the caller's stack from before a device or session was made do not move to the heap with it, in
/// unused space of the value.
fn moves_no_stale_bytes(child: &str, party: &Party) -> bool {
    let (planted, index) = planted();
    let mut child = Played::start(child);
    let mut made = BTreeSet::new();
    let mut holds = true;
    for step in &party.script {
        let makes = [Verb::Generate, Verb::Initiate, Verb::Accept, Verb::RestoreDevice, Verb::RestoreSession];
        if !makes.contains(&step.verb) {
            child.perform(step);
            continue;
        }
        child.command(Verb::FillStack, std::slice::from_ref(&planted), &[]);
        child.perform(step);
        let (mut on_heap, mut left) = (0, 0);
        each_find(&child.memory(), &index, |_, place, _| {
            let count = if place == Place::Heap { &mut on_heap } else { &mut left };
            *count += 1;
        });
        if on_heap > 0 {
            println!("FAILED: {}: {on_heap} pieces of the caller's stack are in the heap", step.name);
        }
        // Control: the bytes were there, and still are where the operation did not reach.
        if left == 0 {
            println!("FAILED: control: {}: nothing of what was put on the stack is left", step.name);
        }
        holds &= on_heap == 0 && left > 0;
        made.insert(step.name);
    }
    if made.is_empty() {
        println!("FAILED: control: {} makes nothing", party.name);
    }
    holds &= !made.is_empty();
    if holds {
        println!("{}: no stale bytes of the caller's stack move with the values made by {made:?}", party.name);
    }
    holds
}

/// Control: planted secrets are found where they were planted.
fn finds_what_is_planted(child: &str, party: &Party) -> bool {
    let (planted, index) = planted();
    let mut holds = true;
    let controls = [
        (Verb::PlantHeap, Place::Heap),
        (Verb::PlantStack, Place::StackBelow),
        (Verb::PlantStatic, Place::Static),
        (Verb::PlantRegister, Place::Registers),
    ];
    for (verb, place) in controls {
        if verb == Verb::PlantRegister && !cfg!(target_arch = "x86_64") {
            continue;
        }
        let mut child = Played::start(child);
        child.perform(&party.script[0]);
        let count = |child: &Played| {
            let mut count = 0;
            each_find(&child.memory(), &index, |_, found, _| count += usize::from(found == place));
            count
        };
        let before = count(&child);
        child.command(verb, std::slice::from_ref(&planted), &[]);
        let after = count(&child);
        let is_found = before == 0 && after > 0;
        println!("control: planted, {place:?}: {}", if is_found { "found" } else { "NOT FOUND" });
        holds &= is_found;
    }
    holds
}

/// Control: without `zeroize`, secrets that must be erased are found after every operation, on the heap as on the
/// stack.
fn is_flagged(tables: &[Table]) -> bool {
    let rows = || tables.iter().flatten();
    let unnoticed: Vec<&str> = rows().filter(|(_, row)| row.found.is_empty()).map(|(name, _)| *name).collect();
    let in_heap = rows().any(|(_, row)| row.found.keys().any(|(place, _)| *place == Place::Heap));
    let all: BTreeSet<_> = rows().flat_map(|(_, row)| row.found.keys()).collect();
    println!(
        "control: without zeroize, {} kinds of secrets are found that must be erased, after all operations except {unnoticed:?}",
        all.len()
    );
    unnoticed.is_empty() && in_heap
}
