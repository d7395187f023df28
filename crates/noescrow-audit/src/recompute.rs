// SPDX-License-Identifier: MIT OR Apache-2.0
//! Recomputes every operation with implementations that the device did not use, so that an audit need not trust the
//! recorder.
//!
//! X25519, Ed25519, HMAC, SHA-2 and AES-256-GCM come from AWS-LC (`aws-lc-rs`). HKDF is RFC 5869 written out over
//! AWS-LC's HMAC, because AWS-LC's own HKDF takes input keying material only in one piece. ML-KEM comes from `ml-kem`
//! of the RustCrypto project, because `aws-lc-rs` neither derives a key pair from a seed nor encapsulates with given
//! coins; noescrow's devices use libcrux, another code base.
//!
//! An operation must have exactly its fields, in the recorder's order: a field that is not recomputed would be trusted.
//! The computation is not constant-time, because a trace is not secret from its auditor.

use super::operation::{Field, Kind, Operation, Role};
use super::recent::Recent;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{self, X25519};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use aws_lc_rs::{digest, hmac};
use ml_kem::{Decapsulate, DecapsulationKey, EncapsulationKey, KeyExport, MlKem768, MlKem1024, Seed};

/// Bytes of the two parts of an ML-KEM-768 encapsulation key: ρ with the key's hash, and the vector.
const EK_HEADER_LEN: usize = 64;
const EK_VECTOR_LEN: usize = 1152;
/// Bytes of the two parts of an ML-KEM-768 ciphertext: the compressed vector, and the compressed polynomial.
const CT1_LEN: usize = 960;
const CT2_LEN: usize = 128;
/// Bytes of a block of HKDF-Expand's output, and of an HMAC.
const BLOCK_LEN: usize = 32;
/// The longest output of HKDF-Expand, in bytes (RFC 5869 §2.3).
const MAX_EXPAND_LEN: usize = 255 * BLOCK_LEN;

/// The result of recomputing an operation.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Recomputed {
    /// Every output follows from the inputs, or there is nothing to compute. For a sealing or an opening, this has the
    /// ciphertext without its tag: a trace does not hold it.
    Agrees(Option<Vec<u8>>),
    /// An output does not follow from the inputs, or a signature does not verify.
    Differs,
    /// No primitive does this: a field is missing, superfluous or of a wrong length, or these inputs have no output.
    Malformed(&'static str),
}

/// Recomputes the operations of one trace, in order: an operation may refer to associated data of an earlier one.
///
/// It keeps what the last 8,192 operations may be referred to for: at most 4,112 bytes of each, and no more than they
/// have in the trace.
#[derive(Clone, Debug, Default)]
pub struct Recomputer(Recent<Vec<u8>>);

impl Recomputer {
    /// At the beginning of a trace.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Recomputes the next operation's outputs from its inputs and compares them with the recorded ones.
    #[must_use]
    pub fn recompute(&mut self, operation: &Operation<'_>) -> Recomputed {
        let Self(recent) = self;
        recent.begin_operation();
        let outcome = outputs_agree(operation.kind, Fields(operation.fields), recent)
            .unwrap_or_else(|Impossible(what)| Recomputed::Malformed(what));
        // What does not agree is remembered no more than what was refused.
        if let Recomputed::Agrees(Some(ciphertext)) = &outcome {
            operation.inputs(Role::AssociatedData).for_each(|written| recent.remember(written, <[u8]>::to_vec));
            let tag = operation.fields.iter().find(|field| field.role == Role::Tag).map(|tag| tag.bytes);
            recent.remember_sealed(tag.unwrap_or_default(), ciphertext, <[u8]>::to_vec);
        }
        outcome
    }

    /// Calls `visit` with the next operation, in which associated data is whole if it is known.
    pub(crate) fn resolve(&mut self, operation: &Operation<'_>, visit: impl FnOnce(&Operation<'_>)) {
        match operation.kind {
            Kind::Seal | Kind::Open => drop(self.recompute(operation)),
            _ => self.0.begin_operation(),
        }
        let known = operation.input(Role::AssociatedDataReference).and_then(|reference| self.0.get(reference));
        let Some(known) = known else { return visit(operation) };
        let whole = |field: &Field<'_>| field.role == Role::AssociatedDataReference && !field.is_output;
        let resolved = Field { role: Role::AssociatedData, is_output: false, bytes: known };
        let fields: Vec<_> =
            operation.fields.iter().map(|field| if whole(field) { resolved } else { *field }).collect();
        visit(&Operation { fields: &fields, ..*operation });
    }
}

