// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the devices do while they are recorded, and what a client that is too helpful hands over.

use crate::client::{Client, Device, Outcome, Session};
use data_encoding::{BASE64, HEXLOWER};
use noescrow::{AccessKey, InitiateOptions, UnixSeconds};
use noescrow_audit::{Kind, Role, Tape, TraceReader};
use noescrow_recorder::Recorder;
use rand_core::UnwrapErr;
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

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
    /// Two devices set up a session and exchange messages.
    pub fn talk(self, tape: &Tape, server: SocketAddr, name: &str) -> Outcome<()> {
        let mut rng = UnwrapErr(getrandom::SysRng);
        let now = UnixSeconds::from(SystemTime::now().duration_since(UNIX_EPOCH)?);
        let recorder = |name| Recorder::device(tape, name);
        let mut alice = Device::generate_with(recorder("Alice")?, now, &mut rng);
        let mut bob = Device::generate_with(recorder("Bob")?, now, &mut rng);
        let mut alices = Client::new(server, name, ALICE);
        let mut bobs = Client::new(server, name, BOB);

        // Each sends the own access key to the other; an app does so inside the session.
        let [alices_key, bobs_key, old_key] = [(); 3].map(|()| AccessKey::generate(&mut rng));
        let publication = bob.publish(5, now, &mut rng)?;
        bobs.open(&bob, &publication, old_key.hash())?;
        bobs.log_in(&bob)?;
        let publication = alice.publish(1, now, &mut rng)?;
        alices.open(&alice, &publication, alices_key.hash())?;
        alices.log_in(&alice)?;
        let (mut session, hello): (Session, _) = alice.initiate(
            alices.fetch(BOB)?,
            b"hello Bob, shall we talk?",
            InitiateOptions::unverified(now),
            &mut rng,
        )?;
        alices.send(BOB, &hello, None)?;
        let hello = bobs.receive()?.pop().ok_or("the first message did not come")?;
        let accepted = bob.open(&hello)?.accept(b"").map_err(|failed| failed.error)?;
        let (mut theirs, first): (Session, _) = accepted;
        same(&first.plaintext, b"hello Bob, shall we talk?")?;
        // Bob has blocked somebody. Whoever lacks the new key, or has none, cannot send messages of a session.
        bobs.rotate_access_key(bobs_key.hash())?;
        let refused = theirs.encrypt(b"to myself", &mut rng)?;
        for key in [None, Some(&old_key)] {
            if bobs.send(BOB, &refused, key).is_ok() {
                return Err("a message without the access key was accepted".into());
            }
        }
        for number in 0..MESSAGES {
            let text = format!("number {number} from Bob, for Alice's eyes only");
            bobs.send(ALICE, &theirs.encrypt(text.as_bytes(), &mut rng)?, Some(&alices_key))?;
            let message = alices.receive()?.pop().ok_or("a message did not come")?;
            same(&session.decrypt(&message)?.plaintext, text.as_bytes())?;

            let text = format!("number {number} from Alice, for Bob's eyes only");
            let message = session.encrypt(text.as_bytes(), &mut rng)?;
            self.help(&mut alices, tape, &text)?;
            alices.send(BOB, &message, Some(&bobs_key))?;
            let message = bobs.receive()?.pop().ok_or("a message did not come")?;
            same(&theirs.decrypt(&message)?.plaintext, text.as_bytes())?;
        }
        // A message that stays waiting, for the database to contain.
        alices.send(BOB, &session.encrypt(b"are you still there, Bob?", &mut rng)?, Some(&bobs_key))?;
        // This request overwrites what the last one left in the server's buffers.
        alices.idle()
    }

    fn help(self, client: &mut Client, tape: &Tape, text: &str) -> Outcome<()> {
        match self {
            Self::Not => {}
            Self::MessageKeys => {
                let keys = [latest(tape, Wanted::Message)?, latest(tape, Wanted::PostQuantumMessage)?];
                client.extra = Some(("x-debug", BASE64.encode(&keys.concat())));
            }
            Self::HalfChainKey => {
                client.extra = Some(("x-debug", HEXLOWER.encode(&latest(tape, Wanted::Chain)?[..16])));
            }
            Self::RootKey => client.keep_for_recovery(&HEXLOWER.encode(&latest(tape, Wanted::Root)?))?,
            Self::Text => client.extra = Some(("x-preview", text.to_owned())),
        }
        Ok(())
    }
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
