// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every transition of the diagram, by its number, and the number of messages per epoch.

use super::*;

#[test]
fn br_1_the_first_send_makes_a_key_pair_and_sends_the_header() {
    let mut two = Two::new(Bytes32, 1);
    assert_eq!(two.names(), ("KeysUnsampled", "NoHeaderReceived"));
    for index in 0..5 {
        let Payload::Hdr(codeword) = two.a.send().payload else { panic!() };
        assert_eq!((codeword.index, name(&two.a.braid)), (index, "KeysSampled"));
    }
    // The other party has nothing to send yet.
    assert_eq!((two.b.send().payload, name(&two.b.braid)), (Payload::None, "NoHeaderReceived"));
}

#[test]
fn br_2_the_first_chunk_of_ct1_starts_ek_vector() {
    let mut two = Two::new(Bytes32, 2).until("KeysSampled", "HeaderReceived", none);
    let ct1 = two.b.send();
    // Control: other types do not.
    two.a.receive(&Message { payload: Payload::None, ..ct1 });
    assert_eq!(name(&two.a.braid), "KeysSampled");
    two.a.receive(&ct1);
    assert_eq!(name(&two.a.braid), "HeaderSent");
    assert!(matches!(two.a.send().payload, Payload::Ek(codeword) if codeword.index == 0));
}

#[test]
fn br_3_complete_ct1_is_acknowledged_then_br_8_and_br_11() {
    let mut two = braided(Bytes32, 3).until("Ct1Received", "Ct1Sampled", none);
    let acknowledgement = two.a.send();
    assert!(matches!(acknowledgement.payload, Payload::EkCt1Ack(codeword) if codeword.index < 36));
    // BR-8: ek_vector is not complete.
    two.b.receive(&acknowledgement);
    assert_eq!(name(&two.b.braid), "Ct1Acknowledged");
    assert_eq!(two.b.send().payload, Payload::None);
    // A repeated chunk has no effect, and neither has one without the acknowledgement.
    let before = stored(&two.b.braid);
    two.b.receive(&acknowledgement);
    let Payload::EkCt1Ack(codeword) = two.a.send().payload else { panic!() };
    two.b.receive(&Message { payload: Payload::Ek(codeword), ..acknowledgement });
    assert_eq!(stored(&two.b.braid), before);
    // BR-11.
    let mut two = two.until("Ct1Received", "Ct2Sampled", none);
    assert!(matches!(two.b.send().payload, Payload::Ct2(codeword) if codeword.index == 0));
}

#[test]
fn br_4_and_br_5_ct2_completes_the_epoch_for_its_key_pair() {
    let mut two = braided(Bytes32, 4).until("EkSentCt1Received", "Ct2Sampled", none);
    assert_eq!((two.a.send().payload, two.a.keys.len()), (Payload::None, 0));
    while name(&two.a.braid) == "EkSentCt1Received" {
        let message = two.b.send();
        two.a.receive(&message);
    }
    assert_eq!(two.names(), ("NoHeaderReceived", "Ct2Sampled"));
    assert_eq!((two.a.braid.epoch(), two.b.braid.epoch()), (Epoch::new(2), Epoch::new(1)));
    assert_eq!((two.a.keys.len(), &two.a.keys), (1, &two.b.keys));
}

#[test]
fn br_6_and_br_7_a_checked_header_is_answered_and_the_key_output() {
    let mut two = Two::new(Bytes32, 6).until("KeysSampled", "HeaderReceived", none);
    assert_eq!(two.b.keys.len(), 0);
    let message = two.b.send();
    assert!(matches!(message.payload, Payload::Ct1(codeword) if codeword.index == 0));
    assert_eq!((name(&two.b.braid), two.b.keys.len(), two.b.keys[0].0), ("Ct1Sampled", 1, 1));
    // The message is still on the chain of the epoch before, whose key the receiver has.
    assert_eq!(message.epoch, Epoch::FIRST);
}

#[test]
fn br_9_the_acknowledgement_brings_the_last_chunk_of_ek_vector() {
    let mut two = braided(Bytes32, 9);
    let mut ct1 = Vec::new();
    for _ in 0..40 {
        ct1.push(two.b.send());
    }
    // All chunks of ek_vector except one.
    for _ in 0..35 {
        let message = two.a.send();
        two.b.receive(&message);
    }
    assert_eq!(name(&two.b.braid), "Ct1Sampled");
    ct1.iter().for_each(|message| two.a.receive(message));
    assert_eq!(two.names(), ("Ct1Received", "Ct1Sampled"));
    let message = two.a.send();
    two.b.receive(&message);
    assert_eq!(two.names(), ("Ct1Received", "Ct2Sampled"));
}

#[test]
fn br_10_and_br_12_ek_vector_is_complete_before_the_acknowledgement() {
    let mut two = braided(Bytes32, 10).until("HeaderSent", "EkReceivedCt1Sampled", ct1_lost);
    assert!(matches!(two.b.send().payload, Payload::Ct1(_)));
    let more = two.a.send();
    let before = stored(&two.b.braid);
    two.b.receive(&more);
    assert_eq!(stored(&two.b.braid), before);
    let two = two.until("Ct1Received", "Ct2Sampled", none);
    assert_eq!(two.b.keys.len(), 1);
}

#[test]
fn br_13_the_next_epoch_swaps_the_roles() {
    let mut two = braided(Bytes32, 13).until("NoHeaderReceived", "Ct2Sampled", none);
    let old = Message { epoch: Epoch::FIRST, payload: Payload::None };
    two.b.receive(&old);
    let message = two.a.send();
    assert_eq!((message.payload, message.epoch), (Payload::None, Epoch::new(2).unwrap()));
    two.b.receive(&message);
    assert_eq!((two.names(), two.b.braid.epoch()), (("NoHeaderReceived", "KeysUnsampled"), Epoch::new(2)));
}

#[test]
fn unexpected_messages_change_nothing_in_any_state() {
    for_every_state(|two, party| {
        let party = if party == 'a' { &two.a } else { &two.b };
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
    let mut two = Two::new(chunk_size, 20);
    let mut counts = [0; 3];
    for count in &mut counts {
        let (before, keys) = (two.turns, two.a.keys.len());
        while two.a.keys.len().min(two.b.keys.len()) == keys {
            two.turn(none);
        }
        *count = two.turns - before;
    }
    assert_eq!((two.a.keys.len(), &two.a.keys), (3, &two.b.keys));
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
