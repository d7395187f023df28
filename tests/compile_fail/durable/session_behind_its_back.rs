// SPDX-License-Identifier: MIT OR Apache-2.0
use noescrow::durable::Durable;

fn send(session: &mut Durable<noescrow::Session>, rng: &mut rand_chacha::ChaCha20Rng) {
    let _ = (**session).encrypt(b"not saved", rng);
}

fn take(session: Durable<noescrow::Session>) -> noescrow::Session {
    *session
}

fn open(device: &mut Durable<noescrow::Device>, message: &[u8]) {
    let _ = noescrow::Device::open(device, message);
}

fn main() {}
