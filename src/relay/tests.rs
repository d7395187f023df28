// SPDX-License-Identifier: MIT OR Apache-2.0
use super::*;
use crate::Device;
use crate::prekeys::Prekey;
use crate::wire::{FIRST_MESSAGE_OVERHEAD, MESSAGE_OVERHEAD};
use alloc::vec;
use core::time::Duration;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
const LATER: UnixSeconds = after(86_400);

const fn after(seconds: u64) -> UnixSeconds {
    NOW.saturating_add(Duration::from_secs(seconds))
}

fn address(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

fn bob() -> AccountName {
    AccountName::new("+14152222222").unwrap()
}

fn relay_with(prekeys: usize) -> (Relay, Device, ChaCha20Rng) {
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    let mut device = Device::generate(LATER, &mut rng);
    let mut relay = Relay::default();
    relay.publish(&bob(), device.publish(prekeys, LATER, &mut rng).unwrap(), address(1), NOW).unwrap();
    (relay, device, rng)
}

fn message(len: usize) -> Envelope {
    let mut bytes = vec![0xAA; len];
    bytes[0] = crate::wire::TYPE_MESSAGE;
    Envelope::new(bytes).unwrap()
}

#[test]
fn a_one_time_prekey_is_handed_out_once() {
    let (mut relay, ..) = relay_with(3);
    let ids: Vec<_> = (0..4).map(|_| relay.fetch(&bob(), NOW).unwrap().one_time_prekey().map(Prekey::id)).collect();
    assert_eq!(ids, [Some(2), Some(3), Some(4), None]);
}

/// Attack B10.
#[test]
fn draining_is_limited_and_bundles_are_still_served() {
    let (mut relay, ..) = relay_with(60);
    let given = |relay: &mut Relay, now| {
        (0..50).filter(|_| relay.fetch(&bob(), now).unwrap().one_time_prekey().is_some()).count()
    };
    assert_eq!(given(&mut relay, NOW), 20);
    assert_eq!(given(&mut relay, after(59)), 0);
    assert_eq!(given(&mut relay, after(3 * 60)), 3);
    assert_eq!(given(&mut relay, after(1_000 * 60)), 20);
}

#[test]
fn a_refused_request_changes_nothing() {
    let (mut relay, mut device, mut rng) = relay_with(2);
    let mut other = Device::generate(LATER, &mut rng);
    let before = relay.state_bytes();

    let foreign = other.publish(1, LATER, &mut rng).unwrap();
    assert_eq!(relay.publish(&bob(), foreign.clone(), address(9), NOW), Err(RelayError::IdentityChanged));
    let mut twice = device.publish(1, LATER, &mut rng).unwrap();
    twice.one_time_prekeys.push(twice.one_time_prekeys[0].clone());
    assert_eq!(relay.publish(&bob(), twice.clone(), address(9), NOW), Err(RelayError::BadPublication));
    let mut swapped = twice.clone();
    swapped.one_time_prekeys = vec![swapped.signed_prekey.clone()];
    assert_eq!(relay.publish(&bob(), swapped, address(9), NOW), Err(RelayError::BadPublication));
    let mut planted = twice.clone();
    planted.one_time_prekeys.clone_from(&foreign.one_time_prekeys);
    assert_eq!(relay.publish(&bob(), planted, address(9), NOW), Err(RelayError::BadPublication));
    let unknown = AccountName::new("nobody").unwrap();
    assert_eq!(relay.fetch(&unknown, NOW).unwrap_err(), RelayError::UnknownAccount);
    assert_eq!(relay.deliver(&unknown, message(200), NOW), Err(RelayError::UnknownAccount));
    assert_eq!(relay.acknowledge(&bob(), 0), Ok(false));
    assert_eq!(relay.state_bytes(), before);

    // Control: an accepted request changes the state.
    twice.one_time_prekeys.pop();
    relay.publish(&bob(), twice, address(9), NOW).unwrap();
    assert_ne!(relay.state_bytes(), before);
    relay.replace_identity(&bob(), foreign, address(9), NOW).unwrap();
    assert_eq!(relay.fetch(&bob(), NOW).unwrap().identity(), other.identity());
}

#[test]
fn envelopes_stay_in_order_until_acknowledged() {
    let (mut relay, ..) = relay_with(0);
    for len in [200, 300, 400] {
        relay.deliver(&bob(), message(len), NOW).unwrap();
    }
    let waiting = |relay: &mut Relay| -> Vec<(u64, usize)> {
        let pending = relay.pending(&bob(), address(1), NOW).unwrap();
        pending.map(|received| (received.number, received.envelope.as_bytes().len())).collect()
    };
    assert_eq!(waiting(&mut relay), [(0, 200), (1, 300), (2, 400)]);
    assert_eq!(relay.acknowledge(&bob(), 1), Ok(true));
    assert_eq!(relay.acknowledge(&bob(), 1), Ok(false));
    assert_eq!(waiting(&mut relay), [(0, 200), (2, 400)]);
    relay.deliver(&bob(), message(500), NOW).unwrap();
    assert_eq!(waiting(&mut relay), [(0, 200), (2, 400), (3, 500)], "numbers are not used again");
}

#[test]
fn a_mailbox_is_bounded_in_number_and_in_bytes() {
    let (mut relay, ..) = relay_with(0);
    for _ in 0..MAX_QUEUE_BYTES / MAX_ENVELOPE_LEN {
        relay.deliver(&bob(), message(MAX_ENVELOPE_LEN), NOW).unwrap();
    }
    assert_eq!(relay.deliver(&bob(), message(200), NOW), Err(RelayError::MailboxFull));
    assert_eq!(relay.acknowledge(&bob(), 0), Ok(true));
    assert_eq!(relay.deliver(&bob(), message(200), NOW), Ok(()));

    let (mut relay, ..) = relay_with(0);
    for _ in 0..MAX_QUEUE_LEN {
        relay.deliver(&bob(), message(MESSAGE_OVERHEAD + 2), NOW).unwrap();
    }
    assert_eq!(relay.deliver(&bob(), message(MESSAGE_OVERHEAD + 2), NOW), Err(RelayError::MailboxFull));
}

#[test]
fn only_a_message_is_an_envelope() {
    for bad in [
        vec![],
        vec![0x12; MESSAGE_OVERHEAD],
        vec![0x11; FIRST_MESSAGE_OVERHEAD],
        vec![0x13; 500],
        vec![0x12; MAX_ENVELOPE_LEN + 1],
    ] {
        assert_eq!(Envelope::new(bad), Err(RelayError::BadEnvelope));
    }
    assert!(Envelope::new(vec![0x12; MESSAGE_OVERHEAD + 1]).is_ok());
}

#[test]
fn account_names_are_bounded() {
    for bad in ["", "line\nbreak", &"x".repeat(65)] {
        assert_eq!(AccountName::new(bad), Err(RelayError::BadAccountName));
    }
    assert!(AccountName::new(&"x".repeat(64)).is_ok());
}

/// Attack G21: the list is closed. Another column in the server does not compile here until it is on the list.
#[test]
fn the_list_of_disclosed_fields_is_closed() {
    let (mut relay, ..) = relay_with(2);
    relay.deliver(&bob(), message(208), after(1)).unwrap();
    let _ = relay.pending(&bob(), address(2), after(2)).unwrap().count();
    let disclosure = relay.disclose(&bob(), &Order::new("A40-1/2018")).unwrap();
    let Disclosure { order, account, opened, identity, one_time_prekeys_left, contacts, queued, not_held } = disclosure;
    assert_eq!((order.reference.as_str(), account.as_str(), opened), ("A40-1/2018", "+14152222222", NOW));
    assert_eq!((identity.len(), one_time_prekeys_left), (256, 2));
    let seen = [Contact { time: NOW, address: address(1) }, Contact { time: after(2), address: address(2) }];
    assert_eq!(contacts, seen);
    assert_eq!(queued, [Queued { time: after(1), size: 208 }]);
    assert_eq!(not_held.len(), 4);

    // The server's own columns: each is on the list, public, or an internal counter.
    let account::Account { opened: _, directory: _, mailbox: _, contacts: _ } = &relay.accounts[&bob()];

    let order = Order { reference: "B".into(), from: after(2), until: after(2) };
    let narrow = relay.disclose(&bob(), &order).unwrap();
    assert_eq!((narrow.contacts.len(), narrow.queued.len()), (1, 0));
}

#[test]
fn old_contacts_are_deleted() {
    let (mut relay, ..) = relay_with(0);
    for time in 0..100 {
        let _ = relay.pending(&bob(), address(3), after(time)).unwrap().count();
    }
    let disclosure = relay.disclose(&bob(), &Order::new("C")).unwrap();
    assert_eq!(disclosure.contacts.len(), MAX_CONTACTS);
    assert_eq!(disclosure.contacts.last().map(|contact| contact.time), Some(after(99)));
}

#[cfg(feature = "serde")]
#[test]
fn a_disclosure_is_json() {
    let (relay, ..) = relay_with(1);
    let json = serde_json::to_value(relay.disclose(&bob(), &Order::new("D")).unwrap()).unwrap();
    let keys: Vec<_> = json.as_object().unwrap().keys().map(alloc::string::String::as_str).collect();
    let expected =
        ["account", "contacts", "identity", "not_held", "one_time_prekeys_left", "opened", "order", "queued"];
    assert_eq!(keys, expected);
    assert_eq!(json["contacts"][0]["address"], "192.0.2.1");
}
