# SPDX-License-Identifier: MIT OR Apache-2.0
"""Hostile peers for the vectors: authentic messages, handshakes, keys and signatures with chosen contents. Whatever is
forged opens with a receiver who lacks the one check that should refuse it."""

import copy
import hashlib
from dataclasses import replace

from noescrow import client, curve, handshake, labels, mlkem, primitives, triple, wire
from noescrow.double import Due, Sending, kdf_rk_he, mix
from noescrow.identity import Identity
from noescrow.prekeys import Bundle
from noescrow.primitives import dh
from noescrow.wire import Header


def message(
    session: client.Session,
    rng,
    text: bytes = b"forged",
    *,
    ec_skip: int = 0,
    pq_skip: int = 0,
    fields: dict | None = None,
    edit=None,
    chunk_of=None,
    padded: bytes | None = None,
    salt: bytes | None = None,
    private: bytes | None = None,
    epoch: int | None = None,
    ad: bytes = b"",
    first: bytes | None = None,
    spoil=None,
    chain=None,
    step: tuple[bytes, bytes] | None = None,
    outer: bytes | None = None,
    wrong_commitment: int | None = None,
) -> bytes:
    """A message of `session`, whose state does not change.

    `ec_skip` and `pq_skip` messages are passed over in the chains; `fields` replaces fields of the header, `edit` its
    bytes, `chunk_of` the Braid's message; the keys are those of the passed chains all the same. `epoch` sends on
    another epoch's chain, or on `chain`. `spoil` changes the copy of the session's state before. `step` is a new chain's
    public key as it is spelt, and the result of its DH."""
    ratchet = copy.deepcopy(session.triple)
    if spoil:
        spoil(ratchet)
    double, sparse = ratchet.double, ratchet.sparse
    sending_epoch = sparse.braid.sending_epoch

    def draw(length: int) -> bytes:
        nonlocal private
        chosen, private = private, None
        return chosen if chosen and length == 32 else rng(length)

    if step:
        _step(double, step, sparse.epochs[sending_epoch].header_secret, sending_epoch)
    double.send_step(draw, sparse.epochs[sending_epoch].header_secret, sending_epoch)
    braid_message, key = sparse.braid.send(rng)
    sparse._fold(key)
    at = sending_epoch if epoch is None else epoch
    chain = copy.deepcopy(chain) or sparse.epochs[at].sending
    for _ in range(pq_skip):
        chain.skip()
    pq_mk = chain.step()
    for _ in range(ec_skip):
        double.sending.number += 1
        double.sending.chain_key = primitives.hmac(double.sending.chain_key, b"\x02")
    number = double.sending.number
    ec_mk = double.send()
    braid_message = replace(braid_message, epoch=at + 1) if epoch is not None else braid_message
    header = Header(
        step[0] if step else primitives.dh_public(double.sending.ratchet_private),
        double.sending.previous_chain_length,
        number,
        chunk_of(braid_message) if chunk_of else braid_message,
        chain.number,
        max(0, at - double.sending.mixed_epoch),
    )
    plain = replace(header, **(fields or {})).to_bytes()
    plain = edit(plain) if edit else plain
    if first is None and isinstance(session.opening, client.Unanswered):
        first = session.opening.handshake
    outer = outer or wire.u8(wire.LATER if first is None else wire.FIRST)
    hk = double.sending.header_key
    salt = salt or triple.routing_tag(hk, number) + rng(8)
    body = wire.pad(text) if padded is None else padded
    committed = triple.commitment(hk, salt)
    if wrong_commitment is not None:
        committed = flipped(committed, wrong_commitment)
    return triple.seal(hk, salt, plain, (ec_mk, pq_mk), ratchet.ad, ad, outer, first, body, committed)


def _step(double, step: tuple[bytes, bytes], header_secret: bytes, epoch: int) -> None:
    """DR-E1 with a chosen result of the DH."""
    sent = double.sending.previous_chain_length if isinstance(double.sending, Due) else double.sending.number
    header_key = double.next_sending_header_key
    double.root, chain_key, nhk = kdf_rk_he(double.root, step[1])
    double.next_sending_header_key = mix(header_secret, nhk)
    double.sending = Sending(bytes(32), chain_key, header_key, 0, sent, epoch)


