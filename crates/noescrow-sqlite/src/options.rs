// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Options`]: how a database is opened.

use crate::blocking::SqliteStore;
use crate::database::Database;
use crate::error::Error;
use crate::part::NextPart;
use crate::schema;
use crate::witness::{SideFile, Witness, open_private};
use noescrow::UnixSeconds;
use rusqlite::{Connection, ErrorCode};
use std::fmt;
use std::path::{Path, PathBuf, absolute};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// When SQLite waits until the disk has what was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Synchronous {
    /// At each commit: a step that was saved survives a power cut.
    #[default]
    Full,
    /// At each checkpoint of the write-ahead log: a step that was saved survives the end of the process. A power cut
    /// may take the last commits, which breaks the crash contract of [`noescrow::durable`]; the witness notices it if
    /// its own file was written.
    Normal,
}

/// How a database is opened.
#[must_use]
pub struct Options {
    synchronous: Synchronous,
    busy_timeout: Duration,
    witness: WitnessChoice,
    clock: Box<dyn Fn() -> UnixSeconds + Send>,
    path: Option<PathBuf>,
    restored: Restored,
}

/// What to do with a database that is not the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Restored {
    Refused,
    Suspect,
    Accepted,
}

enum WitnessChoice {
    Beside,
    Given(Box<dyn Witness>),
    None,
}

/// How long a commit waits for another process that writes. A commit takes milliseconds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Number of statements that are kept compiled: all of this crate's.
const STATEMENTS: usize = 64;
/// How long to wait before a change of the journal's mode is tried again, for which SQLite itself does not wait.
const RETRY: Duration = Duration::from_millis(5);

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

impl Options {
    /// `synchronous=FULL`, a side file as the witness, the system's clock, and five seconds of waiting for others.
    pub fn new() -> Self {
        Self {
            synchronous: Synchronous::Full,
            busy_timeout: BUSY_TIMEOUT,
            witness: WitnessChoice::Beside,
            clock: Box::new(system_time),
            path: None,
            restored: Restored::Refused,
        }
    }

    /// Sets when SQLite waits for the disk.
    pub const fn synchronous(mut self, synchronous: Synchronous) -> Self {
        self.synchronous = synchronous;
        self
    }

