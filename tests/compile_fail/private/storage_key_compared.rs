// SPDX-License-Identifier: MIT OR Apache-2.0
fn main() {
    let key = || noescrow::StorageKey::new([7; 32]);
    let _ = key() == key();
}
