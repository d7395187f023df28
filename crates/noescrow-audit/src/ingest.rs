// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ingests operations into a [`Ledger`]: adds their values with the values' classes, and their clauses.

use super::class::Class;
use super::clauses::Rule;
use super::expanded;
use super::ledger::{Flaw, Ledger, MAX_KEPT, Memory, Message, Performed};
use super::operation::{Kind, Operation, Role};
use super::profile::{Expansion, Profile};
use super::recompute::{Recomputed, Recomputer, extracted};
use super::trace::{Record, TraceError, TraceReader};
use super::value::{GIVEN, Id, PLAINTEXT, ParticipantId, What, index};
use super::well_known::is_well_known;
use std::io::Read;

/// Bytes of the shortest value that must not be drawn twice: the random half of a salt. A million of them repeat with a
/// probability of 3e-8. Shorter values, such as ids, repeat by chance.
const MIN_FRESH: usize = 8;

/// The class and name of a plaintext: those of the profile, or else secret.
fn plaintext_of(profile: &Profile, operation: &Operation<'_>, bytes: &[u8]) -> (Class, What) {
    if profile.is_storing(operation)
        && let Some(names) = profile.stored_names()
    {
        return (Class::State, names.state.into());
    }
    profile.plaintext(operation.step, bytes).map_or((Class::Secret, PLAINTEXT), |(class, name)| (class, name.into()))
}

impl Ledger {
    /// Reads a trace and ingests all its operations. Participants of different traces are different ones. What a trace
    /// has that ends early may show a leak, so that it is ingested, and that the trace ends early is remembered.
    pub(crate) fn ingest_trace(&mut self, trace: impl Read) -> Result<(), TraceError> {
        self.begin_trace();
        let mut recomputer = Recomputer::new();
        let read = TraceReader::new(trace)?.for_each_record(|record| match record {
            Record::Participant(participant) => self.participants.push(participant.clone()),
            Record::Operation(operation) => self.ingest_recomputed(&operation, &recomputer.recompute(&operation)),
            Record::End => {}
        });
        match read {
            Err(error @ TraceError::EndsEarly { .. }) => {
                self.incomplete_traces.push(format!(
                    "what the devices of trace {} did last: {error}. Call Tape::finish after the run",
                    self.traces.len()
                ));
                Ok(())
            }
            read => read.map(drop),
        }
    }

    /// Ingests an operation, given the result of recomputing it. Outputs that do not follow from the inputs are a flaw.
    pub fn ingest_recomputed(&mut self, operation: &Operation<'_>, outcome: &Recomputed) {
        let ciphertext = if let Recomputed::Agrees(Some(bytes)) = outcome { Some(&**bytes) } else { None };
        self.ingest(operation, ciphertext);
        if !matches!(outcome, Recomputed::Agrees(_)) {
            self.flaws.push(Flaw::DoesNotRecompute { operation: self.now() });
        }
    }

    /// `ciphertext` is the recomputed ciphertext of a sealing or opening, without its tag.
    fn ingest(&mut self, operation: &Operation<'_>, ciphertext: Option<&[u8]>) {
        let step = self.step_number(operation.step);
        let participant = self.first_participant.saturating_add(ParticipantId::from(operation.participant));
        self.is_server_operation = self.participants.get(index(participant)).is_some_and(|by| by.is_server);
        self.operations.push(Performed { kind: operation.kind, participant, step });
        let first_new = self.values.len();
        match operation.kind {
            Kind::Fresh => self.ingest_fresh(operation),
            Kind::Given => {
                for field in operation.fields {
                    self.insert_with_origin(field.bytes, Class::Secret, GIVEN);
                }
            }
            Kind::DhPublic | Kind::SigningPublic | Kind::KemPublic => self.ingest_public(operation),
            Kind::IncrementalPublic => self.ingest_incremental_public(operation),
            Kind::Dh => self.ingest_dh(operation),
            Kind::Sign => self.ingest_plain(operation, Role::Signature, "signature"),
            Kind::Verify => {
                self.ingest_inputs(operation);
            }
            Kind::Encapsulate | Kind::Encaps2 => self.ingest_encapsulation(operation),
            Kind::Encaps1 | Kind::Decapsulate | Kind::IncrementalDecapsulate => {
                self.ingest_plain(operation, Role::KemShared, "KEM shared secret")
            }
            Kind::Hmac | Kind::Hkdf | Kind::HkdfExpand => self.ingest_kdf(operation),
            Kind::Sha256 | Kind::Sha512 => self.ingest_plain(operation, Role::Digest, "digest"),
            Kind::Seal | Kind::Open => self.ingest_aead(operation, ciphertext),
            Kind::Refused => {}
        }
        if self.is_server_operation {
            // A server knows every field of its operations; what is new there, it made.
            let known: Vec<Id> = operation.fields.iter().filter_map(|field| self.find(field.bytes)).collect();
            self.facts.extend(known);
            for value in self.values.iter_mut().skip(first_new) {
                value.made_by_server = true;
            }
        }
    }

