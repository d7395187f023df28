// SPDX-License-Identifier: MIT OR Apache-2.0
//! The run: two devices on recorders, and for each of them the script that its child replays, with its draws, the
//! output of every operation, and the resulting device and session.

use crate::protocol::{CALLERS_DATA, NOW, ONE_TIME, Verb, answers};
use crate::recorder::Recorder;
use noescrow::{Bundle, ChunkSize, InitiateOptions, Payload, Sealed, StorageKey, device, session};
use rand_core::{Rng, TryCryptoRng, TryRng};
use sha2::{Digest, Sha256};
use std::convert::Infallible;

type Device = device::Device<Recorder>;
type Session = session::Session<Recorder>;

/// The post-quantum epoch at which the run ends: by then epoch 1's chains, which are erased two epochs later, are
/// retired, and each side has had both parts in the Braid.
const LAST_EPOCH: u32 = 4;
/// Messages within which it must be reached.
const MOST_MESSAGES: usize = 200;
/// Bytes of plaintexts: random, so that a plaintext is found by its bytes.
const PLAINTEXT_LEN: usize = 48;

/// One operation of one device.
pub struct Step {
    pub name: &'static str,
    pub verb: Verb,
    pub arguments: Vec<Vec<u8>>,
    pub draws: Vec<Vec<u8>>,
    pub output: Vec<u8>,
    /// Every secret input or output of a primitive, by name.
    pub secrets: Vec<(String, Vec<u8>)>,
    /// The public outputs.
    pub public: Vec<u8>,
    /// The device and session after it, as they are saved, and the exporter, which is not saved, while there is one.
    pub state: Vec<u8>,
}

/// A device with the record of its operations.
pub struct Party {
    pub name: &'static str,
    pub script: Vec<Step>,
    recorder: Recorder,
    device: Option<Device>,
    session: Option<Session>,
    /// The exporter that the session has.
    exporter: Vec<u8>,
    generation: u64,
}

/// Numbers that are the same in every run: SHA-256 of a seed and a counter. Draws are recorded.
struct Generator {
    seed: u64,
    counter: u64,
    draws: Vec<Vec<u8>>,
}

impl TryRng for Generator {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes).map(|()| u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes).map(|()| u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Infallible> {
        for chunk in dst.chunks_mut(32) {
            self.counter += 1;
            let block = Sha256::new().chain_update(self.seed.to_le_bytes()).chain_update(self.counter.to_le_bytes());
            chunk.copy_from_slice(&block.finalize()[..chunk.len()]);
        }
        self.draws.push(dst.to_vec());
        Ok(())
    }
}

impl TryCryptoRng for Generator {}

