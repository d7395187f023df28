// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Event`]: the event language. Every byte string is a schedule, and every schedule is a byte string.

use super::served_bundle::ServedBundle;
use super::side::Side;
use noescrow::ChunkSize;

/// How the copy of a message is changed in transit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tampering {
    /// Flips a bit of the byte at `place`: bit `bit % 8`.
    Flip {
        /// The bit.
        bit: u8,
    },
    /// Cuts the message off at `place`.
    Truncate,
    /// Appends `place % 64 + 1` bytes.
    Extend,
    /// Replaces the first byte by a different one.
    ReplaceType,
}

/// The index that a number picks among `len` items, modulo `len`: from the front below 2^15, from the back from 2^15
/// on. So the edges are the likeliest, and no number is out of range.
#[must_use]
pub const fn pick(number: u16, len: usize) -> Option<usize> {
    let last = match len.checked_sub(1) {
        Some(last) => last,
        None => return None,
    };
    match (((number & !FROM_BACK) as usize).checked_rem(len), number & FROM_BACK) {
        (Some(at), 0) => Some(at),
        (Some(at), _) => last.checked_sub(at),
        (None, _) => None,
    }
}

/// The bit of [`pick`] that counts from the back. Alone, it means the last item.
pub const FROM_BACK: u16 = 0x8000;

/// What happens next. Numbers are taken modulo the number of existing items; if there are none, nothing happens.
///
/// `at` picks among the messages in transit to one side, in the order in which they were sent unless that was changed.
/// `message` picks among all messages ever sent to that side, delivered and lost ones included. Such an event works on
/// a copy; the original stays where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// Encrypts a message of `length` random bytes, modulo [`MAX_LENGTH`](super::MAX_LENGTH) + 1.
    Send {
        /// The sender.
        from: Side,
        /// Length in bytes.
        length: u16,
        /// The number of one of the 16 associated data.
        associated_data: u8,
    },
    /// Encrypts `count` short messages, modulo [`MAX_BURST`](super::MAX_BURST) + 1.
    Burst {
        /// The sender.
        from: Side,
        /// The number of messages.
        count: u16,
    },
    /// Delivers one message.
    Deliver {
        /// The recipient.
        to: Side,
        /// Which message.
        at: u16,
    },
    /// Delivers all messages in transit, in order.
    DeliverAll {
        /// The recipient.
        to: Side,
    },
    /// Loses messages: `count % 256 + 1` from `at` on.
    Drop {
        /// The recipient.
        to: Side,
        /// The first message.
        at: u16,
        /// The number of messages.
        count: u8,
    },
    /// Puts a second copy in transit, after all others.
    Duplicate {
        /// The recipient.
        to: Side,
        /// Which message.
        at: u16,
    },
    /// Moves a message to another place in the queue.
    Reorder {
        /// The recipient.
        to: Side,
        /// Which message.
        at: u16,
        /// The new place.
        place: u16,
    },
    /// Delivers a changed copy.
    Tamper {
        /// The recipient.
        to: Side,
        /// Which message.
        message: u16,
        /// Which byte of it.
        place: u16,
        /// The change.
        tampering: Tampering,
    },
    /// Delivers the head of one message with the body of another.
    Splice {
        /// The recipient.
        to: Side,
        /// The message that gives the head.
        message: u16,
        /// The message that gives the body.
        body: u16,
    },
    /// Delivers a message that was already opened.
    Replay {
        /// The recipient.
        to: Side,
        /// Which of the opened messages.
        message: u16,
    },
    /// Delivers a copy to its own sender.
    Reflect {
        /// The sender.
        to: Side,
        /// Which message.
        message: u16,
    },
    /// Delivers a message of another session of the same two devices, first here and then there, where it opens.
    CrossSession {
        /// The recipient.
        to: Side,
    },
    /// Opens a copy with associated data other than those it was sealed with.
    WrongAssociatedData {
        /// The recipient.
        to: Side,
        /// Which message.
        message: u16,
        /// The distance between the two numbers of associated data.
        by: u8,
    },
    /// Delivers `length % 4096` random bytes. `kind` says how they begin: as a first message, as a later one, or at
    /// random.
    Noise {
        /// The recipient.
        to: Side,
        /// Length in bytes.
        length: u16,
        /// The kind of beginning.
        kind: u8,
    },
    /// Saves a session under the next generation.
    Snapshot {
        /// The session's side.
        side: Side,
    },
    /// Saves a session under the next generation, and replaces it by what was saved.
    Restore {
        /// The session's side.
        side: Side,
    },
    /// Tries to restore an older generation in place of the newest.
    Rollback {
        /// The session's side.
        side: Side,
        /// The age of the generation.
        age: u16,
    },
    /// Flips a bit of the newest snapshot.
    Damage {
        /// The session's side.
        side: Side,
        /// Which byte.
        place: u16,
    },
    /// Saves a session, encrypts a message, and crashes before the message leaves; the session restarts from what was
    /// saved.
    Crash {
        /// The session's side.
        side: Side,
    },
    /// A device makes one-time prekeys and uploads them with its identity and its signed prekey.
    Publish {
        /// The device's side.
        side: Side,
        /// The number of one-time prekeys, modulo 3, and at most as many as the device has room for.
        count: u8,
    },
    /// A device replaces its signed prekey, keeps the previous one, and uploads the new one.
    Rotate {
        /// The device's side.
        side: Side,
    },
    /// A device deletes the signed prekey that the last rotation replaced.
    DeletePrevious {
        /// The device's side.
        side: Side,
    },
    /// A device requests the other device's bundle. The relay decides what it serves.
    Fetch {
        /// The requesting side.
        by: Side,
        /// What the relay serves.
        served: ServedBundle,
        /// The number of a point of low order, for the bundles that have one.
        point: u8,
    },
    /// A device begins a session with the bundle that it has accepted. If the first message is sealed to the relay's
    /// own identity, the relay reads it, answers it, and forwards its text under that identity.
    Initiate {
        /// The initiator.
        from: Side,
        /// Whether all prekeys have expired.
        too_late: bool,
    },
    /// Delivers a first message, for the first time or again. If it gives a session, that is tried in both directions.
    Arrive {
        /// The recipient.
        to: Side,
        /// Which of all first messages ever sent to the recipient.
        message: u16,
        /// The number of a point of low order that replaces the ephemeral key.
        low_order: Option<u8>,
    },
    /// Delivers a message of one conversation in another conversation of the same device, and then where it belongs.
    Mix {
        /// The recipient.
        to: Side,
        /// The conversation that the message belongs to.
        message: u16,
        /// The conversation in which it is delivered first.
        into: u16,
    },
}

