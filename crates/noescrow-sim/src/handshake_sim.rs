// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`HandshakeSim`]: two devices with a hostile relay between them, and every handshake that either begins.
//!
//! Each device has a [`PrekeyModel`], which follows the specification: which prekeys exist, which last-resort
//! handshakes the device has seen. The reference model therefore predicts whether a device must accept what arrives.
//! The relay computes with primitives of its own; if those are a recorder, the tape has everything that the relay
//! derives from what it knows.

mod conversation;

use super::endpoint::{Endpoint, storage_key};
use super::event::{Event, pick};
use super::prekey_model::{PREVIOUS, PrekeyModel, REPLAY};
use super::served_bundle::{ServedBundle, ServedDirectory, with_low_order_ephemeral};
use super::side::{PerSide, Side, Who};
use super::violation::Claim;
use conversation::{Conversation, converse, own_parts, text};
use noescrow::Bundle;
use noescrow::device::Device;
use noescrow::device::policy::LIFETIME;
use noescrow::error::{AcceptError, InitiateError};
use noescrow::hazmat::{AcceptFromAnyone, duplicate_bundle};
use noescrow::primitives::Primitives;
use noescrow::session::Session;
use noescrow::{Capacity, InitiateFailed, InitiateOptions, UnixSeconds};
use rand_core::CryptoRng;
use std::collections::BTreeSet;

/// One-time prekeys that a device holds.
const ONE_TIME: usize = 2;
/// Conversations in one simulation; after these, no further one begins.
pub const MAX_CONVERSATIONS: usize = 8;

/// A device in the simulation.
pub(crate) type Owner<P> = Device<P, Capacity<ONE_TIME, REPLAY, PREVIOUS>>;
/// The relay's own device, which can take part in every conversation.
type RelayDevice<P> = Device<P, Capacity<MAX_CONVERSATIONS, MAX_CONVERSATIONS>>;

pub(crate) const NOW: UnixSeconds = UnixSeconds(1);
/// A time at which every signed prekey has expired.
pub(crate) const TOO_LATE: UnixSeconds = UnixSeconds(NOW.0 + LIFETIME.as_secs() + 1);

/// How a device responds to what it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was given nothing.
    IsNotAsked,
    /// It takes it.
    Accepts,
    /// It refuses it.
    Refuses,
}

impl Answer {
    const fn of(accepted: bool) -> Self {
        if accepted { Self::Accepts } else { Self::Refuses }
    }
}

/// What happened at an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The answer that the specification requires.
    pub expected: Answer,
    /// The device's answer.
    pub actual: Answer,
    /// The claim that fails if the two differ.
    pub claim: Claim,
}

/// The ids of a bundle's prekeys.
#[derive(Clone, Copy)]
struct Ids {
    signed_prekey: u32,
    one_time_prekey: Option<u32>,
}

impl Ids {
    fn of(bundle: &Bundle) -> Self {
        Self {
            signed_prekey: bundle.signed_prekey().id(),
            one_time_prekey: bundle.one_time_prekey().map(noescrow::Prekey::id),
        }
    }
}

/// A bundle that a device has accepted.
#[derive(Debug)]
struct ReceivedBundle {
    bundle: Bundle,
    /// The owner of its identity.
    whose: Who,
    /// Whether all parts belong to one party.
    is_genuine: bool,
}

impl ReceivedBundle {
    fn duplicate(&self) -> Self {
        Self { bundle: duplicate_bundle(&self.bundle), ..*self }
    }
}

/// Two devices, a relay, and their handshakes.
#[derive(Debug)]
pub struct HandshakeSim<P> {
    pub(crate) primitives: PerSide<P>,
    pub(crate) devices: PerSide<Owner<P>>,
    relay_primitives: P,
    relay: Option<RelayDevice<P>>,
    directories: PerSide<ServedDirectory>,
    prekey_models: PerSide<PrekeyModel>,
    received: PerSide<Option<ReceivedBundle>>,
    conversations: Vec<Conversation<P>>,
    traffic: Vec<u8>,
    relay_plaintexts: BTreeSet<Vec<u8>>,
}

