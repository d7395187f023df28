// SPDX-License-Identifier: MIT OR Apache-2.0
//! The cases: operations of the public interface, each on two classes of inputs that spec/leakage.md requires to be
//! indistinguishable; and two cases whose difference it permits.

use crate::leaky::{Leak, Leaky, Subject};
use noescrow::hazmat::AcceptFromAnyone;
use noescrow::primitives::{
    CT1_LEN, CT2_LEN, KEM_CIPHERTEXT_LEN, KEM_PUBLIC_LEN, KEM_SEED_LEN, Primitives, RustCrypto, TAG_LEN,
};
use noescrow::snapshot::Subject as Owner;
use noescrow::{
    Bundle, Capacity, InitiateOptions, MESSAGE_OVERHEAD, Secret, StorageKey, UnixSeconds, device, hazmat, session,
    skipped::Heap,
};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::hint::black_box;

/// Writes an input of a class, 0 or 1, outside the clock.
pub type Prepare = Box<dyn FnMut(usize, &mut Vec<u8>)>;
/// The measured operation; returns whether the input opened.
pub type Operation = Box<dyn FnMut(&mut [u8]) -> bool>;

/// An operation and its inputs. It consumes them in the order in which they were prepared.
pub struct Case {
    pub prepare: Prepare,
    pub operation: Operation,
    /// Whether inputs open: those of both classes do, or those of neither.
    pub opens: bool,
}

/// The control of a case.
pub enum Against {
    /// The contract hides the class: no difference may be detected, and the leaky variant's must be.
    LeakyVariant(Leak, fn(Leaky, u64) -> Case),
    /// The contract permits the difference, which must be detected.
    Permitted,
}

pub struct Entry {
    pub name: &'static str,
    pub samples: usize,
    pub honest: fn(RustCrypto, u64) -> Case,
    pub against: Against,
}

/// A case by its function, and its leaky variant.
macro_rules! hidden {
    ($name:literal, $samples:literal, $case:ident, $leak:ident) => {
        Entry {
            name: $name,
            samples: $samples,
            honest: $case::<RustCrypto>,
            against: Against::LeakyVariant(Leak::$leak, $case::<Leaky>),
        }
    };
}

macro_rules! permitted {
    ($name:literal, $samples:literal, $case:ident) => {
        Entry { name: $name, samples: $samples, honest: $case::<RustCrypto>, against: Against::Permitted }
    };
}

pub const ENTRIES: &[Entry] = &[
    hidden!("header commitment, wrong in first or last byte", 1_200_000, commitment, Commitment),
    hidden!("header commitment, near current or next key's", 1_200_000, near_miss, Trial),
    hidden!("header tag, wrong in first or last byte", 1_200_000, header_tag, Tag),
    hidden!("body tag, wrong in first or last byte", 1_200_000, body_tag, Tag),
    hidden!("padding of 1 or 256 bytes to one length", 600_000, padding, Padding),
    hidden!("snapshot tag, wrong in first or last byte", 1_200_000, snapshot_tag, Tag),
    hidden!("snapshot commitment, wrong in first or last byte", 1_200_000, snapshot_commitment, Salt),
    hidden!("ML-KEM-1024 decapsulation, valid or rejected", 150_000, decapsulate, Rejection),
    hidden!("ML-KEM-768 in two parts, valid or rejected", 150_000, incremental_decapsulate, Rejection),
    hidden!("first message refused, KEM ciphertext or identity", 60_000, first_message, Rejection),
    permitted!("header opens under the current or the next key", 20_000, which_key),
    permitted!("snapshot refused by its tag or its commitment", 20_000, which_check),
];

type Talk<P> = session::Session<P>;

const TEXT: [u8; 32] = [0x6E; 32];
const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
/// A message consists of its type, the sealed header (salt, commitment, ciphertext, tag) and the body.
const COMMITMENT: [usize; 2] = [1 + 16, 1 + 16 + 16];
const BODY: usize = MESSAGE_OVERHEAD - TAG_LEN;
/// A snapshot consists of version, kind, generation, salt, ciphertext and tag.
const SALT: [usize; 2] = [1 + 1 + 8 + 16, 1 + 1 + 8 + 16 + 32];
/// Where the KEM ciphertext and the sealed identity begin in a first message.
const KEM_CIPHERTEXT: usize = 1 + 4 + 1 + 4 + 32;
const SEALED_IDENTITY: usize = KEM_CIPHERTEXT + KEM_CIPHERTEXT_LEN + 1;
/// Bytes of a ciphertext that a leaky variant receives, and among which one is altered.
const BEGINNING: usize = 32;
/// Length of the padded text: 33 bytes with the marker, which Padmé pads to 36.
const PADDED_TEXT_LEN: usize = 36;
/// Length of the longest text whose padded length, with the marker, is 17 times 256.
const LONGEST: usize = 17 * 256 - 1;
/// Number of genuine inputs from which others are made.
const POOL: u64 = 64;

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn random<const N: usize>(rng: &mut ChaCha20Rng) -> [u8; N] {
    let mut bytes = [0; N];
    rng.fill_bytes(&mut bytes);
    bytes
}

