// SPDX-License-Identifier: MIT OR Apache-2.0
//! WebSocket (RFC 6455): the frames of one direction of a connection, or of both in one file.
//!
//! A client masks its frames, each with four bytes of its own; a message may be cut into frames; an extension deflates
//! messages (RFC 7692), usually with the window of the messages before. Each message is searched by itself, unless it
//! lies in the evidence as it is: in one frame, not masked and not deflated. The two modes of the extension need no
//! distinction: a message that was deflated without the window of those before does not refer to them. From the middle
//! of a connection on, zeros stand for the window that is not known, so that the rest of such a message is searched.

use super::super::containers::formats::may_be_deflate;
use super::super::encoding::Encoding;
use super::super::sink::ConnectionSink;
use super::deflate::{Inflated, Inflater};

/// The longest header of a frame (RFC 6455, 5.2): two bytes, a length of eight, a mask of four.
const MAX_HEADER: usize = 14;
/// The longest payload of a control frame (RFC 6455, 5.5).
const MAX_CONTROL: u64 = 125;
/// The longest payload of a frame that is taken for one: servers refuse far shorter ones.
const MAX_PAYLOAD: u64 = 1 << 31;
/// The opcode of a frame that closes the connection (RFC 6455, 11.8).
const CLOSE: u8 = 8;
/// What a sender removes from the end of a deflated message (RFC 7692, 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xFF, 0xFF];
/// Frames that follow one another, from which on it is not by chance: a byte pair in 34 is the beginning of a header.
/// Only those count that repeated bytes do not form: with a payload, and with another mask than the one before, or
/// without a mask with another opcode or length. Zeros
/// are empty frames, and `88` ×14 is a frame with a mask, as it is after them.
const CERTAIN_FRAMES: u32 = 6;

/// A connection, from a handshake or from somewhere in its middle.
pub(super) struct WebSocket<V> {
    has_handshake: bool,
    /// What has been read of a frame's header, and the offset of its first byte.
    header: Vec<u8>,
    header_at: u64,
    frame: Option<Frame>,
    /// Frames that repeated bytes do not form.
    frames: u32,
    last_mask: Option<[u8; 4]>,
    /// The opcode and the length of the last frame.
    last_kind: (u8, u64),
    is_closed: bool,
    /// A message cannot be inflated, and nothing else shows that there is a connection.
    is_random: bool,
    /// A message refers to what is not known.
    is_unknown: bool,
    /// Of the frames without a mask, and of those with one.
    sides: [Side<V>; 2],
    /// The payload of a control frame, which may come between the frames of a message.
    control: Option<V>,
    /// The first deflated message.
    deflated_at: Option<u64>,
    is_reported: bool,
}

#[derive(Clone, Copy)]
struct Frame {
    is_last: bool,
    is_deflated: bool,
    opcode: u8,
    mask: Option<[u8; 4]>,
    /// Bytes of the payload that are still to come, and bytes of it that were read.
    left: u64,
    read: u64,
}

/// One sender's messages.
struct Side<V> {
    message: Option<Message<V>>,
    inflater: Option<Inflater>,
}

struct Message<V> {
    /// `None` if it lies in the evidence as it is.
    value: Option<V>,
    is_deflated: bool,
    is_broken: bool,
}

enum Header {
    Incomplete,
    Invalid,
    Frame(Frame),
}

/// Whether these bytes may begin a frame that hides its content, or a client's control frame.
pub(super) fn may_begin(bytes: &[u8]) -> bool {
    match header(bytes) {
        Header::Frame(frame) => {
            frame.opcode != 0 && (frame.mask.is_some() || frame.is_deflated || !frame.is_last) && frame.left > 0
        }
        Header::Incomplete | Header::Invalid => false,
    }
}

