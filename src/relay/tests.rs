// SPDX-License-Identifier: MIT OR Apache-2.0
use super::*;
use crate::Device;
use crate::device::policy;
use crate::wire::{FIRST_MESSAGE_OVERHEAD, MESSAGE_OVERHEAD};
use alloc::string::ToString;
use alloc::vec;
use core::time::Duration;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

/// When prekeys that were made at [`NOW`] expire.
const LATER: UnixSeconds = NOW.saturating_add(policy::LIFETIME);
const DAY: u64 = 86_400;

const fn after(seconds: u64) -> UnixSeconds {
    NOW.saturating_add(Duration::from_secs(seconds))
}

fn address(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

fn bob() -> AccountName {
    AccountName::new("+14152222222").unwrap()
}

static KEY: AccessKey = AccessKey::from_bytes([0x4B; 32]);

/// Bob's account at a new relay, his device, and a generator.
fn relay_with(prekeys: usize) -> (Relay, Device, ChaCha20Rng) {
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    let mut device = Device::generate(NOW, &mut rng);
    let mut relay = Relay::default();
    let publication = device.publish(prekeys, NOW, &mut rng).unwrap();
    relay.open(&bob(), publication, KEY.hash(), address(1), NOW).unwrap();
    (relay, device, rng)
}

fn message(len: usize) -> Envelope {
    let mut bytes = vec![0xAA; len];
    bytes[0] = crate::wire::TYPE_MESSAGE;
    Envelope::new(bytes).unwrap()
}

fn first_message(len: usize) -> Envelope {
    let mut bytes = vec![0xAA; len];
    bytes[0] = crate::wire::TYPE_FIRST;
    Envelope::new(bytes).unwrap()
}

fn waiting(relay: &mut Relay) -> Vec<(u64, usize)> {
    let pending = relay.pending(&bob(), address(1), NOW).unwrap();
    pending.map(|received| (received.number, received.envelope.as_bytes().len())).collect()
}

#[test]
fn a_one_time_prekey_is_handed_out_once() {
    let (mut relay, ..) = relay_with(3);
    let listed = relay.one_time_prekey_ids(&bob(), NOW).unwrap();
    let ids: Vec<_> = (0..4).map(|_| relay.fetch(&bob(), NOW).unwrap().one_time_prekey().map(Prekey::id)).collect();
    assert_eq!(ids, [Some(listed[0]), Some(listed[1]), Some(listed[2]), None]);
}

fn given(relay: &mut Relay, now: UnixSeconds) -> usize {
    (0..50).filter(|_| relay.fetch(&bob(), now).unwrap().one_time_prekey().is_some()).count()
}

/// Attack B10.
#[test]
fn draining_is_limited_to_twenty_and_one_each_ten_minutes() {
    let (mut relay, ..) = relay_with(100);
    // NOW is the first second of ten minutes.
    assert_eq!(NOW.0 % 600, 0);
    assert_eq!(given(&mut relay, NOW), 20);
    assert_eq!(given(&mut relay, after(599)), 0);
    assert_eq!(given(&mut relay, after(3 * 600)), 3);
    assert_eq!(given(&mut relay, after(100 * 600)), 20);
    // After the burst no more than a device makes, 144 a day.
    let (mut drained, ..) = relay_with(100);
    let mut all = given(&mut drained, NOW);
    for minute in 1..600 {
        all += given(&mut drained, after(minute * 60));
    }
    assert_eq!(all, 20 + 59);
    // Control: a relay that is always asked after a pause hands out all.
    let (mut relay, ..) = relay_with(100);
    assert_eq!((0..5).map(|turn| given(&mut relay, after(turn * 20 * 600))).sum::<usize>(), 100);
}

/// The server's limits and the device's policy together: somebody takes every prekey that the relay hands out.
#[test]
fn a_device_keeps_up_with_whoever_drains_its_account() {
    let (mut relay, mut device, mut rng) = relay_with(policy::AT_SERVER);
    let (mut taken, mut refused) = (Vec::new(), 0);
    for period in 0..3 * 144 {
        let now = after(period * 600);
        let ask = |relay: &mut Relay| relay.fetch(&bob(), now).unwrap().one_time_prekey().map(Prekey::id);
        taken.extend(core::iter::from_fn(|| ask(&mut relay)));
        // The owner connects every four hours.
        if period % 24 == 0 {
            let listed = relay.one_time_prekey_ids(&bob(), now).unwrap();
            let publication = device.replenish(now, &listed, &mut rng);
            refused += usize::from(relay.publish(&bob(), publication, address(1), now).is_err());
            assert!(relay.one_time_prekeys_left(&bob(), now).unwrap() > 50, "{period}");
        }
    }
    assert_eq!((refused, taken.len()), (0, 20 + 3 * 144 - 1));
    taken.sort_unstable();
    assert!(taken.windows(2).all(|pair| pair[0] != pair[1]), "each is handed out once");
    // Control: without a device that makes new ones, the account would have run out.
    let (mut relay, ..) = relay_with(policy::AT_SERVER);
    let all = (0..3 * 144).map(|period| given(&mut relay, after(period * 600))).sum::<usize>();
    assert_eq!(all, policy::AT_SERVER);
}

#[test]
fn one_wrong_clock_reading_stops_no_prekeys_for_long() {
    let (mut relay, ..) = relay_with(50);
    assert_eq!(given(&mut relay, UnixSeconds(LATER.0 - 1)), 20);
    assert_eq!(given(&mut relay, NOW), 0, "as if all had been handed out now");
    assert_eq!(given(&mut relay, after(600)), 1);
    assert_eq!(given(&mut relay, after(25 * 600)), 20);

    // Expired by that clock: none is handed out, and none is lost.
    let (mut relay, ..) = relay_with(20);
    assert_eq!(given(&mut relay, UnixSeconds::MAX), 0);
    assert_eq!(given(&mut relay, NOW), 20);
    // Control: deleting is another method.
    let (mut relay, ..) = relay_with(20);
    relay.forget(UnixSeconds::MAX);
    assert_eq!(given(&mut relay, NOW), 0);
}

/// Attack I15.
#[test]
fn an_expired_one_time_prekey_is_never_handed_out() {
    let (mut relay, mut device, mut rng) = relay_with(3);
    device.rotate(after(DAY), &mut rng);
    let fresh = device.publish(2, after(DAY), &mut rng).unwrap();
    let fresh_ids: Vec<_> = fresh.one_time_prekeys.iter().map(Prekey::id).collect();
    relay.publish(&bob(), fresh, address(1), NOW).unwrap();
    // Control: in their last second the first three may be used.
    assert_eq!(relay.one_time_prekeys_left(&bob(), LATER), Ok(5));
    assert!(!fresh_ids.contains(&relay.clone().fetch(&bob(), LATER).unwrap().one_time_prekey().unwrap().id()));
    let then = UnixSeconds(LATER.0 + 1);
    assert_eq!(relay.one_time_prekey_ids(&bob(), then).unwrap(), fresh_ids);
    let ids: Vec<_> = (0..3).map(|_| relay.fetch(&bob(), then).unwrap().one_time_prekey().map(Prekey::id)).collect();
    assert_eq!(ids, [Some(fresh_ids[0]), Some(fresh_ids[1]), None]);
}

/// A device sends prekeys again if it does not know whether they arrived.
#[test]
fn publishing_held_prekeys_again_changes_nothing() {
    let (mut relay, mut device, mut rng) = relay_with(1);
    let more = device.publish(2, NOW, &mut rng).unwrap();
    relay.publish(&bob(), more.clone(), address(1), NOW).unwrap();
    let before = relay.state_bytes();
    assert_eq!(relay.publish(&bob(), more.clone(), address(1), NOW), Ok(()));
    assert_eq!(relay.state_bytes(), before);
    // Control: another prekey with an id that is held is refused.
    let id = more.one_time_prekeys[0].id();
    relay.accounts.get_mut(&bob()).unwrap().directory.one_time_prekeys[0] = Held(more.one_time_prekeys[1].clone());
    relay.accounts.get_mut(&bob()).unwrap().directory.one_time_prekeys.truncate(1);
    let mut twice = more;
    twice.one_time_prekeys.push(twice.one_time_prekeys[0].clone());
    assert_eq!(twice.one_time_prekeys[2].id(), id);
    assert_eq!(relay.publish(&bob(), twice, address(1), NOW), Err(RelayError::BadPublication));
}

#[test]
fn no_one_time_prekey_is_spent_on_an_expired_signed_prekey() {
    let (mut relay, mut device, mut rng) = relay_with(0);
    relay.publish(&bob(), device.publish(1, after(DAY), &mut rng).unwrap(), address(1), NOW).unwrap();
    let then = UnixSeconds(LATER.0 + 1);
    assert!(relay.fetch(&bob(), then).unwrap().one_time_prekey().is_none());
    // Control: it may still be handed out.
    assert!(relay.fetch(&bob(), LATER).unwrap().one_time_prekey().is_some());
}

#[test]
fn expired_prekeys_give_way_when_room_is_needed() {
    let (mut relay, mut device, mut rng) = relay_with(1);
    let store = &mut relay.accounts.get_mut(&bob()).unwrap().directory.one_time_prekeys;
    *store = core::iter::repeat_n(store[0].clone(), MAX_ONE_TIME_PREKEYS).collect();
    let fresh = device.publish(1, after(DAY), &mut rng).unwrap();
    let before = relay.state_bytes();
    // Control: until they expire there is no room.
    assert_eq!(relay.publish(&bob(), fresh.clone(), address(1), LATER), Err(RelayError::TooManyPrekeys));
    assert_eq!(relay.state_bytes(), before);
    let then = UnixSeconds(LATER.0 + 1);
    assert_eq!(relay.publish(&bob(), fresh, address(1), then), Ok(()));
    assert_eq!(relay.one_time_prekeys_left(&bob(), NOW), Ok(1));
}

#[test]
fn withdrawn_prekeys_are_not_handed_out() {
    let (mut relay, _, _) = relay_with(3);
    let ids = relay.one_time_prekey_ids(&bob(), NOW).unwrap();
    relay.withdraw(&bob(), &[ids[0], ids[2], 0], address(1), NOW).unwrap();
    assert_eq!(relay.one_time_prekey_ids(&bob(), NOW).unwrap(), [ids[1]]);
    // Control: the other one is, and nothing changes without an account.
    assert_eq!(relay.fetch(&bob(), NOW).unwrap().one_time_prekey().map(Prekey::id), Some(ids[1]));
    let nobody = AccountName::new("nobody").unwrap();
    assert_eq!(relay.withdraw(&nobody, &ids, address(1), NOW), Err(RelayError::UnknownAccount));
}

#[test]
fn a_refused_request_changes_nothing() {
    let (mut relay, mut device, mut rng) = relay_with(2);
    let mut other = Device::generate(NOW, &mut rng);
    let before = relay.state_bytes();

    let foreign = other.publish(1, NOW, &mut rng).unwrap();
    assert_eq!(relay.publish(&bob(), foreign.clone(), address(9), NOW), Err(RelayError::IdentityChanged));
    assert_eq!(relay.open(&bob(), foreign.clone(), KEY.hash(), address(9), NOW), Err(RelayError::AccountExists));
    let mut twice = device.publish(1, NOW, &mut rng).unwrap();
    twice.one_time_prekeys.push(twice.one_time_prekeys[0].clone());
    assert_eq!(relay.publish(&bob(), twice.clone(), address(9), NOW), Err(RelayError::BadPublication));
    let mut swapped = twice.clone();
    swapped.one_time_prekeys = vec![swapped.signed_prekey.clone()];
    assert_eq!(relay.publish(&bob(), swapped.clone(), address(9), NOW), Err(RelayError::BadPublication));
    assert_eq!(relay.replace_identity(&bob(), swapped, KEY.hash(), address(9), NOW), Err(RelayError::BadPublication));
    let mut planted = twice.clone();
    planted.one_time_prekeys.clone_from(&foreign.one_time_prekeys);
    assert_eq!(relay.publish(&bob(), planted, address(9), NOW), Err(RelayError::BadPublication));
    let unknown = AccountName::new("nobody").unwrap();
    assert_eq!(relay.fetch(&unknown, NOW).unwrap_err(), RelayError::UnknownAccount);
    let delivered = relay.deliver(&unknown, message(200), Some(&KEY), NOW, &mut rng);
    assert_eq!(delivered, Err(RelayError::UnknownAccount));
    assert_eq!(relay.deliver(&bob(), message(200), None, NOW, &mut rng), Err(RelayError::AccessKeyRequired));
    assert_eq!(relay.acknowledge(&bob(), 0), Ok(false));
    assert_eq!(relay.state_bytes(), before);

    // Control: an accepted request changes the state.
    twice.one_time_prekeys.pop();
    relay.publish(&bob(), twice, address(9), NOW).unwrap();
    assert_ne!(relay.state_bytes(), before);
    relay.replace_identity(&bob(), foreign, KEY.hash(), address(9), NOW).unwrap();
    assert_eq!(relay.fetch(&bob(), NOW).unwrap().identity(), other.identity());
}

#[test]
fn envelopes_stay_in_order_until_acknowledged() {
    let (mut relay, _, mut rng) = relay_with(0);
    for len in [200, 300, 400] {
        relay.deliver(&bob(), message(len), Some(&KEY), NOW, &mut rng).unwrap();
    }
    let lengths = |relay: &mut Relay| waiting(relay).iter().map(|(_, len)| *len).collect::<Vec<_>>();
    assert_eq!(lengths(&mut relay), [200, 300, 400]);
    let number = waiting(&mut relay)[1].0;
    assert_eq!(relay.acknowledge(&bob(), number), Ok(true));
    assert_eq!(relay.acknowledge(&bob(), number), Ok(false));
    assert_eq!(lengths(&mut relay), [200, 400]);
    relay.deliver(&bob(), message(500), Some(&KEY), NOW, &mut rng).unwrap();
    assert_eq!(lengths(&mut relay), [200, 400, 500]);
}

#[test]
fn a_mailbox_is_bounded_in_number_and_in_bytes() {
    let deliver = |relay: &mut Relay, envelope, key, rng: &mut _| relay.deliver(&bob(), envelope, key, NOW, rng);
    let (mut relay, _, mut rng) = relay_with(0);
    for _ in 0..MAX_QUEUE_BYTES / MAX_ENVELOPE_LEN {
        deliver(&mut relay, message(MAX_ENVELOPE_LEN), Some(&KEY), &mut rng).unwrap();
    }
    assert_eq!(deliver(&mut relay, message(200), Some(&KEY), &mut rng), Err(RelayError::MailboxFull));
    let number = waiting(&mut relay)[0].0;
    assert_eq!(relay.acknowledge(&bob(), number), Ok(true));
    assert_eq!(deliver(&mut relay, message(200), Some(&KEY), &mut rng), Ok(()));

    let (mut relay, _, mut rng) = relay_with(0);
    for _ in 0..MAX_QUEUE_LEN {
        deliver(&mut relay, message(MESSAGE_OVERHEAD + 2), Some(&KEY), &mut rng).unwrap();
    }
    let refused = deliver(&mut relay, message(MESSAGE_OVERHEAD + 2), Some(&KEY), &mut rng);
    assert_eq!(refused, Err(RelayError::MailboxFull));

    // The same for strangers.
    let (mut relay, _, mut rng) = relay_with(0);
    for _ in 0..4 {
        deliver(&mut relay, first_message(MAX_STRANGERS_BYTES / 4), None, &mut rng).unwrap();
    }
    assert_eq!(deliver(&mut relay, first_message(2_000), None, &mut rng), Err(RelayError::MailboxFull));
    let (mut relay, _, mut rng) = relay_with(0);
    for _ in 0..MAX_STRANGERS_LEN {
        deliver(&mut relay, first_message(2_000), None, &mut rng).unwrap();
    }
    assert_eq!(deliver(&mut relay, first_message(2_000), None, &mut rng), Err(RelayError::MailboxFull));
}

#[test]
fn a_message_that_no_key_admits_and_no_mailbox_holds_is_too_long() {
    let (mut relay, _, mut rng) = relay_with(0);
    let long = || first_message(MAX_STRANGERS_BYTES + 1);
    let other = AccessKey::from_bytes([9; 32]);
    for key in [None, Some(&other)] {
        assert_eq!(relay.deliver(&bob(), long(), key, NOW, &mut rng), Err(RelayError::EnvelopeTooLong));
    }
    // Control: with the key, and one byte shorter.
    assert_eq!(relay.deliver(&bob(), long(), Some(&KEY), NOW, &mut rng), Ok(()));
    let longest = first_message(MAX_STRANGERS_BYTES);
    assert_eq!(relay.deliver(&bob(), longest, None, NOW, &mut rng), Ok(()));
}

/// The answer to a correspondent after somebody sent ten thousand messages of both kinds.
fn after_a_flood(flood_key: Option<&AccessKey>) -> Result<(), RelayError> {
    let (mut relay, _, mut rng) = relay_with(0);
    for _ in 0..MAX_QUEUE_LEN {
        let _ = relay.deliver(&bob(), message(200), flood_key, NOW, &mut rng);
        let _ = relay.deliver(&bob(), first_message(2_000), flood_key, NOW, &mut rng);
    }
    relay.deliver(&bob(), message(200), Some(&KEY), NOW, &mut rng)
}

#[test]
fn strangers_cannot_block_an_account_for_correspondents() {
    assert_eq!(after_a_flood(None), Ok(()));
    assert_eq!(after_a_flood(Some(&AccessKey::from_bytes([0; 32]))), Ok(()));
    // Control: they could if they had the key, as when the relay had none.
    assert_eq!(after_a_flood(Some(&KEY)), Err(RelayError::MailboxFull));
}

#[test]
fn correspondents_do_not_use_up_the_strangers_quota() {
    let (mut relay, _, mut rng) = relay_with(0);
    for _ in 0..MAX_QUEUE_LEN {
        relay.deliver(&bob(), message(200), Some(&KEY), NOW, &mut rng).unwrap();
    }
    assert_eq!(relay.deliver(&bob(), first_message(2_000), None, NOW, &mut rng), Ok(()));
    // Control.
    assert_eq!(relay.deliver(&bob(), first_message(2_000), Some(&KEY), NOW, &mut rng), Err(RelayError::MailboxFull));
}

#[test]
fn rotating_the_access_key_excludes_whoever_lacks_the_new_one() {
    let (mut relay, _, mut rng) = relay_with(0);
    let new = AccessKey::from_bytes([0x4C; 32]);
    let mut answer = |relay: &mut Relay, key| relay.deliver(&bob(), message(200), Some(key), NOW, &mut rng);
    // Control: before.
    assert_eq!(answer(&mut relay, &KEY), Ok(()));
    assert_eq!(answer(&mut relay, &new), Err(RelayError::AccessKeyRequired));
    relay.rotate_access_key(&bob(), new.hash(), address(1), NOW).unwrap();
    assert_eq!(answer(&mut relay, &KEY), Err(RelayError::AccessKeyRequired));
    assert_eq!(answer(&mut relay, &new), Ok(()));
    assert_eq!(waiting(&mut relay).len(), 2, "what was delivered before stays");
}

/// After somebody was blocked who still has the old key.
#[test]
fn whoever_has_an_old_access_key_cannot_block_an_account() {
    let answer = |rotations: u8| {
        let (mut relay, _, mut rng) = relay_with(0);
        let mut keys = vec![KEY.hash()];
        keys.extend((1..=rotations).map(|n| AccessKey::from_bytes([n; 32]).hash()));
        for hash in &keys[1..] {
            relay.rotate_access_key(&bob(), *hash, address(1), NOW).unwrap();
        }
        for _ in 0..MAX_QUEUE_LEN {
            let _ = relay.deliver(&bob(), message(200), Some(&KEY), NOW, &mut rng);
            let _ = relay.deliver(&bob(), first_message(2_000), Some(&KEY), NOW, &mut rng);
        }
        let newest = AccessKey::from_bytes(if rotations == 0 { *KEY.expose() } else { [rotations; 32] });
        (waiting(&mut relay).len(), relay.deliver(&bob(), message(200), Some(&newest), NOW, &mut rng))
    };
    assert_eq!(answer(1), (MAX_STRANGERS_LEN, Ok(())));
    assert_eq!(answer(2), (MAX_STRANGERS_LEN, Ok(())));
    // Control: without a rotation.
    assert_eq!(answer(0), (MAX_QUEUE_LEN, Err(RelayError::MailboxFull)));
}

/// What was queued before the rotation still counts, until the owner fetches it.
#[test]
fn a_queue_filled_before_the_rotation_is_freed_by_its_owner() {
    let (mut relay, _, mut rng) = relay_with(0);
    for _ in 0..MAX_QUEUE_LEN {
        relay.deliver(&bob(), message(MESSAGE_OVERHEAD + 2), Some(&KEY), NOW, &mut rng).unwrap();
    }
    let new = AccessKey::from_bytes([1; 32]);
    relay.rotate_access_key(&bob(), new.hash(), address(1), NOW).unwrap();
    let mut answer = |relay: &mut Relay| relay.deliver(&bob(), message(200), Some(&new), NOW, &mut rng);
    // Control: before he does.
    assert_eq!(answer(&mut relay), Err(RelayError::MailboxFull));
    for (number, _) in waiting(&mut relay).into_iter().take(1) {
        assert_eq!(relay.acknowledge(&bob(), number), Ok(true));
    }
    assert_eq!(answer(&mut relay), Ok(()));
}

#[test]
fn only_a_message_is_an_envelope() {
    for bad in [
        vec![],
        vec![0x12; MESSAGE_OVERHEAD],
        vec![0x11; FIRST_MESSAGE_OVERHEAD],
        vec![0x13; 500],
        vec![0x13; MAX_ENVELOPE_LEN + 1],
    ] {
        assert_eq!(Envelope::new(bad), Err(RelayError::BadEnvelope));
    }
    assert!(Envelope::new(vec![0x12; MESSAGE_OVERHEAD + 1]).is_ok());
}

#[test]
fn the_error_of_a_long_envelope_names_its_length() {
    let error = Envelope::new(vec![0x12; MAX_ENVELOPE_LEN + 1]).unwrap_err();
    assert_eq!(
        (error, &*error.to_string()),
        (RelayError::EnvelopeTooLong, "message longer than 16 MiB, or than 1 MiB without the access key")
    );
    assert_eq!(MAX_ENVELOPE_LEN, 16 << 20);
    // Control.
    assert!(Envelope::new(vec![0x12; MAX_ENVELOPE_LEN]).is_ok());
}

#[test]
fn account_names_are_bounded() {
    for bad in ["", "line\nbreak", &"x".repeat(65)] {
        assert_eq!(AccountName::new(bad), Err(RelayError::BadAccountName));
    }
    assert!(AccountName::new(&"x".repeat(64)).is_ok());
}

mod disclosed;
