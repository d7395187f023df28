// SPDX-License-Identifier: MIT OR Apache-2.0
//! No secret can be copied, so that no key is used twice: asserted when this file compiles.

use noescrow::durable::Durable;
use noescrow::primitives::DhKeyPair;
use noescrow::{AccessKey, Bundle, Device, FixedSession, Secret, Session, StorageKey};
use static_assertions::{assert_impl_all, assert_not_impl_any};

assert_not_impl_any!(AccessKey: Clone, Copy);
assert_not_impl_any!(Bundle: Clone, Copy);
assert_not_impl_any!(Device: Clone, Copy);
assert_not_impl_any!(DhKeyPair: Clone, Copy);
assert_not_impl_any!(Durable<Session>: Clone, Copy);
assert_not_impl_any!(FixedSession: Clone, Copy);
assert_not_impl_any!(Secret<32>: Clone, Copy);
assert_not_impl_any!(Session: Clone, Copy);
assert_not_impl_any!(StorageKey: Clone, Copy);

// Control: public values may be copied. `copies/assertion_about_public_things.rs` shows that the assertion above fails
// for them.
assert_impl_all!(noescrow::Identity: Clone, Copy);
assert_impl_all!(noescrow::relay::Envelope: Clone);