/// Recomputes an operation on its own. One that refers to another is malformed.
#[must_use]
pub fn recompute(operation: &Operation<'_>) -> Recomputed {
    Recomputer::new().recompute(operation)
}

fn outputs_agree(kind: Kind, fields: Fields<'_>, recent: &Recent<Vec<u8>>) -> Result<Recomputed, Impossible> {
    let agrees = match kind {
        Kind::Fresh | Kind::Given => fields.last_output(Role::Value).map(|_| true),
        Kind::Refused => fields.end().map(|()| true),
        Kind::DhPublic => dh_public(fields),
        Kind::Dh => dh(fields),
        Kind::SigningPublic => signing_public(fields),
        Kind::Sign => sign(fields),
        Kind::Verify => verify(fields),
        Kind::KemPublic => kem_public(fields),
        Kind::Encapsulate => encapsulate(fields),
        Kind::Decapsulate => decapsulate(fields),
        Kind::IncrementalPublic => incremental_public(fields),
        Kind::Encaps1 => encaps1(fields),
        Kind::Encaps2 => encaps2(fields),
        Kind::IncrementalDecapsulate => incremental_decapsulate(fields),
        Kind::Hmac => hmac_sha256(fields),
        Kind::Hkdf => hkdf(fields),
        Kind::HkdfExpand => hkdf_expand(fields),
        Kind::Sha256 => sha2(&digest::SHA256, fields),
        Kind::Sha512 => sha2(&digest::SHA512, fields),
        Kind::Seal => return seal(fields, recent),
        Kind::Open => return open(fields, recent),
    };
    agrees.map(|agrees| if agrees { Recomputed::Agrees(None) } else { Recomputed::Differs })
}

/// An operation that no device can perform, and why.
struct Impossible(&'static str);

/// The fields that have not been read yet.
struct Fields<'a>(&'a [Field<'a>]);

impl<'a> Fields<'a> {
    fn next(&mut self, role: Role, is_output: bool) -> Result<&'a [u8], Impossible> {
        match self.0.split_first() {
            Some((field, rest)) if field.role == role && field.is_output == is_output => {
                self.0 = rest;
                Ok(field.bytes)
            }
            _ => Err(Impossible("a field is missing or out of order")),
        }
    }

    fn input(&mut self, role: Role) -> Result<&'a [u8], Impossible> {
        self.next(role, false)
    }

    fn fixed<const N: usize>(&mut self, role: Role) -> Result<&'a [u8; N], Impossible> {
        self.input(role)?.try_into().map_err(|_| Impossible("a field of a wrong length"))
    }

    /// All next fields with this role.
    fn parts(&mut self, role: Role) -> &'a [Field<'a>] {
        let is_part = |field: &&Field<'_>| field.role == role && !field.is_output;
        let (parts, rest) = self.0.split_at(self.0.iter().take_while(is_part).count());
        self.0 = rest;
        parts
    }

    /// The only output, which must be the last field.
    fn last_output(mut self, role: Role) -> Result<&'a [u8], Impossible> {
        let output = self.next(role, true)?;
        self.end().map(|()| output)
    }

    fn end(&self) -> Result<(), Impossible> {
        if self.0.is_empty() { Ok(()) } else { Err(Impossible("a superfluous field, or one out of order")) }
    }
}

/// Whether a recorded output is the one computed.
fn same(recorded: &[u8], computed: &[u8]) -> Result<bool, Impossible> {
    if recorded.len() == computed.len() {
        Ok(recorded == computed)
    } else {
        Err(Impossible("an output of a wrong length"))
    }
}

fn dh_private(bytes: &[u8; 32]) -> Result<agreement::PrivateKey, Impossible> {
    agreement::PrivateKey::from_private_key(&X25519, bytes).map_err(|_| Impossible("not an X25519 private key"))
}

