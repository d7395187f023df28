# SPDX-License-Identifier: MIT OR Apache-2.0
"""§6: what a responder accepts and refuses."""

import copy
from dataclasses import replace

import forge
from noescrow import client, curve, labels, primitives, wire
from noescrow.primitives import dh
from stage import Stage

R, GONE = "refused", "prekey gone"
FLAGS, OPK_ID, EK, CHUNK_SIZE = 5, 6, 10, 1_610


def handshakes() -> Stage:
    """Everything about the handshake itself; each forged first message would open without its check."""
    stage = Stage(
        "handshakes",
        "First messages: what a responder accepts, and what it refuses for one flaw alone. Honest ones take HS-I3, HS-I4, "
        "HS-I5, HS-I6, HS-I7, HS-I8, HS-R3, HS-R4, HS-R5, HS-R6, HS-R7, KS-2, KS-3, PK-1, DR-I1, DR-I2, SP-I1.",
    )
    alice, bob = stage.device("Alice"), stage.device("Bob")
    last_resort = stage.bundle("Bob")
    keys = stage.publish("Bob", 5)
    forged = lambda bundle=last_resort, **how: forge.first_message(alice, bundle, stage.rng, **how)

    def refuse(why: str, data: bytes, word: str = R) -> None:
        stage.accept("never", data, refused=word, why=why)

    genuine = stage.initiate("A1", stage.bundle("Bob", keys[1]), why="HS-I3 to HS-I8, KS-1, KS-2, KS-3, DR-I1, SP-I1, BR-1")
    data = bytes.fromhex(genuine["message"])
    # HS-R1.
    refuse("HS-R1: nothing", b"")
    refuse("HS-R1: a handshake that is cut", data[: wire.HANDSHAKE_LEN - 1])
    refuse("DR-D1: a handshake alone", data[: wire.HANDSHAKE_LEN])
    for outer in (0x12, 0x10, 0x21):
        refuse("HS-R1: another first byte", forged(clear_edit=forge.put(0, bytes([outer]))))
    refuse("HS-R1: an SPK that the device does not keep", forged(clear_edit=forge.put(1, bytes.fromhex("01020304"))), GONE)
    refuse("HS-R1: a one-time prekey's id as the SPK's", forged(clear_edit=forge.put(1, keys[0][2:6])), GONE)
    refuse("HS-R1: the reserved bit of the flags", forged(clear_edit=forge.put(FLAGS, b"\2")))
    refuse("HS-R1: the reserved bit beside the OPK's", forged(stage.bundle("Bob", keys[0]), clear_edit=forge.put(FLAGS, b"\3")))
    refuse("HS-R1: another bit of the flags", forged(clear_edit=forge.put(FLAGS, b"\x80")))
    refuse("HS-R1: no OPK, and an id", forged(clear_edit=forge.put(OPK_ID, keys[0][2:6])))
    unknown = forged(stage.bundle("Bob", keys[0]), clear_edit=forge.put(OPK_ID, bytes.fromhex("01020304")))
    refuse("HS-R1: an OPK that the device does not keep", unknown, GONE)
    refuse("HS-R1: an OPK with id 0", forged(stage.bundle("Bob", keys[0]), clear_edit=forge.put(OPK_ID, bytes(4))), GONE)
    spk_as_opk = forge.put(OPK_ID, bob.signed.prekey.id.to_bytes(4, "big"))
    refuse("HS-R1: the SPK's id as the OPK's", forged(stage.bundle("Bob", keys[0]), clear_edit=spk_as_opk), GONE)
    refuse("HS-R1: an unknown chunk size", forged(clear_edit=forge.put(CHUNK_SIZE, b"\4")))
    _ephemeral_keys(stage, forged, refuse, last_resort)
    _identities(stage, forged, refuse)
    refuse("HS-R3: another CT of the same m: implicit rejection", forged(clear_edit=lambda clear: forge.flipped(clear, 42 + 1_567)))
    # HS-R4: what the seal covers.
    for at, what in ((EK + 5, "EK"), (100, "ciphertext"), (CHUNK_SIZE, "chunk size"), (1_700, "sealed identity"), (1_750, "tag")):
        refuse(f"HS-R4: another {what}", forge.flipped(data, at))
    # HS-R7.
    refuse("DR-D8: other associated data", forge.first_message(alice, last_resort, stage.rng, ad=b"other"))
    refuse("DR-D8: a body of nothing", forged(padded=b""))
    refuse("DR-D2: another salt", forge.flipped(data, wire.HANDSHAKE_LEN))
    refuse("DR-D6.6, HS-R7.3: 25,001 before the first that arrives", forged(ec_skip=25_001, pq_skip=25_001), "too many skipped")
    far = forged(ec_skip=25_000, pq_skip=50_001)
    stage.refuse(far, refused="too many skipped", why="SP-R1.2, HS-R7.1: 50,001 in the sparse chain, when it is opened")
    stage.accept("B jump", forged(ec_skip=25_000, pq_skip=25_000), why="DR-D6: as many as may be skipped at first contact")
    # An OPK in the middle: the last takes its place; the others still work.
    stage.accept("B1", genuine, why="HS-R3 to HS-R7, KS-2, KS-3, DR-I2, SP-I1")
    refuse("HS-R1: the same again", data, GONE)
    last = stage.initiate("A5", stage.bundle("Bob", keys[4]))
    stage.accept("B5", last)
    first = stage.initiate("A0", stage.bundle("Bob", keys[0]))
    second = stage.send("A0", b"second")
    stage.accept("B0", second, why="HS-R7: another than the initiator's first message comes first")
    stage.deliver("B0", first)
    _later_handshakes(stage, first, second)
    _refusing(stage, keys)
    _rotation(stage)
    return stage


