# SPDX-License-Identifier: MIT OR Apache-2.0
"""§8 to §10, §13, §14: messages of a current chain, of a new one, and late ones."""

import copy

import forge
from noescrow import curve, primitives, snapshot, wire
from noescrow.double import Due
from noescrow.primitives import dh
from stage import Stage

R, GONE, MANY = "refused", "key gone", "too many skipped"
PN, N, TYPE, EPOCH, INDEX, CHUNK, NUMBER, FLAGS = 32, 36, 40, 41, 45, 47, 79, 83
MAX_U32 = b"\xff" * 4


def u32(value: int) -> bytes:
    return value.to_bytes(4, "big")


def begin(name: str, comment: str, chunk: int = 32) -> tuple[Stage, str, str]:
    stage = Stage(name, comment)
    stage.device("Alice")
    stage.device("Bob")
    return stage, *stage.pair("S", chunk)


def messages() -> Stage:
    """One current chain, from A to B."""
    stage, a, b = begin(
        "messages",
        "Messages of a current chain, each refused for one flaw alone. Honest ones take DR-E1, DR-E2, DR-E3, DR-E4, TR-1, PD-1, "
        "SP-S2, SP-R2, DR-D7, DR-D8, DR-D9, FL-1.",
    )
    stage.pass_on(a, b)
    held = stage.send(a, b"held back")
    stage.pass_on(a, b)

    def forged(**how) -> bytes:
        return forge.message(stage.session(a), stage.rng, **how)

    def refuse(why: str, data: bytes, word: str = R) -> None:
        stage.deliver(b, data, word, why)

    plain = forged()
    refuse("DR-D1: nothing", b"")
    refuse("DR-D1: a type alone", plain[:1])
    refuse("DR-D1: no body's tag", plain[:148])
    refuse("DR-D1: a tag that is cut", plain[:147])
    for outer in (0x00, 0x10, 0x13):
        refuse("DR-D1: an outer byte that is not known", bytes([outer]) + plain[1:])
        refuse("DR-D1: the same, sealed with it", bytes([outer]) + forged(outer=bytes([outer]))[1:])
    refuse("DR-D1: a handshake's outer byte", b"\x11" + plain[1:])
    for at, what in ((1, "routing tag"), (10, "salt"), (17, "commitment"), (40, "header"), (120, "header's tag"), (140, "body's tag"), (149, "body")):
        refuse(f"DR-D2: another {what}", forge.flipped(plain, at))
    refuse("DR-D2: a body that is cut", plain[:-1])
    refuse("DR-D2: a longer body", plain + b"\0")
    for at in (0, 7, 15):
        refuse("DR-D2: a commitment of another key", forged(wrong_commitment=at))
    refuse("DR-D8: other associated data", forged(ad=b"other"))
    refuse("DR-D2: of another session", forge.message(stage.session(_other_pair(stage)[0]), stage.rng))
    stage.deliver(a, plain, R, "DR-D2: back at its sender")
    for padded, what in _paddings():
        refuse(f"DR-D8: {what}", forged(padded=padded))
    # DR-D3.
    for kind in (6, 7, 255):
        refuse(f"DR-D3: type {kind} of the Braid", forged(edit=forge.put(TYPE, bytes([kind]))))
    none = bytes(1) + u32(1) + bytes(2) + bytes(32)
    refuse("DR-D3: None with a chunk", forged(edit=forge.put(TYPE, none[:-1] + b"\1")))
    refuse("DR-D3: None with an index", forged(edit=forge.put(TYPE, none[:6] + b"\1" + bytes(32))))
    for epoch in (0, 2**32 - 1):
        refuse(f"DR-D3: epoch {epoch}", forged(edit=forge.put(EPOCH, u32(epoch))))
    for flags in (1, 4, 8, 16, 32, 64, 128):
        refuse(f"DR-D3: flags {flags}" + (", an age before the first epoch" if flags == 1 else ""), forged(edit=forge.put(FLAGS, bytes([flags]))))
    refuse("SP-R1: n = 0", forged(edit=forge.put(NUMBER, u32(0))))
    # SP-R1.
    refuse("SP-R1: an epoch whose chains are not kept", forged(edit=forge.put(EPOCH, u32(2))))
    refuse("SP-R1: new, and an n that is used", forged(edit=forge.put(NUMBER, u32(2))))
    reached = stage.session(b).triple.sparse.epochs[0].receiving.number
    refuse("SP-R1.4: new, and the n that came last", forged(edit=forge.put(NUMBER, u32(reached))))
    late = forge.message(stage.session(a), stage.rng, spoil=lambda t: _rewind_sparse(t, stage, held))
    refuse("SP-R1: new, and an n whose key is kept", late)
    refuse("SP-R1: n = 2^32 - 1", forged(edit=forge.put(NUMBER, MAX_U32)), MANY)
    # DR-D4.
    refuse("DR-D4: new, another DHs than the chain's", forged(edit=forge.put(0, primitives.dh_public(bytes([5]) * 32))))
    refuse("DR-D4: an N that is used, a new n", forged(fields={"number": 2}), GONE)
    refuse("DR-D5: N = 2^32 - 1", forged(edit=forge.put(N, MAX_U32)), MANY)
    _accepted(stage, a, b, forged)
    _too_long(stage, a)
    _late(stage, a, b, held)
    return stage


