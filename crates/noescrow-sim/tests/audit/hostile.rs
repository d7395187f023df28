// SPDX-License-Identifier: MIT OR Apache-2.0
//! Servers that attack actively. Every move is a schedule of the event language. The relay computes on a recorder of
//! its own, so that the audit knows what the relay knows. A table gives for each move what the devices do, what the
//! audit reports, and whether a comparison of safety numbers shows it to the users.

use crate::faulty_device::{Fault, FaultyDevice, FaultyRecorder};
use crate::generators::Source;
use crate::run::{ALICE, BOB, Device, NAMES, NOW, Run, SOURCE, Setup, access_key, account, address, runs};
use noescrow::hazmat::{AcceptFromAnyone, duplicate_bundle};
use noescrow::primitives::RustCrypto;
use noescrow::{Bundle, InitiateOptions, SafetyNumber, UnixSeconds, session};
use noescrow_audit::{Audit, FindingKind, Tape};
use noescrow_recorder::{Recorder, profile};
use noescrow_sim::{Answer, Event, FROM_BACK, Opening, ServedBundle, Side, Simulation};

/// What a relay can do with the messages that pass through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RelayMove {
    /// Nothing: the control of the table.
    Forward,
    /// Sends Alice its own identity and prekeys as Bob's, and Bob its own identity as Alice's.
    SubstituteIdentity,
    /// Serves its own signed prekey under Bob's identity.
    SubstituteSignedPrekey,
    /// Serves its own one-time prekey with Bob's signed one.
    SubstituteOneTimePrekey,
    /// Serves Bob's prekeys under its own identity.
    ClaimPrekeys,
    /// Serves a one-time prekey in place of the signed one.
    ConfuseKinds,
    WithholdOneTimePrekeys,
    /// Serves a bundle that was already used.
    ReplayBundle,
    /// Serves a prekey that Bob has deleted.
    StaleBundle,
    ExpiredBundle,
    ReplayFirstMessage,
    /// Replays a last-resort handshake, which no used prekey reveals.
    ReplayLastResort,
    /// Delivers a message of one conversation in another conversation of the same two devices.
    MixConversations,
    /// Joins the head of one message to the body of another.
    Splice,
    Reflect,
    LowOrderPrekey,
    LowOrderEphemeral,
    /// Delays everything and delivers it in the wrong order.
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
enum Numbers {
    Agree,
    Differ,
    /// There is no conversation, so there are no numbers.
    None,
}

/// The result of a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Outcome {
    alice: Answer,
    bob: Answer,
    /// Whether the server gets a secret, or a plaintext, of the devices.
    secret: bool,
    plaintext: bool,
    numbers: Numbers,
}

const fn outcome(alice: Answer, bob: Answer, secret: bool, plaintext: bool, numbers: Numbers) -> Outcome {
    Outcome { alice, bob, secret, plaintext, numbers }
}

/// The expected outcome for a device that checks, and for one that accepts everything.
fn expected(play: RelayMove, fault: Fault) -> Outcome {
    use Answer::{Accepts, IsNotAsked, Refuses};
    use Numbers::{Agree, Differ};
    let stopped = outcome(Refuses, IsNotAsked, false, false, Numbers::None);
    let denied = outcome(Accepts, Refuses, false, false, Numbers::None);
    let ignored = outcome(Accepts, Refuses, false, false, Agree);
    match (play, fault) {
        (Forward | WithholdOneTimePrekeys | Reorder, _) => outcome(Accepts, Accepts, false, false, Agree),
        // No check on a device can establish who Bob is.
        (SubstituteIdentity, _) => outcome(Accepts, Accepts, true, true, Differ),
        (SubstituteSignedPrekey | SubstituteOneTimePrekey | ClaimPrekeys, Fault::Gullible) => {
            outcome(Accepts, Refuses, true, false, Numbers::None)
        }
        (SubstituteSignedPrekey | SubstituteOneTimePrekey | ClaimPrekeys, _) => stopped,
        // The parser refuses these; no primitive decides, so none could be faulty.
        (ConfuseKinds | ExpiredBundle | LowOrderPrekey, _) => stopped,
        (ReplayBundle | StaleBundle | LowOrderEphemeral, _) => denied,
        (ReplayFirstMessage | ReplayLastResort | MixConversations | Splice, _) => ignored,
        (Reflect, _) => outcome(Refuses, Accepts, false, false, Agree),
    }
}

