# SPDX-License-Identifier: MIT OR Apache-2.0
"""§8 and §9: the Double Ratchet with header encryption."""

from dataclasses import dataclass, field

from . import errors, labels, primitives
from .primitives import Rng, dh, hkdf, hmac
from .wire import COMMITMENT_LEN, ROUTING_TAG_LEN, Header, Message, u32, u64


def kdf_ck(chain_key: bytes) -> tuple[bytes, bytes]:
    return hmac(chain_key, b"\x02"), hmac(chain_key, b"\x01")


def kdf_rk_he(root: bytes, shared: bytes) -> tuple[bytes, bytes, bytes]:
    output = hkdf(root, shared, labels.L_RK, 96)
    return output[:32], output[32:64], output[64:]


def mix(header_secret: bytes, next_header_key: bytes) -> bytes:
    """§8: a step's next header key, with its share of the post-quantum root."""
    return hkdf(header_secret, next_header_key, labels.L_NHK, 32)


EXPECTED_TAGS = 8
"""Messages of a chain that are expected next."""
NONCE = bytes(12)
"""Every key of the AEAD is used once."""


def routing_tag(header_key: bytes, number: int) -> bytes:
    """The salt's first half: a hint for the receiver, who does not check it."""
    return hmac(header_key, labels.L_TAG + u32(number))[:ROUTING_TAG_LEN]


def commitment(header_key: bytes, salt: bytes) -> bytes:
    return hmac(header_key, labels.L_COMMIT + salt)[:COMMITMENT_LEN]


def _sealing_key(header_key: bytes, salt: bytes, outer: bytes, body: bytes) -> bytes:
    return hmac(header_key, labels.L_HEADER + salt + outer + u64(len(body)))


def _covered(body_tag: bytes, body: bytes) -> bytes:
    return body_tag + body[: labels.COVERED_LEN]


def hencrypt(header_key: bytes, salt: bytes, outer: bytes, body_tag: bytes, body: bytes, header: bytes) -> bytes:
    """DR-E4; `body` is the ciphertext."""
    key = _sealing_key(header_key, salt, outer, body)
    return primitives.seal(key, NONCE, _covered(body_tag, body), header)


def hdecrypt(header_key: bytes, message: Message) -> bytes | None:
    sealed = message.header
    if not primitives.equal(commitment(header_key, sealed.salt), sealed.commitment):
        return None
    key = _sealing_key(header_key, sealed.salt, message.outer, message.body)
    try:
        return primitives.unseal(key, NONCE, _covered(message.body_tag, message.body), sealed.ciphertext)
    except errors.Refused:
        return None


@dataclass
class NotYet:
    """Nothing has been received: the responder before its first message."""

    ratchet_private: bytes


@dataclass
class Due:
    """A sending step is due."""

    remote_ratchet_key: bytes
    previous_chain_length: int


@dataclass
class Sending:
    ratchet_private: bytes
    chain_key: bytes
    header_key: bytes
    number: int
    previous_chain_length: int
    mixed_epoch: int


@dataclass
class Receiving:
    remote_ratchet_key: bytes
    chain_key: bytes
    header_key: bytes
    number: int

    def step(self) -> bytes:
        self.number += 1
        self.chain_key, message_key = kdf_ck(self.chain_key)
        return message_key

    def skip(self) -> None:
        """A step whose message key is not kept."""
        self.number += 1
        self.chain_key = hmac(self.chain_key, b"\x02")


CURRENT, NEXT = "current", "next"
"""Which header key opened; a stored one is named by the number of its step."""


