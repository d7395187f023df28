// SPDX-License-Identifier: MIT OR Apache-2.0
//! Encoded types in the formats of serde.

use crate::access::AccessKeyHash;
use crate::error::DecodeError;
use crate::identity::{Identity, SAFETY_NUMBER_LEN, SafetyNumber};
use crate::messenger::PeerId;
use crate::prekeys::{BUNDLE_LEN, Bundle, PUBLICATION_LEN, Prekey, Publication};
use crate::snapshot::{PEER_ID_LEN, SUBJECT_LEN, Subject};
use crate::wire::IDENTITY_LEN;
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

/// A public type that is parsed by itself.
trait Encoded: for<'a> TryFrom<&'a [u8], Error = DecodeError> {
    /// What it is, for the error of a format that has something else.
    const NAME: &'static str;
    /// Length in bytes of its longest encoding. A sequence is read no further.
    const MAX_LEN: usize;
}

/// Number of bytes for which a sequence that announces more is given space in advance: an announced length may be false.
const RESERVED: usize = 4_096;

struct Bytes<T>(PhantomData<T>);

impl<'de, T: Encoded> Visitor<'de> for Bytes<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of at most {} bytes", T::NAME, T::MAX_LEN)
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<T, E> {
        T::try_from(bytes).map_err(|error| E::custom(format_args!("{}: {error}", T::NAME)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<T, A::Error> {
        let announced = sequence.size_hint().unwrap_or_default();
        let mut bytes = Vec::with_capacity(announced.min(T::MAX_LEN).min(RESERVED));
        while let Some(byte) = sequence.next_element()? {
            if bytes.len() >= T::MAX_LEN {
                return Err(A::Error::invalid_length(bytes.len().saturating_add(1), &self));
            }
            bytes.push(byte);
        }
        self.visit_bytes(&bytes)
    }
}

macro_rules! as_bytes {
    ($($name:ident, $text:literal, $max_len:expr;)+) => {$(
        impl Encoded for $name {
            const NAME: &'static str = $text;
            const MAX_LEN: usize = $max_len;
        }

        /// As a byte string, the bytes of `to_bytes`. A format without byte strings has its own form for them: JSON has an
        /// array of numbers.
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_bytes(self.to_bytes().as_ref())
            }
        }

        /// From a byte string or a sequence of numbers, with every check of `TryFrom<&[u8]>`: signatures are verified with
        /// the default primitives. A false length allocates little, and what is too long is not read to its end.
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                // Some formats have a limit for bytes that are not owned.
                deserializer.deserialize_byte_buf(Bytes(PhantomData))
            }
        }
    )+};
}

as_bytes! {
    AccessKeyHash, "the hash of an access key", 32;
    Bundle, "a bundle", BUNDLE_LEN;
    Identity, "an identity", IDENTITY_LEN;
    PeerId, "a peer's id", PEER_ID_LEN;
    Publication, "a publication", PUBLICATION_LEN;
    SafetyNumber, "a safety number", SAFETY_NUMBER_LEN;
    Subject, "a subject", SUBJECT_LEN;
}

/// As a byte string, the bytes of `to_bytes`. There is no `Deserialize`: a prekey is verified under an identity. Read the
/// bytes, and convert `(&identity, &bytes[..])`.
impl Serialize for Prekey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.to_bytes())
    }
}
