// SPDX-License-Identifier: MIT OR Apache-2.0
//! Devices and sessions on which a transcript's events happen, for making one and for replaying it. Both use this code
//! and the public API; they differ in the source of randomness and in the use of the outcome.

use super::act::Act;
use super::draws::{Listed, Seeded, Source};
use super::json::{Event, Transcript, hex};
use super::stored;
use super::values::{Performed, named, performed, purposes};
use super::watched::{CurrentStep, Watched};
use noescrow::error::DecodeError;
use noescrow::hazmat::AcceptFromAnyone;
use noescrow::primitives::{Primitives, RustCrypto};
use noescrow::snapshot::Subject;
use noescrow::{
    Bundle, ChunkSize, Identity, InitiateOptions, Payload, Prekey, SafetyNumber, Sealed, StorageKey, UnixSeconds,
    device, session,
};
use noescrow_audit::Tape;
use noescrow_recorder::Recorder;
use serde_json::{Value, json};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

type Device = device::Device<Watched>;
type Session = session::Session<Watched>;

pub struct Stage<G> {
    source: G,
    tape: Tape,
    recorders: BTreeMap<String, Watched>,
    /// The step that was taken last within the current event.
    step: Rc<Cell<&'static str>>,
    devices: BTreeMap<String, Device>,
    sessions: BTreeMap<String, Session>,
    /// Messages and snapshots by the event that made them.
    made: BTreeMap<u64, Vec<u8>>,
    events: Vec<Event>,
    /// The range of the tape's operations that belong to an event.
    spans: Vec<Range<usize>>,
}

fn find<'a, T>(among: &'a mut BTreeMap<String, T>, name: &str) -> Result<&'a mut T, String> {
    among.get_mut(name).ok_or_else(|| format!("nobody is called {name}"))
}

/// A session's state as the document encodes it, taken from its snapshot.
fn session_state(session: &Session) -> Vec<u8> {
    stored::opened(session.snapshot(&stored::storage_key(), 0))
}

fn device_state(device: &Device) -> Vec<u8> {
    stored::opened(device.snapshot(&stored::storage_key(), 0))
}

fn digest(state: &[u8]) -> String {
    hex(&RustCrypto.sha256(&[state]))
}

impl<G: Source> Stage<G> {
    pub fn new(source: G) -> Self {
        Self {
            source,
            tape: Tape::in_memory(),
            recorders: BTreeMap::new(),
            step: Rc::default(),
            devices: BTreeMap::new(),
            sessions: BTreeMap::new(),
            made: BTreeMap::new(),
            events: vec![],
            spans: vec![],
        }
    }

    /// Performs an event and returns it with its outputs, except the values, which [`finish`](Self::finish) adds.
    pub fn perform(&mut self, asked: &Event) -> Result<Event, String> {
        self.source.begin(asked)?;
        let before = self.operations();
        self.step.set("");
        let mut act = Act { asked, outcome: Event::new() };
        act.put("at", self.events.len());
        act.optional("why");
        let kind = act.text("do")?;
        let digests = match kind.as_str() {
            "device" => self.device(&mut act),
            "publish" => self.publish(&mut act),
            "rotate" => self.rotate(&mut act),
            "initiate" => self.initiate(&mut act),
            "accept" => self.accept(&mut act),
            "send" => self.send(&mut act),
            "deliver" => self.deliver(&mut act),
            "drop" => self.message(&mut act).map(|_| Digests::default()),
            "store" => self.store(&mut act),
            "restore" => self.restore(&mut act),
            "compare" => self.compare(&mut act),
            "parse" => self.parse(&mut act),
            _ => Err(format!("nothing is called {kind}")),
        }?;
        self.spans.push(before..self.operations());
        if act.outcome.contains_key("refused") && !self.step.get().is_empty() {
            act.put("step", self.step.get());
        }
        if let Some(name) = digests.session {
            let session = find(&mut self.sessions, &name)?;
            act.put("session_sha256", digest(&session_state(session)));
            act.put("epoch", session.post_quantum_epoch());
            if session.is_abandoned() {
                act.put("abandoned", true);
            }
        }
        if let Some(name) = digests.device {
            act.put("device_sha256", digest(&device_state(find(&mut self.devices, &name)?)));
        }
        let draws = self.source.end()?;
        if !draws.is_empty() {
            let list = draws.iter().map(|draw| json!({"bytes": hex(draw), "len": draw.len()}));
            act.put("draws", list.collect::<Vec<Value>>());
        }
        if asked.contains_key("values") || kind == "store" {
            act.put("values", json!({}));
        }
        self.events.push(act.outcome.clone());
        Ok(act.outcome)
    }

    fn operations(&self) -> usize {
        usize::try_from(self.tape.operations()).unwrap()
    }

