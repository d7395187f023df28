// SPDX-License-Identifier: MIT OR Apache-2.0
//! The symbolic models of spec/models describe this code: a conversation on the recorder is compared with them line by
//! line, operation by operation, term by term. `LEFT_OUT` lists what the models leave out, with reasons.
//!
//! `cargo test --test model_conformance -- --nocapture` prints the steps and terms that were compared.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_debug_implementations,
    unreachable_pub,
    reason = "a test states its expectations"
)]

mod comparison;
mod conversation;
mod matching;
mod model;
mod values;

use comparison::{Abstraction, Comparison};
use conversation::{Conversation, Operation, PrekeyIds};
use model::{Line, Statement, Term};
use noescrow_audit::Kind;
use std::collections::BTreeSet;
use std::path::Path;
use values::Values;

/// Operations of the code that no model has. In addition, an operation repeated on the same inputs is compared once:
/// the code keeps 64-byte seeds and computes public keys again.
const LEFT_OUT: [Abstraction; 4] = [
    Abstraction {
        kind: Kind::Sha256,
        step: "HS-R1",
        width: 32,
        why: "the digest of an ephemeral key, by which the replay record knows it: no model has the record",
    },
    Abstraction {
        kind: Kind::Sha256,
        step: "SP-I1",
        width: 1756,
        why: "the digest of a handshake, by which its copies are known (HS-R8): no model repeats one to a session",
    },
    Abstraction { kind: Kind::Sha256, step: "DR-D1", width: 1756, why: "the same, when the first message is opened" },
    Abstraction {
        kind: Kind::Hmac,
        step: "DR-D2",
        width: 32 + 22 + 16,
        why: "the commitment of a header key that is tried and to which the header is not committed",
    },
];

/// The same, for a state that is used twice: the models above have these lines.
const LEFT_OUT_OF_REUSE: [Abstraction; 5] = [
    Abstraction {
        kind: Kind::DhPublic,
        step: "DR-E2",
        width: 32,
        why: "the ratchet key, which a state that was restored computes again",
    },
    Abstraction { kind: Kind::Hmac, step: "DR-E2", width: 33, why: "the next chain key, which no message uses" },
    Abstraction { kind: Kind::Hmac, step: "DR-D5", width: 33, why: "the same chain key, at the receiver" },
    Abstraction {
        kind: Kind::Sha256,
        step: "DR-E4",
        width: conversation::ASSOCIATED_DATA.len(),
        why: "the digest of the associated data, a part of this model's ad",
    },
    Abstraction {
        kind: Kind::Sha256,
        step: "DR-D8",
        width: conversation::ASSOCIATED_DATA.len(),
        why: "the same digest, at the receiver",
    },
];

/// The constants of the models, as spec/protocol.md §3 and §7 define them. The test for labels in src/labels.rs and
/// the known answers pin the same strings.
const CONSTANTS: [(&str, &[u8]); 35] = [
    ("f", &[0xFF; 32]),
    ("suite", b"noescrow-v1_X25519_SHA-256_ML-KEM-1024"),
    ("l_cert", b"noescrow-v1 identity certificate"),
    ("l_prekey", b"noescrow-v1 prekey"),
    ("l_hidden", b"noescrow-v1 hidden identity"),
    ("l_transcript", b"noescrow-v1 transcript"),
    ("l_root0", b"noescrow-v1 sk: root key"),
    ("l_hka", b"noescrow-v1 sk: shared_hka"),
    ("l_nhkb", b"noescrow-v1 sk: shared_nhkb"),
    ("l_sparse", b"noescrow-v1 sk: sparse ratchet"),
    ("l_braid", b"noescrow-v1 sk: braid"),
    ("l_id", b"noescrow-v1 sk: session id"),
    ("l_export", b"noescrow-v1 sk: exporter"),
    ("l_start", b"noescrow-v1 KDF_SCKA_INIT"),
    ("l_add", b"noescrow-v1 KDF_SCKA_RK"),
    ("l_next", b"noescrow-v1 pq ck"),
    ("l_rk", b"noescrow-v1 KDF_RK_HE"),
    ("l_nhk", b"noescrow-v1 next header key"),
    ("l_tag", b"noescrow-v1 tag"),
    ("l_commit", b"noescrow-v1 commitment"),
    ("l_header", b"noescrow-v1 header"),
    ("l_message", b"noescrow-v1 message"),
    ("pi_update1", b"noescrow-v1_ML-KEM-768_SHA-256:Authenticator Update\0\0\0\0\0\0\0\x01"),
    ("pi_header1", b"noescrow-v1_ML-KEM-768_SHA-256:ekheader\0\0\0\0\0\0\0\x01"),
    ("pi_key1", b"noescrow-v1_ML-KEM-768_SHA-256:SCKA Key\0\0\0\0\0\0\0\x01"),
    ("pi_ciphertext1", b"noescrow-v1_ML-KEM-768_SHA-256:ciphertext\0\0\0\0\0\0\0\x01"),
    ("one", &[1]),
    ("two", &[2]),
    ("max_version", &[1]),
    ("number0", &[0, 0, 0, 0]),
    ("number1", &[0, 0, 0, 1]),
    ("number2", &[0, 0, 0, 2]),
    ("outer", &[0x12]),
    // Of a body's ciphertext, which is as long as its padded plaintext: 16 bytes.
    ("length", &[0, 0, 0, 0, 0, 0, 0, 16]),
    ("zeros", &[0; 12]),
];

