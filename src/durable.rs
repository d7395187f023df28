// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Durable`] enforces the crash contract by types: a step is a transaction. The outcome of a step is released only
//! after the caller's store has committed it together with the state that belongs to it, so that forgetting to save
//! does not compile.
//!
//! ```
//! use noescrow::durable::{Batch, CommitError, Durable, Row, Store, CommitAction};
//! use noescrow::snapshot::{RowName, Subject};
//! # use noescrow::{Bundle, Device, InitiateOptions, Session, StorageKey, UnixSeconds};
//! # use rand_chacha::rand_core::SeedableRng;
//! # use std::collections::BTreeMap;
//! #[derive(Default)]
//! struct Database {
//!     rows: BTreeMap<(Subject, RowName), Vec<u8>>,
//!     inbox: Vec<Vec<u8>>,
//!     outbox: Vec<Vec<u8>>,
//! }
//! impl Store for Database {
//!     type Error = std::io::Error;
//!     fn load(&mut self, subject: &Subject) -> Result<Vec<Row>, Self::Error> {
//!         let rows = self.rows.iter().filter(|((of, _), _)| of == subject);
//!         Ok(rows.map(|((_, name), sealed)| Row { name: *name, sealed: sealed.clone() }).collect())
//!     }
//!     // One transaction, on disk when it returns.
//!     fn commit(&mut self, batch: Batch) -> Result<(), CommitError<Self::Error>> {
//!         match batch.commit_action(|subject| self.rows.get(&(*subject, RowName::CORE))) {
//!             CommitAction::AlreadyCommitted => return Ok(()),
//!             CommitAction::Stale => return Err(CommitError::Stale),
//!             CommitAction::Write => {}
//!         }
//!         for ended in &batch.ended {
//!             self.rows.retain(|(of, _), _| of != ended);
//!         }
//!         for change in &batch.changes {
//!             for name in &change.deleted {
//!                 self.rows.remove(&(change.subject, *name));
//!             }
//!             for row in &change.rows {
//!                 self.rows.insert((change.subject, row.name), row.sealed.clone());
//!             }
//!         }
//!         self.inbox.extend(batch.received.iter().map(|received| received.plaintext.clone()));
//!         self.outbox.extend(batch.sent.iter().map(|sent| sent.message.clone()));
//!         Ok(())
//!     }
//! }
//! # let mut rng = rand_chacha::ChaCha20Rng::seed_from_u64(0);
//! # let now = UnixSeconds(50);
//! # let mut rng2 = rng.clone();
//! # let alice = Device::generate(now, &mut rng);
//! let key = StorageKey::new([7; 32]);
//! let mut database = Database::default();
//! let bob = Durable::<Device>::new(Device::generate(now, &mut rng), &key, &mut rng2);
//! let mut bob = bob.save(&mut database).map_err(CommitError::from)?;
//! let published = bob.publish(1, now, &mut rng)?.save(&mut database).map_err(CommitError::from)?;
//! # let (identity, mut one_time) = (published.identity, published.one_time_prekeys);
//! # let bundle = Bundle::new(identity, published.signed_prekey, one_time.pop())?;
//! # let (_, hello) = alice.initiate(bundle, b"hi", InitiateOptions::unverified(now), &mut rng)?;
//!
//! // Device, session and plaintext in one transaction.
//! let pending = bob.open(&hello)?;
//! assert_eq!(pending.remote_identity(), alice.identity());
//! let accepted = pending.accept(b"").map_err(|failed| failed.error)?;
//! let (mut session, opened) = accepted.save(&mut database).map_err(CommitError::from)?;
//! assert_eq!((&opened.plaintext[..], &database.inbox[0][..]), (&b"hi"[..], &b"hi"[..]));
//! let reply = session.encrypt(b"hello", &mut rng)?.save(&mut database).map_err(CommitError::from)?;
//! assert_eq!(database.outbox, [reply]);
//!
//! // After a restart, both are there.
//! let bob = Durable::<Device>::load(&mut database, &key, &bob.subject(), bob.generation(), &mut rng)?;
//! let id = session.subject();
//! let session = Durable::<Session>::load(&mut database, &key, &id, session.generation(), &mut rng)?;
//! assert_eq!((bob.one_time_prekeys_left(), session.remote_identity()), (0, Some(alice.identity())));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A step is a transaction
//!
//! The [`Batch`] that a step hands to the store has the rows that changed, and the message that was opened or sealed.
//! A crash before the commit leaves the state before the step: the message arrives again, or was never sent. A crash
//! after it loses nothing: the plaintext is in the application's inbox, the message in its outbox, from which it is
//! sent, byte for byte, until the server acknowledges it.
//!
//! A step that is not saved cannot be passed over. Before the [`Unsaved`] is handed out, the state is marked, and
//! refuses further steps with [`StepError::NotSaved`] whether the `Unsaved` is dropped, forgotten, or lost in a future
//! that was cancelled. Saving the same step heals the state; [`Durable::unsaved`] hands it out again. A device gives out
//! no public prekey meanwhile.
//!
//! Two processes of one state cannot both save a step: each draws a *writer* when it restores the state. Two images of
//! one process, after a fork or as clones of a virtual machine, have one writer; what tells them apart is the message of
//! their step. The second gets [`CommitError::Stale`].
//!
//! If another process may have made a step, this one has an older state, and a message that the other one opened is
//! refused here, as `Refused`, `KeyGone` or `PrekeyGone`. Load the state again and try once more before you give a
//! message up. No commit shows it, because a message that is refused commits nothing.
//!
//! # Mailboxes
//!
//! [`Mailboxes`] is a store that can be asked for what its commits have entered: the inbox, until the application has
//! taken a message, and the outbox, until the server has acknowledged it. An entry of the inbox has everything that the
//! outcome of the step has. An application that shows messages from the inbox therefore loses nothing in a crash: no
//! receipt, and no warning that the author is a stranger. A message that a messenger has written by itself has no text;
//! its [`control`](InboxMessage::control) says what it is.
//!
//! # Rows
//!
//! A state is a core and parts: skipped keys by 32, a one-time prekey, 32 entries of a replay record. Each is a row,
//! sealed with its [`Subject`], its name and its [`Revision`]. A step writes the core and the parts that changed. A
//! step that changes nothing writes no row. The core row names the other rows and their revisions, so that a row that
//! is missing, or is put back as it was earlier, is found when the state is restored.
//!
//! A store must delete the rows that [`Change::deleted`] names: with a row too many the state is refused after the next
//! restart, and until then nothing shows the mistake.
//!
//! The futures of an [`AsyncStore`] must be `Send`. If those of your database are not, as in a browser, commit
//! [`Unsaved::batch`] yourself and pass the result to [`Unsaved::settle`]; load the rows yourself and pass them to
//! [`Durable::restore`].
//!
//! This module is not concerned with where rows are stored, and relies on the store for their being on disk when
//! `commit` returns.
//!
//! # Leaks
//! Subjects and names of rows are in the clear: the local identity, the sessions' ids, which messages are missing by
//! chain and number, and the ids of prekeys. A store that should show a thief no more than counts keeps them under names
//! that it derives with a key. The plaintext and the message in a batch are in the clear, too.