    /// The operations of an event so far.
    pub fn performed(&self, at: usize) -> Vec<Performed> {
        performed(&self.tape.bytes())[self.spans[at].clone()].to_vec()
    }

    /// The values of an event, by step and name.
    pub fn values(&self, at: usize) -> Value {
        named(&self.performed(at))
    }

    /// The state of a session as it is now.
    pub fn state(&self, session: &str) -> Vec<u8> {
        session_state(&self.sessions[session])
    }

    /// Requests an event's values.
    pub fn want_values(&mut self, at: usize) {
        self.events[at].insert("values".to_owned(), json!({}));
    }

    /// For each of these steps that is taken, requests the values of the first event that takes it.
    pub fn want_steps(&mut self, steps: &[&str]) {
        let operations = performed(&self.tape.bytes());
        for step in steps {
            let takes = |span: &Range<usize>| operations[span.clone()].iter().any(|operation| operation.step == *step);
            if let Some(at) = self.spans.iter().position(takes) {
                self.want_values(at);
            }
        }
    }

    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The events with their values, and with the purpose of each draw.
    pub fn finish(mut self) -> Vec<Event> {
        let operations = performed(&self.tape.bytes());
        for (event, span) in self.events.iter_mut().zip(&self.spans) {
            let operations = &operations[span.clone()];
            if let Some(values) = event.get_mut("values") {
                *values = named(operations);
            }
            let kind = event["do"].as_str().unwrap_or_default().to_owned();
            let Some(Value::Array(draws)) = event.get_mut("draws") else { continue };
            let purposes = purposes(&kind, operations);
            assert_eq!(draws.len(), purposes.len(), "each draw is recorded");
            for (draw, (step, purpose)) in draws.iter_mut().zip(purposes) {
                draw["for"] = json!(purpose);
                if !step.is_empty() {
                    draw["step"] = json!(step);
                }
            }
        }
        self.events
    }

    fn recorder(&mut self, name: &str) -> Watched {
        let (tape, step) = (&self.tape, &self.step);
        let new = || Watched::over(Recorder::device(tape, name).unwrap(), CurrentStep(step.clone()));
        self.recorders.entry(name.to_owned()).or_insert_with(new).clone()
    }

    fn device(&mut self, act: &mut Act<'_>) -> Result<Digests, String> {
        let (name, expiry) = (act.text("device")?, UnixSeconds(act.number("expiry")?));
        let recorder = self.recorder(&name);
        let device = Device::generate_with(recorder, expiry, &mut self.source);
        act.put_bytes("identity", &device.identity().to_bytes());
        act.put_bytes("signed_prekey", &device.signed_prekey().to_bytes());
        self.devices.insert(name.clone(), device);
        Ok(Digests::device(name))
    }

    fn publish(&mut self, act: &mut Act<'_>) -> Result<Digests, String> {
        let (name, count, expiry) = (act.text("device")?, act.number("count")?, UnixSeconds(act.number("expiry")?));
        let device = find(&mut self.devices, &name)?;
        let count = usize::try_from(count).map_err(|error| error.to_string())?;
        let published = device.publish(count, expiry, &mut self.source).map_err(|error| error.to_string())?;
        let prekeys = published.one_time_prekeys.iter().map(|prekey| json!(hex(&prekey.to_bytes())));
        act.put("one_time_prekeys", prekeys.collect::<Vec<Value>>());
        Ok(Digests::device(name))
    }

    fn rotate(&mut self, act: &mut Act<'_>) -> Result<Digests, String> {
        let (name, expiry) = (act.text("device")?, UnixSeconds(act.number("expiry")?));
        let device = find(&mut self.devices, &name)?;
        let prekey = device.rotate(expiry, &mut self.source).map_err(|error| error.to_string())?;
        act.put_bytes("signed_prekey", &prekey.to_bytes());
        Ok(Digests::device(name))
    }

    fn initiate(&mut self, act: &mut Act<'_>) -> Result<Digests, String> {
        let (name, new, bundle) = (act.text("device")?, act.text("session")?, act.bytes("bundle")?);
        let (text, associated) = (act.bytes("plaintext")?, act.bytes("associated_data")?);
        let (now, chunk_size) = (UnixSeconds(act.number("now")?), act.number("chunk_size")?);
        let chunk_size = ChunkSize::ALL.into_iter().find(|size| u64::try_from(size.bytes()) == Ok(chunk_size));
        let chunk_size = chunk_size.ok_or("no such chunk size")?;
        let recorder = self.recorder(&name);
        let device = find(&mut self.devices, &name)?;
        let bundle = match Bundle::from_bytes(&recorder, &bundle) {
            Ok(bundle) => bundle,
            Err(error) => {
                act.refused(error);
                return Ok(Digests::device(name));
            }
        };
        match device.initiate(
            bundle,
            Payload { plaintext: &text, associated_data: &associated, ..Payload::default() },
            InitiateOptions::unverified(now).chunk_size(chunk_size),
            &mut self.source,
        ) {
            Ok((session, message)) => {
                act.put_bytes("message", &message);
                act.put_bytes("session_id", &session.id());
                self.keep(message);
                self.sessions.insert(new.clone(), session);
                Ok(Digests::session(new))
            }
            Err(failed) => {
                act.refused(failed.error);
                Ok(Digests::device(name))
            }
        }
    }

