// SPDX-License-Identifier: MIT OR Apache-2.0
//! Servers that do more than listen. Each move is made on a recorder of the server's own, so that the audit knows what
//! it knows. A table says what the devices do, what the audit says, and whether the safety numbers tell the users.

use crate::broken::Fault;
use crate::run::{ALICE, BOB, Device, LATER, NOW, Run, Session, Setup, account, address, runs};
use noescrow::audit::{FindingKind, Recorder};
use noescrow::primitives::RustCrypto;
use noescrow::{Bundle, Heap, SafetyNumber, session};

/// What a relay can do with what passes through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RelayMove {
    /// None: the control of the table.
    Forward,
    /// Its own identity and prekeys for Bob's, to Alice, and its own identity for Alice's, to Bob.
    SubstituteIdentity,
    /// Its own signed prekey under Bob's identity.
    SubstituteSignedPrekey,
    /// Its own one-time prekey beside Bob's signed one.
    SubstituteOneTimePrekey,
    /// Bob's prekeys under its own identity.
    ClaimPrekeys,
    /// A one-time prekey in the place of the signed one.
    ConfuseKinds,
    WithholdOneTimePrekeys,
    /// A bundle that somebody has used.
    ReplayBundle,
    /// A prekey that Bob has deleted.
    StaleBundle,
    ExpiredBundle,
    ReplayFirstMessage,
    /// The same with a last-resort handshake, which no used prekey tells.
    ReplayLastResort,
    /// A message of one conversation of the two into their other one.
    MixConversations,
    /// The head of one message, the body of another.
    Splice,
    Reflect,
    LowOrderPrekey,
    LowOrderEphemeral,
    /// Everything is held back and comes late and in the wrong order.
    Reorder,
}

use RelayMove::*;

const ALL: [RelayMove; 18] = [
    Forward,
    SubstituteIdentity,
    SubstituteSignedPrekey,
    SubstituteOneTimePrekey,
    ClaimPrekeys,
    ConfuseKinds,
    WithholdOneTimePrekeys,
    ReplayBundle,
    StaleBundle,
    ExpiredBundle,
    ReplayFirstMessage,
    ReplayLastResort,
    MixConversations,
    Splice,
    Reflect,
    LowOrderPrekey,
    LowOrderEphemeral,
    Reorder,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    Refuses,
    GoesOn,
    /// The move did not get as far.
    IsNotAsked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Numbers {
    Agree,
    Differ,
    /// There is no conversation that would have any.
    None,
}

/// What came of a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Outcome {
    alice: Does,
    bob: Does,
    /// A secret or a plaintext of the devices is the server's.
    secret: bool,
    plaintext: bool,
    numbers: Numbers,
}

const fn outcome(alice: Does, bob: Does, secret: bool, plaintext: bool, numbers: Numbers) -> Outcome {
    Outcome { alice, bob, secret, plaintext, numbers }
}

/// What a device that checks does, and one that believes everything.
fn due(play: RelayMove, fault: Fault) -> Outcome {
    use Does::{GoesOn, IsNotAsked, Refuses};
    use Numbers::{Agree, Differ};
    let stopped = outcome(Refuses, IsNotAsked, false, false, Numbers::None);
    let denied = outcome(GoesOn, Refuses, false, false, Numbers::None);
    let ignored = outcome(GoesOn, Refuses, false, false, Agree);
    match (play, fault) {
        (Forward | WithholdOneTimePrekeys | Reorder, _) => outcome(GoesOn, GoesOn, false, false, Agree),
        // No check of a device's own can know who Bob is.
        (SubstituteIdentity, _) => outcome(GoesOn, GoesOn, true, true, Differ),
        (SubstituteSignedPrekey | SubstituteOneTimePrekey | ClaimPrekeys, Fault::Gullible) => {
            outcome(GoesOn, Refuses, true, false, Numbers::None)
        }
        (SubstituteSignedPrekey | SubstituteOneTimePrekey | ClaimPrekeys, _) => stopped,
        // The parser refuses these, not a primitive that could be broken.
        (ConfuseKinds | ExpiredBundle | LowOrderPrekey, _) => stopped,
        (ReplayBundle | StaleBundle | LowOrderEphemeral, _) => denied,
        (ReplayFirstMessage | ReplayLastResort | MixConversations | Splice, _) => ignored,
        (Reflect, _) => outcome(Refuses, GoesOn, false, false, Agree),
    }
}

/// The server's own device, whose operations are the server's.
fn own_device(run: &mut Run) -> Device<Recorder> {
    Device::generate_with(run.tape.server("relay").unwrap(), LATER, &mut run.source)
}

