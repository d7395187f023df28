// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Tainted`]: the default primitives, with every secret marked when it is made and when it is used, and public values
//! marked as public. The protocol above and the primitives below are the shipped ones.

use crate::leaky::{self, Leak};
use crate::mark::{public, published};
use crate::marks::{Mark, Marks};
use noescrow::Secret;
use noescrow::primitives::{
    CT1_LEN, CT2_LEN, Declassified, EK_HEADER_LEN, EK_VECTOR_LEN, Failed, KEM_CIPHERTEXT_LEN, KEM_PUBLIC_LEN,
    KEM_SEED_LEN, NONCE_LEN, PUBLIC_KEY_LEN, Primitives, RustCrypto, SIGNATURE_LEN, TAG_LEN,
};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// How often each place was declassified.
pub type Declassifications = BTreeMap<Declassified, usize>;

/// Not built on `noescrow::hazmat::Intercepted`: that moves results once more, and moving or dropping a `Result` whose
/// verdict is still secret may compile to a branch, which valgrind would report as one of the primitives.
#[derive(Clone, Debug, Default)]
pub struct Tainted {
    pub leak: Leak,
    pub marks: Marks,
    pub declassified: Rc<RefCell<Declassifications>>,
    /// A place that is not declassified, to show that its declassification is needed.
    pub kept: Option<Declassified>,
}

impl Primitives for Tainted {
    fn fresh(&self, value: &[u8]) {
        self.marks.secret(Mark::Fresh, value);
    }

    fn declassify(&self, place: Declassified, value: &mut [u8]) {
        *self.declassified.borrow_mut().entry(place).or_default() += 1;
        if self.kept != Some(place) {
            public(value);
        }
    }

    fn dh_public(&self, key: &Secret<32>) -> [u8; PUBLIC_KEY_LEN] {
        self.marks.secret(Mark::DhPublicOfKey, key.expose());
        published(RustCrypto.dh_public(key))
    }

    fn dh(&self, key: &Secret<32>, peer: &[u8; PUBLIC_KEY_LEN]) -> Result<Secret<32>, Failed> {
        self.marks.secret(Mark::DhKey, key.expose());
        match self.leak {
            Leak::BranchOnKeyBit => leaky::branch_on_key_bit(key),
            Leak::VariableTimeModulo => leaky::variable_time_modulo(key),
            _ => {}
        }
        let mut shared = Secret::new([0; 32]);
        verdict(|| RustCrypto.dh(key, peer).map(|secret| *shared.expose_mut() = *secret.expose()))?;
        self.marks.secret(Mark::DhShared, shared.expose());
        if self.leak == Leak::EarlyExit {
            leaky::early_exit(shared.expose(), &[0; 32]);
        }
        Ok(shared)
    }

    fn dh_is_torsion_free(&self, key: &[u8; PUBLIC_KEY_LEN]) -> bool {
        RustCrypto.dh_is_torsion_free(key)
    }

    fn signing_public(&self, seed: &Secret<32>) -> [u8; PUBLIC_KEY_LEN] {
        self.marks.secret(Mark::SigningPublicOfSeed, seed.expose());
        published(RustCrypto.signing_public(seed))
    }

    fn sign(&self, seed: &Secret<32>, message: &[u8]) -> [u8; SIGNATURE_LEN] {
        self.marks.secret(Mark::SignSeed, seed.expose());
        published(RustCrypto.sign(seed, message))
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
        self.marks.secret(Mark::KemPublicOfSeed, seed.expose());
        published(RustCrypto.kem_public(seed))
    }

    fn kem_public_is_valid(&self, key: &[u8; KEM_PUBLIC_LEN]) -> bool {
        RustCrypto.kem_public_is_valid(key)
    }

    fn encapsulate(&self, key: &[u8; KEM_PUBLIC_LEN], coins: &Secret<32>) -> ([u8; KEM_CIPHERTEXT_LEN], Secret<32>) {
        self.marks.secret(Mark::EncapsulateCoins, coins.expose());
        let (ciphertext, shared) = RustCrypto.encapsulate(key, coins);
        self.marks.secret(Mark::EncapsulateShared, shared.expose());
        (published(ciphertext), shared)
    }

    fn decapsulate(&self, seed: &Secret<KEM_SEED_LEN>, ciphertext: &[u8; KEM_CIPHERTEXT_LEN]) -> Secret<32> {
        self.marks.secret(Mark::DecapsulateSeed, seed.expose());
        let shared = RustCrypto.decapsulate(seed, ciphertext);
        if self.leak == Leak::BranchOnRejection {
            leaky::branch_on_rejection(seed, ciphertext);
        }
        self.marks.secret(Mark::DecapsulateShared, shared.expose());
        shared
    }

