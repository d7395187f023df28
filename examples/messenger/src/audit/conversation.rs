// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the devices do while they are recorded, and what a client that is too helpful hands over.

use crate::client::{Outcome, User, Wire};
use data_encoding::{BASE64, HEXLOWER};
use noescrow_audit::{Kind, Role, Tape, TraceReader};
use std::net::SocketAddr;
use std::path::Path;

/// Messages that each device sends.
const MESSAGES: usize = 6;
const ALICE: &str = "+14153333333";
const BOB: &str = "+14152222222";

/// What a client that is too helpful hands over.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Helps {
    Not,
    /// Both ratchets' keys of a message, "to debug".
    MessageKeys,
    /// Half a chain key, "as a fingerprint".
    HalfChainKey,
    /// The root key, "for recovery".
    RootKey,
    /// The text itself, "as a preview".
    Text,
}

impl Helps {
    /// Two devices meet, exchange messages and a file. The server has this name. `folder` is for what is no evidence.
    pub fn talk(self, tape: &Tape, server: SocketAddr, name: &str, folder: &Path) -> Outcome<()> {
        let wire = Wire::new(server);
        let mut bob = User::open(tape, "Bob", BOB, name, &wire, folder)?;
        let mut alice = User::open(tape, "Alice", ALICE, name, &wire, folder)?;
        say(&mut alice, &mut bob, "hello Bob, shall we talk?")?;
        say(&mut bob, &mut alice, "yes Alice, let us do that")?;
        // Bob has blocked somebody. Whoever lacks the new key cannot send messages of a session.
        let key = bob.rotate_access_key()?;
        if alice.send(BOB, "with the old access key")? {
            return Err("a message without the access key was accepted".into());
        }
        alice.use_access_key(BOB, &key);
        // It was in the outbox.
        alice.send(BOB, "with the new access key")?;
        all(&mut bob, ALICE, &["with the old access key", "with the new access key"])?;
        for number in 0..MESSAGES {
            say(&mut bob, &mut alice, &format!("number {number} from Bob, for Alice's eyes only"))?;
            let text = format!("number {number} from Alice, for Bob's eyes only");
            self.help(&mut alice, tape, &text)?;
            say(&mut alice, &mut bob, &text)?;
        }
        // A file, which stays at the server.
        let photo = b"a photograph of Alice, for Bob's eyes only";
        let (id, key) = alice.upload(photo)?;
        // The server knows the id: in pieces, it is no fragment of the text.
        let id_in_pieces: Vec<_> = id.chunks(4).map(|piece| HEXLOWER.encode(piece)).collect();
        let text = format!("a file: {}, {}", id_in_pieces.join("-"), HEXLOWER.encode(&key.to_bytes()));
        say(&mut alice, &mut bob, &text)?;
        same(&bob.download(&id, &key, photo.len())?, photo)?;
        // A message that stays waiting, for the database to contain.
        alice.send(BOB, "are you still there, Bob?")?;
        // This request overwrites what the last one left in the server's buffers.
        alice.idle()
    }

    fn help(self, user: &mut User, tape: &Tape, text: &str) -> Outcome<()> {
        match self {
            Self::Not => {}
            Self::MessageKeys => {
                let keys = [latest(tape, Wanted::Message)?, latest(tape, Wanted::PostQuantumMessage)?];
                user.leak("x-debug", BASE64.encode(&keys.concat()));
            }
            Self::HalfChainKey => user.leak("x-debug", HEXLOWER.encode(&latest(tape, Wanted::Chain)?[..16])),
            Self::RootKey => user.keep_for_recovery(&HEXLOWER.encode(&latest(tape, Wanted::Root)?))?,
            Self::Text => user.leak("x-preview", text.to_owned()),
        }
        Ok(())
    }
}

/// One sends a text, and the other receives it and nothing else.
fn say(from: &mut User, to: &mut User, text: &str) -> Outcome<()> {
    let (sender, receiver) = (from.account, to.account);
    if !from.send(receiver, text)? {
        return Err("a message was not accepted".into());
    }
    all(to, sender, &[text])
}

/// These are the texts that wait.
fn all(at: &mut User, from: &str, texts: &[&str]) -> Outcome<()> {
    let received = at.receive(from)?;
    if received.len() != texts.len() {
        return Err(format!("{} of {} messages came", received.len(), texts.len()).into());
    }
    received.iter().zip(texts).try_for_each(|(one, other)| same(one, other.as_bytes()))
}

fn same(one: &[u8], other: &[u8]) -> Outcome<()> {
    if one == other { Ok(()) } else { Err("another text came than was sent".into()) }
}

/// The key that the driver takes from the tape to leak it.
enum Wanted {
    Message,
    PostQuantumMessage,
    Chain,
    Root,
}

/// The latest such key of Alice's.
fn latest(tape: &Tape, wanted: Wanted) -> Outcome<Vec<u8>> {
    let mut found = None;
    TraceReader::new(tape.bytes().as_slice())?.for_each(|operation| {
        let Some(output) = operation.output(Role::KdfOutput).filter(|_| operation.participant == 0) else { return };
        let constant = operation.input(Role::Context).unwrap_or_default();
        // KDF_CK's constants (spec/protocol.md §9), and the root key before KDF_RK_HE's three keys.
        let key = match (&wanted, operation.kind, constant) {
            (Wanted::Message, Kind::Hmac, [1]) | (Wanted::Chain, Kind::Hmac, [2]) => Some(output),
            // KDF_SCKA_CK's 64 bytes (§8): the next chain key, and the message key.
            (Wanted::PostQuantumMessage, Kind::HkdfExpand, b"noescrow-v1 pq ck") => output.get(32..),
            (Wanted::Root, Kind::Hkdf, _) if output.len() == 96 => output.get(..32),
            _ => None,
        };
        found = key.map(<[u8]>::to_vec).or(found.take());
    })?;
    found.ok_or_else(|| "no such key on the tape".into())
}
