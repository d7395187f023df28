// SPDX-License-Identifier: MIT OR Apache-2.0
//! What revision 3 derives besides keys: session id and exporter, which no server may learn, and what each message
//! shows.

use super::{Run, kinds};
use data_encoding::HEXLOWER;
use noescrow::primitives::Primitives;
use noescrow_audit::{FindingKind, Kind, Role, TraceReader};

/// The outputs of derivations whose first part is this label, in order.
fn derived(run: &Run, kind: Kind, label: &str) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    TraceReader::new(&*run.tape.bytes())
        .unwrap()
        .for_each(|operation| {
            if operation.kind == kind && operation.input(Role::Context) == Some(label.as_bytes()) {
                all.push(operation.output(Role::KdfOutput).unwrap().to_vec());
            }
        })
        .unwrap();
    all
}

#[test]
fn session_id_or_exporter_in_a_log_is_a_finding() {
    let run = Run::new();
    let id = run.session.id();
    let [ours, theirs] = &derived(&run, Kind::HkdfExpand, "noescrow-v1 sk: session id")[..] else { panic!() };
    assert!(ours[..] == id && theirs[..] == id);
    let exporter = derived(&run, Kind::HkdfExpand, "noescrow-v1 sk: exporter").remove(0);
    for (name, value) in [("session id", &id[..]), ("exporter", &exporter)] {
        let log = format!("GET /inbox?about={} HTTP/1.1", HEXLOWER.encode(value));
        let verdict = run.verdict(log.as_bytes());
        assert_eq!(kinds(&verdict), [FindingKind::SecretInEvidence], "{name}: {verdict}");
        assert!(verdict.findings[0].what.starts_with(name), "{verdict}");
    }
    // Control: the opening id is public, and so is everything that a message shows.
    let opening_id = noescrow::opening_id(&run.wire[run.bundle.len()..]).unwrap();
    assert!(run.verdict(HEXLOWER.encode(&opening_id).as_bytes()).holds());
}

/// The halves of a MAC: one is in every message, the other must not leave the device.
#[test]
fn public_half_of_a_mac_does_not_expose_the_other() {
    let run = Run::new();
    for (label, shown) in [("noescrow-v1 tag", 8), ("noescrow-v1 commitment", 16)] {
        let macs = derived(&run, Kind::Hmac, label);
        let mac = macs.iter().find(|mac| run.wire.windows(shown).any(|bytes| *bytes == mac[..shown])).unwrap();
        assert!(run.verdict(&mac[..shown]).holds(), "{label}");
        let verdict = run.verdict(&mac[shown..]);
        assert!(kinds(&verdict).contains(&FindingKind::SecretInEvidence), "{label}: {verdict}");
    }
}

/// Each HMAC under a header key is an operation of its own, from the key and its message to the output.
#[test]
fn header_key_in_a_log_exposes_the_header() {
    let run = Run::new();
    let mut header_key = Vec::new();
    TraceReader::new(&*run.tape.bytes())
        .unwrap()
        .for_each(|operation| {
            if operation.kind == Kind::Hmac && operation.input(Role::Context) == Some(b"noescrow-v1 header") {
                header_key = operation.input(Role::KdfKey).unwrap().to_vec();
            }
        })
        .unwrap();
    let derivable = |held: &[u8]| -> Vec<String> {
        let findings = run.verdict(held).findings.into_iter();
        findings.filter(|finding| finding.kind == FindingKind::Derivable).map(|finding| finding.what).collect()
    };
    let found = derivable(&header_key);
    for what in ["AEAD key of a header,", "header,"] {
        assert!(found.iter().any(|one| one.starts_with(what)), "{what}: {found:?}");
    }
    // Control: another key of the same form.
    header_key.rotate_left(1);
    assert_eq!(derivable(&header_key), [""; 0]);
}

/// Young and Yung 1996: a generator that puts a key into salts, of which 8 bytes are random, piece by piece.
#[test]
fn drawn_value_that_is_a_part_of_a_key_is_a_finding() {
    let findings = |drawn: &[u8]| {
        let run = Run::new();
        run.alice.fresh(drawn);
        kinds(&run.verdict(b""))
    };
    let key = derived(&Run::new(), Kind::HkdfExpand, "noescrow-v1 sk: root key").remove(0);
    for part in [0..8, 5..13, 24..32, 3..18] {
        assert_eq!(findings(&key[part.clone()]), [FindingKind::SecretMadePublic], "{part:?}");
    }
    // Control: another value, and fewer bytes than a salt has, which agree by chance.
    let mut other = key[5..13].to_vec();
    other[7] ^= 1;
    assert!(findings(&other).is_empty() && findings(&key[5..12]).is_empty());
}

/// As [`drawn_value_that_is_a_part_of_a_key_is_a_finding`], for a generator that repeats itself.
#[test]
fn random_half_of_a_salt_drawn_twice_is_a_finding() {
    let findings = |drawn: &[&[u8]]| {
        let run = Run::new();
        drawn.iter().for_each(|drawn| run.alice.fresh(drawn));
        kinds(&run.verdict(b""))
    };
    assert_eq!(findings(&[b"8 bytes.", b"8 bytes."]), [FindingKind::RepeatedFresh]);
    // Control: two values, and one that is shorter.
    assert!(findings(&[b"8 bytes.", b"8 bytes,"]).is_empty() && findings(&[b"7 bytes", b"7 bytes"]).is_empty());
}
