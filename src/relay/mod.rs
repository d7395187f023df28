// SPDX-License-Identifier: MIT OR Apache-2.0
//! The whole of what a server may hold and do: a directory of prekeys, mailboxes, and what it can disclose.
//!
//! [`Relay`] is a pure state machine: no I/O, no clock, no randomness. A server is this and a transport. What it holds
//! goes through [`Public`], a sealed trait that no secret type has, so that handing it a key does not compile; and an
//! envelope is made of nothing but a message.
//!
//! ```
//! use noescrow::relay::{AccountName, Order, Relay};
//! # use noescrow::Device;
//! # use rand_chacha::rand_core::SeedableRng;
//! # let mut rng = rand_chacha::ChaCha20Rng::seed_from_u64(0);
//! # let (now, next_month) = (1_800_000_000, 1_802_592_000);
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
//! Not the concern of this module: transport, proof that a client owns its account, persistence, several devices.

mod account;
mod directory;
mod disclosure;
mod mailbox;

pub use account::{AccountName, Contact, MAX_ACCOUNT_NAME_LEN, MAX_CONTACTS};
pub use directory::{MAX_ONE_TIME_PREKEYS, ONE_TIME_BURST, ONE_TIME_INTERVAL};
pub use disclosure::{Disclosure, NOT_HELD, Order, Queued};
pub use mailbox::{Envelope, MAX_ENVELOPE_LEN, MAX_QUEUE_BYTES, MAX_QUEUE_LEN, Received};

use crate::identity::Identity;
use crate::prekeys::{Bundle, Prekey, Publication};
use account::Account;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::IpAddr;

mod sealed {
    pub trait Sealed {}
}

/// What a server may hold. Sealed: implemented for public things, and for nothing else.
///
/// # Security
/// `Secret`, `Device`, `Session`, `StorageKey` and plain bytes do not have it; tests show that handing one in does not
/// compile.
pub trait Public: sealed::Sealed {
    /// Appends every byte of the value.
    #[doc(hidden)]
    fn write(&self, out: &mut Vec<u8>);
}

macro_rules! public {
    ($($type:ty => |$value:ident, $out:ident| $write:expr;)+) => {$(
        impl sealed::Sealed for $type {}
        impl Public for $type {
            fn write(&self, $out: &mut Vec<u8>) {
                let $value = self;
                $write;
            }
        }
    )+};
}

public! {
    Identity => |identity, out| out.extend_from_slice(&identity.to_bytes());
    Prekey => |prekey, out| out.extend_from_slice(&prekey.to_bytes());
    AccountName => |name, out| write_bytes(name.as_str().as_bytes(), out);
    Envelope => |envelope, out| write_bytes(envelope.as_bytes(), out);
    IpAddr => |address, out| match address {
        IpAddr::V4(v4) => write_bytes(&v4.octets(), out),
        IpAddr::V6(v6) => write_bytes(&v6.octets(), out),
    };
    u64 => |number, out| out.extend_from_slice(&number.to_be_bytes());
}

/// Length (8 bytes), then the bytes.
fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// A value that the server stores. The only container it has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Held<T: Public>(T);

/// Why the relay refused. It is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RelayError {
    /// No such account.
    UnknownAccount,
    /// An account's name is empty, too long, or has control characters.
    BadAccountName,
    /// The account has another identity; it changes only by [`Relay::replace_identity`].
    IdentityChanged,
    /// A prekey is of the wrong kind or of another identity, or two have one id.
    BadPublication,
    /// The account has [`MAX_ONE_TIME_PREKEYS`].
    TooManyPrekeys,
    /// Not a message, or longer than [`MAX_ENVELOPE_LEN`].
    BadEnvelope,
    /// The mailbox has [`MAX_QUEUE_LEN`] envelopes or [`MAX_QUEUE_BYTES`].
    MailboxFull,
}

impl core::fmt::Display for RelayError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::UnknownAccount => "unknown account",
            Self::BadAccountName => "not an account name",
            Self::IdentityChanged => "the account has another identity",
            Self::BadPublication => "prekeys of the wrong kind or of another identity, or two with one id",
            Self::TooManyPrekeys => "too many one-time prekeys",
            Self::BadEnvelope => "not a message",
            Self::MailboxFull => "mailbox full",
        })
    }
}

impl core::error::Error for RelayError {}

/// A server's state, all of it: accounts, each with its prekeys, its mailbox, and the addresses it was seen at.
#[derive(Clone, Debug, Default)]
pub struct Relay {
    accounts: BTreeMap<Held<AccountName>, Account>,
}

