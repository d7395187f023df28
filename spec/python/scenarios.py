# SPDX-License-Identifier: MIT OR Apache-2.0
"""Conversations between this package and the Rust crate. Each returns the number of messages that it opened, and raises
one of `FAILURES` if the two do not agree."""

import copy
from collections import Counter

import forge
import hostile
from noescrow import braid, client, curve, double, errors, identity, labels, primitives, snapshot
from peer import SIDES, Environment, PythonSession, RustSession, device_snapshot, session_snapshot

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


def handshakes(env: Environment) -> int:
    """Both roles, every chunk size, one-time and last-resort; safety numbers; prekeys that expired or were rotated."""
    opened = 0
    for initiator in SIDES:
        for chunk, one_time in ((32, True), (64, False), (128, True), (256, False)):
            ours, theirs, _ = begin(env, initiator, one_time, chunk)
            check(ours.id() == theirs.id(), "both have the same id")
            check(ours.digits() == theirs.digits(), "both read the same safety number")
            scanned = theirs.scan()
            check(ours.scan() == scanned[:1] + scanned[33:] + scanned[1:33], "each scans the other's")
            opened += 2
        a, b = env.device(initiator), env.device(other(initiator))
        bundle = b.bundle(True, NOW)
        late = NOW + labels.LIFETIME + 1
        refuses(lambda: a.initiate(bundle, b"", b"", late, 32), "an expired prekey", errors.Expired)
        for at in range(0, len(bundle), 97):
            wrong = flipped(bundle, at)
            refuses(lambda: a.initiate(wrong, b"", b"", 0, 32), f"a bundle whose byte {at} is wrong")
        a.initiate(bundle, b"", b"", late - 1, 32)
        bundle = b.bundle(False, NOW)
        b.rotate(NOW)
        _, first = a.initiate(bundle, b"late", b"", NOW, 32)
        later = [a.initiate(bundle, b"later", b"", NOW, 32)[1] for _ in range(2)]
        check(b.accept(first)[1] == b"late", "the previous signed prekey is accepted")
        for _ in range(14):
            b.rotate(NOW)
        check(b.accept(later[0])[1] == b"later", "the oldest of fifteen previous ones is accepted")
        b.rotate(NOW)
        refuses(lambda: b.accept(later[1]), "the signed prekey before those", errors.PrekeyGone)
        opened += 1
    return opened


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


def states(env: Environment) -> int:
    """A Python replica, restored from the Rust session's snapshot before each delivery, opens the same message: both
    then have the same state, byte for byte."""
    opened = 0
    for initiator, chunk, count, loss in (
        ("rust", 32, 2, 0.1),
        ("python", 32, 2, 0.0),
        ("rust", 256, 6, 0.2),
        ("python", 128, 4, 0.3),
    ):
        ours, theirs, _ = begin(env, initiator, True, chunk)
        pair, replicas = [ours, theirs], []

        def before_delivery(receiver: int, message: bytes, ad: bytes) -> None:
            replicas[:] = [None, None]
            if isinstance(pair[receiver], RustSession):
                replica = PythonSession(None, None).restore(pair[receiver].snapshot(KEY, 1), KEY)
                replica.decrypt(message, ad)
                replicas[receiver] = replica.snapshot(KEY, 2)

        rust = next(session for session in pair if isinstance(session, RustSession))
        decrypt = rust.decrypt

        def compared(message: bytes, ad: bytes = b"") -> bytes:
            plaintext = decrypt(message, ad)
            check(rust.snapshot(KEY, 2) == replicas[pair.index(rust)], "both states are the same")
            return plaintext

        rust.decrypt = compared
        opened += talk(env, pair, count, loss, 6, before_delivery)
    return opened


def flipped(data: bytes, at: int, bit: int = 1) -> bytes:
    changed = bytearray(data)
    changed[at] ^= bit
    return bytes(changed)


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


def first_messages(env: Environment) -> int:
    """The same for first messages and the device that accepts them."""
    return sum(_first_messages_to(env, side) for side in SIDES)


