// SPDX-License-Identifier: MIT OR Apache-2.0
//! Numerals that are read otherwise than a list: whole numbers in groups of three digits, numbers with an exponent, lists
//! with the characters beside the numbers (gdb), UUIDs in the byte order of Windows, the columns of `od -c`.

use super::super::super::collected::Collected;
use super::super::super::decode::numerals::{self, Integer};
use super::super::super::decode::radix;
use super::super::super::encoding::Encoding;
use super::super::super::sink::Sink;
use super::lists::Lists;
use super::words::{MAX_GAP, Token};
use core::ops::Range;

/// Groups of three digits after the first group of a number of 16 bytes.
const MIN_GROUPS: usize = 11;
/// The fewest numbers of a list that are looked at.
const MIN_NUMBERS: usize = 8;
/// The longest number with an exponent.
const MAX_EXPONENT: usize = 32;
/// Integers that a floating-point number of 64 bits has room for.
const MAX_INTEGER: f64 = 9_007_199_254_740_992.0;
/// Characters of a column of `od -c`.
const CELL: usize = 4;
/// The symbol of the digit zero: see [`radix`].
const ZERO: u8 = 52;

/// The readers, and what has not been handed on.
pub(super) struct Printed {
    whole: Collected,
    uuids: Collected,
    cells: Collected,
    tokens: Vec<Token>,
    limbs: Vec<u64>,
}

/// Which of these a sequence of tokens may hold.
#[derive(Default)]
struct Signs {
    groups: usize,
    exponents: usize,
    quoted: usize,
    uuids: bool,
    cells: bool,
}

impl Signs {
    fn of(bytes: &[u8], tokens: &[Token]) -> Self {
        let mut signs = Self::default();
        let mut groups = 0usize;
        for token in tokens {
            groups = if token.len == 3 && token.is_decimal() { groups.saturating_add(1) } else { 0 };
            signs.groups = signs.groups.max(groups);
            signs.uuids |= token.len == 12 && token.is_hex();
            signs.cells |= is_address(token);
            let is_quoted = token.len <= 3 && bytes.get(token.end()) == Some(&b'\'');
            signs.quoted = signs.quoted.saturating_add(is_quoted.into());
            let is_exponent = token.digits > 0 && !token.is_decimal() && {
                let after = bytes.get(token.start().saturating_add(token.digits.into()));
                matches!(after, Some(b'e' | b'E'))
            };
            signs.exponents = signs.exponents.saturating_add(is_exponent.into());
        }
        signs
    }
}

impl Printed {
    pub(super) const fn new() -> Self {
        Self {
            whole: Collected::new(Encoding::Decimal),
            uuids: Collected::new(Encoding::WideIntegers),
            cells: Collected::new(Encoding::Dump),
            tokens: Vec::new(),
            limbs: Vec::new(),
        }
    }

    pub(super) fn flush(&mut self, sink: &mut impl Sink) {
        for collected in [&mut self.whole, &mut self.uuids, &mut self.cells] {
            collected.flush(sink);
        }
    }

    /// Adds what is in a sequence of tokens; lists of numbers are added to `lists`.
    pub(super) fn add(&mut self, sink: &mut impl Sink, bytes: &[u8], tokens: &[Token], lists: &mut Lists) {
        let signs = Signs::of(bytes, tokens);
        if signs.groups >= MIN_GROUPS {
            self.add_whole(sink, bytes, tokens);
        }
        if signs.exponents >= MIN_NUMBERS {
            add_exponents(sink, bytes, tokens, lists);
        }
        if signs.quoted >= MIN_NUMBERS {
            self.tokens.clear();
            self.tokens.extend(tokens.iter().filter(|token| !is_quoted(bytes, token)));
            lists.add_list(sink, bytes, &self.tokens, MAX_GAP);
        }
        if signs.uuids {
            self.add_uuids(sink, bytes, tokens);
        }
        if signs.cells {
            self.add_cells(sink, bytes, tokens);
        }
    }

