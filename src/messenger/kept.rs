// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Stored`]: a messenger together with its store. Every step is saved before it returns.

use super::Messenger;
use super::driver::{self, Driver};
use super::failed::Failed;
use super::io::{self, Blocking, Futures};
use super::routing::{Loaded, Route};
use crate::device::Device;
use crate::durable::{AsyncMailboxes, CommitError, LoadError, Mailboxes, Unsaved};
use crate::primitives::{Primitives, RustCrypto};
use crate::snapshot::{StorageKey, Subject};
use crate::time::UnixSeconds;
use core::fmt;
use rand_core::CryptoRng;

/// A messenger together with the store that has it.
///
/// A method that makes a step returns when the step is saved. If the store does not know whether a commit has succeeded,
/// the step is saved again. If another process has saved a step meanwhile, the messenger is loaded again and the step is
/// repeated. What an error has shown, such as another identity of a peer, is saved before the error is returned.
///
/// After an error of the store, the next step loads the messenger first. A message whose sealing ended with such an error
/// may be in the outbox.
///
/// If the store's operations are futures, the methods have the suffix `_async`. A future that is dropped leaves its step
/// saved or not, like an error of the store.
#[must_use = "the messenger is in the store"]
pub struct Stored<S, P: Primitives = RustCrypto> {
    pub(super) messenger: Messenger<P>,
    pub(super) store: S,
    /// The newest generation that is known to be in the store. A step that is not saved does not count: a
    /// [witness](Self::check_witness) may have raised its generation by any number.
    pub(super) saved: u64,
    /// Whether an exchange of this messenger has the lock of the outbox.
    pub(super) outbox: OutboxLock,
    /// After which number mail is fetched, if the last call has left some at the server and not come to the end.
    pub(super) mail_after: Option<u64>,
}

/// The lock of the outbox, as far as this messenger has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OutboxLock {
    /// It has none.
    Free,
    /// An exchange that delivers has it.
    Held,
    /// Such an exchange has it, and an event function has removed messages from the outbox meanwhile.
    Changed,
}

impl<S, P: Primitives> Stored<S, P> {
    /// Returns the messenger, to read from.
    pub const fn messenger(&self) -> &Messenger<P> {
        &self.messenger
    }

    /// Returns the store.
    pub const fn store(&mut self) -> &mut S {
        &mut self.store
    }

    /// Returns messenger and store.
    pub fn into_parts(self) -> (Messenger<P>, S) {
        let Self { messenger, store, saved: _, outbox: _, mail_after: _ } = self;
        (messenger, store)
    }
}

impl<S: Mailboxes> Stored<S> {
    /// Loads the messenger `subject`: calls [`load_with`](Self::load_with) with the default primitives.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn load(
        store: S,
        key: &StorageKey,
        subject: &Subject,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, LoadError<S::Error>> {
        Self::load_with(RustCrypto, store, key, subject, rng)
    }
}

impl<S: Mailboxes, P: Primitives> Stored<S, P> {
    /// Makes a messenger of a new device, and saves both under `key`. Draws 16 bytes from `rng`.
    ///
    /// # Errors
    /// The store's error. Whether something was saved is then not known; delete the store.
    pub fn create(
        device: Device<P>,
        mut store: S,
        key: &StorageKey,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, CommitError<S::Error>> {
        let step = Messenger::new(device, key, rng);
        let messenger = io::completed(driver::save_again::<Blocking, S, _>(step, &mut store))?;
        Ok(Self { saved: messenger.generation(), messenger, store, outbox: OutboxLock::Free, mail_after: None })
    }

    /// Loads the messenger `subject`, in one transaction. Draws 16 bytes from `rng`.
    ///
    /// If the store has no witness of its own, call [`check_witness`](Self::check_witness) then.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn load_with(
        primitives: P,
        mut store: S,
        key: &StorageKey,
        subject: &Subject,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, LoadError<S::Error>> {
        let messenger = Messenger::load_with(primitives, &mut store, key, subject, 0, rng)?;
        Ok(Self { saved: messenger.generation(), messenger, store, outbox: OutboxLock::Free, mail_after: None })
    }

    /// Loads the messenger again if another process has saved a step, or if the last one of this process is not saved.
    /// Otherwise one row is read, and what is only in memory stays. Returns whether it was loaded.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn refresh(&mut self, rng: &mut impl CryptoRng) -> Result<bool, LoadError<S::Error>> {
        io::completed(self.blocking().refresh(rng))
    }

