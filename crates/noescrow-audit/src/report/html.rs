// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verdict as one HTML page that loads nothing: no script, no font, no image.

use super::derivation::derivation_svg;
use super::text::escape;
use crate::examined::Examined;
use crate::finding::Finding;
use crate::secrecy_matrix::SecrecyMatrix;
use crate::verdict::{Outcome, Verdict};
use std::fmt::Write as _;

/// Findings whose derivation is drawn. The text lists the derivations of all.
const MAX_DRAWN: usize = 20;

const STYLE: &str = "body{font:15px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222}\
    h1{font-size:1.5em}.holds{color:#1d6b34}.finding{color:#a01c28}.graph{overflow-x:auto;border:1px solid #ddd}\
    code{background:#f4f4f4}li{margin:.2em 0}section{border-top:1px solid #ddd;margin-top:1.5em}";

impl Verdict {
    /// The verdict as a page, with drawings of the derivations and of the secrecy matrix, if one is given.
    #[must_use]
    pub fn to_html(&self, matrix: Option<&SecrecyMatrix>) -> String {
        let (class, headline) = match self.outcome {
            Outcome::Holds => ("holds", "Holds: no server-held key exists in what was examined."),
            Outcome::Finding => ("finding", "Does not hold."),
            Outcome::CouldNotExamine => ("finding", "Not shown: not everything could be examined."),
        };
        let mut page = format!(
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Audit</title><style>{STYLE}</style>\
             </head><body>\n<h1 class=\"{class}\">{headline}</h1>\n"
        );
        for (number, finding) in (1usize..).zip(&self.findings) {
            page.push_str(&section(number, finding));
        }
        if self.findings_not_listed > 0 {
            let _ = writeln!(page, "<p>And {} more.</p>", self.findings_not_listed);
        }
        page.push_str(&unjudged_html(&self.unjudged));
        if let Some(matrix) = matrix {
            let _ = writeln!(
                page,
                "<section><h2>Secrecy matrix</h2><p>Exposure after device theft: {} messages (rows) × {} thefts (columns). \
                 The thief also has everything that the server has.</p><div class=\"graph\">{}</div></section>",
                matrix.messages.len(),
                matrix.thefts.len(),
                matrix.to_svg()
            );
        }
        page.push_str(&examined_html(&self.examined));
        page.push_str("<section><h2>Not shown by this audit</h2><ul>");
        for line in &self.not_shown {
            let _ = write!(page, "<li>{}</li>", escape(line));
        }
        page.push_str("</ul></section>\n</body></html>\n");
        page
    }
}

fn unjudged_html(unjudged: &[Finding]) -> String {
    if unjudged.is_empty() {
        return String::new();
    }
    let mut html = String::from(
        "<section><h2>Texts that may have leaked</h2><p>Or that are ordinary language: there is no baseline.</p><ul>",
    );
    for finding in unjudged {
        let _ = write!(html, "<li><b>{}</b>: {}<ul>", escape(&finding.what), escape(&finding.why));
        for place in &finding.places {
            let _ = write!(html, "<li>in <code>{}</code></li>", escape(&format!("{place}")));
        }
        html.push_str("</ul></li>");
    }
    html.push_str("</ul></section>\n");
    html
}

fn examined_html(examined: &Examined) -> String {
    let mut html = String::from("<section><h2>Examined</h2><ul>");
    for line in examined.lines() {
        let _ = write!(html, "<li>{}</li>", escape(&line));
    }
    for what in &examined.not_examined {
        let _ = write!(html, "<li class=\"finding\">not examined: {}</li>", escape(what));
    }
    for note in &examined.notes {
        let _ = write!(html, "<li>note: {}</li>", escape(note));
    }
    html.push_str("</ul></section>");
    html
}

fn section(number: usize, finding: &Finding) -> String {
    let mut html = format!(
        "<section><h2>{number}. {}</h2><p><b>{}</b>: {}</p><ul>",
        escape(&format!("{}", finding.kind)),
        escape(&finding.what),
        escape(&finding.why)
    );
    for place in &finding.places {
        let _ = write!(html, "<li>in <code>{}</code></li>", escape(&format!("{place}")));
    }
    html.push_str("</ul>");
    if finding.derivation.len() > 1 {
        html.push_str("<ol start=\"0\">");
        for step in &finding.derivation {
            let from = if step.from.is_empty() { String::new() } else { format!(", from {:?}", step.from) };
            let _ = write!(html, "<li>{}: {}{from}</li>", escape(&step.value), escape(&step.because));
        }
        html.push_str("</ol>");
        if number <= MAX_DRAWN {
            let _ = write!(html, "<div class=\"graph\">{}</div>", derivation_svg(&finding.derivation));
        }
    }
    html.push_str("</section>\n");
    html
}
