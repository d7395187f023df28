// SPDX-License-Identifier: MIT OR Apache-2.0
//! A cache, per thread, of what an exploration computes: the same inputs always give the same bytes.

use crate::handshake_sim::Owner;
use noescrow::Inline;
use noescrow::Secret;
use noescrow::hazmat;
use noescrow::primitives::{Failed, Primitives, RustCrypto};
use noescrow::session::Session;
use noescrow_audit::engine::{Ledger, Recomputed, recompute};
use noescrow_audit::{Tape, TraceError, TraceReader};
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::thread_local;

/// A store with room for as many skipped keys as there are messages, so that none is evicted within the bounds.
pub(crate) type Store = Inline<16>;

type Key = [u8; 32];

thread_local! {
    /// The results of recomputing a tape's operations.
    static COMPUTED: RefCell<HashMap<Key, Rc<[Recomputed]>>> = RefCell::default();
    /// Attempts that were refused, by what was tried and on which state.
    static REFUSED: RefCell<HashSet<Key>> = RefCell::default();
    /// Values that follow from a key, by function, key and other inputs.
    static OF_KEYS: RefCell<HashMap<Key, Rc<[u8]>>> = RefCell::default();
    /// The results of operations on a session or device, by its state and the operation.
    static MADE: RefCell<HashMap<Key, Rc<Made>>> = RefCell::default();
}

/// The result of an operation: its output, the states after it if any, and what was recorded.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) output: Option<Vec<u8>>,
    pub(crate) session: Option<Vec<u8>>,
    pub(crate) device: Option<Vec<u8>>,
    pub(crate) tape: Vec<u8>,
}

/// The result of an operation: computed once for equal inputs.
pub(crate) fn made<E>(of: &[&[u8]], make: impl FnOnce() -> Result<Made, E>) -> Result<Rc<Made>, E> {
    let key = key(of.iter().copied());
    if let Some(made) = MADE.with_borrow(|known| known.get(&key).cloned()) {
        return Ok(made);
    }
    let made = Rc::new(make()?);
    MADE.with_borrow_mut(|known| known.insert(key, made.clone()));
    Ok(made)
}

