// SPDX-License-Identifier: MIT OR Apache-2.0
//! HENCRYPT and HDECRYPT: encryption of headers under a reused key (Double Ratchet rev 4 §4.2).
//!
//! ```text
//! tag    = HMAC(hk, "tag" || N)[..8]
//! salt   = tag || random (8)
//! com    = HMAC(hk, "commitment" || salt)[..16]
//! k_h    = HMAC(hk, "header" || salt || type || length of the body's ciphertext)
//! sealed = Seal(k_h, 0, body tag || the body's first 4,096 bytes of ciphertext, header)
//! ```
//!
//! A header has an AEAD key of its own, because a GCM nonce has only 96 bits (difference D8). The commitment states the
//! header key under which the header was sealed, because one GCM ciphertext can open under two keys (attack D2). The
//! AEAD covers the body, so that nobody derives keys for a genuine header that was joined to another body.

use crate::labels;
use crate::primitives::{Declassified, NONCE_LEN, Primitives, TAG_LEN, declassify_choice};
use crate::secret::{Secret, equal};
use crate::wipe;
use crate::wire::{
    BEFORE_HEADER_LEN, COMMITMENT_LEN, COVERED_LEN, ChunkSize, ROUTING_TAG_LEN, SALT_LEN, SALT_RANDOM_LEN,
};
use zeroize::Zeroize;

/// The nonce of every header and every body. Each of their keys seals once.
pub(crate) const NONCE: [u8; NONCE_LEN] = [0; NONCE_LEN];

/// HK: HKs, HKr, NHKs or NHKr.
#[derive(Debug)]
pub(crate) struct HeaderKey(pub(crate) Secret<32>);

/// What the header's AEAD key is derived from, besides header key and salt: facts that are visible on the wire.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Envelope {
    /// The message's first byte.
    pub(crate) outer: u8,
    /// Length in bytes of the body's ciphertext, without its tag.
    pub(crate) body_len: u64,
}

/// A message from its salt on, split into its parts:
/// `salt || commitment || header ciphertext || header tag || body tag || body ciphertext`.
pub(crate) struct SealedHeader<'a> {
    envelope: Envelope,
    pub(crate) salt: &'a [u8; SALT_LEN],
    pub(crate) commitment: &'a [u8; COMMITMENT_LEN],
    ciphertext: &'a [u8],
    tag: &'a [u8; TAG_LEN],
    /// The header's associated data: the body's tag and the beginning of its ciphertext.
    covered: &'a [u8],
}

impl<'a> SealedHeader<'a> {
    /// Splits `bytes`, everything after the type or handshake of a message whose type is `outer`.
    pub(crate) fn parse(chunk_size: ChunkSize, outer: u8, bytes: &'a [u8]) -> Option<Self> {
        let (header, after) = bytes.split_at_checked(chunk_size.sealed_header_len())?;
        let (salt, rest) = header.split_first_chunk()?;
        let (commitment, rest) = rest.split_first_chunk()?;
        let (ciphertext, tag) = rest.split_last_chunk()?;
        let body_len = u64::try_from(after.len().checked_sub(TAG_LEN)?).ok()?;
        Some(Self {
            envelope: Envelope { outer, body_len },
            salt,
            commitment,
            ciphertext,
            tag,
            covered: covered(after),
        })
    }

    /// The second half of `HDECRYPT(hk, header)`: writes the plaintext header to `out`, which has its length, if it was
    /// sealed under this AEAD key for this body. Returns whether it was.
    ///
    /// # Leaks
    /// Whether it was.
    pub(crate) fn open<P: Primitives>(&self, primitives: &P, key: &Secret<32>, out: &mut [u8]) -> bool {
        if out.len() != self.ciphertext.len() {
            return false;
        }
        out.copy_from_slice(self.ciphertext);
        let opened = wipe::wipe_stack_after::<{ wipe::HEADER }, _>(|| {
            primitives.open(key, &NONCE, self.covered, out, self.tag).is_ok()
        });
        if opened {
            primitives.declassify(Declassified::Header, out);
        }
        opened
    }

    /// Length in bytes of the header.
    pub(crate) const fn header_len(&self) -> usize {
        self.ciphertext.len()
    }
}

/// Returns the part of `after`, the body's tag and ciphertext, that is the header's associated data.
fn covered(after: &[u8]) -> &[u8] {
    after.get(..TAG_LEN + COVERED_LEN).unwrap_or(after)
}

/// The public parts of a header and the key that seals it, once.
#[derive(Debug)]
pub(crate) struct HeaderSeal {
    pub(crate) salt: [u8; SALT_LEN],
    pub(crate) commitment: [u8; COMMITMENT_LEN],
    key: Secret<32>,
}

type Hmac<'a> = &'a dyn Fn(&[&[u8]]) -> Secret<32>;

fn truncated<const N: usize>(mac: &Secret<32>) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.iter_mut().zip(mac.expose()).for_each(|(byte, from)| *byte = *from);
    bytes
}

