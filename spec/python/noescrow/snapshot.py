# SPDX-License-Identifier: MIT OR Apache-2.0
"""§11, with the stored forms of §12 and §13: snapshots."""

from . import curve, erasure, errors, labels, primitives
from .braid import (
    CT1_LEN,
    CT2_LEN,
    EK_VECTOR_LEN,
    HEADER_LEN,
    MAC_LEN,
    Authenticator,
    Braid,
    Ct1Acknowledged,
    Ct1Received,
    Ct1Sampled,
    Ct2Sampled,
    EkReceivedCt1Sampled,
    EkSentCt1Received,
    HeaderReceived,
    HeaderSent,
    KeysSampled,
    KeysUnsampled,
    NoHeaderReceived,
)
from .client import Accepted, Answered, Device, OwnPrekey, Session, Signed, Unanswered
from .double import Double, Due, NotYet, Receiving, Sending
from .erasure import Decoder
from .identity import Identity
from .prekeys import ONE_TIME, SIGNED, PrivatePrekey
from .primitives import ZEROS, expand, hmac, sha256
from .sparse import A2B, B2A, Chain, Epoch, Sparse
from .triple import Triple
from .wire import CHUNK_SIZES, HANDSHAKE_LEN, IDENTITY_LEN, Reader, u8, u16, u32, u64

VERSION, SESSION, DEVICE = 1, 1, 2
HEAD_LEN = 42


def seal(kind: int, state: bytes, key: bytes, generation: int) -> bytes:
    """SN-1."""
    named = u8(VERSION) + u8(kind) + u64(generation)
    salt = hmac(expand(key, labels.L_SALT, 32), named + state)
    sealing = expand(key, labels.L_SEAL + salt, 44)
    return named + salt + primitives.seal(sealing[:32], sealing[32:], named + salt, state)


def unseal(kind: int, snapshot: bytes, key: bytes, newest: int) -> bytes:
    """SN-2, except the parsing."""
    reader = Reader(snapshot)
    if (reader.u8(), reader.u8()) != (VERSION, kind):
        raise errors.Refused
    generation, salt = reader.u64(), reader.take(32)
    sealing = expand(key, labels.L_SEAL + salt, 44)
    state = primitives.unseal(sealing[:32], sealing[32:], snapshot[:HEAD_LEN], snapshot[HEAD_LEN:])
    named = u8(VERSION) + u8(kind) + u64(generation)
    if not primitives.equal(salt, hmac(expand(key, labels.L_SALT, 32), named + state)):
        raise errors.Refused
    if generation < newest:
        raise errors.Rollback
    return state


def _ascending(keys: list) -> list:
    if any(a >= b for a, b in zip(keys, keys[1:])):
        raise errors.Refused
    return keys


# A session.


def snapshot_session(session: Session, key: bytes, generation: int) -> bytes:
    return seal(SESSION, session_state(session), key, generation)


def restore_session(snapshot: bytes, key: bytes, newest: int = 0) -> Session:
    reader = Reader(unseal(SESSION, snapshot, key, newest))
    session = _read_session(reader)
    reader.finish()
    return session


def session_state(session: Session) -> bytes:
    if session.local is None:
        parties = u8(0)
    else:
        parties = u8(1) + session.local.to_bytes() + session.remote.to_bytes()
    match session.opening:
        case Unanswered(handshake):
            opening = u8(0) + handshake
        case Accepted(digest):
            opening = u8(1) + digest
        case Answered():
            opening = u8(2)
    triple = session.triple
    head = parties + triple.ad + triple.session_id + opening + u8(CHUNK_SIZES.index(triple.chunk))
    if triple.double is None:
        wiped = Double(ZEROS, Due(triple.last_remote_key, 0), None, ZEROS, ZEROS)
        return head + _double(wiped) + u8(0) + u8(triple.direction)
    return head + _double(triple.double) + _braid(triple.sparse.braid) + _sparse(triple.sparse)


