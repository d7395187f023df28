// SPDX-License-Identifier: MIT OR Apache-2.0
fn twice(value: noescrow::FixedSession) -> [noescrow::FixedSession; 2] {
    [value, value]
}

fn main() {}
