// SPDX-License-Identifier: MIT OR Apache-2.0
//! A device's prekeys over its life: filled, drained, lost on the way, replaced, expired, deleted (`device::policy`).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test states its expectations"
)]

#[path = "prekeys/clocks.rs"]
mod clocks;
#[path = "support/generators.rs"]
mod generators;
#[path = "prekeys/ninety_days.rs"]
mod ninety_days;
#[path = "prekeys/pending.rs"]
mod pending;

use noescrow::device::policy::{
    AT_SERVER, CLOCK_STEP, EXPIRED_KEPT, HANDED_OUT_KEPT, LAST_RESORT_KEPT, LIFETIME, MADE_A_DAY,
    PREVIOUS_SIGNED_PREKEYS, REPLAY_RECORD, ROTATION_INTERVAL, SIGNED_PREKEY_KEPT, STORED,
};
use noescrow::device::{self, Capacities};
use noescrow::error::{AcceptError, InitiateError, PrekeyError};
use noescrow::hazmat::AcceptFromAnyone;
use noescrow::primitives::RustCrypto;
use noescrow::{
    AcceptFailed, Bundle, Capacity, HeapCapacity, InitiateOptions, Prekey, Publication, StorageKey, UnixSeconds,
};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use std::collections::BTreeSet;
use std::time::Duration;

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
const DAY: Duration = Duration::from_secs(86_400);
const HOUR: Duration = Duration::from_secs(3_600);

type Device<C = HeapCapacity> = device::Device<RustCrypto, C>;
/// Space for six one-time prekeys, of which two are kept at the server, and for four handshakes without one.
type Small = Device<Capacity<6, 4, 2>>;

fn after(time: Duration) -> UnixSeconds {
    NOW.saturating_add(time)
}

fn pair<C: Capacities>() -> (Device, Device<C>, ChaCha20Rng) {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    (Device::generate_with(RustCrypto, NOW, &mut rng), Device::generate_with(RustCrypto, NOW, &mut rng), rng)
}

fn ids(prekeys: &[Prekey]) -> Vec<u32> {
    prekeys.iter().map(Prekey::id).collect()
}

/// A first message to these prekeys, sealed before they expire.
fn hello<C: Capacities>(
    alice: &Device,
    bob: &Device<C>,
    signed: &Prekey,
    one_time: Option<&Prekey>,
    rng: &mut ChaCha20Rng,
) -> Vec<u8> {
    let bundle = Bundle::new(*bob.identity(), signed.clone(), one_time.cloned()).unwrap();
    alice.initiate(bundle, b"hi", InitiateOptions::expecting(bob.identity(), UnixSeconds(0)), rng).unwrap().1
}

fn accepted<C: Capacities>(bob: &mut Device<C>, message: &[u8]) -> Result<(), AcceptError> {
    bob.accept(message).map(|(_, text)| assert_eq!(text, b"hi"))
}

/// The state, whatever its generation: equal states are equal bytes.
fn state<C: Capacities>(device: &Device<C>) -> Vec<u8> {
    device.snapshot(&StorageKey::new([3; 32]), 1)
}

fn restored<C: Capacities>(device: &Device<C>, snapshot: &[u8]) -> Device<C> {
    Device::restore_with(RustCrypto, snapshot, &StorageKey::new([3; 32]), &device.subject(), 0).unwrap()
}

/// The next publication, of which the server already has these, and which is uploaded.
fn uploaded<C: Capacities>(bob: &mut Device<C>, now: UnixSeconds, has: &[u32], rng: &mut ChaCha20Rng) -> Publication {
    let publication = bob.replenish(now, has, rng);
    bob.upload_succeeded();
    publication
}

/// Today's policy: fill up to `target`, whatever the server has.
fn by_own_count<C: Capacities>(bob: &mut Device<C>, target: usize, now: UnixSeconds, rng: &mut ChaCha20Rng) -> usize {
    bob.publish(target.saturating_sub(bob.one_time_prekeys_left()), now, rng).unwrap().one_time_prekeys.len()
}

