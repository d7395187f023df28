// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a database does: [`Store`], [`AsyncStore`], and the [`Batch`] that is committed in one transaction.

use super::mailboxes::OpenedFlags;
use crate::identity::Identity;
use crate::messenger::Control;
use crate::snapshot::{self, Revision, RowName, Subject};
use alloc::vec::Vec;
use core::fmt;
use core::future::Future;
use zeroize::Zeroize;

/// Length in bytes of a message's id: the first bytes of its SHA-256.
pub const MESSAGE_ID_LEN: usize = 16;

/// A sealed row, stored under its subject and its name.
#[derive(Clone, PartialEq, Eq)]
pub struct Row {
    /// The row's name within its subject.
    pub name: RowName,
    /// The sealed bytes.
    pub sealed: Vec<u8>,
}

/// The rows of one subject that a step wrote and deleted. A device that begins a session has a change without rows:
/// nothing is written, but the store must have the device's present state.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// Whose rows these are.
    pub subject: Subject,
    /// The revision that the store must have of the subject, or `None` if it must have none.
    pub previous: Option<Revision>,
    /// The revision that the store has afterwards. It is also in the first bytes of the core row.
    pub revision: Revision,
    /// The rows to write. The last is the core row. There are none if the state is only required to be as it is.
    pub rows: Vec<Row>,
    /// The rows to delete. If one stays, the state is [`Refused`](crate::error::RestoreError::Refused) after the next
    /// restart.
    pub deleted: Vec<RowName>,
}

/// A message that was opened, for the application's table of received messages. The plaintext is wiped on drop.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Received {
    /// The first 16 bytes of the message's SHA-256. A log of them tells a duplicate from a message that comes too late.
    pub message_id: [u8; MESSAGE_ID_LEN],
    /// The session that opened it.
    pub session: Subject,
    /// The messenger's peer that wrote it, or `None` without a messenger.
    pub peer: Option<Subject>,
    /// The author, or `None` in a session of a foreign handshake.
    pub author: Option<Identity>,
    /// [`Opened::number`](crate::Opened::number).
    pub number: u32,
    /// [`Opened::is_control`](crate::Opened::is_control). With a messenger, whether there is a
    /// [`control`](Self::control).
    pub is_control: bool,
    /// What it is, if it is a message of the messenger: without a plaintext, and not shown as a message.
    pub control: Option<Control>,
    /// What the messenger says of it.
    pub flags: OpenedFlags,
    /// The plaintext.
    pub plaintext: Vec<u8>,
}

/// A message that was sealed, for the application's table of messages to send. Send exactly these bytes, and send them
/// again until the server acknowledges them.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sent {
    /// The first 16 bytes of the message's SHA-256.
    pub message_id: [u8; MESSAGE_ID_LEN],
    /// The session that sealed it.
    pub session: Subject,
    /// The messenger's peer for whom it is, or `None` without a messenger.
    pub peer: Option<Subject>,
    /// Whether it is a control message: of the messenger, or of
    /// [`Session::encrypt_control`](crate::Session::encrypt_control).
    pub is_control: bool,
    /// The message.
    pub message: Vec<u8>,
}

/// Everything that one step changes, to be committed in one transaction: rows, and the message that the step opened or
/// sealed. Because the message is part of the transaction, a crash between the commit and its use loses nothing.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Batch {
    /// The changed rows of each subject.
    pub changes: Vec<Change>,
    /// The message that the step opened.
    pub received: Option<Received>,
    /// The message that the step sealed.
    pub sent: Option<Sent>,
    /// Peers of a messenger that are one from now on, as (former, present): what the application keeps of the former
    /// one now belongs to the present one. The former one is among the ended subjects.
    pub merged: Vec<(Subject, Subject)>,
    /// Subjects that have ended: delete all rows of each, before the others are written. With a peer of a messenger,
    /// delete what the application keeps of it, too: its entries among received messages and messages to send. With a
    /// messenger, delete everything of its identity.
    pub ended: Vec<Subject>,
}

/// What a store does with a batch; see [`Batch::commit_action`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitAction {
    /// Write it.
    Write,
    /// An earlier commit, whose result did not arrive, has written exactly this batch. Report success.
    AlreadyCommitted,
    /// Another process has saved another state. Report [`CommitError::Stale`].
    Stale,
}

