// SPDX-License-Identifier: MIT OR Apache-2.0
//! What must be true after a scenario, whatever has failed in it. Texts are unique, so that a message that is opened twice,
//! or sealed twice, shows as one text that is received twice.

use crate::stranger::CLAIMS;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The rule that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// A message that was to be sent was not, or one that was acknowledged to its sender, or saved in an outbox, was not
    /// received.
    Lost,
    /// A message was opened twice, or sealed twice, or shown again without a crash between.
    Twice,
    /// Something was received that nobody has sent, or was shown as another's.
    Foreign,
    /// A failure was not shown, or with another remedy than its own.
    Silent,
    /// One-time prekeys were wasted, or are missing at the server.
    Prekeys,
    /// Something was done for which the user must be asked.
    Unasked,
    /// Something was done again, or in vain.
    Repeated,
    /// Something is there that was deleted, or is gone that was not.
    Kept,
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

/// A text from one account to another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Message {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) text: String,
}

impl Message {
    pub(crate) fn new(from: &str, to: &str, text: &str) -> Self {
        Self { from: from.to_owned(), to: to.to_owned(), text: text.to_owned() }
    }

    fn parties(&self) -> (String, String) {
        (self.from.clone(), self.to.clone())
    }
}

/// What has become of a message at its sender's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// The client was asked to send it, and has not said that it was sent. Nothing explains that.
    Asked,
    /// The client was interrupted. It may have been sent.
    Interrupted,
    /// The client has refused to send it, as it should.
    Refused,
    /// It was sent, and must arrive.
    Due,
    /// It was sent, and the scenario has destroyed it: it must not arrive.
    Destroyed,
}

/// Counts of what the oracle has seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    /// Texts that had to arrive, all of which have.
    pub(crate) due: usize,
    /// Texts that the scenario has destroyed.
    pub(crate) destroyed: usize,
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
    /// Every message that a client was asked to send.
    messages: BTreeMap<Message, Fate>,
    /// Sender, receiver and id of messages that must arrive: acknowledged to the sender, or in its outbox.
    saved: BTreeSet<(String, String, String)>,
    shown: BTreeMap<Message, Vec<Shown>>,
    /// What the client has said of messages that it has not sent.
    said: BTreeMap<Message, String>,
    violations: Vec<Violation>,
}

impl Oracle {
    /// A client is asked to send a message. Texts are unique.
    pub(crate) fn ask(&mut self, message: Message) {
        if self.messages.contains_key(&message) {
            self.violate(Kind::Twice, format!("the scenario uses {message} twice"));
        }
        self.messages.insert(message, Fate::Asked);
    }

    /// The client has said that it was sent.
    pub(crate) fn due(&mut self, message: Message) {
        self.messages.insert(message, Fate::Due);
    }

    /// The client has said this in place of that it was sent.
    pub(crate) fn unsent(&mut self, message: Message, said: String) {
        self.said.insert(message, said);
    }

    /// The client was interrupted, or its store has failed.
    pub(crate) fn interrupted(&mut self, message: Message) {
        self.messages.insert(message, Fate::Interrupted);
    }

    /// The client must refuse to send it.
    pub(crate) fn refused(&mut self, message: Message) {
        if self.messages.get(&message) == Some(&Fate::Due) {
            self.violate(Kind::Unasked, format!("{message} was sent, and should have been refused"));
        }
        self.messages.insert(message, Fate::Refused);
    }

    /// A message must arrive that has this id.
    pub(crate) fn saved(&mut self, from: &str, to: &str, id: &str) {
        self.saved.insert((from.to_owned(), to.to_owned(), id.to_owned()));
    }

    /// A message was shown. If it is from `?NAME`, a stranger's, either a stranger has written it, or the client of that
    /// name has, which is not known yet.
    pub(crate) fn shown(&mut self, mut message: Message, id: &str, run: usize, was_interrupted: bool) {
        if let Some(name) = message.from.strip_prefix(CLAIMS).filter(|_| !self.messages.contains_key(&message)) {
            message.from = name.to_owned();
        }
        self.shown.entry(message).or_default().push(Shown { id: id.to_owned(), run, was_interrupted });
    }

