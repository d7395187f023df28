// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a court gets is all there is: every value that the relay holds is disclosed, and it holds little.

use super::*;
use crate::relay::account::HeldContact;
use crate::relay::directory::Directory;
use crate::relay::mailbox::{Mailbox, QueuedEnvelope};
use crate::relay::period::{Day, Period};
use alloc::string::String;

/// An account with something in every field.
fn busy() -> (Relay, Device, ChaCha20Rng) {
    let (mut relay, device, mut rng) = relay_with(4);
    relay.deliver(&bob(), message(208), Some(&KEY), after(1), &mut rng).unwrap();
    relay.deliver(&bob(), first_message(2_000), None, after(2 * DAY), &mut rng).unwrap();
    relay.pending(&bob(), address(2), after(DAY)).unwrap().for_each(drop);
    relay.fetch(&bob(), NOW).unwrap();
    (relay, device, rng)
}

fn disclosure(relay: &Relay) -> Disclosure {
    relay.disclose(&bob(), &Order::new("A40-1/2018")).unwrap()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
}

/// Attack G21. Every type that the relay holds is taken apart here without `..`: another field does not compile until
/// somebody decides under which name it is disclosed. [`Public::write`] does the same for names, envelopes and hashes,
/// whose fields are private to their modules. spec/leakage.md §5 has the same list.
#[test]
fn g21_every_field_the_relay_holds_is_disclosed() {
    let (relay, ..) = busy();
    let Disclosure {
        order: _,
        account: disclosed_name,
        opened: disclosed_opened,
        identity: disclosed_identity,
        signed_prekey: DisclosedPrekey { id, expiry, encoded },
        one_time_prekeys: disclosed_prekeys,
        requests_limited_until,
        access_key_hash,
        contacts: disclosed_contacts,
        queued: disclosed_queue,
        not_held,
    } = disclosure(&relay);
    assert_eq!(not_held.len(), NOT_HELD.len());

    let Relay { accounts } = &relay;
    let (Held(name), account) = accounts.iter().next().unwrap();
    assert_eq!(disclosed_name, name.as_str());
    let Account { opened: Held(Day(opened)), access: Held(access), directory, mailbox, contacts } = account;
    assert_eq!(disclosed_opened, UnixSeconds(opened * DAY));
    assert_eq!(unhex(&access_key_hash), access.to_bytes());

    let Directory {
        identity: Held(identity),
        signed_prekey: Held(signed),
        one_time_prekeys,
        full_again: Held(Period(full_again)),
    } = directory;
    assert_eq!(unhex(&disclosed_identity), identity.to_bytes());
    assert_eq!((id, expiry, unhex(&encoded)), (signed.id(), signed.expiry(), signed.to_bytes().to_vec()));
    let (held, disclosed): (Vec<_>, Vec<_>) = (
        one_time_prekeys
            .iter()
            .map(|Held(prekey)| (prekey.id(), prekey.expiry(), prekey.to_bytes().to_vec()))
            .collect(),
        disclosed_prekeys
            .iter()
            .map(|DisclosedPrekey { id, expiry, encoded }| (*id, *expiry, unhex(encoded)))
            .collect(),
    );
    assert_eq!((held.len(), held), (3, disclosed));
    assert_eq!(requests_limited_until, Some(UnixSeconds(full_again * 600)));

    let Mailbox { queue } = mailbox;
    assert_eq!((queue.len(), disclosed_queue.len()), (2, 2));
    for (held, disclosed) in queue.iter().zip(disclosed_queue) {
        let QueuedEnvelope {
            number: Held(held_number),
            day: Held(Day(day)),
            with_key: Held(with_key),
            envelope: Held(envelope),
        } = held;
        let Queued { number, time, with_access_key, size, sealed } = disclosed;
        assert_eq!((number, time, with_access_key), (*held_number, UnixSeconds(day * DAY), *with_key));
        assert_eq!((size, unhex(&sealed)), (envelope.as_bytes().len(), envelope.as_bytes().to_vec()));
    }
    assert_eq!((contacts.len(), disclosed_contacts.len()), (2, 2));
    for (held, disclosed) in contacts.iter().zip(disclosed_contacts) {
        let HeldContact { day: Held(Day(day)), address: Held(held_address) } = held;
        let Contact { time, address } = disclosed;
        assert_eq!((time, address), (UnixSeconds(day * DAY), *held_address));
    }
}

