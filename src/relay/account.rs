// SPDX-License-Identifier: MIT OR Apache-2.0
//! An account: a name, and everything that is stored under it.

use super::directory::Directory;
use super::error::RelayError;
use super::mailbox::Mailbox;
use super::period::Day;
use super::public::{Held, Public, impl_public, write_bytes};
use crate::access::AccessKeyHash;
use crate::prekeys::Publication;
use crate::time::UnixSeconds;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;
use core::time::Duration;

/// Length in bytes of the longest account name. A telephone number has 16 bytes, and a mail address more.
pub const MAX_ACCOUNT_NAME_LEN: usize = 64;
/// Maximum number of contacts stored per account. A server need not store any; this one stores the last few and
/// discloses them.
pub const MAX_CONTACTS: usize = 32;
/// Time after which [`Relay::forget`](super::Relay::forget) deletes contacts and messages that nobody fetched.
pub const RETENTION: Duration = Duration::from_secs(30 * 86_400);

/// A telephone number, or any other name: 1 to [`MAX_ACCOUNT_NAME_LEN`] bytes without control characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountName(String);

impl AccountName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`RelayError::BadAccountName`].
    pub fn new(name: &str) -> Result<Self, RelayError> {
        let fits = (1..=MAX_ACCOUNT_NAME_LEN).contains(&name.len()) && !name.chars().any(char::is_control);
        if fits { Ok(Self(name.into())) } else { Err(RelayError::BadAccountName) }
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Checks a name, as [`AccountName::new`].
impl TryFrom<&str> for AccountName {
    type Error = RelayError;

    fn try_from(name: &str) -> Result<Self, RelayError> {
        Self::new(name)
    }
}

/// Checks a name in UTF-8, as [`AccountName::new`].
impl TryFrom<&[u8]> for AccountName {
    type Error = RelayError;

    fn try_from(name: &[u8]) -> Result<Self, RelayError> {
        core::str::from_utf8(name).map_err(|_| RelayError::BadAccountName).and_then(Self::new)
    }
}

impl_public! {
    AccountName => |name, out| {
        let AccountName(text) = name;
        write_bytes(text.as_bytes(), out);
    };
}

impl core::borrow::Borrow<AccountName> for Held<AccountName> {
    fn borrow(&self) -> &AccountName {
        &self.0
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The day and address at which an account's owner connected to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Contact {
    /// The first second of the day (UTC) on which the owner connected. The time of day is not held.
    pub time: UnixSeconds,
    /// The network address.
    pub address: IpAddr,
}

/// One [`Contact`] as held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HeldContact {
    pub(super) day: Held<Day>,
    pub(super) address: Held<IpAddr>,
}

#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) opened: Held<Day>,
    pub(super) access: Held<AccessKeyHash>,
    pub(super) directory: Directory,
    pub(super) mailbox: Mailbox,
    /// Newest last.
    pub(super) contacts: VecDeque<HeldContact>,
}

impl Account {
    pub(super) fn open(publication: Publication, access: AccessKeyHash, now: UnixSeconds) -> Result<Self, RelayError> {
        Ok(Self {
            opened: Held(Day::of(now)),
            access: Held(access),
            directory: Directory::open(publication)?,
            mailbox: Mailbox::default(),
            contacts: VecDeque::new(),
        })
    }

    /// Gives the account to another identity. What tells of the past stays: the day on which the account was opened,
    /// the contacts, and the requests for prekeys.
    pub(super) fn replace_identity(
        &mut self,
        publication: Publication,
        access: AccessKeyHash,
    ) -> Result<(), RelayError> {
        self.directory = self.directory.replaced(publication)?;
        self.access = Held(access);
        self.mailbox = Mailbox::default();
        Ok(())
    }

    /// Records a contact of the owner, once a day and address. The oldest contact beyond [`MAX_CONTACTS`] is deleted.
    pub(super) fn record_contact(&mut self, address: IpAddr, now: UnixSeconds) {
        let contact = HeldContact { day: Held(Day::of(now)), address: Held(address) };
        if self.contacts.contains(&contact) {
            return;
        }
        if self.contacts.len() >= MAX_CONTACTS {
            self.contacts.pop_front();
        }
        self.contacts.push_back(contact);
    }

    /// Deletes what need not be held any longer; see [`Relay::forget`](super::Relay::forget).
    pub(super) fn forget(&mut self, now: UnixSeconds) {
        let Self { opened: _, access: _, directory, mailbox, contacts } = self;
        directory.forget(now);
        mailbox.forget(now);
        contacts.retain(|contact| !is_over(contact.day.0, now));
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let Self { opened, access, directory, mailbox, contacts } = self;
        opened.0.write(out);
        access.0.write(out);
        directory.write(out);
        mailbox.write(out);
        let mut bytes = Vec::new();
        for HeldContact { day, address } in contacts {
            day.0.write(&mut bytes);
            address.0.write(&mut bytes);
        }
        write_bytes(&bytes, out);
    }
}

/// Returns whether a day is longer past than [`RETENTION`].
pub(super) fn is_over(day: Day, now: UnixSeconds) -> bool {
    now.saturating_since(day.ends()) > RETENTION
}
