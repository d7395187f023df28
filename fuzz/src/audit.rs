// SPDX-License-Identifier: MIT OR Apache-2.0
//! The audit: any schedule on recorders, with the audit as the oracle; any bytes as a trace; and any bytes around an encoded
//! secret as evidence, one target for each decoder.

use super::Bug;
use super::edit::edit;
use super::support::rng;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use noescrow::audit::{Audit, Encoding, Encodings, Evidence, Needles, Recorder, Tape, fuzz};
use noescrow::events::{Event, Opening, World, run};
use noescrow::{Inline, session};
use std::io::Write;
use std::sync::OnceLock;

/// An opening and a schedule of two devices on recorders; what a server sees of it gives no secret, and the run has no
/// flaw. Crashes are left out: what they lose never left its device, and its key is used again by the contract. The planted
/// bug: the server logs a plaintext.
pub fn audit_schedule(bytes: &[u8], bug: Bug) {
    let (opening, schedule) = match bytes.split_first_chunk() {
        Some((opening, schedule)) => (Opening::decode(*opening), schedule),
        None => (Opening::PLAIN, bytes),
    };
    let tape = Tape::in_memory();
    let [alice, bob] = ["Alice", "Bob"].map(|name| tape.device(name).unwrap());
    let mut world = World::<session::Session<Recorder, Inline<40>>, _>::new(alice, bob, opening, rng(7)).unwrap();
    let events = Event::decode_all(schedule).filter(|event| !matches!(event, Event::Crash { .. }));
    run(&mut world, events).unwrap();
    let sent = world.sent().iter().flat_map(|sent| sent.bytes.clone());
    let mut seen: Vec<u8> = world.bundle().iter().copied().chain(sent).collect();
    if bug == Bug::Planted {
        seen.extend(hex(&world.sent()[0].plaintext));
    }
    let verdict = Audit::of(&tape).unwrap().server_saw("server", &seen).verdict();
    assert!(verdict.holds(), "{verdict}");
}

/// A trace of a handshake and a message, as bytes.
fn genuine_trace() -> &'static [u8] {
    static TRACE: OnceLock<Vec<u8>> = OnceLock::new();
    TRACE.get_or_init(|| {
        let tape = Tape::in_memory();
        let [alice, bob] = ["Alice", "Bob"].map(|name| tape.device(name).unwrap());
        let opening = Opening { one_time: true, burst: 1, accepted: 0 };
        World::<session::Session<Recorder, Inline<4>>, _>::new(alice, bob, opening, rng(8)).unwrap();
        tape.bytes()
    })
}

/// Any bytes, or an edit of a genuine trace: read, computed again, written again to the same bytes; and audited without a
/// panic. An operation has at least five bytes; the planted bug is that it must have thousands.
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
        let _ = Audit::read(trace.as_slice()).unwrap().server_saw("trace", &trace).verdict();
    }
}

const SECRET: [u8; 32] = *b"\x9f\x02\xe1\x77\x5c\xb8\x10\x44\xd3\x6e\xa5\x09\xf2\x81\x3b\xc7\x58\x21\xee\x90\x0d\x63\xba\x4f\x17\xcc\x72\x35\x88\xfa\x06\xd9";

fn hex(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()
}

fn list(separated: impl Iterator<Item = String>) -> Vec<u8> {
    format!("[{}]", separated.collect::<Vec<_>>().join(", ")).into_bytes()
}

fn base64(bytes: &[u8]) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = Vec::new();
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        out.extend((0..=chunk.len()).map(|at| ALPHABET[(group >> (18 - 6 * at) & 63) as usize]));
    }
    out
}

/// A Zstandard frame with one block, raw (RFC 8878 §3.1.1): magic, descriptor (single segment, size of one byte), size, block.
fn zstd(bytes: &[u8]) -> Vec<u8> {
    let size = bytes.len() as u32;
    let header = (size << 3 | 1).to_le_bytes();
    [&[0x28, 0xB5, 0x2F, 0xFD, 0x20, size as u8], &header[..3], bytes].concat()
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
        _ => SECRET.to_vec(),
    }
}

/// A secret in this encoding within any bytes, between quotation marks, is found; and nothing panics. The planted bug: the
/// decoder is switched off.
fn evidence(encoding: Encoding, bytes: &[u8], bug: Bug) {
    let (place, around) = bytes.split_first().map_or((0, bytes), |(place, around)| (usize::from(*place), around));
    let (before, behind) = around.split_at(place.min(around.len()));
    // UTF-16 has two bytes a character, and so have its quotation marks.
    let mark: &[u8] = match encoding {
        Encoding::Utf16Le => b"\"\0",
        Encoding::Utf16Be => b"\0\"",
        _ => b"\"",
    };
    let seen = [before, mark, &encoded(encoding), mark, behind].concat();
    let mut needles = Needles::new();
    needles.add_secret(1, &SECRET);
    let index = needles.build().unwrap();
    // Between zeros a run of UTF-16 can be read either way, and is told as one of them.
    let also = match encoding {
        Encoding::Utf16Le => Encoding::Utf16Be,
        Encoding::Utf16Be => Encoding::Utf16Le,
        encoding => encoding,
    };
    let encodings = match bug {
        Bug::Planted => Encodings::ALL.without(encoding).without(also),
        Bug::None => Encodings::ALL,
    };
    let found = Evidence::new().with_encodings(encodings).bytes("any", &seen).search(&index, |_, _| {}).unwrap();
    let whole =
        found.hits.iter().any(|hit| hit.whole && (hit.encoding.contains(&encoding) || hit.encoding.contains(&also)));
    assert!(whole, "{encoding} at {}: {:?}", before.len(), found.hits);
}

macro_rules! decoders {
    ($($target:ident: $encoding:ident;)+) => {$(
        #[doc = concat!("The decoder of `Encoding::", stringify!($encoding), "`.")]
        pub fn $target(bytes: &[u8], bug: Bug) {
            evidence(Encoding::$encoding, bytes, bug);
        }
    )+};
}

decoders! {
    evidence_hex: Hex;
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
