# SPDX-License-Identifier: MIT OR Apache-2.0
"""Mutants that no input can tell from the client, each with the reason; and controls, which are the client in other words."""

from .kinds import Mutant

MUTANTS: list[Mutant] = []
CONTROLS = [
    Mutant("DR-D7.1", "the control: the same sum", "double.py", "return hmac(chain_key, b\"\\x02\"), hmac(chain_key, b\"\\x01\")", "ck, mk = hmac(chain_key, b\"\\x02\"), hmac(chain_key, b\"\\x01\")\n    return ck, mk"),
]
