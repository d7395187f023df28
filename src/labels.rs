// SPDX-License-Identifier: MIT OR Apache-2.0
//! All domain-separation strings, in one table (spec/protocol.md §3).
//!
//! Every label begins with the protocol's name and version, no label is a prefix of another, and each has one use.

/// The suite, in the form of PQXDH rev 3 §2.2. The info of the handshake's KDF is this name.
pub(crate) const PQXDH: &[u8] = b"noescrow-v1_X25519_SHA-256_ML-KEM-1024";
/// The transcript hash that becomes AD.
pub(crate) const TRANSCRIPT: &[u8] = b"noescrow-v1 transcript";
/// The key that encrypts the initiator's identity.
pub(crate) const HIDDEN_IDENTITY: &[u8] = b"noescrow-v1 hidden identity";
/// Expansion of SK: the seed of the Double Ratchet's root key.
pub(crate) const SK_ROOT: &[u8] = b"noescrow-v1 sk: root key";
/// Expansion of SK: the initiator's first sending header key.
pub(crate) const SK_HKA: &[u8] = b"noescrow-v1 sk: shared_hka";
/// Expansion of SK: the responder's first sending header key.
pub(crate) const SK_NHKB: &[u8] = b"noescrow-v1 sk: shared_nhkb";
/// Expansion of SK: the Sparse Post-Quantum Ratchet's secret.
pub(crate) const SK_SPARSE: &[u8] = b"noescrow-v1 sk: sparse ratchet";
/// Expansion of SK: the ML-KEM Braid's secret.
pub(crate) const SK_BRAID: &[u8] = b"noescrow-v1 sk: braid";
/// Expansion of SK: the session's id.
pub(crate) const SK_ID: &[u8] = b"noescrow-v1 sk: session id";
/// Expansion of SK: the exporter, which the application may take once.
pub(crate) const SK_EXPORTER: &[u8] = b"noescrow-v1 sk: exporter";
/// AD of a session whose secret came from another handshake.
#[cfg(feature = "hazmat")]
pub(crate) const FOREIGN_HANDSHAKE: &[u8] = b"noescrow-v1 foreign handshake";
/// KDF_RK_HE.
pub(crate) const ROOT: &[u8] = b"noescrow-v1 KDF_RK_HE";
/// Mixes the newest post-quantum root's share into the next header key of a step.
pub(crate) const NEXT_HEADER_KEY: &[u8] = b"noescrow-v1 next header key";
/// KDF_SCKA_INIT.
pub(crate) const CHAIN_START: &[u8] = b"noescrow-v1 KDF_SCKA_INIT";
/// KDF_SCKA_RK.
pub(crate) const CHAIN_ADD_EPOCH: &[u8] = b"noescrow-v1 KDF_SCKA_RK";
/// KDF_SCKA_CK. With at most 18 bytes each of the two blocks that Expand hashes takes one compression.
pub(crate) const CHAIN_NEXT: &[u8] = b"noescrow-v1 pq ck";
/// KDF_HYBRID: derives a message's AEAD key from the message keys of both ratchets, its salt and its commitment.
pub(crate) const MESSAGE: &[u8] = b"noescrow-v1 message";
/// PROTOCOL_INFO of the ML-KEM Braid. The infos of its KDFs and MACs begin with it.
pub(crate) const BRAID: &[u8] = b"noescrow-v1_ML-KEM-768_SHA-256";
/// Derives the tag of a message's number, the first half of its salt, from the header key.
pub(crate) const NUMBER_TAG: &[u8] = b"noescrow-v1 tag";
/// Derives a header's key commitment from header key and salt.
pub(crate) const COMMITMENT: &[u8] = b"noescrow-v1 commitment";
/// Derives a header's AEAD key from header key, salt, type and the body's length.
pub(crate) const HEADER: &[u8] = b"noescrow-v1 header";
/// The certificate in which the signing key signs the identity's DH key.
pub(crate) const IDENTITY_CERTIFICATE: &[u8] = b"noescrow-v1 identity certificate";
/// The signature of the signing key over a prekey.
pub(crate) const PREKEY: &[u8] = b"noescrow-v1 prekey";
/// The signature of the signing key over a server's challenge.
pub(crate) const SERVER_LOGIN: &[u8] = b"noescrow-v1 server login";
/// The challenge of a login, computed from server, account and nonce.
pub(crate) const LOGIN_CHALLENGE: &[u8] = b"noescrow-v1 login challenge";
/// Reserved: the signature of the signing key over a list of the user's devices.
#[cfg_attr(not(test), expect(dead_code, reason = "reserved"))]
pub(crate) const DEVICE_LIST: &[u8] = b"noescrow-v1 device list";
/// Reserved: the signature of the signing key over the identity that replaces it.
#[cfg_attr(not(test), expect(dead_code, reason = "reserved"))]
pub(crate) const IDENTITY_SUCCESSION: &[u8] = b"noescrow-v1 identity succession";
/// The hash of an account's access key, which its relay stores.
#[cfg(feature = "alloc")]
pub(crate) const ACCESS_KEY: &[u8] = b"noescrow-v1 access key";
/// Derives the key for a snapshot's synthetic salt from the storage key.
pub(crate) const SNAPSHOT_SALT: &[u8] = b"noescrow-v1 snapshot salt";
/// Derives the key for a snapshot's AEAD from the storage key.
pub(crate) const SNAPSHOT_SEAL: &[u8] = b"noescrow-v1 snapshot seal";
/// Derives a hedged generator's salt from its secret and the caller's tag.
pub(crate) const HEDGED_SECRET: &[u8] = b"noescrow-v1 hedged secret";
/// Derives a block of a hedged generator's output.
pub(crate) const HEDGED_OUTPUT: &[u8] = b"noescrow-v1 hedged output";
/// Derives an attachment's chunk key and key commitment from its key (spec/attachments.md).
pub(crate) const ATTACHMENT: &[u8] = b"noescrow-v1 attachment";

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &[&[u8]] = &[
        PQXDH,
        TRANSCRIPT,
        HIDDEN_IDENTITY,
        SK_ROOT,
        SK_HKA,
        SK_NHKB,
        SK_SPARSE,
        SK_BRAID,
        SK_ID,
        SK_EXPORTER,
        b"noescrow-v1 foreign handshake",
        ROOT,
        NEXT_HEADER_KEY,
        CHAIN_START,
        CHAIN_ADD_EPOCH,
        CHAIN_NEXT,
        MESSAGE,
        BRAID,
        NUMBER_TAG,
        COMMITMENT,
        HEADER,
        IDENTITY_CERTIFICATE,
        PREKEY,
        SERVER_LOGIN,
        LOGIN_CHALLENGE,
        DEVICE_LIST,
        IDENTITY_SUCCESSION,
        b"noescrow-v1 access key",
        SNAPSHOT_SALT,
        SNAPSHOT_SEAL,
        HEDGED_SECRET,
        HEDGED_OUTPUT,
        ATTACHMENT,
    ];

    fn prefix_free(labels: &[&[u8]]) -> bool {
        labels.iter().enumerate().all(|(i, a)| labels.iter().enumerate().all(|(j, b)| i == j || !b.starts_with(a)))
    }

    /// Attack F21: two uses of one key must not share a label, and no label may extend another.
    #[test]
    fn labels_are_pairwise_distinct_and_prefix_free() {
        assert!(prefix_free(ALL));
        // Control.
        assert!(!prefix_free(&[b"noescrow-v1 message", b"noescrow-v1 message key"]));
    }

    #[test]
    fn every_label_names_the_protocol_and_its_version() {
        assert!(ALL.iter().all(|label| label.starts_with(b"noescrow-v1")));
    }
}
