// SPDX-License-Identifier: MIT OR Apache-2.0
//! Three messengers, each of which writes to both others, under arbitrary schedules of loss, duplication, reordering,
//! crashes, restored backups and simultaneous initiation. The oracle: every message that was not lost opens once, whatever
//! happens with a third one, and both ends of each pair meet in one session within two round trips.

use super::disk::Disk;
use super::user::{DAY, HOUR, MINUTE, User, key};
use noescrow::Prekey;
use noescrow::durable::Subject;
use noescrow::messenger::policy::SESSIONS_OF_A_PEER;
use noescrow::messenger::{Control, Messenger, OpenError, Opened, Refusal, SealError};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Number of messengers.
const N: usize = 3;

/// What happens. A side is below [`N`]; a pair is who writes, and to whom.
#[derive(Clone, Debug)]
enum Event {
    /// The side sends a message.
    Send(Pair),
    /// It seals a message, and crashes before that is saved.
    CrashWhileSending(Pair),
    /// It begins a new session, whether one is needed or not.
    Begin(Pair),
    /// A message that is on its way to the side arrives.
    Deliver(usize, Index),
    /// It arrives, and stays on its way.
    Duplicate(usize, Index),
    /// It is opened, and the side crashes before that is saved.
    CrashWhileOpening(usize, Index),
    Lose(usize, Index),
    Restart(usize),
    /// The side makes a backup.
    Backup(usize),
    /// Its store is put back to the backup, and the application knows it.
    Restore(usize),
    /// Minutes pass.
    Wait(u8),
}

type Pair = (usize, usize);

/// What the application does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Application {
    Honest,
    /// Faulty: it acknowledges a message before it is saved.
    AcknowledgesFirst,
    /// Faulty: it continues from a backup as if nothing had happened.
    ContinuesFromBackup,
    /// Faulty: it never probes.
    NeverProbes,
    /// Faulty: it sends a message before it is saved.
    SendsFirst,
}

struct Message {
    from: usize,
    bytes: Vec<u8>,
    /// `None` for a message of the layer.
    text: Option<u32>,
    /// How often the receiver was restored, as far as the sender knew.
    knows: u32,
    /// How often the sender was restored.
    restored: u32,
}

struct World {
    users: [User; N],
    application: Application,
    /// What is on its way to each side.
    mail: [Vec<Message>; N],
    backups: [Option<Disk>; N],
    restored: [u32; N],
    /// How often each other side was restored, by what this side has opened.
    knows: [[u32; N]; N],
    next_text: u32,
    /// Number of sessions that each side has begun with each other.
    begun: [[u32; N]; N],
    /// How often each text was shown, since the side was restored.
    shown: [BTreeMap<u32, u32>; N],
}

type Stored = (Disk, Subject, Prekey, Vec<Prekey>);

/// Friends, made once: each pair has a session.
static FRIENDS: LazyLock<[Stored; N]> = LazyLock::new(|| {
    let mut users = [1, 2, 3].map(User::new);
    let identities = users.each_ref().map(User::identity);
    for (side, user) in users.iter_mut().enumerate() {
        for other in (0..N).filter(|other| *other != side) {
            let step = user.messenger.add_peer(
                &[b'0' + u8::try_from(other).unwrap()],
                Some(&identities[other]),
                user.now,
                &mut user.rng,
            );
            step.unwrap().save(&mut user.disk).unwrap();
        }
    }
    for (from, to) in pairs().filter(|(from, to)| from < to) {
        let [sender, receiver] = users.get_disjoint_mut([from, to]).unwrap();
        let hello = sender.send(receiver, b"hello");
        receiver.open(&hello.message).unwrap();
        let answer = receiver.send(sender, b"hello");
        sender.open(&answer.message).unwrap();
    }
    users.map(|user| (user.disk, user.messenger.subject(), user.signed_prekey, user.one_time_prekeys))
});

fn pairs() -> impl Iterator<Item = Pair> {
    (0..N).flat_map(|from| (0..N).filter(move |to| *to != from).map(move |to| (from, to)))
}

fn user(side: usize) -> User {
    let (mut disk, subject, signed_prekey, one_time_prekeys) = FRIENDS[side].clone();
    let mut rng = ChaCha20Rng::seed_from_u64(u64::try_from(side).unwrap() + 500);
    let messenger = Messenger::load(&mut disk, &key(), &subject, 0, &mut rng).unwrap();
    User { messenger, disk, rng, now: super::user::NOW, signed_prekey, one_time_prekeys }
}

