// SPDX-License-Identifier: MIT OR Apache-2.0
use noescrow::durable::Durable;
use noescrow::{Device, Prekey};

fn upload(device: &Durable<Device>) -> Prekey {
    device.signed_prekey()
}

fn unlisted(device: &Durable<Device>) -> Vec<Prekey> {
    device.unlisted_one_time_prekeys().collect()
}

fn around(device: &Durable<Device>) -> Prekey {
    Device::signed_prekey(device)
}

fn main() {}
