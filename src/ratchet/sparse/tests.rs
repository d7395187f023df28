// SPDX-License-Identifier: MIT OR Apache-2.0
//! The sparse ratchet between two parties: its steps, attacks E8, E9, E15, E17, E18, and stored states.

extern crate std;

use super::*;
use crate::primitives::RustCrypto;
use crate::ratchet::braid::message::Payload;
use crate::ratchet::skipped::Heap;
use crate::test_support::hex;
use crate::wire::ChunkSize::{Bytes32, Bytes256};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use std::collections::BTreeSet;
use std::vec::Vec;

struct Party {
    ratchet: SparseRatchet<Heap>,
    rng: ChaCha20Rng,
}

type Sent = (SparseHeader, [u8; 32]);

impl Party {
    fn new(direction: Direction, chunk_size: ChunkSize) -> Self {
        let (secret, braid_secret) = (Secret::new([1; 32]), Secret::new([2; 32]));
        let ratchet = SparseRatchet::new(&RustCrypto, direction, &secret, &braid_secret, chunk_size);
        Self { ratchet, rng: ChaCha20Rng::seed_from_u64(u64::from(direction == Direction::A2B)) }
    }

    fn send(&mut self) -> Sent {
        self.ratchet.check_sending().unwrap();
        let (header, key) = self.ratchet.send(&RustCrypto, &mut self.rng).unwrap();
        (header, *key.0.expose())
    }

    fn receive(&mut self, header: &SparseHeader) -> Result<[u8; 32], DecryptError> {
        self.ratchet.check_receiving(header, false)?;
        let incoming = self.ratchet.receive(&RustCrypto, header, usize::MAX)?;
        let key = *incoming.message_key.0.expose();
        self.ratchet.commit(&RustCrypto, incoming);
        Ok(key)
    }

    fn receive_matching(&mut self, (header, key): &Sent) {
        assert_eq!(self.receive(header).as_ref(), Ok(key));
    }
}

fn pair(chunk_size: ChunkSize) -> [Party; 2] {
    [Direction::A2B, Direction::B2A].map(|direction| Party::new(direction, chunk_size))
}

/// Takes turns until `who` is in the sending epoch `epoch`.
fn until([a, b]: &mut [Party; 2], who: usize, epoch: u32) {
    for _ in 0..1_000 {
        if [&a, &b][who].ratchet.sending_epoch() >= Some(epoch) {
            return;
        }
        let sent = a.send();
        b.receive_matching(&sent);
        let sent = b.send();
        a.receive_matching(&sent);
    }
    panic!("epoch {epoch} never came")
}

/// KDF_SCKA_INIT, _RK and _CK against HKDF and HMAC written out by another implementation (spec/protocol.md §8).
/// SP-I1, SP-S1 and SP-S2 use them.
#[test]
fn the_kdfs_give_the_known_answers() {
    let (root, chains) =
        kdf_scka(&RustCrypto, &[0; 32], &Secret::new([0x11; 32]), labels::CHAIN_START, 0, Direction::A2B);
    let send = chains.send.unwrap();
    assert_eq!(root.expose(), &hex(INIT[0]));
    assert_eq!(send.chain_key.expose(), &hex(INIT[1]));
    assert_eq!(chains.receive.chain_key.expose(), &hex(INIT[2]));
    assert_eq!(chains.header_secret.expose(), &hex(INIT[3]));
    assert_eq!((send.number, chains.receive.number), (0, 0));
    // In the other direction the two chains are exchanged.
    let (_, other) = kdf_scka(&RustCrypto, &[0; 32], &Secret::new([0x11; 32]), labels::CHAIN_START, 0, Direction::B2A);
    assert_eq!(other.receive.chain_key.expose(), &hex(INIT[1]));

    let (root, _) =
        kdf_scka(&RustCrypto, &[0x22; 32], &Secret::new([0x33; 32]), labels::CHAIN_ADD_EPOCH, 1, Direction::A2B);
    assert_eq!(root.expose(), &hex(ADD_EPOCH));

    let (next, key) = kdf_scka_ck(&RustCrypto, &Secret::new([0x44; 32]), 7);
    assert_eq!((next.expose(), key.0.expose()), (&hex(STEP[0]), &hex(STEP[1])));
}

/// RK, CK_A2B, CK_B2A, header secret.
const INIT: [&str; 4] = [
    "700e367c814db4723fc5afab759d77bdaed0aaeeede059512f7546e665c9715c",
    "8a8ae703d5e3b181fb754362d6158e79558dc786cde583384c69ff35088ecc60",
    "0abf8aa0b4a5da77ee1f6da23b1da48a50bfc9fcb9698ce1c556641954c8442d",
    "6ba84c9245feb166affd8726eb31f11861af42d376891a18ff134d78de6979ca",
];
const ADD_EPOCH: &str = "f324b4bee92029abf67784cb7742c816afcc61d2e36633a512a2f21a76cdb470";
const STEP: [&str; 2] = [
    "cf64a3f5d3d334160a90ea128f5a3d3302a9343f8ae8e92f3e189504a59c9a30",
    "6fc1687f58d76bba3d44d1a365a4c324451a742c3ed2fb556831bfad116bec45",
];

