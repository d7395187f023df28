// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the network does to the conversation: known to both devices, so that they know what must open, and done by the
//! relay between them.

/// Turns, each a message of Bob's and one of Alice's, before and after the bursts. Of chunks of 256 bytes an epoch takes
/// 13 messages: there are three epochs in all.
pub const TURNS: u8 = 8;
/// Messages that one side sends without an answer.
pub const BURST: u8 = 5;
/// What arrives of a burst, in this order. The fourth message is lost.
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
