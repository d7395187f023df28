// SPDX-License-Identifier: MIT OR Apache-2.0
//! Inputs of a hostile peer or server to the Braid, and values that must not be computed.

use super::*;

/// Attack E1: a forged chunk changes nothing unless it is committed. If it is committed, the Braid fails at the MAC,
/// permanently.
#[test]
fn e1_a_forged_chunk_fails_the_braid_only_if_committed() {
    let forged = |message: &Message| {
        let mut bytes = written(Bytes32, message);
        *bytes.last_mut().unwrap() ^= 1;
        parsed(Bytes32, &bytes).unwrap()
    };
    let mut pair = Pair::new(Bytes32, 31);
    let messages = [pair.a.send(), pair.a.send(), pair.a.send()];
    let before = stored(&pair.b.braid);
    pair.b.stage(&forged(&messages[0]));
    assert_eq!(stored(&pair.b.braid), before);
    pair.b.receive(&messages[0]);
    pair.b.receive(&messages[1]);
    // The forged completion is recognized, and still nothing changes.
    let before = stored(&pair.b.braid);
    pair.b.stage(&forged(&messages[2]));
    assert_eq!(stored(&pair.b.braid), before);
    let mut poisoned = Party::new(loaded(Bytes32, &before).unwrap(), 0);
    assert_eq!(poisoned.commit(&forged(&messages[2])), Err(Abandoned));
    assert_is_dead(&mut poisoned);
    // Control.
    pair.b.receive(&messages[2]);
    assert_eq!(name(&pair.b.braid), "HeaderReceived");
}

/// A forged ciphertext: every chunk of ct1, and of ct2 and its MAC.
#[test]
fn an_unauthenticated_ciphertext_fails_the_braid() {
    for at in 0..4 + 1 {
        let mut pair = Pair::new(Bytes256, 32);
        let mut flipped = false;
        let result = loop {
            let message = pair.a.send();
            pair.b.receive(&message);
            let mut message = pair.b.send();
            if let Payload::Ct1(codeword) = &mut message.payload {
                if usize::from(codeword.index) == at {
                    codeword.chunk[at] ^= 0x10;
                    flipped = true;
                }
            } else if let Payload::Ct2(codeword) = &mut message.payload
                && at == 4
            {
                codeword.chunk[159] ^= 1;
                flipped = true;
            }
            let result = pair.a.commit(&message);
            if result.is_err() || pair.a.braid.epoch() == Epoch::new(2) {
                break result;
            }
        };
        assert_eq!((flipped, result), (true, Err(Abandoned)), "chunk {at}");
        assert_is_dead(&mut pair.a);
    }
}