type HostileSimulation = Simulation<session::Session<FaultyRecorder>, Source>;

const fn publish(side: Side) -> Event {
    Event::Publish { side, count: 1 }
}

const fn fetch(served: ServedBundle) -> Event {
    Event::Fetch { by: Side::Alice, served, point: 0 }
}

const INITIATE: Event = Event::Initiate { from: Side::Alice, too_late: false };
/// The last of all first messages ever sent to Bob.
const ARRIVE: Event = Event::Arrive { to: Side::Bob, message: FROM_BACK, low_order: None };
const SEND: Event = Event::Send { from: Side::Alice, length: 40, associated_data: 0 };

/// A served bundle, Alice's handshake with it, and its delivery to Bob.
fn with(served: ServedBundle) -> Vec<Event> {
    vec![publish(Side::Bob), fetch(served), INITIATE, ARRIVE]
}

/// The schedule of a move. If its last event belongs to the conversation, the result of the move shows there.
fn schedule(of: RelayMove) -> Vec<Event> {
    let again = |first: ServedBundle| [with(first), vec![ARRIVE]].concat();
    match of {
        Forward => with(ServedBundle::Honest),
        SubstituteIdentity => with(ServedBundle::OtherIdentity),
        SubstituteSignedPrekey => with(ServedBundle::PlantedSignedPrekey),
        SubstituteOneTimePrekey => with(ServedBundle::PlantedOneTimePrekey),
        ClaimPrekeys => with(ServedBundle::ClaimedPrekeys),
        ConfuseKinds => with(ServedBundle::ConfusedKinds),
        WithholdOneTimePrekeys => with(ServedBundle::WithoutOneTimePrekey),
        ReplayBundle => [with(ServedBundle::Honest), vec![fetch(ServedBundle::Repeated), INITIATE, ARRIVE]].concat(),
        StaleBundle => {
            let (rotate, delete) = (Event::Rotate { side: Side::Bob }, Event::DeletePrevious { side: Side::Bob });
            vec![publish(Side::Bob), fetch(ServedBundle::Honest), rotate, delete, INITIATE, ARRIVE]
        }
        ExpiredBundle => {
            let too_late = Event::Initiate { from: Side::Alice, too_late: true };
            vec![publish(Side::Bob), fetch(ServedBundle::Honest), too_late, ARRIVE]
        }
        ReplayFirstMessage => again(ServedBundle::Honest),
        ReplayLastResort => again(ServedBundle::WithoutOneTimePrekey),
        MixConversations => {
            let mix = Event::Mix { to: Side::Bob, message: 0, into: 1 };
            [with(ServedBundle::Honest), with(ServedBundle::Honest), vec![mix]].concat()
        }
        Splice => vec![SEND, SEND, Event::Splice { to: Side::Bob, message: FROM_BACK | 1, body: FROM_BACK }],
        Reflect => vec![SEND, Event::Reflect { to: Side::Alice, message: FROM_BACK }],
        Reorder => {
            let late = Event::Reorder { to: Side::Bob, at: 0, place: FROM_BACK };
            vec![SEND, SEND, late, Event::DeliverAll { to: Side::Bob }]
        }
        LowOrderPrekey => with(ServedBundle::LowOrderSignedPrekey),
        LowOrderEphemeral => {
            let low_order = Event::Arrive { to: Side::Bob, message: FROM_BACK, low_order: Some(0) };
            vec![publish(Side::Bob), fetch(ServedBundle::Honest), INITIATE, low_order]
        }
    }
}