@dataclass
class Double:
    root: bytes
    sending: NotYet | Due | Sending
    receiving: Receiving | None
    next_sending_header_key: bytes
    next_receiving_header_key: bytes
    step: int = 0
    header_keys: dict[int, bytes] = field(default_factory=dict)
    kept: dict[tuple[int, int], bytes] = field(default_factory=dict)

    @classmethod
    def initiator(cls, root: bytes, hka: bytes, nhkb: bytes, remote_ratchet_key: bytes) -> "Double":
        """DR-I1."""
        return cls(root, Due(remote_ratchet_key, 0), None, hka, nhkb)

    @classmethod
    def responder(cls, root: bytes, hka: bytes, nhkb: bytes, ratchet_private: bytes) -> "Double":
        """DR-I2."""
        return cls(root, NotYet(ratchet_private), None, nhkb, hka)

    def check_sending(self) -> None:
        """The refusals of DR-E0 that concern this ratchet."""
        if isinstance(self.sending, NotYet):
            raise errors.NotYetReceived
        if isinstance(self.sending, Sending) and self.sending.number == labels.COUNTER_END:
            raise errors.ChainExhausted

    def send_step(self, rng: Rng, header_secret: bytes, sending_epoch: int) -> None:
        """DR-E1, if a step is due."""
        if isinstance(self.sending, Due):
            due, header_key, private = self.sending, self.next_sending_header_key, rng(32)
            self.root, chain_key, nhk = kdf_rk_he(self.root, dh(private, due.remote_ratchet_key))
            self.next_sending_header_key = mix(header_secret, nhk)
            self.sending = Sending(private, chain_key, header_key, 0, due.previous_chain_length, sending_epoch)

    def send(self) -> bytes:
        """DR-E2: the message key. The header contains the number before this call."""
        self.sending.number += 1
        self.sending.chain_key, message_key = kdf_ck(self.sending.chain_key)
        return message_key

    def open_header(self, message: Message) -> tuple[str | int, bytes]:
        """DR-D2."""
        candidates: list[tuple[str | int, bytes]] = [(NEXT, self.next_receiving_header_key)]
        if self.receiving:
            candidates.insert(0, (CURRENT, self.receiving.header_key))
        candidates += sorted(self.header_keys.items(), reverse=True)
        for which, header_key in candidates:
            header = hdecrypt(header_key, message)
            if header is not None:
                return which, header
        raise errors.Refused

    def expected_tags(self) -> list[bytes]:
        """RT-1."""
        expected = [(self.next_receiving_header_key, number) for number in range(EXPECTED_TAGS)]
        if self.receiving:
            key, first = self.receiving.header_key, self.receiving.number
            expected += [(key, number) for number in range(first, first + EXPECTED_TAGS)]
            expected += [(key, number) for step, number in self.kept if step == self.step]
        expected += [(self.header_keys[step], number) for step, number in self.kept if step != self.step]
        return [routing_tag(key, number) for key, number in expected]

    def is_new(self, which: str | int, header: Header) -> bool:
        return which == NEXT or (which == CURRENT and header.number >= self.receiving.number)

    def kept_at(self, which: str | int, header: Header) -> tuple[int, int]:
        """DR-D4: where the key of a message that is not new is kept."""
        at = (self.step if which == CURRENT else which, header.number)
        if at not in self.kept:
            raise errors.KeyGone
        return at

    def check_key(self, which: str | int, header: Header) -> None:
        """DR-D4: a header under HKr must name DHr."""
        if which == CURRENT and header.ratchet_key != self.receiving.remote_ratchet_key:
            raise errors.Refused

    def check(self, which: str | int, header: Header) -> None:
        """The refusals of DR-D5 and DR-D6 for a new message, except the one for the header secret."""
        if which == CURRENT:
            # DR-D5
            if header.number - self.receiving.number > labels.MAX_JUMP:
                raise errors.TooManySkipped
            if header.number == labels.COUNTER_END:
                raise errors.Refused
            return
        # DR-D6
        if isinstance(self.sending, Due):
            raise errors.Refused
        if labels.COUNTER_END in (header.number, self.step):
            raise errors.Refused
        if header.ratchet_key == primitives.dh_public(self.sending.ratchet_private):
            raise errors.Refused
        if self.receiving and header.ratchet_key == self.receiving.remote_ratchet_key:
            raise errors.Refused
        if header.number > labels.MAX_JUMP:
            raise errors.TooManySkipped

    def _missing_at_end(self, which: str | int, header: Header) -> int:
        """DR-D6: how many keys of the old chain a step skips; more than MAX_JUMP are given up."""
        if which != NEXT or self.receiving is None:
            return 0
        missing = max(0, header.previous_chain_length - self.receiving.number)
        return missing if missing <= labels.MAX_JUMP else 0

    def _missing(self, which: str | int, header: Header) -> int:
        return header.number - (self.receiving.number if which == CURRENT else 0)

    def kept_of_jump(self, which: str | int, header: Header, is_new: bool) -> int:
        """How many keys this message lets the sparse ratchet keep at most: as many as this ratchet keeps of the
        message's jump. Of a message that is not new, all that are kept."""
        if not is_new:
            return len(self.kept)
        return min(labels.MAX_SKIPPED_KEYS, self._missing_at_end(which, header) + self._missing(which, header))

    def jump(self, which: str | int, header: Header) -> int:
        """How many messages a new message skips."""
        return self._missing_at_end(which, header) + self._missing(which, header)

    def receive_step(self, header: Header, header_secret: bytes) -> None:
        """DR-D6, and DR-D7 for the old chain."""
        if self.receiving:
            # Keys that the new chain's would evict at once are not derived.
            missing = self._missing_at_end(NEXT, header)
            self._skip(self.receiving.number + missing, max(0, labels.MAX_SKIPPED_KEYS - header.number))
            self.header_keys[self.step] = self.receiving.header_key
        self.step += 1
        header_key, shared = self.next_receiving_header_key, dh(self.sending.ratchet_private, header.ratchet_key)
        self.root, chain_key, nhk = kdf_rk_he(self.root, shared)
        self.next_receiving_header_key = mix(header_secret, nhk)
        self.receiving = Receiving(header.ratchet_key, chain_key, header_key, 0)
        sent = self.sending.number if isinstance(self.sending, Sending) else 0
        self.sending = Due(header.ratchet_key, sent)

    def _skip(self, until: int, capacity: int) -> None:
        """Keeps the newest keys, at most `capacity`."""
        while self.receiving.number < until - capacity:
            self.receiving.skip()
        while self.receiving.number < until:
            number = self.receiving.number
            self.kept[self.step, number] = self.receiving.step()

    def receive(self, header: Header) -> bytes:
        """DR-D7: the message key of a new message."""
        self._skip(header.number, labels.MAX_SKIPPED_KEYS)
        return self.receiving.step()

    def evict(self) -> None:
        """DR-D9."""
        self.kept = {at: key for at, key in self.kept.items() if self.step - at[0] <= labels.MAX_SKIPPED_STEPS}
        for at in sorted(self.kept)[: max(0, len(self.kept) - labels.MAX_SKIPPED_KEYS)]:
            del self.kept[at]
        steps = {step for step, _ in self.kept}
        self.header_keys = {step: key for step, key in self.header_keys.items() if step in steps}
