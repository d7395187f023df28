// SPDX-License-Identifier: MIT OR Apache-2.0
//! The streams of a capture: the segments of each direction of a flow in the order of their sequence numbers, whatever
//! the order of their packets, each byte once.

use super::super::super::blocks::SMALL_BLOCK;
use super::super::super::layers::Layer;
use super::super::super::scan::Search;
use super::encrypted::{Detector, Encrypted};
use super::packets::{Flow, Segment, Transport};
use std::collections::{BTreeMap, HashMap};

/// Directions of flows that are followed at once: 100 MiB of blocks. At the limit, the longest inactive one is ended.
const MAX_FLOWS: usize = 1024;
/// Bytes of a direction that are kept until a missing segment arrives: a large TCP window. Beyond that the segment
/// counts as lost, and the bytes that were kept follow those before the gap.
const MAX_PENDING: usize = 1 << 20;

struct Direction {
    layer: Layer,
    /// The number of its source.
    source: u32,
    /// The sequence number of the next byte; `None` before the first segment.
    next: Option<u32>,
    /// Segments after a gap, by the offset of their first byte in the stream.
    pending: BTreeMap<u64, Vec<u8>>,
    pending_len: usize,
    /// The number of bytes of the stream so far, with those that were lost.
    position: u64,
    last_seen: u64,
    detector: Detector,
    /// The protocol that encrypts its payload.
    encrypted: Option<Encrypted>,
}

pub(super) struct Flows {
    capture: String,
    directions: HashMap<Flow, Direction>,
    clock: u64,
    lost: u64,
    /// Flows that are encrypted, with the first of them.
    encrypted: BTreeMap<Encrypted, (u64, Flow)>,
}

impl Flows {
    pub(super) fn new(capture: &str) -> Self {
        Self {
            capture: String::from(capture),
            directions: HashMap::new(),
            clock: 0,
            lost: 0,
            encrypted: BTreeMap::new(),
        }
    }

    /// Adds a segment or datagram.
    pub(super) fn add(&mut self, search: &mut Search<'_>, flow: Flow, segment: &Segment<'_>) {
        self.clock = self.clock.saturating_add(1);
        if segment.begins && flow.transport == Transport::Tcp {
            // The ports are reused.
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
            let source = search.begin(format!("{}: {flow}", self.capture));
            self.directions.insert(flow, Direction::new(source));
        }
        if let Some(direction) = self.directions.get_mut(&flow) {
            direction.last_seen = self.clock;
            let before = direction.encrypted;
            search.resume(direction.source);
            match flow.transport {
                Transport::Tcp => self.lost = self.lost.saturating_add(direction.segment(search, segment)),
                Transport::Udp => {
                    direction.layer.push(search, segment.payload);
                    if direction.encrypted.is_none() {
                        direction.encrypted = direction.detector.datagram(segment.payload);
                    }
                }
            }
            // Both directions are one flow.
            let reverse = Flow { from: flow.to, to: flow.from, ..flow };
            let now = if before.is_none() { direction.encrypted } else { None };
            let is_counted = || self.directions.get(&reverse).is_some_and(|reverse| reverse.encrypted == now);
            if let Some(protocol) = now.filter(|_| !is_counted()) {
                let (count, _) = self.encrypted.entry(protocol).or_insert((0, flow));
                *count = count.saturating_add(1);
            }
        }
        if segment.resets {
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

    /// There are no more packets.
    pub(super) fn finish(&mut self, search: &mut Search<'_>) {
        let mut left: Vec<Flow> = self.directions.keys().copied().collect();
        left.sort_unstable();
        for flow in left {
            self.end(search, &flow);
        }
        for (protocol, (count, first)) in &self.encrypted {
            let (capture, flows) = (&self.capture, if *count == 1 { "flow" } else { "flows" });
            search.statistics.omit(|| {
                format!("{capture}: {count} {flows} of {protocol}, whose content is encrypted; the first: {first}")
            });
        }
        if self.lost > 0 {
            let (capture, lost) = (&self.capture, self.lost);
            search.statistics.omit(|| format!("{capture}: {lost} gaps in TCP streams"));
        }
    }
}

impl Direction {
    fn new(source: u32) -> Self {
        let layer = Layer::source(0, SMALL_BLOCK);
        let (pending, detector) = (BTreeMap::new(), Detector::default());
        Self {
            layer,
            source,
            next: None,
            pending,
            pending_len: 0,
            position: 0,
            last_seen: 0,
            detector,
            encrypted: None,
        }
    }

    /// Adds a segment in its place. Returns the number of gaps that were given up.
    fn segment(&mut self, search: &mut Search<'_>, segment: &Segment<'_>) -> u64 {
        let sequence = segment.sequence.wrapping_add(u32::from(segment.begins));
        let next = *self.next.get_or_insert(sequence);
        // Sequence numbers wrap: a distance of half of them or more is a segment from before.
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
            let kept = self.pending.entry(place).or_default();
            if kept.len() < payload.len() {
                self.pending_len = self.pending_len.saturating_add(payload.len()).saturating_sub(kept.len());
                *kept = payload.to_vec();
            }
        }
        self.deliver_pending(search);
        let mut lost = 0u64;
        while self.pending_len > MAX_PENDING && self.skip_gap(search) {
            lost = lost.saturating_add(1);
        }
        lost
    }

    fn deliver(&mut self, search: &mut Search<'_>, bytes: &[u8]) {
        self.layer.mark();
        self.layer.push(search, bytes);
        if self.encrypted.is_none() {
            self.encrypted = self.detector.stream(bytes);
        }
        self.position = self.position.saturating_add(bytes.len() as u64);
        self.next = self.next.map(|next| next.wrapping_add(bytes.len() as u32));
    }

    fn deliver_pending(&mut self, search: &mut Search<'_>) {
        while let Some(first) = self.pending.first_entry() {
            if *first.key() > self.position {
                break;
            }
            let (place, bytes) = first.remove_entry();
            self.pending_len = self.pending_len.saturating_sub(bytes.len());
            let known = usize::try_from(self.position.saturating_sub(place)).unwrap_or(usize::MAX);
            self.deliver(search, bytes.get(known..).unwrap_or_default());
        }
    }

    /// Continues after a gap, if there are bytes after it. Offsets count the missing bytes.
    fn skip_gap(&mut self, search: &mut Search<'_>) -> bool {
        let Some((&place, _)) = self.pending.first_key_value() else { return false };
        let missing = place.saturating_sub(self.position);
        self.layer.skip(search, missing);
        self.detector.skip();
        self.position = place;
        self.next = self.next.map(|next| next.wrapping_add(missing as u32));
        self.deliver_pending(search);
        true
    }
}
