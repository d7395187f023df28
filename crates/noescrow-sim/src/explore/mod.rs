// SPDX-License-Identifier: MIT OR Apache-2.0
//! Explores every interleaving of publishing, fetching, handshakes, sending, delivery, loss, duplication and reordering
//! between two devices and a hostile relay, up to a bound. At each state it runs the audit, and steals each device
//! once.
//!
//! A state is three devices, one of them the relay's own, their sessions, what the relay has, the messages in transit,
//! and what the run has recorded. Random values are a function of who draws them and for what purpose. Two schedules
//! that lead to the same situation therefore make the same bytes and are one state; a hash of all these distinguishes
//! states. The relay serves Alice every bundle that she must accept, including one of its own identity, and begins
//! conversations with Bob under its own identity: these are events. What must be refused leads to no new state; it is
//! tried at each state where it is new: every other bundle, an expired one, first messages that are forged, replayed or
//! have an ephemeral key of low order, and messages that are forged, reflected, replayed, or from another conversation.
//! At each new state the exploration checks that
//! - each message that must open opened once, with its text; each message that must be refused was refused, and left
//!   its session or device unchanged;
//! - the relay knows the messages of its own conversations and no other secret, and the run has no other flaw;
//! - if the relay also steals either device's memory here, no message that this device sent or received before is
//!   exposed, except those of a handshake without a one-time prekey, which are exposed together with the signed prekey,
//!   as the protocol says.
//!
//! Not the concern of this module: conversations that Bob begins. Alice has no prekeys here; property tests cover
//! conversations that either side begins.

mod attacks;
mod cache;
mod handshakes;
mod invariants;
mod moves;
mod node;
mod report;
mod rng;

pub use report::{Bounds, Counterexample, Exploration};

use crate::side::Who;
use node::Node;
use noescrow::primitives::Primitives;
use noescrow_recorder::Recorder;
use std::collections::HashSet;
use std::sync::{Condvar, Mutex, PoisonError};

/// Explores with honest devices.
///
/// # Errors
/// The first [`Counterexample`].
pub fn explore(bounds: Bounds) -> Result<Exploration, Counterexample> {
    explore_with(bounds, |_, recorder| recorder)
}

