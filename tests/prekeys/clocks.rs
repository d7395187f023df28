// SPDX-License-Identifier: MIT OR Apache-2.0
//! Readings of the clock, lists of the server and generators that are wrong, and what a device makes of them.

use super::generators::Stuck;
use super::{DAY, Device, HOUR, NOW, accepted, after, hello, ids, pair, state, uploaded};
use noescrow::device::Capacities;
use noescrow::device::policy::{ABSENCE, AT_SERVER, CLOCK_STEP, EXPIRED_KEPT, LIFETIME, LISTED, MADE_A_DAY};
use noescrow::error::{AcceptError, InitiateError, PrekeyError};
use noescrow::primitives::RustCrypto;
use noescrow::{Bundle, Capacity, HeapCapacity, InitiateOptions, UnixSeconds};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use std::time::Duration;

const CENTURY: Duration = Duration::from_secs(86_400 * 36_525);

#[test]
fn no_absurd_reading_makes_a_prekey_valid_for_decades() {
    let latest = after(CLOCK_STEP + ABSENCE + LIFETIME);
    for absurd in [UnixSeconds(0), after(DAY * 365 * 80), UnixSeconds::MAX] {
        let (_, mut bob, mut rng) = pair::<HeapCapacity>();
        let made = bob.replenish(absurd, &[], &mut rng);
        let one_more = bob.generate_one_time_prekey(absurd, &mut rng).unwrap();
        for prekey in made.one_time_prekeys.iter().chain([&made.signed_prekey, &one_more]) {
            assert!((after(LIFETIME)..=latest).contains(&prekey.expiry()), "{absurd}: {}", prekey.expiry());
        }
        // It rotates once, not with every call: the predecessors have limited space.
        assert!(!bob.is_rotation_due(absurd), "{absurd}");
        assert!((after(LIFETIME)..=latest).contains(&bob.rotate(absurd, &mut rng).expiry()), "{absurd}");
        // Control: the lifetime after the reading itself, where that is later, is beyond.
        assert_eq!(absurd.saturating_add(LIFETIME) > latest, absurd > NOW);
    }
    // After an absence that is no longer, what is made lives as long as ever.
    let (_, mut bob, mut rng) = pair::<HeapCapacity>();
    let back = bob.replenish(after(ABSENCE), &[], &mut rng);
    assert_eq!(back.signed_prekey.expiry(), after(ABSENCE + LIFETIME));
    assert!(back.one_time_prekeys.iter().all(|prekey| prekey.expiry() == after(ABSENCE + LIFETIME)));
}

/// The first reading has none to be compared with.
#[test]
fn prekeys_from_an_absurd_first_reading_are_replaced() {
    for absurd in [true, false] {
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        let first = if absurd { after(CENTURY) } else { NOW };
        let mut bob: Device = Device::generate_with(RustCrypto, first, &mut rng);
        let old = uploaded(&mut bob, first, &[], &mut rng);
        let has = ids(&old.one_time_prekeys);
        // The right time is claimed, and confirmed a day later.
        uploaded(&mut bob, NOW, &has, &mut rng);
        let next = uploaded(&mut bob, after(DAY), &has, &mut rng);
        assert_eq!(next.signed_prekey.id() != old.signed_prekey.id(), absurd);
        assert_eq!(!next.one_time_prekeys.is_empty(), absurd, "those that the server has are not counted");
        assert!(next.signed_prekey.expiry() <= after(DAY + ABSENCE + LIFETIME));
        // The old ones were handed out. They are deleted two weeks later. Control: those of a right clock are kept.
        let mut has = ids(&next.one_time_prekeys);
        for day in 1..=14 {
            has.extend(ids(&uploaded(&mut bob, after(DAY * day), &has, &mut rng).one_time_prekeys));
        }
        let held = |bob: &Device| AT_SERVER - bob.unknown_one_time_prekeys(&ids(&old.one_time_prekeys)).count();
        assert_eq!(held(&bob), AT_SERVER);
        uploaded(&mut bob, after(DAY + EXPIRED_KEPT), &has, &mut rng);
        assert_eq!(held(&bob), if absurd { 0 } else { AT_SERVER });
    }
}

