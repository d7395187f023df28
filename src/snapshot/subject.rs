// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Subject`]: whose state it is.

use crate::error::DecodeError;
use crate::identity::Identity;
use crate::wire::{Reader, Writer};
use core::fmt;

/// Length in bytes of what a seal covers of the subject: local keys and id. Its kind is in the head.
pub(super) const SCOPE_LEN: usize = LOCAL_LEN + 32;
/// Length in bytes of an identity's two keys.
const LOCAL_LEN: usize = 64;
/// Length in bytes of a peer's id.
#[cfg(feature = "alloc")]
pub(crate) const PEER_ID_LEN: usize = 16;
/// Length in bytes of an encoded subject: kind, local keys, id.
pub const SUBJECT_LEN: usize = 1 + SCOPE_LEN;

const SESSION: u8 = 1;
const DEVICE: u8 = 2;
#[cfg(feature = "alloc")]
const PEER: u8 = 3;
#[cfg(feature = "alloc")]
const MESSENGER: u8 = 4;

/// Whose state it is: the device of an identity, one of its sessions, or its messenger or one of the messenger's peers. A state is sealed with its subject, and opens
/// only for a caller that expects this subject.
///
/// Store it, in the form of [`to_bytes`](Self::to_bytes), with the name under which the application knows the account
/// or the conversation, and not only beside the snapshot: an attacker who replaces both goes undetected.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    kind: u8,
    local: [u8; LOCAL_LEN],
    id: [u8; 32],
}

impl Subject {
    /// The device of this identity.
    #[must_use]
    pub fn device(identity: &Identity) -> Self {
        Self { kind: DEVICE, local: identity.keys(), id: [0; 32] }
    }

    /// The session of the local identity `local` with this [`Session::id`](crate::session::Session::id).
    #[must_use]
    pub fn session(local: &Identity, id: [u8; 32]) -> Self {
        Self { kind: SESSION, local: local.keys(), id }
    }

    /// The session of a foreign handshake with this [`Session::id`](crate::session::Session::id). It has no local
    /// identity.
    #[must_use]
    pub const fn foreign_session(id: [u8; 32]) -> Self {
        Self { kind: SESSION, local: [0; LOCAL_LEN], id }
    }

    /// The messenger of this identity.
    #[cfg(feature = "alloc")]
    #[must_use]
    pub fn messenger(identity: &Identity) -> Self {
        Self { kind: MESSENGER, ..Self::device(identity) }
    }

    /// The peer of this messenger, or of the messenger of this device, session or peer, with this id.
    #[cfg(feature = "alloc")]
    pub(crate) fn of_peer(&self, peer: &[u8; PEER_ID_LEN]) -> Self {
        let mut id = [0; 32];
        id.iter_mut().zip(peer).for_each(|(byte, from)| *byte = *from);
        Self { kind: PEER, local: self.local, id }
    }

    /// The device of the same identity.
    #[cfg(feature = "alloc")]
    pub(crate) const fn of_device(&self) -> Self {
        Self { kind: DEVICE, local: self.local, id: [0; 32] }
    }

    /// The session of the same identity with this id.
    #[cfg(feature = "alloc")]
    pub(crate) const fn of_session(&self, id: [u8; 32]) -> Self {
        Self { kind: SESSION, local: self.local, id }
    }

    /// Returns whether this is a messenger.
    #[cfg(feature = "alloc")]
    #[must_use]
    pub const fn is_messenger(&self) -> bool {
        self.kind == MESSENGER
    }

    /// Returns the peer's id, or `None` for another subject.
    #[cfg(feature = "alloc")]
    pub(crate) fn peer_id(&self) -> Option<&[u8; PEER_ID_LEN]> {
        if self.kind == PEER { self.id.first_chunk() } else { None }
    }

    /// Returns the kind of its rows.
    #[cfg(feature = "alloc")]
    pub(crate) const fn row_kind(&self) -> u8 {
        match self.kind {
            DEVICE => super::DEVICE_ROW,
            PEER => super::PEER_ROW,
            MESSENGER => super::MESSENGER_ROW,
            _ => super::SESSION_ROW,
        }
    }

    /// Returns whether this is a device.
    #[must_use]
    pub const fn is_device(&self) -> bool {
        self.kind == DEVICE
    }

    /// Returns the session's id, or `None` for a device.
    #[must_use]
    pub const fn session_id(&self) -> Option<&[u8; 32]> {
        if self.kind == SESSION { Some(&self.id) } else { None }
    }

    /// Returns the encoding, 97 bytes: kind (1), the local identity's signing key (32) and DH key (32), id (32).
    #[must_use]
    pub fn to_bytes(&self) -> [u8; SUBJECT_LEN] {
        let mut bytes = [self.kind; SUBJECT_LEN];
        let [_, rest @ ..] = &mut bytes;
        rest.copy_from_slice(&self.scope());
        bytes
    }

    /// Parses what [`to_bytes`](Self::to_bytes) returned.
    ///
    /// # Errors
    /// [`DecodeError::Refused`] if the length or the kind is wrong, or a device or a messenger has an id.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let subject = Self { kind: reader.u8()?, local: *reader.array()?, id: *reader.array()? };
        reader.finish()?;
        match subject.kind {
            SESSION => Ok(subject),
            DEVICE if subject.id == [0; 32] => Ok(subject),
            #[cfg(feature = "alloc")]
            MESSENGER if subject.id == [0; 32] => Ok(subject),
            #[cfg(feature = "alloc")]
            PEER if subject.id.get(PEER_ID_LEN..) == Some(&[0; 32 - PEER_ID_LEN]) => Ok(subject),
            _ => Err(DecodeError::Refused),
        }
    }

    pub(super) const fn kind(&self) -> u8 {
        self.kind
    }

    pub(super) fn scope(&self) -> [u8; SCOPE_LEN] {
        let mut scope = [0; SCOPE_LEN];
        let mut writer = Writer::new(&mut scope);
        // The lengths add up to SCOPE_LEN.
        let _ = writer.put(&self.local).and_then(|()| writer.put(&self.id));
        scope
    }
}

/// Shows neither an identity nor a session's id.
impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, local: _, id: _ } = self;
        f.write_str(match *kind {
            DEVICE => "Device(..)",
            #[cfg(feature = "alloc")]
            PEER => "Peer(..)",
            #[cfg(feature = "alloc")]
            MESSENGER => "Messenger(..)",
            _ => "Session(..)",
        })
    }
}
