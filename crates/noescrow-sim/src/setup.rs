// SPDX-License-Identifier: MIT OR Apache-2.0
//! The beginning of a [`Simulation`]: two devices, a bundle as bytes, and first messages of which any may arrive first.

use super::endpoint::storage_key;
use super::event::{Opening, pick};
use super::handshake_sim::{HandshakeSim, NOW};
use super::model::{Expectation, Label, ModelLimits, Party};
use super::side::{PerSide, Side};
use super::simulation::{Sent, Simulation, associated_data};
use super::violation::{Claim, Violation};
use noescrow::Bundle;
use noescrow::FIRST_MESSAGE_OVERHEAD;
use noescrow::error::AcceptError;
use noescrow::hazmat::AcceptFromAnyone;
use noescrow::primitives::Primitives;
use noescrow::session::Session;
use noescrow::skipped::SkippedKeyStore;
use noescrow::{InitiateOptions, Payload};
use rand_core::CryptoRng;

/// Length of the plaintexts of first messages.
const FIRST_LENGTH: usize = 40;

impl<P: Primitives, S: SkippedKeyStore, R: CryptoRng> Simulation<Session<P, S>, R> {
    /// Two devices and two sessions between them: the conversation, and another one. The relay computes with primitives
    /// of its own.
    ///
    /// # Errors
    /// [`Violation`] of a claim about handshakes.
    pub fn new(alice: P, bob: P, relay: P, opening: Opening, mut rng: R) -> Result<Self, Violation> {
        let mut sim = HandshakeSim::new(alice, bob, relay, &mut rng);
        let main = sim.set_up::<S>(opening, &mut rng)?;
        let other = sim.set_up::<S>(Opening { burst: 0, ..opening }, &mut rng)?;
        Ok(Self::from_setup(main.ends, main.model, other.ends, sim, opening.chunk_size, (main.bundle, main.sent), rng))
    }
}

struct Setup<P, S> {
    bundle: Vec<u8>,
    ends: PerSide<Session<P, S>>,
    model: PerSide<Party>,
    sent: Vec<Sent>,
}

impl<P: Primitives> HandshakeSim<P> {
    fn set_up<S: SkippedKeyStore>(
        &mut self,
        opening: Opening,
        rng: &mut impl CryptoRng,
    ) -> Result<Setup<P, S>, Violation> {
        let failed = violation(Claim::HandshakeSucceeds);
        let mut published = self.devices.bob.publish(usize::from(opening.one_time), NOW, rng).map_err(|_| failed)?;
        let bundle = Bundle::new(published.identity, published.signed_prekey, published.one_time_prekeys.pop())
            .map_err(|_| failed)?
            .to_bytes();
        let parsed = Bundle::from_bytes(&self.primitives.alice, &bundle).map_err(|_| failed)?;

        let limits = ModelLimits::of::<S>();
        let mut model = PerSide { alice: Party::initiator(limits), bob: Party::responder(limits) };
        let mut first = Sent::draft(Side::Alice, model.alice.send().ok_or(failed)?, FIRST_LENGTH, 1, rng);
        let options = InitiateOptions::unverified(NOW).chunk_size(opening.chunk_size);
        first.bytes = std::vec![0; options.first_message_len(&first.plaintext).ok_or(failed)?];
        let ad = associated_data(first.associated_data);
        let initiated = self.devices.alice.initiate_into(
            parsed,
            Payload { plaintext: &first.plaintext, associated_data: ad, ..Payload::default() },
            options,
            &mut first.bytes,
            rng,
        );
        let (mut alice, _) = initiated.map_err(|_| failed)?;

        let mut sent = std::vec![first];
        for _ in 0..opening.burst & 15 {
            let mut next = Sent::draft(Side::Alice, model.alice.send().ok_or(failed)?, FIRST_LENGTH, 2, rng);
            next.bytes = alice
                .encrypt(
                    Payload {
                        plaintext: &next.plaintext,
                        associated_data: associated_data(next.associated_data),
                        ..Payload::default()
                    },
                    rng,
                )
                .map_err(|_| violation(Claim::Sends))?;
            sent.push(next);
        }
        let bob = self.accept_any(&mut sent, opening.accepted, &mut model.bob)?;
        self.note_opening(opening.one_time);
        Ok(Setup { bundle, ends: PerSide { alice, bob }, model, sent })
    }

    /// The chosen message arrives first: forged, then unchanged, then again.
    fn accept_any<S: SkippedKeyStore>(
        &mut self,
        sent: &mut [Sent],
        accepted: u16,
        model: &mut Party,
    ) -> Result<Session<P, S>, Violation> {
        let failed = violation(Claim::HandshakeSucceeds);
        let chosen = pick(accepted, sent.len()).and_then(|at| sent.get(at)).ok_or(failed)?;
        for at in [0, FIRST_MESSAGE_OVERHEAD / 2, FIRST_MESSAGE_OVERHEAD] {
            let mut forged = chosen.bytes.clone();
            if let Some(byte) = forged.get_mut(at) {
                *byte ^= 2;
            }
            self.refuse::<S>(&forged, chosen, |error| error == AcceptError::Refused, Claim::ForgedFirstIsRefused)?;
        }
        // At most 15 messages are skipped, which every store allows.
        if model.expectation(&chosen.label) != Expectation::Opens {
            return Err(failed);
        }
        let at = pick(accepted, sent.len()).ok_or(failed)?;
        let arrived = sent.get_mut(at).ok_or(failed)?;
        let mut buffer = arrived.bytes.clone();
        let ad = associated_data(arrived.associated_data);
        let (session, plaintext) =
            self.devices.bob.accept_in_place(&mut buffer, ad).map_err(|_| violation(Claim::MustOpen))?;
        if plaintext != arrived.plaintext {
            return Err(violation(Claim::OpensToWhatWasSent));
        }
        arrived.opened = true;
        let label: Label = arrived.label;
        model.receive(&label);

        for copy in sent.iter() {
            let known = |error| matches!(error, AcceptError::PrekeyGone | AcceptError::Repeated);
            self.refuse::<S>(&copy.bytes, copy, known, Claim::AcceptedOnce)?;
        }
        Ok(session)
    }

    fn refuse<S: SkippedKeyStore>(
        &mut self,
        message: &[u8],
        original: &Sent,
        expected: impl Fn(AcceptError) -> bool,
        claim: Claim,
    ) -> Result<(), Violation> {
        let before = self.devices.bob.snapshot(&storage_key(), 0);
        let ad = associated_data(original.associated_data);
        match self.devices.bob.accept_in_place::<S>(&mut message.to_vec(), ad) {
            Err(error) if expected(error) => {}
            _ => return Err(violation(claim)),
        }
        match before == self.devices.bob.snapshot(&storage_key(), 0) {
            true => Ok(()),
            false => Err(violation(Claim::DeviceUnchanged)),
        }
    }
}

const fn violation(claim: Claim) -> Violation {
    Violation { event: None, claim }
}