/// Attack E18: the chain's outputs are distinct, because each step is keyed by the one before.
#[test]
fn e18_no_output_of_a_chain_repeats() {
    let steps = 20_000;
    let outputs = |step: &dyn Fn(&Secret<32>, u32) -> (Secret<32>, MessageKey)| {
        let mut seen = BTreeSet::new();
        let mut chain_key = Secret::new([5; 32]);
        for number in 1..=steps {
            let (next, key) = step(&chain_key, number);
            seen.extend([*next.expose(), *key.0.expose()]);
            chain_key = next;
        }
        seen.len()
    };
    assert_eq!(outputs(&|chain_key, number| kdf_scka_ck(&RustCrypto, chain_key, number)), 2 * steps as usize);
    // Control: the parameters of the source's table in §7.2, where the counter has no effect and the secret is the key
    // material.
    let table = |_: &Secret<32>, _: u32| {
        let (root, chains) =
            kdf_scka(&RustCrypto, &[0; 32], &Secret::new([1; 32]), labels::CHAIN_START, 0, Direction::A2B);
        (root, MessageKey(chains.receive.chain_key))
    };
    assert_eq!(outputs(&table), 2);
}

/// Attack E17: numbers begin at 1, and messages that arrive in order store no key. The source's order of skipping is an
/// erratum (spec/protocol.md §8).
/// SP-S2, SP-R2.
#[test]
fn e17_in_order_delivery_stores_no_key_and_numbers_begin_at_one() {
    let mut parties = pair(Bytes32);
    for number in 1..=20 {
        let [a, b] = &mut parties;
        let sent = a.send();
        assert_eq!(sent.0.number, number);
        if number == 1 {
            let zero = SparseHeader { number: 0, ..sent.0 };
            assert_eq!(b.receive(&zero), Err(DecryptError::KeyGone));
        }
        b.receive_matching(&sent);
        assert_eq!(b.ratchet.skipped.len(), 0);
    }
    // Control: the source's order, to skip to n and then step, goes one key too far for the same message.
    let chain = SparseChain { chain_key: Secret::new([6; 32]), number: 0 };
    let stored = |number| match advance::<_, Heap>(&RustCrypto, &chain, 0, number, usize::MAX).1 {
        Change::Advance { skipped, .. } => skipped.len(),
        Change::UseSkipped { .. } => panic!("nothing was skipped"),
    };
    assert_eq!((stored(1), stored(2)), (0, 1));
}

/// SP-R2: of a jump only the newest keys are kept, and leaving out the others changes no key.
#[test]
fn keys_that_are_not_kept_are_not_derived() {
    let chain = || SparseChain { chain_key: Secret::new([6; 32]), number: 3 };
    let outcome = |keep| {
        let (key, change) = advance::<_, Heap>(&RustCrypto, &chain(), 0, 20, keep);
        let Change::Advance { chain, skipped } = change else { panic!("nothing was skipped") };
        let kept: Vec<_> = skipped.entries().iter().map(|entry| (entry.number, *entry.key.0.expose())).collect();
        (*key.0.expose(), *chain.chain_key.expose(), chain.number, kept)
    };
    let (key, chain_key, number, all) = outcome(usize::MAX);
    assert_eq!((number, all.len(), all[0].0, all[15].0), (20, 16, 4, 19));
    for keep in [0, 1, 5, 15, 16, 17] {
        let newest = all[16usize.saturating_sub(keep)..].to_vec();
        assert_eq!(outcome(keep), (key, chain_key, number, newest), "{keep}");
    }
}

/// SP-S1, SP-R1: both sides mix the epoch's key into the root. A message that is sent before the peer is sure to have
/// the key is sent on the chain before.
#[test]
fn a_message_uses_the_newest_chain_its_receiver_surely_has() {
    let mut parties = pair(Bytes256);
    let mut ahead = 0;
    for _ in 0..120 {
        for turn in 0..2 {
            let [a, b] = &mut parties;
            let (from, to) = if turn == 0 { (a, b) } else { (b, a) };
            let sent = from.send();
            let sending_epoch = from.ratchet.sending_epoch().unwrap();
            assert_eq!(sent.0.message.epoch.before(), sending_epoch);
            assert!(to.ratchet.epoch() >= sending_epoch);
            ahead += u32::from(from.ratchet.epoch() > sending_epoch);
            to.receive_matching(&sent);
            assert!(from.ratchet.epochs.len() <= MAX_EPOCHS && to.ratchet.epochs.len() <= MAX_EPOCHS);
        }
    }
    let [a, b] = &parties;
    assert!(a.ratchet.epoch() > 5 && a.ratchet.epoch().abs_diff(b.ratchet.epoch()) <= 1 && ahead > 5);
    // If both have the same epochs, they have the same root.
    until(&mut parties, 0, 10);
    let [a, b] = &parties;
    for chains in &a.ratchet.epochs {
        if let Some(secret) = b.ratchet.header_secret(chains.epoch) {
            assert_eq!(secret.expose(), chains.header_secret.expose());
        }
    }
}

