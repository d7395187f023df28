// SPDX-License-Identifier: MIT OR Apache-2.0
//! The relay's rules, on SQLite and, if `NOESCROW_POSTGRES` names a database, on PostgreSQL.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics fails")]

mod http;
mod mailbox;

use super::challenge::ChallengeKey;
use super::postgres::Postgres;
use super::sql::{Answer, Database, Failure, Sql, Value, run};
use super::sqlite::Sqlite;
use super::{files, state};
use noescrow::primitives::RustCrypto;
use noescrow::relay::{AccountName, Envelope, MAX_ONE_TIME_PREKEYS, ONE_TIME_BURST, RETENTION};
use noescrow::{AccessKey, Bundle, Device, InitiateOptions, Publication, Session, UnixSeconds};
use noescrow_messenger::{MAX_FILES, PART_LEN, recovery_hash, sha256};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

const NOW: i64 = 1_800_000_000;
const DAY: i64 = 86_400;
const CODE: [u8; 16] = [3; 16];
const NEXT_CODE: [u8; 16] = [4; 16];

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap()
}

/// Bob's device, his access key, and a database in which he has an account.
struct Bob {
    database: Box<dyn Database>,
    /// Of SQLite.
    path: Option<PathBuf>,
    name: AccountName,
    device: Device,
    key: AccessKey,
    rng: ChaCha20Rng,
}

/// Runs a test on each database. With PostgreSQL, each test has tables of its own.
fn on_each_database(test: impl Fn(&mut Bob)) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("relay.db");
    let sqlite: Box<dyn Database> = Box::new(Sqlite::open(&path).unwrap());
    let postgres = std::env::var("NOESCROW_POSTGRES").ok().map(|url| -> Box<dyn Database> {
        static TESTS: AtomicUsize = AtomicUsize::new(0);
        let schema = format!("test_{}_{}", std::process::id(), TESTS.fetch_add(1, Ordering::Relaxed));
        let mut client = ::postgres::Client::connect(&url, ::postgres::NoTls).unwrap();
        client.batch_execute(&format!("CREATE SCHEMA {schema}")).unwrap();
        Box::new(Postgres::open(&format!("{url} options='-c search_path={schema}'")).unwrap())
    });
    for (database, path) in [(Some(sqlite), Some(path)), (postgres, None)] {
        let Some(database) = database else { continue };
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let device = Device::generate(UnixSeconds(NOW.cast_unsigned()), &mut rng);
        let (name, key) = (AccountName::new("+14152222222").unwrap(), AccessKey::generate(&mut rng));
        let mut bob = Bob { database, path, name, device, key, rng };
        let publication = bob.publication(3);
        bob.open(&publication).unwrap();
        test(&mut bob);
    }
}

impl Bob {
    fn run<T>(&self, mut work: impl FnMut(&mut dyn Sql, &AccountName) -> Answer<T>) -> Answer<T> {
        run(&*self.database, |sql| work(sql, &self.name))
    }

    fn publication(&mut self, one_time_prekeys: usize) -> Publication {
        self.device.publish(one_time_prekeys, UnixSeconds(NOW.cast_unsigned()), &mut self.rng).unwrap()
    }

    fn open(&self, publication: &Publication) -> Answer<()> {
        let (hash, code) = (self.key.hash(), recovery_hash(&CODE));
        self.run(|sql, name| state::open(sql, name, &hash, &code, publication, NOW))
    }

    /// A first message to Bob, and the second one of its session.
    fn messages(&mut self) -> [Envelope; 2] {
        let now = UnixSeconds(NOW.cast_unsigned());
        let alice = Device::generate(now, &mut self.rng);
        let bundle = self.fetch(NOW);
        let (mut session, first): (Session, _) =
            alice.initiate(bundle, b"hi", InitiateOptions::unverified(now), &mut self.rng).unwrap();
        let pending = self.device.open(&first).unwrap();
        let (mut theirs, _): (Session, _) = pending.accept(b"").map_err(|failed| failed.error).unwrap();
        session.decrypt(&theirs.encrypt(b"hi", &mut self.rng).unwrap()).unwrap();
        let second = session.encrypt(b"ordinary", &mut self.rng).unwrap();
        [first, second].map(|message| Envelope::new(message).unwrap())
    }

