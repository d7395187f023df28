// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Triple Ratchet (Double Ratchet rev 4 §6): the Double Ratchet with header encryption and the Sparse Post-Quantum
//! Ratchet run side by side, and each message's key comes from both.
//!
//! The whole composite header is inside the sealed header, so that the server sees neither ratchet. A message changes
//! the state of the ratchets only if both have a key for it and it opened under the combined key. Steps are numbered as
//! in spec/protocol.md §9: `DR-*` for the Double Ratchet, `SP-*` for the sparse one, `TR-1` where they join.
//!
//! If one ratchet is broken, the other still protects messages: the message key is HKDF(salt = pq_mk, ikm = ec_mk). A
//! post-quantum ratchet that has failed ends the session, which never continues with the classical ratchet alone.

use super::braid::message::Message;
use super::chain::MessageKey;
use super::double::{self, DoubleRatchet, OpenedUnder};
use super::header::{Envelope, HeaderSeal, SealedHeader};
use super::skipped::SkippedKeyStore;
use super::sparse::{self, Direction, SparseHeader, SparseRatchet};
use crate::error::{DecodeError, DecryptError, EncryptError};
use crate::labels;
use crate::primitives::{DhKeyPair, DhPublicKey, Primitives};
use crate::secret::Secret;
use crate::wire::{
    COMMITMENT_LEN, ChunkSize, DoubleHeader, FLAG_AGE, FLAG_CONTROL, Full, Reader, SALT_LEN, SALT_RANDOM_LEN, Writer,
};
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

/// What one message is sealed with: the body's AEAD key, and then its header's.
pub(crate) struct Outgoing {
    pub(crate) aead_key: Secret<32>,
    pub(crate) header: HeaderSeal,
}

/// A header that opened, with what its message's key is bound to.
#[derive(Debug)]
pub(crate) struct OpenedHeader {
    salt: [u8; SALT_LEN],
    commitment: [u8; COMMITMENT_LEN],
    opened_under: OpenedUnder,
    header: Header,
}

impl OpenedHeader {
    /// N, the message's number in its chain of the Double Ratchet.
    pub(crate) const fn number(&self) -> u32 {
        self.header.double.number
    }

    pub(crate) const fn is_control(&self) -> bool {
        self.header.is_control
    }
}

/// The key that opens one message, and the changes to the state if the message opens.
#[derive(Debug)]
pub(crate) struct Incoming<S> {
    /// The body's AEAD key.
    pub(crate) aead_key: Secret<32>,
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
    /// Whether the message is for the messenger layer and not for the user.
    pub(crate) is_control: bool,
}

impl Header {
    /// DR-E3: writes `ratchet key || PN || N || message of the Braid || n || flags`, with the flags age = message epoch
    /// − mixed epoch, and control.
    pub(crate) fn write(&self, chunk_size: ChunkSize, writer: &mut Writer<'_>) -> Result<(), Full> {
        self.double.write(writer)?;
        self.sparse.message.write(chunk_size, writer)?;
        writer.u32(self.sparse.number)?;
        let age = self.sparse.message.epoch.before().saturating_sub(self.mixed_epoch);
        let age = match age {
            0 => 0,
            1 => FLAG_AGE,
            _ => return Err(Full),
        };
        writer.u8(age | if self.is_control { FLAG_CONTROL } else { 0 })
    }

    /// DR-D3: parses a header. The age is 0 or 1: within one of a sender's chains its epoch advances at most once,
    /// because a second advance needs a message from the peer that answers this chain, and that answer ends the chain.
    /// [`TripleRatchet::receive`] enforces this for the peer.
    pub(crate) fn parse(chunk_size: ChunkSize, bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let double = DoubleHeader::parse(&mut reader)?;
        let message = Message::parse(chunk_size, &mut reader)?;
        let number = reader.u32()?;
        let flags = reader.u8()?;
        reader.finish()?;
        if flags & !(FLAG_AGE | FLAG_CONTROL) != 0 {
            return Err(DecodeError::Refused);
        }
        let age = u32::from(flags & FLAG_AGE);
        let mixed_epoch = message.epoch.before().checked_sub(age).ok_or(DecodeError::Refused)?;
        let is_control = flags & FLAG_CONTROL != 0;
        Ok(Self { double, sparse: SparseHeader { message, number }, mixed_epoch, is_control })
    }
}