/// A clock that begins at an end of the scale, and is right from the second day.
#[test]
fn a_device_made_at_an_end_of_time_becomes_reachable() {
    for first in [UnixSeconds(0), UnixSeconds::MAX] {
        let (alice, _, mut rng) = pair::<HeapCapacity>();
        let mut bob: Device = Device::generate_with(RustCrypto, first, &mut rng);
        let old = uploaded(&mut bob, first, &[], &mut rng);
        let mut has = ids(&old.one_time_prekeys);
        for day in 0..3 {
            let made = uploaded(&mut bob, after(DAY * day), &has, &mut rng);
            has.extend(ids(&made.one_time_prekeys));
        }
        let (now, signed) = (after(DAY * 3), bob.signed_prekey());
        assert!((now..=after(DAY * 3 + ABSENCE + LIFETIME)).contains(&signed.expiry()), "{first}: {}", signed.expiry());
        assert!(!bob.is_rotation_due(now), "{first}");
        let options = InitiateOptions::expecting(bob.identity(), now);
        let bundle = |signed| Bundle::new(*bob.identity(), signed, None).unwrap();
        let message = alice.initiate(bundle(signed), b"hi", options, &mut rng).unwrap().1;
        // Control: what the first reading made has expired, or expires at the end of time.
        let options = InitiateOptions::expecting(bob.identity(), now);
        let by_old = alice.initiate(bundle(old.signed_prekey.clone()), b"hi", options, &mut rng).map(|_| ());
        let expired = by_old.is_err_and(|failed| matches!(failed.error, InitiateError::Expired { .. }));
        assert_eq!((expired, old.signed_prekey.expiry() == UnixSeconds::MAX), (first < NOW, first > NOW));
        assert_eq!(accepted(&mut bob, &message), Ok(()), "{first}");
    }
}

#[test]
fn a_signed_prekey_serves_to_its_last_second() {
    let (alice, mut bob, mut rng) = pair::<HeapCapacity>();
    let signed = bob.signed_prekey();
    let mut outcome = |now| {
        let bundle = Bundle::new(*bob.identity(), signed.clone(), None).unwrap();
        let begun = alice.initiate(bundle, b"hi", InitiateOptions::expecting(bob.identity(), now), &mut rng);
        begun.map(|(_, message)| message).map_err(|failed| failed.error)
    };
    let last = outcome(signed.expiry()).unwrap();
    assert!(outcome(UnixSeconds(0)).is_ok(), "the initiator's clock is behind");
    // Control: a second later, and at the end of time.
    for late in [UnixSeconds(signed.expiry().0 + 1), UnixSeconds::MAX] {
        assert_eq!(outcome(late), Err(InitiateError::Expired { id: signed.id(), expiry: signed.expiry() }));
    }
    // Deletion is another matter: the device opens it then.
    bob.delete_expired(UnixSeconds(signed.expiry().0 + 1));
    assert_eq!(accepted(&mut bob, &last), Ok(()));
}

/// Confirmed both times: the device's clock is set back ten days, and forward again.
#[test]
fn a_clock_set_back_and_forward_loses_no_message() {
    let (alice, mut bob, mut rng) = pair::<HeapCapacity>();
    let first = uploaded(&mut bob, NOW, &[], &mut rng);
    let past = |days: u64| UnixSeconds(NOW.0 - days * 86_400);
    let has = ids(&first.one_time_prekeys);
    let mut made = uploaded(&mut bob, past(10), &has[1..], &mut rng).one_time_prekeys;
    made.extend(uploaded(&mut bob, past(9), &has[2..], &mut rng).one_time_prekeys);
    assert!(!made.is_empty());
    let messages = [Some(&first.one_time_prekeys[0]), Some(&first.one_time_prekeys[1]), made.last(), None]
        .map(|one_time| hello(&alice, &bob, &first.signed_prekey, one_time, &mut rng));
    for day in [0, 1, 2] {
        uploaded(&mut bob, after(DAY * day), &has[2..], &mut rng);
    }
    for message in &messages {
        assert_eq!(accepted(&mut super::restored(&bob, &super::state(&bob)), message), Ok(()));
    }
    // Control: two months later, confirmed, all of it is deleted.
    for day in [60, 61, 62] {
        uploaded(&mut bob, after(DAY * day), &[], &mut rng);
    }
    for message in &messages {
        assert_eq!(accepted(&mut bob, message), Err(AcceptError::PrekeyGone));
    }
}

#[test]
fn contradicting_readings_delete_at_most_what_a_day_deletes() {
    let opens_after = |readings: &[UnixSeconds]| {
        let (alice, mut bob, mut rng) = pair::<HeapCapacity>();
        let replaced = bob.signed_prekey();
        let message = hello(&alice, &bob, &replaced, None, &mut rng);
        bob.rotate(NOW, &mut rng);
        readings.iter().for_each(|reading| _ = bob.delete_expired(*reading));
        accepted(&mut bob, &message)
    };
    let minute = Duration::from_secs(60);
    // A reading two days behind, then one a month ahead.
    assert_eq!(opens_after(&[UnixSeconds(NOW.0 - 2 * 86_400), after(DAY * 32)]), Ok(()));
    // The true time after three days off, and a minute later one that is wrong.
    assert_eq!(opens_after(&[after(DAY * 3), after(DAY * 37 + minute)]), Ok(()));
    // Control: two readings that agree on an absence delete what is a month old.
    for back in [DAY * 30, DAY * 7 - CLOCK_STEP] {
        assert_eq!(opens_after(&[after(back), after(back + CLOCK_STEP)]), Err(AcceptError::PrekeyGone));
    }
}

