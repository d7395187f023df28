// SPDX-License-Identifier: MIT OR Apache-2.0
fn taken(from: &noescrow::Device) {
    let _ = &from.signed_prekey.pair;
}

fn main() {}
