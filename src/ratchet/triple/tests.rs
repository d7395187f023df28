// SPDX-License-Identifier: MIT OR Apache-2.0
//! Both ratchets joined: KDF_HYBRID, the composite header, attacks C20 and E6 on both ratchets, and stored states.

extern crate std;
use super::*;
use crate::primitives::RustCrypto;
use crate::ratchet::braid::Epoch;
use crate::ratchet::braid::message::Payload;
use crate::ratchet::skipped::Heap;
use crate::test_support::hex;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use std::vec;
use std::vec::Vec;

/// Known answer for HKDF(salt = pq_mk, ikm = ec_mk, info, 32), computed by a script that shares no code with this
/// crate. Our KDF_HYBRID is the same with our label, salt and commitment as info.
/// TR-1.
#[test]
fn kdf_hybrid_gives_the_known_answer() {
    let (pq_mk, ec_mk) = (MessageKey(Secret::new([0x66; 32])), MessageKey(Secret::new([0x77; 32])));
    let hkdf = |salt: &MessageKey, ikm: &MessageKey, info: &[u8]| {
        let mut out = [0; 32];
        RustCrypto.hkdf(salt.0.expose(), &[ikm.0.expose()], &[info], &mut out);
        out
    };
    let known = hkdf(&pq_mk, &ec_mk, b"MyProtocol_TripleRatchet");
    assert_eq!(known, hex::<32>("4459477a8228ff6d26d46f2be8d5e4233ce2de83c43794484133a4da245a78db"));
    let (salt, commitment) = ([0x88; 16], [0x99; 16]);
    let info = [labels::MESSAGE, &salt, &commitment].concat();
    let key = |salt, commitment| *kdf_hybrid(&RustCrypto, &ec_mk, &pq_mk, salt, commitment).expose();
    let ours = hkdf(&pq_mk, &ec_mk, &info);
    assert_eq!(key(&salt, &commitment), ours);
    // Controls: the two keys exchanged, another salt, another commitment.
    assert_ne!(hkdf(&ec_mk, &pq_mk, &info), ours);
    assert_ne!(key(&[0x89; 16], &commitment), ours);
    assert_ne!(key(&salt, &[0x98; 16]), ours);
}

/// DR-D3.
#[test]
fn a_composite_header_has_one_encoding_and_a_fixed_length() {
    let mut ratchet_key = [0; 32];
    ratchet_key[0] = 9;
    let ratchet_key = DhPublicKey::from_bytes(ratchet_key).unwrap();
    for (chunk_size, is_control) in ChunkSize::ALL.into_iter().flat_map(|size| [(size, false), (size, true)]) {
        let header = Header {
            double: DoubleHeader { ratchet_key, previous_chain_length: 3, number: 4 },
            sparse: SparseHeader {
                message: Message { epoch: Epoch::new(7).unwrap(), payload: Payload::None },
                number: 5,
            },
            mixed_epoch: 5,
            is_control,
        };
        let mut bytes = vec![0; chunk_size.header_len()];
        let mut writer = Writer::new(&mut bytes);
        header.write(chunk_size, &mut writer).unwrap();
        assert_eq!(writer.written(), chunk_size.header_len());
        assert_eq!(Header::parse(chunk_size, &bytes), Ok(header));
        assert!(Header::parse(chunk_size, &bytes[1..]).is_err());
        bytes.push(0);
        assert!(Header::parse(chunk_size, &bytes).is_err());
        bytes.pop();
        assert_eq!(bytes.last(), Some(&if is_control { 3 } else { 1 }));
        // Flags that are not defined, and an epoch before the first.
        for flags in 0..=u8::MAX {
            *bytes.last_mut().unwrap() = flags;
            assert_eq!(Header::parse(chunk_size, &bytes).is_ok(), flags < 4, "{flags}");
        }
        *bytes.last_mut().unwrap() = 1;
        bytes[41..45].copy_from_slice(&1u32.to_be_bytes());
        assert!(Header::parse(chunk_size, &bytes).is_err());
    }
}

type Ratchet = TripleRatchet<Heap>;

fn keys() -> InitialKeys {
    let key = |byte| Secret::new([byte; 32]);
    let double = double::InitialKeys { root_key: key(1), initiator_header_key: key(2), responder_header_key: key(3) };
    InitialKeys { double, sparse: key(4), braid: key(5) }
}

fn pair(chunk_size: ChunkSize) -> (Ratchet, Ratchet) {
    let prekey = DhKeyPair::from_secret(&RustCrypto, Secret::new([6; 32]));
    let initiator = Ratchet::initiator(&RustCrypto, keys(), prekey.public, chunk_size);
    (initiator, Ratchet::responder(&RustCrypto, keys(), prekey, chunk_size))
}

