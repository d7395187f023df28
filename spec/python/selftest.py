# SPDX-License-Identifier: MIT OR Apache-2.0
"""Known answers for what this package computes itself: ML-KEM, the erasure code, points, paddings. Then the same with a
mistake in each, which must be detected."""

import hashlib
import math
import sys
import time

import forge
from noescrow import attachments, braid, curve, erasure, labels, mlkem, wire
from noescrow.mlkem import ML_KEM_768, ML_KEM_1024


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def accumulated(parameters: mlkem.ParameterSet, rounds: int) -> str:
    """The digest of C2SP/CCTV's accumulated test: keys, ciphertexts and secrets from one SHAKE-128 stream, with one
    random ciphertext per round, which is rejected implicitly."""
    each = 64 + 32 + parameters.ct_len
    stream, outputs = hashlib.shake_128().digest(rounds * each), hashlib.shake_128()
    for at in range(0, rounds * each, each):
        seed, m, random = stream[at : at + 64], stream[at + 64 : at + 96], stream[at + 96 : at + each]
        ek = mlkem.key_gen(parameters, seed).ek
        ct, shared_secret = mlkem.encaps(parameters, ek, m)
        if mlkem.decaps(parameters, seed, ct) != shared_secret:
            return "another secret"
        for part in (ek, ct, shared_secret, mlkem.decaps(parameters, seed, random)):
            outputs.update(part)
    return outputs.hexdigest(32)


def in_two_steps(parameters: mlkem.ParameterSet) -> list[str]:
    """Header, ek_vector, ct1, ct2 and K for d = 01.., z = 02.., m = 03..."""
    ek = mlkem.key_gen(parameters, b"\1" * 32 + b"\2" * 32).ek
    header = ek[-32:] + mlkem.H(ek)
    ct1, shared_secret, kept = mlkem.encaps1(parameters, header, b"\3" * 32)
    ct2 = mlkem.encaps2(parameters, kept, ek[:-32])
    return [header.hex(), sha256(ek[:-32])[:16], sha256(ct1), sha256(ct2), shared_secret.hex()]


VALUE = b"".join(hashlib.sha256(letter).digest() for letter in (b"a", b"b", b"c"))


def codewords() -> list[str]:
    return [erasure.codeword(VALUE, 32, index).hex() for index in (3, 4, 36, 65_535)]


def recovered() -> bool:
    decoder, value = erasure.Decoder(96, 32), None
    for index in (65_535, 36, 4):
        value = decoder.add(index, erasure.codeword(VALUE, 32, index))
    return value == VALUE


def kdfs() -> list[str]:
    """KDF_OK, KDF_AUTH and both MACs of §12 under the source's example of a PI."""
    right, labels.PI = labels.PI, b"MyProtocol_MLKEM768_SHA-256"
    try:
        auth, other = braid.Authenticator.new(b"\x22" * 32), braid.Authenticator(b"", b"\x88" * 32)
        macs = other.mac_hdr(1, b"\x99" * 64), other.mac_ct(1, b"\xaa" * 960 + b"\xbb" * 128)
        return [value.hex() for value in (braid.kdf_ok(b"\x11" * 32, 1), auth.root, auth.mac_key, *macs)]
    finally:
        labels.PI = right


def torsion() -> list[bool]:
    """9 is the base point; 2 lies on the twist; p - 1 has low order; the last is the base point plus one of order 8."""
    shifted, outcomes = int.from_bytes(forge.with_torsion((9).to_bytes(32, "little")), "little"), []
    for key in (u.to_bytes(32, "little") for u in (9, 2, curve.P - 1, shifted)):
        try:
            curve.check_torsion(key)
            outcomes.append(True)
        except curve.errors.Refused:
            outcomes.append(False)
    return outcomes


def padme_by_logarithms(length: int) -> int:
    if length < 2:
        return length
    e = math.floor(math.log2(length))
    s = math.floor(math.log2(e)) + 1 if e else 1
    mask = (1 << max(0, e - s)) - 1
    return (length + mask) & ~mask


