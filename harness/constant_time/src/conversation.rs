// SPDX-License-Identifier: MIT OR Apache-2.0
//! The operations of two devices, through the public interface, case by case.

use crate::generator::Generator;
use crate::mark::{public, published};
use crate::marks::{Mark, Marks};
use crate::tainted::Tainted;
use noescrow::device::Device;
use noescrow::error::AcceptError;
use noescrow::session::Session;
use noescrow::{
    AccessKey, AccessKeyHash, Bundle, Capacity, ChunkSize, HedgeSecret, HedgedRng, InitiateOptions, Payload, Sealed,
    StorageKey, UnixSeconds, skipped::Inline,
};
use rand_chacha::rand_core::Rng;

type Owner = Device<Tainted, Capacity<4, 4>>;
type Talk = Session<Tainted>;

const NOW: UnixSeconds = UnixSeconds(1);
/// Alternating messages after which both halves have taken several steps: an epoch with chunks of 256 bytes takes 15.
const TURNS: usize = 20;

/// Whatever leaves a device is public.
fn leaves(mut bytes: Vec<u8>) -> Vec<u8> {
    public(&mut bytes);
    bytes
}

/// Opens and accepts a first message.
fn take(owner: &mut Owner, message: &[u8]) -> Result<(Talk, Vec<u8>), AcceptError> {
    let (talk, opened) = owner.open(message)?.accept(b"")?;
    Ok((talk, opened.plaintext))
}

fn storage_key(marks: &Marks) -> StorageKey {
    let key = [7; 32];
    marks.secret(Mark::StorageKey, &key);
    StorageKey::new(key)
}

pub struct Pair {
    primitives: Tainted,
    rng: Generator,
    alice: Owner,
    bob: Owner,
}

impl Pair {
    pub fn new(primitives: &Tainted) -> Self {
        let mut rng = Generator::new(1, primitives.marks.clone());
        Self {
            primitives: primitives.clone(),
            alice: Owner::generate_with(primitives.clone(), NOW, &mut rng),
            bob: Owner::generate_with(primitives.clone(), NOW, &mut rng),
            rng,
        }
    }

    /// A text that only the two ends know.
    fn text(&self, len: usize) -> Vec<u8> {
        let bytes = vec![b'x'; len];
        self.primitives.marks.secret(Mark::Plaintext, &bytes);
        bytes
    }

    fn bundle(&mut self, one_time: bool) -> Bundle {
        let mut published = self.bob.publish(usize::from(one_time), NOW, &mut self.rng).unwrap();
        let prekey = published.one_time_prekeys.pop();
        let bytes = leaves(Bundle::new(published.identity, published.signed_prekey, prekey).unwrap().to_bytes());
        Bundle::from_bytes(&self.primitives, &bytes).unwrap()
    }

    fn hello(&mut self, one_time: bool, chunk_size: ChunkSize) -> (Talk, Vec<u8>) {
        let bundle = self.bundle(one_time);
        let text = self.text(20);
        let (talk, hello) = self
            .alice
            .initiate(bundle, &text, InitiateOptions::unverified(NOW).chunk_size(chunk_size), &mut self.rng)
            .unwrap();
        (talk, leaves(hello))
    }

    fn talk(&mut self, chunk_size: ChunkSize) -> (Talk, Talk) {
        let (alice, hello) = self.hello(true, chunk_size);
        let (bob, _) = take(&mut self.bob, &hello).unwrap();
        (alice, bob)
    }

    fn send(&mut self, from: &mut Talk, len: usize) -> Vec<u8> {
        let text = self.text(len);
        leaves(
            from.encrypt(Payload { plaintext: &text, associated_data: b"ad", ..Payload::default() }, &mut self.rng)
                .unwrap(),
        )
    }

    fn turns(&mut self, alice: &mut Talk, bob: &mut Talk, turns: usize) {
        for turn in 0..turns {
            let (from, to) = if turn % 2 == 0 { (&mut *bob, &mut *alice) } else { (&mut *alice, &mut *bob) };
            let message = self.send(from, 3 * turn);
            to.decrypt(Sealed { message: &message, associated_data: b"ad" }).unwrap();
        }
    }
}

