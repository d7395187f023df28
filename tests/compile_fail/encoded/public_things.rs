// SPDX-License-Identifier: MIT OR Apache-2.0
static_assertions::assert_impl_all!(noescrow::Identity: Ord, std::hash::Hash, serde::Serialize);
static_assertions::assert_not_impl_any!(noescrow::StorageKey: Ord, std::hash::Hash, serde::Serialize);

fn main() {}
