// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Simulation`]: two ends, the messages in transit between them, and a reference model of each. This module applies
//! what an honest network and its users do; `hostile` applies the attacker's events.

mod report;

pub(crate) use report::associated_data;
pub use report::{Report, Sent};

use super::endpoint::Endpoint;
use super::event::{Event, pick};
use super::handshake_sim::{Answer, HandshakeSim, Outcome};
use super::model::{Expectation, ModelLimits, Party};
use super::side::{PerSide, Side};
use super::violation::{Claim, Violation};
use noescrow::error::DecryptError;
use noescrow::{ChunkSize, Payload, Sealed, is_first_message};
use rand_core::CryptoRng;
use std::collections::VecDeque;

/// Length of the longest plaintext: about twice what the header's AEAD covers of a body.
pub const MAX_LENGTH: u16 = 8_191;
/// Messages of the longest burst: more than a store keeps. What one jump may skip takes several bursts, so that a random
/// schedule is a short run.
pub const MAX_BURST: u16 = 2_047;
/// Messages that one simulation sends; after these it sends none. It is more than one jump may skip in both chains.
pub const MAX_MESSAGES: usize = 1 << 16;
/// Length of the plaintexts of a burst.
const BURST_LENGTH: usize = 24;
/// The number of skipped keys from which on the state is not sealed twice for every message that opens: each key adds
/// 40 bytes to it.
const SMALL: usize = 64;

/// Two ends of a conversation and all that ever passed between them.
#[derive(Debug)]
pub struct Simulation<E: Endpoint, R> {
    pub(crate) ends: PerSide<E>,
    pub(crate) model: PerSide<Party>,
    /// Another session of the same devices.
    pub(crate) other: PerSide<E>,
    handshakes: HandshakeSim<E::Primitives>,
    pub(crate) chunk_size: ChunkSize,
    bundle: Vec<u8>,
    pub(crate) sent: Vec<Sent>,
    /// Messages in transit, by recipient.
    in_transit: PerSide<VecDeque<usize>>,
    /// All messages, by recipient.
    pub(crate) sent_to: PerSide<Vec<usize>>,
    /// All opened messages, by recipient.
    pub(crate) opened_by: PerSide<Vec<usize>>,
    pub(crate) saved: PerSide<VecDeque<Vec<u8>>>,
    pub(crate) generation: PerSide<u64>,
    pub(crate) rng: R,
    pub(crate) report: Report,
    now: Option<(usize, Event)>,
}

impl<E: Endpoint, R> Simulation<E, R> {
    pub(crate) fn from_setup(
        ends: PerSide<E>,
        model: PerSide<Party>,
        other: PerSide<E>,
        handshakes: HandshakeSim<E::Primitives>,
        chunk_size: ChunkSize,
        (bundle, sent): (Vec<u8>, Vec<Sent>),
        rng: R,
    ) -> Self {
        let all = || 0..sent.len();
        let arrived = |at: &usize| sent.get(*at).is_some_and(|sent| sent.opened);
        let mut simulation = Self {
            ends,
            model,
            other,
            handshakes,
            chunk_size,
            bundle,
            in_transit: PerSide { alice: VecDeque::new(), bob: all().filter(|at| !arrived(at)).collect() },
            sent_to: PerSide { alice: Vec::new(), bob: all().collect() },
            opened_by: PerSide { alice: Vec::new(), bob: all().filter(arrived).collect() },
            sent: Vec::new(),
            saved: PerSide::default(),
            generation: PerSide::default(),
            rng,
            report: Report { sent: sent.len(), opened: 1, ..Report::default() },
            now: None,
        };
        simulation.sent = sent;
        simulation
    }

    /// The same simulation with other ends: faulty ones, which break a rule.
    pub fn map<F: Endpoint<Primitives = E::Primitives>>(self, mut end: impl FnMut(Side, E) -> F) -> Simulation<F, R> {
        let mut both =
            |ends: PerSide<E>| PerSide { alice: end(Side::Alice, ends.alice), bob: end(Side::Bob, ends.bob) };
        Simulation {
            ends: both(self.ends),
            other: both(self.other),
            handshakes: self.handshakes,
            model: self.model,
            chunk_size: self.chunk_size,
            bundle: self.bundle,
            sent: self.sent,
            in_transit: self.in_transit,
            sent_to: self.sent_to,
            opened_by: self.opened_by,
            saved: self.saved,
            generation: self.generation,
            rng: self.rng,
            report: self.report,
            now: self.now,
        }
    }