fn own_bundle(own: &mut Device<Recorder>, run: &mut Run) -> Bundle {
    let mut published = own.publish(1, LATER, &mut run.source).unwrap();
    Bundle::new(published.identity, published.signed_prekey, published.one_time_prekeys.pop()).unwrap()
}

/// Gives Alice these bytes for a bundle; her first message if she goes on.
fn gives(run: &mut Run, bytes: &[u8]) -> Option<Vec<u8>> {
    run.wire.extend(bytes);
    let bundle = Bundle::from_bytes(&run.prims[ALICE], bytes).ok()?;
    begins(run, &bundle, NOW)
}

fn begins(run: &mut Run, bundle: &Bundle, now: u64) -> Option<Vec<u8>> {
    let text = format!("to Bob alone, number {}", run.texts.len()).into_bytes();
    let (session, hello) = run.devices[ALICE].initiate(bundle, &text, b"", now, &mut run.source).ok()?;
    run.sessions[ALICE] = Some(session);
    run.texts.push(text);
    run.wire.extend(&hello);
    Some(hello)
}

fn parts(bundle: &Bundle) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let one_time = bundle.one_time_prekey().unwrap().to_bytes().to_vec();
    (bundle.identity().to_bytes().to_vec(), bundle.signed_prekey().to_bytes().to_vec(), one_time)
}

fn accepts(run: &mut Run, hello: &[u8]) -> Does {
    match run.devices[BOB].accept(hello, b"") {
        Ok((session, _)) => {
            run.sessions[BOB] = Some(session);
            Does::GoesOn
        }
        Err(_) => Does::Refuses,
    }
}

fn does(went_on: bool) -> Does {
    if went_on { Does::GoesOn } else { Does::Refuses }
}

/// Alice and Bob talk, as if nothing were wrong; true if all opens.
fn converses(run: &mut Run) -> bool {
    (0..4).all(|turn| {
        let from = turn % 2;
        let text = format!("something private, number {turn}").into_bytes();
        let message = run.sessions[from].as_mut().unwrap().encrypt(&text, b"", &mut run.source).unwrap();
        run.wire.extend(&message);
        run.texts.push(text.clone());
        run.open(from ^ 1, &message) == Some(text)
    })
}

/// Offset of the X25519 key in an encoded bundle and in a first message.
const KEY_IN_BUNDLE: usize = 128 + 1 + 4 + 8;
const KEY_IN_HANDSHAKE: usize = 1 + 4 + 1 + 4;

/// A bundle that is not what it should be: what the devices do.
fn with_a_bundle(run: &mut Run, bytes: &[u8]) -> (Does, Does) {
    match gives(run, bytes) {
        Some(hello) => (Does::GoesOn, accepts(run, &hello)),
        None => (Does::Refuses, Does::IsNotAsked),
    }
}

fn spoken(run: &mut Run) {
    let bundle = run.fetch(BOB).to_bytes();
    let hello = gives(run, &bundle).unwrap();
    assert_eq!(accepts(run, &hello), Does::GoesOn);
    assert!(converses(run));
}

fn substitutes_identity(run: &mut Run) -> (Does, Does) {
    let mut own = own_device(run);
    let bundle = own_bundle(&mut own, run).to_bytes();
    let genuine = run.fetch(BOB);
    let Some(hello) = gives(run, &bundle) else { return (Does::Refuses, Does::IsNotAsked) };
    // Reads, and tells Bob the same.
    let (mut to_alice, text) = own.accept(&hello, b"").unwrap();
    let (mut to_bob, hello) = own.initiate(&genuine, &text, b"", NOW, &mut run.source).unwrap();
    run.wire.extend(&hello);
    let bob = accepts(run, &hello);
    for turn in 0..4 {
        let (from, text) = (turn % 2, format!("between us two, number {turn}").into_bytes());
        let message = run.sessions[from].as_mut().unwrap().encrypt(&text, b"", &mut run.source).unwrap();
        let (reads, tells) = if from == ALICE { (&mut to_alice, &mut to_bob) } else { (&mut to_bob, &mut to_alice) };
        let read = reads.decrypt(&message, b"").unwrap();
        assert_eq!(read, text);
        let told = tells.encrypt(&read, b"", &mut run.source).unwrap();
        assert_eq!(run.open(from ^ 1, &told), Some(text));
        run.wire.extend([message, told].concat());
    }
    (Does::GoesOn, bob)
}

