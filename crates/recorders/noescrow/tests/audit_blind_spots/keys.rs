// SPDX-License-Identifier: MIT OR Apache-2.0
//! Keys that the audit once did not recognise: those of a restored state, and those in expanded form.

use super::{Device, Run, Session};
use ml_kem::{DecapsulationKey, MlKem768, MlKem1024};
use noescrow::primitives::Primitives;
use noescrow::{Secret, StorageKey};
use noescrow_audit::{Audit, FindingKind, Kind, Role, Tape, TraceReader, Verdict};
use noescrow_recorder::{Recorder, profile};
use sha2::{Digest, Sha512};
use std::collections::BTreeSet;

/// All values of 32 and 64 bytes on a tape, including the fields of KDF outputs.
fn values(tape: &Tape) -> BTreeSet<Vec<u8>> {
    let mut all = BTreeSet::new();
    TraceReader::new(&tape.bytes()[..])
        .unwrap()
        .for_each(|operation| {
            for field in operation.fields {
                match (field.role, field.bytes.len()) {
                    (Role::KdfOutput, _) => all.extend(field.bytes.chunks_exact(32).map(<[u8]>::to_vec)),
                    (Role::DhPrivate | Role::SigningSeed | Role::KemSeed | Role::KdfKey | Role::KdfInput, 32 | 64) => {
                        all.insert(field.bytes.to_vec());
                    }
                    _ => {}
                }
            }
        })
        .unwrap();
    all
}

/// The state that was restored on a tape.
fn restored(tape: &Tape) -> Vec<u8> {
    let mut state = Vec::new();
    TraceReader::new(&tape.bytes()[..])
        .unwrap()
        .for_each(|operation| {
            if operation.kind == Kind::Open && operation.step == "SN-2" {
                state = operation.output(Role::Plaintext).unwrap().to_vec();
            }
        })
        .unwrap();
    state
}

fn key() -> StorageKey {
    StorageKey::new([0x51; 32])
}

fn audit(tape: &Tape, held: &[u8]) -> Verdict {
    Audit::of(profile(), tape).unwrap().server_saw("disk", held).verdict()
}

/// For each secret of the restored state that the earlier run had, 17 bytes in a file are a finding.
fn assert_known_in_fragments(before: &Tape, after: &Tape, least: usize) {
    let state = restored(after);
    let held: Vec<Vec<u8>> = values(before)
        .into_iter()
        .filter(|value| value.iter().any(|byte| *byte != 0) && state.windows(value.len()).any(|part| part == value))
        .collect();
    assert!(held.len() >= least, "{}", held.len());
    for value in &held {
        for part in [&value[..17], &value[value.len() - 17..]] {
            let verdict = audit(after, part);
            let found = verdict.of_kind(FindingKind::FragmentInEvidence).count();
            assert_eq!(found, 1, "{part:x?} {verdict}");
        }
    }
    // Control: bytes that are in no state.
    assert_eq!(audit(after, &[0xA7, 3, 0x91, 4, 5, 0x26, 7, 8, 9, 0x8A, 11, 12, 13, 14, 15, 16, 17]).findings, []);
}

#[test]
fn fragments_of_a_restored_session_are_found() {
    let run = Run::new();
    let snapshot = run.session.snapshot(&key(), 1);
    let tape = Tape::in_memory();
    let recorder: Recorder = Recorder::device(&tape, "Alice again").unwrap();
    let _ = Session::restore_in_place(recorder, &mut snapshot.clone(), &key(), &run.session.subject(), 0).unwrap();
    // Root key, ratchet key, two chain keys, four header keys; a responder that has not answered lacks some.
    assert_known_in_fragments(&run.tape, &tape, 6);
}

#[test]
fn fragments_of_a_restored_device_are_found() {
    let run = Run::new();
    let snapshot = run.device.snapshot(&key(), 1);
    let tape = Tape::in_memory();
    let recorder: Recorder = Recorder::device(&tape, "Bob again").unwrap();
    let _ = Device::restore_in_place(recorder, &mut snapshot.clone(), &key(), &run.device.subject(), 0).unwrap();
    // Signing seed, identity key, and two keys of the signed prekey.
    assert_known_in_fragments(&run.tape, &tape, 4);
}

fn drawn<const N: usize>(seed: u8) -> [u8; N] {
    std::array::from_fn(|at| (at as u8).wrapping_mul(37).wrapping_add(seed) ^ 0x5A)
}

fn flagged_as(verdict: &Verdict, what: &str) -> Vec<FindingKind> {
    let named = verdict.findings.iter().filter(|finding| finding.what.contains(what));
    named.map(|finding| finding.kind).collect()
}

