// SPDX-License-Identifier: MIT OR Apache-2.0
//! Base85, base45 and uuencode.

use super::marks::assert_found;
use super::{OTHER, index_of, random};
use leakscan::encoders::encode;
use leakscan::{Encoding, Encodings, Evidence, FRAGMENT};

const KEYS: u64 = 100;
const BASE85: [&str; 3] = [
    "!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstu",
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~",
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#",
];

/// Bytes in groups of four, the last of fewer.
fn base85(bytes: &[u8], alphabet: &str) -> String {
    let group = |group: &[u8]| {
        let padded = [group, &[0; 4][group.len()..]].concat();
        let number = u32::from_be_bytes(padded.try_into().unwrap());
        let digit = |power| alphabet.as_bytes()[(number / 85u32.pow(power) % 85) as usize];
        (0..5).rev().map(digit).map(char::from).take(group.len() + 1).collect::<String>()
    };
    bytes.chunks(4).map(group).collect()
}

#[test]
fn base85_is_found_between_all_delimiters_in_every_alphabet() {
    let around = [
        ("", ""),
        (" ", "\n"),
        ("key=", ""),
        ("\"key\":\"", "\","),
        ("[", "]"),
        ("key: ", "\r\nnext: x"),
        ("abc", "xyz"),
    ];
    for alphabet in BASE85 {
        for key in 0..KEYS {
            let secret = random(key, 32);
            let (before, after) = around[key as usize % around.len()];
            let evidence = [before, &base85(&secret, alphabet), after].concat();
            assert_found(evidence.as_bytes(), &index_of(&[&secret]), Encoding::Base85, 32);
        }
    }
}

#[test]
fn fragments_in_base85_are_found_at_every_alignment() {
    let secret = random(3, 40);
    let index = index_of(&[&secret]);
    for alphabet in BASE85 {
        for from in 0..=secret.len() - FRAGMENT {
            for before in 0..8 {
                // Groups are as they are in a longer value.
                let inner = [&random(9, before)[..], &secret[from..from + FRAGMENT], &random(10, 7)].concat();
                let text =
                    [&[OTHER], &alphabet.as_bytes()[40..40 + before], base85(&inner, alphabet).as_bytes()].concat();
                assert_found(&text, &index, Encoding::Base85, FRAGMENT);
            }
        }
    }
}

/// Python's `a85encode` (also with `adobe=True, wrapcol=20`), `b85encode`, and `b2a_uu`; Z85 from `b85encode`.
#[test]
fn known_answers_are_found() {
    let known = [
        (r#"JV&N-KnbA=M2I4MNK0']OckomQ'Rc(R@9V8SXuIH"#, Encoding::Base85),
        (
            r#"<~JV&N-KnbA=M2I4MNK0
']OckomQ'Rc(R@9V8SXu
IH~>"#,
            Encoding::Base85,
        ),
        (r#"fr5jCg@%WSiHeJijgF6yk&=^?m6n&7nVOrNot~ed"#, Encoding::Base85),
        (r#"FR5JcG[+wsIhEjIJGf6YK=>])M6N=7NvoRnOT#ED"#, Encoding::Base85),
        (r#"@@8*#A(6&AXB)BHN,C8Z/D)&2DY25EI>8F9J;G)V>GZ  "#, Encoding::Uuencode),
        (r#"@@8*#A(6&AXB)BHN,C8Z/D)&2DY25EI>8F9J;G)V>GZ``"#, Encoding::Uuencode),
    ];
    let secret: Vec<u8> = (0x81..0xA1).collect();
    for (text, encoding) in known {
        assert_found(format!("key:\n{text}\n").as_bytes(), &index_of(&[&secret]), encoding, 32);
    }
}

#[test]
fn base45_is_found_at_every_alignment() {
    for key in 0..KEYS {
        let secret = random(key, 32);
        let index = index_of(&[&secret]);
        let text = encode(&secret, Encoding::Base45);
        for before in [&b""[..], b"HC1:", b"A", b"key=\"", b"k: "] {
            let evidence = [before, &text[1..text.len() - 1], b"\"\n"].concat();
            assert_found(&evidence, &index, Encoding::Base45, 32);
        }
        let from = key as usize % 17;
        let inner = [&random(key + 500, from)[..], &secret[from..from + FRAGMENT], &random(key + 600, 5)].concat();
        assert_found(&encode(&inner, Encoding::Base45), &index, Encoding::Base45, FRAGMENT);
    }
}

#[test]
fn values_in_one_and_several_lines_of_uuencode_are_found() {
    for key in 0..KEYS {
        let secret = random(key, 32);
        let index = index_of(&[&secret]);
        assert_found(&encode(&secret, Encoding::Uuencode), &index, Encoding::Uuencode, 32);
        let file = [&random(key + 500, key as usize)[..], &secret, &random(key + 600, 50)].concat();
        for (line_break, zero) in [("\n", "`"), ("\r\n", " ")] {
            let lines = file.chunks(45).map(|line| encode(line, Encoding::Uuencode));
            let lines = lines.map(|line| String::from_utf8(line).unwrap().trim_matches('\n').replace(' ', zero));
            let body = lines.collect::<Vec<_>>().join(line_break);
            let text = format!("begin 644 key.bin{line_break}{body}{line_break}`{line_break}end{line_break}");
            assert_found(text.as_bytes(), &index, Encoding::Uuencode, 32);
        }
    }
}

#[test]
fn programs_logs_and_base64_are_decoded_little() {
    let text = "fn main() { let value = self.fields.iter().map(|field| field.name.as_str()).collect::<Vec<_>>(); }\n\
        {\"id\":1234567,\"ts\":\"2026-11-29T10:00:00.123456Z\",\"user\":{\"name\":\"alice\",\"emailAddress\":\"alice@example.com\"}}\n\
        2026-11-29 10:00:00,123 INFO GET https://example.com/api/v1/users/12345/messages?page=3&size=20 200 1312 13ms\n\
        d41d8cd98f00b204e9800998ecf8427ed41d8cd98f00b204e9800998ecf8427e\n"
        .repeat(50);
    let text = [text, data_encoding::BASE64.encode(&random(2, 20_000))].concat();
    let index = index_of(&[&random(1, 32)]);
    let decoded = |encodings, text: &[u8]| {
        Evidence::new()
            .with_encodings(encodings)
            .bytes("bytes", text)
            .search(&index, |_, _| {})
            .unwrap()
            .statistics
            .decoded
    };
    let encodings = [Encoding::Base85, Encoding::Base45, Encoding::Uuencode];
    let without = encodings.into_iter().fold(Encodings::ALL, Encodings::without);
    let more = decoded(Encodings::ALL, text.as_bytes()) - decoded(without, text.as_bytes());
    assert!(more < text.len() as u64, "{more} of {}", text.len());
    // The control: five times as many bytes as its own.
    let base85 = base85(&random(1, 32_000), BASE85[1]);
    let more = decoded(Encodings::ALL, base85.as_bytes()) - decoded(without, base85.as_bytes());
    assert!(more > 32_000 * 4);
}
