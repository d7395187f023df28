# SPDX-License-Identifier: MIT OR Apache-2.0
"""Messages of the ratchets: loss, refusals, bounds, failures."""

import copy
from collections import Counter

import forge
import hostile
from noescrow import braid, errors
from peer import SIDES, Environment, PythonSession, RustSession

from .common import KEY, begin, check, flipped, refuses, restored, talk


def epochs(env: Environment) -> int:
    """Loss and reordering over three post-quantum epochs and more."""
    opened = 0
    for initiator, one_time, chunk in (
        ("rust", True, 32),
        ("python", False, 32),
        ("rust", False, 256),
        ("python", True, 256),
    ):
        ours, theirs, _ = begin(env, initiator, one_time, chunk)
        opened += talk(env, [ours, theirs], 3, 0.15, 4)
    return opened


def refusals(env: Environment) -> int:
    """Each side refuses what was tampered with, replayed, reflected, or belongs elsewhere, keeps its state, and then
    opens the right message."""
    opened = 0
    for side in SIDES:
        receiver, sender, first = begin(env, side)
        stranger, _, _ = begin(env, side)
        for mine in (b"", b"a longer message, whose padding is not empty"):
            message = sender.encrypt(mine, b"ad")
            before = receiver.snapshot(KEY, 1)
            # The outer byte, salt, commitment, header, its tag, body and tag.
            for at in (0, 1, 16, 17, 32, 33, 100, 116, 117, 132, 133, len(message) - 17, len(message) - 1):
                refuses(lambda: receiver.decrypt(flipped(message, at), b"ad"), f"a message whose byte {at} is wrong")
            refuses(lambda: receiver.decrypt(message[:-1], b"ad"), "a message cut short")
            refuses(lambda: receiver.decrypt(message + b"\0", b"ad"), "a message with an additional byte")
            refuses(lambda: receiver.decrypt(b"", b"ad"), "nothing")
            refuses(lambda: receiver.decrypt(message, b"da"), "other associated data")
            refuses(lambda: sender.decrypt(message, b"ad"), "a reflected message")
            refuses(lambda: stranger.decrypt(message, b"ad"), "another session's message")
            check(receiver.snapshot(KEY, 1) == before, "a refused message changes nothing")
            check(receiver.decrypt(message, b"ad") == mine, "the right message opens")
            refuses(lambda: receiver.decrypt(message, b"ad"), "a replayed message", errors.KeyGone)
            opened += 1
        refuses(lambda: receiver.decrypt(first, b"context"), "one's own handshake")
        refuses(lambda: sender.decrypt(first, b"context"), "the first message again", errors.KeyGone)
    return opened


def jumps(env: Environment) -> int:
    """MAX_JUMP reached, and exceeded by one; the keys that are kept."""
    opened = 0
    for side in SIDES:
        sender, receiver, _ = begin(env, "python", True, 256, responder=side)
        check(receiver.decrypt(sender.encrypt(b"")) == b"", "a chain begins")
        start = copy.deepcopy(sender.session)

        def at(number: int) -> bytes:
            return forge.message(start, env.random.randbytes, b"%d" % number, ec_skip=number, pq_skip=number)

        refuses(lambda: receiver.decrypt(at(25_001)), "a jump over 25,001", errors.TooManySkipped)
        check(receiver.decrypt(at(25_000)) == b"25000", "a jump over 25,000 opens")
        refuses(lambda: receiver.decrypt(at(22_999)), "a key that was not kept", errors.KeyGone)
        check(receiver.decrypt(at(23_000)) == b"23000", "the oldest of those kept opens")
        refuses(lambda: receiver.decrypt(at(23_000)), "it opens once", errors.KeyGone)
        opened += 2
    return opened


def commitment(env: Environment) -> int:
    """A header with a wrong commitment from its own sender is refused, although everything else fits it."""
    for side in SIDES:
        sender, receiver, _ = begin(env, "python", responder=side)
        message = forge.message(sender.session, env.random.randbytes, wrong_commitment=0)
        refuses(lambda: receiver.decrypt(message), "a header with another commitment")
        check(receiver.decrypt(sender.encrypt(b"next")) == b"next", "the next message opens")
    return 2


def abandonment(env: Environment) -> int:
    """If a MAC of the Braid does not verify, its message is returned and the session is over."""
    for side in SIDES:
        sender, receiver, _ = begin(env, "python", True, 256, responder=side)
        state = sender.session.triple.sparse.braid
        while not (isinstance(state.state, braid.Ct2Sampled) and state.state.issued == 0):
            check(receiver.decrypt(sender.encrypt(b"")) == b"", "opens")
            check(sender.decrypt(receiver.encrypt(b"")) == b"", "opens")
            state = sender.session.triple.sparse.braid
        state.state = braid.Ct2Sampled(flipped(state.state.ct2_and_mac, 159), state.state.issued)
        check(receiver.decrypt(sender.encrypt(b"last")) == b"last", "the message is returned")
        refuses(lambda: receiver.decrypt(sender.encrypt(b"")), "a message of an abandoned session", errors.Abandoned)
        refuses(lambda: receiver.encrypt(b""), "sending in an abandoned session", errors.Abandoned)
        data = receiver.snapshot(KEY, 1)
        for again in (receiver.restore(data, KEY), sender.restore(data, KEY)):
            check(again.snapshot(KEY, 1) == data, "an abandoned session is stored")
            refuses(lambda: again.encrypt(b""), "sending after a restart", errors.Abandoned)
    return 2


