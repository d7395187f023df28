# SPDX-License-Identifier: MIT OR Apache-2.0
"""§7: the Braid's states and its encoders."""

import copy
from dataclasses import replace

import forge
from noescrow import braid, erasure, snapshot
from noescrow.double import Due
from noescrow.wire import CT1, CT2, EK, EK_CT1_ACK, HDR, NONE
from stage import STORAGE_KEY, Stage

R, GONE = "refused", "key gone"
NAMES = {NONE: "None", HDR: "Hdr", EK: "Ek", EK_CT1_ACK: "EkCt1Ack", CT1: "Ct1", CT2: "Ct2"}


def begin(name: str, comment: str, chunk: int) -> tuple[Stage, str, str]:
    stage = Stage(name, comment)
    stage.device("Alice")
    stage.device("Bob")
    return stage, *stage.pair("S", chunk)


def state_of(stage: Stage, name: str):
    return stage.session(name).triple.sparse.braid.state


def store(stage: Stage, name: str) -> dict:
    return stage.play("store", kind="session", name=name, storage_key=STORAGE_KEY, generation=1)


def back(stage: Stage, name: str, stored: dict) -> None:
    subject = snapshot.subject_of_session(stage.session(name))
    stage.play("restore", kind="session", name=name, storage_key=STORAGE_KEY, newest=0, subject=subject, of=stored["at"])


def transitions() -> Stage:
    """Every state receives every type; then the genuine message. Three patterns of loss take every transition."""
    stage, a, b = begin(
        "braid_states",
        "Each state of the Braid receives each type of message. The conversation takes BR-1 to BR-13 (BR-2, BR-3, BR-4, BR-5, "
        "BR-6, BR-7, BR-8, BR-9, BR-10, BR-11, BR-12), SP-S1, SP-R3, DR-E1, DR-D6.",
        128,
    )
    seen: set[str] = set()
    for pattern in range(3):
        if pattern:
            a, b = stage.pair(f"Pattern {pattern}", 128)
        dropped = 0
        for _ in range(30):
            for sender, receiver in ((a, b), (b, a)):
                _matrix(stage, sender, receiver, seen)
                sending, receiving = state_of(stage, sender), state_of(stage, receiver)
                message = stage.send(sender)
                lost = (pattern == 1 and isinstance(sending, braid.Ct1Sampled)) or (
                    pattern == 2 and isinstance(sending, braid.HeaderSent) and isinstance(receiving, braid.Ct1Sampled)
                )
                if lost and dropped < 2:
                    dropped += 1
                    continue
                stage.deliver(receiver, message)
                if isinstance(state_of(stage, receiver), (braid.HeaderReceived, braid.KeysUnsampled)):
                    _matrix(stage, sender, receiver, seen)
            if stage.session(b).triple.sparse.braid.epoch > 1 and pattern:
                break
    if len(seen) < 12:
        raise AssertionError(seen)
    return stage


def _matrix(stage: Stage, sender: str, receiver: str, seen: set[str]) -> None:
    """Each type to a state that was not seen, with some chunks collected where it collects."""
    state, sending = state_of(stage, receiver), stage.session(sender)
    decoder = next((v for v in vars(state).values() if isinstance(v, erasure.Decoder)), None)
    name = type(state).__name__
    ready = decoder is None or decoder.codewords or name == "NoHeaderReceived"
    same = sending.triple.sparse.braid.epoch == stage.session(receiver).triple.sparse.braid.epoch
    # The other side is in the next epoch once it has all of ct2.
    if name == "Ct2Sampled" and not same:
        name = "Ct2Sampled, of the next epoch"
    if name in seen or not ready or not (same or name.startswith("Ct2Sampled") or name == "KeysUnsampled"):
        return
    seen.add(name)
    stored = store(stage, receiver)
    for kind, label in NAMES.items():
        chunk = bytes(128) if kind == NONE else stage.rng(128)
        index = 0 if kind == NONE else 40_000
        made = forge.message(sending, stage.rng, b"", chunk_of=lambda m: replace(m, kind=kind, index=index, chunk=chunk))
        stage.deliver(receiver, made, why=f"BR: {label} in {name}")
        back(stage, receiver, stored)
    if name in ("Ct1Sampled", "EkReceivedCt1Sampled", "Ct1Acknowledged"):
        _ahead(stage, sender, receiver, name, stored)
    if name == "Ct1Sampled":
        first, chunk = next(iter(decoder.codewords.items()))
        known = forge.message(sending, stage.rng, b"", chunk_of=lambda m: replace(m, kind=EK_CT1_ACK, index=first, chunk=chunk))
        stage.deliver(receiver, known, why="BR-8: EkCt1Ack with a known index acknowledges all the same")
        back(stage, receiver, stored)
    if decoder is not None and decoder.codewords:
        first = next(iter(decoder.codewords))
        kind = {"HeaderSent": CT1, "EkSentCt1Received": CT2, "Ct1Sampled": EK, "Ct1Acknowledged": EK_CT1_ACK}[name]
        other = forge.message(sending, stage.rng, b"", chunk_of=lambda m: replace(m, kind=kind, index=first, chunk=stage.rng(128)))
        stage.deliver(receiver, other, why=f"BM-1: another codeword of an index in {name}")
        back(stage, receiver, stored)


