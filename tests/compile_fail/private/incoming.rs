// SPDX-License-Identifier: MIT OR Apache-2.0
use noescrow::ratchet::double::Incoming;

fn main() {}
