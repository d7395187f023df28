// SPDX-License-Identifier: MIT OR Apache-2.0
//! Control: a server can be given what it may hold.
use noescrow::relay::{AccountName, Envelope, Public, Relay};
use rand_chacha::ChaCha20Rng;

fn server_holds(_: impl Public) {}

fn device_has(identity: noescrow::Identity, prekey: noescrow::Prekey, name: AccountName, message: Envelope) {
    server_holds(identity);
    server_holds(prekey);
    server_holds(name);
    server_holds(message);
}

fn send(relay: &mut Relay, bob: &AccountName, message: Vec<u8>, key: &noescrow::AccessKey, rng: &mut ChaCha20Rng) {
    server_holds(key.hash());
    if let Ok(envelope) = Envelope::new(message) {
        let _ = relay.deliver(bob, envelope, Some(key), noescrow::UnixSeconds(0), rng);
    }
}

fn main() {
    let _ = (device_has, send);
}
