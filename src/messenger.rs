// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Messenger`]: a device, its peers and their sessions. Bytes and facts go in, decisions come out: which session a
//! message belongs to, on which one to send, when a new one is needed, and what to save.
//!
//! A step has three parts. Ask which session it needs, and load it; make the step; save what it has changed. Nothing is
//! released before it is saved, as in [`durable`](crate::durable), which also shows what a
//! [`Store`](crate::durable::Store) does.
//!
//! ```
//! use noescrow::messenger::{Messenger, OpenError, Trust};
//! use noescrow::durable::{CommitError, Store};
//! use noescrow::{Bundle, Device, StorageKey, UnixSeconds};
//! # use noescrow::durable::{Batch, CommitAction, Row, RowName, Subject};
//! # use rand_chacha::rand_core::SeedableRng;
//! # use std::collections::BTreeMap;
//! # #[derive(Default)]
//! # struct Database(BTreeMap<(Subject, RowName), Vec<u8>>);
//! # impl Store for Database {
//! #     type Error = std::io::Error;
//! #     fn load(&mut self, subject: &Subject) -> Result<Vec<Row>, Self::Error> {
//! #         let rows = self.0.iter().filter(|((of, _), _)| of == subject);
//! #         Ok(rows.map(|((_, name), sealed)| Row { name: *name, sealed: sealed.clone() }).collect())
//! #     }
//! #     fn commit(&mut self, batch: Batch) -> Result<(), CommitError<Self::Error>> {
//! #         match batch.commit_action(|subject| self.0.get(&(*subject, RowName::CORE))) {
//! #             CommitAction::AlreadyCommitted => return Ok(()),
//! #             CommitAction::Stale => return Err(CommitError::Stale),
//! #             CommitAction::Write => {}
//! #         }
//! #         for ended in &batch.ended {
//! #             self.0.retain(|(of, _), _| of != ended);
//! #         }
//! #         for change in &batch.changes {
//! #             for name in &change.deleted {
//! #                 self.0.remove(&(change.subject, *name));
//! #             }
//! #             for row in &change.rows {
//! #                 self.0.insert((change.subject, row.name), row.sealed.clone());
//! #             }
//! #         }
//! #         Ok(())
//! #     }
//! # }
//! # let (mut rng, now) = (rand_chacha::ChaCha20Rng::seed_from_u64(0), UnixSeconds(1_800_000_000));
//! # let (mut alices_store, mut bobs_store) = (Database::default(), Database::default());
//! # let bobs_key = StorageKey::new([8; 32]);
//! // Once. `now` is the time, `rng` a generator, and the two stores are databases.
//! let key = StorageKey::new([7; 32]);
//! let alice = Messenger::new(Device::generate(now, &mut rng), &key, &mut rng);
//! let mut alice = alice.save(&mut alices_store).map_err(CommitError::from)?;
//! # let bob = Messenger::new(Device::generate(now, &mut rng), &bobs_key, &mut rng);
//! # let mut bob = bob.save(&mut bobs_store).map_err(CommitError::from)?;
//!
//! // Each day: Bob uploads his prekeys, and the server hands out bundles. `[]` is the server's list, which
//! // is empty only before the first upload.
//! let published = bob.maintain(now, &[], &mut rng)?.save(&mut bobs_store).map_err(CommitError::from)?;
//! # let (identity, signed_prekey) = (published.identity, published.signed_prekey);
//! # let bundle = Bundle::new(identity, signed_prekey, published.one_time_prekeys.first().cloned())?;
//!
//! // Alice writes. If a session is needed, she fetches Bob's bundle.
//! let peer = alice.add_peer(b"bob", None, now, &mut rng)?.save(&mut alices_store).map_err(CommitError::from)?;
//! let step = if alice.needs_bundle(&peer, now)?.is_some() {
//!     alice.seal_with_bundle(&peer, b"hello", bundle, now, &mut rng)?
//! } else {
//!     let loaded = alice.route_to(&peer)?.load(&mut alices_store)?;
//!     alice.seal(&peer, b"hello", loaded, now, &mut rng)?
//! };
//! let hello = step.save(&mut alices_store).map_err(CommitError::from)?.message;
//!
//! // Bob opens whatever arrives, and acknowledges it when it is saved.
//! let opened = match bob.route(&hello, now) {
//!     Ok(route) => {
//!         let loaded = route.load(&mut bobs_store)?;
//!         bob.open(&hello, loaded, now)?.save(&mut bobs_store).map_err(CommitError::from)?
//!     }
//!     Err(OpenError::Deferred { until }) => panic!("leave it at the server until {until}"),
//!     Err(error) => panic!("refused: acknowledge it, and follow the remedy of {error:?}"),
//! };
//! assert_eq!((&opened.payload[..], opened.is_new_identity), (&b"hello"[..], true));
//!
//! // Bob answers, and so accepts the stranger's identity on first use.
//! let loaded = bob.route_to(&opened.peer)?.load(&mut bobs_store)?;
//! let reply = bob.seal(&opened.peer, b"hi", loaded, now, &mut rng)?.save(&mut bobs_store).map_err(CommitError::from)?;
//! assert_eq!(bob.peer(&opened.peer).map(|peer| peer.trust), Some(Trust::FirstUse));
//!
//! // After a restart, everything is there.
//! let mut alice = Messenger::load(&mut alices_store, &key, &alice.subject(), alice.generation(), &mut rng)?;
//! let loaded = alice.route(&reply.message, now)?.load(&mut alices_store)?;
//! let opened = alice.open(&reply.message, loaded, now)?.save(&mut alices_store).map_err(CommitError::from)?;
//! assert_eq!((opened.peer, &opened.payload[..]), (peer, &b"hi"[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What an application does
//!
//! With [`Stored`], a messenger together with its store, and [`exchange`], the conversation with a server, it implements
//! [`Server`](exchange::Server) and shows [`Event`](exchange::Event)s. Without them:
//!
//! | it sees | it does |
//! |---|---|
//! | [`OpenError::Refused`] | if another process may have made a step, loads the messenger and tries again; else [saves what is noted](Messenger::save_notes), acknowledges the message, and follows [`Refusal::remedy`] |
//! | [`OpenError::Stored`], [`SealError::Stored`] | loads the messenger again; if that does not help, [`end_session`](Messenger::end_session) |
//! | [`OpenError::Deferred`] | leaves the message at the server |
//! | [`CommitError::Stale`](crate::durable::CommitError::Stale) | loads the messenger again: another process has saved a step |
//! | [`SealError::NeedsBundle`] | fetches the peer's bundle for [`seal_with_bundle`](Messenger::seal_with_bundle) |
//! | [`SealError::IdentityChanged`] | shows the safety number; with the one that the user has compared, [`identity_numbered`](Messenger::identity_numbered), then [`accept_identity`](Messenger::accept_identity) or [`reject_identity`](Messenger::reject_identity) |
//! | [`Opened::is_new_identity`] | shows a stranger; if it is a known person with a new device, [`claim_identity`](Messenger::claim_identity) |
//! | [`Opened::is_on_probation`] | when the user writes, [`seal_probe`](Messenger::seal_probe) |
//! | [`Opened::should_answer`] | if the user permits, sends a message, or [`seal_answer`](Messenger::seal_answer) |
//! | [`Messenger::suspicion`] | [`save_notes`](Messenger::save_notes); tells the user; [`restore_backup`](Messenger::restore_backup) |
//! | [`Opened::evicted`] | drops what it shows of that stranger |
//! | any other error | what [its advice](Advice) says |
//!
//! To end the account, [`delete`](Messenger::delete) it; it says what else the application has to delete.
//!
//! # What it does not do
//!
//! It performs no I/O, reads no clock, and sends nothing by itself. It does not sync the devices of one person: each has a
//! messenger of its own, and is a peer of its own to others. Groups are the application's.
//!
//! docs/building-a-messenger.md says how an application is built on it. spec/messenger.md has the rules, the bounds, the
//! bytes and the limits.
//!
//! # Leaks
//! The server learns the recipient from the mailbox. Of the layer's own decisions it sees first messages, which begin
//! sessions, and the sizes of messages without content, unless the application pads all alike.

