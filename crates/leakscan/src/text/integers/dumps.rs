// SPDX-License-Identifier: MIT OR Apache-2.0
//! Dumps of memory, as tools print them: `xxd`, `hexdump`, `od`, debuggers, captures of packets.
//!
//! Any layout is read in which each line has an address that counts up by the bytes of the line, in hexadecimal, octal
//! or decimal, and after it groups of so many bytes in one form. What follows them in a line is left out, as is what is
//! before the address. Whole lines are hexadecimal text, too; here a value continues from line to line.

use super::super::super::collected::Collected;
use super::super::super::decode::numerals;
use super::super::super::encoding::Encoding;
use super::super::super::sink::Sink;
use super::records;
use super::words::Token;

/// Bytes of a line. Fewer are counters; tools print 4 to 64.
const LINE: core::ops::RangeInclusive<u64> = 4..=64;
/// Numerals of a line before its address: a date and a time of a log, or the upper half of the address.
const MAX_BEFORE: usize = 10;
/// The shortest address after the first numeral of a line: counters and dates are shorter.
const MIN_ADDRESS: u8 = 4;

/// The form of the groups of bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Digits of this radix, always as many.
    Digits(u32, u8),
    /// Hexadecimal with a prefix.
    Prefixed,
    /// Octal with a zero before it, as C writes it.
    Octal,
    /// Decimal, signed or not, of any length.
    Decimal,
}

impl Form {
    /// The number that a word is in this form, and the index of its first character.
    fn read(self, bytes: &[u8], token: &Token, width: usize) -> Option<(u64, usize)> {
        let word = bytes.get(token.start()..token.end())?;
        let width = u32::try_from(width).ok()?;
        let before = |distance: usize| token.start().checked_sub(distance).and_then(|at| bytes.get(at));
        let is_signed = before(1) == Some(&b'-') && before(2).is_some_and(u8::is_ascii_whitespace);
        let number = match self {
            Self::Digits(radix, len) if token.len == len && !is_signed => {
                (numerals::digits(word, radix)?, token.start())
            }
            Self::Prefixed if word.starts_with(b"0x") => {
                let integer = numerals::hexadecimal(bytes, token.start(), token.len.into())?;
                (integer.magnitude, token.start())
            }
            Self::Octal if word.starts_with(b"0") => (numerals::digits(word, 8)?, token.start()),
            Self::Decimal if token.is_decimal() => {
                match numerals::decimal(bytes, token.start(), token.len.into(), token.digits.into()) {
                    numerals::Decimal::Integer(integer, at) if integer.fits(width) => {
                        let all =
                            u64::MAX.checked_shr(64u32.saturating_sub(width.saturating_mul(8))).unwrap_or_default();
                        (u64::from_le_bytes(integer.bytes()) & all, at)
                    }
                    _ => return None,
                }
            }
            _ => return None,
        };
        let fits = number.0.checked_shr(width.saturating_mul(8)).is_none_or(|rest| rest == 0);
        fits.then_some(number)
    }
}

/// The layout of a dump.
#[derive(Clone, Copy)]
struct Layout {
    /// Numerals of a line before the address.
    before: usize,
    /// The radix of the address.
    radix: u32,
    /// Bytes of a line.
    len: u64,
    form: Form,
    /// Bytes of a word.
    width: usize,
    /// Bytes of a group, of one word or two halves.
    group: usize,
}

/// The dumps that have not been handed on.
pub(super) struct Dumps {
    collected: Collected,
    /// The bytes of one dump, in the order of the digits, and the place of each.
    dump: Vec<(u8, usize)>,
}

impl Dumps {
    pub(super) const fn new() -> Self {
        Self { collected: Collected::new(Encoding::Dump), dump: Vec::new() }
    }

    pub(super) fn flush(&mut self, sink: &mut impl Sink) {
        self.collected.flush(sink);
    }

    /// Adds the dumps in a sequence of tokens.
    pub(super) fn add(&mut self, sink: &mut impl Sink, bytes: &[u8], tokens: &[Token]) {
        let mut lines = tokens.chunk_by(|_, next| !next.is_first).peekable();
        while let Some(line) = lines.next() {
            let Some(next) = lines.peek() else { break };
            self.dump.clear();
            if records::is_record(bytes, line) {
                records::add(bytes, line, &mut self.dump);
                while let Some(line) = lines.next_if(|line| records::is_record(bytes, line)) {
                    records::add(bytes, line, &mut self.dump);
                }
                self.emit(sink, 1);
                continue;
            }
            let Some((layout, mut address)) = layout(bytes, line, next, lines.clone().nth(1)) else { continue };
            groups(bytes, line, layout, &mut self.dump);
            address = address.saturating_add(layout.len);
            while let Some(line) = lines.next_if(|line| self::address(bytes, line, layout) == Some(address)) {
                groups(bytes, line, layout, &mut self.dump);
                address = address.saturating_add(layout.len);
            }
            self.emit(sink, layout.group);
        }
    }

