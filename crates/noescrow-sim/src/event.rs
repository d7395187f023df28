// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Event`]: the words of the language. Every byte string is a schedule, and every schedule is a byte string.

use super::served_bundle::ServedBundle;
use super::side::Side;
use noescrow::ChunkSize;

/// What is done to the copy of a message on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tampering {
    /// One bit of the byte at the place is flipped: bit `bit % 8`.
    Flip {
        /// Which.
        bit: u8,
    },
    /// The message ends at the place.
    Truncate,
    /// Bytes are added at the end: `place % 64 + 1`.
    Extend,
    /// The first byte becomes any other one.
    ReplaceType,
}

/// The place that a number picks among `len` things: from the front below 2^15, from the back from there on, modulo
/// `len`. So the edges are the likeliest, and no number is out of range.
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

/// The bit of [`pick`] that counts from the back: alone, it means the last.
pub const FROM_BACK: u16 = 0x8000;

/// What happens next. Numbers are taken modulo what exists; where nothing exists, nothing happens.
///
/// `at` picks among the messages under way to one side, in the order of their sending unless that was changed.
/// `message` picks among all messages ever sent to it, delivered and lost ones too: what is made of them are copies, and
/// the original stays where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// Encrypts a message of `length` random bytes, modulo [`MAX_LENGTH`](super::MAX_LENGTH) + 1.
    Send {
        /// Who.
        from: Side,
        /// Bytes.
        length: u16,
        /// Which of the 16 associated data.
        associated_data: u8,
    },
    /// Encrypts `count` short messages, modulo [`MAX_BURST`](super::MAX_BURST) + 1.
    Burst {
        /// Who.
        from: Side,
        /// How many.
        count: u16,
    },
    /// One message arrives.
    Deliver {
        /// At whom.
        to: Side,
        /// Which.
        at: u16,
    },
    /// All messages under way arrive, in order.
    DeliverAll {
        /// At whom.
        to: Side,
    },
    /// Messages get lost: `count % 256 + 1` from `at` on.
    Drop {
        /// Addressee.
        to: Side,
        /// The first.
        at: u16,
        /// How many.
        count: u8,
    },
    /// A second copy is under way, behind all others.
    Duplicate {
        /// Addressee.
        to: Side,
        /// Which.
        at: u16,
    },
    /// A message moves to another place.
    Reorder {
        /// Addressee.
        to: Side,
        /// Which.
        at: u16,
        /// To where.
        place: u16,
    },
    /// A changed copy arrives.
    Tamper {
        /// At whom.
        to: Side,
        /// Of which message.
        message: u16,
        /// Which byte of it.
        place: u16,
        /// The change.
        tampering: Tampering,
    },
    /// The head of one message with the body of another arrives.
    Splice {
        /// At whom.
        to: Side,
        /// Whose head.
        message: u16,
        /// Whose body.
        body: u16,
    },
    /// A message that was already opened arrives again.
    Replay {
        /// At whom.
        to: Side,
        /// Which of those opened.
        message: u16,
    },
    /// A copy arrives at its own sender.
    Reflect {
        /// The sender.
        to: Side,
        /// Which.
        message: u16,
    },
    /// A message of another session of the same two devices arrives, and opens there.
    CrossSession {
        /// At whom.
        to: Side,
    },
    /// A copy is opened with other associated data than it was sealed with.
    WrongAssociatedData {
        /// By whom.
        to: Side,
        /// Which.
        message: u16,
        /// How far off.
        by: u8,
    },
    /// Random bytes arrive, of `length % 4096`; `kind` says how they begin: as a first message, as a later one, or
    /// anyhow.
    Noise {
        /// At whom.
        to: Side,
        /// Bytes.
        length: u16,
        /// The beginning.
        kind: u8,
    },
    /// A session is saved under the next generation.
    Snapshot {
        /// Whose.
        side: Side,
    },
    /// A session is saved under the next generation and goes on from what was saved.
    Restore {
        /// Whose.
        side: Side,
    },
    /// An older generation is put in the place of the newest.
    Rollback {
        /// Whose.
        side: Side,
        /// How old.
        age: u16,
    },
    /// A bit of the newest snapshot is flipped.
    Damage {
        /// Whose.
        side: Side,
        /// Where.
        place: u16,
    },
    /// A session is saved, encrypts a message, and dies before the message leaves: it goes on from what was saved.
    Crash {
        /// Whose.
        side: Side,
    },
    /// A device makes one-time prekeys and uploads them with its identity and its signed prekey.
    Publish {
        /// Which.
        side: Side,
        /// How many, modulo 3, and no more than it has room for.
        count: u8,
    },
    /// A device replaces its signed prekey, keeps the one before, and uploads the new one.
    Rotate {
        /// Which.
        side: Side,
    },
    /// A device deletes the signed prekey before the last rotation.
    DeletePrevious {
        /// Which.
        side: Side,
    },
    /// A device asks for the other's bundle, and gets what the relay makes of it.
    Fetch {
        /// Who asks.
        by: Side,
        /// What it gets.
        served: ServedBundle,
        /// Which point of low order, where it has one.
        point: u8,
    },
    /// A device begins a session with the bundle that it has taken; one that was sealed to the relay's own identity the
    /// relay reads, answers, and passes on under that identity.
    Initiate {
        /// Who.
        from: Side,
        /// When all prekeys have expired.
        too_late: bool,
    },
    /// A first message of a handshake arrives, for the first time or again; a session that comes of it is tried both ways.
    Arrive {
        /// At whom.
        to: Side,
        /// Which of all that were ever sent to it.
        message: u16,
        /// With a point of low order for its ephemeral key.
        low_order: Option<u8>,
    },
    /// A message of one conversation arrives in another of the same device, and then where it belongs.
    Mix {
        /// At whom.
        to: Side,
        /// Of which of its conversations.
        message: u16,
        /// In which.
        into: u16,
    },
}

impl Event {
    /// Bytes of an event: kind, side (bit 0) and small number (the rest), two numbers.
    pub const LEN: usize = 6;
    /// Kinds of events.
    pub const KINDS: u8 = 26;

    /// Reads an event; every value of every byte means something.
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

    /// Writes an event so that [`decode`](Self::decode) gives it back; of [`Tampering::Flip`] the lowest five bits of `bit`.
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

    /// The schedule that `bytes` are; a piece of an event at the end is filled up with zeros.
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
    /// First messages that Alice sends before Bob accepts one, beside the first: modulo 16.
    pub burst: u8,
    /// Which of them reaches Bob first, as [`pick`] picks.
    pub accepted: u16,
    /// How much of the post-quantum ratchet rides on each message.
    pub chunk_size: ChunkSize,
}

impl Opening {
    /// Bytes of an opening.
    pub const LEN: usize = 3;

    /// With a one-time prekey, and the first message arrives first.
    pub const PLAIN: Self = Self { one_time: true, burst: 0, accepted: 0, chunk_size: ChunkSize::Bytes32 };

    /// Reads an opening; every value of every byte means something.
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
