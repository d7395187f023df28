// SPDX-License-Identifier: MIT OR Apache-2.0
fn server_holds(_: impl noescrow::relay::Public) {}

fn correspondent_has(secret: noescrow::AccessKey) {
    server_holds(secret);
}

fn main() {}
