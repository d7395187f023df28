// SPDX-License-Identifier: MIT OR Apache-2.0
//! What must be true after a scenario, whatever has failed in it. Texts are unique, so that a message that is opened twice,
//! or sealed twice, shows as one text that is received twice.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The rule that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// A message that was acknowledged to its sender, or saved in an outbox, was not received.
    Lost,
    /// A message was opened twice, or sealed twice, or shown again without a crash between.
    Twice,
    /// Something was received that nobody has sent.
    Foreign,
    /// A failure was not shown with its remedy.
    Silent,
    /// One-time prekeys were wasted, or are missing at the server.
    Prekeys,
    /// Something was done for which the user must be asked.
    Unasked,
    /// A transfer began again instead of continuing.
    Repeated,
}

/// A rule that is broken, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) kind: Kind,
    pub(crate) what: String,
}

/// Why a scenario did not end well.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The oracle has found this.
    Violated(Vec<Violation>),
    /// The scenario itself did not work.
    Broken(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Broken(error.into())
    }
}

/// What a scenario returns: its figures.
pub(crate) type Verdict = Result<String, Failure>;

/// Counts of what the oracle has seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    /// Texts that had to arrive.
    pub(crate) due: usize,
    /// Those of them that have.
    pub(crate) arrived: usize,
    /// Messages that were shown again, after a crash between showing and removing, or by a second process.
    pub(crate) shown_again: usize,
}

/// A message that was shown.
struct Shown {
    id: String,
    /// In which run of a client.
    run: usize,
    /// Whether that run may have ended, or another one begun, between showing and removing.
    was_interrupted: bool,
}

/// Everything that was sent and received.
#[derive(Default)]
pub(crate) struct Oracle {
    /// Receiver and text of every message that a client was asked to send.
    attempted: BTreeSet<(String, String)>,
    /// Those that must arrive, because the client has said that they were sent.
    due: BTreeSet<(String, String)>,
    /// Receiver and id of messages that must arrive: acknowledged to the sender, or in its outbox.
    saved: BTreeSet<(String, String)>,
    /// By receiver and text.
    shown: BTreeMap<(String, String), Vec<Shown>>,
    /// Those whose loss the scenario has caused and expects.
    excused: BTreeSet<(String, String)>,
    violations: Vec<Violation>,
}

impl Oracle {
    pub(crate) fn attempt(&mut self, to: &str, text: &str) {
        self.attempted.insert((to.to_owned(), text.to_owned()));
    }

    pub(crate) fn due(&mut self, to: &str, text: &str) {
        self.due.insert((to.to_owned(), text.to_owned()));
    }

    pub(crate) fn saved(&mut self, to: &str, id: &str) {
        self.saved.insert((to.to_owned(), id.to_owned()));
    }

    pub(crate) fn shown(&mut self, at: &str, text: &str, id: &str, run: usize, was_interrupted: bool) {
        let shown = self.shown.entry((at.to_owned(), text.to_owned())).or_default();
        shown.push(Shown { id: id.to_owned(), run, was_interrupted });
    }

    /// Excuses messages to `to` that had to arrive until now and have not: the scenario has destroyed them.
    pub(crate) fn excuse_missing(&mut self, to: &str) -> usize {
        let missing: Vec<_> = self.missing_texts().filter(|(at, _)| at == to).cloned().collect();
        let ids: Vec<_> = self.missing_ids().into_iter().filter(|(at, _)| at == to).collect();
        let count = missing.len();
        self.excused.extend(missing.into_iter().chain(ids));
        count
    }

    pub(crate) fn violate(&mut self, kind: Kind, what: impl Into<String>) {
        self.violations.push(Violation { kind, what: what.into() });
    }

    /// Demands something that the scenario has looked at itself.
    pub(crate) fn demand(&mut self, holds: bool, kind: Kind, what: impl Into<String>) {
        if !holds {
            self.violate(kind, what);
        }
    }

    fn missing_texts(&self) -> impl Iterator<Item = &(String, String)> {
        self.due.iter().filter(|due| !self.shown.contains_key(*due) && !self.excused.contains(*due))
    }

    fn missing_ids(&self) -> BTreeSet<(String, String)> {
        let shown = self.shown.iter().flat_map(|((at, _), all)| all.iter().map(|one| (at.clone(), one.id.clone())));
        let shown: BTreeSet<_> = shown.collect();
        self.saved.iter().filter(|saved| !shown.contains(*saved) && !self.excused.contains(*saved)).cloned().collect()
    }

    /// Whether everything that must arrive has.
    pub(crate) fn is_complete(&self) -> bool {
        self.missing_texts().next().is_none() && self.missing_ids().is_empty()
    }

