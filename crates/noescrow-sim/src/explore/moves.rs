// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Move`]: what leads from one state of an exploration to another.

use crate::{Offer, Side};

#[derive(Clone, Copy, Debug)]
pub(crate) enum Move {
    /// Bob makes a one-time prekey, and uploads it with all else.
    Publish,
    /// Bob uploads another signed prekey, and deletes the one before.
    Replace,
    /// Alice asks for Bob's bundle, and gets one that she must take.
    Fetch(Offer),
    /// Alice begins a conversation with the bundle that she has.
    Initiate,
    /// The relay begins one with Bob, under its own identity.
    Approach,
    /// In which conversation, and which end of it.
    Send(usize, Side),
    /// By its place among what is under way.
    Deliver(usize),
    Duplicate(usize),
    Lose(usize),
}

impl Move {
    pub(crate) const fn kind(self) -> &'static str {
        match self {
            Self::Publish => "prekeys published",
            Self::Replace => "signed prekey replaced, the one before deleted",
            Self::Fetch(offer) => offer_name(offer),
            Self::Initiate => "handshake begun",
            Self::Approach => "handshake begun by the relay under its own identity",
            Self::Send(..) => "message sent",
            Self::Deliver(_) => "message delivered",
            Self::Duplicate(_) => "message delivered, and kept to come again",
            Self::Lose(_) => "message lost",
        }
    }
}

pub(crate) const fn offer_name(offer: Offer) -> &'static str {
    match offer {
        Offer::Honest => "bundle fetched",
        Offer::WithoutOneTimePrekey => "bundle: one-time prekey withheld",
        Offer::Repeated => "bundle: repeated",
        Offer::OtherIdentity => "bundle: identity substituted",
        Offer::PlantedSignedPrekey => "bundle: signed prekey planted",
        Offer::PlantedOneTimePrekey => "bundle: one-time prekey planted",
        Offer::ClaimedPrekeys => "bundle: prekeys under another identity",
        Offer::ConfusedKinds => "bundle: kinds of prekeys confused",
        Offer::LowOrderIdentity => "bundle: identity of low order",
        Offer::LowOrderSignedPrekey => "bundle: signed prekey of low order",
        Offer::LowOrderOneTimePrekey => "bundle: one-time prekey of low order",
    }
}