def _read_session(reader: Reader) -> Session:
    local = remote = None
    if reader.flag():
        local = Identity.from_bytes(reader.take(IDENTITY_LEN))
        remote = Identity.from_bytes(reader.take(IDENTITY_LEN))
    ad, session_id = reader.take(32), reader.take(32)
    match reader.u8():
        case 0:
            opening = Unanswered(reader.take(HANDSHAKE_LEN))
        case 1:
            opening = Accepted(reader.take(32))
        case 2:
            opening = Answered()
        case _:
            raise errors.Refused
    chunk = reader.u8()
    if chunk >= len(CHUNK_SIZES):
        raise errors.Refused
    chunk = CHUNK_SIZES[chunk]
    double = _read_double(reader)
    braid = _read_braid(reader, chunk)
    sparse, direction = _read_sparse(reader, braid)
    if sparse is None:
        key = double.sending.remote_ratchet_key if isinstance(double.sending, Due) else b""
        if double != Double(ZEROS, Due(key, 0), None, ZEROS, ZEROS):
            raise errors.Refused
        triple = Triple(ad, session_id, chunk, None, None, direction, key)
    else:
        triple = Triple(ad, session_id, chunk, double, sparse, direction)
        _check_double(double, sparse)
        _check_sparse(sparse)
    if (direction == B2A and local is not None) != isinstance(opening, Accepted):
        raise errors.Refused
    if local is None and not isinstance(opening, Answered):
        raise errors.Refused
    return Session(local, remote, opening, triple)


# §11's invariants.


def _check_double(double: Double, sparse: Sparse) -> None:
    newest, headers = double.step, set(double.header_keys)
    kept_steps = {step for step, _ in double.kept}
    holds = (double.receiving is not None) == (newest != 0)
    holds &= all(0 < newest - step <= labels.MAX_SKIPPED_STEPS for step in headers)
    holds &= kept_steps - {newest} == headers and len(double.kept) <= labels.MAX_SKIPPED_KEYS
    if double.receiving is not None:
        holds &= all(step < newest or number < double.receiving.number for step, number in double.kept)
    if isinstance(double.sending, Sending):
        holds &= 0 <= sparse.braid.sending_epoch - double.sending.mixed_epoch <= 1
    if not holds:
        raise errors.Refused


def _check_sparse(sparse: Sparse) -> None:
    sending = sparse.braid.sending_epoch
    encapsulated = isinstance(sparse.braid.state, (Ct1Sampled, EkReceivedCt1Sampled, Ct1Acknowledged, Ct2Sampled))
    holds = sparse.newest == sending + encapsulated and min(sparse.epochs) == max(0, sending - 1)
    holds &= all(epoch in sparse.epochs and 1 <= n <= sparse.epochs[epoch].receiving.number for epoch, n in sparse.kept)
    if not holds or len(sparse.kept) > labels.MAX_SKIPPED_KEYS:
        raise errors.Refused


def _check_device(device: Device) -> None:
    own = [device.signed, *device.previous, *device.one_time]
    ids = {prekey.prekey.id for prekey in own}
    holds = len(ids) == len(own) and 0 not in ids and len(device.previous) <= labels.MAX_PREVIOUS
    holds &= all(prekey.prekey.max_version > 0 for prekey in own)
    holds &= all(prekey.digest == sha256(prekey.prekey.described().description) for prekey in own)
    if not holds:
        raise errors.Refused


def _double(double: Double) -> bytes:
    match double.sending:
        case NotYet(private):
            sending = u8(0) + private
        case Due(remote, previous):
            sending = u8(1) + remote + u32(previous)
        case Sending(private, chain_key, header_key, number, previous, mixed):
            sending = u8(2) + private + chain_key + header_key + u32(number) + u32(previous) + u32(mixed)
    r = double.receiving
    receiving = u8(0) if r is None else u8(1) + r.remote_ratchet_key + r.chain_key + r.header_key + u32(r.number)
    state = double.root + sending + receiving
    state += double.next_sending_header_key + double.next_receiving_header_key + u32(double.step)
    state += u32(len(double.header_keys))
    for step, header_key in sorted(double.header_keys.items()):
        state += u32(step) + header_key
    state += u32(len(double.kept))
    for (step, number), message_key in sorted(double.kept.items()):
        state += u32(step) + u32(number) + message_key
    return state