/// TR-1, `KDF_HYBRID`: the body's AEAD key = HKDF(salt = pq_mk, ikm = ec_mk, label || salt || commitment, 32). One state
/// that is used twice therefore gives two keys, because the salts differ.
fn kdf_hybrid<P: Primitives>(
    primitives: &P,
    ec_mk: &MessageKey,
    pq_mk: &MessageKey,
    salt: &[u8; SALT_LEN],
    commitment: &[u8; COMMITMENT_LEN],
) -> Secret<32> {
    primitives.step("TR-1");
    let mut key = Secret::zero();
    let info: [&[u8]; 3] = [labels::MESSAGE, salt, commitment];
    primitives.hkdf(pq_mk.0.expose(), &[ec_mk.0.expose()], &info, key.expose_mut());
    key
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

    /// `TripleRatchetEncrypt` up to the message's keys (DR-E1 to DR-E3, TR-1). `sealed`, of
    /// [`sealed_header_len`](ChunkSize::sealed_header_len) bytes, becomes salt, commitment and plaintext header.
    ///
    /// # Errors
    /// All errors are found before anything changes.
    pub(crate) fn send<P: Primitives>(
        &mut self,
        primitives: &P,
        envelope: Envelope,
        is_control: bool,
        sealed: &mut [u8],
        rng: &mut impl CryptoRng,
    ) -> Result<Outgoing, EncryptError> {
        self.sparse.check_sending()?;
        self.double.check_sending()?;
        if sealed.len() != self.chunk_size.sealed_header_len() {
            return Err(EncryptError::BufferTooShort);
        }
        // All randomness is drawn before anything changes, because a generator can fail only by a panic (attack C26).
        let mut random = [0; SALT_RANDOM_LEN];
        rng.fill_bytes(&mut random);
        primitives.fresh(&random);
        let (mixed_epoch, header_secret) = self.sparse.sending_header_secret().ok_or(EncryptError::Abandoned)?;
        let step = self.double.step_if_due(primitives, mixed_epoch, header_secret, rng)?;
        let (sparse, post_quantum) = self.sparse.send(primitives, rng)?;
        if let Some(step) = step {
            self.double.commit_sending_step(step);
        }
        let double::Outgoing { header: double, mixed_epoch, message_key } = self.double.send(primitives)?;
        let header = Header { double, sparse, mixed_epoch, is_control };
        let prepared = self.double.prepare_header(primitives, header.double.number, &random, envelope);
        let prepared = prepared.ok_or(EncryptError::NotYetReceived)?;
        let mut writer = Writer::new(sealed);
        writer
            .put(&prepared.salt)
            .and_then(|()| writer.put(&prepared.commitment))
            .and_then(|()| header.write(self.chunk_size, &mut writer))
            .map_err(|_| EncryptError::BufferTooShort)?;
        let aead_key = kdf_hybrid(primitives, &message_key, &post_quantum, &prepared.salt, &prepared.commitment);
        Ok(Outgoing { aead_key, header: prepared })
    }

    /// DR-D3: parses a header that has opened, and makes the checks that need no derivation. It changes nothing.
    ///
    /// # Errors
    /// [`DecryptError`].
    pub(crate) fn check_header<P: Primitives>(
        &self,
        primitives: &P,
        sealed: &SealedHeader<'_>,
        opened_under: OpenedUnder,
        header: &[u8],
    ) -> Result<OpenedHeader, DecryptError> {
        primitives.step("DR-D3");
        let header = Header::parse(self.chunk_size, header).map_err(|_| DecryptError::Refused)?;
        self.sparse.check_receiving(&header.sparse, self.double.is_new(opened_under, &header.double))?;
        Ok(OpenedHeader { salt: *sealed.salt, commitment: *sealed.commitment, opened_under, header })
    }

    /// Returns how many messages a message with this header skips, in the ratchet in which it skips more.
    pub(crate) fn skips(&self, opened: &OpenedHeader) -> u32 {
        let double = self.double.skips(opened.opened_under, &opened.header.double);
        double.max(self.sparse.skips(&opened.header.sparse))
    }

    /// `TripleRatchetDecrypt` from the header to the message's key (DR-D4 to DR-D7, TR-1). It changes nothing.
    ///
    /// # Errors
    /// [`DecryptError`].
    ///
    /// # Leaks
    /// How many messages were skipped, and the Braid's state.
    pub(crate) fn receive<P: Primitives>(
        &self,
        primitives: &P,
        opened: &OpenedHeader,
    ) -> Result<Incoming<S>, DecryptError> {
        let OpenedHeader { salt, commitment, opened_under, header } = opened;
        let header_secret = self.sparse.header_secret(header.mixed_epoch);
        let double = self.double.receive(primitives, *opened_under, &header.double, header_secret)?;
        // Messages that a new message skips here were skipped in the Double Ratchet now, others earlier.
        let keep = double.kept().unwrap_or_else(|| self.double.skipped.len());
        let sparse = self.sparse.receive(primitives, &header.sparse, keep)?;
        // Within one of our chains the sending epoch advances twice only for a peer that has that chain and does not
        // answer it with a step. The age of the root that its step mixed would exceed 1.
        let is_behind = self.double.mixed_epoch() < self.sparse.sending_epoch();
        if sparse.advances() && !double.is_ratchet_step() && self.double.mixed_epoch().is_some() && is_behind {
            return Err(DecryptError::Refused);
        }
        let aead_key = kdf_hybrid(primitives, &double.message_key, &sparse.message_key, salt, commitment);
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