impl World {
    fn new(application: Application) -> Self {
        Self {
            users: std::array::from_fn(user),
            application,
            mail: Default::default(),
            backups: Default::default(),
            restored: [0; N],
            knows: [[0; N]; N],
            next_text: 0,
            begun: [[0; N]; N],
            shown: Default::default(),
        }
    }

    fn sides(&mut self, (side, other): Pair) -> [&mut User; 2] {
        self.users.get_disjoint_mut([side, other]).unwrap()
    }

    fn post(&mut self, (from, to): Pair, bytes: Vec<u8>, text: Option<u32>) {
        let (knows, restored) = (self.knows[from][to], self.restored[from]);
        self.mail[to].push(Message { from, bytes, text, knows, restored });
    }

    fn send(&mut self, pair: Pair, begin: bool) -> Result<(), String> {
        let text = self.next_text;
        self.next_text += 1;
        let [sender, receiver] = self.sides(pair);
        let peer = sender.peer(receiver);
        let bytes = text.to_be_bytes();
        let sealed = match if begin { Err(SealError::UnknownPeer) } else { sender.seal(&peer, &bytes) } {
            Err(SealError::NeedsBundle(_) | SealError::UnknownPeer) => {
                sender.seal_with(&peer, &bytes, receiver.bundle())
            }
            // The limit on new sessions: the user tries again later.
            Err(SealError::TooManySessions { .. }) => return Ok(()),
            sealed => sealed,
        };
        let sealed = sealed.map_err(|error| format!("not sealed: {error}"))?;
        self.begun[pair.0][pair.1] += u32::from(sealed.is_new_session);
        self.post(pair, sealed.message, Some(text));
        Ok(())
    }

    fn crash_while_sending(&mut self, pair: Pair) {
        let sends_first = self.application == Application::SendsFirst;
        let text = self.next_text;
        self.next_text += 1;
        let [sender, receiver] = self.sides(pair);
        let peer = sender.peer(receiver);
        let loaded = sender.messenger.route_to(&peer).unwrap().load(&mut sender.disk).unwrap();
        let step = sender.messenger.seal(&peer, &text.to_be_bytes(), loaded, sender.now, &mut sender.rng);
        let sent = step.ok().and_then(|step| step.batch()).and_then(|batch| batch.sent);
        sender.crash();
        if let Some(sent) = sent.filter(|_| sends_first) {
            self.post(pair, sent.message.clone(), Some(text));
        }
    }

    /// Opens a message, and does what the application does about it.
    fn deliver(&mut self, to: usize, message: &Message) -> Result<bool, String> {
        let [receiver, sender] = self.sides((to, message.from));
        let opened = match receiver.open(&message.bytes) {
            Ok(opened) => opened,
            Err(OpenError::Deferred { .. }) => return Ok(false),
            Err(OpenError::Refused(refused)) if refused.reason == Refusal::AlreadyOpened => return Ok(true),
            Err(OpenError::Refused(refused)) if self.may_fail(to, message, refused.reason) => {
                message.text.map(|text| self.shown[to].entry(text).or_insert(u32::MAX));
                return Ok(true);
            }
            Err(error) => return Err(format!("text {:?} does not open: {error}", message.text)),
        };
        let peer = receiver.peer(sender);
        let Opened { payload, control, is_on_probation, ends_probation, .. } = opened;
        match (control, message.text) {
            (None, Some(text)) if payload == text.to_be_bytes() => *self.shown[to].entry(text).or_default() += 1,
            (Some(_), None) => {}
            other => return Err(format!("opened as another message: {other:?}")),
        }
        // A probe alone moves no sender from a session that it has from the peer.
        if !is_on_probation && (control.is_none() || ends_probation) {
            let knows = &mut self.knows[to][message.from];
            *knows = message.restored.max(*knows);
        }
        if control == Some(Control::Probe) {
            let receiver = &mut self.users[to];
            let loaded = receiver.messenger.route_to(&peer).unwrap().load(&mut receiver.disk).unwrap();
            if let Ok(step) = receiver.messenger.seal_answer(&peer, loaded, receiver.now, &mut receiver.rng) {
                let answer = step.save(&mut receiver.disk).unwrap().message;
                self.post((to, message.from), answer, None);
            }
        }
        if is_on_probation && self.application != Application::NeverProbes {
            let receiver = &mut self.users[to];
            let loaded = receiver.messenger.route_to_probe(&peer).unwrap().load(&mut receiver.disk).unwrap();
            if let Ok(step) = receiver.messenger.seal_probe(&peer, loaded, receiver.now, &mut receiver.rng) {
                let probe = step.save(&mut receiver.disk).unwrap().message;
                self.post((to, message.from), probe, None);
            }
        }
        Ok(true)
    }

