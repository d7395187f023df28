// SPDX-License-Identifier: MIT OR Apache-2.0
//! The observer's commands to the child, and the child's answers. Numbers are bytes, lengths u32, little-endian.
//!
//! ```text
//! observer: verb || count of arguments || (length || bytes)*        then waits
//! child:    DRAW || length                                          the observer answers with as many bytes
//!           OUTPUT || length || bytes                               what the verb gave; empty if it failed
//!           STOP                                                    and is still until the next verb
//! ```

use noescrow::UnixSeconds;
use noescrow::primitives::Primitives;
use noescrow::session::Session;

/// The name of an operation in a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Verb {
    Generate,
    Publish,
    Rotate,
    DeletePrevious,
    Initiate,
    OpenAndDrop,
    Refuse,
    Accept,
    TakeExporter,
    Ask,
    SignLogin,
    Encrypt,
    Decrypt,
    SnapshotDevice,
    SnapshotSession,
    RestoreDevice,
    RestoreSession,
    DropSession,
    DropDevice,
    PlantHeap,
    PlantStack,
    PlantStatic,
    PlantRegister,
    FillStack,
}

pub const DRAW: u8 = b'D';
pub const OUTPUT: u8 = b'O';
pub const STOP: u8 = b'S';

/// The caller's time, and the expiry of its prekeys.
pub const NOW: UnixSeconds = UnixSeconds(1_000);
/// One-time prekeys of one publication.
pub const ONE_TIME: usize = 3;
/// The caller's associated data.
pub const CALLERS_DATA: &[u8] = b"wiping";

/// What a session says of a message without opening it: what it skips, whether it is the session's, and the tags of the
/// messages that may come next.
pub fn answers<P: Primitives>(session: &Session<P>, message: &[u8]) -> Vec<u8> {
    let mut answers = session.peek(message).map(|skips| skips.to_be_bytes().to_vec()).unwrap_or_default();
    answers.push(u8::from(session.recognizes(message)));
    session.routing_tags(|tag| answers.extend_from_slice(&tag));
    answers
}
