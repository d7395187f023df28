// SPDX-License-Identifier: MIT OR Apache-2.0
fn twice(value: noescrow::Device) -> [noescrow::Device; 2] {
    [value, value]
}

fn main() {}
