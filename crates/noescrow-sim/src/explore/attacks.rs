// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a hostile relay tries at a state and must not achieve. Devices refuse all of it and stay unchanged, so that it
//! leads to no other state. Attempts that the last event cannot affect were already made at an earlier state.

use super::cache::{Store, is_new, restore, restore_device};
use super::moves::bundle_name;
use super::node::{Node, Sent, recorders};
use super::report::{Counterexample, Exploration};
use super::rng::DerivedRng;
use crate::handshake_sim::TOO_LATE;
use crate::served_bundle::{ServedBundle, with_low_order_ephemeral};
use crate::side::{PerParty, Side, Who};
use noescrow::Bundle;
use noescrow::InitiateOptions;
use noescrow::error::InitiateError;
use noescrow::hazmat::AcceptFromAnyone;
use noescrow::hazmat::{device_state, session_state};
use noescrow::primitives::Primitives;
use noescrow::{FIRST_MESSAGE_OVERHEAD, MESSAGE_OVERHEAD};
use noescrow_recorder::Recorder;
use std::sync::Arc;

fn flipped(sent: &Sent, at: usize) -> Vec<u8> {
    let mut bytes = sent.bytes.clone();
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1;
    }
    bytes
}

/// A message with another first byte of its text. A change of the padding would be refused even without the tag.
fn with_forged_body(sent: &Sent) -> Vec<u8> {
    flipped(sent, if sent.is_first { FIRST_MESSAGE_OVERHEAD } else { MESSAGE_OVERHEAD })
}

impl Node {
    pub(crate) fn attack<P: Primitives>(
        &self,
        device: &impl Fn(Who, Recorder) -> P,
        done: &mut Exploration,
    ) -> Result<(), Counterexample> {
        let (_, recorders) = recorders().ok_or_else(|| self.fails("cannot make a tape"))?;
        if self.touched.directory {
            self.attack_bundles(&device(Who::Alice, recorders.alice.clone()), done)?;
        }
        if self.touched.received {
            self.attack_delay(device(Who::Alice, recorders.alice.clone()), done)?;
        }
        if self.touched.device {
            self.attack_first_messages(device(Who::Bob, recorders.bob.clone()), done)?;
        }
        match self.touched.conversation {
            Some(at) => self.attack_messages(at, &recorders, device, done),
            None => Ok(()),
        }
    }

    /// Every bundle that Alice must refuse.
    fn attack_bundles<P: Primitives>(&self, alice: &P, done: &mut Exploration) -> Result<(), Counterexample> {
        for served in ServedBundle::ALL.into_iter().filter(|served| !served.is_sound()) {
            let own = || Some((*self.own).clone());
            let Some(bytes) = (*self.directory).clone().serve(served, self.published, own) else { continue };
            if !is_new([&b"bundle"[..], &bytes]) {
                continue;
            }
            if Bundle::from_bytes(alice, &bytes).is_ok() {
                return Err(
                    self.fails(&format!("a bundle that must be refused was accepted ({})", bundle_name(served)))
                );
            }
            done.refuse(bundle_name(served));
        }
        Ok(())
    }

    /// Alice uses a bundle only after it has expired.
    fn attack_delay<P: Primitives>(&self, alice: P, done: &mut Exploration) -> Result<(), Counterexample> {
        let Some(received) = self.received.as_ref().filter(|received| is_new([&b"late"[..], &received.bytes])) else {
            return Ok(());
        };
        let failed = || self.fails("an accepted bundle does not parse");
        let bundle = Bundle::from_bytes(&alice, &received.bytes).map_err(|_| failed())?;
        let owner = restore_device(alice, &self.devices.alice).ok_or_else(failed)?;
        let mut rng = DerivedRng::of(b"late");
        let begun = owner.initiate(bundle, b"late", InitiateOptions::unverified(TOO_LATE), &mut rng);
        match begun.map_err(InitiateError::from) {
            Err(InitiateError::Expired { .. }) => {
                done.refuse("bundle: expired");
                Ok(())
            }
            _ => Err(self.fails("a session was begun with an expired prekey")),
        }
    }

