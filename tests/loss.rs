// SPDX-License-Identifier: MIT OR Apache-2.0
//! Loss never ends a conversation: how far a message may jump is a constant of the protocol, and how many keys are kept
//! is the store's.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test states its expectations"
)]

use noescrow::error::{AcceptError, DecryptError, RestoreError};
use noescrow::hazmat::{self, session_from_state, session_state};
use noescrow::primitives::{Primitives, RustCrypto};
use noescrow::skipped::{Heap, Inline, SkippedKeyStore};
use noescrow::{Bundle, Device, InitiateOptions, MAX_JUMP, MAX_SKIPPED_KEYS, Secret, Session, UnixSeconds, session};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

type End<S> = session::Session<RustCrypto, S>;

/// A conversation whose receiving sides keep their keys in `S`.
struct Talk<S> {
    ends: [End<S>; 2],
    rng: ChaCha20Rng,
    buffer: Vec<u8>,
}

impl<S: SkippedKeyStore> Talk<S> {
    /// Before the first message of the initiator, who is end 0.
    fn new() -> Self {
        let (secret, ratchet) = (Secret::new([1; 32]), [6; 32]);
        let ratchet_key = RustCrypto.dh_public(&Secret::new(ratchet));
        let initiator = hazmat::initiator(RustCrypto, &secret, &ratchet_key, b"").unwrap();
        let responder = hazmat::responder(RustCrypto, &secret, Secret::new(ratchet), b"");
        Self { ends: [initiator, responder], rng: ChaCha20Rng::seed_from_u64(1), buffer: vec![0; 1_000] }
    }

    fn copy(&self) -> Self {
        let ends = [0, 1].map(|at| session_from_state(RustCrypto, &session_state(&self.ends[at])).unwrap());
        Self { ends, rng: self.rng.clone(), buffer: self.buffer.clone() }
    }

    fn send(&mut self, from: usize) -> Vec<u8> {
        self.ends[from].encrypt(b"text", &mut self.rng).unwrap()
    }

    fn receive(&mut self, to: usize, message: &[u8]) -> Result<(), DecryptError> {
        self.ends[to].decrypt(message).map(|opened| assert_eq!(opened.plaintext, b"text"))
    }

    /// A message from `from` arrives.
    fn pass(&mut self, from: usize) -> Result<(), DecryptError> {
        let message = self.send(from);
        self.receive(1 - from, &message)
    }

    /// `count` messages from `from` are lost.
    fn lose(&mut self, from: usize, count: u32) {
        for _ in 0..count {
            self.ends[from].encrypt_into(b"lost", &mut self.buffer, &mut self.rng).unwrap();
        }
    }
}

/// Where messages are lost: at first contact, within a chain, at its end, or at the head of the next.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    First,
    Within,
    End,
    Head,
}

const PLACES: [Place; 4] = [Place::First, Place::Within, Place::End, Place::Head];

/// Loses messages in sequence at `place`, as many as each of `losses`, and returns the error of the message that comes
/// after each of these losses.
fn outcomes<S: SkippedKeyStore>(place: Place, losses: &[u32]) -> Vec<Result<(), DecryptError>> {
    let mut talk = Talk::<S>::new();
    if place != Place::First {
        talk.pass(0).unwrap();
    }
    if place == Place::Head {
        talk.pass(1).unwrap();
    }
    let mut lost = 0;
    let outcomes = losses.iter().map(|losses| {
        talk.lose(0, losses - lost);
        lost = *losses;
        // The message after them arrives in a copy of the conversation, because it would end the sequence.
        let mut copy = talk.copy();
        if place == Place::End {
            copy.pass(1).unwrap();
        }
        copy.pass(0)
    });
    outcomes.collect()
}

/// DR-D5, DR-D6, SP-R1: with every store, at every place.
#[test]
fn fewer_losses_than_the_jump_never_end_a_conversation() {
    // Bounds of revision 2 are a store's capacity, 1,000 and 2,000.
    let losses = [1, 127, 128, 129, 1_000, 1_001, 1_999, 2_000, 2_001, 2_999];
    for place in PLACES {
        assert!(outcomes::<Inline<0>>(place, &[100]).iter().all(Result::is_ok), "{place:?}");
        assert!(outcomes::<Heap>(place, &losses).iter().all(Result::is_ok), "{place:?}");
        // The limit reached, and passed by one, which the same check notices. At a chain's end the lost keys are given
        // up.
        let limits = [&losses[..], &[MAX_JUMP, MAX_JUMP + 1]].concat();
        let (passed, outcomes) = (losses.len() + 1, outcomes::<Inline<128>>(place, &limits));
        let first = outcomes.iter().position(Result::is_err).unwrap_or(outcomes.len());
        assert_eq!(first, if place == Place::End { passed + 1 } else { passed }, "{place:?}");
        assert!(outcomes[first..].iter().all(|outcome| *outcome == Err(DecryptError::TooManySkipped)), "{place:?}");
    }
}

