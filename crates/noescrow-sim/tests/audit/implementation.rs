// SPDX-License-Identifier: MIT OR Apache-2.0
//! Attacks on encodings and on the implementation (section F of the catalogue of attacks) that a recorded run can show.

use crate::faulty_device::{Fault, Name};
use crate::generators::Source;
use crate::run::{ALICE, BOB, Device, NOW, Run, SOURCE, Session, Setup, access_key, account, address};
use noescrow::attachment::{AttachmentKey, AttachmentOpener, AttachmentSealer, Download, StreamError, Upload};
use noescrow::durable::{
    Batch, CommitAction, CommitError, Durable, Exclusive, InboxMessage, KeyChange, LoadError, OutboxMessage, Revision,
    RotateError, Rotated, Row, RowName, Store, Subject,
};
use noescrow::error::{AttachmentError, DecryptError};
use noescrow::hazmat::duplicate_bundle;
use noescrow::messenger::Messenger;
use noescrow::primitives::{Declassified, Failed, RustCrypto};
use noescrow::relay::{Order, Relay, RelayError};
use noescrow::{
    Bundle, ChunkSize, Context, HedgeSecret, HedgedRng, InitiateOptions, Payload, Sealed, Secret, StorageKey,
    skipped::{Heap, Inline},
};
use noescrow_audit::Tape;
use noescrow_recorder::Recorder;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use std::collections::BTreeSet;
use std::path::Path;

/// Attack F2, except timing, which the leakage contract covers: a tag with a wrong first byte and one with a wrong last
/// byte are refused by the same operations in the same order.
#[test]
fn f2_work_is_independent_of_the_wrong_byte_in_a_tag() {
    let mut run = Run::new(2, &Setup::default());
    // In a chain of Alice's that Bob knows.
    assert!(run.send(ALICE) && run.collect(BOB, 0));
    let message = run.sessions[ALICE].as_mut().unwrap().encrypt(b"hello", &mut run.source).unwrap();
    // The record at the end has a digest of all bytes before it, the altered ones included.
    let records = |tape: &Tape| {
        let mut bytes = tape.bytes();
        bytes.truncate(bytes.len() - noescrow_audit::fuzz::END_LEN);
        bytes
    };
    let mut work = |at: usize| {
        let before = records(&run.tape).len();
        let mut altered = message.clone();
        altered[at] ^= 1;
        assert_eq!(run.sessions[BOB].as_mut().unwrap().decrypt(&altered), Err(DecryptError::Refused));
        records(&run.tape).split_off(before)
    };
    let tag = message.len() - 16;
    let works: BTreeSet<Vec<u8>> = (tag..message.len()).map(&mut work).collect();
    assert_eq!(works.len(), 1, "the traces are equal byte for byte");
    // Control: a wrong header gives another trace.
    assert!(!works.contains(&work(1)));
}

/// Dependencies that hold secrets and lack the feature that wipes them.
fn wipes(manifest: &str) -> Vec<&str> {
    let holders = ["aes-gcm", "curve25519-dalek", "ed25519-dalek", "hmac", "sha2"];
    let dependencies = manifest.split("[dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    let line = |name: &str| dependencies.lines().find(|line| line.starts_with(&format!("{name} =")));
    holders.into_iter().filter(|name| !line(name).is_some_and(|line| line.contains("\"zeroize\""))).collect()
}

/// Attack F6: a disabled feature wipes nothing (CVE-2024-34063).
#[test]
fn f6_every_dependency_that_holds_secrets_enables_wiping() {
    let manifest =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join("Cargo.toml")).unwrap();
    assert!(wipes(&manifest).is_empty(), "{:?}", wipes(&manifest));
    // Control.
    let line = manifest.lines().find(|line| line.starts_with("ed25519-dalek =")).unwrap();
    assert_eq!(wipes(&manifest.replace(line, &line.replace("\"zeroize\"", ""))), ["ed25519-dalek"]);
}

/// A store that is always full.
struct Full;

impl Store for Full {
    type Error = &'static str;

