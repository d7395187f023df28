// SPDX-License-Identifier: MIT OR Apache-2.0
//! Generators that return what a test gives them: one byte for ever, or chosen ids.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{TryCryptoRng, TryRng};
use std::convert::Infallible;

/// A generator that returns the same byte for ever.
pub struct Stuck(pub u8);

impl TryRng for Stuck {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_ne_bytes([self.0; 4]))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_ne_bytes([self.0; 8]))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        out.fill(self.0);
        Ok(())
    }
}

impl TryCryptoRng for Stuck {}

/// A generator whose draws of four bytes, which are ids, are given.
pub struct Ids {
    ids: Box<dyn Iterator<Item = u32>>,
    others: ChaCha20Rng,
}

impl Ids {
    /// The ids must not end.
    pub fn new(ids: impl Iterator<Item = u32> + 'static, others: ChaCha20Rng) -> Self {
        Self { ids: Box::new(ids), others }
    }

    /// Continues with other ids, which must not end either.
    pub fn continue_with(&mut self, ids: impl Iterator<Item = u32> + 'static) {
        self.ids = Box::new(ids);
    }
}

impl TryRng for Ids {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.others.try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.others.try_next_u64()
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        match out.len() {
            4 => {
                out.copy_from_slice(&self.ids.next().unwrap().to_be_bytes());
                Ok(())
            }
            _ => self.others.try_fill_bytes(out),
        }
    }
}

impl TryCryptoRng for Ids {}
