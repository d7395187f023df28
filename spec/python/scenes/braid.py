# SPDX-License-Identifier: MIT OR Apache-2.0
"""§7 and §8: the Braid's states, its failures, its encoders, and the sparse ratchet's epochs."""

import copy
from contextlib import contextmanager
from dataclasses import replace

import forge
from noescrow import braid, client, erasure, mlkem, snapshot
from noescrow.double import Due, Sending
from noescrow.mlkem import ML_KEM_768
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
    if len(seen) < 11:
        raise AssertionError(seen)
    return stage


def _matrix(stage: Stage, sender: str, receiver: str, seen: set[str]) -> None:
    """Each type to a state that was not seen, with some chunks collected where it collects."""
    state, sending = state_of(stage, receiver), stage.session(sender)
    decoder = next((v for v in vars(state).values() if isinstance(v, erasure.Decoder)), None)
    name = type(state).__name__
    ready = decoder is None or decoder.codewords or name == "NoHeaderReceived"
    same = sending.triple.sparse.braid.epoch == stage.session(receiver).triple.sparse.braid.epoch
    if name in seen or not ready or not (same or name == "Ct2Sampled" or name == "KeysUnsampled"):
        return
    seen.add(name)
    stored = store(stage, receiver)
    for kind, label in NAMES.items():
        chunk = bytes(128) if kind == NONE else stage.rng(128)
        index = 0 if kind == NONE else 40_000
        made = forge.message(sending, stage.rng, b"", chunk_of=lambda m: replace(m, kind=kind, index=index, chunk=chunk))
        stage.deliver(receiver, made, why=f"BR: {label} in {name}")
        back(stage, receiver, stored)
    if decoder is not None and decoder.codewords:
        first = next(iter(decoder.codewords))
        kind = {"HeaderSent": CT1, "EkSentCt1Received": CT2, "Ct1Sampled": EK, "Ct1Acknowledged": EK_CT1_ACK}[name]
        other = forge.message(sending, stage.rng, b"", chunk_of=lambda m: replace(m, kind=kind, index=first, chunk=stage.rng(128)))
        stage.deliver(receiver, other, why=f"BM-1: another codeword of an index in {name}")
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


@contextmanager
def patched(**functions):
    right = {name: getattr(braid, name) for name in functions}
    for name, function in functions.items():
        setattr(braid, name, function)
    try:
        yield
    finally:
        for name, function in right.items():
            setattr(braid, name, function)


class Hostile:
    """A peer that is played outside the stage: its messages reach the victim as bytes."""

    def __init__(self, stage: Stage, name: str, victim: str):
        self.stage, self.victim = stage, victim
        self.session = copy.deepcopy(stage.session(name))

    def exchange(self, why: str = "", text: bytes = b"") -> dict:
        """One message to the victim."""
        return self.stage.deliver(self.victim, self.session.encrypt(text, b"", self.stage.rng), why=why)

    def answered(self) -> None:
        self.session.decrypt(bytes.fromhex(self.stage.send(self.victim, b"")["message"]))


def failures() -> Stage:
    """The Braid fails: its message is handed out, the session is over."""
    stage, a, b = begin("braid_failures", "Hostile peers who make the Braid fail, and an epoch without a successor.", 256)
    bad = lambda seed: forge.beyond_modulus(mlkem.key_gen(ML_KEM_768, seed).ek[:-32])
    right = braid.ek_vector_of

    def header_of(vector):
        def header(seed: bytes) -> bytes:
            rho = mlkem.key_gen(ML_KEM_768, seed).ek[-32:]
            return rho + mlkem.H(vector(seed) + rho)

        return header

    other_hash = lambda seed: mlkem.key_gen(ML_KEM_768, seed).ek[-32:] + mlkem.H(right(seed))
    spoiled = lambda seed: forge.flipped(right(seed), 1_000)
    cases = [
        ("BM-5: a coefficient of q", dict(ek_vector_of=bad, header_of=header_of(bad))),
        ("BM-5: another vector than the header's", dict(ek_vector_of=spoiled, header_of=braid.header_of)),
        ("BM-5: H over the vector alone", dict(ek_vector_of=right, header_of=other_hash)),
    ]
    for number, (why, functions) in enumerate(cases):
        name = f"Key {number}"
        with patched(**functions):
            # The hostile side's first message is made with its header.
            first = forge.first_message(stage.device_of("Alice"), stage.bundle("Bob"), stage.rng, chunk=256)
        victim = f"{name} B"
        _against(stage, victim, functions, why)
    _mac_failures(stage, a, b)
    _last_epoch(stage)
    return stage