/// The reason why a batch was not committed, or may not have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitError<E> {
    /// Nothing was written. The step can be saved again.
    NotCommitted(E),
    /// The result of the transaction is not known: a timeout, a lost connection. Save the step again: if it was
    /// written, [`Batch::commit_action`] recognizes it.
    Unknown(E),
    /// The store has another state of a subject than the one from which this step began: of one of the subjects in
    /// [`Batch::changes`]. Load it again. If the step was to initiate or to accept, that is the device, because the
    /// session is new; in a session's own step it is the session; with a messenger, load the messenger. The
    /// step is lost, unless an earlier commit of it, with the result [`Unknown`](Self::Unknown), has written it and
    /// another process has gone on from there: then its message is in the inbox or the outbox.
    Stale,
}

/// The caller's database.
pub trait Store {
    /// The error type of the database.
    type Error;

    /// Returns all rows of `subject`, in any order. Returns none if the subject is not known. Read them at once, as one
    /// query or in one transaction: rows of two saves are refused as damaged ones are.
    ///
    /// # Errors
    /// The store's own error.
    fn load(&mut self, subject: &Subject) -> Result<Vec<Row>, Self::Error>;

    /// Calls `read`, which only reads, in one transaction: it sees the store as of one moment, whatever other processes
    /// commit meanwhile. Without it, a state that is loaded from several subjects can be refused as damaged. `read` is
    /// called once, and not if the transaction does not begin.
    ///
    /// The default calls `read` without a transaction, for a store that has one process.
    ///
    /// # Errors
    /// The store's own error, of beginning or ending the transaction. Errors of `read` are its own result.
    fn reading<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> Result<T, Self::Error> {
        Ok(read(self))
    }

    /// Returns the revision that the store has of `subject`, or `None` if it has no core row of it. A process compares
    /// it with that of its own state to learn whether another one has gone on.
    ///
    /// The default loads all rows. A database reads one.
    ///
    /// # Errors
    /// The store's own error.
    fn revision(&mut self, subject: &Subject) -> Result<Option<Revision>, Self::Error> {
        Ok(Row::revision_of_core(&self.load(subject)?))
    }

    /// Commits a batch in one transaction. In the transaction, follow [`Batch::commit_action`]; to
    /// [`CommitAction::Write`] delete the rows of the subjects that have
    /// [ended](Batch::ended) and the rows that each change deletes, write its rows, and enter the message that was
    /// received or sent. After this returns `Ok` all of it survives a crash.
    ///
    /// # Errors
    /// [`CommitError`]. Nothing is released then.
    fn commit(&mut self, batch: Batch) -> Result<(), CommitError<Self::Error>>;
}

/// The caller's database, if its operations are futures. The contract is that of [`Store`].
///
/// The futures must be `Send`. If yours are not, as in a browser, do without this trait: commit
/// [`Unsaved::batch`](super::Unsaved::batch), pass the result to [`Unsaved::settle`](super::Unsaved::settle), and load
/// with [`Durable::restore`](super::Durable::restore).
pub trait AsyncStore {
    /// The error type of the database.
    type Error;

    /// Returns all rows of `subject`, as in [`Store::load`].
    fn load(&mut self, subject: &Subject) -> impl Future<Output = Result<Vec<Row>, Self::Error>> + Send;

    /// Returns the revision that the store has of `subject`, as [`Store::revision`] does.
    fn revision(&mut self, subject: &Subject) -> impl Future<Output = Result<Option<Revision>, Self::Error>> + Send {
        let rows = self.load(subject);
        async { Ok(Row::revision_of_core(&rows.await?)) }
    }

    /// Commits a batch in one transaction, as in [`Store::commit`]. The future may be dropped before it is complete.
    fn commit(&mut self, batch: Batch) -> impl Future<Output = Result<(), CommitError<Self::Error>>> + Send;
}

impl Row {
    /// Length in bytes of the head of a row: its [revision](Self::revision), and a salt that depends on the state.
    pub const HEAD_LEN: usize = snapshot::HEAD_LEN;

    /// Returns the revision in the head of a row, or `None` if the row is too short to have one. It is not authentic
    /// before the row is opened.
    #[must_use]
    pub fn revision(&self) -> Option<Revision> {
        snapshot::revision(&self.sealed)
    }

    pub(crate) fn revision_of_core(rows: &[Self]) -> Option<Revision> {
        rows.iter().find(|row| row.name == RowName::CORE).and_then(Self::revision)
    }
}

