// SPDX-License-Identifier: MIT OR Apache-2.0
fn twice(value: noescrow::Session) -> [noescrow::Session; 2] {
    [value, value]
}

fn main() {}