def _other_pair(stage: Stage) -> tuple[str, str]:
    return stage.pair("Other")


def _rewind_sparse(ratchet, stage: Stage, held: dict) -> None:
    """The sparse sending chain as it was before the held message: its key is kept at the receiver."""
    before = stage.before[held["at"]]
    ratchet.sparse.epochs[0].sending = copy.deepcopy(before.triple.sparse.epochs[0].sending)


def _paddings() -> list[tuple[bytes, str]]:
    text = b"forged"
    padded = wire.pad(text)
    return [
        (b"", "no padding"),
        (b"\0", "a zero"),
        (bytes(8), "zeros alone"),
        (b"\x81", "another marker"),
        (text + b"\x40\0", "another marker, and a zero"),
        (text + b"\x80\1", "something behind the marker"),
        (padded + bytes(33 - len(padded)), "33 bytes, which no length gives"),
        (b"\x80".ljust(129, b"\0"), "129 bytes, which no length gives"),
    ]


def _accepted(stage: Stage, a: str, b: str, forged) -> None:
    """What a receiver does not check."""
    for why, data in (
        ("DR-D2: another routing tag in the salt", forged(salt=bytes(16))),
        ("DR-D5: PN means nothing under HKr", forged(edit=forge.put(PN, MAX_U32))),
        ("DR-D3: the control flag", forged(edit=forge.put(FLAGS, b"\2"))),
        ("DR-D8: a larger class than needed", forged(padded=b"forged\x80".ljust(64, b"\0"))),
        ("DR-D8: a much larger class", forged(padded=b"\x80".ljust(4_608, b"\0"))),
        ("DR-D8: an empty text", forged(padded=b"\x80")),
        ("DR-D8: a text that ends in a marker and zeros", forged(padded=wire.pad(b"x\x80\0\0"))),
        ("SP-R1: None", forged(edit=forge.put(TYPE, bytes(1) + u32(1) + bytes(34)))),
    ):
        kept = stage.play("store", kind="session", name=b, storage_key=bytes([0xA5]) * 32, generation=1)
        stage.deliver(b, data, why=why)
        _back(stage, b, kept)
    for text, options in (
        (b"", {}),
        (b"x", {"min_padded_len": 1}),
        (b"x", {"min_padded_len": 33}),
        (b"x" * 40, {"min_padded_len": 33}),
        (b"", {"control": True}),
        (b"close", {"control": True, "min_padded_len": 256}),
        (b"covered".ljust(4_095, b"."), {}),
        (b"longer than what is covered".ljust(4_500, b"."), {}),
    ):
        stage.deliver(b, stage.send(a, text, associated_data=b"data", **options), associated_data=b"data")


def _back(stage: Stage, name: str, stored: dict) -> None:
    subject = snapshot.subject_of_session(stage.session(name))
    stage.play("restore", kind="session", name=name, storage_key=bytes([0xA5]) * 32, newest=0, subject=subject, of=stored["at"])


def _too_long(stage: Stage, a: str) -> None:
    stage.send(a, b"x", min_padded_len=2**30 + 2, refused="too long", why="DR-E0.1: a minimum above the longest")