/// Performs a move without checking the devices; returns what each did last.
fn perform(of: RelayMove, simulation: &mut HostileSimulation) -> [Answer; 2] {
    let mut last = [Answer::IsNotAsked; 2];
    for event in schedule(of) {
        let before = simulation.report();
        let outcome = match event {
            Event::Fetch { .. } | Event::Initiate { .. } => {
                let answer = simulation.apply_unchecked(event).unwrap().actual;
                // A device that refused its bundle begins nothing.
                last[ALICE] = if answer == Answer::IsNotAsked { last[ALICE] } else { answer };
                last[BOB] = Answer::IsNotAsked;
                continue;
            }
            Event::Arrive { .. } | Event::Mix { .. } => {
                last[BOB] = simulation.apply_unchecked(event).unwrap().actual;
                continue;
            }
            event => simulation.step(event),
        };
        // The model has checked that these messages opened, or were refused and changed nothing.
        outcome.unwrap();
        let refused = simulation.report().refused > before.refused;
        let answer = if refused { Answer::Refuses } else { Answer::Accepts };
        match event {
            Event::Reflect { .. } => last = [answer, Answer::Accepts],
            Event::Splice { .. } | Event::DeliverAll { .. } => last = [Answer::Accepts, answer],
            _ => {}
        }
    }
    last
}

fn numbers(simulation: &HostileSimulation) -> Numbers {
    let [alice, bob] = [Side::Alice, Side::Bob].map(|side| simulation.handshakes().session_of(side));
    let number = |session: &session::Session<FaultyRecorder>| session.safety_number().unwrap();
    match (alice, bob) {
        (Some(alice), Some(bob)) if number(alice).verify_scanned(&number(bob).to_bytes()).is_ok() => Numbers::Agree,
        (Some(_), Some(_)) => Numbers::Differ,
        _ => Numbers::None,
    }
}

fn play(of: RelayMove, fault: Fault, seed: u64) -> (Outcome, String) {
    let tape = Tape::in_memory();
    let [alice, bob] = NAMES.map(|name| FaultyDevice::over(Recorder::device(&tape, name).unwrap(), fault));
    let relay = FaultyDevice::over(Recorder::server(&tape, "relay").unwrap(), Fault::None);
    let mut simulation =
        HostileSimulation::new(alice, bob, relay, Opening::PLAIN, Source::good(seed ^ SOURCE)).unwrap();
    let [alice, bob] = perform(of, &mut simulation);
    let numbers = match of {
        // In the existing conversation.
        Splice | Reflect | Reorder => {
            let [alice, bob] =
                [&simulation.ends().alice, &simulation.ends().bob].map(|end| end.safety_number().unwrap());
            if alice.verify_scanned(&bob.to_bytes()).is_ok() { Numbers::Agree } else { Numbers::Differ }
        }
        _ => numbers(&simulation),
    };
    // The conversation continues after a failed move.
    for from in [Side::Alice, Side::Bob] {
        simulation.step(Event::Send { from, length: 30, associated_data: 0 }).unwrap();
        simulation.step(Event::DeliverAll { to: from.other() }).unwrap();
    }
    let sent = simulation.sent().iter().flat_map(|sent| sent.bytes.clone());
    let wire: Vec<u8> =
        [simulation.bundle(), simulation.handshakes().traffic()].concat().into_iter().chain(sent).collect();
    let verdict = Audit::of(profile(), &tape).unwrap().server_saw("wire", &wire).verdict();
    let derivable =
        |what: &str| verdict.of_kind(FindingKind::Derivable).filter(|found| found.what.starts_with(what)).count();
    // Some of the texts are too plain to be searched for.
    let (secret, plaintexts) = (!verdict.holds_for_what_was_searched(), derivable("plaintext"));
    assert_eq!(secret, derivable("X25519 shared secret") > 0, "{of:?}: {verdict}");
    // Exactly the plaintexts sent to the relay, and no others.
    assert_eq!(plaintexts, simulation.handshakes().relay_plaintexts().len(), "{of:?}: {verdict}");
    (Outcome { alice, bob, secret, plaintext: plaintexts > 0, numbers }, verdict.to_string())
}

