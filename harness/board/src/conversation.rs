// SPDX-License-Identifier: MIT OR Apache-2.0
//! Both roles of the conversation, on `noescrow` without features.
//!
//! Each step is a function that is not inlined, so that its stack is released before the next one begins.
//!
//! A device in real use saves its session before every send and after every receipt (the crash contract of
//! `noescrow::snapshot`). This one saves once in each burst, to measure it.

use crate::network::{ARRIVALS, Arrival, BURST, JUMPS, KEPT_AFTER_FIRST, TURNS};
use noescrow::error::{AcceptError, DecryptError};
use noescrow::primitives::RustCrypto;
use noescrow::{
    BUNDLE_LEN, Bundle, Capacity, ChunkSize, FixedSession, InitiateOptions, MAX_JUMP, Payload, StorageKey, UnixSeconds,
    device,
};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

/// Room for two one-time prekeys, and for two handshakes without one.
type Device = device::Device<RustCrypto, Capacity<2, 2>>;
/// Room for 16 skipped keys.
type Session = FixedSession<16>;

/// The beginning of each device's seed. A device in real use has a generator of its own.
pub const SEED: u8 = 42;
const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
/// Holds the longest value here, a bundle; snapshots are shorter.
const BUFFER: usize = BUNDLE_LEN;
/// Bytes of the longest plaintext.
const TEXT: usize = 48;
/// The chunk size with the fewest messages of an epoch.
const CHUNK_SIZE: ChunkSize = ChunkSize::Bytes256;
/// Fresh post-quantum keys on which the session must rest at the end. The two ends may differ by one.
const EPOCHS: u32 = 2;

/// The check that failed.
pub type Failed = &'static str;

/// A device's environment: a line to the other device, and instruments.
pub trait Board {
    /// Sends one message.
    ///
    /// # Errors
    /// The line is down.
    fn send(&mut self, message: &[u8]) -> Result<(), Failed>;

    /// Waits for one message and returns its length.
    ///
    /// # Errors
    /// The line is down, or the message is longer than the buffer.
    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, Failed>;

    /// Performs `work`, and records its cost.
    fn measure<T>(&mut self, operation: &'static str, work: impl FnOnce() -> T) -> T {
        let _ = operation;
        work()
    }
}

/// The role of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Starts the session.
    Alice,
    /// Accepts the session.
    Bob,
}

impl Role {
    fn named(name: &str) -> Option<Self> {
        match name {
            "alice" => Some(Self::Alice),
            "bob" => Some(Self::Bob),
            _ => None,
        }
    }

    const fn other(self) -> Self {
        match self {
            Self::Alice => Self::Bob,
            Self::Bob => Self::Alice,
        }
    }
}

/// Which of the conversations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Script {
    /// The one that all machines have with each other.
    Whole,
    /// The one in which Alice skips as many messages as she may. Only a desktop can be Alice: it encrypts them all.
    Jumps,
}

/// The role and the script with this name: `alice`, or `alice-jumps`.
#[must_use]
pub fn named(name: &str) -> Option<(Role, Script)> {
    match name.strip_suffix("-jumps") {
        Some(role) => Role::named(role).map(|role| (role, Script::Jumps)),
        None => Role::named(name).map(|role| (role, Script::Whole)),
    }
}

/// Runs the conversation to its end.
///
/// # Errors
/// The check that failed.
pub fn hold<B: Board>(
    board: &mut B,
    (role, script): (Role, Script),
    seed: u8,
    associated_data: &[u8],
) -> Result<(), Failed> {
    let mut rng = ChaCha20Rng::from_seed([seed; 32]);
    // Two devices with the same randomness would have one identity.
    rng.set_stream(role as u64);
    let mut device = board.measure("make a device", || Device::generate_with(RustCrypto, NOW, &mut rng));
    let mut end = End { board, role, rng, associated_data, session: None, said: 0, heard: 0, buffer: [0; BUFFER] };
    match role {
        Role::Alice => end.initiate(&device)?,
        Role::Bob => end.publish(&mut device).and_then(|()| end.accept(&mut device))?,
    }
    if script == Script::Jumps {
        return end.jumps();
    }
    end.turns()?;
    match role {
        Role::Alice => end.say_burst().and_then(|()| end.hear_burst())?,
        Role::Bob => end.hear_burst().and_then(|()| end.say_burst())?,
    }
    end.turns()?;
    end.conclude()
}

/// One end of the conversation.
struct End<'a, B> {
    board: &'a mut B,
    role: Role,
    rng: ChaCha20Rng,
    associated_data: &'a [u8],
    session: Option<Session>,
    said: u8,
    heard: u8,
    /// For everything that is sent, received or stored.
    buffer: [u8; BUFFER],
}

