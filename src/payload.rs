// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Payload`], [`Sealed`] and [`Opened`]: what is encrypted, what is decrypted, and what comes of it. The fields have
//! names, so that two byte strings cannot be swapped by mistake.

use core::fmt;

/// A plaintext with the data that is bound to it, for `encrypt` and `initiate`.
///
/// A byte string converts to a payload without associated data.
///
/// ```
/// # use noescrow::Payload;
/// let payload = Payload { plaintext: b"hi", associated_data: b"from Alice to Bob", ..Payload::default() };
/// # let _ = payload;
/// ```
#[derive(Clone, Copy, Default)]
pub struct Payload<'a> {
    /// The bytes to encrypt.
    pub plaintext: &'a [u8],
    /// Bytes that are authenticated and not sent; the other side must pass the same bytes to `decrypt` or `accept`.
    /// They state, for example, who is talking to whom in which conversation.
    pub associated_data: &'a [u8],
    /// Length in bytes to which the plaintext, with its marker byte, is padded at least, so that short texts are as
    /// long as longer ones. 0 selects the plaintext's own size class; the maximum is `MAX_PLAINTEXT_LEN + 1`.
    pub min_padded_len: usize,
}

/// A message with the data that is bound to it, for `decrypt` and `accept`.
///
/// A byte string converts to a message without associated data.
#[derive(Clone, Copy)]
pub struct Sealed<'a> {
    /// The message as it arrived.
    pub message: &'a [u8],
    /// The associated data that the sender passed with the plaintext.
    pub associated_data: &'a [u8],
}

/// What `decrypt` and `accept` return: an authentic message of the other end.
#[derive(Clone, PartialEq, Eq)]
pub struct Opened<T> {
    /// The bytes that the other end encrypted.
    pub plaintext: T,
    /// The message's number in its sending chain, from 0. A sender begins a new chain with each ratchet step.
    pub number: u32,
    /// Whether the sender marked this as a control message: one for the messenger layer, which is not shown to the user. The
    /// module `messenger` seals and reads them itself.
    pub is_control: bool,
}

impl<'a> From<&'a [u8]> for Payload<'a> {
    fn from(plaintext: &'a [u8]) -> Self {
        Self { plaintext, ..Self::default() }
    }
}

impl<'a> From<&'a [u8]> for Sealed<'a> {
    fn from(message: &'a [u8]) -> Self {
        Self { message, associated_data: &[] }
    }
}

macro_rules! from_references {
    ($(#[$cfg:meta])? [$($generics:tt)*] $bytes:ty) => {
        $(#[$cfg])?
        impl<'a, $($generics)*> From<&'a $bytes> for Payload<'a> {
            fn from(plaintext: &'a $bytes) -> Self {
                Self::from(&plaintext[..])
            }
        }

        $(#[$cfg])?
        impl<'a, $($generics)*> From<&'a $bytes> for Sealed<'a> {
            fn from(message: &'a $bytes) -> Self {
                Self::from(&message[..])
            }
        }
    };
}

from_references!([const N: usize] [u8; N]);
from_references!(#[cfg(feature = "alloc")] [] alloc::vec::Vec<u8>);

/// Shows lengths only.
impl fmt::Debug for Payload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plaintext, associated_data, min_padded_len: _ } = self;
        write!(f, "Payload({} bytes, {} of associated data)", plaintext.len(), associated_data.len())
    }
}

/// Shows lengths only.
impl fmt::Debug for Sealed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { message, associated_data } = self;
        write!(f, "Sealed({} bytes, {} of associated data)", message.len(), associated_data.len())
    }
}

/// Shows the plaintext's length only.
impl<T: AsRef<[u8]>> fmt::Debug for Opened<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plaintext, number, is_control } = self;
        f.debug_struct("Opened")
            .field("plaintext_len", &plaintext.as_ref().len())
            .field("number", number)
            .field("is_control", is_control)
            .finish()
    }
}