def bounds(env: Environment) -> int:
    """Kept keys at their bounds: how long a chain's keys are kept, which are evicted when there are too many. A Python
    replica of the receiver reaches the same states."""
    opened = 0

    def deliver(message: bytes, number: int) -> None:
        replica = PythonSession(None, None).restore(receiver.snapshot(KEY, 1), KEY)
        plaintexts = [session.decrypt(message) for session in (receiver, replica)]
        check(plaintexts == [b"%d" % number] * 2, f"message {number} opens on both sides")
        check(receiver.snapshot(KEY, 2) == replica.snapshot(KEY, 2), f"both states are the same after message {number}")

    def turn() -> None:
        check(sender.decrypt(receiver.encrypt(b"turn")) == b"turn", "a turn")

    sender, receiver, _ = begin(env, "rust", responder="rust")
    late = [sender.encrypt(b"0") for _ in range(3)]
    deliver(sender.encrypt(b"1"), 1)
    for step in range(1, 34):
        turn()
        deliver(sender.encrypt(b"2"), 2)
        if step == 32:
            deliver(late[0], 0)
            opened += 1
    refuses(lambda: receiver.decrypt(late[1]), "a message of the chain 33 steps back")
    opened += 34

    # Three jumps of a thousand: the oldest keys are evicted.
    sender, receiver, _ = begin(env, "rust", True, 256, "rust")
    skipped = []
    for _ in range(3):
        skipped += [sender.encrypt(b"%d" % i) for i in range(1_000)]
        deliver(sender.encrypt(b"1000"), 1_000)
        turn()
    for at in (0, 999):
        refuses(lambda: receiver.decrypt(skipped[at]), f"the evicted key {at}")
    for at in (1_000, 1_999, 2_999):
        deliver(skipped[at], at % 1_000)
    return opened + 6


def forgeries(env: Environment) -> int:
    """Authentic headers with wrong fields: the Rust session and a Python replica, restored from its snapshot, reach the
    same result and the same state, for several messages in a row."""
    rng, outcomes = env.random, Counter()
    for initiator, chunk in (("rust", 256), ("python", 256), ("rust", 32)):
        pair = list(begin(env, initiator, True, chunk)[:2])
        python, rust = sorted(pair, key=lambda session: isinstance(session, RustSession))
        past = []

        def before_delivery(receiver: int, message: bytes, ad: bytes) -> None:
            past.append(copy.deepcopy(python.session.triple))
            if pair[receiver] is not rust or rng.random() < 0.5:
                return
            stored = rust.snapshot(KEY, 1)
            one, two = rust.restore(stored, KEY), python.restore(stored, KEY)
            for _ in range(3):
                sender = rng.choice(past[-12:])
                forged = hostile.forge(sender, None, rng)
                ends = [hostile.outcome(lambda: session.decrypt(forged)) for session in (one, two)]
                check(ends[0] == ends[1], f"both reach the same result: {ends}")
                check(one.snapshot(KEY, 2) == two.snapshot(KEY, 2), f"both reach the same state after {ends[0]}")
                outcomes[ends[0]] += 1

        talk(env, pair, 5 if chunk == 256 else 1, 0.1, 5, before_delivery)
    for end in (b"forged", "Refused", "TooManySkipped", "KeyGone"):
        check(outcomes[end] > 0, f"some forgeries end in {end}")
    return sum(outcomes.values())


def second_advance(env: Environment) -> int:
    """A peer that never takes a new ratchet key: a message that would advance the sending epoch a second time within
    one of our chains is refused; if the Braid fails there, it does not advance, and the session is over."""
    sender, receiver, _ = begin(env, "python", True, 256, responder="rust")
    opened = 0
    check(receiver.decrypt(sender.encrypt(b"")) == b"", "a new chain")
    held = copy.deepcopy(sender.session.triple.double.sending)
    check(sender.decrypt(receiver.encrypt(b"")) == b"", "the answer's chain")
    # Back to the previous chain: the sender does not take the step that the answer made due.
    sender.session.triple.double.sending = held
    while not _is_about_to_answer(sender, receiver):
        check(receiver.decrypt(sender.encrypt(b"")) == b"", "opens")
        check(sender.decrypt(receiver.encrypt(b"")) == b"", "opens")
        opened += 2
    for is_genuine, end in ((True, "Refused"), (False, b"last")):
        forger = copy.deepcopy(sender)
        sending = forger.session.triple.sparse.braid
        if not is_genuine:
            sending.state = braid.Ct2Sampled(flipped(sending.state.ct2_and_mac, 159), 0)
        last = forger.encrypt(b"last")
        stored = receiver.snapshot(KEY, 1)
        for session in (receiver.restore(stored, KEY), sender.restore(stored, KEY)):
            check(hostile.outcome(lambda: session.decrypt(last)) == end, f"a second advance ends in {end}")
    return opened


def _is_about_to_answer(sender: PythonSession, receiver: RustSession) -> bool:
    """The sender's ct2 would be the second advance within the receiver's chain."""
    sending, receiving = sender.session.triple.sparse.braid, restored(receiver).triple
    due = isinstance(sending.state, braid.Ct2Sampled) and sending.state.issued == 0
    return due and receiving.double.sending.mixed_epoch < receiving.sparse.braid.sending_epoch
