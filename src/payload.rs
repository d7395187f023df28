// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Payload`] and [`Sealed`]: what is encrypted and what is decrypted, each with its associated data. The fields have
//! names, so that two byte strings cannot be swapped by mistake.

use core::fmt;

/// A plaintext with the data that is bound to it, for `encrypt` and `initiate`.
///
/// A byte string converts to a payload without associated data.
#[derive(Clone, Copy)]
pub struct Payload<'a> {
    /// The bytes to encrypt.
    pub plaintext: &'a [u8],
    /// Bytes that are authenticated and not sent; the other side must pass the same bytes to `decrypt` or `accept`.
    /// They state, for example, who is talking to whom in which conversation.
    pub associated_data: &'a [u8],
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

/// A decrypted message.
#[derive(Clone, PartialEq, Eq)]
pub struct Opened<T> {
    /// The bytes that the sender encrypted.
    pub plaintext: T,
    /// N, the message's number in its chain, from 0. A chain ends when the other side has answered.
    pub number: u32,
    /// Whether this is a control message, which is for the session layer and must not be shown to the user.
    pub is_control: bool,
}

/// Shows the plaintext's length only.
impl<T: AsRef<[u8]>> fmt::Debug for Opened<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plaintext, number, is_control } = self;
        let control = if *is_control { ", control" } else { "" };
        write!(f, "Opened({} bytes, number {number}{control})", plaintext.as_ref().len())
    }
}

impl<'a> From<&'a [u8]> for Payload<'a> {
    fn from(plaintext: &'a [u8]) -> Self {
        Self { plaintext, associated_data: &[] }
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
        let Self { plaintext, associated_data } = self;
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