impl<P: Primitives> HandshakeSim<P> {
    pub(crate) fn new(alice: P, bob: P, relay: P, rng: &mut impl CryptoRng) -> Self {
        let primitives = PerSide { alice: alice.clone(), bob: bob.clone() };
        let (alice, bob) = (Owner::generate_with(alice, NOW, rng), Owner::generate_with(bob, NOW, rng));
        let models = [&alice, &bob].map(|device| PrekeyModel::new(device.signed_prekey().id()));
        let [alice_model, bob_model] = models;
        Self {
            primitives,
            devices: PerSide { alice, bob },
            relay_primitives: relay,
            relay: None,
            directories: PerSide::default(),
            prekey_models: PerSide { alice: alice_model, bob: bob_model },
            received: PerSide::default(),
            conversations: Vec::new(),
            traffic: Vec::new(),
            relay_plaintexts: BTreeSet::new(),
        }
    }

    /// Records that Bob accepted the opening handshake on his first signed prekey.
    pub(crate) fn note_opening(&mut self, one_time: bool) {
        if !one_time {
            let signed_prekey = self.devices.bob.signed_prekey().id();
            self.prekey_models.bob.accept(signed_prekey, None);
        }
    }

    pub(crate) fn fork(&self) -> Option<Self> {
        let device = |side: Side| {
            let device = self.devices.of(side);
            let (mut bytes, primitives) = (device.snapshot(&storage_key(), 0), self.primitives.of(side).clone());
            Owner::restore_in_place(primitives, &mut bytes, &storage_key(), &device.subject(), 0).ok()
        };
        let relay = match &self.relay {
            Some(relay) => {
                let mut bytes = relay.snapshot(&storage_key(), 0);
                let primitives = self.relay_primitives.clone();
                Some(RelayDevice::restore_in_place(primitives, &mut bytes, &storage_key(), &relay.subject(), 0).ok()?)
            }
            None => None,
        };
        let copy = |session: &Session<P>| session.reload(&session.save(0), 0).ok();
        let conversations = self.conversations.iter().map(|one| {
            Some(Conversation {
                begun: copy(&one.begun)?,
                accepted: match &one.accepted {
                    Some(session) => Some(copy(session)?),
                    None => None,
                },
                first_message: one.first_message.clone(),
                text: one.text.clone(),
                ..*one
            })
        });
        Some(Self {
            primitives: self.primitives.clone(),
            devices: PerSide { alice: device(Side::Alice)?, bob: device(Side::Bob)? },
            relay_primitives: self.relay_primitives.clone(),
            relay,
            directories: self.directories.clone(),
            prekey_models: self.prekey_models.clone(),
            received: PerSide {
                alice: self.received.alice.as_ref().map(ReceivedBundle::duplicate),
                bob: self.received.bob.as_ref().map(ReceivedBundle::duplicate),
            },
            conversations: conversations.collect::<Option<_>>()?,
            traffic: self.traffic.clone(),
            relay_plaintexts: self.relay_plaintexts.clone(),
        })
    }

    /// All bytes of these handshakes that the relay has seen.
    #[must_use]
    pub fn traffic(&self) -> &[u8] {
        &self.traffic
    }

    /// The plaintexts that devices sent to the relay's own identity, which the relay therefore knows.
    #[must_use]
    pub const fn relay_plaintexts(&self) -> &BTreeSet<Vec<u8>> {
        &self.relay_plaintexts
    }

    /// The session of a device's newest conversation; `None` if nobody has accepted it.
    #[must_use]
    pub fn session_of(&self, side: Side) -> Option<&Session<P>> {
        let who = Who::from(side);
        let newest = self.conversations.iter().rev().find(|one| [one.from, one.to].contains(&who))?;
        let accepted = newest.accepted.as_ref()?;
        Some(if newest.from == who { &newest.begun } else { accepted })
    }

    /// What a device stores, and a thief of the device gets.
    #[must_use]
    pub fn device(&self, side: Side) -> Vec<u8> {
        self.devices.of(side).snapshot(&storage_key(), 0)
    }

