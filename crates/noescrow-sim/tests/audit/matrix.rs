// SPDX-License-Identifier: MIT OR Apache-2.0
//! The secrecy matrix over random schedules shows forward secrecy and healing, and where they end.

use crate::faulty_device::{Fault, Name};
use crate::run::{ALICE, BOB, Device, NAMES, NOW, Run, Setup, runs};
use noescrow::{ChunkSize, MAX_SKIPPED_STEPS, StorageKey};
use noescrow_audit::{Cell, Examination, Kind, SecrecyMatrix, Theft, Thief, TraceReader};
use noescrow_recorder::Recorder;

/// A run with a theft at every moment, and the results.
struct Study {
    run: Run,
    examination: Examination,
    thefts: Vec<Theft>,
    /// By participant: the operations in which it drew a ratchet key.
    ratchet_steps: [Vec<u32>; 2],
}

fn watched(fault: Fault) -> Setup {
    Setup { fault, saves_always: true, steps: 30, ..Setup::default() }
}

impl Study {
    fn of(run: Run) -> Self {
        let examination = run.audit(b"").examine();
        let thefts = examination.thefts();
        assert_eq!(thefts.len(), run.saved.len());
        assert!(thefts.iter().zip(&run.saved).all(|(theft, saved)| theft.device == NAMES[saved.who]));
        let (mut ratchet_steps, mut at) = ([vec![], vec![]], 0);
        let note = |operation: &noescrow_audit::Operation<'_>| {
            if operation.kind == Kind::Fresh && operation.step == "DR-E1" {
                ratchet_steps[usize::from(operation.participant)].push(at);
            }
            at += 1;
        };
        TraceReader::new(&run.tape.bytes()[..]).unwrap().for_each(note).unwrap();
        Self { run, examination, thefts, ratchet_steps }
    }

    fn matrix(&self, thief: &Thief) -> SecrecyMatrix {
        self.examination.secrecy_matrix(&self.thefts, thief)
    }

    /// The matrix's column for the last theft.
    fn last(&self, thief: &Thief) -> Vec<Cell> {
        self.matrix(thief).cells.iter().map(|row| *row.last().unwrap()).collect()
    }

    /// The number of messages that remain exposed to the thief of a session although that device has since drawn a
    /// ratchet key and the other side has received it: a round trip with fresh randomness.
    fn unhealed(&self, matrix: &SecrecyMatrix) -> usize {
        let mut exposed = 0;
        for (column, theft) in self.thefts.iter().enumerate().filter(|(at, _)| self.run.saved[*at].is_session) {
            let who = self.run.saved[column].who;
            let Some(fresh) = self.ratchet_steps[who].iter().find(|step| **step > theft.at) else { continue };
            let of_thief = |message: usize| matrix.messages[message].sender == NAMES[who];
            let sealed = |message: usize| matrix.messages[message].sealed_at;
            let rows = 0..matrix.messages.len();
            // When the other side first opened a message under the fresh key.
            let reached = rows.clone().filter(|row| of_thief(*row) && sealed(*row) > *fresh);
            let reached = reached.filter_map(|row| matrix.messages[row].opened_at).min();
            let healed = |row: &usize| match of_thief(*row) {
                true => sealed(*row) > *fresh,
                false => reached.is_some_and(|reached| sealed(*row) > reached),
            };
            exposed += rows.filter(healed).filter(|row| matrix.cells[*row][column] != Cell::Secret).count();
        }
        exposed
    }

    /// Messages that the victim sends under the stolen chain; all of them are exposed.
    fn exposed(&self, matrix: &SecrecyMatrix) -> (usize, usize) {
        let (mut sent, mut exposed) = (0, 0);
        for (column, theft) in self.thefts.iter().enumerate().filter(|(at, _)| self.run.saved[*at].is_session) {
            let who = self.run.saved[column].who;
            let fresh = self.ratchet_steps[who].iter().find(|step| **step > theft.at).copied().unwrap_or(u32::MAX);
            for (row, message) in matrix.messages.iter().enumerate() {
                if message.sender == NAMES[who] && (theft.at..fresh).contains(&message.sealed_at) {
                    sent += 1;
                    exposed += usize::from(matrix.cells[row][column] == Cell::Exposed);
                }
            }
        }
        (sent, exposed)
    }
}

