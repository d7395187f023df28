# SPDX-License-Identifier: MIT OR Apache-2.0
"""§11: every invariant of a stored session."""

import copy
from dataclasses import replace

import forge
from noescrow import braid, client, curve, primitives, snapshot, stored_session
from noescrow.double import Due, NotYet, Sending
from noescrow.erasure import Decoder
from noescrow.sparse import Chain
from noescrow.wire import u8, u32
from stage import Stage

R = "refused"


def _base(name: str, comment: str, chunk: int = 256) -> tuple[Stage, str, str]:
    """B has kept keys of three steps and two epochs, and sends."""
    stage = Stage(name, comment)
    stage.device("Alice")
    stage.device("Bob")
    return stage, *stage.pair("S", chunk)


def sessions() -> Stage:
    """Every invariant of a stored session."""
    stage, a, b = _base("session_states", "States of sessions that are sealed correctly, and impossible.")
    # Lost messages in several chains, until B holds keys of two live epochs.
    while stage.session(b).triple.sparse.braid.sending_epoch < 2 or len({e for e, _ in stage.session(b).triple.sparse.kept}) < 2:
        stage.send(a, b"lost")
        stage.pass_on(a, b, b"")
        stage.pass_on(b, a, b"")
        if len(stage.events) > 600:
            raise AssertionError
    good = copy.deepcopy(stage.session(b))
    stage.put("copy", good, of=b)

    def refuse(rule: str, what: str, change, base: client.Session = good, word: str = R) -> None:
        session = copy.deepcopy(base)
        if rule == "BM-8":
            _forget(session.triple.double)
        change(session, session.triple.double, session.triple.sparse)
        stage.put("copy", session, word, f"{rule}: {what}", of=b)

    def accept(rule: str, what: str, change, base: client.Session = good) -> None:
        session = copy.deepcopy(base)
        if rule == "BM-8":
            _forget(session.triple.double)
        change(session, session.triple.double, session.triple.sparse)
        stage.put("copy", session, None, f"{rule}: {what}", of=b)

    _double(refuse, accept)
    _sparse(refuse, accept)
    _parts(stage, good, b)
    _forms(stage, good, a, b)
    return stage


