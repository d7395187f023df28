// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Node`]: one state of an exploration, and the moves from it. Handshakes are in `handshakes`, what must hold at each
//! state in `invariants`, what a hostile relay tries in vain there in `attacks`.

use super::cache::{Made, Store, ingest, ingest_bytes, made, restore};
use super::moves::{Move, bundle_name};
use super::report::{Bounds, Counterexample, Exploration};
use super::rng::DerivedRng;
use crate::handshake_sim::{NOW, Owner};
use crate::model::{Expectation, Label, ModelLimits, Party};
use crate::prekey_model::PrekeyModel;
use crate::served_bundle::{Parts, ServedBundle, ServedDirectory};
use crate::side::{PerParty, PerSide, Side, Who};
use noescrow::device::Device;
use noescrow::hazmat::{device_state, session_state};
use noescrow::primitives::Primitives;
use noescrow_audit::Tape;
use noescrow_audit::engine::Ledger;
use noescrow_recorder::Recorder;
use sha2::{Digest, Sha256};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// A message.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) conversation: usize,
    pub(crate) from: Side,
    pub(crate) label: Label,
    pub(crate) text: [u8; TEXT_LEN],
    pub(crate) bytes: Vec<u8>,
    /// Whether it begins with the handshake.
    pub(crate) is_first: bool,
}

const TEXT_LEN: usize = 20;

/// A bundle that Alice has accepted.
#[derive(Debug)]
pub(crate) struct ReceivedBundle {
    pub(crate) bytes: Vec<u8>,
    pub(crate) whose: Who,
}

/// A handshake and its two ends.
#[derive(Clone, Debug)]
pub(crate) struct Conversation {
    /// The initiator.
    pub(crate) from: Who,
    /// The party whose keys it is sealed to.
    pub(crate) to: Who,
    pub(crate) signed_prekey: u32,
    pub(crate) one_time_prekey: Option<u32>,
    /// `Side::Alice` is the initiator.
    pub(crate) sessions: PerSide<Option<Vec<u8>>>,
    pub(crate) model: PerSide<Party>,
    pub(crate) sent_by: PerSide<u8>,
}

impl Conversation {
    pub(crate) const fn who(&self, side: Side) -> Who {
        match side {
            Side::Alice => self.from,
            Side::Bob => self.to,
        }
    }

    /// Whether the relay has one of the ends.
    pub(crate) fn is_with_relay(&self) -> bool {
        [self.from, self.to].contains(&Who::Relay)
    }
}

/// What the last event changed, so that attacks on it must be tried again.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Touched {
    /// What the relay has of Bob's.
    pub(crate) directory: bool,
    /// The bundle that Alice has.
    pub(crate) received: bool,
    /// Bob's device, or the first messages sent to it.
    pub(crate) device: bool,
    pub(crate) conversation: Option<usize>,
}

/// One state.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) devices: PerParty<Vec<u8>>,
    /// What Bob has, according to the specification.
    pub(crate) prekey_model: PrekeyModel,
    pub(crate) directory: Arc<ServedDirectory>,
    /// What the relay's own device would publish.
    pub(crate) own: Arc<Parts>,
    pub(crate) received: Option<Arc<ReceivedBundle>>,
    pub(crate) published: u8,
    pub(crate) replaced: u8,
    pub(crate) conversations: Vec<Conversation>,
    /// In the order in which they were sent; a conversation, a side and a number identify a message.
    pub(crate) in_transit: Vec<Arc<Sent>>,
    pub(crate) opened: Vec<Arc<Sent>>,
    /// Every message, in the ledger's order.
    pub(crate) sealed: Vec<Arc<Sent>>,
    losses: u8,
    duplicates: u8,
    pub(crate) touched: Touched,
    pub(crate) ledger: Ledger,
    pub(crate) schedule: Vec<String>,
}

/// Three recorders on a new tape. Always the same three, so that a ledger can read one tape after the other.
pub(crate) fn recorders() -> Option<(Tape, PerParty<Recorder>)> {
    let tape = Tape::in_memory();
    let each = PerParty {
        alice: Recorder::device(&tape, "Alice").ok()?,
        bob: Recorder::device(&tape, "Bob").ok()?,
        relay: Recorder::server(&tape, "relay").ok()?,
    };
    Some((tape, each))
}

/// Separates the random values of the three parties.
pub(crate) const fn initial(who: Who) -> u8 {
    match who {
        Who::Alice => b'A',
        Who::Bob => b'B',
        Who::Relay => b'R',
    }
}

/// The text of a message: a function of the conversation, the side and the number.
pub(crate) fn text(conversation: usize, side: Side, number: u8) -> [u8; TEXT_LEN] {
    let mut text = [0; TEXT_LEN];
    let conversation = u8::try_from(conversation).unwrap_or(u8::MAX);
    let digest = Sha256::digest([b't', conversation, u8::from(side == Side::Alice), number]);
    text.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    text
}

