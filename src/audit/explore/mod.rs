// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every interleaving of sending, delivery, loss, duplication and reordering between two devices, up to a bound, with the
//! audit at each state and with both devices' theft there.
//!
//! A state is two sessions, what is under way, and what the run has recorded. What a device draws is a function of who
//! draws and for which message, so that two schedules that come to the same make the same bytes, and are one state:
//! states are told apart by a hash of the sessions and of what is under way. At each new state is checked that
//! - what must open opened, with its text, and once; what must not was refused and left its session as it was: the next
//!   message with a flipped bit in header or body, its reflection to its sender, a replay of each message opened so far;
//! - nothing secret follows from what a server saw, and the run has no flaw;
//! - to who also steals either device's memory here, no message falls that it had sent, or had received.
//!
//! Not the concern of this module: the handshake, which is one event, and is explored by the property tests.

mod draws;
mod node;

use super::record::Recorder;
use crate::events::Side;
use crate::primitives::Primitives;
use core::fmt;
use node::Node;
use std::collections::HashSet;
use std::string::String;
use std::sync::{Condvar, Mutex, PoisonError};
use std::vec;
use std::vec::Vec;

/// How far to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bounds {
    /// Messages that each side sends.
    pub messages: u8,
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
        Self { messages: 2, losses: 1, duplicates: 1, states: usize::MAX, threads: 1 }
    }
}

/// What was explored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Exploration {
    /// Distinct states.
    pub states: usize,
    /// Events: edges between states.
    pub events: usize,
    /// Messages opened.
    pub opened: usize,
    /// Forgeries, reflections and replays, all refused.
    pub refused: usize,
    /// Thefts.
    pub thefts: usize,
    /// Events of the longest schedule.
    pub deepest: usize,
    /// Whether all states within the bounds were seen.
    pub is_complete: bool,
}

impl fmt::Display for Exploration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { states, events, opened, refused, thefts, deepest, is_complete } = self;
        let all = if *is_complete { "all" } else { "NOT all" };
        write!(
            f,
            "{states} distinct states ({all} within the bound), {events} events, at most {deepest} in a row; {opened} \
             messages opened, {refused} forgeries, reflections and replays refused, {thefts} thefts"
        )
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

/// Explores with honest devices.
///
/// # Errors
/// The first [`Counterexample`].
pub fn explore(bounds: Bounds) -> Result<Exploration, Counterexample> {
    explore_with(bounds, |_, recorder| recorder)
}

/// Explores with devices whose primitives are made from recorders: a broken one shows that the exploration can fail.
///
/// # Errors
/// The first [`Counterexample`].
pub fn explore_with<P: Primitives>(
    bounds: Bounds,
    device: impl Fn(Side, Recorder) -> P + Sync,
) -> Result<Exploration, Counterexample> {
    let root = Node::root(&device)?;
    let search = Search {
        bounds,
        device,
        seen: Mutex::new(HashSet::from([root.key()])),
        todo: Mutex::new(Todo {
            nodes: vec![root],
            busy: 0,
            done: Exploration { states: 1, ..Exploration::default() },
        }),
        wake: Condvar::new(),
        failed: Mutex::new(None),
    };
    std::thread::scope(|scope| {
        for _ in 0..bounds.threads.max(1) {
            scope.spawn(|| search.work());
        }
    });
    let failed = search.failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    let todo = search.todo.into_inner().unwrap_or_else(PoisonError::into_inner);
    match failed {
        Some(counterexample) => Err(counterexample),
        None => Ok(Exploration { is_complete: todo.nodes.is_empty(), ..todo.done }),
    }
}

struct Todo {
    nodes: Vec<Node>,
    /// Threads that may still add some.
    busy: usize,
    done: Exploration,
}

struct Search<F> {
    bounds: Bounds,
    device: F,
    seen: Mutex<HashSet<[u8; 16]>>,
    todo: Mutex<Todo>,
    wake: Condvar,
    failed: Mutex<Option<Counterexample>>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<F> Search<F> {
    /// Takes states and adds what follows, until there is none left or a claim has failed.
    fn work<P: Primitives>(&self)
    where
        F: Fn(Side, Recorder) -> P,
    {
        while let Some(node) = self.take() {
            let mut new = Vec::new();
            let mut done = Exploration::default();
            let outcome = node.moves(self.bounds).into_iter().try_for_each(|step| {
                done.events = done.events.saturating_add(1);
                let next = node.after(step, &self.device, &mut done)?;
                if lock(&self.seen).insert(next.key()) {
                    next.suffer(&self.device, &mut done)?;
                    next.follow(&mut done)?;
                    new.push(next);
                }
                Ok(())
            });
            if let Err(counterexample) = outcome {
                lock(&self.failed).get_or_insert(counterexample);
                new.clear();
            }
            self.give(new, done);
        }
    }

    fn take(&self) -> Option<Node> {
        let mut todo = lock(&self.todo);
        loop {
            if lock(&self.failed).is_some() || todo.done.states >= self.bounds.states {
                self.wake.notify_all();
                return None;
            }
            if let Some(node) = todo.nodes.pop() {
                todo.busy = todo.busy.saturating_add(1);
                return Some(node);
            }
            if todo.busy == 0 {
                self.wake.notify_all();
                return None;
            }
            todo = self.wake.wait(todo).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn give(&self, new: Vec<Node>, done: Exploration) {
        let mut todo = lock(&self.todo);
        let all = &mut todo.done;
        all.states = all.states.saturating_add(new.len());
        all.events = all.events.saturating_add(done.events);
        all.opened = all.opened.saturating_add(done.opened);
        all.refused = all.refused.saturating_add(done.refused);
        all.thefts = all.thefts.saturating_add(done.thefts);
        all.deepest = new.iter().map(|node| node.schedule.len()).fold(all.deepest, usize::max);
        todo.nodes.extend(new);
        todo.busy = todo.busy.saturating_sub(1);
        self.wake.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::node::Move;
    use super::*;

    #[test]
    fn every_schedule_of_two_messages_a_side_with_a_loss_and_a_duplicate_holds() {
        let explored = explore(Bounds::default()).unwrap();
        std::println!("{explored}");
        assert!(explored.is_complete && explored.states > 100, "{explored}");
    }

    /// The control of the theft: a device whose memory still has what it had before.
    #[test]
    fn a_memory_that_keeps_the_key_of_a_message_it_received_is_convicted() {
        let device = |_, recorder| recorder;
        let mut done = Exploration::default();
        let sent = Node::root(&device).unwrap().after(Move::Send(Side::Alice), &device, &mut done).unwrap();
        let mut opened = sent.after(Move::Deliver(0), &device, &mut done).unwrap();
        assert_eq!(opened.follow(&mut done), Ok(()));
        opened.states.bob = sent.states.bob;
        let claim = opened.follow(&mut done).unwrap_err().claim;
        assert_eq!(claim, "Bob's memory gives a message of the past");
    }

    #[test]
    fn as_many_threads_find_as_many_states() {
        let bounds = Bounds { losses: 0, ..Bounds::default() };
        let one = explore(bounds).unwrap();
        let two = explore(Bounds { threads: 2, ..bounds }).unwrap();
        assert_eq!(one.states, two.states);
        assert!(!explore(Bounds { states: 10, ..bounds }).unwrap().is_complete);
    }
}
