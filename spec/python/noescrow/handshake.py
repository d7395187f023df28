# SPDX-License-Identifier: MIT OR Apache-2.0
"""§6 and §7: PQXDH, and the keys that it yields."""

from dataclasses import dataclass

from . import errors, labels, mlkem, primitives
from .identity import Identity
from .prekeys import Bundle, Prekey
from .primitives import ZEROS, Rng, dh, expand, hkdf, sha256
from .wire import CLEAR_LEN, ClearPart, u8

F = b"\xff" * 32


@dataclass(frozen=True)
class InitialKeys:
    """§7: the initial keys of the ratchets."""

    associated_data: bytes
    root: bytes
    hka: bytes
    nhkb: bytes
    sparse: bytes
    braid: bytes
    session_id: bytes
    exporter: bytes

    @classmethod
    def of(cls, shared_secret: bytes, associated_data: bytes) -> "InitialKeys":
        names = (labels.L_ROOT0, labels.L_HKA, labels.L_NHKB, labels.L_SPARSE, labels.L_BRAID, labels.L_ID)
        names += (labels.L_EXPORT,)
        return cls(associated_data, *(expand(shared_secret, label + associated_data, 32) for label in names))

    @classmethod
    def foreign(cls, shared_secret: bytes, context: bytes) -> "InitialKeys":
        return cls.of(shared_secret, sha256(labels.L_FOREIGN + context))


def transcript(initiator: Identity, responder: Identity, clear: bytes, signed: bytes, one_time: bytes | None) -> bytes:
    """AD; `signed` and `one_time` are digests of the descriptions."""
    keys = initiator.keys + responder.keys
    return sha256(labels.L_TRANSCRIPT + labels.SUITE + keys + clear + signed + (one_time or b""))


def combine(dhs: list[bytes], kem_secret: bytes) -> bytes:
    """SK."""
    return hkdf(ZEROS, F + b"".join(dhs) + kem_secret, labels.SUITE, 32)


def _is_expired(prekey: Prekey, now: int) -> bool:
    return prekey.expiry < now


def _hidden_key(dh3: bytes, kem_secret: bytes) -> tuple[bytes, bytes]:
    key = hkdf(ZEROS, F + dh3 + kem_secret, labels.L_HIDDEN, 44)
    return key[:32], key[32:]


def _refuse_equal(initiator: Identity, responder: Identity, *others: bytes) -> None:
    keys = [initiator.dh_key, responder.dh_key, *others]
    if len(set(keys)) != len(keys) or initiator.signing_key == responder.signing_key:
        raise errors.Refused


def _check_version(initiator: int, responder: int) -> None:
    """HS-R4: there is a version, and no higher one that both could have used."""
    if initiator == 0 or min(initiator, responder) > labels.VERSION:
        raise errors.Refused


def initiate(
    local: Identity, dh_private: bytes, bundle: Bundle, chunk: int, now: int, rng: Rng
) -> tuple[bytes, InitialKeys]:
    """The handshake and its keys."""
    signed, one_time = bundle.signed, bundle.one_time
    # HS-I2
    if _is_expired(signed, now):
        raise errors.Expired
    if one_time and _is_expired(one_time, now):
        one_time = None
    # HS-I3
    ephemeral = rng(32)
    ephemeral_key = primitives.dh_public(ephemeral)
    others = [ephemeral_key, signed.dh_key] + ([one_time.dh_key] if one_time else [])
    _refuse_equal(local, bundle.identity, *others)
    ciphertext, kem_secret = mlkem.encaps(mlkem.ML_KEM_1024, (one_time or signed).kem_key, rng(32))
    # HS-I4
    dh3 = dh(ephemeral, signed.dh_key)
    dhs = [dh(dh_private, signed.dh_key), dh(ephemeral, bundle.identity.dh_key), dh3]
    if one_time:
        dhs.append(dh(ephemeral, one_time.dh_key))
    shared_secret = combine(dhs, kem_secret)
    # HS-I5
    clear = ClearPart(signed.id, one_time.id if one_time else None, ephemeral_key, ciphertext, chunk).to_bytes()
    # HS-I6
    key, nonce = _hidden_key(dh3, kem_secret)
    handshake = clear + primitives.seal(key, nonce, clear, u8(labels.VERSION) + local.to_bytes())
    # HS-I7
    digests = sha256(signed.description), sha256(one_time.description) if one_time else None
    return handshake, InitialKeys.of(shared_secret, transcript(local, bundle.identity, clear, *digests))


@dataclass(frozen=True)
class ResponderKeys:
    """What the responder's device knows about the prekeys that a handshake names."""

    signed_dh: bytes
    signed_seed: bytes
    signed_digest: bytes
    max_version: int
    """Of the signed prekey."""
    one_time_dh: bytes | None = None
    one_time_seed: bytes | None = None
    one_time_digest: bytes | None = None


def respond(local: Identity, dh_private: bytes, handshake: bytes, keys: ResponderKeys) -> tuple[Identity, InitialKeys]:
    """HS-R3 to HS-R6. The device does HS-R1, HS-R2 and HS-R7."""
    clear, sealed = handshake[:CLEAR_LEN], handshake[CLEAR_LEN:]
    parsed = ClearPart.from_bytes(clear)
    # HS-R3
    kem_secret = mlkem.decaps(mlkem.ML_KEM_1024, keys.one_time_seed or keys.signed_seed, parsed.ciphertext)
    dh3 = dh(keys.signed_dh, parsed.ephemeral_key)
    # HS-R4
    key, nonce = _hidden_key(dh3, kem_secret)
    hidden = primitives.unseal(key, nonce, clear, sealed)
    _check_version(hidden[0], keys.max_version)
    remote = Identity.from_bytes(hidden[1:])
    others = [parsed.ephemeral_key, primitives.dh_public(keys.signed_dh)]
    if keys.one_time_dh is not None:
        others.append(primitives.dh_public(keys.one_time_dh))
    _refuse_equal(remote, local, *others)
    # HS-R5
    dhs = [dh(keys.signed_dh, remote.dh_key), dh(dh_private, parsed.ephemeral_key), dh3]
    if keys.one_time_dh is not None:
        dhs.append(dh(keys.one_time_dh, parsed.ephemeral_key))
    # HS-R6
    associated_data = transcript(remote, local, clear, keys.signed_digest, keys.one_time_digest)
    return remote, InitialKeys.of(combine(dhs, kem_secret), associated_data)
