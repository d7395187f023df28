// SPDX-License-Identifier: MIT OR Apache-2.0
use noescrow::messenger::Stored;
use noescrow::messenger::exchange::Connected;

fn connected<'a, V, S>(stored: &'a mut Stored<S>, server: &'a mut V) -> Connected<'a, V, S> {
    Connected { stored, server }
}

fn main() {}