/// Drain.
#[test]
fn a_drained_device_makes_new_prekeys() {
    let (_, mut bob, mut rng) = pair::<HeapCapacity>();
    let first = uploaded(&mut bob, NOW, &[], &mut rng);
    assert_eq!(first.one_time_prekeys.len(), AT_SERVER);
    // The server handed out all of them: what is left of the day's budget is made at once, the rest over the day.
    let mut made = uploaded(&mut bob, after(HOUR), &[], &mut rng).one_time_prekeys;
    assert!(made.len() >= MADE_A_DAY as usize - AT_SERVER, "{}", made.len());
    for hour in 2..=24 {
        let has = ids(&made);
        made.extend(uploaded(&mut bob, after(HOUR * hour), &has, &mut rng).one_time_prekeys);
    }
    assert_eq!(made.len(), AT_SERVER);
    // What was handed out is kept for two days.
    assert_eq!(bob.one_time_prekeys_left(), 2 * AT_SERVER);
    // Control: the device's own count says that there are enough.
    assert_eq!(by_own_count(&mut bob, AT_SERVER, after(DAY), &mut rng), 0);
}

#[test]
fn a_server_that_claims_to_have_none_gets_144_a_day() {
    let (_, mut bob, mut rng) = pair::<HeapCapacity>();
    let mut made = 0;
    for hour in 0..24 * 6 {
        made += uploaded(&mut bob, after(HOUR * hour), &[], &mut rng).one_time_prekeys.len();
        assert!(bob.one_time_prekeys_left() <= STORED);
    }
    let most = MADE_A_DAY as usize * 7;
    assert!((most * 6 / 7 - AT_SERVER..=most).contains(&made), "{made}");
    // Control: without the budget, one call fills the store.
    let (_, mut unbounded, mut rng) = pair::<HeapCapacity>();
    assert_eq!(by_own_count(&mut unbounded, STORED, NOW, &mut rng), STORED);
}

/// Lost upload.
#[test]
fn a_lost_upload_is_offered_again() {
    let (alice, mut bob, mut rng) = pair::<HeapCapacity>();
    let lost = bob.replenish(NOW, &[], &mut rng);
    let mut bob: Device = restored(&bob, &state(&bob));
    let again = bob.replenish(after(HOUR), &[], &mut rng);
    assert_eq!(again, lost);
    assert_eq!(again.one_time_prekeys.len(), AT_SERVER);
    // The third attempt arrives, and now the server lists them.
    let arrived = uploaded(&mut bob, after(HOUR * 2), &[], &mut rng);
    assert_eq!(arrived, lost);
    assert_eq!(bob.replenish(after(HOUR * 3), &ids(&arrived.one_time_prekeys), &mut rng).one_time_prekeys, []);
    let message = hello(&alice, &bob, &arrived.signed_prekey, arrived.one_time_prekeys.last(), &mut rng);
    assert_eq!(accepted(&mut bob, &message), Ok(()));

    // Control: the device's own count makes nothing and offers nothing.
    let (_, mut by_count, mut rng) = pair::<HeapCapacity>();
    by_count.publish(AT_SERVER, NOW, &mut rng).unwrap();
    assert_eq!(by_own_count(&mut by_count, AT_SERVER, after(HOUR), &mut rng), 0);
}

/// Two first messages with one prekey would be one too many.
#[test]
fn a_prekey_that_may_be_handed_out_is_not_offered_again() {
    for (made, offered_again) in [(20, false), (26, false), (27, true)] {
        let (_, mut bob, mut rng) = pair::<HeapCapacity>();
        let first = bob.publish(made, NOW, &mut rng).unwrap();
        // In an hour, a server with the rate limit hands out 20 and 6 more.
        let next = bob.replenish(after(HOUR), &[], &mut rng);
        let first = ids(&first.one_time_prekeys);
        let again = ids(&next.one_time_prekeys).iter().filter(|id| first.contains(id)).count();
        assert_eq!(again, if offered_again { made } else { 0 });
    }
    // An upload arrives as a whole: one that is listed shows that the others were handed out.
    let (_, mut bob, mut rng) = pair::<HeapCapacity>();
    let first = ids(&bob.publish(90, NOW, &mut rng).unwrap().one_time_prekeys);
    let next = ids(&bob.replenish(NOW, &first[..1], &mut rng).one_time_prekeys);
    assert!(next.iter().all(|id| !first.contains(id)));
}

