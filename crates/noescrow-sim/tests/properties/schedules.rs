// SPDX-License-Identifier: MIT OR Apache-2.0
//! Schedules weighted towards the edges: the first and the last items, jumps just within and just beyond the bounds,
//! conversations long enough that keys expire.

use noescrow::{ChunkSize, MAX_JUMP};
use noescrow_sim::{Event, FROM_BACK, MAX_BURST, Opening, ServedBundle, Side, Tampering};
use proptest::collection::vec;
use proptest::prelude::*;

pub fn config(default_cases: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(default_cases);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

pub fn side() -> impl Strategy<Value = Side> + Clone {
    prop_oneof![Just(Side::Alice), Just(Side::Bob)]
}

/// The first few, the last few, or anything.
fn at() -> impl Strategy<Value = u16> + Clone {
    prop_oneof![3 => 0u16..4, 3 => (0u16..4).prop_map(|at| at | FROM_BACK), 1 => any::<u16>()]
}

/// Places in a message: its edges, and the last bytes more often than a uniform choice would hit them, since a
/// handshake has 1.8 kB.
fn place() -> impl Strategy<Value = u16> + Clone {
    prop_oneof![2 => 0u16..130, 4 => (0u16..150).prop_map(|at| at | FROM_BACK), 1 => any::<u16>()]
}

fn tampering() -> impl Strategy<Value = Tampering> + Clone {
    prop_oneof![
        3 => (0u8..8).prop_map(|bit| Tampering::Flip { bit }),
        1 => Just(Tampering::Truncate),
        1 => Just(Tampering::Extend),
        1 => Just(Tampering::ReplaceType),
    ]
}

/// Lengths on both sides of a power of two, where padding changes, and some beyond what the header's AEAD covers.
fn length() -> impl Strategy<Value = u16> + Clone {
    let edges = prop_oneof![Just(127u16), Just(128), Just(255), Just(1023), Just(4_095), Just(5_000)];
    prop_oneof![3 => 0u16..40, 1 => Just(0), 1 => edges]
}

pub fn honest() -> impl Strategy<Value = Event> + Clone {
    prop_oneof![
        6 => (side(), length(), any::<u8>())
            .prop_map(|(from, length, associated_data)| Event::Send { from, length, associated_data }),
        5 => (side(), at()).prop_map(|(to, at)| Event::Deliver { to, at }),
        1 => side().prop_map(|to| Event::DeliverAll { to }),
        1 => (side(), at(), 0u8..3).prop_map(|(to, at, count)| Event::Drop { to, at, count }),
        1 => (side(), at()).prop_map(|(to, at)| Event::Duplicate { to, at }),
        1 => (side(), at(), at()).prop_map(|(to, at, place)| Event::Reorder { to, at, place }),
    ]
}

pub fn hostile() -> impl Strategy<Value = Event> + Clone {
    prop_oneof![
        6 => (side(), at(), place(), tampering())
            .prop_map(|(to, message, place, tampering)| Event::Tamper { to, message, place, tampering }),
        2 => (side(), at(), at()).prop_map(|(to, message, body)| Event::Splice { to, message, body }),
        3 => (side(), at()).prop_map(|(to, message)| Event::Replay { to, message }),
        2 => (side(), at()).prop_map(|(to, message)| Event::Reflect { to, message }),
        1 => side().prop_map(|to| Event::CrossSession { to }),
        2 => (side(), at(), any::<u8>())
            .prop_map(|(to, message, by)| Event::WrongAssociatedData { to, message, by }),
        1 => (side(), any::<u16>(), any::<u8>()).prop_map(|(to, length, kind)| Event::Noise { to, length, kind }),
    ]
}

pub fn storing() -> impl Strategy<Value = Event> + Clone {
    prop_oneof![
        1 => side().prop_map(|side| Event::Snapshot { side }),
        3 => side().prop_map(|side| Event::Restore { side }),
        1 => (side(), at()).prop_map(|(side, age)| Event::Rollback { side, age }),
        1 => (side(), place()).prop_map(|(side, place)| Event::Damage { side, place }),
        1 => side().prop_map(|side| Event::Crash { side }),
    ]
}

fn served() -> impl Strategy<Value = ServedBundle> + Clone {
    prop_oneof![3 => Just(ServedBundle::Honest), 5 => proptest::sample::select(&ServedBundle::ALL)]
}

/// Handshakes with a hostile relay: single events of handshakes, or a whole handshake.
pub fn handshakes() -> impl Strategy<Value = Vec<Event>> + Clone {
    let one = prop_oneof![
        3 => (side(), 0u8..3).prop_map(|(side, count)| Event::Publish { side, count }),
        1 => side().prop_map(|side| Event::Rotate { side }),
        1 => side().prop_map(|side| Event::DeletePrevious { side }),
        5 => (side(), served(), any::<u8>()).prop_map(|(by, served, point)| Event::Fetch { by, served, point }),
        4 => (side(), prop::bool::weighted(0.2)).prop_map(|(from, too_late)| Event::Initiate { from, too_late }),
        5 => (side(), at(), prop::option::weighted(0.2, any::<u8>()))
            .prop_map(|(to, message, low_order)| Event::Arrive { to, message, low_order }),
        3 => (side(), at(), at()).prop_map(|(to, message, into)| Event::Mix { to, message, into }),
    ];
    let whole = (side(), served(), 0u8..3).prop_map(|(from, served, count)| handshake(from, served, count));
    prop_oneof![vec(one, 1..6), whole]
}

/// A handshake that `from` initiates, with the bundle that the relay offers it.
pub fn handshake(from: Side, served: ServedBundle, one_time_prekeys: u8) -> Vec<Event> {
    vec![
        Event::Publish { side: from.other(), count: one_time_prekeys },
        Event::Fetch { by: from, served, point: 0 },
        Event::Initiate { from, too_late: false },
        Event::Arrive { to: from.other(), message: FROM_BACK, low_order: None },
    ]
}

const fn send(from: Side) -> Event {
    Event::Send { from, length: 5, associated_data: 0 }
}

const fn deliver_last(to: Side) -> Event {
    Event::Deliver { to, at: FROM_BACK }
}

/// `count` messages, in as many bursts as they need.
fn bursts(from: Side, count: u16) -> impl Iterator<Item = Event> {
    let whole = std::iter::repeat_n(MAX_BURST, usize::from(count / MAX_BURST));
    whole.chain([count % MAX_BURST]).map(move |count| Event::Burst { from, count })
}

/// Loses the `count` oldest messages in transit to one side.
pub fn lose(to: Side, count: u16) -> impl Iterator<Item = Event> {
    let whole = std::iter::repeat_n(255, usize::from(count / 256));
    let rest = (count % 256).checked_sub(1).map(|less| less as u8);
    whole.chain(rest).map(move |count| Event::Drop { to, at: 0, count })
}

/// `rounds` ratchet steps of each side; `left` messages of each chain to Bob stay undelivered.
pub fn ping_pong(rounds: usize, left: u16) -> Vec<Event> {
    let round = [
        Event::Burst { from: Side::Alice, count: left + 1 },
        deliver_last(Side::Bob),
        send(Side::Bob),
        deliver_last(Side::Alice),
    ];
    round.iter().copied().cycle().take(4 * rounds).collect()
}

/// A jump over `previous` messages of the previous chain and `current` messages of the new one.
pub fn jump(from: Side, previous: u16, current: u16) -> Vec<Event> {
    let to = from.other();
    let begin = [send(from), deliver_last(to)].into_iter().chain(bursts(from, previous));
    let step = [send(to), deliver_last(from)].into_iter().chain(bursts(from, current + 1));
    begin.chain(step).chain([deliver_last(to)]).collect()
}

/// Around `bound`.
fn around(bound: u16) -> impl Strategy<Value = u16> + Clone {
    (0u16..5).prop_map(move |off| (bound + off).saturating_sub(2))
}

/// Around the most messages that one jump may skip, in the old chain or in the new one.
pub fn longest_jump() -> impl Strategy<Value = Vec<Event>> + Clone {
    let count = prop_oneof![Just(MAX_JUMP as u16), Just(MAX_JUMP as u16 + 1)];
    (side(), count, any::<bool>())
        .prop_map(|(from, count, old)| if old { jump(from, count, 0) } else { jump(from, 0, count) })
}

/// A piece of a schedule. `bound` is the number of keys that a store keeps.
fn piece(bound: u16) -> impl Strategy<Value = Vec<Event>> + Clone {
    // Few pieces have thousands of messages.
    let long_jump = if bound > 100 { 1 } else { 12 };
    let longest = if bound > 100 { longest_jump().boxed() } else { Just(Vec::new()).boxed() };
    let half = (bound / 2).max(1);
    prop_oneof![
        100 => vec(honest(), 1..6),
        60 => vec(hostile(), 1..4),
        24 => vec(storing(), 1..2),
        40 => handshakes(),
        20 => (1usize..6, 0u16..3).prop_map(|(rounds, left)| ping_pong(rounds, left)),
        2 => (30usize..36, 0u16..2).prop_map(|(rounds, left)| ping_pong(rounds, left)),
        long_jump => (side(), around(bound)).prop_map(|(from, count)| jump(from, 0, count)),
        long_jump => (side(), around(half), around(half)).prop_map(|(from, a, b)| jump(from, a, b)),
        long_jump => (side(), around(bound)).prop_map(|(from, count)| jump(from, count, 0)),
        2 => longest,
    ]
}

pub fn schedule(bound: u16) -> impl Strategy<Value = Vec<Event>> {
    vec(piece(bound), 1..16).prop_map(|pieces| pieces.concat())
}

pub fn opening() -> impl Strategy<Value = Opening> {
    // With the largest chunks, epochs are short enough to end within a schedule.
    let chunk_size = prop_oneof![2 => Just(ChunkSize::Bytes256), 1 => proptest::sample::select(&ChunkSize::ALL[..])];
    (any::<bool>(), prop_oneof![Just(0u8), 0u8..16], at(), chunk_size)
        .prop_map(|(one_time, burst, accepted, chunk_size)| Opening { one_time, burst, accepted, chunk_size })
}
