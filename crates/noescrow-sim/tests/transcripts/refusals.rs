// SPDX-License-Identifier: MIT OR Apache-2.0
//! What must be refused, in a state that accepts the genuine counterpart.

mod braid;
mod header;
mod messages;

use super::forge;
use super::json::{Event, Transcript, hex, hex_of};
use super::stage::Stage;
use super::{EXPIRY, Making, NOW, bundle, transcript};
use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::montgomery::MontgomeryPoint;
use noescrow::PREKEY_LEN;
use serde_json::{Value, json};

/// Offsets of the parts of a prekey.
const KIND: usize = 0;
const ID: usize = 2;
const PREKEY_DH: usize = 1 + 1 + 4 + 8;
const PREKEY_KEM: usize = PREKEY_DH + 32;

/// The document's words.
const REFUSED: &str = "refused";
const GONE: &str = "prekey gone";
const KEY_GONE: &str = "key gone";
const TOO_MANY: &str = "too many skipped";
const ABANDONED: &str = "abandoned";

/// Steps that the code takes within another one or before it reports so, and the document's label of the refusal there.
const WITHIN: [(&str, &str); 6] = [
    ("ID-1", "HS-I1"),
    ("PK-2", "HS-I1"),
    ("DR-D1", "HS-R8"),
    ("DR-D3", "SP-R1"),
    ("DR-D3", "DR-D5"),
    ("SP-I1", "DR-D1"),
];

pub fn refusals() -> Transcript {
    let mut scene = Scene::new();
    scene.identities();
    scene.prekeys();
    scene.bundles();
    scene.first_messages();
    scene.messages_in_a_chain();
    scene.messages_of_a_new_chain();
    scene.handshakes_to_sessions();
    scene.messages_of_an_old_epoch();
    scene.snapshots();
    scene.spoiled_header_mac();
    scene.spoiled_ciphertext_mac();
    scene.key_beyond_the_modulus();
    let comment =
        "What must be refused, why, and that nothing changes by it; and the three ways in which the Braid fails.";
    transcript("refusals", comment, scene.stage)
}

struct Scene {
    stage: Making,
    alice: Person,
    bob: Person,
    /// A one-time prekey that Alice's first session uses.
    one_time: Vec<u8>,
}

struct Person {
    seed: Vec<u8>,
    identity: Vec<u8>,
    signed_prekey: Vec<u8>,
}

impl Person {
    fn of(device: &Event) -> Self {
        let bytes = |value: &Value| hex_of(value).unwrap();
        let [seed, identity, signed_prekey] =
            [&device["draws"][0]["bytes"], &device["identity"], &device["signed_prekey"]].map(bytes);
        Self { seed, identity, signed_prekey }
    }

    fn bundle(&self, one_time: Option<&[u8]>) -> String {
        bundle(&hex(&self.identity), &hex(&self.signed_prekey), one_time.map(hex).as_deref())
    }
}

/// p + `offset`, little-endian: p = 2^255 - 19.
fn p_plus(offset: i16) -> [u8; 32] {
    let mut bytes = [0xFF; 32];
    bytes[0] = u8::try_from(0xED + offset).unwrap();
    bytes[31] = 0x7F;
    bytes
}

/// Keys whose secret nobody has: 0, 1, p - 1, the two of order 8.
fn low_order() -> Vec<(&'static str, [u8; 32])> {
    let one = std::array::from_fn(|at| u8::from(at == 0));
    let order_8 = [1, 3].map(|at: usize| ("of order 8", EIGHT_TORSION[at].to_montgomery().0));
    [vec![("0", [0; 32]), ("1", one), ("p - 1", p_plus(-1))], order_8.to_vec()].concat()
}

/// Non-canonical encodings of keys.
fn non_canonical(key: &[u8]) -> Vec<(&'static str, [u8; 32])> {
    let mut high: [u8; 32] = key.try_into().unwrap();
    high[31] |= 0x80;
    vec![("with bit 255 set", high), ("p, which is 0", p_plus(0)), ("p + 9, which is 9", p_plus(9))]
}

/// A key with a torsion component, and one on the twist.
fn off_the_group(key: &[u8]) -> Vec<(&'static str, [u8; 32])> {
    let point = MontgomeryPoint(key.try_into().unwrap()).to_edwards(0).unwrap();
    let of = |u: u8| std::array::from_fn(|at| if at == 0 { u } else { 0 });
    let twist = (2..).map(of).find(|u| MontgomeryPoint(*u).to_edwards(0).is_none()).unwrap();
    vec![("with a torsion component", (point + EIGHT_TORSION[1]).to_montgomery().0), ("on the twist", twist)]
}

fn with(bytes: &[u8], at: usize, put: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at..at + put.len()].copy_from_slice(put);
    bytes
}

fn flipped(bytes: &[u8], at: usize) -> Vec<u8> {
    with(bytes, at, &[bytes[at] ^ 1])
}

/// Ways to damage any bytes.
fn damaged(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("cut by a byte", bytes[..bytes.len() - 1].to_vec()),
        ("longer by a byte", [bytes, &[0]].concat()),
        ("nothing", vec![]),
    ]
}

