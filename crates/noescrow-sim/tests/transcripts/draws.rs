// SPDX-License-Identifier: MIT OR Apache-2.0
//! Generators: a seeded one that records what was drawn, for making transcripts; and one that returns what a transcript
//! lists, for replaying them.

use super::json::{Event, hex_of};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{CryptoRng, Rng, SeedableRng, TryCryptoRng, TryRng};
use serde_json::Value;
use std::collections::VecDeque;
use std::convert::Infallible;

/// The source of an event's randomness.
pub trait Source: CryptoRng {
    /// Before an event: the draws that it lists.
    fn begin(&mut self, event: &Event) -> Result<(), String>;
    /// After it: what was drawn, in order. An error if that differs from the list.
    fn end(&mut self) -> Result<Vec<Vec<u8>>, String>;
}

pub struct Seeded {
    inner: ChaCha20Rng,
    drawn: Vec<Vec<u8>>,
}

impl Seeded {
    pub fn new(seed: u64) -> Self {
        Self { inner: ChaCha20Rng::seed_from_u64(seed), drawn: vec![] }
    }
}

impl Source for Seeded {
    fn begin(&mut self, _: &Event) -> Result<(), String> {
        self.drawn.clear();
        Ok(())
    }
    fn end(&mut self) -> Result<Vec<Vec<u8>>, String> {
        Ok(std::mem::take(&mut self.drawn))
    }
}

/// A generator cannot fail: draws beyond the list return zeros, and the event fails at its end.
#[derive(Default)]
pub struct Listed {
    left: VecDeque<Vec<u8>>,
    drawn: Vec<Vec<u8>>,
    failed: Option<String>,
}

impl Source for Listed {
    fn begin(&mut self, event: &Event) -> Result<(), String> {
        let draws = match event.get("draws") {
            None => &[],
            Some(Value::Array(draws)) => &draws[..],
            Some(_) => return Err("the draws are not a list".into()),
        };
        self.left = draws.iter().map(|draw| hex_of(&draw["bytes"])).collect::<Result<_, _>>()?;
        self.drawn.clear();
        self.failed = None;
        Ok(())
    }

    fn end(&mut self) -> Result<Vec<Vec<u8>>, String> {
        match (self.failed.take(), self.left.len()) {
            (Some(failed), _) => Err(failed),
            (None, 0) => Ok(std::mem::take(&mut self.drawn)),
            (None, left) => Err(format!("{left} draws were not drawn")),
        }
    }
}

impl Listed {
    fn give(&mut self, bytes: &mut [u8]) {
        bytes.fill(0);
        match self.left.pop_front() {
            Some(listed) if listed.len() == bytes.len() => {
                bytes.copy_from_slice(&listed);
                self.drawn.push(listed);
            }
            Some(listed) => {
                let failed = format!("{} bytes are drawn where {} are listed", bytes.len(), listed.len());
                self.failed.get_or_insert(failed);
            }
            None => {
                self.failed.get_or_insert(format!("{} bytes are drawn beyond the list", bytes.len()));
            }
        }
    }
}

macro_rules! generator {
    ($of:ty, $fill:expr) => {
        impl TryRng for $of {
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
                $fill(self, bytes);
                Ok(())
            }
        }
        impl TryCryptoRng for $of {}
    };
}

generator!(Listed, Self::give);
generator!(Seeded, |seeded: &mut Self, bytes: &mut [u8]| {
    seeded.inner.fill_bytes(bytes);
    seeded.drawn.push(bytes.to_vec());
});
