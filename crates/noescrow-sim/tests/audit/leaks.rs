// SPDX-License-Identifier: MIT OR Apache-2.0
//! Controls in which a server has what it should not, in every form in which servers write bytes.

use crate::controls::{Control, Expected, encoded, follows, found};
use crate::encodings::{
    base64, base64_url_in_lines, gzip, hex, hex_with_colons, percent, signed_integers, utf16, zlib, zstd,
};
use crate::faulty_device::Name;
use crate::run::{BOB, Run, Setup};
use noescrow_audit::FindingKind::{self, Derivable, FragmentInEvidence, PlaintextInEvidence, SecretInEvidence};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

pub fn plain(_: u64) -> Setup {
    Setup::default()
}

fn a_text(run: &mut Run) -> Vec<u8> {
    let at = rng(run).next_u64() as usize % run.texts.len();
    run.texts[at].clone()
}

pub fn rng(run: &mut Run) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(run.rng.next_u64())
}

/// A value surrounded by other bytes.
pub fn in_a_dump(run: &mut Run, what: &[u8]) -> Vec<u8> {
    let mut noise = vec![0; 1000];
    run.rng.fill_bytes(&mut noise);
    let at = run.rng.next_u64() as usize % 700;
    [&noise[..at], what, &noise[at..]].concat()
}

pub const fn control(
    name: &'static str,
    setup: fn(u64) -> Setup,
    leak: fn(&mut Run) -> Vec<u8>,
    expected: &'static [Expected],
) -> Control {
    Control { name, setup, leak, expected, never: &[] }
}

pub const fn limited(control: Control, never: &'static [(FindingKind, &'static str)]) -> Control {
    Control { never, ..control }
}

/// Both ratchets' keys of one message.
fn both_message_keys(run: &mut Run) -> [Vec<u8>; 2] {
    let [mut classical, mut post_quantum] =
        [run.all(Name::MessageKey, "DR-E2"), run.all(Name::PostQuantumMessageKey, "SP-S2")];
    assert_eq!(classical.len(), post_quantum.len());
    let at = rng(run).next_u64() as usize % classical.len();
    [classical.swap_remove(at), post_quantum.swap_remove(at)]
}

const fn fragment(what: &'static str, encoding: &'static str) -> Expected {
    Expected { kind: FragmentInEvidence, what, from: "", encoding }
}

pub fn bobs_states(run: &mut Run) -> Vec<u8> {
    run.save_device(BOB);
    run.tap(BOB).all(Name::State, "SN-1").pop().unwrap()
}

