// SPDX-License-Identifier: MIT OR Apache-2.0
//! MKSKIPPED: keys of messages that have not arrived, for the Double Ratchet and the Sparse Post-Quantum Ratchet. They
//! are bounded in number and in age.
//!
//! Entries are ordered by (chain, number). Chains are retired in order and keys of one chain are skipped in order, so
//! that lookup is a binary search and the first entries are the oldest. The Double Ratchet's old header keys are stored
//! once per chain, and only while an entry needs them.

use super::chain::MessageKey;
use super::header::HeaderKey;
use crate::secret::Secret;
use crate::wipe;
use arrayvec::ArrayVec;

/// Maximum number of messages that one message may skip in a chain of the Double Ratchet, 25,000. It is a constant of
/// the protocol and the same for both ends: how many keys a store keeps bounds memory and never ends a conversation. A
/// skipped message costs the receiver one HMAC in each ratchet, and two if its key is kept.
///
/// If more messages are missing at the end of the previous chain, their keys are not derived, and the conversation
/// continues unless more than 50,000 are missing in the post-quantum chain. If more are missing within a chain, the
/// message is refused: this direction works again after the peer has received an answer, or in a new session. If more
/// are missing at the beginning of a chain, only a new session helps (W13 of spec/security.md).
/// [`Session::should_answer`](crate::Session::should_answer) reports in time that an answer is due.
pub const MAX_JUMP: u32 = 25_000;
/// Maximum number of skipped message keys that each of the two ratchets keeps on the heap, 2,000. Beyond it the oldest
/// keys are evicted, and their messages can no longer be opened.
pub const MAX_SKIPPED_KEYS: usize = 2_000;
/// Number of the receiving side's ratchet steps for which a skipped key is kept (Double Ratchet rev 4 §8.4, §8.7:
/// events, not clocks). With large chunks, two epochs of the post-quantum ratchet end this time sooner. The constant
/// also bounds the number of header keys that are tried for a message.
pub const MAX_SKIPPED_STEPS: u32 = 32;
/// The same number as a capacity: header keys of that many retired chains.
const MAX_SKIPPED_CHAINS: usize = MAX_SKIPPED_STEPS as usize;

/// A message key with its chain and number.
#[derive(Debug)]
pub struct SkippedMessageKey {
    /// The receiving chain: the ratchet step in the Double Ratchet, the epoch in the sparse ratchet.
    pub(crate) chain: u32,
    /// N or n, the message's number in its chain.
    pub(crate) number: u32,
    pub(crate) key: MessageKey,
}

impl SkippedMessageKey {
    const fn zeroed() -> Self {
        Self { chain: 0, number: 0, key: MessageKey(Secret::zero()) }
    }
}

mod sealed {
    pub trait Sealed {}
}

/// The store of skipped message keys. `Heap` grows on the heap. [`Inline`] is a part of the session and needs no
/// allocator.
pub trait SkippedKeyStore: sealed::Sealed + Default + core::fmt::Debug {
    /// Maximum number of entries.
    const CAPACITY: usize;

    #[doc(hidden)]
    fn entries(&self) -> &[SkippedMessageKey];
    #[doc(hidden)]
    fn entries_mut(&mut self) -> &mut [SkippedMessageKey];
    /// Adds an entry. The caller has checked that there are fewer than `CAPACITY` entries.
    #[doc(hidden)]
    fn push(&mut self, entry: SkippedMessageKey);
    /// Drops the entries from `len` on in place, so that they are wiped in their places.
    #[doc(hidden)]
    fn truncate(&mut self, len: usize);
}

/// A store inside the session: up to `N` skipped message keys per ratchet, 40 bytes each, without an allocator.
#[derive(Debug, Default)]
pub struct Inline<const N: usize>(ArrayVec<SkippedMessageKey, N>);

impl<const N: usize> sealed::Sealed for Inline<N> {}

impl<const N: usize> SkippedKeyStore for Inline<N> {
    const CAPACITY: usize = if N < MAX_SKIPPED_KEYS { N } else { MAX_SKIPPED_KEYS };

    fn entries(&self) -> &[SkippedMessageKey] {
        &self.0
    }

    fn entries_mut(&mut self) -> &mut [SkippedMessageKey] {
        &mut self.0
    }

