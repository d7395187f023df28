// SPDX-License-Identifier: MIT OR Apache-2.0
//! Arrays in binary formats whose integers have a length that depends on their value. Formats that write the length of
//! an array and then its bytes need no decoder.
//!
//! An array is found by its elements alone, so that a fragment of one is found as well.

use super::super::collected::Collected;
use super::super::encoding::Encoding;
use super::super::prefilter::{LANE, Prefilter};
use super::super::sink::Sink;

/// Elements of a fragment.
const FRAGMENT: usize = 16;
/// Bytes before a lane in which an array may begin that has not enough markers there: two lanes.
const BEFORE: usize = 128;
/// The same for BSON: a lane is between two of its elements of 12 bytes, and a fragment has 16.
const BEFORE_BSON: usize = 192;
/// Elements in a row without a marker: they are found as they are. Of random bytes, 32 in a row have none in MessagePack
/// with probability 2^-21 if they are signed.
const MAX_UNMARKED: usize = 32;
/// Markers of a format in a lane with part of an array.
const MIN_MARKERS: usize = 3;

/// The value of an element, its length, and whether it has a marker.
struct Element {
    value: u8,
    len: usize,
    is_marked: bool,
}

const fn marked(value: u8, len: usize) -> Option<Element> {
    Some(Element { value, len, is_marked: true })
}

const fn plain(value: u8) -> Option<Element> {
    Some(Element { value, len: 1, is_marked: false })
}

/// A format: a marker of its elements, and the element that some bytes begin with.
struct Format {
    marker: u8,
    element: fn(&[u8]) -> Option<Element>,
}

/// The markers of all formats; for a repeated field, the tags of the first three.
pub(crate) const MARKERS: [u8; 11] = [0x18, 0x38, 0xCC, 0xD0, b'K', b'I', 0x01, 0x08, 0x10, b'i', 0x04];

const FORMATS: [Format; 13] = [
    Format { marker: 0x18, element: cbor },
    Format { marker: 0x38, element: cbor },
    Format { marker: 0xCC, element: message_pack },
    Format { marker: 0xD0, element: message_pack },
    Format { marker: b'K', element: pickle },
    Format { marker: b'I', element: v8 },
    Format { marker: 0x01, element: packed },
    Format { marker: 0x01, element: zigzag },
    Format { marker: 0x08, element: field::<0x08> },
    Format { marker: 0x10, element: field::<0x10> },
    Format { marker: 0x18, element: field::<0x18> },
    Format { marker: b'i', element: ruby },
    Format { marker: 0x04, element: amf },
];

const BSON: [Format; 2] = [Format { marker: 0x10, element: bson }, Format { marker: 0x12, element: bson }];

/// RFC 8949, 3.1: unsigned and negative integers.
fn cbor(bytes: &[u8]) -> Option<Element> {
    match *bytes {
        [value @ 0..=0x17, ..] => plain(value),
        [0x18, value, ..] => marked(value, 2),
        [value @ 0x20..=0x37, ..] => plain(!(value & 0x1F)),
        [0x38, value @ 0..=0x7F, ..] => marked(!value, 2),
        _ => None,
    }
}

/// The MessagePack specification: positive and negative fixint, uint 8, int 8.
fn message_pack(bytes: &[u8]) -> Option<Element> {
    match *bytes {
        [value @ (0..=0x7F | 0xE0..=0xFF), ..] => plain(value),
        [0xCC | 0xD0, value, ..] => marked(value, 2),
        _ => None,
    }
}

/// Python's `pickletools`: BININT1.
fn pickle(bytes: &[u8]) -> Option<Element> {
    match *bytes {
        [b'K', value, ..] => marked(value, 2),
        _ => None,
    }
}

/// The structured clone of V8 (`value-serializer.cc`): a varint of the integer in zigzag.
fn v8(bytes: &[u8]) -> Option<Element> {
    match *bytes {
        [b'I', value @ 0..=0x7F, ..] => marked(value >> 1, 2),
        [b'I', low, high @ 1..=3, ..] => marked(high << 6 | (low & 0x7F) >> 1, 3),
        _ => None,
    }
}

/// Packed varints of Protocol Buffers.
fn packed(bytes: &[u8]) -> Option<Element> {
    match *bytes {
        [value @ 0..=0x7F, ..] => plain(value),
        [value, 0x01, ..] if value >= 0x80 => marked(value, 2),
        _ => None,
    }
}

/// The same of type `sint32`, which interleaves positive and negative numbers.
fn zigzag(bytes: &[u8]) -> Option<Element> {
    packed(bytes).map(|element| Element { value: element.value >> 1 ^ (element.value & 1).wrapping_neg(), ..element })
}

