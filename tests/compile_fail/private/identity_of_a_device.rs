// SPDX-License-Identifier: MIT OR Apache-2.0
fn taken(from: &noescrow::Device) {
    let _ = &from.identity;
}

fn main() {}