/// Attacks G4, G15 and G22: the attacker controls the relay, and makes every move.
#[test]
fn g22_each_move_of_a_hostile_relay_has_its_expected_outcome() {
    for fault in [Fault::None, Fault::Gullible] {
        for of in ALL {
            for seed in 0..runs() {
                let (seen, verdict) = play(of, fault, seed);
                assert_eq!(seen, expected(of, fault), "{of:?}, {fault:?}, seed {seed}: {verdict}");
            }
            println!("{fault:?} {of:?}: {:?}", expected(of, fault));
        }
    }
}

/// Each point of low order, which would give the server an all-zero secret, is refused wherever it can occur.
#[test]
fn each_point_of_low_order_is_refused_in_each_place() {
    let [alice, bob] = NAMES.map(|_| RustCrypto);
    let mut simulation =
        Simulation::<session::Session<RustCrypto>, _>::new(alice, bob, RustCrypto, Opening::PLAIN, Source::good(5))
            .unwrap();
    for point in 0..5 {
        for served in
            [ServedBundle::LowOrderIdentity, ServedBundle::LowOrderSignedPrekey, ServedBundle::LowOrderOneTimePrekey]
        {
            simulation.step(publish(Side::Bob)).unwrap();
            let outcome = simulation.apply_unchecked(Event::Fetch { by: Side::Alice, served, point }).unwrap();
            assert_eq!(outcome.actual, Answer::Refuses, "{served:?}, {point}");
        }
        with(ServedBundle::WithoutOneTimePrekey)[..3].iter().for_each(|event| simulation.step(*event).unwrap());
        let weak = Event::Arrive { to: Side::Bob, message: FROM_BACK, low_order: Some(point) };
        assert_eq!(simulation.apply_unchecked(weak).unwrap().actual, Answer::Refuses, "{point}");
    }
    // Control: sent unchanged, the last of these is accepted.
    assert_eq!(simulation.apply_unchecked(ARRIVE).unwrap().actual, Answer::Accepts);
}

/// What the table promises: a device that checks loses no secret unless the safety numbers differ.
#[test]
fn comparing_safety_numbers_reveals_every_successful_move() {
    let safe = |fault: Fault| {
        ALL.into_iter().map(|of| expected(of, fault)).all(|of| !of.secret || of.numbers == Numbers::Differ)
    };
    assert!(safe(Fault::None));
    // Control: a device that accepts everything.
    assert!(!safe(Fault::Gullible));
}

/// The server's own device; its operations count as the server's.
fn own_device(run: &mut Run) -> Device<Recorder> {
    Device::generate_with(Recorder::server(&run.tape, "relay").unwrap(), NOW, &mut run.source)
}

fn own_bundle(own: &mut Device<Recorder>, run: &mut Run) -> Bundle {
    let mut published = own.publish(1, NOW, &mut run.source).unwrap();
    Bundle::new(published.identity, published.signed_prekey, published.one_time_prekeys.pop()).unwrap()
}

fn begins(run: &mut Run, bundle: &Bundle) -> Vec<u8> {
    let text = format!("to Bob alone, number {}", run.texts.len()).into_bytes();
    let (session, hello) = run.devices[ALICE]
        .initiate(duplicate_bundle(bundle), &text, InitiateOptions::unverified(NOW), &mut run.source)
        .unwrap();
    run.sessions[ALICE] = Some(session);
    run.texts.push(text);
    run.wire.extend(&hello);
    hello
}

