// SPDX-License-Identifier: MIT OR Apache-2.0
use noescrow::durable::{Durable, StepError};
use noescrow::error::EncryptError;
use rand_chacha::ChaCha20Rng;

fn send(session: &mut Durable<noescrow::Session>, rng: &mut ChaCha20Rng) -> Result<Vec<u8>, StepError<EncryptError>> {
    Ok(session.encrypt(b"hi", rng)?.outcome)
}

fn main() {}