#[test]
fn a_full_store_evicts_the_longest_missing_after_two_days() {
    let (alice, mut bob, mut rng) = pair::<Capacity<6, 4, 2>>();
    let listed = bob.publish(2, NOW, &mut rng).unwrap().one_time_prekeys;
    let has = ids(&listed);
    let mut missing = Vec::new();
    for hour in 0..4 {
        missing.extend(bob.publish(1, after(HOUR * hour), &mut rng).unwrap().one_time_prekeys);
        bob.upload_succeeded();
        // It is handed out at once.
        assert_eq!(bob.maintain(after(HOUR * hour), &has), 0);
    }
    let signed = bob.signed_prekey();
    let messages: Vec<_> = missing.iter().map(|prekey| hello(&alice, &bob, &signed, Some(prekey), &mut rng)).collect();
    let early = after(HANDED_OUT_KEPT).0 - 1;
    assert_eq!(bob.generate_one_time_prekey(UnixSeconds(early), &mut rng), Err(PrekeyError::StoreFull));
    bob.maintain(UnixSeconds(early), &has);
    // Two days after the first went missing, and an hour later, there is space for one more each.
    for (hour, evicted) in [(0, 0), (1, 1)] {
        let now = after(HANDED_OUT_KEPT + HOUR * hour);
        let before = state(&bob);
        assert!(bob.generate_one_time_prekey(now, &mut rng).is_ok());
        assert_eq!(accepted(&mut bob, &messages[evicted]), Err(AcceptError::PrekeyGone));
        assert_eq!(accepted(&mut restored::<Capacity<6, 4, 2>>(&bob, &before), &messages[evicted]), Ok(()), "control");
    }
    for message in &messages[2..] {
        assert_eq!(accepted(&mut bob, message), Ok(()));
    }
    // The server's own are never evicted.
    assert!(has.iter().all(|id| bob.delete_one_time_prekey(*id)));
}

/// Rotation.
#[test]
fn rotating_loses_no_message_in_transit() {
    let (alice, mut bob, mut rng) = pair::<HeapCapacity>();
    let publication = uploaded(&mut bob, NOW, &[], &mut rng);
    let signed = &publication.signed_prekey;
    let last_resort = hello(&alice, &bob, signed, None, &mut rng);
    let [early, late] = [0, 1].map(|at| hello(&alice, &bob, signed, Some(&publication.one_time_prekeys[at]), &mut rng));
    // Replaced at once, and in an emergency every day.
    for day in 0..14 {
        bob.rotate(after(DAY * day), &mut rng);
        bob.delete_expired(after(DAY * day));
        let mut copy: Device = restored(&bob, &state(&bob));
        let expected = if DAY * day < LAST_RESORT_KEPT { Ok(()) } else { Err(AcceptError::PrekeyGone) };
        assert_eq!(accepted(&mut copy, &last_resort), expected, "{day}");
        assert_eq!(accepted(&mut copy, &late), Ok(()), "{day}");
    }
    assert_eq!(accepted(&mut bob, &early), Ok(()));
    bob.delete_expired(after(SIGNED_PREKEY_KEPT));
    assert_eq!(accepted(&mut bob, &late), Err(AcceptError::PrekeyGone));

    // Control: a device with space for one predecessor, as all devices had, loses it with the second rotation.
    let (alice, mut bob, mut rng) = pair::<Capacity<1, 1, 1>>();
    let message = hello(&alice, &bob, &bob.signed_prekey(), None, &mut rng);
    bob.rotate(NOW, &mut rng);
    assert_eq!(accepted(&mut restored::<Capacity<1, 1, 1>>(&bob, &state(&bob)), &message), Ok(()));
    bob.rotate(NOW, &mut rng);
    assert_eq!(accepted(&mut bob, &message), Err(AcceptError::PrekeyGone));
}

