# SPDX-License-Identifier: MIT OR Apache-2.0
"""§12.2: what a device keeps, makes and deletes, and when."""

import copy

from noescrow import policy, primitives
from noescrow.labels import ABSENCE, DAY, LAST_SECOND, LIFETIME
from noescrow.policy import LISTED, MISSING, NEVER
from noescrow.prekeys import ONE_TIME, SIGNED, PrivatePrekey
from noescrow.wire import u32, u64
from stage import Stage

NOW = 1_800_000_000
FRESH = NOW + 30 * DAY
"""An expiry that is neither near nor beyond."""
BEYOND = ABSENCE + LIFETIME
SMALL = {"stored": 9, "previous": 2, "replay_record": 9}
"""The bounds of most devices: a few prekeys fill them. They keep 3 at the server."""
TIMELESS = 2**40
"""A `counted_at` that is not reached: nothing is earned."""


def prekeys() -> Stage:
    """What devices keep, make and delete."""
    stage = Stage("policy", "The prekey policy: Maintain and its parts, at the exact second and one before; a server that lies; readings that jump.")
    _full_size(stage)
    _small(stage)
    _budget(stage)
    _never_listed(stage)
    _count(stage)
    _evict(stage)
    _delete(stage)
    _rotate(stage)
    _made_at(stage)
    _clock(stage)
    _last_second(stage)
    return stage


# Events.


def _time(now: int) -> int | bytes:
    return now if now < 2**53 else u64(now)


def _maintain(stage: Stage, device: str, now: int, server_has: list[int], why: str, **more) -> dict:
    return stage.play("maintain", device=device, now=_time(now), server_has=server_has, why=why, **more)


def _make(stage: Stage, device: str, now: int, why: str, **more) -> int:
    return stage.play("make", device=device, now=_time(now), why=why, **more)["made"]


def _delete_at(stage: Stage, device: str, now: int, why: str) -> None:
    stage.play("delete", device=device, now=_time(now), why=why)


# States.


def _one_time(number: int, expiry: int = FRESH, seen: int = LISTED, since: int = 0) -> policy.OneTime:
    prekey = PrivatePrekey(ONE_TIME, 1, number, expiry, bytes([1]) * 32, bytes([2]) * 64)
    return policy.OneTime(prekey, primitives.sha256(prekey.described().description), seen, since)


def _missing(number: int, since: int, expiry: int = FRESH) -> policy.OneTime:
    return _one_time(number, expiry, MISSING, since)


def _signed(number: int, since: int, expiry: int = FRESH, entries: int = 0) -> policy.Signed:
    prekey = PrivatePrekey(SIGNED, 1, number, expiry, bytes([3]) * 32, bytes([4]) * 64)
    record = [bytes([number]) * 12 + u32(i) for i in range(entries)]
    return policy.Signed(prekey, primitives.sha256(prekey.described().description), since, replay=record)


def _state(stage: Stage, name: str, why: str, one_time: list = (), capacity: dict | None = SMALL, **fields) -> None:
    """A device as it may come to be, with an empty budget."""
    device = copy.deepcopy(stage.device_of("Bob"))
    device.one_time, device.previous, device.signed = list(one_time), [], _signed(1, NOW)
    device.clock, device.offered_at, device.left, device.counted_at = policy.Clock(NOW), NOW, 0, TIMELESS
    for field, value in fields.items():
        setattr(device, field, value)
    stage.replay.devices[name] = device
    stage.put(name, device, why=why, **({"capacity": capacity} if capacity else {}))


# Scenes.


def _full_size(stage: Stage) -> None:
    stage.play("device", device="Bob", now=NOW)
    made = _maintain(stage, "Bob", NOW, [], "PP-1.3: 100 at once, PP-1.4: of a day's 144")["offered"]
    _maintain(stage, "Bob", NOW + 1, [], "PP-1.2: more than can have been handed out were lost, and are published again")
    _maintain(stage, "Bob", NOW + 2, made[:-1], "PP-1.2: one of them is listed, so that the upload arrived")


def _small(stage: Stage) -> None:
    _state(stage, "small", "PP-C1: a device with little memory", left=144)
    a, b, c = _maintain(stage, "small", NOW, [], "PP-1.3: a quarter of the store, rounded up")["offered"]
    (d,) = _maintain(stage, "small", NOW, [a, b], "PP-1.1, PP-1.2: the third was handed out")["offered"]
    (e,) = _maintain(stage, "small", NOW + 1, [a, a, 77, d], "PP-1.1: a server repeats an id, and names an unknown one")["offered"]
    _maintain(stage, "small", NOW + 2, [a, c, d], "PP-1.1: a missing one is listed again")
    _maintain(stage, "small", NOW + 3, [1] * 998 + [c, a, d], "PP-1: the 1,000th of the list is read, and the next is not")
    _maintain(stage, "small", NOW + 4, [], "PP-1.3: a server claims to have none")


