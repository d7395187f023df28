// SPDX-License-Identifier: MIT OR Apache-2.0
//! Identity keys and the safety number that two people compare.
//!
//! Here IK consists of two keys: an Ed25519 signing key certifies an X25519 key for Diffie-Hellman, so that no key has
//! two roles (difference D1 in spec/protocol.md). AD and the safety number cover both.

use crate::error::{DecodeError, SafetyNumberError};
use crate::labels;
use crate::primitives::{DhKeyPair, DhPublicKey, PUBLIC_KEY_LEN, Primitives, SIGNATURE_LEN, random_secret};
use crate::secret::Secret;
use crate::wire::{IDENTITY_LEN, Reader};
use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use rand_core::CryptoRng;
use subtle::ConstantTimeEq;

/// Length in bytes of both public keys of an identity, as they enter AD and the safety number.
pub(crate) const IDENTITY_KEYS_LEN: usize = 2 * PUBLIC_KEY_LEN;

/// A public identity, IK: a signing key and the DH key that it certifies. 128 bytes encoded.
///
/// Every value is verified: its certificate was checked, and both keys are canonical and of prime order.
///
/// To recognize a person, compare the signing key and the DH key, the first 64 bytes, as the safety number does. Do not
/// compare the certificate: an owner can make another one for the same keys, so that `==`, hashes, the order and the 128
/// bytes may differ.
///
/// # Security
/// An identity that comes from a restored session was verified when the session began, and not again when it was
/// restored: the seal of the snapshot or rows authenticates it. Whoever has the storage key can forge it, and can read
/// and replace every other secret of the session as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    signing_key: [u8; PUBLIC_KEY_LEN],
    dh_key: DhPublicKey,
    certificate: [u8; SIGNATURE_LEN],
}

impl Identity {
    /// Parses and verifies an identity (ID-1).
    ///
    /// # Errors
    /// [`DecodeError::Refused`] if a key is not canonical, has low order or a torsion component, or if the certificate
    /// does not verify (attacks A1, A3, A4, A6).
    pub fn from_bytes<P: Primitives>(primitives: &P, bytes: &[u8; IDENTITY_LEN]) -> Result<Self, DecodeError> {
        primitives.step("ID-1");
        let mut reader = Reader::new(bytes);
        let signing_key = *reader.array()?;
        let dh_key = reader.dh_public()?;
        let certificate = *reader.array()?;
        reader.finish()?;
        let valid =
            primitives.signing_is_torsion_free(&signing_key) && primitives.dh_is_torsion_free(dh_key.as_bytes());
        if !valid {
            return Err(DecodeError::Refused);
        }
        primitives.verify(&signing_key, &certified(&dh_key), &certificate).map_err(|_| DecodeError::Refused)?;
        Ok(Self { signing_key, dh_key, certificate })
    }

    /// Reads an identity from a session's stored state: the DH key is a key's encoding, and nothing else is checked
    /// (SN-2.12). ID-1 was performed when the session began, and whoever can change a sealed state has the storage key,
    /// and with it every secret of the session.
    pub(crate) fn load(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { signing_key: *reader.array()?, dh_key: reader.dh_public()?, certificate: *reader.array()? })
    }

    /// Returns the encoding, 128 bytes: signing key (32), DH key (32), certificate (64).
    #[must_use]
    pub fn to_bytes(&self) -> [u8; IDENTITY_LEN] {
        let mut bytes = [0; IDENTITY_LEN];
        let (keys, certificate) = bytes.split_at_mut(IDENTITY_KEYS_LEN);
        keys.copy_from_slice(&self.keys());
        certificate.copy_from_slice(&self.certificate);
        bytes
    }

    /// Returns both public keys, 64 bytes, as AD and the safety number cover them.
    pub(crate) fn keys(&self) -> [u8; IDENTITY_KEYS_LEN] {
        let mut keys = [0; IDENTITY_KEYS_LEN];
        let (signing, dh) = keys.split_at_mut(PUBLIC_KEY_LEN);
        signing.copy_from_slice(&self.signing_key);
        dh.copy_from_slice(self.dh_key.as_bytes());
        keys
    }

    /// Returns the Ed25519 key that signs prekeys.
    #[must_use]
    pub const fn signing_key(&self) -> &[u8; PUBLIC_KEY_LEN] {
        &self.signing_key
    }

    /// Returns the X25519 key of the handshake.
    #[must_use]
    pub const fn dh_key(&self) -> &DhPublicKey {
        &self.dh_key
    }
}