/// A model, with the kinds of steps that it contains.
struct Case {
    model: &'static str,
    with_one_time_prekey: bool,
    contains: fn(&Operation, u64) -> bool,
    /// Names that stand for something else, and take their values where the code first uses them.
    learned: &'static [&'static str],
    /// Models that run before and give values to names.
    after: &'static [&'static str],
    /// Names whose values the models before have, each under other names: one, or several in a row. No other value is
    /// taken over, unless there are none of them.
    stand_for: &'static [(&'static str, &'static [&'static str])],
    left_out: &'static [Abstraction],
    /// Number of lines compared.
    lines: usize,
}

fn begins_with(operation: &Operation, steps: &[&str]) -> bool {
    steps.iter().any(|step| operation.step.starts_with(step))
}

const HANDSHAKE_STEPS: [&str; 4] = ["ID-", "PK-", "HS-", "SP-I1"];

/// Everything before the first message.
fn of_the_handshake(operation: &Operation, _: u64) -> bool {
    operation.message < 2 && (operation.step.is_empty() || begins_with(operation, &HANDSHAKE_STEPS))
}

/// The handshake, the first message and the answer, without the Braid.
fn of_the_relay(operation: &Operation, first: u64) -> bool {
    of_the_handshake(operation, first) || (operation.message <= 2 && of_the_ratchet(operation, first))
}

/// Four messages, without the Braid.
fn of_the_ratchet(operation: &Operation, _: u64) -> bool {
    (1..=4).contains(&operation.message) && begins_with(operation, &["DR-", "SP-S", "SP-R", "TR-"])
}

/// The first epoch of the Braid, and the first message on its chain.
fn of_the_hybrid(operation: &Operation, first_on_the_epoch: u64) -> bool {
    let agrees = operation.message <= first_on_the_epoch && begins_with(operation, &["SP-I1", "BR-"]);
    agrees || (operation.message == first_on_the_epoch && begins_with(operation, &["SP-S2", "SP-R2", "TR-"]))
}

/// The two messages of the state that is used twice.
fn of_the_reuse(operation: &Operation, _: u64) -> bool {
    let steps = ["DR-E0", "DR-E2", "DR-E3", "DR-E4", "TR-1", "DR-D2", "DR-D5", "DR-D8"];
    operation.message == conversation::REUSED_AT && begins_with(operation, &steps)
}