    /// Judges everything.
    pub(crate) fn judge(&self) -> Result<Figures, Failure> {
        let mut violations = self.violations.clone();
        let mut add = |kind, what| violations.push(Violation { kind, what });
        for (to, text) in self.missing_texts() {
            add(Kind::Lost, format!("\"{text}\" to {to}"));
        }
        // A message that is missed by its text is not counted a second time.
        if self.missing_texts().next().is_none() {
            for (to, id) in self.missing_ids() {
                add(Kind::Lost, format!("message {id} to {to}"));
            }
        }
        let mut shown_again = 0_usize;
        for ((at, text), all) in &self.shown {
            if !self.attempted.contains(&(at.clone(), text.clone())) {
                add(Kind::Foreign, format!("\"{text}\" at {at}"));
            }
            let ids: BTreeSet<_> = all.iter().map(|shown| &shown.id).collect();
            if ids.len() > 1 {
                add(Kind::Twice, format!("\"{text}\" at {at}, as {} messages", ids.len()));
            }
            for (earlier, later) in all.iter().zip(all.iter().skip(1)) {
                match earlier.was_interrupted && earlier.run != later.run {
                    true => shown_again = shown_again.saturating_add(1),
                    false => add(Kind::Twice, format!("\"{text}\" shown again at {at}")),
                }
            }
        }
        if !violations.is_empty() {
            return Err(Failure::Violated(violations));
        }
        let due = self.due.difference(&self.excused).count();
        let arrived = self.due.iter().filter(|due| self.shown.contains_key(*due)).count();
        Ok(Figures { due, arrived, shown_again })
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { due, arrived, shown_again } = self;
        write!(f, "{arrived} of {due} messages, 0 twice")?;
        if *shown_again > 0 {
            write!(f, " ({shown_again} shown again after a crash or by a second process)")
        } else {
            Ok(())
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lost => "lost",
            Self::Twice => "twice",
            Self::Foreign => "foreign",
            Self::Silent => "silent",
            Self::Prekeys => "prekeys",
            Self::Unasked => "unasked",
            Self::Repeated => "repeated",
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(error) => write!(f, "did not work: {error:#}"),
            Self::Violated(violations) => {
                let shown = violations.iter().take(6).map(|Violation { kind, what }| format!("{kind}: {what}"));
                write!(f, "{}", shown.collect::<Vec<_>>().join("; "))?;
                match violations.len().saturating_sub(6) {
                    0 => Ok(()),
                    more => write!(f, "; and {more} more"),
                }
            }
        }
    }
}

/// A short account of what was violated: `3 lost, 1 twice`.
pub(crate) fn summary(violations: &[Violation]) -> String {
    let mut counts = BTreeMap::<Kind, usize>::new();
    for violation in violations {
        let count = counts.entry(violation.kind).or_default();
        *count = count.saturating_add(1);
    }
    counts.iter().map(|(kind, count)| format!("{count} {kind}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(oracle: &Oracle) -> Vec<Kind> {
        match oracle.judge() {
            Err(Failure::Violated(violations)) => violations.iter().map(|violation| violation.kind).collect(),
            _ => Vec::new(),
        }
    }

    fn sent(texts: &[&str]) -> Oracle {
        let mut oracle = Oracle::default();
        for text in texts {
            oracle.attempt("bob", text);
            oracle.due("bob", text);
        }
        oracle
    }

    #[test]
    fn a_message_that_does_not_arrive_is_lost() {
        let mut oracle = sent(&["a", "b"]);
        oracle.shown("bob", "a", "01", 1, false);
        assert_eq!(kinds(&oracle), [Kind::Lost]);
        // Control: when it has arrived, or the scenario has destroyed it, nothing is.
        oracle.excuse_missing("bob");
        assert!(kinds(&oracle).is_empty());
        oracle.saved("bob", "02");
        assert_eq!(kinds(&oracle), [Kind::Lost]);
        oracle.shown("bob", "b", "02", 1, false);
        assert!(kinds(&oracle).is_empty());
    }

    #[test]
    fn a_text_of_two_messages_was_sealed_or_opened_twice() {
        let mut oracle = sent(&["a"]);
        oracle.shown("bob", "a", "01", 1, true);
        oracle.shown("bob", "a", "02", 2, true);
        assert_eq!(kinds(&oracle), [Kind::Twice]);
    }

    #[test]
    fn a_message_is_shown_again_only_after_an_interruption() {
        for (was_interrupted, expected) in [(true, vec![]), (false, vec![Kind::Twice])] {
            let mut oracle = sent(&["a"]);
            oracle.shown("bob", "a", "01", 1, was_interrupted);
            oracle.shown("bob", "a", "01", 2, false);
            assert_eq!(kinds(&oracle), expected);
        }
        // Twice in one run, even if that was interrupted.
        let mut oracle = sent(&["a"]);
        oracle.shown("bob", "a", "01", 1, true);
        oracle.shown("bob", "a", "01", 1, true);
        assert_eq!(kinds(&oracle), [Kind::Twice]);
    }

    #[test]
    fn a_text_that_nobody_sent_is_foreign() {
        let mut oracle = Oracle::default();
        oracle.shown("bob", "a", "01", 1, false);
        assert_eq!(kinds(&oracle), [Kind::Foreign]);
    }
}
