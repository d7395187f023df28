// SPDX-License-Identifier: MIT OR Apache-2.0
use noescrow::prekeys::PrekeyPair;

fn main() {}
