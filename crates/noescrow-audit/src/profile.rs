// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Profile`]: what the audit must know about one protocol, as data.
//!
//! The audit's core knows primitives, not protocols. The protocol decides what the output of a key derivation consists
//! of, which plaintexts are secret, and which secrets a stored state contains, so a profile states it. The profile
//! comes from the auditor, never from the trace: a class in a trace would be the device's own claim. Without a rule a
//! value keeps the class of its role, and an unknown plaintext or KDF output is secret. What a profile does not
//! describe of stored states, the audit cannot search for: a profile without a description of them gives at best the
//! verdict that not everything could be examined.
//!
//! A profile is a JSON document, described in `docs/profile.md`; [`Document`](document::Document) has its fields. The
//! profile of noescrow's own protocol is `profile.json` of the crate `noescrow-recorder`.

mod document;
mod keys;
mod layout;
mod stored;

use crate::class::Class;
use crate::operation::{Operation, Role};
use core::fmt;
use std::sync::Arc;

pub(crate) use layout::{Expansion, Part};
use layout::{Layout, Layouts};
pub(crate) use stored::Row;
use stored::Stored;

/// A protocol's rules for the audit. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Profile(Arc<Rules>);

/// The number of a name that a profile gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Name(u16);

#[derive(Debug, Default)]
struct Rules {
    protocol: String,
    names: Vec<String>,
    layouts: Layouts,
    kdf: Vec<KdfRule>,
    plaintexts: Vec<PlaintextRule>,
    message_steps: Vec<String>,
    stored: Option<Stored>,
    describes_storing: bool,
}

/// What a key derivation's output consists of.
#[derive(Debug)]
struct KdfRule {
    operation: Option<String>,
    label: Vec<u8>,
    then: Option<Vec<u8>>,
    is_whole: bool,
    output: Vec<OutputField>,
}

/// One field of a key derivation's output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OutputField {
    pub(crate) name: Name,
    pub(crate) len: usize,
    pub(crate) class: Class,
}

/// What a plaintext is.
#[derive(Debug)]
struct PlaintextRule {
    steps: Vec<String>,
    /// Layouts of which one must fit; any plaintext fits if there is none.
    shapes: Vec<Layout>,
    is_padded: bool,
    /// Layouts that classify parts of the plaintext. The first that fits is used.
    contains: Vec<Layout>,
    class: Class,
    name: Name,
}

/// Why bytes are not a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileError(String);

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a profile: {}", self.0)
    }
}

impl core::error::Error for ProfileError {}

impl Profile {
    /// A profile without rules: every plaintext and every derived value is secret, and secrets in stored states that no
    /// operation used are not searched for, so that the verdict never holds.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Reads a profile from JSON.
    ///
    /// # Errors
    /// [`ProfileError`] if it is not JSON, has an unknown field or version, refers to a layout or variable that it does
    /// not define, or nests layouts too deeply.
    pub fn from_json(json: &[u8]) -> Result<Self, ProfileError> {
        document::compile(json).map(|rules| Self(Arc::new(rules)))
    }

    /// The protocol's name and revision, for people.
    #[must_use]
    pub fn protocol(&self) -> &str {
        &self.0.protocol
    }

    /// Whether the profile says how states are stored, or that they are not.
    pub(crate) fn describes_storing(&self) -> bool {
        self.0.describes_storing
    }

    pub(crate) fn name(&self, Name(number): Name) -> &str {
        self.0.names.get(usize::from(number)).map_or("", String::as_str)
    }

    /// The fields of a key derivation's output; none if no rule fits.
    pub(crate) fn kdf_output(&self, operation: &Operation<'_>) -> &[OutputField] {
        let mut contexts = operation.inputs(Role::Context);
        let (label, then) = (contexts.next().unwrap_or_default(), contexts.next().unwrap_or_default());
        let len = || operation.inputs(Role::Context).map(<[u8]>::len).sum::<usize>();
        let output = operation.output(Role::KdfOutput).map_or(0, <[u8]>::len);
        let fits = |rule: &&KdfRule| {
            rule.label == label
                && rule.output.iter().map(|field| field.len).fold(0, usize::saturating_add) == output
                && rule.then.as_ref().is_none_or(|known| known == then)
                && rule.operation.as_ref().is_none_or(|known| known == operation.kind.name())
                && (!rule.is_whole || len() == label.len())
        };
        self.0.kdf.iter().find(fits).map_or(&[], |rule| &rule.output)
    }

    /// Whether a step seals or opens a user's message.
    pub(crate) fn is_message(&self, step: &str) -> bool {
        self.0.message_steps.iter().any(|known| known == step)
    }

    /// Class and name of a plaintext, if a rule fits. A plaintext without the shape that its step requires has none.
    pub(crate) fn plaintext(&self, step: &str, bytes: &[u8]) -> Option<(Class, Name)> {
        self.plaintext_rule(step, bytes).map(|rule| (rule.class, rule.name))
    }

    /// Whether this is the name of a plaintext.
    pub(crate) fn names_plaintext(&self, name: Name) -> bool {
        self.0.plaintexts.iter().any(|rule| rule.name == name)
    }

    /// Whether a plaintext is a text in its padding, `0x80` and zeros.
    pub(crate) fn is_padded_text(&self, step: &str, bytes: &[u8]) -> bool {
        self.plaintext_rule(step, bytes).is_some_and(|rule| rule.is_padded)
    }

    /// The parts of a plaintext that a rule classifies.
    pub(crate) fn plaintext_parts<'a>(&self, step: &str, bytes: &'a [u8]) -> Vec<Part<'a>> {
        let Some(rule) = self.plaintext_rule(step, bytes) else { return Vec::new() };
        rule.contains.iter().find_map(|layout| self.0.layouts.parse(*layout, bytes)).unwrap_or_default()
    }

    fn plaintext_rule(&self, step: &str, bytes: &[u8]) -> Option<&PlaintextRule> {
        let fits = |rule: &&PlaintextRule| {
            rule.steps.iter().any(|known| known == step)
                && (!rule.is_padded || layout::is_padded(bytes))
                && (rule.shapes.is_empty()
                    || rule.shapes.iter().any(|layout| self.0.layouts.parse(*layout, bytes).is_some()))
        };
        self.0.plaintexts.iter().find(fits)
    }
}