/// A repeated field of Protocol Buffers that is not packed, with this tag.
fn field<const TAG: u8>(bytes: &[u8]) -> Option<Element> {
    let (tag, varint) = bytes.split_first()?;
    let Element { value, len, .. } = packed(varint).filter(|_| *tag == TAG)?;
    marked(value, len.saturating_add(1))
}

/// Ruby's `doc/marshal.rdoc`: fixnums.
fn ruby(bytes: &[u8]) -> Option<Element> {
    match *bytes {
        [b'i', 0, ..] => marked(0, 2),
        [b'i', 1, value, ..] => marked(value, 3),
        [b'i', value @ 6..=0xFA, ..] => {
            marked(if value < 0x80 { value.wrapping_sub(5) } else { value.wrapping_add(5) }, 2)
        }
        [b'i', 0xFF, value, ..] => marked(value, 3),
        _ => None,
    }
}

/// AMF 3: integers of type U29.
fn amf(bytes: &[u8]) -> Option<Element> {
    match *bytes {
        [0x04, value @ 0..=0x7F, ..] => marked(value, 2),
        [0x04, 0x81, value @ 0..=0x7F, ..] => marked(value | 0x80, 3),
        _ => None,
    }
}

/// Integers of 32 and 64 bits in an array of BSON, whose keys are the indices (bsonspec.org).
fn bson(bytes: &[u8]) -> Option<Element> {
    let [kind @ (0x10 | 0x12), ref rest @ ..] = *bytes else { return None };
    let digits = rest.iter().take(5).take_while(|byte| byte.is_ascii_digit()).count();
    let [0, ref value @ ..] = *rest.get(digits..).filter(|_| digits > 0)? else { return None };
    let (&byte, upper) = value.get(..if kind == 0x10 { 4 } else { 8 })?.split_first()?;
    let sign = if byte < 0x80 { 0 } else { 0xFF };
    let is_byte = upper.iter().all(|&byte| byte == 0) || upper.iter().all(|&byte| byte == sign);
    marked(byte, digits.saturating_add(upper.len()).saturating_add(3)).filter(|_| is_byte)
}

/// Finds and decodes the arrays in `bytes`.
pub(super) fn decode(sink: &mut impl Sink, bytes: &[u8], prefilter: &Prefilter) {
    let mut collected = Collected::shallow(Encoding::BinaryArray);
    decode_lanes(sink, bytes, (&prefilter.arrays, BEFORE), &FORMATS, &mut collected);
    decode_lanes(sink, bytes, (&prefilter.strided, BEFORE_BSON), &BSON, &mut collected);
    collected.flush(sink);
}

/// Decodes the arrays in these formats that have elements in these lanes, and begin at most `before` bytes before one.
fn decode_lanes<const N: usize>(
    sink: &mut impl Sink,
    bytes: &[u8],
    (lanes, before): (&[u32], usize),
    formats: &[Format; N],
    collected: &mut Collected,
) {
    let mut done = [0usize; N];
    for at in lanes.iter().map(|&at| at as usize) {
        let end = at.saturating_add(LANE).min(bytes.len());
        let lane = bytes.get(at..end).unwrap_or_default();
        for (format, done) in formats.iter().zip(&mut done) {
            if lane.iter().filter(|&&byte| byte == format.marker).count() < MIN_MARKERS {
                continue;
            }
            let mut from = at.saturating_sub(before).max(*done);
            while from < end {
                let run = run(bytes, from, format);
                if run.elements >= FRAGMENT && run.markers >= MIN_MARKERS {
                    add(sink, bytes, from..run.end, format, collected);
                    from = run.end;
                } else {
                    from = from.saturating_add(1);
                }
            }
            *done = from;
        }
    }
}

/// The elements from one on.
struct Run {
    elements: usize,
    markers: usize,
    end: usize,
}

/// Reads the elements from `from` on, until none of the last [`MAX_UNMARKED`] has a marker.
fn run(bytes: &[u8], from: usize, format: &Format) -> Run {
    let mut run = Run { elements: 0, markers: 0, end: from };
    let mut unmarked = 0usize;
    while let Some(element) = (format.element)(bytes.get(run.end..).unwrap_or_default()) {
        unmarked = if element.is_marked { 0 } else { unmarked.saturating_add(1) };
        if unmarked > MAX_UNMARKED {
            break;
        }
        run.elements = run.elements.saturating_add(1);
        run.markers = run.markers.saturating_add(usize::from(element.is_marked));
        run.end = run.end.saturating_add(element.len);
    }
    run
}

fn add(sink: &mut impl Sink, bytes: &[u8], range: core::ops::Range<usize>, format: &Format, collected: &mut Collected) {
    collected.begin(sink);
    let mut at = range.start;
    while at < range.end {
        let Some(element) = (format.element)(bytes.get(at..).unwrap_or_default()) else { break };
        collected.push(element.value, at);
        at = at.saturating_add(element.len);
    }
}
