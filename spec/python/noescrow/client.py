# SPDX-License-Identifier: MIT OR Apache-2.0
"""§6 and §10: a device, and the sessions that it initiates and accepts."""

import os
from dataclasses import dataclass

from . import curve, errors, handshake, labels
from .identity import Identity, SafetyNumber
from .policy import DeviceState, OwnPrekey, Signed, remove
from .prekeys import Bundle, Prekey
from .primitives import Rng, sha256
from .triple import Opened, Triple, on_a_copy
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
    exporter: bytes | None = None

    @classmethod
    def foreign_initiator(cls, secret: bytes, ratchet_key: bytes, context: bytes) -> "Session":
        keys = handshake.InitialKeys.foreign(secret, context)
        triple = Triple.initiator(keys, curve.check_torsion(ratchet_key), 32)
        return cls(None, None, Answered(), triple, keys.exporter)

    @classmethod
    def foreign_responder(cls, secret: bytes, ratchet_private: bytes, context: bytes) -> "Session":
        keys = handshake.InitialKeys.foreign(secret, context)
        return cls(None, None, Answered(), Triple.responder(keys, ratchet_private, 32), keys.exporter)

    def encrypt(
        self,
        plaintext: bytes,
        associated_data: bytes = b"",
        rng: Rng = os.urandom,
        is_control: bool = False,
        min_padded_len: int = 0,
    ) -> bytes:
        message = self._encrypt(plaintext, associated_data, rng, is_control, min_padded_len)
        self.exporter = None
        return message

    def _encrypt(self, plaintext: bytes, associated_data: bytes, rng: Rng, *options) -> bytes:
        first = self.opening.handshake if isinstance(self.opening, Unanswered) else None
        message, self.triple = on_a_copy(
            self.triple, lambda triple: triple.encrypt(first, plaintext, associated_data, rng, *options)
        )
        return message

    def open(self, data: bytes, associated_data: bytes = b"") -> Opened:
        message = self._parse(data)
        opened, self.triple = on_a_copy(self.triple, lambda triple: triple.decrypt(message, associated_data))
        self.exporter = None
        if isinstance(self.opening, Unanswered):
            self.opening = Answered()
        return opened

    def decrypt(self, data: bytes, associated_data: bytes = b"") -> bytes:
        return self.open(data, associated_data).plaintext

    def _parse(self, data: bytes) -> Message:
        # DR-D1
        message = Message.from_bytes(data, self.triple.chunk)
        if message.handshake is not None:
            # HS-R8
            if not isinstance(self.opening, Accepted) or sha256(message.handshake) != self.opening.digest:
                raise errors.Refused
        if self.triple.double is None:
            raise errors.Abandoned
        return message

    def peek(self, data: bytes) -> int:
        return self.triple.peek(self._parse(data))

    def expected_tags(self) -> list[bytes]:
        return [] if self.is_abandoned else self.triple.double.expected_tags()

    def take_exporter(self) -> bytes | None:
        """A secret that both sides have, once, before the next message of this session."""
        exporter, self.exporter = self.exporter, None
        return exporter

    @property
    def id(self) -> bytes:
        return self.triple.session_id

    @property
    def opening_id(self) -> bytes | None:
        match self.opening:
            case Unanswered(first):
                return sha256(first)
            case Accepted(digest):
                return digest
        return None

    def safety_number(self) -> SafetyNumber:
        return SafetyNumber.of(self.local, self.remote)

    @property
    def is_abandoned(self) -> bool:
        return self.triple.double is None


def opening_id(data: bytes) -> bytes | None:
    """Which handshake a message carries, if it carries one."""
    has_handshake = data[:1] == bytes([FIRST]) and len(data) >= HANDSHAKE_LEN
    return sha256(data[:HANDSHAKE_LEN]) if has_handshake else None


def replay_entry(ephemeral_key: bytes) -> bytes:
    return sha256(ephemeral_key)[: labels.REPLAY_ENTRY_LEN]


