// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Log`]: which messages of a peer were opened, to tell a duplicate from one that comes too late, and a damaged copy
//! from another message of the same number.

use super::core::Corrected;
use crate::durable::{MESSAGE_ID_LEN, MessageId};
use crate::error::DecodeError;
use crate::primitives::{Primitives, RustCrypto};
use crate::snapshot::{Content, Part, RowName};
use crate::time::UnixSeconds;
use crate::wire::{ROUTING_TAG_LEN, Reader, authenticated_beginning, routing_tag};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

/// Time for which the id of a message is kept after a later one of its page was opened: 30 days, in which a server that
/// follows the relay's rules has delivered a message or dropped it.
pub const IDS_KEPT: Duration = Duration::from_secs(30 * 86_400);
/// Maximum number of ids that are kept of one peer, the newest, so that a peer's flood stays within 130 KiB. The oldest go
/// 32 at a time, so that at least 4,065 are kept.
pub const IDS_KEPT_OF_A_PEER: usize = PAGES * IDS_OF_A_PAGE;
/// Number of ids in a row, which each message writes anew: 1,032 bytes.
const IDS_OF_A_PAGE: usize = 32;
const PAGES: usize = 128;
const TIME_LEN: usize = 8;
const ENTRY_LEN: usize = MESSAGE_ID_LEN + MARK_LEN;
const MARK_LEN: usize = ROUTING_TAG_LEN + DIGEST_LEN;
/// Who finds another message with the same digest, with 2^64 hashes, hides that the author's state was used twice.
const DIGEST_LEN: usize = 8;

pub(super) type Tag = [u8; ROUTING_TAG_LEN];

/// What identifies an authentic header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// The routing tag, which stands for the session, the chain and the number.
    tag: Tag,
    /// The first bytes of a hash of what the header authenticates, the body's tag among it: two messages of one number differ
    /// in it, even if a copied generator gave both one salt.
    digest: [u8; DIGEST_LEN],
}

/// What the log knows of a message whose header is authentic and whose number was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NumberUse {
    /// Nothing is known of its number.
    Unknown,
    /// This message was opened. Its bytes differ now, so it was damaged where the header does not cover it.
    Same,
    /// Another message of this number was opened.
    OtherMessage,
}

impl Mark {
    /// Returns the mark of a message, of zeros if it is too short for a header.
    pub(super) fn of(message: &[u8]) -> Self {
        let parts = routing_tag(message).zip(authenticated_beginning(message));
        let mark = parts.map(|(tag, beginning)| {
            let digest = RustCrypto.sha256(&[beginning]);
            Self { tag, digest: digest.first_chunk().copied().unwrap_or_default() }
        });
        mark.unwrap_or_default()
    }

    fn read(bytes: &[u8; MARK_LEN]) -> Self {
        let (tag, digest) = (bytes.first_chunk(), bytes.last_chunk());
        Self { tag: tag.copied().unwrap_or_default(), digest: digest.copied().unwrap_or_default() }
    }
}

/// The ids of opened messages, oldest first.
#[derive(Default)]
pub(super) struct Log {
    pages: VecDeque<Page>,
}

struct Page {
    number: u32,
    /// As it is stored: when its last message was opened (8), and the entries.
    bytes: Vec<u8>,
}

impl Log {
    /// Enters an opened message with its mark, and returns the ids that are forgotten for it.
    pub(super) fn enter(&mut self, id: &MessageId, mark: &Mark, now: UnixSeconds) -> Vec<MessageId> {
        match self.pages.back_mut() {
            Some(page) if page.entries().len() < IDS_OF_A_PAGE => page.enter(id, mark, now),
            last => {
                let number = last.map_or(0, |page| page.number.saturating_add(1));
                let mut page = Page { number, bytes: alloc::vec![0; TIME_LEN] };
                page.enter(id, mark, now);
                self.pages.push_back(page);
            }
        }
        self.forget(now)
    }

