// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verdict as text: the answer, the findings by their causes, what was examined, and what an audit does not show.

use super::causes::{Cause, by_cause};
use crate::finding::{DerivationStep, EvidencePlace, Finding};
use crate::verdict::{Outcome, Verdict};
use core::fmt;

/// Places of a finding that are printed.
const MAX_PLACES: usize = 4;
/// Findings of one cause that are printed after the first.
const MAX_FINDINGS: usize = 8;

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { outcome, findings, findings_not_listed, unjudged, examined, not_shown, manifest: _ } = self;
        let causes = by_cause(findings);
        match outcome {
            Outcome::Holds => writeln!(f, "HOLDS: no server-held key exists in what was examined.")?,
            Outcome::HoldsInPart => writeln!(f, "{}", examined.holds_in_part())?,
            Outcome::Finding => {
                let count = findings.len().saturating_add(*findings_not_listed);
                let from = if causes.len() < findings.len() { causes.len() } else { 0 };
                write!(f, "DOES NOT HOLD: {}", counted(count, "finding"))?;
                match from {
                    0 => writeln!(f, ".")?,
                    from => writeln!(f, " from {}.", counted(from, "cause"))?,
                }
            }
            Outcome::CouldNotExamine => writeln!(f, "NOT SHOWN: not everything could be examined.")?,
        }
        for (number, cause) in (1..).zip(&causes) {
            write_cause(f, number, cause)?;
        }
        if *findings_not_listed > 0 {
            writeln!(f, "\nand {findings_not_listed} more.")?;
        }
        if !unjudged.is_empty() {
            writeln!(f, "\nTexts that may have leaked, or be ordinary language (there is no baseline):")?;
        }
        for Finding { what, why, places, .. } in unjudged {
            writeln!(f, "  {what}: {why}")?;
            write_places(f, "    ", places)?;
        }
        writeln!(f, "\nExamined:")?;
        examined.lines().iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        for what in &examined.not_examined {
            writeln!(f, "  NOT examined: {what}")?;
        }
        for note in &examined.notes {
            writeln!(f, "  note: {note}")?;
        }
        writeln!(f, "\nNot shown by this audit:")?;
        not_shown.iter().try_for_each(|line| writeln!(f, "  - {line}"))
    }
}

/// The first finding of a cause with its places and its derivation, the first that follows from it with its own, and the
/// names of the others.
fn write_cause(f: &mut fmt::Formatter<'_>, number: usize, cause: &Cause<'_>) -> fmt::Result {
    let Some((first, others)) = cause.findings.split_first() else { return Ok(()) };
    let Finding { kind, what, why, places, derivation } = first;
    if others.is_empty() {
        writeln!(f, "\n{number}. {kind}: {what}")?;
    } else {
        writeln!(f, "\n{number}. {}: {}", cause.what.join("; "), counted(cause.findings.len(), "finding"))?;
        writeln!(f, "   {kind}: {what}")?;
    }
    writeln!(f, "   {why}")?;
    write_places(f, "   ", places)?;
    write_derivation(f, derivation)?;
    // Of what follows from the first finding, one derivation shows the way.
    let mut is_shown = derivation.len() > 1;
    for Finding { kind, what, places, derivation, .. } in others.iter().take(MAX_FINDINGS) {
        match (places.first(), derivation.last()) {
            (Some(place), _) => writeln!(f, "   {kind}: {what}: in {place}")?,
            (None, Some(last)) if is_shown => writeln!(f, "   {kind}: {what}: {}", last.because)?,
            (None, Some(_)) => {
                is_shown = true;
                writeln!(f, "   {kind}: {what}")?;
                write_derivation(f, derivation)?;
            }
            (None, None) => writeln!(f, "   {kind}: {what}")?,
        }
    }
    match others.len().saturating_sub(MAX_FINDINGS) {
        0 => Ok(()),
        more => writeln!(f, "   and {} more", counted(more, "finding")),
    }
}

/// The steps of a derivation, each with those from which it follows.
fn write_derivation(f: &mut fmt::Formatter<'_>, derivation: &[DerivationStep]) -> fmt::Result {
    for (at, DerivationStep { value, because, from, .. }) in derivation.iter().enumerate() {
        write!(f, "   [{at}] {value}: {because}")?;
        match from.as_slice() {
            [] => writeln!(f)?,
            from => writeln!(f, ", from {from:?}")?,
        }
    }
    Ok(())
}

fn write_places(f: &mut fmt::Formatter<'_>, indent: &str, places: &[EvidencePlace]) -> fmt::Result {
    places.iter().take(MAX_PLACES).try_for_each(|place| writeln!(f, "{indent}in {place}"))?;
    match places.len().saturating_sub(MAX_PLACES) {
        0 => Ok(()),
        more => writeln!(f, "{indent}and in {} more", counted(more, "place")),
    }
}

/// A number of things, in words.
fn counted(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}