/// DR-D6: where too many of the old chain are missing, the conversation continues in the new one, and their keys are gone.
#[test]
fn an_old_chain_with_too_many_losses_is_given_up() {
    let mut talk = Talk::<Heap>::new();
    talk.pass(0).unwrap();
    talk.lose(0, MAX_JUMP);
    let late = talk.send(0);
    talk.pass(1).unwrap();
    talk.lose(0, 3);
    let message = talk.send(0);
    assert_eq!(talk.ends[1].peek(&message), Ok(MAX_JUMP + 1 + 3), "in the post-quantum chain");
    talk.receive(1, &message).unwrap();
    assert_eq!(talk.ends[1].skipped_message_keys(), 3);
    assert_eq!(talk.receive(1, &late), Err(DecryptError::Refused), "its header key is gone too");
    assert_eq!(talk.pass(1), Ok(()));
    assert_eq!(talk.pass(0), Ok(()));
}

/// DR-D7, DR-D9: the newest keys of a jump are kept, up to the store's capacity.
#[test]
fn the_newest_lost_messages_can_still_arrive() {
    fn newest<S: SkippedKeyStore>(lost: u32) {
        let mut talk = Talk::<S>::new();
        talk.pass(0).unwrap();
        let late: Vec<_> = (0..lost).map(|_| talk.send(0)).collect();
        talk.pass(0).unwrap();
        let kept = late.len().min(S::CAPACITY);
        assert_eq!(talk.ends[1].skipped_message_keys(), kept);
        for (number, message) in late.iter().enumerate() {
            let gone = number < late.len() - kept;
            let expected = if gone { Err(DecryptError::KeyGone) } else { Ok(()) };
            assert_eq!(talk.receive(1, message), expected, "{number} of {lost}");
        }
        // And once more: they are duplicates now.
        assert!(late.iter().all(|message| talk.receive(1, message) == Err(DecryptError::KeyGone)));
    }
    newest::<Inline<128>>(127);
    newest::<Inline<128>>(128);
    newest::<Inline<128>>(129);
    newest::<Heap>(MAX_SKIPPED_KEYS as u32 + 1);
    newest::<Inline<0>>(5);
}

/// DR-D4, SP-R1: an authentic header whose key is not kept has its own error, and changes nothing.
#[test]
fn a_duplicate_is_not_taken_for_a_forgery() {
    let mut talk = Talk::<Heap>::new();
    let first = talk.send(0);
    talk.receive(1, &first).unwrap();
    assert_eq!(talk.receive(1, &first), Err(DecryptError::KeyGone));
    let mut forged = talk.send(0);
    forged[150] ^= 1;
    assert_eq!(talk.receive(1, &forged), Err(DecryptError::Refused), "control");
}

/// What a message would skip is known before anything is derived.
#[test]
fn peek_tells_how_many_messages_are_skipped() {
    let mut talk = Talk::<Inline<4>>::new();
    talk.pass(0).unwrap();
    assert_eq!(talk.ends[1].peek(&[0x12; 200]), Err(DecryptError::Refused));
    for lost in [0, 1, 7, 300] {
        talk.lose(0, lost);
        let message = talk.send(0);
        assert_eq!(talk.ends[1].peek(&message), Ok(lost));
        talk.receive(1, &message).unwrap();
        assert_eq!(talk.ends[1].peek(&message), Err(DecryptError::KeyGone), "once opened");
    }
    // At the end of a chain and the head of the next.
    talk.lose(0, 5);
    talk.pass(1).unwrap();
    talk.lose(0, 6);
    let message = talk.send(0);
    assert_eq!(talk.ends[1].peek(&message), Ok(11));
}

/// A chain on which half of the largest jump has arrived wants an answer, which begins a new one.
#[test]
fn a_side_that_only_listens_should_answer_in_time() {
    let mut talk = Talk::<Inline<0>>::new();
    talk.lose(0, MAX_JUMP / 2 - 2);
    talk.pass(0).unwrap();
    assert!(!talk.ends[1].should_answer());
    talk.pass(0).unwrap();
    assert!(talk.ends[1].should_answer() && !talk.ends[0].should_answer());
    talk.lose(1, 1);
    assert!(talk.ends[1].should_answer(), "an answer that is withheld is none");
    talk.pass(1).unwrap();
    talk.pass(0).unwrap();
    assert!(!talk.ends[1].should_answer(), "a new chain");
}

