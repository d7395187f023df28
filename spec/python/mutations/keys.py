# SPDX-License-Identifier: MIT OR Apache-2.0
"""§3 to §5, and the labels."""

from .kinds import Mutant, of

_LABELS = {
    "SUITE": ("HS-I4", "X25519_SHA-256_ML-KEM-1024"),
    "L_CERT": ("ID-1.3", "identity certificate"),
    "L_PREKEY": ("PK-2.6", 'v1 prekey"'),
    "L_HIDDEN": ("HS-I6", "hidden identity"),
    "L_TRANSCRIPT": ("KS-2", "transcript"),
    "L_ROOT0": ("KS-3", "sk: root key"),
    "L_HKA": ("KS-3", "sk: shared_hka"),
    "L_NHKB": ("KS-3", "sk: shared_nhkb"),
    "L_SPARSE": ("KS-3", "sk: sparse ratchet"),
    "L_BRAID": ("KS-3", "sk: braid"),
    "L_ID": ("KS-3", "sk: session id"),
    "L_EXPORT": ("KS-3", "sk: exporter"),
    "L_RK": ("DR-E1.2", "KDF_RK_HE"),
    "L_NHK": ("DR-E1.4", "next header key"),
    "L_START": ("SP-I1", "KDF_SCKA_INIT"),
    "L_ADD": ("SP-S1.1", "KDF_SCKA_RK"),
    "L_NEXT": ("SP-S2", "pq ck"),
    "L_MESSAGE": ("TR-1", 'v1 message"'),
    "L_HEADER": ("DR-E3.3", 'v1 header"'),
    "L_TAG": ("DR-E3.1", 'v1 tag"'),
    "L_COMMIT": ("DR-E3.2", "v1 commitment"),
    "PI": ("BR-7", "ML-KEM-768_SHA-256"),
    "L_FOREIGN": ("KS-4.1", "foreign handshake"),
    "L_SALT": ("SN-1", "snapshot salt"),
    "L_SEAL": ("SN-1", "snapshot seal"),
}


def _label(name: str, rule: str, text: str) -> Mutant:
    wrong = text.replace('"', '?"') if '"' in text else text + "?"
    return Mutant(rule, f"{name} with another letter", "labels.py", text, wrong)


_COFACTORED = """    except InvalidSignature:
        base = curve._decompress((4 * pow(5, -1, curve.P) % curve.P).to_bytes(32, "little"))
        challenge = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % curve.Q
        sum_ = curve.add(curve._decompress(signature[:32]), curve.multiply(challenge, curve._decompress(key)))
        left = curve.multiply(8 * int.from_bytes(signature[32:], "little"), base)
        right = curve.multiply(8, sum_)
        if any((left[i] * right[2] - right[i] * left[2]) % curve.P for i in (0, 1)):
            raise errors.Refused from None
"""

