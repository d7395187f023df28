# SPDX-License-Identifier: MIT OR Apache-2.0
"""§9, §13 and §14: both ratchets, one message at a time."""

import copy
from dataclasses import dataclass

from . import braid, errors, labels, primitives, wire
from .double import NEXT, NONCE, Double, Sending, commitment, hencrypt, routing_tag
from .handshake import InitialKeys
from .primitives import Rng, hkdf, sha256
from .sparse import A2B, B2A, Sparse
from .wire import Header, Message, SealedHeader


def kdf_hybrid(ec_mk: bytes, pq_mk: bytes, salt: bytes, commitment: bytes) -> bytes:
    """TR-1: the body's key."""
    return hkdf(pq_mk, ec_mk, labels.L_MESSAGE + salt + commitment, 32)


def seal(
    header_key: bytes,
    salt: bytes,
    header: bytes,
    message_keys: tuple[bytes, bytes],
    ad: bytes,
    associated_data: bytes,
    outer: bytes,
    handshake: bytes | None,
    padded: bytes,
    committed: bytes | None = None,
) -> bytes:
    """The message; `message_keys` are those of the Double Ratchet and of the sparse one, `header` is in the clear."""
    committed = committed or commitment(header_key, salt)
    key = kdf_hybrid(*message_keys, salt, committed)
    sealed = primitives.seal(key, NONCE, body_ad(ad, associated_data, outer, salt, committed, header), padded)
    body, body_tag = sealed[: -wire.TAG_LEN], sealed[-wire.TAG_LEN :]
    # DR-E4
    sealed_header = SealedHeader(salt, committed, hencrypt(header_key, salt, outer, body_tag, body, header))
    return Message(handshake, sealed_header, body_tag, body).to_bytes()


def body_ad(ad: bytes, associated_data: bytes, outer: bytes, salt: bytes, commitment: bytes, header: bytes) -> bytes:
    """`header` is the header in the clear."""
    return ad + sha256(associated_data) + outer + salt + commitment + header


@dataclass(frozen=True)
class Opened:
    plaintext: bytes
    number: int
    is_control: bool


@dataclass
class Triple:
    ad: bytes
    session_id: bytes
    chunk: int
    double: Double | None
    sparse: Sparse | None
    """Both are None once the Braid has failed."""
    direction: int
    last_remote_key: bytes = b""
    """What a snapshot of an abandoned session keeps of the Double Ratchet (§11)."""

    @classmethod
    def initiator(cls, keys: InitialKeys, remote_ratchet_key: bytes, chunk: int) -> "Triple":
        double = Double.initiator(keys.root, keys.hka, keys.nhkb, remote_ratchet_key)
        sparse = Sparse.new(A2B, keys.sparse, keys.braid, chunk)
        return cls(keys.associated_data, keys.session_id, chunk, double, sparse, A2B)

    @classmethod
    def responder(cls, keys: InitialKeys, ratchet_private: bytes, chunk: int) -> "Triple":
        double = Double.responder(keys.root, keys.hka, keys.nhkb, ratchet_private)
        sparse = Sparse.new(B2A, keys.sparse, keys.braid, chunk)
        return cls(keys.associated_data, keys.session_id, chunk, double, sparse, B2A)

    def encrypt(
        self,
        handshake: bytes | None,
        plaintext: bytes,
        associated_data: bytes,
        rng: Rng,
        is_control: bool = False,
        min_padded_len: int = 0,
    ) -> bytes:
        """A failure may leave the state partly changed: call this on a copy."""
        # DR-E0
        if len(plaintext) > labels.MAX_PLAINTEXT_LEN or min_padded_len > labels.MAX_PLAINTEXT_LEN + 1:
            raise errors.TooLong
        if self.double is None:
            raise errors.Abandoned
        self.sparse.check_sending()
        self.double.check_sending()
        random = rng(wire.SALT_LEN - wire.ROUTING_TAG_LEN)
        # DR-E1
        sending_epoch = self.sparse.braid.sending_epoch
        self.double.send_step(rng, self.sparse.epochs[sending_epoch].header_secret, sending_epoch)
        braid_message, n, pq_mk = self.sparse.send(rng)
        # DR-E2
        chain = self.double.sending
        header = Header(
            primitives.dh_public(chain.ratchet_private),
            chain.previous_chain_length,
            chain.number,
            braid_message,
            n,
            sending_epoch - chain.mixed_epoch,
            is_control,
        )
        ec_mk = self.double.send()
        outer = wire.u8(wire.LATER if handshake is None else wire.FIRST)
        padded = wire.pad(plaintext, min_padded_len)
        # DR-E3
        salt = routing_tag(chain.header_key, header.number) + random
        keys, plain = (ec_mk, pq_mk), header.to_bytes()
        return seal(chain.header_key, salt, plain, keys, self.ad, associated_data, outer, handshake, padded)

    def open_header(self, message: Message) -> tuple[str | int, bytes, Header, bool]:
        """Which key opened, the header in the clear and parsed, and whether the message is new."""
        # DR-D2
        which, opened = self.double.open_header(message)
        # DR-D3
        header = Header.from_bytes(opened, self.chunk)
        is_new = self.double.is_new(which, header)
        self.sparse.check(header, is_new)
        return which, opened, header, is_new

    def decrypt(self, message: Message, associated_data: bytes) -> Opened:
        """A failure may leave the state partly changed: call this on a copy."""
        if self.double is None:
            raise errors.Abandoned
        which, opened, header, is_new = self.open_header(message)
        # DR-D4
        self.double.check_key(which, header)
        keep = self.double.kept_of_jump(which, header, is_new)
        if not is_new:
            ec_mk = self.double.kept.pop(self.double.kept_at(which, header))
        else:
            self.double.check(which, header)
            if which == NEXT:
                mixed = self.sparse.epochs.get(header.braid.epoch - 1 - header.age)
                if mixed is None:
                    raise errors.Refused
                self.double.receive_step(header, mixed.header_secret)
            ec_mk = self.double.receive(header)
        self._check_sending_epoch(header, stepped=which == NEXT)
        pq_mk = self.sparse.receive(header, keep)
        # DR-D8
        sealed = message.header
        key = kdf_hybrid(ec_mk, pq_mk, sealed.salt, sealed.commitment)
        ad = body_ad(self.ad, associated_data, message.outer, sealed.salt, sealed.commitment, opened)
        plaintext = wire.unpad(primitives.unseal(key, NONCE, ad, message.sealed_body))
        result = Opened(plaintext, header.number, header.is_control)
        # DR-D9, SP-R3
        try:
            self.sparse.advance(header.braid)
        except braid.Failed:
            self.last_remote_key = self.double.receiving.remote_ratchet_key
            self.double = self.sparse = None
            return result
        self.double.evict()
        return result

    def peek(self, message: Message) -> int:
        """How many messages this one would skip."""
        which, _, header, is_new = self.open_header(message)
        missing = header.sparse_number - 1 - self.sparse.epochs[header.braid.epoch - 1].receiving.number
        return max(0, missing, self.double.jump(which, header) if is_new else 0)

    def _check_sending_epoch(self, header: Header, stepped: bool) -> None:
        """SP-R1, the last check."""
        chain = self.double.sending
        if stepped or not isinstance(chain, Sending) or chain.mixed_epoch >= self.sparse.braid.sending_epoch:
            return
        if self.sparse.braid.advances_sending_epoch(header.braid):
            raise errors.Refused


def on_a_copy(state, change):
    """The result of `change` on a copy of `state`, and the copy, so that a failure leaves the state unchanged (§10)."""
    draft = copy.deepcopy(state)
    return change(draft), draft
