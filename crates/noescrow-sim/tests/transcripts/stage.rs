// SPDX-License-Identifier: MIT OR Apache-2.0
//! Devices and sessions on which a transcript's events happen, for making one and for replaying it. Both use this code
//! and the public API; they differ in the source of randomness and in the use of the outcome.

use super::act::Act;
use super::draws::{Listed, Seeded, Source};
use super::json::{Event, Transcript, hex, hex_of};
use super::policy::Limited;
use super::values::{Performed, named, performed, purposes};
use super::watched::{CurrentStep, Watched};
use noescrow::error::AcceptError;
use noescrow::hazmat::{self, session_state};
use noescrow::primitives::{Primitives, RustCrypto};
use noescrow::{Bundle, ChunkSize, Identity, InitiateOptions, Payload, Sealed, Secret, UnixSeconds, device, session};
use noescrow_audit::Tape;
use noescrow_recorder::Recorder;
use serde_json::{Value, json};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::rc::Rc;

pub(super) type Device = device::Device<Watched>;
pub(super) type Session = session::Session<Watched>;

pub struct Stage<G> {
    pub(super) source: G,
    tape: Tape,
    recorders: BTreeMap<String, Watched>,
    /// The step that was taken last within the current event.
    pub(super) step: Rc<Cell<&'static str>>,
    pub(super) devices: BTreeMap<String, Device>,
    /// Devices with little memory. No name is in both.
    pub(super) limited: BTreeMap<String, Limited>,
    pub(super) sessions: BTreeMap<String, Session>,
    /// Messages and snapshots by the event that made them.
    made: BTreeMap<u64, Vec<u8>>,
    events: Vec<Event>,
    /// The range of the tape's operations that belong to an event.
    spans: Vec<Range<usize>>,
}

pub(super) fn find<'a, T>(among: &'a mut BTreeMap<String, T>, name: &str) -> Result<&'a mut T, String> {
    among.get_mut(name).ok_or_else(|| format!("nobody is called {name}"))
}

