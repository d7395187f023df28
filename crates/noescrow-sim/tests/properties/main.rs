// SPDX-License-Identifier: MIT OR Apache-2.0
//! Under any schedule of sending, delivery, loss, tampering and storing, sessions do what the oracle of
//! `noescrow::events` predicts, and any deviation is detected. Each invariant of the design has a test in
//! `properties/invariants/`.
//!
//! `PROPTEST_CASES=5000 cargo test --release --test properties` runs longer.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_debug_implementations,
    unreachable_pub,
    reason = "a test says what it expects"
)]

mod faulty_sessions;
mod invariants;
mod key_log;
mod schedules;
#[path = "../../../../tests/support/mod.rs"]
mod support;

use faulty_sessions::{Fault, FaultySession};
use key_log::{KeyLog, Logged, PrimitiveFault};
use noescrow::hazmat::Intercepted;
use noescrow::primitives::RustCrypto;
use noescrow::{
    ChunkSize, MAX_JUMP, MAX_SKIPPED_KEYS, MAX_SKIPPED_STEPS, session,
    skipped::{Heap, Inline, SkippedKeyStore},
};
use noescrow_sim::{
    Claim, Event, FROM_BACK, ModelLimits, Opening, Report, ServedBundle, Side, Simulation, Tampering, Violation, pick,
    run, run_bytes,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use rand_chacha::ChaCha20Rng;
use schedules::{config, handshake, jump, longest_jump, lose, opening, ping_pong, schedule};
use std::collections::HashSet;
use support::rng;

type Conversation<S> = Simulation<session::Session<RustCrypto, S>, ChaCha20Rng>;

fn simulation<S: SkippedKeyStore>(opening: Opening) -> Conversation<S> {
    Simulation::new(RustCrypto, RustCrypto, RustCrypto, opening, rng(7)).unwrap()
}

fn play<S: SkippedKeyStore>(opening: Opening, events: impl IntoIterator<Item = Event>) -> Result<Report, Violation> {
    let mut simulation =
        Simulation::<session::Session<RustCrypto, S>, _>::new(RustCrypto, RustCrypto, RustCrypto, opening, rng(7))?;
    run(&mut simulation, events)
}

fn holds(outcome: Result<Report, Violation>) -> Result<(), TestCaseError> {
    outcome.map(|_| ()).map_err(|violation| TestCaseError::fail(violation.to_string()))
}

const fn bound<S: SkippedKeyStore>() -> u16 {
    S::CAPACITY as u16
}

proptest! {
    #![proptest_config(config(60))]

    #[test]
    fn any_schedule_agrees_with_the_oracle(opening in opening(), events in schedule(bound::<Heap>())) {
        holds(play::<Heap>(opening, events))?;
    }

    #[test]
    fn any_schedule_with_room_for_seven_keys_agrees_with_the_oracle(
        opening in opening(),
        events in schedule(bound::<Inline<7>>()),
    ) {
        holds(play::<Inline<7>>(opening, events))?;
    }

    #[test]
    fn every_byte_string_is_a_schedule_that_agrees(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        holds(run_bytes::<_, Inline<40>, _>(RustCrypto, RustCrypto, RustCrypto, &bytes, rng(7)))?;
    }

    #[test]
    fn event_encoding_round_trips(bytes in any::<[u8; Event::LEN]>(), number in any::<u16>(), len in 0usize..3000) {
        let event = Event::decode(bytes);
        prop_assert_eq!(Event::decode(event.encode()), event);
        prop_assert_eq!(pick(number, len).is_some(), len > 0);
        prop_assert!(pick(number, len).is_none_or(|at| at < len));
    }
}

#[test]
fn session_with_no_room_for_keys_agrees_with_the_oracle() {
    let events = || jump(Side::Alice, 1, 0).into_iter().chain(jump(Side::Bob, 0, 1)).chain(ping_pong(3, 0));
    let report = play::<Inline<0>>(Opening { burst: 3, accepted: 2, ..Opening::PLAIN }, events()).unwrap();
    // Nothing that skips is refused; what was skipped never opens. Three of the beginning, two of the jumps.
    assert_eq!((report.too_many_skipped, report.most_skipped), (0, 0), "{report:?}");
    assert_eq!((report.evicted, report.lost, report.opened + report.lost), (5, 5, report.sent), "{report:?}");
    // Control: with room for them, they open.
    let report = play::<Inline<4>>(Opening { burst: 3, accepted: 2, ..Opening::PLAIN }, events()).unwrap();
    assert_eq!((report.lost, report.opened), (0, report.sent), "{report:?}");
}

/// A jump, after which all but the newest messages are lost: those whose keys a store keeps, and three more.
fn jump_and_late_arrivals(previous: u16, current: u16) -> Report {
    let lost = u32::from(previous) + u32::from(current);
    let events = jump(Side::Alice, previous, current);
    let lost = lose(Side::Bob, (lost - MAX_SKIPPED_KEYS as u32 - 3) as u16);
    play::<Heap>(Opening::PLAIN, events.into_iter().chain(lost)).unwrap()
}

#[test]
fn jump_of_max_jump_opens_and_one_more_does_not() {
    let bound = MAX_JUMP as u16;
    let report = jump_and_late_arrivals(0, bound);
    assert_eq!((report.too_many_skipped, report.lost, report.opened_late), (0, 3, MAX_SKIPPED_KEYS), "{report:?}");
    let report = jump_and_late_arrivals(0, bound + 1);
    // Those that are late arrive in order and skip fewer.
    assert_eq!((report.too_many_skipped, report.lost, report.opened_late), (1, 0, 0), "{report:?}");
    assert_eq!(report.opened, MAX_SKIPPED_KEYS + 3 + 3, "{report:?}");
}

#[test]
fn old_chain_missing_more_than_max_jump_is_given_up() {
    let bound = MAX_JUMP as u16;
    let report = jump_and_late_arrivals(bound, 0);
    assert_eq!((report.too_many_skipped, report.lost, report.opened_late), (0, 3, MAX_SKIPPED_KEYS), "{report:?}");
    let report = jump_and_late_arrivals(bound + 1, 0);
    // The new chain goes on; nothing of the old one opens.
    assert_eq!((report.too_many_skipped, report.lost, report.most_skipped), (0, MAX_SKIPPED_KEYS + 3, 0), "{report:?}");
}

#[test]
fn beyond_max_skipped_keys_the_oldest_are_evicted() {
    let half = MAX_SKIPPED_KEYS as u16 / 2;
    // In three jumps, in one, and in one over two chains.
    for jumps in [vec![(0, half), (0, half), (0, 3)], vec![(0, 2 * half + 3)], vec![(half + 3, half)]] {
        let jumps = jumps.into_iter().flat_map(|(previous, current)| jump(Side::Bob, previous, current)).collect();
        let report = play::<Heap>(Opening::PLAIN, [ping_pong(1, 0), jumps].concat()).unwrap();
        assert_eq!((report.most_skipped, report.evicted, report.lost), (MAX_SKIPPED_KEYS, 3, 3), "{report:?}");
    }
}

#[test]
fn skipped_key_survives_max_skipped_steps_and_no_more() {
    let steps = MAX_SKIPPED_STEPS as usize;
    // The chain that leaves a message behind is the first of the steps + 1 (or + 2).
    for (rounds, retired) in [(steps + 1, 0), (steps + 2, 2)] {
        let report = play::<Heap>(Opening::PLAIN, ping_pong(rounds, 1)).unwrap();
        assert_eq!(report.retired, retired / 2, "{report:?}");
        assert_eq!(report.lost, retired / 2, "{report:?}");
    }
}

/// The properties show nothing about outcomes that the generator never reaches.
#[test]
fn generator_reaches_every_kind_of_outcome_and_event() {
    fn reach<S: SkippedKeyStore>(cases: usize) -> (Report, HashSet<u8>) {
        let mut runner =
            TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &[3; 32]));
        let (mut all, mut kinds) = (Report::default(), HashSet::new());
        for _ in 0..cases {
            let events = schedule(bound::<S>()).new_tree(&mut runner).unwrap().current();
            let opening = opening().new_tree(&mut runner).unwrap().current();
            kinds.extend(events.iter().map(|event| event.encode()[0]));
            let one = play::<S>(opening, events).unwrap();
            all.opened += one.opened;
            all.opened_late += one.opened_late;
            all.refused += one.refused;
            all.lost += one.lost;
            all.expired += one.expired;
            all.epochs = all.epochs.max(one.epochs);
            all.too_many_skipped += one.too_many_skipped;
            all.evicted += one.evicted;
            all.retired += one.retired;
            all.restored += one.restored;
            all.snapshots_refused += one.snapshots_refused;
            all.handshakes_refused += one.handshakes_refused;
            all.handshakes_accepted += one.handshakes_accepted;
            all.chains = all.chains.max(one.chains);
            all.most_skipped = all.most_skipped.max(one.most_skipped);
        }
        (all, kinds)
    }
    let (small, kinds) = reach::<Inline<7>>(120);
    assert_eq!(kinds.len(), usize::from(Event::KINDS), "{kinds:?}");
    let counts = [small.opened, small.opened_late, small.refused, small.lost, small.evicted];
    assert!(counts.iter().all(|count| *count > 20), "{small:?}");
    assert!(small.retired > 0 && small.restored > 20 && small.snapshots_refused > 5, "{small:?}");
    assert!(small.handshakes_refused > 20 && small.handshakes_accepted > 20, "{small:?}");
    assert!(small.chains > MAX_SKIPPED_STEPS && small.most_skipped == 7, "{small:?}");
    // A larger store, which keeps keys until their epoch ends.
    let (large, _) = reach::<Inline<40>>(120);
    assert!(large.expired > 0 && large.epochs > 2, "{large:?}");
    // The largest store's schedules have the longest jumps.
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &[3; 32]));
    let sent = |events: Vec<Event>| -> u32 {
        let counts =
            events.iter().map(|event| if let Event::Burst { count, .. } = event { u32::from(*count) } else { 0 });
        counts.sum()
    };
    let mut long = |cases: usize, bound: u16| {
        let one = |_| schedule(bound).new_tree(&mut runner).unwrap().current();
        (0..cases).map(one).filter(|events| sent(events.clone()) > MAX_JUMP).count()
    };
    assert!(long(60, bound::<Heap>()) > 0 && long(60, 7) == 0);
    let mut outcomes = HashSet::new();
    for _ in 0..5 {
        let events = longest_jump().new_tree(&mut runner).unwrap().current();
        let mut largest = simulation::<Heap>(Opening::PLAIN);
        events.into_iter().for_each(|event| largest.step(event).unwrap());
        let report = largest.report();
        outcomes.insert((report.too_many_skipped, report.evicted > 0));
    }
    // Kept, given up, refused.
    assert_eq!(outcomes, HashSet::from([(0, true), (0, false), (1, false)]));
}