fn count(matrix: &SecrecyMatrix, kind: Cell) -> usize {
    matrix.cells.iter().flatten().filter(|cell| **cell == kind).count()
}

/// Attack G3, and the promise of healing, over random schedules with a theft at each moment.
#[test]
fn g3_theft_exposes_nothing_before_it_or_after_a_round_trip() {
    let (mut cells, mut exposed, mut under_stolen_chain) = (0, 0, 0);
    for seed in 0..runs().max(20) {
        let study = Study::of(Run::new(seed, &watched(Fault::None)));
        let matrix = study.matrix(&Thief::default());
        assert_eq!(matrix.failures_of_forward_secrecy(), [], "seed {seed}");
        assert_eq!(study.unhealed(&matrix), 0, "seed {seed}");
        let (of_victim, exposed_of_victim) = study.exposed(&matrix);
        assert_eq!(of_victim, exposed_of_victim, "seed {seed}: messages sealed under a stolen chain are exposed");
        cells += matrix.cells.iter().map(Vec::len).sum::<usize>();
        exposed += count(&matrix, Cell::Exposed);
        under_stolen_chain += of_victim;
    }
    println!("{cells} cells, {exposed} exposed, {under_stolen_chain} of these under the stolen chain");
    assert!(exposed > 100 && under_stolen_chain > 20 && cells > 2 * exposed, "{cells} {exposed} {under_stolen_chain}");
}

#[test]
fn control_keeping_used_keys_breaks_forward_secrecy() {
    for seed in 0..runs() {
        let matrix = |fault| Study::of(Run::new(seed, &watched(fault))).matrix(&Thief::default());
        assert!(!matrix(Fault::KeepsUsedKeys).failures_of_forward_secrecy().is_empty(), "seed {seed}");
        // All of the classical half's keys open no past message: the other half's were wiped.
        assert_eq!(matrix(Fault::KeepsClassicalKeys).failures_of_forward_secrecy(), [], "seed {seed}");
    }
}

/// Each row of the last theft, of Bob's memory: he has received Alice's messages, except for one that was overtaken.
fn last_column(seed: u64, fault: Fault) -> (Vec<Cell>, usize) {
    let mut run = Run::new(seed, &watched(fault));
    turns(&mut run, 2);
    let before = run.texts.len();
    assert!(run.send(ALICE) && run.send(ALICE) && run.send(ALICE));
    let [first, _, third] = run.queued(BOB).try_into().unwrap();
    assert!(run.open(BOB, &third.1).is_some() && run.open(BOB, &first.1).is_some());
    run.save(BOB);
    let study = Study::of(run);
    assert_eq!(study.examination.verdict().findings, [], "seed {seed}: the server has no secret");
    // His state, and what else is in his memory.
    let seals = 1 + usize::from(fault.keeps().is_some());
    let stolen = &study.thefts[study.thefts.len() - seals..];
    let matrix = study.examination.joint_secrecy_matrix(stolen, &Thief::default());
    (matrix.cells.iter().map(|row| *row.last().unwrap()).collect(), before)
}

#[test]
fn control_never_deleting_skipped_keys_exposes_overtaken_messages() {
    use Cell::{Exposed, ExposedRetroactively, Secret};
    for seed in 0..runs() {
        let (good, before) = last_column(seed, Fault::None);
        assert_eq!(good[before..], [Secret, Exposed, Secret], "seed {seed}");
        let (kept, _) = last_column(seed, Fault::KeepsSkippedKeys);
        assert_eq!(kept[before..], [ExposedRetroactively, Exposed, Secret], "seed {seed}");
    }
}

