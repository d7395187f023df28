// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lists of integers, as programs write the bytes of a value: any numerals with filler between them that has no digits.
//!
//! A list is read as bytes, or as integers of 16, 32 or 64 bits in either byte order if its numbers need as many. If
//! the numbers of every second, third or fourth place count the others, they are left out. A list that may be the
//! characters of a text, of which some are no bytes, is also read as that.

use super::super::super::collected::Collected;
use super::super::super::decode::hex;
use super::super::super::decode::numerals::{self, Decimal, Integer};
use super::super::super::encoding::Encoding;
use super::super::super::sink::Sink;
use super::columns::Columns;
use super::words::{MAX_GAP, Token};

/// Bytes of a fragment.
const FRAGMENT: usize = 16;
/// The widths in bytes of integers that are not bytes.
const WIDTHS: [u32; 3] = [2, 4, 8];
/// Numbers of a row, of which one may count the rows.
const MAX_COLUMNS: usize = 4;
/// Rows after which a column counts them: a fragment in integers of 32 bits.
const COUNTED_ROWS: usize = 4;
/// Rows after which a column is constant, or holds no bytes: in tables of numbers, fewer often are.
const STEADY_ROWS: usize = 12;

/// Whether so many hexadecimal digits may be a group of bytes, of at least two.
const fn may_be_group(len: u8) -> bool {
    matches!(len, 4 | 6 | 8 | 10 | 12 | 14 | 16)
}

/// A number of a list, and the index of its first character.
#[derive(Clone, Copy)]
struct Number {
    integer: Integer,
    at: usize,
    /// The bits that it needs, and those of its magnitude.
    bits: u32,
    magnitude_bits: u32,
}

impl Number {
    fn new(integer: Integer, at: usize) -> Self {
        let bits = |magnitude: u64| u64::BITS.saturating_sub(magnitude.leading_zeros());
        let Integer { magnitude, is_negative } = integer;
        let needs = if is_negative { bits(magnitude.saturating_sub(1)).saturating_add(1) } else { bits(magnitude) };
        Self { integer, at, bits: needs, magnitude_bits: bits(magnitude) }
    }

    /// Whether it is an unsigned or a signed integer of so many bytes, at most eight.
    const fn fits(&self, width: u32) -> bool {
        self.bits <= width.saturating_mul(8)
    }

    /// Whether it needs more than half of the bytes of an integer of this width.
    const fn is_wide(&self, width: u32) -> bool {
        self.magnitude_bits > width.saturating_mul(4)
    }
}

/// The lists that have not been handed on.
pub(super) struct Lists {
    decimal: Collected,
    hexadecimal: Collected,
    wide: Collected,
    numbers: Vec<Number>,
    column: Vec<Number>,
    steps: Vec<Step>,
    columns: Columns,
    /// The numbers are those at one place of each line.
    is_column: bool,
}

/// The longest rows of words that may be of each form.
#[derive(Default)]
struct Words {
    short_hex: usize,
    hex_words: usize,
    of_three: usize,
    of_six: usize,
    /// The most bytes that octal and binary words may encode.
    octal: usize,
    binary: usize,
}

impl Words {
    fn of(tokens: &[Token]) -> Self {
        let (mut now, mut longest) = ([0usize; 6], [0usize; 6]);
        for token in tokens {
            let (len, is_hex, is_numeral) = (token.len, token.is_hex(), token.digits > 0);
            let is_prefixed = len > 2 && token.digits == 1;
            let bytes = |bits: u8| usize::from(len).saturating_mul(bits.into()).div_ceil(8);
            let rows = [
                usize::from(is_hex && len <= 2),
                usize::from(is_hex && matches!(len, 4 | 8 | 16)),
                usize::from(is_numeral && len == 3),
                usize::from(is_numeral && len == 6),
                if is_numeral && len <= 4 || is_prefixed { bytes(3) } else { 0 },
                if is_numeral && len == 8 || is_prefixed { bytes(1) } else { 0 },
            ];
            for ((now, longest), row) in now.iter_mut().zip(&mut longest).zip(rows) {
                *now = if row > 0 { now.saturating_add(row) } else { 0 };
                *longest = (*longest).max(*now);
            }
        }
        let [short_hex, hex_words, of_three, of_six, octal, binary] = longest;
        Self { short_hex, hex_words, of_three, of_six, octal, binary }
    }
}

