// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an application does for each message: find the session, restore it, decrypt, and store it again.

use crate::processor_time::ProcessorTime;
use crate::table::{OURS, PEER};
use crate::{TEXT, each, pair, peer_pair, rng};
use criterion::{BatchSize, Criterion};
use noescrow::durable::{Batch, CommitError, Durable, Row, RowName, Store, Subject};
use noescrow::{ROUTING_TAG_LEN, Session, StorageKey, routing_tag};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::Rng;
use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::hint::black_box;
use vodozemac::olm::{self, OlmMessage};

/// Skipped keys that each of both ratchets keeps.
const SKIPPED: [usize; 3] = [0, 100, 2_000];
/// Peers, each with a session.
const PEERS: [usize; 3] = [10, 1_000, 100_000];
/// Messages received before the cycle: with ratchet steps, so that the Braid is in the middle of an epoch.
const TURNS: usize = 40;
/// vodozemac keeps as many keys of a chain.
const PEER_KEEPS: usize = 40;

/// Both ends in the middle of an epoch of the post-quantum ratchet. The second has sent last, and `skipped` of its messages
/// are missing.
fn ends(skipped: usize) -> (Session, Session) {
    let (mut receiver, mut sender) = pair();
    let mut rng = rng(20);
    for _ in 0..TURNS / 2 {
        let message = receiver.encrypt(&TEXT, &mut rng).unwrap();
        sender.decrypt(&message).unwrap();
        let message = sender.encrypt(&TEXT, &mut rng).unwrap();
        receiver.decrypt(&message).unwrap();
    }
    // The receiver has a sending chain, as after an answer.
    drop(receiver.encrypt(&TEXT, &mut rng).unwrap());
    (0..skipped).for_each(|_| drop(sender.encrypt(&TEXT, &mut rng).unwrap()));
    let message = sender.encrypt(&TEXT, &mut rng).unwrap();
    receiver.decrypt(&message).unwrap();
    assert_eq!(receiver.skipped_message_keys(), skipped);
    (receiver, sender)
}

fn peer_ends(skipped: usize) -> (olm::Session, olm::Session) {
    let (mut receiver, mut sender) = peer_pair();
    for _ in 0..TURNS / 2 {
        sender.decrypt(&receiver.encrypt(TEXT).unwrap()).unwrap();
        receiver.decrypt(&sender.encrypt(TEXT).unwrap()).unwrap();
    }
    drop(receiver.encrypt(TEXT).unwrap());
    (0..skipped).for_each(|_| drop(sender.encrypt(TEXT).unwrap()));
    receiver.decrypt(&sender.encrypt(TEXT).unwrap()).unwrap();
    (receiver, sender)
}

/// A database in memory that costs nothing but copying: the rows of one session.
#[derive(Default)]
struct Rows(BTreeMap<RowName, Vec<u8>>);

impl Store for Rows {
    type Error = Infallible;

    fn load(&mut self, _: &Subject) -> Result<Vec<Row>, Infallible> {
        Ok(self.0.iter().map(|(name, sealed)| Row { name: *name, sealed: sealed.clone() }).collect())
    }

    fn commit(&mut self, batch: Batch) -> Result<(), CommitError<Infallible>> {
        for change in batch.changes {
            change.deleted.iter().for_each(|name| drop(self.0.remove(name)));
            self.0.extend(change.rows.into_iter().map(|row| (row.name, row.sealed)));
        }
        Ok(())
    }
}

fn name(what: &str, skipped: usize) -> String {
    format!("{what}, {skipped} keys")
}

