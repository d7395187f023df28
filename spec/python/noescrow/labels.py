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
L_ID = b"noescrow-v1 sk: session id"
L_EXPORT = b"noescrow-v1 sk: exporter"
L_RK = b"noescrow-v1 KDF_RK_HE"
L_NHK = b"noescrow-v1 next header key"
L_START = b"noescrow-v1 KDF_SCKA_INIT"
L_ADD = b"noescrow-v1 KDF_SCKA_RK"
L_NEXT = b"noescrow-v1 pq ck"
L_MESSAGE = b"noescrow-v1 message"
L_HEADER = b"noescrow-v1 header"
L_TAG = b"noescrow-v1 tag"
L_COMMIT = b"noescrow-v1 commitment"
PI = b"noescrow-v1_ML-KEM-768_SHA-256"
L_FOREIGN = b"noescrow-v1 foreign handshake"
L_LOGIN = b"noescrow-v1 server login"
L_CHALLENGE = b"noescrow-v1 login challenge"
L_ACCESS = b"noescrow-v1 access key"
L_SALT = b"noescrow-v1 snapshot salt"
L_SEAL = b"noescrow-v1 snapshot seal"
L_ATTACHMENT = b"noescrow-v1 attachment"

VERSION = 1
"""The highest version of the protocol that this package speaks."""
MAX_JUMP = 25_000
MAX_SPARSE_JUMP = 50_000
MAX_SKIPPED_KEYS = 2_000
"""The capacity of this package's stores: how many keys are kept, not how far a message may jump."""
COVERED_LEN = 4_096
"""The bytes of the body's ciphertext that the header's seal covers."""
MAX_SKIPPED_STEPS = 32
MAX_PUBLISHED = 1_000
MAX_PLAINTEXT_LEN = 2**30
CODEWORDS = 65_536
MAX_EPOCH = 2**32 - 2
REPLAY_RECORD = 2_048
REPLAY_ENTRY_LEN = 16
MAX_PREVIOUS = 15
"""Signed prekeys before the current one."""
DAY = 86_400
LAST_SECOND = 2**64 - 1
STORED = 400
AT_SERVER = 100
MADE_A_DAY = 144
SERVER_BURST = 20
SERVER_INTERVAL = 600
HANDED_OUT_KEPT = 2 * DAY
LIFETIME = 35 * DAY
RENEWED_BEFORE_EXPIRY = 7 * DAY
EXPIRED_KEPT = 14 * DAY
ROTATION_INTERVAL = 7 * DAY
EMERGENCY_ROTATION_INTERVAL = DAY
LAST_RESORT_KEPT = 7 * DAY
SIGNED_PREKEY_KEPT = 14 * DAY
CLOCK_STEP = DAY
ABSENCE = 35 * DAY
LISTED = 1_000
MAX_ID_DRAWS = 16
"""NT-7: after so many draws an id counts upward."""
COUNTER_END = 2**32 - 1
"""The value that no counter of messages takes."""
