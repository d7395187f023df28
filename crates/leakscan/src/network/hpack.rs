// SPDX-License-Identifier: MIT OR Apache-2.0
//! HPACK (RFC 7541): the compressed header fields of HTTP/2, of one direction of a connection (hpack_tables.rs: the
//! tables of its appendices).

use super::hpack_tables::{LENGTHS, STATIC};
use std::collections::VecDeque;

/// Bytes of the dynamic table: what browsers ask for. A larger one is cut, so that later fields may be unknown.
const MAX_TABLE: usize = 1 << 16;
/// The size of the dynamic table unless the connection says otherwise (RFC 9113, 6.5.2).
const DEFAULT_TABLE: usize = 4096;
/// What an entry takes besides its strings (RFC 7541, 4.1).
const ENTRY: usize = 32;

/// A field: its name and its value.
type Field = (Vec<u8>, Vec<u8>);

/// What became of a block of fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Block {
    Known,
    /// Some fields refer to others before the first block.
    Unknown,
    Invalid,
}

/// The decoder of one direction.
pub(super) struct Hpack {
    table: VecDeque<Field>,
    size: usize,
    limit: usize,
    huffman: Huffman,
}

/// The symbols of the Huffman code in the order of their codes, which is that of their lengths and then of themselves;
/// and for each length how many there are.
struct Huffman {
    symbols: Vec<u16>,
    counts: Vec<u32>,
}

impl Hpack {
    pub(super) fn new() -> Self {
        Self { table: VecDeque::new(), size: 0, limit: DEFAULT_TABLE, huffman: Huffman::new() }
    }

    /// Decodes a block. `field` gets each field that is known, and whether its value is written in the block.
    pub(super) fn decode(&mut self, mut block: &[u8], mut field: impl FnMut(&[u8], &[u8], bool)) -> Block {
        let mut result = Block::Known;
        while let Some(&first) = block.first() {
            if first & 0xE0 == 0x20 {
                let Some(size) = integer(&mut block, 5) else { return Block::Invalid };
                self.limit = size.min(MAX_TABLE);
                self.evict(0);
                continue;
            }
            if first & 0x80 != 0 {
                let Some(index) = integer(&mut block, 7) else { return Block::Invalid };
                match self.entry(index) {
                    Some((name, value)) => field(&name, &value, false),
                    None => result = Block::Unknown,
                }
                continue;
            }
            let is_indexed = first & 0x40 != 0;
            let Some(index) = integer(&mut block, if is_indexed { 6 } else { 4 }) else { return Block::Invalid };
            let name = if index == 0 { self.string(&mut block) } else { self.entry(index).map(|(name, _)| name) };
            if name.is_none() {
                if index == 0 {
                    return Block::Invalid;
                }
                result = Block::Unknown;
            }
            let (name, Some(value)) = (name.unwrap_or_default(), self.string(&mut block)) else {
                return Block::Invalid;
            };
            field(&name, &value, true);
            if is_indexed {
                self.insert(name, value);
            }
        }
        result
    }

    /// RFC 7541, 4.4: an entry that is larger than the table empties it.
    fn insert(&mut self, name: Vec<u8>, value: Vec<u8>) {
        let len = size_of_entry(&name, &value);
        self.evict(len);
        if len <= self.limit {
            self.size = self.size.saturating_add(len);
            self.table.push_front((name, value));
        }
    }

    /// The field of an index: the static table, then the dynamic one from its newest entry on (RFC 7541, 2.3.3).
    fn entry(&self, index: usize) -> Option<Field> {
        let index = index.checked_sub(1)?;
        match STATIC.get(index) {
            Some((name, value)) => Some((name.as_bytes().to_vec(), value.as_bytes().to_vec())),
            None => self.table.get(index.checked_sub(STATIC.len())?).cloned(),
        }
    }

    /// Makes room for an entry of this size.
    fn evict(&mut self, len: usize) {
        while self.size.saturating_add(len) > self.limit {
            let Some((name, value)) = self.table.pop_back() else { return };
            self.size = self.size.saturating_sub(size_of_entry(&name, &value));
        }
    }

    /// RFC 7541, 5.2.
    fn string(&self, block: &mut &[u8]) -> Option<Vec<u8>> {
        let is_huffman = block.first()? & 0x80 != 0;
        let len = integer(block, 7)?;
        let (bytes, rest) = block.split_at_checked(len)?;
        *block = rest;
        if is_huffman { self.huffman.decode(bytes) } else { Some(bytes.to_vec()) }
    }
}

const fn size_of_entry(name: &[u8], value: &[u8]) -> usize {
    name.len().saturating_add(value.len()).saturating_add(ENTRY)
}

