// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Double Ratchet with header encryption (rev 4 §4.3 to §4.6), the sending half of a step deferred to the next
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
//! Receiving is in two halves. [`DoubleRatchet::receive`] takes `&self` and computes all that a message would change;
//! [`DoubleRatchet::commit`] stores it, and is called when the message has been authenticated and unpadded. So a
//! refused message changes nothing, by construction.

use super::chain::{ChainKey, MessageKey};
use super::header::{HeaderKey, SealedHeader};
use super::root::RootKey;
use super::skipped::{MAX_SKIP, SkippedKeyStore, SkippedMessageKey, SkippedMessageKeys};
use crate::error::{DecryptError, EncryptError};
use crate::primitives::{DhKeyPair, DhPublicKey, Primitives};
use crate::secret::Secret;
use crate::wire::{Header, SALT_LEN, SEALED_HEADER_LEN};
use rand_core::CryptoRng;

/// The sending side of the state.
#[derive(Debug)]
pub(crate) enum SendingState {
    /// The responder before its first message: DHs is the signed prekey's pair.
    Waiting { key_pair: DhKeyPair },
    /// A step is due at the next send: there is a new DHr and no own key pair.
    Due { remote_ratchet_key: DhPublicKey, previous_chain_length: u32 },
    /// There is a chain.
    Sending(SendingChain),
}

/// DHs, CKs, HKs, Ns, PN.
#[derive(Debug)]
pub(crate) struct SendingChain {
    pub(crate) key_pair: DhKeyPair,
    pub(crate) chain_key: ChainKey,
    pub(crate) header_key: HeaderKey,
    pub(crate) number: u32,
    pub(crate) previous_chain_length: u32,
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
    /// Receiving steps taken: names chains in MKSKIPPED, and their age.
    pub(crate) step: u32,
    pub(crate) skipped: SkippedMessageKeys<S>,
}

/// What both sides have after the handshake: the labelled expansions of SK.
#[derive(Debug)]
pub(crate) struct InitialKeys {
    pub(crate) root_key: Secret<32>,
    /// `shared_hka`: HKs of the initiator.
    pub(crate) initiator_header_key: Secret<32>,
    /// `shared_nhkb`: NHKs of the responder.
    pub(crate) responder_header_key: Secret<32>,
}

/// What one message is sealed with.
pub(crate) struct Outgoing {
    pub(crate) header: [u8; SEALED_HEADER_LEN],
    pub(crate) message_key: MessageKey,
}

/// What one message is opened with, and what becomes of the state if it opens.
#[derive(Debug)]
pub(crate) struct Incoming<S> {
    pub(crate) message_key: MessageKey,
    change: Change<S>,
}

#[derive(Debug)]
enum Change<S> {
    /// A skipped key is used up.
    UseSkipped { at: usize },
    /// The chain advances.
    Advance { chain_key: ChainKey, number: u32, skipped: S },
    /// A ratchet step, and the new chain advances.
    Step { root_key: RootKey, receiving: ReceivingChain, next_header_key: HeaderKey, skipped: S },
}

impl<S: SkippedKeyStore> DoubleRatchet<S> {
    /// `RatchetInitAliceHE` (DR-I1), its KDF_RK_HE deferred to the first send.
    pub(crate) fn initiator(keys: InitialKeys, signed_prekey: DhPublicKey) -> Self {
        let sending = SendingState::Due { remote_ratchet_key: signed_prekey, previous_chain_length: 0 };
        Self::new(keys.root_key, sending, keys.initiator_header_key, keys.responder_header_key)
    }

    /// `RatchetInitBobHE` (DR-I2).
    pub(crate) fn responder(keys: InitialKeys, signed_prekey: DhKeyPair) -> Self {
        let sending = SendingState::Waiting { key_pair: signed_prekey };
        Self::new(keys.root_key, sending, keys.responder_header_key, keys.initiator_header_key)
    }

    /// The initiator from its first message to the first answer.
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

    /// `RatchetEncryptHE` up to the message key (DR-E1 to DR-E3).
    pub(crate) fn send<P: Primitives>(
        &mut self,
        primitives: &P,
        outer: u8,
        rng: &mut impl CryptoRng,
    ) -> Result<Outgoing, EncryptError> {
        if let SendingState::Due { remote_ratchet_key, previous_chain_length } = self.sending {
            primitives.step("DR-E1");
            self.sending_step(primitives, remote_ratchet_key, previous_chain_length, rng)?;
        }
        let SendingState::Sending(chain) = &mut self.sending else { return Err(EncryptError::NotYetReceived) };

        primitives.step("DR-E2");
        let next = chain.number.checked_add(1).ok_or(EncryptError::ChainExhausted)?;
        let (chain_key, message_key) = chain.chain_key.kdf_ck(primitives);
        let header = Header {
            ratchet_key: chain.key_pair.public,
            previous_chain_length: chain.previous_chain_length,
            number: chain.number,
        };

        primitives.step("DR-E3");
        let mut salt = [0; SALT_LEN];
        rng.fill_bytes(&mut salt);
        primitives.fresh(&salt);
        let header = chain.header_key.hencrypt(primitives, outer, &salt, &header);
        chain.chain_key = chain_key;
        chain.number = next;
        Ok(Outgoing { header, message_key })
    }

