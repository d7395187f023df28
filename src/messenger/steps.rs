// SPDX-License-Identifier: MIT OR Apache-2.0
//! The steps of a [`Stored`] messenger: each is that of [`Messenger`], loaded, made and saved.

use super::error::{NewSession, OpenError, PeerError, Refused, SealError, Suspicion};
use super::failed::Failed;
use super::io;
use super::kept::Stored;
use super::opening::{Author, Opened};
use super::peers::PeerId;
use super::restored::LOGIN_NONCE_LEN;
use super::sealing::Outgoing;
use crate::durable::{Mailboxes, OutboxMessage, StepError};
use crate::identity::Identity;
use crate::payload::Payload;
use crate::prekeys::{Bundle, PrekeyId, Publication};
use crate::primitives::Primitives;
use crate::snapshot::Subject;
use crate::time::UnixSeconds;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::convert::Infallible;
use rand_core::CryptoRng;

/// What became of a message that has arrived.
#[derive(Debug)]
#[non_exhaustive]
pub enum Mail {
    /// It was opened and saved: show it, and acknowledge it to the server.
    Opened(Box<Opened>),
    /// It will not open. Acknowledge it to the server, and follow [`Refusal::remedy`](super::Refusal::remedy).
    Refused(Refused),
    /// Leave it at the server, and try again at this time.
    Deferred {
        /// When to try again.
        until: UnixSeconds,
    },
    /// The stored rows of its session are damaged. Leave it at the server, and ask the user: after
    /// [`end_session`](Stored::end_session) the peer's next session can be opened, and this message is refused.
    Damaged {
        /// With whom the session is.
        peer: PeerId,
        /// The session, by its name in the store.
        session: Subject,
    },
}

/// A sealed message that is saved in the outbox.
#[derive(Debug)]
#[non_exhaustive]
pub struct Sealed {
    /// The message.
    pub outgoing: Outgoing,
    /// Why a new session was needed, if the message went on an old one because there was no bundle that is valid.
    pub wanted: Option<NewSession>,
    /// The probe that was sealed before the message, if the peer has a session on probation. It is in the outbox, too.
    pub probe: Option<Outgoing>,
}

/// What to do at the server about prekeys, in this order.
#[derive(Debug)]
#[non_exhaustive]
pub struct Upkeep {
    /// Have the server withdraw these one-time prekeys, which this device does not have.
    pub withdraw: Vec<PrekeyId>,
    /// Upload this. Then call [`Stored::published`].
    pub publication: Publication,
}

