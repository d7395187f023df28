// SPDX-License-Identifier: MIT OR Apache-2.0
//! A transparent interceptor changes nothing, every operation reaches an interceptor, and a change of any result is
//! noticed.

extern crate std;
use super::*;
use crate::hazmat::AcceptFromAnyone;
use crate::{Bundle, Capacity, ChunkSize, Device, InitiateOptions, Payload, Sealed, StorageKey, UnixSeconds};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::vec;
use std::vec::Vec;

/// Changes the result of one operation, or of none; and lists all calls.
#[derive(Clone, Default)]
struct Flip {
    name: &'static str,
    calls: Rc<RefCell<Vec<&'static str>>>,
    steps: Rc<RefCell<Vec<&'static str>>>,
    fresh: Rc<RefCell<Vec<u8>>>,
    declassified: Rc<RefCell<Vec<Declassified>>>,
}

impl<P: Primitives> Intercept<P> for Flip {
    fn intercept(&self, primitives: &P, call: &mut Call<'_>) {
        self.calls.borrow_mut().push(call.name());
        call.perform(primitives);
        if call.name() == self.name {
            flip(call);
        }
    }

    fn step(&self, label: &'static str) {
        self.steps.borrow_mut().push(label);
    }

    fn fresh(&self, value: &[u8]) {
        self.fresh.borrow_mut().extend_from_slice(value);
    }

    fn declassify(&self, place: Declassified, _: &mut [u8]) {
        self.declassified.borrow_mut().push(place);
    }
}

/// Flips bits of a result, or inverts a verdict.
fn flip(call: &mut Call<'_>) {
    match call {
        Call::DhPublic { public, .. } | Call::SigningPublic { public, .. } => public[16] ^= 1,
        Call::Dh { shared, .. } => {
            **shared = match shared {
                Ok(shared) => Ok(Secret::new(shared.expose().map(|byte| !byte))),
                Err(Failed) => Ok(Secret::zero()),
            }
        }
        Call::DhIsTorsionFree { verdict, .. }
        | Call::SigningIsTorsionFree { verdict, .. }
        | Call::KemPublicIsValid { verdict, .. } => **verdict = !**verdict,
        Call::Sign { signature, .. } => signature[0] ^= 1,
        Call::Verify { verdict, .. } | Call::Open { verdict, .. } => {
            **verdict = if verdict.is_ok() { Err(Failed) } else { Ok(()) };
        }
        Call::KemPublic { public, .. } => public[0] ^= 1,
        Call::Encapsulate { output, .. } => output.1.expose_mut()[0] ^= 1,
        Call::Decapsulate { shared, .. } | Call::IncrementalDecapsulate { shared, .. } => shared.expose_mut()[0] ^= 1,
        Call::IncrementalPublic { output, .. } => output.1[0] ^= 1,
        Call::Encaps1 { output, .. } => output.0[0] ^= 1,
        Call::Encaps2 { ct2, .. } => **ct2 = ct2.map(|ct2| ct2.map(|byte| !byte)),
        Call::Hmac { mac, .. } => mac.expose_mut()[0] ^= 1,
        Call::HmacPair { macs, .. } => macs.1.expose_mut()[0] ^= 1,
        Call::Hkdf { out, .. } | Call::HkdfExpand { out, .. } => out[0] ^= 1,
        Call::Sha256 { digest, .. } => digest[0] ^= 1,
        Call::Sha512 { digest, .. } => digest[0] ^= 1,
        Call::Seal { buffer, .. } => buffer[0] ^= 1,
    }
}