    /// Takes over the entries of another log. No page gets an earlier time than it has, so that nothing is forgotten sooner.
    pub(super) fn absorb(&mut self, other: &Self) -> Vec<MessageId> {
        let mut forgotten = Vec::new();
        for page in &other.pages {
            for entry in page.entries() {
                if let Some((id, mark)) = entry.first_chunk().zip(entry.last_chunk()) {
                    forgotten.extend(self.enter(id, &Mark::read(mark), page.newest()));
                }
            }
        }
        forgotten
    }

    /// Forgets what is old, or too much.
    pub(super) fn forget(&mut self, now: UnixSeconds) -> Vec<MessageId> {
        let mut forgotten = Vec::new();
        let is_due = |page: &mut Page, pages| pages > PAGES || now.saturating_since(page.newest()) >= IDS_KEPT;
        let mut pages = self.pages.len();
        while let Some(page) = self.pages.pop_front_if(|page| is_due(page, pages)) {
            forgotten.extend(page.ids());
            pages = self.pages.len();
        }
        forgotten
    }

    /// Corrects the times that were taken from the messenger's clock. Returns whether any has changed.
    pub(super) fn correct(&mut self, corrected: Corrected) -> bool {
        self.pages.iter_mut().fold(false, |changed, page| {
            let was = page.newest();
            let mut newest = was;
            corrected.apply(&mut newest);
            page.set_newest(newest);
            changed | (newest != was)
        })
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = MessageId> {
        self.pages.iter().flat_map(Page::ids)
    }

    /// Returns what was opened with the number of a message that has this mark.
    pub(super) fn lookup(&self, mark: &Mark) -> NumberUse {
        let entries = self.pages.iter().flat_map(Page::entries);
        let marks = entries.filter_map(|entry| entry.last_chunk().map(Mark::read));
        marks.filter(|entered| entered.tag == mark.tag).fold(NumberUse::Unknown, |found, entered| match found {
            NumberUse::Same => NumberUse::Same,
            _ if entered == *mark => NumberUse::Same,
            _ => NumberUse::OtherMessage,
        })
    }

    pub(super) fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        self.pages.iter().map(|page| Part {
            name: RowName::new(RowName::MESSENGER, page.number, 0),
            content: Content::Bytes { bytes: &page.bytes, stamp: page.stamp() },
        })
    }

    /// Loads what [`parts`](Self::parts) returned.
    pub(super) fn load(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut pages: VecDeque<Page> = VecDeque::new();
        while let Some(name) = RowName::next_of(RowName::MESSENGER, reader)? {
            let is_last_full = pages.back().is_none_or(|page| page.entries().len() == IDS_OF_A_PAGE);
            if name.page() != 0 || !is_last_full || pages.back().is_some_and(|page| page.number >= name.id()) {
                return Err(DecodeError::Refused);
            }
            let mut page = Page { number: name.id(), bytes: reader.array::<TIME_LEN>()?.to_vec() };
            // A page is followed by the name of another one, or by nothing.
            while page.entries().len() < IDS_OF_A_PAGE && reader.peek().is_some() {
                page.bytes.extend_from_slice(reader.array::<ENTRY_LEN>()?);
            }
            if page.entries().is_empty() {
                return Err(DecodeError::Refused);
            }
            pages.push_back(page);
        }
        Ok(Self { pages })
    }
}

impl Page {
    fn enter(&mut self, id: &MessageId, mark: &Mark, now: UnixSeconds) {
        self.set_newest(now.max(self.newest()));
        self.bytes.extend_from_slice(id);
        self.bytes.extend_from_slice(&mark.tag);
        self.bytes.extend_from_slice(&mark.digest);
    }

    fn set_newest(&mut self, now: UnixSeconds) {
        if let Some(newest) = self.bytes.first_chunk_mut() {
            *newest = now.0.to_be_bytes();
        }
    }

