// SPDX-License-Identifier: MIT OR Apache-2.0
use noescrow::durable::SaveFailed;

fn send(failed: SaveFailed<'_, Vec<u8>, ()>) -> Vec<u8> {
    failed.unsaved
}

fn main() {}