/// Whether some bytes of which there are no more begin with such a frame, and another may follow it, or the bytes end with
/// it or in it. Of long random runs, one in a thousand does.
pub(super) fn is_first_of(bytes: &[u8]) -> bool {
    let Header::Frame(frame) = header(bytes) else { return false };
    let len_bytes = match bytes.get(1).map_or(0, |second| second & 0x7F) {
        126 => 2,
        127 => 8,
        _ => 0usize,
    };
    let header_len = len_bytes.saturating_add(if frame.mask.is_some() { 6 } else { 2 });
    let end = usize::try_from(frame.left).unwrap_or(usize::MAX).saturating_add(header_len);
    let rest = bytes.get(end..).unwrap_or_default();
    may_begin(bytes) && !matches!(header(rest), Header::Invalid)
}

fn header(bytes: &[u8]) -> Header {
    let &[first, second, ref rest @ ..] = bytes else { return Header::Incomplete };
    let (is_last, reserved, opcode) = (first & 0x80 != 0, first >> 4 & 7, first & 15);
    // The first reserved bit is of a deflated message, and set in its first frame only.
    let is_valid = match opcode {
        0 => reserved == 0,
        1 | 2 => reserved & 3 == 0,
        8..=10 => reserved == 0 && is_last,
        _ => false,
    };
    if !is_valid {
        return Header::Invalid;
    }
    let (left, rest) = match second & 0x7F {
        126 => match rest.split_first_chunk() {
            Some((len, rest)) => (u64::from(u16::from_be_bytes(*len)), rest),
            None => return Header::Incomplete,
        },
        127 => match rest.split_first_chunk() {
            Some((len, rest)) => (u64::from_be_bytes(*len), rest),
            None => return Header::Incomplete,
        },
        len => (u64::from(len), rest),
    };
    // A length is written in as few bytes as it needs.
    let is_shortest = match second & 0x7F {
        126 => left > 125,
        127 => left > u64::from(u16::MAX) && left <= MAX_PAYLOAD,
        _ => true,
    };
    if !is_shortest || (opcode >= 8 && left > MAX_CONTROL) {
        return Header::Invalid;
    }
    let mask = match (second & 0x80 != 0, rest.first_chunk()) {
        (false, _) => None,
        (true, Some(mask)) => Some(*mask),
        (true, None) => return Header::Incomplete,
    };
    Header::Frame(Frame { is_last, is_deflated: reserved == 4, opcode, mask, left, read: 0 })
}

impl<V> WebSocket<V> {
    pub(super) fn new(at: u64, has_handshake: bool) -> Self {
        let side = || Side { message: None, inflater: None };
        Self {
            has_handshake,
            header: Vec::new(),
            header_at: at,
            frame: None,
            frames: 0,
            last_mask: None,
            last_kind: (0, 0),
            is_closed: false,
            is_random: false,
            is_unknown: false,
            sides: [side(), side()],
            control: None,
            deflated_at: None,
            is_reported: false,
        }
    }

    /// Whether these are frames, and not bytes that look like one by chance.
    pub(super) const fn is_certain(&self) -> bool {
        !self.is_random && (self.frames >= CERTAIN_FRAMES || self.has_handshake && self.frames > 0)
    }

    /// Takes bytes from the offset `at` on. Returns whether frames may follow.
    pub(super) fn feed<S: ConnectionSink<Value = V>>(&mut self, sink: &mut S, mut bytes: &[u8], mut at: u64) -> bool {
        loop {
            if let Some(frame) = self.frame {
                let now = usize::try_from(frame.left).unwrap_or(usize::MAX).min(bytes.len());
                let (payload, rest) = bytes.split_at_checked(now).unwrap_or((bytes, &[]));
                self.payload(sink, frame, payload);
                (bytes, at) = (rest, at.saturating_add(now as u64));
                if self.is_random || self.frame.is_some() {
                    return !self.is_random;
                }
                continue;
            }
            let Some((&byte, rest)) = bytes.split_first() else { return true };
            if self.header.is_empty() {
                self.header_at = at;
            }
            (bytes, at) = (rest, at.saturating_add(1));
            self.header.push(byte);
            match header(&self.header) {
                Header::Incomplete if self.header.len() < MAX_HEADER => {}
                Header::Incomplete | Header::Invalid => return self.fail(sink),
                Header::Frame(frame) => {
                    self.header.clear();
                    if self.begin(sink, frame).is_none() {
                        return self.fail(sink);
                    }
                }
            }
        }
    }

