// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the user sees.

use super::{Failure, Store};
use data_encoding::HEXLOWER;
use noescrow::durable::{InboxMessage, MessageId};
use noescrow::messenger::exchange::{Delivery, Event, ExchangeFailed};
use noescrow::messenger::{Advice, Control, Failed, Messenger, NewSession, Peer, PeerId, SealError, Stored};
use noescrow::snapshot::Subject;
use noescrow_messenger::content::Content;
use serde_json::{Map, Value, json};
use std::collections::HashMap;

pub fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

pub fn emit(event: &Value) {
    println!("{event}");
}

/// Shows the events of an exchange.
#[derive(Default)]
pub struct Show {
    /// Why a message has begun a new session, by its id.
    reasons: HashMap<MessageId, NewSession>,
    /// What the user has to know at the end.
    pub outcome: Option<Failure>,
}

impl Show {
    pub fn event(&mut self, stored: &mut Stored<Store>, event: &Event<'_>) -> Result<(), Failure> {
        match event {
            Event::Received(message) => received(stored, message)?,
            Event::Refused(refused) => {
                let (reason, remedy) = (format!("{:?}", refused.reason), format!("{:?}", refused.reason.remedy()));
                let from = refused.author.and_then(|author| name(stored.messenger().peer(&author)));
                emit(&json!({"event": "refused", "reason": reason, "remedy": remedy, "from": from}));
            }
            Event::Deferred(until) => emit(&json!({"event": "deferred", "until": until.0})),
            Event::Sealed(_, message) => {
                let reason = message.recovers_from.map(|reason| (message.message_id, reason));
                self.reasons.extend(reason);
            }
            Event::Sent(message) if !message.is_control => {
                let reason = self.reasons.get(&message.message_id).map(|reason| format!("{reason:?}"));
                let (to, id) = (name(of(stored, message.peer.as_ref())), hex(&message.message_id));
                emit(&json!({"event": "sent", "to": to, "id": id, "recovers_from": reason}));
            }
            Event::Undelivered(message, delivery) => {
                let (to, id) = (name(of(stored, message.peer.as_ref())), hex(&message.message_id));
                let remedy = match delivery {
                    Delivery::Never => "the server never takes it: send it again, in another way",
                    Delivery::KeyRefused => "it waits here: `receive` may bring the peer's new access key",
                    _ => "it waits here: run any command again later",
                };
                emit(&json!({"event": "undelivered", "to": to, "id": id, "remedy": remedy}));
                self.outcome.get_or_insert_with(|| "the server has not taken every message".into());
            }
            Event::Claimed(_) => self.outcome = Some(SealError::IdentityChanged.into()),
            _ => {}
        }
        Ok(())
    }
}

/// Shows a message, and keeps what it says of its author. A name that it says is a claim.
fn received(stored: &mut Stored<Store>, message: &InboxMessage) -> Result<(), Failure> {
    let id = hex(&message.message_id);
    let Some(peer) = of(stored, message.peer.as_ref()) else { return Ok(()) };
    let (from, peer) = (name(Some(peer)), peer.id);
    if let Some(control) = &message.control {
        if let Control::Receipt(receipt) = control {
            let reason = format!("{:?}", receipt.reason);
            emit(&json!({"event": "receipt", "from": from, "id": hex(&receipt.message_id), "reason": reason}));
        }
        return Ok(());
    }
    let Some(content) = Content::parse(&message.plaintext) else {
        emit(&json!({"event": "refused", "reason": "Content", "remedy": "Ignore", "from": from, "id": id}));
        return Ok(());
    };
    let claims = from.is_none().then_some(&content.from);
    let file = content.file.as_ref();
    emit(&json!({
        "event": "received", "from": from, "claims": claims, "peer": hex(peer.as_bytes()), "id": id,
        "text": content.text,
        "file": file.map(|file| json!({"id": hex(&file.id), "name": file.name, "size": file.size})),
        "session": message.session.session_id().map(|id| hex(id)),
        "new_session": message.flags.is_new_session, "new_identity": message.flags.is_new_identity,
        "probation": message.flags.is_on_probation, "former_identity": message.flags.is_former_identity,
    }));
    let is_former = message.flags.is_former_identity;
    stored.store().take_into(&message.message_id, |tables, _| {
        if !is_former {
            tables.execute("INSERT OR REPLACE INTO access VALUES (?1, ?2)", (peer.as_bytes(), content.access))?;
        }
        if let Some(file) = file {
            let row = (file.id, peer.as_bytes(), file.key, file.size);
            tables.execute("INSERT OR IGNORE INTO files VALUES (?1, ?2, ?3, ?4, NULL)", row)?;
        }
        Ok(())
    })?;
    Ok(())
}

fn of<'a>(stored: &'a Stored<Store>, subject: Option<&Subject>) -> Option<Peer<'a>> {
    subject.and_then(PeerId::from_subject).and_then(|id| stored.messenger().peer(&id))
}

/// The name of a peer, unless it is a stranger.
pub fn name(peer: Option<Peer<'_>>) -> Option<String> {
    peer.map(|peer| String::from_utf8_lossy(peer.name).into_owned()).filter(|name| !name.is_empty())
}

/// Shows the number of each identity of a peer.
pub fn safety(messenger: &Messenger, peer: &PeerId) {
    let peer = messenger.peer(peer);
    for (identity, claimed) in [(peer.and_then(|of| of.identity), false), (peer.and_then(|of| of.claimed), true)] {
        if let Some(identity) = identity {
            let number = messenger.safety_number(identity).to_string();
            emit(&json!({"event": "safety", "number": number, "claimed": claimed}));
        }
    }
}

/// What to do about an error.
pub fn advice(error: &Failure) -> Option<Advice> {
    use noescrow_sqlite::Error::{Diverged, OtherDatabase, Rollback, WitnessMissing};
    if let Some(Failed::Step(error)) = error.downcast_ref::<ExchangeFailed<Failure, noescrow_sqlite::Error>>() {
        return error.advice();
    }
    match error.downcast_ref() {
        Some(Rollback { .. } | Diverged { .. } | OtherDatabase | WitnessMissing) => Some(Advice::RestoreBackup),
        _ => error.downcast_ref().map(SealError::advice),
    }
}

/// Shows what is saved.
pub fn status(stored: &mut Stored<Store>) -> Result<(), Failure> {
    for peer in stored.messenger().peers() {
        emit(&json!({
            "event": "peer", "name": name(Some(peer)), "peer": hex(peer.id.as_bytes()),
            "trust": format!("{:?}", peer.trust), "sessions": peer.sessions, "identity_changed": peer.claimed.is_some(),
        }));
    }
    let (outbox, inbox) = (stored.store().outbox(usize::MAX)?.len(), stored.store().inbox(usize::MAX)?.len());
    let messenger = stored.messenger();
    let refused = messenger.counters().iter().map(|(reason, count)| (format!("{reason:?}"), json!(count)));
    emit(&json!({
        "event": "status", "generation": messenger.generation(), "peers": messenger.peers().count(), "outbox": outbox,
        "inbox": inbox, "refused": refused.collect::<Map<_, _>>(),
        "suspicion": messenger.suspicion().map(|suspicion| suspicion.to_string()),
    }));
    Ok(())
}
