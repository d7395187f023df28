// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every interleaving of publishing, fetching, handshakes, sending, delivery, loss, duplication and reordering between two
//! devices and a hostile relay, up to a bound, with the audit at each state and with both devices' theft there.
//!
//! A state is three devices, of which one is the relay's own, their sessions, what the relay has and what is under way, and
//! what the run has recorded. What is drawn is a function of who draws and for what, so that two schedules that come to the
//! same make the same bytes, and are one state: states are told apart by a hash of all these. The relay gives Alice every
//! bundle that she must take, its own identity's among them, and begins conversations with Bob under it: these are events.
//! What must be refused leads nowhere, and is tried at each state where it is new: every other bundle, an expired one, first
//! messages forged, with an ephemeral key of low order or again, and messages forged, reflected, replayed, or of another
//! conversation. At each new state is checked that
//! - what must open opened, with its text, and once; what must not was refused and left its session or its device as it was;
//! - the relay knows the messages of its own conversations, and of nothing else a secret; the run has no other flaw;
//! - to who also steals either device's memory here, no message falls that it had sent, or had received; but those of a
//!   handshake without a one-time prekey do fall with the signed one, as the protocol says.
//!
//! Not the concern of this module: Alice has no prekeys here; that either may begin is for the property tests.

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

/// Explores with devices whose primitives are made from recorders: a broken one shows that the exploration can fail. What `device`
/// makes, and what that computes, must follow from the arguments alone: on one state an operation is performed once a thread.
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

    /// The states after some moves, each the first of its kind there is.
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

    /// The control of the theft: a device whose memory still has what it had before.
    #[test]
    fn a_memory_that_keeps_the_one_time_prekey_of_a_message_it_received_is_convicted() {
        let mut nodes = after(&MET);
        let mut opened = nodes.pop().unwrap();
        opened.devices.bob = nodes.pop().unwrap().devices.bob;
        let claim = opened.check_invariants(&mut Exploration::default()).unwrap_err().claim;
        assert_eq!(claim, "Bob's memory gives a message of the past");
    }

    #[test]
    fn a_memory_that_keeps_the_key_of_a_message_it_received_is_convicted() {
        let mut nodes = after(&[&MET[..], &[Move::Send(0, Side::Alice), Move::Deliver(0)]].concat());
        let mut opened = nodes.pop().unwrap();
        opened.conversations[0].sessions.bob = nodes.pop().unwrap().conversations[0].sessions.bob.clone();
        let claim = opened.check_invariants(&mut Exploration::default()).unwrap_err().claim;
        assert_eq!(claim, "Bob's memory gives a message of the past");
    }

    /// The limit of a last-resort handshake is where the protocol puts it: the signed prekey's deletion.
    #[test]
    fn a_last_resort_handshake_is_safe_from_thieves_once_the_signed_prekey_is_replaced() {
        let met = [Move::Publish, Move::Fetch(ServedBundle::WithoutOneTimePrekey), Move::Initiate, Move::Deliver(0)];
        let mut nodes = after(&[&met[..], &[Move::Replace]].concat());
        let mut replaced = nodes.pop().unwrap();
        replaced.devices.bob = nodes.pop().unwrap().devices.bob;
        let claim = replaced.check_invariants(&mut Exploration::default()).unwrap_err().claim;
        assert_eq!(claim, "Bob's memory gives a message of the past");
    }

    /// The controls of the relay's knowledge: the same conversation, held to be of another kind than it is.
    #[test]
    fn what_a_relay_reads_under_its_own_identity_is_seen_to_be_known() {
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
    fn as_many_threads_find_as_many_states() {
        let bounds = Bounds { messages: 2, ..SMALL };
        let one = explore(bounds).unwrap();
        let two = explore(Bounds { threads: 2, ..bounds }).unwrap();
        assert_eq!((one.states, one.is_complete), (two.states, true));
        assert!(!explore(Bounds { states: 10, ..bounds }).unwrap().is_complete);
    }
}
