// SPDX-License-Identifier: MIT OR Apache-2.0
//! Packets: the headers of the link, network and transport layers, down to a payload and the flow that it is part of.

use core::fmt;
use core::net::{IpAddr, SocketAddr};

/// VLAN tags of a packet.
const MAX_TAGS: usize = 4;
/// Extension headers of an IPv6 packet.
const MAX_EXTENSIONS: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Transport {
    Tcp,
    Udp,
}

/// One direction of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Flow {
    pub(super) transport: Transport,
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
}

impl fmt::Display for Flow {
    /// `TCP 10.0.0.1:12345 > 10.0.0.2:443`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { transport, from, to } = self;
        let transport = match transport {
            Transport::Tcp => "TCP",
            Transport::Udp => "UDP",
        };
        write!(f, "{transport} {from} > {to}")
    }
}

/// What a packet contributes to its flow.
pub(super) struct Segment<'a> {
    /// Of TCP.
    pub(super) sequence: u32,
    /// SYN: the sequence number of the first byte is one higher.
    pub(super) begins: bool,
    /// RST.
    pub(super) resets: bool,
    pub(super) payload: &'a [u8],
}

/// Why a packet is not part of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum NoFlow {
    Truncated,
    Fragment,
    Link(u32),
    EtherType(u16),
    Protocol(u8),
    Malformed,
    /// A control protocol, whose packets are complete by themselves.
    Control,
}

impl fmt::Display for NoFlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("packets that were cut short when they were captured"),
            Self::Fragment => f.write_str("fragments of IP packets"),
            Self::Link(link) => write!(f, "packets of link type {link}"),
            Self::EtherType(kind) => write!(f, "packets of EtherType {kind:#06x}"),
            Self::Protocol(protocol) => write!(f, "packets of IP protocol {protocol}"),
            Self::Malformed | Self::Control => f.write_str("packets that are malformed"),
        }
    }
}

/// The flow of a packet, and its segment or datagram.
pub(super) fn dissect(link: u32, packet: &[u8]) -> Result<(Flow, Segment<'_>), NoFlow> {
    let (flow, segment) = network(link_payload(link, packet)?)?;
    let segment = match flow.transport {
        Transport::Tcp => tcp(segment),
        Transport::Udp => udp(segment),
    };
    Ok((flow, segment.ok_or(NoFlow::Malformed)?))
}

fn u16_be(packet: &[u8], at: usize) -> Result<u16, NoFlow> {
    let bytes = packet.get(at..).and_then(|bytes| bytes.first_chunk()).ok_or(NoFlow::Malformed)?;
    Ok(u16::from_be_bytes(*bytes))
}

fn rest(packet: &[u8], at: usize) -> Result<&[u8], NoFlow> {
    packet.get(at..).ok_or(NoFlow::Malformed)
}

/// The payload of the link layer, if it is IP (tcpdump.org/linktypes.html).
fn link_payload(link: u32, packet: &[u8]) -> Result<&[u8], NoFlow> {
    match link {
        // BSD loopback: an address family of four bytes. The number of IPv6 depends on the system, so that the version
        // in the IP header decides.
        0 | 108 => rest(packet, 4),
        1 => {
            let mut at = 12usize;
            for _ in 0..MAX_TAGS {
                let kind = u16_be(packet, at)?;
                at = at.saturating_add(2);
                match kind {
                    0x0800 | 0x86DD => return rest(packet, at),
                    0x8100 | 0x88A8 | 0x9100 => at = at.saturating_add(2),
                    _ => return Err(not_ip(kind, packet.get(at..).unwrap_or_default())),
                }
            }
            Err(NoFlow::Malformed)
        }
        // Raw IP, by its various numbers.
        12 | 14 | 101 | 228 | 229 => Ok(packet),
        // Linux "any", two versions, each with an EtherType in its header.
        113 => cooked(packet, 14, 16),
        276 => cooked(packet, 0, 20),
        _ => Err(NoFlow::Link(link)),
    }
}

fn cooked(packet: &[u8], kind: usize, at: usize) -> Result<&[u8], NoFlow> {
    let payload = rest(packet, at)?;
    match payload.first().map(|first| first >> 4) {
        Some(4 | 6) => Ok(payload),
        _ => Err(not_ip(u16_be(packet, kind)?, payload)),
    }
}

