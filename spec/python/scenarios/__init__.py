# SPDX-License-Identifier: MIT OR Apache-2.0
"""Conversations between this package and the Rust crate. Each returns the number of messages that it opened, and raises
one of `FAILURES` if the two do not agree."""

from . import handshakes, ratchets, states
from .common import FAILURES

ALL = [
    handshakes.handshakes,
    ratchets.epochs,
    states.states,
    ratchets.refusals,
    handshakes.first_messages,
    ratchets.jumps,
    ratchets.commitment,
    handshakes.keys,
    states.snapshots,
    handshakes.foreign,
    ratchets.abandonment,
    ratchets.bounds,
    ratchets.forgeries,
    ratchets.second_advance,
    states.invariants,
]

__all__ = ["ALL", "FAILURES"]
