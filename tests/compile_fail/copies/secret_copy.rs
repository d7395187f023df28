// SPDX-License-Identifier: MIT OR Apache-2.0
fn twice(value: noescrow::Secret<32>) -> [noescrow::Secret<32>; 2] {
    [value, value]
}

fn main() {}
