// SPDX-License-Identifier: MIT OR Apache-2.0
//! Keys of messages that have not arrived: kept for as long as is said, lost to nobody, used once.

use crate::support::Talk;
use crate::{copy, refuses, talk_with_a_gap, thief_has, thief_opens, unchecked};
use noescrow::error::DecryptError;
use noescrow::{MAX_SKIP, MAX_SKIPPED_KEYS, MAX_SKIPPED_STEPS};

/// One ratchet step of Bob's receiving side.
fn round(talk: &mut Talk) {
    let ping = talk.from_bob(b"ping");
    talk.alice.decrypt(&ping, b"").unwrap();
    let pong = talk.from_alice(b"pong");
    talk.bob.decrypt(&pong, b"").unwrap();
}

/// `count` messages of Alice's, of which the last one arrives.
fn jump(talk: &mut Talk, count: u32) -> Vec<Vec<u8>> {
    let mut lost: Vec<_> = (0..count).map(|_| talk.from_alice(b"lost")).collect();
    let last = lost.pop().unwrap();
    assert_eq!(talk.bob.decrypt(&last, b"").unwrap(), b"lost");
    lost
}

/// Sharpens `invariant_5_a_used_an_evicted_and_an_old_message_key_are_gone_and_a_kept_one_is_not`: the server kept the
/// ciphertext, and now the device is seized.
#[test]
fn c5_a_dropped_message_falls_to_a_thief_until_the_stated_step_and_no_longer() {
    let (mut talk, dropped) = talk_with_a_gap(50);
    for _ in 0..MAX_SKIPPED_STEPS {
        // Control: until then it does fall.
        assert!(thief_opens(&talk, &dropped, 0));
        round(&mut talk);
    }
    assert!(thief_opens(&talk, &dropped, 0), "the last step at which it may");
    round(&mut talk);
    // The classical half is gone; the post-quantum one is kept with its epoch (attack E8) and opens nothing alone.
    assert_eq!(thief_has(&talk, &dropped, 4), [false, true]);
    assert_eq!(talk.bob.skipped_message_keys(), 0);
    refuses(&mut talk.bob, &dropped);
}

#[test]
fn c5_a_dropped_message_falls_to_a_thief_until_enough_others_are_skipped() {
    let (mut talk, dropped) = talk_with_a_gap(51);
    jump(&mut talk, MAX_SKIP + 1);
    jump(&mut talk, MAX_SKIP);
    assert_eq!(talk.bob.skipped_message_keys(), MAX_SKIPPED_KEYS);
    assert!(copy(&talk.bob).decrypt(&dropped, b"").is_ok(), "control: it is kept");
    jump(&mut talk, 2);
    assert_eq!(talk.bob.skipped_message_keys(), MAX_SKIPPED_KEYS);
    refuses(&mut talk.bob, &dropped);
}

#[test]
fn c6_a_peer_that_floods_the_store_loses_its_own_oldest_messages_and_nobody_elses() {
    let (mut honest, late) = talk_with_a_gap(52);
    let (mut flooder, first) = talk_with_a_gap(53);
    let second = jump(&mut flooder, 2).remove(0);
    jump(&mut flooder, MAX_SKIP + 1);
    jump(&mut flooder, MAX_SKIP);
    assert_eq!(flooder.bob.skipped_message_keys(), MAX_SKIPPED_KEYS);
    // Control: within the session, where the store is shared, the attack succeeds: oldest first, one for one.
    refuses(&mut flooder.bob, &first);
    assert_eq!(flooder.bob.decrypt(&second, b"").unwrap(), b"lost");
    assert_eq!(honest.bob.decrypt(&late, b"").unwrap(), b"late");
}

#[test]
fn c7_a_failed_decryption_keeps_the_skipped_key() {
    let (mut talk, late) = talk_with_a_gap(54);
    let mut forged = late.clone();
    *forged.last_mut().unwrap() ^= 1;
    // Control: what takes the key before it has checked the tag, as the specification's pseudocode does, has lost it.
    let mut hasty = unchecked(&talk.bob);
    assert_eq!(hasty.decrypt(&forged, b"").unwrap(), b"late");
    assert_eq!(hasty.skipped_message_keys(), 0);
    assert_eq!(hasty.decrypt(&late, b""), Err(DecryptError::Refused));

    for _ in 0..3 {
        refuses(&mut talk.bob, &forged);
    }
    assert_eq!(talk.bob.skipped_message_keys(), 1);
    assert_eq!(talk.bob.decrypt(&late, b"").unwrap(), b"late");
}

/// Sharpens `invariant_3_a_message_key_is_used_once_and_a_message_opens_once`: every message after every later one.
#[test]
fn c8_a_message_opens_once_whenever_and_in_whatever_order_it_comes_again() {
    let mut talk = Talk::after(55, 1);
    let mut seen: Vec<Vec<u8>> = Vec::new();
    for _ in 0..3 {
        let late = talk.from_alice(b"late");
        let next = talk.from_alice(b"next");
        let ping = talk.from_bob(b"ping");
        talk.alice.decrypt(&ping, b"").unwrap();
        let new_chain = talk.from_alice(b"new chain");
        for message in [new_chain, late, next] {
            let mut before = copy(&talk.bob);
            let text = talk.bob.decrypt(&message, b"").unwrap();
            seen.push(message.clone());
            seen.iter().for_each(|old| refuses(&mut talk.bob, old));
            // Control: it is the state that refuses; from the one before, it opens again.
            assert_eq!(before.decrypt(&message, b"").unwrap(), text);
        }
    }
}
