// SPDX-License-Identifier: MIT OR Apache-2.0
//! Control: public halves are accessible.
fn of(device: &noescrow::Device, session: &noescrow::Session) -> [u8; 32] {
    let _ = (device.identity(), device.signed_prekey().kem_key(), session.remote_identity(), session.id());
    *device.identity().dh_key().as_bytes()
}

fn main() {
    let _ = of;
}
