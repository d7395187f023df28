// SPDX-License-Identifier: MIT OR Apache-2.0
//! The relay's rules, on SQLite and, if `NOESCROW_POSTGRES` names a database, on PostgreSQL.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics fails")]

use super::postgres::Postgres;
use super::sql::{Answer, Database, Failure, Value, run};
use super::sqlite::Sqlite;
use super::state::{self, Contact};
use noescrow::relay::{AccountName, Envelope, MAX_STRANGERS_LEN, ONE_TIME_BURST, RETENTION};
use noescrow::{AccessKey, Device, InitiateOptions, Publication, Session, UnixSeconds};
use noescrow_messenger::sha256;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::sync::atomic::{AtomicUsize, Ordering};

const NOW: i64 = 1_800_000_000;
const DAY: i64 = 86_400;
const CODE: [u8; 16] = [3; 16];
const CONTACT: Contact = Contact { now: NOW, address: std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST) };

/// Bob's device, his access key, and a database in which he has an account.
struct Bob {
    database: Box<dyn Database>,
    name: AccountName,
    device: Device,
    key: AccessKey,
    rng: ChaCha20Rng,
}

/// Runs a test on each database. With PostgreSQL, each test has tables of its own.
fn on_each_database(test: impl Fn(&mut Bob)) {
    let folder = tempfile::tempdir().unwrap();
    let sqlite: Box<dyn Database> = Box::new(Sqlite::open(&folder.path().join("relay.db")).unwrap());
    let postgres = std::env::var("NOESCROW_POSTGRES").ok().map(|url| -> Box<dyn Database> {
        static TESTS: AtomicUsize = AtomicUsize::new(0);
        let schema = format!("test_{}_{}", std::process::id(), TESTS.fetch_add(1, Ordering::Relaxed));
        let mut client = ::postgres::Client::connect(&url, ::postgres::NoTls).unwrap();
        client.batch_execute(&format!("CREATE SCHEMA {schema}")).unwrap();
        Box::new(Postgres::open(&format!("{url} options='-c search_path={schema}'")).unwrap())
    });
    for database in [Some(sqlite), postgres].into_iter().flatten() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let device = Device::generate(UnixSeconds(NOW.cast_unsigned()), &mut rng);
        let (name, key) = (AccountName::new("+14152222222").unwrap(), AccessKey::generate(&mut rng));
        let mut bob = Bob { database, name, device, key, rng };
        let publication = bob.publication(3);
        bob.open(&publication).unwrap();
        test(&mut bob);
    }
}

impl Bob {
    fn run<T>(&self, mut work: impl FnMut(&mut dyn super::sql::Sql, &AccountName) -> Answer<T>) -> Answer<T> {
        run(&*self.database, |sql| work(sql, &self.name))
    }

    fn publication(&mut self, one_time_prekeys: usize) -> Publication {
        self.device.publish(one_time_prekeys, UnixSeconds(NOW.cast_unsigned()), &mut self.rng).unwrap()
    }

    fn open(&self, publication: &Publication) -> Answer<()> {
        let (hash, code) = (self.key.hash(), sha256(&CODE));
        self.run(|sql, name| state::open(sql, name, &hash, &code, publication, CONTACT))
    }

    /// A first message to Bob, and the second one of its session.
    fn messages(&mut self) -> [Envelope; 2] {
        let now = UnixSeconds(NOW.cast_unsigned());
        let alice = Device::generate(now, &mut self.rng);
        let bundle = self.run(|sql, name| state::fetch(sql, name, NOW)).unwrap();
        let (mut session, first): (Session, _) =
            alice.initiate(bundle, b"hi", InitiateOptions::unverified(now), &mut self.rng).unwrap();
        let pending = self.device.open(&first).unwrap();
        let (mut theirs, _): (Session, _) = pending.accept(b"").map_err(|failed| failed.error).unwrap();
        session.decrypt(&theirs.encrypt(b"hi", &mut self.rng).unwrap()).unwrap();
        let second = session.encrypt(b"ordinary", &mut self.rng).unwrap();
        [first, second].map(|message| Envelope::new(message).unwrap())
    }

    fn deliver(&self, envelope: &Envelope, key: Option<&AccessKey>, number: i64) -> Answer<()> {
        self.run(|sql, name| state::deliver(sql, name, envelope, key, number, NOW))
    }

    fn pending(&self) -> Vec<u64> {
        let waiting = self.run(|sql, name| state::pending(sql, name, 100, None, CONTACT)).unwrap();
        waiting.into_iter().map(|(number, _)| number).collect()
    }

