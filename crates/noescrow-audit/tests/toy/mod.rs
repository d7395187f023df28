// SPDX-License-Identifier: MIT OR Apache-2.0
//! A toy protocol, which the audit does not know: a symmetric ratchet over a shared secret, and sealed states.
//!
//! - T-1: session key (32) ‖ chain key (32) ‖ session id (16) = Expand(shared secret, "toy session", 80).
//! - T-2: message key = HMAC(chain key, 01), next chain key = HMAC(chain key, 02); the padded text is sealed.
//! - T-3: the state, `1 ‖ chain key ‖ count (u8) ‖ {number (u16)}`, is sealed under the storage key.
#![allow(dead_code, unreachable_pub, reason = "each test program uses a part of it")]

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use hex_literal::hex;
use noescrow_audit::{Field, Kind, Profile, Role, Tape, Track};

pub const PROFILE: &str = r#"{
  "format": "noescrow-audit profile",
  "version": 1,
  "protocol": "toy",
  "kdf": [
    { "operation": "HKDF-Expand", "label": "toy session", "whole": true, "output": [
      { "field": "toy session key", "len": 32, "class": "secret" },
      { "field": "toy chain key", "len": 32, "class": "secret" },
      { "field": "toy session id", "len": 16, "class": "public" }] },
    { "operation": "HMAC-SHA-256", "label": { "hex": "01" }, "whole": true, "output": [
      { "field": "toy message key", "len": 32, "class": "secret" }] },
    { "operation": "HMAC-SHA-256", "label": { "hex": "02" }, "whole": true, "output": [
      { "field": "toy chain key", "len": 32, "class": "secret" }] }
  ],
  "plaintexts": [
    { "steps": ["T-2"], "padding": "iso-7816-4, padmé length", "class": "neutral", "name": "padded toy text" }
  ],
  "messages": ["T-2"],
  "stored": {
    "steps": ["T-3"], "name": "toy state", "key": "toy storage key",
    "derivations": [["toy salt"], ["toy seal", null]],
    "salt": { "name": "toy salt", "head": [2] },
    "head_len": 34,
    "states": [{ "begins": { "hex": "0907" }, "layout": "state" }]
  },
  "layouts": {
    "state": [
      { "choice": { "1": [{ "field": "toy chain key", "len": 32, "class": "secret" }] } },
      { "repeat": "u8", "of": [{ "skip": 2 }] }
    ]
  }
}"#;

pub fn profile() -> Profile {
    Profile::from_json(PROFILE.as_bytes()).unwrap()
}

pub const SHARED: [u8; 32] = hex!("910fb35c27e8641daa42d7097ef138c65b8013ee4f962cd10579ba608d34f71b");
pub const STORAGE: [u8; 32] = hex!("3ad50c71f8269b4ee3176db052cd8429fe03a7681fc4955a30eb7c41d20e89b6");
/// 35 bytes each: with the marker 36, a Padmé length.
pub const TEXTS: [&[u8; 35]; 2] = [b"a first text of thirty-five bytes..", b"another text, which is as long as i"];
const HEAD: [u8; 2] = [9, 7];

fn record(track: &Track, step: &str, kind: Kind, fields: &[(Role, bool, &[u8])]) {
    let fields = fields.iter().map(|&(role, is_output, bytes)| Field { role, is_output, bytes });
    track.record(step, kind, fields);
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    hmac::sign(&hmac::Key::new(HMAC_SHA256, key), &parts.concat()).as_ref().try_into().unwrap()
}

fn parts<'a>(role: Role, parts: &[&'a [u8]]) -> Vec<(Role, bool, &'a [u8])> {
    parts.iter().map(|part| (role, false, *part)).collect()
}

fn hmac_of(track: &Track, step: &str, key: &[u8], message: &[&[u8]]) -> [u8; 32] {
    let output = mac(key, message);
    let fields =
        [vec![(Role::KdfKey, false, key)], parts(Role::Context, message), vec![(Role::KdfOutput, true, &output)]];
    record(track, step, Kind::Hmac, &fields.concat());
    output
}

