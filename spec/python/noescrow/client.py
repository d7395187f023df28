# SPDX-License-Identifier: MIT OR Apache-2.0
"""§6 and §10: a device, and the sessions that it initiates and accepts."""

import copy
import os
from dataclasses import dataclass, field

from . import curve, errors, handshake, labels
from .identity import Identity, SafetyNumber
from .prekeys import ONE_TIME, SIGNED, Bundle, Prekey, PrivatePrekey
from .primitives import Rng, sha256
from .triple import Triple, on_a_copy
from .wire import CLEAR_LEN, FIRST, HANDSHAKE_LEN, ClearPart, Message


@dataclass
class Unanswered:
    """An initiator without an answer so far: every message carries the handshake."""

    handshake: bytes


@dataclass
class Accepted:
    """A responder: the digest of the handshake that a message with a handshake must carry."""

    digest: bytes


@dataclass
class Answered:
    """No message carries a handshake any more, or none ever did."""


@dataclass
class Session:
    local: Identity | None
    remote: Identity | None
    opening: Unanswered | Accepted | Answered
    triple: Triple

    @classmethod
    def foreign_initiator(cls, secret: bytes, ratchet_key: bytes, context: bytes) -> "Session":
        keys = handshake.InitialKeys.foreign(secret, context)
        return cls(None, None, Answered(), Triple.initiator(keys, curve.check_torsion(ratchet_key), 32))

    @classmethod
    def foreign_responder(cls, secret: bytes, ratchet_private: bytes, context: bytes) -> "Session":
        keys = handshake.InitialKeys.foreign(secret, context)
        return cls(None, None, Answered(), Triple.responder(keys, ratchet_private, 32))

    def encrypt(self, plaintext: bytes, associated_data: bytes = b"", rng: Rng = os.urandom) -> bytes:
        first = self.opening.handshake if isinstance(self.opening, Unanswered) else None
        message, self.triple = on_a_copy(
            self.triple, lambda triple: triple.encrypt(first, plaintext, associated_data, rng)
        )
        return message

    def decrypt(self, data: bytes, associated_data: bytes = b"") -> bytes:
        if self.triple.double is None:
            raise errors.Abandoned
        # DR-D1
        message = Message.from_bytes(data, self.triple.chunk)
        if message.handshake is not None:
            # HS-R8
            if not isinstance(self.opening, Accepted) or sha256(message.handshake) != self.opening.digest:
                raise errors.Refused
        plaintext, self.triple = on_a_copy(self.triple, lambda triple: triple.decrypt(message, associated_data))
        if isinstance(self.opening, Unanswered):
            self.opening = Answered()
        return plaintext

    def safety_number(self) -> SafetyNumber:
        return SafetyNumber.of(self.local, self.remote)

    @property
    def is_abandoned(self) -> bool:
        return self.triple.double is None


@dataclass
class OwnPrekey:
    """A private prekey, and the digest of its description."""

    prekey: PrivatePrekey
    digest: bytes


@dataclass
class Signed(OwnPrekey):
    replay: list[bytes] = field(default_factory=list)


@dataclass
class Device:
    signing_seed: bytes
    dh_private: bytes
    next_id: int
    signed: Signed
    previous: Signed | None = None
    one_time: list[OwnPrekey] = field(default_factory=list)

    @classmethod
    def generate(cls, expiry: int, rng: Rng = os.urandom) -> "Device":
        seed, dh_private = rng(32), rng(32)
        prekey = PrivatePrekey(SIGNED, 1, expiry, rng(32), rng(64))
        return cls(seed, dh_private, 2, Signed(prekey, sha256(prekey.published(seed).description)))

    @property
    def identity(self) -> Identity:
        return Identity.certify(self.signing_seed, self.dh_private)

    def one_time_prekey(self, expiry: int, rng: Rng = os.urandom) -> Prekey:
        prekey = PrivatePrekey(ONE_TIME, self.next_id, expiry, rng(32), rng(64))
        published = prekey.published(self.signing_seed)
        self.next_id += 1
        self.one_time.append(OwnPrekey(prekey, sha256(published.description)))
        return published

    def rotate(self, expiry: int, rng: Rng = os.urandom) -> Prekey:
        prekey = PrivatePrekey(SIGNED, self.next_id, expiry, rng(32), rng(64))
        published = prekey.published(self.signing_seed)
        self.next_id += 1
        self.previous, self.signed = self.signed, Signed(prekey, sha256(published.description))
        return published

    def bundle(self, one_time: Prekey | None = None) -> Bundle:
        return Bundle(self.identity, self.signed.prekey.published(self.signing_seed), one_time)

    def initiate(
        self,
        bundle: bytes,
        plaintext: bytes,
        associated_data: bytes = b"",
        now: int = 0,
        chunk: int = 32,
        rng: Rng = os.urandom,
    ) -> tuple[Session, bytes]:
        parsed = Bundle.from_bytes(bundle)
        first, keys = handshake.initiate(self.identity, self.dh_private, parsed, chunk, now, rng)
        # HS-I8
        triple = Triple.initiator(keys, parsed.signed.dh_key, chunk)
        session = Session(self.identity, parsed.identity, Unanswered(first), triple)
        return session, session.encrypt(plaintext, associated_data, rng)

    def accept(self, data: bytes, associated_data: bytes = b"") -> tuple[Session, bytes]:
        # HS-R1
        if len(data) < HANDSHAKE_LEN or data[0] != FIRST:
            raise errors.Refused
        first = data[:HANDSHAKE_LEN]
        clear = ClearPart.from_bytes(first[:CLEAR_LEN])
        signed = next((s for s in (self.signed, self.previous) if s and s.prekey.id == clear.signed_id), None)
        if signed is None:
            raise errors.Refused
        one_time = None
        if clear.one_time_id is not None:
            one_time = next((o for o in self.one_time if o.prekey.id == clear.one_time_id), None)
            if one_time is None:
                raise errors.PrekeyUsed if 1 <= clear.one_time_id < self.next_id else errors.Refused
        else:
            if clear.ephemeral_key in signed.replay:
                raise errors.Repeated
            if len(signed.replay) >= labels.REPLAY_RECORD:
                raise errors.ReplayRecordFull
        # HS-R2
        curve.check_torsion(clear.ephemeral_key)
        keys = handshake.ResponderKeys(signed.prekey.dh_private, signed.prekey.kem_seed, signed.digest)
        if one_time:
            o = one_time.prekey
            keys = handshake.ResponderKeys(
                keys.signed_dh, keys.signed_seed, keys.signed_digest, o.dh_private, o.kem_seed, one_time.digest
            )
        remote, initial = handshake.respond(self.identity, self.dh_private, first, keys)
        # HS-R7
        message = Message.from_bytes(data, clear.chunk)
        triple = Triple.responder(initial, signed.prekey.dh_private, clear.chunk)
        session = Session(self.identity, remote, Accepted(sha256(first)), triple)
        plaintext, session.triple = on_a_copy(triple, lambda draft: draft.decrypt(message, associated_data))
        if one_time:
            # §11: the last one takes the deleted one's place.
            self.one_time[self.one_time.index(one_time)] = self.one_time[-1]
            self.one_time.pop()
        else:
            signed.replay.append(clear.ephemeral_key)
        return session, plaintext

    def safety_number(self, remote: Identity) -> SafetyNumber:
        return SafetyNumber.of(self.identity, remote)

    def duplicate(self) -> "Device":
        return copy.deepcopy(self)
