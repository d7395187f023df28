// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Recorder`]: primitives that perform every operation with the default ones and record its inputs and outputs; and
//! noescrow's [`profile`] for the audit.
//!
//! A recorder is another type than the default primitives. No feature, no global and no environment variable makes a
//! [`Session`](noescrow::Session) record: a program that wants a trace uses `Session<Recorder>`.
//!
//! ```
//! use noescrow::error::AcceptError;
//! use noescrow::{Bundle, Device, InitiateOptions, Session, UnixSeconds};
//! use noescrow_audit::{Audit, Evidence, Outcome, Tape};
//! use noescrow_recorder::{Recorder, profile};
//! # use rand_chacha::rand_core::SeedableRng;
//! # let mut rng = rand_chacha::ChaCha20Rng::seed_from_u64(0);
//! # let now = UnixSeconds(0);
//! let tape = Tape::in_memory();
//! let mut bob = Device::<Recorder>::generate_with(Recorder::device(&tape, "Bob")?, now, &mut rng);
//! let alice = Device::<Recorder>::generate_with(Recorder::device(&tape, "Alice")?, now, &mut rng);
//!
//! let mut wire = Vec::new(); // everything that the server sees
//! let mut published = bob.publish(1, now, &mut rng)?;
//! let bundle = Bundle::new(published.identity, published.signed_prekey, published.one_time_prekeys.pop())?;
//! wire.extend(bundle.to_bytes());
//! let (session, hello) = alice.initiate(bundle, b"hi Bob, a secret", InitiateOptions::unverified(now), &mut rng)?;
//! wire.extend(&hello);
//! let (_, opened) = bob.open(&hello)?.accept(b"").map_err(AcceptError::from)?;
//!
//! let verdict = Audit::of(profile(), &tape)?.server_saw("wire", &wire).verdict();
//! assert!(verdict.holds(), "{verdict}");
//!
//! // The same server with a log that should not exist.
//! let audit = Audit::of(profile(), &tape)?.server_saw("wire", &wire).server_saw("log", b"got: hi Bob, a secret");
//! // Nothing that others wrote is in the evidence, so that a part of a text there has leaked.
//! assert_eq!(audit.known(Evidence::new()).verdict().outcome, Outcome::Finding);
//! # let _: (Session<Recorder>, _) = (session, opened);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use core::fmt;
use noescrow::Secret;
use noescrow::primitives::{
    CT1_LEN, CT2_LEN, EK_HEADER_LEN, EK_VECTOR_LEN, Failed, KEM_CIPHERTEXT_LEN, KEM_PUBLIC_LEN, KEM_SEED_LEN,
    NONCE_LEN, PUBLIC_KEY_LEN, Primitives, RustCrypto, SIGNATURE_LEN, TAG_LEN,
};
use noescrow_audit::{Field, Kind, Profile, Role, Sealed, Tape, TooManyParticipants, Track};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// noescrow's profile for the audit, in JSON: labels, layouts of KDF outputs, fields of stored states.
pub const PROFILE: &str = include_str!("../profile.json");

/// noescrow's profile for the audit.
///
/// # Panics
/// Never: [`PROFILE`] is a constant, and tests of this crate read it.
#[must_use]
#[allow(clippy::expect_used, reason = "the profile is a constant of this crate, which tests read")]
pub fn profile() -> Profile {
    static READ: LazyLock<Profile> =
        LazyLock::new(|| Profile::from_json(PROFILE.as_bytes()).expect("the profile is valid"));
    READ.clone()
}

/// Primitives that record what they do. Clones record on the same tape as the same participant.
#[derive(Clone)]
pub struct Recorder {
    inner: RustCrypto,
    track: Track,
    step: Arc<Mutex<&'static str>>,
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recorder of participant {}", self.track.number())
    }
}

impl Recorder {
    /// The primitives of a device called `name`, which record on `tape`.
    ///
    /// # Errors
    /// [`TooManyParticipants`] if there are 256 already.
    pub fn device(tape: &Tape, name: &str) -> Result<Self, TooManyParticipants> {
        tape.device(name).map(Self::on)
    }

    /// The primitives of a server called `name`. A server knows all inputs and outputs of its operations.
    ///
    /// # Errors
    /// [`TooManyParticipants`] if there are 256 already.
    pub fn server(tape: &Tape, name: &str) -> Result<Self, TooManyParticipants> {
        tape.server(name).map(Self::on)
    }

    fn on(track: Track) -> Self {
        Self { inner: RustCrypto, track, step: Arc::default() }
    }

    /// Records a secret that comes from outside the protocol: a storage key, the secret of another handshake. A secret
    /// that is used without a known origin is a finding.
    pub fn given(&self, secret: &[u8]) {
        self.write(Kind::Given, &[(Role::Value, true, secret)]);
    }

    fn write(&self, kind: Kind, fields: &[(Role, bool, &[u8])]) {
        self.write_parts(kind, fields.iter().copied());
    }

    fn write_parts<'a>(&self, kind: Kind, fields: impl Iterator<Item = (Role, bool, &'a [u8])> + Clone) {
        self.track.record(
            self.current_step(),
            kind,
            fields.map(|(role, is_output, bytes)| Field { role, is_output, bytes }),
        );
    }

    fn current_step(&self) -> &'static str {
        *self.step.lock().unwrap_or_else(PoisonError::into_inner)
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
        let sealed = Sealed {
            key: key.expose(),
            nonce,
            associated_data: ad,
            plaintext: &plaintext,
            ciphertext: buffer,
            tag: &tag,
        };
        self.track.sealed(self.current_step(), &sealed);
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
        let ciphertext = buffer.to_vec();
        self.inner.open(key, nonce, ad, buffer, tag).inspect_err(|_| self.refused())?;
        let opened =
            Sealed { key: key.expose(), nonce, associated_data: ad, plaintext: buffer, ciphertext: &ciphertext, tag };
        self.track.opened(self.current_step(), &opened);
        Ok(())
    }
}
