// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verdict as one HTML page that needs nothing else: no script, no font, no picture from elsewhere.

use super::compromise::SecrecyMatrix;
use super::picture::{derivation_svg, escape};
use super::verdict::{Finding, Outcome, Verdict};
use std::fmt::Write as _;

/// Findings whose derivation is drawn; the others are told in words.
const MAX_DRAWN: usize = 20;

const STYLE: &str = "body{font:15px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222}\
    h1{font-size:1.5em}.holds{color:#1d6b34}.finding{color:#a01c28}.graph{overflow-x:auto;border:1px solid #ddd}\
    code{background:#f4f4f4}li{margin:.2em 0}section{border-top:1px solid #ddd;margin-top:1.5em}";

impl Verdict {
    /// The verdict as a page, with the derivation of each finding drawn, and the secrecy matrix of a run if one is given.
    #[must_use]
    pub fn to_html(&self, matrix: Option<&SecrecyMatrix>) -> String {
        let (class, headline) = match self.outcome {
            Outcome::Holds => ("holds", "Holds: no server-held key exists in what was examined."),
            Outcome::Finding => ("finding", "Does not hold."),
            Outcome::CouldNotExamine => ("finding", "Not shown: not all could be examined."),
        };
        let mut page = format!(
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Audit</title><style>{STYLE}</style>\
             </head><body>\n<h1 class=\"{class}\">{headline}</h1>\n"
        );
        for (number, finding) in (1usize..).zip(&self.findings) {
            page.push_str(&section(number, finding));
        }
        if self.findings_not_told > 0 {
            let _ = writeln!(page, "<p>And {} more.</p>", self.findings_not_told);
        }
        if let Some(matrix) = matrix {
            let _ = writeln!(
                page,
                "<section><h2>Secrecy matrix</h2><p>Which message falls to who has the server and steals a device's \
                 memory at a time.</p><div class=\"graph\">{}</div></section>",
                matrix.to_svg()
            );
        }
        page.push_str(&self.examined_html());
        page.push_str("<section><h2>Not shown by this</h2><ul>");
        for line in &self.not_shown {
            let _ = write!(page, "<li>{}</li>", escape(line));
        }
        page.push_str("</ul></section>\n</body></html>\n");
        page
    }

    fn examined_html(&self) -> String {
        let examined = &self.examined;
        let mut html = String::from("<section><h2>Examined</h2><ul>");
        let lines = [
            format!("{} bytes of evidence from {} sources", examined.bytes, examined.sources),
            format!("{} bytes more that were decoded from them", examined.bytes_decoded),
            format!("{} operations, {} values, {} clauses", examined.operations, examined.values, examined.clauses),
            format!("{} secrets and plaintexts searched for, in {}", examined.secrets, examined.encodings.join(", ")),
            format!("{} secrets too short or too plain to be searched for", examined.secrets_not_searched),
            format!(
                "{} of {} public values of the run are in the evidence",
                examined.public_values_seen, examined.public_values
            ),
            format!(
                "control: {} of {} planted halves of secrets found by the same search",
                examined.controls_found, examined.controls_planted
            ),
        ];
        for line in &lines {
            let _ = write!(html, "<li>{}</li>", escape(line));
        }
        for what in &examined.not_examined {
            let _ = write!(html, "<li class=\"finding\">not examined: {}</li>", escape(what));
        }
        html.push_str("</ul></section>");
        html
    }
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
