// SPDX-License-Identifier: MIT OR Apache-2.0
//! HENCRYPT and HDECRYPT: headers under a reused key (Double Ratchet rev 4 §4.2).
//!
//! A salt of 16 random bytes gives every header its own AEAD key and nonce (SPECS §15 E12), and a key commitment
//! that says under which header key it was sealed, because GCM lets one ciphertext open under two (attack D2).

use crate::labels;
use crate::primitives::declassified::{Declassified, verdict};
use crate::primitives::{NONCE_LEN, Primitives, TAG_LEN};
use crate::secret::{Secret, equal};
use crate::wire::{BEFORE_HEADER_LEN, COMMITMENT_LEN, SALT_LEN, Writer};
use zeroize::Zeroize;

/// HK: HKs, HKr, NHKs, NHKr.
#[derive(Debug)]
pub(crate) struct HeaderKey(pub(crate) Secret<32>);

/// A header as it travels, taken apart: `salt || commitment || ciphertext || tag`.
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

    /// `HENCRYPT(hk, header)`: `sealed` is the header in the clear with room for a salt and a commitment before it and a
    /// tag behind it, and becomes the sealed header. `outer` is the clear byte before it: its associated data.
    ///
    /// `None`, with no header in the clear, if `sealed` is shorter than what is added.
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
        // At most 308 bytes: within GCM's bounds, so that this cannot fail; if it did, nothing would leave in the clear.
        *tag = primitives.seal(&keys.key, &keys.nonce, &[outer], header).map_err(|_| header.zeroize()).ok()?;
        let mut writer = Writer::new(before);
        writer.put(salt).and_then(|()| writer.put(&keys.commitment)).ok()
    }

    /// `HDECRYPT(hk, header)`: writes the header in the clear to `out`, of its length, if it was sealed under this key;
    /// says whether it was.
    ///
    /// # Leaks
    /// Whether it opened. The commitment is compared in constant time; the cipher runs only where it matches.
    pub(crate) fn hdecrypt<P: Primitives>(
        &self,
        primitives: &P,
        outer: u8,
        sealed: &SealedHeader<'_>,
        out: &mut [u8],
    ) -> bool {
        let keys = self.derive(primitives, sealed.salt);
        let committed = equal(&keys.commitment, sealed.commitment);
        if !verdict(primitives, Declassified::HeaderVerdict, committed) || out.len() != sealed.ciphertext.len() {
            return false;
        }
        out.copy_from_slice(sealed.ciphertext);
        let opened = primitives.open(&keys.key, &keys.nonce, &[outer], out, sealed.tag).is_ok();
        if opened {
            primitives.declassify(Declassified::Header, out);
        }
        opened
    }

    /// NHK as a ratchet step leaves it: with the newest post-quantum root's share (difference D15). Who learns NHK by
    /// breaking the step's Diffie-Hellman alone has no header key. It seals the chain after the one that the step begins: an
    /// epoch's secret reaches headers up to two chains after it reached messages.
    pub(crate) fn mixed<P: Primitives>(&self, primitives: &P, header_secret: &Secret<32>) -> Self {
        let mut mixed = Secret::zero();
        primitives.hkdf(header_secret.expose(), &[self.0.expose()], &[labels::NEXT_HEADER_KEY], mixed.expose_mut());
        Self(mixed)
    }
}
