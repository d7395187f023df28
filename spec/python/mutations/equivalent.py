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
    # Marking does not read the budget, and counting does not read the marks.
    Mutant("PP-1.4", "counts before it marks", "policy.py", "        self._mark(set(server_has[: labels.LISTED]))\n        self._count()\n", "        self._count()\n        self._mark(set(server_has[: labels.LISTED]))\n"),
    # A quarter of 400 is 100, and no device keeps more.
    Mutant("PP-C2", "a quarter, however many", "policy.py", "return min(labels.AT_SERVER, -(-self.stored // 4))", "return -(-self.stored // 4)"),
    # Maintain has deleted what is due, and only Maintain asks.
    Mutant("PP-5.3", "the oldest may be due", "policy.py", "has_space = len(self.previous) < self.bounds.previous or any(map(self._is_over, self.previous))", "has_space = len(self.previous) < self.bounds.previous"),
]
CONTROLS = [
    Mutant("DR-D7.1", "the control: the same sum", "double.py", "return hmac(chain_key, b\"\\x02\"), hmac(chain_key, b\"\\x01\")", "ck, mk = hmac(chain_key, b\"\\x02\"), hmac(chain_key, b\"\\x01\")\n    return ck, mk"),
]
