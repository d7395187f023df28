# SPDX-License-Identifier: MIT OR Apache-2.0
"""§11, with the stored forms of §12 and §13: the sealed form, and the parts of a state."""

from . import errors, labels, primitives
from .client import Device, Session
from .policy import OneTime, OwnPrekey
from .prekeys import ONE_TIME, PrivatePrekey
from .primitives import expand, hmac
from .wire import Reader, u8, u32, u64

VERSION, SESSION, DEVICE, SESSION_ROW, DEVICE_ROW = 1, 1, 2, 3, 4
HEAD_LEN = 58
CORE = bytes(9)
"""The name of what is not a part."""
EC_KEYS, PQ_KEYS, ONE_TIME_PREKEY, REPLAY = 1, 2, 3, 4
PAGE = 32
"""Keys, or entries, of one part."""


def subject_of_session(session: Session) -> bytes:
    """Whose snapshot it is: the local keys and the session's id."""
    return (bytes(64) if session.local is None else session.local.keys) + session.id


def subject_of_device(device: Device) -> bytes:
    return device.identity.keys + bytes(32)


def name_of(part: int, number: int, page: int) -> bytes:
    return u8(part) + u32(number) + u32(page)


def seal(
    kind: int, state: bytes, key: bytes, generation: int, subject: bytes, writer: bytes = bytes(16), name: bytes = CORE
) -> bytes:
    """SN-1."""
    start, scope = u8(VERSION) + u8(kind) + u64(generation) + writer, subject + name
    salt = hmac(expand(key, labels.L_SALT, 32), start + scope + state)
    sealing = expand(key, labels.L_SEAL + salt, 44)
    return start + salt + primitives.seal(sealing[:32], sealing[32:], start + salt + scope, state)


def unseal(kind: int, snapshot: bytes, key: bytes, newest: int, subject: bytes, name: bytes = CORE) -> bytes:
    """SN-2, except the parsing."""
    reader = Reader(snapshot)
    if len(snapshot) < HEAD_LEN + primitives.TAG_LEN:
        raise errors.Refused
    version, stored_kind = reader.u8(), reader.u8()
    if version > VERSION:
        raise errors.NewerVersion
    if (version, stored_kind) != (VERSION, kind):
        raise errors.Refused
    generation, _, salt = reader.u64(), reader.take(16), reader.take(32)
    scope = subject + name
    sealing = expand(key, labels.L_SEAL + salt, 44)
    state = primitives.unseal(sealing[:32], sealing[32:], snapshot[:HEAD_LEN] + scope, snapshot[HEAD_LEN:])
    start = snapshot[: HEAD_LEN - len(salt)]
    if not primitives.equal(salt, hmac(expand(key, labels.L_SALT, 32), start + scope + state)):
        raise errors.Refused
    if generation < newest:
        raise errors.Rollback
    return state


def key_parts(part: int, kept: dict[tuple[int, int], bytes]) -> bytes:
    """The kept keys of one ratchet, by pages."""
    pages: dict[tuple[int, int], dict[int, bytes]] = {}
    for (chain, number), message_key in sorted(kept.items()):
        pages.setdefault((chain, number // PAGE), {})[number % PAGE] = message_key
    parts = b""
    for (chain, page), keys in pages.items():
        parts += name_of(part, chain, page) + u32(sum(1 << i for i in keys)) + b"".join(keys.values())
    return parts


def read_parts(reader: Reader) -> list[tuple[tuple[int, int, int], object]]:
    """All parts, up to the end: their names, and keys by number, a prekey, or entries of a replay record."""
    parts = []
    while not reader.is_at_end:
        name = reader.u8(), reader.u32(), reader.u32()
        match name[0]:
            case 1 | 2:
                mask = reader.u32()
                if mask == 0 or name[2] >= 2**32 // PAGE:
                    raise errors.Refused
                content = {PAGE * name[2] + i: reader.take(32) for i in range(PAGE) if mask >> i & 1}
            case 3:
                content = OneTime(*read_prekey(reader, ONE_TIME), reader.u8(), reader.u64())
                if name[1:] != (content.prekey.id, 0):
                    raise errors.Refused
            case 4:
                count = reader.u8()
                if not 1 <= count <= PAGE:
                    raise errors.Refused
                content = [reader.take(labels.REPLAY_ENTRY_LEN) for _ in range(count)]
            case _:
                raise errors.Refused
        parts.append((name, content))
    return parts


def keys_of(parts: list, part: int) -> dict[tuple[int, int], bytes]:
    return {(name[1], number): key for name, keys in parts if name[0] == part for number, key in keys.items()}


def require(holds: bool) -> None:
    if not holds:
        raise errors.Refused


def ascending(keys: list) -> list:
    if any(a >= b for a, b in zip(keys, keys[1:])):
        raise errors.Refused
    return keys


def stored_prekey(own: OwnPrekey) -> bytes:
    prekey = own.prekey
    return u32(prekey.id) + u8(prekey.max_version) + u64(prekey.expiry) + prekey.dh_private + prekey.kem_seed + own.digest


def stored_one_time(own: OneTime) -> bytes:
    return stored_prekey(own) + u8(own.seen) + u64(own.since)


def read_prekey(reader: Reader, kind: int) -> tuple[PrivatePrekey, bytes]:
    number, max_version, expiry = reader.u32(), reader.u8(), reader.u64()
    prekey = PrivatePrekey(kind, max_version, number, expiry, reader.take(32), reader.take(64))
    return prekey, reader.take(32)
