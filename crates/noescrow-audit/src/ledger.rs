// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Ledger`]: every value of a run, once, with what it is and where it came from; and the clauses that say what follows
//! from what.
//!
//! What a field of an operation is, its role tells: keys are secret, public keys and labels are public, and what a
//! KDF's output holds, the [`Profile`] says. A public value is taken to be known to everybody, whether the
//! server's evidence has it or not: an attacker who knows more.

use super::classes::{Class, is_well_known};
use super::clauses::{Clauses, Rule};
use super::operation::{Kind, Operation, Role};
use super::profile::{Name, Profile};
use super::recompute::{Recomputed, recompute};
use super::substring::Substrings;
use super::trace::Participant;
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// A value's number within a ledger.
pub type Id = u32;
/// A participant's number among those of all traces, each of which may have 256.
pub type Who = u32;

/// Bytes of the longest secret that is kept, and so searched for values within it: a device's state with all its prekeys
/// and skipped keys is below it. Of longer ones a digest is kept.
pub(super) const MAX_KEPT: usize = 1 << 20;
/// Bytes that are kept of what is no secret, to recognise it in the evidence: more than the longest public key. Ciphertexts
/// and padded plaintexts are most of a trace.
const MAX_OPEN_KEPT: usize = 1 << 12;

/// The name of a secret that came from outside, until it is used.
const GIVEN: What = What::Builtin("secret given from outside");

/// What a value is, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A name that its operation gives it.
    Builtin(&'static str),
    /// A name that the profile gives it.
    #[doc(hidden)]
    Named(NameInProfile),
}

/// The number of a name of a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameInProfile(pub(crate) Name);

impl From<&'static str> for What {
    fn from(name: &'static str) -> Self {
        Self::Builtin(name)
    }
}

impl From<Name> for What {
    fn from(name: Name) -> Self {
        Self::Named(NameInProfile(name))
    }
}

/// A text that a user wrote.
pub(crate) const PLAINTEXT: What = What::Builtin("plaintext");

/// A value of the run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Value {
    /// Who may know it.
    pub class: Class,
    /// Also met in a place that everybody sees.
    pub is_public: bool,
    /// What it is, in words.
    pub what: What,
    /// The operation that first had it.
    pub operation: u32,
    /// Whether something is known of where it came from.
    pub has_origin: bool,
    /// An operation computed it: nobody chose its bytes.
    pub is_computed: bool,
    /// A server made it.
    pub made_by_server: bool,
    /// A device had it: a server's own keys are no secrets of the devices.
    pub of_device: bool,
    /// Its length in bytes.
    pub len: usize,
    /// Where its bytes begin in the arena, and how many of them are there.
    pub(crate) start: usize,
    pub(crate) kept: usize,
}

/// The first operation of a value, for people.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) kind: Kind,
    pub(crate) participant: Who,
    /// Index into [`Ledger::steps`].
    pub(crate) step: u16,
}

/// One sealed message of a conversation.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Message {
    /// Who sealed it.
    pub sender: Who,
    /// The operation that sealed it.
    pub sealed_at: u32,
    /// By whom, and when.
    pub opened: Option<(Who, u32)>,
    /// Its AEAD key.
    pub key: Id,
}

/// A state that a device sealed: its memory at that moment.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Memory {
    /// Whose memory.
    pub participant: Who,
    /// The operation that sealed it.
    pub at: u32,
    /// The state.
    pub state: Id,
}

/// Something wrong with the run itself, whatever the server holds.
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
    /// An operation's recorded output is not what its inputs give.
    DoesNotRecompute {
        /// The operation.
        operation: u32,
    },
    /// A secret of which nothing says where it came from was used.
    UnknownOrigin {
        /// The value.
        value: Id,
        /// The operation.
        operation: u32,
    },
    /// A value that a server made went into a key derivation.
    ServerInKey {
        /// The value.
        value: Id,
        /// The operation.
        operation: u32,
    },
}

