// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a verdict must state about its own limits.

use super::Run;
use noescrow::Secret;
use noescrow::primitives::Primitives;
use noescrow_audit::{Audit, Encoding, Encodings, NOT_SHOWN, Outcome, Tape, Verdict};
use noescrow_recorder::{Recorder, profile};
use std::collections::BTreeSet;

fn looking_for(encodings: Encodings) -> Verdict {
    let run = Run::new();
    let audit = Audit::of(profile(), &run.tape).unwrap().server_saw("wire", &run.wire);
    audit.with(|evidence| evidence.with_encodings(encodings)).verdict()
}

#[test]
fn control_covers_every_encoding_and_fewer_do_not_hold() {
    let verdict = looking_for(Encodings::ALL);
    let examined = &verdict.examined;
    assert!(verdict.holds(), "{verdict}");
    // And texts, in charsets.
    assert!(examined.controls_planted > 8 * Encoding::ALL.len());
    assert_eq!(examined.controls_found, examined.controls_planted);
    for encoding in Encoding::ALL {
        let verdict = looking_for(Encodings::ALL.without(encoding));
        assert_eq!(verdict.outcome, Outcome::CouldNotExamine, "{encoding}");
        let line = format!("encodings not looked for: {encoding}");
        assert!(verdict.examined.not_examined.contains(&line), "{verdict}");
    }
}

#[test]
fn search_without_a_control_does_not_hold() {
    let of_key = |key: [u8; 32]| {
        let tape = Tape::in_memory();
        let recorder = Recorder::device(&tape, "Alice").unwrap();
        recorder.fresh(&key);
        let public = recorder.dh_public(&Secret::new(key));
        Audit::of(profile(), &tape).unwrap().server_saw("wire", &public).verdict()
    };
    let mut key: [u8; 32] = std::array::from_fn(|at| (at as u8).wrapping_mul(91) ^ 0x17);
    // Control.
    assert!(of_key(key).holds());
    key[16..].fill(0x77);
    let verdict = of_key(key);
    assert_eq!((verdict.outcome, verdict.examined.controls_planted), (Outcome::CouldNotExamine, 0));
    assert!(verdict.examined.not_examined.iter().any(|line| line.contains("control")), "{verdict}");
}

#[test]
fn secrets_that_are_not_searched_for_are_counted_apart() {
    let [long, short, plain] =
        [&b"sixteen bytes ok"[..], b"fifteen bytes n", &[0x61; 40]].map(|text| Run::with(text).verdict(b""));
    // Two messages with one text.
    assert_eq!(long.examined.secrets, short.examined.secrets + 1);
    assert_eq!(long.examined.secrets, plain.examined.secrets + 1);
    assert_eq!(short.examined.secrets_not_searched, long.examined.secrets_not_searched + 1);
    assert_eq!(plain.examined.secrets_not_searched, long.examined.secrets_not_searched + 1);
    assert!(format!("{short}").contains("not searched for: too short, or too few distinct bytes"), "{short}");
    // They do not pass as searched for.
    assert_eq!([&long, &short, &plain].map(Verdict::holds), [true, false, false]);
    assert!([&long, &short, &plain].iter().all(|verdict| verdict.holds_for_what_was_searched()));
    let all = short.examined.secrets + 1;
    let first =
        format!("HOLDS FOR WHAT WAS SEARCHED: 1 of {all} secrets was not searched for: too short, or too plain.\n");
    assert!(short.to_string().starts_with(&first) && plain.to_string().starts_with(&first), "{short}");
    // Control: a finding, or evidence of another run, is not covered up by it.
    let leaked = Run::with(b"PIN 4711");
    assert_eq!(leaked.verdict(&leaked.aead_key()).outcome, Outcome::Finding);
    let elsewhere = Audit::of(profile(), &leaked.tape).unwrap().server_saw("elsewhere", b"nothing").verdict();
    assert_eq!(elsewhere.outcome, Outcome::CouldNotExamine);
}

