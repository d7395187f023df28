// SPDX-License-Identifier: MIT OR Apache-2.0
//! Only the crate chooses the containers of a device's keys.
#[derive(Debug)]
struct Boundless;

impl noescrow::device::Capacities for Boundless {
    const ONE_TIME_PREKEYS: usize = usize::MAX;
    const REPLAY_RECORD: usize = usize::MAX;
    const PREVIOUS_SIGNED_PREKEYS: usize = 0;
}

fn main() {}
