// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the client prints, one JSON object a line: the client writes it, and the scenarios read it.

use crate::content::Content;
use data_encoding::HEXLOWER;
use noescrow::durable::{InboxMessage, Mailboxes, MessageId, OutboxMessage, Subject};
use noescrow::messenger::exchange::{Delivery, Event, Fetched, Purpose};
use noescrow::messenger::{Advice, Control, Messenger, NewSession, Peer, PeerId, Stored};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

/// A line. Ids are in lower-case hexadecimal; reasons and remedies are the texts of `noescrow::messenger`. The name of a
/// peer is null if it is a stranger.
///
/// # Security
/// It has what the user is to see: texts, and recovery codes. `Debug` shows them as well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Printed {
    /// The recovery code to write down. It is stored nowhere.
    RecoveryCode { code: String },
    /// A message.
    Received(Received),
    /// The server has a message. `recovers_from` says why it has begun a new session.
    Sent { to: Option<String>, id: String, recovers_from: Option<String> },
    /// An earlier run of the command has sealed the message `id`. No other one was sealed.
    AlreadySealed { id: String },
    /// A message went on a session that should be replaced.
    NewSessionWanted { to: Option<String>, reason: String },
    /// A message does not open, or its content does not parse, which has its `id`.
    Refused {
        from: Option<String>,
        reason: String,
        remedy: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
    },
    /// A message stays at the server until this time, in seconds since 1970.
    Deferred { until: u64 },
    /// An answer or a receipt to the peer is in the outbox: its messages asked for one, or did not open.
    Answered { to: Option<String> },
    /// There is more mail: receive again.
    More,
    /// The peer could not open one of our messages.
    Receipt { from: Option<String>, id: String, reason: String },
    /// The server has not taken a message.
    Undelivered { to: Option<String>, id: String, remedy: String },
    /// The user decides about an identity that claims to be a peer.
    IdentityChanged { error: String, remedy: String },
    /// The user decides whether this device or the server was put back.
    Suspect { error: String, remedy: String },
    /// Any other failure of the command.
    Error { error: String, remedy: String },
    /// A safety number. `claimed` if it is that of an identity that claims to be the peer.
    Safety { number: String, claimed: bool },
    /// A peer.
    Peer { name: Option<String>, peer: String, trust: String, identity_changed: bool },
    /// Numbers of messages: in the outbox, in the inbox, and refused for each reason.
    Status { outbox: usize, inbox: usize, refused: BTreeMap<String, u64>, suspicion: Option<String> },
    /// A file was fetched, `size` bytes.
    Fetched { id: String, path: String, size: u64 },
}

/// Prints a line.
pub fn emit(event: &Printed) {
    println!("{event}");
}

/// A message that was received.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// The peer's name, or null of a stranger.
    pub from: Option<String>,
    /// The name that a stranger claims.
    pub claims: Option<String>,
    /// The peer's id.
    pub peer: String,
    /// The message's id.
    pub id: String,
    /// The text.
    pub text: Option<String>,
    /// The file.
    pub file: Option<File>,
    /// The session's id.
    pub session: Option<String>,
    /// It has begun a session.
    pub new_session: bool,
    /// It is the first of its identity.
    pub new_identity: bool,
    /// Its session is on probation.
    pub probation: bool,
    /// It is from an identity that the peer had before.
    pub former_identity: bool,
}

/// A file that a message names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// The id at the server.
    pub id: String,
    /// The name that its author has for it.
    pub name: String,
    /// Length in bytes.
    pub size: u32,
}

fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

/// The name of a peer, unless it is a stranger.
fn name(peer: &Peer<'_>) -> Option<String> {
    (!peer.name.is_empty()).then(|| String::from_utf8_lossy(peer.name).into_owned())
}

fn name_of(messenger: &Messenger, peer: Option<PeerId>) -> Option<String> {
    messenger.peer(&peer?).as_ref().and_then(name)
}

