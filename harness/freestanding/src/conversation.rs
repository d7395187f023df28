// SPDX-License-Identifier: MIT OR Apache-2.0
//! The conversation, on `noescrow` without features: every buffer is on the stack.

use core::fmt::Write;
use noescrow::error::{AcceptError, DecryptError, RestoreError};
use noescrow::primitives::{RustCrypto, TAG_LEN};
use noescrow::snapshot::SNAPSHOT_OVERHEAD;
use noescrow::{
    AcceptFailed, BUNDLE_LEN, Bundle, Capacity, FIRST_MESSAGE_OVERHEAD, FixedSession, InitiateOptions,
    MESSAGE_OVERHEAD, Payload, Prekey, Secret, StorageKey, UnixSeconds, device, skipped::Inline,
};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

/// A device of a size for which a microcontroller has room.
type Device = device::Device<RustCrypto, Capacity<2, 2>>;
/// Room for four skipped keys.
type Session = FixedSession<4>;

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
/// Bytes of the longest plaintext here, plus more than Padmé adds to it.
const TEXT: usize = 64;
const FIRST: usize = FIRST_MESSAGE_OVERHEAD + TEXT;
const MESSAGE: usize = MESSAGE_OVERHEAD + TEXT;
/// Bytes of the longest snapshot here, and a few more: a session with four skipped keys of either ratchet, three
/// epochs, and a peer's post-quantum key (1.3 kB).
const SNAPSHOT: usize = 3072;
const KEY: [u8; 32] = [7; 32];

/// The check that failed.
type Failed = &'static str;

struct Checks<'a, W> {
    output: &'a mut W,
    made: usize,
    /// The check, counted from 1, whose verdict is inverted; 0 for none.
    broken: usize,
}

impl<W: Write> Checks<'_, W> {
    fn that(&mut self, claim: &'static str, holds: bool) -> Result<(), Failed> {
        self.made += 1;
        if holds == (self.made == self.broken) {
            return Err(claim);
        }
        writeln!(self.output, "  {claim}").map_err(|_| "nothing can be written")
    }

    fn stage(&mut self, name: &'static str) -> Result<(), Failed> {
        writeln!(self.output, "{name}").map_err(|_| "nothing can be written")
    }
}

/// Runs the conversation and returns the number of checks. The `broken`-th verdict is inverted.
pub(crate) fn hold(output: &mut impl Write, broken: usize) -> Result<usize, Failed> {
    let mut rng = ChaCha20Rng::from_seed([42; 32]);
    let mut checks = Checks { output, made: 0, broken };
    for one_time in [true, false] {
        checks.stage(if one_time { "with a one-time prekey" } else { "with the last-resort prekey" })?;
        let (alice, bob) = handshake(one_time, &mut checks, &mut rng)?;
        talk(alice, bob, &mut checks, &mut rng)?;
    }
    Ok(checks.made)
}

