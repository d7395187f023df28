# SPDX-License-Identifier: MIT OR Apache-2.0
"""FIPS 203: ML-KEM-768 and ML-KEM-1024, with encapsulation in two steps (§7). Algorithm numbers are those of FIPS
203."""

import hashlib
from dataclasses import dataclass
from functools import lru_cache

from . import errors

Q = 3329
N = 256


@dataclass(frozen=True)
class ParameterSet:
    k: int
    du: int
    dv: int

    @property
    def ek_vector_len(self) -> int:
        return 384 * self.k

    @property
    def ek_len(self) -> int:
        return self.ek_vector_len + 32

    @property
    def ct1_len(self) -> int:
        return 32 * self.du * self.k

    @property
    def ct_len(self) -> int:
        return self.ct1_len + 32 * self.dv


# Both have eta1 = eta2 = 2.
ML_KEM_768 = ParameterSet(k=3, du=10, dv=4)
ML_KEM_1024 = ParameterSet(k=4, du=11, dv=5)


def _bit_reversed(i: int) -> int:
    return int(f"{i:07b}"[::-1], 2)


ZETAS = [pow(17, _bit_reversed(i), Q) for i in range(128)]
GAMMAS = [pow(17, 2 * _bit_reversed(i) + 1, Q) for i in range(128)]


def H(data: bytes) -> bytes:
    return hashlib.sha3_256(data).digest()


def G(data: bytes) -> tuple[bytes, bytes]:
    digest = hashlib.sha3_512(data).digest()
    return digest[:32], digest[32:]


def J(data: bytes) -> bytes:
    return hashlib.shake_256(data).digest(32)


def byte_encode(f: list[int], d: int) -> bytes:
    """Algorithm 5."""
    return sum(x << (i * d) for i, x in enumerate(f)).to_bytes(32 * d, "little")


def byte_decode(data: bytes, d: int) -> list[int]:
    """Algorithm 6."""
    bits, mask, modulus = int.from_bytes(data, "little"), (1 << d) - 1, Q if d == 12 else 1 << d
    return [((bits >> (i * d)) & mask) % modulus for i in range(N)]


