// SPDX-License-Identifier: MIT OR Apache-2.0
//! Letters and digits in other alphabets than Base64's: base32, base36, base58, base62, decimal numbers. They are found
//! in the runs of Base64, which have been read anyway.
//!
//! Base32 encodes bit by bit, so that fragments are found. The others write a whole token as one number: they are found
//! if the token is delimited by other characters than letters and digits, with whatever bytes surround the value in it
//! (a version and a checksum).

use super::super::decode::symbols::Cursor;
use super::super::decode::{base32, base64, groups, radix};
use super::super::encoding::Encoding;
use super::super::sink::{Decoded, Sink};
use super::batch::{BATCH_LEN, BORDER, run_at};
use core::ops::Range;

/// The fewest symbols of a number of 16 bytes that is searched for: base62 writes 2^119 with 20. One value in 2^9 is
/// less.
pub(super) const MIN_SYMBOLS: usize = 20;
/// In decimal and base36, the same.
const MIN_DECIMAL: usize = 36;
const MIN_BASE36: usize = 23;
/// The fewest bytes that may hold a fragment.
const MIN_BYTES: usize = 16;
/// The first mark of Base64, in the numbers of its symbols.
const MARKS: u8 = 62;
const DIGITS: Range<u8> = 52..62;
/// The longest run with marks whose tokens are all read; in longer ones, only a token that is most of it. Names, paths
/// and addresses are shorter. Of Base64, most is in tokens that are long enough for a number.
const SHORT_RUN: usize = 256;
/// In Base64, one symbol in 64 is a plus on average.
const PLUS_IN: usize = 256;
/// A number with more symbols has at least half of its alphabet's; a repetitive one is not decoded.
const LONG_NUMBER: usize = 128;
/// Letters in which at least one digit is expected: base32 without one in so many has probability 2^-19.
const DIGIT_IN: usize = 64;
/// Bits of a fragment.
const MIN_BITS: usize = 128;

/// The origin of decoded bytes.
pub(super) enum Origin {
    /// A token, and the number of bytes that it encodes together after `zeros` that were added.
    Number { token: Range<usize>, len: usize, zeros: usize },
    /// Groups of as many symbols, each of which encodes as many bytes.
    Groups { start: usize, bytes: usize, symbols: usize },
    /// Symbols of a run of Base64 with this range and number of symbols.
    Bits { text: Range<usize>, count: usize, first: usize, skip: usize, cursor: Cursor },
}

impl Origin {
    fn position(&self, at: usize, bytes: &[u8]) -> usize {
        match self {
            // All symbols encode all bytes together: the place is where a byte would be if they were equally long.
            Self::Number { token, len, zeros } => {
                let (at, len) = (at.saturating_sub(*zeros), len.saturating_sub(*zeros));
                token.start.saturating_add(at.saturating_mul(token.len()).checked_div(len).unwrap_or(0))
            }
            Self::Groups { start, bytes, symbols } => {
                let group = at.checked_div(*bytes).unwrap_or(0).saturating_mul(*symbols);
                start.saturating_add(group).saturating_add(at.checked_rem(*bytes).unwrap_or(0))
            }
            Self::Bits { text, count, first, skip, cursor } => {
                let run = bytes.get(text.clone()).unwrap_or_default();
                let symbol = first.saturating_add(base32::symbol_of(at, *skip));
                let walk = |known, symbol| base64::position(run, *count, known, symbol);
                text.start.saturating_add(cursor.of(symbol, walk))
            }
        }
    }
}

/// Decoded tokens of one encoding, which are searched together.
pub(super) struct Collected {
    encoding: Encoding,
    bytes: Vec<u8>,
    origins: Vec<Origin>,
    borders: Vec<usize>,
}

impl Collected {
    pub(super) const fn new(encoding: Encoding) -> Self {
        Self { encoding, bytes: Vec::new(), origins: Vec::new(), borders: Vec::new() }
    }

