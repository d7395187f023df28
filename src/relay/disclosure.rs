// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a court order yields.

use super::account::{Account, AccountName, Contact};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// What cannot be handed over, and why.
pub const NOT_HELD: [&str; 4] = [
    "decryption keys: they are made, used and destroyed on the users' devices",
    "the content of messages: it is sealed under those keys",
    "who wrote a queued message: the sender is inside the seal",
    "messages already delivered: they are deleted when acknowledged",
];

/// An order of a court, for one account and a time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Order {
    /// The court's reference.
    pub reference: String,
    /// First second of the time asked about.
    pub from: u64,
    /// Last second of the time asked about.
    pub until: u64,
}

impl Order {
    /// An order for all times.
    #[must_use]
    pub fn new(reference: &str) -> Self {
        Self { reference: reference.into(), from: 0, until: u64::MAX }
    }
}

/// Time and size of a message that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Queued {
    /// Seconds since the Unix epoch.
    pub time: u64,
    /// Bytes, padding included.
    pub size: usize,
}

/// Everything that the server can say about an account. Complete: a field more would be a column more in the server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Disclosure {
    /// What was asked.
    pub order: Order,
    /// The telephone number, or other name, of the account.
    pub account: String,
    /// When the account was opened, in seconds since the Unix epoch.
    pub opened: u64,
    /// The account's public identity, 128 bytes in hexadecimal: what everybody who writes to it is given.
    pub identity: String,
    /// One-time prekeys that nobody has asked for yet.
    pub one_time_prekeys_left: usize,
    /// Network addresses and times at which the owner spoke to the server, within the time asked about.
    pub contacts: Vec<Contact>,
    /// Times and sizes of messages that wait, within the time asked about.
    pub queued: Vec<Queued>,
    /// What cannot be handed over, and why.
    pub not_held: Vec<&'static str>,
}

impl Disclosure {
    pub(super) fn of(name: &AccountName, account: &Account, order: &Order) -> Self {
        let asked = |time: u64| (order.from..=order.until).contains(&time);
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| alloc::format!("{byte:02x}")).collect();
        Self {
            order: order.clone(),
            account: name.as_str().into(),
            opened: account.opened.0,
            identity: hex(&account.directory.identity().to_bytes()),
            one_time_prekeys_left: account.directory.one_time_prekeys_left(),
            contacts: account.contacts().filter(|contact| asked(contact.time)).collect(),
            queued: account
                .mailbox
                .sizes()
                .filter(|(time, _)| asked(*time))
                .map(|(time, size)| Queued { time, size })
                .collect(),
            not_held: NOT_HELD.to_vec(),
        }
    }
}

impl fmt::Display for Disclosure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { order, account, opened, identity, one_time_prekeys_left, contacts, queued, not_held } = self;
        writeln!(f, "In answer to the order {}", order.reference)?;
        writeln!(f, "  account            {account}")?;
        writeln!(f, "  opened             {opened}")?;
        writeln!(f, "  public identity    {identity}")?;
        writeln!(f, "  one-time prekeys   {one_time_prekeys_left} left")?;
        writeln!(f, "  contacts           {}", contacts.len())?;
        for Contact { time, address } in contacts {
            writeln!(f, "    {time}  {address}")?;
        }
        writeln!(f, "  messages waiting   {}", queued.len())?;
        for Queued { time, size } in queued {
            writeln!(f, "    {time}  {size} bytes, sealed")?;
        }
        writeln!(f, "Not held, and so not to be had:")?;
        not_held.iter().try_for_each(|line| writeln!(f, "  - {line}"))
    }
}
