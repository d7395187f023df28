// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads a Verifpal model for the conformance test: what its principals draw and compute, in the order of the text,
//! with the step's label on each line.

use std::fmt;

/// `name`, or `CALL(argument, ...)`.
#[derive(Clone, PartialEq, Eq)]
pub enum Term {
    Name(String),
    Call(String, Vec<Term>),
}

/// The content of a line.
#[derive(Clone, PartialEq, Eq)]
pub enum Line {
    /// `knows private x` or `generates x`.
    Drawn(String),
    /// `x, y = term`.
    Assigned(Vec<String>, Term),
}

/// A line of a principal, or one of the values that it draws.
#[derive(Clone, PartialEq, Eq)]
pub struct Statement {
    pub principal: String,
    /// The step of spec/protocol.md, empty before the numbered ones.
    pub label: String,
    pub line: Line,
}

/// The label of lines that stand for something else: the code does not perform them.
pub const CUT: &str = "CUT";

impl fmt::Debug for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Call(name, arguments) => {
                let arguments: Vec<_> = arguments.iter().map(|argument| format!("{argument:?}")).collect();
                write!(f, "{name}({})", arguments.join(", "))
            }
        }
    }
}

impl fmt::Debug for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:5} {:5} ", self.principal, self.label)?;
        match &self.line {
            Line::Drawn(name) => write!(f, "{name} drawn"),
            Line::Assigned(names, term) => write!(f, "{} = {term:?}", names.join(", ")),
        }
    }
}

impl Statement {
    pub fn is_cut(&self) -> bool {
        self.label == CUT
    }

    /// The primitive of the line, if it has one.
    pub fn call(&self) -> Option<&str> {
        match &self.line {
            Line::Assigned(_, Term::Call(name, _)) => Some(name),
            _ => None,
        }
    }
}

/// Everything that the principals of a model do, in the order of its text. Panics on unknown syntax.
pub fn parse(model: &str) -> Vec<Statement> {
    let (mut statements, mut principal) = (Vec::new(), None);
    for text in model.lines() {
        let (code, comment) = text.split_once("//").unwrap_or((text, ""));
        let (code, label) = (code.trim(), comment.trim());
        if let Some(name) = code.strip_prefix("principal ").and_then(|rest| rest.strip_suffix('[')) {
            principal = Some(name.to_owned());
            continue;
        }
        if code == "]" {
            principal = None;
            continue;
        }
        let Some(principal) = &principal else { continue };
        let mut push = |line| {
            statements.push(Statement { principal: principal.clone(), label: label.to_owned(), line });
        };
        if code.is_empty() || ["knows public ", "leaks "].iter().any(|start| code.starts_with(start)) {
            continue;
        }
        if let Some(drawn) = code.strip_prefix("knows private ").or_else(|| code.strip_prefix("generates ")) {
            drawn.split(',').for_each(|name| push(Line::Drawn(name.trim().to_owned())));
        } else {
            let (names, term) = code.split_once(" = ").unwrap_or_else(|| panic!("not understood: {text}"));
            let names = names.split(',').map(|name| name.trim().to_owned()).collect();
            let (term, rest) = parse_term(term);
            assert!(["", "?"].contains(&rest), "not understood: {text}");
            push(Line::Assigned(names, term));
        }
    }
    statements
}

/// A term at the beginning of `text`, and the rest.
fn parse_term(text: &str) -> (Term, &str) {
    let text = text.trim_start();
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    let (name, mut rest) = text.split_at(end);
    assert!(!name.is_empty(), "no term: {text}");
    let Some(inside) = rest.strip_prefix('(') else { return (Term::Name(name.to_owned()), rest) };
    rest = inside;
    let mut arguments = Vec::new();
    loop {
        let (argument, after) = parse_term(rest);
        arguments.push(argument);
        let after = after.trim_start_matches('?').trim_start();
        match after.split_at_checked(1) {
            Some((",", next)) => rest = next,
            Some((")", next)) => return (Term::Call(name.to_owned(), arguments), next),
            _ => panic!("not closed: {text}"),
        }
    }
}