impl Party {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            script: Vec::new(),
            recorder: Recorder::default(),
            device: None,
            session: None,
            exporter: Vec::new(),
            generation: 0,
        }
    }

    /// Performs one operation and records it.
    fn act(
        &mut self,
        rng: &mut Generator,
        (name, verb): (&'static str, Verb),
        arguments: &[&[u8]],
        perform: impl FnOnce(&mut Self, &mut Generator) -> Vec<u8>,
    ) -> Vec<u8> {
        rng.draws.clear();
        let output = perform(self, rng);
        let done = self.recorder.take();
        match verb {
            Verb::Initiate | Verb::Accept => {
                let exporter = self.session.as_mut().and_then(Session::take_exporter);
                self.exporter = exporter.map(|exporter| exporter.expose().to_vec()).unwrap_or_default();
            }
            Verb::TakeExporter | Verb::Encrypt | Verb::RestoreSession | Verb::DropSession => self.exporter.clear(),
            Verb::Decrypt if !output.is_empty() => self.exporter.clear(),
            _ => {}
        }
        let key = StorageKey::new([0; 32]);
        self.device.iter().for_each(|device| drop(device.snapshot(&key, 0)));
        self.session.iter().for_each(|session| drop(session.snapshot(&key, 0)));
        let saved = self.recorder.take();
        self.script.push(Step {
            name,
            verb,
            arguments: arguments.iter().map(|argument| argument.to_vec()).collect(),
            draws: rng.draws.clone(),
            output: output.clone(),
            secrets: done.secrets,
            public: done.public,
            state: [saved.state, self.exporter.clone()].concat(),
        });
        output
    }

    fn device(&mut self) -> &mut Device {
        self.device.as_mut().expect("a device")
    }

    fn session(&mut self) -> &mut Session {
        self.session.as_mut().expect("a session")
    }

    fn generate(&mut self, rng: &mut Generator) {
        self.act(rng, ("generate", Verb::Generate), &[], |party, rng| {
            let device = Device::generate_with(party.recorder.clone(), NOW, rng);
            let identity = device.identity().to_bytes().to_vec();
            party.device = Some(device);
            identity
        });
    }

    /// Returns two bundles.
    fn publish(&mut self, rng: &mut Generator) -> [Vec<u8>; 2] {
        let mut bundles = [Vec::new(), Vec::new()];
        self.act(rng, ("publish", Verb::Publish), &[], |party, rng| {
            let mut published = party.device().publish(ONE_TIME, NOW, rng).expect("room");
            let prekeys = published.one_time_prekeys.iter().flat_map(|prekey| prekey.to_bytes()).collect();
            for bundle in &mut bundles {
                let one_time = published.one_time_prekeys.pop();
                let made = Bundle::new(published.identity, published.signed_prekey.clone(), one_time);
                *bundle = made.expect("a bundle").to_bytes();
            }
            prekeys
        });
        bundles
    }

    fn initiate(&mut self, rng: &mut Generator, bundle: &[u8]) -> Vec<u8> {
        let plaintext = plaintext(rng);
        self.act(rng, ("initiate", Verb::Initiate), &[bundle, &plaintext], |party, rng| {
            let bundle = Bundle::from_bytes(&party.recorder, bundle).expect("a bundle");
            let size = ChunkSize::Bytes256;
            let begun = party.device().initiate(
                bundle,
                Payload { plaintext: &plaintext, associated_data: CALLERS_DATA, ..Payload::default() },
                InitiateOptions::unverified(NOW).chunk_size(size),
                rng,
            );
            let (session, message) = begun.expect("a session");
            party.session = Some(session);
            message
        })
    }

    fn open_and_drop(&mut self, rng: &mut Generator, message: &[u8]) -> bool {
        let opened = self.act(rng, ("open, then drop", Verb::OpenAndDrop), &[message], |party, _| {
            vec![u8::from(party.device().open(message).is_ok())]
        });
        opened == [1]
    }

    fn refuse(&mut self, rng: &mut Generator, message: &[u8]) -> bool {
        let refused = self.act(rng, ("refuse", Verb::Refuse), &[message], |party, _| {
            let pending = party.device().open(message);
            vec![u8::from(pending.is_ok_and(|pending| {
                pending.refuse();
                true
            }))]
        });
        refused == [1]
    }

    fn take_exporter(&mut self, rng: &mut Generator) -> bool {
        let exporter = self.act(rng, ("exporter taken", Verb::TakeExporter), &[], |party, _| party.exporter.clone());
        !exporter.is_empty()
    }

    fn ask(&mut self, rng: &mut Generator, message: &[u8]) {
        self.act(rng, ("peek, recognize, list tags", Verb::Ask), &[message], |party, _| {
            answers(party.session(), message)
        });
    }

    fn sign_login(&mut self, rng: &mut Generator) {
        let challenge = [5; 32];
        self.act(rng, ("sign a login", Verb::SignLogin), &[&challenge], |party, _| {
            party.device().sign_login(&challenge).to_vec()
        });
    }

    fn accept(&mut self, rng: &mut Generator, name: &'static str, message: &[u8]) -> Vec<u8> {
        self.act(rng, (name, Verb::Accept), &[message], |party, _| {
            let Ok(pending) = party.device().open(message) else { return Vec::new() };
            match pending.accept(CALLERS_DATA) {
                Ok((session, opened)) => {
                    party.session = Some(session);
                    opened.plaintext
                }
                Err(_) => Vec::new(),
            }
        })
    }

    fn encrypt(&mut self, rng: &mut Generator, name: &'static str) -> Vec<u8> {
        let plaintext = plaintext(rng);
        self.act(rng, (name, Verb::Encrypt), &[&plaintext], |party, rng| {
            party
                .session()
                .encrypt(Payload { plaintext: &plaintext, associated_data: CALLERS_DATA, ..Payload::default() }, rng)
                .expect("a message")
        })
    }

    /// Whether the message opened.
    fn decrypt(&mut self, rng: &mut Generator, name: &'static str, message: &[u8]) -> bool {
        let opened = self.act(rng, (name, Verb::Decrypt), &[message], |party, _| {
            let opened = party.session().decrypt(Sealed { message, associated_data: CALLERS_DATA });
            opened.map(|opened| opened.plaintext).unwrap_or_default()
        });
        !opened.is_empty()
    }

    fn restart(&mut self, rng: &mut Generator) {
        let mut key = [0; 32];
        rng.fill_bytes(&mut key);
        self.generation += 1;
        let generation = self.generation;
        let arguments: [&[u8]; 2] = [&key, &generation.to_le_bytes()];
        let saved = self.act(rng, ("snapshot (device)", Verb::SnapshotDevice), &arguments, |party, _| {
            party.device().snapshot(&StorageKey::new(key), generation)
        });
        self.act(rng, ("restore (device)", Verb::RestoreDevice), &[&saved, &key], |party, _| {
            let (recorder, subject) = (party.recorder.clone(), party.device().subject());
            let restored = Device::restore_in_place(recorder, &mut saved.clone(), &StorageKey::new(key), &subject, 0);
            party.device = Some(restored.expect("a device"));
            Vec::new()
        });
        let saved = self.act(rng, ("snapshot (session)", Verb::SnapshotSession), &arguments, |party, _| {
            party.session().snapshot(&StorageKey::new(key), generation)
        });
        self.act(rng, ("restore (session)", Verb::RestoreSession), &[&saved, &key], |party, _| {
            let (recorder, subject) = (party.recorder.clone(), party.session().subject());
            let restored = Session::restore_in_place(recorder, &mut saved.clone(), &StorageKey::new(key), &subject, 0);
            party.session = Some(restored.expect("a session"));
            Vec::new()
        });
    }

    fn finish(&mut self, rng: &mut Generator) {
        self.act(rng, ("session dropped", Verb::DropSession), &[], |party, _| {
            party.session = None;
            Vec::new()
        });
        self.act(rng, ("device dropped", Verb::DropDevice), &[], |party, _| {
            party.device = None;
            Vec::new()
        });
    }
}

