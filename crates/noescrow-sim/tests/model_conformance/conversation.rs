// SPDX-License-Identifier: MIT OR Apache-2.0
//! A conversation on the recorder, with every operation under its participant's name.

use noescrow::hazmat::{session_from_state, session_state};
use noescrow::{Bundle, Capacity, ChunkSize, InitiateOptions, Payload, Prekey, Sealed, UnixSeconds, device, session};
use noescrow_audit::{Kind, Role, Tape, TraceReader};
use noescrow_recorder::Recorder;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

type Device = device::Device<Recorder, Capacity<4, 4>>;
type Session = session::Session<Recorder>;

pub const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
/// When prekeys made now expire.
pub const LATER: UnixSeconds = UnixSeconds(NOW.0 + 35 * 86_400);
/// Associated data of every message.
pub const ASSOCIATED_DATA: &[u8] = b"conversation 7";
/// Number of messages, alternating; an epoch takes 13 with the largest chunks.
const MESSAGES: u64 = 15;
/// The number of the message that Alice sends twice, in a run with a reused state.
pub const REUSED_AT: u64 = 4;

/// One call of a primitive.
#[derive(Clone, Debug)]
pub struct Operation {
    pub participant: &'static str,
    pub step: String,
    pub kind: Kind,
    pub fields: Vec<(Role, bool, Vec<u8>)>,
    /// The number of the message that was being sent or received: the first is 1; 0 before it.
    pub message: u64,
}

impl Operation {
    /// The input with a role, its parts concatenated; `None` if there was none.
    pub fn input(&self, role: Role) -> Option<Vec<u8>> {
        let parts: Vec<_> = self.fields.iter().filter(|field| field.0 == role && !field.1).collect();
        (!parts.is_empty()).then(|| parts.iter().flat_map(|field| field.2.clone()).collect())
    }

    pub fn output(&self, role: Role) -> Option<&[u8]> {
        self.fields.iter().find(|field| field.0 == role && field.1).map(|field| &field.2[..])
    }

    /// The roles of the inputs.
    pub fn roles(&self) -> Vec<Role> {
        let mut roles: Vec<_> = self.fields.iter().filter(|field| !field.1).map(|field| field.0).collect();
        roles.sort_unstable();
        roles.dedup();
        roles
    }
}

/// The text of the message with a number: 16 bytes with the `0x80` after it, a length that Padmé does not change.
fn text(number: u64) -> Vec<u8> {
    format!("this is text {number:02}").into_bytes()
}

/// The plaintext as it is sealed.
pub fn padded(number: u64) -> Vec<u8> {
    [&text(number)[..], &[0x80]].concat()
}

/// A recorded conversation.
#[derive(Debug)]
pub struct Conversation {
    pub run: Vec<Operation>,
    /// The random ids of the prekeys.
    pub ids: PrekeyIds,
}

#[derive(Clone, Copy, Debug)]
pub struct PrekeyIds {
    pub signed: u32,
    /// 0 if there is none.
    pub one_time: u32,
    /// Of Alice's own signed prekey, which nobody uses.
    pub own: u32,
}