    fn ingest_fresh(&mut self, operation: &Operation<'_>) {
        let now = self.now();
        for field in operation.fields {
            let value = self.insert_with_origin(field.bytes, Class::Neutral, "fresh value");
            if field.bytes.len() >= MIN_FRESH
                && let Some(first) = self.drawn.insert(value, now)
            {
                self.flaws.push(Flaw::RepeatedFresh { value, first, again: now });
            }
        }
    }

    /// Interns the inputs, and records the secrets among them, so that their origin is checked later.
    fn ingest_inputs(&mut self, operation: &Operation<'_>) -> Vec<Id> {
        let profile = self.profile.clone();
        let stored = profile.stored_names().filter(|_| profile.is_storing(operation));
        let label = operation.inputs(Role::Context).next().map(<[u8]>::as_ptr);
        let mut ids = Vec::with_capacity(operation.fields.len());
        for field in operation.fields.iter().filter(|field| !field.is_output) {
            let builtin = What::Builtin;
            let (class, what, is_secret): (Class, What, bool) = match field.role {
                Role::DhPrivate => (Class::Secret, builtin("X25519 private key"), true),
                Role::SigningSeed => (Class::Secret, builtin("Ed25519 private key"), true),
                Role::KemSeed => (Class::Secret, builtin("ML-KEM private key"), true),
                Role::KemCoins => (Class::Secret, builtin("ML-KEM coins"), true),
                Role::AeadKey => (Class::Secret, builtin("AEAD key"), true),
                Role::KdfKey | Role::KdfInput if is_well_known(field.bytes) => {
                    (Class::Public, builtin("constant"), false)
                }
                // The application's own key, by definition.
                Role::KdfKey if operation.kind == Kind::HkdfExpand && stored.is_some() => {
                    (Class::Secret, stored.map_or(builtin("KDF key"), |names| names.key.into()), false)
                }
                Role::KdfKey => (Class::Secret, builtin("KDF key"), true),
                Role::KdfInput => (Class::Secret, builtin("KDF input"), true),
                Role::DhPublic => (Class::Public, builtin("X25519 public key"), false),
                Role::SigningPublic => (Class::Public, builtin("Ed25519 public key"), false),
                Role::KemPublic => (Class::Public, builtin("ML-KEM public key"), false),
                Role::EkHeader | Role::EkVector => (Class::Public, builtin("part of an ML-KEM public key"), false),
                Role::Ct1 | Role::Ct2 => (Class::Public, builtin("part of an ML-KEM ciphertext"), false),
                Role::KemCiphertext => (Class::Public, builtin("ML-KEM ciphertext"), false),
                Role::Message | Role::Signature | Role::Tag => {
                    (Class::Public, builtin("signed or sealed in the clear"), false)
                }
                Role::Context if operation.kind.is_hash() || (stored.is_some() && operation.kind == Kind::Hmac) => {
                    (Class::Neutral, builtin("hashed"), false)
                }
                Role::Context if Some(field.bytes.as_ptr()) != label => (Class::Public, builtin("salt"), false),
                Role::Context => (Class::Public, builtin("label"), false),
                Role::Plaintext => {
                    let (class, what) = plaintext_of(&profile, operation, field.bytes);
                    (class, what, false)
                }
                _ => (Class::Neutral, builtin("parameter"), false),
            };
            let id = self.intern(field.bytes, class, what);
            if is_secret {
                self.secret_uses.push((id, self.now()));
            }
            if matches!(field.role, Role::SigningSeed | Role::KemSeed) {
                self.ingest_expanded(id, operation.kind, field.role, field.bytes);
            }
            ids.push(id);
        }
        ids
    }