    /// First messages at Bob's device: replayed, with an ephemeral key of low order, forged.
    fn attack_first_messages<P: Primitives>(&self, bob: P, done: &mut Exploration) -> Result<(), Counterexample> {
        let to_bob = |sent: &&Arc<Sent>| {
            sent.is_first && self.conversations.get(sent.conversation).is_some_and(|one| one.to == Who::Bob)
        };
        let mut attacks: Vec<(&'static str, Vec<u8>)> = Vec::new();
        for sent in self.sealed.iter().filter(to_bob) {
            let is_accepted = self.conversations.get(sent.conversation).is_some_and(|one| one.sessions.bob.is_some());
            if is_accepted {
                attacks.push(("first message replayed", sent.bytes.clone()));
            } else {
                attacks.extend(
                    with_low_order_ephemeral(&sent.bytes, self.published)
                        .map(|bytes| ("first message: ephemeral key of low order", bytes)),
                );
                attacks.push(("first message forged", with_forged_body(sent)));
            }
        }
        attacks.retain(|(kind, bytes)| is_new([kind.as_bytes(), &self.devices.bob, bytes]));
        if attacks.is_empty() {
            return Ok(());
        }
        let mut owner =
            restore_device(bob, &self.devices.bob).ok_or_else(|| self.fails("a device does not restore"))?;
        for (kind, mut bytes) in attacks {
            if owner.accept_in_place::<Store>(&mut bytes, b"").is_ok() {
                return Err(self.fails(&format!("a first message that must be refused was accepted ({kind})")));
            }
            done.refuse(kind);
        }
        match device_state(&owner) == self.devices.bob {
            true => Ok(()),
            false => Err(self.fails("a refused first message changed the device")),
        }
    }

    /// Messages at the two sessions of a conversation: forged, reflected, replayed, and from other conversations.
    fn attack_messages<P: Primitives>(
        &self,
        at: usize,
        recorders: &PerParty<Recorder>,
        device: &impl Fn(Who, Recorder) -> P,
        done: &mut Exploration,
    ) -> Result<(), Counterexample> {
        let Some(one) = self.conversations.get(at) else { return Ok(()) };
        let mut attacks: Vec<(Side, &'static str, Vec<u8>)> = Vec::new();
        if let Some(sent) = self.in_transit.iter().rfind(|sent| sent.conversation == at) {
            let to = sent.from.other();
            attacks.push((to, "header forged", flipped(sent, MESSAGE_OVERHEAD / 2)));
            attacks.push((to, "body forged", with_forged_body(sent)));
            attacks.push((sent.from, "message reflected", sent.bytes.clone()));
        }
        let opened = self.opened.iter().filter(|sent| sent.conversation == at);
        attacks.extend(opened.map(|sent| (sent.from.other(), "message replayed", sent.bytes.clone())));
        for (other, another) in self.conversations.iter().enumerate().filter(|(other, _)| *other != at) {
            for side in [Side::Alice, Side::Bob] {
                let to_same =
                    |sent: &&Arc<Sent>| sent.conversation == other && another.who(sent.from.other()) == one.who(side);
                let newest = self.sealed.iter().rfind(to_same);
                attacks.extend(newest.map(|sent| (side, "message of another conversation", sent.bytes.clone())));
            }
        }
        for side in [Side::Alice, Side::Bob] {
            let (Some(state), who) = (one.sessions.of(side), one.who(side)) else { continue };
            let new: Vec<_> = attacks
                .iter()
                .filter(|(to, kind, bytes)| *to == side && is_new([kind.as_bytes(), state, bytes]))
                .collect();
            if new.is_empty() {
                continue;
            }
            let primitives = device(who, recorders.of(who).clone());
            let mut session = restore(primitives, state).ok_or_else(|| self.fails("a session does not restore"))?;
            for (_, kind, bytes) in new {
                if session.decrypt(bytes).is_ok() {
                    return Err(self.fails(&format!("a message that must be refused opened ({kind})")));
                }
                done.refuse(kind);
            }
            if session_state(&session) != *state {
                return Err(self.fails("a refused message changed the session"));
            }
        }
        Ok(())
    }
}