/// Performs each operation once, on fixed inputs, and returns its name and its output.
fn each_operation(primitives: &impl Primitives) -> Vec<(&'static str, Vec<u8>)> {
    let (secret, seed, other) = (Secret::new([1; 32]), Secret::new([2; 64]), Secret::new([3; 32]));
    let peer = RustCrypto.dh_public(&other);
    let signing = RustCrypto.signing_public(&secret);
    let signature = RustCrypto.sign(&secret, b"message");
    let kem = RustCrypto.kem_public(&seed);
    let (ciphertext, _) = RustCrypto.encapsulate(&kem, &other);
    let (header, ek_vector) = RustCrypto.incremental_public(&seed);
    let (ct1, _) = RustCrypto.encaps1(&header, &other);
    let ct2 = RustCrypto.encaps2(&header, &ek_vector, &other).unwrap();
    let mut sealed = *b"plaintext";
    let tag = RustCrypto.seal(&secret, &[4; 12], b"ad", &mut sealed).unwrap();

    let both = |a: &[u8], b: &[u8]| [a, b].concat();
    let (mut hkdf, mut expanded, mut to_seal, mut to_open) = ([0; 40], [0; 40], *b"plaintext", sealed);
    primitives.hkdf(b"salt", &[b"i", b"km"], &[b"in", b"fo"], &mut hkdf);
    primitives.hkdf_expand(&secret, &[b"in", b"fo"], &mut expanded);
    let sealed_tag = primitives.seal(&secret, &[4; 12], b"ad", &mut to_seal).unwrap();
    let opened = primitives.open(&secret, &[4; 12], b"ad", &mut to_open, &tag).is_ok();
    let encapsulated = primitives.encapsulate(&kem, &other);
    let incremental = primitives.incremental_public(&seed);
    let first = primitives.encaps1(&header, &other);
    let second = primitives.encaps2(&header, &ek_vector, &other).unwrap();
    let macs = primitives.hmac_pair(&secret, 1, 2);
    vec![
        ("dh_public", primitives.dh_public(&secret).to_vec()),
        ("dh", primitives.dh(&secret, &peer).unwrap().expose().to_vec()),
        ("dh_is_torsion_free", vec![primitives.dh_is_torsion_free(&peer).into()]),
        ("signing_public", primitives.signing_public(&secret).to_vec()),
        ("sign", primitives.sign(&secret, b"message").to_vec()),
        ("signing_is_torsion_free", vec![primitives.signing_is_torsion_free(&signing).into()]),
        ("verify", vec![primitives.verify(&signing, b"message", &signature).is_ok().into()]),
        ("kem_public", primitives.kem_public(&seed).to_vec()),
        ("kem_public_is_valid", vec![primitives.kem_public_is_valid(&kem).into()]),
        ("encapsulate", both(&encapsulated.0, encapsulated.1.expose())),
        ("decapsulate", primitives.decapsulate(&seed, &ciphertext).expose().to_vec()),
        ("incremental_public", both(&incremental.0, &incremental.1)),
        ("encaps1", both(&first.0, first.1.expose())),
        ("encaps2", second.to_vec()),
        ("incremental_decapsulate", primitives.incremental_decapsulate(&seed, &ct1, &ct2).expose().to_vec()),
        ("hmac", primitives.hmac(b"key", &[b"pa", b"rts"]).expose().to_vec()),
        ("hmac_pair", both(macs.0.expose(), macs.1.expose())),
        ("hkdf", hkdf.to_vec()),
        ("hkdf_expand", expanded.to_vec()),
        ("sha256", primitives.sha256(&[b"pa", b"rts"]).to_vec()),
        ("sha512", primitives.sha512(&[b"pa", b"rts"]).to_vec()),
        ("seal", both(&to_seal, &sealed_tag)),
        ("open", both(&to_open, &[opened.into()])),
    ]
}

/// The output of two devices with one seed, until one of them refuses something: a bundle, twenty messages each way,
/// snapshots and the safety number.
fn conversation<P: Primitives>(primitives: &P) -> Vec<u8> {
    let mut transcript = vec![];
    // The output is compared even if the conversation was cut short.
    let _ = converse(primitives, &mut transcript);
    transcript
}

fn converse<P: Primitives>(primitives: &P, transcript: &mut Vec<u8>) -> Option<()> {
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    let later = UnixSeconds(u64::MAX >> 8);
    let device = |rng: &mut ChaCha20Rng| Device::<P, Capacity<4, 4>>::generate_with(primitives.clone(), later, rng);
    let (alice, mut bob) = (device(&mut rng), device(&mut rng));
    let mut published = bob.publish(1, later, &mut rng).ok()?;
    let bundle = Bundle::new(published.identity, published.signed_prekey, published.one_time_prekeys.pop()).ok()?;
    transcript.extend(bundle.to_bytes());
    let bundle = Bundle::from_bytes(primitives, &bundle.to_bytes()).ok()?;
    let options = InitiateOptions::unverified(UnixSeconds(0)).chunk_size(ChunkSize::Bytes256);
    let (mut alice, hello) = alice.initiate(bundle, b"hello", options, &mut rng).ok()?;
    transcript.extend(&hello);
    let (mut bob, text) = bob.accept(&hello).ok()?;
    transcript.extend(text);
    for _ in 0..20 {
        for from_bob in [true, false] {
            let (sender, receiver) = if from_bob { (&mut bob, &mut alice) } else { (&mut alice, &mut bob) };
            let message = sender
                .encrypt(Payload { plaintext: b"text", associated_data: b"ad", ..Payload::default() }, &mut rng)
                .ok()?;
            transcript.extend(&message);
            transcript.extend(receiver.decrypt(Sealed { message: &message, associated_data: b"ad" }).ok()?.plaintext);
        }
    }
    for session in [&alice, &bob] {
        transcript.extend(session.snapshot(&StorageKey::new([5; 32]), 0));
    }
    let safety_number = alice.safety_number()?;
    transcript.extend(std::format!("{safety_number}").bytes());
    transcript.extend(b"end");
    Some(())
}

