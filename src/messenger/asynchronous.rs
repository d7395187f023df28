// SPDX-License-Identifier: MIT OR Apache-2.0
//! The steps of a [`Stored`] messenger whose store's operations are futures.

use super::error::{OpenError, PeerError, Refused, SealError, Suspicion};
use super::failed::Failed;
use super::kept::Stored;
use super::opening::Author;
use super::peers::PeerId;
use super::restored::LOGIN_NONCE_LEN;
use super::sealing::Outgoing;
use super::steps::{Mail, Sealed, Upkeep};
use crate::durable::{AsyncMailboxes, OutboxMessage, StepError};
use crate::identity::Identity;
use crate::payload::Payload;
use crate::prekeys::{Bundle, PrekeyId, Publication};
use crate::primitives::Primitives;
use crate::snapshot::Subject;
use crate::time::UnixSeconds;
use alloc::vec::Vec;
use core::convert::Infallible;
use rand_core::CryptoRng;

impl<S: AsyncMailboxes, P: Primitives> Stored<S, P> {
    /// Does what [`open`](Self::open) does.
    ///
    /// # Errors
    /// As there.
    pub async fn open_async(
        &mut self,
        message: &[u8],
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Mail, Failed<OpenError, S::Error>> {
        self.futures().open(message, now, rng, |_| Vec::new()).await
    }

    /// Does what [`open_with`](Self::open_with) does.
    ///
    /// # Errors
    /// As there.
    pub async fn open_with_async(
        &mut self,
        message: &[u8],
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
        associated_data: impl Fn(&Author<'_>) -> Vec<u8>,
    ) -> Result<Mail, Failed<OpenError, S::Error>> {
        self.futures().open(message, now, rng, associated_data).await
    }

    /// Does what [`seal`](Self::seal) does.
    ///
    /// # Errors
    /// As there.
    pub async fn seal_async<'p>(
        &mut self,
        peer: &PeerId,
        payload: impl Into<Payload<'p>>,
        bundle: Option<Bundle>,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Sealed, Failed<SealError, S::Error>> {
        self.futures().seal(peer, payload.into(), bundle, now, rng).await
    }

    /// Does what [`answer`](Self::answer) does.
    ///
    /// # Errors
    /// As there.
    pub async fn answer_async(
        &mut self,
        peer: &PeerId,
        payload: Option<Payload<'_>>,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Option<Outgoing>, Failed<SealError, S::Error>> {
        self.futures().answer(peer, payload, now, rng).await
    }

    /// Does what [`report`](Self::report) does.
    ///
    /// # Errors
    /// As there.
    pub async fn report_async(
        &mut self,
        refused: &Refused,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Option<Outgoing>, Failed<SealError, S::Error>> {
        self.futures().report(refused, now, rng).await
    }

    /// Does what [`login`](Self::login) does.
    ///
    /// # Errors
    /// As there.
    pub async fn login_async(
        &mut self,
        server_has: Option<&[u8; LOGIN_NONCE_LEN]>,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<[u8; LOGIN_NONCE_LEN], Failed<StepError<Suspicion>, S::Error>> {
        self.futures().login(server_has, now, rng).await
    }

    /// Does what [`check_witness`](Self::check_witness) does.
    ///
    /// # Errors
    /// As there.
    pub async fn check_witness_async(
        &mut self,
        witness: u64,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Option<Suspicion>, Failed<StepError<Infallible>, S::Error>> {
        self.futures().check_witness(witness, now, rng).await
    }

    /// Does what [`maintain`](Self::maintain) does.
    ///
    /// # Errors
    /// As there.
    pub async fn maintain_async(
        &mut self,
        server_has: &[PrekeyId],
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Upkeep, Failed<StepError<Suspicion>, S::Error>> {
        self.futures().maintain(server_has, now, rng).await
    }

    /// Does what [`published`](Self::published) does.
    ///
    /// # Errors
    /// As there.
    pub async fn published_async(
        &mut self,
        publication: &Publication,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<(), Failed<StepError<Suspicion>, S::Error>> {
        self.futures().published(publication, now, rng).await
    }

    /// Does what [`find_or_add_peer`](Self::find_or_add_peer) does.
    ///
    /// # Errors
    /// As there.
    pub async fn find_or_add_peer_async(
        &mut self,
        name: &[u8],
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<PeerId, Failed<PeerError, S::Error>> {
        self.futures().find_or_add_peer(name, now, rng).await
    }

    /// Does what [`name_peer`](Self::name_peer) does.
    ///
    /// # Errors
    /// As there.
    pub async fn name_peer_async(
        &mut self,
        peer: &PeerId,
        name: &[u8],
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<(), Failed<PeerError, S::Error>> {
        self.futures().name_peer(peer, name, now, rng).await
    }

    /// Does what [`claim_identity`](Self::claim_identity) does.
    ///
    /// # Errors
    /// As there.
    pub async fn claim_identity_async(
        &mut self,
        peer: &PeerId,
        identity: &Identity,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<(), Failed<PeerError, S::Error>> {
        self.futures().claim_identity(peer, identity, now, rng).await
    }

    /// Does what [`verify`](Self::verify) does.
    ///
    /// # Errors
    /// As there.
    pub async fn verify_async(
        &mut self,
        peer: &PeerId,
        number: &str,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<(), Failed<PeerError, S::Error>> {
        self.futures().verify(peer, number, now, rng).await
    }

    /// Does what [`accept`](Self::accept) does.
    ///
    /// # Errors
    /// As there.
    pub async fn accept_async(
        &mut self,
        peer: &PeerId,
        number: &str,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
        undelivered: impl FnMut(&OutboxMessage),
    ) -> Result<(), Failed<PeerError, S::Error>> {
        self.futures().accept(peer, number, now, rng, undelivered).await
    }

    /// Does what [`reject`](Self::reject) does.
    ///
    /// # Errors
    /// As there.
    pub async fn reject_async(
        &mut self,
        peer: &PeerId,
        number: &str,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<(), Failed<PeerError, S::Error>> {
        self.futures().reject(peer, number, now, rng).await
    }

    /// Does what [`end_session`](Self::end_session) does.
    ///
    /// # Errors
    /// As there.
    pub async fn end_session_async(
        &mut self,
        peer: &PeerId,
        session: &Subject,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<(), Failed<PeerError, S::Error>> {
        self.futures().end_session(peer, session, now, rng).await
    }

    /// Does what [`forget`](Self::forget) does.
    ///
    /// # Errors
    /// As there.
    pub async fn forget_async(
        &mut self,
        peer: &PeerId,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<(), Failed<PeerError, S::Error>> {
        self.futures().forget(peer, now, rng).await
    }

    /// Does what [`delete`](Self::delete) does.
    ///
    /// # Errors
    /// As there.
    pub async fn delete_async(
        mut self,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<S, Failed<StepError<Infallible>, S::Error>> {
        self.futures().delete(now, rng).await?;
        Ok(self.store)
    }

    /// Does what [`renew`](Self::renew) does.
    ///
    /// # Errors
    /// As there.
    pub async fn renew_async(
        &mut self,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Publication, Failed<StepError<Infallible>, S::Error>> {
        self.futures().renew(now, rng).await
    }
}
