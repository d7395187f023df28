// SPDX-License-Identifier: MIT OR Apache-2.0
//! The events of the prekey policy (spec/protocol.md §12.2), on devices of any capacity that the files name.

use super::act::Act;
use super::draws::Source;
use super::json::hex;
use super::stage::{Device, Digests, Stage, find};
use super::watched::Watched;
use noescrow::device::Capacities;
use noescrow::error::RestoreError;
use noescrow::hazmat::device_state;
use noescrow::primitives::{Primitives, RustCrypto};
use noescrow::snapshot::Subject;
use noescrow::{Capacity, StorageKey, device};
use std::collections::{BTreeMap, BTreeSet};

type Of<const STORED: usize, const REPLAY_RECORD: usize, const PREVIOUS: usize> =
    device::Device<Watched, Capacity<STORED, REPLAY_RECORD, PREVIOUS>>;

#[allow(clippy::large_enum_variant, reason = "a file has few")]
/// A device with little memory. Each capacity is a type: these are the ones that the files name.
pub(super) enum Limited {
    /// A few prekeys fill it.
    Small(Of<9, 9, 2>),
    WithoutRecord(Of<1, 0, 1>),
    WithoutPrevious(Of<1, 9, 0>),
}

impl Limited {
    fn perform(&mut self, event: impl OnDevice) -> Result<(), String> {
        match self {
            Self::Small(device) => event.perform(device),
            Self::WithoutRecord(device) => event.perform(device),
            Self::WithoutPrevious(device) => event.perform(device),
        }
    }

    fn state(&self) -> Vec<u8> {
        match self {
            Self::Small(device) => device_state(device),
            Self::WithoutRecord(device) => device_state(device),
            Self::WithoutPrevious(device) => device_state(device),
        }
    }
}

/// Restores a device of the capacity that the event names: STORED, REPLAY_RECORD and PREVIOUS.
pub(super) fn restore_limited(
    capacity: [u64; 3],
    recorder: Watched,
    snapshot: &mut [u8],
    key: &StorageKey,
    subject: &Subject,
    newest: u64,
) -> Result<Result<Limited, RestoreError>, String> {
    Ok(match capacity {
        [9, 9, 2] => Of::restore_in_place(recorder, snapshot, key, subject, newest).map(Limited::Small),
        [1, 0, 1] => Of::restore_in_place(recorder, snapshot, key, subject, newest).map(Limited::WithoutRecord),
        [1, 9, 0] => Of::restore_in_place(recorder, snapshot, key, subject, newest).map(Limited::WithoutPrevious),
        _ => return Err(format!("no device has the capacity {capacity:?}")),
    })
}

/// Performs one event on a device of one capacity.
trait OnDevice {
    fn perform<C: Capacities>(self, device: &mut device::Device<Watched, C>) -> Result<(), String>;
}