#[test]
fn control_a_device_that_wipes_nothing_exposes_all_past_messages() {
    for seed in 0..runs() {
        let (cells, before) = last_column(seed, Fault::WipesNothing);
        let in_transit = |row: usize| row == before + 1;
        let due = |row| if in_transit(row) { Cell::Exposed } else { Cell::ExposedRetroactively };
        assert_eq!(cells, (0..before + 3).map(due).collect::<Vec<_>>(), "seed {seed}");
    }
}

#[test]
fn control_a_conversation_with_known_ratchet_keys_does_not_heal() {
    for seed in 0..runs() {
        let mut run = Run::new(seed, &watched(Fault::None));
        turns(&mut run, 6);
        let study = Study::of(run);
        let thief = Thief { also_stolen: study.run.all(Name::DhPrivate, "DR-E1"), ..Thief::default() };
        let matrix = study.matrix(&thief);
        assert!(study.unhealed(&matrix) > 0, "seed {seed}");
        // Past messages are not exposed by it.
        assert_eq!(matrix.failures_of_forward_secrecy(), [], "seed {seed}");
    }
}

/// A conversation without a random schedule.
fn quiet(seed: u64, one_time_prekeys: usize) -> Run {
    Run::new(seed, &Setup { steps: 0, one_time_prekeys, ..Setup::default() })
}

fn turns(run: &mut Run, turns: usize) {
    for turn in 0..turns {
        let from = if turn % 2 == 0 { BOB } else { ALICE };
        assert!(run.send(from) && run.collect(from ^ 1, 0));
    }
}

#[test]
fn healing_takes_at_most_a_round_trip() {
    let mut exposed = 0;
    for seed in 0..runs() {
        let mut run = quiet(seed, 1);
        turns(&mut run, 2 + seed as usize % 5);
        run.save(seed as usize % 2);
        turns(&mut run, 8);
        let study = Study::of(run);
        let healing = study.matrix(&Thief::default()).healing(0).unwrap();
        assert!(healing.healed && healing.turns <= 2, "seed {seed}: {healing:?}");
        exposed += healing.messages;
        // Control.
        let thief = Thief { also_stolen: study.run.all(Name::DhPrivate, "DR-E1"), ..Thief::default() };
        assert!(!study.matrix(&thief).healing(0).unwrap().healed);
    }
    // A device that is about to draw a key heals at once; the others do not.
    assert!(exposed > 0);
}

/// Both devices are stolen at once: each must draw a key, and receive a reply to it.
#[test]
fn healing_works_after_several_thefts_of_both_devices() {
    for seed in 0..runs() {
        let mut run = quiet(seed, 1);
        for _ in 0..3 {
            turns(&mut run, 1 + seed as usize % 3);
            if run.saved.len() % 2 == 1 {
                run.send(ALICE);
            }
            run.settle();
            run.save(ALICE);
            run.save(BOB);
        }
        let before = run.texts.len();
        turns(&mut run, 6);
        let study = Study::of(run);
        let all = study.examination.joint_secrecy_matrix(&study.thefts, &Thief::default());
        let exposed: Vec<bool> = all.cells.iter().map(|row| row[0] != Cell::Secret).collect();
        assert_eq!(exposed.len(), before + 6);
        assert!(exposed[before..].iter().any(|exposed| *exposed), "seed {seed}: {exposed:?}");
        assert!(exposed[before + 3..].iter().all(|exposed| !exposed), "seed {seed}: {exposed:?}");
        // At least as many as to any single theft: thefts add up.
        let each = study.matrix(&Thief::default());
        let to_one = |row: &Vec<Cell>| row.iter().any(|cell| *cell != Cell::Secret);
        assert!(each.cells.iter().zip(&exposed).all(|(row, exposed)| !to_one(row) || *exposed), "seed {seed}");
    }
}

