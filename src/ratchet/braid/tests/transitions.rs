// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every transition of the diagram, by its number, and the number of messages per epoch.

use super::*;

#[test]
fn br_1_the_first_send_makes_a_key_pair_and_sends_the_header() {
    let mut pair = Pair::new(Bytes32, 1);
    assert_eq!(pair.names(), ("KeysUnsampled", "NoHeaderReceived"));
    for index in 0..5 {
        let Payload::Hdr(codeword) = pair.a.send().payload else { panic!() };
        assert_eq!((codeword.index, name(&pair.a.braid)), (index, "KeysSampled"));
    }
    // The other party has nothing to send yet.
    assert_eq!((pair.b.send().payload, name(&pair.b.braid)), (Payload::None, "NoHeaderReceived"));
}

#[test]
fn br_2_the_first_chunk_of_ct1_starts_ek_vector() {
    let mut pair = Pair::new(Bytes32, 2).until("KeysSampled", "HeaderReceived", none);
    let ct1 = pair.b.send();
    // Control: other types do not.
    pair.a.receive(&Message { payload: Payload::None, ..ct1 });
    assert_eq!(name(&pair.a.braid), "KeysSampled");
    pair.a.receive(&ct1);
    assert_eq!(name(&pair.a.braid), "HeaderSent");
    assert!(matches!(pair.a.send().payload, Payload::Ek(codeword) if codeword.index == 0));
}

#[test]
fn br_3_complete_ct1_is_acknowledged_then_br_8_and_br_11() {
    let mut pair = pair_in_mid_epoch(Bytes32, 3).until("Ct1Received", "Ct1Sampled", none);
    let acknowledgement = pair.a.send();
    assert!(matches!(acknowledgement.payload, Payload::EkCt1Ack(codeword) if codeword.index < 36));
    // BR-8: ek_vector is not complete.
    pair.b.receive(&acknowledgement);
    assert_eq!(name(&pair.b.braid), "Ct1Acknowledged");
    assert_eq!(pair.b.send().payload, Payload::None);
    // A repeated chunk has no effect, and neither has one without the acknowledgement.
    let before = stored(&pair.b.braid);
    pair.b.receive(&acknowledgement);
    let Payload::EkCt1Ack(codeword) = pair.a.send().payload else { panic!() };
    pair.b.receive(&Message { payload: Payload::Ek(codeword), ..acknowledgement });
    assert_eq!(stored(&pair.b.braid), before);
    // BR-11.
    let mut pair = pair.until("Ct1Received", "Ct2Sampled", none);
    assert!(matches!(pair.b.send().payload, Payload::Ct2(codeword) if codeword.index == 0));
}

#[test]
fn br_4_and_br_5_ct2_completes_the_epoch_for_its_key_pair() {
    let mut pair = pair_in_mid_epoch(Bytes32, 4).until("EkSentCt1Received", "Ct2Sampled", none);
    assert_eq!((pair.a.send().payload, pair.a.keys.len()), (Payload::None, 0));
    while name(&pair.a.braid) == "EkSentCt1Received" {
        let message = pair.b.send();
        pair.a.receive(&message);
    }
    assert_eq!(pair.names(), ("NoHeaderReceived", "Ct2Sampled"));
    assert_eq!((pair.a.braid.epoch(), pair.b.braid.epoch()), (Epoch::new(2), Epoch::new(1)));
    assert_eq!((pair.a.keys.len(), &pair.a.keys), (1, &pair.b.keys));
}

/// BR-3: ct1 is complete with its k-th distinct chunk, whichever chunks arrived.
#[test]
fn br_3_the_last_missing_chunk_completes_ct1() {
    let mut pair = pair_in_mid_epoch(Bytes32, 31);
    let chunks: Vec<Message> = (0..60).map(|_| pair.b.send()).collect();
    // One of thirty has arrived, 28 more arrive, each twice, and the first of them a third time.
    for chunk in chunks[31..59].iter().flat_map(|chunk| [chunk, chunk]).chain([&chunks[31]]) {
        pair.a.receive(chunk);
        assert_eq!(name(&pair.a.braid), "HeaderSent");
    }
    assert!(matches!(pair.a.send().payload, Payload::Ek(_)));
    pair.a.receive(&chunks[59]);
    let (State::Ct1Received(a), State::Ct1Sampled(b)) = (&pair.a.braid.state, &pair.b.braid.state) else { panic!() };
    assert_eq!(Some(a.ct1), b.ct1.value());
    assert!(matches!(pair.a.send().payload, Payload::EkCt1Ack(_)));
}

/// BR-4: the first chunk of ct2 ends ek_vector and is kept. BR-5 follows at once if it is the only chunk.
#[test]
fn br_4_the_first_chunk_of_ct2_counts() {
    for (chunk_size, chunks) in [(Bytes32, 5), (Bytes64, 3), (Bytes128, 2), (Bytes256, 1)] {
        let mut pair = pair_in_mid_epoch(chunk_size, 41).until("Ct1Received", "Ct2Sampled", none);
        let first = pair.b.send();
        pair.a.receive(&Message { payload: Payload::None, ..first });
        assert_eq!((name(&pair.a.braid), pair.a.keys.len()), ("Ct1Received", 0));
        pair.a.receive(&first);
        for _ in 1..chunks {
            assert_eq!((name(&pair.a.braid), pair.a.keys.len()), ("EkSentCt1Received", 0));
            assert_eq!(pair.a.send().payload, Payload::None);
            let next = pair.b.send();
            pair.a.receive(&next);
        }
        assert_eq!(name(&pair.a.braid), "NoHeaderReceived");
        assert_eq!((pair.a.keys.len(), &pair.a.keys), (1, &pair.b.keys));
    }
}