impl Node {
    pub(crate) fn fails(&self, claim: &str) -> Counterexample {
        Counterexample { schedule: self.schedule.clone(), claim: claim.into() }
    }

    /// Three devices, none of which has published anything.
    pub(crate) fn root<P: Primitives>(device: &impl Fn(Who, Recorder) -> P) -> Result<Self, Counterexample> {
        let mut root = Self {
            devices: PerParty::default(),
            prekey_model: PrekeyModel::new(0),
            directory: Arc::default(),
            own: Arc::new(Parts { identity: Vec::new(), signed_prekey: Vec::new(), one_time_prekey: None }),
            received: None,
            published: 0,
            replaced: 0,
            conversations: Vec::new(),
            in_transit: Vec::new(),
            opened: Vec::new(),
            sealed: Vec::new(),
            losses: 0,
            duplicates: 0,
            touched: Touched::default(),
            ledger: Ledger::new(noescrow_recorder::profile()),
            schedule: Vec::new(),
        };
        root.ledger.add_participant("Alice", false);
        root.ledger.add_participant("Bob", false);
        root.ledger.add_participant("relay", true);
        let failed = root.fails("cannot make devices");
        root.generate(device).ok_or(failed)?;
        Ok(root)
    }

    fn generate<P: Primitives>(&mut self, device: &impl Fn(Who, Recorder) -> P) -> Option<()> {
        let (tape, recorders) = recorders()?;
        for who in [Who::Alice, Who::Bob, Who::Relay] {
            let mut rng = DerivedRng::of(&[b'g', initial(who)]);
            let primitives = device(who, recorders.of(who).clone());
            let mut made: Owner<P> = Device::generate_with(primitives, NOW, &mut rng);
            if who == Who::Relay {
                let mut published = made.publish(1, NOW, &mut rng).ok()?;
                let one_time_prekey = published.one_time_prekeys.pop().map(|prekey| prekey.to_bytes().to_vec());
                self.own = Arc::new(Parts {
                    identity: published.identity.to_bytes().to_vec(),
                    signed_prekey: published.signed_prekey.to_bytes().to_vec(),
                    one_time_prekey,
                });
            }
            if who == Who::Bob {
                self.prekey_model = PrekeyModel::new(made.signed_prekey().id());
            }
            *self.devices.of_mut(who) = device_state(&made);
        }
        ingest(&mut self.ledger, &tape).ok()
    }

    /// Identifies a state: devices, sessions, what the relay has, the messages in transit, and what may still happen.
    /// What was recorded is a function of these.
    pub(crate) fn key(&self) -> [u8; 16] {
        let mut directory = DefaultHasher::new();
        self.directory.hash(&mut directory);
        let mut hash = Sha256::new();
        hash.update(directory.finish().to_be_bytes());
        hash.update([self.published, self.replaced, self.losses, self.duplicates]);
        if let Some(received) = &self.received {
            hash.update([initial(received.whose)]);
            hash.update(&received.bytes);
        }
        let mut names: Vec<(usize, bool, u32, u32)> = self
            .in_transit
            .iter()
            .map(|sent| (sent.conversation, sent.from == Side::Alice, sent.label.chain, sent.label.number))
            .collect();
        names.sort_unstable();
        for (conversation, from, chain, number) in names {
            hash.update(conversation.to_be_bytes());
            hash.update([u8::from(from)]);
            hash.update(chain.to_be_bytes());
            hash.update(number.to_be_bytes());
        }
        for who in [Who::Alice, Who::Bob, Who::Relay] {
            hash.update([0xFF]);
            hash.update(self.devices.of(who));
        }
        for one in &self.conversations {
            hash.update([initial(one.from), initial(one.to), one.sent_by.alice, one.sent_by.bob]);
            for side in [Side::Alice, Side::Bob] {
                hash.update([0xFF, u8::from(one.sessions.of(side).is_some())]);
                hash.update(one.sessions.of(side).as_deref().unwrap_or_default());
            }
        }
        let digest = hash.finalize();
        let mut key = [0; 16];
        key.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        key
    }

