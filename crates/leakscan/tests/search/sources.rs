// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files, directories, readers and captures.

use super::{index_of, random};
use leakscan::{Evidence, EvidenceError, Findings, Index};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::io::{self, Read};

/// A stream of random bytes, generated as they are read.
pub(crate) struct Stream(ChaCha8Rng, u64);

impl Stream {
    pub(crate) fn new(seed: u64, len: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed), len)
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = buffer.len().min(usize::try_from(self.1).unwrap_or(usize::MAX));
        self.0.fill_bytes(&mut buffer[..len]);
        self.1 -= len as u64;
        Ok(len)
    }
}

#[test]
fn a_directory_is_searched_recursively_and_links_are_not_followed() {
    let path = std::env::temp_dir().join(format!("leakscan-test-{}", std::process::id()));
    let deep = path.join("base").join("16384");
    std::fs::create_dir_all(&deep).unwrap();
    let secret = random(20, 32);
    std::fs::write(deep.join("2619"), [random(21, 5000), secret.clone()].concat()).unwrap();
    std::fs::write(path.join("log"), random(22, 5000)).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("/", path.join("root")).unwrap();
    let index = index_of(&[&secret]);
    let mut progress = (0, 0);
    let findings =
        Evidence::new().directory("disk", &path).search(&index, |done, total| progress = (done, total)).unwrap();
    let by_file = Evidence::new().file("file", deep.join("2619")).search(&index, |_, _| {}).unwrap();
    std::fs::remove_dir_all(&path).unwrap();
    assert_eq!(
        (findings.hits.len(), findings.hits[0].source.as_str(), findings.hits[0].offset),
        (1, "disk/base/16384/2619", 5000)
    );
    assert_eq!(findings.hits[0].to_string(), "value 0, bytes 0 to 32: disk/base/16384/2619 at 5000, raw");
    assert_eq!((findings.statistics.sources, findings.statistics.bytes, progress), (2, 10_032, (10_032, 10_032)));
    assert_eq!((findings.statistics.omitted, findings.statistics.noted), (0, u64::from(cfg!(unix))));
    assert_eq!(by_file.hits[0].source, "file");
    let gone = Evidence::new().directory("disk", &path).search(&index, |_, _| {});
    assert!(matches!(gone, Err(EvidenceError::Io { .. })));
}

pub(crate) const SYN: u8 = 2;

pub(crate) fn ethernet(v6: bool, tagged: bool, protocol: u8, transport: &[u8]) -> Vec<u8> {
    let mut packet = vec![2; 12];
    if tagged {
        packet.extend([0x81, 0, 0, 7]);
    }
    packet.extend(if v6 { [0x86, 0xDD] } else { [0x08, 0x00] });
    packet.extend(ip(v6, protocol, transport));
    // The padding of the frame.
    packet.extend([0; 6]);
    packet
}

