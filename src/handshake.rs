// SPDX-License-Identifier: MIT OR Apache-2.0
//! PQXDH (rev 3) with X25519 and ML-KEM-1024: initiator and responder.
//!
//! Steps are numbered `HS-I*` and `HS-R*` as in spec/protocol.md §6. The initiator's identity travels encrypted under a
//! key from DH3 and SS, so that the server does not learn it (difference D5).
//!
//! This module is not concerned with the storage and deletion of prekeys and with replay records; see `device`.

use crate::error::{AcceptError, InitiateError};
use crate::identity::{Identity, IdentityKeyPair};
use crate::labels;
use crate::prekeys::{Bundle, Prekey, PrekeyPair};
use crate::primitives::{Declassified, DhKeyPair, DhPublicKey, NONCE_LEN, Primitives, TAG_LEN, random_secret};
use crate::ratchet::double;
use crate::ratchet::triple::InitialKeys;
use crate::secret::Secret;
use crate::time::UnixSeconds;
use crate::wire::{
    ChunkSize, HANDSHAKE_CLEAR_LEN, HANDSHAKE_LEN, HANDSHAKE_ONE_TIME, HIDDEN_LEN, Handshake, Reader, TYPE_FIRST,
    VERSION, Writer,
};
use rand_core::CryptoRng;

/// F of PQXDH rev 3 §2.2: a prefix with which no encoding of a scalar or a point begins.
const F: [u8; 32] = [0xFF; 32];

/// The values on which both sides agree.
#[derive(Debug)]
pub(crate) struct Agreed {
    pub(crate) keys: InitialKeys,
    /// AD: a hash of everything that both sides must agree on.
    pub(crate) associated_data: [u8; 32],
    /// The session's id.
    pub(crate) id: [u8; 32],
    pub(crate) exporter: Secret<32>,
}

/// The initiator's result: the agreed values, and the bytes to repeat until the first reply.
#[derive(Debug)]
pub(crate) struct Initiated {
    pub(crate) agreed: Agreed,
    pub(crate) handshake: [u8; HANDSHAKE_LEN],
}

/// Performs the initiator's side with a bundle whose signatures were verified when it was parsed (HS-I1).
///
/// Not inlined: otherwise a caller that also creates the session would occupy this function's stack, 17 kB, until it
/// has sent.
#[inline(never)]
pub(crate) fn initiate<P: Primitives>(
    primitives: &P,
    local: &IdentityKeyPair,
    bundle: &Bundle,
    now: UnixSeconds,
    chunk_size: ChunkSize,
    rng: &mut impl CryptoRng,
) -> Result<Initiated, InitiateError> {
    primitives.step("HS-I2");
    bundle.check_expiry(now)?;
    let (remote, signed, one_time) = (bundle.identity(), bundle.signed_prekey(), bundle.one_time_prekey());

    primitives.step("HS-I3");
    let ephemeral = DhKeyPair::generate(primitives, rng);
    let roles = Roles {
        initiator: local.public(),
        responder: remote,
        ephemeral_key: &ephemeral.public,
        signed_prekey: signed.dh_key(),
        one_time_prekey: one_time.map(Prekey::dh_key),
    };
    if !roles.distinct() {
        return Err(InitiateError::Refused);
    }
    let kem_key = one_time.unwrap_or(signed).kem_key();
    let coins = random_secret(primitives, rng);
    let (kem_ciphertext, ss) = primitives.encapsulate(kem_key, &coins);

    primitives.step("HS-I4");
    let dh = |secret: &Secret<32>, public: &DhPublicKey| {
        primitives.dh(secret, public.as_bytes()).map_err(|_| InitiateError::Refused)
    };
    let dh1 = dh(local.dh_secret(), signed.dh_key())?;
    let dh2 = dh(&ephemeral.secret, remote.dh_key())?;
    let dh3 = dh(&ephemeral.secret, signed.dh_key())?;
    let dh4 = one_time.map(|prekey| dh(&ephemeral.secret, prekey.dh_key())).transpose()?;
    drop(ephemeral.secret);
    let sk = kdf(primitives, labels::PQXDH, [&dh1, &dh2, &dh3], dh4.as_ref(), &ss);

    primitives.step("HS-I5");
    let mut handshake = [0; HANDSHAKE_LEN];
    let (clear, hidden) = handshake.split_at_mut(HANDSHAKE_CLEAR_LEN);
    let mut writer = Writer::new(clear);
    writer
        .u8(TYPE_FIRST)
        .and_then(|()| writer.u32(signed.id()))
        .and_then(|()| writer.u8(one_time.map_or(0, |_| HANDSHAKE_ONE_TIME)))
        .and_then(|()| writer.u32(one_time.map_or(0, Prekey::id)))
        .and_then(|()| writer.put(ephemeral.public.as_bytes()))
        .and_then(|()| writer.put(&kem_ciphertext))
        .and_then(|()| writer.u8(chunk_size.code()))
        .map_err(|_| InitiateError::Refused)?;

    primitives.step("HS-I6");
    let (key, nonce) = hidden_identity_key(primitives, &dh3, &ss);
    let (body, end) = hidden.split_at_mut(HIDDEN_LEN);
    let mut writer = Writer::new(body);
    writer.u8(VERSION).and_then(|()| writer.put(&local.public().to_bytes())).map_err(|_| InitiateError::Refused)?;
    let tag = primitives.seal(&key, &nonce, clear, body).map_err(|_| InitiateError::Refused)?;
    end.copy_from_slice(&tag);

    primitives.step("HS-I7");
    let (clear, _) = handshake.split_at(HANDSHAKE_CLEAR_LEN);
    let identities = (local.public(), remote);
    let signed = signed.description().digest(primitives);
    let one_time = one_time.map(|prekey| prekey.description().digest(primitives));
    let associated_data = transcript(primitives, identities, clear, &signed, one_time.as_ref());
    let agreed = expand(primitives, &sk, associated_data);
    Ok(Initiated { agreed, handshake })
}

