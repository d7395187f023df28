// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every applicable Wycheproof set, through the trait: X25519, Ed25519, AES-256-GCM, HKDF-SHA-256, HMAC-SHA-256,
//! ML-KEM-1024, ML-KEM-768 in two steps.
//!
//! Each check counts disagreements, and a control shows that it finds them: primitives whose outputs are wrong in one
//! bit and whose checks all pass must disagree in every set. Vectors that do not apply are counted and named.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    reason = "a test states its expectations"
)]

mod support;

use noescrow::Secret;
use noescrow::primitives::{DhPublicKey, Failed, Primitives, RustCrypto};
use support::Mock;
use wycheproof::{TestResult, aead, eddsa, hkdf, mac, mlkem, xdh};

/// The counts of a set.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    ran: usize,
    not_applicable: usize,
    disagreements: usize,
}

impl Tally {
    fn count(&mut self, agrees: bool) {
        self.ran += 1;
        self.disagreements += usize::from(!agrees);
    }
}

fn faulty() -> Mock {
    let mock = Mock::default();
    mock.faulty.set(true);
    mock
}

/// Returns `(ran, not applicable)`, and asserts that the faulty variant is flagged.
fn assert_set(check: impl Fn(&dyn Fn() -> Option<Mock>) -> Tally, ran: usize, not_applicable: usize) {
    assert_eq!(check(&|| None), Tally { ran, not_applicable, disagreements: 0 });
    assert!(check(&|| Some(faulty())).disagreements > 0, "the control is not flagged");
}

fn array<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}

/// All-zero results must be refused; every other must be the expected one. `DhPublicKey` accepts exactly the canonical
/// keys that are not of low order.
fn x25519<P: Primitives>(primitives: &P) -> Tally {
    let mut tally = Tally::default();
    for test in xdh::TestSet::load(xdh::TestName::X25519).unwrap().test_groups.iter().flat_map(|group| &group.tests) {
        let (Some(public), Some(private)) = (array(&test.public_key), array(&test.private_key)) else {
            tally.not_applicable += 1;
            continue;
        };
        let expected: [u8; 32] = array(&test.shared_secret).unwrap();
        let shared = primitives.dh(&Secret::new(private), &public).ok().map(|secret| *secret.expose());
        let agrees = if expected == [0; 32] { shared.is_none() } else { shared == Some(expected) };
        let canonical = test.flags.iter().all(|flag| *flag != xdh::TestFlag::NonCanonicalPublic);
        let parses = DhPublicKey::from_bytes(public).is_ok();
        tally.count(agrees && (parses == (canonical && expected != [0; 32])));
    }
    tally
}

/// Invalid signatures must be refused, valid ones must verify.
fn ed25519<P: Primitives>(primitives: &P) -> Tally {
    let mut tally = Tally::default();
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups {
        let key: [u8; 32] = array(&group.key.pk).unwrap();
        for test in &group.tests {
            let verifies =
                array(&test.sig).is_some_and(|signature| primitives.verify(&key, &test.msg, &signature).is_ok());
            tally.count(verifies == (test.result == TestResult::Valid));
        }
    }
    tally
}

/// 256-bit keys, 96-bit nonces, 128-bit tags; this protocol has no other sizes.
fn aes_256_gcm<P: Primitives>(primitives: &P) -> Tally {
    let mut tally = Tally::default();
    for group in aead::TestSet::load(aead::TestName::AesGcm).unwrap().test_groups {
        for test in &group.tests {
            let parts = (array(&test.key), array(&test.nonce), array(&test.tag));
            let ((Some(key), Some(nonce), Some(tag)), 128) = (parts, group.tag_size) else {
                tally.not_applicable += 1;
                continue;
            };
            let key = Secret::new(key);
            let mut buffer = test.ct.to_vec();
            let opened = primitives.open(&key, &nonce, &test.aad, &mut buffer, &tag).is_ok();
            if test.result == TestResult::Valid {
                let opens = opened && buffer == test.pt[..];
                let mut buffer = test.pt.to_vec();
                let sealed = primitives.seal(&key, &nonce, &test.aad, &mut buffer) == Ok(tag);
                tally.count(opens && sealed && buffer == test.ct[..]);
            } else {
                tally.count(!opened && buffer == test.ct[..]);
            }
        }
    }
    tally
}

