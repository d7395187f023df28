// SPDX-License-Identifier: MIT OR Apache-2.0
//! Control: public values may be copied.
fn cloned<T: Clone>() {}

fn twice(value: noescrow::Identity) -> [noescrow::Identity; 2] {
    [value, value]
}

fn main() {
    cloned::<noescrow::Identity>();
    cloned::<noescrow::Prekey>();
    cloned::<noescrow::relay::Envelope>();
    let _ = twice;
}
