// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a message's keys are bound to: its own salt and header, the handshake's transcript, and the whole message before
//! any work is done for it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test states its expectations"
)]

#[path = "support/generators.rs"]
mod generators;

use generators::Stuck;
use noescrow::error::DecryptError;
use noescrow::hazmat::{self, Call, Intercept, Intercepted, session_from_state, session_state};
use noescrow::primitives::{Primitives, RustCrypto};
use noescrow::skipped::Heap;
use noescrow::{MESSAGE_OVERHEAD, Secret, Session, session};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

type Ends<P> = [session::Session<P, Heap>; 2];

const RATCHET_SECRET: [u8; 32] = [6; 32];

/// Both ends of a foreign handshake, the initiator first. The first message is not sent yet.
fn ends<P: Primitives>(primitives: P, secret: u8, context: &[u8]) -> Ends<P> {
    let secret = Secret::new([secret; 32]);
    let ratchet_key = RustCrypto.dh_public(&Secret::new(RATCHET_SECRET));
    let initiator = hazmat::initiator(primitives.clone(), &secret, &ratchet_key, context).unwrap();
    [initiator, hazmat::responder(primitives, &secret, Secret::new(RATCHET_SECRET), context)]
}

/// Both ends in the middle of a chain of the initiator's.
fn mid_chain<P: Primitives>(primitives: P, rng: &mut ChaCha20Rng) -> Ends<P> {
    let [mut alice, mut bob] = ends(primitives, 1, b"");
    for _ in 0..3 {
        let message = alice.encrypt(b"begin", rng).unwrap();
        bob.decrypt(&message).unwrap();
    }
    [alice, bob]
}

fn body(message: &[u8]) -> &[u8] {
    &message[MESSAGE_OVERHEAD..]
}

fn xor(a: &[u8], b: &[u8]) -> Vec<u8> {
    a.iter().zip(b).map(|(a, b)| a ^ b).collect()
}

/// A sender whose message key is that of revision 2: not bound to salt and commitment.
#[derive(Clone, Default)]
struct UnboundKey;

impl Intercept for UnboundKey {
    fn intercept(&self, primitives: &RustCrypto, call: &mut Call<'_>) {
        if let Call::Hkdf { info, .. } = call
            && info[0] == b"noescrow-v1 message"
        {
            *info = &info[..1];
        }
        call.perform(primitives);
    }
}

/// Two messages from one state, of the same plaintext length, with different generators.
fn twice_from_one_state<P: Primitives>(primitives: P, [one, two]: [&[u8]; 2]) -> [Vec<u8>; 2] {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let [alice, _] = mid_chain(primitives.clone(), &mut rng);
    let state = session_state(&alice);
    [(one, 2), (two, 3)].map(|(text, seed)| {
        let mut clone: session::Session<P, Heap> = session_from_state(primitives.clone(), &state).unwrap();
        clone.encrypt(text, &mut ChaCha20Rng::seed_from_u64(seed)).unwrap()
    })
}

/// TR-1: a rolled-back snapshot or a cloned virtual machine encrypts twice from one state.
#[test]
fn two_encryptions_from_one_state_are_no_two_time_pad() {
    let texts: [&[u8]; 2] = [b"attack at dawn", b"retreat at ten"];
    let difference = xor(texts[0], texts[1]);
    let [one, two] = twice_from_one_state(RustCrypto, texts);
    assert_ne!(xor(&body(&one)[..14], &body(&two)[..14]), difference);
    // Control: with revision 2's key, the ciphertexts' difference is the plaintexts'.
    let [one, two] = twice_from_one_state(Intercepted::<UnboundKey>::default(), texts);
    assert_eq!(xor(&body(&one)[..14], &body(&two)[..14]), difference);
}

/// TR-1, W7: of two messages from one state the peer opens the first and refuses the second, and the session continues.
#[test]
fn one_state_used_twice_loses_one_message() {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let [mut alice, mut bob] = mid_chain(RustCrypto, &mut rng);
    let mut clone: Session = session_from_state(RustCrypto, &session_state(&alice)).unwrap();
    let one = alice.encrypt(b"one", &mut rng).unwrap();
    let two = clone.encrypt(b"two", &mut rng).unwrap();
    assert_eq!(bob.decrypt(&one).unwrap().plaintext, b"one");
    assert_eq!(bob.decrypt(&two).unwrap_err(), DecryptError::KeyGone);
    let next = alice.encrypt(b"next", &mut rng).unwrap();
    assert_eq!(bob.decrypt(&next).unwrap().plaintext, b"next");
}