mod advice;
mod asynchronous;
mod core;
mod deletion;
mod directory;
mod driver;
mod ending;
mod error;
pub mod exchange;
mod failed;
mod index;
mod io;
mod kept;
mod loading;
mod log;
mod opening;
mod peers;
pub mod policy;
mod prefix;
mod prekeys;
mod probation;
mod rank;
mod receipts;
mod record;
mod recovery;
mod restored;
mod routing;
mod sealing;
mod steps;
mod stored;
mod strangers;
mod sweep;
mod trust;

pub use self::core::Counters;
pub use advice::{Advice, Advised};
pub use error::{NewSession, OpenError, PeerError, Refusal, Refused, Remedy, SealError, SealFailed, Suspicion};
pub use failed::Failed;
pub use kept::Stored;
pub use opening::{Author, Opened};
pub use peers::{Peer, PeerId};
pub use receipts::{Control, Receipt};
pub use restored::LOGIN_NONCE_LEN;
pub use routing::{Loaded, Route};
pub use sealing::Outgoing;
pub use steps::{Mail, Sealed, Upkeep};
pub use trust::Trust;

use self::core::Core;
use crate::device::clock::Clock;
use crate::device::{Device, LOGIN_CHALLENGE_LEN};
use crate::durable::{Batch, Change, Durable, Ledger, MessageId, Progress, Received, Row, Sent, Unsaved, draw_writer};
use crate::error::RestoreError;
use crate::identity::{Identity, SafetyNumber};
use crate::primitives::{Primitives, RustCrypto, SIGNATURE_LEN};
use crate::session::Session;
use crate::snapshot::{self, StorageKey, Subject};
use crate::time::UnixSeconds;
use ::core::fmt;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use index::Index;
use rand_core::CryptoRng;
use record::PeerRecord;
use sweep::Sweeps;