def put(at: int, data: bytes):
    """An edit: these bytes at this place."""
    return lambda plain: plain[:at] + data + plain[at + len(data) :]


def flipped(data: bytes, at: int, bit: int = 1) -> bytes:
    changed = bytearray(data)
    changed[at] ^= bit
    return bytes(changed)


# Keys and signatures.


def _torsion_point(order: int):
    """A point of this order, 1 to 8."""
    for y in range(2, 100):
        x = curve.recover_x(y)
        if x is None:
            continue
        point = curve.multiply(curve.Q, (x, y, 1, x * y % curve.P))
        if not curve.is_identity(curve.multiply(4, point)):
            return curve.multiply(8 // order, point)
    raise AssertionError


BASE_Y = 4 * pow(5, -1, curve.P) % curve.P
_x = curve.recover_x(BASE_Y)
BASE = (_x, BASE_Y, 1, _x * BASE_Y % curve.P)


def compress(point) -> bytes:
    x, y, z, _ = point
    inverse = pow(z, -1, curve.P)
    x, y = x * inverse % curve.P, y * inverse % curve.P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def montgomery(point) -> bytes:
    _, y, z, _ = point
    return ((z + y) * pow(z - y, -1, curve.P) % curve.P).to_bytes(32, "little")


def with_torsion(key: bytes, order: int = 8) -> bytes:
    u = int.from_bytes(key, "little")
    y = (u - 1) * pow(u + 1, -1, curve.P) % curve.P
    x = curve.recover_x(y)
    return montgomery(curve.add((x, y, 1, x * y % curve.P), _torsion_point(order)))


def on_the_twist() -> bytes:
    """A point of the twist, without a torsion component of its own."""
    for u in range(2, 100):
        y = (u - 1) * pow(u + 1, -1, curve.P) % curve.P
        if curve.recover_x(y) is None:
            # Eight times: the twist's cofactor is 4.
            return dh(bytes([8]) + bytes(30) + bytes([64]), u.to_bytes(32, "little"))
    raise AssertionError


def low_order() -> list[bytes]:
    return [u.to_bytes(32, "little") for u in sorted(curve.LOW_ORDER)]


def scalar_of(seed: bytes) -> int:
    """RFC 8032 §5.1.5."""
    h = bytearray(hashlib.sha512(seed).digest()[:32])
    h[0] &= 248
    h[31] = h[31] & 63 | 64
    return int.from_bytes(h, "little")


def _challenge(r: bytes, key: bytes, message: bytes) -> int:
    return int.from_bytes(hashlib.sha512(r + key + message).digest(), "little") % curve.Q


def signature_with_r_of_identity(seed: bytes, message: bytes) -> bytes:
    """Verifies by the equation without cofactor; R has order 1."""
    key, r = primitives.signing_public(seed), compress(curve.IDENTITY)
    return r + (_challenge(r, key, message) * scalar_of(seed) % curve.Q).to_bytes(32, "little")


def another_signature(seed: bytes, message: bytes) -> bytes:
    """A signature with a nonce of its own choice."""
    key, nonce = primitives.signing_public(seed), 12_345
    r = compress(curve.multiply(nonce, BASE))
    return r + ((nonce + _challenge(r, key, message) * scalar_of(seed)) % curve.Q).to_bytes(32, "little")


def signature_with_torsion(seed: bytes, message: bytes, order: int = 8) -> bytes:
    """R has a component of this order: only the equation with the cofactor holds."""
    key, nonce = primitives.signing_public(seed), 12_345
    r = compress(curve.add(curve.multiply(nonce, BASE), _torsion_point(order)))
    return r + ((nonce + _challenge(r, key, message) * scalar_of(seed)) % curve.Q).to_bytes(32, "little")


def sign_under_mixed_key(seed: bytes, order: int, message: bytes) -> tuple[bytes, bytes]:
    """A key with a torsion component (or nothing but torsion for an empty seed), and a signature that verifies
    under it by the equation without cofactor: the challenge is a multiple of 8."""
    a = scalar_of(seed) if seed else 0
    key = compress(curve.add(curve.multiply(a, BASE), _torsion_point(order)))
    for nonce in range(1, 1_000):
        r = compress(curve.multiply(nonce, BASE))
        h = hashlib.sha512(r + key + message).digest()
        # OpenSSL reduces the challenge by the group's order, which is odd: the reduced one must be a multiple of 8.
        k = int.from_bytes(h, "little") % curve.Q
        if k % 8 == 0:
            return key, r + ((nonce + k * a) % curve.Q).to_bytes(32, "little")
    raise AssertionError


def identity(seed: bytes, dh_key: bytes) -> bytes:
    certificate = primitives.sign(seed, labels.L_CERT + labels.SUITE + dh_key)
    return primitives.signing_public(seed) + dh_key + certificate


def prekey(seed: bytes, genuine: bytes, edit) -> bytes:
    """A genuine signature on an edited description."""
    description = edit(genuine[:-64])
    return description + primitives.sign(seed, labels.L_PREKEY + labels.SUITE + description)


def beyond_modulus(ek: bytes, at: int = 0) -> bytes:
    """The first coefficient that begins at this byte, or after it, becomes q."""
    at -= at % 3
    return ek[:at] + bytes([0x01, ek[at + 1] & 0xF0 | 0x0D]) + ek[at + 2 :]


# Handshakes.


def first_message(
    device: client.Device,
    bundle: bytes,
    rng,
    *,
    ephemeral: bytes | None = None,
    ephemeral_key: bytes | None = None,
    dh_with=None,
    clear_edit=None,
    local: bytes | None = None,
    local_dh: bytes | None = None,
    max_version: int = 1,
    chunk: int = 32,
    hidden: bytes | None = None,
    session_edit=None,
    **more,
) -> bytes:
    """A first message of somebody who follows the formulas with chosen contents. `ephemeral_key` is EK as it is spelt;
    `dh_with(public)` gives what EK's private half would give with another key, `ephemeral`'s by default."""
    parsed = Bundle.from_bytes(bundle)
    signed, one_time = parsed.signed, parsed.one_time
    ephemeral = ephemeral or rng(32)
    dh_with = dh_with or (lambda public: dh(ephemeral, public))
    identity_bytes = local or device.identity.to_bytes()
    who = Identity(identity_bytes[:32], identity_bytes[32:64], identity_bytes[64:])
    # One ciphertext for each prekey: most bytes of a first message are then those of another.
    ciphertext, kem_secret = mlkem.encaps(mlkem.ML_KEM_1024, (one_time or signed).kem_key, bytes([0xC0]) * 32)
    dh3 = dh_with(signed.dh_key)
    dhs = [dh(local_dh or device.dh_private, signed.dh_key), dh_with(parsed.identity.dh_key), dh3]
    if one_time:
        dhs.append(dh_with(one_time.dh_key))
    key_of_ephemeral = ephemeral_key or primitives.dh_public(ephemeral)
    clear = wire.ClearPart(signed.id, one_time.id if one_time else None, key_of_ephemeral, ciphertext, chunk).to_bytes()
    clear = clear_edit(clear) if clear_edit else clear
    key, nonce = handshake._hidden_key(dh3, kem_secret)
    first = clear + primitives.seal(key, nonce, clear, hidden or wire.u8(max_version) + who.to_bytes())
    digests = primitives.sha256(signed.description), primitives.sha256(one_time.description) if one_time else None
    keys = handshake.InitialKeys.of(
        handshake.combine(dhs, kem_secret), handshake.transcript(who, parsed.identity, clear, *digests)
    )
    ratchet = triple.Triple.initiator(keys, signed.dh_key, chunk)
    session = client.Session(who, parsed.identity, client.Unanswered(first), ratchet)
    return message(session, rng, **more)

