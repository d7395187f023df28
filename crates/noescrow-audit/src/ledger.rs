// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Ledger`]: every value of a run, once, with what it is and where it came from, and the clauses that hold between
//! the values.
//!
//! The role of a field decides its class: keys are secret, public keys and labels are public. The [`Profile`] states
//! the fields of a KDF's output. The audit assumes that everyone knows a public value, whether the evidence has it or
//! not: this attacker knows more than the server does.
//!
//! What each operation adds is in `ingest.rs`, what is added once all operations are known in `finish.rs`.

mod rows;

use super::class::Class;
use super::clauses::Clauses;
use super::operation::Kind;
use super::profile::Profile;
use super::trace::Participant;
use super::value::{GIVEN, Id, NameInProfile, ParticipantId, Value, What, index};
use super::well_known::is_well_known;
use leakscan::printable;
use rows::RowStores;
use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};

/// Bytes of the longest secret that is kept, and so searched for values within it: a device's state with all its
/// prekeys and skipped keys is shorter. Of a longer one only a digest is kept.
pub(super) const MAX_KEPT: usize = 1 << 20;
/// Bytes that are kept of a value that is not secret, so that the search recognises it in the evidence: more than the
/// longest public key. Ciphertexts and padded plaintexts are most of a trace.
const MAX_NON_SECRET_KEPT: usize = 1 << 12;

/// An operation that was performed, for derivations.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Performed {
    pub(crate) kind: Kind,
    pub(crate) participant: ParticipantId,
    /// Index into [`Ledger::steps`].
    pub(crate) step: u16,
}

/// One sealed message of a conversation.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Message {
    /// The participant that sealed it.
    pub sender: ParticipantId,
    /// The operation that sealed it.
    pub sealed_at: u32,
    /// The participant that opened it, and the operation, if any did.
    pub opened: Option<(ParticipantId, u32)>,
    /// Its AEAD key.
    pub key: Id,
}

/// A device's memory at one moment: a state that it sealed, whole or in rows.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Memory {
    /// The device.
    pub participant: ParticipantId,
    /// The operation that sealed it, or the last of its rows.
    pub at: u32,
    /// The state, or the contents of its rows.
    pub states: Vec<Id>,
}

/// A fault of the run itself, whatever the server holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flaw {
    /// A value was drawn twice.
    RepeatedFresh {
        /// The value.
        value: Id,
        /// The first operation.
        first: u32,
        /// The second operation.
        again: u32,
    },
    /// Two plaintexts, or one with two associated data, were sealed under one key and nonce.
    TwoTimePad {
        /// The key.
        key: Id,
        /// The first operation.
        first: u32,
        /// The second operation.
        again: u32,
    },
    /// A value that was drawn, and is too short to be searched for, is a part of a secret: a generator leaks keys in
    /// what messages show.
    LeakingDraw {
        /// The secret.
        value: Id,
        /// The operation that drew a part of it.
        operation: u32,
    },
    /// An operation's recorded output is not what its inputs give.
    DoesNotRecompute {
        /// The operation.
        operation: u32,
    },
    /// An operation used a secret whose origin the run does not show.
    UnknownOrigin {
        /// The value.
        value: Id,
        /// The operation.
        operation: u32,
    },
    /// A key derivation used a value that a server made.
    ServerInKey {
        /// The value.
        value: Id,
        /// The operation.
        operation: u32,
    },
}

