// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reports of an audit: page, JSON and pictures have the content of the verdict and the matrix, and the page loads
//! nothing.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test states what it expects"
)]

mod pictures;

use hex_literal::hex;
use noescrow::hazmat::AcceptFromAnyone;
use noescrow::{Bundle, Capacity, InitiateOptions, StorageKey, UnixSeconds, device, session};
use noescrow_audit::{Audit, Evidence, FindingKind, NOT_SHOWN, Outcome, SecrecyMatrix, Tape, Thief, Verdict};
use noescrow_recorder::{Recorder, profile};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::Value;

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
const KEY: [u8; 32] = hex!("9f02e1775cb81044d36ea509f2813bc75821ee900d63ba4f17cc723588fa06d9");
/// A name that HTML and JSON must escape.
const NAME: &str = "<b>&\"";
/// A namespace name, which is not fetched (SVG 2 §5.1.1).
const NAMESPACE: &str = "xmlns=\"http://www.w3.org/2000/svg\"";
/// The maximum of drawn steps of a derivation, and of drawn derivations: report/derivation.rs and report/html.rs of the
/// audit.
const MAX_DRAWN: (usize, usize) = (60, 20);
/// Pixels of a cell: report/matrix.rs of the audit.
const CELL: usize = 12;

type Device = device::Device<Recorder, Capacity<4, 4>>;

/// A conversation in which Bob takes a snapshot after each message: its trace, the traffic, and the last snapshot.
struct Talk {
    tape: Tape,
    wire: Vec<u8>,
    snapshot: Vec<u8>,
}

fn talk() -> Talk {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let tape = Tape::in_memory();
    let [alice, bob] = [NAME, "Bob"].map(|name| Recorder::device(&tape, name).unwrap());
    let storage = bob.clone();
    let alice = Device::generate_with(alice, NOW, &mut rng);
    let mut bob = Device::generate_with(bob, NOW, &mut rng);
    let mut published = bob.publish(1, NOW, &mut rng).unwrap();
    let bundle = Bundle::new(published.identity, published.signed_prekey, published.one_time_prekeys.pop()).unwrap();
    let mut wire = bundle.to_bytes();
    let (mut alice, hello) = alice
        .initiate(bundle, b"a hello that nobody else reads", InitiateOptions::unverified(UnixSeconds(0)), &mut rng)
        .unwrap();
    wire.extend(&hello);
    let (mut bob, _): (session::Session<Recorder>, _) = bob.accept(&hello).unwrap();
    let mut snapshot = Vec::new();
    for turn in 0..4u8 {
        storage.given(&KEY);
        snapshot = bob.snapshot(&StorageKey::new(KEY), u64::from(turn));
        let (from, to) = if turn % 2 == 0 { (&mut bob, &mut alice) } else { (&mut alice, &mut bob) };
        let message = from.encrypt(&[b"a message of the turn ", [b'0' + turn].as_slice()].concat(), &mut rng).unwrap();
        to.decrypt(&message).unwrap();
        wire.extend(&message);
    }
    Talk { tape, wire, snapshot }
}

impl Talk {
    fn audit(&self) -> Audit<'_> {
        Audit::of(profile(), &self.tape).unwrap().server_saw("wire", &self.wire).known(Evidence::new())
    }

    fn honest(&self) -> Verdict {
        self.audit().verdict()
    }

    /// The evidence has the sealed session and its storage key, from which many secrets follow.
    fn leaking(&self) -> Verdict {
        self.audit().server_saw(NAME, &KEY).server_saw("backup", &self.snapshot).verdict()
    }

    fn matrix(&self) -> SecrecyMatrix {
        let examination = self.audit().examine();
        examination.secrecy_matrix(&examination.thefts(), &Thief::default())
    }
}

/// The first thing in a page that a browser would fetch or run.
fn fetches(page: &str) -> Option<&'static str> {
    let page = page.replace(NAMESPACE, "").to_lowercase();
    let ways =
        ["http:", "https:", "src=", "href=", "<script", "<iframe", "<object", "<embed", "url(", "@import", " on"];
    // An event handler is an attribute, with an equals sign and a quotation mark; a word of the text has none.
    ways.into_iter().find(|way| match *way {
        " on" => page.match_indices(way).any(|(at, _)| {
            let rest = page[at + way.len()..].trim_start_matches(|c: char| c.is_ascii_alphabetic());
            rest.starts_with("=\"")
        }),
        way => page.contains(way),
    })
}

