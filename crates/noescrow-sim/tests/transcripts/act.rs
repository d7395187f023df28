// SPDX-License-Identifier: MIT OR Apache-2.0
//! An event's inputs and outputs, and the words for refusals.

use super::json::{Event, hex, unhex};
use noescrow::UnixSeconds;
use noescrow::error::{
    AcceptError, DecodeError, DecryptError, EncryptError, InitiateError, RestoreError, SafetyNumberError,
};
use serde_json::Value;

/// An event being performed: its inputs are read, and it is written again with its outputs. Nothing in a transcript
/// therefore stays unread.
pub struct Act<'a> {
    pub asked: &'a Event,
    pub outcome: Event,
}

impl Act<'_> {
    pub fn optional(&mut self, key: &str) -> Option<&Value> {
        let value = self.asked.get(key)?;
        self.outcome.insert(key.to_owned(), value.clone());
        Some(value)
    }

    pub fn required(&mut self, key: &str) -> Result<&Value, String> {
        self.optional(key).ok_or_else(|| format!("no {key}"))
    }

    pub fn text(&mut self, key: &str) -> Result<String, String> {
        Ok(self.required(key)?.as_str().ok_or_else(|| format!("{key} is no text"))?.to_owned())
    }

    pub fn number(&mut self, key: &str) -> Result<u64, String> {
        self.required(key)?.as_u64().ok_or_else(|| format!("{key} is no number"))
    }

    /// A time: a number, or 8 bytes if a number of JSON cannot hold it.
    pub fn time(&mut self, key: &str) -> Result<UnixSeconds, String> {
        match self.asked.get(key) {
            Some(Value::String(_)) => Ok(UnixSeconds(u64::from_be_bytes(self.array(key)?))),
            _ => self.number(key).map(UnixSeconds),
        }
    }

    /// Ids of prekeys.
    pub fn ids(&mut self, key: &str) -> Result<Vec<u32>, String> {
        let list = self.required(key)?.as_array().ok_or_else(|| format!("{key} is no list"))?;
        let ids: Option<Vec<u32>> = list.iter().map(|id| id.as_u64()?.try_into().ok()).collect();
        ids.ok_or_else(|| format!("{key} are no ids"))
    }

    pub fn bytes(&mut self, key: &str) -> Result<Vec<u8>, String> {
        unhex(&self.text(key)?)
    }

    pub fn array<const N: usize>(&mut self, key: &str) -> Result<[u8; N], String> {
        self.bytes(key)?.try_into().map_err(|_| format!("{key} is not {N} bytes"))
    }

    pub fn put(&mut self, key: &str, value: impl Into<Value>) {
        self.outcome.insert(key.to_owned(), value.into());
    }

    pub fn put_bytes(&mut self, key: &str, bytes: &[u8]) {
        self.put(key, hex(bytes));
    }

    pub fn refused(&mut self, error: impl Into<Refusal>) {
        self.put("refused", error.into().0);
    }
}

/// Why something is refused, in the document's words.
pub struct Refusal(&'static str);

macro_rules! refusals {
    ($($error:ident { $($variant:ident => $word:literal,)+ })+) => {$(
        impl From<$error> for Refusal {
            fn from(error: $error) -> Self {
                Self(match error { $($error::$variant { .. } => $word,)+ _ => "unknown" })
            }
        }
    )+};
}

refusals! {
    DecodeError { Refused => "refused", }
    InitiateError {
        Refused => "refused",
        Expired => "expired",
        UnexpectedIdentity => "unexpected identity",
        TooLong => "too long",
    }
    AcceptError {
        Refused => "refused",
        PrekeyGone => "prekey gone",
        Repeated => "handshake already accepted",
        ReplayRecordFull => "replay record full",
        TooManySkipped => "too many skipped",
    }
    EncryptError {
        NotYetReceived => "nothing received yet",
        ChainExhausted => "chain exhausted",
        Abandoned => "abandoned",
        TooLong => "too long",
    }
    DecryptError {
        Refused => "refused",
        TooManySkipped => "too many skipped",
        KeyGone => "key gone",
        Abandoned => "abandoned",
    }
    RestoreError { Refused => "refused", NewerVersion => "newer version", Rollback => "older generation", }
    SafetyNumberError { Malformed => "malformed", Mismatch => "mismatch", }
}
