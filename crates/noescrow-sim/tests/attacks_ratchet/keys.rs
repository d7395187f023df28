// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ratchet keys that a hostile peer chooses, and generators that fail.

use crate::key_log::{Key, Logged};
use crate::support::stored::storage_key;
use crate::support::{MockSession, NOW, Talk, rng, state};
use crate::{copy, cost, refuses};
use hex_literal::hex;
use noescrow::Opened;
use noescrow::error::{DecryptError, EncryptError};
use noescrow::hazmat::AcceptFromAnyone;
use noescrow::primitives::{DhPublicKey, Failed, Primitives, RustCrypto};
use noescrow::{Bundle, Capacity, InitiateOptions, Sealed, Secret, hazmat};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, TryCryptoRng, TryRng};
use std::cell::Cell;
use std::collections::HashSet;
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

fn with_bit_255(mut key: [u8; 32]) -> [u8; 32] {
    key[31] |= 0x80;
    key
}

/// p + `off`, little-endian: the non-canonical encoding of `off`.
fn p_plus(off: u8) -> [u8; 32] {
    let mut key = [0xFF; 32];
    key[0] = 0xED_u8.wrapping_add(off);
    key[31] = 0x7F;
    key
}

/// The 14 encodings that give zero with every scalar (RFC 7748, §6.1): seven, and the same with bit 255 set.
fn low_order() -> Vec<[u8; 32]> {
    let mut one = [0; 32];
    one[0] = 1;
    let mut minus_one = p_plus(0);
    minus_one[0] -= 1;
    let of_order_8 = [
        hex!("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
        hex!("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    ];
    let masked = [[0; 32], one, of_order_8[0], of_order_8[1], minus_one, p_plus(0), p_plus(1)];
    masked.into_iter().chain(masked.map(with_bit_255)).collect()
}

/// Alice's next header contains `key` as her ratchet key; in her current chain, or in a new one.
fn claim(seed: u64, key: [u8; 32], new_chain: bool) -> (Talk, Vec<u8>) {
    let mut talk = Talk::after(seed, 3);
    if new_chain {
        let ping = talk.from_bob(b"ping");
        talk.alice.decrypt(&ping).unwrap();
    }
    talk.alice_mock.rewrite_headers(move |header| header[..32].copy_from_slice(&key));
    let message = talk.from_alice(b"trust me");
    talk.alice_mock.stop_rewriting();
    (talk, message)
}

#[test]
fn a2_a_low_order_ratchet_key_is_refused_and_the_session_continues() {
    let encodings = low_order();
    assert_eq!(encodings.iter().collect::<HashSet<_>>().len(), 14);
    for (key, new_chain) in encodings.into_iter().flat_map(|key| [(key, false), (key, true)]) {
        let (mut talk, message) = claim(20, key, new_chain);
        talk.bob_mock.reset();
        refuses(&mut talk.bob, &message);
        assert_eq!(talk.bob_mock.count("dh"), 0, "refused before it is used");
        // Its number is lost with it, as that of a dropped message is.
        let next = talk.from_alice(b"next");
        assert_eq!(talk.bob.decrypt(&next).unwrap().plaintext, b"next");
        // The effect of accepting the key: every scalar gives zero, so that anybody would know the root's input.
        for scalar in [[7; 32], [8; 32]] {
            assert_eq!(RustCrypto.dh(&Secret::new(scalar), &key).unwrap_err(), Failed, "the second line");
        }
    }
    // Control: any other key reaches the root and the body, which fails because Alice does not have its secret.
    let stranger = RustCrypto.dh_public(&Secret::new([9; 32]));
    let (mut talk, message) = claim(20, stranger, true);
    talk.bob_mock.reset();
    assert_eq!(talk.bob.decrypt(&message), Err(DecryptError::Refused));
    assert!(talk.bob_mock.count("dh") == 1 && talk.bob_mock.steps().contains(&"DR-D8"));
}

#[test]
fn a3_a_non_canonical_ratchet_key_is_refused() {
    let not_canonical = (0..19).map(p_plus);
    for key in not_canonical.clone().chain(not_canonical.map(with_bit_255)) {
        assert!(DhPublicKey::from_bytes(key).is_err());
        let session = hazmat::initiator::<_, noescrow::skipped::Heap>(RustCrypto, &Secret::new([1; 32]), &key, b"");
        assert!(session.is_err());
        let (mut talk, message) = claim(21, key, true);
        talk.bob_mock.reset();
        refuses(&mut talk.bob, &message);
        assert_eq!(talk.bob_mock.count("dh"), 0);
    }
    // Alice's own key in its other encoding: the same point.
    for new_chain in [false, true] {
        let mut talk = Talk::after(21, 3);
        if new_chain {
            let ping = talk.from_bob(b"ping");
            talk.alice.decrypt(&ping).unwrap();
        }
        let seen = Rc::new(Cell::new([0; 32]));
        let spell = seen.clone();
        talk.alice_mock.rewrite_headers(move |header| {
            spell.set(header[..32].try_into().unwrap());
            header[31] |= 0x80;
        });
        let non_canonical = talk.from_alice(b"same key");
        talk.alice_mock.stop_rewriting();
        refuses(&mut talk.bob, &non_canonical);
        // Control: X25519 does not distinguish the two, so that no code after the parser would.
        let scalar = Secret::new([5; 32]);
        let dh = |key| *RustCrypto.dh(&scalar, &key).unwrap().expose();
        assert_eq!(dh(seen.get()), dh(with_bit_255(seen.get())));
        let genuine = talk.from_alice(b"same chain");
        assert_eq!(talk.bob.decrypt(&genuine).unwrap().plaintext, b"same chain");
    }
}

/// The public key in the next header that `talk`'s Alice or Bob sends.
fn overheard(mock: &crate::support::Mock, send: impl FnOnce() -> Vec<u8>) -> [u8; 32] {
    let seen = Rc::new(Cell::new([0; 32]));
    let note = seen.clone();
    mock.rewrite_headers(move |header| note.set(header[..32].try_into().unwrap()));
    send();
    mock.stop_rewriting();
    seen.get()
}

/// DR-D6.
#[test]
fn c19_reflected_and_repeated_ratchet_keys_are_refused_before_any_work() {
    for returned in ["our own", "the last one", "a stranger's"] {
        let mut talk = Talk::after(22, 3);
        let last = {
            let Talk { alice, alice_mock, rng, .. } = &mut talk;
            overheard(alice_mock, || alice.encrypt(b"", rng).unwrap())
        };
        let ping = talk.from_bob(b"ping");
        talk.alice.decrypt(&ping).unwrap();
        let own = {
            let Talk { bob, bob_mock, rng, .. } = &mut talk;
            overheard(bob_mock, || bob.encrypt(b"", rng).unwrap())
        };
        let key = match returned {
            "our own" => own,
            "the last one" => last,
            _ => RustCrypto.dh_public(&Secret::new([3; 32])),
        };
        talk.alice_mock.rewrite_headers(move |header| header[..32].copy_from_slice(&key));
        let message = talk.from_alice(b"again");
        talk.alice_mock.stop_rewriting();
        let bob = &mut talk.bob;
        let [_, dh, _, _] = cost(&talk.bob_mock, || refuses(bob, &message));
        // Control: an unknown key costs its Diffie-Hellman.
        assert_eq!(dh, usize::from(returned == "a stranger's"), "{returned}");
        let genuine = talk.from_alice(b"genuine");
        assert_eq!(talk.bob.decrypt(&genuine).unwrap().plaintext, b"genuine");
    }
}

/// A peer whose generator has two outputs in turn repeats its keys. No message key repeats, because our own key pair is
/// new at each step.
#[test]
fn c19_repeated_ratchet_keys_of_a_peer_repeat_no_message_key() {
    type LoggedDevice = noescrow::device::Device<Logged, Capacity<2, 2>>;
    let mut good = rng(23);
    let keys = Logged::default();
    let alice = LoggedDevice::generate_with(Logged::default(), NOW, &mut good);
    let mut bob = LoggedDevice::generate_with(keys.clone(), NOW, &mut good);
    let published = bob.publish(0, NOW, &mut good).unwrap();
    let bundle = Bundle::new(published.identity, published.signed_prekey, None).unwrap();
    let (mut alice, hello) = alice.initiate(bundle, b"hello", InitiateOptions::unverified(NOW), &mut good).unwrap();
    let (mut bob, _) = bob.accept(&hello).unwrap();
    for round in 0..8 {
        let ping = bob.encrypt(b"ping", &mut good).unwrap();
        alice.decrypt(&ping).unwrap();
        let pong = alice.encrypt(b"pong", &mut rng(round % 2)).unwrap();
        assert_eq!(bob.decrypt(&pong).unwrap().plaintext, b"pong", "an older key of the peer's is not an error");
    }
    // Bodies: snapshots are sealed and opened too, and a handshake's identity.
    let log_of = |keys: &Logged| -> (usize, HashSet<Key>) {
        let log = keys.log.borrow();
        let bodies = || log.opens.iter().chain(&log.seals).filter(|used| ["DR-D8", "DR-E4"].contains(&used.step));
        (bodies().count(), bodies().map(|used| used.key).collect())
    };
    let (uses, distinct) = log_of(&keys);
    assert_eq!(uses, distinct.len());
    // Control: the same key at each step repeats the last one, and ends the conversation.
    let ping = bob.encrypt(b"ping", &mut good).unwrap();
    alice.decrypt(&ping).unwrap();
    let stuck = alice.encrypt(b"pong", &mut rng(1)).unwrap();
    assert_eq!(bob.decrypt(&stuck), Err(DecryptError::Refused));
    // Control: a key that is used twice is noticed.
    let backup = bob.snapshot(&storage_key(), 0);
    bob.encrypt(b"one", &mut rng(2)).unwrap();
    let mut again = noescrow::session::Session::<Logged>::restore_in_place(
        keys.clone(),
        &mut backup.clone(),
        &storage_key(),
        &bob.subject(),
        0,
    )
    .unwrap();
    again.encrypt(b"two", &mut rng(2)).unwrap();
    let (uses, distinct) = log_of(&keys);
    assert!(uses > distinct.len());
}

/// Fails from its `left`-th draw on, in the only way that the trait leaves: it does not return.
struct Failing {
    left: usize,
    good: ChaCha20Rng,
}

impl TryRng for Failing {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.good.next_u32())
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.good.next_u64())
    }
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.left = self.left.checked_sub(1).expect("no entropy");
        self.good.fill_bytes(out);
        Ok(())
    }
}

