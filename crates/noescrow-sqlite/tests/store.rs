// SPDX-License-Identifier: MIT OR Apache-2.0
//! The stores, blocking and asynchronous: every test of [`both`] is one body that runs on either. Each claim has a
//! control: a faulty store, or the same files without the measure.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    unreachable_pub,
    async_fn_in_trait,
    reason = "a test states its expectations"
)]

#[path = "store/advice.rs"]
mod advice;
#[path = "store/attachments.rs"]
mod attachments;
#[path = "store/backend.rs"]
#[macro_use]
mod backend;
#[path = "store/cancelled.rs"]
mod cancelled;
#[path = "store/concurrency.rs"]
mod concurrency;
#[path = "store/crash.rs"]
mod crash;
#[path = "store/deletion.rs"]
mod deletion;
#[path = "store/erasure.rs"]
mod erasure;
#[path = "store/failures.rs"]
mod failures;
#[path = "store/kill.rs"]
mod kill;
#[path = "store/mailboxes.rs"]
mod mailboxes;
#[path = "store/own_tables.rs"]
mod own_tables;
#[path = "store/party.rs"]
mod party;
#[path = "store/peer_data.rs"]
mod peer_data;
#[path = "store/restoring.rs"]
mod restoring;
#[path = "store/rollback.rs"]
mod rollback;
#[path = "store/schema.rs"]
mod schema;
#[path = "store/steps.rs"]
mod steps;
#[path = "store/stored.rs"]
mod stored;
