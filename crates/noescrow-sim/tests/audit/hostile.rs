// SPDX-License-Identifier: MIT OR Apache-2.0
//! Servers that do more than listen. Every move is a schedule of the event language, whose relay computes on a recorder of
//! its own, so that the audit knows what it knows. A table says what the devices do, what the audit says, and whether the
//! safety numbers tell the users.

use crate::broken::{Broken, Fault};
use crate::generators::Source;
use crate::run::{ALICE, BOB, Device, LATER, NAMES, NOW, Run, SOURCE, Setup, account, address, runs};
use noescrow::primitives::RustCrypto;
use noescrow::{Bundle, Heap, SafetyNumber, session};
use noescrow_audit::{Audit, FindingKind, Tape};
use noescrow_recorder::{Recorder, profile};
use noescrow_sim::{Answer, Event, FROM_BACK, Opening, ServedBundle, Side, Simulation};

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
enum Numbers {
    Agree,
    Differ,
    /// There is no conversation that would have any.
    None,
}

/// What came of a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Outcome {
    alice: Answer,
    bob: Answer,
    /// A secret or a plaintext of the devices is the server's.
    secret: bool,
    plaintext: bool,
    numbers: Numbers,
}

const fn outcome(alice: Answer, bob: Answer, secret: bool, plaintext: bool, numbers: Numbers) -> Outcome {
    Outcome { alice, bob, secret, plaintext, numbers }
}

/// What a device that checks does, and one that believes everything.
fn due(play: RelayMove, fault: Fault) -> Outcome {
    use Answer::{Accepts, IsNotAsked, Refuses};
    use Numbers::{Agree, Differ};
    let stopped = outcome(Refuses, IsNotAsked, false, false, Numbers::None);
    let denied = outcome(Accepts, Refuses, false, false, Numbers::None);
    let ignored = outcome(Accepts, Refuses, false, false, Agree);
    match (play, fault) {
        (Forward | WithholdOneTimePrekeys | Reorder, _) => outcome(Accepts, Accepts, false, false, Agree),
        // No check of a device's own can know who Bob is.
        (SubstituteIdentity, _) => outcome(Accepts, Accepts, true, true, Differ),
        (SubstituteSignedPrekey | SubstituteOneTimePrekey | ClaimPrekeys, Fault::Gullible) => {
            outcome(Accepts, Refuses, true, false, Numbers::None)
        }
        (SubstituteSignedPrekey | SubstituteOneTimePrekey | ClaimPrekeys, _) => stopped,
        // The parser refuses these, not a primitive that could be broken.
        (ConfuseKinds | ExpiredBundle | LowOrderPrekey, _) => stopped,
        (ReplayBundle | StaleBundle | LowOrderEphemeral, _) => denied,
        (ReplayFirstMessage | ReplayLastResort | MixConversations | Splice, _) => ignored,
        (Reflect, _) => outcome(Refuses, Accepts, false, false, Agree),
    }
}

type Enemys = Simulation<session::Session<Broken, Heap>, Source>;

const fn publish(side: Side) -> Event {
    Event::Publish { side, count: 1 }
}

const fn fetch(served: ServedBundle) -> Event {
    Event::Fetch { by: Side::Alice, served, point: 0 }
}

const INITIATE: Event = Event::Initiate { from: Side::Alice, too_late: false };
/// Of all first messages that were ever sent to Bob the last.
const ARRIVE: Event = Event::Arrive { to: Side::Bob, message: FROM_BACK, low_order: None };
const SEND: Event = Event::Send { from: Side::Alice, length: 40, associated_data: 0 };

/// A bundle, what Alice does with it, and what Bob does with that.
fn with(served: ServedBundle) -> Vec<Event> {
    vec![publish(Side::Bob), fetch(served), INITIATE, ARRIVE]
}

/// The schedule that a move is. Its last event, if it is one of the conversation, is where the move shows.
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

/// Lets a move happen, whatever the devices do; returns what they did at last.
fn make(of: RelayMove, simulation: &mut Enemys) -> [Answer; 2] {
    let mut did = [Answer::IsNotAsked; 2];
    for event in schedule(of) {
        let before = simulation.report();
        let outcome = match event {
            Event::Fetch { .. } | Event::Initiate { .. } => {
                let answer = simulation.apply_unchecked(event).unwrap().actual;
                // Who has refused its bundle begins nothing.
                did[ALICE] = if answer == Answer::IsNotAsked { did[ALICE] } else { answer };
                did[BOB] = Answer::IsNotAsked;
                continue;
            }
            Event::Arrive { .. } | Event::Mix { .. } => {
                did[BOB] = simulation.apply_unchecked(event).unwrap().actual;
                continue;
            }
            event => simulation.step(event),
        };
        // The oracle says of these that they opened, or were refused and changed nothing.
        outcome.unwrap();
        let refused = simulation.report().refused > before.refused;
        let answer = if refused { Answer::Refuses } else { Answer::Accepts };
        match event {
            Event::Reflect { .. } => did = [answer, Answer::Accepts],
            Event::Splice { .. } | Event::DeliverAll { .. } => did = [Answer::Accepts, answer],
            _ => {}
        }
    }
    did
}

