// SPDX-License-Identifier: MIT OR Apache-2.0
//! Everything that a server may hold and do: a directory of prekeys, mailboxes, and what it can disclose.
//!
//! [`Relay`] is a pure state machine without I/O and clock; the caller supplies time and randomness. A server consists
//! of this and a transport. Every value that it holds has the sealed trait [`Public`], which no secret type has, so
//! that passing it a key does not compile. An envelope can only be made from a message. [`Relay::disclose`] returns
//! every value that is held of an account (spec/leakage.md §5).
//!
//! ```
//! use noescrow::Publication;
//! use noescrow::primitives::RustCrypto;
//! use noescrow::relay::{AccountName, Envelope, Order, Relay};
//! # use noescrow::{AccessKey, Device, UnixSeconds};
//! # use rand_chacha::rand_core::SeedableRng;
//! # let mut rng = rand_chacha::ChaCha20Rng::seed_from_u64(0);
//! # let now = UnixSeconds(1_800_000_000);
//! let address = "192.0.2.7".parse().unwrap();
//! let bob = AccountName::new("+14152222222")?;
//! let mut relay = Relay::default();
//! // Bob's device. Bob sends the access key to each correspondent; the server gets its hash, and the publication as bytes.
//! let mut device = Device::generate(now, &mut rng);
//! let access_key = AccessKey::generate(&mut rng);
//! let upload = device.publish(100, now, &mut rng)?.to_bytes();
//! // The server verifies every signature in it.
//! let publication = Publication::from_bytes(&RustCrypto, &upload)?;
//! relay.open(&bob, publication, access_key.hash(), address, now)?;
//! // Somebody who wants to write to Bob.
//! let bundle = relay.fetch(&bob, now)?;
//! assert_eq!(relay.one_time_prekeys_left(&bob, now)?, 99);
//! # let _ = bundle;
//! # let message = { let mut message = vec![0; 200]; message[0] = 0x12; message };
//! relay.deliver(&bob, Envelope::new(message)?, Some(&access_key), now, &mut rng)?;
//! println!("{}", relay.disclose(&bob, &Order::new("A40-12345/2018"))?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! This module is not concerned with transport, persistence, several devices, and proof that a client owns its account.
//! [`Relay::fetch`] and [`Relay::deliver`] are for everybody. Before every other request a server calls
//! [`Identity::verify_login`](crate::Identity::verify_login): under the account's identity, for [`Relay::open`] and
//! [`Relay::replace_identity`] under that of the publication, and for the latter it also demands what its owner keeps for
//! this case, for example a recovery code. The check and the act are one transaction, or somebody acts on an account that
//! is another's by then.

mod account;
mod directory;
mod disclosure;
mod error;
mod mailbox;
mod period;
mod public;
mod sealed;

pub use account::{AccountName, Contact, MAX_ACCOUNT_NAME_LEN, MAX_CONTACTS, RETENTION};
pub use directory::{MAX_ONE_TIME_PREKEYS, ONE_TIME_BURST};
pub use disclosure::{DisclosedPrekey, Disclosure, NOT_HELD, Order, Queued};
pub use error::RelayError;
pub use mailbox::{
    Envelope, MAX_ENVELOPE_LEN, MAX_QUEUE_BYTES, MAX_QUEUE_LEN, MAX_STRANGERS_BYTES, MAX_STRANGERS_LEN, Received,
};
pub use period::ONE_TIME_INTERVAL;
pub use public::Public;

use crate::access::{AccessKey, AccessKeyHash};
use crate::prekeys::{Bundle, Prekey, PrekeyId, Publication};
use crate::time::UnixSeconds;
use account::Account;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::IpAddr;
use public::Held;
use rand_core::CryptoRng;

/// A server's complete state: accounts, each with its prekeys, its mailbox, the hash of its access key, and the
/// addresses from which its owner connected.
#[derive(Clone, Debug, Default)]
pub struct Relay {
    accounts: BTreeMap<Held<AccountName>, Account>,
}

impl Relay {
    /// Opens an account with a device's first publication and the hash of the account's access key. Records the owner's
    /// address and the day.
    ///
    /// # Errors
    /// [`RelayError`], if there is such an account, a prekey is not the identity's, or there are too many.
    pub fn open(
        &mut self,
        account: &AccountName,
        publication: Publication,
        access: AccessKeyHash,
        address: IpAddr,
        now: UnixSeconds,
    ) -> Result<(), RelayError> {
        if self.accounts.contains_key(account) {
            return Err(RelayError::AccountExists);
        }
        let mut opened = Account::open(publication, access, now)?;
        opened.record_contact(address, now);
        self.accounts.insert(Held(account.clone()), opened);
        Ok(())
    }