/// This protocol has no outputs of more than 255 · 32 bytes.
fn hkdf_sha256<P: Primitives>(primitives: &P) -> Tally {
    let mut tally = Tally::default();
    for test in hkdf::TestSet::load(hkdf::TestName::HkdfSha256).unwrap().test_groups.iter().flat_map(|g| &g.tests) {
        if test.result == TestResult::Invalid {
            assert!(test.size > 255 * 32);
            tally.not_applicable += 1;
            continue;
        }
        let mut out = vec![0; test.size];
        primitives.hkdf(&test.salt, &[&test.ikm], &[&test.info], &mut out);
        let mut parts = vec![0; test.size];
        let (ikm, info) = (test.ikm.split_at(test.ikm.len() / 2), test.info.split_at(test.info.len() / 2));
        primitives.hkdf(&test.salt, &[ikm.0, ikm.1], &[info.0, info.1], &mut parts);
        tally.count(out == test.okm[..] && parts == test.okm[..]);
    }
    tally
}

/// Truncated tags are compared by their prefix; a modified one must differ.
fn hmac_sha256<P: Primitives>(primitives: &P) -> Tally {
    let mut tally = Tally::default();
    for test in mac::TestSet::load(mac::TestName::HmacSha256).unwrap().test_groups.iter().flat_map(|g| &g.tests) {
        let (head, tail) = test.msg.split_at(test.msg.len() / 3);
        let tag = primitives.hmac(&test.key, &[head, tail]);
        let equal = tag.expose()[..test.tag.len()] == test.tag[..];
        tally.count(equal == (test.result == TestResult::Valid));
    }
    tally
}

/// Private keys are seeds here: sets that begin from an expanded decapsulation key do not apply.
fn ml_kem_1024<P: Primitives>(primitives: &P) -> Tally {
    let mut tally = Tally::default();
    let sets = [
        mlkem::TestName::MlKem1024,
        mlkem::TestName::MlKem1024Encaps,
        mlkem::TestName::MlKem1024KeyGenSeed,
        mlkem::TestName::MlKem1024SemiExpandedDecaps,
    ];
    for test in sets.iter().flat_map(|set| mlkem::TestSet::load(*set).unwrap().test_groups).flat_map(|g| g.tests) {
        let valid = test.result == TestResult::Valid;
        let key = test.encaps_key.as_ref().and_then(|key| array::<1568>(key));
        let secret = test.shared_secret.as_ref().and_then(|secret| array::<32>(secret));
        let ciphertext = test.ct.as_ref().and_then(|ct| array::<1568>(ct));
        if let Some(seed) = &test.seed {
            // Key generation, and decapsulation if there is a ciphertext.
            let seed = array(seed).map(Secret::new);
            let grown = seed.as_ref().map(|seed| primitives.kem_public(seed));
            let mut agrees = test.encaps_key.is_none() || grown == key;
            if test.ct.is_some() {
                let shared =
                    seed.as_ref().zip(ciphertext.as_ref()).map(|(s, c)| *primitives.decapsulate(s, c).expose());
                agrees &= if valid { shared.is_some() && shared == secret } else { shared.is_none() };
            }
            tally.count(agrees);
        } else if let Some(coins) = test.msg.as_ref().and_then(|coins| array(coins)) {
            // Encapsulation; a malformed key must be refused.
            let accepted = key.filter(|key| primitives.kem_public_is_valid(key));
            let agrees = match accepted {
                Some(key) => {
                    let (made, shared) = primitives.encapsulate(&key, &Secret::new(coins));
                    valid && Some(made) == ciphertext && Some(*shared.expose()) == secret
                }
                None => !valid,
            };
            tally.count(agrees);
        } else {
            tally.not_applicable += 1;
        }
    }
    tally
}

