// SPDX-License-Identifier: MIT OR Apache-2.0
//! The audit: any schedule on recorders, with the audit as the oracle; any bytes as a trace; any bytes around an
//! encoded secret as evidence, with one target for each decoder; and any bytes as a capture of traffic.

use super::Bug;
use super::edit::edit;
use super::support::rng;
use data_encoding::{BASE64_NOPAD, HEXLOWER};
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use leakscan::Needles;
use noescrow::{session, skipped::Inline};
use noescrow_audit::{Audit, Encoding, Encodings, Evidence, FindingKind, Tape, fuzz};
use noescrow_recorder::{Recorder, profile};
use noescrow_sim::{Event, Opening, Simulation, run};
use std::io::Write;
use std::sync::OnceLock;

/// Runs an opening and a schedule of two devices and a hostile relay, each on a recorder of its own. What the relay
/// sees and computes exposes exactly the plaintexts sent to its own identity and no other secret, and the run has no
/// other flaw. Crashes are left out: what they lose never left its device, and the contract lets its key be used again.
/// The planted bug: the server logs a plaintext.
pub fn audit_schedule(bytes: &[u8], bug: Bug) {
    let (opening, schedule) = match bytes.split_first_chunk() {
        Some((opening, schedule)) => (Opening::decode(*opening), schedule),
        None => (Opening::PLAIN, bytes),
    };
    let tape = Tape::in_memory();
    let [alice, bob] = ["Alice", "Bob"].map(|name| Recorder::device(&tape, name).unwrap());
    let relay = Recorder::server(&tape, "relay").unwrap();
    let mut simulation =
        Simulation::<session::Session<Recorder, Inline<40>>, _>::new(alice, bob, relay, opening, rng(7)).unwrap();
    let events = Event::decode_all(schedule).filter(|event| !matches!(event, Event::Crash { .. }));
    run(&mut simulation, events).unwrap();
    let sent = simulation.sent().iter().flat_map(|sent| sent.bytes.clone());
    let mut observed: Vec<u8> =
        simulation.bundle().iter().chain(simulation.handshakes().traffic()).copied().chain(sent).collect();
    if bug == Bug::Planted {
        observed.extend(hex(&simulation.sent()[0].plaintext));
    }
    let verdict = Audit::of(profile(), &tape).unwrap().server_saw("server", &observed).known(Evidence::new()).verdict();
    let relay_plaintexts = simulation.handshakes().relay_plaintexts().len();
    // Some of the texts are too short or too plain to be searched for.
    assert_eq!(verdict.holds_for_what_was_searched(), relay_plaintexts == 0, "{verdict}");
    let read = verdict.findings.iter().filter(|finding| finding.what.starts_with("plaintext")).count();
    assert_eq!(read, relay_plaintexts, "{verdict}");
    // In a conversation with the relay, the relay's values enter the keys, and the keys follow from what it knows.
    let of_relay = [FindingKind::Derivable, FindingKind::ServerInKey];
    assert!(verdict.findings.iter().all(|finding| of_relay.contains(&finding.kind)), "{verdict}");
}

/// The trace of a handshake and a message, as bytes, without its end: no edit of a trace with it is one.
fn genuine_trace() -> &'static [u8] {
    static TRACE: OnceLock<Vec<u8>> = OnceLock::new();
    TRACE.get_or_init(|| {
        let tape = Tape::in_memory();
        let [alice, bob] = ["Alice", "Bob"].map(|name| Recorder::device(&tape, name).unwrap());
        let opening = Opening { burst: 1, ..Opening::PLAIN };
        Simulation::<session::Session<Recorder, Inline<4>>, _>::new(alice, bob.clone(), bob, opening, rng(8)).unwrap();
        let mut trace = tape.bytes();
        trace.truncate(trace.len() - fuzz::END_LEN);
        trace
    })
}

