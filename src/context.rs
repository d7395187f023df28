// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Context`]: who sends to whom in which conversation, as associated data.
//!
//! A session authenticates keys, not names. If somebody registers Bob's key under his own name, Alice writes to Bob
//! under that name (attack B13). If both sides pass the names that they believe in as associated data, such a message
//! does not decrypt.
//!
//! ```text
//! version (u8, 1) || u64 length || sender || u64 length || recipient || u64 length || conversation
//! ```
//!
//! Integers are big-endian. Every part has its length in front, so that different contexts never have equal bytes.

use core::fmt;

#[cfg(feature = "alloc")]
use alloc::vec::Vec;

/// The version of the encoding.
const VERSION: u8 = 1;
/// Length in bytes of the encoding apart from the three parts.
const FIXED_LEN: usize = 1 + 3 * 8;

/// Names for associated data: each is any byte string that both applications know, for example an account's name.
///
/// Pass the encoding as `associated_data` to every encryption and decryption. It is authenticated and not sent: the
/// receiver builds the same context from what *it* believes, never from what a message or server says about itself.
///
/// # Security
/// If the two sides' contexts differ in any part, decryption fails as for a forged message. An empty part is permitted
/// and binds nothing. [`Context::reversed`] is the context of the answer, so that a message cannot be passed off as its
/// recipient's.
///
/// ```
/// # use noescrow::Context;
/// let context = Context { sender: b"alice@example.org", recipient: b"bob@example.org", conversation: b"" };
/// let mut bytes = [0; 128];
/// let len = context.write_to(&mut bytes).expect("128 bytes are enough");
/// let associated_data = &bytes[..len];
/// # assert_eq!(len, 25 + 17 + 15);
/// # let _ = associated_data;
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Context<'a> {
    /// Who encrypts the message.
    pub sender: &'a [u8],
    /// Who decrypts it.
    pub recipient: &'a [u8],
    /// The conversation to which it belongs.
    pub conversation: &'a [u8],
}

impl<'a> Context<'a> {
    /// Returns the context of a message in the other direction.
    #[must_use]
    pub const fn reversed(self) -> Self {
        let Self { sender, recipient, conversation } = self;
        Self { sender: recipient, recipient: sender, conversation }
    }

    const fn parts(&self) -> [&'a [u8]; 3] {
        let Self { sender, recipient, conversation } = *self;
        [sender, recipient, conversation]
    }

    /// Returns the length in bytes of the encoding: 25 and the lengths of the parts.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        self.parts().iter().fold(FIXED_LEN, |len, part| len.saturating_add(part.len()))
    }

    /// Writes the encoding to the start of `out` and returns its length in bytes, [`encoded_len`](Self::encoded_len), or
    /// `None` if `out` is shorter.
    #[must_use]
    pub fn write_to(&self, out: &mut [u8]) -> Option<usize> {
        let len = self.encoded_len();
        let (version, mut rest) = out.get_mut(..len)?.split_first_mut()?;
        *version = VERSION;
        for part in self.parts() {
            let (prefix, after) = rest.split_first_chunk_mut()?;
            *prefix = u64::try_from(part.len()).ok()?.to_be_bytes();
            let (bytes, after) = after.split_at_mut_checked(part.len())?;
            bytes.copy_from_slice(part);
            rest = after;
        }
        Some(len)
    }

    /// Returns the encoding.
    #[cfg(feature = "alloc")]
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = alloc::vec![0; self.encoded_len()];
        // The space suffices.
        let _ = self.write_to(&mut bytes);
        bytes
    }
}

/// Shows lengths only: names are personal data.
impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [sender, recipient, conversation] = self.parts().map(<[u8]>::len);
        write!(f, "Context({sender} bytes of sender, {recipient} of recipient, {conversation} of conversation)")
    }
}
