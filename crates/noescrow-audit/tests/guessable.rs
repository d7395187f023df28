// SPDX-License-Identifier: MIT OR Apache-2.0
//! Secrets that can be guessed: a key that follows from a PIN and from what everyone knows is a finding.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test states what it expects"
)]

mod sender;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use noescrow_audit::{Audit, Evidence, Field, Finding, FindingKind, Kind, Outcome, Role, Tape, Track, Verdict};
use sender::{profile, sent};

fn record(device: &Track, kind: Kind, fields: &[(Role, bool, &[u8])]) {
    device.record("", kind, fields.iter().map(|&(role, is_output, bytes)| Field { role, is_output, bytes }));
}

fn hmac(device: &Track, key: &[u8], label: &[u8]) -> Vec<u8> {
    let output = hmac::sign(&hmac::Key::new(HMAC_SHA256, key), label);
    let fields = [(Role::KdfKey, false, key), (Role::Context, false, label), (Role::KdfOutput, true, output.as_ref())];
    record(device, Kind::Hmac, &fields);
    output.as_ref().to_vec()
}

fn hkdf(device: &Track, salt: &[u8], input: &[u8]) -> Vec<u8> {
    let mut output = [0; 32];
    Salt::new(HKDF_SHA256, salt).extract(input).expand(&[], HKDF_SHA256).unwrap().fill(&mut output).unwrap();
    let inputs = [(Role::KdfKey, false, salt), (Role::KdfInput, false, input), (Role::Context, false, b"")];
    record(device, Kind::Hkdf, &[&inputs[..], &[(Role::KdfOutput, true, &output)]].concat());
    output.to_vec()
}

/// Seals a backup under a key; returns the ciphertext.
fn seal(device: &Track, key: &[u8]) -> Vec<u8> {
    let text = b"a backup of forty contacts and of nine photographs";
    let aead = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).unwrap());
    let mut sealed = text.to_vec();
    aead.seal_in_place_append_tag(Nonce::assume_unique_for_key([9; 12]), Aad::from(b""), &mut sealed).unwrap();
    let inputs = [(Role::AeadKey, false, key), (Role::Nonce, false, &[9; 12]), (Role::AssociatedData, false, b"")];
    let rest = [(Role::Plaintext, false, &text[..]), (Role::Tag, true, &sealed[text.len()..])];
    record(device, Kind::Seal, &[&inputs[..], &rest].concat());
    sealed
}

/// The verdict on a device that seals a backup under a key of this secret, after a usual message.
fn verdict(secret: &[u8], derive: impl Fn(&Track, &[u8]) -> Vec<u8>) -> Verdict {
    let (tape, wire) = sent(&[b"yes", b"A message of more than sixteen bytes, about a backup."]);
    let device = tape.device("Bob").unwrap();
    device.given("", secret);
    let key = derive(&device, secret);
    let sealed = seal(&device, &key);
    of(&tape, &wire, &sealed)
}

fn of(tape: &Tape, wire: &[u8], sealed: &[u8]) -> Verdict {
    let audit = Audit::of(profile(), tape).unwrap().server_saw("wire", wire).server_saw("backup", sealed);
    audit.known(Evidence::new()).verdict()
}

fn guessable(verdict: &Verdict) -> Vec<&Finding> {
    verdict.of_kind(FindingKind::GuessableSecret).collect()
}

/// Sixteen bytes without a pattern, and six.
const SALT: &[u8; 16] = b"\x91\x0f\xb3\x5c\x27\xe8\x64\x1d\xaa\x42\xd7\x09\x7e\xf1\x38\xc6";

#[test]
fn a_key_of_a_pin_is_a_finding_and_of_random_bytes_is_none() {
    for pin in [&b"4711"[..], b"081547", b"Password1", b"\x07\xE1"] {
        let found = verdict(pin, |device, pin| hmac(device, pin, b"backup"));
        let findings = guessable(&found);
        assert_eq!((found.outcome, findings.len(), found.findings.len()), (Outcome::Finding, 1, 1), "{found}");
        let Finding { what, why, derivation, places, .. } = findings[0];
        assert!(what.starts_with("KDF key, Bob at"), "{what}");
        assert!(why.contains("by HMAC-SHA-256, Bob at") && why.contains("so does one more secret"), "{why}");
        assert!(places.is_empty() && derivation.iter().any(|step| step.because == "guessed" && step.is_cause));
        assert_eq!(findings[0].causes(), [what]);
    }
    // Control: as many operations, with a random secret of any length that cannot be tried.
    for secret in [&SALT[..], &SALT[..6], b"correct horse"] {
        let clean = verdict(secret, |device, secret| hmac(device, secret, b"backup"));
        assert!(clean.findings.is_empty(), "{clean}");
    }
}

#[test]
fn a_pin_with_a_second_secret_is_none() {
    let strong = verdict(b"4711", |device, pin| {
        device.given("", SALT);
        hmac(device, &hmac(device, SALT, pin), b"backup")
    });
    assert!(guessable(&strong).is_empty(), "{strong}");
    // Control: the same with what the server also has.
    let weak = verdict(b"4711", |device, pin| {
        device.given("", SALT);
        let label = hmac(device, SALT, b"label");
        let _ = label;
        hmac(device, &hmac(device, pin, SALT), b"backup")
    });
    assert_eq!(guessable(&weak).len(), 1, "{weak}");
}

#[test]
fn a_pin_that_no_operation_uses_is_none() {
    let (tape, wire) = sent(&[b"yes", b"A message of more than sixteen bytes, about a backup."]);
    let device = tape.device("Bob").unwrap();
    device.given("", b"4711");
    device.given("", SALT);
    let key = hmac(&device, SALT, b"backup");
    let sealed = seal(&device, &key);
    let verdict = of(&tape, &wire, &sealed);
    assert!(verdict.findings.is_empty(), "{verdict}");
}

/// What follows from several guesses follows only if all can be tried together.
#[test]
fn guesses_count_together() {
    let chain = |device: &Track, values: &[&[u8]]| {
        values[1..].iter().fold(values[0].to_vec(), |key, next| {
            device.given("", next);
            hkdf(device, &key, next)
        })
    };
    let words: [&[u8]; 6] = [b"apple", b"tiger", b"horse", b"ocean", b"piano", b"lemon"];
    let bytes: [&[u8]; 6] =
        [b"\x91\x0F\xB3", b"\x5C\x27\xE8", b"\x64\x1D\xAA", b"\x42\xD7\x09", b"\x7E\xF1\x38", b"\xC6\x11\x9A"];
    for values in [words, bytes] {
        let strong = verdict(values[0], |device, _| chain(device, &values));
        assert!(strong.findings.is_empty(), "{strong}");
    }
    // Control: two PINs together.
    let weak = verdict(b"4711", |device, _| chain(device, &[b"4711", b"0815"]));
    assert_eq!(guessable(&weak).len(), 1, "{weak}");
    assert!(guessable(&weak)[0].what.contains(" and "), "{weak}");
}
