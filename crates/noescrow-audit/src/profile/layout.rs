// SPDX-License-Identifier: MIT OR Apache-2.0
//! Layouts: which fields bytes consist of, and a parser for them.

use super::Name;
use super::keys::{KeyCheck, has_ed25519_key_of_prime_order, is_r_of_small_order};
use crate::class::Class;
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

/// The number of a layout within its profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout(pub(super) usize);

/// All layouts of a profile. A layout refers only to layouts of smaller numbers, so that parsing ends.
#[derive(Debug, Default)]
pub(super) struct Layouts(pub(super) Vec<Vec<Element>>);

/// One element of a layout.
#[derive(Debug)]
pub(super) enum Element {
    /// Bytes without a field of interest.
    Skip {
        len: Length,
        check: Option<KeyCheck>,
    },
    Field {
        name: Name,
        len: Length,
        class: Class,
        expansion: Option<Expansion>,
        check: Option<KeyCheck>,
    },
    /// An Ed25519 signature by an earlier field over constants and earlier fields, verified strictly: neither the key
    /// nor R is of small order.
    Signature {
        by: Name,
        of: Vec<Signed>,
    },
    /// A byte that sets a variable to one of these values.
    Variable {
        variable: usize,
        values: Vec<(u8, usize)>,
    },
    /// A count, then these elements that many times; or these elements up to the end.
    Repeat {
        width: Width,
        of: Vec<Element>,
    },
    /// A byte 0, or a byte 1 and these elements.
    Optional(Vec<Element>),
    /// A byte, then the elements of its case.
    Choice {
        cases: Vec<(u8, Vec<Element>)>,
        otherwise: Option<Vec<Element>>,
    },
    Layout(Layout),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Length {
    Fixed(usize),
    Variable(usize),
}

/// How often elements repeat: a big-endian count of this width, or what stands for one.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Width {
    U8,
    U16,
    U32,
    /// 32 bits: once for each that is set.
    U32Mask,
    /// No bytes: as often as there are bytes left.
    ToTheEnd,
}

#[derive(Debug)]
pub(super) enum Signed {
    Text(Vec<u8>),
    Field(Name),
}

/// A private key's algorithm, by which its expanded forms are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
pub(crate) enum Expansion {
    /// An Ed25519 seed, 32 bytes.
    #[serde(rename = "ed25519")]
    Ed25519,
    /// An ML-KEM-768 seed, 64 bytes.
    #[serde(rename = "ml-kem-768")]
    MlKem768,
    /// An ML-KEM-1024 seed, 64 bytes.
    #[serde(rename = "ml-kem-1024")]
    MlKem1024,
}

/// A field that a parser found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part<'a> {
    pub(crate) name: Name,
    pub(crate) class: Class,
    pub(crate) expansion: Option<Expansion>,
    pub(crate) bytes: &'a [u8],
}

/// The number of variables that a profile may have: lengths such as a chunk size.
pub(super) const MAX_VARIABLES: usize = 8;

/// The bytes do not fit the layout.
struct DoesNotFit;

impl Layouts {
    /// The fields of `bytes`, if the layout fits from the first byte to the last.
    pub(super) fn parse<'a>(&self, layout: Layout, bytes: &'a [u8]) -> Option<Vec<Part<'a>>> {
        let mut parser = Parser { layouts: self, rest: bytes, parts: Vec::new(), variables: [None; MAX_VARIABLES] };
        parser.layout(layout).ok()?;
        parser.rest.is_empty().then_some(parser.parts)
    }
}

struct Parser<'a, 'l> {
    layouts: &'l Layouts,
    rest: &'a [u8],
    parts: Vec<Part<'a>>,
    variables: [Option<usize>; MAX_VARIABLES],
}