    fn count(&self, table: &str) -> i64 {
        let column = if table == "accounts" { "name" } else { "account" };
        let statement = format!("SELECT count(*) FROM {table} WHERE {column} = $1");
        self.run(|sql, name| sql.query(&statement, &[name.as_str().into()])?.first().map_or(Ok(0), |row| row.int(0)))
            .unwrap()
    }

    fn log_in(&self, challenge: &[u8; 32], signature: &[u8; 64], token: [u8; 32], now: i64) -> Answer<Option<Vec<u8>>> {
        self.run(|sql, name| state::log_in(sql, name, challenge, signature, token, now))
    }
}

#[test]
fn a_one_time_prekey_is_handed_out_once_by_servers_at_once() {
    on_each_database(|bob| {
        let many = bob.publication(20);
        bob.run(|sql, name| state::publish(sql, name, &many, CONTACT)).unwrap();
        let bob = &*bob;
        let mut ids: Vec<u32> = std::thread::scope(|scope| {
            let server = || {
                let fetch = || bob.run(|sql, name| state::fetch(sql, name, NOW)).unwrap();
                (0..5).filter_map(|_| Some(fetch().one_time_prekey()?.id())).collect::<Vec<_>>()
            };
            let servers = [(); 4].map(|()| scope.spawn(server));
            servers.into_iter().flat_map(|server| server.join().unwrap()).collect()
        });
        assert_eq!(ids.len(), 20);
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 20, "one was handed out twice");
        // Control: the rest are listed, and those are not.
        let left = bob.run(|sql, name| state::prekey_ids(sql, name, NOW)).unwrap();
        assert_eq!(left.len(), 3);
        assert!(left.iter().all(|id| !ids.contains(id)));
    });
}

#[test]
fn strangers_drain_no_more_than_the_burst() {
    on_each_database(|bob| {
        let many = bob.publication(usize::try_from(ONE_TIME_BURST).unwrap());
        bob.run(|sql, name| state::publish(sql, name, &many, CONTACT)).unwrap();
        let fetch = |now| bob.run(|sql, name| state::fetch(sql, name, now)).unwrap().one_time_prekey().is_some();
        for _ in 0..ONE_TIME_BURST {
            assert!(fetch(NOW));
        }
        assert!(!fetch(NOW));
        // Control: ten minutes later there is another one.
        assert!(fetch(NOW + 600) && !fetch(NOW + 600));
    });
}

#[test]
fn a_message_is_queued_once_however_often_it_is_sent() {
    on_each_database(|bob| {
        let [first, second] = bob.messages();
        for number in 1..4 {
            bob.deliver(&first, None, number).unwrap();
        }
        assert_eq!(bob.pending(), [1]);
        // Control: another message is another one.
        let key = AccessKey::from_bytes(*bob.key.expose());
        bob.deliver(&second, Some(&key), 9).unwrap();
        assert_eq!(bob.pending(), [1, 9]);
        let after = bob.run(|sql, name| state::pending(sql, name, 100, Some(1), CONTACT)).unwrap();
        assert_eq!(after, [(9, second.as_bytes().to_vec())]);
        bob.run(|sql, name| state::acknowledge(sql, name, &[1])).unwrap();
        assert_eq!(bob.pending(), [9]);
    });
}

#[test]
fn without_the_access_key_only_first_messages_are_queued_up_to_a_bound() {
    on_each_database(|bob| {
        let [first, second] = bob.messages();
        for key in [None, Some(&AccessKey::from_bytes([9; 32]))] {
            assert!(matches!(bob.deliver(&second, key, 1), Err(Failure::Forbidden)));
        }
        let mut bytes = first.as_bytes().to_vec();
        for number in 0..MAX_STRANGERS_LEN {
            // Another message of the same length; the relay cannot tell that it opens nowhere.
            *bytes.last_mut().unwrap() = u8::try_from(number % 256).unwrap();
            bytes[100] = u8::try_from(number / 256).unwrap();
            bob.deliver(&Envelope::new(bytes.clone()).unwrap(), None, i64::try_from(number).unwrap()).unwrap();
        }
        bytes[101] ^= 1;
        let next = Envelope::new(bytes).unwrap();
        assert!(matches!(bob.deliver(&next, None, -1), Err(Failure::Full)));
        // Control: strangers do not block correspondents.
        bob.deliver(&next, Some(&AccessKey::from_bytes(*bob.key.expose())), -1).unwrap();
    });
}

