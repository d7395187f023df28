// SPDX-License-Identifier: MIT OR Apache-2.0
//! One test for each invariant of the design. Each has a control that shows that the test can fail.
//!
//! `Mock` counts operations and rewrites plaintexts before they are sealed; `Logged` records keys. Neither sees memory,
//! cycles or the allocator: other tests check wiping and constant time.

mod bounds;
mod errors;
mod keys;
mod observer;