    /// Gives both models other bounds than the stores have: a wrong model, to test that the error is noticed.
    pub fn set_limits(&mut self, limits: ModelLimits) {
        self.model.alice.set_limits(limits);
        self.model.bob.set_limits(limits);
    }

    /// The bundle as the server served it.
    #[must_use]
    pub fn bundle(&self) -> &[u8] {
        &self.bundle
    }

    /// All messages of the conversation, in the order in which they were sent.
    #[must_use]
    pub fn sent(&self) -> &[Sent] {
        &self.sent
    }

    /// The two ends.
    #[must_use]
    pub const fn ends(&self) -> &PerSide<E> {
        &self.ends
    }

    /// The two reference models.
    #[must_use]
    pub const fn model(&self) -> &PerSide<Party> {
        &self.model
    }

    /// The devices, the relay between them, and their further handshakes.
    #[must_use]
    pub const fn handshakes(&self) -> &HandshakeSim<E::Primitives> {
        &self.handshakes
    }

    /// The number of messages in transit to one side.
    #[must_use]
    pub fn in_transit(&self, to: Side) -> usize {
        self.in_transit.of(to).len()
    }

    /// What happened so far.
    #[must_use]
    pub fn report(&self) -> Report {
        let [alice, bob] = [&self.model.alice, &self.model.bob];
        Report {
            evicted: alice.evicted().saturating_add(bob.evicted()),
            retired: alice.retired().saturating_add(bob.retired()),
            chains: alice.receiving_chain().max(bob.receiving_chain()),
            ..self.report
        }
    }

    pub(crate) const fn violation(&self, claim: Claim) -> Violation {
        Violation { event: self.now, claim }
    }

    /// Returns a [`Violation`] unless `holds`.
    pub(crate) fn claim(&self, claim: Claim, holds: bool) -> Result<(), Violation> {
        if holds { Ok(()) } else { Err(self.violation(claim)) }
    }
}

impl<E: Endpoint, R: CryptoRng> Simulation<E, R> {
    /// A second simulation in the same state, for exploring what else may follow.
    ///
    /// # Errors
    /// [`Violation`] if an end does not restore.
    pub fn fork(&self) -> Result<Self, Violation>
    where
        R: Clone,
    {
        let copy = |end: &E| end.reload(&end.save(0), 0).map_err(|_| self.violation(Claim::Restores));
        Ok(Self {
            ends: PerSide { alice: copy(&self.ends.alice)?, bob: copy(&self.ends.bob)? },
            other: PerSide { alice: copy(&self.other.alice)?, bob: copy(&self.other.bob)? },
            handshakes: self.handshakes.fork().ok_or(self.violation(Claim::Restores))?,
            model: self.model.clone(),
            chunk_size: self.chunk_size,
            bundle: self.bundle.clone(),
            sent: self.sent.clone(),
            in_transit: self.in_transit.clone(),
            sent_to: self.sent_to.clone(),
            opened_by: self.opened_by.clone(),
            saved: self.saved.clone(),
            generation: self.generation,
            rng: self.rng.clone(),
            report: self.report,
            now: self.now,
        })
    }

    /// Applies one event, and performs all checks after it.
    ///
    /// # Errors
    /// The first [`Violation`]; the simulation is then unusable.
    pub fn step(&mut self, event: Event) -> Result<(), Violation> {
        self.apply(event)?;
        self.report.events = self.report.events.saturating_add(1);
        Ok(())
    }

