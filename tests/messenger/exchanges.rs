// SPDX-License-Identifier: MIT OR Apache-2.0
//! Two devices that talk through a server, each with two processes, under arbitrary failures of the store and of the
//! connection. The oracle: every text that was sealed is shown exactly once.

use super::Stored;
use super::disk::Fault;
use super::exchange::Party;
use super::hub::{Cut, Hub};
use super::user::{NOW, key};
use noescrow::UnixSeconds;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Number of requests of each schedule.
const LENGTH: usize = 40;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Faulty {
    Nothing,
    /// The server deletes mail before it is acknowledged, as if a client acknowledged before it saves.
    DeletesAtOnce,
    /// The store does not know what it has sent.
    ForgetsWhatItSent,
    /// The store says that it has written what it has not.
    FalseSuccess,
}

struct Schedule {
    rng: ChaCha20Rng,
    hub: Rc<RefCell<Hub>>,
    parties: [Party; 2],
    now: UnixSeconds,
    faulty: Faulty,
    /// The texts that were sealed, with who was to get them.
    due: Vec<(usize, String)>,
}

impl Schedule {
    fn new(seed: u64, faulty: Faulty) -> Self {
        let hub: Rc<RefCell<Hub>> = Rc::default();
        let mut parties = [Party::new(&hub, "alice", 1), Party::new(&hub, "bob", 2)];
        hub.borrow_mut().deletes_at_once = faulty == Faulty::DeletesAtOnce;
        for party in &mut parties {
            party.stored.store().forgets_what_it_sent = faulty == Faulty::ForgetsWhatItSent;
            party.store.forgets_what_it_sent = faulty == Faulty::ForgetsWhatItSent;
        }
        let rng = ChaCha20Rng::seed_from_u64(seed);
        Self { rng, hub, parties, now: NOW, faulty, due: Vec::new() }
    }

    fn below(&mut self, bound: u32) -> u32 {
        self.rng.next_u32() % bound
    }

    /// Has the next commits and requests of a party fail, and another process step in between.
    fn set_faults(&mut self, side: usize) {
        let faults: Vec<Fault> = (0..self.below(8))
            .map(|_| match self.below(8) {
                0 => Fault::Refuses,
                1 => Fault::LosesTheBatch,
                2 | 3 => Fault::CommitsAndFails,
                4 if self.faulty == Faulty::FalseSuccess => Fault::FalseSuccess,
                _ => Fault::None,
            })
            .collect();
        // Now and then the store is out of order for a while.
        let faults = if self.below(6) == 0 { vec![Fault::Refuses; 5] } else { faults };
        let cuts = (0..self.below(16)).map(|_| match self.below(10) {
            0 => Some(Cut::Request),
            1 => Some(Cut::Answer),
            _ => None,
        });
        let cuts = cuts.collect();
        let (commits, now) = (self.below(8), self.now);
        let party = &mut self.parties[side];
        party.line.cuts = cuts;
        party.store.set_faults(&faults);
        let subject = party.subject;
        party.store.after(commits.try_into().unwrap(), move |store| {
            let mut rng = store.rng();
            let mut other = Stored::load(store.of_another_process(), &key(), &subject, &mut rng).unwrap();
            // Its commits may fail, too.
            let _ = other.find_or_add_peer(format!("peer {}", store.commits()).as_bytes(), now, &mut rng);
        });
    }

    fn step(&mut self, number: usize) {
        let side = usize::from(self.below(2) == 0);
        self.now.0 += u64::from(self.below(60));
        if self.below(4) == 0 {
            self.parties[side].restart();
        }
        self.set_faults(side);
        let (now, sends) = (self.now, self.below(2) == 0);
        let party = &mut self.parties[side];
        if sends {
            let (to, text) = (["alice", "bob"][1 - side], format!("text {number}"));
            let sealed = party.events.iter().filter(|event| *event == "sealed Payload").count();
            let result = party.send(to, text.as_bytes(), now);
            let is_sealed = party.events.iter().filter(|event| *event == "sealed Payload").count() > sealed;
            assert!(is_sealed || result.is_err(), "{result:?}");
            if is_sealed {
                self.due.push((1 - side, text));
            }
        } else {
            let _ = party.receive(now);
        }
        party.store.meanwhile.borrow_mut().clear();
        party.store.set_faults(&[]);
        party.line.cuts.clear();
    }

    fn run(seed: u64, faulty: Faulty) -> Result<usize, String> {
        let mut schedule = Self::new(seed, faulty);
        (0..LENGTH).for_each(|number| schedule.step(number));
        // Everything works again.
        for _ in 0..3 {
            for party in &mut schedule.parties {
                party.restart();
                party.receive(schedule.now).map_err(|error| format!("not received: {error}"))?;
            }
        }
        let mut shown: [BTreeMap<String, usize>; 2] = Default::default();
        for (shown, party) in shown.iter_mut().zip(&schedule.parties) {
            for text in party.events.iter().filter_map(|event| event.strip_prefix("received ")) {
                *shown.entry(text.into()).or_default() += 1;
            }
        }
        for (side, text) in &schedule.due {
            if !shown[*side].contains_key(text) {
                return Err(format!("{text} was not shown"));
            }
        }
        match shown.iter().flatten().find(|(_, times)| **times > 1) {
            Some((text, times)) => Err(format!("{text} was shown {times} times")),
            None => Ok(schedule.due.len()),
        }
    }
}

#[test]
fn every_sealed_text_is_shown_once_whatever_fails() {
    let runs = (0..20).map(|seed| Schedule::run(seed, Faulty::Nothing));
    let sealed: usize = runs.map(|sealed| sealed.unwrap()).sum();
    // The faults leave enough to look at.
    assert!(sealed > 100, "{sealed}");
}

/// Control: the oracle finds each fault that Stored and the exchange rely on not to be there.
#[test]
fn the_oracle_finds_a_server_and_stores_that_lose_or_repeat() {
    for faulty in [Faulty::DeletesAtOnce, Faulty::ForgetsWhatItSent, Faulty::FalseSuccess] {
        let found = (0..60).find_map(|seed| Schedule::run(seed, faulty).err());
        assert!(found.is_some(), "{faulty:?}");
    }
}
