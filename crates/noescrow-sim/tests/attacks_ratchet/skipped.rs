// SPDX-License-Identifier: MIT OR Apache-2.0
//! Keys of messages that have not arrived: kept for exactly as long as specified, by one session alone, and used once.

use crate::support::Talk;
use crate::{copy, key_is_gone, refuses, talk_with_a_gap, thief_has, thief_opens, unchecked};
use noescrow::error::DecryptError;
use noescrow::{MAX_SKIPPED_KEYS, MAX_SKIPPED_STEPS, MESSAGE_OVERHEAD};

/// One ratchet step of Bob's receiving side.
fn round(talk: &mut Talk) {
    let ping = talk.from_bob(b"ping");
    talk.alice.decrypt(&ping).unwrap();
    let pong = talk.from_alice(b"pong");
    talk.bob.decrypt(&pong).unwrap();
}

/// `count` messages of Alice's, of which only the last one arrives.
fn jump(talk: &mut Talk, count: u32) -> Vec<Vec<u8>> {
    let mut lost: Vec<_> = (0..count).map(|_| talk.from_alice(b"lost")).collect();
    let last = lost.pop().unwrap();
    assert_eq!(talk.bob.decrypt(&last).unwrap().plaintext, b"lost");
    lost
}

/// Sharpens `invariant_5_a_state_has_kept_message_keys_and_no_others`: the server kept the
/// ciphertext, and now the device is seized.
#[test]
fn c5_a_dropped_message_is_exposed_only_until_the_stated_step() {
    let (mut talk, dropped) = talk_with_a_gap(50);
    for _ in 0..MAX_SKIPPED_STEPS {
        // Control: until then the message is exposed.
        assert!(thief_opens(&talk, &dropped, 0));
        round(&mut talk);
    }
    assert!(thief_opens(&talk, &dropped, 0), "the last step at which it may be exposed");
    round(&mut talk);
    // The classical half is erased. The post-quantum one is kept with its epoch (attack E8) and opens nothing alone.
    assert_eq!(thief_has(&talk, &dropped, 4), [false, true]);
    assert_eq!(talk.bob.skipped_message_keys(), 0);
    refuses(&mut talk.bob, &dropped);
}

#[test]
fn c5_a_dropped_message_is_exposed_until_others_evict_its_key() {
    let (mut talk, dropped) = talk_with_a_gap(51);
    jump(&mut talk, MAX_SKIPPED_KEYS as u32);
    assert_eq!(talk.bob.skipped_message_keys(), MAX_SKIPPED_KEYS);
    assert!(copy(&talk.bob).decrypt(&dropped).is_ok(), "control: it is kept");
    jump(&mut talk, 2);
    assert_eq!(talk.bob.skipped_message_keys(), MAX_SKIPPED_KEYS);
    key_is_gone(&mut talk.bob, &dropped);
}

#[test]
fn c6_a_flood_of_skipped_keys_evicts_only_the_flooders_messages() {
    let (mut honest, late) = talk_with_a_gap(52);
    let (mut flooder, first) = talk_with_a_gap(53);
    let second = jump(&mut flooder, 2).remove(0);
    jump(&mut flooder, MAX_SKIPPED_KEYS as u32);
    assert_eq!(flooder.bob.skipped_message_keys(), MAX_SKIPPED_KEYS);
    // Control: within the session, which shares one store, the attack succeeds: oldest first, one for one.
    key_is_gone(&mut flooder.bob, &first);
    assert_eq!(flooder.bob.decrypt(&second).unwrap().plaintext, b"lost");
    assert_eq!(honest.bob.decrypt(&late).unwrap().plaintext, b"late");
}

#[test]
fn c7_a_failed_decryption_keeps_the_skipped_key() {
    let mut talk = Talk::after(54, 2);
    let late = talk.from_alice(&[7; 5_000]);
    let next = talk.from_alice(b"next");
    talk.bob.decrypt(&next).unwrap();
    // The header is genuine: its AEAD covers the body up to the byte before this one.
    let mut forged = late.clone();
    forged[MESSAGE_OVERHEAD + 4_096] ^= 1;
    // Control: code that removes the key before it has checked the tag, as the specification's pseudocode does, has
    // lost it.
    let mut hasty = unchecked(&talk.bob);
    assert_eq!(hasty.decrypt(&forged).unwrap().plaintext[4_096], 6);
    assert_eq!(hasty.skipped_message_keys(), 0);
    assert_eq!(hasty.decrypt(&late).unwrap_err(), DecryptError::KeyGone);

    for _ in 0..3 {
        refuses(&mut talk.bob, &forged);
    }
    assert_eq!(talk.bob.skipped_message_keys(), 1);
    assert_eq!(talk.bob.decrypt(&late).unwrap().plaintext, [7; 5_000]);
}

/// Sharpens `invariant_3_a_message_key_is_used_once_and_a_message_opens_once`: every message after every later one.
#[test]
fn c8_a_message_opens_once_in_any_order_of_repetition() {
    let mut talk = Talk::after(55, 1);
    let mut seen: Vec<(usize, Vec<u8>)> = Vec::new();
    for chain in 0..3 {
        let late = talk.from_alice(b"late");
        let next = talk.from_alice(b"next");
        let ping = talk.from_bob(b"ping");
        talk.alice.decrypt(&ping).unwrap();
        let new_chain = talk.from_alice(b"new chain");
        let waiting = [(chain + 1, new_chain), (chain, late), (chain, next)];
        for (at, (chain_of, message)) in waiting.into_iter().enumerate() {
            let mut before = copy(&talk.bob);
            let text = talk.bob.decrypt(&message).unwrap().plaintext;
            seen.push((chain_of, message.clone()));
            for (chain_of, old) in &seen {
                // A header opens as long as its chain is the current one, or a key of its chain is kept.
                match *chain_of > chain || (*chain_of == chain && at < 2) {
                    true => key_is_gone(&mut talk.bob, old),
                    false => refuses(&mut talk.bob, old),
                }
            }
            // Control: the state causes the refusal; restored from the state before, the session opens the message
            // again.
            assert_eq!(before.decrypt(&message).unwrap().plaintext, text);
        }
    }
}