#[test]
fn both_halves_of_a_signing_seeds_hash_are_secret() {
    let tape = Tape::in_memory();
    let recorder = Recorder::device(&tape, "Alice").unwrap();
    let seed = Secret::new(drawn(1));
    recorder.fresh(seed.expose());
    let public = recorder.signing_public(&seed);
    let expanded: [u8; 64] = Sha512::digest(seed.expose()).into();
    let mut clamped = expanded;
    clamped[0] &= 0xF8;
    clamped[31] = clamped[31] & 0x7F | 0x40;
    let whole = FindingKind::SecretInEvidence;
    let verdict = audit(&tape, &clamped);
    assert_eq!(flagged_as(&verdict, "Ed25519 scalar"), [whole], "{verdict}");
    assert_eq!(flagged_as(&verdict, "Ed25519 prefix"), [whole], "{verdict}");
    assert_eq!(flagged_as(&audit(&tape, &expanded), "Ed25519 prefix"), [whole]);
    // Before clamping, all bytes of the scalar except the first and last are the same.
    let fragment = FindingKind::FragmentInEvidence;
    assert_eq!(flagged_as(&audit(&tape, &expanded[..32]), "Ed25519 scalar"), [fragment]);
    assert_eq!(flagged_as(&audit(&tape, &expanded[5..21]), "Ed25519 scalar"), [fragment]);
    // The form of 64 bytes that many libraries store.
    let pair = [&seed.expose()[..], &public].concat();
    assert_eq!(flagged_as(&audit(&tape, &pair), "Ed25519 private key"), [whole]);
    // Control: the hash of another seed, and the public key.
    let other: [u8; 64] = Sha512::digest([7; 32]).into();
    assert_eq!(audit(&tape, &[&other[..], &public].concat()).findings, []);
}

#[test]
#[allow(deprecated, reason = "the audit looks for the form that should not be stored")]
fn expanded_decapsulation_keys_are_secret() {
    use ml_kem::ExpandedKeyEncoding;
    let tape = Tape::in_memory();
    let recorder = Recorder::device(&tape, "Alice").unwrap();
    let [large, small] = [drawn::<64>(1), drawn(2)].map(Secret::new);
    recorder.fresh(large.expose());
    recorder.fresh(small.expose());
    recorder.kem_public(&large);
    recorder.incremental_public(&small);
    let large = DecapsulationKey::<MlKem1024>::from_seed((*large.expose()).into()).to_expanded_bytes();
    let small = DecapsulationKey::<MlKem768>::from_seed((*small.expose()).into()).to_expanded_bytes();
    assert_eq!((large.len(), small.len()), (3168, 2400));
    for (expanded, len, name) in
        [(&large[..], 1536, "ML-KEM-1024 secret vector"), (&small[..], 1152, "ML-KEM-768 secret vector")]
    {
        assert_eq!(flagged_as(&audit(&tape, expanded), name), [FindingKind::SecretInEvidence]);
        assert_eq!(flagged_as(&audit(&tape, &expanded[..len]), name), [FindingKind::SecretInEvidence]);
        assert_eq!(flagged_as(&audit(&tape, &expanded[len - 40..len - 20]), name), [FindingKind::FragmentInEvidence]);
        // Control: the encapsulation key after it, which is public.
        assert_eq!(audit(&tape, &expanded[len..expanded.len() - 64]).findings, [], "{name}");
    }
}

#[test]
fn secret_vector_gives_the_shared_secret() {
    let tape = Tape::in_memory();
    let recorder = Recorder::device(&tape, "Alice").unwrap();
    let [seed, coins] = [drawn::<64>(1).to_vec(), drawn::<32>(9).to_vec()];
    recorder.fresh(&seed);
    recorder.fresh(&coins);
    let seed = Secret::new(seed.try_into().unwrap());
    let public = recorder.kem_public(&seed);
    let _ = recorder.encapsulate(&public, &Secret::new(coins.try_into().unwrap()));
    #[allow(deprecated, reason = "as above")]
    let expanded = {
        use ml_kem::ExpandedKeyEncoding;
        DecapsulationKey::<MlKem1024>::from_seed((*seed.expose()).into()).to_expanded_bytes()
    };
    let verdict = audit(&tape, &expanded[..1536]);
    assert_eq!(flagged_as(&verdict, "KEM shared secret"), [FindingKind::Derivable], "{verdict}");
    assert_eq!(flagged_as(&audit(&tape, &expanded[..1500]), "KEM shared secret"), []);
}

/// The device states the step of an operation. Its claim alone must not make a plaintext less secret.
#[test]
fn secret_under_the_label_of_another_step_is_secret() {
    for step in ["HS-I6", "HS-R4", "DR-E4", "DR-D8", "SN-1", "SN-2"] {
        for len in [40, noescrow::IDENTITY_LEN] {
            let text: Vec<u8> = (0..len).map(|at| (at as u8).wrapping_mul(41) ^ 0x33).collect();
            let run = Run::new();
            let key = drawn::<32>(3);
            run.alice.fresh(&key);
            run.alice.step(step);
            let mut sealed = text.clone();
            run.alice.seal(&Secret::new(key), &[1; 12], b"", &mut sealed).unwrap();
            let verdict = run.verdict(&text[4..24]);
            assert_eq!(super::kinds(&verdict), [FindingKind::FragmentInEvidence], "{step} {len}: {verdict}");
            // Control: nothing else is found.
            assert!(run.verdict(b"").holds(), "{step} {len}");
        }
    }
}

#[test]
fn key_derived_under_the_label_of_a_snapshot_is_secret() {
    let run = Run::new();
    let key = drawn::<32>(4);
    run.alice.step("SN-1");
    let output = run.alice.hmac(&key, &[b"no salt of a snapshot"]);
    let mut expanded = [0; 32];
    run.alice.hkdf_expand(&Secret::new(drawn(5)), &[b"no label of a snapshot"], &mut expanded);
    let verdict = run.verdict(output.expose());
    let origin = verdict.of_kind(FindingKind::UnknownOrigin).count();
    assert_eq!((origin, verdict.of_kind(FindingKind::SecretInEvidence).count()), (2, 1), "{verdict}");
}
