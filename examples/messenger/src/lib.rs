// SPDX-License-Identifier: MIT OR Apache-2.0
//! What server and clients of this example share: the requests of README.md's table, as functions that both sides use, and
//! in the modules the clients' half, what is inside a message, and what the client prints.

pub mod content;
pub mod events;
#[cfg(feature = "faults")]
pub mod faults;
pub mod http;
pub mod requests;

use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use noescrow::PUBLICATION_LEN;
#[cfg(not(feature = "faults"))]
use noescrow::UnixSeconds;
use noescrow::device::CHALLENGE_NONCE_LEN;
use noescrow::messenger::LOGIN_NONCE_LEN;
use noescrow::messenger::exchange::Answers;
use noescrow::relay::MAX_ENVELOPE_LEN;
use sha2::{Digest, Sha256};
#[cfg(not(feature = "faults"))]
use std::time::SystemTime;
use ureq::http::Uri;

/// Header with the access key of the addressed account, in hexadecimal.
pub const ACCESS_KEY: &str = "x-access-key";

/// Length in bytes of the hash of an access key, and of a recovery code's.
pub const HASH_LEN: usize = 32;
/// Length in bytes of a recovery code: whoever has it can replace the account's identity, once.
pub const RECOVERY_CODE_LEN: usize = 16;
/// Length in bytes of a signature.
pub const SIGNATURE_LEN: usize = 64;
/// Length in bytes of a login's token.
pub const TOKEN_LEN: usize = 32;
/// Length in bytes of a file's id.
pub const FILE_ID_LEN: usize = 16;
/// Length in bytes of each part of a file except the last, which is not longer, 1 MiB.
pub const PART_LEN: usize = 1 << 20;
/// Length in bytes of the longest file, 256 MiB: as much as a mailbox holds.
pub const MAX_FILE_LEN: u64 = 256 << 20;
/// Length in bytes of an account's files in all, 256 MiB.
pub const MAX_FILES_LEN: u64 = MAX_FILE_LEN;
/// Number of files that the server holds of an account.
pub const MAX_FILES: usize = 64;
/// Length in bytes after which an answer has no further message, 8 MiB.
pub const PAGE_LEN: usize = 8 << 20;
/// Most messages in an answer, numbers in an acknowledgement, and ids in a withdrawal.
pub const MAX_PAGE: u16 = 1_000;
/// Length in bytes of the longest answer: a page whose last message is as long as one can be.
pub const MAX_ANSWER_LEN: usize = PAGE_LEN + MAX_ENVELOPE_LEN + 12 * MAX_PAGE as usize;

/// What the client sends to peers without its user, who has agreed by receiving mail on the command line.
pub const ANSWERS: Answers<'_> = Answers::AtOnce;

#[cfg(feature = "faults")]
pub use faults::{FaultyServer as Server, FaultyStore as Store, now};
#[cfg(not(feature = "faults"))]
pub use {noescrow_sqlite::SqliteStore as Store, requests::Remote as Server};

/// The time.
#[cfg(not(feature = "faults"))]
#[must_use]
pub fn now() -> UnixSeconds {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map(UnixSeconds::from).unwrap_or_default()
}

/// The system's random numbers.
#[must_use]
pub const fn rng() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}

/// Returns SHA-256 of `bytes`.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; HASH_LEN] {
    Sha256::digest(bytes).into()
}

/// Returns what the relay keeps of a recovery code: a hash under a label of its own, so that it is no plain digest of a
/// secret, which others may have.
#[must_use]
pub fn recovery_hash(code: &[u8]) -> [u8; HASH_LEN] {
    sha256(&[b"messenger recovery code", code].concat())
}

/// Returns the name of a server, which a login signs: `https://chat.example.org`, with the port if it is another one than
/// the scheme's. None if `url` has no scheme and host.
#[must_use]
pub fn origin(url: &str) -> Option<String> {
    let url: Uri = url.parse().ok()?;
    let (scheme, host) = (url.scheme_str()?.to_lowercase(), url.host()?.to_lowercase());
    match (&*scheme, url.port_u16()) {
        ("https", Some(443)) | ("http", Some(80)) | (_, None) => Some(format!("{scheme}://{host}")),
        (_, Some(port)) => Some(format!("{scheme}://{host}:{port}")),
    }
}

/// Returns the path of an account, whose name may have any characters.
#[must_use]
pub fn account_path(account: &str) -> String {
    let escaped = account.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    });
    format!("/accounts/{}", escaped.collect::<String>())
}

