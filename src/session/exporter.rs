// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Exporter`]: an expansion of SK for the application, which the session keeps until its next message.

use crate::secret::Secret;
use zeroize::Zeroize;

/// Not an `Option`: without a value, its space would contain stale bytes of the stack, which would move with the session
/// to the heap; and `Option::take` would leave the value in its place.
pub(crate) struct Exporter {
    /// Zero if there is none.
    secret: Secret<32>,
    is_there: bool,
}

impl Exporter {
    pub(crate) const fn none() -> Self {
        Self { secret: Secret::zero(), is_there: false }
    }

    pub(crate) const fn new(secret: Secret<32>) -> Self {
        Self { secret, is_there: true }
    }

    pub(super) fn take(&mut self) -> Option<Secret<32>> {
        let taken = self.is_there.then(|| self.secret.duplicate());
        self.erase();
        taken
    }

    pub(crate) fn erase(&mut self) {
        self.secret.expose_mut().as_mut_slice().zeroize();
        self.is_there = false;
    }
}
