# SPDX-License-Identifier: MIT OR Apache-2.0
"""What the scenarios share."""

from noescrow import braid, client, errors, stored_session
from peer import SIDES, Environment, RustSession

KEY = b"a storage key of 32 bytes, say. "
NOW = 50


class Mismatch(Exception):
    """The two sides do not agree."""


FAILURES = (Mismatch, errors.Refused, errors.Abandoned, braid.Failed)
"""Exceptions that a faulty implementation may cause; any other is a mistake of these scripts."""


def check(holds: bool, claim: str) -> None:
    if not holds:
        raise Mismatch(claim)


def refuses(action, claim: str, error: type[Exception] = errors.Refused) -> None:
    """Checks that `action` fails with exactly this error."""
    try:
        action()
    except (errors.Refused, errors.Abandoned) as refusal:
        check(type(refusal) is error, f"{claim}: {type(refusal).__name__} instead of {error.__name__}")
        return
    raise Mismatch(f"accepted: {claim}")


def other(side: str) -> str:
    return SIDES[1 - SIDES.index(side)]


def begin(env: Environment, initiator: str, one_time: bool = True, chunk: int = 32, responder: str | None = None):
    """Returns both sessions, the initiator's first, after one message each way, and the first message."""
    a, b = env.device(initiator), env.device(responder or other(initiator))
    ours, first = a.initiate(b.bundle(one_time, NOW), b"first", b"context", NOW, chunk)
    theirs, plaintext = b.accept(first, b"context")
    check(plaintext == b"first", "the first message opens")
    check(ours.decrypt(theirs.encrypt(b"reply")) == b"reply", "the reply opens")
    return ours, theirs, first


def talk(env: Environment, pair: list, epochs: int, loss: float, reach: int, before_delivery=None) -> int:
    """Sends messages with random senders, some lost, some overtaken by up to `reach` others, until both sides have
    reached `epochs` more post-quantum epochs. Returns how many arrived."""
    random, arrived, number = env.random, 0, 0
    goal = min(session.epoch() for session in pair) + epochs
    queues: list[list[tuple[bytes, bytes, bytes]]] = [[], []]
    while True:
        number += 1
        check(number < 4_000, "epochs pass")
        sender = random.randrange(2)
        plaintext, ad = random.randbytes(random.choice([0, 1, 5, 31, 32, 100, 1000])), random.randbytes(number % 3)
        queues[sender].append((pair[sender].encrypt(plaintext, ad), plaintext, ad))
        for receiver in (0, 1):
            queue = queues[1 - receiver]
            while len(queue) > reach or (queue and random.random() < 0.5):
                message, plaintext, ad = queue.pop(random.randrange(len(queue)))
                if random.random() < loss:
                    continue
                if before_delivery:
                    before_delivery(receiver, message, ad)
                check(pair[receiver].decrypt(message, ad) == plaintext, f"message {number} opens")
                arrived += 1
        if number % 8 == 0 and min(session.epoch() for session in pair) >= goal:
            return arrived


def flipped(data: bytes, at: int, bit: int = 1) -> bytes:
    changed = bytearray(data)
    changed[at] ^= bit
    return bytes(changed)


def restored(rust: RustSession) -> client.Session:
    stored = rust.snapshot(KEY, 1)
    return stored_session.restore_session(stored, KEY, stored.subject)
