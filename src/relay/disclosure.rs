// SPDX-License-Identifier: MIT OR Apache-2.0
//! The server's answer to a court order.

use super::account::{Account, AccountName, Contact, HeldContact};
use super::directory::Directory;
use super::mailbox::{Mailbox, QueuedEnvelope};
use super::period::{Day, Period};
use crate::prekeys::{Prekey, PrekeyId};
use crate::time::UnixSeconds;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// The data that cannot be disclosed, and why.
pub const NOT_HELD: [&str; 6] = [
    "decryption keys: they are made, used and destroyed on the users' devices",
    "the content of messages: it is sealed under those keys",
    "who wrote a queued message: the sender is inside the seal",
    "messages already delivered, and how many there were: they are deleted when acknowledged",
    "who asked for the account's prekeys: nobody is asked for a name, and no address is stored",
    "the access key: only its hash is stored; all correspondents have the same one, and it opens nothing",
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

/// A queued message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Queued {
    /// The random number by which its owner acknowledges it.
    pub number: u64,
    /// The first second of the day (UTC) on which it was queued. The time of day is not held.
    pub time: UnixSeconds,
    /// Whether the sender had the account's access key, which all correspondents have.
    pub with_access_key: bool,
    /// Size in bytes, padding included.
    pub size: usize,
    /// The sealed message in hexadecimal.
    pub sealed: String,
}

/// A public prekey that the server hands out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct DisclosedPrekey {
    /// The device's random id for it.
    pub id: PrekeyId,
    /// The last second at which a session may be initiated with it.
    pub expiry: UnixSeconds,
    /// The encoded public prekey, [`PREKEY_LEN`](crate::PREKEY_LEN) bytes in hexadecimal.
    pub encoded: String,
}

impl DisclosedPrekey {
    fn of(prekey: &Prekey) -> Self {
        Self { id: prekey.id(), expiry: prekey.expiry(), encoded: hex(&prekey.to_bytes()) }
    }
}

/// Everything that the server holds about an account. The list is complete: [`Relay::state_bytes`] can be computed from
/// the disclosures of all accounts, and another field in the server does not compile without one here.
///
/// [`Relay::state_bytes`]: super::Relay::state_bytes
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Disclosure {
    /// The order.
    pub order: Order,
    /// The telephone number, or other name, of the account.
    pub account: String,
    /// The first second of the day (UTC) on which the account was opened.
    pub opened: UnixSeconds,
    /// The account's public identity, 128 bytes in hexadecimal, which everybody who writes to the account receives.
    pub identity: String,
    /// The public signed prekey, which everybody who writes to the account receives.
    pub signed_prekey: DisclosedPrekey,
    /// The public one-time prekeys that have not been handed out, in the order of publication.
    pub one_time_prekeys: Vec<DisclosedPrekey>,
    /// The start of the ten minutes in which the full number of one-time prekeys may be handed out again: ten minutes
    /// later for each one that was handed out lately. `None` if the server holds nothing about requests.
    pub requests_limited_until: Option<UnixSeconds>,
    /// The hash of the access key that all correspondents have, 32 bytes in hexadecimal.
    pub access_key_hash: String,
    /// Days and network addresses at which the owner connected to the server, within the period.
    pub contacts: Vec<Contact>,
    /// Queued messages, within the period, oldest first.
    pub queued: Vec<Queued>,
    /// The data that cannot be disclosed, and why.
    pub not_held: Vec<&'static str>,
}

impl Disclosure {
    pub(super) fn of(name: &AccountName, account: &Account, order: &Order) -> Self {
        let asked = |day: Day| day.begins() <= order.until && day.ends() >= order.from;
        // Destructured, so that a new field must be disclosed too.
        let Account { opened, access, directory, mailbox, contacts } = account;
        let Directory { identity, signed_prekey, one_time_prekeys, full_again } = directory;
        let Mailbox { queue } = mailbox;
        let contacts = contacts.iter().filter(|contact| asked(contact.day.0)).map(|contact| {
            let HeldContact { day, address } = contact;
            Contact { time: day.0.begins(), address: address.0 }
        });
        let queued = queue.iter().filter(|queued| asked(queued.day.0)).map(|queued| {
            let QueuedEnvelope { number, day, with_key, envelope } = queued;
            let sealed = envelope.0.as_bytes();
            Queued {
                number: number.0,
                time: day.0.begins(),
                with_access_key: with_key.0,
                size: sealed.len(),
                sealed: hex(sealed),
            }
        });
        Self {
            order: order.clone(),
            account: name.as_str().into(),
            opened: opened.0.begins(),
            identity: hex(&identity.0.to_bytes()),
            signed_prekey: DisclosedPrekey::of(&signed_prekey.0),
            one_time_prekeys: one_time_prekeys.iter().map(|prekey| DisclosedPrekey::of(&prekey.0)).collect(),
            requests_limited_until: (full_again.0 != Period::NONE).then(|| full_again.0.begins()),
            access_key_hash: hex(&access.0.to_bytes()),
            contacts: contacts.collect(),
            queued: queued.collect(),
            not_held: NOT_HELD.to_vec(),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or_default();
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 0xF));
    }
    text
}

impl fmt::Display for Disclosure {
    /// Writes everything except the bytes of prekeys and sealed messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            order,
            account,
            opened,
            identity,
            signed_prekey,
            one_time_prekeys,
            requests_limited_until,
            access_key_hash,
            contacts,
            queued,
            not_held,
        } = self;
        writeln!(f, "Answer to the order {}", order.reference)?;
        writeln!(f, "  account            {account}")?;
        writeln!(f, "  opened             {opened}, to the day")?;
        writeln!(f, "  public identity    {identity}")?;
        writeln!(f, "  signed prekey      {}, expires {}", signed_prekey.id, signed_prekey.expiry)?;
        writeln!(f, "  one-time prekeys   {} left", one_time_prekeys.len())?;
        for prekey in one_time_prekeys {
            writeln!(f, "    {}, expires {}", prekey.id, prekey.expiry)?;
        }
        match requests_limited_until {
            Some(time) => writeln!(f, "  prekeys limited    until {time}, to ten minutes")?,
            None => writeln!(f, "  prekeys limited    no")?,
        }
        writeln!(f, "  access key's hash  {access_key_hash}")?;
        writeln!(f, "  contacts           {}, to the day", contacts.len())?;
        for Contact { time, address } in contacts {
            writeln!(f, "    {time}  {address}")?;
        }
        writeln!(f, "  queued messages    {}, to the day", queued.len())?;
        for Queued { number, time, with_access_key, size, sealed: _ } in queued {
            let key = if *with_access_key { "with" } else { "without" };
            writeln!(f, "    {time}  {size} bytes, sealed, number {number}, {key} the access key")?;
        }
        writeln!(f, "Not held, so it cannot be disclosed:")?;
        not_held.iter().try_for_each(|line| writeln!(f, "  - {line}"))
    }
}