/// A body's tag and one byte of ciphertext. No test here opens it.
const BODY: [u8; 17] = [0; 17];

fn try_send(ratchet: &mut Ratchet, rng: &mut ChaCha20Rng) -> Result<Vec<u8>, EncryptError> {
    let mut sealed = vec![0; ratchet.chunk_size.sealed_header_len()];
    let outgoing = ratchet.send(&RustCrypto, Envelope { outer: 0x12, body_len: 1 }, false, &mut sealed, rng)?;
    outgoing.header.seal(&RustCrypto, &mut sealed, &BODY).unwrap();
    sealed.extend(BODY);
    Ok(sealed)
}

fn send(ratchet: &mut Ratchet, rng: &mut ChaCha20Rng) -> Vec<u8> {
    try_send(ratchet, rng).unwrap()
}

fn receive(ratchet: &mut Ratchet, message: &[u8]) -> Result<(), DecryptError> {
    let sealed = SealedHeader::parse(ratchet.chunk_size, 0x12, message).unwrap();
    if ratchet.sparse.is_dead() {
        return Err(DecryptError::Abandoned);
    }
    let mut header = vec![0; sealed.header_len()];
    let under = ratchet.double.open_header(&RustCrypto, &sealed, |key| sealed.open(&RustCrypto, key, &mut header))?;
    let opened = ratchet.check_header(&RustCrypto, &sealed, under, &header)?;
    let incoming = ratchet.receive(&RustCrypto, &opened)?;
    ratchet.commit(&RustCrypto, incoming);
    Ok(())
}

fn stored(ratchet: &Ratchet) -> Vec<u8> {
    let mut bytes = vec![0; ratchet.stored_len()];
    let mut writer = Writer::new(&mut bytes);
    ratchet.store(&mut writer).unwrap();
    assert_eq!(writer.written(), ratchet.stored_len());
    bytes
}

fn loaded(bytes: &[u8]) -> Result<Ratchet, DecodeError> {
    let mut reader = Reader::new(bytes);
    let ratchet = Ratchet::load(&mut reader)?;
    reader.finish().map(|()| ratchet)
}

/// A faulty device without the rule for peers that never step: it accepts every message that its two ratchets accept.
fn receive_without_the_rule(ratchet: &mut Ratchet, message: &[u8]) -> Result<(), DecryptError> {
    let sealed = SealedHeader::parse(ratchet.chunk_size, 0x12, message).unwrap();
    let mut bytes = vec![0; sealed.header_len()];
    let opened_under =
        ratchet.double.open_header(&RustCrypto, &sealed, |key| sealed.open(&RustCrypto, key, &mut bytes))?;
    let header = Header::parse(ratchet.chunk_size, &bytes).map_err(|_| DecryptError::Refused)?;
    let header_secret = ratchet.sparse.header_secret(header.mixed_epoch);
    let double = ratchet.double.receive(&RustCrypto, opened_under, &header.double, header_secret)?;
    let sparse = ratchet.sparse.receive(&RustCrypto, &header.sparse, usize::MAX)?;
    let aead_key = kdf_hybrid(&RustCrypto, &double.message_key, &sparse.message_key, sealed.salt, sealed.commitment);
    ratchet.commit(&RustCrypto, Incoming { aead_key, double, sparse });
    Ok(())
}

/// Runs Bob against a peer that receives his chain and never answers it with a step. Returns Bob after many messages,
/// how many messages he refused, and how often his stored state could not be loaded.
fn run_peer_that_never_steps(receives: fn(&mut Ratchet, &[u8]) -> Result<(), DecryptError>) -> (Ratchet, usize, usize) {
    let mut rng = ChaCha20Rng::seed_from_u64(20);
    let (mut mallory, mut bob) = pair(ChunkSize::Bytes256);
    receives(&mut bob, &send(&mut mallory, &mut rng)).unwrap();
    // Two Double Ratchets: one keeps sending on its first chain, and the other receives.
    let mut sender = loaded(&stored(&mallory)).unwrap().double;
    receive(&mut mallory, &send(&mut bob, &mut rng)).unwrap();
    let (mut refused, mut unreadable) = (0, 0);
    for _ in 0..60 {
        core::mem::swap(&mut mallory.double, &mut sender);
        if let double::SendingState::Sending(chain) = &mut mallory.double.sending {
            // Pretends that the epoch is the expected one.
            chain.mixed_epoch = mallory.sparse.sending_epoch().unwrap();
        }
        let message = send(&mut mallory, &mut rng);
        core::mem::swap(&mut mallory.double, &mut sender);
        let before = stored(&bob);
        if receives(&mut bob, &message).is_err() {
            refused += 1;
            assert_eq!(stored(&bob), before);
        }
        let bytes = stored(&bob);
        unreadable += usize::from(loaded(&bytes).map(|bob| stored(&bob)) != Ok(bytes));
        // Without the rule, an age does not fit its flag in the end, and nothing is sent.
        if let Ok(answer) = try_send(&mut bob, &mut rng) {
            let _ = receive(&mut mallory, &answer);
        }
    }
    (bob, refused, unreadable)
}

