// SPDX-License-Identifier: MIT OR Apache-2.0
//! What may be referred to, for how long, and what is written whole.

use super::*;

fn known(recent: &Recent<Vec<u8>>, bytes: &[u8]) -> bool {
    reference(bytes).and_then(|reference| recent.get(&reference)).is_some_and(|kept| kept == bytes)
}

#[test]
fn short_and_very_long_associated_data_has_no_reference() {
    for (len, has) in
        [(0, false), (MAX_WHOLE_LEN, false), (MAX_WHOLE_LEN + 1, true), (MAX_LEN, true), (MAX_LEN + 1, false)]
    {
        assert_eq!(reference(&vec![7; len]).is_some(), has, "{len}");
        let mut recent = Recent::default();
        recent.remember(&vec![7; len], <[u8]>::to_vec);
        assert_eq!(known(&recent, &vec![7; len]), has, "{len}");
    }
}

#[test]
fn reference_is_length_and_sha256() {
    let bytes = [7; 600];
    let expected = [&[0, 0, 2, 88][..], &Sha256::digest(bytes)].concat();
    assert_eq!(reference(&bytes).unwrap().as_slice(), expected);
    // Control: another length, or another bit.
    assert_ne!(reference(&[7; 601]), reference(&bytes));
    let mut other = bytes;
    other[599] ^= 1;
    assert_ne!(reference(&other), reference(&bytes));
}

#[test]
fn beginning_of_a_ciphertext_is_its_tag_and_4096_bytes() {
    let tag = [1; TAG_LEN];
    for len in [496, 497, 1000, COVERED_LEN - 1, COVERED_LEN, COVERED_LEN + 1, 70_000] {
        let ciphertext = vec![2; len];
        let mut recent = Recent::default();
        recent.remember_sealed(&tag, &ciphertext, <[u8]>::to_vec);
        let covered = [&tag[..], &ciphertext[..len.min(COVERED_LEN)]].concat();
        assert_eq!(known(&recent, &covered), len > MAX_WHOLE_LEN - TAG_LEN, "{len}");
        // Control: not the ciphertext without its tag, and not one byte less.
        assert!(!known(&recent, &covered[TAG_LEN..]) && !known(&recent, &covered[..covered.len() - 1]));
    }
}

#[test]
fn value_is_known_for_the_reach_and_no_longer() {
    let (bytes, later) = ([7; 600], [8; 600]);
    let mut recent = Recent::default();
    recent.begin_operation();
    recent.remember(&bytes, <[u8]>::to_vec);
    for _ in 0..REACH {
        recent.begin_operation();
        assert!(known(&recent, &bytes));
    }
    // Seen again, it is known for as long again.
    recent.remember(&bytes, <[u8]>::to_vec);
    recent.begin_operation();
    recent.remember(&later, <[u8]>::to_vec);
    for _ in 1..REACH {
        recent.begin_operation();
        assert!(known(&recent, &bytes) && known(&recent, &later));
    }
    recent.begin_operation();
    assert!(!known(&recent, &bytes) && known(&recent, &later));
    recent.begin_operation();
    assert!(!known(&recent, &later) && recent.known.is_empty() && recent.order.is_empty());
}

#[test]
fn anything_but_a_reference_is_unknown() {
    let mut recent = Recent::default();
    recent.remember(&[7; 600], <[u8]>::to_vec);
    let reference = reference(&[7; 600]).unwrap();
    assert!(recent.get(&reference).is_some());
    for other in [&reference[..35], &[&reference[..], &[0]].concat(), &[7; 600], b""] {
        assert!(recent.get(other).is_none());
    }
}
