// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can be obtained from a server, and from people, by seizure and by order (section G of the catalogue of
//! attacks).

use crate::encodings::hex;
use crate::faulty_device::{Fault, Name};
use crate::generators::{Source, draw};
use crate::run::{ALICE, BOB, NOW, Run, Setup, account, runs};
use noescrow::relay::{Envelope, NOT_HELD, Order};
use noescrow::{BUNDLE_LEN, Bundle, Capacity, IDENTITY_LEN, PREKEY_LEN, device, is_first_message};
use noescrow_audit::{Audit, FindingKind, Kind, Role, TraceReader};
use noescrow_recorder::{Recorder, profile};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Attacks G1 and G2: the disk alone, then the disk with all traffic and what the relay held at every moment. No
/// plaintext follows from all of it together with everything public.
#[test]
fn g1_g2_a_seized_relay_holds_no_key_at_any_moment() {
    for seed in 0..runs() {
        let mut run = Run::begun(seed, &Setup::default());
        for _ in 0..20 {
            run.random_step();
            run.record_relay();
        }
        let disk = run.relay.state_bytes();
        let verdict = Audit::of(profile(), &run.tape).unwrap().server_saw("disk", &disk).verdict();
        assert!(verdict.holds(), "seed {seed}: {verdict}");
        let verdict = run.audit(b"").verdict();
        assert!(verdict.holds(), "seed {seed}: {verdict}");
        // Control: a relay with one more column, which contains a key.
        let keys = run.all(Name::MessageKey, "");
        let key = &keys[draw(&mut run.rng, keys.len())];
        let column = [&disk[..], &hex(key).into_bytes()].concat();
        let verdict = Audit::of(profile(), &run.tape).unwrap().server_saw("disk", &column).verdict();
        assert!(verdict.of_kind(FindingKind::SecretInEvidence).any(|found| found.what.starts_with("message key")));
    }
}

/// A source file without its comments.
fn code(path: &Path) -> String {
    let source = std::fs::read_to_string(path).unwrap();
    source.lines().filter(|line| !line.trim_start().starts_with("//")).map(|line| format!("{line}\n")).collect()
}

fn sources(under: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(under)).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs"));
    paths
}

fn names_a_secret_type(code: &str) -> bool {
    let names = ["Secret", "StorageKey", "KeyPair", "Session", "Device", "Primitives", "Durable", "PrekeyPair"];
    let words: BTreeSet<&str> = code.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    names.iter().any(|name| words.contains(name))
}

/// The one function that gives out a secret: once, and independent of every key of the session.
const EXPORTER: &str = "take_exporter(&mut self) -> Option<Secret<32>>";

/// Whether a source file has another public function that returns a secret.
fn exports_a_secret(code: &str) -> bool {
    let signatures = code.split("pub fn ").chain(code.split("pub const fn ")).skip(1);
    let mut heads = signatures.map(|rest| rest.split('{').next().unwrap_or_default());
    heads.any(|head| {
        let is_exporter = head.trim().ends_with(EXPORTER);
        !is_exporter
            && head.split("->").nth(1).is_some_and(|output| output.contains("Secret<") || output.contains("KeyPair"))
    })
}

/// Attack G6: the relay's module names no type that holds a secret, and only the module of primitives exports one.
#[test]
fn g6_relay_names_no_secret_type_and_no_function_exports_one() {
    let relay = sources("src/relay");
    assert!(relay.len() >= 5);
    for path in &relay {
        assert!(!names_a_secret_type(&code(path)), "{}", path.display());
    }
    let braid = [sources("src/ratchet/braid"), sources("src/ratchet/sparse")].concat();
    let rest: Vec<_> = [sources("src"), sources("src/device"), sources("src/ratchet"), braid, relay].concat();
    let rest = rest.iter().filter(|path| !path.ends_with("secret.rs"));
    let exporting: Vec<_> = rest.filter(|path| exports_a_secret(&code(path))).collect();
    assert!(exporting.is_empty(), "{exporting:?}");
    // Controls.
    let device = code(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join("src/device.rs"));
    assert!(names_a_secret_type(&device));
    assert!(exports_a_secret("pub fn escrow(&self) -> &Secret<32> {"));
    assert!(exports_a_secret("pub const fn pair(&self) -> DhKeyPair {"));
    assert!(exports_a_secret("pub fn exporter(&self) -> Option<Secret<32>> {"));
    assert!(!exports_a_secret(&format!("pub fn {EXPORTER} {{")));
}

