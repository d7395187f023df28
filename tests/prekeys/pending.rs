// SPDX-License-Identifier: MIT OR Apache-2.0
//! Senders who are refused, bundles that are used twice, and servers that lie about a device's prekeys.

use super::{DAY, Device, HOUR, NOW, accepted, after, hello, ids, pair, restored, state, uploaded};
use noescrow::device::policy::{AT_SERVER, LAST_RESORT_KEPT, MADE_A_DAY};
use noescrow::error::AcceptError;
use noescrow::hazmat::AcceptFromAnyone;
use noescrow::primitives::RustCrypto;
use noescrow::{Bundle, Capacity, HeapCapacity, InitiateOptions, Prekey, Session};
use rand_chacha::ChaCha20Rng;

/// A session and its first three messages, which all repeat the handshake.
fn three(
    alice: &Device,
    bob: &Device,
    signed: &Prekey,
    one_time: Option<&Prekey>,
    rng: &mut ChaCha20Rng,
) -> (Session, [Vec<u8>; 3]) {
    let bundle = Bundle::new(*bob.identity(), signed.clone(), one_time.cloned()).unwrap();
    let options = InitiateOptions::expecting(bob.identity(), NOW);
    let (mut session, hello) = alice.initiate(bundle, b"hi", options, rng).unwrap();
    let [second, third] = [(); 2].map(|()| session.encrypt(b"hi", rng).unwrap());
    (session, [hello, second, third])
}

/// HS-R9: a blocked sender writes again, and the device is restored and rotates in between.
#[test]
fn a_refused_sender_stays_refused_and_costs_one_prekey() {
    for with_one_time in [true, false] {
        let (alice, mut bob, mut rng) = pair::<HeapCapacity>();
        let published = uploaded(&mut bob, NOW, &[], &mut rng);
        let one_time = published.one_time_prekeys.first().filter(|_| with_one_time);
        let (_, messages) = three(&alice, &bob, &published.signed_prekey, one_time, &mut rng);
        let before = bob.one_time_prekeys_left();
        bob.open(&messages[1]).unwrap().refuse();
        assert_eq!(bob.one_time_prekeys_left(), before - usize::from(with_one_time));
        let mut bob: Device = restored(&bob, &state(&bob));
        let gone = if with_one_time { AcceptError::PrekeyGone } else { AcceptError::Repeated };
        let refused = |bob: &mut Device, error| {
            let before = state(bob);
            assert!(messages.iter().all(|message| bob.open(message).is_err_and(|found| found == error)));
            assert!(state(bob) == before);
        };
        refused(&mut bob, gone);
        bob.rotate(after(DAY), &mut rng);
        refused(&mut bob, gone);
        for day in 2..=8 {
            bob.delete_expired(after(DAY * day));
        }
        refused(&mut bob, AcceptError::PrekeyGone);
        // Control: a sender whose message was dropped undecided is accepted with any of the three, and with it all.
        let other = published.one_time_prekeys.last().filter(|_| with_one_time);
        let signed = if with_one_time { published.signed_prekey } else { bob.signed_prekey() };
        let (_, messages) = three(&alice, &bob, &signed, other, &mut rng);
        drop(bob.open(&messages[0]).unwrap());
        let (mut session, _) = bob.accept(&messages[2]).unwrap();
        assert!([0, 1].iter().all(|at| session.decrypt(&messages[*at]).is_ok()));
    }
}

/// A bundle is used once in memory. Its bytes can be parsed again.
#[test]
fn a_bundle_used_twice_makes_one_session_at_most() {
    let (alice, mut bob, mut rng) = pair::<HeapCapacity>();
    let published = uploaded(&mut bob, NOW, &[], &mut rng);
    let signed = &published.signed_prekey;
    let one_time = published.one_time_prekeys.first();
    let [first, second] = [(); 2].map(|()| hello(&alice, &bob, signed, one_time, &mut rng));
    assert_eq!(accepted(&mut bob, &first), Ok(()));
    assert_eq!(accepted(&mut bob, &second), Err(AcceptError::PrekeyGone));
    // Control: without a one-time prekey they are two sessions, each once.
    let [(alices, first), (_, second)] = [(); 2].map(|()| three(&alice, &bob, signed, None, &mut rng));
    let [(one, _), (two, _)] = [&first, &second].map(|messages| bob.accept(&messages[0]).unwrap());
    assert_eq!((one.id(), one.id() == two.id()), (alices.id(), false));
    assert_eq!(accepted(&mut bob, &first[0]), Err(AcceptError::Repeated));
}