/// Attack C20, on both ratchets: a peer that never steps can delay healing, and nothing more. Our state can be stored
/// and loaded at any time, and every field that we send fits its place.
#[test]
fn c20_a_peer_that_never_steps_cannot_advance_the_epoch_twice_in_one_chain() {
    let (bob, refused, unreadable) = run_peer_that_never_steps(receive);
    assert!(refused > 10 && bob.sparse.sending_epoch() == Some(1), "{refused}");
    assert_eq!(unreadable, 0);
    // Controls: without the rule the epoch advances and Bob could not be restarted; with the rule, a peer that answers
    // correctly is never refused.
    let (bob, _, unreadable) = run_peer_that_never_steps(receive_without_the_rule);
    assert!(unreadable > 10 && bob.sparse.sending_epoch() > Some(1), "{unreadable}");
    let mut rng = ChaCha20Rng::seed_from_u64(21);
    let (mut alice, mut bob) = pair(ChunkSize::Bytes256);
    for _ in 0..60 {
        receive(&mut bob, &send(&mut alice, &mut rng)).unwrap();
        receive(&mut alice, &send(&mut bob, &mut rng)).unwrap();
    }
    assert!(bob.sparse.sending_epoch() > Some(5));
}

/// Attack E6: when a session is over, neither ratchet holds a secret, and the session can still be stored.
#[test]
fn e6_when_the_braid_fails_both_halves_are_wiped() {
    let mut rng = ChaCha20Rng::seed_from_u64(6);
    let (mut alice, mut bob) = pair(ChunkSize::Bytes256);
    receive(&mut bob, &send(&mut alice, &mut rng)).unwrap();
    receive(&mut alice, &send(&mut bob, &mut rng)).unwrap();
    // In the middle of the epoch, A's key pair differs from the one that it announced.
    let mut other = pair(ChunkSize::Bytes256).0;
    for _ in 0..4 {
        let _ = send(&mut other, &mut rng);
    }
    alice.sparse.braid = other.sparse.braid;
    let mut turns = 0;
    while !bob.sparse.is_dead() && turns < 40 {
        receive(&mut bob, &send(&mut alice, &mut rng)).unwrap();
        if bob.sparse.is_dead() {
            break;
        }
        let _ = receive(&mut alice, &send(&mut bob, &mut rng));
        turns += 1;
    }
    assert!(bob.sparse.is_dead() && bob.double.receiving.is_none() && bob.double.skipped.len() == 0);
    // Control: a live session has more nonzero bytes.
    assert!(stored(&alice).iter().filter(|byte| **byte != 0).count() > 500);
    let bytes = stored(&bob);
    assert_eq!(stored(&loaded(&bytes).unwrap()), bytes);
    // Only a public key, a chunk size and a direction are left.
    assert!(bytes.iter().filter(|byte| **byte != 0).count() <= 32 + 3, "{bytes:?}");
    assert_eq!(try_send(&mut bob, &mut rng), Err(EncryptError::Abandoned));
    assert_eq!(receive(&mut bob, &send(&mut alice, &mut rng)), Err(DecryptError::Abandoned));
}

#[test]
fn states_whose_two_ratchets_do_not_fit_are_refused() {
    let mut rng = ChaCha20Rng::seed_from_u64(10);
    let (mut alice, mut bob) = pair(ChunkSize::Bytes256);
    for turn in 0..60 {
        for (ratchet, other) in [(&alice, Direction::B2A), (&bob, Direction::A2B)] {
            let bytes = stored(ratchet);
            assert_eq!(loaded(&bytes).map(|ratchet| stored(&ratchet)).as_ref(), Ok(&bytes), "turn {turn}");
            // The other direction, which is stored after the Braid.
            let at = 1 + ratchet.double.stored_len() + ratchet.sparse.braid.stored_len();
            let mut swapped = bytes.clone();
            swapped[at] = u8::from(other == Direction::B2A);
            assert_ne!(swapped, bytes);
            assert!(loaded(&swapped).is_err(), "turn {turn}");
            for len in 0..bytes.len() {
                assert!(loaded(&bytes[..len]).is_err());
            }
        }
        receive(&mut bob, &send(&mut alice, &mut rng)).unwrap();
        receive(&mut alice, &send(&mut bob, &mut rng)).unwrap();
    }
}
