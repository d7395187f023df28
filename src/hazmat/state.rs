// SPDX-License-Identifier: MIT OR Apache-2.0
//! A session's or device's state in the clear, for simulations that go back to a state millions of times.

use crate::device::{Capacities, Device};
use crate::error::RestoreError;
use crate::primitives::Primitives;
use crate::ratchet::skipped::SkippedKeyStore;
use crate::session::Session;
use crate::snapshot::Stored;
use crate::wire::{Reader, Writer};
use alloc::vec;
use alloc::vec::Vec;

/// The state of a session, in the clear: what a snapshot seals (spec/protocol.md §11).
///
/// # Security
/// Every secret of the session, not wiped on drop. For production use [`Session::snapshot`].
pub fn session_state<P: Primitives, S: SkippedKeyStore>(session: &Session<P, S>) -> Vec<u8> {
    state(session)
}

/// A session from its [state](session_state), without the checks that opening a snapshot makes.
///
/// # Errors
/// [`RestoreError::Refused`] if this is no state that a session can have.
///
/// # Security
/// Whoever chooses the state chooses the session's keys. An old state uses keys again.
pub fn session_from_state<P: Primitives, S: SkippedKeyStore>(
    primitives: P,
    state: &[u8],
) -> Result<Session<P, S>, RestoreError> {
    from_state(primitives, state)
}

/// The same session with other primitives.
pub fn session_with_primitives<P, Q, S>(session: Session<P, S>, primitives: Q) -> Session<Q, S> {
    let Session { primitives: _, parties, associated_data, id, exporter, opening, ratchet } = session;
    Session { primitives, parties, associated_data, id, exporter, opening, ratchet }
}

/// The primitives that a session computes with.
pub const fn session_primitives<P, S>(session: &Session<P, S>) -> &P {
    &session.primitives
}

/// The post-quantum epoch of the session's next message; 0 once the session is abandoned.
pub fn session_epoch<P, S: SkippedKeyStore>(session: &Session<P, S>) -> u32 {
    session.ratchet.sparse.sending_epoch().unwrap_or_default()
}

/// The state of a device, in the clear: what a snapshot seals (spec/protocol.md §11).
///
/// # Security
/// Every private key of the device, not wiped on drop. For production use [`Device::snapshot`].
pub fn device_state<P: Primitives, C: Capacities>(device: &Device<P, C>) -> Vec<u8> {
    state(device)
}

/// A device from its [state](device_state), without the checks that opening a snapshot makes.
///
/// # Errors
/// [`RestoreError::Refused`] if this is no state that a device can have.
///
/// # Security
/// Whoever chooses the state chooses the device's keys. An old state accepts first messages again.
pub fn device_from_state<P: Primitives, C: Capacities>(
    primitives: P,
    state: &[u8],
) -> Result<Device<P, C>, RestoreError> {
    from_state(primitives, state)
}

/// The same device with other primitives.
pub fn device_with_primitives<P: Primitives, Q, C: Capacities>(device: Device<P, C>, primitives: Q) -> Device<Q, C> {
    device.with_primitives(primitives)
}

fn state<P: Primitives, T: Stored<P>>(value: &T) -> Vec<u8> {
    let mut bytes = vec![0; value.stored_len()];
    let written = value.store(&mut Writer::new(&mut bytes));
    debug_assert!(written.is_ok(), "a state has its own length");
    bytes
}

fn from_state<P: Primitives, T: Stored<P>>(primitives: P, state: &[u8]) -> Result<T, RestoreError> {
    T::load(primitives, &mut Reader::new(state))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primitives::RustCrypto;
    use crate::ratchet::skipped::Heap;
    use crate::{Capacity, Secret, UnixSeconds, hazmat};
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    #[test]
    fn a_state_gives_the_same_session_and_no_other_bytes_are_one() {
        let context = b"";
        let key = Secret::new([7; 32]);
        let session: Session<_, Heap> = hazmat::responder(RustCrypto, &key, Secret::new([9; 32]), context);
        let state = session_state(&session);
        let again: Session<RustCrypto, Heap> = session_from_state(RustCrypto, &state).unwrap();
        assert_eq!(session_state(&session_with_primitives(again, RustCrypto)), state);
        for bad in [&state[..state.len() - 1], &[&state[..], &[0]].concat()] {
            assert!(session_from_state::<RustCrypto, Heap>(RustCrypto, bad).is_err());
        }
    }

    #[test]
    fn a_state_gives_the_same_device_and_no_other_bytes_are_one() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        type Small = Capacity<4, 4>;
        let device = Device::<RustCrypto, Small>::generate_with(RustCrypto, UnixSeconds(1), &mut rng);
        let state = device_state(&device);
        let again: Device<RustCrypto, Small> = device_from_state(RustCrypto, &state).unwrap();
        assert_eq!(device_state(&device_with_primitives(again, RustCrypto)), state);
        assert!(device_from_state::<RustCrypto, Small>(RustCrypto, &state[1..]).is_err());
    }
}