#[test]
fn transparent_interceptor_leaves_conversation_unchanged() {
    let flip = Flip::default();
    let transcript = conversation(&RustCrypto);
    assert!(transcript.ends_with(b"end"));
    assert_eq!(conversation(&Intercepted::new(flip.clone())), transcript);
    // Two interceptors change nothing either, and both see the same calls.
    let calls = flip.calls.take();
    let outer = Flip::default();
    assert_eq!(conversation(&Intercepted::over(Intercepted::new(flip.clone()), outer.clone())), transcript);
    assert_eq!((&*flip.calls.borrow(), &*outer.calls.borrow()), (&calls, &calls));
    assert!(flip.steps.borrow().contains(&"HS-I4") && flip.steps.borrow().contains(&"DR-D8"));
    assert_eq!(flip.steps.borrow()[..10], outer.steps.borrow()[..10]);
    assert!(flip.fresh.borrow().len() >= 64);
    assert!(!outer.declassified.borrow().is_empty());
}

#[test]
fn each_operation_reaches_the_interceptor_once() {
    let flip = Flip::default();
    let outputs = each_operation(&Intercepted::new(flip.clone()));
    assert_eq!(outputs, each_operation(&RustCrypto));
    let names: Vec<_> = outputs.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, Call::NAMES);
    let mut calls = flip.calls.take();
    assert_eq!(calls.len(), Call::NAMES.len());
    calls.sort_unstable();
    let all: BTreeSet<_> = Call::NAMES.iter().copied().collect();
    assert_eq!(calls, all.into_iter().collect::<Vec<_>>());
}

#[test]
fn flipped_output_of_each_operation_is_noticed() {
    let (outputs, transcript) = (each_operation(&RustCrypto), conversation(&RustCrypto));
    for name in Call::NAMES {
        let flipping = Intercepted::new(Flip { name, ..Flip::default() });
        let changed: Vec<_> = each_operation(&flipping).into_iter().zip(&outputs).filter(|(a, b)| a != *b).collect();
        assert!(matches!(&changed[..], [((changed, _), _)] if changed == name), "{name}");
        assert_ne!(conversation(&flipping), transcript, "{name}");
    }
}

#[test]
fn unanswered_call_is_refused_or_zero() {
    #[derive(Clone, Copy)]
    struct Silent;
    impl Intercept for Silent {
        fn intercept(&self, _: &RustCrypto, _: &mut Call<'_>) {}
    }
    let silent = Intercepted::new(Silent);
    let (secret, mut buffer) = (Secret::new([1; 32]), [7; 5]);
    assert!(silent.dh(&secret, &[9; 32]).is_err());
    assert!(!silent.dh_is_torsion_free(&[9; 32]) && !silent.kem_public_is_valid(&[9; KEM_PUBLIC_LEN]));
    assert_eq!(silent.verify(&[1; 32], b"", &[0; 64]), Err(Failed));
    assert_eq!(silent.seal(&secret, &[0; 12], b"", &mut buffer), Err(Failed));
    assert_eq!(silent.open(&secret, &[0; 12], b"", &mut buffer, &[0; 16]), Err(Failed));
    assert_eq!(buffer, [7; 5]);
    assert_eq!(silent.sha512(&[b""]), [0; 64]);
    assert_eq!(silent.hmac_pair(&secret, 1, 2).1.expose(), &[0; 32]);
    // Control: the default answers.
    assert_ne!(RustCrypto.sha512(&[b""]), [0; 64]);
}

#[test]
fn debug_shows_no_secret() {
    let intercepted = Intercepted::new(Flip { name: "sha256", ..Flip::default() });
    assert_eq!(std::format!("{intercepted:?}"), "Intercepted(..)");
    let (secret, mut public) = (Secret::new([0xAB; 32]), [0xAB; 32]);
    let call = Call::DhPublic { secret: &secret, public: &mut public };
    assert_eq!(std::format!("{call:?}"), "Call(dh_public)");
}
