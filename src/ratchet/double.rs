// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Double Ratchet with header encryption (rev 4 §4.3 to §4.6). The sending half of a step is deferred to the next
//! send (§8.5).
//!
//! ```text
//!               initiator                                responder
//!           Due { remote = SPK }                      Waiting { SPK pair }
//!                  | DR-E1: new pair, KDF_RK_HE              | DR-D6: first header under NHKr
//!                  v                                         v
//!   +-----> Sending { pair, chain } --- DR-D6: header under NHKr, pair used and wiped ---> Due { remote } --+
//!   +---------------------------- DR-E1: at the next send: new pair, KDF_RK_HE ------------------------------+
//! ```
//!
//! Receiving has two halves. [`DoubleRatchet::receive`] takes `&self` and computes everything that a message would
//! change. [`DoubleRatchet::commit`] stores the changes and is called after the message has been authenticated and
//! unpadded. By construction, a refused message therefore changes nothing.

mod receiving;

use super::chain::{ChainKey, MessageKey};
use super::header::{Envelope, HeaderKey, HeaderSeal, SealedHeader};
use super::key_pair::RatchetKeyPair;
use super::root::RootKey;
use super::skipped::{MAX_JUMP, SkippedKeyStore, SkippedMessageKeys};
use crate::error::EncryptError;
use crate::primitives::{DhKeyPair, DhPublicKey, Primitives};
use crate::secret::Secret;
use crate::wire::{DoubleHeader, ROUTING_TAG_LEN, SALT_RANDOM_LEN};
use rand_core::CryptoRng;
pub(crate) use receiving::{Incoming, OpenedUnder};

/// The sending side of the state.
#[derive(Debug)]
pub(crate) enum SendingState {
    /// The responder before its first message: DHs is the signed prekey's pair.
    Waiting { key_pair: RatchetKeyPair },
    /// A step is due at the next send: there is a new DHr and no own key pair.
    Due { remote_ratchet_key: DhPublicKey, previous_chain_length: u32 },
    /// There is a sending chain.
    Sending(SendingChain),
}

/// DHs, CKs, HKs, Ns, PN.
#[derive(Debug)]
pub(crate) struct SendingChain {
    pub(crate) key_pair: RatchetKeyPair,
    pub(crate) chain_key: ChainKey,
    pub(crate) header_key: HeaderKey,
    pub(crate) number: u32,
    pub(crate) previous_chain_length: u32,
    /// The post-quantum epoch whose root is mixed into NHKs. The step that created this chain derived NHKs.
    pub(crate) mixed_epoch: u32,
}

/// DHr, CKr, HKr, Nr.
#[derive(Debug)]
pub(crate) struct ReceivingChain {
    pub(crate) remote_ratchet_key: DhPublicKey,
    pub(crate) chain_key: ChainKey,
    pub(crate) header_key: HeaderKey,
    pub(crate) number: u32,
}

/// The state of Double Ratchet rev 4 §4.2.
#[derive(Debug)]
pub(crate) struct DoubleRatchet<S> {
    pub(crate) root_key: RootKey,
    pub(crate) sending: SendingState,
    pub(crate) receiving: Option<ReceivingChain>,
    /// NHKs.
    pub(crate) next_sending_header_key: HeaderKey,
    /// NHKr.
    pub(crate) next_receiving_header_key: HeaderKey,
    /// The number of receiving steps taken. It names chains in MKSKIPPED and determines their age.
    pub(crate) step: u32,
    pub(crate) skipped: SkippedMessageKeys<S>,
}

/// This ratchet's labelled expansions of SK.
#[derive(Debug)]
pub(crate) struct InitialKeys {
    pub(crate) root_key: Secret<32>,
    /// `shared_hka`: HKs of the initiator.
    pub(crate) initiator_header_key: Secret<32>,
    /// `shared_nhkb`: NHKs of the responder.
    pub(crate) responder_header_key: Secret<32>,
}

/// The changes of a sending step.
pub(crate) struct SendingStep {
    root_key: RootKey,
    chain: SendingChain,
    next_header_key: HeaderKey,
}

/// The inputs with which one message is sealed.
pub(crate) struct Outgoing {
    pub(crate) header: DoubleHeader,
    pub(crate) mixed_epoch: u32,
    pub(crate) message_key: MessageKey,
}

/// Number of messages after the last one received whose routing tags are computed ahead. A message beyond them, after a
/// loss of as many, is found by its commitment.
const TAGS_AHEAD: u32 = 8;
/// Number of messages received without an answer from which on a side should answer: half of [`MAX_JUMP`].
const SHOULD_ANSWER: u32 = MAX_JUMP / 2;

