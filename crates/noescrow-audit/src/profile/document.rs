// SPDX-License-Identifier: MIT OR Apache-2.0
//! A profile as a JSON document, and its compilation to rules. `docs/profile.md` describes it.

mod stored;

use super::keys::KeyCheck;
use super::layout::{Element, Expansion, Layout, Layouts, Length, MAX_VARIABLES, Signed, Width};
use super::{KdfRule, Name, OutputField, PlaintextRule, ProfileError, Rules};
use crate::class::Class;
use crate::operation::Kind;
use leakscan::printable;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use stored::StoredDocument;

/// The value of `format`.
const FORMAT: &str = "noescrow-audit profile";
/// The version of the format.
const VERSION: u32 = 1;
/// The operations that derive keys.
const KDF_KINDS: [Kind; 3] = [Kind::Hmac, Kind::Hkdf, Kind::HkdfExpand];
/// Levels of layouts within layouts: the parser recurses that deep.
const MAX_DEPTH: usize = 32;
/// Elements that one layout may expand to, not counting repetitions, which consume bytes: ten times noescrow's largest.
const MAX_ELEMENTS: usize = 1 << 12;
const TOO_LARGE: &str = "a layout expands to too many elements";
const TOO_DEEP: &str = "layouts nest too deeply, or without end";

/// The whole document.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    format: String,
    version: u32,
    /// The protocol's name and revision, for people.
    protocol: String,
    /// What the outputs of key derivations consist of. The first rule that fits applies.
    kdf: Vec<KdfRuleDocument>,
    /// What plaintexts are. The first rule that fits applies.
    plaintexts: Vec<PlaintextDocument>,
    /// Steps at which the AEAD seals or opens a user's message.
    messages: Vec<String>,
    /// How a device seals its own state; absent: not described, and the verdict says so.
    stored: Option<StoredOrNone>,
    /// Layouts by name.
    layouts: BTreeMap<String, Vec<ElementDocument>>,
}

