// SPDX-License-Identifier: MIT OR Apache-2.0
//! The derivation of a finding as SVG.

use super::text::{escape, short};
use crate::finding::DerivationStep;
use std::fmt::Write as _;

/// Steps of a derivation that are drawn: the last ones before the secret. The text lists all of them.
const MAX_DRAWN: usize = 60;
/// Pixels of a box in a derivation, and between two.
const BOX: (usize, usize) = (250, 44);
const GAP: (usize, usize) = (22, 34);
/// Characters that fit into a line of a box.
const LINE: usize = 40;

/// A derivation as a graph: each value below those from which it follows, the secret at the bottom.
pub(super) fn derivation_svg(steps: &[DerivationStep]) -> String {
    let first = steps.len().saturating_sub(MAX_DRAWN);
    let drawn = steps.get(first..).unwrap_or_default();
    // A step's depth is one more than the greatest depth of its premises, which come before it.
    let mut depths: Vec<usize> = Vec::new();
    let mut columns: Vec<usize> = Vec::new();
    let mut filled: Vec<usize> = Vec::new();
    for step in drawn {
        let above = step.from.iter().filter_map(|at| depths.get(at.checked_sub(first)?));
        let depth = above.max().map_or(0, |deepest| deepest.saturating_add(1));
        if filled.len() <= depth {
            filled.resize(depth.saturating_add(1), 0);
        }
        let column = filled.get_mut(depth).map_or(0, |count| core::mem::replace(count, count.saturating_add(1)));
        depths.push(depth);
        columns.push(column);
    }
    let pitch = (BOX.0.saturating_add(GAP.0), BOX.1.saturating_add(GAP.1));
    let at = |index: usize| {
        let column = columns.get(index).copied().unwrap_or_default();
        let depth = depths.get(index).copied().unwrap_or_default();
        (column.saturating_mul(pitch.0).saturating_add(4), depth.saturating_mul(pitch.1).saturating_add(4))
    };
    let width = filled.iter().max().map_or(0, |most| most.saturating_mul(pitch.0)).saturating_add(8);
    let height = filled.len().saturating_mul(pitch.1).saturating_add(8);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" font-family=\"sans-serif\" font-size=\"10\">\n"
    );
    for (index, step) in drawn.iter().enumerate() {
        let (x, y) = at(index);
        for above in step.from.iter().filter_map(|from| from.checked_sub(first)) {
            let (from_x, from_y) = at(above);
            let middle = BOX.0 / 2;
            let _ = writeln!(
                svg,
                "<path d=\"M{} {}L{} {y}\" stroke=\"#888\" fill=\"none\"/>",
                from_x.saturating_add(middle),
                from_y.saturating_add(BOX.1),
                x.saturating_add(middle)
            );
        }
    }
    for (index, step) in drawn.iter().enumerate() {
        let (x, y) = at(index);
        let is_last = index.saturating_add(1) == drawn.len();
        let fill = match (is_last, step.from.is_empty()) {
            (true, _) => "#f3c6c9",
            (false, true) => "#e3ecf5",
            (false, false) => "#f6f3ea",
        };
        let _ = writeln!(
            svg,
            "<g><title>{}: {}</title>\
             <rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" rx=\"4\" fill=\"{fill}\" stroke=\"#999\"/>\
             <text x=\"{tx}\" y=\"{}\">{}</text><text x=\"{tx}\" y=\"{}\" fill=\"#555\">{}</text></g>",
            escape(&step.value),
            escape(&step.because),
            BOX.0,
            BOX.1,
            y.saturating_add(17),
            escape(&short(&step.value, LINE)),
            y.saturating_add(34),
            escape(&short(&step.because, LINE)),
            tx = x.saturating_add(8),
        );
    }
    svg.push_str("</svg>\n");
    svg
}
