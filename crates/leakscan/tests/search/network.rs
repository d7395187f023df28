// SPDX-License-Identifier: MIT OR Apache-2.0
//! Flows of captures by what they carry: encrypted ones are omissions, and protocols that hide their content in the
//! open are decoded.

use super::sources::{ethernet, pcap, pcapng, tcp, udp};
use super::{index_of, random};
use leakscan::{Encoding, Encodings, Evidence, Findings, Hit, Index};

/// A capture of one direction of a TCP flow, a segment for each payload.
pub(super) fn flow(segments: &[Vec<u8>]) -> Vec<u8> {
    let mut sequence = 1;
    let mut packets = Vec::new();
    for payload in segments {
        packets.push(ethernet(false, false, 6, &tcp(sequence, 0x10, payload)));
        sequence += payload.len() as u32;
    }
    pcap(1, &packets, false)
}

fn datagrams(payloads: &[Vec<u8>]) -> Vec<u8> {
    pcap(1, &payloads.iter().map(|payload| ethernet(false, false, 17, &udp(payload))).collect::<Vec<_>>(), false)
}

pub(super) fn search(capture: &[u8], index: &Index) -> Findings {
    Evidence::new().capture("wire", capture).search(index, |_, _| {}).unwrap()
}

fn record(kind: u8, len: usize) -> Vec<u8> {
    [&[kind, 3, 3][..], &(len as u16).to_be_bytes(), &random(len as u64, len)].concat()
}

/// The first bytes of RFC 8448, 3: the client's and the server's first record.
const CLIENT_HELLO: [u8; 16] = hex_literal::hex!("16 03 01 00 c4 01 00 00 c0 03 03 cb 34 ec b1 e7");
const SERVER_HELLO: [u8; 16] = hex_literal::hex!("16 03 03 00 5a 02 00 00 56 03 03 a6 af 06 a4 12");

#[test]
fn encrypted_flows_are_named_by_their_protocol() {
    let index = index_of(&[&random(300, 32)]);
    let omissions = |capture: &[u8]| search(capture, &index).statistics.omissions;
    let quic = |version: u32| [&[0xC3][..], &version.to_be_bytes(), &[8], &random(301, 1200)].concat();
    let wireguard = |counter: u64| [&[4, 0, 0, 0, 9, 9, 9, 9][..], &counter.to_le_bytes(), &random(302, 32)].concat();
    let handshake = [&[1, 0, 0, 0][..], &random(303, 144)].concat();
    let dtls = [&[0x17, 0xFE, 0xFD, 0, 1, 0, 0, 0, 0, 0, 7, 0, 40][..], &random(304, 40)].concat();
    let three = [record(0x17, 3000), record(0x17, 700), record(0x17, 5000)].concat();
    // In its middle, from a segment on that begins with a record that is longer than the segment.
    let middle: Vec<Vec<u8>> = [&[0xEE; 100][..], &three].concat().chunks(100).map(<[u8]>::to_vec).collect();
    for (capture, protocol) in [
        (flow(&[[&CLIENT_HELLO[..], &random(305, 185)].concat()]), "TLS"),
        (flow(&[[&SERVER_HELLO[..], &random(306, 79)].concat()]), "TLS"),
        (flow(&[record(0x17, 500)]), "TLS"),
        (flow(&[b"EHLO a\r\n".to_vec(), b"STARTTLS\r\n".to_vec(), record(0x16, 200)]), "TLS"),
        (flow(&middle), "TLS"),
        (flow(&[b"SSH-2.0-OpenSSH_9.2p1\r\n".to_vec(), random(307, 900)]), "SSH"),
        (datagrams(&[quic(1)]), "QUIC"),
        (datagrams(&[quic(0x6B33_43CF)]), "QUIC"),
        (datagrams(&[dtls]), "DTLS"),
        (datagrams(&[handshake]), "WireGuard"),
        (datagrams(&[7, 8, 9, 10].map(wireguard)), "WireGuard"),
    ] {
        let found = omissions(&capture);
        assert!(found.len() == 1 && found[0].contains(&format!("1 flow of {protocol}, whose content")), "{found:?}");
    }
    // Controls: a record with a false length, one without its version, messages out of order, and random payloads.
    let mut short = record(0x17, 500);
    short[4] ^= 1;
    let mut other = record(0x17, 500);
    other[1] = 2;
    for capture in [
        flow(&[short]),
        flow(&[other]),
        datagrams(&[7, 9, 11, 13].map(wireguard)),
        datagrams(&[quic(7)]),
        flow(&(0..500).map(|seed| random(seed, 1000)).collect::<Vec<_>>()),
        datagrams(&(0..500).map(|seed| random(seed, 1000)).collect::<Vec<_>>()),
    ] {
        assert_eq!(omissions(&capture), [""; 0]);
    }
}

