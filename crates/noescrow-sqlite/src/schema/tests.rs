// SPDX-License-Identifier: MIT OR Apache-2.0
//! Migrations, with scripts that no release has.

use super::*;

const VERSION_1: &str = include_str!("../../tests/store/version_1.sql");
const VERSION_2: &str = include_str!("../../tests/store/version_2.sql");
const VERSION_3: &str = include_str!("../../tests/store/version_3.sql");
const FIRST: &str = MIGRATIONS[0];

fn fixture() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(VERSION_1).unwrap();
    connection
}

fn count(connection: &Connection, table: &str) -> i64 {
    connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

#[test]
fn a_migration_from_version_1_keeps_every_row() {
    let mut connection = fixture();
    let rows = count(&connection, "noescrow_row");
    let scripts = [
        FIRST,
        "ALTER TABLE noescrow_row ADD COLUMN size INTEGER; UPDATE noescrow_row SET size = length(sealed)",
        "CREATE TABLE noescrow_extra (value INTEGER) STRICT; 
         INSERT INTO noescrow_extra SELECT sum(size) FROM noescrow_row",
        "CREATE INDEX noescrow_row_size ON noescrow_row (size)",
    ];
    let newest = u32::try_from(scripts.len()).unwrap();
    assert!(migrate_with(&mut connection, &scripts).unwrap());
    assert_eq!((version(&connection).unwrap(), count(&connection, "noescrow_row")), (newest, rows));
    let sum: i64 = connection.query_row("SELECT value FROM noescrow_extra", [], |row| row.get(0)).unwrap();
    assert!(sum > 0);
    // A second time there is nothing to do, and an older release refuses it.
    assert!(!migrate_with(&mut connection, &scripts).unwrap());
    assert!(matches!(migrate(&mut connection), Err(Error::NewerSchema(version)) if version == newest));
    // Control: a new database gets all scripts, and has no rows.
    let mut new = Connection::open_in_memory().unwrap();
    assert!(migrate_with(&mut new, &scripts).unwrap());
    assert_eq!((version(&new).unwrap(), count(&new, "noescrow_row")), (newest, 0));
}

#[test]
fn a_migration_that_fails_leaves_the_old_version() {
    let mut connection = fixture();
    let scripts = [FIRST, "DELETE FROM noescrow_row", "INSERT INTO no_such_table VALUES (1)"];
    assert!(matches!(migrate_with(&mut connection, &scripts), Err(Error::Sqlite(_))));
    assert_eq!(version(&connection).unwrap(), 1);
    assert!(count(&connection, "noescrow_row") > 0);
    // Control: without the script that fails, the other one is applied.
    assert!(migrate_with(&mut connection, &scripts[..2]).unwrap());
    assert_eq!((version(&connection).unwrap(), count(&connection, "noescrow_row")), (2, 0));
}

#[test]
fn each_fixture_has_the_tables_that_its_version_makes() {
    let tables = |connection: &Connection| -> Vec<(String, String)> {
        let sql = "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name";
        let mut query = connection.prepare(sql).unwrap();
        query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
    };
    for (number, fixture) in [VERSION_1, VERSION_2, VERSION_3].into_iter().enumerate() {
        let old = Connection::open_in_memory().unwrap();
        old.execute_batch(fixture).unwrap();
        let mut new = Connection::open_in_memory().unwrap();
        migrate_with(&mut new, &MIGRATIONS[..=number]).unwrap();
        assert_eq!(version(&old).unwrap(), version(&new).unwrap());
        assert_eq!(tables(&old), tables(&new));
        // Control: another script makes others.
        new.execute_batch("CREATE TABLE noescrow_other (value INTEGER)").unwrap();
        assert_ne!(tables(&old), tables(&new));
    }
    // A release that changes the tables has a fixture of the version before.
    assert_eq!(MIGRATIONS.len(), 3);
}
