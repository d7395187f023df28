// SPDX-License-Identifier: MIT OR Apache-2.0
//! Public types from slices, and to and from serde's formats (feature `serde`).
//!
//! Each type has one encoding, that of its `to_bytes`. Parsing a slice performs every check of its `from_bytes`, with the
//! default primitives, and so does deserializing. A [`Prekey`] is only parsed under an identity, and so is not
//! deserialized by itself.
//!
//! To serde, a value is a byte string. A format without byte strings has its own form for them: in JSON it is an array of
//! numbers. Deserializing takes a byte string or a sequence of numbers.
//!
//! No secret type has any of this.

use crate::error::DecodeError;
use crate::identity::{Identity, SafetyNumber};
use crate::prekeys::{Bundle, Prekey};
use crate::primitives::{DhPublicKey, RustCrypto};
use crate::snapshot::Subject;
use crate::time::UnixSeconds;

/// Returns the array of a slice of the right length.
fn array<const N: usize>(bytes: &[u8]) -> Result<&[u8; N], DecodeError> {
    bytes.try_into().map_err(|_| DecodeError::Refused)
}

macro_rules! from_slice {
    ($($name:ident: $doc:literal, $parse:expr;)+) => {$(
        #[doc = $doc]
        impl TryFrom<&[u8]> for $name {
            type Error = DecodeError;

            fn try_from(bytes: &[u8]) -> Result<Self, DecodeError> {
                let parse: fn(&[u8]) -> Result<Self, DecodeError> = $parse;
                parse(bytes)
            }
        }
    )+};
}

from_slice! {
    Identity: "Calls [`Identity::from_bytes`]: the identity is verified. Another length than 128 is refused.",
        |bytes| Self::from_bytes(&RustCrypto, array(bytes)?);
    Bundle: "Calls [`Bundle::from_bytes`]: every signature is verified.", |bytes| Self::from_bytes(&RustCrypto, bytes);
    DhPublicKey: "Calls [`DhPublicKey::from_bytes`]. Another length than 32 is refused.",
        |bytes| Self::from_bytes(*array(bytes)?);
    SafetyNumber: "Calls [`SafetyNumber::from_bytes`]. Another length than 65 is refused.",
        |bytes| Self::from_bytes(array(bytes)?);
    Subject: "Calls [`Subject::from_bytes`].", |bytes| Self::from_bytes(bytes);
    UnixSeconds: "Reads 8 bytes, big-endian. Another length is refused.",
        |bytes| Ok(Self(u64::from_be_bytes(*array(bytes)?)));
}

/// Calls [`Prekey::from_bytes`]: the prekey is verified under the identity. Another length than 1,678 is refused.
impl TryFrom<(&Identity, &[u8])> for Prekey {
    type Error = DecodeError;

    fn try_from((identity, bytes): (&Identity, &[u8])) -> Result<Self, DecodeError> {
        Self::from_bytes(&RustCrypto, identity, array(bytes)?)
    }
}

#[cfg(feature = "alloc")]
mod with_alloc {
    use super::{DecodeError, RustCrypto, array};
    use crate::access::AccessKeyHash;
    use crate::messenger::PeerId;
    use crate::prekeys::Publication;

    from_slice! {
        Publication: "Calls [`Publication::from_bytes`]: every signature is verified.",
            |bytes| Self::from_bytes(&RustCrypto, bytes);
        AccessKeyHash: "Calls [`AccessKeyHash::from_bytes`]. Another length than 32 is refused.",
            |bytes| Ok(Self::from_bytes(*array(bytes)?));
        PeerId: "Calls [`PeerId::from_bytes`]. Another length than 16 is refused.",
            |bytes| Ok(Self::from_bytes(*array(bytes)?));
    }
}

#[cfg(feature = "serde")]
mod formats;