const CASES: [Case; 6] = [
    Case {
        model: "handshake",
        with_one_time_prekey: true,
        contains: of_the_handshake,
        learned: &[],
        after: &[],
        stand_for: &[],
        left_out: &LEFT_OUT,
        lines: 72,
    },
    Case {
        model: "handshake_last_resort",
        with_one_time_prekey: false,
        contains: of_the_handshake,
        learned: &[],
        after: &[],
        stand_for: &[],
        left_out: &LEFT_OUT,
        lines: 62,
    },
    Case {
        model: "relay",
        with_one_time_prekey: true,
        contains: of_the_relay,
        learned: &["counters1", "counters2"],
        after: &[],
        stand_for: &[],
        left_out: &LEFT_OUT,
        lines: 126,
    },
    Case {
        model: "ratchet",
        with_one_time_prekey: true,
        contains: of_the_ratchet,
        // PN, N, the Braid's chunk, n and age.
        learned: &["counters1", "counters2", "counters3", "counters4"],
        after: &["handshake"],
        stand_for: &[],
        left_out: &LEFT_OUT,
        lines: 106,
    },
    Case {
        model: "hybrid",
        with_one_time_prekey: true,
        contains: of_the_hybrid,
        // The Double Ratchet's message key, of a chain that the model does not contain, and its salt and commitment.
        learned: &["mk1", "mk1_b", "salt1_com1"],
        after: &["handshake"],
        stand_for: &[],
        left_out: &LEFT_OUT,
        lines: 23,
    },
    Case {
        model: "reuse",
        with_one_time_prekey: true,
        contains: of_the_reuse,
        // The sparse ratchet's message key; the whole header.
        learned: &["pq", "pq_b", "counters"],
        after: &["handshake", "ratchet"],
        // The second message of the chain that Alice's third message began, and the texts 4 and 5.
        stand_for: &[
            ("ad", &["ad", "assoc_digest"]),
            ("ad_b", &["ad_b", "assoc_digest_b"]),
            ("hk", &["nhka"]),
            ("hk_b", &["nhka_b"]),
            ("ck", &["cka3_next"]),
            ("ck_b", &["cka3_next_b"]),
            ("m1", &["m4"]),
            ("m2", &["m5"]),
        ],
        left_out: &LEFT_OUT_OF_REUSE,
        lines: 20,
    },
];

fn case(model: &str) -> &'static Case {
    CASES.iter().find(|case| case.model == model).unwrap()
}

fn model_text(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/models");
    std::fs::read_to_string(folder.join(name).with_extension("vp")).unwrap()
}

fn given(ids: PrekeyIds) -> Values {
    let mut values = Values::default();
    for (name, value) in CONSTANTS {
        values.give(name, value);
    }
    let PrekeyIds { signed, one_time, own } = ids;
    // Kind, highest version, id and expiry.
    let tag = |kind: u8, id: u32| [&[kind, 1][..], &id.to_be_bytes(), &conversation::LATER.0.to_be_bytes()].concat();
    values.give("spk_tag", tag(1, signed));
    values.give("opk_tag", tag(2, one_time));
    values.give("own_spk_tag", tag(1, own));
    let flags = u8::from(one_time != 0);
    values.give("clear_ids", [&[0x11][..], &signed.to_be_bytes(), &[flags], &one_time.to_be_bytes()].concat());
    values.give("chunk_size", [3]);
    values.give("outer1", [0x11]);
    values.give("assoc", conversation::ASSOCIATED_DATA);
    for number in 1..=5 {
        values.give(&format!("m{number}"), conversation::padded(number));
    }
    values
}

/// The first message that Alice sends on the first epoch's chain: after the one in which she agreed on its key. In a
/// run that is too short there is none.
fn first_on_the_epoch(run: &[Operation]) -> u64 {
    run.iter().find(|operation| operation.step == "BR-5").map_or(u64::MAX, |operation| operation.message + 1)
}

/// A run with the values that names have before a case's first line. The models before it must match.
struct Prepared {
    values: Values,
    run: Vec<Operation>,
}

fn prepare(case: &Case) -> Prepared {
    let Conversation { run, ids } = conversation::record(case.with_one_time_prekey, case.model == "reuse");
    let mut values = given(ids);
    for before in case.after {
        let before = self::case(before);
        let prepared = prepare(before);
        let (comparison, holds) = compare(before, &model::parse(&model_text(before.model)), &prepared);
        holds.unwrap();
        values = comparison.values;
    }
    if case.model == "hybrid" {
        // The initial values of the sparse ratchet and of the Braid are compared here.
        values.forget(|name| name.trim_end_matches("_b").ends_with('0'));
    }
    if !case.stand_for.is_empty() {
        let before = std::mem::replace(&mut values, given(ids));
        values.forget(|name| case.stand_for.iter().any(|(_, parts)| parts.contains(&name)));
        for (name, parts) in case.stand_for {
            values.give(name, parts.iter().flat_map(|part| before.get(part).unwrap()).copied().collect::<Vec<_>>());
        }
    }
    values.learn(case.learned);
    Prepared { values, run }
}