def _late(stage: Stage, a: str, b: str, held: dict) -> None:
    """DR-D4 for overtaken messages."""
    sender = stage.before[held["at"]]
    other = forge.message(sender, stage.rng, edit=forge.put(0, primitives.dh_public(bytes([5]) * 32)))
    stage.deliver(b, other, R, "DR-D4: overtaken, another DHs than the chain's")
    stage.deliver(b, forge.message(sender, stage.rng, edit=forge.put(EPOCH, u32(0))), R, "BM-4: overtaken, epoch 0")
    for epoch in (2, 3, 2**32 - 2):
        ahead = forge.message(sender, stage.rng, edit=forge.put(EPOCH, u32(epoch)))
        stage.deliver(b, ahead, GONE, "SP-R1.1: overtaken, of an epoch above the newest")
    again = forge.message(sender, stage.rng, edit=forge.put(PN, MAX_U32))
    kept = stage.play("store", kind="session", name=b, storage_key=bytes([0xA5]) * 32, generation=1)
    stage.deliver(b, again, why="DR-D4: overtaken, its PN means nothing")
    _back(stage, b, kept)
    stage.deliver(b, held)
    stage.deliver(b, held, GONE, "DR-D4: the same again")
    stage.deliver(b, forge.message(sender, stage.rng, b"another"), GONE, "DR-D4: another text under a used number")
    one, two = stage.send(a), stage.send(a)
    stage.deliver(b, two)
    stage.pass_on(b, a)
    stage.pass_on(a, b)
    for number in (0, stage.before[two["at"]].triple.double.sending.number, 2**32 - 1):
        other = forge.message(stage.before[one["at"]], stage.rng, fields={"number": number})
        stage.deliver(b, other, GONE, "DR-D4.1: of the chain before, without a key of this N; the key of its n is kept")
    stage.deliver(b, one, why="DR-D4: of the chain before")
    stage.deliver(b, one, R, "DR-D9: the header key died with its chain's last kept key")
    stage.deliver(b, two, R, "DR-D2: a chain without kept keys")


def new_chains() -> Stage:
    """DR-D6."""
    stage, a, b = begin("new_chains", "Messages of a new chain, each refused for one flaw alone.")
    stage.pass_on(a, b)
    stage.pass_on(b, a)
    # A is about to begin a chain; B has a chain of its own, and HKr.
    ours, theirs = stage.session(b).triple.double, stage.session(a).triple.double

    def forged(**how) -> bytes:
        return forge.message(stage.session(a), stage.rng, **how)

    def refuse(why: str, data: bytes, word: str = R) -> None:
        stage.deliver(b, data, word, why)

    private = ours.sending.ratchet_private
    public = primitives.dh_public(private)
    refuse("DR-D6: our own DHs", forged(step=(public, dh(private, public))))
    old = ours.receiving.remote_ratchet_key
    refuse("DR-D6: DHr, once more", forged(step=(old, dh(private, old))))
    mine = stage.rng(32)
    key, shared = primitives.dh_public(mine), dh(private, primitives.dh_public(mine))
    refuse("DR-D3: DHs with bit 255 set", forged(step=(forge.flipped(key, 31, 128), shared)))
    nine = (9).to_bytes(32, "little")
    refuse("DR-D3: DHs = p + 9", forged(step=((curve.P + 9).to_bytes(32, "little"), dh(private, nine))))
    for low in (*forge.low_order(), curve.P.to_bytes(32, "little")):
        refuse(f"DR-D3: DHs of low order, {low.hex()[:8]}", forged(step=(low, bytes(32))))
    refuse("DR-D6: N = 2^32 - 1, before too many", forged(edit=forge.put(N, MAX_U32)))
    refuse("DR-D6: 25,001 at the head", forged(ec_skip=25_001), MANY)
    refuse("DR-D3: an age before the first epoch", forged(edit=forge.put(FLAGS, b"\1")))
    stored = stage.play("store", kind="session", name=b, storage_key=bytes([0xA5]) * 32, generation=1)
    twist, shifted = forge.on_the_twist(), forge.with_torsion(key)
    for why, data in (
        ("DR-D6: DHs on the twist", forged(step=(twist, dh(private, twist)))),
        ("DR-D6: DHs with a torsion component", forged(step=(shifted, shared))),
        ("DR-D6: DHs = 9", forged(step=(nine, dh(private, nine)))),
        ("DR-D6: 25,000 at the head", forged(ec_skip=25_000, pq_skip=25_000)),
        ("DR-D6: PN below Nr", forged(edit=forge.put(PN, u32(0)))),
        ("DR-D6: 25,000 at the end", forged(edit=forge.put(PN, u32(25_000 + ours.receiving.number)))),
        ("DR-D6: 25,001 at the end are given up", forged(edit=forge.put(PN, u32(25_001 + ours.receiving.number)))),
        ("DR-D6: PN = 2^32 - 1 is given up", forged(edit=forge.put(PN, MAX_U32), ec_skip=3, pq_skip=3)),
        ("DR-D6: 25,000 at the end and at the head", forged(edit=forge.put(PN, u32(25_000 + ours.receiving.number)), ec_skip=25_000, pq_skip=50_000)),
        ("DR-D7: 1,500 at the end and 1,000 at the head", forged(edit=forge.put(PN, u32(1_500 + ours.receiving.number)), ec_skip=1_000, pq_skip=2_500)),
        ("DR-D7: 1 at the end and 2,000 at the head", forged(edit=forge.put(PN, u32(1 + ours.receiving.number)), ec_skip=2_000, pq_skip=2_001)),
        ("SP-R2: 5 at the head, 9 in the sparse chain", forged(ec_skip=5, pq_skip=9)),
    ):
        stage.deliver(b, data, why=why)
        _back(stage, b, stored)
    stage.pass_on(a, b)
    again = forge.message(stage.session(a), stage.rng, spoil=lambda t: setattr(t.double, "sending", Due(theirs.receiving.remote_ratchet_key, 1)))
    stage.deliver(b, again, R, "DR-D6: a sending step is due")
    # The first reply of a responder who uses its signed prekey's pair again.
    c, d = stage.pair("First", answered=False)
    spk = stage.device_of("Bob").signed.prekey.dh_private
    reply = forge.message(stage.session(d), stage.rng, private=spk, edit=forge.put(PN, u32(7)))
    stage.deliver(c, reply, why="DR-D6: SPK is compared with nothing; without an HKr PN means nothing")
    return stage


