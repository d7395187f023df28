# SPDX-License-Identifier: MIT OR Apache-2.0
"""§3: labels and bounds."""

SUITE = b"noescrow-v1_X25519_SHA-256_ML-KEM-1024"
L_CERT = b"noescrow-v1 identity certificate"
L_PREKEY = b"noescrow-v1 prekey"
L_HIDDEN = b"noescrow-v1 hidden identity"
L_TRANSCRIPT = b"noescrow-v1 transcript"
L_ROOT0 = b"noescrow-v1 sk: root key"
L_HKA = b"noescrow-v1 sk: shared_hka"
L_NHKB = b"noescrow-v1 sk: shared_nhkb"
L_SPARSE = b"noescrow-v1 sk: sparse ratchet"
L_BRAID = b"noescrow-v1 sk: braid"
L_RK = b"noescrow-v1 KDF_RK_HE"
L_NHK = b"noescrow-v1 next header key"
L_START = b"noescrow-v1 KDF_SCKA_INIT"
L_ADD = b"noescrow-v1 KDF_SCKA_RK"
L_NEXT = b"noescrow-v1 KDF_SCKA_CK"
L_MESSAGE = b"noescrow-v1 message"
L_HEADER = b"noescrow-v1 header"
PI = b"noescrow-v1_ML-KEM-768_SHA-256"
L_FOREIGN = b"noescrow-v1 foreign handshake"
L_SALT = b"noescrow-v1 snapshot salt"
L_SEAL = b"noescrow-v1 snapshot seal"

MAX_SKIP = 1_000
MAX_SKIPPED_KEYS = 2_000
MAX_SKIPPED_STEPS = 32
MAX_PLAINTEXT_LEN = 2**30
CODEWORDS = 65_536
MAX_EPOCH = 2**32 - 2
REPLAY_RECORD = 256
COUNTER_END = 2**32 - 1
"""The value that no counter of messages takes."""