    pub(crate) fn moves(&self, bounds: Bounds) -> Vec<Move> {
        let mut moves = Vec::new();
        let begun_by = |who: Who| self.conversations.iter().filter(|one| one.from == who).count();
        if self.published < bounds.publications {
            moves.push(Move::Publish);
        }
        if self.directory.is_published() {
            if self.replaced < bounds.replacements {
                moves.push(Move::Replace);
            }
            if begun_by(Who::Alice) < usize::from(bounds.handshakes) && self.received.is_none() {
                // The honest bundle is last, so that it is explored first.
                moves.extend(ServedBundle::ALL.into_iter().rev().filter(|served| served.is_sound()).map(Move::Fetch));
            }
            if begun_by(Who::Relay) < usize::from(bounds.approaches) {
                moves.push(Move::Approach);
            }
        }
        if self.received.is_some() {
            moves.push(Move::Initiate);
        }
        for (at, one) in self.conversations.iter().enumerate() {
            for side in [Side::Alice, Side::Bob] {
                let can = one.sessions.of(side).is_some() && one.model.of(side).clone().send().is_some();
                if can && *one.sent_by.of(side) < bounds.messages {
                    moves.push(Move::Send(at, side));
                }
            }
        }
        for at in 0..self.in_transit.len() {
            moves.push(Move::Deliver(at));
            if self.losses < bounds.losses {
                moves.push(Move::Lose(at));
            }
            if self.duplicates < bounds.duplicates {
                moves.push(Move::Duplicate(at));
            }
        }
        moves
    }

    /// The state after a move; `None` if the relay lacks the necessary parts.
    pub(crate) fn after<P: Primitives>(
        &self,
        step: Move,
        device: &impl Fn(Who, Recorder) -> P,
        done: &mut Exploration,
    ) -> Result<Option<Self>, Counterexample> {
        let mut next = self.clone();
        next.touched = Touched::default();
        let name = |at: usize| {
            self.in_transit.get(at).map_or_else(String::new, |sent| {
                let who = self.conversations.get(sent.conversation).map(|one| one.who(sent.from));
                let author = who.map_or_else(String::new, |who| format!("{who:?}"));
                format!("{author}'s {}:{}.{}", sent.conversation, sent.label.chain, sent.label.number)
            })
        };
        match step {
            Move::Publish => {
                next.schedule.push("Bob publishes".into());
                next.publish(device)?;
            }
            Move::Replace => {
                next.schedule.push("Bob replaces his signed prekey".into());
                next.replace(device)?;
            }
            Move::Fetch(served) => {
                next.schedule.push(format!("Alice fetches ({})", bundle_name(served)));
                if !next.fetch(served, device)? {
                    return Ok(None);
                }
            }
            Move::Initiate => {
                next.schedule.push("Alice begins".into());
                next.initiate(device)?;
            }
            Move::Approach => {
                next.schedule.push("the relay begins with Bob".into());
                next.approach(device)?;
            }
            Move::Send(at, side) => {
                let who = self.conversations.get(at).map(|one| one.who(side));
                next.schedule.push(who.map_or_else(String::new, |who| format!("{who:?} sends in {at}")));
                next.send(at, side, device)?;
            }
            Move::Deliver(at) => {
                next.schedule.push(format!("{} arrives", name(at)));
                let sent = next.in_transit.remove(at);
                next.deliver(&sent, device, done)?;
            }
            Move::Duplicate(at) => {
                next.schedule.push(format!("{} arrives and stays", name(at)));
                next.duplicates = next.duplicates.saturating_add(1);
                if let Some(sent) = self.in_transit.get(at) {
                    next.deliver(sent, device, done)?;
                }
            }
            Move::Lose(at) => {
                next.schedule.push(format!("{} is lost", name(at)));
                next.losses = next.losses.saturating_add(1);
                next.in_transit.remove(at);
            }
        }
        done.count(step.kind());
        Ok(Some(next))
    }

    fn send<P: Primitives>(
        &mut self,
        at: usize,
        side: Side,
        device: &impl Fn(Who, Recorder) -> P,
    ) -> Result<(), Counterexample> {
        let failed = self.fails("a party that can send failed to");
        let one = self.conversations.get_mut(at).ok_or_else(|| failed.clone())?;
        let (who, number) = (one.who(side), *one.sent_by.of(side));
        let is_first = one.model.of(side).is_unanswered();
        let label = one.model.of_mut(side).send().ok_or_else(|| failed.clone())?;
        let state = one.sessions.of(side).as_deref().unwrap_or_default();
        let place = u8::try_from(at).unwrap_or(u8::MAX);
        let purpose = [b'd', initial(who), place, u8::from(side == Side::Alice), number];
        let text = text(at, side, number);
        let made = made(&[b"send", &purpose, state], || {
            let (tape, recorders) = recorders().ok_or_else(|| failed.clone())?;
            let mut session = restore(device(who, recorders.of(who).clone()), state).ok_or_else(|| failed.clone())?;
            let sealed = session.encrypt(&text, &mut DerivedRng::of(&purpose)).map_err(|_| failed.clone())?;
            Ok(Made { output: Some(sealed), session: Some(session_state(&session)), device: None, tape: tape.bytes() })
        })?;
        let (Some(bytes), Some(after)) = (made.output.clone(), made.session.clone()) else { return Err(failed) };
        *one.sessions.of_mut(side) = Some(after);
        *one.sent_by.of_mut(side) = number.saturating_add(1);
        ingest_bytes(&mut self.ledger, &made.tape).map_err(|_| failed)?;
        self.sealed(Sent { conversation: at, from: side, label, text, bytes, is_first });
        Ok(())
    }

