// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Node`]: one state of an exploration, what may follow, and what must hold there.

use super::draws::Draws;
use super::{Bounds, Counterexample, Exploration};
use crate::audit::classes::Class;
use crate::audit::clauses::Closure;
use crate::audit::ledger::{Id, Ledger};
use crate::audit::record::{Recorder, Tape};
use crate::audit::trace::{Record, TraceError, TraceReader};
use crate::audit::within::Inner;
use crate::events::{Both, Label, Limits, Party, Side, Verdict};
use crate::hazmat;
use crate::primitives::{Primitives, RustCrypto};
use crate::ratchet::skipped::Inline;
use crate::secret::Secret;
use crate::session::Session;
use crate::snapshot::Stored;
use crate::wire::{MESSAGE_OVERHEAD, Reader, Writer};
use sha2::{Digest, Sha256};
use std::string::String;
use std::sync::Arc;
use std::vec::Vec;
use std::{format, vec};

/// Room for skipped keys: as many as messages, so that nothing is evicted within the bound.
type Store = Inline<16>;

/// A message.
#[derive(Debug)]
pub(super) struct Sent {
    from: Side,
    label: Label,
    text: [u8; TEXT_LEN],
    bytes: Vec<u8>,
}

const TEXT_LEN: usize = 20;

#[derive(Clone, Copy, Debug)]
pub(super) enum Move {
    Send(Side),
    /// By its place among what is under way.
    Deliver(usize),
    Duplicate(usize),
    Lose(usize),
}

/// One state.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) states: Both<Vec<u8>>,
    model: Both<Party>,
    sent_by: Both<u8>,
    /// In the order of their sending; a number is a message's name.
    under_way: Vec<Arc<Sent>>,
    opened: Vec<Arc<Sent>>,
    losses: u8,
    duplicates: u8,
    ledger: Ledger,
    pub(super) schedule: Vec<String>,
}

/// A session that records, from a state that was stored.
fn restore<P: Primitives>(primitives: P, state: &[u8]) -> Option<Session<P, Store>> {
    let session = Session::<RustCrypto, Store>::load(RustCrypto, &mut Reader::new(state)).ok()?;
    let Session { primitives: _, parties, associated_data, opening, ratchet } = session;
    Some(Session { primitives, parties, associated_data, opening, ratchet })
}

fn store<P: Primitives>(session: &Session<P, Store>) -> Option<Vec<u8>> {
    let mut bytes = vec![0; Stored::<P>::stored_len(session)];
    Stored::<P>::store(session, &mut Writer::new(&mut bytes)).ok()?;
    Some(bytes)
}

/// What was recorded is added to a ledger.
fn note(ledger: &mut Ledger, tape: &Tape) -> Result<(), TraceError> {
    TraceReader::new(tape.bytes().as_slice())?.for_each_record(|record| {
        if let Record::Operation(operation) = record {
            ledger.take(&operation);
        }
    })?;
    Ok(())
}

/// Two recorders on a tape of their own. Always these two, so that a ledger can take one tape after the other.
fn recorders() -> Option<(Tape, Both<Recorder>)> {
    let tape = Tape::in_memory();
    let both = Both { alice: tape.device("Alice")?, bob: tape.device("Bob")? };
    Some((tape, both))
}

impl Node {
    fn fails(&self, claim: &str) -> Counterexample {
        Counterexample { schedule: self.schedule.clone(), claim: claim.into() }
    }

    /// Two sessions of a fresh secret.
    pub(super) fn root<P: Primitives>(device: &impl Fn(Side, Recorder) -> P) -> Result<Self, Counterexample> {
        let limits = Limits::of::<Store>();
        let mut root = Self {
            states: Both::default(),
            model: Both { alice: Party::initiator(limits), bob: Party::responder(limits) },
            sent_by: Both::default(),
            under_way: Vec::new(),
            opened: Vec::new(),
            losses: 0,
            duplicates: 0,
            ledger: Ledger::default(),
            schedule: Vec::new(),
        };
        let failed = root.fails("two sessions cannot be made");
        let (tape, recorders) = recorders().ok_or_else(|| failed.clone())?;
        let (secret, ratchet) = ([0x51; 32], [0x52; 32]);
        recorders.alice.given(&secret);
        recorders.bob.given(&ratchet);
        let bob = device(Side::Bob, recorders.bob);
        let public = bob.dh_public(&Secret::new(ratchet));
        let alice = device(Side::Alice, recorders.alice);
        let alice =
            hazmat::initiator::<P, Store>(alice, &Secret::new(secret), &public, b"").map_err(|_| failed.clone())?;
        let bob = hazmat::responder::<P, Store>(bob, &Secret::new(secret), Secret::new(ratchet), b"");
        root.states = Both {
            alice: store(&alice).ok_or_else(|| failed.clone())?,
            bob: store(&bob).ok_or_else(|| failed.clone())?,
        };
        root.ledger.meet_two("Alice", "Bob");
        note(&mut root.ledger, &tape).map_err(|_| failed)?;
        Ok(root)
    }