    /// Applies a handshake event; any other event does nothing. The caller must compare what the device did with what
    /// it must do.
    ///
    /// # Errors
    /// The [`Claim`] that failed, if it is any other.
    pub fn apply(&mut self, event: Event, rng: &mut impl CryptoRng) -> Result<Outcome, Claim> {
        let nothing =
            Outcome { expected: Answer::IsNotAsked, actual: Answer::IsNotAsked, claim: Claim::HandshakeSucceeds };
        let outcome = match event {
            Event::Publish { side, count } => {
                self.publish(side, count, rng)?;
                None
            }
            Event::Rotate { side } => {
                self.rotate(side, rng)?;
                None
            }
            Event::DeletePrevious { side } => {
                self.devices.of_mut(side).delete_previous_signed_prekeys();
                self.prekey_models.of_mut(side).delete_previous();
                None
            }
            Event::Fetch { by, served, point } => self.fetch(by, served, point, rng),
            Event::Initiate { from, too_late } => self.initiate(from, too_late, rng)?,
            Event::Arrive { to, message, low_order } => self.arrive(to, message, low_order, rng)?,
            Event::Mix { to, message, into } => self.mix(to, message, into, rng)?,
            _ => None,
        };
        Ok(outcome.unwrap_or(nothing))
    }

    fn publish(&mut self, side: Side, count: u8, rng: &mut impl CryptoRng) -> Result<(), Claim> {
        let device = self.devices.of_mut(side);
        let count = usize::from(count).min(ONE_TIME.saturating_sub(device.one_time_prekeys_left()));
        let publication = device.publish(count, NOW, rng).map_err(|_| Claim::HandshakeSucceeds)?;
        let ids = publication.one_time_prekeys.iter().map(noescrow::Prekey::id);
        self.prekey_models.of_mut(side).publish(ids);
        self.traffic.extend(publication.identity.to_bytes());
        self.traffic.extend(publication.signed_prekey.to_bytes());
        publication.one_time_prekeys.iter().for_each(|prekey| self.traffic.extend(prekey.to_bytes()));
        self.directories.of_mut(side).publish(&publication);
        Ok(())
    }

    fn rotate(&mut self, side: Side, rng: &mut impl CryptoRng) -> Result<(), Claim> {
        let prekey = self.devices.of_mut(side).rotate(NOW, rng);
        self.prekey_models.of_mut(side).rotate(prekey.id());
        self.traffic.extend(prekey.to_bytes());
        let directory = self.directories.of_mut(side);
        if directory.is_published() {
            directory.rotate(&prekey);
        }
        Ok(())
    }

    /// `by` requests the other device's bundle and gets what the relay serves.
    fn fetch(&mut self, by: Side, served: ServedBundle, point: u8, rng: &mut impl CryptoRng) -> Option<Outcome> {
        let (relay, primitives) = (&mut self.relay, &self.relay_primitives);
        let own = || {
            let device = relay.get_or_insert_with(|| RelayDevice::generate_with(primitives.clone(), NOW, rng));
            own_parts(device, rng)
        };
        let bytes = self.directories.of_mut(by.other()).serve(served, point, own)?;
        self.traffic.extend(&bytes);
        let taken = Bundle::from_bytes(self.primitives.of(by), &bytes).ok();
        let actual = Answer::of(taken.is_some());
        if let Some(bundle) = taken {
            let is_relays = matches!(served, ServedBundle::OtherIdentity | ServedBundle::ClaimedPrekeys);
            let whose = if is_relays { Who::Relay } else { by.other().into() };
            *self.received.of_mut(by) = Some(ReceivedBundle { bundle, whose, is_genuine: served.is_sound() });
        }
        Some(Outcome { expected: Answer::of(served.is_sound()), actual, claim: Claim::TakesSoundBundlesOnly })
    }