class Device(DeviceState):
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
        expected: Identity | None = None,
    ) -> tuple[Session, bytes]:
        parsed = Bundle.from_bytes(bundle)
        if expected is not None and expected.keys != parsed.identity.keys:
            raise errors.UnexpectedIdentity
        # HS-I1.3
        if len(plaintext) > labels.MAX_PLAINTEXT_LEN:
            raise errors.TooLong
        first, keys = handshake.initiate(self.identity, self.dh_private, parsed, chunk, now, rng)
        # HS-I8
        triple = Triple.initiator(keys, parsed.signed.dh_key, chunk)
        session = Session(self.identity, parsed.identity, Unanswered(first), triple, keys.exporter)
        return session, session._encrypt(plaintext, associated_data, rng)

    def open(self, data: bytes) -> "Pending":
        """HS-R1 to HS-R6, and DR-D1 and DR-D2 on the rest of the message. Changes nothing."""
        # HS-R1
        if len(data) < HANDSHAKE_LEN or data[0] != FIRST:
            raise errors.Refused
        first = data[:HANDSHAKE_LEN]
        clear = ClearPart.from_bytes(first[:CLEAR_LEN])
        signed = next((s for s in self._signed if s.prekey.id == clear.signed_id), None)
        if signed is None:
            raise errors.PrekeyGone
        one_time = None
        if clear.one_time_id is not None:
            one_time = next((o for o in self.one_time if o.prekey.id == clear.one_time_id), None)
            if one_time is None:
                raise errors.PrekeyGone
        else:
            if not signed.has_last_resort:
                raise errors.PrekeyGone
            if replay_entry(clear.ephemeral_key) in signed.replay:
                raise errors.Repeated
            if len(signed.replay) >= self.bounds.replay_record:
                raise errors.ReplayRecordFull
        # HS-R2
        curve.check_torsion(clear.ephemeral_key)
        s, extra = signed.prekey, ()
        if one_time:
            extra = one_time.prekey.dh_private, one_time.prekey.kem_seed, one_time.digest
        keys = handshake.ResponderKeys(s.dh_private, s.kem_seed, signed.digest, s.max_version, *extra)
        remote, initial = handshake.respond(self.identity, self.dh_private, first, keys)
        # HS-R7
        message = Message.from_bytes(data, clear.chunk)
        triple = Triple.responder(initial, signed.prekey.dh_private, clear.chunk)
        triple.open_header(message)
        session = Session(self.identity, remote, Accepted(sha256(first)), triple, initial.exporter)
        return Pending(self, session, message, signed, one_time, replay_entry(clear.ephemeral_key))

    def accept(self, data: bytes, associated_data: bytes = b"") -> tuple[Session, bytes]:
        return self.open(data).accept(associated_data)

    def safety_number(self, remote: Identity) -> SafetyNumber:
        return SafetyNumber.of(self.identity, remote)


@dataclass
class Pending:
    """A first message whose header opened: its sender is known, its body is not yet read."""

    device: Device
    session: Session
    message: Message
    signed: Signed
    one_time: OwnPrekey | None
    entry: bytes

    @property
    def remote_identity(self) -> Identity:
        return self.session.remote

    def accept(self, associated_data: bytes = b"") -> tuple[Session, bytes]:
        """HS-R7.3, HS-R7.4."""
        opened, self.session.triple = on_a_copy(
            self.session.triple, lambda draft: draft.decrypt(self.message, associated_data)
        )
        if self.session.triple.sparse is None:  # FL-3.1
            self.session.exporter = None
        self._use_up()
        return self.session, opened.plaintext

    def refuse(self) -> None:
        """The message is authentic and unwanted: it cannot be opened again."""
        self._use_up()

    def _use_up(self) -> None:
        if self.one_time:
            remove(self.device.one_time, self.device.one_time.index(self.one_time))
        else:
            self.signed.replay.append(self.entry)
