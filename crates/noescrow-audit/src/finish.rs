// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a [`Ledger`] adds once all operations are known: clauses that need both sides of an exchange, values within
//! longer ones, the order of the messages, and secrets of unknown origin.

use super::class::Class;
use super::clauses::Rule;
use super::ledger::{Flaw, Ledger};
use super::substring::Substrings;
use super::value::{Id, PLAINTEXT, Value, index};
use super::well_known::is_well_known;
use leakscan::FRAGMENT;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Bytes of the shortest drawn value that is compared with secrets.
const SHORTEST_DRAW: usize = 8;

impl Ledger {
    /// Call once all operations are known. Adds the other side of each Diffie-Hellman, the key holder's way to each KEM
    /// secret, and the values within longer ones; orders the messages; and finds secrets of unknown origin.
    pub fn finish(&mut self) {
        for (private, public, shared, at) in core::mem::take(&mut self.exchanges) {
            match (self.dh_private.get(&public), self.dh_public.get(&private)) {
                (Some(&other), Some(&own)) => self.clauses.push(&[other, own], shared, Rule::OtherSide(at)),
                // The own public key was not computed on the tape. It is public in any case.
                (Some(&other), None) => self.clauses.push(&[other], shared, Rule::OtherSide(at)),
                (None, _) => self.unmatched_public_keys.push(at),
            }
        }
        for (public, ciphertext, shared, at) in core::mem::take(&mut self.encapsulations) {
            match self.kem_seed.get(&public) {
                Some(&seed) => {
                    self.clauses.push(&[seed, ciphertext], shared, Rule::OtherSide(at));
                    self.ingest_decapsulated(seed, &[ciphertext], shared, at);
                }
                None => self.unmatched_public_keys.push(at),
            }
        }
        self.order_messages();
        self.classify_drawn_values();
        self.record_uses_by_hashing();
        self.add_containment_clauses();
        self.check_origins();
    }

    /// A value that was drawn and never shown is secret, whether it was used or not.
    fn classify_drawn_values(&mut self) {
        for id in self.drawn.keys() {
            if let Some(value) = self.values.get_mut(index(*id))
                && value.class == Class::Neutral
                && !value.is_public
                && value.len >= 32
                && value.kept == value.len
            {
                value.class = Class::Secret;
            }
        }
    }

    /// Finds drawn values that are parts of secrets and shorter than what is searched for, such as the random half of a
    /// salt: a generator could leak a key in them piece by piece. A pair of them agrees by a chance of 2^-64.
    pub(crate) fn find_leaking_draws(&mut self) {
        let short = self.drawn.iter().filter_map(|(id, operation)| {
            let bytes = self.bytes(*id).filter(|bytes| bytes.len() < FRAGMENT)?;
            Some((*bytes.first_chunk::<SHORTEST_DRAW>()?, (bytes, *operation)))
        });
        let short: HashMap<[u8; SHORTEST_DRAW], (&[u8], u32)> = short.collect();
        let mut leaking = Vec::new();
        let is_key = |value: &Value| value.class == Class::Secret && value.of_device && value.what != PLAINTEXT;
        for (id, _) in self.values().filter(|(_, value)| is_key(value) && value.len >= FRAGMENT) {
            let bytes = self.bytes(id).unwrap_or_default();
            let drawn_at = |at: usize| {
                let rest = bytes.get(at..)?;
                let (drawn, operation) = short.get(rest.first_chunk()?)?;
                rest.starts_with(drawn).then_some(*operation)
            };
            if let Some(operation) = (0..bytes.len()).find_map(drawn_at) {
                leaking.push(Flaw::LeakingDraw { value: id, operation });
            }
        }
        self.flaws.extend(leaking);
    }

    /// The inputs of a hash whose output is secret were used as secrets.
    fn record_uses_by_hashing(&mut self) {
        for (digest, inputs, operation) in core::mem::take(&mut self.hashes) {
            if self.value(digest).is_some_and(|value| value.class == Class::Secret) {
                self.secret_uses.extend(inputs.into_iter().map(|input| (input, operation)));
            }
        }
    }

    /// `container → part` for values within states, plaintexts and KDF outputs of unknown layout, and for keys within
    /// public values. Texts within public values are left out: a user may write what everyone knows.
    fn add_containment_clauses(&mut self) {
        let substrings = Substrings::of(self);
        let containers: Vec<(Id, u32)> = self
            .values()
            .filter(|(_, value)| matches!(value.class, Class::State | Class::Secret | Class::Public) && value.len > 32)
            .map(|(id, value)| (id, value.operation))
            .collect();
        let mut found = Vec::new();
        for (container, operation) in containers {
            let Some(value) = self.value(container) else { continue };
            let is_public = value.class == Class::Public;
            // Of a public value only the beginning was kept.
            let bytes = if is_public { self.beginning(container) } else { self.bytes(container) };
            let is_text = |part: Id| self.value(part).is_some_and(|part| part.what == PLAINTEXT);
            let parts = substrings.within(self, bytes.unwrap_or_default());
            let parts = parts.filter(|part| *part != container && !(is_public && is_text(*part)));
            found.extend(parts.map(|part| (container, part, operation)));
        }
        for (container, part, operation) in found {
            self.clauses.push(&[container], part, Rule::Field(operation));
            // A restored state is the origin of its parts, and so is a KDF's output.
            let known = self.value(container).is_some_and(|value| value.has_origin && value.class != Class::Public);
            if let Some(value) = self.values.get_mut(index(part))
                && known
            {
                value.has_origin = true;
            }
        }
    }

    /// A device used a secret that a server made, or whose origin the run does not show: one flaw for each such secret.
    fn check_origins(&mut self) {
        let mut reported = HashSet::new();
        for (id, operation) in core::mem::take(&mut self.secret_uses) {
            let Some(performed) = self.operations.get(index(operation)) else { continue };
            let by_server = self.participants.get(index(performed.participant)).is_some_and(|by| by.is_server);
            let Some(value) = self.value(id) else { continue };
            if by_server || is_well_known(self.bytes(id).unwrap_or(&[1])) {
                continue;
            }
            let flaw = match (value.made_by_server, value.has_origin) {
                (true, _) => Flaw::ServerInKey { value: id, operation },
                (false, false) => Flaw::UnknownOrigin { value: id, operation },
                (false, true) => continue,
            };
            if reported.insert(id) {
                self.flaws.push(flaw);
            }
        }
    }

    /// Matches openings to sealings, and puts the messages into an order in which they can have been sent: the traces
    /// of several devices are read one after another.
    fn order_messages(&mut self) {
        for (ciphertext, participant, at) in core::mem::take(&mut self.openings) {
            let message = self.by_ciphertext.get(&ciphertext).copied();
            if let Some(message) = message.and_then(|message| self.messages.get_mut(message)) {
                message.opened.get_or_insert((participant, at));
            }
        }
        // For each trace, what its device sealed and opened, in order.
        let mut events = std::vec![BTreeMap::new(); self.traces.len()];
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
                // A message cannot be opened before it was sealed.
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
        // If traces contradict one another, the remaining messages stay in the order in which they were read.
        order.extend((0..self.messages.len()).filter(|number| !sent.get(*number).copied().unwrap_or(true)));
        self.messages = order.iter().filter_map(|number| self.messages.get(*number).cloned()).collect();
        self.by_ciphertext.clear();
    }
}
