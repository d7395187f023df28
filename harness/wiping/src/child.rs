// SPDX-License-Identifier: MIT OR Apache-2.0
//! One device with the default primitives. It performs commands and then stands still, so that its memory can be read.
//!
//! It holds only the secrets of its device and session: what it draws comes from the observer directly into the
//! caller's buffer, and plaintexts are overwritten after use.

mod protocol;

use noescrow::primitives::RustCrypto;
use noescrow::{Bundle, ChunkSize, Device, InitiateOptions, Payload, Sealed, Session, StorageKey};
use protocol::{CALLERS_DATA, DRAW, NOW, ONE_TIME, OUTPUT, STOP, Verb, answers};
use rand_core::{TryCryptoRng, TryRng};
use std::convert::Infallible;
use std::fs::File;
use std::hint::black_box;
use std::io::{Read, Write, stdin, stdout};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

fn main() {
    let mut observer = Observer {
        // Not the standard library's own handles, which have buffers.
        from: File::from(stdin().as_fd().try_clone_to_owned().expect("a pipe")),
        to: File::from(stdout().as_fd().try_clone_to_owned().expect("a pipe")),
    };
    signal_hook::flag::register(signal_hook::consts::SIGUSR1, Arc::new(AtomicBool::new(false))).expect("a handler");
    let mut party = Party::default();
    while let Some(verb) = observer.verb() {
        let mut arguments = observer.arguments();
        let mut output = party.perform(verb, &mut arguments, &mut observer);
        observer.put(&output);
        overwrite(&mut output);
        arguments.iter_mut().for_each(|argument| overwrite(argument));
        spill_registers();
        observer.say(&[STOP]);
    }
}

/// Bytes between the stack in use and the place where the registers are written: more than any operation's stack, so
/// that nothing that the operation left is overwritten.
const GAP: usize = 1 << 19;

/// Makes the kernel write all registers to the stack, as it does when a signal is handled.
#[inline(never)]
fn spill_registers() {
    let gap = MaybeUninit::<[u8; GAP]>::uninit();
    black_box(&gap);
    signal_hook::low_level::raise(signal_hook::consts::SIGUSR1).expect("a signal");
    black_box(&gap);
}

/// Not `zeroize`: in one build it does nothing.
fn overwrite(bytes: &mut [u8]) {
    bytes.fill(0);
    black_box(bytes);
}

#[derive(Default)]
struct Party {
    device: Option<Box<Device>>,
    session: Option<Box<Session>>,
    planted: Option<Box<[u8; 32]>>,
}

impl Party {
    fn perform(&mut self, verb: Verb, arguments: &mut [Vec<u8>], rng: &mut Observer) -> Vec<u8> {
        match (verb, arguments) {
            (Verb::Generate, []) => self.generate(rng),
            (Verb::Publish, []) => self.publish(rng),
            (Verb::Rotate, []) => self.device().rotate(NOW, rng).to_bytes().to_vec(),
            (Verb::DeletePrevious, []) => vec![u8::from(self.device().delete_previous_signed_prekeys())],
            (Verb::Initiate, [bundle, plaintext]) => self.initiate(bundle, plaintext, rng),
            (Verb::OpenAndDrop, [message]) => self.open_and_drop(message),
            (Verb::Refuse, [message]) => self.refuse(message),
            (Verb::Accept, [message]) => self.accept(message),
            (Verb::TakeExporter, []) => self.take_exporter(),
            (Verb::Ask, [message]) => self.ask(message),
            (Verb::SignLogin, [challenge]) => self.device().sign_login(array(challenge)).to_vec(),
            (Verb::Encrypt, [plaintext]) => self
                .session()
                .encrypt(Payload { plaintext, associated_data: CALLERS_DATA, ..Payload::default() }, rng)
                .unwrap_or_default(),
            (Verb::Decrypt, [message]) => {
                let opened = self.session().decrypt(Sealed { message, associated_data: CALLERS_DATA });
                opened.map(|opened| opened.plaintext).unwrap_or_default()
            }
            (Verb::SnapshotDevice, [key, generation]) => self.device().snapshot(&storage_key(key), number(generation)),
            (Verb::SnapshotSession, [key, generation]) => {
                self.session().snapshot(&storage_key(key), number(generation))
            }
            (Verb::RestoreDevice, [snapshot, key]) => self.restore_device(snapshot, key),
            (Verb::RestoreSession, [snapshot, key]) => self.restore_session(snapshot, key),
            (Verb::DropSession, []) => {
                self.session = None;
                Vec::new()
            }
            (Verb::DropDevice, []) => {
                self.device = None;
                Vec::new()
            }
            (Verb::PlantHeap, [secret]) => {
                self.planted = Some(Box::new(*array(secret)));
                Vec::new()
            }
            (Verb::PlantStack, [secret]) => plant_on_the_stack(array(secret)),
            (Verb::PlantStatic, [secret]) => plant_in_a_static(array(secret)),
            (Verb::PlantRegister, [secret]) => plant_in_a_register(array(secret)),
            (Verb::FillStack, [secret]) => fill_the_stack(array(secret)),
            (verb, arguments) => panic!("{verb:?} with {} arguments", arguments.len()),
        }
    }