    /// Stores a device's publication; one-time prekeys that are held already are not stored twice. Records the owner's
    /// address and the day.
    ///
    /// Publications must arrive in the order in which the device made them: an older one puts back an older signed
    /// prekey, which the device deletes in time.
    ///
    /// # Errors
    /// [`RelayError`], if there is no such account, the identity is not the account's, another prekey has an id of
    /// these, or there are too many prekeys.
    pub fn publish(
        &mut self,
        account: &AccountName,
        publication: Publication,
        address: IpAddr,
        now: UnixSeconds,
    ) -> Result<(), RelayError> {
        let known = self.account_mut(account)?;
        known.directory.publish(publication, now)?;
        known.record_contact(address, now);
        Ok(())
    }

    /// Replaces the access key's hash, after somebody was blocked; see [`AccessKey`]. Queued messages stay. Records the
    /// owner's address and the day.
    ///
    /// # Errors
    /// [`RelayError::UnknownAccount`].
    pub fn rotate_access_key(
        &mut self,
        account: &AccountName,
        access: AccessKeyHash,
        address: IpAddr,
        now: UnixSeconds,
    ) -> Result<(), RelayError> {
        let known = self.account_mut(account)?;
        known.access = Held(access);
        known.record_contact(address, now);
        Ok(())
    }

    /// Gives the account to another identity, with another access key. Its prekeys and queued messages, which nobody
    /// could read any more, are deleted. The day on which the account was opened, contacts and the limit of requests
    /// stay. People who knew the old identity see another safety number.
    ///
    /// # Errors
    /// [`RelayError`], as in [`publish`](Self::publish).
    pub fn replace_identity(
        &mut self,
        account: &AccountName,
        publication: Publication,
        access: AccessKeyHash,
        address: IpAddr,
        now: UnixSeconds,
    ) -> Result<(), RelayError> {
        let known = self.account_mut(account)?;
        known.replace_identity(publication, access)?;
        known.record_contact(address, now);
        Ok(())
    }

    /// Returns a bundle of the account to anybody. A one-time prekey is handed out once, and never after it expired.
    /// When none is left, the signed prekey has expired, or more are requested than [`ONE_TIME_BURST`] and then one
    /// each [`ONE_TIME_INTERVAL`], the bundle has none (attack B10). The relay does not record who asks. When somebody
    /// asked is held to ten minutes, until the limit does not need it any more.
    ///
    /// # Errors
    /// [`RelayError::UnknownAccount`].
    pub fn fetch(&mut self, account: &AccountName, now: UnixSeconds) -> Result<Bundle, RelayError> {
        self.account_mut(account)?.directory.fetch(now)
    }

    /// Returns the number of one-time prekeys that have been neither handed out nor expired.
    ///
    /// # Errors
    /// [`RelayError::UnknownAccount`].
    pub fn one_time_prekeys_left(&self, account: &AccountName, now: UnixSeconds) -> Result<usize, RelayError> {
        self.account(account).map(|known| known.directory.listed(now).count())
    }

    /// Returns the ids of the one-time prekeys that have been neither handed out nor expired. The owner's device keeps
    /// the private halves of these. They are what [`Device::replenish`](crate::Device::replenish) takes as `server_has`.
    ///
    /// # Errors
    /// [`RelayError::UnknownAccount`].
    pub fn one_time_prekey_ids(&self, account: &AccountName, now: UnixSeconds) -> Result<Vec<PrekeyId>, RelayError> {
        self.account(account).map(|known| known.directory.listed(now).map(Prekey::id).collect())
    }

    /// Deletes one-time prekeys that the device does not have, for example after it was restored, or does not want to be
    /// used; see [`Device::unknown_one_time_prekeys`](crate::Device::unknown_one_time_prekeys). Other ids are ignored.
    /// Records the owner's address and the day.
    ///
    /// # Errors
    /// [`RelayError::UnknownAccount`].
    pub fn withdraw(
        &mut self,
        account: &AccountName,
        ids: &[PrekeyId],
        address: IpAddr,
        now: UnixSeconds,
    ) -> Result<(), RelayError> {
        let known = self.account_mut(account)?;
        known.directory.withdraw(ids);
        known.record_contact(address, now);
        Ok(())
    }

