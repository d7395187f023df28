// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tables of spec/STATUS.md and of README.

use crate::tree::Tree;
use std::collections::BTreeSet;

/// A claim, and what shows it.
pub struct Row {
    pub id: String,
    pub claim: String,
    pub files: Vec<String>,
    pub commands: Vec<String>,
    pub tools: String,
    pub bounds: String,
    pub time: String,
    pub leaves_out: String,
}

/// A line of README's tables.
pub struct Claimed {
    pub id: String,
    pub claim: String,
    pub by: String,
    pub command: String,
}

/// A step of `.ci/run`, and the rows that it runs.
pub struct Step {
    pub name: String,
    pub rows: String,
}

pub struct Tool {
    pub name: String,
    pub version: String,
    pub pinned_in: String,
}

/// The cells of the lines of `text` that are of a table, without heads.
fn cells(text: &str) -> Vec<Vec<&str>> {
    let lines = text.lines().filter(|line| line.starts_with('|') && line.ends_with('|') && line.len() > 1);
    let lines: Vec<&str> = lines.collect();
    let is_rule = |line: &str| line.chars().all(|c| "|-: ".contains(c));
    let is_head = |at: usize| lines.get(at.saturating_add(1)).is_some_and(|next| is_rule(next));
    let body = lines.iter().enumerate().filter(|(at, line)| !is_rule(line) && !is_head(*at));
    body.map(|(_, line)| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// The part under a heading that begins so.
fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let from = text.split_once(&format!("\n## {heading}")).map_or("", |(_, rest)| rest);
    from.split("\n## ").next().unwrap_or_default()
}

fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// `a/{b,c}.rs` is two.
fn expanded(pattern: &str) -> Vec<String> {
    let Some((before, rest)) = pattern.split_once('{') else { return vec![pattern.to_owned()] };
    let (names, after) = rest.split_once('}').unwrap_or((rest, ""));
    names.split(',').map(|name| format!("{before}{name}{after}")).collect()
}

/// All lines of eight cells.
pub fn rows(status: &str) -> Vec<Row> {
    let read = |cells: Vec<&str>| {
        let [id, claim, files, commands, tools, bounds, time, leaves_out] = cells[..] else { return None };
        let files = quoted(files).iter().flat_map(|file| expanded(file)).collect();
        let commands = quoted(commands);
        let [id, claim, tools, bounds, time, leaves_out] =
            [id, claim, tools, bounds, time, leaves_out].map(str::to_owned);
        Some(Row { id, claim, files, commands, tools, bounds, time, leaves_out })
    };
    cells(status).into_iter().filter_map(read).collect()
}

pub fn steps(status: &str) -> Vec<Step> {
    let read = |cells: Vec<&str>| {
        let [name, rows] = cells[..] else { return None };
        Some(Step { name: name.to_owned(), rows: rows.to_owned() })
    };
    cells(section(status, "The steps of")).into_iter().filter_map(read).collect()
}

pub fn tools(status: &str) -> Vec<Tool> {
    let read = |cells: Vec<&str>| {
        let [name, version, pinned_in] = cells[..] else { return None };
        let [name, version, pinned_in] = [name, version, pinned_in.trim_matches('`')].map(str::to_owned);
        Some(Tool { name, version, pinned_in })
    };
    cells(section(status, "Tools")).into_iter().filter_map(read).collect()
}

impl Tool {
    /// Whether the file that is said to pin the version does, if one is: as a package of a lock file, or as the minimum
    /// version of the compiler, or in so many words.
    pub fn pins(&self, tree: &Tree) -> bool {
        let Self { name, version, pinned_in } = self;
        let text = tree.text(pinned_in);
        match &**pinned_in {
            "nothing" => true,
            path if path.ends_with("Cargo.lock") => {
                text.contains(&format!("name = \"{name}\"\nversion = \"{version}\"\n"))
            }
            path if path.ends_with("Cargo.toml") => version.split(' ').next_back().is_some_and(|least| {
                text.contains(&format!("rust-version = \"{least}\"")) && version.starts_with("1.")
            }),
            _ => text.contains(&format!("\"{version}\"")) || text.contains(&format!("={version}\n")),
        }
    }
}

/// README's tables of what is verified. A line without an id has an empty one.
pub fn claimed(readme: &str) -> Vec<Claimed> {
    let read = |cells: Vec<&str>| {
        let (id, [claim, by, command]) = match cells[..] {
            [id, claim, by, command] => (id, [claim, by, command]),
            [claim, by, command] => ("", [claim, by, command]),
            _ => return None,
        };
        let [id, claim, by, command] = [id, claim, by, command.trim_matches('`')].map(str::to_owned);
        Some(Claimed { id, claim, by, command })
    };
    cells(section(readme, "What is verified")).into_iter().filter_map(read).collect()
}

/// Numbers that README writes as words.
const WORDS: [&str; 19] = [
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
];

/// Numbers in a text, as they are written: `2,784`, `12.7`, `fourteen`.
pub fn numbers(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_alphanumeric() || c == ',' || c == '.'));
    let words = words.map(|word| word.trim_matches([',', '.']));
    let is_number =
        |word: &&str| word.starts_with(|c: char| c.is_ascii_digit()) || WORDS.contains(&&*word.to_lowercase());
    words.filter(is_number).map(str::to_lowercase).collect()
}