    fn accept(&mut self, act: &mut Act<'_>) -> Result<Digests, String> {
        let (name, new) = (act.text("device")?, act.text("session")?);
        let (message, associated) = (self.message(act)?, act.bytes("associated_data")?);
        match find(&mut self.devices, &name)?.accept(Sealed { message: &message, associated_data: &associated }) {
            Ok((session, text)) => {
                act.put_bytes("plaintext", &text);
                act.put_bytes("session_id", &session.id());
                let remote = session.remote_identity().ok_or("a session without a remote identity")?;
                act.put_bytes("remote_identity", &remote.to_bytes());
                self.sessions.insert(new.clone(), session);
                Ok(Digests { session: Some(new), device: Some(name) })
            }
            Err(error) => {
                act.refused(error);
                Ok(Digests::device(name))
            }
        }
    }

    fn send(&mut self, act: &mut Act<'_>) -> Result<Digests, String> {
        let name = act.text("session")?;
        let (text, associated) = (act.bytes("plaintext")?, act.bytes("associated_data")?);
        match find(&mut self.sessions, &name)?
            .encrypt(Payload { plaintext: &text, associated_data: &associated, ..Payload::default() }, &mut self.source)
        {
            Ok(message) => {
                act.put_bytes("message", &message);
                self.keep(message);
            }
            Err(error) => act.refused(error),
        }
        Ok(Digests::session(name))
    }

    fn deliver(&mut self, act: &mut Act<'_>) -> Result<Digests, String> {
        let name = act.text("session")?;
        let (message, associated) = (self.message(act)?, act.bytes("associated_data")?);
        match find(&mut self.sessions, &name)?.decrypt(Sealed { message: &message, associated_data: &associated }) {
            Ok(opened) => act.put_bytes("plaintext", &opened.plaintext),
            Err(error) => act.refused(error),
        }
        Ok(Digests::session(name))
    }

    /// The message of an event: another event's, or bytes that nobody sent.
    fn message(&self, act: &mut Act<'_>) -> Result<Vec<u8>, String> {
        match act.asked.contains_key("of") {
            true => {
                let of = act.number("of")?;
                self.made.get(&of).cloned().ok_or_else(|| format!("event {of} made nothing"))
            }
            false => act.bytes("bytes"),
        }
    }

    fn keep(&mut self, bytes: Vec<u8>) {
        self.made.insert(u64::try_from(self.events.len()).unwrap(), bytes);
    }

    fn store(&mut self, act: &mut Act<'_>) -> Result<Digests, String> {
        let (kind, name) = (act.text("kind")?, act.text("name")?);
        let (key, generation) = (StorageKey::new(act.array("storage_key")?), act.number("generation")?);
        let (snapshot, digests) = match kind.as_str() {
            "session" => {
                let session = find(&mut self.sessions, &name)?;
                act.put_bytes("subject", &session.subject().to_bytes());
                (session.snapshot(&key, generation), Digests::session(name))
            }
            "device" => {
                let device = find(&mut self.devices, &name)?;
                act.put_bytes("subject", &device.subject().to_bytes());
                (device.snapshot(&key, generation), Digests::device(name))
            }
            _ => return Err(format!("nothing is stored as {kind}")),
        };
        act.put_bytes("snapshot", &snapshot);
        self.keep(snapshot);
        Ok(digests)
    }

    fn restore(&mut self, act: &mut Act<'_>) -> Result<Digests, String> {
        let (kind, name) = (act.text("kind")?, act.text("name")?);
        let (key, newest) = (StorageKey::new(act.array("storage_key")?), act.number("newest")?);
        let subject = Subject::from_bytes(&act.bytes("subject")?).map_err(|_| "not a subject")?;
        let mut snapshot = self.message(act)?;
        let recorder = self.recorder(&name);
        let (restored, digests) = match kind.as_str() {
            "session" => (
                Session::restore_in_place(recorder, &mut snapshot, &key, &subject, newest)
                    .map(|session| self.sessions.insert(name.clone(), session).is_some()),
                Digests::session(name),
            ),
            "device" => (
                Device::restore_in_place(recorder, &mut snapshot, &key, &subject, newest)
                    .map(|device| self.devices.insert(name.clone(), device).is_some()),
                Digests::device(name),
            ),
            _ => return Err(format!("nothing is restored as {kind}")),
        };
        match restored {
            Ok(_) => Ok(digests),
            Err(error) => {
                act.refused(error);
                Ok(Digests::default())
            }
        }
    }