    fn deliver(&self, envelope: &Envelope, key: Option<&AccessKey>, number: u64) -> Answer<()> {
        self.run(|sql, name| super::mailbox::deliver(sql, name, envelope, key, number, NOW))
    }

    fn fetch(&self, now: i64) -> Bundle {
        let bundle = self.run(|sql, name| state::fetch(sql, name, now)).unwrap();
        Bundle::from_bytes(&RustCrypto, &bundle).unwrap()
    }

    fn page(&self, limit: u16, after: Option<u64>) -> Answer<Vec<u64>> {
        let waiting = self.run(|sql, name| super::mailbox::pending(sql, name, limit, after, NOW))?;
        Ok(waiting.into_iter().map(|(number, _)| number).collect())
    }

    fn pending(&self) -> Vec<u64> {
        self.page(100, None).unwrap()
    }

    /// An id of a file, of this database.
    fn file(&self, number: u8) -> [u8; 16] {
        sha256(&[self.name.as_str().as_bytes(), &[number]].concat())[..16].try_into().unwrap()
    }

    fn upload(&self, file: u8, offset: u64, part: &[u8]) -> Answer<()> {
        self.run(|sql, name| files::append(sql, name, self.file(file), offset, part, NOW))
    }

    fn count(&self, table: &str) -> i64 {
        let column = if table == "accounts" { "name" } else { "account" };
        let statement = format!("SELECT count(*) FROM {table} WHERE {column} = $1");
        self.run(|sql, name| sql.query(&statement, &[name.as_str().into()])?.first().map_or(Ok(0), |row| row.int(0)))
            .unwrap()
    }

    /// Logs in with a challenge, valid for a minute, whose signature was verified.
    fn log_in(&self, challenge: [u8; 32], token: [u8; 32], now: i64) -> Answer<Option<[u8; 16]>> {
        let identity = self.device.identity().to_bytes();
        self.run(|sql, name| state::log_in(sql, name, &identity, (challenge, NOW + 60), token, now))
    }
}

#[test]
fn an_error_of_the_database_names_no_account() {
    on_each_database(|bob| {
        let twice = "INSERT INTO accounts SELECT * FROM accounts WHERE name = $1";
        let failure = bob.run(|sql, name| sql.query(twice, &[name.as_str().into()])).map(drop).unwrap_err();
        let Failure::Database(error) = &failure else { panic!("{failure:?}") };
        let printed = format!("{error} {failure:?}");
        assert!(!printed.contains(bob.name.as_str()), "{printed}");
        // Control: it is the name that the database refuses, which PostgreSQL quotes.
        assert!(["accounts.name", "23505"].iter().any(|reason| printed.contains(reason)), "{printed}");
    });
}