/// Alice and Bob talk as usual; true if every message opens.
fn converses(run: &mut Run) -> bool {
    (0..4).all(|turn| {
        let from = turn % 2;
        let text = format!("something private, number {turn}").into_bytes();
        let message = run.sessions[from].as_mut().unwrap().encrypt(&text, &mut run.source).unwrap();
        run.wire.extend(&message);
        run.texts.push(text.clone());
        run.open(from ^ 1, &message) == Some(text)
    })
}

fn numbers_with(run: &Run, who: usize) -> [u8; 65] {
    let remote = *run.sessions[who].as_ref().unwrap().remote_identity().unwrap();
    SafetyNumber::new(&RustCrypto, (run.devices[who].identity(), b""), (&remote, b"")).to_bytes()
}

/// Attack B18: in 2013 Telegram's server chose a nonce so that both sides, each in a conversation with the server, saw
/// the same fingerprint. Here no value that a server supplies enters the number.
#[test]
fn b18_no_choice_by_the_server_equalises_safety_numbers() {
    let mut run = Run::published(3, &Setup::default());
    let mut own = own_device(&mut run);
    let seen: std::collections::BTreeSet<[u8; 65]> = (0..4)
        .map(|attempt| {
            // Other prekeys, other ids, another expiry, another session.
            own.rotate(UnixSeconds(NOW.0 + attempt), &mut run.source);
            let bundle = own_bundle(&mut own, &mut run);
            begins(&mut run, &bundle);
            numbers_with(&run, ALICE)
        })
        .collect();
    assert_eq!(seen.len(), 1, "the server's choices change nothing");
    let (_, hello) = own.initiate(run.fetch(BOB), b"hi", InitiateOptions::unverified(NOW), &mut run.source).unwrap();
    run.sessions[BOB] = Some(run.devices[BOB].accept(&hello).unwrap().0);
    assert!(!run.numbers_agree());

    // Control: the fingerprint of 2013, a hash of a key that includes the server's nonce.
    let [alice, bob] = [[0x17u8; 32], [0xB0; 32]];
    let key = |dh: [u8; 32], nonce: [u8; 32]| -> [u8; 32] { std::array::from_fn(|at| dh[at] ^ nonce[at]) };
    let (one, other) = ([0; 32], std::array::from_fn(|at| alice[at] ^ bob[at]));
    let number = |key: [u8; 32]| noescrow::primitives::Primitives::sha256(&RustCrypto, &[&key]);
    assert_eq!(number(key(alice, one)), number(key(bob, other)));
}

/// Attack G4: the server adds a device of its own as Bob's. The existing conversation continues with Bob; a new one
/// takes an act of the user, and has another identity and another safety number.
#[test]
fn g4_a_ghost_device_reads_nothing_of_the_old_conversation() {
    let mut run = Run::new(4, &Setup::default());
    let bob = *run.devices[BOB].identity();
    let mut own = own_device(&mut run);
    let published = own.publish(1, NOW, &mut run.source).unwrap();
    let hash = access_key(BOB).hash();
    run.relay.replace_identity(&account(BOB), published, hash, address(BOB), NOW).unwrap();
    let bundle = run.fetch(BOB);
    assert_ne!(bundle.identity(), &bob);
    assert_ne!(
        run.devices[ALICE].safety_number(&bob).to_bytes(),
        run.devices[ALICE].safety_number(bundle.identity()).to_bytes()
    );
    assert_eq!(run.sessions[ALICE].as_ref().unwrap().remote_identity(), Some(&bob));
    assert!(converses(&mut run) && run.audit(b"").verdict().holds());
    // Control: a client that accepts what it is served sends the ghost everything.
    let hello = begins(&mut run, &bundle);
    let _: (session::Session<Recorder>, _) = own.accept(&hello).unwrap();
    let verdict = run.audit(b"").verdict();
    assert!(verdict.of_kind(FindingKind::Derivable).any(|found| found.what.starts_with("plaintext")), "{verdict}");
}