/// Any bytes, or an edit of a genuine trace: if they parse, they are recomputed, written again to the same bytes, and
/// audited without a panic. An operation has at least five bytes; the planted bug: it must have thousands.
pub fn audit_trace(bytes: &[u8], bug: Bug) {
    let trace = match bytes.split_first() {
        Some((0, raw)) => raw.to_vec(),
        Some((_, script)) => {
            let mut trace = genuine_trace().to_vec();
            edit(&mut trace, script);
            trace
        }
        None => return,
    };
    let least = if bug == Bug::Planted { 5_000 } else { 5 };
    if let Ok(operations) = fuzz::trace_reader(&trace) {
        assert!(operations * least <= trace.len() as u64, "{operations} operations in {} bytes", trace.len());
        let _ = Audit::read(profile(), trace.as_slice()).unwrap().server_saw("trace", &trace).verdict();
    }
}

const SECRET: [u8; 32] = *b"\x9f\x02\xe1\x77\x5c\xb8\x10\x44\xd3\x6e\xa5\x09\xf2\x81\x3b\xc7\x58\x21\xee\x90\x0d\x63\xba\x4f\x17\xcc\x72\x35\x88\xfa\x06\xd9";

fn hex(bytes: &[u8]) -> Vec<u8> {
    HEXLOWER.encode(bytes).into_bytes()
}

fn list(separated: impl Iterator<Item = String>) -> Vec<u8> {
    format!("[{}]", separated.collect::<Vec<_>>().join(", ")).into_bytes()
}

fn base64(bytes: &[u8]) -> Vec<u8> {
    BASE64_NOPAD.encode(bytes).into_bytes()
}

/// A Zstandard frame with one raw block (RFC 8878 §3.1.1): magic, descriptor (single segment, size of one byte), size,
/// block.
fn zstd(bytes: &[u8]) -> Vec<u8> {
    let size = bytes.len() as u32;
    let header = (size << 3 | 1).to_le_bytes();
    [&[0x28, 0xB5, 0x2F, 0xFD, 0x20, size as u8], &header[..3], bytes].concat()
}

fn escaped(at: usize, byte: u8) -> String {
    match at % 3 {
        0 => format!("\\x{byte:02x}"),
        1 => format!("\\{byte:03o}"),
        _ => format!("\\u{byte:04x}"),
    }
}

fn encoded(encoding: Encoding) -> Vec<u8> {
    match encoding {
        Encoding::Reversed => SECRET.iter().rev().copied().collect(),
        Encoding::Hex => hex(&SECRET),
        Encoding::Base64 => base64(&SECRET),
        Encoding::Integers => list(SECRET.iter().map(u8::to_string)),
        Encoding::HexIntegers => list(SECRET.iter().map(|byte| format!("{byte:#04x}"))),
        Encoding::Percent => SECRET.iter().flat_map(|byte| format!("%{byte:02X}").into_bytes()).collect(),
        Encoding::Utf16Le => hex(&SECRET).iter().flat_map(|byte| [*byte, 0]).collect(),
        Encoding::Utf16Be => hex(&SECRET).iter().flat_map(|byte| [0, *byte]).collect(),
        Encoding::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(&SECRET).unwrap();
            encoder.finish().unwrap()
        }
        Encoding::Zlib => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(&SECRET).unwrap();
            encoder.finish().unwrap()
        }
        Encoding::Zstd => zstd(&SECRET),
        // Every byte is written in another way than the one before it.
        Encoding::Escapes => (0..).zip(SECRET).flat_map(|(at, byte)| escaped(at, byte).into_bytes()).collect(),
        Encoding::Latin1 => SECRET.iter().map(|byte| char::from(*byte)).collect::<String>().into_bytes(),
        Encoding::Zip => {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(&SECRET).unwrap();
            [&b"PK\x03\x04\x14\0\x08\0\x08\0"[..], &[0; 16], &[1, 0, 0, 0, b'k'], &encoder.finish().unwrap()].concat()
        }
        Encoding::Chunked => {
            let chunks =
                SECRET.chunks(7).map(|chunk| [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
            [b"Transfer-Encoding: chunked\r\n\r\n".to_vec(), chunks.collect::<Vec<_>>().concat(), b"0\r\n\r\n".to_vec()]
                .concat()
        }
        _ => SECRET.to_vec(),
    }
}