/// Computes the relay's state from what it disclosed.
fn rebuilt(disclosures: &[Disclosure]) -> Vec<u8> {
    let mut out = Vec::new();
    let number = |number: u64, out: &mut Vec<u8>| out.extend(number.to_be_bytes());
    let long = |bytes: &[u8], out: &mut Vec<u8>| {
        out.extend((bytes.len() as u64).to_be_bytes());
        out.extend(bytes);
    };
    for disclosure in disclosures {
        long(disclosure.account.as_bytes(), &mut out);
        number(disclosure.opened.0 / DAY, &mut out);
        out.extend(unhex(&disclosure.access_key_hash));
        out.extend(unhex(&disclosure.identity));
        out.extend(unhex(&disclosure.signed_prekey.encoded));
        let prekeys = disclosure.one_time_prekeys.iter().map(|prekey| prekey.encoded.as_str());
        long(&unhex(&prekeys.collect::<String>()), &mut out);
        number(disclosure.requests_limited_until.map_or(0, |time| time.0 / 600), &mut out);
        let mut queue = Vec::new();
        for queued in &disclosure.queued {
            number(queued.number, &mut queue);
            number(queued.time.0 / DAY, &mut queue);
            queue.push(u8::from(queued.with_access_key));
            long(&unhex(&queued.sealed), &mut queue);
        }
        long(&queue, &mut out);
        let mut contacts = Vec::new();
        for Contact { time, address } in &disclosure.contacts {
            number(time.0 / DAY, &mut contacts);
            match address {
                IpAddr::V4(v4) => long(&v4.octets(), &mut contacts),
                IpAddr::V6(v6) => long(&v6.octets(), &mut contacts),
            }
        }
        long(&contacts, &mut out);
    }
    out
}

/// A field's name, and a way to withhold it.
type Withheld = (&'static str, fn(&mut Disclosure));

#[test]
fn the_relays_whole_state_follows_from_its_disclosures() {
    let (mut relay, _, mut rng) = busy();
    let alice = AccountName::new("+14153333333").unwrap();
    let mut device = Device::generate(NOW, &mut rng);
    let publication = device.publish(2, NOW, &mut rng).unwrap();
    let six = IpAddr::from([0x20, 1, 0xD, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    relay.open(&alice, publication, AccessKey::from_bytes([1; 32]).hash(), six, NOW).unwrap();
    let disclosures = [&bob(), &alice].map(|name| relay.disclose(name, &Order::new("all")).unwrap());
    assert_eq!(rebuilt(&disclosures), relay.state_bytes());

    // Control: it does not if any one field is withheld.
    let without: [Withheld; 12] = [
        ("account", |of| of.account.clear()),
        ("opened", |of| of.opened = UnixSeconds(0)),
        ("access_key_hash", |of| of.access_key_hash = "0".repeat(64)),
        ("identity", |of| of.identity = "0".repeat(256)),
        ("signed_prekey", |of| of.signed_prekey.encoded.clear()),
        ("one_time_prekeys", |of| of.one_time_prekeys.clear()),
        ("requests_limited_until", |of| of.requests_limited_until = None),
        ("contacts", |of| of.contacts.clear()),
        ("queued.number", |of| of.queued[0].number = 0),
        ("queued.time", |of| of.queued[0].time = UnixSeconds(0)),
        ("queued.with_access_key", |of| of.queued[0].with_access_key = false),
        ("queued.sealed", |of| of.queued[0].sealed.clear()),
    ];
    for (field, withhold) in without {
        let mut disclosures = disclosures.clone();
        withhold(&mut disclosures[0]);
        assert_ne!(rebuilt(&disclosures), relay.state_bytes(), "{field}");
    }
}

#[test]
fn replacing_the_identity_resets_nothing_that_is_disclosed() {
    let (mut relay, _, mut rng) = busy();
    let before = disclosure(&relay);
    let mut other = Device::generate(NOW, &mut rng);
    let publication = other.publish(1, NOW, &mut rng).unwrap();
    relay.replace_identity(&bob(), publication, KEY.hash(), address(2), after(9 * DAY)).unwrap();
    let then = disclosure(&relay);
    assert_eq!(then.opened, before.opened);
    assert_eq!(then.requests_limited_until, before.requests_limited_until);
    assert!(then.requests_limited_until.is_some());
    assert_eq!(then.contacts[..2], before.contacts);
    assert_eq!((then.contacts.len(), then.queued.len()), (3, 0));
    // Control: identity and prekeys are the new ones.
    assert_eq!(unhex(&then.identity), other.identity().to_bytes());
    assert_ne!(then.signed_prekey, before.signed_prekey);
    assert_eq!(then.one_time_prekeys.len(), 1);
}

/// The number of messages ever delivered is not held, nor is anything else about them.
#[test]
fn an_emptied_mailbox_holds_no_trace_of_past_messages() {
    let (relay, _, mut rng) = relay_with(0);
    let mut used = relay.clone();
    for _ in 0..100 {
        used.deliver(&bob(), message(200), Some(&KEY), NOW, &mut rng).unwrap();
        used.deliver(&bob(), first_message(2_000), None, NOW, &mut rng).unwrap();
        for (number, _) in waiting(&mut used) {
            assert_eq!(used.acknowledge(&bob(), number), Ok(true));
        }
    }
    assert_eq!(used.state_bytes(), relay.state_bytes());
    // Control: one that still waits is seen.
    used.deliver(&bob(), message(200), Some(&KEY), NOW, &mut rng).unwrap();
    assert_ne!(used.state_bytes(), relay.state_bytes());
}

/// Whether numbers tell the order of arrival.
fn ascending(numbers: &[u64]) -> bool {
    numbers.windows(2).all(|pair| pair[0] < pair[1])
}

#[test]
fn envelope_numbers_are_random_and_distinct() {
    let (mut relay, _, mut rng) = relay_with(0);
    for _ in 0..50 {
        relay.deliver(&bob(), message(200), Some(&KEY), NOW, &mut rng).unwrap();
    }
    let numbers: Vec<_> = waiting(&mut relay).into_iter().map(|(number, _)| number).collect();
    assert!(!ascending(&numbers));
    let high = numbers.iter().filter(|number| **number > u64::MAX / 2).count();
    assert!((10..40).contains(&high), "{high} of 50");
    // Control: a counter, as the relay had. A stuck generator gives one, and every number once.
    let (mut relay, ..) = relay_with(0);
    for _ in 0..50 {
        relay.deliver(&bob(), message(200), Some(&KEY), NOW, &mut Stuck).unwrap();
    }
    let numbers: Vec<_> = waiting(&mut relay).into_iter().map(|(number, _)| number).collect();
    assert!(ascending(&numbers));
}

/// A generator that is stuck at zero.
struct Stuck;

impl rand_core::TryRng for Stuck {
    type Error = core::convert::Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(0)
    }
    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(0)
    }
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        bytes.fill(0);
        Ok(())
    }
}

