// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the public types of the messenger print, before the audit.

use crate::faulty_device::FaultyRecorder;
use crate::implementation::public_types_under;
use crate::run::{ALICE, BOB, NOW, Run, Setup};
use noescrow::durable::{
    Batch, CommitError, InboxMessage, Mailboxes, MessageId, OutboxMessage, Row, RowName, Store, Subject,
};
use noescrow::messenger::exchange::{Answers, Delivery, Event, ExchangeError, Server};
use noescrow::messenger::{
    Author, Control, Failed, LOGIN_NONCE_LEN, NewSession, OpenError, Peer, Receipt, SealError, Stored, Suspicion,
};
use noescrow::{
    Bundle, Device, HeapCapacity, Identity, PrekeyId, Publication, StorageKey, device::LOGIN_CHALLENGE_LEN,
    primitives::SIGNATURE_LEN,
};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

/// A store that keeps everything in memory.
#[derive(Default)]
struct Memory {
    rows: BTreeMap<(Subject, RowName), Vec<u8>>,
    inbox: Vec<InboxMessage>,
    outbox: Vec<OutboxMessage>,
}

impl Store for Memory {
    type Error = Infallible;

    fn load(&mut self, subject: &Subject) -> Result<Vec<Row>, Infallible> {
        let rows = self.rows.iter().filter(|((of, _), _)| of == subject);
        Ok(rows.map(|((_, name), sealed)| Row { name: *name, sealed: sealed.clone() }).collect())
    }

    fn commit(&mut self, batch: Batch) -> Result<(), CommitError<Infallible>> {
        let Batch { changes, received, sent, .. } = batch;
        for change in changes {
            self.rows.retain(|(of, name), _| *of != change.subject || !change.deleted.contains(name));
            self.rows.extend(change.rows.into_iter().map(|row| ((change.subject, row.name), row.sealed)));
        }
        self.inbox.extend(received.map(InboxMessage::from));
        self.outbox.extend(sent.map(|sent| OutboxMessage::of(0, sent)));
        Ok(())
    }
}

impl Mailboxes for Memory {
    fn inbox(&mut self, limit: usize) -> Result<Vec<InboxMessage>, Infallible> {
        Ok(self.inbox.iter().take(limit).cloned().collect())
    }

    fn take(&mut self, id: &MessageId) -> Result<bool, Infallible> {
        self.inbox.retain(|message| message.message_id != *id);
        Ok(true)
    }

    fn outbox_after(&mut self, after: Option<u64>, limit: usize) -> Result<Vec<OutboxMessage>, Infallible> {
        Ok(self.outbox.iter().filter(|_| after.is_none()).take(limit).cloned().collect())
    }

    fn acknowledge(&mut self, id: &MessageId) -> Result<bool, Infallible> {
        self.outbox.retain(|message| message.message_id != *id);
        Ok(true)
    }

    fn was_sealed(&mut self, _: &MessageId) -> Result<bool, Infallible> {
        Ok(false)
    }
}

/// A server with one mailbox, and the prekeys of whoever has uploaded some last.
#[derive(Default)]
struct Mailbox {
    published: Option<Publication>,
    mail: Vec<(u64, Vec<u8>)>,
}

impl Server<Memory> for &RefCell<Mailbox> {
    type Error = &'static str;

    fn log_in(
        &mut self,
        sign: &mut dyn FnMut(&[u8; LOGIN_CHALLENGE_LEN]) -> [u8; SIGNATURE_LEN],
    ) -> Result<Option<[u8; LOGIN_NONCE_LEN]>, Self::Error> {
        assert_ne!(sign(&[1; LOGIN_CHALLENGE_LEN]), [0; SIGNATURE_LEN]);
        Ok(None)
    }

    fn set_nonce(&mut self, _: &[u8; LOGIN_NONCE_LEN]) -> Result<(), Self::Error> {
        Ok(())
    }

    fn prekeys(&mut self) -> Result<Vec<PrekeyId>, Self::Error> {
        Ok(vec![])
    }