    /// `from` begins a session with the owner of the bundle that it has received.
    fn initiate(&mut self, from: Side, too_late: bool, rng: &mut impl CryptoRng) -> Result<Option<Outcome>, Claim> {
        if self.conversations.len() >= MAX_CONVERSATIONS {
            return Ok(None);
        }
        let Some(ReceivedBundle { bundle, whose, is_genuine }) = self.received.of_mut(from).take() else {
            return Ok(None);
        };
        let text = text(rng);
        let now = if too_late { TOO_LATE } else { NOW };
        let expected = Answer::of(!too_late);
        let outcome = |actual| Some(Outcome { expected, actual, claim: Claim::InitiatesInTime });
        let ids = Ids::of(&bundle);
        let options = InitiateOptions::unverified(now);
        let (begun, first_message) = match self.devices.of(from).initiate(bundle, &text, options, rng) {
            Ok(begun) => begun,
            Err(InitiateFailed { error, bundle }) => {
                *self.received.of_mut(from) = Some(ReceivedBundle { bundle, whose, is_genuine });
                return match error {
                    InitiateError::Expired { .. } if too_late => Ok(outcome(Answer::Refuses)),
                    _ if too_late => Err(Claim::TheRightError),
                    _ => Ok(outcome(Answer::Refuses)),
                };
            }
        };
        // A message sealed to the relay's identity goes to the relay; one sealed to nobody's, to the intended
        // recipient.
        let to = if is_genuine { whose } else { from.other().into() };
        self.begin(from.into(), to, is_genuine, ids, (begun, first_message, text.clone()));
        if to == Who::Relay {
            self.read_and_pass_on(from, text, rng)?;
        }
        Ok(outcome(Answer::Accepts))
    }

    fn begin(
        &mut self,
        from: Who,
        to: Who,
        is_genuine: bool,
        ids: Ids,
        (begun, first_message, text): (Session<P>, Vec<u8>, Vec<u8>),
    ) {
        self.traffic.extend(&first_message);
        if to == Who::Relay {
            self.relay_plaintexts.insert(text.clone());
        }
        self.conversations.push(Conversation {
            from,
            to,
            is_genuine,
            first_message,
            text,
            signed_prekey: ids.signed_prekey,
            one_time_prekey: ids.one_time_prekey,
            begun,
            accepted: None,
        });
    }

    /// The relay opens what was sealed to its own identity, answers it, and sends the same text to the other device
    /// under that identity.
    fn read_and_pass_on(&mut self, from: Side, text: Vec<u8>, rng: &mut impl CryptoRng) -> Result<(), Claim> {
        let (Some(relay), Some(conversation)) = (&mut self.relay, self.conversations.last_mut()) else { return Ok(()) };
        let accepted = relay.accept(&conversation.first_message);
        let (session, read) = accepted.map_err(|_| Claim::HandshakeSucceeds)?;
        if read != text {
            return Err(Claim::OpensToWhatWasSent);
        }
        conversation.accepted = Some(session);
        let ([said, _], bytes) = converse(conversation, rng)?;
        self.traffic.extend(bytes);
        self.relay_plaintexts.insert(said);
        let to = from.other();
        let Some(bundle) = self.directories.of(to).bundle_for_relay() else { return Ok(()) };
        let bundle = Bundle::from_bytes(&self.relay_primitives, &bundle).map_err(|_| Claim::HandshakeSucceeds)?;
        let Some(relay) = &self.relay else { return Ok(()) };
        let (ids, options) = (Ids::of(&bundle), InitiateOptions::unverified(NOW));
        let (begun, first_message) =
            relay.initiate(bundle, &text, options, rng).map_err(|_| Claim::HandshakeSucceeds)?;
        self.begin(Who::Relay, to.into(), true, ids, (begun, first_message, text));
        Ok(())
    }

