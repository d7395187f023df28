// SPDX-License-Identifier: MIT OR Apache-2.0
//! The server's answer to a court order.

use super::account::{Account, AccountName, Contact};
use crate::time::UnixSeconds;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// The data that cannot be disclosed, and why.
pub const NOT_HELD: [&str; 4] = [
    "decryption keys: they are made, used and destroyed on the users' devices",
    "the content of messages: it is sealed under those keys",
    "who wrote a queued message: the sender is inside the seal",
    "messages already delivered: they are deleted when acknowledged",
];

/// A court order for one account and a period of time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Order {
    /// The court's reference.
    pub reference: String,
    /// First second of the period.
    pub from: UnixSeconds,
    /// Last second of the period.
    pub until: UnixSeconds,
}

impl Order {
    /// Creates an order for all times.
    #[must_use]
    pub fn new(reference: &str) -> Self {
        Self { reference: reference.into(), from: UnixSeconds(0), until: UnixSeconds::MAX }
    }
}

/// Time and size of a queued message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Queued {
    /// The time at which it was queued.
    pub time: UnixSeconds,
    /// Size in bytes, padding included.
    pub size: usize,
}

/// Everything that the server can disclose about an account. The list is complete: another field here would need
/// another column in the server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Disclosure {
    /// The order.
    pub order: Order,
    /// The telephone number, or other name, of the account.
    pub account: String,
    /// The time at which the account was opened.
    pub opened: UnixSeconds,
    /// The account's public identity, 128 bytes in hexadecimal, which everybody who writes to the account receives.
    pub identity: String,
    /// Number of one-time prekeys that have not been handed out yet.
    pub one_time_prekeys_left: usize,
    /// Times and network addresses at which the owner connected to the server, within the period.
    pub contacts: Vec<Contact>,
    /// Times and sizes of queued messages, within the period.
    pub queued: Vec<Queued>,
    /// The data that cannot be disclosed, and why.
    pub not_held: Vec<&'static str>,
}

impl Disclosure {
    pub(super) fn of(name: &AccountName, account: &Account, order: &Order) -> Self {
        let asked = |time: UnixSeconds| (order.from..=order.until).contains(&time);
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
        writeln!(f, "Answer to the order {}", order.reference)?;
        writeln!(f, "  account            {account}")?;
        writeln!(f, "  opened             {opened}")?;
        writeln!(f, "  public identity    {identity}")?;
        writeln!(f, "  one-time prekeys   {one_time_prekeys_left} left")?;
        writeln!(f, "  contacts           {}", contacts.len())?;
        for Contact { time, address } in contacts {
            writeln!(f, "    {time}  {address}")?;
        }
        writeln!(f, "  queued messages    {}", queued.len())?;
        for Queued { time, size } in queued {
            writeln!(f, "    {time}  {size} bytes, sealed")?;
        }
        writeln!(f, "Not held, so it cannot be disclosed:")?;
        not_held.iter().try_for_each(|line| writeln!(f, "  - {line}"))
    }
}
