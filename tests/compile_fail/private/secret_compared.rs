// SPDX-License-Identifier: MIT OR Apache-2.0
fn main() {
    let secret = || noescrow::Secret::new([7; 32]);
    let _ = secret() == secret();
}