/// Everything that is known of a run.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    pub(crate) profile: Profile,
    pub(super) values: Vec<Value>,
    by_key: HashMap<Key, Id>,
    arena: Vec<u8>,
    pub(crate) operations: Vec<Performed>,
    pub(crate) steps: Vec<String>,
    pub(crate) participants: Vec<Participant>,
    pub(crate) clauses: Clauses,
    pub(crate) flaws: Vec<Flaw>,
    pub(crate) messages: Vec<Message>,
    pub(crate) memories: Vec<Memory>,
    /// Values that everyone knows or a server made.
    pub(crate) facts: Vec<Id>,
    /// X25519 private keys by their public ones, and the reverse.
    pub(super) dh_private: HashMap<Id, Id>,
    pub(super) dh_public: HashMap<Id, Id>,
    /// Diffie-Hellman operations: private key, public key, shared secret, operation.
    pub(super) exchanges: Vec<(Id, Id, Id, u32)>,
    pub(super) kem_seed: HashMap<Id, Id>,
    /// Expanded forms of private keys.
    pub(super) expanded: HashMap<Id, Vec<Id>>,
    /// Encapsulations: public key, ciphertext, shared secret, operation.
    pub(super) encapsulations: Vec<(Id, Id, Id, u32)>,
    /// Values that were drawn, with the operation.
    pub(super) drawn: HashMap<Id, u32>,
    /// What was sealed under a key and nonce: plaintext, ciphertext, operation.
    pub(super) sealed: HashMap<(Id, Id), (Id, Id, u32)>,
    pub(super) by_ciphertext: HashMap<Id, usize>,
    /// Openings of messages: ciphertext, participant, operation. The trace that has the sealing may come later.
    pub(super) openings: Vec<(Id, ParticipantId, u32)>,
    /// The rows in which devices keep their states.
    pub(crate) rows: RowStores,
    /// Whether its texts are searched for in upper and in lower case as well.
    pub(crate) ignoring_case: bool,
    /// The first operation of each trace.
    pub(crate) traces: Vec<u32>,
    /// For each trace that ends early, what is missing.
    pub(crate) incomplete_traces: Vec<String>,
    /// Padded plaintexts whose text has been ingested: most occur twice, sealed and opened.
    pub(super) unpadded: HashSet<Id>,
    /// Uses of secrets. Their origin is checked once all operations are known.
    pub(super) secret_uses: Vec<(Id, u32)>,
    /// Digests, with their inputs and the operation.
    pub(super) hashes: Vec<(Id, Vec<Id>, u32)>,
    /// Operations with a public key whose private half no participant has.
    pub(super) unmatched_public_keys: Vec<u32>,
    /// First participant of the trace that is being read.
    pub(super) first_participant: ParticipantId,
    /// Whether the operation that is being ingested is a server's.
    pub(super) is_server_operation: bool,
}

/// A value's bytes up to 32 bytes, their digest beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key(u64, [u8; 32]);

impl Key {
    fn of(bytes: &[u8]) -> Self {
        let mut short = [0; 32];
        match short.get_mut(..bytes.len()) {
            Some(start) => start.copy_from_slice(bytes),
            None => short = Sha256::digest(bytes).into(),
        }
        Self(u64::try_from(bytes.len()).unwrap_or(u64::MAX), short)
    }
}

impl Ledger {
    /// An empty ledger of runs of a profile's protocol.
    #[must_use]
    pub fn new(profile: Profile) -> Self {
        Self { profile, ..Self::default() }
    }

    /// What a value is, in words.
    #[must_use]
    pub fn describe(&self, what: What) -> &str {
        match what {
            What::Builtin(name) => name,
            What::Named(NameInProfile(name)) => self.profile.name(name),
        }
    }

    /// Whether this is the profile's name of a plaintext.
    pub(crate) fn is_plaintext(&self, what: What) -> bool {
        matches!(what, What::Named(NameInProfile(name)) if self.profile.names_plaintext(name))
    }

    /// A value by its number.
    #[must_use]
    pub fn value(&self, id: Id) -> Option<&Value> {
        self.values.get(index(id))
    }

    /// All values, by number.
    pub fn values(&self) -> impl Iterator<Item = (Id, &Value)> {
        (0..).zip(&self.values)
    }

    /// A value's bytes, if they were kept.
    #[must_use]
    pub fn bytes(&self, id: Id) -> Option<&[u8]> {
        self.beginning(id).filter(|bytes| self.value(id).is_some_and(|value| value.len == bytes.len()))
    }

    /// The bytes of a value that were kept, from its beginning.
    pub(crate) fn beginning(&self, id: Id) -> Option<&[u8]> {
        let value = self.value(id)?;
        self.arena.get(value.start..value.start.checked_add(value.kept)?)
    }

    /// The number of a value, if the run has it.
    #[must_use]
    pub fn find(&self, bytes: &[u8]) -> Option<Id> {
        self.by_key.get(&Key::of(bytes)).copied()
    }

    pub(crate) fn operation_count(&self) -> usize {
        self.operations.len()
    }

