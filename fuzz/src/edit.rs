// SPDX-License-Identifier: MIT OR Apache-2.0
//! A small language of edits: bytes that describe changes of other bytes.

/// Bytes of an edit: operation, place (two bytes), value.
const EDIT_LEN: usize = 4;

/// Applies the edits in `script`, without an incomplete one at its end. Every byte is valid, and an edit extends
/// `bytes` by one byte at most.
pub(crate) fn edit(bytes: &mut Vec<u8>, script: &[u8]) {
    for &[what, high, low, value] in script.as_chunks::<EDIT_LEN>().0 {
        let at = usize::from(u16::from_be_bytes([high, low])) % (bytes.len() + 1);
        match what % 7 {
            0 => bytes[at..].first_mut().into_iter().for_each(|byte| *byte ^= value),
            1 => bytes[at..].first_mut().into_iter().for_each(|byte| *byte = value),
            2 => bytes[at..].iter_mut().take(4).for_each(|byte| *byte = value),
            3 => bytes[at..].iter_mut().take(32).for_each(|byte| *byte = value),
            4 => bytes.truncate(at),
            5 => bytes.insert(at, value),
            _ => bytes.push(value),
        }
    }
}

/// The same for bytes of fixed length: excess is cut off, missing bytes stay unchanged.
pub(crate) fn edit_in_place(bytes: &mut [u8], script: &[u8]) {
    let mut edited = bytes.to_vec();
    edit(&mut edited, script);
    bytes.iter_mut().zip(edited).for_each(|(to, from)| *to = from);
}