    fn load(&mut self, _: &Subject) -> Result<Vec<Row>, Self::Error> {
        Err("full")
    }

    fn commit(&mut self, batch: Batch) -> Result<(), CommitError<Self::Error>> {
        assert!(!batch.is_empty());
        Err(CommitError::NotCommitted("full"))
    }
}

/// The names of the public types in a source file, including those in macros that define errors.
fn public_types(source: &str) -> Vec<String> {
    let words = ["pub struct ", "pub enum "];
    let starts = source.lines().filter_map(|line| words.iter().find_map(|word| line.strip_prefix(word)));
    starts.map(|rest| rest.chars().take_while(|c| c.is_alphanumeric()).collect()).collect()
}

/// The names of the public types in the files of one folder.
pub fn public_types_under(under: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(under)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    paths.flat_map(|path| public_types(&std::fs::read_to_string(path).unwrap())).collect()
}

/// Attacks F8 and G20: the server logs what every public type prints, and the audit finds nothing in it.
#[test]
fn f8_g20_no_public_type_prints_a_secret() {
    let mut run = Run::new(8, &Setup { one_time_prekeys: 2, ..Setup::default() });
    run.save(ALICE);
    let key = StorageKey::new(run.storage_keys[ALICE]);
    // With a stored skipped key in it, too.
    run.send(ALICE);
    run.send(ALICE);
    assert!(run.collect(BOB, 1) && run.sessions[BOB].as_ref().unwrap().skipped_message_keys() == 1);
    let text = run.texts.last().unwrap().clone();

    let mut log: Vec<(&str, String)> = vec![];
    let bundle = run.fetch(BOB);
    let identity = *bundle.identity();
    let disclosed = run.relay.disclose(&account(BOB), &Order::new("A40-12345/2018")).unwrap();
    let publication = run.devices[BOB].publish(1, NOW, &mut run.source).unwrap();
    let private = Secret::<32>::new(run.any(Name::DhPrivate, "").try_into().unwrap());
    let secret = Secret::<32>::new(run.any(Name::RootKey, "").try_into().unwrap());
    log.push(("Session", format!("{:?} {:#?}", run.sessions, run.sessions)));
    log.push(("Device", format!("{:?} {:#?}", run.devices, run.devices)));
    log.push(("Secret", format!("{secret:?} {private:#?}")));
    log.push(("StorageKey", format!("{key:?}")));
    log.push(("Identity", format!("{identity:?}")));
    log.push((
        "SafetyNumber",
        format!("{:?}", noescrow::SafetyNumber::new(&RustCrypto, (&identity, b""), (&identity, b""))),
    ));
    log.push(("DhPublicKey", format!("{:?}", identity.dh_key())));
    log.push(("Failed", format!("{Failed:?} {Failed}")));
    log.push(("RustCrypto", format!("{RustCrypto:?}")));
    log.push(("Declassified", format!("{:?}", Declassified::ALL)));
    log.push(("Prekey", format!("{:?}", bundle.signed_prekey())));
    log.push(("PrekeyKind", format!("{:?}", bundle.signed_prekey().kind())));
    log.push(("ChunkSize", format!("{:?}", ChunkSize::ALL)));
    let payload = Payload { plaintext: &text, associated_data: &text, ..Payload::default() };
    log.push(("Payload", format!("{payload:?} {payload:#?}")));
    let sealed = Sealed { message: &run.snapshots[0], associated_data: &text };
    log.push(("Sealed", format!("{sealed:?} {sealed:#?}")));
    log.push(("UnixSeconds", format!("{NOW:?} {NOW}")));
    let options = InitiateOptions::expecting(&identity, NOW);
    log.push(("InitiateOptions", format!("{options:?} {options:#?}")));
    let without_one_time = Bundle::new(identity, bundle.signed_prekey().clone(), None).unwrap();
    let (_, hello) = run.devices[ALICE]
        .initiate(duplicate_bundle(&bundle), &text, InitiateOptions::unverified(NOW), &mut run.source)
        .unwrap();
    let fetched = run.fetch(BOB);
    let (_, another) =
        run.devices[ALICE].initiate(fetched, &text, InitiateOptions::unverified(NOW), &mut run.source).unwrap();
    let options = InitiateOptions::expecting(run.devices[ALICE].identity(), NOW);
    let failed = run.devices[ALICE].initiate(duplicate_bundle(&bundle), &text, options, &mut run.source).unwrap_err();
    log.push(("InitiateFailed", format!("{failed:?} {failed:#?} {failed}")));
    let (id, expiry) = (bundle.signed_prekey().id(), NOW);
    let expired = noescrow::error::InitiateError::Expired { id, expiry };
    log.push(("InitiateError", format!("{expired:?} {expired}")));
    let pending = run.devices[BOB].open(&hello).unwrap();
    log.push(("Pending", format!("{pending:?} {pending:#?}")));
    let failed = pending.accept(b"other associated data").unwrap_err();
    log.push(("AcceptFailed", format!("{failed:?} {failed:#?} {failed}")));
    let (_, opened) = failed.pending.accept(b"").unwrap();
    log.push(("Opened", format!("{opened:?} {opened:#?}")));
    let context = Context { sender: &text, recipient: &text, conversation: &text };
    log.push(("Context", format!("{context:?} {context:#?}")));
    let hedge = HedgeSecret::new(*secret.expose());
    let hedged = HedgedRng::new(ChaCha20Rng::from_seed(*secret.expose()), &hedge, &text);
    log.push(("HedgeSecret", format!("{hedge:?} {hedge:#?}")));
    log.push(("HedgedRng", format!("{hedged:?} {hedged:#?}")));
    // They have no values.
    log.push(("Capacity", String::new()));
    log.push(("HeapCapacity", String::new()));
    log.push(("Bundle", format!("{bundle:?}")));
    log.push(("Publication", format!("{publication:?}")));
    log.push(("AccountName", format!("{:?}", account(BOB))));
    log.push(("Contact", format!("{:?}", disclosed.contacts)));
    log.push(("Order", format!("{:?}", disclosed.order)));
    log.push(("Queued", format!("{:?}", disclosed.queued)));
    log.push(("DisclosedPrekey", format!("{:?}", disclosed.signed_prekey)));
    log.push(("AccessKey", format!("{:?}", access_key(BOB))));
    log.push(("AccessKeyHash", format!("{:?}", access_key(BOB).hash())));
    log.push(("Disclosure", format!("{disclosed:?} {disclosed}")));
    log.push(("RelayError", format!("{:?} {}", RelayError::MailboxFull, RelayError::MailboxFull)));
    log.push(("Relay", format!("{:?}", run.relay)));
    let mut relay: Relay = run.relay.clone();
    for received in relay.pending(&account(ALICE), address(ALICE), NOW).unwrap() {
        log.push(("Received", format!("{received:?}")));
        log.push(("Envelope", format!("{:?}", received.envelope)));
    }
    for received in relay.pending(&account(BOB), address(BOB), NOW).unwrap() {
        log.push(("Received", format!("{received:?}")));
        log.push(("Envelope", format!("{:?}", received.envelope)));
    }
    // Part of a session or a device, whose output is above.
    log.push(("SkippedMessageKey", String::new()));
    log.push(("Heap", format!("{:?}", Heap::default())));
    log.push(("DhKeyPair", String::new()));
    log.push(("Inline", format!("{:?}", Inline::<4>::default())));
    let session: Session = run.sessions[BOB].take().unwrap();
    log.push(("Subject", format!("{:?}", session.subject())));
    let storage_key = StorageKey::new(run.storage_keys[BOB]);
    let created = Durable::<Session>::new(session, &storage_key, &mut run.source);
    log.push(("Batch", format!("{:?}", created.batch().unwrap())));
    let change = created.batch().unwrap().changes.remove(0);
    log.push(("Row", format!("{:?}", change.rows)));
    log.push(("RowName", format!("{:?}", change.rows.iter().map(|row| row.name).collect::<Vec<RowName>>())));
    log.push(("Revision", format!("{:?}", Revision { writer: [0; 16], ..change.revision })));
    log.push(("Change", format!("{change:?}")));
    let mut durable = created.settle(Ok::<(), CommitError<()>>(())).unwrap();
    log.push(("Durable", format!("{durable:?}")));
    log.push(("CommitAction", format!("{:?}", CommitAction::Stale)));
    log.push(("LoadError", format!("{:?}", LoadError::<()>::Missing)));
    let unsaved = durable.encrypt(&text, &mut run.source).unwrap();
    log.push(("Unsaved", format!("{unsaved:?}")));
    let sent = unsaved.batch().unwrap().sent;
    log.push(("Sent", format!("{sent:?}")));
    let sent = OutboxMessage::of(0, sent.unwrap());
    log.push(("OutboxMessage", format!("{sent:?} {sent:#?}")));
    let failed = unsaved.save(&mut Full).unwrap_err();
    log.push(("SaveFailed", format!("{failed:?} {failed}")));
    log.push(("CommitError", format!("{:?} {}", failed.error, failed.error)));
    drop(failed);
    log.push(("StepError", format!("{:?}", durable.encrypt(&text, &mut run.source).unwrap_err())));
    log.push(("Rotated", format!("{:?}", Rotated::Already { generation: 1 })));
    log.push(("KeyChange", format!("{:?}", KeyChange { old: &storage_key, new: &storage_key })));
    log.push(("RotateError", format!("{:?}", RotateError::<()>::Commit(CommitError::Stale))));
    let device = &run.devices[BOB];
    let (mut saved, subject) = (device.snapshot(&storage_key, 1), device.subject());
    let copy = Device::restore_in_place(run.prims[BOB].clone(), &mut saved, &storage_key, &subject, 1).unwrap();
    let created = Durable::<Device>::new(copy, &storage_key, &mut run.source);
    let mut durable = created.settle(Ok::<(), CommitError<()>>(())).unwrap();
    let (_, hello) = run.devices[ALICE]
        .initiate(duplicate_bundle(&without_one_time), &text, InitiateOptions::unverified(NOW), &mut run.source)
        .unwrap();
    let pending = durable.open(&hello).unwrap();
    log.push(("DurablePending", format!("{pending:?} {pending:#?}")));
    let opened = pending.accept(b"").unwrap();
    let received = opened.batch().unwrap().received;
    log.push(("Received", format!("{received:?}")));
    let received = InboxMessage::from(received.unwrap());
    log.push(("InboxMessage", format!("{received:?} {received:#?}")));
    log.push(("OpenedFlags", format!("{:?}", received.flags)));
    log.push(("Exclusive", format!("{:?}", Exclusive::holding(Secret::<32>::new(*secret.expose())))));

    log.push(("Rotated", format!("{:?}", Rotated::Now { generation: 1 })));
    let failed = RotateError::Load(LoadError::<()>::Missing);
    log.push(("RotateError", format!("{failed:?} {failed:#?}")));
    let other = Device::generate_with(run.prims[BOB].clone(), NOW, &mut run.source);
    let device = std::mem::replace(&mut run.devices[BOB], other);
    let created = Durable::<Device>::new(device, &storage_key, &mut run.source);
    let mut durable = created.settle(Ok::<(), CommitError<()>>(())).unwrap();
    let pending = durable.open(&another).unwrap();
    log.push(("DurablePending", format!("{pending:?} {pending:#?}")));
    drop(pending);
    let options = InitiateOptions::expecting(run.devices[ALICE].identity(), NOW);
    let failed = durable.initiate(duplicate_bundle(&bundle), &text, options, &mut run.source).unwrap_err();
    log.push(("BeginFailed", format!("{failed:?} {failed:#?} {failed}")));

    let own = noescrow::Device::generate(NOW, &mut run.source);
    let created = Messenger::new(own, &storage_key, &mut run.source);
    let messenger = created.settle(Ok::<(), CommitError<()>>(())).unwrap();
    log.push(("Messenger", format!("{messenger:?} {messenger:#?}")));
    let attachment_key = AttachmentKey::from_bytes(*secret.expose());
    log.push(("AttachmentKey", format!("{attachment_key:?}")));
    let sealer = AttachmentSealer::new_with(run.prims[ALICE].clone(), 10, &mut run.source).unwrap();
    log.push(("AttachmentSealer", format!("{sealer:?} {sealer:#?}")));
    let opener = AttachmentOpener::new_with(run.prims[ALICE].clone(), sealer.key(), &sealer.header()).unwrap();
    log.push(("AttachmentOpener", format!("{opener:?} {opener:#?}")));
    let sealed = Path::new(env!("CARGO_TARGET_TMPDIR")).join("printed.sealed");
    let mut download = Download::open(&sealed, 10).unwrap();
    download.put(&sealer.header()).unwrap();
    log.push(("Download", format!("{download:?} {download:#?}")));
    log.push(("Upload", format!("{:?}", Upload::open(&sealed).unwrap())));
    std::fs::remove_file(sealed).unwrap();
    log.push(("StreamError", format!("{:?}", StreamError::from(AttachmentError::Refused))));

    let printed: BTreeSet<String> = log.iter().map(|(name, _)| (*name).to_owned()).collect();
    let modules = [
        "src",
        "src/attachment",
        "src/device",
        "src/durable",
        "src/prekeys",
        "src/primitives",
        "src/ratchet",
        "src/relay",
        "src/snapshot",
    ];
    let exported: BTreeSet<String> = modules.into_iter().flat_map(public_types_under).collect();
    assert_eq!(printed, exported, "every public type, and no type that no longer exists");

    let text = log.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join("\n");
    run.record_relay();
    let verdict = run.audit(text.as_bytes()).verdict();
    assert!(verdict.holds(), "{verdict}");

    // Control: a type that prints its key.
    #[derive(Debug)]
    #[expect(dead_code, reason = "printed")]
    struct Careless {
        key: [u8; 32],
    }
    let careless = format!("{text}\n{:?}", Careless { key: *secret.expose() });
    let verdict = run.audit(careless.as_bytes()).verdict();
    assert!(verdict.findings.iter().any(|found| found.what.starts_with("root key")), "{verdict}");
}