impl<B: Board> End<'_, B> {
    #[inline(never)]
    fn initiate(&mut self, device: &Device) -> Result<(), Failed> {
        let bundle = self.fetch()?;
        let (text, len) = text(self.role, self.said);
        let text = text.get(..len).ok_or("a text has its length")?;
        let (session, out, rng) = (&mut self.session, &mut self.buffer, &mut self.rng);
        let len = self.board.measure("initiate", || {
            let made = device.initiate_into(
                bundle,
                Payload { plaintext: text, associated_data: self.associated_data, ..Payload::default() },
                InitiateOptions::unverified(NOW).chunk_size(CHUNK_SIZE),
                out,
                rng,
            );
            made.map(|(made, len)| {
                *session = Some(made);
                len
            })
        });
        self.said += 1;
        self.send(len.map_err(|_| "Bob's bundle does not initiate")?)
    }

    #[inline(never)]
    fn fetch(&mut self) -> Result<Bundle, Failed> {
        let len = self.board.receive(&mut self.buffer)?;
        let bytes = self.buffer.get(..len).ok_or("a bundle has its length")?;
        let bundle = self.board.measure("parse a bundle", || Bundle::from_bytes(&RustCrypto, bytes));
        bundle.map_err(|_| "Bob's bundle is refused")
    }

    #[inline(never)]
    fn accept(&mut self, device: &mut Device) -> Result<(), Failed> {
        let len = self.board.receive(&mut self.buffer)?;
        let message = self.buffer.get_mut(..len).ok_or("a message has its length")?;
        let session = &mut self.session;
        let opened = self.board.measure("accept", || {
            let (accepted, opened) = device.open_in_place(message)?.accept_in_place(self.associated_data)?;
            *session = Some(accepted);
            Ok::<_, AcceptError>(opened.plaintext)
        });
        let (text, len) = text(self.role.other(), self.heard);
        self.heard += 1;
        match opened {
            Ok(opened) if Some(&*opened) == text.get(..len) => Ok(()),
            Ok(_) => Err("the first message opens to something else"),
            Err(_) => Err("Alice's first message is refused"),
        }
    }

    #[inline(never)]
    fn publish(&mut self, device: &mut Device) -> Result<(), Failed> {
        let rng = &mut self.rng;
        let one_time = self.board.measure("make a one-time prekey", || device.generate_one_time_prekey(NOW, rng));
        let one_time = one_time.map_err(|_| "there is no room for a prekey")?;
        let signed = self.board.measure("sign a prekey", || device.signed_prekey());
        let bundle = Bundle::new(*device.identity(), signed, Some(one_time)).map_err(|_| "prekeys make no bundle")?;
        let len = bundle.write_to(&mut self.buffer).ok_or("a bundle does not fit")?;
        self.send(len)
    }

    fn turns(&mut self) -> Result<(), Failed> {
        for _ in 0..TURNS {
            match self.role {
                Role::Alice => self.hear().and_then(|()| self.say())?,
                Role::Bob => self.say().and_then(|()| self.hear())?,
            }
        }
        Ok(())
    }

    fn say_burst(&mut self) -> Result<(), Failed> {
        for _ in 0..BURST {
            self.say()?;
        }
        Ok(())
    }

    fn hear_burst(&mut self) -> Result<(), Failed> {
        let begin = self.heard;
        for (at, arrival) in ARRIVALS.into_iter().enumerate() {
            match arrival {
                Arrival::Whole(number) => self.hear_the(begin + number)?,
                Arrival::Forged(_) => self.refuse()?,
            }
            if at == 0 {
                self.restart()?;
                let kept = self.session.as_ref().map(Session::skipped_message_keys);
                if kept != Some(KEPT_AFTER_FIRST) {
                    return Err("a stored session has other keys than it had");
                }
            }
        }
        self.heard = begin + BURST;
        Ok(())
    }

    fn jumps(&mut self) -> Result<(), Failed> {
        for skips in JUMPS {
            match self.role {
                Role::Alice => self.jump(skips)?,
                Role::Bob => self.hear_jump(skips)?,
            }
        }
        Ok(())
    }

    /// Encrypts `skips` messages that are lost, and sends the next one.
    #[inline(never)]
    fn jump(&mut self, skips: u32) -> Result<(), Failed> {
        let session = self.session.as_mut().ok_or("there is no session")?;
        let (text, len) = text(self.role, 0);
        let text = text.get(..len).ok_or("a text has its length")?;
        let mut message_len = 0;
        for _ in 0..=skips {
            let payload = Payload { plaintext: text, associated_data: self.associated_data, ..Payload::default() };
            let made = session.encrypt_into(payload, &mut self.buffer, &mut self.rng);
            message_len = made.map_err(|_| "a session does not encrypt")?;
        }
        self.send(message_len)
    }

    /// A device that bounds the work of one message asks how many it skips first.
    #[inline(never)]
    fn hear_jump(&mut self, skips: u32) -> Result<(), Failed> {
        let len = self.board.receive(&mut self.buffer)?;
        let message = self.buffer.get_mut(..len).ok_or("a message has its length")?;
        let session = self.session.as_mut().ok_or("there is no session")?;
        let asked = self.board.measure("peek", || session.peek(message));
        if asked != Ok(skips) {
            return Err("a message skips another number than it should");
        }
        let operation = match skips {
            1_000 => "jump of 1,000",
            MAX_JUMP => "jump of 25,000",
            _ => "refuse a jump of 25,001",
        };
        let opened = self.board.measure(operation, || session.decrypt_in_place(message, self.associated_data).is_ok());
        if opened == (skips <= MAX_JUMP) { Ok(()) } else { Err("a jump is not treated as it should be") }
    }

    #[inline(never)]
    fn say(&mut self) -> Result<(), Failed> {
        let (text, len) = text(self.role, self.said);
        let text = text.get(..len).ok_or("a text has its length")?;
        let session = self.session.as_mut().ok_or("there is no session")?;
        let (out, rng) = (&mut self.buffer, &mut self.rng);
        let len = self
            .board
            .measure("encrypt", || {
                session.encrypt_into(
                    Payload { plaintext: text, associated_data: self.associated_data, ..Payload::default() },
                    out,
                    rng,
                )
            })
            .map_err(|_| "a session does not encrypt")?;
        self.said += 1;
        self.send(len)
    }

    fn hear(&mut self) -> Result<(), Failed> {
        self.hear_the(self.heard)?;
        self.heard += 1;
        Ok(())
    }

    /// The other end's message of this number.
    fn hear_the(&mut self, number: u8) -> Result<(), Failed> {
        let (text, len) = text(self.role.other(), number);
        match self.open("decrypt")? {
            Ok(opened) if Some(&*opened) == text.get(..len) => Ok(()),
            Ok(_) => Err("a message opens to something else"),
            Err(_) => Err("a message is refused"),
        }
    }

    fn refuse(&mut self) -> Result<(), Failed> {
        match self.open("refuse a forgery")? {
            Err(DecryptError::Refused) => Ok(()),
            _ => Err("a forged message is not refused"),
        }
    }

    #[inline(never)]
    fn open(&mut self, operation: &'static str) -> Result<Result<&mut [u8], DecryptError>, Failed> {
        let len = self.board.receive(&mut self.buffer)?;
        let message = self.buffer.get_mut(..len).ok_or("a message has its length")?;
        let session = self.session.as_mut().ok_or("there is no session")?;
        let opened = self.board.measure(operation, || session.decrypt_in_place(message, self.associated_data));
        Ok(opened.map(|opened| opened.plaintext))
    }

    /// Stores the session, drops it, and restores it.
    #[inline(never)]
    fn restart(&mut self) -> Result<(), Failed> {
        let key = StorageKey::new([7; 32]);
        let session = self.session.as_ref().ok_or("there is no session")?;
        let subject = session.subject();
        let out = &mut self.buffer;
        let len = self.board.measure("store a session", || session.snapshot_into(&key, 1, out));
        let len = len.ok_or("a session does not fit")?;
        self.session = None;
        let stored = self.buffer.get_mut(..len).ok_or("a snapshot has its length")?;
        let session = &mut self.session;
        self.board.measure("restore a session", || {
            *session = Session::restore_in_place(RustCrypto, stored, &key, &subject, 1).ok();
        });
        if self.session.is_some() { Ok(()) } else { Err("a stored session is refused") }
    }

    /// Reports the values on which both ends must agree.
    #[inline(never)]
    fn conclude(&mut self) -> Result<(), Failed> {
        let session = self.session.as_ref().ok_or("there is no session")?;
        if session.post_quantum_epoch() < EPOCHS {
            return Err("the post-quantum ratchet did not reach its last epoch");
        }
        let number = session.safety_number().ok_or("there is no safety number")?;
        let mut agreed = [0; 32 + 60];
        let parts = session.id().into_iter().chain(number.digits());
        agreed.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        self.board.send(&agreed)
    }

    fn send(&mut self, len: usize) -> Result<(), Failed> {
        self.board.send(self.buffer.get(..len).ok_or("a message has its length")?)
    }
}

/// The text of `role`'s message with this number: of every length up to [`TEXT`].
fn text(role: Role, number: u8) -> ([u8; TEXT], usize) {
    let len = usize::from(number) * 7 % TEXT + 1;
    ([number ^ (0x80 * role as u8); TEXT], len)
}
