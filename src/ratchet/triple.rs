// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Triple Ratchet (Double Ratchet rev 4 §6): the Double Ratchet with header encryption and the Sparse Post-Quantum
//! Ratchet side by side, a message's key from both.
//!
//! The whole composite header lies inside the sealed header, so that the server sees neither ratchet. A message changes
//! neither half's state unless both have a key for it and it opened under the two together. Steps are numbered as in
//! spec/protocol.md §9 and §14: `DR-*` of the Double Ratchet, `SP-*` of the sparse one, `TR-1` where they join.
//!
//! Where one half is broken the other one holds: the message key is HKDF(salt = pq_mk, ikm = ec_mk). A post-quantum half
//! that has failed ends the session: it never goes on with the classical half alone.

use super::braid::message::Message;
use super::chain::MessageKey;
use super::double::{self, DoubleRatchet};
use super::header::SealedHeader;
use super::skipped::SkippedKeyStore;
use super::sparse::{self, Direction, SparseHeader, SparseRatchet};
use crate::error::{DecodeError, DecryptError, EncryptError};
use crate::labels;
use crate::primitives::{DhKeyPair, DhPublicKey, NONCE_LEN, Primitives};
use crate::secret::Secret;
use crate::wire::{BEFORE_HEADER_LEN, ChunkSize, DoubleHeader, Full, MAX_SEALED_HEADER_LEN, Reader, SALT_LEN, Writer};
use rand_core::CryptoRng;

/// What both sides have after the handshake: the labelled expansions of SK.
#[derive(Debug)]
pub(crate) struct InitialKeys {
    pub(crate) double: double::InitialKeys,
    /// The sparse ratchet's secret.
    pub(crate) sparse: Secret<32>,
    /// The Braid's authenticator's.
    pub(crate) braid: Secret<32>,
}

/// Both ratchets of a session.
#[derive(Debug)]
pub(crate) struct TripleRatchet<S> {
    pub(crate) chunk_size: ChunkSize,
    pub(crate) double: DoubleRatchet<S>,
    pub(crate) sparse: SparseRatchet<S>,
}

/// What one message is sealed or opened with, once: AES-256-GCM's key and nonce.
pub(crate) type AeadKey = (Secret<32>, [u8; NONCE_LEN]);

/// What one message is opened with, and what becomes of the state if it opens.
#[derive(Debug)]
pub(crate) struct Incoming<S> {
    pub(crate) aead_key: AeadKey,
    double: double::Incoming<S>,
    sparse: sparse::Incoming<S>,
}

/// A message's header in the clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) double: DoubleHeader,
    pub(crate) sparse: SparseHeader,
    /// The epoch whose root its sender mixed into its next header key, when it made this chain.
    pub(crate) mixed_epoch: u32,
}

impl Header {
    /// DR-E3: `ratchet key || PN || N || message of the Braid || n || age`, where age is how many epochs the mixed root
    /// lies before the message's chain.
    pub(crate) fn write(&self, chunk_size: ChunkSize, writer: &mut Writer<'_>) -> Result<(), Full> {
        self.double.write(writer)?;
        self.sparse.message.write(chunk_size, writer)?;
        writer.u32(self.sparse.number)?;
        let age = self.sparse.message.epoch.before().saturating_sub(self.mixed_epoch);
        writer.u8(u8::try_from(age).map_err(|_| Full)?)
    }

    /// DR-D3. The age is 0 or 1: within one of its chains a sender's epoch advances at most once, because more takes a
    /// message of the peer's that answers this chain, and that ends it. [`TripleRatchet::receive`] holds a peer to it.
    pub(crate) fn parse(chunk_size: ChunkSize, bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let double = DoubleHeader::parse(&mut reader)?;
        let message = Message::parse(chunk_size, &mut reader)?;
        let number = reader.u32()?;
        let age = u32::from(reader.flag()?);
        reader.finish()?;
        let mixed_epoch = message.epoch.before().checked_sub(age).ok_or(DecodeError::Refused)?;
        Ok(Self { double, sparse: SparseHeader { message, number }, mixed_epoch })
    }
}