/// The longest rows of numbers in a list that may be bytes, or integers of each width.
struct Rows {
    bytes: usize,
    wide: [usize; WIDTHS.len()],
}

impl Rows {
    fn of(numbers: &[Number]) -> Self {
        let mut longest = [0usize; 1 + WIDTHS.len()];
        let mut now = [0usize; 1 + WIDTHS.len()];
        let mut last = None::<&Number>;
        for number in numbers {
            // Two narrow numbers in a row are of another width.
            let is_row = |width: u32| {
                number.fits(width)
                    && last.is_some_and(|last| last.fits(width) && (last.is_wide(width) || number.is_wide(width)))
            };
            let [two, four, eight] = WIDTHS.map(is_row);
            for ((now, longest), is_row) in now.iter_mut().zip(&mut longest).zip([number.fits(1), two, four, eight]) {
                *now = if is_row { now.saturating_add(1) } else { 0 };
                *longest = (*longest).max(*now);
            }
            last = Some(number);
        }
        let [bytes, wide @ ..] = longest;
        Self { bytes, wide: wide.map(|pairs| pairs.saturating_add(1)) }
    }
}

impl Lists {
    pub(super) fn new() -> Self {
        Self {
            decimal: Collected::new(Encoding::Integers),
            hexadecimal: Collected::new(Encoding::HexIntegers),
            wide: Collected::new(Encoding::WideIntegers),
            numbers: Vec::new(),
            column: Vec::new(),
            steps: Vec::new(),
            columns: Columns::default(),
            is_column: false,
        }
    }

    pub(super) fn flush(&mut self, sink: &mut impl Sink) {
        for collected in [&mut self.decimal, &mut self.hexadecimal, &mut self.wide] {
            collected.flush(sink);
        }
    }

    /// Adds the lists in a sequence of tokens.
    pub(super) fn add(&mut self, sink: &mut impl Sink, bytes: &[u8], tokens: &[Token]) {
        self.add_list(sink, bytes, tokens, MAX_GAP);
        let mut columns = core::mem::take(&mut self.columns);
        self.is_column = true;
        for column in columns.of(tokens) {
            self.add_list(sink, bytes, column, usize::MAX);
        }
        self.columns = columns;
        self.is_column = false;
    }

    /// Adds the lists in a sequence of tokens of which two may be so far from each other.
    pub(super) fn add_list(&mut self, sink: &mut impl Sink, bytes: &[u8], tokens: &[Token], max_gap: usize) {
        self.add_decimal(sink, bytes, tokens, max_gap);
        self.add_hexadecimal(sink, bytes, tokens, max_gap);
        let words = Words::of(tokens);
        if words.short_hex >= FRAGMENT {
            let short = |token: &Token, word: &[u8]| if token.len <= 2 { numerals::digits(word, 16) } else { None };
            self.add_words(sink, bytes, tokens, Encoding::HexIntegers, short);
        }
        if words.hex_words > 1 {
            self.add_hex_words(sink, bytes, tokens);
        }
        if words.octal >= FRAGMENT {
            self.add_words(sink, bytes, tokens, Encoding::Integers, |_, word| numerals::octal(word));
        }
        // Of a fixed length, with zeros before shorter numbers: bytes, and integers of 16 bits.
        for (len, row) in [(3, words.of_three), (6, words.of_six)] {
            if row >= FRAGMENT / 2 {
                self.add_words(sink, bytes, tokens, Encoding::Integers, |token, word| {
                    if token.len == len { numerals::digits(word, 8) } else { None }
                });
            }
        }
        if words.binary >= FRAGMENT {
            self.add_words(sink, bytes, tokens, Encoding::Integers, |_, word| numerals::binary(word));
        }
    }

