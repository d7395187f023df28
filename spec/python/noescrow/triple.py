# SPDX-License-Identifier: MIT OR Apache-2.0
"""§9, §13 and §14: both ratchets, one message at a time."""

import copy
from dataclasses import dataclass

from . import braid, errors, labels, primitives, wire
from .double import NEXT, Double, Sending, hencrypt
from .handshake import InitialKeys
from .primitives import Rng, hkdf, sha256
from .sparse import A2B, B2A, Sparse
from .wire import Header, Message


def kdf_hybrid(ec_mk: bytes, pq_mk: bytes) -> tuple[bytes, bytes]:
    """TR-1: key and nonce."""
    output = hkdf(pq_mk, ec_mk, labels.L_MESSAGE, 44)
    return output[:32], output[32:]


def body_ad(ad: bytes, associated_data: bytes, outer: bytes, sealed_header: bytes) -> bytes:
    return ad + sha256(associated_data) + outer + sealed_header


@dataclass
class Triple:
    ad: bytes
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
        return cls(keys.associated_data, chunk, double, Sparse.new(A2B, keys.sparse, keys.braid, chunk), A2B)

    @classmethod
    def responder(cls, keys: InitialKeys, ratchet_private: bytes, chunk: int) -> "Triple":
        double = Double.responder(keys.root, keys.hka, keys.nhkb, ratchet_private)
        return cls(keys.associated_data, chunk, double, Sparse.new(B2A, keys.sparse, keys.braid, chunk), B2A)

    def encrypt(self, handshake: bytes | None, plaintext: bytes, associated_data: bytes, rng: Rng) -> bytes:
        """A failure may leave the state partly changed: call this on a copy."""
        # DR-E0
        if len(plaintext) > labels.MAX_PLAINTEXT_LEN:
            raise errors.TooLong
        if self.double is None:
            raise errors.Abandoned
        salt = rng(wire.SALT_LEN)
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
        )
        ec_mk = self.double.send()
        # DR-E3
        outer = wire.u8(wire.LATER if handshake is None else wire.FIRST)
        sealed = hencrypt(chain.header_key, salt, outer, header.to_bytes())
        # DR-E4
        key, nonce = kdf_hybrid(ec_mk, pq_mk)
        ad = body_ad(self.ad, associated_data, outer, sealed.to_bytes())
        body = primitives.seal(key, nonce, ad, wire.pad(plaintext))
        return Message(handshake, sealed, body).to_bytes()

    def decrypt(self, message: Message, associated_data: bytes) -> bytes:
        """A failure may leave the state partly changed: call this on a copy."""
        if self.double is None:
            raise errors.Abandoned
        # DR-D2
        which, opened = self.double.open_header(message.outer, message.header)
        # DR-D3
        header = Header.from_bytes(opened, self.chunk)
        is_new = self.double.is_new(which, header)
        self.sparse.check(header, is_new)
        # DR-D4
        self.double.check_key(which, header)
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
        pq_mk = self.sparse.receive(header)
        # DR-D8
        key, nonce = kdf_hybrid(ec_mk, pq_mk)
        ad = body_ad(self.ad, associated_data, message.outer, message.header.to_bytes())
        plaintext = wire.unpad(primitives.unseal(key, nonce, ad, message.body))
        # DR-D9, SP-R3
        try:
            self.sparse.advance(header.braid)
        except braid.Failed:
            self.last_remote_key = self.double.receiving.remote_ratchet_key
            self.double = self.sparse = None
            return plaintext
        self.double.evict()
        return plaintext

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