/// What a request that makes an account an identity's contains, besides the signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim<'a> {
    /// Opens an account.
    Open {
        /// Hash of the account's access key.
        access: &'a [u8; HASH_LEN],
        /// Hash of the account's recovery code.
        code: &'a [u8; HASH_LEN],
        /// The device's publication.
        publication: &'a [u8],
    },
    /// Gives an account to another identity.
    Recover {
        /// The account's recovery code.
        old_code: &'a [u8; RECOVERY_CODE_LEN],
        /// Hash of the account's access key.
        access: &'a [u8; HASH_LEN],
        /// Hash of the account's next recovery code.
        code: &'a [u8; HASH_LEN],
        /// The device's publication.
        publication: &'a [u8],
    },
}

/// Length in bytes of the longest [`Claim`] as it is sent.
pub const MAX_CLAIM_LEN: usize = SIGNATURE_LEN + RECOVERY_CODE_LEN + 2 * HASH_LEN + PUBLICATION_LEN;

impl<'a> Claim<'a> {
    /// Returns the body of the request. `sign` signs the challenge as at a login.
    pub fn encode(&self, server: &str, account: &str, sign: impl FnOnce(&[u8; 32]) -> [u8; SIGNATURE_LEN]) -> Vec<u8> {
        [&sign(&self.challenge(server, account))[..], &self.content()].concat()
    }

    fn content(&self) -> Vec<u8> {
        match *self {
            Self::Open { access, code, publication } => [access, &code[..], publication].concat(),
            Self::Recover { old_code, access, code, publication } => {
                [&old_code[..], access, code, publication].concat()
            }
        }
    }

    /// Decodes the body of a request that opens an account, with its signature.
    #[must_use]
    pub fn decode_open(body: &'a [u8]) -> Option<(&'a [u8; SIGNATURE_LEN], Self)> {
        let (signature, rest) = body.split_first_chunk()?;
        let (access, rest) = rest.split_first_chunk()?;
        let (code, publication) = rest.split_first_chunk()?;
        Some((signature, Self::Open { access, code, publication }))
    }

    /// Decodes the body of a request that recovers an account, with its signature.
    #[must_use]
    pub fn decode_recover(body: &'a [u8]) -> Option<(&'a [u8; SIGNATURE_LEN], Self)> {
        let (signature, rest) = body.split_first_chunk()?;
        let (old_code, rest) = rest.split_first_chunk()?;
        let (access, rest) = rest.split_first_chunk()?;
        let (code, publication) = rest.split_first_chunk()?;
        Some((signature, Self::Recover { old_code, access, code, publication }))
    }

    /// Returns what the identity of the publication signs, so that nobody makes an account another one's.
    #[must_use]
    pub fn challenge(&self, server: &str, account: &str) -> [u8; HASH_LEN] {
        let label = match self {
            Self::Open { .. } => "noescrow-messenger open",
            Self::Recover { .. } => "noescrow-messenger recover",
        };
        let mut hash = Sha256::new();
        for part in [label.as_bytes(), server.as_bytes(), account.as_bytes(), &self.content()] {
            hash.update(sha256(part));
        }
        hash.finalize().into()
    }
}

/// Length in bytes of a login's body.
pub const LOGIN_LEN: usize = CHALLENGE_NONCE_LEN + SIGNATURE_LEN;

/// Encodes the body of a login: the server's nonce and the signature over its challenge.
#[must_use]
pub fn encode_login(nonce: &[u8; CHALLENGE_NONCE_LEN], signature: &[u8; SIGNATURE_LEN]) -> Vec<u8> {
    [&nonce[..], signature].concat()
}

/// Decodes what [`encode_login`] encodes.
#[must_use]
pub fn decode_login(body: &[u8]) -> Option<([u8; CHALLENGE_NONCE_LEN], [u8; SIGNATURE_LEN])> {
    let (nonce, signature) = body.split_first_chunk()?;
    Some((*nonce, signature.try_into().ok()?))
}

/// Encodes the answer to a login: the token, and the login nonce, if the server has one.
#[must_use]
pub fn encode_logged_in(token: &[u8; TOKEN_LEN], nonce: Option<&[u8; LOGIN_NONCE_LEN]>) -> Vec<u8> {
    [&token[..], nonce.map_or(&[], |nonce| &nonce[..])].concat()
}