#[test]
fn a_list_is_read_up_to_a_thousand_ids() {
    let strangers =
        |own: &[u32], count: usize| -> Vec<u32> { (1..).filter(|id| !own.contains(id)).take(count).collect() };
    // What is listed too late counts as handed out.
    for (before, missing) in [(LISTED, AT_SERVER), (LISTED - AT_SERVER, 0)] {
        let (_, mut bob, mut rng) = pair::<HeapCapacity>();
        let own = ids(&uploaded(&mut bob, NOW, &[], &mut rng).one_time_prekeys);
        let list = [strangers(&own, before), own].concat();
        assert_eq!(bob.maintain(NOW, &list), missing.min(MADE_A_DAY as usize - AT_SERVER));
        assert_eq!(bob.unknown_one_time_prekeys(&list).count(), before);
        let long = [list, strangers(&[], 100_000)].concat();
        assert!(bob.unknown_one_time_prekeys(&long).count() <= LISTED);
    }
}

#[test]
fn a_device_without_a_replay_record_rotates_weekly_only() {
    fn is_due_daily<C: Capacities>() -> bool {
        let (_, bob, _) = pair::<C>();
        bob.is_rotation_due(after(DAY))
    }
    assert!(!is_due_daily::<Capacity<6, 0, 2>>());
    assert!(!is_due_daily::<Capacity<6, 1, 2>>());
    let (_, mut bob, mut rng) = pair::<Capacity<6, 0, 2>>();
    for day in 0..7 {
        assert!(!bob.is_rotation_due(after(DAY * day)));
        bob.replenish(after(DAY * day), &[], &mut rng);
    }
    assert!(bob.is_rotation_due(after(DAY * 7)), "control");
    // Control: a record of one entry that is used is full.
    let (alice, mut bob, mut rng) = pair::<Capacity<6, 1, 2>>();
    let message = hello(&alice, &bob, &bob.signed_prekey(), None, &mut rng);
    assert_eq!(accepted(&mut bob, &message), Ok(()));
    assert!(bob.is_rotation_due(after(DAY)));
    assert!(!bob.is_rotation_due(after(HOUR)));
}

/// PP-C3: what a full bucket holds, and what a day earns.
#[test]
fn a_device_makes_at_most_288_prekeys_a_day() {
    let (_, mut bob, mut rng) = pair::<HeapCapacity>();
    let mut made: Vec<usize> = Vec::new();
    for hour in 0..24 * 4 {
        made.push(uploaded(&mut bob, after(HOUR * hour), &[], &mut rng).one_time_prekeys.len());
    }
    let most = made.windows(24).map(|day| day.iter().sum::<usize>()).max().unwrap();
    assert!(most <= 2 * MADE_A_DAY as usize, "{most}");
    // Control: a single day's number is exceeded.
    assert!(most > MADE_A_DAY as usize, "{most}");
}

/// NT-7.
#[test]
fn a_stuck_generator_gets_ids_that_count_upward() {
    let (_, mut bob, _) = pair::<HeapCapacity>();
    let made = ids(&bob.publish(3, NOW, &mut Stuck(0xFF)).unwrap().one_time_prekeys);
    // 0 is no id.
    assert_eq!(made, [u32::MAX, 1, 2]);
}

/// FL-1: the device's clock is part of its state.
#[test]
fn a_full_store_does_not_move_the_clock() {
    for later in [HOUR, DAY * 30] {
        let (_, mut bob, mut rng) = pair::<Capacity<6, 4, 2>>();
        bob.publish(6, NOW, &mut rng).unwrap();
        let (before, full) = (state(&bob), Err(PrekeyError::StoreFull));
        assert_eq!(bob.generate_one_time_prekey(after(later), &mut rng).map(|_| ()), full);
        assert_eq!(bob.publish(1, after(later), &mut rng).map(|_| ()), full);
        assert!(state(&bob) == before);
        // Control: a reading that is taken is a change.
        bob.delete_expired(after(later));
        assert!(state(&bob) != before);
    }
}
