# SPDX-License-Identifier: MIT OR Apache-2.0
"""Faulty implementations, each with one mistake; the named scenario must fail with it."""

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, replace

from noescrow import (
    braid,
    client,
    curve,
    double,
    erasure,
    errors,
    handshake,
    identity,
    labels,
    mlkem,
    policy,
    primitives,
    sparse,
    stored_device,
    stored_session,
    triple,
    wire,
)


@dataclass(frozen=True)
class Control:
    name: str
    what: str
    scenario: str
    module: object
    attribute: str
    broken: Callable[[object], object]
    """Makes the faulty attribute from the right one."""

    @contextmanager
    def applied(self):
        right = getattr(self.module, self.attribute)
        setattr(self.module, self.attribute, self.broken(right))
        try:
            yield
        finally:
            setattr(self.module, self.attribute, right)


def _label(name: str, scenario: str) -> Control:
    return Control(f"label-{name}", f"{name} altered", scenario, labels, name, lambda label: label[:-1] + b"?")


def _value(name: str, what: str, scenario: str, module: object, attribute: str, value: object) -> Control:
    return Control(name, what, scenario, module, attribute, lambda _: value)


def _any_spelling(key: bytes) -> bytes:
    if int.from_bytes(key, "little") % curve.P in curve.LOW_ORDER:
        raise errors.Refused
    return key


def _forgetful(right):
    """Replay records that find nothing again."""

    class Forgetful(list):
        def __contains__(self, key) -> bool:
            return False

    return lambda *arguments: right(*arguments, replay=Forgetful())


def _keeps_used_keys(right):
    def receive(self, header, keep):
        at = (header.braid.epoch - 1, header.sparse_number)
        kept = self.kept.get(at)
        key = right(self, header, keep)
        if kept is not None:
            self.kept[at] = kept
        return key

    return receive


def _ageless(right):
    class Ageless(right):
        def to_bytes(self) -> bytes:
            return super().to_bytes()[:-1] + bytes([2 * self.is_control])

    return Ageless


def _with_commitment(key: bytes, message: wire.Message) -> wire.Message:
    fitting = replace(message.header, commitment=double.commitment(key, message.header.salt))
    return replace(message, header=fitting)


def _wrong_coefficient(right):
    def coefficients(indices, at):
        first, *rest = right(indices, at)
        return [first if at in indices else first ^ 1, *rest]

    return coefficients


def _last_kept(right):
    def add(self, index, codeword):
        self.codewords.pop(index, None)
        return right(self, index, codeword)

    return add


def _step_before_counting(self):
    self.key, message_key = sparse._split(primitives.expand(self.key, labels.L_NEXT + wire.u32(self.number), 64))
    self.number += 1
    return message_key


def _other_hash(seed: bytes) -> bytes:
    ek = mlkem.key_gen(mlkem.ML_KEM_768, seed).ek
    return ek[-32:] + mlkem.H(ek[-32:] + ek[:-32])


_OF_HANDSHAKE = ["SUITE", "L_CERT", "L_PREKEY", "L_HIDDEN", "L_TRANSCRIPT", "L_ROOT0", "L_HKA", "L_NHKB", "L_SPARSE", "L_ID"]
_OF_RATCHETS = ["L_RK", "L_NHK", "L_START", "L_NEXT", "L_MESSAGE", "L_HEADER", "L_COMMIT"]

