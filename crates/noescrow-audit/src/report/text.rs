// SPDX-License-Identifier: MIT OR Apache-2.0
//! Text within XML.

/// Escapes text for XML.
pub(super) fn escape(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, c| {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
        out
    })
}

/// The first `len` characters, with an ellipsis if there are more.
pub(super) fn short(text: &str, len: usize) -> String {
    match text.char_indices().nth(len) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.into(),
    }
}

/// A number of bytes for people, in units of 1000 with one decimal.
pub(super) fn size(bytes: u64) -> String {
    let units = ["kB", "MB", "GB", "TB"];
    let (mut tenths, mut unit) = (u128::from(bytes).saturating_mul(10), "bytes");
    for next in units {
        if tenths < 10_000 {
            break;
        }
        (tenths, unit) = (tenths.div_ceil(1000), next);
    }
    match unit {
        "bytes" => format!("{bytes} bytes"),
        unit => format!("{}.{} {unit}", tenths / 10, tenths % 10),
    }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_have_one_decimal_and_are_not_rounded_down() {
        let cases = [
            (0, "0 bytes"),
            (999, "999 bytes"),
            (1000, "1.0 kB"),
            (1001, "1.1 kB"),
            (61_440_000, "61.5 MB"),
            (u64::MAX, "18446744.1 TB"),
        ];
        for (bytes, shown) in cases {
            assert_eq!(size(bytes), shown);
        }
    }
}
