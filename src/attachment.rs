// SPDX-License-Identifier: MIT OR Apache-2.0
//! Attachments: files of up to [`MAX_ATTACHMENT_LEN`] bytes, sealed chunk by chunk under a key that is sent in a message
//! (spec/attachments.md).
//!
//! An [`AttachmentSealer`] makes a key for one file and seals its chunks. The application stores the sealed bytes
//! anywhere, for example at a server, and sends the [`AttachmentKey`] inside a message. An [`AttachmentOpener`] opens
//! the chunks. Neither allocates nor performs I/O: a caller passes one chunk at a time, in its own buffer of
//! [`CHUNK_LEN`] bytes. With the feature `std`, `seal_stream` and `open_stream` do the same over `Read` and
//! `Write`, and `Upload` and `Download` continue transfers of sealed files that were cut.
//!
//! The construction is STREAM (Hoang, Reyhanitabar, Rogaway and Vizár, "Online Authenticated-Encryption and its
//! Nonce-Reuse Misuse-Resistance", CRYPTO 2015) over the AEAD of [`Primitives`]: the nonce is a chunk's position and
//! whether it is the last. It is written here and not taken from the crate `aead-stream`, because that crate calls
//! ciphers of `aead` and not `Primitives`, and appends tags to growing buffers: the code that adapts it would be longer
//! than the construction, which is the function `nonce`. The tests compare every chunk with that crate.
//!
//! ```
//! # #[cfg(feature = "std")] {
//! use noescrow::attachment::{AttachmentKey, open_stream, seal_stream};
//! # let mut rng = <rand_chacha::ChaCha20Rng as rand_chacha::rand_core::SeedableRng>::seed_from_u64(1);
//!
//! // Alice seals a file and uploads the result.
//! let file = b"a photograph";
//! let mut uploaded = Vec::new();
//! let key = seal_stream(file.len() as u64, &file[..], &mut uploaded, &mut rng)?;
//! let in_a_message = key.to_bytes();
//!
//! // Bob receives the key in a message and downloads the file. He keeps it only if `open_stream` succeeds.
//! let key = AttachmentKey::from_bytes(in_a_message);
//! let mut downloaded = Vec::new();
//! open_stream(&key, &uploaded[..], &mut downloaded)?;
//! assert_eq!(downloaded, file);
//!
//! // Of a truncated download he learns that it is incomplete.
//! assert!(open_stream(&key, &uploaded[..uploaded.len() - 1], &mut Vec::new()).is_err());
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Security
//! - Each chunk is authenticated before any of its bytes is returned. An attacker without the key, such as the server,
//!   can neither change, reorder, repeat, insert nor remove chunks, nor exchange those of two files.
//! - **Content that was opened before the last chunk is authentic, but it may be a prefix of the file.** Only the last
//!   chunk shows that the file is whole: [`AttachmentOpener::finish`]. Write to a temporary file, and rename it then.
//! - Whoever has the key can seal another file under it. If several recipients receive one key, one of them can, with
//!   the server's help, replace the file for the others. If that matters, send SHA-256 of the sealed bytes in the
//!   message too, and compare before opening; or seal the file once for each recipient.
//! - The header commits to the key: no sealed file opens under two keys.
//! - The key is as secret as the message that carries it. The ratchet does not heal it: whoever has the key and obtains
//!   the sealed file later can read it. Delete sealed files from the server, and keys from the device.
//!
//! # Leaks
//! The server learns the length of the sealed file, and from it the Padmé class of the content's length. The names and
//! types of files are not part of an attachment: send them in the message.
//!
//! This module is not concerned with where sealed files are stored, nor with the message that carries the key.

mod layout;
mod opening;
mod sealing;
#[cfg(feature = "std")]
mod stream;
#[cfg(feature = "std")]
mod transfer;

pub use layout::{
    CHUNK_CONTENT_LEN, CHUNK_LEN, CHUNK_OVERHEAD, HEADER_LEN, MAX_ATTACHMENT_LEN, MAX_CHUNKS, complete_chunks,
    sealed_len,
};
pub use opening::AttachmentOpener;
pub use sealing::AttachmentSealer;
#[cfg(feature = "std")]
pub use stream::{StreamError, open_stream, seal_stream};
#[cfg(feature = "std")]
pub use transfer::{Download, Upload};

use crate::labels;
use crate::primitives::{NONCE_LEN, Primitives, random_secret};
use crate::secret::Secret;
use crate::wipe;
use core::fmt;
use rand_core::CryptoRng;

/// Length in bytes of an attachment's key.
pub const ATTACHMENT_KEY_LEN: usize = 32;
/// Version of the format, the first byte of a sealed file.
const VERSION: u8 = 1;
/// Length in bytes of the commitment to the key: a file that opens under two keys takes 2^128 hashes.
const COMMITMENT_LEN: usize = 32;

/// The key of one attachment, 32 random bytes. [`AttachmentSealer::new`] draws it; the application sends it in a
/// message. It is wiped on drop.
///
/// It contains neither a length nor a digest. A recipient needs no length: each chunk is verified by itself, and the
/// last one proves the end. A digest of the sealed file could be compared only after the whole file has arrived.
///
/// # Security
/// It opens the file, and a file sealed under it by somebody else opens too: see [the module](self#security).
pub struct AttachmentKey(Secret<ATTACHMENT_KEY_LEN>);

impl AttachmentKey {
    /// Draws 32 bytes from `rng` (AT-1).
    fn generate<P: Primitives>(primitives: &P, rng: &mut impl CryptoRng) -> Self {
        Self(random_secret(primitives, rng))
    }

    /// Wraps a key that was received in a message, 32 bytes. Every value is a key. The caller must wipe its own copy.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; ATTACHMENT_KEY_LEN]) -> Self {
        Self(Secret::new(bytes))
    }

    /// Returns the key, 32 bytes, for a message.
    ///
    /// # Security
    /// The returned copy is not wiped.
    #[must_use]
    pub const fn to_bytes(&self) -> [u8; ATTACHMENT_KEY_LEN] {
        *self.0.expose()
    }

    /// Derives the key of the chunks and the commitment (AT-2).
    fn derive<P: Primitives>(&self, primitives: &P) -> (Secret<32>, [u8; COMMITMENT_LEN]) {
        let mut material = Secret::<{ 32 + COMMITMENT_LEN }>::zero();
        let (mut chunk_key, mut commitment) = (Secret::zero(), [0; COMMITMENT_LEN]);
        wipe::wipe_stack_after::<{ wipe::CURVE }, _>(|| {
            let info: [&[u8]; 2] = [labels::ATTACHMENT, &[VERSION]];
            primitives.hkdf(&[0; 32], &[self.0.expose()], &info, material.expose_mut());
            let (first, second) = material.expose().split_at(32);
            chunk_key.expose_mut().copy_from_slice(first);
            commitment.copy_from_slice(second);
        });
        (chunk_key, commitment)
    }
}

/// Shows no byte of the key.
impl fmt::Debug for AttachmentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(_) = self;
        f.write_str("AttachmentKey(redacted)")
    }
}

/// STREAM's nonce: 7 zero bytes, the chunk's position, 1 for the last chunk and 0 for all others. The zeros may be equal
/// in all files, because no two files have the same key.
fn nonce(index: u32, is_last: bool) -> [u8; NONCE_LEN] {
    let [a, b, c, d] = index.to_be_bytes();
    [0, 0, 0, 0, 0, 0, 0, a, b, c, d, u8::from(is_last)]
}
