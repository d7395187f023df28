// SPDX-License-Identifier: MIT OR Apache-2.0
//! Full-text indexes without their texts (FTS4 and FTS5 with `content=''`): they have the words of a text in alphabetical
//! order, so that no search for the text finds it. Other indexes have the text in a table.

/// Bytes of a declaration that are examined.
const DECLARATION: usize = 1024;
const USING: &[u8; 9] = b"using fts";

/// Whether a page has the declaration of such an index.
pub(super) fn is_declared(page: &[u8]) -> bool {
    let is_keyword = |window: &[u8]| window.eq_ignore_ascii_case(USING);
    let places = page.windows(USING.len()).enumerate().filter(|(_, window)| is_keyword(window));
    places.into_iter().any(|(at, _)| {
        let rest = page.get(at..).unwrap_or_default();
        let declaration =
            rest.get(..DECLARATION).unwrap_or(rest).split(|&byte| byte == b')').next().unwrap_or_default();
        let words: Vec<u8> = declaration
            .iter()
            .filter(|byte| !byte.is_ascii_whitespace())
            .map(|byte| if *byte == b'"' { b'\'' } else { byte.to_ascii_lowercase() })
            .collect();
        words.windows(10).any(|window| window == b"content=''")
    })
}

#[cfg(test)]
mod tests {
    use super::is_declared;

    #[test]
    fn indexes_without_their_texts_are_recognised() {
        for (declaration, expected) in [
            ("CREATE VIRTUAL TABLE i USING fts5(body, content='')", true),
            ("create virtual table i using FTS5(body,\n tokenize = \"trigram\",\n content = \"\" , detail=none)", true),
            ("CREATE VIRTUAL TABLE i USING fts4(content=\"\", body)", true),
            ("CREATE VIRTUAL TABLE i USING fts5(body)", false),
            ("CREATE VIRTUAL TABLE i USING fts5(body, content='messages', content_rowid='id')", false),
            ("CREATE TABLE i (body); -- not using fts", false),
            ("SELECT 'using fts5(body)', 'content='''", false),
        ] {
            let page = [&[13, 0, 0, 0, 1], declaration.as_bytes(), &[0; 9]].concat();
            assert_eq!(is_declared(&page), expected, "{declaration}");
        }
        assert!(!is_declared(b"") && !is_declared(b"using fts"));
    }
}
