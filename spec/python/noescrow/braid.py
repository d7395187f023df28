# SPDX-License-Identifier: MIT OR Apache-2.0
"""§7: the ML-KEM Braid. One class per state, with the fields that §7.8 lists."""

from dataclasses import dataclass, replace

from . import erasure, errors, labels, mlkem, primitives
from .erasure import Decoder
from .mlkem import ML_KEM_768
from .primitives import ZEROS, Rng, hkdf, hmac
from .wire import CT1, CT2, EK, EK_CT1_ACK, HDR, NONE, BraidMessage, u64

HEADER_LEN, MAC_LEN, EK_VECTOR_LEN, CT1_LEN, CT2_LEN = 64, 32, 1152, 960, 128


class Failed(Exception):
    """The other side's key or ciphertext was not genuine, or there is no next epoch: *Dead*."""


def kdf_ok(shared_secret: bytes, epoch: int) -> bytes:
    return hkdf(ZEROS, shared_secret, labels.PI + b":SCKA Key" + u64(epoch), 32)


@dataclass(frozen=True)
class Authenticator:
    root: bytes
    mac_key: bytes

    @classmethod
    def new(cls, key: bytes) -> "Authenticator":
        return cls(ZEROS, b"").update(key, 1)

    def update(self, key: bytes, epoch: int) -> "Authenticator":
        """KDF_AUTH."""
        both = hkdf(self.root, key, labels.PI + b":Authenticator Update" + u64(epoch), 64)
        return Authenticator(both[:32], both[32:])

    def mac_hdr(self, epoch: int, header: bytes) -> bytes:
        return hmac(self.mac_key, labels.PI + b":ekheader" + u64(epoch) + header)

    def mac_ct(self, epoch: int, ct: bytes) -> bytes:
        return hmac(self.mac_key, labels.PI + b":ciphertext" + u64(epoch) + ct)


def is_genuine(computed: bytes, mac: bytes) -> bool:
    return primitives.equal(computed, mac)


def header_of(seed: bytes) -> bytes:
    ek = mlkem.key_gen(ML_KEM_768, seed).ek
    return ek[-32:] + mlkem.H(ek)


def ek_vector_of(seed: bytes) -> bytes:
    return mlkem.key_gen(ML_KEM_768, seed).ek[:-32]


def ct1_of(header: bytes, coins: bytes) -> bytes:
    return mlkem.encaps1(ML_KEM_768, header, coins)[0]


@dataclass(frozen=True)
class KeysUnsampled:
    pass


@dataclass(frozen=True)
class KeysSampled:
    seed: bytes
    issued: int


@dataclass(frozen=True)
class HeaderSent:
    seed: bytes
    issued: int
    ct1: Decoder


@dataclass(frozen=True)
class Ct1Received:
    seed: bytes
    issued: int
    ct1: bytes


@dataclass(frozen=True)
class EkSentCt1Received:
    seed: bytes
    ct1: bytes
    ct2: Decoder


@dataclass(frozen=True)
class NoHeaderReceived:
    header: Decoder


@dataclass(frozen=True)
class HeaderReceived:
    header: bytes


@dataclass(frozen=True)
class Ct1Sampled:
    coins: bytes
    header: bytes
    issued: int
    ek: Decoder


@dataclass(frozen=True)
class EkReceivedCt1Sampled:
    coins: bytes
    header: bytes
    issued: int
    ek_vector: bytes


@dataclass(frozen=True)
class Ct1Acknowledged:
    coins: bytes
    header: bytes
    ek: Decoder


@dataclass(frozen=True)
class Ct2Sampled:
    ct2_and_mac: bytes
    issued: int


