// SPDX-License-Identifier: MIT OR Apache-2.0
//! Short texts: a PIN, a card number, "ha ha ha". They have no fragment that can be searched for, and are searched for
//! as whole tokens if the auditor asks for it.

use super::examined::Examined;
use super::ledger::Ledger;
use super::texts::Texts;
use super::value::Id;
use leakscan::{Evidence, Hit, Index, MAX_TOKEN, MIN_TOKEN};
use std::collections::BTreeSet;

/// The short texts of a run that are searched for.
#[derive(Debug, Default)]
pub(super) struct ShortTexts(Vec<(Id, Vec<u8>)>);

impl ShortTexts {
    /// Adds a secret that is too short or too plain to be searched for in fragments. Returns false if it is not searched
    /// for: it has another length than short texts or characters that no text has, or is public, so that it may be
    /// anywhere.
    pub(super) fn add(&mut self, ledger: &Ledger, id: Id, bytes: &[u8]) -> bool {
        let is_searched = is_short_text(bytes) && ledger.value(id).is_some_and(|value| !value.is_public);
        if is_searched {
            self.0.push((id, bytes.to_vec()));
        }
        is_searched
    }

    /// The texts as the search takes them.
    pub(super) fn tokens(&self) -> Vec<(Id, Vec<u8>)> {
        self.0.clone()
    }

    /// Drops the hits of texts that the baseline has too: whether these have leaked is not known, so that they count as
    /// not searched for.
    pub(super) fn judge(&self, hits: Vec<Hit>, texts: &Texts<'_>, examined: &mut Examined) -> Vec<Hit> {
        let all = hits.len();
        let (known, left): (Vec<Hit>, Vec<Hit>) = hits.into_iter().partition(|hit| texts.baseline_has_token(hit.id));
        let ordinary = u64::try_from(all.saturating_sub(left.len())).unwrap_or(u64::MAX);
        examined.ordinary_hits = examined.ordinary_hits.saturating_add(ordinary);
        let known: BTreeSet<Id> = known.iter().map(|hit| hit.id).collect();
        examined.secrets = examined.secrets.saturating_sub(known.len());
        examined.short_texts = examined.short_texts.saturating_sub(known.len());
        examined.secrets_not_searched = examined.secrets_not_searched.saturating_add(known.len());
        left
    }

    /// A control: all texts, planted on lines of their own, must be found.
    pub(super) fn control(&self, index: &Index, examined: &mut Examined) {
        let planted: Vec<u8> = self.0.iter().flat_map(|(_, text)| [b"\n", &**text].concat()).collect();
        let evidence = Evidence::new().bytes("control", &planted).with_tokens(self.tokens());
        let (found, _) = evidence.search_ranked(index, &|_, _| 0, |_, _| {});
        let found: BTreeSet<Id> = found.tokens.iter().map(|hit| hit.id).collect();
        if self.0.iter().any(|(id, _)| !found.contains(id)) {
            examined.not_examined.push("the control of short texts failed: one that was planted was not found".into());
        }
    }
}

/// Whether bytes are a text that is searched for as a token.
fn is_short_text(bytes: &[u8]) -> bool {
    let is_readable = |text: &str| {
        text.chars().all(|one| !one.is_control() || one.is_ascii_whitespace())
            && text.chars().any(|one| !one.is_whitespace())
    };
    (MIN_TOKEN..=MAX_TOKEN).contains(&bytes.len()) && core::str::from_utf8(bytes).is_ok_and(is_readable)
}

#[cfg(test)]
mod tests {
    use super::is_short_text;

    #[test]
    fn short_texts_are_readable_and_of_four_bytes_or_more() {
        for text in [&b"4711"[..], b"PIN 4711", b"ha ha ha", b"ha\nha", "grüß".as_bytes(), &[b'a'; 256]] {
            assert!(is_short_text(text), "{text:?}");
        }
        for other in [&b"471"[..], b"    ", b"\x01\x02\x03\x04", b"abc\xFF", &[b'a'; 257]] {
            assert!(!is_short_text(other), "{other:?}");
        }
    }
}