    fn device(&mut self) -> &mut Device {
        self.device.as_mut().expect("a device")
    }

    fn session(&mut self) -> &mut Session {
        self.session.as_mut().expect("a session")
    }

    #[inline(never)]
    fn generate(&mut self, rng: &mut Observer) -> Vec<u8> {
        let device = Box::new(Device::generate(NOW, rng));
        let identity = device.identity().to_bytes().to_vec();
        self.device = Some(device);
        identity
    }

    #[inline(never)]
    fn publish(&mut self, rng: &mut Observer) -> Vec<u8> {
        let published = self.device().publish(ONE_TIME, NOW, rng).expect("room");
        published.one_time_prekeys.iter().flat_map(|prekey| prekey.to_bytes()).collect()
    }

    #[inline(never)]
    fn initiate(&mut self, bundle: &[u8], plaintext: &[u8], rng: &mut Observer) -> Vec<u8> {
        let bundle = Bundle::from_bytes(&RustCrypto, bundle).expect("a bundle");
        let size = ChunkSize::Bytes256;
        let begun = self.device().initiate(
            bundle,
            Payload { plaintext, associated_data: CALLERS_DATA, ..Payload::default() },
            InitiateOptions::unverified(NOW).chunk_size(size),
            rng,
        );
        let (session, message) = begun.expect("a session");
        self.session = Some(Box::new(session));
        message
    }

    #[inline(never)]
    fn open_and_drop(&mut self, message: &[u8]) -> Vec<u8> {
        vec![u8::from(self.device().open(message).is_ok())]
    }

    #[inline(never)]
    fn refuse(&mut self, message: &[u8]) -> Vec<u8> {
        match self.device().open(message) {
            Ok(pending) => {
                pending.refuse();
                vec![1]
            }
            Err(_) => vec![0],
        }
    }

    /// Does not move what it takes: the caller's frames are its own to clear.
    #[inline(never)]
    fn take_exporter(&mut self) -> Vec<u8> {
        let taken = self.session().take_exporter();
        taken.as_ref().map(|exporter| exporter.expose().to_vec()).unwrap_or_default()
    }

    #[inline(never)]
    fn ask(&mut self, message: &[u8]) -> Vec<u8> {
        answers(self.session(), message)
    }

    #[inline(never)]
    fn accept(&mut self, message: &[u8]) -> Vec<u8> {
        let Ok(pending) = self.device().open(message) else { return Vec::new() };
        match pending.accept(CALLERS_DATA) {
            Ok((session, opened)) => {
                self.session = Some(Box::new(session));
                opened.plaintext
            }
            Err(_) => Vec::new(),
        }
    }

    #[inline(never)]
    fn restore_device(&mut self, snapshot: &[u8], key: &[u8]) -> Vec<u8> {
        // The program restores what it stored itself.
        let subject = self.device().subject();
        self.device = Some(Box::new(Device::restore(snapshot, &storage_key(key), &subject, 0).expect("a device")));
        Vec::new()
    }

    #[inline(never)]
    fn restore_session(&mut self, snapshot: &[u8], key: &[u8]) -> Vec<u8> {
        let subject = self.session().subject();
        self.session = Some(Box::new(Session::restore(snapshot, &storage_key(key), &subject, 0).expect("a session")));
        Vec::new()
    }
}

