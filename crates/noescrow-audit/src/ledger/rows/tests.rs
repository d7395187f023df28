// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which rows a thief takes.

use super::*;

const CORE: &[u8] = b"\0";

fn row<'a>(owner: &'a [u8], name: &'a [u8], revision: &'a [u8]) -> Row<'a> {
    Row { owner, name, revision, is_core: name == CORE }
}

#[test]
fn core_comes_with_the_latest_row_of_each_name() {
    let mut stores = RowStores::default();
    assert_eq!(stores.put(0, &row(b"A", b"1", b"r1"), 11, b""), None);
    assert_eq!(stores.put(0, &row(b"A", b"2", b"r1"), 12, b""), None);
    assert_eq!(stores.put(0, &row(b"A", CORE, b"r1"), 13, &[7; 40]), Some(vec![11, 12, 13]));
    stores.put(0, &row(b"A", b"1", b"r2"), 14, b"");
    assert_eq!(stores.put(0, &row(b"A", CORE, b"r2"), 15, &[8; 40]), Some(vec![14, 12, 15]));
    // Another owner's rows and another device's are apart.
    assert_eq!(stores.put(0, &row(b"B", CORE, b"r1"), 16, &[7; 40]), Some(vec![16]));
    assert_eq!(stores.put(1, &row(b"A", CORE, b"r1"), 17, &[7; 40]), Some(vec![17]));
}

#[test]
fn deleted_row_is_known_from_the_digest_in_the_core() {
    let mut stores = RowStores::default();
    let put = |stores: &mut RowStores, name, revision, content| stores.put(0, &row(b"A", name, revision), content, b"");
    put(&mut stores, b"1", b"r1", 11);
    put(&mut stores, b"2", b"r1", 12);
    put(&mut stores, b"3", b"r2", 13);
    stores.hash(0, &[7; 32], b"1r13r2");
    // Control: a hash that is not the core's, or another device's, deletes nothing.
    assert_eq!(stores.put(0, &row(b"A", CORE, b"r2"), 14, &[6; 40]), Some(vec![11, 12, 13, 14]));
    stores.hash(1, &[7; 32], b"");
    assert_eq!(stores.put(0, &row(b"A", CORE, b"r2"), 14, &[7; 40]), Some(vec![11, 13, 14]));
    // An old revision of a row that is kept in a newer one is not kept.
    put(&mut stores, b"1", b"r1", 15);
    stores.hash(0, &[8; 32], b"1r33r2");
    assert_eq!(stores.put(0, &row(b"A", CORE, b"r3"), 16, &[8; 40]), Some(vec![13, 16]));
    stores.hash(0, &[9; 32], b"");
    assert_eq!(stores.put(0, &row(b"A", CORE, b"r4"), 17, &[9; 40]), Some(vec![17]));
}