/// Whether all tags are closed in order, all attributes quoted, and every `&` and `<` escaped.
fn is_well_formed(xml: &str) -> bool {
    let mut open: Vec<&str> = Vec::new();
    let mut pieces = xml.split('<');
    let is_text = |text: &str| {
        let entities = ["lt;", "gt;", "amp;", "quot;"];
        !text.contains('>') && text.split('&').skip(1).all(|rest| entities.iter().any(|name| rest.starts_with(name)))
    };
    if !pieces.next().is_some_and(is_text) {
        return false;
    }
    for piece in pieces {
        let Some((tag, text)) = piece.split_once('>') else { return false };
        if !is_text(text) {
            return false;
        }
        if tag == "!DOCTYPE html" {
            continue;
        }
        if let Some(name) = tag.strip_prefix('/') {
            if open.pop() != Some(name) {
                return false;
            }
            continue;
        }
        let (body, closes_itself) = tag.strip_suffix('/').map_or((tag, false), |body| (body, true));
        let (name, mut rest) = body.split_once(' ').unwrap_or((body, ""));
        while !rest.is_empty() {
            let Some((attribute, value)) = rest.split_once("=\"") else { return false };
            let Some((value, after)) = value.split_once('"') else { return false };
            let is_name = attribute.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
            if !is_name || attribute.is_empty() || !is_text(value) || !(after.is_empty() || after.starts_with(' ')) {
                return false;
            }
            rest = after.trim_start();
        }
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric()) {
            return false;
        }
        if !closes_itself {
            open.push(name);
        }
    }
    open.is_empty()
}

#[test]
fn control_page_that_fetches_or_is_malformed_is_noticed() {
    let page = talk().leaking().to_html(&[]);
    let with = |what: &str| page.replacen("<ul>", &format!("{what}<ul>"), 1);
    for what in [
        "<img src=\"logo.png\"/>",
        "<a href=\"#\">a</a>",
        "<p>http://example.org</p>",
        "<script>1</script>",
        "<p onclick=\"f\">on</p>",
        "<p style=\"background:URL(a)\">a</p>",
        "<p xmlns:a=\"https://example.org\">a</p>",
    ] {
        assert!(fetches(&with(what)).is_some(), "{what}");
    }
    for what in
        ["<p>", "</p>", "<p><b></p></b>", "a & b", "<p a=b>c</p>", "<p a=\"<\">c</p>", "a > b", "<p a=\"b>c</p>"]
    {
        assert!(!is_well_formed(&with(what)), "{what}");
    }
    assert!(is_well_formed(&with("<p id=\"a\">b &amp; c<br/></p>")));
}

#[test]
fn page_loads_nothing_and_is_well_formed() {
    let talk = talk();
    let matrix = talk.matrix();
    for verdict in [talk.honest(), talk.leaking(), Audit::of(profile(), &talk.tape).unwrap().verdict()] {
        for matrix in [None, Some(&matrix)] {
            let page = verdict.to_html(&matrix.map(|matrix| ("A thief", matrix)).into_iter().collect::<Vec<_>>());
            assert_eq!(fetches(&page), None);
            assert!(is_well_formed(&page), "{page}");
            assert_eq!(page.contains("<h2>Secrecy matrix</h2>"), matrix.is_some());
            assert_eq!(matrix.is_some_and(|matrix| page.contains(&matrix.to_svg())), matrix.is_some());
        }
    }
}

