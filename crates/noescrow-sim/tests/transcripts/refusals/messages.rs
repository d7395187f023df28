// SPDX-License-Identifier: MIT OR Apache-2.0
//! First messages, messages of a current chain and of a new one, and handshakes to existing sessions.

use super::super::forge::Forgery;
use super::super::handshake::at;
use super::super::json::{Event, hex_of};
use super::super::{EXPIRY, NOW, deliver, send};
use super::header::{AGE, EPOCH, N, NUMBER, NUMBER_256, TYPE};
use super::{
    GONE, ID, KEY_GONE, PREKEY_DH, REFUSED, Scene, TOO_MANY, accept, accept_bytes, deliver_bytes, flipped, initiate,
    low_order, non_canonical, with,
};
use noescrow::MAX_JUMP;
use noescrow::primitives::{Primitives, RustCrypto};
use serde_json::json;

/// Offsets of the parts of a handshake.
const SPK_ID: usize = 1;
const FLAG: usize = 5;
const EK: usize = 10;
const CT: usize = 42;
const CHUNK_SIZE: usize = CT + 1568;
const SEALED_IDENTITY: usize = CHUNK_SIZE + 1;
const HANDSHAKE_LEN: usize = SEALED_IDENTITY + 1 + 128 + 16;

impl Scene {
    pub(super) fn first_messages(&mut self) {
        let with_one_time = self.bob.bundle(Some(&self.one_time));
        let first = self.stage.play(initiate("Alice", &with_one_time, EXPIRY, 32));
        self.stage.play(accept("Bob", &first));
        self.refuse(accept("never", &first), "HS-R1: the one-time prekey is used", GONE);

        let last_resort = self.bob.bundle(None);
        let first = self.stage.play(initiate("Alice again", &last_resort, NOW, 32));
        let genuine = hex_of(&first["message"]).unwrap();
        let cases = [
            ("HS-R1: nothing", vec![]),
            ("HS-R1: a handshake that is cut", genuine[..HANDSHAKE_LEN - 1].to_vec()),
            ("DR-D1: a handshake without a message", genuine[..HANDSHAKE_LEN].to_vec()),
            ("DR-D2: cut by a byte", genuine[..genuine.len() - 1].to_vec()),
            ("DR-D2: longer by a byte", [&genuine[..], &[0]].concat()),
            ("HS-R1: of version 2", with(&genuine, 0, &[0x21])),
            ("HS-R1: no first message", with(&genuine, 0, &[0x12])),
            ("HS-R1: a flag that is neither 0 nor 1", with(&genuine, FLAG, &[2])),
            ("HS-R1: no OPK, and an id", with(&genuine, FLAG, &[0, 0, 0, 0, 2])),
            ("HS-R1: an unknown chunk size", with(&genuine, CHUNK_SIZE, &[4])),
            ("HS-R4: another chunk size", with(&genuine, CHUNK_SIZE, &[1])),
            ("HS-R4: another ciphertext", flipped(&genuine, CT + 700)),
            ("HS-R4: another sealed identity", flipped(&genuine, SEALED_IDENTITY + 5)),
            ("HS-R4: another tag", flipped(&genuine, HANDSHAKE_LEN - 1)),
        ];
        for (why, bytes) in cases {
            self.refuse(accept_bytes(&bytes), why, REFUSED);
        }
        let used = self.one_time[ID..PREKEY_DH - 8].to_vec();
        let cases = [
            ("HS-R1: an SPK that never was", with(&genuine, SPK_ID, &[0, 0, 0, 99])),
            ("HS-R1: the OPK's id as the SPK's", with(&genuine, SPK_ID, &used)),
            ("HS-R1: an OPK that never was", with(&genuine, FLAG, &[1, 0, 0, 0, 99])),
            ("HS-R1: an OPK with id 0", with(&genuine, FLAG, &[1, 0, 0, 0, 0])),
            ("HS-R1: names an OPK that is used", with(&genuine, FLAG, &[&[1][..], &used].concat())),
        ];
        for (why, bytes) in cases {
            self.refuse(accept_bytes(&bytes), why, GONE);
        }
        for (why, key) in Self::bad_keys(&genuine[EK..CT]) {
            self.refuse(accept_bytes(&with(&genuine, EK, &key)), &format!("HS-R1, HS-R2: an EK {why}"), REFUSED);
        }
        let mut other = accept("never", &first);
        other["associated_data"] = json!("00");
        self.refuse(other, "DR-D8: other associated data", REFUSED);
        self.stage.play(accept("Bob again", &first));
        self.refuse(accept("never", &first), "HS-R1: repeated", "handshake already accepted");
    }

