# SPDX-License-Identifier: MIT OR Apache-2.0
"""First messages, of the protocol's handshake and of a foreign one."""

import forge
from noescrow import client, curve, errors, identity, labels, primitives
from peer import SIDES, Environment, PythonSession, RustSession

from .common import KEY, NOW, begin, check, flipped, other, refuses, talk


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