/// Explores with devices whose primitives are made from recorders; a faulty one shows that the exploration can fail.
/// What `device` makes, and what that computes, must depend on the arguments alone, because each thread performs an
/// operation on a given state only once.
///
/// # Errors
/// The first [`Counterexample`].
pub fn explore_with<P: Primitives>(
    bounds: Bounds,
    device: impl Fn(Who, Recorder) -> P + Sync,
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
    /// Threads that may still add nodes.
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
    /// Takes states and adds their successors, until none is left or a claim has failed.
    fn work<P: Primitives>(&self)
    where
        F: Fn(Who, Recorder) -> P,
    {
        while let Some(node) = self.take() {
            let mut new = Vec::new();
            let mut done = Exploration::default();
            let outcome = node.moves(self.bounds).into_iter().try_for_each(|step| {
                let Some(next) = node.after(step, &self.device, &mut done)? else { return Ok(()) };
                done.events = done.events.saturating_add(1);
                if lock(&self.seen).insert(next.key()) {
                    next.attack(&self.device, &mut done)?;
                    next.check_invariants(&mut done)?;
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
        for (kind, count) in done.kinds {
            let all = all.kinds.entry(kind).or_default();
            *all = all.saturating_add(count);
        }
        all.thefts = all.thefts.saturating_add(done.thefts);
        all.deepest = new.iter().map(|node| node.schedule.len()).fold(all.deepest, usize::max);
        todo.nodes.extend(new);
        todo.busy = todo.busy.saturating_sub(1);
        self.wake.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::moves::Move;
    use super::*;
    use crate::served_bundle::ServedBundle;
    use crate::side::Side;

    const SMALL: Bounds = Bounds {
        messages: 1,
        handshakes: 1,
        approaches: 0,
        publications: 1,
        replacements: 1,
        losses: 0,
        duplicates: 0,
        states: usize::MAX,
        threads: 1,
    };

    /// The states after each of these moves; each must exist.
    fn after(moves: &[Move]) -> Vec<Node> {
        let device = |_, recorder| recorder;
        let mut nodes = vec![Node::root(&device).unwrap()];
        for step in moves {
            let next = nodes.last().unwrap().after(*step, &device, &mut Exploration::default()).unwrap().unwrap();
            assert_eq!(next.check_invariants(&mut Exploration::default()), Ok(()), "{:?}", next.schedule);
            nodes.push(next);
        }
        nodes
    }

    const MET: [Move; 4] = [Move::Publish, Move::Fetch(ServedBundle::Honest), Move::Initiate, Move::Deliver(0)];

    /// The control of the theft: a device whose memory still has what it had before a message arrived.
    #[test]
    fn memory_that_keeps_a_used_one_time_prekey_is_flagged() {
        let mut nodes = after(&MET);
        let mut opened = nodes.pop().unwrap();
        opened.devices.bob = nodes.pop().unwrap().devices.bob;
        let claim = opened.check_invariants(&mut Exploration::default()).unwrap_err().claim;
        assert_eq!(claim, "Bob's memory exposes a past message");
    }

    #[test]
    fn memory_that_keeps_a_used_message_key_is_flagged() {
        let mut nodes = after(&[&MET[..], &[Move::Send(0, Side::Alice), Move::Deliver(0)]].concat());
        let mut opened = nodes.pop().unwrap();
        opened.conversations[0].sessions.bob = nodes.pop().unwrap().conversations[0].sessions.bob.clone();
        let claim = opened.check_invariants(&mut Exploration::default()).unwrap_err().claim;
        assert_eq!(claim, "Bob's memory exposes a past message");
    }

    /// A last-resort handshake is exposed until the signed prekey is deleted, as the protocol says.
    #[test]
    fn last_resort_handshake_is_safe_after_signed_prekey_is_replaced() {
        let met = [Move::Publish, Move::Fetch(ServedBundle::WithoutOneTimePrekey), Move::Initiate, Move::Deliver(0)];
        let mut nodes = after(&[&met[..], &[Move::Replace]].concat());
        let mut replaced = nodes.pop().unwrap();
        replaced.devices.bob = nodes.pop().unwrap().devices.bob;
        let claim = replaced.check_invariants(&mut Exploration::default()).unwrap_err().claim;
        assert_eq!(claim, "Bob's memory exposes a past message");
    }

    /// The controls of the relay's knowledge: conversations that are labelled as ones of the other kind.
    #[test]
    fn a_mislabelled_conversation_with_the_relay_is_flagged() {
        let substituted = [Move::Publish, Move::Fetch(ServedBundle::OtherIdentity), Move::Initiate];
        let mut node = after(&substituted).pop().unwrap();
        node.conversations[0].to = Who::Bob;
        let claim = node.check_invariants(&mut Exploration::default()).unwrap_err().claim;
        assert!(claim.contains("ServerInKey") || claim.contains("not its own"), "{claim}");
        let mut node = after(&MET).pop().unwrap();
        node.conversations[0].to = Who::Relay;
        let claim = node.check_invariants(&mut Exploration::default()).unwrap_err().claim;
        assert_eq!(claim, "the relay does not know the key of a message of its own");
    }

    #[test]
    fn two_threads_find_the_same_states_as_one() {
        let bounds = Bounds { messages: 2, ..SMALL };
        let one = explore(bounds).unwrap();
        let two = explore(Bounds { threads: 2, ..bounds }).unwrap();
        assert_eq!((one.states, one.is_complete), (two.states, true));
        assert!(!explore(Bounds { states: 10, ..bounds }).unwrap().is_complete);
    }
}
