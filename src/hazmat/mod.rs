// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tools with sharp edges: a session from the 32-byte secret of another handshake, and interception of the primitives.
//!
//! [`initiator`] and [`responder`] make a session from a secret that another handshake agreed on: Noise, a KEM over
//! another channel, a ceremony. [`Intercepted`] wraps primitives for tests.
//!
//! # Security
//! With a foreign handshake, the caller must provide what PQXDH would have provided: the secret is fresh for each
//! session, known to the two sides only, post-quantum if that is wanted, and bound to the identities of both. Put
//! everything that both sides must agree on, identities above all, into `context`. There is no first message to repeat
//! and no safety number. Chunks have the default size.
//!
//! [`Intercepted`] is never for production: its interceptor reads every secret and decides every check.

mod intercept;
mod shortcut;

pub use intercept::{Call, Intercept, Intercepted};
pub use shortcut::{AcceptFromAnyone, duplicate_bundle};

#[cfg(feature = "alloc")]
mod state;

#[cfg(feature = "alloc")]
pub use state::{
    device_from_state, device_state, device_with_primitives, session_epoch, session_from_state, session_primitives,
    session_state, session_with_primitives,
};

use crate::error::DecodeError;
use crate::handshake::{Agreed, expand};
use crate::labels;
use crate::primitives::{DhKeyPair, DhPublicKey, Primitives};
use crate::ratchet::skipped::SkippedKeyStore;
use crate::ratchet::triple::{InitialKeys, TripleRatchet};
use crate::secret::Secret;
use crate::session::{Exporter, Opening, Session};
use crate::wire::ChunkSize;

/// The side that sends first. `remote_ratchet_key` is the other side's first ratchet key, 32 bytes, which arrived with
/// the handshake and is authenticated by it.
///
/// # Errors
/// [`DecodeError::Refused`] if that key is not canonical, has low order or a torsion component.
pub fn initiator<P: Primitives, S: SkippedKeyStore>(
    primitives: P,
    shared_secret: &Secret<32>,
    remote_ratchet_key: &[u8; 32],
    context: &[u8],
) -> Result<Session<P, S>, DecodeError> {
    let remote_ratchet_key = DhPublicKey::from_bytes(*remote_ratchet_key)?;
    if !primitives.dh_is_torsion_free(remote_ratchet_key.as_bytes()) {
        return Err(DecodeError::Refused);
    }
    Ok(session(primitives, shared_secret, context, |primitives, keys| {
        TripleRatchet::initiator(primitives, keys, remote_ratchet_key, ChunkSize::default())
    }))
}

/// The side that receives first. `ratchet_secret` is the private half of the key that the other side received; the
/// first message consumes it. Until then `encrypt` fails with `NotYetReceived`.
pub fn responder<P: Primitives, S: SkippedKeyStore>(
    primitives: P,
    shared_secret: &Secret<32>,
    ratchet_secret: Secret<32>,
    context: &[u8],
) -> Session<P, S> {
    let key_pair = DhKeyPair::from_secret(&primitives, ratchet_secret);
    session(primitives, shared_secret, context, |primitives, keys| {
        TripleRatchet::responder(primitives, keys, key_pair, ChunkSize::default())
    })
}

fn session<P: Primitives, S: SkippedKeyStore>(
    primitives: P,
    shared_secret: &Secret<32>,
    context: &[u8],
    ratchet: impl FnOnce(&P, InitialKeys) -> TripleRatchet<S>,
) -> Session<P, S> {
    let associated_data = primitives.sha256(&[labels::FOREIGN_HANDSHAKE, context]);
    let Agreed { keys, associated_data, id, exporter } = expand(&primitives, shared_secret, associated_data);
    let ratchet = ratchet(&primitives, keys);
    let (parties, exporter, opening) = (None, Exporter::new(exporter), Opening::Done);
    Session { primitives, parties, associated_data, id, exporter, opening, ratchet }
}
