// SPDX-License-Identifier: MIT OR Apache-2.0
//! The bounds of a store of skipped keys are the crate's.
#[derive(Debug, Default)]
struct Boundless;

impl noescrow::SkippedKeyStore for Boundless {}

fn main() {}
