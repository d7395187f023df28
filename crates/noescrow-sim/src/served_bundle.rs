// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`ServedBundle`]: what a relay serves as a device's bundle, honest or not, and how it changes a first message.
//!
//! This is the relay's program. It has what was published, what it served before, and a device of its own. This module
//! also says which bundles a device must accept; `handshake_sim` checks that it does.

use noescrow::{Bundle, Prekey, Publication};
use std::collections::VecDeque;

/// The canonical u-coordinates of Curve25519 that are of low order: 0, 1, two of order 8, and p - 1.
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

/// What a relay serves as a device's bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ServedBundle {
    /// What the protocol requires: with a one-time prekey as long as there is one.
    Honest,
    /// The same, but with the one-time prekey withheld.
    WithoutOneTimePrekey,
    /// A bundle that was served before, whether or not it has since been used, replaced or deleted.
    Repeated,
    /// The identity and prekeys of the relay's own device.
    OtherIdentity,
    /// A signed prekey that the relay planted, under the genuine identity.
    PlantedSignedPrekey,
    /// A one-time prekey that the relay planted, with the genuine signed one.
    PlantedOneTimePrekey,
    /// The genuine prekeys, under the relay's own identity.
    ClaimedPrekeys,
    /// A one-time prekey in place of the signed one.
    ConfusedKinds,
    /// A point of low order as the identity's DH key.
    LowOrderIdentity,
    /// A point of low order in the signed prekey.
    LowOrderSignedPrekey,
    /// A point of low order in the one-time prekey.
    LowOrderOneTimePrekey,
}

impl ServedBundle {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Honest,
        Self::WithoutOneTimePrekey,
        Self::Repeated,
        Self::OtherIdentity,
        Self::PlantedSignedPrekey,
        Self::PlantedOneTimePrekey,
        Self::ClaimedPrekeys,
        Self::ConfusedKinds,
        Self::LowOrderIdentity,
        Self::LowOrderSignedPrekey,
        Self::LowOrderOneTimePrekey,
    ];

    /// Reads a bundle's number; every byte is valid.
    #[must_use]
    pub const fn decode(byte: u8) -> Self {
        match byte % 11 {
            0 => Self::Honest,
            1 => Self::WithoutOneTimePrekey,
            2 => Self::Repeated,
            3 => Self::OtherIdentity,
            4 => Self::PlantedSignedPrekey,
            5 => Self::PlantedOneTimePrekey,
            6 => Self::ClaimedPrekeys,
            7 => Self::ConfusedKinds,
            8 => Self::LowOrderIdentity,
            9 => Self::LowOrderSignedPrekey,
            _ => Self::LowOrderOneTimePrekey,
        }
    }

    /// Whether a device cannot see anything wrong with it because every signature is valid. Only a comparison of safety
    /// numbers shows whose identity it has.
    #[must_use]
    pub const fn is_sound(self) -> bool {
        matches!(self, Self::Honest | Self::WithoutOneTimePrekey | Self::Repeated | Self::OtherIdentity)
    }
}

/// The encoded parts of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// The identity.
    pub identity: Vec<u8>,
    /// The signed prekey.
    pub signed_prekey: Vec<u8>,
    /// A one-time prekey.
    pub one_time_prekey: Option<Vec<u8>>,
}

impl Parts {
    /// The parts of a bundle.
    #[must_use]
    pub fn of(bundle: &Bundle) -> Self {
        Self {
            identity: bundle.identity().to_bytes().to_vec(),
            signed_prekey: encoded(bundle.signed_prekey()),
            one_time_prekey: bundle.one_time_prekey().map(encoded),
        }
    }

    /// The encoding of a bundle with these parts, whatever they are.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let one_time: &[u8] = self.one_time_prekey.as_deref().unwrap_or_default();
        let flag = [u8::from(self.one_time_prekey.is_some())];
        [&self.identity, &self.signed_prekey, &flag[..], one_time].concat()
    }
}

fn encoded(prekey: &Prekey) -> Vec<u8> {
    prekey.to_bytes().to_vec()
}

/// What a relay has of one device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ServedDirectory {
    identity: Vec<u8>,
    signed_prekey: Vec<u8>,
    one_time_prekeys: VecDeque<Vec<u8>>,
    given: VecDeque<Vec<u8>>,
}

/// The number of served bundles of one device that a relay remembers.
const MAX_SERVED: usize = 4;

impl ServedDirectory {
    /// Stores what a device uploads.
    pub fn publish(&mut self, publication: &Publication) {
        self.identity = publication.identity.to_bytes().to_vec();
        self.signed_prekey = encoded(&publication.signed_prekey);
        self.one_time_prekeys.extend(publication.one_time_prekeys.iter().map(encoded));
    }