/// Chunks are large, so that an epoch takes a few rounds. One message of each chain is delayed until the end.
fn late_by_epochs(rounds: usize) -> (Opening, Vec<Event>) {
    (Opening { chunk_size: ChunkSize::Bytes256, ..Opening::PLAIN }, ping_pong(rounds, 1))
}

#[test]
fn message_of_the_previous_epoch_opens_and_an_older_one_does_not() {
    let (opening, events) = late_by_epochs(MAX_SKIPPED_STEPS as usize);
    let report = play::<Heap>(opening, events).unwrap();
    assert!(report.epochs > 3 && report.expired > 10 && report.opened_late > 5, "{report:?}");
    assert_eq!((report.lost, report.retired), (report.expired, 0), "{report:?}");
    // Control: with small chunks the same schedule ends within the second epoch.
    let report = play::<Heap>(Opening::PLAIN, ping_pong(MAX_SKIPPED_STEPS as usize, 1)).unwrap();
    assert_eq!((report.expired, report.lost), (0, 0), "{report:?}");
}

#[test]
fn forked_world_behaves_like_the_first() {
    let mut first = simulation::<Heap>(Opening { burst: 5, accepted: 3, one_time: false, ..Opening::PLAIN });
    run(&mut first, ping_pong(3, 2)).unwrap();
    let mut second = first.fork().unwrap();
    run(&mut first, jump(Side::Bob, 4, 4)).unwrap();
    run(&mut second, jump(Side::Bob, 4, 4)).unwrap();
    let bytes =
        |simulation: &Conversation<Heap>| simulation.sent().iter().map(|sent| sent.bytes.clone()).collect::<Vec<_>>();
    assert_eq!(bytes(&first), bytes(&second));
    assert_eq!(first.report(), second.report());
}

