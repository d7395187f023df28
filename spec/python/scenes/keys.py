# SPDX-License-Identifier: MIT OR Apache-2.0
"""§3 to §6: keys, signatures, bundles, and what an initiator refuses."""

import forge
from noescrow import curve, labels, primitives
from stage import LATER, NOW, Stage

R = "refused"


def bad_dh_keys(genuine: bytes) -> list[tuple[str, bytes]]:
    """Keys that no decoder of identities, prekeys and EK accepts."""
    keys = [(f"of low order, {key.hex()[:8]}", key) for key in forge.low_order()]
    keys += [(f"p + {i}, not canonical", (curve.P + i).to_bytes(32, "little")) for i in (0, 1, 9)]
    keys.append(("with bit 255 set", forge.flipped(genuine, 31, 128)))
    keys += [(f"with a component of order {order}", forge.with_torsion(genuine, order)) for order in (2, 4, 8)]
    return [*keys, ("on the twist", forge.on_the_twist())]


def keys() -> Stage:
    stage = Stage("keys", "Identities, prekeys, bundles and publications: what is accepted, and what is refused for one flaw alone.")
    stage.device("Alice")
    bob = stage.device("Bob")
    seed, genuine = bob.signing_seed, bob.identity.to_bytes()
    stage.parse("identity", genuine)
    for cut in (genuine[:-1], genuine + b"\0", b""):
        stage.parse("identity", cut, R, "ID-1: another length")
    stage.parse("identity", forge.flipped(genuine, 127), R, "ID-1: a certificate that does not verify")
    other_label = primitives.sign(seed, labels.L_PREKEY + labels.SUITE + genuine[32:64])
    stage.parse("identity", genuine[:64] + other_label, R, "ID-1: a signature under another label")
    no_suite = primitives.sign(seed, labels.L_CERT + genuine[32:64])
    stage.parse("identity", genuine[:64] + no_suite, R, "ID-1: a signature without the suite")
    for what, key in bad_dh_keys(genuine[32:64]):
        stage.parse("identity", forge.identity(seed, key), R, f"ID-1: a certified DH key {what}")
    certified = labels.L_CERT + labels.SUITE + genuine[32:64]
    small_r = forge.signature_with_r_of_identity(seed, certified)
    stage.parse("identity", genuine[:64] + small_r, R, "ID-1: a certificate whose R is of small order")
    for order in (2, 4, 8):
        torsion = forge.signature_with_torsion(seed, certified, order)
        stage.parse("identity", genuine[:64] + torsion, R, f"KY-5: an R with a component of order {order}: the equation has no cofactor")
    above = genuine[96:128]
    beyond = int.from_bytes(above, "little") + curve.Q
    if beyond < 2**256:
        stage.parse("identity", genuine[:96] + beyond.to_bytes(32, "little"), R, "ID-1: a certificate whose s is not below q")
    for order in (2, 4, 8):
        key, signature = forge.sign_under_mixed_key(seed, order, certified)
        stage.parse("identity", key + genuine[32:64] + signature, R, f"ID-1: a signing key with a component of order {order}")
    for order in (1, 2, 4, 8):
        key, signature = forge.sign_under_mixed_key(b"", order, certified)
        stage.parse("identity", key + genuine[32:64] + signature, R, f"ID-1: a signing key of order {order}")
    _prekeys(stage, seed, genuine)
    _bundles(stage, seed, genuine)
    _publications(stage, seed, genuine)
    return stage


