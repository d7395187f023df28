// SPDX-License-Identifier: MIT OR Apache-2.0
//! The reference model: the specification's bookkeeping, with numbers instead of keys.
//!
//! A chain is one ratchet step of its sender, counted from 1. Since each side steps only after the other has, a
//! receiver is at most one chain late, and the n-th chain that it sees is the n-th one sent.
//!
//! The model is naive on purpose: a set of skipped messages, no binary search, no staging. It has no Braid: the caller
//! sets a party's post-quantum epoch, and the model says which epochs' messages must open. Everything else that the
//! sparse ratchet keeps follows from what the Double Ratchet keeps: its chains continue where those of the previous
//! epoch end, and it skips the same messages in the same order.

use noescrow::{MAX_JUMP, MAX_SKIPPED_STEPS, skipped::SkippedKeyStore};
use std::collections::BTreeSet;

/// The receiver's bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelLimits {
    /// Messages that one jump may skip within one chain.
    pub max_jump: u32,
    /// Skipped keys stored in total.
    pub capacity: usize,
    /// Receiving steps for which skipped keys are stored.
    pub max_steps: u32,
    /// Number of post-quantum epochs before the receiver's own sending epoch whose messages still open.
    pub max_epochs: u32,
}

impl ModelLimits {
    /// The bounds of a session with this store.
    #[must_use]
    pub const fn of<S: SkippedKeyStore>() -> Self {
        Self { max_jump: MAX_JUMP, capacity: S::CAPACITY, max_steps: MAX_SKIPPED_STEPS, max_epochs: 1 }
    }
}

/// What a header contains, and the chain that it is sealed under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// The sender's chain.
    pub chain: u32,
    /// N: the message's number in the chain.
    pub number: u32,
    /// PN: the number of messages in the previous chain.
    pub previous_chain_length: u32,
    /// The epoch of the message's post-quantum key.
    pub epoch: u32,
}

/// What must happen to a genuine message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// It opens.
    Opens,
    /// Its header opens, and its key was used or evicted; or its epoch is too old.
    KeyGone,
    /// No header key of its chain is kept.
    Refused,
    /// It would skip more than is allowed.
    TooManySkipped,
}

/// One party as the specification describes it.
#[derive(Clone, Debug)]
pub struct Party {
    limits: ModelLimits,
    initiator: bool,
    /// Whether a ratchet step comes before the next message.
    step_pending: bool,
    sending_chain: u32,
    sending_number: u32,
    previous_chain_length: u32,
    receiving_chain: u32,
    receiving_number: u32,
    skipped_message_keys: BTreeSet<(u32, u32)>,
    epoch: u32,
    evicted: usize,
    retired: usize,
}

impl Party {
    /// The side that sends first.
    #[must_use]
    pub fn initiator(limits: ModelLimits) -> Self {
        Self { step_pending: true, initiator: true, ..Self::responder(limits) }
    }

    /// The side that receives first.
    #[must_use]
    pub fn responder(limits: ModelLimits) -> Self {
        Self {
            limits,
            initiator: false,
            step_pending: false,
            sending_chain: 0,
            sending_number: 0,
            previous_chain_length: 0,
            receiving_chain: 0,
            receiving_number: 0,
            skipped_message_keys: BTreeSet::new(),
            epoch: 0,
            evicted: 0,
            retired: 0,
        }
    }

    /// Gives the party other bounds: a wrong model, to test that the error is noticed.
    pub const fn set_limits(&mut self, limits: ModelLimits) {
        self.limits = limits;
    }

    /// Sets the party's sending epoch; must be called before it sends or receives.
    pub const fn set_epoch(&mut self, epoch: u32) {
        self.epoch = epoch;
    }

    /// Sends a message; `None` before a responder has received anything.
    pub fn send(&mut self) -> Option<Label> {
        if self.step_pending {
            self.step_pending = false;
            self.previous_chain_length = self.sending_number;
            self.sending_number = 0;
            self.sending_chain = self.sending_chain.saturating_add(1);
        }
        if self.sending_chain == 0 {
            return None;
        }
        let label = Label {
            chain: self.sending_chain,
            number: self.sending_number,
            previous_chain_length: self.previous_chain_length,
            epoch: self.epoch,
        };
        self.sending_number = self.sending_number.saturating_add(1);
        Some(label)
    }

