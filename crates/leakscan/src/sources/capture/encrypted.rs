// SPDX-License-Identifier: MIT OR Apache-2.0
//! Flows whose payload is encrypted: a search of their bytes shows nothing about what they carry.
//!
//! # Random matches
//! A record of TLS is recognised by five bytes (one of 2^21 random places looks like its head). A direction of a flow
//! counts as TLS if it begins with a handshake (2^33), if a segment consists of whole records (2^34), or if three
//! records follow one another (2^60). SSH begins with its name, QUIC with one of its versions (2^32), WireGuard with a
//! message of exact length (2^32). DTLS records fill a datagram exactly (2^44). A flow that is only captured in its
//! middle is recognised if it is TLS, DTLS or WireGuard.

use core::fmt;

/// Bytes of the head of a TLS record (RFC 8446, 5.1).
const HEAD: usize = 5;
/// The longest record, with what encryption and compression may add (RFC 5246, 6.2.3).
const MAX_RECORD: usize = (1 << 14) + 2048;
/// Records that follow one another, from which on it is not by chance.
const CERTAIN_RECORDS: u32 = 3;
/// Data messages of WireGuard with successive counters, from which on it is not by chance.
const CERTAIN_COUNTERS: u32 = 3;

/// A protocol that encrypts what it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Encrypted {
    Tls,
    Dtls,
    Ssh,
    Quic,
    WireGuard,
}

impl fmt::Display for Encrypted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tls => "TLS",
            Self::Dtls => "DTLS",
            Self::Ssh => "SSH",
            Self::Quic => "QUIC",
            Self::WireGuard => "WireGuard",
        })
    }
}

/// Recognises the protocol of one direction of a flow.
#[derive(Default)]
pub(super) struct Detector {
    is_begun: bool,
    /// The head of a record that a segment cuts.
    head: Vec<u8>,
    /// Bytes of a record that are still to come.
    left: usize,
    /// Records that followed one another.
    records: u32,
    /// WireGuard: the receiver and the counter of the last data message, and how many came in order.
    counter: Option<(u32, u64)>,
    in_order: u32,
}

impl Detector {
    /// Takes the next bytes of a TCP stream, one segment or more.
    pub(super) fn stream(&mut self, bytes: &[u8]) -> Option<Encrypted> {
        let is_first = !core::mem::replace(&mut self.is_begun, true);
        if is_first && (bytes.starts_with(b"SSH-2.0-") || bytes.starts_with(b"SSH-1.99-")) {
            return Some(Encrypted::Ssh);
        }
        if is_hello(bytes) {
            return Some(Encrypted::Tls);
        }
        let is_aligned = self.left == 0 && self.head.is_empty();
        let mut rest = bytes.get(self.left.min(bytes.len())..).unwrap_or_default();
        self.left = self.left.saturating_sub(bytes.len());
        while !rest.is_empty() {
            let missing = HEAD.saturating_sub(self.head.len()).min(rest.len());
            let (head, after) = rest.split_at_checked(missing).unwrap_or((rest, &[]));
            self.head.extend_from_slice(head);
            rest = after;
            if self.head.len() < HEAD {
                break;
            }
            let Some(len) = record_len(&self.head) else {
                // The next segment may begin with a record.
                (self.records, self.left) = (0, 0);
                self.head.clear();
                return None;
            };
            self.head.clear();
            self.records = self.records.saturating_add(1);
            self.left = len.saturating_sub(rest.len());
            rest = rest.get(len..).unwrap_or_default();
        }
        let is_whole = is_aligned && self.records > 0 && self.left == 0 && self.head.is_empty();
        (is_whole || self.records >= CERTAIN_RECORDS).then_some(Encrypted::Tls)
    }

    /// The stream continues after a gap.
    pub(super) fn skip(&mut self) {
        (self.records, self.left) = (0, 0);
        self.head.clear();
    }

    /// Takes a datagram.
    pub(super) fn datagram(&mut self, bytes: &[u8]) -> Option<Encrypted> {
        if is_quic(bytes) {
            return Some(Encrypted::Quic);
        }
        if is_dtls(bytes) {
            return Some(Encrypted::Dtls);
        }
        let (kind, len) = (bytes.first_chunk::<4>(), bytes.len());
        match kind {
            // The first and the second message of its handshake.
            Some([1, 0, 0, 0]) if len == 148 => return Some(Encrypted::WireGuard),
            Some([2, 0, 0, 0]) if len == 92 => return Some(Encrypted::WireGuard),
            Some([4, 0, 0, 0]) if len >= 32 && len.is_multiple_of(16) => {}
            _ => return None,
        }
        let receiver = bytes.get(4..).and_then(|bytes| bytes.first_chunk()).map(|bytes| u32::from_le_bytes(*bytes))?;
        let counter = bytes.get(8..).and_then(|bytes| bytes.first_chunk()).map(|bytes| u64::from_le_bytes(*bytes))?;
        let follows = self.counter == Some((receiver, counter.wrapping_sub(1)));
        self.in_order = if follows { self.in_order.saturating_add(1) } else { 0 };
        self.counter = Some((receiver, counter));
        (self.in_order >= CERTAIN_COUNTERS).then_some(Encrypted::WireGuard)
    }
}

/// The length of the record that this head announces.
fn record_len(head: &[u8]) -> Option<usize> {
    let &[0x14..=0x18, 3, 0..=4, high, low] = head else { return None };
    let len = usize::from(u16::from_be_bytes([high, low]));
    (1..=MAX_RECORD).contains(&len).then_some(len)
}

/// A record with a ClientHello or a ServerHello, of a length below 2^16.
fn is_hello(bytes: &[u8]) -> bool {
    matches!(bytes, [0x16, 3, 0..=4, _, _, 1 | 2, 0, _, _, 3, 0..=4, ..])
        && bytes.get(..HEAD).is_some_and(|head| record_len(head).is_some())
}

/// A long header of version 1, 2 or a draft (RFC 9000, 17.2; RFC 9369), with connection ids of at most 20 bytes.
fn is_quic(bytes: &[u8]) -> bool {
    matches!(
        bytes,
        [0xC0..=0xFF, 0, 0, 0, 1, 0..=20, ..]
            | [0xC0..=0xFF, 0x6B, 0x33, 0x43, 0xCF, 0..=20, ..]
            | [0xC0..=0xFF, 0xFF, 0, 0, 1..=34, 0..=20, ..]
    )
}

/// Records of DTLS 1.0 or 1.2 (RFC 6347, 4.1) that fill the datagram.
fn is_dtls(mut bytes: &[u8]) -> bool {
    let mut any = false;
    while let [0x14..=0x18, 0xFE, 0xFD | 0xFF, _, _, _, _, _, _, _, _, high, low, rest @ ..] = bytes {
        let Some(after) = rest.get(usize::from(u16::from_be_bytes([*high, *low]))..) else { return false };
        (bytes, any) = (after, true);
    }
    any && bytes.is_empty()
}