    /// What follows is no frame. Returns that none may follow. A connection ends with a frame that closes it, or, in a
    /// log, with text.
    fn fail<S: ConnectionSink<Value = V>>(&mut self, sink: &mut S) -> bool {
        let is_text = self.header.first().is_some_and(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace());
        if self.has_handshake && self.frames >= CERTAIN_FRAMES && !self.is_closed && !is_text {
            sink.omit(self.header_at, "a connection of WebSocket after a frame that is none");
        }
        false
    }

    /// Begins a frame. `None` if it cannot follow those before.
    fn begin<S: ConnectionSink<Value = V>>(&mut self, sink: &mut S, frame: Frame) -> Option<()> {
        let number = usize::from(frame.mask.is_some());
        let (is_continued, is_open) = (frame.opcode == 0, self.sides.get(number)?.message.is_some());
        if frame.opcode < 8 && is_continued != is_open {
            return None;
        }
        // Tables of numbers repeat a header without a mask.
        let kind = (frame.opcode, frame.left);
        let is_new = frame.mask.map_or(kind != self.last_kind, |mask| Some(mask) != self.last_mask);
        self.frames = self.frames.saturating_add(u32::from(frame.left > 0 && is_new));
        (self.last_kind, self.last_mask) = (kind, frame.mask.or(self.last_mask));
        self.is_closed |= frame.opcode == CLOSE;
        self.frame = Some(frame);
        let is_hidden = frame.mask.is_some() || frame.is_deflated || !frame.is_last;
        let is_certain = self.is_certain();
        let value = (is_hidden && !is_continued).then(|| sink.open(Encoding::WebSocket, self.header_at, is_certain));
        let value = value.flatten();
        if frame.opcode >= 8 {
            self.control = value;
        } else if !is_continued {
            self.sides.get_mut(number)?.message =
                Some(Message { value, is_deflated: frame.is_deflated, is_broken: false });
            if frame.is_deflated {
                self.deflated_at.get_or_insert(self.header_at);
            }
        }
        Some(())
    }

    /// Takes bytes of a frame's payload, and ends the frame after its last.
    fn payload<S: ConnectionSink<Value = V>>(&mut self, sink: &mut S, mut frame: Frame, payload: &[u8]) {
        let mut unmasked = sink.pool().take_buffer();
        if let Some(mask) = frame.mask {
            let masks = mask.iter().cycle().skip((frame.read % 4) as usize);
            unmasked.extend(payload.iter().zip(masks).map(|(byte, mask)| byte ^ mask));
        }
        let content = if frame.mask.is_some() { unmasked.as_slice() } else { payload };
        if frame.opcode < 8 {
            self.content(sink, frame, content);
        } else if let Some(value) = &mut self.control {
            sink.push(value, content);
        }
        sink.pool().return_buffer(unmasked);
        frame.left = frame.left.saturating_sub(payload.len() as u64);
        frame.read = frame.read.saturating_add(payload.len() as u64);
        self.frame = Some(frame);
        if frame.left > 0 {
            return;
        }
        self.frame = None;
        if frame.opcode >= 8 {
            let is_certain = self.is_certain();
            if let Some(value) = self.control.take() {
                sink.close(value, is_certain);
            }
        } else if frame.is_last {
            self.end_message(sink, usize::from(frame.mask.is_some()));
        }
    }

