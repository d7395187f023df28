// SPDX-License-Identifier: MIT OR Apache-2.0
//! Everything that a server may hold and do: a directory of prekeys, mailboxes, and what it can disclose.
//!
//! [`Relay`] is a pure state machine without I/O, clock or randomness. A server consists of this and a transport. Every
//! value that it holds has the sealed trait [`Public`], which no secret type has, so that passing it a key does not
//! compile. An envelope can only be made from a message.
//!
//! ```
//! use noescrow::relay::{AccountName, Order, Relay};
//! # use noescrow::{Device, UnixSeconds};
//! # use rand_chacha::rand_core::SeedableRng;
//! # let mut rng = rand_chacha::ChaCha20Rng::seed_from_u64(0);
//! # let (now, next_month) = (UnixSeconds(1_800_000_000), UnixSeconds(1_802_592_000));
//! let address = "192.0.2.7".parse().unwrap();
//! let bob = AccountName::new("+14152222222")?;
//! let mut relay = Relay::default();
//! let mut device = Device::generate(next_month, &mut rng);
//! relay.publish(&bob, device.publish(100, next_month, &mut rng)?, address, now)?;
//! let bundle = relay.fetch(&bob, now)?;
//! assert_eq!(relay.one_time_prekeys_left(&bob)?, 99);
//! println!("{}", relay.disclose(&bob, &Order::new("A40-12345/2018"))?);
//! # let _ = bundle;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! This module is not concerned with transport, proof that a client owns its account, persistence, and several devices.

mod account;
mod directory;
mod disclosure;
mod error;
mod mailbox;
mod public;
mod sealed;

pub use account::{AccountName, Contact, MAX_ACCOUNT_NAME_LEN, MAX_CONTACTS};
pub use directory::{MAX_ONE_TIME_PREKEYS, ONE_TIME_BURST, ONE_TIME_INTERVAL};
pub use disclosure::{Disclosure, NOT_HELD, Order, Queued};
pub use error::RelayError;
pub use mailbox::{Envelope, MAX_ENVELOPE_LEN, MAX_QUEUE_BYTES, MAX_QUEUE_LEN, Received};
pub use public::Public;

use crate::prekeys::{Bundle, Publication};
use crate::time::UnixSeconds;
use account::Account;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::IpAddr;
use public::Held;

/// A server's complete state: accounts, each with its prekeys, its mailbox, and the addresses from which its owner
/// connected.
#[derive(Clone, Debug, Default)]
pub struct Relay {
    accounts: BTreeMap<Held<AccountName>, Account>,
}

impl Relay {
    /// Stores a device's publication, and opens the account if there is none. Records the owner's address and the time.
    ///
    /// # Errors
    /// [`RelayError`], if the identity is not the account's, an id is already stored, or there are too many prekeys.
    pub fn publish(
        &mut self,
        account: &AccountName,
        publication: Publication,
        address: IpAddr,
        now: UnixSeconds,
    ) -> Result<(), RelayError> {
        match self.accounts.get_mut(account) {
            Some(known) => {
                known.directory.publish(publication)?;
                known.record_contact(address, now);
            }
            None => {
                let mut opened = Account::open(publication, now)?;
                opened.record_contact(address, now);
                self.accounts.insert(Held(account.clone()), opened);
            }
        }
        Ok(())
    }

    /// Gives the account to another identity. Its prekeys and queued messages, which nobody could read any more, are
    /// deleted. People who knew the old identity see another safety number.
    ///
    /// # Errors
    /// [`RelayError`], as in [`publish`](Self::publish).
    pub fn replace_identity(
        &mut self,
        account: &AccountName,
        publication: Publication,
        address: IpAddr,
        now: UnixSeconds,
    ) -> Result<(), RelayError> {
        let known = self.accounts.get_mut(account).ok_or(RelayError::UnknownAccount)?;
        let mut opened = Account::open(publication, now)?;
        opened.contacts = core::mem::take(&mut known.contacts);
        opened.record_contact(address, now);
        *known = opened;
        Ok(())
    }

    /// Returns a bundle of the account to anybody. A one-time prekey is handed out once. When they are used up, or
    /// requested faster than [`ONE_TIME_INTERVAL`] allows, the bundle has none (attack B10). The relay does not record
    /// who asks.
    ///
    /// # Errors
    /// [`RelayError::UnknownAccount`].
    pub fn fetch(&mut self, account: &AccountName, now: UnixSeconds) -> Result<Bundle, RelayError> {
        self.accounts.get_mut(account).ok_or(RelayError::UnknownAccount)?.directory.fetch(now)
    }

    /// Returns the number of one-time prekeys that have not been handed out.
    ///
    /// # Errors
    /// [`RelayError::UnknownAccount`].
    pub fn one_time_prekeys_left(&self, account: &AccountName) -> Result<usize, RelayError> {
        self.account(account).map(|known| known.directory.one_time_prekeys_left())
    }

    /// Queues an envelope for the account. The relay neither asks nor records who sent it, and from where.
    ///
    /// # Errors
    /// [`RelayError`], if there is no such account or its mailbox is full.
    pub fn deliver(&mut self, account: &AccountName, envelope: Envelope, now: UnixSeconds) -> Result<(), RelayError> {
        self.accounts.get_mut(account).ok_or(RelayError::UnknownAccount)?.mailbox.deliver(envelope, now)
    }

    /// Returns the envelopes queued for the account, oldest first. They stay until acknowledged. Records the owner's
    /// address and the time.
    ///
    /// # Errors
    /// [`RelayError::UnknownAccount`].
    pub fn pending<'a>(
        &'a mut self,
        account: &AccountName,
        address: IpAddr,
        now: UnixSeconds,
    ) -> Result<impl Iterator<Item = Received<'a>> + use<'a>, RelayError> {
        let known = self.accounts.get_mut(account).ok_or(RelayError::UnknownAccount)?;
        known.record_contact(address, now);
        Ok(known.mailbox.pending())
    }

    /// Deletes an envelope that its owner has safely received. Returns whether it was queued.
    ///
    /// # Errors
    /// [`RelayError::UnknownAccount`].
    pub fn acknowledge(&mut self, account: &AccountName, number: u64) -> Result<bool, RelayError> {
        let known = self.accounts.get_mut(account).ok_or(RelayError::UnknownAccount)?;
        Ok(known.mailbox.acknowledge(number))
    }

    /// Returns what a court order for this account yields: everything that the server can disclose about it.
    ///
    /// # Errors
    /// [`RelayError::UnknownAccount`].
    pub fn disclose(&self, account: &AccountName, order: &Order) -> Result<Disclosure, RelayError> {
        Ok(Disclosure::of(account, self.account(account)?, order))
    }

    /// Returns every byte that the server holds, for an audit: for each account its name, directory, mailbox and
    /// contacts. Each value has its own encoding, numbers have 8 bytes, and the length (8 bytes) precedes values of
    /// variable length.
    #[must_use]
    pub fn state_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        // Destructured, so that a new field must be written too.
        let Self { accounts } = self;
        for (Held(name), account) in accounts {
            name.write(&mut out);
            account.write(&mut out);
        }
        out
    }

    fn account(&self, account: &AccountName) -> Result<&Account, RelayError> {
        self.accounts.get(account).ok_or(RelayError::UnknownAccount)
    }
}

#[cfg(test)]
mod tests;
