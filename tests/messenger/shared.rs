// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Shared`]: a database with inbox and outbox that several processes have open, with faults.

use super::disk::{Broken, Disk, Fault};
use super::waiting::Gate;
use noescrow::durable::{
    Batch, Change, CommitError, Exclusive, InboxMessage, MESSAGE_ID_LEN, Mailboxes, OutboxMessage, Revision, Row,
    RowName, Store, Subject,
};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::{Arc, Mutex};

/// What another process does before a commit.
pub type Meanwhile = Box<dyn FnOnce(&Shared)>;

#[derive(Default)]
pub struct Database {
    pub disk: Disk,
    pub inbox: Vec<InboxMessage>,
    pub outbox: Vec<OutboxMessage>,
    known: BTreeSet<[u8; MESSAGE_ID_LEN]>,
    /// Number of processes that have begun.
    pub processes: u64,
}

#[derive(Clone, Default)]
pub struct Shared {
    pub database: Rc<RefCell<Database>>,
    /// What other processes do before the next commits of this one.
    pub meanwhile: Rc<RefCell<VecDeque<Option<Meanwhile>>>>,
    /// Number of subjects that were loaded.
    pub loads: Rc<Cell<usize>>,
    /// The locks that are held.
    pub locks: Arc<Mutex<BTreeSet<String>>>,
    /// What its operations pass, if they are futures.
    pub gate: Rc<Gate>,
    /// Control: the store does not know what it has sent.
    pub forgets_what_it_sent: bool,
}

impl Shared {
    pub fn new(disk: Disk) -> Self {
        Self { database: Rc::new(RefCell::new(Database { disk, ..Database::default() })), ..Self::default() }
    }

    /// What another process has open.
    pub fn of_another_process(&self) -> Self {
        Self { database: self.database.clone(), locks: self.locks.clone(), ..Self::default() }
    }

    /// The generator of a process: another one for each.
    pub fn rng(&self) -> ChaCha20Rng {
        let processes = &mut self.database.borrow_mut().processes;
        *processes += 1;
        ChaCha20Rng::seed_from_u64(*processes)
    }

    pub fn set_faults(&self, faults: &[Fault]) {
        self.database.borrow_mut().disk.faults = faults.to_vec();
    }

    pub fn commits(&self) -> usize {
        self.database.borrow().disk.commits
    }

    /// The ids of the messages in the outbox.
    pub fn outbox_ids(&self) -> Vec<[u8; MESSAGE_ID_LEN]> {
        self.database.borrow().outbox.iter().map(|message| message.message_id).collect()
    }

    /// Another process does this before the commit after the next `commits`.
    pub fn after(&self, commits: usize, meanwhile: impl FnOnce(&Self) + 'static) {
        let mut queue = self.meanwhile.borrow_mut();
        queue.clear();
        queue.extend((0..commits).map(|_| None));
        queue.push_back(Some(Box::new(meanwhile)));
    }
}

/// A lock, until it is dropped.
struct Held(Arc<Mutex<BTreeSet<String>>>, String);

impl Drop for Held {
    fn drop(&mut self) {
        assert!(self.0.lock().unwrap().remove(&self.1));
    }
}

impl Store for Shared {
    type Error = Broken;

    fn load(&mut self, subject: &Subject) -> Result<Vec<Row>, Broken> {
        self.loads.set(self.loads.get() + 1);
        Ok(self.database.borrow().disk.rows_of(subject))
    }

    fn commit(&mut self, batch: Batch) -> Result<(), CommitError<Broken>> {
        let meanwhile = self.meanwhile.borrow_mut().pop_front().flatten();
        if let Some(meanwhile) = meanwhile {
            meanwhile(&self.of_another_process());
        }
        let Database { disk, inbox, outbox, known, .. } = &mut *self.database.borrow_mut();
        let result = disk.commit(&batch);
        let core = |change: &Change| disk.rows.get(&(change.subject, RowName::CORE));
        let is_written =
            batch.changes.iter().all(|change| change.rows.last().is_none_or(|row| core(change) == Some(&row.sealed)));
        if let Some(received) = batch.received.as_ref().filter(|of| is_written && known.insert(of.message_id)) {
            inbox.push(received.clone().into());
        }
        if let Some(sent) = batch.sent.as_ref().filter(|of| is_written && known.insert(of.message_id)) {
            outbox.push(OutboxMessage::of(known.len().try_into().unwrap(), sent.clone()));
        }
        if result.is_ok() {
            let is_kept = |peer: Option<Subject>| peer.is_none_or(|peer| !batch.ended.contains(&peer));
            inbox.retain(|message| is_kept(message.peer));
            outbox.retain(|message| is_kept(message.peer));
        }
        result
    }

    fn revision(&mut self, subject: &Subject) -> Result<Option<Revision>, Broken> {
        Disk::revision(&mut self.database.borrow_mut().disk, subject)
    }
}

impl Mailboxes for Shared {
    fn inbox(&mut self, limit: usize) -> Result<Vec<InboxMessage>, Broken> {
        Ok(self.database.borrow().inbox.iter().take(limit).cloned().collect())
    }

    fn take(&mut self, id: &[u8; MESSAGE_ID_LEN]) -> Result<bool, Broken> {
        let inbox = &mut self.database.borrow_mut().inbox;
        let before = inbox.len();
        inbox.retain(|message| message.message_id != *id);
        Ok(inbox.len() < before)
    }

    fn outbox_after(&mut self, after: Option<u64>, limit: usize) -> Result<Vec<OutboxMessage>, Broken> {
        let database = self.database.borrow();
        let rest = database.outbox.iter().filter(|message| after.is_none_or(|after| message.position > after));
        Ok(rest.take(limit).cloned().collect())
    }

    fn acknowledge(&mut self, id: &[u8; MESSAGE_ID_LEN]) -> Result<bool, Broken> {
        let outbox = &mut self.database.borrow_mut().outbox;
        let before = outbox.len();
        outbox.retain(|message| message.message_id != *id);
        Ok(outbox.len() < before)
    }

    fn exclusively(&mut self, name: &str) -> Result<Exclusive, Broken> {
        assert!(self.locks.lock().unwrap().insert(name.into()), "{name} is held by another process");
        Ok(Exclusive::holding(Held(self.locks.clone(), name.into())))
    }

    fn was_sealed(&mut self, id: &[u8; MESSAGE_ID_LEN]) -> Result<bool, Broken> {
        Ok(!self.forgets_what_it_sent && self.database.borrow().known.contains(id))
    }
}