def _against(stage: Stage, victim: str, functions: dict, why: str) -> None:
    """A hostile initiator whose key is as the functions say, up to the abandoned session."""
    alice, bob = stage.device_of("Alice"), stage.device_of("Bob")
    with patched(**functions):
        session, first = alice.initiate(stage.bundle("Bob"), b"hello", b"", 0, 256, stage.rng)
        stage.accept(victim, first)
        for _ in range(30):
            session.decrypt(bytes.fromhex(stage.send(victim, b"")["message"]))
            event = stage.deliver(victim, session.encrypt(b"key", b"", stage.rng), why=why)
            if event.get("abandoned"):
                break
        else:
            raise AssertionError(why)
        stage.deliver(victim, session.encrypt(b"", b"", stage.rng), "abandoned", why)
    stage.send(victim, refused="abandoned", why=why)
    stage.deliver(victim, b"\x13" + bytes(400), R, "FL-3.2: a form that is refused first")
    stored = store(stage, victim)
    back(stage, victim, stored)
    stage.send(victim, refused="abandoned", why="FL-3.2: after a restart")


def _mac_failures(stage: Stage, a: str, b: str) -> None:
    """A MAC of the Braid that does not verify; each of its bytes at the ends."""
    for at in (0, 31):
        victim = f"MacHdr {at}"
        session, first = stage.device_of("Alice").initiate(stage.bundle("Bob"), b"hello", b"", 0, 256, stage.rng)
        unsent = copy.deepcopy(session)
        ratchet = unsent.triple.sparse.braid
        header = braid.header_of(ratchet.state.seed)
        value = header + forge.flipped(ratchet.authenticator.mac_hdr(1, header), at)
        made = forge.message(session, stage.rng, b"x", chunk_of=lambda m: replace(m, kind=HDR, index=0, chunk=erasure.codeword(value, 256, 0)))
        event = stage.accept(victim, made, why=f"HS-R7: a first message whose MacHdr differs in byte {at}: accepted, and abandoned")
        if not event.get("abandoned"):
            raise AssertionError
    names = [a, b]
    for _ in range(40):
        for sender, receiver in (names, names[::-1]):
            state = state_of(stage, sender)
            if isinstance(state, braid.Ct2Sampled) and state.issued == 0 and isinstance(state_of(stage, receiver), (braid.Ct1Received,)):
                stored = store(stage, receiver)
                for at, what in ((0, "ct2"), (128, "MacCt"), (159, "MacCt")):
                    hostile = copy.deepcopy(stage.session(sender))
                    hostile.triple.sparse.braid.state = braid.Ct2Sampled(forge.flipped(state.ct2_and_mac, at), 0)
                    event = stage.deliver(receiver, hostile.encrypt(b"last", b"", stage.rng), why=f"BM-6: another {what}")
                    if not event.get("abandoned"):
                        raise AssertionError
                    back(stage, receiver, stored)
                hostile = copy.deepcopy(stage.session(sender))
                ratchet, ct1 = hostile.triple.sparse.braid, state_of(stage, receiver).ct1
                other = forge.flipped(state.ct2_and_mac[:128], 0)
                ratchet.state = braid.Ct2Sampled(other + ratchet.authenticator.mac_ct(ratchet.epoch, ct1 + other), 0)
                event = stage.deliver(receiver, hostile.encrypt(b"last", b"", stage.rng), why="BR-5: another ct2 of the same m, with its MAC: implicit rejection")
                if not event.get("abandoned"):
                    raise AssertionError
                back(stage, receiver, stored)
                hostile = copy.deepcopy(stage.session(sender))
                stage.deliver(receiver, hostile.encrypt(b"right", b"", stage.rng), why="BR-5: the right ciphertext")
                padded = forge.message(
                    stage.session(sender), stage.rng, b"", chunk_of=lambda m: replace(m, chunk=m.chunk[:160] + bytes([9]) * 96)
                )
                back(stage, receiver, stored)
                stage.deliver(receiver, padded, why="BM-2: what pads the last chunk is not checked")
                return
            stage.pass_on(sender, receiver, b"")
    raise AssertionError


