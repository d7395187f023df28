// SPDX-License-Identifier: MIT OR Apache-2.0
//! Captures of traffic: classic pcap and pcapng, and the packets in them down to what TCP and UDP carry.
//!
//! The capture's own bytes are examined as well, so that headers, fragments and protocols that are not understood count
//! for what lies in one piece; that they are no more than searched as they are is an omission. Formats: draft-ietf-opsawg-pcap-05, draft-ietf-opsawg-pcapng-03.

use super::flows::{Flow, Flows, Transport};
use super::scan::{BLOCK, Layer, Search};
use super::source::{EvidenceError, Progress, examine};
use core::net::IpAddr;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read};

/// Bytes of a block or packet: more than any program writes (tcpdump's bound is 256 KiB).
const MAX_BLOCK: usize = 1 << 24;
/// VLAN tags one within another.
const MAX_TAGS: usize = 4;
/// Extension headers of an IPv6 packet.
const MAX_EXTENSIONS: usize = 8;

const MAGIC_MICROSECONDS: u32 = 0xA1B2_C3D4;
const MAGIC_NANOSECONDS: u32 = 0xA1B2_3C4D;
const SECTION_HEADER: u32 = 0x0A0D_0D0A;
const BYTE_ORDER: u32 = 0x1A2B_3C4D;

/// The reader, and beside it the examination of the bytes as they are.
struct Bytes<'r, 's, 'i, 'p> {
    from: &'r mut dyn Read,
    search: &'s mut Search<'i>,
    progress: &'s mut Progress<'p>,
    layer: Layer,
    flows: Flows,
    big: bool,
    raw: Vec<u8>,
    /// Packets that no flow has, or not whole, by why.
    left: BTreeMap<Left, u64>,
}

/// Why a packet is no part of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Left {
    CutShort,
    Fragment,
    Link(u32),
    EtherType(u16),
    Protocol(u8),
    Malformed,
    /// What such a packet carries, it carries whole.
    Control,
}

impl Left {
    fn describe(self) -> String {
        match self {
            Self::CutShort => "packets that were cut short when they were captured".into(),
            Self::Fragment => "fragments of IP packets".into(),
            Self::Link(link) => format!("packets of link type {link}"),
            Self::EtherType(kind) => format!("packets of EtherType {kind:#06x}"),
            Self::Protocol(protocol) => format!("packets of IP protocol {protocol}"),
            Self::Malformed | Self::Control => "packets that are malformed".into(),
        }
    }
}

