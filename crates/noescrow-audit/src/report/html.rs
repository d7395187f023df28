// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verdict as one HTML page that loads nothing: no script, no font, no image.
//!
//! What a reader needs first comes first: the answer, what was not examined, how much was. Findings are grouped by
//! their causes; the rest is there for whoever repeats the audit.

use super::causes::{Cause, by_cause};
use super::derivation::derivation_svg;
use super::text::{escape, size};
use crate::examined::Examined;
use crate::finding::Finding;
use crate::manifest::Manifest;
use crate::secrecy_matrix::SecrecyMatrix;
use crate::verdict::{Outcome, Verdict};
use std::fmt::Write as _;

/// Findings whose derivation is drawn. The text lists the derivations of all.
const MAX_DRAWN: usize = 20;
/// Omissions that are shown at the top; the rest is folded.
const MAX_SHOWN: usize = 5;
/// Rows and columns of a matrix: more cannot be told apart on one screen.
const CELLS: (usize, usize) = (48, 48);

const STYLE: &str = "\
    body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:0 auto;padding:1rem;color:#1c1c1c;background:#fff}\
    h1{font-size:1.6rem;line-height:1.25;margin:0}h2{font-size:1.2rem;margin:0 0 .5rem}h3{font-size:1rem;margin:1rem 0 .25rem}\
    p,ul,ol,dl{margin:.5rem 0}li{margin:.2rem 0}section{border-top:1px solid #ccc;margin-top:1.5rem;padding-top:1rem}\
    .answer{border-left:.5rem solid;padding:.75rem 1rem}.holds{border-color:#1d6b34;background:#eaf5ec}\
    .finding{border-color:#a01c28;background:#fbeaea}.open{border-color:#9a6200;background:#fff5e0}\
    .warning{border:1px solid #9a6200;background:#fff5e0;padding:.75rem 1rem;margin-top:1rem}\
    .facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(13rem,1fr));gap:.5rem 1.5rem;margin:1rem 0}\
    .facts div{border-top:2px solid #ddd;padding-top:.25rem}dt{color:#555;font-size:.85rem}dd{margin:0}\
    .pair{display:flex;flex-wrap:wrap;gap:1rem}.pair figure{flex:1 1 20rem;margin:0}figcaption{font-weight:bold}\
    .pair svg{width:100%;height:auto;max-height:75vh}.graph{overflow-x:auto;border:1px solid #ddd;max-height:60vh}\
    code{background:#f4f4f4}li,dd,td,code{overflow-wrap:anywhere}summary{cursor:pointer}\
    table{border-collapse:collapse;width:100%;font-size:.85rem}td,th{text-align:left;vertical-align:top;padding:.2rem .4rem;border-top:1px solid #ddd}\
    @media(max-width:30rem){body{padding:.5rem}td,th{display:block;border:0;padding:.1rem .4rem}tr{border-top:1px solid #ddd;display:block}}";

