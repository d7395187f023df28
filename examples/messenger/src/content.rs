// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is inside a message, as JSON: the format that clients share.

use crate::{FILE_ID_LEN, MAX_FILE_LEN};
use data_encoding::HEXLOWER;
use noescrow::ACCESS_KEY_LEN;
use noescrow::attachment::ATTACHMENT_KEY_LEN;
use noescrow_sqlite::Attachment;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::num::TryFromIntError;
use std::path::Path;

/// The content of a message.
#[derive(Clone, Serialize, Deserialize)]
pub struct Content {
    /// The account of the author: a claim. What is authentic is the identity.
    pub from: String,
    /// The access key of the author's mailbox: without it the server takes only first messages.
    #[serde(with = "hexadecimal")]
    pub access: [u8; ACCESS_KEY_LEN],
    /// The text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// A file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<Attached>,
}

/// Where a sealed file is, and what opens it.
#[derive(Clone, Serialize, Deserialize)]
pub struct Attached {
    /// The id at the server.
    #[serde(with = "hexadecimal")]
    pub id: [u8; FILE_ID_LEN],
    /// The attachment's key. It is as secret as the message.
    #[serde(with = "hexadecimal")]
    pub key: [u8; ATTACHMENT_KEY_LEN],
    /// The name that its author has for it.
    pub name: String,
    /// Length in bytes of the content.
    pub size: u32,
}

impl Attached {
    /// What the message of a file has. `None` if the message is sealed, and the key gone.
    ///
    /// # Errors
    /// The file is longer than 4 GiB.
    pub fn of(file: &Attachment, path: &Path) -> Result<Option<Self>, TryFromIntError> {
        let Some(key) = &file.key else { return Ok(None) };
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Some(Self { id: file.id, key: key.to_bytes(), name, size: file.content_len.try_into()? }))
    }
}

impl Content {
    /// Reads what a peer has written, who may write anything. Nothing that comes of it fails later.
    #[must_use]
    pub fn parse(plaintext: &[u8]) -> Option<Self> {
        let content: Self = serde_json::from_slice(plaintext).ok()?;
        content.file.as_ref().is_none_or(|file| u64::from(file.size) <= MAX_FILE_LEN).then_some(content)
    }
}

/// Shows that there is a text or a file, and nothing of it.
impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from: _, access: _, text, file } = self;
        f.debug_struct("Content")
            .field("has_text", &text.is_some())
            .field("has_file", &file.is_some())
            .finish_non_exhaustive()
    }
}

/// Shows the length only.
impl fmt::Debug for Attached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id: _, key: _, name: _, size } = self;
        f.debug_struct("Attached").field("size", size).finish_non_exhaustive()
    }
}

/// An array of bytes as lower-case hexadecimal.
mod hexadecimal {
    use super::HEXLOWER;
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<const N: usize, S: Serializer>(bytes: &[u8; N], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&HEXLOWER.encode(bytes))
    }

    pub(super) fn deserialize<'de, const N: usize, D: Deserializer<'de>>(from: D) -> Result<[u8; N], D::Error> {
        let bytes = HEXLOWER.decode(String::deserialize(from)?.as_bytes()).map_err(D::Error::custom)?;
        bytes.try_into().map_err(|_| D::Error::custom("another length"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_that_would_fail_later_is_refused() {
        let [access, id, key] = [32, 16, 32].map(|len| "00".repeat(len));
        let parse = |access: &str, id: &str, key: &str, size: u64| {
            let file = format!(r#"{{"id":"{id}","key":"{key}","name":"a","size":{size}}}"#);
            Content::parse(format!(r#"{{"from":"bob","access":{access:?},"file":{file}}}"#).as_bytes()).is_some()
        };
        for (access, id, key, size) in [
            ("\n", &id[..], &key[..], 1),
            ("", &id, &key, 1),
            (&access, "../../etc", &key, 1),
            (&access, &id, "00", 1),
            (&access, &id, &key, MAX_FILE_LEN + 1),
            (&access, &id, &key, u64::MAX),
        ] {
            assert!(!parse(access, id, key, size), "{access:?} {id} {key} {size}");
        }
        // Control: with none of these it is read.
        assert!(parse(&access, &id, &key, MAX_FILE_LEN));
        assert!(Content::parse(b"text").is_none());
    }
}