def _budget(stage: Stage) -> None:
    _state(stage, "budget", "PP-1.4: a budget that is spent", counted_at=NOW)
    _maintain(stage, "budget", NOW + 599, [], "PP-1.4: a second before one is earned")
    _maintain(stage, "budget", NOW + 600, [], "PP-1.4: one is earned")
    _maintain(stage, "budget", NOW + 2_399, [], "PP-1.4: two are earned, and the rest of the time counts later")
    _maintain(stage, "budget", NOW + 2_400, [], "PP-1.4: the time that was left over")
    _make(stage, "budget", NOW + 2_400, "PP-1.4: one that the application asks for, without a budget")
    _maintain(stage, "budget", NOW + 2_400 + DAY, [], "PP-1.4: a day's budget, for whom three suffice")
    _maintain(stage, "budget", NOW + 2_400 + 2 * DAY, [], "PP-1.4: no more than a day's")
    _make(stage, "budget", NOW + 2_400 + 2 * DAY, "PP-1.4: one that the application asks for takes from the budget")


def _never_listed(stage: Stage) -> None:
    many = [_one_time(100 + i, seen=NEVER) for i in range(21)]
    _state(stage, "many", "PP-1.2: 21 that no list had", many, capacity=None)
    _maintain(stage, "many", NOW + 599, [], "PP-1.2: a second before a server can have handed out 21")
    _make(stage, "many", NOW + 600, "PP-1.2: offered after the others")
    _delete_at(stage, "many", NOW + 601, "PP-1.2: deleting offers nothing")
    _maintain(stage, "many", NOW + 599 + 1_199, [], "PP-1.2: a second before a server can have handed out 22")
    _maintain(stage, "many", NOW + 599 + 1_199 + 1_200, [], "PP-1.2: a server can have handed out 22")
    _make(stage, "many", NOW + 3_000, "PP-1.2: the first after those is offered now")


def _count(stage: Stage) -> None:
    listed = [
        _one_time(11, NOW + 7 * DAY),
        _one_time(12, NOW + 7 * DAY - 1),
        _one_time(13, NOW + BEYOND),
        _one_time(14, NOW + BEYOND + 1),
        _missing(15, NOW),
    ]
    _state(stage, "count", "PP-1.3: expiries at their limits", listed, left=9)
    _maintain(stage, "count", NOW, [11, 12, 13, 14], "PP-1.3: two of four are in time")


def _evict(stage: Stage) -> None:
    two, three = NOW - 2 * DAY, NOW - 3 * DAY
    full = [
        _one_time(21),
        _missing(22, two),
        _missing(23, two + 1),
        _missing(24, three),
        _missing(25, two),
        _missing(26, NOW - 5),
        _missing(27, three),
        _missing(28, NOW),
        _missing(29, two),
    ]
    _state(stage, "full", "PP-2: a full store", full, left=9)
    new = _maintain(stage, "full", NOW, [21], "PP-2: those that are missing for the longest time, the first of several")["offered"]
    _make(stage, "full", NOW, "PP-2: the id of the evicted one may be drawn again", chosen=[u32(22)])
    _maintain(stage, "full", NOW, [21, new[0]], "PP-2: and the next")
    _maintain(stage, "full", NOW, [21], "PP-2: the next, and then a second too early")
    _maintain(stage, "full", NOW + 1, [21], "PP-2: a second later")


def _delete(stage: Stage) -> None:
    old = NOW - 14 * DAY
    one_time = [
        _one_time(41, old),
        _one_time(42, old, NEVER),
        _one_time(43),
        _one_time(44, old + 1),
        _one_time(45),
        _missing(46, NOW, old),
    ]
    _state(stage, "expired", "PP-6.1: one-time prekeys that have expired", one_time)
    _delete_at(stage, "expired", NOW, "PP-6.1: two weeks after their expiry, in order")
    _delete_at(stage, "expired", NOW + 1, "PP-6.1: a second later, the next")
    beyond = NOW + BEYOND + 2
    one_time = [
        _missing(51, old, beyond),
        _missing(52, old + 1, beyond),
        _missing(53, old, beyond - 1),
        _missing(54, old - DAY, NOW + BEYOND),
        _one_time(55, beyond),
        _one_time(56, beyond, NEVER),
    ]
    _state(stage, "beyond", "PP-6.1: expiries beyond those of prekeys that are made now", one_time)
    _maintain(stage, "beyond", NOW, [51, 55], "PP-6.1: two weeks after they were missed; PP-1: before the list is read")
    _maintain(stage, "beyond", NOW + 1, [55], "PP-6.1: a second later, the next; the last is no longer beyond")
    previous = [_signed(2, NOW - 7 * DAY + 1, entries=1), _signed(3, NOW - 14 * DAY + 1)]
    _state(stage, "replaced", "PP-6: previous signed prekeys", signed=_signed(1, NOW, entries=1), previous=previous)
    _delete_at(stage, "replaced", NOW, "PP-6.2, PP-6.3: a second before")
    _delete_at(stage, "replaced", NOW + 1, "PP-6.2: a last-resort key with its record, PP-6.3: a signed prekey")
    _delete_at(stage, "replaced", NOW + DAY, "PP-6: a day later, nothing more")