fn numbers(simulation: &Enemys) -> Numbers {
    let [alice, bob] = [Side::Alice, Side::Bob].map(|side| simulation.handshakes().session_of(side));
    let number = |session: &session::Session<Broken, Heap>| session.safety_number().unwrap();
    match (alice, bob) {
        (Some(alice), Some(bob)) if number(alice).verify_scanned(&number(bob).to_bytes()).is_ok() => Numbers::Agree,
        (Some(_), Some(_)) => Numbers::Differ,
        _ => Numbers::None,
    }
}

fn play(of: RelayMove, fault: Fault, seed: u64) -> (Outcome, String) {
    let tape = Tape::in_memory();
    let [alice, bob] = NAMES.map(|name| Broken::new(Recorder::device(&tape, name).unwrap(), fault));
    let relay = Broken::new(Recorder::server(&tape, "relay").unwrap(), Fault::None);
    let mut simulation = Enemys::new(alice, bob, relay, Opening::PLAIN, Source::good(seed ^ SOURCE)).unwrap();
    let [alice, bob] = make(of, &mut simulation);
    let numbers = match of {
        // Within the conversation that there is.
        Splice | Reflect | Reorder => {
            let [alice, bob] =
                [&simulation.ends().alice, &simulation.ends().bob].map(|end| end.safety_number().unwrap());
            if alice.verify_scanned(&bob.to_bytes()).is_ok() { Numbers::Agree } else { Numbers::Differ }
        }
        _ => numbers(&simulation),
    };
    // After a move that came to nothing the conversation goes on.
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
    let (secret, plaintexts) = (!verdict.holds(), derivable("plaintext"));
    assert_eq!(secret, derivable("X25519 shared secret") > 0, "{of:?}: {verdict}");
    // To the text: what was said to the relay, and nothing else.
    assert_eq!(plaintexts, simulation.handshakes().relay_plaintexts().len(), "{of:?}: {verdict}");
    (Outcome { alice, bob, secret, plaintext: plaintexts > 0, numbers }, verdict.to_string())
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

/// The answer that gives a server its all-zero secret is refused wherever it can stand, whichever point it is.
#[test]
fn each_point_of_low_order_is_refused_in_each_place() {
    let [alice, bob] = NAMES.map(|_| RustCrypto);
    let mut simulation = Simulation::<session::Session<RustCrypto, Heap>, _>::new(
        alice,
        bob,
        RustCrypto,
        Opening::PLAIN,
        Source::good(5),
    )
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
    // As it was sent, the last of these is accepted.
    assert_eq!(simulation.apply_unchecked(ARRIVE).unwrap().actual, Answer::Accepts);
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

/// The server's own device, whose operations are the server's.
fn own_device(run: &mut Run) -> Device<Recorder> {
    Device::generate_with(Recorder::server(&run.tape, "relay").unwrap(), LATER, &mut run.source)
}

fn own_bundle(own: &mut Device<Recorder>, run: &mut Run) -> Bundle {
    let mut published = own.publish(1, LATER, &mut run.source).unwrap();
    Bundle::new(published.identity, published.signed_prekey, published.one_time_prekeys.pop()).unwrap()
}

fn begins(run: &mut Run, bundle: &Bundle) -> Vec<u8> {
    let text = format!("to Bob alone, number {}", run.texts.len()).into_bytes();
    let (session, hello) = run.devices[ALICE].initiate(bundle, &text, b"", NOW, &mut run.source).unwrap();
    run.sessions[ALICE] = Some(session);
    run.texts.push(text);
    run.wire.extend(&hello);
    hello
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
            let bundle = own_bundle(&mut own, &mut run);
            begins(&mut run, &bundle);
            numbers_with(&run, ALICE)
        })
        .collect();
    assert_eq!(seen.len(), 1, "the server's choices change nothing");
    let (_, hello) = own.initiate(&run.fetch(BOB), b"hi", b"", NOW, &mut run.source).unwrap();
    run.sessions[BOB] = Some(run.devices[BOB].accept(&hello, b"").unwrap().0);
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
    let hello = begins(&mut run, &bundle);
    let _: (session::Session<Recorder, Heap>, _) = own.accept(&hello, b"").unwrap();
    let verdict = run.audit(b"").verdict();
    assert!(verdict.of_kind(FindingKind::Derivable).any(|found| found.what.starts_with("plaintext")), "{verdict}");
}