    /// Sets how long to wait for other processes that write.
    pub const fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = timeout;
        self
    }

    /// Sets the witness: a [`SideFile`] elsewhere, or the application's own.
    pub fn witness(mut self, witness: impl Witness + 'static) -> Self {
        self.witness = WitnessChoice::Given(Box::new(witness));
        self
    }

    /// Sets the witness, unless the application has chosen.
    pub(crate) fn default_witness(self, witness: SideFile) -> Self {
        match self.witness {
            WitnessChoice::Beside => self.witness(witness),
            WitnessChoice::Given(_) | WitnessChoice::None => self,
        }
    }

    /// Opens without a witness, so that a restored backup is not noticed.
    pub fn without_witness(mut self) -> Self {
        self.witness = WitnessChoice::None;
        self
    }

    /// Sets the clock by which ids of messages expire. The default is the system's.
    pub fn clock(mut self, clock: impl Fn() -> UnixSeconds + Send + 'static) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// Opens a database although its witness says that it was rolled back, belongs to another database, or is missing
    /// or unreadable, and leaves the witness as it is: another process that opens the database is refused, and so is
    /// this one after a crash. Use it after one of these errors, and never by default.
    ///
    /// Then, in this order:
    ///
    /// 1. Replace sessions and prekeys, and keep the identity: load the messenger with 0 as the newest generation, and
    ///    save [`Messenger::restore_backup`](noescrow::messenger::Messenger::restore_backup), which does all of it.
    /// 2. Make the database the newest: [`SqliteStore::accept_restored_backup`].
    ///
    /// In the other order, a crash between the two leaves a database that opens, whose messenger does not know that it
    /// was put back.
    ///
    /// # Security
    /// The states in the database were used before. A session that continues from such a state can seal two messages
    /// from one state, of which the peer opens one, and has keys that were deleted. Send and open nothing before the
    /// two steps are done.
    pub const fn restored_backup(mut self) -> Self {
        self.restored = Restored::Suspect;
        self
    }

    /// Does what [`restored_backup`](Self::restored_backup) and [`SqliteStore::accept_restored_backup`] do, at once:
    /// for a database whose sessions were replaced already, as in an earlier process that ended before the second of
    /// them, or for one without sessions.
    ///
    /// # Security
    /// With a messenger, use the two, in their order.
    pub const fn accept_restored_backup(mut self) -> Self {
        self.restored = Restored::Accepted;
        self
    }

    /// Opens the database at `path`, or makes it, in the write-ahead-log mode, and brings its tables to this release's
    /// version. On Unix, a new file can be read by its owner only.
    ///
    /// # Errors
    /// [`Error`]; [`Error::Rollback`], [`Error::Diverged`], [`Error::OtherDatabase`] and [`Error::WitnessMissing`] say
    /// that the database is not the one of the last commit.
    pub fn open(self, path: impl AsRef<Path>) -> Result<SqliteStore, Error> {
        let (options, path) = self.at(path.as_ref())?;
        options.open_connection(Connection::open(path)?)
    }

    /// Chooses the side file, and makes the database's file with its permissions, which SQLite gives its other files.
    pub(crate) fn at(mut self, path: &Path) -> Result<(Self, PathBuf), Error> {
        // To SQLite, some names that are not absolute are no files: `:memory:`, `file:name?mode=ro`.
        let path = absolute(path).map_err(|_| rusqlite::Error::InvalidPath(path.into()))?;
        if let WitnessChoice::Beside = self.witness {
            self.witness = WitnessChoice::Given(Box::new(SideFile::beside(&path)));
        }
        // What fails here fails again when SQLite opens the file, with its error.
        drop(open_private(&path));
        self.path = Some(path.clone());
        Ok((self, path))
    }

    /// Does the same with a connection that the application has opened: to a database in memory, with other tables, or
    /// with SQLCipher and its key. There is a witness only if one was [given](Self::witness).
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_connection(self, mut connection: Connection) -> Result<SqliteStore, Error> {
        let database = self.prepare(&mut connection)?;
        Ok(SqliteStore { connection, database })
    }

    pub(crate) fn prepare(self, connection: &mut Connection) -> Result<Database, Error> {
        self.configure(connection)?;
        schema::migrate(connection)?;
        let witness = match self.witness {
            WitnessChoice::Given(witness) => Some(witness),
            WitnessChoice::Beside | WitnessChoice::None => None,
        };
        let mut database =
            Database { witness, clock: self.clock, is_suspect: false, next: NextPart::default(), path: self.path };
        let transaction = connection.transaction()?;
        let checked = database.check(&transaction);
        transaction.finish()?;
        match checked {
            // Before the first commit, so that a witness is missing only if it was lost.
            Ok(mark) => database.advance(&mark)?,
            Err(error) if self.restored != Restored::Refused && is_about_the_witness(&error) => {
                database.is_suspect = true;
                if self.restored == Restored::Accepted {
                    database.accept_restored_backup(connection)?;
                }
            }
            Err(error) => return Err(error),
        }
        Ok(database)
    }

    fn configure(&self, connection: &Connection) -> Result<(), Error> {
        connection.busy_timeout(self.busy_timeout)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        // The mode `memory` is that of a database without a file.
        let mode = write_ahead_log(connection, self.busy_timeout)?;
        if mode != "wal" && mode != "memory" {
            return Err(Error::NoWriteAheadLog);
        }
        let synchronous = match self.synchronous {
            Synchronous::Full => "FULL",
            Synchronous::Normal => "NORMAL",
        };
        connection.pragma_update(None, "synchronous", synchronous)?;
        // Where a plain sync does not reach the disk, which is on macOS.
        connection.pragma_update(None, "fullfsync", self.synchronous == Synchronous::Full)?;
        // Deleted content is overwritten, and nothing is written to temporary files.
        connection.pragma_update_and_check(None, "secure_delete", true, |_| Ok(()))?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        // A damaged page is an error, and the schema in a file that somebody else wrote calls no function.
        connection.pragma_update(None, "cell_size_check", true)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        Ok(())
    }
}

/// Sets the mode of the journal, and returns it. Two processes that open a new database at once may meet here.
fn write_ahead_log(connection: &Connection, timeout: Duration) -> Result<String, Error> {
    let started = Instant::now();
    loop {
        match connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)) {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && started.elapsed() < timeout => {
                thread::sleep(RETRY);
            }
            mode => return Ok(mode?),
        }
    }
}

fn is_about_the_witness(error: &Error) -> bool {
    matches!(
        error,
        Error::Rollback { .. }
            | Error::Diverged { .. }
            | Error::OtherDatabase
            | Error::WitnessMissing
            | Error::Witness(_)
    )
}

fn system_time() -> UnixSeconds {
    SystemTime::now().duration_since(UNIX_EPOCH).map(UnixSeconds::from).unwrap_or_default()
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { synchronous, busy_timeout, witness: _, clock: _, path: _, restored } = self;
        f.debug_struct("Options")
            .field("synchronous", synchronous)
            .field("busy_timeout", busy_timeout)
            .field("restored", restored)
            .finish_non_exhaustive()
    }
}