/// Returns the bytes that the signing key signs to certify the DH key: `label || suite || DH key`.
fn certified(dh_key: &DhPublicKey) -> [u8; CERTIFIED_LEN] {
    let mut bytes = [0; CERTIFIED_LEN];
    let (label, rest) = bytes.split_at_mut(labels::IDENTITY_CERTIFICATE.len());
    let (suite, key) = rest.split_at_mut(labels::PQXDH.len());
    label.copy_from_slice(labels::IDENTITY_CERTIFICATE);
    suite.copy_from_slice(labels::PQXDH);
    key.copy_from_slice(dh_key.as_bytes());
    bytes
}

const CERTIFIED_LEN: usize = labels::IDENTITY_CERTIFICATE.len() + labels::PQXDH.len() + PUBLIC_KEY_LEN;

/// IK with its private keys. They leave the device only in a sealed snapshot.
#[derive(Debug)]
pub(crate) struct IdentityKeyPair {
    signing_seed: Secret<32>,
    dh: DhKeyPair,
    public: Identity,
}

impl IdentityKeyPair {
    pub(crate) fn generate<P: Primitives>(primitives: &P, rng: &mut impl CryptoRng) -> Self {
        let signing_seed = random_secret(primitives, rng);
        let dh_secret = random_secret(primitives, rng);
        Self::from_secrets(primitives, signing_seed, dh_secret)
    }

    pub(crate) fn from_secrets<P: Primitives>(primitives: &P, signing_seed: Secret<32>, dh_secret: Secret<32>) -> Self {
        let dh = DhKeyPair::from_secret(primitives, dh_secret);
        let certificate = primitives.sign(&signing_seed, &certified(&dh.public));
        let signing_key = primitives.signing_public(&signing_seed);
        let public = Identity { signing_key, dh_key: dh.public, certificate };
        Self { signing_seed, dh, public }
    }

    pub(crate) const fn signing_seed(&self) -> &Secret<32> {
        &self.signing_seed
    }

    pub(crate) const fn dh_secret(&self) -> &Secret<32> {
        &self.dh.secret
    }

    pub(crate) const fn public(&self) -> &Identity {
        &self.public
    }
}

/// Iterations of SHA-512 per fingerprint, as in libsignal (rust/protocol/src/fingerprint.rs). They stretch a second
/// preimage by 12 bits.
const FINGERPRINT_ITERATIONS: usize = 5200;
/// Version of the fingerprint: two bytes of the hash input and the first byte of the QR form.
const FINGERPRINT_VERSION: u8 = 0;
/// Type byte before the two keys. libsignal has 0x05 there, before its one key.
const FINGERPRINT_KEY_TYPE: u8 = 0x4E;
/// Length in bytes of a safety number's QR form: version (1), local fingerprint (32), remote fingerprint (32).
pub const SAFETY_NUMBER_LEN: usize = 1 + 32 + 32;

/// A number that two people compare to make sure that nobody intercepts their conversation: 60 digits to read aloud, or
/// 65 bytes to scan.
///
/// The number covers both public keys of both identities and nothing that a server supplied (the flaw of Telegram's
/// secret chats in 2013, attack B18). The method is that of libsignal's numeric fingerprint
/// (rust/protocol/src/fingerprint.rs), with two keys instead of one (ID-2, and difference D2 in spec/protocol.md).
#[derive(Clone, Copy, Debug)]
pub struct SafetyNumber {
    local: [u8; 32],
    remote: [u8; 32],
}

impl SafetyNumber {
    /// Computes the number for two identities. Each comes with an identifier that both sides know and write in the same
    /// way, such as a telephone number, or with an empty one. The cost is 10,400 SHA-512 compressions, about 2 ms.
    #[must_use]
    pub fn new<P: Primitives>(primitives: &P, local: (&Identity, &[u8]), remote: (&Identity, &[u8])) -> Self {
        primitives.step("ID-2");
        let of = |(identity, id): (&Identity, &[u8])| {
            fingerprint(primitives, &[&[FINGERPRINT_KEY_TYPE], &identity.keys()], id)
        };
        Self { local: of(local), remote: of(remote) }
    }

