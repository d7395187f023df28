// SPDX-License-Identifier: MIT OR Apache-2.0
//! The input and the output of an exploration: its bounds, what was explored, and a counterexample.

use core::fmt;
use std::collections::BTreeMap;

/// How far to explore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bounds {
    /// Messages that each end of a conversation sends, including the first one.
    pub messages: u8,
    /// Conversations that Alice begins.
    pub handshakes: u8,
    /// Conversations that the relay begins with Bob, under its own identity.
    pub approaches: u8,
    /// How often Bob publishes.
    pub publications: u8,
    /// How often Bob replaces his signed prekey.
    pub replacements: u8,
    /// Messages lost, in total.
    pub losses: u8,
    /// Messages that are delivered but stay in transit, so that they arrive again, in total.
    pub duplicates: u8,
    /// Number of states after which the search stops, incomplete.
    pub states: usize,
    /// The number of threads.
    pub threads: usize,
}

impl Default for Bounds {
    /// Bounds that are explored in seconds.
    fn default() -> Self {
        Self {
            messages: 2,
            handshakes: 1,
            approaches: 0,
            publications: 1,
            replacements: 1,
            losses: 1,
            duplicates: 0,
            states: usize::MAX,
            threads: 1,
        }
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { messages, handshakes, approaches, publications, replacements, losses, duplicates, .. } = self;
        write!(
            f,
            "up to {handshakes} handshakes by Alice and {approaches} by the relay, {messages} messages of each end, \
             {publications} publications, {replacements} replacements, {losses} losses, {duplicates} duplicates"
        )
    }
}

/// What was explored.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Exploration {
    /// Distinct states.
    pub states: usize,
    /// Events: edges between states.
    pub events: usize,
    /// Messages opened.
    pub opened: usize,
    /// Attempts that a device must refuse, and refused.
    pub refused: usize,
    /// How often each kind of event happened, and how often each kind of refused attempt was made.
    pub kinds: BTreeMap<&'static str, usize>,
    /// Thefts.
    pub thefts: usize,
    /// Length of the longest schedule, in events.
    pub deepest: usize,
    /// Whether all states within the bounds were explored.
    pub is_complete: bool,
}

impl Exploration {
    pub(crate) fn count(&mut self, kind: &'static str) {
        let count = self.kinds.entry(kind).or_default();
        *count = count.saturating_add(1);
    }

    pub(crate) fn refuse(&mut self, kind: &'static str) {
        self.count(kind);
        self.refused = self.refused.saturating_add(1);
    }
}

impl fmt::Display for Exploration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { states, events, opened, refused, kinds, thefts, deepest, is_complete } = self;
        let all = if *is_complete { "all" } else { "NOT all" };
        write!(
            f,
            "{states} distinct states ({all} within the bound), {events} events, at most {deepest} per schedule; \
             {opened} messages opened, {refused} attempts refused, {thefts} thefts"
        )?;
        kinds.iter().try_for_each(|(kind, count)| write!(f, "\n{count:>9} {kind}"))
    }
}

/// A schedule that ends in a state where a claim fails.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counterexample {
    /// What happened, in order.
    pub schedule: Vec<String>,
    /// The claim that fails.
    pub claim: String,
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, after {}", self.claim, self.schedule.join(", "))
    }
}

impl core::error::Error for Counterexample {}
