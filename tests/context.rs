// SPDX-License-Identifier: MIT OR Apache-2.0
//! The convention for associated data: names are encoded unambiguously, and bound to each message.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test states its expectations"
)]

use noescrow::primitives::{Primitives, RustCrypto};
use noescrow::skipped::Inline;
use noescrow::{Context, Payload, Sealed, Secret, hazmat, session};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use std::collections::BTreeMap;

type Session = session::Session<RustCrypto, Inline<8>>;

const TO_BOB: Context<'_> = Context { sender: b"alice", recipient: b"bob", conversation: b"7" };

fn context<'a>([sender, recipient, conversation]: [&'a [u8]; 3]) -> Context<'a> {
    Context { sender, recipient, conversation }
}

#[test]
fn the_encoding_is_pinned() {
    let expected = hex_literal::hex!(
        "01"
        "0000000000000005" "616c696365"
        "0000000000000003" "626f62"
        "0000000000000001" "37"
    );
    assert_eq!(TO_BOB.to_bytes(), expected);
    assert_eq!(TO_BOB.encoded_len(), expected.len());
    assert_eq!(Context::default().to_bytes().len(), 25);
    assert_eq!(TO_BOB.reversed(), context([b"bob", b"alice", b"7"]));
    assert_ne!(TO_BOB.reversed().to_bytes(), expected);
}

#[test]
fn debug_output_shows_no_name() {
    let text = format!("{TO_BOB:?}");
    assert_eq!(text, "Context(5 bytes of sender, 3 of recipient, 1 of conversation)");
    // Control: the names would be visible as numbers.
    assert!(format!("{:?}", TO_BOB.sender).contains("97, 108, 105"));
    assert!(!text.contains("97") && !text.contains("alice"));
}

#[test]
fn writing_needs_space_for_all_of_it() {
    let len = TO_BOB.encoded_len();
    for space in 0..len + 3 {
        let mut out = vec![0xEE; space];
        let written = TO_BOB.write_to(&mut out);
        assert_eq!(written, (space >= len).then_some(len), "{space}");
        if written.is_some() {
            assert_eq!(out[..len], TO_BOB.to_bytes());
        }
        assert!(out.iter().skip(written.unwrap_or_default()).all(|byte| *byte == 0xEE), "{space}");
    }
}

/// Parts of few different bytes, among them those of lengths, so that ambiguities would be met.
fn parts() -> impl Strategy<Value = [Vec<u8>; 3]> {
    let part = || proptest::collection::vec(prop::sample::select(vec![0, 1, 2, 8]), 0..20);
    [part(), part(), part()]
}

/// Reads the three parts back, as a parser would.
fn decode(bytes: &[u8]) -> Option<[Vec<u8>; 3]> {
    let mut rest = bytes.strip_prefix(&[1])?;
    let mut parts = [const { Vec::new() }; 3];
    for part in &mut parts {
        let (len, after) = rest.split_first_chunk()?;
        let (bytes, after) = after.split_at_checked(usize::try_from(u64::from_be_bytes(*len)).ok()?)?;
        *part = bytes.to_vec();
        rest = after;
    }
    rest.is_empty().then_some(parts)
}

proptest! {
    /// Injective: the parts can be read back.
    #[test]
    fn contexts_are_read_back_from_their_bytes(parts in parts()) {
        let bytes = context(parts.each_ref().map(Vec::as_slice)).to_bytes();
        prop_assert_eq!(decode(&bytes), Some(parts));
    }
}

/// The number of contexts among all with parts of up to three bytes of two values, and of their different encodings.
fn count(encode: impl Fn(Context<'_>) -> Vec<u8>) -> (usize, usize) {
    let texts = (0..4).flat_map(|len| (0..1u8 << len).map(move |bits| (0..len).map(|bit| bits >> bit & 1).collect()));
    let texts: Vec<Vec<u8>> = texts.collect();
    let mut encodings = BTreeMap::<Vec<u8>, usize>::new();
    for sender in &texts {
        for recipient in &texts {
            for conversation in &texts {
                *encodings.entry(encode(context([sender, recipient, conversation]))).or_default() += 1;
            }
        }
    }
    (encodings.values().sum(), encodings.len())
}

#[test]
fn different_contexts_have_different_bytes() {
    let (contexts, encodings) = count(|context| context.to_bytes());
    assert_eq!((contexts, encodings), (15 * 15 * 15, 15 * 15 * 15));
    // Control: without lengths many collide.
    let (contexts, encodings) = count(|it| [&[1], it.sender, it.recipient, it.conversation].concat());
    assert_eq!((contexts, encodings), (15 * 15 * 15, (1 << 10) - 1));
    // Control: so they do with a separator that may occur in a part.
    let (contexts, encodings) = count(|it| [it.sender, it.recipient, it.conversation].join(&0));
    assert!(encodings < contexts);
}

fn pair() -> (Session, Session) {
    let public = RustCrypto.dh_public(&Secret::new([2; 32]));
    let alice = hazmat::initiator(RustCrypto, &Secret::new([1; 32]), &public, b"context").unwrap();
    (alice, hazmat::responder(RustCrypto, &Secret::new([1; 32]), Secret::new([2; 32]), b"context"))
}

fn message(session: &mut Session, associated_data: &[u8]) -> Vec<u8> {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    session.encrypt(Payload { associated_data, ..Payload::from(b"text") }, &mut rng).unwrap()
}

/// P9: Mallory registers Bob's key as hers. Alice writes to "mallory"; Mallory forwards the message to Bob.
#[test]
fn b13_a_message_meant_for_another_name_is_refused() {
    let (mut alice, mut bob) = pair();
    let to_mallory = Context { recipient: b"mallory", ..TO_BOB };
    let meant_for_mallory = message(&mut alice, &to_mallory.to_bytes());
    let others = [
        TO_BOB,
        TO_BOB.reversed(),
        Context { sender: b"mallory", ..to_mallory },
        Context { conversation: b"8", ..to_mallory },
        Context::default(),
    ];
    for believed in others {
        let sealed = Sealed { message: &meant_for_mallory, associated_data: &believed.to_bytes() };
        assert!(bob.decrypt(sealed).is_err(), "{believed:?}");
    }
    // The same message opens for those who believe what Alice believed.
    let sealed = Sealed { message: &meant_for_mallory, associated_data: &to_mallory.to_bytes() };
    assert!(bob.decrypt(sealed).is_ok());
}

/// The attack without the convention.
#[test]
fn control_b13_without_names_the_message_is_accepted() {
    let (mut alice, mut bob) = pair();
    let meant_for_mallory = message(&mut alice, b"");
    assert!(bob.decrypt(&meant_for_mallory).is_ok());
}
