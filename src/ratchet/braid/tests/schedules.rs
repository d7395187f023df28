// SPDX-License-Identifier: MIT OR Apache-2.0
//! Attack E16: both parties' keys under loss, duplication, reordering and restarts.

use super::*;

/// Attack E16: the invariant that both parties' outputs satisfy at any time.
fn agree(a: &[(u32, [u8; 32])], b: &[(u32, [u8; 32])]) -> bool {
    let consecutive = |keys: &[(u32, [u8; 32])]| keys.iter().zip(1..).all(|((epoch, _), at)| *epoch == at);
    consecutive(a) && consecutive(b) && a.iter().zip(b).all(|(a, b)| a == b) && a.len().abs_diff(b.len()) <= 1
}

#[test]
fn the_oracle_detects_repeated_skipped_and_different_keys() {
    let (one, two) = ((1, [1; 32]), (2, [2; 32]));
    assert!(agree(&[one, two], &[one]));
    assert!(!agree(&[one, one], &[one]));
    assert!(!agree(&[two], &[]));
    assert!(!agree(&[one, two], &[one, (2, [3; 32])]));
}

/// Runs one random schedule: sending, delivery in any order, loss, duplication, staging without commitment, restarts.
/// After it no message is lost, and a new epoch must complete.
pub(super) fn schedule(chunk_size: ChunkSize, seed: u64, events: usize) -> usize {
    let mut pair = Pair::new(chunk_size, seed);
    let mut rng = rng(!seed);
    let mut pick = |below: usize| rng.next_u32() as usize % below;
    let mut queues: [Vec<Message>; 2] = [Vec::new(), Vec::new()];
    // Some schedules lose many messages, some few.
    let loss = pick(60);
    for _ in 0..events {
        let side = pick(2);
        let (party, queue) = match side {
            0 => (&mut pair.a, &mut queues[1]),
            _ => (&mut pair.b, &mut queues[0]),
        };
        match pick(100) {
            0 => party.restart(),
            1..50 => {
                let message = party.send();
                queues[side].push(message);
            }
            _ if queue.is_empty() => {}
            dice => {
                // Usually the oldest message.
                let at = if pick(4) == 0 { pick(queue.len()) } else { 0 };
                let message = queue[at];
                if dice < 95 {
                    queue.remove(at);
                }
                if pick(100) < loss {
                    continue;
                }
                if pick(8) == 0 {
                    let before = stored(&party.braid);
                    drop(party.stage(&message));
                    assert_eq!(stored(&party.braid), before);
                }
                party.receive(&message);
            }
        }
        assert!(agree(&pair.a.keys, &pair.b.keys), "seed {seed}");
    }
    let (reached, turns) = (pair.a.keys.len(), pair.turns);
    while pair.a.keys.len().min(pair.b.keys.len()) <= reached {
        assert!(pair.turns < turns + 1_000, "seed {seed}: no new epoch although nothing is lost");
        pair.turn(none);
    }
    assert!(agree(&pair.a.keys, &pair.b.keys), "seed {seed}");
    pair.a.keys.len()
}

/// Returns the number of schedules: 2,000 in an ordinary run, more if `BRAID_SCHEDULES` says so.
fn schedules() -> u64 {
    std::env::var("BRAID_SCHEDULES").ok().and_then(|count| count.parse().ok()).unwrap_or(2_000)
}

#[test]
fn keys_are_equal_consecutive_and_output_once() {
    let mut epochs = 0;
    for seed in 0..schedules() {
        epochs += match seed % 200 {
            0 => schedule(Bytes32, seed, 300),
            1..4 => schedule(Bytes64, seed, 200),
            4..10 => schedule(Bytes128, seed, 100),
            _ => schedule(Bytes256, seed, 40),
        };
    }
    assert!(epochs as u64 > schedules());
}
