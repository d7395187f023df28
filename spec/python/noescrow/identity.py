# SPDX-License-Identifier: MIT OR Apache-2.0
"""§4: identity and safety number."""

import hashlib
from dataclasses import dataclass

from . import curve, errors, labels, primitives


@dataclass(frozen=True)
class Identity:
    signing_key: bytes
    dh_key: bytes
    certificate: bytes

    @classmethod
    def certify(cls, signing_seed: bytes, dh_private: bytes) -> "Identity":
        dh_key = primitives.dh_public(dh_private)
        certificate = primitives.sign(signing_seed, labels.L_CERT + labels.SUITE + dh_key)
        return cls(primitives.signing_public(signing_seed), dh_key, certificate)

    @property
    def keys(self) -> bytes:
        return self.signing_key + self.dh_key

    def to_bytes(self) -> bytes:
        return self.keys + self.certificate

    @classmethod
    def from_bytes(cls, data: bytes) -> "Identity":
        """ID-1."""
        if len(data) != 128:
            raise errors.Refused
        identity = cls(data[:32], data[32:64], data[64:])
        curve.check_signing_key(identity.signing_key)
        curve.check_torsion(identity.dh_key)
        primitives.verify(identity.signing_key, labels.L_CERT + labels.SUITE + identity.dh_key, identity.certificate)
        return identity

    @classmethod
    def from_stored(cls, data: bytes) -> "Identity":
        """SN-2.12: from a session's stored state, which the seal authenticates."""
        return cls(data[:32], curve.check_dh_key(data[32:64]), data[64:])


def sign_login(signing_seed: bytes, challenge: bytes) -> bytes:
    """LG-1."""
    return primitives.sign(signing_seed, labels.L_LOGIN + labels.SUITE + challenge)


def login_challenge(server: bytes, account: bytes, nonce: bytes) -> bytes:
    """LG-1.2."""
    return primitives.sha256(labels.L_CHALLENGE + b"".join(len(part).to_bytes(8) + part for part in (server, account)) + nonce)


def stored_access_key(access_key: bytes) -> bytes:
    """LG-2: what the server stores."""
    return primitives.sha256(labels.L_ACCESS + access_key)


ITERATIONS = 5_199


def fingerprint(identity: Identity, identifier: bytes = b"") -> bytes:
    """ID-2."""
    ik = b"\x4e" + identity.keys
    h = hashlib.sha512(b"\0\0" + ik + identifier + ik).digest()
    for _ in range(ITERATIONS):
        h = hashlib.sha512(h + ik).digest()
    return h[:32]


class Malformed(Exception):
    """The scanned bytes are not a safety number of this version."""


class Mismatch(Exception):
    """The keys differ."""


@dataclass(frozen=True)
class SafetyNumber:
    local: bytes
    remote: bytes

    @classmethod
    def of(cls, local: Identity, remote: Identity) -> "SafetyNumber":
        return cls(fingerprint(local), fingerprint(remote))

    def digits(self) -> str:
        def thirty(h: bytes) -> str:
            return "".join(f"{int.from_bytes(h[i : i + 5], 'big') % 100_000:05}" for i in range(0, 30, 5))

        return "".join(sorted([thirty(self.local), thirty(self.remote)]))

    def scan(self) -> bytes:
        return b"\0" + self.local + self.remote

    def verify_scanned(self, scanned: bytes) -> None:
        """Compares with what the other side shows."""
        if len(scanned) != 65 or scanned[0] != 0:
            raise Malformed
        if not primitives.equal(scanned[1:], self.remote + self.local):
            raise Mismatch
