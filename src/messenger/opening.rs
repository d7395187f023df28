// SPDX-License-Identifier: MIT OR Apache-2.0
//! Opening: on the session to which a message belongs, or as the first message of a new one.

use super::error::{OpenError, Refusal, Refused};
use super::index::SessionAt;
use super::log::{Mark, NumberUse};
use super::prefix::{Kind, PREFIX_LEN, Prefix};
use super::receipts::{Control, Receipt};
use super::record::{PeerRecord, SessionRecord, State};
use super::routing::{Loaded, Target};
use super::trust::Trust;
use super::{Messenger, PeerId, Step, strangers};
use crate::durable::{Durable, Ledger, MessageId, OpenedFlags, Progress, Received, Row, Unsaved, message_id};
use crate::error::{AcceptError, DecodeError, DecryptError};
use crate::identity::Identity;
use crate::primitives::Primitives;
use crate::session::{Session, opening_id, split_body};
use crate::time::UnixSeconds;
use alloc::vec::Vec;
use core::fmt;
use core::mem;
use core::time::Duration;
use zeroize::{Zeroize, Zeroizing};

const HOUR: Duration = Duration::from_secs(3_600);

/// Who wrote a message whose header has opened.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Author<'a> {
    /// The peer, or `None` if the identity is new.
    pub peer: Option<PeerId>,
    /// The application's name for it, which may be empty.
    pub name: &'a [u8],
    /// The identity, which is authentic.
    pub identity: &'a Identity,
}

/// An authentic message.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Opened {
    /// Who wrote it.
    pub peer: PeerId,
    /// The id of the session on which it came; see [`Session::id`](crate::Session::id).
    pub session: [u8; 32],
    /// The message's id.
    pub message_id: MessageId,
    /// The application's bytes.
    pub payload: Vec<u8>,
    /// What it is, if it is a message of this layer.
    pub control: Option<Control>,
    /// Whether the message has begun a session.
    pub is_new_session: bool,
    /// Whether nobody of this identity was known before: a stranger writes, or a peer with a new device.
    pub is_new_identity: bool,
    /// The stranger that was evicted for this one, the one of at least [`STRANGERS`](super::policy::STRANGERS) that was silent
    /// longest. Its subject and those of its sessions are among [`Batch::ended`](crate::durable::Batch::ended) of this
    /// step: a store that deletes everything that it keeps of an ended peer, as after [`forget`](Messenger::forget),
    /// deletes its messages, too.
    pub evicted: Option<PeerId>,
    /// Whether the session is on probation: the message may be a copy of one that was opened before this device was
    /// restored, or the peer was restored. Nothing is sent on the session, until the peer has answered a
    /// [probe](Messenger::seal_probe).
    pub is_on_probation: bool,
    /// Whether the author's identity is not the one that is pinned for the peer: an identity that the peer has replaced,
    /// as after the loss of a phone. Whoever has that device can write such messages. Show them as what they are.
    pub is_former_identity: bool,
    /// Whether nothing is sent on the session any more: of a former identity, or from before this device was restored.
    /// Such a message may be a copy of one that was opened before the restoring.
    pub is_receive_only: bool,
    /// Whether the message has ended the session's probation: messages are sent on it from now on.
    pub ends_probation: bool,
    /// Whether this side should send a message, of any content, or an [answer](Messenger::seal_answer): the peer has asked
    /// for it, or so many of its messages have come without one that
    /// [`Session::should_answer`](crate::Session::should_answer).
    pub should_answer: bool,
}