fn dh_public(mut fields: Fields<'_>) -> Result<bool, Impossible> {
    let private = dh_private(fields.fixed(Role::DhPrivate)?)?;
    let public = private.compute_public_key().map_err(|_| Impossible("not an X25519 public key"))?;
    same(fields.last_output(Role::DhPublic)?, public.as_ref())
}

fn dh(mut fields: Fields<'_>) -> Result<bool, Impossible> {
    let private = dh_private(fields.fixed(Role::DhPrivate)?)?;
    let public: &[u8; 32] = fields.fixed(Role::DhPublic)?;
    let recorded = fields.last_output(Role::DhShared)?;
    let public = agreement::UnparsedPublicKey::new(&X25519, public);
    agreement::agree(&private, public, Impossible("an all-zero shared secret"), |shared| same(recorded, shared))
}

fn signing_pair(seed: &[u8; 32]) -> Result<Ed25519KeyPair, Impossible> {
    Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| Impossible("not an Ed25519 seed"))
}

fn signing_public(mut fields: Fields<'_>) -> Result<bool, Impossible> {
    let pair = signing_pair(fields.fixed(Role::SigningSeed)?)?;
    same(fields.last_output(Role::SigningPublic)?, pair.public_key().as_ref())
}

fn sign(mut fields: Fields<'_>) -> Result<bool, Impossible> {
    let pair = signing_pair(fields.fixed(Role::SigningSeed)?)?;
    let message = fields.input(Role::Message)?;
    let signature = pair.try_sign(message).map_err(|_| Impossible("no Ed25519 signature"))?;
    same(fields.last_output(Role::Signature)?, signature.as_ref())
}

fn verify(mut fields: Fields<'_>) -> Result<bool, Impossible> {
    let public: &[u8; 32] = fields.fixed(Role::SigningPublic)?;
    let message = fields.input(Role::Message)?;
    let signature: &[u8; 64] = fields.fixed(Role::Signature)?;
    fields.end()?;
    Ok(UnparsedPublicKey::new(&ED25519, public).verify(message, signature).is_ok())
}

fn kem_seed(fields: &mut Fields<'_>) -> Result<Seed, Impossible> {
    let seed: &[u8; 64] = fields.fixed(Role::KemSeed)?;
    Ok((*seed).into())
}

fn kem_public(mut fields: Fields<'_>) -> Result<bool, Impossible> {
    let pair = DecapsulationKey::<MlKem1024>::from_seed(kem_seed(&mut fields)?);
    same(fields.last_output(Role::KemPublic)?, &pair.encapsulation_key().to_bytes())
}

fn encapsulate(mut fields: Fields<'_>) -> Result<bool, Impossible> {
    let public: &[u8; 1568] = fields.fixed(Role::KemPublic)?;
    let coins: &[u8; 32] = fields.fixed(Role::KemCoins)?;
    let recorded = fields.next(Role::KemCiphertext, true)?;
    let recorded_shared = fields.last_output(Role::KemShared)?;
    let public = EncapsulationKey::<MlKem1024>::new(&(*public).into())
        .map_err(|_| Impossible("an encapsulation key that fails the modulus check"))?;
    let (ciphertext, shared) = public.encapsulate_deterministic(&(*coins).into());
    Ok(same(recorded, &ciphertext)? & same(recorded_shared, &shared)?)
}

fn decapsulate(mut fields: Fields<'_>) -> Result<bool, Impossible> {
    let pair = DecapsulationKey::<MlKem1024>::from_seed(kem_seed(&mut fields)?);
    let ciphertext: &[u8; 1568] = fields.fixed(Role::KemCiphertext)?;
    same(fields.last_output(Role::KemShared)?, &pair.decapsulate(&(*ciphertext).into()))
}

/// `rho || H(ek)` and ek_vector of FIPS 203's `ek_vector || rho`.
fn incremental_public(mut fields: Fields<'_>) -> Result<bool, Impossible> {
    let pair = DecapsulationKey::<MlKem768>::from_seed(kem_seed(&mut fields)?);
    let key = pair.encapsulation_key().to_bytes();
    let (ek_vector, rho) = key.split_at_checked(EK_VECTOR_LEN).ok_or(Impossible("not an ML-KEM-768 key"))?;
    let header = [rho, digest::digest(&digest::SHA3_256, &key).as_ref()].concat();
    let recorded = fields.next(Role::EkHeader, true)?;
    Ok(same(recorded, &header)? & same(fields.last_output(Role::EkVector)?, ek_vector)?)
}

