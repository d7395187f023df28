// SPDX-License-Identifier: MIT OR Apache-2.0
//! No secret type is a key of a map or goes into a format: asserted when this file compiles.
//! `compile_fail/encoded` has the control: of a public type, the same assertions fail.

use noescrow::attachment::AttachmentKey;
use noescrow::durable::Durable;
use noescrow::messenger::Messenger;
use noescrow::primitives::DhKeyPair;
use noescrow::{AccessKey, Device, FixedSession, HedgeSecret, Secret, Session, StorageKey};
use serde::Serialize;
use serde::de::DeserializeOwned;
use static_assertions::{assert_impl_all, assert_not_impl_any};
use std::hash::Hash;

macro_rules! is_secret {
    ($($name:ty),+ $(,)?) => {$(
        assert_not_impl_any!($name: Hash, PartialOrd, Ord, Serialize, DeserializeOwned, TryFrom<&'static [u8]>);
    )+};
}

is_secret!(
    AccessKey,
    AttachmentKey,
    Device,
    DhKeyPair,
    Durable<Device>,
    Durable<Session>,
    FixedSession,
    HedgeSecret,
    Messenger,
    Secret<32>,
    Session,
    StorageKey,
);

// Control.
assert_impl_all!(noescrow::Identity: Hash, PartialOrd, Ord, Serialize, DeserializeOwned, TryFrom<&'static [u8]>);