impl Change {
    /// Requires that the store has this revision of the subject, and writes nothing.
    pub(super) const fn requiring(subject: Subject, revision: Revision) -> Self {
        Self { subject, previous: Some(revision), revision, rows: Vec::new(), deleted: Vec::new() }
    }

    fn core_row(&self) -> Option<&[u8]> {
        self.rows.iter().find(|row| row.name == RowName::CORE).map(|row| &row.sealed[..])
    }

    /// Returns the action for this change. `stored` is the core row that the store has of the subject, if it has one.
    fn commit_action(&self, stored: Option<&[u8]>) -> CommitAction {
        if stored.and_then(snapshot::revision) == self.previous && stored.is_some() == self.previous.is_some() {
            return CommitAction::Write;
        }
        // Generation and writer are part of the bytes.
        if stored.is_some() && stored == self.core_row() { CommitAction::AlreadyCommitted } else { CommitAction::Stale }
    }
}

impl Batch {
    /// Returns whether there is nothing to commit.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.changes.is_empty()
            && self.received.is_none()
            && self.sent.is_none()
            && self.merged.is_empty()
            && self.ended.is_empty()
    }

    /// Returns what the store does with this batch. `core_row` returns the core row that the store has of a subject,
    /// under [`RowName::CORE`]; read it in the transaction that will write.
    ///
    /// A batch that was committed before is recognized by generation, writer and bytes. Two processes that restored one
    /// state reach one generation; the writer tells them apart. It depends on the message of the step, too, so that the
    /// images of one process, after a fork, do not take another image's step for their own.
    pub fn commit_action<B: AsRef<[u8]>>(&self, mut core_row: impl FnMut(&Subject) -> Option<B>) -> CommitAction {
        let mut actions = self.changes.iter().filter_map(|change| {
            let stored = core_row(&change.subject);
            // A deletion writes nothing by which it could be recognized. What it requires is gone.
            if stored.is_none() && change.rows.is_empty() && self.ended.contains(&change.subject) {
                return Some(CommitAction::AlreadyCommitted);
            }
            let action = change.commit_action(stored.as_ref().map(AsRef::as_ref));
            // What is only required is the same before and after the commit, so it does not tell which it is.
            if change.rows.is_empty() && action == CommitAction::Write { None } else { Some(action) }
        });
        let Some(first) = actions.next() else { return CommitAction::Write };
        // A transaction has written all of a batch or none of it.
        if actions.all(|action| action == first) { first } else { CommitAction::Stale }
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        self.plaintext.zeroize();
    }
}

/// Without the store's error, which is the [source](core::error::Error::source).
impl<E> fmt::Display for CommitError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotCommitted(_) => f.write_str("not saved: the store failed"),
            Self::Unknown(_) => f.write_str("saved or not: the store failed"),
            Self::Stale => f.write_str("not saved: the store has another state"),
        }
    }
}

impl<E: core::error::Error + 'static> core::error::Error for CommitError<E> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::NotCommitted(error) | Self::Unknown(error) => Some(error),
            Self::Stale => None,
        }
    }
}

/// Shows the name's part and the length only.
impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, sealed } = self;
        f.debug_struct("Row").field("name", name).field("sealed_len", &sealed.len()).finish()
    }
}

/// Shows no id and no row's content.
impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, previous: _, revision, rows, deleted } = self;
        f.debug_struct("Change")
            .field("subject", subject)
            .field("generation", &revision.generation)
            .field("rows", rows)
            .field("deleted", deleted)
            .finish_non_exhaustive()
    }
}

/// Shows the length only.
impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { message_id: _, session: _, peer: _, author: _, number: _, is_control: _, .. } = self;
        let Self { control: _, flags: _, plaintext, .. } = self;
        f.debug_struct("Received").field("plaintext_len", &plaintext.len()).finish_non_exhaustive()
    }
}

/// Shows the length only.
impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { message_id: _, session: _, peer: _, is_control: _, message } = self;
        f.debug_struct("Sent").field("message_len", &message.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { changes, received, sent, merged, ended } = self;
        f.debug_struct("Batch")
            .field("changes", changes)
            .field("received", received)
            .field("sent", sent)
            .field("merged", &merged.len())
            .field("ended", ended)
            .finish()
    }
}
