// SPDX-License-Identifier: MIT OR Apache-2.0
//! Known attacks on ratchets and on header encryption, mounted on the shipped code through the public API. A test's name
//! begins with its attack: A, curve keys; C, the Double Ratchet; D, header encryption. Each has a control, in which the
//! attack succeeds where its defence is missing, or which shows that the check would see it succeed.
//!
//! C9 and C10, the attacks on storing, are in `durable.rs`. What holds under every schedule is in `properties.rs`; a test
//! here says which of its properties it sharpens.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_debug_implementations,
    unreachable_pub,
    reason = "a test says what it expects"
)]

#[path = "attacks_ratchet/counters.rs"]
mod counters;
#[path = "attacks_ratchet/forgeries.rs"]
mod forgeries;
#[path = "attacks_ratchet/ghash.rs"]
mod ghash;
#[path = "attacks_ratchet/headers.rs"]
mod headers;
#[path = "attacks_ratchet/keys.rs"]
mod keys;
#[path = "attacks_ratchet/skipped.rs"]
mod skipped;
mod support;
#[path = "properties/watch.rs"]
mod watch;

use noescrow::error::DecryptError;
use noescrow::primitives::{Primitives, RustCrypto};
use noescrow::{MESSAGE_OVERHEAD, Secret};
use support::stored::{opened, storage_key};
use support::{Puppet, PuppetSession, Talk, state};

/// Bytes before the body: type and sealed header.
const HEAD_LEN: usize = MESSAGE_OVERHEAD - 16;
/// Where a sealed header's parts lie in a message: salt, commitment, ciphertext, tag.
const HEADER_PARTS: [std::ops::Range<usize>; 4] = [1..17, 17..33, 33..74, 74..90];

/// Refused, as the network's errors are, at no change.
fn refuses(end: &mut PuppetSession, message: &[u8]) {
    let before = state(end);
    assert_eq!(end.decrypt(message, b""), Err(DecryptError::Refused));
    assert_eq!(before, state(end));
}

/// The same session again, as a backup has it.
fn copy(end: &PuppetSession) -> PuppetSession {
    copy_with(end, Puppet::default())
}

fn copy_with(end: &PuppetSession, strings: Puppet) -> PuppetSession {
    PuppetSession::restore_in_place(strings, &mut state(end), &storage_key(), 0).unwrap()
}

/// The same session again, in a variant that takes a body for genuine without its tag.
fn unchecked(end: &PuppetSession) -> PuppetSession {
    let strings = Puppet::default();
    strings.unchecked.set(true);
    copy_with(end, strings)
}

/// What is done in `act`, counted: (HMACs of chain steps, Diffie-Hellmans, header keys tried, AEAD openings).
fn cost(strings: &Puppet, act: impl FnOnce()) -> [usize; 4] {
    strings.reset();
    act();
    ["hmac_pair", "dh", "hkdf_expand", "open"].map(|operation| strings.count(operation))
}

/// Bob keeps the key of the message that is given along.
fn talk_with_a_gap(seed: u64) -> (Talk, Vec<u8>) {
    let mut talk = Talk::after(seed, 2);
    let late = talk.from_alice(b"late");
    let next = talk.from_alice(b"next");
    talk.bob.decrypt(&next, b"").unwrap();
    (talk, late)
}

/// KDF_HYBRID.
fn aead_key(message_key: &[u8; 32]) -> (Secret<32>, [u8; 12]) {
    let mut material = [0; 44];
    RustCrypto.hkdf(&[0; 32], &[message_key], &[b"noescrow-v1 message"], &mut material);
    (Secret::new(material[..32].try_into().unwrap()), material[32..].try_into().unwrap())
}

/// Opens a message under a message key found anywhere, as spec/protocol.md has it.
fn open_with(message_key: &[u8; 32], ad: &[&[u8]], message: &[u8]) -> Option<Vec<u8>> {
    let (key, nonce) = aead_key(message_key);
    let (body, tag) = message[HEAD_LEN..].split_last_chunk().unwrap();
    let mut body = body.to_vec();
    RustCrypto.open(&key, &nonce, &ad.concat(), &mut body, tag).ok()?;
    let marker = body.iter().rposition(|byte| *byte != 0)?;
    body.truncate(marker);
    Some(body)
}

/// CONCAT(AD, header): session, SHA-256 of the caller's associated data, type and sealed header.
fn concat_ad(session: &PuppetSession, associated_data: &[u8], message: &[u8]) -> Vec<u8> {
    [&session.id()[..], &RustCrypto.sha256(&[associated_data]), &message[..HEAD_LEN]].concat()
}

/// A thief of state and storage key takes every 32 bytes of the state for a message key, and for a chain key that is
/// up to `chain_steps` before the message's.
fn thief_opens(session: &PuppetSession, message: &[u8], chain_steps: usize) -> bool {
    let ad = concat_ad(session, b"", message);
    opened(state(session)).windows(32).any(|window| {
        let mut chain_key = Secret::new(window.try_into().unwrap());
        let as_message_key = open_with(chain_key.expose(), &[&ad], message).is_some();
        as_message_key
            || (0..chain_steps).any(|_| {
                let (message_key, next) = RustCrypto.hmac_pair(&chain_key, 1, 2);
                chain_key = next;
                open_with(message_key.expose(), &[&ad], message).is_some()
            })
    })
}

/// The oracle itself: it opens what the session would.
#[test]
fn control_who_has_the_state_opens_what_the_session_would() {
    let (mut talk, late) = talk_with_a_gap(1);
    let next = talk.from_alice(b"next");
    assert!(thief_opens(&talk.bob, &late, 0), "a skipped message key");
    assert!(!thief_opens(&talk.bob, &next, 0) && thief_opens(&talk.bob, &next, 1), "a chain key");
    talk.bob.decrypt(&late, b"").unwrap();
    assert!(!thief_opens(&talk.bob, &late, 2));
}
