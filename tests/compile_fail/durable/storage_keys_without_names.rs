// SPDX-License-Identifier: MIT OR Apache-2.0
//! An exchange of the old and the new storage key would go unnoticed.
use noescrow::StorageKey;
use noescrow::durable::{Store, Subject, rotate_storage_key};
use rand_chacha::ChaCha20Rng;

fn rotate<S: Store>(store: &mut S, subject: &Subject, keys: (&StorageKey, &StorageKey), rng: &mut ChaCha20Rng) {
    let (old, new) = keys;
    let _ = rotate_storage_key(store, subject, new, old, 0, rng);
}

fn positional<S: Store>(store: &mut S, subject: &Subject, keys: (&StorageKey, &StorageKey), rng: &mut ChaCha20Rng) {
    let _ = rotate_storage_key(store, subject, keys, 0, rng);
}

fn main() {}
