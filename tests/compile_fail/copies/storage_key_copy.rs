// SPDX-License-Identifier: MIT OR Apache-2.0
fn twice(value: noescrow::StorageKey) -> [noescrow::StorageKey; 2] {
    [value, value]
}

fn main() {}