    /// Whether a message need not open.
    fn may_fail(&self, to: usize, message: &Message, reason: Refusal) -> bool {
        let from = message.from;
        let begun = self.begun[from][to] + self.begun[to][from];
        // The sender did not know that the receiver was restored.
        let is_unaware = message.knows < self.restored[to];
        // Five sessions are kept. With the first one, there are more.
        let has_ended = matches!(reason, Refusal::NoSuchSession | Refusal::SessionEnded)
            && begun >= u32::try_from(SESSIONS_OF_A_PEER).unwrap();
        // A probe may be for a session that the receiver has no more, or that the sender has made twice.
        let is_probe = message.text.is_none() && self.restored[from] + self.restored[to] > 0;
        is_unaware || is_probe || has_ended
    }

    /// Takes the message at `at` from the mail to a side.
    fn take(&mut self, to: usize, at: &Index) -> Option<Message> {
        let len = self.mail[to].len();
        (len > 0).then(|| self.mail[to].remove(at.index(len)))
    }

    fn step(&mut self, event: &Event) -> Result<(), String> {
        match event {
            Event::Send(pair) => self.send(*pair, false)?,
            Event::Begin(pair) => self.send(*pair, true)?,
            Event::CrashWhileSending(pair) => self.crash_while_sending(*pair),
            Event::Deliver(to, at) => {
                if let Some(message) = self.take(*to, at)
                    && !self.deliver(*to, &message)?
                {
                    self.mail[*to].push(message);
                }
            }
            Event::Duplicate(to, at) => {
                if let Some(message) = self.take(*to, at) {
                    let opened = self.deliver(*to, &message);
                    self.mail[*to].push(message);
                    opened?;
                }
            }
            Event::CrashWhileOpening(to, at) => {
                let Some(message) = self.take(*to, at) else { return Ok(()) };
                let receiver = &mut self.users[*to];
                if let Ok(route) = receiver.messenger.route(&message.bytes, receiver.now) {
                    let loaded = route.load(&mut receiver.disk).unwrap();
                    drop(receiver.messenger.open(&message.bytes, loaded, receiver.now));
                }
                receiver.crash();
                if self.application != Application::AcknowledgesFirst {
                    self.mail[*to].push(message);
                }
            }
            Event::Lose(to, at) => {
                if let Some(text) = self.take(*to, at).and_then(|message| message.text) {
                    // It need not be shown, unless a copy was.
                    self.shown[*to].entry(text).or_insert(u32::MAX);
                }
            }
            Event::Restart(side) => self.users[*side].restart(),
            Event::Backup(side) => self.backups[*side] = Some(self.users[*side].disk.clone()),
            Event::Restore(side) => self.restore(*side),
            Event::Wait(minutes) => {
                self.users.iter_mut().for_each(|user| user.now.0 += u64::from(*minutes) * MINUTE);
            }
        }
        Ok(())
    }

    fn restore(&mut self, side: usize) {
        let Some(backup) = self.backups[side].take() else { return };
        let (user, continues) = (&mut self.users[side], self.application == Application::ContinuesFromBackup);
        user.disk = backup;
        user.crash();
        if !continues {
            let step = user.messenger.restore_backup(user.now, &mut user.rng).unwrap();
            let published = step.save(&mut user.disk).unwrap();
            user.signed_prekey = published.signed_prekey;
            user.one_time_prekeys = published.one_time_prekeys;
        }
        self.restored[side] += 1;
        // What was opened since the backup may come once more.
        self.shown[side].clear();
    }

    /// Delivers everything that is on its way.
    fn flush(&mut self) -> Result<(), String> {
        for _ in 0..100 {
            if self.mail.iter().all(Vec::is_empty) {
                return Ok(());
            }
            for to in 0..N {
                for message in std::mem::take(&mut self.mail[to]) {
                    if !self.deliver(to, &message)? {
                        self.mail[to].push(message);
                    }
                }
            }
            self.users.iter_mut().for_each(|user| user.now.0 += 10 * MINUTE);
        }
        Err("mail is deferred for ever".into())
    }

    /// The second half of the oracle.
    fn converge(&mut self) -> Result<(), String> {
        // The limits of a day are over.
        self.users.iter_mut().for_each(|user| user.wait(DAY + HOUR));
        pairs().filter(|(first, second)| first < second).try_for_each(|pair| self.meet(pair))
    }

