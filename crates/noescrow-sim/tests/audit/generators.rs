// SPDX-License-Identifier: MIT OR Apache-2.0
//! Generators: a good one, and faulty ones that real devices have had.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng, TryCryptoRng, TryRng};
use std::convert::Infallible;

#[derive(Clone)]
pub enum Source {
    Good(ChaCha20Rng),
    /// Reseeded for every draw with 16 bits (Debian 2008: a process number).
    SixteenBits(ChaCha20Rng),
    /// A device file that returns only zeros.
    Zeros,
    /// Leaks half of the last key in every short draw, a salt that everybody sees (Young and Yung 1996).
    Leaking {
        rng: ChaCha20Rng,
        key: [u8; 32],
    },
    /// Returns supplied bytes first.
    Supplied {
        bytes: Vec<u8>,
        then: ChaCha20Rng,
    },
}

impl Source {
    pub fn good(seed: u64) -> Self {
        Self::Good(ChaCha20Rng::seed_from_u64(seed))
    }
}

/// A random number below `bound`.
pub fn draw(rng: &mut ChaCha20Rng, bound: usize) -> usize {
    (rng.next_u64() % bound as u64) as usize
}

impl TryRng for Source {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        match self {
            Self::Good(rng) => rng.fill_bytes(out),
            Self::SixteenBits(rng) => ChaCha20Rng::seed_from_u64(rng.next_u64() & 0xFFFF).fill_bytes(out),
            Self::Zeros => out.fill(0),
            Self::Leaking { rng, key } => match out.len() {
                32 => {
                    rng.fill_bytes(key);
                    out.copy_from_slice(key);
                }
                len => out.copy_from_slice(&key[..len]),
            },
            Self::Supplied { bytes, then } if bytes.len() < out.len() => then.fill_bytes(out),
            Self::Supplied { bytes, .. } => {
                let rest = bytes.split_off(out.len());
                out.copy_from_slice(bytes);
                *bytes = rest;
            }
        }
        Ok(())
    }
}

impl TryCryptoRng for Source {}
