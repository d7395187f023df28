# SPDX-License-Identifier: MIT OR Apache-2.0
"""§11: what is stored of a device, and its invariants."""

from . import errors, labels
from .client import Device
from .policy import MISSING, Bounds, Clock, Signed
from .prekeys import SIGNED
from .primitives import sha256
from .snapshot import (
    DEVICE,
    ONE_TIME_PREKEY,
    PAGE,
    REPLAY,
    name_of,
    read_parts,
    read_prekey,
    require,
    seal,
    stored_one_time,
    stored_prekey,
    subject_of_device,
    unseal,
)
from .wire import Reader, u8, u32, u64


def snapshot_device(device: Device, key: bytes, generation: int) -> bytes:
    return seal(DEVICE, device_state(device), key, generation, subject_of_device(device))


def restore_device(snapshot: bytes, key: bytes, subject: bytes, newest: int = 0, bounds: Bounds | None = None) -> Device:
    return read_device(unseal(DEVICE, snapshot, key, newest, subject), bounds or Bounds())


def read_device(state: bytes, bounds: Bounds) -> Device:
    reader = Reader(state)
    seed, dh_private, now = reader.take(32), reader.take(32), reader.u64()
    clock = Clock(now, (reader.u64(), reader.u64()) if reader.flag() else None)
    times = reader.u64(), reader.u32(), reader.u64()
    signed, count = _read_signed(reader), reader.u32()
    if count > bounds.previous:
        raise errors.Refused
    previous = [_read_signed(reader) for _ in range(count)]
    parts = read_parts(reader)
    one_time = [prekey for name, prekey in parts if name[0] == ONE_TIME_PREKEY]
    if [name[0] for name, _ in parts] != sorted(name[0] for name, _ in parts) or any(name[0] < 3 for name, _ in parts):
        raise errors.Refused
    device = Device(seed, dh_private, clock, *times, signed, previous, one_time, bounds)
    _read_replay([part for part in parts if part[0][0] == REPLAY], [signed, *previous])
    _check_device(device)
    return device


def _read_replay(parts: list, signed: list[Signed]) -> None:
    require(len({name for name, _ in parts}) == len(parts))
    for (_, prekey_id, page), entries in parts:
        record = next((s.replay for s in signed if s.prekey.id == prekey_id), None)
        # All pages but the last are full.
        require(record is not None and len(record) == PAGE * page)
        record += entries


def device_state(device: Device) -> bytes:
    clock = device.clock
    state = device.signing_seed + device.dh_private + u64(clock.now)
    state += u8(0) if clock.claim is None else u8(1) + u64(clock.claim[0]) + u64(clock.claim[1])
    state += u64(device.offered_at) + u32(device.left) + u64(device.counted_at) + _signed(device.signed)
    state += u32(len(device.previous)) + b"".join(_signed(signed) for signed in device.previous)
    for own in device.one_time:
        state += name_of(ONE_TIME_PREKEY, own.prekey.id, 0) + stored_one_time(own)
    for signed in (device.signed, *device.previous):
        for at in range(0, len(signed.replay), PAGE):
            entries = signed.replay[at : at + PAGE]
            state += name_of(REPLAY, signed.prekey.id, at // PAGE) + u8(len(entries)) + b"".join(entries)
    return state


def _signed(signed: Signed) -> bytes:
    return stored_prekey(signed) + u64(signed.since) + u8(signed.has_last_resort)


def _read_signed(reader: Reader) -> Signed:
    return Signed(*read_prekey(reader, SIGNED), reader.u64(), reader.flag())


# §11's invariants.


def _check_device(device: Device) -> None:
    own = [device.signed, *device.previous, *device.one_time]
    ids = {prekey.prekey.id for prekey in own}
    require(len(ids) == len(own))
    require(0 not in ids)
    require(all(prekey.prekey.max_version > 0 for prekey in own))
    require(device.clock.claim is None or device.clock.claim[1] == device.clock.now)
    require(device.left <= labels.MADE_A_DAY)
    require(all(one_time.seen <= MISSING for one_time in device.one_time))
    require(all(one_time.seen == MISSING or one_time.since == 0 for one_time in device.one_time))
    require(device.signed.has_last_resort)
    for signed in device.previous:
        if not signed.has_last_resort:
            require(signed.prekey.kem_seed == bytes(64))
            require(not signed.replay)
    require(len(device.one_time) <= device.bounds.stored)
    require(all(len(signed.replay) <= device.bounds.replay_record for signed in (device.signed, *device.previous)))
    kept = [prekey for prekey in own if prekey.prekey.kem_seed != bytes(64)]
    require(all(prekey.digest == sha256(prekey.prekey.described().description) for prekey in kept))
