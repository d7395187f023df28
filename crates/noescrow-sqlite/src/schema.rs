// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tables, their version, and the migrations from older versions. The version is in a table of this crate, because
//! SQLite's `user_version` belongs to the application, which may have tables of its own in the same file.
//!
//! ```text
//! noescrow_store       one row: version of the schema, database id, generation, history
//! noescrow_row         the sealed rows, by subject and name
//! noescrow_inbox       messages that were opened, until the application has taken them
//! noescrow_outbox      messages that were sealed, until the server has acknowledged them
//! noescrow_message_id  the ids of the messages that were opened in the last 30 days
//! noescrow_sent_id     the ids of the messages that were acknowledged in the last 30 days
//! noescrow_peer_data   what the application keeps of the peers of messengers
//! ```

use crate::error::Error;
use crate::witness::Mark;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};

/// Script number i changes a schema of version i into one of version i + 1. A script that was released never changes.
const MIGRATIONS: [&str; 3] = [
    "
    CREATE TABLE noescrow_store (
        only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
        schema_version INTEGER NOT NULL,
        database BLOB NOT NULL CHECK (length(database) = 16),
        generation INTEGER NOT NULL CHECK (generation >= 0),
        history BLOB NOT NULL CHECK (length(history) = 16)
    ) STRICT;
    INSERT INTO noescrow_store VALUES (1, 0, randomblob(16), 0, zeroblob(16));
    CREATE TABLE noescrow_row (
        subject BLOB NOT NULL CHECK (length(subject) = 97),
        name BLOB NOT NULL CHECK (length(name) = 9),
        sealed BLOB NOT NULL,
        PRIMARY KEY (subject, name)
    ) STRICT;
    CREATE TABLE noescrow_inbox (
        position INTEGER PRIMARY KEY,
        message_id BLOB NOT NULL UNIQUE CHECK (length(message_id) = 16),
        session BLOB NOT NULL CHECK (length(session) = 97),
        author BLOB CHECK (length(author) = 128),
        number INTEGER NOT NULL,
        is_control INTEGER NOT NULL CHECK (is_control IN (0, 1)),
        plaintext BLOB NOT NULL
    ) STRICT;
    CREATE TABLE noescrow_outbox (
        position INTEGER PRIMARY KEY,
        message_id BLOB NOT NULL UNIQUE CHECK (length(message_id) = 16),
        session BLOB NOT NULL CHECK (length(session) = 97),
        message BLOB NOT NULL
    ) STRICT;
    CREATE TABLE noescrow_message_id (
        message_id BLOB PRIMARY KEY CHECK (length(message_id) = 16),
        session BLOB NOT NULL CHECK (length(session) = 97),
        opened_at INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX noescrow_message_id_time ON noescrow_message_id (opened_at);
",
    // The peer of a messenger.
    "
    ALTER TABLE noescrow_inbox ADD COLUMN peer BLOB CHECK (length(peer) = 97);
    ALTER TABLE noescrow_outbox ADD COLUMN peer BLOB CHECK (length(peer) = 97);
    ALTER TABLE noescrow_message_id ADD COLUMN peer BLOB CHECK (length(peer) = 97);
",
    // What an opened message is, which sealed ones are control messages, the ids of those that were acknowledged, and
    // what the application keeps of peers.
    "
    ALTER TABLE noescrow_inbox ADD COLUMN flags INTEGER NOT NULL DEFAULT 0 CHECK (flags >= 0);
    ALTER TABLE noescrow_inbox ADD COLUMN control BLOB CHECK (length(control) IN (1, 18));
    ALTER TABLE noescrow_outbox ADD COLUMN is_control INTEGER NOT NULL DEFAULT 0 CHECK (is_control IN (0, 1));
    CREATE TABLE noescrow_sent_id (
        message_id BLOB PRIMARY KEY CHECK (length(message_id) = 16),
        session BLOB NOT NULL CHECK (length(session) = 97),
        acknowledged_at INTEGER NOT NULL,
        peer BLOB CHECK (length(peer) = 97)
    ) STRICT;
    CREATE INDEX noescrow_sent_id_time ON noescrow_sent_id (acknowledged_at);
    CREATE TABLE noescrow_peer_data (
        position INTEGER PRIMARY KEY,
        peer BLOB NOT NULL CHECK (length(peer) = 97),
        name TEXT NOT NULL,
        value BLOB NOT NULL,
        UNIQUE (name, peer)
    ) STRICT;
",
];

/// The version of the schema that this release writes.
pub const SCHEMA_VERSION: u32 = MIGRATIONS.len() as u32;

/// Makes the tables, or brings those of an older version to this one, in one transaction. Returns whether anything
/// changed.
///
/// # Errors
/// [`Error::NewerSchema`] if a newer release has changed them; nothing changes.
pub(crate) fn migrate(connection: &mut Connection) -> Result<bool, Error> {
    migrate_with(connection, &MIGRATIONS)
}

fn migrate_with(connection: &mut Connection, migrations: &[&str]) -> Result<bool, Error> {
    // A database that is already right is not written: it may be read-only.
    if pending(version(connection)?, migrations)?.is_empty() {
        return Ok(false);
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have been faster.
    let pending = pending(version(&transaction)?, migrations)?;
    for script in pending {
        transaction.execute_batch(script)?;
    }
    let newest = i64::try_from(migrations.len()).unwrap_or(i64::MAX);
    transaction.execute("UPDATE noescrow_store SET schema_version = ?1", [newest])?;
    transaction.commit()?;
    Ok(!pending.is_empty())
}

/// The version of the tables, 0 if there are none.
fn version(connection: &Connection) -> Result<u32, Error> {
    let exists = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'noescrow_store'";
    if connection.query_row(exists, [], |_| Ok(())).optional()?.is_none() {
        return Ok(0);
    }
    let version = connection.query_row("SELECT schema_version FROM noescrow_store", [], |row| row.get(0)).optional()?;
    version.ok_or(Error::Damaged("the version of the schema"))
}

fn pending<'a>(version: u32, migrations: &'a [&'a str]) -> Result<&'a [&'a str], Error> {
    let done = usize::try_from(version).unwrap_or(usize::MAX);
    migrations.get(done..).ok_or(Error::NewerSchema(version))
}

/// Reads which state of which database it is, if the tables are still of this release's version.
pub(crate) fn mark(transaction: &Transaction<'_>) -> Result<Mark, Error> {
    let mut query = transaction.prepare_cached(
        "SELECT schema_version, database, generation, history FROM noescrow_store WHERE only_row = 1",
    )?;
    let (version, database, generation, history) = query
        .query_row([], |row| Ok((row.get::<_, u32>(0)?, row.get(1)?, row.get::<_, i64>(2)?, row.get(3)?)))
        .optional()?
        .ok_or(Error::Damaged("the store's row"))?;
    if version > SCHEMA_VERSION {
        return Err(Error::NewerSchema(version));
    }
    let generation = u64::try_from(generation).map_err(|_| Error::Damaged("the generation"))?;
    Ok(Mark { database, generation, history })
}

pub(crate) fn generation(connection: &mut Connection) -> Result<u64, Error> {
    let transaction = connection.transaction()?;
    let mark = mark(&transaction)?;
    transaction.finish()?;
    Ok(mark.generation)
}

/// Writes that the database is now in this state.
pub(crate) fn set_mark(transaction: &Transaction<'_>, mark: &Mark) -> Result<(), Error> {
    let generation = i64::try_from(mark.generation).map_err(|_| Error::Damaged("the generation"))?;
    let mut update =
        transaction.prepare_cached("UPDATE noescrow_store SET generation = ?1, history = ?2 WHERE only_row = 1")?;
    update.execute((generation, mark.history))?;
    Ok(())
}

#[cfg(test)]
mod tests;