#[test]
fn br_6_and_br_7_a_checked_header_is_answered_and_the_key_output() {
    let mut pair = Pair::new(Bytes32, 6).until("KeysSampled", "HeaderReceived", none);
    assert_eq!(pair.b.keys.len(), 0);
    let message = pair.b.send();
    assert!(matches!(message.payload, Payload::Ct1(codeword) if codeword.index == 0));
    assert_eq!((name(&pair.b.braid), pair.b.keys.len(), pair.b.keys[0].0), ("Ct1Sampled", 1, 1));
    // The message is still on the chain of the epoch before, whose key the receiver has.
    assert_eq!(message.epoch, Epoch::FIRST);
}

#[test]
fn br_9_the_acknowledgement_brings_the_last_chunk_of_ek_vector() {
    let mut pair = pair_in_mid_epoch(Bytes32, 9);
    let mut ct1 = Vec::new();
    for _ in 0..40 {
        ct1.push(pair.b.send());
    }
    // All chunks of ek_vector except one.
    for _ in 0..35 {
        let message = pair.a.send();
        pair.b.receive(&message);
    }
    assert_eq!(name(&pair.b.braid), "Ct1Sampled");
    ct1.iter().for_each(|message| pair.a.receive(message));
    assert_eq!(pair.names(), ("Ct1Received", "Ct1Sampled"));
    let message = pair.a.send();
    pair.b.receive(&message);
    assert_eq!(pair.names(), ("Ct1Received", "Ct2Sampled"));
}

#[test]
fn br_10_and_br_12_ek_vector_is_complete_before_the_acknowledgement() {
    let mut pair = pair_in_mid_epoch(Bytes32, 10).until("HeaderSent", "EkReceivedCt1Sampled", ct1_lost);
    assert!(matches!(pair.b.send().payload, Payload::Ct1(_)));
    let more = pair.a.send();
    let before = stored(&pair.b.braid);
    pair.b.receive(&more);
    assert_eq!(stored(&pair.b.braid), before);
    let pair = pair.until("Ct1Received", "Ct2Sampled", none);
    assert_eq!(pair.b.keys.len(), 1);
}

#[test]
fn br_13_the_next_epoch_swaps_the_roles() {
    let mut pair = pair_in_mid_epoch(Bytes32, 13).until("NoHeaderReceived", "Ct2Sampled", none);
    let old = Message { epoch: Epoch::FIRST, payload: Payload::None };
    pair.b.receive(&old);
    let message = pair.a.send();
    assert_eq!((message.payload, message.epoch), (Payload::None, Epoch::new(2).unwrap()));
    pair.b.receive(&message);
    assert_eq!((pair.names(), pair.b.braid.epoch()), (("NoHeaderReceived", "KeysUnsampled"), Epoch::new(2)));
}

#[test]
fn unexpected_messages_change_nothing_in_any_state() {
    for_every_state(|pair, party| {
        let party = if party == 'a' { &pair.a } else { &pair.b };
        let before = stored(&party.braid);
        let epoch = party.braid.epoch().unwrap();
        let far = Epoch::new(epoch.number() + 2).unwrap();
        let mut chunk = [0; 256];
        chunk[..128].fill(0xEE);
        let codeword = Codeword { index: 50_000, chunk };
        let all = [Payload::Hdr, Payload::Ek, Payload::EkCt1Ack, Payload::Ct1, Payload::Ct2].map(|kind| kind(codeword));
        let awaited: &[usize] = match name(&party.braid) {
            "KeysSampled" | "HeaderSent" => &[3],
            "Ct1Received" | "EkSentCt1Received" => &[4],
            "NoHeaderReceived" => &[0],
            "Ct1Sampled" => &[1, 2],
            "EkReceivedCt1Sampled" | "Ct1Acknowledged" => &[2],
            _ => &[],
        };
        for (at, payload) in all.into_iter().enumerate() {
            for (epoch, effect) in [(epoch, awaited.contains(&at)), (far, false)] {
                let mut copy = Party::new(loaded(Bytes128, &before).unwrap(), 0);
                let _ = copy.commit(&Message { epoch, payload });
                assert_eq!(stored(&copy.braid) != before, effect, "{} {payload:?}", name(&party.braid));
            }
        }
    });
}

/// Returns the number of messages per epoch when the parties take turns and no message is lost.
fn messages_per_epoch(chunk_size: ChunkSize) -> [usize; 3] {
    let mut pair = Pair::new(chunk_size, 20);
    let mut counts = [0; 3];
    for count in &mut counts {
        let (before, keys) = (pair.turns, pair.a.keys.len());
        while pair.a.keys.len().min(pair.b.keys.len()) == keys {
            pair.turn(none);
        }
        *count = pair.turns - before;
    }
    assert_eq!((pair.a.keys.len(), &pair.a.keys), (3, &pair.b.keys));
    counts
}

/// In one direction three chunks of header, 36 of ek_vector, five of ct2 and one message after them; as many in the
/// other.
#[test]
fn epochs_take_87_messages_in_turns_with_chunks_of_32_bytes() {
    assert_eq!(messages_per_epoch(Bytes32), [86, 87, 87]);
    assert_eq!(messages_per_epoch(Bytes64), [44, 45, 45]);
    assert_eq!(messages_per_epoch(Bytes128), [22, 23, 23]);
    assert_eq!(messages_per_epoch(Bytes256), [12, 13, 13]);
}
