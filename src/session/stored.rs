// SPDX-License-Identifier: MIT OR Apache-2.0
//! The stored form of a session, and the checks when it is loaded.

use super::{Exporter, Opening, Parties, Session};
use crate::error::RestoreError;
use crate::identity::Identity;
use crate::primitives::Primitives;
use crate::ratchet::skipped::SkippedKeyStore;
use crate::ratchet::sparse::Direction;
use crate::ratchet::triple::TripleRatchet;
use crate::snapshot::{Part, Stored, Subject, refused};
use crate::wire::{ChunkSize, Full, HANDSHAKE_LEN, Handshake, IDENTITY_LEN, Reader, Writer};

impl<P: Primitives, S: SkippedKeyStore> Stored<P> for Session<P, S> {
    const KIND: u8 = 1;

    #[cfg(feature = "alloc")]
    fn primitives(&self) -> &P {
        &self.primitives
    }

    fn subject(&self) -> Subject {
        self.subject()
    }

    fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        self.ratchet.parts()
    }

    fn core_len(&self) -> usize {
        let parties = self.parties.map_or(0, |_| 2 * IDENTITY_LEN);
        let opening = match self.opening {
            Opening::Unanswered(_) => HANDSHAKE_LEN,
            Opening::Accepted(_) => 32,
            Opening::Done => 0,
        };
        [1, parties, 32, 32, 1, opening, self.ratchet.stored_len()].into_iter().fold(0, usize::saturating_add)
    }

    fn store_core(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        writer.u8(u8::from(self.parties.is_some()))?;
        if let Some(Parties { local, remote }) = &self.parties {
            writer.put(&local.to_bytes())?;
            writer.put(&remote.to_bytes())?;
        }
        writer.put(&self.associated_data)?;
        writer.put(&self.id)?;
        match &self.opening {
            Opening::Unanswered(handshake) => writer.u8(0).and_then(|()| writer.put(handshake))?,
            Opening::Accepted(digest) => writer.u8(1).and_then(|()| writer.put(digest))?,
            Opening::Done => writer.u8(2)?,
        }
        self.ratchet.store(writer)
    }

    fn load(primitives: P, reader: &mut Reader<'_>) -> Result<Self, RestoreError> {
        let parties = match reader.flag().map_err(refused)? {
            true => Some(Parties {
                local: Identity::load(reader).map_err(refused)?,
                remote: Identity::load(reader).map_err(refused)?,
            }),
            false => None,
        };
        let associated_data = *reader.array().map_err(refused)?;
        let id = *reader.array().map_err(refused)?;
        let opening = match reader.u8().map_err(refused)? {
            0 => Opening::Unanswered(*reader.array().map_err(refused)?),
            1 => Opening::Accepted(*reader.array().map_err(refused)?),
            2 => Opening::Done,
            _ => return Err(RestoreError::Refused),
        };
        let ratchet = TripleRatchet::load(reader).map_err(refused)?;
        reader.finish().map_err(refused)?;
        // How the session began must agree with the progress of the ratchet (attack F18).
        let received = ratchet.double.receiving.is_some();
        let reachable = match &opening {
            Opening::Unanswered(handshake) => {
                let parsed = Handshake::parse(handshake);
                let same_size = parsed.is_ok_and(|handshake| handshake.chunk_size == ratchet.chunk_size);
                parties.is_some() && ratchet.has_only_sent() && same_size
            }
            Opening::Accepted(_) => parties.is_some() && received && ratchet.sparse.direction == Direction::B2A,
            Opening::Done if parties.is_none() => ratchet.chunk_size == ChunkSize::default(),
            Opening::Done => received && ratchet.sparse.direction == Direction::A2B,
        };
        // An abandoned session has no ratchet state: only its opening, its parties and its direction can be checked.
        let reachable = match (ratchet.sparse.is_dead(), &opening) {
            (false, _) => reachable,
            (true, Opening::Unanswered(_)) => false,
            (true, Opening::Accepted(_)) => parties.is_some() && ratchet.sparse.direction == Direction::B2A,
            (true, Opening::Done) if parties.is_none() => ratchet.chunk_size == ChunkSize::default(),
            (true, Opening::Done) => ratchet.sparse.direction == Direction::A2B,
        };
        if !reachable {
            return Err(RestoreError::Refused);
        }
        Ok(Self { primitives, parties, associated_data, id, exporter: Exporter::none(), opening, ratchet })
    }
}
