// SPDX-License-Identifier: MIT OR Apache-2.0
//! Walks a model and a trace in parallel. Each line must be the participant's next operation, of the same step. The
//! terms of the line, computed from the values that earlier lines gave to their names, must be the exact input bytes.

use crate::conversation::Operation;
use crate::model::{Line, Statement, Term};
use noescrow::Secret;
use noescrow::primitives::{Primitives, RustCrypto};
use noescrow_audit::{Kind, Role};
use std::collections::{BTreeMap, BTreeSet};

/// Operations that the models leave out, and why.
#[derive(Clone, Copy, Debug)]
pub struct Abstraction {
    pub kind: Kind,
    pub step: &'static str,
    /// Input bytes.
    pub width: usize,
    pub why: &'static str,
}

impl Abstraction {
    fn covers(&self, operation: &Operation) -> bool {
        let width: usize = operation.fields.iter().filter(|field| !field.1).map(|field| field.2.len()).sum();
        self.kind == operation.kind && self.step == operation.step && self.width == width
    }
}

/// The values of names.
#[derive(Clone, Debug, Default)]
pub struct Values {
    known: BTreeMap<String, Vec<u8>>,
    /// Names that take their value where the code first uses it: they stand for something that a model leaves out.
    learnable: BTreeSet<String>,
    /// The widths of the parts of a concatenation, so that it can be split.
    widths: Vec<(Vec<u8>, Vec<usize>)>,
    /// Names that received a value since the last mark.
    since: Vec<String>,
}

impl Values {
    pub fn give(&mut self, name: &str, value: impl Into<Vec<u8>>) {
        self.known.insert(name.to_owned(), value.into());
    }

    pub fn learn(&mut self, names: &[&str]) {
        self.learnable.extend(names.iter().map(|name| (*name).to_owned()));
    }

    pub fn forget(&mut self, which: impl Fn(&str) -> bool) {
        self.known.retain(|name, _| !which(name));
    }

    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.known.get(name).map(|value| &value[..])
    }

    pub fn has(&self, name: &str) -> bool {
        self.known.contains_key(name)
    }

    /// Names of one value, except for the two sides' copies of it: `x`, `x_a`, `x_b`.
    pub fn aliases(&self) -> Vec<Vec<&str>> {
        let mut names: BTreeMap<&[u8], BTreeSet<&str>> = BTreeMap::new();
        for (name, value) in self.known.iter().filter(|(name, _)| !name.contains('(')) {
            let bare = name.strip_suffix("_a").or_else(|| name.strip_suffix("_b")).unwrap_or(name);
            names.entry(value).or_default().insert(bare);
        }
        names.into_values().filter(|names| names.len() > 1).map(|names| names.into_iter().collect()).collect()
    }

    /// Gives a name its value; if it has one, the two must be equal.
    fn bind(&mut self, name: &str, value: &[u8]) -> Result<(), String> {
        if name == "_" {
            return Ok(());
        }
        match self.known.get(name) {
            Some(before) if before != value => Err(format!("{name} has another value in the run")),
            Some(_) => Ok(()),
            None => {
                self.known.insert(name.to_owned(), value.to_vec());
                self.since.push(name.to_owned());
                Ok(())
            }
        }
    }

    /// Performs an operation that gives values to names; if it fails, no name keeps a value.
    fn all_or_nothing(&mut self, act: impl FnOnce(&mut Self) -> Result<(), String>) -> Result<(), String> {
        let widths = self.widths.len();
        self.since.clear();
        act(self).inspect_err(|_| {
            self.widths.truncate(widths);
            let since = std::mem::take(&mut self.since);
            since.iter().for_each(|name| drop(self.known.remove(name)));
        })
    }

    /// Compares a term with its input bytes `found`; at most one name takes its value from them.
    fn term(&mut self, term: &Term, found: &[u8]) -> Result<Vec<u8>, String> {
        let unknown = self.unknown(term)?;
        match &unknown[..] {
            [] => {}
            [name] if self.learnable.contains(name) => {
                self.known.insert(name.clone(), Vec::new());
                let rest = self.bytes(term)?.len();
                self.known.remove(name);
                let width = found.len().checked_sub(rest).ok_or_else(|| format!("there is no room for {name}"))?;
                // The caller checks everything around its place.
                let at = self.offset(term, name)?.ok_or_else(|| format!("{name} is inside an operation"))?;
                let value = found.get(at..at + width).ok_or_else(|| format!("there is no room for {name}"))?;
                self.bind(&name.clone(), value)?;
            }
            names => return Err(format!("without a value: {}", names.join(", "))),
        }
        let bytes = self.bytes(term)?;
        self.note_widths(term)?;
        Ok(bytes)
    }

    fn unknown(&self, term: &Term) -> Result<Vec<String>, String> {
        Ok(match term {
            Term::Name(name) if name == "nil" || self.has(name) => Vec::new(),
            Term::Name(name) => vec![name.clone()],
            Term::Call(call, arguments) if call == "CONCAT" => {
                let mut names = Vec::new();
                for argument in arguments {
                    names.extend(self.unknown(argument)?);
                }
                names
            }
            Term::Call(call, _) => return Err(format!("{call} inside another operation is not compared")),
        })
    }

    fn bytes(&self, term: &Term) -> Result<Vec<u8>, String> {
        match term {
            Term::Name(name) if name == "nil" => Ok(Vec::new()),
            Term::Name(name) => self.known.get(name).cloned().ok_or_else(|| format!("{name} has no value")),
            Term::Call(_, arguments) => {
                let parts: Result<Vec<_>, _> = arguments.iter().map(|argument| self.bytes(argument)).collect();
                Ok(parts?.concat())
            }
        }
    }

    /// The place in a term of a name without a value.
    fn offset(&self, term: &Term, name: &str) -> Result<Option<usize>, String> {
        match term {
            Term::Name(other) => Ok((other == name).then_some(0)),
            Term::Call(_, arguments) => {
                let mut before = 0;
                for argument in arguments {
                    if let Some(at) = self.offset(argument, name)? {
                        return Ok(Some(before + at));
                    }
                    before += self.bytes(argument)?.len();
                }
                Ok(None)
            }
        }
    }

    fn note_widths(&mut self, term: &Term) -> Result<(), String> {
        let Term::Call(_, arguments) = term else { return Ok(()) };
        arguments.iter().try_for_each(|argument| self.note_widths(argument))?;
        let parts: Result<Vec<_>, _> = arguments.iter().map(|argument| self.bytes(argument)).collect();
        let parts = parts?;
        self.widths.push((parts.concat(), parts.iter().map(Vec::len).collect()));
        Ok(())
    }
}

