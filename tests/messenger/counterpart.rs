// SPDX-License-Identifier: MIT OR Apache-2.0
//! A stored messenger whose store's operations are futures, with the methods of one whose store blocks: each completes
//! the method of futures.

use super::disk::Broken;
use super::hub::{Down, Line};
use super::shared::Shared;
use super::waiting::block_on;
use noescrow::durable::{CommitError, LoadError, OutboxMessage, StepError, Subject, Unsaved};
use noescrow::messenger::exchange::{self, Answers, AsyncEvents, Event, ExchangeFailed, Fetched};
use noescrow::messenger::{
    self, Failed, LOGIN_NONCE_LEN, Loaded, Mail, Messenger, OpenError, Outgoing, PeerError, PeerId, Refused, Route,
    SealError, Sealed, Suspicion, Upkeep,
};
use noescrow::{Bundle, Device, Identity, Payload, PrekeyId, Publication, StorageKey, UnixSeconds};
use rand_chacha::ChaCha20Rng;
use std::convert::Infallible;
use std::future::ready;

pub struct Stored<S>(pub messenger::Stored<S>);

pub struct Connected<'a>(exchange::Connected<'a, Line, Shared>);

impl Stored<Shared> {
    pub fn create(
        device: Device,
        store: Shared,
        key: &StorageKey,
        rng: &mut ChaCha20Rng,
    ) -> Result<Self, CommitError<Broken>> {
        block_on(messenger::Stored::create_async(device, store, key, rng)).map(Self)
    }

    pub fn load(
        store: Shared,
        key: &StorageKey,
        subject: &Subject,
        rng: &mut ChaCha20Rng,
    ) -> Result<Self, LoadError<Broken>> {
        block_on(messenger::Stored::load_async(store, key, subject, rng)).map(Self)
    }

    pub fn messenger(&self) -> &Messenger {
        self.0.messenger()
    }

    pub fn store(&mut self) -> &mut Shared {
        self.0.store()
    }

    pub fn delete(
        self,
        now: UnixSeconds,
        rng: &mut ChaCha20Rng,
    ) -> Result<Shared, Failed<StepError<Infallible>, Broken>> {
        block_on(self.0.delete_async(now, rng))
    }

    pub fn step_on<T, E>(
        &mut self,
        now: UnixSeconds,
        rng: &mut ChaCha20Rng,
        route: impl FnMut(&mut Messenger) -> Result<Route, E>,
        make: impl for<'a> FnMut(&'a mut Messenger, Loaded, &mut ChaCha20Rng) -> Result<Unsaved<'a, T>, E>,
    ) -> Result<T, Failed<E, Broken>> {
        block_on(self.0.step_on_async(now, rng, route, make))
    }

    pub fn connect<'a>(
        &'a mut self,
        server: &'a mut Line,
        now: UnixSeconds,
        rng: &mut ChaCha20Rng,
    ) -> Result<Connected<'a>, ExchangeFailed<Down, Broken>> {
        block_on(self.0.connect_async(server, now, rng)).map(Connected)
    }

    pub fn restore_backup(
        &mut self,
        server: &mut Line,
        now: UnixSeconds,
        rng: &mut ChaCha20Rng,
    ) -> Result<(), ExchangeFailed<Down, Broken>> {
        block_on(self.0.restore_backup_async(server, now, rng))
    }

    pub fn seal<'p>(
        &mut self,
        peer: &PeerId,
        payload: impl Into<Payload<'p>>,
        bundle: Option<Bundle>,
        now: UnixSeconds,
        rng: &mut ChaCha20Rng,
    ) -> Result<Sealed, Failed<SealError, Broken>> {
        block_on(self.0.seal_async(peer, payload, bundle, now, rng))
    }

    pub fn accept(
        &mut self,
        peer: &PeerId,
        number: &str,
        now: UnixSeconds,
        rng: &mut ChaCha20Rng,
        undelivered: impl FnMut(&OutboxMessage),
    ) -> Result<(), Failed<PeerError, Broken>> {
        block_on(self.0.accept_async(peer, number, now, rng, undelivered))
    }

    pub fn refresh(&mut self, rng: &mut ChaCha20Rng) -> Result<bool, LoadError<Broken>> {
        block_on(self.0.refresh_async(rng))
    }
}

