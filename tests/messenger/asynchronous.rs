// SPDX-License-Identifier: MIT OR Apache-2.0
//! The same scenarios, with a store and a server whose operations are futures; and what only futures can do.

use super::{disk, hub, shared, user, waiting};
use twin::Stored;

#[path = "answers.rs"]
mod answers;
#[path = "cancelled.rs"]
mod cancelled;
#[path = "exchange.rs"]
mod exchange;
#[path = "exchanges.rs"]
mod exchanges;
#[path = "kept.rs"]
mod kept;
#[path = "receiving.rs"]
mod receiving;
#[path = "twin.rs"]
mod twin;