def _double(refuse, accept) -> None:
    def kept(step_of, number_of):
        return lambda _, d, __: d.kept.update({(step_of(d), number_of(d)): bytes(32)})

    refuse("SN-2.17", "answered, and a responder", lambda s, _, __: setattr(s, "opening", client.Answered()))
    refuse("SN-2.18", "the other direction", lambda _, __, p: setattr(p, "direction", 1 - p.direction))
    refuse("SN-2.19", "no receiving chain after a step", lambda _, d, __: (setattr(d, "receiving", None), _forget(d)))
    refuse("SN-2.19", "a receiving chain at step 0", lambda _, d, __: (_forget(d), setattr(d, "step", 0), setattr(d.sending, "previous_chain_length", 0)))
    refuse("SN-2.19", "Nr = 0", lambda _, d, __: (_forget(d), setattr(d.receiving, "number", 0)))
    refuse("SN-2.20", "Waiting after a step", lambda _, d, __: setattr(d, "sending", NotYet(bytes(32))))
    refuse("SN-2.20", "Ns = 0", lambda _, d, __: setattr(d.sending, "number", 0) if isinstance(d.sending, Sending) else _as_sending(d, 0))
    refuse("SN-2.21", "a mixed epoch in the future", lambda _, d, p: _mixed(d, p.braid.sending_epoch + 1))
    refuse("SN-2.21", "a mixed epoch two back", lambda _, d, p: _mixed(d, p.braid.sending_epoch - 2))
    for back in (0, 1):
        accept("SN-2.21", f"a mixed epoch {back} back", lambda _, d, p: _mixed(d, p.braid.sending_epoch - back))
    refuse("SN-2.22", "a stored header key of the newest step", lambda _, d, __: (d.header_keys.update({d.step: bytes(32)}), d.kept.update({(d.step, 0): bytes(32)}), setattr(d.receiving, "number", 9)))
    refuse("SN-2.22", "a stored header key of a later step", lambda _, d, __: (d.header_keys.update({d.step + 1: bytes(32)}), d.kept.update({(d.step + 1, 0): bytes(32)})))
    refuse("SN-2.22", "a header key of step 0", lambda _, d, __: (d.header_keys.update({0: bytes(32)}), d.kept.update({(0, 0): bytes(32)})))
    refuse("SN-2.22", "a header key 33 steps back", lambda _, d, __: (_only_oldest(d), setattr(d, "step", min(d.header_keys) + 33)))
    accept("SN-2.22", "a header key 32 steps back", lambda _, d, __: (_only_oldest(d), setattr(d, "step", min(d.header_keys) + 32)))
    refuse("SN-2.22", "a header key without a kept key", lambda _, d, __: _drop_keys(d, min(d.header_keys)))
    refuse("SN-2.23", "a kept key without its header key", lambda _, d, __: d.header_keys.pop(min(d.header_keys)))
    refuse("SN-2.23", "a kept key of the message that came last", kept(lambda d: d.step, lambda d: d.receiving.number - 1))
    refuse("SN-2.23", "a kept key of the next message", kept(lambda d: d.step, lambda d: d.receiving.number))
    refuse("SN-2.23", "a kept key of a chain to come", kept(lambda d: d.step + 1, lambda _: 0))
    accept("SN-2.23", "a kept key of the message before", lambda _, d, __: (setattr(d.receiving, "number", 3), d.kept.update({(d.step, 1): bytes(32)})))
    accept("SN-2.23", "any N of an earlier step", kept(lambda d: min(d.header_keys), lambda _: 2**32 - 1))
    refuse("SN-2.12", "DHr with bit 255 set", lambda _, d, __: setattr(d.receiving, "remote_ratchet_key", forge.flipped(d.receiving.remote_ratchet_key, 31, 128)))
    refuse("SN-2.12", "DHr of low order", lambda _, d, __: setattr(d.receiving, "remote_ratchet_key", forge.low_order()[-1]))
    accept("SN-2.12", "DHr on the twist", lambda _, d, __: setattr(d.receiving, "remote_ratchet_key", forge.on_the_twist()))
    refuse("SN-2.12", "DHr of a due step, of low order", lambda _, d, __: setattr(d, "sending", Due(bytes(32), 1)))


def _forget(double) -> None:
    double.kept, double.header_keys = {}, {}


def _mixed(double, epoch: int) -> None:
    _as_sending(double, 1)
    double.sending.mixed_epoch = max(0, epoch) if epoch >= 0 else 2**32 - 1


def _as_sending(double, number: int) -> None:
    double.sending = Sending(bytes([1]) * 32, bytes(32), bytes(32), number, 0, getattr(double.sending, "mixed_epoch", 0))


def _only_oldest(double) -> None:
    oldest = min(double.header_keys)
    double.header_keys = {oldest: double.header_keys[oldest]}
    double.kept = {at: key for at, key in double.kept.items() if at[0] == oldest}


def _drop_keys(double, step: int) -> None:
    double.kept = {at: key for at, key in double.kept.items() if at[0] != step}