    /// Makes a step and saves it. `make` runs again if another process has saved a step, so it must not have an effect
    /// of its own. An error of `make` is returned if the messenger was not out of date, and after what the messenger
    /// has noted is saved.
    ///
    /// [`login`](Self::login), [`maintain`](Self::maintain) and the others call it.
    ///
    /// # Errors
    /// [`Failed`].
    pub fn step<T, E, R: CryptoRng>(
        &mut self,
        now: UnixSeconds,
        rng: &mut R,
        make: impl for<'a> FnMut(&'a mut Messenger<P>, &mut R) -> Result<Unsaved<'a, T>, E>,
    ) -> Result<T, Failed<E, S::Error>> {
        io::completed(self.blocking().step(now, rng, make))
    }

    /// Makes a step that needs a session, and saves it: `route` says which session, and `make` gets its rows. Both may
    /// run again, as in [`step`](Self::step).
    ///
    /// [`open`](Self::open) and the others call it.
    ///
    /// # Errors
    /// [`Failed`].
    pub fn step_on<T, E, R: CryptoRng>(
        &mut self,
        now: UnixSeconds,
        rng: &mut R,
        route: impl FnMut(&mut Messenger<P>) -> Result<Route, E>,
        make: impl for<'a> FnMut(&'a mut Messenger<P>, Loaded, &mut R) -> Result<Unsaved<'a, T>, E>,
    ) -> Result<T, Failed<E, S::Error>> {
        io::completed(self.blocking().step_on(now, rng, route, make))
    }

    pub(super) const fn blocking(&mut self) -> Driver<'_, Blocking, S, P> {
        Driver::of(self)
    }
}

impl<S: AsyncMailboxes> Stored<S> {
    /// Loads the messenger `subject`: calls [`load_async_with`](Self::load_async_with) with the default primitives.
    ///
    /// # Errors
    /// [`LoadError`].
    pub async fn load_async(
        store: S,
        key: &StorageKey,
        subject: &Subject,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, LoadError<S::Error>> {
        Self::load_async_with(RustCrypto, store, key, subject, rng).await
    }
}

impl<S: AsyncMailboxes, P: Primitives> Stored<S, P> {
    /// Does what [`create`](Self::create) does.
    ///
    /// # Errors
    /// As there.
    pub async fn create_async(
        device: Device<P>,
        mut store: S,
        key: &StorageKey,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, CommitError<S::Error>> {
        let step = Messenger::new(device, key, rng);
        let messenger = driver::save_again::<Futures, S, _>(step, &mut store).await?;
        Ok(Self { saved: messenger.generation(), messenger, store, outbox: OutboxLock::Free, mail_after: None })
    }

    /// Does what [`load_with`](Self::load_with) does. If another process saves a step meanwhile, it loads again.
    ///
    /// # Errors
    /// As there.
    pub async fn load_async_with(
        primitives: P,
        mut store: S,
        key: &StorageKey,
        subject: &Subject,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, LoadError<S::Error>> {
        let messenger = Messenger::load_async_with(primitives, &mut store, key, subject, 0, rng).await?;
        Ok(Self { saved: messenger.generation(), messenger, store, outbox: OutboxLock::Free, mail_after: None })
    }

    /// Does what [`refresh`](Self::refresh) does.
    ///
    /// # Errors
    /// As there.
    pub async fn refresh_async(&mut self, rng: &mut impl CryptoRng) -> Result<bool, LoadError<S::Error>> {
        self.futures().refresh(rng).await
    }

    /// Does what [`step`](Self::step) does.
    ///
    /// # Errors
    /// As there.
    pub async fn step_async<T, E, R: CryptoRng>(
        &mut self,
        now: UnixSeconds,
        rng: &mut R,
        make: impl for<'a> FnMut(&'a mut Messenger<P>, &mut R) -> Result<Unsaved<'a, T>, E>,
    ) -> Result<T, Failed<E, S::Error>> {
        self.futures().step(now, rng, make).await
    }

    /// Does what [`step_on`](Self::step_on) does.
    ///
    /// # Errors
    /// As there.
    pub async fn step_on_async<T, E, R: CryptoRng>(
        &mut self,
        now: UnixSeconds,
        rng: &mut R,
        route: impl FnMut(&mut Messenger<P>) -> Result<Route, E>,
        make: impl for<'a> FnMut(&'a mut Messenger<P>, Loaded, &mut R) -> Result<Unsaved<'a, T>, E>,
    ) -> Result<T, Failed<E, S::Error>> {
        self.futures().step_on(now, rng, route, make).await
    }

    pub(super) const fn futures(&mut self) -> Driver<'_, Futures, S, P> {
        Driver::of(self)
    }
}

/// Shows counts only.
impl<S, P: Primitives> fmt::Debug for Stored<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { messenger, store: _, saved: _, outbox: _, mail_after: _ } = self;
        f.debug_struct("Stored").field("messenger", messenger).finish_non_exhaustive()
    }
}
