// SPDX-License-Identifier: MIT OR Apache-2.0
//! The leaky twins: the default primitives with one thing as it is often written instead.
//!
//! A twin takes the time that its mistake would take, and gives the right answer: so it goes through the same protocol and the
//! same measurement as what it is the twin of. What the mistake would compare with, and these primitives are not given, it is
//! [told](Subject::told).

use noescrow::Secret;
use noescrow::primitives::{
    CT1_LEN, CT2_LEN, EK_HEADER_LEN, EK_VECTOR_LEN, Failed, KEM_CIPHERTEXT_LEN, KEM_PUBLIC_LEN, KEM_SEED_LEN,
    NONCE_LEN, PUBLIC_KEY_LEN, Primitives, RustCrypto, SIGNATURE_LEN, TAG_LEN,
};
use std::cell::{Cell, RefCell};
use std::hint::black_box;
use std::rc::Rc;

/// Bytes of a header's key, nonce and commitment, and where the commitment begins.
const HEADER_MATERIAL_LEN: usize = 60;
const COMMITMENT_AT: usize = 44;
/// Shorter texts are headers and identities, which have no padding.
const SHORTEST_PADDED: usize = 1 << 10;

/// What is measured: the default primitives, or a twin.
pub trait Subject: Primitives + 'static {
    /// The other side of a comparison, for a twin's; the shipped primitives take no notice.
    #[inline(always)]
    fn told(&self, value: &[u8]) {
        let _ = value;
    }
}

impl Subject for RustCrypto {}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leak {
    /// A commitment is compared up to the first difference.
    Commitment,
    /// A key whose commitment has the right beginning is taken for the right one: no other is tried.
    Trial,
    /// A tag is compared up to the first difference.
    Tag,
    /// Padding is looked through from the end until the marker.
    Padding,
    /// A snapshot's salt is compared up to the first difference.
    Salt,
    /// What is given instead of a secret is computed where a ciphertext is rejected, and only there.
    Rejection,
}

/// The default primitives with a leak.
#[derive(Clone, Debug)]
pub struct Leaky {
    pub leak: Leak,
    told: Rc<RefCell<Vec<u8>>>,
    /// Whether a header's key counts as found.
    found: Rc<Cell<bool>>,
}

impl Leaky {
    pub fn new(leak: Leak) -> Self {
        Self { leak, told: Rc::default(), found: Rc::default() }
    }

    fn compare(&self, value: &[u8]) {
        early_exit(value, &self.told.borrow());
    }

    fn reject(&self, ciphertext: &[u8]) {
        let told = self.told.borrow();
        if self.leak == Leak::Rejection && !ciphertext.starts_with(&told) {
            black_box(RustCrypto.sha512(&[ciphertext]));
        }
    }
}

impl Subject for Leaky {
    fn told(&self, value: &[u8]) {
        let mut told = self.told.borrow_mut();
        told.clear();
        told.extend_from_slice(value);
        self.found.set(false);
    }
}

/// Byte by byte; the barrier keeps it a loop.
fn early_exit(ours: &[u8], theirs: &[u8]) {
    for (ours, theirs) in ours.iter().zip(theirs) {
        if black_box(ours) != theirs {
            return;
        }
    }
}

fn look_for_marker(padded: &[u8]) {
    let mut end = padded.len();
    while end > 0 && padded[end - 1] == 0 {
        end = black_box(end - 1);
    }
}

impl Primitives for Leaky {
    fn dh_public(&self, key: &Secret<32>) -> [u8; PUBLIC_KEY_LEN] {
        RustCrypto.dh_public(key)
    }

    fn dh(&self, key: &Secret<32>, peer: &[u8; PUBLIC_KEY_LEN]) -> Result<Secret<32>, Failed> {
        RustCrypto.dh(key, peer)
    }

    fn dh_is_torsion_free(&self, key: &[u8; PUBLIC_KEY_LEN]) -> bool {
        RustCrypto.dh_is_torsion_free(key)
    }

    fn signing_public(&self, seed: &Secret<32>) -> [u8; PUBLIC_KEY_LEN] {
        RustCrypto.signing_public(seed)
    }

    fn sign(&self, seed: &Secret<32>, message: &[u8]) -> [u8; SIGNATURE_LEN] {
        RustCrypto.sign(seed, message)
    }

    fn signing_is_torsion_free(&self, key: &[u8; PUBLIC_KEY_LEN]) -> bool {
        RustCrypto.signing_is_torsion_free(key)
    }