#[test]
fn encrypted_flows_are_counted_once_for_both_directions() {
    let index = index_of(&[&random(310, 32)]);
    let mut packets = Vec::new();
    for port in [1u8, 2, 3] {
        let mut forward = tcp(1, 0x10, &CLIENT_HELLO);
        forward[1] = port;
        packets.push(ethernet(false, false, 6, &forward));
        // The other direction: addresses and ports are exchanged.
        let mut backward =
            ethernet(false, false, 6, &[&forward[2..4], &forward[..2], &forward[4..20], &SERVER_HELLO].concat());
        let addresses = 14 + 12;
        let (from, to) = (backward[addresses..addresses + 4].to_vec(), backward[addresses + 4..addresses + 8].to_vec());
        backward.splice(addresses..addresses + 8, [to, from].concat());
        packets.push(backward);
    }
    let found = search(&pcap(1, &packets, false), &index).statistics;
    assert_eq!(found.omitted, 1);
    assert!(found.omissions[0].starts_with("wire: 3 flows of TLS"), "{:?}", found.omissions);
}

#[test]
fn secrets_of_sessions_in_a_capture_are_named() {
    let index = index_of(&[&random(320, 32)]);
    let mut capture = pcapng(1, &[ethernet(false, false, 17, &udp(b"datagram"))], false);
    assert_eq!(search(&capture, &index).statistics.omitted, 0);
    // A block of decryption secrets (draft-ietf-opsawg-pcapng-03, 4.7) with an empty key log.
    let len = 20u32.to_le_bytes();
    capture.extend([&10u32.to_le_bytes()[..], &len, b"KSLT", &[0; 4], &len].concat());
    let found = search(&capture, &index).statistics.omissions;
    assert!(found.len() == 1 && found[0].contains("blocks with secrets of sessions"), "{found:?}");
}

const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];
const UPGRADE: &[u8] = b"GET /chat HTTP/1.1\r\nHost: relay\r\nupgrade: WebSocket\r\nConnection: Upgrade\r\n\r\n";

