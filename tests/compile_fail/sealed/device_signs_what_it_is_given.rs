// SPDX-License-Identifier: MIT OR Apache-2.0
//! Attack A7.
fn sign(device: &noescrow::Device, foreign: &noescrow::Identity) {
    device.signed_prekey(foreign);
}

fn main() {}
