// SPDX-License-Identifier: MIT OR Apache-2.0
//! HENCRYPT and HDECRYPT: encryption of headers under a reused key (Double Ratchet rev 4 §4.2).
//!
//! A salt of 16 random bytes gives every header its own AEAD key and nonce, because a GCM nonce has only 96 bits
//! (difference D8). A key commitment states the header key under which the header was sealed, because one GCM
//! ciphertext can open under two keys (attack D2).

use crate::labels;
use crate::primitives::{Declassified, NONCE_LEN, Primitives, TAG_LEN, declassify_choice};
use crate::secret::{Secret, equal};
use crate::wire::{BEFORE_HEADER_LEN, COMMITMENT_LEN, SALT_LEN, Writer};
use zeroize::Zeroize;

/// HK: HKs, HKr, NHKs or NHKr.
#[derive(Debug)]
pub(crate) struct HeaderKey(pub(crate) Secret<32>);

/// A header as it travels, split into its parts: `salt || commitment || ciphertext || tag`.
pub(crate) struct SealedHeader<'a> {
    salt: &'a [u8; SALT_LEN],
    commitment: &'a [u8; COMMITMENT_LEN],
    ciphertext: &'a [u8],
    tag: &'a [u8; TAG_LEN],
}

impl<'a> SealedHeader<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (salt, rest) = bytes.split_first_chunk()?;
        let (commitment, rest) = rest.split_first_chunk()?;
        let (ciphertext, tag) = rest.split_last_chunk()?;
        Some(Self { salt, commitment, ciphertext, tag })
    }
}

/// One header's key, nonce and commitment: HKDF-Expand(hk, label || salt, 60).
struct HeaderKeys {
    key: Secret<32>,
    nonce: [u8; NONCE_LEN],
    commitment: [u8; COMMITMENT_LEN],
}

impl HeaderKey {
    fn derive<P: Primitives>(&self, primitives: &P, salt: &[u8; SALT_LEN]) -> HeaderKeys {
        let mut material = Secret::<{ 32 + NONCE_LEN + COMMITMENT_LEN }>::zero();
        primitives.hkdf_expand(&self.0, &[labels::HEADER, salt], material.expose_mut());
        let mut keys = HeaderKeys { key: Secret::zero(), nonce: [0; NONCE_LEN], commitment: [0; COMMITMENT_LEN] };
        let (key, rest) = material.expose().split_at(32);
        let (nonce, commitment) = rest.split_at(NONCE_LEN);
        keys.key.expose_mut().copy_from_slice(key);
        keys.nonce.copy_from_slice(nonce);
        keys.commitment.copy_from_slice(commitment);
        keys
    }

    /// `HENCRYPT(hk, header)`: `sealed` contains the plaintext header, with space for a salt and a commitment before it
    /// and for a tag after it, and becomes the sealed header. `outer` is the unencrypted byte before the sealed header,
    /// and its associated data.
    ///
    /// Returns `None`, with no plaintext header left, if `sealed` is shorter than the added parts.
    pub(crate) fn hencrypt<P: Primitives>(
        &self,
        primitives: &P,
        outer: u8,
        salt: &[u8; SALT_LEN],
        sealed: &mut [u8],
    ) -> Option<()> {
        let (header, tag) = sealed.split_last_chunk_mut::<TAG_LEN>()?;
        let (before, header) = header.split_at_mut_checked(BEFORE_HEADER_LEN)?;
        let keys = self.derive(primitives, salt);
        // At most 308 bytes, which is within GCM's bounds, so this cannot fail. If it did, no plaintext header would be
        // sent.
        *tag = primitives.seal(&keys.key, &keys.nonce, &[outer], header).map_err(|_| header.zeroize()).ok()?;
        let mut writer = Writer::new(before);
        writer.put(salt).and_then(|()| writer.put(&keys.commitment)).ok()
    }

    /// `HDECRYPT(hk, header)`: writes the plaintext header to `out`, which has its length, if it was sealed under this
    /// key. Returns whether it was.
    ///
    /// # Leaks
    /// Whether the header opened. The commitment is compared in constant time, and the cipher runs only if it matches.
    pub(crate) fn hdecrypt<P: Primitives>(
        &self,
        primitives: &P,
        outer: u8,
        sealed: &SealedHeader<'_>,
        out: &mut [u8],
    ) -> bool {
        let keys = self.derive(primitives, sealed.salt);
        let committed = equal(&keys.commitment, sealed.commitment);
        if !declassify_choice(primitives, Declassified::HeaderVerdict, committed)
            || out.len() != sealed.ciphertext.len()
        {
            return false;
        }
        out.copy_from_slice(sealed.ciphertext);
        let opened = primitives.open(&keys.key, &keys.nonce, &[outer], out, sealed.tag).is_ok();
        if opened {
            primitives.declassify(Declassified::Header, out);
        }
        opened
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