def _ephemeral_keys(stage: Stage, forged, refuse, bundle: bytes) -> None:
    """HS-R1, HS-R2: the responder would compute what the forger computed."""
    bob = stage.device_of("Bob")
    private = stage.rng(32)
    public = primitives.dh_public(private)
    owned = {primitives.dh_public(key): key for key in (bob.dh_private, bob.signed.prekey.dh_private)}
    for order in (2, 4, 8):
        refuse(f"HS-R2: EK with a component of order {order}", forged(ephemeral=private, ephemeral_key=forge.with_torsion(public, order)))
    twist = forge.on_the_twist()
    refuse("HS-R2: EK on the twist", forged(ephemeral_key=twist, dh_with=lambda other: dh(owned[other], twist)))
    refuse("HS-R1: EK with bit 255 set", forged(ephemeral=private, ephemeral_key=forge.flipped(public, 31, 128)))
    nine, spelt = (9).to_bytes(32, "little"), (curve.P + 9).to_bytes(32, "little")
    refuse("HS-R1: EK = p + 9", forged(ephemeral_key=spelt, dh_with=lambda other: dh(owned[other], nine)))
    stage.accept("B nine", forged(ephemeral_key=nine, dh_with=lambda other: dh(owned[other], nine)), why="HS-R2: EK = 9")
    unknown = forge.put(1, bytes.fromhex("01020304"))
    both = lambda clear: unknown(clear)
    misspelt = forged(ephemeral_key=spelt, dh_with=lambda other: dh(owned[other], nine), clear_edit=both)
    refuse("HS-R1.1: EK = p + 9, before the prekey is looked up", misspelt)
    shifted = forge.with_torsion(public)
    refuse("HS-R1.2: a prekey that is gone, before EK is checked for torsion", forged(ephemeral=private, ephemeral_key=shifted, clear_edit=both), GONE)
    refuse("HS-R1: EK = 1", forged(ephemeral_key=(1).to_bytes(32, "little"), dh_with=lambda _: bytes(32)))


def _identities(stage: Stage, forged, refuse) -> None:
    """HS-R4: ID-1, equal keys, versions."""
    alice, bob = stage.device_of("Alice"), stage.device_of("Bob")
    genuine, seed = alice.identity.to_bytes(), alice.signing_seed
    refuse("HS-R4: max_version 0", forged(max_version=0))
    for version in (2, 255):
        stage.accept(f"B version {version}", forged(max_version=version), why="HS-R4: the initiator could do better, the prekey not")
    refuse("HS-R4: a certificate that does not verify", forged(local=forge.flipped(genuine, 127)))
    shifted = forge.with_torsion(alice.identity.dh_key)
    refuse("HS-R4: IKA with a torsion component", forged(local=forge.identity(seed, shifted)))
    refuse("HS-R4: IKA with bit 255 set", forged(local=forge.identity(seed, forge.flipped(alice.identity.dh_key, 31, 128))))
    certified = labels.L_CERT + labels.SUITE + genuine[32:64]
    key, signature = forge.sign_under_mixed_key(seed, 8, certified)
    refuse("HS-R4: a signing key with a torsion component", forged(local=key + genuine[32:64] + signature))
    small_r = forge.signature_with_r_of_identity(seed, certified)
    refuse("HS-R4: a certificate whose R is of small order", forged(local=genuine[:64] + small_r))
    own = forge.identity(seed, bob.identity.dh_key)
    refuse("HS-R4: IKA is IKB", forged(local=own, local_dh=bob.dh_private))
    spk = bob.signed.prekey.dh_private
    refuse("HS-R4: IKA is SPK", forged(local=forge.identity(seed, primitives.dh_public(spk)), local_dh=spk))
    signing = forge.identity(bob.signing_seed, primitives.dh_public(bytes([7]) * 32))
    refuse("HS-R4: one signing key", forged(local=signing, local_dh=bytes([7]) * 32))
    refuse("HS-R4: EK is IKA", forged(ephemeral=alice.dh_private))
    refuse("HS-R4: EK is IKB", forged(ephemeral=bob.dh_private))
    refuse("HS-R4: EK is SPK", forged(ephemeral=spk))
    one_time = bob.one_time[0].prekey
    published = one_time.published(bob.signing_seed).to_bytes()
    bundle = stage.bundle("Bob", published)
    refuse("HS-R4: EK is OPK", forged(bundle, ephemeral=one_time.dh_private))
    as_identity = forge.identity(seed, primitives.dh_public(one_time.dh_private))
    refuse("HS-R4: IKA is OPK", forged(bundle, local=as_identity, local_dh=one_time.dh_private))