/// Makes a move; returns what the devices did.
fn make(play: RelayMove, run: &mut Run) -> (Does, Does) {
    let genuine = |run: &mut Run| run.fetch(BOB).to_bytes();
    match play {
        Forward => {
            let bundle = genuine(run);
            with_a_bundle(run, &bundle)
        }
        SubstituteIdentity => substitutes_identity(run),
        SubstituteSignedPrekey | SubstituteOneTimePrekey | ClaimPrekeys | ConfuseKinds => {
            let mut own = own_device(run);
            let (own_identity, own_signed, own_one_time) = parts(&own_bundle(&mut own, run));
            let (identity, signed, one_time) = parts(&run.fetch(BOB));
            let bundle = match play {
                SubstituteSignedPrekey => [identity, own_signed, vec![0]],
                SubstituteOneTimePrekey => [identity, [signed, vec![1]].concat(), own_one_time],
                ClaimPrekeys => [own_identity, [signed, vec![1]].concat(), one_time],
                _ => [identity, one_time, vec![0]],
            };
            with_a_bundle(run, &bundle.concat())
        }
        WithholdOneTimePrekeys => {
            let (identity, signed, _) = parts(&run.fetch(BOB));
            with_a_bundle(run, &[identity, signed, vec![0]].concat())
        }
        ReplayBundle => {
            let bundle = genuine(run);
            let hello = gives(run, &bundle).unwrap();
            assert_eq!(accepts(run, &hello), Does::GoesOn);
            run.sessions = [None, None];
            with_a_bundle(run, &bundle)
        }
        StaleBundle => {
            let bundle = genuine(run);
            run.devices[BOB].rotate(LATER, &mut run.source).unwrap();
            run.devices[BOB].delete_previous_signed_prekey();
            with_a_bundle(run, &bundle)
        }
        ExpiredBundle => {
            let bundle = run.fetch(BOB);
            (does(begins(run, &bundle, LATER + 1).is_some()), Does::IsNotAsked)
        }
        ReplayFirstMessage | ReplayLastResort => {
            let (identity, signed, one_time) = parts(&run.fetch(BOB));
            let end = if play == ReplayLastResort { vec![0] } else { [vec![1], one_time].concat() };
            let hello = gives(run, &[identity, signed, end].concat()).unwrap();
            assert_eq!(accepts(run, &hello), Does::GoesOn);
            (Does::GoesOn, accepts(run, &hello))
        }
        MixConversations => {
            let bundle = genuine(run);
            let hello = gives(run, &bundle).unwrap();
            assert_eq!(accepts(run, &hello), Does::GoesOn);
            let message = run.sessions[ALICE].as_mut().unwrap().encrypt(b"first one", b"", &mut run.source).unwrap();
            run.wire.extend(&message);
            spoken(run);
            (Does::GoesOn, does(run.open(BOB, &message).is_some()))
        }
        Splice | Reflect | Reorder => {
            spoken(run);
            let send = |run: &mut Run, text: &[u8]| {
                let session: &mut Session = run.sessions[ALICE].as_mut().unwrap();
                let message = session.encrypt(text, b"", &mut run.source).unwrap();
                run.wire.extend(&message);
                message
            };
            let [one, other] = [b"one message", b"and another"].map(|text| send(run, text));
            match play {
                Splice => {
                    let head = one.len() - 28;
                    let spliced = [&one[..head], &other[head..]].concat();
                    let went_on = run.open(BOB, &spliced).is_some();
                    assert!(run.open(BOB, &one).is_some());
                    (Does::GoesOn, does(went_on))
                }
                Reflect => (does(run.open(ALICE, &one).is_some()), Does::GoesOn),
                _ => (Does::GoesOn, does(run.open(BOB, &other).is_some() && run.open(BOB, &one).is_some())),
            }
        }
        LowOrderPrekey => {
            let mut bundle = genuine(run);
            bundle[KEY_IN_BUNDLE..][..32].fill(0);
            with_a_bundle(run, &bundle)
        }
        LowOrderEphemeral => {
            let bundle = genuine(run);
            let mut hello = gives(run, &bundle).unwrap();
            hello[KEY_IN_HANDSHAKE..][..32].fill(0);
            (Does::GoesOn, accepts(run, &hello))
        }
    }
}

fn play(play: RelayMove, fault: Fault, seed: u64) -> (Outcome, String) {
    let mut run = Run::published(seed, &Setup::with(fault));
    let (alice, bob) = make(play, &mut run);
    let numbers = match &run.sessions {
        [Some(_), Some(_)] if run.numbers_agree() => Numbers::Agree,
        [Some(_), Some(_)] => Numbers::Differ,
        _ => Numbers::None,
    };
    // After a move that came to nothing the conversation goes on.
    if numbers == Numbers::Agree {
        assert!(converses(&mut run), "{play:?}");
    }
    run.look();
    let verdict = run.audit(b"").verdict();
    let derivable = |what: &str| verdict.of_kind(FindingKind::Derivable).any(|found| found.what.starts_with(what));
    let (secret, plaintext) = (!verdict.holds(), derivable("plaintext"));
    assert_eq!(secret, derivable("X25519 shared secret"), "{play:?}: {verdict}");
    (Outcome { alice, bob, secret, plaintext, numbers }, verdict.to_string())
}

