// SPDX-License-Identifier: MIT OR Apache-2.0
//! What each kind of operation adds to a [`Ledger`]: its values with their classes, and its clauses.

use super::classes::{Class, is_hash, is_well_known};
use super::clauses::Rule;
use super::expanded;
use super::ledger::{Flaw, Id, Ledger, MAX_KEPT, Memory, Message, PLAINTEXT, What};
use super::operation::{Kind, Operation, Role};
use super::profile::{Expansion, Profile};
use super::recompute::extracted;

/// Bytes of the shortest value that may not be drawn twice: below, chance repeats it.
const MIN_FRESH: usize = 16;

/// What a plaintext is: what the profile says, or a secret.
fn plaintext_of(profile: &Profile, operation: &Operation<'_>, bytes: &[u8]) -> (Class, What) {
    if profile.is_storing(operation)
        && let Some(names) = profile.stored_names()
    {
        return (Class::State, names.state.into());
    }
    profile.plaintext(operation.step, bytes).map_or((Class::Secret, PLAINTEXT), |(class, name)| (class, name.into()))
}

impl Ledger {
    pub(super) fn note_fresh(&mut self, operation: &Operation<'_>) {
        let now = self.now();
        for field in operation.fields {
            let value = self.born(field.bytes, Class::Neutral, "fresh value");
            if field.bytes.len() >= MIN_FRESH
                && let Some(first) = self.drawn.insert(value, now)
            {
                self.flaws.push(Flaw::RepeatedFresh { value, first, again: now });
            }
        }
    }