/// Compares `statements` in place of a case's model.
fn compare<'t>(case: &Case, statements: &[Statement], prepared: &'t Prepared) -> (Comparison<'t>, Result<(), String>) {
    let first = first_on_the_epoch(&prepared.run);
    let operations = prepared.run.iter().filter(|operation| (case.contains)(operation, first));
    let mut comparison = Comparison::new(prepared.values.clone(), operations, case.left_out);
    let result = comparison.run(statements);
    (comparison, result)
}

#[test]
fn every_line_of_the_models_matches_the_codes_operations_in_order() {
    let mut used = BTreeSet::new();
    for case in &CASES {
        let prepared = prepare(case);
        let statements = model::parse(&model_text(case.model));
        let (comparison, result) = compare(case, &statements, &prepared);
        println!("\n{}", case.model);
        comparison.matched.iter().for_each(|line| println!("  {line}"));
        if let Err(why) = result {
            panic!("{}.vp does not match the code: {why}", case.model);
        }
        assert_eq!(comparison.matched.len(), case.lines, "{}", case.model);
        // One name for one value: if a model has two names, the code has two values.
        assert_eq!(comparison.values.aliases(), Vec::<Vec<&str>>::new(), "{}", case.model);
        used.extend(comparison.used.iter().map(|at| case.left_out[*at].why));
    }
    for left_out in LEFT_OUT.iter().chain(&LEFT_OUT_OF_REUSE) {
        println!("left out: {} at {}: {}", left_out.kind.name(), left_out.step, left_out.why);
        assert!(used.contains(left_out.why), "nothing is left out by {left_out:?}");
    }
}

/// Weakened models, given as changes of their text.
const WEAKENED: [(&str, &str, &str, &str); 16] = [
    ("DH4 is not in SK", "handshake", "CONCAT(dh4, ss)", "ss"),
    ("the KEM's secret is not in SK", "handshake_last_resort", "dh2, dh3, ss), suite", "dh2, dh3), suite"),
    (
        "the one-time prekey's signature is not checked",
        "handshake",
        "\t_ = SIGNVERIF(gib_sign, CONCAT(l_prekey, suite, opk_tag, gopk, gpqopk), sig_opk)? // PK-2\n",
        "",
    ),
    (
        "a prekey's signature does not cover its kind",
        "handshake",
        "suite, opk_tag, gopk, gpqopk)) // PK-1",
        "suite, gopk, gpqopk)) // PK-1",
    ),
    ("the identity is sealed without the clear part", "handshake", "acert), clear) // HS-I6", "acert), nil) // HS-I6"),
    (
        "the post-quantum key is not in a message's key",
        "ratchet",
        "HKDF(pq3, mk3, CONCAT(l_message, salt3, com3))",
        "HKDF(nil, mk3, CONCAT(l_message, salt3, com3))",
    ),
    (
        "a message's key does not depend on its salt",
        "ratchet",
        "HKDF(pq3, mk3, CONCAT(l_message, salt3, com3))",
        "HKDF(pq3, mk3, CONCAT(l_message, com3))",
    ),
    ("the session's first keys do not depend on AD", "handshake", "CONCAT(l_hka, ad))", "l_hka)"),
    ("the initiator's newest version is not sealed", "handshake", "CONCAT(max_version, gia_sign", "CONCAT(gia_sign"),
    (
        "the tag does not depend on the number",
        "ratchet",
        "tag3 = MAC(nhka, CONCAT(l_tag, number0))",
        "tag3 = MAC(nhka, l_tag)",
    ),
    (
        "a header's key does not depend on the body's length",
        "ratchet",
        "kh3 = MAC(nhka, CONCAT(l_header, salt3, outer, length))",
        "kh3 = MAC(nhka, CONCAT(l_header, salt3, outer))",
    ),
    (
        "a header does not cover the body",
        "ratchet",
        "CONCAT(gra3, counters3), e3) // DR-E3",
        "CONCAT(gra3, counters3), nil) // DR-E3",
    ),
    ("the receiver opens a header without its body", "ratchet", "eh3, e3)? // DR-D2", "eh3, nil)? // DR-D2"),
    ("two uses of a state have one salt", "reuse", "salt2 = CONCAT(tag, random2)", "salt2 = CONCAT(tag, random1)"),
    ("header keys are not mixed", "ratchet", "\tnhka = HKDF(hs0, nhk1, l_nhk) // DR-E1\n", ""),
    ("an epoch's key is not folded into the root", "hybrid", "HKDF(rkpq0, key1, l_add)", "HKDF(rkpq0, nil, l_add)"),
];

