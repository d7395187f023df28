// SPDX-License-Identifier: MIT OR Apache-2.0
//! Controls for the claims that no primitive can break: devices with a wrong clock, and devices that forget what they
//! accepted.

use super::*;
use noescrow::primitives::RustCrypto;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

fn sim(rng: &mut ChaCha20Rng) -> HandshakeSim<RustCrypto> {
    HandshakeSim::new(RustCrypto, RustCrypto, RustCrypto, rng)
}

/// The outcome of the last event; all earlier ones must be as expected.
fn last(sim: &mut HandshakeSim<RustCrypto>, events: &[Event], rng: &mut ChaCha20Rng) -> Result<Outcome, Claim> {
    let outcome = events.iter().map(|event| sim.apply(*event, rng)).collect::<Result<Vec<_>, _>>()?;
    let (last, before) = outcome.split_last().unwrap();
    assert!(before.iter().all(|outcome| outcome.expected == outcome.actual));
    Ok(*last)
}

const fn fetch_and_initiate(too_late: bool) -> [Event; 2] {
    let fetch = Event::Fetch { by: Side::Alice, served: ServedBundle::Honest, point: 0 };
    [fetch, Event::Initiate { from: Side::Alice, too_late }]
}

const PUBLISH: Event = Event::Publish { side: Side::Bob, count: 0 };
const ARRIVE: Event = Event::Arrive { to: Side::Bob, message: 0, low_order: None };

#[test]
fn control_an_overlong_prekey_breaks_initiates_in_time() {
    let play = |made_at: UnixSeconds| {
        let rng = &mut ChaCha20Rng::seed_from_u64(3);
        let mut sim = sim(rng);
        // Bob's signed prekey expires later than the model assumes, which for Alice looks like a clock that stands
        // still.
        sim.devices.bob = Owner::generate_with(RustCrypto, made_at, rng);
        last(&mut sim, &[&[PUBLISH][..], &fetch_and_initiate(true)].concat(), rng).unwrap()
    };
    let expected = Outcome { expected: Answer::Refuses, actual: Answer::Refuses, claim: Claim::InitiatesInTime };
    assert_eq!(play(NOW), expected);
    assert_eq!(play(UnixSeconds(NOW.0 + 1)), Outcome { actual: Answer::Accepts, ..expected });
}

#[test]
fn control_a_forgetful_device_breaks_accepted_once() {
    let play = |forgets: bool, count: u8| {
        let rng = &mut ChaCha20Rng::seed_from_u64(4);
        let mut sim = sim(rng);
        let publish = Event::Publish { side: Side::Bob, count };
        last(&mut sim, &[&[publish][..], &fetch_and_initiate(false)].concat(), rng).unwrap();
        let mut before = sim.device(Side::Bob);
        last(&mut sim, &[ARRIVE], rng).unwrap();
        if forgets {
            let subject = sim.devices.bob.subject();
            sim.devices.bob = Owner::restore_in_place(RustCrypto, &mut before, &storage_key(), &subject, 0).unwrap();
        }
        last(&mut sim, &[ARRIVE], rng).unwrap()
    };
    // With a one-time prekey, and with the last-resort one.
    for count in [1, 0] {
        let expected = Outcome { expected: Answer::Refuses, actual: Answer::Refuses, claim: Claim::AcceptedOnce };
        assert_eq!(play(false, count), expected);
        assert_eq!(play(true, count), Outcome { actual: Answer::Accepts, ..expected });
    }
}