/// A first message that is in transit when its prekey expires still opens.
#[test]
fn a_message_in_transit_opens_for_two_weeks_after_expiry() {
    let (alice, mut bob, mut rng) = pair::<HeapCapacity>();
    let publication = uploaded(&mut bob, NOW, &[], &mut rng);
    let one_time = &publication.one_time_prekeys[0];
    assert_eq!(one_time.expiry(), after(LIFETIME));
    // The device runs every day and rotates every week. The message is sent at the last second of the prekey's life.
    let (mut day, mut signed) = (0, publication.signed_prekey);
    let mut has: Vec<_> = ids(&publication.one_time_prekeys);
    while DAY * day <= LIFETIME {
        let next = uploaded(&mut bob, after(DAY * day), &has, &mut rng);
        has.extend(ids(&next.one_time_prekeys));
        signed = next.signed_prekey;
        day += 1;
    }
    has.retain(|id| *id != one_time.id());
    let message = hello(&alice, &bob, &signed, Some(one_time), &mut rng);
    while DAY * day < LIFETIME + EXPIRED_KEPT {
        has.extend(ids(&uploaded(&mut bob, after(DAY * day), &has, &mut rng).one_time_prekeys));
        assert_eq!(accepted(&mut restored::<HeapCapacity>(&bob, &state(&bob)), &message), Ok(()), "{day}");
        day += 1;
    }
    uploaded(&mut bob, after(DAY * day), &has, &mut rng);
    assert_eq!(accepted(&mut bob, &message), Err(AcceptError::PrekeyGone));
}

/// Expired.
#[test]
fn an_expired_one_time_prekey_does_not_refuse_the_bundle() {
    let (alice, mut bob, mut rng) = pair::<HeapCapacity>();
    let stale = uploaded(&mut bob, NOW, &[], &mut rng);
    let now = after(LIFETIME + Duration::from_secs(1));
    let signed = bob.rotate(now, &mut rng);
    let bundle = |signed: &Prekey| {
        Bundle::new(*bob.identity(), signed.clone(), stale.one_time_prekeys.first().cloned()).unwrap()
    };
    let options = InitiateOptions::expecting(bob.identity(), now);
    let (_, message) = alice.initiate(bundle(&signed), b"hi", options, &mut rng).unwrap();
    // The flag of the handshake: without a one-time prekey.
    assert_eq!(message[5], 0);
    // Control: at the last second of its life it is used.
    let options = InitiateOptions::expecting(bob.identity(), after(LIFETIME));
    assert_eq!(alice.initiate(bundle(&signed), b"hi", options, &mut rng).unwrap().1[5], 1);
    // An expired signed prekey refuses, and the bundle comes back.
    let options = InitiateOptions::expecting(bob.identity(), now);
    let failed = alice.initiate(bundle(&stale.signed_prekey), b"hi", options, &mut rng).unwrap_err();
    let (id, expiry) = (stale.signed_prekey.id(), after(LIFETIME));
    let expired = InitiateError::Expired { id, expiry };
    assert_eq!((failed.error, failed.bundle.identity()), (expired, bob.identity()));
    assert_eq!(expired.to_string(), format!("signed prekey {id} expired at Unix time 1803024000"));
    let mut bob = bob;
    assert_eq!(accepted(&mut bob, &message), Ok(()));
}

