// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Watched`]: a recorder's primitives that also report the current step. A refusal is at a step too, and most
//! refusals perform no operation, so that the trace does not have it.

use noescrow::hazmat::{Intercept, Intercepted};
use noescrow_recorder::Recorder;
use std::cell::Cell;
use std::rc::Rc;

pub type Watched = Intercepted<CurrentStep, Recorder>;

/// The step that was taken last, of all devices that share it.
#[derive(Clone)]
pub struct CurrentStep(pub Rc<Cell<&'static str>>);

impl Intercept<Recorder> for CurrentStep {
    fn step(&self, label: &'static str) {
        self.0.set(label);
    }
}