ALL = [
    *(_label(name, "handshakes") for name in _OF_HANDSHAKE),
    *(_label(name, "epochs") for name in _OF_RATCHETS),
    *(_label(name, "abandonment") for name in ("L_BRAID", "PI", "L_ADD")),
    _label("L_FOREIGN", "foreign"),
    _label("L_SALT", "snapshots"),
    _label("L_SEAL", "snapshots"),
    # §3 to §7.
    _value("curve-any-key", "X25519 keys in any encoding", "keys", curve, "check_dh_key", _any_spelling),
    _value("curve-torsion", "torsion is not checked", "keys", curve, "check_torsion", curve.check_dh_key),
    _value("signatures", "nothing is verified", "handshakes", primitives, "verify", lambda *_: None),
    _value("safety-number", "one iteration fewer", "handshakes", identity, "ITERATIONS", 5_198),
    _value("expiry", "prekeys do not expire", "handshakes", handshake, "_is_expired", lambda *_: False),
    _value("sk-without-f", "SK without F", "handshakes", handshake, "F", b""),
    Control(
        "sk-order",
        "DH1 to DH4 in reverse order in SK",
        "handshakes",
        handshake,
        "combine",
        lambda right: lambda dhs, kem_secret: right(dhs[::-1], kem_secret),
    ),
    Control(
        "ad-parties",
        "AD with the responder first",
        "handshakes",
        handshake,
        "transcript",
        lambda right: lambda a, b, *rest: right(b, a, *rest),
    ),
    Control("replay-record", "the replay record forgets", "first_messages", policy, "Signed", _forgetful),
    # §8 and §9.
    _value(
        "no-mixing", "header keys without a share of the post-quantum root", "epochs", double, "mix", lambda _, nhk: nhk
    ),
    Control(
        "kdf-ck-swapped",
        "KDF_CK's outputs swapped",
        "epochs",
        double,
        "kdf_ck",
        lambda right: lambda ck: right(ck)[::-1],
    ),
    Control(
        "no-commitment-check",
        "commitments are not compared",
        "commitment",
        double,
        "hdecrypt",
        lambda right: lambda key, message: right(key, _with_commitment(key, message)),
    ),
    Control(
        "ad-byte",
        "the outer byte after the header in the body's AD",
        "epochs",
        triple,
        "body_ad",
        lambda right: lambda ad, data, outer, salt, com, header: right(ad, data, b"", salt, com, header + outer),
    ),
    Control("age", "the age is always 0", "epochs", triple, "Header", _ageless),
    _value("padding", "no Padmé", "epochs", wire, "padme", lambda length: length),
    _value("unpad", "any padding", "forgeries", wire, "unpad", lambda padded: padded.rstrip(b"\0")[:-1]),
    _value(
        "error-commits",
        "a failure leaves its changes",
        "refusals",
        client,
        "on_a_copy",
        lambda state, do: (do(state), state),
    ),
    _value("max-jump", "MAX_JUMP one higher", "jumps", labels, "MAX_JUMP", 25_001),
    _value("max-kept", "MAX_SKIPPED_KEYS one higher", "bounds", labels, "MAX_SKIPPED_KEYS", 2_001),
    _value("max-steps", "MAX_SKIPPED_STEPS one lower", "bounds", labels, "MAX_SKIPPED_STEPS", 31),
    # §11.
    Control(
        "rollback",
        "generations are not compared",
        "snapshots",
        stored_session,
        "unseal",
        lambda right: lambda kind, data, key, newest, *scope: right(kind, data, key, 0, *scope),
    ),
    _value(
        "session-invariants",
        "a stored Double Ratchet is not checked",
        "invariants",
        stored_session,
        "_check_double",
        lambda *_: None,
    ),
    _value(
        "sparse-invariants",
        "a stored sparse ratchet is not checked",
        "invariants",
        stored_session,
        "_check_sparse",
        lambda *_: None,
    ),
    _value(
        "device-invariants", "a stored device is not checked", "invariants", stored_device, "_check_device", lambda _: None
    ),
    # §12 to §14.
    Control(
        "coefficient", "a wrong coefficient in the erasure code", "epochs", erasure, "coefficients", _wrong_coefficient
    ),
    Control("last-chunk", "an index keeps its last chunk, not the first", "forgeries", erasure.Decoder, "add", _last_kept),
    _value("header-hash", "H(ek) over another order", "abandonment", braid, "header_of", _other_hash),
    _value("epoch-u32", "epochs as u32 in the Braid's derivations", "abandonment", braid, "u64", wire.u32),
    _value("mac-unchecked", "the Braid's MACs are not compared", "abandonment", braid, "is_genuine", lambda *_: True),
    _value("n-from-0", "KDF_SCKA_CK over the previous number", "epochs", sparse.Chain, "step", _step_before_counting),
    _value(
        "second-advance",
        "the sending epoch may advance twice in a chain",
        "second_advance",
        triple.Triple,
        "_check_sending_epoch",
        lambda *_, **__: None,
    ),
    _value("no-retirement", "old epochs are not retired", "states", sparse.Sparse, "_retire", lambda self: None),
    Control("keeps-used-keys", "a used key is kept", "states", sparse.Sparse, "receive", _keeps_used_keys),
    Control(
        "hybrid-swapped",
        "KDF_HYBRID's keys swapped",
        "epochs",
        triple,
        "kdf_hybrid",
        lambda right: lambda a, b, *rest: right(b, a, *rest),
    ),
]