/// While messages of the one direction are lost, so are messages of the other.
#[test]
fn losses_in_both_directions_at_once_end_no_conversation() {
    fn run<S: SkippedKeyStore>(losses: &[u32]) -> Vec<[Result<(), DecryptError>; 4]> {
        let mut talk = Talk::<S>::new();
        talk.pass(0).unwrap();
        talk.pass(1).unwrap();
        let mut lost = 0;
        let outcomes = losses.iter().map(|losses| {
            (0..2).for_each(|from| talk.lose(from, losses - lost));
            lost = *losses;
            let mut talk = talk.copy();
            let crossing = [talk.send(0), talk.send(1)];
            [talk.receive(1, &crossing[0]), talk.receive(0, &crossing[1]), talk.pass(0), talk.pass(1)]
        });
        outcomes.collect()
    }
    assert_eq!(run::<Inline<0>>(&[1, 129, 2_001]), [[Ok(()); 4]; 3]);
    assert_eq!(run::<Heap>(&[1, 129, 2_001]), [[Ok(()); 4]; 3]);
    // Control: the limit, and one more.
    let limit = run::<Inline<1>>(&[1, 129, MAX_JUMP, MAX_JUMP + 1]);
    assert_eq!(limit[..3], [[Ok(()); 4]; 3]);
    assert_eq!(limit[3], [Err(DecryptError::TooManySkipped); 4]);
}

/// Most messages of several epochs of the post-quantum ratchet are lost, with stores that keep next to nothing.
#[test]
fn losses_over_several_epochs_end_no_conversation() {
    fn epochs<S: SkippedKeyStore>(lost: u32) -> Result<u32, DecryptError> {
        let mut talk = Talk::<S>::new();
        talk.pass(0)?;
        for _ in 0..250 {
            talk.lose(1, lost);
            talk.pass(1)?;
            talk.lose(0, lost);
            talk.pass(0)?;
        }
        Ok(talk.ends[0].post_quantum_epoch())
    }
    for epochs in [epochs::<Inline<0>>(2), epochs::<Inline<1>>(3), epochs::<Heap>(3)] {
        assert!(epochs.is_ok_and(|epochs| epochs >= 2), "{epochs:?}");
    }
    // Control: without a message that arrives there is no epoch.
    let mut talk = Talk::<Heap>::new();
    talk.lose(0, 1_000);
    assert_eq!((talk.pass(0), talk.ends[1].post_quantum_epoch()), (Ok(()), 0));
}

/// The end of one chain and the head of the next are lost, each to the limit: twice as many in the post-quantum chain.
#[test]
fn both_chains_may_be_lost_to_the_limit_after_a_restore() {
    fn run<S: SkippedKeyStore>(talk: &Talk<Heap>, message: &[u8]) -> Result<(), DecryptError> {
        // The first step after a restore, into a store that keeps none of the ten keys, or one.
        let mut small: End<S> = session_from_state(RustCrypto, &session_state(&talk.ends[1])).unwrap();
        assert_eq!((small.skipped_message_keys(), talk.ends[1].skipped_message_keys()), (S::CAPACITY, 10));
        small.decrypt(message).map(drop)?;
        assert_eq!(small.decrypt(message), Err(DecryptError::KeyGone));
        let again: End<S> = session_from_state(RustCrypto, &session_state(&small)).unwrap();
        assert_eq!(session_state(&again), session_state(&small));
        Ok(())
    }
    let mut talk = Talk::<Heap>::new();
    talk.lose(0, 10);
    talk.pass(0).unwrap();
    talk.lose(0, MAX_JUMP);
    talk.pass(1).unwrap();
    talk.lose(0, MAX_JUMP);
    let message = talk.send(0);
    assert_eq!(run::<Inline<0>>(&talk, &message), Ok(()));
    assert_eq!(run::<Inline<1>>(&talk, &message), Ok(()));
    // Control: one more.
    let message = talk.send(0);
    assert_eq!(run::<Inline<1>>(&talk, &message), Err(DecryptError::TooManySkipped));
}