/// A single public value may have got anywhere: a key server, another run with the same device.
#[test]
fn evidence_with_few_of_the_public_values_does_not_hold() {
    let run = Run::new();
    let all = run.verdict(b"").examined;
    let of = |evidence: &[u8], min_share: Option<u8>| {
        let audit = Audit::of(profile(), &run.tape).unwrap().server_saw("wire", evidence);
        min_share.map_or(audit.verdict(), |share| {
            Audit::of(profile(), &run.tape).unwrap().server_saw("wire", evidence).min_share(share).verdict()
        })
    };
    let part = &run.wire[..run.wire.len() / 12];
    let verdict = of(part, None);
    let examined = &verdict.examined;
    assert!(examined.public_values_seen > 0 && examined.public_values_seen * 5 < all.public_values, "{verdict}");
    assert_eq!(verdict.outcome, Outcome::CouldNotExamine);
    let line = format!("{} of {} public values", examined.public_values_seen, all.public_values);
    assert!(examined.not_examined.iter().any(|what| what.contains(&line)), "{verdict}");
    // Controls: the auditor may say that a part is all that there is, but not that nothing is.
    assert!(of(part, Some(0)).holds());
    assert_eq!(of(b"nothing", Some(0)).outcome, Outcome::CouldNotExamine);
    assert!(of(&run.wire, None).holds());
    assert_eq!(of(&run.wire, Some(100)).outcome, Outcome::CouldNotExamine);
}

#[test]
fn verdict_names_its_bounds() {
    let stated = NOT_SHOWN.join("\n");
    for bound in ["16 bytes", "512 bytes", "4096", "Brotli", "encrypted", "expanded"] {
        assert!(stated.contains(bound), "{bound}");
    }
}

/// The first line, the findings, what was examined, what was not, and what an audit does not show.
#[test]
fn text_of_a_verdict_has_all_its_parts() {
    let run = Run::new();
    let [holds, found, unshown] = [
        run.verdict(b""),
        run.verdict(&run.aead_key()),
        Audit::of(profile(), &run.tape).unwrap().server_saw("elsewhere", b"nothing of this run").verdict(),
    ];
    let parts = |verdict: &Verdict| {
        let text = verdict.to_string();
        let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("no {part:?} in {text}"));
        let order = [
            at("\nExamined:\n"),
            at(" bytes of evidence from "),
            at(" searched for, in raw, "),
            at("  control: "),
            at("\nNot shown by this audit:\n"),
        ];
        assert!(order.is_sorted(), "{text}");
        assert_eq!(text.matches("\n  - ").count(), NOT_SHOWN.len());
        assert_eq!(text.matches("\n  NOT examined: ").count(), verdict.examined.not_examined.len());
        // A head for each cause.
        let causes: BTreeSet<_> = verdict.findings.iter().map(|finding| finding.causes()).collect();
        let heads = (1..=9).map(|number| format!("\n{number}. ")).filter(|head| text.contains(head));
        assert_eq!(heads.count(), causes.len());
        text
    };
    let [holds, found, unshown] = [&holds, &found, &unshown].map(parts);
    assert!(holds.starts_with("HOLDS: no server-held key exists in what was examined.\n\nExamined:\n"));
    assert!(
        found.starts_with("DOES NOT HOLD: 2 findings from 1 cause.\n\n1. AEAD key of a message")
            && found.contains(": 2 findings\n   secret in the evidence: AEAD key of a message"),
        "{found}"
    );
    assert!(
        found.contains("   the evidence contains it\n   in disk, byte 0, raw: bytes 0 to 32 of the value\n"),
        "{found}"
    );
    assert!(found.contains(": by AES-256-GCM "), "{found}");
    assert!(unshown.starts_with("NOT SHOWN: not everything could be examined.\n"));
    assert!(unshown.contains("\n  NOT examined: the evidence has no public key and no message of this run"));
    // Control: no text could be mistaken for another.
    assert!(!holds.contains("NOT examined") && !holds.contains("HOLD:") && !unshown.contains("HOLD"));
}
