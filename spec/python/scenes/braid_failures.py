# SPDX-License-Identifier: MIT OR Apache-2.0
"""§7: the Braid's failures."""

import copy
from contextlib import contextmanager
from dataclasses import replace

import forge
from noescrow import braid, client, erasure, mlkem
from noescrow.double import Sending
from noescrow.mlkem import ML_KEM_768
from noescrow.wire import HDR
from stage import Stage

from .braid import R, back, begin, state_of, store


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
    # BR-10 takes a wrong key; BR-12 checks it. The victim keeps a header key, which goes with the session.
    _against(stage, "Late B", dict(ek_vector_of=bad, header_of=header_of(bad)), "BM-5: at BR-12, not at BR-10; FL-3.1", is_late=True)
    _mac_failures(stage, a, b)
    _last_epoch(stage)
    return stage


def _against(stage: Stage, victim: str, functions: dict, why: str, is_late: bool = False) -> None:
    """A hostile initiator whose key is as the functions say, up to the abandoned session."""
    alice, bob = stage.device_of("Alice"), stage.device_of("Bob")
    with patched(**functions):
        session, first = alice.initiate(stage.bundle("Bob"), b"hello", b"", 0, 256, stage.rng)
        stage.accept(victim, first)
        for _ in range(40):
            answer, ratchet = bytes.fromhex(stage.send(victim, b"")["message"]), stage.session(victim).triple
            # The hostile side acknowledges ct1 only when the victim has all of the key.
            waits = is_late and isinstance(session.triple.sparse.braid.state, braid.HeaderSent)
            if not waits or isinstance(ratchet.sparse.braid.state, braid.EkReceivedCt1Sampled):
                session.decrypt(answer)
            # A message is lost as long as the victim keeps no header key.
            if is_late and not ratchet.double.header_keys:
                session.encrypt(b"lost", b"", stage.rng)
            event = stage.deliver(victim, session.encrypt(b"key", b"", stage.rng), why=why)
            if event.get("abandoned"):
                break
        else:
            raise AssertionError(why)
        stage.deliver(victim, session.encrypt(b"", b"", stage.rng), "abandoned", why)
    stage.send(victim, refused="abandoned", why=why)
    stage.deliver(victim, b"\x13" + bytes(400), R, "FL-3.2: a form that is refused first")
    stage.send(victim, b"x", min_padded_len=2**30 + 2, refused="too long", why="DR-E0.1: goes before DR-E0.2: abandoned")
    elsewhere = forge.first_message(alice, stage.bundle("Bob"), stage.rng, chunk=256)
    stage.deliver(victim, elsewhere, R, "HS-R8: another handshake goes before DR-D1.4: abandoned")
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


ALL = [failures]
