// SPDX-License-Identifier: MIT OR Apache-2.0
//! The fixture is a database of schema version 1, as text: a device, a session with skipped keys, and a message in each
//! box. It stays when the schema changes.

use super::backend::Backend;
use super::party::{NOW, database, load, rng, save, texts};
use noescrow_sqlite::rusqlite::Connection;
use noescrow_sqlite::{Error, Options, SCHEMA_VERSION};
use std::path::Path;

both!(a_database_of_version_1_opens_and_is_used, a_database_of_a_later_version_is_refused_unchanged);

const VERSION_1: &str = include_str!("version_1.sql");

fn fixture(folder: &Path) -> std::path::PathBuf {
    let path = database(folder);
    Connection::open(&path).unwrap().execute_batch(VERSION_1).unwrap();
    path
}

async fn a_database_of_version_1_opens_and_is_used<S: Backend>() {
    let folder = tempfile::tempdir().unwrap();
    let path = fixture(folder.path());
    // It comes without its witness.
    let refused = S::open(&path, Options::new()).await.map(drop);
    assert!(matches!(refused, Err(Error::WitnessMissing)), "{refused:?}");
    let mut store = S::open(&path, Options::new().accept_restored_backup()).await.unwrap();
    let version: u32 = Connection::open(&path)
        .unwrap()
        .query_row("SELECT schema_version FROM noescrow_store", [], |row| row.get(0))
        .unwrap();
    assert_eq!(version, SCHEMA_VERSION);
    assert_eq!(texts(&mut store).await, [&b"hello"[..], b"text"]);
    assert_eq!(store.outbox().await.unwrap().len(), 1);
    let mut rng = rng(2);
    let mut bob = load(&mut store, &mut rng).await;
    assert!(bob.device.one_time_prekeys_left() > 0);
    save(bob.session.encrypt(b"text", &mut rng).unwrap(), &mut store).await;
    let _ = save(bob.device.rotate(NOW, &mut rng).unwrap(), &mut store).await;
    assert_eq!(store.outbox().await.unwrap().len(), 2);
    // Control: under another key nothing of it opens.
    let subject = bob.session.subject();
    let other = noescrow::StorageKey::new([1; 32]);
    let loaded = noescrow::durable::Durable::<noescrow::Session>::load_async(&mut store, &other, &subject, 0, &mut rng);
    assert!(loaded.await.is_err());
}

async fn a_database_of_a_later_version_is_refused_unchanged<S: Backend>() {
    let folder = tempfile::tempdir().unwrap();
    let path = fixture(folder.path());
    // First it becomes one of this release's version.
    S::open(&path, Options::new().accept_restored_backup()).await.unwrap().close().await;
    let connection = Connection::open(&path).unwrap();
    let set = |version| connection.execute("UPDATE noescrow_store SET schema_version = ?1", [version]).unwrap();
    set(SCHEMA_VERSION + 1);
    let refused = S::open(&path, Options::new().accept_restored_backup()).await.map(drop);
    assert!(matches!(refused, Err(Error::NewerSchema(version)) if version == SCHEMA_VERSION + 1), "{refused:?}");
    // While it is open, too: another process may be of a newer release.
    set(SCHEMA_VERSION);
    let mut store = S::open(&path, Options::new().accept_restored_backup()).await.unwrap();
    let mut bob = load(&mut store, &mut rng(2)).await;
    set(SCHEMA_VERSION + 1);
    let failed = bob.session.encrypt(b"text", &mut rng(3)).unwrap().save_async(&mut store).await.unwrap_err();
    assert!(matches!(failed.error, noescrow::durable::CommitError::NotCommitted(Error::NewerSchema(_))));
    // Control: of this release's version, it takes the step.
    set(SCHEMA_VERSION);
    save(failed.unsaved, &mut store).await;
}

/// Writes the fixture of the present version: `cargo test -p noescrow-sqlite --test store -- --ignored fixture`. Give
/// it the name of that version, and keep the older ones.
#[test]
#[ignore = "writes a file of the repository"]
fn write_the_fixture() {
    use super::backend::{Blocking, run};
    use std::fmt::Write;
    let folder = tempfile::tempdir().unwrap();
    let store = Options::new().clock(|| NOW).open(database(folder.path())).unwrap();
    let mut pair = run(super::party::pair_on(Blocking(store), folder));
    let last = (0..3).map(|_| pair.seal_as_alice(b"text")).last().unwrap();
    run(pair.receive(&last));
    let _ = run(super::party::bundle(&mut pair.bob.device, &mut pair.store, &mut pair.rng));
    let connection = Connection::open(pair.path()).unwrap();
    let mut sql = String::from("-- A database of schema version 1. Written once; see schema.rs.\n");
    let mut tables = connection.prepare("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL").unwrap();
    let tables = tables.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))).unwrap();
    for (name, definition) in tables.map(Result::unwrap) {
        writeln!(sql, "{definition};").unwrap();
        if definition.starts_with("CREATE INDEX") {
            continue;
        }
        let mut rows = connection.prepare(&format!("SELECT * FROM {name}")).unwrap();
        let columns = rows.column_count();
        let quoted: Vec<_> = rows.column_names().iter().map(|column| format!("quote({column})")).collect();
        rows = connection.prepare(&format!("SELECT {} FROM {name}", quoted.join(", "))).unwrap();
        let rows = rows.query_map([], |row| {
            (0..columns).map(|column| row.get::<_, String>(column)).collect::<Result<Vec<_>, _>>()
        });
        for row in rows.unwrap() {
            writeln!(sql, "INSERT INTO {name} VALUES ({});", row.unwrap().join(", ")).unwrap();
        }
    }
    std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/store/version_1.sql"), sql).unwrap();
}