/// A device with its peers and sessions.
///
/// It keeps in memory the device and, of each peer, a record of about 1 KiB. The sessions stay in the store: each step
/// says which one it needs.
#[must_use = "a messenger that is dropped is lost unless it was saved"]
pub struct Messenger<P: Primitives = RustCrypto> {
    key: StorageKey,
    writer: [u8; 16],
    core: Durable<Core<P>>,
    device: Durable<Device<P>>,
    peers: BTreeMap<PeerId, Durable<PeerRecord<P>>>,
    /// Peers whose records have changed without a step. The next step saves them.
    changed: BTreeSet<PeerId>,
    /// Whether a suspicion was noted without a step. The next step saves it.
    is_suspicion_noted: bool,
    index: Index,
    sweeps: Sweeps,
    progress: Progress,
}

/// What a step has changed besides the messenger's own core.
#[derive(Default)]
struct Step {
    message_id: Option<MessageId>,
    session: Option<Change>,
    is_device_changed: bool,
    peers: BTreeSet<PeerId>,
    merged: Vec<(Subject, Subject)>,
    ended: Vec<Subject>,
    received: Option<Received>,
    sent: Option<Sent>,
}

impl<P: Primitives> Messenger<P> {
    /// Makes a messenger of a new device, and saves both under `key`. Draws 16 bytes from `rng`.
    ///
    /// The device's primitives are the messenger's, too.
    pub fn new(device: Device<P>, key: &StorageKey, rng: &mut impl CryptoRng) -> Unsaved<'static, Self> {
        let primitives = snapshot::Stored::primitives(&device).clone();
        let (writer, clock) = (draw_writer(rng), Clock::new(device.time()));
        let subject = Subject::messenger(device.identity());
        let mut device = Durable { ledger: Ledger::new(device.subject(), key, writer), inner: device };
        let mut core =
            Durable { ledger: Ledger::new(subject, key, writer), inner: Core::new(primitives, subject, clock) };
        let mut changes: Vec<Change> = device.ledger.change(&device.inner, None).into_iter().collect();
        core.inner.device_generation = device.ledger.generation();
        changes.extend(core.ledger.change(&core.inner, None));
        let messenger = Self::without_peers(key, writer, core, device);
        Unsaved::owning(messenger, Batch { changes, ..Batch::default() })
    }

    fn without_peers(key: &StorageKey, writer: [u8; 16], core: Durable<Core<P>>, device: Durable<Device<P>>) -> Self {
        Self {
            key: key.duplicate(),
            writer,
            core,
            device,
            peers: BTreeMap::new(),
            changed: BTreeSet::new(),
            is_suspicion_noted: false,
            index: Index::default(),
            sweeps: Sweeps::default(),
            progress: Progress::Saved,
        }
    }

    /// Returns the name under which the messenger is stored, which [`load`](Self::load) asks for.
    #[must_use]
    pub const fn subject(&self) -> Subject {
        self.core.inner.subject
    }

    /// Returns the generation of the last step. Every step raises it, so that it is the generation of the whole store.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.core.generation()
    }

    /// Returns whether the last step is saved, so that another one is possible.
    #[must_use]
    pub const fn is_saved(&self) -> bool {
        matches!(self.progress, Progress::Saved)
    }

    /// Hands out the last step again if it is not saved and its [`Unsaved`] is gone, as
    /// [`Durable::unsaved`](crate::durable::Durable::unsaved) does.
    pub fn unsaved(&mut self) -> Option<Unsaved<'_, ()>> {
        self.progress.hand_out_again()
    }

    /// Returns the identity of this device.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        self.device.identity()
    }

    /// Calls [`Device::safety_number`].
    #[must_use]
    pub fn safety_number(&self, remote: &Identity) -> SafetyNumber {
        self.device.safety_number(remote)
    }

    /// Calls [`Device::sign_login`].
    ///
    /// # Security
    /// As there.
    #[must_use]
    pub fn sign_login(&self, challenge: &[u8; LOGIN_CHALLENGE_LEN]) -> [u8; SIGNATURE_LEN] {
        self.device.sign_login(challenge)
    }

    /// Returns how many messages were refused, by reason.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.core.inner.counters
    }

    fn primitives(&self) -> &P {
        &self.core.inner.primitives
    }

    /// The messenger's own time if the caller's reading is `now`: one wrong reading moves it by a day at most.
    fn time(&self, now: UnixSeconds) -> UnixSeconds {
        self.core.inner.time(now)
    }

    /// Has the clock follow a reading, and corrects every time that was taken from it. A step does so before it compares
    /// any, and deletes what is old. The next step saves it.
    fn read_clock(&mut self, now: UnixSeconds) {
        if let Some(corrected) = self.core.inner.read(now) {
            let changed = self.peers.iter_mut().filter_map(|(id, peer)| peer.inner.correct(corrected).then_some(*id));
            self.changed.extend(changed);
        }
    }

    /// Seals the rows that the step has changed, and hands its outcome out to be saved. `now` is the caller's reading.
    fn hand_out<T>(&mut self, outcome: T, step: Step, now: UnixSeconds) -> Unsaved<'_, T> {
        self.progress = Progress::Stepping;
        let Step { message_id, session, is_device_changed, peers, merged, ended, received, sent } = step;
        self.read_clock(now);
        self.changed.extend(peers);
        self.is_suspicion_noted = false;
        let (id, mut changes) = (message_id.as_ref(), Vec::new());
        changes.extend(session);
        if is_device_changed {
            changes.extend(self.device.ledger.change(&self.device.inner, id));
            self.core.inner.device_generation = self.device.ledger.generation();
        }
        for peer in ::core::mem::take(&mut self.changed) {
            // A peer that was removed has ended.
            let peer = self.peers.get_mut(&peer);
            changes.extend(peer.and_then(|peer| peer.ledger.change(&peer.inner, id)));
        }
        self.core.inner.steps = self.core.inner.steps.wrapping_add(1);
        changes.extend(self.core.ledger.change(&self.core.inner, id));
        self.progress.hand_out(outcome, Batch { changes, received, sent, merged, ended })
    }

    /// Restores a session from rows that the caller has loaded.
    fn restore_session(
        &self,
        subject: &Subject,
        rows: Vec<Row>,
        newest: u64,
    ) -> Result<Durable<Session<P>>, RestoreError> {
        Durable::<Session<P>>::restore_as(self.primitives().clone(), self.writer, rows, &self.key, subject, newest)
    }

    /// Ends the sessions of a peer that are past their bounds.
    fn end_sessions(&mut self, peer: PeerId, kept: Option<&[u8; 32]>, now: UnixSeconds, step: &mut Step) {
        let Some(record) = self.peers.get_mut(&peer).map(|peer| &mut peer.inner) else { return };
        let (ended, forgotten) = record.end_sessions(kept, now);
        for ended in ended {
            self.index.remove_session(&ended);
            ended.opening_id.iter().for_each(|id| self.index.end_opening(*id));
            step.ended.push(record.subject.of_session(ended.id));
        }
        self.index.forget_openings(forgotten);
        step.peers.insert(peer);
    }
}

/// Shows counts only.
impl<P: Primitives> fmt::Debug for Messenger<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messenger")
            .field("peers", &self.peers.len())
            .field("generation", &self.generation())
            .field("is_saved", &self.is_saved())
            .finish_non_exhaustive()
    }
}
