// SPDX-License-Identifier: MIT OR Apache-2.0
fn taken(from: &noescrow::Session) {
    let _ = &from.ratchet;
}

fn main() {}