    fn withdraw(&mut self, _: &[PrekeyId]) -> Result<(), Self::Error> {
        Ok(())
    }

    fn publish(&mut self, publication: &Publication) -> Result<(), Self::Error> {
        self.borrow_mut().published = Some(publication.clone());
        Ok(())
    }

    fn bundle(&mut self, _: &[u8]) -> Result<Option<Bundle>, Self::Error> {
        let published = self.borrow().published.clone().ok_or("nothing is published")?;
        Bundle::new(published.identity, published.signed_prekey, None).map(Some).map_err(|_| "no bundle")
    }

    fn identity(&mut self, _: &[u8]) -> Result<Option<Identity>, Self::Error> {
        Ok(None)
    }

    fn deliver(&mut self, _: &mut Memory, _: &Peer<'_>, message: &OutboxMessage) -> Result<Delivery, Self::Error> {
        self.borrow_mut().mail.push((1, message.message.clone()));
        Ok(Delivery::Taken)
    }

    fn mail(&mut self, _: Option<u64>) -> Result<Vec<(u64, Vec<u8>)>, Self::Error> {
        Ok(self.borrow().mail.clone())
    }

    fn acknowledge(&mut self, _: &[u64]) -> Result<(), Self::Error> {
        self.borrow_mut().mail.clear();
        Ok(())
    }
}

