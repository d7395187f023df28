// SPDX-License-Identifier: MIT OR Apache-2.0
//! One conversation through five untrusted forwarders. They drop, duplicate, reorder, hoard and forge, they exchange
//! roles, and pass messages to each other. Some messages arrive thousands of messages late, others many ratchet steps
//! late. If a genuine copy of a message arrives, exactly one copy opens, to the right bytes; nothing else
//! opens. After two post-quantum epochs a message's keys are deleted: a copy that arrives later never opens.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test states its expectations"
)]

use noescrow::hazmat::AcceptFromAnyone;
use noescrow::relay::{AccountName, Envelope, Relay};
use noescrow::{
    AccessKey, Bundle, Device, InitiateOptions, MAX_SKIPPED_KEYS, Payload, Sealed, Session, UnixSeconds,
    is_first_message,
};
use noescrow_sim::Endpoint;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

const FORWARDERS: usize = 5;
/// Forwarders that a message passes.
const HOPS: u8 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Passes,
    /// One of twelve.
    Drops,
    /// One of four.
    Duplicates,
    /// Up to a hundred places.
    Reorders,
    /// One of four has a forgery sent before it, and one of sixty-four is replaced by it.
    Forges,
    /// One of ten, until the next exchange of roles.
    Hoards,
}

const ROLES: [Role; 6] = [Role::Passes, Role::Drops, Role::Duplicates, Role::Reorders, Role::Forges, Role::Hoards];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Alice,
    Bob,
}

#[derive(Clone, Debug)]
struct Parcel {
    to: Side,
    /// The message that it is, or is made from.
    id: usize,
    bytes: Vec<u8>,
    /// The bytes that its sender sent, as the first forwarder reports them: forgeries of forgeries are compared with
    /// this.
    original: Rc<[u8]>,
    hops: u8,
}

impl Parcel {
    fn is_forged(&self) -> bool {
        self.bytes != *self.original
    }
}

#[derive(Debug)]
struct Forwarder {
    role: Role,
    queue: VecDeque<Parcel>,
    hoard: Vec<Parcel>,
    /// Something seen earlier, to splice from.
    seen: Vec<u8>,
}

/// Below `bound`.
fn draw(rng: &mut ChaCha20Rng, bound: usize) -> usize {
    rng.next_u64() as usize % bound
}

fn forge(parcel: &Parcel, seen: &[u8], rng: &mut ChaCha20Rng) -> Parcel {
    let mut bytes = parcel.bytes.clone();
    let at = draw(rng, bytes.len());
    match draw(rng, 5) {
        0 => bytes.truncate(at),
        1 => bytes.extend_from_slice(&[0; 7]),
        2 => bytes[0] ^= 3,
        3 if seen.len() > 120 && bytes.len() > 120 => {
            let end = seen[seen.len() - 40..].to_vec();
            bytes.truncate(bytes.len() - 40);
            bytes.extend(end);
        }
        _ => bytes[at] ^= 1 << draw(rng, 8),
    }
    Parcel { bytes, ..parcel.clone() }
}

impl Forwarder {
    fn take(&mut self, parcel: Parcel, rng: &mut ChaCha20Rng) {
        let seen = std::mem::replace(&mut self.seen, parcel.bytes.clone());
        match self.role {
            Role::Drops if draw(rng, 12) == 0 => {}
            Role::Duplicates if draw(rng, 4) == 0 => self.queue.extend([parcel.clone(), parcel]),
            Role::Reorders => {
                let place = self.queue.len() - draw(rng, self.queue.len().min(100) + 1);
                self.queue.insert(place, parcel);
            }
            Role::Forges => {
                if draw(rng, 4) == 0 {
                    self.queue.push_back(forge(&parcel, &seen, rng));
                }
                if draw(rng, 64) != 0 {
                    self.queue.push_back(parcel);
                }
            }
            Role::Hoards if draw(rng, 10) == 0 => self.hoard.push(parcel),
            _ => self.queue.push_back(parcel),
        }
    }
}

/// What the correspondents of both accounts have.
static ACCESS_KEY: AccessKey = AccessKey::from_bytes([0xAC; 32]);

/// Five servers between the forwarders and the two ends: a parcel that has passed the forwarders waits at any of them.
#[derive(Debug)]
struct PostOffice {
    relay: Relay,
    /// The contents of the mailboxes, in their order.
    waiting: Vec<Parcel>,
}

impl PostOffice {
    const OWNER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

    fn account(side: Side) -> AccountName {
        AccountName::new(match side {
            Side::Alice => "alice",
            Side::Bob => "bob",
        })
        .unwrap()
    }

