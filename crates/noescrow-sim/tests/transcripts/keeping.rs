// SPDX-License-Identifier: MIT OR Apache-2.0
//! The events that store, restore, compare and parse.

use super::act::Act;
use super::draws::Source;
use super::policy::restore_limited;
use super::stage::{Device, Digests, Session, Stage, find};
use super::stored;
use noescrow::error::DecodeError;
use noescrow::primitives::{Primitives, RustCrypto};
use noescrow::snapshot::Subject;
use noescrow::{Bundle, Identity, Prekey, Publication, SafetyNumber, StorageKey};

impl<G: Source> Stage<G> {
    pub(super) fn store(&mut self, act: &mut Act<'_>) -> Result<Digests, String> {
        let (kind, name) = (act.text("kind")?, act.text("name")?);
        let (key, generation) = (StorageKey::new(act.array("storage_key")?), act.number("generation")?);
        let (snapshot, digests) = match kind.as_str() {
            "session" => {
                let session = find(&mut self.sessions, &name)?;
                act.put_bytes("subject", &session.subject().to_bytes()[1..]);
                (session.snapshot(&key, generation), Digests::session(name))
            }
            "device" => {
                let device = find(&mut self.devices, &name)?;
                act.put_bytes("subject", &device.subject().to_bytes()[1..]);
                (device.snapshot(&key, generation), Digests::device(name))
            }
            _ => return Err(format!("nothing is stored as {kind}")),
        };
        act.put_bytes("snapshot", &snapshot);
        self.keep(snapshot);
        Ok(digests)
    }

    pub(super) fn restore(&mut self, act: &mut Act<'_>) -> Result<Digests, String> {
        let (kind, name) = (act.text("kind")?, act.text("name")?);
        let (key, newest) = (StorageKey::new(act.array("storage_key")?), act.number("newest")?);
        let scope: [u8; 96] = act.array("subject")?;
        // A device has no id: what has one is a session, also where a device is asked for.
        let is_device = kind == "device" && scope[64..] == [0; 32];
        let subject = [&[if is_device { stored::DEVICE } else { stored::SESSION }][..], &scope].concat();
        let subject = Subject::from_bytes(&subject).map_err(|error| error.to_string())?;
        let mut snapshot = self.message(act)?;
        let recorder = self.recorder(&name);
        let (restored, digests) = match kind.as_str() {
            "session" => (
                Session::restore_in_place(recorder, &mut snapshot, &key, &subject, newest)
                    .map(|session| self.sessions.insert(name.clone(), session).is_some()),
                Digests::session(name),
            ),
            "device" if act.asked.contains_key("capacity") => {
                let capacity = act.required("capacity")?;
                let part = |key: &str| capacity[key].as_u64().ok_or_else(|| format!("a capacity without {key}"));
                let capacity = [part("stored")?, part("replay_record")?, part("previous")?];
                let restored = restore_limited(capacity, recorder, &mut snapshot, &key, &subject, newest)?;
                (restored.map(|device| self.limited.insert(name.clone(), device).is_some()), Digests::device(name))
            }
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
    pub(super) fn compare(&mut self, act: &mut Act<'_>) -> Result<Digests, String> {
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

    pub(super) fn parse(&mut self, act: &mut Act<'_>) -> Result<Digests, String> {
        let (kind, bytes) = (act.text("kind")?, self.given(act, "bytes")?);
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
                "publication" => Publication::from_bytes(&anybody, &bytes).map(|publication| publication.to_bytes()),
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
