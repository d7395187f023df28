// SPDX-License-Identifier: MIT OR Apache-2.0
fn taken(from: &noescrow::Secret<32>) {
    let _ = &from.0;
}

fn main() {}
