// SPDX-License-Identifier: MIT OR Apache-2.0
//! The messenger layer, as an application sees it: which session a message belongs to, on which one to send, what is
//! refused and what to do about it. Each claim has a control.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::duplicate_mod,
    dead_code,
    unreachable_pub,
    reason = "a test states its expectations"
)]

#[path = "messenger/asynchronous.rs"]
mod asynchronous;
#[path = "messenger/blocking.rs"]
mod blocking;
#[path = "messenger/clock.rs"]
mod clock;
#[path = "messenger/demands.rs"]
mod demands;
#[path = "durable/disk.rs"]
mod disk;
#[path = "messenger/ending.rs"]
mod ending;
#[path = "messenger/hub.rs"]
mod hub;
#[path = "messenger/mailboxes.rs"]
mod mailboxes;
#[path = "messenger/rank.rs"]
mod rank;
#[path = "messenger/recovery.rs"]
mod recovery;
#[path = "messenger/refusals.rs"]
mod refusals;
#[path = "messenger/restored.rs"]
mod restored;
#[path = "messenger/rollback.rs"]
mod rollback;
#[path = "messenger/schedules.rs"]
mod schedules;
#[path = "messenger/sessions.rs"]
mod sessions;
#[path = "messenger/shared.rs"]
mod shared;
#[path = "messenger/strangers.rs"]
mod strangers;
#[path = "messenger/trust.rs"]
mod trust;
#[path = "messenger/user.rs"]
mod user;
#[path = "messenger/waiting.rs"]
mod waiting;