enum Failure {
    Io(io::Error),
    Malformed(&'static str),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Searches a capture.
pub(super) fn capture(
    search: &mut Search<'_>,
    progress: &mut Progress<'_>,
    name: &str,
    mut from: impl Read,
) -> Result<(), EvidenceError> {
    let number = search.begin(String::from(name));
    let layer = Layer::source(0, BLOCK);
    let flows = Flows::new(name, number);
    let (big, raw, left) = (false, Vec::new(), BTreeMap::new());
    let mut bytes = Bytes { from: &mut from, search, progress, layer, flows, big, raw, left };
    let result = bytes.read();
    bytes.search.resume(number);
    bytes.layer.finish(bytes.search);
    bytes.flows.finish(bytes.search);
    for (why, count) in bytes.left {
        let why = why.describe();
        bytes.search.statistics.omit(|| format!("{name}: {count} {why}: no more than searched as they are"));
    }
    result.map_err(|failure| match failure {
        Failure::Io(error) => EvidenceError::Io { source: String::from(name), error },
        Failure::Malformed(what) => EvidenceError::Capture { source: String::from(name), what },
    })
}

impl Bytes<'_, '_, '_, '_> {
    /// Reads `len` bytes; fewer if there are no more.
    fn take(&mut self, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = core::mem::take(&mut self.raw);
        bytes.clear();
        Read::by_ref(&mut self.from).take(len as u64).read_to_end(&mut bytes)?;
        self.search.resume(self.flows.capture());
        examine(self.search, self.progress, &mut self.layer, &bytes);
        Ok(bytes)
    }

    fn exactly(&mut self, len: usize) -> Result<Vec<u8>, Failure> {
        if len > MAX_BLOCK {
            return Err(Failure::Malformed("a length beyond its bound"));
        }
        let bytes = self.take(len)?;
        if bytes.len() == len { Ok(bytes) } else { Err(Failure::Io(ErrorKind::UnexpectedEof.into())) }
    }

    fn u32_at(&self, bytes: &[u8], at: usize) -> u32 {
        let bytes = bytes.get(at..).and_then(|bytes| bytes.first_chunk()).copied().unwrap_or_default();
        if self.big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }

    fn u16_at(&self, bytes: &[u8], at: usize) -> u16 {
        let bytes = bytes.get(at..).and_then(|bytes| bytes.first_chunk()).copied().unwrap_or_default();
        if self.big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    }

    fn read(&mut self) -> Result<(), Failure> {
        let magic = self.exactly(4)?;
        for big in [false, true] {
            self.big = big;
            match self.u32_at(&magic, 0) {
                MAGIC_MICROSECONDS | MAGIC_NANOSECONDS => return self.classic(),
                SECTION_HEADER => return self.next_generation(),
                _ => {}
            }
        }
        Err(Failure::Malformed("another beginning"))
    }

    fn classic(&mut self) -> Result<(), Failure> {
        let header = self.exactly(20)?;
        let link = self.u32_at(&header, 16) & 0xFFFF;
        self.raw = header;
        loop {
            let header = self.take(16)?;
            match header.len() {
                0 => return Ok(()),
                16 => {}
                _ => return Err(Failure::Io(ErrorKind::UnexpectedEof.into())),
            }
            let (len, sent) = (self.u32_at(&header, 8) as usize, self.u32_at(&header, 12) as usize);
            self.raw = header;
            let packet = self.exactly(len)?;
            self.packet(link, &packet, sent);
            self.raw = packet;
        }
    }

    fn next_generation(&mut self) -> Result<(), Failure> {
        let mut links: Vec<u16> = Vec::new();
        let mut kind = SECTION_HEADER;
        loop {
            // A section says its own byte order, behind the length.
            let mut head = self.exactly(if kind == SECTION_HEADER { 8 } else { 4 })?;
            if kind == SECTION_HEADER {
                links.clear();
                self.big = false;
                if self.u32_at(&head, 4) != BYTE_ORDER {
                    self.big = true;
                    if self.u32_at(&head, 4) != BYTE_ORDER {
                        return Err(Failure::Malformed("a section without byte order"));
                    }
                }
            }
            let len = self.u32_at(&head, 0) as usize;
            let read = head.len().saturating_add(4);
            let rest = len.checked_sub(read).ok_or(Failure::Malformed("a block shorter than its head"))?;
            head.clear();
            self.raw = head;
            let block = self.exactly(rest)?;
            // Enhanced, simple and old packet blocks: interface, lengths captured and sent, where the packet begins.
            let packet: Option<(usize, usize, u32, usize)> = match kind {
                1 => {
                    links.push(self.u16_at(&block, 0));
                    None
                }
                2 => {
                    let interface = usize::from(self.u16_at(&block, 0));
                    Some((interface, self.u32_at(&block, 12) as usize, self.u32_at(&block, 16), 20))
                }
                3 => {
                    let sent = self.u32_at(&block, 0);
                    Some((0, (sent as usize).min(rest.saturating_sub(8)), sent, 4))
                }
                6 => {
                    let interface = self.u32_at(&block, 0) as usize;
                    Some((interface, self.u32_at(&block, 12) as usize, self.u32_at(&block, 16), 20))
                }
                _ => None,
            };
            if let Some((interface, len, sent, at)) = packet {
                let link = *links.get(interface).ok_or(Failure::Malformed("an unknown interface"))?;
                let packet =
                    block.get(at..at.saturating_add(len)).ok_or(Failure::Malformed("a packet beyond its block"))?;
                self.packet(u32::from(link), packet, sent as usize);
            }
            self.raw = block;
            let next = self.take(4)?;
            match next.len() {
                0 => return Ok(()),
                4 => kind = self.u32_at(&next, 0),
                _ => return Err(Failure::Io(ErrorKind::UnexpectedEof.into())),
            }
        }
    }

    /// `sent` is how long the packet was on the wire.
    fn packet(&mut self, link: u32, packet: &[u8], sent: usize) {
        if packet.len() < sent {
            self.leave(Left::CutShort);
        }
        match dissect(link, packet) {
            Ok((flow, header)) => self.flows.add(self.search, flow, header),
            Err(why) => self.leave(why),
        }
    }

    fn leave(&mut self, why: Left) {
        if why != Left::Control {
            let count = self.left.entry(why).or_default();
            *count = count.saturating_add(1);
        }
    }
}

/// The flow of a packet and, from its header on, the segment or datagram.
fn dissect(link: u32, packet: &[u8]) -> Result<(Flow, &[u8]), Left> {
    network(link_payload(link, packet)?)
}

fn u16_be(packet: &[u8], at: usize) -> Result<u16, Left> {
    let bytes = packet.get(at..).and_then(|rest| rest.first_chunk()).ok_or(Left::Malformed)?;
    Ok(u16::from_be_bytes(*bytes))
}

fn behind(packet: &[u8], at: usize) -> Result<&[u8], Left> {
    packet.get(at..).ok_or(Left::Malformed)
}

/// What the link layer carries, if that is IP (tcpdump.org/linktypes.html).
fn link_payload(link: u32, packet: &[u8]) -> Result<&[u8], Left> {
    match link {
        // BSD loopback: an address family of four bytes. Which number is IPv6 depends on the system: IP says it itself.
        0 | 108 => behind(packet, 4),
        1 => {
            let mut at = 12usize;
            for _ in 0..MAX_TAGS {
                let kind = u16_be(packet, at)?;
                at = at.saturating_add(2);
                match kind {
                    0x0800 | 0x86DD => return behind(packet, at),
                    0x8100 | 0x88A8 | 0x9100 => at = at.saturating_add(2),
                    _ => return Err(other(kind, packet.get(at..).unwrap_or_default())),
                }
            }
            Err(Left::Malformed)
        }
        // Raw IP, by its various numbers.
        12 | 14 | 101 | 228 | 229 => Ok(packet),
        // Linux "any", two versions, each with an EtherType in its header.
        113 => cooked(packet, 14, 16),
        276 => cooked(packet, 0, 20),
        _ => Err(Left::Link(link)),
    }
}

fn cooked(packet: &[u8], kind: usize, at: usize) -> Result<&[u8], Left> {
    let payload = behind(packet, at)?;
    match payload.first().map(|first| first >> 4) {
        Some(4 | 6) => Ok(payload),
        _ => Err(other(u16_be(packet, kind)?, payload)),
    }
}

/// Of what is not IP: ARP and its reverse, EAPOL, LLDP, PTP and loop tests, and spanning trees (IEEE 802.2) are control
/// protocols. Their packets stand alone, and are searched as they are.
fn other(kind: u16, payload: &[u8]) -> Left {
    match (kind, payload) {
        (0x0806 | 0x8035 | 0x888E | 0x88CC | 0x88F7 | 0x9000, _) | (..0x0600, [0x42, 0x42, ..]) => Left::Control,
        _ => Left::EtherType(kind),
    }
}

fn network(packet: &[u8]) -> Result<(Flow, &[u8]), Left> {
    let first = packet.first().ok_or(Left::Malformed)?;
    let (from, to, protocol, payload): (IpAddr, IpAddr, u8, &[u8]) = match first >> 4 {
        4 => {
            let header_len = usize::from(first & 0x0F).saturating_mul(4);
            let total = usize::from(u16_be(packet, 2)?);
            // A fragment's ports are in another packet.
            if u16_be(packet, 6)? & 0x3FFF != 0 {
                return Err(Left::Fragment);
            }
            let address = |at: usize| packet.get(at..).and_then(|rest| rest.first_chunk::<4>()).ok_or(Left::Malformed);
            let addresses = (*address(12)?, *address(16)?);
            // Segmentation offload leaves a length of zero; a padded frame is longer than its packet.
            let end = if total == 0 { packet.len() } else { total.min(packet.len()) };
            let payload = packet.get(header_len..end).ok_or(Left::Malformed)?;
            (addresses.0.into(), addresses.1.into(), packet.get(9).copied().unwrap_or_default(), payload)
        }
        6 => {
            let len = usize::from(u16_be(packet, 4)?);
            let address = |at: usize| packet.get(at..).and_then(|rest| rest.first_chunk::<16>()).ok_or(Left::Malformed);
            let addresses = (*address(8)?, *address(24)?);
            let end = if len == 0 { packet.len() } else { len.saturating_add(40).min(packet.len()) };
            let payload = packet.get(40..end).ok_or(Left::Malformed)?;
            let (protocol, payload) = extensions(packet.get(6).copied().unwrap_or_default(), payload)?;
            (addresses.0.into(), addresses.1.into(), protocol, payload)
        }
        _ => return Err(Left::Malformed),
    };
    let transport = match protocol {
        6 => Transport::Tcp,
        17 => Transport::Udp,
        // ICMP, IGMP, ICMPv6, and nothing.
        1 | 2 | 58 | 59 => return Err(Left::Control),
        protocol => return Err(Left::Protocol(protocol)),
    };
    let (from_port, to_port) = (u16_be(payload, 0)?, u16_be(payload, 2)?);
    Ok((Flow { transport, from: (from, from_port).into(), to: (to, to_port).into() }, payload))
}

/// Steps over the extension headers that do not hide what follows (RFC 8200, 4).
fn extensions(mut protocol: u8, mut payload: &[u8]) -> Result<(u8, &[u8]), Left> {
    for _ in 0..MAX_EXTENSIONS {
        match protocol {
            0 | 43 | 60 => {
                let len = payload.get(1).ok_or(Left::Malformed)?;
                let len = usize::from(*len).saturating_add(1).saturating_mul(8);
                (protocol, payload) = (payload.first().copied().unwrap_or_default(), behind(payload, len)?);
            }
            44 => return Err(Left::Fragment),
            _ => return Ok((protocol, payload)),
        }
    }
    Err(Left::Malformed)
}

/// The name of a flow's source.
pub(super) fn name(capture: &str, flow: &Flow) -> String {
    let Flow { transport, from, to } = flow;
    let transport = match transport {
        Transport::Tcp => "TCP",
        Transport::Udp => "UDP",
    };
    format!("{capture}: {transport} {from} > {to}")
}