/// Attack E8: a late message opens within two epochs, once; after that its key is deleted.
/// SP-R2, SP-R3.
#[test]
fn e8_late_messages_open_once_until_their_epoch_is_retired() {
    let mut parties = pair(Bytes256);
    until(&mut parties, 0, 1);
    let late: Vec<Sent> = (0..4).map(|_| parties[0].send()).collect();
    let epoch = late[0].0.message.epoch.before();
    // The last of them arrives and leaves keys for the others.
    parties[1].receive_matching(&late[3]);
    assert_eq!(parties[1].ratchet.skipped.len(), 3);
    parties[1].receive_matching(&late[1]);
    assert_eq!(parties[1].receive(&late[1].0), Err(DecryptError::KeyGone));
    assert_eq!(parties[1].ratchet.skipped.len(), 2);
    until(&mut parties, 1, epoch + 1);
    parties[1].receive_matching(&late[0]);
    until(&mut parties, 1, epoch + 2);
    assert_eq!(parties[1].receive(&late[2].0), Err(DecryptError::KeyGone));
    assert_eq!(parties[1].ratchet.skipped.len(), 0);
    // A sending chain is deleted at the end of its epoch.
    for party in &parties {
        let sending = party.ratchet.sending_epoch().unwrap();
        assert!(party.ratchet.epochs.iter().all(|chains| chains.send.is_some() == (chains.epoch >= sending)));
    }
}

/// An old epoch's chain continues while a newer one has skipped keys: the store stays in order, and the oldest keys are
/// evicted first.
#[test]
fn keys_skipped_in_an_older_epoch_are_stored_before_newer_ones() {
    let mut parties = pair(Bytes256);
    until(&mut parties, 0, 1);
    // A few messages are lost at the end of the epoch.
    let old: Vec<Sent> = (0..3).map(|_| parties[0].send()).collect();
    let epoch = old[0].0.message.epoch.before();
    until(&mut parties, 0, epoch + 1);
    let new: Vec<Sent> = (0..3).map(|_| parties[0].send()).collect();
    assert_eq!(new[0].0.message.epoch.before(), epoch + 1);
    parties[1].receive_matching(&new[2]);
    // When the parties took turns they already skipped the lost ones, so only the newest are missing.
    let b = &mut parties[1];
    let places: Vec<(u32, u32)> = b.ratchet.skipped.entries().iter().map(|key| (key.chain, key.number)).collect();
    assert!(places.is_sorted() && places.len() >= 2, "{places:?}");
    for sent in old.iter().chain(&new[..2]) {
        b.receive_matching(sent);
    }
    assert_eq!(b.ratchet.skipped.len(), 0);
}

/// SP-R1.
#[test]
fn a_gap_beyond_the_bound_is_refused_before_any_work() {
    let mut parties = pair(Bytes32);
    let sent = parties[0].send();
    let far = |number| SparseHeader { number, ..sent.0 };
    let receive = |header: &SparseHeader| parties[1].ratchet.check_receiving(header, true);
    assert_eq!(receive(&far(MAX_SPARSE_JUMP + 2)), Err(DecryptError::TooManySkipped));
    assert_eq!(receive(&far(u32::MAX)), Err(DecryptError::TooManySkipped));
    assert_eq!(receive(&far(MAX_SPARSE_JUMP + 1)), Ok(()));
}

/// The counter's maximum is checked before anything changes.
/// SP-S2.
#[test]
fn an_exhausted_chain_sends_nothing() {
    let mut party = Party::new(Direction::A2B, Bytes32);
    party.ratchet.epochs[0].send.as_mut().unwrap().number = u32::MAX;
    assert_eq!(party.ratchet.check_sending(), Err(EncryptError::ChainExhausted));
    party.ratchet.epochs[0].send.as_mut().unwrap().number = u32::MAX - 1;
    assert_eq!(party.send().0.number, u32::MAX);
}

