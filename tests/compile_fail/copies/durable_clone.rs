// SPDX-License-Identifier: MIT OR Apache-2.0
fn cloned<T: Clone>() {}

fn main() {
    cloned::<noescrow::durable::Durable<noescrow::Session>>();
}
