# SPDX-License-Identifier: MIT OR Apache-2.0
"""§3: the primitives' notation, over the package `cryptography` and the standard library."""

import hashlib
import hmac as _hmac
from collections.abc import Callable

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from . import curve, errors

Rng = Callable[[int], bytes]
"""Returns the requested number of random bytes."""

ZEROS = bytes(32)
TAG_LEN = 16


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def hmac(key: bytes, message: bytes) -> bytes:
    return _hmac.digest(key, message, "sha256")


def expand(prk: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869 §2.3."""
    block, output = b"", b""
    for counter in range(1, -(-length // 32) + 1):
        block = hmac(prk, block + info + bytes([counter]))
        output += block
    return output[:length]


def hkdf(salt: bytes, ikm: bytes, info: bytes, length: int) -> bytes:
    return expand(hmac(salt, ikm), info, length)


def equal(a: bytes, b: bytes) -> bool:
    return _hmac.compare_digest(a, b)


def dh_public(private: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def dh(private: bytes, public: bytes) -> bytes:
    """DH; an all-zero result is refused."""
    try:
        shared = X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:  # the library itself refuses the all-zero output
        raise errors.Refused from None
    if shared == ZEROS:
        raise errors.Refused
    return shared


def signing_public(seed: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def sign(seed: bytes, message: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(seed).sign(message)


def verify(key: bytes, message: bytes, signature: bytes) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(curve.check_signature(signature), message)
    except InvalidSignature:
        raise errors.Refused from None


def seal(key: bytes, nonce: bytes, associated_data: bytes, plaintext: bytes) -> bytes:
    return AESGCM(key).encrypt(nonce, plaintext, associated_data)


def unseal(key: bytes, nonce: bytes, associated_data: bytes, sealed: bytes) -> bytes:
    try:
        return AESGCM(key).decrypt(nonce, sealed, associated_data)
    except InvalidTag:
        raise errors.Refused from None