fn expand(track: &Track, step: &str, key: &[u8; 32], info: &[&[u8]], len: usize) -> Vec<u8> {
    let (mut output, mut block) = (Vec::new(), Vec::new());
    for counter in 1..=len.div_ceil(32) as u8 {
        block = mac(key, &[&block, &info.concat(), &[counter]]).to_vec();
        output.extend_from_slice(&block);
    }
    output.truncate(len);
    let fields =
        [vec![(Role::KdfKey, false, &key[..])], parts(Role::Context, info), vec![(Role::KdfOutput, true, &output)]];
    record(track, step, Kind::HkdfExpand, &fields.concat());
    output
}

fn seal(track: &Track, step: &str, key: &[u8], nonce: [u8; 12], head: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let aead = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).unwrap());
    let mut sealed = plaintext.to_vec();
    aead.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(head), &mut sealed).unwrap();
    let inputs = [(Role::AeadKey, false, key), (Role::Nonce, false, &nonce), (Role::AssociatedData, false, head)];
    let text = (Role::Plaintext, false, plaintext);
    record(track, step, Kind::Seal, &[&inputs[..], &[text, (Role::Tag, true, &sealed[plaintext.len()..])]].concat());
    sealed
}

/// What a run leaves: the trace, what the server sees, and the secrets of the device.
pub struct Run {
    pub tape: Tape,
    pub wire: Vec<u8>,
    pub session_id: Vec<u8>,
    /// The chain key before each message, and after the last.
    pub chain_keys: Vec<Vec<u8>>,
    pub snapshot: Vec<u8>,
}

/// Two messages; the device stores its state between them.
pub fn run(tape: Tape) -> Run {
    let alice = tape.device("Alice").unwrap();
    alice.given("T-1", &SHARED);
    let session = expand(&alice, "T-1", &SHARED, &[b"toy session"], 80);
    let (session_id, mut chain_key) = (session[64..].to_vec(), session[32..64].to_vec());
    let (mut wire, mut chain_keys, mut snapshot) = (session_id.clone(), vec![chain_key.clone()], Vec::new());
    for text in TEXTS {
        let message_key = hmac_of(&alice, "T-2", &chain_key, &[&[1]]);
        chain_key = hmac_of(&alice, "T-2", &chain_key, &[&[2]]).to_vec();
        chain_keys.push(chain_key.clone());
        let padded = [&text[..], &[0x80]].concat();
        wire.extend(seal(&alice, "T-2", &message_key, [0; 12], &session_id, &padded));
        if snapshot.is_empty() {
            snapshot = store(&alice, &[&[1], &chain_key[..], &[1, 0, 1]].concat());
        }
    }
    Run { tape, wire, session_id, chain_keys, snapshot }
}

fn store(device: &Track, state: &[u8]) -> Vec<u8> {
    device.given("T-3", &STORAGE);
    let salt_key = expand(device, "T-3", &STORAGE, &[b"toy salt"], 32);
    let salt = hmac_of(device, "T-3", &salt_key, &[&HEAD, state]);
    let key = expand(device, "T-3", &STORAGE, &[b"toy seal", &salt], 44);
    let head = [&HEAD[..], &salt].concat();
    let sealed = seal(device, "T-3", &key[..32], key[32..].try_into().unwrap(), &head, state);
    [head, sealed].concat()
}

/// Another device opens the snapshot, and does nothing else.
pub fn restore(tape: &Tape, snapshot: &[u8]) {
    let (head, sealed) = snapshot.split_at(34);
    let device = tape.device("Alice again").unwrap();
    device.given("T-3", &STORAGE);
    let key = expand(&device, "T-3", &STORAGE, &[b"toy seal", &head[2..]], 44);
    let aead = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key[..32]).unwrap());
    let nonce: [u8; 12] = key[32..].try_into().unwrap();
    let mut opened = sealed.to_vec();
    let opened = aead.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(head), &mut opened).unwrap();
    let inputs =
        [(Role::AeadKey, false, &key[..32]), (Role::Nonce, false, &nonce), (Role::AssociatedData, false, head)];
    let tag = (Role::Tag, false, &sealed[sealed.len() - 16..]);
    record(&device, "T-3", Kind::Open, &[&inputs[..], &[tag, (Role::Plaintext, true, opened)]].concat());
}
