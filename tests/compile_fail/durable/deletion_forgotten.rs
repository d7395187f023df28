// SPDX-License-Identifier: MIT OR Apache-2.0
#![deny(unused_must_use)]
use noescrow::durable::StepError;
use std::convert::Infallible;

fn clean(device: &mut noescrow::durable::Durable<noescrow::Device>) -> Result<(), StepError<Infallible>> {
    device.delete_expired(noescrow::UnixSeconds(0))?;
    Ok(())
}

fn main() {}