/// Performs the responder's side. It reads the device's keys and changes nothing: the device MUST NOT delete or store
/// anything before the first message is authenticated (attacks B6, B9).
pub(crate) fn respond<P: Primitives>(
    primitives: &P,
    local: &IdentityKeyPair,
    signed: &PrekeyPair,
    one_time: Option<&PrekeyPair>,
    handshake: &Handshake<'_>,
) -> Result<(Agreed, Identity), AcceptError> {
    primitives.step("HS-R2");
    let ephemeral_key = handshake.ephemeral_key;
    if !primitives.dh_is_torsion_free(ephemeral_key.as_bytes()) {
        return Err(AcceptError::Refused);
    }

    primitives.step("HS-R3");
    let dh = |secret: &Secret<32>, public: &DhPublicKey| {
        primitives.dh(secret, public.as_bytes()).map_err(|_| AcceptError::Refused)
    };
    let ss = primitives.decapsulate(&one_time.unwrap_or(signed).kem_seed, handshake.kem_ciphertext);
    let dh3 = dh(&signed.dh.secret, &ephemeral_key)?;

    primitives.step("HS-R4");
    let (key, nonce) = hidden_identity_key(primitives, &dh3, &ss);
    let mut hidden = *handshake.hidden;
    primitives
        .open(&key, &nonce, handshake.clear, &mut hidden, handshake.hidden_tag)
        .map_err(|_| AcceptError::Refused)?;
    primitives.declassify(Declassified::Identity, &mut hidden);
    let mut reader = Reader::new(&hidden);
    let (newest, identity) =
        reader.u8().and_then(|newest| Ok((newest, reader.array()?))).map_err(|_| AcceptError::Refused)?;
    if is_downgrade(VERSION, newest, signed.max_version) {
        return Err(AcceptError::Refused);
    }
    let remote = Identity::from_bytes(primitives, identity).map_err(|_| AcceptError::Refused)?;
    let roles = Roles {
        initiator: &remote,
        responder: local.public(),
        ephemeral_key: &ephemeral_key,
        signed_prekey: &signed.dh.public,
        one_time_prekey: one_time.map(|prekey| &prekey.dh.public),
    };
    if !roles.distinct() {
        return Err(AcceptError::Refused);
    }

    primitives.step("HS-R5");
    let dh1 = dh(&signed.dh.secret, remote.dh_key())?;
    let dh2 = dh(local.dh_secret(), &ephemeral_key)?;
    let dh4 = one_time.map(|prekey| dh(&prekey.dh.secret, &ephemeral_key)).transpose()?;
    let sk = kdf(primitives, labels::PQXDH, [&dh1, &dh2, &dh3], dh4.as_ref(), &ss);

    primitives.step("HS-R6");
    let identities = (&remote, local.public());
    let one_time = one_time.map(|prekey| prekey.digest);
    let associated_data = transcript(primitives, identities, handshake.clear, &signed.digest, one_time.as_ref());
    Ok((expand(primitives, &sk, associated_data), remote))
}

/// Returns whether a handshake of version `used` must be refused because both sides could have used a later one:
/// `initiator` is the initiator's newest version, from the sealed part, and `responder` the one that the signed prekey
/// stated. Version 0 does not exist.
const fn is_downgrade(used: u8, initiator: u8, responder: u8) -> bool {
    initiator < used || (initiator > used && responder > used)
}