/// A secret in this encoding, within any bytes and between quotation marks, is found, and nothing panics. The planted
/// bug: the decoder is disabled.
fn decoder(encoding: Encoding, bytes: &[u8], bug: Bug) {
    let (place, around) = bytes.split_first().map_or((0, bytes), |(place, around)| (usize::from(*place), around));
    let (before, after) = around.split_at(place.min(around.len()));
    // UTF-16 has two bytes a character, and so have its quotation marks.
    let mark: &[u8] = match encoding {
        Encoding::Utf16Le => b"\"\0",
        Encoding::Utf16Be => b"\0\"",
        _ => b"\"",
    };
    let observed = [before, mark, &encoded(encoding), mark, after].concat();
    let mut needles = Needles::new();
    needles.add_secret(1, &SECRET);
    let index = needles.build().unwrap();
    // Between zeros, text in UTF-16 can be read in either byte order, and is reported in one of them.
    let also = match encoding {
        Encoding::Utf16Le => Encoding::Utf16Be,
        Encoding::Utf16Be => Encoding::Utf16Le,
        encoding => encoding,
    };
    let encodings = match bug {
        Bug::Planted => Encodings::ALL.without(encoding).without(also),
        Bug::None => Encodings::ALL,
    };
    let found = Evidence::new().with_encodings(encodings).bytes("any", &observed).search(&index, |_, _| {}).unwrap();
    let whole =
        found.hits.iter().any(|hit| hit.whole && (hit.encoding.contains(&encoding) || hit.encoding.contains(&also)));
    assert!(whole, "{encoding} at {}: {:?}", before.len(), found.hits);
}

/// A packet of IPv4, from a client to a server.
fn ip(protocol: u8, transport: &[u8]) -> Vec<u8> {
    let len = (transport.len() as u16 + 20).to_be_bytes();
    let head = [0x45, 0, len[0], len[1], 0, 0, 0x40, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    [&head, transport].concat()
}

const PORTS: [u8; 4] = [0x30, 0x39, 0x01, 0xBB];
const SYN: u8 = 2;
const ACK: u8 = 0x10;

fn tcp(sequence: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let head = [&PORTS, &sequence.to_be_bytes()[..], &[0, 0, 0, 0, 0x50, flags, 0, 0, 0, 0, 0, 0]].concat();
    ip(6, &[&head, payload].concat())
}

fn udp(payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u16 + 8).to_be_bytes();
    ip(17, &[&PORTS[..], &len, &[0, 0], payload].concat())
}

/// Link types (pcap's registry): Ethernet, and bare IP packets.
const ETHERNET: u32 = 1;
const RAW_IP: u32 = 101;

fn pcap(link: u32, packets: &[Vec<u8>]) -> Vec<u8> {
    let head = [0xA1B2_C3D4, 0x0004_0002, 0, 0, 65_535, link].map(u32::to_le_bytes).concat();
    let packet = |packet: &Vec<u8>| {
        let len = packet.len() as u32;
        [[0, 0, len, len].map(u32::to_le_bytes).concat(), packet.clone()].concat()
    };
    [head, packets.iter().flat_map(packet).collect()].concat()
}

fn pcapng(link: u32, packets: &[Vec<u8>]) -> Vec<u8> {
    let block = |kind: u32, body: &[u8]| {
        let padded = [body, &vec![0; body.len().wrapping_neg() % 4]].concat();
        let len = (padded.len() as u32 + 12).to_le_bytes();
        [&kind.to_le_bytes()[..], &len, &padded, &len].concat()
    };
    let section = [0x1A2B_3C4D, 1, u32::MAX, u32::MAX].map(u32::to_le_bytes).concat();
    let interface = [link, 0].map(u32::to_le_bytes).concat();
    let packet = |packet: &Vec<u8>| {
        let len = packet.len() as u32;
        block(6, &[[0, 0, 0, len, len].map(u32::to_le_bytes).concat(), packet.clone()].concat())
    };
    [block(0x0A0D_0D0A, &section), block(1, &interface), packets.iter().flat_map(packet).collect()].concat()
}

