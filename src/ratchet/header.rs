// SPDX-License-Identifier: MIT OR Apache-2.0
//! HENCRYPT and HDECRYPT: headers under a reused key (Double Ratchet rev 4 §4.2).
//!
//! A salt of 16 random bytes gives every header its own AEAD key and nonce (SPECS §15 E12), and a key commitment
//! that says under which header key it was sealed, because GCM lets one ciphertext open under two (attack D2).

use crate::labels;
use crate::primitives::{NONCE_LEN, Primitives, TAG_LEN};
use crate::secret::Secret;
use crate::wire::{COMMITMENT_LEN, HEADER_LEN, Header, SALT_LEN, SEALED_HEADER_LEN};
use subtle::ConstantTimeEq;

/// HK: HKs, HKr, NHKs, NHKr.
#[derive(Debug)]
pub(crate) struct HeaderKey(pub(crate) Secret<32>);

/// A header as it travels, taken apart: `salt || commitment || ciphertext || tag`.
pub(crate) struct SealedHeader<'a> {
    salt: &'a [u8; SALT_LEN],
    commitment: &'a [u8; COMMITMENT_LEN],
    ciphertext: &'a [u8; HEADER_LEN],
    tag: &'a [u8; TAG_LEN],
}

impl<'a> SealedHeader<'a> {
    pub(crate) fn parse(bytes: &'a [u8; SEALED_HEADER_LEN]) -> Option<Self> {
        let mut reader = crate::wire::Reader::new(bytes);
        let (salt, commitment) = (reader.array().ok()?, reader.array().ok()?);
        Some(Self { salt, commitment, ciphertext: reader.array().ok()?, tag: reader.array().ok()? })
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

    /// `HENCRYPT(hk, header)`. `outer` is the clear byte before the header: its associated data.
    pub(crate) fn hencrypt<P: Primitives>(
        &self,
        primitives: &P,
        outer: u8,
        salt: &[u8; SALT_LEN],
        header: &Header,
    ) -> [u8; SEALED_HEADER_LEN] {
        let keys = self.derive(primitives, salt);
        let mut ciphertext = header.encode();
        // 41 bytes are within GCM's bounds, so that this cannot fail; a zero tag would open nowhere.
        let tag = primitives.seal(&keys.key, &keys.nonce, &[outer], &mut ciphertext).unwrap_or([0; TAG_LEN]);
        let mut sealed = [0; SEALED_HEADER_LEN];
        let mut writer = crate::wire::Writer::new(&mut sealed);
        // The lengths add up to SEALED_HEADER_LEN.
        let _ = writer
            .put(salt)
            .and_then(|()| writer.put(&keys.commitment))
            .and_then(|()| writer.put(&ciphertext))
            .and_then(|()| writer.put(&tag));
        sealed
    }

    /// `HDECRYPT(hk, header)`: the header, or `None` under another key.
    ///
    /// # Leaks
    /// Whether it opened. The commitment is compared in constant time; the cipher runs only where it matches.
    pub(crate) fn hdecrypt<P: Primitives>(
        &self,
        primitives: &P,
        outer: u8,
        sealed: &SealedHeader<'_>,
    ) -> Option<Header> {
        let keys = self.derive(primitives, sealed.salt);
        if !bool::from(keys.commitment.ct_eq(sealed.commitment)) {
            return None;
        }
        let mut header = *sealed.ciphertext;
        primitives.open(&keys.key, &keys.nonce, &[outer], &mut header, sealed.tag).ok()?;
        Header::decode(&header).ok()
    }
}
