// SPDX-License-Identifier: MIT OR Apache-2.0
//! On which session is sent: the newest that both ends know, whatever a server delivers, and when.

use super::user::{MINUTE, User, friends, strangers};
use noescrow::messenger::{NewSession, Outgoing, SealError};
use rand_chacha::rand_core::SeedableRng;

/// Both write at once, and nothing has arrived yet.
fn crossing(seed: u64) -> ([User; 2], [Outgoing; 2]) {
    let [mut alice, mut bob] = strangers();
    // Another seed gives other session ids, so that either side's may be the smaller one.
    alice.rng = SeedableRng::seed_from_u64(seed);
    bob.rng = SeedableRng::seed_from_u64(seed + 1_000);
    let from_alice = alice.send(&mut bob, b"from alice");
    let from_bob = bob.send(&mut alice, b"from bob");
    ([alice, bob], [from_alice, from_bob])
}

#[test]
fn both_initiate_at_once_and_choose_the_same_session() {
    let mut chosen = [0, 0];
    for seed in 100..108 {
        let ([mut alice, mut bob], [from_alice, from_bob]) = crossing(seed);
        assert_ne!(from_alice.session, from_bob.session);
        assert!(bob.open(&from_alice.message).unwrap().is_new_session);
        assert!(alice.open(&from_bob.message).unwrap().is_new_session);
        let (a, b) = (alice.send(&mut bob, b"1"), bob.send(&mut alice, b"2"));
        assert_eq!(a.session, b.session);
        assert_eq!(a.session, from_alice.session.min(from_bob.session));
        assert!(!bob.open(&a.message).unwrap().is_on_probation);
        assert!(!alice.open(&b.message).unwrap().is_on_probation);
        chosen[usize::from(a.session == from_bob.session)] += 1;
    }
    // Control: a side that preferred its own session, or the other's, would not agree in each of these.
    assert!(chosen[0] > 0 && chosen[1] > 0, "{chosen:?}");
}

#[test]
fn a_crossing_costs_no_extra_round_trip() {
    for seed in 100..104 {
        let ([mut alice, mut bob], [from_alice, from_bob]) = crossing(seed);
        // Only one of the two has arrived when each side writes again.
        bob.open(&from_alice.message).unwrap();
        let (a, b) = (alice.send(&mut bob, b"1"), bob.send(&mut alice, b"2"));
        bob.open(&a.message).unwrap();
        assert_eq!(alice.open(&b.message).unwrap().payload, b"2");
        // The other first message comes last. If it is the message's own session, it is open by then.
        assert_eq!(alice.open(&from_bob.message).unwrap().payload, b"from bob");
        let (a, b) = (alice.send(&mut bob, b"3"), bob.send(&mut alice, b"4"));
        assert_eq!(a.session, b.session);
        assert_eq!(bob.open(&a.message).unwrap().payload, b"3");
        assert_eq!(alice.open(&b.message).unwrap().payload, b"4");
    }
}

#[test]
fn mail_that_was_withheld_moves_no_sender_back() {
    let [mut alice, mut bob] = friends();
    // The server withholds this one, of the first session.
    let withheld = bob.send(&mut alice, b"withheld");
    let peer = alice.peer(&bob);
    let bundle = bob.bundle();
    let second = alice.seal_with(&peer, b"second session", bundle).unwrap();
    assert_ne!(second.session, withheld.session);
    bob.open(&second.message).unwrap();
    let reply = bob.send(&mut alice, b"reply");
    assert_eq!(reply.session, second.session);
    alice.open(&reply.message).unwrap();
    let opened = alice.open(&withheld.message).unwrap();
    assert_eq!((&opened.payload[..], opened.session), (&b"withheld"[..], withheld.session));
    // Control: a sender that followed the last message would send on the session that it came on.
    assert_ne!(opened.session, second.session);
    assert_eq!(alice.send(&mut bob, b"next").session, second.session);
}

#[test]
fn a_newer_session_of_the_peer_is_sent_on_at_once() {
    let [mut alice, mut bob] = friends();
    let peer = bob.peer(&alice);
    let first = alice.send(&mut bob, b"1").session;
    let bundle = alice.bundle();
    let second = bob.seal_with(&peer, b"new", bundle).unwrap();
    // Control: before it arrives, the first one is the highest that Alice knows.
    assert_eq!(alice.send(&mut bob, b"2").session, first);
    alice.open(&second.message).unwrap();
    assert_eq!(alice.send(&mut bob, b"3").session, second.session);
}

#[test]
fn an_unanswered_session_that_the_peer_lacks_is_replaced() {
    let [mut alice, mut bob] = friends();
    let peer = alice.peer(&bob);
    let bundle = bob.bundle();
    let lost = alice.seal_with(&peer, b"lost", bundle).unwrap();
    // Control: what comes in the first minute was on its way.
    for text in [b"a", b"b", b"c"] {
        let message = bob.send(&mut alice, text);
        alice.open(&message.message).unwrap();
    }
    alice.now.0 += MINUTE;
    for text in [b"1", b"2"] {
        // Control: until two messages without it have come, it is sent on.
        assert_eq!(alice.seal(&peer, b"again").unwrap().session, lost.session);
        let message = bob.send(&mut alice, text);
        alice.open(&message.message).unwrap();
    }
    assert_eq!(alice.seal(&peer, b"again"), Err(SealError::NeedsBundle(NewSession::Unheard)));
    let again = alice.send(&mut bob, b"again");
    assert_eq!(bob.open(&again.message).unwrap().payload, b"again");
    assert_eq!(bob.send(&mut alice, b"3").session, again.session);
}

#[test]
fn a_session_that_the_peer_has_heard_of_is_not_replaced() {
    let [mut alice, mut bob] = friends();
    let peer = alice.peer(&bob);
    let bundle = bob.bundle();
    let second = alice.seal_with(&peer, b"second", bundle).unwrap();
    let before = [bob.send(&mut alice, b"1"), bob.send(&mut alice, b"2")];
    bob.open(&second.message).unwrap();
    let answer = bob.send(&mut alice, b"3");
    alice.open(&answer.message).unwrap();
    // Late mail from before does not change that.
    before.iter().for_each(|message| assert_eq!(alice.open(&message.message).unwrap().payload.len(), 1));
    assert_eq!(alice.seal(&peer, b"next").unwrap().session, second.session);
}