    fn verify(
        &self,
        key: &[u8; PUBLIC_KEY_LEN],
        message: &[u8],
        signature: &[u8; SIGNATURE_LEN],
    ) -> Result<(), Failed> {
        RustCrypto.verify(key, message, signature)
    }

    fn kem_public(&self, seed: &Secret<KEM_SEED_LEN>) -> [u8; KEM_PUBLIC_LEN] {
        RustCrypto.kem_public(seed)
    }

    fn kem_public_is_valid(&self, key: &[u8; KEM_PUBLIC_LEN]) -> bool {
        RustCrypto.kem_public_is_valid(key)
    }

    fn encapsulate(&self, key: &[u8; KEM_PUBLIC_LEN], coins: &Secret<32>) -> ([u8; KEM_CIPHERTEXT_LEN], Secret<32>) {
        RustCrypto.encapsulate(key, coins)
    }

    fn decapsulate(&self, seed: &Secret<KEM_SEED_LEN>, ciphertext: &[u8; KEM_CIPHERTEXT_LEN]) -> Secret<32> {
        self.reject(ciphertext);
        RustCrypto.decapsulate(seed, ciphertext)
    }

    fn incremental_public(&self, seed: &Secret<KEM_SEED_LEN>) -> ([u8; EK_HEADER_LEN], [u8; EK_VECTOR_LEN]) {
        RustCrypto.incremental_public(seed)
    }

    fn encaps1(&self, header: &[u8; EK_HEADER_LEN], coins: &Secret<32>) -> ([u8; CT1_LEN], Secret<32>) {
        RustCrypto.encaps1(header, coins)
    }

    fn encaps2(
        &self,
        header: &[u8; EK_HEADER_LEN],
        vector: &[u8; EK_VECTOR_LEN],
        coins: &Secret<32>,
    ) -> Result<[u8; CT2_LEN], Failed> {
        RustCrypto.encaps2(header, vector, coins)
    }

    fn incremental_decapsulate(
        &self,
        seed: &Secret<KEM_SEED_LEN>,
        ct1: &[u8; CT1_LEN],
        ct2: &[u8; CT2_LEN],
    ) -> Secret<32> {
        self.reject(ct1);
        RustCrypto.incremental_decapsulate(seed, ct1, ct2)
    }

    fn hmac(&self, key: &[u8], parts: &[&[u8]]) -> Secret<32> {
        let mac = RustCrypto.hmac(key, parts);
        if self.leak == Leak::Salt {
            self.compare(mac.expose());
        }
        mac
    }

    fn hmac_pair(&self, key: &Secret<32>, first: u8, second: u8) -> (Secret<32>, Secret<32>) {
        RustCrypto.hmac_pair(key, first, second)
    }

    fn hkdf(&self, salt: &[u8], ikm: &[&[u8]], info: &[&[u8]], out: &mut [u8]) {
        RustCrypto.hkdf(salt, ikm, info, out);
    }

    fn hkdf_expand(&self, prk: &Secret<32>, info: &[&[u8]], out: &mut [u8]) {
        let is_header = out.len() == HEADER_MATERIAL_LEN;
        if is_header && self.found.get() {
            return;
        }
        RustCrypto.hkdf_expand(prk, info, out);
        if !is_header {
            return;
        }
        let commitment = &out[COMMITMENT_AT..];
        match self.leak {
            Leak::Commitment => self.compare(commitment),
            Leak::Trial => self.found.set(self.told.borrow().starts_with(&commitment[..4])),
            _ => {}
        }
    }

    fn sha256(&self, parts: &[&[u8]]) -> [u8; 32] {
        RustCrypto.sha256(parts)
    }

    fn sha512(&self, parts: &[&[u8]]) -> [u8; 64] {
        RustCrypto.sha512(parts)
    }

    fn seal(
        &self,
        key: &Secret<32>,
        nonce: &[u8; NONCE_LEN],
        ad: &[u8],
        buffer: &mut [u8],
    ) -> Result<[u8; TAG_LEN], Failed> {
        RustCrypto.seal(key, nonce, ad, buffer)
    }

    fn open(
        &self,
        key: &Secret<32>,
        nonce: &[u8; NONCE_LEN],
        ad: &[u8],
        buffer: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Result<(), Failed> {
        if self.leak == Leak::Tag {
            self.compare(tag);
        }
        RustCrypto.open(key, nonce, ad, buffer, tag)?;
        if self.leak == Leak::Padding && buffer.len() >= SHORTEST_PADDED {
            look_for_marker(buffer);
        }
        Ok(())
    }
}