impl<'a> Parser<'a, '_> {
    fn layout(&mut self, Layout(number): Layout) -> Result<(), DoesNotFit> {
        let layouts = self.layouts;
        self.elements(layouts.0.get(number).ok_or(DoesNotFit)?)
    }

    fn elements(&mut self, elements: &[Element]) -> Result<(), DoesNotFit> {
        elements.iter().try_for_each(|element| self.element(element))
    }

    fn element(&mut self, element: &Element) -> Result<(), DoesNotFit> {
        match element {
            Element::Skip { len, check } => self.checked(*len, *check).map(drop),
            Element::Field { name, len, class, expansion, check } => {
                let bytes = self.checked(*len, *check)?;
                self.parts.push(Part { name: *name, class: *class, expansion: *expansion, bytes });
                Ok(())
            }
            Element::Signature { by, of } => {
                let signature = self.take(64)?;
                let mut message = Vec::new();
                for part in of {
                    match part {
                        Signed::Text(text) => message.extend_from_slice(text),
                        Signed::Field(name) => message.extend_from_slice(self.field(*name)?),
                    }
                }
                let key = self.field(*by)?;
                if !has_ed25519_key_of_prime_order(key) || is_r_of_small_order(signature) {
                    return Err(DoesNotFit);
                }
                UnparsedPublicKey::new(&ED25519, key).verify(&message, signature).map_err(|_| DoesNotFit)
            }
            Element::Variable { variable, values } => {
                let byte = self.byte()?;
                let (_, value) = values.iter().find(|(known, _)| *known == byte).ok_or(DoesNotFit)?;
                *self.variables.get_mut(*variable).ok_or(DoesNotFit)? = Some(*value);
                Ok(())
            }
            Element::Repeat { width, of } => {
                let mut left = self.count(*width)?;
                while left.map_or(!self.rest.is_empty(), |left| left > 0) {
                    let before = self.rest.len();
                    self.elements(of)?;
                    // The parser does not trust the count: what repeats must consume bytes.
                    if self.rest.len() == before {
                        return Err(DoesNotFit);
                    }
                    left = left.map(|left| left.saturating_sub(1));
                }
                Ok(())
            }
            Element::Optional(elements) => match self.byte()? {
                0 => Ok(()),
                1 => self.elements(elements),
                _ => Err(DoesNotFit),
            },
            Element::Choice { cases, otherwise } => {
                let byte = self.byte()?;
                let case = cases.iter().find(|(known, _)| *known == byte).map(|(_, elements)| elements);
                self.elements(case.or(otherwise.as_ref()).ok_or(DoesNotFit)?)
            }
            Element::Layout(layout) => self.layout(*layout),
        }
    }

    fn checked(&mut self, len: Length, check: Option<KeyCheck>) -> Result<&'a [u8], DoesNotFit> {
        let bytes = self.take(self.length(len)?)?;
        if check.is_none_or(|check| check.holds(bytes)) { Ok(bytes) } else { Err(DoesNotFit) }
    }

    fn length(&self, length: Length) -> Result<usize, DoesNotFit> {
        match length {
            Length::Fixed(len) => Ok(len),
            Length::Variable(variable) => self.variables.get(variable).copied().flatten().ok_or(DoesNotFit),
        }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], DoesNotFit> {
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or(DoesNotFit)?;
        self.rest = rest;
        Ok(bytes)
    }

    fn byte(&mut self) -> Result<u8, DoesNotFit> {
        self.take(1)?.first().copied().ok_or(DoesNotFit)
    }

    /// How often to repeat; `None` up to the end.
    fn count(&mut self, width: Width) -> Result<Option<u32>, DoesNotFit> {
        let len = match width {
            Width::U8 => 1,
            Width::U16 => 2,
            Width::U32 | Width::U32Mask => 4,
            Width::ToTheEnd => return Ok(None),
        };
        let number = self.take(len)?.iter().fold(0u32, |number, byte| number << 8 | u32::from(*byte));
        Ok(Some(if matches!(width, Width::U32Mask) { number.count_ones() } else { number }))
    }

    /// The last field of this name.
    fn field(&self, name: Name) -> Result<&'a [u8], DoesNotFit> {
        self.parts.iter().rev().find(|part| part.name == name).map(|part| part.bytes).ok_or(DoesNotFit)
    }
}

/// Whether bytes end with ISO/IEC 7816-4's padding (0x80, then zeros) and have a Padmé length (Nikitin et al., PoPETs
/// 2019, algorithm 1): the shortest one for the text and its marker, or a longer one, which hides a short text among
/// longer ones.
pub(super) fn is_padded(bytes: &[u8]) -> bool {
    let last = bytes.iter().rev().find(|byte| **byte != 0);
    last == Some(&0x80) && padme(bytes.len()) == bytes.len()
}

