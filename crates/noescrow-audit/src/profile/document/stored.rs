// SPDX-License-Identifier: MIT OR Apache-2.0
//! The part of a document that says how a device stores its state.

use super::{Bytes, Compiler, wrong};
use crate::profile::ProfileError;
use crate::profile::stored::{Rows, State, Stored};
use crate::recent::MAX_WHOLE_LEN;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredDocument {
    steps: Vec<String>,
    name: String,
    /// The storage key's name.
    key: String,
    /// The info of each derivation from the storage key. `null` stands for any part.
    derivations: Vec<Vec<Option<Bytes>>>,
    salt: SaltDocument,
    /// Bytes of the associated data of a sealed state.
    head_len: usize,
    states: Vec<StateDocument>,
    #[serde(default)]
    rows: Option<RowsDocument>,
}

/// A salt that is an HMAC over parts of these lengths, followed by the state.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SaltDocument {
    name: String,
    head: Vec<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StateDocument {
    /// The beginning of the associated data.
    begins: Bytes,
    /// Bytes at a distance from its end.
    #[serde(default)]
    near_end: Option<NearEndDocument>,
    layout: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NearEndDocument {
    distance: usize,
    is: Bytes,
}

/// States that are sealed in rows, by places in the associated data.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RowsDocument {
    /// The beginnings of the associated data of rows.
    begins: Vec<Bytes>,
    revision: PlaceDocument,
    owner: PlaceDocument,
    name: PlaceDocument,
    /// The name of the row that every save writes.
    core: Bytes,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlaceDocument {
    at: usize,
    len: usize,
}

impl Compiler<'_> {
    pub(super) fn stored(&mut self, stored: &StoredDocument) -> Result<Stored, ProfileError> {
        if stored.head_len > MAX_WHOLE_LEN {
            return Err(wrong(format!("a head_len above {MAX_WHOLE_LEN}: a trace may have a longer one by reference")));
        }
        let parts = |parts: &Vec<Option<Bytes>>| {
            parts.iter().map(|part| part.as_ref().map(Bytes::bytes).transpose()).collect::<Result<_, _>>()
        };
        let state = |compiler: &mut Self, state: &StateDocument| {
            let near_end = state.near_end.as_ref().map(|place| Ok((place.distance, place.is.bytes()?))).transpose()?;
            Ok(State { begins: state.begins.bytes()?, near_end, layout: compiler.layout(&state.layout, 0)? })
        };
        let place = |place: &PlaceDocument| match place.at.checked_add(place.len) {
            Some(end) if end <= stored.head_len => Ok(place.at..end),
            _ => Err(wrong(format!("no bytes {} and on in a head of {}", place.at, stored.head_len))),
        };
        let rows = |rows: &RowsDocument| {
            Ok(Rows {
                begins: rows.begins.iter().map(Bytes::bytes).collect::<Result<_, ProfileError>>()?,
                revision: place(&rows.revision)?,
                owner: place(&rows.owner)?,
                name: place(&rows.name)?,
                core: rows.core.bytes()?,
            })
        };
        Ok(Stored {
            steps: stored.steps.clone(),
            name: self.name(&stored.name)?,
            key: self.name(&stored.key)?,
            salt: self.name(&stored.salt.name)?,
            derivations: stored.derivations.iter().map(parts).collect::<Result<_, _>>()?,
            salt_head: stored.salt.head.clone(),
            head_len: stored.head_len,
            states: stored.states.iter().map(|one| state(self, one)).collect::<Result<_, ProfileError>>()?,
            rows: stored.rows.as_ref().map(rows).transpose()?,
        })
    }
}