def _later_handshakes(stage: Stage, first: dict, second: dict) -> None:
    """HS-R8."""
    third = bytes.fromhex(stage.send("A0", b"third")["message"])
    for at, what in ((EK, "EK"), (1_620, "sealed identity"), (1_755, "tag")):
        stage.deliver("B0", forge.flipped(third, at), "refused", f"HS-R8: another {what} than the session's handshake has")
    elsewhere = stage.initiate("A other", stage.bundle("Bob"))
    stage.deliver("B0", elsewhere, "refused", "HS-R8: another handshake")
    with_other = bytes.fromhex(elsewhere["message"])[: wire.HANDSHAKE_LEN]
    session = stage.session("A0")
    stage.deliver("B0", forge.message(session, stage.rng, first=with_other), "refused", "HS-R8: another handshake's bytes before the session's message")
    own = session.opening.handshake
    reply = forge.message(stage.session("B0"), stage.rng, first=own)
    stage.deliver("A0", reply, "refused", "HS-R8: an initiator's session takes no handshake, its own neither")
    stage.deliver("B0", third)
    stage.pass_on("B0", "A0", b"reply")
    after = stage.send("A0", b"after the reply")
    if bytes.fromhex(after["message"])[0] != wire.LATER:
        raise AssertionError("HS-I8: the repetition ends with the first reply")
    stage.deliver("B0", after)
    again = forge.message(stage.session("A0"), stage.rng, first=own)
    stage.deliver("B0", again, why="HS-R8: the handshake in front of a later message")


def _refusing(stage: Stage, keys: list[bytes]) -> None:
    """A pending message that the user refuses: it cannot come back."""
    unwanted = stage.initiate("A refused", stage.bundle("Bob", keys[2]))
    stage.refuse(unwanted, why="HS-R7: refused: the one-time prekey is deleted")
    stage.accept("never", unwanted, refused=GONE, why="HS-R7: after the refusal")
    unwanted = stage.initiate("A refused too", stage.bundle("Bob"))
    stage.refuse(unwanted, why="HS-R7: refused: EK enters the replay record")
    stage.accept("never", unwanted, refused="handshake already accepted", why="HS-R7: after the refusal")
    stage.refuse(forge.flipped(bytes.fromhex(unwanted["message"]), 1_700), refused="handshake already accepted", why="HS-R1: repeated")


def _rotation(stage: Stage) -> None:
    """The current signed prekey and those before it; one replay record each."""
    early = stage.initiate("A early", stage.bundle("Bob"))
    again = stage.initiate("A early too", stage.bundle("Bob"))
    stage.play("rotate", device="Bob", now=1_500)
    stage.play("rotate", device="Bob", now=1_500)
    stage.accept("B early", early, why="HS-R1: two rotations later")
    stage.accept("never", early, refused="handshake already accepted", why="HS-R1: repeated, on a previous signed prekey")
    stage.accept("B early too", again)


def ids() -> Stage:
    """Ids are random, not 0, and distinct among the kept ones of both kinds."""
    stage = Stage("ids", "Prekey ids: drawn before the keys, and again while they are 0 or taken.")
    number = bytes.fromhex("80000001")
    first = [stage.rng(32), stage.rng(32), bytes(4), bytes(4), number]
    stage.device("Alice")
    stage.device("Bob", chosen=first, why="PK-1: an id of 0 is drawn again")
    stage.publish("Bob", chosen=[number, bytes(4), number, bytes.fromhex("00000001")], why="PK-1: the signed prekey's id is taken")
    taken = bytes.fromhex("00000001")
    stage.publish("Bob", 2, chosen=[taken, bytes.fromhex("ffffffff")], why="PK-1: a one-time prekey's id is taken")
    stage.play("rotate", device="Bob", now=1_500, chosen=[taken, number, bytes.fromhex("00000002")], why="PK-1: taken ids of both kinds")
    stage.play("rotate", device="Bob", now=1_500, chosen=[number, bytes.fromhex("00000003")], why="PK-1: the previous signed prekey's id is taken")
    # NT-7: a generator that repeats itself. Taken: 1, 2, 3, 2^32 - 1 and 0x80000001.
    last = bytes.fromhex("ffffffff")
    again = lambda why, *draws: stage.publish("Bob", chosen=draws, why=f"NT-7, PK-1.2: {why}")
    again("16 times 0: the first id that is free above it", *[bytes(4)] * 16)
    again("16 times the last id: 0 and taken ones are passed over", *[last] * 16)
    again("the last of 16 draws decides", *[bytes(4)] * 15, number)
    again("the 16th draw is free", *[number] * 15, bytes.fromhex("00001000"))
    return stage