/// Bytes: as text, or in hex.
#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Bytes {
    Text(String),
    Hex { hex: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KdfRuleDocument {
    /// The operation's name. Any key derivation if absent.
    operation: Option<String>,
    /// The first part of the info, or of an HMAC's message.
    label: Bytes,
    /// The second part. Any if absent.
    then: Option<Bytes>,
    /// Whether the label is the whole info.
    #[serde(default)]
    whole: bool,
    output: Vec<OutputDocument>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OutputDocument {
    field: String,
    len: usize,
    class: Class,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlaintextDocument {
    steps: Vec<String>,
    /// Layouts of which one must fit.
    #[serde(default)]
    shape: Vec<String>,
    #[serde(default)]
    padding: Option<Padding>,
    /// Layouts whose fields are classified. The first that fits is used.
    #[serde(default)]
    contains: Vec<String>,
    class: Class,
    name: String,
}

/// How a text is padded.
#[derive(Deserialize)]
enum Padding {
    /// ISO/IEC 7816-4: a marker, then zeros up to a Padmé length.
    #[serde(rename = "iso-7816-4, padmé length")]
    Padme,
}

/// A description, or the statement that recorded operations seal no state.
#[derive(Deserialize)]
#[serde(untagged)]
enum StoredOrNone {
    None(Never),
    Stored(Box<StoredDocument>),
}

#[derive(Deserialize)]
enum Never {
    #[serde(rename = "never")]
    Never,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum LengthDocument {
    Fixed(usize),
    Variable(String),
}

#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum SignedDocument {
    Field { field: String },
    Text { text: String },
}

#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum ElementDocument {
    Skip { skip: LengthDocument, is: Option<KeyCheck> },
    Field { field: String, len: LengthDocument, class: Class, expands: Option<Expansion>, is: Option<KeyCheck> },
    Signature { signature: SignatureDocument },
    Variable { variable: String, values: BTreeMap<String, usize> },
    Repeat { repeat: Width, of: Vec<ElementDocument> },
    Optional { optional: Vec<ElementDocument> },
    Choice { choice: BTreeMap<String, Vec<ElementDocument>>, otherwise: Option<Vec<ElementDocument>> },
    Layout { layout: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignatureDocument {
    by: String,
    of: Vec<SignedDocument>,
}

/// Reads and checks a document.
pub(super) fn compile(json: &[u8]) -> Result<Rules, ProfileError> {
    let document: Document = serde_json::from_slice(json).map_err(|error| ProfileError(error.to_string()))?;
    if document.format != FORMAT || document.version != VERSION {
        return Err(wrong(format!("format {:?}, version {}", document.format, document.version)));
    }
    let mut compiler = Compiler::new(&document);
    for name in document.layouts.keys() {
        compiler.layout(name, 0)?;
    }
    check_depth(&compiler.compiled)?;
    check_size(&compiler.compiled)?;
    if let Some(unknown) = compiler.signed.iter().find(|name| !compiler.fields.contains(*name)) {
        return Err(wrong(format!("no layout has the field {unknown:?}, which a signature names")));
    }
    if let Some(unset) = compiler.variables.iter().find(|name| !compiler.defined.contains(*name)) {
        return Err(wrong(format!("no layout sets the variable {unset:?}")));
    }
    let kdf = document.kdf.iter().map(|rule| compiler.kdf(rule)).collect::<Result<_, _>>()?;
    let plaintexts = document.plaintexts.iter().map(|rule| compiler.plaintext(rule)).collect::<Result<_, _>>()?;
    let stored = match &document.stored {
        Some(StoredOrNone::Stored(stored)) => Some(compiler.stored(stored)?),
        Some(StoredOrNone::None(Never::Never)) | None => None,
    };
    Ok(Rules {
        protocol: document.protocol.clone(),
        names: compiler.names,
        layouts: Layouts(compiler.compiled),
        kdf,
        plaintexts,
        message_steps: document.messages.clone(),
        stored,
        describes_storing: document.stored.is_some(),
    })
}

/// The parser recurses as deep as layouts nest, whatever the order in which they were compiled.
fn check_depth(layouts: &[Vec<Element>]) -> Result<(), ProfileError> {
    let mut depths: Vec<usize> = Vec::with_capacity(layouts.len());
    for elements in layouts {
        let depth = depth(elements, &depths);
        if depth > MAX_DEPTH {
            return Err(wrong(TOO_DEEP));
        }
        depths.push(depth);
    }
    Ok(())
}

/// The parser visits each element that a layout expands to, except that repeated ones consume bytes each time.
fn check_size(layouts: &[Vec<Element>]) -> Result<(), ProfileError> {
    let mut sizes: Vec<usize> = Vec::with_capacity(layouts.len());
    for elements in layouts {
        let size = size(elements, &sizes);
        if size > MAX_ELEMENTS {
            return Err(wrong(TOO_LARGE));
        }
        sizes.push(size);
    }
    Ok(())
}

/// Elements that these expand to, given the sizes of the layouts to which they may refer.
fn size(elements: &[Element], layouts: &[usize]) -> usize {
    let of = |element: &Element| match element {
        Element::Repeat { of, .. } | Element::Optional(of) => size(of, layouts),
        Element::Choice { cases, otherwise } => {
            let cases = cases.iter().map(|(_, case)| case).chain(otherwise);
            cases.map(|case| size(case, layouts)).fold(0, usize::saturating_add)
        }
        Element::Layout(Layout(number)) => layouts.get(*number).copied().unwrap_or_default(),
        Element::Skip { .. } | Element::Field { .. } | Element::Signature { .. } | Element::Variable { .. } => 0,
    };
    elements.iter().map(|element| of(element).saturating_add(1)).fold(0, usize::saturating_add)
}

/// Levels of elements below these, given the depths of the layouts to which they may refer.
fn depth(elements: &[Element], layouts: &[usize]) -> usize {
    let below = |element: &Element| match element {
        Element::Repeat { of, .. } | Element::Optional(of) => depth(of, layouts).saturating_add(1),
        Element::Choice { cases, otherwise } => {
            let cases = cases.iter().map(|(_, case)| case).chain(otherwise);
            cases.map(|case| depth(case, layouts)).max().unwrap_or_default().saturating_add(1)
        }
        Element::Layout(Layout(number)) => layouts.get(*number).copied().unwrap_or_default().saturating_add(1),
        Element::Skip { .. } | Element::Field { .. } | Element::Signature { .. } | Element::Variable { .. } => 0,
    };
    elements.iter().map(below).max().unwrap_or_default()
}

fn wrong(what: impl Into<String>) -> ProfileError {
    ProfileError(what.into())
}

/// The number of a byte. JSON keys are always text.
fn byte(key: &str) -> Result<u8, ProfileError> {
    key.parse().map_err(|_| wrong(format!("{key:?} is not the number of a byte")))
}

impl Bytes {
    fn bytes(&self) -> Result<Vec<u8>, ProfileError> {
        match self {
            Self::Text(text) => Ok(text.clone().into_bytes()),
            Self::Hex { hex } => {
                let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                let pair = |pair: &[u8]| match pair {
                    [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
                    _ => None,
                };
                let bytes = hex.as_bytes().chunks(2).map(pair).collect::<Option<_>>();
                bytes.ok_or_else(|| wrong(format!("not hex: {hex:?}")))
            }
        }
    }
}

struct Compiler<'a> {
    document: &'a Document,
    names: Vec<String>,
    variables: Vec<&'a str>,
    /// Names of fields in layouts, and those that signatures name.
    fields: BTreeSet<&'a str>,
    signed: BTreeSet<&'a str>,
    /// Variables that a layout sets.
    defined: BTreeSet<&'a str>,
    /// Compiled layouts by name. A layout refers only to those compiled before it.
    numbers: BTreeMap<&'a str, Layout>,
    compiled: Vec<Vec<Element>>,
}

impl<'a> Compiler<'a> {
    fn new(document: &'a Document) -> Self {
        Self {
            document,
            names: Vec::new(),
            variables: Vec::new(),
            fields: BTreeSet::new(),
            signed: BTreeSet::new(),
            defined: BTreeSet::new(),
            numbers: BTreeMap::new(),
            compiled: Vec::new(),
        }
    }

    fn name(&mut self, name: &str) -> Result<Name, ProfileError> {
        let name = &printable(name).to_string();
        let known = self.names.iter().position(|known| known == name);
        let number = known.unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len().saturating_sub(1)
        });
        u16::try_from(number).map(Name).map_err(|_| wrong("too many names"))
    }

    fn variable(&mut self, name: &'a str) -> Result<usize, ProfileError> {
        if let Some(known) = self.variables.iter().position(|known| *known == name) {
            return Ok(known);
        }
        if self.variables.len() == MAX_VARIABLES {
            return Err(wrong("too many variables"));
        }
        self.variables.push(name);
        Ok(self.variables.len().saturating_sub(1))
    }

    fn length(&mut self, length: &'a LengthDocument) -> Result<Length, ProfileError> {
        match length {
            LengthDocument::Fixed(0) => Err(wrong("a length of no bytes")),
            LengthDocument::Fixed(len) => Ok(Length::Fixed(*len)),
            LengthDocument::Variable(name) => self.variable(name).map(Length::Variable),
        }
    }

    fn layout(&mut self, name: &str, depth: usize) -> Result<Layout, ProfileError> {
        if let Some(known) = self.numbers.get(name) {
            return Ok(*known);
        }
        let document = self.document;
        let (name, elements) =
            document.layouts.get_key_value(name).ok_or_else(|| wrong(format!("there is no layout {name:?}")))?;
        let elements = self.elements(elements, depth)?;
        let number = Layout(self.compiled.len());
        self.compiled.push(elements);
        self.numbers.insert(name, number);
        Ok(number)
    }

    fn layouts(&mut self, names: &[String]) -> Result<Vec<Layout>, ProfileError> {
        names.iter().map(|name| self.layout(name, 0)).collect()
    }

    fn elements(&mut self, elements: &'a [ElementDocument], depth: usize) -> Result<Vec<Element>, ProfileError> {
        if depth > MAX_DEPTH {
            return Err(wrong(TOO_DEEP));
        }
        elements.iter().map(|element| self.element(element, depth.saturating_add(1))).collect()
    }

    fn element(&mut self, element: &'a ElementDocument, depth: usize) -> Result<Element, ProfileError> {
        Ok(match element {
            ElementDocument::Skip { skip, is } => Element::Skip { len: self.length(skip)?, check: *is },
            ElementDocument::Field { field, len, class, expands, is } => {
                self.fields.insert(field);
                Element::Field {
                    name: self.name(field)?,
                    len: self.length(len)?,
                    class: *class,
                    expansion: *expands,
                    check: *is,
                }
            }
            ElementDocument::Signature { signature: SignatureDocument { by, of } } => {
                self.signed.insert(by);
                let signed = |compiler: &mut Self, part: &'a SignedDocument| {
                    Ok(match part {
                        SignedDocument::Text { text } => Signed::Text(text.clone().into_bytes()),
                        SignedDocument::Field { field } => {
                            compiler.signed.insert(field);
                            Signed::Field(compiler.name(field)?)
                        }
                    })
                };
                let of = of.iter().map(|part| signed(self, part)).collect::<Result<_, ProfileError>>()?;
                Element::Signature { by: self.name(by)?, of }
            }
            ElementDocument::Variable { variable, values } => Element::Variable {
                variable: self.variable(variable)?,
                values: {
                    self.defined.insert(variable);
                    values.iter().map(|(key, value)| Ok((byte(key)?, *value))).collect::<Result<_, ProfileError>>()?
                },
            },
            ElementDocument::Repeat { repeat, of } => Element::Repeat { width: *repeat, of: self.elements(of, depth)? },
            ElementDocument::Optional { optional } => Element::Optional(self.elements(optional, depth)?),
            ElementDocument::Choice { choice, otherwise } => {
                let cases = choice.iter().map(|(key, case)| Ok((byte(key)?, self.elements(case, depth)?)));
                Element::Choice {
                    cases: cases.collect::<Result<_, ProfileError>>()?,
                    otherwise: otherwise.as_ref().map(|elements| self.elements(elements, depth)).transpose()?,
                }
            }
            ElementDocument::Layout { layout } => Element::Layout(self.layout(layout, depth)?),
        })
    }

    fn kdf(&mut self, rule: &KdfRuleDocument) -> Result<KdfRule, ProfileError> {
        let field = |compiler: &mut Self, field: &OutputDocument| {
            Ok(OutputField { name: compiler.name(&field.field)?, len: field.len, class: field.class })
        };
        let is_known = |name: &String| KDF_KINDS.iter().any(|kind| kind.name() == name);
        if let Some(unknown) = rule.operation.as_ref().filter(|name| !is_known(name)) {
            return Err(wrong(format!("there is no key derivation {unknown:?}")));
        }
        Ok(KdfRule {
            operation: rule.operation.clone(),
            label: rule.label.bytes()?,
            then: rule.then.as_ref().map(Bytes::bytes).transpose()?,
            is_whole: rule.whole,
            output: rule.output.iter().map(|output| field(self, output)).collect::<Result<_, ProfileError>>()?,
        })
    }

    fn plaintext(&mut self, rule: &PlaintextDocument) -> Result<PlaintextRule, ProfileError> {
        Ok(PlaintextRule {
            steps: rule.steps.clone(),
            shapes: self.layouts(&rule.shape)?,
            is_padded: matches!(rule.padding, Some(Padding::Padme)),
            contains: self.layouts(&rule.contains)?,
            class: rule.class,
            name: self.name(&rule.name)?,
        })
    }
}

#[cfg(test)]
mod tests;