impl<P: Primitives> Messenger<P> {
    /// Opens a message without associated data. It is [`open_with`](Self::open_with) for applications that bind no names.
    ///
    /// # Errors
    /// [`OpenError`]; nothing that is stored has changed.
    pub fn open(&mut self, message: &[u8], loaded: Loaded, now: UnixSeconds) -> Result<Unsaved<'_, Opened>, OpenError> {
        self.open_with(message, loaded, now, |_| Vec::new())
    }

    /// Opens a message: of any peer, on any session, or a new one. The payload is released when it and everything that
    /// the step has changed are saved. Acknowledge the message to the server after that.
    ///
    /// `loaded` is what the message's [`route`](Self::route) has loaded. `associated_data` returns what the author has
    /// passed to `seal`.
    ///
    /// # Errors
    /// [`OpenError`]; nothing that is stored has changed. See there what is noted in memory.
    ///
    /// # Leaks
    /// What [`Session::decrypt_in_place`](crate::Session::decrypt_in_place) and [`Device::open`](crate::Device::open)
    /// leak, and whether the message's tag is known.
    pub fn open_with(
        &mut self,
        message: &[u8],
        loaded: Loaded,
        now: UnixSeconds,
        associated_data: impl Fn(&Author<'_>) -> Vec<u8>,
    ) -> Result<Unsaved<'_, Opened>, OpenError> {
        self.check_step()?;
        self.read_clock(now);
        let id = message_id(message);
        let Loaded { target, rows } = loaded;
        match target {
            Target::OpenOn(of, at) if of == id && !self.index.is_opened(&id) => {
                self.open_on(at, message, id, rows, now, &associated_data)
            }
            // A copy of the handshake may have begun the session meanwhile.
            Target::Accept(of) if of == id && !self.index.is_opened(&id) => {
                if opening_id(message).is_some_and(|opening| self.index.by_opening(&opening).is_some()) {
                    return Err(OpenError::RouteAgain);
                }
                self.accept(message, id, now, &associated_data)
            }
            Target::OpenOn(of, _) | Target::Accept(of) if of == id => {
                Err(self.refuse(Refusal::AlreadyOpened, id, None))
            }
            _ => Err(OpenError::RouteAgain),
        }
    }

    /// Opens a message on a session.
    fn open_on(
        &mut self,
        at: SessionAt,
        message: &[u8],
        id: MessageId,
        rows: Vec<Row>,
        reading: UnixSeconds,
        associated_data: &impl Fn(&Author<'_>) -> Vec<u8>,
    ) -> Result<Unsaved<'_, Opened>, OpenError> {
        let peer = self.peers.get(&at.peer);
        let found = peer.and_then(|peer| Some((&peer.inner, peer.inner.session(&at.session)?)));
        // The session may have ended meanwhile, or be another peer's.
        let Some((peer, session)) = found else { return Err(OpenError::RouteAgain) };
        let subject = self.subject().of_session(at.session);
        let mut loaded = self.restore_session(&subject, rows, session.generation).map_err(OpenError::Stored)?;
        let mark = Mark::of(message);
        let opened = open_body(&mut loaded.inner, message, |identity| {
            associated_data(&Author { peer: Some(at.peer), name: &peer.name, identity })
        });
        let (prefix, number, plaintext) = match opened {
            Ok(opened) => opened,
            Err(Failed::Header(DecryptError::KeyGone)) => {
                let reason = match peer.log.lookup(&mark) {
                    NumberUse::Same => Refusal::AlreadyOpened,
                    NumberUse::OtherMessage => Refusal::ForkSuspected,
                    NumberUse::Unknown => Refusal::TooLate,
                };
                return Err(self.refuse_on(at, reason, id));
            }
            Err(Failed::Header(DecryptError::TooManySkipped)) => {
                return Err(self.refuse_on(at, Refusal::TooManySkipped, id));
            }
            Err(Failed::Header(DecryptError::Refused)) => return Err(self.refuse(Refusal::Damaged, id, None)),
            Err(Failed::Header(DecryptError::Abandoned)) => {
                // The session opens no header any more. A copy of a message that was opened is known by the log.
                let is_known = peer.log.lookup(&mark) == NumberUse::Same;
                let reason = if is_known { Refusal::AlreadyOpened } else { Refusal::Abandoned };
                return Err(self.refuse(reason, id, None));
            }
            Err(Failed::Body(reason)) => return Err(self.refuse_on(at, reason, id)),
        };
        let control = match control_of(&prefix, &plaintext) {
            Ok(control) => control,
            Err(_) => return Err(self.refuse_on(at, Refusal::Malformed, id)),
        };
        let placement = Placement { at, control, is_new_session: false, is_new_identity: false, evicted: None };
        Ok(self.opened(placement, loaded, (id, mark), (prefix, number, plaintext), Step::default(), reading))
    }

    /// Opens a message as the first of a new session.
    fn accept(
        &mut self,
        message: &[u8],
        id: MessageId,
        reading: UnixSeconds,
        associated_data: &impl Fn(&Author<'_>) -> Vec<u8>,
    ) -> Result<Unsaved<'_, Opened>, OpenError> {
        let now = self.time(reading);
        let mut pending = match self.device.inner.open(message) {
            Ok(pending) => pending,
            Err(error) => return Err(self.refuse(refusal_of(error), id, None)),
        };
        let identity = *pending.remote_identity();
        let known = self.index.by_identity(&identity).and_then(|id| Some((id, &self.peers.get(&id)?.inner)));
        let author = known.map(|(id, _)| id);
        let next = known
            .map_or_else(|| strangers::next_identity(&self.peers, now), |(_, peer)| peer.handshakes.next(HOUR, now));
        if next > now {
            return Err(OpenError::Deferred { until: reading.saturating_add(next.saturating_since(now)) });
        }
        let name = known.map_or(&[][..], |(_, peer)| &peer.name);
        let of_author = |identity: &Identity| associated_data(&Author { peer: author, name, identity });
        let opened = pending.decrypt(&of_author(&identity)).map_err(refusal_of_body).and_then(|opened| {
            let (is_control, number) = (opened.is_control, opened.number);
            let plaintext = Zeroizing::new(opened.plaintext);
            let prefix = Prefix::read(&plaintext, is_control).map_err(|_| Refusal::Malformed)?;
            // A session begins with what its author has to say.
            if prefix.kind != Kind::Payload { Err(Refusal::Malformed) } else { Ok((prefix, number, plaintext)) }
        });
        let opened = opened.map(|(prefix, number, plaintext)| {
            let stranger;
            let record = match known {
                Some((_, peer)) => peer,
                None => {
                    stranger = PeerRecord::new(
                        self.core.inner.primitives.clone(),
                        self.core.inner.subject,
                        None,
                        Trust::Unknown,
                        now,
                    );
                    &stranger
                }
            };
            let state = record.state_of_accepted(prefix.epoch);
            let state = if self.core.inner.uses_old_prekey(message) { State::Probation } else { state };
            (prefix, number, plaintext, state)
        });
        let (prefix, number, plaintext, state) = match opened {
            Ok(opened) => opened,
            Err(reason) => {
                drop(pending);
                author.iter().for_each(|author| self.note_refused_opening(reason, *author, opening_id(message)));
                return Err(self.refuse(reason, id, author));
            }
        };
        self.progress = Progress::Stepping;
        let session = pending.commit();
        let mut step = Step { is_device_changed: true, ..Step::default() };
        let (peer, evicted) = match author {
            Some(peer) => (peer, None),
            None => self.add_stranger(&session, identity, now, &mut step),
        };
        let ledger = Ledger::new(session.subject(), &self.key, self.writer);
        let at = SessionAt { peer, session: session.id() };
        if let Some(peer) = self.peers.get_mut(&peer).map(|peer| &mut peer.inner) {
            peer.handshakes.enter(now);
            peer.note_accepted(prefix.epoch);
            if state == State::Live && prefix.epoch > peer.heard.epoch {
                peer.recovery = None;
            }
            peer.sessions.push(SessionRecord::new(&session, prefix.epoch, false, state, now));
        }
        let loaded = Durable { inner: session, ledger };
        let placement =
            Placement { at, control: None, is_new_session: true, is_new_identity: author.is_none(), evicted };
        Ok(self.opened(placement, loaded, (id, Mark::of(message)), (prefix, number, plaintext), step, reading))
    }

    /// Records an opened message, and hands it out to be saved.
    fn opened(
        &mut self,
        Placement { at, control, is_new_session, is_new_identity, evicted }: Placement,
        mut session: Durable<Session<P>>,
        (message_id, mark): (MessageId, Mark),
        (prefix, number, mut plaintext): OpenedBody,
        mut step: Step,
        reading: UnixSeconds,
    ) -> Unsaved<'_, Opened> {
        self.progress = Progress::Stepping;
        let now = self.time(reading);
        step.session = session.ledger.change(&session.inner, Some(&message_id));
        step.message_id = Some(message_id);
        let (mut is_on_probation, mut ends_probation) = (false, false);
        let (mut is_former_identity, mut is_receive_only, mut is_sent_on) = (false, false, false);
        let peer = self.peers.get_mut(&at.peer).map(|peer| &mut peer.inner);
        let peer_subject = peer.as_ref().map(|peer| peer.subject);
        if let Some(peer) = peer {
            if let Some(record) = peer.session_mut(&at.session) {
                self.index.remove_session(record);
                record.observe(&session.inner, session.ledger.generation());
                self.index.enter_session(at.peer, record);
            }
            if session.inner.is_abandoned() {
                peer.note_abandoned(&at.session);
            }
            ends_probation = peer.note_answer(&session.inner, prefix.epoch);
            peer.note_probe(&at.session, &prefix);
            let state = peer.session(&at.session).map(|session| session.state);
            is_on_probation = state == Some(State::Probation);
            is_receive_only = state == Some(State::ReceiveOnly);
            let author = session.inner.remote_identity().map(Identity::keys);
            is_former_identity = peer.identity.as_ref().map(Identity::keys) != author;
            peer.note_opened(&at.session, prefix.heard, now);
            is_sent_on = peer.is_sent_on(&at.session);
            let forgotten = peer.log.enter(&message_id, &mark, now);
            self.index.forget(forgotten);
            self.index.enter_message(message_id);
        }
        self.end_sessions(at.peer, Some(&at.session), now, &mut step);
        Prefix::strip(&mut plaintext);
        // On a receive-only session nothing can be answered. An answer begins a new chain on the session that it goes on
        // only.
        let should_answer = match prefix.kind {
            Kind::Probe => !is_receive_only,
            _ => is_sent_on && session.inner.should_answer(),
        };
        // What is of this layer goes into the inbox, too: a crash before it is shown loses no receipt.
        step.received = Some(Received {
            message_id,
            session: session.inner.subject(),
            peer: peer_subject,
            author: session.inner.remote_identity().copied(),
            number,
            is_control: control.is_some(),
            control,
            flags: OpenedFlags {
                is_new_session,
                is_new_identity,
                is_on_probation,
                is_former_identity,
                is_receive_only,
                ends_probation,
                should_answer,
            },
            // The content of a receipt is in `control`.
            plaintext: if control.is_none() { mem::take(&mut *plaintext) } else { Vec::new() },
        });
        let outcome = Opened {
            peer: at.peer,
            session: at.session,
            message_id,
            payload: Vec::new(),
            control,
            is_new_session,
            is_new_identity,
            evicted,
            is_on_probation,
            is_former_identity,
            is_receive_only,
            ends_probation,
            should_answer,
        };
        self.hand_out(outcome, step, reading).with_plaintext(|opened, payload| opened.payload = payload)
    }

    /// Counts a refusal.
    pub(super) fn refuse(&mut self, reason: Refusal, message_id: MessageId, author: Option<PeerId>) -> OpenError {
        self.core.inner.counters.count(reason);
        OpenError::Refused(Refused { reason, message_id, author })
    }

    /// Counts the refusal of a message whose header is authentic on the session `at`, and records it if only a new session
    /// remedies it.
    fn refuse_on(&mut self, at: SessionAt, reason: Refusal, message_id: MessageId) -> OpenError {
        self.note_refusal(reason, &at);
        self.refuse(reason, message_id, Some(at.peer))
    }
}