struct Maintain<'a, 'b, G>(&'a mut Act<'b>, &'a mut G);

impl<G: Source> OnDevice for Maintain<'_, '_, G> {
    fn perform<C: Capacities>(self, device: &mut device::Device<Watched, C>) -> Result<(), String> {
        let Self(act, source) = self;
        let (now, server_has) = (act.time("now")?, act.ids("server_has")?);
        let (before, signed_before) = (ids(device), device.signed_prekey().id());
        let mut published = device.replenish(now, &server_has, source);
        published.one_time_prekeys.sort_by_key(noescrow::Prekey::id);
        act.put("offered", published.one_time_prekeys.iter().map(noescrow::Prekey::id).collect::<Vec<_>>());
        let mut uploaded = vec![];
        if published.signed_prekey.id() != signed_before {
            act.put("rotated", true);
            uploaded.push(published.signed_prekey.to_bytes());
        }
        uploaded.extend(published.one_time_prekeys.iter().map(noescrow::Prekey::to_bytes));
        act.put("uploaded_sha256", hex(&RustCrypto.sha256(&[&uploaded.concat()])));
        put_deleted(act, &before, device);
        Ok(())
    }
}

struct Make<'a, 'b, G>(&'a mut Act<'b>, &'a mut G);

impl<G: Source> OnDevice for Make<'_, '_, G> {
    fn perform<C: Capacities>(self, device: &mut device::Device<Watched, C>) -> Result<(), String> {
        let Self(act, source) = self;
        let (now, before) = (act.time("now")?, ids(device));
        let made = device.generate_one_time_prekey(now, source).map_err(|error| error.to_string())?;
        act.put("made", made.id());
        put_deleted(act, &before, device);
        Ok(())
    }
}

struct Rotate<'a, 'b, G>(&'a mut Act<'b>, &'a mut G);

impl<G: Source> OnDevice for Rotate<'_, '_, G> {
    fn perform<C: Capacities>(self, device: &mut device::Device<Watched, C>) -> Result<(), String> {
        let Self(act, source) = self;
        let prekey = device.rotate(act.time("now")?, source);
        act.put_bytes("signed_prekey", &prekey.to_bytes());
        Ok(())
    }
}

struct Delete<'a, 'b>(&'a mut Act<'b>);

impl OnDevice for Delete<'_, '_> {
    fn perform<C: Capacities>(self, device: &mut device::Device<Watched, C>) -> Result<(), String> {
        let (now, before) = (self.0.time("now")?, ids(device));
        device.delete_expired(now);
        put_deleted(self.0, &before, device);
        Ok(())
    }
}

impl<G: Source> Stage<G> {
    /// The state of a device of any capacity.
    pub(super) fn state_of_device(&mut self, name: &str) -> Result<Vec<u8>, String> {
        match self.limited.get(name) {
            Some(limited) => Ok(limited.state()),
            None => find(&mut self.devices, name).map(|device| device_state(device)),
        }
    }

    pub(super) fn maintain(&mut self, act: &mut Act<'_>) -> Result<Digests, String> {
        let name = act.text("device")?;
        on_device(&mut self.devices, &mut self.limited, &name, Maintain(act, &mut self.source))
    }

    pub(super) fn make(&mut self, act: &mut Act<'_>) -> Result<Digests, String> {
        let name = act.text("device")?;
        on_device(&mut self.devices, &mut self.limited, &name, Make(act, &mut self.source))
    }

    pub(super) fn rotate(&mut self, act: &mut Act<'_>) -> Result<Digests, String> {
        let name = act.text("device")?;
        on_device(&mut self.devices, &mut self.limited, &name, Rotate(act, &mut self.source))
    }

    pub(super) fn delete(&mut self, act: &mut Act<'_>) -> Result<Digests, String> {
        let name = act.text("device")?;
        on_device(&mut self.devices, &mut self.limited, &name, Delete(act))
    }
}

fn on_device(
    devices: &mut BTreeMap<String, Device>,
    limited: &mut BTreeMap<String, Limited>,
    name: &str,
    event: impl OnDevice,
) -> Result<Digests, String> {
    match limited.get_mut(name) {
        Some(limited) => limited.perform(event)?,
        None => event.perform(find(devices, name)?)?,
    }
    Ok(Digests::device(name.to_owned()))
}

/// The ids of the prekeys that a device had before and no longer has.
fn put_deleted<C: Capacities>(act: &mut Act<'_>, before: &BTreeSet<u32>, device: &device::Device<Watched, C>) {
    let after = ids(device);
    act.put("deleted", before.difference(&after).copied().collect::<Vec<_>>());
}

/// Bytes of the stored form of a signed prekey, and of a one-time prekey (§11.6).
const PREKEY: usize = 4 + 1 + 8 + 32 + 64 + 32 + 8 + 1;

/// The ids of all prekeys of a device, from its state.
fn ids<C: Capacities>(device: &device::Device<Watched, C>) -> BTreeSet<u32> {
    let state = device_state(device);
    let number = |at: usize| u32::from_be_bytes(*state[at..].first_chunk().unwrap());
    let claim = if state[72] == 0 { 0 } else { 16 };
    let signed = 73 + claim + 8 + 4 + 8;
    let previous = signed + PREKEY + 4;
    let parts = previous + PREKEY * number(signed + PREKEY) as usize;
    let mut ids: BTreeSet<u32> = (previous..parts).step_by(PREKEY).map(number).collect();
    ids.insert(number(signed));
    // One-time prekeys stand before the records.
    let one_time = (parts..state.len()).step_by(9 + PREKEY).take_while(|at| state[*at] == 3);
    ids.extend(one_time.map(|at| number(at + 9)));
    ids
}
