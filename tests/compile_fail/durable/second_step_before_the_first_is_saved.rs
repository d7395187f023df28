// SPDX-License-Identifier: MIT OR Apache-2.0
use noescrow::durable::{Durable, StepError};
use noescrow::error::EncryptError;
use rand_chacha::ChaCha20Rng;

fn send(session: &mut Durable<noescrow::Session>, rng: &mut ChaCha20Rng) -> Result<(), StepError<EncryptError>> {
    let first = session.encrypt(b"first", rng)?;
    let second = session.encrypt(b"second", rng)?;
    drop((first, second));
    Ok(())
}

fn main() {}
