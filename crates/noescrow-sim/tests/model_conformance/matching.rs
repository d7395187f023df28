// SPDX-License-Identifier: MIT OR Apache-2.0
//! One line of a model against one operation: the same primitive on the same bytes. The line's names then receive what
//! came out.

use crate::conversation::Operation;
use crate::model::{Statement, Term};
use crate::values::Values;
use noescrow::Secret;
use noescrow::primitives::{Primitives, RustCrypto};
use noescrow_audit::{Kind, Role};

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

/// Whether an operation matches a line; gives values to the names of its outputs.
pub fn matches(
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
        (Kind::Hmac, [name]) => {
            let output = out(Role::KdfOutput)?;
            values.bind(name, output.get(..hmac_width(name)).ok_or("the output is too short")?)
        }
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
            let sealed = sealed(operation, input_of(operation, Role::Plaintext))?;
            values.bind(name, &sealed)
        }
        (Kind::Open, [name]) => {
            let (ciphertext, plaintext) = (arguments.get(2).ok_or("no ciphertext")?, out(Role::Plaintext)?);
            let sealed = sealed(operation, plaintext.clone())?;
            if values.bytes(ciphertext)? != sealed || !sealed.starts_with(&input_of(operation, Role::Tag)) {
                return Err(format!("another ciphertext than {ciphertext:?}"));
            }
            values.bind(name, &plaintext)
        }
        _ => Err(format!("{} names for what comes out", names.len())),
    }
}

/// Bytes of an HMAC that are used: tags of numbers and commitments are cut.
fn hmac_width(name: &str) -> usize {
    match name {
        name if name.starts_with("tag") => 8,
        name if name.starts_with("com") => 16,
        _ => KEY_LEN,
    }
}

/// What `AEAD_ENC` stands for: the tag and, after it, the ciphertext, as a header covers those of its body.
fn sealed(operation: &Operation, mut text: Vec<u8>) -> Result<Vec<u8>, String> {
    let key = input_of(operation, Role::AeadKey).try_into().map_err(|_| "no key")?;
    let nonce = input_of(operation, Role::Nonce).try_into().map_err(|_| "no nonce")?;
    let ad = input_of(operation, Role::AssociatedData);
    let tag = RustCrypto.seal(&Secret::new(key), &nonce, &ad, &mut text).map_err(|_| "not sealed")?;
    Ok([&tag[..], &text].concat())
}

fn input_of(operation: &Operation, role: Role) -> Vec<u8> {
    operation.input(role).unwrap_or_default()
}
