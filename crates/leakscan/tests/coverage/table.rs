// SPDX-License-Identifier: MIT OR Apache-2.0
//! A table of the document.

use super::cell::Cell;
use super::missed;
use super::software::Rows;
use std::fmt::Write;

/// One row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cells {
    pub(crate) group: String,
    pub(crate) key: Cell,
    pub(crate) text: Cell,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) rows: Rows,
    /// The ways in the order of the document.
    pub(crate) order: Vec<String>,
}

impl Table {
    fn render(&self) -> String {
        let mut text = String::from("| | way | key | text |\n|---|---|---|---|\n");
        let mut last = "";
        for way in &self.order {
            let Cells { group, key, text: of_text } = &self.rows[way];
            let shown = if group == last { "" } else { group };
            last = group;
            let reason = missed::reason(way).map(|reason| format!(": {reason}")).unwrap_or_default();
            writeln!(text, "| {shown} | {} | {key} | {of_text}{reason} |", way.replace('|', "\\|")).unwrap();
        }
        text
    }

    /// The part of a document below a heading.
    fn section<'a>(document: &'a str, title: &str) -> Option<(usize, &'a str)> {
        let start = document.find(&format!("\n### {title}\n"))? + title.len() + "\n### \n".len();
        let rest = &document[start..];
        Some((start, &rest[..rest.find("\n##").map_or(rest.len(), |end| end + 1)]))
    }

    /// The table below a heading.
    pub(crate) fn written_in(document: &str, title: &str) -> Option<Self> {
        let (_, section) = Self::section(document, title)?;
        let mut table = Self::default();
        let mut group = String::new();
        for line in section.lines().filter(|line| line.starts_with('|')).skip(2) {
            let columns: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            let [first, way, key, text] = columns.try_into().ok()?;
            if !first.is_empty() {
                group = first.into();
            }
            let cell =
                |shown: &str| Cell::ALL.into_iter().find(|cell| shown.split(": ").next() == Some(&cell.to_string()));
            let way = way.replace("\\|", "|");
            table.order.push(way.clone());
            table.rows.insert(way, Cells { group: group.clone(), key: cell(key)?, text: cell(text)? });
        }
        Some(table)
    }

    /// The document with this table below its heading, which must exist.
    pub(crate) fn write_in(&self, document: &str, title: &str) -> String {
        let (start, section) = Self::section(document, title).unwrap_or_else(|| panic!("no heading: {title}"));
        format!("{}\n{}{}", &document[..start], self.render(), {
            let rest = &document[start + section.len()..];
            if rest.is_empty() { String::new() } else { format!("\n{}", rest.trim_start_matches('\n')) }
        })
    }
}
