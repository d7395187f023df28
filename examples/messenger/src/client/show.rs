// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the user sees.

use data_encoding::HEXLOWER;
use noescrow::durable::{InboxMessage, MessageId, Subject};
use noescrow::messenger::exchange::{Delivery, Event};
use noescrow::messenger::{Control, Messenger, NewSession, Peer, PeerId, SealError};
use noescrow_messenger::content::Content;
use noescrow_messenger::device::Messenger as Stored;
use noescrow_messenger::requests::Failure;
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
    pub fn event(&mut self, stored: &mut Stored, event: &Event<'_>) -> Result<(), Failure> {
        let name = |of: &Option<Subject>| name(stored.messenger(), of.as_ref().and_then(PeerId::from_subject));
        match event {
            Event::Received(message) => received(stored.messenger(), message),
            Event::Refused(refused) => {
                let (reason, remedy) = (format!("{:?}", refused.reason), format!("{:?}", refused.reason.remedy()));
                let from = self::name(stored.messenger(), refused.author);
                emit(&json!({"event": "refused", "reason": reason, "remedy": remedy, "from": from}));
            }
            Event::Deferred(until) => emit(&json!({"event": "deferred", "until": until.0})),
            Event::Sealed(_, message) => self.reasons.extend(message.recovers_from.map(|of| (message.message_id, of))),
            Event::Sent(message) if !message.is_control => {
                let reason = self.reasons.get(&message.message_id).map(|reason| format!("{reason:?}"));
                let (to, id) = (name(&message.peer), hex(&message.message_id));
                emit(&json!({"event": "sent", "to": to, "id": id, "recovers_from": reason}));
            }
            Event::Undelivered(message, delivery) => {
                let (to, id) = (name(&message.peer), hex(&message.message_id));
                emit(&json!({"event": "undelivered", "to": to, "id": id, "remedy": remedy(*delivery)}));
                self.outcome.get_or_insert_with(|| "the server has not taken every message".into());
            }
            Event::Claimed(_) => self.outcome = Some(SealError::IdentityChanged.into()),
            _ => {}
        }
        Ok(())
    }
}

/// What the user does about a message that the server has not taken.
const fn remedy(delivery: Delivery) -> &'static str {
    match delivery {
        Delivery::Never => "send it again, in another way: the server never takes it",
        Delivery::KeyRefused => "it waits here: `receive` may bring the peer's new access key",
        _ => "it waits here: run any command again later",
    }
}

/// Shows a message. The name that it says is a claim.
fn received(messenger: &Messenger, message: &InboxMessage) {
    let (id, peer) = (hex(&message.message_id), message.peer.as_ref().and_then(PeerId::from_subject));
    let from = name(messenger, peer);
    match (&message.control, Content::parse(&message.plaintext)) {
        (Some(Control::Receipt(receipt)), _) => {
            let (id, reason) = (hex(&receipt.message_id), format!("{:?}", receipt.reason));
            emit(&json!({"event": "receipt", "from": from, "id": id, "reason": reason}));
        }
        (Some(_), _) => {}
        (None, None) => {
            emit(&json!({"event": "refused", "reason": "Content", "remedy": "Ignore", "from": from, "id": id}))
        }
        (None, Some(content)) => {
            let (claims, flags) = (from.is_none().then_some(&content.from), message.flags);
            let file = content.file.as_ref();
            emit(&json!({
                "event": "received", "from": from, "claims": claims, "peer": peer.map(|peer| hex(peer.as_bytes())),
                "id": id, "text": content.text,
                "file": file.map(|file| json!({"id": hex(&file.id), "name": file.name, "size": file.size})),
                "session": message.session.session_id().map(|id| hex(id)), "new_session": flags.is_new_session,
                "new_identity": flags.is_new_identity, "probation": flags.is_on_probation,
                "former_identity": flags.is_former_identity,
            }));
        }
    }
}

/// The name of a peer, unless it is a stranger.
fn name(messenger: &Messenger, peer: Option<PeerId>) -> Option<String> {
    let peer = messenger.peer(&peer?)?;
    (!peer.name.is_empty()).then(|| String::from_utf8_lossy(peer.name).into_owned())
}

/// Shows the number of each identity of a peer.
pub fn safety(messenger: &Messenger, peer: &Peer<'_>) {
    for (identity, claimed) in [(peer.identity, false), (peer.claimed, true)] {
        if let Some(number) = identity.map(|identity| messenger.safety_number(identity).to_string()) {
            emit(&json!({"event": "safety", "number": number, "claimed": claimed}));
        }
    }
}

/// Shows what is saved.
pub fn status(stored: &mut Stored) -> Result<(), Failure> {
    let (outbox, inbox) = (stored.store().outbox(usize::MAX)?.len(), stored.store().inbox(usize::MAX)?.len());
    let messenger = stored.messenger();
    for peer in messenger.peers() {
        let (name, id) = (name(messenger, Some(peer.id)), hex(peer.id.as_bytes()));
        let (trust, claimed) = (format!("{:?}", peer.trust), peer.claimed.is_some());
        emit(&json!({"event": "peer", "name": name, "peer": id, "trust": trust, "identity_changed": claimed}));
    }
    let refused = messenger.counters().iter().map(|(reason, count)| (format!("{reason:?}"), count));
    let (refused, suspicion) = (refused.collect::<HashMap<_, _>>(), messenger.suspicion().map(|of| of.to_string()));
    emit(&json!({"event": "status", "outbox": outbox, "inbox": inbox, "refused": refused, "suspicion": suspicion}));
    Ok(())
}
