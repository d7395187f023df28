// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a device seals its own state, whole or in rows, and which secrets a state contains.

use super::layout::{Layout, Part};
use super::{Name, Profile};
use crate::operation::{Kind, Operation, Role};
use core::ops::Range;

/// How a device seals its own state.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) steps: Vec<String>,
    pub(super) name: Name,
    pub(super) key: Name,
    pub(super) salt: Name,
    /// Contexts of derivations from the storage key; `None` stands for any.
    pub(super) derivations: Vec<Vec<Option<Vec<u8>>>>,
    /// Lengths of the parts before the state in the message of the salt's HMAC.
    pub(super) salt_head: Vec<usize>,
    pub(super) head_len: usize,
    pub(super) states: Vec<State>,
    pub(super) rows: Option<Rows>,
}

/// The states whose head has these bytes.
#[derive(Debug)]
pub(super) struct State {
    pub(super) begins: Vec<u8>,
    /// Bytes that begin at this distance from the head's end.
    pub(super) near_end: Option<(usize, Vec<u8>)>,
    pub(super) layout: Layout,
}

impl State {
    fn has(&self, head: &[u8]) -> bool {
        let near_end = |(distance, bytes): &(usize, Vec<u8>)| {
            let end = head.len().checked_sub(*distance).and_then(|at| head.get(at..));
            end.is_some_and(|end| end.starts_with(bytes))
        };
        head.starts_with(&self.begins) && self.near_end.as_ref().is_none_or(near_end)
    }
}

/// States that are sealed in rows: where the associated data has what identifies a row.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) begins: Vec<Vec<u8>>,
    pub(super) revision: Range<usize>,
    pub(super) owner: Range<usize>,
    pub(super) name: Range<usize>,
    pub(super) core: Vec<u8>,
}

/// One row of a state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    /// The state that it belongs to.
    pub(crate) owner: &'a [u8],
    pub(crate) name: &'a [u8],
    pub(crate) revision: &'a [u8],
    /// Whether it is the row that every save writes.
    pub(crate) is_core: bool,
}

/// The names that a profile gives to what a device stores.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoredNames {
    pub(crate) state: Name,
    pub(crate) key: Name,
    pub(crate) salt: Name,
}

impl Profile {
    /// Whether a step seals or restores a device's own state.
    pub(crate) fn is_storing_step(&self, step: &str) -> bool {
        self.0.stored.as_ref().is_some_and(|stored| stored.steps.iter().any(|known| known == step))
    }

    /// Whether an operation belongs to sealing or restoring a state. The step alone does not decide: it is a claim of
    /// the device.
    pub(crate) fn is_storing(&self, operation: &Operation<'_>) -> bool {
        let Some(stored) = self.0.stored.as_ref().filter(|_| self.is_storing_step(operation.step)) else {
            return false;
        };
        let contexts: Vec<&[u8]> = operation.inputs(Role::Context).collect();
        match operation.kind {
            Kind::HkdfExpand => stored.derivations.iter().any(|known| {
                known.len() == contexts.len()
                    && known
                        .iter()
                        .zip(&contexts)
                        .all(|(known, context)| known.as_deref().is_none_or(|known| known == *context))
            }),
            Kind::Hmac => match contexts.split_last() {
                Some((state, head)) => {
                    head.iter().map(|part| part.len()).eq(stored.salt_head.iter().copied())
                        && self.stored_parts(&head.concat(), state).is_some()
                }
                None => false,
            },
            Kind::Seal | Kind::Open => {
                let head = operation.input(Role::AssociatedData).filter(|head| head.len() == stored.head_len);
                let state = operation.fields.iter().find(|field| field.role == Role::Plaintext);
                head.zip(state).is_some_and(|(head, state)| self.stored_parts(head, state.bytes).is_some())
            }
            _ => false,
        }
    }

    /// The secrets of a state, by the associated data with which it is sealed. `None` if it is not a state of this
    /// protocol.
    pub(crate) fn stored_parts<'a>(&self, head: &[u8], state: &'a [u8]) -> Option<Vec<Part<'a>>> {
        let stored = self.0.stored.as_ref()?;
        let known = stored.states.iter().find(|state| state.has(head))?;
        self.0.layouts.parse(known.layout, state)
    }

    /// The row that this associated data names, if it is that of a row.
    pub(crate) fn row<'a>(&self, head: &'a [u8]) -> Option<Row<'a>> {
        let rows = self.0.stored.as_ref()?.rows.as_ref()?;
        rows.begins.iter().find(|begins| head.starts_with(begins))?;
        let part = |place: &Range<usize>| head.get(place.clone());
        let name = part(&rows.name)?;
        Some(Row { owner: part(&rows.owner)?, name, revision: part(&rows.revision)?, is_core: *name == *rows.core })
    }

    /// The names of a stored state, of the key that seals it, and of its salt.
    pub(crate) fn stored_names(&self) -> Option<StoredNames> {
        self.0.stored.as_ref().map(|stored| StoredNames { state: stored.name, key: stored.key, salt: stored.salt })
    }
}
