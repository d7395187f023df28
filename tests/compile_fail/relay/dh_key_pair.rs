// SPDX-License-Identifier: MIT OR Apache-2.0
fn server_holds(_: impl noescrow::relay::Public) {}

fn device_has(secret: noescrow::primitives::DhKeyPair) {
    server_holds(secret);
}

fn main() {}