def _shifted(session: client.Session, by: int) -> client.Session:
    session = copy.deepcopy(session)
    sparse, double = session.triple.sparse, session.triple.double
    sparse.braid.epoch += by
    sparse.newest += by
    sparse.epochs = {number + by: epoch for number, epoch in sparse.epochs.items()}
    sparse.kept = {(number + by, n): key for (number, n), key in sparse.kept.items()}
    if isinstance(double.sending, Sending):
        double.sending.mixed_epoch += by
    return session


def _last_epoch(stage: Stage) -> None:
    """Epoch 2^32 - 2 has no successor."""
    a, b = stage.pair("Last", 256)
    while stage.session(a).triple.sparse.newest < 2 or stage.session(b).triple.sparse.newest < 2:
        stage.pass_on(a, b, b"")
        stage.pass_on(b, a, b"")
    # Both are in epoch 3, or about to be: an odd number of epochs below the end.
    by = 2**32 - 4 - 2
    for name in (a, b):
        stage.put(name, _shifted(stage.session(name), by), why="BM-6: a session that is near the last epoch")
    tried = False
    for _ in range(60):
        for sender, receiver in ((a, b), (b, a)):
            victim = stage.session(receiver).triple
            if victim.sparse.newest == 2**32 - 2 and not tried:
                tried = True
                chain = copy.deepcopy(victim.sparse.epochs[2**32 - 2].receiving)
                made = forge.message(stage.session(sender), stage.rng, epoch=2**32 - 2, chain=chain, fields={"age": 1})
                stage.deliver(receiver, made, R, "BM-4: epoch 2^32 - 1, on the last epoch's chain")
            event = stage.deliver(receiver, stage.send(sender, b"x"), why="BM-6: up to the last epoch")
            if event.get("abandoned"):
                stage.send(receiver, refused="abandoned", why="BM-6: epoch 2^32 - 2 is over")
                if not tried:
                    raise AssertionError
                return
    raise AssertionError