    /// Takes content of a message; inflates it if it is deflated.
    fn content<S: ConnectionSink<Value = V>>(&mut self, sink: &mut S, frame: Frame, content: &[u8]) {
        let Some(side) = self.sides.get_mut(usize::from(frame.mask.is_some())) else { return };
        let Some(message) = &mut side.message else { return };
        let Some(value) = message.value.as_mut().filter(|_| !message.is_broken) else { return };
        if !message.is_deflated {
            sink.push(value, content);
            return;
        }
        let is_known = self.has_handshake;
        // Of random bytes, most are no deflate stream from the first block on.
        if !is_known && side.inflater.is_none() && !content.is_empty() && !may_be_deflate(content) {
            (message.is_broken, self.is_random) = (true, true);
            return;
        }
        let inflater = side.inflater.get_or_insert_with(|| Inflater::of_messages(sink.pool(), is_known));
        let inflated = inflater.inflate(sink, value, content);
        self.is_unknown |= inflater.is_unknown();
        match inflated {
            Inflated::Open | Inflated::Ended => {}
            // The next message may be whole: not all of them refer to those before.
            Inflated::Limited => message.is_broken = true,
            Inflated::Broken => {
                message.is_broken = true;
                if let Some(inflater) = side.inflater.take() {
                    inflater.end(sink.pool());
                }
                self.is_random |= !self.has_handshake && self.frames < CERTAIN_FRAMES;
                if self.is_certain() && !core::mem::replace(&mut self.is_reported, true) {
                    sink.omit(self.header_at, "a WebSocket message that cannot be decompressed");
                }
            }
        }
    }

    fn end_message<S: ConnectionSink<Value = V>>(&mut self, sink: &mut S, side: usize) {
        let is_certain = self.is_certain();
        let Some(side) = self.sides.get_mut(side) else { return };
        let Some(Message { value, is_deflated, is_broken }) = side.message.take() else { return };
        let Some(mut value) = value else { return };
        if let Some(inflater) = side.inflater.as_mut().filter(|_| is_deflated && !is_broken) {
            _ = inflater.inflate(sink, &mut value, &TAIL);
            self.is_unknown |= inflater.is_unknown();
        }
        sink.close(value, is_certain);
    }

