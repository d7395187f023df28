// SPDX-License-Identifier: MIT OR Apache-2.0
//! The random values of an exploration: a function of who draws them, and for what purpose.

use core::convert::Infallible;
use rand_core::{TryCryptoRng, TryRng};
use sha2::{Digest, Sha256};

/// The random values for one purpose.
pub(crate) struct DerivedRng {
    seed: [u8; 32],
    count: u64,
}

impl DerivedRng {
    pub(crate) fn of(purpose: &[u8]) -> Self {
        Self { seed: Sha256::digest(purpose).into(), count: 0 }
    }
}

impl TryRng for DerivedRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes).map(|()| u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes).map(|()| u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(32) {
            self.count = self.count.wrapping_add(1);
            let block = Sha256::new().chain_update(self.seed).chain_update(self.count.to_be_bytes()).finalize();
            chunk.iter_mut().zip(block).for_each(|(to, from)| *to = from);
        }
        Ok(())
    }
}

impl TryCryptoRng for DerivedRng {}
