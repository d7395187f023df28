// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Recorder`]: primitives that perform every operation with the ones they wrap and write down what went in and what
//! came out.
//!
//! A recorder is another type than the default primitives. No feature, no global and no environment variable makes a
//! [`Session`](crate::Session) record: whoever wants a trace writes `session::Session<Recorder, _>`.

use super::operation::{Field, Kind, Role};
use super::trace::TraceWriter;
use crate::primitives::{
    CT1_LEN, CT2_LEN, EK_HEADER_LEN, EK_VECTOR_LEN, Failed, KEM_CIPHERTEXT_LEN, KEM_PUBLIC_LEN, KEM_SEED_LEN,
    NONCE_LEN, PUBLIC_KEY_LEN, Primitives, RustCrypto, SIGNATURE_LEN, TAG_LEN,
};
use crate::secret::Secret;
use core::fmt;
use std::boxed::Box;
use std::io::{self, Write};
use std::string::ToString;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec::Vec;

/// Bytes that a tape with a writer gathers before it writes them.
const BUFFER: usize = 1 << 16;

/// Where recorders write: one order of events for all who take part.
#[derive(Clone)]
pub struct Tape(Arc<Mutex<Inner>>);

struct Inner {
    trace: TraceWriter,
    writer: Option<Box<dyn Write + Send>>,
    /// Why the trace is not whole. Nothing is written after it: a trace with a hole might be read as another run's.
    failed: Option<io::Error>,
    operations: u64,
}

impl fmt::Debug for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tape")
    }
}

impl Default for Tape {
    fn default() -> Self {
        Self::in_memory()
    }
}

impl Tape {
    /// Keeps the trace in memory, for [`Tape::bytes`].
    #[must_use]
    pub fn in_memory() -> Self {
        Self::with(None)
    }

    /// Writes the trace to `writer` as it comes; holds 64 KiB and one operation of it at the most. What is left is
    /// written when the last of the tape's clones and recorders is dropped, but only [`flush`](Self::flush) tells
    /// whether all of it was.
    #[must_use]
    pub fn to_writer(writer: impl Write + Send + 'static) -> Self {
        Self::with(Some(Box::new(writer)))
    }

    fn with(writer: Option<Box<dyn Write + Send>>) -> Self {
        let inner = Inner { trace: TraceWriter::new(), writer, failed: None, operations: 0 };
        Self(Arc::new(Mutex::new(inner)))
    }

    /// The primitives of a device called `name`. `None` if 256 others take part already.
    #[must_use]
    pub fn device(&self, name: &str) -> Option<Recorder> {
        self.participant(name, false)
    }

    /// The primitives of a server: all that goes into its operations and comes out of them is known to it.
    #[must_use]
    pub fn server(&self, name: &str) -> Option<Recorder> {
        self.participant(name, true)
    }

    fn participant(&self, name: &str, is_server: bool) -> Option<Recorder> {
        let participant = self.lock().trace.participant(name, is_server)?;
        Some(Recorder { inner: RustCrypto, tape: self.clone(), participant, step: Arc::default() })
    }

    /// Operations so far.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// The trace so far; empty for a tape with a writer.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let inner = self.lock();
        if inner.writer.is_some() { Vec::new() } else { inner.trace.buffer.clone() }
    }

    /// Writes what is still in memory to the writer.
    ///
    /// # Errors
    /// The writer's first error since the tape began, on every call: the trace is not whole, and will not be.
    pub fn flush(&self) -> io::Result<()> {
        let mut inner = self.lock();
        inner.drain();
        inner.fallible(|writer| writer.flush());
        inner.failed.as_ref().map_or(Ok(()), |error| Err(io::Error::new(error.kind(), error.to_string())))
    }

    /// A writer that panicked has written nobody knows how much.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(|poisoned| {
            let mut inner = poisoned.into_inner();
            inner.failed.get_or_insert_with(|| io::Error::other("a writer panicked"));
            inner
        })
    }
}

impl Inner {
    fn drain(&mut self) {
        let mut bytes = core::mem::take(&mut self.trace.buffer);
        self.fallible(|writer| writer.write_all(&bytes));
        if self.writer.is_some() {
            bytes.clear();
            // A large attachment's operations leave no large buffer behind.
            bytes.shrink_to(2 * BUFFER);
        }
        self.trace.buffer = bytes;
    }

