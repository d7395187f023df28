// SPDX-License-Identifier: MIT OR Apache-2.0
//! A messenger can be recorded and audited: its server learns no secret of it, and a secret that the server has is
//! flagged.
#![allow(
    missing_docs,
    unreachable_pub,
    missing_debug_implementations,
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test states what it expects"
)]

mod talk;

use noescrow_audit::{Audit, Evidence, Finding, FindingKind, Kind, Operation, Role, TraceReader, Verdict};
use noescrow_recorder::profile;
use std::sync::LazyLock;
use talk::Talk;

static TALK: LazyLock<Talk> = LazyLock::new(|| {
    let mut talk = Talk::new();
    talk.converse();
    talk
});

/// The verdict on a server that saw every bundle and message, and has this as well.
fn verdict(held: &[u8]) -> Verdict {
    // A twentieth of the public values: the two users publish hundreds of prekeys that nobody fetches.
    let audit = Audit::of(profile(), &TALK.tape).unwrap().min_share(4).known(Evidence::new());
    let audit = audit.server_saw("wire", &TALK.wire);
    audit.server_saw("log", held).verdict()
}

/// What the first operation that has it has in this role.
fn first(role: Role, is_it: impl Fn(&Operation<'_>) -> bool) -> Vec<u8> {
    let mut found = Vec::new();
    let visit = |operation: &Operation<'_>| {
        if found.is_empty() && is_it(operation) {
            found = operation.input(role).unwrap().to_vec();
        }
    };
    TraceReader::new(&*TALK.tape.bytes()).unwrap().for_each(visit).unwrap();
    assert!(!found.is_empty());
    found
}

fn has_label(operation: &Operation<'_>, label: &[u8]) -> bool {
    operation.inputs(Role::Context).next() == Some(label)
}

#[test]
fn a_messengers_server_learns_no_secret_of_it() {
    let verdict = verdict(b"nothing");
    assert_eq!(verdict.findings, []);
    assert!(verdict.holds(), "{verdict}");
}

/// Control: each of them is named, and so is what follows from it.
#[test]
fn a_messengers_leaked_secrets_are_flagged_with_what_they_expose() {
    let message_key = first(Role::AeadKey, |operation| operation.kind == Kind::Seal && operation.step == "DR-E4");
    let header_key = first(Role::KdfKey, |operation| has_label(operation, b"noescrow-v1 commitment"));
    let peers_row = first(Role::Plaintext, |operation| {
        let associated_data = operation.input(Role::AssociatedData);
        let is_core_of_peer = |head: &[u8]| head.starts_with(&[1, 5]) && head[head.len() - 9] == 0;
        let has_sessions = operation.input(Role::Plaintext).is_some_and(|row| row.len() > 1_000);
        has_sessions && operation.kind == Kind::Seal && associated_data.is_some_and(is_core_of_peer)
    });
    let cases = [
        (&message_key, "AEAD key of a message", "plaintext"),
        (&header_key, "header key", "AEAD key of a header"),
        (&peers_row, "state of a device", "AEAD key of a header"),
    ];
    for (leaked, name, follows) in cases {
        let verdict = verdict(leaked);
        let found = |finding: &Finding| {
            let is_whole = finding.places.iter().any(|place| (&*place.source, place.offset) == ("log", 0));
            finding.kind == FindingKind::SecretInEvidence && finding.what.contains(name) && is_whole
        };
        assert!(verdict.findings.iter().any(found), "{name}");
        let derived = |finding: &&Finding| finding.kind == FindingKind::Derivable && finding.what.contains(follows);
        let derived = verdict.findings.iter().find(derived).unwrap_or_else(|| panic!("{follows}: not flagged"));
        assert!(
            derived.derivation.len() > 1 && derived.derivation.iter().any(|step| step.because.contains("log")),
            "{verdict}"
        );
    }
}
