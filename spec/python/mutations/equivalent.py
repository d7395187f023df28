# SPDX-License-Identifier: MIT OR Apache-2.0
"""Mutants that no input can tell from the client, each with the reason; and controls, which are the client in other words."""

from .kinds import Mutant

MUTANTS: list[Mutant] = [
    # E is then below 0, and every age above it: DR-D3.4 refuses with the same error.
    Mutant("BM-4", "epoch 0", "wire.py", "not 1 <= message.epoch <= labels.MAX_EPOCH", "not 0 <= message.epoch <= labels.MAX_EPOCH"),
    # DR-D1.1 refuses the same byte with the same error, after HS-R6.
    Mutant("HS-R1", "another first byte", "client.py", "or data[0] != FIRST:", "or False:"),
    # No send changes the sending epoch, and what a send adds is above it: there is nothing to retire.
    Mutant("SP-S1.2", "nothing is retired by sending", "sparse.py", "        self._fold(key)\n        self._retire()\n        # SP-S2", "        self._fold(key)\n        # SP-S2"),
    # Opening 0 has no receiving chain and sends: at step 0, SN-2.18 then wants A2B.
    Mutant("SN-2.15", "unanswered, of any direction", "stored_session.py", "            require(not is_dead)\n            require(triple.direction == A2B)\n", "            require(not is_dead)\n"),
]
CONTROLS = [
    Mutant("DR-D7.1", "the control: the same sum", "double.py", "return hmac(chain_key, b\"\\x02\"), hmac(chain_key, b\"\\x01\")", "ck, mk = hmac(chain_key, b\"\\x02\"), hmac(chain_key, b\"\\x01\")\n    return ck, mk"),
]
