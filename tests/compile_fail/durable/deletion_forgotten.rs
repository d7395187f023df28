// SPDX-License-Identifier: MIT OR Apache-2.0
#![deny(unused_must_use)]

fn clean(device: &mut noescrow::durable::Durable<noescrow::Device>) {
    device.delete_expired(noescrow::UnixSeconds(0));
}

fn main() {}
