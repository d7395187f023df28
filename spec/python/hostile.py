# SPDX-License-Identifier: MIT OR Apache-2.0
"""A peer that has the keys and breaks the rules: authentic headers with wrong fields."""

import copy
import dataclasses
import random

from noescrow import client, errors, policy, primitives, wire
from noescrow.triple import Triple, seal
from noescrow.wire import BraidMessage, Header

JUMPS = (1, 2, 7, 1_999, 2_000, 2_001, 24_999, 25_000, 25_001)


def forge(sender: Triple, handshake: bytes | None, rng: random.Random) -> bytes:
    """A message of `sender` with some wrong fields in its header; the sender's state does not change. Keys fit the
    wrong fields wherever the sender could have derived them, so that the body opens if the header is accepted."""
    triple = copy.deepcopy(sender)
    double, sparse = triple.double, triple.sparse

    def wrong(of: int = 6) -> bool:
        return rng.randrange(of) == 0

    epoch = sparse.braid.sending_epoch
    double.send_step(rng.randbytes, sparse.epochs[epoch].header_secret, epoch)
    message, key = sparse.braid.send(rng.randbytes)
    sparse._fold(key)
    if wrong() and epoch + 1 in sparse.epochs and sparse.epochs[epoch + 1].sending:
        epoch += 1
    chain = sparse.epochs[epoch].sending
    for _ in range(rng.choice((*JUMPS, 49_999, 50_000, 50_001)) if wrong(12) else 0):
        chain.skip()
    pq_mk = chain.step()
    for _ in range(rng.choice(JUMPS) if wrong(12) else 0):
        double.send()
    number = double.sending.number
    ec_mk = double.send()

    stamped = message.epoch + (epoch - sparse.braid.sending_epoch)
    index = rng.choice([0, 1, message.index + 1, 65_535]) if wrong() else message.index
    chunk = rng.randbytes(len(message.chunk)) if wrong(5) else message.chunk
    kind = rng.randrange(7) if wrong() else message.kind
    if kind == wire.NONE and not wrong():
        index, chunk = 0, bytes(len(chunk))
    header = Header(
        primitives.dh_public(double.sending.ratchet_private),
        double.sending.previous_chain_length,
        number,
        BraidMessage(kind, stamped, index, chunk),
        chain.number,
        epoch - double.sending.mixed_epoch,
    )
    fields = dict(vars(header))
    if wrong(12):
        fields["ratchet_key"] = rng.choice(
            [primitives.dh_public(rng.randbytes(32)), double.receiving.remote_ratchet_key]
            if double.receiving
            else [bytes(32), b"\xff" * 32]
        )
    if wrong():
        fields["previous_chain_length"] = rng.choice([0, 1, 5, 2_000, 2_001, 25_000, 25_001, 2**32 - 1])
    if wrong(12):
        fields["number"] = rng.choice([0, 1, number + 1, 25_001, 2**32 - 2, 2**32 - 1])
    if wrong(12):
        fields["sparse_number"] = rng.choice([0, 1, chain.number + 1, 50_002, 2**32 - 2, 2**32 - 1])
    if wrong(12):
        fields["braid"] = BraidMessage(kind, rng.choice([0, 1, stamped + 1, 2**32 - 1]), index, chunk)
    fields["age"] = rng.choice([0, 1, 4]) if wrong(12) else max(0, fields["age"])

    outer = wire.u8(wire.LATER if handshake is None else wire.FIRST)
    padded = wire.pad(b"forged", rng.choice([0, 16, 33])) + (b"\0" * rng.choice([1, 5]) if wrong(24) else b"")
    keys = ec_mk, pq_mk
    salt, plain = rng.randbytes(16), Header(**fields).to_bytes()
    return seal(double.sending.header_key, salt, plain, keys, triple.ad, b"", outer, handshake, padded)


def outcome(action):
    """What the action returns, or the error's name."""
    try:
        return action()
    except (errors.Refused, errors.Abandoned) as error:
        return type(error).__name__


def _mutated(own: policy.OwnPrekey, **fields) -> None:
    own.prekey = dataclasses.replace(own.prekey, **fields)


def _set(name: str, value):
    return lambda session, double, sparse: setattr(double, name, value(session, double, sparse))


WRONG_SESSIONS = [
    ("no receiving chain after a step", _set("receiving", lambda *_: None)),
    ("a step of 0", _set("step", lambda *_: 0)),
    ("steps far ahead of the kept keys", _set("step", lambda _, double, __: double.step + 100)),
    ("a kept key of a future message", lambda _, d, __: d.kept.update({(d.step, d.receiving.number): bytes(32)})),
    ("a kept key of a future chain", lambda _, d, __: d.kept.update({(d.step + 1, 0): bytes(32)})),
    ("a kept key without its header key", lambda _, d, __: d.header_keys.pop(min(d.header_keys))),
    ("a stored header key of the current chain", lambda _, d, __: d.header_keys.update({d.step: bytes(32)})),
    ("DHr in another encoding", lambda _, d, __: setattr(d.receiving, "remote_ratchet_key", b"\xff" * 32)),
    ("a mixed epoch in the future", lambda _, d, s: setattr(d.sending, "mixed_epoch", s.braid.sending_epoch + 1)),
    ("a mixed epoch long past", lambda _, d, s: setattr(d.sending, "mixed_epoch", s.braid.sending_epoch - 2)),
    ("a newest epoch beyond the Braid's", lambda _, __, s: setattr(s, "newest", s.newest + 1)),
    ("one epoch too few", lambda _, __, s: s.epochs.pop(min(s.epochs))),
    (
        "a kept n beyond the chain's",
        lambda _, __, s: s.kept.update({(s.newest, s.epochs[s.newest].receiving.number + 1): bytes(32)}),
    ),
    ("a kept n of 0", lambda _, __, s: s.kept.update({(min(s.epochs), 0): bytes(32)})),
    ("a kept key of a retired epoch", lambda _, __, s: s.kept.update({(min(s.epochs) - 1, 1): bytes(32)})),
    ("the other direction", lambda _, __, s: setattr(s, "direction", 1 - s.direction)),
    ("a responder who was answered", lambda session, _, __: setattr(session, "opening", client.Answered())),
]

WRONG_DEVICES = [
    ("a prekey twice", lambda device: device.one_time.append(device.one_time[0])),
    ("id 0", lambda device: _mutated(device.one_time[0], id=0)),
    ("the signed prekey's id", lambda device: _mutated(device.one_time[0], id=device.signed.prekey.id)),
    ("one signed prekey twice", lambda device: device.previous.append(copy.deepcopy(device.signed))),
]
"""The impossible content of each state, and the change that makes it from a valid state."""
