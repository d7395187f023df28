// SPDX-License-Identifier: MIT OR Apache-2.0
//! Texts in the evidence: a leak is a finding, ordinary language and what was there before the run is not.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test states what it expects"
)]

mod sender;

use noescrow_audit::{Audit, Evidence, Field, FindingKind, Kind, Outcome, Role, Tape, Verdict};
use sender::{KEY, profile, sent};

/// The verdict if one text is sent, and the server has this, with and without a baseline.
fn verdict(text: &[u8], held: &[u8], known: Option<&[u8]>) -> Verdict {
    let (tape, wire) = sent(&[text]);
    let audit = Audit::of(profile(), &tape).unwrap().server_saw("wire", &wire).server_saw("disk", held);
    match known {
        Some(known) => audit.known(Evidence::new().bytes("image", known)).verdict(),
        None => audit.verdict(),
    }
}

const MESSAGE: &str = "Please call me back as soon as possible, the plumber found three silver spoons under the floor.";
/// What a library says.
const LIBRARY: &[u8] = b"\0the connection will be closed as soon as possible\0it is used in the same way\0";

#[test]
fn ordinary_language_is_no_leak_and_the_message_is() {
    for known in [None, Some(&b"lib: other words in a library"[..]), Some(LIBRARY)] {
        let clean = verdict(MESSAGE.as_bytes(), LIBRARY, known);
        assert_eq!(clean.outcome, Outcome::Holds, "{clean}");
        assert_eq!(clean.examined.ordinary_hits, 1, "{clean}");
    }
    for held in [MESSAGE, &MESSAGE[5..], "INFO the plumber found three silver spoons under the floor"] {
        let held = [LIBRARY, held.as_bytes()].concat();
        let found = verdict(MESSAGE.as_bytes(), &held, Some(LIBRARY));
        assert_eq!(found.outcome, Outcome::Finding, "{found}");
        // Without a baseline it is listed, with its place.
        let unjudged = verdict(MESSAGE.as_bytes(), &held, None);
        assert_eq!((unjudged.outcome, unjudged.findings.len()), (Outcome::CouldNotExamine, 0));
        assert_eq!((unjudged.unjudged.len(), unjudged.unjudged[0].places.len()), (1, 1), "{unjudged}");
        assert_eq!(unjudged.unjudged[0].kind, FindingKind::TextMayHaveLeaked);
        assert!(unjudged.examined.not_examined.iter().any(|line| line.starts_with("1 texts that may")), "{unjudged}");
        for page in [unjudged.to_string(), unjudged.to_html(&[]), unjudged.to_json()] {
            assert!(page.contains("disk"), "{page}");
        }
    }
    // With an empty baseline, which states that there is no other software, a fragment is a finding.
    let (tape, wire) = sent(&[MESSAGE.as_bytes()]);
    let audit = Audit::of(profile(), &tape).unwrap().server_saw("wire", &wire).server_saw("disk", LIBRARY);
    let strict = audit.known(Evidence::new()).verdict();
    assert_eq!(strict.of_kind(FindingKind::FragmentInEvidence).count(), 1, "{strict}");
}

/// A text has many chance hits before the one that counts.
#[test]
fn a_leak_after_a_thousand_chance_hits_is_found() {
    let held = [LIBRARY.repeat(1000), MESSAGE.as_bytes().to_vec()].concat();
    let found = verdict(MESSAGE.as_bytes(), &held, Some(LIBRARY));
    assert_eq!(found.of_kind(FindingKind::PlaintextInEvidence).count(), 1, "{found}");
    // Control.
    assert!(verdict(MESSAGE.as_bytes(), &LIBRARY.repeat(1000), Some(LIBRARY)).holds());
}