/// A sender whose routing tag does not depend on the number.
#[derive(Clone, Default)]
struct ConstantTag;

impl Intercept for ConstantTag {
    fn intercept(&self, primitives: &RustCrypto, call: &mut Call<'_>) {
        if let Call::Hmac { parts, .. } = call
            && parts[0] == b"noescrow-v1 tag"
        {
            *parts = &parts[..1];
        }
        call.perform(primitives);
    }
}

/// DR-E3: half of the salt is a tag of the number.
#[test]
fn salts_are_unique_with_a_stuck_generator() {
    fn salts<P: Primitives>(primitives: P) -> usize {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let [mut alice, _] = mid_chain(primitives, &mut rng);
        (0..50).map(|_| alice.encrypt(b"", &mut Stuck(7)).unwrap()[1..17].to_vec()).collect::<BTreeSet<_>>().len()
    }
    assert_eq!(salts(RustCrypto), 50);
    // Control: without the number.
    assert_eq!(salts(Intercepted::<ConstantTag>::default()), 1);
}

/// Records every secret that is derived; optionally leaves the transcript out of the key schedule.
#[derive(Clone, Default)]
struct Schedule {
    outputs: Rc<RefCell<BTreeSet<Vec<u8>>>>,
    without_transcript: bool,
}

impl Intercept for Schedule {
    fn intercept(&self, primitives: &RustCrypto, call: &mut Call<'_>) {
        if let Call::HkdfExpand { info, .. } = call
            && self.without_transcript
            && info[0].starts_with(b"noescrow-v1 sk: ")
        {
            *info = &info[..1];
        }
        call.perform(primitives);
        match call {
            Call::Hkdf { out, .. } | Call::HkdfExpand { out, .. } => {
                let parts = out.chunks(32).map(<[u8]>::to_vec);
                self.outputs.borrow_mut().extend(parts);
            }
            _ => {}
        }
    }
}

/// HS-I7, HS-R6: two sides that disagree about the transcript share no key at all.
#[test]
fn the_transcript_is_in_every_key() {
    let shared = |without_transcript| {
        let [here, there] = [b"with Bob".as_slice(), b"with Eve"].map(|context| {
            let schedule = Schedule { without_transcript, ..Schedule::default() };
            let _ = ends(Intercepted::new(schedule.clone()), 1, context);
            schedule.outputs.take()
        });
        assert!(here.len() >= 7 && there.len() >= 7);
        here.intersection(&there).count()
    };
    assert_eq!(shared(false), 0);
    // Control: with SK expanded as in revision 2.
    assert!(shared(true) >= 7);
}

/// HS-I7: an id names one session, also of two that have one context.
#[test]
fn session_ids_come_from_the_secret() {
    let ids = |secret, context: &[u8]| ends(RustCrypto, secret, context).map(|end| end.id());
    let [alice, bob] = ids(1, b"context");
    assert_eq!(alice, bob);
    assert_ne!(alice, ids(2, b"context")[0], "another secret");
    assert_ne!(alice, ids(1, b"other")[0], "another context");
}

/// HS-I7: both sides have one exporter, which is given out once and never stored.
#[test]
fn the_exporter_is_given_out_once() {
    let exported = |end: &mut Session| end.take_exporter().map(|exporter| *exporter.expose());
    let [mut alice, mut bob] = ends(RustCrypto, 1, b"");
    let secret = exported(&mut alice);
    assert!(secret.is_some());
    assert_eq!((exported(&mut bob), exported(&mut alice)), (secret, None));
    // It is neither in a stored state nor there after the session has gone on.
    let [mut alice, mut bob] = ends(RustCrypto, 1, b"");
    let state = session_state(&alice);
    assert!(!state.windows(32).any(|bytes| bytes == secret.unwrap()));
    assert!(state.windows(32).any(|bytes| bytes == alice.id()), "control: the id is stored");
    let mut restored: Session = session_from_state(RustCrypto, &state).unwrap();
    assert_eq!(exported(&mut restored), None);
    let message = alice.encrypt(b"", &mut ChaCha20Rng::seed_from_u64(1)).unwrap();
    bob.decrypt(&message).unwrap();
    assert_eq!((exported(&mut alice), exported(&mut bob)), (None, None));
}

