// SPDX-License-Identifier: MIT OR Apache-2.0
//! Known attacks on ratchets and on header encryption, mounted on the shipped code through the public API. A test's
//! name begins with its attack: A, curve keys; C, the Double Ratchet; D, header encryption; E, the post-quantum
//! ratchet. Each has a control, in which the attack succeeds without its defence, or which shows that the check would
//! notice success.
//!
//! `durable.rs` has C9 and C10, the attacks on storage. `properties.rs` has what holds under every schedule; a test
//! here names the property that it sharpens.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_debug_implementations,
    unreachable_pub,
    reason = "a test states its expectations"
)]

mod counters;
mod forgeries;
mod ghash;
mod headers;
#[path = "../properties/key_log.rs"]
mod key_log;
mod keys;
mod post_quantum;
mod skipped;
#[path = "../../../../tests/support/mod.rs"]
mod support;
mod thieves;

use noescrow::error::DecryptError;
use noescrow::primitives::{Primitives, RustCrypto};
use noescrow::{MESSAGE_OVERHEAD, Secret};
use support::stored::{opened, storage_key};
use support::{MessageKeys, Mock, MockSession, Talk, state};

/// Bytes before the body's tag: type and sealed header. The body's ciphertext begins at [`MESSAGE_OVERHEAD`].
const HEAD_LEN: usize = MESSAGE_OVERHEAD - 16;
/// Offsets of a sealed header's parts in a message: salt, commitment, ciphertext, tag.
const HEADER_PARTS: [std::ops::Range<usize>; 4] = [1..17, 17..33, 33..117, 117..133];
/// Offset of a message's salt and commitment.
const SALT_AND_COMMITMENT: std::ops::Range<usize> = 1..33;
/// The nonce of every header and body.
const NONCE: [u8; 12] = [0; 12];

/// Asserts that the message is refused as all network errors are, and changes no state.
fn refuses(end: &mut MockSession, message: &[u8]) {
    fails(end, message, DecryptError::Refused);
}

/// Asserts that the message's header is authentic and its key is not kept, and that nothing changes.
fn key_is_gone(end: &mut MockSession, message: &[u8]) {
    fails(end, message, DecryptError::KeyGone);
}

fn fails(end: &mut MockSession, message: &[u8], error: DecryptError) {
    let before = state(end);
    assert_eq!(end.decrypt(message).unwrap_err(), error);
    assert_eq!(before, state(end));
}

/// The same session again, as a backup restores it.
fn copy(end: &MockSession) -> MockSession {
    copy_with(end, Mock::default())
}

fn copy_with(end: &MockSession, mock: Mock) -> MockSession {
    MockSession::restore_in_place(mock, &mut state(end), &storage_key(), &end.subject(), 0).unwrap()
}

/// The same session again, in a faulty variant that accepts a body without checking its tag.
fn unchecked(end: &MockSession) -> MockSession {
    let mock = Mock::default();
    mock.unchecked.set(true);
    copy_with(end, mock)
}

/// The work done in `act`: (HMACs of chain steps, Diffie-Hellmans, header keys tried, AEAD openings).
fn cost(mock: &Mock, act: impl FnOnce()) -> [usize; 4] {
    cost_of_both(mock, act)[..4].try_into().unwrap()
}

/// The same, followed by the steps of the post-quantum chain.
fn cost_of_both(mock: &Mock, act: impl FnOnce()) -> [usize; 5] {
    mock.reset();
    act();
    ["chain step", "dh", "header key", "open", "post-quantum step"].map(|operation| mock.count(operation))
}

/// Asserts that Bob still keeps the key of the given message.
fn talk_with_a_gap(seed: u64) -> (Talk, Vec<u8>) {
    let mut talk = Talk::after(seed, 2);
    let late = talk.from_alice(b"late");
    let next = talk.from_alice(b"next");
    talk.bob.decrypt(&next).unwrap();
    (talk, late)
}

/// KDF_HYBRID for a message that does not repeat a handshake.
fn aead_key(keys: &MessageKeys, message: &[u8]) -> Secret<32> {
    let mut key = [0; 32];
    let info: [&[u8]; 2] = [b"noescrow-v1 message", &message[SALT_AND_COMMITMENT]];
    RustCrypto.hkdf(&keys.post_quantum, &[&keys.classical], &info, &mut key);
    Secret::new(key)
}

/// Opens a message under message keys found anywhere, as spec/protocol.md specifies.
fn open_with(keys: &MessageKeys, ad: &[&[u8]], message: &[u8]) -> Option<Vec<u8>> {
    let key = aead_key(keys, message);
    let (tag, body) = message[HEAD_LEN..].split_first_chunk().unwrap();
    let mut body = body.to_vec();
    RustCrypto.open(&key, &NONCE, &ad.concat(), &mut body, tag).ok()?;
    let marker = body.iter().rposition(|byte| *byte != 0)?;
    body.truncate(marker);
    Some(body)
}