impl Relay {
    /// Stores what a device published; opens the account if there is none. Records the owner's address and the time.
    ///
    /// # Errors
    /// [`RelayError`], if the identity is not the account's, an id is there already, or there are too many prekeys.
    pub fn publish(
        &mut self,
        account: &AccountName,
        publication: Publication,
        address: IpAddr,
        now: u64,
    ) -> Result<(), RelayError> {
        match self.accounts.get_mut(account) {
            Some(known) => {
                known.directory.publish(publication)?;
                known.saw(address, now);
            }
            None => {
                let mut opened = Account::open(publication, now)?;
                opened.saw(address, now);
                self.accounts.insert(Held(account.clone()), opened);
            }
        }
        Ok(())
    }

    /// Gives the account to another identity: its prekeys and waiting messages, which nobody could read any more, go.
    /// Those who knew the old identity see another safety number.
    ///
    /// # Errors
    /// [`RelayError`], as [`publish`](Self::publish).
    pub fn replace_identity(
        &mut self,
        account: &AccountName,
        publication: Publication,
        address: IpAddr,
        now: u64,
    ) -> Result<(), RelayError> {
        let known = self.accounts.get_mut(account).ok_or(RelayError::UnknownAccount)?;
        let mut opened = Account::open(publication, now)?;
        opened.contacts = core::mem::take(&mut known.contacts);
        opened.saw(address, now);
        *known = opened;
        Ok(())
    }

    /// A bundle of the account, for anybody. A one-time prekey is handed out once; when they are used up, or asked for
    /// faster than [`ONE_TIME_INTERVAL`], the bundle has none (attack B10). Who asks is not recorded.
    ///
    /// # Errors
    /// [`RelayError::UnknownAccount`].
    pub fn fetch(&mut self, account: &AccountName, now: u64) -> Result<Bundle, RelayError> {
        self.accounts.get_mut(account).ok_or(RelayError::UnknownAccount)?.directory.fetch(now)
    }

    /// One-time prekeys that have not been handed out.
    ///
    /// # Errors
    /// [`RelayError::UnknownAccount`].
    pub fn one_time_prekeys_left(&self, account: &AccountName) -> Result<usize, RelayError> {
        self.account(account).map(|known| known.directory.one_time_prekeys_left())
    }

    /// Queues an envelope for the account. Who sent it, and from where, is neither asked nor recorded.
    ///
    /// # Errors
    /// [`RelayError`], if there is no such account or its mailbox is full.
    pub fn deliver(&mut self, account: &AccountName, envelope: Envelope, now: u64) -> Result<(), RelayError> {
        self.accounts.get_mut(account).ok_or(RelayError::UnknownAccount)?.mailbox.deliver(envelope, now)
    }

    /// What waits for the account, oldest first; it stays until acknowledged. Records the owner's address and the time.
    ///
    /// # Errors
    /// [`RelayError::UnknownAccount`].
    pub fn pending<'a>(
        &'a mut self,
        account: &AccountName,
        address: IpAddr,
        now: u64,
    ) -> Result<impl Iterator<Item = Received<'a>> + use<'a>, RelayError> {
        let known = self.accounts.get_mut(account).ok_or(RelayError::UnknownAccount)?;
        known.saw(address, now);
        Ok(known.mailbox.pending())
    }

    /// Deletes an envelope that its owner has safely received. True if it was there.
    ///
    /// # Errors
    /// [`RelayError::UnknownAccount`].
    pub fn acknowledge(&mut self, account: &AccountName, number: u64) -> Result<bool, RelayError> {
        let known = self.accounts.get_mut(account).ok_or(RelayError::UnknownAccount)?;
        Ok(known.mailbox.acknowledge(number))
    }

    /// What a court order for this account yields: everything that the server can say about it.
    ///
    /// # Errors
    /// [`RelayError::UnknownAccount`].
    pub fn disclose(&self, account: &AccountName, order: &Order) -> Result<Disclosure, RelayError> {
        Ok(Disclosure::of(account, self.account(account)?, order))
    }

    /// Every byte that the server holds, for an audit: for each account its name, directory, mailbox and contacts, each
    /// value as its encoding, numbers in 8 bytes, variable ones behind their length in 8 bytes.
    #[must_use]
    pub fn state_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        // Taken apart, so that a new field has to be written too.
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

impl core::borrow::Borrow<AccountName> for Held<AccountName> {
    fn borrow(&self) -> &AccountName {
        &self.0
    }
}

#[cfg(test)]
mod tests;