    /// Puts a message in transit.
    pub(crate) fn sealed(&mut self, sent: Sent) {
        self.touched.conversation = Some(sent.conversation);
        self.touched.device |= sent.is_first;
        let sent = Arc::new(sent);
        self.sealed.push(sent.clone());
        self.in_transit.push(sent);
    }

    /// What must happen to a message now.
    fn expected(&self, sent: &Sent) -> Option<Expectation> {
        let one = self.conversations.get(sent.conversation)?;
        let to = sent.from.other();
        let expected = one.model.of(to).expectation(&sent.label);
        // If there is no session, the device decides. The relay's own device has used up no prekey.
        let is_accepted = one.sessions.of(to).is_some()
            || one.who(to) == Who::Relay
            || self.prekey_model.expected(one.signed_prekey, one.one_time_prekey, false).is_ok();
        Some(if is_accepted { expected } else { Expectation::Refused })
    }

    fn deliver<P: Primitives>(
        &mut self,
        sent: &Arc<Sent>,
        device: &impl Fn(Who, Recorder) -> P,
        done: &mut Exploration,
    ) -> Result<(), Counterexample> {
        let failed = self.fails("a message belongs to no conversation");
        let to = sent.from.other();
        let expected = self.expected(sent).ok_or_else(|| failed.clone())?;
        let one = self.conversations.get(sent.conversation).ok_or_else(|| failed.clone())?;
        let who = one.who(to);
        let before = one.sessions.of(to).clone();
        let state = before.as_ref().unwrap_or(self.devices.of(who));
        let made = made(&[b"deliver", &[initial(who), u8::from(before.is_some())], state, &sent.bytes], || {
            let (tape, recorders) = recorders().ok_or_else(|| self.fails("cannot make a tape"))?;
            let primitives = device(who, recorders.of(who).clone());
            let (output, session, device) = match &before {
                Some(state) => {
                    let mut session =
                        restore(primitives, state).ok_or_else(|| self.fails("a session does not restore"))?;
                    let output = session.decrypt(&sent.bytes).ok().map(|opened| opened.plaintext);
                    (output, Some(session_state(&session)), None)
                }
                None => self.accept(primitives, who, &sent.bytes)?,
            };
            Ok(Made { output, session, device, tape: tape.bytes() })
        })?;
        let Made { output, session: after, device: owner, tape } = &*made;
        match (expected, output) {
            (Expectation::Opens, Some(text)) if *text == sent.text => {}
            (Expectation::KeyGone | Expectation::Refused | Expectation::TooManySkipped, None) => {
                done.refused = done.refused.saturating_add(1)
            }
            (Expectation::Opens, Some(_)) => return Err(self.fails("a message opened to a different text")),
            (Expectation::Opens, None) => return Err(self.fails("a message that must open did not")),
            (_, Some(_)) => return Err(self.fails("a message that must be refused opened")),
        }
        if expected != Expectation::Opens {
            let device_changed = owner.as_ref().is_some_and(|owner| owner != self.devices.of(who));
            if device_changed || (before.is_some() && *after != before) {
                return Err(self.fails("a refused message changed the session or the device"));
            }
            return ingest_bytes(&mut self.ledger, tape).map_err(|_| self.fails("the trace is damaged"));
        }
        let after = after.clone().ok_or_else(|| self.fails("a session does not store"))?;
        if let Some(one) = self.conversations.get_mut(sent.conversation) {
            if before.is_none() && who == Who::Bob {
                self.prekey_model.accept(one.signed_prekey, one.one_time_prekey);
            }
            one.model.of_mut(to).receive(&sent.label);
            *one.sessions.of_mut(to) = Some(after);
        }
        if let Some(owner) = owner {
            self.devices.of_mut(who).clone_from(owner);
            self.touched.device = true;
            done.count("first message accepted");
        }
        self.touched.conversation = Some(sent.conversation);
        self.opened.push(sent.clone());
        done.opened = done.opened.saturating_add(1);
        ingest_bytes(&mut self.ledger, tape).map_err(|_| self.fails("the trace is damaged"))
    }

    /// The model that each end of a conversation begins with.
    pub(crate) fn party(side: Side) -> Party {
        let limits = ModelLimits::of::<Store>();
        match side {
            Side::Alice => Party::initiator(limits),
            Side::Bob => Party::responder(limits),
        }
    }
}