#[test]
fn a_one_time_prekey_is_handed_out_once_by_servers_at_once() {
    on_each_database(|bob| {
        let many = bob.publication(20);
        bob.run(|sql, name| state::publish(sql, name, &many, NOW)).unwrap();
        let bob = &*bob;
        let mut ids: Vec<u32> = std::thread::scope(|scope| {
            let server = || {
                let fetch = || bob.fetch(NOW);
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
        bob.run(|sql, name| state::publish(sql, name, &many, NOW)).unwrap();
        let fetch = |now| bob.fetch(now).one_time_prekey().is_some();
        for _ in 0..ONE_TIME_BURST {
            assert!(fetch(NOW));
        }
        assert!(!fetch(NOW));
        // Control: ten minutes later there is another one.
        assert!(fetch(NOW + 600) && !fetch(NOW + 600));
    });
}

#[test]
fn another_prekey_with_a_held_id_is_refused() {
    on_each_database(|bob| {
        let next = bob.publication(1);
        let set_id = |id: u32| {
            let set = "UPDATE prekeys SET id = $2 WHERE account = $1 AND id = (SELECT min(id) FROM prekeys
                WHERE account = $1)";
            bob.run(|sql, name| sql.query(set, &[name.as_str().into(), i64::from(id).into()])).unwrap();
        };
        let publish = || bob.run(|sql, name| state::publish(sql, name, &next, NOW));
        for id in [next.one_time_prekeys[0].id(), next.signed_prekey.id()] {
            set_id(id);
            assert!(matches!(publish(), Err(Failure::Conflict)));
            bob.run(|sql, _| sql.query("DELETE FROM prekeys WHERE id = $1", &[i64::from(id).into()])).unwrap();
        }
        // Control: under other ids, and the same prekeys twice.
        publish().unwrap();
        publish().unwrap();
        assert_eq!(bob.count("prekeys"), 2);
    });
}

#[test]
fn expired_prekeys_give_way_when_a_thousand_are_held() {
    on_each_database(|bob| {
        let row = "INSERT INTO prekeys VALUES ($1, $2, $3, $4)";
        let fill = |sql: &mut dyn Sql, name: &AccountName| {
            for id in 1..=count(MAX_ONE_TIME_PREKEYS) - 3 {
                sql.query(row, &[name.as_str().into(), (-id).into(), (NOW + id).into(), Value::from(&b"old"[..])])?;
            }
            Ok(())
        };
        bob.run(fill).unwrap();
        let next = bob.publication(2);
        let publish = |now| bob.run(|sql, name| state::publish(sql, name, &next, now));
        assert!(matches!(publish(NOW + 2), Err(Failure::Full)), "one has expired");
        assert_eq!(bob.count("prekeys"), count(MAX_ONE_TIME_PREKEYS), "nothing has changed");
        // Control: two have expired, and give way.
        publish(NOW + 3).unwrap();
        assert_eq!(bob.count("prekeys"), count(MAX_ONE_TIME_PREKEYS));
    });
}

#[test]
fn a_challenge_is_valid_for_its_account_and_for_a_minute() {
    let (key, other) = (ChallengeKey([1; 32]), ChallengeKey([2; 32]));
    let [bob, mallory] = ["bob", "mallory"].map(|name| AccountName::new(name).unwrap());
    let challenge = key.challenge(&bob, NOW).unwrap();
    let refused = |key: &ChallengeKey, account, challenge: &[u8; 32], now| {
        matches!(key.check(account, challenge, now), Err(Failure::Unauthorized))
    };
    assert!(refused(&other, &bob, &challenge, NOW), "of another server");
    assert!(refused(&key, &mallory, &challenge, NOW), "for another account");
    assert!(refused(&key, &bob, &challenge, NOW + 60), "too late");
    for place in 0..challenge.len() {
        let mut damaged = challenge;
        damaged[place] ^= 1;
        assert!(refused(&key, &bob, &damaged, NOW), "{place}");
    }
    assert_ne!(challenge, key.challenge(&bob, NOW).unwrap());
    // Control.
    assert_eq!(key.check(&bob, &challenge, NOW + 59).unwrap(), NOW + 60);
}

#[test]
fn a_challenge_logs_its_owner_in_once() {
    on_each_database(|bob| {
        assert_eq!(bob.log_in([1; 32], [7; 32], NOW).unwrap(), None);
        assert!(matches!(bob.log_in([1; 32], [8; 32], NOW + 59), Err(Failure::Unauthorized)), "used");
        let mallory = Device::generate(UnixSeconds(NOW.cast_unsigned()), &mut bob.rng).identity().to_bytes();
        let replaced = bob.run(|sql, name| state::log_in(sql, name, &mallory, ([2; 32], NOW + 60), [9; 32], NOW));
        assert!(matches!(replaced, Err(Failure::Unauthorized)), "the account's former identity");
        let check = |token, now| bob.run(|sql, name| state::check_login(sql, name, &token, now));
        for (token, now) in [([8; 32], NOW), ([9; 32], NOW), ([7; 32], NOW + 3_600)] {
            assert!(matches!(check(token, now), Err(Failure::Unauthorized)));
        }
        // Control: this token is good for an hour, and the nonce comes with the next login.
        check([7; 32], NOW + 3_599).unwrap();
        bob.run(|sql, name| state::set_nonce(sql, name, [6; 16])).unwrap();
        assert_eq!(bob.log_in([2; 32], [8; 32], NOW).unwrap(), Some([6; 16]));
    });
}

#[test]
fn challenges_that_are_not_used_leave_no_row() {
    on_each_database(|bob| {
        let key = ChallengeKey(run(&*bob.database, state::challenge_key).unwrap());
        let _: Vec<_> = (0..1_000).map(|_| key.challenge(&bob.name, NOW).unwrap()).collect();
        assert_eq!(bob.count("used_challenges"), 0);
        // Control: used ones are rows until they are too old, and all servers have one key.
        bob.log_in([1; 32], [7; 32], NOW).unwrap();
        assert_eq!(bob.count("used_challenges"), 1);
        bob.run(|sql, name| state::forget(sql, name, NOW + 61)).unwrap();
        assert_eq!(bob.count("used_challenges"), 0);
        assert_eq!(run(&*bob.database, state::challenge_key).unwrap(), key.0);
    });
}

#[test]
fn tables_of_another_version_are_refused() {
    on_each_database(|bob| {
        // Control: this version.
        run(&*bob.database, state::challenge_key).unwrap();
        bob.run(|sql, _| sql.query("UPDATE server SET version = version + 1", &[])).unwrap();
        assert!(run(&*bob.database, state::challenge_key).is_err());
    });
}

#[test]
fn a_recovery_code_takes_an_account_once_and_without_its_mail() {
    on_each_database(|bob| {
        let [first, _] = bob.messages();
        bob.deliver(&first, None, 1).unwrap();
        bob.log_in([1; 32], [7; 32], NOW).unwrap();
        let mut device = Device::generate(UnixSeconds(NOW.cast_unsigned()), &mut bob.rng);
        let publication = device.publish(2, UnixSeconds(NOW.cast_unsigned()), &mut bob.rng).unwrap();
        let hash = bob.key.hash();
        let recover = |code: &[u8], next: &[u8]| {
            let codes = [&recovery_hash(code), &recovery_hash(next)];
            bob.run(|sql, name| state::recover(sql, name, codes, &hash, &publication, NOW))
        };
        assert!(matches!(recover(b"a guess", &NEXT_CODE), Err(Failure::Unauthorized)));
        assert_eq!(bob.pending(), [1]);
        let same = bob.run(|sql, name| state::publish(sql, name, &publication, NOW));
        assert!(matches!(same, Err(Failure::Conflict)), "another identity");
        recover(&CODE, &NEXT_CODE).unwrap();
        assert!(bob.pending().is_empty());
        let login = bob.run(|sql, name| state::check_login(sql, name, &[7; 32], NOW));
        assert!(matches!(login, Err(Failure::Unauthorized)), "the thief's login");
        assert!(bob.fetch(NOW).identity() == device.identity());
        assert_eq!(bob.count("prekeys"), 1);
        assert!(matches!(recover(&CODE, &NEXT_CODE), Err(Failure::Unauthorized)), "used");
        // Control: the next code.
        recover(&NEXT_CODE, &CODE).unwrap();
    });
}

#[test]
fn a_deleted_account_leaves_no_row() {
    const TABLES: [&str; 6] = ["accounts", "prekeys", "messages", "used_challenges", "logins", "files"];
    on_each_database(|bob| {
        let [first, _] = bob.messages();
        bob.deliver(&first, None, 1).unwrap();
        bob.log_in([1; 32], [2; 32], NOW).unwrap();
        bob.upload(1, 0, b"part").unwrap();
        // Control: before, each table has a row.
        assert!(TABLES.iter().all(|table| bob.count(table) > 0));
        bob.run(|sql, name| state::delete(sql, name)).unwrap();
        assert!(TABLES.iter().all(|table| bob.count(table) == 0));
        let parts = bob.run(|sql, _| sql.query("SELECT place FROM parts WHERE file = $1", &[bob.file(1).into()]));
        assert!(parts.unwrap().is_empty());
    });
}

#[test]
fn what_was_deleted_is_not_in_the_files_of_sqlite() {
    on_each_database(|bob| {
        let Some(path) = bob.path.clone() else { return };
        let secret = b"a sealed file that its owner has deleted";
        bob.upload(1, 0, secret).unwrap();
        let is_found = || {
            ["relay.db", "relay.db-wal"].iter().any(|file| {
                let bytes = std::fs::read(path.with_file_name(file)).unwrap();
                bytes.windows(secret.len()).any(|window| window == secret)
            })
        };
        bob.run(|sql, name| state::delete(sql, name)).unwrap();
        // Control: without the checkpoint, the log has it.
        assert!(is_found());
        bob.database.erase().unwrap();
        assert!(!is_found());
    });
}

#[test]
fn a_file_grows_only_at_its_end_and_only_by_its_owner() {
    on_each_database(|bob| {
        let whole = vec![7; PART_LEN];
        bob.upload(1, 0, &whole).unwrap();
        for offset in [0, 1, 2 << 20] {
            assert!(matches!(bob.upload(1, offset, b"last"), Err(Failure::Length(len)) if len == 1 << 20));
        }
        let (other, publication) = (AccountName::new(&format!("not {}", bob.name)).unwrap(), bob.publication(1));
        let hash = bob.key.hash();
        bob.run(|sql, _| state::open(sql, &other, &hash, &[0; 32], &publication, NOW)).unwrap();
        let foreign = bob.run(|sql, _| files::append(sql, &other, bob.file(1), 1 << 20, b"last", NOW));
        assert!(matches!(foreign, Err(Failure::Conflict)));
        bob.run(|sql, _| files::delete(sql, &other, bob.file(1))).unwrap();
        bob.run(|sql, _| state::delete(sql, &other)).unwrap();
        // Control: its owner, at its end. A part that is shorter is the last one.
        bob.upload(1, 1 << 20, b"last").unwrap();
        assert!(matches!(bob.upload(1, (1 << 20) + 4, b"more"), Err(Failure::Length(_))));
        let read = |offset| bob.run(|sql, _| files::read(sql, bob.file(1), offset)).unwrap();
        assert_eq!((read(0).len(), read(1).len()), (PART_LEN, PART_LEN - 1));
        assert_eq!(
            (read(1 << 20), read((1 << 20) + 3), read((1 << 20) + 4)),
            (b"last".into(), b"t".into(), Vec::new())
        );
        bob.run(|sql, name| files::delete(sql, name, bob.file(1))).unwrap();
        assert_eq!(bob.count("files"), 0);
        assert!(matches!(bob.run(|sql, _| files::read(sql, bob.file(1), 0)), Err(Failure::NotFound)));
    });
}

#[test]
fn files_of_an_account_are_bounded_in_number_and_length() {
    on_each_database(|bob| {
        assert!(matches!(bob.upload(0, 0, b""), Err(Failure::Malformed)), "empty");
        assert!(matches!(bob.upload(0, 0, &vec![0; PART_LEN + 1]), Err(Failure::TooLong)));
        let most = u8::try_from(MAX_FILES).unwrap();
        (0..most).for_each(|file| bob.upload(file, 0, b"x").unwrap());
        assert!(matches!(bob.upload(most, 0, b"x"), Err(Failure::Full)));
        // Control: another one has room when one is deleted.
        bob.run(|sql, name| files::delete(sql, name, bob.file(0))).unwrap();
        bob.upload(most, 0, b"x").unwrap();
        // As if the others were long: then one more byte is too much.
        let longer = "UPDATE files SET len = $2 WHERE id = $1";
        let all = i64::try_from(noescrow_messenger::MAX_FILES_LEN).unwrap() - i64::from(most);
        let set = |len: i64| bob.run(|sql, _| sql.query(longer, &[bob.file(1).into(), len.into()])).unwrap();
        bob.run(|sql, name| files::delete(sql, name, bob.file(2))).unwrap();
        set(all + 2);
        assert!(matches!(bob.upload(2, 0, b"x"), Err(Failure::Full)));
        set(all + 1);
        bob.upload(2, 0, b"x").unwrap();
    });
}

#[test]
fn what_is_old_is_forgotten() {
    on_each_database(|bob| {
        let [first, _] = bob.messages();
        bob.deliver(&first, None, 1).unwrap();
        bob.upload(1, 0, b"part").unwrap();
        let days = count(usize::try_from(RETENTION.as_secs()).unwrap()) / DAY;
        let forget = |day| {
            assert!(run(&*bob.database, |sql| state::names(sql, "")).unwrap().contains(&bob.name));
            bob.run(|sql, name| state::forget(sql, name, NOW + day * DAY)).unwrap();
            (bob.count("messages"), bob.count("files"))
        };
        // Control: on the last day, everything is there. A file is held longer than a message that names it.
        assert_eq!(forget(days), (1, 1));
        assert_eq!(forget(days + 1), (0, 1));
        assert_eq!(forget(days + 2), (0, 0));
    });
}
