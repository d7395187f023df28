// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which bytes of its values a ledger keeps.

use super::*;

#[test]
fn secrets_are_kept_whole_and_other_values_in_part() {
    let mut ledger = Ledger::default();
    let long: Vec<u8> = (0..10_000u32).flat_map(u32::to_be_bytes).collect();
    let id = ledger.intern(&long, Class::Neutral, "hashed");
    assert_eq!(ledger.beginning(id), long.get(..MAX_NON_SECRET_KEPT));
    assert_eq!(ledger.bytes(id), None);
    assert_eq!(ledger.intern(&long, Class::Public, "label"), id);
    assert_eq!(ledger.bytes(id), None);
    assert_eq!(ledger.intern(&long, Class::Secret, "KDF input"), id);
    assert_eq!(ledger.bytes(id), Some(&*long));
    // A later occurrence takes no more room.
    let room = ledger.arena.len();
    ledger.intern(&long, Class::Public, "label");
    assert_eq!((ledger.arena.len(), ledger.find(&long)), (room, Some(id)));

    let longest = std::vec![7; MAX_KEPT + 1];
    let id = ledger.intern(&longest, Class::Secret, "KDF input");
    assert_eq!((ledger.beginning(id), ledger.bytes(id)), (Some(&[][..]), None));
}
