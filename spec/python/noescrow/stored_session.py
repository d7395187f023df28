# SPDX-License-Identifier: MIT OR Apache-2.0
"""§11: what is stored of a session, and its invariants."""

from . import curve, erasure, errors, labels
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
from .client import Accepted, Answered, Session, Unanswered
from .double import Double, Due, NotYet, Receiving, Sending
from .erasure import Decoder
from .identity import Identity
from .primitives import ZEROS
from .snapshot import (
    EC_KEYS,
    PQ_KEYS,
    SESSION,
    ascending,
    key_parts,
    keys_of,
    read_parts,
    require,
    seal,
    subject_of_session,
    unseal,
)
from .sparse import A2B, B2A, Chain, Epoch, Sparse
from .triple import Triple
from .wire import CHUNK_SIZES, CLEAR_LEN, HANDSHAKE_LEN, IDENTITY_LEN, ClearPart, Reader, u8, u16, u32


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
    return core + key_parts(EC_KEYS, triple.double.kept) + key_parts(PQ_KEYS, triple.sparse.kept)


def read_session(state: bytes) -> Session:
    reader = Reader(state)
    local = remote = None
    if reader.flag():
        local = Identity.from_stored(reader.take(IDENTITY_LEN))
        remote = Identity.from_stored(reader.take(IDENTITY_LEN))
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
    parts = read_parts(reader)
    ascending([name for name, _ in parts])
    if any(name[0] not in (EC_KEYS, PQ_KEYS) for name, _ in parts) or (sparse is None and parts):
        raise errors.Refused
    if sparse is None:
        key = double.sending.remote_ratchet_key if isinstance(double.sending, Due) else b""
        if double != Double(ZEROS, Due(key, 0), None, ZEROS, ZEROS):
            raise errors.Refused
        triple = Triple(ad, session_id, chunk, None, None, direction, key)
    else:
        triple = Triple(ad, session_id, chunk, double, sparse, direction)
        double.kept, sparse.kept = keys_of(parts, EC_KEYS), keys_of(parts, PQ_KEYS)
        _check_double(double, sparse)
        _check_braid(sparse)
        _check_sparse(sparse)
    _check_opening(local is not None, opening, triple)
    return Session(local, remote, opening, triple)


# §11's invariants.


def _check_double(double: Double, sparse: Sparse) -> None:
    newest, headers = double.step, set(double.header_keys)
    kept_steps = {step for step, _ in double.kept}
    require((double.receiving is not None) == (newest != 0))
    require(all(0 < newest - step <= labels.MAX_SKIPPED_STEPS for step in headers))
    require(0 not in headers)
    require(kept_steps - {newest} == headers)
    require(len(double.kept) <= labels.MAX_SKIPPED_KEYS)
    if double.receiving is not None:
        require(double.receiving.number > 0)
        require(all(step < newest or number < double.receiving.number - 1 for step, number in double.kept))
    else:
        require(newest not in kept_steps)
    if newest == 0:
        require(isinstance(double.sending, NotYet) == (sparse.direction == B2A))
    else:
        require(not isinstance(double.sending, NotYet))
    if newest == 0 and not isinstance(double.sending, NotYet):
        require(double.sending.previous_chain_length == 0)
    if isinstance(double.sending, Sending):
        require(double.sending.number > 0)
        require(0 <= sparse.braid.sending_epoch - double.sending.mixed_epoch <= 1)


def _check_braid(sparse: Sparse) -> None:
    braid, state = sparse.braid, sparse.braid.state
    decapsulates = (KeysUnsampled, KeysSampled, HeaderSent, Ct1Received, EkSentCt1Received)
    require(isinstance(state, decapsulates) == ((braid.epoch % 2 == 1) == (sparse.direction == A2B)))
    if isinstance(state, (KeysSampled, Ct1Sampled, EkReceivedCt1Sampled)):
        require(state.issued > 0)
    match state:
        case HeaderSent(ct1=chunks) | EkSentCt1Received(ct2=chunks) | Ct1Acknowledged(ek=chunks):
            require(len(chunks.codewords) > 0)


def _check_sparse(sparse: Sparse) -> None:
    sending = sparse.braid.sending_epoch
    encapsulated = isinstance(sparse.braid.state, (Ct1Sampled, EkReceivedCt1Sampled, Ct1Acknowledged, Ct2Sampled))
    require(sparse.newest == sending + encapsulated)
    require(min(sparse.epochs) == max(0, sending - 1))
    require(all(epoch in sparse.epochs for epoch, _ in sparse.kept))
    require(all(1 <= n < sparse.epochs[epoch].receiving.number for epoch, n in sparse.kept))
    require(len(sparse.kept) <= labels.MAX_SKIPPED_KEYS)


def _check_opening(has_parties: bool, opening, triple: Triple) -> None:
    double, is_dead = triple.double, triple.double is None
    if not has_parties:
        require(isinstance(opening, Answered))
        require(triple.chunk == CHUNK_SIZES[0])
        return
    match opening:
        case Unanswered(handshake):
            require(not is_dead)
            require(triple.direction == A2B)
            require(double.receiving is None and isinstance(double.sending, Sending))
            require(ClearPart.from_bytes(handshake[:CLEAR_LEN]).chunk == triple.chunk)
        case Accepted():
            require(triple.direction == B2A)
            require(is_dead or double.receiving is not None)
        case Answered():
            require(triple.direction == A2B)
            require(is_dead or double.receiving is not None)


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
    ascending([step for step, _ in headers])
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