/// The incremental form of ML-KEM-768 against the one-shot vectors: `header` and `ek_vector` are the key, `ct1 || ct2`
/// the ciphertext. This protocol has no keys and ciphertexts of other lengths.
fn incremental_ml_kem_768<P: Primitives>(primitives: &P) -> Tally {
    let mut tally = Tally::default();
    let sets = [
        mlkem::TestName::MlKem768,
        mlkem::TestName::MlKem768Encaps,
        mlkem::TestName::MlKem768KeyGenSeed,
        mlkem::TestName::MlKem768SemiExpandedDecaps,
    ];
    for test in sets.iter().flat_map(|set| mlkem::TestSet::load(*set).unwrap().test_groups).flat_map(|g| g.tests) {
        let valid = test.result == TestResult::Valid;
        let key = test.encaps_key.as_ref().and_then(|key| array::<1184>(key));
        let secret = test.shared_secret.as_ref().and_then(|secret| array::<32>(secret));
        let ciphertext = test.ct.as_ref().and_then(|ct| array::<1088>(ct));
        if let Some(seed) = &test.seed {
            let Some(seed) = array(seed).map(Secret::new) else {
                tally.not_applicable += 1;
                continue;
            };
            let (header, ek_vector) = primitives.incremental_public(&seed);
            let grown = [&ek_vector[..], &header[..32]].concat();
            let mut agrees = key.is_none_or(|key| key[..] == grown);
            if test.ct.is_some() {
                let shared = ciphertext.map(|c| {
                    let (ct1, ct2) = c.split_at(960);
                    *primitives.incremental_decapsulate(&seed, &array(ct1).unwrap(), &array(ct2).unwrap()).expose()
                });
                agrees &= if valid { shared.is_some() && shared == secret } else { shared.is_none() };
            }
            tally.count(agrees);
        } else if let Some((key, coins)) = key.zip(test.msg.as_ref().and_then(|coins| array(coins))) {
            let (ek_vector, rho) = key.split_at(1152);
            let header: [u8; 64] = array(&[rho, &libcrux_sha3::sha256(&key)].concat()).unwrap();
            let coins = Secret::new(coins);
            let (ct1, shared) = primitives.encaps1(&header, &coins);
            let agrees = match primitives.encaps2(&header, &array(ek_vector).unwrap(), &coins) {
                Ok(ct2) => {
                    let made = array(&[&ct1[..], &ct2].concat());
                    valid && made == ciphertext && Some(*shared.expose()) == secret
                }
                Err(Failed) => !valid,
            };
            tally.count(agrees);
        } else {
            tally.not_applicable += 1;
        }
    }
    tally
}

macro_rules! sets {
    ($($name:ident: $check:ident, $ran:literal, $not_applicable:literal;)+) => {$(
        #[test]
        fn $name() {
            assert_set(
                |faulty| match faulty() {
                    Some(broken) => $check(&broken),
                    None => $check(&RustCrypto),
                },
                $ran,
                $not_applicable,
            );
        }
    )+};
}

sets! {
    x25519_agrees_with_wycheproof: x25519, 518, 0;
    ed25519_agrees_with_wycheproof: ed25519, 151, 0;
    aes_256_gcm_agrees_with_wycheproof: aes_256_gcm, 66, 250;
    hkdf_sha_256_agrees_with_wycheproof: hkdf_sha256, 83, 3;
    hmac_sha_256_agrees_with_wycheproof: hmac_sha256, 174, 0;
    incremental_ml_kem_768_agrees_with_wycheproof: incremental_ml_kem_768, 526, 49;
    ml_kem_1024_agrees_with_wycheproof: ml_kem_1024, 571, 9;
}
