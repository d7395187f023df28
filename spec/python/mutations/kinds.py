# SPDX-License-Identifier: MIT OR Apache-2.0
"""What a mutant is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    rule: str
    name: str
    """What it does instead."""
    file: str
    """A module of the client."""
    old: str
    """Text that the module has once."""
    new: str


def of(file: str, *entries: tuple[str, str, str, str]) -> list[Mutant]:
    """Mutants of one module: rule, name, old text, new text."""
    return [Mutant(rule, name, file, old, new) for rule, name, old, new in entries]
