// SPDX-License-Identifier: MIT OR Apache-2.0
//! The handshakes of an exploration: Bob's prekeys, the bundles that the relay serves to Alice, and first messages.

use super::cache::{Store, ingest, restore_device};
use super::node::{Conversation, Node, ReceivedBundle, Sent, initial, recorders, text};
use super::report::Counterexample;
use super::rng::DerivedRng;
use crate::handshake_sim::{NOW, Owner};
use crate::served_bundle::{Parts, ServedBundle};
use crate::side::{PerSide, Side, Who};
use noescrow::hazmat::AcceptFromAnyone;
use noescrow::hazmat::{device_state, session_state};
use noescrow::primitives::Primitives;
use noescrow::{Bundle, InitiateOptions, Prekey};
use noescrow_recorder::Recorder;
use std::sync::Arc;

/// The result of delivering a first message, accepted or not: its text, the session, the device.
type Accepted = (Option<Vec<u8>>, Option<Vec<u8>>, Option<Vec<u8>>);

impl Node {
    pub(crate) fn publish<P: Primitives>(
        &mut self,
        device: &impl Fn(Who, Recorder) -> P,
    ) -> Result<(), Counterexample> {
        let number = self.published;
        self.published = number.saturating_add(1);
        let publication = self.with_bobs_device(device, |bob, node| {
            let publication = bob.publish(1, NOW, &mut DerivedRng::of(&[b'p', number])).ok()?;
            node.prekey_model.publish(publication.one_time_prekeys.iter().map(Prekey::id));
            Some(publication)
        })?;
        Arc::make_mut(&mut self.directory).publish(&publication);
        self.touched.directory = true;
        Ok(())
    }

    pub(crate) fn replace<P: Primitives>(
        &mut self,
        device: &impl Fn(Who, Recorder) -> P,
    ) -> Result<(), Counterexample> {
        let number = self.replaced;
        self.replaced = number.saturating_add(1);
        let prekey = self.with_bobs_device(device, |bob, node| {
            let prekey = bob.rotate(NOW, &mut DerivedRng::of(&[b'r', number]));
            bob.delete_previous_signed_prekeys();
            node.prekey_model.rotate(prekey.id());
            node.prekey_model.delete_previous();
            Some(prekey)
        })?;
        Arc::make_mut(&mut self.directory).rotate(&prekey);
        self.touched.directory = true;
        Ok(())
    }

    /// Applies an operation to Bob's device and stores the result.
    fn with_bobs_device<P: Primitives, T>(
        &mut self,
        device: &impl Fn(Who, Recorder) -> P,
        act: impl FnOnce(&mut Owner<P>, &mut Self) -> Option<T>,
    ) -> Result<T, Counterexample> {
        let failed = self.fails("cannot make Bob's prekeys");
        let (tape, recorders) = recorders().ok_or_else(|| failed.clone())?;
        let primitives = device(Who::Bob, recorders.bob);
        let mut bob = restore_device(primitives, &self.devices.bob).ok_or_else(|| failed.clone())?;
        let made = act(&mut bob, self).ok_or_else(|| failed.clone())?;
        self.devices.bob = device_state(&bob);
        self.touched.device = true;
        ingest(&mut self.ledger, &tape).map_err(|_| failed)?;
        Ok(made)
    }

    /// Returns false if the relay lacks the necessary parts.
    pub(crate) fn fetch<P: Primitives>(
        &mut self,
        served: ServedBundle,
        device: &impl Fn(Who, Recorder) -> P,
    ) -> Result<bool, Counterexample> {
        // The relay reserves its one-time prekey for planting.
        let own = Parts { one_time_prekey: None, ..(*self.own).clone() };
        let Some(bytes) = Arc::make_mut(&mut self.directory).serve(served, 0, || Some(own)) else { return Ok(false) };
        let failed = self.fails("a bundle that must be accepted was refused");
        let (tape, recorders) = recorders().ok_or_else(|| failed.clone())?;
        let alice = device(Who::Alice, recorders.alice);
        Bundle::from_bytes(&alice, &bytes).map_err(|_| failed.clone())?;
        ingest(&mut self.ledger, &tape).map_err(|_| failed)?;
        let whose = if served == ServedBundle::OtherIdentity { Who::Relay } else { Who::Bob };
        self.received = Some(Arc::new(ReceivedBundle { bytes, whose }));
        self.touched.directory = true;
        self.touched.received = true;
        Ok(true)
    }

