// SPDX-License-Identifier: MIT OR Apache-2.0
fn taken(from: &noescrow::primitives::DhKeyPair) {
    let _ = &from.secret;
}

fn main() {}
