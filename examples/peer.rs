// SPDX-License-Identifier: MIT OR Apache-2.0
//! The crate on standard input and output, for implementations of `spec/protocol.md` in other languages: each line of
//! standard input is a command, a JSON object, and is answered by one line. `spec/python/interop.py` uses it.
//! ```sh
//! cargo run --release --example peer -- [SEED]
//! ```
//!
//! Bytes are hex. Commands name devices and sessions; `ad` is empty by default. A failure is answered with `{"error":
//! NAME}`, with the crate's name of the error, or with a sentence if the command itself was wrong.
//!
//! | `do` | takes | answers |
//! |---|---|---|
//! | `device` | `device`, `now` | |
//! | `publish` | `device`, `one_time` (bool), `now` | `bundle` |
//! | `rotate` | `device`, `now` | |
//! | `initiate` | `device`, `session`, `bundle`, `chunk`, `plaintext`, `ad`, `now` | `message` |
//! | `accept` | `device`, `session`, `message`, `ad` | `plaintext` |
//! | `foreign_initiator` | `session`, `secret`, `ratchet_key`, `context` | |
//! | `foreign_responder` | `session`, `secret`, `ratchet_secret`, `context` | |
//! | `encrypt` | `session`, `plaintext`, `ad` | `message` |
//! | `decrypt` | `session`, `message`, `ad` | `plaintext` |
//! | `status` | `session` | `id`, `answered`, `epoch`, `skipped`, and `digits`, `scan` of its safety number |
//! | `snapshot` | `session` or `device`, `key`, `generation` | `snapshot`, `subject` |
//! | `restore` | `session` or `device`, `key`, `subject`, `newest`, `snapshot` | |
//!
//! Its randomness comes from SEED, so that a conversation can be repeated: not for real use.
#![allow(clippy::indexing_slicing, reason = "a JSON object is read by its keys")]

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use noescrow::error::AcceptError;
use noescrow::primitives::RustCrypto;
use noescrow::snapshot::Subject;
use noescrow::{
    Bundle, ChunkSize, Device, InitiateOptions, Payload, Sealed, Secret, Session, StorageKey, UnixSeconds, hazmat,
};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::error::Error;
use std::io::{self, BufRead, Write};

type Answer = Result<Value, Box<dyn Error>>;

struct Peer {
    rng: ChaCha20Rng,
    devices: HashMap<String, Device>,
    sessions: HashMap<String, Session>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let seed = std::env::args().nth(1).map_or(Ok(0), |seed| seed.parse())?;
    let rng = ChaCha20Rng::seed_from_u64(seed);
    let mut peer = Peer { rng, devices: HashMap::new(), sessions: HashMap::new() };
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let answer = serde_json::from_str(&line?).map_err(Into::into).and_then(|command| peer.obey(&command));
        writeln!(out, "{}", answer.unwrap_or_else(|error| json!({ "error": error.to_string() })))?;
        out.flush()?;
    }
    Ok(())
}

impl Peer {
    fn obey(&mut self, command: &Value) -> Answer {
        match text(command, "do")? {
            "device" => {
                let device = Device::generate(time(command, "now")?, &mut self.rng);
                self.devices.insert(text(command, "device")?.to_owned(), device);
                Ok(json!({}))
            }
            "publish" => self.publish(command),
            "rotate" => {
                let (device, rng) = self.device(command)?;
                device.rotate(time(command, "now")?, rng);
                Ok(json!({}))
            }
            "initiate" => self.initiate(command),
            "accept" => {
                let (device, _) = self.device(command)?;
                let message = bytes(command, "message")?;
                let pending = device.open(&message).map_err(named)?;
                let accepted = pending.accept(&optional(command, "ad")?).map_err(AcceptError::from);
                let (session, opened) = accepted.map_err(named)?;
                self.keep(command, session)?;
                Ok(json!({ "plaintext": hex(&opened.plaintext) }))
            }
            "foreign_initiator" => {
                let secret = Secret::new(array(command, "secret")?);
                let (key, context) = (array(command, "ratchet_key")?, bytes(command, "context")?);
                let session = hazmat::initiator(RustCrypto, &secret, &key, &context).map_err(named)?;
                self.keep(command, session)
            }
            "foreign_responder" => {
                let secret = Secret::new(array(command, "secret")?);
                let (ratchet, context) = (Secret::new(array(command, "ratchet_secret")?), bytes(command, "context")?);
                self.keep(command, hazmat::responder(RustCrypto, &secret, ratchet, &context))
            }
            "encrypt" => {
                let (session, rng) = self.session(command)?;
                let plaintext = bytes(command, "plaintext")?;
                let message = session
                    .encrypt(
                        Payload {
                            plaintext: &plaintext,
                            associated_data: &optional(command, "ad")?,
                            ..Payload::default()
                        },
                        rng,
                    )
                    .map_err(named)?;
                Ok(json!({ "message": hex(&message) }))
            }
            "decrypt" => {
                let (session, _) = self.session(command)?;
                let message = bytes(command, "message")?;
                let opened = session
                    .decrypt(Sealed { message: &message, associated_data: &optional(command, "ad")? })
                    .map_err(named)?;
                Ok(json!({ "plaintext": hex(&opened.plaintext) }))
            }
            "status" => self.status(command),
            "snapshot" => self.snapshot(command),
            "restore" => self.restore(command),
            other => Err(format!("no such command: {other}").into()),
        }
    }

