// SPDX-License-Identifier: MIT OR Apache-2.0
//! The conversations that handshakes begin, and what passes in them.

use super::{MAX_CONVERSATIONS, NOW, RelayDevice};
use crate::served_bundle::Parts;
use crate::side::Who;
use crate::violation::Claim;
use noescrow::primitives::Primitives;
use noescrow::session::Session;
use rand_core::CryptoRng;

/// Length of the plaintexts.
const TEXT_LEN: usize = 32;

/// A handshake and its two sessions.
#[derive(Debug)]
pub(super) struct Conversation<P> {
    pub(super) from: Who,
    pub(super) to: Who,
    pub(super) is_genuine: bool,
    pub(super) first_message: Vec<u8>,
    pub(super) text: Vec<u8>,
    pub(super) signed_prekey: u32,
    pub(super) one_time_prekey: Option<u32>,
    pub(super) begun: Session<P>,
    pub(super) accepted: Option<Session<P>>,
}

/// The two ends of a conversation.
pub(super) type Ends<'a, P> = (&'a mut Session<P>, &'a mut Session<P>);

impl<P> Conversation<P> {
    /// The session of `who`, and its peer's.
    pub(super) fn ends_of(&mut self, who: Who) -> Option<Ends<'_, P>> {
        let accepted = self.accepted.as_mut()?;
        Some(if self.from == who { (&mut self.begun, accepted) } else { (accepted, &mut self.begun) })
    }
}

/// What the relay's own device would publish, without a one-time prekey once it has as many as it has room for.
pub(super) fn own_parts<P: Primitives>(device: &mut RelayDevice<P>, rng: &mut impl CryptoRng) -> Option<Parts> {
    let room = MAX_CONVERSATIONS.saturating_sub(device.one_time_prekeys_left()).min(1);
    let mut published = device.publish(room, NOW, rng).ok()?;
    let one_time_prekey = published.one_time_prekeys.pop().map(|prekey| prekey.to_bytes().to_vec());
    Some(Parts {
        identity: published.identity.to_bytes().to_vec(),
        signed_prekey: published.signed_prekey.to_bytes().to_vec(),
        one_time_prekey,
    })
}

pub(super) fn text(rng: &mut impl CryptoRng) -> Vec<u8> {
    let mut text = std::vec![0; TEXT_LEN];
    rng.fill_bytes(&mut text);
    text
}

/// Checks that a message opens in each direction. Returns both texts, the initiator's first, and the bytes sent.
pub(super) fn converse<P: Primitives>(
    conversation: &mut Conversation<P>,
    rng: &mut impl CryptoRng,
) -> Result<([Vec<u8>; 2], Vec<u8>), Claim> {
    let texts = [text(rng), text(rng)];
    let [one, other] = &texts;
    let Some(accepted) = &mut conversation.accepted else { return Err(Claim::HandshakeSucceeds) };
    let question = conversation.begun.encrypt(one, rng).map_err(|_| Claim::Sends)?;
    let read = accepted.decrypt(&question).map_err(|_| Claim::MustOpen)?;
    let answer = accepted.encrypt(other, rng).map_err(|_| Claim::Sends)?;
    let answered = conversation.begun.decrypt(&answer).map_err(|_| Claim::MustOpen)?;
    if (&read.plaintext, &answered.plaintext) != (one, other) {
        return Err(Claim::OpensToWhatWasSent);
    }
    Ok((texts, [question, answer].concat()))
}