    /// The second half of `DHRatchetHE`: HKs = NHKs; DHs fresh; (RK, CKs, NHKs) = KDF_RK_HE(RK, DH(DHs, DHr)).
    fn sending_step<P: Primitives>(
        &mut self,
        primitives: &P,
        remote_ratchet_key: DhPublicKey,
        previous_chain_length: u32,
        rng: &mut impl CryptoRng,
    ) -> Result<(), EncryptError> {
        let key_pair = DhKeyPair::generate(primitives, rng);
        // Cannot be zero: DHr was refused on receipt if its DH with our last key was.
        let dh =
            primitives.dh(&key_pair.secret, remote_ratchet_key.as_bytes()).map_err(|_| EncryptError::NotYetReceived)?;
        let (root_key, chain_key, next_header_key) = self.root_key.kdf_rk_he(primitives, &dh);
        self.root_key = root_key;
        let header_key = core::mem::replace(&mut self.next_sending_header_key, next_header_key);
        self.sending =
            SendingState::Sending(SendingChain { key_pair, chain_key, header_key, number: 0, previous_chain_length });
        Ok(())
    }

    /// `RatchetDecryptHE` up to the message key (DR-D2 to DR-D7); changes nothing.
    ///
    /// # Leaks
    /// Which chain the header opened under, and how many messages were skipped.
    pub(crate) fn receive<P: Primitives>(
        &self,
        primitives: &P,
        outer: u8,
        sealed: &SealedHeader<'_>,
    ) -> Result<Incoming<S>, DecryptError> {
        primitives.step("DR-D2");
        if let Some(chain) = &self.receiving
            && let Some(header) = chain.header_key.hdecrypt(primitives, outer, sealed)
        {
            return self.receive_in_chain(primitives, chain, &header);
        }
        if let Some(header) = self.next_receiving_header_key.hdecrypt(primitives, outer, sealed) {
            return self.receive_step(primitives, &header);
        }
        for chain in self.skipped.chains() {
            if let Some(header) = chain.header_key.hdecrypt(primitives, outer, sealed) {
                return self.receive_skipped(primitives, chain.step, &header);
            }
        }
        Err(DecryptError::Refused)
    }

    /// DR-D4: a message of an old chain, or one that was overtaken. If its key is not kept, it is refused: never
    /// anything else is tried (attacks C27, D5).
    fn receive_skipped<P: Primitives>(
        &self,
        primitives: &P,
        step: u32,
        header: &Header,
    ) -> Result<Incoming<S>, DecryptError> {
        primitives.step("DR-D4");
        let at = self.skipped.find(step, header.number).ok_or(DecryptError::Refused)?;
        let message_key = self.skipped.get(at).ok_or(DecryptError::Refused)?;
        Ok(Incoming { message_key: MessageKey(message_key.0.duplicate()), change: Change::UseSkipped { at } })
    }

    /// DR-D5: a message of the current chain.
    fn receive_in_chain<P: Primitives>(
        &self,
        primitives: &P,
        chain: &ReceivingChain,
        header: &Header,
    ) -> Result<Incoming<S>, DecryptError> {
        if header.ratchet_key != chain.remote_ratchet_key {
            return Err(DecryptError::Refused);
        }
        if header.number < chain.number {
            return self.receive_skipped(primitives, self.step, header);
        }
        primitives.step("DR-D5");
        let jump = Jump::check::<S>(0, header.number.saturating_sub(chain.number))?;
        let number = header.number.checked_add(1).ok_or(DecryptError::Refused)?;
        let mut skipped = S::default();
        let (chain_key, message_key) =
            skip_message_keys(primitives, &chain.chain_key, self.step, chain.number, jump.current, &mut skipped)
                .kdf_ck(primitives);
        Ok(Incoming { message_key, change: Change::Advance { chain_key, number, skipped } })
    }

