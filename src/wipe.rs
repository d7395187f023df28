// SPDX-License-Identifier: MIT OR Apache-2.0
//! Overwrites the stack that an operation has used.
//!
//! [`Secret`](crate::Secret) wipes a value in the place where it is dropped. A compiler leaves more copies: the place
//! from which a value was moved, spilled registers, and the temporaries of a cipher. Moving a value with unused space
//! (an enum in a smaller variant, or an array that is not full) also copies the stale bytes in that space, possibly to
//! the heap. When an operation has returned, all these copies are below the stack pointer, and this module overwrites
//! them there. `harness/wiping` checks which secrets are left.
//!
//! The depths are bounds on the stack use measured on x86_64 in a release build. If a depth is too small, secrets are
//! left on the stack and `harness/wiping` finds them. If a depth is larger than the operation's own stack use,
//! the wiping needs stack that the operation does not. For this reason no depth for sessions exceeds the deepest stack
//! use of a session, 69 KiB, and no depth at all exceeds that of a device.
//!
//! This module clears neither registers nor the caller's frames, where a session or device was stored before it was
//! moved. A message's step of the post-quantum ratchet may copy some of those bytes into the session; the next steps
//! overwrite them.

use arrayvec::ArrayVec;

/// Whether the program runs on the stack of an operating system's thread, which has hundreds of kilobytes. On targets
/// where every kilobyte matters nothing is overwritten. There the program owns the whole stack and can clear it itself,
/// except for the stale bytes that a device's unused array elements have copied from it.
const HAS_LARGE_STACK: bool = cfg!(target_pointer_width = "64");

/// Calls `operation` in its own frame, below the caller's, and overwrites `DEPTH` bytes from there on after it has
/// returned. On targets where nothing is overwritten, the operation has no frame of its own, because that would cost a
/// copy of its result.
#[inline(always)]
pub(crate) fn wipe_stack_after<const DEPTH: usize, T>(operation: impl FnOnce() -> T) -> T {
    if !HAS_LARGE_STACK {
        return operation();
    }
    let result = in_own_frame(operation);
    zeroize::zeroize_stack::<DEPTH>();
    result
}

/// Does the same as [`wipe_stack_after`], and also overwrites the same bytes before the operation. It is meant for
/// operations that build a value with unused space: without it, stale bytes in that space, such as those of a device
/// that the caller had moved, would go to the heap with the value.
#[inline(always)]
pub(crate) fn wipe_stack_around<const DEPTH: usize, T>(operation: impl FnOnce() -> T) -> T {
    if HAS_LARGE_STACK {
        zeroize::zeroize_stack::<DEPTH>();
    }
    wipe_stack_after::<DEPTH, T>(operation)
}

/// Overwrites `DEPTH` bytes of stack below whoever drops it. It is meant for values that are returned by an operation and
/// dropped by its caller: the operation's own frame, from which the value was moved, may contain a copy.
#[derive(Debug)]
pub(crate) struct WipeStackOnDrop<const DEPTH: usize>;

impl<const DEPTH: usize> Drop for WipeStackOnDrop<DEPTH> {
    fn drop(&mut self) {
        if HAS_LARGE_STACK {
            zeroize::zeroize_stack::<DEPTH>();
        }
    }
}

/// Returns an empty array whose unused elements are initialized with `filler`. A fresh array would contain stale stack
/// bytes, which move with it. In this way keys of a handshake would reach the heap and stay there as long as the
/// session.
pub(crate) fn empty_initialized<T, const N: usize>(filler: impl Fn() -> T) -> ArrayVec<T, N> {
    let mut array = ArrayVec::new();
    // Element by element: `collect` would build the array in a frame of its own and copy it.
    while array.try_push(filler()).is_ok() {}
    array.clear();
    array
}

/// Does the same as [`empty_initialized`] for the arrays of a device, which have many large elements. On targets where
/// every kilobyte matters the elements stay uninitialized.
pub(crate) fn empty_device_array<T, const N: usize>(filler: impl Fn() -> T) -> ArrayVec<T, N> {
    if HAS_LARGE_STACK { empty_initialized(filler) } else { ArrayVec::new() }
}

/// Not inlined, because otherwise the operation's leftovers would be in the caller's frame, which is still in use.
#[inline(never)]
fn in_own_frame<T>(operation: impl FnOnce() -> T) -> T {
    operation()
}

/// Bytes of stack for a few MACs under one key. Small, because a message that belongs to nobody costs no more than this.
pub(crate) const MAC: usize = 2 << 10;
/// Bytes of stack for opening a header: the AEAD alone.
pub(crate) const HEADER: usize = 8 << 10;
/// Bytes of stack for sealing a message. ML-KEM itself clears what it uses beyond that.
pub(crate) const MESSAGE: usize = 32 << 10;
/// Bytes of stack for opening a message, which leaves copies of the state in up to 36,500 bytes.
pub(crate) const OPENING: usize = 40 << 10;
/// Bytes of stack for committing a message's changes, for initializing a ratchet, and for a snapshot, which uses 4,216
/// bytes.
pub(crate) const COMMIT: usize = 16 << 10;
/// Bytes of stack for an ML-KEM operation. Decapsulation, the deepest, uses about 41,000 bytes.
pub(crate) const KEM: usize = 48 << 10;
/// Bytes of stack for a multiplication on the curve, a signature, or a key derivation.
pub(crate) const CURVE: usize = 8 << 10;
/// Bytes of stack for a handshake, for making prekeys, and for restoring a session with its skipped keys on the heap, which
/// uses 46,584 bytes from a snapshot and 54,376 from rows: several copies of the session.
pub(crate) const HANDSHAKE: usize = 64 << 10;
/// Bytes of stack for restoring a device. With a device of 34 KiB that keeps its prekeys inside, restoring uses about
/// 84 KiB; with prekeys on the heap, no more.
pub(crate) const DEVICE: usize = 96 << 10;
