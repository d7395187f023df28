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
from .client import MISSING, Accepted, Answered, Clock, Device, OneTime, OwnPrekey, Session, Signed, Unanswered
from .double import Double, Due, NotYet, Receiving, Sending
from .erasure import Decoder
from .identity import Identity
from .prekeys import ONE_TIME, SIGNED, PrivatePrekey
from .primitives import ZEROS, expand, hmac, sha256
from .sparse import A2B, B2A, Chain, Epoch, Sparse
from .triple import Triple
from .wire import CHUNK_SIZES, CLEAR_LEN, HANDSHAKE_LEN, IDENTITY_LEN, ClearPart, Reader, u8, u16, u32, u64

VERSION, SESSION, DEVICE, SESSION_ROW, DEVICE_ROW = 1, 1, 2, 3, 4
HEAD_LEN = 58
CORE = bytes(9)
"""The name of what is not a part."""
EC_KEYS, PQ_KEYS, ONE_TIME_PREKEY, REPLAY = 1, 2, 3, 4
PAGE = 32
"""Keys, or entries, of one part."""


def subject_of_session(session: Session) -> bytes:
    """Whose snapshot it is: the local keys and the session's id."""
    return (bytes(64) if session.local is None else session.local.keys) + session.id


def subject_of_device(device: Device) -> bytes:
    return device.identity.keys + bytes(32)


def name_of(part: int, a: int, b: int) -> bytes:
    return u8(part) + u32(a) + u32(b)


def seal(
    kind: int, state: bytes, key: bytes, generation: int, subject: bytes, writer: bytes = bytes(16), name: bytes = CORE
) -> bytes:
    """SN-1."""
    start, scope = u8(VERSION) + u8(kind) + u64(generation) + writer, subject + name
    salt = hmac(expand(key, labels.L_SALT, 32), start + scope + state)
    sealing = expand(key, labels.L_SEAL + salt, 44)
    return start + salt + primitives.seal(sealing[:32], sealing[32:], start + salt + scope, state)


def unseal(kind: int, snapshot: bytes, key: bytes, newest: int, subject: bytes, name: bytes = CORE) -> bytes:
    """SN-2, except the parsing."""
    reader = Reader(snapshot)
    if len(snapshot) < HEAD_LEN + primitives.TAG_LEN:
        raise errors.Refused
    version, stored_kind = reader.u8(), reader.u8()
    if version > VERSION:
        raise errors.NewerVersion
    if (version, stored_kind) != (VERSION, kind):
        raise errors.Refused
    generation, _, salt = reader.u64(), reader.take(16), reader.take(32)
    scope = subject + name
    sealing = expand(key, labels.L_SEAL + salt, 44)
    state = primitives.unseal(sealing[:32], sealing[32:], snapshot[:HEAD_LEN] + scope, snapshot[HEAD_LEN:])
    start = snapshot[: HEAD_LEN - len(salt)]
    if not primitives.equal(salt, hmac(expand(key, labels.L_SALT, 32), start + scope + state)):
        raise errors.Refused
    if generation < newest:
        raise errors.Rollback
    return state


