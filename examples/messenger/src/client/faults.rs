// SPDX-License-Identifier: MIT OR Apache-2.0
//! For the scenarios: a store that fails on demand, and remedies that are taken out. Without the feature `faults` it is
//! the store itself, and every remedy is there.
//!
//! `NOESCROW_FAULT` has the form `KIND:K`, and concerns the K-th commit of the process, from 1:
//!
//! | kind | the commit |
//! |---|---|
//! | `fail` | is not done, and is reported as not committed |
//! | `lie` | is done, and its outcome is reported as unknown |
//! | `lost` | is not done, and its outcome is reported as unknown |
//! | `abort` | is done, and then the process ends |
//! | `abort-before` | is not done: the process ends |
//!
//! `NOESCROW_WITHOUT` has remedies, separated by commas. The store leaves these out: `save-before-send` (a message is
//! saved when the server has it), `resend` (the outbox of an earlier process is not sent), `settle` (an unknown outcome is
//! taken for success), `stale` (another process' state is taken for one's own), `witness` (a backup is not noticed). The
//! client leaves out the others where it calls [`without`].

#[cfg(not(feature = "faults"))]
pub use noescrow_sqlite::SqliteStore as Store;

#[cfg(feature = "faults")]
pub use double::{Store, without};

use noescrow_sqlite::{Error, Options};
use std::path::Path;

/// Opens the store.
pub fn open_store(options: Options, path: &Path) -> Result<Store, Error> {
    #[cfg(feature = "faults")]
    return Store::open(options, path);
    #[cfg(not(feature = "faults"))]
    options.open(path)
}

/// Whether a remedy is taken out.
#[cfg(not(feature = "faults"))]
pub const fn without(_: &str) -> bool {
    false
}

#[cfg(feature = "faults")]
mod double {
    use noescrow::durable::{Batch, CommitError, MESSAGE_ID_LEN, Row, Store as _, Subject};
    use noescrow_sqlite::{Error, InboxMessage, Options, SqliteStore};
    use std::collections::BTreeSet;
    use std::env::var;
    use std::io;
    use std::path::Path;
    use std::process::abort;

    pub fn without(remedy: &str) -> bool {
        var("NOESCROW_WITHOUT").is_ok_and(|remedies| remedies.split(',').any(|of| of == remedy))
    }

    /// A [`SqliteStore`] that fails on demand.
    pub struct Store {
        inner: SqliteStore,
        /// Kind and number of the commit that fails.
        fault: Option<(String, u64)>,
        commits: u64,
        /// Ids of the messages that this process has sealed.
        sealed: BTreeSet<[u8; MESSAGE_ID_LEN]>,
        /// What is sent before it is saved.
        unsaved: Option<Batch>,
    }

    /// A message that is to be sent.
    pub struct Waiting {
        pub message_id: [u8; MESSAGE_ID_LEN],
        pub peer: Option<Subject>,
        pub message: Vec<u8>,
    }

    impl Store {
        pub fn open(options: Options, path: &Path) -> Result<Self, Error> {
            let options = if without("witness") { options.without_witness() } else { options };
            let fault = var("NOESCROW_FAULT").ok();
            let fault = fault.as_deref().and_then(|fault| fault.split_once(':'));
            let fault = fault.and_then(|(kind, number)| Some((kind.to_owned(), number.parse().ok()?)));
            let inner = options.open(path)?;
            Ok(Self { inner, fault, commits: 0, sealed: BTreeSet::new(), unsaved: None })
        }

        pub fn inbox(&mut self, limit: usize) -> Result<Vec<InboxMessage>, Error> {
            self.inner.inbox(limit)
        }

        pub fn remove_from_inbox(&mut self, id: &[u8; MESSAGE_ID_LEN]) -> Result<bool, Error> {
            self.inner.remove_from_inbox(id)
        }

        pub fn outbox(&mut self, limit: usize) -> Result<Vec<Waiting>, Error> {
            let saved = self.inner.outbox(limit)?.into_iter();
            let saved = saved.map(|of| Waiting { message_id: of.message_id, peer: of.peer, message: of.message });
            let unsaved = self.unsaved.iter().filter_map(|batch| batch.sent.clone());
            let unsaved = unsaved.map(|of| Waiting { message_id: of.message_id, peer: of.peer, message: of.message });
            let mut outbox: Vec<Waiting> = saved.chain(unsaved).collect();
            if without("resend") {
                outbox.retain(|message| self.sealed.contains(&message.message_id));
            }
            Ok(outbox)
        }

        pub fn acknowledge(&mut self, id: &[u8; MESSAGE_ID_LEN]) -> Result<bool, Error> {
            let _ = self.save_unsaved();
            if without("acknowledge") {
                return Ok(true);
            }
            self.inner.acknowledge(id)
        }

        fn save_unsaved(&mut self) -> Result<(), CommitError<Error>> {
            self.unsaved.take().map_or(Ok(()), |batch| self.commit_or_fail(batch))
        }

        pub fn erase_deleted(&mut self) -> Result<(), Error> {
            self.inner.erase_deleted()
        }

        /// Commits, unless this is the commit that fails.
        fn commit_or_fail(&mut self, batch: Batch) -> Result<(), CommitError<Error>> {
            self.commits += 1;
            let fault = self.fault.as_ref().filter(|(_, number)| *number == self.commits);
            if fault.is_some() {
                eprintln!("the fault has come");
            }
            let error = || Error::Witness(io::Error::other("the store fails on demand"));
            match fault.map(|(kind, _)| kind.as_str()) {
                Some("fail") => Err(CommitError::NotCommitted(error())),
                Some("lost") => Err(CommitError::Unknown(error())),
                Some("lie") => self.inner.commit(batch).and(Err(CommitError::Unknown(error()))),
                Some("abort") => {
                    let _ = self.inner.commit(batch);
                    abort()
                }
                Some("abort-before") => abort(),
                _ => self.inner.commit(batch),
            }
        }
    }

    impl noescrow::durable::Store for Store {
        type Error = Error;

        fn load(&mut self, subject: &Subject) -> Result<Vec<Row>, Error> {
            self.inner.load(subject)
        }

        fn commit(&mut self, batch: Batch) -> Result<(), CommitError<Error>> {
            self.sealed.extend(batch.sent.as_ref().map(|sent| sent.message_id));
            self.save_unsaved()?;
            if without("save-before-send") && batch.sent.is_some() {
                self.unsaved = Some(batch);
                return Ok(());
            }
            match self.commit_or_fail(batch) {
                Err(CommitError::Unknown(_)) if without("settle") => Ok(()),
                Err(CommitError::Stale) if without("stale") => Ok(()),
                committed => committed,
            }
        }
    }
}
