// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Mailboxes`]: a store that also has the inbox and the outbox, and so everything that a conversation needs.

use super::store::{AsyncStore, MESSAGE_ID_LEN, Received, Sent, Store};
use crate::error::DecodeError;
use crate::identity::Identity;
use crate::messenger::Control;
use crate::snapshot::Subject;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::future::Future;
use core::mem;
use core::time::Duration;
use zeroize::Zeroizing;

/// The id of a message: the first 16 bytes of its SHA-256.
pub type MessageId = [u8; MESSAGE_ID_LEN];

/// How long a store keeps the id of a message that was acknowledged to it. Within this time, a process whose commit had
/// an unknown result finds out whether its message was sealed.
pub const SENT_ID_KEPT: Duration = Duration::from_secs(30 * 86_400);

/// What a messenger says of a message that it opened, besides the content. Without a messenger all are `false`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a field of `messenger::Opened`")]
#[non_exhaustive]
pub struct OpenedFlags {
    /// [`Opened::is_new_session`](crate::messenger::Opened::is_new_session).
    pub is_new_session: bool,
    /// [`Opened::is_new_identity`](crate::messenger::Opened::is_new_identity).
    pub is_new_identity: bool,
    /// [`Opened::is_on_probation`](crate::messenger::Opened::is_on_probation).
    pub is_on_probation: bool,
    /// [`Opened::is_former_identity`](crate::messenger::Opened::is_former_identity).
    pub is_former_identity: bool,
    /// [`Opened::is_receive_only`](crate::messenger::Opened::is_receive_only).
    pub is_receive_only: bool,
    /// [`Opened::ends_probation`](crate::messenger::Opened::ends_probation).
    pub ends_probation: bool,
    /// [`Opened::should_answer`](crate::messenger::Opened::should_answer).
    pub should_answer: bool,
}

/// A message that was opened, from the inbox. The plaintext is wiped on drop.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct InboxMessage {
    /// The message's id.
    pub message_id: MessageId,
    /// The session that opened it.
    pub session: Subject,
    /// The messenger's peer that wrote it, or `None` without a messenger.
    pub peer: Option<Subject>,
    /// The author, or `None` in a session of a foreign handshake.
    pub author: Option<Identity>,
    /// [`Opened::number`](crate::Opened::number).
    pub number: u32,
    /// [`Opened::is_control`](crate::Opened::is_control). With a messenger, whether [`control`](Self::control) says
    /// what it is.
    pub is_control: bool,
    /// What it is, if it is a message of the messenger: without a plaintext, and not shown as a message.
    pub control: Option<Control>,
    /// What the messenger says of it.
    pub flags: OpenedFlags,
    /// The plaintext.
    pub plaintext: Zeroizing<Vec<u8>>,
}

/// A message that was sealed, from the outbox.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutboxMessage {
    /// Its place in the outbox. A message that was sealed later has a greater one.
    pub position: u64,
    /// The message's id.
    pub message_id: MessageId,
    /// The session that sealed it.
    pub session: Subject,
    /// The messenger's peer for whom it is, or `None` without a messenger.
    pub peer: Option<Subject>,
    /// Whether it is a control message: of the messenger, or of
    /// [`Session::encrypt_control`](crate::Session::encrypt_control).
    pub is_control: bool,
    /// The bytes to send, the same at each attempt.
    pub message: Vec<u8>,
}

/// An advisory lock of [`Mailboxes::exclusively`]. It is released on drop.
#[must_use = "the lock is released on drop"]
pub struct Exclusive {
    held: Option<Box<dyn Send>>,
}

/// A [`Store`] that can be asked for the messages that its commits have entered: those that were opened, until the
/// application has taken them, and those that were sealed, until the server has acknowledged them.
pub trait Mailboxes: Store {
    /// Returns the first `limit` messages that were opened and not yet [taken](Self::take), in the order in which they
    /// were opened. After a crash between showing a message and taking it, the application meets it again, with its id.
    ///
    /// # Errors
    /// The store's own error.
    fn inbox(&mut self, limit: usize) -> Result<Vec<InboxMessage>, Self::Error>;

    /// Takes a message out of the inbox. Returns whether it was there. The log of opened messages keeps its id.
    ///
    /// # Errors
    /// The store's own error.
    fn take(&mut self, message_id: &MessageId) -> Result<bool, Self::Error>;

    /// Returns the first `limit` messages that were sealed and not yet [acknowledged](Self::acknowledge), in the order
    /// in which they were sealed: those whose [position](OutboxMessage::position) is greater than `after`, or all.
    ///
    /// # Errors
    /// The store's own error.
    fn outbox_after(&mut self, after: Option<u64>, limit: usize) -> Result<Vec<OutboxMessage>, Self::Error>;

    /// Returns the first `limit` messages of the outbox.
    ///
    /// # Errors
    /// The store's own error.
    fn outbox(&mut self, limit: usize) -> Result<Vec<OutboxMessage>, Self::Error> {
        self.outbox_after(None, limit)
    }

    /// Takes a message that the server has acknowledged, or never will, out of the outbox, and enters its id into the
    /// log of sent messages in the same transaction, which keeps it for [`SENT_ID_KEPT`]. Returns whether it was there.
    ///
    /// # Errors
    /// The store's own error.
    fn acknowledge(&mut self, message_id: &MessageId) -> Result<bool, Self::Error>;

    /// Returns whether a message was sealed by a step that is saved: it is in the outbox, or in the log of those that
    /// were [acknowledged](Self::acknowledge). If a commit had an unknown result and its repetition is
    /// [`Stale`](super::CommitError::Stale), this tells whether the step is to be made again.
    ///
    /// # Errors
    /// The store's own error.
    fn was_sealed(&mut self, message_id: &MessageId) -> Result<bool, Self::Error>;

