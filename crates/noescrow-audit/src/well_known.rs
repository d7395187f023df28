// SPDX-License-Identifier: MIT OR Apache-2.0
//! Values that everyone knows.

/// The u-coordinate of X25519's base point (RFC 7748 §4.1).
const BASE_POINT: [u8; 32] = {
    let mut nine = [0; 32];
    nine[0] = 9;
    nine
};

/// The canonical u-coordinates of low order: 0, 1, two of order 8, and p - 1 (RFC 7748 §6.1 leaves their refusal to
/// protocols).
const LOW_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    {
        let mut one = [0; 32];
        one[0] = 1;
        one
    },
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09,
        0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04, 0x44,
        0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
    ],
    {
        let mut p_minus_1 = [0xFF; 32];
        p_minus_1[0] = 0xEC;
        p_minus_1[31] = 0x7F;
        p_minus_1
    },
];

/// Whether a u-coordinate is a canonical one of low order.
pub(crate) fn is_low_order(point: &[u8; 32]) -> bool {
    LOW_ORDER.contains(point)
}

/// Whether bytes are never secret, even if an operation uses them as a key: all zeros or all 0xFF (separators, empty
/// salts), the base point of X25519, or one of its points of low order.
pub(crate) fn is_well_known(bytes: &[u8]) -> bool {
    let is_point = || <&[u8; 32]>::try_from(bytes).is_ok_and(|bytes| is_low_order(bytes) || *bytes == BASE_POINT);
    bytes.iter().all(|byte| *byte == 0) || bytes.iter().all(|byte| *byte == 0xFF) || is_point()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_well_known_only_at_its_own_length() {
        for point in LOW_ORDER.into_iter().chain([BASE_POINT]) {
            assert!(is_well_known(&point));
            assert!(!is_well_known(&[&point[..], &[1]].concat()));
        }
    }
}