/// Otherwise one absurd reading would stop refills.
#[test]
fn one_absurd_clock_reading_deletes_nothing_and_stops_nothing() {
    for absurd in [UnixSeconds(0), after(DAY * 365 * 80), UnixSeconds::MAX] {
        let (alice, mut bob, mut rng) = pair::<HeapCapacity>();
        let publication = uploaded(&mut bob, NOW, &[], &mut rng);
        let replaced = publication.signed_prekey;
        let has = ids(&publication.one_time_prekeys);
        bob.rotate(NOW, &mut rng);
        let messages = [None, publication.one_time_prekeys.first()]
            .map(|one_time| hello(&alice, &bob, &replaced, one_time, &mut rng));
        // Fifty are handed out, and the clock is wrong when the device finds that out.
        let next = uploaded(&mut bob, absurd, &has[50..], &mut rng);
        // What is left of the day's budget, or of a day more, which is all that is needed.
        let made = if absurd < NOW { MADE_A_DAY as usize - AT_SERVER } else { 50 };
        assert_eq!(next.one_time_prekeys.len(), made, "{absurd}");
        assert!(next.signed_prekey.expiry() >= after(LIFETIME), "{absurd}");
        assert_eq!(bob.one_time_prekeys_left(), AT_SERVER + made);
        for message in &messages {
            assert_eq!(accepted(&mut bob, message), Ok(()), "{absurd}");
        }
        // Refills continue with the right time.
        let has: Vec<_> = has[50..].iter().copied().chain(ids(&next.one_time_prekeys)).collect();
        let missing = AT_SERVER - has.len();
        assert_eq!(uploaded(&mut bob, after(HOUR * 3), &has, &mut rng).one_time_prekeys.len(), missing, "{absurd}");

        // Control: a later reading confirms the time, and everything that old is deleted.
        if absurd == after(DAY * 365 * 80) {
            bob.delete_expired(absurd);
            assert_ne!(bob.one_time_prekeys_left(), 0);
            bob.delete_expired(absurd.saturating_add(CLOCK_STEP));
            // So are those that were made by that reading, whose expiry counts from near the device's clock.
            assert_eq!(bob.one_time_prekeys_left(), 0);
        }
    }
}

/// Otherwise whoever fills the record would shut out every new contact.
#[test]
fn a_full_replay_record_refuses_only_handshakes_without_one_time_prekey() {
    let (alice, mut bob, mut rng) = pair::<Capacity<6, 4, 2>>();
    let publication = uploaded(&mut bob, NOW, &[], &mut rng);
    let signed = publication.signed_prekey;
    let mut last_resort = |bob: &mut Small, signed: &Prekey| {
        let message = hello(&alice, bob, signed, None, &mut rng);
        accepted(bob, &message)
    };
    let day_later = after(DAY);
    for count in 0..4 {
        assert_eq!(bob.is_rotation_due(day_later), count == 3, "three quarters");
        assert_eq!(last_resort(&mut bob, &signed), Ok(()));
    }
    assert!(!bob.is_rotation_due(UnixSeconds(day_later.0 - 1)), "at most daily");
    assert_eq!(last_resort(&mut bob, &signed), Err(AcceptError::ReplayRecordFull));
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    let with_one_time = hello(&alice, &bob, &signed, publication.one_time_prekeys.first(), &mut rng);
    assert_eq!(accepted(&mut bob, &with_one_time), Ok(()));
    // The emergency rotation is a part of the daily call, and then everybody is accepted.
    let has = ids(&publication.one_time_prekeys[1..]);
    let fresh = bob.replenish(day_later, &has, &mut rng).signed_prekey;
    assert_ne!(fresh.id(), signed.id());
    let message = hello(&alice, &bob, &fresh, None, &mut rng);
    assert_eq!(accepted(&mut bob, &message), Ok(()));
    // Copies of messages to the replaced one are still recognized.
    assert_eq!(accepted(&mut bob, &message), Err(AcceptError::Repeated));
}