impl Verdict {
    /// The verdict as a page, with drawings of the derivations and of secrecy matrices, each under its caption, side by
    /// side. Matrices that are too large to be seen at once are [condensed](SecrecyMatrix::condensed).
    #[must_use]
    pub fn to_html(&self, matrices: &[(&str, &SecrecyMatrix)]) -> String {
        let (class, headline, meaning) = answer(self.outcome);
        let in_part = self.examined.holds_in_part();
        let meaning = if self.outcome == Outcome::HoldsInPart { in_part.as_str() } else { meaning };
        let mut page = format!(
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/><title>Audit: {headline}</title>\
             <style>{STYLE}</style></head><body>\n\
             <header class=\"answer {class}\"><h1>{headline}</h1><p>{meaning}</p></header>\n"
        );
        page.push_str(&warning(&self.examined));
        page.push_str(&facts(self));
        page.push_str(&findings(self));
        page.push_str(&unjudged_html(&self.unjudged));
        page.push_str(&matrices_html(matrices));
        page.push_str(&examined_html(&self.examined));
        page.push_str("<section><h2>Not shown by this audit</h2><ul>");
        for line in &self.not_shown {
            let _ = write!(page, "<li>{}</li>", escape(line));
        }
        page.push_str("</ul></section>\n");
        page.push_str(&manifest_html(&self.manifest));
        page.push_str("</body></html>\n");
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

/// The class, the headline and the meaning of an outcome.
const fn answer(outcome: Outcome) -> (&'static str, &'static str, &'static str) {
    match outcome {
        Outcome::Holds => (
            "holds",
            "Holds: no server-held key exists in what was examined.",
            "No key, no message, and nothing from which one follows was found in the evidence.",
        ),
        Outcome::HoldsInPart => (
            "open",
            "Holds for what was searched: some secrets were not searched for.",
            "Some secrets are too short or too plain to be searched for.",
        ),
        Outcome::Finding => (
            "finding",
            "Does not hold.",
            "The evidence has keys or messages of the devices, or something from which they follow.",
        ),
        Outcome::CouldNotExamine => (
            "open",
            "Not shown: not everything could be examined.",
            "Nothing was found, but what was not examined may have something. This is no proof that the server holds no key.",
        ),
    }
}

/// What was not examined: a reader must know it before anything else.
fn warning(examined: &Examined) -> String {
    if examined.not_examined.is_empty() {
        return String::new();
    }
    let count = examined.not_examined.len();
    let mut html = format!("<section class=\"warning\"><h2>Not examined ({count})</h2>");
    let list = |html: &mut String, lines: &[String]| {
        html.push_str("<ul>");
        for what in lines {
            let _ = write!(html, "<li>not examined: {}</li>", escape(what));
        }
        html.push_str("</ul>");
    };
    let (shown, folded) = examined.not_examined.split_at_checked(MAX_SHOWN).unwrap_or((&examined.not_examined, &[]));
    list(&mut html, shown);
    if !folded.is_empty() {
        let _ = write!(html, "<details><summary>{} more</summary>", folded.len());
        list(&mut html, folded);
        html.push_str("</details>");
    }
    html.push_str("</section>\n");
    html
}

/// The figures that a reader needs first.
fn facts(verdict: &Verdict) -> String {
    let Examined { sources, bytes, secrets, secrets_not_searched, .. } = &verdict.examined;
    let Examined { controls_found, controls_planted, public_values_seen, public_values, .. } = &verdict.examined;
    let manifest = &verdict.manifest;
    let mut html = String::from("<dl class=\"facts\">");
    let mut fact = |name: &str, value: String| {
        let _ = write!(html, "<div><dt>{name}</dt><dd>{}</dd></div>", escape(&value));
    };
    fact("Evidence", format!("{} in {sources} sources", size(*bytes)));
    fact("Keys and messages searched for", format!("{secrets}"));
    fact("Not searched for", format!("{secrets_not_searched}"));
    fact("Controls found", format!("{controls_found} of {controls_planted}"));
    fact("Public values of this run in the evidence", format!("{public_values_seen} of {public_values}"));
    fact("Tool", manifest.tool.clone());
    if let Some(time) = &manifest.time {
        fact("Examined at", time.clone());
    }
    if let Some(host) = &manifest.host {
        fact("Examined on", host.clone());
    }
    html.push_str("</dl>\n");
    html
}

fn findings(verdict: &Verdict) -> String {
    let groups = by_cause(&verdict.findings);
    let mut html = String::new();
    if groups.is_empty() {
        return html;
    }
    let _ = write!(html, "<section><h2>Findings by cause ({})</h2><ol>", groups.len());
    for Cause { what, findings } in &groups {
        let follow = match findings.len() {
            1 => String::new(),
            count => format!(": {count} findings"),
        };
        let _ = write!(html, "<li><b>{}</b>{follow}</li>", escape(&what.join("; ")));
    }
    html.push_str("</ol></section>\n");
    let mut number = 0usize;
    for Cause { what, findings } in &groups {
        for (at, finding) in findings.iter().enumerate() {
            number = number.saturating_add(1);
            // What follows from a cause is folded below the first finding.
            if at == 1 {
                let rest = findings.len().saturating_sub(1);
                let _ = writeln!(html, "<details><summary>{rest} more from {}</summary>", escape(&what.join("; ")));
            }
            html.push_str(&section(number, finding));
        }
        if findings.len() > 1 {
            html.push_str("</details>\n");
        }
    }
    if verdict.findings_not_listed > 0 {
        let _ = writeln!(html, "<p>And {} more.</p>", verdict.findings_not_listed);
    }
    html
}

fn matrices_html(matrices: &[(&str, &SecrecyMatrix)]) -> String {
    if matrices.is_empty() {
        return String::new();
    }
    let mut html = String::from(
        "<section><h2>Secrecy matrix</h2><p>What a thief of a device's memory reads, who also has everything that the server \
         has. Each row is a message, each column a theft.</p><div class=\"pair\">",
    );
    for (caption, matrix) in matrices {
        let _ = write!(
            html,
            "<figure><figcaption>{}: {} messages × {} thefts</figcaption>{}</figure>",
            escape(caption),
            matrix.messages.len(),
            matrix.thefts.len(),
            matrix.condensed(CELLS.0, CELLS.1).to_svg()
        );
    }
    html.push_str("</div></section>\n");
    html
}

fn examined_html(examined: &Examined) -> String {
    let mut html = String::from("<section><h2>Examined</h2><ul>");
    for line in examined.lines() {
        let _ = write!(html, "<li>{}</li>", escape(&line));
    }
    for note in &examined.notes {
        let _ = write!(html, "<li>note: {}</li>", escape(note));
    }
    html.push_str("</ul></section>\n");
    html
}

/// What somebody needs who repeats the audit, or who checks that it examined what it should have.
fn manifest_html(manifest: &Manifest) -> String {
    let mut html =
        String::from("<section><h2>Manifest</h2><table><tr><th>what</th><th>bytes</th><th>SHA-256</th></tr>");
    for piece in manifest.traces.iter().chain(&manifest.evidence) {
        let digest = piece.sha256.as_deref().unwrap_or("not computed: it changes while it is read");
        let _ = write!(
            html,
            "<tr><td>{}</td><td>{}</td><td><code>{}</code></td></tr>",
            escape(&piece.name),
            piece.bytes,
            escape(digest)
        );
    }
    html.push_str("</table>");
    if manifest.evidence_not_listed > 0 {
        let _ = write!(html, "<p>And {} more pieces of evidence.</p>", manifest.evidence_not_listed);
    }
    if !manifest.options.is_empty() {
        let _ = write!(html, "<p>Options: <code>{}</code></p>", escape(&manifest.options.join(" ")));
    }
    html.push_str("</section>\n");
    html
}

fn section(number: usize, finding: &Finding) -> String {
    let mut html = format!(
        "<section><h3>{number}. {}</h3><p><b>{}</b>: {}</p><ul>",
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