    /// A conversation of two devices without one-time prekeys.
    fn new(devices: [&mut Device; 2], rng: &mut ChaCha20Rng) -> Self {
        let mut relay = Relay::default();
        for (device, side) in devices.into_iter().zip([Side::Alice, Side::Bob]) {
            let publication = device.publish(0, NOW, rng).unwrap();
            relay.open(&Self::account(side), publication, ACCESS_KEY.hash(), Self::OWNER, NOW).unwrap();
        }
        Self { relay, waiting: vec![] }
    }

    /// False if the server can see by type or length that this is not a message.
    fn take(&mut self, parcel: Parcel) -> bool {
        let Ok(envelope) = Envelope::new(parcel.bytes.clone()) else { return false };
        // With a stuck generator: the order of arrival is in the queue, not in the numbers.
        let mut numbers = ChaCha20Rng::seed_from_u64(0);
        self.relay.deliver(&Self::account(parcel.to), envelope, Some(&ACCESS_KEY), NOW, &mut numbers).unwrap();
        self.waiting.push(parcel);
        true
    }

    fn collect(&mut self, to: Side) -> Vec<Parcel> {
        let (mine, others) = self.waiting.drain(..).partition(|parcel| parcel.to == to);
        self.waiting = others;
        let account = Self::account(to);
        let pending = self.relay.pending(&account, Self::OWNER, NOW).unwrap();
        let received: Vec<_> = pending.map(|one| (one.number, one.envelope.as_bytes().to_vec())).collect();
        assert!(received.iter().map(|(_, bytes)| bytes).eq(mine.iter().map(|parcel: &Parcel| &parcel.bytes)));
        assert!(received.iter().all(|(number, _)| self.relay.acknowledge(&account, *number).unwrap()));
        mine
    }
}

/// The fate of one message.
#[derive(Debug)]
struct Fate {
    from: Side,
    text: Vec<u8>,
    /// The post-quantum epoch in which it was sent.
    epoch: u32,
    /// True while its epoch's keys are kept: the addressee sends in the same epoch or in an adjacent one.
    genuine_arrived: bool,
    opened: usize,
}

#[derive(Debug)]
struct Network {
    forwarders: Vec<Forwarder>,
    rng: ChaCha20Rng,
    epoch: usize,
    /// The message whose bytes a forwarder replaces without reporting it.
    sabotage: Option<usize>,
}

impl Network {
    fn new(seed: u64, sabotage: Option<usize>) -> Self {
        let forwarder = |at: usize| Forwarder { role: ROLES[at], queue: VecDeque::new(), hoard: vec![], seen: vec![] };
        let forwarders = (0..FORWARDERS).map(forwarder).collect();
        Self { forwarders, rng: ChaCha20Rng::seed_from_u64(seed), epoch: 0, sabotage }
    }

    fn post(&mut self, to: Side, id: usize, mut bytes: Vec<u8>) {
        if self.sabotage == Some(id) {
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
        }
        let at = draw(&mut self.rng, FORWARDERS);
        let original = Rc::from(bytes.as_slice());
        self.forwarders[at].take(Parcel { to, id, bytes, original, hops: HOPS }, &mut self.rng);
    }

    /// Every forwarder passes on up to `count` parcels; returns those that arrive.
    fn tick(&mut self, count: usize) -> Vec<Parcel> {
        let mut arrived = Vec::new();
        for at in 0..FORWARDERS {
            for _ in 0..count {
                let Some(mut parcel) = self.forwarders[at].queue.pop_front() else { break };
                parcel.hops -= 1;
                if parcel.hops == 0 {
                    arrived.push(parcel);
                } else {
                    let next = (at + 1 + draw(&mut self.rng, FORWARDERS - 1)) % FORWARDERS;
                    self.forwarders[next].take(parcel, &mut self.rng);
                }
            }
        }
        arrived
    }

    /// Every forwarder gets another role, and hoarded parcels are released.
    fn swap_roles(&mut self) {
        self.epoch += 1;
        for (at, forwarder) in self.forwarders.iter_mut().enumerate() {
            forwarder.role = ROLES[(at + self.epoch) % ROLES.len()];
            let mut hoard = std::mem::take(&mut forwarder.hoard);
            forwarder.queue.extend(hoard.drain(..));
        }
    }

    fn is_empty(&self) -> bool {
        self.forwarders.iter().all(|forwarder| forwarder.queue.is_empty())
    }
}

