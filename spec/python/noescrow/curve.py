# SPDX-License-Identifier: MIT OR Apache-2.0
"""§3, curve keys: the checks that the library does not provide. The Edwards curve of RFC 8032, with its affine formulas
in projective form."""

from functools import lru_cache

from . import errors

P = 2**255 - 19
Q = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
SQRT_MINUS_ONE = pow(2, (P - 1) // 4, P)
IDENTITY = (0, 1, 1, 0)

LOW_ORDER = {
    0,
    1,
    P - 1,
    int.from_bytes(bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"), "little"),
    int.from_bytes(bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"), "little"),
}


def recover_x(y: int) -> int | None:
    """The even x of the curve point with this y, if there is one (RFC 8032 §5.1.3)."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * SQRT_MINUS_ONE % P
    if (x * x - square) % P:
        return None
    return x if x % 2 == 0 else P - x


def add(a, b):
    """RFC 8032 §5.1.4."""
    (x1, y1, z1, t1), (x2, y2, z2, t2) = a, b
    e, f = (y1 - x1) * (y2 - x2) % P, (y1 + x1) * (y2 + x2) % P
    c, d = 2 * t1 * t2 * D % P, 2 * z1 * z2 % P
    e, f, g, h = f - e, d - c, d + c, f + e
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def multiply(scalar: int, point):
    result = IDENTITY
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point = add(point, point)
        scalar >>= 1
    return result


def is_identity(point) -> bool:
    x, y, z, _ = point
    return x % P == 0 and (y - z) % P == 0


def check_dh_key(key: bytes) -> bytes:
    """The checks of every decoder of an X25519 key: refuses u >= p, bit 255, low order."""
    u = int.from_bytes(key, "little")
    if len(key) != 32 or u >= P or u in LOW_ORDER:
        raise errors.Refused
    return key


@lru_cache(maxsize=1024)
def _is_of_prime_order(point) -> bool:
    return not is_identity(point) and is_identity(multiply(Q, point))


def check_torsion(key: bytes) -> bytes:
    """The additional check for identities, prekeys and EK: on the curve, without a torsion component."""
    u = int.from_bytes(check_dh_key(key), "little")
    y = (u - 1) * pow(u + 1, -1, P) % P
    x = recover_x(y)
    if x is None or not _is_of_prime_order((x, y, 1, x * y % P)):
        raise errors.Refused
    return key


def _decompress(encoded: bytes):
    y = int.from_bytes(encoded, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    if y >= P:
        raise errors.Refused
    x = recover_x(y)
    if x is None or (x == 0 and sign):
        raise errors.Refused
    x = P - x if sign else x
    return (x, y, 1, x * y % P)


def check_signing_key(key: bytes) -> bytes:
    """Checks that an Ed25519 key is canonical and of prime order."""
    if not _is_of_prime_order(_decompress(key)):
        raise errors.Refused
    return key


def check_signature(signature: bytes) -> bytes:
    """The checks that strict verification adds: s < q, R canonical and not of small order."""
    if int.from_bytes(signature[32:], "little") >= Q or is_identity(multiply(8, _decompress(signature[:32]))):
        raise errors.Refused
    return signature