mod device;
mod ledger;
mod loading;
mod mailboxes;
mod reading;
mod rotation;
mod session;
mod store;
mod unsaved;

pub use crate::snapshot::{Revision, RowName, Subject};
pub use device::{Accepted, BeginFailed, Begun, DurablePending};
pub use loading::Durably;
pub use mailboxes::{
    AsyncMailboxes, Exclusive, InboxMessage, Mailboxes, MessageId, OpenedFlags, OutboxMessage, SENT_ID_KEPT,
};
pub use rotation::{KeyChange, RotateError, Rotated, rotate_storage_key, rotate_storage_key_async};
pub use store::{AsyncStore, Batch, Change, CommitAction, CommitError, MESSAGE_ID_LEN, Received, Row, Sent, Store};
pub use unsaved::{SaveFailed, Unsaved};

use crate::error::RestoreError;
use crate::primitives::Primitives;
use crate::snapshot::Stored;
use core::fmt;
pub(crate) use ledger::{Ledger, draw_writer};
pub(crate) use loading::Restored;
pub(crate) use session::message_id;
pub(crate) use unsaved::Progress;

/// A session or device whose every step must be saved before its outcome is released.
///
/// `Durable<Session>` dereferences to the session, for reading. A device has no such access: what can be read from it
/// is here, and public prekeys only while the last step is saved.
#[must_use = "a state that is dropped is lost unless it was saved"]
pub struct Durable<T> {
    pub(crate) inner: T,
    pub(crate) ledger: Ledger,
}

/// The reason why a step was not made. The state is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepError<E> {
    /// The step before is not saved. Save [`Durable::unsaved`], or load the state again.
    NotSaved,
    /// The step itself failed.
    Failed(E),
}

/// The reason why no state was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadError<E> {
    /// The store's own error.
    Store(E),
    /// The store has no rows of this subject.
    Missing,
    /// The rows were refused.
    Refused(RestoreError),
}

impl<T> Durable<T> {
    /// Returns the generation of the last step. Store the highest that was saved where restoring a backup does not
    /// lower it, and pass it to `restore`.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.ledger.generation()
    }

    /// Returns the name under which the state is stored.
    #[must_use]
    pub const fn subject(&self) -> Subject {
        *self.ledger.subject()
    }

    /// Returns whether the last step is saved, so that another one is possible.
    #[must_use]
    pub const fn is_saved(&self) -> bool {
        self.ledger.is_saved()
    }

    /// Hands out the last step again if it is not saved and its [`Unsaved`] is gone. Its outcome is gone too, except
    /// what the batch contains: a plaintext that was opened, a message that was sealed, or a new session, which is then
    /// loaded from the store.
    pub fn unsaved(&mut self) -> Option<Unsaved<'_, ()>> {
        self.ledger.unsaved()
    }
}

/// Wraps a new state, which is released when it is saved.
fn create<P: Primitives, T: Stored<P>>(inner: T, mut ledger: Ledger) -> Unsaved<'static, Durable<T>> {
    let changes = ledger.change(&inner, None).into_iter().collect();
    Unsaved::owning(Durable { inner, ledger }, Batch { changes, ..Batch::default() })
}

impl<T: fmt::Debug> fmt::Debug for Durable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { inner, ledger } = self;
        f.debug_struct("Durable")
            .field("inner", inner)
            .field("generation", &ledger.generation())
            .field("is_saved", &ledger.is_saved())
            .finish_non_exhaustive()
    }
}

impl<E: fmt::Display> fmt::Display for StepError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSaved => f.write_str("the last step is not saved"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl<E: core::error::Error> core::error::Error for StepError<E> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::NotSaved => None,
            Self::Failed(error) => error.source(),
        }
    }
}

/// Without the store's error, which is the [source](core::error::Error::source).
impl<E> fmt::Display for LoadError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(_) => f.write_str("not loaded: the store failed"),
            Self::Missing => f.write_str("not loaded: no such state"),
            Self::Refused(error) => error.fmt(f),
        }
    }
}

impl<E: core::error::Error + 'static> core::error::Error for LoadError<E> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Store(error) => Some(error),
            Self::Missing | Self::Refused(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
