// SPDX-License-Identifier: MIT OR Apache-2.0
//! Arrays in binary formats whose integers have a length that depends on their value. Formats that write the length of
//! an array and then its bytes need no decoder.
//!
//! An array is found by its elements alone, so that a fragment of one is found as well.

use super::super::collected::Collected;
use super::super::encoding::Encoding;
use super::super::prefilter::{LANE, Prefilter};
use super::super::simd::level;
use super::super::sink::Sink;
use fearless_simd::prelude::*;
use fearless_simd::{dispatch, u8x64};

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

/// A format: the markers of its elements, and the element that some bytes begin with.
struct Format {
    markers: [u8; 2],
    place: Place,
    element: fn(&[u8]) -> Option<Element>,
    /// Other integers that the values are read as, besides those of the elements.
    other: Option<fn(u8) -> u8>,
}

/// Where the markers of a format are.
#[derive(Clone, Copy)]
enum Place {
    /// Before each element.
    Every,
    /// Before some elements.
    Some,
    /// After a byte with the top bit.
    AfterTop,
}

impl Place {
    /// Whether a lane with these markers and top bits may have part of an array.
    #[allow(clippy::arithmetic_side_effects, reason = "shifts by less than 64")]
    const fn may_be_array(self, markers: u64, tops: u64) -> bool {
        let markers = match self {
            Self::Every if (markers & (markers >> 2 | markers >> 3)).count_ones() < 2 => 0,
            Self::Every | Self::Some => markers,
            Self::AfterTop => markers & (tops << 1 | 1),
        };
        markers.count_ones() as usize >= MIN_MARKERS
    }
}

/// The markers of all formats; for a repeated field, the tags of the first three.
pub(crate) const MARKERS: [u8; 11] = [0x18, 0x38, 0xCC, 0xD0, b'K', b'I', 0x01, 0x08, 0x10, b'i', 0x04];

const fn format(markers: [u8; 2], place: Place, element: fn(&[u8]) -> Option<Element>) -> Format {
    Format { markers, place, element, other: None }
}

const FORMATS: [Format; 10] = [
    format([0x18, 0x38], Place::Some, cbor),
    format([0xCC, 0xD0], Place::Some, message_pack),
    format([b'K'; 2], Place::Every, pickle),
    format([b'I'; 2], Place::Every, v8),
    Format { other: Some(zigzag), ..format([0x01; 2], Place::AfterTop, packed) },
    format([0x08; 2], Place::Every, field::<0x08>),
    format([0x10; 2], Place::Every, field::<0x10>),
    format([0x18; 2], Place::Every, field::<0x18>),
    format([b'i'; 2], Place::Every, ruby),
    format([0x04; 2], Place::Every, amf),
];

const BSON: [Format; 1] = [format([0x10, 0x12], Place::Some, bson)];

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
const fn zigzag(value: u8) -> u8 {
    value >> 1 ^ (value & 1).wrapping_neg()
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
    dispatch!(level(), simd => simd.vectorize(
        #[inline(always)] || read_lanes(simd, sink, bytes, (lanes, before), formats, collected)
    ));
}

#[inline(always)]
fn read_lanes<S: Simd, const N: usize>(
    simd: S,
    sink: &mut impl Sink,
    bytes: &[u8],
    (lanes, before): (&[u32], usize),
    formats: &[Format; N],
    collected: &mut Collected,
) {
    let mut done = [0usize; N];
    for at in lanes.iter().map(|&at| at as usize) {
        let rest = bytes.get(at..).unwrap_or_default();
        let end = at.saturating_add(rest.len().min(LANE));
        let mut padded = [0; LANE];
        let lane = match rest.first_chunk::<LANE>() {
            Some(lane) => lane,
            None => {
                padded.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
                &padded
            }
        };
        let lane = u8x64::load_array_ref(simd, lane);
        let tops = lane.simd_ge(0x80).to_bitmask();
        for (format, done) in formats.iter().zip(&mut done) {
            let [one, other] = format.markers;
            let markers = lane.simd_eq(one) | lane.simd_eq(other);
            if format.place.may_be_array(markers.to_bitmask(), tops) {
                let from = at.saturating_sub(before).max(*done);
                *done = read_window(sink, bytes, from..end, format, collected).max(*done);
            }
        }
    }
}

/// Adds the arrays that begin in a window; returns its end, or the end of the last array if that is later.
fn read_window(
    sink: &mut impl Sink,
    bytes: &[u8],
    window: core::ops::Range<usize>,
    format: &Format,
    collected: &mut Collected,
) -> usize {
    let mut failed = Places::default();
    let mut from = window.start;
    while from < window.end {
        if failed.has(from.saturating_sub(window.start)) {
            from = from.saturating_add(1);
            continue;
        }
        let mut elements = failed;
        let run = run(bytes, from, format, |at| elements.add(at.saturating_sub(window.start)));
        if run.elements >= FRAGMENT && run.markers >= MIN_MARKERS {
            add(sink, bytes, from..run.end, format, collected);
            from = run.end;
        } else if run.is_unmarked {
            // A run that begins at an earlier element ends in the same row of elements.
            from = run.end.saturating_sub(MAX_UNMARKED).saturating_add(1).max(from.saturating_add(1));
        } else {
            // A run that begins at one of its elements has fewer.
            failed = elements;
            from = from.saturating_add(1);
        }
    }
    from
}

/// A set of places in a window.
#[derive(Clone, Copy, Default)]
struct Places([u64; (BEFORE_BSON + LANE) / 64]);

impl Places {
    #[allow(clippy::arithmetic_side_effects, reason = "a shift by less than 64")]
    const fn bit(at: usize) -> (usize, u64) {
        (at / 64, 1 << (at % 64))
    }

    fn has(&self, at: usize) -> bool {
        let (word, bit) = Self::bit(at);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }

    fn add(&mut self, at: usize) {
        let (word, bit) = Self::bit(at);
        if let Some(word) = self.0.get_mut(word) {
            *word |= bit;
        }
    }
}

/// The elements from one on.
struct Run {
    elements: usize,
    markers: usize,
    end: usize,
    /// Whether it ends since the last elements have no marker.
    is_unmarked: bool,
}

/// Reads the elements from `from` on, until none of the last [`MAX_UNMARKED`] has a marker. Calls `visit` with the place
/// of each.
#[inline]
fn run(bytes: &[u8], from: usize, format: &Format, mut visit: impl FnMut(usize)) -> Run {
    let mut run = Run { elements: 0, markers: 0, end: from, is_unmarked: false };
    let mut unmarked = 0usize;
    while let Some(element) = (format.element)(bytes.get(run.end..).unwrap_or_default()) {
        unmarked = if element.is_marked { 0 } else { unmarked.saturating_add(1) };
        if unmarked > MAX_UNMARKED {
            run.is_unmarked = true;
            break;
        }
        visit(run.end);
        run.elements = run.elements.saturating_add(1);
        run.markers = run.markers.saturating_add(usize::from(element.is_marked));
        run.end = run.end.saturating_add(element.len);
    }
    run
}

fn add(sink: &mut impl Sink, bytes: &[u8], range: core::ops::Range<usize>, format: &Format, collected: &mut Collected) {
    for read in [Some(core::convert::identity as fn(u8) -> u8), format.other].into_iter().flatten() {
        collected.begin(sink);
        let mut at = range.start;
        while at < range.end {
            let Some(element) = (format.element)(bytes.get(at..).unwrap_or_default()) else { break };
            collected.push(read(element.value), at);
            at = at.saturating_add(element.len);
        }
    }
}
