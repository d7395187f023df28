// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Recorder`]: primitives that record the keys under which message bodies are sealed.

use noescrow::hazmat::{Call, Intercept, Intercepted};
use noescrow::primitives::RustCrypto;
use std::cell::{Cell, RefCell};

thread_local! {
    static STEP: Cell<&'static str> = const { Cell::new("") };
    /// Key and nonce of the last body that was sealed on this thread, by whichever session.
    static LAST_BODY_KEY: RefCell<Option<BodyKey>> = const { RefCell::new(None) };
}

pub type BodyKey = ([u8; 32], [u8; 12]);

/// Records under which key a body is sealed. Its log is the thread's, because `Durable::restore` makes new primitives.
#[derive(Clone, Copy, Default)]
pub struct BodyKeyLog;

/// The default primitives, with a [`BodyKeyLog`].
pub type Recorder = Intercepted<BodyKeyLog>;

impl Intercept for BodyKeyLog {
    fn step(&self, label: &'static str) {
        STEP.set(label);
    }

    fn intercept(&self, primitives: &RustCrypto, call: &mut Call<'_>) {
        if let Call::Seal { key, nonce, .. } = call
            && STEP.get() == "DR-E4"
        {
            LAST_BODY_KEY.replace(Some((*key.expose(), **nonce)));
        }
        call.perform(primitives);
    }
}

pub fn last_body_key() -> BodyKey {
    LAST_BODY_KEY.take().unwrap()
}