/// An overtaken message can be opened by its recipient, and by a thief, until it arrives or its key is deleted.
#[test]
fn skipped_keys_expose_their_messages_until_used_or_deleted() {
    let mut run = quiet(5, 1);
    turns(&mut run, 2);
    let before = run.texts.len();
    assert!(run.send(ALICE) && run.send(ALICE) && run.send(ALICE));
    let [first, second, third] = run.queued(BOB).try_into().unwrap();
    assert!(run.open(BOB, &third.1).is_some());
    run.save(BOB);
    assert!(run.open(BOB, &first.1).is_some());
    run.save(BOB);
    for (number, _) in [first, second.clone(), third] {
        run.relay.acknowledge(&crate::run::account(BOB), number).unwrap();
    }
    for rounds in [MAX_SKIPPED_STEPS as usize, 1] {
        turns(&mut run, 2 * rounds);
        run.save(BOB);
    }
    assert!(run.open(BOB, &second.1).is_none(), "its key was deleted");
    let study = Study::of(run);
    let matrix = study.matrix(&Thief::default());
    let exposure = |message: usize| matrix.cells[before + message].clone();
    assert_eq!(exposure(0), [Cell::Exposed, Cell::Secret, Cell::Secret, Cell::Secret]);
    assert_eq!(exposure(1), [Cell::Exposed, Cell::Exposed, Cell::Exposed, Cell::Secret]);
    assert_eq!(exposure(2), [Cell::Secret; 4]);
    assert_eq!(matrix.failures_of_forward_secrecy(), []);
}

/// Attacks B10 and C24: without a one-time prekey the first messages are exposed until the signed one is rotated.
/// Documented at [`noescrow::Bundle::one_time_prekey`].
#[test]
fn b10_last_resort_handshake_is_exposed_until_its_prekey_is_deleted() {
    for seed in 0..runs() {
        for one_time in [0, 1] {
            let mut run = quiet(seed, one_time);
            run.save_device(BOB);
            run.devices[BOB].rotate(NOW, &mut run.source);
            run.save_device(BOB);
            assert!(run.devices[BOB].delete_previous_signed_prekeys());
            run.save_device(BOB);
            let study = Study::of(run);
            let first = study.matrix(&Thief::default()).cells[0].clone();
            let exposed = if one_time == 0 { Cell::ExposedRetroactively } else { Cell::Secret };
            assert_eq!(first, [exposed, exposed, Cell::Secret], "seed {seed}, {one_time} one-time prekeys");
        }
    }
}

/// A thief with one more private key: what it opens, and what it does not.
#[test]
fn a_thief_with_a_prekey_gets_what_that_prekey_protects() {
    for seed in 0..runs() {
        let mut run = quiet(seed, 1);
        turns(&mut run, 4);
        run.save(BOB);
        run.save_device(BOB);
        let study = Study::of(run);
        let private = study.run.tap(BOB).all(Name::DhPrivate, "");
        let seeds = study.run.tap(BOB).all(Name::KemSeed, "");
        let one_time = Thief { also_stolen: vec![private[2].clone(), seeds[1].clone()], ..Thief::default() };
        let signed = Thief { also_stolen: vec![private[1].clone(), seeds[0].clone()], ..Thief::default() };
        let matrix = study.matrix(&one_time);
        let exposed_by = |theft: usize| matrix.cells.iter().map(move |row| row[theft] != Cell::Secret);
        // The session's theft exposes nothing. The theft of the device, which keeps used prekeys in this run, exposes
        // the first message.
        assert!(exposed_by(0).all(|exposed| !exposed), "seed {seed}");
        assert_eq!(matrix.cells[0][1], Cell::ExposedRetroactively, "seed {seed}");
        assert!(exposed_by(1).skip(1).all(|exposed| !exposed), "seed {seed}");
        assert!(study.last(&signed).iter().all(|cell| *cell == Cell::Secret), "seed {seed}");
        assert!(study.last(&Thief::default()).iter().all(|cell| *cell == Cell::Secret), "seed {seed}");
    }
}

