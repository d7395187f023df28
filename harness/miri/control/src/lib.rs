// SPDX-License-Identifier: MIT OR Apache-2.0
//! Controls of `run`, one test each: undefined behaviour of the kinds that dependencies could have. Each test passes
//! without Miri. `sound` has none.
#![cfg(test)]

use std::mem::MaybeUninit;

#[test]
fn sound() {
    let mut bytes = [1; 4];
    // SAFETY: within the array, and nothing else uses it.
    let last = unsafe { &mut *bytes.as_mut_ptr().add(3) };
    *last = 2;
    assert_eq!(bytes, [1, 1, 1, 2]);
}

/// A byte that was never written.
#[test]
fn uninitialised() {
    let byte = MaybeUninit::<u8>::uninit();
    // Wrong on purpose.
    let _ = std::hint::black_box(unsafe { byte.assume_init() } == 0);
}

/// One beyond the end.
#[test]
fn out_of_bounds() {
    let bytes = vec![1u8; 4];
    // Wrong on purpose.
    let _ = std::hint::black_box(unsafe { *bytes.as_ptr().add(4) });
}

/// Two mutable references to one place, the older of which is used: forbidden by the aliasing model, Stacked Borrows.
#[test]
fn aliased() {
    let mut byte = 1u8;
    let place = &raw mut byte;
    // Wrong on purpose.
    let (one, other) = unsafe { (&mut *place, &mut *place) };
    *other = 2;
    *one = 3;
    assert_eq!(byte, 3);
}
