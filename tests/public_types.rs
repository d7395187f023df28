// SPDX-License-Identifier: MIT OR Apache-2.0
//! Public types as keys of maps, from slices, as bytes, and in the formats of serde. No secret type has any of this.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test states its expectations"
)]

#[path = "public_types/bundles.rs"]
mod bundles;
#[path = "public_types/formats.rs"]
mod formats;
#[path = "public_types/maps.rs"]
mod maps;
#[path = "public_types/publications.rs"]
mod publications;
#[path = "public_types/secrets.rs"]
mod secrets;

use noescrow::primitives::RustCrypto;
use noescrow::{Bundle, Device, Publication, UnixSeconds};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// The device of this seed, with a publication of so many one-time prekeys.
fn published(seed: u64, count: usize) -> (Device, Publication) {
    let mut rng = rng(seed);
    let mut device = Device::generate(NOW, &mut rng);
    let publication = device.publish(count, NOW, &mut rng).unwrap();
    (device, publication)
}

fn bundle_of(publication: &Publication, with_one_time: bool) -> Bundle {
    let one_time = publication.one_time_prekeys.first().filter(|_| with_one_time).cloned();
    Bundle::new(publication.identity, publication.signed_prekey.clone(), one_time).unwrap()
}

fn parse(bytes: &[u8]) -> Result<Publication, noescrow::error::DecodeError> {
    Publication::from_bytes(&RustCrypto, bytes)
}
