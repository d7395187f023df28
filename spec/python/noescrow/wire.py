# SPDX-License-Identifier: MIT OR Apache-2.0
"""§6, §9, §12: every byte that leaves a device. Integers are big-endian."""

from dataclasses import dataclass

from . import curve, errors, labels

FIRST, LATER = 0x11, 0x12
"""The outer bytes of messages with and without a handshake."""
CHUNK_SIZES = [32, 64, 128, 256]
IDENTITY_LEN = 128
CLEAR_LEN = 1_611
HIDDEN_LEN = 1 + IDENTITY_LEN
"""max_version and identity."""
HANDSHAKE_LEN = 1_756
TAG_LEN = 16
SALT_LEN = 16
COMMITMENT_LEN = 16
ROUTING_TAG_LEN = 8

NONE, HDR, EK, EK_CT1_ACK, CT1, CT2 = range(6)


def u8(value: int) -> bytes:
    return value.to_bytes(1, "big")


def u16(value: int) -> bytes:
    return value.to_bytes(2, "big")


def u32(value: int) -> bytes:
    return value.to_bytes(4, "big")


def u64(value: int) -> bytes:
    return value.to_bytes(8, "big")


class Reader:
    """Takes bytes from the front; missing and left-over bytes are refused."""

    def __init__(self, data: bytes):
        self.data, self.at = data, 0

    def take(self, length: int) -> bytes:
        part = self.data[self.at : self.at + length]
        if len(part) != length:
            raise errors.Refused
        self.at += length
        return part

    def integer(self, length: int) -> int:
        return int.from_bytes(self.take(length), "big")

    def u8(self) -> int:
        return self.integer(1)

    def u16(self) -> int:
        return self.integer(2)

    def u32(self) -> int:
        return self.integer(4)

    def u64(self) -> int:
        return self.integer(8)

    def flag(self) -> bool:
        flag = self.u8()
        if flag > 1:
            raise errors.Refused
        return bool(flag)

    @property
    def is_at_end(self) -> bool:
        return self.at == len(self.data)

    def finish(self) -> None:
        if self.at != len(self.data):
            raise errors.Refused


@dataclass(frozen=True)
class BraidMessage:
    kind: int
    epoch: int
    index: int
    chunk: bytes

    def to_bytes(self) -> bytes:
        return u8(self.kind) + u32(self.epoch) + u16(self.index) + self.chunk

    @classmethod
    def read(cls, reader: Reader, chunk: int) -> "BraidMessage":
        message = cls(reader.u8(), reader.u32(), reader.u16(), reader.take(chunk))
        if message.kind > CT2 or not 1 <= message.epoch <= labels.MAX_EPOCH:
            raise errors.Refused
        if message.kind == NONE and (message.index or any(message.chunk)):
            raise errors.Refused
        return message


@dataclass(frozen=True)
class Header:
    ratchet_key: bytes
    previous_chain_length: int
    number: int
    braid: BraidMessage
    sparse_number: int
    age: int
    is_control: bool = False

    @property
    def flags(self) -> int:
        return self.age | self.is_control << 1

    @staticmethod
    def length(chunk: int) -> int:
        return 32 + 4 + 4 + 7 + chunk + 4 + 1

    def to_bytes(self) -> bytes:
        counters = u32(self.previous_chain_length) + u32(self.number)
        return self.ratchet_key + counters + self.braid.to_bytes() + u32(self.sparse_number) + u8(self.flags)

    @classmethod
    def from_bytes(cls, data: bytes, chunk: int) -> "Header":
        reader = Reader(data)
        key, pn, n = curve.check_dh_key(reader.take(32)), reader.u32(), reader.u32()
        braid, sparse_number, flags = BraidMessage.read(reader, chunk), reader.u32(), reader.u8()
        reader.finish()
        if flags > 3:
            raise errors.Refused
        header = cls(key, pn, n, braid, sparse_number, flags & 1, bool(flags & 2))
        if header.age >= header.braid.epoch:
            raise errors.Refused
        return header


@dataclass(frozen=True)
class SealedHeader:
    salt: bytes
    commitment: bytes
    ciphertext: bytes

    @staticmethod
    def length(chunk: int) -> int:
        return SALT_LEN + COMMITMENT_LEN + Header.length(chunk) + TAG_LEN

    def to_bytes(self) -> bytes:
        return self.salt + self.commitment + self.ciphertext


@dataclass(frozen=True)
class Message:
    handshake: bytes | None
    header: SealedHeader
    body_tag: bytes
    body: bytes
    """The body's ciphertext."""

    @property
    def outer(self) -> bytes:
        return u8(LATER if self.handshake is None else FIRST)

    @property
    def sealed_body(self) -> bytes:
        return self.body + self.body_tag

    def to_bytes(self) -> bytes:
        start = self.outer if self.handshake is None else self.handshake
        return start + self.header.to_bytes() + self.body_tag + self.body

    @classmethod
    def from_bytes(cls, data: bytes, chunk: int) -> "Message":
        reader = Reader(data)
        outer = reader.u8()
        if outer not in (FIRST, LATER):
            raise errors.Refused
        handshake = u8(outer) + reader.take(HANDSHAKE_LEN - 1) if outer == FIRST else None
        sealed = reader.take(SealedHeader.length(chunk))
        header = SealedHeader(sealed[:SALT_LEN], sealed[SALT_LEN:32], sealed[32:])
        return cls(handshake, header, reader.take(TAG_LEN), data[reader.at :])


@dataclass(frozen=True)
class ClearPart:
    """The clear part of a handshake."""

    signed_id: int
    one_time_id: int | None
    ephemeral_key: bytes
    ciphertext: bytes
    chunk: int

    def to_bytes(self) -> bytes:
        one_time = u8(0) + u32(0) if self.one_time_id is None else u8(1) + u32(self.one_time_id)
        chunk = u8(CHUNK_SIZES.index(self.chunk))
        return u8(FIRST) + u32(self.signed_id) + one_time + self.ephemeral_key + self.ciphertext + chunk

    @classmethod
    def from_bytes(cls, data: bytes) -> "ClearPart":
        reader = Reader(data)
        if reader.u8() != FIRST:
            raise errors.Refused
        signed_id, flags, one_time_id = reader.u32(), reader.u8(), reader.u32()
        key, ciphertext, chunk = curve.check_dh_key(reader.take(32)), reader.take(1568), reader.u8()
        reader.finish()
        # Bit 1 is reserved.
        if flags > 1 or chunk >= len(CHUNK_SIZES) or (not flags and one_time_id):
            raise errors.Refused
        return cls(signed_id, one_time_id if flags else None, key, ciphertext, CHUNK_SIZES[chunk])


def context(sender: bytes, recipient: bytes, conversation: bytes) -> bytes:
    """CX-1."""
    return u8(1) + b"".join(u64(len(part)) + part for part in (sender, recipient, conversation))


def padme(length: int) -> int:
    """Nikitin et al., algorithm 1: at most as many significant bits as the exponent has."""
    if length < 2:
        return length
    exponent = length.bit_length() - 1
    mask = (1 << (exponent - exponent.bit_length())) - 1
    return (length + mask) & ~mask


def pad(plaintext: bytes, min_padded_len: int = 0) -> bytes:
    return (plaintext + b"\x80").ljust(padme(max(len(plaintext) + 1, min_padded_len)), b"\0")


def unpad(padded: bytes) -> bytes:
    """Any length that Padmé gives, not only the shortest that has room."""
    marked = padded.rstrip(b"\0")
    if padme(len(padded)) != len(padded) or marked[-1:] != b"\x80":
        raise errors.Refused
    return marked[:-1]
