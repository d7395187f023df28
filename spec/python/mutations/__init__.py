# SPDX-License-Identifier: MIT OR Apache-2.0
"""Mutants of the client: for each a rule of the document and a replacement of text that breaks it."""

from .kinds import Mutant
from . import bundles, equivalent, formulas, handshake, keys, policy, ratchets, states

ALL: list[Mutant] = [*keys.MUTANTS, *handshake.MUTANTS, *ratchets.MUTANTS, *states.MUTANTS, *policy.MUTANTS, *bundles.MUTANTS, *formulas.MUTANTS]
EQUIVALENT: list[Mutant] = equivalent.MUTANTS
CONTROLS: list[Mutant] = equivalent.CONTROLS

__all__ = ["ALL", "CONTROLS", "EQUIVALENT", "Mutant"]