#[derive(Debug)]
struct Conversation {
    alice: Session,
    /// Before a first message arrives there is only a device.
    bob: Result<Session, Device>,
    network: Network,
    rng: ChaCha20Rng,
    fates: Vec<Fate>,
    /// None: parcels that have passed the forwarders arrive immediately.
    offices: Vec<PostOffice>,
    /// How many messages later than sent the latest one opened.
    latest: usize,
    refused: usize,
    /// Arrivals of genuine messages that were two epochs late.
    expired: usize,
    most_skipped: usize,
}

impl Conversation {
    fn new(seed: u64, sabotage: Option<usize>, offices: usize) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mut alice = Device::generate(NOW, &mut rng);
        let mut bob = Device::generate(NOW, &mut rng);
        let offices = (0..offices).map(|_| PostOffice::new([&mut alice, &mut bob], &mut rng)).collect();
        let mut published = bob.publish(1, NOW, &mut rng).unwrap();
        let one_time = published.one_time_prekeys.pop();
        let bundle = Bundle::new(published.identity, published.signed_prekey, one_time).unwrap();
        let bundle = Bundle::from_bytes(&noescrow::primitives::RustCrypto, &bundle.to_bytes()).unwrap();
        let (alice, hello) = alice
            .initiate(
                bundle,
                Payload { plaintext: b"message 0", associated_data: b"ad", ..Payload::default() },
                InitiateOptions::unverified(NOW),
                &mut rng,
            )
            .unwrap();
        let mut network = Network::new(seed, sabotage);
        network.post(Side::Bob, 0, hello);
        let fate = Fate { from: Side::Alice, text: b"message 0".to_vec(), epoch: 0, genuine_arrived: false, opened: 0 };
        let (fates, bob) = (vec![fate], Err(bob));
        Self { alice, bob, network, rng, fates, offices, latest: 0, refused: 0, expired: 0, most_skipped: 0 }
    }

    fn send(&mut self, from: Side) -> Result<(), String> {
        let id = self.fates.len();
        let text = format!("message {id}").repeat(1 + id % 3).into_bytes();
        let (session, to) = match (from, &mut self.bob) {
            (Side::Alice, _) => (&mut self.alice, Side::Bob),
            (Side::Bob, Ok(bob)) => (bob, Side::Alice),
            (Side::Bob, Err(_)) => return Err("Bob has nobody to write to".into()),
        };
        let epoch = session.sending_epoch();
        let bytes = session
            .encrypt(Payload { plaintext: &text, associated_data: b"ad", ..Payload::default() }, &mut self.rng)
            .map_err(|error| error.to_string())?;
        self.fates.push(Fate { from, text, epoch, genuine_arrived: false, opened: 0 });
        self.network.post(to, id, bytes);
        self.pass_on(2)
    }

    fn pass_on(&mut self, count: usize) -> Result<(), String> {
        let passed = self.network.tick(count);
        if self.offices.is_empty() {
            return passed.into_iter().try_for_each(|parcel| self.arrive(parcel));
        }
        for parcel in passed {
            let at = draw(&mut self.rng, self.offices.len());
            self.refused += usize::from(!self.offices[at].take(parcel));
        }
        // Polled in turn, so that messages overtake each other once more.
        for at in 0..self.offices.len() {
            for to in [Side::Alice, Side::Bob] {
                self.offices[at].collect(to).into_iter().try_for_each(|parcel| self.arrive(parcel))?;
            }
        }
        Ok(())
    }

    fn arrive(&mut self, parcel: Parcel) -> Result<(), String> {
        let epoch = match (parcel.to, &self.bob) {
            (Side::Alice, _) => self.alice.sending_epoch(),
            (Side::Bob, Ok(bob)) => bob.sending_epoch(),
            (Side::Bob, Err(_)) => 0,
        };
        let sealed = Sealed { message: &parcel.bytes, associated_data: b"ad" };
        let opened = match (parcel.to, &mut self.bob) {
            (Side::Alice, _) => self.alice.decrypt(sealed).ok().map(|opened| opened.plaintext),
            (Side::Bob, Ok(bob)) => bob.decrypt(sealed).ok().map(|opened| opened.plaintext),
            (Side::Bob, Err(device)) if is_first_message(&parcel.bytes) == Ok(true) => {
                let accepted = device.accept(sealed).ok();
                accepted.map(|(session, text)| {
                    self.bob = Ok(session);
                    text
                })
            }
            (Side::Bob, Err(_)) => None,
        };
        let newest = self.fates.len();
        let fate = &mut self.fates[parcel.id];
        let expired = fate.epoch + 1 < epoch;
        fate.genuine_arrived |= !parcel.is_forged() && !expired;
        self.expired += usize::from(expired && fate.opened == 0 && !parcel.is_forged());
        match opened {
            None => self.refused += 1,
            Some(_) if parcel.is_forged() => return Err(format!("a forgery of message {} opened", parcel.id)),
            Some(text) if text != fate.text => return Err(format!("message {} opened to other bytes", parcel.id)),
            Some(_) => {
                fate.opened += 1;
                self.latest = self.latest.max(newest - parcel.id);
            }
        }
        let bob = self.bob.as_ref().map_or(0, Session::skipped_message_keys);
        self.most_skipped = self.most_skipped.max(bob).max(self.alice.skipped_message_keys());
        Ok(())
    }

    /// Until only hoarded parcels are in transit.
    fn settle(&mut self) -> Result<(), String> {
        while !self.network.is_empty() {
            self.pass_on(10)?;
        }
        Ok(())
    }

    fn burst(&mut self, from: Side, count: usize) -> Result<(), String> {
        (0..count).try_for_each(|_| self.send(from))
    }

    /// `steps` ratchet steps of both sides, a few messages each. A whole chain may be lost, so that a side may continue
    /// with the chain it has.
    fn alternate(&mut self, steps: usize) -> Result<(), String> {
        for _ in 0..steps {
            self.burst(Side::Bob, 4)?;
            self.settle()?;
            self.burst(Side::Alice, 4)?;
            self.settle()?;
        }
        Ok(())
    }

    fn verdict(self) -> Result<Self, String> {
        for (id, fate) in self.fates.iter().enumerate() {
            if fate.opened != usize::from(fate.genuine_arrived) {
                let Fate { from, genuine_arrived, opened, .. } = fate;
                return Err(format!("message {id} of {from:?}: opened {opened} times, arrived: {genuine_arrived}"));
            }
        }
        Ok(self)
    }
}

