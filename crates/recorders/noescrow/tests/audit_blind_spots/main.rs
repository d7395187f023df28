// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ways past the audit that a review of its source once found. The audit must find each of them, and must not flag the
//! honest run beside it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    unreachable_pub,
    missing_debug_implementations,
    reason = "a test states what it expects"
)]

mod expansions;
mod keys;
mod public;
mod search;
mod sources;
mod texts;
mod traces;
mod verdict;

use flate2::Compression;
use flate2::write::GzEncoder;
use noescrow::hazmat::AcceptFromAnyone;
use noescrow::primitives::{Primitives, RustCrypto};
use noescrow::{Bundle, Capacity, InitiateOptions, Secret, UnixSeconds, device, session};
use noescrow_audit::{Audit, Evidence, FindingKind, Kind, Outcome, Role, Tape, TraceReader, Verdict};
use noescrow_recorder::{Recorder, profile};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::io::Write;

type Device = device::Device<Recorder, Capacity<2, 2>>;
type Session = session::Session<Recorder>;

/// A conversation of four messages, what its server saw, and Alice's recorder for further operations.
struct Run {
    tape: Tape,
    wire: Vec<u8>,
    bundle: Vec<u8>,
    alice: Recorder,
    session: Session,
    device: Device,
}

impl Run {
    fn with(text: &[u8]) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(7);
        let tape = Tape::in_memory();
        let [recorder, other] = ["Alice", "Bob"].map(|name| Recorder::device(&tape, name).unwrap());
        let mut bob = Device::generate_with(other, UnixSeconds(1), &mut rng);
        let alice = Device::generate_with(recorder.clone(), UnixSeconds(1), &mut rng);
        let mut published = bob.publish(1, UnixSeconds(1), &mut rng).unwrap();
        let one_time = published.one_time_prekeys.pop();
        let bundle = Bundle::new(published.identity, published.signed_prekey, one_time).unwrap();
        let bundle_bytes = bundle.to_bytes();
        let mut wire = bundle_bytes.clone();
        let first = b"hi Bob, a secret of ours";
        let (mut a, hello): (Session, _) =
            alice.initiate(bundle, first, InitiateOptions::unverified(UnixSeconds(0)), &mut rng).unwrap();
        wire.extend(&hello);
        let (mut b, _): (Session, _) = bob.accept(&hello).unwrap();
        for _ in 0..2 {
            let message = b.encrypt(text, &mut rng).unwrap();
            wire.extend(&message);
            a.decrypt(&message).unwrap();
        }
        let message = a.encrypt(b"some answer to that, private", &mut rng).unwrap();
        wire.extend(&message);
        b.decrypt(&message).unwrap();
        Self { tape, wire, bundle: bundle_bytes, alice: recorder, session: a, device: bob }
    }

    fn new() -> Self {
        Self::with(b"a text that is long enough")
    }

    /// With a file of its own for each.
    fn verdict_on<'a>(&self, held: impl Iterator<Item = &'a [u8]>) -> Verdict {
        let audit = Audit::of(profile(), &self.tape).unwrap().server_saw("wire", &self.wire);
        let named = held.enumerate().map(|(number, held)| (format!("file {number}"), held));
        named.fold(audit, |audit, (name, held)| audit.server_saw(&name, held)).known(Evidence::new()).verdict()
    }

    fn verdict(&self, held: &[u8]) -> Verdict {
        let audit = Audit::of(profile(), &self.tape).unwrap().server_saw("wire", &self.wire);
        audit.server_saw("disk", held).known(Evidence::new()).verdict()
    }

    /// The inputs with a role of the last operation of a kind that has this field.
    fn last(&self, kind: Kind, with: &[u8], role: Role) -> Vec<Vec<u8>> {
        let mut last = Vec::new();
        let trace = self.tape.bytes();
        TraceReader::new(&*trace)
            .unwrap()
            .for_each(|operation| {
                if operation.kind == kind && operation.fields.iter().any(|field| field.bytes == with) {
                    last = operation.inputs(role).map(<[u8]>::to_vec).collect();
                }
            })
            .unwrap();
        last
    }

    fn aead_key(&self) -> Vec<u8> {
        let mut key = Vec::new();
        let trace = self.tape.bytes();
        TraceReader::new(&*trace)
            .unwrap()
            .for_each(|operation| key.extend(operation.input(Role::AeadKey).map(<[u8]>::to_vec)))
            .unwrap();
        key.pop().unwrap()
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn kinds(verdict: &Verdict) -> Vec<FindingKind> {
    verdict.findings.iter().map(|finding| finding.kind).collect()
}

#[test]
fn control_honest_run_is_clean() {
    let run = Run::new();
    let verdict = run.verdict(&gzip(&[&b"requests of today\n".repeat(40)[..], &run.bundle].concat()));
    assert!(verdict.holds(), "{verdict}");
}

#[test]
fn bundle_does_not_hide_a_fragment_in_the_same_stream() {
    let run = Run::new();
    let lines = b"requests of today\n".repeat(40);
    let log = [&lines[..], &run.bundle, b" debug ", &run.aead_key()[..20], b" end"].concat();
    assert_eq!(kinds(&run.verdict(&gzip(&log))), [FindingKind::FragmentInEvidence]);
}

#[test]
fn pseudorandom_key_of_hkdf_is_secret_and_gives_the_output() {
    let run = Run::new();
    for label in [b"noescrow-v1_X25519_SHA-256_ML-KEM-1024".as_slice(), b"noescrow-v1 message"] {
        let salt = run.last(Kind::Hkdf, label, Role::KdfKey).remove(0);
        let parts = run.last(Kind::Hkdf, label, Role::KdfInput);
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let verdict = run.verdict(RustCrypto.hmac(&salt, &parts).expose());
        assert!(verdict.of_kind(FindingKind::SecretInEvidence).any(|finding| finding.what.contains("pseudorandom")));
        assert!(verdict.of_kind(FindingKind::Derivable).next().is_some(), "{verdict}");
    }
}

#[test]
fn public_key_without_owner_on_the_tape_leaves_the_claim_unshown() {
    let run = Run::new();
    let mut rng = ChaCha20Rng::seed_from_u64(8);
    let [server, ephemeral] = std::array::from_fn(|_| {
        let mut secret = [0; 32];
        rng.fill_bytes(&mut secret);
        Secret::new(secret)
    });
    let unmatched = RustCrypto.dh_public(&server);
    run.alice.fresh(ephemeral.expose());
    let _ = run.alice.dh_public(&ephemeral);
    let _ = run.alice.dh(&ephemeral, &unmatched).unwrap();
    assert_eq!(run.verdict(b"").outcome, Outcome::CouldNotExamine);
}

#[test]
fn key_hashed_from_known_or_empty_input_is_derivable() {
    let text = *b"the whole address book, in the clear";
    for known in [&b"+14151111111 backup of the account 2024"[..], b""] {
        let run = Run::new();
        let key = run.alice.sha256(&[known]);
        run.alice.seal(&Secret::new(key), &[1; 12], b"", &mut { text }).unwrap();
        let verdict = run.verdict(known);
        assert!(verdict.of_kind(FindingKind::Derivable).next().is_some(), "{known:?} {verdict}");
    }
    // If the server does not have the input, the input was not drawn either: the run does not show its origin.
    let run = Run::new();
    let key = run.alice.sha256(&[b"+14151111111 backup of the account 2024"]);
    run.alice.seal(&Secret::new(key), &[1; 12], b"", &mut { text }).unwrap();
    assert_eq!(kinds(&run.verdict(b"")), [FindingKind::UnknownOrigin]);
}

#[test]
fn secret_too_long_to_be_kept_is_reported() {
    let run = Run::new();
    let mut attachment = vec![0; (1 << 20) + 1];
    ChaCha20Rng::seed_from_u64(3).fill_bytes(&mut attachment);
    let mut key = [0; 32];
    ChaCha20Rng::seed_from_u64(4).fill_bytes(&mut key);
    run.alice.step("APP-1");
    run.alice.fresh(&key);
    run.alice.seal(&Secret::new(key), &[1; 12], b"", &mut attachment.clone()).unwrap();
    assert_eq!(run.verdict(&attachment).outcome, Outcome::CouldNotExamine);
    // One byte shorter, the search looks for it.
    let run = Run::new();
    run.alice.step("APP-1");
    run.alice.fresh(&key);
    run.alice.seal(&Secret::new(key), &[1; 12], b"", &mut attachment[1..].to_vec()).unwrap();
    assert_eq!(kinds(&run.verdict(&attachment)), [FindingKind::PlaintextInEvidence]);
}

#[test]
fn labels_do_not_show_that_evidence_is_of_the_run() {
    let run = Run::new();
    let label = b"the label is noescrow-v1 KDF_RK_HE, see the document";
    let verdict = Audit::of(profile(), &run.tape).unwrap().server_saw("README", label).verdict();
    assert_eq!(verdict.outcome, Outcome::CouldNotExamine);
}

#[test]
fn drawn_value_that_is_never_used_is_secret() {
    let run = Run::new();
    let mut key = [0; 32];
    ChaCha20Rng::seed_from_u64(5).fill_bytes(&mut key);
    run.alice.fresh(&key);
    assert!(run.verdict(b"").holds());
    assert_eq!(kinds(&run.verdict(&key)), [FindingKind::SecretInEvidence]);
}

/// These are no findings: everyone knows the texts, and the message keys are still secret.
#[test]
fn user_may_write_what_everyone_knows() {
    for text in [&[1][..], &[0; 18], b"noescrow-v1 message"] {
        let verdict = Run::with(text).verdict(b"");
        assert!(verdict.holds_for_what_was_searched(), "{text:?} {verdict}");
        // A text of one byte is not searched for.
        assert_eq!(verdict.holds(), text.len() > 1, "{text:?} {verdict}");
    }
}