/// An operation as a line describes it.
struct Expected<'m> {
    kinds: &'static [Kind],
    /// The inputs, by role. An empty term means no input.
    inputs: Vec<(Role, Option<&'m Term>)>,
}

/// Fields that a model does not have as inputs: a ciphertext's tag is compared with the ciphertext, the first part of
/// an ML-KEM-768 key with the one that belongs to the second.
const NOT_INPUTS: [Role; 2] = [Role::Tag, Role::EkHeader];
/// PUBKEY is four operations.
const PUBLIC_KEYS: [Kind; 4] = [Kind::DhPublic, Kind::SigningPublic, Kind::KemPublic, Kind::IncrementalPublic];

/// Bytes of a key. HKDF's outputs are split into keys, followed by a nonce and, after that, a commitment.
const KEY_LEN: usize = 32;
const NONCE_LEN: usize = 12;

#[derive(Debug)]
pub struct Comparison<'t> {
    pub values: Values,
    operations: Vec<&'t Operation>,
    /// The index of each participant's next operation.
    next: BTreeMap<&'static str, usize>,
    abstractions: &'static [Abstraction],
    /// The matches, as printed.
    pub matched: Vec<String>,
    /// The abstractions that were used, by index.
    pub used: BTreeSet<usize>,
    /// The number of operations that repeated one before them.
    pub repeated: usize,
}

impl<'t> Comparison<'t> {
    pub fn new(
        values: Values,
        operations: impl Iterator<Item = &'t Operation>,
        abstractions: &'static [Abstraction],
    ) -> Self {
        Self {
            values,
            operations: operations.collect(),
            next: BTreeMap::new(),
            abstractions,
            matched: Vec::new(),
            used: BTreeSet::new(),
            repeated: 0,
        }
    }

    /// Compares all lines that are not cut, and then asserts that nothing of the trace is left.
    pub fn run(&mut self, statements: &[Statement]) -> Result<(), String> {
        for statement in statements.iter().filter(|statement| !statement.is_cut()) {
            self.line(statement).map_err(|why| format!("{statement:?}\n    {why}"))?;
        }
        for participant in ["Alice", "Bob"] {
            while let Some(operation) = self.peek(participant) {
                if !self.skip(participant, operation) {
                    return Err(format!("{participant} does more: {}", describe(operation)));
                }
            }
        }
        Ok(())
    }

