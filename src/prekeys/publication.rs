// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Publication`]: what a device gives to a server.

use super::{PREKEY_LEN, Prekey, PrekeyId, PrekeyKind};
use crate::error::DecodeError;
use crate::identity::Identity;
use crate::primitives::Primitives;
use crate::wire::{IDENTITY_LEN, Reader};
use alloc::vec::Vec;

/// Maximum number of one-time prekeys in a publication. This is as many as a server stores of an account, and more than
/// a device holds; whoever makes a server verify one publication costs it the verification of so many signatures and
/// keys.
pub const MAX_PUBLISHED_PREKEYS: usize = 1_000;
/// Length in bytes of the longest encoded publication, 1,679,810.
pub const PUBLICATION_LEN: usize = CLEAR_LEN + MAX_PUBLISHED_PREKEYS * PREKEY_LEN;
/// Length in bytes of what precedes the one-time prekeys: identity, signed prekey, count.
const CLEAR_LEN: usize = IDENTITY_LEN + PREKEY_LEN + 4;

/// The public keys that a device gives to a server: its identity, its signed prekey and any number of one-time prekeys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Publication {
    /// The identity of the device that published the prekeys.
    pub identity: Identity,
    /// The current signed prekey.
    pub signed_prekey: Prekey,
    /// The one-time prekeys that the server lacks: those made by this call, and those of an upload that was lost.
    pub one_time_prekeys: Vec<Prekey>,
}

impl Publication {
    /// Parses a publication and verifies every signature in it (PK-3). The number of prekeys is compared with the length
    /// of `bytes` before anything is verified or allocated.
    ///
    /// # Errors
    /// [`DecodeError::Refused`] if any part of it is invalid, a prekey is of the other kind, two prekeys have one id, there
    /// are more than [`MAX_PUBLISHED_PREKEYS`] one-time prekeys, or bytes are left over.
    ///
    /// # Leaks
    /// Everything: a publication is public.
    pub fn from_bytes<P: Primitives>(primitives: &P, bytes: &[u8]) -> Result<Self, DecodeError> {
        primitives.step("PK-3");
        let mut reader = Reader::new(bytes);
        let (identity, signed_prekey) = (reader.array()?, reader.array()?);
        let count = usize::try_from(reader.u32()?).map_err(|_| DecodeError::Refused)?;
        if count > MAX_PUBLISHED_PREKEYS {
            return Err(DecodeError::Refused);
        }
        let (one_time_prekeys, _) = reader.bytes(count.saturating_mul(PREKEY_LEN))?.as_chunks();
        reader.finish()?;
        let identity = Identity::from_bytes(primitives, identity)?;
        let parse = |bytes, kind| match Prekey::from_bytes(primitives, &identity, bytes)? {
            prekey if prekey.kind() == kind => Ok(prekey),
            _ => Err(DecodeError::Refused),
        };
        let signed_prekey = parse(signed_prekey, PrekeyKind::Signed)?;
        let one_time_prekeys = one_time_prekeys.iter().map(|bytes| parse(bytes, PrekeyKind::OneTime));
        let one_time_prekeys: Vec<Prekey> = one_time_prekeys.collect::<Result<_, _>>()?;
        let publication = Self { identity, signed_prekey, one_time_prekeys };
        if publication.has_distinct_ids() { Ok(publication) } else { Err(DecodeError::Refused) }
    }

    /// Returns the encoding: identity (128), signed prekey (1,678), number of one-time prekeys (4), and one-time prekeys
    /// (1,678 each). At most [`PUBLICATION_LEN`] bytes of what a device publishes.
    ///
    /// [`from_bytes`](Self::from_bytes) parses it if the fields are as a device made them: a changed publication may
    /// encode to what nobody accepts.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let Self { identity, signed_prekey, one_time_prekeys } = self;
        let count = u32::try_from(one_time_prekeys.len()).unwrap_or(u32::MAX);
        let one_time_len = one_time_prekeys.len().saturating_mul(PREKEY_LEN);
        let mut bytes = Vec::with_capacity(CLEAR_LEN.saturating_add(one_time_len));
        bytes.extend(identity.to_bytes());
        bytes.extend(signed_prekey.to_bytes());
        bytes.extend(count.to_be_bytes());
        one_time_prekeys.iter().for_each(|prekey| bytes.extend(prekey.to_bytes()));
        bytes
    }

    /// Returns whether no two prekeys have one id, which names a prekey of either kind.
    fn has_distinct_ids(&self) -> bool {
        let one_time = self.one_time_prekeys.iter().map(Prekey::id);
        let mut ids: Vec<PrekeyId> = one_time.chain([self.signed_prekey.id()]).collect();
        ids.sort_unstable();
        ids.array_windows().all(|[id, next]| id != next)
    }
}