def _first_messages_to(env: Environment, side: str) -> int:
    for one_time, error in ((True, errors.PrekeyGone), (False, errors.Repeated)):
        a, b = env.device(other(side)), env.device(side)
        ours, first = a.initiate(b.bundle(one_time, NOW), b"first", b"", NOW, 32)
        second = ours.encrypt(b"second")
        before = b.snapshot(KEY, 1)
        gone = (1, 4, 9) if one_time else (1, 4)
        for at in (0, 1, 4, 9, 10, 42, 1000, 1610, 1611, 1700, 1755, 1756, 1772, 1800, 1900, len(first) - 1):
            error_there = errors.PrekeyGone if at in gone else errors.Refused
            refuses(lambda: b.accept(flipped(first, at)), f"a first message whose byte {at} is wrong", error_there)
        refuses(lambda: b.accept(flipped(first, 5, 2)), "the reserved flag")
        refuses(lambda: b.accept(second[:1756]), "a handshake alone")
        check(b.snapshot(KEY, 1) == before, "a refused handshake changes nothing")
        theirs, plaintext = b.accept(second)
        check(plaintext == b"second", "the message of the initiator that arrives first opens")
        refuses(lambda: b.accept(first), "the handshake again", error)
        check(theirs.decrypt(first) == b"first", "the session opens the one before")
        elsewhere = b.bundle(False, NOW)
        strange, _ = a.initiate(elsewhere, b"", b"", NOW, 32)
        refuses(lambda: theirs.decrypt(strange.encrypt(b"")), "another handshake, delivered to a session")
    return 4


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


def keys(env: Environment) -> int:
    """Public keys in another encoding, of low order or with a torsion component are refused, even with a genuine
    signature."""
    honest = primitives.dh_public
    shifted = forge.with_torsion(honest(b"\x07" * 32))
    bad = [bytes(32), (1).to_bytes(32, "little"), (curve.P - 1).to_bytes(32, "little")]
    bad += [u.to_bytes(32, "little") for u in sorted(curve.LOW_ORDER)]
    bad += [
        (curve.P + 9).to_bytes(32, "little"),
        flipped(honest(b"\x07" * 32), 31, 128),
        (2).to_bytes(32, "little"),
        shifted,
    ]
    for side in SIDES:
        a, owner = env.device(side), env.device("python")
        for key in bad:
            certificate = primitives.sign(owner.device.signing_seed, labels.L_CERT + labels.SUITE + key)
            forged = identity.Identity(owner.device.identity.signing_key, key, certificate).to_bytes()
            bundle = forged + owner.bundle(False, NOW)[128:]
            refuses(lambda: a.initiate(bundle, b"", b"", NOW, 32), f"DH key {key.hex()}")
        a.initiate(owner.bundle(False, NOW), b"", b"", NOW, 32)
    return 0


def snapshots(env: Environment) -> int:
    """Each side continues from the other's snapshot; a damaged or old one, or one of another kind or key, is
    refused."""
    opened = 0
    for initiator in SIDES:
        ours, theirs, _ = begin(env, initiator, True, 64)
        opened += talk(env, [ours, theirs], 1, 0.2, 4)
        sealed = [ours.snapshot(KEY, 7), theirs.snapshot(KEY, 7)]
        # Each in the other's place.
        swapped = [theirs.restore(sealed[0], KEY, 7), ours.restore(sealed[1], KEY, 7)]
        check([session.snapshot(KEY, 7) for session in swapped] == sealed, "stored again, the bytes are the same")
        opened += talk(env, swapped, 1, 0.2, 4)
        for session, data in ((theirs, sealed[0]), (ours, sealed[1])):
            refuses(lambda: session.restore(data, KEY, 8), "an older snapshot", errors.Rollback)
            refuses(lambda: session.restore(data, flipped(KEY, 0)), "a snapshot under another key")
            for at in (0, 1, 9, 10, 41, 42, 500, len(data) - 1):
                wrong = data.changed(flipped(data, at))
                error = errors.NewerVersion if at == 0 and data[0] ^ 1 > 1 else errors.Refused
                refuses(lambda: session.restore(wrong, KEY), f"a snapshot whose byte {at} is wrong", error)
            refuses(lambda: session.restore(data.changed(data[:-1]), KEY), "a snapshot cut short")
        a, b = env.device(initiator), env.device(other(initiator))
        bundles = [b.bundle(one_time, NOW) for one_time in (True, False)]
        b.rotate(NOW)
        check(b.accept(a.initiate(bundles[1], b"1", b"", NOW, 32)[1])[1] == b"1", "a handshake for the replay record")
        again = a.restore(b.snapshot(KEY, 3), KEY, 3)
        check(again.snapshot(KEY, 3) == b.snapshot(KEY, 3), "a device's bytes are the same")
        check(again.accept(a.initiate(bundles[0], b"2", b"", NOW, 32)[1])[1] == b"2", "a device continues elsewhere")
        refuses(lambda: ours.restore(b.snapshot(KEY, 3), KEY), "a device as a session")
        opened += 2
    return opened