    /// Does something with the writer, if there is one and it has not failed.
    fn fallible(&mut self, act: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
        if let (Some(writer), None) = (&mut self.writer, &self.failed) {
            self.failed = act(writer).err();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.drain();
        self.fallible(|writer| writer.flush());
    }
}

/// Primitives that write down what they do. Clones write to the same tape as the same participant.
#[derive(Clone)]
pub struct Recorder {
    inner: RustCrypto,
    tape: Tape,
    participant: u8,
    step: Arc<Mutex<&'static str>>,
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recorder of participant {}", self.participant)
    }
}

impl Recorder {
    /// Writes down a secret that comes from outside the protocol: a storage key, a foreign handshake's secret. A secret
    /// of which nobody says where it came from is a finding.
    pub fn given(&self, secret: &[u8]) {
        self.write(Kind::Given, &[(Role::Value, true, secret)]);
    }

    fn write(&self, kind: Kind, fields: &[(Role, bool, &[u8])]) {
        self.write_parts(kind, fields.iter().copied());
    }

    fn write_parts<'a>(&self, kind: Kind, fields: impl Iterator<Item = (Role, bool, &'a [u8])> + Clone) {
        let step = *self.step.lock().unwrap_or_else(PoisonError::into_inner);
        let fields = fields.map(|(role, is_output, bytes)| Field { role, is_output, bytes });
        let mut inner = self.tape.lock();
        inner.trace.operation(self.participant, step, kind, fields);
        inner.operations = inner.operations.saturating_add(1);
        if inner.writer.is_some() && inner.trace.buffer.len() >= BUFFER {
            inner.drain();
        }
    }

    fn refused(&self) {
        self.write(Kind::Refused, &[]);
    }
}

const IN: bool = false;
const OUT: bool = true;

fn parts<'a>(role: Role, parts: &'a [&'a [u8]]) -> impl Iterator<Item = (Role, bool, &'a [u8])> + Clone {
    parts.iter().map(move |part| (role, IN, *part))
}

fn one(role: Role, is_output: bool, bytes: &[u8]) -> impl Iterator<Item = (Role, bool, &[u8])> + Clone {
    core::iter::once((role, is_output, bytes))
}

impl Primitives for Recorder {
    fn step(&self, label: &'static str) {
        *self.step.lock().unwrap_or_else(PoisonError::into_inner) = label;
    }

    fn fresh(&self, value: &[u8]) {
        self.inner.fresh(value);
        self.write(Kind::Fresh, &[(Role::Value, OUT, value)]);
    }

    fn dh_public(&self, secret: &Secret<32>) -> [u8; PUBLIC_KEY_LEN] {
        let public = self.inner.dh_public(secret);
        self.write(Kind::DhPublic, &[(Role::DhPrivate, IN, secret.expose()), (Role::DhPublic, OUT, &public)]);
        public
    }

    fn dh(&self, secret: &Secret<32>, public: &[u8; PUBLIC_KEY_LEN]) -> Result<Secret<32>, Failed> {
        let shared = self.inner.dh(secret, public).inspect_err(|_| self.refused())?;
        let fields = [
            (Role::DhPrivate, IN, &secret.expose()[..]),
            (Role::DhPublic, IN, public),
            (Role::DhShared, OUT, shared.expose()),
        ];
        self.write(Kind::Dh, &fields);
        Ok(shared)
    }

    fn dh_is_torsion_free(&self, public: &[u8; PUBLIC_KEY_LEN]) -> bool {
        self.inner.dh_is_torsion_free(public)
    }

    fn signing_public(&self, seed: &Secret<32>) -> [u8; PUBLIC_KEY_LEN] {
        let public = self.inner.signing_public(seed);
        self.write(Kind::SigningPublic, &[(Role::SigningSeed, IN, seed.expose()), (Role::SigningPublic, OUT, &public)]);
        public
    }

    fn sign(&self, seed: &Secret<32>, message: &[u8]) -> [u8; SIGNATURE_LEN] {
        let signature = self.inner.sign(seed, message);
        let fields = [
            (Role::SigningSeed, IN, &seed.expose()[..]),
            (Role::Message, IN, message),
            (Role::Signature, OUT, &signature),
        ];
        self.write(Kind::Sign, &fields);
        signature
    }

