// SPDX-License-Identifier: MIT OR Apache-2.0
//! MKSKIPPED: keys of messages that have not arrived, bounded in number and in age.
//!
//! Entries are ordered by (step, number): chains are retired in order and keys of one chain are skipped in order,
//! so that finding is a binary search and the oldest entries are the first. Old header keys are kept once per
//! chain, and only while an entry needs them.

use super::chain::MessageKey;
use super::header::HeaderKey;
use crate::secret::Secret;
use arrayvec::ArrayVec;

/// Messages that may be skipped by one jump, at the end of the previous chain and again in the current one. A jump
/// costs the receiver two HMACs a message; 1,000 is the specification's own example (§8.4).
pub const MAX_SKIP: u32 = 1_000;
/// Skipped message keys kept in all: two jumps' worth. Beyond it the oldest are evicted.
pub const MAX_SKIPPED_KEYS: usize = 2_000;
/// Ratchet steps of the receiving side for which a skipped key is kept (§8.4, §8.7: events, not clocks). Also
/// bounds the header keys that a message is tried under.
pub const MAX_SKIPPED_STEPS: u32 = 32;
/// The same as a capacity: header keys of that many retired chains.
const MAX_SKIPPED_CHAINS: usize = MAX_SKIPPED_STEPS as usize;

/// A message key and where it belongs.
#[derive(Debug)]
pub struct SkippedMessageKey {
    /// The receiving chain, counted in ratchet steps.
    pub(crate) step: u32,
    /// N, the message's number in its chain.
    pub(crate) number: u32,
    pub(crate) key: MessageKey,
}

impl SkippedMessageKey {
    const fn empty() -> Self {
        Self { step: 0, number: 0, key: MessageKey(Secret::zero()) }
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

/// Up to `N` skipped message keys inside the session itself: 40 bytes each, no allocator.
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

/// A retired chain's header key, kept while one of its messages may still come.
#[derive(Debug)]
pub(crate) struct SkippedChain {
    pub(crate) step: u32,
    pub(crate) header_key: HeaderKey,
}

/// MKSKIPPED: `(header key, N) → mk`, the header key by its chain's step.
#[derive(Debug, Default)]
pub(crate) struct SkippedMessageKeys<S> {
    pub(super) keys: S,
    /// Oldest first.
    pub(super) chains: ArrayVec<SkippedChain, MAX_SKIPPED_CHAINS>,
}

impl<S: SkippedKeyStore> SkippedMessageKeys<S> {
    /// Retired chains' header keys, newest first.
    pub(crate) fn chains(&self) -> impl Iterator<Item = &SkippedChain> {
        self.chains.iter().rev()
    }

    /// The place of message `number` of chain `step`, if its key is kept.
    pub(crate) fn find(&self, step: u32, number: u32) -> Option<usize> {
        self.keys.entries().binary_search_by_key(&(step, number), |entry| (entry.step, entry.number)).ok()
    }

    pub(crate) fn get(&self, at: usize) -> Option<&MessageKey> {
        self.keys.entries().get(at).map(|entry| &entry.key)
    }

    /// Deletes one key, and its chain's header key if it was the last to need it.
    pub(crate) fn remove(&mut self, at: usize) {
        let Some(step) = self.keys.entries().get(at).map(|entry| entry.step) else { return };
        if let Some(behind) = self.keys.entries_mut().get_mut(at..) {
            behind.rotate_left(1);
        }
        self.keys.truncate(self.keys.entries().len().saturating_sub(1));
        if !self.keys.entries().iter().any(|entry| entry.step == step) {
            self.forget_chains(|chain| chain.step == step);
        }
    }

    /// Takes over the keys skipped by a message that has now been authenticated, evicting the oldest where there is
    /// no room. `staged` holds no more than `S::CAPACITY`.
    pub(crate) fn absorb(&mut self, mut staged: S) {
        if self.keys.entries().is_empty() && !staged.entries().is_empty() {
            // Nothing to keep: the staged ones as they lie. On the heap that copies no key.
            core::mem::swap(&mut self.keys, &mut staged);
        }
        let room = S::CAPACITY.saturating_sub(staged.entries().len());
        self.evict(self.keys.entries().len().saturating_sub(room));
        for entry in staged.entries_mut() {
            self.keys.push(core::mem::replace(entry, SkippedMessageKey::empty()));
        }
        self.forget_unneeded_chains();
    }

    /// A chain is retired by a ratchet step to `now`: its header key is kept if a key of it is, and everything older
    /// than [`MAX_SKIPPED_STEPS`] dies.
    pub(crate) fn retire(&mut self, step: u32, header_key: HeaderKey, now: u32) {
        let dead = self.keys.entries().partition_point(|entry| is_too_old(entry.step, now));
        self.evict(dead);
        self.forget_unneeded_chains();
        if self.keys.entries().iter().any(|entry| entry.step == step) {
            // At most MAX_SKIPPED_STEPS steps are young enough, so that there is room.
            let _ = self.chains.try_push(SkippedChain { step, header_key });
        }
    }

    /// Deletes the `count` oldest keys.
    fn evict(&mut self, count: usize) {
        let len = self.len();
        if count > 0 {
            self.keys.entries_mut().rotate_left(count.min(len));
            self.keys.truncate(len.saturating_sub(count));
        }
    }

    fn forget_unneeded_chains(&mut self) {
        let entries = self.keys.entries();
        let oldest = entries.first().map_or(u32::MAX, |entry| entry.step);
        let needed = |step: u32| step >= oldest && entries.binary_search_by(|entry| entry.step.cmp(&step)).is_ok();
        let mut kept = 0usize;
        for at in 0..self.chains.len() {
            if self.chains.get(at).is_some_and(|chain| needed(chain.step)) {
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
        self.keys.entries().len()
    }
}

/// Whether keys of chain `step` are dead when the chain in use is `now`.
pub(super) const fn is_too_old(step: u32, now: u32) -> bool {
    now.saturating_sub(step) > MAX_SKIPPED_STEPS
}
