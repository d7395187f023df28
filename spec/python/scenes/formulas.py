# SPDX-License-Identifier: MIT OR Apache-2.0
"""Formulas that no message shows: CX-1, LG-1, LG-2, RT-1 and AV-2."""

import forge
from stage import Stage, _source

from .chains import begin


def formulas() -> Stage:
    """Encodings and hints on which two implementations must agree, or which they compute for themselves."""
    stage, a, b = begin("formulas", "Associated data (CX-1), logins (LG-1), access keys (LG-2), expected tags (RT-1), and how far a message skips (AV-2).")
    for names in ((b"alice", b"bob", b"group"), (b"", b"", b""), (b"alic", b"ebob", b"group"), (b"a" * 300, b"", b"c")):
        stage.play("context", sender=names[0], recipient=names[1], conversation=names[2], why="CX-1")
    for device in ("Alice", "Bob"):
        stage.play("login", device=device, challenge=bytes(range(32)), why="LG-1")
    for key in (bytes(32), bytes(range(32))):
        stage.play("access", access_key=key, why="LG-2")

    def tags(session: str, why: str) -> None:
        stage.play("tags", session=session, why=f"RT-1: {why}")

    def peek(session: str, message, why: str, refused: str | None = None) -> None:
        stage.play("peek", refused, f"AV-2: {why}", session=session, **_source(message))

    for session in (a, b):
        tags(session, "after the first answer")
    tags(stage.pair("Fresh", answered=False)[0], "nothing was received: RT-1.2 alone")
    lost = [stage.send(a, b"lost") for _ in range(2)]
    late = stage.send(a)
    peek(b, late, "3 of the current or a new chain")
    stage.deliver(b, late)
    tags(b, "RT-1.1: kept keys of the current step")
    peek(b, lost[0], "overtaken: 0")
    peek(b, late, "an n whose key is gone", "key gone")
    stage.pass_on(b, a)
    stage.send(a, b"lost at the head")
    head = stage.send(a, b"the second of a new chain")
    peek(b, head, "one of a new chain")
    stage.deliver(b, head)
    tags(b, "RT-1.3: kept keys of an earlier step")
    peek(b, lost[1], "of an earlier chain: 0")
    sender = stage.session(a)
    for ec, pq, why in ((0, 0, "the next"), (5, 5, "5 in both"), (5, 9, "9 in the sparse chain"), (9, 5, "9 in the Double Ratchet"), (30_000, 30_000, "more than MAX_JUMP")):
        peek(b, forge.message(sender, stage.rng, ec_skip=ec, pq_skip=pq), why)
    peek(b, forge.message(sender, stage.rng, pq_skip=50_001), "SP-R1.2 is checked", "too many skipped")
    stage.pass_on(b, a)
    for end, why in ((3, "the end of the chain before"), (25_000, "the longest end"), (25_001, "an end that is given up is not counted")):
        lengthen = lambda ratchet: setattr(ratchet.double.sending, "previous_chain_length", ratchet.double.sending.previous_chain_length + end)
        peek(b, forge.message(stage.session(a), stage.rng, spoil=lengthen, ec_skip=2), why)
    peek(b, forge.flipped(bytes.fromhex(head["message"]), 40), "a forgery", "refused")
    for server, account in ((b"https://chat.example", b"bob"), (b"https://chat.exampleb", b"ob"), (b"", b"")):
        stage.play("challenge", server=server, account=account, nonce=bytes(range(32)), why="LG-1.2")
    return stage


ALL = [formulas]