impl rand_core::TryCryptoRng for Stuck {}

/// The state of a relay at which everything happened `seconds` after midnight.
fn state_of_a_day(seconds: u64) -> Vec<u8> {
    let mut rng = ChaCha20Rng::seed_from_u64(8);
    let mut device = Device::generate(NOW, &mut rng);
    let publication = device.publish(0, NOW, &mut rng).unwrap();
    let (mut relay, now) = (Relay::default(), UnixSeconds(NOW.0 / DAY * DAY + seconds));
    relay.open(&bob(), publication, KEY.hash(), address(1), now).unwrap();
    relay.deliver(&bob(), message(200), Some(&KEY), now, &mut rng).unwrap();
    relay.pending(&bob(), address(2), now).unwrap().for_each(drop);
    relay.state_bytes()
}

#[test]
fn the_time_of_day_is_not_held() {
    assert_eq!(state_of_a_day(0), state_of_a_day(DAY - 1));
    // Control: the day is.
    assert_ne!(state_of_a_day(0), state_of_a_day(DAY));
}

#[test]
fn requests_for_prekeys_are_held_to_ten_minutes_and_forgotten() {
    let asked = |seconds: u64, again: u64| {
        let (mut relay, ..) = relay_with(2);
        relay.fetch(&bob(), after(seconds)).unwrap();
        relay.fetch(&bob(), after(again)).unwrap();
        relay
    };
    assert_eq!(asked(0, 1).state_bytes(), asked(598, 599).state_bytes());
    // Control: ten minutes later is another state, which is disclosed.
    let (early, late) = (asked(0, 1), asked(600, 601));
    assert_ne!(early.state_bytes(), late.state_bytes());
    assert_eq!(disclosure(&early).requests_limited_until, Some(after(2 * 600)));
    assert_eq!(disclosure(&late).requests_limited_until, Some(after(3 * 600)));
    // After the limit needs it no more, nothing tells when somebody asked.
    let forgotten = [early, late].map(|mut relay| {
        relay.forget(after(3 * 600));
        assert_eq!(disclosure(&relay).requests_limited_until, None);
        relay.state_bytes()
    });
    assert_eq!(forgotten[0], forgotten[1]);
    // The owner's next contact has the same effect.
    let mut relay = asked(0, 1);
    relay.pending(&bob(), address(1), after(600)).unwrap().for_each(drop);
    assert!(disclosure(&relay).requests_limited_until.is_some());
    relay.pending(&bob(), address(1), after(2 * 600)).unwrap().for_each(drop);
    assert_eq!(disclosure(&relay).requests_limited_until, None);
}

