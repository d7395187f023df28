// SPDX-License-Identifier: MIT OR Apache-2.0
//! The mailbox's rules.

use super::*;
use noescrow::relay::{MAX_QUEUE_BYTES, MAX_STRANGERS_LEN};

/// Checks that the account's row counts what is there.
fn assert_counted(bob: &Bob) {
    let counted = "SELECT queued, queued_bytes, strangers, strangers_bytes FROM accounts WHERE name = $1";
    let counted = bob.run(|sql, name| sql.query(counted, &[name.as_str().into()])).unwrap();
    let mut there = Vec::new();
    for with_key in [1_i64, 0] {
        let sum = "SELECT count(*), CAST(coalesce(sum(length(envelope)), 0) AS BIGINT) FROM messages
            WHERE account = $1 AND with_key = $2";
        let rows = bob.run(|sql, name| sql.query(sum, &[name.as_str().into(), with_key.into()])).unwrap();
        there.extend(rows[0].0.clone());
    }
    assert_eq!(counted[0].0, there);
}

#[test]
fn a_message_is_queued_once_however_often_it_is_sent() {
    on_each_database(|bob| {
        let [first, second] = bob.messages();
        for number in 1..4 {
            bob.deliver(&first, None, number).unwrap();
        }
        assert_eq!(bob.pending(), [1]);
        // Control: another message is another one. Its number is, too, if the generator is stuck.
        let key = AccessKey::from_bytes(*bob.key.expose());
        bob.deliver(&second, Some(&key), 1).unwrap();
        assert_eq!(bob.pending(), [1, 2]);
        assert_counted(bob);
        bob.run(|sql, name| super::super::mailbox::acknowledge(sql, name, &[1])).unwrap();
        assert_eq!(bob.pending(), [2]);
        assert_counted(bob);
        // As README.md says: one that was acknowledged is taken again.
        bob.deliver(&first, None, 7).unwrap();
        assert_eq!(bob.pending(), [2, 7]);
    });
}

#[test]
fn after_an_acknowledged_number_the_list_begins_anew_only_on_demand() {
    on_each_database(|bob| {
        let messages = [bob.messages(), bob.messages()].concat();
        let key = AccessKey::from_bytes(*bob.key.expose());
        for (number, message) in (1..).zip(&messages) {
            bob.deliver(message, Some(&key), number).unwrap();
        }
        assert_eq!((bob.page(2, None).unwrap(), bob.page(2, Some(2)).unwrap()), (vec![1, 2], vec![3, 4]));
        bob.run(|sql, name| super::super::mailbox::acknowledge(sql, name, &[2, 3, 99])).unwrap();
        for gone in [2, 99] {
            assert!(matches!(bob.page(2, Some(gone)), Err(Failure::Gone)));
        }
        // Control: after one that waits.
        assert_eq!((bob.page(2, Some(1)).unwrap(), bob.page(2, Some(4)).unwrap()), (vec![4], vec![]));
    });
}

#[test]
fn places_in_the_mailbox_do_not_count_what_was_delivered() {
    on_each_database(|bob| {
        let [first, second] = bob.messages();
        let next_place = || {
            let place = "SELECT next_place FROM accounts WHERE name = $1";
            let rows = bob.run(|sql, name| sql.query(place, &[name.as_str().into()])).unwrap();
            rows[0].int(0).unwrap()
        };
        bob.deliver(&first, None, 1).unwrap();
        bob.deliver(&second, Some(&AccessKey::from_bytes(*bob.key.expose())), 2).unwrap();
        bob.run(|sql, name| super::super::mailbox::acknowledge(sql, name, &[1])).unwrap();
        // Control: one waits.
        assert_eq!(next_place(), 2);
        bob.run(|sql, name| super::super::mailbox::acknowledge(sql, name, &[2])).unwrap();
        assert_eq!(next_place(), 0);
        assert_counted(bob);
    });
}

#[test]
fn without_the_access_key_only_first_messages_are_queued_up_to_a_bound() {
    on_each_database(|bob| {
        let [first, second] = bob.messages();
        for key in [None, Some(&AccessKey::from_bytes([9; 32]))] {
            assert!(matches!(bob.deliver(&second, key, 1), Err(Failure::AccessKey)));
        }
        let mut bytes = first.as_bytes().to_vec();
        for number in 0..MAX_STRANGERS_LEN {
            // Another message of the same length; the relay cannot know that nobody can open it.
            *bytes.last_mut().unwrap() = u8::try_from(number % 256).unwrap();
            bytes[100] = u8::try_from(number / 256).unwrap();
            bob.deliver(&Envelope::new(bytes.clone()).unwrap(), None, number as u64).unwrap();
        }
        bytes[101] ^= 1;
        let next = Envelope::new(bytes).unwrap();
        assert!(matches!(bob.deliver(&next, None, 999), Err(Failure::Full)));
        assert_counted(bob);
        // Control: strangers do not block correspondents.
        let key = AccessKey::from_bytes(*bob.key.expose());
        bob.deliver(&next, Some(&key), 999).unwrap();
        // Nor the other way about: as if correspondents' mail were long.
        let set = "UPDATE accounts SET queued_bytes = $2 WHERE name = $1";
        let most = count(MAX_QUEUE_BYTES);
        bob.run(|sql, name| sql.query(set, &[name.as_str().into(), most.into()])).unwrap();
        assert!(matches!(bob.deliver(&second, Some(&key), 1_000), Err(Failure::Full)));
    });
}

#[test]
fn eight_senders_at_once_leave_eight_messages() {
    on_each_database(|bob| {
        let [_, second] = bob.messages();
        let key = AccessKey::from_bytes(*bob.key.expose());
        let bob = &*bob;
        std::thread::scope(|scope| {
            for sender in 0..8 {
                let mut bytes = second.as_bytes().to_vec();
                bytes[100] = sender;
                let (envelope, key) = (Envelope::new(bytes).unwrap(), AccessKey::from_bytes(*key.expose()));
                scope.spawn(move || bob.deliver(&envelope, Some(&key), sender.into()).unwrap());
            }
        });
        // Control: each is there, and counted once.
        assert_eq!(bob.pending().len(), 8);
        assert_counted(bob);
    });
}

#[test]
fn the_time_of_requests_for_prekeys_is_forgotten_when_mail_is_fetched() {
    on_each_database(|bob| {
        let held = || {
            let rows = bob.run(|sql, _| sql.query("SELECT full_again FROM accounts", &[])).unwrap();
            rows[0].int(0).unwrap()
        };
        assert!(bob.fetch(NOW).one_time_prekey().is_some());
        let fetch_mail = |now| {
            bob.run(|sql, name| super::super::mailbox::pending(sql, name, 1, None, now)).unwrap();
            held()
        };
        // Control: until the limit does not need it.
        assert_eq!((held(), fetch_mail(NOW)), (NOW / 600 + 1, NOW / 600 + 1));
        assert_eq!(fetch_mail(NOW + 600), 0);
    });
}

#[test]
fn a_clock_that_was_too_late_does_not_stop_prekeys_for_ever() {
    on_each_database(|bob| {
        // Nobody can use a prekey so late, and the reading is noted all the same.
        let late = "UPDATE accounts SET full_again = $2 WHERE name = $1";
        bob.run(|sql, name| sql.query(late, &[name.as_str().into(), (NOW + 1_000_000).into()])).unwrap();
        assert!(bob.fetch(NOW).one_time_prekey().is_none());
        // Control: the next one is due ten minutes later.
        assert!(bob.fetch(NOW + 600).one_time_prekey().is_some());
    });
}
