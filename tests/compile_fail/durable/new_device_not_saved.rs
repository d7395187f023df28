// SPDX-License-Identifier: MIT OR Apache-2.0
use noescrow::durable::Durable;
use noescrow::{Device, StorageKey};

fn keep(device: Device, key: &StorageKey, rng: &mut rand_chacha::ChaCha20Rng) -> Durable<Device> {
    Durable::<Device>::new(device, key, rng)
}

fn main() {}
