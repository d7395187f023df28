// SPDX-License-Identifier: MIT OR Apache-2.0
//! From the record of an event's operations to the values that spec/protocol.md names, by step and name.

use super::json::{Event, hex};
use noescrow_audit::{Kind, Operation, Role, TraceReader};
use serde_json::{Value, json};

/// An operation of the record, with its own bytes.
#[derive(Clone, Debug)]
pub struct Performed {
    pub step: String,
    pub kind: Kind,
    fields: Vec<(Role, bool, Vec<u8>)>,
}

impl Performed {
    fn of(operation: &Operation<'_>) -> Self {
        let fields = operation.fields.iter().map(|field| (field.role, field.is_output, field.bytes.to_vec()));
        Self { step: operation.step.to_owned(), kind: operation.kind, fields: fields.collect() }
    }

    /// The first field with a role, input or output.
    pub fn get(&self, role: Role) -> &[u8] {
        self.fields.iter().find(|field| field.0 == role).map_or(&[], |field| &field.2)
    }

    /// The output with a role.
    pub fn out(&self, role: Role) -> &[u8] {
        self.fields.iter().find(|field| field.0 == role && field.1).map_or(&[], |field| &field.2)
    }

    /// All parts of the context, concatenated.
    pub fn context(&self) -> Vec<u8> {
        let parts = self.fields.iter().filter(|field| field.0 == Role::Context);
        parts.flat_map(|field| field.2.iter().copied()).collect()
    }
}

/// Every operation of a trace, in order.
pub fn performed(trace: &[u8]) -> Vec<Performed> {
    let mut all = vec![];
    let reader = TraceReader::new(trace).unwrap();
    reader.for_each(|operation| all.push(Performed::of(operation))).unwrap();
    all
}

/// Names of the 32-byte parts of an expansion's output, by its label. The first, if not empty, names the key or salt
/// that was its input.
const EXPANSIONS: [(&str, &str, &[&str]); 14] = [
    ("noescrow-v1_X25519_SHA-256_ML-KEM-1024", "", &["SK"]),
    ("noescrow-v1 hidden identity", "", &["k", "n"]),
    ("noescrow-v1 sk: root key", "", &["RK"]),
    ("noescrow-v1 sk: shared_hka", "", &["hka"]),
    ("noescrow-v1 sk: shared_nhkb", "", &["nhkb"]),
    ("noescrow-v1 sk: sparse ratchet", "", &["sparse"]),
    ("noescrow-v1 sk: braid", "", &["braid"]),
    ("noescrow-v1 sk: session id", "", &["id"]),
    ("noescrow-v1 sk: exporter", "", &["export"]),
    ("noescrow-v1 KDF_SCKA_INIT", "", &["RK", "CK A2B", "CK B2A", "HS"]),
    ("noescrow-v1 KDF_SCKA_RK", "", &["RK", "CK A2B", "CK B2A", "HS"]),
    ("noescrow-v1 message", "pq_mk", &["key"]),
    ("noescrow-v1 snapshot salt", "", &[]),
    ("noescrow-v1 snapshot seal", "", &["key", "nonce"]),
];
const L_RK: &[u8] = b"noescrow-v1 KDF_RK_HE";
const L_NHK: &[u8] = b"noescrow-v1 next header key";
const L_ADD: &[u8] = b"noescrow-v1 KDF_SCKA_RK";
const L_NEXT: &[u8] = b"noescrow-v1 pq ck";
const L_MESSAGE: &[u8] = b"noescrow-v1 message";
const L_HEADER: &[u8] = b"noescrow-v1 header";
const L_COMMIT: &[u8] = b"noescrow-v1 commitment";
const L_TRANSCRIPT: &[u8] = b"noescrow-v1 transcript";
const PI: &[u8] = b"noescrow-v1_ML-KEM-768_SHA-256";
/// Bytes of a prekey's description.
const DESCRIPTION_LEN: usize = 1614;

/// Values of one event.
#[derive(Default)]
struct Named {
    by_step: Event,
    /// The header key that was tried last.
    header_key: Vec<u8>,
    /// The number of X25519 agreements in a step so far.
    agreements: usize,
}

