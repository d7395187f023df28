# SPDX-License-Identifier: MIT OR Apache-2.0
"""Attachments, from ../../attachments.md: whole files in memory."""

from . import errors, labels, wire
from .primitives import ZEROS, equal, hkdf, seal, unseal

VERSION = b"\x01"
CHUNK_LEN = 65_536
ROOM = CHUNK_LEN - 4 - 16
"""The bytes of text and zeros in a full chunk."""


def derive(key: bytes) -> tuple[bytes, bytes]:
    """AT-2: chunk key and commitment."""
    material = hkdf(ZEROS, key, labels.L_ATTACHMENT + VERSION, 64)
    return material[:32], material[32:]


def nonce(index: int, last: bool) -> bytes:
    return bytes(7) + index.to_bytes(4, "big") + bytes([last])


def seal_file(key: bytes, content: bytes) -> bytes:
    """AT-3, AT-4."""
    chunk_key, commitment = derive(key)
    padded_len = wire.padme(len(content))
    chunks = max(1, -(-padded_len // ROOM))
    file = VERSION + commitment
    for index in range(chunks):
        text = content[index * ROOM : (index + 1) * ROOM]
        room = min(ROOM, padded_len - index * ROOM)
        plaintext = text.ljust(room, b"\0") + len(text).to_bytes(4, "big")
        file += seal(chunk_key, nonce(index, index == chunks - 1), b"", plaintext)
    return file


def open_file(key: bytes, file: bytes) -> bytes:
    """AT-5 to AT-7."""
    chunk_key, commitment = derive(key)
    if file[:1] != VERSION or not equal(file[1:33], commitment):
        raise errors.Refused
    content, chunks = b"", [file[at : at + CHUNK_LEN] for at in range(33, len(file), CHUNK_LEN)]
    if not chunks or len(chunks[-1]) < 20:
        raise errors.Refused
    for index, chunk in enumerate(chunks):
        plaintext = unseal(chunk_key, nonce(index, index == len(chunks) - 1), b"", chunk)
        room, length = plaintext[:-4], int.from_bytes(plaintext[-4:], "big")
        if len(plaintext) < 4 or length > len(room) or any(room[length:]):
            raise errors.Refused
        content += room[:length]
    return content
