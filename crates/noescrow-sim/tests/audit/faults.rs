// SPDX-License-Identifier: MIT OR Apache-2.0
//! Controls with a known key, a weak generator or a faulty device: what follows from it, and what does not.

pub mod steps;

use crate::controls::{Control, encoded, follows, found};
use crate::encodings::{base64, hex};
use crate::faulty_device::{Fault, Name};
use crate::generators::Source;
use crate::leaks::{bobs_states, control, in_a_dump, limited, plain, rng};
use crate::run::{ALICE, BOB, NAMES, Setup};
use noescrow_audit::FindingKind;
use noescrow_audit::FindingKind::{
    Derivable, PlaintextInEvidence, RepeatedFresh, SecretMadePublic, ServerInKey, TwoTimePad, UnknownOrigin,
};
use noescrow_recorder::Recorder;
use rand_chacha::rand_core::Rng;
use steps::{
    begins_twice_with_one_generator, draws_from_sixteen_bits, first_draws, first_of, long, nonce, nothing,
    plants_a_prekey, sealed_backup, sealed_session, sends_again_from_one_machine, sends_twice_from_one_machine,
    without_one_time_prekeys,
};

pub const FAULTS: &[Control] = &[
    control(
        "ephemeral key reused",
        plain,
        begins_twice_with_one_generator,
        &[found(RepeatedFresh, "X25519 private key"), found(RepeatedFresh, "ML-KEM coins")],
    ),
    control(
        "ephemeral keys from 16 bits",
        plain,
        draws_from_sixteen_bits,
        &[found(RepeatedFresh, "X25519 private key")],
    ),
    limited(
        control(
            "a generator that returns zeros",
            |_| Setup { handshake_source: Some(Source::Zeros), ..Setup::default() },
            nothing,
            &[
                found(RepeatedFresh, "X25519 private key"),
                found(Derivable, "X25519 shared secret"),
                found(Derivable, "KEM shared secret"),
                found(Derivable, "key of the hidden identity"),
            ],
        ),
        // Alice's identity comes from a good generator.
        &[(Derivable, "SK of the handshake"), (Derivable, "plaintext")],
    ),
    control(
        "everything that Alice drew",
        plain,
        |run| first_draws(run),
        &[
            follows("SK of the handshake", "X25519 private key"),
            follows("plaintext", "ML-KEM coins"),
            follows("key of the hidden identity", "ML-KEM coins"),
        ],
    ),
    control(
        "chain keys kept in the mailbox",
        plain,
        // Both from before one message: the ratchets do not step together, so later keys need not belong to one
        // message.
        |run| {
            let classical = first_of(run, ALICE, Name::ChainKey, "DR-E1");
            [classical, first_of(run, ALICE, Name::PostQuantumChainKey, "SP-I1")].concat()
        },
        &[
            encoded("chain key", "raw"),
            follows("plaintext", "chain key"),
            follows("plaintext", "post-quantum chain key"),
        ],
    ),
    limited(
        control(
            "chain key of the classical half kept in the mailbox",
            plain,
            |run| first_of(run, ALICE, Name::ChainKey, "DR-E1"),
            &[encoded("chain key", "raw"), follows("message key", "chain key")],
        ),
        &[(Derivable, "plaintext"), (Derivable, "AEAD key of a message")],
    ),
    limited(
        control(
            "chain key of the post-quantum half kept in the mailbox",
            plain,
            |run| first_of(run, ALICE, Name::PostQuantumChainKey, "SP-I1"),
            &[encoded("post-quantum chain key", "raw"), follows("post-quantum message key", "post-quantum chain key")],
        ),
        &[(Derivable, "plaintext"), (Derivable, "AEAD key of a message")],
    ),
    limited(
        control(
            "secret of the sparse ratchet",
            plain,
            |run| first_of(run, ALICE, Name::SparseSecret, ""),
            &[
                encoded("sparse ratchet's secret", "raw"),
                follows("post-quantum root key", "sparse ratchet's secret"),
                follows("post-quantum message key", "sparse ratchet's secret"),
            ],
        ),
        &[(Derivable, "plaintext"), (Derivable, "chain key")],
    ),
    limited(
        control(
            "seed of the Braid's key pair",
            long,
            |run| first_of(run.with_an_epoch(), ALICE, Name::BraidSeed, "BR-1"),
            &[encoded("ML-KEM private key", "raw"), follows("key of an epoch", "ML-KEM private key")],
        ),
        &[(Derivable, "plaintext"), (Derivable, "post-quantum chain key")],
    ),
    limited(
        control(
            "coins of the Braid",
            long,
            |run| first_of(run.with_an_epoch(), BOB, Name::BraidCoins, "BR-7"),
            &[encoded("ML-KEM coins", "raw"), follows("key of an epoch", "ML-KEM coins")],
        ),
        &[(Derivable, "plaintext"), (Derivable, "post-quantum chain key")],
    ),
    control(
        "two plaintexts under one key and nonce",
        plain,
        |run| {
            sends_twice_from_one_machine(run);
            Vec::new()
        },
        &[found(TwoTimePad, "AEAD key of a message")],
    ),
    control(
        "one text twice under one key and nonce",
        plain,
        sends_again_from_one_machine,
        &[found(TwoTimePad, "AEAD key of a message")],
    ),
    control(
        "two plaintexts under one key and nonce, one of them known",
        plain,
        sends_twice_from_one_machine,
        &[found(PlaintextInEvidence, "plaintext"), follows("plaintext", "plaintext")],
    ),
    control(
        "a device state uploaded as a backup",
        plain,
        bobs_states,
        &[
            encoded("Ed25519 private key", "raw"),
            encoded("X25519 private key", "raw"),
            encoded("ML-KEM private key", "raw"),
            encoded("state of a device", "raw"),
        ],
    ),
    control(
        "a sealed device state uploaded, its storage key in a settings file",
        plain,
        |run| {
            let key = run.storage_keys[BOB];
            sealed_backup(run, BOB, &key)
        },
        &[
            encoded("storage key", "base64"),
            follows("state of a device", "storage key"),
            follows("Ed25519 private key", "storage key"),
            follows("X25519 private key", "storage key"),
        ],
    ),
    limited(
        control(
            "a sealed device state uploaded, another device's storage key in a settings file",
            plain,
            |run| {
                run.save(ALICE);
                let key = run.storage_keys[ALICE];
                sealed_backup(run, BOB, &key)
            },
            &[encoded("storage key", "base64")],
        ),
        &[(Derivable, "Ed25519 private key"), (Derivable, "state of a device")],
    ),
    control(
        "a sealed session uploaded, with the key of that upload",
        plain,
        |run| {
            let session = sealed_session(run);
            let key = run.tap(ALICE).all(Name::SnapshotAeadKey, "SN-1").pop().unwrap();
            [session, hex(&key).into_bytes()].concat()
        },
        &[follows("state of a device", "AEAD key of a snapshot"), follows("root key", "AEAD key of a snapshot")],
    ),
    limited(
        control(
            "planted prekey, and a device that accepts it",
            |_| Setup::with(Fault::Gullible),
            plants_a_prekey,
            &[found(Derivable, "KEM shared secret"), found(Derivable, "X25519 shared secret")],
        ),
        // The identity and the signed prekey are Bob's own.
        &[(Derivable, "SK of the handshake"), (Derivable, "plaintext")],
    ),
    control(
        "server's nonce in the key (Telegram 2013)",
        |seed| Setup::with(Fault::ServerNonce(nonce(seed))),
        nothing,
        &[found(ServerInKey, "KDF input, relay")],
    ),
    limited(
        control(
            "coins of the KEM",
            plain,
            |run| first_of(run, ALICE, Name::KemCoins, ""),
            &[encoded("ML-KEM coins", "raw"), follows("KEM shared secret", "ML-KEM coins")],
        ),
        &[(Derivable, "SK of the handshake"), (Derivable, "key of the hidden identity"), (Derivable, "plaintext")],
    ),
    limited(
        control(
            "header key",
            plain,
            |run| first_of(run, ALICE, Name::FirstHeaderKey, ""),
            &[encoded("initiator's header key", "raw"), follows("header", "initiator's header key")],
        ),
        &[(Derivable, "plaintext"), (Derivable, "chain key")],
    ),
    limited(
        // The first message key needs the first ratchet step, too.
        control(
            "SK of the handshake",
            plain,
            |run| first_of(run, ALICE, Name::HandshakeSecret, ""),
            &[
                encoded("SK of the handshake", "raw"),
                follows("root key", "SK of the handshake"),
                follows("header", "SK of the handshake"),
            ],
        ),
        &[(Derivable, "plaintext"), (Derivable, "chain key")],
    ),
    control(
        "SK of the handshake and the first ratchet key",
        plain,
        |run| {
            let ratchet = first_of(run, ALICE, Name::DhPrivate, "DR-E1");
            [first_of(run, ALICE, Name::HandshakeSecret, ""), ratchet].concat()
        },
        &[follows("chain key", "SK of the handshake"), follows("plaintext", "X25519 private key")],
    ),
    limited(
        control(
            "result of a Diffie-Hellman",
            plain,
            |run| run.any(Name::DhShared, "DR-E1"),
            &[encoded("X25519 shared secret", "raw")],
        ),
        &[(Derivable, "")],
    ),
    limited(
        control(
            "root key and the result of the next Diffie-Hellman",
            plain,
            |run| {
                let shared = first_of(run, ALICE, Name::DhShared, "DR-E1");
                [first_of(run, ALICE, Name::RootKey, ""), shared].concat()
            },
            &[follows("chain key", "root key"), follows("message key", "X25519 shared secret")],
        ),
        &[(Derivable, "plaintext")],
    ),
    control(
        "both root keys and the result of the next Diffie-Hellman",
        plain,
        |run| {
            let shared = first_of(run, ALICE, Name::DhShared, "DR-E1");
            let sparse = first_of(run, ALICE, Name::SparseSecret, "");
            [first_of(run, ALICE, Name::RootKey, ""), sparse, shared].concat()
        },
        &[follows("chain key", "root key"), follows("plaintext", "X25519 shared secret")],
    ),
    limited(
        control(
            "seed of the last-resort KEM key, used",
            without_one_time_prekeys,
            |run| first_of(run, BOB, Name::KemSeed, ""),
            &[encoded("ML-KEM private key", "raw"), follows("KEM shared secret", "ML-KEM private key")],
        ),
        &[(Derivable, "SK of the handshake"), (Derivable, "key of the hidden identity"), (Derivable, "plaintext")],
    ),
    limited(
        control(
            "seed of the last-resort KEM key, not used",
            plain,
            |run| first_of(run, BOB, Name::KemSeed, ""),
            &[encoded("ML-KEM private key", "raw")],
        ),
        &[(Derivable, "")],
    ),
    limited(
        control(
            "private half of a one-time prekey",
            plain,
            |run| base64(&run.tap(BOB).all(Name::DhPrivate, "")[2]).into_bytes(),
            &[encoded("X25519 private key", "base64"), follows("X25519 shared secret", "X25519 private key")],
        ),
        &[(Derivable, "SK of the handshake"), (Derivable, "plaintext")],
    ),
    limited(
        control("signing seed", plain, |run| run.any(Name::SigningSeed, ""), &[encoded("Ed25519 private key", "raw")]),
        &[(Derivable, "")],
    ),
    control(
        "AEAD key of one message",
        plain,
        |run| run.any(Name::MessageAeadKey, ""),
        &[encoded("AEAD key of a message", "raw"), follows("plaintext", "AEAD key of a message")],
    ),
    control(
        "a header in the clear",
        plain,
        |run| {
            let header = run.any(Name::Header, "");
            in_a_dump(run, &header)
        },
        &[found(PlaintextInEvidence, "header")],
    ),
    control(
        "key of the hidden identity",
        plain,
        |run| first_of(run, ALICE, Name::IdentityKey, ""),
        &[encoded("key of the hidden identity", "raw")],
    ),
    control("an unrecorded operation", |_| Setup::with(Fault::Masked), nothing, &[found(UnknownOrigin, "KDF key")]),
    control(
        "a private key in place of a public one",
        plain,
        |run| {
            let private = run.any(Name::DhPrivate, "DR-E1");
            let peer = run.prims[ALICE].primitives().clone();
            let other = noescrow::Secret::new(nonce(3));
            noescrow::primitives::Primitives::fresh(&peer, other.expose());
            // A device that treats the received value as public.
            let _ = noescrow::primitives::Primitives::dh(&peer, &other, &private.try_into().unwrap());
            Vec::new()
        },
        &[found(FindingKind::SecretMadePublic, "X25519 private key")],
    ),
    control(
        "an operation of another server uses a device's key",
        plain,
        |run| {
            let server = Recorder::server(&run.tape, NAMES[0]).unwrap();
            let key = run.any(Name::MessageAeadKey, "").try_into().unwrap();
            let (key, mut hello) = (noescrow::Secret::new(key), *b"hello");
            noescrow::primitives::Primitives::seal(&server, &key, &[9; 12], b"", &mut hello).unwrap();
            Vec::new()
        },
        &[found(Derivable, "AEAD key of a message"), found(Derivable, "plaintext")],
    ),
    control(
        "a generator that leaks in salts what it drew",
        |_| Setup::default(),
        |run| {
            run.source = Source::Leaking { rng: rng(run), key: nonce(1) };
            // Often enough that in some draw nothing of the Braid's comes between a ratchet key and the salt.
            for from in [ALICE, BOB, ALICE, BOB] {
                run.send(from);
                run.settle();
            }
            Vec::new()
        },
        &[found(SecretMadePublic, "X25519 private key")],
    ),
    control(
        "randomness from the server",
        plain,
        |run| {
            let given = nonce(run.rng.next_u64());
            noescrow::primitives::Primitives::fresh(&Recorder::server(&run.tape, "relay").unwrap(), &given);
            run.source = Source::Supplied { bytes: given.to_vec(), then: rng(run) };
            let bundle = run.fetch(BOB);
            run.initiate(&bundle);
            Vec::new()
        },
        &[found(ServerInKey, "X25519 private key"), found(Derivable, "X25519 shared secret")],
    ),
];