    /// A participant's name, as text that is safe to show.
    pub(crate) fn participant_name(&self, participant: ParticipantId) -> String {
        let participant = self.participants.get(index(participant));
        participant.map_or_else(String::new, |participant| printable(&participant.name).to_string())
    }

    /// The number of the operation that is being ingested.
    pub(super) fn now(&self) -> u32 {
        u32::try_from(self.operations.len().saturating_sub(1)).unwrap_or(u32::MAX)
    }

    /// Begins another trace, which has its own participants.
    pub(crate) fn begin_trace(&mut self) {
        self.first_participant = ParticipantId::try_from(self.participants.len()).unwrap_or(ParticipantId::MAX);
        self.traces.push(u32::try_from(self.operations.len()).unwrap_or(u32::MAX));
    }

    /// Adds a participant; participants are numbered in this order.
    pub fn add_participant(&mut self, name: &str, is_server: bool) {
        self.participants.push(Participant { name: name.into(), is_server });
    }

    /// The clauses of all operations.
    #[must_use]
    pub const fn clauses(&self) -> &Clauses {
        &self.clauses
    }

    /// Faults of the run itself, whatever a server holds.
    #[must_use]
    pub fn flaws(&self) -> &[Flaw] {
        &self.flaws
    }

    /// The messages, in an order in which they can have been sent.
    #[must_use]
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// Values that everyone knows or a server made.
    #[must_use]
    pub fn facts(&self) -> &[Id] {
        &self.facts
    }

    pub(super) fn step_number(&mut self, step: &str) -> u16 {
        let at = self.steps.iter().position(|known| known == step).unwrap_or_else(|| {
            self.steps.push(step.into());
            self.steps.len().saturating_sub(1)
        });
        u16::try_from(at).unwrap_or(u16::MAX)
    }

    /// The number of a value, new or not.
    pub(super) fn intern(&mut self, bytes: &[u8], class: Class, what: impl Into<What>) -> Id {
        let what = what.into();
        let key = Key::of(bytes);
        let next = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        let id = *self.by_key.entry(key).or_insert(next);
        let well_known = is_well_known(bytes);
        if id == next {
            let operation = self.now();
            self.values.push(Value {
                class: Class::Neutral,
                is_public: false,
                what,
                operation,
                has_origin: well_known,
                is_computed: false,
                made_by_server: false,
                of_device: false,
                len: bytes.len(),
                start: 0,
                kept: 0,
            });
            if well_known {
                self.facts.push(id);
            }
        }
        let is_server_operation = self.is_server_operation;
        if let Some(value) = self.values.get_mut(index(id)) {
            value.of_device |= !is_server_operation;
            if class == Class::Public && !value.is_public {
                value.is_public = true;
                self.facts.push(id);
            }
            // The first use of a secret from outside determines its purpose.
            if class > value.class || (class == value.class && value.what == GIVEN) {
                value.class = class;
                value.what = what;
            }
            let keep = match value.class {
                Class::Secret | Class::State if bytes.len() <= MAX_KEPT => bytes.len(),
                Class::Secret | Class::State => 0,
                Class::Neutral | Class::Stored | Class::Public => bytes.len().min(MAX_NON_SECRET_KEPT),
            };
            if keep > value.kept {
                (value.start, value.kept) = (self.arena.len(), keep);
                self.arena.extend_from_slice(bytes.get(..keep).unwrap_or_default());
            }
        }
        id
    }

    /// The number of a value whose origin the run shows.
    pub(super) fn insert_with_origin(&mut self, bytes: &[u8], class: Class, what: impl Into<What>) -> Id {
        let id = self.intern(bytes, class, what);
        let kind = self.operations.last().map(|operation| operation.kind);
        if let Some(value) = self.values.get_mut(index(id)) {
            value.has_origin = true;
            value.is_computed |= !matches!(kind, Some(Kind::Fresh | Kind::Given));
        }
        id
    }

    /// X25519 public keys, each with the private key that a quantum computer computes from it.
    pub(crate) fn quantum(&self) -> impl Iterator<Item = (Id, Id)> {
        self.dh_private.iter().map(|(public, private)| (*public, *private))
    }
}

#[cfg(test)]
mod tests;
