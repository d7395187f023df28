// SPDX-License-Identifier: MIT OR Apache-2.0
//! Control: saved outcomes are released, one step after the other.
#![deny(unused_must_use)]
use noescrow::StorageKey;
use noescrow::durable::{Batch, CommitError, Durable, KeyChange, Row, StepError, Store, Subject, rotate_storage_key};
use noescrow::error::EncryptError;
use rand_chacha::ChaCha20Rng;

fn send<S: Store>(
    session: &mut Durable<noescrow::Session>,
    store: &mut S,
    rng: &mut ChaCha20Rng,
) -> Result<[Option<Vec<u8>>; 2], StepError<EncryptError>> {
    let first: Option<Vec<u8>> = session.encrypt(b"first", rng)?.save(store).ok();
    let second: Option<Vec<u8>> = session.encrypt(b"second", rng)?.save(store).ok();
    // Reads go to the session.
    let _ = (session.remote_identity(), session.skipped_message_keys());
    Ok([first, second])
}

fn rotate<S: Store>(store: &mut S, subject: &Subject, keys: (&StorageKey, &StorageKey), rng: &mut ChaCha20Rng) {
    let (old, new) = keys;
    let _ = rotate_storage_key(store, subject, KeyChange { old, new }, 0, rng);
}

struct Nowhere;

impl Store for Nowhere {
    type Error = ();
    fn load(&mut self, _: &Subject) -> Result<Vec<Row>, ()> {
        Ok(Vec::new())
    }
    fn commit(&mut self, _: Batch) -> Result<(), CommitError<()>> {
        Ok(())
    }
}

fn main() {
    let _ = (send::<Nowhere>, rotate::<Nowhere>);
}
