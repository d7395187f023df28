// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Run`]: two recorded devices, a relay between them, a schedule drawn from a seed, and everything that the server
//! saw.

use crate::faulty_device::{Fault, FaultyDevice, FaultyRecorder, Name, Tap};
use crate::generators::{Source, draw};
use noescrow::hazmat::{AcceptFromAnyone, duplicate_bundle};
use noescrow::primitives::{Primitives, RustCrypto};
use noescrow::relay::{AccountName, Envelope, Order, Relay};
use noescrow::{AccessKey, Bundle, Capacity, ChunkSize, InitiateOptions, StorageKey, UnixSeconds, device, session};
use noescrow_audit::{Audit, Evidence, Tape};
use noescrow_recorder::{Recorder, profile};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use std::cell::Ref;
use std::fmt::Write as _;
use std::net::IpAddr;

pub const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
/// The devices use another random stream than the schedule.
pub const SOURCE: u64 = 0xA11C_E0B0;
pub const ALICE: usize = 0;
pub const BOB: usize = 1;
pub const NAMES: [&str; 2] = ["Alice", "Bob"];

pub type Device<P = FaultyRecorder> = device::Device<P, Capacity<8, 16>>;
pub type Session<P = FaultyRecorder> = session::Session<P>;

/// The number of random runs in which each control must be found.
pub fn runs() -> u64 {
    number("NOESCROW_AUDIT_RUNS", 3)
}

pub fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |number| number.parse().unwrap())
}

/// The parameters of a run.
#[derive(Clone)]
pub struct Setup {
    pub fault: Fault,
    /// The devices' generator; a good one if none.
    pub source: Option<Source>,
    /// Alice's generator for her handshake; the same as before if none.
    pub handshake_source: Option<Source>,
    pub one_time_prekeys: usize,
    pub chunk_size: ChunkSize,
    /// Both sessions and Bob's device are saved after every step, so that they can be stolen at each of these moments.
    pub saves_always: bool,
    pub steps: usize,
}

impl Default for Setup {
    fn default() -> Self {
        let fault = Fault::None;
        Self {
            fault,
            source: None,
            handshake_source: None,
            one_time_prekeys: 2,
            chunk_size: ChunkSize::default(),
            saves_always: false,
            steps: 24,
        }
    }
}

impl Setup {
    pub fn with(fault: Fault) -> Self {
        Self { fault, ..Self::default() }
    }
}

pub struct Run {
    pub tape: Tape,
    pub prims: [FaultyRecorder; 2],
    pub devices: [Device; 2],
    pub sessions: [Option<Session>; 2],
    pub relay: Relay,
    pub storage_keys: [[u8; 32]; 2],
    /// The plaintexts of the users.
    pub texts: Vec<Vec<u8>>,
    /// Sealed states, as the devices store them.
    pub snapshots: Vec<Vec<u8>>,
    /// What crossed the network, what the relay held from time to time, its answers to orders, and its log.
    pub wire: Vec<u8>,
    pub states: Vec<u8>,
    pub disclosed: String,
    pub log: String,
    pub rng: ChaCha20Rng,
    pub source: Source,
    /// The moments at which a device can be stolen.
    pub saved: Vec<Saved>,
    fault: Fault,
    chunk_size: ChunkSize,
    saves_always: bool,
    generation: u64,
    now: UnixSeconds,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saved {
    pub who: usize,
    pub is_session: bool,
}

pub fn account(who: usize) -> AccountName {
    AccountName::new(["+14151111111", "+14152222222"][who]).unwrap()
}

/// What an account's correspondents have.
pub fn access_key(who: usize) -> AccessKey {
    AccessKey::from_bytes([[0xA1; 32], [0xB2; 32]][who])
}

pub fn address(who: usize) -> IpAddr {
    ["192.0.2.1", "2001:db8::2"][who].parse().unwrap()
}

impl Run {
    /// A complete run: handshake, conversation, everything delivered at the end.
    pub fn new(seed: u64, setup: &Setup) -> Self {
        let mut run = Self::begun(seed, setup);
        for _ in 0..setup.steps {
            run.random_step();
        }
        run.settle();
        run
    }

    /// Alice has sent her first message; nothing has been collected.
    pub fn begun(seed: u64, setup: &Setup) -> Self {
        let mut run = Self::published(seed, setup);
        if let Some(source) = setup.handshake_source.clone() {
            run.source = source;
        }
        let bundle = run.fetch(BOB);
        run.initiate(&bundle);
        run
    }