/// All that is known of a run.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    pub(crate) profile: Profile,
    pub(super) values: Vec<Value>,
    by_key: HashMap<Key, Id>,
    pub(super) arena: Vec<u8>,
    pub(crate) places: Vec<Place>,
    pub(crate) steps: Vec<String>,
    pub(crate) participants: Vec<Participant>,
    pub(crate) clauses: Clauses,
    pub(crate) flaws: Vec<Flaw>,
    pub(crate) messages: Vec<Message>,
    pub(crate) memories: Vec<Memory>,
    /// Known to everybody, or made by a server.
    pub(crate) facts: Vec<Id>,
    /// X25519 private keys by their public ones, and the reverse.
    pub(super) dh_private: HashMap<Id, Id>,
    pub(super) dh_public: HashMap<Id, Id>,
    pub(super) exchanges: Vec<(Id, Id, Id, u32)>,
    pub(super) kem_seed: HashMap<Id, Id>,
    /// Expanded forms of private keys that are no other's.
    pub(super) expanded: HashMap<Id, Vec<Id>>,
    pub(super) encapsulations: Vec<(Id, Id, Id, u32)>,
    pub(super) drawn: HashMap<Id, u32>,
    /// What was sealed under a key and nonce: plaintext, ciphertext, operation.
    pub(super) sealed: HashMap<(Id, Id), (Id, Id, u32)>,
    pub(super) by_ciphertext: HashMap<Id, usize>,
    /// Openings of messages: ciphertext, by whom, when. The trace that has the sealing may come later.
    pub(super) openings: Vec<(Id, Who, u32)>,
    /// The first operation of each trace.
    pub(crate) traces: Vec<u32>,
    /// Padded plaintexts whose text has been noted: most are met twice, sealed and opened.
    pub(super) texts: std::collections::HashSet<Id>,
    /// Uses of secrets, to be asked for their origin when all is known.
    pub(super) uses: Vec<(Id, u32)>,
    /// Digests, with what they are of.
    pub(super) hashes: Vec<(Id, Vec<Id>, u32)>,
    /// Operations with a public key of which no participant has the private half.
    pub(super) strangers: Vec<u32>,
    /// First participant of the trace that is being read.
    pub(super) base: Who,
    /// Whether the operation that is being noted is a server's.
    pub(super) at_server: bool,
}