MUTANTS = [
    *(_label(name, rule, text) for name, (rule, text) in _LABELS.items()),
    *of(
        "curve.py",
        ("KY-1.1", "accepts u above p and bit 255", "if len(key) != 32 or u >= P or u in LOW_ORDER:", "if len(key) != 32 or u % P in LOW_ORDER:"),
        ("KY-1.1", "ignores bit 255", '    u = int.from_bytes(key, "little")\n    if len', '    u = int.from_bytes(key, "little") % 2**255\n    if len'),
        ("KY-1.2", "accepts low order", "or u in LOW_ORDER:", ":"),
        ("KY-2", "accepts torsion", "if x is None or not _is_of_prime_order((x, y, 1, x * y % P)):", "if x is None:"),
        ("KY-2", "accepts the twist", "    if x is None or not _is_of_prime_order((x, y, 1, x * y % P)):", "    if x is not None and not _is_of_prime_order((x, y, 1, x * y % P)):"),
        ("KY-2", "accepts a component of order 2", "is_identity(multiply(Q, point))", "is_identity(multiply(2 * Q, point))"),
        ("KY-2", "accepts a component of order 4", "is_identity(multiply(Q, point))", "is_identity(multiply(4 * Q, point))"),
        ("KY-4", "accepts a signing key of mixed order", "    if not _is_of_prime_order(_decompress(key)):", "    if is_identity(multiply(8, _decompress(key))):"),
        ("KY-4", "accepts a signing key of small order", "    if not _is_of_prime_order(_decompress(key)):", "    if not is_identity(multiply(8, _decompress(key))) and not _is_of_prime_order(_decompress(key)):"),
        ("KY-4", "does not check signing keys", "    if not _is_of_prime_order(_decompress(key)):", "    if False:"),
        ("KY-5", "accepts R of small order", " or is_identity(multiply(8, _decompress(signature[:32]))):", ":"),
    ),
    *of(
        "primitives.py",
        ("KY-5", "verifies with the cofactor", "    except InvalidSignature:\n        raise errors.Refused from None\n", _COFACTORED),
    ),
    *of(
        "identity.py",
        ("ID-1", "accepts other lengths", "        if len(data) != 128:\n            raise errors.Refused\n        identity = cls(data[:32], data[32:64], data[64:])", "        identity = cls(data[:32], data[32:64], data[64:128])"),
        ("ID-1.1", "does not check the signing key", "        curve.check_signing_key(identity.signing_key)\n", ""),
        ("ID-1.2", "checks the DH key's spelling alone", "curve.check_torsion(identity.dh_key)", "curve.check_dh_key(identity.dh_key)"),
        ("ID-1.3", "verifies no certificate", "        primitives.verify(identity.signing_key, labels.L_CERT + labels.SUITE + identity.dh_key, identity.certificate)\n", ""),
        ("ID-1.3", "a certificate without the suite", "labels.L_CERT + labels.SUITE + identity.dh_key", "labels.L_CERT + identity.dh_key"),
        ("ID-2", "an iteration fewer", "ITERATIONS = 5_199", "ITERATIONS = 5_198"),
        ("ID-2", "another version's bytes", 'hashlib.sha512(b"\\0\\0" + ik', 'hashlib.sha512(b"\\0\\1" + ik'),
        ("ID-2", "leaves the identifier out", "+ ik + identifier + ik)", "+ ik + ik)"),
        ("ID-2", "another first byte of IK", 'b"\\x4e"', 'b"\\x05"'),
        ("ID-2.1", "the larger string first", "sorted([thirty(self.local), thirty(self.remote)])", "sorted([thirty(self.local), thirty(self.remote)], reverse=True)"),
        ("ID-2.1", "little-endian digits", "int.from_bytes(h[i : i + 5], 'big')", "int.from_bytes(h[i : i + 5], 'little')"),
        ("ID-2.2", "takes any first byte", "len(scanned) != 65 or scanned[0] != 0", "len(scanned) != 65"),
        ("ID-2.2", "takes longer scans", "len(scanned) != 65 or", "len(scanned) < 65 or"),
        ("ID-2.3", "compares one side", "primitives.equal(scanned[1:], self.remote + self.local)", "primitives.equal(scanned[1:33], self.remote)"),
        ("ID-2.3", "compares the other side", "primitives.equal(scanned[1:], self.remote + self.local)", "primitives.equal(scanned[33:], self.local)"),
        ("ID-2.3", "compares without exchanging the sides", "self.remote + self.local", "self.local + self.remote"),
    ),
    *of(
        "prekeys.py",
        ("PK-1.2", "accepts an id of 0 when drawing", "while number == 0 or number in taken:", "while number in taken or number < 0 or not hasattr(rng, 'drawn_') and setattr(rng, 'drawn_', 1):"),
        ("PK-1.2", "ids may be taken", "while number == 0 or number in taken:", "while number == 0:"),
        ("PK-1.2", "ids are little-endian", 'int.from_bytes(rng(4), "big")', 'int.from_bytes(rng(4), "little")'),
        ("PK-1.1", "describes another version", "return cls(kind, labels.VERSION, number, expiry, rng(32), rng(64))", "return cls(kind, 2, number, expiry, rng(32), rng(64))"),
        ("PK-2.1", "accepts any kind", "if prekey.kind not in kinds or", "if kinds == (0,) or"),
        ("PK-2.2", "accepts max_version 0", " or prekey.max_version == 0", ""),
        ("PK-2.2", "refuses later versions", "prekey.max_version == 0", "prekey.max_version != 1"),
        ("PK-2", "refuses an expiry of 0", " or prekey.id == 0:", " or prekey.id == 0 or prekey.expiry == 0:"),
        ("PK-2.2", "refuses later versions of one-time prekeys", "prekey.max_version == 0 or", "prekey.max_version == 0 or prekey.max_version > 1 and prekey.kind == ONE_TIME or"),
        ("PK-2.2", "a signed prekey of max_version 0 in a bundle", "prekey.max_version == 0 or", "prekey.max_version == 0 and kinds != (SIGNED,) or"),
        ("PK-2.2", "a one-time prekey of max_version 0 in a bundle", "prekey.max_version == 0 or", "prekey.max_version == 0 and kinds != (ONE_TIME,) or"),
        ("PK-2.3", "a signed prekey of id 0 in a bundle", "prekey.id == 0:", "prekey.id == 0 and kinds != (SIGNED,):"),
        ("PK-2.3", "a one-time prekey of id 0 in a bundle", "prekey.id == 0:", "prekey.id == 0 and kinds != (ONE_TIME,):"),
        ("PK-2.5", "checks the first polynomial alone", "mlkem.check_ek(mlkem.ML_KEM_1024, prekey.kem_key)", "mlkem.check_ek(mlkem.ML_KEM_1024, prekey.kem_key[:384] + bytes(1152) + prekey.kem_key[1536:])"),
        ("PK-2.5", "checks all polynomials but the last", "mlkem.check_ek(mlkem.ML_KEM_1024, prekey.kem_key)", "mlkem.check_ek(mlkem.ML_KEM_1024, prekey.kem_key[:1152] + bytes(384) + prekey.kem_key[1536:])"),
        ("PK-1.2", "15 draws of an id", "draws < labels.MAX_ID_DRAWS", "draws < labels.MAX_ID_DRAWS - 1"),
        ("PK-1.2", "17 draws of an id", "draws < labels.MAX_ID_DRAWS", "draws < labels.MAX_ID_DRAWS + 1"),
        ("PK-1.2", "counts upward from 1", "else (number + 1) % 2**32", "else max(1, draws - labels.MAX_ID_DRAWS + 1)"),
        ("PK-1.2", "counts downward", "else (number + 1) % 2**32", "else (number - 1) % 2**32"),
        ("PK-1.2", "counts to 2^32 - 1", "else (number + 1) % 2**32", "else min(number + 1, 2**32 - 1) if draws < 40 else 1_234"),
        ("PK-2.3", "accepts id 0", " or prekey.id == 0:", ":"),
        ("PK-2.4", "checks the curve key's spelling alone", "curve.check_torsion(prekey.dh_key)", "curve.check_dh_key(prekey.dh_key)"),
        ("PK-2.5", "does not check the KEM key", "        mlkem.check_ek(mlkem.ML_KEM_1024, prekey.kem_key)\n", ""),
        ("PK-2.6", "verifies no signature", "        primitives.verify(identity.signing_key, signed, prekey.signature)\n", ""),
        ("PK-2.7", "any kind in a bundle's first place", "Prekey.read(reader, identity, SIGNED)\n", "Prekey.read(reader, identity, SIGNED, ONE_TIME)\n"),
        ("PK-2.7", "any kind in a bundle's second place", "Prekey.read(reader, identity, ONE_TIME) if", "Prekey.read(reader, identity, ONE_TIME, SIGNED) if"),
        ("HS-I1", "accepts bytes after a bundle", "if reader.flag() else None\n        reader.finish()", "if reader.flag() else None"),
        ("PK-2", "accepts bytes after a prekey", "prekey = cls.read(reader, identity, SIGNED, ONE_TIME)\n        reader.finish()", "prekey = cls.read(reader, identity, SIGNED, ONE_TIME)"),
        ("PK-3.1", "accepts fewer than the count", "one_time = [reader.take(PREKEY_LEN) for _ in range(count)]\n", "one_time = [reader.take(PREKEY_LEN) for _ in range(min(count, len(data[1810:]) // PREKEY_LEN))]\n"),
        ("PK-3.1", "accepts bytes after a publication", "for _ in range(count)]\n        reader.finish()\n", "for _ in range(count)]\n"),
        ("PK-3.1", "the count is little-endian", "reader.take(PREKEY_LEN), reader.u32()\n", "reader.take(PREKEY_LEN), int.from_bytes(reader.take(4), 'little')\n"),
        ("PK-3.2", "the signed prekey is of any kind", "Prekey.read(Reader(signed), owner, SIGNED)", "Prekey.read(Reader(signed), owner, SIGNED, ONE_TIME)"),
        ("PK-3.2", "one-time prekeys are of any kind", "Prekey.read(Reader(key), owner, ONE_TIME)", "Prekey.read(Reader(key), owner, SIGNED, ONE_TIME)"),
        ("PK-3.2", "the last one-time prekey is not read", "*(Prekey.read(Reader(key), owner, ONE_TIME) for key in one_time)]", "*(Prekey.read(Reader(key), owner, ONE_TIME) for key in one_time[:1])]"),
        ("PK-3.3", "ids may repeat", "len({prekey.id for prekey in prekeys}) < len(prekeys)", "len({prekey.to_bytes() for prekey in prekeys}) < len(prekeys)"),
        ("PK-3.3", "no prekey is compared", "        if len({prekey.id for prekey in prekeys}) < len(prekeys):\n            raise errors.Refused\n        return cls(owner", "        return cls(owner"),
        ("PK-3.3", "the signed prekey's id is not compared", "len({prekey.id for prekey in prekeys}) < len(prekeys)", "len({prekey.id for prekey in prekeys[1:]}) < len(prekeys) - 1"),
        ("NT-3", "the flag's other bits", "if reader.flag() else None", "if reader.u8() & 1 else None"),
    ),
]
