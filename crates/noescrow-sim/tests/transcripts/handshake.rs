// SPDX-License-Identifier: MIT OR Apache-2.0
//! Each transcript is one handshake, from the devices' seeds to the first exchange, with every intermediate value.

use super::json::{Event, Transcript, hex};
use super::stage::Stage;
use super::{Making, NOW, accept, bundle, deliver, initiate, send, text_of, transcript, two_devices};
use serde_json::json;

const STORAGE_KEY: [u8; 32] = [0x5A; 32];

pub fn transcripts() -> Vec<Transcript> {
    vec![one_time(), last_resort(), previous_prekey()]
}

fn one_time() -> Transcript {
    let mut stage = Stage::seeded(1);
    let [alice, bob] = two_devices(&mut stage);
    let published = stage.play(json!({"do": "publish", "device": "Bob", "count": 2, "now": NOW}));
    let one_time = published["one_time_prekeys"][1].as_str();
    let bundle = bundle(&text_of(&bob, "identity"), &text_of(&bob, "signed_prekey"), one_time);
    complete(&mut stage, [&alice, &bob], &bundle, 32, b"hello Bob", b"Alice to Bob");
    let comment =
        "A handshake with a one-time prekey (DH4 is there), then an answer and an answer to it; chunks of 32 bytes.";
    transcript("handshake_one_time", comment, stage)
}

fn last_resort() -> Transcript {
    let mut stage = Stage::seeded(2);
    let [alice, bob] = two_devices(&mut stage);
    let bundle = bundle(&text_of(&bob, "identity"), &text_of(&bob, "signed_prekey"), None);
    complete(&mut stage, [&alice, &bob], &bundle, 64, b"", b"");
    let comment =
        "A handshake on the last-resort key (no DH4) with an empty text and empty associated data; chunks of 64 bytes.";
    transcript("handshake_last_resort", comment, stage)
}

fn previous_prekey() -> Transcript {
    let mut stage = Stage::seeded(3);
    let [alice, bob] = two_devices(&mut stage);
    let bundle = bundle(&text_of(&bob, "identity"), &text_of(&bob, "signed_prekey"), None);
    stage.play(json!({"do": "rotate", "device": "Bob", "now": NOW + 1}));
    let text: Vec<u8> = (0..=255).cycle().take(1000).collect();
    complete(&mut stage, [&alice, &bob], &bundle, 256, &text, &text[..300]);
    let comment =
        "A handshake on a signed prekey that has been replaced since; a text of 1,000 bytes; chunks of 256 bytes.";
    transcript("handshake_previous_prekey", comment, stage)
}

/// Handshake, answer, and answer to it; the device that accepted before and after; the comparison of safety numbers.
fn complete(
    stage: &mut Making,
    [alice, bob]: [&Event; 2],
    bundle: &str,
    chunk_size: u64,
    text: &[u8],
    associated: &[u8],
) {
    store(stage, 1);
    let first = initiate(stage, bundle, chunk_size, text, associated);
    accept(stage, &first, associated);
    store(stage, 2);
    for (from, to, text) in [("Bob", "Alice", "hello Alice"), ("Alice", "Bob", "how are you?")] {
        let sent = stage.play(send(from, text.as_bytes(), associated));
        stage.want_values(at(&sent));
        let delivered = stage.play(deliver(to, &sent, associated));
        stage.want_values(at(&delivered));
    }
    for (local, remote) in [(alice, bob), (bob, alice)] {
        stage.play(json!({
            "do": "compare", "local_identity": local["identity"], "remote_identity": remote["identity"],
            "local_id": "", "remote_id": "",
        }));
    }
}

fn store(stage: &mut Making, generation: u64) {
    stage.play(json!({
        "do": "store", "kind": "device", "name": "Bob", "storage_key": hex(&STORAGE_KEY), "generation": generation,
        "values": {},
    }));
}

pub fn at(event: &Event) -> usize {
    event["at"].as_u64().and_then(|at| usize::try_from(at).ok()).unwrap()
}