def epochs() -> Stage:
    """Chains of several epochs."""
    stage, a, b = begin("epochs", "Messages of several epochs: what is kept, what is retired, what is refused.", 256)
    held = _two_epochs_in_a_chain(stage, a, b)
    first, second, third, fourth = held
    stored = store(stage, b)
    stage.deliver(b, fourth, why="SP-R2: of the next epoch, and the chain's last")
    stage.deliver(b, third, why="SP-R2.3: overtaken, and beyond its own epoch's chain: those before it are kept")
    stage.deliver(b, first, why="SP-R2.3: kept then")
    stage.deliver(b, second, why="SP-R2.3: kept then, too")
    stage.deliver(b, second, GONE, "SP-R1.5: once")
    back(stage, b, stored)
    # More sparse keys than a store holds, of the newer epoch before the older: the oldest go by epoch, not by arrival.
    newer, older = stage.before[fourth["at"]], stage.before[third["at"]]
    ahead = lambda number: forge.message(newer, stage.rng, b"ahead", ec_skip=number, pq_skip=number)
    stage.deliver(b, ahead(1_500), why="SP-R3.3: 1,500 keys of the newer epoch")
    beyond = lambda ec, pq: forge.message(older, stage.rng, b"older", ec_skip=ec, pq_skip=pq)
    stage.deliver(b, beyond(900, 1_000), why="SP-R3.3: then 1,000 of the older: its first are evicted")
    stage.deliver(b, beyond(901, 400), GONE, "SP-R3.3: one that was evicted")
    stage.deliver(b, beyond(901, 900), why="SP-R3.3: one that was not")
    for number in (0, 1_499):
        stage.deliver(b, ahead(number), why=f"SP-R3.3: {number} of the newer epoch")
    back(stage, b, stored)
    stage.deliver(b, first, why="SP-R2: in order")
    stage.deliver(b, fourth)
    # SP-R1.3: a new message on the epoch before.
    old = stage.before[third["at"]]
    epoch = old.triple.sparse.braid.sending_epoch
    chain = copy.deepcopy(old.triple.sparse.epochs[epoch].sending)
    chain.skip()
    forged = forge.message(stage.session(a), stage.rng, epoch=epoch, chain=chain)
    stage.deliver(b, forged, R, "SP-R1.3: new, on the chain of an epoch before the newest that something came on")
    stage.deliver(b, third, why="SP-R1.3: overtaken, on the same chain")
    _retired(stage)
    _second_advance(stage)
    return stage


def ages() -> Stage:
    """The mixed epoch."""
    stage, *_ = begin("ages", "The mixed epoch that a header names.", 256)
    _ages(stage)
    return stage


def _two_epochs_in_a_chain(stage: Stage, a: str, b: str) -> list[dict]:
    """Three messages of one epoch and a fourth of the next, in one chain of A; none delivered. Each side speaks twice a
    chain, so that B's second message can bring what advances A's sending epoch after A began its chain."""
    for _ in range(200):
        if stage.rng(1)[0] % 2:
            stage.pass_on(a, b, b"")
            stage.pass_on(b, a, b"")
        early, late = stage.send(b, b""), stage.send(b, b"")
        stage.deliver(a, early)
        stage.pass_on(a, b, b"")
        stage.deliver(a, late)
        second, answer = stage.send(a, b""), stage.send(b, b"")
        stage.deliver(b, second)
        stage.deliver(a, answer)
        trial_a, trial_b = copy.deepcopy(stage.session(a)), copy.deepcopy(stage.session(b))
        trial_a.encrypt(b"", b"", stage.rng)
        before = trial_a.triple.sparse.braid.sending_epoch
        trial_a.decrypt(trial_b.encrypt(b"", b"", stage.rng))
        if before >= 1 and trial_a.triple.sparse.braid.sending_epoch > before:
            held = [stage.send(a, b"held %d" % i) for i in range(3)]
            stage.pass_on(b, a, b"")
            return [*held, stage.send(a, b"the next epoch")]
    raise AssertionError


def _retired(stage: Stage) -> None:
    """A key that both ratchets keep, until its epoch is retired."""
    a, b = stage.pair("Retired", 256)
    stage.pass_on(a, b, b"")
    held = [stage.send(a, b"held %d" % i) for i in range(2)]
    stage.pass_on(a, b, b"")
    while stage.session(b).triple.sparse.braid.sending_epoch < 1:
        stage.pass_on(b, a, b"")
        stage.pass_on(a, b, b"")
    stage.pass_on(b, a, b"")
    if not isinstance(state_of(stage, b), braid.KeysSampled):
        raise AssertionError
    stored = store(stage, b)
    late = forge.message(stage.before[held[0]["at"]], stage.rng, b"", chunk_of=lambda m: replace(m, kind=CT1, index=5, chunk=stage.rng(256)))
    stage.deliver(b, late, why="BR-2: a late Ct1 of the epoch before is ignored in KeysSampled")
    back(stage, b, stored)
    stage.deliver(b, held[0], why="SP-R3.8: of the epoch before the sending epoch")
    while stage.session(b).triple.sparse.braid.sending_epoch < 2:
        stage.pass_on(b, a, b"")
        stage.pass_on(a, b, b"")
    if stage.session(b).triple.double.step > 33:
        raise AssertionError
    stage.deliver(b, held[1], GONE, "SP-R1.1: its epoch is retired")