/// A copy in which a key has another role is another prekey.
#[test]
fn each_way_in_which_a_prekey_goes_has_one_error() {
    let (alice, mut bob, mut rng) = pair::<HeapCapacity>();
    let published = uploaded(&mut bob, NOW, &[], &mut rng);
    let signed = &published.signed_prekey;
    let messages = [None, published.one_time_prekeys.first(), published.one_time_prekeys.last()]
        .map(|one_time| hello(&alice, &bob, signed, one_time, &mut rng));
    // A one-time prekey that the owner deleted.
    assert!(bob.delete_one_time_prekey(published.one_time_prekeys[0].id()));
    assert_eq!(accepted(&mut bob, &messages[1]), Err(AcceptError::PrekeyGone));
    // The last-resort key of a prekey that was replaced a week ago, whose other half still serves.
    bob.rotate(NOW, &mut rng);
    for day in 0..7 {
        bob.delete_expired(after(DAY * day));
        assert_eq!(accepted(&mut restored::<HeapCapacity>(&bob, &state(&bob)), &messages[0]), Ok(()), "control");
    }
    bob.delete_expired(after(LAST_RESORT_KEPT));
    assert_eq!(accepted(&mut bob, &messages[0]), Err(AcceptError::PrekeyGone));
    assert_eq!(accepted(&mut restored::<HeapCapacity>(&bob, &state(&bob)), &messages[2]), Ok(()), "control");
    // The whole of it.
    assert!(bob.delete_previous_signed_prekeys());
    assert_eq!(accepted(&mut bob, &messages[2]), Err(AcceptError::PrekeyGone));
}

/// What a server lists instead of the truth, given the ids that it has.
type Lie = fn(&[u32]) -> Vec<u32>;

#[test]
fn no_list_of_the_server_ends_refills() {
    let lies: [(&str, Lie); 4] = [
        ("strangers", |_| (1..=100).collect()),
        ("one of them, often", |ids| vec![ids.first().copied().unwrap_or(1); 1_000]),
        ("none and zero", |_| vec![0; 100]),
        ("all", <[u32]>::to_vec),
    ];
    for (name, lie) in lies {
        let (_, mut bob, mut rng) = pair::<HeapCapacity>();
        let mut known = ids(&uploaded(&mut bob, NOW, &[], &mut rng).one_time_prekeys);
        for hour in 1..=24 * 3 {
            known.extend(ids(&uploaded(&mut bob, after(HOUR * hour), &lie(&known), &mut rng).one_time_prekeys));
        }
        assert!(known.len() <= AT_SERVER + 4 * MADE_A_DAY as usize, "{name}: {}", known.len());
        // The truth: all were handed out.
        let made: usize = (0..24)
            .map(|hour| uploaded(&mut bob, after(DAY * 5 + HOUR * hour), &[], &mut rng).one_time_prekeys.len())
            .sum();
        assert!(made >= AT_SERVER, "{name}: {made}");
    }
    // Control: who makes as many as the store lacks is drained by a server that lists none.
    let (_, mut bob, mut rng) = pair::<HeapCapacity>();
    let full = (0..3).map(|_| super::by_own_count(&mut bob, AT_SERVER, NOW, &mut rng)).collect::<Vec<_>>();
    assert_eq!(full, [AT_SERVER, 0, 0]);
}

/// The smallest device: one one-time prekey, one entry in the replay record, one replaced signed prekey.
#[test]
fn the_smallest_device_recovers_from_a_drain() {
    type Smallest = super::Device<Capacity<1, 1, 1>>;
    let (alice, mut bob, mut rng) = pair::<Capacity<1, 1, 1>>();
    let handed_out = uploaded(&mut bob, NOW, &[], &mut rng);
    assert_eq!(handed_out.one_time_prekeys.len(), 1);
    let signed = bob.signed_prekey();
    let [last, more] = [(); 2].map(|()| hello(&alice, &bob, &signed, None, &mut rng));
    assert_eq!(accepted(&mut bob, &last), Ok(()));
    assert_eq!(accepted(&mut bob, &more), Err(AcceptError::ReplayRecordFull));
    let one_time = hello(&alice, &bob, &signed, handed_out.one_time_prekeys.first(), &mut rng);
    // Two days of maintenance, and everything is there again.
    let made: usize =
        (1..=3).map(|day| uploaded(&mut bob, after(DAY * day), &[], &mut rng).one_time_prekeys.len()).sum();
    assert!(made >= 1, "{made}");
    let fresh = bob.signed_prekey();
    let message = hello(&alice, &bob, &fresh, None, &mut rng);
    assert_eq!(accepted(&mut restored::<Capacity<1, 1, 1>>(&bob, &state(&bob)), &message), Ok(()));
    assert_eq!(accepted(&mut bob, &one_time), Err(AcceptError::PrekeyGone), "it gave way after two days");
    // Control: without the device's maintenance nothing changes.
    let mut idle = Smallest::generate_with(RustCrypto, NOW, &mut rng);
    let signed = idle.signed_prekey();
    let [last, more] = [(); 2].map(|()| hello(&alice, &idle, &signed, None, &mut rng));
    assert_eq!(accepted(&mut idle, &last), Ok(()));
    assert_eq!(accepted(&mut idle, &more), Err(AcceptError::ReplayRecordFull));
}