    /// The expanded forms of a private key follow from it, and are as good as the key.
    fn ingest_expanded(&mut self, seed: Id, kind: Kind, role: Role, bytes: &[u8]) {
        if self.expanded.contains_key(&seed) {
            return;
        }
        let now = self.now();
        let forms = expanded::of(kind, role, bytes);
        let forms: Vec<Id> =
            forms.iter().map(|(form, bytes)| self.insert_with_origin(bytes, Class::Secret, form.name())).collect();
        forms.iter().for_each(|form| self.clauses.push(&[seed], *form, Rule::Expanded(now)));
        self.expanded.insert(seed, forms);
    }

    /// The secrets within a state that is restored. The device has them even if it never uses them.
    fn ingest_restored(&mut self, operation: &Operation<'_>, state: &[u8]) {
        let head = operation.input(Role::AssociatedData).unwrap_or_default();
        let profile = self.profile.clone();
        for part in profile.stored_parts(head, state).unwrap_or_default() {
            if is_well_known(part.bytes) {
                continue;
            }
            let id = self.insert_with_origin(part.bytes, part.class, part.name);
            match part.expansion {
                Some(Expansion::MlKem1024) => self.ingest_expanded(id, Kind::KemPublic, Role::KemSeed, part.bytes),
                Some(Expansion::MlKem768) => {
                    self.ingest_expanded(id, Kind::IncrementalPublic, Role::KemSeed, part.bytes)
                }
                Some(Expansion::Ed25519) => {
                    self.ingest_expanded(id, Kind::SigningPublic, Role::SigningSeed, part.bytes);
                }
                None => {}
            }
        }
    }

    /// An operation with one output, which follows from its inputs.
    fn ingest_plain(&mut self, operation: &Operation<'_>, role: Role, what: &'static str) {
        let premises = self.ingest_inputs(operation);
        let Some(bytes) = operation.output(role) else { return };
        let class = match role {
            Role::Signature => Class::Public,
            Role::Digest => Class::Neutral,
            _ => Class::Secret,
        };
        let output = self.insert_with_origin(bytes, class, what);
        self.clauses.push(&premises, output, Rule::Operation(self.now()));
        if let (Kind::Decapsulate | Kind::IncrementalDecapsulate, Some((seed, ciphertext))) =
            (operation.kind, premises.split_first())
        {
            self.ingest_decapsulated(*seed, ciphertext, output, self.now());
        }
        if role == Role::Digest {
            self.hashes.push((output, premises, self.now()));
            if let (&[input], Some(by)) =
                (&*operation.inputs(Role::Context).collect::<Vec<_>>(), self.operations.last())
            {
                self.rows.hash(by.participant, bytes, input);
            }
        }
    }

    /// Whoever knows ŝ can decapsulate as with the seed.
    pub(super) fn ingest_decapsulated(&mut self, seed: Id, ciphertext: &[Id], shared: Id, at: u32) {
        for form in self.expanded.get(&seed).cloned().unwrap_or_default() {
            let premises: Vec<Id> = [form].into_iter().chain(ciphertext.iter().copied()).collect();
            self.clauses.push(&premises, shared, Rule::Operation(at));
        }
    }

    fn ingest_public(&mut self, operation: &Operation<'_>) {
        let (role, what) = match operation.kind {
            Kind::DhPublic => (Role::DhPublic, "X25519 public key"),
            Kind::SigningPublic => (Role::SigningPublic, "Ed25519 public key"),
            _ => (Role::KemPublic, "ML-KEM public key"),
        };
        let premises = self.ingest_inputs(operation);
        let (Some(private), Some(bytes)) = (premises.first().copied(), operation.output(role)) else { return };
        let public = self.insert_with_origin(bytes, Class::Public, what);
        self.clauses.push(&premises, public, Rule::Operation(self.now()));
        match operation.kind {
            Kind::DhPublic => {
                self.dh_private.insert(public, private);
                self.dh_public.insert(private, public);
            }
            Kind::KemPublic => {
                self.kem_seed.insert(public, private);
            }
            _ => {}
        }
    }

    fn ingest_incremental_public(&mut self, operation: &Operation<'_>) {
        let premises = self.ingest_inputs(operation);
        let Some(private) = premises.first().copied() else { return };
        for role in [Role::EkHeader, Role::EkVector] {
            let Some(bytes) = operation.output(role) else { continue };
            let part = self.insert_with_origin(bytes, Class::Public, "part of an ML-KEM public key");
            self.clauses.push(&premises, part, Rule::Operation(self.now()));
            if role == Role::EkHeader {
                self.kem_seed.insert(part, private);
            }
        }
    }

