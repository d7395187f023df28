// SPDX-License-Identifier: MIT OR Apache-2.0
fn show(session: &mut noescrow::durable::Durable<noescrow::Session>, message: &[u8]) {
    let opened: noescrow::Opened<Vec<u8>> = session.decrypt(message).unwrap();
}

fn main() {}
