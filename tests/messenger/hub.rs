// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Hub`]: a server in memory, and [`Line`], the connection of one account to it, with faults.

use super::shared::Shared;
use super::waiting::Gate;
use noescrow::durable::OutboxMessage;
use noescrow::messenger::exchange::{Delivery, Server};
use noescrow::messenger::{LOGIN_NONCE_LEN, Peer};
use noescrow::primitives::RustCrypto;
use noescrow::{Bundle, Identity, Prekey, PrekeyId, Publication, is_first_message};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

type Nonce = [u8; LOGIN_NONCE_LEN];

/// Where the connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The server does not get the request.
    Request,
    /// It does what is asked, and its answer is lost.
    Answer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Down;

impl fmt::Display for Down {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("connection lost")
    }
}

#[derive(Default)]
pub struct Account {
    pub identity: Option<Identity>,
    pub signed_prekey: Option<Prekey>,
    pub one_time_prekeys: Vec<Prekey>,
    pub nonce: Option<Nonce>,
    pub mail: Vec<(u64, Vec<u8>)>,
    /// Number of one-time prekeys in the last upload.
    pub uploaded: usize,
    /// What the server says of messages to this account, if it does not take them.
    pub refuses: Option<Delivery>,
    /// Whose messages, besides first ones, it takes for want of the access key: nobody's.
    pub is_without_key: bool,
}

#[derive(Default)]
pub struct Hub {
    pub accounts: BTreeMap<Vec<u8>, Account>,
    pub next: u64,
    /// Control: it deletes mail before it is acknowledged.
    pub deletes_at_once: bool,
    /// It does not delete mail, and returns the same page again and again.
    pub repeats: bool,
    /// Number of messages that it makes up, one for each request for mail.
    pub makes_up: u64,
}

pub struct Line {
    pub hub: Rc<RefCell<Hub>>,
    pub name: Vec<u8>,
    /// Whether and where the next requests are cut.
    pub cuts: VecDeque<Option<Cut>>,
    /// The requests, each with the locks of the store that were held.
    pub requests: Vec<(&'static str, Vec<String>)>,
    /// The locks of the store.
    pub locks: Arc<Mutex<BTreeSet<String>>>,
    /// What its requests pass, if they are futures.
    pub gate: Rc<Gate>,
}

impl Line {
    pub fn new(hub: &Rc<RefCell<Hub>>, name: &str) -> Self {
        Self {
            hub: hub.clone(),
            name: name.into(),
            cuts: VecDeque::new(),
            requests: Vec::new(),
            locks: Arc::default(),
            gate: Rc::default(),
        }
    }

    fn request<T>(&mut self, of: &'static str, act: impl FnOnce(&mut Hub, &[u8]) -> T) -> Result<T, Down> {
        self.requests.push((of, self.locks.lock().unwrap().iter().cloned().collect()));
        let cut = self.cuts.pop_front().flatten();
        if cut == Some(Cut::Request) {
            return Err(Down);
        }
        let answer = act(&mut self.hub.borrow_mut(), &self.name);
        if cut == Some(Cut::Answer) { Err(Down) } else { Ok(answer) }
    }

    fn own<T>(&mut self, of: &'static str, act: impl FnOnce(&mut Account) -> T) -> Result<T, Down> {
        self.request(of, |hub, name| act(hub.accounts.entry(name.into()).or_default()))
    }
}

impl Server<Shared> for Line {
    type Error = Down;

    fn log_in(&mut self, sign: &mut dyn FnMut(&[u8; 32]) -> [u8; 64]) -> Result<Option<Nonce>, Down> {
        let (challenge, signature) = ([7; 32], sign(&[7; 32]));
        self.own("log_in", |account| {
            let is_owner = |identity: &Identity| identity.verify_login(&RustCrypto, &challenge, &signature).is_ok();
            assert!(account.identity.as_ref().is_none_or(is_owner), "another device has the account");
            account.nonce
        })
    }

    fn set_nonce(&mut self, nonce: &Nonce) -> Result<(), Down> {
        self.own("set_nonce", |account| account.nonce = Some(*nonce))
    }

    fn prekeys(&mut self) -> Result<Vec<PrekeyId>, Down> {
        self.own("prekeys", |account| account.one_time_prekeys.iter().map(Prekey::id).collect())
    }

    fn withdraw(&mut self, ids: &[PrekeyId]) -> Result<(), Down> {
        self.own("withdraw", |account| account.one_time_prekeys.retain(|prekey| !ids.contains(&prekey.id())))
    }

    fn publish(&mut self, publication: &Publication) -> Result<(), Down> {
        self.own("publish", |account| {
            account.identity = Some(publication.identity);
            account.signed_prekey = Some(publication.signed_prekey.clone());
            account.uploaded = publication.one_time_prekeys.len();
            let new = publication.one_time_prekeys.iter();
            let held: Vec<_> = account.one_time_prekeys.iter().map(Prekey::id).collect();
            account.one_time_prekeys.extend(new.filter(|prekey| !held.contains(&prekey.id())).cloned());
        })
    }

    fn bundle(&mut self, name: &[u8]) -> Result<Option<Bundle>, Down> {
        self.request("bundle", |hub, _| {
            let account = hub.accounts.get_mut(name)?;
            let (identity, signed_prekey) = (account.identity?, account.signed_prekey.clone()?);
            Some(Bundle::new(identity, signed_prekey, account.one_time_prekeys.pop()).unwrap())
        })
    }

    fn identity(&mut self, name: &[u8]) -> Result<Option<Identity>, Down> {
        self.request("identity", |hub, _| hub.accounts.get(name)?.identity)
    }

    fn deliver(&mut self, _: &mut Shared, to: &Peer<'_>, message: &OutboxMessage) -> Result<Delivery, Down> {
        self.request("deliver", |hub, _| {
            let Some(account) = hub.accounts.get_mut(to.name) else { return Delivery::Never };
            if let Some(refuses) = account.refuses {
                return refuses;
            }
            if account.is_without_key && !is_first_message(&message.message).unwrap() {
                return Delivery::KeyRefused;
            }
            if !account.mail.iter().any(|(_, held)| *held == message.message) {
                hub.next += 1;
                account.mail.push((hub.next, message.message.clone()));
            }
            Delivery::Taken
        })
    }

    fn mail(&mut self, after: Option<u64>) -> Result<Vec<(u64, Vec<u8>)>, Down> {
        self.request("mail", |hub, name| {
            let Some(account) = hub.accounts.get_mut(name) else { return Vec::new() };
            if hub.makes_up > 0 {
                (hub.makes_up, hub.next) = (hub.makes_up - 1, hub.next + 1);
                account.mail.push((hub.next, vec![0xFF; 40]));
            }
            let after = after.filter(|_| !hub.repeats);
            let waiting = account.mail.iter().filter(|(number, _)| after.is_none_or(|after| *number > after));
            let page: Vec<_> = waiting.take(3).cloned().collect();
            if hub.deletes_at_once {
                account.mail.retain(|held| !page.contains(held));
            }
            page
        })
    }

    fn acknowledge(&mut self, numbers: &[u64]) -> Result<(), Down> {
        self.request("acknowledge", |hub, name| {
            let account = hub.accounts.get_mut(name).filter(|_| !hub.repeats);
            account.into_iter().for_each(|account| account.mail.retain(|(number, _)| !numbers.contains(number)));
        })
    }
}
