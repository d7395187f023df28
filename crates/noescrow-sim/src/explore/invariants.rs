// SPDX-License-Identifier: MIT OR Apache-2.0
//! What must hold at a state: the audit's result on what the relay knows, and on what a thief of a device knows.

use super::node::{Conversation, Node, Sent};
use super::report::{Counterexample, Exploration};
use crate::side::{Side, Who};
use noescrow_audit::engine::{Class, Closure, Flaw, Id, Ledger, Substrings};
use std::collections::HashSet;

/// Ratchet steps of either side within which a last-resort handshake is exposed to a thief who steals the responder's
/// device before the signed prekey is deleted (PQXDH §4.6): the key of the second step is drawn before the first answer
/// and kept until the next step.
const LAST_RESORT_CHAINS: u32 = 2;

impl Node {
    /// Checks what the relay knows at this state, and what it knows if it also steals a device's memory.
    pub(crate) fn check_invariants(&self, done: &mut Exploration) -> Result<(), Counterexample> {
        let mut ledger = self.ledger.clone();
        ledger.finish();
        let with_relay = self.conversations.iter().any(Conversation::is_with_relay);
        // In a conversation with the relay, the relay's values enter the keys.
        let is_expected = |flaw: &Flaw| with_relay && matches!(flaw, Flaw::ServerInKey { .. });
        if let Some(flaw) = ledger.flaws().iter().find(|flaw| !is_expected(flaw)) {
            return Err(self.fails(&format!("the run has a flaw: {flaw:?}")));
        }
        if ledger.messages().len() != self.sealed.len() {
            return Err(self.fails("the audit counts another number of messages"));
        }
        let values = ledger.values().count();
        let watches = ledger.clauses().watches(values);
        let closure = |stolen: &[Id]| {
            let facts = ledger.facts().iter().chain(stolen).copied();
            Closure::of(ledger.clauses(), &watches, values, facts)
        };
        let inner = Substrings::of(&ledger);
        self.check_relay(&ledger, &inner, &closure(&[]), with_relay)?;
        for who in [Who::Alice, Who::Bob] {
            done.thefts = done.thefts.saturating_add(1);
            self.check_theft(who, &ledger, &closure(&self.memory(who, &ledger, &inner)))?;
        }
        Ok(())
    }

    /// The relay knows exactly the messages of the conversations with itself, and no other secret.
    fn check_relay(
        &self,
        ledger: &Ledger,
        inner: &Substrings,
        known: &Closure,
        with_relay: bool,
    ) -> Result<(), Counterexample> {
        for (message, (sent, one)) in ledger.messages().iter().zip(self.all_sealed()) {
            match (known.knows(message.key), one.is_with_relay()) {
                (true, false) => return Err(self.fails("the relay knows the key of a message that is not its own")),
                (false, true) => return Err(self.fails("the relay does not know the key of a message of its own")),
                _ => {}
            }
            let text = ledger.find(&sent.text).is_some_and(|text| known.knows(text));
            if text != one.is_with_relay() {
                return Err(self.fails("the texts that the relay knows are not those of its own conversations"));
            }
        }
        // The secrets in each device, and in its sessions with the other device.
        let mut kept: HashSet<Id> = HashSet::new();
        for who in [Who::Alice, Who::Bob] {
            kept.extend(inner.within(ledger, self.devices.of(who)));
        }
        for one in self.conversations.iter().filter(|one| !one.is_with_relay()) {
            for state in [&one.sessions.alice, &one.sessions.bob].into_iter().flatten() {
                kept.extend(inner.within(ledger, state));
            }
        }
        let secret = ledger.values().find(|(id, value)| {
            value.class == Class::Secret && value.of_device && known.knows(*id) && (!with_relay || kept.contains(id))
        });
        match secret {
            Some((_, value)) => {
                Err(self.fails(&format!("a secret follows from what the server saw: {}", ledger.describe(value.what))))
            }
            None => Ok(()),
        }
    }

    fn all_sealed(&self) -> impl Iterator<Item = (&Sent, &Conversation)> {
        self.sealed.iter().filter_map(|sent| Some((&**sent, self.conversations.get(sent.conversation)?)))
    }

    /// The secrets in a device's memory: its own, and those of its sessions.
    fn memory(&self, who: Who, ledger: &Ledger, inner: &Substrings) -> Vec<Id> {
        let mut stolen: Vec<Id> = inner.within(ledger, self.devices.of(who)).collect();
        for one in &self.conversations {
            for side in [Side::Alice, Side::Bob] {
                if let (true, Some(state)) = (one.who(side) == who, one.sessions.of(side)) {
                    stolen.extend(inner.within(ledger, state));
                }
            }
        }
        stolen
    }

    /// No message that the device sent or received is exposed, except where the protocol says so.
    fn check_theft(&self, who: Who, ledger: &Ledger, known: &Closure) -> Result<(), Counterexample> {
        let participant = match who {
            Who::Alice => 0,
            Who::Bob => 1,
            Who::Relay => 2,
        };
        for (message, (sent, one)) in ledger.messages().iter().zip(self.all_sealed()) {
            let is_past =
                message.sender == participant || message.opened.is_some_and(|(receiver, _)| receiver == participant);
            if !is_past || one.is_with_relay() {
                continue;
            }
            let is_last_resort =
                who == Who::Bob && one.one_time_prekey.is_none() && self.prekey_model.has_signed(one.signed_prekey);
            let exposed = known.knows(message.key);
            if is_last_resort && sent.is_first && !exposed {
                return Err(
                    self.fails("the limit of last-resort handshakes is not seen: the first message is not exposed")
                );
            }
            let is_limit = is_last_resort && sent.label.chain <= LAST_RESORT_CHAINS;
            if exposed && !is_limit {
                return Err(self.fails(&format!("{who:?}'s memory exposes a past message")));
            }
        }
        Ok(())
    }
}