/// A frame (RFC 6455, 5.2) with this first byte.
fn frame(first: u8, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let bit = if mask.is_some() { 0x80 } else { 0 };
    let mut frame = vec![first];
    match payload.len() {
        len @ ..126 => frame.push(bit | len as u8),
        len @ 126..0x1_0000 => frame.extend([&[bit | 126][..], &(len as u16).to_be_bytes()].concat()),
        len => frame.extend([&[bit | 127][..], &(len as u64).to_be_bytes()].concat()),
    }
    frame.extend(mask.unwrap_or_default().iter().take(if mask.is_some() { 4 } else { 0 }));
    frame.extend(payload.iter().zip(mask.unwrap_or_default().iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// The hits within frames of WebSocket, by offset; none without the decoder.
fn in_frames(evidence: &[u8], is_capture: bool, index: &Index) -> Vec<(u64, bool)> {
    decoded(Encoding::WebSocket, evidence, is_capture, index)
}

pub(super) fn decoded(encoding: Encoding, evidence: &[u8], is_capture: bool, index: &Index) -> Vec<(u64, bool)> {
    let find = |encodings| {
        let sources = Evidence::new().with_encodings(encodings);
        let sources = if is_capture { sources.capture("wire", evidence) } else { sources.bytes("bytes", evidence) };
        let hits = sources.search(index, |_, _| {}).unwrap().hits;
        // Those in the capture's own bytes may be in one piece as well.
        let is_own = |hit: &Hit| hit.source == "wire";
        let hits = hits.into_iter().filter(|hit| hit.encoding.contains(&encoding) && !is_own(hit));
        hits.map(|hit| (hit.offset, hit.whole)).collect::<Vec<_>>()
    };
    assert_eq!(find(Encodings::ALL.without(encoding)), []);
    find(Encodings::ALL)
}

#[test]
fn a_key_in_a_masked_frame_is_found_in_captures_files_and_text() {
    let secret = random(330, 32);
    let index = index_of(&[&secret]);
    for payload in
        [secret.clone(), [&secret[..], &random(331, 900)].concat(), [random(332, 70_000), secret.clone()].concat()]
    {
        for first in [0x81, 0x82, 0x89].into_iter().filter(|first| *first != 0x89 || payload.len() < 126) {
            let one = frame(first, Some(MASK), &payload);
            // A capture by a proxy after TLS, with and without the handshake, in segments of any size.
            for size in [1000, 33, 100_000] {
                let segments = |bytes: &[u8]| bytes.chunks(size.min(1400)).map(<[u8]>::to_vec).collect::<Vec<_>>();
                assert_eq!(in_frames(&flow(&segments(&one)), true, &index), [(0, true)]);
                let with = [UPGRADE, &one].concat();
                let at = UPGRADE.len() as u64;
                assert_eq!(in_frames(&flow(&segments(&with)), true, &index), [(at, true)]);
                // From a segment in the middle of a flow on, after what is none.
                let later = [vec![random(333, 77)], segments(&one)].concat();
                assert_eq!(in_frames(&flow(&later), true, &index), [(77, true)]);
            }
            // Files: a dump of a connection, its handshake somewhere, and hexadecimal or Base64 of a frame.
            assert_eq!(in_frames(&one, false, &index), [(0, true)]);
            let log = [&random(334, 300_000), UPGRADE, &frame(0x81, Some(MASK), b"{}"), &one].concat();
            let at = log.len() - one.len();
            assert_eq!(in_frames(&log, false, &index), [(at as u64, true)]);
            if payload.len() < 2000 {
                let text = format!("frame: {}\n", data_encoding::HEXLOWER.encode(&one));
                assert_eq!(in_frames(text.as_bytes(), false, &index).len(), 1);
            }
        }
    }
}

/// A log keeps the first bytes of a frame, or more than the frame.
#[test]
fn a_key_in_a_frame_that_decoded_text_cuts_is_found() {
    let key = random(41, 32);
    let payload = [&random(42, 20), &key[..], &random(43, 156)].concat();
    let whole = frame(0x82, Some([0x91, 0x22, 0xC3, 0x54]), &payload);
    let index = index_of(&[&key]);
    for shown in [whole[..100].to_vec(), [&whole[..], &[0x81]].concat(), [&whole[..], &[0x81, 0xFE, 0]].concat()] {
        let text = format!("frame={} ...", data_encoding::BASE64.encode(&shown));
        assert!(!in_frames(text.as_bytes(), false, &index).is_empty(), "{text}");
    }
}

#[test]
fn a_key_that_frames_cut_is_found() {
    let secret = random(340, 32);
    let index = index_of(&[&secret]);
    for mask in [None, Some(MASK)] {
        let frames = [
            frame(0x02, mask, &secret[..11]),
            frame(0x89, mask, b"ping"),
            frame(0x00, mask, &secret[11..20]),
            frame(0x80, mask, &secret[20..]),
        ];
        let at = UPGRADE.len() as u64;
        assert_eq!(in_frames(&[UPGRADE, &frames.concat()].concat(), false, &index), [(at, true)]);
        assert_eq!(in_frames(&flow(&frames), true, &index), [(0, true)]);
        // The control: in another order they are no message.
        let wrong = [&frames[0][..], &frames[3], &frames[2]].concat();
        assert_eq!(in_frames(&wrong, false, &index), []);
    }
}

/// What wsproto 1.3.2 sends as a client: a handshake with permessage-deflate, and twice the same object but for its
/// number. The second message refers to the first.
/// ```python
/// c, s = WSConnection(CLIENT), WSConnection(SERVER)
/// out = c.send(Request(host="relay", target="/chat", extensions=[PerMessageDeflate()])); s.receive_data(out)
/// c.receive_data(s.send(AcceptConnection(extensions=[PerMessageDeflate()])))
/// out += b"".join(c.send(TextMessage('{"type":"prekey","number":%d,"key":"%s"}' % (n, key))) for n in (1, 2))
/// ```
const DEFLATED: [u8; 111] = hex_literal::hex!(
    "c1daee146301fadc520f6d246f043eaf1b6766252d9d32d2523ee5164205edbe19f6447b1f1e54cb70d506a8d3e04b9d"
    "ed6601accbf0aaeb0b955430b6e39bd0e19bceb6355771b74399cb7fd4e5f49aa28aba91ea5a427785237fcd517c9114"
    "c18931b1c6dd9b77af542044eadc31"
);

#[test]
fn deflated_messages_are_read_with_those_before() {
    let secret: Vec<u8> = (0..32).map(|i: u32| (i * 37 + 11) as u8).collect();
    let index = index_of(&[&secret]);
    let at = UPGRADE.len() as u64;
    let connection = [UPGRADE, &DEFLATED].concat();
    let second = at + DEFLATED.len() as u64 - 15;
    assert_eq!(in_frames(&connection, false, &index), [(at, true), (second, true)]);
    assert_eq!(in_frames(&flow(&[UPGRADE.to_vec(), DEFLATED.to_vec()]), true, &index), [(at, true), (second, true)]);
    assert_eq!(search(&flow(&[connection]), &index).statistics.omitted, 0);
    // In the middle of a connection, the second cannot be read; many of them are an omission.
    let later = DEFLATED[DEFLATED.len() - 15..].to_vec();
    assert_eq!(in_frames(&flow(std::slice::from_ref(&later)), true, &index), []);
    let mask = [later[2], later[3], later[4], later[5]];
    let payload: Vec<u8> = later[6..].iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    assert_eq!(frame(0xC1, Some(mask), &payload), later);
    let many = |payload: &[u8]| (0..10).map(|n| frame(0xC1, Some([n, 9, 8, n]), payload)).collect::<Vec<_>>();
    let omitted = search(&flow(&many(&payload)), &index).statistics.omissions;
    assert!(omitted.len() == 1 && omitted[0].contains("before the beginning of the flow"), "{omitted:?}");
    // Controls: messages that refer to none before, and payloads that are no deflated messages.
    let alone = {
        let mut deflate = flate2::Compress::new(flate2::Compression::default(), false);
        let mut packed = Vec::with_capacity(200);
        deflate.compress_vec(b"{\"type\":\"ping\"}", &mut packed, flate2::FlushCompress::Sync).unwrap();
        packed.truncate(packed.len() - 4);
        packed
    };
    assert_eq!(search(&flow(&many(&alone)), &index).statistics.omissions, [""; 0]);
    assert_eq!(search(&flow(&many(&[0xFF; 9])), &index).statistics.omissions, [""; 0]);
    // What follows is searched, but for what it refers to.
    let new = [&random(335, 40)[..], &secret].concat();
    let mut deflate = flate2::Compress::new(flate2::Compression::default(), false);
    let mut packed = Vec::with_capacity(400);
    for message in [&[7; 40][..], &new] {
        packed.clear();
        deflate.compress_vec(message, &mut packed, flate2::FlushCompress::Sync).unwrap();
    }
    let later = frame(0xC2, None, &packed[..packed.len() - 4]);
    assert_eq!(in_frames(&flow(&[later]), true, &index), [(0, true)]);
    // A broken message after a handshake is one, and random bytes are none.
    let broken = [UPGRADE, &frame(0xC2, Some(MASK), &[0xFF; 40])].concat();
    let omitted = search(&flow(&[broken]), &index).statistics.omissions;
    assert!(
        omitted.len() == 1 && omitted[0].ends_with("a WebSocket message that cannot be decompressed"),
        "{omitted:?}"
    );
}

#[test]
fn repeated_bytes_are_no_frames_and_a_damaged_frame_is_an_omission() {
    let index = index_of(&[&random(360, 32)]);
    let omissions = |bytes: &[u8]| Evidence::new().bytes("bytes", bytes).search(&index, |_, _| {}).unwrap().statistics;
    // The first frame of a message, and empty ones; a control frame with a mask; text.
    for (begin, repeated) in [
        (&[0x42, 5, 1, 2, 3, 4, 5][..], &[0][..]),
        (&[0x41, 7, 0x4B, 4, 5, 6, 7, 8, 9], &[0, 2, 0, 2]),
        (&[], &[0x88]),
        (&[], &[0xC2, 0x80]),
        (b"AB", b"AB"),
    ] {
        for len in [20, 100, 300, 5000] {
            let bytes = [begin, &repeated.repeat(len)].concat();
            assert_eq!(omissions(&bytes).omissions, [""; 0], "{begin:02x?} {repeated:02x?} ×{len}");
        }
    }
    let data: Vec<u8> = (0..9).flat_map(|n| frame(0x82, Some([n, 9, 8, n]), &random(370, 99))).collect();
    let frames = [UPGRADE, &data].concat();
    assert_eq!(omissions(&frames).omissions, [""; 0]);
    let closed = [&frames[..], &frame(0x88, Some(MASK), &[3, 0xE8]), &[0xFF; 9]].concat();
    assert_eq!(omissions(&closed).omissions, [""; 0]);
    let log = [&frames[..], b"GET / HTTP/1.0\r\n"].concat();
    assert_eq!(omissions(&log).omissions, [""; 0]);
    let damaged = [&frames[..], &[0xFF; 9], &data].concat();
    let omitted = omissions(&damaged).omissions;
    assert!(omitted.len() == 1 && omitted[0].ends_with("after a frame that is none"), "{omitted:?}");
}

#[test]
fn a_stream_that_packets_cut_is_no_omission() {
    let index = index_of(&[&random(350, 32)]);
    let packed = super::encode::gzip(&random(351, 20_000).iter().map(|byte| byte & 15).collect::<Vec<_>>());
    let segments: Vec<Vec<u8>> = packed.chunks(1000).map(<[u8]>::to_vec).collect();
    let whole = search(&flow(&segments), &index).statistics;
    assert_eq!((whole.omitted, whole.streams > 0), (0, true), "{:?}", whole.omissions);
    // The control: a flow of which the end was not captured, and one in which a byte is wrong.
    let mut broken = segments.clone();
    broken[4][7] ^= 1;
    for segments in [&segments[..5], &broken] {
        let omissions = search(&flow(segments), &index).statistics.omissions;
        assert!(omissions.len() == 1 && omissions[0].starts_with("wire: TCP"), "{omissions:?}");
    }
}

pub(super) fn brotli(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    let options = brotli::enc::BrotliEncoderParams::default();
    brotli::BrotliCompress(&mut &bytes[..], &mut packed, &options).unwrap();
    packed
}

pub(super) fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}

/// Chunks with an extension and a trailer (RFC 9112, 7.1).
fn chunked(bytes: &[u8], size: usize) -> Vec<u8> {
    let chunks =
        bytes.chunks(size).map(|chunk| [format!("{:X};a=\"b\"\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
    [chunks.collect::<Vec<_>>().concat(), b"0\r\nDigest: none\r\n\r\n".to_vec()].concat()
}

/// A text that compresses, with a secret in hexadecimal in its middle.
pub(super) fn document(secret: &[u8]) -> Vec<u8> {
    let around = "{\"type\":\"prekey\",\"name\":\"a device of a user\"},\n".repeat(40);
    [around.as_bytes(), data_encoding::HEXLOWER.encode(secret).as_bytes(), around.as_bytes()].concat()
}

#[test]
fn bodies_are_decoded_by_their_header_in_any_spelling() {
    let secret = random(360, 32);
    let index = index_of(&[&secret]);
    let body = document(&secret);
    let zlib = super::encode::zlib(&body);
    for (fields, packed) in [
        ("Content-Encoding: br", brotli(&body)),
        ("content-encoding:BR", brotli(&body)),
        ("Content-Encoding: deflate", deflate(&body)),
        ("Content-Encoding: deflate", zlib.clone()),
        ("Content-Encoding: identity, deflate", deflate(&body)),
        ("Content-Encoding: br\r\nTransfer-Encoding: chunked", chunked(&brotli(&body), 50)),
        ("transfer-encoding: Chunked\r\nVary: a\r\ncontent-encoding: br", chunked(&brotli(&body), 7)),
        ("Transfer-Encoding: deflate, chunked", chunked(&deflate(&body), 9)),
        ("TRANSFER-ENCODING:\tCHUNKED ", chunked(&body, 11)),
        ("Transfer-Encoding: CHUNKED", chunked(&super::encode::gzip(&body), 90)),
        ("Content-Encoding: gzip, br", brotli(&super::encode::gzip(&body))),
        ("Transfer-Encoding: gzip, Chunked", chunked(&super::encode::gzip(&body), 90)),
        ("Content-Encoding: gzip\r\nTransfer-Encoding:chunked", chunked(&super::encode::gzip(&body), 90)),
    ] {
        let response = [format!("HTTP/1.1 200 OK\r\nServer: a\r\n{fields}\r\n\r\n").as_bytes(), &packed].concat();
        let next =
            b"HTTP/1.1 204 No Content\r\nContent-Encoding: br\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        let both = [&response[..], next].concat();
        let segments: Vec<Vec<u8>> = both.chunks(100).map(<[u8]>::to_vec).collect();
        let is_found = |findings: &Findings| findings.hits.iter().any(|hit| hit.whole);
        let found = search(&flow(&segments), &index);
        assert!(is_found(&found), "{fields:?}: {:?}", found.hits);
        assert_eq!(found.statistics.omitted, 0, "{fields:?}: {:?}", found.statistics.omissions);
        // In a dump, after other bytes; and in a request.
        let dump = [&random(361, 100_000)[..], &response].concat();
        assert!(is_found(&Evidence::new().bytes("dump", &dump).search(&index, |_, _| {}).unwrap()), "{fields:?}");
        let request = [format!("POST /key HTTP/1.1\r\n{fields}\r\n\r\n").as_bytes(), &packed].concat();
        assert!(is_found(&search(&flow(&[request]), &index)), "{fields:?}");
        // The control: without the header, nothing is found but what is recognised by its first bytes, which Brotli may
        // store as it is.
        let bare = search(&flow(&[packed]), &index);
        let by_magic = fields.contains("zip") || response.ends_with(&zlib);
        assert!(
            !is_found(&bare) || by_magic && !fields.to_lowercase().contains("chunked"),
            "{fields:?}: {:?}",
            bare.hits
        );
        // A flow that is cut is an omission.
        let cut = search(&flow(&[response[..response.len() * 2 / 3].to_vec()]), &index).statistics;
        let is_coded = !fields.contains("CHUNKED");
        assert!(!is_coded || cut.omitted > 0, "{fields:?}");
    }
}

#[test]
fn bodies_that_cannot_be_decoded_are_omissions_and_texts_are_not() {
    let index = index_of(&[&random(370, 32)]);
    let omissions = |fields: &str, body: &[u8]| {
        let message = [format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n").as_bytes(), body].concat();
        search(&flow(&[message]), &index).statistics.omissions
    };
    let body = document(&random(371, 32));
    let mut broken = brotli(&body);
    broken[30..60].copy_from_slice(&random(372, 30));
    for (fields, body, what) in [
        ("Content-Encoding: br", &broken, "cannot be decompressed"),
        ("Content-Encoding: br, gzip", &super::encode::gzip(&brotli(&body)), "in a coding that is not decoded"),
        ("Content-Encoding: compress", &random(373, 90), "in a coding that is not decoded"),
    ] {
        let found = omissions(fields, body);
        assert!(found.iter().any(|omission| omission.contains(what)), "{fields:?}: {found:?}");
    }
    // Controls: a log of headers, a response to HEAD, and no coding at all.
    for (fields, body) in [
        ("Content-Encoding: br", &b"12:00:01 request done in 5 ms\r\n"[..]),
        ("Content-Encoding: br", b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\n\r\n"),
        ("Content-Encoding: compress", b""),
        // Strings in programs.
        ("Content-Encoding: br", b"\0HTTP/1.1 404\0Not Found\0"),
        ("Upgrade: websocket", b"\0\0\0\0HTTP/1.1 404\0"),
        ("Content-Length: 90", &random(374, 90)),
    ] {
        assert_eq!(omissions(fields, body), [""; 0], "{fields:?}");
    }
}

/// What h2 4.4.1 sends as a client: a key in a header field, which HPACK codes, and in two frames of one stream; and a
/// request whose fields are all in the table.
/// ```python
/// c = H2Connection(H2Configuration(client_side=True)); c.initiate_connection()
/// fields = [(':method', 'POST'), (':scheme', 'https'), (':authority', 'relay'), (':path', '/keys'), ('x-key', key.hex())]
/// c.send_headers(1, fields); c.send_data(1, key[:13]); c.send_data(1, key[13:], end_stream=True)
/// c.send_headers(3, fields, end_stream=True); out = c.data_to_send()
/// ```
pub(super) const HTTP2: [u8; 214] = hex_literal::hex!(
    "505249202a20485454502f322e300d0a0d0a534d0d0a0d0a00002a040000000000000100001000000200000001000400"
    "00ffff00050000400000080000000000030000006400060001000000004201040000000183874184b0b40fd7448463a9"
    "7d234084f2b752faad046c81b6dd1bf291a2be02b2cb6f3b20c4474a4085971b8de00db20cb285a65f6caf32378924a2"
    "0bac91c0bce700000d0000000000010b30557a9fc4e90e33587da2c7000013000100000001ec11365b80a5caef14395e"
    "83a8cdf2173c61860000050105000000038387c0bfbe"
);

#[test]
fn header_fields_and_content_of_http2_are_found() {
    let secret: Vec<u8> = (0..32).map(|i: u32| (i * 37 + 11) as u8).collect();
    let index = index_of(&[&secret]);
    let (fields, content) = (75, 150);
    for size in [7, 60, 500] {
        let segments: Vec<Vec<u8>> = HTTP2.chunks(size).map(<[u8]>::to_vec).collect();
        let hits = decoded(Encoding::Http2, &flow(&segments), true, &index);
        assert_eq!(hits, [(fields, true), (content, true)], "{size}");
        assert_eq!(search(&flow(&segments), &index).statistics.omitted, 0);
    }
    // In a dump; and of a connection that begins before, of which the last request cannot be read.
    let dump = [&random(380, 200_000)[..], &HTTP2].concat();
    assert_eq!(decoded(Encoding::Http2, &dump, false, &index), [(200_075, true), (200_150, true)]);
    let later = HTTP2[content as usize..].to_vec();
    assert_eq!(decoded(Encoding::Http2, &flow(std::slice::from_ref(&later)), true, &index), [(0, true)]);
    let omitted = search(&flow(&[[&later[..], &later].concat()]), &index).statistics.omissions;
    assert!(omitted.len() == 1 && omitted[0].contains("before the beginning of the flow"), "{omitted:?}");
}