fn one_of<'a, T>(pool: &'a [T], rng: &mut ChaCha20Rng) -> &'a T {
    &pool[rng.next_u32() as usize % pool.len()]
}

/// Replaces a byte by a different one.
fn alter(byte: &mut u8, rng: &mut ChaCha20Rng) {
    *byte ^= u8::try_from(1 + rng.next_u32() % 255).unwrap();
}

/// Alters the first or the last byte of a part, depending on the class.
fn alter_end(part: &mut [u8], class: usize, rng: &mut ChaCha20Rng) {
    let at = [0, part.len() - 1][class];
    alter(&mut part[at], rng);
}

fn storage_key() -> StorageKey {
    StorageKey::new([9; 32])
}

/// Two ends after the first message; the second is the subject.
fn ends<P: Subject>(subject: P, rng: &mut ChaCha20Rng) -> (Talk<RustCrypto>, Talk<P>) {
    let [shared, ratchet] = [random(rng), random(rng)];
    let public = RustCrypto.dh_public(&Secret::new(ratchet));
    let mut alice: Talk<RustCrypto> = hazmat::initiator(RustCrypto, &Secret::new(shared), &public, b"").unwrap();
    let mut bob = hazmat::responder(subject, &Secret::new(shared), Secret::new(ratchet), b"");
    bob.decrypt(&alice.encrypt(&TEXT, rng).unwrap()).unwrap();
    (alice, bob)
}

/// The second end, and messages for it from the current chain and from the next one. Its state does not change while no
/// message opens.
fn receiver<P: Subject>(subject: P, rng: &mut ChaCha20Rng) -> (Talk<P>, [Vec<Vec<u8>>; 2]) {
    let (mut alice, mut bob) = ends(subject, rng);
    // No message of the chain that ends is missing, so that a step has its minimal cost.
    let mut later = Talk::restore(&alice.snapshot(&storage_key(), 0), &storage_key(), &alice.subject(), 0).unwrap();
    later.decrypt(&bob.encrypt(&TEXT, rng).unwrap()).unwrap();
    let pools = [&mut alice, &mut later].map(|from| (0..POOL).map(|_| from.encrypt(&TEXT, rng).unwrap()).collect());
    (bob, pools)
}

/// A message that would be the next for the second end to open, with the first or the last byte of a part altered.
fn altered<P: Subject>(subject: P, seed: u64, part: [usize; 2], revealed: impl Fn(&P, &[u8]) + 'static) -> Case {
    let mut rng = rng(seed);
    let (mut bob, [current, _]) = receiver(subject.clone(), &mut rng);
    let genuine = current[0].clone();
    subject.revealed(&genuine[part[0]..part[1]]);
    Case {
        prepare: Box::new(move |class, input| {
            input.extend(&genuine);
            alter_end(&mut input[part[0]..part[1]], class, &mut rng);
        }),
        operation: Box::new(move |input| {
            revealed(&subject, input);
            bob.decrypt_in_place(input, b"").is_ok()
        }),
        opens: false,
    }
}

fn commitment<P: Subject>(subject: P, seed: u64) -> Case {
    altered(subject, seed, COMMITMENT, |subject, input| subject.revealed(&input[COMMITMENT[0]..COMMITMENT[1]]))
}

fn header_tag<P: Subject>(subject: P, seed: u64) -> Case {
    altered(subject, seed, [BODY - TAG_LEN, BODY], |_, _| ())
}

fn body_tag<P: Subject>(subject: P, seed: u64) -> Case {
    let len = BODY + PADDED_TEXT_LEN;
    altered(subject, seed, [len, len + TAG_LEN], |_, _| ())
}

/// A commitment that differs in its last byte from that of the current header key, or from that of the next one. It is
/// refused after both keys were tried.
fn near_miss<P: Subject>(subject: P, seed: u64) -> Case {
    let mut rng = rng(seed);
    let (mut bob, pools) = receiver(subject.clone(), &mut rng);
    Case {
        prepare: Box::new(move |class, input| {
            input.extend(one_of(&pools[class], &mut rng));
            alter(&mut input[COMMITMENT[1] - 1], &mut rng);
        }),
        operation: Box::new(move |input| {
            subject.revealed(&input[COMMITMENT[0]..COMMITMENT[1]]);
            bob.decrypt_in_place(input, b"").is_ok()
        }),
        opens: false,
    }
}

