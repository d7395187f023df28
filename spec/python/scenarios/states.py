# SPDX-License-Identifier: MIT OR Apache-2.0
"""What is stored, and states that are compared byte for byte."""

import hostile
from noescrow import double, errors, stored_device
from peer import SIDES, Environment, PythonSession, RustSession, device_snapshot, session_snapshot

from .common import KEY, NOW, begin, check, flipped, other, refuses, restored, talk


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
        device = stored_device.restore_device(stored, KEY, stored.subject)
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
