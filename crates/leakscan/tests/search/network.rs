// SPDX-License-Identifier: MIT OR Apache-2.0
//! Flows of captures by what they carry: encrypted ones are omissions, and protocols that hide their content in the
//! open are decoded.

use super::sources::{ethernet, pcap, pcapng, tcp, udp};
use super::{index_of, random};
use leakscan::{Evidence, Findings, Index};

/// A capture of one direction of a TCP flow, a segment for each payload.
fn flow(segments: &[Vec<u8>]) -> Vec<u8> {
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

fn search(capture: &[u8], index: &Index) -> Findings {
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
