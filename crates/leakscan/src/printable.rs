// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`printable`]: names from the evidence, as text that cannot act on the terminal or page that shows it.

use core::fmt::{self, Write};

/// Text without characters that act on a terminal, or change the order or the lines in which text is shown: each is
/// written as an escape (`\u{1b}`). Names of files and other texts from evidence are hostile: one with control
/// characters could clear the screen and print another verdict.
///
/// A backslash remains a backslash, so that text that was escaped before stays as it is, and paths stay readable.
#[must_use]
pub fn printable(text: &str) -> impl fmt::Display + '_ {
    Printable(text)
}

struct Printable<'a>(&'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| if acts(c) { write!(f, "{}", c.escape_unicode()) } else { f.write_char(c) })
    }
}

/// Whether a character does something other than showing itself: the control characters (C0, DEL, C1), and Unicode's
/// format characters and separators of lines and paragraphs: directions, joiners, invisible operators, tags.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{AD}'
                | '\u{600}'..='\u{605}'
                | '\u{61C}'
                | '\u{6DD}'
                | '\u{70F}'
                | '\u{180E}'
                | '\u{200B}'..='\u{200F}'
                | '\u{2028}'..='\u{202E}'
                | '\u{2060}'..='\u{206F}'
                | '\u{FEFF}'
                | '\u{FFF9}'..='\u{FFFB}'
                | '\u{E0000}'..='\u{E0FFF}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_act_are_escaped_and_others_are_not() {
        let hostile = "log\n\x1b[2J\u{9b}1mHOLDS\u{202e}\u{2066}\u{200f}\r\u{7f}\u{2028}\u{feff}\u{e0041}\0";
        let shown = printable(hostile).to_string();
        assert_eq!(
            shown,
            "log\\u{a}\\u{1b}[2J\\u{9b}1mHOLDS\\u{202e}\\u{2066}\\u{200f}\\u{d}\\u{7f}\\u{2028}\\u{feff}\\u{e0041}\\u{0}"
        );
        assert_eq!(printable(&shown).to_string(), shown);
        for name in ["C:\\dir\\файл", "日本語.log", "a b\"'<>", "é\u{301} 👋🏽"] {
            assert_eq!(printable(name).to_string(), name);
        }
    }
}
