# SPDX-License-Identifier: MIT OR Apache-2.0
"""§5: prekeys, bundles and publications."""

from dataclasses import dataclass, replace

from . import curve, errors, labels, mlkem, primitives
from .identity import Identity
from .primitives import Rng
from .wire import IDENTITY_LEN, Reader, u8, u32, u64

SIGNED, ONE_TIME = 1, 2
DESCRIPTION_LEN = 1_614
PREKEY_LEN = DESCRIPTION_LEN + 64


@dataclass(frozen=True)
class Prekey:
    """A verified prekey of another device."""

    kind: int
    max_version: int
    id: int
    expiry: int
    dh_key: bytes
    kem_key: bytes
    signature: bytes

    @property
    def description(self) -> bytes:
        numbers = u8(self.kind) + u8(self.max_version) + u32(self.id) + u64(self.expiry)
        return numbers + self.dh_key + self.kem_key

    def to_bytes(self) -> bytes:
        return self.description + self.signature

    @classmethod
    def read(cls, reader: Reader, identity: Identity, *kinds: int) -> "Prekey":
        """PK-2."""
        numbers = reader.u8(), reader.u8(), reader.u32(), reader.u64()
        prekey = cls(*numbers, reader.take(32), reader.take(1568), reader.take(64))
        if prekey.kind not in kinds or prekey.max_version == 0 or prekey.id == 0:
            raise errors.Refused
        curve.check_torsion(prekey.dh_key)
        mlkem.check_ek(mlkem.ML_KEM_1024, prekey.kem_key)
        signed = labels.L_PREKEY + labels.SUITE + prekey.description
        primitives.verify(identity.signing_key, signed, prekey.signature)
        return prekey

    @classmethod
    def from_bytes(cls, data: bytes, identity: Identity) -> "Prekey":
        reader = Reader(data)
        prekey = cls.read(reader, identity, SIGNED, ONE_TIME)
        reader.finish()
        return prekey


@dataclass(frozen=True)
class PrivatePrekey:
    """A prekey of this device."""

    kind: int
    max_version: int
    id: int
    expiry: int
    dh_private: bytes
    kem_seed: bytes

    @classmethod
    def generate(cls, kind: int, expiry: int, taken: set[int], rng: Rng) -> "PrivatePrekey":
        """`taken` are the ids of all prekeys that the device keeps."""
        number, draws = 0, 0
        while number == 0 or number in taken:
            number = int.from_bytes(rng(4), "big") if draws < labels.MAX_ID_DRAWS else (number + 1) % 2**32
            draws += 1
        return cls(kind, labels.VERSION, number, expiry, rng(32), rng(64))

    def described(self) -> Prekey:
        """The prekey without its signature."""
        dh_key = primitives.dh_public(self.dh_private)
        kem_key = mlkem.key_gen(mlkem.ML_KEM_1024, self.kem_seed).ek
        return Prekey(self.kind, self.max_version, self.id, self.expiry, dh_key, kem_key, b"")

    def published(self, signing_seed: bytes) -> Prekey:
        """PK-1."""
        prekey = self.described()
        signature = primitives.sign(signing_seed, labels.L_PREKEY + labels.SUITE + prekey.description)
        return replace(prekey, signature=signature)


@dataclass(frozen=True)
class Bundle:
    identity: Identity
    signed: Prekey
    one_time: Prekey | None

    def to_bytes(self) -> bytes:
        one_time = u8(0) if self.one_time is None else u8(1) + self.one_time.to_bytes()
        return self.identity.to_bytes() + self.signed.to_bytes() + one_time

    @classmethod
    def from_bytes(cls, data: bytes) -> "Bundle":
        """HS-I1."""
        reader = Reader(data)
        identity = Identity.from_bytes(reader.take(IDENTITY_LEN))
        signed = Prekey.read(reader, identity, SIGNED)
        one_time = Prekey.read(reader, identity, ONE_TIME) if reader.flag() else None
        reader.finish()
        return cls(identity, signed, one_time)


@dataclass(frozen=True)
class Publication:
    identity: Identity
    signed: Prekey
    one_time: list[Prekey]

    def to_bytes(self) -> bytes:
        one_time = b"".join(prekey.to_bytes() for prekey in self.one_time)
        return self.identity.to_bytes() + self.signed.to_bytes() + u32(len(self.one_time)) + one_time

    @classmethod
    def from_bytes(cls, data: bytes) -> "Publication":
        """PK-3."""
        reader = Reader(data)
        identity, signed, count = reader.take(IDENTITY_LEN), reader.take(PREKEY_LEN), reader.u32()
        if count > labels.MAX_PUBLISHED:
            raise errors.Refused
        one_time = [reader.take(PREKEY_LEN) for _ in range(count)]
        reader.finish()
        owner = Identity.from_bytes(identity)
        prekeys = [Prekey.read(Reader(signed), owner, SIGNED), *(Prekey.read(Reader(key), owner, ONE_TIME) for key in one_time)]
        if len({prekey.id for prekey in prekeys}) < len(prekeys):
            raise errors.Refused
        return cls(owner, prekeys[0], prekeys[1:])