/// Schedules that reach every bound of a store for seven keys.
fn around_the_bounds_of_seven() -> [Vec<Event>; 2] {
    let jumps = [jump(Side::Alice, 0, 7), jump(Side::Bob, 3, 4), jump(Side::Alice, 4, 4), jump(Side::Bob, 0, 8)];
    let ages = [ping_pong(1, 7), ping_pong(MAX_SKIPPED_STEPS as usize + 2, 0)];
    [jumps.concat(), ages.concat()]
}

#[test]
fn control_oracle_off_by_one_is_flagged_at_each_bound() {
    let right = ModelLimits::of::<Inline<7>>();
    let thousand = ModelLimits::of::<Heap>();
    let caught = |limits: ModelLimits| {
        around_the_bounds_of_seven().into_iter().any(|events| {
            let mut small = simulation::<Inline<7>>(Opening::PLAIN);
            small.set_limits(limits);
            run(&mut small, events).is_err()
        })
    };
    assert!(!caught(right));
    for wrong in [
        ModelLimits { capacity: 6, ..right },
        ModelLimits { capacity: 8, ..right },
        ModelLimits { max_steps: right.max_steps - 1, ..right },
        ModelLimits { max_steps: right.max_steps + 1, ..right },
        ModelLimits { max_jump: 6, ..right },
    ] {
        assert!(caught(wrong), "{wrong:?}");
    }
    for (max_epochs, wrong) in [(0, true), (1, false), (2, true)] {
        let (opening, events) = late_by_epochs(MAX_SKIPPED_STEPS as usize);
        let mut large = simulation::<Heap>(opening);
        large.set_limits(ModelLimits { max_epochs, ..thousand });
        assert_eq!(run(&mut large, events).is_err(), wrong, "{max_epochs}");
    }
}