/// TR-1, `KDF_HYBRID`: AEAD key and nonce = HKDF(salt = pq_mk, ikm = ec_mk, info, 44).
fn kdf_hybrid<P: Primitives>(primitives: &P, ec_mk: &MessageKey, pq_mk: &MessageKey) -> AeadKey {
    primitives.step("TR-1");
    let mut material = Secret::<{ 32 + NONCE_LEN }>::zero();
    primitives.hkdf(pq_mk.0.expose(), &[ec_mk.0.expose()], &[labels::MESSAGE], material.expose_mut());
    material.split_key_nonce()
}

impl<S: SkippedKeyStore> TripleRatchet<S> {
    /// The side that sends first.
    pub(crate) fn initiator<P: Primitives>(
        primitives: &P,
        keys: InitialKeys,
        signed_prekey: DhPublicKey,
        chunk_size: ChunkSize,
    ) -> Self {
        let sparse = SparseRatchet::new(primitives, Direction::A2B, &keys.sparse, &keys.braid, chunk_size);
        Self { chunk_size, double: DoubleRatchet::initiator(keys.double, signed_prekey), sparse }
    }

    /// The side that receives first.
    pub(crate) fn responder<P: Primitives>(
        primitives: &P,
        keys: InitialKeys,
        signed_prekey: DhKeyPair,
        chunk_size: ChunkSize,
    ) -> Self {
        let sparse = SparseRatchet::new(primitives, Direction::B2A, &keys.sparse, &keys.braid, chunk_size);
        Self { chunk_size, double: DoubleRatchet::responder(keys.double, signed_prekey), sparse }
    }

    /// `TripleRatchetEncrypt` up to the message's key (DR-E1 to DR-E3, TR-1): `sealed`, of
    /// [`sealed_header_len`](ChunkSize::sealed_header_len) bytes, becomes the sealed header.
    ///
    /// # Errors
    /// All are found before anything changes.
    pub(crate) fn send<P: Primitives>(
        &mut self,
        primitives: &P,
        outer: u8,
        sealed: &mut [u8],
        rng: &mut impl CryptoRng,
    ) -> Result<AeadKey, EncryptError> {
        self.sparse.check_sending()?;
        self.double.check_sending()?;
        if sealed.len() != self.chunk_size.sealed_header_len() {
            return Err(EncryptError::BufferTooShort);
        }
        let in_the_clear = sealed
            .get_mut(BEFORE_HEADER_LEN..)
            .and_then(|rest| rest.get_mut(..self.chunk_size.header_len()))
            .ok_or(EncryptError::BufferTooShort)?;

        // All is drawn before anything changes: a generator can fail in one way only, by a panic (attack C26).
        let mut salt = [0; SALT_LEN];
        rng.fill_bytes(&mut salt);
        primitives.fresh(&salt);
        let (mixed_epoch, header_secret) = self.sparse.sending_header_secret().ok_or(EncryptError::Abandoned)?;
        let step = self.double.step_if_due(primitives, mixed_epoch, header_secret, rng)?;
        let (sparse, post_quantum) = self.sparse.send(primitives, rng)?;
        if let Some(step) = step {
            self.double.take(step);
        }
        let double::Outgoing { header: double, mixed_epoch, message_key } = self.double.send(primitives)?;
        let header = Header { double, sparse, mixed_epoch };
        header.write(self.chunk_size, &mut Writer::new(in_the_clear)).map_err(|_| EncryptError::BufferTooShort)?;
        self.double.seal_header(primitives, outer, &salt, sealed).ok_or(EncryptError::BufferTooShort)?;
        Ok(kdf_hybrid(primitives, &message_key, &post_quantum))
    }

