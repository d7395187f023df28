// SPDX-License-Identifier: MIT OR Apache-2.0
struct Escrow;

impl noescrow::relay::sealed::Sealed for Escrow {}

fn main() {}