/// A genuine header of the current chain or of the next one, with an altered body.
fn which_key<P: Subject>(subject: P, seed: u64) -> Case {
    let mut rng = rng(seed);
    let (mut bob, pools) = receiver(subject, &mut rng);
    Case {
        prepare: Box::new(move |class, input| {
            input.extend(&pools[class][0]);
            alter(input.last_mut().unwrap(), &mut rng);
        }),
        operation: Box::new(move |input| bob.decrypt_in_place(input, b"").is_ok()),
        opens: false,
    }
}

/// Messages in order, with the longest and the shortest text of one padded length.
fn padding<P: Subject>(subject: P, seed: u64) -> Case {
    let mut rng = rng(seed);
    let (mut alice, mut bob) = ends(subject, &mut rng);
    let lens = [LONGEST, LONGEST - 255];
    let text = [0x6E; LONGEST];
    let padded_len = alice.message_len(&text).unwrap();
    assert_eq!(lens.map(|len| alice.message_len(&text[..len])), [Some(padded_len); 2], "one padded length");
    assert_ne!(alice.message_len(&text[..lens[1] - 1]), Some(padded_len), "the shortest of it");
    assert_ne!(alice.message_len(&[0x6E; LONGEST + 1]), Some(padded_len), "the longest of it");
    Case {
        prepare: Box::new(move |class, input| {
            input.resize(padded_len, 0);
            alice.encrypt_into(&text[..lens[class]], input, &mut rng).unwrap();
        }),
        operation: Box::new(move |input| bob.decrypt_in_place(input, b"").is_ok()),
        opens: true,
    }
}

/// A session's snapshot, and whose it is.
fn snapshot(rng: &mut ChaCha20Rng) -> (Vec<u8>, Owner) {
    let session = ends(RustCrypto, rng).0;
    (session.snapshot(&storage_key(), 1), session.subject())
}

fn restore<P: Subject>(subject: &P, snapshot: &mut [u8], owner: &Owner) -> bool {
    Talk::restore_in_place(subject.clone(), snapshot, &storage_key(), owner, 1).is_ok()
}

fn snapshot_tag<P: Subject>(subject: P, seed: u64) -> Case {
    let mut rng = rng(seed);
    let (genuine, owner) = snapshot(&mut rng);
    let tag = genuine.len() - TAG_LEN;
    subject.revealed(&genuine[tag..]);
    Case {
        prepare: Box::new(move |class, input| {
            input.extend(&genuine);
            alter_end(&mut input[tag..], class, &mut rng);
        }),
        operation: Box::new(move |input| restore(&subject, input, &owner)),
        opens: false,
    }
}

/// The key under which a snapshot with that salt is sealed: spec/protocol.md SN-1.
fn snapshot_key(salt: &[u8]) -> (Secret<32>, [u8; 12]) {
    let mut material = [0; 44];
    RustCrypto.hkdf_expand(&Secret::new([9; 32]), &[b"noescrow-v1 snapshot seal", salt], &mut material);
    (Secret::new(material[..32].try_into().unwrap()), material[32..].try_into().unwrap())
}

/// What the seal covers: the head, the subject without its kind, and no name of a row.
fn covered(head: &[u8], owner: &Owner) -> Vec<u8> {
    [head, &owner.to_bytes()[1..], &[0; 9]].concat()
}

/// A snapshot, the state sealed in it, and whose it is.
fn opened_snapshot(rng: &mut ChaCha20Rng) -> (Vec<u8>, Vec<u8>, Owner) {
    let (genuine, owner) = snapshot(rng);
    let (head, rest) = genuine.split_at(SALT[1]);
    let (state, tag) = rest.split_last_chunk().unwrap();
    let mut state = state.to_vec();
    let (key, nonce) = snapshot_key(&head[SALT[0]..]);
    RustCrypto.open(&key, &nonce, &covered(head, &owner), &mut state, tag).unwrap();
    (genuine, state, owner)
}

/// Seals a state under the salt in front of it, which may differ from the state's own salt.
fn seal_again(snapshot: &mut [u8], state: &[u8], owner: &Owner) {
    let (head, rest) = snapshot.split_at_mut(SALT[1]);
    let (sealed, tag) = rest.split_last_chunk_mut().unwrap();
    sealed.copy_from_slice(state);
    let (key, nonce) = snapshot_key(&head[SALT[0]..]);
    *tag = RustCrypto.seal(&key, &nonce, &covered(head, owner), sealed).unwrap();
}

/// A snapshot sealed under a salt that is not the state's. Making one requires the storage key.
fn snapshot_commitment<P: Subject>(subject: P, seed: u64) -> Case {
    let mut rng = rng(seed);
    let (genuine, state, owner) = opened_snapshot(&mut rng);
    Case {
        prepare: Box::new(move |class, input| {
            input.extend(&genuine);
            alter_end(&mut input[SALT[0]..SALT[1]], class, &mut rng);
            seal_again(input, &state, &owner);
        }),
        operation: Box::new(move |input| {
            subject.revealed(&input[SALT[0]..SALT[1]]);
            restore(&subject, input, &owner)
        }),
        opens: false,
    }
}

