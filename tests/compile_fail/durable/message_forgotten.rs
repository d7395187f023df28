// SPDX-License-Identifier: MIT OR Apache-2.0
#![deny(unused_must_use)]
use noescrow::durable::{Durable, StepError};
use noescrow::error::EncryptError;
use rand_chacha::ChaCha20Rng;

fn send(session: &mut Durable<noescrow::Session>, rng: &mut ChaCha20Rng) -> Result<(), StepError<EncryptError>> {
    session.encrypt(b"hi", rng)?;
    Ok(())
}

fn main() {}
