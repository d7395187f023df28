// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Capacity`]: how many prekeys and handshakes a device has space for, as a type. The device needs no allocator.

use crate::wipe;
use arrayvec::ArrayVec;
use core::ops::DerefMut;

/// The space in a [`Device`](super::Device), which is allocated inside it.
///
/// `ONE_TIME_PREKEYS` is the maximum number of one-time prekeys, 176 bytes each. `REPLAY_RECORD` is the maximum number
/// of handshakes without a one-time prekey that the device accepts on one signed prekey, 32 bytes each, twice.
///
/// There are no values of this type; it is a parameter of [`Device`](super::Device).
#[derive(Debug)]
pub enum Capacity<const ONE_TIME_PREKEYS: usize = 100, const REPLAY_RECORD: usize = 256> {}

/// The trait of every [`Capacity`]. It is sealed.
pub trait Capacities: sealed::Storage {
    /// Maximum number of one-time prekeys that the device holds.
    const ONE_TIME_PREKEYS: usize;
    /// Maximum number of handshakes without a one-time prekey that the device accepts on one signed prekey.
    const REPLAY_RECORD: usize;
}

impl<const ONE_TIME_PREKEYS: usize, const REPLAY_RECORD: usize> Capacities
    for Capacity<ONE_TIME_PREKEYS, REPLAY_RECORD>
{
    const ONE_TIME_PREKEYS: usize = ONE_TIME_PREKEYS;
    const REPLAY_RECORD: usize = REPLAY_RECORD;
}

pub(super) mod sealed {
    use super::Slots;

    /// The containers of a device with this capacity.
    pub trait Storage {
        type OneTimePrekeys<T>: Slots<T>;
        type ReplayRecord<T>: Slots<T>;
    }
}

impl<const ONE_TIME_PREKEYS: usize, const REPLAY_RECORD: usize> sealed::Storage
    for Capacity<ONE_TIME_PREKEYS, REPLAY_RECORD>
{
    type OneTimePrekeys<T> = ArrayVec<T, ONE_TIME_PREKEYS>;
    type ReplayRecord<T> = ArrayVec<T, REPLAY_RECORD>;
}

/// A container of fixed capacity inside the device: an `ArrayVec` whose capacity is named by a type.
#[allow(
    unreachable_pub,
    reason = "a bound of the sealed trait Storage, which is public; some compilers do not see that"
)]
pub trait Slots<T>: DerefMut<Target = [T]> + Sized {
    /// Returns [`wipe::empty_initialized`].
    fn empty_initialized(filler: impl Fn() -> T) -> Self;
    /// Returns [`wipe::empty_device_array`].
    fn empty_device_array(filler: impl Fn() -> T) -> Self;
    /// Returns the number of elements for which there is space.
    fn remaining_capacity(&self) -> usize;
    /// Appends a value and returns whether there was space for it.
    #[must_use]
    fn push(&mut self, value: T) -> bool;
    /// Drops the elements from `len` on in place, so that they are wiped in their places.
    fn truncate(&mut self, len: usize);

    /// Returns whether there is no space left.
    fn is_full(&self) -> bool {
        self.remaining_capacity() == 0
    }
}

impl<T, const N: usize> Slots<T> for ArrayVec<T, N> {
    #[inline(always)]
    fn empty_initialized(filler: impl Fn() -> T) -> Self {
        wipe::empty_initialized(filler)
    }

    #[inline(always)]
    fn empty_device_array(filler: impl Fn() -> T) -> Self {
        wipe::empty_device_array(filler)
    }

    fn remaining_capacity(&self) -> usize {
        Self::remaining_capacity(self)
    }

    fn push(&mut self, value: T) -> bool {
        self.try_push(value).is_ok()
    }

    fn truncate(&mut self, len: usize) {
        Self::truncate(self, len);
    }
}