    /// ID-2, and the comparison with the scanned number if there is one.
    fn compare(&mut self, act: &mut Act<'_>) -> Result<Digests, String> {
        let identities = (act.array("local_identity")?, act.array("remote_identity")?);
        let ids = (act.bytes("local_id")?, act.bytes("remote_id")?);
        let anybody = self.recorder("anybody");
        let parse = |bytes| Identity::from_bytes(&anybody, &bytes).map_err(|error| error.to_string());
        let (local, remote) = (parse(identities.0)?, parse(identities.1)?);
        // Ten thousand hashes are not recorded.
        anybody.step("ID-2");
        let number = SafetyNumber::new(&RustCrypto, (&local, &ids.0), (&remote, &ids.1));
        act.put_bytes("number", &number.to_bytes());
        act.put("digits", number.to_string());
        if act.asked.contains_key("scanned") {
            let scanned = act.bytes("scanned")?;
            match number.verify_scanned(&scanned) {
                Ok(()) => act.put("equal", true),
                Err(error) => act.refused(error),
            }
        }
        Ok(Digests::default())
    }

    fn parse(&mut self, act: &mut Act<'_>) -> Result<Digests, String> {
        let (kind, bytes) = (act.text("kind")?, act.bytes("bytes")?);
        let anybody = self.recorder("anybody");
        let parsed =
            match kind.as_str() {
                "identity" => bytes.as_slice().try_into().map_err(|_| DecodeError::Refused).and_then(|bytes| {
                    Identity::from_bytes(&anybody, bytes).map(|identity| identity.to_bytes().to_vec())
                }),
                "prekey" => {
                    let identity: [u8; 128] = act.array("identity")?;
                    let identity = Identity::from_bytes(&anybody, &identity).map_err(|error| error.to_string())?;
                    self.step.set("");
                    bytes.as_slice().try_into().map_err(|_| DecodeError::Refused).and_then(|bytes| {
                        Prekey::from_bytes(&anybody, &identity, bytes).map(|prekey| prekey.to_bytes().to_vec())
                    })
                }
                "bundle" => Bundle::from_bytes(&anybody, &bytes).map(|bundle| bundle.to_bytes()),
                _ => return Err(format!("nothing is parsed as {kind}")),
            };
        match parsed {
            Ok(again) if again == bytes => act.put("parsed", true),
            Ok(_) => return Err("parsed, and written otherwise".into()),
            Err(error) => act.refused(error),
        }
        Ok(Digests::default())
    }
}

/// The owner of the state that is digested after an event.
#[derive(Default)]
struct Digests {
    session: Option<String>,
    device: Option<String>,
}

impl Digests {
    fn session(name: String) -> Self {
        Self { session: Some(name), device: None }
    }

    fn device(name: String) -> Self {
        Self { session: None, device: Some(name) }
    }
}

impl Stage<Seeded> {
    /// For making a transcript.
    pub fn seeded(seed: u64) -> Self {
        Self::new(Seeded::new(seed))
    }

    /// As [`perform`](Self::perform), for an event that its maker knows to be possible.
    pub fn play(&mut self, event: Value) -> Event {
        let Value::Object(event) = event else { panic!("an event is an object") };
        self.perform(&event).unwrap_or_else(|error| panic!("{event:?}: {error}"))
    }
}

/// Replays a transcript from its own data alone. An error names the first difference.
pub fn replay(transcript: &Transcript) -> Result<(), String> {
    let mut stage = Stage::new(Listed::default());
    for (at, event) in transcript.events.iter().enumerate() {
        let place = |error| format!("{}, event {at}: {error}", transcript.name);
        let outcome = stage.perform(event).map_err(place)?;
        same(&outcome, event, &["values", "draws"]).map_err(place)?;
    }
    let outcomes = stage.finish();
    outcomes.iter().zip(&transcript.events).enumerate().try_for_each(|(at, (outcome, event))| {
        same(outcome, event, &[]).map_err(|error| format!("{}, event {at}: {error}", transcript.name))
    })
}

/// Whether the outputs are those in a file, except for some members.
fn same(outcome: &Event, event: &Event, without: &[&str]) -> Result<(), String> {
    let shown = |value: Option<&Value>| value.map_or("nothing".into(), |value| value.to_string());
    let mut keys = outcome.keys().chain(event.keys()).filter(|key| !without.contains(&key.as_str()));
    match keys.find(|key| outcome.get(*key) != event.get(*key)) {
        None => Ok(()),
        Some(key) => Err(format!("{key} is {}, and {} in the file", shown(outcome.get(key)), shown(event.get(key)))),
    }
}
