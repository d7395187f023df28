// SPDX-License-Identifier: MIT OR Apache-2.0
//! The store and the server in memory, whose operations are futures here: each waits once, and one may wait forever.

use super::disk::Broken;
use super::hub::{Down, Line};
use super::shared::Shared;
use noescrow::durable::{
    AsyncMailboxes, AsyncStore, Batch, CommitError, Exclusive, InboxMessage, Mailboxes, MessageId, OutboxMessage,
    Revision, Row, Store, Subject,
};
use noescrow::messenger::exchange::{AsyncServer, Delivery, Server};
use noescrow::messenger::{LOGIN_NONCE_LEN, Peer};
use noescrow::{Bundle, Identity, PrekeyId, Publication};
use std::cell::{Cell, RefCell};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

/// What another process does.
pub type Meanwhile = Box<dyn FnOnce()>;

/// Where an operation waits forever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stuck {
    /// Before it has an effect.
    Before,
    /// When it is done.
    After,
}

/// Counts the operations of a store and its server.
#[derive(Default)]
pub struct Gate {
    /// The names of those that were begun.
    pub begun: RefCell<Vec<&'static str>>,
    /// Which one waits forever.
    pub stuck: Cell<Option<(usize, Stuck)>>,
    /// What another process does before one of them.
    pub meanwhile: RefCell<Option<(usize, Meanwhile)>>,
}

/// An operation that was called.
pub struct Operation<T> {
    result: Option<T>,
    is_stuck: bool,
    is_polled: bool,
}

impl Gate {
    pub fn pass<T>(&self, name: &'static str, act: impl FnOnce() -> T) -> Operation<T> {
        let number = self.begun.borrow().len();
        self.begun.borrow_mut().push(name);
        if let Some((_, meanwhile)) = self.meanwhile.borrow_mut().take_if(|(at, _)| *at == number) {
            meanwhile();
        }
        let stuck = self.stuck.get().filter(|(at, _)| *at == number).map(|(_, stuck)| stuck);
        let result = if stuck == Some(Stuck::Before) { None } else { Some(act()) };
        Operation { result, is_stuck: stuck.is_some(), is_polled: false }
    }
}

impl<T: Unpin> Future for Operation<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<T> {
        if self.is_stuck || !std::mem::replace(&mut self.is_polled, true) {
            return Poll::Pending;
        }
        Poll::Ready(self.result.take().unwrap())
    }
}

/// Polls a future until it is complete, or drops it if it is not after so many times.
pub fn poll_times<T>(future: impl Future<Output = T>, times: usize) -> Option<T> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    (0..times).find_map(|_| match future.as_mut().poll(&mut context) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    })
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    poll_times(future, usize::MAX).unwrap()
}

impl AsyncStore for Shared {
    type Error = Broken;

    fn load(&mut self, subject: &Subject) -> impl Future<Output = Result<Vec<Row>, Broken>> + Send {
        self.gate.clone().pass("load", || Store::load(self, subject))
    }

    fn revision(&mut self, subject: &Subject) -> impl Future<Output = Result<Option<Revision>, Broken>> + Send {
        self.gate.clone().pass("revision", || Store::revision(self, subject))
    }

    fn commit(&mut self, batch: Batch) -> impl Future<Output = Result<(), CommitError<Broken>>> + Send {
        self.gate.clone().pass("commit", || Store::commit(self, batch))
    }
}

impl AsyncMailboxes for Shared {
    fn inbox(&mut self, limit: usize) -> impl Future<Output = Result<Vec<InboxMessage>, Broken>> + Send {
        self.gate.clone().pass("inbox", || Mailboxes::inbox(self, limit))
    }

    fn take(&mut self, id: &MessageId) -> impl Future<Output = Result<bool, Broken>> + Send {
        self.gate.clone().pass("take", || Mailboxes::take(self, id))
    }

    fn outbox_after(
        &mut self,
        after: Option<u64>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<OutboxMessage>, Broken>> + Send {
        self.gate.clone().pass("outbox_after", || Mailboxes::outbox_after(self, after, limit))
    }

    fn acknowledge(&mut self, id: &MessageId) -> impl Future<Output = Result<bool, Broken>> + Send {
        self.gate.clone().pass("acknowledge", || Mailboxes::acknowledge(self, id))
    }

    fn was_sealed(&mut self, id: &MessageId) -> impl Future<Output = Result<bool, Broken>> + Send {
        self.gate.clone().pass("was_sealed", || Mailboxes::was_sealed(self, id))
    }

    fn exclusively(&mut self, name: &str) -> impl Future<Output = Result<Exclusive, Broken>> + Send {
        self.gate.clone().pass("exclusively", || Mailboxes::exclusively(self, name))
    }
}

type Sign<'a> = &'a mut (dyn FnMut(&[u8; 32]) -> [u8; 64] + Send);

impl AsyncServer<Shared> for Line {
    type Error = Down;

    fn log_in(&mut self, sign: Sign<'_>) -> impl Future<Output = Result<Option<[u8; LOGIN_NONCE_LEN]>, Down>> + Send {
        self.gate.clone().pass("log_in", || Server::log_in(self, &mut |challenge| sign(challenge)))
    }

    fn set_nonce(&mut self, nonce: &[u8; LOGIN_NONCE_LEN]) -> impl Future<Output = Result<(), Down>> + Send {
        self.gate.clone().pass("set_nonce", || Server::set_nonce(self, nonce))
    }

    fn prekeys(&mut self) -> impl Future<Output = Result<Vec<PrekeyId>, Down>> + Send {
        self.gate.clone().pass("prekeys", || Server::prekeys(self))
    }

    fn withdraw(&mut self, ids: &[PrekeyId]) -> impl Future<Output = Result<(), Down>> + Send {
        self.gate.clone().pass("withdraw", || Server::withdraw(self, ids))
    }

    fn publish(&mut self, publication: &Publication) -> impl Future<Output = Result<(), Down>> + Send {
        self.gate.clone().pass("publish", || Server::publish(self, publication))
    }

    fn bundle(&mut self, name: &[u8]) -> impl Future<Output = Result<Option<Bundle>, Down>> + Send {
        self.gate.clone().pass("bundle", || Server::bundle(self, name))
    }

    fn identity(&mut self, name: &[u8]) -> impl Future<Output = Result<Option<Identity>, Down>> + Send {
        self.gate.clone().pass("identity", || Server::identity(self, name))
    }

    fn deliver(
        &mut self,
        store: &mut Shared,
        to: &Peer<'_>,
        message: &OutboxMessage,
    ) -> impl Future<Output = Result<Delivery, Down>> + Send {
        self.gate.clone().pass("deliver", || Server::deliver(self, store, to, message))
    }

    fn mail(&mut self, after: Option<u64>) -> impl Future<Output = Result<Vec<(u64, Vec<u8>)>, Down>> + Send {
        self.gate.clone().pass("mail", || Server::mail(self, after))
    }

    fn acknowledge(&mut self, numbers: &[u64]) -> impl Future<Output = Result<(), Down>> + Send {
        self.gate.clone().pass("acknowledge mail", || Server::acknowledge(self, numbers))
    }
}