/// K = the first half of G(m || H(ek)) (FIPS 203, algorithm 17).
fn encaps1(mut fields: Fields<'_>) -> Result<bool, Impossible> {
    let header: &[u8; EK_HEADER_LEN] = fields.fixed(Role::EkHeader)?;
    let coins: &[u8; 32] = fields.fixed(Role::KemCoins)?;
    let (_, hash) = header.split_at(32);
    let both = digest::digest(&digest::SHA3_512, &[coins, hash].concat());
    let (shared, _) = both.as_ref().split_at_checked(32).ok_or(Impossible("no hash"))?;
    same(fields.last_output(Role::KemShared)?, shared)
}

fn encaps2(mut fields: Fields<'_>) -> Result<bool, Impossible> {
    let header: &[u8; EK_HEADER_LEN] = fields.fixed(Role::EkHeader)?;
    let ek_vector: &[u8; EK_VECTOR_LEN] = fields.fixed(Role::EkVector)?;
    let coins: &[u8; 32] = fields.fixed(Role::KemCoins)?;
    let (rho, hash) = header.split_at(32);
    let key = [&ek_vector[..], rho].concat();
    let recorded = [fields.next(Role::Ct1, true)?, fields.next(Role::Ct2, true)?];
    let recorded_shared = fields.last_output(Role::KemShared)?;
    if recorded.map(<[u8]>::len) != [CT1_LEN, CT2_LEN] {
        return Err(Impossible("an output of a wrong length"));
    }
    if digest::digest(&digest::SHA3_256, &key).as_ref() != hash {
        return Err(Impossible("a key whose hash is not the one in its header"));
    }
    let key = key.as_slice().try_into().map_err(|_| Impossible("not an ML-KEM-768 key"))?;
    let key = EncapsulationKey::<MlKem768>::new(&key)
        .map_err(|_| Impossible("an encapsulation key that fails the modulus check"))?;
    let (ciphertext, shared) = key.encapsulate_deterministic(&(*coins).into());
    Ok(same(&recorded.concat(), &ciphertext)? & same(recorded_shared, &shared)?)
}

fn incremental_decapsulate(mut fields: Fields<'_>) -> Result<bool, Impossible> {
    let pair = DecapsulationKey::<MlKem768>::from_seed(kem_seed(&mut fields)?);
    let ct1: &[u8; CT1_LEN] = fields.fixed(Role::Ct1)?;
    let ct2: &[u8; CT2_LEN] = fields.fixed(Role::Ct2)?;
    let ciphertext = [&ct1[..], ct2].concat();
    let ciphertext = ciphertext.as_slice().try_into().map_err(|_| Impossible("not an ML-KEM-768 ciphertext"))?;
    same(fields.last_output(Role::KemShared)?, &pair.decapsulate(&ciphertext))
}

fn hmac_of(key: &hmac::Key, parts: &[Field<'_>]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(part.bytes);
    }
    context.sign()
}

fn hmac_sha256(mut fields: Fields<'_>) -> Result<bool, Impossible> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, fields.input(Role::KdfKey)?);
    let computed = hmac_of(&key, fields.parts(Role::Context));
    same(fields.last_output(Role::KdfOutput)?, computed.as_ref())
}

/// HKDF-Extract (RFC 5869 §2.2), then expansion. An empty salt and one of zeros are the same HMAC key, as in the RFC.
fn hkdf(mut fields: Fields<'_>) -> Result<bool, Impossible> {
    let salt = hmac::Key::new(hmac::HMAC_SHA256, fields.input(Role::KdfKey)?);
    let pseudorandom_key = hmac_of(&salt, fields.parts(Role::KdfInput));
    expansion_agrees(pseudorandom_key.as_ref(), fields)
}

/// HKDF's pseudorandom key, which no recorded operation outputs. `None` for other operations.
pub(crate) fn extracted(operation: &Operation<'_>) -> Option<[u8; BLOCK_LEN]> {
    if operation.kind != Kind::Hkdf {
        return None;
    }
    let mut fields = Fields(operation.fields);
    let salt = hmac::Key::new(hmac::HMAC_SHA256, fields.input(Role::KdfKey).ok()?);
    hmac_of(&salt, fields.parts(Role::KdfInput)).as_ref().try_into().ok()
}