def _prekeys(stage: Stage, seed: bytes, identity: bytes) -> None:
    bob = stage.device_of("Bob")
    signed = bob.bundle().signed.to_bytes()
    one_time = stage.publish("Bob")[0]
    for genuine in (signed, one_time):
        stage.parse("prekey", genuine, identity=identity)

    def refuse(what: str, data: bytes) -> None:
        stage.parse("prekey", data, R, f"PK-2: {what}", identity=identity)

    for cut in (signed[:-1], signed + b"\0", b""):
        refuse("another length", cut)
    refuse("a signature that does not verify", forge.flipped(signed, len(signed) - 40))
    for at, field in ((0, "kind"), (1, "max_version"), (5, "id"), (13, "expiry"), (20, "curve key"), (1_000, "KEM key")):
        refuse(f"another {field} than was signed", forge.flipped(signed, at, 3 if at == 0 else 2))
    refuse("the signature of another identity", stage.device_of("Alice").bundle().signed.to_bytes())
    for label, what in ((labels.L_CERT + labels.SUITE, "under another label"), (labels.L_PREKEY, "without the suite")):
        refuse(f"a signature {what}", signed[:-64] + primitives.sign(seed, label + signed[:-64]))
    for kind in (0, 3, 255):
        refuse(f"kind {kind}", forge.prekey(seed, signed, forge.put(0, bytes([kind]))))
    refuse("max_version 0", forge.prekey(seed, signed, forge.put(1, b"\0")))
    refuse("id 0", forge.prekey(seed, signed, forge.put(2, bytes(4))))
    for version in (2, 255):
        data = forge.prekey(seed, signed, forge.put(1, bytes([version])))
        stage.parse("prekey", data, why=f"PK-2: max_version {version} is accepted", identity=identity)
    for version in (2, 255):
        data = forge.prekey(seed, one_time, forge.put(1, bytes([version])))
        stage.parse("prekey", data, why=f"PK-2.2: a one-time prekey of max_version {version}", identity=identity)
    for genuine in (signed, one_time):
        stage.parse("prekey", forge.prekey(seed, genuine, forge.put(6, bytes(8))), why="PK-2: an expiry of 0", identity=identity)
    for at, number in ((2, 4), (6, 8)):
        data = forge.prekey(seed, signed, forge.put(at, b"\xff" * number))
        stage.parse("prekey", data, why="PK-2: the largest id, the last second", identity=identity)
    for what, key in bad_dh_keys(signed[14:46]):
        refuse(f"a signed curve key {what}", forge.prekey(seed, signed, forge.put(14, key)))
    refuse("a coefficient of q", forge.prekey(seed, signed, forge.put(46, forge.beyond_modulus(signed[46:-64]))))
    for part in (384, 768, 1_152, 1_533):
        refuse("PK-2.5: a coefficient of q in another polynomial", forge.prekey(seed, signed, forge.put(46, forge.beyond_modulus(signed[46:-64], part))))
    message = labels.L_PREKEY + labels.SUITE + signed[:-64]
    refuse("KY-5: an R with a torsion component", signed[:-64] + forge.signature_with_torsion(seed, message))
    refuse("a signature whose R is of small order", signed[:-64] + forge.signature_with_r_of_identity(seed, message))


def _bundles(stage: Stage, seed: bytes, identity: bytes) -> None:
    alice, bob = stage.device_of("Alice"), stage.device_of("Bob")
    signed, one_time = bob.bundle().signed.to_bytes(), stage.publish("Bob")[0]
    for genuine in (stage.bundle("Bob"), stage.bundle("Bob", one_time)):
        stage.parse("bundle", genuine)
        for cut in (genuine[:-1], genuine + b"\0", b""):
            stage.parse("bundle", cut, R, "HS-I1: another length")
    for data, what in (
        (identity + signed + b"\2", "a flag of 2"),
        (identity + signed + b"\2" + one_time, "a flag of 2 and a one-time prekey"),
        (identity + signed + b"\1", "a flag without its prekey"),
        (identity + one_time + b"\0", "a one-time prekey as the signed one"),
        (identity + signed + b"\1" + signed, "a signed prekey as the one-time one"),
    ):
        stage.parse("bundle", data, R, f"HS-I1: {what}")
    _forged_bundles(stage, seed, identity, signed, one_time)
    _refused_initiations(stage, seed, identity, signed, one_time)
    bob_identity = forge.identity(seed, alice.identity.dh_key)
    data = bob_identity + signed + b"\0"
    stage.initiate("never", data, refused=R, why="HS-I3: IKB is IKA")
    own_signing = forge.identity(alice.signing_seed, primitives.dh_public(bytes([7]) * 32))
    own_prekey = forge.prekey(alice.signing_seed, signed, lambda description: description)
    stage.initiate("never", own_signing + own_prekey + b"\0", refused=R, why="HS-I3: one signing key")