impl Scene {
    fn new() -> Self {
        let mut stage = Stage::seeded(30);
        let [alice, bob] = super::two_devices(&mut stage).map(|device| Person::of(&device));
        let published = stage.play(json!({"do": "publish", "device": "Bob", "count": 1, "now": NOW}));
        let one_time = hex_of(&published["one_time_prekeys"][0]).unwrap();
        Self { stage, alice, bob, one_time }
    }

    /// One of each kind of key that a decoder must refuse, for long messages. Identities and headers have them all.
    fn bad_keys(genuine: &[u8]) -> Vec<(&'static str, [u8; 32])> {
        let mut low = low_order();
        let mut non_canonical = non_canonical(genuine);
        [low.split_off(4), non_canonical.drain(..2).collect(), off_the_group(genuine)].concat()
    }

    /// An event that is refused with this word, and at the step that begins `why`.
    fn refuse(&mut self, mut event: Value, why: &str, word: &str) {
        event["why"] = json!(why);
        let outcome = self.stage.play(event);
        assert_eq!(outcome.get("refused"), Some(&json!(word)), "{why}: {outcome:?}");
        let step = outcome.get("step").map_or("", |step| step.as_str().unwrap());
        let within = WITHIN.iter().any(|(code, document)| step == *code && why.starts_with(document));
        assert!(why.contains(step) || within || word == ABANDONED, "{why}: {step}");
    }

    fn parse(&mut self, kind: &str, bytes: &[u8]) {
        let event = parse(kind, bytes, &self.bob);
        assert_eq!(self.stage.play(event)["parsed"], true);
    }

    fn refuse_to_parse(&mut self, kind: &str, bytes: &[u8], why: &str) {
        let event = parse(kind, bytes, &self.bob);
        self.refuse(event, why, REFUSED);
    }

    fn identities(&mut self) {
        let (seed, genuine) = (self.bob.seed.clone(), self.bob.identity.clone());
        self.parse("identity", &genuine);
        for (why, bytes) in damaged(&genuine) {
            self.refuse_to_parse("identity", &bytes, &format!("ID-1: {why}"));
        }
        self.refuse_to_parse("identity", &flipped(&genuine, 127), "ID-1: the certificate does not verify");
        let dh_key = &genuine[32..64];
        for (why, key) in [low_order(), non_canonical(dh_key), off_the_group(dh_key)].concat() {
            let bytes = forge::identity(&seed, &key);
            self.refuse_to_parse("identity", &bytes, &format!("ID-1: a certified DH key {why}"));
        }
        let other_signing_keys =
            [("1, the neutral element", with(&[0; 32], 0, &[1])), ("p, not canonical", p_plus(0).to_vec())];
        for (why, key) in other_signing_keys {
            self.refuse_to_parse("identity", &with(&genuine, 0, &key), &format!("ID-1: a signing key {why}"));
        }
    }

    fn prekeys(&mut self) {
        let (seed, genuine) = (self.bob.seed.clone(), self.bob.signed_prekey.clone());
        self.parse("prekey", &genuine);
        for (why, bytes) in damaged(&genuine) {
            self.refuse_to_parse("prekey", &bytes, &format!("PK-2: {why}"));
        }
        self.refuse_to_parse("prekey", &flipped(&genuine, PREKEY_LEN - 40), "PK-2: the signature does not verify");
        self.refuse_to_parse("prekey", &flipped(&genuine, 13), "PK-2: another expiry than was signed");
        let signed_by_alice = self.alice.signed_prekey.clone();
        self.refuse_to_parse("prekey", &signed_by_alice, "PK-2: another identity's signature");
        let third_kind = forge::prekey(&seed, &genuine, |description| description[KIND] = 3);
        self.refuse_to_parse("prekey", &third_kind, "PK-2: a third kind");
        for (why, key) in Self::bad_keys(&genuine[PREKEY_DH..PREKEY_KEM]) {
            let put = |description: &mut [u8]| description[PREKEY_DH..PREKEY_KEM].copy_from_slice(&key);
            let bytes = forge::prekey(&seed, &genuine, put);
            self.refuse_to_parse("prekey", &bytes, &format!("PK-2: a signed curve key {why}"));
        }
        let beyond = forge::prekey(&seed, &genuine, |description| beyond_modulus(&mut description[PREKEY_KEM..]));
        self.refuse_to_parse("prekey", &beyond, "PK-2: a signed KEM key with a coefficient of q = 3329");
    }

