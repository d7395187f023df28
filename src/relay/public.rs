// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Public`]: the sealed trait of everything that a server may hold, and [`Held`], the container of such values.

use super::sealed::Sealed;
use crate::access::AccessKeyHash;
use crate::identity::Identity;
use crate::prekeys::Prekey;
use alloc::vec::Vec;
use core::net::IpAddr;

/// Types that a server may hold. The trait is sealed, and only public types have it.
///
/// # Security
/// `Secret`, `Device`, `Session`, `StorageKey`, `AccessKey` and plain bytes do not have it. Tests check that passing
/// one of them does not compile.
pub trait Public: Sealed {
    /// Appends every byte of the value.
    #[doc(hidden)]
    fn write(&self, out: &mut Vec<u8>);
}

/// Implements [`Public`] for types of this crate and for numbers, flags and addresses.
macro_rules! impl_public {
    ($($type:ty => |$value:ident, $out:ident| $write:expr;)+) => {$(
        impl $crate::relay::sealed::Sealed for $type {}
        impl $crate::relay::public::Public for $type {
            fn write(&self, $out: &mut alloc::vec::Vec<u8>) {
                let $value = self;
                $write;
            }
        }
    )+};
}
pub(super) use impl_public;

impl_public! {
    Identity => |identity, out| out.extend_from_slice(&identity.to_bytes());
    Prekey => |prekey, out| out.extend_from_slice(&prekey.to_bytes());
    IpAddr => |address, out| match address {
        IpAddr::V4(v4) => write_bytes(&v4.octets(), out),
        IpAddr::V6(v6) => write_bytes(&v6.octets(), out),
    };
    u64 => |number, out| out.extend_from_slice(&number.to_be_bytes());
    bool => |flag, out| out.push(u8::from(*flag));
    AccessKeyHash => |hash, out| out.extend_from_slice(&hash.to_bytes());
}

/// Writes the length (8 bytes), then the bytes.
pub(super) fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// A value that the server stores. The relay has no other container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Held<T: Public>(pub(super) T);