/// A value by its bytes: themselves up to 32, their digest beyond.
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

    /// Whether this names a plaintext.
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

    /// As many of a value's bytes as were kept.
    pub(crate) fn beginning(&self, id: Id) -> Option<&[u8]> {
        let value = self.value(id)?;
        self.arena.get(value.start..value.start.checked_add(value.kept)?)
    }

    /// The number of a value that the run has.
    #[must_use]
    pub fn find(&self, bytes: &[u8]) -> Option<Id> {
        self.by_key.get(&Key::of(bytes)).copied()
    }

    pub(crate) fn operations(&self) -> usize {
        self.places.len()
    }

    pub(super) fn now(&self) -> u32 {
        u32::try_from(self.places.len().saturating_sub(1)).unwrap_or(u32::MAX)
    }

    /// Begins another trace: its participants are others.
    pub(crate) fn begin_trace(&mut self) {
        self.base = Who::try_from(self.participants.len()).unwrap_or(Who::MAX);
        self.traces.push(u32::try_from(self.places.len()).unwrap_or(u32::MAX));
    }

    /// Who opened which message. And the messages in an order in which they can have been sent: traces of several devices come
    /// one behind the other.
    fn order_messages(&mut self) {
        for (ciphertext, who, at) in core::mem::take(&mut self.openings) {
            let message = self.by_ciphertext.get(&ciphertext).copied();
            if let Some(message) = message.and_then(|message| self.messages.get_mut(message)) {
                message.opened.get_or_insert((who, at));
            }
        }
        // By trace, what its device sealed and opened, in order.
        let mut events = std::vec![std::collections::BTreeMap::new(); self.traces.len()];
        for (number, message) in self.messages.iter().enumerate() {
            for (at, is_sealed) in [(Some(message.sealed_at), true), (message.opened.map(|(_, at)| at), false)] {
                let Some(at) = at else { continue };
                let trace = self.traces.partition_point(|start| *start <= at).saturating_sub(1);
                if let Some(events) = events.get_mut(trace) {
                    events.insert(at, (number, is_sealed));
                }
            }
        }
        let (mut order, mut sent) = (Vec::new(), std::vec![false; self.messages.len()]);
        loop {
            let before = order.len();
            for events in &mut events {
                // Nothing is opened that has not been sealed.
                while let Some(event) = events.first_entry() {
                    let (number, is_sealed) = *event.get();
                    let Some(sent) = sent.get_mut(number) else { break };
                    if is_sealed && !*sent {
                        *sent = true;
                        order.push(number);
                    } else if !*sent {
                        break;
                    }
                    event.remove();
                }
            }
            if order.len() == before {
                break;
            }
        }
        // Of traces that contradict one another, the rest as it came.
        order.extend((0..self.messages.len()).filter(|number| !sent.get(*number).copied().unwrap_or(true)));
        self.messages = order.iter().filter_map(|number| self.messages.get(*number).cloned()).collect();
        self.by_ciphertext.clear();
    }

    /// Computes an operation again and takes note of it; that its outputs are not what its inputs give is a flaw.
    pub(crate) fn take(&mut self, operation: &Operation<'_>) {
        self.take_computed(operation, &recompute(operation));
    }

    /// Takes note of an operation that was computed again before, with what came of it.
    pub fn take_computed(&mut self, operation: &Operation<'_>, outcome: &Recomputed) {
        let ciphertext = if let Recomputed::Agrees(Some(bytes)) = outcome { Some(&**bytes) } else { None };
        self.note(operation, ciphertext);
        if !matches!(outcome, Recomputed::Agrees(_)) {
            self.flaws.push(Flaw::DoesNotRecompute { operation: self.now() });
        }
    }

    /// `ciphertext` is what sealing or opening had, recomputed, without its tag.
    fn note(&mut self, operation: &Operation<'_>, ciphertext: Option<&[u8]>) {
        let step = self.step_number(operation.step);
        let participant = self.base.saturating_add(Who::from(operation.participant));
        self.at_server = self.participants.get(index(participant)).is_some_and(|who| who.is_server);
        self.places.push(Place { kind: operation.kind, participant, step });
        let first_new = self.values.len();
        match operation.kind {
            Kind::Fresh => self.note_fresh(operation),
            Kind::Given => {
                for field in operation.fields {
                    self.born(field.bytes, Class::Secret, GIVEN);
                }
            }
            Kind::DhPublic | Kind::SigningPublic | Kind::KemPublic => self.note_public(operation),
            Kind::IncrementalPublic => self.note_incremental_public(operation),
            Kind::Dh => self.note_dh(operation),
            Kind::Sign => self.note_plain(operation, Role::Signature, "signature"),
            Kind::Verify => {
                self.note_inputs(operation);
            }
            Kind::Encapsulate | Kind::Encaps2 => self.note_encapsulation(operation),
            Kind::Encaps1 | Kind::Decapsulate | Kind::IncrementalDecapsulate => {
                self.note_plain(operation, Role::KemShared, "KEM shared secret")
            }
            Kind::Hmac | Kind::Hkdf | Kind::HkdfExpand => self.note_kdf(operation),
            Kind::Sha256 | Kind::Sha512 => self.note_plain(operation, Role::Digest, "digest"),
            Kind::Seal | Kind::Open => self.note_aead(operation, ciphertext),
            Kind::Refused => {}
        }
        if self.at_server {
            // What a server's operation had, it knows; what it made, it made.
            let known: Vec<Id> = operation.fields.iter().filter_map(|field| self.find(field.bytes)).collect();
            self.facts.extend(known);
            for value in self.values.iter_mut().skip(first_new) {
                value.made_by_server = true;
            }
        }
    }

    /// Adds a participant; participants are numbered in this order.
    pub fn add_participant(&mut self, name: &str, is_server: bool) {
        self.participants.push(Participant { name: name.into(), is_server });
    }

    /// The clauses: what follows from what.
    #[must_use]
    pub const fn clauses(&self) -> &Clauses {
        &self.clauses
    }

    /// What is wrong with the run itself, whatever a server holds.
    #[must_use]
    pub fn flaws(&self) -> &[Flaw] {
        &self.flaws
    }

    /// The messages, in an order in which they can have been sent.
    #[must_use]
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// Values that everybody knows, or that a server made.
    #[must_use]
    pub fn facts(&self) -> &[Id] {
        &self.facts
    }

    fn step_number(&mut self, step: &str) -> u16 {
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
        let at_server = self.at_server;
        if let Some(value) = self.values.get_mut(index(id)) {
            value.of_device |= !at_server;
            if class == Class::Public && !value.is_public {
                value.is_public = true;
                self.facts.push(id);
            }
            // What a secret from outside is for, its use tells.
            if class > value.class || (class == value.class && value.what == GIVEN) {
                value.class = class;
                value.what = what;
            }
            let keep = match value.class {
                Class::Secret | Class::State if bytes.len() <= MAX_KEPT => bytes.len(),
                Class::Secret | Class::State => 0,
                Class::Neutral | Class::Stored | Class::Public => bytes.len().min(MAX_OPEN_KEPT),
            };
            if keep > value.kept {
                (value.start, value.kept) = (self.arena.len(), keep);
                self.arena.extend_from_slice(bytes.get(..keep).unwrap_or_default());
            }
        }
        id
    }

    /// A value with an origin.
    pub(super) fn born(&mut self, bytes: &[u8], class: Class, what: impl Into<What>) -> Id {
        let id = self.intern(bytes, class, what);
        let kind = self.places.last().map(|place| place.kind);
        if let Some(value) = self.values.get_mut(index(id)) {
            value.has_origin = true;
            value.is_computed |= !matches!(kind, Some(Kind::Fresh | Kind::Given));
        }
        id
    }

    /// When all operations are known: the other order of each Diffie-Hellman, the holder's way to each KEM secret, what
    /// lies within long values, and the secrets that came from nowhere.
    pub fn finish(&mut self) {
        for (private, public, shared, at) in core::mem::take(&mut self.exchanges) {
            match (self.dh_private.get(&public), self.dh_public.get(&private)) {
                (Some(&other), Some(&own)) => self.clauses.push(&[other, own], shared, Rule::OtherOrder(at)),
                // The own public key was not computed on the tape: public anyhow.
                (Some(&other), None) => self.clauses.push(&[other], shared, Rule::OtherOrder(at)),
                (None, _) => self.strangers.push(at),
            }
        }
        for (public, ciphertext, shared, at) in core::mem::take(&mut self.encapsulations) {
            match self.kem_seed.get(&public) {
                Some(&seed) => {
                    self.clauses.push(&[seed, ciphertext], shared, Rule::OtherOrder(at));
                    self.note_decapsulated(seed, &[ciphertext], shared, at);
                }
                None => self.strangers.push(at),
            }
        }
        self.order_messages();
        self.suspect();
        self.look_within();
        let uses = core::mem::take(&mut self.uses);
        let mut told = std::collections::HashSet::new();
        for (id, operation) in uses {
            let Some(place) = self.places.get(index(operation)) else { continue };
            let by_server = self.participants.get(index(place.participant)).is_some_and(|who| who.is_server);
            let Some(value) = self.value(id) else { continue };
            if by_server || is_well_known(self.bytes(id).unwrap_or(&[1])) {
                continue;
            }
            let flaw = match (value.made_by_server, value.has_origin) {
                (true, _) => Flaw::ServerInKey { value: id, operation },
                (false, false) => Flaw::UnknownOrigin { value: id, operation },
                (false, true) => continue,
            };
            if told.insert(id) {
                self.flaws.push(flaw);
            }
        }
    }

    /// What was drawn and never shown is a secret, used or not. What a secret is the hash of was used as one.
    fn suspect(&mut self) {
        let drawn: Vec<Id> = self.drawn.keys().copied().collect();
        for id in drawn {
            if let Some(value) = self.values.get_mut(index(id))
                && value.class == Class::Neutral
                && !value.is_public
                && value.len >= 32
                && value.kept == value.len
            {
                value.class = Class::Secret;
            }
        }
        for (digest, inputs, operation) in core::mem::take(&mut self.hashes) {
            if self.value(digest).is_some_and(|value| value.class == Class::Secret) {
                self.uses.extend(inputs.into_iter().map(|input| (input, operation)));
            }
        }
    }

    /// Values within states, plaintexts and KDF outputs of unknown layout: `container → part`. And keys within what is public;
    /// of texts, a user may write what everybody knows.
    fn look_within(&mut self) {
        let inner = Substrings::of(self);
        let containers: Vec<(Id, u32)> = self
            .values()
            .filter(|(_, value)| matches!(value.class, Class::State | Class::Secret | Class::Public) && value.len > 32)
            .map(|(id, value)| (id, value.operation))
            .collect();
        let mut found = Vec::new();
        for (container, operation) in containers {
            let Some(value) = self.value(container) else { continue };
            let is_public = value.class == Class::Public;
            // Of what is public the beginning was kept.
            let bytes = if is_public { self.beginning(container) } else { self.bytes(container) };
            let is_text = |part: Id| self.value(part).is_some_and(|part| part.what == PLAINTEXT);
            let parts = inner.within(self, bytes.unwrap_or_default());
            let parts = parts.filter(|part| *part != container && !(is_public && is_text(*part)));
            found.extend(parts.map(|part| (container, part, operation)));
        }
        for (container, part, operation) in found {
            self.clauses.push(&[container], part, Rule::Field(operation));
            // A restored state, and an output's fields, are where their parts came from.
            let known = self.value(container).is_some_and(|value| value.has_origin && value.class != Class::Public);
            if let Some(value) = self.values.get_mut(index(part))
                && known
            {
                value.has_origin = true;
            }
        }
    }

    /// Public keys with the private keys that a quantum computer gives for them.
    pub(crate) fn quantum(&self) -> impl Iterator<Item = (Id, Id)> {
        self.dh_private.iter().map(|(public, private)| (*public, *private))
    }
}

pub(crate) fn index(id: Id) -> usize {
    usize::try_from(id).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
