// SPDX-License-Identifier: MIT OR Apache-2.0
static_assertions::assert_impl_all!(noescrow::StorageKey: serde::Serialize);

fn main() {}
