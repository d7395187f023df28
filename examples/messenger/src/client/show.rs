// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the user sees.

use crate::app::Store;
use data_encoding::HEXLOWER;
use noescrow::attachment::AttachmentKey;
use noescrow::durable::{InboxMessage, MessageId, Subject};
use noescrow::messenger::exchange::Event;
use noescrow::messenger::{Control, Messenger, NewSession, PeerError, PeerId, SealError, Stored};
use noescrow_messenger::content::Content;
use noescrow_messenger::requests::{ACCESS, Failure};
use noescrow_sqlite::{Attachment, PeerData as _};
use serde_json::{Value, json};
use std::collections::HashMap;

pub fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

pub fn emit(event: &Value) {
    println!("{event}");
}

/// The name of a peer, unless it is a stranger.
pub fn name(messenger: &Messenger, peer: Option<PeerId>) -> Option<String> {
    let peer = messenger.peer(&peer?).filter(|peer| !peer.name.is_empty())?;
    Some(String::from_utf8_lossy(peer.name).into_owned())
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
        let name_of = |peer: &Option<Subject>| name(messenger, peer.as_ref().and_then(PeerId::from_subject));
        match event {
            Event::Received(message) if message.control.is_none() => received(stored, message)?,
            Event::Received(InboxMessage { control: Some(Control::Receipt(of)), peer, .. }) => emit(&json!({
                "event": "receipt", "from": name_of(peer), "id": hex(&of.message_id), "reason": format!("{:?}", of.reason),
            })),
            Event::Refused(of) => emit(&json!({
                "event": "refused", "reason": format!("{:?}", of.reason),
                "remedy": format!("{:?}", of.reason.remedy()),
                "from": name(messenger, of.author),
            })),
            Event::Deferred(until) => emit(&json!({"event": "deferred", "until": until.0})),
            Event::Sealed(_, of) => self.reasons.extend(of.recovers_from.map(|reason| (of.message_id, reason))),
            Event::Sent(of) if !of.is_control => emit(&json!({
                "event": "sent", "to": name_of(&of.peer), "id": hex(&of.message_id),
                "recovers_from": self.reasons.get(&of.message_id).map(|reason| format!("{reason:?}")),
            })),
            Event::Undelivered(of, delivery) => {
                let (to, id) = (name_of(&of.peer), hex(&of.message_id));
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
    let (id, from, flags) = (hex(&message.message_id), name(stored.messenger(), Some(peer)), message.flags);
    let Some(content) = Content::parse(&message.plaintext) else {
        emit(&json!({"event": "refused", "reason": "Content", "remedy": "Ignore", "from": from, "id": id}));
        return Ok(());
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
    stored.store().take_into(&message.message_id, |sql, _| {
        if let Some(file) = file {
            Attachment::keep(sql, &peer, &file.id, &AttachmentKey::from_bytes(file.key), file.size.into())?;
        }
        // A former device of the peer says nothing of its mailbox.
        if flags.is_former_identity { Ok(()) } else { sql.set_peer_data(&peer, ACCESS, &content.access).map(drop) }
    })?;
    Ok(())
}

/// Shows the number of each identity of a peer.
pub fn safety(messenger: &Messenger, peer: &PeerId) -> Result<(), Failure> {
    let peer = messenger.peer(peer).ok_or(PeerError::UnknownPeer)?;
    for (identity, claimed) in [(peer.identity, false), (peer.claimed, true)] {
        let number = identity.map(|identity| messenger.safety_number(identity).to_string());
        number.inspect(|number| emit(&json!({"event": "safety", "number": number, "claimed": claimed})));
    }
    Ok(())
}

/// Shows what is saved.
pub fn status(stored: &mut Stored<Store>) -> Result<(), Failure> {
    let (outbox, inbox) = (stored.store().outbox(usize::MAX)?.len(), stored.store().inbox(usize::MAX)?.len());
    let messenger = stored.messenger();
    for peer in messenger.peers() {
        emit(&json!({
            "event": "peer", "name": name(messenger, Some(peer.id)), "peer": hex(peer.id.as_bytes()),
            "trust": format!("{:?}", peer.trust), "identity_changed": peer.claimed.is_some(),
        }));
    }
    let refused = messenger.counters().iter().map(|(reason, count)| (format!("{reason:?}"), count));
    let refused: HashMap<_, _> = refused.collect();
    let suspicion = messenger.suspicion().map(|of| of.to_string());
    emit(&json!({"event": "status", "outbox": outbox, "inbox": inbox, "refused": refused, "suspicion": suspicion}));
    Ok(())
}
