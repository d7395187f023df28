# SPDX-License-Identifier: MIT OR Apache-2.0
"""§11: every invariant of a stored device."""

import copy
from dataclasses import replace

from noescrow import client, labels, policy, primitives, snapshot, stored_device
from noescrow.wire import u8, u32
from stage import Stage

R = "refused"


def devices() -> Stage:
    """Every invariant of a stored device."""
    stage = Stage("device_states", "States of devices that are sealed correctly, and impossible.")
    stage.device("Alice")
    stage.device("Bob")
    keys = stage.publish("Bob", 4)
    old = stage.initiate("A0", stage.bundle("Bob"))
    stage.play("rotate", device="Bob", now=1_500)
    stage.accept("B0", old)
    stage.accept("B1", stage.initiate("A1", stage.bundle("Bob")))
    stage.accept("B2", stage.initiate("A2", stage.bundle("Bob", keys[1])))
    good = copy.deepcopy(stage.device_of("Bob"))
    stage.put("Bob", good, why="SN-2.30: as it was")

    def case(rule: str, what: str, change, refused: str | None = R) -> None:
        device = copy.deepcopy(good)
        change(device)
        stage.put("copy", device, refused, f"{rule}: {what}", of="Bob")

    def renumber(own, number: int) -> None:
        own.prekey = replace(own.prekey, id=number)
        own.digest = primitives.sha256(own.prekey.described().description)

    def alter(own, **fields) -> None:
        own.prekey = replace(own.prekey, **fields)
        own.digest = primitives.sha256(own.prekey.described().description)

    case("SN-2.30", "a one-time prekey of id 0", lambda d: renumber(d.one_time[0], 0))
    case("SN-2.30", "a signed prekey of id 0", lambda d: (setattr(d.signed, "replay", []), renumber(d.signed, 0)))
    case("SN-2.30", "two one-time prekeys of one id", lambda d: renumber(d.one_time[0], d.one_time[1].prekey.id))
    case("SN-2.30", "a one-time prekey of the signed one's id", lambda d: renumber(d.one_time[0], d.signed.prekey.id))
    case("SN-2.30", "a one-time prekey of the previous one's id", lambda d: renumber(d.one_time[0], d.previous[0].prekey.id))
    case("SN-2.30", "both signed prekeys of one id", lambda d: (setattr(d.previous[0], "replay", []), renumber(d.previous[0], d.signed.prekey.id)))
    for what, which in (("one-time", lambda d: d.one_time[0]), ("signed", lambda d: d.signed), ("previous", lambda d: d.previous[0])):
        case("SN-2.30", f"a {what} prekey of max_version 0", lambda d: alter(which(d), max_version=0))
        case("SN-2.32", f"another digest of a {what} prekey", lambda d: setattr(which(d), "digest", bytes(32)))
        case("SN-2.32", f"another key of a {what} prekey than was described", lambda d: setattr(which(d), "prekey", replace(which(d).prekey, dh_private=bytes([3]) * 32)))
        case("SN-2.32", f"another expiry of a {what} prekey than was described", lambda d: setattr(which(d), "prekey", replace(which(d).prekey, expiry=1)))
        case("SN-2.30", f"a {what} prekey of max_version 255", lambda d: alter(which(d), max_version=255), None)
    as_signed = lambda own: primitives.sha256(replace(own.prekey, kind=1).described().description)
    case("SN-2.32", "the digest of a signed prekey, at a one-time one", lambda d: setattr(d.one_time[0], "digest", as_signed(d.one_time[0])))
    more = lambda count: lambda d: [d.previous.append(_another(d.previous[0], 1_000 + i)) for i in range(count)]
    case("SN-2.35", "15 previous ones", more(14), None)
    case("SN-2.35", "16 previous ones", more(15))
    def within(what: str, change, refused: str | None = R) -> None:
        device = copy.deepcopy(good)
        device.signed.replay, device.previous[0].replay = [], []
        change(device)
        small = {"stored": 9, "previous": 2, "replay_record": 9}
        stage.put("small", device, refused, f"SN-2.35: {what}", of="Bob", capacity=small)

    several = lambda count: lambda d: setattr(d, "one_time", [_another_one_time(d.one_time[0], 2_000 + i) for i in range(count)])
    within("as many one-time prekeys as are STORED", several(9), None)
    within("one one-time prekey too many", several(10))
    record = lambda count, which: lambda d: setattr(which(d), "replay", [primitives.sha256(u32(i))[:16] for i in range(count)])
    for what, which in (("the current", lambda d: d.signed), ("a previous", lambda d: d.previous[0])):
        within(f"a full record of {what} signed prekey", record(9, which), None)
        within(f"one entry too many in the record of {what} signed prekey", record(10, which))
    entries = lambda count: lambda d: setattr(d.signed, "replay", [primitives.sha256(u32(i))[:16] for i in range(count)])
    case("SN-2.35", "a full record", entries(labels.REPLAY_RECORD), None)
    case("SN-2.35", "one entry too many", entries(labels.REPLAY_RECORD + 1))
    case("SN-2.31", "a claim whose base is not the clock's", lambda d: setattr(d, "clock", policy.Clock(d.clock.now, (9_000_000, d.clock.now - 1))))
    case("SN-2.31", "a claim", lambda d: setattr(d, "clock", policy.Clock(d.clock.now, (9_000_000, d.clock.now))), None)
    case("SN-2.31", "a budget above a day's", lambda d: setattr(d, "left", 145))
    case("SN-2.31", "a day's budget", lambda d: setattr(d, "left", 144), None)
    for seen, since, refused in ((3, 0, R), (0, 1, R), (1, 1, R), (2, 1, None), (1, 0, None), (2, 0, None)):
        change = lambda d, seen=seen, since=since: (setattr(d.one_time[0], "seen", seen), setattr(d.one_time[0], "since", since))
        case("SN-2.31", f"seen {seen}, since {since}", change, refused)

    def forgotten(own) -> None:
        own.prekey = replace(own.prekey, kem_seed=bytes(64))
        own.has_last_resort, own.replay = False, []

    case("SN-2.33", "a previous one without its last-resort key", lambda d: forgotten(d.previous[0]), None)
    case("SN-2.33", "the current one without its last-resort key", lambda d: forgotten(d.signed))
    case("SN-2.33", "no last-resort key, and a KEM seed", lambda d: setattr(d.previous[0], "has_last_resort", False) or setattr(d.previous[0], "replay", []))
    case("SN-2.33", "no last-resort key, and a replay record", lambda d: (forgotten(d.previous[0]), d.previous[0].replay.append(bytes(16))))
    gone = copy.deepcopy(good)
    forgotten(gone.previous[0])
    gone.clock = policy.Clock(2 * labels.LIFETIME)
    late = [stage.initiate(f"Late {i}", _bundle_of(good, good.previous[0], one_time)) for i, one_time in enumerate((None, good.one_time[0]))]
    stage.put("Bob", gone, why="PP-6.2: the last-resort key of a previous signed prekey is deleted; all prekeys have expired")
    stage.accept("never", late[0], refused="prekey gone", why="HS-R1.4: its KEM seed has been deleted")
    stage.accept("B late", late[1], why="HS-R1.4: with a one-time prekey it is not needed; PP-3: nor a valid one")
    _device_parts(stage, good)
    return stage


