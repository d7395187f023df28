// SPDX-License-Identifier: MIT OR Apache-2.0
fn taken(from: &noescrow::StorageKey) {
    let _ = &from.0;
}

fn main() {}
