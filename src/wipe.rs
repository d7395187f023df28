// SPDX-License-Identifier: MIT OR Apache-2.0
//! The stack behind an operation, overwritten.
//!
//! [`Secret`](crate::Secret) wipes a value where it dies. A compiler leaves more than that: the place from which a value
//! was moved, a register that was spilled, the temporaries of a cipher; and where a value with unused room is moved, an
//! enum's smaller variant or an array that is not full, what lay there before goes with it to the heap. All of it lies below
//! the stack pointer when the operation has returned, and there it is overwritten. `harness/wiping` looks at what is left.
//!
//! The depths are bounds of what was measured on x86_64 in a release build. One that is too small leaves something behind,
//! and `harness/wiping` finds it; one that is larger than what an operation uses needs stack that the operation does not. So
//! none that belongs to sessions is larger than the deepest use by a session, 69 KiB, and none at all larger than that by a
//! device.
//!
//! What it does not do: clear registers, or the frames of the caller, where a session or device lay that was moved from there.
//! A message's step of the post-quantum ratchet may take some of that along into the session; the next ones overwrite it.

use arrayvec::ArrayVec;

/// Whether the stack is that of an operating system's thread, hundreds of kilobytes. Where every kilobyte is counted
/// nothing is overwritten: there the program owns the whole stack, and can clear it, if not what a device's unused places
/// took along from there.
const HAS_ROOM: bool = cfg!(target_pointer_width = "64");

/// Calls `operation` in a frame of its own, below the caller's, and overwrites `DEPTH` bytes from there on when it has
/// returned. Where nothing is overwritten it has no frame of its own either, which would cost a copy of what it returns.
#[inline(always)]
pub(crate) fn behind<const DEPTH: usize, T>(operation: impl FnOnce() -> T) -> T {
    if !HAS_ROOM {
        return operation();
    }
    let result = apart(operation);
    zeroize::zeroize_stack::<DEPTH>();
    result
}

/// [`behind`], and overwrites the same bytes before: for what is put together here and has room that it does not use. With it
/// goes to the heap what lay there, such as a device that the caller had moved.
#[inline(always)]
pub(crate) fn around<const DEPTH: usize, T>(operation: impl FnOnce() -> T) -> T {
    if HAS_ROOM {
        zeroize::zeroize_stack::<DEPTH>();
    }
    behind::<DEPTH, T>(operation)
}

/// An empty array whose room holds `nothing`. In a fresh one it holds what lay there before, and goes with the array wherever
/// that is moved: so do keys of a handshake get to the heap, and stay as long as the session.
pub(crate) fn empty<T, const N: usize>(nothing: impl Fn() -> T) -> ArrayVec<T, N> {
    let mut array: ArrayVec<T, N> = (0..N).map(|_| nothing()).collect();
    array.clear();
    array
}

/// [`empty`], for a device's places, of which there are many and large ones: where every kilobyte is counted they are left as
/// they are.
pub(crate) fn empty_places<T, const N: usize>(nothing: impl Fn() -> T) -> ArrayVec<T, N> {
    if HAS_ROOM { empty(nothing) } else { ArrayVec::new() }
}

/// The same of what may be there once.
pub(crate) fn none<T>(nothing: impl Fn() -> T) -> Option<T> {
    let mut room = HAS_ROOM.then(nothing);
    if room.is_some() {
        // Assigned, not taken: it is wiped where it lies.
        room = None;
    }
    room
}

/// Not inlined: what the operation leaves would lie in the caller's frame, which is in use.
#[inline(never)]
fn apart<T>(operation: impl FnOnce() -> T) -> T {
    operation()
}

/// Bytes of stack for sealing a message and for opening one, which uses 28,368; what ML-KEM uses beyond that it clears itself.
pub(crate) const MESSAGE: usize = 32 << 10;
/// For storing what a message changes, for the beginning of a ratchet, and for a snapshot, which uses 4,216.
pub(crate) const COMMIT: usize = 16 << 10;
/// For an operation of ML-KEM: decapsulation, the deepest, uses some 41,000.
pub(crate) const KEM: usize = 48 << 10;
/// For a multiplication on the curve, a signature, or a key derivation.
pub(crate) const CURVE: usize = 8 << 10;
/// For a handshake, for making prekeys, and for restoring a session, which uses 60,440.
pub(crate) const HANDSHAKE: usize = 64 << 10;
/// For restoring a device, which is 34,592 bytes and is moved more than once: that uses 194,000.
pub(crate) const DEVICE: usize = 192 << 10;