def _read_double(reader: Reader) -> Double:
    root = reader.take(32)
    match reader.u8():
        case 0:
            sending = NotYet(reader.take(32))
        case 1:
            sending = Due(curve.check_dh_key(reader.take(32)), reader.u32())
        case 2:
            keys = reader.take(32), reader.take(32), reader.take(32)
            sending = Sending(*keys, reader.u32(), reader.u32(), reader.u32())
        case _:
            raise errors.Refused
    receiving = None
    if reader.flag():
        remote = curve.check_dh_key(reader.take(32))
        receiving = Receiving(remote, reader.take(32), reader.take(32), reader.u32())
    double = Double(root, sending, receiving, reader.take(32), reader.take(32), reader.u32())
    headers = [(reader.u32(), reader.take(32)) for _ in range(reader.u32())]
    kept = [((reader.u32(), reader.u32()), reader.take(32)) for _ in range(reader.u32())]
    _ascending([step for step, _ in headers])
    _ascending([at for at, _ in kept])
    double.header_keys, double.kept = dict(headers), dict(kept)
    return double


def _chunks(decoder: Decoder) -> bytes:
    chunks = b"".join(u16(index) + codeword for index, codeword in decoder.codewords.items())
    return u8(len(decoder.codewords)) + chunks


def _read_chunks(reader: Reader, length: int, chunk: int) -> Decoder:
    decoder, count = Decoder(length, chunk), reader.u8()
    if count >= erasure.chunk_count(length, chunk):
        raise errors.Refused
    for _ in range(count):
        index, codeword = reader.u16(), reader.take(chunk)
        if index in decoder.codewords:
            raise errors.Refused
        decoder.codewords[index] = codeword
    return decoder


def _braid(braid: Braid) -> bytes:
    match braid.state:
        case KeysUnsampled():
            number, state = 1, b""
        case KeysSampled(seed, issued):
            number, state = 2, seed + u32(issued)
        case HeaderSent(seed, issued, ct1):
            number, state = 3, seed + u32(issued) + _chunks(ct1)
        case Ct1Received(seed, issued, ct1):
            number, state = 4, seed + u32(issued) + ct1
        case EkSentCt1Received(seed, ct1, ct2):
            number, state = 5, seed + ct1 + _chunks(ct2)
        case NoHeaderReceived(header):
            number, state = 6, _chunks(header)
        case HeaderReceived(header):
            number, state = 7, header
        case Ct1Sampled(coins, header, issued, ek):
            number, state = 8, coins + header + u32(issued) + _chunks(ek)
        case EkReceivedCt1Sampled(coins, header, issued, ek_vector):
            number, state = 9, coins + header + u32(issued) + ek_vector
        case Ct1Acknowledged(coins, header, ek):
            number, state = 10, coins + header + _chunks(ek)
        case Ct2Sampled(ct2_and_mac, issued):
            number, state = 11, ct2_and_mac + u32(issued)
    return u8(number) + u32(braid.epoch) + braid.authenticator.root + braid.authenticator.mac_key + state


def _read_braid(reader: Reader, chunk: int) -> Braid | None:
    number = reader.u8()
    if number == 0:
        return None
    epoch = reader.u32()
    if not 1 <= epoch <= labels.MAX_EPOCH:
        raise errors.Refused
    authenticator = Authenticator(reader.take(32), reader.take(32))

    def issued() -> int:
        count = reader.u32()
        if count > labels.CODEWORDS:
            raise errors.Refused
        return count

    def chunks(length: int) -> Decoder:
        return _read_chunks(reader, length, chunk)

    match number:
        case 1:
            state = KeysUnsampled()
        case 2:
            state = KeysSampled(reader.take(64), issued())
        case 3:
            state = HeaderSent(reader.take(64), issued(), chunks(CT1_LEN))
        case 4:
            state = Ct1Received(reader.take(64), issued(), reader.take(CT1_LEN))
        case 5:
            state = EkSentCt1Received(reader.take(64), reader.take(CT1_LEN), chunks(CT2_LEN + MAC_LEN))
        case 6:
            state = NoHeaderReceived(chunks(HEADER_LEN + MAC_LEN))
        case 7:
            state = HeaderReceived(reader.take(HEADER_LEN))
        case 8:
            state = Ct1Sampled(reader.take(32), reader.take(HEADER_LEN), issued(), chunks(EK_VECTOR_LEN))
        case 9:
            parts = reader.take(32), reader.take(HEADER_LEN), issued(), reader.take(EK_VECTOR_LEN)
            state = EkReceivedCt1Sampled(*parts)
        case 10:
            state = Ct1Acknowledged(reader.take(32), reader.take(HEADER_LEN), chunks(EK_VECTOR_LEN))
        case 11:
            state = Ct2Sampled(reader.take(CT2_LEN + MAC_LEN), issued())
        case _:
            raise errors.Refused
    return Braid(chunk, epoch, authenticator, state)