@dataclass
class Braid:
    chunk: int
    epoch: int
    authenticator: Authenticator
    state: object

    @classmethod
    def new(cls, key: bytes, chunk: int, decapsulator: bool) -> "Braid":
        braid = cls(chunk, 1, Authenticator.new(key), KeysUnsampled())
        return braid if decapsulator else replace(braid, state=braid._no_header())

    @property
    def sending_epoch(self) -> int:
        return self.epoch - 1

    def _no_header(self) -> NoHeaderReceived:
        return NoHeaderReceived(Decoder(HEADER_LEN + MAC_LEN, self.chunk))

    def _message(self, kind: int, value: bytes, issued: int) -> BraidMessage:
        if issued == labels.CODEWORDS:
            return self._none()
        return BraidMessage(kind, self.epoch, issued, erasure.codeword(value, self.chunk, issued))

    def _none(self) -> BraidMessage:
        return BraidMessage(NONE, self.epoch, 0, bytes(self.chunk))

    def _issue(self, kind: int, value: bytes) -> BraidMessage:
        """The next codeword of the state's encoder."""
        issued = self.state.issued
        if issued == labels.CODEWORDS and isinstance(self.state, Ct1Received):
            issued = 0
        message = self._message(kind, value, issued)
        self.state = replace(self.state, issued=min(issued + 1, labels.CODEWORDS))
        return message

    def send(self, rng: Rng) -> tuple[BraidMessage, bytes | None]:
        """A message, and the epoch's key if this step outputs it."""
        key = None
        match self.state:
            case KeysUnsampled():
                # BR-1
                self.state = KeysSampled(rng(64), 0)
            case HeaderReceived(header):
                # BR-7
                coins = rng(32)
                shared_secret = mlkem.encaps1(ML_KEM_768, header, coins)[1]
                key = kdf_ok(shared_secret, self.epoch)
                self.authenticator = self.authenticator.update(key, self.epoch)
                self.state = Ct1Sampled(coins, header, 0, Decoder(EK_VECTOR_LEN, self.chunk))
        match self.state:
            case KeysSampled(seed):
                header = header_of(seed)
                message = self._issue(HDR, header + self.authenticator.mac_hdr(self.epoch, header))
            case HeaderSent(seed):
                message = self._issue(EK, ek_vector_of(seed))
            case Ct1Received(seed):
                message = self._issue(EK_CT1_ACK, ek_vector_of(seed))
            case Ct1Sampled(coins, header) | EkReceivedCt1Sampled(coins, header):
                message = self._issue(CT1, ct1_of(header, coins))
            case Ct2Sampled(ct2_and_mac):
                message = self._issue(CT2, ct2_and_mac)
            case _:
                message = self._none()
        return message, key

    def advances_sending_epoch(self, message: BraidMessage) -> bool:
        """Whether receiving it would be BR-5 or BR-13."""
        after = replace(self)
        try:
            after.receive(message)
        except Failed:
            return False
        return after.epoch != self.epoch

    def receive(self, message: BraidMessage) -> bytes | None:
        """The epoch's key, if this step outputs it."""
        # BR-13
        if isinstance(self.state, Ct2Sampled) and message.epoch == self.epoch + 1:
            self.epoch, self.state = message.epoch, KeysUnsampled()
            return None
        if message.epoch != self.epoch:
            return None
        match self.state, message.kind:
            case KeysSampled(seed), k if k == CT1:
                # BR-2
                self.state = HeaderSent(seed, 0, Decoder(CT1_LEN, self.chunk))
                return self.receive(message)
            case HeaderSent(seed, issued, ct1), k if k == CT1:
                # BR-3
                decoder, value = _added(ct1, message)
                self.state = HeaderSent(seed, issued, decoder) if value is None else Ct1Received(seed, issued, value)
            case Ct1Received(seed, _, ct1), k if k == CT2:
                # BR-4
                self.state = EkSentCt1Received(seed, ct1, Decoder(CT2_LEN + MAC_LEN, self.chunk))
                return self.receive(message)
            case EkSentCt1Received(seed, ct1, ct2), k if k == CT2:
                decoder, value = _added(ct2, message)
                if value is not None:
                    return self._decapsulate(seed, ct1 + value[:CT2_LEN], value[CT2_LEN:])
                self.state = EkSentCt1Received(seed, ct1, decoder)
            case NoHeaderReceived(header), k if k == HDR:
                decoder, value = _added(header, message)
                self.state = NoHeaderReceived(decoder) if value is None else self._header(value)
            case Ct1Sampled(coins, header, issued, ek), k if k in (EK, EK_CT1_ACK):
                decoder, value = _added(ek, message)
                if value is None and k == EK:
                    self.state = Ct1Sampled(coins, header, issued, decoder)
                elif value is None:
                    # BR-8
                    self.state = Ct1Acknowledged(coins, header, decoder)
                elif k == EK:
                    # BR-10
                    self.state = EkReceivedCt1Sampled(coins, header, issued, value)
                else:
                    # BR-9
                    self.state = self._encaps2(coins, header, value)
            case Ct1Acknowledged(coins, header, ek), k if k == EK_CT1_ACK:
                # BR-11
                decoder, value = _added(ek, message)
                if value is None:
                    self.state = Ct1Acknowledged(coins, header, decoder)
                else:
                    self.state = self._encaps2(coins, header, value)
            case EkReceivedCt1Sampled(coins, header, _, ek_vector), k if k == EK_CT1_ACK:
                # BR-12
                self.state = self._encaps2(coins, header, ek_vector)
        return None

    def _decapsulate(self, seed: bytes, ct: bytes, mac: bytes) -> bytes:
        # BR-5
        key = kdf_ok(mlkem.decaps(ML_KEM_768, seed, ct), self.epoch)
        authenticator = self.authenticator.update(key, self.epoch)
        if not is_genuine(authenticator.mac_ct(self.epoch, ct), mac) or self.epoch == labels.MAX_EPOCH:
            raise Failed
        self.epoch, self.authenticator, self.state = self.epoch + 1, authenticator, self._no_header()
        return key

    def _header(self, value: bytes) -> HeaderReceived:
        # BR-6
        header, mac = value[:HEADER_LEN], value[HEADER_LEN:]
        if not is_genuine(self.authenticator.mac_hdr(self.epoch, header), mac):
            raise Failed
        return HeaderReceived(header)

    def _encaps2(self, coins: bytes, header: bytes, ek_vector: bytes) -> Ct2Sampled:
        try:
            mlkem.check_ek(ML_KEM_768, ek_vector)
        except errors.Refused:
            raise Failed from None
        if mlkem.H(ek_vector + header[:32]) != header[32:]:
            raise Failed
        ct1, _, kept = mlkem.encaps1(ML_KEM_768, header, coins)
        ct2 = mlkem.encaps2(ML_KEM_768, kept, ek_vector)
        return Ct2Sampled(ct2 + self.authenticator.mac_ct(self.epoch, ct1 + ct2), 0)


def _added(decoder: Decoder, message: BraidMessage) -> tuple[Decoder, bytes | None]:
    decoder = replace(decoder, codewords=dict(decoder.codewords))
    value = decoder.add(message.index, message.chunk)
    return decoder, value
