// SPDX-License-Identifier: MIT OR Apache-2.0
//! C23, D9: limits of the ratchet after device theft. Each documented limit comes with the kind of thief that is shut
//! out.

use crate::support::stored::opened;
use crate::support::{Talk, rng, state};
use crate::{HEADER_PARTS, copy, refuses};
use noescrow::primitives::{Primitives, RustCrypto};

/// A thief who has stolen Alice's state and impersonates her is Alice to Bob for as long as they talk. Alice notices
/// only that nothing opens any more.
#[test]
fn c23_the_ratchet_does_not_recover_from_active_impersonation() {
    let mut talk = Talk::after(60, 3);
    let (mut thief, mut thiefs) = (copy(&talk.alice), rng(61));
    for _ in 0..100 {
        let forged = thief.encrypt(b"it is Alice", &mut thiefs).unwrap();
        assert_eq!(talk.bob.decrypt(&forged).unwrap().plaintext, b"it is Alice");
        let answer = talk.from_bob(b"dear Alice");
        assert_eq!(thief.decrypt(&answer).unwrap().plaintext, b"dear Alice");
    }
    assert!(talk.bob.post_quantum_epoch() >= 1, "the post-quantum ratchet advances with the thief, too");
    let (message, answer) = (talk.from_alice(b"no, I am"), talk.from_bob(b"dear Alice"));
    refuses(&mut talk.bob, &message);
    refuses(&mut talk.alice, &answer);

    // Control: a passive thief is shut out by a round trip.
    let mut talk = Talk::after(62, 3);
    let mut thief = copy(&talk.alice);
    let overheard = talk.from_bob(b"to both");
    assert!(thief.decrypt(&overheard).is_ok() && talk.alice.decrypt(&overheard).is_ok());
    let fresh = talk.from_alice(b"a fresh ratchet key");
    talk.bob.decrypt(&fresh).unwrap();
    let answer = talk.from_bob(b"to Alice alone");
    refuses(&mut thief, &answer);
    assert_eq!(talk.alice.decrypt(&answer).unwrap().plaintext, b"to Alice alone");
}

/// Whether some 32 bytes of Bob's state are the header key of a message, by its commitment.
fn has_header_key_of(talk: &Talk, message: &[u8]) -> bool {
    let [salt, commitment, ..] = HEADER_PARTS;
    opened(state(&talk.bob)).windows(32).any(|window| {
        let mac = RustCrypto.hmac(window, &[b"noescrow-v1 commitment", &message[salt.clone()]]);
        mac.expose()[..16] == message[commitment.clone()]
    })
}

/// A chain has one header key, so that headers have forward secrecy chain by chain. A thief reads the headers of the
/// current chain, whose bodies it cannot open, and no older ones. A skipped message keeps its chain's header key.
#[test]
fn d9_a_header_key_lives_exactly_as_long_as_its_chain() {
    let mut talk = Talk::after(63, 3);
    let read = talk.from_alice(b"read");
    talk.bob.decrypt(&read).unwrap();
    assert!(has_header_key_of(&talk, &read));
    talk.turn(true);
    talk.turn(false);
    assert!(!has_header_key_of(&talk, &read));

    // Control: the same while a message of the chain is in transit.
    let late = talk.from_alice(b"late");
    let read = talk.from_alice(b"read");
    talk.bob.decrypt(&read).unwrap();
    talk.turn(true);
    talk.turn(false);
    assert!(has_header_key_of(&talk, &read) && has_header_key_of(&talk, &late));
    talk.bob.decrypt(&late).unwrap();
    assert!(!has_header_key_of(&talk, &read));
}