/// Methods that are called by these names with these arguments, `now` and `rng`.
macro_rules! counterparts {
    ($($name:ident = $counterpart:ident($($argument:ident: $type:ty),*) -> $output:ty, $error:ty;)*) => {
        impl Stored<Shared> {
            $(pub fn $name(
                &mut self,
                $($argument: $type,)*
                now: UnixSeconds,
                rng: &mut ChaCha20Rng,
            ) -> Result<$output, Failed<$error, Broken>> {
                block_on(self.0.$counterpart($($argument,)* now, rng))
            })*
        }
    };
}

counterparts! {
    open = open_async(message: &[u8]) -> Mail, OpenError;
    answer = answer_async(peer: &PeerId, payload: Option<Payload<'_>>) -> Option<Outgoing>, SealError;
    report = report_async(refused: &Refused) -> Option<Outgoing>, SealError;
    login = login_async(server_has: Option<&[u8; LOGIN_NONCE_LEN]>) -> [u8; LOGIN_NONCE_LEN], StepError<Suspicion>;
    check_witness = check_witness_async(witness: u64) -> Option<Suspicion>, StepError<Infallible>;
    maintain = maintain_async(server_has: &[PrekeyId]) -> Upkeep, StepError<Suspicion>;
    published = published_async(publication: &Publication) -> (), StepError<Suspicion>;
    find_or_add_peer = find_or_add_peer_async(name: &[u8]) -> PeerId, PeerError;
    name_peer = name_peer_async(peer: &PeerId, name: &[u8]) -> (), PeerError;
    claim_identity = claim_identity_async(peer: &PeerId, identity: &Identity) -> (), PeerError;
    verify = verify_async(peer: &PeerId, number: &str) -> (), PeerError;
    reject = reject_async(peer: &PeerId, number: &str) -> (), PeerError;
    end_session = end_session_async(peer: &PeerId, session: &Subject) -> (), PeerError;
    forget = forget_async(peer: &PeerId) -> (), PeerError;
    renew = renew_async() -> Publication, StepError<Infallible>;
}

/// A function that shows events.
struct Shows<F>(F);

impl<F> AsyncEvents<Shared, Down> for Shows<F>
where
    F: FnMut(&mut messenger::Stored<Shared>, Event<'_>) -> Result<(), Down>,
{
    fn show(
        &mut self,
        stored: &mut messenger::Stored<Shared>,
        event: Event<'_>,
    ) -> impl Future<Output = Result<(), Down>> + Send {
        ready((self.0)(stored, event))
    }
}

impl Connected<'_> {
    pub fn send(
        &mut self,
        peer: &PeerId,
        payload: &[u8],
        now: UnixSeconds,
        rng: &mut ChaCha20Rng,
        event: impl FnMut(&mut messenger::Stored<Shared>, Event<'_>) -> Result<(), Down>,
    ) -> Result<Sealed, ExchangeFailed<Down, Broken>> {
        block_on(self.0.send_async(peer, payload, now, rng, &mut Shows(event)))
    }

    pub fn receive(
        &mut self,
        answers: Answers<'_>,
        now: UnixSeconds,
        rng: &mut ChaCha20Rng,
        event: impl FnMut(&mut messenger::Stored<Shared>, Event<'_>) -> Result<(), Down>,
    ) -> Result<Fetched, ExchangeFailed<Down, Broken>> {
        block_on(self.0.receive_async(answers, now, rng, &mut Shows(event)))
    }

    pub fn flush(
        &mut self,
        now: UnixSeconds,
        rng: &mut ChaCha20Rng,
        event: impl FnMut(&mut messenger::Stored<Shared>, Event<'_>) -> Result<(), Down>,
    ) -> Result<(), ExchangeFailed<Down, Broken>> {
        block_on(self.0.flush_async(now, rng, &mut Shows(event)))
    }

    pub fn peer_of_account(
        &mut self,
        name: &[u8],
        now: UnixSeconds,
        rng: &mut ChaCha20Rng,
    ) -> Result<PeerId, ExchangeFailed<Down, Broken>> {
        block_on(self.0.peer_of_account_async(name, now, rng))
    }
}