    /// [`step`](Self::step) without counting the event.
    pub(crate) fn apply(&mut self, event: Event) -> Result<(), Violation> {
        self.now = Some((self.report.events, event));
        match event {
            Event::Send { from, length, associated_data } => {
                let length = length.checked_rem(MAX_LENGTH.saturating_add(1)).unwrap_or_default();
                self.send(from, usize::from(length), associated_data)?;
            }
            Event::Burst { from, count } => {
                let count = count.checked_rem(MAX_BURST.saturating_add(1)).unwrap_or_default();
                (0..count).try_for_each(|_| self.send(from, BURST_LENGTH, 0))?;
            }
            Event::Deliver { to, at } => {
                if let Some(id) = self.take(to, at) {
                    self.deliver(to, id)?;
                }
            }
            Event::DeliverAll { to } => {
                self.deliver_all(to)?;
            }
            Event::Drop { to, at, count } => {
                let queue = self.in_transit.of_mut(to);
                if let Some(at) = pick(at, queue.len()) {
                    let end = at.saturating_add(usize::from(count)).saturating_add(1).min(queue.len());
                    queue.drain(at..end);
                }
            }
            Event::Duplicate { to, at } => {
                let queue = self.in_transit.of_mut(to);
                if let Some(id) = pick(at, queue.len()).and_then(|at| queue.get(at).copied()) {
                    queue.push_back(id);
                }
            }
            Event::Reorder { to, at, place } => {
                if let Some(id) = self.take(to, at) {
                    let queue = self.in_transit.of_mut(to);
                    let place = pick(place, queue.len().saturating_add(1)).unwrap_or_default();
                    queue.insert(place, id);
                }
            }
            Event::Publish { .. }
            | Event::Rotate { .. }
            | Event::DeletePrevious { .. }
            | Event::Fetch { .. }
            | Event::Initiate { .. }
            | Event::Arrive { .. }
            | Event::Mix { .. } => {
                let Outcome { expected, actual, claim } = self.apply_unchecked(event)?;
                self.claim(claim, expected == actual)?;
                let count = match actual {
                    Answer::IsNotAsked => return Ok(()),
                    Answer::Accepts => &mut self.report.handshakes_accepted,
                    Answer::Refuses => &mut self.report.handshakes_refused,
                };
                *count = count.saturating_add(1);
                return Ok(());
            }
            hostile => self.attack(hostile)?,
        }
        self.check_skipped_keys(Side::Alice)?;
        self.check_skipped_keys(Side::Bob)
    }

    /// Applies a handshake event without checking that the devices did what they must, to see what follows if they do
    /// not.
    ///
    /// # Errors
    /// A [`Violation`] of any other claim.
    pub fn apply_unchecked(&mut self, event: Event) -> Result<Outcome, Violation> {
        self.now = Some((self.report.events, event));
        self.handshakes.apply(event, &mut self.rng).map_err(|claim| self.violation(claim))
    }

    fn take(&mut self, to: Side, at: u16) -> Option<usize> {
        let queue = self.in_transit.of_mut(to);
        pick(at, queue.len()).and_then(|at| queue.remove(at))
    }

    fn send(&mut self, from: Side, length: usize, ad: u8) -> Result<(), Violation> {
        if self.sent.len() >= MAX_MESSAGES {
            return Ok(());
        }
        self.sync_epoch(from);
        let party = self.model.of_mut(from);
        let unanswered = party.is_unanswered();
        let Some(label) = party.send() else { return Err(self.violation(Claim::Sends)) };
        let mut sent = Sent::draft(from, label, length, ad, &mut self.rng);
        let end = self.ends.of_mut(from);
        let Ok(bytes) = end.encrypt(
            Payload { plaintext: &sent.plaintext, associated_data: associated_data(ad), ..Payload::default() },
            &mut self.rng,
        ) else {
            return Err(self.violation(Claim::Sends));
        };
        let overhead = match unanswered {
            true => self.chunk_size.first_message_overhead(),
            false => self.chunk_size.message_overhead(),
        };
        let least = overhead.saturating_add(length).saturating_add(1);
        let fits = (least..=least.saturating_add(length >> 3)).contains(&bytes.len());
        self.claim(Claim::SendsTheRightKind, fits && is_first_message(&bytes) == Ok(unanswered))?;
        sent.bytes = bytes;
        let id = self.sent.len();
        self.sent.push(sent);
        self.in_transit.of_mut(from.other()).push_back(id);
        self.sent_to.of_mut(from.other()).push(id);
        self.report.sent = self.report.sent.saturating_add(1);
        Ok(())
    }

    /// Copies an end's epoch to its model, which has no Braid of its own.
    pub(crate) fn sync_epoch(&mut self, side: Side) {
        let epoch = self.ends.of(side).sending_epoch();
        self.model.of_mut(side).set_epoch(epoch);
        self.report.epochs = self.report.epochs.max(epoch);
    }

    /// Delivers all messages in transit to one side. The state is compared before and after each run of refusals, because
    /// thousands may come too late.
    fn deliver_all(&mut self, to: Side) -> Result<(), Violation> {
        let mut before: Option<Vec<u8>> = None;
        while let Some(id) = self.in_transit.of_mut(to).pop_front() {
            self.sync_epoch(to);
            let label = self.sent.get(id).map(|sent| sent.label);
            if label.is_some_and(|label| self.model.of(to).expectation(&label) == Expectation::Opens) {
                self.claim_unchanged(to, before.take())?;
            } else if before.is_none() {
                before = Some(self.ends.of(to).save(0));
            }
            self.deliver_one(to, id, before.is_none())?;
        }
        self.claim_unchanged(to, before)
    }