/// A case's name, and its operations.
pub type Case = (&'static str, fn(&mut Pair));

pub const CASES: &[Case] = &[
    ("publish, rotate, replenish", publish),
    ("initiate and accept, one-time prekey", |pair| accept(pair, true)),
    ("initiate and accept, last-resort prekey", |pair| accept(pair, false)),
    ("first messages that are refused", first_refused),
    ("encrypt and decrypt, in order", in_order),
    ("decrypt, skipped and late", skipped),
    ("decrypt, forged and replayed", forged),
    ("both ratchets over epochs", epochs),
    ("an epoch from computed chunks", small_chunks),
    ("padding of every length", lengths),
    ("snapshots of sessions", session_snapshots),
    ("snapshots of devices", device_snapshots),
    ("buffers without an allocator", buffers),
    ("safety numbers", safety_numbers),
    ("first messages that are opened and refused", refused),
    ("padding to larger classes", larger_classes),
    ("peek, recognize, list routing tags", questions),
    ("a login signed", login),
    ("access keys", access_keys),
    ("a hedged generator", hedged),
];

fn publish(pair: &mut Pair) {
    pair.bundle(true);
    pair.bob.rotate(NOW, &mut pair.rng);
    pair.bob.generate_one_time_prekey(NOW, &mut pair.rng).unwrap();
    assert!(pair.bob.delete_previous_signed_prekeys());
}

fn accept(pair: &mut Pair, one_time: bool) {
    let (_, hello) = pair.hello(one_time, ChunkSize::Bytes32);
    assert_eq!(take(&mut pair.bob, &hello).unwrap().1.len(), 20);
}

/// Forged in each part, then unchanged, then repeated.
fn first_refused(pair: &mut Pair) {
    for one_time in [true, false] {
        let (_, hello) = pair.hello(one_time, ChunkSize::Bytes32);
        // The KEM ciphertext, the sealed identity, the header, the text.
        for at in [100, 1700, 1800, hello.len() - 1] {
            let mut forged = hello.clone();
            forged[at] ^= 1;
            assert!(take(&mut pair.bob, &forged).is_err());
        }
        assert!(take(&mut pair.bob, &hello).is_ok());
        assert!(take(&mut pair.bob, &hello).is_err());
    }
}

fn in_order(pair: &mut Pair) {
    let (mut alice, mut bob) = pair.talk(ChunkSize::Bytes32);
    pair.turns(&mut alice, &mut bob, 6);
    for _ in 0..4 {
        let message = pair.send(&mut alice, 100);
        assert_eq!(bob.decrypt(Sealed { message: &message, associated_data: b"ad" }).unwrap().plaintext.len(), 100);
    }
}

fn skipped(pair: &mut Pair) {
    let (mut alice, mut bob) = pair.talk(ChunkSize::Bytes32);
    pair.turns(&mut alice, &mut bob, 2);
    let early: Vec<_> = (0..4).map(|_| pair.send(&mut alice, 10)).collect();
    bob.decrypt(Sealed { message: &early[2], associated_data: b"ad" }).unwrap();
    pair.turns(&mut alice, &mut bob, 4);
    for at in [3, 0, 1] {
        bob.decrypt(Sealed { message: &early[at], associated_data: b"ad" }).unwrap();
    }
}

fn forged(pair: &mut Pair) {
    let (mut alice, mut bob) = pair.talk(ChunkSize::Bytes32);
    pair.turns(&mut alice, &mut bob, 3);
    let message = pair.send(&mut bob, 50);
    for at in [1, 20, 60, message.len() - 20, message.len() - 1] {
        let mut forged = message.clone();
        forged[at] ^= 1;
        assert!(alice.decrypt(Sealed { message: &forged, associated_data: b"ad" }).is_err());
    }
    assert!(alice.decrypt(Sealed { message: &message, associated_data: b"other" }).is_err());
    alice.decrypt(Sealed { message: &message, associated_data: b"ad" }).unwrap();
    assert!(alice.decrypt(Sealed { message: &message, associated_data: b"ad" }).is_err());
    assert!(bob.decrypt(Sealed { message: &message, associated_data: b"ad" }).is_err());
}

fn epochs(pair: &mut Pair) {
    let (mut alice, mut bob) = pair.talk(ChunkSize::Bytes256);
    pair.turns(&mut alice, &mut bob, 3 * TURNS);
    assert!(alice.post_quantum_epoch() >= 2);
}

/// Every value of the Braid, up to the key of an epoch, with the erasure code in use: one message in seven is lost.
fn small_chunks(pair: &mut Pair) {
    let (mut alice, mut bob) = pair.talk(ChunkSize::Bytes64);
    let mut turn = 0;
    while alice.post_quantum_epoch() < 1 || bob.post_quantum_epoch() < 1 {
        let (from, to) = if turn % 2 == 0 { (&mut bob, &mut alice) } else { (&mut alice, &mut bob) };
        let message = pair.send(from, 5);
        if turn % 7 != 3 {
            to.decrypt(Sealed { message: &message, associated_data: b"ad" }).unwrap();
        }
        turn += 1;
        assert!(turn < 400);
    }
}

fn lengths(pair: &mut Pair) {
    let (mut alice, mut bob) = pair.talk(ChunkSize::Bytes32);
    for len in (0..40).chain([255, 256, 1000, 4095, 4096, 9000]) {
        let message = pair.send(&mut alice, len);
        assert_eq!(bob.decrypt(Sealed { message: &message, associated_data: b"ad" }).unwrap().plaintext.len(), len);
    }
}

fn session_snapshots(pair: &mut Pair) {
    let (mut alice, mut bob) = pair.talk(ChunkSize::Bytes256);
    for generation in 0..20 {
        pair.turns(&mut alice, &mut bob, 2);
        // Skipped keys are stored too.
        pair.send(&mut alice, 3);
        for talk in [&mut alice, &mut bob] {
            let key = storage_key(&pair.primitives.marks);
            let mut snapshot = leaves(talk.snapshot(&key, generation));
            let mut forged = snapshot.clone();
            *forged.last_mut().unwrap() ^= 1;
            let subject = talk.subject();
            let restore = |bytes: &mut [u8]| {
                Talk::restore_in_place(pair.primitives.clone(), bytes, &key, &subject, generation).map_err(|_| ())
            };
            assert!(restore(&mut forged).is_err());
            *talk = restore(&mut snapshot).unwrap();
        }
    }
}

fn device_snapshots(pair: &mut Pair) {
    pair.bundle(true);
    let key = storage_key(&pair.primitives.marks);
    let mut snapshot = leaves(pair.bob.snapshot(&key, 3));
    let subject = pair.bob.subject();
    let restored = Owner::restore_in_place(pair.primitives.clone(), &mut snapshot, &key, &subject, 3);
    pair.bob = restored.map_err(|_| ()).unwrap();
    accept(pair, true);
}

fn buffers(pair: &mut Pair) {
    type Small = Session<Tainted, Inline<8>>;
    let bundle = pair.bundle(true);
    let text = pair.text(9);
    let mut first = vec![0; InitiateOptions::unverified(NOW).first_message_len(&text).unwrap()];
    let (mut alice, len): (Small, _) =
        pair.alice.initiate_into(bundle, &text, InitiateOptions::unverified(NOW), &mut first, &mut pair.rng).unwrap();
    assert_eq!(len, first.len());
    public(&mut first);
    let (mut bob, _): (Small, _) = pair.bob.open_in_place(&mut first).unwrap().accept_in_place(b"").unwrap();
    for _ in 0..3 {
        let text = pair.text(33);
        let mut message = vec![0; bob.message_len(&text).unwrap()];
        bob.encrypt_into(&text, &mut message, &mut pair.rng).unwrap();
        public(&mut message);
        assert_eq!(alice.decrypt_in_place(&mut message, b"").unwrap().plaintext.len(), 33);
        std::mem::swap(&mut alice, &mut bob);
    }
}

fn safety_numbers(pair: &mut Pair) {
    let (alice, bob) = pair.talk(ChunkSize::Bytes32);
    assert_eq!(alice.safety_number(), bob.safety_number());
    let scanned = alice.safety_number().unwrap().to_bytes();
    bob.safety_number().unwrap().verify_scanned(&scanned).unwrap();
}

/// Opened and dropped, opened and refused, and then a copy of what was refused.
fn refused(pair: &mut Pair) {
    for one_time in [true, false] {
        let (_, hello) = pair.hello(one_time, ChunkSize::Bytes32);
        assert!(pair.bob.open(&hello).is_ok());
        let pending = pair.bob.open(&hello).unwrap();
        assert_eq!((pending.used_one_time_prekey(), pending.skips()), (one_time, 0));
        assert_eq!(pending.remote_identity(), pair.alice.identity());
        pending.refuse();
        assert!(pair.bob.open(&hello).is_err());
    }
}

/// Each text once in its smallest class and once in a larger one: beyond 4,096 bytes another part is searched.
fn larger_classes(pair: &mut Pair) {
    let (mut alice, mut bob) = pair.talk(ChunkSize::Bytes32);
    for (len, min_padded_len) in [(0, 0), (0, 300), (20, 4096), (20, 9000), (5000, 5000), (5000, 40_000)] {
        let text = pair.text(len);
        let payload = Payload { plaintext: &text, associated_data: b"ad", min_padded_len };
        let message = leaves(alice.encrypt(payload, &mut pair.rng).unwrap());
        assert!(message.len() > min_padded_len);
        assert_eq!(bob.decrypt(Sealed { message: &message, associated_data: b"ad" }).unwrap().plaintext.len(), len);
    }
}

/// Of the session's own messages, in order, early and late, of a forged one and of another session's.
fn questions(pair: &mut Pair) {
    let (mut alice, mut bob) = pair.talk(ChunkSize::Bytes32);
    let (mut stranger, _) = pair.talk(ChunkSize::Bytes32);
    pair.turns(&mut alice, &mut bob, 3);
    let [late, early] = [pair.send(&mut alice, 10), pair.send(&mut alice, 10)];
    assert_eq!(bob.peek(&early), Ok(1));
    bob.decrypt(Sealed { message: &early, associated_data: b"ad" }).unwrap();
    assert_eq!(bob.peek(&late), Ok(0));
    let foreign = pair.send(&mut stranger, 10);
    // The tag, the rest of the salt, the commitment, the header.
    let forged = [2, 12, 20, 60].map(|at| {
        let mut forged = late.clone();
        forged[at] ^= 1;
        forged
    });
    assert!(bob.recognizes(&late));
    for message in forged.iter().chain([&foreign]) {
        assert!(bob.peek(message).is_err());
    }
    assert!(!bob.recognizes(&forged[2]) && !bob.recognizes(&foreign));
    let mut tags = Vec::new();
    bob.routing_tags(|tag| tags.push(published(tag)));
    assert!(tags.contains(&noescrow::routing_tag(&late).unwrap()));
}

fn login(pair: &mut Pair) {
    let signature = pair.bob.sign_login(&[9; 32]);
    pair.bob.identity().verify_login(&pair.primitives, &[9; 32], &signature).unwrap();
}

/// As a server compares them: it discloses which message was admitted.
fn access_keys(pair: &mut Pair) {
    let [key, other] = [AccessKey::generate(&mut pair.rng), AccessKey::generate(&mut pair.rng)];
    let stored = AccessKeyHash::from_bytes(published(key.hash().to_bytes()));
    let verdicts = [&key, &other].map(|key| u8::from(stored.admits(key)));
    assert_eq!(published(verdicts), [1, 0]);
}

fn hedged(pair: &mut Pair) {
    let secret = HedgeSecret::generate(&mut pair.rng);
    let mut hedged = HedgedRng::new(&mut pair.rng, &secret, b"1");
    let mut drawn = [0; 100];
    hedged.fill_bytes(&mut drawn);
    assert_ne!(published(drawn), [0; 100]);
}