/// Decodes what [`encode_logged_in`] encodes.
#[must_use]
pub fn decode_logged_in(answer: &[u8]) -> Option<([u8; TOKEN_LEN], Option<[u8; LOGIN_NONCE_LEN]>)> {
    let (token, nonce) = answer.split_first_chunk()?;
    let nonce = if nonce.is_empty() { None } else { Some(nonce.try_into().ok()?) };
    Some((*token, nonce))
}

/// The length that the server has of a file, in the answer that refuses a part. None if it is not such an answer.
#[must_use]
pub fn decode_len(answer: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(answer.try_into().ok()?))
}

/// A message in a mailbox, with the number by which it is acknowledged.
pub type Numbered = (u64, Vec<u8>);

/// Encodes messages: number (8), length (4), message.
#[must_use]
pub fn encode_messages(messages: &[Numbered]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (number, message) in messages {
        bytes.extend(number.to_be_bytes());
        bytes.extend(u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend(message);
    }
    bytes
}

/// Decodes what [`encode_messages`] encodes.
#[must_use]
pub fn decode_messages(mut bytes: &[u8]) -> Option<Vec<Numbered>> {
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        let (number, rest) = bytes.split_first_chunk()?;
        let (len, rest) = rest.split_first_chunk()?;
        let (message, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*len)).ok()?)?;
        messages.push((u64::from_be_bytes(*number), message.to_vec()));
        bytes = rest;
    }
    Some(messages)
}

/// Encodes ids of prekeys, 4 bytes each.
#[must_use]
pub fn encode_ids(ids: &[u32]) -> Vec<u8> {
    ids.iter().flat_map(|id| id.to_be_bytes()).collect()
}

/// Decodes what [`encode_ids`] encodes.
#[must_use]
pub fn decode_ids(bytes: &[u8]) -> Option<Vec<u32>> {
    let (ids, rest) = bytes.as_chunks();
    rest.is_empty().then(|| ids.iter().map(|id| u32::from_be_bytes(*id)).collect())
}

/// Encodes numbers of messages, 8 bytes each.
#[must_use]
pub fn encode_numbers(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

/// Decodes what [`encode_numbers`] encodes.
#[must_use]
pub fn decode_numbers(bytes: &[u8]) -> Option<Vec<u64>> {
    let (numbers, rest) = bytes.as_chunks();
    rest.is_empty().then(|| numbers.iter().map(|number| u64::from_be_bytes(*number)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_server_has_one_spelling() {
        for url in ["https://chat.example.org", "https://Chat.Example.ORG:443/", "HTTPS://chat.example.org/path?x=1"] {
            assert_eq!(origin(url).as_deref(), Some("https://chat.example.org"), "{url}");
        }
        assert_eq!(origin("http://127.0.0.1:8080/").as_deref(), Some("http://127.0.0.1:8080"));
        // Control: other servers have other names, and what is no address has none.
        assert_ne!(origin("http://chat.example.org"), origin("https://chat.example.org"));
        assert_ne!(origin("https://chat.example.org:444"), origin("https://chat.example.org"));
        assert_eq!(["chat.example.org", "/path", ""].map(origin), [None, None, None]);
    }

    #[test]
    fn a_claim_decodes_to_what_was_encoded() {
        let (access, code, publication) = (&[1; 32], &[2; 32], &[3; 9][..]);
        let signature = |challenge: &[u8; 32]| [challenge[0]; 64];
        let open = Claim::Open { access, code, publication };
        let recover = Claim::Recover { old_code: &[4; 16], access, code, publication };
        let body = |claim: &Claim<'_>| claim.encode("server", "account", signature);
        assert_eq!(Claim::decode_open(&body(&open)).map(|(_, claim)| claim), Some(open));
        assert_eq!(Claim::decode_recover(&body(&recover)).map(|(_, claim)| claim), Some(recover));
        assert_eq!(Claim::decode_open(&body(&open)[..127]), None);
        // Control: each part is signed, and one kind is not taken for the other.
        let challenge = open.challenge("server", "account");
        for other in [
            Claim::Open { access: &[9; 32], code, publication }.challenge("server", "account"),
            Claim::Open { access, code: &[9; 32], publication }.challenge("server", "account"),
            Claim::Open { access, code, publication: b"other" }.challenge("server", "account"),
            open.challenge("serve", "raccount"),
            open.challenge("server", "accounts"),
            recover.challenge("server", "account"),
        ] {
            assert_ne!(challenge, other);
        }
    }
}