/// Attacks F8 and G20, for the messenger: the server logs what each of its public types prints, and the audit finds
/// nothing.
#[test]
fn f8_g20_no_public_type_of_the_messenger_prints_a_secret() {
    let mut run = Run::new(9, &Setup::default());
    let [mut alice, mut bob] = [ALICE, BOB].map(|who| {
        let primitives: FaultyRecorder = run.prims[who].clone();
        let device = Device::<_, HeapCapacity>::generate_with(primitives, NOW, &mut run.source);
        let key = StorageKey::new(run.storage_keys[who]);
        Stored::create(device, Memory::default(), &key, &mut run.source).unwrap()
    });
    let mailbox = RefCell::new(Mailbox::default());
    let (mut alices, mut bobs) = (&mailbox, &mailbox);
    let mut log: Vec<(&str, String)> = vec![];
    let payload = b"a text that no server may print";

    // Alice sends to Bob, who has uploaded his prekeys.
    let peer = alice.find_or_add_peer(b"bob", NOW, &mut run.source).unwrap();
    log.push(("PeerId", format!("{peer:?}")));
    let route = alice.messenger().route_to(&peer).unwrap();
    log.push(("Route", format!("{route:?} {route:#?}")));
    let loaded = route.load(alice.store()).unwrap();
    log.push(("Loaded", format!("{loaded:?} {loaded:#?}")));
    let mut connected = alice.connect(&mut alices, NOW, &mut run.source).unwrap();
    let of_alice = mailbox.borrow().published.clone().unwrap();
    let connected_bob = bob.connect(&mut bobs, NOW, &mut run.source).unwrap();
    log.push(("Connected", format!("{connected_bob:?} {connected_bob:#?}")));
    let mut print = |event: Event<'_>| log.push(("Event", format!("{event:?} {event:#?}")));
    let sealed = connected
        .send(&peer, payload, NOW, &mut run.source, |_, event| {
            print(event);
            Ok(())
        })
        .unwrap();
    let (_, hello) = mailbox.borrow().mail[0].clone();

    // Bob opens it with associated data, which asks for the author, and receives it again.
    let author = Cell::new(String::new());
    let opened = bob
        .open_with(&hello, NOW, &mut run.source, |of: &Author<'_>| {
            author.set(format!("{of:?} {of:#?}"));
            vec![]
        })
        .unwrap();
    assert_eq!(&bob.store().inbox[0].plaintext[..], payload);
    let mut connected = bob.connect(&mut bobs, NOW, &mut run.source).unwrap();
    let mut refused = None;
    let received = connected.receive(Answers::AtOnce, NOW, &mut run.source, |_, event| {
        if let Event::Refused(of) = &event {
            refused = Some((*of).clone());
        }
        print(event);
        Ok(())
    });
    log.push(("Fetched", format!("{:?}", received.unwrap())));
    let answers = Answers::With(noescrow::Payload::from(&payload[..]));
    log.push(("Answers", format!("{answers:?} {answers:#?}")));
    log.push(("Author", author.take()));
    log.push(("Mail", format!("{opened:?} {opened:#?}")));
    let noescrow::messenger::Mail::Opened(opened) = opened else { panic!("a genuine message was not opened") };
    assert_eq!(opened.payload, payload);
    log.push(("Opened", format!("{opened:?} {opened:#?}")));
    log.push(("Sealed", format!("{sealed:?} {sealed:#?}")));
    log.push(("Outgoing", format!("{:?} {:#?}", sealed.outgoing, sealed.outgoing)));
    log.push(("Purpose", format!("{:?}", noescrow::messenger::exchange::Purpose::Probe)));
    let author = bob.messenger().peer(&opened.peer).unwrap();
    log.push(("Peer", format!("{author:?} {author:#?}")));
    log.push(("Trust", format!("{:?}", author.trust)));
    let refused = refused.unwrap();
    log.push(("Refused", format!("{refused:?} {refused:#?}")));
    let error = OpenError::Refused(refused.clone());
    log.push(("OpenError", format!("{error:?} {error}")));
    log.push(("Refusal", format!("{:?}", refused.reason)));
    log.push(("Remedy", format!("{:?}", refused.reason.remedy())));
    log.push(("Counters", format!("{:?}", bob.messenger().counters())));
    let receipt = Receipt { reason: refused.reason, message_id: refused.message_id };
    log.push(("Receipt", format!("{receipt:?}")));
    log.push(("Control", format!("{:?}", Control::Receipt(receipt))));

    // Errors. The bundle is somebody else's.
    let bundle = Bundle::new(of_alice.identity, of_alice.signed_prekey, None).unwrap();
    let upkeep = alice.maintain(&[], NOW, &mut run.source).unwrap();
    log.push(("Upkeep", format!("{upkeep:?} {upkeep:#?}")));
    alice
        .step(NOW, &mut run.source, |messenger, rng| -> Result<_, Failed<SealError, Infallible>> {
            let failed = messenger
                .seal_with_bundle(&peer, payload, noescrow::hazmat::duplicate_bundle(&bundle), NOW, rng)
                .unwrap_err();
            log.push(("SealFailed", format!("{failed:?} {failed:#?} {failed}")));
            Err(failed.error.into())
        })
        .map(|_: ()| ())
        .unwrap_err();
    let failed: Failed<SealError, Infallible> = SealError::NeedsBundle(NewSession::Restored).into();
    log.push(("Failed", format!("{failed:?} {failed}")));
    log.push(("SealError", format!("{:?} {}", SealError::UnknownPeer, SealError::UnknownPeer)));
    log.push(("NewSession", format!("{:?}", NewSession::Restored)));
    log.push(("Advice", format!("{:?} {}", error.advice(), error.advice())));
    log.push(("Suspicion", format!("{:?}", Suspicion::Witness)));
    log.push(("PeerError", format!("{:?}", noescrow::messenger::PeerError::Taken)));
    log.push(("ExchangeError", format!("{:?}", ExchangeError::Server("x"))));
    log.push(("Delivery", format!("{:?}", Delivery::Never)));
    log.push(("Stored", format!("{alice:?} {bob:#?}")));

    let printed: BTreeSet<&str> = log.iter().map(|(name, _)| *name).collect();
    let exported = ["src/messenger", "src/messenger/exchange"].into_iter().flat_map(public_types_under);
    let missing: Vec<String> = exported.filter(|name| !printed.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let text = log.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join("\n");
    // What is printed has few of the public values that the server saw.
    let verdict = run.audit(text.as_bytes()).min_share(2).verdict();
    assert!(verdict.holds(), "{verdict}");
    // Control: what the messenger has opened, printed as it is.
    let careless = format!("{text}\n{:?}", opened.payload);
    assert!(!run.audit(careless.as_bytes()).min_share(2).verdict().holds());
}