    /// Appends a number to the list.
    pub(super) fn push_integer(&mut self, integer: Integer, at: usize) {
        self.numbers.push(Number::new(integer, at));
    }

    /// Ends a list of such numbers.
    pub(super) fn end_list(&mut self, sink: &mut impl Sink) {
        self.finish(sink, Encoding::Integers);
    }

    /// Adds the decimal lists. Words that are no decimal numerals may be between their numbers.
    fn add_decimal(&mut self, sink: &mut impl Sink, bytes: &[u8], tokens: &[Token], max_gap: usize) {
        let mut end = 0;
        for token in tokens.iter().filter(|token| token.digits > 0) {
            if token.start().saturating_sub(end) > max_gap {
                self.finish(sink, Encoding::Integers);
            }
            end = token.end();
            match numerals::decimal(bytes, token.start(), token.len.into(), token.digits.into()) {
                Decimal::Integer(integer, at) => self.numbers.push(Number::new(integer, at)),
                Decimal::Filler => {}
                Decimal::Other => self.finish(sink, Encoding::Integers),
            }
        }
        self.finish(sink, Encoding::Integers);
    }

    /// Adds the lists of hexadecimal numerals whose radix is written. Anything else may be between their numbers.
    fn add_hexadecimal(&mut self, sink: &mut impl Sink, bytes: &[u8], tokens: &[Token], max_gap: usize) {
        let mut end = 0;
        // Decimal digits have their radix before them, if anywhere.
        let is_plain = |token: &&Token| {
            let before = token.start().checked_sub(1).and_then(|at| bytes.get(at));
            token.is_decimal() && !matches!(before, Some(b'$' | b'+' | b'#'))
        };
        for token in tokens.iter().filter(|token| !is_plain(token)) {
            let Some(integer) = numerals::hexadecimal(bytes, token.start(), token.len.into()) else { continue };
            if token.start().saturating_sub(end) > max_gap {
                self.finish(sink, Encoding::HexIntegers);
            }
            end = token.end();
            self.numbers.push(Number::new(integer, token.start()));
        }
        self.finish(sink, Encoding::HexIntegers);
    }

    /// Adds the lists of words that `read` reads. Another word that may be a numeral ends a list.
    fn add_words(
        &mut self,
        sink: &mut impl Sink,
        bytes: &[u8],
        tokens: &[Token],
        encoding: Encoding,
        read: impl Fn(&Token, &[u8]) -> Option<u64>,
    ) {
        for token in tokens {
            match read(token, bytes.get(token.start()..token.end()).unwrap_or_default()) {
                Some(magnitude) => {
                    let integer = Integer { magnitude, is_negative: false };
                    self.numbers.push(Number::new(integer, token.start()));
                }
                None => self.finish(sink, encoding),
            }
        }
        self.finish(sink, encoding);
    }

    /// Adds the lists of hexadecimal groups of a fixed length: in the byte order in which hexadecimal text is not, and in
    /// the other one if what is between two is no separator of hexadecimal text.
    fn add_hex_words(&mut self, sink: &mut impl Sink, bytes: &[u8], tokens: &[Token]) {
        for words in tokens.chunk_by(|one, next| one.len == next.len && one.is_hex() && next.is_hex()) {
            let Some(word) = words.first().filter(|word| may_be_group(word.len)) else { continue };
            let (len, is_integer) = (usize::from(word.len), matches!(word.len, 4 | 8 | 16));
            if words.len().saturating_mul(len) < 2 * FRAGMENT {
                continue;
            }
            let is_separated = |pair: &[Token]| match pair {
                [one, next] => bytes.get(one.end()..next.start()).is_some_and(|gap| !hex::is_separator(gap)),
                _ => false,
            };
            let is_other = words.windows(2).any(is_separated);
            for (is_little, _) in [(true, is_integer), (false, is_other)].into_iter().filter(|(_, is_read)| *is_read) {
                self.wide.begin(sink);
                for token in words {
                    let digits = bytes.get(token.start()..token.end()).unwrap_or_default();
                    let value = numerals::digits(digits, 16).unwrap_or_default().to_le_bytes();
                    let value = value.get(..len / 2).unwrap_or_default();
                    let mut push = |byte: &u8| self.wide.push(*byte, token.start());
                    if is_little { value.iter().for_each(&mut push) } else { value.iter().rev().for_each(&mut push) }
                }
            }
        }
    }