    /// What tells states apart: both sessions, what is under way, and what may still happen.
    pub(super) fn key(&self) -> [u8; 16] {
        let mut hash = Sha256::new();
        let mut names: Vec<(bool, u32, u32)> =
            self.under_way.iter().map(|sent| (sent.from == Side::Alice, sent.label.chain, sent.label.number)).collect();
        names.sort_unstable();
        for (from, chain, number) in names {
            hash.update([u8::from(from)]);
            hash.update(chain.to_be_bytes());
            hash.update(number.to_be_bytes());
        }
        hash.update([0xFF, self.losses, self.duplicates, self.sent_by.alice, self.sent_by.bob]);
        hash.update(&self.states.alice);
        hash.update([0xFF]);
        hash.update(&self.states.bob);
        let digest = hash.finalize();
        let mut key = [0; 16];
        key.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        key
    }

    pub(super) fn moves(&self, bounds: Bounds) -> Vec<Move> {
        let mut moves = Vec::new();
        for side in [Side::Alice, Side::Bob] {
            if *self.sent_by.of(side) < bounds.messages && self.model.of(side).clone().send().is_some() {
                moves.push(Move::Send(side));
            }
        }
        for at in 0..self.under_way.len() {
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

    /// The state behind a move.
    pub(super) fn after<P: Primitives>(
        &self,
        step: Move,
        device: &impl Fn(Side, Recorder) -> P,
        done: &mut Exploration,
    ) -> Result<Self, Counterexample> {
        let mut next = self.clone();
        let name = |at: usize| {
            self.under_way.get(at).map_or_else(String::new, |sent| {
                format!("{:?}'s {}.{}", sent.from, sent.label.chain, sent.label.number)
            })
        };
        match step {
            Move::Send(side) => {
                next.schedule.push(format!("{side:?} sends"));
                next.send(side, device)?;
            }
            Move::Deliver(at) => {
                next.schedule.push(format!("{} arrives", name(at)));
                let sent = next.under_way.remove(at);
                next.deliver(&sent, device, done)?;
            }
            Move::Duplicate(at) => {
                next.schedule.push(format!("{} arrives and stays", name(at)));
                next.duplicates = next.duplicates.saturating_add(1);
                if let Some(sent) = self.under_way.get(at) {
                    next.deliver(sent, device, done)?;
                }
            }
            Move::Lose(at) => {
                next.schedule.push(format!("{} is lost", name(at)));
                next.losses = next.losses.saturating_add(1);
                next.under_way.remove(at);
            }
        }
        Ok(next)
    }

    fn send<P: Primitives>(&mut self, side: Side, device: &impl Fn(Side, Recorder) -> P) -> Result<(), Counterexample> {
        let failed = self.fails("who may send could not");
        let number = *self.sent_by.of(side);
        let label = self.model.of_mut(side).send().ok_or_else(|| failed.clone())?;
        let (tape, recorders) = recorders().ok_or_else(|| failed.clone())?;
        let mut session =
            restore(device(side, recorders.of(side).clone()), self.states.of(side)).ok_or_else(|| failed.clone())?;
        let mut draws = Draws::of(side, number);
        let mut text = [0; TEXT_LEN];
        let digest = Sha256::digest([b't', u8::from(side == Side::Alice), number]);
        text.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        let bytes = session.encrypt(&text, b"", &mut draws).map_err(|_| failed.clone())?;
        *self.states.of_mut(side) = store(&session).ok_or_else(|| failed.clone())?;
        *self.sent_by.of_mut(side) = number.saturating_add(1);
        note(&mut self.ledger, &tape).map_err(|_| failed)?;
        self.under_way.push(Arc::new(Sent { from: side, label, text, bytes }));
        Ok(())
    }

    fn deliver<P: Primitives>(
        &mut self,
        sent: &Arc<Sent>,
        device: &impl Fn(Side, Recorder) -> P,
        done: &mut Exploration,
    ) -> Result<(), Counterexample> {
        let to = sent.from.other();
        let due = self.model.of(to).verdict(&sent.label);
        let (tape, recorders) = recorders().ok_or_else(|| self.fails("a tape cannot be made"))?;
        let mut session = restore(device(to, recorders.of(to).clone()), self.states.of(to))
            .ok_or_else(|| self.fails("a session does not restore"))?;
        match (due, session.decrypt(&sent.bytes, b"")) {
            (Verdict::Opens, Ok(text)) if text == sent.text => {
                self.model.of_mut(to).receive(&sent.label);
                self.opened.push(sent.clone());
                done.opened = done.opened.saturating_add(1);
            }
            (Verdict::Refused | Verdict::TooManySkipped, Err(_)) => done.refused = done.refused.saturating_add(1),
            (Verdict::Opens, Ok(_)) => return Err(self.fails("a message opened to another text")),
            (Verdict::Opens, Err(_)) => return Err(self.fails("a message that must open did not")),
            (_, Ok(_)) => return Err(self.fails("a message that must be refused opened")),
        }
        let state = store(&session).ok_or_else(|| self.fails("a session does not store"))?;
        if due != Verdict::Opens && state != *self.states.of(to) {
            return Err(self.fails("a refused message changed the session"));
        }
        *self.states.of_mut(to) = state;
        note(&mut self.ledger, &tape).map_err(|_| self.fails("the trace is damaged"))
    }

    /// What follows at this state, for the server, and for who also steals a device's memory.
    pub(super) fn follow(&self, done: &mut Exploration) -> Result<(), Counterexample> {
        let mut ledger = self.ledger.clone();
        ledger.finish();
        if let Some(flaw) = ledger.flaws.first() {
            return Err(self.fails(&format!("the run has a flaw: {flaw:?}")));
        }
        let values = ledger.values().count();
        let watches = ledger.clauses.watches(values);
        let closure = |stolen: &[Id]| {
            let facts = ledger.facts.iter().chain(stolen).copied();
            Closure::of(&ledger.clauses, &watches, values, facts)
        };
        let known = closure(&[]);
        if let Some((_, value)) = ledger.values().find(|(id, value)| value.class == Class::Secret && known.knows(*id)) {
            return Err(self.fails(&format!("a secret follows from what the server saw: {}", value.what)));
        }
        let inner = Inner::of(&ledger);
        for (participant, side) in [(0, Side::Alice), (1, Side::Bob)] {
            let stolen: Vec<Id> = inner.within(&ledger, self.states.of(side)).collect();
            let known = closure(&stolen);
            done.thefts = done.thefts.saturating_add(1);
            for message in &ledger.messages {
                let is_past = message.sender == participant
                    || message.opened.is_some_and(|(receiver, _)| receiver == participant);
                if is_past && known.knows(message.key) {
                    return Err(self.fails(&format!("{side:?}'s memory gives a message of the past")));
                }
            }
        }
        Ok(())
    }

    /// What a hostile server delivers here: all of it is refused and changes nothing.
    pub(super) fn suffer<P: Primitives>(
        &self,
        device: &impl Fn(Side, Recorder) -> P,
        done: &mut Exploration,
    ) -> Result<(), Counterexample> {
        let flipped = |sent: &Sent, at: usize| {
            let mut bytes = sent.bytes.clone();
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1;
            }
            bytes
        };
        let mut attacks: Vec<(Side, Vec<u8>)> = Vec::new();
        if let Some(sent) = self.under_way.last() {
            let to = sent.from.other();
            attacks.push((to, flipped(sent, MESSAGE_OVERHEAD / 2)));
            attacks.push((to, flipped(sent, sent.bytes.len().saturating_sub(1))));
            attacks.push((sent.from, sent.bytes.clone()));
        }
        attacks.extend(self.opened.iter().map(|sent| (sent.from.other(), sent.bytes.clone())));
        let (_, recorders) = recorders().ok_or_else(|| self.fails("a tape cannot be made"))?;
        let ends = |side: Side| {
            restore(device(side, recorders.of(side).clone()), self.states.of(side))
                .ok_or_else(|| self.fails("a session does not restore"))
        };
        let mut both = Both { alice: ends(Side::Alice)?, bob: ends(Side::Bob)? };
        for (to, bytes) in attacks {
            if both.of_mut(to).decrypt(&bytes, b"").is_ok() {
                return Err(self.fails("a forgery, reflection or replay opened"));
            }
            done.refused = done.refused.saturating_add(1);
        }
        let unchanged = |side: Side| store(both.of(side)).as_deref() == Some(self.states.of(side).as_slice());
        match unchanged(Side::Alice) && unchanged(Side::Bob) {
            true => Ok(()),
            false => Err(self.fails("a forgery, reflection or replay changed the session")),
        }
    }
}
