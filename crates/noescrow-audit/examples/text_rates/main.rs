// SPDX-License-Identifier: MIT OR Apache-2.0
//! Measures how often the rule for texts (`spec/audit.md`, section 5) is wrong, in ten languages.
//!
//! ```text
//! cargo run --release -p noescrow-audit --example text_rates -- /usr/share/locale [LANGUAGE=QUOTATIONS]...
//! ```
//!
//! The folder has gettext's catalogues, of which any Debian system has some. The more translated programs are
//! installed, the better: `git`, `coreutils`, `bash`, `dpkg`, `apt`, `gettext`, `tar`, `wget`, `postgresql`, `gnupg`,
//! `libglib2.0-data`. Quotations are files of Debian's `fortunes-*`, such as `de=/usr/share/games/fortunes/de`. The
//! packages of other languages are `fortunes`, `fortunes-es`, `fortunes-ru`, `fortunes-zh`, `fortunes-br` (pt) and
//! `fortunes-pl`; for French, Japanese and Turkish there is none.
//!
//! A third of the messages of catalogues is the baseline, a third is what the server's software writes later, and a
//! third is what users send. The thirds are drawn with a fixed seed: once sentence by sentence, so that users write
//! about the same things in the same words as the programs, which is far worse than what people send; once program by
//! program. Quotations, if there are any, are messages of users against the same two thirds as the sentences.
//!
//! **In common**: 16 bytes of a message are also in the baseline or in the later texts. **False**: the evidence has the later texts alone, and a message is reported. **Missed**: the evidence also has each
//! message, or that many bytes of it, and a message is not reported.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::missing_panics_doc,
    unreachable_pub,
    reason = "a program for developers, which reads files of the system"
)]

mod corpus;
#[path = "../../tests/sender/mod.rs"]
mod sender;

use corpus::{Sentences, catalogues, drawn, quotations};
use noescrow_audit::{Audit, Evidence, FindingKind};
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

/// A language, and the folders of its catalogues.
const LANGUAGES: [(&str, &[&str]); 10] = [
    ("en", &["de", "fr", "es", "ru", "ja", "zh_CN", "pt_BR", "pl", "tr"]),
    ("de", &["de"]),
    ("fr", &["fr"]),
    ("es", &["es"]),
    ("ru", &["ru"]),
    ("ja", &["ja"]),
    ("zh", &["zh_CN"]),
    ("pt", &["pt_BR", "pt"]),
    ("pl", &["pl"]),
    ("tr", &["tr"]),
];
/// Determines the thirds, the order of messages, and which bytes of them leak.
const SEED: u64 = 1;
/// The most messages of a run with leaks, so that a verdict lists all findings.
const LEAKED: usize = 900;
/// The most messages of a run without.
const HONEST: usize = 5_000;
/// Lengths of the parts that leak, in bytes.
const PARTS: [usize; 4] = [24, 32, 48, 64];

/// The columns of a table: messages that have 16 bytes in common with the server's own texts, false findings, messages
/// missed that leaked whole, and in parts of each length.
type Rates = [Rate; 3 + PARTS.len()];

/// How often something happened, and of how many times.
#[derive(Clone, Copy, Default)]
struct Rate(usize, usize);

impl Rate {
    fn add(&mut self, Self(times, of): Self) {
        (self.0, self.1) = (self.0 + times, self.1 + of);
    }

    fn percent(self) -> String {
        if self.1 == 0 { "–".into() } else { format!("{:.2}", 100.0 * self.0 as f64 / self.1 as f64) }
    }
}

/// What a server has: software from before the run, and what it writes later.
struct Server {
    before: Vec<u8>,
    later: Vec<u8>,
}

impl Server {
    /// The messages that are reported if the evidence has this beside the server's own texts.
    fn reported(&self, messages: &[&str], leaked: &[&[u8]]) -> usize {
        let texts: Vec<&[u8]> = messages.iter().map(|message| message.as_bytes()).collect();
        let (tape, _) = sender::sent(&texts);
        let held = [&self.later, &leaked.join(&0)[..]].concat();
        let audit = Audit::of(sender::profile(), &tape).unwrap().server_saw("disk", &held);
        let verdict = audit.known(Evidence::new().bytes("image", &self.before)).without_digests().verdict();
        // A message within another follows from it.
        let of_texts = [FindingKind::PlaintextInEvidence, FindingKind::FragmentInEvidence, FindingKind::Derivable];
        let others = verdict.findings.iter().filter(|finding| !of_texts.contains(&finding.kind)).count();
        assert_eq!(others, 0, "findings of another kind");
        verdict.findings.len() + verdict.findings_not_listed
    }

    fn new(before: &[&str], later: &[&str]) -> Self {
        Self { before: before.join("\0").into_bytes(), later: (later.join("\0") + "\0").into_bytes() }
    }