/// A quantum computer and everything that the server recorded expose nothing, since the handshake uses ML-KEM. Together
/// with a theft they expose what follows until the Braid agrees on a key that neither side had at the theft, and
/// nothing later.
#[test]
fn quantum_thieves_read_nothing_after_the_next_fresh_epoch() {
    for seed in 0..runs() {
        let mut run = Run::new(seed, &Setup { steps: 0, chunk_size: ChunkSize::Bytes256, ..Setup::default() });
        turns(&mut run, 3);
        // The theft of an uninvolved device stands for no theft.
        let carol = Recorder::device(&run.tape, "Carol").unwrap();
        let stranger = Device::<Recorder>::generate_with(carol, NOW, &mut run.source);
        let _ = stranger.snapshot(&StorageKey::new([1; 32]), 1);
        run.save(ALICE);
        // Alice has the key pair of the first epoch; the second epoch is the first fresh one.
        turns(&mut run, 50);
        let examination = run.audit(b"").examine();
        let thefts = examination.thefts();
        assert_eq!(thefts[0].device, "Carol");
        let cells = |also_stolen: Vec<Vec<u8>>, quantum| {
            examination.secrecy_matrix(&thefts, &Thief { also_stolen, quantum }).cells
        };
        let exposed = |cells: &[Vec<Cell>], theft: usize| cells.iter().filter(|row| row[theft] != Cell::Secret).count();
        let quantum = cells(vec![], true);
        let all = quantum.len();
        assert_eq!(exposed(&quantum, 0), 0, "seed {seed}");
        let follow = quantum[all - 50..].iter().take_while(|row| row[1] == Cell::Exposed).count();
        assert!((10..40).contains(&follow), "seed {seed}: {follow} messages");
        assert_eq!(exposed(&quantum, 1), follow, "seed {seed}: and none after them");
        assert!(exposed(&cells(vec![], false), 1) < 6);
        // Controls. With the Braid's keys, which ML-KEM protects, there is no healing. Without the quantum computer
        // these keys expose nothing, because the other half heals on its own.
        let braid = run.all(Name::BraidSeed, "");
        assert_eq!(exposed(&cells(braid.clone(), true), 1), 50, "seed {seed}");
        assert!(exposed(&cells(braid, false), 1) < 6, "seed {seed}");
        // With the ML-KEM keys of the handshake and of the Braid, everything.
        let mut seeds = run.tap(BOB).all(Name::KemSeed, "");
        assert_eq!(exposed(&cells(seeds.clone(), false), 0), 0, "seed {seed}");
        seeds.extend(run.all(Name::BraidSeed, ""));
        assert_eq!(exposed(&cells(seeds, true), 0), all, "seed {seed}");
    }
}

/// The ablation of KDF_HYBRID over random schedules (attack E15): the conversation is secret with every
/// Diffie-Hellman broken, and with every ML-KEM key pair known; with both, everything is exposed.
#[test]
fn e15_one_broken_half_exposes_nothing_and_both_expose_everything() {
    for seed in 0..runs() {
        let setup = Setup { steps: 60, chunk_size: ChunkSize::Bytes256, ..Setup::default() };
        let mut run = Run::new(seed, &setup);
        let carol = Recorder::device(&run.tape, "Carol").unwrap();
        let stranger = Device::<Recorder>::generate_with(carol, NOW, &mut run.source);
        let _ = stranger.snapshot(&StorageKey::new([1; 32]), 1);
        let examination = run.audit(b"").examine();
        let thefts = examination.thefts();
        let none = thefts.iter().position(|theft| theft.device == "Carol").unwrap();
        let classical = [run.all(Name::DhPrivate, ""), run.all(Name::DhShared, "")].concat();
        let post_quantum = [run.all(Name::KemSeed, ""), run.all(Name::BraidSeed, "")].concat();
        let exposed = |also: &[Vec<u8>]| {
            let thief = Thief { also_stolen: also.to_vec(), quantum: false };
            let matrix = examination.secrecy_matrix(&thefts[none..=none], &thief);
            (count(&matrix, Cell::ExposedRetroactively) + count(&matrix, Cell::Exposed), matrix.messages.len())
        };
        assert_eq!(exposed(&classical).0, 0, "seed {seed}");
        assert_eq!(exposed(&post_quantum).0, 0, "seed {seed}");
        let (both, all) = exposed(&[classical, post_quantum].concat());
        assert_eq!(both, all, "seed {seed}");
    }
}