    fn peek(&self, participant: &str) -> Option<&'t Operation> {
        self.at(participant).and_then(|at| self.operations.get(at).copied())
    }

    /// The index of a participant's next operation.
    fn at(&self, participant: &str) -> Option<usize> {
        let from = self.next.get(participant).copied().unwrap_or(0);
        let rest = self.operations.get(from..).unwrap_or_default();
        rest.iter().position(|operation| operation.participant == participant).map(|at| from + at)
    }

    fn advance(&mut self, operation: &'t Operation) {
        let at = self.at(operation.participant).unwrap();
        self.next.insert(operation.participant, at + 1);
    }

    /// Skips an operation, if the models leave it out.
    fn skip(&mut self, participant: &str, operation: &'t Operation) -> bool {
        let end = self.next.get(participant).copied().unwrap_or(0);
        let before = self.operations.get(..end).unwrap_or_default();
        let again = before.iter().any(|other| {
            other.participant == participant
                && other.kind == operation.kind
                && other.fields == operation.fields
                && operation.kind != Kind::Fresh
                && operation.kind != Kind::Verify
        });
        let left_out = self.abstractions.iter().position(|left_out| left_out.covers(operation));
        if !again && left_out.is_none() {
            return false;
        }
        self.repeated += usize::from(again);
        if let (false, Some(at)) = (again, left_out) {
            self.used.insert(at);
        }
        self.advance(operation);
        true
    }

    fn line(&mut self, statement: &Statement) -> Result<(), String> {
        let (names, term) = match &statement.line {
            // What applications supply is not drawn by the protocol.
            Line::Drawn(name) if self.values.has(name) => return Ok(()),
            Line::Drawn(name) => (std::slice::from_ref(name), None),
            Line::Assigned(names, term) => (&names[..], Some(term)),
        };
        if let Some(Term::Call(call, arguments)) = term {
            match (&call[..], &arguments[..]) {
                ("CONCAT", _) => {
                    let bytes = self.values.bytes(term.unwrap())?;
                    self.values.note_widths(term.unwrap())?;
                    return self.values.bind(&names[0], &bytes);
                }
                ("ASSERT", [one, other]) => {
                    return match self.values.bytes(one)? == self.values.bytes(other)? {
                        true => Ok(()),
                        false => Err("not equal in the run".to_owned()),
                    };
                }
                ("SPLIT", [Term::Name(whole)]) => return self.split(names, whole),
                // The first part of an ML-KEM-768 key, which was output with the second.
                ("HASH", [Term::Name(key)]) if self.values.has(&format!("HASH({key})")) => {
                    let header = self.values.get(&format!("HASH({key})")).map(<[u8]>::to_vec).unwrap_or_default();
                    return self.values.bind(&names[0], &header);
                }
                _ => {}
            }
        }
        loop {
            let operation = self.peek(&statement.principal).ok_or("the run ends before it")?;
            match self.values.all_or_nothing(|values| matches(values, statement, names, term, operation)) {
                Ok(()) => {
                    self.matched.push(format!("{statement:?}"));
                    self.advance(operation);
                    return Ok(());
                }
                Err(why) => {
                    if !self.skip(&statement.principal, operation) {
                        return Err(format!("{why}; the run has {}", describe(operation)));
                    }
                }
            }
        }
    }

    fn split(&mut self, names: &[String], whole: &str) -> Result<(), String> {
        let bytes = self.values.get(whole).ok_or_else(|| format!("{whole} has no value"))?.to_vec();
        let widths = self.values.widths.iter().find(|(other, widths)| *other == bytes && widths.len() == names.len());
        let widths = widths.ok_or_else(|| format!("{whole} was not put together of {}", names.len()))?.1.clone();
        let mut rest = &bytes[..];
        for (name, width) in names.iter().zip(widths) {
            let (part, after) = rest.split_at(width);
            self.values.bind(name, part)?;
            rest = after;
        }
        Ok(())
    }
}

fn describe(operation: &Operation) -> String {
    let widths: Vec<_> = operation
        .fields
        .iter()
        .map(|(role, out, bytes)| format!("{role:?}{}{}", if *out { " -> " } else { " " }, bytes.len()))
        .collect();
    format!(
        "{} ({}) at {:?} of message {}",
        operation.kind.name(),
        widths.join(", "),
        operation.step,
        operation.message
    )
}