    /// Checks that refusals have left a side as it was `before`.
    fn claim_unchanged(&self, side: Side, before: Option<Vec<u8>>) -> Result<(), Violation> {
        before.map_or(Ok(()), |before| self.claim(Claim::ErrorLeavesState, before == self.ends.of(side).save(0)))
    }

    /// Delivers a genuine message.
    pub(crate) fn deliver(&mut self, to: Side, id: usize) -> Result<(), Violation> {
        self.deliver_one(to, id, true)
    }

    /// Delivers a genuine message. If it must not open, the state is compared here or by the caller.
    fn deliver_one(&mut self, to: Side, id: usize, compare: bool) -> Result<(), Violation> {
        self.sync_epoch(to);
        let Some(sent) = self.sent.get(id) else { return Ok(()) };
        let expired = self.model.of(to).is_expired(&sent.label);
        let (bytes, ad, opened) = (sent.bytes.clone(), associated_data(sent.associated_data), sent.opened);
        let expected = match self.model.of(to).expectation(&sent.label) {
            Expectation::Opens => return self.open(to, id, &bytes, ad),
            Expectation::KeyGone => DecryptError::KeyGone,
            Expectation::Refused => DecryptError::Refused,
            Expectation::TooManySkipped => DecryptError::TooManySkipped,
        };
        if expected != DecryptError::TooManySkipped && !opened {
            self.report.lost = self.report.lost.saturating_add(1);
            self.report.expired = self.report.expired.saturating_add(usize::from(expired));
        }
        let before = compare.then(|| self.ends.of(to).save(0));
        self.fails(to, &bytes, ad, expected, if opened { Claim::OpensOnce } else { Claim::MustNotOpen })?;
        self.claim_unchanged(to, before)
    }

    fn open(&mut self, to: Side, id: usize, bytes: &[u8], ad: &[u8]) -> Result<(), Violation> {
        let small = self.model.of(to).skipped_message_keys() < SMALL;
        let before = small.then(|| self.ends.of(to).save(0));
        let Ok(plaintext) = self.ends.of_mut(to).decrypt(Sealed { message: bytes, associated_data: ad }) else {
            return Err(self.violation(Claim::MustOpen));
        };
        let after = small.then(|| self.ends.of(to).save(0));
        self.claim(Claim::OpeningChangesState, !small || before != after)?;
        let violation = |claim| Violation { event: self.now, claim };
        let sent = self.sent.get_mut(id).ok_or(violation(Claim::MustOpen))?;
        if sent.plaintext != plaintext {
            return Err(violation(Claim::OpensToWhatWasSent));
        }
        if core::mem::replace(&mut sent.opened, true) {
            return Err(violation(Claim::OpensOnce));
        }
        let party = self.model.of_mut(to);
        let late = !party.is_new(&sent.label);
        party.receive(&sent.label);
        self.opened_by.of_mut(to).push(id);
        self.report.opened = self.report.opened.saturating_add(1);
        self.report.opened_late = self.report.opened_late.saturating_add(usize::from(late));
        self.check_skipped_keys(to)
    }

    /// Delivers bytes that must not open: they must fail with the expected error and leave the state unchanged. If they
    /// open, `claim` fails.
    pub(crate) fn refuse(
        &mut self,
        to: Side,
        bytes: &[u8],
        ad: &[u8],
        expected: DecryptError,
        claim: Claim,
    ) -> Result<(), Violation> {
        let before = self.ends.of(to).save(0);
        self.fails(to, bytes, ad, expected, claim)?;
        self.claim_unchanged(to, Some(before))
    }

    /// Does what [`refuse`](Self::refuse) does, and does not compare the state.
    fn fails(
        &mut self,
        to: Side,
        bytes: &[u8],
        ad: &[u8],
        expected: DecryptError,
        claim: Claim,
    ) -> Result<(), Violation> {
        let Err(error) = self.ends.of_mut(to).decrypt(Sealed { message: bytes, associated_data: ad }) else {
            return Err(self.violation(claim));
        };
        self.claim(Claim::TheRightError, error == expected)?;
        self.report.refused = self.report.refused.saturating_add(1);
        let skipping = usize::from(expected == DecryptError::TooManySkipped);
        self.report.too_many_skipped = self.report.too_many_skipped.saturating_add(skipping);
        self.check_skipped_keys(to)
    }

    fn check_skipped_keys(&mut self, side: Side) -> Result<(), Violation> {
        let kept = self.ends.of(side).skipped_message_keys();
        self.report.most_skipped = self.report.most_skipped.max(kept);
        self.claim(Claim::SkippedKeys, kept == self.model.of(side).skipped_message_keys())
    }
}