#[test]
fn a_text_that_the_baseline_has_is_no_leak() {
    let license = b"Permission is hereby granted, free of charge, to any person obtaining a copy of this software";
    for baseline in [&license[..], &gzip(license)] {
        let clean = verdict(license, license, Some(baseline));
        assert_eq!(clean.outcome, Outcome::Holds, "{clean}");
    }
    let found = verdict(license, license, Some(&license[..60]));
    assert_eq!(found.of_kind(FindingKind::PlaintextInEvidence).count(), 1, "{found}");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn files_that_begin_alike_are_no_leak_and_their_content_is() {
    let content = gzip(&(0..2000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect::<Vec<_>>());
    let mut logo = Vec::new();
    let mut encoder = png::Encoder::new(&mut logo, 512, 512);
    encoder.set_color(png::ColorType::Rgba);
    encoder.write_header().unwrap().write_image_data(&[0x5A; 512 * 512 * 4]).unwrap();
    // Up to the type of the first chunk of data.
    let png = [&logo[..41], &content].concat();
    assert_eq!(verdict(&png, &logo, None).outcome, Outcome::Holds);
    let found = verdict(&png, &[&logo[..], &png[60..100]].concat(), Some(&logo));
    assert_eq!(found.of_kind(FindingKind::FragmentInEvidence).count(), 1, "{found}");
    // Twenty bytes of binary content are a leak, as of a key.
    assert_eq!(verdict(&png, &png[100..120], Some(&logo)).outcome, Outcome::Finding);

    for (text, common) in [
        ("We met on 2026-11-30T19:44:21.123456Z at the bridge", "2026-11-30T19:44:21.123456Z GET /health"),
        ("see https://www.youtube.com/watch?v=dQw4w9WgXcQ", "https://www.youtube.com/watch?v="),
        (
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n\r\n{\"secret\":true}",
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n\r\n",
        ),
    ] {
        let clean = verdict(text.as_bytes(), common.as_bytes(), None);
        assert_eq!(clean.outcome, Outcome::Holds, "{clean}");
        // Control: the text itself.
        let found = verdict(text.as_bytes(), text.as_bytes(), Some(common.as_bytes()));
        assert_eq!(found.outcome, Outcome::Finding, "{found}");
    }
}

#[test]
fn a_key_is_a_finding_whatever_the_baseline_contains() {
    let found = verdict(MESSAGE.as_bytes(), &KEY, Some(b"an image"));
    assert!(found.of_kind(FindingKind::SecretInEvidence).count() > 0, "{found}");
    for held in [&KEY[..], MESSAGE.as_bytes()] {
        let verdict = verdict(MESSAGE.as_bytes(), held, Some(&[&KEY[..16], MESSAGE.as_bytes()].concat()));
        assert!(!verdict.holds() && verdict.unjudged.len() + verdict.findings.len() > 0, "{verdict}");
        let is_reported = |line: &String| line.starts_with("the baseline contains a value of this run");
        assert!(verdict.examined.not_examined.iter().any(is_reported), "{verdict}");
    }
}

/// A baseline that was taken after the run contains what the devices sent.
#[test]
fn a_baseline_with_a_message_of_the_run_explains_nothing() {
    let (tape, wire) = sent(&[MESSAGE.as_bytes()]);
    let of = |known: &[u8]| {
        let audit =
            Audit::of(profile(), &tape).unwrap().server_saw("wire", &wire).server_saw("disk", MESSAGE.as_bytes());
        audit.known(Evidence::new().bytes("image", known)).verdict()
    };
    let late = [MESSAGE.as_bytes(), &wire].concat();
    assert_eq!((of(&late).outcome, of(&late).unjudged.len()), (Outcome::CouldNotExamine, 1), "{}", of(&late));
    // Control: from before the run, the same text is explained.
    assert!(of(MESSAGE.as_bytes()).holds());
}

#[test]
fn a_baseline_that_cannot_be_read_is_reported() {
    let (tape, wire) = sent(&[MESSAGE.as_bytes()]);
    let audit = Audit::of(profile(), &tape).unwrap().server_saw("wire", &wire);
    let verdict = audit.known(Evidence::new().file("image", "/does/not/exist")).verdict();
    assert_eq!(verdict.outcome, Outcome::CouldNotExamine);
    assert!(verdict.examined.not_examined.iter().any(|line| line.starts_with("baseline: ")), "{verdict}");
}

/// A digest of a message or of a key is reported under its name, in any encoding, whoever's baseline is given.
#[test]
fn digests_of_secrets_and_texts_are_findings_of_their_own() {
    use leakscan::digests::digests;
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let all = |bytes: &[u8]| digests(bytes).into_iter().map(|(name, digest)| (name, hex(&digest)));
    for (name, digest) in all(MESSAGE.as_bytes()).chain(all(&KEY)) {
        let held = format!("blob {digest} size 95");
        let found = verdict(MESSAGE.as_bytes(), held.as_bytes(), Some(LIBRARY));
        let kinds: Vec<_> = found.findings.iter().map(|finding| finding.kind).collect();
        assert_eq!(kinds, [FindingKind::DigestInEvidence], "{name}: {found}");
        assert!(found.findings[0].why.contains(name), "{found}");
        // Controls: a digest that the baseline contains, and half of one.
        assert!(verdict(MESSAGE.as_bytes(), held.as_bytes(), Some(held.as_bytes())).holds());
        assert!(verdict(MESSAGE.as_bytes(), &digest.as_bytes()[..30], Some(LIBRARY)).holds());
    }
    // Forms in which programs hash texts, and a text that is too short to be searched for itself.
    let sha256 = |text: &str| digests(text.as_bytes())[3].1.clone();
    for (text, hashed) in
        [("Meet me at Nine ", "Meet me at Nine \n"), ("Meet me at Nine ", "Meet me at Nine"), ("PIN 4711", "pin 4711")]
    {
        let found = verdict(text.as_bytes(), &sha256(hashed), None);
        assert_eq!(found.of_kind(FindingKind::DigestInEvidence).count(), 1, "{hashed}: {found}");
        assert!(verdict(text.as_bytes(), &sha256("another text"), None).findings.is_empty());
    }
}

/// What the run computes itself is the protocol's.
#[test]
fn a_digest_that_the_run_computed_is_no_finding_of_its_own() {
    let digest = leakscan::digests::digests(&KEY)[3].1.clone();
    let (tape, wire) = sent(&[MESSAGE.as_bytes()]);
    let of = |tape: &Tape| {
        let audit = Audit::of(profile(), tape).unwrap().server_saw("wire", &wire).server_saw("disk", &digest);
        audit.known(Evidence::new()).verdict().of_kind(FindingKind::DigestInEvidence).count()
    };
    assert_eq!(of(&tape), 1);
    let alice = tape.device("Alice again").unwrap();
    let fields = [(Role::Message, false, &KEY[..]), (Role::Digest, true, &digest)];
    alice.record("", Kind::Sha256, fields.iter().map(|&(role, is_output, bytes)| Field { role, is_output, bytes }));
    assert_eq!(of(&tape), 0);
}

#[test]
fn without_digests_the_verdict_says_so_and_a_leak_is_a_finding() {
    let (tape, wire) = sent(&[MESSAGE.as_bytes()]);
    let audit = || Audit::of(profile(), &tape).unwrap().server_saw("wire", &wire).known(Evidence::new());
    assert!(audit().verdict().examined.digests > 18);
    let verdict = audit().without_digests().verdict();
    assert_eq!((verdict.outcome, verdict.examined.digests), (Outcome::CouldNotExamine, 0));
    let verdict = audit().server_saw("disk", MESSAGE.as_bytes()).without_digests().verdict();
    assert_eq!(verdict.of_kind(FindingKind::PlaintextInEvidence).count(), 1, "{verdict}");
}