/// The salt is altered in place, so that the tag is wrong; or the state is sealed again under it, so that only the salt
/// is wrong.
fn which_check<P: Subject>(subject: P, seed: u64) -> Case {
    let mut rng = rng(seed);
    let (genuine, state, owner) = opened_snapshot(&mut rng);
    Case {
        prepare: Box::new(move |class, input| {
            input.extend(&genuine);
            alter(&mut input[SALT[0]], &mut rng);
            if class == 1 {
                seal_again(input, &state, &owner);
            }
        }),
        operation: Box::new(move |input| restore(&subject, input, &owner)),
        opens: false,
    }
}

/// A genuine ciphertext or an altered one, followed by the beginning of the genuine one for a leaky variant.
fn ciphertexts(rng: &mut ChaCha20Rng, encapsulate: impl Fn(&Secret<32>) -> Vec<u8>) -> Prepare {
    let pool: Vec<_> = (0..POOL).map(|_| encapsulate(&Secret::new(random(rng)))).collect();
    let mut rng = ChaCha20Rng::from_seed(random(rng));
    Box::new(move |class, input| {
        let genuine = one_of(&pool, &mut rng);
        input.extend(genuine);
        input.extend(&genuine[..BEGINNING]);
        // Drawn for both classes, so that preparation is the same.
        let at = rng.next_u32() as usize % BEGINNING;
        let mut altered = genuine[at];
        alter(&mut altered, &mut rng);
        input[at] = [genuine[at], altered][class];
    })
}

fn decapsulate<P: Subject>(subject: P, seed: u64) -> Case {
    let mut rng = rng(seed);
    let key: [u8; KEM_SEED_LEN] = random(&mut rng);
    let public: [u8; KEM_PUBLIC_LEN] = RustCrypto.kem_public(&Secret::new(key));
    Case {
        prepare: ciphertexts(&mut rng, move |coins| RustCrypto.encapsulate(&public, coins).0.to_vec()),
        operation: Box::new(move |input| {
            let (ciphertext, genuine) = input.split_first_chunk::<KEM_CIPHERTEXT_LEN>().unwrap();
            subject.revealed(genuine);
            black_box(subject.decapsulate(&Secret::new(key), ciphertext));
            true
        }),
        opens: true,
    }
}

fn incremental_decapsulate<P: Subject>(subject: P, seed: u64) -> Case {
    let mut rng = rng(seed);
    let key: [u8; KEM_SEED_LEN] = random(&mut rng);
    let (header, vector) = RustCrypto.incremental_public(&Secret::new(key));
    Case {
        prepare: ciphertexts(&mut rng, move |coins| {
            let (ct1, _) = RustCrypto.encaps1(&header, coins);
            let ct2 = RustCrypto.encaps2(&header, &vector, coins).unwrap();
            [&ct1[..], &ct2].concat()
        }),
        operation: Box::new(move |input| {
            let (ct1, rest) = input.split_first_chunk::<CT1_LEN>().unwrap();
            let (ct2, genuine) = rest.split_first_chunk::<CT2_LEN>().unwrap();
            subject.revealed(genuine);
            black_box(subject.incremental_decapsulate(&Secret::new(key), ct1, ct2));
            true
        }),
        opens: true,
    }
}

/// A first message with an altered KEM ciphertext, or with an altered sealed identity. The identity opens in neither.
fn first_message<P: Subject>(subject: P, seed: u64) -> Case {
    type Owner<P> = device::Device<P, Capacity<4, 4>>;
    let mut rng = rng(seed);
    let alice = Owner::generate_with(RustCrypto, NOW, &mut rng);
    let mut bob = Box::new(Owner::generate_with(subject.clone(), NOW, &mut rng));
    let mut published = bob.publish(1, NOW, &mut rng).unwrap();
    let bundle = Bundle::new(published.identity, published.signed_prekey, published.one_time_prekeys.pop()).unwrap();
    let (_, genuine) = alice.initiate(bundle, &TEXT, InitiateOptions::unverified(NOW), &mut rng).unwrap();
    subject.revealed(&genuine[KEM_CIPHERTEXT..KEM_CIPHERTEXT + BEGINNING]);
    Case {
        prepare: Box::new(move |class, input| {
            input.extend(&genuine);
            let at = [SEALED_IDENTITY, KEM_CIPHERTEXT][class] + rng.next_u32() as usize % BEGINNING;
            alter(&mut input[at], &mut rng);
        }),
        operation: Box::new(move |input| bob.accept_in_place::<Heap>(input, b"").is_ok()),
        opens: false,
    }
}
