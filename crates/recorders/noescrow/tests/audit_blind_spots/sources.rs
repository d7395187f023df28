// SPDX-License-Identifier: MIT OR Apache-2.0
//! Gaps of a source of evidence, which the audit must report.

use super::{Run, kinds};
use noescrow_audit::{Audit, FindingKind, Outcome, Verdict};
use noescrow_recorder::profile;
use std::path::Path;

fn capture(link: u32, packets: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let mut file = [0xA1B2_C3D4, 0x0004_0002, 0, 0, 65_535, link].map(u32::to_le_bytes).concat();
    for (len, packet) in packets {
        file.extend([0, 0, packet.len() as u32, *len].map(u32::to_le_bytes).concat());
        file.extend(packet);
    }
    file
}

fn next_generation(link: u16, packets: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let block = |kind: u32, body: &[u8]| {
        let padded = [body, &vec![0; body.len().wrapping_neg() % 4]].concat();
        let len = (padded.len() as u32 + 12).to_le_bytes();
        [&kind.to_le_bytes()[..], &len, &padded, &len].concat()
    };
    let mut file = block(0x0A0D_0D0A, &[0x1A2B_3C4D, 1, u32::MAX, u32::MAX].map(u32::to_le_bytes).concat());
    file.extend(block(1, &[&link.to_le_bytes()[..], &[0; 6]].concat()));
    for (at, (len, packet)) in packets.iter().enumerate() {
        file.extend(match at % 2 {
            0 => block(
                6,
                &[[0, 0, 0, packet.len() as u32, *len].map(u32::to_le_bytes).concat(), packet.clone()].concat(),
            ),
            _ => block(3, &[&len.to_le_bytes()[..], packet].concat()),
        });
    }
    file
}

fn ip(protocol: u8, fragment: [u8; 2], transport: &[u8]) -> Vec<u8> {
    let len = (transport.len() as u16 + 20).to_be_bytes();
    let head = [0x45, 0, len[0], len[1], 0, 0, fragment[0], fragment[1], 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    [&head, transport].concat()
}

fn udp(payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u16 + 8).to_be_bytes();
    ip(17, [0x40, 0], &[&[0x30, 0x39, 0x01, 0xBB, len[0], len[1], 0, 0], payload].concat())
}

fn ethernet(kind: u16, payload: &[u8]) -> Vec<u8> {
    [&[2; 12], &kind.to_be_bytes()[..], payload].concat()
}

const ETHERNET: u32 = 1;
const RAW_IP: u32 = 101;
const BLUETOOTH: u32 = 187;

fn saw(run: &Run, capture: &[u8]) -> Verdict {
    let audit = Audit::of(profile(), &run.tape).unwrap().server_saw("wire", &run.wire);
    audit.with(|evidence| evidence.capture("tap", capture)).verdict()
}

fn whole(packet: Vec<u8>) -> (u32, Vec<u8>) {
    (packet.len() as u32, packet)
}