    /// Adds the whole numbers whose digits are in groups of three, with one separator between them.
    fn add_whole(&mut self, sink: &mut impl Sink, bytes: &[u8], tokens: &[Token]) {
        let separator = |one: &Token, next: &Token| match bytes.get(one.end()..next.start()) {
            Some(&[byte @ (b',' | b'.' | b'_' | b'\'' | b' ')]) if next.len == 3 && next.is_decimal() => Some(byte),
            _ => None,
        };
        let mut rest = tokens;
        while let Some((first, others)) = rest.split_first() {
            rest = others;
            if first.len > 3 || !first.is_decimal() {
                continue;
            }
            let Some(mark) = others.first().and_then(|next| separator(first, next)) else { continue };
            let pairs = others.iter().zip(others.iter().skip(1));
            let groups = pairs.take_while(|(one, next)| separator(one, next) == Some(mark)).count().saturating_add(1);
            rest = others.get(groups..).unwrap_or_default();
            if groups < MIN_GROUPS {
                continue;
            }
            let mut digits = Vec::new();
            for token in [first].into_iter().chain(others.iter().take(groups)) {
                let word = bytes.get(token.start()..token.end()).unwrap_or_default();
                digits.extend(word.iter().map(|digit| (digit & 0x0F).saturating_add(ZERO)));
            }
            let end = others.get(groups.saturating_sub(1)).map_or(first.end(), Token::end);
            let is_negative = first.start().checked_sub(1).and_then(|at| bytes.get(at)) == Some(&b'-');
            self.add_number(sink, &digits, first.start()..end, is_negative);
        }
    }

    fn add_number(&mut self, sink: &mut impl Sink, digits: &[u8], text: Range<usize>, is_negative: bool) {
        let mut number = Vec::new();
        let [alphabet] = &radix::DECIMAL;
        if !radix::decode(digits, alphabet, &mut self.limbs, &mut number) {
            return;
        }
        for is_negated in [false, true].into_iter().take(if is_negative { 2 } else { 1 }) {
            if is_negated {
                radix::negate(&mut number);
            }
            self.whole.begin(sink);
            let len = number.len().saturating_sub(radix::ZEROS);
            for (at, &byte) in number.iter().enumerate() {
                let at = at.saturating_sub(radix::ZEROS).saturating_mul(text.len()).checked_div(len);
                self.whole.push(byte, text.start.saturating_add(at.unwrap_or_default()));
            }
        }
    }

    /// Adds the UUIDs in the byte order of Windows: the first three groups are integers, whose low byte is the first.
    fn add_uuids(&mut self, sink: &mut impl Sink, bytes: &[u8], tokens: &[Token]) {
        const LENS: [u8; 5] = [8, 4, 4, 4, 12];
        self.uuids.begin(sink);
        for uuid in tokens.windows(LENS.len()) {
            let is_group = |(token, len): (&Token, &u8)| token.is_hex() && token.len == *len;
            let is_joined = |pair: &[Token]| match pair {
                [one, next] => bytes.get(one.end()..next.start()) == Some(b"-"),
                _ => false,
            };
            if !uuid.iter().zip(&LENS).all(is_group) || !uuid.windows(2).all(is_joined) {
                continue;
            }
            for (group, token) in uuid.iter().enumerate() {
                let word = bytes.get(token.start()..token.end()).unwrap_or_default();
                let mut push = |(at, pair): (usize, &[u8; 2])| {
                    let byte = numerals::digits(pair, 16).and_then(|byte| u8::try_from(byte).ok());
                    self.uuids.push(byte.unwrap_or_default(), token.start().saturating_add(at.saturating_mul(2)));
                };
                let pairs = word.as_chunks::<2>().0.iter().enumerate();
                if group < 3 { pairs.rev().for_each(&mut push) } else { pairs.for_each(&mut push) }
            }
        }
    }

