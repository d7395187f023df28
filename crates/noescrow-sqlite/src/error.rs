// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Error`]: why the database was not opened, read or written.

use noescrow::attachment::StreamError;
use noescrow::durable::{CommitError, LoadError, StepError};
use noescrow::messenger::exchange::{ExchangeError, ExchangeFailed};
use noescrow::messenger::{Advice, Advised, Failed, OpenError, PeerError, Remedy, SealError, Suspicion};
use std::any::Any;
use std::convert::Infallible;
use std::error::Error as StdError;
use std::fmt;
use std::io;

/// The reason why the database was not opened, read or written. It contains no content of a row or message.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// SQLite's own error: no space, no permission, locked for longer than the busy timeout, damaged.
    Sqlite(rusqlite::Error),
    /// The witness was not read or written. After a commit it says that the commit is done and the witness is not.
    Witness(io::Error),
    /// The database is older than the witness knows it to be: a backup was restored, or a power cut took commits that
    /// were not synced. States that were used may be in use again; see
    /// [`Options::restored_backup`](crate::Options::restored_backup).
    Rollback {
        /// The generation of the database.
        database: u64,
        /// The generation that it had at its last commit.
        witness: u64,
    },
    /// The database has the generation that the witness knows, but reached it by other commits: a copy of it was used
    /// elsewhere.
    Diverged {
        /// The generation of both.
        generation: u64,
    },
    /// The witness belongs to another database: this one is new, or that of another account.
    OtherDatabase,
    /// The database has commits, and its witness is gone.
    WitnessMissing,
    /// A newer release of this crate has changed the schema to this version.
    NewerSchema(u32),
    /// A value in the database is none that this crate writes.
    Damaged(&'static str),
    /// The log of message ids has the message that this step opened. Its session is older than the log.
    OpenedBefore,
    /// The file system does not support SQLite's write-ahead log.
    NoWriteAheadLog,
    /// The subject to be forgotten is a messenger, one of its peers, or a session of an identity that has a messenger.
    /// Forget a peer with [`Messenger::forget`](noescrow::messenger::Messenger::forget), whose step deletes the peer's
    /// sessions and messages and takes it out of the messenger's own state; and everything of an account with the
    /// subject of its device. Nothing has changed.
    OfMessenger,
    /// A reader of the database kept the write-ahead log from being erased. Call again when it has ended.
    LogInUse,
    /// The file of an advisory lock was not opened or locked.
    Lock(io::Error),
    /// A file of a [`Folder`](crate::Folder) was not read, written or deleted.
    Folder(io::Error),
    /// A [`Folder`](crate::Folder) that is to be made, or its witness, is something else's. Nothing has changed.
    FolderTaken,
    /// An [`Attachment`](crate::Attachment) was not sealed, opened, read or written.
    Attachment(StreamError),
    /// There is no such peer.
    NoPeer,
    /// The thread of an asynchronous store has ended.
    Closed,
}

impl Error {
    /// Returns what to do, or `None` if that is to call again, or to see to what the error is about: the disk, the path.
    #[must_use]
    pub const fn advice(&self) -> Option<Advice> {
        match self {
            Self::Rollback { .. } | Self::Diverged { .. } | Self::OtherDatabase | Self::WitnessMissing => {
                Some(Advice::RestoreBackup)
            }
            Self::NewerSchema(_) => Some(Advice::Update),
            Self::OpenedBefore => Some(Advice::Acknowledge(Remedy::Ignore)),
            Self::LogInUse => Some(Advice::Again),
            Self::OfMessenger | Self::NoPeer => Some(Advice::Correct),
            _ => None,
        }
    }
}