/// Any bytes as a capture, and as the packets of one, cause no panic. A secret that is split over two segments, among
/// any other bytes sent, is found in the stream, in either format, whichever segment comes first and wherever the
/// sequence numbers begin. The planted bug: the second segment does not reach the reassembly.
pub fn evidence_capture(bytes: &[u8], bug: Bug) {
    let mut needles = Needles::new();
    needles.add_secret(1, &SECRET);
    let index = needles.build().unwrap();
    let search = |capture: &[u8]| Evidence::new().capture("any", capture).search(&index, |_, _| {});
    let _ = search(bytes);
    let packets: Vec<Vec<u8>> = bytes.chunks(60).map(<[u8]>::to_vec).collect();
    for link in [ETHERNET, RAW_IP] {
        let read =
            [pcap(link, &packets), pcapng(link, &packets)].map(|capture| search(&capture).unwrap().statistics.bytes);
        assert!(read.iter().all(|read| *read >= bytes.len() as u64), "{read:?}");
    }

    let Some(([shape, cut, start, place], around)) = bytes.split_first_chunk() else { return };
    let (before, after) = around.split_at(usize::from(*place).min(around.len()));
    let stream = [before, &SECRET, after].concat();
    // A place within the secret.
    let cut = before.len() + 1 + usize::from(*cut) % (SECRET.len() - 1);
    let first = u32::from(*start).wrapping_sub(128);
    let mut segments = vec![
        tcp(first.wrapping_add(1), ACK, &stream[..cut]),
        tcp(first.wrapping_add(1 + cut as u32), ACK, &stream[cut..]),
    ];
    if bug == Bug::Planted {
        segments.pop();
    }
    if shape & 1 != 0 {
        segments.reverse();
    }
    if shape & 2 != 0 {
        // A retransmission.
        segments.push(segments[0].clone());
    }
    let packets = [vec![tcp(first, SYN, b""), udp(around)], segments].concat();
    let capture = if shape & 4 != 0 { pcapng(RAW_IP, &packets) } else { pcap(RAW_IP, &packets) };
    let found = search(&capture).unwrap();
    let whole = found.hits.iter().any(|hit| hit.whole && hit.source.starts_with("any: TCP "));
    assert!(whole, "{shape} {cut} {first}: {:?}", found.hits);
}

macro_rules! decoders {
    ($($target:ident: $encoding:ident;)+) => {$(
        #[doc = concat!("The decoder of `Encoding::", stringify!($encoding), "`.")]
        pub fn $target(bytes: &[u8], bug: Bug) {
            decoder(Encoding::$encoding, bytes, bug);
        }
    )+
    /// One decoder, which the first byte selects.
    pub fn evidence(bytes: &[u8], bug: Bug) {
        const DECODERS: &[Encoding] = &[$(Encoding::$encoding),+];
        if let Some((selected, bytes)) = bytes.split_first() {
            decoder(DECODERS[usize::from(*selected) % DECODERS.len()], bytes, bug);
        }
    }};
}

decoders! {
    evidence_hex: Hex;
    evidence_escapes: Escapes;
    evidence_latin1: Latin1;
    evidence_zip: Zip;
    evidence_chunked: Chunked;
    evidence_base64: Base64;
    evidence_integers: Integers;
    evidence_hex_integers: HexIntegers;
    evidence_percent: Percent;
    evidence_utf16_le: Utf16Le;
    evidence_utf16_be: Utf16Be;
    evidence_gzip: Gzip;
    evidence_zlib: Zlib;
    evidence_zstd: Zstd;
}
