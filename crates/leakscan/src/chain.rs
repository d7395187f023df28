// SPDX-License-Identifier: MIT OR Apache-2.0
//! The encodings around some bytes, from the source inwards.

use super::encoding::Encoding;

/// The number of encodings that may be nested. A log in JSON in a compressed archive in a compressed dump has five; a
/// higher limit would multiply the time that crafted evidence takes.
pub const MAX_DEPTH: usize = 6;

/// The encodings from the source inwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    steps: [Encoding; MAX_DEPTH],
    len: usize,
}

impl Chain {
    pub(crate) const EMPTY: Self = Self { steps: [Encoding::Raw; MAX_DEPTH], len: 0 };

    /// The chain with one more encoding; `None` at [`MAX_DEPTH`].
    pub(crate) fn then(mut self, step: Encoding) -> Option<Self> {
        *self.steps.get_mut(self.len)? = step;
        self.len = self.len.saturating_add(1);
        Some(self)
    }

    /// Whether the innermost `count` steps are such ones.
    pub(crate) fn ends_in(&self, is_such: impl Fn(Encoding) -> bool, count: usize) -> bool {
        let from = self.len.saturating_sub(count);
        self.len >= count && self.steps().skip(from).all(is_such)
    }

    pub(crate) fn steps(&self) -> impl Iterator<Item = Encoding> {
        self.steps.into_iter().take(self.len)
    }
}
