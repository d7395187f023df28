// SPDX-License-Identifier: MIT OR Apache-2.0
//! Restored states: what their secrets determine is computed when it is needed, and gives the same messages.

use super::*;

/// Runs two epochs and returns all messages and keys. Both parties restart before each message of which `restarts`
/// returns true.
fn transcript(chunk_size: ChunkSize, seed: u64, lost: fn(&Payload) -> bool, restarts: fn(usize) -> bool) -> Vec<u8> {
    let mut pair = Pair::new(chunk_size, seed);
    let mut transcript = Vec::new();
    while pair.a.keys.len().min(pair.b.keys.len()) < 2 {
        if restarts(pair.turns) {
            pair.a.restart();
            pair.b.restart();
        }
        let (from, to) =
            if pair.turns.is_multiple_of(2) { (&mut pair.a, &mut pair.b) } else { (&mut pair.b, &mut pair.a) };
        let message = from.send();
        transcript.extend(written(chunk_size, &message));
        if !lost(&message.payload) {
            to.receive(&message);
        }
        pair.turns += 1;
        for braid in [&pair.a.braid, &pair.b.braid] {
            transcript.extend(stored(braid));
        }
    }
    assert_eq!(pair.a.keys[..2], pair.b.keys[..2]);
    transcript.extend(pair.a.keys.iter().chain(&pair.b.keys).flat_map(|(_, key)| *key));
    transcript
}

/// In every state that a party can be in, before it sends and before it receives. Control: another seed gives other
/// messages.
#[test]
fn restarts_at_any_time_change_no_message_and_no_key() {
    for chunk_size in [Bytes32, Bytes64, Bytes128, Bytes256] {
        for lost in [none, ct1_lost] {
            let uninterrupted = transcript(chunk_size, 21, lost, |_| false);
            for restarts in [|_| true, |turn| turn % 2 == 0, |turn| turn % 3 == 0, |turn| turn % 5 == 1] {
                assert!(transcript(chunk_size, 21, lost, restarts) == uninterrupted, "{chunk_size:?}");
            }
            assert!(transcript(chunk_size, 22, lost, |_| true) != uninterrupted);
        }
    }
}