def _publications(stage: Stage, seed: bytes, identity: bytes) -> None:
    signed = stage.device_of("Bob").bundle().signed.to_bytes()
    keys = stage.publish("Bob", count=2, why="one-time prekeys of a publication")
    count = lambda number: number.to_bytes(4, "big")
    start = identity + signed
    for number in (0, 1, 2):
        stage.parse("publication", start + count(number) + b"".join(keys[:number]), why=f"PK-3: {number} one-time prekeys")
    two = start + count(2) + b"".join(keys)

    def refuse(why: str, data: bytes) -> None:
        stage.parse("publication", data, R, why)

    for cut in (two[:-1], two + b"\0", start + count(0) + b"\0", start + b"\0\0\0", b""):
        refuse("PK-3.1: another length", cut)
    for number, what in ((1, "one fewer than follow"), (3, "one more than follow"), (2**32 - 1, "the largest"), (1_001, "one more than MAX_PUBLISHED")):
        refuse(f"PK-3.1: a count of {what}", start + count(number) + b"".join(keys))
    refuse("PK-3.1: little-endian", start + (2).to_bytes(4, "little") + b"".join(keys))
    refuse("PK-3.2: an identity that does not verify", forge.flipped(two, 127))
    refuse("PK-3.2: a signed prekey that does not verify", forge.flipped(two, 1_780))
    for at, place in ((1_810, "first"), (3_488, "last")):
        refuse(f"PK-3.2: the {place} one-time prekey does not verify", forge.flipped(two, at + 1_650))
        refuse(f"PK-3.2: id 0, of the {place} one-time prekey", forge.put(at, forge.prekey(seed, two[at : at + 1_678], forge.put(2, bytes(4))))(two))
        refuse(f"PK-3.2: a signed prekey as the {place} one-time one", forge.put(at, forge.prekey(seed, signed, forge.put(2, b"\1\2\3\4")))(two))
    refuse("PK-3.2: a one-time prekey as the signed one", identity + stage.publish("Bob")[0] + two[1_806:])
    alices = stage.publish("Alice")[0]
    refuse("PK-3.2: a prekey of another identity", forge.put(3_488, alices)(two))
    refuse("PK-3.3: one prekey twice", start + count(2) + keys[0] * 2)
    same_id = lambda prekey: forge.prekey(seed, prekey, forge.put(2, keys[0][2:6]))
    refuse("PK-3.3: two one-time prekeys with one id", forge.put(3_488, same_id(keys[1]))(two))
    refuse("PK-3.3: a one-time prekey with the signed one's id", forge.put(128, same_id(signed))(two))