fn key<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Key {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// Whether this is the first call in this thread with these parts.
pub(crate) fn is_new<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> bool {
    REFUSED.with_borrow_mut(|refused| refused.insert(key(parts)))
}

/// A value of `M` bytes that follows from a key: computed once for each function and its inputs.
fn once<const M: usize>(asked: &[u8], of: &[&[u8]], compute: impl FnOnce() -> [u8; M]) -> [u8; M] {
    let key = key([asked].into_iter().chain(of.iter().copied()));
    let known = OF_KEYS.with_borrow(|known| known.get(&key).cloned());
    if let Some(known) = known.as_deref().and_then(|known| known.try_into().ok()) {
        return known;
    }
    let computed = compute();
    OF_KEYS.with_borrow_mut(|known| known.insert(key, computed.as_slice().into()));
    computed
}

/// Adds what was recorded to a ledger, and recomputes each operation: once for equal tapes.
pub(crate) fn ingest(ledger: &mut Ledger, tape: &Tape) -> Result<(), TraceError> {
    ingest_bytes(ledger, &tape.bytes())
}

pub(crate) fn ingest_bytes(ledger: &mut Ledger, bytes: &[u8]) -> Result<(), TraceError> {
    let key = key([bytes]);
    let computed = match COMPUTED.with_borrow(|computed| computed.get(&key).cloned()) {
        Some(computed) => computed,
        None => {
            let mut outcomes = Vec::new();
            TraceReader::new(bytes)?.for_each(|operation| outcomes.push(recompute(operation)))?;
            let outcomes: Rc<[Recomputed]> = outcomes.into();
            COMPUTED.with_borrow_mut(|computed| computed.insert(key, outcomes.clone()));
            outcomes
        }
    };
    let mut outcomes = computed.iter();
    TraceReader::new(bytes)?.for_each(|operation| {
        if let Some(outcome) = outcomes.next() {
            ledger.take_computed(operation, outcome);
        }
    })?;
    Ok(())
}

fn joined<const A: usize, const B: usize, const M: usize>(a: &[u8; A], b: &[u8; B]) -> [u8; M] {
    let mut both = [0; M];
    both.iter_mut().zip(a.iter().chain(b)).for_each(|(to, from)| *to = *from);
    both
}

fn parted<const A: usize, const B: usize, const M: usize>(both: &[u8; M]) -> ([u8; A], [u8; B]) {
    let (mut a, mut b) = ([0; A], [0; B]);
    a.iter_mut().chain(&mut b).zip(both).for_each(|(to, from)| *to = *from);
    (a, b)
}

/// Restores a session from a stored state, with primitives that record.
pub(crate) fn restore<P: Primitives>(primitives: P, state: &[u8]) -> Option<Session<P, Store>> {
    let session = hazmat::session_from_state::<Trusting, Store>(Trusting, state).ok()?;
    Some(hazmat::session_with_primitives(session, primitives))
}

/// Restores a device from a stored state, with primitives that record.
pub(crate) fn restore_device<P: Primitives>(primitives: P, state: &[u8]) -> Option<Owner<P>> {
    let device: Owner<Trusting> = hazmat::device_from_state(Trusting, state).ok()?;
    Some(hazmat::device_with_primitives(device, primitives))
}

/// The default primitives for states that this exploration stored itself. They do not repeat checks at every restore,
/// and compute what follows from a key only once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trusting;

impl Primitives for Trusting {
    fn dh_public(&self, secret: &Secret<32>) -> [u8; 32] {
        once(b"dh_public", &[secret.expose()], || RustCrypto.dh_public(secret))
    }
    fn dh(&self, secret: &Secret<32>, public: &[u8; 32]) -> Result<Secret<32>, Failed> {
        RustCrypto.dh(secret, public)
    }
    fn dh_is_torsion_free(&self, _: &[u8; 32]) -> bool {
        true
    }
    fn signing_public(&self, seed: &Secret<32>) -> [u8; 32] {
        once(b"signing_public", &[seed.expose()], || RustCrypto.signing_public(seed))
    }
    fn sign(&self, seed: &Secret<32>, message: &[u8]) -> [u8; 64] {
        once(b"sign", &[seed.expose(), message], || RustCrypto.sign(seed, message))
    }
    fn signing_is_torsion_free(&self, _: &[u8; 32]) -> bool {
        true
    }
    fn verify(&self, _: &[u8; 32], _: &[u8], _: &[u8; 64]) -> Result<(), Failed> {
        Ok(())
    }
    fn kem_public(&self, seed: &Secret<64>) -> [u8; 1568] {
        RustCrypto.kem_public(seed)
    }
    fn kem_public_is_valid(&self, public: &[u8; 1568]) -> bool {
        RustCrypto.kem_public_is_valid(public)
    }
    fn encapsulate(&self, public: &[u8; 1568], coins: &Secret<32>) -> ([u8; 1568], Secret<32>) {
        RustCrypto.encapsulate(public, coins)
    }
    fn decapsulate(&self, seed: &Secret<64>, ciphertext: &[u8; 1568]) -> Secret<32> {
        RustCrypto.decapsulate(seed, ciphertext)
    }
    fn incremental_public(&self, seed: &Secret<64>) -> ([u8; 64], [u8; 1152]) {
        let both: [u8; 64 + 1152] = once(b"incremental_public", &[seed.expose()], || {
            let (header, ek_vector) = RustCrypto.incremental_public(seed);
            joined(&header, &ek_vector)
        });
        parted(&both)
    }
    fn encaps1(&self, header: &[u8; 64], coins: &Secret<32>) -> ([u8; 960], Secret<32>) {
        let both: [u8; 960 + 32] = once(b"encaps1", &[header, coins.expose()], || {
            let (ct1, shared) = RustCrypto.encaps1(header, coins);
            joined(&ct1, shared.expose())
        });
        let (ct1, shared) = parted(&both);
        (ct1, Secret::new(shared))
    }
    fn encaps2(&self, header: &[u8; 64], ek_vector: &[u8; 1152], coins: &Secret<32>) -> Result<[u8; 128], Failed> {
        RustCrypto.encaps2(header, ek_vector, coins)
    }
    fn incremental_decapsulate(&self, seed: &Secret<64>, ct1: &[u8; 960], ct2: &[u8; 128]) -> Secret<32> {
        RustCrypto.incremental_decapsulate(seed, ct1, ct2)
    }
    fn hmac(&self, key: &[u8], parts: &[&[u8]]) -> Secret<32> {
        RustCrypto.hmac(key, parts)
    }
    fn hmac_pair(&self, key: &Secret<32>, first: u8, second: u8) -> (Secret<32>, Secret<32>) {
        RustCrypto.hmac_pair(key, first, second)
    }
    fn hkdf(&self, salt: &[u8], ikm: &[&[u8]], info: &[&[u8]], out: &mut [u8]) {
        RustCrypto.hkdf(salt, ikm, info, out);
    }
    fn hkdf_expand(&self, prk: &Secret<32>, info: &[&[u8]], out: &mut [u8]) {
        RustCrypto.hkdf_expand(prk, info, out);
    }
    fn sha256(&self, parts: &[&[u8]]) -> [u8; 32] {
        RustCrypto.sha256(parts)
    }
    fn sha512(&self, parts: &[&[u8]]) -> [u8; 64] {
        RustCrypto.sha512(parts)
    }
    fn seal(&self, key: &Secret<32>, nonce: &[u8; 12], ad: &[u8], buffer: &mut [u8]) -> Result<[u8; 16], Failed> {
        RustCrypto.seal(key, nonce, ad, buffer)
    }
    fn open(
        &self,
        key: &Secret<32>,
        nonce: &[u8; 12],
        ad: &[u8],
        buffer: &mut [u8],
        tag: &[u8; 16],
    ) -> Result<(), Failed> {
        RustCrypto.open(key, nonce, ad, buffer, tag)
    }
}