#[test]
fn control_oracle_with_another_jump_is_flagged() {
    let bound = MAX_JUMP as u16;
    // Not `run`, which delivers all late messages at the end.
    let caught = |max_jump: u32, previous: u16, current: u16| {
        let mut large = simulation::<Heap>(Opening::PLAIN);
        large.set_limits(ModelLimits { max_jump, ..ModelLimits::of::<Heap>() });
        jump(Side::Alice, previous, current).into_iter().any(|event| large.step(event).is_err())
    };
    // At the length at which it differs from the right one, in the new chain and in the old one. The right one is not:
    // `jump_of_max_jump_opens_and_one_more_does_not` has both lengths.
    for (max_jump, length) in [(MAX_JUMP - 1, bound), (MAX_JUMP + 1, bound + 1)] {
        assert!(caught(max_jump, 0, length) && caught(max_jump, length, 0), "{max_jump}");
    }
}

/// Events of most kinds, in an order that exposes each faulty session.
fn events_of_most_kinds() -> Vec<Event> {
    let (alice, bob) = (Side::Alice, Side::Bob);
    vec![
        Event::Send { from: bob, length: 9, associated_data: 1 },
        Event::Deliver { to: alice, at: 0 },
        Event::Replay { to: alice, message: 0 },
        Event::Restore { side: alice },
        Event::Burst { from: alice, count: 6 },
        Event::Tamper { to: bob, message: FROM_BACK, place: FROM_BACK, tampering: Tampering::Flip { bit: 0 } },
        Event::Deliver { to: bob, at: FROM_BACK },
        Event::Tamper { to: bob, message: FROM_BACK, place: FROM_BACK, tampering: Tampering::Flip { bit: 1 } },
        Event::Tamper { to: bob, message: 2, place: FROM_BACK | 20, tampering: Tampering::Truncate },
        Event::Reflect { to: alice, message: 3 },
        Event::WrongAssociatedData { to: bob, message: 4, by: 2 },
        Event::Snapshot { side: bob },
        Event::Deliver { to: bob, at: 1 },
        Event::Damage { side: bob, place: 77 },
        Event::Rollback { side: bob, age: 0 },
        Event::Restore { side: bob },
        Event::CrossSession { to: bob },
        Event::CrossSession { to: alice },
    ]
}