    fn ingest_dh(&mut self, operation: &Operation<'_>) {
        let premises = self.ingest_inputs(operation);
        let (&[private, public], Some(bytes)) = (premises.as_slice(), operation.output(Role::DhShared)) else { return };
        let shared = self.insert_with_origin(bytes, Class::Secret, "X25519 shared secret");
        let now = self.now();
        self.clauses.push(&premises, shared, Rule::Operation(now));
        self.exchanges.push((private, public, shared, now));
    }

    fn ingest_encapsulation(&mut self, operation: &Operation<'_>) {
        let premises = self.ingest_inputs(operation);
        // In an encapsulation of two steps, ct1 stands for the ciphertext: the clause from the seed to K needs no more.
        let ciphertext = operation.output(Role::KemCiphertext).or_else(|| operation.output(Role::Ct1));
        let (Some(public), Some(ciphertext), Some(shared)) =
            (premises.first().copied(), ciphertext, operation.output(Role::KemShared))
        else {
            return;
        };
        let now = self.now();
        if let Some(ct2) = operation.output(Role::Ct2) {
            self.insert_with_origin(ct2, Class::Public, "part of an ML-KEM ciphertext");
        }
        let ciphertext = self.insert_with_origin(ciphertext, Class::Public, "ML-KEM ciphertext");
        let shared = self.insert_with_origin(shared, Class::Secret, "KEM shared secret");
        self.clauses.push(&premises, shared, Rule::Operation(now));
        self.encapsulations.push((public, ciphertext, shared, now));
    }

    fn ingest_kdf(&mut self, operation: &Operation<'_>) {
        let premises = self.ingest_inputs(operation);
        let Some(bytes) = operation.output(Role::KdfOutput) else { return };
        let now = self.now();
        let profile = self.profile.clone();
        let fields = profile.kdf_output(operation);
        if fields.len() > 1 {
            let output = self.insert_with_origin(bytes, Class::State, "KDF output");
            self.clauses.push(&premises, output, Rule::Operation(now));
            let mut rest = bytes;
            let mut parts = Vec::with_capacity(fields.len());
            for field in fields {
                let (bytes, after) = rest.split_at_checked(field.len).unwrap_or_default();
                rest = after;
                let part = self.insert_with_origin(bytes, field.class, field.name);
                self.clauses.push(&[output], part, Rule::Field(now));
                parts.push(part);
            }
            self.clauses.push(&parts, output, Rule::Whole(now));
            self.ingest_extract(operation, &premises, output);
            return;
        }
        let (class, what) = match fields {
            [field] => (field.class, field.name.into()),
            // A snapshot's salt is stored in the clear, next to the ciphertext.
            _ => match profile.stored_names().filter(|_| operation.kind == Kind::Hmac && profile.is_storing(operation))
            {
                Some(names) => (Class::Neutral, names.salt.into()),
                None => (Class::Secret, What::Builtin("derived key")),
            },
        };
        let output = self.insert_with_origin(bytes, class, what);
        self.clauses.push(&premises, output, Rule::Operation(now));
        self.ingest_extract(operation, &premises, output);
    }

    /// HKDF's two halves: `{salt, ikm} → PRK` and `{PRK, info} → output`. The PRK alone gives the output.
    fn ingest_extract(&mut self, operation: &Operation<'_>, premises: &[Id], output: Id) {
        let Some(prk) = extracted(operation) else { return };
        let prk = self.insert_with_origin(&prk, Class::Secret, "pseudorandom key of HKDF");
        let inputs = operation.fields.iter().filter(|field| !field.is_output).zip(premises);
        let (contexts, others): (Vec<_>, Vec<_>) = inputs.partition(|(field, _)| field.role == Role::Context);
        let others: Vec<Id> = others.into_iter().map(|(_, id)| *id).collect();
        let expand: Vec<Id> = contexts.into_iter().map(|(_, id)| *id).chain([prk]).collect();
        let now = self.now();
        self.clauses.push(&others, prk, Rule::Operation(now));
        self.clauses.push(&expand, output, Rule::Operation(now));
    }

