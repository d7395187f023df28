// SPDX-License-Identifier: MIT OR Apache-2.0
//! spec/status.toml, and spec/STATUS.md as it is rendered from it.

use crate::tree::Tree;
use serde::Deserialize;
use std::fmt::Write;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    introduction: String,
    steps_note: String,
    tools_note: String,
    #[serde(rename = "section")]
    sections: Vec<Section>,
    #[serde(rename = "step")]
    pub steps: Vec<Step>,
    #[serde(rename = "tool")]
    pub tools: Vec<Tool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    title: String,
    #[serde(rename = "row")]
    rows: Vec<Row>,
}

/// A claim, and what shows it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    pub id: String,
    pub claim: String,
    pub commands: Vec<String>,
    pub bounds: String,
    pub leaves_out: String,
    pub files: Vec<String>,
    pub tools: Vec<String>,
    pub time: String,
}

/// A step of `.ci/run`, and the rows that it runs.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    pub name: String,
    pub rows: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    pub name: String,
    pub version: String,
    /// The file that pins the version, if one does.
    pub pinned_in: Option<String>,
}

impl Status {
    pub fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| format!("spec/status.toml: {error}"))
    }

    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.sections.iter().flat_map(|section| &section.rows)
    }

    pub fn has(&self, id: &str) -> bool {
        self.rows().any(|row| row.id == id)
    }

    /// STATUS.md.
    pub fn render(&self) -> String {
        let mut page = String::new();
        self.write(&mut page).unwrap();
        page
    }

    fn write(&self, page: &mut String) -> std::fmt::Result {
        writeln!(page, "<!-- Rendered from status.toml: cargo test --test status -- --ignored -->")?;
        writeln!(page, "# What is shown, and by what\n\n{}", self.introduction)?;
        for Section { title, rows } in &self.sections {
            writeln!(page, "## {title}\n\n| | claim | command |\n|---|---|---|")?;
            for Row { id, claim, commands, .. } in rows {
                writeln!(page, "| [{id}](#{}) | {} | {} |", id.to_lowercase(), line(claim), quoted(commands, "; "))?;
            }
            writeln!(page)?;
        }
        writeln!(page, "## Bounds, and what is not covered\n")?;
        for Row { id, claim, bounds, leaves_out, files, tools, time, .. } in self.rows() {
            writeln!(page, "### {id}\n\n{}\n\n- **Bounds:** {}", line(claim), line(bounds))?;
            writeln!(page, "- **Not covered:** {}\n- **Time:** {time}", line(leaves_out))?;
            writeln!(page, "- **Files:** {}\n- **Tools:** {}\n", quoted(files, ", "), tools.join(", "))?;
        }
        writeln!(page, "## The steps of `.ci/run`\n\n| step | rows |\n|---|---|")?;
        for Step { name, rows } in &self.steps {
            writeln!(page, "| {name} | {} |", rows.join(", "))?;
        }
        writeln!(page, "\n{}\n## Tools\n\n| tool | version | pinned in |\n|---|---|---|", self.steps_note)?;
        for Tool { name, version, pinned_in } in &self.tools {
            let pinned_in = pinned_in.as_ref().map_or("nothing".to_owned(), |path| format!("`{path}`"));
            writeln!(page, "| {name} | {version} | {pinned_in} |")?;
        }
        write!(page, "\n{}\n[security.md]: security.md\n", self.tools_note)
    }
}

/// A text that the data has on several lines.
fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn quoted(texts: &[String], separator: &str) -> String {
    texts.iter().map(|text| format!("`{text}`")).collect::<Vec<_>>().join(separator)
}

impl Tool {
    /// Whether the file that is named pins this version: as a package of a lock file, as the minimum version of the
    /// compiler, or literally.
    pub fn is_pinned(&self, tree: &Tree) -> bool {
        let Self { name, version, pinned_in: Some(path) } = self else { return true };
        let text = tree.text(path);
        if path.ends_with("Cargo.lock") {
            text.contains(&format!("name = \"{name}\"\nversion = \"{version}\"\n"))
        } else if path.ends_with("Cargo.toml") {
            let least = version.split(' ').next_back().unwrap_or_default();
            text.contains(&format!("rust-version = \"{least}\"")) && version.starts_with("1.")
        } else {
            text.contains(&format!("\"{version}\"")) || text.contains(&format!("={version}\n"))
        }
    }
}