    /// Adds the lines of `od -c` and `hexdump -c`: an address, and columns of a character, an escape or an octal number.
    fn add_cells(&mut self, sink: &mut impl Sink, bytes: &[u8], tokens: &[Token]) {
        let mut end = None;
        for token in tokens.iter().filter(|token| is_address(token)) {
            let rest = bytes.get(token.end()..).unwrap_or_default();
            let mut at = 0usize;
            while let Some(byte) = rest.get(at..at.saturating_add(CELL)).and_then(cell) {
                if at == 0 && end.is_none_or(|end: usize| token.start().saturating_sub(end) > 2) {
                    self.cells.begin(sink);
                }
                self.cells.push(byte, token.end().saturating_add(at).saturating_add(1));
                at = at.saturating_add(CELL);
            }
            let blanks = rest.get(at..).unwrap_or_default().iter().take(CELL).take_while(|&&byte| byte == b' ').count();
            end = (at > 0).then(|| token.end().saturating_add(at).saturating_add(blanks));
        }
    }
}

/// Whether a token may be the address of a line of `od` or `hexdump`.
const fn is_address(token: &Token) -> bool {
    token.is_first && matches!(token.len, 6..=8) && token.is_hex()
}

/// The byte in a column.
fn cell(cell: &[u8]) -> Option<u8> {
    match *cell {
        [b' ', b' ', b' ', byte @ b' '..=b'~'] => Some(byte),
        [b' ', b' ', b'\\', name] => Some(match name {
            b'0' => 0,
            b'a' => 7,
            b'b' => 8,
            b't' => b'\t',
            b'n' => b'\n',
            b'v' => 11,
            b'f' => 12,
            b'r' => b'\r',
            _ => return None,
        }),
        [b' ', ref digits @ ..] => u8::try_from(numerals::digits(digits, 8)?).ok(),
        _ => None,
    }
}

/// Whether a token is in the quotes that gdb writes after a number: `96 '\140'`.
fn is_quoted(bytes: &[u8], token: &Token) -> bool {
    let before = bytes.get(..token.start()).unwrap_or_default();
    bytes.get(token.end()) == Some(&b'\'') && matches!(before, [.., b' ', b'\''] | [.., b' ', b'\'', b'\\'])
}

/// Adds the lists of numbers with an exponent: `9.6e+01`.
fn add_exponents(sink: &mut impl Sink, bytes: &[u8], tokens: &[Token], lists: &mut Lists) {
    let mut end = 0usize;
    for token in tokens.iter().filter(|token| token.digits > 0) {
        if token.start() < end {
            continue;
        }
        if token.start().saturating_sub(end) > MAX_GAP {
            lists.end_list(sink);
        }
        if let Some((integer, len)) = exponent(bytes, token.start()) {
            lists.push_integer(integer, token.start());
            end = token.start().saturating_add(len);
        }
    }
    lists.end_list(sink);
}

/// The integer with an exponent at an index, and its length.
fn exponent(bytes: &[u8], at: usize) -> Option<(Integer, usize)> {
    let rest = bytes.get(at..)?;
    let is_part = |byte: &&u8| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
    let text = rest.get(..rest.iter().take(MAX_EXPONENT).take_while(is_part).count())?;
    let mark = text.iter().position(|byte| matches!(byte, b'e' | b'E'))?;
    let signed = |at: usize| usize::from(matches!(text.get(at), Some(b'+' | b'-')));
    let digits = mark.saturating_add(1).saturating_add(signed(mark.saturating_add(1)));
    let count = text.get(digits..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let text = text.get(..digits.saturating_add(count))?;
    let value: f64 = core::str::from_utf8(text).ok()?.parse().ok()?;
    let is_negative = at.checked_sub(1).and_then(|at| bytes.get(at)) == Some(&b'-');
    (value.fract() == 0.0 && value < MAX_INTEGER)
        .then_some((Integer { magnitude: value as u64, is_negative }, text.len()))
}
