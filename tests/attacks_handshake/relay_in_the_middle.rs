// SPDX-License-Identifier: MIT OR Apache-2.0
//! B18, B20: values from the relay that enter a key. In Telegram's secret chats of 2013 a server nonce did, with which
//! the server could make both users' fingerprints equal over unequal keys; and the server's random bytes went into the
//! clients' generators.

#[path = "relay_in_the_middle/equal_fingerprints.rs"]
mod equal_fingerprints;
#[path = "relay_in_the_middle/key_origins.rs"]
mod key_origins;
#[path = "relay_in_the_middle/server_randomness.rs"]
mod server_randomness;