    /// `TripleRatchetDecrypt` up to the message's key (DR-D2 to DR-D7, TR-1); changes nothing.
    ///
    /// # Errors
    /// [`DecryptError`]; `Abandoned` for ever once the post-quantum half has failed.
    ///
    /// # Leaks
    /// Which chain the header opened under, how many messages were skipped, and the Braid's state.
    pub(crate) fn receive<P: Primitives>(
        &self,
        primitives: &P,
        outer: u8,
        sealed: &SealedHeader<'_>,
    ) -> Result<Incoming<S>, DecryptError> {
        if self.sparse.is_dead() {
            return Err(DecryptError::Abandoned);
        }
        let mut bytes = [0; MAX_SEALED_HEADER_LEN];
        let bytes = bytes.get_mut(..self.chunk_size.header_len()).ok_or(DecryptError::Refused)?;
        let under = self.double.open_header(primitives, outer, sealed, bytes)?;
        primitives.step("DR-D3");
        let header = Header::parse(self.chunk_size, bytes).map_err(|_| DecryptError::Refused)?;
        self.sparse.check_receiving(&header.sparse, self.double.is_new(under, &header.double))?;
        let header_secret = self.sparse.header_secret(header.mixed_epoch);
        let double = self.double.receive(primitives, under, &header.double, header_secret)?;
        let sparse = self.sparse.receive(primitives, &header.sparse)?;
        // Twice within one of our chains the sending epoch advances only for a peer that has that chain and does not answer it
        // with a step: the age of what its step mixed would go beyond 1.
        let is_behind = self.double.mixed_epoch() < self.sparse.sending_epoch();
        if sparse.advances() && !double.is_step() && self.double.mixed_epoch().is_some() && is_behind {
            return Err(DecryptError::Refused);
        }
        let aead_key = kdf_hybrid(primitives, &double.message_key, &sparse.message_key);
        Ok(Incoming { aead_key, double, sparse })
    }

    /// The initiator from its first message to the first answer.
    pub(crate) const fn has_only_sent(&self) -> bool {
        matches!(self.sparse.direction, Direction::A2B) && self.double.has_only_sent()
    }