    /// There are no more bytes. What the end of the evidence cuts was searched as far as it goes.
    pub(super) fn finish<S: ConnectionSink<Value = V>>(&mut self, sink: &mut S) {
        let is_certain = self.is_certain();
        for side in &mut self.sides {
            if let Some(value) = side.message.take().and_then(|message| message.value) {
                sink.close(value, is_certain);
            }
            if let Some(inflater) = side.inflater.take() {
                inflater.end(sink.pool());
            }
        }
        if let Some(value) = self.control.take() {
            sink.close(value, is_certain);
        }
        if let Some(at) = self.deflated_at.filter(|_| self.is_certain() && self.is_unknown && !self.is_reported) {
            sink.omit(at, "deflated WebSocket messages that refer to others before the beginning of the flow");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::pool::Pool;
    use super::*;
    use hex_literal::hex;

    /// Messages, each with the offset of its first frame.
    type Messages = Vec<(u64, Vec<u8>)>;

    /// The messages and the number of omissions.
    #[derive(Default)]
    struct Collected {
        pool: Pool,
        messages: Messages,
        omissions: u64,
    }

    impl ConnectionSink for Collected {
        type Value = (u64, Vec<u8>);

        fn wants_frames(&self) -> bool {
            true
        }

        fn pool(&mut self) -> &mut Pool {
            &mut self.pool
        }

        fn open(&mut self, _: Encoding, at: u64, _: bool) -> Option<Self::Value> {
            Some((at, Vec::new()))
        }

        fn push(&mut self, value: &mut Self::Value, content: &[u8]) -> bool {
            value.1.extend_from_slice(content);
            true
        }

        fn close(&mut self, value: Self::Value, _: bool) {
            self.messages.push(value);
        }

        fn omit(&mut self, _: u64, _: &str) {
            self.omissions += 1;
        }
    }

    fn read(bytes: &[u8], piece: usize) -> (Messages, bool) {
        read_from(bytes, piece, true)
    }

    fn read_from(bytes: &[u8], piece: usize, has_handshake: bool) -> (Messages, bool) {
        let (mut sink, mut connection) = (Collected::default(), WebSocket::new(0, has_handshake));
        let mut at = 0;
        let alive = bytes.chunks(piece).all(|piece| {
            let alive = connection.feed(&mut sink, piece, at);
            at += piece.len() as u64;
            alive
        });
        connection.finish(&mut sink);
        (sink.messages, alive)
    }

    /// RFC 6455, 5.7, and RFC 7692, 7.2.3; an unmasked frame is followed by what hides it.
    #[test]
    fn examples_of_the_rfcs_are_read_in_pieces_of_any_size() {
        let hello = |at| vec![(at, b"Hello".to_vec())];
        let examples: [(&[u8], Messages); 10] = [
            (&hex!("81 05 48 65 6c 6c 6f"), vec![]),
            (&hex!("81 85 37 fa 21 3d 7f 9f 4d 51 58"), hello(0)),
            (&hex!("01 03 48 65 6c 80 02 6c 6f"), hello(0)),
            (&hex!("89 05 48 65 6c 6c 6f 8a 85 37 fa 21 3d 7f 9f 4d 51 58"), hello(7)),
            (&hex!("c1 07 f2 48 cd c9 c9 07 00"), hello(0)),
            (&hex!("41 03 f2 48 cd 80 04 c9 c9 07 00"), hello(0)),
            (
                &hex!("c1 07 f2 48 cd c9 c9 07 00 c1 05 f2 00 11 00 00"),
                vec![(0, b"Hello".to_vec()), (9, b"Hello".to_vec())],
            ),
            (&hex!("c1 0b 00 05 00 fa ff 48 65 6c 6c 6f 00"), hello(0)),
            (&hex!("c1 08 f3 48 cd c9 c9 07 00 00"), hello(0)),
            (&hex!("c1 0d f2 48 05 00 00 00 ff ff ca c9 c9 07 00"), hello(0)),
        ];
        for (bytes, expected) in &examples {
            for piece in 1..=bytes.len() {
                assert_eq!(read(bytes, piece), (expected.clone(), true), "{bytes:02x?} in pieces of {piece}");
            }
        }
        // Without a handshake, a header may be the end of a piece as well.
        for bytes in [&hex!("c1 07 f2 48 cd c9 c9 07 00")[..], &hex!("41 03 f2 48 cd 80 04 c9 c9 07 00")] {
            for piece in 1..=bytes.len() {
                assert_eq!(read_from(bytes, piece, false), (hello(0), true), "{bytes:02x?} in pieces of {piece}");
            }
        }
        // A control frame between the frames of a message, and a message that was begun before.
        let between = hex!("01 83 37 fa 21 3d 7f 9f 4d 89 81 00 00 00 00 41 80 82 37 fa 21 3d 5b 95");
        assert_eq!(read(&between, 5).0, [(9, b"A".to_vec()), (0, b"Hello".to_vec())]);
        // Controls: a continuation of nothing, a reserved bit, a reserved opcode, a length in more bytes than it needs.
        for bad in [hex!("80 02 6c 6f"), hex!("91 02 6c 6f"), hex!("83 02 6c 6f"), hex!("82 fe 00 05")] {
            assert!(!read(&bad, 9).1, "{bad:02x?}");
        }
    }

    #[test]
    fn random_bytes_are_no_certain_frames_and_no_omissions() {
        use rand_chacha::rand_core::{Rng, SeedableRng};
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let (mut sink, mut begun, mut certain) = (Collected::default(), 0, 0);
        for _ in 0..200_000 {
            let mut bytes = [0; 400];
            rng.fill_bytes(&mut bytes);
            if may_begin(&bytes) {
                let mut connection = WebSocket::new(0, false);
                connection.feed(&mut sink, &bytes, 0);
                connection.finish(&mut sink);
                (begun, certain) = (begun + 1, certain + u32::from(connection.is_certain()));
            }
        }
        // One in 31 begins like a frame.
        assert!((6_000..7_000).contains(&begun), "{begun}");
        assert_eq!((certain, sink.omissions), (0, 0));
    }
}