#[test]
fn a_challenge_logs_its_owner_in_once_and_for_a_minute() {
    on_each_database(|bob| {
        let challenges = [[1; 32], [2; 32], [4; 32]];
        for challenge in challenges {
            bob.run(|sql, name| state::challenge(sql, name, challenge, NOW)).unwrap();
        }
        let sign = |challenge| bob.device.sign_login(&challenge);
        let [first, second, third] = challenges;
        let mallory = Device::generate(UnixSeconds(NOW.cast_unsigned()), &mut bob.rng.clone());
        let refused = bob.log_in(&first, &mallory.sign_login(&first), [7; 32], NOW);
        assert!(matches!(refused, Err(Failure::Forbidden)), "another device");
        assert!(
            matches!(bob.log_in(&[5; 32], &sign([5; 32]), [7; 32], NOW), Err(Failure::Forbidden)),
            "never given out"
        );
        assert!(matches!(bob.log_in(&third, &sign(third), [7; 32], NOW + 60), Err(Failure::Forbidden)), "too late");
        assert_eq!(bob.log_in(&first, &sign(first), [7; 32], NOW).unwrap(), None);
        assert!(matches!(bob.log_in(&first, &sign(first), [8; 32], NOW), Err(Failure::Forbidden)), "used");
        let check = |token, now| bob.run(|sql, name| state::check_login(sql, name, token, now));
        assert!(check([8; 32], NOW).is_err() && check([7; 32], NOW + 3_600).is_err());
        // Control: this token is good for an hour, and the nonce comes with the next login.
        check([7; 32], NOW + 3_599).unwrap();
        bob.run(|sql, name| state::set_nonce(sql, name, [6; 16])).unwrap();
        assert_eq!(bob.log_in(&second, &sign(second), [8; 32], NOW).unwrap(), Some(vec![6; 16]));
    });
}

#[test]
fn an_account_is_recovered_with_its_code_and_without_its_mail() {
    on_each_database(|bob| {
        let [first, _] = bob.messages();
        bob.deliver(&first, None, 1).unwrap();
        let mut device = Device::generate(UnixSeconds(NOW.cast_unsigned()), &mut bob.rng);
        let publication = device.publish(2, UnixSeconds(NOW.cast_unsigned()), &mut bob.rng).unwrap();
        let hash = bob.key.hash();
        let recover = |code: &[u8]| {
            let code = sha256(code);
            bob.run(|sql, name| state::recover(sql, name, &code, &hash, &publication, CONTACT))
        };
        assert!(matches!(recover(b"a guess"), Err(Failure::Forbidden)));
        assert_eq!(bob.pending(), [1]);
        let same = bob.run(|sql, name| state::publish(sql, name, &publication, CONTACT));
        assert!(matches!(same, Err(Failure::Conflict)), "another identity");
        recover(&CODE).unwrap();
        assert!(bob.pending().is_empty());
        let bundle = bob.run(|sql, name| state::fetch(sql, name, NOW)).unwrap();
        assert!(bundle.identity() == device.identity());
        assert_eq!(bob.count("prekeys"), 1);
    });
}

#[test]
fn a_deleted_account_leaves_no_row() {
    const TABLES: [&str; 7] = ["accounts", "prekeys", "messages", "contacts", "challenges", "logins", "files"];
    on_each_database(|bob| {
        let [first, _] = bob.messages();
        bob.deliver(&first, None, 1).unwrap();
        bob.run(|sql, name| state::challenge(sql, name, [1; 32], NOW)).unwrap();
        bob.log_in(&[1; 32], &bob.device.sign_login(&[1; 32]), [2; 32], NOW).unwrap();
        bob.run(|sql, name| state::challenge(sql, name, [3; 32], NOW)).unwrap();
        let file = sha256(bob.name.as_str().as_bytes())[..16].try_into().unwrap();
        bob.run(|sql, name| state::append(sql, name, file, 0, b"part", NOW)).unwrap();
        // Control: before, each table has a row.
        assert!(TABLES.iter().all(|table| bob.count(table) > 0));
        bob.run(|sql, name| state::delete(sql, name)).unwrap();
        assert!(TABLES.iter().all(|table| bob.count(table) == 0));
        let parts = bob.run(|sql, _| sql.query("SELECT place FROM parts WHERE file = $1", &[Value::from(file)]));
        assert!(parts.unwrap().is_empty());
    });
}