def versions() -> Stage:
    """HS-R4: a device whose prekeys say that it can do better."""
    stage = Stage("versions", "max_version: no higher version that both could have used.")
    alice, bob = stage.device("Alice"), stage.device("Bob")
    stage.publish("Bob", 2)

    def better(own, version: int = 2):
        own.prekey = replace(own.prekey, max_version=version)
        own.digest = primitives.sha256(own.prekey.described().description)

    def case(spk: int, opk: int | None, initiator: int, refused: str | None) -> None:
        device = copy.deepcopy(bob)
        better(device.signed, spk)
        one_time = None
        if opk is not None:
            better(device.one_time[0], opk)
            one_time = device.one_time[0].prekey.published(device.signing_seed).to_bytes()
        stage.put("Bob", device)
        data = forge.first_message(alice, stage.bundle("Bob", one_time), stage.rng, max_version=initiator)
        stage.accept("never" if refused else "B", data, refused=refused, why=f"HS-R4: SPK {spk}, OPK {opk}, initiator {initiator}")

    for spk, opk, initiator, refused in (
        (2, None, 2, R),
        (2, None, 3, R),
        (3, None, 2, R),
        (255, None, 255, R),
        (2, None, 1, None),
        (1, None, 2, None),
        (2, 1, 2, R),
        (1, 2, 2, None),
        (1, 2, 1, None),
    ):
        case(spk, opk, initiator, refused)
    return stage


def replay_record() -> Stage:
    """The record's last place, and the record of another prekey."""
    stage = Stage("replay_record", "The replay record: its last place, and full.")
    alice, bob = stage.device("Alice"), stage.device("Bob")
    one_time = stage.publish("Bob")[0]
    full = copy.deepcopy(bob)
    full.signed.replay = [primitives.sha256(b"entry%d" % i)[:16] for i in range(labels.REPLAY_RECORD - 1)]
    stage.put("Bob", full)
    firsts = [stage.initiate(f"A{i}", stage.bundle("Bob")) for i in range(2)]
    stage.accept("B0", firsts[0], why="HS-R1: the last place")
    stage.accept("never", firsts[0], refused="handshake already accepted", why="HS-R1: repeated goes before full")
    stage.accept("never", firsts[1], refused="replay record full", why="HS-R1: full")
    with_one_time = stage.initiate("A with", stage.bundle("Bob", one_time))
    stage.accept("B with", with_one_time, why="HS-R1: full, with a one-time prekey")
    stage.play("rotate", device="Bob", now=1_500)
    stage.accept("never", firsts[1], refused="replay record full", why="HS-R1: full, of the previous signed prekey")
    stage.accept("B after", stage.initiate("A after", stage.bundle("Bob")), why="HS-R1: the new signed prekey's record is empty")
    # An entry is 16 bytes of the digest of EK.
    known = copy.deepcopy(bob)
    private = stage.rng(32)
    known.signed.replay = [client.replay_entry(primitives.dh_public(private))]
    stage.put("Bob", known)
    data = forge.first_message(alice, stage.bundle("Bob"), stage.rng, ephemeral=private)
    stage.accept("never", data, refused="handshake already accepted", why="HS-R1: an entry of the record")
    # A record is of one signed prekey: the same EK with another.
    elsewhere = copy.deepcopy(stage.device_of("Bob"))
    stage.put("Bob", known)
    stage.play("rotate", device="Bob", now=1_500)
    at_current = forge.first_message(alice, stage.bundle("Bob"), stage.rng, ephemeral=private)
    stage.accept("B elsewhere", at_current, why="PP-4: an entry in the record of another signed prekey")
    stage.put("Bob", elsewhere)
    for at in (0, 15):
        other = copy.deepcopy(known)
        other.signed.replay = [forge.flipped(known.signed.replay[0], at)]
        stage.put("Bob", other)
        stage.accept(f"B {at}", data, why="HS-R1: another entry")
    return stage


ALL = [handshakes, ids, versions, replay_record]
