// SPDX-License-Identifier: MIT OR Apache-2.0
//! Captures of traffic: the container, classic pcap or pcapng (draft-ietf-opsawg-pcap-05, draft-ietf-opsawg-pcapng-03).
//!
//! ```text
//! packets.rs   a packet's headers, down to the segment or datagram of a flow
//! flows.rs     the stream of each direction of each flow
//! encrypted.rs recognises flows that are encrypted, which are omissions
//! ```
//!
//! The capture's own bytes are searched as well, so that headers, fragments and unknown protocols count if a value lies
//! in them in one piece; a compressed stream that the packets cut in them is whole in its flow. Packets that are only searched in this way are an omission.
//!
//! Container and headers are parsed here, since the two crates that could do it do not report all that they leave out.
//! `pcap-parser` 0.17.0 has no decoder for the packet block of type 2, returns the same error for a packet longer than
//! its block as for a capture that is cut, and needs a buffer that its caller grows for large blocks. `etherparse`
//! 0.21.0 reports why it stops at a header of IP, TCP or UDP, but does not read BSD loopback (0, 108) and Linux "any"
//! version 2 (276), so that the link layer and its control protocols would stay here, and only some 60 lines would go.

mod encrypted;
mod flows;
mod packets;

use super::super::blocks::BLOCK;
use super::super::layers::Layer;
use super::super::scan::Search;
use super::error::EvidenceError;
use super::progress::{Progress, examine};
use flows::Flows;
use packets::{NoFlow, dissect};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read};

/// Bytes of a block or packet: more than any program writes (tcpdump's limit is 256 KiB).
const MAX_BLOCK: usize = 1 << 24;

const MAGIC_MICROSECONDS: u32 = 0xA1B2_C3D4;
const MAGIC_NANOSECONDS: u32 = 0xA1B2_3C4D;
const SECTION_HEADER: u32 = 0x0A0D_0D0A;
const DECRYPTION_SECRETS: u32 = 10;
const BYTE_ORDER: u32 = 0x1A2B_3C4D;

/// A capture that is being read; its bytes are searched as they are read.
struct Capture<'r, 's, 'i, 'p> {
    from: &'r mut dyn Read,
    search: &'s mut Search<'i>,
    progress: &'s mut Progress<'p>,
    layer: Layer,
    /// The number of the source of the capture's own bytes.
    source: u32,
    flows: Flows,
    big_endian: bool,
    /// A buffer that is reused.
    buffer: Vec<u8>,
    /// The packets that are not, or not completely, part of a flow, by reason.
    omitted: BTreeMap<NoFlow, u64>,
    /// Blocks of pcapng with secrets by which flows could be decrypted.
    secrets: u64,
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
    if !progress.begin(search, name, true) {
        return Ok(());
    }
    let source = search.begin(String::from(name));
    let layer = Layer::source(0, BLOCK);
    let flows = Flows::new(name);
    let (big_endian, buffer, omitted) = (false, Vec::new(), BTreeMap::new());
    let from = &mut from;
    let mut capture = Capture { from, search, progress, layer, source, flows, big_endian, buffer, omitted, secrets: 0 };
    let result = capture.read();
    capture.search.resume(source);
    capture.search.silence(true);
    capture.layer.finish(capture.search);
    capture.search.silence(false);
    capture.flows.finish(capture.search);
    if capture.secrets > 0 {
        let count = capture.secrets;
        capture
            .search
            .statistics
            .omit(|| format!("{name}: blocks with secrets of sessions, by which no flow was decrypted: {count}"));
    }
    for (why, count) in capture.omitted {
        capture.search.statistics.omit(|| format!("{name}: {count} {why}: searched only as they are"));
    }
    if capture.search.is_stopped() {
        return Ok(());
    }
    result.map_err(|failure| match failure {
        Failure::Io(error) => EvidenceError::Io { source: String::from(name), error },
        Failure::Malformed(what) => EvidenceError::Capture { source: String::from(name), what },
    })
}

impl Capture<'_, '_, '_, '_> {
    /// Reads `len` bytes; fewer if the capture ends.
    fn take(&mut self, len: usize) -> io::Result<Vec<u8>> {
        if self.progress.stops(self.search) {
            return Err(io::Error::other("the search was stopped"));
        }
        let mut bytes = core::mem::take(&mut self.buffer);
        bytes.clear();
        Read::by_ref(&mut self.from).take(len as u64).read_to_end(&mut bytes)?;
        self.search.resume(self.source);
        self.search.silence(true);
        examine(self.search, self.progress, &mut self.layer, &bytes);
        self.search.silence(false);
        Ok(bytes)
    }

