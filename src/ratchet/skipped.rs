// SPDX-License-Identifier: MIT OR Apache-2.0
//! MKSKIPPED: keys of messages that have not arrived, bounded in number and in age, of the Double Ratchet and of the
//! Sparse Post-Quantum Ratchet.
//!
//! Entries are ordered by (chain, number): chains are retired in order and keys of one chain are skipped in order,
//! so that finding is a binary search and the oldest entries are the first. The Double Ratchet's old header keys are kept
//! once per chain, and only while an entry needs them.

use super::chain::MessageKey;
use super::header::HeaderKey;
use crate::secret::Secret;
use crate::wipe;
use arrayvec::ArrayVec;

/// Messages that may be skipped by one jump, at the end of the previous chain and again in the current one. A jump
/// costs the receiver two HMACs a message in each ratchet; 1,000 is the specification's own example (§8.4).
pub const MAX_SKIP: u32 = 1_000;
/// Skipped message keys kept in all, by each of the two ratchets: two jumps' worth. Beyond it the oldest are evicted.
pub const MAX_SKIPPED_KEYS: usize = 2_000;
/// Ratchet steps of the receiving side for which a skipped key is kept (§8.4, §8.7: events, not clocks). Two epochs of the
/// post-quantum ratchet end it sooner, where chunks are large. Also bounds the header keys that a message is tried under.
pub const MAX_SKIPPED_STEPS: u32 = 32;
/// The same as a capacity: header keys of that many retired chains.
const MAX_SKIPPED_CHAINS: usize = MAX_SKIPPED_STEPS as usize;

/// A message key and where it belongs.
#[derive(Debug)]
pub struct SkippedMessageKey {
    /// The receiving chain: counted in ratchet steps in the Double Ratchet, the epoch in the sparse one.
    pub(crate) chain: u32,
    /// N or n, the message's number in its chain.
    pub(crate) number: u32,
    pub(crate) key: MessageKey,
}

impl SkippedMessageKey {
    const fn empty() -> Self {
        Self { chain: 0, number: 0, key: MessageKey(Secret::zero()) }
    }
}

mod sealed {
    pub trait Sealed {}
}

/// Where skipped message keys live: `Heap` grows, [`Inline`] is a part of the session and needs no allocator.
pub trait SkippedKeyStore: sealed::Sealed + Default + core::fmt::Debug {
    /// Entries held at the most; also the largest jump, where smaller than [`MAX_SKIP`].
    const CAPACITY: usize;

    #[doc(hidden)]
    fn entries(&self) -> &[SkippedMessageKey];
    #[doc(hidden)]
    fn entries_mut(&mut self) -> &mut [SkippedMessageKey];
    /// Adds an entry; the caller has made sure that there are fewer than `CAPACITY`.
    #[doc(hidden)]
    fn push(&mut self, entry: SkippedMessageKey);
    /// Drops the entries from `len` on, in place, so that they are wiped where they lie.
    #[doc(hidden)]
    fn truncate(&mut self, len: usize);
}

/// Up to `N` skipped message keys of each ratchet inside the session itself: 40 bytes each, no allocator.
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
        // Cannot be full by the caller's promise; if it were, the entry would be dropped, and wiped.
        let _ = self.0.try_push(entry);
    }

    fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }
}

/// Up to [`MAX_SKIPPED_KEYS`] skipped message keys on the heap; none costs nothing.
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
            // Growing by hand: `Vec` would leave the keys behind in the block it gives back.
            let mut grown = alloc::vec::Vec::with_capacity(self.0.len().saturating_mul(2).max(32));
            grown.extend(self.0.iter_mut().map(|old| core::mem::replace(old, SkippedMessageKey::empty())));
            self.0 = grown;
        }
        self.0.push(entry);
    }

    fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }
}

/// Skipped message keys by (chain, number), in that order.
#[derive(Debug, Default)]
pub(crate) struct SkippedKeys<S>(S);

impl<S: SkippedKeyStore> SkippedKeys<S> {
    pub(crate) fn entries(&self) -> &[SkippedMessageKey] {
        self.0.entries()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.entries().len()
    }

    /// Adds a key that belongs behind all others, while fewer than `S::CAPACITY` are there.
    pub(crate) fn push(&mut self, entry: SkippedMessageKey) {
        self.0.push(entry);
    }

    /// The place of message `number` of chain `chain`, if its key is kept.
    pub(crate) fn find(&self, chain: u32, number: u32) -> Option<usize> {
        self.entries().binary_search_by_key(&(chain, number), |entry| (entry.chain, entry.number)).ok()
    }

    pub(crate) fn get(&self, at: usize) -> Option<&MessageKey> {
        self.entries().get(at).map(|entry| &entry.key)
    }

    /// Whether a key of chain `chain` is kept.
    pub(crate) fn has_chain(&self, chain: u32) -> bool {
        self.entries().binary_search_by(|entry| entry.chain.cmp(&chain)).is_ok()
    }