fn array(bytes: &[u8]) -> &[u8; 32] {
    bytes.try_into().expect("32 bytes")
}

fn storage_key(bytes: &[u8]) -> StorageKey {
    StorageKey::new(*array(bytes))
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("8 bytes"))
}

/// Control: a local variable that is not wiped.
#[inline(never)]
fn plant_on_the_stack(secret: &[u8; 32]) -> Vec<u8> {
    // Deeper than the harness's own calls afterwards.
    let mut frame = [[0; 32]; 256];
    frame[16] = *secret;
    black_box(&frame);
    Vec::new()
}

/// What a caller's frames may have left, wherever the next operation's values are.
#[inline(never)]
fn fill_the_stack(secret: &[u8; 32]) -> Vec<u8> {
    black_box(&[*secret; FILLED / 32]);
    Vec::new()
}

/// Bytes: more than a caller's frames with a few devices.
const FILLED: usize = 3 << 17;

/// Control: a static variable that is not wiped.
fn plant_in_a_static(secret: &[u8; 32]) -> Vec<u8> {
    static PLANTED: [AtomicU8; 32] = [const { AtomicU8::new(0) }; 32];
    for (place, byte) in PLANTED.iter().zip(secret) {
        place.store(*byte, Ordering::SeqCst);
    }
    black_box(&PLANTED);
    Vec::new()
}

/// Control: half of the secret, in a register that nothing uses before the registers are read.
fn plant_in_a_register(secret: &[u8; 32]) -> Vec<u8> {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: reads 16 of the 32 bytes of `secret`, and changes only the register that it declares.
    unsafe {
        std::arch::asm!("movdqu xmm15, [{}]", in(reg) secret.as_ptr(), out("xmm15") _, options(readonly, nostack));
    }
    black_box(secret);
    Vec::new()
}

const VERBS: [Verb; 24] = [
    Verb::Generate,
    Verb::Publish,
    Verb::Rotate,
    Verb::DeletePrevious,
    Verb::Initiate,
    Verb::OpenAndDrop,
    Verb::Refuse,
    Verb::Accept,
    Verb::TakeExporter,
    Verb::Ask,
    Verb::SignLogin,
    Verb::Encrypt,
    Verb::Decrypt,
    Verb::SnapshotDevice,
    Verb::SnapshotSession,
    Verb::RestoreDevice,
    Verb::RestoreSession,
    Verb::DropSession,
    Verb::DropDevice,
    Verb::PlantHeap,
    Verb::PlantStack,
    Verb::PlantStatic,
    Verb::PlantRegister,
    Verb::FillStack,
];

/// The pipes.
struct Observer {
    from: File,
    to: File,
}

impl Observer {
    fn verb(&mut self) -> Option<Verb> {
        let mut byte = [0];
        self.from.read_exact(&mut byte).ok()?;
        VERBS.into_iter().find(|verb| *verb as u8 == byte[0])
    }

    fn arguments(&mut self) -> Vec<Vec<u8>> {
        let mut count = [0];
        self.from.read_exact(&mut count).expect("a count");
        (0..count[0])
            .map(|_| {
                let mut len = [0; 4];
                self.from.read_exact(&mut len).expect("a length");
                let mut argument = vec![0; u32::from_le_bytes(len) as usize];
                self.from.read_exact(&mut argument).expect("an argument");
                argument
            })
            .collect()
    }

    fn say(&mut self, bytes: &[u8]) {
        self.to.write_all(bytes).expect("an observer");
    }

    fn put(&mut self, bytes: &[u8]) {
        self.say(&[OUTPUT]);
        self.say(&u32::try_from(bytes.len()).expect("a short output").to_le_bytes());
        self.say(bytes);
    }
}

impl TryRng for Observer {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes).map(|()| u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes).map(|()| u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Infallible> {
        self.say(&[DRAW]);
        self.say(&u32::try_from(dst.len()).expect("a short draw").to_le_bytes());
        self.from.read_exact(dst).expect("a draw");
        Ok(())
    }
}

impl TryCryptoRng for Observer {}