    /// Adds the dump, as its digits are and with the bytes of each group in reverse order.
    fn emit(&mut self, sink: &mut impl Sink, group: usize) {
        self.collected.begin(sink);
        self.dump.iter().for_each(|&(byte, at)| self.collected.push(byte, at));
        if group > 1 {
            self.collected.begin(sink);
            for group in self.dump.chunks(group) {
                group.iter().rev().for_each(|&(byte, at)| self.collected.push(byte, at));
            }
        }
    }
}

/// The address that a word is.
fn address_in(bytes: &[u8], token: &Token, radix: u32) -> Option<u64> {
    let word = bytes.get(token.start()..token.end())?;
    match numerals::hexadecimal(bytes, token.start(), token.len.into()) {
        Some(integer) if radix == 16 => Some(integer.magnitude),
        _ => numerals::digits(word, radix),
    }
}

/// Whether the second of two words may be an address at most 64 bytes after the first: it is as long and differs only in
/// its last three digits, or in the digit to which they carry; or it is one digit longer.
fn may_follow(bytes: &[u8], token: &Token, next: &Token) -> bool {
    if token.len != next.len {
        return next.len == token.len.saturating_add(1);
    }
    let word = |token: &Token| bytes.get(token.start()..token.end()).unwrap_or_default();
    let mut pairs = word(token).iter().zip(word(next)).enumerate();
    pairs.find(|(_, (one, next))| one != next).is_some_and(|(at, (&one, &next))| {
        let is_successor = next == one.wrapping_add(1) || one == b'9' && matches!(next, b'a' | b'A');
        is_successor || at.saturating_add(3) >= usize::from(token.len)
    })
}

/// The address of a line.
fn address(bytes: &[u8], line: &[Token], layout: Layout) -> Option<u64> {
    address_in(bytes, line.get(layout.before)?, layout.radix)
}

/// The layout of the dump that a line begins, if it and the next one are lines of one; and the address of the line. If
/// the addresses may be in several radices, the line after those two decides.
fn layout(bytes: &[u8], line: &[Token], next: &[Token], third: Option<&[Token]>) -> Option<(Layout, u64)> {
    let mut found: Option<(Layout, u64, (bool, bool, u64))> = None;
    for (before, (token, next)) in line.iter().zip(next).take(MAX_BEFORE.saturating_add(1)).enumerate() {
        if before > 0 && token.len < MIN_ADDRESS || !may_follow(bytes, token, next) {
            continue;
        }
        for radix in [8, 16, 10] {
            let (Some(at), Some(following)) = (address_in(bytes, token, radix), address_in(bytes, next, radix)) else {
                continue;
            };
            let Some(len) = following.checked_sub(at).filter(|len| LINE.contains(len)) else { continue };
            let words = after_address(bytes, line, before);
            for form in forms(bytes, words) {
                let Some((width, group)) = width(bytes, words, form, len) else { continue };
                let layout = Layout { before, radix, len, form, width, group };
                let goes_on = third.and_then(|third| address(bytes, third, layout)) == following.checked_add(len);
                // Words of a fixed length leave no choice of their width; the more words, the more certain.
                let certainty =
                    (goes_on, matches!(form, Form::Digits(..)), len.checked_div(width as u64).unwrap_or_default());
                if found.is_none_or(|(_, _, other)| certainty > other) {
                    found = Some((layout, at, certainty));
                }
            }
        }
    }
    found.map(|(layout, at, _)| (layout, at))
}

/// The words after the address of a line, and after its offset from a symbol: `0x4028 <buffer+8>:`.
fn after_address<'a>(bytes: &[u8], line: &'a [Token], before: usize) -> &'a [Token] {
    let words = line.get(before.saturating_add(1)..).unwrap_or_default();
    let is_offset = |word: &Token| {
        let sign = word.start().checked_sub(1).and_then(|at| bytes.get(at));
        matches!(sign, Some(b'+' | b'<')) && bytes.get(word.end()) == Some(&b'>')
    };
    // A name of hexadecimal digits may be before it.
    let offset = words.iter().take(2).position(is_offset);
    words.get(offset.map_or(0, |at| at.saturating_add(1))..).unwrap_or_default()
}