def _forged_bundles(stage: Stage, seed: bytes, identity: bytes, signed: bytes, one_time: bytes) -> None:
    """Each check of ID-1 and PK-2 within a bundle: whoever parses and whoever initiates."""

    def refuse(why: str, identity: bytes = identity, signed: bytes = signed, one_time: bytes = one_time) -> None:
        data = identity + signed + b"\1" + one_time
        stage.parse("bundle", data, R, f"{why}, in a bundle")
        stage.initiate("never", data, refused=R, why=f"{why}, of whom one initiates with")

    dh_key = identity[32:64]
    certified = labels.L_CERT + labels.SUITE + dh_key
    resigned = lambda key, order, prekey: prekey[:-64] + forge.sign_under_mixed_key(key, order, labels.L_PREKEY + labels.SUITE + prekey[:-64])[1]
    for order in (2, 8):
        key, signature = forge.sign_under_mixed_key(seed, order, certified)
        mixed = [resigned(seed, order, prekey) for prekey in (signed, one_time)]
        refuse(f"ID-1.1: a signing key with a component of order {order}", key + dh_key + signature, *mixed)
    for what, bad in bad_dh_keys(dh_key)[-7:]:
        refuse(f"ID-1.2: a DH key {what}", forge.identity(seed, bad))
    refuse("ID-1.3: a certificate that does not verify", identity=forge.flipped(identity, 127))
    other = forge.identity(seed, primitives.dh_public(bytes([9]) * 32))
    refuse("ID-1.3: another DH key than was certified", identity=identity[:32] + other[32:64] + identity[64:])
    refuse("KY-5: a certificate's R with a torsion component", identity=identity[:64] + forge.signature_with_torsion(seed, certified))
    refuse("KY-5: a certificate's R of small order", identity=identity[:64] + forge.signature_with_r_of_identity(seed, certified))
    for place, genuine in (("signed", signed), ("one_time", one_time)):

        def flawed(why: str, data: bytes) -> None:
            refuse(f"{why}, of the {place.replace('_', '-')} prekey", **{place: data})

        message = labels.L_PREKEY + labels.SUITE + genuine[:-64]
        flawed("PK-2.2: max_version 0", forge.prekey(seed, genuine, forge.put(1, b"\0")))
        flawed("PK-2.3: id 0", forge.prekey(seed, genuine, forge.put(2, bytes(4))))
        for what, bad in bad_dh_keys(genuine[14:46])[-7:]:
            flawed(f"PK-2.4: a curve key {what}", forge.prekey(seed, genuine, forge.put(14, bad)))
        flawed("PK-2.5: a coefficient of q", forge.prekey(seed, genuine, forge.put(46, forge.beyond_modulus(genuine[46:-64]))))
        flawed("PK-2.6: a signature that does not verify", forge.flipped(genuine, len(genuine) - 40))
        flawed("PK-2.6: another id than was signed", forge.flipped(genuine, 5))
        flawed("PK-2.6: another expiry than was signed", forge.flipped(genuine, 13))
        flawed("PK-2.6: another KEM key than was signed", forge.put(46, stage.device_of("Alice").bundle().signed.kem_key)(genuine))
        foreign = primitives.sign(stage.device_of("Alice").signing_seed, message)
        flawed("PK-2.6: another identity's signature", genuine[:-64] + foreign)
        flawed("KY-5: an R with a torsion component", genuine[:-64] + forge.signature_with_torsion(seed, message))
        flawed("KY-5: an R of small order", genuine[:-64] + forge.signature_with_r_of_identity(seed, message))
        for version in (2, 255):
            later = {"signed": signed, "one_time": one_time, place: forge.prekey(seed, genuine, forge.put(1, bytes([version])))}
            data = identity + later["signed"] + b"\1" + later["one_time"]
            stage.initiate(f"{place} {version}", data, why=f"HS-I2.1: max_version {version}, of the {place.replace('_', '-')} prekey")


