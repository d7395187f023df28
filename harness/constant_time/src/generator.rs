// SPDX-License-Identifier: MIT OR Apache-2.0
//! A generator whose every byte is secret as soon as it is drawn, except those of prekey ids.

use crate::marks::{Mark, Marks};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Infallible, SeedableRng, TryCryptoRng, TryRng};

const PREKEY_ID_LEN: usize = 4;

pub struct Generator {
    rng: ChaCha20Rng,
    marks: Marks,
}

impl Generator {
    pub fn new(seed: u64, marks: Marks) -> Self {
        Self { rng: ChaCha20Rng::seed_from_u64(seed), marks }
    }
}

impl TryRng for Generator {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        unreachable!("a word would leave unmarked")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        unreachable!("a word would leave unmarked")
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.rng.try_fill_bytes(bytes)?;
        // What is published as it is drawn. Nothing else is drawn in four bytes.
        if bytes.len() != PREKEY_ID_LEN {
            self.marks.secret(Mark::Drawn, bytes);
        }
        Ok(())
    }
}

impl TryCryptoRng for Generator {}