def _key_parts(part: int, kept: dict[tuple[int, int], bytes]) -> bytes:
    """The kept keys of one ratchet, by pages."""
    pages: dict[tuple[int, int], dict[int, bytes]] = {}
    for (chain, number), message_key in sorted(kept.items()):
        pages.setdefault((chain, number // PAGE), {})[number % PAGE] = message_key
    parts = b""
    for (chain, page), keys in pages.items():
        parts += name_of(part, chain, page) + u32(sum(1 << i for i in keys)) + b"".join(keys.values())
    return parts


def _read_parts(reader: Reader) -> list[tuple[tuple[int, int, int], object]]:
    """All parts, up to the end: their names, and keys by number, a prekey, or entries of a replay record."""
    parts = []
    while not reader.is_at_end:
        name = reader.u8(), reader.u32(), reader.u32()
        match name[0]:
            case 1 | 2:
                mask = reader.u32()
                if mask == 0:
                    raise errors.Refused
                content = {PAGE * name[2] + i: reader.take(32) for i in range(PAGE) if mask >> i & 1}
            case 3:
                content = OneTime(*_read_prekey(reader, ONE_TIME), reader.u8(), reader.u64())
                if name[1:] != (content.prekey.id, 0):
                    raise errors.Refused
            case 4:
                count = reader.u8()
                if not 1 <= count <= PAGE:
                    raise errors.Refused
                content = [reader.take(labels.REPLAY_ENTRY_LEN) for _ in range(count)]
            case _:
                raise errors.Refused
        parts.append((name, content))
    return parts


def _kept(parts: list, part: int) -> dict[tuple[int, int], bytes]:
    return {(name[1], number): key for name, keys in parts if name[0] == part for number, key in keys.items()}


def _ascending(keys: list) -> list:
    if any(a >= b for a, b in zip(keys, keys[1:])):
        raise errors.Refused
    return keys


# A session.


def snapshot_session(session: Session, key: bytes, generation: int) -> bytes:
    return seal(SESSION, session_state(session), key, generation, subject_of_session(session))


def restore_session(snapshot: bytes, key: bytes, subject: bytes, newest: int = 0) -> Session:
    return read_session(unseal(SESSION, snapshot, key, newest, subject))


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
    core = head + _double(triple.double) + _braid(triple.sparse.braid) + _sparse(triple.sparse)
    return core + _key_parts(EC_KEYS, triple.double.kept) + _key_parts(PQ_KEYS, triple.sparse.kept)


def read_session(state: bytes) -> Session:
    reader = Reader(state)
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
    parts = _read_parts(reader)
    _ascending([name for name, _ in parts])
    if any(name[0] not in (EC_KEYS, PQ_KEYS) for name, _ in parts) or (sparse is None and parts):
        raise errors.Refused
    if sparse is None:
        key = double.sending.remote_ratchet_key if isinstance(double.sending, Due) else b""
        if double != Double(ZEROS, Due(key, 0), None, ZEROS, ZEROS):
            raise errors.Refused
        triple = Triple(ad, session_id, chunk, None, None, direction, key)
    else:
        triple = Triple(ad, session_id, chunk, double, sparse, direction)
        double.kept, sparse.kept = _kept(parts, EC_KEYS), _kept(parts, PQ_KEYS)
        _check_double(double, sparse)
        _check_braid(sparse)
        _check_sparse(sparse)
    _check_opening(local is not None, opening, triple)
    return Session(local, remote, opening, triple)


# §11's invariants.


def _require(holds: bool) -> None:
    if not holds:
        raise errors.Refused


def _check_double(double: Double, sparse: Sparse) -> None:
    newest, headers = double.step, set(double.header_keys)
    kept_steps = {step for step, _ in double.kept}
    _require((double.receiving is not None) == (newest != 0))
    _require(all(0 < newest - step <= labels.MAX_SKIPPED_STEPS for step in headers))
    _require(0 not in headers)
    _require(kept_steps - {newest} == headers)
    _require(len(double.kept) <= labels.MAX_SKIPPED_KEYS)
    if double.receiving is not None:
        _require(double.receiving.number > 0)
        _require(all(step < newest or number < double.receiving.number - 1 for step, number in double.kept))
    else:
        _require(newest not in kept_steps)
    if newest == 0:
        _require(isinstance(double.sending, NotYet) == (sparse.direction == B2A))
    else:
        _require(not isinstance(double.sending, NotYet))
    if newest == 0 and not isinstance(double.sending, NotYet):
        _require(double.sending.previous_chain_length == 0)
    if isinstance(double.sending, Sending):
        _require(double.sending.number > 0)
        _require(0 <= sparse.braid.sending_epoch - double.sending.mixed_epoch <= 1)


def _check_braid(sparse: Sparse) -> None:
    braid, state = sparse.braid, sparse.braid.state
    decapsulates = (KeysUnsampled, KeysSampled, HeaderSent, Ct1Received, EkSentCt1Received)
    _require(isinstance(state, decapsulates) == ((braid.epoch % 2 == 1) == (sparse.direction == A2B)))
    if isinstance(state, (KeysSampled, Ct1Sampled, EkReceivedCt1Sampled)):
        _require(state.issued > 0)
    match state:
        case HeaderSent(ct1=chunks) | EkSentCt1Received(ct2=chunks) | Ct1Acknowledged(ek=chunks):
            _require(len(chunks.codewords) > 0)


def _check_sparse(sparse: Sparse) -> None:
    sending = sparse.braid.sending_epoch
    encapsulated = isinstance(sparse.braid.state, (Ct1Sampled, EkReceivedCt1Sampled, Ct1Acknowledged, Ct2Sampled))
    _require(sparse.newest == sending + encapsulated)
    _require(min(sparse.epochs) == max(0, sending - 1))
    _require(all(epoch in sparse.epochs for epoch, _ in sparse.kept))
    _require(all(1 <= n < sparse.epochs[epoch].receiving.number for epoch, n in sparse.kept))
    _require(len(sparse.kept) <= labels.MAX_SKIPPED_KEYS)


def _check_opening(has_parties: bool, opening, triple: Triple) -> None:
    double, is_dead = triple.double, triple.double is None
    if not has_parties:
        _require(isinstance(opening, Answered))
        _require(triple.chunk == CHUNK_SIZES[0])
        return
    match opening:
        case Unanswered(handshake):
            _require(not is_dead)
            _require(triple.direction == A2B)
            _require(double.receiving is None and isinstance(double.sending, Sending))
            _require(ClearPart.from_bytes(handshake[:CLEAR_LEN]).chunk == triple.chunk)
        case Accepted():
            _require(triple.direction == B2A)
            _require(is_dead or double.receiving is not None)
        case Answered():
            _require(triple.direction == A2B)
            _require(is_dead or double.receiving is not None)


def _check_device(device: Device) -> None:
    own = [device.signed, *device.previous, *device.one_time]
    ids = {prekey.prekey.id for prekey in own}
    _require(len(ids) == len(own))
    _require(0 not in ids)
    _require(all(prekey.prekey.max_version > 0 for prekey in own))
    _require(device.clock.claim is None or device.clock.claim[1] == device.clock.now)
    _require(device.left <= labels.MADE_A_DAY)
    _require(all(one_time.seen <= MISSING for one_time in device.one_time))
    _require(all(one_time.seen == MISSING or one_time.since == 0 for one_time in device.one_time))
    _require(device.signed.has_last_resort)
    for signed in device.previous:
        if not signed.has_last_resort:
            _require(signed.prekey.kem_seed == bytes(64))
            _require(not signed.replay)
    _require(len(device.one_time) <= labels.STORED)
    kept = [prekey for prekey in own if prekey.prekey.kem_seed != bytes(64)]
    _require(all(prekey.digest == sha256(prekey.prekey.described().description) for prekey in kept))


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
    _ascending([step for step, _ in headers])
    double.header_keys = dict(headers)
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
    return Sparse(direction, root, newest, epochs, braid), direction


# A device.


def snapshot_device(device: Device, key: bytes, generation: int) -> bytes:
    return seal(DEVICE, device_state(device), key, generation, subject_of_device(device))


def restore_device(snapshot: bytes, key: bytes, subject: bytes, newest: int = 0) -> Device:
    return read_device(unseal(DEVICE, snapshot, key, newest, subject))


def read_device(state: bytes) -> Device:
    reader = Reader(state)
    seed, dh_private, now = reader.take(32), reader.take(32), reader.u64()
    clock = Clock(now, (reader.u64(), reader.u64()) if reader.flag() else None)
    times = reader.u64(), reader.u32(), reader.u64()
    signed, count = _read_signed(reader), reader.u32()
    if count > labels.MAX_PREVIOUS:
        raise errors.Refused
    previous = [_read_signed(reader) for _ in range(count)]
    parts = _read_parts(reader)
    one_time = [prekey for name, prekey in parts if name[0] == ONE_TIME_PREKEY]
    if [name[0] for name, _ in parts] != sorted(name[0] for name, _ in parts) or any(name[0] < 3 for name, _ in parts):
        raise errors.Refused
    device = Device(seed, dh_private, clock, *times, signed, previous, one_time)
    _read_replay([part for part in parts if part[0][0] == REPLAY], [signed, *previous])
    _check_device(device)
    return device


def _read_replay(parts: list, signed: list[Signed]) -> None:
    _require(len({name for name, _ in parts}) == len(parts))
    for (_, prekey_id, page), entries in parts:
        record = next((s.replay for s in signed if s.prekey.id == prekey_id), None)
        # All pages but the last are full.
        _require(record is not None and len(record) == PAGE * page)
        record += entries
        _require(len(record) <= labels.REPLAY_RECORD)


def device_state(device: Device) -> bytes:
    clock = device.clock
    state = device.signing_seed + device.dh_private + u64(clock.now)
    state += u8(0) if clock.claim is None else u8(1) + u64(clock.claim[0]) + u64(clock.claim[1])
    state += u64(device.offered_at) + u32(device.left) + u64(device.counted_at) + _signed(device.signed)
    state += u32(len(device.previous)) + b"".join(_signed(signed) for signed in device.previous)
    for own in device.one_time:
        state += name_of(ONE_TIME_PREKEY, own.prekey.id, 0) + _one_time(own)
    for signed in (device.signed, *device.previous):
        for at in range(0, len(signed.replay), PAGE):
            entries = signed.replay[at : at + PAGE]
            state += name_of(REPLAY, signed.prekey.id, at // PAGE) + u8(len(entries)) + b"".join(entries)
    return state


def _prekey(own: OwnPrekey) -> bytes:
    prekey = own.prekey
    return u32(prekey.id) + u8(prekey.max_version) + u64(prekey.expiry) + prekey.dh_private + prekey.kem_seed + own.digest


def _one_time(own: OneTime) -> bytes:
    return _prekey(own) + u8(own.seen) + u64(own.since)


def _signed(signed: Signed) -> bytes:
    return _prekey(signed) + u64(signed.since) + u8(signed.has_last_resort)


def _read_signed(reader: Reader) -> Signed:
    return Signed(*_read_prekey(reader, SIGNED), reader.u64(), reader.flag())


def _read_prekey(reader: Reader, kind: int) -> tuple[PrivatePrekey, bytes]:
    number, max_version, expiry = reader.u32(), reader.u8(), reader.u64()
    prekey = PrivatePrekey(kind, max_version, number, expiry, reader.take(32), reader.take(64))
    return prekey, reader.take(32)