def _sparse(refuse, accept) -> None:
    refuse("SN-2.24", "a newest epoch beyond the Braid's", lambda _, __, p: (setattr(p, "newest", p.newest + 1), p.epochs.update({p.newest: copy.deepcopy(p.epochs[p.newest - 1])})))
    refuse("SN-2.24", "an epoch too few", lambda _, __, p: _oldest_out(p))
    refuse("SN-2.25", "a sending chain of the epoch before", lambda _, __, p: setattr(p.epochs[p.braid.sending_epoch - 1], "sending", Chain(bytes(32))))
    refuse("SN-2.25", "no sending chain", lambda _, __, p: setattr(p.epochs[p.braid.sending_epoch], "sending", None))
    refuse("SN-2.27", "a kept n of the message that came last", lambda _, __, p: p.kept.update({(_used(p), p.epochs[_used(p)].receiving.number): bytes(32)}))
    refuse("SN-2.27", "a kept n beyond", lambda _, __, p: p.kept.update({(_used(p), p.epochs[_used(p)].receiving.number + 1): bytes(32)}))
    refuse("SN-2.27", "a kept n of 0", lambda _, __, p: p.kept.update({(_used(p), 0): bytes(32)}))
    refuse("SN-2.27", "a kept key of a retired epoch", lambda _, __, p: p.kept.update({(min(p.epochs) - 1, 1): bytes(32)}))
    refuse("SN-2.27", "a kept key of an epoch to come", lambda _, __, p: p.kept.update({(p.newest + 1, 1): bytes(32)}))
    accept("SN-2.27", "a kept n just below", lambda _, __, p: p.kept.update({(_used(p), p.epochs[_used(p)].receiving.number - 1): bytes(32)}) if p.epochs[_used(p)].receiving.number > 1 else None)
    refuse("SN-2.26", "the encapsulator in the decapsulator's epoch", lambda _, __, p: _other_role(p))
    for what, state in (("2", braid.KeysSampled(bytes(64), 0)), ("3", braid.HeaderSent(bytes(64), 0, Decoder(960, 256))), ("5", braid.EkSentCt1Received(bytes(64), bytes(960), Decoder(160, 256)))):
        refuse("BM-8", f"nothing issued, or no chunk, in state {what}", lambda _, __, p, state=state: _in_decapsulator(p, state))
    accept("BM-8", "state 2 with one codeword issued", lambda _, __, p: _in_decapsulator(p, braid.KeysSampled(bytes(64), 1)))
    accept("BM-8", "state 4 with none issued", lambda _, __, p: _in_decapsulator(p, braid.Ct1Received(bytes(64), 0, bytes(960))))
    accept("BM-8", "issued at its end", lambda _, __, p: _in_decapsulator(p, braid.Ct1Received(bytes(64), 65_536, bytes(960))))
    refuse("BM-8", "issued beyond its end", lambda _, __, p: _in_decapsulator(p, braid.Ct1Received(bytes(64), 65_537, bytes(960))))
    full = {i: bytes(256) for i in range(4)}
    refuse("BM-8", "as many chunks as complete it", lambda _, __, p: _in_decapsulator(p, braid.HeaderSent(bytes(64), 0, Decoder(960, 256, full))))
    some = lambda count, length: Decoder(length, 256, {i: bytes(256) for i in range(count)})
    refuse("BM-8", "as many chunks as complete it, in state 5", lambda _, __, p: _in_decapsulator(p, braid.EkSentCt1Received(bytes(64), bytes(960), some(1, 160))))
    refuse("BM-8", "as many chunks as complete it, in state 6", lambda _, __, p: _in_encapsulator(p, braid.NoHeaderReceived(some(1, 96)), with_epoch=False))
    refuse("BM-8", "as many chunks as complete it, in state 8", lambda _, __, p: _in_encapsulator(p, braid.Ct1Sampled(bytes(32), bytes(64), 1, some(5, 1152))))
    refuse("BM-8", "as many chunks as complete it, in state 10", lambda _, __, p: _in_encapsulator(p, braid.Ct1Acknowledged(bytes(32), bytes(64), some(5, 1152))))
    accept("BM-8", "one chunk fewer, in state 10", lambda _, __, p: _in_encapsulator(p, braid.Ct1Acknowledged(bytes(32), bytes(64), some(4, 1152))))
    for issued, put in ((65_536, accept), (65_537, refuse)):
        put("BM-8", f"{issued} issued in state 2", lambda _, __, p: _in_decapsulator(p, braid.KeysSampled(bytes(64), issued)))
        put("BM-8", f"{issued} issued in state 3", lambda _, __, p: _in_decapsulator(p, braid.HeaderSent(bytes(64), issued, some(1, 960))))
        put("BM-8", f"{issued} issued in state 8", lambda _, __, p: _in_encapsulator(p, braid.Ct1Sampled(bytes(32), bytes(64), issued, some(0, 1152))))
        put("BM-8", f"{issued} issued in state 9", lambda _, __, p: _in_encapsulator(p, braid.EkReceivedCt1Sampled(bytes(32), bytes(64), issued, bytes(1152))))
        put("BM-8", f"{issued} issued in state 11", lambda _, __, p: _in_encapsulator(p, braid.Ct2Sampled(bytes(160), issued)))
    accept("BM-8", "one chunk fewer", lambda _, __, p: _in_decapsulator(p, braid.HeaderSent(bytes(64), 0, Decoder(960, 256, {i: bytes(256) for i in (2, 0, 65_535)}))))
    for what, state in (
        ("8", braid.Ct1Sampled(bytes(32), bytes(64), 0, Decoder(1152, 256))),
        ("9", braid.EkReceivedCt1Sampled(bytes(32), bytes(64), 0, bytes(1152))),
        ("10", braid.Ct1Acknowledged(bytes(32), bytes(64), Decoder(1152, 256))),
    ):
        refuse("BM-8", f"nothing issued, or no chunk, in state {what}", lambda _, __, p, state=state: _in_encapsulator(p, state))
    accept("BM-8", "state 11 with none issued", lambda _, __, p: _in_encapsulator(p, braid.Ct2Sampled(bytes(160), 0)))
    refuse("SN-2.24", "no epoch of its own in state 8", lambda _, __, p: _in_encapsulator(p, braid.Ct1Sampled(bytes(32), bytes(64), 1, Decoder(1152, 256)), with_epoch=False))


