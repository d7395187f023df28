// SPDX-License-Identifier: MIT OR Apache-2.0
//! The states in which both sides begin.

use super::*;
use crate::primitives::RustCrypto;
use crate::ratchet::skipped::Heap;

type Ratchet = DoubleRatchet<Heap>;

fn keys() -> InitialKeys {
    let key = |byte| Secret::new([byte; 32]);
    InitialKeys { root_key: key(1), initiator_header_key: key(2), responder_header_key: key(3) }
}

fn signed_prekey() -> DhKeyPair {
    DhKeyPair::from_secret(&RustCrypto, Secret::new([6; 32]))
}

/// RK, NHKs, NHKr.
fn shared_keys(ratchet: &Ratchet) -> [&[u8; 32]; 3] {
    let header_keys = [&ratchet.next_sending_header_key, &ratchet.next_receiving_header_key];
    let [sending, receiving] = header_keys.map(|key| key.0.expose());
    [ratchet.root_key.0.expose(), sending, receiving]
}

/// DR-I1: RK; NHKs = hka; NHKr = nhkb; no HKr; a sending step is due towards DHr = SPK, with PN = 0.
#[test]
fn the_initiator_starts_with_a_step_due_towards_the_signed_prekey() {
    let ratchet = Ratchet::initiator(keys(), signed_prekey().public);
    assert_eq!(shared_keys(&ratchet), [&[1; 32], &[2; 32], &[3; 32]]);
    assert_eq!((ratchet.receiving.is_none(), ratchet.step, ratchet.check_sending()), (true, 0, Ok(())));
    let SendingState::Due { remote_ratchet_key, previous_chain_length } = ratchet.sending else { panic!() };
    assert_eq!((remote_ratchet_key, previous_chain_length), (signed_prekey().public, 0));
}

/// DR-I2: RK; NHKs = nhkb; NHKr = hka; no HKr; DHs = the SPK pair. It cannot send before it has received.
#[test]
fn the_responder_starts_with_the_signed_prekey_and_cannot_send() {
    let ratchet = Ratchet::responder(keys(), signed_prekey());
    assert_eq!(shared_keys(&ratchet), [&[1; 32], &[3; 32], &[2; 32]]);
    assert_eq!((ratchet.receiving.is_none(), ratchet.step), (true, 0));
    assert_eq!(ratchet.check_sending(), Err(EncryptError::NotYetReceived));
    let SendingState::Waiting { key_pair } = ratchet.sending else { panic!() };
    assert_eq!((key_pair.public(&RustCrypto), key_pair.secret().expose()), (signed_prekey().public, &[6; 32]));
}
