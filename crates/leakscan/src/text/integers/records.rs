// SPDX-License-Identifier: MIT OR Apache-2.0
//! Records of Intel HEX and Motorola S-records: a length, an address, data and a checksum, in hexadecimal.

use super::super::super::decode::hex;
use super::words::Token;

/// The digits of a record's bytes, from its length on; `None` if a line is no record. The checksum is tested.
fn digits<'a>(bytes: &'a [u8], line: &[Token]) -> Option<(&'a [[u8; 2]], usize, bool)> {
    let [token] = line else { return None };
    let word = bytes.get(token.start()..token.end())?;
    let before = token.start().checked_sub(1).and_then(|at| bytes.get(at));
    let (digits, skip, is_motorola) = match word {
        [b'S', b'0'..=b'9', digits @ ..] => (digits, 2, true),
        digits if before == Some(&b':') => (digits, 0, false),
        _ => return None,
    };
    let (pairs, rest) = digits.as_chunks::<2>();
    let mut sum = 0u8;
    for pair in pairs {
        sum = sum.wrapping_add(byte(pair)?);
    }
    let len = usize::from(byte(pairs.first()?)?);
    let (expected, others) = if is_motorola { (0xFF, 1) } else { (0, 5) };
    let is_valid = rest.is_empty() && sum == expected && pairs.len() == len.saturating_add(others);
    is_valid.then_some((pairs, token.start().saturating_add(skip), is_motorola))
}

fn byte(pair: &[u8; 2]) -> Option<u8> {
    let [high, low] = pair.map(hex::value);
    (high < 16 && low < 16).then_some(high << 4 | low)
}

/// Whether a line is a record: its checksum is valid.
pub(super) fn is_record(bytes: &[u8], line: &[Token]) -> bool {
    digits(bytes, line).is_some()
}

/// Appends the data of a record with the place of each byte, if it has data.
pub(super) fn add(bytes: &[u8], line: &[Token], data: &mut Vec<(u8, usize)>) {
    let Some((pairs, at, is_motorola)) = digits(bytes, line) else { return };
    // Bytes before the data: the length, the address, and for Intel HEX the kind.
    let head = match (is_motorola, at.checked_sub(1).and_then(|at| bytes.get(at))) {
        (true, Some(kind @ b'1'..=b'3')) => usize::from(kind & 3).saturating_add(2),
        (false, _) if pairs.get(3) == Some(b"00") => 4,
        _ => return,
    };
    let end = pairs.len().saturating_sub(1);
    for (index, pair) in pairs.iter().enumerate().take(end).skip(head) {
        if let Some(byte) = byte(pair) {
            data.push((byte, at.saturating_add(index.saturating_mul(2))));
        }
    }
}