impl Event {
    /// Length of an encoded event: kind, side (bit 0) and small number (the other bits), two numbers.
    pub const LEN: usize = 6;
    /// The number of kinds of events.
    pub const KINDS: u8 = 26;

    /// Reads an event; every value of every byte is valid.
    #[must_use]
    pub const fn decode(bytes: [u8; Self::LEN]) -> Self {
        let [kind, small, a1, a0, b1, b0] = bytes;
        let side = if small & 1 == 0 { Side::Alice } else { Side::Bob };
        let (small, a, b) = (small >> 1, u16::from_be_bytes([a1, a0]), u16::from_be_bytes([b1, b0]));
        match kind % Self::KINDS {
            0 => Self::Send { from: side, length: a, associated_data: b0 },
            1 => Self::Burst { from: side, count: a },
            2 => Self::Deliver { to: side, at: a },
            3 => Self::DeliverAll { to: side },
            4 => Self::Drop { to: side, at: a, count: b0 },
            5 => Self::Duplicate { to: side, at: a },
            6 => Self::Reorder { to: side, at: a, place: b },
            7 => {
                let tampering = match small & 3 {
                    0 => Tampering::Flip { bit: small >> 2 },
                    1 => Tampering::Truncate,
                    2 => Tampering::Extend,
                    _ => Tampering::ReplaceType,
                };
                Self::Tamper { to: side, message: a, place: b, tampering }
            }
            8 => Self::Splice { to: side, message: a, body: b },
            9 => Self::Replay { to: side, message: a },
            10 => Self::Reflect { to: side, message: a },
            11 => Self::CrossSession { to: side },
            12 => Self::WrongAssociatedData { to: side, message: a, by: b0 },
            13 => Self::Noise { to: side, length: a, kind: b0 },
            14 => Self::Snapshot { side },
            15 => Self::Restore { side },
            16 => Self::Rollback { side, age: a },
            17 => Self::Damage { side, place: a },
            18 => Self::Crash { side },
            19 => Self::Publish { side, count: small % 3 },
            20 => Self::Rotate { side },
            21 => Self::DeletePrevious { side },
            22 => Self::Fetch { by: side, served: ServedBundle::decode(a1), point: a0 },
            23 => Self::Initiate { from: side, too_late: small & 3 == 3 },
            24 => Self::Arrive { to: side, message: a, low_order: if small & 3 == 3 { Some(b0) } else { None } },
            _ => Self::Mix { to: side, message: a, into: b },
        }
    }