def prefixes() -> list[str]:
    """Labels that are a prefix of another, or another twice."""
    named = {name: value for name, value in vars(labels).items() if isinstance(value, bytes)}
    return [a for a in named for b in named if a != b and named[b].startswith(named[a])]


def attachment_files() -> list[str]:
    """The vectors of attachments.md, §6, each of which must open again."""
    key, files = bytes(range(32)), []
    contents = [bytes(7 * i % 251 for i in range(length)) for length in (65_516, 65_517, 131_072, 200_000, 5_000_000)]
    for content in (b"", b"nothing to read", *contents):
        file = attachments.seal_file(key, content)
        files.append(sha256(file) if attachments.open_file(key, file) == content else "another content")
    return files


def truncated_attachments() -> list[bool]:
    """Whether a file of four chunks, without some of its last bytes, is refused."""
    file, outcomes = attachments.seal_file(bytes(32), bytes(200_000)), []
    for end in (len(file), len(file) - 1, 33 + 3 * 65_536, 33 + 65_536, 33, 0):
        try:
            attachments.open_file(bytes(32), file[:end])
            outcomes.append(False)
        except attachments.errors.Refused:
            outcomes.append(True)
    return outcomes


LENGTHS = (1, 2, 3, 8, 9, 17, 33, 100, 1_000, 1_025, 65_537, 2**30 + 1)

ANSWERS = [
    # C2SP/CCTV, ML-KEM, "accumulated", 100 rounds.
    (
        "ML-KEM-768 accumulated",
        lambda: accumulated(ML_KEM_768, 100),
        "1114b1b6699ed191734fa339376afa7e285c9e6acf6ff0177d346696ce564415",
    ),
    # Computed with this package, which agreed with all of Wycheproof's cases for keys, encapsulation and decapsulation.
    (
        "ML-KEM-1024 accumulated",
        lambda: accumulated(ML_KEM_1024, 10),
        "27afc271af270f79af1d5d10a00e0c1fa603b4db8f818e7e421485f407c69057",
    ),
    # From another oracle, which agrees with Wycheproof.
    (
        "ML-KEM-768 in two steps",
        lambda: in_two_steps(ML_KEM_768),
        [
            "1c895ce4b234c9759472998b2d30ca26ebdbec72bee7accb2c2f12721aa18152"
            "605a1583f2f42c2622d4bb3714033272ba2528b8257fe30aeca1f7d2d88d4d8b",
            "091b0e2b7d89d82a",
            "465422b65859400130206c2e7c147aec19a63a48120236f44a6b554ecef98f3d",
            "80561d31001bfd82ce9e73f71cbb23eb91481e0618c6301ee80ddd006f3af67a",
            "f39b95557ee52af1954cd59f19febcb39f127e4abefc6f90546e7b8139ce94ba",
        ],
    ),
    (
        "ML-KEM-1024 in two steps",
        lambda: in_two_steps(ML_KEM_1024),
        [
            "2d05dd1d77c11f9c5627173e255da375a117e68ea61fd0f60f3370014425c0eb"
            "d8e745e97eec467a8b5221e9e3bc61a7990184768ee8eac1716a1222215912bf",
            "1c939e6efa84ac89",
            "91d023cd27f659d9fbc285be36fc68273b49f1297d5e63663888549cd2a3a6d4",
            "f8ac3966aa087cbae014758bd0c3a08f1ced1c6804a15ddffdcb364a95da4e74",
            "d1180e60410880516e234bbebf268aa76a1e0c4802c1af0fc0f6846d3274db8a",
        ],
    ),
    (
        "codewords",
        codewords,
        [
            "dac9450763729e62aca78b63cbaae8dc1fa837fa018c71aceb81fc8ad828a7e0",
            "656c2754a0805b1da2594f1ccfa543e39e36bc03b6ddb3f0dc29922961dbca8e",
            "35c4b4bdf794d75510400eca17bf696b0ccdd05aa665d1b5ef25f5e2d819cfb7",
            "5433b2f53fc6dcbce18ac877e7df0045c1fc080dd2063f4d7f5251194e9a904d",
        ],
    ),
    ("a value from other codewords", recovered, True),
    (
        "the Braid's derivations",
        kdfs,
        [
            "03cea5e2d65cf32a4817f18d86dc2aaff9b0ee5b8e87c21afb05a31ee836d707",
            "46d285ccfc28f2915588662201a5e6605f2b263be80df52f79af35b971a6c044",
            "e7a639a4c9113ce4bfa3e3a0bc5229da02dd029d02a7b5578c908278a2864f1f",
            "6728c0a780c535f20809ecfc26eee6e145e80a288e8ee3d0870560ec9bb79a62",
            "39a2f22427a82a27f0734166ccd57bc583e2fc92c6e0e310979a05543002a659",
        ],
    ),
    ("labels", prefixes, []),
    ("points", torsion, [True, False, False, False]),
    # attachments.md has the first two whole.
    ("attachments", attachment_files, [
        "c7ccf2f72c4a71b19d0575caddda76496590713a09ef2f679769e74a4b8d32ac",
        "2e930124bfdcb370b6f97b3e4fa0e41c5b3775c00404ad02555e5be0f42d10c1",
        "3f1e6f8fd407a48a360a517debc89a5e9be86cd3b12f6f96a81367d2a8bc8413",
        "a94d8cb45d3a1543d212e92374aca9f373cae16e695e8ac5e2a1bb4a51890c54",
        "c9191f77d548fa3ffe84cec1318fd7b68af6323c18f32fee2f14851538c52838",
        "c7ebcbf88109b88d001912739a3b4a5909453618edc7810b4258895c76023b67",
        "cb7577d03bbeea7d685c36364e7d8c8808c54e8a6eb995f98da9c2f4ffced2dd",
    ]),
    ("truncated attachments", truncated_attachments, [False, True, True, True, True, True]),
    # Algorithm 1 of the paper, with its logarithms.
    ("Padmé", lambda: [wire.padme(n) for n in LENGTHS], [padme_by_logarithms(n) for n in LENGTHS]),
]

