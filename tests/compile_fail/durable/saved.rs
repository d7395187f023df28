// SPDX-License-Identifier: MIT OR Apache-2.0
//! Control: saved outcomes are released, one step after the other.
#![deny(unused_must_use)]
use noescrow::durable::{Durable, Store};
use noescrow::error::EncryptError;
use rand_chacha::ChaCha20Rng;

fn send<S: Store>(
    session: &mut Durable<noescrow::Session>,
    store: &mut S,
    rng: &mut ChaCha20Rng,
) -> Result<[Option<Vec<u8>>; 2], EncryptError> {
    let first: Option<Vec<u8>> = session.encrypt(b"first", rng)?.save(store).ok();
    let second: Option<Vec<u8>> = session.encrypt(b"second", rng)?.save(store).ok();
    Ok([first, second])
}

struct Nowhere;

impl Store for Nowhere {
    type Error = ();
    fn save(&mut self, _: &[noescrow::durable::Record<'_>]) -> Result<(), ()> {
        Ok(())
    }
}

fn main() {
    let _ = send::<Nowhere>;
}
