// SPDX-License-Identifier: MIT OR Apache-2.0
//! The scenarios of a stored messenger and of its exchange, with a store and a server that block.

use super::{disk, hub, shared, user};
use noescrow::messenger::Stored;

#[path = "answers.rs"]
mod answers;
#[path = "exchange.rs"]
mod exchange;
#[path = "exchanges.rs"]
mod exchanges;
#[path = "kept.rs"]
mod kept;
#[path = "receiving.rs"]
mod receiving;
