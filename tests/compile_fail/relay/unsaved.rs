// SPDX-License-Identifier: MIT OR Apache-2.0
fn server_holds(_: impl noescrow::relay::Public) {}

fn device_has(secret: noescrow::durable::Unsaved<'_, noescrow::relay::Envelope>) {
    server_holds(secret);
}

fn main() {}
