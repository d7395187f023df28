// SPDX-License-Identifier: MIT OR Apache-2.0
//! The same scenarios, with a store and a server whose operations are futures; and what only futures can do.

use super::{disk, hub, shared, user, waiting};
use counterpart::Stored;

#[path = "answers.rs"]
mod answers;
#[path = "cancelled.rs"]
mod cancelled;
#[path = "counterpart.rs"]
mod counterpart;
#[path = "exchange.rs"]
mod exchange;
#[path = "exchanges.rs"]
mod exchanges;
#[path = "kept.rs"]
mod kept;
#[path = "receiving.rs"]
mod receiving;
