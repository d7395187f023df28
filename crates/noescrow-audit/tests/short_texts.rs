// SPDX-License-Identifier: MIT OR Apache-2.0
//! Short texts: searched for as whole tokens if the auditor asks for it.
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
use sender::{profile, sent};

/// A run with a short text, a plain one and one of the usual length.
fn run() -> (Tape, Vec<u8>) {
    sent(&[b"PIN 4711", b"ha ha ha", b"Please call me back as soon as possible, about the silver spoons."])
}

fn verdict(held: &[u8], known: Option<&[u8]>) -> Verdict {
    let (tape, wire) = run();
    let audit = Audit::of(profile(), &tape).unwrap().server_saw("wire", &wire).server_saw("disk", held);
    let audit = match known {
        Some(known) => audit.known(Evidence::new().bytes("image", known)),
        None => audit,
    };
    audit.short_texts().verdict()
}

#[test]
fn short_texts_are_not_searched_for_unless_asked() {
    let (tape, wire) = run();
    let audit = Audit::of(profile(), &tape).unwrap().server_saw("wire", &wire).server_saw("disk", b"the PIN 4711.");
    let without = audit.known(Evidence::new()).verdict();
    assert_eq!((without.outcome, without.examined.secrets_not_searched), (Outcome::HoldsInPart, 2), "{without}");
    let clean = verdict(b"the SPIN 4711.", Some(b"an image"));
    assert_eq!((clean.outcome, clean.examined.secrets_not_searched), (Outcome::Holds, 0), "{clean}");
    assert_eq!((clean.examined.short_texts, clean.examined.secrets), (2, without.examined.secrets + 2));
    assert!(clean.to_string().contains("2 of them as whole tokens"), "{clean}");
}

#[test]
fn short_texts_in_the_evidence_are_findings_with_their_places() {
    let utf16: Vec<u8> = "a PIN 4711!".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (held, offset) in [(&b"the PIN 4711."[..], 4), (b"(ha ha ha)", 1), (&utf16, 4)] {
        let found = verdict(held, Some(b"an image"));
        assert_eq!(found.findings.len(), 1, "{found}");
        let finding = &found.findings[0];
        assert_eq!(finding.kind, FindingKind::PlaintextInEvidence);
        // In UTF-16, the place may be a byte off.
        let place = &finding.places[0];
        assert!(place.source == "disk" && offset - place.offset <= place.encoding.starts_with("utf").into(), "{found}");
    }
    // Control: within a word.
    for held in [&b"the SPIN 4711."[..], b"(aha ha ha)", b"PIN 47110"] {
        assert_eq!(verdict(held, Some(b"an image")).outcome, Outcome::Holds);
    }
}

/// What the server's software contains as well shows nothing, so that the claim does not hold for it either.
#[test]
fn a_short_text_that_the_baseline_has_counts_as_not_searched_for() {
    let held = b"the PIN 4711.";
    let known = verdict(held, Some(b"default: PIN 4711"));
    assert_eq!((known.outcome, known.examined.secrets_not_searched), (Outcome::HoldsInPart, 1), "{known}");
    assert_eq!((known.examined.ordinary_hits, known.examined.short_texts), (1, 1));
    // Without a baseline it is not judged.
    let unjudged = verdict(held, None);
    assert_eq!((unjudged.outcome, unjudged.unjudged.len()), (Outcome::CouldNotExamine, 1), "{unjudged}");
    // Control.
    assert_eq!(verdict(held, Some(b"default: PIN 47110")).outcome, Outcome::Finding);
}

#[test]
fn a_given_pin_is_a_secret_and_three_bytes_are_not_searched_for() {
    let (tape, wire) = run();
    let device = tape.device("Bob").unwrap();
    device.given("", b"0815");
    device.given("", b"815");
    let of = |held: &[u8]| {
        let audit = Audit::of(profile(), &tape).unwrap().server_saw("wire", &wire).server_saw("disk", held);
        audit.known(Evidence::new()).short_texts().verdict()
    };
    let clean = of(b"10815");
    assert_eq!((clean.outcome, clean.examined.secrets_not_searched), (Outcome::HoldsInPart, 1), "{clean}");
    let found = of(b"pin=0815&");
    assert_eq!(found.of_kind(FindingKind::SecretInEvidence).count(), 1, "{found}");
}

#[test]
fn a_short_text_that_is_public_counts_as_not_searched_for() {
    let (tape, wire) = run();
    let label = b"PIN 4711";
    let bob = tape.device("Bob").unwrap();
    let output = aws_lc_rs::hmac::sign(&aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &sender::KEY), label);
    bob.given("", &sender::KEY);
    let fields = [
        (Role::KdfKey, false, &sender::KEY[..]),
        (Role::Context, false, label),
        (Role::KdfOutput, true, output.as_ref()),
    ];
    bob.record("", Kind::Hmac, fields.iter().map(|&(role, is_output, bytes)| Field { role, is_output, bytes }));
    let audit = Audit::of(profile(), &tape).unwrap().server_saw("wire", &wire).server_saw("disk", b"nothing of it");
    let verdict = audit.known(Evidence::new().bytes("image", b"an image")).short_texts().verdict();
    assert_eq!((verdict.examined.short_texts, verdict.examined.secrets_not_searched), (1, 1), "{verdict}");
}

/// A baseline that was not read to its end explains nothing, and no later part is searched as if it had been.
#[test]
fn a_baseline_that_is_stopped_is_named() {
    let (tape, wire) = run();
    for stops_once in [false, true] {
        let asked = core::cell::Cell::new(0);
        let stop = || {
            asked.set(asked.get() + 1);
            asked.get() == 1 || !stops_once
        };
        let audit = Audit::of(profile(), &tape).unwrap().server_saw("wire", &wire).server_saw("disk", b"more");
        let stopped = audit.known(Evidence::new().bytes("image", b"an image")).stopping(stop).verdict();
        assert_eq!(stopped.outcome, Outcome::CouldNotExamine, "{stopped}");
        let named = &stopped.examined.not_examined;
        assert!(named.iter().any(|one| one.starts_with("baseline: it was stopped")), "{named:?}");
        assert!(named.iter().any(|one| one.contains("the search was stopped after 0 bytes")), "{named:?}");
    }
}
