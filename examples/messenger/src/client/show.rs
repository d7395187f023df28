// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the user sees.

use crate::app::{ACCESS, Store};
use data_encoding::HEXLOWER;
use noescrow::durable::{InboxMessage, MessageId, Subject};
use noescrow::messenger::exchange::Event;
use noescrow::messenger::{Control, Messenger, NewSession, PeerId, SealError, Stored};
use noescrow_messenger::content::Content;
use noescrow_messenger::requests::Failure;
use noescrow_sqlite::PeerData as _;
use serde_json::{Value, json};
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
    /// Why a message has begun a new session.
    reasons: HashMap<MessageId, NewSession>,
    /// What the user has to know at the end.
    pub outcome: Option<Failure>,
}

impl Show {
    pub fn event(&mut self, stored: &mut Stored<Store>, event: &Event<'_>) -> Result<(), Failure> {
        #[cfg(feature = "faults")]
        if noescrow_messenger::faults::act(stored, event)? {
            return Ok(());
        }
        let messenger = stored.messenger();
        let to = |of: &Option<Subject>| of.as_ref().and_then(PeerId::from_subject).and_then(|of| name(messenger, &of));
        match event {
            Event::Received(message) => return received(stored, message),
            Event::Refused(refused) => {
                let (reason, remedy) = (format!("{:?}", refused.reason), format!("{:?}", refused.reason.remedy()));
                let from = refused.author.and_then(|author| name(messenger, &author));
                emit(&json!({"event": "refused", "reason": reason, "remedy": remedy, "from": from}));
            }
            Event::Deferred(until) => emit(&json!({"event": "deferred", "until": until.0})),
            Event::Sealed(_, message) => self.reasons.extend(message.recovers_from.map(|of| (message.message_id, of))),
            Event::Sent(message) if !message.is_control => {
                let reason = self.reasons.get(&message.message_id).map(|reason| format!("{reason:?}"));
                let (to, id) = (to(&message.peer), hex(&message.message_id));
                emit(&json!({"event": "sent", "to": to, "id": id, "recovers_from": reason}));
            }
            Event::Undelivered(message, delivery) => {
                let (to, id) = (to(&message.peer), hex(&message.message_id));
                emit(&json!({"event": "undelivered", "to": to, "id": id, "remedy": delivery.to_string()}));
                self.outcome.get_or_insert_with(|| "the server has not taken every message".into());
            }
            Event::Claimed(_) => self.outcome = Some(SealError::IdentityChanged.into()),
            _ => {}
        }
        Ok(())
    }
}

/// Shows a message, and keeps what it says of its author's mailbox and of a file. The name that it says is a claim.
fn received(stored: &mut Stored<Store>, message: &InboxMessage) -> Result<(), Failure> {
    let Some(peer) = message.peer.as_ref().and_then(PeerId::from_subject) else { return Ok(()) };
    let (id, from, flags) = (hex(&message.message_id), name(stored.messenger(), &peer), message.flags);
    let content = match (message.control, Content::parse(&message.plaintext)) {
        (Some(Control::Receipt(receipt)), _) => {
            let (id, reason) = (hex(&receipt.message_id), format!("{:?}", receipt.reason));
            return Ok(emit(&json!({"event": "receipt", "from": from, "id": id, "reason": reason})));
        }
        (Some(_), _) => return Ok(()),
        (None, None) => {
            let refused = json!({"event": "refused", "reason": "Content", "remedy": "Ignore", "from": from, "id": id});
            return Ok(emit(&refused));
        }
        (None, Some(content)) => content,
    };
    let file = content.file.as_ref();
    emit(&json!({
        "event": "received", "from": from, "claims": from.is_none().then_some(&content.from),
        "peer": hex(peer.as_bytes()), "id": id, "text": content.text,
        "file": file.map(|file| json!({"id": hex(&file.id), "name": file.name, "size": file.size})),
        "session": message.session.session_id().map(|id| hex(id)), "new_session": flags.is_new_session,
        "new_identity": flags.is_new_identity, "probation": flags.is_on_probation,
        "former_identity": flags.is_former_identity,
    }));
    let kept = file.map(|file| serde_json::to_vec(file).map(|row| (hex(&file.id), row))).transpose()?;
    stored.store().take_into(&message.message_id, |sql, _| {
        // A former device of the peer says nothing of its mailbox.
        if !flags.is_former_identity {
            sql.set_peer_data(&peer, ACCESS, &content.access)?;
        }
        kept.map_or(Ok(()), |(id, file)| sql.set_peer_data(&peer, &id, &file).map(drop))
    })?;
    Ok(())
}

/// The name of a peer, unless it is a stranger.
pub fn name(messenger: &Messenger, peer: &PeerId) -> Option<String> {
    let peer = messenger.peer(peer).filter(|peer| !peer.name.is_empty())?;
    Some(String::from_utf8_lossy(peer.name).into_owned())
}

/// Shows the number of each identity of a peer.
pub fn safety(messenger: &Messenger, peer: &PeerId) {
    let identities = messenger.peer(peer).map_or([None; 2], |peer| [peer.identity, peer.claimed]);
    for (identity, claimed) in identities.into_iter().zip([false, true]) {
        if let Some(number) = identity.map(|identity| messenger.safety_number(identity).to_string()) {
            emit(&json!({"event": "safety", "number": number, "claimed": claimed}));
        }
    }
}

/// Shows what is saved.
pub fn status(stored: &mut Stored<Store>) -> Result<(), Failure> {
    let (outbox, inbox) = (stored.store().outbox(usize::MAX)?.len(), stored.store().inbox(usize::MAX)?.len());
    let messenger = stored.messenger();
    for peer in messenger.peers() {
        let (name, id) = (name(messenger, &peer.id), hex(peer.id.as_bytes()));
        let (trust, claimed) = (format!("{:?}", peer.trust), peer.claimed.is_some());
        emit(&json!({"event": "peer", "name": name, "peer": id, "trust": trust, "identity_changed": claimed}));
    }
    let refused = messenger.counters().iter().map(|(reason, count)| (format!("{reason:?}"), count));
    let (refused, suspicion) = (refused.collect::<HashMap<_, _>>(), messenger.suspicion().map(|of| of.to_string()));
    emit(&json!({"event": "status", "outbox": outbox, "inbox": inbox, "refused": refused, "suspicion": suspicion}));
    Ok(())
}
