// SPDX-License-Identifier: MIT OR Apache-2.0
//! Receiving: mail is opened and saved, then shown, then acknowledged.

use super::app::{App, Failure, emit, keys_of, now, rng};
use super::faults::without;
use super::http::Status;
use super::payload::{Attached, Content};
use data_encoding::HEXLOWER;
use noescrow::messenger::{Control, OpenError, Opened, PeerError, PeerId, Trust};
use noescrow_messenger::encode_numbers;
use noescrow_sqlite::InboxMessage;
use serde_json::json;

impl App {
    /// Fetches mail, and shows it when it is saved. It is acknowledged after that.
    pub fn receive(&mut self, limit: usize) -> Result<(), Failure> {
        // What a crash has left.
        self.show(None)?;
        self.connect()?;
        // What fails here is tried again below.
        let _ = self.flush();
        let mut after = None;
        loop {
            let (mut done, mut refusals) = (Vec::new(), 0);
            let page = match self.server.messages(limit, after) {
                // Another process has acknowledged the message after which the page was to begin.
                Err(error) if matches!(error.downcast_ref(), Some(Status(410, _))) => {
                    after = None;
                    continue;
                }
                page => page?,
            };
            if page.is_empty() {
                return self.flush();
            }
            if without("save-before-ack") {
                let numbers: Vec<u64> = page.iter().map(|(number, _)| *number).collect();
                self.server.own("POST", "/messages/acknowledge", &encode_numbers(&numbers))?;
            }
            for (number, message) in page {
                let opened = self.step(|messenger, store| {
                    let loaded = messenger.route(&message, now())?.load(store)?;
                    Ok(messenger.open(&message, loaded, now())?)
                });
                match opened.map_err(|error| (error.downcast_ref::<OpenError>().cloned(), error)) {
                    Ok(opened) => self.opened(&opened)?,
                    Err((Some(OpenError::Deferred { until }), _)) => {
                        emit(&json!({"event": "deferred", "until": until.0}));
                        after = Some(number);
                        continue;
                    }
                    Err((Some(OpenError::Refused(refused)), _)) => {
                        refusals += 1;
                        let (reason, remedy) =
                            (format!("{:?}", refused.reason), format!("{:?}", refused.reason.remedy()));
                        let from = refused.author.map(|author| self.name_of(&author));
                        emit(&json!({"event": "refused", "reason": reason, "remedy": remedy, "from": from}));
                        self.report(&refused)?;
                    }
                    Err((_, error)) => return Err(error),
                }
                done.push(number);
            }
            if refusals > 0 {
                // A step, with which the refusals are saved: what the next message to their authors has to do.
                self.maintain()?;
            }
            self.server.own("POST", "/messages/acknowledge", &encode_numbers(&done))?;
        }
    }

    /// Shows a message that was opened, and answers it if that is due.
    fn opened(&mut self, opened: &Opened) -> Result<(), Failure> {
        if let Some(Control::Receipt(receipt)) = opened.control {
            let (from, id) = (self.name_of(&opened.peer), HEXLOWER.encode(&receipt.message_id));
            emit(&json!({"event": "receipt", "from": from, "id": id, "reason": format!("{:?}", receipt.reason)}));
        }
        self.show(Some(opened))?;
        if !opened.should_answer || self.is_stranger(&opened.peer) {
            return Ok(());
        }
        // Any message answers. This one has the access key, without which the peer could not continue.
        let content = self.content(None, None)?;
        let answer = self.step(|messenger, store| {
            let loaded = messenger.route_to(&opened.peer)?.load(store)?;
            Ok(messenger.seal_on_session(&opened.peer, &content, loaded, now(), &mut rng())?)
        });
        self.unasked("answered", answer)
    }

    /// Tells the author of a message that it did not open.
    fn report(&mut self, refused: &noescrow::messenger::Refused) -> Result<(), Failure> {
        let Some(author) = refused.author.filter(|author| refused.is_reportable() && !self.is_stranger(author)) else {
            return Ok(());
        };
        let receipt = self.step(|messenger, store| {
            let loaded = messenger.route_to(&author)?.load(store)?;
            Ok(messenger.seal_receipt(refused, loaded, now(), &mut rng())?)
        });
        self.unasked("reported", receipt)
    }

    fn is_stranger(&self, peer: &PeerId) -> bool {
        self.messenger.peer(peer).is_none_or(|peer| peer.trust == Trust::Unknown)
    }

    pub fn name_of(&self, peer: &PeerId) -> String {
        self.messenger.peer(peer).map(|peer| String::from_utf8_lossy(peer.name).into_owned()).unwrap_or_default()
    }

    /// Shows what is in the inbox, and removes it. After a crash between the two it is shown again, with the same id.
    fn show(&mut self, opened: Option<&Opened>) -> Result<(), Failure> {
        for message in self.store.inbox(usize::MAX)? {
            let id = HEXLOWER.encode(&message.message_id);
            let flags = opened.filter(|opened| opened.message_id == message.message_id);
            match Content::parse(&message.plaintext) {
                Some(content) => {
                    let from = self.introduce(&message, &content)?;
                    let file =
                        content.file.as_ref().map(|file| json!({"id": file.id, "name": file.name, "size": file.size}));
                    let event = json!({
                        "event": "received", "from": from, "text": content.text, "file": file, "id": id,
                        "session": message.session.session_id().map(|id| HEXLOWER.encode(id)),
                        "new_session": flags.map(|of| of.is_new_session),
                        "new_identity": flags.map(|of| of.is_new_identity),
                        "probation": flags.map(|of| of.is_on_probation),
                        "former_identity": flags.map(|of| of.is_former_identity),
                    });
                    if content.text.is_some() || content.file.is_some() {
                        emit(&event);
                    }
                }
                None => emit(&json!({"event": "refused", "reason": "Content", "remedy": "Ignore", "id": id})),
            }
            self.store.remove_from_inbox(&message.message_id)?;
        }
        Ok(())
    }

    /// Keeps what a message says of its author, and returns the author's name. A stranger gets the name that he claims; if
    /// it is another's, the user decides.
    fn introduce(&mut self, message: &InboxMessage, content: &Content) -> Result<String, Failure> {
        let keep = "INSERT INTO access VALUES (?1, ?2) ON CONFLICT (identity) DO UPDATE SET key = excluded.key";
        let author = message.author.ok_or("a message without an author")?;
        self.tables.execute(keep, (keys_of(&author), &content.access))?;
        if let Some(Attached { id, key, size, .. }) = &content.file {
            let size = i64::try_from(*size)?;
            self.tables.execute("INSERT OR REPLACE INTO attached VALUES (?1, ?2, ?3)", (id, key, size))?;
        }
        let Some(peer) = message.peer.as_ref().and_then(PeerId::from_subject) else { return Ok(content.from.clone()) };
        if !self.name_of(&peer).is_empty() {
            return Ok(self.name_of(&peer));
        }
        let named = self.step(|messenger, _| Ok(messenger.name_peer(&peer, content.from.as_bytes(), now())?));
        let taken = named.is_err_and(|error| error.downcast_ref() == Some(&PeerError::Taken));
        if let Some(other) = self.messenger.peer_named(content.from.as_bytes()).map(|other| other.id).filter(|_| taken)
        {
            let claim = self.step(|messenger, _| Ok(messenger.claim_identity(&other, &author, now())?));
            if claim.is_ok() {
                emit(&json!({"event": "identity_changed", "peer": content.from, "remedy": super::ASK}));
            }
        }
        Ok(content.from.clone())
    }
}