def _rotate(stage: Stage) -> None:
    def case(name: str, why: str, *readings: tuple[int, str], previous: list = (), **signed) -> None:
        _state(stage, name, why, signed=_signed(1, **signed), previous=list(previous))
        for now, what in readings:
            _maintain(stage, name, now, [], what)

    week = NOW - 7 * DAY
    case("weekly", "PP-5.1: a signed prekey", (NOW, "PP-5.1: a second before it is a week old"), (NOW + 1, "PP-5.1: it is a week old"), since=week + 1, expiry=NOW + BEYOND)
    case("expiring", "PP-5.2: a signed prekey", (NOW, "PP-5.2: it expires in a week"), (NOW + 1, "PP-5.2: a second less"), since=NOW, expiry=NOW + 7 * DAY)
    case("absent", "PP-5.2: a signed prekey", (NOW + 3 * DAY - 1, "PP-5.2: it expires a week after this reading"), (NOW + 3 * DAY, "PP-5.2: a second less"), since=NOW, expiry=NOW + 10 * DAY - 1)
    case("too far", "PP-5.2: a signed prekey", (NOW, "PP-5.2: its expiry is beyond"), (NOW, "PP-5: the same reading once more"), since=NOW, expiry=NOW + BEYOND + 1)
    day = NOW - DAY
    case("seven", "PP-5.3: a record with 7 of 9 entries", (NOW, "PP-5.3: a second before it is a day old"), (NOW + 1, "PP-5.3: it is a day old; PP-4: its record stays"), since=day + 1, entries=7)
    case("six", "PP-5.3: a record with 6 of 9 entries", (NOW, "PP-5.3: it is not nearly full"), since=day, entries=6)
    two = [_signed(2, NOW - 14 * DAY + 1), _signed(3, NOW - DAY)]
    case("no space", "PP-5.3: there is no space for a previous one", (NOW, "PP-5.3: the oldest is not due"), previous=two, since=day, entries=9)
    _maintain(stage, "no space", NOW + 1, [], "PP-5.3, PP-6.3: it is due, and deleted before an id is drawn", chosen=[u32(2)])
    equal = [_signed(2, NOW - DAY), _signed(3, NOW - DAY)]
    case("oldest", "PP-6.3: there is no space for a previous one", (NOW, "PP-6.3: the first of two equally old ones makes space"), previous=equal, since=week)
    older = [_signed(2, NOW - DAY), _signed(3, NOW - DAY - 1)]
    due = _one_time(4, NOW - 14 * DAY + 1)
    _state(stage, "both", "PP-5: a signed prekey and one-time ones to make", [due], signed=_signed(1, week), previous=older, left=1)
    _maintain(stage, "both", NOW, [4], "PP-5: the new id is drawn while the oldest is kept, and before the one-time prekeys", chosen=[u32(3), u32(1), u32(9)])
    stage.play("rotate", device="both", now=NOW + 1, why="PP-5: rotating alone does not delete what is due")
    none = {"stored": 1, "previous": 0, "replay_record": 9}
    _state(stage, "none", "PP-C12: a device that keeps no previous signed prekey", capacity=none, signed=_signed(1, week), left=9)
    _maintain(stage, "none", NOW, [], "PP-6.3: the replaced one is deleted")
    none = {"stored": 1, "previous": 1, "replay_record": 0}
    _state(stage, "never", "PP-C13: a device without a replay record", capacity=none, signed=_signed(1, day))
    _maintain(stage, "never", NOW, [], "PP-5.3: an empty record is never full")


def _made_at(stage: Stage) -> None:
    _state(stage, "absence", "PP-3: a clock", left=9)
    _make(stage, "absence", NOW - 5, "PP-3: no earlier than the clock")
    _make(stage, "absence", NOW + 10 * DAY, "PP-3: the caller's reading")
    _make(stage, "absence", NOW + 37 * DAY, "PP-3: ABSENCE after the clock")
    _make(stage, "absence", NOW + 100 * DAY, "PP-3: no later than that")
    _maintain(stage, "absence", NOW + 100 * DAY, [], "PP-3: the same reading once more")


