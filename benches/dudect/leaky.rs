// SPDX-License-Identifier: MIT OR Apache-2.0
//! Leaky variants of the default primitives, each with one common mistake.
//!
//! A variant takes the time that its mistake would take, and gives the right answer: it therefore runs in the same
//! protocol and under the same measurement as the default primitives. The value with which the mistake would compare is
//! not an input of the operation; [`Subject::revealed`] sets it.

use noescrow::hazmat::{Call, Intercept, Intercepted};
use noescrow::primitives::{Primitives, RustCrypto};
use std::cell::{Cell, RefCell};
use std::hint::black_box;
use std::rc::Rc;

/// Bytes of a header's key, nonce and commitment, and where the commitment begins.
const HEADER_MATERIAL_LEN: usize = 60;
const COMMITMENT_AT: usize = 44;
/// Shorter texts are headers and identities, which have no padding.
const SHORTEST_PADDED: usize = 1 << 10;

/// What is measured: the default primitives, or a leaky variant.
pub trait Subject: Primitives + 'static {
    /// Sets the value with which a leaky variant compares; the default primitives ignore it.
    #[inline(always)]
    fn revealed(&self, value: &[u8]) {
        let _ = value;
    }
}

impl Subject for RustCrypto {}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leak {
    /// The comparison of a commitment stops at the first difference.
    Commitment,
    /// A key whose commitment has the right first bytes is taken for the right one: no other key is tried.
    Trial,
    /// The comparison of a tag stops at the first difference.
    Tag,
    /// Padding is searched from the end until the marker is found.
    Padding,
    /// The comparison of a snapshot's salt stops at the first difference.
    Salt,
    /// The secret of implicit rejection is computed only if a ciphertext is rejected.
    Rejection,
}

/// The default primitives, intercepted by a [`Leaking`].
pub type Leaky = Intercepted<Leaking>;

/// Adds a leak.
#[derive(Clone)]
pub struct Leaking {
    pub leak: Leak,
    revealed: Rc<RefCell<Vec<u8>>>,
    /// Whether a header's key counts as found.
    found: Rc<Cell<bool>>,
}

impl Leaking {
    /// The default primitives with `leak`.
    pub fn primitives(leak: Leak) -> Leaky {
        Intercepted::new(Self { leak, revealed: Rc::default(), found: Rc::default() })
    }

    fn compare(&self, value: &[u8]) {
        early_exit(value, &self.revealed.borrow());
    }

    fn reject(&self, ciphertext: &[u8]) {
        let revealed = self.revealed.borrow();
        if !ciphertext.starts_with(&revealed) {
            black_box(RustCrypto.sha512(&[ciphertext]));
        }
    }
}

impl Subject for Leaky {
    fn revealed(&self, value: &[u8]) {
        let mut revealed = self.revealed.borrow_mut();
        revealed.clear();
        revealed.extend_from_slice(value);
        self.found.set(false);
    }
}

/// Byte by byte; the barrier keeps it a loop.
fn early_exit(ours: &[u8], theirs: &[u8]) {
    for (ours, theirs) in ours.iter().zip(theirs) {
        if black_box(ours) != theirs {
            return;
        }
    }
}

fn look_for_marker(padded: &[u8]) {
    let mut end = padded.len();
    while end > 0 && padded[end - 1] == 0 {
        end = black_box(end - 1);
    }
}

impl Intercept for Leaking {
    fn intercept(&self, primitives: &RustCrypto, call: &mut Call<'_>) {
        match (self.leak, &*call) {
            (Leak::Rejection, Call::Decapsulate { ciphertext, .. }) => self.reject(*ciphertext),
            (Leak::Rejection, Call::IncrementalDecapsulate { ct1, .. }) => self.reject(*ct1),
            (Leak::Tag, Call::Open { tag, .. }) => self.compare(*tag),
            (_, Call::HkdfExpand { out, .. }) if out.len() == HEADER_MATERIAL_LEN && self.found.get() => return,
            _ => {}
        }
        call.perform(primitives);
        match (self.leak, call) {
            (Leak::Salt, Call::Hmac { mac, .. }) => self.compare(mac.expose()),
            (Leak::Commitment, Call::HkdfExpand { out, .. }) if out.len() == HEADER_MATERIAL_LEN => {
                self.compare(&out[COMMITMENT_AT..]);
            }
            (Leak::Trial, Call::HkdfExpand { out, .. }) if out.len() == HEADER_MATERIAL_LEN => {
                self.found.set(self.revealed.borrow().starts_with(&out[COMMITMENT_AT..][..4]));
            }
            (Leak::Padding, Call::Open { buffer, verdict: Ok(()), .. }) if buffer.len() >= SHORTEST_PADDED => {
                look_for_marker(buffer);
            }
            _ => {}
        }
    }
}