/// The forms that the first of some words may have.
fn forms(bytes: &[u8], words: &[Token]) -> impl Iterator<Item = Form> {
    let word = words.first().copied().unwrap_or_default();
    let text = bytes.get(word.start()..word.end()).unwrap_or_default();
    let is_octal = word.is_decimal() && matches!(word.len, 3 | 6 | 11 | 22);
    [
        (is_octal, Form::Digits(8, word.len)),
        (word.is_decimal() && word.len == 8, Form::Digits(2, 8)),
        (word.is_hex() && word.len % 2 == 0, Form::Digits(16, word.len)),
        (word.is_decimal() && word.len == 5, Form::Digits(10, 5)),
        (text.starts_with(b"0x"), Form::Prefixed),
        (text.starts_with(b"0") && word.is_decimal(), Form::Octal),
        (word.is_decimal(), Form::Decimal),
    ]
    .into_iter()
    .filter_map(move |(may_be, form)| (may_be && word.len > 0).then_some(form))
}

/// The bytes of a word and of a group, if words of this form are the groups of a line of `len` bytes.
fn width(bytes: &[u8], words: &[Token], form: Form, len: u64) -> Option<(usize, usize)> {
    let first = words.first()?;
    let len = usize::try_from(len).ok()?;
    let digits = usize::from(first.len);
    let gap = |at: usize| match words.get(at.checked_sub(1)?..=at)? {
        [one, next] => bytes.get(one.end()..next.start()),
        _ => None,
    };
    // Words between which there are only blanks; the column of characters begins with another one.
    let is_blank = |at: &usize| gap(*at).is_some_and(|gap| gap.iter().all(|byte| b" \t-`".contains(byte)));
    let row = (1..words.len()).take_while(is_blank).count().saturating_add(1);
    let width = match form {
        Form::Digits(16, _) => digits / 2,
        Form::Digits(10, _) => 2,
        Form::Digits(8, 6) => 2,
        Form::Digits(8, 11) => 4,
        Form::Digits(8, 22) => 8,
        Form::Digits(..) => 1,
        _ => len.checked_div(row).filter(|width| width.checked_mul(row) == Some(len))?,
    };
    if !(1..=8).contains(&width) {
        return None;
    }
    let (whole, rest) = (len.checked_div(width)?, len.checked_rem(width)?);
    let count = whole.saturating_add(usize::from(rest > 0));
    let read = |word: &Token| form.read(bytes, word, width).map(|(value, _)| value);
    // The last group of a line may be shorter.
    let is_rest = |word: &Token| {
        matches!(form, Form::Digits(16, _)) && word.is_hex() && usize::from(word.len) == rest.saturating_mul(2)
    };
    if words.get(..whole)?.iter().any(|word| read(word).is_none()) || rest > 0 && !words.get(whole).is_some_and(is_rest)
    {
        return None;
    }
    if !matches!(form, Form::Digits(..)) {
        // Of numbers of any length, some need their width.
        let needs = |word: &Token| read(word).is_some_and(|value| value >> width.saturating_mul(4) != 0);
        if width > 1 && !words.get(..whole)?.iter().any(needs) {
            return None;
        }
    } else if count < row
        && words.get(count).is_some_and(|word| read(word).is_some())
        && gap(count)?.len() <= gap(1)?.len()
    {
        // The row continues.
        return None;
    }
    // A debugger prints integers of 64 bits in two halves.
    let is_half = bytes.get(first.end()) == Some(&b'`');
    Some((width, if is_half { width.saturating_mul(2) } else { width }))
}

/// Appends the bytes of a line, in the order of the digits; of the last line, there may be fewer.
fn groups(bytes: &[u8], line: &[Token], layout: Layout, dump: &mut Vec<(u8, usize)>) {
    let Layout { before, len, form, width, .. } = layout;
    let count = usize::try_from(len).unwrap_or_default().div_ceil(width);
    for word in after_address(bytes, line, before).iter().take(count) {
        let Some((value, at)) = form.read(bytes, word, width) else {
            let short = bytes.get(word.start()..word.end()).unwrap_or_default();
            if matches!(form, Form::Digits(16, len) if word.len < len) {
                let pairs = short.as_chunks::<2>().0.iter().enumerate();
                dump.extend(pairs.filter_map(|(index, pair)| {
                    let byte = u8::try_from(numerals::digits(pair, 16)?).ok()?;
                    Some((byte, word.start().saturating_add(index.saturating_mul(2))))
                }));
            }
            return;
        };
        let value = value.to_be_bytes();
        dump.extend(value.iter().skip(value.len().saturating_sub(width)).map(|&byte| (byte, at)));
    }
}
