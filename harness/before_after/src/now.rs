// SPDX-License-Identifier: MIT OR Apache-2.0
//! Revision 3 of the protocol, by its interface.

use crate::Version;
use noescrow_now::{Bundle, Device, InitiateOptions, Session, UnixSeconds};
use rand_chacha::ChaCha20Rng;

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
const LATER: UnixSeconds = UnixSeconds(NOW.0 + 30 * 86_400);
/// Length in bytes of type and sealed header: salt, commitment, ciphertext and tag. The body's tag follows.
pub const HEAD_LEN: usize = 1 + 16 + 16 + 84 + 16;

pub struct Now;

impl Version for Now {
    type Session = Session;

    fn pair(rng: &mut ChaCha20Rng) -> (Session, Session) {
        let (alice, mut bob) = (Device::generate(LATER, rng), Device::generate(LATER, rng));
        let mut published = bob.publish(1, LATER, rng).expect("a device has space for a prekey");
        let bundle = Bundle::new(published.identity, published.signed_prekey, published.one_time_prekeys.pop());
        let bundle = bundle.expect("the prekeys are the identity's");
        let (mut alice, hello) =
            alice.initiate(bundle, b"hello", InitiateOptions::unverified(NOW), rng).expect("the bundle is valid");
        let pending = bob.open(&hello).expect("the first message is genuine");
        let (mut bob, _) = pending.accept(b"").expect("there is no associated data");
        let reply = bob.encrypt(b"reply", rng).expect("the session is whole");
        alice.decrypt(&reply).expect("the reply is genuine");
        (alice, bob)
    }

    fn encrypt(session: &mut Session, plaintext: &[u8], rng: &mut ChaCha20Rng) -> Vec<u8> {
        session.encrypt(plaintext, rng).expect("the session is whole")
    }

    fn decrypt(session: &mut Session, message: &[u8]) -> Option<usize> {
        session.decrypt(message).ok().map(|opened| opened.plaintext.len())
    }
}