/// An initiator whose first chunk is not the one that its MAC covers: with chunks of 128 bytes, it is a whole value.
#[derive(Clone, Default)]
struct FalseChunk;

/// A header with chunks of 128 bytes, and where in it the chunk is.
const LONG_HEADER: usize = 180;
const CHUNK_AT: usize = 32 + 4 + 4 + 1 + 4 + 2;

impl Intercept for FalseChunk {
    fn intercept(&self, primitives: &RustCrypto, call: &mut Call<'_>) {
        if let Call::Seal { key, nonce, ad, buffer, tag } = call {
            if ad.len() == 32 + 32 + 1 + 32 + LONG_HEADER {
                let mut ad = ad.to_vec();
                ad[97 + CHUNK_AT] ^= 1;
                **tag = primitives.seal(key, nonce, &ad, buffer);
                return;
            }
            if buffer.len() == LONG_HEADER {
                buffer[CHUNK_AT] ^= 1;
            }
        }
        call.perform(primitives);
    }
}

/// HS-R7: a first message that makes the Braid fail opens, and its session is over: it has no exporter.
#[test]
fn a_first_message_that_ends_its_session_leaves_no_exporter() {
    fn accepted<P: Primitives>(primitives: P) -> (Vec<u8>, bool, bool) {
        type Owner<P> = noescrow::device::Device<P, noescrow::Capacity<1, 1>>;
        let (now, mut rng) = (noescrow::UnixSeconds(1), ChaCha20Rng::seed_from_u64(7));
        let alice = Owner::generate_with(primitives, now, &mut rng);
        let mut bob = Owner::generate_with(RustCrypto, now, &mut rng);
        let published = bob.publish(0, now, &mut rng).unwrap();
        let bundle = noescrow::Bundle::new(published.identity, published.signed_prekey, None).unwrap();
        let options = noescrow::InitiateOptions::unverified(now).chunk_size(noescrow::ChunkSize::Bytes128);
        let (_, hello) = alice.initiate(bundle, b"hi", options, &mut rng).unwrap();
        let (mut session, opened) = bob.open(&hello).unwrap().accept(b"").unwrap();
        (opened.plaintext, session.is_abandoned(), session.take_exporter().is_some())
    }
    assert_eq!(accepted(Intercepted::<FalseChunk>::default()), (b"hi".to_vec(), true, false));
    // Control: an honest initiator's.
    assert_eq!(accepted(RustCrypto), (b"hi".to_vec(), false, true));
}

/// Counts derivations of chains and roots; optionally leaves the body out of the header's associated data.
#[derive(Clone, Default)]
struct Work {
    derivations: Rc<Cell<usize>>,
    uncovered: bool,
}

impl Intercept for Work {
    fn intercept(&self, primitives: &RustCrypto, call: &mut Call<'_>) {
        match call {
            Call::HmacPair { .. } | Call::Hkdf { .. } | Call::Dh { .. } => {
                self.derivations.set(self.derivations.get() + 1)
            }
            Call::Hmac { parts, .. } if parts == &[&[2][..]] => self.derivations.set(self.derivations.get() + 1),
            Call::Seal { ad, buffer, .. } | Call::Open { ad, buffer, .. } if self.uncovered && buffer.len() == 84 => {
                *ad = &[];
            }
            _ => {}
        }
        call.perform(primitives);
    }
}

/// What one end derives for a message of another length than a header, after 200 messages were withheld.
fn derivations(uncovered: bool, tamper: impl Fn(&mut Vec<u8>, &[u8])) -> (Option<DecryptError>, usize) {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let work = Work { uncovered, ..Work::default() };
    let [mut alice, mut bob] = mid_chain(Intercepted::new(work.clone()), &mut rng);
    let other = alice.encrypt(&[1; 5_000], &mut rng).unwrap();
    for _ in 0..200 {
        alice.encrypt(b"withheld", &mut rng).unwrap();
    }
    let mut message = alice.encrypt(&[2; 5_000], &mut rng).unwrap();
    tamper(&mut message, &other);
    let before = session_state(&bob);
    work.derivations.set(0);
    let error = bob.decrypt(&message).err();
    assert_eq!(error.is_some(), session_state(&bob) == before);
    (error, work.derivations.get())
}