/// Makes the lines of an exchange's events.
#[derive(Debug, Default)]
pub struct Lines {
    /// Why messages have begun new sessions.
    reasons: HashMap<MessageId, NewSession>,
    /// The messages of the user that were sealed, and that the server has not taken.
    waiting: HashSet<MessageId>,
}

impl Lines {
    /// The line of an event, if it has one.
    pub fn line(&mut self, event: &Event<'_>, messenger: &Messenger) -> Option<Printed> {
        let name = |peer: &Option<Subject>| name_of(messenger, peer.as_ref().and_then(PeerId::from_subject));
        if let Event::Sent(of) | Event::Undelivered(of, Delivery::Never) = event {
            self.waiting.remove(&of.message_id);
        }
        Some(match event {
            Event::Received(message) if message.control.is_none() => return Printed::received(message, messenger),
            Event::Received(InboxMessage { control: Some(Control::Receipt(of)), peer, .. }) => {
                Printed::Receipt { from: name(peer), id: hex(&of.message_id), reason: format!("{:?}", of.reason) }
            }
            Event::Refused(of) => Printed::Refused {
                from: name_of(messenger, of.author),
                reason: format!("{:?}", of.reason),
                remedy: format!("{:?}", of.reason.remedy()),
                id: None,
            },
            Event::Deferred(until) => Printed::Deferred { until: until.0 },
            Event::Sealed(purpose, of) => {
                self.waiting.extend((*purpose == Purpose::Payload).then_some(of.message_id));
                self.reasons.extend(of.recovers_from.map(|reason| (of.message_id, reason)));
                match purpose {
                    Purpose::Answer | Purpose::Receipt => Printed::Answered { to: name_of(messenger, Some(of.peer)) },
                    _ => return None,
                }
            }
            Event::Sent(of) if !of.is_control => Printed::Sent {
                to: name(&of.peer),
                id: hex(&of.message_id),
                recovers_from: self.reasons.get(&of.message_id).map(|reason| format!("{reason:?}")),
            },
            Event::Undelivered(of, delivery) => Printed::undelivered(name(&of.peer), &of.message_id, delivery),
            _ => return None,
        })
    }

    /// The line of a failure. If it was the delivery of a message, whatever has failed, the command is not to be repeated.
    #[must_use]
    pub fn failure(&self, error: &dyn fmt::Display, advice: Option<Advice>) -> Printed {
        let waits = !self.waiting.is_empty() && matches!(advice, None | Some(Advice::Again));
        Printed::failure(error, if waits { Some(Advice::Flush) } else { advice })
    }
}

impl Printed {
    /// The line of mail that one command has left at the server.
    #[must_use]
    pub fn more(fetched: Fetched) -> Option<Self> {
        (fetched == Fetched::More).then_some(Self::More)
    }

    /// The line of a message from a peer.
    fn received(message: &InboxMessage, messenger: &Messenger) -> Option<Self> {
        let peer = message.peer.as_ref().and_then(PeerId::from_subject)?;
        let (from, id, flags) = (name_of(messenger, Some(peer)), hex(&message.message_id), message.flags);
        let Some(content) = Content::parse(&message.plaintext) else {
            return Some(Self::Refused { from, reason: "Content".into(), remedy: "Ignore".into(), id: Some(id) });
        };
        Some(Self::Received(Received {
            claims: from.is_none().then_some(content.from),
            from,
            peer: hex(peer.as_bytes()),
            id,
            text: content.text,
            file: content.file.map(|file| File { id: hex(&file.id), name: file.name, size: file.size }),
            session: message.session.session_id().map(|id| hex(id)),
            new_session: flags.is_new_session,
            new_identity: flags.is_new_identity,
            probation: flags.is_on_probation,
            former_identity: flags.is_former_identity,
        }))
    }

    /// The line of a message to a peer of this name that the server has not taken.
    #[must_use]
    pub fn undelivered(to: Option<String>, id: &MessageId, remedy: impl fmt::Display) -> Self {
        Self::Undelivered { to, id: hex(id), remedy: remedy.to_string() }
    }