    /// Adds the numbers of a list, which is at its end.
    #[inline]
    fn finish(&mut self, sink: &mut impl Sink, encoding: Encoding) {
        if self.numbers.len() < 2 {
            self.numbers.clear();
            return;
        }
        let numbers = core::mem::take(&mut self.numbers);
        let widest = numbers.iter().fold(0, |bits, number| number.bits.max(bits)).div_ceil(8) as usize;
        // A character of a text in UTF-8 may have one byte more than its number; beside one wide integer, all are wide.
        let bytes = if widest > 4 { 8 } else { widest.saturating_add(1) };
        if numbers.len().saturating_mul(bytes) >= FRAGMENT {
            self.add_numbers(sink, &numbers, encoding);
            if !self.is_column {
                self.add_columns(sink, &numbers, encoding);
                self.add_characters(sink, &numbers);
            }
        }
        self.numbers = numbers;
        self.numbers.clear();
    }

    /// Adds numbers as bytes, and as wider integers.
    fn add_numbers(&mut self, sink: &mut impl Sink, numbers: &[Number], encoding: Encoding) {
        let rows = Rows::of(numbers);
        if rows.bytes >= FRAGMENT {
            for list in numbers.split(|number| !number.fits(1)).filter(|list| list.len() >= FRAGMENT) {
                let collected = if encoding == Encoding::Integers { &mut self.decimal } else { &mut self.hexadecimal };
                collected.begin(sink);
                for Number { integer, at, .. } in list {
                    let [byte, ..] = integer.bytes();
                    collected.push(byte, *at);
                }
            }
        }
        for (width, row) in WIDTHS.into_iter().zip(rows.wide) {
            if row.saturating_mul(width as usize) >= FRAGMENT {
                for list in numbers.split(|number| !number.fits(width)) {
                    self.add_wide(sink, list, width);
                }
            }
        }
    }

    /// Adds the parts of a list that need so many bytes for each number. A random number of 16 bits needs eight with
    /// probability 1/256; two such numbers in a row are of another width. Of 32 bits, it needs 16 with probability
    /// 2^-16: where the numbers between wider ones are narrow, they are indices.
    fn add_wide(&mut self, sink: &mut impl Sink, list: &[Number], width: u32) {
        let is_narrow = |number: &Number| !number.is_wide(width);
        let is_enough = |count: usize| count.saturating_mul(width as usize) >= FRAGMENT;
        for part in list.chunk_by(|one, next| !(is_narrow(one) && is_narrow(next))) {
            if is_enough(part.len()) {
                self.push_wide(sink, part.iter(), width);
            }
            let wide = || part.iter().filter(|number| !is_narrow(number));
            if width > 2 && is_enough(wide().count()) && part.iter().any(is_narrow) {
                self.push_wide(sink, wide(), width);
            }
        }
    }

