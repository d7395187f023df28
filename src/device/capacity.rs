// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Capacity`] and [`HeapCapacity`]: how many prekeys and handshakes a device has space for, as a type.

#[cfg(feature = "alloc")]
use super::policy;
use crate::wipe;
use arrayvec::ArrayVec;
use core::ops::DerefMut;

/// Space inside the [`Device`](super::Device), which then needs no allocator.
///
/// `ONE_TIME_PREKEYS` is the maximum number of one-time prekeys, 192 bytes each; a quarter of them is kept at the server.
/// `REPLAY_RECORD` is the maximum number of handshakes without a one-time prekey that the device accepts on one signed
/// prekey, 16 bytes each. `PREVIOUS` is the maximum number of replaced signed prekeys, each with a record of its own:
/// with two, each is kept for two weeks if the signed prekey is replaced every week.
///
/// There are no values of this type; it is a parameter of [`Device`](super::Device).
#[derive(Debug)]
pub enum Capacity<const ONE_TIME_PREKEYS: usize = 40, const REPLAY_RECORD: usize = 64, const PREVIOUS: usize = 2> {}

/// Space on the heap for [`STORED`](policy::STORED) one-time prekeys,
/// [`PREVIOUS_SIGNED_PREKEYS`](policy::PREVIOUS_SIGNED_PREKEYS) replaced signed prekeys, and
/// [`REPLAY_RECORD`](policy::REPLAY_RECORD) handshakes on each signed prekey. It is allocated when it is needed.
///
/// There are no values of this type; it is a parameter of [`Device`](super::Device).
#[cfg(feature = "alloc")]
#[derive(Debug)]
pub enum HeapCapacity {}

/// The trait of [`Capacity`] and `HeapCapacity`. It is sealed.
pub trait Capacities: sealed::Storage {
    /// Maximum number of one-time prekeys that the device holds.
    const ONE_TIME_PREKEYS: usize;
    /// Maximum number of handshakes without a one-time prekey that the device accepts on one signed prekey.
    const REPLAY_RECORD: usize;
    /// Maximum number of replaced signed prekeys that the device holds.
    const PREVIOUS_SIGNED_PREKEYS: usize;
}

impl<const ONE_TIME_PREKEYS: usize, const REPLAY_RECORD: usize, const PREVIOUS: usize> Capacities
    for Capacity<ONE_TIME_PREKEYS, REPLAY_RECORD, PREVIOUS>
{
    const ONE_TIME_PREKEYS: usize = ONE_TIME_PREKEYS;
    const REPLAY_RECORD: usize = REPLAY_RECORD;
    const PREVIOUS_SIGNED_PREKEYS: usize = PREVIOUS;
}

#[cfg(feature = "alloc")]
impl Capacities for HeapCapacity {
    const ONE_TIME_PREKEYS: usize = policy::STORED;
    const REPLAY_RECORD: usize = policy::REPLAY_RECORD;
    const PREVIOUS_SIGNED_PREKEYS: usize = policy::PREVIOUS_SIGNED_PREKEYS;
}

pub(super) mod sealed {
    use super::Slots;

    /// The containers of a device with this capacity.
    pub trait Storage {
        type OneTimePrekeys<T>: Slots<T>;
        type PreviousPrekeys<T>: Slots<T>;
        type ReplayRecord<T>: Slots<T>;
    }
}

impl<const ONE_TIME_PREKEYS: usize, const REPLAY_RECORD: usize, const PREVIOUS: usize> sealed::Storage
    for Capacity<ONE_TIME_PREKEYS, REPLAY_RECORD, PREVIOUS>
{
    type OneTimePrekeys<T> = ArrayVec<T, ONE_TIME_PREKEYS>;
    type PreviousPrekeys<T> = ArrayVec<T, PREVIOUS>;
    type ReplayRecord<T> = ArrayVec<T, REPLAY_RECORD>;
}

#[cfg(feature = "alloc")]
impl sealed::Storage for HeapCapacity {
    type OneTimePrekeys<T> = on_heap::OnHeap<T, { policy::STORED }, { policy::STORED }>;
    type PreviousPrekeys<T> =
        on_heap::OnHeap<T, { policy::PREVIOUS_SIGNED_PREKEYS }, { policy::PREVIOUS_SIGNED_PREKEYS }>;
    // Not secret: it may move when it grows.
    type ReplayRecord<T> = on_heap::OnHeap<T, { policy::REPLAY_RECORD }, 64>;
}

/// A container of fixed capacity that a type names.
#[allow(
    unreachable_pub,
    reason = "a bound of the sealed trait Storage, which is public; some compilers do not see that"
)]
pub trait Slots<T>: DerefMut<Target = [T]> + Sized {
    /// Returns an empty container. Space inside the device is as [`wipe::empty_initialized`] leaves it.
    fn empty_initialized(filler: impl Fn() -> T) -> Self;
    /// Returns an empty container. Space inside the device is as [`wipe::empty_device_array`] leaves it.
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

    /// Drops the element in the last place, after exchanging it with the last one. `remove` would leave a copy after
    /// the end of the array.
    fn remove_swapping(&mut self, at: usize) {
        let last = self.len().saturating_sub(1);
        if at <= last && !self.is_empty() {
            self.swap(at, last);
            self.truncate(last);
        }
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

#[cfg(feature = "alloc")]
mod on_heap {
    use super::Slots;
    use alloc::vec::Vec;
    use core::ops::{Deref, DerefMut};

    /// At most `N` elements on the heap, allocated in blocks of `BLOCK`. With `BLOCK` = `N` the elements never move, so
    /// that no freed block contains a copy of a secret.
    #[derive(Debug)]
    pub struct OnHeap<T, const N: usize, const BLOCK: usize>(Vec<T>);

    impl<T, const N: usize, const BLOCK: usize> Deref for OnHeap<T, N, BLOCK> {
        type Target = [T];

        fn deref(&self) -> &[T] {
            &self.0
        }
    }

    impl<T, const N: usize, const BLOCK: usize> DerefMut for OnHeap<T, N, BLOCK> {
        fn deref_mut(&mut self) -> &mut [T] {
            &mut self.0
        }
    }

    impl<T, const N: usize, const BLOCK: usize> Slots<T> for OnHeap<T, N, BLOCK> {
        fn empty_initialized(_: impl Fn() -> T) -> Self {
            Self(Vec::new())
        }

        fn empty_device_array(_: impl Fn() -> T) -> Self {
            Self(Vec::new())
        }

        fn remaining_capacity(&self) -> usize {
            N.saturating_sub(self.0.len())
        }

        fn push(&mut self, value: T) -> bool {
            let remaining = Slots::remaining_capacity(self);
            if remaining == 0 {
                return false;
            }
            if self.0.len() == self.0.capacity() {
                self.0.reserve_exact(remaining.min(BLOCK));
            }
            self.0.push(value);
            true
        }

        fn truncate(&mut self, len: usize) {
            self.0.truncate(len);
        }
    }
}