#[test]
fn page_has_the_content_of_the_verdict() {
    let talk = talk();
    let headlines =
        ["Holds: no server-held key exists", "Does not hold.", "Not shown: not everything could be examined."];
    let verdicts = [talk.honest(), talk.leaking(), Audit::of(profile(), &talk.tape).unwrap().verdict()];
    let outcomes = [Outcome::Holds, Outcome::Finding, Outcome::CouldNotExamine];
    for ((verdict, outcome), headline) in verdicts.iter().zip(outcomes).zip(headlines) {
        let page = verdict.to_html(&[]);
        assert_eq!(verdict.outcome, outcome);
        let present: Vec<_> = headlines.iter().filter(|headline| page.contains(**headline)).collect();
        assert_eq!(present, [&headline]);
        assert_eq!(page.matches("not examined: ").count(), verdict.examined.not_examined.len());
        for line in NOT_SHOWN {
            assert!(page.contains(&escaped(line)), "{line}");
        }
        assert!(page.contains(&format!("{} bytes of evidence", verdict.examined.bytes)));
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[test]
fn names_of_sources_and_devices_are_escaped() {
    let talk = talk();
    let verdict = talk.leaking();
    let page = verdict.to_html(&[("A thief", &talk.matrix())]);
    // The verdict has them unescaped: there is something to escape.
    assert!(verdict.findings.iter().flat_map(|finding| &finding.places).any(|place| place.source == NAME));
    assert!(verdict.findings.iter().any(|finding| finding.what.contains(NAME)));
    assert!(page.contains("<code>&lt;b&gt;&amp;&quot;, byte 0"));
    assert!(page.matches("&lt;b&gt;&amp;&quot;").count() > 10 && !page.contains("<b>&"));
}

#[test]
fn derivation_is_drawn_with_a_box_for_each_step() {
    let verdict = talk().leaking();
    let page = verdict.to_html(&[]);
    let sections: Vec<&str> =
        page.split("<section><h3>").skip(1).map(|rest| &rest[..rest.find("</section>").unwrap()]).collect();
    assert_eq!(sections.len(), verdict.findings.len());
    let (mut drawn, mut longest) = (0, 0);
    for (number, section) in sections.iter().enumerate() {
        // The page has the findings of one cause together.
        let is_here = |finding: &&noescrow_audit::Finding| {
            section.starts_with(&format!("{}. {}<", number + 1, escaped(&finding.kind.to_string())))
                && section.contains(&format!("<b>{}</b>: {}<", escaped(&finding.what), escaped(&finding.why)))
        };
        let finding = verdict.findings.iter().find(is_here).unwrap();
        let steps = finding.derivation.len();
        let expected = if steps > 1 && number < MAX_DRAWN.1 { steps.min(MAX_DRAWN.0) } else { 0 };
        assert_eq!(section.matches("<rect").count(), expected, "{finding:?}");
        assert_eq!(section.matches("<svg").count(), usize::from(expected > 0));
        // A line for each premise, if all steps are drawn.
        if expected == steps {
            let premises: usize = finding.derivation.iter().map(|step| step.from.len()).sum();
            assert_eq!(section.matches("<path").count(), premises, "{finding:?}");
        }
        if steps > 1 {
            let listed = section.split("<ol start=\"0\">").nth(1).unwrap().split("</ol>").next().unwrap();
            assert_eq!(listed.matches("<li>").count(), steps);
        }
        drawn += usize::from(expected > 0);
        longest = longest.max(expected);
    }
    assert!(drawn > 3 && longest > 3, "{drawn} {longest}");
    assert!(verdict.findings.iter().any(|finding| finding.kind == FindingKind::Derivable));
}

/// The page as far as its reader needs it at once, and how often each part is in it.
#[test]
fn page_leads_with_the_answer_and_what_was_not_examined() {
    let talk = talk();
    let unrelated = Audit::of(profile(), &talk.tape).unwrap().verdict();
    let page = unrelated.to_html(&[("A thief", &talk.matrix())]);
    let parts = [
        "<h1>",
        "<h2>Not examined",
        "<dt>Evidence</dt>",
        "<h2>Secrecy matrix",
        "<h2>Examined",
        "<h2>Not shown",
        "<h2>Manifest",
    ];
    let places: Vec<usize> = parts.iter().map(|part| page.find(part).unwrap_or_else(|| panic!("{part}"))).collect();
    assert!(places.is_sorted(), "{places:?}");
    // Control: where everything was examined, there is no warning.
    assert!(!talk.honest().to_html(&[]).contains("<h2>Not examined"));
    let leaking = talk.leaking().to_html(&[]);
    assert!(leaking.find("<h2>Findings by cause").unwrap() < leaking.find("<h2>Examined").unwrap());
}

/// The storage key opens the snapshot, and a dozen secrets follow: one cause.
#[test]
fn findings_are_grouped_by_what_the_server_has() {
    let talk = talk();
    let verdict = talk.leaking();
    let causes: std::collections::BTreeSet<_> = verdict.findings.iter().map(|finding| finding.causes()).collect();
    assert!(verdict.findings.len() > 5 && causes.len() == 1, "{causes:?}");
    let page = verdict.to_html(&[]);
    assert!(page.contains("<h2>Findings by cause (1)</h2>"));
    assert!(page.contains(&format!("</b>: {} findings</li>", verdict.findings.len())));
    // Control: another value in the evidence is a cause of its own.
    let two = talk.audit().server_saw(NAME, &KEY).server_saw("backup", &talk.snapshot);
    let two = two.server_saw("log", b"a hello that nobody else reads").verdict();
    assert!(two.to_html(&[]).contains("<h2>Findings by cause (2)</h2>"));
}

/// Whether the JSON has everything that a verdict has.
fn agrees(json: &Value, verdict: &Verdict) -> bool {
    let word = |value: &Value| value.as_str().map(str::to_owned);
    let outcome = match verdict.outcome {
        Outcome::Holds => "holds",
        Outcome::Finding => "finding",
        _ => "could-not-examine",
    };
    let findings = json["findings"].as_array().unwrap();
    let same = |(json, finding): (&Value, &noescrow_audit::Finding)| {
        let places = json["places"].as_array().unwrap();
        let derivation = json["derivation"].as_array().unwrap();
        word(&json["kind"]) == word(&serde_json::to_value(finding.kind).unwrap())
            && word(&json["what"]).as_ref() == Some(&finding.what)
            && word(&json["why"]).as_ref() == Some(&finding.why)
            && places.len() == finding.places.len()
            && places.iter().zip(&finding.places).all(|(json, place)| {
                word(&json["source"]).as_ref() == Some(&place.source)
                    && word(&json["encoding"]).as_ref() == Some(&place.encoding)
                    && json["offset"] == place.offset
                    && (json["from"] == place.from && json["to"] == place.to)
            })
            && derivation.len() == finding.derivation.len()
            && derivation.iter().zip(&finding.derivation).all(|(json, step)| {
                word(&json["value"]).as_ref() == Some(&step.value)
                    && word(&json["because"]).as_ref() == Some(&step.because)
                    && json["from"] == serde_json::json!(step.from)
            })
    };
    let examined = &verdict.examined;
    let counts = [
        ("sources", examined.sources),
        ("bytes", examined.bytes),
        ("bytes_decoded", examined.bytes_decoded),
        ("operations", examined.operations as u64),
        ("values", examined.values as u64),
        ("secrets", examined.secrets as u64),
        ("clauses", examined.clauses as u64),
        ("public_values", examined.public_values as u64),
        ("public_values_seen", examined.public_values_seen as u64),
        ("controls_planted", examined.controls_planted as u64),
        ("controls_found", examined.controls_found as u64),
    ];
    json["outcome"] == outcome
        && findings.len() == verdict.findings.len()
        && findings.iter().zip(&verdict.findings).all(same)
        && json["findings_not_listed"] == verdict.findings_not_listed
        && counts.iter().all(|(name, count)| json["examined"][name] == *count)
        && json["examined"]["encodings"] == serde_json::json!(examined.encodings)
        && json["examined"]["not_examined"] == serde_json::json!(examined.not_examined)
        && json["not_shown"] == serde_json::json!(NOT_SHOWN)
}

#[test]
fn json_has_the_content_of_the_verdict() {
    let talk = talk();
    let verdicts = [talk.honest(), talk.leaking(), Audit::of(profile(), &talk.tape).unwrap().verdict()];
    for (at, verdict) in verdicts.iter().enumerate() {
        let json: Value = serde_json::from_str(&verdict.to_json()).unwrap();
        let agreeing: Vec<bool> = verdicts.iter().map(|other| agrees(&json, other)).collect();
        // Control: it does not agree with the others.
        assert_eq!(agreeing, (0..verdicts.len()).map(|other| other == at).collect::<Vec<_>>());
    }
    let leaking = serde_json::from_str::<Value>(&verdicts[1].to_json()).unwrap();
    let findings = leaking["findings"].as_array().unwrap();
    assert!(findings.iter().any(|finding| finding["places"][0]["source"] == NAME));
    assert!(findings.iter().any(|finding| finding["derivation"].as_array().unwrap().len() > 3));
    // Control: one changed field.
    for (field, value) in [("outcome", "holds"), ("not_shown", ""), ("findings_not_listed", "")] {
        let mut edited = leaking.clone();
        edited[field] = value.into();
        assert!(!agrees(&edited, &verdicts[1]), "{field}");
    }
}