    /// What must happen to a message now.
    #[must_use]
    pub fn expectation(&self, label: &Label) -> Expectation {
        let kept = self.skipped_message_keys.contains(&(label.chain, label.number));
        let current = self.jump(label).1;
        match (self.is_new(label), kept) {
            (false, true) if self.is_retired(label) => Expectation::KeyGone,
            (false, true) => Expectation::Opens,
            (false, false) if self.has_header_key(label) => Expectation::KeyGone,
            (false, false) => Expectation::Refused,
            (true, _) if current > self.limits.max_jump => Expectation::TooManySkipped,
            (true, _) => Expectation::Opens,
        }
    }

    /// Records that a message was opened.
    pub fn receive(&mut self, label: &Label) {
        if !self.is_new(label) {
            self.skipped_message_keys.remove(&(label.chain, label.number));
            return;
        }
        if label.chain > self.receiving_chain {
            let previous = self.receiving_chain;
            // More than a jump are given up.
            if previous > 0 && self.jump(label).0 <= self.limits.max_jump {
                let missing = self.receiving_number..label.previous_chain_length;
                self.skipped_message_keys.extend(missing.map(|number| (previous, number)));
            }
            self.receiving_chain = label.chain;
            self.receiving_number = 0;
            self.step_pending = true;
        }
        let missing = self.receiving_number..label.number;
        self.skipped_message_keys.extend(missing.map(|number| (label.chain, number)));
        self.receiving_number = label.number.saturating_add(1);
        self.forget();
    }

    /// Evicts the oldest keys if there are too many, and all that are too old.
    fn forget(&mut self) {
        while self.skipped_message_keys.len() > self.limits.capacity {
            self.skipped_message_keys.pop_first();
            self.evicted = self.evicted.saturating_add(1);
        }
        let oldest = self.receiving_chain.saturating_sub(self.limits.max_steps);
        let kept = self.skipped_message_keys.split_off(&(oldest, 0));
        self.retired = self.retired.saturating_add(self.skipped_message_keys.len());
        self.skipped_message_keys = kept;
    }

    /// Whether the message is later than all that were received.
    pub(crate) const fn is_new(&self, label: &Label) -> bool {
        label.chain > self.receiving_chain
            || (label.chain == self.receiving_chain && label.number >= self.receiving_number)
    }

    /// Whether the header key of its chain is kept: that of the current chain, or of one with a key that is kept.
    fn has_header_key(&self, label: &Label) -> bool {
        let of_chain = (label.chain, 0)..=(label.chain, u32::MAX);
        label.chain == self.receiving_chain || self.skipped_message_keys.range(of_chain).next().is_some()
    }

    /// Whether its epoch's chains have been deleted. Never true for a new message: two epochs cannot pass without a
    /// reply.
    #[must_use]
    pub const fn is_retired(&self, label: &Label) -> bool {
        label.epoch < self.epoch.saturating_sub(self.limits.max_epochs)
    }

    /// Whether its classical key is stored while its epoch's key is not.
    pub(crate) fn is_expired(&self, label: &Label) -> bool {
        self.skipped_message_keys.contains(&(label.chain, label.number)) && self.is_retired(label)
    }

    /// The number of messages that `label` would skip in the previous chain and in its own.
    const fn jump(&self, label: &Label) -> (u32, u32) {
        if label.chain == self.receiving_chain {
            return (0, label.number.saturating_sub(self.receiving_number));
        }
        match self.receiving_chain {
            0 => (0, label.number),
            _ => (label.previous_chain_length.saturating_sub(self.receiving_number), label.number),
        }
    }

    /// The number of keys that must be stored now.
    #[must_use]
    pub fn skipped_message_keys(&self) -> usize {
        self.skipped_message_keys.len()
    }

    /// Whether this party's messages still begin with the handshake.
    #[must_use]
    pub const fn is_unanswered(&self) -> bool {
        self.initiator && self.receiving_chain == 0
    }

    /// Ratchet steps taken on received messages.
    #[must_use]
    pub const fn receiving_chain(&self) -> u32 {
        self.receiving_chain
    }

    /// Keys evicted so far for lack of room.
    #[must_use]
    pub const fn evicted(&self) -> usize {
        self.evicted
    }

    /// Keys deleted so far because of their age.
    #[must_use]
    pub const fn retired(&self) -> usize {
        self.retired
    }
}