    /// Returns the form for a QR code, 65 bytes: version (1), local fingerprint (32), remote fingerprint (32).
    #[must_use]
    pub fn to_bytes(&self) -> [u8; SAFETY_NUMBER_LEN] {
        let mut bytes = [FINGERPRINT_VERSION; SAFETY_NUMBER_LEN];
        let [_, fingerprints @ ..] = &mut bytes;
        let (local, remote) = fingerprints.split_at_mut(32);
        local.copy_from_slice(&self.local);
        remote.copy_from_slice(&self.remote);
        bytes
    }

    /// Parses what [`to_bytes`](Self::to_bytes) returned. To compare with what was scanned from the other side's screen,
    /// use [`verify_scanned`](Self::verify_scanned).
    ///
    /// # Errors
    /// [`DecodeError::Refused`] for another version.
    pub fn from_bytes(bytes: &[u8; SAFETY_NUMBER_LEN]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        match reader.u8()? {
            FINGERPRINT_VERSION => Ok(Self { local: *reader.array()?, remote: *reader.array()? }),
            _ => Err(DecodeError::Refused),
        }
    }

    /// Compares this number with the bytes scanned from the other side's screen, whose local fingerprint is our remote
    /// one and vice versa.
    ///
    /// # Errors
    /// [`SafetyNumberError::Malformed`] for another length or version, [`SafetyNumberError::Mismatch`] if a key
    /// differs.
    ///
    /// # Leaks
    /// Whether the numbers are equal. The time does not depend on the position of a difference.
    pub fn verify_scanned(&self, scanned: &[u8]) -> Result<(), SafetyNumberError> {
        let mut reader = Reader::new(scanned);
        let (version, theirs, ours) = (|| Ok((reader.u8()?, reader.array::<32>()?, reader.array::<32>()?)))()
            .map_err(|_: DecodeError| SafetyNumberError::Malformed)?;
        reader.finish().map_err(|_| SafetyNumberError::Malformed)?;
        if version != FINGERPRINT_VERSION {
            return Err(SafetyNumberError::Malformed);
        }
        let equal = theirs.ct_eq(&self.remote) & ours.ct_eq(&self.local);
        if bool::from(equal) { Ok(()) } else { Err(SafetyNumberError::Mismatch) }
    }

    /// Returns the 60 digits: the 30 digits of each side, the smaller first, so that both sides read the same number.
    #[must_use]
    pub fn digits(&self) -> [u8; 60] {
        let (local, remote) = (thirty_digits(&self.local), thirty_digits(&self.remote));
        let (first, second) = if local <= remote { (local, remote) } else { (remote, local) };
        let mut digits = [0; 60];
        let (low, high) = digits.split_at_mut(30);
        low.copy_from_slice(&first);
        high.copy_from_slice(&second);
        digits
    }
}

impl PartialEq for SafetyNumber {
    /// Returns whether both numbers have the same digits, in constant time.
    fn eq(&self, other: &Self) -> bool {
        self.digits().ct_eq(&other.digits()).into()
    }
}

impl Eq for SafetyNumber {}

/// The order of the digits. Unlike `==`, it takes a time that depends on them, which are public.
impl Ord for SafetyNumber {
    fn cmp(&self, other: &Self) -> Ordering {
        self.digits().cmp(&other.digits())
    }
}

impl PartialOrd for SafetyNumber {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Hashes the digits, which both sides' numbers share.
impl Hash for SafetyNumber {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digits().hash(state);
    }
}

impl fmt::Display for SafetyNumber {
    /// Writes twelve groups of five digits, as they are read aloud.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, group) in self.digits().chunks(5).enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            for digit in group {
                write!(f, "{}", char::from(*digit))?;
            }
        }
        Ok(())
    }
}

/// h = SHA-512(version as two bytes || IK || id || IK), then 5,199 times h = SHA-512(h || IK). The result is its first
/// 32 bytes.
fn fingerprint<P: Primitives>(primitives: &P, key: &[&[u8]; 2], id: &[u8]) -> [u8; 32] {
    let [kind, keys] = *key;
    let mut hash = primitives.sha512(&[&[0, FINGERPRINT_VERSION], kind, keys, id, kind, keys]);
    for _ in 1..FINGERPRINT_ITERATIONS {
        hash = primitives.sha512(&[&hash, kind, keys]);
    }
    let [first @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] =
        hash;
    first
}

