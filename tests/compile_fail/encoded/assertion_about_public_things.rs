// SPDX-License-Identifier: MIT OR Apache-2.0
static_assertions::assert_not_impl_any!(noescrow::Identity: Ord);
static_assertions::assert_not_impl_any!(noescrow::Prekey: std::hash::Hash);
static_assertions::assert_not_impl_any!(noescrow::Bundle: serde::Serialize);

fn main() {}