    /// Adds what `decode` appends, if it may hold a fragment. `origin` gets its length.
    pub(super) fn add(&mut self, decode: impl FnOnce(&mut Vec<u8>), origin: impl FnOnce(usize) -> Origin) {
        let end = self.bytes.len();
        if !self.origins.is_empty() {
            self.bytes.push(BORDER);
        }
        let start = self.bytes.len();
        decode(&mut self.bytes);
        let len = self.bytes.len().saturating_sub(start);
        if len < MIN_BYTES {
            self.bytes.truncate(end);
            return;
        }
        if !self.origins.is_empty() {
            self.borders.push(end);
        }
        self.origins.push(origin(len));
    }

    /// The number of decoded bytes.
    pub(super) const fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn flush(&mut self, sink: &mut impl Sink, text: &[u8]) {
        if self.origins.is_empty() {
            return;
        }
        let position = |at: usize| {
            let (number, from) = run_at(&self.borders, at);
            self.origins.get(number).map_or(0, |origin| origin.position(at.saturating_sub(from), text))
        };
        sink.descend(&Decoded { borders: &self.borders, ..Decoded::run(&self.bytes, self.encoding, &position) });
        self.bytes.clear();
        self.origins.clear();
        self.borders.clear();
    }
}

/// The tokens of some bytes.
pub(super) struct Tokens {
    base32: Collected,
    /// With the alphabets of each encoding.
    numbers: [(Collected, &'static [radix::Alphabet]); 4],
    limbs: Vec<u64>,
    /// One string of bits.
    bits: Collected,
    xxencode: Collected,
}

/// What the symbols of a token are.
struct Kinds {
    upper: usize,
    lower: usize,
    digits: usize,
    is_base58: bool,
    is_hex: bool,
    distinct: u32,
}

impl Kinds {
    fn of(symbols: &[u8]) -> Self {
        let mut seen = 0u64;
        let (mut upper, mut digits) = (0usize, 0usize);
        for &symbol in symbols {
            seen |= 1 << (symbol & 63);
            upper = upper.saturating_add(usize::from(symbol < 26));
            digits = digits.saturating_add(usize::from(DIGITS.contains(&symbol)));
        }
        let lower = symbols.len().saturating_sub(upper).saturating_sub(digits);
        const DECIMAL: u64 = 0x3FF << 52;
        // `O`, `I`, `l` and `0`.
        const NO_BASE58: u64 = 1 << 14 | 1 << 8 | 1 << 37 | 1 << 52;
        let is_hex = seen & !(DECIMAL | 0x3F) == 0 || seen & !(DECIMAL | 0x3F << 26) == 0;
        Self { upper, lower, digits, is_base58: seen & NO_BASE58 == 0, is_hex, distinct: seen.count_ones() }
    }

    /// Whether it is a word of a text or a name in a program: no digit, and mostly letters of one case. A random number
    /// of 16 bytes in base58 is one with probability 2^-15.
    const fn is_word(&self) -> bool {
        let quarter = self.upper.saturating_add(self.lower) / 4;
        self.digits == 0 && (self.upper < quarter || self.lower < quarter)
    }
}

impl Tokens {
    pub(super) const fn new() -> Self {
        Self {
            base32: Collected::new(Encoding::Base32),
            numbers: [
                (Collected::new(Encoding::Decimal), &radix::DECIMAL),
                (Collected::new(Encoding::Base36), &radix::BASE36),
                (Collected::new(Encoding::Base58), &radix::BASE58),
                (Collected::new(Encoding::Base62), &radix::BASE62),
            ],
            limbs: Vec::new(),
            bits: Collected::new(Encoding::Integers),
            xxencode: Collected::new(Encoding::Uuencode),
        }
    }

    /// Reads the tokens in a run of Base64: its symbols, whether all are hexadecimal digits, and its range in `bytes`.
    #[inline]
    pub(super) fn add(
        &mut self,
        sink: &mut impl Sink,
        (symbols, is_hex): (&[u8], bool),
        text: Range<usize>,
        bytes: &[u8],
    ) {
        // Hexadecimal digits without a row of decimal ones are no number in another base.
        if symbols.len() < MIN_SYMBOLS || (is_hex && !has_decimal(symbols)) {
            return;
        }
        if !is_hex {
            self.add_base32(sink, symbols, &text, bytes);
        }
        let (mut symbols, run) = (symbols, bytes.get(text.clone()).unwrap_or_default());
        let is_data = has_plus(run);
        let mut last_len = None;
        let (mut lines, mut first, mut end) = (Vec::new(), 0, 0);
        for piece in pieces(run, symbols.len() == run.len()) {
            let Some((these, rest)) = symbols.split_at_checked(piece.len()) else { break };
            symbols = rest;
            let line = run.get(piece.clone()).unwrap_or_default();
            if groups::xxdecode(line, &mut lines) {
                end = piece.end;
            } else {
                self.add_lines(&mut lines, text.start.saturating_add(first)..text.start.saturating_add(end));
                first = run.len().min(piece.end.saturating_add(1));
            }
            if these.len() >= MIN_BITS {
                self.add_bits(sink, these, text.start.saturating_add(piece.start), bytes);
            }
            // Lines of Base64 have one length.
            if !is_data || last_len.replace(piece.len()).is_some_and(|last| last != piece.len()) {
                let is_data = is_data && has_plus(run.get(piece.clone()).unwrap_or_default());
                self.add_piece(sink, these, is_data, text.start.saturating_add(piece.start));
            }
        }
        self.add_lines(&mut lines, text.start.saturating_add(first)..text.start.saturating_add(end));
        if self.numbers.iter().any(|(collected, _)| collected.bytes.len() >= BATCH_LEN) {
            self.flush(sink, bytes);
        }
    }

    /// Hands all tokens to the sink.
    pub(super) fn flush(&mut self, sink: &mut impl Sink, bytes: &[u8]) {
        self.base32.flush(sink, bytes);
        self.bits.flush(sink, bytes);
        self.xxencode.flush(sink, bytes);
        for (collected, _) in &mut self.numbers {
            collected.flush(sink, bytes);
        }
    }

    /// Adds what lines of xxencode were decoded to.
    fn add_lines(&mut self, lines: &mut Vec<u8>, token: Range<usize>) {
        if !lines.is_empty() {
            self.xxencode.add(|out| out.append(lines), |len| Origin::Number { token, len, zeros: 0 });
        }
    }

    /// Reads the tokens in symbols that no line break separates, and which begin at `start`. In what may be data in
    /// Base64, only a token that is most of it is read.
    fn add_piece(&mut self, sink: &impl Sink, symbols: &[u8], is_data: bool, start: usize) {
        let is_data = is_data || symbols.len() > SHORT_RUN;
        if is_data && symbols.len() > 2 * radix::MAX_SYMBOLS {
            return;
        }
        let mut at = 0usize;
        for token in symbols.split(|&symbol| symbol >= MARKS) {
            let is_most = token.len().saturating_mul(2) >= symbols.len();
            if (MIN_SYMBOLS..=radix::MAX_SYMBOLS).contains(&token.len()) && (is_most || !is_data) {
                self.add_token(sink, token, start.saturating_add(at), at > 0);
            }
            at = at.saturating_add(token.len()).saturating_add(1);
        }
    }

    /// `is_signed`: a minus is before it, or a plus.
    fn add_token(&mut self, sink: &impl Sink, symbols: &[u8], start: usize, is_signed: bool) {
        let kinds = Kinds::of(symbols);
        let range = start..start.saturating_add(symbols.len());
        let is_varied = |base: u32| symbols.len() < LONG_NUMBER || kinds.distinct >= base / 2;
        let may_be = |encoding: Encoding| match encoding {
            Encoding::Decimal => kinds.digits == symbols.len() && symbols.len() >= MIN_DECIMAL && is_varied(10),
            _ if kinds.is_hex || kinds.is_word() => false,
            Encoding::Base36 => {
                kinds.digits > 0
                    && (kinds.upper == 0 || kinds.lower == 0)
                    && symbols.len() >= MIN_BASE36
                    && is_varied(36)
            }
            Encoding::Base58 => kinds.is_base58 && is_varied(58),
            _ => is_varied(62),
        };
        let Self { numbers, limbs, .. } = self;
        for (collected, alphabets) in numbers {
            if !may_be(collected.encoding) || !sink.wants(collected.encoding) {
                continue;
            }
            // The letter of Multibase that names the alphabet is no digit of the number.
            let is_named = matches!(
                (collected.encoding, symbols.first()),
                (Encoding::Base58, Some(25 | 51)) | (Encoding::Base36, Some(10 | 36))
            );
            for skipped in 0..=usize::from(is_named) {
                let symbols = symbols.get(skipped..).unwrap_or_default();
                let token = range.start.saturating_add(skipped)..range.end;
                for alphabet in *alphabets {
                    let decode = |out: &mut Vec<u8>| _ = radix::decode(symbols, alphabet, limbs, out);
                    collected.add(decode, |len| Origin::Number { token: token.clone(), len, zeros: radix::ZEROS });
                    if is_signed && collected.encoding == Encoding::Decimal {
                        let decode = |out: &mut Vec<u8>| {
                            let start = out.len();
                            radix::decode(symbols, alphabet, limbs, out);
                            radix::negate(out.get_mut(start..).unwrap_or_default());
                        };
                        collected.add(decode, |len| Origin::Number { token: token.clone(), len, zeros: radix::ZEROS });
                    }
                }
            }
            if collected.encoding == Encoding::Base58 {
                let decode = |out: &mut Vec<u8>| radix::decode_blocks(symbols, out);
                collected.add(decode, |len| Origin::Number { token: range.clone(), len, zeros: 0 });
            }
        }
    }

    /// Reads the strings of at least 128 digits zero and one, at each alignment.
    fn add_bits(&mut self, sink: &mut impl Sink, symbols: &[u8], start: usize, bytes: &[u8]) {
        let is_bit = |symbol: &u8| symbol.wrapping_sub(DIGITS.start) < 2;
        // Each such string covers a chunk whole.
        let is_whole = |chunk: &[u8; MIN_BITS / 2]| chunk.first().is_some_and(is_bit) && chunk.iter().all(is_bit);
        if !sink.wants(Encoding::Integers) || !symbols.as_chunks().0.iter().any(is_whole) {
            return;
        }
        let mut at = start;
        for part in symbols.split(|symbol| !is_bit(symbol)) {
            for alignment in 0..8 {
                let bits = part.get(alignment..).unwrap_or_default();
                let decode = |out: &mut Vec<u8>| {
                    out.extend(
                        bits.as_chunks::<8>().0.iter().map(|byte| byte.iter().fold(0, |byte, bit| byte << 1 | bit & 1)),
                    );
                };
                let place = at.saturating_add(alignment);
                self.bits.add(decode, |_| Origin::Groups { start: place, bytes: 1, symbols: 8 });
            }
            at = at.saturating_add(part.len()).saturating_add(1);
        }
        if self.bits.len() >= BATCH_LEN {
            self.bits.flush(sink, bytes);
        }
    }

    fn add_base32(&mut self, sink: &mut impl Sink, symbols: &[u8], text: &Range<usize>, bytes: &[u8]) {
        if symbols.len() < base32::MIN_SYMBOLS || !sink.wants(Encoding::Base32) {
            return;
        }
        // A run of one case covers two words, one of them with an even number.
        let mut done = 0usize;
        for (number, word) in symbols.as_chunks::<8>().0.iter().enumerate().step_by(2) {
            let at = number.saturating_mul(8);
            if at < done {
                continue;
            }
            let case = match (word.iter().all(|&symbol| is_of(symbol, 0)), word.iter().all(|&symbol| is_of(symbol, 26)))
            {
                (true, _) => 0,
                (false, true) => 26,
                (false, false) => continue,
            };
            let of_case = |symbol: &&u8| is_of(**symbol, case);
            let before = symbols.get(done..at).unwrap_or_default().iter().rev().take_while(of_case).count();
            let len = symbols.get(at..).unwrap_or_default().iter().take_while(of_case).count();
            let run = at.saturating_sub(before)..at.saturating_add(len);
            done = run.end;
            self.add_run(symbols, run, text);
            if self.base32.bytes.len() >= BATCH_LEN {
                self.base32.flush(sink, bytes);
            }
        }
    }

    /// Decodes symbols of one case in each alphabet that has them.
    fn add_run(&mut self, symbols: &[u8], run: Range<usize>, text: &Range<usize>) {
        let all = symbols.get(run.clone()).unwrap_or_default();
        if run.len() < base32::MIN_SYMBOLS || base64::is_hex(all) {
            return;
        }
        for alphabet in &base32::ALPHABETS {
            let mut first = run.start;
            for part in
                all.split(|&symbol| alphabet.get(usize::from(symbol)).is_none_or(|&value| value == base32::NONE))
            {
                let digits = part.iter().filter(|symbol| DIGITS.contains(symbol)).count();
                let is_word = part.len() > DIGIT_IN && digits < part.len() / DIGIT_IN;
                if part.len() >= base32::MIN_SYMBOLS && !is_word && !base64::is_hex(part) {
                    for skip in 0..base32::ALIGNMENTS {
                        let (text, count, cursor) = (text.clone(), symbols.len(), Cursor::default());
                        let origin = |_| Origin::Bits { text, count, first, skip, cursor };
                        self.base32.add(|out| base32::decode(part, alphabet, skip, out), origin);
                    }
                }
                first = first.saturating_add(part.len()).saturating_add(1);
            }
        }
    }
}

/// Whether a run has as many pluses as data in Base64 has; paths, addresses and names of keys have none.
fn has_plus(run: &[u8]) -> bool {
    // In chunks whose count fits a byte, for the vector units.
    let count =
        |chunk: &[u8]| usize::from(chunk.iter().fold(0u8, |sum, &byte| sum.wrapping_add(u8::from(byte == b'+'))));
    let count: usize = run.chunks(usize::from(u8::MAX)).map(count).sum();
    count > 0 && count >= run.len() / PLUS_IN
}

/// Whether a row of decimal digits may be long enough for a number: the shortest covers a chunk whole.
fn has_decimal(symbols: &[u8]) -> bool {
    const CHUNK: usize = MIN_DECIMAL / 2 - 2;
    symbols
        .as_chunks::<CHUNK>()
        .0
        .iter()
        .any(|chunk| chunk.iter().fold(true, |all, symbol| all & (*symbol >= DIGITS.start)))
}

/// Whether a symbol is a digit, or a letter of the case whose first symbol is `case`.
const fn is_of(symbol: u8, case: u8) -> bool {
    symbol.wrapping_sub(case) < 26 || symbol.wrapping_sub(DIGITS.start) < 10
}

/// The stretches of a run of Base64 that no line break and no escape separates; `is_one`: there is none of those.
fn pieces(run: &[u8], is_one: bool) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0usize;
    core::iter::from_fn(move || {
        let rest = run.get(at..).filter(|rest| !rest.is_empty())?;
        let end = rest.iter().position(|byte| !is_one && matches!(byte, b'\n' | b'\r' | b'\\'));
        let piece = at..at.saturating_add(end.unwrap_or(rest.len()));
        at = piece.end;
        at = at.saturating_add(base64::separator(run.get(at..).unwrap_or_default()));
        Some(piece)
    })
}