/// The public keys of one handshake, by role.
struct Roles<'a> {
    initiator: &'a Identity,
    responder: &'a Identity,
    ephemeral_key: &'a DhPublicKey,
    signed_prekey: &'a DhPublicKey,
    one_time_prekey: Option<&'a DhPublicKey>,
}

impl Roles<'_> {
    /// Returns whether no key has two roles. This excludes a session with oneself and an ephemeral key that equals
    /// another party's long-term key (attacks B16, B17).
    fn distinct(&self) -> bool {
        let keys = [
            Some(self.initiator.dh_key()),
            Some(self.responder.dh_key()),
            Some(self.ephemeral_key),
            Some(self.signed_prekey),
            self.one_time_prekey,
        ];
        let present = || keys.iter().flatten().enumerate();
        let dh_distinct = present().all(|(i, a)| present().all(|(j, b)| i == j || a != b));
        dh_distinct && self.initiator.signing_key() != self.responder.signing_key()
    }
}

/// `KDF(KM)` of PQXDH rev 3 §2.2: HKDF(salt = 0, ikm = F || DH1 || DH2 || DH3 [|| DH4] || SS, info, 32).
fn kdf<P: Primitives>(
    primitives: &P,
    info: &[u8],
    [dh1, dh2, dh3]: [&Secret<32>; 3],
    dh4: Option<&Secret<32>>,
    ss: &Secret<32>,
) -> Secret<32> {
    let mut sk = Secret::zero();
    let dh4: &[u8] = dh4.map_or(&[], |dh4| dh4.expose());
    let ikm: [&[u8]; 6] = [&F, dh1.expose(), dh2.expose(), dh3.expose(), dh4, ss.expose()];
    primitives.hkdf(&[0; 32], &ikm, &[info], sk.expose_mut());
    sk
}

/// HKDF(salt = 0, ikm = F || DH3 || SS, info, 44): key and nonce that seal the initiator's identity. They are fresh,
/// because EK and SS are.
fn hidden_identity_key<P: Primitives>(
    primitives: &P,
    dh3: &Secret<32>,
    ss: &Secret<32>,
) -> (Secret<32>, [u8; NONCE_LEN]) {
    let mut material = Secret::<{ 32 + NONCE_LEN }>::zero();
    let ikm: [&[u8]; 3] = [&F, dh3.expose(), ss.expose()];
    primitives.hkdf(&[0; 32], &ikm, &[labels::HIDDEN_IDENTITY], material.expose_mut());
    material.split_key_nonce()
}

/// Expands SK under seven labels, each with AD, so that two sides that disagree about the transcript share no key. SK
/// itself has no other use.
pub(crate) fn expand<P: Primitives>(primitives: &P, sk: &Secret<32>, associated_data: [u8; 32]) -> Agreed {
    let labelled = |label: &[u8]| {
        let mut key = Secret::zero();
        primitives.hkdf_expand(sk, &[label, &associated_data], key.expose_mut());
        key
    };
    let keys = InitialKeys {
        double: double::InitialKeys {
            root_key: labelled(labels::SK_ROOT),
            initiator_header_key: labelled(labels::SK_HKA),
            responder_header_key: labelled(labels::SK_NHKB),
        },
        sparse: labelled(labels::SK_SPARSE),
        braid: labelled(labels::SK_BRAID),
    };
    let id = *labelled(labels::SK_ID).expose();
    Agreed { keys, associated_data, id, exporter: labelled(labels::SK_EXPORTER) }
}

/// AD: SHA-256 over label, suite, both identities (initiator's first), the handshake's clear part (type, ids, EK, CT,
/// chunk size), and the digests of the signed prekeys' descriptions. Every part except the last has a fixed width, and
/// the clear part's flag shows whether the last is present.
fn transcript<P: Primitives>(
    primitives: &P,
    (initiator, responder): (&Identity, &Identity),
    clear: &[u8],
    signed: &[u8; 32],
    one_time: Option<&[u8; 32]>,
) -> [u8; 32] {
    let one_time: &[u8] = one_time.map_or(&[], |digest| digest);
    let (initiator, responder) = (initiator.keys(), responder.keys());
    primitives.sha256(&[labels::TRANSCRIPT, labels::PQXDH, &initiator, &responder, clear, signed, one_time])
}