    /// Queues an envelope for the account. The relay neither asks nor records who sent it, and from where. An envelope
    /// has at most [`MAX_ENVELOPE_LEN`] bytes, 16 MiB, although a plaintext may have
    /// [1 GiB](crate::session::MAX_PLAINTEXT_LEN): send larger data in parts, or by another way.
    ///
    /// An envelope with the account's access key counts against [`MAX_QUEUE_LEN`] and [`MAX_QUEUE_BYTES`]. Without it,
    /// or with another key, only first messages are accepted, up to [`MAX_STRANGERS_LEN`] and [`MAX_STRANGERS_BYTES`]:
    /// strangers cannot block the account for correspondents.
    ///
    /// An envelope that is sent again is queued again, and its receiver refuses the second one
    /// ([`AlreadyOpened`](crate::messenger::Refusal::AlreadyOpened)). A server that finds messages by a hash can
    /// queue it once, as `examples/messenger` does.
    ///
    /// The number by which the envelope is acknowledged, 8 bytes, is drawn from `rng`. With a stuck generator numbers
    /// are still distinct, but reveal the order.
    ///
    /// # Errors
    /// [`RelayError`], if there is no such account, the access key is missing, the envelope is longer than what strangers may
    /// send, or the quota is used up.
    ///
    /// # Leaks
    /// Whether the key is the account's. The time does not depend on where it differs.
    pub fn deliver(
        &mut self,
        account: &AccountName,
        envelope: Envelope,
        access: Option<&AccessKey>,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<(), RelayError> {
        let known = self.account_mut(account)?;
        let with_key = access.is_some_and(|key| known.access.0.admits(key));
        known.mailbox.deliver(envelope, with_key, now, rng)
    }

    /// Returns the envelopes queued for the account, oldest first. They stay until acknowledged. Records the owner's
    /// address and the day, and deletes the period of past requests for prekeys if the limit does not need it.
    ///
    /// # Errors
    /// [`RelayError::UnknownAccount`].
    pub fn pending<'a>(
        &'a mut self,
        account: &AccountName,
        address: IpAddr,
        now: UnixSeconds,
    ) -> Result<impl Iterator<Item = Received<'a>> + use<'a>, RelayError> {
        let known = self.account_mut(account)?;
        known.record_contact(address, now);
        known.directory.forget_requests(now);
        Ok(known.mailbox.pending())
    }

    /// Deletes an envelope that its owner has safely received. Returns whether it was queued.
    ///
    /// # Errors
    /// [`RelayError::UnknownAccount`].
    pub fn acknowledge(&mut self, account: &AccountName, number: u64) -> Result<bool, RelayError> {
        Ok(self.account_mut(account)?.mailbox.acknowledge(number))
    }

    /// Deletes what the server need not hold any longer: envelopes and contacts older than [`RETENTION`], expired
    /// one-time prekeys, and the periods of past requests for prekeys. A server calls this at least once a day, with a
    /// time that it trusts: one reading in a distant future deletes all envelopes.
    pub fn forget(&mut self, now: UnixSeconds) {
        self.accounts.values_mut().for_each(|account| account.forget(now));
    }

    /// Returns what a court order for this account yields: everything that the server holds about it. Contacts and
    /// queued messages are those of the days that the order's period touches.
    ///
    /// # Errors
    /// [`RelayError::UnknownAccount`].
    pub fn disclose(&self, account: &AccountName, order: &Order) -> Result<Disclosure, RelayError> {
        Ok(Disclosure::of(account, self.account(account)?, order))
    }

    /// Returns every byte that the server holds, for an audit: for each account its name, the day on which it
    /// was opened, access key's hash, directory, mailbox and contacts. Each value has its own encoding, numbers have 8
    /// bytes, flags 1, and the length (8 bytes) precedes values of variable length.
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

    fn account_mut(&mut self, account: &AccountName) -> Result<&mut Account, RelayError> {
        self.accounts.get_mut(account).ok_or(RelayError::UnknownAccount)
    }

    fn account(&self, account: &AccountName) -> Result<&Account, RelayError> {
        self.accounts.get(account).ok_or(RelayError::UnknownAccount)
    }
}

#[cfg(test)]
mod tests;