/// Attack E5: every bit of ek_vector in the primitive, and every chunk of it in the protocol.
#[test]
fn e5_an_unannounced_ek_vector_is_refused_in_every_bit() {
    let (header, ek_vector) = RustCrypto.incremental_public(&Secret::new([3; 64]));
    let coins = Secret::new([4; 32]);
    assert!(RustCrypto.encaps2(&header, &ek_vector, &coins).is_ok());
    for bit in 0..8 * ek_vector.len() {
        let mut other = ek_vector;
        other[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(RustCrypto.encaps2(&header, &other, &coins), Err(Failed), "bit {bit}");
    }
    for at in 0..36 {
        let mut pair = pair_in_mid_epoch(Bytes32, 50);
        let result = loop {
            let mut message = pair.a.send();
            if let Payload::Ek(codeword) | Payload::EkCt1Ack(codeword) = &mut message.payload
                && usize::from(codeword.index) == at
            {
                codeword.chunk[at % 32] ^= 1 << (at % 8);
            }
            let result = pair.b.commit(&message);
            if result.is_err() || name(&pair.b.braid) == "Ct2Sampled" {
                break result;
            }
            let message = pair.b.send();
            pair.a.receive(&message);
        };
        assert_eq!(result, Err(Abandoned), "chunk {at}");
        assert_is_dead(&mut pair.b);
    }
}

/// Attack E5: an unreduced coefficient is refused although the hash matches (FIPS 203 §7.2).
#[test]
fn an_ek_vector_that_fails_the_modulus_check_is_refused() {
    let (header, ek_vector) = RustCrypto.incremental_public(&Secret::new([3; 64]));
    let announce = |ek_vector: &[u8; 1152]| {
        let mut public = ek_vector.to_vec();
        public.extend_from_slice(&header[..32]);
        let mut announced = header;
        announced[32..].copy_from_slice(&libcrux_sha3::sha256(&public));
        announced
    };
    assert_eq!(announce(&ek_vector), header);
    let mut unreduced = ek_vector;
    unreduced[0] = 0xFF;
    unreduced[1] |= 0x0F;
    let coins = Secret::new([4; 32]);
    assert_eq!(RustCrypto.encaps2(&announce(&unreduced), &unreduced, &coins), Err(Failed));
    // Control: a reduced coefficient in the same place passes.
    unreduced[..2].copy_from_slice(&[0, 0]);
    assert!(RustCrypto.encaps2(&announce(&unreduced), &unreduced, &coins).is_ok());
}

/// Attack E4: the header's hash is over `ek_vector || rho`. A script that shares no code with this crate computed the
/// known answers.
#[test]
fn e4_incremental_ml_kem_gives_the_known_answers() {
    let mut seed = [2; 64];
    seed[..32].fill(1);
    let (seed, coins) = (Secret::new(seed), Secret::new([3; 32]));
    let (header, ek_vector) = RustCrypto.incremental_public(&seed);
    let mut expected = [0; 64];
    expected[..32].copy_from_slice(&hex::<32>("1c895ce4b234c9759472998b2d30ca26ebdbec72bee7accb2c2f12721aa18152"));
    expected[32..].copy_from_slice(&hex::<32>("605a1583f2f42c2622d4bb3714033272ba2528b8257fe30aeca1f7d2d88d4d8b"));
    assert_eq!(header, expected);
    let digest = |bytes: &[u8]| RustCrypto.sha256(&[bytes]);
    assert_eq!(digest(&ek_vector), hex("091b0e2b7d89d82ad6e56d54ce53d1c2c0257d91a06e68f2beea0c9a74a0d628"));
    let (ct1, shared) = RustCrypto.encaps1(&header, &coins);
    assert_eq!(digest(&ct1), hex("465422b65859400130206c2e7c147aec19a63a48120236f44a6b554ecef98f3d"));
    let ct2 = RustCrypto.encaps2(&header, &ek_vector, &coins).unwrap();
    assert_eq!(digest(&ct2), hex("80561d31001bfd82ce9e73f71cbb23eb91481e0618c6301ee80ddd006f3af67a"));
    let k = hex("f39b95557ee52af1954cd59f19febcb39f127e4abefc6f90546e7b8139ce94ba");
    assert_eq!(shared.expose(), &k);
    assert_eq!(RustCrypto.incremental_decapsulate(&seed, &ct1, &ct2).expose(), &k);
    // Control: the order in the text of ML-KEM Braid rev 1 gives the value that must not appear.
    let wrong = hex::<32>("041186834dae98ca6142cef9c9d0e82cf17368beadaff27e04a34322856ea155");
    let mut text = header[..32].to_vec();
    text.extend_from_slice(&ek_vector);
    assert_eq!(libcrux_sha3::sha256(&text), wrong);
    assert_ne!(header[32..], wrong);
}

/// Attack E9: parties with different secrets fail at the first MAC.
#[test]
fn e9_two_initiators_or_two_secrets_agree_on_nothing() {
    let secret = Secret::new(SECRET);
    let mut pair = Pair::new(Bytes256, 9);
    pair.b.braid = Braid::initiator(&RustCrypto, &secret, Bytes256);
    for _ in 0..50 {
        pair.turn(none);
    }
    assert_eq!((pair.names(), pair.a.keys.len()), (("KeysSampled", "KeysSampled"), 0));
    let mut pair = Pair::new(Bytes256, 9);
    pair.b.braid = Braid::responder(&RustCrypto, &Secret::new([0x5D; 32]), Bytes256);
    let message = pair.a.send();
    assert_eq!(pair.b.commit(&message), Err(Abandoned));
    assert_is_dead(&mut pair.b);
}

/// Attack E12: the state stays unchanged.
#[test]
fn e12_messages_after_65536_codewords_are_empty() {
    let mut pair = Pair::new(Bytes256, 12);
    let mut last = None;
    for _ in 0..=u16::MAX {
        last = Some(pair.a.send().payload);
    }
    assert!(matches!(last, Some(Payload::Hdr(codeword)) if codeword.index == u16::MAX));
    let exhausted = stored(&pair.a.braid);
    for _ in 0..3 {
        assert_eq!(pair.a.send().payload, Payload::None);
    }
    assert_eq!(stored(&pair.a.braid), exhausted);
    pair.a.restart();
    // Any one of the codewords is enough for a peer that answers again.
    let header = last.map(|payload| Message { epoch: Epoch::FIRST, payload }).unwrap();
    pair.b.receive(&header);
    while pair.a.keys.is_empty() {
        pair.turn(none);
    }
    assert_eq!(pair.a.keys, pair.b.keys);
}

/// Attack E12 in the state whose messages also acknowledge: the acknowledgement continues, with chunks from the first
/// on.
#[test]
fn e12_an_exhausted_encoder_still_acknowledges() {
    let mut pair = pair_in_mid_epoch(Bytes256, 12).until("HeaderSent", "EkReceivedCt1Sampled", ct1_lost);
    while pair.a.send().payload != Payload::None {}
    // A acknowledges every chunk of ct1 that arrives now.
    while name(&pair.a.braid) == "HeaderSent" {
        let message = pair.b.send();
        pair.a.receive(&message);
    }
    assert!(matches!(pair.a.send().payload, Payload::EkCt1Ack(codeword) if codeword.index == 0));
    pair.a.restart();
    let acknowledgement = pair.a.send();
    assert!(matches!(acknowledgement.payload, Payload::EkCt1Ack(codeword) if codeword.index == 1));
    pair.b.receive(&acknowledgement);
    assert_eq!(name(&pair.b.braid), "Ct2Sampled");
}

/// Attack C25: after a transition no secret of the earlier states is left in the Braid's memory.
#[cfg(target_os = "linux")]
#[test]
fn c25_no_transition_leaves_a_secret_of_the_state_before_in_its_place() {
    use crate::test_support::{contains, memory_of};
    // All 32-byte parts of a stored state's secret fields. They are random, so that no match is accidental.
    let secrets = |bytes: &[u8]| -> Vec<Vec<u8>> {
        let (number, rest) = bytes.split_first().unwrap();
        let auth = rest.get(4..68).unwrap_or_default();
        let own = if matches!(number, 2..=5) {
            64
        } else if matches!(number, 8..=10) {
            32
        } else {
            0
        };
        auth.chunks(32).chain(rest.get(68..68 + own).unwrap_or_default().chunks(32)).map(<[u8]>::to_vec).collect()
    };
    let mut transitions = 0;
    for lost in [none, ct1_lost] {
        let mut pair = std::boxed::Box::new(Pair::new(Bytes256, 25));
        let mut seen: [Vec<Vec<u8>>; 2] = [Vec::new(), Vec::new()];
        for _ in 0..120 {
            let before = pair.names();
            pair.turn(lost);
            transitions += usize::from(pair.names() != before);
            for (party, seen) in [&pair.a, &pair.b].into_iter().zip(&mut seen) {
                let (live, memory) = (secrets(&stored(&party.braid)), memory_of(&party.braid));
                for secret in seen.iter().filter(|secret| !live.contains(secret)) {
                    assert!(!contains(&memory, secret), "after {before:?}: {}", name(&party.braid));
                }
                seen.extend(live);
                seen.sort();
                seen.dedup();
            }
        }
    }
    assert!(transitions > 20);
    // The same holds when the Braid fails. Control: a state that is moved out of its place leaves its secrets.
    for is_taken in [false, true] {
        let mut pair = std::boxed::Box::new(pair_in_mid_epoch(Bytes256, 26));
        let secret = secrets(&stored(&pair.a.braid)).pop().unwrap();
        assert!(contains(&memory_of(&pair.a.braid), &secret));
        match is_taken {
            true => drop(core::mem::replace(&mut pair.a.braid.state, State::Dead)),
            false => pair.a.braid.state = State::Dead,
        }
        assert_eq!(contains(&memory_of(&pair.a.braid), &secret), is_taken);
    }
}

/// Attack E3: no epoch wraps. A party that would have to go beyond the last fails.
#[test]
fn e3_the_last_epoch_has_no_successor() {
    assert_eq!((Epoch::new(0), Epoch::new(u32::MAX)), (None, None));
    assert_eq!(Epoch::new(LAST).unwrap().next(), None);
    let at = |braid: &Braid, epoch: u32| {
        let mut bytes = stored(braid);
        bytes[1..5].copy_from_slice(&epoch.to_be_bytes());
        loaded(Bytes256, &bytes)
    };
    let fresh = Pair::new(Bytes256, 3);
    assert!(at(&fresh.a.braid, 0).is_err() && at(&fresh.a.braid, u32::MAX).is_err());
    for (epoch, expected) in [(LAST, Err(Abandoned)), (LAST - 1, Ok(()))] {
        let mut pair = Pair::new(Bytes256, 3);
        pair.a.braid = at(&pair.a.braid, epoch).unwrap();
        pair.b.braid = at(&pair.b.braid, epoch).unwrap();
        let mut result = Ok(());
        for _ in 0..30 {
            let message = pair.a.braid.send(&RustCrypto, &mut pair.a.rng).unwrap().message;
            assert_eq!(pair.b.commit(&message), Ok(()));
            let message = pair.b.braid.send(&RustCrypto, &mut pair.b.rng).unwrap().message;
            result = pair.a.commit(&message);
            if result.is_err() || pair.a.braid.epoch() != Epoch::new(epoch) {
                break;
            }
        }
        assert_eq!(result, expected);
    }
}

/// Attack E14: a man in the middle who has stolen the authenticator replaces the header of the next key pair and
/// continues to know every key. This is the limit stated in spec/protocol.md §9; it does not apply to a thief who only
/// listens.
#[test]
fn e14_a_stolen_authenticator_lets_an_active_thief_agree_instead_of_the_peer() {
    for is_stolen in [true, false] {
        let pair = Pair::new(Bytes256, 14);
        // The thief continues from A's state with its own randomness, or has no stolen state.
        let state = stored(&pair.a.braid);
        let secret = Secret::new([0xD0; 32]);
        let braid = match is_stolen {
            true => loaded(Bytes256, &state).unwrap(),
            false => Braid::initiator(&RustCrypto, &secret, Bytes256),
        };
        let mut attacked = Pair { a: Party::new(braid, 999), ..pair };
        let mut result = Ok(());
        while attacked.a.keys.len() < 3 && result.is_ok() {
            let message = attacked.a.send();
            match is_stolen {
                true => attacked.b.receive(&message),
                false => result = attacked.b.commit(&message),
            }
            if result.is_ok() {
                let message = attacked.b.send();
                attacked.a.receive(&message);
            }
        }
        match is_stolen {
            // The thief has the key of every epoch, also of B's: B's good randomness does not help.
            true => assert!(attacked.b.keys.len() >= 2 && attacked.a.keys[..2] == attacked.b.keys[..2]),
            // Control: without the theft, the first header fails at its MAC.
            false => {
                assert_eq!((result, attacked.a.keys.len()), (Err(Abandoned), 0));
                assert_is_dead(&mut attacked.b);
            }
        }
    }
}