fn padme(len: usize) -> usize {
    let exponent = len.checked_ilog2().unwrap_or_default();
    let kept = exponent.checked_ilog2().map_or(0, |log| log.saturating_add(1));
    let mask = match exponent.checked_sub(kept) {
        Some(low) if exponent > 0 => (1usize << low).saturating_sub(1),
        _ => 0,
    };
    len.saturating_add(mask) & !mask
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(elements: Vec<Element>, bytes: &[u8]) -> Option<Vec<Part<'_>>> {
        Layouts(vec![elements]).parse(Layout(0), bytes)
    }

    fn secret(len: Length) -> Element {
        Element::Field { name: Name(0), len, class: Class::Secret, expansion: None, check: None }
    }

    #[test]
    fn layout_fits_from_the_first_byte_to_the_last() {
        let elements = || vec![Element::Skip { len: Length::Fixed(1), check: None }, secret(Length::Fixed(2))];
        assert_eq!(parse(elements(), &[1, 2, 3]).unwrap()[0].bytes, [2, 3]);
        assert!(parse(elements(), &[1, 2]).is_none());
        assert!(parse(elements(), &[1, 2, 3, 4]).is_none());
    }

    #[test]
    fn counts_options_choices_and_variables_are_parsed() {
        let elements = || {
            vec![
                Element::Variable { variable: 0, values: vec![(7, 2), (8, 3)] },
                Element::Repeat { width: Width::U16, of: vec![secret(Length::Variable(0))] },
                Element::Optional(vec![secret(Length::Fixed(1))]),
                Element::Choice { cases: vec![(5, vec![secret(Length::Fixed(1))])], otherwise: None },
            ]
        };
        let parts = parse(elements(), &[7, 0, 2, 10, 11, 20, 21, 1, 30, 5, 40]).unwrap();
        assert_eq!(parts.iter().map(|part| part.bytes).collect::<Vec<_>>(), [&[10, 11][..], &[20, 21], &[30], &[40]]);
        assert_eq!(parse(elements(), &[8, 0, 0, 0, 5, 40]).unwrap().len(), 1);
        for bad in [&[9, 0, 0, 0, 5, 40][..], &[8, 0, 0, 2, 5, 40], &[8, 0, 0, 0, 6, 40], &[8, 0, 9, 0, 5, 40]] {
            assert!(parse(elements(), bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn count_of_empty_elements_is_refused() {
        for width in [Width::U32, Width::U32Mask, Width::ToTheEnd] {
            let elements = vec![Element::Repeat { width, of: Vec::new() }];
            assert!(parse(elements, &[0xFF; 4]).is_none(), "{width:?}");
        }
    }

    #[test]
    fn elements_repeat_for_each_bit_of_a_mask() {
        let elements = || vec![Element::Repeat { width: Width::U32Mask, of: vec![secret(Length::Fixed(2))] }];
        let parts = parse(elements(), &[0x80, 0, 1, 1, 10, 11, 20, 21, 30, 31]).unwrap();
        assert_eq!(parts.iter().map(|part| part.bytes).collect::<Vec<_>>(), [[10, 11], [20, 21], [30, 31]]);
        assert_eq!(parse(elements(), &[0; 4]).unwrap().len(), 0);
        for bad in [&[0x80, 0, 1, 1, 10, 11, 20, 21][..], &[0, 0, 0, 1, 1, 2, 3, 4], &[0, 0, 1]] {
            assert!(parse(elements(), bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn elements_repeat_to_the_end_and_must_fit_to_the_last_byte() {
        let of =
            || vec![Element::Choice { cases: vec![(5, vec![secret(Length::Fixed(2))]), (6, vec![])], otherwise: None }];
        let elements = || vec![secret(Length::Fixed(1)), Element::Repeat { width: Width::ToTheEnd, of: of() }];
        let parts = parse(elements(), &[1, 5, 10, 11, 6, 5, 20, 21]).unwrap();
        assert_eq!(parts.iter().map(|part| part.bytes).collect::<Vec<_>>(), [&[1][..], &[10, 11], &[20, 21]]);
        assert_eq!(parse(elements(), &[1]).unwrap().len(), 1);
        for bad in [&[1, 5, 10][..], &[1, 7], &[1, 6, 5], &[]] {
            assert!(parse(elements(), bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn padding_is_marker_and_zeros_to_the_padme_length() {
        for len in 0..3_000usize {
            let mut bytes = vec![0; padme(len + 1)];
            bytes[len] = 0x80;
            assert!(is_padded(&bytes), "{len}");
            bytes[len] = 0x81;
            assert!(!is_padded(&bytes), "{len}");
        }
        // A short text in every longer class, and in no length between two classes.
        let mut classes = 0;
        for len in 4..3_000usize {
            let mut bytes = vec![0; len];
            bytes[..4].copy_from_slice(b"abc\x80");
            assert_eq!(is_padded(&bytes), padme(len) == len, "{len}");
            classes += usize::from(is_padded(&bytes));
        }
        assert!((80..120).contains(&classes), "{classes}");
        assert!(!is_padded(&[]) && !is_padded(&[0; 16]));
        // Figure 3 of the paper, worked by hand: 9 = 0b1001, E = 3, S = 2, one bit cleared.
        assert_eq!([1, 2, 8, 9, 33, 100, 1000].map(padme), [1, 2, 8, 10, 36, 104, 1024]);
    }
}
