// SPDX-License-Identifier: MIT OR Apache-2.0
fn send(session: &noescrow::durable::Durable<noescrow::Session>) -> Vec<u8> {
    session.snapshot(&noescrow::StorageKey::new([0; 32]), 1)
}

fn initiate(device: &noescrow::durable::Durable<noescrow::Device>, bundle: &noescrow::Bundle) {
    let mut rng: rand_chacha::ChaCha20Rng = rand_chacha::rand_core::SeedableRng::seed_from_u64(0);
    let _ = device.initiate(bundle, b"", noescrow::InitiateOptions::unverified(noescrow::UnixSeconds(0)), &mut rng);
}

fn main() {}