def _ahead(stage: Stage, sender: str, receiver: str, name: str, stored: dict) -> None:
    """Messages of the epoch whose key the receiver has already: §7.5 ignores their chunks."""
    victim = stage.session(receiver).triple.sparse
    chain = victim.epochs[victim.newest].receiving
    for kind, label in NAMES.items():
        made = forge.message(
            stage.session(sender),
            stage.rng,
            b"",
            epoch=victim.newest,
            chain=chain,
            fields={"age": 0} if not isinstance(stage.session(sender).triple.double.sending, Due) else {"age": 1},
            chunk_of=lambda m: replace(m, kind=kind, index=0, chunk=bytes(128)),
        )
        stage.deliver(receiver, made, why=f"BR-13: {label} of the next epoch is ignored in {name}")
        back(stage, receiver, stored)


def codewords() -> Stage:
    """Values from other codewords than the first k, in another order, with an index of 65,535."""
    stage, a, b = begin("braid_codewords", "Values from codewords of high indices; another codeword of an index comes later. BM-1, BM-3, BR-3, BR-9.", 64)

    def value_of(name: str) -> tuple[int, bytes] | None:
        ratchet = stage.session(name).triple.sparse.braid
        match ratchet.state:
            case braid.KeysSampled(seed):
                header = braid.header_of(seed)
                return HDR, header + ratchet.authenticator.mac_hdr(ratchet.epoch, header)
            case braid.HeaderSent(seed):
                return EK, braid.ek_vector_of(seed)
            case braid.Ct1Received(seed):
                return EK_CT1_ACK, braid.ek_vector_of(seed)
            case braid.Ct1Sampled(coins, header) | braid.EkReceivedCt1Sampled(coins, header):
                return CT1, braid.ct1_of(header, coins)
            case braid.Ct2Sampled(value):
                return CT2, value
        return None

    index = 65_536
    for _ in range(60):
        for sender, receiver in ((a, b), (b, a)):
            known = value_of(sender)
            if known is None or stage.session(receiver).triple.sparse.braid.epoch > 1:
                stage.pass_on(sender, receiver, b"")
                continue
            kind, value = known
            index -= 1
            genuine = erasure.codeword(value, 64, index)
            event = stage.send(sender, b"")
            before, draws = stage.before[event["at"]], [bytes.fromhex(draw["bytes"]) for draw in event["draws"]]
            draws = draws[1:] + draws[:1]
            made = forge.message(
                before, lambda length: draws.pop(0), b"", chunk_of=lambda m: replace(m, kind=kind, index=index, chunk=genuine)
            )
            stage.deliver(receiver, made, why=f"BM-1: codeword {index}")
            if kind in (EK, CT1) and index % 3 == 0:
                again = forge.message(
                    stage.session(sender), stage.rng, b"", chunk_of=lambda m: replace(m, kind=kind, index=index, chunk=stage.rng(64))
                )
                stored = store(stage, receiver)
                stage.deliver(receiver, again, why=f"BM-1: another codeword {index}")
                back(stage, receiver, stored)
    if stage.session(a).triple.sparse.newest < 1:
        raise AssertionError
    return stage


def encoders() -> Stage:
    """Encoders at their end."""
    stage, a, b = begin("braid_encoders", "Encoders at their last codeword: None afterwards, or codeword 0 again.", 256)
    a, b = stage.pair("Encoders", 256, answered=False)
    seen: set[str] = set()
    lost = 0
    for _ in range(40):
        for sender, receiver in ((a, b), (b, a)):
            state = state_of(stage, sender)
            name = type(state).__name__
            if hasattr(state, "issued") and name not in seen:
                seen.add(name)
                stored = store(stage, sender)
                late = copy.deepcopy(stage.session(sender))
                late.triple.sparse.braid.state = replace(state, issued=65_535)
                stage.put(sender, late, why=f"BM-3: {name}, one codeword left")
                for text in (b"the last", b"None, or the first again", b"and the next"):
                    stage.send(sender, text)
                back(stage, sender, stored)
            if isinstance(state, braid.Ct1Sampled) and lost < 3:
                lost += 1
                stage.send(sender, b"lost, so that the key is complete first")
                continue
            stage.pass_on(sender, receiver, b"")
    if not {"KeysSampled", "HeaderSent", "Ct1Received", "Ct1Sampled", "EkReceivedCt1Sampled", "Ct2Sampled"} <= seen:
        raise AssertionError(seen)
    return stage


ALL = [transitions, codewords, encoders]