    fn ingest_aead(&mut self, operation: &Operation<'_>, ciphertext: Option<&[u8]>) {
        let mut inputs = self.ingest_inputs(operation);
        let (Some(key), Some(nonce)) = (inputs.first().copied(), inputs.get(1).copied()) else { return };
        let now = self.now();
        let step = operation.step;
        let profile = self.profile.clone();
        let plaintext = match operation.output(Role::Plaintext) {
            Some(opened) => {
                let (class, what) = plaintext_of(&profile, operation, opened);
                if class == Class::State {
                    self.ingest_restored(operation, opened);
                }
                self.insert_with_origin(opened, class, what)
            }
            None => match inputs.get(3).copied() {
                Some(sealed) => sealed,
                None => return,
            },
        };
        if let Some(field) = operation.fields.iter().find(|field| field.role == Role::Plaintext) {
            if profile.is_padded_text(step, field.bytes) {
                self.ingest_text(plaintext, field.bytes);
            }
            for part in profile.plaintext_parts(step, field.bytes) {
                self.insert_with_origin(part.bytes, part.class, part.name);
            }
        }
        let tag = operation.fields.iter().find(|field| field.role == Role::Tag);
        let (Some(ciphertext), Some(tag)) = (ciphertext, tag) else { return };
        // With its tag, because the ciphertexts of short plaintexts are too short to distinguish messages.
        let ciphertext = [ciphertext, tag.bytes].concat();
        let ciphertext = self.insert_with_origin(
            &ciphertext,
            if profile.is_storing(operation) { Class::Stored } else { Class::Public },
            "ciphertext",
        );
        inputs = [key, ciphertext].into();
        self.clauses.push(&inputs, plaintext, Rule::Operation(now));

        match self.sealed.get(&(key, nonce)).copied() {
            // The tag covers the associated data too, so that one text sealed under two associated data counts as well.
            Some((other, other_ciphertext, first)) if other_ciphertext != ciphertext => {
                self.flaws.push(Flaw::TwoTimePad { key, first, again: now });
                for (known, gives) in [(other, plaintext), (plaintext, other)] {
                    self.clauses.push(&[known, ciphertext, other_ciphertext], gives, Rule::TwoTimePad(now));
                }
            }
            Some(_) => {}
            None => {
                self.sealed.insert((key, nonce), (plaintext, ciphertext, now));
            }
        }
        let Some(performed) = self.operations.last().copied() else { return };
        self.ingest_memory(operation, performed, plaintext);
        match (operation.kind, profile.is_message(step)) {
            (Kind::Seal, _) if profile.is_storing_step(step) => {}
            (Kind::Seal, true) => {
                self.by_ciphertext.entry(ciphertext).or_insert(self.messages.len());
                self.messages.push(Message { sender: performed.participant, sealed_at: now, opened: None, key });
            }
            (Kind::Open, true) => self.openings.push((ciphertext, performed.participant, now)),
            _ => {}
        }
    }

    /// Whatever a device seals for itself is its memory. A row is a part of it, and so is a row that was restored.
    fn ingest_memory(&mut self, operation: &Operation<'_>, performed: Performed, state: Id) {
        let profile = self.profile.clone();
        if !profile.is_storing_step(operation.step) {
            return;
        }
        let content = operation.fields.iter().find(|field| field.role == Role::Plaintext);
        let head = operation.input(Role::AssociatedData).unwrap_or_default();
        let states = match profile.row(head).filter(|_| profile.is_storing(operation)).zip(content) {
            Some((row, content)) => self.rows.put(performed.participant, &row, state, content.bytes),
            None => Some([state].into()),
        };
        if let (Kind::Seal, Some(states)) = (operation.kind, states) {
            self.memories.push(Memory { participant: performed.participant, at: self.now(), states });
        }
    }

    /// The user's text within its padding (`0x80`, then zeros). A long text is split into pieces that are short enough
    /// to be kept.
    fn ingest_text(&mut self, padded: Id, bytes: &[u8]) {
        if !self.unpadded.insert(padded) {
            return;
        }
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap_or_default();
        let text = bytes.get(..end).unwrap_or_default();
        for piece in text.chunks(MAX_KEPT) {
            let id = self.insert_with_origin(piece, Class::Secret, PLAINTEXT);
            self.clauses.push(&[padded], id, Rule::Field(self.now()));
            if piece.len() == text.len() {
                // Whoever knows the text can pad it.
                self.clauses.push(&[id], padded, Rule::Padding(self.now()));
            }
        }
    }
}