const BODY_TAG_AT: usize = 1 + 16 + 16 + 84 + 16;

/// DR-D2: nothing is derived for a genuine header that was joined to another body.
#[test]
fn a_genuine_header_with_another_body_buys_no_work() {
    let refused = Some(DecryptError::Refused);
    let glue = |message: &mut Vec<u8>, other: &[u8]| message[BODY_TAG_AT..].copy_from_slice(&other[BODY_TAG_AT..]);
    assert_eq!(derivations(false, glue), (refused, 0));
    assert_eq!(derivations(false, |message, _| message.truncate(BODY_TAG_AT + 16 + 100)), (refused, 0));
    assert_eq!(derivations(false, |message, _| message.push(0)), (refused, 0));
    for at in [BODY_TAG_AT, BODY_TAG_AT + 15, BODY_TAG_AT + 16, BODY_TAG_AT + 16 + 4_095] {
        assert_eq!(derivations(false, |message, _| message[at] ^= 1), (refused, 0), "{at}");
    }
    // What can still be bought: after the bytes that the header covers, the derivation of what was really withheld.
    let (error, bought) = derivations(false, |message, _| message[BODY_TAG_AT + 16 + 4_096] ^= 1);
    assert!(error == refused && bought > 200, "{bought}");
    let (error, honest) = derivations(false, |_, _| {});
    assert_eq!((error, honest), (None, bought));
    // Control: a header that covers nothing buys all of it.
    assert_eq!(derivations(true, glue), (refused, honest));
}

/// HS-R7: what the first message of a session buys of its device, after 200 others of the session were withheld, if
/// `tamper` replaces its body.
fn first_contact(uncovered: bool, tamper: impl Fn(&mut Vec<u8>, &[u8])) -> (bool, usize) {
    type Owner = noescrow::device::Device<Intercepted<Work>, noescrow::Capacity<1, 1>>;
    let (now, mut rng) = (noescrow::UnixSeconds(1), ChaCha20Rng::seed_from_u64(7));
    let work = Work { uncovered, ..Work::default() };
    let [alice, mut bob] = [(); 2].map(|()| Owner::generate_with(Intercepted::new(work.clone()), now, &mut rng));
    let bundle = noescrow::Bundle::new(*bob.identity(), bob.signed_prekey(), None).unwrap();
    let options = noescrow::InitiateOptions::unverified(now);
    let (mut session, other) = alice.initiate(bundle, &[1; 5_000], options, &mut rng).unwrap();
    for _ in 0..200 {
        session.encrypt(b"withheld", &mut rng).unwrap();
    }
    let mut message = session.encrypt(&[2; 5_000], &mut rng).unwrap();
    tamper(&mut message, &other);
    work.derivations.set(0);
    let opened = bob.open(&message).is_ok_and(|pending| pending.accept(b"").is_ok());
    (opened, work.derivations.get())
}

#[test]
fn a_genuine_first_header_with_another_body_buys_no_chain_step() {
    let tag_at = HANDSHAKE_LEN + BODY_TAG_AT - 1;
    let glue = |message: &mut Vec<u8>, other: &[u8]| message[tag_at..].copy_from_slice(&other[tag_at..]);
    let (opened, handshake) = first_contact(false, glue);
    assert!(!opened && handshake < 20, "{handshake}");
    assert_eq!(first_contact(false, |message, _| message.truncate(tag_at + 16 + 100)), (false, handshake));
    assert_eq!(first_contact(false, |message, _| message[tag_at + 16 + 4_095] ^= 1), (false, handshake));
    let (opened, honest) = first_contact(false, |_, _| {});
    assert!(opened && honest > handshake + 200, "{honest}");
    // Control: a header that covers nothing buys all of it.
    assert_eq!(first_contact(true, glue), (false, honest));
}

const HANDSHAKE_LEN: usize = 1_756;

