# SPDX-License-Identifier: MIT OR Apache-2.0
"""§11: the sealed form."""

import forge
from noescrow import labels, primitives, snapshot, stored_session
from noescrow.primitives import expand, hmac
from noescrow.wire import u8, u64
from stage import STORAGE_KEY, Stage

R = "refused"


def sealing() -> Stage:
    """SN-1, SN-2: the sealed form."""
    stage = Stage("sealing", "Sealed states: another key, kind, subject, generation, version, salt.")
    stage.device("Alice")
    stage.device("Bob")
    a, b = stage.pair("S")
    stored = stage.play("store", kind="session", name=b, storage_key=STORAGE_KEY, generation=5)
    data, subject = bytes.fromhex(stored["snapshot"]), snapshot.subject_of_session(stage.session(b))

    def refuse(why: str, changed: bytes, word: str = R, kind: str = "session", **how) -> None:
        how = {"subject": subject} | how
        stage.restore(kind, b, changed, refused=word, why=why, **how)

    refuse("SN-2.3: another storage key", data, key=forge.flipped(STORAGE_KEY, 0))
    refuse("SN-2.2: a session as a device", data, kind="device")
    for at, what in ((0, "signing key"), (32, "DH key"), (95, "id")):
        refuse(f"SN-2.3: another subject's {what}", data, subject=forge.flipped(subject, at))
    refuse("SN-2.5: an older generation", data, "older generation", newest=6)
    stage.restore("session", b, data, subject, newest=5, why="SN-2.5: the newest generation")
    for cut in (b"", data[:1], data[:73], data[:-1], data + b"\0"):
        refuse("SN-2.1, SN-2.3: another length", cut)
    refuse("SN-2.1: too short, and of a newer version", b"\2" + data[1:73])
    refuse("SN-2.1: of version 2", b"\2" + data[1:], "newer version")
    refuse("SN-2.1: of version 255", b"\xff" + data[1:], "newer version")
    refuse("SN-2.1: of version 2 goes before SN-2.2: of another kind", b"\2\2" + data[2:], "newer version")
    refuse("SN-2.2: of version 0", b"\0" + data[1:])
    refuse("SN-2.3: another storage key goes before SN-2.5: an older generation", data, key=forge.flipped(STORAGE_KEY, 0), newest=6)
    for at, what in ((1, "kind"), (9, "generation"), (10, "writer"), (26, "salt"), (58, "ciphertext"), (len(data) - 1, "tag")):
        refuse(f"SN-2.3: another {what}", forge.flipped(data, at, 2 if at == 1 else 1))
    state = stored_session.session_state(stage.session(b))

    def sealed(**how) -> bytes:
        return _seal(state, subject, **how)

    stage.restore("session", b, sealed(), subject, why="SN-1: made by hand")
    refuse("SN-2.4: another salt, and a seal that fits it", sealed(salt=bytes(32)))
    refuse("SN-2.4: a salt over another scope", sealed(salted_subject=bytes(96)))
    refuse("SN-2.2: sealed as a device", sealed(kind=2))
    refuse("SN-2.2: sealed as a row", sealed(kind=3))
    refuse("SN-2.2: sealed as version 0", sealed(version=0))
    refuse("SN-2.3: sealed without the scope", sealed(scope=b""))
    refuse("SN-2.3: sealed under the name of a part", sealed(scope=subject + u8(1) + bytes(8)))
    stage.restore("session", b, sealed(writer=bytes([7]) * 16), subject, why="SN-2: the writer is not checked")
    stage.restore("session", b, sealed(generation=2**64 - 1), subject, newest=2**64 - 1, why="SN-2.5: the last generation")
    refuse("SN-2.6: a byte after the state", _seal(state + b"\0", subject))
    refuse("SN-2.6: a byte too few", _seal(state[:-1], subject))
    refuse("SN-2.4: another salt goes before SN-2.5: an older generation", sealed(salt=bytes(32)), newest=6)
    refuse("SN-2.5: an older generation goes before SN-2.6: a byte too few", _seal(state[:-1], subject), "older generation", newest=6)
    # Another device and session with the same key; equal states give equal bytes.
    again = stage.play("store", kind="session", name=b, storage_key=STORAGE_KEY, generation=5)
    other = stage.play("store", kind="session", name=b, storage_key=STORAGE_KEY, generation=6)
    if again["snapshot"] != stored["snapshot"] or other["snapshot"] == stored["snapshot"]:
        raise AssertionError
    for name in ("Alice", "Bob"):
        device = stage.play("store", kind="device", name=name, storage_key=STORAGE_KEY, generation=1)
        who = snapshot.subject_of_device(stage.device_of(name))
        stage.play("restore", kind="device", name=name, storage_key=STORAGE_KEY, newest=1, subject=who, of=device["at"])
        stage.play(
            "restore", R, "SN-2.2: a device as a session", kind="session", name="never", storage_key=STORAGE_KEY, newest=1, subject=who, of=device["at"]
        )
    return stage


def _seal(
    state: bytes,
    subject: bytes,
    version: int = 1,
    kind: int = 1,
    generation: int = 1,
    writer: bytes = bytes(16),
    salt: bytes | None = None,
    salted_subject: bytes | None = None,
    scope: bytes | None = None,
) -> bytes:
    head = u8(version) + u8(kind) + u64(generation) + writer
    scope = subject + bytes(9) if scope is None else scope
    salted = (salted_subject or subject) + bytes(9)
    salt = salt or hmac(expand(STORAGE_KEY, labels.L_SALT, 32), head + salted + state)
    key = expand(STORAGE_KEY, labels.L_SEAL + salt, 44)
    return head + salt + primitives.seal(key[:32], key[32:], head + salt + scope, state)


ALL = [sealing]