    /// DR-D6: the first message of a new chain: the first half of `DHRatchetHE`.
    fn receive_step<P: Primitives>(&self, primitives: &P, header: &Header) -> Result<Incoming<S>, DecryptError> {
        primitives.step("DR-D6");
        let key_pair = match &self.sending {
            SendingState::Waiting { key_pair } => key_pair,
            SendingState::Sending(chain) => &chain.key_pair,
            // The peer cannot have answered a key that does not exist yet.
            SendingState::Due { .. } => return Err(DecryptError::Refused),
        };
        // Own key returned, or the last one repeated (attack C19).
        let stale = self.receiving.as_ref().is_some_and(|chain| chain.remote_ratchet_key == header.ratchet_key);
        if stale || header.ratchet_key == key_pair.public {
            return Err(DecryptError::Refused);
        }
        let step = self.step.checked_add(1).ok_or(DecryptError::Refused)?;
        let number = header.number.checked_add(1).ok_or(DecryptError::Refused)?;
        let missing =
            self.receiving.as_ref().map_or(0, |chain| header.previous_chain_length.saturating_sub(chain.number));
        let jump = Jump::check::<S>(missing, header.number)?;

        let dh = primitives.dh(&key_pair.secret, header.ratchet_key.as_bytes()).map_err(|_| DecryptError::Refused)?;
        let (root_key, chain_key, next_header_key) = self.root_key.kdf_rk_he(primitives, &dh);

        primitives.step("DR-D7");
        let mut skipped = S::default();
        if let Some(chain) = &self.receiving {
            skip_message_keys(primitives, &chain.chain_key, self.step, chain.number, jump.previous, &mut skipped);
        }
        let (chain_key, message_key) =
            skip_message_keys(primitives, &chain_key, step, 0, jump.current, &mut skipped).kdf_ck(primitives);
        let receiving = ReceivingChain {
            remote_ratchet_key: header.ratchet_key,
            chain_key,
            header_key: HeaderKey(self.next_receiving_header_key.0.duplicate()),
            number,
        };
        Ok(Incoming { message_key, change: Change::Step { root_key, receiving, next_header_key, skipped } })
    }

    /// DR-D9: the message has been authenticated; its changes are stored.
    pub(crate) fn commit<P: Primitives>(&mut self, primitives: &P, incoming: Incoming<S>) {
        primitives.step("DR-D9");
        match incoming.change {
            Change::UseSkipped { at } => self.skipped.remove(at),
            Change::Advance { chain_key, number, skipped } => {
                if let Some(chain) = &mut self.receiving {
                    chain.chain_key = chain_key;
                    chain.number = number;
                }
                self.skipped.absorb(skipped);
            }
            Change::Step { root_key, receiving, next_header_key, skipped } => {
                let previous_chain_length = match &self.sending {
                    SendingState::Sending(chain) => chain.number,
                    SendingState::Waiting { .. } | SendingState::Due { .. } => 0,
                };
                let remote_ratchet_key = receiving.remote_ratchet_key;
                self.sending = SendingState::Due { remote_ratchet_key, previous_chain_length };
                self.root_key = root_key;
                self.next_receiving_header_key = next_header_key;
                self.skipped.absorb(skipped);
                let retired = self.step;
                // Checked when the message was received.
                self.step = self.step.saturating_add(1);
                if let Some(chain) = self.receiving.replace(receiving) {
                    self.skipped.retire(retired, chain.header_key, self.step);
                }
            }
        }
    }
}

/// How many keys a message skips, checked before any is derived (attacks C2, C3).
struct Jump {
    previous: u32,
    current: u32,
}

impl Jump {
    fn check<S: SkippedKeyStore>(previous: u32, current: u32) -> Result<Self, DecryptError> {
        let all = u64::from(previous).saturating_add(u64::from(current));
        let capacity = u64::try_from(S::CAPACITY).unwrap_or(u64::MAX);
        if previous > MAX_SKIP || current > MAX_SKIP || all > capacity {
            return Err(DecryptError::TooManySkipped);
        }
        Ok(Self { previous, current })
    }
}

/// `SkipMessageKeysHE`: derives and stages `count` keys from number `from` on; returns the chain key behind them.
fn skip_message_keys<P: Primitives, S: SkippedKeyStore>(
    primitives: &P,
    chain_key: &ChainKey,
    step: u32,
    from: u32,
    count: u32,
    skipped: &mut S,
) -> ChainKey {
    let mut chain_key = ChainKey(chain_key.0.duplicate());
    // Does not saturate: the sum is the header's N or PN. An open range would step over 2^32 - 1 where it ends (C4).
    for number in from..from.saturating_add(count) {
        let (next, key) = chain_key.kdf_ck(primitives);
        skipped.push(SkippedMessageKey { step, number, key });
        chain_key = next;
    }
    chain_key
}
