// SPDX-License-Identifier: MIT OR Apache-2.0
//! Alice, who stores nothing, and Bob, whose device and session are in a database.

use super::backend::Backend;
use noescrow::durable::{Durable, Subject, Unsaved};
use noescrow::{Bundle, Device, InitiateOptions, Session, StorageKey, UnixSeconds};
use noescrow_sqlite::Options;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

pub fn key() -> StorageKey {
    StorageKey::new([0x44; 32])
}

pub fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// Bob's state as it is loaded.
pub struct Bob {
    pub device: Durable<Device>,
    pub session: Durable<Session>,
}

pub struct Pair<S> {
    pub rng: ChaCha20Rng,
    pub alice_device: Device,
    pub alice: Session,
    pub bob: Bob,
    pub store: S,
    pub folder: TempDir,
}

/// The database in a folder.
pub fn database(folder: &Path) -> PathBuf {
    folder.join("bob.db")
}

pub async fn load<S: Backend>(store: &mut S, rng: &mut ChaCha20Rng) -> Bob {
    let subjects = store.subjects().await.unwrap();
    let device: &Subject = subjects.iter().find(|subject| subject.is_device()).unwrap();
    let session = subjects.iter().find(|subject| !subject.is_device()).unwrap();
    Bob {
        device: Durable::<Device>::load_async(store, &key(), device, 0, rng).await.unwrap(),
        session: Durable::<Session>::load_async(store, &key(), session, 0, rng).await.unwrap(),
    }
}

/// The device and session are saved; Bob has opened a first message, and has answered it.
pub async fn pair<S: Backend>() -> Pair<S> {
    let folder = tempfile::tempdir().unwrap();
    let store = S::open(&database(folder.path()), Options::new()).await.unwrap();
    pair_on(store, folder).await
}

pub async fn pair_on<S: Backend>(mut store: S, folder: TempDir) -> Pair<S> {
    let mut rng = rng(1);
    let device = Device::generate(NOW, &mut rng);
    let mut device = save(Durable::<Device>::new(device, &key(), &mut rng), &mut store).await;
    let alice_device = Device::generate(NOW, &mut rng);
    let bundle = bundle(&mut device, &mut store, &mut rng).await;
    let (mut alice, hello) =
        alice_device.initiate(bundle, b"hello", InitiateOptions::unverified(NOW), &mut rng).unwrap();
    let accepted = device.open(&hello).unwrap().accept(b"").unwrap();
    let (mut session, _) = save(accepted, &mut store).await;
    let reply = save(session.encrypt(b"answer", &mut rng).unwrap(), &mut store).await;
    alice.decrypt(&reply).unwrap();
    Pair { rng, alice_device, alice, bob: Bob { device, session }, store, folder }
}

/// A bundle of Bob's with a one-time prekey.
pub async fn bundle<S: Backend>(device: &mut Durable<Device>, store: &mut S, rng: &mut ChaCha20Rng) -> Bundle {
    let mut published = save(device.publish(1, NOW, rng).unwrap(), store).await;
    Bundle::new(published.identity, published.signed_prekey, published.one_time_prekeys.pop()).unwrap()
}

pub async fn save<S: Backend, T>(unsaved: Unsaved<'_, T>, store: &mut S) -> T {
    unsaved.save_async(store).await.unwrap()
}

impl<S: Backend> Pair<S> {
    pub fn path(&self) -> PathBuf {
        database(self.folder.path())
    }

    /// Seals a message of Alice's.
    pub fn seal_as_alice(&mut self, text: &[u8]) -> Vec<u8> {
        self.alice.encrypt(text, &mut self.rng).unwrap()
    }

    pub async fn receive(&mut self, message: &[u8]) -> Vec<u8> {
        save(self.bob.session.decrypt(message).unwrap(), &mut self.store).await.plaintext
    }

    pub async fn send(&mut self, text: &[u8]) -> Vec<u8> {
        save(self.bob.session.encrypt(text, &mut self.rng).unwrap(), &mut self.store).await
    }

    pub async fn inbox(&mut self) -> Vec<Vec<u8>> {
        texts(&mut self.store).await
    }

    /// Closes the database, and lets the caller change its files.
    pub async fn closed(self) -> Closed {
        let Self { rng, alice_device, alice, bob, store, folder } = self;
        store.close().await;
        Closed { rng, alice_device, alice, bob, folder }
    }
}

pub async fn texts<S: Backend>(store: &mut S) -> Vec<Vec<u8>> {
    store.inbox().await.unwrap().into_iter().map(|message| message.plaintext.to_vec()).collect()
}

/// A pair whose database is closed.
pub struct Closed {
    pub rng: ChaCha20Rng,
    pub alice_device: Device,
    pub alice: Session,
    pub bob: Bob,
    pub folder: TempDir,
}

impl Closed {
    pub fn path(&self) -> PathBuf {
        database(self.folder.path())
    }

    /// Opens the database. Bob's states in memory are dropped.
    pub async fn open<S: Backend>(self) -> Pair<S> {
        let Self { mut rng, alice_device, alice, bob: _, folder } = self;
        let mut store = S::open(&database(folder.path()), Options::new()).await.unwrap();
        let bob = load(&mut store, &mut rng).await;
        Pair { rng, alice_device, alice, bob, store, folder }
    }
}

/// Copies every file of a folder.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_file() {
            fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
}