/// Whether an operation matches a line; gives values to the names of its outputs.
fn matches(
    values: &mut Values,
    statement: &Statement,
    names: &[String],
    term: Option<&Term>,
    operation: &Operation,
) -> Result<(), String> {
    if statement.label != operation.step {
        return Err(format!("the step is {:?}", operation.step));
    }
    let expected = expected(term)?;
    if !expected.kinds.contains(&operation.kind) {
        return Err(format!("the operation is {}", operation.kind.name()));
    }
    // The private key has another role in each of four operations.
    let mut roles: Vec<_> = match operation.kind {
        kind if PUBLIC_KEYS.contains(&kind) => operation.roles(),
        _ => expected.inputs.iter().filter(|(_, term)| term.is_some()).map(|(role, _)| *role).collect(),
    };
    roles.sort_unstable();
    roles.dedup();
    let present: Vec<_> = operation.roles().into_iter().filter(|role| !NOT_INPUTS.contains(role)).collect();
    if roles != present {
        return Err(format!("goes in: {present:?}, not {roles:?}"));
    }
    for role in roles {
        let found = operation.input(role).unwrap_or_default();
        let of_the_role = |input: &&(Role, Option<&Term>)| input.0 == role || PUBLIC_KEYS.contains(&operation.kind);
        let terms: Vec<_> = expected.inputs.iter().filter(of_the_role).filter_map(|(_, term)| term.cloned()).collect();
        // HKDF without a salt has one of zeros.
        let zeros = role == Role::KdfKey && terms == [Term::Name("nil".to_owned())];
        let whole = Term::Call("CONCAT".to_owned(), terms);
        let said = if zeros { vec![0; KEY_LEN] } else { values.term(&whole, &found)? };
        if said != found {
            return Err(format!("{role:?} is not {whole:?}"));
        }
    }
    if let Some(header) = operation.input(Role::EkHeader) {
        let Some(Term::Call(_, arguments)) = term else { return Err("no key".to_owned()) };
        if values.get(&format!("HASH({:?})", arguments[0])) != Some(&header[..]) {
            return Err("the key's first part is another one's".to_owned());
        }
    }
    outputs(values, names, term, operation)
}

fn expected(term: Option<&Term>) -> Result<Expected<'_>, String> {
    let Some(term) = term else { return Ok(Expected { kinds: &[Kind::Fresh], inputs: Vec::new() }) };
    let Term::Call(call, arguments) = term else { return Err("a name is no operation".to_owned()) };
    let nil = |term: &Term| *term == Term::Name("nil".to_owned());
    let given = |term| if nil(term) { None } else { Some(term) };
    let (kinds, inputs): (&'static [Kind], Vec<_>) = match (&call[..], &arguments[..]) {
        ("PUBKEY", [private]) => (&PUBLIC_KEYS, vec![(Role::DhPrivate, Some(private))]),
        ("DH_KEX", [public, private]) => {
            (&[Kind::Dh], vec![(Role::DhPublic, Some(public)), (Role::DhPrivate, Some(private))])
        }
        ("SIGN", [seed, message]) => {
            (&[Kind::Sign], vec![(Role::SigningSeed, Some(seed)), (Role::Message, Some(message))])
        }
        ("SIGNVERIF", [public, message, signature]) => {
            let inputs = [(Role::SigningPublic, public), (Role::Message, message), (Role::Signature, signature)];
            (&[Kind::Verify], inputs.map(|(role, term)| (role, Some(term))).to_vec())
        }
        ("KEM_ENCAP", [public, coins]) => {
            (&[Kind::Encapsulate, Kind::Encaps1], vec![(Role::KemPublic, Some(public)), (Role::KemCoins, Some(coins))])
        }
        ("KEM_DECAP", [seed, ciphertext]) => (
            &[Kind::Decapsulate, Kind::IncrementalDecapsulate],
            vec![(Role::KemSeed, Some(seed)), (Role::KemCiphertext, Some(ciphertext))],
        ),
        // HKDF-Expand is HKDF without input keying material.
        ("HKDF", [prk, ikm, info]) if nil(ikm) => {
            (&[Kind::HkdfExpand], vec![(Role::KdfKey, Some(prk)), (Role::Context, given(info))])
        }
        ("HKDF", [salt, ikm, info]) => {
            (&[Kind::Hkdf], vec![(Role::KdfKey, Some(salt)), (Role::KdfInput, Some(ikm)), (Role::Context, given(info))])
        }
        ("MAC", [key, message]) => (&[Kind::Hmac], vec![(Role::KdfKey, Some(key)), (Role::Context, Some(message))]),
        // Its arguments are hashed in order; each is a field.
        ("HASH", parts) => (&[Kind::Sha256], parts.iter().map(|part| (Role::Context, Some(part))).collect()),
        ("AEAD_ENC", [key, nonce, plaintext, ad]) => {
            let inputs =
                [(Role::AeadKey, key), (Role::Nonce, nonce), (Role::Plaintext, plaintext), (Role::AssociatedData, ad)];
            (&[Kind::Seal], inputs.map(|(role, term)| (role, Some(term))).to_vec())
        }
        ("AEAD_DEC", [key, nonce, _, ad]) => {
            let inputs = [(Role::AeadKey, key), (Role::Nonce, nonce), (Role::AssociatedData, ad)];
            (&[Kind::Open], inputs.map(|(role, term)| (role, Some(term))).to_vec())
        }
        _ => return Err(format!("{call} is not understood")),
    };
    Ok(Expected { kinds, inputs })
}

