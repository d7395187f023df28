// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`InitiateOptions`]: when, to whom and with which chunks a session is initiated.

use crate::error::InitiateError;
use crate::identity::Identity;
use crate::payload::Payload;
use crate::prekeys::Bundle;
use crate::session::message_len;
use crate::time::UnixSeconds;
use crate::wire::ChunkSize;
use core::fmt;

/// The caller's part of a handshake, besides the bundle and the payload.
///
/// ```
/// use noescrow::{ChunkSize, InitiateOptions, UnixSeconds};
/// # let now = UnixSeconds(1_800_000_000);
/// let options = InitiateOptions::unverified(now).chunk_size(ChunkSize::Bytes128);
/// assert_eq!(options.first_message_len(b"hello"), Some(ChunkSize::Bytes128.first_message_overhead() + 6));
/// ```
#[derive(Clone, Copy)]
#[must_use = "options do nothing by themselves; pass them to `initiate`"]
pub struct InitiateOptions {
    pub(super) now: UnixSeconds,
    pub(super) chunk_size: ChunkSize,
    expected: Option<Identity>,
}

impl InitiateOptions {
    /// Options with the default chunk size for a session with `identity`, such as one that was verified before. A
    /// bundle with another identity, which a server can insert (attack B22), is refused as
    /// [`UnexpectedIdentity`](InitiateError::UnexpectedIdentity). Both public keys are compared, and not the
    /// certificate. `now` is the caller's time: an expired prekey is refused. A `now` of 0 turns that check off.
    pub const fn expecting(identity: &Identity, now: UnixSeconds) -> Self {
        Self { now, chunk_size: ChunkSize::Bytes32, expected: Some(*identity) }
    }

    /// Options with the default chunk size for a session with whomever the bundle belongs to.
    ///
    /// # Security
    /// The server that handed out the bundle may have inserted its own identity (attack B22). Remember the session's
    /// [`remote_identity`](crate::Session::remote_identity), compare safety numbers, and pass that identity to
    /// [`expecting`](Self::expecting) from then on.
    pub const fn unverified(now: UnixSeconds) -> Self {
        Self { now, chunk_size: ChunkSize::Bytes32, expected: None }
    }

    /// Sets the chunk size of the post-quantum ratchet. It holds for the whole session.
    pub const fn chunk_size(mut self, chunk_size: ChunkSize) -> Self {
        self.chunk_size = chunk_size;
        self
    }

    /// Returns the length in bytes of a first message with `payload`, or `None` if the plaintext is longer than
    /// [`MAX_PLAINTEXT_LEN`](crate::session::MAX_PLAINTEXT_LEN) or `min_padded_len` is above `MAX_PLAINTEXT_LEN + 1`.
    #[must_use]
    pub fn first_message_len<'p>(&self, payload: impl Into<Payload<'p>>) -> Option<usize> {
        message_len(self.chunk_size.first_message_overhead(), &payload.into())
    }

    /// Checks that the bundle is the expected identity's, if one is expected.
    pub(super) fn check_identity(&self, bundle: &Bundle) -> Result<(), InitiateError> {
        match &self.expected {
            Some(expected) if expected.keys() != bundle.identity().keys() => Err(InitiateError::UnexpectedIdentity),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for InitiateOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { now, chunk_size, expected: _ } = self;
        f.debug_struct("InitiateOptions").field("now", now).field("chunk_size", chunk_size).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::IdentityKeyPair;
    use crate::primitives::RustCrypto;
    use crate::{Capacity, Device};
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    type Small = Device<RustCrypto, Capacity<1, 1>>;

    const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

    fn bundle(device: &Small) -> Bundle {
        Bundle::new(*device.identity(), device.signed_prekey(), None).unwrap()
    }

    /// Attack B22.
    #[test]
    fn a_bundle_of_another_identity_than_the_expected_is_refused() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let [alice, bob, mallory] = [(); 3].map(|()| Small::generate_with(RustCrypto, NOW, &mut rng));
        let options = InitiateOptions::expecting(bob.identity(), NOW);
        let initiate = |bundle: Bundle, options, rng: &mut ChaCha20Rng| {
            let initiated = alice.initiate(bundle, b"hi", options, rng).map_err(|failed| failed.error);
            initiated.map(|(session, _)| *session.remote_identity().unwrap())
        };
        let unexpected = Err(InitiateError::UnexpectedIdentity);
        let before = rng.clone();
        assert_eq!(initiate(bundle(&mallory), options, &mut rng), unexpected);
        assert_eq!(rng, before, "nothing was drawn");
        // One of the two keys is not enough.
        let with_secrets = |signing: &Small, dh: &Small| {
            let (seed, secret) = (signing.identity.signing_seed().duplicate(), dh.identity.dh_secret().duplicate());
            *IdentityKeyPair::from_secrets(&RustCrypto, seed, secret).public()
        };
        for (signing, dh) in [(&bob, &mallory), (&mallory, &bob)] {
            let expected = with_secrets(signing, dh);
            assert_eq!(initiate(bundle(&bob), InitiateOptions::expecting(&expected, NOW), &mut rng), unexpected);
        }
        assert_eq!(with_secrets(&bob, &bob), *bob.identity());
        // Controls: the expected identity's bundle is taken, and any bundle if none is expected.
        assert_eq!(initiate(bundle(&bob), options, &mut rng), Ok(*bob.identity()));
        assert_eq!(initiate(bundle(&mallory), InitiateOptions::unverified(NOW), &mut rng), Ok(*mallory.identity()));
    }

    #[test]
    fn expiry_is_refused_at_the_time_of_the_options() {
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        let [alice, bob] = [(); 2].map(|()| Small::generate_with(RustCrypto, NOW, &mut rng));
        let mut at = |now| {
            alice
                .initiate(bundle(&bob), b"hi", InitiateOptions::unverified(now), &mut rng)
                .map(|_| ())
                .map_err(|failed| failed.error)
        };
        let expiry = NOW.saturating_add(crate::device::policy::LIFETIME);
        let id = bob.signed_prekey().id();
        assert_eq!(at(UnixSeconds(expiry.0 + 1)), Err(InitiateError::Expired { id, expiry }));
        assert_eq!(at(expiry), Ok(()));
    }
}