    /// Messages that have 16 bytes in common with the server's own texts, whether or not the rule counts them.
    fn in_common(&self, messages: &[&str]) -> Rate {
        let messages = &messages[..messages.len().min(HONEST)];
        let windows: HashSet<&[u8]> = self.before.windows(16).chain(self.later.windows(16)).collect();
        let is_common = |message: &&&str| message.as_bytes().windows(16).any(|window| windows.contains(window));
        Rate(messages.iter().filter(is_common).count(), messages.len())
    }

    /// Messages that are reported although none leaked.
    fn false_findings(&self, messages: &[&str]) -> Rate {
        let messages = &messages[..messages.len().min(HONEST)];
        Rate(self.reported(messages, &[]), messages.len())
    }

    fn rates(&self, messages: &[&str]) -> Rates {
        let mut rates = Rates::default();
        (rates[0], rates[1]) = (self.in_common(messages), self.false_findings(messages));
        for (rate, part) in rates[2..].iter_mut().zip([None].into_iter().chain(PARTS.map(Some))) {
            // A part that is nearly the whole message would be judged as one.
            let is_part = |message: &&&str| part.is_none_or(|part| 100 * part < 90 * message.len());
            let leaking: Vec<&str> = messages.iter().filter(is_part).take(LEAKED).copied().collect();
            let cut = |message: &&str| {
                let part = part.unwrap_or(message.len());
                let from = message.floor_char_boundary(drawn(SEED, message) % (message.len() - part + 1));
                message.as_bytes()[from..from + part].to_vec()
            };
            let leaked: Vec<Vec<u8>> = leaking.iter().map(cut).collect();
            let leaked: Vec<&[u8]> = leaked.iter().map(Vec::as_slice).collect();
            *rate = Rate(leaking.len() - self.reported(&leaking, &leaked), leaking.len());
        }
        rates
    }
}

/// Sentences in an order that depends on the seed alone.
fn shuffled(sentences: &Sentences) -> Vec<&str> {
    let mut all: Vec<&str> = sentences.keys().map(String::as_str).collect();
    all.sort_by_key(|sentence| drawn(SEED, sentence));
    all
}

/// The thirds of sentences, drawn by the program or the sentence itself.
fn thirds<'s>(sentences: &'s Sentences, by: impl Fn(&'s str, &'s str) -> &'s str) -> [Vec<&'s str>; 3] {
    let mut thirds = [Vec::new(), Vec::new(), Vec::new()];
    for sentence in shuffled(sentences) {
        thirds[drawn(SEED + 1, by(&sentences[sentence], sentence)) % 3].push(sentence);
    }
    thirds
}

fn print(title: &str, rows: &[(&str, Rates)]) {
    println!(
        "\n{title}\n\n| language | messages | 16 bytes in common, % | false, % | missed whole, % | 24 bytes | 32 bytes | 48 bytes | 64 bytes |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let mut sum = Rates::default();
    for (language, rates) in rows {
        sum.iter_mut().zip(rates).for_each(|(sum, rate)| sum.add(*rate));
        println!("| {language} | {} | {} |", rates[0].1, rates.map(Rate::percent).join(" | "));
    }
    println!("| all | {} | {} |", sum[0].1, sum.map(Rate::percent).join(" | "));
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let Some(locales) = arguments.next() else {
        eprintln!("usage: text_rates LOCALES [LANGUAGE=QUOTATIONS]...; for example /usr/share/locale");
        return;
    };
    let quoted: BTreeMap<String, PathBuf> = arguments
        .filter_map(|one| one.split_once('=').map(|(language, path)| (language.into(), path.into())))
        .collect();
    let (mut of_programs, mut of_others, mut of_people) = (Vec::new(), Vec::new(), Vec::new());
    for (language, folders) in LANGUAGES {
        let sentences = catalogues(Path::new(&locales), folders, language == "en");
        if sentences.is_empty() {
            eprintln!("{language}: no catalogues");
            continue;
        }
        let [before, later, messages] = thirds(&sentences, |program, _| program);
        let server = Server::new(&before, &later);
        let mut rates = Rates::default();
        (rates[0], rates[1]) = (server.in_common(&messages), server.false_findings(&messages));
        of_others.push((language, rates));
        let [before, later, messages] = thirds(&sentences, |_, sentence| sentence);
        let server = Server::new(&before, &later);
        of_programs.push((language, server.rates(&messages)));
        eprintln!("{language}: {} sentences of catalogues", sentences.len());
        if let Some(path) = quoted.get(language) {
            let quotations = quotations(path);
            of_people.push((language, server.rates(&shuffled(&quotations))));
            eprintln!("{language}: {} quotations", quotations.len());
        }
    }
    print("Messages are sentences of the programs that also wrote the baseline and the evidence:", &of_programs);
    print("Messages are sentences of other programs:", &of_others);
    if !of_people.is_empty() {
        print("Messages are quotations:", &of_people);
    }
}