    /// Delivers a first message, for the first time or again, unchanged or with an ephemeral key of low order.
    fn arrive(
        &mut self,
        to: Side,
        message: u16,
        low_order: Option<u8>,
        rng: &mut impl CryptoRng,
    ) -> Result<Option<Outcome>, Claim> {
        let all: Vec<usize> =
            (0..).zip(&self.conversations).filter(|(_, one)| one.to == to.into()).map(|(at, _)| at).collect();
        let Some(conversation) =
            pick(message, all.len()).and_then(|at| all.get(at)).and_then(|at| self.conversations.get_mut(*at))
        else {
            return Ok(None);
        };
        let again = conversation.accepted.is_some();
        let (bytes, expected) = match low_order {
            None if conversation.is_genuine => {
                let prekey_model = self.prekey_models.of(to);
                let expected = prekey_model.expected(conversation.signed_prekey, conversation.one_time_prekey, again);
                (Some(conversation.first_message.clone()), expected)
            }
            None => (Some(conversation.first_message.clone()), Err(AcceptError::Refused)),
            Some(point) => (with_low_order_ephemeral(&conversation.first_message, point), Err(AcceptError::Refused)),
        };
        let Some(bytes) = bytes else { return Ok(None) };
        let claim = if again { Claim::AcceptedOnce } else { Claim::ForgedFirstIsRefused };
        let claim = if expected.is_ok() { Claim::HandshakeSucceeds } else { claim };
        let device = self.devices.of_mut(to);
        let before = device.snapshot(&storage_key(), 0);
        let actual = match device.accept(&bytes) {
            Ok((session, read)) => {
                if expected.is_ok() {
                    if read != conversation.text {
                        return Err(Claim::OpensToWhatWasSent);
                    }
                    conversation.accepted = Some(session);
                    self.prekey_models.of_mut(to).accept(conversation.signed_prekey, conversation.one_time_prekey);
                    let ([_, answered], bytes) = converse(conversation, rng)?;
                    if conversation.from == Who::Relay {
                        self.relay_plaintexts.insert(answered);
                    }
                    self.traffic.extend(bytes);
                }
                Answer::Accepts
            }
            Err(error) => {
                // A message sealed to nobody's keys must be refused, with any error.
                if conversation.is_genuine && expected.is_err_and(|expected| expected != error) {
                    return Err(Claim::TheRightError);
                }
                if device.snapshot(&storage_key(), 0) != before {
                    return Err(Claim::DeviceUnchanged);
                }
                Answer::Refuses
            }
        };
        Ok(Some(Outcome { expected: Answer::of(expected.is_ok()), actual, claim }))
    }

    /// Delivers a message of one conversation in another one of the same device, and then where it belongs.
    fn mix(&mut self, to: Side, message: u16, into: u16, rng: &mut impl CryptoRng) -> Result<Option<Outcome>, Claim> {
        let complete: Vec<usize> = (0..)
            .zip(&self.conversations)
            .filter(|(_, one)| one.accepted.is_some() && [one.from, one.to].contains(&to.into()))
            .map(|(at, _)| at)
            .collect();
        let chosen = |number| pick(number, complete.len()).and_then(|at| complete.get(at)).copied();
        let (Some(one), Some(other)) = (chosen(message), chosen(into)) else { return Ok(None) };
        if one == other {
            return Ok(None);
        }
        let (text, who) = (text(rng), Who::from(to));
        let Some(conversation) = self.conversations.get_mut(one) else { return Ok(None) };
        let Some((_, sender)) = conversation.ends_of(who) else { return Ok(None) };
        let message = sender.encrypt(&text, rng).map_err(|_| Claim::Sends)?;
        self.traffic.extend(&message);
        let Some((receiver, _)) = self.conversations.get_mut(other).and_then(|other| other.ends_of(who)) else {
            return Ok(None);
        };
        let before = receiver.save(0);
        let actual = Answer::of(receiver.decrypt(&message).is_ok());
        if actual == Answer::Refuses && receiver.save(0) != before {
            return Err(Claim::ErrorLeavesState);
        }
        let Some((receiver, _)) = self.conversations.get_mut(one).and_then(|one| one.ends_of(who)) else {
            return Ok(None);
        };
        match receiver.decrypt(&message) {
            Ok(read) if read.plaintext == text => {
                Ok(Some(Outcome { expected: Answer::Refuses, actual, claim: Claim::MustNotOpen }))
            }
            _ => Err(Claim::OtherSessionContinues),
        }
    }
}

#[cfg(test)]
mod tests;