fn outputs(values: &mut Values, names: &[String], term: Option<&Term>, operation: &Operation) -> Result<(), String> {
    let out = |role| operation.output(role).map(<[u8]>::to_vec).ok_or("nothing comes out");
    let arguments = match term {
        Some(Term::Call(_, arguments)) => &arguments[..],
        _ => &[],
    };
    match (operation.kind, names) {
        (Kind::Verify, _) => Ok(()),
        (Kind::Fresh, [name]) => values.bind(name, &out(Role::Value)?),
        (Kind::DhPublic, [name]) => values.bind(name, &out(Role::DhPublic)?),
        (Kind::SigningPublic, [name]) => values.bind(name, &out(Role::SigningPublic)?),
        (Kind::KemPublic, [name]) => values.bind(name, &out(Role::KemPublic)?),
        (Kind::IncrementalPublic, [name]) => {
            values.bind(name, &out(Role::EkVector)?)?;
            values.bind(&format!("HASH({name})"), &out(Role::EkHeader)?)
        }
        (Kind::Dh, [name]) => values.bind(name, &out(Role::DhShared)?),
        (Kind::Sign, [name]) => values.bind(name, &out(Role::Signature)?),
        (Kind::Encapsulate | Kind::Encaps1, [secret, ciphertext]) => {
            values.bind(secret, &out(Role::KemShared)?)?;
            values.bind(ciphertext, &out(Role::KemCiphertext)?)
        }
        (Kind::Decapsulate | Kind::IncrementalDecapsulate, [name]) => values.bind(name, &out(Role::KemShared)?),
        (Kind::Hmac, [name]) => values.bind(name, &out(Role::KdfOutput)?),
        (Kind::Sha256, [name]) => values.bind(name, &out(Role::Digest)?),
        (Kind::Hkdf | Kind::HkdfExpand, names) => {
            let material = out(Role::KdfOutput)?;
            let mut rest = &material[..];
            for (at, name) in names.iter().enumerate() {
                let is_nonce = at == 1 && material.len() % KEY_LEN != 0;
                let width = if is_nonce { NONCE_LEN } else { rest.len().min(KEY_LEN) };
                let (part, after) = rest.split_at(width);
                values.bind(name, part)?;
                rest = after;
            }
            if rest.is_empty() { Ok(()) } else { Err(format!("{} bytes more come out", rest.len())) }
        }
        (Kind::Seal, [name]) => {
            let (key, nonce) = (out_of(operation, Role::AeadKey), out_of(operation, Role::Nonce));
            let mut ciphertext = out_of(operation, Role::Plaintext);
            let key = Secret::new(key.try_into().map_err(|_| "no key")?);
            let nonce = nonce.try_into().map_err(|_| "no nonce")?;
            let ad = out_of(operation, Role::AssociatedData);
            let tag = RustCrypto.seal(&key, &nonce, &ad, &mut ciphertext).map_err(|_| "not sealed")?;
            ciphertext.extend(tag);
            values.bind(name, &ciphertext)
        }
        (Kind::Open, [name]) => {
            let ciphertext = arguments.get(2).ok_or("no ciphertext")?;
            if !values.bytes(ciphertext)?.ends_with(&out_of(operation, Role::Tag)) {
                return Err(format!("another ciphertext than {ciphertext:?}"));
            }
            values.bind(name, &out(Role::Plaintext)?)
        }
        _ => Err(format!("{} names for what comes out", names.len())),
    }
}

fn out_of(operation: &Operation, role: Role) -> Vec<u8> {
    operation.input(role).unwrap_or_default()
}