#[test]
fn control_a_weakened_model_does_not_match_the_code() {
    for (what, name, old, new) in WEAKENED {
        let (case, text) = (case(name), model_text(name));
        assert_eq!(text.matches(old).count(), 1, "{what}");
        let (_, result) = compare(case, &model::parse(&text.replace(old, new)), &prepare(case));
        println!("{what}: {}", result.as_ref().err().cloned().unwrap_or_default());
        assert!(result.is_err(), "{what}");
    }
}

/// A term with its `at`-th name changed, counted from the left; `None` if it has fewer.
fn renamed(term: &Term, at: &mut usize, other: &str) -> Option<Term> {
    match term {
        Term::Name(_) if *at == 0 => Some(Term::Name(other.to_owned())),
        Term::Name(_) => {
            *at -= 1;
            None
        }
        Term::Call(call, arguments) => arguments.iter().enumerate().find_map(|(index, argument)| {
            let mut arguments = arguments.clone();
            arguments[index] = renamed(argument, at, other)?;
            Some(Term::Call(call.clone(), arguments))
        }),
    }
}

/// Every model that differs in one place: a line removed, with another step, or moved before its principal's last line;
/// or another name.
fn mutants(statements: &[Statement]) -> Vec<(String, Vec<Statement>)> {
    let mut mutants = Vec::new();
    for (at, statement) in statements.iter().enumerate().filter(|(_, statement)| !statement.is_cut()) {
        let mut with = |what: &str, changed: Vec<Statement>| mutants.push((format!("{what}: {statement:?}"), changed));
        with("gone", [&statements[..at], &statements[at + 1..]].concat());
        if is_operation(statement) {
            let mut changed = statements.to_vec();
            changed[at].label = "XX-1".to_owned();
            with("another step", changed);
            let before = (0..at).rev().find(|before| {
                let before = &statements[*before];
                !before.is_cut() && before.principal == statement.principal && is_operation(before)
            });
            if let Some(before) = before {
                let mut changed = statements.to_vec();
                changed.swap(before, at);
                with("earlier", changed);
            }
        }
        if let Line::Assigned(names, term) = &statement.line {
            for index in 0.. {
                let Some(other) = renamed(term, &mut index.clone(), "suite") else { break };
                let other = if other == *term { renamed(term, &mut index.clone(), "f").unwrap() } else { other };
                let mut changed = statements.to_vec();
                changed[at].line = Line::Assigned(names.clone(), other);
                with(&format!("name {index}"), changed);
            }
        }
    }
    mutants
}

/// Whether a line is a primitive that the recorder records.
fn is_operation(statement: &Statement) -> bool {
    match &statement.line {
        Line::Drawn(name) => !["m1", "m2", "m3", "m4"].contains(&&name[..]),
        // The first half of an ML-KEM-768 key is output together with the second.
        Line::Assigned(_, term) if format!("{term:?}") == "HASH(gseed)" => false,
        Line::Assigned(..) => !["CONCAT", "SPLIT", "ASSERT"].contains(&statement.call().unwrap()),
    }
}

#[test]
fn control_a_model_that_differs_in_one_place_is_noticed() {
    let (mut tried, mut blind) = (0, Vec::new());
    for case in &CASES {
        let (statements, prepared) = (model::parse(&model_text(case.model)), prepare(case));
        for (what, changed) in mutants(&statements) {
            tried += 1;
            let (_, result) = compare(case, &changed, &prepared);
            if result.is_ok() {
                blind.push(format!("{}.vp, {what}", case.model));
            }
        }
    }
    println!("{tried} models, of which these go unseen:\n{}", blind.join("\n"));
    assert!(tried > 1_000);
    // A comparison of two values is not a primitive: the recorder does not record it. The text of a message is the
    // test's own.
    let unseen = |line: &String| line.contains("gone: ") && (line.contains(" ASSERT(") || line.contains(" drawn"));
    assert_eq!(blind.iter().filter(|line| !unseen(line)).collect::<Vec<_>>(), Vec::<&String>::new());
    assert!(blind.iter().any(unseen));
}