    /// Messages of a chain from which Bob has already received (HKr).
    pub(super) fn messages_in_a_chain(&mut self) {
        for (from, to) in [("Bob", "Alice"), ("Alice", "Bob")] {
            let sent = self.stage.play(send(from, b"hello", b""));
            self.stage.play(deliver(to, &sent, b""));
        }
        let sent = self.stage.play(send("Alice", b"nineteen characters", b"room 1"));
        let later = self.stage.play(send("Alice", b"later", b""));
        let genuine = hex_of(&sent["message"]).unwrap();
        let (salt, commitment, header, header_tag, body) = (1, 17, 33, 117, 149);
        let cases = [
            ("DR-D1: nothing", vec![]),
            ("DR-D1: a type alone", genuine[..1].to_vec()),
            ("DR-D1: a header that is cut", genuine[..body - 1].to_vec()),
            ("DR-D2: no body", genuine[..body].to_vec()),
            ("DR-D2: cut by a byte", genuine[..genuine.len() - 1].to_vec()),
            ("DR-D2: longer by a byte", [&genuine[..], &[0]].concat()),
            ("DR-D1: of version 2", with(&genuine, 0, &[0x22])),
            ("DR-D1: an unknown kind", with(&genuine, 0, &[0x13])),
            ("DR-D1: a first message's type", with(&genuine, 0, &[0x11])),
            ("DR-D2: another salt", flipped(&genuine, salt)),
            ("DR-D2: another commitment", flipped(&genuine, commitment)),
            ("DR-D2: another header", flipped(&genuine, header)),
            ("DR-D2: another tag of the header", flipped(&genuine, header_tag)),
            ("DR-D2: another body", flipped(&genuine, body)),
            ("DR-D2: another tag of the body", flipped(&genuine, header_tag + 16)),
        ];
        for (why, bytes) in cases {
            self.refuse(deliver_bytes("Bob", &bytes, b"room 1"), why, REFUSED);
        }
        self.refuse(deliver("Bob", &sent, b"room 2"), "DR-D8: other associated data", REFUSED);
        self.refuse(deliver("Alice", &sent, b"room 1"), "DR-D2: back at its sender", REFUSED);
        self.refuse(deliver("Bob again", &sent, b"room 1"), "DR-D2: of another session", REFUSED);

        let forgery = Forgery::of(&self.stage, &sent);
        let paddings: [(&str, &[u8]); 5] = [
            ("no marker", &[0; 20]),
            ("another marker", b"nineteen characters\x81"),
            ("something behind the marker", b"eighteen character\x80\x01"),
            ("a length that is not Padme's", b"twenty characters...\x80"),
            ("nothing at all", b""),
        ];
        for (why, padded) in paddings {
            let bytes = forgery.clone().with(|forgery| forgery.padded = padded.to_vec());
            self.refuse(deliver_bytes("Bob", &bytes, b"room 1"), &format!("DR-D8: {why}"), REFUSED);
        }
        let number = |number: u32| number.to_be_bytes();
        let zeros = [0; 32];
        let other_key = RustCrypto.dh_public(&noescrow::Secret::new([7; 32]));
        let cases: [(&str, usize, &[u8], &str); 16] = [
            ("DR-D3: an unknown type of the Braid", TYPE, &[6], REFUSED),
            ("DR-D3: type None with a chunk", TYPE, &[0], REFUSED),
            ("DR-D3: epoch 0", EPOCH, &number(0), REFUSED),
            ("DR-D3: epoch 2^32 - 1", EPOCH, &number(u32::MAX), REFUSED),
            ("DR-D3: a flag that has no meaning", AGE, &[4], REFUSED),
            ("DR-D3: an age beyond the first epoch", AGE, &[1], REFUSED),
            ("SP-R1: an epoch whose chains are not kept", EPOCH, &number(9), REFUSED),
            ("SP-R1: n = 0", NUMBER, &number(0), REFUSED),
            ("SP-R1: an n that is used", NUMBER, &number(1), REFUSED),
            ("SP-R1: one more than may be skipped", NUMBER, &number(2 + 2 * MAX_JUMP + 2), TOO_MANY),
            ("SP-R1: n = 2^32 - 1", NUMBER, &number(u32::MAX), TOO_MANY),
            ("DR-D4: an N that is used", N, &number(0), KEY_GONE),
            ("DR-D5: one more than may be skipped", N, &number(1 + MAX_JUMP + 1), TOO_MANY),
            ("DR-D5: N = 2^32 - 1", N, &number(u32::MAX), TOO_MANY),
            ("DR-D5: another DHs than the chain's", 0, &other_key, REFUSED),
            ("DR-D3: a DHs of low order", 0, &zeros, REFUSED),
        ];
        for (why, at, bytes, word) in cases {
            self.refuse(deliver_bytes("Bob", &forgery.put(at, bytes), b"room 1"), why, word);
        }
        let opens = |scene: &mut Self, sent: &Event, associated: &[u8]| {
            assert!(scene.stage.play(deliver("Bob", sent, associated)).contains_key("plaintext"));
        };
        opens(self, &later, b"");
        self.refuse(deliver("Bob", &later, b""), "SP-R1: replayed", KEY_GONE);
        opens(self, &sent, b"room 1");
        self.refuse(deliver("Bob", &sent, b"room 1"), "SP-R1: replayed, of a key that was kept", KEY_GONE);
    }