/// An integer in the lower bits of the first byte and in what follows it (RFC 7541, 5.1), in at most five bytes.
fn integer(block: &mut &[u8], prefix: u32) -> Option<usize> {
    let (&first, mut rest) = block.split_first()?;
    let most = (1usize << prefix).wrapping_sub(1);
    let mut value = usize::from(first) & most;
    if value == most {
        let mut is_complete = false;
        for shift in [0u32, 7, 14, 21] {
            let (&byte, after) = rest.split_first()?;
            rest = after;
            value = value.saturating_add(usize::from(byte & 0x7F) << shift);
            if byte & 0x80 == 0 {
                is_complete = true;
                break;
            }
        }
        if !is_complete {
            return None;
        }
    }
    *block = rest;
    Some(value)
}

impl Huffman {
    fn new() -> Self {
        let longest = LENGTHS.iter().copied().max().unwrap_or(0);
        let of = |len: u8| (0u16..).zip(LENGTHS).filter(move |(_, own)| *own == len).map(|(symbol, _)| symbol);
        let symbols = (1..=longest).flat_map(of).collect();
        let counts = (1..=longest).map(|len| of(len).count() as u32).collect();
        Self { symbols, counts }
    }

    /// `None` for a string that has the symbol of the end, or is not padded with its beginning.
    fn decode(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        // The code so far; among the codes of its length, the first, and the place of its symbol.
        let (mut code, mut first, mut place, mut len) = (0u32, 0u32, 0usize, 0usize);
        for bit in bytes.iter().flat_map(|byte| (0..8u32).rev().map(move |shift| u32::from(byte >> shift & 1))) {
            code = code << 1 | bit;
            first <<= 1;
            let count = *self.counts.get(len)?;
            let at = code.wrapping_sub(first);
            len = len.saturating_add(1);
            if at < count {
                out.push(u8::try_from(*self.symbols.get(place.saturating_add(at as usize))?).ok()?);
                (code, first, place, len) = (0, 0, 0, 0);
            } else {
                first = first.saturating_add(count);
                place = place.saturating_add(count as usize);
            }
        }
        let is_padding = len < 8 && code == (1u32 << len).wrapping_sub(1);
        is_padding.then_some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;

    fn fields(hpack: &mut Hpack, block: &[u8]) -> (String, Block) {
        let mut text = String::new();
        let result = hpack.decode(block, |name, value, _| {
            text.push_str(&format!("{}: {}\n", String::from_utf8_lossy(name), String::from_utf8_lossy(value)));
        });
        (text, result)
    }

    /// RFC 7541, C.3 and C.4: requests without and with the Huffman code.
    #[test]
    fn requests_of_the_rfc_are_decoded() {
        let plain = [
            &hex!("828684410f7777772e6578616d706c652e636f6d")[..],
            &hex!("828684be58086e6f2d6361636865"),
            &hex!("828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565"),
        ];
        let coded = [
            &hex!("828684418cf1e3c2e5f23a6ba0ab90f4ff")[..],
            &hex!("828684be5886a8eb10649cbf"),
            &hex!("828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf"),
        ];
        let first = ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com\n";
        let third = ":method: GET\n:scheme: https\n:path: /index.html\n:authority: www.example.com\n";
        let expected = [
            String::from(first),
            format!("{first}cache-control: no-cache\n"),
            format!("{third}custom-key: custom-value\n"),
        ];
        for blocks in [plain, coded] {
            let mut hpack = Hpack::new();
            for (block, expected) in blocks.iter().zip(&expected) {
                assert_eq!(fields(&mut hpack, block), (expected.clone(), Block::Known));
            }
            // The control: without the first block, the second refers to what is not known.
            assert_eq!(fields(&mut Hpack::new(), blocks[1]).1, Block::Unknown);
        }
    }

    /// RFC 7541, C.6: responses with a table of 256 bytes, from which entries are evicted.
    #[test]
    fn responses_of_the_rfc_are_decoded() {
        let mut hpack = Hpack::new();
        hpack.limit = 256;
        let rest = "cache-control: private\ndate: Mon, 21 Oct 2013 20:13:21 GMT\nlocation: https://www.example.com\n";
        for (block, status) in [
            (
                &hex!(
                    "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff"
                    "6e919d29ad171863c78f0b97c8e9ae82ae43d3"
                )[..],
                302,
            ),
            (&hex!("4883640effc1c0bf"), 307),
        ] {
            assert_eq!(fields(&mut hpack, block), (format!(":status: {status}\n{rest}"), Block::Known));
        }
        assert_eq!(hpack.size, 222);
    }

    #[test]
    fn any_bytes_are_decoded_within_bounds() {
        use rand_chacha::rand_core::{Rng, SeedableRng};
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(2);
        let mut hpack = Hpack::new();
        for round in 0..20_000 {
            let mut bytes = vec![0; round % 80];
            rng.fill_bytes(&mut bytes);
            fields(&mut hpack, &bytes);
            assert!(hpack.size <= MAX_TABLE);
        }
        assert_eq!(fields(&mut Hpack::new(), &hex!("7fffffffffff00")).1, Block::Invalid);
    }
}
