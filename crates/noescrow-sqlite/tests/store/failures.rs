// SPDX-License-Identifier: MIT OR Apache-2.0
//! A disk that is full or read-only, and rows or files that are damaged.

use super::backend::Backend;
use super::party::{self, Pair, database, key, pair, rng};
use noescrow::Session;
use noescrow::durable::{CommitError, Durable, LoadError, RowName};
use noescrow::error::RestoreError;
use noescrow_sqlite::rusqlite::types::Value;
use noescrow_sqlite::rusqlite::{Connection, ErrorCode, OpenFlags, Row};
use noescrow_sqlite::{Error, Options, SqliteStore, Synchronous};
use std::fs;

both!(
    a_full_database_takes_no_part_of_a_step,
    a_read_only_database_loads_and_commits_nothing,
    a_corrupt_row_is_refused,
    a_damaged_file_is_an_error,
);

/// The value of a setting of SQLite.
fn setting(connection: &Connection, name: &str) -> String {
    let value = |row: &Row<'_>| row.get::<_, Value>(0);
    match connection.query_row(&format!("PRAGMA {name}"), [], value).unwrap() {
        Value::Integer(number) => number.to_string(),
        Value::Text(text) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_connection_syncs_logs_and_overwrites_by_default() {
    let folder = tempfile::tempdir().unwrap();
    let path = database(folder.path());
    let settings = ["journal_mode", "synchronous", "fullfsync", "secure_delete", "temp_store"];
    let of = |options: Options| {
        let connection = options.open(&path).unwrap().into_connection();
        settings.map(|name| setting(&connection, name))
    };
    assert_eq!(of(Options::new()), ["wal", "2", "1", "1", "2"]);
    assert_eq!(of(Options::new().synchronous(Synchronous::Normal)), ["wal", "1", "0", "1", "2"]);
    // Control: a connection that this crate has not set up.
    let plain = Connection::open(&path).unwrap();
    assert_ne!(settings.map(|name| setting(&plain, name)), of(Options::new()));
}

#[test]
fn a_database_is_a_file_whatever_its_name() {
    let here = std::env::current_dir().unwrap();
    let folder = tempfile::tempdir_in(&here).unwrap();
    let relative = folder.path().strip_prefix(&here).unwrap();
    for name in [":memory:", "file:name?mode=memory"] {
        drop(SqliteStore::open(relative.join(name)).unwrap());
        assert!(fs::metadata(folder.path().join(name)).unwrap().len() > 0);
        // Control: to SQLite it is none.
        assert!(matches!(Connection::open(name).unwrap().path(), None | Some("")));
    }
}

#[cfg(unix)]
#[test]
fn other_users_cannot_read_a_new_database() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let shared = |folder: &std::path::Path| {
        let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().metadata().unwrap().mode());
        let modes: Vec<_> = files.collect();
        assert_eq!(modes.len(), 4, "database, log, its index, witness");
        modes.iter().filter(|mode| *mode & 0o077 != 0).count()
    };
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(database(folder.path())).unwrap();
    assert_eq!(shared(folder.path()), 0);
    drop(store);
    // Control: the permissions of a file that exists are the application's.
    fs::set_permissions(database(folder.path()), fs::Permissions::from_mode(0o644)).unwrap();
    let _store = SqliteStore::open(database(folder.path())).unwrap();
    assert_eq!(shared(folder.path()), 3);
}

/// The code of a commit that wrote nothing.
fn not_committed(error: &CommitError<Error>) -> ErrorCode {
    let CommitError::NotCommitted(Error::Sqlite(error)) = error else { panic!("{error:?}") };
    error.sqlite_error_code().unwrap()
}

/// Opens the pair's database through a connection, without a witness.
async fn reopened<S: Backend>(pair: Pair<S>, connection: impl FnOnce(&std::path::Path) -> Connection) -> Pair<S> {
    let closed = pair.closed().await;
    let party::Closed { mut rng, alice_device, alice, bob: _, folder } = closed;
    let connection = connection(&database(folder.path()));
    let mut store = S::of(Options::new().open_connection(connection).unwrap());
    let bob = party::load(&mut store, &mut rng).await;
    Pair { rng, alice_device, alice, bob, store, folder }
}

async fn a_full_database_takes_no_part_of_a_step<S: Backend>() {
    let mut pair = pair::<S>().await;
    // Messages that are opened out of order need more and more rows; a page more each time is permitted.
    let messages: Vec<_> = (0..800).map(|_| pair.seal_as_alice(&[7; 900])).collect();
    let path = pair.path();
    let mut pair = reopened(pair, |path| {
        let connection = Connection::open(path).unwrap();
        let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
        connection.pragma_update_and_check(None, "max_page_count", pages + 1, |_| Ok(())).unwrap();
        connection
    })
    .await;
    let (before, texts) = (pair.store.load(&pair.bob.session.subject()).await.unwrap(), pair.inbox().await);
    let failed = pair.bob.session.decrypt(&messages[799]).unwrap().save_async(&mut pair.store).await.unwrap_err();
    assert_eq!(not_committed(&failed.error), ErrorCode::DiskFull);
    let unchanged = pair.store.load(&noescrow::durable::Durable::subject(&pair.bob.session)).await.unwrap() == before;
    assert!(unchanged && pair.inbox().await == texts && pair.store.opened_at(&messages[799]).await.is_none());
    // Control: with space, the same step is saved.
    let mut other = S::open(&path, Options::new().accept_restored_backup()).await.unwrap();
    pair.bob.session.unsaved().unwrap().save_async(&mut other).await.unwrap();
    assert_eq!(other.inbox().await.unwrap().len(), texts.len() + 1);
}