/// DR-E3: the header's key depends on type and length, the body's on the header.
#[test]
fn every_byte_before_the_body_is_bound_to_it() {
    let mut rng = ChaCha20Rng::seed_from_u64(9);
    let [mut alice, mut bob] = mid_chain(RustCrypto, &mut rng);
    let message = alice.encrypt(b"text", &mut rng).unwrap();
    for at in 0..message.len() {
        for bit in [1, 0x80] {
            let mut bad = message.clone();
            bad[at] ^= bit;
            assert_eq!(bob.decrypt(&bad).unwrap_err(), DecryptError::Refused, "{at}");
        }
    }
    // Control.
    assert_eq!(bob.decrypt(&message).unwrap().plaintext, b"text");
}

/// DR-D3: the flag is in the sealed header.
#[test]
fn control_messages_are_marked_inside_encryption() {
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let [mut alice, mut bob] = mid_chain(RustCrypto, &mut rng);
    let [control, text] = [alice.encrypt_control(b"x", &mut rng).unwrap(), alice.encrypt(b"x", &mut rng).unwrap()];
    assert_eq!((control[0], control.len()), (text[0], text.len()), "alike to a server");
    let [control, text] = [control, text].map(|message| bob.decrypt(&message).unwrap());
    assert_eq!((control.is_control, text.is_control), (true, false));
    assert_eq!((control.number, text.number), (3, 4));
}

/// Counts the compressions of SHA-256, as if each key were scheduled once for consecutive MACs.
#[derive(Clone, Default)]
struct Compressions(Rc<RefCell<(u64, Vec<u8>)>>);

impl Compressions {
    /// Compressions of a hash over `len` bytes: with the padding of 9 bytes, in blocks of 64.
    fn blocks(len: usize) -> u64 {
        (len as u64 + 9).div_ceil(64)
    }

    /// Compressions of a MAC without its key's: inner hash after a whole block, outer hash of one block.
    fn mac(len: usize) -> u64 {
        Self::blocks(len) + 1
    }

    fn expand(info: &[&[u8]], out: usize) -> u64 {
        let info: usize = info.iter().map(|part| part.len()).sum();
        let blocks = out.div_ceil(32);
        (0..blocks).map(|block| Self::mac(info + 1 + if block == 0 { 0 } else { 32 })).sum::<u64>() + 2
    }

    fn take(&self) -> u64 {
        std::mem::take(&mut self.0.borrow_mut().0)
    }
}

impl Intercept for Compressions {
    fn intercept(&self, primitives: &RustCrypto, call: &mut Call<'_>) {
        let length = |parts: &[&[u8]]| parts.iter().map(|part| part.len()).sum();
        let mut scheduled = self.0.borrow_mut();
        let mut key_now = Vec::new();
        scheduled.0 += match call {
            Call::Hmac { key, parts, .. } => {
                key_now = key.to_vec();
                Self::mac(length(parts)) + if key_now == scheduled.1 { 0 } else { 2 }
            }
            Call::HmacPair { .. } => 2 + 2 * Self::mac(1),
            Call::Hkdf { ikm, info, out, .. } => 2 + Self::mac(length(ikm)) + Self::expand(info, out.len()),
            Call::HkdfExpand { info, out, .. } => Self::expand(info, out.len()),
            Call::Sha256 { parts, .. } => Self::blocks(length(parts)),
            _ => 0,
        };
        scheduled.1 = key_now;
        drop(scheduled);
        call.perform(primitives);
    }
}

/// DR-E3, TR-1: pinned, because they are most of what a short message costs (spec/protocol.md §9).
#[test]
fn a_message_costs_29_compressions_to_send_and_27_to_open() {
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let count = Compressions::default();
    let [mut alice, mut bob] = mid_chain(Intercepted::new(count.clone()), &mut rng);
    count.take();
    let message = alice.encrypt(b"text", &mut rng).unwrap();
    assert_eq!(count.take(), 29);
    bob.decrypt(&message).unwrap();
    assert_eq!(count.take(), 27);
    // A message of nobody: four for each header key, of which there are two.
    let mut junk = vec![0; message.len()];
    rng.fill_bytes(&mut junk);
    junk[0] = message[0];
    assert_eq!(bob.decrypt(&junk).unwrap_err(), DecryptError::Refused);
    assert_eq!(count.take(), 2 * 4);
    // Control: the count notices one byte more than fits into a block.
    assert_eq!((Compressions::blocks(55), Compressions::blocks(56)), (1, 2));
}
