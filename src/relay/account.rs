// SPDX-License-Identifier: MIT OR Apache-2.0
//! An account: a name, and everything that is stored under it.

use super::directory::Directory;
use super::error::RelayError;
use super::mailbox::Mailbox;
use super::public::{Held, Public, impl_public, write_bytes};
use crate::prekeys::Publication;
use crate::time::UnixSeconds;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

/// Length in bytes of the longest account name. A telephone number has 16 bytes, and a mail address more.
pub const MAX_ACCOUNT_NAME_LEN: usize = 64;
/// Maximum number of contacts stored per account. A server need not store any; this one stores the last few and
/// discloses them.
pub const MAX_CONTACTS: usize = 32;

/// A telephone number, or any other name: 1 to [`MAX_ACCOUNT_NAME_LEN`] bytes without control characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
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

impl_public! {
    AccountName => |name, out| write_bytes(name.as_str().as_bytes(), out);
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

/// The time and address at which an account's owner connected to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Contact {
    /// The time at which the owner connected.
    pub time: UnixSeconds,
    /// The network address.
    pub address: IpAddr,
}

#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(super) opened: Held<UnixSeconds>,
    pub(super) directory: Directory,
    pub(super) mailbox: Mailbox,
    /// Newest last.
    pub(super) contacts: VecDeque<(Held<UnixSeconds>, Held<IpAddr>)>,
}

impl Account {
    pub(super) fn open(publication: Publication, now: UnixSeconds) -> Result<Self, RelayError> {
        Ok(Self {
            opened: Held(now),
            directory: Directory::open(publication, now)?,
            mailbox: Mailbox::default(),
            contacts: VecDeque::new(),
        })
    }

    /// Records a contact of the owner, and identical consecutive contacts once. The oldest contact beyond
    /// [`MAX_CONTACTS`] is deleted.
    pub(super) fn record_contact(&mut self, address: IpAddr, now: UnixSeconds) {
        if self.contacts.back() == Some(&(Held(now), Held(address))) {
            return;
        }
        if self.contacts.len() >= MAX_CONTACTS {
            self.contacts.pop_front();
        }
        self.contacts.push_back((Held(now), Held(address)));
    }

    pub(super) fn contacts(&self) -> impl Iterator<Item = Contact> {
        self.contacts.iter().map(|(time, address)| Contact { time: time.0, address: address.0 })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let Self { opened, directory, mailbox, contacts } = self;
        opened.0.write(out);
        directory.write(out);
        mailbox.write(out);
        let mut bytes = Vec::new();
        for (time, address) in contacts {
            time.0.write(&mut bytes);
            address.0.write(&mut bytes);
        }
        write_bytes(&bytes, out);
    }
}
