// SPDX-License-Identifier: MIT OR Apache-2.0
//! Checks of public keys that a layout demands: bytes that no protocol accepts as a key are not one.

use crate::well_known::is_low_order;
use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::montgomery::MontgomeryPoint;

/// What bytes must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum KeyCheck {
    /// An X25519 public key: canonical and not of low order.
    #[serde(rename = "x25519-public")]
    X25519Public,
    /// An X25519 public key that is also free of torsion, and not on the twist.
    #[serde(rename = "x25519-public-of-prime-order")]
    X25519PrimeOrder,
    /// An Ed25519 public key: canonical, not of small order, and free of torsion.
    #[serde(rename = "ed25519-public")]
    Ed25519Public,
}

impl KeyCheck {
    pub(super) fn holds(self, bytes: &[u8]) -> bool {
        let Ok(key) = <[u8; 32]>::try_from(bytes) else { return false };
        match self {
            Self::X25519Public => is_canonical_x25519(&key),
            Self::X25519PrimeOrder => {
                let is_free = |key| MontgomeryPoint(key).to_edwards(0).is_some_and(|point| point.is_torsion_free());
                is_canonical_x25519(&key) && is_free(key)
            }
            Self::Ed25519Public => has_ed25519_key_of_prime_order(&key),
        }
    }
}

/// Whether a u-coordinate is canonical (RFC 7748 §5: below 2^255 - 19) and not of low order.
fn is_canonical_x25519(key: &[u8; 32]) -> bool {
    let [first, middle @ .., last] = key;
    let is_at_least_p = *last == 0x7F && middle.iter().all(|byte| *byte == 0xFF) && *first >= 0xED;
    *last < 0x80 && !is_at_least_p && !is_low_order(key)
}

/// Whether bytes are the canonical encoding of an Edwards point of prime order.
pub(super) fn has_ed25519_key_of_prime_order(key: &[u8]) -> bool {
    let Ok(key) = <[u8; 32]>::try_from(key) else { return false };
    CompressedEdwardsY(key)
        .decompress()
        .is_some_and(|point| point.compress().0 == key && !point.is_small_order() && point.is_torsion_free())
}

/// Whether a signature's R is a point of small order (RFC 8032 §5.1.7 does not refuse it; strict verification does).
pub(super) fn is_r_of_small_order(signature: &[u8]) -> bool {
    let r = signature.first_chunk().and_then(|r| CompressedEdwardsY(*r).decompress());
    r.is_none_or(|point| point.is_small_order())
}

#[cfg(test)]
mod tests {
    use super::*;
    use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};

    #[test]
    fn a_canonical_u_coordinate_is_below_p_and_not_of_low_order() {
        let mut key = [0xFF; 32];
        key[31] = 0x7F;
        for (first, is_sound) in [(0xEC, false), (0xED, false), (0xFF, false), (0xEB, true)] {
            key[0] = first;
            assert_eq!(KeyCheck::X25519Public.holds(&key), is_sound, "{first:x}");
        }
        assert!(KeyCheck::X25519Public.holds(&[9; 32]) && !KeyCheck::X25519Public.holds(&[0x80; 32]));
        assert!(!KeyCheck::X25519Public.holds(&[0; 32]) && !KeyCheck::X25519Public.holds(&[9; 31]));
    }

    #[test]
    fn keys_with_torsion_on_the_twist_or_of_small_order_are_refused() {
        let honest = ED25519_BASEPOINT_POINT;
        let x25519 = |point: curve25519_dalek::EdwardsPoint| point.to_montgomery().0;
        assert!(KeyCheck::Ed25519Public.holds(&honest.compress().0));
        assert!(KeyCheck::X25519PrimeOrder.holds(&x25519(honest)));
        for torsion in &EIGHT_TORSION[1..] {
            assert!(!KeyCheck::Ed25519Public.holds(&(honest + torsion).compress().0));
            assert!(!KeyCheck::Ed25519Public.holds(&torsion.compress().0));
            assert!(!KeyCheck::X25519PrimeOrder.holds(&x25519(honest + torsion)));
            assert!(is_r_of_small_order(&[torsion.compress().0, [1; 32]].concat()));
        }
        // 2 is the u-coordinate of a point of the twist. Control: the weaker check accepts it.
        let mut twist = [0; 32];
        twist[0] = 2;
        assert!(KeyCheck::X25519Public.holds(&twist) && !KeyCheck::X25519PrimeOrder.holds(&twist));
        assert!(!is_r_of_small_order(&[honest.compress().0, [1; 32]].concat()));
    }
}