/// Attack E9.
#[test]
fn e9_two_initiators_have_no_chain_in_common() {
    let mut parties = [Direction::A2B, Direction::A2B].map(|direction| Party::new(direction, Bytes32));
    let [a, b] = &mut parties;
    let sent = a.send();
    assert_ne!(b.receive(&sent.0), Ok(sent.1));
}

/// Attack E6: when a Braid fails, all secrets are wiped, and nothing is sent or received any more.
#[test]
fn e6_a_dead_ratchet_holds_nothing_and_refuses_everything() {
    let [mut a, mut b] = pair(Bytes256);
    let mut sent = a.send();
    let healthy = sent;
    let Payload::Hdr(codeword) = &mut sent.0.message.payload else { panic!() };
    codeword.chunk[0] ^= 1;
    // The message with the forged chunk still opens. Whether it is genuine was for the AEAD to decide.
    b.receive_matching(&sent);
    assert!(b.ratchet.is_dead() && b.ratchet.epochs.is_empty() && b.ratchet.skipped.len() == 0);
    assert_eq!(b.ratchet.root_key.expose(), &[0; 32]);
    assert_eq!(b.ratchet.check_sending(), Err(EncryptError::Abandoned));
    assert_eq!(b.receive(&a.send().0), Err(DecryptError::Abandoned));
    assert_eq!((b.ratchet.sending_epoch(), b.ratchet.epoch()), (None, 0));
    // Control: the genuine message kills nothing.
    let [_, mut b] = pair(Bytes256);
    b.receive_matching(&healthy);
    assert!(!b.ratchet.is_dead());
}

/// A message that the Double Ratchet regards as new must not be on an older chain than the newest that was used, and
/// must be beyond all messages on it. Therefore a thief of an old epoch's keys cannot continue to send with them.
#[test]
fn a_new_message_must_be_on_the_newest_chain_used() {
    let mut parties = pair(Bytes256);
    until(&mut parties, 0, 1);
    let [old, late] = [parties[0].send(), parties[0].send()];
    let epoch = old.0.message.epoch.before();
    parties[1].receive_matching(&late);
    let b = &parties[1].ratchet;
    // Overtaken: late, not new.
    assert_eq!(b.check_receiving(&old.0, false), Ok(()));
    assert_eq!(b.check_receiving(&old.0, true), Err(DecryptError::Refused));
    let next = SparseHeader { number: late.0.number + 1, ..late.0 };
    assert_eq!(b.check_receiving(&next, true), Ok(()));
    until(&mut parties, 0, epoch + 1);
    let newer = parties[0].send();
    assert_eq!(newer.0.message.epoch.before(), epoch + 1);
    parties[1].receive_matching(&newer);
    let b = &parties[1].ratchet;
    assert!(b.header_secret(epoch).is_some(), "its chains are still kept");
    assert_eq!(b.check_receiving(&next, true), Err(DecryptError::Refused));
}

/// Attack C25: retired epochs leave no key in the array of epochs.
#[cfg(target_os = "linux")]
#[test]
fn c25_no_retired_key_is_left_in_its_place() {
    use crate::test_support::{contains, memory_of};
    fn live(ratchet: &SparseRatchet<Heap>) -> Vec<[u8; 32]> {
        let of_epoch = |chains: &EpochChains| {
            let send = chains.send.as_ref().map(|chain| *chain.chain_key.expose());
            [Some(*chains.receive.chain_key.expose()), Some(*chains.header_secret.expose()), send]
        };
        let keys = ratchet.epochs.iter().flat_map(of_epoch).flatten();
        keys.chain([*ratchet.root_key.expose()]).collect()
    }
    let mut parties = std::boxed::Box::new(pair(Bytes256));
    let mut seen: [BTreeSet<[u8; 32]>; 2] = Default::default();
    for _ in 0..60 {
        let [a, b] = &mut *parties;
        let sent = a.send();
        b.receive_matching(&sent);
        let sent = b.send();
        a.receive_matching(&sent);
        for (party, seen) in parties.iter().zip(&mut seen) {
            let (live, memory) = (live(&party.ratchet), memory_of(&party.ratchet.epochs));
            for dead in seen.iter().filter(|key| !live.contains(key)) {
                assert!(!contains(&memory, dead));
            }
            seen.extend(live);
        }
    }
    assert!(seen[0].len() > 100 && parties[0].ratchet.epoch() > 5);
    // Control: `retain` leaves the keys of the elements that it moves.
    let ratchet = &mut parties[0].ratchet;
    assert!(ratchet.epochs.len() >= 2);
    let last = *ratchet.epochs.last().unwrap().receive.chain_key.expose();
    let oldest = ratchet.epochs[0].epoch;
    ratchet.epochs.retain(|chains| chains.epoch != oldest);
    ratchet.epochs.clear();
    assert!(contains(&memory_of(&ratchet.epochs), &last));
}