fn handshake<W: Write>(
    one_time: bool,
    checks: &mut Checks<'_, W>,
    rng: &mut ChaCha20Rng,
) -> Result<(Session, Session), Failed> {
    checks.stage(" devices and prekeys")?;
    let alice = Device::generate_with(RustCrypto, NOW, rng);
    let mut bob = Device::generate_with(RustCrypto, NOW, rng);
    let prekey: Option<Prekey> = match one_time {
        true => Some(bob.generate_one_time_prekey(NOW, rng).map_err(|_| "a device makes prekeys")?),
        false => None,
    };
    let bundle = Bundle::new(*bob.identity(), bob.signed_prekey(), prekey).map_err(|_| "prekeys make a bundle")?;
    let mut bytes = [0; BUNDLE_LEN];
    let len = bundle.write_to(&mut bytes).ok_or("a bundle fits")?;
    let bytes = bytes.get_mut(..len).ok_or("a bundle has its length")?;
    let parsed = Bundle::from_bytes(&RustCrypto, bytes).map_err(|_| "a bundle parses")?;
    checks.that("a bundle comes over the wire as it was", parsed == bundle)?;
    if let Some(last) = bytes.last_mut() {
        *last ^= 1;
    }
    checks.that("a forged bundle is refused", Bundle::from_bytes(&RustCrypto, bytes).is_err())?;

    checks.stage(" a device is stored and restored")?;
    let mut stored = [0; SNAPSHOT];
    let len = bob.snapshot_into(&StorageKey::new(KEY), 1, &mut stored).ok_or("a device fits")?;
    let stored = stored.get_mut(..len).ok_or("a snapshot has its length")?;
    let (key, subject) = (StorageKey::new(KEY), bob.subject());
    let mut bob = Device::restore_in_place(RustCrypto, stored, &key, &subject, 1).map_err(|_| "it restores")?;
    let state = stored.get(SNAPSHOT_OVERHEAD - TAG_LEN..len - TAG_LEN).ok_or("a snapshot has a state")?;
    checks.that("the stored state is wiped from the buffer", state.iter().all(|byte| *byte == 0))?;
    checks.that("it has its one-time prekey", bob.one_time_prekeys_left() == usize::from(one_time))?;

    checks.stage(" handshake")?;
    let mut hello = [0; FIRST];
    let (mut alice, len) = alice
        .initiate_into::<Inline<4>>(
            parsed,
            Payload { plaintext: b"hi Bob", associated_data: b"ad", ..Payload::default() },
            InitiateOptions::unverified(NOW),
            &mut hello,
            rng,
        )
        .map_err(|_| "a bundle initiates")?;
    let hello = hello.get(..len).ok_or("a message has its length")?;
    checks.that("it is a first message", noescrow::is_first_message(hello) == Ok(true))?;

    let mut forged = copy::<FIRST>(hello);
    flip(&mut forged, len / 2);
    let refused = accept(&mut bob, forged.get_mut(..len).ok_or("a copy fits")?);
    checks.that("a forged first message is refused", matches!(refused, Err(AcceptError::Refused)))?;

    let mut arrived = copy::<FIRST>(hello);
    let arrived = arrived.get_mut(..len).ok_or("a copy fits")?;
    let (mut theirs, text) = accept(&mut bob, arrived).map_err(|_| "the first message is accepted")?;
    checks.that("the first message opens to what was sent", text == b"hi Bob")?;
    checks.that("the one-time prekey is gone", bob.one_time_prekeys_left() == 0)?;
    let mut again = copy::<FIRST>(hello);
    let again = accept(&mut bob, again.get_mut(..len).ok_or("a copy fits")?);
    let due = if one_time { AcceptError::PrekeyGone } else { AcceptError::Repeated };
    checks.that("a first message is accepted once", matches!(again, Err(error) if error == due))?;
    checks.that("both have one session id", alice.id() == theirs.id())?;
    let exporters = (alice.take_exporter(), theirs.take_exporter());
    let exporters = (exporters.0.as_ref().map(Secret::expose), exporters.1.as_ref().map(Secret::expose));
    checks.that("both have one exporter", exporters.0.is_some() && exporters.0 == exporters.1)?;
    let numbers = (alice.safety_number().map(|n| n.digits()), theirs.safety_number().map(|n| n.digits()));
    checks.that("both see one safety number", numbers.0.is_some() && numbers.0 == numbers.1)?;
    Ok((alice, theirs))
}

/// Opens and accepts a first message. Other associated data is refused in between.
fn accept<'m>(device: &mut Device, message: &'m mut [u8]) -> Result<(Session, &'m mut [u8]), AcceptError> {
    match device.open_in_place(message)?.accept_in_place(b"other") {
        Err(AcceptFailed { error: _, pending }) => {
            let (session, opened) = pending.accept_in_place(b"ad")?;
            Ok((session, opened.plaintext))
        }
        Ok(_) => Err(AcceptError::Refused),
    }
}