#[test]
fn a_file_grows_only_at_its_end_and_only_by_its_owner() {
    on_each_database(|bob| {
        let publication = bob.publication(1);
        let file: [u8; 16] = sha256(bob.name.as_str().as_bytes())[..16].try_into().unwrap();
        let append = |offset, part: &[u8]| bob.run(|sql, name| state::append(sql, name, file, offset, part, NOW));
        append(0, b"first ").unwrap();
        for offset in [0, 5, 7] {
            assert!(matches!(append(offset, b"second"), Err(Failure::Length(6))));
        }
        append(6, b"second").unwrap();
        let other = AccountName::new(&format!("{}, but another", bob.name)).unwrap();
        let hash = bob.key.hash();
        bob.run(|sql, _| state::open(sql, &other, &hash, &[0; 32], &publication, CONTACT)).unwrap();
        let foreign = bob.run(|sql, _| state::append(sql, &other, file, 12, b"third", NOW));
        assert!(matches!(foreign, Err(Failure::Conflict)));
        bob.run(|sql, _| state::delete(sql, &other)).unwrap();
        let read = |offset| bob.run(|sql, _| state::read(sql, file, offset)).unwrap();
        assert_eq!((read(0), read(2)), (b"first ".to_vec(), b"rst ".to_vec()));
        assert_eq!((read(6), read(11), read(12)), (b"second".to_vec(), b"d".to_vec(), Vec::new()));
        assert!(matches!(append(12, &vec![0; noescrow_messenger::PART_LEN + 1]), Err(Failure::TooLong)));
    });
}

#[test]
fn what_is_old_is_forgotten() {
    on_each_database(|bob| {
        let [first, _] = bob.messages();
        bob.deliver(&first, None, 1).unwrap();
        let days = i64::try_from(RETENTION.as_secs()).unwrap() / DAY;
        // Control: on the last day, everything is there.
        bob.run(|sql, _| state::forget(sql, NOW + days * DAY)).unwrap();
        assert_eq!((bob.count("messages"), bob.count("contacts")), (1, 1));
        bob.run(|sql, _| state::forget(sql, NOW + (days + 1) * DAY)).unwrap();
        assert_eq!((bob.count("messages"), bob.count("contacts")), (0, 0));
    });
}

#[test]
fn the_last_addresses_of_the_owner_are_held_once_a_day() {
    on_each_database(|bob| {
        let seen = |day: i64, host: u8| {
            let contact = Contact { now: NOW + day * DAY, address: std::net::IpAddr::from([192, 0, 2, host]) };
            bob.run(|sql, name| state::pending(sql, name, 1, None, contact)).unwrap();
        };
        seen(1, 1);
        seen(1, 1);
        // Control: one for each address and day, with the one of the opening.
        assert_eq!(bob.count("contacts"), 2);
        (0..40).for_each(|host| seen(2, host));
        assert_eq!(bob.count("contacts"), 32);
    });
}

#[test]
fn many_challenges_do_not_keep_the_owner_from_logging_in() {
    on_each_database(|bob| {
        let challenge = |bytes, now| bob.run(|sql, name| state::challenge(sql, name, bytes, now)).unwrap();
        (0..=255).for_each(|stranger| challenge([stranger; 32], NOW));
        let own = [&[1; 16][..], &[2; 16]].concat().try_into().unwrap();
        challenge(own, NOW + 1);
        (0..100).for_each(|stranger| challenge([[200; 16], [stranger; 16]].concat().try_into().unwrap(), NOW + 1));
        bob.log_in(&own, &bob.device.sign_login(&own), [7; 32], NOW + 2).unwrap();
        // Control: their number is bounded.
        assert_eq!(bob.count("challenges"), 255);
    });
}

#[test]
fn nothing_is_stored_for_an_account_that_was_just_deleted() {
    on_each_database(|bob| {
        let file: [u8; 16] = sha256(bob.name.as_str().as_bytes())[..16].try_into().unwrap();
        let upload = |offset, part: &[u8]| bob.run(|sql, name| state::append(sql, name, file, offset, part, NOW));
        // Control: before, a part is stored, and an empty one changes nothing.
        upload(0, b"part").unwrap();
        upload(4, b"").unwrap();
        upload(4, b"part").unwrap();
        bob.run(|sql, name| state::delete(sql, name)).unwrap();
        assert!(matches!(upload(0, b"part"), Err(Failure::NotFound)));
        assert!(bob.pending().is_empty());
        assert_eq!((bob.count("contacts"), bob.count("files")), (0, 0));
    });
}
