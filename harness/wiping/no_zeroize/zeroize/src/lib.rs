// SPDX-License-Identifier: MIT OR Apache-2.0
//! The part of the interface of the crate `zeroize` that our dependencies use. It wipes nothing.

#![no_std]
#![allow(clippy::missing_safety_doc, reason = "that of the crate whose interface this is")]

extern crate alloc;

use core::mem::MaybeUninit;
use core::ops::{Deref, DerefMut};

pub trait Zeroize {
    fn zeroize(&mut self);
}

pub trait ZeroizeOnDrop {}

pub trait DefaultIsZeroes: Copy + Default + Sized {}

impl<Z: DefaultIsZeroes> Zeroize for Z {
    fn zeroize(&mut self) {}
}

macro_rules! default_is_zeroes {
    ($($name:ty)*) => { $(impl DefaultIsZeroes for $name {})* };
}
default_is_zeroes!(() bool char i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize f32 f64);

macro_rules! nothing {
    ($([$($of:tt)*] $name:ty;)*) => { $(impl<$($of)*> Zeroize for $name { fn zeroize(&mut self) {} })* };
}
nothing! {
    [Z: Zeroize, const N: usize] [Z; N];
    [Z: DefaultIsZeroes] [Z];
    [Z] MaybeUninit<Z>;
    [Z: Zeroize] Option<Z>;
    [Z: Zeroize] core::slice::IterMut<'_, Z>;
    [Z: Zeroize] alloc::vec::Vec<Z>;
    [Z: Zeroize] alloc::boxed::Box<[Z]>;
}

impl<Z: ZeroizeOnDrop, const N: usize> ZeroizeOnDrop for [Z; N] {}
impl<Z: ZeroizeOnDrop> ZeroizeOnDrop for Option<Z> {}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zeroizing<Z>(Z);

impl<Z> Zeroizing<Z> {
    pub fn new(value: Z) -> Self {
        Self(value)
    }
}

impl<Z> Deref for Zeroizing<Z> {
    type Target = Z;

    fn deref(&self) -> &Z {
        &self.0
    }
}

impl<Z> DerefMut for Zeroizing<Z> {
    fn deref_mut(&mut self) -> &mut Z {
        &mut self.0
    }
}

impl<Z> ZeroizeOnDrop for Zeroizing<Z> {}

pub fn optimization_barrier<T: ?Sized>(_: &T) {}

pub fn zeroize_bytes(_: &mut [u8]) {}

pub fn zeroize_stack<const N: usize>() {}

pub unsafe fn zeroize_flat_type<F: Sized>(_: *mut F) {}