/// Alice writes to Bob, who has published a one-time prekey, or has none left; then they alternate. With `reuses`, Alice
/// uses her state after the third message twice, and the conversation ends there.
pub fn record(with_one_time_prekey: bool, reuses: bool) -> Conversation {
    let tape = Tape::in_memory();
    let [for_alice, for_bob] = ["Alice", "Bob"].map(|name| Recorder::device(&tape, name).unwrap());
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    let mut bob = Device::generate_with(for_bob, NOW, &mut rng);
    let mut published = bob.publish(usize::from(with_one_time_prekey), NOW, &mut rng).unwrap();
    let one_time = published.one_time_prekeys.pop();
    let alice = Device::generate_with(for_alice.clone(), NOW, &mut rng);
    let (signed, one_time_id) = (published.signed_prekey.id(), one_time.as_ref().map_or(0, Prekey::id));
    let bundle = Bundle::new(published.identity, published.signed_prekey, one_time).unwrap().to_bytes();
    let bundle = Bundle::from_bytes(&for_alice, &bundle).unwrap();

    // The end of each message in the trace.
    let mut ends = vec![tape.operations()];
    let chunks = ChunkSize::Bytes256;
    let (mut alices, hello): (Session, _) = alice
        .initiate(bundle, payload(&text(1)), InitiateOptions::unverified(NOW).chunk_size(chunks), &mut rng)
        .unwrap();
    let (mut bobs, received): (Session, _) = bob.open(&hello).unwrap().accept(ASSOCIATED_DATA).unwrap();
    assert_eq!(received.plaintext, text(1));
    ends.push(tape.operations());
    for number in 2..=MESSAGES {
        let (from, to) = if number % 2 == 0 { (&mut bobs, &mut alices) } else { (&mut alices, &mut bobs) };
        let message = if reuses && number == REUSED_AT {
            use_twice(to, &for_alice, &mut rng)
        } else {
            from.encrypt(payload(&text(number)), &mut rng).unwrap()
        };
        let receiver = if reuses && number == REUSED_AT { from } else { to };
        let opened = receiver.decrypt(Sealed { message: &message, associated_data: ASSOCIATED_DATA }).unwrap();
        assert_eq!(opened.plaintext, text(number));
        ends.push(tape.operations());
        if reuses && number == REUSED_AT {
            break;
        }
    }
    let mut run = read(&tape.bytes(), &ends);
    whole_encapsulations(&mut run);
    // This signs, and so stands after the end of the trace.
    let own = alice.signed_prekey().id();
    let ids = PrekeyIds { signed, one_time: one_time_id, own };
    Conversation { run, ids }
}

fn payload(plaintext: &[u8]) -> Payload<'_> {
    Payload { plaintext, associated_data: ASSOCIATED_DATA, ..Payload::default() }
}

/// Sends the texts 4 and 5 from copies of one state, and returns the first message.
fn use_twice(session: &Session, primitives: &Recorder, rng: &mut ChaCha20Rng) -> Vec<u8> {
    let state = session_state(session);
    let [first, second] = [REUSED_AT, REUSED_AT + 1].map(|number| {
        let mut copy: Session = session_from_state(primitives.clone(), &state).unwrap();
        copy.encrypt(payload(&text(number)), rng).unwrap()
    });
    assert_ne!(first, second);
    first
}

/// The models have one step for the two steps of one encapsulation of the Braid, and one for the two parts of a
/// ciphertext: the second step's key and ciphertext are added to the first.
fn whole_encapsulations(run: &mut Vec<Operation>) {
    let (seconds, rest): (Vec<_>, Vec<_>) = run.drain(..).partition(|operation| operation.kind == Kind::Encaps2);
    *run = rest;
    for operation in run.iter_mut() {
        let second = match operation.kind {
            Kind::Encaps1 => seconds.iter().find(|second| {
                [Role::EkHeader, Role::KemCoins].iter().all(|role| second.input(*role) == operation.input(*role))
                    && second.output(Role::KemShared) == operation.output(Role::KemShared)
            }),
            Kind::IncrementalDecapsulate => None,
            _ => continue,
        };
        let parts = second.unwrap_or(operation);
        let part =
            |role| parts.fields.iter().filter(|field| field.0 == role).flat_map(|field| field.2.clone()).collect();
        let (public, ct1, ct2): (Vec<u8>, Vec<u8>, Vec<u8>) = (part(Role::EkVector), part(Role::Ct1), part(Role::Ct2));
        let is_output = second.is_some();
        operation.fields.retain(|field| ![Role::Ct1, Role::Ct2].contains(&field.0));
        operation.fields.push((Role::KemCiphertext, is_output, [ct1, ct2].concat()));
        if is_output {
            operation.fields.push((Role::KemPublic, false, public));
        }
    }
}

fn read(trace: &[u8], ends: &[u64]) -> Vec<Operation> {
    let mut operations = Vec::new();
    let reader = TraceReader::new(trace).unwrap();
    let mut at = 0;
    reader
        .for_each(|operation| {
            let message = ends.iter().filter(|end| **end <= at).count() as u64;
            at += 1;
            operations.push(Operation {
                participant: ["Alice", "Bob"][usize::from(operation.participant)],
                step: operation.step.to_owned(),
                kind: operation.kind,
                fields: operation
                    .fields
                    .iter()
                    .map(|field| (field.role, field.is_output, field.bytes.to_vec()))
                    .collect(),
                message,
            });
        })
        .unwrap();
    operations
}