    /// Interns what went in, and asks later where its secrets came from.
    pub(super) fn note_inputs(&mut self, operation: &Operation<'_>) -> Vec<Id> {
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
                // The caller's own, by definition.
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
                Role::Context if is_hash(operation.kind) || (stored.is_some() && operation.kind == Kind::Hmac) => {
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
                self.uses.push((id, self.now()));
            }
            if matches!(field.role, Role::SigningSeed | Role::KemSeed) {
                self.note_expanded(id, operation.kind, field.role, field.bytes);
            }
            ids.push(id);
        }
        ids
    }

    /// The forms into which a private key is expanded follow from it, and are as good.
    fn note_expanded(&mut self, seed: Id, kind: Kind, role: Role, bytes: &[u8]) {
        if self.expanded.contains_key(&seed) {
            return;
        }
        let now = self.now();
        let forms = expanded::of(kind, role, bytes);
        let forms: Vec<Id> = forms.iter().map(|(form, bytes)| self.born(bytes, Class::Secret, form.name())).collect();
        forms.iter().for_each(|form| self.clauses.push(&[seed], *form, Rule::Expanded(now)));
        self.expanded.insert(seed, forms);
    }

    /// The secrets within a state that is restored: the device has them, and may never use them.
    fn note_restored(&mut self, operation: &Operation<'_>, state: &[u8]) {
        let head = operation.input(Role::AssociatedData).unwrap_or_default();
        let profile = self.profile.clone();
        for part in profile.stored_parts(head, state).unwrap_or_default() {
            if is_well_known(part.bytes) {
                continue;
            }
            let id = self.born(part.bytes, part.class, part.name);
            match part.expansion {
                Some(Expansion::MlKem1024) => self.note_expanded(id, Kind::KemPublic, Role::KemSeed, part.bytes),
                Some(Expansion::MlKem768) => self.note_expanded(id, Kind::IncrementalPublic, Role::KemSeed, part.bytes),
                Some(Expansion::Ed25519) => {
                    self.note_expanded(id, Kind::SigningPublic, Role::SigningSeed, part.bytes);
                }
                None => {}
            }
        }
    }

    /// An operation whose one output follows from its inputs.
    pub(super) fn note_plain(&mut self, operation: &Operation<'_>, role: Role, what: &'static str) {
        let premises = self.note_inputs(operation);
        let Some(bytes) = operation.output(role) else { return };
        let class = match role {
            Role::Signature => Class::Public,
            Role::Digest => Class::Neutral,
            _ => Class::Secret,
        };
        let output = self.born(bytes, class, what);
        self.clauses.push(&premises, output, Rule::Operation(self.now()));
        if let (Kind::Decapsulate | Kind::IncrementalDecapsulate, Some((seed, ciphertext))) =
            (operation.kind, premises.split_first())
        {
            self.note_decapsulated(*seed, ciphertext, output, self.now());
        }
        if role == Role::Digest {
            self.hashes.push((output, premises, self.now()));
        }
    }

    /// ŝ opens what a seed opens.
    pub(super) fn note_decapsulated(&mut self, seed: Id, ciphertext: &[Id], shared: Id, at: u32) {
        for form in self.expanded.get(&seed).cloned().unwrap_or_default() {
            let premises: Vec<Id> = [form].into_iter().chain(ciphertext.iter().copied()).collect();
            self.clauses.push(&premises, shared, Rule::Operation(at));
        }
    }

    pub(super) fn note_public(&mut self, operation: &Operation<'_>) {
        let (role, what) = match operation.kind {
            Kind::DhPublic => (Role::DhPublic, "X25519 public key"),
            Kind::SigningPublic => (Role::SigningPublic, "Ed25519 public key"),
            _ => (Role::KemPublic, "ML-KEM public key"),
        };
        let premises = self.note_inputs(operation);
        let (Some(private), Some(bytes)) = (premises.first().copied(), operation.output(role)) else { return };
        let public = self.born(bytes, Class::Public, what);
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

    pub(super) fn note_incremental_public(&mut self, operation: &Operation<'_>) {
        let premises = self.note_inputs(operation);
        let Some(private) = premises.first().copied() else { return };
        for role in [Role::EkHeader, Role::EkVector] {
            let Some(bytes) = operation.output(role) else { continue };
            let part = self.born(bytes, Class::Public, "part of an ML-KEM public key");
            self.clauses.push(&premises, part, Rule::Operation(self.now()));
            if role == Role::EkHeader {
                self.kem_seed.insert(part, private);
            }
        }
    }

    pub(super) fn note_dh(&mut self, operation: &Operation<'_>) {
        let premises = self.note_inputs(operation);
        let (&[private, public], Some(bytes)) = (premises.as_slice(), operation.output(Role::DhShared)) else { return };
        let shared = self.born(bytes, Class::Secret, "X25519 shared secret");
        let now = self.now();
        self.clauses.push(&premises, shared, Rule::Operation(now));
        self.exchanges.push((private, public, shared, now));
    }

    pub(super) fn note_encapsulation(&mut self, operation: &Operation<'_>) {
        let premises = self.note_inputs(operation);
        // Of the two steps, the first part of the ciphertext stands for it: who has a seed wants no more for K.
        let ciphertext = operation.output(Role::KemCiphertext).or_else(|| operation.output(Role::Ct1));
        let (Some(public), Some(ciphertext), Some(shared)) =
            (premises.first().copied(), ciphertext, operation.output(Role::KemShared))
        else {
            return;
        };
        let now = self.now();
        if let Some(ct2) = operation.output(Role::Ct2) {
            self.born(ct2, Class::Public, "part of an ML-KEM ciphertext");
        }
        let ciphertext = self.born(ciphertext, Class::Public, "ML-KEM ciphertext");
        let shared = self.born(shared, Class::Secret, "KEM shared secret");
        self.clauses.push(&premises, shared, Rule::Operation(now));
        self.encapsulations.push((public, ciphertext, shared, now));
    }

    pub(super) fn note_kdf(&mut self, operation: &Operation<'_>) {
        let premises = self.note_inputs(operation);
        let Some(bytes) = operation.output(Role::KdfOutput) else { return };
        let now = self.now();
        let profile = self.profile.clone();
        let fields = profile.kdf_output(operation);
        if fields.iter().map(|field| field.len).sum::<usize>() == bytes.len() && fields.len() > 1 {
            let output = self.born(bytes, Class::State, "KDF output");
            self.clauses.push(&premises, output, Rule::Operation(now));
            let mut rest = bytes;
            let mut parts = Vec::with_capacity(fields.len());
            for field in fields {
                let (bytes, after) = rest.split_at_checked(field.len).unwrap_or_default();
                rest = after;
                let part = self.born(bytes, field.class, field.name);
                self.clauses.push(&[output], part, Rule::Field(now));
                parts.push(part);
            }
            self.clauses.push(&parts, output, Rule::Whole(now));
            self.note_extract(operation, &premises, output);
            return;
        }
        let (class, what) = match fields {
            [field] => (field.class, field.name.into()),
            // A snapshot's salt is stored in the clear beside what it seals.
            _ => match profile.stored_names().filter(|_| operation.kind == Kind::Hmac && profile.is_storing(operation))
            {
                Some(names) => (Class::Neutral, names.salt.into()),
                None => (Class::Secret, What::Builtin("derived key")),
            },
        };
        let output = self.born(bytes, class, what);
        self.clauses.push(&premises, output, Rule::Operation(now));
        self.note_extract(operation, &premises, output);
    }

    /// HKDF's two halves: `{salt, ikm} → PRK` and `{PRK, info} → output`. Who has the PRK needs nothing else.
    fn note_extract(&mut self, operation: &Operation<'_>, premises: &[Id], output: Id) {
        let Some(prk) = extracted(operation) else { return };
        let prk = self.born(&prk, Class::Secret, "pseudorandom key of HKDF");
        let inputs = operation.fields.iter().filter(|field| !field.is_output).zip(premises);
        let (contexts, others): (Vec<_>, Vec<_>) = inputs.partition(|(field, _)| field.role == Role::Context);
        let others: Vec<Id> = others.into_iter().map(|(_, id)| *id).collect();
        let expand: Vec<Id> = contexts.into_iter().map(|(_, id)| *id).chain([prk]).collect();
        let now = self.now();
        self.clauses.push(&others, prk, Rule::Operation(now));
        self.clauses.push(&expand, output, Rule::Operation(now));
    }

    pub(super) fn note_aead(&mut self, operation: &Operation<'_>, ciphertext: Option<&[u8]>) {
        let mut inputs = self.note_inputs(operation);
        let (Some(key), Some(nonce)) = (inputs.first().copied(), inputs.get(1).copied()) else { return };
        let now = self.now();
        let step = operation.step;
        let profile = self.profile.clone();
        let plaintext = match operation.output(Role::Plaintext) {
            Some(opened) => {
                let (class, what) = plaintext_of(&profile, operation, opened);
                if class == Class::State {
                    self.note_restored(operation, opened);
                }
                self.born(opened, class, what)
            }
            None => match inputs.get(3).copied() {
                Some(sealed) => sealed,
                None => return,
            },
        };
        if let Some(field) = operation.fields.iter().find(|field| field.role == Role::Plaintext) {
            if profile.is_padded_text(step, field.bytes) {
                self.note_text(plaintext, field.bytes);
            }
            for part in profile.plaintext_parts(step, field.bytes) {
                self.born(part.bytes, part.class, part.name);
            }
        }
        let tag = operation.fields.iter().find(|field| field.role == Role::Tag);
        let (Some(ciphertext), Some(tag)) = (ciphertext, tag) else { return };
        // With its tag: the ciphertexts of short plaintexts are too short to tell messages apart.
        let ciphertext = [ciphertext, tag.bytes].concat();
        let ciphertext = self.born(
            &ciphertext,
            if profile.is_storing(operation) { Class::Stored } else { Class::Public },
            "ciphertext",
        );
        inputs = [key, ciphertext].into();
        self.clauses.push(&inputs, plaintext, Rule::Operation(now));

        match self.sealed.get(&(key, nonce)).copied() {
            // The tag is of the associated data too: one text sealed twice for two places is no repetition.
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
        let Some(place) = self.places.last().copied() else { return };
        match (operation.kind, profile.is_message(step)) {
            // What a device seals for itself, whatever that is, is its memory.
            (Kind::Seal, _) if profile.is_storing_step(step) => {
                self.memories.push(Memory { participant: place.participant, at: now, state: plaintext });
            }
            (Kind::Seal, true) => {
                self.by_ciphertext.entry(ciphertext).or_insert(self.messages.len());
                self.messages.push(Message { sender: place.participant, sealed_at: now, opened: None, key });
            }
            (Kind::Open, true) => self.openings.push((ciphertext, place.participant, now)),
            _ => {}
        }
    }

    /// What the user wrote, within its padding (`0x80`, then zeros); a long text in pieces that are kept.
    pub(super) fn note_text(&mut self, padded: Id, bytes: &[u8]) {
        if !self.texts.insert(padded) {
            return;
        }
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap_or_default();
        let text = bytes.get(..end).unwrap_or_default();
        for piece in text.chunks(MAX_KEPT) {
            let id = self.born(piece, Class::Secret, PLAINTEXT);
            self.clauses.push(&[padded], id, Rule::Field(self.now()));
            if piece.len() == text.len() {
                // Who knows the text can pad it.
                self.clauses.push(&[id], padded, Rule::Padding(self.now()));
            }
        }
    }
}