    /// Both devices have published their prekeys.
    pub fn published(seed: u64, setup: &Setup) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mut source = setup.source.clone().unwrap_or_else(|| Source::good(seed ^ SOURCE));
        let tape = Tape::in_memory();
        if let Fault::ServerNonce(nonce) = &setup.fault {
            Recorder::server(&tape, "relay").unwrap().fresh(nonce);
        }
        let prims = NAMES.map(|name| FaultyDevice::over(Recorder::device(&tape, name).unwrap(), setup.fault));
        let devices = prims.clone().map(|prims| Device::generate_with(prims, NOW, &mut source));
        let storage_keys = [[(); 32]; 2].map(|key| key.map(|()| draw(&mut rng, 256) as u8));
        let mut run = Self {
            tape,
            prims,
            devices,
            sessions: [None, None],
            relay: Relay::default(),
            storage_keys,
            texts: vec![],
            snapshots: vec![],
            wire: vec![],
            states: vec![],
            disclosed: String::new(),
            log: String::new(),
            rng,
            source,
            saved: vec![],
            fault: setup.fault,
            chunk_size: setup.chunk_size,
            saves_always: setup.saves_always,
            generation: 0,
            now: NOW,
        };
        for who in [BOB, ALICE] {
            run.publish(who, setup.one_time_prekeys);
        }
        run
    }