    fn publish(&mut self, command: &Value) -> Answer {
        let (device, rng) = self.device(command)?;
        let count = usize::from(command["one_time"] == true);
        let mut published = device.publish(count, time(command, "now")?, rng).map_err(named)?;
        let one_time = published.one_time_prekeys.pop();
        let bundle = Bundle::new(published.identity, published.signed_prekey, one_time).map_err(named)?;
        Ok(json!({ "bundle": hex(&bundle.to_bytes()) }))
    }

    fn initiate(&mut self, command: &Value) -> Answer {
        let (device, rng) = self.device(command)?;
        let bundle = Bundle::from_bytes(&RustCrypto, &bytes(command, "bundle")?).map_err(named)?;
        let chunk = number(command, "chunk")?;
        let chunk_size =
            ChunkSize::ALL.into_iter().find(|size| size.bytes() as u64 == chunk).ok_or("no such chunk size")?;
        let (plaintext, ad) = (bytes(command, "plaintext")?, optional(command, "ad")?);
        let (session, message) = device
            .initiate(
                bundle,
                Payload { plaintext: &plaintext, associated_data: &ad, ..Payload::default() },
                InitiateOptions::unverified(time(command, "now")?).chunk_size(chunk_size),
                rng,
            )
            .map_err(|failed| named(failed.error))?;
        self.keep(command, session)?;
        Ok(json!({ "message": hex(&message) }))
    }

    fn status(&mut self, command: &Value) -> Answer {
        let (session, _) = self.session(command)?;
        let mut status = json!({
            "id": hex(&session.id()),
            "answered": session.is_answered(),
            "epoch": session.post_quantum_epoch(),
            "skipped": session.skipped_message_keys(),
        });
        if let Some(number) = session.safety_number() {
            status["digits"] = str::from_utf8(&number.digits())?.into();
            status["scan"] = hex(&number.to_bytes()).into();
        }
        Ok(status)
    }

    fn snapshot(&mut self, command: &Value) -> Answer {
        let (key, generation) = (StorageKey::new(array(command, "key")?), number(command, "generation")?);
        let (snapshot, subject) = if command["device"].is_string() {
            let (device, _) = self.device(command)?;
            (device.snapshot(&key, generation), device.subject())
        } else {
            let (session, _) = self.session(command)?;
            (session.snapshot(&key, generation), session.subject())
        };
        Ok(json!({ "snapshot": hex(&snapshot), "subject": hex(&subject.to_bytes()[1..]) }))
    }

    fn restore(&mut self, command: &Value) -> Answer {
        let (key, newest) = (StorageKey::new(array(command, "key")?), number(command, "newest")?);
        let snapshot = bytes(command, "snapshot")?;
        // The document's subject has no kind, which the command states.
        let is_device = command["device"].is_string();
        let subject = [&[if is_device { 2 } else { 1 }][..], &bytes(command, "subject")?].concat();
        let subject = Subject::from_bytes(&subject).map_err(named)?;
        if is_device {
            let device = Device::restore(&snapshot, &key, &subject, newest).map_err(named)?;
            self.devices.insert(text(command, "device")?.to_owned(), device);
            return Ok(json!({}));
        }
        self.keep(command, Session::restore(&snapshot, &key, &subject, newest).map_err(named)?)
    }

    fn device(&mut self, command: &Value) -> Result<(&mut Device, &mut ChaCha20Rng), Box<dyn Error>> {
        let device = self.devices.get_mut(text(command, "device")?).ok_or("no such device")?;
        Ok((device, &mut self.rng))
    }

    fn session(&mut self, command: &Value) -> Result<(&mut Session, &mut ChaCha20Rng), Box<dyn Error>> {
        let session = self.sessions.get_mut(text(command, "session")?).ok_or("no such session")?;
        Ok((session, &mut self.rng))
    }

    fn keep(&mut self, command: &Value, session: Session) -> Answer {
        self.sessions.insert(text(command, "session")?.to_owned(), session);
        Ok(json!({}))
    }
}

/// The crate's name of an error, without its fields: `Refused`, say.
fn named(error: impl std::fmt::Debug) -> Box<dyn Error> {
    format!("{error:?}").split(' ').next().unwrap_or_default().into()
}

fn text<'c>(command: &'c Value, key: &str) -> Result<&'c str, Box<dyn Error>> {
    command[key].as_str().ok_or_else(|| format!("{key} is not a string").into())
}

fn time(command: &Value, key: &str) -> Result<UnixSeconds, Box<dyn Error>> {
    number(command, key).map(UnixSeconds)
}

fn number(command: &Value, key: &str) -> Result<u64, Box<dyn Error>> {
    command[key].as_u64().ok_or_else(|| format!("{key} is not a number").into())
}

fn bytes(command: &Value, key: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    HEXLOWER_PERMISSIVE.decode(text(command, key)?.as_bytes()).map_err(|_| format!("{key} is not hex").into())
}

fn optional(command: &Value, key: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    if command[key].is_null() { Ok(Vec::new()) } else { bytes(command, key) }
}

fn array<const N: usize>(command: &Value, key: &str) -> Result<[u8; N], Box<dyn Error>> {
    bytes(command, key)?.try_into().map_err(|_| format!("{key} has not {N} bytes").into())
}

fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}