/// A session on which a message was opened.
struct Placement {
    at: SessionAt,
    control: Option<Control>,
    is_new_session: bool,
    is_new_identity: bool,
    evicted: Option<PeerId>,
}

/// The prefix, the message's number, and the plaintext with its prefix.
type OpenedBody = (Prefix, u32, Zeroizing<Vec<u8>>);

enum Failed {
    /// Before the header was found to be authentic, or because of what an authentic header says.
    Header(DecryptError),
    /// The header is authentic.
    Body(Refusal),
}

/// Opens a message on `session`, which has changed only if this succeeds, or is dropped.
fn open_body<P: Primitives>(
    session: &mut Session<P>,
    message: &[u8],
    associated_data: impl Fn(&Identity) -> Vec<u8>,
) -> Result<OpenedBody, Failed> {
    let head = session.open_head(message).map_err(Failed::Header)?;
    let (tag, body) = split_body(message, head.body_at).ok_or(Failed::Body(Refusal::Body))?;
    let mut plaintext = Zeroizing::new(body.to_vec());
    // Control messages are this layer's own.
    let identity = session.remote_identity().filter(|_| !head.is_control());
    let associated_data = identity.map(associated_data).unwrap_or_default();
    let len = session.open_body(&head, tag, &mut plaintext, &associated_data).map_err(|error| match error {
        DecryptError::KeyGone => Failed::Header(DecryptError::KeyGone),
        error => Failed::Body(refusal_of_body(error)),
    })?;
    if let Some(padding) = plaintext.get_mut(len..) {
        padding.zeroize();
    }
    plaintext.truncate(len);
    let prefix = Prefix::read(&plaintext, head.is_control()).map_err(|_| Failed::Body(Refusal::Malformed))?;
    Ok((prefix, head.number(), plaintext))
}