def loss() -> Stage:
    """Jumps at their limits, and which keys are kept of them."""
    stage, a, b = begin("loss", "Jumps at their limits, and which keys are kept.")
    stage.pass_on(a, b)
    start = copy.deepcopy(stage.session(a))

    def at(number: int, **how) -> bytes:
        """Message `number` after the first of A's chain."""
        return forge.message(start, stage.rng, b"%d" % number, ec_skip=number, pq_skip=number, **how)

    stored = stage.play("store", kind="session", name=b, storage_key=bytes([0xA5]) * 32, generation=1)
    stage.deliver(b, at(25_001), MANY, "DR-D5: 25,001 in a chain")
    sparse_alone = forge.message(start, stage.rng, pq_skip=50_001)
    stage.deliver(b, sparse_alone, MANY, "SP-R1: 50,001 in the sparse chain")
    stage.deliver(b, forge.message(start, stage.rng, pq_skip=50_000), why="SP-R1: 50,000 in the sparse chain, none kept")
    _back(stage, b, stored)
    stage.deliver(b, at(25_000), why="DR-D5: 25,000 in a chain")
    stage.deliver(b, at(22_999), GONE, "DR-D9: of a jump the newest 2,000 are kept, not the one before")
    stage.deliver(b, at(23_000), why="DR-D9: the oldest of 2,000")
    stage.deliver(b, at(24_999), why="DR-D9: the newest of 2,000")
    stage.deliver(b, at(25_003), why="DR-D9: 2 more: nothing is evicted, since two were used")
    stage.deliver(b, at(23_001), why="DR-D9: still the oldest")
    stage.deliver(b, at(25_006))
    stage.deliver(b, at(23_002), GONE, "DR-D9: the oldest was evicted")
    stage.deliver(b, at(23_003), why="DR-D9: the next was not")
    _back(stage, b, stored)
    stage.deliver(b, at(2_000), why="DR-D9: exactly 2,000")
    stage.deliver(b, at(0), why="DR-D9: the first of them")
    _back(stage, b, stored)
    stage.deliver(b, at(2_001), why="DR-D9: one more than 2,000")
    stage.deliver(b, at(0), GONE, "DR-D9: the first of them was not kept")
    stage.deliver(b, at(1), why="DR-D9: the second was")
    _two_chains(stage)
    _steps(stage)
    _counters(stage)
    return stage