def _used(sparse) -> int:
    return max(number for number, epoch in sparse.epochs.items() if epoch.receiving.number)


def _oldest_out(sparse) -> None:
    oldest = min(sparse.epochs)
    del sparse.epochs[oldest]
    sparse.kept = {at: key for at, key in sparse.kept.items() if at[0] != oldest}


def _settle(sparse, newest: int) -> None:
    """The epochs of the sending epoch, and up to `newest`."""
    sending = sparse.braid.sending_epoch
    some = copy.deepcopy(sparse.epochs[min(sparse.epochs)])
    sparse.epochs = {number: copy.deepcopy(sparse.epochs.get(number, some)) for number in range(max(0, sending - 1), newest + 1)}
    for number, epoch in sparse.epochs.items():
        epoch.sending = Chain(bytes(32), 1) if number >= sending else None
    sparse.newest = newest
    sparse.kept = {}


def _in_decapsulator(sparse, state) -> None:
    """In an epoch in which this side is the decapsulator."""
    if (sparse.braid.epoch % 2 == 1) != (sparse.direction == 0):
        sparse.braid.epoch += 1
    sparse.braid.state = state
    _settle(sparse, sparse.braid.sending_epoch)


def _in_encapsulator(sparse, state, with_epoch: bool = True) -> None:
    if (sparse.braid.epoch % 2 == 1) == (sparse.direction == 0):
        sparse.braid.epoch += 1
    sparse.braid.state = state
    _settle(sparse, sparse.braid.sending_epoch + with_epoch)


def _other_role(sparse) -> None:
    sparse.braid.state = braid.NoHeaderReceived(Decoder(96, 256))
    if (sparse.braid.epoch % 2 == 1) != (sparse.direction == 0):
        sparse.braid.epoch += 1
    _settle(sparse, sparse.braid.sending_epoch)