    fn push(&mut self, entry: SkippedMessageKey) {
        // By the caller's check the array is not full. If it were, the entry would be dropped and wiped.
        let _ = self.0.try_push(entry);
    }

    fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }
}

/// A store on the heap: up to [`MAX_SKIPPED_KEYS`] skipped message keys per ratchet. An empty store allocates nothing.
#[cfg(feature = "alloc")]
#[derive(Debug, Default)]
pub struct Heap(alloc::vec::Vec<SkippedMessageKey>);

#[cfg(feature = "alloc")]
impl sealed::Sealed for Heap {}

#[cfg(feature = "alloc")]
impl SkippedKeyStore for Heap {
    const CAPACITY: usize = MAX_SKIPPED_KEYS;

    fn entries(&self) -> &[SkippedMessageKey] {
        &self.0
    }

    fn entries_mut(&mut self) -> &mut [SkippedMessageKey] {
        &mut self.0
    }

    fn push(&mut self, entry: SkippedMessageKey) {
        if self.0.len() == self.0.capacity() {
            // Grown by hand, because `Vec` would leave the keys in the block that it frees.
            let mut grown = alloc::vec::Vec::with_capacity(self.0.len().saturating_mul(2).max(32));
            grown.extend(self.0.iter_mut().map(|old| core::mem::replace(old, SkippedMessageKey::zeroed())));
            self.0 = grown;
        }
        self.0.push(entry);
    }

    fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }
}

/// Skipped message keys, ordered by (chain, number).
#[derive(Debug, Default)]
pub(crate) struct SkippedKeys<S>(S);

impl<S: SkippedKeyStore> SkippedKeys<S> {
    pub(crate) fn entries(&self) -> &[SkippedMessageKey] {
        self.0.entries()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.entries().len()
    }

    /// Adds a key that comes after all others in the order, while there are fewer than `S::CAPACITY` keys.
    pub(crate) fn push(&mut self, entry: SkippedMessageKey) {
        self.0.push(entry);
    }

    /// Returns the index of message `number` of chain `chain`, if its key is kept.
    pub(crate) fn find(&self, chain: u32, number: u32) -> Option<usize> {
        self.entries().binary_search_by_key(&(chain, number), |entry| (entry.chain, entry.number)).ok()
    }

    pub(crate) fn get(&self, at: usize) -> Option<&MessageKey> {
        self.entries().get(at).map(|entry| &entry.key)
    }

    /// Returns whether a key of chain `chain` is kept.
    pub(crate) fn has_chain(&self, chain: u32) -> bool {
        self.entries().binary_search_by(|entry| entry.chain.cmp(&chain)).is_ok()
    }

    /// Deletes one key and returns its chain.
    pub(crate) fn remove(&mut self, at: usize) -> Option<u32> {
        let chain = self.entries().get(at).map(|entry| entry.chain)?;
        if let Some(rest) = self.0.entries_mut().get_mut(at..) {
            rest.rotate_left(1);
        }
        self.0.truncate(self.len().saturating_sub(1));
        Some(chain)
    }

    /// Stores the keys skipped by a message that has now been authenticated, and evicts the oldest keys if there is no
    /// space. `staged` has at most `S::CAPACITY` keys, which are contiguous in the order. In the sparse ratchet they
    /// may come before other keys, because an old epoch's chain continues while there is a newer one.
    pub(crate) fn absorb(&mut self, mut staged: Self) {
        if self.entries().is_empty() && !staged.entries().is_empty() {
            // The store is empty, so the staged keys are moved as a whole. On the heap that copies no key.
            core::mem::swap(self, &mut staged);
        }
        let first = staged.entries().first().map_or((u32::MAX, u32::MAX), |entry| (entry.chain, entry.number));
        let before = self.entries().partition_point(|entry| (entry.chain, entry.number) < first);
        let over = self.len().saturating_add(staged.len()).saturating_sub(S::CAPACITY);
        let dead = over.min(before);
        self.evict(dead);
        staged.evict(over.saturating_sub(dead));
        let count = staged.len();
        for entry in staged.0.entries_mut() {
            self.0.push(core::mem::replace(entry, SkippedMessageKey::zeroed()));
        }
        if let Some(rest) = self.0.entries_mut().get_mut(before.saturating_sub(dead)..) {
            rest.rotate_right(count.min(rest.len()));
        }
    }

