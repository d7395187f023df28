// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the names of a model stand for in a run, and terms computed from it.

use crate::model::Term;
use std::collections::{BTreeMap, BTreeSet};

/// The values of names.
#[derive(Clone, Debug, Default)]
pub struct Values {
    known: BTreeMap<String, Vec<u8>>,
    /// Names that take their value where the code first uses it: they stand for something that a model leaves out.
    learnable: BTreeSet<String>,
    /// The widths of the parts of a concatenation, so that it can be split.
    pub widths: Vec<(Vec<u8>, Vec<usize>)>,
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
        // Version 1 and the byte with which KDF_CK derives a message key.
        let exempt = BTreeSet::from(["max_version", "one"]);
        let several = names.into_values().filter(|names| names.len() > 1 && *names != exempt);
        several.map(|names| names.into_iter().collect()).collect()
    }

    /// Gives a name its value; if it has one, the two must be equal.
    pub fn bind(&mut self, name: &str, value: &[u8]) -> Result<(), String> {
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
    pub fn all_or_nothing(&mut self, act: impl FnOnce(&mut Self) -> Result<(), String>) -> Result<(), String> {
        let widths = self.widths.len();
        self.since.clear();
        act(self).inspect_err(|_| {
            self.widths.truncate(widths);
            let since = std::mem::take(&mut self.since);
            since.iter().for_each(|name| drop(self.known.remove(name)));
        })
    }

    /// Compares a term with its input bytes `found`; at most one name takes its value from them.
    pub fn term(&mut self, term: &Term, found: &[u8]) -> Result<Vec<u8>, String> {
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

    pub fn bytes(&self, term: &Term) -> Result<Vec<u8>, String> {
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

    pub fn note_widths(&mut self, term: &Term) -> Result<(), String> {
        let Term::Call(_, arguments) = term else { return Ok(()) };
        arguments.iter().try_for_each(|argument| self.note_widths(argument))?;
        let parts: Result<Vec<_>, _> = arguments.iter().map(|argument| self.bytes(argument)).collect();
        let parts = parts?;
        self.widths.push((parts.concat(), parts.iter().map(Vec::len).collect()));
        Ok(())
    }
}
