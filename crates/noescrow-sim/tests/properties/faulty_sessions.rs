// SPDX-License-Identifier: MIT OR Apache-2.0
//! Faulty sessions: each breaks one rule, to show that each check of the event language can fail.

use noescrow::error::{DecryptError, EncryptError, RestoreError};
use noescrow::{FIRST_MESSAGE_OVERHEAD, MESSAGE_OVERHEAD, Payload, Sealed, is_first_message};
use noescrow_sim::Endpoint;
use rand_chacha::rand_core::CryptoRng;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// None: the control of the controls.
    None,
    AcceptsReplays,
    /// A counter of errors is part of the state.
    ChangesStateOnError,
    /// The first forgery with a message's header destroys the key of that message.
    LosesKeysToForgeries,
    RefusesAllAfterError,
    DistinguishesErrors,
    IgnoresAssociatedData,
    AcceptsReflections,
    ChecksNoTag,
    LosesSkippedKeysOnRestore,
    RestoresOlderGenerations,
    RestoresDamaged,
    RestoresToAnotherState,
    KeepsUsedKeys,
    SendsAnotherType,
    ExhaustsChain,
    GarblesPlaintexts,
}

pub struct FaultySession<E> {
    inner: E,
    fault: Fault,
    opened: Vec<(Vec<u8>, Vec<u8>)>,
    own: Vec<(Vec<u8>, Vec<u8>)>,
    destroyed: Vec<Vec<u8>>,
    errors: u8,
    restored: bool,
    first_state: Vec<u8>,
}

impl<E: Endpoint> FaultySession<E> {
    pub fn new(inner: E, fault: Fault) -> Self {
        let first_state = inner.save(0);
        Self { inner, fault, opened: vec![], own: vec![], destroyed: vec![], errors: 0, restored: false, first_state }
    }
}

fn head(message: &[u8]) -> &[u8] {
    let len = if is_first_message(message) == Ok(true) { FIRST_MESSAGE_OVERHEAD } else { MESSAGE_OVERHEAD } - 16;
    &message[..len.min(message.len())]
}

fn find(known: &[(Vec<u8>, Vec<u8>)], matches: impl Fn(&[u8]) -> bool) -> Option<&Vec<u8>> {
    known.iter().find(|(message, _)| matches(message)).map(|(_, plaintext)| plaintext)
}

impl<E: Endpoint> Endpoint for FaultySession<E> {
    type Primitives = E::Primitives;

    fn encrypt<'p>(
        &mut self,
        payload: impl Into<Payload<'p>>,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, EncryptError> {
        let payload = payload.into();
        if self.fault == Fault::ExhaustsChain && self.own.len() == 3 {
            return Err(EncryptError::ChainExhausted);
        }
        let mut message = self.inner.encrypt(payload, rng)?;
        if self.fault == Fault::SendsAnotherType {
            message[0] ^= 3;
        }
        self.own.push((message.clone(), payload.plaintext.to_vec()));
        Ok(message)
    }

    fn decrypt<'m>(&mut self, sealed: impl Into<Sealed<'m>>) -> Result<Vec<u8>, DecryptError> {
        let Sealed { message, associated_data } = sealed.into();
        let known = match self.fault {
            Fault::AcceptsReplays => find(&self.opened, |old| old == message),
            Fault::ChecksNoTag => find(&self.opened, |old| old != message && head(old) == head(message)),
            Fault::AcceptsReflections => find(&self.own, |own| own == message),
            _ => None,
        };
        if let Some(plaintext) = known {
            return Ok(plaintext.clone());
        }
        let destroyed =
            self.fault == Fault::LosesKeysToForgeries && self.destroyed.iter().any(|old| old == head(message));
        if destroyed || (self.fault == Fault::RefusesAllAfterError && self.errors > 0) {
            return Err(DecryptError::Refused);
        }
        let mut outcome = self.inner.decrypt(Sealed { message, associated_data });
        if let (Fault::IgnoresAssociatedData, Err(error)) = (self.fault, &outcome) {
            let (all, error) = (b"conversation 42", *error);
            outcome = (0..=all.len())
                .find_map(|len| self.inner.decrypt(Sealed { message, associated_data: &all[..len] }).ok())
                .ok_or(error);
        }
        match outcome {
            Ok(mut plaintext) => {
                self.opened.push((message.to_vec(), plaintext.clone()));
                if self.fault == Fault::GarblesPlaintexts && !plaintext.is_empty() {
                    plaintext.pop();
                }
                Ok(plaintext)
            }
            Err(error) => {
                self.errors = self.errors.saturating_add(1);
                self.destroyed.push(head(message).to_vec());
                let other = matches!(self.fault, Fault::DistinguishesErrors);
                Err(if other { DecryptError::TooManySkipped } else { error })
            }
        }
    }

    fn skipped_message_keys(&self) -> usize {
        let lost = self.fault == Fault::LosesSkippedKeysOnRestore && self.restored;
        if lost { 0 } else { self.inner.skipped_message_keys() }
    }

    fn sending_epoch(&self) -> u32 {
        self.inner.sending_epoch()
    }

    fn save(&self, generation: u64) -> Vec<u8> {
        let mut bytes = self.inner.save(generation);
        match self.fault {
            Fault::ChangesStateOnError => bytes.push(self.errors),
            Fault::RestoresToAnotherState => bytes.push(u8::from(self.restored)),
            Fault::KeepsUsedKeys => return self.first_state.clone(),
            _ => {}
        }
        bytes
    }

    fn reload(&self, snapshot: &[u8], newest: u64) -> Result<Self, RestoreError> {
        let snapshot = match self.fault {
            Fault::ChangesStateOnError | Fault::RestoresToAnotherState => &snapshot[..snapshot.len() - 1],
            _ => snapshot,
        };
        let newest = if self.fault == Fault::RestoresOlderGenerations { 0 } else { newest };
        let inner = match self.inner.reload(snapshot, newest) {
            Err(RestoreError::Refused) if self.fault == Fault::RestoresDamaged => {
                self.inner.reload(&self.inner.save(newest), newest)?
            }
            other => other?,
        };
        Ok(Self { restored: true, errors: self.errors, ..Self::new(inner, self.fault) })
    }
}