    /// DR-D9: the message has been authenticated; the changes of both halves are stored. If it made the Braid fail, nothing of
    /// either half is left.
    pub(crate) fn commit<P: Primitives>(&mut self, primitives: &P, incoming: Incoming<S>) {
        self.double.commit(primitives, incoming.double);
        self.sparse.commit(primitives, incoming.sparse);
        if self.sparse.is_dead() {
            self.double.wipe();
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::primitives::RustCrypto;
    use crate::ratchet::braid::Epoch;
    use crate::ratchet::braid::message::Payload;
    use crate::ratchet::skipped::Heap;
    use crate::test_hex::hex;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;
    use std::vec;
    use std::vec::Vec;

    /// SPECS §17's arithmetic, HKDF(salt = pq_mk, ikm = ec_mk, info, 32), and that this is ours with our label and length.
    #[test]
    fn kdf_hybrid_gives_the_known_answer() {
        let (pq_mk, ec_mk) = (MessageKey(Secret::new([0x66; 32])), MessageKey(Secret::new([0x77; 32])));
        let hkdf = |salt: &MessageKey, ikm: &MessageKey, info: &[u8]| {
            let mut out = [0; 44];
            RustCrypto.hkdf(salt.0.expose(), &[ikm.0.expose()], &[info], &mut out);
            out
        };
        let known = hkdf(&pq_mk, &ec_mk, b"MyProtocol_TripleRatchet");
        assert_eq!(known[..32], hex::<32>("4459477a8228ff6d26d46f2be8d5e4233ce2de83c43794484133a4da245a78db"));
        let (key, nonce) = kdf_hybrid(&RustCrypto, &ec_mk, &pq_mk);
        let ours = hkdf(&pq_mk, &ec_mk, labels::MESSAGE);
        assert_eq!((&key.expose()[..], &nonce[..]), ours.split_at(32));
        // Control: the halves exchanged.
        assert_ne!(hkdf(&ec_mk, &pq_mk, labels::MESSAGE), ours);
    }

    #[test]
    fn a_composite_header_has_one_spelling_and_a_length_that_does_not_depend_on_what_is_in_it() {
        let mut ratchet_key = [0; 32];
        ratchet_key[0] = 9;
        let ratchet_key = DhPublicKey::from_bytes(ratchet_key).unwrap();
        for chunk_size in ChunkSize::ALL {
            let header = Header {
                double: DoubleHeader { ratchet_key, previous_chain_length: 3, number: 4 },
                sparse: SparseHeader {
                    message: Message { epoch: Epoch::new(7).unwrap(), payload: Payload::None },
                    number: 5,
                },
                mixed_epoch: 5,
            };
            let mut bytes = vec![0; chunk_size.header_len()];
            let mut writer = Writer::new(&mut bytes);
            header.write(chunk_size, &mut writer).unwrap();
            assert_eq!(writer.written(), chunk_size.header_len());
            assert_eq!(Header::parse(chunk_size, &bytes), Ok(header));
            assert!(Header::parse(chunk_size, &bytes[1..]).is_err());
            bytes.push(0);
            assert!(Header::parse(chunk_size, &bytes).is_err());
            bytes.pop();
            // An age of two; an epoch before the first.
            *bytes.last_mut().unwrap() = 2;
            assert!(Header::parse(chunk_size, &bytes).is_err());
            *bytes.last_mut().unwrap() = 1;
            bytes[41..45].copy_from_slice(&1u32.to_be_bytes());
            assert!(Header::parse(chunk_size, &bytes).is_err());
        }
    }

    type Ratchet = TripleRatchet<Heap>;

    fn keys() -> InitialKeys {
        let key = |byte| Secret::new([byte; 32]);
        let double =
            double::InitialKeys { root_key: key(1), initiator_header_key: key(2), responder_header_key: key(3) };
        InitialKeys { double, sparse: key(4), braid: key(5) }
    }

    fn pair(chunk_size: ChunkSize) -> (Ratchet, Ratchet) {
        let prekey = DhKeyPair::from_secret(&RustCrypto, Secret::new([6; 32]));
        let initiator = Ratchet::initiator(&RustCrypto, keys(), prekey.public, chunk_size);
        (initiator, Ratchet::responder(&RustCrypto, keys(), prekey, chunk_size))
    }

    fn send(ratchet: &mut Ratchet, rng: &mut ChaCha20Rng) -> Vec<u8> {
        let mut sealed = vec![0; ratchet.chunk_size.sealed_header_len()];
        ratchet.send(&RustCrypto, 0x12, &mut sealed, rng).map(drop).unwrap();
        sealed
    }

    fn receive(ratchet: &mut Ratchet, sealed: &[u8]) -> Result<(), DecryptError> {
        let incoming = ratchet.receive(&RustCrypto, 0x12, &SealedHeader::parse(sealed).unwrap())?;
        ratchet.commit(&RustCrypto, incoming);
        Ok(())
    }

    fn stored(ratchet: &Ratchet) -> Vec<u8> {
        let mut bytes = vec![0; ratchet.stored_len()];
        let mut writer = Writer::new(&mut bytes);
        ratchet.store(&mut writer).unwrap();
        assert_eq!(writer.written(), ratchet.stored_len());
        bytes
    }

    fn loaded(bytes: &[u8]) -> Result<Ratchet, DecodeError> {
        let mut reader = Reader::new(bytes);
        let ratchet = Ratchet::load(&RustCrypto, &mut reader)?;
        reader.finish().map(|()| ratchet)
    }

    /// Attack C20, on both halves: a peer that hears our chain and never answers it with a step. It may delay the healing, and
    /// no more: our state can be stored and read at every time, and nothing that we say outgrows its place.
    #[test]
    fn c20_a_peer_that_never_steps_cannot_advance_the_epoch_twice_in_one_chain() {
        let mut rng = ChaCha20Rng::seed_from_u64(20);
        let (mut mallory, mut bob) = pair(ChunkSize::Bytes256);
        receive(&mut bob, &send(&mut mallory, &mut rng)).unwrap();
        // Two Double Ratchets: one goes on sending on its first chain, the other one receives.
        let mut sender = loaded(&stored(&mallory)).unwrap().double;
        receive(&mut mallory, &send(&mut bob, &mut rng)).unwrap();
        let mut refused = 0;
        for _ in 0..60 {
            core::mem::swap(&mut mallory.double, &mut sender);
            if let double::SendingState::Sending(chain) = &mut mallory.double.sending {
                // Says that all is well.
                chain.mixed_epoch = mallory.sparse.sending_epoch().unwrap();
            }
            let message = send(&mut mallory, &mut rng);
            core::mem::swap(&mut mallory.double, &mut sender);
            let before = stored(&bob);
            if receive(&mut bob, &message).is_err() {
                refused += 1;
                assert_eq!(stored(&bob), before);
            }
            assert_eq!(loaded(&stored(&bob)).map(|bob| stored(&bob)), Ok(stored(&bob)));
            let answer = send(&mut bob, &mut rng);
            let _ = receive(&mut mallory, &answer);
        }
        assert!(refused > 10 && bob.sparse.sending_epoch() == Some(1), "{refused}");
        // Control: who answers as it should is never refused.
        let (mut alice, mut bob) = pair(ChunkSize::Bytes256);
        for _ in 0..60 {
            receive(&mut bob, &send(&mut alice, &mut rng)).unwrap();
            receive(&mut alice, &send(&mut bob, &mut rng)).unwrap();
        }
        assert!(bob.sparse.sending_epoch() > Some(5));
    }

    /// Attack E6: of a session that is over nothing secret is left, in either half, and it can still be stored.
    #[test]
    fn e6_when_the_braid_dies_both_halves_are_wiped() {
        let mut rng = ChaCha20Rng::seed_from_u64(6);
        let (mut alice, mut bob) = pair(ChunkSize::Bytes256);
        receive(&mut bob, &send(&mut alice, &mut rng)).unwrap();
        receive(&mut alice, &send(&mut bob, &mut rng)).unwrap();
        // A's key pair is another one than it announced, in the middle of the epoch.
        let mut other = pair(ChunkSize::Bytes256).0;
        for _ in 0..4 {
            let _ = send(&mut other, &mut rng);
        }
        alice.sparse.braid = other.sparse.braid;
        let mut turns = 0;
        while !bob.sparse.is_dead() && turns < 40 {
            receive(&mut bob, &send(&mut alice, &mut rng)).unwrap();
            if bob.sparse.is_dead() {
                break;
            }
            let _ = receive(&mut alice, &send(&mut bob, &mut rng));
            turns += 1;
        }
        assert!(bob.sparse.is_dead() && bob.double.receiving.is_none() && bob.double.skipped.len() == 0);
        let bytes = stored(&bob);
        assert_eq!(stored(&loaded(&bytes).unwrap()), bytes);
        // All that is there is a public key, a chunk size, a direction.
        assert!(bytes.iter().filter(|byte| **byte != 0).count() <= 32 + 3, "{bytes:?}");
        let mut sealed = vec![0; bob.chunk_size.sealed_header_len()];
        assert_eq!(bob.send(&RustCrypto, 0x12, &mut sealed, &mut rng).map(drop), Err(EncryptError::Abandoned));
        assert_eq!(receive(&mut bob, &send(&mut alice, &mut rng)), Err(DecryptError::Abandoned));
    }

    #[test]
    fn states_in_which_the_halves_do_not_fit_are_refused() {
        let mut rng = ChaCha20Rng::seed_from_u64(10);
        let (mut alice, mut bob) = pair(ChunkSize::Bytes256);
        for turn in 0..60 {
            for (ratchet, other) in [(&alice, Direction::B2A), (&bob, Direction::A2B)] {
                let bytes = stored(ratchet);
                assert_eq!(loaded(&bytes).map(|ratchet| stored(&ratchet)).as_ref(), Ok(&bytes), "turn {turn}");
                // The other direction, behind the Braid.
                let at = 1 + ratchet.double.stored_len() + ratchet.sparse.braid.stored_len();
                let mut swapped = bytes.clone();
                swapped[at] = u8::from(other == Direction::B2A);
                assert_ne!(swapped, bytes);
                assert!(loaded(&swapped).is_err(), "turn {turn}");
                for len in 0..bytes.len() {
                    assert!(loaded(&bytes[..len]).is_err());
                }
            }
            receive(&mut bob, &send(&mut alice, &mut rng)).unwrap();
            receive(&mut alice, &send(&mut bob, &mut rng)).unwrap();
        }
    }
}
