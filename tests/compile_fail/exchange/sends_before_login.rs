// SPDX-License-Identifier: MIT OR Apache-2.0
use noescrow::UnixSeconds;
use noescrow::durable::Mailboxes;
use noescrow::messenger::Stored;
use rand_chacha::ChaCha20Rng;

fn flush<S: Mailboxes>(stored: &mut Stored<S>, now: UnixSeconds, rng: &mut ChaCha20Rng) {
    let _ = stored.flush(now, rng, |_, _| Ok(()));
}

fn main() {}