/// Classifies a packet that is not IP: ARP and its reverse, EAPOL, LLDP, PTP and loop tests, and spanning trees (IEEE
/// 802.2) are control protocols. Each of their packets is complete by itself, and is searched as it is.
fn not_ip(kind: u16, payload: &[u8]) -> NoFlow {
    match (kind, payload) {
        (0x0806 | 0x8035 | 0x888E | 0x88CC | 0x88F7 | 0x9000, _) | (..0x0600, [0x42, 0x42, ..]) => NoFlow::Control,
        _ => NoFlow::EtherType(kind),
    }
}

/// The flow of an IP packet, and its segment or datagram from the header on.
fn network(packet: &[u8]) -> Result<(Flow, &[u8]), NoFlow> {
    let first = packet.first().ok_or(NoFlow::Malformed)?;
    let (from, to, protocol, payload): (IpAddr, IpAddr, u8, &[u8]) = match first >> 4 {
        4 => {
            let header_len = usize::from(first & 0x0F).saturating_mul(4);
            let total = usize::from(u16_be(packet, 2)?);
            // The ports of a fragment are in another packet.
            if u16_be(packet, 6)? & 0x3FFF != 0 {
                return Err(NoFlow::Fragment);
            }
            let address =
                |at: usize| packet.get(at..).and_then(|bytes| bytes.first_chunk::<4>()).ok_or(NoFlow::Malformed);
            let addresses = (*address(12)?, *address(16)?);
            // Segmentation offload leaves a length of zero; a padded frame is longer than its packet.
            let end = if total == 0 { packet.len() } else { total.min(packet.len()) };
            let payload = packet.get(header_len..end).ok_or(NoFlow::Malformed)?;
            (addresses.0.into(), addresses.1.into(), packet.get(9).copied().unwrap_or_default(), payload)
        }
        6 => {
            let len = usize::from(u16_be(packet, 4)?);
            let address =
                |at: usize| packet.get(at..).and_then(|bytes| bytes.first_chunk::<16>()).ok_or(NoFlow::Malformed);
            let addresses = (*address(8)?, *address(24)?);
            let end = if len == 0 { packet.len() } else { len.saturating_add(40).min(packet.len()) };
            let payload = packet.get(40..end).ok_or(NoFlow::Malformed)?;
            let (protocol, payload) = extensions(packet.get(6).copied().unwrap_or_default(), payload)?;
            (addresses.0.into(), addresses.1.into(), protocol, payload)
        }
        _ => return Err(NoFlow::Malformed),
    };
    let transport = match protocol {
        6 => Transport::Tcp,
        17 => Transport::Udp,
        // ICMP, IGMP, ICMPv6, and no next header.
        1 | 2 | 58 | 59 => return Err(NoFlow::Control),
        protocol => return Err(NoFlow::Protocol(protocol)),
    };
    let (from_port, to_port) = (u16_be(payload, 0)?, u16_be(payload, 2)?);
    Ok((Flow { transport, from: (from, from_port).into(), to: (to, to_port).into() }, payload))
}

/// Skips the extension headers after which the next header is readable (RFC 8200, 4).
fn extensions(mut protocol: u8, mut payload: &[u8]) -> Result<(u8, &[u8]), NoFlow> {
    for _ in 0..MAX_EXTENSIONS {
        match protocol {
            0 | 43 | 60 => {
                let len = payload.get(1).ok_or(NoFlow::Malformed)?;
                let len = usize::from(*len).saturating_add(1).saturating_mul(8);
                (protocol, payload) = (payload.first().copied().unwrap_or_default(), rest(payload, len)?);
            }
            44 => return Err(NoFlow::Fragment),
            _ => return Ok((protocol, payload)),
        }
    }
    Err(NoFlow::Malformed)
}

/// RFC 9293, 3.1.
fn tcp(segment: &[u8]) -> Option<Segment<'_>> {
    let sequence = u32::from_be_bytes(*segment.get(4..)?.first_chunk()?);
    let header_len = usize::from(segment.get(12)? >> 4).saturating_mul(4);
    let flags = segment.get(13)?;
    let payload = segment.get(header_len..)?;
    Some(Segment { sequence, begins: flags & 2 != 0, resets: flags & 4 != 0, payload })
}

/// RFC 768.
fn udp(datagram: &[u8]) -> Option<Segment<'_>> {
    let len = usize::from(u16::from_be_bytes(*datagram.get(4..)?.first_chunk()?));
    let end = if len == 0 { datagram.len() } else { len.min(datagram.len()) };
    Some(Segment { sequence: 0, begins: false, resets: false, payload: datagram.get(8..end)? })
}