    /// Writes an event so that [`decode`](Self::decode) gives it back, with the lowest five bits of a
    /// [`Tampering::Flip`].
    #[must_use]
    pub const fn encode(self) -> [u8; Self::LEN] {
        let (kind, side, small, a, b) = match self {
            Self::Send { from, length, associated_data } => (0, from, 0, length, associated_data as u16),
            Self::Burst { from, count } => (1, from, 0, count, 0),
            Self::Deliver { to, at } => (2, to, 0, at, 0),
            Self::DeliverAll { to } => (3, to, 0, 0, 0),
            Self::Drop { to, at, count } => (4, to, 0, at, count as u16),
            Self::Duplicate { to, at } => (5, to, 0, at, 0),
            Self::Reorder { to, at, place } => (6, to, 0, at, place),
            Self::Tamper { to, message, place, tampering } => {
                let small = match tampering {
                    Tampering::Flip { bit } => (bit & 31) << 2,
                    Tampering::Truncate => 1,
                    Tampering::Extend => 2,
                    Tampering::ReplaceType => 3,
                };
                (7, to, small, message, place)
            }
            Self::Splice { to, message, body } => (8, to, 0, message, body),
            Self::Replay { to, message } => (9, to, 0, message, 0),
            Self::Reflect { to, message } => (10, to, 0, message, 0),
            Self::CrossSession { to } => (11, to, 0, 0, 0),
            Self::WrongAssociatedData { to, message, by } => (12, to, 0, message, by as u16),
            Self::Noise { to, length, kind } => (13, to, 0, length, kind as u16),
            Self::Snapshot { side } => (14, side, 0, 0, 0),
            Self::Restore { side } => (15, side, 0, 0, 0),
            Self::Rollback { side, age } => (16, side, 0, age, 0),
            Self::Damage { side, place } => (17, side, 0, place, 0),
            Self::Crash { side } => (18, side, 0, 0, 0),
            Self::Publish { side, count } => (19, side, count % 3, 0, 0),
            Self::Rotate { side } => (20, side, 0, 0, 0),
            Self::DeletePrevious { side } => (21, side, 0, 0, 0),
            Self::Fetch { by, served, point } => (22, by, 0, u16::from_be_bytes([served as u8, point]), 0),
            Self::Initiate { from, too_late } => (23, from, if too_late { 3 } else { 0 }, 0, 0),
            Self::Arrive { to, message, low_order: None } => (24, to, 0, message, 0),
            Self::Arrive { to, message, low_order: Some(point) } => (24, to, 3, message, point as u16),
            Self::Mix { to, message, into } => (25, to, 0, message, into),
        };
        let side: u8 = match side {
            Side::Alice => 0,
            Side::Bob => 1,
        };
        let ([a1, a0], [b1, b0]) = (a.to_be_bytes(), b.to_be_bytes());
        [kind, side | small << 1, a1, a0, b1, b0]
    }

    /// Reads a schedule. A partial event at the end is padded with zeros.
    pub fn decode_all(bytes: &[u8]) -> impl Iterator<Item = Self> {
        bytes.chunks(Self::LEN).map(|chunk| {
            let mut event = [0; Self::LEN];
            event.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
            Self::decode(event)
        })
    }
}

/// How the conversation begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Opening {
    /// Whether the bundle has a one-time prekey.
    pub one_time: bool,
    /// First messages that Alice sends before Bob accepts one, in addition to the first: modulo 16.
    pub burst: u8,
    /// Which of them reaches Bob first, chosen by [`pick`].
    pub accepted: u16,
    /// How many bytes of the post-quantum ratchet each message carries.
    pub chunk_size: ChunkSize,
}

impl Opening {
    /// Length of an encoded opening.
    pub const LEN: usize = 3;

    /// With a one-time prekey; the first message arrives first.
    pub const PLAIN: Self = Self { one_time: true, burst: 0, accepted: 0, chunk_size: ChunkSize::Bytes32 };

    /// Reads an opening; every value of every byte is valid.
    #[must_use]
    pub const fn decode(bytes: [u8; Self::LEN]) -> Self {
        let [first, a1, a0] = bytes;
        let chunk_size = match first >> 5 & 3 {
            0 => ChunkSize::Bytes32,
            1 => ChunkSize::Bytes64,
            2 => ChunkSize::Bytes128,
            _ => ChunkSize::Bytes256,
        };
        Self { one_time: first & 1 == 1, burst: first >> 1, accepted: u16::from_be_bytes([a1, a0]), chunk_size }
    }
}
