# SPDX-License-Identifier: MIT OR Apache-2.0
"""§8: the Sparse Post-Quantum Ratchet."""

from dataclasses import dataclass, field

from . import errors, labels
from .braid import Braid
from .primitives import ZEROS, Rng, expand, hkdf
from .wire import BraidMessage, Header, u32

A2B, B2A = 0, 1


def _split(output: bytes) -> list[bytes]:
    return [output[i : i + 32] for i in range(0, len(output), 32)]


def kdf_scka_init(sparse: bytes) -> list[bytes]:
    return _split(hkdf(ZEROS, sparse, labels.L_START, 128))


def kdf_scka_rk(root: bytes, key: bytes) -> list[bytes]:
    return _split(hkdf(root, key, labels.L_ADD, 128))


@dataclass
class Chain:
    key: bytes
    number: int = 0

    def step(self) -> bytes:
        """KDF_SCKA_CK: the next message's key."""
        self.number += 1
        self.key, message_key = _split(expand(self.key, labels.L_NEXT + u32(self.number), 64))
        return message_key

    def skip(self) -> None:
        """A step whose message key is not kept."""
        self.number += 1
        self.key = expand(self.key, labels.L_NEXT + u32(self.number), 32)


@dataclass
class Epoch:
    sending: Chain | None
    receiving: Chain
    header_secret: bytes


@dataclass
class Sparse:
    direction: int
    root: bytes
    newest: int
    epochs: dict[int, Epoch]
    braid: Braid
    kept: dict[tuple[int, int], bytes] = field(default_factory=dict)

    @classmethod
    def new(cls, direction: int, sparse: bytes, braid_key: bytes, chunk: int) -> "Sparse":
        """SP-I1."""
        braid = Braid.new(braid_key, chunk, decapsulator=direction == A2B)
        ratchet = cls(direction, b"", -1, {}, braid)
        ratchet._begin(kdf_scka_init(sparse))
        return ratchet

    def _begin(self, output: list[bytes]) -> None:
        """The next epoch's chains."""
        self.root, a2b, b2a, header_secret = output
        sending, receiving = (a2b, b2a) if self.direction == A2B else (b2a, a2b)
        self.newest += 1
        self.epochs[self.newest] = Epoch(Chain(sending), Chain(receiving), header_secret)

    def _fold(self, key: bytes | None) -> None:
        if key is not None:
            self._begin(kdf_scka_rk(self.root, key))

    def _retire(self) -> None:
        sending = self.braid.sending_epoch
        self.epochs = {number: epoch for number, epoch in self.epochs.items() if number >= sending - 1}
        self.kept = {at: key for at, key in self.kept.items() if at[0] >= sending - 1}
        for number, epoch in self.epochs.items():
            if number < sending:
                epoch.sending = None

    def check_sending(self) -> None:
        """DR-E0, for this ratchet."""
        if self.epochs[self.braid.sending_epoch].sending.number == labels.COUNTER_END:
            raise errors.ChainExhausted

    def send(self, rng: Rng) -> tuple[BraidMessage, int, bytes]:
        """The Braid's message, n, and the message key."""
        # SP-S1
        message, key = self.braid.send(rng)
        self._fold(key)
        self._retire()
        # SP-S2
        chain = self.epochs[self.braid.sending_epoch].sending
        message_key = chain.step()
        return message, chain.number, message_key

    def check(self, header: Header, is_new: bool) -> None:
        """SP-R1: its checks except the last."""
        number, n = header.braid.epoch - 1, header.sparse_number
        if number not in self.epochs:
            raise errors.Refused if is_new else errors.KeyGone
        chain = self.epochs[number].receiving
        if n <= chain.number and (is_new or (number, n) not in self.kept):
            raise errors.Refused if is_new else errors.KeyGone
        if n - chain.number - 1 > labels.MAX_SPARSE_JUMP:
            raise errors.TooManySkipped
        if is_new and any(other > number and epoch.receiving.number for other, epoch in self.epochs.items()):
            raise errors.Refused

    def receive(self, header: Header, keep: int) -> bytes:
        """The message key; of those skipped the newest `keep` are kept. After `braid.Failed`, the caller wipes the remaining state."""
        number, n = header.braid.epoch - 1, header.sparse_number
        # SP-R2
        chain = self.epochs[number].receiving
        if n <= chain.number:
            return self.kept.pop((number, n))
        while chain.number < n - 1 - keep:
            chain.skip()
        while chain.number < n - 1:
            message_key = chain.step()
            self.kept[number, chain.number] = message_key
        return chain.step()

    def advance(self, message: BraidMessage) -> None:
        """SP-R1, the Braid's part, and SP-R3."""
        self._fold(self.braid.receive(message))
        self._retire()
        for at in sorted(self.kept)[: max(0, len(self.kept) - labels.MAX_SKIPPED_KEYS)]:
            del self.kept[at]
