// SPDX-License-Identifier: MIT OR Apache-2.0
//! The network's effects on the conversation. Both devices know them, and thus which messages must open; the relay
//! between them applies them.

/// Turns, each with one message from Bob and one from Alice, before and after the bursts. With chunks of 256 bytes an
/// epoch takes 13 messages: there are three epochs in all.
pub const TURNS: u8 = 8;
/// Messages that one side sends without an answer.
pub const BURST: u8 = 5;
/// The messages of a burst that arrive, in this order. The fourth message is lost.
pub const ARRIVALS: [Arrival; 5] =
    [Arrival::Whole(2), Arrival::Whole(0), Arrival::Forged(1), Arrival::Whole(1), Arrival::Whole(4)];
/// Keys that are kept after the first of them, for the two messages before it.
pub const KEPT_AFTER_FIRST: usize = 2;

/// The n-th message of a burst, counted from 0.
#[derive(Clone, Copy, Debug)]
pub enum Arrival {
    /// As it was sent.
    Whole(u8),
    /// With one bit flipped in the middle.
    Forged(u8),
}

/// In the conversation of jumps, the messages that Alice skips before each one that she sends: what a session used to
/// skip at the most, what it skips at the most now, and one more.
pub const JUMPS: [u32; 3] = [1_000, 25_000, 25_001];
