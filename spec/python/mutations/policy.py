# SPDX-License-Identifier: MIT OR Apache-2.0
"""§12."""

from .kinds import of

_DRAW = """        remove(self.one_time, next(at for at, own in enumerate(self.one_time) if own is oldest))
        return True

    def _make(self, made_at: int, rng: Rng) -> Prekey:
        prekey = PrivatePrekey.generate(ONE_TIME, after(made_at, labels.LIFETIME), self.ids, rng)
"""
_DRAW_FIRST = """        self.gone = oldest
        return True

    def _make(self, made_at: int, rng: Rng) -> Prekey:
        prekey = PrivatePrekey.generate(ONE_TIME, after(made_at, labels.LIFETIME), self.ids, rng)
        if len(self.one_time) == self.bounds.stored:
            remove(self.one_time, next(at for at, own in enumerate(self.one_time) if own is self.gone))
"""
_SPACE = """        if self.previous and len(self.previous) >= self.bounds.previous:
            remove(self.previous, oldest_of(self.previous))
"""
_REPLACE = """        prekey = PrivatePrekey.generate(SIGNED, after(made_at, labels.LIFETIME), self.ids, rng)
        published = prekey.published(self.signing_seed)
        replaced, now = self.signed, self.clock.now
        replaced.since = now
        # PP-6.3
"""