#[test]
fn rotation_is_due_weekly_and_before_expiry() {
    let (_, mut bob, mut rng) = pair::<HeapCapacity>();
    let second_before = UnixSeconds(after(ROTATION_INTERVAL).0 - 1);
    // The device's clock follows.
    for day in 0..7 {
        assert!(!bob.is_rotation_due(after(DAY * day)));
        bob.delete_expired(after(DAY * day));
    }
    assert_eq!((bob.is_rotation_due(second_before), bob.is_rotation_due(after(ROTATION_INTERVAL))), (false, true));
    // After a month offline, at once, although the clock is not believed yet.
    let (_, absent, _) = pair::<HeapCapacity>();
    assert!(absent.is_rotation_due(after(DAY * 30)));
    // The replaced ones are as many as fit.
    for day in 7..7 + 2 * 15 {
        bob.rotate(after(DAY * day), &mut rng);
    }
    assert!(state(&bob).len() < state(&absent).len() + (PREVIOUS_SIGNED_PREKEYS + 1) * 200);
    assert_eq!((REPLAY_RECORD, STORED, AT_SERVER, MADE_A_DAY), (2_048, 400, 100, 144));
}

#[test]
fn a_prekey_that_is_gone_has_its_own_error() {
    let (alice, mut bob, mut rng) = pair::<HeapCapacity>();
    let publication = uploaded(&mut bob, NOW, &[], &mut rng);
    let message = hello(&alice, &bob, &publication.signed_prekey, publication.one_time_prekeys.first(), &mut rng);
    let before = state(&bob);
    for place in [1..5, 6..10] {
        let mut unknown = message.clone();
        unknown[place.start] ^= 1;
        assert_eq!(bob.open(&unknown).map(|_| ()).unwrap_err(), AcceptError::PrekeyGone, "{place:?}");
    }
    // Anything else that is wrong is Refused.
    let mut damaged = message.clone();
    damaged[40] ^= 1;
    assert_eq!(bob.open(&damaged).map(|_| ()).unwrap_err(), AcceptError::Refused);
    assert_eq!(state(&bob), before);
    assert_eq!(accepted(&mut bob, &message), Ok(()));
    assert_eq!(accepted(&mut bob, &message), Err(AcceptError::PrekeyGone));
}

/// HS-R7, HS-R9: a pending message is accepted, refused or dropped.
#[test]
fn a_pending_message_tells_its_author_and_changes_nothing_yet() {
    let (alice, mut bob, mut rng) = pair::<HeapCapacity>();
    let publication = uploaded(&mut bob, NOW, &[], &mut rng);
    for one_time in [publication.one_time_prekeys.first(), None] {
        let before = state(&bob);
        let bundle = Bundle::new(*bob.identity(), publication.signed_prekey.clone(), one_time.cloned()).unwrap();
        let names = [&alice.identity().to_bytes()[..], &bob.identity().to_bytes()].concat();
        let payload = noescrow::Payload { plaintext: b"hi", associated_data: &names, ..Default::default() };
        let options = InitiateOptions::expecting(bob.identity(), NOW);
        let (_, message) = alice.initiate(bundle, payload, options, &mut rng).unwrap();

        // Dropped: the message can be opened again.
        let pending = bob.open(&message).unwrap();
        assert_eq!(pending.remote_identity(), alice.identity());
        assert_eq!(pending.used_one_time_prekey(), one_time.is_some());
        drop(pending);
        assert_eq!(state(&bob), before);

        // Refused: no copy can be opened.
        let gone = if one_time.is_some() { AcceptError::PrekeyGone } else { AcceptError::Repeated };
        let mut blocking: Device = restored(&bob, &before);
        blocking.open(&message).unwrap().refuse();
        assert_eq!(blocking.open(&message).map(|_| ()).unwrap_err(), gone);

        // Accepted with the right associated data only, which depends on the author.
        let AcceptFailed { error, pending } = bob.open(&message).unwrap().accept(b"").map(|_| ()).unwrap_err();
        assert_eq!(error, AcceptError::Refused);
        let names = [pending.remote_identity().to_bytes(), publication.identity.to_bytes()].concat();
        let (session, opened) = pending.accept(&names).unwrap();
        assert_eq!((opened.plaintext, opened.number, opened.is_control), (b"hi".to_vec(), 0, false));
        assert_eq!(session.remote_identity(), Some(alice.identity()));
        assert_eq!(bob.open(&message).map(|_| ()).unwrap_err(), gone);
    }
}

