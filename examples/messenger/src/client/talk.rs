// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sending and receiving.

use super::account::App;
use super::show::{emit, hex};
use super::{Failure, Server, Show, Store, now, rng};
use noescrow::Payload;
use noescrow::messenger::exchange::{Connected, Event};
use noescrow::messenger::{PeerId, Stored};
use noescrow_messenger::content::Content;
use serde_json::json;

/// Short texts are as long as longer ones.
const MIN_PADDED_LEN: usize = 512;

pub type Link<'a> = Connected<'a, Server, Store>;

impl App {
    /// Sends texts. What an earlier command has left is sent before them.
    pub fn send(&mut self, to: &str, texts: impl Iterator<Item = String>) -> Result<(), Failure> {
        let mut link = self.messenger.connect(&mut self.server, now(), &mut rng())?;
        let peer = link.peer_of_account(to.as_bytes(), now(), &mut rng())?;
        for text in texts {
            let content = Content { text: Some(text), ..self.account.content() };
            send(&mut link, &mut self.show, &peer, &content)?;
        }
        Ok(())
    }

    /// Fetches mail, or only sends what an earlier command has left.
    pub fn exchange(&mut self, receives: bool) -> Result<(), Failure> {
        let mut link = self.messenger.connect(&mut self.server, now(), &mut rng())?;
        let show = |stored: &mut Stored<Store>, event: Event<'_>| self.show.event(stored, &event);
        match receives {
            true => Ok(link.receive(None, now(), &mut rng(), show)?),
            false => Ok(link.flush(now(), &mut rng(), show)?),
        }
    }

    /// Accepts the identity that claims to be the peer.
    pub fn accept(&mut self, peer: &str, number: &str) -> Result<(), Failure> {
        let id = self.peer(peer)?;
        Ok(self.messenger.accept(&id, number, now(), &mut rng(), |message| {
            emit(
                &json!({"event": "undelivered", "to": peer, "id": hex(&message.message_id), "remedy": "send it again"}),
            );
        })?)
    }
}

/// Seals a message, saves it, and sends it.
pub fn send(link: &mut Link<'_>, show: &mut Show, peer: &PeerId, content: &Content) -> Result<(), Failure> {
    let plaintext = serde_json::to_vec(content)?;
    let payload = Payload { plaintext: &plaintext, min_padded_len: MIN_PADDED_LEN, ..Payload::default() };
    let sealed = link.send(peer, payload, now(), &mut rng(), |stored, event| show.event(stored, &event))?;
    if let Some(reason) = sealed.wanted {
        emit(&json!({"event": "new_session_wanted", "reason": format!("{reason:?}")}));
    }
    Ok(())
}
