// SPDX-License-Identifier: MIT OR Apache-2.0
use noescrow::relay::{AccountName, Relay};
use rand_chacha::ChaCha20Rng;

type Session = noescrow::Session;

fn backup(relay: &mut Relay, bob: &AccountName, session: &Session, key: &noescrow::StorageKey, rng: &mut ChaCha20Rng) {
    let _ = relay.deliver(bob, session.snapshot(key, 1), None, noescrow::UnixSeconds(0), rng);
}

fn main() {}