/// HS-R7, without an allocation for the plaintext.
#[test]
fn a_message_accepted_in_place_comes_back_after_wrong_associated_data() {
    let (alice, mut bob, mut rng) = pair::<Capacity<6, 4, 2>>();
    let message = hello(&alice, &bob, &bob.signed_prekey(), None, &mut rng);
    let mut buffer = message.clone();
    let pending = bob.open_in_place::<noescrow::skipped::Inline<4>>(&mut buffer).unwrap();
    let failed = pending.accept_in_place(b"other").map(|_| ()).unwrap_err();
    let (_, opened) = failed.pending.accept_in_place(b"").unwrap();
    assert_eq!(opened.plaintext, b"hi");
    // Control: the buffer of a refused message is as it arrived.
    let (alice, mut bob, mut rng) = pair::<Capacity<6, 4, 2>>();
    let message = hello(&alice, &bob, &bob.signed_prekey(), None, &mut rng);
    let mut buffer = message.clone();
    drop(
        bob.open_in_place::<noescrow::skipped::Inline<4>>(&mut buffer).unwrap().accept_in_place(b"other").unwrap_err(),
    );
    assert_eq!(buffer, message);
}

#[test]
fn exactly_what_is_needed_is_made_and_each_opens_once() {
    let (alice, mut bob, mut rng) = pair::<HeapCapacity>();
    let first = uploaded(&mut bob, NOW, &[], &mut rng);
    let used = &first.one_time_prekeys[1];
    let message = hello(&alice, &bob, &first.signed_prekey, Some(used), &mut rng);
    assert_eq!(accepted(&mut bob, &message), Ok(()));
    let has: Vec<_> = ids(&first.one_time_prekeys).into_iter().filter(|id| *id != used.id()).collect();
    let more = uploaded(&mut bob, NOW, &has, &mut rng);
    assert_eq!(more.one_time_prekeys.len(), 1);
    let all = [has, ids(&more.one_time_prekeys)].concat();
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), AT_SERVER);
    let (before, drawn) = (state(&bob), rng.clone());
    assert_eq!(bob.replenish(NOW, &all, &mut rng).one_time_prekeys, []);
    assert_eq!(rng, drawn, "nothing was drawn");
    assert_eq!(restored::<HeapCapacity>(&bob, &before).one_time_prekeys_left(), bob.one_time_prekeys_left());
}

#[test]
fn a_full_store_changes_nothing() {
    let (_, mut bob, mut rng) = pair::<Capacity<6, 4, 2>>();
    bob.publish(4, NOW, &mut rng).unwrap();
    let mut refused = |bob: &mut Small, ask: fn(&mut Small, &mut ChaCha20Rng) -> Option<PrekeyError>| {
        let (before, drawn) = (state(bob), rng.clone());
        let error = ask(bob, &mut rng);
        let is_unchanged = state(bob) == before && rng == drawn;
        (error, is_unchanged)
    };
    let full = (Some(PrekeyError::StoreFull), true);
    // Two fit: if three are requested, none is made.
    assert_eq!(refused(&mut bob, |bob, rng| bob.publish(3, NOW, rng).err()), full);
    assert_eq!(refused(&mut bob, |bob, rng| bob.publish(usize::MAX, NOW, rng).err()), full);
    // Control: if two are requested, both are made, and that is a change.
    assert_eq!(refused(&mut bob, |bob, rng| bob.publish(2, NOW, rng).err()), (None, false));
    assert_eq!(bob.one_time_prekeys_left(), 6);
    assert_eq!(refused(&mut bob, |bob, rng| bob.publish(1, NOW, rng).err()), full);
    assert_eq!(refused(&mut bob, |bob, rng| bob.generate_one_time_prekey(NOW, rng).err()), full);
    assert_eq!(refused(&mut bob, |bob, rng| bob.publish(0, NOW, rng).err()), (None, true));
}