    fn signing_is_torsion_free(&self, public: &[u8; PUBLIC_KEY_LEN]) -> bool {
        self.inner.signing_is_torsion_free(public)
    }

    fn verify(
        &self,
        public: &[u8; PUBLIC_KEY_LEN],
        message: &[u8],
        signature: &[u8; SIGNATURE_LEN],
    ) -> Result<(), Failed> {
        self.inner.verify(public, message, signature).inspect_err(|_| self.refused())?;
        let fields =
            [(Role::SigningPublic, IN, &public[..]), (Role::Message, IN, message), (Role::Signature, IN, signature)];
        self.write(Kind::Verify, &fields);
        Ok(())
    }

    fn kem_public(&self, seed: &Secret<KEM_SEED_LEN>) -> [u8; KEM_PUBLIC_LEN] {
        let public = self.inner.kem_public(seed);
        self.write(Kind::KemPublic, &[(Role::KemSeed, IN, seed.expose()), (Role::KemPublic, OUT, &public)]);
        public
    }

    fn kem_public_is_valid(&self, public: &[u8; KEM_PUBLIC_LEN]) -> bool {
        self.inner.kem_public_is_valid(public)
    }

    fn encapsulate(&self, public: &[u8; KEM_PUBLIC_LEN], coins: &Secret<32>) -> ([u8; KEM_CIPHERTEXT_LEN], Secret<32>) {
        let (ciphertext, shared) = self.inner.encapsulate(public, coins);
        let fields = [
            (Role::KemPublic, IN, &public[..]),
            (Role::KemCoins, IN, coins.expose()),
            (Role::KemCiphertext, OUT, &ciphertext),
            (Role::KemShared, OUT, shared.expose()),
        ];
        self.write(Kind::Encapsulate, &fields);
        (ciphertext, shared)
    }

    fn decapsulate(&self, seed: &Secret<KEM_SEED_LEN>, ciphertext: &[u8; KEM_CIPHERTEXT_LEN]) -> Secret<32> {
        let shared = self.inner.decapsulate(seed, ciphertext);
        let fields = [
            (Role::KemSeed, IN, &seed.expose()[..]),
            (Role::KemCiphertext, IN, ciphertext),
            (Role::KemShared, OUT, shared.expose()),
        ];
        self.write(Kind::Decapsulate, &fields);
        shared
    }

    fn incremental_public(&self, seed: &Secret<KEM_SEED_LEN>) -> ([u8; EK_HEADER_LEN], [u8; EK_VECTOR_LEN]) {
        let (header, ek_vector) = self.inner.incremental_public(seed);
        let fields = [
            (Role::KemSeed, IN, &seed.expose()[..]),
            (Role::EkHeader, OUT, &header),
            (Role::EkVector, OUT, &ek_vector),
        ];
        self.write(Kind::IncrementalPublic, &fields);
        (header, ek_vector)
    }

    fn encaps1(&self, header: &[u8; EK_HEADER_LEN], coins: &Secret<32>) -> ([u8; CT1_LEN], Secret<32>) {
        let (ct1, shared) = self.inner.encaps1(header, coins);
        let fields = [
            (Role::EkHeader, IN, &header[..]),
            (Role::KemCoins, IN, coins.expose()),
            (Role::KemShared, OUT, shared.expose()),
        ];
        self.write(Kind::Encaps1, &fields);
        (ct1, shared)
    }

    fn encaps2(
        &self,
        header: &[u8; EK_HEADER_LEN],
        ek_vector: &[u8; EK_VECTOR_LEN],
        coins: &Secret<32>,
    ) -> Result<[u8; CT2_LEN], Failed> {
        let ct2 = self.inner.encaps2(header, ek_vector, coins).inspect_err(|_| self.refused())?;
        let (ct1, shared) = self.inner.encaps1(header, coins);
        let fields = [
            (Role::EkHeader, IN, &header[..]),
            (Role::EkVector, IN, ek_vector),
            (Role::KemCoins, IN, coins.expose()),
            (Role::Ct1, OUT, &ct1),
            (Role::Ct2, OUT, &ct2),
            (Role::KemShared, OUT, shared.expose()),
        ];
        self.write(Kind::Encaps2, &fields);
        Ok(ct2)
    }