fn hkdf_expand(mut fields: Fields<'_>) -> Result<bool, Impossible> {
    let pseudorandom_key: &[u8; BLOCK_LEN] = fields.fixed(Role::KdfKey)?;
    expansion_agrees(pseudorandom_key, fields)
}

/// HKDF-Expand (RFC 5869 §2.3): `T(i) = HMAC(PRK, T(i - 1) || info || i)`, the last block truncated.
fn expansion_agrees(pseudorandom_key: &[u8], mut fields: Fields<'_>) -> Result<bool, Impossible> {
    let info = fields.parts(Role::Context);
    let recorded = fields.last_output(Role::KdfOutput)?;
    if recorded.len() > MAX_EXPAND_LEN {
        return Err(Impossible("more than HKDF outputs"));
    }
    let key = hmac::Key::new(hmac::HMAC_SHA256, pseudorandom_key);
    let mut previous: Option<hmac::Tag> = None;
    for (counter, recorded) in (1..=u8::MAX).zip(recorded.chunks(BLOCK_LEN)) {
        let mut context = hmac::Context::with_key(&key);
        context.update(previous.as_ref().map_or(&[], hmac::Tag::as_ref));
        for part in info {
            context.update(part.bytes);
        }
        context.update(&[counter]);
        let block = context.sign();
        if !block.as_ref().starts_with(recorded) {
            return Ok(false);
        }
        previous = Some(block);
    }
    Ok(true)
}

fn sha2(algorithm: &'static digest::Algorithm, mut fields: Fields<'_>) -> Result<bool, Impossible> {
    let mut context = digest::Context::new(algorithm);
    for part in fields.parts(Role::Context) {
        context.update(part.bytes);
    }
    same(fields.last_output(Role::Digest)?, context.finish().as_ref())
}

fn seal<'a>(mut fields: Fields<'a>, recent: &'a Recent<Vec<u8>>) -> Result<Recomputed, Impossible> {
    let aead = Aead::next(&mut fields, recent)?;
    let plaintext = fields.input(Role::Plaintext)?;
    let tag = fields.last_output(Role::Tag)?;
    aead.seals(plaintext, tag)
}

/// GCM's tag covers the ciphertext, so that a recomputed ciphertext with the recorded tag is the one that was opened.
fn open<'a>(mut fields: Fields<'a>, recent: &'a Recent<Vec<u8>>) -> Result<Recomputed, Impossible> {
    let aead = Aead::next(&mut fields, recent)?;
    let tag = fields.input(Role::Tag)?;
    let plaintext = fields.last_output(Role::Plaintext)?;
    aead.seals(plaintext, tag)
}

struct Aead<'a> {
    key: LessSafeKey,
    nonce: Nonce,
    associated_data: &'a [u8],
}

impl<'a> Aead<'a> {
    fn next(fields: &mut Fields<'a>, recent: &'a Recent<Vec<u8>>) -> Result<Self, Impossible> {
        let key: &[u8; 32] = fields.fixed(Role::AeadKey)?;
        let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| Impossible("not an AES-256 key"))?;
        let nonce: &[u8; 12] = fields.fixed(Role::Nonce)?;
        let associated_data = match fields.input(Role::AssociatedDataReference) {
            Ok(reference) => {
                recent.get(reference).ok_or(Impossible("a reference to associated data that is unknown"))?
            }
            Err(_) => fields.input(Role::AssociatedData)?,
        };
        Ok(Self { key: LessSafeKey::new(key), nonce: Nonce::assume_unique_for_key(*nonce), associated_data })
    }

    fn seals(self, plaintext: &[u8], recorded: &[u8]) -> Result<Recomputed, Impossible> {
        let mut buffer = plaintext.to_vec();
        let tag = self
            .key
            .seal_in_place_separate_tag(self.nonce, Aad::from(self.associated_data), &mut buffer)
            .map_err(|_| Impossible("more than AES-GCM can seal"))?;
        Ok(if same(recorded, tag.as_ref())? { Recomputed::Agrees(Some(buffer)) } else { Recomputed::Differs })
    }
}