async fn a_read_only_database_loads_and_commits_nothing<S: Backend>() {
    let pair = pair::<S>().await;
    let mut pair =
        reopened(pair, |path| Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()).await;
    let failed = pair.bob.session.encrypt(b"text", &mut pair.rng).unwrap().save_async(&mut pair.store).await;
    assert_eq!(not_committed(&failed.unwrap_err().error), ErrorCode::ReadOnly);
    assert_eq!(pair.store.outbox().await.unwrap().len(), 1);
    // Control: a store that may write takes the step.
    let mut other = S::open(&pair.path(), Options::new()).await.unwrap();
    pair.bob.session.unsaved().unwrap().save_async(&mut other).await.unwrap();
    assert_eq!(other.outbox().await.unwrap().len(), 2);
}

async fn a_corrupt_row_is_refused<S: Backend>() {
    let mut pair = pair::<S>().await;
    let messages: Vec<_> = (0..3).map(|_| pair.seal_as_alice(b"text")).collect();
    pair.receive(&messages[2]).await;
    let subject = pair.bob.session.subject();
    let rows = pair.store.load(&subject).await.unwrap();
    assert!(rows.len() > 1);
    let other = Connection::open(pair.path()).unwrap();
    let put = |name: &RowName, sealed: &[u8]| {
        let sql = "UPDATE noescrow_row SET sealed = ?3 WHERE subject = ?1 AND name = ?2";
        other.execute(sql, (subject.to_bytes(), name.as_bytes(), sealed)).unwrap();
    };
    for row in &rows {
        let len = row.sealed.len();
        for at in [0, 1, 5, 20, 40, 60, len / 2, len - 1] {
            let mut bad = row.sealed.clone();
            bad[at] ^= 1;
            put(&row.name, &bad);
            let loaded = Durable::<Session>::load_async(&mut pair.store, &key(), &subject, 0, &mut rng(3)).await;
            // Byte 0 is the version.
            let expected = if at == 0 && bad[0] > 1 { RestoreError::NewerVersion } else { RestoreError::Refused };
            let refused = loaded.map(drop).unwrap_err();
            assert!(matches!(refused, LoadError::Refused(error) if error == expected || at == 0), "{refused:?} {at}");
        }
        put(&row.name, &row.sealed[..len - 1]);
        let loaded = Durable::<Session>::load_async(&mut pair.store, &key(), &subject, 0, &mut rng(3)).await;
        assert!(matches!(loaded.map(drop).unwrap_err(), LoadError::Refused(RestoreError::Refused)));
        put(&row.name, &row.sealed);
    }
    // A row that is missing, too.
    let gone = rows.iter().find(|row| row.name != RowName::CORE).unwrap();
    let sql = "DELETE FROM noescrow_row WHERE subject = ?1 AND name = ?2";
    other.execute(sql, (subject.to_bytes(), gone.name.as_bytes())).unwrap();
    let loaded = Durable::<Session>::load_async(&mut pair.store, &key(), &subject, 0, &mut rng(3)).await;
    assert!(matches!(loaded.map(drop).unwrap_err(), LoadError::Refused(RestoreError::Refused)));
    // Control: with every row as it was, the state loads.
    let sql = "INSERT INTO noescrow_row (subject, name, sealed) VALUES (?1, ?2, ?3)";
    other.execute(sql, (subject.to_bytes(), gone.name.as_bytes(), &gone.sealed[..])).unwrap();
    assert!(Durable::<Session>::load_async(&mut pair.store, &key(), &subject, 0, &mut rng(3)).await.is_ok());
}

async fn a_damaged_file_is_an_error<S: Backend>() {
    let closed = pair::<S>().await.closed().await;
    let whole = fs::read(closed.path()).unwrap();
    let subject = closed.bob.session.subject();
    let mut refused = 0;
    for page in 0..whole.len() / 4096 {
        let mut damaged = whole.clone();
        damaged[page * 4096..(page + 1) * 4096].fill(0x5A);
        fs::write(closed.path(), damaged).unwrap();
        let Ok(mut store) = S::open(&closed.path(), Options::new()).await else {
            refused += 1;
            continue;
        };
        let loaded = Durable::<Session>::load_async(&mut store, &key(), &subject, 0, &mut rng(3)).await;
        let inbox = store.inbox().await.is_err();
        refused += usize::from(loaded.is_err() || inbox || store.subjects().await.is_err());
        store.close().await;
    }
    // Not every page has rows of this session.
    assert!(refused >= 4, "{refused} of {}", whole.len() / 4096);
    // Control: the whole file.
    fs::write(closed.path(), whole).unwrap();
    assert_eq!(closed.open::<S>().await.inbox().await, [b"hello"]);
}