#[test]
fn gaps_of_a_capture_are_counted_and_reported() {
    let run = Run::new();
    let long = udp(&[7; 40]);
    let cut = (long.len() as u32, long[..long.len() - 1].to_vec());
    let [first, last] = [ip(17, [0x20, 0], &[1; 24]), ip(17, [0, 3], &[2; 24])].map(whole);
    let mut v6_fragment = vec![0x60, 0, 0, 0, 0, 16, 44, 64];
    v6_fragment.extend([0xFD; 32]);
    v6_fragment.extend([17, 0, 0, 1, 0, 0, 0, 9, 1, 2, 3, 4, 5, 6, 7, 8]);
    for (link, packets, line) in [
        (RAW_IP, vec![cut.clone(), whole(long.clone()), cut], "tap: 2 packets that were cut short"),
        (RAW_IP, vec![first, last], "tap: 2 fragments of IP packets"),
        (RAW_IP, vec![whole(v6_fragment)], "tap: 1 fragments of IP packets"),
        (BLUETOOTH, vec![whole(vec![9; 50])], "tap: 1 packets of link type 187"),
        (RAW_IP, vec![whole(ip(132, [0, 0], &[1; 30]))], "tap: 1 packets of IP protocol 132"),
        (ETHERNET, vec![whole(ethernet(0x8864, &[1; 60]))], "tap: 1 packets of EtherType 0x8864"),
        (ETHERNET, vec![whole(ethernet(0x0800, &[0x45, 0])), whole(vec![1])], "tap: 2 packets that are malformed"),
    ] {
        for file in [capture(link, &packets), next_generation(link as u16, &packets)] {
            let verdict = saw(&run, &file);
            assert_eq!(verdict.outcome, Outcome::CouldNotExamine, "{line}: {verdict}");
            assert!(
                verdict.examined.not_examined.iter().any(|reported| reported.starts_with(line)),
                "{line}: {verdict}"
            );
        }
    }
    // Control: packets that are understood, and protocols whose packets each stand alone.
    let packets = [udp(b"hello"), ip(1, [0, 0], &[8; 40]), ip(2, [0, 0], &[8; 8])].map(whole);
    assert!(saw(&run, &capture(RAW_IP, &packets)).holds());
    let packets = [ethernet(0x0800, &udp(b"hello")), ethernet(0x0806, &[1; 46]), ethernet(40, &[0x42; 40])].map(whole);
    let verdict = saw(&run, &capture(ETHERNET, &packets));
    assert!(verdict.holds(), "{verdict}");
}

#[test]
fn packets_that_are_not_dissected_are_searched_raw() {
    let run = Run::new();
    let key = run.aead_key();
    for (link, packet) in [(BLUETOOTH, key.clone()), (RAW_IP, ip(132, [0, 0], &key)), (RAW_IP, ip(17, [0x20, 0], &key))]
    {
        let verdict = saw(&run, &capture(link, &[whole(packet)]));
        assert_eq!(kinds(&verdict)[0], FindingKind::SecretInEvidence, "{link}: {verdict}");
    }
}

#[test]
fn failing_source_hides_nothing_in_others() {
    let run = Run::new();
    let key = run.aead_key();
    let damaged = [capture(RAW_IP, &[whole(udp(&key))]), vec![1, 2, 3]].concat();
    let verdict = |before: bool, held: &[u8]| {
        let audit = Audit::of(profile(), &run.tape).unwrap().server_saw("wire", &run.wire);
        let audit = if before { audit } else { audit.server_saw("disk", held) };
        let audit =
            audit.server_files(Path::new("/does/not/exist")).with(|evidence| evidence.capture("tap", &damaged[..20]));
        if before { audit.server_saw("disk", held) } else { audit }.verdict()
    };
    for before in [true, false] {
        let found = verdict(before, &key);
        assert_eq!((found.outcome, kinds(&found)[0]), (Outcome::Finding, FindingKind::SecretInEvidence), "{found}");
        let is_reported =
            |verdict: &Verdict, name: &str| verdict.examined.not_examined.iter().any(|line| line.contains(name));
        assert!(is_reported(&found, "/does/not/exist") && is_reported(&found, "tap"), "{found}");
        // Control: without the key nothing is found, and not everything was examined.
        let none = verdict(before, b"");
        assert_eq!((none.outcome, none.findings.len()), (Outcome::CouldNotExamine, 0));
        assert!(is_reported(&none, "/does/not/exist") && none.examined.public_values_seen > 0);
    }
    // The part of a damaged source before the damage counts too.
    let verdict = saw(&run, &damaged);
    assert_eq!((verdict.outcome, kinds(&verdict)[0]), (Outcome::Finding, FindingKind::SecretInEvidence));
    assert_eq!(verdict.examined.not_examined.len(), 1, "{verdict}");
}
