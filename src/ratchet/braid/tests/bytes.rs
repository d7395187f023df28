// SPDX-License-Identifier: MIT OR Apache-2.0
//! Messages and stored states: each has one encoding, and all other bytes are refused.

use super::*;

/// Attack D7: all messages have one length. Attack E3: bytes that are not a message are refused.
#[test]
fn messages_of_all_types_have_one_length_and_one_encoding() {
    let mut chunk = [0; 256];
    chunk[..32].fill(7);
    let codeword = Codeword { index: 0xABCD, chunk };
    let payloads = [
        Payload::None,
        Payload::Hdr(codeword),
        Payload::Ek(codeword),
        Payload::EkCt1Ack(codeword),
        Payload::Ct1(codeword),
        Payload::Ct2(codeword),
    ];
    for (kind, payload) in (0..).zip(payloads) {
        let message = Message { epoch: Epoch::new(0x0102).unwrap(), payload };
        let bytes = written(Bytes32, &message);
        assert_eq!((bytes.len(), bytes[0], &bytes[1..5]), (39, kind, &[0, 0, 1, 2][..]));
        assert_eq!(parsed(Bytes32, &bytes), Ok(message));
        for epoch in [0, u32::MAX] {
            let mut other = bytes.clone();
            other[1..5].copy_from_slice(&epoch.to_be_bytes());
            assert!(parsed(Bytes32, &other).is_err());
        }
        assert!(parsed(Bytes32, &bytes[..38]).is_err());
        for kind in 6..=u8::MAX {
            let mut other = bytes.clone();
            other[0] = kind;
            assert!(parsed(Bytes32, &other).is_err());
        }
    }
    // A message without a chunk has only zeros in its place. (A message of another type always has a chunk.)
    let empty = written(Bytes32, &Message { epoch: Epoch::FIRST, payload: Payload::None });
    for at in 5..39 {
        let mut other = empty.clone();
        other[at] = 1;
        assert!(parsed(Bytes32, &other).is_err(), "byte {at}");
    }
}

/// Invariants of stored states, in every state.
#[test]
fn every_state_has_one_encoding_and_nothing_else_loads() {
    for_every_state(|pair, party| {
        let braid = if party == 'a' { &pair.a.braid } else { &pair.b.braid };
        let bytes = stored(braid);
        assert_eq!(STATES[usize::from(bytes[0])], name(braid));
        assert_eq!(stored(&loaded(Bytes128, &bytes).unwrap()), bytes);
        for len in [0, 1, 4, 68, bytes.len() - 1] {
            assert!(loaded(Bytes128, &bytes[..len]).is_err());
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(loaded(Bytes128, &longer).is_err());
        let mut other = bytes.clone();
        other[0] = 12;
        assert!(loaded(Bytes128, &other).is_err());
    });
    assert!(loaded(Bytes128, &[0]).is_ok());
    assert!(loaded(Bytes128, &[0, 0]).is_err());
}

#[test]
fn a_counter_out_of_range_and_a_repeated_chunk_are_refused() {
    let mut pair = Pair::new(Bytes32, 5);
    let message = pair.a.send();
    let counted = stored(&pair.a.braid);
    let at = counted.len() - 4;
    for (issued, loads) in [(0u32, false), (1, true), (65_536, true), (65_537, false)] {
        let mut bytes = counted.clone();
        bytes[at..].copy_from_slice(&issued.to_be_bytes());
        assert_eq!(loaded(Bytes32, &bytes).is_ok(), loads, "{issued}");
    }
    pair.b.receive(&message);
    let message = pair.a.send();
    pair.b.receive(&message);
    let bytes = stored(&pair.b.braid);
    assert_eq!((bytes.len(), bytes[69]), (69 + 1 + 2 * 34, 2));
    assert!(loaded(Bytes32, &bytes).is_ok());
    let mut twice = bytes.clone();
    twice[105] = 0;
    assert!(loaded(Bytes32, &twice).is_err());
    // Three chunks would be complete.
    let mut complete = bytes.clone();
    complete[69] = 3;
    complete.extend_from_slice(&[0; 34]);
    *complete.get_mut(69 + 1 + 2 * 34).unwrap() = 9;
    assert!(loaded(Bytes32, &complete).is_err());
}

/// Attack E10: the same states have the same bytes on every machine. The test compares one digest over all states of
/// two epochs.
#[test]
fn e10_stored_states_are_the_known_bytes() {
    let mut pair = Pair::new(Bytes64, 10);
    let mut digest = [0; 32];
    let mut longest = 0;
    while pair.a.keys.len().min(pair.b.keys.len()) < 2 {
        pair.turn(none);
        for braid in [&pair.a.braid, &pair.b.braid] {
            let bytes = stored(braid);
            longest = longest.max(bytes.len());
            digest = RustCrypto.sha256(&[&digest, &bytes]);
        }
    }
    assert_eq!(digest, hex(E10_DIGEST));
}

const E10_DIGEST: &str = "ca74f686eb770ed722f16c06cd4aa17a4ed6f8114d54968473eada67c953b82a";