/// Converts six 5-byte big-endian integers mod 100,000 to 5 digits each.
fn thirty_digits(fingerprint: &[u8; 32]) -> [u8; 30] {
    let mut digits = [0; 30];
    for (out, chunk) in digits.chunks_exact_mut(5).zip(fingerprint.chunks_exact(5)) {
        let mut number = chunk.iter().fold(0u64, |number, byte| (number << 8) | u64::from(*byte));
        for digit in out.iter_mut().rev() {
            let low = u8::try_from(number % 10).unwrap_or_default();
            *digit = b'0'.saturating_add(low);
            number /= 10;
        }
    }
    digits
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::primitives::RustCrypto;
    use crate::test_support::hex;
    use std::string::ToString;

    /// The known answer of libsignal's form with one key (rust/protocol/src/fingerprint.rs). The method is the same;
    /// only the key bytes differ.
    /// ID-2: fingerprint, digits and their groups.
    #[test]
    fn the_method_gives_the_known_answer_for_one_key() {
        let alice: [u8; 33] = hex("0506863bc66d02b40d27b8d49ca7c09e9239236f9d7d25d6fcca5ce13c7064d868");
        let bob: [u8; 33] = hex("05f781b6fb32fed9ba1cf2de978d4d5da28dc34046ae814402b5c0dbd96fda907b");
        let local = fingerprint(&RustCrypto, &[&alice[..1], &alice[1..]], b"+14152222222");
        let remote = fingerprint(&RustCrypto, &[&bob[..1], &bob[1..]], b"+14153333333");
        let number = SafetyNumber { local, remote };
        assert_eq!(&number.digits(), b"300354477692869396892869876765458257569162576843440918079131");
        let grouped = number.to_string();
        assert_eq!(grouped, "30035 44776 92869 39689 28698 76765 45825 75691 62576 84344 09180 79131");
    }

    /// ID-1.
    #[test]
    fn an_identity_parses_back_and_every_flipped_bit_is_refused() {
        let pair = IdentityKeyPair::from_secrets(&RustCrypto, Secret::new([1; 32]), Secret::new([2; 32]));
        let bytes = pair.public().to_bytes();
        for at in 0..IDENTITY_LEN {
            let mut bad = bytes;
            bad[at] ^= 1 << (at % 8);
            assert!(Identity::from_bytes(&RustCrypto, &bad).is_err(), "{at}");
        }
        assert_eq!(&Identity::from_bytes(&RustCrypto, &bytes).unwrap(), pair.public());
    }

    #[test]
    fn a_safety_number_covers_both_keys_of_both_sides_and_the_ids() {
        let make = |a: u8, b: u8| {
            *IdentityKeyPair::from_secrets(&RustCrypto, Secret::new([a; 32]), Secret::new([b; 32])).public()
        };
        let (alice, bob) = (make(1, 2), make(3, 4));
        let number = |a, b| SafetyNumber::new(&RustCrypto, a, b);
        let genuine = number((&alice, b"a"), (&bob, b"b"));
        assert_eq!(genuine, number((&bob, b"b"), (&alice, b"a")), "both read the same digits");
        assert_eq!(genuine.verify_scanned(&number((&bob, b"b"), (&alice, b"a")).to_bytes()), Ok(()));
        for other in [
            number((&make(9, 4), b"b"), (&alice, b"a")),
            number((&make(3, 9), b"b"), (&alice, b"a")),
            number((&bob, b"x"), (&alice, b"a")),
            number((&bob, b"b"), (&make(1, 9), b"a")),
        ] {
            assert_ne!(genuine, other);
            assert_eq!(genuine.verify_scanned(&other.to_bytes()), Err(SafetyNumberError::Mismatch));
        }
        // A user's own code, scanned from the user's own screen, is not the other side's.
        assert_eq!(genuine.verify_scanned(&genuine.to_bytes()), Err(SafetyNumberError::Mismatch));
        assert_eq!(genuine.verify_scanned(&[0; 64]), Err(SafetyNumberError::Malformed));
        assert_eq!(genuine.verify_scanned(&[1; 65]), Err(SafetyNumberError::Malformed));
    }
}
