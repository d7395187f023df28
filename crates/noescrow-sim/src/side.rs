// SPDX-License-Identifier: MIT OR Apache-2.0
//! The two sides of a conversation, the three parties that can take part in one, and a value for each of them.

/// One of the two ends of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// The initiator.
    Alice,
    /// The responder.
    Bob,
}

impl Side {
    /// The other end.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Alice => Self::Bob,
            Self::Bob => Self::Alice,
        }
    }
}

/// One value for each side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerSide<T> {
    /// The initiator's.
    pub alice: T,
    /// The responder's.
    pub bob: T,
}

impl<T> PerSide<T> {
    /// The value of this side.
    pub const fn of(&self, side: Side) -> &T {
        match side {
            Side::Alice => &self.alice,
            Side::Bob => &self.bob,
        }
    }

    /// The value of this side, for changing it.
    pub const fn of_mut(&mut self, side: Side) -> &mut T {
        match side {
            Side::Alice => &mut self.alice,
            Side::Bob => &mut self.bob,
        }
    }
}

/// A party that can take part in a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Who {
    /// A device.
    Alice,
    /// The other device.
    Bob,
    /// The relay between them, under an identity of its own.
    Relay,
}

impl From<Side> for Who {
    fn from(side: Side) -> Self {
        match side {
            Side::Alice => Self::Alice,
            Side::Bob => Self::Bob,
        }
    }
}

/// One value for each of the three parties.
#[derive(Clone, Debug, Default)]
pub(crate) struct PerParty<T> {
    pub(crate) alice: T,
    pub(crate) bob: T,
    pub(crate) relay: T,
}

impl<T> PerParty<T> {
    pub(crate) const fn of(&self, who: Who) -> &T {
        match who {
            Who::Alice => &self.alice,
            Who::Bob => &self.bob,
            Who::Relay => &self.relay,
        }
    }

    pub(crate) const fn of_mut(&mut self, who: Who) -> &mut T {
        match who {
            Who::Alice => &mut self.alice,
            Who::Bob => &mut self.bob,
            Who::Relay => &mut self.relay,
        }
    }
}
