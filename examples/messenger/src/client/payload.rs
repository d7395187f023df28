// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is inside a message, as JSON.

use data_encoding::HEXLOWER;
use noescrow_messenger::MAX_FILE_LEN;
use serde::{Deserialize, Serialize};

/// The content of a message.
#[derive(Serialize, Deserialize)]
pub struct Content {
    /// The account of the author: a claim. What is authentic is the identity.
    pub from: String,
    /// The access key of the author's mailbox, in hexadecimal: without it the server takes only first messages.
    pub access: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<Attached>,
}

/// Where a sealed file is, and what opens it.
#[derive(Serialize, Deserialize)]
pub struct Attached {
    /// The id at the server, in hexadecimal.
    pub id: String,
    /// The attachment's key, in hexadecimal. It is as secret as the message.
    pub key: String,
    pub name: String,
    /// Length in bytes of the content.
    pub size: u64,
}

impl Content {
    /// Reads what a peer has written, who may write anything. Nothing that comes of it fails later.
    pub fn parse(plaintext: &[u8]) -> Option<Self> {
        let content: Self = serde_json::from_slice(plaintext).ok()?;
        let is_hex = |text: &str, len: usize| HEXLOWER.decode(text.as_bytes()).is_ok_and(|bytes| bytes.len() == len);
        let file = content.file.as_ref();
        let fits = file.is_none_or(|file| is_hex(&file.id, 16) && is_hex(&file.key, 32) && file.size <= MAX_FILE_LEN);
        (is_hex(&content.access, 32) && fits).then_some(content)
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