/// Requests that get no one-time prekey, and deliveries that are refused.
#[test]
fn what_a_relay_refuses_leaves_no_trace() {
    let (mut relay, _, mut rng) = relay_with(1);
    relay.fetch(&bob(), NOW).unwrap();
    let before = relay.state_bytes();
    for seconds in [0, 1, 599, 10 * DAY] {
        assert!(relay.fetch(&bob(), after(seconds)).unwrap().one_time_prekey().is_none());
        assert!(relay.deliver(&bob(), message(200), None, after(seconds), &mut rng).is_err());
    }
    assert_eq!(relay.state_bytes(), before);
    // The hash of an access key that was replaced is not held.
    let holds = |relay: &Relay, hash: &[u8; 32]| relay.state_bytes().windows(32).any(|bytes| bytes == hash);
    let new = AccessKey::from_bytes([1; 32]).hash();
    assert!(holds(&relay, &KEY.hash().to_bytes()));
    relay.rotate_access_key(&bob(), new, address(1), NOW).unwrap();
    assert!(holds(&relay, &new.to_bytes()) && !holds(&relay, &KEY.hash().to_bytes()));
    // Control: what is granted is seen.
    let (mut relay, ..) = relay_with(1);
    let before = relay.state_bytes();
    assert!(relay.fetch(&bob(), NOW).unwrap().one_time_prekey().is_some());
    assert_ne!(relay.state_bytes(), before);
}

#[test]
fn messages_of_all_correspondents_leave_equal_states() {
    let after_message_of = |key: AccessKey| {
        let (mut relay, _, mut rng) = relay_with(0);
        let _ = relay.deliver(&bob(), first_message(2_000), Some(&key), NOW, &mut rng);
        relay.state_bytes()
    };
    // Alice and Carol have the same key, and each has a copy of it.
    let (alices, carols) = (AccessKey::from_bytes(*KEY.expose()), AccessKey::from_bytes(*KEY.expose()));
    assert_eq!(after_message_of(alices), after_message_of(carols));
    let state = after_message_of(AccessKey::from_bytes(*KEY.expose()));
    let holds = |bytes: &[u8]| state.windows(bytes.len()).any(|window| window == bytes);
    assert!(!holds(KEY.expose()));
    // Controls: the hash is held; who has another key is seen.
    assert!(holds(&KEY.hash().to_bytes()));
    assert_ne!(after_message_of(AccessKey::from_bytes([1; 32])), state);
}

#[test]
fn the_order_limits_contacts_and_messages_to_its_days() {
    let (relay, ..) = busy();
    let within = |from: u64, until: u64| {
        let order = Order { reference: "B".into(), from: after(from), until: after(until) };
        let narrow = relay.disclose(&bob(), &order).unwrap();
        (narrow.contacts.len(), narrow.queued.len())
    };
    // NOW is 8:00; one contact and one message are of that day, a contact of the next, a message of the third.
    assert_eq!(NOW.0 % DAY, 8 * 3600);
    assert_eq!(within(0, 3 * DAY), (2, 2));
    assert_eq!(within(60, 61), (1, 1), "a day counts when the period touches it");
    assert_eq!(within(DAY, DAY), (1, 0));
    assert_eq!(within(2 * DAY, 2 * DAY), (0, 1));
    assert_eq!(within(5 * DAY, 6 * DAY), (0, 0));
}

#[test]
fn contacts_and_messages_are_deleted_after_thirty_days() {
    let (mut relay, _, mut rng) = relay_with(0);
    relay.deliver(&bob(), message(200), Some(&KEY), NOW, &mut rng).unwrap();
    let left = |relay: &Relay| {
        let disclosure = disclosure(relay);
        (disclosure.contacts.len(), disclosure.queued.len())
    };
    relay.forget(after(30 * DAY));
    assert_eq!(left(&relay), (1, 1));
    relay.forget(after(31 * DAY));
    assert_eq!(left(&relay), (0, 0));
}

#[test]
fn a_contact_is_held_once_a_day_and_the_oldest_are_deleted() {
    let (mut relay, ..) = relay_with(0);
    for time in 0..100 {
        relay.pending(&bob(), address(3), after(time)).unwrap().for_each(drop);
        relay.pending(&bob(), address(1), after(time)).unwrap().for_each(drop);
    }
    assert_eq!(disclosure(&relay).contacts.len(), 2);
    for day in 0..40 {
        relay.pending(&bob(), address(3), after(day * DAY)).unwrap().for_each(drop);
    }
    let contacts = disclosure(&relay).contacts;
    assert_eq!(contacts.len(), MAX_CONTACTS);
    assert_eq!(contacts.last().map(|contact| contact.time), Some(UnixSeconds((NOW.0 / DAY + 39) * DAY)));
}

#[cfg(feature = "serde")]
#[test]
fn a_disclosure_is_json() {
    let (relay, ..) = relay_with(1);
    let json = serde_json::to_value(disclosure(&relay)).unwrap();
    let keys: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = [
        "access_key_hash",
        "account",
        "contacts",
        "identity",
        "not_held",
        "one_time_prekeys",
        "opened",
        "order",
        "queued",
        "requests_limited_until",
        "signed_prekey",
    ];
    assert_eq!(keys, expected);
    assert_eq!(json["contacts"][0]["address"], "192.0.2.1");
}