def foreign(env: Environment) -> int:
    """Sessions of a foreign handshake, in both roles."""
    secret, private = env.random.randbytes(32), env.random.randbytes(32)
    public, context = primitives.dh_public(private), b"foreign context"
    opened = 0
    for initiator in SIDES:
        name = env.rust.name()
        rust = RustSession(env.rust, name)
        if initiator == "rust":
            arguments = {"secret": secret, "ratchet_key": public, "context": context}
            env.rust.ask("foreign_initiator", session=name, **arguments)
            mine = client.Session.foreign_responder(secret, private, context)
        else:
            arguments = {"secret": secret, "ratchet_secret": private, "context": context}
            env.rust.ask("foreign_responder", session=name, **arguments)
            mine = client.Session.foreign_initiator(secret, public, context)
        python = PythonSession(mine, env.random.randbytes)
        a, b = (rust, python) if initiator == "rust" else (python, rust)
        check(b.restore(b.snapshot(KEY, 1), KEY).snapshot(KEY, 1) == b.snapshot(KEY, 1), "stored before it began")
        crossed = a.restore(b.snapshot(KEY, 1), KEY)
        check(crossed.snapshot(KEY, 1) == b.snapshot(KEY, 1), "and restored by the other side")
        check(b.decrypt(a.encrypt(b"first")) == b"first", "the first message opens")
        check(a.decrypt(b.encrypt(b"reply")) == b"reply", "the reply opens")
        opened += 2 + talk(env, [a, b], 1, 0.1, 3)
    return opened


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


def invariants(env: Environment) -> int:
    """Correctly sealed snapshots with impossible content: both sides refuse each, and accept the valid one that it was
    made from."""
    ours, theirs, _ = begin(env, "python", True, 256)
    opened = talk(env, [ours, theirs], 2, 0.3, 6)
    rust = theirs
    while not isinstance(restored(rust).triple.double.sending, double.Sending) or not restored(rust).triple.sparse.kept:
        theirs.encrypt(b"")
        opened += talk(env, [ours, theirs], 1, 0.3, 6)
    for what, change in hostile.WRONG_SESSIONS:
        session = restored(rust)
        change(session, session.triple.double, session.triple.sparse)
        for side in (ours, theirs):
            sealed = session_snapshot(session, KEY, 1)
            refuses(lambda: side.restore(sealed, KEY), f"{type(side).__name__}: {what}")
    for side in (ours, theirs):
        check(
            side.restore(rust.snapshot(KEY, 1), KEY).snapshot(KEY, 1) == rust.snapshot(KEY, 1), "the right one is taken"
        )
    owner, a = env.device("rust"), env.device("python")
    bundles = [owner.bundle(True, NOW) for _ in range(4)]
    for at in (0, 2):
        owner.accept(a.initiate(bundles[at], b"", b"", NOW, 32)[1])
    for what, change in hostile.WRONG_DEVICES:
        stored = owner.snapshot(KEY, 1)
        device = snapshot.restore_device(stored, KEY, stored.subject)
        change(device)
        for side in (owner, a):
            sealed = device_snapshot(device, KEY, 1)
            refuses(lambda: side.restore(sealed, KEY), f"{type(side).__name__}: {what}")
    for side in (owner, a):
        check(
            side.restore(owner.snapshot(KEY, 1), KEY).snapshot(KEY, 1) == owner.snapshot(KEY, 1),
            "the right one is taken",
        )
    return opened


def restored(rust: RustSession) -> client.Session:
    stored = rust.snapshot(KEY, 1)
    return snapshot.restore_session(stored, KEY, stored.subject)


ALL = [
    handshakes,
    epochs,
    states,
    refusals,
    first_messages,
    jumps,
    commitment,
    keys,
    snapshots,
    foreign,
    abandonment,
    bounds,
    forgeries,
    second_advance,
    invariants,
]