    /// Waits for the advisory lock `name` of this store, and holds it until [`Exclusive`] is dropped: no other process,
    /// and no other store of the same database, has the lock of this name meanwhile. It protects what is not in the
    /// store, as the order of an exchange with the server. A process that ends releases its locks.
    ///
    /// The default locks nothing, for a database that has one process.
    ///
    /// # Errors
    /// The store's own error.
    fn exclusively(&mut self, name: &str) -> Result<Exclusive, Self::Error> {
        let _ = name;
        Ok(Exclusive::nothing())
    }
}

/// [`Mailboxes`] if the operations are futures. They must be `Send`.
pub trait AsyncMailboxes: AsyncStore {
    /// Does what [`Mailboxes::inbox`] does.
    fn inbox(&mut self, limit: usize) -> impl Future<Output = Result<Vec<InboxMessage>, Self::Error>> + Send;

    /// Does what [`Mailboxes::take`] does.
    fn take(&mut self, message_id: &MessageId) -> impl Future<Output = Result<bool, Self::Error>> + Send;

    /// Does what [`Mailboxes::outbox_after`] does.
    fn outbox_after(
        &mut self,
        after: Option<u64>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<OutboxMessage>, Self::Error>> + Send;

    /// Does what [`Mailboxes::acknowledge`] does.
    fn acknowledge(&mut self, message_id: &MessageId) -> impl Future<Output = Result<bool, Self::Error>> + Send;

    /// Does what [`Mailboxes::was_sealed`] does.
    fn was_sealed(&mut self, message_id: &MessageId) -> impl Future<Output = Result<bool, Self::Error>> + Send;

    /// Does what [`Mailboxes::exclusively`] does. A future that is dropped does not keep the lock.
    ///
    /// The default locks nothing, for a database that has one process and one task.
    fn exclusively(&mut self, name: &str) -> impl Future<Output = Result<Exclusive, Self::Error>> + Send {
        let _ = name;
        async { Ok(Exclusive::nothing()) }
    }
}

impl OpenedFlags {
    /// Returns the flags as bits, for a store: the first field is bit 0, and each further one the next.
    #[must_use]
    pub fn to_bits(self) -> u32 {
        let flags = [
            self.is_new_session,
            self.is_new_identity,
            self.is_on_probation,
            self.is_former_identity,
            self.is_receive_only,
            self.ends_probation,
            self.should_answer,
        ];
        flags.iter().rev().fold(0, |bits, flag| bits << 1 | u32::from(*flag))
    }

    /// Returns the flags of [`to_bits`](Self::to_bits).
    ///
    /// # Errors
    /// [`DecodeError`] for a bit that stands for no flag.
    pub fn from_bits(bits: u32) -> Result<Self, DecodeError> {
        let has = |flag: u32| bits >> flag & 1 != 0;
        let flags = Self {
            is_new_session: has(0),
            is_new_identity: has(1),
            is_on_probation: has(2),
            is_former_identity: has(3),
            is_receive_only: has(4),
            ends_probation: has(5),
            should_answer: has(6),
        };
        if flags.to_bits() == bits { Ok(flags) } else { Err(DecodeError::Refused) }
    }
}

impl InboxMessage {
    /// Makes an entry of the inbox, without a peer, an author, or flags. They are fields.
    #[must_use]
    pub fn new(message_id: MessageId, session: Subject, plaintext: Zeroizing<Vec<u8>>) -> Self {
        let flags = OpenedFlags::default();
        let (peer, author, number, is_control, control) = (None, None, 0, false, None);
        Self { message_id, session, peer, author, number, is_control, control, flags, plaintext }
    }
}

/// The entry of a message that a step has opened.
impl From<Received> for InboxMessage {
    fn from(mut received: Received) -> Self {
        let plaintext = Zeroizing::new(mem::take(&mut received.plaintext));
        let Received { message_id, session, peer, author, number, is_control, control, flags, .. } = received;
        Self { message_id, session, peer, author, number, is_control, control, flags, plaintext }
    }
}

impl OutboxMessage {
    /// Makes an entry of the outbox, without a peer, and of no control message. They are fields.
    #[must_use]
    pub const fn new(position: u64, message_id: MessageId, session: Subject, message: Vec<u8>) -> Self {
        Self { position, message_id, session, peer: None, is_control: false, message }
    }

    /// Makes the entry of a message that a step has sealed.
    #[must_use]
    pub fn of(position: u64, sent: Sent) -> Self {
        let Sent { message_id, session, peer, is_control, message } = sent;
        Self { position, message_id, session, peer, is_control, message }
    }
}

impl Exclusive {
    /// Wraps what releases a lock when it is dropped.
    pub fn holding(lock: impl Send + 'static) -> Self {
        Self { held: Some(Box::new(lock)) }
    }

    /// Wraps no lock.
    pub const fn nothing() -> Self {
        Self { held: None }
    }
}

/// Shows the plaintext's length, what it is, and the flags.
impl fmt::Debug for InboxMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { message_id: _, session: _, peer: _, author: _, number: _, is_control: _, control, flags, plaintext } =
            self;
        f.debug_struct("InboxMessage")
            .field("plaintext_len", &plaintext.len())
            .field("control", control)
            .field("flags", flags)
            .finish_non_exhaustive()
    }
}

/// Shows the length only.
impl fmt::Debug for OutboxMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { position: _, message_id: _, session: _, peer: _, is_control: _, message } = self;
        f.debug_struct("OutboxMessage").field("message_len", &message.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Exclusive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exclusive").field("is_locked", &self.held.is_some()).finish()
    }
}