/// Reads numbers and values of known length.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        Some(u64::from_be_bytes(self.take(8)?.try_into().ok()?))
    }

    fn long(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.number()?).ok()?;
        self.take(len)
    }
}

/// Parses the relay's state by its documented schema. Returns the number of accounts; `None` if there is anything else.
fn read_state(bytes: &[u8]) -> Option<usize> {
    let (mut state, mut accounts) = (Fields(bytes), 0);
    while !state.0.is_empty() {
        std::str::from_utf8(state.long()?).ok().filter(|name| !name.is_empty())?; // the account's name
        state.number()?; // the day on which it was opened
        state.take(32)?; // the hash of its access key
        state.take(IDENTITY_LEN)?;
        state.take(PREKEY_LEN)?;
        let prekeys = state.long()?;
        state.number()?; // the ten minutes in which all one-time prekeys may be served again
        let mut queue = Fields(state.long()?);
        while !queue.0.is_empty() {
            queue.number()?; // of the envelope, at random
            queue.number()?; // the day on which it arrived
            matches!(queue.take(1)?, [0 | 1]).then_some(())?; // with the access key or without
            Envelope::new(queue.long()?.to_vec()).ok()?;
        }
        let mut contacts = Fields(state.long()?);
        while !contacts.0.is_empty() {
            contacts.number()?; // day
            matches!(contacts.long()?.len(), 4 | 16).then_some(())?; // address
        }
        (prekeys.len() % PREKEY_LEN == 0).then_some(())?;
        accounts += 1;
    }
    Some(accounts)
}

/// Attack G9: every byte of the relay's state belongs to a field with a meaning, and a mailbox accepts only messages.
#[test]
fn g9_the_relays_schema_is_closed() {
    let mut run = Run::begun(9, &Setup::default());
    for _ in 0..30 {
        run.random_step();
        let state = run.relay.state_bytes();
        assert_eq!(read_state(&state), Some(2));
        // Controls: an additional byte anywhere; a missing byte.
        let at = draw(&mut run.rng, state.len());
        assert_eq!(read_state(&[&state[..], &[0]].concat()), None);
        assert_eq!(read_state(&[&[0], &state[..]].concat()), None);
        assert_eq!(read_state(&state[..state.len() - 1]), None);
        assert_ne!(read_state(&[&state[..at], &[0x5A; 32], &state[at..]].concat()), Some(2), "{at}");
    }
    let mut accepted = 0;
    for length in [0, 1, 31, 32, 100, 149, 150, 1000, 1900, 1904, 1905, 4000] {
        for _ in 0..300 {
            let mut bytes = vec![0; length];
            run.rng.fill_bytes(&mut bytes);
            let shortest = is_first_message(&bytes).map(|first| if first { 1905 } else { 150 });
            let envelope = Envelope::new(bytes);
            assert_eq!(envelope.is_ok(), shortest.is_ok_and(|shortest| length >= shortest));
            accepted += usize::from(envelope.is_ok());
        }
    }
    assert!(accepted > 0, "what looks like a message is accepted: only its recipient can tell");
}

/// The paths to all values in JSON.
fn paths(value: &serde_json::Value, prefix: &str) -> BTreeSet<String> {
    match value {
        serde_json::Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, value)| {
                paths(value, &format!("{prefix}{}{name}", if prefix.is_empty() { "" } else { "." }))
            })
            .collect(),
        serde_json::Value::Array(values) => {
            values.iter().flat_map(|value| paths(value, &format!("{prefix}[]"))).collect()
        }
        _ => [prefix.to_owned()].into(),
    }
}

/// Everything that a relay can disclose about an account. Adding a line is a decision about people's data, not a
/// detail.
const DISCLOSED: [&str; 22] = [
    "access_key_hash",
    "account",
    "contacts[].address",
    "contacts[].time",
    "identity",
    "not_held[]",
    "one_time_prekeys[].encoded",
    "one_time_prekeys[].expiry",
    "one_time_prekeys[].id",
    "opened",
    "order.from",
    "order.reference",
    "order.until",
    "queued[].number",
    "queued[].sealed",
    "queued[].size",
    "queued[].time",
    "queued[].with_access_key",
    "requests_limited_until",
    "signed_prekey.encoded",
    "signed_prekey.expiry",
    "signed_prekey.id",
];

