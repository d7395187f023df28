// SPDX-License-Identifier: MIT OR Apache-2.0
//! Control: a messenger that has logged in sends.
use noescrow::UnixSeconds;
use noescrow::durable::Mailboxes;
use noescrow::messenger::Stored;
use noescrow::messenger::exchange::{Exchanged, Server};
use rand_chacha::ChaCha20Rng;

fn flush<S: Mailboxes, V: Server<S>>(
    stored: &mut Stored<S>,
    server: &mut V,
    now: UnixSeconds,
    rng: &mut ChaCha20Rng,
) -> Exchanged<(), V, S> {
    let mut connected = stored.connect(server, now, rng)?;
    connected.flush(now, rng, |_, _| Ok(()))
}

fn main() {
    fn of<S: Mailboxes, V: Server<S>>() {
        let _ = flush::<S, V>;
    }
}
