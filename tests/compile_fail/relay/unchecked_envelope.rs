// SPDX-License-Identifier: MIT OR Apache-2.0
fn wrap(key: Vec<u8>) -> noescrow::relay::Envelope {
    noescrow::relay::Envelope(key)
}

fn main() {}
