// SPDX-License-Identifier: MIT OR Apache-2.0
//! `Durable` is a transaction: nothing is released before it is on disk, and nothing that is on disk is lost. Each claim
//! has a control: a faulty store, or the same steps without `Durable`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    unreachable_pub,
    reason = "a test states its expectations"
)]

#[path = "durable/crash.rs"]
mod crash;
#[path = "durable/disk.rs"]
mod disk;
#[path = "durable/futures.rs"]
mod futures;
#[path = "support/generators.rs"]
mod generators;
#[path = "durable/rotation.rs"]
mod rotation;
#[path = "durable/rows.rs"]
mod rows;
#[path = "durable/steps.rs"]
mod steps;
#[path = "durable/transaction.rs"]
mod transaction;

use disk::Disk;
use noescrow::durable::{Accepted, Begun, Durable, StepError, Unsaved};
use noescrow::error::AcceptError;
use noescrow::primitives::RustCrypto;
use noescrow::{Bundle, Capacity, InitiateOptions, StorageKey, UnixSeconds, device, session};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

type Device = device::Device<RustCrypto, Capacity<8, 8>>;
type Session = session::Session<RustCrypto>;

fn key() -> StorageKey {
    StorageKey::new([0x44; 32])
}

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// A device that is on `disk`.
fn device(disk: &mut Disk, rng: &mut ChaCha20Rng) -> Durable<Device> {
    let device = Device::generate_with(RustCrypto, NOW, rng);
    Durable::<Device>::new(device, &key(), rng).save(disk).unwrap()
}

/// A bundle with a one-time prekey, or without one.
fn bundle(bob: &mut Durable<Device>, disk: &mut Disk, one_time: bool, rng: &mut ChaCha20Rng) -> Bundle {
    let mut published = bob.publish(usize::from(one_time), NOW, rng).unwrap().save(disk).unwrap();
    Bundle::new(published.identity, published.signed_prekey, published.one_time_prekeys.pop()).unwrap()
}

fn initiate(
    alice: &mut Durable<Device>,
    disk: &mut Disk,
    bundle: Bundle,
    text: &[u8],
    rng: &mut ChaCha20Rng,
) -> Begun<RustCrypto> {
    alice.initiate(bundle, text, InitiateOptions::unverified(NOW), rng).unwrap().save(disk).unwrap()
}

fn accept<'d>(
    bob: &'d mut Durable<Device>,
    message: &[u8],
) -> Result<Unsaved<'d, Accepted<RustCrypto>>, StepError<AcceptError>> {
    bob.open(message)?.accept(b"").map_err(|failed| StepError::Failed(failed.error))
}

/// Accepts without `Durable`.
fn accept_plainly(bob: &mut Device, message: &[u8]) -> Result<Session, AcceptError> {
    let (session, _) = bob.open(message)?.accept(b"")?;
    Ok(session)
}

/// Two devices with a session, each on its disk.
struct Pair {
    rng: ChaCha20Rng,
    disks: [Disk; 2],
    devices: [Durable<Device>; 2],
    alice: Durable<Session>,
    bob: Durable<Session>,
}

fn pair() -> Pair {
    let mut rng = rng(1);
    let mut disks = [Disk::default(), Disk::default()];
    let mut devices = [device(&mut disks[0], &mut rng), device(&mut disks[1], &mut rng)];
    let bundle = bundle(&mut devices[1], &mut disks[1], true, &mut rng);
    let (alice, hello) = initiate(&mut devices[0], &mut disks[0], bundle, b"hello", &mut rng);
    let (bob, _) = accept(&mut devices[1], &hello).unwrap().save(&mut disks[1]).unwrap();
    Pair { rng, disks, devices, alice, bob }
}

impl Pair {
    fn send(&mut self, from_alice: bool, text: &[u8]) -> Vec<u8> {
        let (session, disk) =
            if from_alice { (&mut self.alice, &mut self.disks[0]) } else { (&mut self.bob, &mut self.disks[1]) };
        session.encrypt(text, &mut self.rng).unwrap().save(disk).unwrap()
    }

    fn receive(&mut self, at_alice: bool, message: &[u8]) -> Vec<u8> {
        let (session, disk) =
            if at_alice { (&mut self.alice, &mut self.disks[0]) } else { (&mut self.bob, &mut self.disks[1]) };
        session.decrypt(message).unwrap().save(disk).unwrap().plaintext
    }
}
