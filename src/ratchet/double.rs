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

use super::chain::{ChainKey, MessageKey};
use super::header::{Envelope, HeaderKey, HeaderSeal, SealedHeader};
use super::root::RootKey;
use super::skipped::{MAX_JUMP, SkippedKeyStore, SkippedKeys, SkippedMessageKey, SkippedMessageKeys};
use crate::error::{DecryptError, EncryptError};
use crate::primitives::{DhKeyPair, DhPublicKey, Primitives};
use crate::secret::Secret;
use crate::wipe;
use crate::wire::{DoubleHeader, ROUTING_TAG_LEN, SALT_RANDOM_LEN};
use rand_core::CryptoRng;

/// The sending side of the state.
#[derive(Debug)]
pub(crate) enum SendingState {
    /// The responder before its first message: DHs is the signed prekey's pair.
    Waiting { key_pair: DhKeyPair },
    /// A step is due at the next send: there is a new DHr and no own key pair.
    Due { remote_ratchet_key: DhPublicKey, previous_chain_length: u32 },
    /// There is a sending chain.
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

/// The header key under which a header opened.
#[derive(Clone, Copy, Debug)]
pub(crate) enum OpenedUnder {
    /// HKr.
    Current,
    /// NHKr.
    Next,
    /// The header key of a retired chain, named by its step.
    Retired { step: u32 },
}

/// The key that opens one message, and the changes to the state if the message opens.
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
    Advance { chain_key: ChainKey, number: u32, skipped: SkippedKeys<S> },
    /// A ratchet step is taken, and the new chain advances.
    Step { root_key: RootKey, receiving: ReceivingChain, next_header_key: HeaderKey, skipped: SkippedKeys<S> },
}

impl<S> Incoming<S> {
    /// Returns whether this is the first message of a new chain, after which a sending step is due.
    pub(crate) const fn is_ratchet_step(&self) -> bool {
        matches!(self.change, Change::Step { .. })
    }
}

impl<S: SkippedKeyStore> Incoming<S> {
    /// Returns how many keys this message's jump adds to the store, or `None` if the message is not new.
    pub(crate) fn kept(&self) -> Option<usize> {
        match &self.change {
            Change::UseSkipped { .. } => None,
            Change::Advance { skipped, .. } | Change::Step { skipped, .. } => Some(skipped.len()),
        }
    }
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
        let sending = SendingState::Waiting { key_pair: signed_prekey };
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
        let key_pair = DhKeyPair::generate(primitives, rng);
        // Cannot be zero: on receipt DHr was refused if its DH with our last key was zero.
        let dh =
            primitives.dh(&key_pair.secret, remote_ratchet_key.as_bytes()).map_err(|_| EncryptError::NotYetReceived)?;
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
            ratchet_key: chain.key_pair.public,
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

