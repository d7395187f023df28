# SPDX-License-Identifier: MIT OR Apache-2.0
"""§12.2: the prekeys that a device keeps, makes and deletes, and its clock."""

import copy
import os
from dataclasses import dataclass, field, replace

from . import labels
from .identity import Identity
from .prekeys import ONE_TIME, SIGNED, Prekey, PrivatePrekey
from .primitives import Rng, sha256


def after(time: int, duration: int) -> int:
    """Sums of times end at 2^64 - 1."""
    return min(time + duration, labels.LAST_SECOND)


@dataclass
class Bounds:
    """PP-C1, PP-C12, PP-C13."""

    stored: int = labels.STORED
    previous: int = labels.MAX_PREVIOUS
    replay_record: int = labels.REPLAY_RECORD

    @property
    def at_server(self) -> int:
        """PP-C2."""
        return min(labels.AT_SERVER, -(-self.stored // 4))


@dataclass
class OwnPrekey:
    """A private prekey, and the digest of its description."""

    prekey: PrivatePrekey
    digest: bytes


NEVER, LISTED, MISSING = 0, 1, 2


@dataclass
class OneTime(OwnPrekey):
    seen: int = NEVER
    """Whether the server has listed it."""
    since: int = 0
    """Since when it is missing."""


@dataclass
class Signed(OwnPrekey):
    since: int = 0
    """When it was made, or replaced."""
    has_last_resort: bool = True
    replay: list[bytes] = field(default_factory=list)


@dataclass
class Clock:
    """PP-7."""

    now: int
    claim: tuple[int, int] | None = None
    """A reading, and what the clock said then."""

    def read(self, reading: int):
        """Returns how stored times change."""
        if self.claim and self.claim[0] == reading:
            return lambda time: time
        if abs(reading - self.now) <= labels.CLOCK_STEP:
            self.now, self.claim = max(self.now, reading), None
            return lambda time: time
        is_later = reading > self.now
        if self.claim and self.claim[0] <= reading and (self.claim[0] > self.now) == is_later:
            claimed, base = self.claim
            waited = reading - claimed
            if waited < labels.CLOCK_STEP:
                return lambda time: time
            if waited <= labels.LIFETIME:
                confirmed = self.now = claimed + labels.CLOCK_STEP
                self.claim = (reading, confirmed) if reading > confirmed else None
                if is_later:
                    return lambda time: after(time, claimed - base) if time >= base else time
                return lambda time: min(time, confirmed)
        if is_later:
            self.now += labels.CLOCK_STEP
        self.claim = reading, self.now
        return lambda time: time


def remove(prekeys: list, at: int) -> None:
    """§11.6: the last one takes the place of the one that is deleted."""
    prekeys[at] = prekeys[-1]
    prekeys.pop()


def remove_all(prekeys: list, is_due) -> None:
    """The first that is due, and again."""
    while (at := next((at for at, own in enumerate(prekeys) if is_due(own)), None)) is not None:
        remove(prekeys, at)


def oldest_of(prekeys: list) -> int:
    """The place of the one with the earliest time, the first of several."""
    return min(range(len(prekeys)), key=lambda at: prekeys[at].since)


@dataclass
class Upload:
    """What Maintain hands to the server."""

    signed: Prekey | None
    """The signed prekey, if it was replaced."""
    one_time: list[Prekey]


@dataclass
class DeviceState:
    """What a device stores (§11.6), and the rules that change it."""

    signing_seed: bytes
    dh_private: bytes
    clock: Clock
    offered_at: int
    left: int
    counted_at: int
    signed: Signed
    previous: list[Signed] = field(default_factory=list)
    one_time: list[OneTime] = field(default_factory=list)
    bounds: Bounds = field(default_factory=Bounds)

    @classmethod
    def generate(cls, now: int, rng: Rng = os.urandom):
        seed, dh_private = rng(32), rng(32)
        prekey = PrivatePrekey.generate(SIGNED, after(now, labels.LIFETIME), set(), rng)
        signed = Signed(prekey, sha256(prekey.described().description), now)
        return cls(seed, dh_private, Clock(now), now, labels.MADE_A_DAY, now, signed)

    @property
    def identity(self) -> Identity:
        return Identity.certify(self.signing_seed, self.dh_private)

    @property
    def _signed(self) -> list[Signed]:
        return [self.signed, *self.previous]

    @property
    def ids(self) -> set[int]:
        """Of all prekeys of both kinds."""
        return {own.prekey.id for own in (*self._signed, *self.one_time)}

    def _read_clock(self, reading: int) -> int:
        """Returns *made at* of what is made now (PP-3)."""
        correct = self.clock.read(reading)
        self.offered_at, self.counted_at = correct(self.offered_at), correct(self.counted_at)
        for signed in self._signed:
            signed.since = correct(signed.since)
        for own in self.one_time:
            # Only a missing one has a time.
            own.since = correct(own.since) if own.seen == MISSING else 0
        return min(max(reading, self.clock.now), after(self.clock.now, labels.ABSENCE))

    def _is_past(self, time: int, duration: int) -> bool:
        """A difference of times, not a sum, which would end."""
        return self.clock.now - time >= duration

    def _is_beyond(self, own: OwnPrekey) -> bool:
        return own.prekey.expiry > after(after(self.clock.now, labels.ABSENCE), labels.LIFETIME)

    def maintain(self, reading: int, server_has: list[int], rng: Rng = os.urandom) -> Upload:
        """PP-1."""
        made_at = self._read_clock(reading)
        self._delete()
        self._mark(set(server_has[: labels.LISTED]))
        self._count()
        signed = self._replace(made_at, rng) if self._rotation_is_due(made_at) else None
        # PP-1.3
        for _ in range(self.bounds.at_server - sum(map(self._serves, self.one_time))):
            if self.left == 0 or not self._make_room():
                break
            self._make(made_at, rng)
        offered = [own.prekey.published(self.signing_seed) for own in self.one_time if own.seen == NEVER]
        return Upload(signed, offered)

    def delete(self, reading: int) -> None:
        """PP-6 as an operation of its own."""
        self._read_clock(reading)
        self._delete()

    def rotate(self, reading: int, rng: Rng = os.urandom) -> Prekey:
        """PP-5 as an operation of its own."""
        return self._replace(self._read_clock(reading), rng)

    def one_time_prekey(self, reading: int, rng: Rng = os.urandom) -> Prekey | None:
        """Makes a one-time prekey, as an operation of its own, if there is space for it."""
        made_at = self._read_clock(reading)
        return self._make(made_at, rng) if self._make_room() else None

    def _mark(self, listed: set[int]) -> None:
        now = self.clock.now
        # PP-1.2
        never = [own for own in self.one_time if own.seen == NEVER]
        given_out = labels.SERVER_BURST + max(0, now - self.offered_at) // labels.SERVER_INTERVAL
        arrived = any(own.prekey.id in listed for own in never) or len(never) <= given_out
        self.offered_at = now
        # PP-1.1
        for own in self.one_time:
            if own.prekey.id in listed:
                own.seen, own.since = LISTED, 0
            elif own.seen == LISTED or own.seen == NEVER and arrived:
                own.seen, own.since = MISSING, now

    def _count(self) -> None:
        """PP-1.4."""
        passed = max(0, self.clock.now - self.counted_at) // labels.SERVER_INTERVAL
        self.left = min(labels.MADE_A_DAY, self.left + passed)
        self.counted_at += passed * labels.SERVER_INTERVAL

    def _serves(self, own: OneTime) -> bool:
        """Whether PP-1.3 counts it."""
        is_fresh = own.prekey.expiry >= after(self.clock.now, labels.RENEWED_BEFORE_EXPIRY)
        return own.seen != MISSING and is_fresh and not self._is_beyond(own)

    def _make_room(self) -> bool:
        """PP-2."""
        if len(self.one_time) < self.bounds.stored:
            return True
        missing = [own for own in self.one_time if own.seen == MISSING]
        if not missing:
            return False
        oldest = missing[oldest_of(missing)]
        if not self._is_past(oldest.since, labels.HANDED_OUT_KEPT):
            return False
        remove(self.one_time, next(at for at, own in enumerate(self.one_time) if own is oldest))
        return True

    def _make(self, made_at: int, rng: Rng) -> Prekey:
        prekey = PrivatePrekey.generate(ONE_TIME, after(made_at, labels.LIFETIME), self.ids, rng)
        if all(own.seen != NEVER for own in self.one_time):
            self.offered_at = self.clock.now
        published = prekey.published(self.signing_seed)
        self.one_time.append(OneTime(prekey, sha256(published.description)))
        self.left = max(0, self.left - 1)
        return published

    def _rotation_is_due(self, made_at: int) -> bool:
        """PP-5."""
        current, bound = self.signed, self.bounds.replay_record
        if self._is_past(current.since, labels.ROTATION_INTERVAL):
            return True
        if current.prekey.expiry < after(made_at, labels.RENEWED_BEFORE_EXPIRY) or self._is_beyond(current):
            return True
        # PP-5.3
        is_nearly_full = bound > 0 and len(current.replay) >= bound - bound // 4
        has_space = len(self.previous) < self.bounds.previous or any(map(self._is_over, self.previous))
        return is_nearly_full and self._is_past(current.since, labels.EMERGENCY_ROTATION_INTERVAL) and has_space

    def _replace(self, made_at: int, rng: Rng) -> Prekey:
        prekey = PrivatePrekey.generate(SIGNED, after(made_at, labels.LIFETIME), self.ids, rng)
        published = prekey.published(self.signing_seed)
        replaced, now = self.signed, self.clock.now
        replaced.since = now
        # PP-6.3
        if self.previous and len(self.previous) >= self.bounds.previous:
            remove(self.previous, oldest_of(self.previous))
        if len(self.previous) < self.bounds.previous:
            self.previous.append(replaced)
        self.signed = Signed(prekey, sha256(published.description), now)
        return published

    def _is_over(self, previous: Signed) -> bool:
        """PP-6.3."""
        return self._is_past(previous.since, labels.SIGNED_PREKEY_KEPT)

    def _delete(self) -> None:
        """PP-6."""
        # PP-6.1
        is_expired = lambda own: self._is_past(own.prekey.expiry, labels.EXPIRED_KEPT)
        is_missed = lambda own: own.seen == MISSING and self._is_past(own.since, labels.EXPIRED_KEPT)
        remove_all(self.one_time, lambda own: is_expired(own) or is_missed(own) and self._is_beyond(own))
        remove_all(self.previous, self._is_over)
        # PP-6.2
        for signed in self.previous:
            if self._is_past(signed.since, labels.LAST_RESORT_KEPT):
                signed.prekey = replace(signed.prekey, kem_seed=bytes(64))
                signed.has_last_resort, signed.replay = False, []

    def duplicate(self):
        return copy.deepcopy(self)