    /// The line of a message that an earlier run has sealed.
    #[must_use]
    pub fn already_sealed(message_id: Option<MessageId>) -> Option<Self> {
        message_id.map(|id| Self::AlreadySealed { id: hex(&id) })
    }

    /// The line of a message to a peer of this name that is given up, because it was sealed for another device.
    #[must_use]
    pub fn send_again(to: &str, of: &OutboxMessage) -> Self {
        Self::undelivered(Some(to.to_owned()), &of.message_id, "send it again")
    }

    /// The line of a session that should be replaced, if there is a reason.
    #[must_use]
    pub fn new_session_wanted(messenger: &Messenger, peer: PeerId, reason: Option<NewSession>) -> Option<Self> {
        let to = name_of(messenger, Some(peer));
        reason.map(|reason| Self::NewSessionWanted { to, reason: format!("{reason:?}") })
    }

    /// The line of a recovery code.
    #[must_use]
    pub fn recovery_code(code: &[u8]) -> Self {
        Self::RecoveryCode { code: hex(code) }
    }

    /// The line of a failure.
    #[must_use]
    pub fn failure(error: &dyn fmt::Display, advice: Option<Advice>) -> Self {
        let error = error.to_string();
        let remedy = match advice {
            None => "correct the command, or run it again".into(),
            Some(Advice::Flush) => "the message waits here: run `maintain`, and do not send it again".into(),
            Some(advice) => advice.to_string(),
        };
        match advice {
            Some(Advice::AskUser) => Self::IdentityChanged { error, remedy },
            Some(Advice::RestoreBackup) => Self::Suspect { error, remedy },
            _ => Self::Error { error, remedy },
        }
    }

    /// The lines of a peer's safety numbers, one for each identity.
    #[must_use]
    pub fn safety(messenger: &Messenger, peer: &PeerId) -> Vec<Self> {
        let identities = messenger.peer(peer).map_or([None; 2], |peer| [peer.identity, peer.claimed]);
        let numbers = identities.map(|identity| identity.map(|of| messenger.safety_number(of).to_string()));
        let lines = numbers.into_iter().zip([false, true]);
        lines.filter_map(|(number, claimed)| Some(Self::Safety { number: number?, claimed })).collect()
    }

    /// The lines of what is saved.
    ///
    /// # Errors
    /// Those of the store.
    pub fn status<S: Mailboxes>(stored: &mut Stored<S>) -> Result<Vec<Self>, S::Error> {
        let (outbox, inbox) = (stored.store().outbox(usize::MAX)?.len(), stored.store().inbox(usize::MAX)?.len());
        let messenger = stored.messenger();
        let peers = messenger.peers().map(|peer| Self::Peer {
            name: name(&peer),
            peer: hex(peer.id.as_bytes()),
            trust: format!("{:?}", peer.trust),
            identity_changed: peer.claimed.is_some(),
        });
        let refused = messenger.counters().iter().map(|(reason, count)| (format!("{reason:?}"), count)).collect();
        let suspicion = messenger.suspicion().map(|of| of.to_string());
        Ok(peers.chain([Self::Status { outbox, inbox, refused, suspicion }]).collect())
    }

    /// The event's name in the line.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::RecoveryCode { .. } => "recovery_code",
            Self::Received(_) => "received",
            Self::Sent { .. } => "sent",
            Self::AlreadySealed { .. } => "already_sealed",
            Self::NewSessionWanted { .. } => "new_session_wanted",
            Self::Refused { .. } => "refused",
            Self::Deferred { .. } => "deferred",
            Self::Answered { .. } => "answered",
            Self::More => "more",
            Self::Receipt { .. } => "receipt",
            Self::Undelivered { .. } => "undelivered",
            Self::IdentityChanged { .. } => "identity_changed",
            Self::Suspect { .. } => "suspect",
            Self::Error { .. } => "error",
            Self::Safety { .. } => "safety",
            Self::Peer { .. } => "peer",
            Self::Status { .. } => "status",
            Self::Fetched { .. } => "fetched",
        }
    }

    /// The error, of an event that has one.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        match self {
            Self::IdentityChanged { error, .. } | Self::Suspect { error, .. } | Self::Error { error, .. } => {
                Some(error)
            }
            _ => None,
        }
    }

    /// The remedy, of an event that has one.
    #[must_use]
    pub fn remedy(&self) -> Option<&str> {
        match self {
            Self::Refused { remedy, .. }
            | Self::Undelivered { remedy, .. }
            | Self::IdentityChanged { remedy, .. }
            | Self::Suspect { remedy, .. }
            | Self::Error { remedy, .. } => Some(remedy),
            _ => None,
        }
    }

    /// The code with which a command ends that prints this last.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::IdentityChanged { .. } | Self::Suspect { .. } => 3,
            Self::Error { .. } => 1,
            _ => 0,
        }
    }
}