def _bundle_of(device: client.Device, signed, one_time) -> bytes:
    published = [own.prekey.published(device.signing_seed).to_bytes() for own in (signed, one_time) if own]
    return device.identity.to_bytes() + published[0] + (u8(1) + published[1] if one_time else u8(0))


def _another(signed: policy.Signed, number: int) -> policy.Signed:
    prekey = replace(signed.prekey, id=number)
    return policy.Signed(prekey, primitives.sha256(prekey.described().description))


def _another_one_time(own: policy.OneTime, number: int) -> policy.OneTime:
    prekey = replace(own.prekey, id=number)
    return replace(own, prekey=prekey, digest=primitives.sha256(prekey.described().description))


def _device_parts(stage: Stage, good: client.Device) -> None:
    bare = copy.deepcopy(good)
    bare.one_time, bare.signed.replay, bare.previous[0].replay = [], [], []
    core = stored_device.device_state(bare)
    prekeys = [snapshot.name_of(3, own.prekey.id, 0) + snapshot.stored_one_time(own) for own in good.one_time]
    current, previous = good.signed.prekey.id, good.previous[0].prekey.id
    page = lambda number, at, count: snapshot.name_of(4, number, at) + u8(count) + b"".join(primitives.sha256(u32(at * 32 + i))[:16] for i in range(count))

    def case(why: str, parts: list[bytes], refused: str | None = R) -> None:
        stage.put("copy", core + b"".join(parts), refused, why, of="Bob")

    case("SN-2.10: no parts", [], None)
    case("SN-2.10: one-time prekeys in another order", prekeys[::-1], None)
    case("SN-2.10: records in one order", [page(current, 0, 1), page(previous, 0, 1)], None)
    case("SN-2.10: records in the other order", [page(previous, 0, 1), page(current, 0, 1)], None)
    case("SN-2.10: a one-time prekey twice", [prekeys[0], prekeys[0]])
    case("SN-2.10: a one-time prekey after a record", [page(current, 0, 1), prekeys[0]])
    case("SN-2.9: two pages", [page(current, 0, 32), page(current, 1, 1)], None)
    case("SN-2.9: a page twice", [page(current, 0, 32), page(current, 0, 32)])
    case("SN-2.9: a page that is not full before another", [page(current, 0, 31), page(current, 1, 1)])
    case("SN-2.9: a gap between pages", [page(current, 0, 32), page(current, 2, 1)])
    case("SN-2.9: no first page", [page(current, 1, 1)])
    case("SN-2.9: pages that descend", [page(current, 1, 1), page(current, 0, 32)])
    case("SN-2.9: an empty page", [page(current, 0, 0)])
    case("SN-2.9: 33 entries", [page(current, 0, 33)])
    case("SN-2.34: a record of a prekey that is not kept", [page(7, 0, 1)])
    case("SN-2.34: a record of a one-time prekey", [prekeys[0], page(good.one_time[0].prekey.id, 0, 1)])
    own = good.one_time[0]
    case("SN-2.34: a one-time prekey under another's name", [snapshot.name_of(3, 77, 0) + snapshot.stored_one_time(own)])
    case("SN-2.34: a one-time prekey on a page", [snapshot.name_of(3, own.prekey.id, 1) + snapshot.stored_one_time(own)])
    case("SN-2.10: a session's part", [snapshot.name_of(1, 1, 0) + u32(1) + bytes(32)])
    case("SN-2.10: a part of another number", [snapshot.name_of(5, 1, 0) + u32(1) + bytes(32)])
    case("SN-2.6: a byte too few", [prekeys[0][:-1]])
    case("SN-2.6: a byte too many", [prekeys[0], b"\3"])


ALL = [devices]