# The module, the attribute, its faulty replacement, and the answer that must then be wrong.
MISTAKES = [
    (mlkem, "J", mlkem.H, "ML-KEM-768 accumulated"),
    (mlkem, "ZETAS", [1, *mlkem.ZETAS[:0:-1]], "ML-KEM-1024 accumulated"),
    (mlkem, "GAMMAS", mlkem.GAMMAS[::-1], "ML-KEM-768 in two steps"),
    (mlkem, "decompress", lambda f, d: [x * mlkem.Q >> d for x in f], "ML-KEM-1024 in two steps"),
    (erasure, "LOGS", [0, *erasure.LOGS[:0:-1]], "codewords"),
    (erasure, "coefficients", lambda indices, at: [1] * len(indices), "a value from other codewords"),
    (braid, "u64", wire.u32, "the Braid's derivations"),
    (curve, "_is_of_prime_order", lambda point: True, "points"),
    (wire, "padme", lambda n: n, "Padmé"),
    (labels, "L_TAG", labels.L_COMMIT[:-3], "labels"),
    (attachments, "VERSION", b"\x02", "attachments"),
    (attachments, "nonce", lambda index, last: bytes(7) + index.to_bytes(4, "big") + b"\0", "truncated attachments"),
]


def main() -> int:
    begun, failed = time.monotonic(), 0
    for name, compute, answer in ANSWERS:
        if compute() != answer:
            failed += 1
            print(f"{name}: FAILED")
    for module, attribute, mistake, name in MISTAKES:
        right = getattr(module, attribute)
        setattr(module, attribute, mistake)
        forget()
        try:
            detected = next(compute() != answer for other, compute, answer in ANSWERS if other == name)
        finally:
            setattr(module, attribute, right)
            forget()
        if not detected:
            failed += 1
            print(f"{name}: a mistake in {attribute}: NOT DETECTED")
    count = len(ANSWERS) + len(MISTAKES)
    print(f"self-test: {count - failed} of {count} as expected; {time.monotonic() - begun:.0f} s")
    return 1 if failed else 0


def forget() -> None:
    for cached in (mlkem.key_gen, mlkem.encaps1, mlkem._matrix):
        cached.cache_clear()


if __name__ == "__main__":
    sys.exit(main())