/// Restores a session, decrypts the next message of 32 bytes and stores the session, as one snapshot and in rows; does the
/// same with a message to send; and restores alone.
pub fn cycles(criterion: &mut Criterion<ProcessorTime>) {
    let key = StorageKey::new([9; 32]);
    // Messages are made outside the clock, as few at a time as stay in the cache.
    let size = BatchSize::NumIterations(64);
    for skipped in SKIPPED {
        let (receiver, mut sender) = ends(skipped);
        let (subject, mut rng) = (receiver.subject(), rng(21));
        let peer_skipped = skipped.min(PEER_KEEPS);
        let (peer_receiver, mut peer_sender) = peer_ends(peer_skipped);
        let stored = receiver.snapshot(&key, 0);
        let peer_stored = peer_receiver.pickle().encrypt(&[9; 32]);

        let mut group = criterion.benchmark_group(name("restore", skipped));
        group.bench_function(OURS, |bencher| {
            bencher.iter(|| Session::restore(black_box(&stored), &key, &subject, 0).unwrap())
        });
        group.bench_function(PEER, |bencher| {
            bencher.iter(|| {
                let pickle = olm::SessionPickle::from_encrypted(black_box(&peer_stored), &[9; 32]).unwrap();
                olm::Session::from_pickle(pickle)
            });
        });
        group.finish();

        let mut group = criterion.benchmark_group(name("restore from rows", skipped));
        let mut rows = Rows::default();
        let session = Session::restore(&stored, &key, &subject, 0).unwrap();
        drop(Durable::<Session>::new(session, &key, &mut rng).save(&mut rows).unwrap());
        let load = || rows.0.iter().map(|(name, sealed)| Row { name: *name, sealed: sealed.clone() }).collect();
        let mut random = self::rng(22);
        each(&mut group, OURS, BatchSize::NumIterations(8), load, |rows: Vec<Row>| {
            Box::new(Durable::<Session>::restore(rows, &key, &subject, 0, &mut random).unwrap())
        });
        group.finish();

        let mut group = criterion.benchmark_group(name("sending cycle", skipped));
        group.bench_function(OURS, |bencher| {
            bencher.iter(|| {
                let mut session = Session::restore(&stored, &key, &subject, 0).unwrap();
                let message = session.encrypt(&TEXT, &mut rng).unwrap();
                (message, session.snapshot(&key, 1))
            });
        });
        group.bench_function(PEER, |bencher| {
            bencher.iter(|| {
                let pickle = olm::SessionPickle::from_encrypted(&peer_stored, &[9; 32]).unwrap();
                let mut session = olm::Session::from_pickle(pickle);
                let message = session.encrypt(TEXT).unwrap();
                (message, session.pickle().encrypt(&[9; 32]))
            });
        });
        group.finish();

        let mut group = criterion.benchmark_group(name("snapshot cycle", skipped));
        let mut snapshot = stored;
        let mut messages = Vec::new();
        let message = || {
            let message = sender.encrypt(&TEXT, &mut rng).unwrap();
            messages.push(message.clone());
            message
        };
        each(&mut group, OURS, size, message, |message| {
            let mut session = Session::restore(&snapshot, &key, &subject, 0).unwrap();
            let plaintext = session.decrypt(&message).unwrap().plaintext;
            snapshot = session.snapshot(&key, 1);
            plaintext
        });
        let mut pickle = peer_stored;
        let message = || peer_sender.encrypt(TEXT).unwrap();
        each(&mut group, PEER, size, message, |message: OlmMessage| {
            let stored = olm::SessionPickle::from_encrypted(&pickle, &[9; 32]).unwrap();
            let mut session = olm::Session::from_pickle(stored);
            let plaintext = session.decrypt(&message).unwrap();
            pickle = session.pickle().encrypt(&[9; 32]);
            plaintext
        });
        group.finish();

        // The rows are those of the session before these messages.
        let mut group = criterion.benchmark_group(name("rows cycle", skipped));
        let mut random = self::rng(23);
        let mut messages = messages.into_iter();
        let message = || messages.next().unwrap_or_else(|| sender.encrypt(&TEXT, &mut rng).unwrap());
        each(&mut group, OURS, size, message, |message| {
            let mut session = Durable::<Session>::load(&mut rows, &key, &subject, 0, &mut random).unwrap();
            let opened = session.decrypt(&message).unwrap().save(&mut rows).unwrap();
            opened.plaintext
        });
        group.finish();
    }
}

fn tag(random: &mut ChaCha20Rng) -> [u8; ROUTING_TAG_LEN] {
    let mut tag = [0; ROUTING_TAG_LEN];
    random.fill_bytes(&mut tag);
    tag
}

/// Finds the session of a message by its routing tag in an index over the tags that all sessions expect. Each message is of
/// another session, so that the index is not in the cache. vodozemac has no tags: there, a message names no session.
pub fn routing(criterion: &mut Criterion<ProcessorTime>) {
    let (session, mut sender) = ends(0);
    let message = sender.encrypt(&TEXT, &mut rng(24)).unwrap();
    let mut expected = Vec::new();
    session.routing_tags(|tag| expected.push(tag));
    for peers in PEERS {
        // Each session expects as many tags, which are as random as those of real ones.
        let mut random = rng(25);
        let mut index = HashMap::new();
        let mut messages = Vec::new();
        for peer in 0..peers {
            let tags = expected.iter().map(|_| tag(&mut random)).collect::<Vec<_>>();
            let mut message = message.clone();
            // After the type.
            message[1..=ROUTING_TAG_LEN].copy_from_slice(&tags[peer % tags.len()]);
            messages.push((peer, message));
            index.extend(tags.into_iter().map(|tag| (tag, peer)));
        }
        messages.sort_by_key(|(_, message)| message[1..=ROUTING_TAG_LEN].to_vec());
        let mut messages = messages.iter().cycle();
        let mut group = criterion.benchmark_group(format!("find the session of {peers}"));
        group.bench_function(OURS, |bencher| {
            bencher.iter(|| {
                let (peer, message) = messages.next().unwrap();
                assert_eq!(index.get(&routing_tag(message).unwrap()), Some(peer));
            });
        });
        group.finish();
    }
    let mut group = criterion.benchmark_group("list a session's routing tags");
    group.bench_function(OURS, |bencher| {
        bencher.iter(|| {
            let mut tags = 0;
            session.routing_tags(|tag| {
                black_box(tag);
                tags += 1;
            });
            tags
        });
    });
    group.finish();
}