MUTANTS = [
    *of(
        "policy.py",
        ("HS-R1.2", "one previous signed prekey", "            self.previous.append(replaced)\n", "            self.previous = [replaced]\n"),
        ("HS-R7.4", "the others move up", "    prekeys[at] = prekeys[-1]\n    prekeys.pop()\n", "    prekeys.pop(at)\n"),
        ("PP-C1", "a quarter, rounded down", "-(-self.stored // 4)", "self.stored // 4"),
        ("PP-1", "reads the whole list", "server_has[: labels.LISTED]", "server_has"),
        ("PP-1", "a repeated id counts once", "set(server_has[: labels.LISTED])", "set(list(dict.fromkeys(server_has))[: labels.LISTED])"),
        ("PP-1", "marks before it deletes", "        self._delete()\n        self._mark(set(server_has[: labels.LISTED]))\n", "        self._mark(set(server_has[: labels.LISTED]))\n        self._delete()\n"),
        ("PP-1", "does not delete", "        self._delete()\n        self._mark", "        self._mark"),
        ("PP-1", "rotates before it deletes", "        self._delete()\n        self._mark(set(server_has[: labels.LISTED]))\n        self._count()\n        signed = self._replace(made_at, rng) if self._rotation_is_due(made_at) else None\n", "        signed = self._replace(made_at, rng) if self._rotation_is_due(made_at) else None\n        self._delete()\n        self._mark(set(server_has[: labels.LISTED]))\n        self._count()\n"),
        ("PP-1", "deleting also marks", "        self._read_clock(reading)\n        self._delete()\n", "        self._read_clock(reading)\n        self._delete()\n        self._mark(set())\n"),
        ("PP-1", "rotating also deletes", "        return self._replace(self._read_clock(reading), rng)", "        made_at = self._read_clock(reading)\n        self._delete()\n        return self._replace(made_at, rng)"),
        ("PP-1.1", "a missing one is never listed again", "            if own.prekey.id in listed:", "            if own.prekey.id in listed and own.seen != MISSING:"),
        ("PP-1.1", "a listed one stays listed", "elif own.seen == LISTED or own.seen == NEVER and arrived:", "elif own.seen == NEVER and arrived:"),
        ("PP-1.1", "a missing one is missing anew", "elif own.seen == LISTED or own.seen == NEVER and arrived:", "elif own.seen != NEVER or arrived:"),
        ("PP-1.1", "what is listed keeps its time", "                own.seen, own.since = LISTED, 0", "                own.seen = LISTED"),
        ("PP-1.1", "missing since the upload", "        self.offered_at = now\n        # PP-1.1", "        offered, self.offered_at, now = self.offered_at, now, self.offered_at\n        # PP-1.1"),
        ("PP-1.1", "a list names nothing", "            if own.prekey.id in listed:", "            if False:"),
        ("PP-1.2", "no upload arrives unseen", " or len(never) <= given_out", ""),
        ("PP-1.2", "every upload arrives", " or len(never) <= given_out", " or True"),
        ("PP-1.2", "an upload arrives in parts", "arrived = any(own.prekey.id in listed for own in never) or", "arrived ="),
        ("PP-1.2", "one fewer is handed out", "len(never) <= given_out", "len(never) < given_out"),
        ("PP-1.2", "intervals that have begun", "max(0, now - self.offered_at) // labels.SERVER_INTERVAL", "-(-max(0, now - self.offered_at) // labels.SERVER_INTERVAL)"),
        ("PP-1.2", "a lost upload keeps its time", "        self.offered_at = now\n        # PP-1.1", "        self.offered_at = now if arrived else self.offered_at\n        # PP-1.1"),
        ("PP-1.2", "only a lost upload has a new time", "        self.offered_at = now\n        # PP-1.1", "        self.offered_at = self.offered_at if arrived else now\n        # PP-1.1"),
        ("PP-1.2", "a lost upload is not published again", "if own.seen == NEVER]\n        return Upload", "if own.seen == NEVER and own.prekey.expiry == after(made_at, labels.LIFETIME)]\n        return Upload"),
        ("PP-1.2", "each new prekey is offered now", "        if all(own.seen != NEVER for own in self.one_time):\n", "        if True:\n"),
        ("PP-1.2", "no new prekey is offered now", "        if all(own.seen != NEVER for own in self.one_time):\n", "        if False:\n"),
        ("PP-1.3", "never listed ones do not count", "own.seen != MISSING and is_fresh", "own.seen == LISTED and is_fresh"),
        ("PP-1.3", "missing ones count", "own.seen != MISSING and is_fresh", "is_fresh"),
        ("PP-1.3", "those that expire soon count", "own.seen != MISSING and is_fresh and", "own.seen != MISSING and"),
        ("PP-1.3", "replaced a second early", "own.prekey.expiry >= after(self.clock.now, labels.RENEWED", "own.prekey.expiry > after(self.clock.now, labels.RENEWED"),
        ("PP-1.3", "those beyond count", " and is_fresh and not self._is_beyond(own)", " and is_fresh"),
        ("PP-1.3", "beyond a second early", "        return own.prekey.expiry > after(after(", "        return own.prekey.expiry >= after(after("),
        ("PP-1.3", "beyond without the lifetime", "own.prekey.expiry > after(after(self.clock.now, labels.ABSENCE), labels.LIFETIME)", "own.prekey.expiry > after(self.clock.now, labels.LIFETIME)"),
        ("PP-1.3", "makes as many as the server should have", "self.bounds.at_server - sum(map(self._serves, self.one_time))", "self.bounds.at_server"),
        ("PP-1.4", "no budget", "if self.left == 0 or not self._make_room():", "if not self._make_room():"),
        ("PP-1.4", "prekeys cost nothing", "        self.left = max(0, self.left - 1)\n", ""),
        ("PP-1.4", "only Maintain pays", "        self.left = max(0, self.left - 1)\n", "        self.left = max(0, self.left - (len(self.one_time) != 9))\n"),
        ("PP-1.4", "a budget below nothing", "self.left = max(0, self.left - 1)", "self.left = self.left - 1"),
        ("PP-1.4", "no more than a day's is not a rule", "self.left = min(labels.MADE_A_DAY, self.left + passed)", "self.left = self.left + passed"),
        ("PP-1.4", "nothing is earned", "self.left = min(labels.MADE_A_DAY, self.left + passed)", "pass"),
        ("PP-1.4", "the rest of the time is lost", "self.counted_at += passed * labels.SERVER_INTERVAL", "self.counted_at = self.clock.now"),
        ("PP-1.4", "the same time counts twice", "        self.counted_at += passed * labels.SERVER_INTERVAL\n", ""),
        ("PP-1.4", "time stands still for a full budget", "self.counted_at += passed * labels.SERVER_INTERVAL", "self.counted_at += (passed if self.left < labels.MADE_A_DAY else 0) * labels.SERVER_INTERVAL"),
        ("PP-1.4", "intervals that have begun", "passed = max(0, self.clock.now - self.counted_at) // labels.SERVER_INTERVAL", "passed = -(-max(0, self.clock.now - self.counted_at) // labels.SERVER_INTERVAL)"),
        ("PP-1.4", "a negative time", "passed = max(0, self.clock.now - self.counted_at) //", "passed = (self.clock.now - self.counted_at) //"),
        ("PP-2", "a full store makes nothing", "        if not missing:\n            return False\n", "        return False\n"),
        ("PP-2", "one too many", "if len(self.one_time) < self.bounds.stored:", "if len(self.one_time) <= self.bounds.stored:"),
        ("PP-2", "full one too early", "if len(self.one_time) < self.bounds.stored:", "if len(self.one_time) < self.bounds.stored - 1:"),
        ("PP-2", "the first that is missing", "oldest = missing[oldest_of(missing)]", "oldest = missing[0]"),
        ("PP-2", "the last of several", "min(range(len(prekeys)), key", "min(reversed(range(len(prekeys))), key"),
        ("PP-2", "the one that was missed last", "return min(range(len(prekeys)), key", "return max(range(len(prekeys)), key"),
        ("PP-2", "at once", "        if not self._is_past(oldest.since, labels.HANDED_OUT_KEPT):\n            return False\n", ""),
        ("PP-2", "what is listed is evicted", "missing = [own for own in self.one_time if own.seen == MISSING]", "missing = [own for own in self.one_time if own.seen != NEVER]"),
        ("PP-2", "what was never listed is evicted", "missing = [own for own in self.one_time if own.seen == MISSING]", "missing = [own for own in self.one_time if own.seen != LISTED]"),
        ("PP-2", "the id is drawn before", _DRAW, _DRAW_FIRST),
        ("PP-3", "made at the clock's time", "return min(max(reading, self.clock.now), after(self.clock.now, labels.ABSENCE))", "return self.clock.now"),
        ("PP-3", "made at any reading", "return min(max(reading, self.clock.now), after(self.clock.now, labels.ABSENCE))", "return reading"),
        ("PP-3", "made at any later reading", "return min(max(reading, self.clock.now), after(self.clock.now, labels.ABSENCE))", "return max(reading, self.clock.now)"),
        ("PP-3", "made at any earlier reading", "return min(max(reading, self.clock.now), after(self.clock.now, labels.ABSENCE))", "return min(reading, after(self.clock.now, labels.ABSENCE))"),
        ("PP-3", "a sum without end", "    return min(time + duration, labels.LAST_SECOND)", "    return time + duration"),
        ("PP-3", "a sum that wraps", "    return min(time + duration, labels.LAST_SECOND)", "    return (time + duration) % 2**64"),
        ("PP-5.1", "no age is enough", "        if self._is_past(current.since, labels.ROTATION_INTERVAL):\n            return True\n", ""),
        ("PP-5.2", "no expiry is near", "if current.prekey.expiry < after(made_at, labels.RENEWED_BEFORE_EXPIRY) or", "if"),
        ("PP-5.2", "a second early", "if current.prekey.expiry < after(made_at", "if current.prekey.expiry <= after(made_at"),
        ("PP-5.2", "near the clock's time", "if current.prekey.expiry < after(made_at,", "if current.prekey.expiry < after(self.clock.now,"),
        ("PP-5.2", "beyond is as good", " or self._is_beyond(current):", ":"),
        ("PP-5.3", "a record may fill", "return is_nearly_full and self._is_past", "return False and self._is_past"),
        ("PP-5.3", "three quarters, rounded down", "len(current.replay) >= bound - bound // 4", "len(current.replay) >= bound - -(-bound // 4)"),
        ("PP-5.3", "one entry late", "len(current.replay) >= bound - bound // 4", "len(current.replay) > bound - bound // 4"),
        ("PP-5.3", "at once", "is_nearly_full and self._is_past(current.since, labels.EMERGENCY_ROTATION_INTERVAL) and", "is_nearly_full and"),
        ("PP-5.3", "whatever has space", " labels.EMERGENCY_ROTATION_INTERVAL) and has_space", " labels.EMERGENCY_ROTATION_INTERVAL)"),
        ("PP-5.3", "without any record", "is_nearly_full = bound > 0 and len", "is_nearly_full = len"),
        ("PP-5", "a replaced prekey keeps its time", "        replaced.since = now\n", ""),
        ("PP-4", "a new signed prekey empties the record", "        replaced.since = now\n", "        replaced.since, replaced.replay = now, []\n"),
        ("PP-5", "replaced at the reading", "        replaced.since = now\n", "        replaced.since = made_at\n"),
        ("PP-5", "made at the reading", "self.signed = Signed(prekey, sha256(published.description), now)", "self.signed = Signed(prekey, sha256(published.description), made_at)"),
        ("PP-5", "the id is drawn after", _REPLACE + _SPACE, _SPACE + _REPLACE),
        ("PP-6.1", "no expired one is deleted", "remove_all(self.one_time, lambda own: is_expired(own) or", "remove_all(self.one_time, lambda own:"),
        ("PP-6.1", "never listed ones do not expire", "is_expired(own) or is_missed", "is_expired(own) and own.seen != NEVER or is_missed"),
        ("PP-6.1", "what is beyond stays", "is_expired(own) or is_missed(own) and self._is_beyond(own)", "is_expired(own)"),
        ("PP-6.1", "what is missing goes", "is_missed(own) and self._is_beyond(own)", "is_missed(own)"),
        ("PP-6.1", "what is beyond goes, missing or not", "is_missed = lambda own: own.seen == MISSING and", "is_missed = lambda own:"),
        ("PP-6.1", "deleted in the order of before", "    while (at := next((at for at, own in enumerate(prekeys) if is_due(own)), None)) is not None:\n        remove(prekeys, at)\n", "    for own in [own for own in prekeys if is_due(own)]:\n        remove(prekeys, next(at for at, other in enumerate(prekeys) if other is own))\n"),
        ("PP-6.1", "the others move up", "    while (at := next((at for at, own in enumerate(prekeys) if is_due(own)), None)) is not None:\n        remove(prekeys, at)\n", "    prekeys[:] = [own for own in prekeys if not is_due(own)]\n"),
        ("PP-6.2", "no last-resort key is deleted", "            if self._is_past(signed.since, labels.LAST_RESORT_KEPT):\n", "            if False:\n"),
        ("PP-6.2", "the KEM seed stays", "                signed.prekey = replace(signed.prekey, kem_seed=bytes(64))\n", ""),
        ("PP-6.2", "the record stays", "signed.has_last_resort, signed.replay = False, []", "signed.has_last_resort = False"),
        ("PP-6.2", "the current one's goes, too", "for signed in self.previous:\n            if self._is_past", "for signed in self._signed:\n            if self._is_past"),
        ("PP-6.3", "no previous one is deleted", "        remove_all(self.previous, self._is_over)\n", ""),
        ("PP-6.3", "with its last-resort key", "return self._is_past(previous.since, labels.SIGNED_PREKEY_KEPT)", "return self._is_past(previous.since, labels.LAST_RESORT_KEPT)"),
        ("PP-6.3", "one more than PREVIOUS", "        if self.previous and len(self.previous) >= self.bounds.previous:\n            remove(self.previous, oldest_of(self.previous))\n        if len(self.previous) < self.bounds.previous:\n", "        if True:\n"),
        ("PP-6.3", "the replaced one, not the oldest", _SPACE, ""),
        ("PP-6.3", "a previous one where none has space", "        if len(self.previous) < self.bounds.previous:\n            self.previous", "        if True:\n            self.previous"),
        ("PP-6.3", "the first, not the oldest", "remove(self.previous, oldest_of(self.previous))", "remove(self.previous, 0)"),
        ("PP-6", "a sum that ends is due", "return self.clock.now - time >= duration", "return self.clock.now >= after(time, duration)"),
        ("PP-6", "a second late", "return self.clock.now - time >= duration", "return self.clock.now - time > duration"),
        ("PP-7.1", "the same reading moves the clock", "        if self.claim and self.claim[0] == reading:\n            return lambda time: time\n", ""),
        ("PP-7.1", "a step is a second less", "if abs(reading - self.now) <= labels.CLOCK_STEP:", "if abs(reading - self.now) < labels.CLOCK_STEP:"),
        ("PP-7.1", "a step back is none", "if abs(reading - self.now) <= labels.CLOCK_STEP:", "if 0 <= reading - self.now <= labels.CLOCK_STEP:"),
        ("PP-7.1", "goes back", "self.now, self.claim = max(self.now, reading), None", "self.now, self.claim = reading, None"),
        ("PP-7.1", "an ordinary reading keeps the claim", "self.now, self.claim = max(self.now, reading), None", "self.now, self.claim = max(self.now, reading), self.claim and (self.claim[0], max(self.now, reading))"),
        ("PP-7", "follows every reading", "        is_later = reading > self.now\n", "        self.now, self.claim = reading, None\n        return lambda time: time\n        is_later = reading > self.now\n"),
        ("PP-7", "an earlier reading confirms", "if self.claim and self.claim[0] <= reading and", "if self.claim and"),
        ("PP-7", "the sides need not agree", "self.claim[0] <= reading and (self.claim[0] > self.now) == is_later:", "self.claim[0] <= reading:"),
        ("PP-7.2", "confirmed at once", "            if waited < labels.CLOCK_STEP:\n                return lambda time: time\n", ""),
        ("PP-7.2", "a second late", "if waited < labels.CLOCK_STEP:", "if waited <= labels.CLOCK_STEP:"),
        ("PP-7.2", "too soon is a new claim", "            if waited < labels.CLOCK_STEP:\n                return lambda time: time\n            if waited <= labels.LIFETIME:", "            if labels.CLOCK_STEP <= waited <= labels.LIFETIME:"),
        ("PP-7.3", "confirmed however late", "            if waited <= labels.LIFETIME:\n", "            if True:\n"),
        ("PP-7.3", "a second less", "if waited <= labels.LIFETIME:", "if waited < labels.LIFETIME:"),
        ("PP-7.3", "set to the reading", "confirmed = self.now = claimed + labels.CLOCK_STEP", "confirmed = self.now = reading"),
        ("PP-7.3", "set to the claim", "confirmed = self.now = claimed + labels.CLOCK_STEP", "confirmed = self.now = claimed"),
        ("PP-7.3", "no next claim", "self.claim = (reading, confirmed) if reading > confirmed else None", "self.claim = None"),
        ("PP-7.3", "always a next claim", "self.claim = (reading, confirmed) if reading > confirmed else None", "self.claim = reading, confirmed"),
        ("PP-7.3", "times since the claim stay", "return lambda time: after(time, claimed - base) if time >= base else time", "return lambda time: time"),
        ("PP-7.3", "all times move", "return lambda time: after(time, claimed - base) if time >= base else time", "return lambda time: after(time, claimed - base)"),
        ("PP-7.3", "times at the claim stay", "if time >= base else time", "if time > base else time"),
        ("PP-7.3", "times become the claim", "return lambda time: after(time, claimed - base) if time >= base else time", "return lambda time: max(time, claimed) if time >= base else time"),
        ("PP-7.3", "times later than the clock stay", "return lambda time: min(time, confirmed)", "return lambda time: time"),
        ("PP-7.3", "offered_at stays", "self.offered_at, self.counted_at = correct(self.offered_at), correct(self.counted_at)", "self.counted_at = correct(self.counted_at)"),
        ("PP-7.3", "counted_at stays", "self.offered_at, self.counted_at = correct(self.offered_at), correct(self.counted_at)", "self.offered_at = correct(self.offered_at)"),
        ("PP-7.3", "the time of signed prekeys stays", "            signed.since = correct(signed.since)\n", "            pass\n"),
        ("PP-7.3", "the time of previous signed prekeys stays", "        for signed in self._signed:\n            signed.since = correct", "        for signed in [self.signed]:\n            signed.since = correct"),
        ("PP-7.3", "the time of missing prekeys stays", "            own.since = correct(own.since) if own.seen == MISSING else 0\n", "            pass\n"),
        ("PP-7.3", "a prekey that is not missing has a time", "own.since = correct(own.since) if own.seen == MISSING else 0", "own.since = correct(own.since)"),
        ("PP-7.4", "a claim moves nothing", "        if is_later:\n            self.now += labels.CLOCK_STEP\n", ""),
        ("PP-7.4", "a claim of the past moves the clock", "        if is_later:\n            self.now += labels.CLOCK_STEP\n", "        self.now += labels.CLOCK_STEP if is_later else -min(self.now, labels.CLOCK_STEP)\n"),
        ("PP-7.4", "no claim", "        self.claim = reading, self.now\n        return", "        return"),
        ("PP-7.4", "the first claim stays", "        self.claim = reading, self.now\n        return", "        self.claim = (self.claim[0] if self.claim else reading), self.now\n        return"),
        ("PP-7.4", "the base is before the step", "        if is_later:\n            self.now += labels.CLOCK_STEP\n        self.claim = reading, self.now", "        self.claim = reading, self.now\n        if is_later:\n            self.now += labels.CLOCK_STEP"),
    ),
    *of(
        "labels.py",
        ("PP-C1", "396 prekeys", "STORED = 400", "STORED = 396"),
        ("PP-C3", "143 a day", "MADE_A_DAY = 144", "MADE_A_DAY = 143"),
        ("PP-C4", "a burst of 21", "SERVER_BURST = 20", "SERVER_BURST = 21"),
        ("PP-C4", "a burst of 19", "SERVER_BURST = 20", "SERVER_BURST = 19"),
        ("PP-C4", "an interval of 599 s", "SERVER_INTERVAL = 600", "SERVER_INTERVAL = 599"),
        ("PP-C4", "an interval of 601 s", "SERVER_INTERVAL = 600", "SERVER_INTERVAL = 601"),
        *(
            (rule, f"{name} is a second {what}", f"\n{name} = {value}\n", f"\n{name} = {value} {sign} 1\n")
            for rule, name, value in (
                ("PP-C5", "HANDED_OUT_KEPT", "2 * DAY"),
                ("PP-C6", "LIFETIME", "35 * DAY"),
                ("PP-C7", "RENEWED_BEFORE_EXPIRY", "7 * DAY"),
                ("PP-C8", "EXPIRED_KEPT", "14 * DAY"),
                ("PP-C9", "ROTATION_INTERVAL", "7 * DAY"),
                ("PP-C9", "EMERGENCY_ROTATION_INTERVAL", "DAY"),
                ("PP-C10", "LAST_RESORT_KEPT", "7 * DAY"),
                ("PP-C11", "SIGNED_PREKEY_KEPT", "14 * DAY"),
                ("PP-C14", "CLOCK_STEP", "DAY"),
                ("PP-C15", "ABSENCE", "35 * DAY"),
                ("PP-C16", "LISTED", "1_000"),
            )
            for what, sign in (("more", "+"), ("less", "-"))
        ),
    ),
]