fn talk<W: Write>(
    mut alice: Session,
    mut bob: Session,
    checks: &mut Checks<'_, W>,
    rng: &mut ChaCha20Rng,
) -> Result<(), Failed> {
    checks.stage(" there and back")?;
    for round in 0..3 {
        let (message, len) = encrypt(&mut bob, &[round; 33], rng)?;
        checks.that("Alice opens what Bob sent", opens(&mut alice, &message, len) == Ok(([round; 33], true)))?;
        let (message, len) = encrypt(&mut alice, &[!round; 33], rng)?;
        checks.that("Bob opens what Alice sent", opens(&mut bob, &message, len) == Ok(([!round; 33], true)))?;
    }

    checks.stage(" out of order, forged, repeated")?;
    let (first, first_len) = encrypt(&mut alice, &[1; 33], rng)?;
    let (second, second_len) = encrypt(&mut alice, &[2; 33], rng)?;
    let (third, third_len) = encrypt(&mut alice, &[3; 33], rng)?;
    checks.that("the third opens first", opens(&mut bob, &third, third_len) == Ok(([3; 33], true)))?;
    checks.that("two keys are kept", bob.skipped_message_keys() == 2)?;
    let before = snapshot(&bob, 1)?;
    for at in [0, 40, second_len - 20, second_len - 1] {
        let mut forged = copy::<MESSAGE>(&second);
        flip(&mut forged, at);
        let refused = opens(&mut bob, &forged, second_len) == Err(DecryptError::Refused);
        checks.that("a forged message is refused", refused)?;
    }
    checks.that("and leaves the session as it was", snapshot(&bob, 1)? == before)?;

    checks.stage(" a session is stored and restored")?;
    let (mut stored, len) = before;
    let (key, subject) = (StorageKey::new(KEY), bob.subject());
    let mut copied = stored;
    let older = Session::restore_in_place(RustCrypto, copied.get_mut(..len).ok_or("it fits")?, &key, &subject, 2);
    checks.that("an older generation is refused", matches!(older, Err(RestoreError::Rollback)))?;
    let mut damaged = stored;
    flip(&mut damaged, len / 2);
    let damaged = Session::restore_in_place(RustCrypto, damaged.get_mut(..len).ok_or("it fits")?, &key, &subject, 1);
    checks.that("a damaged one is refused", matches!(damaged, Err(RestoreError::Refused)))?;
    drop(bob);
    let stored = stored.get_mut(..len).ok_or("it fits")?;
    let mut bob = Session::restore_in_place(RustCrypto, stored, &key, &subject, 1).map_err(|_| "a session restores")?;
    checks.that("the first opens late", opens(&mut bob, &first, first_len) == Ok(([1; 33], true)))?;
    checks.that("the second opens late", opens(&mut bob, &second, second_len) == Ok(([2; 33], true)))?;
    checks.that("it opens once", opens(&mut bob, &second, second_len) == Err(DecryptError::KeyGone))?;
    let (reply, len) = encrypt(&mut bob, &[9; 33], rng)?;
    checks.that("the restored session answers", opens(&mut alice, &reply, len) == Ok(([9; 33], true)))?;

    checks.stage(" more is lost than there is room for")?;
    let mut messages = [([0; MESSAGE], 0); 10];
    for message in &mut messages {
        *message = encrypt(&mut alice, &[5; 33], rng)?;
    }
    let [_, _, _, _, (fifth, fifth_len), (sixth, sixth_len), _, _, _, (tenth, tenth_len)] = messages;
    checks.that("it is known how many a message skips", peek(&bob, &tenth, tenth_len) == Ok(9))?;
    checks.that("a jump past the room opens", opens(&mut bob, &tenth, tenth_len) == Ok(([5; 33], true)))?;
    checks.that("as many keys are kept as fit", bob.skipped_message_keys() == 4)?;
    checks.that("the oldest are gone", opens(&mut bob, &fifth, fifth_len) == Err(DecryptError::KeyGone))?;
    checks.that("the newest are kept", opens(&mut bob, &sixth, sixth_len) == Ok(([5; 33], true)))
}

fn peek(session: &Session, message: &[u8; MESSAGE], len: usize) -> Result<u32, DecryptError> {
    session.peek(message.get(..len).unwrap_or_default())
}

fn encrypt(session: &mut Session, text: &[u8; 33], rng: &mut ChaCha20Rng) -> Result<([u8; MESSAGE], usize), Failed> {
    let mut message = [0; MESSAGE];
    let len = session
        .encrypt_into(Payload { plaintext: text, associated_data: b"ad", ..Payload::default() }, &mut message, rng)
        .map_err(|_| "a session encrypts")?;
    Ok((message, len))
}

/// Decrypts in place, and checks the plaintext and its length.
fn opens(session: &mut Session, message: &[u8; MESSAGE], len: usize) -> Result<([u8; 33], bool), DecryptError> {
    let mut buffer = *message;
    let text = session.decrypt_in_place(buffer.get_mut(..len).unwrap_or_default(), b"ad")?.plaintext;
    Ok((copy(text), text.len() == 33))
}

fn snapshot(session: &Session, generation: u64) -> Result<([u8; SNAPSHOT], usize), Failed> {
    let mut out = [0; SNAPSHOT];
    let len = session.snapshot_into(&StorageKey::new(KEY), generation, &mut out).ok_or("a session fits")?;
    Ok((out, len))
}

fn copy<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut copy = [0; N];
    copy.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    copy
}

fn flip(bytes: &mut [u8], at: usize) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 0x10;
    }
}
