// SPDX-License-Identifier: MIT OR Apache-2.0
fn twice(value: noescrow::primitives::DhKeyPair) -> [noescrow::primitives::DhKeyPair; 2] {
    [value, value]
}

fn main() {}
