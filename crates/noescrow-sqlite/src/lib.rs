// SPDX-License-Identifier: MIT OR Apache-2.0
#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should"))]

// The tables, and what is in them.
mod messages;
mod peer_data;
mod schema;

// One transaction a step, and deletion.
mod database;
mod erasure;
mod part;
mod witness;

// The stores.
#[cfg(feature = "tokio")]
mod asynchronous;
mod attachments;
mod blocking;
mod error;
mod folder;
mod kept;
mod mailboxes;
mod options;

#[cfg(feature = "tokio")]
pub use asynchronous::AsyncSqliteStore;
pub use attachments::{ATTACHMENT_ID_LEN, Attachment};
pub use blocking::SqliteStore;
pub use error::{Error, advice};
pub use folder::Folder;
pub use kept::{ATTACHMENT_KEPT, MAX_RECEIVED_ATTACHMENTS};
pub use messages::{MESSAGE_ID_KEPT, message_id};
pub use noescrow::durable::{InboxMessage, MessageId, OutboxMessage};
pub use options::{Options, Synchronous};
pub use peer_data::{PeerData, PeerValue};
pub use rusqlite;
pub use schema::SCHEMA_VERSION;
pub use witness::{MARK_LEN, Mark, SideFile, Witness};
