// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Reception`]: which of the messages that a server lists one call handles, so that it ends.

use alloc::collections::BTreeSet;

/// Number of messages that one [`receive`](super::Connected::receive) removes from the server: seconds of work. The call then
/// sends what the messages ask for and returns, even if the server always has one more.
pub const RECEIVED_AT_ONCE: usize = 1_000;

/// Number of messages that may stay at the server beside them: a message that stays costs a look-up, and must not hide
/// those after it. The relay of this library keeps at most as many for an account.
pub const LEFT_AT_ONCE: usize = 10_000;

/// Whether a call has fetched all mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "there may be more"]
pub enum Fetched {
    /// The server had nothing else that is new.
    All,
    /// The call has handled as many messages as one call does, and there may be more. Receive again.
    More,
}

/// The messages that one call has handled.
pub(crate) struct Reception {
    after: Option<u64>,
    handled: BTreeSet<u64>,
    left: usize,
}

impl Reception {
    /// Begins with the messages after this number, or with all.
    pub(crate) const fn beginning(after: Option<u64>) -> Self {
        Self { after, handled: BTreeSet::new(), left: 0 }
    }

    /// After which number to fetch.
    pub(crate) const fn after(&self) -> Option<u64> {
        self.after
    }

    /// Takes note of a message that is listed. Returns whether it is to be handled: it is new to this call, which has not
    /// handled too many.
    pub(crate) fn admits(&mut self, number: u64) -> bool {
        !self.is_full() && self.handled.insert(number)
    }

    /// Takes note that a message stays at the server: the next page begins after it.
    pub(crate) const fn leave(&mut self, number: u64) {
        self.after = Some(number);
        self.left = self.left.saturating_add(1);
    }

    /// How many messages were handled.
    pub(crate) fn len(&self) -> usize {
        self.handled.len()
    }

    /// Whether no further message is handled.
    pub(crate) fn is_full(&self) -> bool {
        self.len().saturating_sub(self.left) >= RECEIVED_AT_ONCE || self.left >= LEFT_AT_ONCE
    }
}