    /// RT-1: calls `each` with the routing tags of the messages that may arrive next: of HKr and NHKr the next
    /// [`TAGS_AHEAD`] numbers, and those of all messages whose keys are kept.
    pub(crate) fn routing_tags<P: Primitives>(&self, primitives: &P, each: &mut impl FnMut([u8; ROUTING_TAG_LEN])) {
        let kept = |step| self.skipped.keys.entries().iter().filter(move |key| key.chain == step).map(|key| key.number);
        if let Some(chain) = &self.receiving {
            let next = chain.number..chain.number.saturating_add(TAGS_AHEAD);
            chain.header_key.routing_tags(primitives, next.chain(kept(self.step)), &mut *each);
        }
        self.next_receiving_header_key.routing_tags(primitives, 0..TAGS_AHEAD, &mut *each);
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

    /// Returns how many messages a message with this header skips.
    pub(crate) fn skips(&self, opened_under: OpenedUnder, header: &DoubleHeader) -> u32 {
        match (opened_under, &self.receiving) {
            (OpenedUnder::Next, chain) => {
                let missing =
                    chain.as_ref().map_or(0, |chain| header.previous_chain_length.saturating_sub(chain.number));
                header.number.saturating_add(if missing > MAX_JUMP { 0 } else { missing })
            }
            (OpenedUnder::Current, Some(chain)) => header.number.saturating_sub(chain.number),
            (OpenedUnder::Current, None) | (OpenedUnder::Retired { .. }, _) => 0,
        }
    }

    /// DR-D2: finds the header key to which a header is committed and under which it opens. `open` is called with the
    /// header's AEAD key and returns whether it opened.
    ///
    /// # Leaks
    /// The chain under whose key the header opened.
    pub(crate) fn open_header<P: Primitives>(
        &self,
        primitives: &P,
        sealed: &SealedHeader<'_>,
        mut open: impl FnMut(&Secret<32>) -> bool,
    ) -> Result<OpenedUnder, DecryptError> {
        primitives.step("DR-D2");
        let mut opens = |key: &HeaderKey| key.unlock(primitives, sealed).is_some_and(|key| open(&key));
        wipe::wipe_stack_after::<{ wipe::MAC }, _>(|| {
            if self.receiving.as_ref().is_some_and(|chain| opens(&chain.header_key)) {
                return Ok(OpenedUnder::Current);
            }
            if opens(&self.next_receiving_header_key) {
                return Ok(OpenedUnder::Next);
            }
            match self.skipped.chains().find(|chain| opens(&chain.header_key)) {
                Some(chain) => Ok(OpenedUnder::Retired { step: chain.step }),
                None => Err(DecryptError::Refused),
            }
        })
    }

    /// Returns whether no message has been received that was sent after a message with this header.
    pub(crate) fn is_new(&self, opened_under: OpenedUnder, header: &DoubleHeader) -> bool {
        match (opened_under, &self.receiving) {
            (OpenedUnder::Next, _) => true,
            (OpenedUnder::Current, Some(chain)) => header.number >= chain.number,
            (OpenedUnder::Current, None) | (OpenedUnder::Retired { .. }, _) => false,
        }
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

    /// `RatchetDecryptHE` from the opened header to the message key (DR-D4 to DR-D7). It changes nothing.
    /// `header_secret` is the secret that the sender mixed into its next header key, if this side has it.
    ///
    /// # Leaks
    /// How many messages were skipped.
    pub(crate) fn receive<P: Primitives>(
        &self,
        primitives: &P,
        opened_under: OpenedUnder,
        header: &DoubleHeader,
        header_secret: Option<&Secret<32>>,
    ) -> Result<Incoming<S>, DecryptError> {
        match (opened_under, &self.receiving) {
            (OpenedUnder::Current, Some(chain)) => self.receive_in_chain(primitives, chain, header),
            (OpenedUnder::Current, None) => Err(DecryptError::Refused),
            (OpenedUnder::Next, _) => {
                self.receive_step(primitives, header, header_secret.ok_or(DecryptError::Refused)?)
            }
            (OpenedUnder::Retired { step }, _) => self.receive_skipped(primitives, step, header),
        }
    }

    /// DR-D4 and DR-D5: receives a message whose header HKr opened.
    fn receive_in_chain<P: Primitives>(
        &self,
        primitives: &P,
        chain: &ReceivingChain,
        header: &DoubleHeader,
    ) -> Result<Incoming<S>, DecryptError> {
        // DR-D4: the message's DHs must be DHr, whether the message is new or not.
        if header.ratchet_key != chain.remote_ratchet_key {
            return Err(DecryptError::Refused);
        }
        if header.number < chain.number {
            self.receive_skipped(primitives, self.step, header)
        } else {
            self.receive_new_in_chain(primitives, chain, header)
        }
    }

    /// DR-D4: receives a message of an old chain, or one that a later message has overtaken. If its key is not stored,
    /// nothing is decrypted, and no other key is tried (attacks C27, D5).
    ///
    /// # Errors
    /// `KeyGone`: the header is authentic, and the key was used, evicted or never kept.
    fn receive_skipped<P: Primitives>(
        &self,
        primitives: &P,
        step: u32,
        header: &DoubleHeader,
    ) -> Result<Incoming<S>, DecryptError> {
        primitives.step("DR-D4");
        let at = self.skipped.find(step, header.number).ok_or(DecryptError::KeyGone)?;
        let message_key = self.skipped.get(at).ok_or(DecryptError::KeyGone)?;
        Ok(Incoming { message_key: MessageKey(message_key.0.duplicate()), change: Change::UseSkipped { at } })
    }

    /// DR-D5: receives a new message of the current chain.
    fn receive_new_in_chain<P: Primitives>(
        &self,
        primitives: &P,
        chain: &ReceivingChain,
        header: &DoubleHeader,
    ) -> Result<Incoming<S>, DecryptError> {
        primitives.step("DR-D5");
        let jump = Jump::new::<S>(0, header.number.saturating_sub(chain.number))?;
        let number = header.number.checked_add(1).ok_or(DecryptError::Refused)?;
        let mut skipped = SkippedKeys::default();
        let (chain_key, message_key) =
            skip_message_keys(primitives, &chain.chain_key, self.step, chain.number, jump.current, &mut skipped)
                .kdf_ck(primitives);
        Ok(Incoming { message_key, change: Change::Advance { chain_key, number, skipped } })
    }

    /// DR-D6: receives the first message of a new chain. This is the first half of `DHRatchetHE`.
    fn receive_step<P: Primitives>(
        &self,
        primitives: &P,
        header: &DoubleHeader,
        header_secret: &Secret<32>,
    ) -> Result<Incoming<S>, DecryptError> {
        primitives.step("DR-D6");
        let key_pair = match &self.sending {
            SendingState::Waiting { key_pair } => key_pair,
            SendingState::Sending(chain) => &chain.key_pair,
            // The peer cannot have answered a key that does not exist yet.
            SendingState::Due { .. } => return Err(DecryptError::Refused),
        };
        // The peer returned our own key or repeated its last one (attack C19).
        let stale = self.receiving.as_ref().is_some_and(|chain| chain.remote_ratchet_key == header.ratchet_key);
        if stale || header.ratchet_key == key_pair.public {
            return Err(DecryptError::Refused);
        }
        let step = self.step.checked_add(1).ok_or(DecryptError::Refused)?;
        let number = header.number.checked_add(1).ok_or(DecryptError::Refused)?;
        let missing =
            self.receiving.as_ref().map_or(0, |chain| header.previous_chain_length.saturating_sub(chain.number));
        let jump = Jump::new::<S>(missing, header.number)?;

        let dh = primitives.dh(&key_pair.secret, header.ratchet_key.as_bytes()).map_err(|_| DecryptError::Refused)?;
        let (root_key, chain_key, next_header_key) = self.root_key.kdf_rk_he(primitives, &dh);
        let next_header_key = next_header_key.mixed(primitives, header_secret);

        primitives.step("DR-D7");
        let mut skipped = SkippedKeys::default();
        if let Some(chain) = &self.receiving
            && jump.previous.kept > 0
        {
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

    /// DR-D9: stores the changes of a message that has been authenticated.
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

/// Messages skipped in one chain: all of them, and the newest whose keys are kept.
#[derive(Clone, Copy)]
struct Skip {
    count: u32,
    kept: u32,
}

/// The messages that one message skips, checked before any key is derived (attacks C2, C3).
struct Jump {
    /// At the end of the previous chain.
    previous: Skip,
    /// In the message's own chain.
    current: Skip,
}

impl Jump {
    /// The newest `S::CAPACITY` keys of a jump are kept. Others would be evicted at once. If more than [`MAX_JUMP`]
    /// messages are missing at the end of the previous chain, they are given up and the new chain goes on.
    fn new<S: SkippedKeyStore>(previous: u32, current: u32) -> Result<Self, DecryptError> {
        if current > MAX_JUMP {
            return Err(DecryptError::TooManySkipped);
        }
        let capacity = u32::try_from(S::CAPACITY).unwrap_or(u32::MAX);
        let current = Skip { count: current, kept: current.min(capacity) };
        let previous = if previous > MAX_JUMP { 0 } else { previous };
        let previous = Skip { count: previous, kept: previous.min(capacity.saturating_sub(current.kept)) };
        Ok(Self { previous, current })
    }
}

/// `SkipMessageKeysHE`: advances the chain by `skip.count` messages from number `from` on, and stages the newest
/// `skip.kept` keys. Returns the chain key after them.
fn skip_message_keys<P: Primitives, S: SkippedKeyStore>(
    primitives: &P,
    chain_key: &ChainKey,
    step: u32,
    from: u32,
    skip: Skip,
    skipped: &mut SkippedKeys<S>,
) -> ChainKey {
    let mut chain_key = ChainKey(chain_key.0.duplicate());
    for _ in skip.kept..skip.count {
        chain_key = chain_key.next(primitives);
    }
    // Does not saturate: the sum is the header's N or PN. An open range would step beyond 2^32 - 1 at its end (C4).
    let end = from.saturating_add(skip.count);
    for number in end.saturating_sub(skip.kept)..end {
        let (next, key) = chain_key.kdf_ck(primitives);
        skipped.push(SkippedMessageKey { chain: step, number, key });
        chain_key = next;
    }
    chain_key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primitives::RustCrypto;
    use crate::ratchet::skipped::Heap;

    type Ratchet = DoubleRatchet<Heap>;

    fn keys() -> InitialKeys {
        let key = |byte| Secret::new([byte; 32]);
        InitialKeys { root_key: key(1), initiator_header_key: key(2), responder_header_key: key(3) }
    }

    fn signed_prekey() -> DhKeyPair {
        DhKeyPair::from_secret(&RustCrypto, Secret::new([6; 32]))
    }

    /// RK, NHKs, NHKr.
    fn shared_keys(ratchet: &Ratchet) -> [&[u8; 32]; 3] {
        let header_keys = [&ratchet.next_sending_header_key, &ratchet.next_receiving_header_key];
        let [sending, receiving] = header_keys.map(|key| key.0.expose());
        [ratchet.root_key.0.expose(), sending, receiving]
    }

    /// DR-I1: RK; NHKs = hka; NHKr = nhkb; no HKr; a sending step is due towards DHr = SPK, with PN = 0.
    #[test]
    fn the_initiator_starts_with_a_step_due_towards_the_signed_prekey() {
        let ratchet = Ratchet::initiator(keys(), signed_prekey().public);
        assert_eq!(shared_keys(&ratchet), [&[1; 32], &[2; 32], &[3; 32]]);
        assert_eq!((ratchet.receiving.is_none(), ratchet.step, ratchet.check_sending()), (true, 0, Ok(())));
        let SendingState::Due { remote_ratchet_key, previous_chain_length } = ratchet.sending else { panic!() };
        assert_eq!((remote_ratchet_key, previous_chain_length), (signed_prekey().public, 0));
    }

    /// DR-I2: RK; NHKs = nhkb; NHKr = hka; no HKr; DHs = the SPK pair. It cannot send before it has received.
    #[test]
    fn the_responder_starts_with_the_signed_prekey_and_cannot_send() {
        let ratchet = Ratchet::responder(keys(), signed_prekey());
        assert_eq!(shared_keys(&ratchet), [&[1; 32], &[3; 32], &[2; 32]]);
        assert_eq!((ratchet.receiving.is_none(), ratchet.step), (true, 0));
        assert_eq!(ratchet.check_sending(), Err(EncryptError::NotYetReceived));
        let SendingState::Waiting { key_pair } = ratchet.sending else { panic!() };
        assert_eq!((key_pair.public, key_pair.secret.expose()), (signed_prekey().public, &[6; 32]));
    }
}