    fn exactly(&mut self, len: usize) -> Result<Vec<u8>, Failure> {
        if len > MAX_BLOCK {
            return Err(Failure::Malformed("a length beyond its limit"));
        }
        let bytes = self.take(len)?;
        if bytes.len() == len { Ok(bytes) } else { Err(Failure::Io(ErrorKind::UnexpectedEof.into())) }
    }

    fn u32_at(&self, bytes: &[u8], at: usize) -> u32 {
        let bytes = bytes.get(at..).and_then(|bytes| bytes.first_chunk()).copied().unwrap_or_default();
        if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }

    fn u16_at(&self, bytes: &[u8], at: usize) -> u16 {
        let bytes = bytes.get(at..).and_then(|bytes| bytes.first_chunk()).copied().unwrap_or_default();
        if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    }

    fn read(&mut self) -> Result<(), Failure> {
        let magic = self.exactly(4)?;
        for big_endian in [false, true] {
            self.big_endian = big_endian;
            match self.u32_at(&magic, 0) {
                MAGIC_MICROSECONDS | MAGIC_NANOSECONDS => return self.read_pcap(),
                SECTION_HEADER => return self.read_pcapng(),
                _ => {}
            }
        }
        Err(Failure::Malformed("an unknown magic number"))
    }

    fn read_pcap(&mut self) -> Result<(), Failure> {
        let header = self.exactly(20)?;
        let link = self.u32_at(&header, 16) & 0xFFFF;
        self.buffer = header;
        loop {
            let header = self.take(16)?;
            match header.len() {
                0 => return Ok(()),
                16 => {}
                _ => return Err(Failure::Io(ErrorKind::UnexpectedEof.into())),
            }
            let (len, sent) = (self.u32_at(&header, 8) as usize, self.u32_at(&header, 12) as usize);
            self.buffer = header;
            let packet = self.exactly(len)?;
            self.packet(link, &packet, sent);
            self.buffer = packet;
        }
    }

    fn read_pcapng(&mut self) -> Result<(), Failure> {
        let mut links: Vec<u16> = Vec::new();
        let mut kind = SECTION_HEADER;
        loop {
            // A section declares its own byte order, after its length.
            let mut head = self.exactly(if kind == SECTION_HEADER { 8 } else { 4 })?;
            if kind == SECTION_HEADER {
                links.clear();
                self.big_endian = false;
                if self.u32_at(&head, 4) != BYTE_ORDER {
                    self.big_endian = true;
                    if self.u32_at(&head, 4) != BYTE_ORDER {
                        return Err(Failure::Malformed("a section without byte order"));
                    }
                }
            }
            let len = self.u32_at(&head, 0) as usize;
            let read = head.len().saturating_add(4);
            let rest = len.checked_sub(read).ok_or(Failure::Malformed("a block shorter than its head"))?;
            head.clear();
            self.buffer = head;
            let block = self.exactly(rest)?;
            // Enhanced, simple and old packet blocks: interface, captured and original length, where the packet begins.
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
                DECRYPTION_SECRETS => {
                    self.secrets = self.secrets.saturating_add(1);
                    None
                }
                _ => None,
            };
            if let Some((interface, len, sent, at)) = packet {
                let link = *links.get(interface).ok_or(Failure::Malformed("an unknown interface"))?;
                let packet =
                    block.get(at..at.saturating_add(len)).ok_or(Failure::Malformed("a packet beyond its block"))?;
                self.packet(u32::from(link), packet, sent as usize);
            }
            self.buffer = block;
            let next = self.take(4)?;
            match next.len() {
                0 => return Ok(()),
                4 => kind = self.u32_at(&next, 0),
                _ => return Err(Failure::Io(ErrorKind::UnexpectedEof.into())),
            }
        }
    }

    /// `sent` is the length of the packet on the wire.
    fn packet(&mut self, link: u32, packet: &[u8], sent: usize) {
        if packet.len() < sent {
            self.omit(NoFlow::Truncated);
        }
        match dissect(link, packet) {
            Ok((flow, segment)) => self.flows.add(self.search, flow, &segment),
            Err(why) => self.omit(why),
        }
    }

    fn omit(&mut self, why: NoFlow) {
        if why != NoFlow::Control {
            let count = self.omitted.entry(why).or_default();
            *count = count.saturating_add(1);
        }
    }
}
