// SPDX-License-Identifier: MIT OR Apache-2.0
//! A cache, per thread, of what an exploration computes: the same inputs always give the same bytes.

use crate::handshake_sim::Owner;
use noescrow::Secret;
use noescrow::hazmat::{self, Call, Intercept, Intercepted};
use noescrow::primitives::{CT1_LEN, EK_HEADER_LEN, EK_VECTOR_LEN, Primitives, RustCrypto};
use noescrow::session::Session;
use noescrow::skipped::Inline;
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
            ledger.ingest_recomputed(operation, outcome);
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
    let session = hazmat::session_from_state::<TrustingPrimitives, Store>(Intercepted::new(Trusting), state).ok()?;
    Some(hazmat::session_with_primitives(session, primitives))
}

/// Restores a device from a stored state, with primitives that record.
pub(crate) fn restore_device<P: Primitives>(primitives: P, state: &[u8]) -> Option<Owner<P>> {
    let device: Owner<TrustingPrimitives> = hazmat::device_from_state(Intercepted::new(Trusting), state).ok()?;
    Some(hazmat::device_with_primitives(device, primitives))
}

/// The default primitives, intercepted by [`Trusting`].
type TrustingPrimitives = Intercepted<Trusting>;

/// For states that this exploration stored itself: what was checked once is not checked at every return, and what
/// follows from a key is not computed at each.
#[derive(Clone, Copy, Debug)]
struct Trusting;

impl Intercept for Trusting {
    fn intercept(&self, primitives: &RustCrypto, call: &mut Call<'_>) {
        match call {
            Call::DhPublic { secret, public } => {
                **public = once(b"dh_public", &[secret.expose()], || primitives.dh_public(secret));
            }
            Call::DhIsTorsionFree { verdict, .. } | Call::SigningIsTorsionFree { verdict, .. } => **verdict = true,
            Call::SigningPublic { seed, public } => {
                **public = once(b"signing_public", &[seed.expose()], || primitives.signing_public(seed));
            }
            Call::Sign { seed, message, signature } => {
                **signature = once(b"sign", &[seed.expose(), message], || primitives.sign(seed, message));
            }
            Call::Verify { verdict, .. } => **verdict = Ok(()),
            Call::IncrementalPublic { seed, output } => {
                let both: [u8; EK_HEADER_LEN + EK_VECTOR_LEN] = once(b"incremental_public", &[seed.expose()], || {
                    let (header, ek_vector) = primitives.incremental_public(seed);
                    joined(&header, &ek_vector)
                });
                **output = parted(&both);
            }
            Call::Encaps1 { header, coins, output } => {
                let both: [u8; CT1_LEN + 32] = once(b"encaps1", &[*header, coins.expose()], || {
                    let (ct1, shared) = primitives.encaps1(header, coins);
                    joined(&ct1, shared.expose())
                });
                let (ct1, shared) = parted(&both);
                **output = (ct1, Secret::new(shared));
            }
            _ => call.perform(primitives),
        }
    }
}