impl<S: SkippedKeyStore> DoubleRatchet<S> {
    /// `RatchetInitAliceHE` (DR-I1), with its KDF_RK_HE deferred to the first send.
    pub(crate) fn initiator(keys: InitialKeys, signed_prekey: DhPublicKey) -> Self {
        let sending = SendingState::Due { remote_ratchet_key: signed_prekey, previous_chain_length: 0 };
        Self::new(keys.root_key, sending, keys.initiator_header_key, keys.responder_header_key)
    }

    /// `RatchetInitBobHE` (DR-I2).
    pub(crate) fn responder(keys: InitialKeys, signed_prekey: DhKeyPair) -> Self {
        let sending = SendingState::Waiting { key_pair: signed_prekey.into() };
        Self::new(keys.root_key, sending, keys.responder_header_key, keys.initiator_header_key)
    }

    /// Returns whether this is an initiator between its first message and the first answer.
    pub(crate) const fn has_only_sent(&self) -> bool {
        matches!(self.sending, SendingState::Sending(_)) && self.receiving.is_none()
    }

    fn new(
        root_key: Secret<32>,
        sending: SendingState,
        next_sending_header_key: Secret<32>,
        next_receiving_header_key: Secret<32>,
    ) -> Self {
        Self {
            root_key: RootKey(root_key),
            sending,
            receiving: None,
            next_sending_header_key: HeaderKey(next_sending_header_key),
            next_receiving_header_key: HeaderKey(next_receiving_header_key),
            step: 0,
            skipped: SkippedMessageKeys::default(),
        }
    }

    /// Checks that a message can be sent now.
    pub(crate) const fn check_sending(&self) -> Result<(), EncryptError> {
        match &self.sending {
            SendingState::Waiting { .. } => Err(EncryptError::NotYetReceived),
            SendingState::Sending(SendingChain { number: u32::MAX, .. }) => Err(EncryptError::ChainExhausted),
            SendingState::Sending(_) | SendingState::Due { .. } => Ok(()),
        }
    }

    /// Performs DR-E1 if it is due, without changing the state. `header_secret` is the post-quantum root's share of
    /// epoch `mixed_epoch`.
    pub(crate) fn step_if_due<P: Primitives>(
        &self,
        primitives: &P,
        mixed_epoch: u32,
        header_secret: &Secret<32>,
        rng: &mut impl CryptoRng,
    ) -> Result<Option<SendingStep>, EncryptError> {
        let SendingState::Due { remote_ratchet_key, previous_chain_length } = self.sending else { return Ok(None) };
        primitives.step("DR-E1");
        // The second half of `DHRatchetHE`: HKs = NHKs; DHs fresh; (RK, CKs, NHKs) = KDF_RK_HE(RK, DH(DHs, DHr)).
        let key_pair = RatchetKeyPair::from(DhKeyPair::generate(primitives, rng));
        // Cannot be zero: on receipt DHr was refused if its DH with our last key was zero.
        let dh = primitives
            .dh(key_pair.secret(), remote_ratchet_key.as_bytes())
            .map_err(|_| EncryptError::NotYetReceived)?;
        let (root_key, chain_key, next_header_key) = self.root_key.kdf_rk_he(primitives, &dh);
        let next_header_key = next_header_key.mixed(primitives, header_secret);
        let header_key = HeaderKey(self.next_sending_header_key.0.duplicate());
        let chain = SendingChain { key_pair, chain_key, header_key, number: 0, previous_chain_length, mixed_epoch };
        Ok(Some(SendingStep { root_key, chain, next_header_key }))
    }

    /// Stores the changes of a sending step.
    pub(crate) fn commit_sending_step(&mut self, step: SendingStep) {
        self.root_key = step.root_key;
        self.next_sending_header_key = step.next_header_key;
        self.sending = SendingState::Sending(step.chain);
    }

    /// DR-E2: returns the next message's key and header fields.
    pub(crate) fn send<P: Primitives>(&mut self, primitives: &P) -> Result<Outgoing, EncryptError> {
        let SendingState::Sending(chain) = &mut self.sending else { return Err(EncryptError::NotYetReceived) };
        primitives.step("DR-E2");
        let next = chain.number.checked_add(1).ok_or(EncryptError::ChainExhausted)?;
        let (chain_key, message_key) = chain.chain_key.kdf_ck(primitives);
        let header = DoubleHeader {
            ratchet_key: chain.key_pair.keep_public(primitives),
            previous_chain_length: chain.previous_chain_length,
            number: chain.number,
        };
        chain.chain_key = chain_key;
        chain.number = next;
        Ok(Outgoing { header, mixed_epoch: chain.mixed_epoch, message_key })
    }