    fn incremental_decapsulate(
        &self,
        seed: &Secret<KEM_SEED_LEN>,
        ct1: &[u8; CT1_LEN],
        ct2: &[u8; CT2_LEN],
    ) -> Secret<32> {
        let shared = self.inner.incremental_decapsulate(seed, ct1, ct2);
        let fields = [
            (Role::KemSeed, IN, &seed.expose()[..]),
            (Role::Ct1, IN, ct1),
            (Role::Ct2, IN, ct2),
            (Role::KemShared, OUT, shared.expose()),
        ];
        self.write(Kind::IncrementalDecapsulate, &fields);
        shared
    }

    fn hmac(&self, key: &[u8], message: &[&[u8]]) -> Secret<32> {
        let output = self.inner.hmac(key, message);
        let fields = one(Role::KdfKey, IN, key).chain(parts(Role::Context, message)).chain(one(
            Role::KdfOutput,
            OUT,
            output.expose(),
        ));
        self.write_parts(Kind::Hmac, fields);
        output
    }

    fn hmac_pair(&self, key: &Secret<32>, first: u8, second: u8) -> (Secret<32>, Secret<32>) {
        let (one, two) = self.inner.hmac_pair(key, first, second);
        for (byte, output) in [(first, &one), (second, &two)] {
            let fields = [
                (Role::KdfKey, IN, &key.expose()[..]),
                (Role::Context, IN, &[byte]),
                (Role::KdfOutput, OUT, output.expose()),
            ];
            self.write(Kind::Hmac, &fields);
        }
        (one, two)
    }

    fn hkdf(&self, salt: &[u8], ikm: &[&[u8]], info: &[&[u8]], out: &mut [u8]) {
        self.inner.hkdf(salt, ikm, info, out);
        let fields = one(Role::KdfKey, IN, salt)
            .chain(parts(Role::KdfInput, ikm))
            .chain(parts(Role::Context, info))
            .chain(one(Role::KdfOutput, OUT, out));
        self.write_parts(Kind::Hkdf, fields);
    }

    fn hkdf_expand(&self, prk: &Secret<32>, info: &[&[u8]], out: &mut [u8]) {
        self.inner.hkdf_expand(prk, info, out);
        let fields =
            one(Role::KdfKey, IN, prk.expose()).chain(parts(Role::Context, info)).chain(one(Role::KdfOutput, OUT, out));
        self.write_parts(Kind::HkdfExpand, fields);
    }

    fn sha256(&self, message: &[&[u8]]) -> [u8; 32] {
        let digest = self.inner.sha256(message);
        self.write_parts(Kind::Sha256, parts(Role::Context, message).chain(one(Role::Digest, OUT, &digest)));
        digest
    }

    fn sha512(&self, message: &[&[u8]]) -> [u8; 64] {
        let digest = self.inner.sha512(message);
        self.write_parts(Kind::Sha512, parts(Role::Context, message).chain(one(Role::Digest, OUT, &digest)));
        digest
    }

    fn seal(
        &self,
        key: &Secret<32>,
        nonce: &[u8; NONCE_LEN],
        ad: &[u8],
        buffer: &mut [u8],
    ) -> Result<[u8; TAG_LEN], Failed> {
        let plaintext = buffer.to_vec();
        let tag = self.inner.seal(key, nonce, ad, buffer).inspect_err(|_| self.refused())?;
        let fields = [
            (Role::AeadKey, IN, &key.expose()[..]),
            (Role::Nonce, IN, nonce),
            (Role::AssociatedData, IN, ad),
            (Role::Plaintext, IN, &plaintext),
            (Role::Tag, OUT, &tag),
        ];
        self.write(Kind::Seal, &fields);
        Ok(tag)
    }

    fn open(
        &self,
        key: &Secret<32>,
        nonce: &[u8; NONCE_LEN],
        ad: &[u8],
        buffer: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Result<(), Failed> {
        self.inner.open(key, nonce, ad, buffer, tag).inspect_err(|_| self.refused())?;
        let fields = [
            (Role::AeadKey, IN, &key.expose()[..]),
            (Role::Nonce, IN, nonce),
            (Role::AssociatedData, IN, ad),
            (Role::Tag, IN, tag),
            (Role::Plaintext, OUT, buffer),
        ];
        self.write(Kind::Open, &fields);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