    /// Returns a number that changes with the page: entries are added and never changed, and the time may be corrected.
    fn stamp(&self) -> u64 {
        let len = u64::try_from(self.bytes.len()).unwrap_or_default();
        // A page has fewer bytes than 2^11.
        self.newest().0.wrapping_shl(11).wrapping_add(len)
    }

    fn newest(&self) -> UnixSeconds {
        UnixSeconds(self.bytes.first_chunk().copied().map_or(0, u64::from_be_bytes))
    }

    fn entries(&self) -> &[[u8; ENTRY_LEN]] {
        self.bytes.get(TIME_LEN..).unwrap_or_default().as_chunks().0
    }

    fn ids(&self) -> impl Iterator<Item = MessageId> {
        self.entries().iter().map(|entry| entry.first_chunk().copied().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Writer;

    fn id(number: usize) -> MessageId {
        let mut id = [0; MESSAGE_ID_LEN];
        id[..8].copy_from_slice(&u64::try_from(number).unwrap().to_be_bytes());
        id
    }

    fn mark(byte: u8) -> Mark {
        Mark { tag: [byte; 8], digest: [byte; 8] }
    }

    #[test]
    fn ids_are_kept_for_thirty_days_and_within_the_bound() {
        let (mut log, start) = (Log::default(), UnixSeconds(1_800_000_000));
        let more = IDS_KEPT_OF_A_PEER + 40;
        let forgotten: usize = (0..more).map(|number| log.enter(&id(number), &mark(7), start).len()).sum();
        assert_eq!((log.ids().count(), forgotten), (IDS_KEPT_OF_A_PEER - 24, 64));
        assert!(!log.ids().any(|kept| kept == id(63)) && log.ids().any(|kept| kept == id(64)));
        let day = |days: u64| UnixSeconds(start.0 + days * 86_400);
        assert!(log.forget(day(29)).is_empty());
        // Control: a day later all of it is old.
        assert_eq!((log.forget(day(30)).len(), log.ids().count()), (IDS_KEPT_OF_A_PEER - 24, 0));
    }

    #[test]
    fn absorbing_an_older_log_shortens_no_page() {
        let (mut log, mut older) = (Log::default(), Log::default());
        let (start, later) = (UnixSeconds(1_800_000_000), UnixSeconds(1_800_000_000 + 20 * 86_400));
        let _ = (log.enter(&id(1), &mark(1), later), older.enter(&id(2), &mark(2), start));
        assert!(log.absorb(&older).is_empty());
        assert!(log.forget(start.saturating_add(IDS_KEPT)).is_empty());
        assert_eq!(log.ids().count(), 2);
        // Control: the older one alone is forgotten then, and the other one in its time.
        assert_eq!(older.forget(start.saturating_add(IDS_KEPT)), [id(2)]);
        assert_eq!(log.forget(later.saturating_add(IDS_KEPT)), [id(1), id(2)]);
    }

    #[test]
    fn a_stored_log_loads_as_it_was() {
        let mut log = Log::default();
        for number in 0..70 {
            let _ = log.enter(&id(number), &mark(u8::try_from(number).unwrap()), UnixSeconds(9));
        }
        let mut bytes = alloc::vec![0; 70 * ENTRY_LEN + 3 * 8 + 3 * 9];
        let mut writer = Writer::new(&mut bytes);
        log.parts().for_each(|part| part.store(&mut writer).unwrap());
        let loaded = Log::load(&mut Reader::new(&bytes)).unwrap();
        assert!(loaded.ids().eq(log.ids()));
        assert_eq!((loaded.lookup(&mark(69)), loaded.lookup(&mark(70))), (NumberUse::Same, NumberUse::Unknown));
        let other = Mark { digest: [1; 8], ..mark(69) };
        assert_eq!(loaded.lookup(&other), NumberUse::OtherMessage);
        // Control: a page that is missing is found.
        assert!(Log::load(&mut Reader::new(&bytes[..32 * ENTRY_LEN + 8 + 9 + 5])).is_err());
    }
}