impl TryCryptoRng for Failing {}

#[test]
fn c26_a_generator_that_fails_harms_no_message() {
    // Decryption takes no generator that could fail.
    type Decrypt = fn(&mut MockSession, Sealed<'static>) -> Result<Opened<Vec<u8>>, DecryptError>;
    let _: Decrypt = MockSession::decrypt;
    let mut draws = 0;
    for left in 0..3 {
        let mut talk = Talk::after(24, 1);
        let ping = talk.from_bob(b"ping");
        let alice = &mut talk.alice;
        let made = talk.alice_mock.count("dh_public");
        alice.decrypt(&ping).unwrap();
        assert_eq!(talk.alice_mock.count("dh_public"), made, "the step at receipt makes no key pair");
        let (mut failing, before) = (Failing { left, good: rng(left as u64) }, state(alice));
        let outcome = catch_unwind(AssertUnwindSafe(|| alice.encrypt(b"never", &mut failing)));
        // Control: with enough entropy, the step at sending makes a key pair, and the message opens.
        match outcome {
            Ok(message) => assert_eq!(talk.bob.decrypt(&message.unwrap()).unwrap().plaintext, b"never"),
            Err(_) => {
                draws += 1;
                assert_eq!(before, state(alice));
            }
        }
        assert_eq!(talk.alice_mock.count("dh_public") > made, left > 1);
        let message = talk.from_alice(b"goes on");
        assert_eq!(talk.bob.decrypt(&message).unwrap().plaintext, b"goes on");
        assert_eq!(talk.bob.skipped_message_keys(), 0, "no number was lost");
        let reply = talk.from_bob(b"so do I");
        assert_eq!(talk.alice.decrypt(&reply).unwrap().plaintext, b"so do I");
    }
    assert_eq!(draws, 2, "the salt and the ratchet key");
}

/// A conversation in which this side's next message makes a key in this epoch.
fn before_a_draw(by_bob: bool, epoch: u32, operation: &str) -> Talk {
    let mut talk = Talk::new(26);
    for turn in 0.. {
        let (sender, receiver) = match turn % 2 {
            0 => (&mut talk.bob, &mut talk.alice),
            _ => (&mut talk.alice, &mut talk.bob),
        };
        let mock = crate::support::Mock::default();
        let mut probe = crate::copy_with(sender, mock.clone());
        mock.reset();
        probe.encrypt(b"", &mut talk.rng).unwrap();
        if (turn % 2 == 0) == by_bob && mock.count(operation) == 1 && sender.post_quantum_epoch() == epoch {
            break;
        }
        let message = sender.encrypt(b"", &mut talk.rng).unwrap();
        receiver.decrypt(&message).unwrap();
    }
    talk
}

/// Once an epoch each side also draws for the post-quantum ratchet: its coins, its key pair.
#[test]
fn c26_a_generator_failing_at_a_post_quantum_key_harms_neither_ratchet() {
    // In the second epoch the roles are exchanged.
    for (by_bob, epoch, operation) in [(true, 0, "encaps1"), (false, 1, "encaps1"), (true, 1, "incremental_public")] {
        let mut draws = 0;
        for left in 0..4 {
            let mut talk = before_a_draw(by_bob, epoch, operation);
            let (sender, receiver, mock) = match by_bob {
                true => (&mut talk.bob, &mut talk.alice, &talk.bob_mock),
                false => (&mut talk.alice, &mut talk.bob, &talk.alice_mock),
            };
            let before = state(sender);
            mock.reset();
            let mut failing = Failing { left, good: rng(left as u64) };
            match catch_unwind(AssertUnwindSafe(|| sender.encrypt(b"never", &mut failing))) {
                // Control: with enough entropy, this message draws it.
                Ok(message) => {
                    assert_eq!(mock.count(operation), 1);
                    assert_eq!(receiver.decrypt(&message.unwrap()).unwrap().plaintext, b"never");
                }
                Err(_) => {
                    draws += 1;
                    assert_eq!(before, state(sender), "{left}");
                    let message = sender.encrypt(b"goes on", &mut talk.rng).unwrap();
                    assert_eq!(mock.count(operation), 1);
                    assert_eq!(receiver.decrypt(&message).unwrap().plaintext, b"goes on");
                }
            }
            // The epoch is completed.
            for _ in 0..90 {
                let ping = talk.from_bob(b"ping");
                talk.alice.decrypt(&ping).unwrap();
                let pong = talk.from_alice(b"pong");
                talk.bob.decrypt(&pong).unwrap();
            }
            assert!(talk.alice.post_quantum_epoch() > epoch + 1 && !talk.alice.is_abandoned());
        }
        assert_eq!(draws, 3, "the salt, the ratchet key, and {operation}");
    }
}

/// DR-E0, DR-I2.
#[test]
fn c28_a_responder_cannot_send_before_it_has_received() {
    // A device returns a responder's session with the first plaintext and not before: only `hazmat` gives one earlier.
    let secret = Secret::new([1; 32]);
    let ratchet = Secret::new([2; 32]);
    let public = RustCrypto.dh_public(&ratchet);
    let mock = crate::support::Mock::default();
    let mut alice: MockSession = hazmat::initiator(mock.clone(), &secret, &public, b"").unwrap();
    let mut bob: MockSession = hazmat::responder(mock.clone(), &secret, ratchet, b"");
    let mut rng = rng(25);
    let before = state(&bob);
    mock.reset();
    assert_eq!(bob.encrypt(b"first", &mut rng).unwrap_err(), EncryptError::NotYetReceived);
    assert_eq!((mock.count("seal"), mock.count("hmac_pair")), (0, 0));
    assert_eq!(before, state(&bob));
    assert_eq!(copy(&bob).encrypt(b"first", &mut rng).unwrap_err(), EncryptError::NotYetReceived, "restored");
    // Control: the initiator can send, and so can the responder once he has received.
    let hello = alice.encrypt(b"hello", &mut rng).unwrap();
    assert_eq!(bob.decrypt(&hello).unwrap().plaintext, b"hello");
    let reply = bob.encrypt(b"first", &mut rng).unwrap();
    assert_eq!(alice.decrypt(&reply).unwrap().plaintext, b"first");
}