fn plaintext(rng: &mut Generator) -> Vec<u8> {
    let mut plaintext = vec![0; PLAINTEXT_LEN];
    rng.fill_bytes(&mut plaintext);
    plaintext
}

/// Every operation that a device has, on either side.
pub fn run(seed: u64) -> [Party; 2] {
    let rng = &mut Generator { seed, counter: 0, draws: Vec::new() };
    let (mut alice, mut bob) = (Party::new("Alice"), Party::new("Bob"));
    alice.generate(rng);
    bob.generate(rng);
    let [unwanted, bundle] = bob.publish(rng);
    bob.act(rng, ("rotate", Verb::Rotate), &[], |party, rng| party.device().rotate(NOW, rng).to_bytes().to_vec());

    let refused = alice.initiate(rng, &unwanted);
    assert!(bob.open_and_drop(rng, &refused));
    assert!(bob.refuse(rng, &refused));
    assert!(!bob.refuse(rng, &refused));

    let hello = alice.initiate(rng, &bundle);
    let mut forged = hello.clone();
    *forged.last_mut().expect("a message") ^= 1;
    bob.accept(rng, "accept (forged)", &forged);
    assert!(!bob.accept(rng, "accept", &hello).is_empty());
    bob.act(rng, ("previous signed prekey deleted", Verb::DeletePrevious), &[], |party, _| {
        vec![u8::from(party.device().delete_previous_signed_prekeys())]
    });

    bob.sign_login(rng);
    assert!(bob.take_exporter(rng));

    let answer = bob.encrypt(rng, "encrypt (ratchet step)");
    assert!(alice.decrypt(rng, "decrypt (ratchet step)", &answer));
    let first = alice.encrypt(rng, "encrypt (ratchet step)");
    let [second, third, fourth] = std::array::from_fn(|_| alice.encrypt(rng, "encrypt"));
    assert!(bob.decrypt(rng, "decrypt (ratchet step)", &first));
    bob.ask(rng, &fourth);
    assert!(bob.decrypt(rng, "decrypt (skips two)", &fourth));
    bob.ask(rng, &second);
    assert!(bob.decrypt(rng, "decrypt (skipped)", &second));
    let mut forged = third.clone();
    *forged.last_mut().expect("a message") ^= 1;
    assert!(!bob.decrypt(rng, "decrypt (forged)", &forged));
    assert!(bob.decrypt(rng, "decrypt (skipped)", &third));
    assert!(!bob.decrypt(rng, "decrypt (replayed)", &third));

    let epoch = |party: &mut Party| party.session().post_quantum_epoch();
    let mut messages = 0;
    while epoch(&mut alice) < LAST_EPOCH || epoch(&mut bob) < LAST_EPOCH {
        messages += 1;
        assert!(messages < MOST_MESSAGES, "no epoch {LAST_EPOCH} after {MOST_MESSAGES} messages");
        let there = bob.encrypt(rng, "encrypt (taking turns)");
        assert!(alice.decrypt(rng, "decrypt (taking turns)", &there));
        let back = alice.encrypt(rng, "encrypt (taking turns)");
        assert!(bob.decrypt(rng, "decrypt (taking turns)", &back));
    }
    for party in [&mut alice, &mut bob] {
        party.restart(rng);
    }
    let there = alice.encrypt(rng, "encrypt (restored)");
    assert!(bob.decrypt(rng, "decrypt (restored)", &there));
    for party in [&mut alice, &mut bob] {
        party.finish(rng);
    }
    [alice, bob]
}