def _sparse(sparse: Sparse) -> bytes:
    state = u8(sparse.direction) + sparse.root + u32(sparse.newest) + u8(len(sparse.epochs))
    for _, epoch in sorted(sparse.epochs.items()):
        state += u8(0) if epoch.sending is None else u8(1) + epoch.sending.key + u32(epoch.sending.number)
        state += epoch.receiving.key + u32(epoch.receiving.number) + epoch.header_secret
    state += u32(len(sparse.kept))
    for (epoch, n), message_key in sorted(sparse.kept.items()):
        state += u32(epoch) + u32(n) + message_key
    return state


def _read_sparse(reader: Reader, braid: Braid | None) -> tuple[Sparse | None, int]:
    direction = reader.u8()
    if direction not in (A2B, B2A):
        raise errors.Refused
    if braid is None:
        return None, direction
    root, newest, count = reader.take(32), reader.u32(), reader.u8()
    if not 1 <= count <= 3:
        raise errors.Refused
    epochs = {}
    for number in range(newest - count + 1, newest + 1):
        sending = Chain(reader.take(32), reader.u32()) if reader.flag() else None
        if (sending is not None) != (number >= braid.sending_epoch):
            raise errors.Refused
        epochs[number] = Epoch(sending, Chain(reader.take(32), reader.u32()), reader.take(32))
    kept = [((reader.u32(), reader.u32()), reader.take(32)) for _ in range(reader.u32())]
    _ascending([at for at, _ in kept])
    return Sparse(direction, root, newest, epochs, braid, dict(kept)), direction


# A device.


def snapshot_device(device: Device, key: bytes, generation: int) -> bytes:
    return seal(DEVICE, device_state(device), key, generation)


def restore_device(snapshot: bytes, key: bytes, newest: int = 0) -> Device:
    reader = Reader(unseal(DEVICE, snapshot, key, newest))
    seed, dh_private = reader.take(32), reader.take(32)
    signed = _read_signed(reader)
    previous = [_read_signed(reader) for _ in range(reader.u8())]
    one_time = [OwnPrekey(*_read_prekey(reader, ONE_TIME)) for _ in range(reader.u32())]
    reader.finish()
    device = Device(seed, dh_private, signed, previous, one_time)
    _check_device(device)
    return device


def device_state(device: Device) -> bytes:
    state = device.signing_seed + device.dh_private + _signed(device.signed)
    state += u8(len(device.previous)) + b"".join(_signed(signed) for signed in device.previous)
    return state + u32(len(device.one_time)) + b"".join(_prekey(own) for own in device.one_time)


def _prekey(own: OwnPrekey) -> bytes:
    prekey = own.prekey
    return u32(prekey.id) + u8(prekey.max_version) + u64(prekey.expiry) + prekey.dh_private + prekey.kem_seed + own.digest


def _read_prekey(reader: Reader, kind: int) -> tuple[PrivatePrekey, bytes]:
    number, max_version, expiry = reader.u32(), reader.u8(), reader.u64()
    prekey = PrivatePrekey(kind, max_version, number, expiry, reader.take(32), reader.take(64))
    return prekey, reader.take(32)


def _signed(signed: Signed) -> bytes:
    return _prekey(signed) + u32(len(signed.replay)) + b"".join(signed.replay)


def _read_signed(reader: Reader) -> Signed:
    prekey, digest = _read_prekey(reader, SIGNED)
    count = reader.u32()
    if count > labels.REPLAY_RECORD:
        raise errors.Refused
    return Signed(prekey, digest, [reader.take(labels.REPLAY_ENTRY_LEN) for _ in range(count)])