/// Returns what to do about an error that a program has boxed: of a messenger with a store of this crate, or of its exchange
/// with a server whose error is `V`. If `V` is a boxed error, also about those that the application has boxed in it. `None`
/// if it is another error, or one that is remedied by calling again.
#[must_use]
pub fn advice<V: fmt::Debug + fmt::Display + 'static>(error: &(dyn StdError + 'static)) -> Option<Advice> {
    let of_exchange = |error: &ExchangeFailed<V, Error>| match error {
        Failed::Step(ExchangeError::Server(error)) => of_server(error),
        // What waits is not sent before that.
        Failed::Step(ExchangeError::Waiting(error)) if of_server(error) == Some(Advice::RestoreBackup) => {
            Some(Advice::RestoreBackup)
        }
        error => of_failed(error),
    };
    error
        .downcast_ref()
        .and_then(of_exchange)
        .or_else(|| error.downcast_ref().and_then(of_failed::<OpenError>))
        .or_else(|| error.downcast_ref().and_then(of_failed::<SealError>))
        .or_else(|| error.downcast_ref().and_then(of_failed::<PeerError>))
        .or_else(|| error.downcast_ref().and_then(of_failed::<StepError<Suspicion>>))
        .or_else(|| error.downcast_ref().and_then(of_failed::<StepError<Infallible>>))
        .or_else(|| error.downcast_ref().and_then(of_loading))
        .or_else(|| error.downcast_ref().and_then(of_saving))
        .or_else(|| error.downcast_ref().and_then(Error::advice))
        .or_else(|| error.downcast_ref().map(OpenError::advice))
        .or_else(|| error.downcast_ref().map(SealError::advice))
        .or_else(|| error.downcast_ref().map(PeerError::advice))
        .or_else(|| error.downcast_ref().map(Suspicion::advice))
        .or_else(|| error.downcast_ref::<StepError<Suspicion>>().and_then(Advised::advice))
        .or_else(|| error.downcast_ref::<StepError<Infallible>>().and_then(Advised::advice))
}

/// The advice of the step's error or of the store's, whichever is the reason.
fn of_failed<E: Advised>(failed: &Failed<E, Error>) -> Option<Advice> {
    failed.store_error().map_or_else(|| failed.advice(), Error::advice)
}

fn of_loading(error: &LoadError<Error>) -> Option<Advice> {
    match error {
        LoadError::Store(error) => error.advice(),
        error => error.advice(),
    }
}

fn of_saving(error: &CommitError<Error>) -> Option<Advice> {
    match error {
        CommitError::NotCommitted(error) | CommitError::Unknown(error) => error.advice(),
        error @ CommitError::Stale => error.advice(),
    }
}

/// The advice about an error of the server, or of the application's own function: perhaps of this store, in a box.
fn of_server<V: fmt::Debug + fmt::Display + 'static>(error: &V) -> Option<Advice> {
    let error: &dyn Any = error;
    let boxed = || error.downcast_ref::<Box<dyn StdError>>().and_then(|error| advice::<V>(&**error));
    let sent = || error.downcast_ref::<Box<dyn StdError + Send + Sync>>().and_then(|error| advice::<V>(&**error));
    error.downcast_ref().and_then(Error::advice).or_else(boxed).or_else(sent)
}

/// Without the error of SQLite or of the witness, which is the [source](std::error::Error::source).
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(_) => f.write_str("SQLite failed"),
            Self::Witness(_) => f.write_str("the witness was not read or written"),
            Self::Rollback { database, witness } => {
                write!(f, "the database is of generation {database}, and was of generation {witness}")
            }
            Self::Diverged { generation } => write!(f, "another database of generation {generation} is the newest"),
            Self::OtherDatabase => f.write_str("the witness belongs to another database"),
            Self::WitnessMissing => f.write_str("the witness of the database is missing"),
            Self::NewerSchema(version) => write!(f, "the schema is of version {version}, written by a newer release"),
            Self::Damaged(what) => write!(f, "the database is damaged: {what}"),
            Self::OpenedBefore => f.write_str("the message was opened before"),
            Self::NoWriteAheadLog => f.write_str("the file system does not support a write-ahead log"),
            Self::OfMessenger => {
                f.write_str("a messenger's peer is forgotten with `Messenger::forget`, a messenger with its device")
            }
            Self::LogInUse => f.write_str("a reader keeps the write-ahead log"),
            Self::Lock(_) => f.write_str("the file of a lock was not opened or locked"),
            Self::Folder(_) => f.write_str("a file of the device's folder was not read, written or deleted"),
            Self::FolderTaken => f.write_str("the folder or its witness is something else's"),
            Self::Attachment(error) => error.fmt(f),
            Self::NoPeer => f.write_str("there is no such peer"),
            Self::Closed => f.write_str("the thread of the database has ended"),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Sqlite(error) => Some(error),
            Self::Witness(error) | Self::Lock(error) | Self::Folder(error) => Some(error),
            _ => None,
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}