/// Attack G21: in 2018 it was an IP address and a telephone number.
#[test]
fn g21_disclosure_has_exactly_the_documented_fields() {
    let mut run = Run::begun(21, &Setup::default());
    let (mut all, documented) = (BTreeSet::new(), DISCLOSED.map(str::to_owned).into());
    for _ in 0..30 {
        run.random_step();
        for who in [ALICE, BOB] {
            let disclosed = run.relay.disclose(&account(who), &Order::new("A40-12345/2018")).unwrap();
            all.extend(paths(&serde_json::to_value(&disclosed).unwrap(), ""));
        }
    }
    assert_eq!(all, documented);
    assert_eq!(NOT_HELD.len(), 6);
    // Control: an additional column is noticed at any depth.
    let grown =
        serde_json::json!({ "account": "+1", "contacts": [{ "time": 1, "address": "::1", "device": "phone" }] });
    assert!(paths(&grown, "").contains("contacts[].device"));
    assert!(!paths(&grown, "").is_subset(&documented));
}

/// Attack G23: both users hand over their identity keys. This opens nothing that they wrote. From then on the server
/// can impersonate either of them, and no safety number shows it.
#[test]
fn g23_identity_keys_allow_impersonation_but_open_no_past_message() {
    for seed in 0..runs() {
        let mut run = Run::new(seed, &Setup::default());
        let identity = |run: &Run, who: usize| {
            let tap = run.tap(who);
            [tap.all(Name::SigningSeed, "").swap_remove(0), tap.all(Name::DhPrivate, "").swap_remove(0)].concat()
        };
        let disclosed_keys = [identity(&run, ALICE), identity(&run, BOB)].concat();
        let verdict = run.audit(&disclosed_keys).verdict();
        assert_eq!(verdict.of_kind(FindingKind::SecretInEvidence).count(), 4, "seed {seed}: {verdict}");
        let plaintexts = |verdict: &noescrow_audit::Verdict| {
            verdict.findings.iter().filter(|found| found.what.starts_with("plaintext")).count()
        };
        assert_eq!(plaintexts(&verdict), 0, "seed {seed}: {verdict}");

        let then = ChaCha20Rng::seed_from_u64(seed + 5);
        let mut generator = Source::Supplied { bytes: identity(&run, BOB), then };
        let server = Recorder::server(&run.tape, "relay").unwrap();
        let mut impersonator = device::Device::<Recorder, Capacity<8, 16>>::generate_with(server, NOW, &mut generator);
        assert_eq!(impersonator.identity(), run.devices[BOB].identity());
        let mut published = impersonator.publish(1, NOW, &mut generator).unwrap();
        let forged =
            Bundle::new(published.identity, published.signed_prekey, published.one_time_prekeys.pop()).unwrap();
        let bytes = forged.to_bytes();
        assert!(bytes.len() <= BUNDLE_LEN);
        run.wire.extend(&bytes);
        let bundle = Bundle::from_bytes(&run.prims[ALICE], &bytes).unwrap();
        run.initiate(&bundle);
        let verdict = run.audit(&disclosed_keys).verdict();
        assert!(plaintexts(&verdict) == 1, "seed {seed}: the new message and no old one: {verdict}");
    }
}

/// What an identity may sign.
const SIGNED: [&[u8]; 2] = [b"noescrow-v1 identity certificate", b"noescrow-v1 prekey"];

fn signs_only_what_is_labelled(run: &Run) -> bool {
    let (mut signatures, mut labelled) = (0, 0);
    let note = |operation: &noescrow_audit::Operation<'_>| {
        if operation.kind == Kind::Sign {
            let message = operation.input(Role::Message).unwrap();
            signatures += 1;
            labelled += usize::from(SIGNED.iter().any(|label| message.starts_with(label)));
        }
    };
    TraceReader::new(&run.tape.bytes()[..]).unwrap().for_each(note).unwrap();
    assert!(signatures >= 4);
    signatures == labelled
}

/// Attack G24: an identity signs nothing that a relay made, and nothing without a label.
#[test]
fn g24_an_identity_signs_only_certificates_and_prekeys() {
    for seed in 0..runs() {
        assert!(signs_only_what_is_labelled(&Run::new(seed, &Setup::default())));
        assert!(!signs_only_what_is_labelled(&Run::new(seed, &Setup::with(Fault::SignsAnything))));
    }
}