/// Attacks G4, G15 and G22: the relay is the enemy's, with every move.
#[test]
fn g22_each_move_of_a_hostile_relay_has_the_outcome_that_is_due() {
    for fault in [Fault::None, Fault::Gullible] {
        for of in ALL {
            for seed in 0..runs() {
                let (seen, verdict) = play(of, fault, seed);
                assert_eq!(seen, due(of, fault), "{of:?}, {fault:?}, seed {seed}: {verdict}");
            }
            println!("{fault:?} {of:?}: {:?}", due(of, fault));
        }
    }
}

/// What the table promises: a device that checks gives nothing away unless the numbers tell.
#[test]
fn whoever_compares_safety_numbers_loses_nothing() {
    let safe =
        |fault: Fault| ALL.into_iter().map(|of| due(of, fault)).all(|of| !of.secret || of.numbers == Numbers::Differ);
    assert!(safe(Fault::None));
    // Control: a device that believes everything.
    assert!(!safe(Fault::Gullible));
}

fn numbers_with(run: &Run, who: usize) -> [u8; 65] {
    let remote = *run.sessions[who].as_ref().unwrap().remote_identity().unwrap();
    SafetyNumber::new(&RustCrypto, (run.devices[who].identity(), b""), (&remote, b"")).to_bytes()
}

/// Attack B18: in 2013 Telegram's server chose a nonce so that both sides, each in a conversation with the server, saw one
/// fingerprint. Here nothing that a server supplies is in the number.
#[test]
fn b18_no_choice_of_the_servers_equalises_safety_numbers() {
    let mut run = Run::published(3, &Setup::default());
    let mut own = own_device(&mut run);
    let seen: std::collections::BTreeSet<[u8; 65]> = (0..4)
        .map(|attempt| {
            // Other prekeys, other ids, other expiries, another session.
            own.rotate(LATER + attempt, &mut run.source).unwrap();
            let bundle = own_bundle(&mut own, &mut run).to_bytes();
            gives(&mut run, &bundle).unwrap();
            numbers_with(&run, ALICE)
        })
        .collect();
    assert_eq!(seen.len(), 1, "the server's choices change nothing");
    let (_, hello) = own.initiate(&run.fetch(BOB), b"hi", b"", NOW, &mut run.source).unwrap();
    assert_eq!(accepts(&mut run, &hello), Does::GoesOn);
    assert!(!run.numbers_agree());

    // Control: the number of 2013, a hash of the key into which the server's nonce goes.
    let [alice, bob] = [[0x17u8; 32], [0xB0; 32]];
    let key = |dh: [u8; 32], nonce: [u8; 32]| -> [u8; 32] { std::array::from_fn(|at| dh[at] ^ nonce[at]) };
    let (one, other) = ([0; 32], std::array::from_fn(|at| alice[at] ^ bob[at]));
    let number = |key: [u8; 32]| noescrow::primitives::Primitives::sha256(&RustCrypto, &[&key]);
    assert_eq!(number(key(alice, one)), number(key(bob, other)));
}

/// Attack G4: another device for Bob, which is the server's. The conversation that there is goes on with Bob; a new one
/// is an act of the user's, with another identity and another number.
#[test]
fn g4_a_ghost_is_another_identity_and_hears_nothing_of_the_old_conversation() {
    let mut run = Run::new(4, &Setup::default());
    let bob = *run.devices[BOB].identity();
    let mut own = own_device(&mut run);
    let published = own.publish(1, LATER, &mut run.source).unwrap();
    run.relay.replace_identity(&account(BOB), published, address(BOB), NOW).unwrap();
    let bundle = run.fetch(BOB);
    assert_ne!(bundle.identity(), &bob);
    assert_ne!(
        run.devices[ALICE].safety_number(&bob).to_bytes(),
        run.devices[ALICE].safety_number(bundle.identity()).to_bytes()
    );
    assert_eq!(run.sessions[ALICE].as_ref().unwrap().remote_identity(), Some(&bob));
    assert!(converses(&mut run) && run.audit(b"").verdict().holds());
    // Control: a client that takes what it is given tells the ghost everything.
    let hello = begins(&mut run, &bundle, NOW).unwrap();
    let _: (session::Session<Recorder, Heap>, _) = own.accept(&hello, b"").unwrap();
    let verdict = run.audit(b"").verdict();
    assert!(verdict.of_kind(FindingKind::Derivable).any(|found| found.what.starts_with("plaintext")), "{verdict}");
}