pub(crate) fn ip(v6: bool, protocol: u8, transport: &[u8]) -> Vec<u8> {
    let len = u16::try_from(transport.len()).unwrap();
    if v6 {
        let mut packet = vec![0x60, 0, 0, 0];
        packet.extend((len + 8).to_be_bytes());
        packet.extend([0, 64]);
        packet.extend([0xFD; 32]);
        packet.extend([protocol, 0, 1, 4, 0, 0, 0, 0]);
        return [packet, transport.to_vec()].concat();
    }
    let mut packet = vec![0x45, 0];
    packet.extend((len + 20).to_be_bytes());
    packet.extend([0, 0, 0x40, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    [packet, transport.to_vec()].concat()
}

pub(crate) fn tcp(sequence: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut segment = vec![0x30, 0x39, 0x01, 0xBB];
    segment.extend(sequence.to_be_bytes());
    segment.extend([0, 0, 0, 0, 0x50, flags, 0, 0, 0, 0, 0, 0]);
    [segment, payload.to_vec()].concat()
}

pub(crate) fn udp(payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(payload.len() + 8).unwrap().to_be_bytes();
    [&[0x30, 0x39, 0x01, 0xBB, len[0], len[1], 0, 0], payload].concat()
}

pub(crate) fn pcap(link: u32, packets: &[Vec<u8>], big: bool) -> Vec<u8> {
    let u32 = |n: u32| if big { n.to_be_bytes() } else { n.to_le_bytes() };
    let mut file = [u32(0xA1B2_C3D4), u32(0x0004_0002), u32(0), u32(0), u32(65535), u32(link)].concat();
    for packet in packets {
        let len = u32(packet.len() as u32);
        file.extend([u32(0), u32(0), len, len].concat());
        file.extend(packet);
    }
    file
}

pub(crate) fn pcapng(link: u16, packets: &[Vec<u8>], big: bool) -> Vec<u8> {
    let u32 = |n: u32| if big { n.to_be_bytes() } else { n.to_le_bytes() };
    let block = |kind: u32, body: &[u8]| {
        let padded = [body, &vec![0; body.len().wrapping_neg() % 4]].concat();
        let len = u32(padded.len() as u32 + 12);
        [u32(kind).to_vec(), len.to_vec(), padded, len.to_vec()].concat()
    };
    let mut file = block(0x0A0D_0D0A, &[u32(0x1A2B_3C4D).to_vec(), vec![0; 4], vec![0xFF; 8]].concat());
    let link = if big { link.to_be_bytes() } else { link.to_le_bytes() };
    file.extend(block(1, &[link[0], link[1], 0, 0, 0, 0, 0, 0]));
    file.extend(block(0xBAD, b"unknown blocks are skipped"));
    for (at, packet) in packets.iter().enumerate() {
        let len = u32(packet.len() as u32);
        file.extend(match at % 2 {
            0 => block(6, &[u32(0).to_vec(), vec![0; 8], len.to_vec(), len.to_vec(), packet.clone()].concat()),
            _ => block(3, &[len.to_vec(), packet.clone()].concat()),
        });
    }
    file
}

fn search(capture: &[u8], index: &Index) -> Findings {
    Evidence::new().capture("wire", capture).search(index, |_, _| {}).unwrap()
}

/// A payload in several segments that arrive in another order, partly repeated, across the wrap of the sequence
/// numbers.
#[test]
fn a_secret_split_over_segments_is_found_in_every_capture() {
    let secret = random(30, 32);
    let index = index_of(&[&secret]);
    let payload = [random(31, 100), secret.clone(), random(32, 100)].concat();
    let first = u32::MAX - 109;
    for (v6, link) in
        [(false, 1), (true, 1), (false, 101), (true, 229), (false, 0), (true, 108), (false, 113), (true, 276)]
    {
        let wrap = |transport: &[u8], tagged| match link {
            1 => ethernet(v6, tagged, 6, transport),
            0 | 108 => [vec![0; 4], ip(v6, 6, transport)].concat(),
            113 => [vec![0; 16], ip(v6, 6, transport)].concat(),
            276 => [vec![0; 20], ip(v6, 6, transport)].concat(),
            _ => ip(v6, 6, transport),
        };
        let segment = |from: usize, to: usize| tcp(first.wrapping_add(from as u32), 0x10, &payload[from..to]);
        let packets = [
            wrap(&tcp(first - 1, SYN, &[]), false),
            wrap(&segment(0, 90), true),
            wrap(&segment(118, 232), false),
            wrap(&segment(104, 112), false),
            wrap(&segment(50, 104), true),
            wrap(&segment(112, 118), false),
            wrap(&segment(104, 118), false),
        ];
        for capture in [
            pcap(link, &packets, false),
            pcap(link, &packets, true),
            pcapng(link as u16, &packets, false),
            pcapng(link as u16, &packets, true),
        ] {
            let findings = search(&capture, &index);
            let whole: Vec<_> = findings.hits.iter().filter(|hit| hit.whole).collect();
            assert_eq!(whole.len(), 1, "{v6} {link}: {:?}", findings.hits);
            assert_eq!((whole[0].offset, whole[0].source.starts_with("wire: TCP ")), (100, true), "{}", whole[0]);
            // The control: in the capture's own bytes it is not whole.
            let raw = Evidence::new().bytes("wire", &capture).search(&index, |_, _| {}).unwrap();
            assert!(raw.hits.iter().all(|hit| !hit.whole));
            assert_eq!(findings.statistics.omitted, 0);
        }
        // Without the segment in the middle it is not whole either, and the gap is reported.
        let gap = [&packets[..3], &packets[4..5]].concat();
        let findings = search(&pcap(link, &gap, false), &index);
        assert!(findings.hits.iter().all(|hit| !hit.whole) && findings.statistics.omitted == 1);
    }
}

#[test]
fn datagrams_are_searched_and_damaged_captures_rejected() {
    let secret = random(33, 32);
    let index = index_of(&[&secret]);
    let packets = [ethernet(false, false, 17, &udp(&secret[..10])), ethernet(false, false, 17, &udp(&secret[10..]))];
    let capture = pcap(1, &packets, false);
    let hits = search(&capture, &index).hits;
    assert!(hits.iter().any(|hit| hit.whole && hit.source == "wire: UDP 10.0.0.1:12345 > 10.0.0.2:443"), "{hits:?}");
    for len in [0, 3, 20, 30, 50, capture.len() - 1] {
        assert!(Evidence::new().capture("wire", &capture[..len]).search(&index, |_, _| {}).is_err(), "{len}");
    }
    // A header that ends after the packet is an omission, and no control packet is.
    let mut bad_tcp = ethernet(false, false, 6, &tcp(1, 0x10, &secret));
    bad_tcp[14 + 20 + 12] = 0xF0;
    let bad_udp = ethernet(false, false, 17, &udp(&secret)[..7]);
    for (packet, omitted) in [(bad_tcp, 1), (bad_udp, 1), (ethernet(false, false, 1, &[8; 8]), 0)] {
        let findings = search(&pcap(1, &[packet], false), &index);
        assert_eq!(findings.statistics.omitted, omitted, "{:?}", findings.statistics.omissions);
    }
    let capture = pcapng(1, &packets, false);
    for at in 0..capture.len() {
        let mut damaged = capture.clone();
        damaged[at] ^= 0xFF;
        _ = Evidence::new().capture("wire", damaged.as_slice()).search(&index, |_, _| {});
    }
}