    pub(crate) fn initiate<P: Primitives>(
        &mut self,
        device: &impl Fn(Who, Recorder) -> P,
    ) -> Result<(), Counterexample> {
        match self.received.take() {
            Some(received) => self.begin(Who::Alice, received.whose, &received.bytes, device),
            None => Ok(()),
        }
    }

    pub(crate) fn approach<P: Primitives>(
        &mut self,
        device: &impl Fn(Who, Recorder) -> P,
    ) -> Result<(), Counterexample> {
        match self.directory.bundle_for_relay() {
            Some(bundle) => self.begin(Who::Relay, Who::Bob, &bundle, device),
            None => Ok(()),
        }
    }

    fn begin<P: Primitives>(
        &mut self,
        from: Who,
        to: Who,
        bundle: &[u8],
        device: &impl Fn(Who, Recorder) -> P,
    ) -> Result<(), Counterexample> {
        let failed = self.fails("a handshake failed to begin");
        let (tape, recorders) = recorders().ok_or_else(|| failed.clone())?;
        let primitives = device(from, recorders.of(from).clone());
        let bundle = Bundle::from_bytes(&primitives, bundle).map_err(|_| failed.clone())?;
        let owner = restore_device(primitives, self.devices.of(from)).ok_or_else(|| failed.clone())?;
        let at = self.conversations.len();
        let text = text(at, Side::Alice, 0);
        let mut rng = DerivedRng::of(&[b'i', initial(from), u8::try_from(at).unwrap_or(u8::MAX)]);
        let options = InitiateOptions::unverified(NOW);
        let mut bytes = vec![0; options.first_message_len(&text).ok_or_else(|| failed.clone())?];
        let ids = (bundle.signed_prekey().id(), bundle.one_time_prekey().map(Prekey::id));
        let (session, len) =
            owner.initiate_into::<Store>(bundle, &text, options, &mut bytes, &mut rng).map_err(|_| failed.clone())?;
        bytes.truncate(len);
        let mut model = PerSide { alice: Self::party(Side::Alice), bob: Self::party(Side::Bob) };
        let label = model.alice.send().ok_or_else(|| failed.clone())?;
        self.conversations.push(Conversation {
            from,
            to,
            signed_prekey: ids.0,
            one_time_prekey: ids.1,
            sessions: PerSide { alice: Some(session_state(&session)), bob: None },
            model,
            sent_by: PerSide { alice: 1, bob: 0 },
        });
        ingest(&mut self.ledger, &tape).map_err(|_| failed)?;
        self.sealed(Sent { conversation: at, from: Side::Alice, label, text, bytes, is_first: true });
        Ok(())
    }

    /// Delivers a first message to a device; returns the text and the session, if there are any, and the device.
    pub(crate) fn accept<P: Primitives>(
        &self,
        primitives: P,
        who: Who,
        message: &[u8],
    ) -> Result<Accepted, Counterexample> {
        let failed = || self.fails("a device does not restore");
        let mut owner = restore_device(primitives, self.devices.of(who)).ok_or_else(failed)?;
        let mut buffer = message.to_vec();
        let (text, session) = match owner.accept_in_place::<Store>(&mut buffer, b"") {
            Ok((session, text)) => (Some(text.to_vec()), Some(session_state(&session))),
            Err(_) => (None, None),
        };
        Ok((text, session, Some(device_state(&owner))))
    }
}
