// SPDX-License-Identifier: MIT OR Apache-2.0
//! Safety numbers of several pairs, with and without identifiers, and scans that are equal or not.

use super::json::{Event, Transcript, hex};
use super::stage::Stage;
use super::{NOW, text_of, transcript};
use serde_json::{Value, json};

pub fn safety_numbers() -> Transcript {
    let mut stage = Stage::seeded(10);
    let people = ["Alice", "Bob", "Carol"].map(|name| stage.play(json!({"do": "device", "device": name, "now": NOW})));
    let [alice, bob, carol] = &people;
    let pairs = [(alice, bob), (bob, alice), (alice, carol), (carol, bob)];
    for (local, remote) in pairs {
        stage.play(compare((local, b""), (remote, b"")));
    }
    let theirs = stage.play(compare((bob, b"+14153333333"), (alice, b"+14152222222")));
    let ours = compare((alice, b"+14152222222"), (bob, b"+14153333333"));
    let number = text_of(&theirs, "number");
    let cases = [
        (number.clone(), "ID-2.3: what Bob shows is what Alice must see"),
        (number.replacen("00", "01", 1), "ID-2.2: another version"),
        (number[2..].to_owned(), "ID-2.2: too short"),
        (format!("{number}00"), "ID-2.2: too long"),
        (text_of(&stage.play(ours.clone()), "number"), "ID-2.3: one's own number, from one's own screen"),
        (text_of(&stage.play(compare((carol, b""), (alice, b""))), "number"), "ID-2.3: somebody else's"),
    ];
    for (scanned, why) in cases {
        let mut event = ours.clone();
        event["scanned"] = json!(scanned);
        event["why"] = json!(why);
        stage.play(event);
    }
    let comment = "Safety numbers of three identities, both ways, with and without identifiers; and what was scanned.";
    transcript("safety_numbers", comment, stage)
}

fn compare((local, local_id): (&Event, &[u8]), (remote, remote_id): (&Event, &[u8])) -> Value {
    json!({
        "do": "compare", "local_identity": local["identity"], "remote_identity": remote["identity"],
        "local_id": hex(local_id), "remote_id": hex(remote_id),
    })
}
