// SPDX-License-Identifier: MIT OR Apache-2.0
//! Walks a model and a trace in parallel. Each line must be the participant's next operation, of the same step. The
//! terms of the line, computed from the values that earlier lines gave to their names, must be the exact input bytes.

use crate::conversation::Operation;
use crate::matching::matches;
use crate::model::{Line, Statement, Term};
use crate::values::Values;
use noescrow_audit::Kind;
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