def _refused_initiations(stage: Stage, seed: bytes, identity: bytes, signed: bytes, one_time: bytes) -> None:
    """HS-I2 and HS-I3."""
    alice, bob = stage.device_of("Alice"), stage.device_of("Bob")

    def expiring(prekey: bytes, expiry: int) -> bytes:
        return forge.prekey(seed, prekey, forge.put(6, expiry.to_bytes(8, "big")))

    def with_key(prekey: bytes, key: bytes) -> bytes:
        return forge.prekey(seed, prekey, forge.put(14, key))

    late_signed = identity + expiring(signed, NOW - 1) + b"\1" + one_time
    late_one_time = identity + signed + b"\1" + expiring(one_time, NOW - 1)
    stage.initiate("never", late_signed, refused="expired", why="HS-I2: the signed prekey has expired")
    alices = alice.identity.to_bytes()
    stage.initiate("never", late_signed, expected_identity=alices, refused="unexpected identity", why="HS-I1.1: goes before HS-I2: the signed prekey has expired")
    forged = forge.flipped(identity, 127) + signed + b"\0"
    stage.initiate("never", forged, expected_identity=alices, refused=R, why="HS-I1: goes before HS-I1.1: not the expected identity")
    equal = identity + with_key(expiring(signed, NOW - 1), alice.identity.dh_key) + b"\0"
    stage.initiate("never", equal, refused="expired", why="HS-I2: goes before HS-I3: SPK is IKA")
    stage.initiate("Left out", late_one_time, why="HS-I2: an expired one-time prekey is left out")
    on_time = identity + expiring(signed, NOW) + b"\1" + expiring(one_time, NOW)
    stage.initiate("On time", on_time, why="HS-I2: the last valid second")
    stage.initiate("Greatest", identity + expiring(signed, 2**64 - 1) + b"\0", now=LATER, why="HS-I2: no expiry to speak of")
    ika, ikb, spk, opk = alice.identity.dh_key, identity[32:64], signed[14:46], one_time[14:46]
    for what, data in (
        ("SPK is IKA", identity + with_key(signed, ika) + b"\0"),
        ("SPK is IKB", identity + with_key(signed, ikb) + b"\0"),
        ("OPK is IKA", identity + signed + b"\1" + with_key(one_time, ika)),
        ("OPK is IKB", identity + signed + b"\1" + with_key(one_time, ikb)),
        ("OPK is SPK", identity + signed + b"\1" + with_key(one_time, spk)),
    ):
        stage.initiate("never", data, refused=R, why=f"HS-I3: {what}")
    own = stage.device_of("Bob").one_time[-1].prekey.dh_private
    privates = (("IKA", alice.dh_private), ("IKB", bob.dh_private), ("SPK", bob.signed.prekey.dh_private), ("OPK", own))
    for what, private in privates:
        stage.initiate(
            "never", identity + signed + b"\1" + one_time, refused=R, why=f"HS-I3: EK is {what}", chosen=[private]
        )
    assert opk == primitives.dh_public(own)
    stage.initiate("Expected", stage.bundle("Bob"), expected_identity=identity, why="HS-I1: the expected identity")
    certified_anew = identity[:64] + forge.another_signature(seed, labels.L_CERT + labels.SUITE + ikb)
    stage.parse("identity", certified_anew, why="KY-5: another signature of the same")
    stage.initiate("Expected too", stage.bundle("Bob"), expected_identity=certified_anew)
    stage.initiate(
        "never",
        stage.bundle("Bob"),
        expected_identity=alice.identity.to_bytes(),
        refused="unexpected identity",
        why="HS-I1: not the expected identity",
    )
    other_dh = forge.identity(seed, primitives.dh_public(bytes([9]) * 32))
    stage.initiate(
        "never", stage.bundle("Bob"), expected_identity=other_dh, refused="unexpected identity", why="HS-I1: one key alone"
    )


def numbers() -> Stage:
    """ID-2."""
    stage = Stage("numbers", "Safety numbers, with and without identifiers, and scans.")
    a, b = (stage.device(name).identity for name in ("Alice", "Bob"))

    def compare(local, remote, local_id: bytes = b"", remote_id: bytes = b"", **more) -> dict:
        sides = {"local_identity": local.to_bytes(), "remote_identity": remote.to_bytes()}
        return stage.play("compare", **sides, local_id=local_id, remote_id=remote_id, **more)

    mine, theirs = compare(a, b, why="ID-2: the number"), compare(b, a, why="ID-2.1: the other side's")
    compare(a, b, b"alice@example.org", b"bob@example.org", why="ID-2: with identifiers")
    compare(a, a, why="ID-2: one identity twice")
    scanned = bytes.fromhex(theirs["number"])
    compare(a, b, scanned=scanned, why="ID-2.3: it fits")
    for at in (1, 32, 33, 64):
        compare(a, b, scanned=forge.flipped(scanned, at), refused="mismatch", why="ID-2.3: another fingerprint")
    compare(a, b, scanned=bytes.fromhex(mine["number"]), refused="mismatch", why="ID-2.3: one's own number")
    with_id = compare(b, a, b"bob", b"alice", why="ID-2: other identifiers")
    compare(a, b, scanned=bytes.fromhex(with_id["number"]), refused="mismatch", why="ID-2.3: made with identifiers")
    for data in (b"", scanned[:-1], scanned + b"\0", b"\1" + scanned[1:]):
        compare(a, b, scanned=data, refused="malformed", why="ID-2.2: another length or first byte")
    return stage


ALL = [keys, numbers]