def _parts(stage: Stage, good: client.Session, b: str) -> None:
    """§11.3, on bytes."""
    bare = copy.deepcopy(good)
    bare.triple.double.kept, bare.triple.sparse.kept = {}, {}
    core = stored_session.session_state(bare)
    parts = stored_session.session_state(good)[len(core) :]
    ec = snapshot.key_parts(1, good.triple.double.kept)
    pq = snapshot.key_parts(2, good.triple.sparse.kept)
    if parts != ec + pq:
        raise AssertionError

    def case(why: str, data: bytes, refused: str | None = R) -> None:
        stage.put("copy", core + data, refused, why, of=b)

    case("SN-2.10: as it was", ec + pq, None)
    case("SN-2.10: the sparse ratchet's first", pq + ec)
    last = max(at for at in good.triple.sparse.kept)
    newest = {at: key for at, key in good.triple.sparse.kept.items() if (at[0], at[1] // 32) == (last[0], last[1] // 32)}
    case("SN-2.10: the last part twice", ec + pq + snapshot.key_parts(2, newest))
    step = good.triple.double.step
    empty = snapshot.name_of(1, min(good.triple.double.header_keys), 7) + u32(0)
    case("SN-2.8: an empty mask", empty + ec + pq)
    case("SN-2.8: an empty mask, in its place", ec + pq + snapshot.name_of(2, last[0], 2**27 - 1) + u32(0))
    first = min(good.triple.double.header_keys)
    case("SN-2.8: a page of 2^27", snapshot.key_parts(1, {at: key for at, key in good.triple.double.kept.items() if at[0] == first}) + snapshot.name_of(1, first, 2**27) + u32(1) + bytes(32) + snapshot.key_parts(1, {at: key for at, key in good.triple.double.kept.items() if at[0] != first}) + pq)
    last_page = snapshot.name_of(1, first, 2**27 - 1) + u32(1) + bytes(32)
    case("SN-2.8: a page of 2^27 - 1", snapshot.key_parts(1, {at: key for at, key in good.triple.double.kept.items() if at[0] == first}) + last_page + snapshot.key_parts(1, {at: key for at, key in good.triple.double.kept.items() if at[0] != first}) + pq, None)
    case("SN-2.10: a part of another number", ec + pq + snapshot.name_of(5, 0, 0) + u32(1) + bytes(32))
    case("SN-2.10: a device's part", ec + pq + snapshot.name_of(4, 1, 0) + u8(1) + bytes(16))
    case("SN-2.10: part 0", snapshot.name_of(0, 0, 0) + u32(1) + bytes(32) + ec + pq)
    case("SN-2.8: a key too few", ec + pq[:-1])
    # Of pages: keys on both sides of a boundary, in two parts.
    at = min(good.triple.double.header_keys)
    wide = copy.deepcopy(good)
    wide.triple.double.kept |= {(at, number): bytes([number % 251]) * 32 for number in (31, 32, 63, 64, 2**32 - 1)}
    stage.put("copy", wide, None, "SN-2.8: pages of 32", of=b)
    pages = [snapshot.key_parts(1, {key: value}) for key, value in sorted(wide.triple.double.kept.items()) if key[0] == at and key[1] in (31, 32)]
    case("SN-2.10: pages that descend", pages[1] + ec[: len(ec)] + pq if step else b"")


def _forms(stage: Stage, good: client.Session, a: str, b: str) -> None:
    """SN-2.12 on bytes, openings, foreign and dead sessions."""
    state = stored_session.session_state(good)
    opening = 1 + 256 + 64
    chunk = opening + 33
    places = [("has_parties", 0, 2), ("opening", opening, 3), ("chunk size", chunk, 4), ("sending", chunk + 33, 3)]
    sending_len = {0: 32, 1: 36, 2: 108}[state[chunk + 33]]
    places.append(("receiving chain", chunk + 34 + sending_len, 2))
    for what, at, value in places:
        stage.put("copy", state[:at] + u8(value) + state[at + 1 :], R, f"SN-2.12: {what} = {value}", of=b)
    for whose, at in (("local", 1), ("remote", 1 + 128)):
        dh_key = at + 32
        for what, key in (("with bit 255 set", forge.flipped(state[dh_key : dh_key + 32], 31, 128)), ("of low order", forge.low_order()[-1])):
            stage.put("copy", state[:dh_key] + key + state[dh_key + 32 :], R, f"SN-2.12: the {whose} identity's DH key {what}", of=b)
        twist = state[:dh_key] + forge.on_the_twist() + state[dh_key + 32 :]
        stage.put("copy", twist, None, f"SN-2.12: the {whose} identity's DH key on the twist", of=b)
        stage.put("copy", state[:at] + bytes([255]) * 32 + state[dh_key:], None, f"SN-2.12: any {whose} signing key", of=b)
        stage.put("copy", forge.flipped(state, at + 99), None, f"SN-2.12: any {whose} certificate", of=b)
    direction = state.index(u8(good.triple.direction) + good.triple.sparse.root)
    stage.put("copy", state[:direction] + u8(2) + state[direction + 1 :], R, "SN-2.12: direction = 2", of=b)
    number = state.index(u32(good.triple.sparse.braid.epoch) + good.triple.sparse.braid.authenticator.root) - 1
    stage.put("copy", state[:number] + u8(12) + state[number + 1 :], R, "BM-8: a twelfth state", of=b)
    twice = copy.deepcopy(good)
    _in_decapsulator(twice.triple.sparse, braid.HeaderSent(bytes(64), 1, Decoder(960, 256, {1: bytes(256), 2: bytes(256)})))
    data = stored_session.session_state(twice)
    again = data.replace(b"\0\2" + bytes(256), b"\0\1" + bytes(256), 1)
    stage.put("copy", again, R, "BM-8: chunks of one index twice", of=b)
    fits = {
        0: braid.Ct1Sampled(bytes(32), bytes(64), 1, Decoder(1152, 256)),
        1: braid.KeysUnsampled(),
        2**32 - 2: braid.Ct1Sampled(bytes(32), bytes(64), 1, Decoder(1152, 256)),
        2**32 - 1: braid.KeysUnsampled(),
    }
    for epoch, fitting in fits.items():
        session = copy.deepcopy(stage.session(a))
        ratchet = session.triple.sparse
        session.triple.double.sending = Due(session.triple.double.receiving.remote_ratchet_key, 1)
        ratchet.braid.epoch, ratchet.braid.state = epoch, fitting
        _settle(ratchet, epoch if isinstance(fitting, braid.Ct1Sampled) else epoch - 1)
        stage.put("copy", session, R if epoch in (0, 2**32 - 1) else None, f"BM-8: epoch {epoch}", of=a)
    (one, first), (two, second) = sorted(good.triple.double.header_keys.items())[:2]
    count = u32(len(good.triple.double.header_keys))
    once, again = count + u32(one) + first, u32(int.from_bytes(count, "big") + 1) + (u32(one) + first) * 2
    stage.put("copy", state.replace(once, again), R, "SN-2.22: header keys with one step twice", of=b)
    ordered, swapped = u32(one) + first + u32(two) + second, u32(two) + second + u32(one) + first
    if state.count(ordered) != 1:
        raise AssertionError
    stage.put("copy", state.replace(ordered, swapped), R, "SN-2.22: header keys that descend", of=b)
    _openings(stage)
    _foreign(stage)
    _dead(stage)


def _openings(stage: Stage) -> None:
    """SN-2.13 to SN-2.18."""
    a, b = stage.pair("Opening", 32, answered=False)
    fresh, accepted = copy.deepcopy(stage.session(a)), copy.deepcopy(stage.session(b))
    stage.put("copy", fresh, of=a)

    def refuse(rule: str, what: str, change, base=fresh, of: str = a) -> None:
        session = copy.deepcopy(base)
        change(session)
        stage.put("copy", session, R, f"{rule}: {what}", of=of)

    def handshake(at: int, byte: int):
        return lambda s: setattr(s.opening, "handshake", forge.put(at, bytes([byte]))(s.opening.handshake))

    refuse("SN-2.13", "the handshake has another chunk size", handshake(1_610, 1))
    refuse("SN-2.13", "a handshake with the reserved flag", handshake(5, 2))
    refuse("SN-2.13", "a handshake of another type", handshake(0, 0x12))
    for what, key in (("of low order", forge.low_order()[-1]), ("p + 9", (curve.P + 9).to_bytes(32, "little")), ("with bit 255 set", forge.flipped(fresh.opening.handshake[10:42], 31, 128))):
        refuse("SN-2.13", f"a handshake whose EK is {what}", lambda s, key=key: setattr(s.opening, "handshake", forge.put(10, key)(s.opening.handshake)))
    refuse("SN-2.15", "unanswered, and a step is due", lambda s: setattr(s.triple.double, "sending", Due(s.triple.double.receiving.remote_ratchet_key if s.triple.double.receiving else (9).to_bytes(32, "little"), 0)))
    refuse("SN-2.17", "answered, and nothing was received", lambda s: setattr(s, "opening", client.Answered()))
    refuse("SN-2.16", "accepted, by the initiator", lambda s: setattr(s, "opening", client.Accepted(bytes(32))))
    refuse("SN-2.20", "PN above 0 at step 0", lambda s: setattr(s.triple.double.sending, "previous_chain_length", 1))
    refuse("SN-2.18", "an initiator that waits", lambda s: setattr(s.triple.double, "sending", NotYet(bytes(32))))
    stage.pass_on(b, a)
    answered = copy.deepcopy(stage.session(a))
    stage.put("copy", answered, of=a)
    refuse("SN-2.15", "unanswered, and there is a receiving chain", lambda s: (setattr(s, "opening", fresh.opening), setattr(s.triple.double, "sending", fresh.triple.double.sending)), answered)
    refuse("SN-2.15", "unanswered, by the responder", lambda s: setattr(s, "opening", fresh.opening), accepted, b)

    def nothing(s):
        d = s.triple.double
        d.receiving, d.step, d.sending, d.kept, d.header_keys = None, 0, NotYet(bytes([1]) * 32), {}, {}

    refuse("SN-2.16", "accepted, and nothing was received", nothing, accepted, b)


def _foreign(stage: Stage) -> None:
    """SN-2.14; KS-4."""
    private = stage.rng(32)
    secret, context = stage.rng(32), b"a foreign handshake's context"
    public = primitives.dh_public(private)
    stage.play("foreign", session="F A", role="initiator", secret=secret, ratchet_key=public, context=context)
    stage.play("foreign", session="F B", role="responder", secret=secret, ratchet_secret=private, context=context)
    stage.play("foreign", session="F C", role="responder", secret=secret, ratchet_secret=private, context=b"")
    for key in (forge.with_torsion(public), forge.on_the_twist(), forge.flipped(public, 31, 128)):
        stage.play("foreign", R, "KS-4.2: the ratchet key", session="never", role="initiator", secret=secret, ratchet_key=key, context=context)
    stage.send("F B", refused="nothing received yet", why="DR-E0.4")
    stage.send("F B", b"x", min_padded_len=2**30 + 2, refused="too long", why="DR-E0.1: goes before DR-E0.4: nothing was received")
    for name in ("F A", "F B"):
        stage.put(name, copy.deepcopy(stage.session(name)), why="SN-2.14: before anything was sent")
    due = Due(public, 0)
    for name, what, sending in (("F A", "an initiator that waits", NotYet(private)), ("F B", "a responder with a step due", due)):
        session = copy.deepcopy(stage.session(name))
        session.triple.double.sending = sending
        stage.put("copy", session, R, f"SN-2.18: {what}", of=name)
    first = stage.send("F A")
    stage.deliver("F C", first, R, "KS-4.1: another context")
    stage.deliver("F B", first)
    stage.pass_on("F B", "F A")
    state = stored_session.session_state(stage.session("F B"))
    at = state.index(u8(1) + stage.session("F B").triple.sparse.root)
    stage.put("copy", state[:at] + u8(2) + state[at + 1 :], R, "SN-2.12: direction = 2, without parties", of="F B")
    answered = copy.deepcopy(stage.session("F A"))
    for what, fields in (("no receiving chain after a step", {"receiving": None}), ("a receiving chain at step 0", {"step": 0})):
        session = copy.deepcopy(answered)
        for field, value in fields.items():
            setattr(session.triple.double, field, value)
        session.triple.double.sending = replace(due, previous_chain_length=0)
        stage.put("copy", session, R, f"SN-2.19: {what}, without parties", of="F A")
    for name in ("F A", "F B"):
        good = copy.deepcopy(stage.session(name))
        for what, opening in (("unanswered", client.Unanswered(stage.device_of("Alice") and _some_handshake(stage))), ("accepted", client.Accepted(bytes(32)))):
            session = copy.deepcopy(good)
            session.opening = opening
            stage.put("copy", session, R, f"SN-2.14: no parties, {what}", of=name)
        state = stored_session.session_state(good)
        # flag, AD, id, opening.
        stage.put("copy", state[:66] + u8(1) + state[67:], R, "SN-2.14: no parties, and chunks of 64 bytes", of=name)


def _some_handshake(stage: Stage) -> bytes:
    event = next(event for event in stage.events if event["do"] == "initiate" and "message" in event)
    return bytes.fromhex(event["message"])[:1_756]


def _dead(stage: Stage) -> None:
    """SN-2.28."""
    a, b = stage.pair("Dead", 32)
    for name in (a, b):
        dead = copy.deepcopy(stage.session(name))
        dead.triple.last_remote_key = (9).to_bytes(32, "little")
        dead.triple.double = dead.triple.sparse = None
        stage.put("copy", dead, None, "SN-2.28: abandoned", of=name)
        stage.send("copy", refused="abandoned", why="FL-3.2: after a restart")
        state = stored_session.session_state(dead)
        start = 1 + 256 + 64 + (1 if name == a else 33) + 1
        double = [("RK", 0), ("sending", 32), ("DHr", 64), ("PN", 68), ("receiving chain", 69), ("NHKs", 70), ("NHKr", 102), ("step", 137), ("count", 141)]
        for what, at in double:
            changed = forge.flipped(state, start + at, 128 if what == "DHr" else 1)
            stage.put("copy", changed, R, f"SN-2.28: abandoned, {what}", of=name)
        key = (9).to_bytes(32, "little")
        whole = [
            ("Waiting", 32, u8(0) + bytes(32), 37),
            ("Sending", 32, u8(2) + bytes(96) + u32(1) + bytes(8), 37),
            ("a receiving chain", 69, u8(1) + key + bytes(64) + u32(1), 1),
            ("a header key", 138, u32(1) + u32(1) + bytes(32), 4),
        ]
        for what, at, inserted, length in whole:
            at += start
            stage.put("copy", state[:at] + inserted + state[at + length :], R, f"SN-2.28: abandoned, {what}, as a live session has it", of=name)
        part = snapshot.name_of(1, 1, 0) + u32(1) + bytes(32)
        stage.put("copy", state + part, R, "SN-2.28: abandoned, and a kept key", of=name)
        stage.put("copy", state[:-1] + u8(2), R, "SN-2.12: abandoned, direction = 2", of=name)
        stage.put("copy", state[:-1] + u8(1 - state[-1]), R, "SN-2.16, SN-2.17: abandoned, the other direction", of=name)
    first = stage.pair("Dead too", 32, answered=False)[0]
    fresh = copy.deepcopy(stage.session(first))
    fresh.triple.last_remote_key = (9).to_bytes(32, "little")
    fresh.triple.double = fresh.triple.sparse = None
    stage.put("copy", fresh, R, "SN-2.15: abandoned, and unanswered", of=first)


ALL = [sessions]