    /// Messages with which the other side's chain ends (NHKr).
    pub(super) fn messages_of_a_new_chain(&mut self) {
        let own = self.stage.events().iter().rev().find(|event| event["do"] == "send" && event["session"] == "Alice");
        let own = own.unwrap().clone();
        let theirs = self.stage.events().iter().find(|event| event["do"] == "send" && event["session"] == "Bob");
        let theirs = theirs.unwrap().clone();
        let [own, theirs] = [own, theirs].map(|sent| Forgery::of(&self.stage, &sent).header[..32].to_vec());

        let sent = self.stage.play(send("Bob", b"a new chain", b""));
        let forgery = Forgery::of(&self.stage, &sent);
        let genuine = forgery.header[..32].to_vec();
        for (why, key) in [low_order(), non_canonical(&genuine)].concat() {
            let why = format!("DR-D3: a DHs {why}");
            self.refuse(deliver_bytes("Alice", &forgery.put(0, &key), b""), &why, REFUSED);
        }
        let number = |number: u32| number.to_be_bytes();
        let cases: [(&str, usize, &[u8], &str); 4] = [
            ("DR-D6: our own DHs", 0, &own, REFUSED),
            ("DR-D6: the DHs of the chain before", 0, &theirs, REFUSED),
            ("DR-D6: one more at the head of the new one", N, &number(MAX_JUMP + 1), TOO_MANY),
            ("DR-D3: all flags", AGE, &[255], REFUSED),
        ];
        for (why, at, bytes, word) in cases {
            self.refuse(deliver_bytes("Alice", &forgery.put(at, bytes), b""), why, word);
        }
        assert!(self.stage.play(deliver("Alice", &sent, b"")).contains_key("plaintext"));

        // Bob's next header key, which Alice has as NHKr: he cannot use it before she has answered.
        let next = hex_of(&self.stage.values(at(&sent))["DR-E1"]["NHKs"]).unwrap();
        let key = RustCrypto.dh_public(&noescrow::Secret::new([8; 32]));
        let early = forgery.under(&next).with(|forgery| {
            forgery.header[..32].copy_from_slice(&key);
            forgery.header[NUMBER..AGE].copy_from_slice(&number(3));
        });
        self.refuse(deliver_bytes("Alice", &early, b""), "DR-D6: a sending step is due", REFUSED);
    }

    /// A thief of an old epoch's chain continues to send on it: its keys are kept, but nothing new is accepted on it
    /// any more.
    pub(super) fn messages_of_an_old_epoch(&mut self) {
        let [alice, bob] = ["Epochs A", "Epochs B"];
        let first = self.stage.play(initiate(alice, &self.bob.bundle(None), NOW, 256));
        self.stage.play(accept(bob, &first));
        // From the last message on epoch 0's chain.
        let mut last = 0;
        let newest = loop {
            let sent = self.stage.play(send(bob, b"ping", b""));
            let forgery = Forgery::of(&self.stage, &sent);
            let field = |at: usize| u32::from_be_bytes(forgery.header[at..at + 4].try_into().unwrap());
            // A message of epoch e is on the chain of epoch e - 1.
            if field(EPOCH) == 2 && last > 0 {
                break sent;
            }
            last = field(NUMBER_256);
            self.stage.play(deliver(alice, &sent, b""));
            let sent = self.stage.play(send(alice, b"pong", b""));
            self.stage.play(deliver(bob, &sent, b""));
        };
        assert!(self.stage.play(deliver(alice, &newest, b"")).contains_key("plaintext"));
        let sent = self.stage.play(send(bob, b"later", b""));
        let bytes = Forgery::of(&self.stage, &sent).with(|forgery| {
            forgery.header[EPOCH..EPOCH + 4].copy_from_slice(&1u32.to_be_bytes());
            forgery.header[NUMBER_256..NUMBER_256 + 4].copy_from_slice(&(last + 1).to_be_bytes());
            forgery.header[NUMBER_256 + 4] = 0;
        });
        let why = "SP-R1: new, on the chain of an epoch before the newest that something came on";
        self.refuse(deliver_bytes(alice, &bytes, b""), why, REFUSED);
        assert!(self.stage.play(deliver(alice, &sent, b"")).contains_key("plaintext"));
    }

    pub(super) fn handshakes_to_sessions(&mut self) {
        let firsts =
            self.stage.events().iter().filter(|event| event["do"] == "initiate" && event.contains_key("message"));
        let [first, other] = &firsts.cloned().collect::<Vec<_>>()[..] else { panic!("two handshakes") };
        self.refuse(deliver("Bob", other, b""), "HS-R8: a first message with another handshake", REFUSED);
        self.refuse(
            deliver("Bob", first, b""),
            "DR-D2: the first message, again: no header key of its chain is kept",
            REFUSED,
        );
        self.refuse(deliver("Alice", first, b""), "HS-R8: a first message to who sent it", REFUSED);
    }
}