def _clock(stage: Stage) -> None:
    def begin(name: str, **fields) -> None:
        one_time = [_missing(61, NOW), _missing(62, NOW - 1), _one_time(63, seen=NEVER)]
        fields = {"signed": _signed(1, NOW - 2, NOW + 65 * DAY), "counted_at": NOW - 7, "offered_at": NOW} | fields
        _state(stage, name, "PP-7: a clock", one_time, **fields)

    def read(name: str, *readings: tuple[int, str]) -> None:
        for now, why in readings:
            _delete_at(stage, name, now, f"PP-7{why}")

    begin("ahead")
    read("ahead", (NOW + DAY, ".1: a day ahead"), (NOW, ".1: a day back"))
    at = NOW + DAY
    claim = at + 20 * DAY
    read("ahead", (claim, ".4: 20 days ahead"))
    _maintain(stage, "ahead", claim, [63], "PP-7.1: the same reading once more")
    at += DAY
    read("ahead", (claim + DAY - 1, ".2: too soon to confirm"), (claim - 1, ".4: earlier than the claim"))
    at += DAY
    claim -= 1
    _maintain(stage, "ahead", claim, [], "PP-7.1: once more; what was listed is missing")
    read("ahead", (claim + DAY, ".3: confirmed, a day after the claim"), (claim + DAY, ".1: once more"))
    at = claim + DAY
    read("ahead", (at + DAY + 1, ".4: a day and a second ahead"), (at + DAY + 1, ".1: once more"), (at + 5, ".1: near the clock: no claim is left"))
    read("ahead", (at + 30 * DAY, ".4: 30 days ahead"), (at + 65 * DAY, ".3: 35 days later, confirmed, and the next claim"))
    read("ahead", (at + 66 * DAY, ".3: which is confirmed in turn"))

    at = stage.device_of("ahead").clock.now
    read("ahead", (at + 10 * DAY, ".4: 10 days ahead"), (at + 45 * DAY + 1, ".4: 35 days and a second later"))
    read("ahead", (at - 10 * DAY, ".4: then back"), (at + 20 * DAY, ".4: then ahead: the sides differ"))
    read("ahead", (at + 21 * DAY, ".3: confirmed"))

    begin("back", offered_at=NOW - 40 * DAY, previous=[_signed(2, NOW - 3), _signed(3, NOW - 60 * DAY)])
    read("back", (NOW - DAY, ".1: a day back"), (NOW - DAY - 1, ".4: a day and a second back"))
    read("back", (NOW - DAY - 1, ".1: once more"), (NOW - DAY, ".1: near the clock: no claim is left"))
    read("back", (NOW - 50 * DAY, ".4: 50 days back"), (NOW - 50 * DAY + 9, ".2: too soon to confirm"))
    read("back", (NOW - 60 * DAY, ".4: earlier than the claim"))
    read("back", (NOW - 30 * DAY, ".3: confirmed, a day after the claim, and the next claim"))
    read("back", (NOW - 29 * DAY, ".3: which is confirmed in turn"))

    read("back", (0, ".4: 1970"), (LAST_SECOND, ".4: the last second"), (LAST_SECOND, ".1: once more"), (0, ".4: 1970"))
    read("back", (DAY, ".3: a day later, confirmed"), (LAST_SECOND, ".4: the last second"), (NOW, ".4: earlier than the claim"))
    read("back", (NOW + DAY, ".3: confirmed"))

    # A state that no device has, and that SN-2.31 accepts.
    begin("zero", clock=policy.Clock(0, (5 * DAY, 0)), counted_at=0)
    read("zero", (6 * DAY, ".3: the time of a prekey that is not missing is none"))


def _last_second(stage: Stage) -> None:
    week = LAST_SECOND - 7 * DAY
    signed = _signed(1, week - 1, LAST_SECOND)
    clock = policy.Clock(LAST_SECOND - 1)
    _state(stage, "last", "PP-3: a clock at its end", clock=clock, signed=signed, left=9, counted_at=week, offered_at=week)
    made = _maintain(stage, "last", LAST_SECOND - 1, [], "PP-3: sums of times end")["offered"]
    _maintain(stage, "last", LAST_SECOND, made, "PP-5, PP-6: nothing is due because a sum ended")
    _maintain(stage, "last", LAST_SECOND, made[1:], "PP-1.1: one is missing since the last second")
    _delete_at(stage, "last", 0, "PP-7.4: 1970")


ALL = [prekeys]