/// CONCAT(AD, header) of one of Alice's messages, as she had it.
fn concat_ad(talk: &Talk, message: &[u8]) -> Vec<u8> {
    talk.alice_mock.body_ad(message).expect("not Alice's message")
}

/// The keys of one of Alice's messages, as she had them.
fn keys_of(talk: &Talk, message: &[u8]) -> MessageKeys {
    let ad = concat_ad(talk, message);
    let all = talk.alice_mock.message_keys();
    *all.iter().rev().find(|keys| open_with(keys, &[&ad], message).is_some()).expect("not Alice's message")
}

/// The classical message keys that 32 bytes can give: as a message key, and as a chain key up to `chain_steps` before
/// the message's.
fn classical_keys(bytes: &[u8; 32], chain_steps: usize) -> Vec<[u8; 32]> {
    let mut chain_key = Secret::new(*bytes);
    let steps = (0..chain_steps).map(|_| {
        let (message_key, next) = RustCrypto.hmac_pair(&chain_key, 1, 2);
        chain_key = next;
        *message_key.expose()
    });
    [*bytes].into_iter().chain(steps).collect()
}

/// The same of the post-quantum ratchet; `number` is the number stored after a chain key.
fn post_quantum_keys(bytes: &[u8; 32], number: u32, chain_steps: usize) -> Vec<[u8; 32]> {
    let mut chain_key = *bytes;
    let steps = (1..=chain_steps as u32).map(|step| {
        let mut material = [0; 64];
        let number = number.wrapping_add(step).to_be_bytes();
        RustCrypto.hkdf_expand(&Secret::new(chain_key), &[b"noescrow-v1 pq ck", &number], &mut material);
        chain_key = material[..32].try_into().unwrap();
        material[32..].try_into().unwrap()
    });
    [*bytes].into_iter().chain(steps).collect()
}

/// Which halves of the keys of one of Alice's messages (classical, post-quantum) a thief of Bob's state and storage key
/// has. The thief tries every 32 bytes of the state as a message key, and as a chain key up to `chain_steps` before the
/// message's. To recognise a half, the thief is given the other one: only both together open the message.
fn thief_has(talk: &Talk, message: &[u8], chain_steps: usize) -> [bool; 2] {
    let (keys, ad) = (keys_of(talk, message), concat_ad(talk, message));
    let stored = opened(state(&talk.bob));
    let opens = |keys: MessageKeys| open_with(&keys, &[&ad], message).is_some();
    let classical = stored.windows(32).any(|window| {
        let found = classical_keys(window.try_into().unwrap(), chain_steps);
        found.into_iter().any(|classical| opens(MessageKeys { classical, ..keys }))
    });
    // Nothing follows the last key of a state.
    let post_quantum = [&stored[..], &[0; 4]].concat().windows(36).any(|window| {
        let (bytes, number) = window.split_first_chunk().unwrap();
        let number = u32::from_be_bytes(number.try_into().unwrap());
        let found = post_quantum_keys(bytes, number, chain_steps);
        found.into_iter().any(|post_quantum| opens(MessageKeys { post_quantum, ..keys }))
    });
    [classical, post_quantum]
}

/// Whether that thief opens the message.
fn thief_opens(talk: &Talk, message: &[u8], chain_steps: usize) -> bool {
    thief_has(talk, message, chain_steps) == [true, true]
}

/// The oracle itself: it opens what the session would open, and one half is not enough.
#[test]
fn control_a_thief_of_the_state_opens_what_the_session_would() {
    let (mut talk, late) = talk_with_a_gap(1);
    let next = talk.from_alice(b"next");
    assert!(thief_opens(&talk, &late, 0), "skipped message keys");
    assert!(!thief_opens(&talk, &next, 0) && thief_opens(&talk, &next, 1), "chain keys");
    let (keys, ad) = (keys_of(&talk, &late), concat_ad(&talk, &late));
    let other = keys_of(&talk, &next);
    assert_eq!(open_with(&keys, &[&ad], &late).unwrap(), b"late");
    assert_eq!(open_with(&MessageKeys { classical: other.classical, ..keys }, &[&ad], &late), None);
    assert_eq!(open_with(&MessageKeys { post_quantum: other.post_quantum, ..keys }, &[&ad], &late), None);
    talk.bob.decrypt(&late).unwrap();
    assert_eq!(thief_has(&talk, &late, 2), [false, false], "both halves are gone");
}
