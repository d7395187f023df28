// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Server`]: what an application implements over its transport.

use super::super::peers::Peer;
use super::super::restored::LOGIN_NONCE_LEN;
use crate::device::LOGIN_CHALLENGE_LEN;
use crate::durable::OutboxMessage;
use crate::identity::Identity;
use crate::prekeys::{Bundle, PrekeyId, Publication};
use crate::primitives::SIGNATURE_LEN;
use alloc::vec::Vec;
use core::fmt;
use core::future::Future;

/// What a server does for one account, over any transport. `S` is the store, in which the application may keep what a
/// delivery needs, such as access keys.
///
/// An error means that the connection has failed, or that the server has: the exchange ends, and is repeated later.
/// Nothing is lost then. What a server refuses about one peer or one message is no error.
pub trait Server<S> {
    /// An error of the connection, or of the application, whose [`Event`](super::Event) functions return it, too.
    type Error;

    /// Logs in. Fetches a challenge, has `sign` sign it, and returns the login nonce that the server has for this device,
    /// `None` if it has none.
    ///
    /// # Errors
    /// The server's own error.
    ///
    /// # Security
    /// What `sign` signs must be bound to the server and to the account; see
    /// [`Device::sign_login`](crate::Device::sign_login).
    fn log_in(
        &mut self,
        sign: &mut dyn FnMut(&[u8; LOGIN_CHALLENGE_LEN]) -> [u8; SIGNATURE_LEN],
    ) -> Result<Option<[u8; LOGIN_NONCE_LEN]>, Self::Error>;

    /// Hands over the login nonce for the next login.
    ///
    /// # Errors
    /// The server's own error.
    fn set_nonce(&mut self, nonce: &[u8; LOGIN_NONCE_LEN]) -> Result<(), Self::Error>;

    /// Returns the ids of this device's one-time prekeys that the server has.
    ///
    /// # Errors
    /// The server's own error.
    fn prekeys(&mut self) -> Result<Vec<PrekeyId>, Self::Error>;

    /// Has the server delete these one-time prekeys. One that it does not have is no error.
    ///
    /// # Errors
    /// The server's own error.
    fn withdraw(&mut self, ids: &[PrekeyId]) -> Result<(), Self::Error>;

    /// Uploads prekeys.
    ///
    /// # Errors
    /// The server's own error.
    fn publish(&mut self, publication: &Publication) -> Result<(), Self::Error>;

    /// Fetches a bundle of the account with this name. `None` if the server has none, or hands none out now.
    ///
    /// # Errors
    /// The server's own error.
    fn bundle(&mut self, name: &[u8]) -> Result<Option<Bundle>, Self::Error>;

    /// Fetches the identity of the account with this name. It uses up no prekey.
    ///
    /// # Errors
    /// The server's own error.
    fn identity(&mut self, name: &[u8]) -> Result<Option<Identity>, Self::Error>;

    /// Delivers a message into the mailbox of a peer, and before that what it refers to, such as files.
    ///
    /// # Errors
    /// The server's own error.
    fn deliver(&mut self, store: &mut S, to: &Peer<'_>, message: &OutboxMessage) -> Result<Delivery, Self::Error>;

    /// Fetches the oldest messages that wait for this device, with their numbers: those after the number `after`, or
    /// all. None if there are none.
    ///
    /// # Errors
    /// The server's own error.
    fn mail(&mut self, after: Option<u64>) -> Result<Vec<(u64, Vec<u8>)>, Self::Error>;

    /// Has the server delete messages of the mailbox.
    ///
    /// # Errors
    /// The server's own error.
    fn acknowledge(&mut self, numbers: &[u64]) -> Result<(), Self::Error>;
}

/// [`Server`] if the operations are futures. They must be `Send`.
pub trait AsyncServer<S> {
    /// As [`Server::Error`].
    type Error;

    /// Does what [`Server::log_in`] does.
    ///
    /// # Security
    /// As there.
    fn log_in(
        &mut self,
        sign: &mut (dyn FnMut(&[u8; LOGIN_CHALLENGE_LEN]) -> [u8; SIGNATURE_LEN] + Send),
    ) -> impl Future<Output = Result<Option<[u8; LOGIN_NONCE_LEN]>, Self::Error>> + Send;

    /// Does what [`Server::set_nonce`] does.
    fn set_nonce(&mut self, nonce: &[u8; LOGIN_NONCE_LEN]) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Does what [`Server::prekeys`] does.
    fn prekeys(&mut self) -> impl Future<Output = Result<Vec<PrekeyId>, Self::Error>> + Send;

    /// Does what [`Server::withdraw`] does.
    fn withdraw(&mut self, ids: &[PrekeyId]) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Does what [`Server::publish`] does.
    fn publish(&mut self, publication: &Publication) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Does what [`Server::bundle`] does.
    fn bundle(&mut self, name: &[u8]) -> impl Future<Output = Result<Option<Bundle>, Self::Error>> + Send;

    /// Does what [`Server::identity`] does.
    fn identity(&mut self, name: &[u8]) -> impl Future<Output = Result<Option<Identity>, Self::Error>> + Send;

    /// Does what [`Server::deliver`] does.
    fn deliver(
        &mut self,
        store: &mut S,
        to: &Peer<'_>,
        message: &OutboxMessage,
    ) -> impl Future<Output = Result<Delivery, Self::Error>> + Send;

    /// Does what [`Server::mail`] does.
    fn mail(&mut self, after: Option<u64>) -> impl Future<Output = Result<Vec<(u64, Vec<u8>)>, Self::Error>> + Send;

    /// Does what [`Server::acknowledge`] does.
    fn acknowledge(&mut self, numbers: &[u64]) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// What a server says of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// It has the message, or had it before.
    Taken,
    /// Not now, such as because the mailbox is full. The message stays in the outbox, and so do those after it to this peer.
    Later,
    /// Not with this access key, or without one. The same, and the peer's account may have another device: its identity
    /// is compared.
    KeyRefused,
    /// The account has another identity than the peer. [`flush`](super::Connected::flush) reports it after a comparison; a
    /// server that knows it may say so at once. The message stays in the outbox, and so do those after it to this peer.
    OtherIdentity,
    /// Not this message, or there is no such account. It is removed from the outbox.
    Never,
}

/// One sentence for the user, if the message was not taken.
impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Taken => "the server has the message",
            Self::Later => "the message waits here: try again later",
            Self::KeyRefused => "the message waits here: receive, because the peer may have sent a new access key",
            Self::OtherIdentity => {
                "the message waits here: the account has another identity: compare the safety number with the peer"
            }
            Self::Never => "the server does not take the message: send it in another way",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Delivery;
    use alloc::collections::BTreeSet;
    use alloc::string::ToString;

    #[test]
    fn a_message_waits_unless_the_server_has_it_or_never_takes_it() {
        let waits = |delivery: Delivery| delivery.to_string().contains("waits here");
        let waiting = [Delivery::Later, Delivery::KeyRefused, Delivery::OtherIdentity];
        assert!(waiting.into_iter().all(waits));
        assert_eq!(waiting.map(|delivery| delivery.to_string()).into_iter().collect::<BTreeSet<_>>().len(), 3);
        // Control: of these nothing is left in the outbox.
        assert!(!waits(Delivery::Taken) && !waits(Delivery::Never));
    }
}
