// SPDX-License-Identifier: MIT OR Apache-2.0
//! A recorder's primitives that also tell at which step they are: for refusals, of which most perform no operation.

use noescrow::Secret;
use noescrow::primitives::{Failed, Primitives};
use noescrow_recorder::Recorder;
use std::cell::Cell;
use std::rc::Rc;

#[derive(Clone, Debug)]
pub struct Watched {
    recorder: Recorder,
    step: Rc<Cell<&'static str>>,
}

impl Watched {
    pub fn new(recorder: Recorder, step: Rc<Cell<&'static str>>) -> Self {
        Self { recorder, step }
    }
}

macro_rules! performs {
    ($(fn $name:ident($($argument:ident: $type:ty),*) -> $output:ty;)*) => {$(
        fn $name(&self, $($argument: $type),*) -> $output {
            self.recorder.$name($($argument),*)
        }
    )*};
}

impl Primitives for Watched {
    fn step(&self, label: &'static str) {
        self.step.set(label);
        self.recorder.step(label);
    }

    performs! {
        fn fresh(value: &[u8]) -> ();
        fn dh_public(secret: &Secret<32>) -> [u8; 32];
        fn dh(secret: &Secret<32>, public: &[u8; 32]) -> Result<Secret<32>, Failed>;
        fn dh_is_torsion_free(public: &[u8; 32]) -> bool;
        fn signing_public(seed: &Secret<32>) -> [u8; 32];
        fn sign(seed: &Secret<32>, message: &[u8]) -> [u8; 64];
        fn signing_is_torsion_free(public: &[u8; 32]) -> bool;
        fn verify(public: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> Result<(), Failed>;
        fn kem_public(seed: &Secret<64>) -> [u8; 1568];
        fn kem_public_is_valid(public: &[u8; 1568]) -> bool;
        fn encapsulate(public: &[u8; 1568], coins: &Secret<32>) -> ([u8; 1568], Secret<32>);
        fn decapsulate(seed: &Secret<64>, ciphertext: &[u8; 1568]) -> Secret<32>;
        fn incremental_public(seed: &Secret<64>) -> ([u8; 64], [u8; 1152]);
        fn encaps1(header: &[u8; 64], coins: &Secret<32>) -> ([u8; 960], Secret<32>);
        fn encaps2(header: &[u8; 64], ek_vector: &[u8; 1152], coins: &Secret<32>) -> Result<[u8; 128], Failed>;
        fn incremental_decapsulate(seed: &Secret<64>, ct1: &[u8; 960], ct2: &[u8; 128]) -> Secret<32>;
        fn hmac(key: &[u8], parts: &[&[u8]]) -> Secret<32>;
        fn hmac_pair(key: &Secret<32>, first: u8, second: u8) -> (Secret<32>, Secret<32>);
        fn hkdf(salt: &[u8], ikm: &[&[u8]], info: &[&[u8]], out: &mut [u8]) -> ();
        fn hkdf_expand(prk: &Secret<32>, info: &[&[u8]], out: &mut [u8]) -> ();
        fn sha256(parts: &[&[u8]]) -> [u8; 32];
        fn sha512(parts: &[&[u8]]) -> [u8; 64];
        fn seal(key: &Secret<32>, nonce: &[u8; 12], ad: &[u8], buffer: &mut [u8]) -> Result<[u8; 16], Failed>;
        fn open(key: &Secret<32>, nonce: &[u8; 12], ad: &[u8], buffer: &mut [u8], tag: &[u8; 16]) -> Result<(), Failed>;
    }
}
