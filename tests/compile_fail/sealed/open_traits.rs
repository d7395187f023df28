// SPDX-License-Identifier: MIT OR Apache-2.0
//! Control: open traits can be implemented and called from outside.
use noescrow::primitives::{Primitives, RustCrypto};

struct Nowhere;

impl noescrow::durable::Store for Nowhere {
    type Error = ();
    fn load(&mut self, _: &noescrow::durable::Subject) -> Result<Vec<noescrow::durable::Row>, ()> {
        Ok(Vec::new())
    }
    fn commit(&mut self, _: noescrow::durable::Batch) -> Result<(), noescrow::durable::CommitError<()>> {
        Ok(())
    }
}

fn sign(seed: &noescrow::Secret<32>, device: &noescrow::Device) -> [u8; 64] {
    let _ = device.signed_prekey();
    RustCrypto.sign(seed, b"message")
}

fn main() {
    let _ = (sign, Nowhere);
}