    /// Stores a new signed prekey.
    pub fn rotate(&mut self, signed_prekey: &Prekey) {
        self.signed_prekey = encoded(signed_prekey);
    }

    /// The uploaded identity and signed prekey, with the next one-time prekey.
    fn parts(&self) -> Option<Parts> {
        let one_time_prekey = self.one_time_prekeys.front().cloned();
        let parts =
            Parts { identity: self.identity.clone(), signed_prekey: self.signed_prekey.clone(), one_time_prekey };
        (!parts.identity.is_empty()).then_some(parts)
    }

    /// Whether anything was uploaded.
    #[must_use]
    pub fn is_published(&self) -> bool {
        !self.identity.is_empty()
    }

    /// The bytes that the relay serves; `None` if it lacks the necessary parts. `own` are the parts of the relay's own
    /// device, `point` the number of a point of low order.
    pub fn serve(&mut self, served: ServedBundle, point: u8, own: impl FnOnce() -> Option<Parts>) -> Option<Vec<u8>> {
        let genuine = self.parts()?;
        let parts = match served {
            ServedBundle::Honest => {
                self.one_time_prekeys.pop_front();
                genuine
            }
            ServedBundle::WithoutOneTimePrekey => Parts { one_time_prekey: None, ..genuine },
            ServedBundle::Repeated => {
                let oldest = self.given.pop_front()?;
                self.given.push_back(oldest.clone());
                return Some(oldest);
            }
            ServedBundle::OtherIdentity => own()?,
            ServedBundle::PlantedSignedPrekey => {
                Parts { signed_prekey: own()?.signed_prekey, one_time_prekey: None, ..genuine }
            }
            ServedBundle::PlantedOneTimePrekey => Parts { one_time_prekey: Some(own()?.one_time_prekey?), ..genuine },
            ServedBundle::ClaimedPrekeys => Parts { identity: own()?.identity, ..genuine },
            ServedBundle::ConfusedKinds => {
                Parts { signed_prekey: genuine.one_time_prekey?, one_time_prekey: None, ..genuine }
            }
            ServedBundle::LowOrderIdentity => {
                Parts { identity: with_point(genuine.identity, SIGNING_KEY_LEN, point)?, ..genuine }
            }
            ServedBundle::LowOrderSignedPrekey => {
                Parts { signed_prekey: with_point(genuine.signed_prekey, DH_KEY_IN_PREKEY, point)?, ..genuine }
            }
            ServedBundle::LowOrderOneTimePrekey => {
                let weak = with_point(genuine.one_time_prekey?, DH_KEY_IN_PREKEY, point)?;
                Parts { one_time_prekey: Some(weak), ..genuine }
            }
        };
        let bytes = parts.to_bytes();
        if matches!(served, ServedBundle::Honest | ServedBundle::WithoutOneTimePrekey) {
            if self.given.len() == MAX_SERVED {
                self.given.pop_front();
            }
            self.given.push_back(bytes.clone());
        }
        Some(bytes)
    }

    /// A genuine bundle for the relay itself to begin a session with. It uses up no one-time prekey.
    #[must_use]
    pub fn bundle_for_relay(&self) -> Option<Vec<u8>> {
        Some(Parts { one_time_prekey: None, ..self.parts()? }.to_bytes())
    }
}

/// Bytes before an identity's DH key: its signing key.
const SIGNING_KEY_LEN: usize = 32;
/// Bytes before a prekey's DH key: kind, newest version, id, expiry.
const DH_KEY_IN_PREKEY: usize = 1 + 1 + 4 + 8;
/// Bytes before a first message's ephemeral key: type, signed prekey id, flag, one-time prekey id.
const EPHEMERAL_KEY_IN_HANDSHAKE: usize = 1 + 4 + 1 + 4;

/// Replaces a key by a point of low order.
fn with_point(mut bytes: Vec<u8>, at: usize, point: u8) -> Option<Vec<u8>> {
    let point = LOW_ORDER.get(usize::from(point).checked_rem(LOW_ORDER.len())?)?;
    bytes.get_mut(at..at.checked_add(point.len())?)?.copy_from_slice(point);
    Some(bytes)
}

/// A first message with an ephemeral key of low order.
#[must_use]
pub fn with_low_order_ephemeral(first_message: &[u8], point: u8) -> Option<Vec<u8>> {
    with_point(first_message.to_vec(), EPHEMERAL_KEY_IN_HANDSHAKE, point)
}
