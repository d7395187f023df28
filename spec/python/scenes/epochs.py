# SPDX-License-Identifier: MIT OR Apache-2.0
"""§8: the sparse ratchet's epochs."""

import copy
from dataclasses import replace

import forge
from noescrow import braid
from noescrow.double import Due
from noescrow.wire import CT1
from stage import Stage

from .braid import GONE, R, back, begin, state_of, store


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
    # DR-D7.3: the limit of a message that is not new.
    jump = forge.message(stage.before[third["at"]], stage.rng, b"", pq_skip=50)
    stage.deliver(b, fourth)
    stage.deliver(b, jump, why="DR-D7.3: overtaken, and 50 beyond its epoch's chain: as many are kept as the Double Ratchet keeps, its own among them")
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
    too_far = forge.message(stage.session(a), stage.rng, epoch=epoch, chain=chain, fields={"sparse_number": 2**32 - 1})
    stage.deliver(b, too_far, "too many skipped", "SP-R1.2: goes before SP-R1.3")
    forged = forge.message(stage.session(a), stage.rng, epoch=epoch, chain=chain)
    stage.deliver(b, forged, R, "SP-R1.3: new, on the chain of an epoch before the newest that something came on")
    stage.deliver(b, third, why="SP-R1.3: overtaken, on the same chain")
    _retired(stage)
    _second_advance(stage, "Twice", 0)
    _second_advance(stage, "Twice, by BR-13", 1)
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


def _second_advance(stage: Stage, name: str, after: int) -> None:
    """SP-R1.8: a peer that takes no new ratchet key after this epoch. The second advance is BR-5, or BR-13."""
    a, b = stage.pair(name, 256)
    while stage.session(b).triple.sparse.braid.sending_epoch < after:
        stage.pass_on(b, a, b"")
        stage.pass_on(a, b, b"")
    if after:
        stage.pass_on(b, a, b"")
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
        # It would refuse, too, if its own chain had not mixed its sending epoch.
        hostile.triple.double.sending.mixed_epoch = sending.sending_epoch
        hostile.decrypt(bytes.fromhex(stage.send(b, b"")["message"]))
    else:
        raise AssertionError
    stored = store(stage, b)
    stage.deliver(b, copy.deepcopy(hostile).encrypt(b"", b"", stage.rng), R, "SP-R1.8: the sending epoch would advance twice in a chain")
    stepping = copy.deepcopy(hostile)
    double = stepping.triple.double
    double.sending = Due(double.receiving.remote_ratchet_key, double.sending.number)
    stage.deliver(b, stepping.encrypt(b"", b"", stage.rng), why="SP-R1.8: the same in a new chain of the peer, which is a step")
    back(stage, b, stored)
    is_last = isinstance(stage.session(b).triple.sparse.braid.state, braid.Ct2Sampled)
    if is_last != bool(after):
        raise AssertionError
    if isinstance(hostile.triple.sparse.braid.state, braid.Ct2Sampled):
        other = copy.deepcopy(hostile)
        value = other.triple.sparse.braid.state.ct2_and_mac
        other.triple.sparse.braid.state = braid.Ct2Sampled(forge.flipped(value, 159), 0)
        event = stage.deliver(b, other.encrypt(b"last", b"", stage.rng), why="SP-R1.8: a Braid that fails does not advance")
        if not event.get("abandoned"):
            raise AssertionError
        back(stage, b, stored)


ALL = [epochs, ages]