fn number_tag(hmac: Hmac<'_>, number: u32) -> [u8; ROUTING_TAG_LEN] {
    truncated(&hmac(&[labels::NUMBER_TAG, &number.to_be_bytes()]))
}

fn commitment(hmac: Hmac<'_>, salt: &[u8; SALT_LEN]) -> [u8; COMMITMENT_LEN] {
    truncated(&hmac(&[labels::COMMITMENT, salt]))
}

fn aead_key(hmac: Hmac<'_>, salt: &[u8; SALT_LEN], envelope: Envelope) -> Secret<32> {
    hmac(&[labels::HEADER, salt, &[envelope.outer], &envelope.body_len.to_be_bytes()])
}

impl HeaderKey {
    /// The first half of `HENCRYPT(hk, header)`: the values that message `number` sends in the clear, and its header's
    /// AEAD key.
    pub(crate) fn prepare<P: Primitives>(
        &self,
        primitives: &P,
        number: u32,
        random: &[u8; SALT_RANDOM_LEN],
        envelope: Envelope,
    ) -> HeaderSeal {
        primitives.with_hmac(&self.0, |hmac| {
            let mut salt = [0; SALT_LEN];
            let (tag, rest) = salt.split_at_mut(ROUTING_TAG_LEN);
            tag.copy_from_slice(&number_tag(hmac, number));
            rest.copy_from_slice(random);
            HeaderSeal { salt, commitment: commitment(hmac, &salt), key: aead_key(hmac, &salt, envelope) }
        })
    }

    /// The first half of `HDECRYPT(hk, header)`: returns the header's AEAD key if the header's commitment is this key's.
    /// The caller wipes [`wipe::MAC`] bytes of the stack.
    ///
    /// # Leaks
    /// Whether it is. The commitment is compared in constant time, and nothing else is derived unless it matches.
    pub(crate) fn unlock<P: Primitives>(&self, primitives: &P, sealed: &SealedHeader<'_>) -> Option<Secret<32>> {
        primitives.with_hmac(&self.0, |hmac| {
            let committed = equal(&commitment(hmac, sealed.salt), sealed.commitment);
            declassify_choice(primitives, Declassified::HeaderVerdict, committed)
                .then(|| aead_key(hmac, sealed.salt, sealed.envelope))
        })
    }

    /// Returns whether the header states that it was sealed under this key: its commitment is this key's.
    ///
    /// # Leaks
    /// The answer.
    pub(crate) fn is_committed<P: Primitives>(&self, primitives: &P, sealed: &SealedHeader<'_>) -> bool {
        let committed = wipe::wipe_stack_after::<{ wipe::MAC }, _>(|| {
            primitives.with_hmac(&self.0, |hmac| equal(&commitment(hmac, sealed.salt), sealed.commitment))
        });
        declassify_choice(primitives, Declassified::HeaderVerdict, committed)
    }

    /// Returns the routing tags of the messages with `numbers`.
    pub(crate) fn routing_tags<P: Primitives>(
        &self,
        primitives: &P,
        numbers: impl Iterator<Item = u32>,
        mut each: impl FnMut([u8; ROUTING_TAG_LEN]),
    ) {
        wipe::wipe_stack_after::<{ wipe::MAC }, _>(|| {
            primitives.with_hmac(&self.0, |hmac| numbers.for_each(|number| each(number_tag(hmac, number))));
        });
    }

    /// Returns NHK as a ratchet step stores it: mixed with the newest post-quantum root's share (difference D15). An
    /// attacker who learns NHK by breaking only the step's Diffie-Hellman therefore has no header key. NHK seals the
    /// chain after the one that the step begins, so an epoch's secret reaches headers up to two chains after it reached
    /// messages.
    pub(crate) fn mixed<P: Primitives>(&self, primitives: &P, header_secret: &Secret<32>) -> Self {
        let mut mixed = Secret::zero();
        primitives.hkdf(header_secret.expose(), &[self.0.expose()], &[labels::NEXT_HEADER_KEY], mixed.expose_mut());
        Self(mixed)
    }
}

impl HeaderSeal {
    /// The second half of `HENCRYPT(hk, header)` (DR-E3), after the body is sealed. `sealed` holds salt, commitment,
    /// plaintext header and space for a tag; `after` is the body's tag and ciphertext.
    ///
    /// Returns `None`, with no plaintext header left, if `sealed` is too short.
    pub(crate) fn seal<P: Primitives>(self, primitives: &P, sealed: &mut [u8], after: &[u8]) -> Option<()> {
        let (header, tag) = sealed.split_last_chunk_mut::<TAG_LEN>()?;
        let (_, header) = header.split_at_mut_checked(BEFORE_HEADER_LEN)?;
        primitives.step("DR-E3");
        // At most 308 bytes, which is within GCM's bounds, so this cannot fail. If it did, no plaintext header would be
        // sent.
        let sealed = primitives.seal(&self.key, &NONCE, covered(after), header).map_err(|_| header.zeroize()).ok()?;
        *tag = sealed;
        Some(())
    }
}
