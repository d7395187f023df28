// SPDX-License-Identifier: MIT OR Apache-2.0
static_assertions::assert_not_impl_any!(noescrow::Identity: Clone, Copy);
static_assertions::assert_not_impl_any!(noescrow::Prekey: Clone);

fn main() {}