/// The line.
impl fmt::Display for Printed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_printed() {
        for line in [
            r#"{"event":"sent","to":"bob","id":"00","recovers_from":null}"#,
            r#"{"event":"refused","from":null,"reason":"PrekeyGone","remedy":"Ignore"}"#,
            r#"{"event":"refused","from":"bob","reason":"Content","remedy":"Ignore","id":"00"}"#,
            r#"{"event":"recovery_code","code":"00"}"#,
            r#"{"event":"new_session_wanted","to":"bob","reason":"Restored"}"#,
            r#"{"event":"deferred","until":7}"#,
            r#"{"event":"answered","to":"bob"}"#,
            r#"{"event":"more"}"#,
            r#"{"event":"receipt","from":"bob","id":"00","reason":"PrekeyGone"}"#,
            r#"{"event":"undelivered","to":"bob","id":"00","remedy":"a"}"#,
            r#"{"event":"identity_changed","error":"a","remedy":"b"}"#,
            r#"{"event":"suspect","error":"a","remedy":"b"}"#,
            r#"{"event":"error","error":"a","remedy":"b"}"#,
            r#"{"event":"safety","number":"123","claimed":true}"#,
            r#"{"event":"peer","name":null,"peer":"00","trust":"FirstUse","identity_changed":false}"#,
            r#"{"event":"status","outbox":1,"inbox":2,"refused":{"PrekeyGone":3},"suspicion":null}"#,
            r#"{"event":"fetched","id":"00","path":"a","size":3}"#,
            concat!(
                r#"{"event":"received","from":null,"claims":"bob","peer":"00","id":"01","text":null,"#,
                r#""file":{"id":"02","name":"a","size":3},"session":"04","#,
                r#""new_session":true,"new_identity":false,"probation":true,"former_identity":false}"#,
            ),
        ] {
            let printed: Printed = serde_json::from_str(line).unwrap();
            assert_eq!(printed.to_string(), line);
            assert!(line.contains(&format!(r#""event":"{}""#, printed.name())), "{line}");
        }
        // Control: what is no event is not read.
        for line in [r#"{"event":"other"}"#, r#"{"event":"sent","to":"bob"}"#, "{}", ""] {
            assert!(serde_json::from_str::<Printed>(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_command_ends_with_3_only_where_the_user_decides() {
        let code = |advice| Printed::failure(&"a", advice).exit_code();
        assert_eq!([Some(Advice::AskUser), Some(Advice::RestoreBackup), None].map(code), [3, 3, 1]);
    }

    #[test]
    fn a_command_whose_message_waits_is_not_to_be_repeated() {
        let (mut lines, again) = (Lines::default(), [None, Some(Advice::Again)]);
        let repeats = |lines: &Lines, advice| !lines.failure(&"a", advice).remedy().unwrap().contains("`maintain`");
        // Control: nothing waits.
        assert!(again.into_iter().all(|advice| repeats(&lines, advice)));
        lines.waiting.insert([7; 16]);
        assert!(!again.into_iter().any(|advice| repeats(&lines, advice)));
        // What the user decides comes first.
        assert_eq!(lines.failure(&"a", Some(Advice::RestoreBackup)).exit_code(), 3);
    }
}