/// Errors contain no byte of what was refused.
#[test]
fn f8_errors_carry_no_bytes() {
    assert_eq!(size_of::<DecryptError>(), 1);
    assert_eq!(size_of::<noescrow::error::AcceptError>(), 1);
    // Kind, id and expiry of a prekey, which are public.
    assert_eq!(size_of::<noescrow::error::InitiateError>(), 16);
    assert_eq!(size_of::<noescrow::error::EncryptError>(), 1);
    assert_eq!(size_of::<noescrow::error::RestoreError>(), 1);
    assert_eq!(size_of::<noescrow::error::DecodeError>(), 0);
    assert_eq!(size_of::<RelayError>(), 1);
    // Control: an error that contains what it refused.
    assert!(size_of::<Result<(), [u8; 16]>>() > 1);
}

/// In these tests a device without a fault does and records the same as a recorder.
#[test]
fn a_device_without_a_fault_records_like_a_recorder() {
    let recorded = |fault: Fault| {
        let run = Run::published(3, &Setup { one_time_prekeys: 0, ..Setup::with(fault) });
        run.tape.bytes()
    };
    let tape = Tape::in_memory();
    let recorders = ["Alice", "Bob"].map(|name| Recorder::device(&tape, name).unwrap());
    let mut source = Source::good(3 ^ SOURCE);
    let mut devices = recorders.map(|recorder| Device::<Recorder>::generate_with(recorder, NOW, &mut source));
    for who in [BOB, ALICE] {
        devices[who].publish(0, NOW, &mut source).unwrap();
    }
    assert!(tape.operations() > 10);
    assert_eq!(tape.bytes(), recorded(Fault::None));
    // Control.
    assert_ne!(tape.bytes(), recorded(Fault::SignsAnything));
}