/// A conversation in which never more messages are missing than keys are kept for.
fn converse(seed: u64, sabotage: Option<usize>, offices: usize) -> Result<Conversation, String> {
    let mut talk = Conversation::new(seed, sabotage, offices);
    // All of them begin with the handshake; any may be the first to arrive.
    talk.burst(Side::Alice, 300)?;
    talk.network.swap_roles();
    talk.settle()?;
    talk.alternate(4)?;
    // One chain of thousands, whose hoarded messages arrive after all others.
    talk.burst(Side::Alice, 4_000)?;
    talk.network.swap_roles();
    talk.settle()?;
    talk.burst(Side::Bob, 3_000)?;
    talk.settle()?;
    // Hoarded messages arrive many ratchet steps late.
    talk.alternate(12)?;
    talk.network.swap_roles();
    talk.burst(Side::Bob, 2_500)?;
    talk.burst(Side::Alice, 2_500)?;
    talk.alternate(2)?;
    for _ in ROLES {
        talk.network.swap_roles();
        talk.settle()?;
    }
    talk.verdict()
}

/// The network did its worst: losses, thousands of forgeries and copies, messages thousands of messages late; but it
/// never required more keys to be kept than there is room for.
fn assert_rough(talk: &Conversation) {
    let opened = talk.fates.iter().filter(|fate| fate.opened == 1).count();
    let lost = talk.fates.len() - opened;
    assert!(talk.fates.len() > 12_000 && lost > 300 && opened > 10_000, "{opened} opened, {lost} lost");
    assert!(talk.refused > 3_000, "{} refused", talk.refused);
    assert!(talk.expired > 0 && talk.expired < opened / 20, "{} expired", talk.expired);
    assert!(talk.latest > 3_000, "{} messages late", talk.latest);
    assert!(talk.most_skipped < MAX_SKIPPED_KEYS && talk.most_skipped > 300, "{} kept", talk.most_skipped);
}

#[test]
fn through_five_untrusted_forwarders_exactly_the_genuine_messages_open_once() {
    (0..3).for_each(|seed| assert_rough(&converse(seed, None, 0).unwrap()));
}

#[test]
fn through_forwarders_and_relays_exactly_the_genuine_messages_open_once() {
    let talk = converse(3, None, 5).unwrap();
    assert_rough(&talk);
    assert!(talk.offices.iter().all(|office| office.waiting.is_empty()));
}

#[test]
fn control_a_forwarder_that_replaces_one_message_is_noticed() {
    // Ids of messages that do arrive when they are not replaced.
    let honest = converse(0, None, 0).unwrap();
    let arrives = |id: &usize| honest.fates[*id].opened == 1;
    for id in [2_000, 7_000].map(|from| (from..).find(arrives).unwrap()) {
        let noticed = converse(0, Some(id), 0).unwrap_err();
        assert!(noticed.starts_with(&format!("message {id} ")), "{noticed}");
    }
}