    /// Adds numbers in either byte order.
    fn push_wide<'a>(&mut self, sink: &mut impl Sink, list: impl Iterator<Item = &'a Number> + Clone, width: u32) {
        for is_little in [true, false] {
            self.wide.begin(sink);
            for Number { integer, at, .. } in list.clone() {
                let bytes = integer.bytes();
                let bytes = bytes.get(..width as usize).unwrap_or_default();
                let mut push = |byte: &u8| self.wide.push(*byte, *at);
                if is_little { bytes.iter().for_each(&mut push) } else { bytes.iter().rev().for_each(&mut push) }
            }
        }
    }

    /// Adds the parts of a list that are the characters of a text, in UTF-8. If none is wider than a byte, they are bytes.
    fn add_characters(&mut self, sink: &mut impl Sink, numbers: &[Number]) {
        let character = |number: &Number| {
            let value = u32::try_from(number.integer.magnitude).ok().and_then(char::from_u32);
            value.filter(|value| !number.integer.is_negative && (!value.is_control() || value.is_whitespace()))
        };
        for text in numbers.split(|number| character(number).is_none()) {
            let characters = || text.iter().filter_map(|number| Some((number, character(number)?)));
            let len = characters().fold(0usize, |len, (_, character)| len.saturating_add(character.len_utf8()));
            if len < FRAGMENT || text.iter().all(|number| number.fits(1)) {
                continue;
            }
            self.wide.begin(sink);
            for (number, character) in characters() {
                for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                    self.wide.push(byte, number.at);
                }
            }
        }
    }

    /// Adds the columns of rows of numbers beside a column that counts the rows, is constant, or holds no bytes.
    fn add_columns(&mut self, sink: &mut impl Sink, numbers: &[Number], encoding: Encoding) {
        if numbers.len() <= COUNTED_ROWS {
            return;
        }
        let mut column = core::mem::take(&mut self.column);
        let mut steps = core::mem::take(&mut self.steps);
        for columns in 2..=MAX_COLUMNS {
            steps.clear();
            steps.extend(numbers.iter().zip(numbers.iter().skip(columns)).map(|(one, next)| Step::of(one, next)));
            if !has_rows(&steps, columns) {
                continue;
            }
            for index in 0..columns {
                let mut first = index;
                while first < numbers.len() {
                    let rows = index_rows(&steps, first, columns);
                    let next = first.saturating_add(rows.count.saturating_mul(columns));
                    if rows.is_index {
                        // The row before the first may lie partly in the list, and the one after the last as well.
                        let end = next.saturating_add(columns).min(numbers.len());
                        for distance in 1..columns {
                            column.clear();
                            let at = first.saturating_add(distance);
                            let from = at.checked_sub(columns).unwrap_or(at);
                            column.extend(numbers.get(from..end).unwrap_or_default().iter().step_by(columns));
                            self.add_numbers(sink, &column, encoding);
                        }
                    }
                    first = next;
                }
            }
        }
        (self.column, self.steps) = (column, steps);
    }
}

/// How the first numbers of two rows follow each other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Same,
    One,
    /// Neither is a byte.
    NoBytes,
    /// As those of a value.
    Other,
}

impl Step {
    fn of(one: &Number, next: &Number) -> Self {
        if one.integer.is_negative || next.integer.is_negative {
            return Self::Other;
        }
        match next.integer.magnitude.wrapping_sub(one.integer.magnitude) {
            0 => Self::Same,
            1 => Self::One,
            _ if one.fits(1) || next.fits(1) => Self::Other,
            _ => Self::NoBytes,
        }
    }
}

/// Whether three steps of a column are the same, and none that is as those of a value: fewer rows have no index.
fn has_rows(steps: &[Step], columns: usize) -> bool {
    let at = |rows: usize| steps.iter().skip(columns.saturating_mul(rows));
    steps.iter().zip(at(1)).zip(at(2)).any(|((one, two), three)| *one != Step::Other && one == two && one == three)
}

/// The first rows of a table.
struct Table {
    count: usize,
    /// Whether their first number is no part of a value.
    is_index: bool,
}

/// The rows from the number at `first` on whose first numbers continue as they begin.
fn index_rows(steps: &[Step], first: usize, columns: usize) -> Table {
    let of_rows = steps.get(first..).unwrap_or_default().iter().step_by(columns);
    let kind = of_rows.clone().next().copied().unwrap_or(Step::Other);
    if kind == Step::Other {
        return Table { count: 1, is_index: false };
    }
    let count = of_rows.take_while(|&&step| step == kind).count().saturating_add(1);
    let enough = if kind == Step::One { COUNTED_ROWS } else { STEADY_ROWS };
    Table { count, is_index: count >= enough }
}