/// Returns what a message of this layer says. It has no payload, except a receipt.
fn control_of(prefix: &Prefix, plaintext: &[u8]) -> Result<Option<Control>, DecodeError> {
    let payload = plaintext.get(PREFIX_LEN..).unwrap_or_default();
    match prefix.kind {
        Kind::Payload => Ok(None),
        Kind::Receipt => Receipt::from_bytes(payload).map(|receipt| Some(Control::Receipt(receipt))),
        Kind::Probe if payload.is_empty() => Ok(Some(Control::Probe)),
        Kind::Answer if payload.is_empty() => Ok(Some(Control::Answer)),
        Kind::Probe | Kind::Answer => Err(DecodeError::Refused),
    }
}

/// Why a body did not open whose header is authentic.
const fn refusal_of_body(error: DecryptError) -> Refusal {
    match error {
        DecryptError::TooManySkipped => Refusal::TooManySkipped,
        DecryptError::KeyGone | DecryptError::Abandoned | DecryptError::Refused => Refusal::Body,
    }
}

const fn refusal_of(error: AcceptError) -> Refusal {
    match error {
        AcceptError::Refused => Refusal::Damaged,
        // The record of a replaced prekey stays full.
        AcceptError::PrekeyGone | AcceptError::ReplayRecordFull => Refusal::PrekeyGone,
        AcceptError::Repeated => Refusal::SessionEnded,
        AcceptError::TooManySkipped => Refusal::TooManySkipped,
    }
}

/// Shows neither a name nor the identity.
impl fmt::Debug for Author<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { peer, name: _, identity: _ } = self;
        f.debug_struct("Author").field("is_known", &peer.is_some()).finish_non_exhaustive()
    }
}

/// Shows the payload's length and the flags.
impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { peer: _, session: _, message_id: _, payload, control, .. } = self;
        let Self { is_new_session, is_new_identity, is_on_probation, ends_probation, should_answer, .. } = self;
        let Self { is_former_identity, is_receive_only, evicted, .. } = self;
        f.debug_struct("Opened")
            .field("payload_len", &payload.len())
            .field("control", control)
            .field("is_new_session", is_new_session)
            .field("is_new_identity", is_new_identity)
            .field("has_evicted", &evicted.is_some())
            .field("is_on_probation", is_on_probation)
            .field("is_former_identity", is_former_identity)
            .field("is_receive_only", is_receive_only)
            .field("ends_probation", ends_probation)
            .field("should_answer", should_answer)
            .finish_non_exhaustive()
    }
}
