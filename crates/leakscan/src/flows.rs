// SPDX-License-Identifier: MIT OR Apache-2.0
//! The streams of a capture: the segments of each direction of a flow in their order, whatever the order in which they
//! were seen, each byte once.

use super::pcap::name;
use super::scan::{Layer, SMALL_BLOCK, Search};
use core::net::SocketAddr;
use std::collections::{BTreeMap, HashMap};

/// Directions of flows that are followed at once: 100 MiB of blocks. The one that has been silent longest is ended.
const MAX_FLOWS: usize = 1024;
/// Bytes of a direction that wait for a segment which is missing: a large TCP window. Then it counts as lost, and what
/// waits follows what was there.
const MAX_WAITING: usize = 1 << 20;

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

struct Direction {
    layer: Layer,
    /// The number of its source.
    source: u32,
    /// The sequence number of the next byte; `None` before the first segment.
    next: Option<u32>,
    /// Segments that are ahead, by how far beyond the first byte of the stream they are.
    waiting: BTreeMap<u64, Vec<u8>>,
    waiting_len: usize,
    /// Bytes of the stream so far, those that were lost too.
    position: u64,
    last_seen: u64,
}

pub(super) struct Flows {
    capture: String,
    number: u32,
    directions: HashMap<Flow, Direction>,
    clock: u64,
    lost: u64,
}

impl Flows {
    pub(super) fn new(capture: &str, number: u32) -> Self {
        Self { capture: String::from(capture), number, directions: HashMap::new(), clock: 0, lost: 0 }
    }

    /// The number of the capture's own source.
    pub(super) const fn capture(&self) -> u32 {
        self.number
    }

    /// A segment or datagram, from its header on.
    pub(super) fn add(&mut self, search: &mut Search<'_>, flow: Flow, segment: &[u8]) {
        self.clock = self.clock.saturating_add(1);
        let parsed = match flow.transport {
            Transport::Tcp => tcp(segment),
            Transport::Udp => {
                let len = usize::from(u16::from_be_bytes(
                    segment.get(4..).and_then(|s| s.first_chunk()).copied().unwrap_or_default(),
                ));
                let end = if len == 0 { segment.len() } else { len.min(segment.len()) };
                segment.get(8..end).map(|payload| Segment { sequence: 0, begins: false, resets: false, payload })
            }
        };
        let Some(segment) = parsed else { return };
        if segment.begins && flow.transport == Transport::Tcp {
            // The ports are used anew.
            self.end(search, &flow);
        }
        if !self.directions.contains_key(&flow) {
            if segment.payload.is_empty() && !segment.begins {
                return;
            }
            if self.directions.len() >= MAX_FLOWS {
                let oldest =
                    self.directions.iter().min_by_key(|(_, direction)| direction.last_seen).map(|(flow, _)| *flow);
                if let Some(oldest) = oldest {
                    self.end(search, &oldest);
                }
            }
            let source = search.begin(name(&self.capture, &flow));
            self.directions.insert(flow, Direction::new(source));
        }
        let resets = segment.resets;
        if let Some(direction) = self.directions.get_mut(&flow) {
            direction.last_seen = self.clock;
            search.resume(direction.source);
            match flow.transport {
                Transport::Tcp => self.lost = self.lost.saturating_add(direction.segment(search, &segment)),
                Transport::Udp => direction.layer.push(search, segment.payload),
            }
        }
        if resets {
            self.end(search, &flow);
        }
    }

    fn end(&mut self, search: &mut Search<'_>, flow: &Flow) {
        if let Some(mut direction) = self.directions.remove(flow) {
            search.resume(direction.source);
            while direction.skip_gap(search) {
                self.lost = self.lost.saturating_add(1);
            }
            direction.layer.finish(search);
        }
    }

    /// No more packets.
    pub(super) fn finish(&mut self, search: &mut Search<'_>) {
        let mut left: Vec<Flow> = self.directions.keys().copied().collect();
        left.sort_unstable();
        for flow in left {
            self.end(search, &flow);
        }
        if self.lost > 0 {
            let (capture, lost) = (&self.capture, self.lost);
            search.statistics.omit(|| format!("{capture}: {lost} gaps in TCP streams"));
        }
    }
}

struct Segment<'a> {
    sequence: u32,
    /// SYN: the number of the first byte is one higher.
    begins: bool,
    resets: bool,
    payload: &'a [u8],
}

fn tcp(segment: &[u8]) -> Option<Segment<'_>> {
    let sequence = u32::from_be_bytes(*segment.get(4..)?.first_chunk()?);
    let header_len = usize::from(segment.get(12)? >> 4).saturating_mul(4);
    let flags = segment.get(13)?;
    let payload = segment.get(header_len..)?;
    Some(Segment { sequence, begins: flags & 2 != 0, resets: flags & 4 != 0, payload })
}

impl Direction {
    fn new(source: u32) -> Self {
        let layer = Layer::source(0, SMALL_BLOCK);
        Self { layer, source, next: None, waiting: BTreeMap::new(), waiting_len: 0, position: 0, last_seen: 0 }
    }

    /// A segment in its place; how many gaps were given up.
    fn segment(&mut self, search: &mut Search<'_>, segment: &Segment<'_>) -> u64 {
        let sequence = segment.sequence.wrapping_add(u32::from(segment.begins));
        let next = *self.next.get_or_insert(sequence);
        // Sequence numbers wrap: what is less than half of them behind is old.
        let ahead = sequence.wrapping_sub(next);
        let (skip, place) = if ahead < 1 << 31 {
            (0, self.position.saturating_add(u64::from(ahead)))
        } else {
            (next.wrapping_sub(sequence) as usize, self.position)
        };
        let payload = segment.payload.get(skip..).unwrap_or_default();
        if payload.is_empty() {
            return 0;
        }
        if place == self.position {
            self.deliver(search, payload);
        } else {
            let waits = self.waiting.entry(place).or_default();
            if waits.len() < payload.len() {
                self.waiting_len = self.waiting_len.saturating_add(payload.len()).saturating_sub(waits.len());
                *waits = payload.to_vec();
            }
        }
        self.deliver_waiting(search);
        let mut lost = 0u64;
        while self.waiting_len > MAX_WAITING && self.skip_gap(search) {
            lost = lost.saturating_add(1);
        }
        lost
    }

    fn deliver(&mut self, search: &mut Search<'_>, bytes: &[u8]) {
        self.layer.push(search, bytes);
        self.position = self.position.saturating_add(bytes.len() as u64);
        self.next = self.next.map(|next| next.wrapping_add(bytes.len() as u32));
    }

    fn deliver_waiting(&mut self, search: &mut Search<'_>) {
        while let Some(first) = self.waiting.first_entry() {
            if *first.key() > self.position {
                break;
            }
            let (place, bytes) = first.remove_entry();
            self.waiting_len = self.waiting_len.saturating_sub(bytes.len());
            let known = usize::try_from(self.position.saturating_sub(place)).unwrap_or(usize::MAX);
            self.deliver(search, bytes.get(known..).unwrap_or_default());
        }
    }

    /// Goes on behind what is missing; whether something waited there. Offsets count what is missing.
    fn skip_gap(&mut self, search: &mut Search<'_>) -> bool {
        let Some((&place, _)) = self.waiting.first_key_value() else { return false };
        let missing = place.saturating_sub(self.position);
        self.layer.skip(search, missing);
        self.position = place;
        self.next = self.next.map(|next| next.wrapping_add(missing as u32));
        self.deliver_waiting(search);
        true
    }
}
