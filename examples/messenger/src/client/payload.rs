// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is inside a message, as JSON.

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
