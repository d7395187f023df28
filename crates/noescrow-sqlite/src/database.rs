// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Database`]: what a connection is used for, by the blocking store and by the asynchronous one.

use crate::erasure;
use crate::error::Error;
use crate::messages;
use crate::part::NextPart;
use crate::peer_data;
use crate::schema;
use crate::witness::{HISTORY_LEN, Mark, Witness};
use noescrow::UnixSeconds;
use noescrow::durable::{Batch, Change, CommitAction, CommitError, MessageId, Revision, Row, RowName, Subject};
use noescrow::messenger::PeerId;
use noescrow::primitives::{Primitives, RustCrypto};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, TransactionBehavior};
use std::path::PathBuf;

/// Everything besides the connection.
pub(crate) struct Database {
    pub(crate) witness: Option<Box<dyn Witness>>,
    pub(crate) clock: Box<dyn Fn() -> UnixSeconds + Send>,
    /// Whether the database is not the newest and is open nevertheless. No commit raises its generation or moves the
    /// witness, so that the next process finds it older than its witness, too.
    pub(crate) is_suspect: bool,
    /// The application's part of the next commit.
    pub(crate) next: NextPart,
    /// The database's file, if this crate has chosen its name.
    pub(crate) path: Option<PathBuf>,
}

impl Database {
    /// Returns all rows of a subject. One query reads one state of the database.
    pub(crate) fn load(connection: &Connection, subject: &Subject) -> Result<Vec<Row>, Error> {
        let mut query = connection.prepare_cached("SELECT name, sealed FROM noescrow_row WHERE subject = ?1")?;
        let rows = query.query_map([subject.to_bytes()], |row| {
            Ok(Row { name: RowName::from_bytes(row.get(0)?), sealed: row.get(1)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub(crate) fn subjects(connection: &Connection) -> Result<Vec<Subject>, Error> {
        let mut query = connection.prepare_cached("SELECT DISTINCT subject FROM noescrow_row ORDER BY subject")?;
        let subjects = query.query_map([], |row| row.get::<_, Vec<u8>>(0))?;
        subjects.map(|bytes| subject_of(&bytes?)).collect()
    }

    pub(crate) fn commit(&mut self, connection: &mut Connection, batch: &Batch) -> Result<(), CommitError<Error>> {
        let transaction = self.begin(connection).map_err(CommitError::NotCommitted)?;
        let mark = self.check(&transaction).map_err(CommitError::NotCommitted)?;
        let (action, mark) = self.write(&transaction, batch, mark).map_err(CommitError::NotCommitted)?;
        match action {
            CommitAction::Stale => {
                self.next.stale(&transaction, batch).map_err(CommitError::NotCommitted)?;
                return Err(CommitError::Stale);
            }
            CommitAction::AlreadyCommitted => self.next.already_committed(batch),
            CommitAction::Write => self.commit_with_part(transaction, batch)?,
        }
        self.advance(&mark).map_err(CommitError::Unknown)
    }

    /// Commits what is written and the application's part of it.
    fn commit_with_part(&mut self, transaction: Transaction<'_>, batch: &Batch) -> Result<(), CommitError<Error>> {
        let belongs = self.next.run(&transaction, batch).map_err(CommitError::NotCommitted)?;
        let committed = transaction.commit().map_err(commit_error);
        match committed {
            Ok(()) if belongs => self.next = NextPart::default(),
            Err(CommitError::Unknown(_)) if belongs => self.next.unknown(batch),
            _ => {}
        }
        committed
    }

    /// Moves a message from the outbox to the log of sent ids.
    pub(crate) fn acknowledge(&self, connection: &mut Connection, message_id: &MessageId) -> Result<bool, Error> {
        let transaction = self.begin(connection)?;
        let was_there = messages::acknowledge(&transaction, message_id, (self.clock)())?;
        transaction.commit()?;
        Ok(was_there)
    }

    /// Returns the revision in the core row of a subject, of which only the head is read.
    pub(crate) fn revision(connection: &Connection, subject: &Subject) -> Result<Option<Revision>, Error> {
        let sql = "SELECT substr(sealed, 1, ?3) FROM noescrow_row WHERE subject = ?1 AND name = ?2";
        let mut query = connection.prepare_cached(sql)?;
        let head_len = i64::try_from(Row::HEAD_LEN).unwrap_or(i64::MAX);
        let key = (subject.to_bytes(), RowName::CORE.as_bytes(), head_len);
        let head: Option<Vec<u8>> = query.query_row(key, |row| row.get(0)).optional()?;
        Ok(head.and_then(|sealed| Row { name: RowName::CORE, sealed }.revision()))
    }

    /// Begins a transaction that no other writer can get ahead of.
    pub(crate) fn begin<'c>(&self, connection: &'c mut Connection) -> Result<Transaction<'c>, Error> {
        Ok(connection.transaction_with_behavior(TransactionBehavior::Immediate)?)
    }

    /// Compares the database with its witness. The witness is read first: another process that commits in between moves
    /// the database ahead, never the witness.
    pub(crate) fn check(&mut self, transaction: &Transaction<'_>) -> Result<Mark, Error> {
        let newest = match &mut self.witness {
            Some(witness) if !self.is_suspect => Some(witness.read().map_err(Error::Witness)?),
            _ => None,
        };
        let mark = schema::mark(transaction)?;
        if let Some(newest) = newest {
            mark.check(newest.as_ref())?;
        }
        Ok(mark)
    }

    /// After the commit, so that a process that is stopped between the two leaves the database ahead.
    pub(crate) fn advance(&mut self, mark: &Mark) -> Result<(), Error> {
        match &mut self.witness {
            Some(witness) if !self.is_suspect => witness.advance(mark).map_err(Error::Witness),
            _ => Ok(()),
        }
    }

    /// Makes a database that was rolled back the newest.
    pub(crate) fn accept_restored_backup(&mut self, connection: &mut Connection) -> Result<(), Error> {
        if !self.is_suspect {
            return Ok(());
        }
        self.is_suspect = false;
        self.accept(connection).inspect_err(|_| self.is_suspect = true)
    }

    fn accept(&mut self, connection: &mut Connection) -> Result<(), Error> {
        let transaction = self.begin(connection)?;
        let mut mark = schema::mark(&transaction)?;
        let newest = match &mut self.witness {
            // What cannot be read is replaced.
            Some(witness) => witness.read().ok().flatten(),
            None => None,
        };
        let highest = messages::next_position(&transaction, 0)?;
        mark.generation = mark.generation.max(newest.map_or(0, |newest| newest.generation)).max(highest);
        let mark = self.next(&transaction, mark, &[b"restored"])?;
        transaction.commit()?;
        self.advance(&mark)
    }

    /// Makes `mark` that of the next generation, after commits that `parts` tell from others.
    pub(crate) fn next(&self, transaction: &Transaction<'_>, mark: Mark, parts: &[&[u8]]) -> Result<Mark, Error> {
        if self.is_suspect {
            return Ok(mark);
        }
        let generation = mark.generation.checked_add(1).ok_or(Error::Damaged("the generation"))?;
        let number = generation.to_be_bytes();
        let parts: Vec<&[u8]> = [&b"noescrow-sqlite history"[..], &mark.history, &number]
            .into_iter()
            .chain(parts.iter().copied())
            .collect();
        let digest = RustCrypto.sha256(&parts);
        let history = digest.first_chunk::<HISTORY_LEN>().copied().unwrap_or_default();
        let mark = Mark { generation, history, ..mark };
        schema::set_mark(transaction, &mark)?;
        Ok(mark)
    }

    /// Does what the batch requires, and returns what the database is after the transaction.
    fn write(&self, transaction: &Transaction<'_>, batch: &Batch, mark: Mark) -> Result<(CommitAction, Mark), Error> {
        let mut core =
            transaction.prepare_cached("SELECT sealed FROM noescrow_row WHERE subject = ?1 AND name = ?2")?;
        let mut stored: Vec<(Subject, Vec<u8>)> = Vec::new();
        for Change { subject, .. } in &batch.changes {
            let key = (subject.to_bytes(), RowName::CORE.as_bytes());
            stored.extend(core.query_row(key, |row| row.get(0)).optional()?.map(|sealed| (*subject, sealed)));
        }
        let action =
            batch.commit_action(|subject| stored.iter().find(|(of, _)| of == subject).map(|(_, sealed)| sealed));
        if action != CommitAction::Write {
            return Ok((action, mark));
        }
        for (former, present) in &batch.merged {
            messages::merge_peers(transaction, former, present)?;
            peer_data::merge(transaction, former, present)?;
        }
        delete_ended(transaction, &batch.ended)?;
        for change in &batch.changes {
            write_rows(transaction, change)?;
        }
        let position = messages::next_position(transaction, mark.generation)?;
        if let Some(received) = &batch.received {
            messages::received(transaction, received, position, (self.clock)())?;
        }
        if let Some(sent) = &batch.sent {
            messages::sent(transaction, sent, position)?;
        }
        // The head has the revision, and a salt that is a function of the state.
        let cores = batch.changes.iter().filter_map(|change| change.rows.last());
        let heads: Vec<&[u8]> = cores.map(|row| row.sealed.get(..Row::HEAD_LEN).unwrap_or(&row.sealed)).collect();
        Ok((action, self.next(transaction, mark, &heads)?))
    }
}

/// Deletes the rows of subjects that have ended, and of a peer everything else that is kept of it.
fn delete_ended(transaction: &Transaction<'_>, ended: &[Subject]) -> Result<(), Error> {
    if let Some(messenger) = ended.iter().find(|subject| subject.is_messenger()) {
        erasure::delete_identity(transaction, messenger)?;
    }
    let mut delete = transaction.prepare_cached("DELETE FROM noescrow_row WHERE subject = ?1")?;
    for subject in ended {
        delete.execute([subject.to_bytes()])?;
        // A session ends without its peer, too: then its messages stay.
        if PeerId::from_subject(subject).is_some() {
            messages::forget_peer(transaction, subject)?;
            peer_data::forget(transaction, subject)?;
        }
    }
    Ok(())
}

fn write_rows(transaction: &Transaction<'_>, change: &Change) -> Result<(), Error> {
    let subject = change.subject.to_bytes();
    let mut delete = transaction.prepare_cached("DELETE FROM noescrow_row WHERE subject = ?1 AND name = ?2")?;
    for name in &change.deleted {
        delete.execute((subject, name.as_bytes()))?;
    }
    let mut write = transaction.prepare_cached(
        "INSERT INTO noescrow_row (subject, name, sealed) VALUES (?1, ?2, ?3)
         ON CONFLICT (subject, name) DO UPDATE SET sealed = excluded.sealed",
    )?;
    for row in &change.rows {
        write.execute((subject, row.name.as_bytes(), &row.sealed[..]))?;
    }
    Ok(())
}

pub(crate) fn subject_of(bytes: &[u8]) -> Result<Subject, Error> {
    Subject::from_bytes(bytes).map_err(|_| Error::Damaged("a subject"))
}

/// The error of the statement COMMIT. With these codes SQLite has written no commit record; any other, such as a failed
/// sync, leaves open whether a recovery would find one.
fn commit_error(error: rusqlite::Error) -> CommitError<Error> {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull | ErrorCode::ReadOnly | ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            CommitError::NotCommitted(error.into())
        }
        _ => CommitError::Unknown(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::ffi;

    #[test]
    fn only_a_commit_that_wrote_nothing_is_not_committed() {
        let of = |code| commit_error(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
        for code in [ffi::SQLITE_FULL, ffi::SQLITE_READONLY, ffi::SQLITE_BUSY, ffi::SQLITE_BUSY_SNAPSHOT] {
            assert!(matches!(of(code), CommitError::NotCommitted(_)), "{code}");
        }
        // Control: after these, a recovery may find the commit.
        for code in [ffi::SQLITE_IOERR, ffi::SQLITE_IOERR_FSYNC, ffi::SQLITE_CORRUPT, ffi::SQLITE_NOMEM] {
            assert!(matches!(of(code), CommitError::Unknown(_)), "{code}");
        }
    }
}