    pub fn tap(&self, who: usize) -> Ref<'_, Tap> {
        self.prims[who].tap.borrow()
    }

    /// All values of this name that a device had.
    pub fn all(&self, name: Name, step: &str) -> Vec<Vec<u8>> {
        [ALICE, BOB].into_iter().flat_map(|who| self.tap(who).all(name, step)).collect()
    }

    /// A random one of these.
    pub fn any(&mut self, name: Name, step: &str) -> Vec<u8> {
        let mut all = self.all(name, step);
        let at = draw(&mut self.rng, all.len());
        all.swap_remove(at)
    }

    pub fn publish(&mut self, who: usize, one_time_prekeys: usize) {
        let publication = self.devices[who].publish(one_time_prekeys, NOW, &mut self.source).unwrap();
        self.wire.extend(publication.identity.to_bytes());
        self.wire.extend(publication.signed_prekey.to_bytes());
        publication.one_time_prekeys.iter().for_each(|prekey| self.wire.extend(prekey.to_bytes()));
        self.log_request(who, "PUT /v1/keys");
        let (name, hash) = (account(who), access_key(who).hash());
        match self.relay.one_time_prekeys_left(&name, self.now) {
            Ok(_) => self.relay.publish(&name, publication, address(who), self.now),
            Err(_) => self.relay.open(&name, publication, hash, address(who), self.now),
        }
        .unwrap();
    }

    /// A bundle as Alice receives it.
    pub fn fetch(&mut self, whose: usize) -> Bundle {
        let bytes = self.relay.fetch(&account(whose), self.now).unwrap().to_bytes();
        self.wire.extend(&bytes);
        Bundle::from_bytes(&self.prims[whose ^ 1], &bytes).unwrap()
    }

    pub fn initiate(&mut self, bundle: &Bundle) {
        let text = self.text();
        let (session, hello) = self.devices[ALICE]
            .initiate(
                duplicate_bundle(bundle),
                &text,
                InitiateOptions::unverified(self.now).chunk_size(self.chunk_size),
                &mut self.source,
            )
            .unwrap();
        self.sessions[ALICE] = Some(session);
        self.texts.push(text);
        self.post(BOB, hello);
    }

    /// A user's text: letters, so that it looks like what people log.
    fn text(&mut self) -> Vec<u8> {
        let len = 24 + draw(&mut self.rng, 60);
        (0..len).map(|_| b"etaoin shrdlucmfwypvbgkjqxz"[draw(&mut self.rng, 27)]).collect()
    }

    pub fn send(&mut self, from: usize) -> bool {
        let text = self.text();
        let Some(session) = &mut self.sessions[from] else { return false };
        let message = session.encrypt(&text, &mut self.source).unwrap();
        self.texts.push(text);
        self.post(from ^ 1, message);
        true
    }

    pub fn post(&mut self, to: usize, message: Vec<u8>) {
        self.now.0 += 1;
        self.log_request(to, &format!("PUT /v1/messages {}", message.len()));
        self.wire.extend(&message);
        let (key, envelope) = (access_key(to), Envelope::new(message).unwrap());
        self.wire.extend(key.expose());
        let mut numbers = ChaCha20Rng::seed_from_u64(self.now.0);
        self.relay.deliver(&account(to), envelope, Some(&key), self.now, &mut numbers).unwrap();
    }

    /// The messages queued for a recipient, with the mailbox's numbers.
    pub fn queued(&mut self, whose: usize) -> Vec<(u64, Vec<u8>)> {
        self.now.0 += 1;
        let pending = self.relay.pending(&account(whose), address(whose), self.now).unwrap();
        pending.map(|received| (received.number, received.envelope.as_bytes().to_vec())).collect()
    }

    /// Collects one of the queued messages; true if it opened.
    pub fn collect(&mut self, who: usize, at: usize) -> bool {
        let mut queued = self.queued(who);
        if at >= queued.len() {
            return false;
        }
        let (number, message) = queued.swap_remove(at);
        self.relay.acknowledge(&account(who), number).unwrap();
        self.open(who, &message).is_some()
    }

    /// Messages in turns, enough for an epoch whatever happened before: in one of a few hundred runs ninety steps were
    /// not.
    pub fn with_an_epoch(&mut self) -> &Self {
        for turn in 0..40 {
            let from = if turn % 2 == 0 { ALICE } else { BOB };
            self.send(from);
            while self.collect(from ^ 1, 0) {}
        }
        self
    }

    pub fn open(&mut self, who: usize, message: &[u8]) -> Option<Vec<u8>> {
        match &mut self.sessions[who] {
            Some(session) => session.decrypt(message).ok().map(|opened| opened.plaintext),
            None => {
                let (session, text) = self.devices[who].accept(message).ok()?;
                self.sessions[who] = Some(session);
                Some(text)
            }
        }
    }

    /// Delivers the queued messages, in order.
    pub fn settle(&mut self) {
        for who in [BOB, ALICE] {
            while !self.queued(who).is_empty() {
                self.collect(who, 0);
                self.save_always();
            }
        }
        self.record_relay();
    }

    pub fn random_step(&mut self) {
        let who = draw(&mut self.rng, 2);
        match draw(&mut self.rng, 8) {
            0..=2 => {
                self.send(who);
            }
            3..=5 => {
                let queued = self.queued(who).len();
                if queued > 0 {
                    let at = draw(&mut self.rng, queued);
                    self.collect(who, at);
                }
            }
            6 => self.record_relay(),
            _ => self.save(who),
        }
        self.save_always();
    }

    /// A device saves its session.
    pub fn save(&mut self, who: usize) {
        let key = self.storage_key(who);
        if let Some(session) = &self.sessions[who] {
            self.snapshots.push(session.snapshot(&key, self.generation));
            self.note_saved(Saved { who, is_session: true });
        }
    }

    fn storage_key(&mut self, who: usize) -> StorageKey {
        self.generation += 1;
        self.prims[who].primitives().given(&self.storage_keys[who]);
        StorageKey::new(self.storage_keys[who])
    }

    fn note_saved(&mut self, saved: Saved) {
        // A device that keeps old secrets seals them in addition to its state.
        let seals = if self.fault.keeps().is_some() { 2 } else { 1 };
        self.saved.extend(std::iter::repeat_n(saved, seals));
    }

    pub fn save_device(&mut self, who: usize) {
        let key = self.storage_key(who);
        self.snapshots.push(self.devices[who].snapshot(&key, self.generation));
        self.note_saved(Saved { who, is_session: false });
    }

    fn save_always(&mut self) {
        if self.saves_always {
            [ALICE, BOB].into_iter().for_each(|who| self.save(who));
            self.save_device(BOB);
        }
    }

    /// Records everything that the relay has.
    pub fn record_relay(&mut self) {
        self.states.extend(self.relay.state_bytes());
        for who in [ALICE, BOB] {
            let disclosed = self.relay.disclose(&account(who), &Order::new("A40-12345/2018")).unwrap();
            writeln!(self.disclosed, "{}", serde_json::to_string(&disclosed).unwrap()).unwrap();
        }
    }

    fn log_request(&mut self, who: usize, what: &str) {
        writeln!(self.log, "{} {} {} 200 {what}", self.now, address(who), account(who)).unwrap();
    }

    /// The audit of this run, with what the server has in addition to what it should have.
    pub fn audit<'a>(&'a self, leak: &'a [u8]) -> Audit<'a> {
        self.audit_of(&self.tape.bytes(), leak)
    }

    pub fn audit_of<'a>(&'a self, trace: &[u8], leak: &'a [u8]) -> Audit<'a> {
        Audit::read(profile(), trace)
            .unwrap()
            .server_saw("relay", &self.states)
            .server_saw("wire", &self.wire)
            .server_saw("disclosure", self.disclosed.as_bytes())
            .server_saw("log", self.log.as_bytes())
            .server_saw("leak", leak)
            .known(Evidence::new())
    }

    /// Whether two people who compare safety numbers see the same ones.
    pub fn numbers_agree(&self) -> bool {
        let seen = |who: usize| {
            let session = self.sessions[who].as_ref().unwrap();
            let (local, remote) = (*self.devices[who].identity(), *session.remote_identity().unwrap());
            noescrow::SafetyNumber::new(&RustCrypto, (&local, b""), (&remote, b""))
        };
        seen(ALICE).verify_scanned(&seen(BOB).to_bytes()).is_ok()
    }
}
