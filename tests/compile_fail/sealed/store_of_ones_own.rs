// SPDX-License-Identifier: MIT OR Apache-2.0
//! Only the crate sets the bounds of a store of skipped keys.
#[derive(Debug, Default)]
struct Boundless;

impl noescrow::skipped::SkippedKeyStore for Boundless {}

fn main() {}
