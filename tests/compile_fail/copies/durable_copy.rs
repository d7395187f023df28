// SPDX-License-Identifier: MIT OR Apache-2.0
fn twice(value: noescrow::durable::Durable<noescrow::Session>) -> [noescrow::durable::Durable<noescrow::Session>; 2] {
    [value, value]
}

fn main() {}