    fn meet(&mut self, (first, second): Pair) -> Result<(), String> {
        for round_trip in 0..3 {
            let (mut sessions, mut all_opened) = ([[0; 32]; 2], true);
            for (pair, session) in [(first, second), (second, first)].into_iter().zip(&mut sessions) {
                let text = self.next_text;
                self.send(pair, false)?;
                self.flush()?;
                all_opened &= self.shown[pair.1].get(&text) == Some(&1);
                let [user, other] = self.sides(pair);
                let peer = user.peer(other);
                let route = user.messenger.route_to(&peer).map_err(|error| error.to_string())?;
                *session = route.subject().and_then(|subject| subject.session_id()).copied().unwrap_or_default();
            }
            if round_trip > 0 && all_opened && sessions[0] == sessions[1] {
                return Ok(());
            }
        }
        Err(format!("{first} and {second} do not meet within two round trips"))
    }

    /// Runs a schedule, and says what is wrong.
    fn run(application: Application, schedule: &[Event]) -> Result<(), String> {
        let mut world = Self::new(application);
        let mut due: [Vec<u32>; N] = Default::default();
        for event in schedule {
            let before = world.mail.each_ref().map(Vec::len);
            world.step(event)?;
            if let Event::Send((_, to)) | Event::Begin((_, to)) = event
                && world.mail[*to].len() > before[*to]
            {
                due[*to].push(world.next_text - 1);
            }
            if let Event::Restore(side) = event {
                // What was sent to it before need not open.
                due[*side].clear();
            }
        }
        world.flush()?;
        for (side, texts) in due.iter().enumerate() {
            for text in texts {
                match world.shown[side].get(text).copied() {
                    Some(1 | u32::MAX) => {}
                    // Its sender did not know yet that this side was restored.
                    None if world.restored[side] > 0 => {}
                    shown => return Err(format!("text {text} was shown {shown:?} times to {side}")),
                }
            }
            if let Some((text, shown)) = world.shown[side].iter().find(|(_, shown)| (2..1_000).contains(*shown)) {
                return Err(format!("text {text} was shown {shown} times to {side}"));
            }
        }
        world.converge()
    }
}

fn event(restores: bool) -> impl Strategy<Value = Event> {
    let side = || 0..N;
    let pair = || (side(), 1..N).prop_map(|(from, distance)| (from, (from + distance) % N));
    let message = || (side(), any::<Index>());
    let restore = move |event: fn(usize) -> Event| {
        side().prop_map(move |side| if restores { event(side) } else { Event::Restart(side) })
    };
    prop_oneof![
        8 => pair().prop_map(Event::Send),
        1 => pair().prop_map(Event::CrashWhileSending),
        1 => pair().prop_map(Event::Begin),
        8 => message().prop_map(|(to, at)| Event::Deliver(to, at)),
        1 => message().prop_map(|(to, at)| Event::Duplicate(to, at)),
        1 => message().prop_map(|(to, at)| Event::CrashWhileOpening(to, at)),
        1 => message().prop_map(|(to, at)| Event::Lose(to, at)),
        1 => side().prop_map(Event::Restart),
        1 => restore(Event::Backup),
        1 => restore(Event::Restore),
        2 => (0..90_u8).prop_map(Event::Wait),
    ]
}

/// Runs many schedules, and returns the first failure.
fn run_all(application: Application, restores: bool, cases: u32) -> Result<(), String> {
    let cases = std::env::var("MESSENGER_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(cases);
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 60, ..Config::default() };
    let schedule = proptest::collection::vec(event(restores), 1..50);
    let run = |schedule: Vec<Event>| World::run(application, &schedule).map_err(TestCaseError::fail);
    TestRunner::new_with_rng(
        config,
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    )
    .run(&schedule, run)
    .map_err(|error| error.to_string())
}

#[test]
fn every_message_opens_once_under_arbitrary_schedules() {
    assert_eq!(run_all(Application::Honest, false, 24), Ok(()));
}

#[test]
fn both_ends_meet_again_after_restored_backups() {
    assert_eq!(run_all(Application::Honest, true, 24), Ok(()));
}

/// Control: the oracle catches each application that does one thing wrong.
#[test]
fn the_oracle_catches_faulty_applications() {
    for (application, restores) in [
        (Application::AcknowledgesFirst, false),
        (Application::SendsFirst, false),
        (Application::ContinuesFromBackup, true),
        (Application::NeverProbes, true),
    ] {
        assert!(run_all(application, restores, 200).is_err(), "{application:?}");
    }
}
