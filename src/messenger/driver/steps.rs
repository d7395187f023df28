// SPDX-License-Identifier: MIT OR Apache-2.0
//! The steps, each documented at its method of [`Stored`](super::Stored). Those that only call the messenger's own step
//! are in that method.

use super::{Driver, On};
use crate::durable::{OutboxMessage, StepError};
use crate::identity::Identity;
use crate::messenger::error::{OpenError, PeerError, Refused, SealError, Suspicion};
use crate::messenger::exchange::{AT_ONCE, OUTBOX, is_to};
use crate::messenger::failed::Failed;
use crate::messenger::io::MailboxIo;
use crate::messenger::kept::OutboxLock;
use crate::messenger::opening::Author;
use crate::messenger::peers::PeerId;
use crate::messenger::restored::LOGIN_NONCE_LEN;
use crate::messenger::sealing::Outgoing;
use crate::messenger::steps::{Mail, Sealed, Upkeep};
use crate::messenger::{Messenger, Stored};
use crate::payload::Payload;
use crate::prekeys::{Bundle, PrekeyId, Publication};
use crate::primitives::Primitives;
use crate::snapshot::Subject;
use crate::time::UnixSeconds;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::convert::Infallible;
use rand_core::CryptoRng;

impl<M: MailboxIo<S>, S, P: Primitives> Driver<'_, M, S, P> {
    pub(in crate::messenger) async fn open(
        &mut self,
        message: &[u8],
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
        associated_data: impl Fn(&Author<'_>) -> Vec<u8>,
    ) -> Result<Mail, Failed<OpenError, M::Error>> {
        let opened = self.step_on(
            now,
            rng,
            |messenger| messenger.route(message, now),
            |messenger, loaded, _| messenger.open_with(message, loaded, now, &associated_data),
        );
        match opened.await {
            Ok(opened) => Ok(Mail::Opened(Box::new(opened))),
            Err(Failed::Step(OpenError::Refused(refused))) => Ok(Mail::Refused(refused)),
            Err(Failed::Step(OpenError::Deferred { until })) => Ok(Mail::Deferred { until }),
            Err(Failed::Step(error @ OpenError::Stored(_))) => {
                let route = self.stored.messenger.route(message, now).ok();
                let session = route.and_then(|route| Some((route.peer()?, *route.subject()?)));
                session.map(|(peer, session)| Mail::Damaged { peer, session }).ok_or(Failed::Step(error))
            }
            Err(error) => Err(error),
        }
    }

    pub(in crate::messenger) async fn seal(
        &mut self,
        peer: &PeerId,
        payload: Payload<'_>,
        bundle: Option<Bundle>,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Sealed, Failed<SealError, M::Error>> {
        let probe = self.probe(peer, now, rng).await?;
        let mut wanted = None;
        let outgoing = self.step_on(
            now,
            rng,
            |messenger| {
                wanted = messenger.needs_bundle(peer, now)?;
                let usable =
                    bundle.as_ref().filter(|of| !can_send(messenger, peer) || messenger.is_usable(peer, of, now));
                if wanted.is_some()
                    && let Some(bundle) = usable
                {
                    wanted = None;
                    return Ok(On::Bundle(bundle));
                }
                messenger.route_to(peer).map(On::Session)
            },
            |messenger, on, rng| match on {
                On::Session(loaded) if can_send(messenger, peer) => {
                    messenger.seal_on_session(peer, payload, loaded, now, rng)
                }
                On::Session(loaded) => messenger.seal(peer, payload, loaded, now, rng),
                // A step that is repeated was not saved, and so the bundle was not used.
                On::Bundle(bundle) => Ok(messenger.seal_with_bundle(peer, payload, bundle.duplicate(), now, rng)?),
            },
        );
        let outgoing = outgoing.await?;
        Ok(Sealed { outgoing, wanted, probe })
    }

    pub(in crate::messenger) async fn answer(
        &mut self,
        peer: &PeerId,
        payload: Option<Payload<'_>>,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Option<Outgoing>, Failed<SealError, M::Error>> {
        if !self.may_answer(peer, now).await? {
            return Ok(None);
        }
        let sealed = self.step_on(
            now,
            rng,
            |messenger| messenger.route_to(peer),
            |messenger, loaded, rng| match payload {
                Some(payload) => messenger.seal_answer_with(peer, payload, loaded, now, rng),
                None => messenger.seal_answer(peer, loaded, now, rng),
            },
        );
        unasked(sealed.await)
    }

    pub(in crate::messenger) async fn report(
        &mut self,
        refused: &Refused,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Option<Outgoing>, Failed<SealError, M::Error>> {
        let Some(author) = refused.author.filter(|_| refused.is_reportable()) else { return Ok(None) };
        if !self.may_answer(&author, now).await? {
            return Ok(None);
        }
        let sealed = self.step_on(
            now,
            rng,
            |messenger| messenger.route_to(&author),
            |messenger, loaded, rng| messenger.seal_receipt(refused, loaded, now, rng),
        );
        unasked(sealed.await)
    }

    pub(in crate::messenger) async fn login(
        &mut self,
        server_has: Option<&[u8; LOGIN_NONCE_LEN]>,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<[u8; LOGIN_NONCE_LEN], Failed<StepError<Suspicion>, M::Error>> {
        self.step(now, rng, |messenger, rng| messenger.login(server_has, now, rng)).await
    }

    pub(in crate::messenger) async fn check_witness(
        &mut self,
        witness: u64,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Option<Suspicion>, Failed<StepError<Infallible>, M::Error>> {
        let messenger = &mut self.stored.messenger;
        if messenger.suspicion().is_some() || messenger.check_witness(witness).is_none() {
            return Ok(messenger.suspicion());
        }
        let check = self.step(now, rng, |messenger, _| {
            let _ = messenger.check_witness(witness);
            messenger.save_notes(now)
        });
        check.await
    }

    pub(in crate::messenger) async fn maintain(
        &mut self,
        server_has: &[PrekeyId],
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Upkeep, Failed<StepError<Suspicion>, M::Error>> {
        let mut withdraw = Vec::new();
        let publication = self.step(now, rng, |messenger, rng| {
            // If they are another process's, this step is stale and runs again.
            withdraw = messenger.unknown_one_time_prekeys(server_has).collect();
            messenger.maintain(now, server_has, rng)
        });
        let publication = publication.await?;
        Ok(Upkeep { withdraw, publication })
    }

    pub(in crate::messenger) async fn find_or_add_peer(
        &mut self,
        name: &[u8],
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<PeerId, Failed<PeerError, M::Error>> {
        let added = self.step(now, rng, |messenger, rng| messenger.add_peer(name, None, now, rng)).await;
        match (added, self.stored.messenger.peer_named(name)) {
            (Err(Failed::Step(PeerError::Taken)), Some(peer)) => Ok(peer.id),
            (added, _) => added,
        }
    }

    pub(in crate::messenger) async fn accept(
        &mut self,
        peer: &PeerId,
        number: &str,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
        mut undelivered: impl FnMut(&OutboxMessage),
    ) -> Result<(), Failed<PeerError, M::Error>> {
        // An event function of an exchange that delivers is under the lock already.
        let _lock = match self.stored.outbox {
            OutboxLock::Free => Some(M::exclusively(&mut self.stored.store, OUTBOX).await.map_err(Failed::unread)?),
            OutboxLock::Held | OutboxLock::Changed => {
                self.stored.outbox = OutboxLock::Changed;
                None
            }
        };
        self.refresh(rng).await.map_err(Failed::Load)?;
        let Stored { messenger, store, .. } = &mut *self.stored;
        let identity = messenger.identity_to_accept(peer, number)?;
        // They are removed first: after a crash between the two, nothing goes to a device that cannot open it.
        for message in M::outbox_after(store, None, usize::MAX).await.map_err(Failed::unread)? {
            if is_to(peer, &message) {
                undelivered(&message);
                M::acknowledge(store, &message.message_id).await.map_err(Failed::unread)?;
            }
        }
        self.step(now, rng, |messenger, _| messenger.accept_identity(peer, &identity, now)).await
    }

    pub(in crate::messenger) async fn published(
        &mut self,
        publication: &Publication,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<(), Failed<StepError<Suspicion>, M::Error>> {
        self.step(now, rng, |messenger, _| messenger.mark_published(publication, now)).await
    }

    pub(in crate::messenger) async fn name_peer(
        &mut self,
        peer: &PeerId,
        name: &[u8],
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<(), Failed<PeerError, M::Error>> {
        self.step(now, rng, |messenger, _| messenger.name_peer(peer, name, now)).await
    }

    pub(in crate::messenger) async fn claim_identity(
        &mut self,
        peer: &PeerId,
        identity: &Identity,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<(), Failed<PeerError, M::Error>> {
        self.step(now, rng, |messenger, _| messenger.claim_identity(peer, identity, now)).await
    }

    pub(in crate::messenger) async fn verify(
        &mut self,
        peer: &PeerId,
        number: &str,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<(), Failed<PeerError, M::Error>> {
        self.step(now, rng, |messenger, _| {
            let identity = messenger.identity_numbered(peer, number)?;
            messenger.set_verified(peer, &identity, now)
        })
        .await
    }

    pub(in crate::messenger) async fn reject(
        &mut self,
        peer: &PeerId,
        number: &str,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<(), Failed<PeerError, M::Error>> {
        self.step(now, rng, |messenger, _| {
            let identity = messenger.identity_numbered(peer, number)?;
            messenger.reject_identity(peer, &identity, now)
        })
        .await
    }

    pub(in crate::messenger) async fn end_session(
        &mut self,
        peer: &PeerId,
        session: &Subject,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<(), Failed<PeerError, M::Error>> {
        self.step(now, rng, |messenger, _| {
            let session = session.session_id().ok_or(PeerError::UnknownSession)?;
            messenger.end_session(peer, session, now)
        })
        .await
    }

    pub(in crate::messenger) async fn forget(
        &mut self,
        peer: &PeerId,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<(), Failed<PeerError, M::Error>> {
        self.step(now, rng, |messenger, _| messenger.forget(peer, now)).await
    }

    pub(in crate::messenger) async fn delete(
        &mut self,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<(), Failed<StepError<Infallible>, M::Error>> {
        self.step(now, rng, |messenger, _| messenger.delete()).await
    }

    pub(in crate::messenger) async fn renew(
        &mut self,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Publication, Failed<StepError<Infallible>, M::Error>> {
        self.step(now, rng, |messenger, rng| messenger.restore_backup(now, rng)).await
    }

    /// Seals a probe if one is due.
    async fn probe(
        &mut self,
        peer: &PeerId,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Option<Outgoing>, Failed<SealError, M::Error>> {
        if self.stored.messenger.route_to_probe(peer).is_err() {
            return Ok(None);
        }
        let sealed = self.step_on(
            now,
            rng,
            |messenger| messenger.route_to_probe(peer),
            |messenger, loaded, rng| messenger.seal_probe(peer, loaded, now, rng),
        );
        unasked(sealed.await)
    }

    /// Returns whether an answer or a receipt to this peer may be sealed.
    async fn may_answer<E>(&mut self, peer: &PeerId, now: UnixSeconds) -> Result<bool, Failed<E, M::Error>> {
        let Stored { messenger, store, .. } = &mut *self.stored;
        if !messenger.may_answer(peer, now) {
            return Ok(false);
        }
        let mut after = None;
        loop {
            let page = M::outbox_after(store, after, AT_ONCE).await.map_err(Failed::unread)?;
            let Some(last) = page.last() else { return Ok(true) };
            if page.iter().any(|message| is_to(peer, message)) {
                return Ok(false);
            }
            after = Some(last.position);
        }
    }
}

fn can_send<P: Primitives>(messenger: &Messenger<P>, peer: &PeerId) -> bool {
    messenger.peer(peer).is_some_and(|peer| peer.can_send)
}

/// A message that nobody has asked for. If it cannot be sealed now, nothing is lost.
fn unasked<S>(sealed: Result<Outgoing, Failed<SealError, S>>) -> Result<Option<Outgoing>, Failed<SealError, S>> {
    match sealed {
        Ok(sealed) => Ok(Some(sealed)),
        Err(Failed::Step(error)) if !matches!(error, SealError::Suspect(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