pub const LEAKS: &[Control] = &[
    control("root key in escrow", plain, |run| run.any(Name::RootKey, ""), &[encoded("root key", "raw")]),
    control(
        "both message keys of a message logged in base64",
        plain,
        |run| {
            let [classical, post_quantum] = both_message_keys(run);
            format!("DEBUG mk={} pq={} ok\n", base64(&classical), base64(&post_quantum)).into_bytes()
        },
        &[
            encoded("message key", "base64"),
            encoded("post-quantum message key", "base64"),
            follows("plaintext", "message key"),
        ],
    ),
    // Either half alone is found, but opens nothing.
    limited(
        control(
            "classical message key logged in base64",
            plain,
            |run| format!("DEBUG mk={} ok\n", base64(&run.any(Name::MessageKey, ""))).into_bytes(),
            &[encoded("message key", "base64")],
        ),
        &[(Derivable, "plaintext"), (Derivable, "AEAD key of a message")],
    ),
    limited(
        control(
            "post-quantum message key logged in base64",
            plain,
            |run| format!("DEBUG mk={} ok\n", base64(&run.any(Name::PostQuantumMessageKey, ""))).into_bytes(),
            &[encoded("post-quantum message key", "base64")],
        ),
        &[(Derivable, "plaintext"), (Derivable, "AEAD key of a message")],
    ),
    control(
        "base64url without padding, in lines",
        plain,
        |run| format!("key:\r\n{}\r\n", base64_url_in_lines(&run.any(Name::RootKey, ""))).into_bytes(),
        &[encoded("root key", "base64")],
    ),
    control(
        "key bytes in a JSON error",
        plain,
        |run| {
            let key = run.any(Name::ChainKey, "");
            serde_json::to_vec(&serde_json::json!({ "error": "bad key", "key": key })).unwrap()
        },
        &[encoded("chain key", "integers")],
    ),
    control(
        "debug array in a log",
        plain,
        |run| format!("thread 'main' panicked: {:#?}", run.any(Name::HeaderKey, "")).into_bytes(),
        &[encoded("header key", "integers")],
    ),
    control(
        "signed integers, as Java prints bytes",
        plain,
        |run| signed_integers(&run.any(Name::RootKey, "")).into_bytes(),
        &[encoded("root key", "integers")],
    ),
    control(
        "percent-encoded key in a URL",
        plain,
        |run| format!("GET /backup?k={}&v=1 HTTP/1.1", percent(&run.any(Name::RootKey, ""))).into_bytes(),
        &[encoded("root key", "percent")],
    ),
    control(
        "hex in UTF-16",
        plain,
        |run| utf16(&format!("key={};", hex(&run.any(Name::RootKey, "")))),
        &[encoded("root key", "utf-16le > hex")],
    ),
    control(
        "hex with colons",
        plain,
        |run| hex_with_colons(&run.any(Name::KemShared, "")).into_bytes(),
        &[encoded("KEM shared secret", "hex")],
    ),
    control(
        "a key in a message's id",
        plain,
        |run| format!("{{\"id\":\"msg-{}\"}}", hex(&run.any(Name::MessageKey, ""))).into_bytes(),
        &[encoded("message key", "hex")],
    ),
    control(
        "a key in reversed byte order",
        plain,
        |run| run.any(Name::RootKey, "").into_iter().rev().collect(),
        &[encoded("root key", "reversed")],
    ),
    control(
        "a log compressed by gzip",
        plain,
        |run| gzip(&[b"requests of today\n".repeat(40), run.any(Name::RootKey, "")].concat()),
        &[encoded("root key", "gzip")],
    ),
    control(
        "base64 compressed by gzip",
        plain,
        |run| gzip(format!("requests of today\n k={}\n", base64(&run.any(Name::RootKey, ""))).as_bytes()),
        &[encoded("root key", "gzip > base64")],
    ),
    control(
        "a database page compressed by zlib",
        plain,
        |run| zlib(&[vec![0; 300], run.any(Name::RootKey, ""), vec![7; 300]].concat()),
        &[encoded("root key", "zlib")],
    ),
    control(
        "a log compressed by Zstandard",
        plain,
        |run| zstd(&[b"requests of today\n".repeat(40), run.any(Name::RootKey, "")].concat()),
        &[encoded("root key", "zstd")],
    ),
    control(
        "a state in base64, so that keys begin at any bit",
        plain,
        |run| base64(&bobs_states(run)).into_bytes(),
        &[encoded("Ed25519 private key", "base64"), encoded("X25519 private key", "base64")],
    ),
    control(
        "half a key",
        plain,
        |run| hex(&run.any(Name::RootKey, "")[8..24]).into_bytes(),
        &[fragment("root key", "hex")],
    ),
    control(
        "the two halves of a key in two places",
        plain,
        |run| {
            let key = run.any(Name::RootKey, "");
            format!("a={} b={}", hex(&key[..16]), base64(&key[16..])).into_bytes()
        },
        &[encoded("root key", "hex"), encoded("root key", "base64")],
    ),
    control(
        "plaintext in a crash dump",
        plain,
        |run| {
            let text = a_text(run);
            in_a_dump(run, &text)
        },
        &[found(PlaintextInEvidence, "plaintext")],
    ),
    control(
        "the beginning of a plaintext in a notification",
        plain,
        |run| a_text(run)[..20].to_vec(),
        &[fragment("plaintext", "raw")],
    ),
    control(
        "message key encoded twice in the relay's answer to an order",
        plain,
        |run| base64(hex(&run.any(Name::MessageKey, "")).as_bytes()).into_bytes(),
        &[encoded("message key", "base64 > hex"), found(SecretInEvidence, "message key")],
    ),
];