/// HS-R7: the first messages of a session are lost, and its device keeps few keys or none.
#[test]
fn losses_at_first_contact_end_no_conversation() {
    fn first_contact<S: SkippedKeyStore>(lost: u32) -> Result<Result<(), DecryptError>, AcceptError> {
        let (now, mut rng) = (UnixSeconds(1), ChaCha20Rng::seed_from_u64(5));
        let (alice, mut bob) = (Device::generate(now, &mut rng), Device::generate(now, &mut rng));
        let bundle = Bundle::new(*bob.identity(), bob.signed_prekey(), None).unwrap();
        // The message that began the session is lost, too.
        let (mut alice, hello) = alice.initiate(bundle, b"text", InitiateOptions::unverified(now), &mut rng).unwrap();
        let mut buffer = vec![0; 4_000];
        for _ in 1..lost {
            alice.encrypt_into(b"lost", &mut buffer, &mut rng).unwrap();
        }
        let mut message = alice.encrypt(b"text", &mut rng).unwrap();
        let pending = bob.open_in_place::<S>(&mut message)?;
        let (mut session, _) = pending.accept_in_place(b"").map_err(|failed| failed.error)?;
        let late = session.decrypt(&hello).map(drop);
        let reply = session.encrypt(b"text", &mut rng).unwrap();
        assert_eq!(alice.decrypt(&reply).unwrap().plaintext, b"text");
        Ok(late)
    }
    assert_eq!(first_contact::<Inline<0>>(1), Ok(Err(DecryptError::KeyGone)));
    assert_eq!(first_contact::<Inline<1>>(1), Ok(Ok(())));
    assert_eq!(first_contact::<Inline<1>>(129), Ok(Err(DecryptError::KeyGone)));
    assert_eq!(first_contact::<Inline<0>>(MAX_JUMP), Ok(Err(DecryptError::KeyGone)));
    // Control: one more, with a reason other than for a forgery.
    assert_eq!(first_contact::<Inline<0>>(MAX_JUMP + 1), Err(AcceptError::TooManySkipped));
}

/// SN-2.29: a state with exactly as many keys as a ratchet may keep, and with one more.
#[test]
fn a_state_with_more_keys_than_2_000_is_refused() {
    // The first page of the kept keys has the key of message 31 alone, and gets that of message 30.
    let with_one_more = |end: &End<Heap>| {
        let mut state = session_state(end);
        let page = [&[1, 0, 0, 0, 1, 0, 0, 0, 0][..], &[0x80, 0, 0, 0]].concat();
        let at = state.windows(page.len()).position(|bytes| bytes == page).unwrap();
        state[at + 9] = 0xC0;
        state.splice(at + 13..at + 13, [7; 32]);
        session_from_state::<_, Heap>(RustCrypto, &state).map(|end| end.skipped_message_keys())
    };
    let mut talk = Talk::<Heap>::new();
    talk.pass(0).unwrap();
    talk.lose(0, 2_029);
    let kept = talk.send(0);
    talk.pass(0).unwrap();
    assert_eq!(talk.ends[1].skipped_message_keys(), MAX_SKIPPED_KEYS);
    assert_eq!(with_one_more(&talk.ends[1]), Err(RestoreError::Refused));
    // Control: one of them was used.
    assert_eq!(talk.receive(1, &kept), Ok(()));
    assert_eq!(with_one_more(&talk.ends[1]), Ok(MAX_SKIPPED_KEYS));
}

/// DR-D4: also in an old chain, as long as a key of it is kept.
#[test]
fn keys_of_an_old_chain_that_are_gone_have_their_error() {
    let mut talk = Talk::<Inline<2>>::new();
    talk.pass(0).unwrap();
    let late = [(); 4].map(|()| talk.send(0));
    talk.pass(0).unwrap();
    talk.pass(1).unwrap();
    talk.pass(0).unwrap();
    let gone = Err(DecryptError::KeyGone);
    assert_eq!([0, 1, 2, 2, 0].map(|at| talk.receive(1, &late[at])), [gone, gone, Ok(()), gone, gone]);
    // Control: with the last key the header key is deleted, and no copy is recognized.
    assert_eq!(talk.receive(1, &late[3]), Ok(()));
    assert!(late.iter().all(|late| talk.receive(1, late) == Err(DecryptError::Refused)));
}

/// One step of a random conversation: who sends, how many messages are lost before the one that arrives.
type Turn = (bool, u32);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// For every pattern of turns and losses the next message opens, in both ratchets, over epochs and with small
    /// stores.
    #[test]
    fn the_next_message_opens_after_every_pattern_of_loss(
        turns in proptest::collection::vec((any::<bool>(), prop_oneof![4 => 0u32..4, 2 => 0u32..200, 1 => 900u32..2_200]), 1..20)
    ) {
        fn run<S: SkippedKeyStore>(turns: &[Turn]) -> Result<(), DecryptError> {
            let mut talk = Talk::<S>::new();
            talk.pass(0)?;
            for (from_bob, losses) in turns {
                let from = usize::from(*from_bob);
                talk.lose(from, *losses);
                talk.pass(from)?;
            }
            Ok(())
        }
        prop_assert_eq!(run::<Inline<16>>(&turns), Ok(()));
        prop_assert_eq!(run::<Heap>(&turns), Ok(()));
    }
}

/// Sizes of the protocol's version: both ends must agree on them.
#[test]
fn the_jump_is_a_constant_of_the_protocol() {
    assert_eq!(MAX_JUMP, 25_000);
    let _: fn(&Session, &[u8]) -> Result<u32, DecryptError> = Session::peek;
}