impl<S: Mailboxes, P: Primitives> Stored<S, P> {
    /// Opens a message of any peer. A refusal that has an effect on the next message to its author is saved.
    ///
    /// # Errors
    /// [`OpenError::Suspect`], or an error of the store.
    pub fn open(
        &mut self,
        message: &[u8],
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Mail, Failed<OpenError, S::Error>> {
        io::completed(self.blocking().open(message, now, rng, |_| Vec::new()))
    }

    /// Opens a message as [`open`](Self::open) does. `associated_data` returns what the author has passed to
    /// [`seal`](Self::seal).
    ///
    /// # Errors
    /// As there.
    pub fn open_with(
        &mut self,
        message: &[u8],
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
        associated_data: impl Fn(&Author<'_>) -> Vec<u8>,
    ) -> Result<Mail, Failed<OpenError, S::Error>> {
        io::completed(self.blocking().open(message, now, rng, associated_data))
    }

    /// Seals a payload for a peer. Afterwards it is in the outbox. If the peer has a session on probation, a probe is
    /// sealed before it.
    ///
    /// Ask [`Messenger::needs_bundle`](super::Messenger::needs_bundle) first. If a new session is needed, pass a bundle
    /// of the peer, or `None` if the server has none: then the message is sealed in the existing session, and
    /// [`Sealed::wanted`] says why that is not the best. A bundle with an expired signed prekey does the same.
    ///
    /// # Errors
    /// [`SealError`], with [`NeedsBundle`](SealError::NeedsBundle) if there is neither a bundle nor a session, or an
    /// error of the store. If the bundle has shown another identity, that is saved.
    pub fn seal<'p>(
        &mut self,
        peer: &PeerId,
        payload: impl Into<Payload<'p>>,
        bundle: Option<Bundle>,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Sealed, Failed<SealError, S::Error>> {
        io::completed(self.blocking().seal(peer, payload.into(), bundle, now, rng))
    }

    /// Seals an answer to a peer whose message [asks for one](Opened::should_answer): the payload, or else a message
    /// without content. Afterwards it is in the outbox. There is none for a stranger, none within [an
    /// hour](super::policy::ANSWER_INTERVAL) after another answer or a receipt to the peer, and none while a message to the
    /// peer waits in the outbox: a peer that asks without end, and has nothing delivered, fills no outbox. That is not an
    /// error, nor is what cannot be sealed now: a later message answers as well.
    ///
    /// # Errors
    /// [`SealError::Suspect`], or an error of the store.
    pub fn answer(
        &mut self,
        peer: &PeerId,
        payload: Option<Payload<'_>>,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Option<Outgoing>, Failed<SealError, S::Error>> {
        io::completed(self.blocking().answer(peer, payload, now, rng))
    }

    /// Seals a receipt about a message that was refused, if that is [possible](Refused::is_reportable), on the same
    /// conditions as an [answer](Self::answer) to its author. Afterwards it is in the outbox.
    ///
    /// # Errors
    /// [`SealError::Suspect`], or an error of the store.
    pub fn report(
        &mut self,
        refused: &Refused,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Option<Outgoing>, Failed<SealError, S::Error>> {
        io::completed(self.blocking().report(refused, now, rng))
    }

    /// Compares the login nonce that the server has, and returns the one to give it in exchange, as
    /// [`Messenger::login`](super::Messenger::login) does. Let one process at a time log in and hand over the nonce.
    ///
    /// # Errors
    /// [`StepError::Failed`] if the messenger is suspect, which is saved then, or an error of the store.
    pub fn login(
        &mut self,
        server_has: Option<&[u8; LOGIN_NONCE_LEN]>,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<[u8; LOGIN_NONCE_LEN], Failed<StepError<Suspicion>, S::Error>> {
        io::completed(self.blocking().login(server_has, now, rng))
    }

    /// Compares the store with a witness that the application keeps, as
    /// [`Messenger::check_witness`](super::Messenger::check_witness) does. What it shows is saved.
    ///
    /// # Errors
    /// An error of the store.
    pub fn check_witness(
        &mut self,
        witness: u64,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Option<Suspicion>, Failed<StepError<Infallible>, S::Error>> {
        io::completed(self.blocking().check_witness(witness, now, rng))
    }

    /// Makes and deletes the prekeys that are due, and says what to do at the server, which lists `server_has`, as
    /// [`Messenger::maintain`](super::Messenger::maintain) does.
    ///
    /// # Errors
    /// [`StepError::Failed`] if the messenger is suspect, or an error of the store.
    pub fn maintain(
        &mut self,
        server_has: &[PrekeyId],
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Upkeep, Failed<StepError<Suspicion>, S::Error>> {
        io::completed(self.blocking().maintain(server_has, now, rng))
    }

    /// Takes note that the server has taken this publication.
    ///
    /// # Errors
    /// [`StepError::Failed`] if the messenger is suspect, or an error of the store.
    pub fn published(
        &mut self,
        publication: &Publication,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<(), Failed<StepError<Suspicion>, S::Error>> {
        io::completed(self.blocking().published(publication, now, rng))
    }

    /// Returns the peer with this name, a new one if there is none.
    ///
    /// # Errors
    /// [`PeerError`], or an error of the store.
    pub fn find_or_add_peer(
        &mut self,
        name: &[u8],
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<PeerId, Failed<PeerError, S::Error>> {
        io::completed(self.blocking().find_or_add_peer(name, now, rng))
    }

    /// Names a peer, as [`Messenger::name_peer`](super::Messenger::name_peer) does.
    ///
    /// # Errors
    /// [`PeerError`], or an error of the store.
    pub fn name_peer(
        &mut self,
        peer: &PeerId,
        name: &[u8],
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<(), Failed<PeerError, S::Error>> {
        io::completed(self.blocking().name_peer(peer, name, now, rng))
    }

    /// Takes note that another identity claims to be this peer, as
    /// [`Messenger::claim_identity`](super::Messenger::claim_identity) does.
    ///
    /// # Errors
    /// [`PeerError`], or an error of the store.
    pub fn claim_identity(
        &mut self,
        peer: &PeerId,
        identity: &Identity,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<(), Failed<PeerError, S::Error>> {
        io::completed(self.blocking().claim_identity(peer, identity, now, rng))
    }

    /// Takes note that the user has compared this safety number with the peer, as
    /// [`Messenger::set_verified`](super::Messenger::set_verified) does.
    ///
    /// # Errors
    /// [`PeerError::OtherIdentity`] if it is not the number of the pinned identity, another [`PeerError`], or an error of
    /// the store.
    pub fn verify(
        &mut self,
        peer: &PeerId,
        number: &str,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<(), Failed<PeerError, S::Error>> {
        io::completed(self.blocking().verify(peer, number, now, rng))
    }

    /// Accepts the identity that claims to be this peer, as
    /// [`Messenger::accept_identity`](super::Messenger::accept_identity) does, if this is its safety number. Messages
    /// in the outbox, which are for the device that the peer had, are removed: `undelivered` shows each to the user
    /// first, who may send it again. No process sends meanwhile, by the [lock](Mailboxes::exclusively) of the outbox.
    ///
    /// # Errors
    /// [`PeerError::OtherIdentity`] if it is not the number of that identity, another [`PeerError`], or an error of the
    /// store.
    pub fn accept(
        &mut self,
        peer: &PeerId,
        number: &str,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
        undelivered: impl FnMut(&OutboxMessage),
    ) -> Result<(), Failed<PeerError, S::Error>> {
        io::completed(self.blocking().accept(peer, number, now, rng, undelivered))
    }

    /// Rejects the identity that claims to be this peer, as
    /// [`Messenger::reject_identity`](super::Messenger::reject_identity) does, if this is its safety number.
    ///
    /// # Errors
    /// As [`accept`](Self::accept).
    pub fn reject(
        &mut self,
        peer: &PeerId,
        number: &str,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<(), Failed<PeerError, S::Error>> {
        io::completed(self.blocking().reject(peer, number, now, rng))
    }

    /// Ends a session of a peer, as [`Messenger::end_session`](super::Messenger::end_session) does: the one that
    /// [`Mail::Damaged`] names, or that [`Messenger::route_to`](super::Messenger::route_to) does if sealing fails.
    ///
    /// # Errors
    /// [`PeerError`], or an error of the store.
    pub fn end_session(
        &mut self,
        peer: &PeerId,
        session: &Subject,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<(), Failed<PeerError, S::Error>> {
        io::completed(self.blocking().end_session(peer, session, now, rng))
    }

    /// Forgets a peer with everything that the store keeps of it, as [`Messenger::forget`](super::Messenger::forget)
    /// does.
    ///
    /// # Errors
    /// [`PeerError`], or an error of the store.
    pub fn forget(
        &mut self,
        peer: &PeerId,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<(), Failed<PeerError, S::Error>> {
        io::completed(self.blocking().forget(peer, now, rng))
    }

    /// Deletes the account from the store, as [`Messenger::delete`](super::Messenger::delete) does. Returns the store,
    /// for what is left to erase.
    ///
    /// # Errors
    /// An error of the store. The account may be deleted then: load it, and if it is
    /// [`Missing`](crate::durable::LoadError::Missing), it is.
    pub fn delete(
        mut self,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<S, Failed<StepError<Infallible>, S::Error>> {
        io::completed(self.blocking().delete(now, rng))?;
        Ok(self.store)
    }

    /// Renews the messenger after its store was put back, as
    /// [`Messenger::restore_backup`](super::Messenger::restore_backup) does. [`restore_backup`](Self::restore_backup)
    /// does what belongs to it at the server, too.
    ///
    /// # Errors
    /// An error of the store.
    pub fn renew(
        &mut self,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Publication, Failed<StepError<Infallible>, S::Error>> {
        io::completed(self.blocking().renew(now, rng))
    }
}
