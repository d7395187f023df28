// SPDX-License-Identifier: MIT OR Apache-2.0
//! A device that sends texts, each sealed under a key of its own.
#![allow(dead_code, unreachable_pub, reason = "each program uses a part of it")]

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use noescrow_audit::{Field, Kind, Profile, Role, Tape};

/// A random number of SHA-256, as a key of the run.
pub const KEY: [u8; 32] = *b"\x2c\xf2\x4d\xba\x5f\xb0\xa3\x0e\x26\xe8\x3b\x2a\xc5\xb9\xe2\x9e\x1b\x16\x1e\x5c\x1f\xa7\x42\x5e\x73\x04\x33\x62\x93\x8b\x98\x24";
const NONCE: [u8; 12] = [7; 12];

/// A run in which a device sends these texts. Returns the tape, and what the server sees.
pub fn sent(texts: &[&[u8]]) -> (Tape, Vec<u8>) {
    let tape = Tape::in_memory();
    let alice = tape.device("Alice").unwrap();
    alice.given("", &KEY);
    let mut wire = Vec::new();
    for (number, text) in (0u32..).zip(texts) {
        let label = [&number.to_be_bytes()[..], b"k"].concat();
        let key = hmac::sign(&hmac::Key::new(HMAC_SHA256, &KEY), &label);
        let fields =
            [(Role::KdfKey, false, &KEY[..]), (Role::Context, false, &label), (Role::KdfOutput, true, key.as_ref())];
        alice.record("", Kind::Hmac, fields.iter().map(|&(role, is_output, bytes)| Field { role, is_output, bytes }));
        let aead = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_ref()).unwrap());
        let mut sealed = text.to_vec();
        aead.seal_in_place_append_tag(Nonce::assume_unique_for_key(NONCE), Aad::from(b""), &mut sealed).unwrap();
        let (_, tag) = sealed.split_at(text.len());
        let fields = [
            (Role::AeadKey, false, key.as_ref()),
            (Role::Nonce, false, &NONCE),
            (Role::AssociatedData, false, b""),
            (Role::Plaintext, false, text),
            (Role::Tag, true, tag),
        ];
        alice.record("", Kind::Seal, fields.iter().map(|&(role, is_output, bytes)| Field { role, is_output, bytes }));
        wire.extend(sealed);
    }
    (tape, wire)
}

/// A profile without rules that says that no state is stored.
pub fn profile() -> Profile {
    let json = r#"{"format": "noescrow-audit profile", "version": 1, "protocol": "", "kdf": [], "plaintexts": [],
        "messages": [], "layouts": {}, "stored": "never"}"#;
    Profile::from_json(json.as_bytes()).unwrap()
}