    /// DR-E3: returns the salt, the commitment and the AEAD key of the header of message `number`.
    pub(crate) fn prepare_header<P: Primitives>(
        &self,
        primitives: &P,
        number: u32,
        random: &[u8; SALT_RANDOM_LEN],
        envelope: Envelope,
    ) -> Option<HeaderSeal> {
        let SendingState::Sending(chain) = &self.sending else { return None };
        primitives.step("DR-E3");
        Some(chain.header_key.prepare(primitives, number, random, envelope))
    }

    /// Returns whether a message claims, by its commitment, to be sealed under one of this side's header keys. Nothing
    /// is authenticated.
    pub(crate) fn recognizes<P: Primitives>(&self, primitives: &P, sealed: &SealedHeader<'_>) -> bool {
        let current = self.receiving.as_ref().map(|chain| &chain.header_key);
        let mut keys = current
            .into_iter()
            .chain([&self.next_receiving_header_key])
            .chain(self.skipped.chains().map(|chain| &chain.header_key));
        keys.any(|key| key.is_committed(primitives, sealed))
    }

    /// Returns HKr, NHKr, and the header keys of retired chains whose late messages can still be opened.
    #[cfg(feature = "alloc")]
    pub(crate) fn receiving_header_keys(&self) -> impl Iterator<Item = &HeaderKey> {
        let current = self.receiving.as_ref().map(|chain| &chain.header_key);
        let retired = self.skipped.chains().map(|chain| &chain.header_key);
        current.into_iter().chain([&self.next_receiving_header_key]).chain(retired)
    }

    /// RT-1: calls `each` with the routing tags of the messages that may arrive: first those to come, of HKr and NHKr the
    /// next [`TAGS_AHEAD`] numbers, then those of all messages whose keys are kept. A caller that keeps the first
    /// 2 · [`TAGS_AHEAD`] therefore has all that are to come, however many keys are kept.
    pub(crate) fn routing_tags<P: Primitives>(&self, primitives: &P, each: &mut impl FnMut([u8; ROUTING_TAG_LEN])) {
        let kept = |step| self.skipped.keys.entries().iter().filter(move |key| key.chain == step).map(|key| key.number);
        if let Some(chain) = &self.receiving {
            let next = chain.number..chain.number.saturating_add(TAGS_AHEAD);
            chain.header_key.routing_tags(primitives, next, &mut *each);
        }
        self.next_receiving_header_key.routing_tags(primitives, 0..TAGS_AHEAD, &mut *each);
        if let Some(chain) = &self.receiving {
            chain.header_key.routing_tags(primitives, kept(self.step), &mut *each);
        }
        for chain in self.skipped.chains() {
            chain.header_key.routing_tags(primitives, kept(chain.step), &mut *each);
        }
    }

    /// Returns whether so many messages of the peer's chain have arrived that this side should send one: only an answer
    /// that reaches the peer begins a new chain, and a chain must not lose [`MAX_JUMP`] messages in sequence. An answer
    /// that was sent does not count, because it may be lost.
    pub(crate) fn should_answer(&self) -> bool {
        self.receiving.as_ref().is_some_and(|chain| chain.number >= SHOULD_ANSWER)
    }

    /// For the chain on which messages are sent until the next step, returns the epoch whose header secret was mixed at
    /// the chain's own step. Returns `None` if that step is still due.
    pub(crate) const fn mixed_epoch(&self) -> Option<u32> {
        match &self.sending {
            SendingState::Sending(chain) => Some(chain.mixed_epoch),
            SendingState::Waiting { .. } | SendingState::Due { .. } => None,
        }
    }

    /// Wipes everything except one public key, for a session that is over.
    pub(crate) fn wipe(&mut self) {
        if let Some(chain) = &self.receiving {
            let remote_ratchet_key = chain.remote_ratchet_key;
            self.sending = SendingState::Due { remote_ratchet_key, previous_chain_length: 0 };
        }
        self.root_key = RootKey(Secret::zero());
        self.receiving = None;
        self.next_sending_header_key = HeaderKey(Secret::zero());
        self.next_receiving_header_key = HeaderKey(Secret::zero());
        self.step = 0;
        self.skipped = SkippedMessageKeys::default();
    }

    /// Returns whether the state is one that [`wipe`](Self::wipe) leaves, so that a session that is over has one
    /// encoding.
    pub(crate) fn is_wiped(&self) -> bool {
        let zero = |key: &Secret<32>| key.expose().iter().all(|byte| *byte == 0);
        let header_keys = [&self.next_sending_header_key, &self.next_receiving_header_key];
        matches!(self.sending, SendingState::Due { previous_chain_length: 0, .. })
            && self.receiving.is_none()
            && self.step == 0
            && self.skipped.len() == 0
            && zero(&self.root_key.0)
            && header_keys.iter().all(|key| zero(&key.0))
    }
}

#[cfg(test)]
mod tests;