def _ages(stage: Stage) -> None:
    """DR-D6.1, DR-D6.9: the mixed epoch that a header names, at the head of a chain."""
    a, b = stage.pair("Ages", 256)
    done: set[str] = set()

    def try_ages(sender: str, receiver: str) -> None:
        live, session = stage.session(receiver).triple.sparse.epochs, stage.session(sender)
        sending = session.triple.sparse.braid.sending_epoch
        if sending < 1 or not isinstance(session.triple.double.sending, Due):
            return
        forged = forge.message(session, stage.rng, edit=lambda plain: plain[:-1] + b"\1")
        if sending - 1 not in live and "gone" not in done:
            done.add("gone")
            stage.deliver(receiver, forged, R, "DR-D6.1: an age whose header secret is not kept")
        if sending - 1 in live and "live" not in done:
            done.add("live")
            stored = store(stage, receiver)
            stage.deliver(receiver, forged, why="DR-D6.9: an age of 1 mixes the epoch before")
            back(stage, receiver, stored)

    while len(done) < 2:
        if stage.rng(1)[0] % 2:
            stage.pass_on(a, b, b"")
            stage.pass_on(b, a, b"")
        # B's ct2 may come in a chain that A has answered: B's next chain is then of an epoch that is A's oldest.
        first, second = stage.send(a, b""), stage.send(a, b"")
        stage.deliver(b, first)
        stage.pass_on(b, a, b"")
        stage.deliver(b, second)
        answer = stage.send(a, b"")
        stage.pass_on(b, a, b"")
        stage.deliver(b, answer)
        try_ages(b, a)
        stage.pass_on(b, a, b"")
        if len(stage.events) > 1_500:
            raise AssertionError(done)


def _second_advance(stage: Stage) -> None:
    """SP-R1.8: a peer that never takes a new ratchet key."""
    a, b = stage.pair("Twice", 256)
    hostile = copy.deepcopy(stage.session(a))

    def say(**how) -> dict:
        return stage.deliver(b, hostile.encrypt(b"", b"", stage.rng), **how)

    say()
    held = copy.deepcopy(hostile.triple.double.sending)
    hostile.decrypt(bytes.fromhex(stage.send(b, b"")["message"]))
    hostile.triple.double.sending = held
    for _ in range(80):
        sending, victim = hostile.triple.sparse.braid, stage.session(b).triple
        due = isinstance(sending.state, braid.Ct2Sampled) and sending.state.issued == 0
        if due and victim.double.sending.mixed_epoch < victim.sparse.braid.sending_epoch:
            break
        if victim.sparse.braid.advances_sending_epoch(copy.deepcopy(hostile).triple.sparse.braid.send(stage.rng)[0]) and (
            victim.double.sending.mixed_epoch < victim.sparse.braid.sending_epoch
        ):
            break
        say()
        hostile.decrypt(bytes.fromhex(stage.send(b, b"")["message"]))
    else:
        raise AssertionError
    stored = store(stage, b)
    stage.deliver(b, copy.deepcopy(hostile).encrypt(b"", b"", stage.rng), R, "SP-R1.8: the sending epoch would advance twice in a chain")
    if isinstance(hostile.triple.sparse.braid.state, braid.Ct2Sampled):
        other = copy.deepcopy(hostile)
        value = other.triple.sparse.braid.state.ct2_and_mac
        other.triple.sparse.braid.state = braid.Ct2Sampled(forge.flipped(value, 159), 0)
        event = stage.deliver(b, other.encrypt(b"last", b"", stage.rng), why="SP-R1.8: a Braid that fails does not advance")
        if not event.get("abandoned"):
            raise AssertionError
        back(stage, b, stored)


ALL = [transitions, codewords, encoders, failures, epochs, ages]
