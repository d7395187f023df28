// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Move`]: a transition from one state of an exploration to another.

use crate::served_bundle::ServedBundle;
use crate::side::Side;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Move {
    /// Bob makes a one-time prekey, and uploads it with his other keys.
    Publish,
    /// Bob uploads a new signed prekey, and deletes the previous one.
    Replace,
    /// Alice requests Bob's bundle, and gets one that she must accept.
    Fetch(ServedBundle),
    /// Alice begins a conversation with the bundle that she has.
    Initiate,
    /// The relay begins a conversation with Bob, under its own identity.
    Approach,
    /// The conversation, and which end of it sends.
    Send(usize, Side),
    /// By index among the messages in transit.
    Deliver(usize),
    Duplicate(usize),
    Lose(usize),
}

impl Move {
    pub(crate) const fn kind(self) -> &'static str {
        match self {
            Self::Publish => "prekeys published",
            Self::Replace => "signed prekey replaced, previous one deleted",
            Self::Fetch(served) => bundle_name(served),
            Self::Initiate => "handshake begun",
            Self::Approach => "handshake begun by the relay under its own identity",
            Self::Send(..) => "message sent",
            Self::Deliver(_) => "message delivered",
            Self::Duplicate(_) => "message delivered, and kept in transit",
            Self::Lose(_) => "message lost",
        }
    }
}

pub(crate) const fn bundle_name(served: ServedBundle) -> &'static str {
    match served {
        ServedBundle::Honest => "bundle fetched",
        ServedBundle::WithoutOneTimePrekey => "bundle: one-time prekey withheld",
        ServedBundle::Repeated => "bundle: repeated",
        ServedBundle::OtherIdentity => "bundle: identity substituted",
        ServedBundle::PlantedSignedPrekey => "bundle: signed prekey planted",
        ServedBundle::PlantedOneTimePrekey => "bundle: one-time prekey planted",
        ServedBundle::ClaimedPrekeys => "bundle: prekeys under another identity",
        ServedBundle::ConfusedKinds => "bundle: kinds of prekeys confused",
        ServedBundle::LowOrderIdentity => "bundle: identity of low order",
        ServedBundle::LowOrderSignedPrekey => "bundle: signed prekey of low order",
        ServedBundle::LowOrderOneTimePrekey => "bundle: one-time prekey of low order",
    }
}