/// The values that an event's operations computed, by step and name. What one step computes several times is a list, in
/// order.
pub fn named(operations: &[Performed]) -> Value {
    let mut named = Named::default();
    let mut step = "";
    for operation in operations {
        if operation.step != step {
            step = &operation.step;
            named.agreements = 0;
        }
        named.note(operation);
    }
    Value::Object(named.by_step)
}

impl Named {
    fn put(&mut self, step: &str, name: &str, bytes: &[u8]) {
        let values = self.by_step.entry(step).or_insert_with(|| json!({}));
        let Value::Object(values) = values else { return };
        let value = json!(hex(bytes));
        match values.get_mut(name) {
            None => {
                values.insert(name.to_owned(), value);
            }
            Some(Value::Array(list)) => list.push(value),
            Some(one) => *one = json!([one.clone(), value]),
        }
    }

    /// Consecutive parts of 32 bytes each, except the last, which may be longer or shorter.
    fn put_parts(&mut self, step: &str, names: &[&str], mut bytes: &[u8]) {
        for name in names {
            let (part, rest) = bytes.split_at(bytes.len().min(32));
            self.put(step, name, part);
            bytes = rest;
        }
    }

    fn note(&mut self, operation: &Performed) {
        let step = operation.step.as_str();
        match operation.kind {
            Kind::Dh => {
                let names: &[&str] = match step {
                    "HS-I4" => &["DH1", "DH2", "DH3", "DH4"],
                    "HS-R3" => &["DH3"],
                    "HS-R5" => &["DH1", "DH2", "DH4"],
                    _ => &["DH"],
                };
                self.put(step, names[self.agreements], operation.out(Role::DhShared));
                self.agreements += 1;
            }
            Kind::DhPublic if step == "HS-I3" => self.put(step, "EK", operation.out(Role::DhPublic)),
            Kind::DhPublic if step == "DR-E1" => self.put(step, "DHs", operation.out(Role::DhPublic)),
            Kind::Encapsulate => {
                self.put(step, "CT", operation.out(Role::KemCiphertext));
                self.put(step, "SS", operation.out(Role::KemShared));
            }
            Kind::Decapsulate => self.put(step, "SS", operation.out(Role::KemShared)),
            Kind::IncrementalPublic if step == "BR-1" => {
                self.put(step, "header", operation.out(Role::EkHeader));
                self.put(step, "ek_vector", operation.out(Role::EkVector));
            }
            Kind::Encaps1 | Kind::IncrementalDecapsulate => self.put(step, "ss", operation.out(Role::KemShared)),
            Kind::Encaps2 => {
                self.put(step, "ct1", operation.out(Role::Ct1));
                self.put(step, "ct2", operation.out(Role::Ct2));
            }
            Kind::Hmac => self.note_hmac(operation),
            Kind::Hkdf | Kind::HkdfExpand => self.note_expansion(operation),
            Kind::Sha256 => {
                let context = operation.context();
                if context.starts_with(L_TRANSCRIPT) {
                    self.put(step, "AD", operation.out(Role::Digest));
                } else if step == "HS-I7" && context.len() == DESCRIPTION_LEN {
                    self.put(step, "SHA-256(Description)", operation.out(Role::Digest));
                } else if ["DR-E4", "DR-D8"].contains(&step) {
                    self.put(step, "SHA-256(associated data)", operation.out(Role::Digest));
                }
            }
            Kind::Seal | Kind::Open => self.note_aead(operation),
            _ => {}
        }
    }

    fn note_aead(&mut self, operation: &Performed) {
        let step = operation.step.as_str();
        let plaintext = operation.get(Role::Plaintext);
        match step {
            "DR-E3" | "DR-D2" => {
                let header_key = std::mem::take(&mut self.header_key);
                self.put(step, "HK", &header_key);
                self.put(step, "header", plaintext);
            }
            "DR-E4" | "DR-D8" => {
                self.put(step, "AD of the body", operation.get(Role::AssociatedData));
                self.put(step, "padded plaintext", plaintext);
            }
            "SN-1" => self.put(step, "state", plaintext),
            _ => {}
        }
    }

