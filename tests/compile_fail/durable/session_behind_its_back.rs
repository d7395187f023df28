// SPDX-License-Identifier: MIT OR Apache-2.0
fn send(session: &mut noescrow::durable::Durable<noescrow::Session>, message: &[u8]) {
    let _ = session.get().decrypt(message, b"");
}

fn main() {}