#[test]
fn control_each_faulty_session_violates_its_claim() {
    let judge = |fault: Fault, events: Vec<Event>| {
        let mut faulty = simulation::<Heap>(Opening::PLAIN).map(|_, end| FaultySession::new(end, fault));
        run(&mut faulty, events).map(|_| ()).map_err(|violation| violation.claim)
    };
    assert_eq!(judge(Fault::None, events_of_most_kinds()), Ok(()));
    for (fault, claim) in [
        (Fault::AcceptsReplays, Claim::OpensOnce),
        (Fault::ChangesStateOnError, Claim::ErrorLeavesState),
        (Fault::LosesKeysToForgeries, Claim::MustOpen),
        (Fault::RefusesAllAfterError, Claim::MustOpen),
        (Fault::DistinguishesErrors, Claim::TheRightError),
        (Fault::IgnoresAssociatedData, Claim::MustNotOpen),
        (Fault::AcceptsReflections, Claim::MustNotOpen),
        (Fault::ChecksNoTag, Claim::MustNotOpen),
        (Fault::LosesSkippedKeysOnRestore, Claim::SkippedKeys),
        (Fault::RestoresOlderGenerations, Claim::RefusesRollback),
        (Fault::RestoresDamaged, Claim::RefusesDamage),
        (Fault::RestoresToAnotherState, Claim::Restores),
        (Fault::KeepsUsedKeys, Claim::OpeningChangesState),
        (Fault::SendsAnotherType, Claim::SendsTheRightKind),
        (Fault::ExhaustsChain, Claim::Sends),
        (Fault::GarblesPlaintexts, Claim::OpensToWhatWasSent),
    ] {
        assert_eq!(judge(fault, events_of_most_kinds()), Err(claim), "{fault:?}");
    }
    assert_eq!(
        judge(Fault::RefusesAllAfterError, vec![Event::CrossSession { to: Side::Bob }]),
        Err(Claim::OtherSessionContinues)
    );
}

/// The control of `AcceptedOnce` is in the tests of `handshake_sim`: no primitive knows which prekeys are used up.
#[test]
fn control_each_faulty_handshake_violates_its_claim() {
    let judge = |fault: PrimitiveFault| {
        let keys = || Intercepted::new(KeyLog { fault, ..KeyLog::default() });
        let opening = Opening { burst: 2, ..Opening::PLAIN };
        let simulation = Simulation::<session::Session<Logged>, _>::new(keys(), keys(), keys(), opening, rng(7));
        simulation.map(|_| ()).map_err(|violation| violation.claim)
    };
    assert_eq!(judge(PrimitiveFault::None), Ok(()));
    assert_eq!(judge(PrimitiveFault::ChecksNoTag), Err(Claim::ForgedFirstIsRefused));
    assert_eq!(judge(PrimitiveFault::CountsHmacs), Err(Claim::DeviceUnchanged));
    assert_eq!(judge(PrimitiveFault::RefusesSignatures), Err(Claim::HandshakeSucceeds));
    assert_eq!(judge(PrimitiveFault::CorruptsTags), Err(Claim::MustOpen));
}

/// The control of `InitiatesInTime` is in the tests of the handshake simulation too: no primitive knows the time.
#[test]
fn control_device_accepting_every_signature_is_flagged_with_each_forged_bundle() {
    let judge = |fault: PrimitiveFault, offer: ServedBundle| {
        let keys = || Intercepted::new(KeyLog { fault, ..KeyLog::default() });
        let mut simulation =
            Simulation::<session::Session<Logged>, _>::new(keys(), keys(), keys(), Opening::PLAIN, rng(7)).unwrap();
        let earlier = handshake(Side::Alice, ServedBundle::Honest, 2);
        let events = [earlier, handshake(Side::Alice, offer, 2)].concat();
        // After a bundle is refused, the previous first message arrives again. A used-up bundle is accepted, and its
        // first message refused.
        run(&mut simulation, events).map(|report| report.handshakes_refused).map_err(|violation| violation.claim)
    };
    for offer in ServedBundle::ALL {
        let refused = if offer.is_sound() { usize::from(offer == ServedBundle::Repeated) } else { 2 };
        assert_eq!(judge(PrimitiveFault::None, offer), Ok(refused), "{offer:?}");
        let only_signature_is_wrong = matches!(
            offer,
            ServedBundle::PlantedSignedPrekey | ServedBundle::PlantedOneTimePrekey | ServedBundle::ClaimedPrekeys
        );
        let expected = if only_signature_is_wrong { Err(Claim::TakesSoundBundlesOnly) } else { Ok(refused) };
        assert_eq!(judge(PrimitiveFault::AcceptsSignatures, offer), expected, "{offer:?}");
    }
}

#[test]
fn violation_names_its_event_and_its_claim() {
    let mut faulty = simulation::<Heap>(Opening::PLAIN).map(|_, end| FaultySession::new(end, Fault::AcceptsReplays));
    let violation = run(&mut faulty, events_of_most_kinds()).unwrap_err();
    let text = violation.to_string();
    assert_eq!(text, "event 2, Replay { to: Alice, message: 0 }: a message opened twice");
}
