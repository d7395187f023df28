// SPDX-License-Identifier: MIT OR Apache-2.0
//! Receiving: opening a header, deriving the message key, and storing the changes of a message that is authentic.

use super::{DoubleRatchet, ReceivingChain, SendingState};
use crate::error::DecryptError;
use crate::primitives::Primitives;
use crate::ratchet::chain::{ChainKey, MessageKey};
use crate::ratchet::header::{HeaderKey, SealedHeader};
use crate::ratchet::root::RootKey;
use crate::ratchet::skipped::{MAX_JUMP, SkippedKeyStore, SkippedKeys, SkippedMessageKey};
use crate::secret::Secret;
use crate::wipe;
use crate::wire::DoubleHeader;

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

impl<S: SkippedKeyStore> DoubleRatchet<S> {
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
        if stale || header.ratchet_key == key_pair.public(primitives) {
            return Err(DecryptError::Refused);
        }
        let step = self.step.checked_add(1).ok_or(DecryptError::Refused)?;
        let number = header.number.checked_add(1).ok_or(DecryptError::Refused)?;
        let missing =
            self.receiving.as_ref().map_or(0, |chain| header.previous_chain_length.saturating_sub(chain.number));
        let jump = Jump::new::<S>(missing, header.number)?;

        let dh = primitives.dh(key_pair.secret(), header.ratchet_key.as_bytes()).map_err(|_| DecryptError::Refused)?;
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
    /// messages are missing at the end of the previous chain, they are given up and the new chain continues.
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
