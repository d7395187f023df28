// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Triple Ratchet (Double Ratchet rev 4 §6): the Double Ratchet with header encryption and the Sparse Post-Quantum
//! Ratchet run side by side, and each message's key comes from both.
//!
//! The whole composite header is inside the sealed header, so that the server sees neither ratchet. A message changes
//! the state of the ratchets only if both have a key for it and it opened under the combined key. Steps are numbered as
//! in spec/protocol.md §9 and §14: `DR-*` for the Double Ratchet, `SP-*` for the sparse one, `TR-1` where they join.
//!
//! If one ratchet is broken, the other still protects messages: the message key is HKDF(salt = pq_mk, ikm = ec_mk). A
//! post-quantum ratchet that has failed ends the session, which never continues with the classical ratchet alone.

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

/// The secrets of both sides after the handshake: the labelled expansions of SK.
#[derive(Debug)]
pub(crate) struct InitialKeys {
    pub(crate) double: double::InitialKeys,
    /// The sparse ratchet's secret.
    pub(crate) sparse: Secret<32>,
    /// The secret of the Braid's authenticator.
    pub(crate) braid: Secret<32>,
}

/// Both ratchets of a session.
#[derive(Debug)]
pub(crate) struct TripleRatchet<S> {
    pub(crate) chunk_size: ChunkSize,
    pub(crate) double: DoubleRatchet<S>,
    pub(crate) sparse: SparseRatchet<S>,
}

/// AES-256-GCM's key and nonce, with which one message is sealed or opened, once.
pub(crate) type AeadKey = (Secret<32>, [u8; NONCE_LEN]);

/// The key that opens one message, and the changes to the state if the message opens.
#[derive(Debug)]
pub(crate) struct Incoming<S> {
    pub(crate) aead_key: AeadKey,
    double: double::Incoming<S>,
    sparse: sparse::Incoming<S>,
}

/// A message's plaintext header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) double: DoubleHeader,
    pub(crate) sparse: SparseHeader,
    /// The epoch whose root the sender mixed into its next header key when it created this chain.
    pub(crate) mixed_epoch: u32,
}

impl Header {
    /// DR-E3: writes `ratchet key || PN || N || message of the Braid || n || age`, with age = message epoch − mixed
    /// epoch.
    pub(crate) fn write(&self, chunk_size: ChunkSize, writer: &mut Writer<'_>) -> Result<(), Full> {
        self.double.write(writer)?;
        self.sparse.message.write(chunk_size, writer)?;
        writer.u32(self.sparse.number)?;
        let age = self.sparse.message.epoch.before().saturating_sub(self.mixed_epoch);
        writer.u8(u8::try_from(age).map_err(|_| Full)?)
    }

    /// DR-D3: parses a header. The age is 0 or 1: within one of a sender's chains its epoch advances at most once,
    /// because a second advance needs a message from the peer that answers this chain, and that answer ends the chain.
    /// [`TripleRatchet::receive`] enforces this for the peer.
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
    /// Returns the state of the side that sends first.
    pub(crate) fn initiator<P: Primitives>(
        primitives: &P,
        keys: InitialKeys,
        signed_prekey: DhPublicKey,
        chunk_size: ChunkSize,
    ) -> Self {
        let sparse = SparseRatchet::new(primitives, Direction::A2B, &keys.sparse, &keys.braid, chunk_size);
        Self { chunk_size, double: DoubleRatchet::initiator(keys.double, signed_prekey), sparse }
    }

    /// Returns the state of the side that receives first.
    pub(crate) fn responder<P: Primitives>(
        primitives: &P,
        keys: InitialKeys,
        signed_prekey: DhKeyPair,
        chunk_size: ChunkSize,
    ) -> Self {
        let sparse = SparseRatchet::new(primitives, Direction::B2A, &keys.sparse, &keys.braid, chunk_size);
        Self { chunk_size, double: DoubleRatchet::responder(keys.double, signed_prekey), sparse }
    }

    /// `TripleRatchetEncrypt` up to the message's key (DR-E1 to DR-E3, TR-1). `sealed`, of
    /// [`sealed_header_len`](ChunkSize::sealed_header_len) bytes, becomes the sealed header.
    ///
    /// # Errors
    /// All errors are found before anything changes.
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

        // All randomness is drawn before anything changes, because a generator can fail only by a panic (attack C26).
        let mut salt = [0; SALT_LEN];
        rng.fill_bytes(&mut salt);
        primitives.fresh(&salt);
        let (mixed_epoch, header_secret) = self.sparse.sending_header_secret().ok_or(EncryptError::Abandoned)?;
        let step = self.double.step_if_due(primitives, mixed_epoch, header_secret, rng)?;
        let (sparse, post_quantum) = self.sparse.send(primitives, rng)?;
        if let Some(step) = step {
            self.double.commit_sending_step(step);
        }
        let double::Outgoing { header: double, mixed_epoch, message_key } = self.double.send(primitives)?;
        let header = Header { double, sparse, mixed_epoch };
        header.write(self.chunk_size, &mut Writer::new(in_the_clear)).map_err(|_| EncryptError::BufferTooShort)?;
        self.double.seal_header(primitives, outer, &salt, sealed).ok_or(EncryptError::BufferTooShort)?;
        Ok(kdf_hybrid(primitives, &message_key, &post_quantum))
    }

    /// `TripleRatchetDecrypt` up to the message's key (DR-D2 to DR-D7, TR-1). It changes nothing.
    ///
    /// # Errors
    /// [`DecryptError`]; `Abandoned` always, after the post-quantum ratchet has failed.
    ///
    /// # Leaks
    /// The chain under whose key the header opened, how many messages were skipped, and the Braid's state.
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
        let opened_under = self.double.open_header(primitives, outer, sealed, bytes)?;
        primitives.step("DR-D3");
        let header = Header::parse(self.chunk_size, bytes).map_err(|_| DecryptError::Refused)?;
        self.sparse.check_receiving(&header.sparse, self.double.is_new(opened_under, &header.double))?;
        let header_secret = self.sparse.header_secret(header.mixed_epoch);
        let double = self.double.receive(primitives, opened_under, &header.double, header_secret)?;
        let sparse = self.sparse.receive(primitives, &header.sparse)?;
        // Within one of our chains the sending epoch advances twice only for a peer that has that chain and does not
        // answer it with a step. The age of the root that its step mixed would exceed 1.
        let is_behind = self.double.mixed_epoch() < self.sparse.sending_epoch();
        if sparse.advances() && !double.is_ratchet_step() && self.double.mixed_epoch().is_some() && is_behind {
            return Err(DecryptError::Refused);
        }
        let aead_key = kdf_hybrid(primitives, &double.message_key, &sparse.message_key);
        Ok(Incoming { aead_key, double, sparse })
    }

    /// Returns whether this is an initiator between its first message and the first answer.
    pub(crate) const fn has_only_sent(&self) -> bool {
        matches!(self.sparse.direction, Direction::A2B) && self.double.has_only_sent()
    }

    /// DR-D9: stores the changes to both ratchets of a message that has been authenticated. If the message made the
    /// Braid fail, both ratchets are wiped.
    pub(crate) fn commit<P: Primitives>(&mut self, primitives: &P, incoming: Incoming<S>) {
        self.double.commit(primitives, incoming.double);
        self.sparse.commit(primitives, incoming.sparse);
        if self.sparse.is_dead() {
            self.double.wipe();
        }
    }
}

#[cfg(test)]
mod tests;