def _two_chains(stage: Stage) -> None:
    """The oldest by step and number, over two chains; the end of a chain that is given up."""
    for name, end, head in (("Full", 1_200, 1_000), ("Given up", 25_001, 10)):
        a, b = stage.pair(name)
        kept = [stage.send(a, b"skipped before the end") for _ in range(2)]
        stage.pass_on(a, b)
        start = copy.deepcopy(stage.session(a))
        stage.pass_on(b, a)

        def lengthen(ratchet):
            ratchet.double.sending.previous_chain_length += end

        late = lambda number: forge.message(start, stage.rng, b"late", ec_skip=number, pq_skip=number)
        private, begun = stage.rng(32), copy.deepcopy(stage.session(a))
        ahead = lambda number: forge.message(
            begun, stage.rng, spoil=lengthen, private=private, ec_skip=number, pq_skip=end + number
        )
        stage.deliver(b, ahead(head), why=f"DR-D6.7: {end} at the end, {head} at the head")
        if name == "Full":
            stage.deliver(b, kept[0], GONE, "DR-D9.4: the oldest are of the chain before: its first")
            stage.deliver(b, kept[1], GONE, "DR-D9.4: and its second")
            for number, refused in ((199, GONE), (200, None), (1_199, None)):
                stage.deliver(b, late(number), refused, f"DR-D7.1: {number} of the end")
            for number in (0, 999):
                stage.deliver(b, ahead(number), why=f"DR-D9.4: {number} of the head")
        else:
            stage.deliver(b, late(3), GONE, "DR-D6.7: of an end that was given up")
            for message in kept:
                stage.deliver(b, message, why="DR-D6.7: kept before the end was given up")
            stage.deliver(b, late(3), R, "DR-D9.5: no key of the chain is kept any more")
            stage.deliver(b, ahead(0), why="DR-D6.7: the head is kept")


def _steps(stage: Stage) -> None:
    """Keys of chains 31, 32 and 33 steps below the newest."""
    a, b = stage.pair("Steps")
    held = [stage.send(a, b"held %d" % i) for i in range(3)]
    stage.pass_on(a, b)
    step, of_step = stage.session(b).triple.double.step, {}
    for number in range(1, 34):
        stage.pass_on(b, a, b"")
        of_step[number] = stage.send(a, b"")
        stage.pass_on(a, b, b"")
        if number >= 31:
            refused = R if number == 33 else None
            stage.deliver(b, held[number - 31], refused, f"DR-D9: {number} steps below the newest")
    if stage.session(b).triple.double.step != step + 33:
        raise AssertionError
    for number in (31, 17, 2, 1, 32):
        stage.deliver(b, of_step[number], why=f"DR-D2: {33 - number} steps below the newest, while keys of newer ones are kept")


def _counters(stage: Stage) -> None:
    """N, Ns and n at their ends."""
    a, b = stage.pair("Counters")
    stage.pass_on(a, b)
    far = {name: copy.deepcopy(stage.session(name)) for name in (a, b)}
    far[a].triple.double.sending.number = far[b].triple.double.receiving.number = 2**32 - 3
    for name in (a, b):
        stage.put(name, far[name])
    stage.deliver(b, forge.message(far[a], stage.rng, ec_skip=2, pq_skip=2), R, "DR-D5: N = 2^32 - 1")
    stage.deliver(b, forge.message(far[a], stage.rng, ec_skip=1, pq_skip=1), why="DR-D5: N = 2^32 - 2")
    stage.send(a)
    stage.send(a, why="DR-E0: the chain's last message")
    stage.send(a, refused="chain exhausted", why="DR-E0: the chain has sent 2^32 - 1")
    c, d = stage.pair("Last step")
    stage.pass_on(c, d)
    stage.pass_on(d, c)
    for step, refused in ((2**32 - 1, R), (2**32 - 2, None)):
        last = copy.deepcopy(stage.session(d))
        last.triple.double.step = step
        stage.put(d, last, why=f"DR-D6.5: a session at step {step}")
        stage.deliver(d, forge.message(stage.session(c), stage.rng), refused, f"DR-D6.5: a step after {step}")
    end = copy.deepcopy(far[a])
    end.triple.double.sending.number = 5
    end.triple.sparse.epochs[0].sending.number = 2**32 - 2
    stage.put(a, end)
    stage.send(a, why="SP-S2: n = 2^32 - 1")
    stage.send(a, refused="chain exhausted", why="SP-S2: there is no further n")


ALL = [messages, new_chains, loss]