const _: () = assert!(HANDSHAKE_LEN == HANDSHAKE_CLEAR_LEN + HIDDEN_LEN + TAG_LEN);

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;
    use crate::prekeys::PrekeyKind;
    use crate::primitives::RustCrypto;
    use crate::test_support::hex;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};

    /// Known answers computed by a script that shares no code with this crate.
    /// HS-I4, HS-R5: SK.
    #[test]
    fn the_kdf_gives_the_known_answers_with_and_without_dh4() {
        let [dh1, dh2, dh3, ss, dh4] = [1, 2, 3, 4, 5].map(|byte| Secret::new([byte; 32]));
        let info = b"MyProtocol_CURVE25519_SHA-256_ML-KEM-1024";
        let sk = |dh4| kdf(&RustCrypto, info, [&dh1, &dh2, &dh3], dh4, &ss);
        assert_eq!(sk(None).expose(), &hex("56f9a2e0bbf00b65a4434f3736e468fd59d66dae40b726dfca1d8b1d912c15af"));
        assert_eq!(sk(Some(&dh4)).expose(), &hex("757348693a0a745d58f84d868c2131a30cc4fbee68d15d4b1083b3fe0f36ce65"));
    }

    /// HS-R4: a handshake of an old version is refused if both sides could have used a later one.
    #[test]
    fn a_downgrade_is_refused_and_nothing_else() {
        for (initiator, responder, refused) in
            [(1, 1, false), (2, 1, false), (1, 2, false), (2, 2, true), (3, 2, true), (255, 255, true), (0, 1, true)]
        {
            assert_eq!(is_downgrade(1, initiator, responder), refused, "{initiator} {responder}");
        }
        assert!(!is_downgrade(2, 2, 3) && is_downgrade(2, 1, 1) && is_downgrade(2, 3, 3));
    }

    /// HS-I5: the clear part, field by field. HS-I6: the identity is sealed under a key from DH3 and SS, with the clear
    /// part as associated data.
    #[test]
    fn a_handshake_is_the_clear_part_and_the_sealed_identity() {
        let (mut rng, now) = (ChaCha20Rng::seed_from_u64(5), UnixSeconds(0));
        let identity = |byte| {
            let [signing_seed, dh_secret] = [byte, byte + 1].map(|byte| Secret::new([byte; 32]));
            IdentityKeyPair::from_secrets(&RustCrypto, signing_seed, dh_secret)
        };
        let (alice, bob) = (identity(1), identity(3));
        let (signed, _) = PrekeyPair::generate(&RustCrypto, PrekeyKind::Signed, 0x0102_0304, UnixSeconds(9), &mut rng);
        let (one_time, _) =
            PrekeyPair::generate(&RustCrypto, PrekeyKind::OneTime, 0x0506_0708, UnixSeconds(9), &mut rng);
        let public = |pair: &PrekeyPair| pair.public(&RustCrypto, &bob);
        for (ids, one_time) in [([1, 2, 3, 4, 0, 0, 0, 0, 0], None), ([1, 2, 3, 4, 1, 5, 6, 7, 8], Some(&one_time))] {
            let bundle = Bundle::new(*bob.public(), public(&signed), one_time.map(public)).unwrap();
            for (code, chunk_size) in (0..).zip(ChunkSize::ALL) {
                let mut draws = rng.clone();
                let handshake = initiate(&RustCrypto, &alice, &bundle, now, chunk_size, &mut rng).unwrap().handshake;
                let [mut ek, mut coins] = [[0; 32]; 2];
                draws.fill_bytes(&mut ek);
                draws.fill_bytes(&mut coins);
                let [ek, coins] = [ek, coins].map(Secret::new);
                let kem_key = RustCrypto.kem_public(&one_time.unwrap_or(&signed).kem_seed);
                let (ct, ss) = RustCrypto.encapsulate(&kem_key, &coins);
                let clear = [&[0x11][..], &ids, &RustCrypto.dh_public(&ek), &ct, &[code]].concat();
                assert_eq!(handshake[..1_611], clear);

                let dh3 = RustCrypto.dh(&ek, signed.dh.public.as_bytes()).unwrap();
                let mut material = Secret::zero();
                let ikm: [&[u8]; 3] = [&[0xFF; 32], dh3.expose(), ss.expose()];
                RustCrypto.hkdf(&[0; 32], &ikm, &[b"noescrow-v1 hidden identity"], material.expose_mut());
                let (key, nonce) = material.split_key_nonce();
                let mut hidden = [&[1][..], &alice.public().to_bytes()].concat();
                let tag = RustCrypto.seal(&key, &nonce, &clear, &mut hidden).unwrap();
                assert_eq!(handshake[1_611..], [&hidden[..], &tag].concat());
            }
        }
    }
}