    /// Deletes all keys of chains below `chain`.
    pub(crate) fn retire_below(&mut self, chain: u32) {
        self.evict(self.entries().partition_point(|entry| entry.chain < chain));
    }

    /// Deletes the `count` oldest keys.
    pub(super) fn evict(&mut self, count: usize) {
        let len = self.len();
        if count > 0 {
            self.0.entries_mut().rotate_left(count.min(len));
            self.0.truncate(len.saturating_sub(count));
        }
    }
}

/// A retired chain's header key, which is kept while one of the chain's messages may still arrive.
#[derive(Debug)]
pub(crate) struct SkippedChain {
    pub(crate) step: u32,
    pub(crate) header_key: HeaderKey,
}

/// MKSKIPPED of the Double Ratchet: `(header key, N) → mk`, with the header key named by its chain's step.
#[derive(Debug)]
pub(crate) struct SkippedMessageKeys<S> {
    pub(super) keys: SkippedKeys<S>,
    /// Oldest first.
    pub(super) chains: ArrayVec<SkippedChain, MAX_SKIPPED_CHAINS>,
}

impl SkippedChain {
    /// Returns an empty array of chains whose space is initialized.
    pub(super) fn empty_array() -> ArrayVec<Self, MAX_SKIPPED_CHAINS> {
        wipe::empty_initialized(|| Self { step: 0, header_key: HeaderKey(Secret::zero()) })
    }
}

impl<S: Default> Default for SkippedMessageKeys<S> {
    fn default() -> Self {
        Self { keys: SkippedKeys::default(), chains: SkippedChain::empty_array() }
    }
}

impl<S: SkippedKeyStore> SkippedMessageKeys<S> {
    /// Returns the header keys of retired chains, newest first.
    pub(crate) fn chains(&self) -> impl Iterator<Item = &SkippedChain> {
        self.chains.iter().rev()
    }

    pub(crate) fn find(&self, step: u32, number: u32) -> Option<usize> {
        self.keys.find(step, number)
    }

    pub(crate) fn get(&self, at: usize) -> Option<&MessageKey> {
        self.keys.get(at)
    }

    /// Deletes one key. If it was the last that needed its chain's header key, that key is deleted too.
    pub(crate) fn remove(&mut self, at: usize) {
        if let Some(step) = self.keys.remove(at)
            && !self.keys.has_chain(step)
        {
            self.forget_chains(|chain| chain.step == step);
        }
    }

    /// Calls [`SkippedKeys::absorb`] and deletes header keys that are no longer needed.
    pub(crate) fn absorb(&mut self, staged: SkippedKeys<S>) {
        self.keys.absorb(staged);
        self.forget_unneeded_chains();
    }

    /// Retires a chain at the ratchet step `now`. Its header key is kept if one of its message keys is, and all keys
    /// older than [`MAX_SKIPPED_STEPS`] are deleted.
    pub(crate) fn retire(&mut self, step: u32, header_key: HeaderKey, now: u32) {
        self.keys.retire_below(now.saturating_sub(MAX_SKIPPED_STEPS));
        self.forget_unneeded_chains();
        if self.keys.has_chain(step) {
            // At most MAX_SKIPPED_STEPS steps are recent enough, so there is space.
            let _ = self.chains.try_push(SkippedChain { step, header_key });
        }
    }

    pub(super) fn forget_unneeded_chains(&mut self) {
        let mut kept = 0usize;
        for at in 0..self.chains.len() {
            if self.chains.get(at).is_some_and(|chain| self.keys.has_chain(chain.step)) {
                self.chains.swap(kept, at);
                kept = kept.saturating_add(1);
            }
        }
        self.chains.truncate(kept);
    }

    fn forget_chains(&mut self, dead: impl Fn(&SkippedChain) -> bool) {
        if let Some(at) = self.chains.iter().position(dead) {
            if let Some(rest) = self.chains.get_mut(at..) {
                rest.rotate_left(1);
            }
            self.chains.truncate(self.chains.len().saturating_sub(1));
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }
}

/// Returns whether keys of chain `step` are too old when the current chain is `now`.
pub(super) const fn is_too_old(step: u32, now: u32) -> bool {
    now.saturating_sub(step) > MAX_SKIPPED_STEPS
}