def compress(f: list[int], d: int) -> list[int]:
    """Equation 4.7: round(2^d / q * x) mod 2^d; a half is rounded up."""
    return [((x << (d + 1)) + Q) // (2 * Q) % (1 << d) for x in f]


def decompress(f: list[int], d: int) -> list[int]:
    """Equation 4.8."""
    return [(2 * Q * x + (1 << d)) >> (d + 1) for x in f]


def sample_ntt(seed: bytes) -> list[int]:
    """Algorithm 7. 1,344 bytes are eight blocks of SHAKE-128; if they do not suffice, more are squeezed."""
    length = 1344
    while True:
        stream, a = hashlib.shake_128(seed).digest(length), []
        for i in range(0, length, 3):
            d1 = stream[i] + 256 * (stream[i + 1] % 16)
            d2 = stream[i + 1] // 16 + 16 * stream[i + 2]
            a += [d for d in (d1, d2) if d < Q]
            if len(a) >= N:
                return a[:N]
        length *= 2


def sample_cbd2(data: bytes) -> list[int]:
    """Algorithm 8 with eta = 2: each coefficient takes four bits."""
    nibbles = [nibble for byte in data for nibble in (byte & 15, byte >> 4)]
    return [((n & 1) + (n >> 1 & 1) - (n >> 2 & 1) - (n >> 3)) % Q for n in nibbles]


def prf(s: bytes, b: int) -> bytes:
    return hashlib.shake_256(s + bytes([b])).digest(64 * 2)


def ntt(f: list[int]) -> list[int]:
    """Algorithm 9."""
    f, i, length = f[:], 1, 128
    while length >= 2:
        for start in range(0, N, 2 * length):
            zeta = ZETAS[i]
            i += 1
            for j in range(start, start + length):
                t = zeta * f[j + length] % Q
                f[j + length] = (f[j] - t) % Q
                f[j] = (f[j] + t) % Q
        length //= 2
    return f


def inverse_ntt(f: list[int]) -> list[int]:
    """Algorithm 10."""
    f, i, length = f[:], 127, 2
    while length <= 128:
        for start in range(0, N, 2 * length):
            zeta = ZETAS[i]
            i -= 1
            for j in range(start, start + length):
                t = f[j]
                f[j] = (t + f[j + length]) % Q
                f[j + length] = zeta * (f[j + length] - t) % Q
        length *= 2
    return [x * 3303 % Q for x in f]


def multiply_ntts(f: list[int], g: list[int]) -> list[int]:
    """Algorithms 11 and 12."""
    h = []
    for i, gamma in enumerate(GAMMAS):
        a0, a1, b0, b1 = f[2 * i], f[2 * i + 1], g[2 * i], g[2 * i + 1]
        h += [(a0 * b0 + a1 * b1 * gamma) % Q, (a0 * b1 + a1 * b0) % Q]
    return h


def add(f: list[int], g: list[int]) -> list[int]:
    return [(x + y) % Q for x, y in zip(f, g)]


def dot(f: list[list[int]], g: list[list[int]]) -> list[int]:
    total = [0] * N
    for a, b in zip(f, g):
        total = add(total, multiply_ntts(a, b))
    return total


@lru_cache(maxsize=64)
def _matrix(k: int, rho: bytes) -> list[list[list[int]]]:
    return [[sample_ntt(rho + bytes([j, i])) for j in range(k)] for i in range(k)]


@dataclass(frozen=True)
class KeyPair:
    """Algorithm 16 from the seed d || z."""

    ek: bytes
    s_hat: list[list[int]]
    z: bytes


@lru_cache(maxsize=256)
def key_gen(parameters: ParameterSet, seed: bytes) -> KeyPair:
    k, (d, z) = parameters.k, (seed[:32], seed[32:])
    rho, sigma = G(d + bytes([k]))
    a_hat = _matrix(k, rho)
    s_hat = [ntt(sample_cbd2(prf(sigma, i))) for i in range(k)]
    e_hat = [ntt(sample_cbd2(prf(sigma, k + i))) for i in range(k)]
    t_hat = [add(dot(a_hat[i], s_hat), e_hat[i]) for i in range(k)]
    return KeyPair(b"".join(byte_encode(t, 12) for t in t_hat) + rho, s_hat, z)


def check_ek(parameters: ParameterSet, ek: bytes) -> bytes:
    """The modulus check of §7.2; `ek` may also be the vector alone."""
    for i in range(parameters.k):
        part = ek[384 * i : 384 * (i + 1)]
        if len(part) != 384 or byte_encode(byte_decode(part, 12), 12) != part:
            raise errors.Refused
    return ek


@dataclass(frozen=True)
class Encapsulation:
    """What encaps2 needs from encaps1."""

    y_hat: list[list[int]]
    e2: list[int]
    m: bytes


@lru_cache(maxsize=256)
def encaps1(parameters: ParameterSet, header: bytes, m: bytes) -> tuple[bytes, bytes, Encapsulation]:
    """ct1, the shared secret and what encaps2 needs, from the header rho || H(ek): the part of algorithms 14 and 17
    that does not need the vector of the key."""
    k, (rho, hash_of_ek) = parameters.k, (header[:32], header[32:])
    shared_secret, r = G(m + hash_of_ek)
    a_hat = _matrix(k, rho)
    y_hat = [ntt(sample_cbd2(prf(r, i))) for i in range(k)]
    e1 = [sample_cbd2(prf(r, k + i)) for i in range(k)]
    e2 = sample_cbd2(prf(r, 2 * k))
    u = [add(inverse_ntt(dot([a_hat[j][i] for j in range(k)], y_hat)), e1[i]) for i in range(k)]
    ct1 = b"".join(byte_encode(compress(f, parameters.du), parameters.du) for f in u)
    return ct1, shared_secret, Encapsulation(y_hat, e2, m)


def encaps2(parameters: ParameterSet, kept: Encapsulation, ek_vector: bytes) -> bytes:
    t_hat = [byte_decode(ek_vector[384 * i : 384 * (i + 1)], 12) for i in range(parameters.k)]
    mu = decompress(byte_decode(kept.m, 1), 1)
    v = add(add(inverse_ntt(dot(t_hat, kept.y_hat)), kept.e2), mu)
    return byte_encode(compress(v, parameters.dv), parameters.dv)


def encaps(parameters: ParameterSet, ek: bytes, m: bytes) -> tuple[bytes, bytes]:
    """Algorithm 17: ciphertext and shared secret."""
    ct1, shared_secret, kept = encaps1(parameters, ek[-32:] + H(ek), m)
    return ct1 + encaps2(parameters, kept, ek[:-32]), shared_secret


def decaps(parameters: ParameterSet, seed: bytes, ct: bytes) -> bytes:
    """Algorithm 18, with implicit rejection."""
    if len(ct) != parameters.ct_len:
        raise errors.Refused
    keys, du, dv = key_gen(parameters, seed), parameters.du, parameters.dv
    ct1, ct2 = ct[: parameters.ct1_len], ct[parameters.ct1_len :]
    u = [decompress(byte_decode(ct1[32 * du * i : 32 * du * (i + 1)], du), du) for i in range(parameters.k)]
    v = decompress(byte_decode(ct2, dv), dv)
    w = [(x - y) % Q for x, y in zip(v, inverse_ntt(dot(keys.s_hat, [ntt(f) for f in u])))]
    m = byte_encode(compress(w, 1), 1)
    again, shared_secret = encaps(parameters, keys.ek, m)
    return shared_secret if again == ct else J(keys.z + ct)