    fn bundles(&mut self) {
        let genuine = hex_of(&json!(self.bob.bundle(None))).unwrap();
        self.parse("bundle", &genuine);
        for (why, bytes) in damaged(&genuine) {
            self.refuse_to_parse("bundle", &bytes, &format!("HS-I1: {why}"));
        }
        self.refuse_to_parse(
            "bundle",
            &with(&genuine, genuine.len() - 1, &[2]),
            "HS-I1: a flag that is neither 0 nor 1",
        );
        self.refuse_to_parse(
            "bundle",
            &with(&genuine, genuine.len() - 1, &[1]),
            "HS-I1: no one-time prekey where the flag says one",
        );
        let (identity, signed, one_time) = (&self.bob.identity, &self.bob.signed_prekey, &self.one_time);
        let swapped = [&identity[..], one_time, &[0]].concat();
        let twice = [&identity[..], signed, &[1], signed].concat();
        let same_key = forge::prekey(&self.bob.seed, one_time, |description| {
            description[PREKEY_DH..PREKEY_KEM].copy_from_slice(&signed[PREKEY_DH..PREKEY_KEM]);
        });
        self.refuse_to_parse("bundle", &swapped, "HS-I1: a one-time prekey as the signed one");
        self.refuse_to_parse("bundle", &twice, "HS-I1: a signed prekey as the one-time one");

        let (own, theirs) = (self.alice.bundle(None), self.bob.bundle(None));
        let equal = self.bob.bundle(Some(&same_key));
        self.refuse(initiate("never", &theirs, EXPIRY + 1, 32), "HS-I2: the signed prekey has expired", "expired");
        self.refuse(initiate("never", &own, NOW, 32), "HS-I3: one's own bundle", REFUSED);
        self.refuse(initiate("never", &equal, NOW, 32), "HS-I3: one curve key as SPK and OPK", REFUSED);
    }

    fn snapshots(&mut self) {
        let key = hex(&[0xA5; 32]);
        let stored = self.stage.play(json!({
            "do": "store", "kind": "session", "name": "Bob", "storage_key": key, "generation": 5,
        }));
        let restore = |bytes: &[u8], newest: u64| {
            json!({
                "do": "restore", "kind": "session", "name": "Bob", "storage_key": key, "newest": newest,
                "subject": stored["subject"], "bytes": hex(bytes),
            })
        };
        let genuine = hex_of(&stored["snapshot"]).unwrap();
        let mut other_key = restore(&genuine, 5);
        other_key["storage_key"] = json!(hex(&[0xA6; 32]));
        let mut other_kind = restore(&genuine, 5);
        other_kind["kind"] = json!("device");
        self.refuse(other_key, "SN-2: another storage key", REFUSED);
        self.refuse(other_kind, "SN-2: a session as a device", REFUSED);
        for (at, why) in [(0, "another local signing key"), (32, "another local DH key"), (64, "another session's id")]
        {
            let mut subject = hex_of(&stored["subject"]).unwrap();
            subject[at] ^= 1;
            let mut other = restore(&genuine, 5);
            other["subject"] = json!(hex(&subject));
            self.refuse(other, &format!("SN-2: {why}"), REFUSED);
        }
        self.refuse(restore(&with(&genuine, 0, &[2]), 5), "SN-2: of version 2", "newer version");
        self.refuse(restore(&genuine, 6), "SN-2: an older generation than the newest known", "older generation");
        let cases = [
            ("SN-2: cut by a byte", genuine[..genuine.len() - 1].to_vec()),
            ("SN-2: nothing", vec![]),
            ("SN-2: of version 0", with(&genuine, 0, &[0])),
            ("SN-2: another generation", with(&genuine, 9, &[6])),
            ("SN-2: another writer", flipped(&genuine, 10)),
            ("SN-2: another salt", flipped(&genuine, 26)),
            ("SN-2: another ciphertext", flipped(&genuine, 100)),
        ];
        for (why, bytes) in cases {
            self.refuse(restore(&bytes, 5), why, REFUSED);
        }
        assert!(!self.stage.play(restore(&genuine, 5)).contains_key("refused"));
    }
}

/// Sets the first coefficient, twelve bits with the low ones first, to q.
fn beyond_modulus(key: &mut [u8]) {
    key[0] = 0x01;
    key[1] = key[1] & 0xF0 | 0x0D;
}

fn parse(kind: &str, bytes: &[u8], signer: &Person) -> Value {
    let mut event = json!({"do": "parse", "kind": kind, "bytes": hex(bytes)});
    if kind == "prekey" {
        event["identity"] = json!(hex(&signer.identity));
    }
    event
}

fn initiate(session: &str, bundle: &str, now: u64, chunk_size: u64) -> Value {
    json!({
        "do": "initiate", "device": "Alice", "session": session, "bundle": bundle, "now": now, "chunk_size": chunk_size,
        "plaintext": hex(b"hello Bob"), "associated_data": "",
    })
}

fn accept(session: &str, first: &Event) -> Value {
    json!({"do": "accept", "device": "Bob", "session": session, "of": first["at"], "associated_data": ""})
}

fn accept_as(session: &str, bytes: &[u8]) -> Value {
    json!({"do": "accept", "device": "Bob", "session": session, "bytes": hex(bytes), "associated_data": ""})
}

fn accept_bytes(bytes: &[u8]) -> Value {
    accept_as("never", bytes)
}

fn deliver_bytes(to: &str, bytes: &[u8], associated: &[u8]) -> Value {
    json!({"do": "deliver", "session": to, "bytes": hex(bytes), "associated_data": hex(associated)})
}
