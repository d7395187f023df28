// SPDX-License-Identifier: MIT OR Apache-2.0
//! What goes into an exploration and what comes out: its bounds, what was explored, and a counterexample.

use core::fmt;
use std::collections::BTreeMap;

/// How far to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bounds {
    /// Messages that each end of a conversation sends, the first one among them.
    pub messages: u8,
    /// Conversations that Alice begins.
    pub handshakes: u8,
    /// Conversations that the relay begins with Bob, under its own identity.
    pub approaches: u8,
    /// Times that Bob publishes.
    pub publications: u8,
    /// Times that Bob replaces his signed prekey.
    pub replacements: u8,
    /// Messages that get lost, in all.
    pub losses: u8,
    /// Messages that are delivered without leaving the network, so that they come again, in all.
    pub duplicates: u8,
    /// States after which the search stops, unfinished.
    pub states: usize,
    /// Threads.
    pub threads: usize,
}

impl Default for Bounds {
    /// A bound that is searched in seconds.
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
    /// What a device must refuse, and refused.
    pub refused: usize,
    /// How often each kind of event happened, and each kind of what was refused was tried.
    pub kinds: BTreeMap<&'static str, usize>,
    /// Thefts.
    pub thefts: usize,
    /// Events of the longest schedule.
    pub deepest: usize,
    /// Whether all states within the bounds were seen.
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
            "{states} distinct states ({all} within the bound), {events} events, at most {deepest} in a row; {opened} \
             messages opened, {refused} attempts refused, {thefts} thefts"
        )?;
        kinds.iter().try_for_each(|(kind, count)| write!(f, "\n{count:>9} {kind}"))
    }
}

/// A schedule at whose end a claim does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counterexample {
    /// What happened, in order.
    pub schedule: Vec<String>,
    /// Which claim does not hold.
    pub claim: String,
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, after {}", self.claim, self.schedule.join(", "))
    }
}

impl core::error::Error for Counterexample {}