    fn note_hmac(&mut self, operation: &Performed) {
        let (step, output) = (operation.step.as_str(), operation.out(Role::KdfOutput));
        let chain_key = if step == "DR-E2" { "CKs" } else { "CKr" };
        match &operation.context()[..] {
            [1] => self.put(step, "mk", output),
            [2] => self.put(step, chain_key, output),
            context if context.starts_with(PI) => {
                let name = if context[PI.len()..].starts_with(b":ekheader") { "MacHdr" } else { "MacCt" };
                self.put(step, name, output);
            }
            context if context.starts_with(L_COMMIT) && step == "DR-E3" => {
                self.put(step, "salt", &context[L_COMMIT.len()..]);
                self.put(step, "commitment", &output[..16]);
            }
            context if context.starts_with(L_HEADER) => {
                operation.get(Role::KdfKey).clone_into(&mut self.header_key);
                if step == "DR-E3" {
                    self.put(step, "key", output);
                }
            }
            _ if step == "SN-1" => self.put(step, "salt", output),
            _ => {}
        }
    }

    fn note_expansion(&mut self, operation: &Performed) {
        let (context, output) = (operation.context(), operation.out(Role::KdfOutput));
        let sends = operation.step.contains("-E");
        // Operations of the sparse ratchet within the Braid's steps have the Braid's label in the record.
        let step = match (&context[..], operation.step.as_str()) {
            (L_ADD, "BR-7") => "SP-S1",
            (L_ADD, "BR-5") => "SP-R1",
            (_, step) => step,
        };
        match &context[..] {
            L_RK => self.put_parts(step, &["RK", if sends { "CKs" } else { "CKr" }, "NHK"], output),
            L_NHK => {
                self.put(step, "HS", operation.get(Role::KdfKey));
                self.put(step, if sends { "NHKs" } else { "NHKr" }, output);
            }
            _ if context.starts_with(L_NEXT) => self.put_parts(step, &["CK", "mk"], output),
            _ if context.starts_with(PI) => match context[PI.len()..].starts_with(b":SCKA Key") {
                true => self.put(step, "KDF_OK", output),
                false => self.put_parts(step, &["root", "mac_key"], output),
            },
            _ => {
                let known = EXPANSIONS.iter().find(|(label, ..)| context.starts_with(label.as_bytes()));
                let Some((_, salt, names)) = known else { return };
                if !salt.is_empty() {
                    self.put(step, salt, operation.get(Role::KdfKey));
                }
                if context.starts_with(L_MESSAGE) {
                    self.put(step, "ec_mk", operation.get(Role::KdfInput));
                }
                self.put_parts(step, names, output);
            }
        }
    }
}

/// The purpose of each draw of an event, by its length, with the step that draws it.
pub fn purposes(kind: &str, lens: &[usize], operations: &[Performed]) -> Vec<(String, &'static str)> {
    if ["device", "publish", "rotate", "maintain", "make"].contains(&kind) {
        let purpose = |(at, len): (usize, &usize)| match (at, len) {
            (0, 32) => "signing seed",
            (1, 32) if lens[0] == 32 => "IK private key",
            (_, 4) => "id",
            (_, 32) => "X25519 private key",
            _ => "KEM seed",
        };
        return lens.iter().enumerate().map(|draw| (String::new(), purpose(draw))).collect();
    }
    let fresh = operations.iter().filter(|operation| operation.kind == Kind::Fresh);
    let steps: Vec<&str> = fresh.map(|operation| operation.step.as_str()).collect();
    (0..steps.len())
        .map(|at| {
            let again = at > 0 && steps[at - 1] == steps[at];
            let purpose = match (steps[at], again) {
                ("HS-I3", false) => "EK private key",
                ("HS-I3", true) | ("BR-7", _) => "coins",
                ("DR-E0", _) => "salt",
                ("DR-E1", _) => "DHs private key",
                ("BR-1", _) => "seed",
                _ => "unknown",
            };
            (steps[at].to_owned(), purpose)
        })
        .collect()
}