    fn incremental_public(&self, seed: &Secret<KEM_SEED_LEN>) -> ([u8; EK_HEADER_LEN], [u8; EK_VECTOR_LEN]) {
        self.marks.secret(Mark::IncrementalPublicOfSeed, seed.expose());
        let (header, vector) = RustCrypto.incremental_public(seed);
        (published(header), published(vector))
    }

    fn encaps1(&self, header: &[u8; EK_HEADER_LEN], coins: &Secret<32>) -> ([u8; CT1_LEN], Secret<32>) {
        self.marks.secret(Mark::Encaps1Coins, coins.expose());
        let (ct1, shared) = RustCrypto.encaps1(header, coins);
        self.marks.secret(Mark::Encaps1Shared, shared.expose());
        (published(ct1), shared)
    }

    fn encaps2(
        &self,
        header: &[u8; EK_HEADER_LEN],
        vector: &[u8; EK_VECTOR_LEN],
        coins: &Secret<32>,
    ) -> Result<[u8; CT2_LEN], Failed> {
        self.marks.secret(Mark::Encaps2Coins, coins.expose());
        RustCrypto.encaps2(header, vector, coins).map(published)
    }

    fn incremental_decapsulate(
        &self,
        seed: &Secret<KEM_SEED_LEN>,
        ct1: &[u8; CT1_LEN],
        ct2: &[u8; CT2_LEN],
    ) -> Secret<32> {
        self.marks.secret(Mark::IncrementalDecapsulateSeed, seed.expose());
        let shared = RustCrypto.incremental_decapsulate(seed, ct1, ct2);
        self.marks.secret(Mark::IncrementalDecapsulateShared, shared.expose());
        shared
    }

    fn hmac(&self, key: &[u8], parts: &[&[u8]]) -> Secret<32> {
        self.marks.secret(Mark::HmacKey, key);
        RustCrypto.hmac(key, parts)
    }

    fn hmac_pair(&self, key: &Secret<32>, first: u8, second: u8) -> (Secret<32>, Secret<32>) {
        self.marks.secret(Mark::HmacPairKey, key.expose());
        if self.leak == Leak::SecretIndex {
            leaky::secret_index(key);
        }
        RustCrypto.hmac_pair(key, first, second)
    }

    /// Not the trait's default: the shipped code schedules the key once.
    fn with_hmac<R>(&self, key: &Secret<32>, f: impl FnOnce(&dyn Fn(&[&[u8]]) -> Secret<32>) -> R) -> R {
        self.marks.secret(Mark::HmacKey, key.expose());
        RustCrypto.with_hmac(key, f)
    }

    fn hkdf(&self, salt: &[u8], ikm: &[&[u8]], info: &[&[u8]], out: &mut [u8]) {
        self.marks.secret_unless_constant(Mark::HkdfSalt, salt);
        ikm.iter().for_each(|part| self.marks.secret_unless_constant(Mark::HkdfInput, part));
        RustCrypto.hkdf(salt, ikm, info, out);
    }

    fn hkdf_expand(&self, prk: &Secret<32>, info: &[&[u8]], out: &mut [u8]) {
        self.marks.secret(Mark::HkdfExpandPrk, prk.expose());
        RustCrypto.hkdf_expand(prk, info, out);
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
        self.marks.secret(Mark::SealKey, key.expose());
        self.marks.secret(Mark::SealNonce, nonce);
        self.marks.secret(Mark::SealPlaintext, buffer);
        let tag = RustCrypto.seal(key, nonce, ad, buffer);
        public(buffer);
        tag.map(published)
    }

    fn open(
        &self,
        key: &Secret<32>,
        nonce: &[u8; NONCE_LEN],
        ad: &[u8],
        buffer: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Result<(), Failed> {
        self.marks.secret(Mark::OpenKey, key.expose());
        self.marks.secret(Mark::OpenNonce, nonce);
        verdict(|| RustCrypto.open(key, nonce, ad, buffer, tag))?;
        self.marks.secret(Mark::OpenedPlaintext, buffer);
        if self.leak == Leak::PaddingStopsEarly {
            leaky::unpad(buffer);
        }
        Ok(())
    }
}

/// A primitive's verdict: it may be computed without a branch, and is then secret until it is declassified.
fn verdict(operation: impl FnOnce() -> Result<(), Failed>) -> Result<(), Failed> {
    let mut failed = [u8::from(operation().is_err())];
    public(&mut failed);
    if failed == [0] { Ok(()) } else { Err(Failed) }
}