    /// The scenario has destroyed exactly these messages, which were sent, after they were sent.
    pub(crate) fn destroyed(&mut self, messages: impl IntoIterator<Item = Message>) {
        for message in messages {
            if self.messages.get(&message) != Some(&Fate::Due) {
                self.violate(Kind::Lost, format!("{message} was not sent, and so cannot be destroyed"));
            }
            self.messages.insert(message, Fate::Destroyed);
        }
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

    fn with(&self, fate: Fate) -> impl Iterator<Item = &Message> {
        self.messages.iter().filter(move |(_, of)| **of == fate).map(|(message, _)| message)
    }

    fn missing(&self) -> impl Iterator<Item = &Message> {
        self.with(Fate::Due).filter(|due| !self.shown.contains_key(*due))
    }

    /// Ids that did not arrive, beyond one for each message between the two that was destroyed.
    fn missing_ids(&self) -> Vec<&(String, String, String)> {
        let shown: BTreeSet<_> = self.shown.values().flatten().map(|one| &one.id).collect();
        let mut destroyed = BTreeMap::<_, usize>::new();
        for message in self.with(Fate::Destroyed) {
            let count = destroyed.entry(message.parties()).or_default();
            *count = count.saturating_add(1);
        }
        let missing = self.saved.iter().filter(|(.., id)| !shown.contains(id));
        missing
            .filter(|(from, to, _)| match destroyed.get_mut(&(from.clone(), to.clone())) {
                Some(left) if *left > 0 => {
                    *left = left.saturating_sub(1);
                    false
                }
                _ => true,
            })
            .collect()
    }

    /// Number of messages that must arrive.
    pub(crate) fn due_count(&self) -> usize {
        self.with(Fate::Due).count()
    }

    /// Whether everything that must arrive has.
    pub(crate) fn is_complete(&self) -> bool {
        self.missing().next().is_none() && self.missing_ids().is_empty()
    }

    /// Judges everything.
    pub(crate) fn judge(&self) -> Result<Figures, Failure> {
        let mut violations = self.violations.clone();
        let mut add = |kind, what| violations.push(Violation { kind, what });
        for message in self.with(Fate::Asked) {
            let said = self.said.get(message).map(String::as_str).unwrap_or_default();
            add(Kind::Lost, format!("{message} was not sent {said}"));
        }
        for message in self.missing() {
            add(Kind::Lost, message.to_string());
        }
        // A message that is missed by its text is not counted a second time.
        if self.missing().next().is_none() {
            for (from, to, id) in self.missing_ids() {
                add(Kind::Lost, format!("message {id} from {from} to {to}"));
            }
        }
        let mut shown_again = 0_usize;
        for (message, all) in &self.shown {
            match self.messages.get(message) {
                None => add(Kind::Foreign, message.to_string()),
                Some(Fate::Destroyed) => add(Kind::Lost, format!("{message} was to be destroyed, and has arrived")),
                Some(_) => {}
            }
            let ids: BTreeSet<_> = all.iter().map(|shown| &shown.id).collect();
            if ids.len() > 1 {
                add(Kind::Twice, format!("{message}, as {} messages", ids.len()));
            }
            for (earlier, later) in all.iter().zip(all.iter().skip(1)) {
                match earlier.was_interrupted && earlier.run != later.run {
                    true => shown_again = shown_again.saturating_add(1),
                    false => add(Kind::Twice, format!("{message} shown again")),
                }
            }
        }
        if !violations.is_empty() {
            return Err(Failure::Violated(violations));
        }
        Ok(Figures { due: self.with(Fate::Due).count(), destroyed: self.with(Fate::Destroyed).count(), shown_again })
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, text } = self;
        write!(f, "\"{text}\" from {from} to {to}")
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { due, destroyed, shown_again } = self;
        write!(f, "{due} of {due} messages, 0 twice")?;
        if *destroyed > 0 {
            write!(f, ", {destroyed} destroyed")?;
        }
        if *shown_again > 0 {
            write!(f, " ({shown_again} shown again after a crash or by a second process)")?;
        }
        Ok(())
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
            Self::Kept => "kept",
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

    fn to_bob(text: &str) -> Message {
        Message::new("alice", "bob", text)
    }

    fn sent(texts: &[&str]) -> Oracle {
        let mut oracle = Oracle::default();
        for text in texts {
            oracle.ask(to_bob(text));
            oracle.due(to_bob(text));
        }
        oracle
    }

    #[test]
    fn a_message_that_does_not_arrive_is_lost() {
        let mut oracle = sent(&["a", "b"]);
        oracle.shown(to_bob("a"), "01", 1, false);
        assert_eq!(kinds(&oracle), [Kind::Lost]);
        oracle.saved("alice", "bob", "02");
        assert_eq!(kinds(&oracle), [Kind::Lost]);
        // Control: when it has arrived, it is not.
        oracle.shown(to_bob("b"), "02", 1, false);
        assert!(kinds(&oracle).is_empty());
        // A text that is not known, of a process that was killed, is missed by its id.
        oracle.saved("alice", "bob", "03");
        assert_eq!(kinds(&oracle), [Kind::Lost]);
    }

    #[test]
    fn a_message_that_was_not_sent_is_lost_unless_that_is_explained() {
        for (explain, expected) in [
            (None, vec![Kind::Lost]),
            (Some(Oracle::interrupted as fn(&mut Oracle, Message)), vec![]),
            (Some(Oracle::refused), vec![]),
        ] {
            let mut oracle = Oracle::default();
            oracle.ask(to_bob("a"));
            if let Some(explain) = explain {
                explain(&mut oracle, to_bob("a"));
            }
            assert_eq!(kinds(&oracle), expected);
        }
    }

    #[test]
    fn exactly_the_destroyed_messages_are_missing() {
        let mut oracle = sent(&["a", "b"]);
        oracle.saved("alice", "bob", "01");
        oracle.saved("alice", "bob", "02");
        oracle.destroyed([to_bob("a")]);
        // Another one is missing as well.
        assert_eq!(kinds(&oracle), [Kind::Lost]);
        oracle.shown(to_bob("b"), "02", 1, false);
        assert!(kinds(&oracle).is_empty());
        // One more id is missing than was destroyed.
        oracle.saved("alice", "bob", "03");
        assert_eq!(kinds(&oracle), [Kind::Lost]);
        oracle.saved.clear();
        oracle.shown(to_bob("a"), "01", 1, false);
        assert_eq!(kinds(&oracle), [Kind::Lost]);
        // What was not sent cannot be destroyed.
        let mut oracle = Oracle::default();
        oracle.destroyed([to_bob("a")]);
        assert_eq!(kinds(&oracle), [Kind::Lost]);
    }

    #[test]
    fn a_message_that_should_be_refused_is_not_sent() {
        let mut oracle = sent(&["a"]);
        oracle.refused(to_bob("a"));
        assert_eq!(kinds(&oracle), [Kind::Unasked]);
    }

    #[test]
    fn a_text_of_two_messages_was_sealed_or_opened_twice() {
        let mut oracle = sent(&["a"]);
        oracle.shown(to_bob("a"), "01", 1, true);
        oracle.shown(to_bob("a"), "02", 2, true);
        assert_eq!(kinds(&oracle), [Kind::Twice]);
    }

    #[test]
    fn a_message_is_shown_again_only_after_an_interruption() {
        for (was_interrupted, expected) in [(true, vec![]), (false, vec![Kind::Twice])] {
            let mut oracle = sent(&["a"]);
            oracle.shown(to_bob("a"), "01", 1, was_interrupted);
            oracle.shown(to_bob("a"), "01", 2, false);
            assert_eq!(kinds(&oracle), expected);
        }
        // Twice in one run, even if that was interrupted.
        let mut oracle = sent(&["a"]);
        oracle.shown(to_bob("a"), "01", 1, true);
        oracle.shown(to_bob("a"), "01", 1, true);
        assert_eq!(kinds(&oracle), [Kind::Twice]);
    }

    #[test]
    fn a_stranger_is_not_shown_as_who_he_claims_to_be() {
        for (from, expected) in [("?alice", vec![]), ("alice", vec![Kind::Lost, Kind::Foreign])] {
            let mut oracle = Oracle::default();
            let message = Message::new("?alice", "bob", "a");
            oracle.ask(message.clone());
            oracle.due(message);
            oracle.shown(Message::new(from, "bob", "a"), "01", 1, false);
            assert_eq!(kinds(&oracle), expected);
        }
        // A client that is not known yet is a stranger, too.
        let mut oracle = sent(&["a"]);
        oracle.shown(Message::new("?alice", "bob", "a"), "01", 1, false);
        assert!(kinds(&oracle).is_empty());
    }

    #[test]
    fn a_text_that_nobody_sent_or_another_has_sent_is_foreign() {
        for (author, text) in [("carol", "a"), ("alice", "b")] {
            let mut oracle = sent(&["a"]);
            oracle.shown(to_bob("a"), "01", 1, false);
            oracle.shown(Message::new(author, "bob", text), "02", 1, false);
            assert_eq!(kinds(&oracle), [Kind::Foreign]);
        }
    }
}
