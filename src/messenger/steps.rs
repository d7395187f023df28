// SPDX-License-Identifier: MIT OR Apache-2.0
//! The steps of a [`Stored`] messenger: each is that of [`Messenger`], loaded, made and saved.

use super::error::{NewSession, OpenError, PeerError, Refused, SealError, Suspicion};
use super::exchange::{AT_ONCE, OUTBOX, is_to};
use super::failed::Failed;
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
        self.open_with(message, now, rng, |_| Vec::new())
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
        let opened = self.step(now, rng, |messenger, store, _| {
            let loaded = messenger.route(message, now)?.load(store).map_err(Failed::unread)?;
            Ok(messenger.open_with(message, loaded, now, &associated_data)?)
        });
        match opened {
            Ok(opened) => Ok(Mail::Opened(Box::new(opened))),
            Err(Failed::Step(OpenError::Refused(refused))) => Ok(Mail::Refused(refused)),
            Err(Failed::Step(OpenError::Deferred { until })) => Ok(Mail::Deferred { until }),
            Err(Failed::Step(error @ OpenError::Stored(_))) => {
                let route = self.messenger.route(message, now).ok();
                let session = route.and_then(|route| Some((route.peer()?, *route.subject()?)));
                session.map(|(peer, session)| Mail::Damaged { peer, session }).ok_or(Failed::Step(error))
            }
            Err(error) => Err(error),
        }
    }

    /// Seals a payload for a peer. Afterwards it is in the outbox. If the peer has a session on probation, a probe is
    /// sealed before it.
    ///
    /// Ask [`Messenger::needs_bundle`](super::Messenger::needs_bundle) first. If a new session is needed, pass a bundle
    /// of the peer, or `None` if the server has none: then the message goes on the session that there is, and
    /// [`Sealed::wanted`] says why that is not the best. So does a bundle whose signed prekey has expired.
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
        let (payload, mut wanted) = (payload.into(), None);
        let probe = self.probe(peer, now, rng)?;
        let outgoing = self.step(now, rng, |messenger, store, rng| {
            wanted = messenger.needs_bundle(peer, now)?;
            let can_send = messenger.peer(peer).is_some_and(|peer| peer.can_send);
            let bundle = bundle.as_ref().filter(|bundle| !can_send || messenger.is_usable(peer, bundle, now));
            if wanted.is_some()
                && let Some(bundle) = bundle
            {
                wanted = None;
                // A step that is repeated was not saved, and so the bundle was not used.
                let sealed = messenger.seal_with_bundle(peer, payload, bundle.duplicate(), now, rng);
                return Ok(sealed.map_err(SealError::from)?);
            }
            let loaded = messenger.route_to(peer)?.load(store).map_err(Failed::unread)?;
            Ok(match can_send {
                true => messenger.seal_on_session(peer, payload, loaded, now, rng)?,
                false => messenger.seal(peer, payload, loaded, now, rng)?,
            })
        })?;
        Ok(Sealed { outgoing, wanted, probe })
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
        if !self.may_answer(peer, now)? {
            return Ok(None);
        }
        unasked(self.step(now, rng, |messenger, store, rng| {
            let loaded = messenger.route_to(peer)?.load(store).map_err(Failed::unread)?;
            Ok(match payload {
                Some(payload) => messenger.seal_answer_with(peer, payload, loaded, now, rng)?,
                None => messenger.seal_answer(peer, loaded, now, rng)?,
            })
        }))
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
        let Some(author) = refused.author.filter(|_| refused.is_reportable()) else { return Ok(None) };
        if !self.may_answer(&author, now)? {
            return Ok(None);
        }
        unasked(self.step(now, rng, |messenger, store, rng| {
            let loaded = messenger.route_to(&author)?.load(store).map_err(Failed::unread)?;
            Ok(messenger.seal_receipt(refused, loaded, now, rng)?)
        }))
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
        self.step(now, rng, |messenger, _, rng| Ok(messenger.login(server_has, now, rng)?))
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
        if self.messenger.suspicion().is_some() || self.messenger.check_witness(witness).is_none() {
            return Ok(self.messenger.suspicion());
        }
        self.step(now, rng, |messenger, _, _| {
            let _ = messenger.check_witness(witness);
            Ok(messenger.save_notes(now)?)
        })
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
        let mut withdraw = Vec::new();
        let publication = self.step(now, rng, |messenger, _, rng| {
            // If they are another process's, this step is stale and runs again.
            withdraw = messenger.unknown_one_time_prekeys(server_has).collect();
            Ok(messenger.maintain(now, server_has, rng)?)
        })?;
        Ok(Upkeep { withdraw, publication })
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
        self.step(now, rng, |messenger, _, _| Ok(messenger.mark_published(publication, now)?))
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
        let added = self.step(now, rng, |messenger, _, rng| Ok(messenger.add_peer(name, None, now, rng)?));
        match (added, self.messenger.peer_named(name)) {
            (Err(Failed::Step(PeerError::Taken)), Some(peer)) => Ok(peer.id),
            (added, _) => added,
        }
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
        self.step(now, rng, |messenger, _, _| Ok(messenger.name_peer(peer, name, now)?))
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
        self.step(now, rng, |messenger, _, _| Ok(messenger.claim_identity(peer, identity, now)?))
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
        self.step(now, rng, |messenger, _, _| {
            let identity = messenger.identity_numbered(peer, number)?;
            Ok(messenger.set_verified(peer, &identity, now)?)
        })
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
        mut undelivered: impl FnMut(&OutboxMessage),
    ) -> Result<(), Failed<PeerError, S::Error>> {
        let _lock = self.store.exclusively(OUTBOX).map_err(Failed::unread)?;
        self.refresh(rng).map_err(Failed::Load)?;
        let identity = self.messenger.identity_to_accept(peer, number)?;
        // They are removed first: after a crash between the two, nothing goes to a device that cannot open it.
        for message in self.store.outbox(usize::MAX).map_err(Failed::unread)? {
            if is_to(peer, &message) {
                undelivered(&message);
                self.store.acknowledge(&message.message_id).map_err(Failed::unread)?;
            }
        }
        self.step(now, rng, |messenger, _, _| Ok(messenger.accept_identity(peer, &identity, now)?))
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
        self.step(now, rng, |messenger, _, _| {
            let identity = messenger.identity_numbered(peer, number)?;
            Ok(messenger.reject_identity(peer, &identity, now)?)
        })
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
        self.step(now, rng, |messenger, _, _| {
            let session = session.session_id().ok_or(PeerError::UnknownSession)?;
            Ok(messenger.end_session(peer, session, now)?)
        })
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
        self.step(now, rng, |messenger, _, _| Ok(messenger.forget(peer, now)?))
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
        self.step(now, rng, |messenger, _, _| Ok(messenger.delete()?))?;
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
        self.step(now, rng, |messenger, _, rng| Ok(messenger.restore_backup(now, rng)?))
    }

    /// Seals a probe if one is due.
    fn probe(
        &mut self,
        peer: &PeerId,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Option<Outgoing>, Failed<SealError, S::Error>> {
        if self.messenger.route_to_probe(peer).is_err() {
            return Ok(None);
        }
        unasked(self.step(now, rng, |messenger, store, rng| {
            let loaded = messenger.route_to_probe(peer)?.load(store).map_err(Failed::unread)?;
            Ok(messenger.seal_probe(peer, loaded, now, rng)?)
        }))
    }

    /// Returns whether an answer or a receipt to this peer may be sealed.
    fn may_answer<E>(&mut self, peer: &PeerId, now: UnixSeconds) -> Result<bool, Failed<E, S::Error>> {
        if !self.messenger.may_answer(peer, now) {
            return Ok(false);
        }
        let mut after = None;
        loop {
            let page = self.store.outbox_after(after, AT_ONCE).map_err(Failed::unread)?;
            let Some(last) = page.last() else { return Ok(true) };
            if page.iter().any(|message| is_to(peer, message)) {
                return Ok(false);
            }
            after = Some(last.position);
        }
    }
}

/// A message that nobody has asked for. If it cannot be sealed now, nothing is lost.
fn unasked<S>(sealed: Result<Outgoing, Failed<SealError, S>>) -> Result<Option<Outgoing>, Failed<SealError, S>> {
    match sealed {
        Ok(sealed) => Ok(Some(sealed)),
        Err(Failed::Step(error)) if !matches!(error, SealError::Suspect(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