    /// Deletes one key; returns its chain.
    pub(crate) fn remove(&mut self, at: usize) -> Option<u32> {
        let chain = self.entries().get(at).map(|entry| entry.chain)?;
        if let Some(behind) = self.0.entries_mut().get_mut(at..) {
            behind.rotate_left(1);
        }
        self.0.truncate(self.len().saturating_sub(1));
        Some(chain)
    }

    /// Takes over the keys skipped by a message that has now been authenticated, evicting the oldest where there is
    /// no room. `staged` holds no more than `S::CAPACITY`, in one piece of the order. In the sparse ratchet it may belong
    /// before others that are kept: an old epoch's chain goes on while there is a newer one.
    pub(crate) fn absorb(&mut self, mut staged: Self) {
        if self.entries().is_empty() && !staged.entries().is_empty() {
            // Nothing to keep: the staged ones as they lie. On the heap that copies no key.
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
            self.0.push(core::mem::replace(entry, SkippedMessageKey::empty()));
        }
        if let Some(behind) = self.0.entries_mut().get_mut(before.saturating_sub(dead)..) {
            behind.rotate_right(count.min(behind.len()));
        }
    }

    /// Deletes all keys of chains below `chain`.
    pub(crate) fn retire_below(&mut self, chain: u32) {
        self.evict(self.entries().partition_point(|entry| entry.chain < chain));
    }

    /// Deletes the `count` oldest keys.
    fn evict(&mut self, count: usize) {
        let len = self.len();
        if count > 0 {
            self.0.entries_mut().rotate_left(count.min(len));
            self.0.truncate(len.saturating_sub(count));
        }
    }
}

/// A retired chain's header key, kept while one of its messages may still come.
#[derive(Debug)]
pub(crate) struct SkippedChain {
    pub(crate) step: u32,
    pub(crate) header_key: HeaderKey,
}

/// MKSKIPPED of the Double Ratchet: `(header key, N) → mk`, the header key by its chain's step.
#[derive(Debug)]
pub(crate) struct SkippedMessageKeys<S> {
    pub(super) keys: SkippedKeys<S>,
    /// Oldest first.
    pub(super) chains: ArrayVec<SkippedChain, MAX_SKIPPED_CHAINS>,
}

impl SkippedChain {
    /// No chain of any.
    pub(super) fn none() -> ArrayVec<Self, MAX_SKIPPED_CHAINS> {
        wipe::empty(|| Self { step: 0, header_key: HeaderKey(Secret::zero()) })
    }
}

impl<S: Default> Default for SkippedMessageKeys<S> {
    fn default() -> Self {
        Self { keys: SkippedKeys::default(), chains: SkippedChain::none() }
    }
}

impl<S: SkippedKeyStore> SkippedMessageKeys<S> {
    /// Retired chains' header keys, newest first.
    pub(crate) fn chains(&self) -> impl Iterator<Item = &SkippedChain> {
        self.chains.iter().rev()
    }

    pub(crate) fn find(&self, step: u32, number: u32) -> Option<usize> {
        self.keys.find(step, number)
    }

    pub(crate) fn get(&self, at: usize) -> Option<&MessageKey> {
        self.keys.get(at)
    }

    /// Deletes one key, and its chain's header key if it was the last to need it.
    pub(crate) fn remove(&mut self, at: usize) {
        if let Some(step) = self.keys.remove(at)
            && !self.keys.has_chain(step)
        {
            self.forget_chains(|chain| chain.step == step);
        }
    }

    /// [`SkippedKeys::absorb`]; header keys that are no longer needed die.
    pub(crate) fn absorb(&mut self, staged: SkippedKeys<S>) {
        self.keys.absorb(staged);
        self.forget_unneeded_chains();
    }

    /// A chain is retired by a ratchet step to `now`: its header key is kept if a key of it is, and everything older
    /// than [`MAX_SKIPPED_STEPS`] dies.
    pub(crate) fn retire(&mut self, step: u32, header_key: HeaderKey, now: u32) {
        self.keys.retire_below(now.saturating_sub(MAX_SKIPPED_STEPS));
        self.forget_unneeded_chains();
        if self.keys.has_chain(step) {
            // At most MAX_SKIPPED_STEPS steps are young enough, so that there is room.
            let _ = self.chains.try_push(SkippedChain { step, header_key });
        }
    }

    fn forget_unneeded_chains(&mut self) {
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
            if let Some(behind) = self.chains.get_mut(at..) {
                behind.rotate_left(1);
            }
            self.chains.truncate(self.chains.len().saturating_sub(1));
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }
}

/// Whether keys of chain `step` are dead when the chain in use is `now`.
pub(super) const fn is_too_old(step: u32, now: u32) -> bool {
    now.saturating_sub(step) > MAX_SKIPPED_STEPS
}
