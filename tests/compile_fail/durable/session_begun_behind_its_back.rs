// SPDX-License-Identifier: MIT OR Apache-2.0
use noescrow::durable::Durable;
use noescrow::{Bundle, Device, InitiateOptions};

type Rng = rand_chacha::ChaCha20Rng;

fn by_deref(device: &Durable<Device>, bundle: Bundle, options: InitiateOptions, rng: &mut Rng) {
    let _ = Device::initiate(&**device, bundle, b"hi", options, rng);
}

fn by_coercion(device: &Durable<Device>, bundle: Bundle, options: InitiateOptions, rng: &mut Rng) {
    let _ = Device::initiate(device, bundle, b"hi", options, rng);
}

fn into(device: &Durable<Device>, bundle: Bundle, options: InitiateOptions, rng: &mut Rng) {
    let _ = device.initiate_into(bundle, b"hi", options, &mut [0; 9_000], rng);
}

fn main() {}