/// What both sides of a new session have. The exporter is there once, in no state, and not in a session that its first
/// message ended.
fn begun(act: &mut Act<'_>, session: &mut Session) -> Result<(), String> {
    act.put_bytes("session_id", &session.id());
    match (session.take_exporter(), session.is_abandoned()) {
        (Some(exporter), false) => act.put_bytes("exporter", exporter.expose()),
        (None, true) => {}
        _ => return Err("a live session without an exporter, or one in a session that is over".into()),
    }
    Ok(())
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
            limited: BTreeMap::new(),
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
            "maintain" => self.maintain(&mut act),
            "make" => self.make(&mut act),
            "delete" => self.delete(&mut act),
            "initiate" => self.initiate(&mut act),
            "accept" => self.accept(&mut act),
            "send" => self.send(&mut act),
            "deliver" => self.deliver(&mut act),
            "drop" => self.message(&mut act).map(|_| Digests::default()),
            "refuse" => self.refuse(&mut act),
            "foreign" => self.foreign(&mut act),
            "store" => self.store(&mut act),
            "restore" => self.restore(&mut act),
            "compare" => self.compare(&mut act),
            "parse" => self.parse(&mut act),
            "context" => Self::context(&mut act),
            "login" => self.login(&mut act),
            "challenge" => Self::challenge(&mut act),
            "access" => Self::access(&mut act),
            "tags" => self.tags(&mut act),
            "peek" => self.peek(&mut act),
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
            act.put("device_sha256", digest(&self.state_of_device(&name)?));
        }
        let draws = self.source.end()?;
        if !draws.is_empty() {
            let list = draws.iter().map(|draw| json!({"bytes": hex(draw), "len": draw.len()}));
            act.put("draws", list.collect::<Vec<Value>>());
        }
        if asked.contains_key("values") {
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
            let lens: Vec<usize> =
                draws.iter().map(|draw| draw["bytes"].as_str().map_or(0, |bytes| bytes.len() / 2)).collect();
            let purposes = purposes(&kind, &lens, operations);
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

    pub(super) fn recorder(&mut self, name: &str) -> Watched {
        let (tape, step) = (&self.tape, &self.step);
        let new = || Watched::over(Recorder::device(tape, name).unwrap(), CurrentStep(step.clone()));
        self.recorders.entry(name.to_owned()).or_insert_with(new).clone()
    }

    fn device(&mut self, act: &mut Act<'_>) -> Result<Digests, String> {
        let (name, now) = (act.text("device")?, act.time("now")?);
        let recorder = self.recorder(&name);
        let device = Device::generate_with(recorder, now, &mut self.source);
        act.put_bytes("identity", &device.identity().to_bytes());
        act.put_bytes("signed_prekey", &device.signed_prekey().to_bytes());
        self.devices.insert(name.clone(), device);
        Ok(Digests::device(name))
    }

    fn publish(&mut self, act: &mut Act<'_>) -> Result<Digests, String> {
        let (name, count, now) = (act.text("device")?, act.number("count")?, UnixSeconds(act.number("now")?));
        let device = find(&mut self.devices, &name)?;
        let count = usize::try_from(count).map_err(|error| error.to_string())?;
        let published = device.publish(count, now, &mut self.source).map_err(|error| error.to_string())?;
        let prekeys = published.one_time_prekeys.iter().map(|prekey| json!(hex(&prekey.to_bytes())));
        act.put("one_time_prekeys", prekeys.collect::<Vec<Value>>());
        Ok(Digests::device(name))
    }

    fn initiate(&mut self, act: &mut Act<'_>) -> Result<Digests, String> {
        let (name, new, bundle) = (act.text("device")?, act.text("session")?, self.given(act, "bundle")?);
        let (text, associated) = (act.bytes("plaintext")?, act.bytes("associated_data")?);
        let (now, chunk_size) = (UnixSeconds(act.number("now")?), act.number("chunk_size")?);
        let chunk_size = ChunkSize::ALL.into_iter().find(|size| u64::try_from(size.bytes()) == Ok(chunk_size));
        let chunk_size = chunk_size.ok_or("no such chunk size")?;
        let recorder = self.recorder(&name);
        let expected = match act.asked.contains_key("expected_identity") {
            true => Some(act.array("expected_identity")?),
            false => None,
        };
        let expected = expected.map(|bytes| Identity::from_bytes(&RustCrypto, &bytes)).transpose();
        let expected = expected.map_err(|error| error.to_string())?;
        let device = find(&mut self.devices, &name)?;
        let bundle = match Bundle::from_bytes(&recorder, &bundle) {
            Ok(bundle) => bundle,
            Err(error) => {
                act.refused(error);
                return Ok(Digests::device(name));
            }
        };
        let options = match &expected {
            Some(identity) => InitiateOptions::expecting(identity, now),
            None => InitiateOptions::unverified(now),
        };
        let payload = Payload { plaintext: &text, associated_data: &associated, ..Payload::default() };
        match device.initiate(bundle, payload, options.chunk_size(chunk_size), &mut self.source) {
            Ok((mut session, message)) => {
                act.put_bytes("message", &message);
                begun(act, &mut session)?;
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
        let device = find(&mut self.devices, &name)?;
        let accepted = device.open(&message).and_then(|pending| pending.accept(&associated).map_err(AcceptError::from));
        match accepted {
            Ok((mut session, opened)) => {
                act.put_bytes("plaintext", &opened.plaintext);
                begun(act, &mut session)?;
                let remote = session.remote_identity().ok_or("a session without a remote identity")?;
                act.put_bytes("remote_identity", &remote.to_bytes());
                act.put_bytes("opening_id", &session.opening_id().ok_or("a session without an opening id")?);
                self.sessions.insert(new.clone(), session);
                Ok(Digests { session: Some(new), device: Some(name) })
            }
            Err(error) => {
                act.refused(error);
                Ok(Digests::device(name))
            }
        }
    }

    fn refuse(&mut self, act: &mut Act<'_>) -> Result<Digests, String> {
        let (name, message) = (act.text("device")?, self.message(act)?);
        match find(&mut self.devices, &name)?.open(&message) {
            Ok(pending) => {
                act.put_bytes("remote_identity", &pending.remote_identity().to_bytes());
                pending.refuse();
            }
            Err(error) => act.refused(error),
        }
        Ok(Digests::device(name))
    }

    fn foreign(&mut self, act: &mut Act<'_>) -> Result<Digests, String> {
        let (name, role) = (act.text("session")?, act.text("role")?);
        let (secret, context) = (Secret::new(act.array("secret")?), act.bytes("context")?);
        let recorder = self.recorder(&name);
        let session = match role.as_str() {
            "initiator" => hazmat::initiator(recorder, &secret, &act.array("ratchet_key")?, &context),
            "responder" => {
                Ok(hazmat::responder(recorder, &secret, Secret::new(act.array("ratchet_secret")?), &context))
            }
            _ => return Err(format!("nobody is a {role}")),
        };
        match session {
            Ok(mut session) => {
                begun(act, &mut session)?;
                self.sessions.insert(name.clone(), session);
                Ok(Digests::session(name))
            }
            Err(error) => {
                act.refused(error);
                Ok(Digests::default())
            }
        }
    }

    fn send(&mut self, act: &mut Act<'_>) -> Result<Digests, String> {
        let name = act.text("session")?;
        let (text, associated) = (act.bytes("plaintext")?, act.bytes("associated_data")?);
        let least = if act.asked.contains_key("min_padded_len") { act.number("min_padded_len")? } else { 0 };
        let min_padded_len = usize::try_from(least).map_err(|error| error.to_string())?;
        let is_control = act.optional("control").is_some_and(|control| *control == true);
        let payload = Payload { plaintext: &text, associated_data: &associated, min_padded_len };
        let session = find(&mut self.sessions, &name)?;
        let sent = match is_control {
            true => session.encrypt_control(payload, &mut self.source),
            false => session.encrypt(payload, &mut self.source),
        };
        match sent {
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
            Ok(opened) => {
                act.put_bytes("plaintext", &opened.plaintext);
                act.put("number", opened.number);
                if opened.is_control {
                    act.put("is_control", true);
                }
            }
            Err(error) => act.refused(error),
        }
        Ok(Digests::session(name))
    }

    /// The message of an event: another event's, or bytes that nobody sent.
    pub(super) fn message(&self, act: &mut Act<'_>) -> Result<Vec<u8>, String> {
        match act.asked.contains_key("of") {
            true => {
                let of = act.number("of")?;
                self.made.get(&of).cloned().ok_or_else(|| format!("event {of} made nothing"))
            }
            false => self.given(act, "bytes"),
        }
    }

    /// An input: written out, or as another event's, with some bytes replaced.
    pub(super) fn given(&self, act: &mut Act<'_>, key: &str) -> Result<Vec<u8>, String> {
        if act.asked.contains_key(key) {
            return act.bytes(key);
        }
        let base =
            usize::try_from(act.number("base")?).ok().and_then(|at| self.events.get(at)).ok_or("no such base")?;
        let mut bytes = hex_of(base.get("bytes").or_else(|| base.get("bundle")).ok_or("a base without bytes")?)?;
        for edit in act.required("edits")?.as_array().ok_or("edits are no list")? {
            let (at, part) = (edit[0].as_u64().ok_or("an edit without its place")?, hex_of(&edit[1])?);
            let at = usize::try_from(at).map_err(|error| error.to_string())?;
            bytes.get_mut(at..at + part.len()).ok_or("an edit beyond the end")?.copy_from_slice(&part);
        }
        Ok(bytes)
    }

    pub(super) fn keep(&mut self, bytes: Vec<u8>) {
        self.made.insert(u64::try_from(self.events.len()).unwrap(), bytes);
    }
}

/// The owner of the state that is digested after an event.
#[derive(Default)]
pub(super) struct Digests {
    session: Option<String>,
    device: Option<String>,
}

impl Digests {
    pub(super) fn session(name: String) -> Self {
        Self { session: Some(name), device: None }
    }

    pub(super) fn device(name: String) -> Self {
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

/// Performs a transcript's events with the draws that they list.
fn performed_again(
    transcript: &Transcript,
    mut check: impl FnMut(&Event, &Event) -> Result<(), String>,
) -> Result<Vec<Event>, String> {
    let mut stage = Stage::new(Listed::default());
    for (at, event) in transcript.events.iter().enumerate() {
        let place = |error| format!("{}, event {at}: {error}", transcript.name);
        let outcome = stage.perform(event).map_err(place)?;
        check(&outcome, event).map_err(place)?;
    }
    Ok(stage.finish())
}

/// Replays a transcript from its own data alone. An error names the first difference.
pub fn replay(transcript: &Transcript) -> Result<(), String> {
    let outcomes = performed_again(transcript, |outcome, event| same(outcome, event, &["values", "draws"]))?;
    outcomes.iter().zip(&transcript.events).enumerate().try_for_each(|(at, (outcome, event))| {
        same(outcome, event, &[]).map_err(|error| format!("{}, event {at}: {error}", transcript.name))
    })
}

/// The same transcript, of another author, with all outputs as this crate computes them; and where those differ that
/// the author lists. It need not list the steps, the subjects and the purposes of draws.
pub fn told_again(transcript: &Transcript) -> Result<(Transcript, Vec<String>), String> {
    let mut differ = vec![];
    let events = performed_again(transcript, |outcome, event| {
        let own: &[&str] = if event["do"] == "store" { &["draws", "subject"] } else { &["draws", "step"] };
        for key in outcome.keys().chain(event.keys()).collect::<BTreeSet<_>>() {
            if !own.contains(&key.as_str()) && outcome.get(key) != event.get(key) {
                let (why, ours, theirs) = (outcome.get("why"), outcome.get(key), event.get(key));
                let place = format!("{} {} {}", transcript.name, outcome["at"], outcome["do"]);
                differ.push(format!("{place} {key}: {ours:?}, theirs {theirs:?} ({why:?})"));
            }
        }
        Ok(())
    })?;
    Ok((Transcript { events, ..transcript.clone() }, differ))
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
