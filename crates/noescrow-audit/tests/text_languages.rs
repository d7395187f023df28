// SPDX-License-Identifier: MIT OR Apache-2.0
//! The rule for texts in ten languages: a message that leaked is a finding, and a message that has phrases in common
//! with software is not. Each file of `languages/` has sentences of software that was there before the run, sentences
//! that the server writes later, and messages of users. `examples/text_rates` measures the same in whole catalogues.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, reason = "a test states what it expects")]

mod sender;

use noescrow_audit::{Audit, Evidence, FindingKind, Outcome, Verdict};
use sender::{profile, sent};

const LANGUAGES: [(&str, &str); 10] = [
    ("English", include_str!("languages/en.txt")),
    ("German", include_str!("languages/de.txt")),
    ("French", include_str!("languages/fr.txt")),
    ("Spanish", include_str!("languages/es.txt")),
    ("Russian", include_str!("languages/ru.txt")),
    ("Japanese", include_str!("languages/ja.txt")),
    ("Chinese", include_str!("languages/zh.txt")),
    ("Portuguese", include_str!("languages/pt.txt")),
    ("Polish", include_str!("languages/pl.txt")),
    ("Turkish", include_str!("languages/tr.txt")),
];

struct Language {
    name: &'static str,
    before: String,
    later: String,
    messages: Vec<&'static str>,
}

fn languages() -> Vec<Language> {
    let all = LANGUAGES.into_iter().map(|(name, text)| {
        let blocks: Vec<Vec<&str>> = text.trim().split("\n\n").map(|block| block.lines().collect()).collect();
        assert_eq!(blocks.iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 10], "{name}");
        Language { name, before: blocks[0].join("\0"), later: blocks[1].join("\0"), messages: blocks[2].clone() }
    });
    all.collect()
}

impl Language {
    /// The verdict if all messages are sent, and the server has this beside its own texts.
    fn verdict(&self, leaked: &str, known: Option<Evidence<'_>>) -> Verdict {
        let texts: Vec<&[u8]> = self.messages.iter().map(|message| message.as_bytes()).collect();
        let (tape, wire) = sent(&texts);
        let held = [&self.later, leaked].join("\0");
        let audit = Audit::of(profile(), &tape).unwrap().server_saw("wire", &wire).server_saw("disk", held.as_bytes());
        match known {
            Some(known) => audit.known(known).verdict(),
            None => audit.verdict(),
        }
    }

    fn baseline(&self) -> Option<Evidence<'_>> {
        Some(Evidence::new().bytes("image", self.before.as_bytes()))
    }
}

#[test]
fn phrases_in_common_with_software_are_no_finding_in_any_language() {
    for language in languages() {
        let name = language.name;
        let clean = language.verdict("", language.baseline());
        assert_eq!(clean.outcome, Outcome::Holds, "{name}: {clean}");
        // There are such phrases, and without the rule they are findings.
        assert!(clean.examined.ordinary_hits > 0, "{name}: {clean}");
        let strict = language.verdict("", Some(Evidence::new()));
        assert!(strict.of_kind(FindingKind::FragmentInEvidence).count() > 0, "{name}: {strict}");
    }
}

#[test]
fn each_message_that_leaked_whole_is_found_in_each_language() {
    for language in languages() {
        let name = language.name;
        let all = language.messages.join("\0");
        let found = language.verdict(&all, language.baseline());
        assert_eq!(found.of_kind(FindingKind::PlaintextInEvidence).count(), 10, "{name}: {found}");
        let some: Vec<&str> = language.messages.iter().step_by(3).copied().collect();
        let found = language.verdict(&some.join("\0"), language.baseline());
        assert_eq!(found.of_kind(FindingKind::PlaintextInEvidence).count(), some.len(), "{name}: {found}");
        assert_eq!(found.findings.len(), some.len(), "{name}: {found}");
        // Control: without a baseline it is not known whether they leaked.
        let unjudged = language.verdict(&all, None);
        assert_eq!((unjudged.outcome, unjudged.findings.len()), (Outcome::CouldNotExamine, 0), "{name}: {unjudged}");
        assert_eq!(unjudged.unjudged.len(), 10, "{name}: {unjudged}");
    }
}
